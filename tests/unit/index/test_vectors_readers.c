/* SPDX-License-Identifier: MIT
 *
 * Searches beside a writer, without a lock.  First the writer acts in the midst of a search, on the
 * same thread, at each of its allocations in turn; then in threads, for the sanitizers to watch. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "base/attr.h"
#include "base/mem.h"
#include "index/graph_priv.h"
#include "index/vectors_priv.h"
#include "vectors_oracle.h"

enum { DIM = 32, FLAT = 200, K = 10 };

static const struct vectors_options options = {.dim = DIM,
                                               .exact = VECTORS_EXACT_F32,
                                               .walk = VECTORS_WALK_BITS,
                                               .links = 8,
                                               .ef_construction = 20,
                                               .flat_max = FLAT,
                                               .seed = 1};

/* Scores are of the exact copy. */
#define PRECISION 1e-5

/* ---- pins ---- */

static void a_slot_is_not_given_away_while_it_is_pinned(void **state)
{
    (void)state;
    struct oracle o;
    struct vectors_pin pin, second;
    oracle_begin(&o, &options, 128, 1);
    for (int i = 0; i < 5; i++)
        oracle_add(&o);
    vectors_pin(o.v, &pin);
    oracle_remove(&o, 2);
    assert_int_equal(oracle_add(&o), 5);
    vectors_pin(o.v, &second); /* who came later does not hold it */
    oracle_remove(&o, 3);
    vectors_unpin(&pin);
    assert_int_equal(oracle_add(&o), 2);
    assert_int_equal(oracle_add(&o), 6);
    vectors_unpin(&second);
    vectors_unpin(&second); /* nothing is pinned any more: harmless */
    assert_int_equal(oracle_add(&o), 3);
    oracle_end(&o);
}

static void an_index_stays_while_it_is_pinned(void **state)
{
    (void)state;
    struct oracle o;
    struct vectors_pin pin;
    float x[DIM];
    oracle_begin(&o, &options, 128, 2);
    oracle_add(&o);
    vectors_pin(o.v, &pin);
    vectors_free(o.v);
    oracle_draw(&o, x);
    oracle_got(&o, &(struct vectors_query){.x = x, .k = 1}, PRECISION);
    vectors_unpin(&pin);
    o.v = vectors_new(&options);
    assert_non_null(o.v);
    oracle_end(&o);
}

static void a_pinned_slot_can_still_be_told_from_a_live_one(void **state)
{
    (void)state;
    struct oracle o;
    float x[DIM] = {7};
    oracle_begin(&o, &options, 128, 3);
    uint32_t slot = oracle_add(&o);
    assert_true(vectors_copy(o.v, slot, x));
    assert_memory_equal(x, o.rows, sizeof x);
    oracle_remove(&o, slot);
    x[0] = 7;
    assert_false(vectors_copy(o.v, slot, x) || vectors_has(o.v, slot));
    assert_false(vectors_copy(o.v, 1 << 20, x) || vectors_has(o.v, 1 << 20));
    assert_true(x[0] == 7);
    oracle_end(&o);
}

static void what_a_bitmap_does_not_cover_is_not_permitted(void **state)
{
    (void)state;
    struct oracle o;
    float x[DIM];
    for (int linked = 0; linked < 2; linked++) {
        oracle_begin(&o, &options, 512, 4);
        for (uint32_t i = 0; i < 500; i++)
            oracle_add(&o);
        if (linked)
            oracle_work(&o);
        oracle_permit(&o, 1);
        oracle_draw(&o, x);
        struct vectors_query q = {
            .x = x, .k = 100, .permit = o.permit, .permit_words = 5, .permitted = 320};
        size_t count;
        assert_true(vectors_search(o.v, &q, o.s, o.got, &count, NULL));
        assert_int_equal(count, 100);
        for (size_t i = 0; i < count; i++)
            assert_true(o.got[i].id < 320);
        oracle_end(&o);
    }
}

/* ---- in the midst of a search ---- */

enum { STAY = 560, GO = 80, MORE = 4000, BEFORE = 4 };

static struct oracle o;
static void (*act)(void); /* once, before the allocation at hand */
static unsigned act_at;
static bool acting;

static bool act_when_due(void)
{
    if (acting || !act_at || --act_at)
        return false;
    acting = true;
    act();
    acting = false;
    return false; /* no allocation fails */
}

static void link_all(void)
{
    oracle_work(&o);
}

static void link_some(void)
{
    (void)vectors_work(o.v, 100);
}

/* Slots [0, STAY) stay whatever happens. */
static void remove_some(void)
{
    for (uint32_t i = STAY; i < STAY + GO; i++)
        if (o.live[i])
            oracle_remove(&o, i);
}

static void exchange_some(void)
{
    remove_some();
    for (uint32_t i = 0; i < GO; i++)
        oracle_add(&o);
    oracle_work(&o);
}

/* A new chunk, and the top of the graph perhaps in it. */
static void add_many(void)
{
    for (uint32_t i = 0; i < MORE; i++)
        oracle_add(&o);
    (void)vectors_work(o.v, 50);
}

static void remove_many(void)
{
    for (uint32_t i = FLAT / 4; i < o.room; i++)
        if (o.live[i])
            oracle_remove(&o, i);
    oracle_work(&o);
    for (uint32_t i = 0; i < GO; i++)
        oracle_add(&o);
}

/* Of those that stay, the best that a search must not have missed: all that are better than the
 * last of what it returned.  Nothing twice, and each score that of a vector which was there. */
static void expect_all(const float *x, size_t count, uint32_t stay, const float *before)
{
    for (size_t i = 0; i < count; i++) {
        const float *now = o.rows + (size_t)o.got[i].id * DIM;
        const float *then = before + (size_t)o.got[i].id * DIM;
        assert_true(!i || topk_before(o.got[i - 1], o.got[i]));
        for (size_t j = 0; j < i; j++)
            assert_int_not_equal(o.got[j].id, o.got[i].id);
        assert_true(fabs(oracle_dot(x, now, DIM) - (double)o.got[i].score) < PRECISION ||
                    fabs(oracle_dot(x, then, DIM) - (double)o.got[i].score) < PRECISION);
    }
    for (uint32_t slot = 0; slot < stay; slot++) {
        double score = oracle_dot(x, o.rows + (size_t)slot * DIM, DIM);
        bool found = count && score <= (double)o.got[count - 1].score + PRECISION;
        for (size_t i = 0; i < count && !found; i++)
            found = o.got[i].id == slot;
        assert_true(found);
    }
}

/* The thread sanitizer has little to see on one thread, and takes long for it. */
#ifdef __SANITIZE_THREAD__
enum { ONCE = 1 };
#else
enum { ONCE = 0 };
#endif

/* `linked` of the rows are linked beforehand; the action comes before the n-th allocation, until
 * there is no n-th.  The first few are all made for the query, one after the other. */
static void act_in_the_midst(void (*action)(void), uint32_t linked, uint32_t stay)
{
    for (unsigned n = BEFORE, left = 0; !left; n++) {
        float x[DIM];
        size_t count;
        oracle_begin(&o, &options, 2 * (STAY + GO) + MORE, n);
        for (uint32_t i = 0; i < STAY + GO; i++)
            oracle_add(&o);
        (void)vectors_work(o.v, linked);
        float *before = malloc((size_t)o.room * DIM * sizeof *before);
        assert_non_null(before);
        memcpy(before, o.rows, (size_t)o.room * DIM * sizeof *before);
        oracle_draw(&o, x);
        act = action;
        act_at = n;
        mem_set_fault(act_when_due);
        /* a walk that wide finds everything, and needs memory on its way */
        bool ok = vectors_search(o.v, &(struct vectors_query){.x = x, .k = K, .ef = 2000}, o.s,
                                 o.got, &count, NULL);
        mem_set_fault(NULL);
        left = act_at + ONCE;
        act_at = 0;
        assert_true(ok);
        assert_int_equal(count, K);
        expect_all(x, count, stay, before);
        assert_true(left || n < 100);
        free(before);
        oracle_end(&o);
    }
}

static void linking_hides_nothing_from_a_search(void **state)
{
    (void)state;
    act_in_the_midst(link_some, 400, STAY);
    act_in_the_midst(link_all, 0, STAY);
}

static void coming_and_going_hides_nothing_else(void **state)
{
    (void)state;
    act_in_the_midst(exchange_some, 2000, STAY);
    act_in_the_midst(add_many, 600, STAY);
}

static void a_graph_dropped_meanwhile_is_walked_to_the_end(void **state)
{
    (void)state;
    act_in_the_midst(remove_many, 2000, FLAT / 4);
    act_in_the_midst(remove_many, 500, FLAT / 4);
}

static void drop_copies(void)
{
    assert_true(vectors_drop_exact(o.v));
    oracle_add(&o);
    (void)vectors_work(o.v, 50);
}

/* ... and what comes meanwhile, which has none, is not taken for one of them. */
static void exact_copies_given_up_meanwhile_are_there_to_the_end(void **state)
{
    (void)state;
    act_in_the_midst(drop_copies, 2000, STAY + GO);
    act_in_the_midst(drop_copies, 400, STAY + GO);
}

static float like_the_query[DIM];

/* Linked by the time the walk comes by. */
static void add_likenesses(void)
{
    for (uint32_t i = 0; i < GO; i++)
        oracle_put(&o, like_the_query);
    oracle_work(&o);
}

/* A chunk that is full, most of it of slots that wait, so that others go into the next. */
static void a_walk_stays_within_the_rows_that_it_began_with(void **state)
{
    (void)state;
    struct vectors_pin pin;
    size_t count;
    oracle_begin(&o, &options, 2 * ROWS_CHUNK, 1);
    for (uint32_t i = 0; i < ROWS_CHUNK; i++)
        oracle_add(&o);
    vectors_pin(o.v, &pin);
    for (uint32_t i = STAY; i < ROWS_CHUNK; i++)
        oracle_remove(&o, i);
    oracle_work(&o);
    oracle_draw(&o, like_the_query);
    act = add_likenesses;
    act_at = BEFORE;
    mem_set_fault(act_when_due);
    bool ok = vectors_search(o.v, &(struct vectors_query){.x = like_the_query, .k = K}, o.s, o.got,
                             &count, NULL);
    mem_set_fault(NULL);
    vectors_unpin(&pin);
    assert_true(ok && count == K && !act_at);
    for (size_t i = 0; i < count; i++)
        assert_true(o.got[i].id < STAY);
    assert_true(vectors_has(o.v, ROWS_CHUNK));
    oracle_end(&o);
}

/* ---- blocks of links ---- */

enum { SIDE = 30, TURNS = 12, PAUSE = 400, WALKS_MAX = 3000000, YIELDS = 20000 };

/* A graph of which only the centre's block matters: its links are those to one side or the other.
 */
struct star {
    struct oracle x;
    struct graph *g;
    struct walker walker;
    struct scorer scorer;
    struct walk walk;
    uint32_t centre, sides[2][SIDE];
    _Atomic bool stop;
};

static void star_begin(struct star *star)
{
    struct vectors_options opt = options;
    struct oracle *x = &star->x;
    opt.links = opt.ef_construction = 32; /* long blocks */
    *star = (struct star){.centre = 0};
    oracle_begin(x, &opt, 2 * FLAT, 9);
    for (uint32_t i = 0; i < FLAT + 50; i++)
        oracle_add(x);
    oracle_work(x);
    star->g = x->v->graph;
    for (uint32_t i = 0; i < SIDE; i++) {
        star->sides[0][i] = 1 + i;
        star->sides[1][i] = 1 + SIDE + i;
    }
    star->scorer = (struct scorer){.kind = SCORE_NEAR, .rows = &x->v->rows, .slot = star->centre};
    star->walk = (struct walk){.graph = star->g,
                               .walker = &star->walker,
                               .scorer = &star->scorer,
                               .ef = 2 * SIDE + 1,
                               .expand_max = 1};
    assert_true(walker_reserve(&star->walker, &x->v->rows));
    graph_write(star->g, star->centre, 0, star->sides[0], SIDE);
}

static void star_end(struct star *star)
{
    walker_release(&star->walker);
    oracle_end(&star->x);
}

/* Which side's nodes a walk from the centre finds: 1, 2, or 3 for both. */
static unsigned sides_seen(struct star *star)
{
    unsigned seen = 0;
    assert_true(graph_walk_level(&star->walk, 0, star->centre));
    for (uint32_t i = 0; i < star->walker.len; i++)
        for (unsigned side = 0; side < 2; side++)
            for (uint32_t j = 0; j < SIDE; j++)
                if ((star->walker.beam[i].id & WALKER_SLOT) == star->sides[side][j])
                    seen |= 1U << side;
    return seen;
}

static void *turn_links(void *arg)
{
    struct star *star = arg;
    for (uint32_t i = 0; !atomic_load(&star->stop); i++) {
        graph_write(star->g, star->centre, 0, star->sides[i % 2], SIDE);
        for (uint32_t n = 0; n < PAUSE; n++)
            __asm__ volatile("" ::: "memory"); /* somebody should get to see it whole */
    }
    return NULL;
}

/* A block that turns between two sets of links is seen as one of them. */
static void links_of_two_moments_are_not_mixed(void **state)
{
    (void)state;
    static struct star star;
    pthread_t writer;
    star_begin(&star);
    assert_int_equal(pthread_create(&writer, NULL, turn_links, &star), 0);
    unsigned turns = 0, last = 1, mixed = 0;
    for (int i = 0; i < WALKS_MAX && turns < TURNS; i++) {
        unsigned seen = sides_seen(&star);
        mixed += seen == 3;
        turns += seen != last;
        last = seen;
    }
    atomic_store(&star.stop, true);
    pthread_join(writer, NULL);
    assert_int_equal(mixed, 0);
    assert_true(turns >= TURNS); /* the two did meet */
    star_end(&star);
}

static void *write_the_rest(void *arg)
{
    struct star *star = arg;
    struct graph_block *b = graph_block_of(star->g, star->centre, 0);
    for (int i = 0; i < YIELDS && !atomic_load(&star->stop); i++)
        sched_yield();
    for (uint32_t i = SIDE / 2; i < SIDE; i++)
        atomic_store_explicit(&b->links[i], star->sides[1][i], memory_order_release);
    atomic_fetch_add(&b->version, 1);
    return NULL;
}

/* The writer has lost its processor in the midst of a block. */
static void links_half_written_are_waited_for(void **state)
{
    (void)state;
    static struct star star;
    pthread_t writer;
    star_begin(&star);
    struct graph_block *b = graph_block_of(star.g, star.centre, 0);
    atomic_fetch_add(&b->version, 1);
    for (uint32_t i = 0; i < SIDE / 2; i++)
        atomic_store_explicit(&b->links[i], star.sides[1][i], memory_order_release);
    assert_int_equal(pthread_create(&writer, NULL, write_the_rest, &star), 0);
    unsigned seen = sides_seen(&star);
    atomic_store(&star.stop, true);
    pthread_join(writer, NULL);
    assert_int_equal(seen, 2);
    star_end(&star);
}

/* ---- threads ---- */

enum { READERS = 2, LASTING = 300, PASSING = 500, SLOTS_MAX = 1 << 15, STEPS = 48 };

/* vectors [0, LASTING) are there all the time; the others come and go.  A slot's state is the
 * vector in it, and when it went (0: it is live). */
struct crowd {
    struct vectors *v;
    float x[LASTING + PASSING][DIM];
    _Atomic uint64_t states[SLOTS_MAX]; /* vector << 32 | went */
    uint32_t slot_of[LASTING + PASSING];
    bool in[LASTING + PASSING];
    _Atomic uint32_t clock;
    _Atomic bool over;
    _Atomic uint64_t searches, expected, missed;
    _Atomic uint32_t wrong, dead, twice;
};

static struct crowd crowd;

static bool agrees(uint64_t state, const float *query, struct topk_item item, uint32_t began)
{
    uint32_t went = (uint32_t)state;
    double exact = oracle_dot(query, crowd.x[state >> 32], DIM);
    return fabs(exact - (double)item.score) < PRECISION && (!went || went > began);
}

/* The slot stays as it is while it is pinned, but the writer's word of it may come a little later:
 * it has come when the writer has done two things more. */
static bool is_true(const float *query, struct topk_item item, uint32_t began)
{
    uint32_t now = atomic_load(&crowd.clock);
    while (!agrees(atomic_load(&crowd.states[item.id]), query, item, began)) {
        if (atomic_load(&crowd.clock) > now + 2 || atomic_load(&crowd.over))
            return agrees(atomic_load(&crowd.states[item.id]), query, item, began);
        sched_yield();
    }
    return true;
}

static void judge(const float *query, const struct topk_item *got, size_t count, uint32_t began)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < i; j++)
            if (got[j].id == got[i].id)
                atomic_fetch_add(&crowd.twice, 1);
        if (!is_true(query, got[i], began))
            atomic_fetch_add(&crowd.wrong, 1);
    }
    for (uint32_t i = 0; i < LASTING; i++) {
        double score = oracle_dot(query, crowd.x[i], DIM);
        bool found = false;
        if (count == K && score <= (double)got[K - 1].score + PRECISION)
            continue;
        for (size_t j = 0; j < count; j++)
            found |= got[j].id == crowd.slot_of[i];
        atomic_fetch_add(&crowd.expected, 1);
        atomic_fetch_add(&crowd.missed, !found);
    }
}

struct reader {
    pthread_t thread;
    struct rng rng;
    bool exact;
};

static void search_once(struct reader *r, struct vectors_searcher *s)
{
    struct topk_item got[K];
    struct vectors_pin pin;
    size_t count = 0;
    const float *query = crowd.x[rng_below(&r->rng, LASTING + PASSING)];
    struct vectors_query q = {.x = query, .k = K, .ef = 300, .force_exact = r->exact};
    vectors_pin(crowd.v, &pin);
    uint32_t began = atomic_load(&crowd.clock);
    if (!vectors_search(crowd.v, &q, s, got, &count, NULL))
        atomic_fetch_add(&crowd.wrong, 1);
    judge(query, got, count, began);
    vectors_unpin(&pin);
    atomic_fetch_add(&crowd.searches, 1);
}

static void *search_on(void *arg)
{
    struct reader *r = arg;
    struct vectors_searcher *s = vectors_searcher_new();
    while (s && !atomic_load(&crowd.over))
        search_once(r, s);
    vectors_searcher_free(s);
    return NULL;
}

static void put(uint32_t i)
{
    assert_true(vectors_reserve(crowd.v, 1));
    uint32_t slot = vectors_add(crowd.v, crowd.x[i]);
    assert_true(slot < SLOTS_MAX);
    crowd.slot_of[i] = slot;
    crowd.in[i] = true;
    atomic_store(&crowd.states[slot], (uint64_t)i << 32);
    atomic_fetch_add(&crowd.clock, 1);
}

static void take_out(uint32_t i)
{
    uint32_t slot = crowd.slot_of[i];
    vectors_remove(crowd.v, slot);
    crowd.in[i] = false;
    uint32_t now = atomic_fetch_add(&crowd.clock, 1) + 1;
    atomic_store(&crowd.states[slot], (uint64_t)i << 32 | now);
}

/* Rises and falls, so that the graph is made and dropped if there is to be one. */
static void change(struct rng *rng, uint32_t step)
{
    bool rising = step / 16 % 2 == 0;
    for (int n = 0; n < 20; n++) {
        uint32_t i = LASTING + rng_below(rng, PASSING);
        if (!crowd.in[i] && (rising || rng_below(rng, 4) == 0))
            put(i);
        else if (crowd.in[i] && (!rising || rng_below(rng, 4) == 0))
            take_out(i);
    }
    (void)vectors_work(crowd.v, 30);
}

static void crowd_begin(uint32_t flat_max, struct rng *rng)
{
    struct vectors_options opt = options;
    opt.flat_max = flat_max;
    opt.links = 32;
    opt.ef_construction = 64;
    memset(&crowd, 0, sizeof crowd);
    crowd.v = vectors_new(&opt);
    assert_non_null(crowd.v);
    for (uint32_t i = 0; i < LASTING + PASSING; i++) {
        for (uint32_t k = 0; k < DIM; k++)
            crowd.x[i][k] = (float)rng_normal(rng);
        if (i < LASTING)
            put(i);
    }
}

/* Recall is what it is with nobody beside, measured over 20,000 searches: .997 of the lasting that
 * should have been found.  Until the writer is through and each reader has had its turns. */
static void run(uint32_t flat_max, bool exact, uint32_t searches)
{
    struct reader readers[READERS];
    struct rng rng;
    rng_seed(&rng, 5);
    crowd_begin(flat_max, &rng);
    for (uint32_t i = 0; i < READERS; i++) {
        readers[i].exact = exact;
        rng_seed(&readers[i].rng, i);
        assert_int_equal(pthread_create(&readers[i].thread, NULL, search_on, &readers[i]), 0);
    }
    for (uint32_t step = 0; step < STEPS || atomic_load(&crowd.searches) < searches; step++)
        change(&rng, step);
    atomic_store(&crowd.over, true);
    for (uint32_t i = 0; i < READERS; i++)
        pthread_join(readers[i].thread, NULL);
    vectors_validate(crowd.v);
    vectors_free(crowd.v);
    print_message("# %llu searches, %llu of %llu missed\n", (unsigned long long)crowd.searches,
                  (unsigned long long)crowd.missed, (unsigned long long)crowd.expected);
    assert_int_equal(crowd.wrong + crowd.twice, 0);
    assert_int_not_equal(crowd.expected, 0);
}

static void a_scan_beside_a_writer_is_exact(void **state)
{
    (void)state;
    run(20000, true, 100);
    assert_int_equal(crowd.missed, 0);
}

static void walks_beside_a_writer_find_nearly_all(void **state)
{
    (void)state;
    run(500, false, 100);
    assert_true(crowd.missed * 50 <= crowd.expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slot_is_not_given_away_while_it_is_pinned),
        cmocka_unit_test(an_index_stays_while_it_is_pinned),
        cmocka_unit_test(a_pinned_slot_can_still_be_told_from_a_live_one),
        cmocka_unit_test(what_a_bitmap_does_not_cover_is_not_permitted),
        cmocka_unit_test(linking_hides_nothing_from_a_search),
        cmocka_unit_test(coming_and_going_hides_nothing_else),
        cmocka_unit_test(a_graph_dropped_meanwhile_is_walked_to_the_end),
        cmocka_unit_test(exact_copies_given_up_meanwhile_are_there_to_the_end),
        cmocka_unit_test(a_walk_stays_within_the_rows_that_it_began_with),
        cmocka_unit_test(links_of_two_moments_are_not_mixed),
        cmocka_unit_test(links_half_written_are_waited_for),
        cmocka_unit_test(a_scan_beside_a_writer_is_exact),
        cmocka_unit_test(walks_beside_a_writer_find_nearly_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
