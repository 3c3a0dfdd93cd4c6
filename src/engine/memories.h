/* SPDX-License-Identifier: MIT
 *
 * Hyphal memory: store, get, list, delete, search. */
#ifndef QMN_ENGINE_MEMORIES_H
#define QMN_ENGINE_MEMORIES_H

#include "base/id.h"
#include "engine/engine.h"
#include "route/rerank.h"
#include "route/quality.h"

struct memory_in {
    struct bytes agent_id, kind, content, metadata, task_id, trace_id;
    struct vector_in embedding;
    double quality; /* [0, 1] */
    uint32_t sensitivity;
    double ttl_hours;        /* 0: for ever */
    struct bytes supersedes; /* id of the memory whose place it takes; empty: none */
};
/* What is to change.  ptr NULL: nothing. */
struct memory_patch {
    struct bytes id;
    struct bytes kind, content, metadata;
    struct vector_in embedding; /* neither values nor text: it stays */
    double quality;       /* [0, 1]; what outcomes said is forgotten with it; negative: stays */
    uint32_t sensitivity; /* 0: stays */
    double ttl_hours;     /* from now on; 0: stays; negative: for ever */
};
/* A word of a query that a memory has, and what it adds to the memory's score by words. */
struct memory_term {
    struct bytes word; /* as it is looked up: small letters, singular */
    float score;
};
/* Why a search found a memory. */
struct memory_match {
    bool compared;        /* with a vector; false: there was none */
    float cosine;         /* ... */
    uint32_t vector_rank; /* from 1, among the candidates by vector; 0: it is none of them */
    float words_score;    /* BM25; 0: it has no word of the query, or none was asked for */
    uint32_t words_rank;  /* from 1, among the candidates by words; 0: it is none of them */
    float relevance;      /* the cosine, the score by words, or both ranks fused ... */
    struct rerank_factors factors;
    float score;                     /* ... and that with the factors: results are ordered by it */
    const struct memory_term *terms; /* if it is to be explained; the heaviest first */
    size_t term_count;
};
struct memory_out {
    struct bytes id, agent_id, kind, content, metadata, task_id, trace_id;
    double quality; /* as outcomes have moved it; of a version that has ended, as it was given */
    uint32_t uses;  /* outcomes it had a share in */
    uint32_t sensitivity;
    int64_t created_ms, expires_ms;
    int64_t version, updated_ms;      /* updated: when this version began ... */
    int64_t until_ms;                 /* ... and when it ended; 0: it is the one there is */
    bool merged;                      /* store: it was there already */
    float similarity;                 /* search: the cosine, 0 if no vector was compared; ... */
    const struct memory_match *match; /* ... NULL: not of a search */
};
struct memories_out {
    const struct memory_out *items;
    size_t count;
    bool more;           /* of a page: another one follows ... */
    struct id last;      /* ... behind this id */
    uint64_t candidates; /* permitted rows that were compared */
    uint32_t mode;       /* of a search: enum search_mode */
    bool exact;          /* ... every permitted memory was looked at */
};
struct memory_search {
    struct vector_in vector; /* neither numbers nor text: none */
    struct bytes query;      /* words; ptr NULL: the vector's text, if it has one */
    uint32_t mode;           /* enum search_mode; 0: by what came */
    uint32_t top_k;          /* 1 .. LIMIT_SEARCH_TOP_K */
    bool exact;              /* look at every vector, whatever it takes */
    bool explain;            /* matches have their terms */
    struct rerank ranking;
};
/* All that is set must hold. */
struct memory_query {
    struct bytes agent_id, kind; /* empty: any */
    int64_t from_ms, to_ms;      /* created in [from, to); 0: no bound */
    int64_t as_of_ms;            /* 0: now */
    bool oldest_first;
    bool has_after; /* what comes behind this id, in the order of the listing */
    struct id after;
};

/* ---- filters ----
 *
 * A tree of conditions, in the memory of whoever makes it.  docs/memory.md says what they mean. */

enum filter_op {
    FILTER_AND = 1, /* of no parts: everything */
    FILTER_OR,      /* of no parts: nothing */
    FILTER_NOT,     /* of its one part */
    FILTER_EXISTS,
    FILTER_IN, /* it is one of the values; null is also what is not there */
    FILTER_ABOVE,
    FILTER_FROM,
    FILTER_BELOW,
    FILTER_UPTO, /* these four: than the one value */
};
enum filter_field {
    FILTER_KIND = 1,
    FILTER_AGENT,
    FILTER_TASK,
    FILTER_TRACE,
    FILTER_METADATA,
    FILTER_QUALITY,
    FILTER_SENSITIVITY,
    FILTER_CREATED,
    FILTER_UPDATED,
    FILTER_EXPIRES,
};
enum filter_type {
    FILTER_NULL = 1,
    FILTER_FALSE,
    FILTER_TRUE,
    FILTER_NUMBER, /* of quality and metadata */
    FILTER_TEXT,   /* of kind, agent, task, trace, metadata; empty only of metadata */
    FILTER_WHOLE,  /* a time (Unix ms) or a label */
};
struct filter_value {
    enum filter_type type;
    struct bytes text;
    double number;
    int64_t whole;
};
enum { FILTER_TREE_DEPTH = 32 };
struct memory_filter {
    enum filter_op op;
    const struct memory_filter *parts, *next; /* AND, OR, NOT: the first; the one behind it */
    enum filter_field field;                  /* of a condition */
    struct bytes path;                        /* of metadata: "metadata.a.b" */
    const struct filter_value *values;        /* IN: [count]; ranges: 1 */
    size_t count;
};

void engine_store_memory(struct engine *e, struct call *c, const struct memory_in *in,
                         struct memory_out *out);
/* One transaction: all of them or, at the first that is refused, none; the error's field says
 * which. count: 1 .. LIMIT_BATCH; out: [count]. */
void engine_store_memories(struct engine *e, struct call *c, const struct memory_in *in,
                           uint32_t count, struct memory_out *out);
/* as_of_ms: as it was then; 0: now. */
void engine_get_memory(struct engine *e, struct call *c, struct bytes id, int64_t as_of_ms,
                       struct memory_out *out);
/* All it has said, the newest first; the id may be one it had. */
void engine_memory_history(struct engine *e, struct call *c, struct bytes id,
                           struct memories_out *out);
/* What it says (kind, content, metadata, vector) becomes a new version if it changes; quality,
 * label and expiry hold for all versions and make none. */
void engine_update_memory(struct engine *e, struct call *c, const struct memory_patch *in,
                          struct memory_out *out);
void engine_delete_memory(struct engine *e, struct call *c, struct bytes id);
/* Newest first. */
void engine_agent_memories(struct engine *e, struct call *c, struct bytes agent_id,
                           struct bytes kind, uint32_t limit, uint32_t offset,
                           struct memories_out *out);
/* A page in order of ids, which is that of making, newest first.  limit: 1 .. LIMIT_LIST.  With
 * as_of a page may hold fewer though more follow. */
void engine_list_memories(struct engine *e, struct call *c, const struct memory_query *q,
                          uint32_t limit, struct memories_out *out);
/* ---- near-duplicates ---- */

struct duplicates_query {
    struct bytes agent_id, kind; /* of both; empty: any */
    double threshold;            /* cosine, [-1, 1] */
    bool has_after;              /* what comes behind this id, newest first */
    struct id after;
};
struct duplicate {
    struct bytes id, agent_id, kind;
    double quality, similarity; /* the cosine of the float vectors; 1: they are equal */
    int64_t created_ms;
};
struct duplicate_group {
    struct duplicate memory;
    const struct duplicate *older; /* as near as asked, nearest first */
    size_t count;                  /* 1 .. LIMIT_DUPLICATES */
    bool more;                     /* there are more than are listed */
};
struct duplicates_out {
    struct duplicate_group *groups; /* newest first */
    size_t count;
    uint32_t examined; /* memories that were looked at */
    bool more;         /* others follow ... */
    struct id last;    /* ... behind this id */
};
/* Of the caller's memories, newest first, those with older ones near them.  A page examines some
 * dozens and stops at `limit` groups, so it may be empty though another one follows. */
void engine_memory_duplicates(struct engine *e, struct call *c, const struct duplicates_query *q,
                              uint32_t limit, struct duplicates_out *out);

/* ---- export and import ---- */

enum memory_line_state { LINE_WAITING, LINE_STORED, LINE_KNOWN, LINE_EXPIRED, LINE_FAILED };

/* A memory, or a version of the history of one. */
struct memory_line {
    struct memory_out m;   /* of a version, until_ms is set; label and expiry are the memory's */
    struct bytes vector;   /* float32, unit length; empty: of a version, that of the next */
    struct bytes space;    /* of the vector; of a memory */
    int64_t begun_ms;      /* of a memory */
    struct memory_credit { /* likewise: what outcomes said; uses stand in m */
        double given;      /* quality as its author gave it, which is what is stored */
        struct quality_evidence evidence;
    } credit;
    struct bytes version_of; /* id of the memory whose version it is; empty: it is one */
    bool superseded;         /* a version: the next one has another id */
    /* import */
    enum memory_line_state state; /* in: LINE_FAILED are left alone */
    struct err err;               /* of LINE_FAILED */
};
/* A memory and, behind it, its history, the oldest version first. */
struct memory_chunk {
    const struct memory_line *lines;
    size_t count;
};
struct memory_lines {
    struct memory_chunk *chunks;
    size_t count;
};
/* The next memories in the order of the query, at most `limit` or some 4 MB; none: that was all. */
void engine_export_memories(struct engine *e, struct call *c, const struct memory_query *q,
                            uint32_t limit, bool history, struct memory_lines *out);
/* Each line is stored, known already, expired or failed, with its reason; those that are stored are
 * one transaction.  count: up to LIMIT_IMPORT_LINES. */
void engine_import_memories(struct engine *e, struct call *c, struct memory_line *lines,
                            uint32_t count);

/* By vector, by words, or by both ranks fused (route/fuse.h).  Without a mode: both where there are
 * words and a vector, or words that can be made one; else by what there is.  Equal scores are
 * ordered by age, the oldest first.  `in` and `filter` are borrowed until the call is done.
 * QMN_E_INVALID: the mode lacks its input. */
void engine_search_memory(struct engine *e, struct call *c, const struct memory_search *in,
                          const struct memory_filter *filter, struct memories_out *out);
/* Deletes what has expired now instead of in the background. */
void engine_cleanup_memory(struct engine *e, struct call *c, uint64_t *ret_deleted);

#endif
