/* SPDX-License-Identifier: MIT
 *
 * A store in front of another one, whose commits fail, wait or are counted as a test wishes.  Reads
 * pass through, watched if it likes.  Closing it leaves the other one open, so that an engine over
 * the in-memory store can be started again on what it left.
 *
 * Thread rule: a test's thread sets, the engine's writer commits. */
#ifndef QMN_TESTS_SUPPORT_FAULTY_STORE_H
#define QMN_TESTS_SUPPORT_FAULTY_STORE_H

#include "store/store.h"

struct faulty_store;

/* Takes `inner`. */
struct faulty_store *faulty_store_new(struct store *inner);
void faulty_store_free(struct faulty_store *f);
/* What the engine is given. */
struct store *faulty_store_front(struct faulty_store *f);

/* The next `times` commits fail with `code` and change nothing (-1: all from now on, 0: none). */
void faulty_store_fail(struct faulty_store *f, enum qmn_code code, int times);
/* The same for commits that hold a mutation of this kind; *ret_failed is its index. */
void faulty_store_fail_kind(struct faulty_store *f, enum record_kind kind, enum qmn_code code,
                            int times);
/* Commits that hold a mutation of `kind` wait, from now until faulty_store_let_go; hold returns at
 * once. */
void faulty_store_hold(struct faulty_store *f, enum record_kind kind);
/* Returns when such a commit waits. */
void faulty_store_await_held(struct faulty_store *f);
void faulty_store_let_go(struct faulty_store *f);
/* Calls `fn` before each get, find and scan, on the thread that reads; NULL: no more.  A read is as
 * slow as that. */
typedef void faulty_store_read_fn(void *ctx, enum record_kind kind);
void faulty_store_on_read(struct faulty_store *f, faulty_store_read_fn *fn, void *ctx);
/* Commits tried since the start, failed ones too. */
int faulty_store_commits(struct faulty_store *f);
/* Commits that deleted rows of `kind` before, and after, they inserted one. */
struct faulty_order {
    int early, late;
};
struct faulty_order faulty_store_order(struct faulty_store *f, enum record_kind kind);

#endif
