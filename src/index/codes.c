/* SPDX-License-Identifier: MIT
 *
 * Codes of one bit and of eight. */
#include "codes.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "math/code_kernels.h"
#include "math/kernels.h"
#include "math/vector.h"

enum { LINE_BYTES = 64, BATCH = 64 };

/* 1 - a^2 counts as at least this: a row that lies along its signs is coded without error, but the
 * query is not.  (It is .363 for Gaussian elements.) */
#define LEAN_LEAST   0.2
#define LEAN_USUALLY 0.363

bool codes_init(struct codes *c, uint32_t dim, uint64_t seed)
{
    struct rotation rotation;
    if (!rotation_init(&rotation, dim, seed))
        return false;
    uint32_t tail_at = rotation.padded / 8;
    *c = (struct codes){
        .rotation = rotation,
        .dim = dim,
        .padded = rotation.padded,
        .tail_at = tail_at,
        .bits_stride = (tail_at + (uint32_t)sizeof(struct codes_tail) + LINE_BYTES - 1) /
                       LINE_BYTES * LINE_BYTES,
        .i8_stride = rotation.padded,
    };
    return true;
}

void codes_release(struct codes *c)
{
    rotation_release(&c->rotation);
    *c = (struct codes){0};
}

static float sum_abs(const float *v, size_t n)
{
    double lane[8] = {0};
    for (size_t i = 0; i < n; i += 8)
        for (size_t j = 0; j < 8; j++)
            lane[j] += (double)fabsf(v[i + j]);
    return (float)(((lane[0] + lane[1]) + (lane[2] + lane[3])) +
                   ((lane[4] + lane[5]) + (lane[6] + lane[7])));
}

static uint32_t count_ones(const uint64_t *bits, size_t words)
{
    uint32_t ones = 0;
    for (size_t i = 0; i < words; i++)
        ones += (uint32_t)__builtin_popcountll(bits[i]);
    return ones;
}

void codes_encode(const struct codes *c, const float *rotated, const float *centre, float *scratch,
                  void *ret_row)
{
    const float *r = rotated;
    struct codes_tail tail = {0};
    if (centre) {
        for (uint32_t i = 0; i < c->padded; i++)
            scratch[i] = rotated[i] - centre[i];
        r = scratch;
        tail.add = math_kernels()->dot_f32(centre, r, c->padded);
    }
    memset(ret_row, 0, c->bits_stride);
    math_code_kernels()->sign_bits(r, c->padded, ret_row);
    tail.ones = count_ones(ret_row, c->padded / 64);
    double norm = vector_norm(r, c->padded), sum = (double)sum_abs(r, c->padded);
    if (sum > 0 && isfinite(norm * norm)) {
        double lean = sum / (norm * sqrt((double)c->padded)), rest = 1 - lean * lean;
        rest = rest > LEAN_LEAST ? rest : LEAN_LEAST;
        tail.factor = (float)(norm * norm / sum);
        tail.error = (float)(norm * sqrt(rest / (c->padded - 1)) / lean);
    }
    memcpy((char *)ret_row + c->tail_at, &tail, sizeof tail);
}

bool codes_query_reserve(struct codes_query *q, const struct codes *c)
{
    if (c->padded <= q->padded)
        return true;
    struct codes_query fresh = {
        .rotated = mem_alloc(c->padded * sizeof(float)),
        .residual = mem_alloc(c->padded * sizeof(float)),
        .planes = mem_alloc(CODE_PLANES * c->padded / 8),
        .i8 = mem_alloc(c->padded),
        .padded = c->padded,
    };
    bool ok = fresh.rotated && fresh.residual && fresh.planes && fresh.i8;
    if (ok) {
        struct codes_query old = *q;
        *q = fresh;
        fresh = old;
    }
    codes_query_release(&fresh);
    return ok;
}

void codes_query_release(struct codes_query *q)
{
    mem_free(q->rotated);
    mem_free(q->residual);
    mem_free(q->planes);
    mem_free(q->i8);
    *q = (struct codes_query){0};
}

/* Of the vector in q->rotated. */
static void make_planes(struct codes_query *q, const struct codes *c, const float *centre)
{
    const struct kernels *k = math_kernels();
    const float *r = q->rotated;
    float square = k->dot_f32(r, r, c->padded);
    q->norm = sqrtf(square);
    q->base = 0;
    if (centre) {
        for (uint32_t i = 0; i < c->padded; i++)
            q->residual[i] = q->rotated[i] - centre[i];
        r = q->residual;
        q->base = k->dot_f32(q->rotated, centre, c->padded);
        square = k->dot_f32(r, r, c->padded);
    }
    struct code_levels levels = math_code_kernels()->bit_planes(r, c->padded, q->planes);
    float d = (float)c->padded;
    q->per_one = 2 * levels.low;
    q->per_level = 2 * levels.step;
    q->offset = -(levels.low * d + levels.step * (float)levels.sum);
    q->error = sqrtf(square + d * levels.step * levels.step / (12 * (float)LEAN_USUALLY));
}

void codes_query_set(struct codes_query *q, const struct codes *c, const float *x,
                     const float *centre)
{
    rotation_apply(&c->rotation, x, q->rotated);
    q->i8_scale = math_kernels()->quantise_i8(q->rotated, c->padded, q->i8);
    make_planes(q, c, centre);
}

void codes_query_set_row(struct codes_query *q, const struct codes *c, const int8_t *row,
                         float scale, const float *centre)
{
    for (uint32_t i = 0; i < c->padded; i++)
        q->rotated[i] = scale * (float)row[i];
    memcpy(q->i8, row, c->padded);
    q->i8_scale = scale;
    make_planes(q, c, centre);
}

static inline float estimate(const struct codes_query *q, const struct codes_tail *t, uint32_t sum)
{
    float product = q->per_one * (float)t->ones + q->per_level * (float)sum + q->offset;
    return q->base + t->add + t->factor * product;
}

void codes_estimate(const struct codes *c, const struct codes_query *q, const void *const *rows,
                    size_t count, float *ret)
{
    uint32_t sums[BATCH] QMN_UNINIT;
    for (size_t at = 0; at < count; at += BATCH) {
        size_t n = count - at < BATCH ? count - at : BATCH;
        math_code_kernels()->dot_bits(rows + at, n, q->planes, c->padded, sums);
        for (size_t i = 0; i < n; i++)
            ret[at + i] = estimate(q, codes_tail_of(c, rows[at + i]), sums[i]);
    }
}

void codes_estimate_highest(const struct codes *c, const struct codes_query *q,
                            const void *const *rows, size_t count, float deviations, float *ret,
                            float *ret_highest)
{
    uint32_t sums[BATCH] QMN_UNINIT;
    for (size_t at = 0; at < count; at += BATCH) {
        size_t n = count - at < BATCH ? count - at : BATCH;
        math_code_kernels()->dot_bits(rows + at, n, q->planes, c->padded, sums);
        for (size_t i = 0; i < n; i++) {
            const struct codes_tail *t = codes_tail_of(c, rows[at + i]);
            ret[at + i] = estimate(q, t, sums[i]);
            ret_highest[at + i] = ret[at + i] + deviations * q->error * t->error;
        }
    }
}
