/* SPDX-License-Identifier: MIT
 *
 * What the memories of one tenant can be filtered by, inverted: a path ("kind", "task_id",
 * "metadata.lang") knows the slots that have it, and each text, truth or null found there is a term
 * with the slots that have that.  Numbers are mostly all different, so a path keeps them in a
 * column, which a range reads from end to end.  Terms come to be when a memory promises them and go
 * when nobody has them any more.
 *
 * Promises: the writer makes the facts of a row in check (terms_promise), when memory may be
 * lacking; publishing them (terms_add) then needs none.  Those of a command that failed are
 * forgotten when the next group begins.
 *
 * Threads: one writer; whatever changes (promise, add, remove, sweep, release) needs the network's
 * lock for writing, look-ups that for reading. */
#ifndef QMN_ENGINE_TERMS_PRIV_H
#define QMN_ENGINE_TERMS_PRIV_H

#include "base/bytes.h"
#include "base/limits.h"
#include "base/map.h"
#include "index/slotset.h"

enum { TERM_TEXT_BYTES = 4 * LIMIT_ID_CHARS }; /* of a path or a text */

enum fact_type {
    FACT_PATH = 'p', /* it is there, whatever it says */
    FACT_NULL = 'n',
    FACT_FALSE = 'f',
    FACT_TRUE = 'y',
    FACT_TEXT = 't',
    FACT_LONG = 'l', /* the beginning of a longer text: equals nothing that can be asked for */
    FACT_NUMBER = 'd',
};

/* One thing that a row says.  Borrows. */
struct fact {
    enum fact_type type;
    struct bytes path; /* up to TERM_TEXT_BYTES, as is the text */
    struct bytes text;
    double number;
};

struct number_fact {
    struct term *path;
    double value;
    uint32_t at; /* once published: index in the column */
};

/* The facts of one row, on the heap. */
struct facts {
    struct facts *older, *newer; /* promised ones */
    struct number_fact *numbers; /* behind the terms */
    uint32_t term_count, number_count;
    struct term *terms[]; /* distinct */
};

struct numbers {
    uint32_t *slots;
    double *values;
    struct number_fact **owners;
    uint32_t count, cap;
    uint32_t promised;
};

struct term {
    struct slotset set;
    struct term *path;        /* NULL: it is one */
    struct term *prev, *next; /* of a value: the others of its path */
    struct term *values;      /* of a path: texts, truths and nulls */
    struct numbers *numbers;  /* of a path; NULL: there never was one */
    const void *seen;         /* facts that have it, while they are gathered */
    uint64_t group;           /* for which `promised` counts */
    uint32_t promised;
    struct term *idle_next;
    bool idle; /* in line to be looked at by the next sweep */
    uint8_t type;
    uint16_t text_at; /* in the key: behind what tells paths and types apart */
    uint32_t key_len;
    char key[];
};

struct terms {
    struct textmap by_key; /* struct term, owned */
    struct term *idle;
    struct facts *oldest, *newest; /* promised, not yet added */
    uint64_t group;
};

void terms_release(struct terms *x);
/* The facts of a row that will be added in this group, at a slot below `slots` as all others are.
 * They belong to `x` until they are added.  False: out of memory. */
QMN_NODISCARD bool terms_promise(struct terms *x, uint64_t group, const struct fact *in, size_t n,
                                 uint32_t slots, struct facts **ret);
/* Takes the promise; the facts are the caller's from then on. */
void terms_add(struct terms *x, struct facts *f, uint32_t slot);
/* Frees them. */
void terms_remove(struct terms *x, struct facts *f, uint32_t slot);
/* Forgets what was promised before this group and never came, and the terms nobody has. */
void terms_sweep(struct terms *x, uint64_t group);

/* NULL: nobody has it. */
const struct term *terms_path(const struct terms *x, struct bytes path);
const struct term *terms_value(const struct terms *x, const struct term *path, enum fact_type type,
                               struct bytes text);
static inline struct bytes term_text(const struct term *t)
{
    return bytes_of(t->key + t->text_at, t->key_len - t->text_at);
}

#endif
