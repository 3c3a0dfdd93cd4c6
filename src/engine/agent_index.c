/* SPDX-License-Identifier: MIT
 *
 * Agents of a large tenant by their vectors. */
#include "engine/agent_index_priv.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "engine/engine_priv.h"

#define ROTATION_SEED UINT64_C(0x6167656e74)

enum {
    WORD = 64,
    FILL = 32,       /* profiles copied in one piece: as long as one is linked */
    FRESH_SHARE = 16 /* not linked yet, of all: few enough to scan beside a walk; a guess */
};

/* ---- sets ---- */

static bool has_bit(const uint64_t *set, uint32_t at)
{
    return set[at / WORD] >> at % WORD & 1;
}

static void put_bit(uint64_t *set, uint32_t at, bool on, uint32_t *count)
{
    if (has_bit(set, at) == on)
        return;
    set[at / WORD] ^= UINT64_C(1) << at % WORD;
    *count += on ? 1 : UINT32_MAX;
}

static bool grow_set(uint64_t **set, uint32_t cap, uint32_t want)
{
    uint64_t *p = mem_resize(*set, want / WORD, sizeof *p);
    if (!p)
        return false;
    memset(p + cap / WORD, 0, (want - cap) / WORD * sizeof *p);
    *set = p;
    return true;
}

static bool grow_slots(uint32_t **slots, uint32_t cap, uint32_t want)
{
    uint32_t *p = mem_resize(*slots, want, sizeof *p);
    for (uint32_t i = cap; p && i < want; i++)
        p[i] = AGENT_NO_PLACE;
    *slots = p ? p : *slots;
    return p != NULL;
}

static uint32_t larger_cap(uint32_t cap, uint32_t need)
{
    uint32_t want = cap ? cap : 4 * WORD;
    while (want < need)
        want *= 2;
    return want;
}

/* By agents and by places; what of it has grown when memory ends stays so. */
static bool grow_agents(struct agent_index *x, uint32_t need)
{
    uint32_t cap = x->agent_cap, want = larger_cap(cap, need);
    if (need <= cap)
        return true;
    bool ok = grow_slots(&x->place_of, cap, want);
    for (uint32_t label = LABEL_PUBLIC; ok && label <= LABEL_SECRET; label++)
        ok = grow_set(&x->open[label], cap, want);
    x->agent_cap = ok ? want : cap;
    return ok;
}

static bool grow_places(struct agent_index *x, uint32_t need)
{
    uint32_t cap = x->place_cap, want = larger_cap(cap, need);
    if (need <= cap)
        return true;
    bool ok = grow_slots(&x->agent_of, cap, want);
    for (uint32_t label = LABEL_PUBLIC; ok && label <= LABEL_SECRET; label++)
        ok = grow_set(&x->permit[label], cap, want);
    x->place_cap = ok ? want : cap;
    return ok;
}

/* ---- changing ---- */

static uint32_t places_end(const struct agent_index *x)
{
    return (uint32_t)vectors_permit_words(x->vectors) * WORD;
}

static bool has_room(const struct tenant *t, uint32_t more)
{
    const struct agent_index *x = &t->index;
    return t->agent_count + more <= x->agent_cap && places_end(x) + more <= x->place_cap &&
           vectors_has_room(x->vectors, more);
}

static bool make_room(struct tenant *t, uint32_t more)
{
    struct agent_index *x = &t->index;
    return grow_agents(x, t->agent_count + more) && grow_places(x, places_end(x) + more) &&
           vectors_reserve(x->vectors, more);
}

bool agent_index_reserve(struct network *n, struct tenant *t, uint32_t more)
{
    if (!t->index.vectors || has_room(t, more))
        return true;
    pthread_rwlock_wrlock(&n->lock);
    bool ok = make_room(t, more);
    pthread_rwlock_unlock(&n->lock);
    return ok;
}

static uint32_t enough(const struct tenant *t)
{
    uint32_t max = t->engine->agent_flat_max;
    return max ? max : AGENT_FLAT_MAX;
}

/* There may be work on this index. */
static void put_in_line(struct tenant *t)
{
    struct engine *e = t->engine;
    if (t->index.in_line || (!t->index.vectors && t->active_agents <= enough(t)))
        return;
    t->index.in_line = true;
    t->index.next = e->agent_line;
    e->agent_line = t;
}

/* Takes the agent's vector out, and with it the permission to find it there. */
static void take_out(struct agent_index *x, uint32_t slot)
{
    uint32_t place = x->place_of[slot];
    if (place == AGENT_NO_PLACE)
        return;
    for (uint32_t label = LABEL_PUBLIC; label <= LABEL_SECRET; label++)
        put_bit(x->permit[label], place, false, &x->permitted[label]);
    x->agent_of[place] = x->place_of[slot] = AGENT_NO_PLACE;
    vectors_remove(x->vectors, place);
}

static void put_in(struct agent_index *x, uint32_t slot, const float *profile)
{
    take_out(x, slot);
    if (!profile)
        return;
    uint32_t place = vectors_add(x->vectors, profile);
    x->place_of[slot] = place;
    x->agent_of[place] = slot;
}

void agent_index_put(struct tenant *t, uint32_t slot, const float *profile)
{
    struct agent_index *x = &t->index;
    put_in_line(t);
    if (!x->vectors || slot > x->filled)
        return; /* its turn comes */
    x->filled += slot == x->filled;
    put_in(x, slot, profile);
}

void agent_index_reach(struct tenant *t, uint32_t slot)
{
    struct agent_index *x = &t->index;
    put_in_line(t); /* who is suspended makes a tenant smaller */
    if (slot >= x->filled)
        return;
    for (uint32_t label = LABEL_PUBLIC; label <= LABEL_SECRET; label++) {
        bool on = t->reach[slot] >= label;
        put_bit(x->open[label], slot, on, &x->open_count[label]);
        if (x->place_of[slot] != AGENT_NO_PLACE)
            put_bit(x->permit[label], x->place_of[slot], on, &x->permitted[label]);
    }
}

void agent_index_release(struct tenant *t)
{
    struct agent_index *x = &t->index;
    vectors_free(x->vectors);
    mem_free(x->place_of);
    mem_free(x->agent_of);
    for (uint32_t label = LABEL_PUBLIC; label <= LABEL_SECRET; label++) {
        mem_free(x->open[label]);
        mem_free(x->permit[label]);
    }
    *x = (struct agent_index){.in_line = x->in_line, .next = x->next};
}

/* ---- behind everybody's back ---- */

static bool make_index(struct tenant *t)
{
    /* few are never linked: a tenant that shrinks loses its index before its graph */
    struct vectors_options o = {
        .dim = t->profiles.dim, .flat_max = enough(t) / 4 + 1, .seed = ROTATION_SEED};
    t->index.vectors = vectors_new(&o);
    if (t->index.vectors && make_room(t, LIMIT_GROUP))
        return true;
    agent_index_release(t);
    return false;
}

static enum vectors_left fill(struct tenant *t)
{
    struct agent_index *x = &t->index;
    float profile[LIMIT_DIM_MAX] QMN_UNINIT;
    if (!make_room(t, FILL + LIMIT_GROUP))
        return VECTORS_NOMEM;
    for (uint32_t i = 0; i < FILL && x->filled < t->agent_count; i++) {
        uint32_t slot = x->filled;
        bool has = flat_has(&t->profiles, slot);
        if (has)
            flat_copy(&t->profiles, slot, profile);
        agent_index_put(t, slot, has ? profile : NULL);
        agent_index_reach(t, slot);
    }
    return VECTORS_MORE;
}

/* Beside decisions, which see no lock of it. */
static enum vectors_left link_some(struct engine *e, struct agent_index *x)
{
    struct vectors_stats stats;
    pthread_mutex_lock(&e->net.index_lock);
    enum vectors_left left = vectors_work(x->vectors, 1);
    pthread_mutex_unlock(&e->net.index_lock);
    vectors_stats(x->vectors, &stats);
    if (x->ready || !stats.linked || stats.fresh > stats.live / FRESH_SHARE)
        return left;
    pthread_rwlock_wrlock(&e->net.lock);
    x->ready = true;
    pthread_rwlock_unlock(&e->net.lock);
    return left;
}

/* All but linking: lock held for writing. */
static enum vectors_left work(struct tenant *t)
{
    struct agent_index *x = &t->index;
    if (!x->vectors && (t->active_agents <= enough(t) || t->profiles.dim < VECTORS_DIM_MIN))
        return VECTORS_DONE;
    if (!x->vectors)
        return make_index(t) ? VECTORS_MORE : VECTORS_NOMEM;
    if (t->active_agents < enough(t) / 2) {
        agent_index_release(t);
        return VECTORS_DONE;
    }
    return fill(t);
}

static bool may_link(const struct tenant *t)
{
    const struct agent_index *x = &t->index;
    return x->vectors && t->active_agents >= enough(t) / 2 && x->filled == t->agent_count;
}

/* Without memory for it the work stays undone until an agent changes again: decisions do without.
 */
bool agent_index_work(struct engine *e)
{
    struct tenant *t = e->agent_line;
    if (!t)
        return false;
    enum vectors_left left;
    if (may_link(t)) {
        left = link_some(e, &t->index);
    } else {
        pthread_rwlock_wrlock(&e->net.lock);
        left = work(t);
        pthread_rwlock_unlock(&e->net.lock);
    }
    if (left != VECTORS_MORE) {
        e->agent_line = t->index.next;
        t->index.in_line = false;
    }
    return e->agent_line != NULL;
}

/* ---- searching ---- */

size_t agent_index_words(const struct tenant *t)
{
    return vectors_permit_words(t->index.vectors);
}

bool agent_index_nearest(struct engine *e, const struct tenant *t,
                         const struct agent_index_query *q, struct topk_item *ret,
                         size_t *ret_count)
{
    const struct agent_index *x = &t->index;
    struct vectors_query search = {.x = q->unit,
                                   .k = q->k,
                                   .ef = q->ef,
                                   .permit = q->among ? q->among : x->permit[q->label],
                                   .permitted = q->among ? q->count : x->permitted[q->label]};
    *ret_count = 0;
    if (!search.permitted)
        return true;
    struct vectors_searcher *searcher = searchers_take(&e->searchers);
    if (!searcher)
        return false;
    bool ok = vectors_search(x->vectors, &search, searcher, ret, ret_count, NULL);
    searchers_give(&e->searchers, searcher);
    for (size_t i = 0; ok && i < *ret_count; i++)
        ret[i].id = x->agent_of[ret[i].id];
    return ok;
}

static int by_number(const void *pa, const void *pb)
{
    const uint32_t *a = pa, *b = pb;
    return (*a > *b) - (*a < *b);
}

/* m distinct numbers below n, in order [Floyd: Bentley, "A Sample of Brilliance", CACM 1987]. */
static void draw(uint32_t n, uint32_t m, struct rng *rng, uint32_t *ret)
{
    uint32_t len = 0;
    for (uint32_t top = n - m; top < n; top++) {
        uint32_t drawn = rng_below(rng, top + 1);
        for (uint32_t i = 0; i < len; i++)
            if (ret[i] == drawn) {
                drawn = top;
                break;
            }
        ret[len++] = drawn;
    }
    qsort(ret, m, sizeof *ret, by_number);
}

/* The place of the nth bit of a word that has more. */
static uint32_t nth_bit(uint64_t word, uint32_t nth)
{
    while (nth--)
        word &= word - 1;
    return (uint32_t)__builtin_ctzll(word);
}

uint32_t agent_index_sample(const struct tenant *t, uint32_t label, uint32_t m, struct rng *rng,
                            uint32_t *ret_slots, uint32_t *ret_total)
{
    const uint64_t *open = t->index.open[label];
    uint32_t total = t->index.open_count[label], before = 0, next = 0;
    assert(m <= AGENT_SAMPLE_MAX);
    *ret_total = total;
    m = m < total ? m : total;
    draw(total, m, rng, ret_slots);
    for (uint32_t w = 0; next < m; w++) { /* ranks become slots in one walk */
        uint32_t here = (uint32_t)__builtin_popcountll(open[w]);
        for (; next < m && ret_slots[next] < before + here; next++)
            ret_slots[next] = w * WORD + nth_bit(open[w], ret_slots[next] - before);
        before += here;
    }
    return m;
}

/* ---- for tests ---- */

static bool agent_held(const struct tenant *t, uint32_t slot)
{
    const struct agent_index *x = &t->index;
    uint32_t place = x->place_of[slot];
    bool has = place != AGENT_NO_PLACE;
    if (has != flat_has(&t->profiles, slot) ||
        (has && (x->agent_of[place] != slot || !vectors_has(x->vectors, place))))
        return false;
    for (uint32_t label = LABEL_PUBLIC; label <= LABEL_SECRET; label++)
        if (has_bit(x->open[label], slot) != (t->reach[slot] >= label) ||
            (has && has_bit(x->permit[label], place) != (t->reach[slot] >= label)))
            return false;
    return true;
}

bool agent_index_holds(const struct tenant *t)
{
    const struct agent_index *x = &t->index;
    uint32_t open[LABEL_SECRET + 1] = {0}, permitted[LABEL_SECRET + 1] = {0};
    if (!x->vectors)
        return !x->ready && !x->filled;
    if (x->filled > t->agent_count || (x->ready && x->filled < t->agent_count))
        return false;
    for (uint32_t slot = 0; slot < x->filled; slot++) {
        if (!agent_held(t, slot))
            return false;
        for (uint32_t label = LABEL_PUBLIC; label <= t->reach[slot]; label++) {
            open[label]++;
            permitted[label] += x->place_of[slot] != AGENT_NO_PLACE;
        }
    }
    return memcmp(open, x->open_count, sizeof open) == 0 &&
           memcmp(permitted, x->permitted, sizeof permitted) == 0;
}
