/* SPDX-License-Identifier: MIT
 *
 * The space "qmn-lexical", version 1.  Everything in this comment is its definition.
 *
 * Tokens.  A chunk is a run of word characters in which single connectors (_ - . / : @ ' \ and the
 * typographic hyphens and apostrophe) may stand.  It is cut into parts at connectors, between
 * digits and letters, where a small letter meets a capital, before the last of several capitals
 * that a small letter follows (HTTPServer: http, server), and around every ideograph.  Parts are
 * words.  A chunk of several parts without ideographs is also a word as a whole, without its
 * connectors: snake_case, snakeCase and snake-case all give snake, case and snakecase; E1234 gives
 * e, 1234 and e1234.
 *
 * Features, with their weights: words 1; pairs of neighbouring parts 0.7 (across punctuation, in
 * order); runs of 3, 4 and 5 characters of each part with one space put before and after it 0.5.
 * Features of common words (common.c) count half: the word, its runs, and pairs of two.  A feature
 * that occurs tf times counts weight * (1 + ln tf), rounded to 1 / 65536.
 *
 * Vector.  A feature's 64-bit hash h (feature_key below) adds that to, or where bit 3 of h is set
 * subtracts it from, element ((h >> 32) * dim) >> 32.  The sum is divided by its Euclidean length.
 * If everything cancels (possible in few dimensions) the feature with the smallest hash stands
 * alone.
 *
 * Sums are integers, so they do not depend on the order in which features are met, and the few
 * float64 operations left are the correctly rounded ones: no libm logarithm, no fused multiply-add.
 */
#include "embed.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/rng.h"
#include "chars_priv.h"
#include "common_priv.h"

enum feature_kind {
    FEATURE_WORD = 1,
    FEATURE_PAIR,
    FEATURE_GRAM,
    FEATURE_COMMON = 4, /* added to one of the above */
    FEATURE_KIND = 7,   /* the bits they take */
    FEATURE_SIGN = 8,
};

enum {
    UNIT = 65536, /* fixed point of a feature's value */
    GRAM_MIN = 3,
    GRAM_MAX = 5,
    COUNTS_FIRST = 128,
    COUNTS_AT_ONCE = 65536, /* slots taken without knowing that they are needed: 1 MB */
};

static const double kind_weight[] = {0, 1.0, 0.7, 0.5, 0, 0.5, 0.35, 0.25};

/* How often each feature occurs: open addressing, at most half full. */
struct feature {
    uint64_t key; /* 0: empty (a key's low bits are its kind, never 0) */
    uint64_t count;
};

struct counts {
    struct feature *slots;
    size_t cap, len;
    uint64_t
        seed; /* places slots only: hostile texts cannot aim at one, and the result is the same */
    bool failed; /* out of memory */
};

struct embedder {
    struct counts counts;
    const struct text_char *chars;
    uint64_t last_part; /* hash of the part before, 0: none yet */
    bool last_common;
    uint64_t whole; /* hash of the chunk so far */
};

/* Absorbs x.  The constant is 2^64 / golden ratio; the shift carries high bits down. */
static uint64_t absorb(uint64_t h, uint64_t x)
{
    h = (h ^ x) * 0x9e3779b97f4a7c15u;
    return h ^ (h >> 32);
}

/* The finaliser of MurmurHash3 (Appleby); the lowest bits make room for the kind. */
static uint64_t feature_key(uint64_t h, unsigned kind)
{
    h = absorb(h, kind);
    h = (h ^ (h >> 33)) * 0xff51afd7ed558ccdu;
    h = (h ^ (h >> 33)) * 0xc4ceb9fe1a85ec53u;
    return ((h ^ (h >> 33)) & ~(uint64_t)FEATURE_KIND) | kind;
}

static struct feature *find_slot(const struct counts *c, uint64_t key)
{
    size_t i = (size_t)((key * c->seed) >> 32) & (c->cap - 1);
    while (c->slots[i].key && c->slots[i].key != key)
        i = (i + 1) & (c->cap - 1);
    return &c->slots[i];
}

/* A character brings at most 3 runs and, with its word, some 4 features: 8 slots, half of them
 * free. */
static bool counts_init(struct counts *c, size_t chars)
{
    *c = (struct counts){.cap = COUNTS_FIRST};
    while (c->cap < 8 * chars && c->cap < COUNTS_AT_ONCE)
        c->cap *= 2;
    rng_secure(&c->seed, sizeof c->seed);
    c->seed |= 1;
    c->slots = mem_calloc(c->cap, sizeof *c->slots);
    return c->slots != NULL;
}

static void counts_grow(struct counts *c)
{
    struct counts grown = *c;
    grown.cap = 2 * c->cap;
    grown.slots = mem_calloc(grown.cap, sizeof *grown.slots);
    if (!grown.slots) {
        c->failed = true;
        return;
    }
    for (size_t i = 0; i < c->cap; i++)
        if (c->slots[i].key)
            *find_slot(&grown, c->slots[i].key) = c->slots[i];
    mem_free(c->slots);
    *c = grown;
}

static void count_feature(struct counts *c, uint64_t hash, unsigned kind)
{
    uint64_t key = feature_key(hash, kind);
    struct feature *f = find_slot(c, key);
    if (!f->key) {
        if (2 * c->len >= c->cap) {
            counts_grow(c);
            if (c->failed)
                return;
            f = find_slot(c, key);
        }
        f->key = key;
        c->len++;
    }
    f->count++;
}

/* Character i of a part of `len` with a space on either side, i < len + 2. */
static uint32_t padded(const struct text_char *part, size_t len, size_t i)
{
    return i == 0 || i == len + 1 ? ' ' : part[i - 1].code;
}

static void add_part(struct embedder *e, const struct text_char *part, size_t len)
{
    bool is_common = is_common_word(part, len);
    unsigned common = is_common ? FEATURE_COMMON : 0;
    uint64_t hash = 0;
    for (size_t i = 0; i < len; i++) {
        hash = absorb(hash, part[i].code);
        e->whole = absorb(e->whole, part[i].code);
    }
    count_feature(&e->counts, hash, FEATURE_WORD | common);
    if (e->last_part)
        count_feature(&e->counts, absorb(e->last_part, hash),
                      FEATURE_PAIR | (e->last_common ? common : 0));
    e->last_part = hash;
    e->last_common = is_common;
    for (size_t start = 0; start + GRAM_MIN <= len + 2; start++) {
        uint64_t gram = 0;
        for (size_t n = 1; n <= GRAM_MAX && start + n <= len + 2; n++) {
            gram = absorb(gram, padded(part, len, start + n - 1));
            if (n >= GRAM_MIN)
                count_feature(&e->counts, gram, FEATURE_GRAM | common);
        }
    }
}

static bool is_word(enum char_class class)
{
    return class == CHAR_DIGIT || class == CHAR_LETTER || class == CHAR_UPPER ||
           class == CHAR_IDEOGRAPH;
}

/* Whether a part ends between the word characters i - 1 and i of a chunk. */
static bool is_cut(const struct text_char *c, size_t i, size_t end)
{
    enum char_class before = c[i - 1].class, here = c[i].class;
    if (before == CHAR_IDEOGRAPH || here == CHAR_IDEOGRAPH)
        return true;
    if ((before == CHAR_DIGIT) != (here == CHAR_DIGIT))
        return true;
    if (here != CHAR_UPPER)
        return false;
    return before == CHAR_LETTER || (i + 1 < end && c[i + 1].class == CHAR_LETTER);
}

/* One past the chunk that starts at `start`. */
static size_t chunk_end(const struct text_char *c, size_t start, size_t len)
{
    size_t i = start;
    while (i < len && (is_word(c[i].class) ||
                       (c[i].class == CHAR_CONNECTOR && i + 1 < len && is_word(c[i + 1].class))))
        i++;
    return i;
}

static void add_chunk(struct embedder *e, size_t start, size_t end)
{
    const struct text_char *c = e->chars;
    size_t parts = 0, begin = start;
    bool has_ideograph = false;
    e->whole = 0;
    for (size_t i = start; i <= end; i++) {
        bool at_end = i == end || c[i].class == CHAR_CONNECTOR;
        has_ideograph |= i < end && c[i].class == CHAR_IDEOGRAPH;
        if (!at_end && (i == begin || !is_cut(c, i, end)))
            continue;
        add_part(e, c + begin, i - begin);
        parts++;
        begin = at_end ? i + 1 : i;
    }
    if (parts > 1 && !has_ideograph)
        count_feature(&e->counts, e->whole, FEATURE_WORD);
}

static void count_text(struct embedder *e, size_t len)
{
    for (size_t i = 0; i < len && !e->counts.failed;) {
        size_t end = is_word(e->chars[i].class) ? chunk_end(e->chars, i, len) : i;
        if (end > i)
            add_chunk(e, i, end);
        i = end + 1; /* what ended the chunk starts none */
    }
}

/* ln n within 1e-13, n >= 1: n = m 2^e with m in (.7, 1.42), ln m = 2 artanh((m - 1) / (m + 1)). */
static double natural_log(uint64_t n)
{
    int exponent = 63 - __builtin_clzll(n);
    double m = ldexp((double)n, -exponent);
    if (m > 1.4142135623730951) {
        m /= 2;
        exponent++;
    }
    double t = (m - 1) / (m + 1), square = t * t, power = t, sum = 0;
    for (int k = 1; k <= 15; k += 2) {
        sum += power / k;
        power *= square;
    }
    return 2 * sum + exponent * 0.6931471805599453;
}

static size_t key_index(uint64_t key, uint32_t dim)
{
    return (size_t)(((key >> 32) * dim) >> 32);
}

static int64_t feature_value(const struct feature *f)
{
    double weight = kind_weight[f->key & FEATURE_KIND];
    double scaled = f->count == 1 ? weight : weight * (1 + natural_log(f->count));
    int64_t value = (int64_t)(scaled * UNIT + 0.5);
    return f->key & FEATURE_SIGN ? -value : value;
}

/* At least one feature is counted. */
static void write_vector(const struct counts *c, int64_t *sums, uint32_t dim, float *ret_unit)
{
    uint64_t smallest = UINT64_MAX;
    for (size_t i = 0; i < c->cap; i++) {
        const struct feature *f = &c->slots[i];
        if (!f->key)
            continue;
        sums[key_index(f->key, dim)] += feature_value(f);
        smallest = f->key < smallest ? f->key : smallest;
    }
    double squares = 0;
    for (uint32_t i = 0; i < dim; i++)
        squares += (double)sums[i] * (double)sums[i];
    if (squares == 0) {
        sums[key_index(smallest, dim)] = smallest & FEATURE_SIGN ? -1 : 1;
        squares = 1;
    }
    double norm = sqrt(squares);
    for (uint32_t i = 0; i < dim; i++)
        ret_unit[i] = (float)((double)sums[i] / norm);
}

/* ret_chars: room for text.len. */
static enum qmn_code read_chars(struct bytes text, struct text_char *ret_chars, size_t *ret_len,
                                struct err *err)
{
    size_t pos = 0, read = 0, len = 0;
    bool has_word = false;
    while (pos < text.len) {
        if (++read > LIMIT_TEXT_CHARS)
            return err_set(err, QMN_E_INVALID, "text is longer than %d characters",
                           LIMIT_TEXT_CHARS);
        struct text_char c = text_char_next(text, &pos);
        if (c.class == CHAR_IGNORED)
            continue;
        ret_chars[len++] = c;
        has_word |= is_word(c.class);
    }
    if (!has_word)
        return err_set(err, QMN_E_INVALID,
                       "text has no word to embed: at least one letter or digit is needed");
    *ret_len = len;
    return QMN_OK;
}

enum qmn_code text_embed(struct bytes utf8, uint32_t dim, float *ret_unit, struct err *err)
{
    assert(dim >= LIMIT_DIM_MIN && dim <= LIMIT_DIM_MAX);
    if (utf8.len > 4 * (size_t)LIMIT_TEXT_CHARS)
        return err_set(err, QMN_E_INVALID, "text is longer than %d characters", LIMIT_TEXT_CHARS);
    CLEANUP(mem_freep) struct text_char *chars = mem_alloc((utf8.len + 1) * sizeof *chars);
    CLEANUP(mem_freep) int64_t *sums = mem_calloc(dim, sizeof *sums);
    if (!chars || !sums)
        return err_nomem(err);
    size_t len;
    TRY(read_chars(utf8, chars, &len, err));

    struct embedder e = {.chars = chars};
    if (!counts_init(&e.counts, len))
        return err_nomem(err);
    count_text(&e, len);
    bool failed = e.counts.failed;
    if (!failed)
        write_vector(&e.counts, sums, dim, ret_unit);
    mem_free(e.counts.slots);
    return failed ? err_nomem(err) : QMN_OK;
}
