/* SPDX-License-Identifier: MIT
 *
 * Documents coming and going: counting words, terms, and the way back from a document to its terms,
 * which makes a removal exact at once, in postings and statistics. */
#include "lexical.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "common_priv.h"
#include "postings_priv.h"
#include "words.h"

/* ---- documents to be ---- */

struct reader {
    uint64_t seed;
    struct lexical_count *counts;
    uint32_t len, cap; /* len at most LEXICAL_DOC_WORDS */
    bool failed;
};

static bool count_word(void *ctx, struct bytes word)
{
    struct reader *r = ctx;
    if (r->len == LEXICAL_DOC_WORDS)
        return false;
    if (r->len == r->cap) {
        uint32_t cap = r->cap ? 2 * r->cap : 64;
        struct lexical_count *p = mem_resize(r->counts, cap, sizeof *p);
        if (!p) {
            r->failed = true;
            return false;
        }
        r->counts = p;
        r->cap = cap;
    }
    r->counts[r->len] = (struct lexical_count){.hash = bytes_hash(word, r->seed),
                                               .count = 1,
                                               .first = r->len & 0x7fffffff,
                                               .common = is_common_text(word)};
    r->len++;
    return true;
}

static int compare_counts(const void *a, const void *b)
{
    const struct lexical_count *x = a, *y = b;
    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    return (x->first > y->first) - (x->first < y->first);
}

/* Sorts, and makes one of equal ones; returns how many are left. */
static uint32_t unite(struct lexical_count *counts, uint32_t len)
{
    uint32_t out = 0;
    if (len)
        qsort(counts, len, sizeof *counts, compare_counts);
    for (uint32_t i = 0; i < len; i++) {
        if (out && counts[out - 1].hash == counts[i].hash)
            counts[out - 1].count++;
        else
            counts[out++] = counts[i];
    }
    return out;
}

enum qmn_code lexical_doc_read(uint64_t seed, const struct bytes *texts, size_t count,
                               struct lexical_doc *ret_doc, struct err *err)
{
    struct reader r = {.seed = seed};
    for (size_t i = 0; i < count && text_words(texts[i], count_word, &r); i++)
        ;
    if (r.failed) {
        mem_free(r.counts);
        return err_nomem(err);
    }
    *ret_doc = (struct lexical_doc){r.counts, unite(r.counts, r.len), r.len};
    return QMN_OK;
}

void lexical_doc_release(struct lexical_doc *d)
{
    mem_free(d->counts);
    *d = (struct lexical_doc){0};
}

bool lexical_doc_copy(const struct lexical_doc *d, struct lexical_doc *ret_copy)
{
    struct lexical_count *counts = d->len ? mem_resize(NULL, d->len, sizeof *counts) : NULL;
    if (d->len && !counts)
        return false;
    if (d->len)
        memcpy(counts, d->counts, d->len * sizeof *counts);
    *ret_copy = (struct lexical_doc){counts, d->len, d->words};
    return true;
}

/* ---- the index ---- */

void lexical_init(struct lexical *x)
{
    *x = (struct lexical){.term_free = NO_TERM, .pool_free = NO_PENDING};
    rng_secure(&x->seed, sizeof x->seed);
}

void lexical_release(struct lexical *x)
{
    for (uint32_t i = 0; i < x->term_count; i++)
        if (x->terms[i].used)
            posting_list_release(x, &x->terms[i]);
    for (uint32_t i = 0; i < x->slot_cap; i++)
        mem_free(x->slots[i].terms);
    mem_free(x->terms);
    mem_free(x->pool);
    mem_free(x->slots);
    u64map_release(&x->by_hash);
    lexical_init(x);
}

uint64_t lexical_bytes(const struct lexical *x)
{
    return x->block_bytes + x->forward_bytes + x->by_hash.cap * (sizeof(struct u64map_slot) + 1) +
           (uint64_t)x->term_cap * sizeof *x->terms + (uint64_t)x->pool_cap * sizeof *x->pool +
           (uint64_t)x->slot_cap * sizeof *x->slots;
}

/* Makes room for `need` items; false: there is no memory, or more than 32 bits count. */
static bool grow(void *array, uint32_t *cap, uint64_t need, size_t size)
{
    void **items = array;
    if (need <= *cap)
        return true;
    uint64_t want = *cap ? *cap + (uint64_t)*cap / 2 : 256; /* half again: a quarter is unused */
    want = want < need ? need : want;
    if (want >= UINT32_MAX)
        return false;
    void *p = mem_resize(*items, (size_t)want, size);
    if (!p)
        return false;
    *items = p;
    *cap = (uint32_t)want;
    return true;
}

static bool reserve_slots(struct lexical *x, uint32_t slots)
{
    uint32_t before = x->slot_cap;
    if (!grow(&x->slots, &x->slot_cap, slots, sizeof *x->slots))
        return false;
    if (x->slot_cap > before)
        memset(x->slots + before, 0, (x->slot_cap - before) * sizeof *x->slots);
    return true;
}

bool lexical_reserve(struct lexical *x, uint32_t slots, size_t words)
{
    return reserve_slots(x, slots) && u64map_reserve(&x->by_hash, words) &&
           grow(&x->terms, &x->term_cap, (uint64_t)x->terms_live + words, sizeof *x->terms) &&
           grow(&x->pool, &x->pool_cap, (uint64_t)x->pool_live + words, sizeof *x->pool);
}

bool lexical_has_room(const struct lexical *x, uint32_t slots, size_t words)
{
    const struct u64map *m = &x->by_hash;
    return slots <= x->slot_cap && (uint64_t)x->terms_live + words <= x->term_cap &&
           (uint64_t)x->pool_live + words <= x->pool_cap && m->cap &&
           m->len + words <= m->cap / 8 * 7; /* its load at most */
}

/* The term of a word, made if need be; there is room. */
static uint32_t term_of(struct lexical *x, uint64_t hash)
{
    uint64_t *found = u64map_get(&x->by_hash, hash);
    if (found)
        return (uint32_t)*found;
    uint32_t term = x->term_free;
    if (term != NO_TERM)
        x->term_free = x->terms[term].docs[0];
    else
        term = x->term_count++;
    assert(term < x->term_cap);
    x->terms[term] = (struct lexical_term){.hash = hash, .pending = NO_PENDING, .used = true};
    x->terms_live++;
    bool put = u64map_put(&x->by_hash, hash, term);
    assert(put);
    return term;
}

static void drop_term(struct lexical *x, uint32_t term)
{
    struct lexical_term *t = &x->terms[term];
    u64map_remove(&x->by_hash, t->hash);
    *t = (struct lexical_term){.docs = {x->term_free}, .pending = NO_PENDING};
    x->term_free = term;
    x->terms_live--;
}

static uint32_t term_docs(const struct lexical_term *t)
{
    uint32_t n = 0;
    for (uint32_t c = 0; c < LEXICAL_CLASSES; c++)
        n += t->docs[c];
    return n;
}

static int compare_u32(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* Turns the counts, that are terms by now, into the list of terms, in the memory they are in: 16
 * bytes a word become 4, then at most 5. */
static void keep_terms(struct lexical *x, struct lexical_slot *s, struct lexical_doc *doc)
{
    uint32_t *terms = (uint32_t *)(void *)doc->counts;
    for (uint32_t i = 0; i < doc->len; i++)
        terms[i] = doc->counts[i].count;
    qsort(terms, doc->len, sizeof *terms, compare_u32);
    uint8_t *start = (uint8_t *)doc->counts, *out = start;
    uint32_t *moved = terms + 3 * (size_t)doc->len; /* the last quarter of the memory */
    memcpy(moved, terms, doc->len * sizeof *terms);
    for (uint32_t i = 0, before = 0; i < doc->len; before = moved[i++])
        out = put_varint(out, moved[i] - before);
    s->term_bytes = (uint32_t)(out - start);
    s->term_count = doc->len;
    uint8_t *smaller = mem_resize(start, s->term_bytes, 1);
    s->terms = smaller ? smaller : start;
    x->forward_bytes += s->term_bytes;
}

void lexical_add(struct lexical *x, uint32_t slot, uint32_t class, struct lexical_doc *doc)
{
    assert(slot < x->slot_cap && !x->slots[slot].class_plus && class < LEXICAL_CLASSES);
    struct lexical_slot *s = &x->slots[slot];
    *s = (struct lexical_slot){.words = doc->words, .class_plus = (uint8_t)(class + 1)};
    for (uint32_t i = 0; i < doc->len; i++) {
        uint32_t term = term_of(x, doc->counts[i].hash), tf = doc->counts[i].count;
        struct lexical_term *t = &x->terms[term];
        doc->counts[i].count = term; /* its count is of no more use */
        t->docs[class]++;
        posting_list_add(x, t, (struct posting){slot, tf < POSTINGS_TF_MAX ? tf : POSTINGS_TF_MAX});
    }
    x->postings += doc->len;
    x->classes[class].docs++;
    x->classes[class].words += doc->words;
    if (doc->len)
        keep_terms(x, s, doc);
    else
        mem_free(doc->counts);
    *doc = (struct lexical_doc){0};
}

bool lexical_has(const struct lexical *x, uint32_t slot)
{
    return slot < x->slot_cap && x->slots[slot].class_plus;
}

void lexical_remove(struct lexical *x, uint32_t slot)
{
    assert(lexical_has(x, slot));
    struct lexical_slot *s = &x->slots[slot];
    uint32_t class = s->class_plus - 1u, term = 0;
    const uint8_t *in = s->terms;
    for (uint32_t i = 0; i < s->term_count; i++) {
        uint64_t step;
        in = get_varint(in, &step);
        term += (uint32_t)step;
        struct lexical_term *t = &x->terms[term];
        posting_list_remove(x, t, slot);
        t->docs[class]--;
        if (!t->block_count && !t->pending_count)
            drop_term(x, term);
    }
    x->postings -= s->term_count;
    x->classes[class].docs--;
    x->classes[class].words -= s->words;
    x->forward_bytes -= s->term_bytes;
    mem_free(s->terms);
    *s = (struct lexical_slot){0};
}

/* ---- for tests ---- */

/* Whether the bound of a block is that of its postings, and these are in order; counts them. */
static bool validate_blocks(const struct lexical *x, const struct lexical_term *t, uint32_t *docs)
{
    uint32_t before = 0;
    for (uint32_t i = 0; i < t->block_count; i++) {
        struct posting p[POSTINGS_BLOCK];
        const struct postings_block *b = &t->blocks[i];
        postings_decode(b, p);
        struct posting_bound want = postings_bound(x, p, b->count);
        if (memcmp(&want, &b->bound, sizeof want) != 0 || p[0].slot != b->first ||
            p[b->count - 1].slot != b->last)
            return false;
        for (uint32_t j = 0; j < b->count; before = p[j++].slot) {
            if (((i || j) && p[j].slot <= before) || !lexical_has(x, p[j].slot))
                return false;
            docs[x->slots[p[j].slot].class_plus - 1]++;
        }
    }
    return true;
}

static bool validate_term(const struct lexical *x, uint32_t term, uint64_t *postings)
{
    const struct lexical_term *t = &x->terms[term];
    uint32_t docs[LEXICAL_CLASSES] = {0}, waiting = 0;
    if (!validate_blocks(x, t, docs))
        return false;
    for (uint32_t i = t->pending; i != NO_PENDING; i = x->pool[i].next, waiting++) {
        if (!lexical_has(x, x->pool[i].posting.slot))
            return false;
        docs[x->slots[x->pool[i].posting.slot].class_plus - 1]++;
    }
    *postings += term_docs(t);
    const uint64_t *found = u64map_get(&x->by_hash, t->hash);
    return waiting == t->pending_count && memcmp(docs, t->docs, sizeof docs) == 0 &&
           term_docs(t) > 0 && found && *found == term;
}

bool lexical_validate(const struct lexical *x)
{
    uint64_t postings = 0, forward = 0;
    struct lexical_class classes[LEXICAL_CLASSES] = {0};
    for (uint32_t i = 0; i < x->term_count; i++)
        if (x->terms[i].used && !validate_term(x, i, &postings))
            return false;
    for (uint32_t i = 0; i < x->slot_cap; i++) {
        const struct lexical_slot *s = &x->slots[i];
        if (!s->class_plus)
            continue;
        classes[s->class_plus - 1].docs++;
        classes[s->class_plus - 1].words += s->words;
        forward += s->term_count;
    }
    return memcmp(classes, x->classes, sizeof classes) == 0 && postings == x->postings &&
           forward == x->postings && x->by_hash.len == x->terms_live;
}
