/* SPDX-License-Identifier: MIT
 *
 * When memory runs out or the sealer fails, at any point: the answer says so and the state is what
 * it was, or all of what was asked. */
#include "contract.h"

#include <stdio.h>

#include "base/mem.h"
#include "support/fault.h"

enum { BATCH = 6 };

/* A batch of everything: inserts with indexes and sealed content, a replacement, deletions. */
struct script {
    struct record_agent agent;
    struct record_trace trace;
    struct record_edge edge;
    struct record_nutrient nutrient, bound;
    struct mutation batch[BATCH];
};

static void script_init(struct script *s, int64_t round)
{
    static char ids[2][32];
    snprintf(ids[0], sizeof ids[0], "agent-%lld", (long long)round);
    snprintf(ids[1], sizeof ids[1], "trace-%lld", (long long)round);
    s->agent = (struct record_agent){.no = round,
                                     .tenant_no = 1,
                                     .id = bytes_cstr(ids[0]),
                                     .name = BYTES_LIT("somebody"),
                                     .profile = bytes_of(s, 64)};
    s->trace = (struct record_trace){.no = round, .tenant_no = 1, .id = bytes_cstr(ids[1])};
    s->edge = (struct record_edge){.src_no = 1, .dst_no = 2, .outcomes = round};
    s->nutrient = (struct record_nutrient){
        .no = round, .tenant_no = 1, .summary = BYTES_LIT("what is known of the matter")};
    s->bound = (struct record_nutrient){.no = round - 3};
    const struct mutation batch[BATCH] = {
        {.op = MUT_INSERT, .kind = RECORD_AGENT, .record = &s->agent},
        {.op = MUT_INSERT, .kind = RECORD_TRACE, .record = &s->trace},
        {.op = MUT_PUT, .kind = RECORD_EDGE, .record = &s->edge},
        {.op = MUT_INSERT, .kind = RECORD_NUTRIENT, .record = &s->nutrient},
        {.op = MUT_DELETE_BELOW, .kind = RECORD_NUTRIENT, .record = &s->bound, .limit = 9},
        {.op = MUT_DELETE, .kind = RECORD_AGENT, .record = &s->agent}};
    memcpy(s->batch, batch, sizeof batch);
    if (round % 2)
        s->batch[BATCH - 1] = s->batch[2];
}

static enum qmn_code run(struct fixture *f, struct script *s)
{
    size_t failed;
    enum qmn_code code = f->store->ops->commit(f->store, s->batch, BATCH, &failed, &f->err);
    return code;
}

static void commit_under_faults(struct fixture *f, void (*arm)(unsigned n))
{
    struct script s;
    unsigned n = 1, refused = 0;
    f->config.sync = STORE_SYNC_NORMAL; /* hundreds of commits, and no power cut */
    open_fresh(f);
    int64_t round = 10;
    for (bool hit = true; hit; n++, round++) {
        script_init(&s, round);
        uint64_t before = digest(f);
        arm(n);
        enum qmn_code code = run(f, &s);
        hit = fault_disarm();
        if (code == QMN_OK)
            continue; /* SQLite can do without some of its caches */
        assert_int_equal(code, QMN_E_NOMEM);
        assert_true(digest(f) == before);
        must(run(f, &s)); /* and the store is as good as ever */
        refused++;
    }
    assert_true(refused > 5);
}

static void a_commit_survives_each_allocation_failing_once(void **state)
{
    commit_under_faults(*state, fault_arm);
}

static void a_commit_survives_memory_running_out_for_good(void **state)
{
    commit_under_faults(*state, fault_arm_from);
}

static void a_reopened_store_survives_them_too(void **state)
{
    struct fixture *f = *state;
    if (!f->backend->keeps)
        return;
    struct script s;
    unsigned refused = 0;
    script_init(&s, 1);
    must(run(f, &s));
    uint64_t before = digest(f);
    bool hit = true;
    for (unsigned n = 1; hit; n++) {
        store_close(f->store);
        f->store = NULL;
        fault_arm(n);
        enum qmn_code code = f->backend->open(&f->config, &f->store, &f->err);
        hit = fault_disarm();
        if (code != QMN_OK) {
            assert_int_equal(code, QMN_E_NOMEM);
            assert_null(f->store);
            refused++;
            reopen(f);
        }
        assert_true(digest(f) == before);
    }
    assert_true(refused > 5);
}

struct probe {
    size_t rows;
    enum qmn_code code;
};

static enum qmn_code count_one(void *ctx, const void *record QMN_UNUSED, struct err *err QMN_UNUSED)
{
    ++*(size_t *)ctx;
    return QMN_OK;
}

static enum qmn_code ignore_change(void *ctx QMN_UNUSED, int64_t cursor QMN_UNUSED,
                                   const struct change *change QMN_UNUSED,
                                   struct err *err QMN_UNUSED)
{
    return QMN_OK;
}

static enum qmn_code read_all(struct fixture *f, struct arena *arena)
{
    struct record_agent agent;
    struct record_trace trace;
    size_t rows = 0;
    int64_t cursor, no;
    struct record_trace probe = {.id = BYTES_LIT("trace-1")};
    struct store *s = f->store;
    TRY(s->ops->get(s, RECORD_AGENT, &(struct record_agent){.no = 1}, arena, &agent, &f->err));
    TRY(s->ops->find(s, RECORD_TRACE, 2, &probe, arena, &trace, &f->err));
    TRY(s->ops->scan(s, RECORD_NUTRIENT, NULL, count_one, &rows, &f->err));
    TRY(s->ops->max_no(s, RECORD_TRACE, &no, &f->err));
    TRY(s->ops->changes_since(s, 0, 99, ignore_change, NULL, &cursor, &f->err));
    return rows == 1 && no == 1 ? QMN_OK : QMN_E_INTERNAL;
}

static void reads_survive_each_allocation_failing_once(void **state)
{
    struct fixture *f = *state;
    struct script s;
    script_init(&s, 1);
    must(run(f, &s));
    unsigned refused = 0;
    bool hit = true;
    for (unsigned n = 1; hit; n++) {
        struct arena arena;
        arena_init(&arena, 0);
        if (f->backend->keeps)
            reopen(f); /* with cold connections and statements */
        fault_arm(n);
        enum qmn_code code = read_all(f, &arena);
        hit = fault_disarm();
        assert_true(code == QMN_OK || code == QMN_E_NOMEM);
        refused += code == QMN_E_NOMEM;
        arena_reset(&arena);
        must(read_all(f, &arena));
        arena_release(&arena);
    }
    assert_true(refused > 0);
}

struct fickle {
    unsigned calls, fail_at;
    enum qmn_code code;
};

static enum qmn_code fickle_seal(void *ctx, int64_t tenant_no, struct bytes context,
                                 struct bytes plain, struct arena *arena, struct bytes *ret_sealed,
                                 struct err *err)
{
    struct fickle *s = ctx;
    if (++s->calls == s->fail_at)
        return err_set(err, s->code, "the key provider is away");
    return sealer_identity.seal(NULL, tenant_no, context, plain, arena, ret_sealed, err);
}

static enum qmn_code fickle_open(void *ctx, int64_t tenant_no, struct bytes context,
                                 struct bytes sealed, struct arena *arena, struct bytes *ret_plain,
                                 struct err *err)
{
    struct fickle *s = ctx;
    if (++s->calls == s->fail_at)
        return err_set(err, s->code, "the key provider is away");
    return sealer_identity.open(NULL, tenant_no, context, sealed, arena, ret_plain, err);
}

static void a_sealer_that_fails_fails_the_batch_with_its_code(void **state)
{
    struct fixture *f = *state;
    struct fickle fickle = {.code = QMN_E_UNAVAILABLE};
    f->config.sealer = (struct sealer){&fickle, 4, fickle_seal, fickle_open};
    open_fresh(f);
    for (unsigned n = 1; n <= 3; n++) {
        struct script s;
        script_init(&s, n);
        uint64_t before = digest(f);
        fickle = (struct fickle){.fail_at = n, .code = QMN_E_INTERNAL};
        assert_int_equal(run(f, &s), QMN_E_INTERNAL);
        fickle.fail_at = 0;
        assert_true(digest(f) == before);
        must(run(f, &s));
    }
}

static void a_sealer_that_cannot_open_fails_the_read_with_its_code(void **state)
{
    struct fixture *f = *state;
    struct fickle fickle = {.fail_at = 0};
    f->config.sealer = (struct sealer){&fickle, 4, fickle_seal, fickle_open};
    open_fresh(f);
    struct script s;
    script_init(&s, 1);
    must(run(f, &s));
    struct record_agent got;
    fickle = (struct fickle){.fail_at = 1, .code = QMN_E_UNAVAILABLE};
    assert_int_equal(get(f, RECORD_AGENT, &s.agent, &got), QMN_E_UNAVAILABLE);
    must(get(f, RECORD_AGENT, &s.agent, &got));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_commit_survives_each_allocation_failing_once),
    cmocka_unit_test(a_commit_survives_memory_running_out_for_good),
    cmocka_unit_test(a_reopened_store_survives_them_too),
    cmocka_unit_test(reads_survive_each_allocation_failing_once),
    cmocka_unit_test(a_sealer_that_fails_fails_the_batch_with_its_code),
    cmocka_unit_test(a_sealer_that_cannot_open_fails_the_read_with_its_code),
};

CONTRACT_MAIN("store contract: faults", tests)
