/* SPDX-License-Identifier: MIT
 *
 * Which memories somebody may see and a filter lets through, as one bitmap with its count.
 *
 * A condition is evaluated inside a scope, the slots that are still in question: a set is joined
 * with it, a range looks only at its columns.  So conditions that cost little come first and narrow
 * what is left for the others, and nothing outside the scope (hidden, expired, gone) is ever in a
 * result.  Any thread under the read lock. */
#include "engine/memory_sets_priv.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "engine/network_priv.h"

enum { DENSE_WORD = 16 }; /* so many bits of a word: looking at all 64 is as fast (a guess) */

struct eval {
    const struct memory_sets *sets;
    struct arena *arena;
    size_t words;                       /* of every bitmap ... */
    size_t ready;                       /* ... and those that have columns; the rest is empty */
    uint64_t *spare[FILTER_TREE_DEPTH]; /* one for each level */
};

static bool eval(struct eval *v, const struct memory_filter *f, const uint64_t *scope,
                 uint64_t *out, uint32_t depth);

/* ---- columns ---- */

/* What a column has to be: one of a list, in ascending order, or else in [low, high]. */
struct whole_range {
    int64_t low, high;
    const int64_t *list;
    size_t count;
};
struct number_range {
    double low, high;
    const double *list;
    size_t count;
};

static int by_whole(const void *pa, const void *pb)
{
    int64_t a = *(const int64_t *)pa, b = *(const int64_t *)pb;
    return (a > b) - (a < b);
}

static int by_number(const void *pa, const void *pb)
{
    double a = *(const double *)pa, b = *(const double *)pb;
    return (a > b) - (a < b);
}

static bool whole_fits(const struct whole_range *r, int64_t x)
{
    if (!r->list)
        return (x >= r->low) & (x <= r->high);
    return bsearch(&x, r->list, r->count, sizeof x, by_whole) != NULL;
}

static bool number_fits(const struct number_range *r, double x)
{
    if (!r->list)
        return (x >= r->low) & (x <= r->high);
    return bsearch(&x, r->list, r->count, sizeof x, by_number) != NULL;
}

static uint64_t wholes_in(const int64_t *c, const struct whole_range *r, uint64_t scope)
{
    uint64_t hits = 0;
    if (!r->list && bits_in_word(scope) >= DENSE_WORD) {
        for (unsigned i = 0; i < SLOTSET_WORD; i++)
            hits |= (uint64_t)((c[i] >= r->low) & (c[i] <= r->high)) << i;
        return hits & scope;
    }
    for (; scope; scope &= scope - 1) {
        unsigned i = (unsigned)__builtin_ctzll(scope);
        hits |= (uint64_t)whole_fits(r, c[i]) << i;
    }
    return hits;
}

static uint64_t numbers_in(const double *c, const struct number_range *r, uint64_t scope)
{
    uint64_t hits = 0;
    if (!r->list && bits_in_word(scope) >= DENSE_WORD) {
        for (unsigned i = 0; i < SLOTSET_WORD; i++)
            hits |= (uint64_t)((c[i] >= r->low) & (c[i] <= r->high)) << i;
        return hits & scope;
    }
    for (; scope; scope &= scope - 1) {
        unsigned i = (unsigned)__builtin_ctzll(scope);
        hits |= (uint64_t)number_fits(r, c[i]) << i;
    }
    return hits;
}

/* Those of one type; a list of its own is always there, or it would be a range. */
static bool wholes_of(struct eval *v, const struct memory_filter *f, struct whole_range *ret)
{
    int64_t *list = arena_raw(v->arena, int64_t, f->count + 1);
    if (!list)
        return false;
    *ret = (struct whole_range){.list = list};
    for (size_t i = 0; i < f->count; i++)
        if (f->values[i].type == FILTER_WHOLE)
            list[ret->count++] = f->values[i].whole;
    qsort(list, ret->count, sizeof *list, by_whole);
    if (ret->count == 1)
        *ret = (struct whole_range){.low = list[0], .high = list[0]};
    return true;
}

static bool numbers_of(struct eval *v, const struct memory_filter *f, struct number_range *ret)
{
    double *list = arena_raw(v->arena, double, f->count + 1);
    if (!list)
        return false;
    *ret = (struct number_range){.list = list};
    for (size_t i = 0; i < f->count; i++)
        if (f->values[i].type == FILTER_NUMBER)
            list[ret->count++] = f->values[i].number;
    qsort(list, ret->count, sizeof *list, by_number);
    if (ret->count == 1)
        *ret = (struct number_range){.low = list[0], .high = list[0]};
    return true;
}

static struct whole_range whole_range(enum filter_op op, int64_t x)
{
    struct whole_range r = {.low = INT64_MIN, .high = INT64_MAX};
    if (op == FILTER_ABOVE || op == FILTER_FROM)
        r.low = x;
    else
        r.high = x;
    if ((op == FILTER_ABOVE && x == INT64_MAX) || (op == FILTER_BELOW && x == INT64_MIN))
        return (struct whole_range){.low = 1, .high = 0};
    r.low += op == FILTER_ABOVE;
    r.high -= op == FILTER_BELOW;
    return r;
}

static struct number_range number_range(enum filter_op op, double x)
{
    struct number_range r = {.low = -INFINITY, .high = INFINITY};
    if (op == FILTER_ABOVE)
        r.low = nextafter(x, INFINITY);
    else if (op == FILTER_FROM)
        r.low = x;
    else if (op == FILTER_BELOW)
        r.high = nextafter(x, -INFINITY);
    else
        r.high = x;
    return r;
}

static bool has_null(const struct memory_filter *f)
{
    for (size_t i = 0; i < f->count; i++)
        if (f->values[i].type == FILTER_NULL)
            return true;
    return false;
}

static bool quality(struct eval *v, const struct memory_filter *f, const uint64_t *scope,
                    uint64_t *out)
{
    struct number_range r;
    if (f->op != FILTER_IN)
        r = number_range(f->op, f->values[0].number);
    else if (!numbers_of(v, f, &r))
        return false;
    for (size_t w = 0; w < v->ready; w++)
        out[w] =
            scope[w] ? numbers_in(v->sets->columns.quality + w * SLOTSET_WORD, &r, scope[w]) : 0;
    return true;
}

static const int64_t *times(const struct memory_columns *c, enum filter_field field)
{
    if (field == FILTER_CREATED)
        return c->created_ms;
    return field == FILTER_UPDATED ? c->updated_ms : c->expires_ms;
}

static bool time_range(struct eval *v, const struct memory_filter *f, struct whole_range *ret)
{
    bool optional = f->field == FILTER_EXPIRES; /* 0: it is not there */
    if (f->op == FILTER_IN) {
        if (!wholes_of(v, f, ret))
            return false;
    } else {
        *ret = f->op == FILTER_EXISTS ? (struct whole_range){.low = INT64_MIN, .high = INT64_MAX}
                                      : whole_range(f->op, f->values[0].whole);
    }
    if (optional && ret->low < 1)
        ret->low = 1;
    for (; optional && ret->list && ret->count && ret->list[0] < 1; ret->count--)
        ret->list++;
    return true;
}

static bool time_condition(struct eval *v, const struct memory_filter *f, const uint64_t *scope,
                           uint64_t *out)
{
    static const struct whole_range absent = {0};
    struct whole_range r;
    bool none = f->field == FILTER_EXPIRES && f->op == FILTER_IN && has_null(f);
    if (!time_range(v, f, &r))
        return false;
    for (size_t w = 0; w < v->ready; w++) {
        const int64_t *c = times(&v->sets->columns, f->field) + w * SLOTSET_WORD;
        out[w] = scope[w] ? wholes_in(c, &r, scope[w]) : 0;
        if (none && scope[w])
            out[w] |= wholes_in(c, &absent, scope[w]);
    }
    return true;
}

static bool label_fits(const struct memory_filter *f, int64_t label)
{
    struct whole_range r;
    if (f->op == FILTER_EXISTS)
        return true;
    if (f->op != FILTER_IN) {
        r = whole_range(f->op, f->values[0].whole);
        return whole_fits(&r, label);
    }
    for (size_t i = 0; i < f->count; i++)
        if (f->values[i].type == FILTER_WHOLE && f->values[i].whole == label)
            return true;
    return false;
}

static void sensitivity(const struct eval *v, const struct memory_filter *f, const uint64_t *scope,
                        uint64_t *out)
{
    for (int label = LABEL_PUBLIC; label <= LABEL_SECRET; label++)
        if (label_fits(f, label))
            for (size_t w = 0; w < v->ready; w++)
                out[w] |= v->sets->heads[w].label[label - 1] & scope[w];
}

/* ---- terms ---- */

static struct bytes path_of(const struct memory_filter *f)
{
    static const char *const names[] = {[FILTER_KIND] = "kind",
                                        [FILTER_AGENT] = "agent_id",
                                        [FILTER_TASK] = "task_id",
                                        [FILTER_TRACE] = "trace_id"};
    return f->field == FILTER_METADATA ? f->path : bytes_cstr(names[f->field]);
}

static void column_numbers(const struct numbers *n, const struct number_range *r,
                           const uint64_t *scope, uint64_t *out)
{
    for (uint32_t i = 0; n && i < n->count; i++) { /* no branch: which fit is anybody's guess */
        uint64_t fits = number_fits(r, n->values[i]);
        uint32_t slot = n->slots[i];
        out[slot / SLOTSET_WORD] |= scope[slot / SLOTSET_WORD] & fits << slot % SLOTSET_WORD;
    }
}

static enum fact_type fact_of(enum filter_type type)
{
    switch (type) {
    case FILTER_NULL:
        return FACT_NULL;
    case FILTER_FALSE:
        return FACT_FALSE;
    case FILTER_TRUE:
        return FACT_TRUE;
    default:
        return FACT_TEXT;
    }
}

static bool term_in(struct eval *v, const struct memory_filter *f, const uint64_t *scope,
                    uint64_t *out)
{
    const struct terms *x = &v->sets->terms;
    const struct term *path = terms_path(x, path_of(f)), *t;
    struct number_range r;
    if (!numbers_of(v, f, &r))
        return false;
    if (has_null(f)) { /* what is not there is null */
        if (path)
            slotset_join(&path->set, scope, out, v->words);
        for (size_t w = 0; w < v->words; w++)
            out[w] = scope[w] & ~out[w];
    }
    for (size_t i = 0; path && i < f->count; i++) {
        enum filter_type type = f->values[i].type;
        if (type == FILTER_NUMBER)
            continue;
        t = terms_value(x, path, fact_of(type),
                        type == FILTER_TEXT ? f->values[i].text : bytes_of(NULL, 0));
        if (t)
            slotset_join(&t->set, scope, out, v->words);
    }
    if (path && (!r.list || r.count))
        column_numbers(path->numbers, &r, scope, out);
    return true;
}

static bool text_fits(enum filter_op op, struct bytes bound, const struct term *t)
{
    int c = bytes_compare(term_text(t), bound);
    if (!c && t->type == FACT_LONG)
        c = 1; /* it goes on */
    switch (op) {
    case FILTER_ABOVE:
        return c > 0;
    case FILTER_FROM:
        return c >= 0;
    case FILTER_BELOW:
        return c < 0;
    default:
        return c <= 0;
    }
}

/* A number is compared with numbers, a text with texts. */
static void term_range(const struct eval *v, const struct memory_filter *f, const uint64_t *scope,
                       uint64_t *out)
{
    const struct term *path = terms_path(&v->sets->terms, path_of(f));
    if (!path)
        return;
    if (f->values[0].type == FILTER_NUMBER) {
        struct number_range r = number_range(f->op, f->values[0].number);
        column_numbers(path->numbers, &r, scope, out);
        return;
    }
    for (const struct term *t = path->values; t; t = t->next)
        if ((t->type == FACT_TEXT || t->type == FACT_LONG) &&
            text_fits(f->op, f->values[0].text, t))
            slotset_join(&t->set, scope, out, v->words);
}

static bool term_condition(struct eval *v, const struct memory_filter *f, const uint64_t *scope,
                           uint64_t *out)
{
    if (f->op == FILTER_IN)
        return term_in(v, f, scope, out);
    if (f->op != FILTER_EXISTS) {
        term_range(v, f, scope, out);
        return true;
    }
    const struct term *path = terms_path(&v->sets->terms, path_of(f));
    if (path)
        slotset_join(&path->set, scope, out, v->words);
    return true;
}

/* ---- the tree ---- */

static bool condition(struct eval *v, const struct memory_filter *f, const uint64_t *scope,
                      uint64_t *out)
{
    memset(out, 0, v->words * sizeof *out);
    switch (f->field) {
    case FILTER_QUALITY:
        if (f->op != FILTER_EXISTS)
            return quality(v, f, scope, out);
        memcpy(out, scope, v->words * sizeof *out);
        return true;
    case FILTER_CREATED:
    case FILTER_UPDATED:
    case FILTER_EXPIRES:
        return time_condition(v, f, scope, out);
    case FILTER_SENSITIVITY:
        sensitivity(v, f, scope, out);
        return true;
    default:
        return term_condition(v, f, scope, out);
    }
}

static uint64_t *spare(struct eval *v, uint32_t depth)
{
    assert(depth < FILTER_TREE_DEPTH);
    if (!v->spare[depth])
        v->spare[depth] = arena_raw(v->arena, uint64_t, v->words);
    return v->spare[depth];
}

enum { COST_SET, COST_SCAN, COST_TREE, COSTS };

static int cost(const struct memory_filter *f)
{
    if (f->op <= FILTER_NOT)
        return COST_TREE;
    bool set = f->field == FILTER_SENSITIVITY || f->op == FILTER_EXISTS ||
               (f->field < FILTER_QUALITY && f->op == FILTER_IN);
    return set ? COST_SET : COST_SCAN;
}

/* The cheap ones first. */
static bool eval_and(struct eval *v, const struct memory_filter *f, const uint64_t *scope,
                     uint64_t *out, uint32_t depth)
{
    uint64_t *part = spare(v, depth);
    if (!part)
        return false;
    memcpy(out, scope, v->words * sizeof *out);
    for (int c = 0; c < COSTS; c++)
        for (const struct memory_filter *p = f->parts; p; p = p->next) {
            if (cost(p) != c)
                continue;
            if (!eval(v, p, out, part, depth + 1))
                return false;
            memcpy(out, part, v->words * sizeof *out);
        }
    return true;
}

static bool eval_or(struct eval *v, const struct memory_filter *f, const uint64_t *scope,
                    uint64_t *out, uint32_t depth)
{
    uint64_t *part = spare(v, depth);
    if (!part)
        return false;
    memset(out, 0, v->words * sizeof *out);
    for (const struct memory_filter *p = f->parts; p; p = p->next) {
        if (!eval(v, p, scope, part, depth + 1))
            return false;
        for (size_t w = 0; w < v->words; w++)
            out[w] |= part[w];
    }
    return true;
}

static bool eval_not(struct eval *v, const struct memory_filter *f, const uint64_t *scope,
                     uint64_t *out, uint32_t depth)
{
    if (!eval(v, f->parts, scope, out, depth + 1))
        return false;
    for (size_t w = 0; w < v->words; w++)
        out[w] = scope[w] & ~out[w];
    return true;
}

/* Writes to out, which is not the scope, what of the scope fulfils it. */
static bool eval(struct eval *v, const struct memory_filter *f, const uint64_t *scope,
                 uint64_t *out, uint32_t depth)
{
    switch (f->op) {
    case FILTER_AND:
        return eval_and(v, f, scope, out, depth);
    case FILTER_OR:
        return eval_or(v, f, scope, out, depth);
    case FILTER_NOT:
        return eval_not(v, f, scope, out, depth);
    default:
        return condition(v, f, scope, out);
    }
}

/* ---- who is visible ---- */

static uint64_t expired(const struct memory_sets *s, size_t w, int64_t now)
{
    uint64_t bits = 0;
    if (s->heads[w].soonest_ms > now)
        return 0;
    for (unsigned i = 0; i < SLOTSET_WORD; i++) {
        int64_t at = s->columns.expires_ms[w * SLOTSET_WORD + i];
        bits |= (uint64_t)(at && at <= now) << i;
    }
    return bits;
}

static void visible(const struct memory_sets *s, uint32_t clearance, int64_t now, uint64_t *bits,
                    size_t words)
{
    uint32_t labels = clearance < LABEL_SECRET ? clearance : LABEL_SECRET;
    for (size_t w = 0; w < words; w++) {
        uint64_t seen = 0;
        for (uint32_t i = 0; i < labels; i++)
            seen |= s->heads[w].label[i];
        bits[w] = seen & ~expired(s, w, now);
    }
}

bool memory_permit(const struct tenant *t, uint32_t clearance, int64_t now,
                   const struct memory_filter *filter, struct arena *arena,
                   struct memory_permit *ret)
{
    const struct memory_sets *s = &t->memory_sets;
    size_t words = t->memory_slots / SLOTSET_WORD + 1;
    struct eval *v = arena_new(arena, struct eval);
    uint64_t *scope = arena_array(arena, uint64_t, words), *out = scope;
    if (!v || !scope)
        return false;
    *v = (struct eval){.sets = s, .arena = arena, .words = words};
    v->ready = s->words < words ? s->words : words;
    visible(s, clearance, now, scope, v->ready);
    if (filter && (filter->op != FILTER_AND || filter->parts)) {
        out = arena_raw(arena, uint64_t, words);
        if (!out || !eval(v, filter, scope, out, 0))
            return false;
    }
    *ret = (struct memory_permit){.bits = out,
                                  .words = words,
                                  .count = bits_count(out, words),
                                  .clearance = clearance,
                                  .now = now,
                                  .changes = s->changes};
    return true;
}

bool memory_permit_again(const struct tenant *t, uint32_t clearance,
                         const struct memory_filter *filter, struct arena *arena,
                         struct memory_permit *p)
{
    if (p->clearance == clearance && p->changes == t->memory_sets.changes)
        return true;
    return memory_permit(t, clearance, p->now, filter, arena, p);
}

uint32_t memory_expired_next(const struct tenant *t, int64_t now, uint32_t from)
{
    const struct memory_sets *s = &t->memory_sets;
    for (size_t w = from / SLOTSET_WORD; w < s->words; w++, from = 0) {
        uint64_t bits = expired(s, w, now) & UINT64_MAX << from % SLOTSET_WORD;
        if (bits)
            return (uint32_t)(w * SLOTSET_WORD + (unsigned)__builtin_ctzll(bits));
    }
    return UINT32_MAX;
}

/* ---- filters of listings ---- */

static void narrow(struct memory_narrow *n, enum filter_field field, enum filter_op op,
                   struct filter_value value)
{
    uint32_t i = n->count++;
    n->values[i] = value;
    n->parts[i] = (struct memory_filter){
        .op = op, .field = field, .values = &n->values[i], .count = 1, .next = n->all.parts};
    n->all.parts = &n->parts[i];
}

void memory_narrow(struct memory_narrow *n, struct bytes agent_id, struct bytes kind,
                   int64_t from_ms, int64_t to_ms)
{
    *n = (struct memory_narrow){.all = {.op = FILTER_AND}};
    if (agent_id.len)
        narrow(n, FILTER_AGENT, FILTER_IN, (struct filter_value){FILTER_TEXT, .text = agent_id});
    if (kind.len)
        narrow(n, FILTER_KIND, FILTER_IN, (struct filter_value){FILTER_TEXT, .text = kind});
    if (from_ms)
        narrow(n, FILTER_CREATED, FILTER_FROM,
               (struct filter_value){FILTER_WHOLE, .whole = from_ms});
    if (to_ms)
        narrow(n, FILTER_CREATED, FILTER_BELOW,
               (struct filter_value){FILTER_WHOLE, .whole = to_ms});
}
