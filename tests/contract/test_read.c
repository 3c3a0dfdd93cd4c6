/* SPDX-License-Identifier: MIT
 *
 * Reads: whole records, key order, one moment. */
#include "contract.h"

enum { ROUNDS = 40 };

/* Random keys may meet; a record that conflicts is simply not stored. */
static bool insert_random(struct fixture *f, enum record_kind kind, union record_any *ret)
{
    fill_random(f, kind, ret);
    enum qmn_code code = commit_one(f, MUT_INSERT, kind, ret);
    assert_true(code == QMN_OK || code == QMN_E_CONFLICT);
    return code == QMN_OK;
}

static void records_of_every_kind_come_back_as_they_went(void **state)
{
    struct fixture *f = *state;
    for (int k = RECORD_META; k < RECORD_KIND_COUNT; k++) {
        enum record_kind kind = (enum record_kind)k;
        union record_any stored[ROUNDS], got;
        bool there[ROUNDS];
        size_t count = 0;
        for (int i = 0; i < ROUNDS; i++)
            count += there[i] = insert_random(f, kind, &stored[i]);
        assert_true(count > ROUNDS / 3);
        if (f->backend->keeps)
            reopen(f);
        for (int i = 0; i < ROUNDS; i++) {
            if (!there[i])
                continue;
            must(get(f, kind, &stored[i], &got));
            assert_true(records_equal(kind, &stored[i], &got));
        }
        assert_int_equal(count_rows(f, kind), count);
        arena_reset(&f->arena);
    }
}

struct order {
    enum record_kind kind;
    struct fixture *f;
    union record_any last;
    size_t seen;
};

/* Keeps the key of the row just seen; its text must outlive the call. */
static enum qmn_code check_order(void *ctx, const void *record, struct err *err QMN_UNUSED)
{
    struct order *o = ctx;
    const struct record_type *t = record_type(o->kind);
    assert_true(!o->seen || record_key_compare(o->kind, &o->last, record) < 0);
    memcpy(&o->last, record, t->size);
    for (size_t i = 0; i < t->key_count; i++)
        if (t->fields[i].type != FIELD_INT)
            record_set_bytes(&o->last, &t->fields[i],
                             arena_bytes(&o->f->arena, record_bytes(record, &t->fields[i])));
    o->seen++;
    return QMN_OK;
}

static void scans_run_in_key_order_and_from_any_key(void **state)
{
    struct fixture *f = *state;
    for (int k = RECORD_META; k < RECORD_KIND_COUNT; k++) {
        struct order o = {.kind = (enum record_kind)k, .f = f};
        union record_any some, one;
        size_t stored = 0, above = 0;
        memset(&some, 0, sizeof some);
        union record_any all[ROUNDS];
        for (int i = 0; i < ROUNDS; i++)
            if (insert_random(f, o.kind, &one))
                all[stored++] = one;
        must(f->store->ops->scan(f->store, o.kind, NULL, check_order, &o, &f->err));
        assert_int_equal(o.seen, stored);

        some = all[stored / 2];
        for (size_t i = 0; i < stored; i++)
            above += record_key_compare(o.kind, &all[i], &some) > 0;
        o.seen = 0;
        must(f->store->ops->scan(f->store, o.kind, &some, check_order, &o, &f->err));
        assert_int_equal(o.seen, above);
    }
}

static enum qmn_code stop_at_three(void *ctx, const void *record QMN_UNUSED, struct err *err)
{
    return ++*(size_t *)ctx == 3 ? err_set(err, QMN_E_DEADLINE, "enough") : QMN_OK;
}

static void a_scan_ends_with_the_code_of_its_callback(void **state)
{
    struct fixture *f = *state;
    for (int64_t i = 1; i <= 9; i++)
        must(commit_one(f, MUT_PUT, RECORD_EDGE, &(struct record_edge){.src_no = i}));
    size_t seen = 0;
    assert_int_equal(
        f->store->ops->scan(f->store, RECORD_EDGE, NULL, stop_at_three, &seen, &f->err),
        QMN_E_DEADLINE);
    assert_int_equal(seen, 3);
    assert_int_equal(count_rows(f, RECORD_EDGE), 9);
}

struct meddler {
    struct fixture *f;
    size_t seen;
};

/* Changes the rows ahead of the scan, behind it, and adds one, then asks for a checkpoint. */
static enum qmn_code meddle(void *ctx, const void *record, struct err *err QMN_UNUSED)
{
    struct meddler *m = ctx;
    const struct record_edge *e = record;
    assert_true(e->weight == 0.5);
    if (m->seen++ == 3) {
        for (int64_t i = 1; i <= 9; i++)
            must(commit_one(m->f, MUT_PUT, RECORD_EDGE,
                            &(struct record_edge){.src_no = i, .weight = 1.0}));
        must(commit_one(m->f, MUT_DELETE, RECORD_EDGE, &(struct record_edge){.src_no = 7}));
        must(commit_one(m->f, MUT_PUT, RECORD_EDGE, &(struct record_edge){.src_no = 10}));
        must(m->f->store->ops->maintain(m->f->store, &m->f->err));
        struct record_edge got;
        must(get(m->f, RECORD_EDGE, &(struct record_edge){.src_no = 1}, &got));
        assert_true(got.weight == 1.0);
    }
    return QMN_OK;
}

static void a_scan_sees_one_moment_while_commits_go_on(void **state)
{
    struct fixture *f = *state;
    struct meddler m = {.f = f};
    for (int64_t i = 1; i <= 9; i++)
        must(
            commit_one(f, MUT_PUT, RECORD_EDGE, &(struct record_edge){.src_no = i, .weight = 0.5}));
    must(f->store->ops->scan(f->store, RECORD_EDGE, NULL, meddle, &m, &f->err));
    assert_int_equal(m.seen, 9);
    assert_int_equal(count_rows(f, RECORD_EDGE), 9); /* one left, one came */
}

static void an_absent_key_is_not_found(void **state)
{
    struct fixture *f = *state;
    union record_any probe, got;
    memset(&probe, 0, sizeof probe);
    for (int k = RECORD_META; k < RECORD_KIND_COUNT; k++)
        assert_int_equal(get(f, (enum record_kind)k, &probe, &got), QMN_E_NOT_FOUND);
}

static void find_goes_by_unique_fields(void **state)
{
    struct fixture *f = *state;
    struct record_trace got;
    const struct record_trace stored[] = {
        {.no = 1, .tenant_no = 1, .id = BYTES_LIT("id-1"), .client_key = BYTES_LIT("mine")},
        {.no = 2, .tenant_no = 2, .id = BYTES_LIT("id-2"), .client_key = BYTES_LIT("mine")},
        {.no = 3, .tenant_no = 2, .id = BYTES_LIT("id-3"), .decision = BYTES_LIT("why")},
    };
    for (size_t i = 0; i < ARRAY_LEN(stored); i++)
        must(commit_one(f, MUT_INSERT, RECORD_TRACE, &stored[i]));
    size_t by_id = field_index(RECORD_TRACE, "id");
    size_t by_client_id = field_index(RECORD_TRACE, "client_key");
    struct record_trace probe = {.id = BYTES_LIT("id-3")};
    must(f->store->ops->find(f->store, RECORD_TRACE, by_id, &probe, &f->arena, &got, &f->err));
    assert_true(records_equal(RECORD_TRACE, &stored[2], &got));
    probe = (struct record_trace){.tenant_no = 2, .client_key = BYTES_LIT("mine")};
    must(f->store->ops->find(f->store, RECORD_TRACE, by_client_id, &probe, &f->arena, &got,
                             &f->err));
    assert_true(records_equal(RECORD_TRACE, &stored[1], &got));
    probe.tenant_no = 3;
    assert_int_equal(
        f->store->ops->find(f->store, RECORD_TRACE, by_client_id, &probe, &f->arena, &got, &f->err),
        QMN_E_NOT_FOUND);
}

static void find_by_an_empty_or_deleted_value_finds_nothing(void **state)
{
    struct fixture *f = *state;
    struct record_trace t = {.no = 1, .tenant_no = 1, .id = BYTES_LIT("id-1")}, got;
    struct record_trace nobody = {.no = 2, .tenant_no = 1};
    size_t by_id = field_index(RECORD_TRACE, "id");
    must(commit_one(f, MUT_INSERT, RECORD_TRACE, &t));
    must(commit_one(f, MUT_INSERT, RECORD_TRACE, &nobody));
    must(commit_one(f, MUT_DELETE, RECORD_TRACE, &t));
    assert_int_equal(
        f->store->ops->find(f->store, RECORD_TRACE, by_id, &t, &f->arena, &got, &f->err),
        QMN_E_NOT_FOUND);
    assert_int_equal(
        f->store->ops->find(f->store, RECORD_TRACE, by_id, &nobody, &f->arena, &got, &f->err),
        QMN_E_NOT_FOUND);
    assert_int_equal(f->store->ops->find(f->store, RECORD_TRACE, field_index(RECORD_TRACE, "kind"),
                                         &t, &f->arena, &got, &f->err),
                     QMN_E_INTERNAL);
}

static void the_highest_number_is_known(void **state)
{
    struct fixture *f = *state;
    int64_t no = -1;
    must(f->store->ops->max_no(f->store, RECORD_NUTRIENT, &no, &f->err));
    assert_int_equal(no, 0);
    static const int64_t nos[] = {5, 900, 1795000000000000, 17};
    for (size_t i = 0; i < ARRAY_LEN(nos); i++)
        must(commit_one(f, MUT_PUT, RECORD_NUTRIENT, &(struct record_nutrient){.no = nos[i]}));
    must(f->store->ops->max_no(f->store, RECORD_NUTRIENT, &no, &f->err));
    assert_true(no == 1795000000000000);
    must(commit_one(f, MUT_PUT, RECORD_AUDIT, &(struct record_audit){.tenant_no = 3, .seq = 9}));
    must(f->store->ops->max_no(f->store, RECORD_AUDIT, &no, &f->err));
    assert_int_equal(no, 3);
    assert_int_equal(f->store->ops->max_no(f->store, RECORD_META, &no, &f->err), QMN_E_INTERNAL);
}

static void a_row_of_many_megabytes_comes_back(void **state)
{
    struct fixture *f = *state;
    enum { LARGE = 9 << 20 };
    char *content = arena_alloc(&f->arena, LARGE);
    assert_non_null(content);
    for (size_t i = 0; i < LARGE; i++)
        content[i] = (char)(i * 31 >> 3);
    struct record_memory m = {.no = 1, .tenant_no = 1, .content = bytes_of(content, LARGE)}, got;
    must(commit_one(f, MUT_INSERT, RECORD_MEMORY, &m));
    must(get(f, RECORD_MEMORY, &m, &got));
    assert_true(records_equal(RECORD_MEMORY, &m, &got));
}

static void a_field_beyond_the_largest_is_refused(void **state)
{
    struct fixture *f = *state;
    struct record_memory m = {.no = 1, .content = bytes_of("", STORE_FIELD_MAX + 1)};
    assert_int_equal(commit_one(f, MUT_INSERT, RECORD_MEMORY, &m), QMN_E_TOO_LARGE);
    assert_int_equal(count_rows(f, RECORD_MEMORY), 0);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(records_of_every_kind_come_back_as_they_went),
    cmocka_unit_test(scans_run_in_key_order_and_from_any_key),
    cmocka_unit_test(a_scan_ends_with_the_code_of_its_callback),
    cmocka_unit_test(a_scan_sees_one_moment_while_commits_go_on),
    cmocka_unit_test(an_absent_key_is_not_found),
    cmocka_unit_test(find_goes_by_unique_fields),
    cmocka_unit_test(find_by_an_empty_or_deleted_value_finds_nothing),
    cmocka_unit_test(the_highest_number_is_known),
    cmocka_unit_test(a_row_of_many_megabytes_comes_back),
    cmocka_unit_test(a_field_beyond_the_largest_is_refused),
};

CONTRACT_MAIN("store contract: reads", tests)
