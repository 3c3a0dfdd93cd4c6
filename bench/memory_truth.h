/* SPDX-License-Identifier: MIT
 *
 * Exact answers for `make bench-memory`: every query with every permitted row, float32, by two
 * threads. */
#ifndef QMN_BENCH_MEMORY_TRUTH_H
#define QMN_BENCH_MEMORY_TRUTH_H

#include <stdint.h>

#include "memory_data.h"

/* A row is a right answer if it scores `worst` or more, ties included. */
struct truth {
    double worst;
    uint32_t count; /* min(MEMORY_K, permitted rows) */
};

struct truth_job {
    const struct matrix *base, *queries;
    uint32_t kinds; /* answers of each query */
    /* [queries * kinds]: the rows that answer may have, bit i % 64 of [i / 64]; an entry that is
     * NULL, or no array at all: every row. */
    const uint64_t *const *permits;
    struct truth *ret; /* [queries * kinds] */
};

void truth_find(const struct truth_job *job);

#endif
