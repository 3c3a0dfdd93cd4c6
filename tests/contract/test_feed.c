/* SPDX-License-Identifier: MIT
 *
 * The change feed: every batch, whole, in order, once; and "gone" rather than a gap. */
#include "contract.h"

#include "store/feed.h"

enum { SEEN_MAX = 64 };

struct seen {
    struct {
        int64_t cursor, no, tenant_no;
        enum record_kind kind;
        bool deleted;
    } at[SEEN_MAX];
    size_t count;
};

static enum qmn_code see(void *ctx, int64_t cursor, const struct change *change,
                         struct err *err QMN_UNUSED)
{
    struct seen *s = ctx;
    const struct layout *l = store_layout(change->kind);
    assert_true(s->count < SEEN_MAX);
    s->at[s->count].cursor = cursor;
    s->at[s->count].kind = change->kind;
    s->at[s->count].deleted = change->deleted;
    s->at[s->count].no = l->int_key ? record_int(change->key, &l->type->fields[0]) : 0;
    s->at[s->count].tenant_no = layout_tenant_no(l, change->key);
    s->count++;
    return QMN_OK;
}

static enum qmn_code changes(struct fixture *f, int64_t cursor, uint32_t limit, struct seen *s,
                             int64_t *ret_cursor)
{
    s->count = 0;
    return f->store->ops->changes_since(f->store, cursor, limit, see, s, ret_cursor, &f->err);
}

/* A batch of `n` nutrients numbered from `no`. */
static void put_nutrients(struct fixture *f, int64_t no, size_t n)
{
    struct record_nutrient records[16];
    struct mutation batch[16];
    size_t failed;
    assert_true(n <= 16);
    for (size_t i = 0; i < n; i++) {
        records[i] = (struct record_nutrient){.no = no + (int64_t)i, .tenant_no = 4};
        batch[i] = (struct mutation){.op = MUT_PUT, .kind = RECORD_NUTRIENT, .record = &records[i]};
    }
    must(f->store->ops->commit(f->store, batch, n, &failed, &f->err));
}

static void batches_come_whole_and_in_order(void **state)
{
    struct fixture *f = *state;
    struct seen s;
    int64_t cursor = 0;
    put_nutrients(f, 10, 3);
    put_nutrients(f, 20, 1);
    put_nutrients(f, 30, 2);
    must(changes(f, 0, 2, &s, &cursor));
    assert_int_equal(s.count, 4);
    static const int64_t nos[] = {10, 11, 12, 20};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(s.at[i].no, nos[i]);
        assert_int_equal(s.at[i].tenant_no, 4);
        assert_int_equal(s.at[i].kind, RECORD_NUTRIENT);
        assert_false(s.at[i].deleted);
    }
    assert_true(s.at[0].cursor == s.at[2].cursor && s.at[2].cursor < s.at[3].cursor);
    assert_int_equal(cursor, s.at[3].cursor);
    must(changes(f, cursor, 100, &s, &cursor));
    assert_int_equal(s.count, 2);
    assert_int_equal(s.at[1].no, 31);
    int64_t end = cursor;
    must(changes(f, cursor, 100, &s, &cursor));
    assert_int_equal(s.count, 0);
    assert_true(cursor == end);
}

static void deletions_say_what_they_deleted(void **state)
{
    struct fixture *f = *state;
    struct seen s;
    int64_t cursor;
    put_nutrients(f, 10, 5);
    must(changes(f, 0, 100, &s, &cursor));
    must(commit_one(f, MUT_DELETE, RECORD_NUTRIENT, &(struct record_nutrient){.no = 12}));
    must(commit_one(f, MUT_DELETE, RECORD_NUTRIENT, &(struct record_nutrient){.no = 99}));
    must(commit_one(f, MUT_DELETE_BELOW, RECORD_NUTRIENT, &(struct record_nutrient){.no = 14}));
    must(changes(f, cursor, 100, &s, &cursor));
    static const int64_t nos[] = {12, 10, 11, 13}; /* 99 was not there: nothing changed */
    assert_int_equal(s.count, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_true(s.at[i].deleted);
        assert_int_equal(s.at[i].no, nos[i]);
        assert_int_equal(s.at[i].tenant_no, 4);
    }
}

static void a_failed_batch_leaves_no_entry(void **state)
{
    struct fixture *f = *state;
    struct seen s;
    int64_t cursor;
    put_nutrients(f, 10, 1);
    must(changes(f, 0, 100, &s, &cursor));
    struct record_nutrient fresh = {.no = 50}, taken = {.no = 10};
    struct mutation batch[] = {{.op = MUT_INSERT, .kind = RECORD_NUTRIENT, .record = &fresh},
                               {.op = MUT_INSERT, .kind = RECORD_NUTRIENT, .record = &taken}};
    size_t failed;
    assert_int_equal(f->store->ops->commit(f->store, batch, 2, &failed, &f->err), QMN_E_CONFLICT);
    put_nutrients(f, 60, 1);
    int64_t before = cursor;
    must(changes(f, cursor, 100, &s, &cursor));
    assert_int_equal(s.count, 1);
    assert_int_equal(s.at[0].no, 60);
    assert_true(cursor == before + 1);
}

static enum qmn_code follow(void *ctx, int64_t cursor, const struct change *change,
                            struct err *err QMN_UNUSED)
{
    int64_t *last = ctx;
    assert_true(cursor == last[0] + 1);
    assert_int_equal(((const struct record_edge *)change->key)->src_no, last[1] + 1);
    last[0] = cursor;
    last[1]++;
    return QMN_OK;
}

/* A follower that asks for a few batches now and then sees every one of them. */
static void a_follower_misses_nothing(void **state)
{
    struct fixture *f = *state;
    int64_t last[2] = {0, 0}, cursor = 0;
    for (int64_t i = 1; i <= 500; i++) {
        must(commit_one(f, MUT_PUT, RECORD_EDGE, &(struct record_edge){.src_no = i}));
        must(f->store->ops->maintain(f->store, &f->err));
        if (i % 7 == 0)
            must(f->store->ops->changes_since(f->store, cursor, 5, follow, last, &cursor, &f->err));
    }
    while (last[1] < 500)
        must(f->store->ops->changes_since(f->store, cursor, 50, follow, last, &cursor, &f->err));
    assert_true(cursor == last[0]);
}

static void a_trimmed_cursor_is_gone(void **state)
{
    struct fixture *f = *state;
    f->config.sync = STORE_SYNC_NORMAL; /* thousands of commits, and no power cut */
    open_fresh(f);
    struct seen s;
    int64_t early, cursor;
    put_nutrients(f, 1, 1);
    must(changes(f, 0, 1, &s, &early));
    for (int64_t i = 0; i < FEED_KEEP + FEED_SLACK; i++)
        must(commit_one(f, MUT_PUT, RECORD_EDGE,
                        &(struct record_edge){.src_no = 1, .updated_ms = i}));
    must(changes(f, early, 1, &s, &cursor));
    must(f->store->ops->maintain(f->store, &f->err));
    assert_int_equal(changes(f, early, 1, &s, &cursor), QMN_E_GONE);
    must(changes(f, 0, 1, &s, &cursor)); /* from the oldest kept */
    assert_true(s.at[0].cursor == early + 1 + FEED_SLACK);
    must(changes(f, s.at[0].cursor - 1, 1, &s, &cursor));
    assert_int_equal(s.count, 1);
}

static void a_cursor_of_the_future_is_gone(void **state)
{
    struct fixture *f = *state;
    struct seen s;
    int64_t cursor;
    put_nutrients(f, 1, 1);
    must(changes(f, 0, 1, &s, &cursor));
    assert_int_equal(changes(f, cursor + 1, 1, &s, &cursor), QMN_E_GONE);
}

static void a_restart_keeps_the_cursor(void **state)
{
    struct fixture *f = *state;
    if (!f->backend->keeps)
        return;
    struct seen s;
    int64_t cursor, end;
    put_nutrients(f, 10, 1);
    must(changes(f, 0, 100, &s, &cursor));
    put_nutrients(f, 20, 1);
    reopen(f);
    put_nutrients(f, 30, 1);
    must(changes(f, cursor, 100, &s, &end));
    assert_int_equal(s.count, 2);
    assert_int_equal(s.at[0].no, 20);
    assert_int_equal(s.at[1].no, 30);
    assert_true(end == cursor + 2);
}

static void commits_without_a_feed_make_old_cursors_gone(void **state)
{
    struct fixture *f = *state;
    struct seen s;
    int64_t cursor, later;
    put_nutrients(f, 10, 1);
    must(changes(f, 0, 100, &s, &cursor));
    f->config.feed = false;
    reopen(f);
    assert_int_equal(changes(f, cursor, 100, &s, &later), QMN_E_INVALID);
    put_nutrients(f, 20, 1);
    f->config.feed = true;
    reopen(f);
    assert_int_equal(changes(f, cursor, 100, &s, &later), QMN_E_GONE);
    put_nutrients(f, 30, 1);
    must(changes(f, 0, 100, &s, &later));
    assert_int_equal(s.count, 1);
    assert_int_equal(s.at[0].no, 30);
}

static enum qmn_code refuse(void *ctx QMN_UNUSED, int64_t cursor QMN_UNUSED,
                            const struct change *change QMN_UNUSED, struct err *err)
{
    return err_set(err, QMN_E_DEADLINE, "enough");
}

static void the_code_of_the_callback_comes_back(void **state)
{
    struct fixture *f = *state;
    int64_t cursor = 77;
    put_nutrients(f, 10, 1);
    assert_int_equal(f->store->ops->changes_since(f->store, 0, 9, refuse, NULL, &cursor, &f->err),
                     QMN_E_DEADLINE);
    assert_int_equal(cursor, 77);
    put_nutrients(f, 20, 1); /* no transaction was left open */
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(batches_come_whole_and_in_order),
    cmocka_unit_test(deletions_say_what_they_deleted),
    cmocka_unit_test(a_failed_batch_leaves_no_entry),
    cmocka_unit_test(a_follower_misses_nothing),
    cmocka_unit_test(a_trimmed_cursor_is_gone),
    cmocka_unit_test(a_cursor_of_the_future_is_gone),
    cmocka_unit_test(a_restart_keeps_the_cursor),
    cmocka_unit_test(commits_without_a_feed_make_old_cursors_gone),
    cmocka_unit_test(the_code_of_the_callback_comes_back),
};

CONTRACT_MAIN("store contract: change feed", tests)
