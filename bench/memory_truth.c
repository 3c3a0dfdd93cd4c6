/* SPDX-License-Identifier: MIT */
#include "memory_truth.h"

#include <pthread.h>

#include "base/mem.h"
#include "math/kernels.h"
#include "math/topk.h"

/* Queries that see a row while it is in the first cache: themselves they fill a part of the second.
 */
enum { TILE = 32, THREADS = 2 };

struct share {
    const struct truth_job *job;
    uint32_t first, end; /* queries */
    struct topk *best;   /* [TILE * kinds] */
    struct topk_item *items;
};

static bool permitted(const uint64_t *bits, uint32_t i)
{
    return !bits || (bits[i / 64] >> i % 64 & 1);
}

static void tile(const struct share *s, uint32_t first, uint32_t count)
{
    const struct truth_job *j = s->job;
    for (uint32_t i = 0; i < count * j->kinds; i++)
        topk_init(&s->best[i], s->items + (size_t)i * MEMORY_K, MEMORY_K);
    for (uint32_t row = 0; row < j->base->count; row++)
        for (uint32_t q = 0; q < count; q++) {
            float score = math_kernels()->dot_f32(matrix_row(j->base, row),
                                                  matrix_row(j->queries, first + q), j->base->dim);
            for (uint32_t kind = 0; kind < j->kinds; kind++)
                if (!j->permits ||
                    permitted(j->permits[(size_t)(first + q) * j->kinds + kind], row))
                    topk_offer(&s->best[q * j->kinds + kind], score, row);
        }
    for (uint32_t i = 0; i < count * j->kinds; i++) {
        const struct topk *t = &s->best[i];
        struct truth *ret = &j->ret[(size_t)first * j->kinds + i];
        *ret = (struct truth){.count = (uint32_t)t->len};
        if (t->len) /* the worst kept stands on top of the heap */
            ret->worst = exact_score(matrix_row(j->base, t->items[0].id),
                                     matrix_row(j->queries, first + i / j->kinds), j->base->dim);
    }
}

static void *find_share(void *arg)
{
    struct share *s = arg;
    size_t heaps = (size_t)TILE * s->job->kinds;
    s->best = mem_calloc(heaps, sizeof *s->best);
    s->items = mem_calloc(heaps * MEMORY_K, sizeof *s->items);
    if (!s->best || !s->items)
        exit(1);
    for (uint32_t q = s->first; q < s->end; q += TILE)
        tile(s, q, s->end - q < TILE ? s->end - q : TILE);
    mem_free(s->best);
    mem_free(s->items);
    return NULL;
}

void truth_find(const struct truth_job *job)
{
    pthread_t threads[THREADS];
    struct share shares[THREADS];
    for (uint32_t t = 0; t < THREADS; t++) {
        shares[t] = (struct share){.job = job,
                                   .first = job->queries->count * t / THREADS,
                                   .end = job->queries->count * (t + 1) / THREADS};
        if (pthread_create(&threads[t], NULL, find_share, &shares[t]) != 0)
            exit(1);
    }
    for (uint32_t t = 0; t < THREADS; t++)
        pthread_join(threads[t], NULL);
}
