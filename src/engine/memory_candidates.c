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

/* Where the index has int8 only, so many are looked at closely for k that are wanted: those at the
 * edge may stand in the wrong order.  Of 1,536 dimensions int8 cosines are off by .0002. */
static size_t with_reserve(size_t k)
{
    return k + k / 4 + 4;
}

/* Among so many permitted, ever more are asked for: true when the last of `pool` is told apart from
 * those left out, or nothing more can come. */
static bool is_enough(const struct topk_item *items, size_t count, size_t asked, size_t pool,
                      size_t most)
{
    return count < asked || asked == most || items[asked - 1].score < items[pool - 1].score;
}

bool memory_candidates_search(struct engine *e, const struct memory_aim *aim,
                              struct memory_finds *finds, struct arena *arena)
{
    size_t most = finds->permitted < VECTORS_K_MAX ? (size_t)finds->permitted : VECTORS_K_MAX;
    size_t pool = finds->rough ? with_reserve(aim->pool) : aim->pool;
    for (size_t want = pool + 1;; want *= MORE) {
        want = want < most ? want : most;
        if (!memory_index_search(e, finds, aim->unit, (uint32_t)want, aim->exact, arena))
            return false;
        if (is_enough(finds->items, finds->count, want, pool, most))
            break;
    }
    /* if it lost its copies on the way, some of the cosines may be rough */
    finds->rough = memory_index_is_rough(finds);
    return true;
}

/* The same by words. */
static bool search_words(const struct memory_aim *aim, struct arena *arena,
                         struct topk_item **ret_items, size_t *ret_count)
{
    size_t most = aim->permit->count;
    for (size_t want = (size_t)aim->pool + 1;; want *= MORE) {
        want = want < most ? want : most;
        *ret_items = arena_raw(arena, struct topk_item, want + 1);
        if (!*ret_items || !lexical_best(aim->words, want, arena, *ret_items, ret_count))
            return false;
        if (is_enough(*ret_items, *ret_count, want, aim->pool, most))
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

static struct memory_candidate candidate(const struct memory *m, const struct topk_item *item)
{
    return (struct memory_candidate){.no = m->no, .slot = item->id, .relevance = item->score};
}

/* In their order, and no more than were asked for. */
static void sort_best(struct memory_candidates *c, size_t pool)
{
    if (c->count)
        qsort(c->items, c->count, sizeof *c->items, by_relevance);
    c->count = c->count < pool ? c->count : pool;
}

static bool take_vectors(const struct tenant *t, const struct memory_aim *aim,
                         const struct memory_finds *finds, struct arena *arena,
                         struct memory_candidates *ret)
{
    *ret = (struct memory_candidates){.exact = finds->exact};
    ret->items = arena_array(arena, struct memory_candidate, finds->count + 1);
    if (!ret->items)
        return false;
    for (size_t i = 0; i < finds->count; i++) {
        const struct memory *m = memory_index_found(t, finds, aim->permit, i);
        if (m)
            ret->items[ret->count++] = candidate(m, &finds->items[i]);
    }
    sort_best(ret, aim->pool);
    for (uint32_t i = 0; i < ret->count; i++) {
        ret->items[i].vector_rank = i + 1;
        ret->items[i].cosine = ret->items[i].relevance;
    }
    return true;
}

static bool take_words(const struct tenant *t, const struct memory_aim *aim, struct arena *arena,
                       struct memory_candidates *ret)
{
    struct topk_item *items = NULL;
    size_t count = 0;
    *ret = (struct memory_candidates){.exact = true};
    if (aim->permit->count && !search_words(aim, arena, &items, &count))
        return false;
    ret->items = arena_array(arena, struct memory_candidate, count + 1);
    if (!ret->items)
        return false;
    for (size_t i = 0; i < count; i++)
        ret->items[ret->count++] = candidate(&t->memories[items[i].id], &items[i]);
    sort_best(ret, aim->pool);
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
static bool fuse(const struct memory_aim *aim, struct memory_candidates *all, size_t vectors,
                 size_t words, struct arena *arena)
{
    size_t n = all->count;
    struct topk_item *v = arena_array(arena, struct topk_item, vectors + 1);
    struct topk_item *w = arena_array(arena, struct topk_item, words + 1);
    struct topk_item *fused = arena_array(arena, struct topk_item, n + 1);
    struct fuse_place *room = arena_array(arena, struct fuse_place, vectors + words + 1);
    if (!v || !w || !fused || !room)
        return false;
    for (uint32_t i = 0; i < n; i++) {
        if (all->items[i].vector_rank)
            v[all->items[i].vector_rank - 1] = (struct topk_item){all->items[i].cosine, i};
        if (all->items[i].words_rank)
            w[all->items[i].words_rank - 1] = (struct topk_item){all->items[i].words_score, i};
    }
    double weight = aim->alike ? FUSE_WORDS_WEIGHT : FUSE_ANY_WORDS_WEIGHT;
    struct fuse_list lists[] = {{v, vectors, 1, false}, {w, words, weight, true}};
    size_t count = fuse_ranks(lists, 2, FUSE_WORDS_DAMPING, n, room, fused);
    for (size_t i = 0; i < count; i++)
        all->items[fused[i].id].relevance = fused[i].score;
    if (n)
        qsort(all->items, n, sizeof *all->items, by_relevance);
    return true;
}

static bool take_both(const struct tenant *t, const struct memory_aim *aim,
                      const struct memory_finds *finds, struct arena *arena,
                      struct memory_candidates *ret)
{
    struct memory_candidates v, w;
    if (!take_vectors(t, aim, finds, arena, &v) || !take_words(t, aim, arena, &w))
        return false;
    ret->exact = v.exact;
    ret->items = arena_array(arena, struct memory_candidate, v.count + w.count + 1);
    if (!ret->items)
        return false;
    memcpy(ret->items, v.items, v.count * sizeof *v.items);
    memcpy(ret->items + v.count, w.items, w.count * sizeof *w.items);
    ret->count = unite(ret->items, v.count + w.count);
    return fuse(aim, ret, v.count, w.count, arena);
}

bool memory_candidates_take(const struct tenant *t, const struct memory_aim *aim,
                            const struct memory_finds *finds, struct arena *arena,
                            struct memory_candidates *ret)
{
    *ret = (struct memory_candidates){.exact = true};
    if (aim->unit && aim->words)
        return take_both(t, aim, finds, arena, ret);
    return aim->unit ? take_vectors(t, aim, finds, arena, ret) : take_words(t, aim, arena, ret);
}
