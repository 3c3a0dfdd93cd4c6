/* SPDX-License-Identifier: MIT
 *
 * Hyphal memory under load: durable stores, one a call and in batches, and searches with their
 * recall.
 *
 * The vectors are made up to lie like those of texts: few directions matter, some topics are common
 * and most are rare, and a text is about its topic and something of its own.  A text is a point in
 * LATENT dimensions, its topic's centre (of TOPICS, the k-th as frequent as 1 / k) and OWN times as
 * much of its own; a fixed random map turns it into `dim` dimensions, where NOISE of its length is
 * added.  Any of them is made again from its number, so that recall needs no copy of the rows. */
#include "bench_priv.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

enum {
    LATENT = 64,
    TOPICS = 1000,
    POOL = 1024, /* vectors that stores send in turn; what they say differs */
    BATCH = 64,
    BATCH_CONNECTIONS = 8, /* half a megabyte each */
    SEARCH_MEMORIES = 100000,
    SEARCH_CONNECTIONS = 4,
    TOP_K = 10,
    QUERIES = 200, /* of which the recall is measured */
    LINKED_POLL_US = 250000,
    LINKED_POLLS_STILL = 8, /* as many in a row without a change: it is as linked as it gets */
    FIRST_QUERY = 1 << 30,  /* numbers of texts that are asked about, not stored */
};
#define OWN   0.7
#define NOISE 0.05

struct texts {
    uint32_t dim;
    float *map;                 /* dim x LATENT */
    double topic_up_to[TOPICS]; /* cumulated share */
};

static void texts_free(struct texts *t)
{
    if (t)
        mem_free(t->map);
    mem_free(t);
}

static struct texts *texts_new(uint32_t dim)
{
    struct texts *t = mem_calloc(1, sizeof *t);
    struct rng rng;
    double sum = 0;
    if (!t)
        return NULL;
    t->dim = dim;
    t->map = mem_calloc((size_t)dim * LATENT, sizeof *t->map);
    if (!t->map) {
        texts_free(t);
        return NULL;
    }
    rng_seed(&rng, 7);
    for (size_t i = 0; i < (size_t)dim * LATENT; i++)
        t->map[i] = (float)rng_normal(&rng);
    for (int i = 0; i < TOPICS; i++)
        sum += 1.0 / (i + 1);
    for (int i = 0; i < TOPICS; i++)
        t->topic_up_to[i] = (i ? t->topic_up_to[i - 1] : 0) + 1.0 / (i + 1) / sum;
    return t;
}

static uint32_t topic_of(const struct texts *t, double u)
{
    uint32_t i = 0;
    while (i < TOPICS - 1 && t->topic_up_to[i] < u)
        i++;
    return i;
}

/* The text of that number; ret: float[dim] of length 1. */
static void text_vector(const struct texts *t, uint64_t number, float *ret)
{
    struct rng rng, centre;
    float latent[LATENT];
    double norm = 0;
    rng_seed(&rng, number + 1);
    rng_seed(&centre, UINT64_C(1) << 40 | topic_of(t, rng_unit(&rng)));
    for (int i = 0; i < LATENT; i++)
        latent[i] = (float)(rng_normal(&centre) + OWN * rng_normal(&rng));
    double noise = NOISE * sqrt(LATENT * (1 + OWN * OWN));
    for (uint32_t i = 0; i < t->dim; i++) {
        const float *row = t->map + (size_t)i * LATENT;
        float x = (float)(noise * rng_normal(&rng));
        for (int k = 0; k < LATENT; k++)
            x += row[k] * latent[k];
        ret[i] = x;
        norm += (double)x * (double)x;
    }
    for (uint32_t i = 0; i < t->dim; i++)
        ret[i] = (float)(ret[i] / sqrt(norm));
}

/* ---- stores ---- */

struct stores {
    struct bench *b;
    struct texts *texts;
    struct buf *pool; /* [POOL]: "embedding_b64":"..." */
    const char *path;
    uint32_t each; /* rows a call; 0: one, not in a batch */
};

static void put_memory(const struct stores *s, struct buf *out, uint64_t n)
{
    buf_printf(out,
               "{\"agent_id\":\"agent-%05llu\",\"kind\":\"insight\",\"quality\":0.7,"
               "\"content\":{\"n\":%llu,\"text\":\"something that was learned\"},",
               (unsigned long long)(n % s->b->agents), (unsigned long long)n);
}

static void make_store(void *ctx, uint64_t n, struct load_request *r)
{
    struct stores *s = ctx;
    struct buf *out = &s->b->slots[r->slot];
    uint32_t rows = s->each ? s->each : 1;
    buf_clear(out);
    if (s->each)
        buf_adds(out, "{\"memories\":[");
    for (uint32_t i = 0; i < rows; i++) {
        uint64_t number = s->b->memories + n * rows + i;
        buf_adds(out, i ? "," : "");
        put_memory(s, out, number);
        buf_add(out, s->pool[number % POOL].ptr, s->pool[number % POOL].len);
        buf_addc(out, '}');
    }
    if (s->each)
        buf_adds(out, "]}");
    r->body = buf_bytes(out);
    bench_head(s->b, r, "POST", s->path, n, true);
}

static void stores_free(struct stores *s)
{
    for (uint32_t i = 0; s->pool && i < POOL; i++)
        buf_release(&s->pool[i]);
    mem_free(s->pool);
    texts_free(s->texts);
}

static enum qmn_code stores_fill(struct stores *s, struct err *err)
{
    float v[BENCH_DIM_MAX];
    s->texts = texts_new(s->b->dim);
    s->pool = mem_calloc(POOL, sizeof *s->pool);
    if (!s->texts || !s->pool)
        return err_nomem(err);
    bool ok = true;
    for (uint32_t i = 0; i < POOL; i++) {
        buf_init(&s->pool[i], 1 << 20);
        text_vector(s->texts, i, v);
        bench_put_vector(&s->pool[i], "embedding", v, s->b->dim, true);
        ok = ok && buf_ok(&s->pool[i]);
    }
    return ok ? QMN_OK : err_nomem(err);
}

/* ---- what searches find, and what they should ---- */

struct searches {
    struct bench *b;
    struct texts *texts;
    uint32_t rows;
    struct buf bodies[QUERIES];
    struct best {
        uint32_t row[TOP_K];
        float score[TOP_K]; /* best first */
        uint32_t count;
    } exact[QUERIES];
    uint32_t hits, wanted;
    double unlinked; /* by the metrics; negative: unknown */
};

static void make_row(void *ctx, uint64_t n, struct load_request *r)
{
    struct searches *s = ctx;
    struct stores as = {.b = s->b};
    struct buf *out = &s->b->slots[r->slot];
    float v[BENCH_DIM_MAX];
    uint64_t number = s->b->memories + n;
    buf_clear(out);
    text_vector(s->texts, number, v);
    put_memory(&as, out, number);
    bench_put_vector(out, "embedding", v, s->b->dim, true);
    buf_addc(out, '}');
    r->body = buf_bytes(out);
    bench_head(s->b, r, "POST", "/v1/hyphal:store", n, false);
}

static void make_search(void *ctx, uint64_t n, struct load_request *r)
{
    struct searches *s = ctx;
    r->body = buf_bytes(&s->bodies[n % QUERIES]);
    bench_head(s->b, r, "POST", "/v1/hyphal:search", n, false);
}

static void offer(struct best *b, uint32_t row, float score)
{
    uint32_t i = b->count < TOP_K ? b->count++ : TOP_K - 1;
    if (i == TOP_K - 1 && b->count == TOP_K && b->row[i] && score <= b->score[i])
        return;
    for (; i > 0 && b->score[i - 1] < score; i--) {
        b->row[i] = b->row[i - 1];
        b->score[i] = b->score[i - 1];
    }
    b->row[i] = row;
    b->score[i] = score;
}

/* Every row beside every query, each made from its number. */
static enum qmn_code find_exact(struct searches *s, struct err *err)
{
    uint32_t dim = s->b->dim;
    float *queries = mem_calloc((size_t)QUERIES * dim, sizeof *queries), v[BENCH_DIM_MAX];
    if (!queries)
        return err_nomem(err);
    for (uint32_t q = 0; q < QUERIES; q++) {
        text_vector(s->texts, FIRST_QUERY + q, queries + (size_t)q * dim);
        buf_printf(&s->bodies[q], "{\"top_k\":%d,", TOP_K);
        bench_put_vector(&s->bodies[q], "embedding", queries + (size_t)q * dim, dim, true);
        buf_addc(&s->bodies[q], '}');
    }
    progress_begin(&s->b->progress, "comparing everything", s->rows);
    for (uint32_t row = 0; row < s->rows; row++) {
        text_vector(s->texts, row, v);
        for (uint32_t q = 0; q < QUERIES; q++) {
            const float *x = queries + (size_t)q * dim;
            float dot = 0;
            for (uint32_t i = 0; i < dim; i++)
                dot += x[i] * v[i];
            offer(&s->exact[q], row, dot);
        }
        progress_set(&s->b->progress, row);
    }
    progress_end(&s->b->progress);
    mem_free(queries);
    return QMN_OK;
}

/* Which of the best an answer has, by the numbers in its contents. */
static void take_results(void *ctx, uint64_t n, int status, struct bytes body)
{
    static const char name[] = "\"n\":";
    struct searches *s = ctx;
    const struct best *best = &s->exact[n % QUERIES];
    const char *p = body.ptr, *end = body.ptr + body.len;
    s->wanted += best->count;
    while (status == 200 && (p = memmem(p, (size_t)(end - p), name, sizeof name - 1)) != NULL) {
        unsigned long row = strtoul(p += sizeof name - 1, NULL, 10);
        for (uint32_t i = 0; i < best->count; i++)
            s->hits += best->row[i] == row;
    }
}

static void make_scrape(void *ctx, uint64_t n, struct load_request *r)
{
    struct searches *s = ctx;
    r->body = BYTES_LIT("");
    bench_head(s->b, r, "GET", "/metrics", n, false);
}

static void take_scrape(void *ctx, uint64_t n, int status, struct bytes body)
{
    static const char name[] = "\nqmn_memory_vectors_unlinked ";
    struct searches *s = ctx;
    const char *p = status == 200 ? memmem(body.ptr, body.len, name, sizeof name - 1) : NULL;
    (void)n;
    s->unlinked = p ? strtod(p + sizeof name - 1, NULL) : -1;
}

/* Waits until the graph has all it will get. */
static enum qmn_code await_linked(struct searches *s, struct err *err)
{
    static struct load_result result;
    double before = -2;
    for (uint32_t still = 0; still < LINKED_POLLS_STILL; usleep(LINKED_POLL_US)) {
        struct load_config k = {
            .requests = 1, .connections = 1, .ctx = s, .make = make_scrape, .answer = take_scrape};
        TRY(bench_load(s->b, "linking", &k, &result, err));
        still = fabs(s->unlinked - before) < 1 ? still + 1 : 0;
        before = s->unlinked;
        if (s->unlinked >= 0 && s->unlinked < 1)
            return QMN_OK;
    }
    return QMN_OK;
}

static void print_recall(const struct searches *s)
{
    double recall = s->wanted ? (double)s->hits / s->wanted : 0;
    if (s->b->c->json)
        printf("{\"scenario\":\"recall\",\"recall\":%.4f,\"queries\":%d,\"memories\":%u,"
               "\"unlinked\":%.0f}\n",
               recall, QUERIES, s->rows, s->unlinked);
    else
        cli_print(s->b->c, S_BOLD "%-16s" S_OFF " %9.4f of the %d nearest among %u\n", "recall",
                  recall, TOP_K, s->rows);
}

static enum qmn_code preload(struct searches *s, uint32_t count, struct err *err)
{
    struct bench *b = s->b;
    if (count > b->memories)
        TRY(bench_prepare(b, "storing memories", count - b->memories, make_row, s, err));
    if (count > b->memories)
        b->memories = count;
    return QMN_OK;
}

static enum qmn_code search_all(struct searches *s, struct err *err)
{
    static struct load_result result;
    struct bench *b = s->b;
    if (b->memories)
        return cli_usage(b->c, err, "search wants a tenant of its own: run it alone");
    TRY(preload(s, s->rows, err));
    TRY(find_exact(s, err));
    TRY(await_linked(s, err));
    struct load_config once = {.requests = QUERIES,
                               .connections = 1,
                               .ctx = s,
                               .make = make_search,
                               .answer = take_results};
    TRY(bench_load(b, "recall", &once, &result, err));
    struct load_config k = {.seconds = b->seconds,
                            .connections = cli_flag(b->c, "connections") ? 0 : SEARCH_CONNECTIONS,
                            .ctx = s,
                            .make = make_search};
    TRY(bench_measure(b, "search", 1, &k, err));
    print_recall(s);
    return QMN_OK;
}

/* ---- the scenarios ---- */

static enum qmn_code memories_asked(struct bench *b, uint32_t unless, uint32_t *ret,
                                    struct err *err)
{
    double n;
    TRY(cli_number(b->c, "memories", 0, 1e8, unless, &n, err));
    *ret = (uint32_t)n;
    return QMN_OK;
}

static enum qmn_code with_searches(struct bench *b, uint32_t rows,
                                   enum qmn_code (*run)(struct searches *s, struct err *err),
                                   struct err *err)
{
    struct searches *s = mem_calloc(1, sizeof *s);
    if (!s)
        return err_nomem(err);
    s->b = b;
    s->rows = rows;
    s->texts = texts_new(b->dim);
    for (uint32_t i = 0; i < QUERIES; i++)
        buf_init(&s->bodies[i], 1 << 20);
    enum qmn_code code = s->texts ? run(s, err) : err_nomem(err);
    for (uint32_t i = 0; i < QUERIES; i++)
        buf_release(&s->bodies[i]);
    texts_free(s->texts);
    mem_free(s);
    return code;
}

static enum qmn_code only_preload(struct searches *s, struct err *err)
{
    return preload(s, s->rows, err);
}

static enum qmn_code run_stores(struct bench *b, const char *scenario, const char *path,
                                uint32_t each, struct err *err)
{
    struct stores s = {.b = b, .path = path, .each = each};
    uint32_t before = 0;
    TRY(memories_asked(b, 0, &before, err));
    TRY(with_searches(b, before, only_preload, err));
    struct load_config k = {.seconds = b->seconds, .ctx = &s, .make = make_store};
    if (each && !cli_flag(b->c, "connections"))
        k.connections = BATCH_CONNECTIONS;
    enum qmn_code code = stores_fill(&s, err);
    if (code == QMN_OK)
        code = bench_measure(b, scenario, each ? each : 1, &k, err);
    stores_free(&s);
    b->memories += UINT32_C(1) << 24; /* numbers that were given out are not given out again */
    return code;
}

enum qmn_code bench_store(struct bench *b, struct err *err)
{
    return run_stores(b, "store", "/v1/hyphal:store", 0, err);
}

enum qmn_code bench_store_batch(struct bench *b, struct err *err)
{
    return run_stores(b, "store-batch", "/v1/hyphal:batchStore", BATCH, err);
}

enum qmn_code bench_search(struct bench *b, struct err *err)
{
    uint32_t rows = 0;
    TRY(memories_asked(b, SEARCH_MEMORIES, &rows, err));
    return with_searches(b, rows, search_all, err);
}
