/* SPDX-License-Identifier: MIT
 *
 * The k best, without scoring everybody: MaxScore (Turtle and Flood, "Query evaluation: strategies
 * and optimizations", 1995) with the bounds of blocks (Chakrabarti, Chaudhuri and Ganti, "Interval-
 * based pruning for top-k processing over compressed lists", 2011).
 *
 * The lists of the query's words are sorted by the most each can add.  Those at the front that
 * together cannot lift a document among the k best are only looked up for documents that the others
 * ("essential") name; and where the blocks of the essential lists cannot add up to enough, they are
 * passed over without being decoded.  Slots are met in ascending order, so a document that only
 * equals the k-th best comes later and loses to it: "at most the k-th" is reason enough to skip.
 *
 * Scores are sums of integers, 2^-32 each: as they do not depend on the order of summation, what is
 * skipped, which hidden documents have a part in, leaves no trace in them. */
#include "lexical.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "postings_priv.h"

#define SCORE_UNIT 4294967296.0
#define NO_SLOT    UINT32_MAX
enum {
    QUERY_COUNT_MAX = 255
}; /* repetitions of a word: 32 words of them still add up in 64 bits */

/* ---- the query ---- */

static bool is_counted(const struct lexical *x, const struct lexical_filter *f, uint32_t slot)
{
    uint32_t class_plus = lexical_has(x, slot) ? x->slots[slot].class_plus : 0;
    return class_plus && (f->classes >> (class_plus - 1) & 1);
}

static void count_permitted(const struct lexical *x, const struct lexical_filter *f,
                            struct lexical_class *ret)
{
    uint32_t classes = f->classes;
    *ret = (struct lexical_class){0};
    for (uint32_t c = 0; c < LEXICAL_CLASSES; c++)
        if (classes >> c & 1) {
            ret->docs += x->classes[c].docs;
            ret->words += x->classes[c].words;
        }
    for (uint32_t i = 0; i < f->absent_count; i++)
        if (is_counted(x, f, f->absent[i])) {
            ret->docs--;
            ret->words -= x->slots[f->absent[i]].words;
        }
}

/* How many permitted documents have the word. */
static uint64_t count_with(const struct lexical *x, const struct lexical_filter *filter,
                           const struct lexical_term *t)
{
    uint64_t with = 0;
    for (uint32_t c = 0; c < LEXICAL_CLASSES; c++)
        with += filter->classes >> c & 1 ? t->docs[c] : 0;
    for (uint32_t i = 0; with && i < filter->absent_count; i++)
        with -=
            is_counted(x, filter, filter->absent[i]) && posting_list_tf(x, t, filter->absent[i]);
    return with;
}

/* a before b: heavier, or as heavy and earlier in the query.  Not by hash, which is secret. */
static bool word_before(const struct lexical_word *a, const struct lexical_word *b)
{
    return a->weight > b->weight || (a->weight == b->weight && a->first < b->first);
}

/* Keeps the heaviest, in order. */
static void keep_word(struct lexical_query *q, struct lexical_word word)
{
    if (q->len == LEXICAL_QUERY_WORDS) {
        if (!word_before(&word, &q->words[q->len - 1]))
            return;
        q->len--;
    }
    uint32_t at = q->len++;
    for (; at > 0 && word_before(&word, &q->words[at - 1]); at--)
        q->words[at] = q->words[at - 1];
    q->words[at] = word;
}

void lexical_query_init(struct lexical_query *q, const struct lexical *x,
                        const struct lexical_doc *doc, const struct lexical_filter *filter)
{
    struct lexical_class all;
    count_permitted(x, filter, &all);
    double mean = all.words ? (double)all.words / (double)all.docs : 1;
    q->index = x;
    q->filter = *filter;
    q->norm_base = LEXICAL_K1 * (1 - LEXICAL_B);
    q->norm_len = LEXICAL_K1 * LEXICAL_B / mean;
    q->len = 0;
    for (uint32_t i = 0; i < doc->len; i++) {
        const uint64_t *term = u64map_get(&x->by_hash, doc->counts[i].hash);
        uint64_t with = term ? count_with(x, filter, &x->terms[*term]) : 0;
        if (!with)
            continue;
        uint32_t times = doc->counts[i].count;
        times = times < QUERY_COUNT_MAX ? times : QUERY_COUNT_MAX;
        double weight = times * (doc->counts[i].common ? LEXICAL_COMMON : 1);
        double idf = log1p(((double)(all.docs - with) + 0.5) / ((double)with + 0.5));
        keep_word(q, (struct lexical_word){(uint32_t)*term, doc->counts[i].first,
                                           weight * idf * (LEXICAL_K1 + 1)});
    }
}

static uint64_t part(const struct lexical_query *q, double weight, uint32_t tf, uint32_t words)
{
    double norm = q->norm_base + q->norm_len * words;
    return (uint64_t)(weight * tf / (tf + norm) * SCORE_UNIT + 0.5);
}

/* The most a posting can add; 1 for what rounding could make of it. */
static uint64_t part_bound(const struct lexical_query *q, double weight, struct posting_bound b)
{
    uint64_t once = part(q, weight, 1, b.once_len_min);
    uint64_t more = part(q, weight, b.tf_max, b.more_len_min);
    return (once > more ? once : more) + 1;
}

static float score_of(uint64_t sum)
{
    return (float)((double)sum / SCORE_UNIT);
}

static bool is_permitted(const struct lexical_query *q, uint32_t slot)
{
    uint32_t class_plus = q->index->slots[slot].class_plus;
    return class_plus && (q->filter.classes >> (class_plus - 1) & 1);
}

float lexical_score(const struct lexical_query *q, uint32_t slot, float *ret_parts)
{
    const struct lexical *x = q->index;
    bool permitted = lexical_has(x, slot) && is_permitted(q, slot);
    uint64_t sum = 0;
    for (uint32_t i = 0; i < q->len; i++) {
        const struct lexical_word *w = &q->words[i];
        uint32_t tf = permitted ? posting_list_tf(x, &x->terms[w->term], slot) : 0;
        uint64_t adds = tf ? part(q, w->weight, tf, x->slots[slot].words) : 0;
        if (ret_parts)
            ret_parts[i] = score_of(adds);
        sum += adds;
    }
    return score_of(sum);
}

/* ---- the lists ---- */

/* A run of postings: a block as it stands, or one made of what waits. */
struct segment {
    uint32_t first, last;
    uint64_t bound;
    const struct postings_block *block; /* NULL: plain */
    const struct posting *plain;
    uint32_t count;
};

struct list {
    double weight;
    struct segment *segments;
    uint32_t len, at;              /* segments; the current one, len: at the end */
    struct posting *room;          /* [POSTINGS_BLOCK] for decoding */
    const struct posting *decoded; /* of the current segment; NULL: not yet */
    uint32_t pos;                  /* in it */
    uint32_t slot;                 /* that the list stands at, NO_SLOT: at its end */
    uint64_t bound;                /* of all segments */
};

static void add_segment(const struct lexical_query *q, struct list *l, const struct posting *p,
                        size_t count)
{
    l->segments[l->len++] = (struct segment){
        .first = p[0].slot,
        .last = p[count - 1].slot,
        .bound = part_bound(q, l->weight, postings_bound(q->index, p, count)),
        .plain = p,
        .count = (uint32_t)count,
    };
}

/* A block with the waiting ones that fall between its slots. */
static bool add_mixed(const struct lexical_query *q, struct list *l, const struct postings_block *b,
                      const struct posting *waiting, size_t count, struct arena *arena)
{
    struct posting *mixed = arena_raw(arena, struct posting, b->count + count);
    if (!mixed)
        return false;
    postings_decode(b, l->room);
    postings_merge(l->room, b->count, waiting, count, mixed);
    add_segment(q, l, mixed, b->count + count);
    return true;
}

static size_t count_below(const struct posting *p, size_t count, uint32_t slot)
{
    size_t n = 0;
    while (n < count && p[n].slot < slot)
        n++;
    return n;
}

/* The blocks and what waits as one ascending sequence of segments. */
static bool list_lay(const struct lexical_query *q, struct list *l, const struct lexical_term *t,
                     struct arena *arena)
{
    size_t left = t->pending_count;
    struct posting *waiting = arena_raw(arena, struct posting, left + 1);
    l->room = arena_raw(arena, struct posting, POSTINGS_BLOCK);
    l->segments = arena_raw(arena, struct segment, 2 * (size_t)t->block_count + 1);
    if (!waiting || !l->room || !l->segments)
        return false;
    posting_list_waiting(q->index, t, waiting);
    for (uint32_t i = 0; i < t->block_count; i++) {
        const struct postings_block *b = &t->blocks[i];
        size_t before = count_below(waiting, left, b->first);
        if (before)
            add_segment(q, l, waiting, before);
        waiting += before;
        left -= before;
        size_t inside = count_below(waiting, left, b->last);
        if (inside && !add_mixed(q, l, b, waiting, inside, arena))
            return false;
        if (!inside)
            l->segments[l->len++] = (struct segment){.first = b->first,
                                                     .last = b->last,
                                                     .bound = part_bound(q, l->weight, b->bound),
                                                     .block = b,
                                                     .count = b->count};
        waiting += inside;
        left -= inside;
    }
    if (left)
        add_segment(q, l, waiting, left);
    return true;
}

static void list_decode(struct list *l)
{
    const struct segment *s = &l->segments[l->at];
    if (s->block)
        postings_decode(s->block, l->room);
    l->decoded = s->block ? l->room : s->plain;
    l->pos = 0;
}

/* Moves to the segment that holds the first slot >= `slot`, if that is another one, without
 * decoding. */
static void list_shift(struct list *l, uint32_t slot)
{
    if (l->at == l->len || l->segments[l->at].last >= slot)
        return;
    do
        l->at++;
    while (l->at < l->len && l->segments[l->at].last < slot);
    l->decoded = NULL;
}

/* Moves to the first posting at or after `slot`. */
static void list_seek(struct list *l, uint32_t slot)
{
    list_shift(l, slot);
    if (l->at == l->len) {
        l->slot = NO_SLOT;
        return;
    }
    if (!l->decoded)
        list_decode(l);
    while (l->decoded[l->pos].slot < slot)
        l->pos++;
    l->slot = l->decoded[l->pos].slot;
}

/* ---- the search ---- */

struct search {
    const struct lexical_query *q;
    struct list lists[LEXICAL_QUERY_WORDS];  /* by bound, the least first */
    uint64_t below[LEXICAL_QUERY_WORDS + 1]; /* below[i]: bounds of lists 0 .. i - 1 together */
    uint32_t len;
    uint32_t essential; /* the first of them */
    uint64_t floor;     /* sums up to it are of no use */
    struct topk best;
    uint32_t checked; /* documents before it may have enough, as far as blocks tell */
};

static bool search_begin(struct search *s, struct arena *arena)
{
    const struct lexical_query *q = s->q;
    for (uint32_t i = 0; i < q->len; i++) {
        struct list l = {.weight = q->words[i].weight};
        if (!list_lay(q, &l, &q->index->terms[q->words[i].term], arena))
            return false;
        for (uint32_t j = 0; j < l.len; j++)
            l.bound = l.segments[j].bound > l.bound ? l.segments[j].bound : l.bound;
        uint32_t at = s->len++;
        for (; at > 0 && s->lists[at - 1].bound > l.bound; at--)
            s->lists[at] = s->lists[at - 1];
        s->lists[at] = l;
    }
    for (uint32_t i = 0; i < s->len; i++) {
        s->below[i + 1] = s->below[i] + s->lists[i].bound;
        list_seek(&s->lists[i], 0);
    }
    return true;
}

static uint32_t next_candidate(const struct search *s)
{
    uint32_t slot = NO_SLOT;
    for (uint32_t i = s->essential; i < s->len; i++)
        slot = s->lists[i].slot < slot ? s->lists[i].slot : slot;
    return slot;
}

static void seek_essential(struct search *s, uint32_t slot)
{
    for (uint32_t i = s->essential; i < s->len; i++)
        if (s->lists[i].slot < slot)
            list_seek(&s->lists[i], slot);
}

/* Whether the blocks that could hold `slot` may add up to enough; if not, all that they hold is
 * passed over.  The answer holds up to the nearest end of a block. */
static bool blocks_suffice(struct search *s, uint32_t slot)
{
    if (slot < s->checked)
        return true;
    uint64_t most = s->below[s->essential];
    uint32_t end = NO_SLOT - 1; /* the last slot for which the sum holds */
    for (uint32_t i = s->essential; i < s->len; i++) {
        const struct list *l = &s->lists[i];
        if (l->slot == NO_SLOT)
            continue;
        const struct segment *g = &l->segments[l->at];
        bool covers = l->slot <= slot || g->first <= slot;
        uint32_t until = covers ? g->last : g->first - 1;
        most += covers ? g->bound : 0;
        end = until < end ? until : end;
    }
    if (most > s->floor) {
        s->checked = end + 1;
        return true;
    }
    seek_essential(s, end + 1);
    return false;
}

/* The sum of a candidate, or 0 once it is clear that it is not enough. */
static uint64_t sum_of(struct search *s, uint32_t slot)
{
    uint32_t words = s->q->index->slots[slot].words;
    uint64_t sum = 0;
    for (uint32_t i = s->essential; i < s->len; i++) {
        const struct list *l = &s->lists[i];
        if (l->slot == slot)
            sum += part(s->q, l->weight, l->decoded[l->pos].tf, words);
    }
    for (uint32_t i = s->essential; i-- > 0;) {
        struct list *l = &s->lists[i];
        if (sum + s->below[i + 1] <= s->floor)
            return 0;
        list_shift(l, slot);
        if (l->at == l->len || l->segments[l->at].first > slot)
            continue;
        if (sum + s->below[i] + l->segments[l->at].bound <= s->floor)
            return 0;
        list_seek(l, slot);
        if (l->slot == slot)
            sum += part(s->q, l->weight, l->decoded[l->pos].tf, words);
    }
    return sum;
}

static void offer(struct search *s, uint32_t slot, uint64_t sum)
{
    const struct lexical_filter *f = &s->q->filter;
    if (sum <= s->floor || (f->permit && !(f->permit[slot / 64] >> slot % 64 & 1)))
        return;
    topk_offer(&s->best, score_of(sum), slot);
    if (s->best.len < s->best.k)
        return;
    /* a float is exact in double, and so is the product: no larger sum rounds to less */
    s->floor = (uint64_t)((double)s->best.items[0].score * SCORE_UNIT);
    while (s->essential < s->len && s->below[s->essential + 1] <= s->floor)
        s->essential++;
    s->checked = 0;
}

bool lexical_best(const struct lexical_query *q, size_t k, struct arena *arena,
                  struct topk_item *ret_items, size_t *ret_count)
{
    struct search *s = arena_new(arena, struct search);
    if (!s)
        return false;
    s->q = q;
    topk_init(&s->best, ret_items, k);
    if (!search_begin(s, arena))
        return false;
    for (uint32_t slot = next_candidate(s); k && slot != NO_SLOT; slot = next_candidate(s)) {
        if (!blocks_suffice(s, slot))
            continue;
        uint64_t sum = is_permitted(q, slot) ? sum_of(s, slot) : 0;
        seek_essential(s, slot + 1);
        offer(s, slot, sum);
    }
    *ret_count = topk_sort(&s->best);
    return true;
}
