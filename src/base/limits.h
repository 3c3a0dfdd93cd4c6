/* SPDX-License-Identifier: MIT
 *
 * Every bound of the system, each with its reason.  Sizes in bytes unless the name says otherwise.
 */
#ifndef QMN_BASE_LIMITS_H
#define QMN_BASE_LIMITS_H

enum {
    /* HTTP: what a strict proxy would allow; a 4096-d float64 array as JSON is about 90 KB. */
    LIMIT_BODY_BYTES = 1048576,
    LIMIT_IMPORT_BODY_BYTES = 8388608,
    LIMIT_HEADER_BYTES = 16384,
    LIMIT_HEADER_COUNT = 100,
    LIMIT_URI_BYTES = 8192,
    LIMIT_CONNECTIONS = 10000,
    /* Room for a fleet on one machine or behind one proxy (5,000 idle ones are part of the
     * benchmark), yet no single peer can take the node from all others. */
    LIMIT_CONNECTIONS_PER_PEER = 8000,
    LIMIT_PIPELINE_BYTES = 65536, /* read ahead behind a request in progress */
    LIMIT_STREAM_BYTES =
        1048576, /* unsent bytes of one streamed answer before its reader counts as too slow */

    /* Time, in milliseconds. */
    LIMIT_HEADER_MS = 10000, /* first byte to end of headers */
    LIMIT_BODY_MS = 30000,
    LIMIT_BODY_MIN_RATE = 500, /* bytes per second once a body has run for 5 s */
    LIMIT_IDLE_MS = 60000,
    LIMIT_WRITE_MS = 30000,   /* a peer that takes nothing for this long is cut */
    LIMIT_REQUEST_MS = 30000, /* whole request to answer, on top of what it asks to wait: a commit
                                 takes milliseconds, and most clients give up about then */
    /* Whole requests waiting for their turn on a loop.  Past the first they are refused: who waits
     * half a second for what takes milliseconds is better served by trying again elsewhere or
     * later.  The second holds once the queue has not been empty for a while: a tenth of it, and
     * about what a person does not notice. */
    LIMIT_READY_WAIT_MS = 500,
    LIMIT_READY_TARGET_MS = 50,
    LIMIT_BACKUP_MS = 3600000, /* a copy of 100 GB at 30 MB/s */
    LIMIT_DRAIN_MS = 5000,

    /* JSON: depth and keys of one document; digits of one number. */
    LIMIT_JSON_DEPTH = 32,
    LIMIT_JSON_KEYS = 10000,
    LIMIT_JSON_NUMBER_CHARS = 512,

    /* Fields. */
    LIMIT_DIM_MIN = 2,
    LIMIT_DIM_MAX = 4096,
    LIMIT_ID_CHARS = 255,
    LIMIT_NAME_CHARS = 255,
    LIMIT_SUMMARY_CHARS = 8192,
    LIMIT_SNIPPET_CHARS = 65536,
    LIMIT_SNIPPETS = 64,
    LIMIT_TAG_CHARS = 128, /* a tool hint, capability, tool or skill */
    LIMIT_TAGS = 64,
    LIMIT_METADATA_BYTES = 65536,
    LIMIT_CONTENT_BYTES = 262144,
    LIMIT_TEXT_CHARS = 65536, /* `text` in place of an embedding */
    LIMIT_TTL_SEC = 3600,
    LIMIT_HOPS = 10,
    LIMIT_TOP_K = 50,
    LIMIT_SEARCH_TOP_K = 100,
    LIMIT_LIST = 1000,   /* rows of one listing */
    LIMIT_VERSIONS = 64, /* kept of what one memory said before: a guess */
    /* Memories stored at once: what fits a body of 8 MB with vectors of 1536 numbers as JSON, and a
     * piece of writing after which others have their turn. */
    LIMIT_BATCH = 256,
    LIMIT_IMPORT_LINES = 1024, /* of one import: small memories, in the same 8 MB */
    /* What of a memory's metadata filters see, which costs memory of the node: names and values
     * (guess: ten times what is common), bytes of a dotted path and of a text; a longer text is
     * known by its beginning. */
    LIMIT_METADATA_FACTS = 128,
    LIMIT_METADATA_PATH_BYTES = 255,
    LIMIT_METADATA_VALUE_BYTES = 255,
    /* One filter of memories.  A range may look at every memory of the tenant (1 ns each). */
    LIMIT_FILTER_DEPTH = 8, /* $and, $or and $not inside each other */
    LIMIT_FILTER_CONDITIONS = 32,
    LIMIT_FILTER_VALUES = 256, /* in all lists of $in and $nin */
    LIMIT_DUPLICATES = 16,     /* listed of one memory: a guess */
    LIMIT_KEY_AGENTS = 64,
    LIMIT_IDEMPOTENCY_CHARS = 255,

    /* Routing. */
    LIMIT_CANDIDATES = 32, /* kept per decision, with the parts of their scores */
    LIMIT_RECENT_TASKS = 32,
    LIMIT_RESPONSES = 8, /* of one agent to one nutrient; they stay in memory while it lives */
    LIMIT_FANOUT = 64,   /* deliveries of one nutrient over all hops */

    /* Memory of the node. */
    LIMIT_READY_REQUESTS = 4096, /* of one loop; half a second at 8,000 a second */
    LIMIT_READY_BYTES =
        67108864, /* their bodies: a thousand of 37 KB, each in its block of 64 KB */
    LIMIT_INBOX_BYTES =
        67108864, /* queued nutrients per tenant; the oldest is dropped and counted beyond */
    /* Memories of one tenant that wait for their links: a minute of 10,000 stores a second.  A
     * search scans them by one bit a dimension, 115 MB of 1536. */
    LIMIT_UNLINKED = 600000,
    LIMIT_LIVE_NUTRIENTS = 1000000,
    LIMIT_IDEMPOTENCY_ENTRIES = 4000000, /* 64 bytes each; the oldest leaves first and is counted */
    LIMIT_GROUP = 128,         /* commands per commit: 256 in flight raised p99 from 5 to 64 ms */
    LIMIT_WRITER_QUEUE = 4096, /* beyond it new writes are shed with 503 */
};

#endif
