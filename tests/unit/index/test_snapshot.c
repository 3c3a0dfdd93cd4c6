/* SPDX-License-Identifier: MIT
 *
 * An index as bytes: what comes back answers like what was saved, pieces of different moments make
 * a valid one, and bytes that are nothing of the kind are refused. */
#include "vectors_oracle.h"

#include "base/attr.h"
#include "index/snapshot.h"
#include "support/fault.h"

enum { DIM = 64, ROWS = 1200, FLAT = 300 };

static const struct vectors_options options = {.dim = DIM,
                                               .walk = VECTORS_WALK_BITS,
                                               .flat_max = FLAT,
                                               .seed = 1,
                                               .links = 16,
                                               .ef_construction = 40};

/* The pieces of an index of one or two chunks, as a folder would hold them. */
struct pieces {
    struct buf head, codes[2], links[2];
    uint32_t chunks;
};

static void save_chunk(struct pieces *p, const struct vectors *v, uint32_t chunk)
{
    buf_clear(&p->codes[chunk]);
    buf_clear(&p->links[chunk]);
    snapshot_put_codes(v, chunk, &p->codes[chunk]);
    snapshot_put_links(v, chunk, &p->links[chunk]);
}

static void save_head(struct pieces *p, const struct vectors *v)
{
    p->chunks = snapshot_chunks(v);
    buf_clear(&p->head);
    snapshot_put_head(v, &p->head);
}

static void pieces_begin(struct pieces *p)
{
    *p = (struct pieces){0};
    buf_init(&p->head, SIZE_MAX);
    for (int i = 0; i < 2; i++) {
        buf_init(&p->codes[i], SIZE_MAX);
        buf_init(&p->links[i], SIZE_MAX);
    }
}

static void pieces_end(struct pieces *p)
{
    buf_release(&p->head);
    for (int i = 0; i < 2; i++) {
        buf_release(&p->codes[i]);
        buf_release(&p->links[i]);
    }
}

static void save(struct pieces *p, const struct vectors *v)
{
    save_head(p, v);
    assert_in_range(p->chunks, 1, 2);
    for (uint32_t i = 0; i < p->chunks; i++)
        save_chunk(p, v, i);
}

static enum qmn_code load_pieces(const struct pieces *p, struct snapshot_loader *l, struct err *err)
{
    for (uint32_t i = 0; i < p->chunks; i++) {
        TRY(snapshot_load_codes(l, i, buf_bytes(&p->codes[i]), err));
        TRY(snapshot_load_links(l, i, buf_bytes(&p->links[i]), err));
    }
    return QMN_OK;
}

static enum qmn_code load(const struct pieces *p, const struct vectors_options *o,
                          struct vectors **ret, struct snapshot_report *report, struct err *err)
{
    struct snapshot_loader *l = NULL;
    TRY(snapshot_load_begin(o, buf_bytes(&p->head), p->chunks, &l, err));
    enum qmn_code code = load_pieces(p, l, err);
    if (code == QMN_OK)
        return snapshot_load_end(l, ret, report, err);
    snapshot_load_abort(l);
    return code;
}

static struct vectors *load_well(const struct pieces *p, struct snapshot_report *report)
{
    struct vectors *v = NULL;
    struct err err = {0};
    if (load(p, &options, &v, report, &err) != QMN_OK)
        fail_msg("%s", err.text);
    vectors_validate(v);
    return v;
}

static void begin_linked(struct oracle *o, uint32_t rows)
{
    oracle_begin(o, &options, 2 * rows, 3);
    for (uint32_t i = 0; i < rows; i++)
        oracle_add(o);
    oracle_work(o);
}

/* The oracle goes on with what was loaded. */
static void swap_in(struct oracle *o, struct vectors *loaded)
{
    vectors_free(o->v);
    o->v = loaded;
}

static void what_comes_back_answers_alike(void **state)
{
    (void)state;
    struct oracle o;
    struct pieces p;
    struct snapshot_report report;
    float x[DIM];
    begin_linked(&o, ROWS);
    for (int i = 0; i < 50; i++)
        oracle_remove(&o, oracle_any(&o));
    pieces_begin(&p);
    save(&p, o.v);
    struct vectors *back = load_well(&p, &report);
    assert_int_equal(report.live, ROWS - 50);
    assert_true(report.relink <= ROWS / 100);
    for (int i = 0; i < 50; i++) {
        oracle_draw(&o, x);
        struct vectors_query q = {.x = x, .k = 10, .ef = 400, .force_exact = i % 2};
        struct topk_item got[10];
        size_t count;
        oracle_got(&o, &q, 0.05);
        assert_true(vectors_search(back, &q, o.s, got, &count, NULL));
        assert_int_equal(count, 10);
        if (q.force_exact)
            for (size_t k = 0; k < count; k++) {
                assert_int_equal(got[k].id, o.got[k].id);
                assert_true(got[k].score <= o.got[k].score && got[k].score >= o.got[k].score);
            }
    }
    swap_in(&o, back);
    assert_true(oracle_mean_recall(&o, (struct vectors_query){.k = 10}, 100, 0.05) > 0.9);
    pieces_end(&p);
    oracle_end(&o);
}

static void what_comes_back_goes_on_living(void **state)
{
    (void)state;
    struct oracle o;
    struct pieces p;
    struct snapshot_report report;
    begin_linked(&o, ROWS);
    pieces_begin(&p);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 200; i++)
            oracle_remove(&o, oracle_any(&o));
        (void)vectors_work(o.v, 40); /* in the midst of a sweep, or of linking */
        save(&p, o.v);
        swap_in(&o, load_well(&p, &report));
        for (int i = 0; i < 200; i++)
            oracle_add(&o);
        oracle_work(&o);
        vectors_validate(o.v);
    }
    assert_true(oracle_mean_recall(&o, (struct vectors_query){.k = 10}, 100, 0.05) > 0.9);
    pieces_end(&p);
    oracle_end(&o);
}

/* What comes into the second chunk has neighbours in the first link to it. */
static void check_marks_of_another_chunk(struct oracle *o, struct pieces *p)
{
    struct buf after;
    buf_init(&after, SIZE_MAX);
    struct snapshot_marks before = snapshot_marks(o->v, 0);
    save_chunk(p, o->v, 0);
    assert_true(oracle_add(o) >= SNAPSHOT_CHUNK);
    oracle_work(o);
    snapshot_put_links(o->v, 0, &after);
    assert_false(bytes_equal(buf_bytes(&after), buf_bytes(&p->links[0])));
    assert_int_not_equal(before.links, snapshot_marks(o->v, 0).links);
    assert_int_equal(before.codes, snapshot_marks(o->v, 0).codes);
    buf_release(&after);
}

/* Two chunks, saved while vectors come and go between them; `first` is the older one. */
static void check_moments(uint32_t first)
{
    struct oracle o;
    struct pieces p;
    struct snapshot_report report;
    begin_linked(&o, SNAPSHOT_CHUNK + 400);
    pieces_begin(&p);
    check_marks_of_another_chunk(&o, &p);
    save_chunk(&p, o.v, first);
    for (int i = 0; i < 150; i++)
        oracle_remove(&o, oracle_any(&o));
    for (int i = 0; i < 300; i++)
        oracle_add(&o);
    oracle_work(&o);
    save_chunk(&p, o.v, 1 - first);
    save_head(&p, o.v);
    struct vectors *back = load_well(&p, &report);
    struct vectors_stats s;
    if (first) /* the slots that came are of the second chunk: the first has links to them */
        assert_true(report.dropped > 0);
    else /* ... or nobody has */
        assert_true(report.relink > 0);
    while (vectors_work(back, 100) == VECTORS_MORE)
        ;
    vectors_validate(back);
    vectors_stats(back, &s);
    assert_int_equal(s.fresh, 0);
    vectors_free(back);
    pieces_end(&p);
    oracle_end(&o);
}

static void chunks_of_different_moments_fit_together(void **state)
{
    (void)state;
    check_moments(0);
    check_moments(1);
}

static void marks_tell_which_pieces_changed(void **state)
{
    (void)state;
    struct oracle o;
    struct pieces p, q;
    pieces_begin(&p);
    pieces_begin(&q);
    begin_linked(&o, ROWS);
    for (int i = 0; i < 60; i++) {
        struct snapshot_marks before = snapshot_marks(o.v, 0);
        save(&p, o.v);
        if (i % 3 == 0)
            oracle_remove(&o, oracle_any(&o));
        else if (i % 3 == 1)
            oracle_add(&o);
        else
            (void)vectors_work(o.v, 5);
        struct snapshot_marks after = snapshot_marks(o.v, 0);
        save(&q, o.v);
        bool codes = !bytes_equal(buf_bytes(&p.codes[0]), buf_bytes(&q.codes[0]));
        bool links = !bytes_equal(buf_bytes(&p.links[0]), buf_bytes(&q.links[0]));
        if (i % 3) /* what is removed may leave zeros behind, which nobody misses */
            assert_true(!codes || before.codes != after.codes);
        assert_true(!links || before.links != after.links);
        if (i % 3 == 2)
            assert_int_equal(before.codes, after.codes);
    }
    pieces_end(&p);
    pieces_end(&q);
    oracle_end(&o);
}

static void other_options_are_told_apart(void **state)
{
    (void)state;
    struct oracle o;
    struct pieces p;
    struct snapshot_report report;
    struct vectors *v = NULL;
    struct err err;
    begin_linked(&o, ROWS);
    pieces_begin(&p);
    save(&p, o.v);
    struct vectors_options other[] = {options, options, options, options};
    other[0].links = 8;
    other[1].seed = 2;
    other[2].walk = VECTORS_WALK_I8;
    other[3].dim = DIM - 1;
    for (size_t i = 0; i < ARRAY_LEN(other); i++)
        assert_int_equal(load(&p, &other[i], &v, &report, &err), QMN_E_CONFLICT);
    assert_null(v);
    pieces_end(&p);
    oracle_end(&o);
}

/* Cut anywhere, and with any byte another one: an index that is valid, or a refusal. */
static void check_damaged(struct pieces *p, struct buf *piece, uint32_t *refused)
{
    struct snapshot_report report;
    size_t len = piece->len, step = len / 300 + 1;
    for (size_t at = 0; at < len; at += step) {
        struct vectors *v = NULL;
        struct err err = {0};
        char was = piece->ptr[at];
        piece->ptr[at] = (char)(was ^ (1 << at % 8));
        enum qmn_code code = load(p, &options, &v, &report, &err);
        piece->ptr[at] = was;
        if (code == QMN_OK)
            vectors_validate(v);
        else
            ++*refused;
        vectors_free(v);
        v = NULL;
        piece->len = at;
        assert_int_not_equal(load(p, &options, &v, &report, &err), QMN_OK);
        assert_true(err.text[0]);
        piece->len = len;
    }
}

static void damaged_pieces_make_no_invalid_index(void **state)
{
    (void)state;
    struct oracle o;
    struct pieces p;
    uint32_t refused = 0;
    begin_linked(&o, FLAT + 20);
    pieces_begin(&p);
    save(&p, o.v);
    check_damaged(&p, &p.head, &refused);
    check_damaged(&p, &p.links[0], &refused);
    assert_true(refused > 200);
    struct snapshot_report report;
    p.codes[0].ptr[p.codes[0].len - 1] ^= 0x10; /* a scale that is not its row's */
    struct vectors *v = NULL;
    struct err err;
    assert_int_equal(load(&p, &options, &v, &report, &err), QMN_E_CORRUPT);
    pieces_end(&p);
    oracle_end(&o);
}

static void pieces_that_are_missing_or_come_twice_are_refused(void **state)
{
    (void)state;
    struct oracle o;
    struct pieces p;
    struct snapshot_report report;
    struct snapshot_loader *l = NULL;
    struct vectors *v = NULL;
    struct err err;
    begin_linked(&o, ROWS);
    pieces_begin(&p);
    save(&p, o.v);
    assert_int_equal(snapshot_load_begin(&options, buf_bytes(&p.head), 1, &l, &err), QMN_OK);
    assert_int_equal(snapshot_load_codes(l, 0, buf_bytes(&p.codes[0]), &err), QMN_OK);
    assert_int_equal(snapshot_load_codes(l, 0, buf_bytes(&p.codes[0]), &err), QMN_E_CORRUPT);
    assert_int_equal(snapshot_load_links(l, 1, buf_bytes(&p.links[0]), &err), QMN_E_CORRUPT);
    assert_int_equal(snapshot_load_end(l, &v, &report, &err), QMN_E_CORRUPT);
    assert_null(v);
    pieces_end(&p);
    oracle_end(&o);
}

static void a_load_without_memory_leaves_nothing(void **state)
{
    (void)state;
    struct oracle o;
    struct pieces p;
    struct snapshot_report report;
    struct vectors *v = NULL;
    struct err err;
    begin_linked(&o, FLAT + 20);
    pieces_begin(&p);
    save(&p, o.v);
    for (unsigned n = 1;; n++) {
        fault_arm(n);
        enum qmn_code code = load(&p, &options, &v, &report, &err);
        bool failed = fault_disarm();
        assert_int_equal(code, failed ? QMN_E_NOMEM : QMN_OK);
        if (!failed)
            break;
        assert_null(v);
    }
    vectors_validate(v);
    vectors_free(v);
    pieces_end(&p);
    oracle_end(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_comes_back_answers_alike),
        cmocka_unit_test(what_comes_back_goes_on_living),
        cmocka_unit_test(chunks_of_different_moments_fit_together),
        cmocka_unit_test(marks_tell_which_pieces_changed),
        cmocka_unit_test(other_options_are_told_apart),
        cmocka_unit_test(damaged_pieces_make_no_invalid_index),
        cmocka_unit_test(pieces_that_are_missing_or_come_twice_are_refused),
        cmocka_unit_test(a_load_without_memory_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
