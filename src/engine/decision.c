/* SPDX-License-Identifier: MIT
 *
 * Packing of decisions and credits.
 *
 * Most of what a commit writes for a broadcast, besides its vector, is its decision: 32 candidates,
 * most of them without an edge.  So a decision is packed, and loses nothing: what is as usual takes
 * a bit, and so does what is as in the candidate before: they stand in the order of their scores,
 * so that equal demand stands together.  A score takes none where the formula gives it from the
 * other parts to the last bit.  About 9 bytes a candidate remain of 32.
 *
 *   version        1 byte
 *   counts         varints: routes, candidates, contributions, eligible_total, top_k
 *   epsilon, outside_propensity
 *   base, width    the lowest agent number, 8 bytes; bytes of a number above it, 1 byte
 *   routes         as candidates; with ROUTE_FROM hop and number of who passes it on behind,
 *                  else those of the route before
 *   candidates     a byte of enum view_flags, agent number, similarity, what the flags say
 *   contributions  the memory layout
 *   hints          the rest
 *
 * Numbers are little-endian, as every supported machine is.  Credits are the memory layout. */
#include "engine/decision_priv.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "decisions are stored little-endian");
_Static_assert(sizeof(struct contribution_view) == 48, "stored layout");
_Static_assert(sizeof(struct credit_view) == 48, "stored layout");

enum view_flags {
    VIEW_WEIGHT = 1,       /* given, float; else EDGE_PRIOR */
    VIEW_DEMAND = 2,       /* given, float; else that of the one before, in front 0 */
    VIEW_SCORE = 4,        /* given, float; else route_score's */
    VIEW_CAPABILITIES = 8, /* given, 1 byte; else likewise */
    VIEW_CERTAIN = 16,     /* propensity 1 */
    VIEW_SHARE = 32,       /* outside_propensity; both bits: given, float; none: 0 */
    VIEW_PROPENSITY = VIEW_CERTAIN | VIEW_SHARE,
    VIEW_MARKED = 64, /* a candidate was chosen, a route explored */
    ROUTE_FROM = 128,
};

enum {
    NUMBER_BYTES = sizeof(uint64_t),
    VARINT_MAX = 5, /* bytes of a uint32_t */
    HEAD_MAX = 1 + 5 * VARINT_MAX + 2 * sizeof(float) + NUMBER_BYTES + 1,
    VIEW_MAX = 1 + NUMBER_BYTES + 5 * sizeof(float) + 1,
    ROUTE_MAX = VIEW_MAX + 1 + NUMBER_BYTES,
};

/* What all views of a decision are packed by. */
struct terms {
    uint64_t base;
    uint32_t width; /* 0 to NUMBER_BYTES */
    float share;
    /* of the view before */
    float demand;
    uint8_t capabilities;
};

/* Bit by bit: a NaN is what it is, and so is a zero with a sign. */
static bool same(float a, float b)
{
    uint32_t x, y;
    memcpy(&x, &a, sizeof x);
    memcpy(&y, &b, sizeof y);
    return x == y;
}

/* A route and a candidate are packed alike. */
static struct candidate_view route_as_candidate(const struct route_view *r)
{
    return (struct candidate_view){.agent_no = r->agent_no,
                                   .similarity = r->similarity,
                                   .weight = r->weight,
                                   .demand = r->demand,
                                   .score = r->score,
                                   .propensity = r->propensity,
                                   .capabilities = r->capabilities,
                                   .chosen = r->explored};
}

static float usual_score(const struct candidate_view *v)
{
    return route_score(v->similarity, (double)v->weight, v->demand, v->capabilities).score;
}

/* ---- packing ---- */

static char *put(char *out, const void *data, size_t len)
{
    if (len)
        memcpy(out, data, len);
    return out + len;
}

static char *put_varint(char *out, uint32_t v)
{
    for (; v >= 0x80; v >>= 7)
        *out++ = (char)(uint8_t)(v | 0x80);
    *out++ = (char)(uint8_t)v;
    return out;
}

/* Writes all its bytes and counts those that matter: there is room. */
static char *put_number(char *out, const struct terms *t, int64_t no)
{
    uint64_t above = (uint64_t)no - t->base;
    memcpy(out, &above, sizeof above);
    return out + t->width;
}

static void widen(uint64_t *low, uint64_t *high, int64_t no)
{
    *low = (uint64_t)no < *low ? (uint64_t)no : *low;
    *high = (uint64_t)no > *high ? (uint64_t)no : *high;
}

static struct terms terms_of(const struct decision *d)
{
    uint64_t low = UINT64_MAX, high = 0;
    uint32_t width = 0;
    for (uint32_t i = 0; i < d->head.route_count; i++) {
        widen(&low, &high, d->routes[i].agent_no);
        widen(&low, &high, d->routes[i].from_no);
    }
    for (uint32_t i = 0; i < d->head.candidate_count; i++)
        widen(&low, &high, d->candidates[i].agent_no);
    low = low < high ? low : high; /* there are none */
    while (width < NUMBER_BYTES && (high - low) >> (8 * width))
        width++;
    return (struct terms){.base = low, .width = width, .share = d->head.outside_propensity};
}

static uint32_t propensity_flags(const struct terms *t, float propensity)
{
    if (same(propensity, 0))
        return 0;
    if (same(propensity, 1))
        return VIEW_CERTAIN;
    return same(propensity, t->share) ? VIEW_SHARE : VIEW_PROPENSITY;
}

static uint32_t flags_of(const struct terms *t, const struct candidate_view *v)
{
    return (same(v->weight, (float)EDGE_PRIOR) ? 0 : VIEW_WEIGHT) |
           (same(v->demand, t->demand) ? 0 : VIEW_DEMAND) |
           (same(v->score, usual_score(v)) ? 0 : VIEW_SCORE) |
           (v->capabilities == t->capabilities ? 0 : VIEW_CAPABILITIES) |
           propensity_flags(t, v->propensity) | (v->chosen ? VIEW_MARKED : 0);
}

static char *put_view(char *out, struct terms *t, const struct candidate_view *v, uint32_t flags)
{
    *out++ = (char)(uint8_t)flags;
    out = put_number(out, t, v->agent_no);
    out = put(out, &v->similarity, sizeof v->similarity);
    if (flags & VIEW_WEIGHT)
        out = put(out, &v->weight, sizeof v->weight);
    if (flags & VIEW_DEMAND)
        out = put(out, &v->demand, sizeof v->demand);
    if (flags & VIEW_SCORE)
        out = put(out, &v->score, sizeof v->score);
    if (flags & VIEW_CAPABILITIES)
        *out++ = (char)v->capabilities;
    if ((flags & VIEW_PROPENSITY) == VIEW_PROPENSITY)
        out = put(out, &v->propensity, sizeof v->propensity);
    t->demand = v->demand;
    t->capabilities = v->capabilities;
    return out;
}

static char *put_routes(char *out, struct terms *t, const struct decision *d)
{
    struct route_view before = {0};
    for (uint32_t i = 0; i < d->head.route_count; i++) {
        const struct route_view *r = &d->routes[i];
        struct candidate_view v = route_as_candidate(r);
        bool other = r->hop != before.hop || r->from_no != before.from_no;
        out = put_view(out, t, &v, flags_of(t, &v) | (other ? ROUTE_FROM : 0));
        if (other) {
            *out++ = (char)r->hop;
            out = put_number(out, t, r->from_no);
        }
        before = *r;
    }
    return out;
}

static char *put_head(char *out, const struct terms *t, const struct decision_header *h)
{
    *out++ = DECISION_VERSION;
    out = put_varint(out, h->route_count);
    out = put_varint(out, h->candidate_count);
    out = put_varint(out, h->contribution_count);
    out = put_varint(out, h->eligible_total);
    out = put_varint(out, h->top_k);
    out = put(out, &h->epsilon, sizeof h->epsilon);
    out = put(out, &h->outside_propensity, sizeof h->outside_propensity);
    out = put(out, &t->base, sizeof t->base);
    *out++ = (char)t->width;
    return out;
}

struct bytes decision_pack(const struct decision *d, struct arena *arena)
{
    const struct decision_header *h = &d->head;
    size_t contributions = h->contribution_count * sizeof *d->contributions;
    size_t most = HEAD_MAX + (size_t)h->route_count * ROUTE_MAX +
                  (size_t)h->candidate_count * VIEW_MAX + contributions + d->hints.len;
    char *p = arena_alloc(arena, most), *out = p;
    if (!p)
        return bytes_of(NULL, 0);
    struct terms t = terms_of(d);
    out = put_head(out, &t, h);
    out = put_routes(out, &t, d);
    for (uint32_t i = 0; i < h->candidate_count; i++)
        out = put_view(out, &t, &d->candidates[i], flags_of(&t, &d->candidates[i]));
    out = put(out, d->contributions, contributions);
    out = put(out, d->hints.ptr, d->hints.len);
    return bytes_of(p, (size_t)(out - p));
}

/* ---- unpacking: the bytes come from a disk, and nothing in them is trusted ---- */

struct reader {
    struct bytes in;
    bool bad; /* it ended too early, or holds what is never packed; what follows is 0 */
};

static void take(struct reader *r, void *ret, size_t len)
{
    if (len > r->in.len) {
        r->bad = true;
        r->in.len = 0;
        return;
    }
    memcpy(ret, r->in.ptr, len);
    r->in = bytes_of(r->in.ptr + len, r->in.len - len);
}

static uint8_t take_byte(struct reader *r)
{
    uint8_t v = 0;
    take(r, &v, sizeof v);
    return v;
}

static float take_float(struct reader *r)
{
    float v = 0;
    take(r, &v, sizeof v);
    return v;
}

static uint32_t take_varint(struct reader *r)
{
    uint64_t v = 0;
    uint8_t c = 0x80;
    for (uint32_t i = 0; i < VARINT_MAX && c >= 0x80; i++) {
        c = take_byte(r);
        v |= (uint64_t)(c & 0x7f) << (7 * i);
    }
    if (c < 0x80 && v <= UINT32_MAX)
        return (uint32_t)v;
    r->bad = true;
    return 0;
}

static int64_t take_number(struct reader *r, const struct terms *t)
{
    uint64_t above = 0;
    take(r, &above, t->width);
    return (int64_t)(t->base + above);
}

static struct candidate_view take_view(struct reader *r, struct terms *t, uint32_t *ret_flags)
{
    uint32_t flags = take_byte(r), propensity = flags & VIEW_PROPENSITY;
    struct candidate_view v = {.agent_no = take_number(r, t)};
    v.similarity = take_float(r);
    v.weight = flags & VIEW_WEIGHT ? take_float(r) : (float)EDGE_PRIOR;
    v.demand = flags & VIEW_DEMAND ? take_float(r) : t->demand;
    float score = flags & VIEW_SCORE ? take_float(r) : 0;
    v.capabilities = flags & VIEW_CAPABILITIES ? take_byte(r) : t->capabilities;
    v.score = flags & VIEW_SCORE ? score : usual_score(&v);
    v.propensity = propensity == VIEW_PROPENSITY ? take_float(r)
                   : propensity == VIEW_SHARE    ? t->share
                                                 : (float)(propensity == VIEW_CERTAIN);
    v.chosen = (flags & VIEW_MARKED) != 0;
    t->demand = v.demand;
    t->capabilities = v.capabilities;
    *ret_flags = flags;
    return v;
}

static void take_routes(struct reader *r, struct terms *t, struct route_view *routes,
                        uint32_t count)
{
    struct route_view before = {0};
    for (uint32_t i = 0; i < count; i++) {
        uint32_t flags;
        struct candidate_view v = take_view(r, t, &flags);
        if (flags & ROUTE_FROM) {
            before.hop = take_byte(r);
            before.from_no = take_number(r, t);
        }
        routes[i] = before = (struct route_view){.agent_no = v.agent_no,
                                                 .from_no = before.from_no,
                                                 .similarity = v.similarity,
                                                 .weight = v.weight,
                                                 .demand = v.demand,
                                                 .score = v.score,
                                                 .propensity = v.propensity,
                                                 .hop = before.hop,
                                                 .capabilities = v.capabilities,
                                                 .explored = v.chosen};
    }
}

static void take_candidates(struct reader *r, struct terms *t, struct candidate_view *candidates,
                            uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t flags;
        candidates[i] = take_view(r, t, &flags);
        if (flags & ROUTE_FROM)
            r->bad = true;
    }
}

static void take_head(struct reader *r, struct terms *t, struct decision_header *h)
{
    h->route_count = take_varint(r);
    h->candidate_count = take_varint(r);
    h->contribution_count = take_varint(r);
    h->eligible_total = take_varint(r);
    h->top_k = take_varint(r);
    h->epsilon = take_float(r);
    h->outside_propensity = t->share = take_float(r);
    take(r, &t->base, sizeof t->base);
    t->width = take_byte(r);
}

/* Whether there are as many bytes as that many take at least: before memory is asked for. */
static bool plausible(const struct reader *r, const struct terms *t,
                      const struct decision_header *h)
{
    uint64_t view = 1 + t->width + sizeof(float);
    uint64_t least = ((uint64_t)h->route_count + h->candidate_count) * view +
                     h->contribution_count * sizeof(struct contribution_view);
    return !r->bad && t->width <= NUMBER_BYTES && least <= r->in.len;
}

static enum qmn_code damaged(struct err *err)
{
    return err_set(err, QMN_E_CORRUPT,
                   "a stored decision is cut short, or its lengths do not add up");
}

static enum qmn_code take_parts(struct reader *r, struct terms *t, struct arena *arena,
                                struct decision *d, struct err *err)
{
    const struct decision_header *h = &d->head;
    struct route_view *routes = arena_array(arena, struct route_view, h->route_count + 1);
    struct candidate_view *candidates =
        arena_array(arena, struct candidate_view, h->candidate_count + 1);
    struct contribution_view *contributions =
        arena_array(arena, struct contribution_view, h->contribution_count + 1);
    if (!routes || !candidates || !contributions)
        return err_nomem(err);
    take_routes(r, t, routes, h->route_count);
    take_candidates(r, t, candidates, h->candidate_count);
    take(r, contributions, h->contribution_count * sizeof *contributions);
    if (r->bad || (r->in.len && r->in.ptr[r->in.len - 1])) /* a text list ends so */
        return damaged(err);
    d->routes = routes;
    d->candidates = candidates;
    d->contributions = contributions;
    d->hints = arena_bytes(arena, r->in);
    return d->hints.ptr ? QMN_OK : err_nomem(err);
}

enum qmn_code decision_unpack(struct bytes packed, struct arena *arena, struct decision *ret,
                              struct err *err)
{
    struct reader r = {.in = packed};
    struct decision d = {0};
    struct terms t = {0};
    uint8_t version = take_byte(&r);
    if (!r.bad && version != DECISION_VERSION)
        return err_set(err, QMN_E_CORRUPT, "a stored decision has format %d; this program reads %d",
                       version, DECISION_VERSION);
    take_head(&r, &t, &d.head);
    if (!plausible(&r, &t, &d.head))
        return damaged(err);
    TRY(take_parts(&r, &t, arena, &d, err));
    *ret = d;
    return QMN_OK;
}

enum qmn_code credits_unpack(struct bytes packed, struct arena *arena,
                             const struct credit_view **ret, uint32_t *ret_count, struct err *err)
{
    if (packed.len % sizeof(struct credit_view))
        return err_set(err, QMN_E_CORRUPT, "a stored outcome has the wrong length");
    void *p = arena_copy(arena, packed.ptr, packed.len);
    if (!p)
        return err_nomem(err);
    *ret = p;
    *ret_count = (uint32_t)(packed.len / sizeof(struct credit_view));
    return QMN_OK;
}
