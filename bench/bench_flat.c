/* SPDX-License-Identifier: MIT
 *
 * Microseconds to score some profiles precisely after the first pass over all of them, in fixed
 * point and as float16 (which it replaced): forty at random, as every decision does, and 600 in
 * order, as one that explores among 10,000 agents does; and how far each is off.  Other work has
 * used the cache before each pass.  Both take turns in one process, and the median and the fastest
 * of many rounds are printed, because the machine is shared. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "base/rng.h"
#include "index/flat.h"

enum {
    DIM = 1536,
    FEW = 40,
    MANY = 600,
    ROUNDS = 400,
    TURN = 50,
    OTHER_BYTES = 4 << 20,
    LINE = 64,
    AHEAD = 16
};

struct bench {
    struct flat flat;
    struct arena arena;
    struct rng rng;
    uint16_t *halves; /* [rows][DIM] */
    char *other;
    float *scores;
    uint32_t rows, looks[MANY], count;
};

static void die_if(bool failed, const char *what)
{
    if (!failed)
        return;
    fprintf(stderr, "bench_flat: %s\n", what);
    exit(1);
}

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void random_unit(struct rng *rng, float *v)
{
    double norm = 0;
    for (uint32_t i = 0; i < DIM; i++) {
        v[i] = (float)rng_normal(rng);
        norm += (double)v[i] * (double)v[i];
    }
    for (uint32_t i = 0; i < DIM; i++)
        v[i] = (float)((double)v[i] / sqrt(norm));
}

static void begin(struct bench *b, uint32_t rows)
{
    float v[DIM];
    *b = (struct bench){.rows = rows};
    flat_init(&b->flat, DIM, FLAT_FIXED);
    arena_init(&b->arena, 0);
    rng_seed(&b->rng, 1);
    b->halves = mem_calloc((size_t)rows * DIM, sizeof *b->halves);
    b->other = mem_calloc(OTHER_BYTES, 1);
    b->scores = mem_calloc(rows, sizeof *b->scores);
    die_if(!b->halves || !b->other || !b->scores || !flat_reserve(&b->flat, rows), "no memory");
    for (uint32_t i = 0; i < rows; i++) {
        random_unit(&b->rng, v);
        flat_add(&b->flat, v);
        math_kernels()->f32_to_f16(v, DIM, b->halves + (size_t)i * DIM);
    }
}

static void end(struct bench *b)
{
    flat_release(&b->flat);
    arena_release(&b->arena);
    mem_free(b->halves);
    mem_free(b->other);
    mem_free(b->scores);
}

static float fixed(struct bench *b, const struct flat_query *q)
{
    float sum = 0;
    for (uint32_t i = 0; i < b->count; i++) {
        if (i + 1 < b->count)
            flat_prefetch(&b->flat, b->looks[i + 1]);
        sum += flat_exact(&b->flat, b->looks[i], q);
    }
    return sum;
}

/* As it was done: ahead of few only. */
static float halves(struct bench *b, const struct flat_query *q)
{
    float sum = 0;
    for (uint32_t i = 0; i < b->count; i++) {
        const char *next = (const char *)(b->halves + (size_t)b->looks[(i + 1) % b->count] * DIM);
        for (size_t at = 0; b->count == FEW && at < (size_t)AHEAD * LINE; at += LINE)
            __builtin_prefetch(next + at);
        sum += math_kernels()->dot_f32_f16(q->unit, b->halves + (size_t)b->looks[i] * DIM, DIM);
    }
    return sum;
}

/* One decision's looks; the first pass before them has brought the codes. */
static double look(struct bench *b, float (*how)(struct bench *, const struct flat_query *))
{
    float unit[DIM];
    struct flat_query q;
    volatile float sink;
    for (size_t i = 0; i < OTHER_BYTES; i += LINE)
        b->other[i]++;
    arena_reset(&b->arena);
    random_unit(&b->rng, unit);
    die_if(!flat_query_init(&q, &b->flat, unit, &b->arena), "no memory");
    for (uint32_t i = 0; i < b->count; i++)
        b->looks[i] = b->count == FEW ? rng_below(&b->rng, b->rows)
                                      : i * (b->rows / MANY) + rng_below(&b->rng, b->rows / MANY);
    flat_scores(&b->flat, &q, 1, &b->scores);
    double start = now_us();
    sink = how(b, &q);
    (void)sink;
    return now_us() - start;
}

static int ascending(const void *pa, const void *pb)
{
    double a = *(const double *)pa, b = *(const double *)pb;
    return (a > b) - (a < b);
}

static void time_looks(struct bench *b, uint32_t count)
{
    static double times[2][ROUNDS];
    b->count = count;
    /* In turns of some rounds, so that each finds what it has left in the caches itself. */
    for (uint32_t r = 0; r < ROUNDS; r += TURN)
        for (uint32_t k = 0; k < 2; k++) {
            for (uint32_t i = 0; i < TURN; i++)
                (void)look(b, k ? fixed : halves);
            for (uint32_t i = 0; i < TURN; i++)
                times[k][r + i] = look(b, k ? fixed : halves);
        }
    for (uint32_t k = 0; k < 2; k++) {
        qsort(times[k], ROUNDS, sizeof times[k][0], ascending);
        printf("%5u rows, %3u looks, %s: median %6.2f us, fastest %6.2f\n", b->rows, count,
               k ? "fixed point" : "float16    ", times[k][ROUNDS / 2], times[k][0]);
    }
}

/* Against float64 sums, for cosines from 0 to 1. */
static void measure_errors(struct bench *b)
{
    static float unit[DIM], row[DIM], other[DIM];
    static uint16_t half[DIM];
    double worst[2] = {0}, squares[2] = {0};
    struct flat_query q;
    enum { PAIRS = 2000 };
    for (uint32_t i = 0; i < PAIRS; i++) {
        double norm = 0, want = 0, mix = (double)i / PAIRS;
        random_unit(&b->rng, unit);
        random_unit(&b->rng, other);
        for (uint32_t k = 0; k < DIM; k++) {
            row[k] = (float)(mix * (double)unit[k] + (1 - mix) * (double)other[k]);
            norm += (double)row[k] * (double)row[k];
        }
        for (uint32_t k = 0; k < DIM; k++) {
            row[k] = (float)((double)row[k] / sqrt(norm));
            want += (double)row[k] * (double)unit[k];
        }
        arena_reset(&b->arena);
        flat_set(&b->flat, 0, row);
        math_kernels()->f32_to_f16(row, DIM, half);
        die_if(!flat_query_init(&q, &b->flat, unit, &b->arena), "no memory");
        double off[2] = {(double)math_kernels()->dot_f32_f16(unit, half, DIM) - want,
                         (double)flat_exact(&b->flat, 0, &q) - want};
        for (uint32_t k = 0; k < 2; k++) {
            worst[k] = fmax(worst[k], fabs(off[k]));
            squares[k] += off[k] * off[k];
        }
    }
    for (uint32_t k = 0; k < 2; k++)
        printf("%d cosines, %s: off by %.1e at most, %.1e in the mean square\n", PAIRS,
               k ? "fixed point" : "float16    ", worst[k], sqrt(squares[k] / PAIRS));
}

int main(void)
{
    for (uint32_t rows = 1000; rows <= 10000; rows *= 10) {
        struct bench b;
        begin(&b, rows);
        time_looks(&b, FEW);
        if (rows > 1000)
            time_looks(&b, MANY);
        else
            measure_errors(&b);
        end(&b);
    }
    return 0;
}
