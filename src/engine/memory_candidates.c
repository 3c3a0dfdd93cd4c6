/* SPDX-License-Identifier: MIT
 *
 * The candidates of a search.
 *
 * Both indexes order equal scores by slot, and slots are given anew: whoever was deleted before,
 * perhaps hidden, would decide which of several equal memories are among the best k, and in what
 * order.  So each is asked for one more than is wanted, and for many more while the last that is
 * wanted equals the last that came; then equal ones are put in order by number, the oldest first.
 */
#include "engine/memory_candidates_priv.h"

#include <stdlib.h>

#include "route/fuse.h"

enum { MORE = 8 }; /* times as many, while there are too many equal ones */

/* One kind of search, as far as the order of equal scores goes. */
struct ranking {
    struct engine *e;
    const struct tenant *t;
    const struct memory_aim *aim;
    struct arena *arena;
    struct topk_item *items;
    size_t count;
    bool exact;
};

typedef bool best_fn(struct ranking *r, size_t k);

static bool best_by_vector(struct ranking *r, size_t k)
{
    struct memory_finds finds;
    struct vectors_query q = {.x = r->aim->unit,
                              .k = (uint32_t)k,
                              .permit = r->aim->permit->bits,
                              .permitted = r->aim->permit->count,
                              .force_exact = r->aim->exact};
    if (!memory_index_search(r->e, r->t, &q, r->arena, &finds))
        return false;
    r->items = finds.items;
    r->count = finds.count;
    r->exact = finds.exact;
    return true;
}

static bool best_by_words(struct ranking *r, size_t k)
{
    r->items = arena_raw(r->arena, struct topk_item, k);
    r->count = 0;
    return r->items && lexical_best(r->aim->words, k, r->arena, r->items, &r->count);
}

/* The k best such that whoever equals the last of them and is left out has a higher number. */
static bool rank(struct ranking *r, best_fn *best, size_t most)
{
    size_t k = r->aim->pool, permitted = r->aim->permit->count;
    most = permitted < most ? permitted : most;
    for (size_t want = k + 1;; want *= MORE) {
        want = want < most ? want : most;
        if (!best(r, want))
            return false;
        if (r->count < want || want == most || r->items[want - 1].score < r->items[k - 1].score)
            return true;
    }
}

static int by_number(const void *pa, const void *pb)
{
    const struct memory_candidate *a = pa, *b = pb;
    return (a->no > b->no) - (a->no < b->no);
}

static int by_relevance(const void *pa, const void *pb)
{
    const struct memory_candidate *a = pa, *b = pb;
    if (a->relevance != b->relevance)
        return a->relevance > b->relevance ? -1 : 1;
    return by_number(a, b);
}

/* The best of a ranking as candidates in their order; room for r->count. */
static size_t take_best(const struct ranking *r, struct memory_candidate *ret)
{
    size_t pool = r->aim->pool;
    for (size_t i = 0; i < r->count; i++)
        ret[i] = (struct memory_candidate){.no = r->t->memories[r->items[i].id].no,
                                           .slot = r->items[i].id,
                                           .relevance = r->items[i].score};
    if (r->count)
        qsort(ret, r->count, sizeof *ret, by_relevance);
    return r->count < pool ? r->count : pool;
}

static bool find_by_vector(struct ranking *r, struct memory_candidates *ret)
{
    if (!rank(r, best_by_vector, VECTORS_K_MAX))
        return false;
    ret->exact = r->exact;
    ret->items = arena_array(r->arena, struct memory_candidate, r->count + 1);
    if (!ret->items)
        return false;
    ret->count = take_best(r, ret->items);
    for (uint32_t i = 0; i < ret->count; i++) {
        ret->items[i].vector_rank = i + 1;
        ret->items[i].cosine = ret->items[i].relevance;
    }
    return true;
}

static bool find_by_words(struct ranking *r, struct memory_candidates *ret)
{
    if (!rank(r, best_by_words, SIZE_MAX))
        return false;
    ret->exact = true;
    ret->items = arena_array(r->arena, struct memory_candidate, r->count + 1);
    if (!ret->items)
        return false;
    ret->count = take_best(r, ret->items);
    for (uint32_t i = 0; i < ret->count; i++) {
        ret->items[i].words_rank = i + 1;
        ret->items[i].words_score = ret->items[i].relevance;
    }
    return true;
}

/* ---- both ---- */

/* Makes one of two that are the same memory; sorted by number. */
static size_t unite(struct memory_candidate *all, size_t count)
{
    size_t out = 0;
    qsort(all, count, sizeof *all, by_number);
    for (size_t i = 0; i < count; i++) {
        struct memory_candidate *last = out ? &all[out - 1] : NULL;
        if (!last || last->no != all[i].no) {
            all[out++] = all[i];
            continue;
        }
        const struct memory_candidate *v = last->vector_rank ? last : &all[i];
        const struct memory_candidate *w = last->vector_rank ? &all[i] : last;
        struct memory_candidate both = *v;
        both.words_rank = w->words_rank;
        both.words_score = w->words_score;
        *last = both;
    }
    return out;
}

/* Candidates go by their places here, which are in order of their numbers: equal sums, too. */
static bool fuse(struct ranking *r, struct memory_candidates *all, size_t vectors, size_t words)
{
    size_t n = all->count;
    struct topk_item *v = arena_array(r->arena, struct topk_item, vectors + 1);
    struct topk_item *w = arena_array(r->arena, struct topk_item, words + 1);
    struct topk_item *fused = arena_array(r->arena, struct topk_item, n + 1);
    struct fuse_place *room = arena_array(r->arena, struct fuse_place, vectors + words + 1);
    if (!v || !w || !fused || !room)
        return false;
    for (uint32_t i = 0; i < n; i++) {
        if (all->items[i].vector_rank)
            v[all->items[i].vector_rank - 1] = (struct topk_item){all->items[i].cosine, i};
        if (all->items[i].words_rank)
            w[all->items[i].words_rank - 1] = (struct topk_item){all->items[i].words_score, i};
    }
    double weight = r->aim->alike ? FUSE_WORDS_WEIGHT : FUSE_ANY_WORDS_WEIGHT;
    struct fuse_list lists[] = {{v, vectors, 1, false}, {w, words, weight, true}};
    size_t count = fuse_ranks(lists, 2, FUSE_WORDS_DAMPING, n, room, fused);
    for (size_t i = 0; i < count; i++)
        all->items[fused[i].id].relevance = fused[i].score;
    if (n)
        qsort(all->items, n, sizeof *all->items, by_relevance);
    return true;
}

static bool find_by_both(struct ranking *r, struct memory_candidates *ret)
{
    struct memory_candidates v, w;
    if (!find_by_vector(r, &v) || !find_by_words(r, &w))
        return false;
    ret->exact = v.exact;
    ret->items = arena_array(r->arena, struct memory_candidate, v.count + w.count + 1);
    if (!ret->items)
        return false;
    memcpy(ret->items, v.items, v.count * sizeof *v.items);
    memcpy(ret->items + v.count, w.items, w.count * sizeof *w.items);
    ret->count = unite(ret->items, v.count + w.count);
    return fuse(r, ret, v.count, w.count);
}

bool memory_candidates_find(struct engine *e, const struct tenant *t, const struct memory_aim *aim,
                            struct arena *arena, struct memory_candidates *ret)
{
    struct ranking r = {.e = e, .t = t, .aim = aim, .arena = arena};
    *ret = (struct memory_candidates){.exact = true};
    if (!aim->permit->count || !aim->pool)
        return true;
    if (aim->unit && aim->words)
        return find_by_both(&r, ret);
    return aim->unit ? find_by_vector(&r, ret) : find_by_words(&r, ret);
}
