/* SPDX-License-Identifier: MIT
 *
 * Terms: found by their key, which is a letter for the type, for a value the address of its path,
 * and the text. */
#include "engine/terms_priv.h"

#include <assert.h>

#include "base/attr.h"
#include "base/limits.h"
#include "base/mem.h"

enum {
    PATH_AT = 1,
    VALUE_AT = 1 + sizeof(struct term *),
};

/* ---- look-ups ---- */

static size_t put_key(char *to, enum fact_type type, const struct term *path, struct bytes text)
{
    size_t len = 0;
    to[len++] = (char)type;
    if (path) {
        memcpy(to + len, &path, sizeof(const struct term *));
        len += sizeof(const struct term *);
    }
    if (text.len)
        memcpy(to + len, text.ptr, text.len);
    return len + text.len;
}

/* NULL: there is none. */
static struct term *look_up(const struct terms *x, enum fact_type type, const struct term *path,
                            struct bytes text)
{
    QMN_UNINIT char key[TERM_TEXT_BYTES + VALUE_AT];
    if (text.len > TERM_TEXT_BYTES)
        return NULL;
    return textmap_get(&x->by_key, bytes_of(key, put_key(key, type, path, text)));
}

const struct term *terms_path(const struct terms *x, struct bytes path)
{
    return look_up(x, FACT_PATH, NULL, path);
}

const struct term *terms_value(const struct terms *x, const struct term *path, enum fact_type type,
                               struct bytes text)
{
    return look_up(x, type, path, text);
}

/* ---- coming and going ---- */

static void touch(const struct terms *x, struct term *t)
{
    if (t->group == x->group)
        return;
    t->group = x->group;
    t->promised = 0;
    if (t->numbers)
        t->numbers->promised = 0;
}

static bool in_use(const struct term *t)
{
    return t->set.count || t->values || (t->numbers && t->numbers->count);
}

static bool promised(const struct terms *x, const struct term *t)
{
    return t->group == x->group && (t->promised || (t->numbers && t->numbers->promised));
}

static void line_up(struct terms *x, struct term *t)
{
    if (t->idle)
        return;
    t->idle = true;
    t->idle_next = x->idle;
    x->idle = t;
}

static struct term *term_new(struct terms *x, enum fact_type type, struct term *path,
                             struct bytes text)
{
    struct term *t = mem_calloc(1, sizeof *t + VALUE_AT + text.len);
    if (!t || !textmap_reserve(&x->by_key, 1)) {
        mem_free(t);
        return NULL;
    }
    t->path = path;
    t->type = (uint8_t)type;
    t->text_at = path ? VALUE_AT : PATH_AT;
    t->key_len = (uint32_t)put_key(t->key, type, path, text);
    if (path) {
        t->next = path->values;
        if (t->next)
            t->next->prev = t;
        path->values = t;
    }
    textmap_put(&x->by_key, bytes_of(t->key, t->key_len), t);
    line_up(x, t);
    return t;
}

static void numbers_free(struct numbers *n)
{
    if (!n)
        return;
    mem_free(n->slots);
    mem_free(n->values);
    mem_free(n->owners);
    mem_free(n);
}

static void term_free(struct term *t)
{
    slotset_release(&t->set);
    numbers_free(t->numbers);
    mem_free(t);
}

/* Frees a term nobody has, and then perhaps its path.  What stands in the line is left to the
 * sweep, and so is what others of this group count on. */
static void settle(struct terms *x, struct term *t)
{
    struct term *path = t->path;
    if (in_use(t) || t->idle)
        return;
    if (promised(x, t)) {
        line_up(x, t);
        return;
    }
    textmap_remove(&x->by_key, bytes_of(t->key, t->key_len));
    if (t->next)
        t->next->prev = t->prev;
    if (t->prev)
        t->prev->next = t->next;
    else if (path)
        path->values = t->next;
    term_free(t);
    if (path && !path->seen)
        settle(x, path); /* no deeper: a path has none */
}

/* Without memory for a smaller array the larger one stays, which harms nobody. */
static void numbers_trim(struct numbers *n)
{
    uint32_t need = n->count + n->promised, cap = need < 2 ? 4 : need * 2;
    if (cap > n->cap / 2)
        return;
    n->cap = cap;
    void *slots = mem_resize(n->slots, cap, sizeof *n->slots);
    void *values = mem_resize(n->values, cap, sizeof *n->values);
    void *owners = mem_resize(n->owners, cap, sizeof(struct number_fact *));
    n->slots = slots ? slots : n->slots;
    n->values = values ? values : n->values;
    n->owners = owners ? owners : n->owners;
}

/* Somebody has it no more. */
static void leave(struct terms *x, struct term *t)
{
    touch(x, t);
    slotset_trim(&t->set, t->promised);
    if (t->numbers)
        numbers_trim(t->numbers);
    settle(x, t);
}

void terms_sweep(struct terms *x, uint64_t group)
{
    if (group == x->group)
        return;
    x->group = group;
    while (x->oldest) {
        struct facts *f = x->oldest;
        x->oldest = f->newer;
        mem_free(f);
    }
    x->newest = NULL;
    while (x->idle) {
        struct term *t = x->idle;
        x->idle = t->idle_next;
        t->idle = false;
        settle(x, t);
    }
}

void terms_release(struct terms *x)
{
    for (size_t i = 0; i < x->by_key.cap; i++)
        if (x->by_key.slots[i].value)
            term_free(x->by_key.slots[i].value);
    textmap_release(&x->by_key);
    while (x->oldest) {
        struct facts *f = x->oldest;
        x->oldest = f->newer;
        mem_free(f);
    }
    *x = (struct terms){0};
}

/* ---- promises ---- */

static bool numbers_reserve(struct term *path)
{
    struct numbers *n = path->numbers;
    if (!n)
        n = path->numbers = mem_calloc(1, sizeof *n);
    if (!n)
        return false;
    if (n->count + n->promised < n->cap)
        return true;
    uint32_t cap = n->cap ? n->cap * 2 : 4;
    uint32_t *slots = mem_resize(n->slots, cap, sizeof *slots);
    if (slots)
        n->slots = slots;
    double *values = mem_resize(n->values, cap, sizeof *values);
    if (values)
        n->values = values;
    struct number_fact **owners = mem_resize(n->owners, cap, sizeof(struct number_fact *));
    if (owners)
        n->owners = owners;
    if (!slots || !values || !owners)
        return false;
    n->cap = cap;
    return true;
}

/* NULL: out of memory. */
static struct term *intern(struct terms *x, enum fact_type type, struct term *path,
                           struct bytes text)
{
    struct term *t = look_up(x, type, path, text);
    if (!t)
        t = term_new(x, type, path, text);
    if (t)
        touch(x, t);
    return t;
}

static bool promise_number(struct terms *x, const struct fact *in, struct facts *f)
{
    struct term *path = intern(x, FACT_PATH, NULL, in->path);
    if (!path || !numbers_reserve(path))
        return false;
    path->numbers->promised++;
    f->numbers[f->number_count++] = (struct number_fact){.path = path, .value = in->number};
    return true;
}

static bool promise_term(struct terms *x, const struct fact *in, uint32_t slots, struct facts *f)
{
    struct term *t = intern(x, FACT_PATH, NULL, in->path);
    if (t && in->type != FACT_PATH)
        t = intern(x, in->type, t, in->text);
    if (!t)
        return false;
    if (t->seen == f)
        return true;
    if (!slotset_reserve(&t->set, t->promised + 1, slots))
        return false;
    t->promised++;
    t->seen = f;
    f->terms[f->term_count++] = t;
    return true;
}

static struct facts *facts_new(const struct fact *in, size_t n)
{
    size_t numbers = 0;
    for (size_t i = 0; i < n; i++)
        numbers += in[i].type == FACT_NUMBER;
    size_t terms = (n - numbers) * sizeof(struct term *);
    struct facts *f = mem_calloc(1, sizeof *f + terms + numbers * sizeof(struct number_fact));
    if (f)
        f->numbers = (struct number_fact *)(void *)((char *)f->terms + terms);
    return f;
}

bool terms_promise(struct terms *x, uint64_t group, const struct fact *in, size_t n, uint32_t slots,
                   struct facts **ret)
{
    terms_sweep(x, group);
    struct facts *f = facts_new(in, n);
    bool ok = f != NULL;
    for (size_t i = 0; ok && i < n; i++)
        ok = in[i].type == FACT_NUMBER ? promise_number(x, &in[i], f)
                                       : promise_term(x, &in[i], slots, f);
    for (uint32_t i = 0; f && i < f->term_count; i++)
        f->terms[i]->seen = NULL; /* its address may come again */
    if (!ok) {
        mem_free(f); /* what it has promised stays promised for this group */
        return false;
    }
    f->older = x->newest;
    if (x->newest)
        x->newest->newer = f;
    else
        x->oldest = f;
    x->newest = f;
    *ret = f;
    return true;
}

/* ---- what is published ---- */

static void kept(uint32_t *promised)
{
    *promised -= *promised > 0;
}

static void number_add(struct number_fact *x, uint32_t slot)
{
    struct numbers *n = x->path->numbers;
    assert(n->count < n->cap);
    kept(&n->promised);
    x->at = n->count++;
    n->slots[x->at] = slot;
    n->values[x->at] = x->value;
    n->owners[x->at] = x;
}

static void number_remove(struct number_fact *x)
{
    struct numbers *n = x->path->numbers;
    uint32_t last = --n->count;
    n->slots[x->at] = n->slots[last];
    n->values[x->at] = n->values[last];
    n->owners[x->at] = n->owners[last];
    n->owners[x->at]->at = x->at;
}

void terms_add(struct terms *x, struct facts *f, uint32_t slot)
{
    *(f->older ? &f->older->newer : &x->oldest) = f->newer;
    *(f->newer ? &f->newer->older : &x->newest) = f->older;
    f->older = f->newer = NULL;
    for (uint32_t i = 0; i < f->term_count; i++) {
        kept(&f->terms[i]->promised);
        slotset_add(&f->terms[i]->set, slot);
    }
    for (uint32_t i = 0; i < f->number_count; i++)
        number_add(&f->numbers[i], slot);
}

/* Values go before the paths that may go with them. */
static void leave_all(struct terms *x, struct facts *f)
{
    for (uint32_t i = 0; i < f->number_count; i++)
        if (!f->numbers[i].path->seen)
            line_up(x, f->numbers[i].path);
    for (uint32_t i = 0; i < f->term_count; i++)
        if (f->terms[i]->path) {
            f->terms[i]->seen = NULL;
            leave(x, f->terms[i]);
            f->terms[i] = NULL;
        }
    for (uint32_t i = 0; i < f->term_count; i++)
        if (f->terms[i]) {
            f->terms[i]->seen = NULL;
            leave(x, f->terms[i]);
        }
}

void terms_remove(struct terms *x, struct facts *f, uint32_t slot)
{
    for (uint32_t i = 0; i < f->term_count; i++) {
        slotset_remove(&f->terms[i]->set, slot);
        f->terms[i]->seen = f;
    }
    for (uint32_t i = 0; i < f->number_count; i++)
        number_remove(&f->numbers[i]);
    leave_all(x, f);
    mem_free(f);
}
