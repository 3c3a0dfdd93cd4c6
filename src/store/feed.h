/* SPDX-License-Identifier: MIT
 *
 * How much of the change feed a backend keeps.  A guess: at 200 groups a second a reader may be 80
 * seconds behind before it has to reload everything. */
#ifndef QMN_STORE_FEED_H
#define QMN_STORE_FEED_H

enum {
    FEED_KEEP = 16384,            /* batches that survive a trim */
    FEED_SLACK = FEED_KEEP / 8,   /* trimmed this many at a time */
    FEED_BATCH_BYTES = 256 << 20, /* packed keys of one batch; far above any group */
};

#endif
