/* SPDX-License-Identifier: MIT
 *
 * Demand: how much the tool hints of a nutrient overlap the tasks an agent worked on of late.
 *
 * The similarity of two tags is the Indel ratio 2 LCS(a, b) / (|a| + |b|), LCS the length of the
 * longest common subsequence: 1 minus the normalised distance of insertions and deletions.  Unlike
 * Ratcliff/Obershelp it is symmetric, and unlike 1 - Levenshtein / max it does not count a replaced
 * letter as half kept.  Lengths are bytes of UTF-8; ASCII letters compare without case.
 *
 * The engine interns tags and keeps the best matches per pair; it calls demand_match() once per
 * pair and demand_mean() per decision.
 *
 * Pure: no I/O, no clock, no locks. */
#ifndef QMN_ROUTE_DEMAND_H
#define QMN_ROUTE_DEMAND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/limits.h"

#define DEMAND_RATIO_MIN 0.7f /* below it two tags have nothing to do with each other */

enum { DEMAND_TAG_BYTES = 4 * LIMIT_TAG_CHARS }; /* the longest valid tag in UTF-8 */

/* How tags compare: without the case of ASCII letters. */
static inline char tag_fold(char c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

/* [0, 1]; 1 for equal tags (two empty ones included).  0 if either is longer than DEMAND_TAG_BYTES,
 * which validation rules out. */
float tag_ratio(struct bytes a, struct bytes b);

/* 1 if equal, else the ratio if at least DEMAND_RATIO_MIN, else 0.  Cheaper than tag_ratio for tags
 * whose lengths alone rule a match out. */
float demand_match(struct bytes hint, struct bytes task);

/* False if the lengths alone rule a match out. */
bool demand_may_match(size_t hint_len, size_t task_len);

/* The mean over the hints of their best match; 0 without hints. best: float[hints], each [0, 1]. */
float demand_mean(const float *best, uint32_t hints);

/* Both together, without a cache: O(hints * tasks) matches. */
float demand_overlap(const struct bytes *hints, uint32_t hint_count, const struct bytes *tasks,
                     uint32_t task_count);

#endif
