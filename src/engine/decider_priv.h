/* SPDX-License-Identifier: MIT
 *
 * A decision under way, for the files that make it: decide_score.c, decide_index.c,
 * decide_eligible.c, decide.c.
 * The read lock is held throughout. */
#ifndef QMN_ENGINE_DECIDER_PRIV_H
#define QMN_ENGINE_DECIDER_PRIV_H

#include "engine/agent_index_priv.h"
#include "engine/decide_priv.h"
#include "route/score.h"

#define NOT_ELIGIBLE (-1.0f)

enum {
    DECIDE_LEVELS = 8, /* ratios whose agents gain together; a guess, most hints know fewer */
    DECIDE_SPARE = 8,  /* rescored above the pool: int8 may misplace neighbours by a few ranks */
};

/* Per agent slot, all in the arena. */
struct scratch {
    uint32_t n;
    float *cosine; /* of a large tenant: of those that were looked at */
    float *demand;
    uint64_t *covered; /* bits: agents the hint at hand has matched */
    uint64_t *levels;  /* bits: DECIDE_LEVELS of them, agents with a tag of one ratio ... */
    struct kernels_term gain[DECIDE_LEVELS]; /* ... and what they gain by it */
    uint32_t level_count;
    uint32_t words;
    uint8_t *capable;         /* matching capabilities */
    const struct tag **named; /* the hints that are tags */
    uint32_t named_count;
    bool *exact; /* cosine is exact, not from the int8 pass */
    float *score;
    uint8_t *place;            /* of an agent that entered the pool: its parts' ... */
    struct score_parts *parts; /* ... in here */
};

struct decider {
    struct engine *e;
    struct tenant *t;
    const struct decide_in *in;
    struct arena *arena;
    struct scratch s;
    float min_score;
    struct bytes hints; /* distinct */
    uint32_t compare;   /* how many more tags it may compare with hints */

    /* of a large tenant */
    bool indexed;                      /* candidates come from its index */
    struct topk best;                  /* roughly the best of those looked at */
    uint64_t *seen;                    /* bits: who was looked at */
    uint32_t sample[AGENT_SAMPLE_MAX]; /* slots: those of a sample that are eligible */
};

static inline bool decider_may_receive(const struct decider *d, uint32_t slot)
{
    return d->t->reach[slot] >= d->in->sensitivity && slot != d->in->source->slot;
}

/* ---- decide_score.c ---- */

/* False: out of memory. */
bool decider_init(struct decider *d);
/* Everybody's demand and matching capabilities. */
void decider_hints(struct decider *d);
/* Everybody's score, as far as the first pass knows the cosines. */
void decider_score(struct decider *d);
/* The parts of one agent's score, with the precise cosine, for a delivery from this agent. */
struct score_parts decider_exact(struct decider *d, uint32_t slot, const struct agent *from);
/* How many the first pass hands over to the exact one. */
uint32_t decider_rescored(const struct decider *d);

/* ---- decide_index.c ---- */

/* Of a large tenant: puts roughly the best into d->best.  False: out of memory. */
bool decider_gather(struct decider *d);

/* ---- decide_eligible.c ---- */

/* The least score that counts: any at all, or the caller's threshold. */
float decider_floor(const struct decider *d);
/* How many are eligible, by the first pass or by what decider_settle has made of it. */
uint32_t decider_count(const struct decider *d);
/* Looks exactly at everybody about whom the first pass leaves doubt; from then on it is known who
 * is eligible.  Returns how many are.  Costs as much as some percent of the agents cost, so it is
 * done only where the number matters: when a decision explores, or the pool stays short. */
uint32_t decider_settle(struct decider *d);
/* The agent behind "number rank of the eligible ones outside the pool", in order of slot;
 * UINT32_MAX: there are fewer. */
uint32_t decider_outsider(const struct decider *d, const struct topk_item *pool, uint32_t pool_len,
                          uint32_t rank);
/* Of a large tenant: draws a sample of those who are not among chosen[count] (slots) and puts who
 * is eligible of it into d->sample.  As select_options.sample. */
uint32_t decider_sample(struct decider *d, const uint32_t *chosen, uint32_t count, struct rng *rng,
                        double *ret_p);
/* By the precise score. */
bool decider_eligible(struct decider *d, uint32_t slot);

#endif
