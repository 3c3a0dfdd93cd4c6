/* SPDX-License-Identifier: MIT
 *
 * The flat index against an exact scan of our own. */
#include "support/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/attr.h"
#include "base/rng.h"
#include "index/flat.h"
#include "support/fault.h"

enum { DIM_MAX = 96, ROWS_MAX = 3000 };

struct oracle {
    struct flat flat;
    struct arena arena;
    struct rng rng;
    float (*vectors)[DIM_MAX]; /* by slot */
    bool *used, *has;
};

static void oracle_begin_as(struct oracle *o, uint32_t dim, uint64_t seed,
                            enum flat_precision precision)
{
    flat_init(&o->flat, dim, precision);
    arena_init(&o->arena, 0);
    rng_seed(&o->rng, seed);
    o->vectors = calloc(ROWS_MAX, sizeof *o->vectors);
    o->used = calloc(ROWS_MAX, 1);
    o->has = calloc(ROWS_MAX, 1);
    assert_true(o->vectors && o->used && o->has);
}

static void oracle_begin(struct oracle *o, uint32_t dim, uint64_t seed)
{
    oracle_begin_as(o, dim, seed, FLAT_F32);
}

static void oracle_end(struct oracle *o)
{
    flat_release(&o->flat);
    arena_release(&o->arena);
    free(o->vectors);
    free(o->used);
    free(o->has);
}

static void random_unit(struct rng *rng, uint32_t dim, float *v)
{
    double norm = 0;
    for (uint32_t i = 0; i < dim; i++) {
        v[i] = (float)rng_normal(rng);
        norm += (double)v[i] * (double)v[i];
    }
    for (uint32_t i = 0; i < dim; i++)
        v[i] = (float)((double)v[i] / sqrt(norm));
}

static double dot(const float *a, const float *b, uint32_t dim)
{
    double sum = 0;
    for (uint32_t i = 0; i < dim; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

static uint32_t oracle_add(struct oracle *o, bool with_vector)
{
    float v[DIM_MAX];
    random_unit(&o->rng, o->flat.dim, v);
    assert_true(flat_reserve(&o->flat, 1));
    assert_true(flat_has_room(&o->flat, 1));
    uint32_t slot = flat_add(&o->flat, with_vector ? v : NULL);
    assert_true(slot < ROWS_MAX && !o->used[slot]);
    memcpy(o->vectors[slot], v, sizeof v);
    o->used[slot] = true;
    o->has[slot] = with_vector;
    return slot;
}

static void oracle_remove(struct oracle *o, uint32_t slot)
{
    flat_remove(&o->flat, slot);
    o->used[slot] = o->has[slot] = false;
}

static float exact(struct oracle *o, uint32_t slot, const float *query)
{
    struct flat_query q;
    assert_true(flat_query_init(&q, &o->flat, query, &o->arena));
    return flat_exact(&o->flat, slot, &q);
}

/* How far the header lets a precise cosine be off. */
static double off_at_most(const struct oracle *o)
{
    return o->flat.precision == FLAT_FIXED ? 2.1e-4 : 1e-5;
}

static bool even(void *ctx, uint32_t slot)
{
    (void)ctx;
    return slot % 2 == 0;
}

static const struct flat_filter evens = {.permit = even};

static int descending(const void *pa, const void *pb)
{
    double a = *(const double *)pa, b = *(const double *)pb;
    return (a < b) - (a > b);
}

/* Searches and compares with the exact scan: same count, same scores in order. */
static void check_query(struct oracle *o, const float *query, size_t k, bool filtered)
{
    static double scores[ROWS_MAX];
    static struct topk_item items[ROWS_MAX];
    uint64_t permitted;
    size_t n = 0;
    for (uint32_t i = 0; i < o->flat.slots; i++)
        if (o->has[i] && (!filtered || i % 2 == 0))
            scores[n++] = dot(query, o->vectors[i], o->flat.dim);
    qsort(scores, n, sizeof *scores, descending);
    arena_reset(&o->arena);
    size_t got =
        flat_search(&o->flat, query, k, filtered ? &evens : NULL, &o->arena, items, &permitted);
    assert_int_equal(permitted, n);
    assert_int_equal(got, k < n ? k : n);
    for (size_t i = 0; i < got; i++) {
        assert_true(fabs((double)items[i].score - scores[i]) < off_at_most(o));
        assert_true(o->has[items[i].id]);
        assert_true(fabs(dot(query, o->vectors[items[i].id], o->flat.dim) -
                         (double)items[i].score) < off_at_most(o));
        assert_true(items[i].score == exact(o, items[i].id, query));
        assert_true(!i || topk_before(items[i - 1], items[i]));
    }
}

static void check_search(struct oracle *o, size_t k, bool filtered)
{
    float query[DIM_MAX];
    random_unit(&o->rng, o->flat.dim, query);
    check_query(o, query, k, filtered);
}

static void the_search_equals_an_exact_scan(void **state)
{
    (void)state;
    static const uint32_t dims[] = {2, 3, 8, 63, 64, 65, 96};
    for (size_t d = 0; d < 2 * ARRAY_LEN(dims); d++) {
        struct oracle o;
        oracle_begin_as(&o, dims[d / 2], d / 2 + 1, d % 2 ? FLAT_FIXED : FLAT_F32);
        for (int i = 0; i < 1000; i++)
            oracle_add(&o, i % 17 != 0);
        for (size_t k = 1; k <= 100; k = k * 3 + 1) {
            check_search(&o, k, false);
            check_search(&o, k, true);
        }
        oracle_end(&o);
    }
}

/* A few elements far above all others: int8 keeps those and loses the rest, and there are many more
 * such rows than a search would look at again by their approximate rank. */
static void find_vectors_that_int8_holds_badly(enum flat_precision precision)
{
    enum { DIM = 96 };
    struct oracle o;
    float v[DIM_MAX], query[DIM_MAX];
    oracle_begin_as(&o, DIM, 12, precision);
    for (int i = 0; i < 800; i++) {
        random_unit(&o.rng, DIM, v);
        if (i % 4 == 0) { /* a spike */
            float rest = 0.06f;
            for (uint32_t k = 0; k < DIM; k++)
                v[k] *= rest;
            v[i % DIM] = sqrtf(1 - rest * rest);
        }
        assert_true(flat_reserve(&o.flat, 1));
        uint32_t slot = flat_add(&o.flat, v);
        memcpy(o.vectors[slot], v, sizeof v);
        o.used[slot] = o.has[slot] = true;
    }
    for (int round = 0; round < 50; round++) {
        random_unit(&o.rng, DIM, query);
        if (round % 2) {
            for (uint32_t k = 0; k < DIM; k++)
                query[k] *= 0.06f;
            query[(uint32_t)round % DIM] = sqrtf(1 - 0.06f * 0.06f);
        }
        check_query(&o, query, 1 + (size_t)round, round % 3 == 0);
        struct flat_query q;
        float scores[800], *ret = scores;
        assert_true(flat_query_init(&q, &o.flat, query, &o.arena));
        flat_scores(&o.flat, &q, 1, &ret);
        for (uint32_t at = 0; at < 800; at += 50) { /* some of them are scored alike */
            uint32_t slots[50];
            float some[50];
            for (uint32_t i = 0; i < 50; i++)
                slots[i] = (at + 37 * i) % 800;
            flat_scores_of(&o.flat, &q, slots, 50 - at / 50, some);
            for (uint32_t i = 0; i < 50 - at / 50; i++)
                assert_true(fabsf(some[i] - scores[slots[i]]) < 1e-6f);
        }
        for (uint32_t i = 0; i < 800; i++) {
            double off = (double)flat_uncertainty(&o.flat, i, q.error);
            assert_true(fabs((double)scores[i] - dot(query, o.vectors[i], DIM)) <
                        off + off_at_most(&o));
            assert_true(fabs((double)scores[i] - (double)flat_exact(&o.flat, i, &q)) < off + 1e-5);
        }
    }
    oracle_end(&o);
}

static void vectors_that_int8_holds_badly_are_found_too(void **state)
{
    (void)state;
    find_vectors_that_int8_holds_badly(FLAT_F32);
    find_vectors_that_int8_holds_badly(FLAT_FIXED);
}

static void what_is_removed_is_not_found_and_its_slot_is_used_again(void **state)
{
    (void)state;
    struct oracle o;
    oracle_begin(&o, 16, 3);
    for (int i = 0; i < 600; i++)
        oracle_add(&o, true);
    for (uint32_t i = 0; i < 600; i += 3)
        oracle_remove(&o, i);
    check_search(&o, 50, false);
    assert_int_equal(o.flat.live, 400);
    for (int i = 0; i < 200; i++)
        assert_true(oracle_add(&o, i % 2) < 600); /* no slot beyond those there were */
    assert_int_equal(o.flat.slots, 600);
    assert_int_equal(o.flat.live, 600);
    check_search(&o, 50, true);
    oracle_end(&o);
}

static void random_changes_keep_it_whole(void **state)
{
    (void)state;
    struct oracle o;
    oracle_begin(&o, 24, 4);
    for (int step = 0; step < 6000; step++) {
        uint32_t slot = o.flat.slots ? rng_below(&o.rng, o.flat.slots) : 0;
        switch (rng_below(&o.rng, 5)) {
        case 0:
        case 1:
            if (o.flat.live < ROWS_MAX - 1)
                oracle_add(&o, rng_below(&o.rng, 10) > 0);
            break;
        case 2:
            if (o.flat.slots && o.used[slot])
                oracle_remove(&o, slot);
            break;
        case 3:
            if (o.flat.slots && o.used[slot]) { /* set anew, or to nothing */
                o.has[slot] = rng_below(&o.rng, 4) > 0;
                random_unit(&o.rng, 24, o.vectors[slot]);
                flat_set(&o.flat, slot, o.has[slot] ? o.vectors[slot] : NULL);
            }
            break;
        default:
            if (step % 50 == 0)
                check_search(&o, 1 + rng_below(&o.rng, 40), rng_below(&o.rng, 2));
        }
    }
    for (uint32_t i = 0; i < o.flat.slots; i++)
        assert_int_equal(flat_has(&o.flat, i), o.has[i]);
    oracle_end(&o);
}

static void a_slot_without_a_vector_scores_nothing(void **state)
{
    (void)state;
    struct oracle o;
    float query[DIM_MAX];
    oracle_begin(&o, 8, 5);
    uint32_t slot = oracle_add(&o, false);
    random_unit(&o.rng, 8, query);
    assert_false(flat_has(&o.flat, slot));
    assert_true(exact(&o, slot, query) == 0);
    check_search(&o, 10, false);
    flat_set(&o.flat, slot, query);
    assert_true(fabsf(exact(&o, slot, query) - 1) < 1e-5f);
    flat_set(&o.flat, slot, NULL); /* and loses it again */
    assert_true(exact(&o, slot, query) == 0);
    oracle_end(&o);
}

/* Several at once, one by one, and the exact cosine. */
static void scores_of_a_tile_are_those_of_each_query(void **state)
{
    (void)state;
    enum { N = 700, DIM = 48 };
    static float single[N], tile[FLAT_TILE][N];
    struct flat_query queries[FLAT_TILE];
    float units[FLAT_TILE][DIM], *ret[FLAT_TILE], *alone = single;
    struct oracle o;
    oracle_begin(&o, DIM, 9);
    for (int i = 0; i < N; i++)
        oracle_add(&o, i % 11 != 0);
    for (uint32_t count = 1; count <= FLAT_TILE; count++) {
        for (uint32_t q = 0; q < count; q++) {
            random_unit(&o.rng, DIM, units[q]);
            assert_true(flat_query_init(&queries[q], &o.flat, units[q], &o.arena));
            ret[q] = tile[q];
        }
        flat_scores(&o.flat, queries, count, ret);
        for (uint32_t q = 0; q < count; q++) {
            flat_scores(&o.flat, &queries[q], 1, &alone);
            for (uint32_t i = 0; i < N; i++) {
                double exact = o.has[i] ? dot(units[q], o.vectors[i], DIM) : 0;
                assert_true(tile[q][i] == single[i]);
                assert_true(fabs((double)single[i] - exact) < 0.02);
                assert_true(o.has[i] || single[i] == 0);
            }
        }
    }
    oracle_end(&o);
}

/* Spiky ones too, which int8 holds badly, and slots without a vector. */
static void cosines_between_slots_are_near_the_exact_ones(void **state)
{
    (void)state;
    enum { N = 60, DIM = 96 };
    float got[N], unit[DIM];
    uint32_t slots[N];
    for (int precision = FLAT_F32; precision <= FLAT_FIXED; precision++) {
        struct oracle o;
        oracle_begin_as(&o, DIM, 17, (enum flat_precision)precision);
        for (uint32_t i = 0; i < N; i++) {
            oracle_add(&o, i % 7 != 0);
            slots[i] = N - 1 - i;
            if (i % 5 != 1)
                continue;
            random_unit(&o.rng, DIM, unit);
            for (uint32_t k = 0; k < DIM; k++)
                unit[k] *= 0.06f;
            unit[i % 3] = sqrtf(1 - 0.06f * 0.06f);
            flat_set(&o.flat, i, unit);
            memcpy(o.vectors[i], unit, sizeof unit);
            o.has[i] = true;
        }
        for (uint32_t slot = 0; slot < N; slot++)
            for (uint32_t count = 0; count <= N; count += 1 + count / 9) {
                flat_between(&o.flat, slot, slots, count, got);
                for (uint32_t i = 0; i < count; i++) {
                    bool both = o.has[slot] && o.has[slots[i]];
                    double want = both ? dot(o.vectors[slot], o.vectors[slots[i]], DIM) : 0;
                    bool spiky = slot % 5 == 1 || slots[i] % 5 == 1;
                    float precise = flat_cosine(&o.flat, slot, slots[i]);
                    assert_true(fabs((double)got[i] - want) < (spiky ? off_at_most(&o) : 0.02));
                    assert_true(fabs((double)precise - want) < off_at_most(&o));
                    assert_true(both || (got[i] == 0 && precise == 0));
                }
            }
        oracle_end(&o);
    }
}

static double distance(const float *a, const float *b, uint32_t dim)
{
    double sum = 0;
    for (uint32_t i = 0; i < dim; i++)
        sum += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
    return sqrt(sum);
}

/* Diffuse vectors: far better than what the header allows, and than float16 (7e-6 in the mean
 * square at 1536 dimensions). */
static void fixed_point_keeps_its_promise_of_embeddings(void **state)
{
    (void)state;
    enum { N = 400, DIM = 96 };
    struct oracle o;
    float query[DIM_MAX], copy[DIM_MAX];
    double worst = 0;
    oracle_begin_as(&o, DIM, 11, FLAT_FIXED);
    for (int i = 0; i < N; i++)
        oracle_add(&o, i % 13 != 0);
    random_unit(&o.rng, DIM, query);
    for (uint32_t i = 0; i < N; i++) {
        double want = o.has[i] ? dot(query, o.vectors[i], DIM) : 0;
        worst = fmax(worst, fabs((double)exact(&o, i, query) - want));
        assert_int_equal(flat_has(&o.flat, i), o.has[i]);
        if (!o.has[i])
            continue;
        float max = 0;
        flat_copy(&o.flat, i, copy);
        for (uint32_t k = 0; k < DIM; k++)
            max = fmaxf(max, fabsf(o.vectors[i][k]));
        for (uint32_t k = 0; k < DIM; k++)
            assert_true(fabsf(copy[k] - o.vectors[i][k]) <= max / 64516 * 1.01f);
        assert_true(distance(copy, o.vectors[i], DIM) < 5e-5);
    }
    assert_true(worst < 1.5e-5);
    assert_true(worst > 1e-7); /* it is not float32 */
    oracle_end(&o);
}

/* One element near 1, one half a step of the first plane, and all others half a step of the second:
 * nothing is held worse by two planes.  tail: how many steps of the second those are. */
static void worst_unit(uint32_t dim, float tail, float *v)
{
    float step = 1.0f / 127;
    for (uint32_t i = 0; i < dim; i++)
        v[i] = (i % 2 ? -tail : tail) * step / 254;
    v[1] = step * 0.4999f;
    v[0] = 1;
    double norm = sqrt(dot(v, v, dim));
    for (uint32_t i = 0; i < dim; i++)
        v[i] = (float)((double)v[i] / norm);
}

/* Against the queries that such a vector's own errors make worst, and against itself, another such,
 * and a diffuse one. */
static void fixed_point_keeps_its_promise_of_spikes(void **state)
{
    (void)state;
    enum { DIM = 1536 };
    static const float tails[] = {0.1f, 0.25f, 0.4999f, 0.5001f, 1.5f, 3.5f, 10.5f};
    static float v[ARRAY_LEN(tails)][DIM], queries[ARRAY_LEN(tails) + 2][DIM], copy[DIM];
    struct oracle o;
    oracle_begin_as(&o, DIM, 13, FLAT_FIXED);
    assert_true(flat_reserve(&o.flat, ARRAY_LEN(tails)));
    for (uint32_t i = 0; i < ARRAY_LEN(tails); i++) {
        worst_unit(DIM, tails[i], v[i]);
        assert_int_equal(flat_add(&o.flat, v[i]), i);
        memcpy(queries[i], v[i], sizeof v[i]);
    }
    float *against = queries[ARRAY_LEN(tails)];
    random_unit(&o.rng, DIM, queries[ARRAY_LEN(tails) + 1]);
    for (uint32_t i = 0; i < ARRAY_LEN(tails); i++) {
        flat_copy(&o.flat, i, copy);
        double off = distance(v[i], copy, DIM);
        assert_true(off < (double)FLAT_FINE + 1e-6);
        for (uint32_t k = 0; k < DIM; k++) /* what two planes leave has these signs */
            against[k] = (k % 2 ? -1.0f : 1.0f) / sqrtf(DIM);
        for (size_t q = 0; q < ARRAY_LEN(queries); q++) {
            double want = dot(queries[q], v[i], DIM);
            assert_true(fabs((double)exact(&o, i, queries[q]) - want) < off_at_most(&o));
        }
        for (uint32_t k = 0; k < ARRAY_LEN(tails); k++)
            assert_true(fabs((double)flat_cosine(&o.flat, i, k) - dot(v[i], v[k], DIM)) <
                        off_at_most(&o));
        flat_set(&o.flat, i, queries[ARRAY_LEN(tails) + 1]); /* no plane is left over */
        assert_true(fabsf(exact(&o, i, queries[ARRAY_LEN(tails) + 1]) - 1) < 1e-5f);
        flat_set(&o.flat, i, v[i]);
    }
    oracle_end(&o);
}

static void an_empty_index_finds_nothing(void **state)
{
    (void)state;
    struct oracle o;
    oracle_begin(&o, 8, 6);
    check_search(&o, 10, false);
    uint32_t slot = oracle_add(&o, true);
    oracle_remove(&o, slot);
    check_search(&o, 10, false);
    oracle_end(&o);
}

/* After a reserve, adds and the removals of all of them succeed with no memory left. */
static void what_is_reserved_needs_no_memory(void **state)
{
    (void)state;
    struct oracle o;
    float v[8] = {1};
    oracle_begin(&o, 8, 7);
    assert_true(flat_reserve(&o.flat, 700));
    fault_arm_from(1);
    for (int i = 0; i < 700; i++)
        (void)flat_add(&o.flat, v);
    for (uint32_t i = 0; i < 700; i++)
        flat_remove(&o.flat, i);
    for (int i = 0; i < 700; i++)
        (void)flat_add(&o.flat, v);
    bool failed = flat_reserve(&o.flat, 100000);
    assert_true(fault_disarm());
    assert_false(failed);
    assert_int_equal(o.flat.live, 700);
    oracle_end(&o);
}

static void a_failed_reserve_leaves_it_usable(void **state)
{
    (void)state;
    for (unsigned n = 1;; n++) {
        struct oracle o;
        oracle_begin(&o, 8, 8);
        oracle_add(&o, true);
        fault_arm(n);
        bool ok = flat_reserve(&o.flat, 900);
        bool failed = fault_disarm();
        assert_int_equal(ok, !failed);
        for (int i = 0; i < 300; i++)
            oracle_add(&o, true);
        check_search(&o, 10, false);
        oracle_end(&o);
        if (!failed)
            break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_search_equals_an_exact_scan),
        cmocka_unit_test(vectors_that_int8_holds_badly_are_found_too),
        cmocka_unit_test(what_is_removed_is_not_found_and_its_slot_is_used_again),
        cmocka_unit_test(random_changes_keep_it_whole),
        cmocka_unit_test(a_slot_without_a_vector_scores_nothing),
        cmocka_unit_test(scores_of_a_tile_are_those_of_each_query),
        cmocka_unit_test(cosines_between_slots_are_near_the_exact_ones),
        cmocka_unit_test(fixed_point_keeps_its_promise_of_embeddings),
        cmocka_unit_test(fixed_point_keeps_its_promise_of_spikes),
        cmocka_unit_test(an_empty_index_finds_nothing),
        cmocka_unit_test(what_is_reserved_needs_no_memory),
        cmocka_unit_test(a_failed_reserve_leaves_it_usable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
