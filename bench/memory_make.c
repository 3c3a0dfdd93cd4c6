/* SPDX-License-Identifier: MIT
 *
 * Makes vectors for `make bench-memory`, the same ones on every run.
 *
 *     memory_make easy QUERIES ROWS PREFIX          clustered, smooth, of low intrinsic dimension
 *     memory_make lexical QUERIES ROWS PREFIX LINES the built-in embedder over lines of text
 *
 * writes PREFIX.query and PREFIX.base; the queries come from the same source as the rows, and none
 * is among them.
 *
 * easy: 64 clusters of 24 smaller ones in a latent space of 40 dimensions; a random network of one
 * tanh layer into 512, whose outputs weigh as a power law; from there by random directions into
 * 1536; isotropic noise of a quarter of its length; an offset common to all.  The numbers were
 * chosen so that the share of the strongest directions and the distances of neighbours are like
 * those of sentence embeddings; nothing says that those are as easy. */
#include <math.h>
#include <pthread.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/rng.h"
#include "math/kernels.h"
#include "memory_data.h"
#include "text/embed.h"

enum { DIM = 1536, LATENT = 40, HIDDEN = 512, CLUSTERS = 64, PARTS = 24, SEED = 42, BLOCK = 4096 };
enum { THREADS = 2 };

#define SPREAD_PARTS 0.6f /* of a part's centre about its cluster's, whose own is 1 */
#define SPREAD_ROWS  0.45f
#define POWER        0.5 /* weight of hidden unit j: (j + 1)^-POWER */
#define GAIN         2.0 /* into the tanh: standard deviation of its argument, about */
#define NOISE        0.25
#define OFFSET       0.8 /* length of the common part; the rest has 1 */

struct easy {
    float cluster[CLUSTERS][LATENT], part[CLUSTERS][PARTS][LATENT];
    float in[HIDDEN][LATENT], bias[HIDDEN];
    float out[DIM][HIDDEN], offset[DIM];
};

static FILE *open_out(const char *prefix, const char *suffix, uint32_t count)
{
    char path[512];
    struct memory_head head = {.magic = MEMORY_MAGIC, .count = count, .dim = DIM};
    snprintf(path, sizeof path, "%s.%s", prefix, suffix);
    FILE *f = fopen(path, "wbe");
    if (!f || fwrite(&head, sizeof head, 1, f) != 1) {
        perror(path);
        exit(1);
    }
    return f;
}

static void put(FILE *f, const float *rows, size_t count)
{
    if (fwrite(rows, DIM * sizeof *rows, count, f) != count) {
        perror("memory_make");
        exit(1);
    }
}

static void close_out(FILE *f)
{
    if (fclose(f) != 0) {
        perror("memory_make");
        exit(1);
    }
}

static void fill_normal(struct rng *rng, float *v, size_t n, double deviation)
{
    for (size_t i = 0; i < n; i++)
        v[i] = (float)(deviation * rng_normal(rng));
}

static void easy_init(struct easy *e)
{
    struct rng rng;
    rng_seed(&rng, SEED);
    fill_normal(&rng, e->cluster[0], (size_t)CLUSTERS * LATENT, 1);
    fill_normal(&rng, e->part[0][0], (size_t)CLUSTERS * PARTS * LATENT, 1);
    fill_normal(&rng, e->in[0], (size_t)HIDDEN * LATENT, GAIN / sqrt(LATENT));
    fill_normal(&rng, e->bias, HIDDEN, 0.5);
    for (int i = 0; i < DIM; i++)
        for (int j = 0; j < HIDDEN; j++)
            e->out[i][j] = (float)(rng_normal(&rng) * pow(j + 1, -POWER));
    fill_normal(&rng, e->offset, DIM, OFFSET / sqrt(DIM));
}

static void scale(float *v, double length)
{
    double sum = 0;
    for (int i = 0; i < DIM; i++)
        sum += (double)v[i] * (double)v[i];
    for (int i = 0; i < DIM; i++)
        v[i] = (float)((double)v[i] * length / sqrt(sum));
}

/* Row number `no`, whoever makes it and in whatever order. */
static void easy_row(const struct easy *e, uint32_t no, float *ret)
{
    struct rng rng;
    float z[LATENT], h[HIDDEN];
    rng_seed(&rng, SEED + UINT64_C(1000003) * (no + 1));
    uint32_t c = rng_below(&rng, CLUSTERS), p = rng_below(&rng, PARTS);
    for (int i = 0; i < LATENT; i++)
        z[i] = e->cluster[c][i] + SPREAD_PARTS * e->part[c][p][i] +
               SPREAD_ROWS * (float)rng_normal(&rng);
    for (int j = 0; j < HIDDEN; j++)
        h[j] = tanhf(math_kernels()->dot_f32(e->in[j], z, LATENT) + e->bias[j]);
    for (int i = 0; i < DIM; i++)
        ret[i] = math_kernels()->dot_f32(e->out[i], h, HIDDEN);
    scale(ret, 1);
    for (int i = 0; i < DIM; i++)
        ret[i] += e->offset[i] + (float)(NOISE / sqrt(DIM) * rng_normal(&rng));
    scale(ret, 1);
}

struct share {
    const struct easy *easy;
    float *rows;
    uint32_t first, count, part;
};

static void *make_share(void *arg)
{
    const struct share *s = arg;
    for (uint32_t i = s->part; i < s->count; i += THREADS)
        easy_row(s->easy, s->first + i, s->rows + (size_t)i * DIM);
    return NULL;
}

static void make_block(const struct easy *e, uint32_t first, uint32_t count, float *rows)
{
    pthread_t threads[THREADS];
    struct share shares[THREADS];
    for (uint32_t t = 0; t < THREADS; t++) {
        shares[t] = (struct share){e, rows, first, count, t};
        if (pthread_create(&threads[t], NULL, make_share, &shares[t]) != 0)
            exit(1);
    }
    for (uint32_t t = 0; t < THREADS; t++)
        pthread_join(threads[t], NULL);
}

static void make_easy(uint32_t queries, uint32_t rows, const char *prefix)
{
    struct easy *e = mem_alloc(sizeof *e);
    float *block = mem_alloc((size_t)BLOCK * DIM * sizeof *block);
    if (!e || !block)
        exit(1);
    easy_init(e);
    FILE *query = open_out(prefix, "query", queries), *base = open_out(prefix, "base", rows);
    for (uint32_t first = 0; first < queries + rows;) {
        uint32_t end = first < queries ? queries : queries + rows;
        uint32_t n = end - first < BLOCK ? end - first : BLOCK;
        make_block(e, first, n, block);
        put(first < queries ? query : base, block, n);
        first += n;
    }
    close_out(query);
    close_out(base);
    mem_free(block);
    mem_free(e);
}

/* The next line with a word in it. */
static bool embed_line(FILE *in, float *ret)
{
    static char *line;
    static size_t room;
    ssize_t len;
    struct err err;
    while ((len = getline(&line, &room, in)) > 0) {
        struct bytes text = {line, (size_t)len - (line[len - 1] == '\n')};
        if (text_embed(text, DIM, ret, &err) == QMN_OK)
            return true;
    }
    return false;
}

static void make_lexical(uint32_t queries, uint32_t rows, const char *prefix, const char *lines)
{
    float v[DIM];
    uint32_t made[2] = {0, 0}, wanted[2] = {queries, rows};
    static const char *const suffix[2] = {"query", "base"};
    FILE *in = fopen(lines, "re");
    if (!in) {
        perror(lines);
        exit(1);
    }
    for (int i = 0; i < 2; i++) {
        FILE *out = open_out(prefix, suffix[i], wanted[i]);
        for (; made[i] < wanted[i] && embed_line(in, v); made[i]++)
            put(out, v, 1);
        rewind(out);
        struct memory_head head = {.magic = MEMORY_MAGIC, .count = made[i], .dim = DIM};
        if (fwrite(&head, sizeof head, 1, out) != 1)
            exit(1);
        close_out(out);
    }
    fclose(in);
}

int main(int argc, char **argv)
{
    uint32_t queries = argc > 4 ? (uint32_t)strtoul(argv[2], NULL, 10) : 0;
    uint32_t rows = argc > 4 ? (uint32_t)strtoul(argv[3], NULL, 10) : 0;
    if (argc == 5 && queries && rows && strcmp(argv[1], "easy") == 0)
        make_easy(queries, rows, argv[4]);
    else if (argc == 6 && queries && rows && strcmp(argv[1], "lexical") == 0)
        make_lexical(queries, rows, argv[4], argv[5]);
    else {
        fprintf(stderr, "usage: memory_make easy QUERIES ROWS PREFIX\n"
                        "       memory_make lexical QUERIES ROWS PREFIX LINES\n");
        return 2;
    }
    return 0;
}
