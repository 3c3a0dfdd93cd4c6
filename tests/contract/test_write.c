/* SPDX-License-Identifier: MIT
 *
 * What a batch may do, and that it happens whole or not at all. */
#include "contract.h"

#include <math.h>

static struct record_agent agent(int64_t no, int64_t tenant_no, const char *id)
{
    return (struct record_agent){.no = no,
                                 .tenant_no = tenant_no,
                                 .id = bytes_cstr(id),
                                 .name = BYTES_LIT("a name"),
                                 .clearance = 2};
}

static struct record_trace trace(int64_t no, int64_t tenant_no, const char *id,
                                 const char *client_id)
{
    return (struct record_trace){.no = no,
                                 .tenant_no = tenant_no,
                                 .id = bytes_cstr(id),
                                 .client_key = bytes_cstr(client_id)};
}

static void an_inserted_row_comes_back(void **state)
{
    struct fixture *f = *state;
    struct record_agent a = agent(5, 1, "alice"), got;
    must(commit_one(f, MUT_INSERT, RECORD_AGENT, &a));
    must(get(f, RECORD_AGENT, &a, &got));
    assert_true(records_equal(RECORD_AGENT, &a, &got));
}

static void inserting_a_taken_key_conflicts_and_says_which_mutation(void **state)
{
    struct fixture *f = *state;
    struct record_agent a = agent(5, 1, "alice"), b = agent(6, 1, "bob"), c = agent(5, 1, "carol");
    must(commit_one(f, MUT_INSERT, RECORD_AGENT, &a));
    struct mutation batch[] = {{.op = MUT_INSERT, .kind = RECORD_AGENT, .record = &b},
                               {.op = MUT_INSERT, .kind = RECORD_AGENT, .record = &c}};
    size_t failed = 99;
    assert_int_equal(f->store->ops->commit(f->store, batch, 2, &failed, &f->err), QMN_E_CONFLICT);
    assert_int_equal(failed, 1);
    struct record_agent got;
    assert_int_equal(get(f, RECORD_AGENT, &b, &got), QMN_E_NOT_FOUND);
    must(get(f, RECORD_AGENT, &a, &got));
    assert_true(records_equal(RECORD_AGENT, &a, &got));
}

static void put_inserts_then_replaces(void **state)
{
    struct fixture *f = *state;
    struct record_agent a = agent(5, 1, "alice"), got;
    must(commit_one(f, MUT_PUT, RECORD_AGENT, &a));
    a.name = BYTES_LIT("another name, and a longer one than before");
    a.clearance = 4;
    must(commit_one(f, MUT_PUT, RECORD_AGENT, &a));
    must(get(f, RECORD_AGENT, &a, &got));
    assert_true(records_equal(RECORD_AGENT, &a, &got));
    assert_int_equal(count_rows(f, RECORD_AGENT), 1);

    struct record_edge e = {.src_no = 1, .dst_no = 2, .weight = 0.5}, got_edge;
    must(commit_one(f, MUT_PUT, RECORD_EDGE, &e));
    e.weight = 0.75;
    must(commit_one(f, MUT_PUT, RECORD_EDGE, &e));
    must(get(f, RECORD_EDGE, &e, &got_edge));
    assert_true(records_equal(RECORD_EDGE, &e, &got_edge));
    assert_int_equal(count_rows(f, RECORD_EDGE), 1);
}

static void a_unique_value_is_unique_over_all_tenants(void **state)
{
    struct fixture *f = *state;
    struct record_trace a = trace(1, 1, "id-1", ""), b = trace(2, 2, "id-1", "");
    must(commit_one(f, MUT_INSERT, RECORD_TRACE, &a));
    assert_int_equal(commit_one(f, MUT_INSERT, RECORD_TRACE, &b), QMN_E_CONFLICT);
    assert_int_equal(commit_one(f, MUT_PUT, RECORD_TRACE, &b), QMN_E_CONFLICT);
    assert_int_equal(count_rows(f, RECORD_TRACE), 1);
}

static void a_value_unique_in_its_tenant_may_exist_in_another(void **state)
{
    struct fixture *f = *state;
    struct record_agent a = agent(1, 1, "alice"), other = agent(2, 2, "alice"),
                        same = agent(3, 1, "alice");
    must(commit_one(f, MUT_INSERT, RECORD_AGENT, &a));
    must(commit_one(f, MUT_INSERT, RECORD_AGENT, &other));
    assert_int_equal(commit_one(f, MUT_INSERT, RECORD_AGENT, &same), QMN_E_CONFLICT);
}

static void empty_unique_values_do_not_meet(void **state)
{
    struct fixture *f = *state;
    struct record_trace a = trace(1, 1, "", ""), b = trace(2, 1, "", "");
    must(commit_one(f, MUT_INSERT, RECORD_TRACE, &a));
    must(commit_one(f, MUT_INSERT, RECORD_TRACE, &b));
    assert_int_equal(count_rows(f, RECORD_TRACE), 2);
}

static void put_never_removes_the_row_that_holds_a_unique_value(void **state)
{
    struct fixture *f = *state;
    struct record_agent a = agent(1, 1, "alice"), b = agent(2, 1, "bob"), got;
    must(commit_one(f, MUT_INSERT, RECORD_AGENT, &a));
    must(commit_one(f, MUT_INSERT, RECORD_AGENT, &b));
    b.id = BYTES_LIT("alice");
    assert_int_equal(commit_one(f, MUT_PUT, RECORD_AGENT, &b), QMN_E_CONFLICT);
    must(get(f, RECORD_AGENT, &a, &got));
    must(get(f, RECORD_AGENT, &b, &got));
    assert_bytes_equal(got.id, "bob");
}

static void a_replaced_or_deleted_row_frees_its_unique_value(void **state)
{
    struct fixture *f = *state;
    struct record_agent a = agent(1, 1, "alice"), b = agent(2, 1, "alice"), c = agent(3, 1, "bob");
    must(commit_one(f, MUT_INSERT, RECORD_AGENT, &a));
    a.id = BYTES_LIT("anna");
    must(commit_one(f, MUT_PUT, RECORD_AGENT, &a));
    must(commit_one(f, MUT_INSERT, RECORD_AGENT, &b));
    must(commit_one(f, MUT_DELETE, RECORD_AGENT, &b));
    c.id = BYTES_LIT("alice");
    must(commit_one(f, MUT_INSERT, RECORD_AGENT, &c));
}

static void deleting_what_is_absent_is_fine(void **state)
{
    struct fixture *f = *state;
    struct record_agent a = agent(1, 1, "alice"), got;
    must(commit_one(f, MUT_DELETE, RECORD_AGENT, &a));
    must(commit_one(f, MUT_INSERT, RECORD_AGENT, &a));
    must(commit_one(f, MUT_DELETE, RECORD_AGENT, &a));
    assert_int_equal(get(f, RECORD_AGENT, &a, &got), QMN_E_NOT_FOUND);
}

static void a_failure_in_the_middle_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    struct record_agent a = agent(1, 1, "alice"), b = agent(2, 1, "bob"), dup = agent(9, 1, "zoe");
    struct record_edge e = {.src_no = 1, .dst_no = 2, .weight = 0.5};
    must(commit_one(f, MUT_INSERT, RECORD_AGENT, &a));
    must(commit_one(f, MUT_INSERT, RECORD_EDGE, &e));
    uint64_t before = digest(f);
    struct record_edge moved = e;
    moved.weight = 1.5;
    struct record_agent b2 = agent(3, 1, "bob");
    struct mutation batch[] = {{.op = MUT_INSERT, .kind = RECORD_AGENT, .record = &b},
                               {.op = MUT_PUT, .kind = RECORD_EDGE, .record = &moved},
                               {.op = MUT_DELETE, .kind = RECORD_AGENT, .record = &a},
                               {.op = MUT_INSERT, .kind = RECORD_AGENT, .record = &b2},
                               {.op = MUT_INSERT, .kind = RECORD_AGENT, .record = &dup}};
    size_t failed = 99;
    assert_int_equal(f->store->ops->commit(f->store, batch, 5, &failed, &f->err), QMN_E_CONFLICT);
    assert_int_equal(failed, 3);
    assert_true(digest(f) == before);
    must(commit_one(f, MUT_INSERT, RECORD_AGENT, &b)); /* its id was not left in an index */
    assert_int_equal(count_rows(f, RECORD_AGENT), 2);
}

static void mutations_of_a_batch_see_each_other(void **state)
{
    struct fixture *f = *state;
    struct record_agent a = agent(1, 1, "alice"), b = agent(2, 1, "alice"), got;
    struct mutation batch[] = {{.op = MUT_INSERT, .kind = RECORD_AGENT, .record = &a},
                               {.op = MUT_DELETE, .kind = RECORD_AGENT, .record = &a},
                               {.op = MUT_INSERT, .kind = RECORD_AGENT, .record = &b}};
    size_t failed;
    must(f->store->ops->commit(f->store, batch, 3, &failed, &f->err));
    assert_int_equal(get(f, RECORD_AGENT, &a, &got), QMN_E_NOT_FOUND);
    must(get(f, RECORD_AGENT, &b, &got));
}

static void an_empty_batch_is_fine(void **state)
{
    struct fixture *f = *state;
    size_t failed;
    must(f->store->ops->commit(f->store, NULL, 0, &failed, &f->err));
}

static void delete_below_takes_the_lowest_up_to_its_limit(void **state)
{
    struct fixture *f = *state;
    for (int64_t no = 1; no <= 10; no++) {
        struct record_nutrient n = {.no = no * 10, .tenant_no = 1};
        must(commit_one(f, MUT_INSERT, RECORD_NUTRIENT, &n));
    }
    struct record_nutrient bound = {.no = 60}, got;
    struct mutation m = {
        .op = MUT_DELETE_BELOW, .kind = RECORD_NUTRIENT, .record = &bound, .limit = 3};
    size_t failed;
    must(f->store->ops->commit(f->store, &m, 1, &failed, &f->err));
    assert_int_equal(count_rows(f, RECORD_NUTRIENT), 7);
    assert_int_equal(get(f, RECORD_NUTRIENT, &(struct record_nutrient){.no = 30}, &got),
                     QMN_E_NOT_FOUND);
    must(get(f, RECORD_NUTRIENT, &(struct record_nutrient){.no = 40}, &got));
    m.limit = 100;
    must(f->store->ops->commit(f->store, &m, 1, &failed, &f->err));
    assert_int_equal(count_rows(f, RECORD_NUTRIENT), 5); /* 60 itself stays */
}

static void delete_below_compares_whole_keys(void **state)
{
    struct fixture *f = *state;
    for (int64_t i = 0; i < 9; i++) {
        struct record_outcome o = {.trace_no = i / 3, .rater_no = i % 3, .tenant_no = 1};
        must(commit_one(f, MUT_INSERT, RECORD_OUTCOME, &o));
    }
    struct record_outcome bound = {.trace_no = 1, .rater_no = 2}, got;
    must(commit_one(f, MUT_DELETE_BELOW, RECORD_OUTCOME, &bound));
    assert_int_equal(count_rows(f, RECORD_OUTCOME), 4);
    must(get(f, RECORD_OUTCOME, &bound, &got));
    struct record_key key = {.id = BYTES_LIT("k")};
    assert_int_equal(commit_one(f, MUT_DELETE_BELOW, RECORD_KEY, &key), QMN_E_INTERNAL);
}

static void delete_below_clears_the_unique_indexes_too(void **state)
{
    struct fixture *f = *state;
    struct record_trace a = trace(1, 1, "id-1", "mine"), again = trace(7, 1, "id-1", "mine");
    must(commit_one(f, MUT_INSERT, RECORD_TRACE, &a));
    must(commit_one(f, MUT_DELETE_BELOW, RECORD_TRACE, &(struct record_trace){.no = 2}));
    must(commit_one(f, MUT_INSERT, RECORD_TRACE, &again));
}

static void a_real_that_is_no_number_is_refused(void **state)
{
    struct fixture *f = *state;
    static const double bad[] = {NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct record_edge e = {.src_no = 1, .dst_no = 2, .weight = bad[i]};
        assert_int_equal(commit_one(f, MUT_PUT, RECORD_EDGE, &e), QMN_E_INTERNAL);
    }
    assert_int_equal(count_rows(f, RECORD_EDGE), 0);
}

static void unknown_kinds_and_mutations_are_refused(void **state)
{
    struct fixture *f = *state;
    struct record_edge e = {.src_no = 1, .dst_no = 2};
    assert_int_equal(commit_one(f, MUT_PUT, (enum record_kind)0, &e), QMN_E_INTERNAL);
    assert_int_equal(commit_one(f, MUT_PUT, RECORD_KIND_COUNT, &e), QMN_E_INTERNAL);
    assert_int_equal(commit_one(f, (enum mutation_op)0, RECORD_EDGE, &e), QMN_E_INTERNAL);
    assert_int_equal(commit_one(f, (enum mutation_op)5, RECORD_EDGE, &e), QMN_E_INTERNAL);
}

/* Random batches over few keys, against plain arrays; a third of the batches fail at the end. */
static void random_batches_agree_with_an_array(void **state)
{
    struct fixture *f = *state;
    enum { KEYS = 40, BATCHES = 400, LONGEST = 12 };
    struct {
        bool there;
        double weight;
    } now[KEYS] = {0}, next[KEYS];
    for (int b = 0; b < BATCHES; b++) {
        struct record_edge records[LONGEST];
        struct mutation batch[LONGEST];
        size_t n = 1 + rng_below(&f->rng, LONGEST), failed = 0;
        bool expect_fail = false;
        memcpy(next, now, sizeof next);
        for (size_t i = 0; i < n; i++) {
            uint32_t k = rng_below(&f->rng, KEYS);
            enum mutation_op op = (enum mutation_op)(MUT_INSERT + rng_below(&f->rng, 3));
            records[i] =
                (struct record_edge){.src_no = k / 8, .dst_no = k % 8, .weight = rng_unit(&f->rng)};
            batch[i] = (struct mutation){.op = op, .kind = RECORD_EDGE, .record = &records[i]};
            expect_fail = expect_fail || (op == MUT_INSERT && next[k].there);
            next[k].there = op != MUT_DELETE;
            next[k].weight = records[i].weight;
        }
        enum qmn_code code = f->store->ops->commit(f->store, batch, n, &failed, &f->err);
        assert_int_equal(code, expect_fail ? QMN_E_CONFLICT : QMN_OK);
        if (!expect_fail)
            memcpy(now, next, sizeof now);
        must(f->store->ops->maintain(f->store, &f->err));
    }
    size_t there = 0;
    for (int k = 0; k < KEYS; k++) {
        struct record_edge key = {.src_no = k / 8, .dst_no = k % 8}, got;
        enum qmn_code code = get(f, RECORD_EDGE, &key, &got);
        assert_int_equal(code, now[k].there ? QMN_OK : QMN_E_NOT_FOUND);
        assert_true(!now[k].there || got.weight == now[k].weight);
        there += now[k].there;
    }
    assert_int_equal(count_rows(f, RECORD_EDGE), there);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(an_inserted_row_comes_back),
    cmocka_unit_test(inserting_a_taken_key_conflicts_and_says_which_mutation),
    cmocka_unit_test(put_inserts_then_replaces),
    cmocka_unit_test(a_unique_value_is_unique_over_all_tenants),
    cmocka_unit_test(a_value_unique_in_its_tenant_may_exist_in_another),
    cmocka_unit_test(empty_unique_values_do_not_meet),
    cmocka_unit_test(put_never_removes_the_row_that_holds_a_unique_value),
    cmocka_unit_test(a_replaced_or_deleted_row_frees_its_unique_value),
    cmocka_unit_test(deleting_what_is_absent_is_fine),
    cmocka_unit_test(a_failure_in_the_middle_leaves_nothing),
    cmocka_unit_test(mutations_of_a_batch_see_each_other),
    cmocka_unit_test(an_empty_batch_is_fine),
    cmocka_unit_test(delete_below_takes_the_lowest_up_to_its_limit),
    cmocka_unit_test(delete_below_compares_whole_keys),
    cmocka_unit_test(delete_below_clears_the_unique_indexes_too),
    cmocka_unit_test(a_real_that_is_no_number_is_refused),
    cmocka_unit_test(unknown_kinds_and_mutations_are_refused),
    cmocka_unit_test(random_batches_agree_with_an_array),
};

CONTRACT_MAIN("store contract: writes", tests)
