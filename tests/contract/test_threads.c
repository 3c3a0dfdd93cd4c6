/* SPDX-License-Identifier: MIT
 *
 * Readers beside the writer: every read sees whole batches only. */
#include "contract.h"

#include <pthread.h>
#include <stdatomic.h>

enum { ACCOUNTS = 32, TOTAL = ACCOUNTS * 100, TRANSFERS = 400, READERS = 2 };

struct reader {
    struct fixture *f;
    pthread_t thread;
    _Atomic bool *stop;
    size_t scans;
    bool ok;
};

struct total {
    int64_t sum;
    size_t rows;
};

static enum qmn_code add_up(void *ctx, const void *record, struct err *err QMN_UNUSED)
{
    struct total *t = ctx;
    t->sum += ((const struct record_edge *)record)->outcomes;
    t->rows++;
    return QMN_OK;
}

/* cmocka's assertions belong to the main thread: this one reports by `ok`. */
static void *read_on(void *arg)
{
    struct reader *r = arg;
    struct store *s = r->f->store;
    struct arena arena;
    struct err err;
    arena_init(&arena, 0);
    r->ok = true;
    do {
        struct total t = {0};
        struct record_edge got;
        struct record_trace trace;
        int64_t no;
        r->ok = r->ok && s->ops->scan(s, RECORD_EDGE, NULL, add_up, &t, &err) == QMN_OK;
        r->ok = r->ok && t.sum == TOTAL && t.rows == ACCOUNTS;
        r->ok = r->ok && s->ops->get(s, RECORD_EDGE, &(struct record_edge){.src_no = 3}, &arena,
                                     &got, &err) == QMN_OK;
        /* the highest trace is there under its unique id, in the same or a later moment */
        r->ok = r->ok && s->ops->max_no(s, RECORD_TRACE, &no, &err) == QMN_OK;
        struct record_trace probe = {.id = bytes_of(&no, sizeof no)};
        r->ok = r->ok && (no == 0 ||
                          s->ops->find(s, RECORD_TRACE, 2, &probe, &arena, &trace, &err) == QMN_OK);
        arena_reset(&arena);
        r->scans++;
    } while (r->ok && !atomic_load(r->stop));
    arena_release(&arena);
    return NULL;
}

static void transfer(struct fixture *f, int64_t *balance, int64_t no)
{
    uint32_t from = rng_below(&f->rng, ACCOUNTS), to = (from + 1) % ACCOUNTS;
    int64_t amount = (int64_t)rng_below(&f->rng, 10);
    balance[from] -= amount;
    balance[to] += amount;
    struct record_edge a = {.src_no = from, .outcomes = balance[from]};
    struct record_edge b = {.src_no = to, .outcomes = balance[to]};
    struct record_trace t = {.no = no, .id = bytes_of(&no, sizeof no)};
    struct mutation batch[] = {{.op = MUT_PUT, .kind = RECORD_EDGE, .record = &a},
                               {.op = MUT_INSERT, .kind = RECORD_TRACE, .record = &t},
                               {.op = MUT_PUT, .kind = RECORD_EDGE, .record = &b}};
    size_t failed;
    must(f->store->ops->commit(f->store, batch, 3, &failed, &f->err));
    must(f->store->ops->maintain(f->store, &f->err));
}

static void readers_see_whole_batches_while_the_writer_commits(void **state)
{
    struct fixture *f = *state;
    int64_t balance[ACCOUNTS];
    struct reader readers[READERS];
    _Atomic bool stop = false;
    for (int64_t i = 0; i < ACCOUNTS; i++) {
        balance[i] = TOTAL / ACCOUNTS;
        must(commit_one(f, MUT_PUT, RECORD_EDGE,
                        &(struct record_edge){.src_no = i, .outcomes = balance[i]}));
    }
    for (int i = 0; i < READERS; i++) {
        readers[i] = (struct reader){.f = f, .stop = &stop};
        assert_int_equal(pthread_create(&readers[i].thread, NULL, read_on, &readers[i]), 0);
    }
    for (int64_t no = 1; no <= TRANSFERS; no++)
        transfer(f, balance, no);
    atomic_store(&stop, true);
    for (int i = 0; i < READERS; i++) {
        pthread_join(readers[i].thread, NULL);
        assert_true(readers[i].ok);
        assert_true(readers[i].scans > 0);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(readers_see_whole_batches_while_the_writer_commits),
};

CONTRACT_MAIN("store contract: threads", tests)
