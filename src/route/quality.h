/* SPDX-License-Identifier: MIT
 *
 * How the quality of a memory moves with the outcomes of the contexts it was used in: the mean of a
 * beta distribution, after "The Beta Reputation System" (Josang and Ismail, 2002).  What its author
 * said of it is the base rate and counts as QUALITY_PRIOR full votes; each outcome adds one of
 * weight `share` at most 1.
 *
 *   quality = (QUALITY_PRIOR given + sum + run_sum) / (QUALITY_PRIOR + weight + run_weight)
 *
 * Two bounds replace the paper's forgetting factor.  The votes of one rater in a row are its run,
 * and count as QUALITY_RUN_MAX together, older ones less: whoever rates alone moves a quality half
 * way to what it says, however often it does.  All earlier runs together count as
 * QUALITY_EVIDENCE_MAX, so the author keeps a sixth of the say and no crowd reaches 0 or 1; what
 * was learned long ago fades as new outcomes come.
 *
 * Pure: no I/O, no clock, no locks. */
#ifndef QMN_ROUTE_QUALITY_H
#define QMN_ROUTE_QUALITY_H

#include <stdint.h>

/* Votes.  Guesses: a memory should need a handful of outcomes before its author is doubted. */
#define QUALITY_PRIOR        4.0
#define QUALITY_RUN_MAX      4.0
#define QUALITY_EVIDENCE_MAX 16.0

/* All zero: nobody has rated it. */
struct quality_evidence {
    double weight, sum;         /* votes of earlier runs, and their weighted scores */
    double run_weight, run_sum; /* the same of the run ... */
    int64_t rater;              /* ... of this rater: any number but 0 */
};

/* Adds one vote.  rater: not 0; score: [0, 1]; share: [0, 1], how much of the outcome is this
 * memory's.  Both are clamped (NaN counts as 0).  The order matters: runs are of neighbours. */
void quality_learn(struct quality_evidence *e, int64_t rater, double score, double share);

/* given: [0, 1].  Without evidence `given` to the last bit; else between given / 6 and
 * 1 - (1 - given) / 6. */
double quality_now(double given, const struct quality_evidence *e);

/* The same of something of which nobody said anything: how useful it was, [0, 1]; 0.5 without
 * evidence. */
double quality_useful(const struct quality_evidence *e);

/* How much of an outcome is a contribution's: its similarity to the demand as a part of that of the
 * nearest one.  [0, 1]; 0 when nothing was near. */
double quality_share(double similarity, double nearest);

#endif
