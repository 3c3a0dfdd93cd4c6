/* SPDX-License-Identifier: MIT
 *
 * The tags of one tenant (capabilities, tools, task hints), interned: a tag is a small number, and
 * each knows the agents that have it.  So a decision walks the few agents that share a hint instead
 * of all of them, and the fuzzy ratio of two tags is computed once.  They are kept as they compare:
 * without the case of ASCII letters.
 *
 * Changed by the writer under the network's write lock, read under the read lock; the hint cache
 * has a mutex of its own, since readers fill it. */
#ifndef QMN_ENGINE_TAGS_PRIV_H
#define QMN_ENGINE_TAGS_PRIV_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/map.h"

/* An agent that has the tag. */
struct posting {
    uint32_t agent;  /* slot */
    uint32_t count;  /* recent tasks that carry it (1 in a capability list) */
    int64_t last_ms; /* of the newest such task */
};

/* The agents that have a tag: a list, and once they are many also a set of bits, since a decision
 * joins the sets of dozens of similar tags. */
struct postings {
    struct posting *items;
    uint32_t count, cap;
    uint32_t reserved; /* promised, not yet added */
    struct u64map at;  /* agent slot -> index */
    uint64_t *bits;    /* one per agent slot; NULL while few have the tag */
    uint32_t words;
    int64_t oldest_ms; /* no last_ms is below it */
};

void postings_release(struct postings *p);
/* Room for one more; promises add up, since several commands of one group may each need a place.  A
 * promise never kept (its command failed) only leaves room. */
bool postings_reserve(struct postings *p);
/* And for the bit of this agent. */
bool postings_reserve_bit(struct postings *p, uint32_t agent);
void postings_add(struct postings *p, uint32_t agent, int64_t at_ms);
void postings_remove(struct postings *p, uint32_t agent);

struct tag {
    struct bytes text; /* owned */
    uint32_t number, refs;
    struct postings capable, recent;
};

/* The set of a tag's recent agents, once more: a decision joins dozens of them, and this way waits
 * for one look at memory instead of three. */
struct tag_set {
    const uint64_t *bits; /* NULL: few agents, their list has them */
    uint32_t words;
    int64_t oldest_ms;
};

struct tags {
    struct tag **items;     /* by number; NULL: free */
    struct tag_set *recent; /* by number: of items[number]->recent */
    uint32_t count, cap;
    uint32_t *freed;
    uint32_t freed_count;
    struct textmap by_text; /* struct tag */
    uint64_t serial;        /* grows with each new tag */
    uint64_t dropped;       /* tags that are gone, ever */
    uint64_t *serials;      /* by number: when it was made */

    pthread_mutex_t cache_lock;
    struct textmap cache; /* struct hint_matches by hint */
    uint64_t compared;    /* ratios computed since the start */
};

/* What bounds a decision: it holds the network's read lock while it compares, and a writer that
 * waits for that lock stops everybody.  All are guesses: 8192 ratios of the longest ASCII tags
 * take some 10 ms. */
enum {
    TAGS_FUZZY_MAX = 4096,    /* tags of a tenant compared fuzzily; the rest match exactly alone */
    TAGS_COMPARED_MAX = 8192, /* ratios one decision computes: what is left waits for the next */
    TAGS_SIMILAR_MAX = 256,   /* similar tags of one hint: the rest would be noise */
    TAGS_MATCHES_MAX = TAGS_SIMILAR_MAX + 1, /* and the hint itself */
};

struct tag_match {
    uint32_t tag;
    float ratio; /* [0.7, 1] */
};

bool tags_init(struct tags *t);
void tags_release(struct tags *t);

/* Interns the distinct texts of a list, taking one reference each: ret_numbers is a heap array
 * (mem_free). False when out of memory, with nothing taken. */
bool tags_intern(struct tags *t, struct bytes list, uint32_t **ret_numbers, uint32_t *ret_count);
/* Gives the references back; frees tags nobody holds. */
void tags_drop(struct tags *t, const uint32_t *numbers, uint32_t count);

/* Make room so that the adds of one agent for these tags cannot fail. */
bool tags_reserve_capable(struct tags *t, const uint32_t *numbers, uint32_t count);
bool tags_reserve_recent(struct tags *t, const uint32_t *numbers, uint32_t count, uint32_t agent);
void tags_add_capable(struct tags *t, const uint32_t *numbers, uint32_t count, uint32_t agent);
void tags_remove_capable(struct tags *t, const uint32_t *numbers, uint32_t count, uint32_t agent);
void tags_add_recent(struct tags *t, const uint32_t *numbers, uint32_t count, uint32_t agent,
                     int64_t at_ms);
void tags_remove_recent(struct tags *t, const uint32_t *numbers, uint32_t count, uint32_t agent);

/* A list without its repeats, as tags compare.  ptr NULL: out of memory. */
struct bytes tags_distinct(struct bytes list, struct arena *arena);
/* NULL if nobody has the tag. */
const struct tag *tags_find(const struct tags *t, struct bytes text);
/* The tags whose ratio to the hint is at least the threshold, best first: the hint itself (ratio 1)
 * if anybody has it, then the best of the similar ones.  Cached per hint; each new ratio takes one
 * from *budget, and once that is used up the answer lacks what has not been compared yet.  Copied
 * into the arena; returns the count, at most TAGS_MATCHES_MAX, 0 when out of memory. */
uint32_t tags_matches(struct tags *t, struct bytes hint, uint32_t *budget, struct arena *arena,
                      const struct tag_match **ret);

#endif
