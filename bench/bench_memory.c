/* SPDX-License-Identifier: MIT
 *
 * Measures the vector index: recall against exact search, speed, memory.  Prints a JSON line per
 * figure; `bench/memory` makes the data, runs this and the peers, and prints the table.
 *
 *     bench_memory --name NAME --base FILE --queries FILE [--rows N] [--parts LIST] [--ef LIST]
 *                  [--walk bits|i8] [--exact none|f16|f32] [--links N] [--flat-max N]
 *                  [--truth FILE]
 *
 * Parts: bound, truth (writes --truth), flat, search, filter, churn; the last three share one
 * index.  A speed is queries, or rows, per second of processor time of the one thread, a latency
 * processor time too, of each query the best of a few passes. */
#include <assert.h>
#include <getopt.h>
#include <stdbool.h>

#include "base/attr.h"
#include "base/mem.h"
#include "base/rng.h"
#include "index/vectors.h"
#include "math/kernels.h"
#include "math/topk.h"
#include "memory_data.h"
#include "memory_truth.h"

enum {
    PASSES = 3,
    BATCH = 1000,   /* rows added per reservation */
    BUDGET = 64,    /* nodes linked per call of vectors_work */
    ROUNDS = 5,     /* of churn */
    TOPICS = 8,     /* rows that filters gather around */
    FILTERED = 300, /* queries that filters are measured with */
    EFS_MAX = 32,
};

static const double shares[] = {0.5, 0.1, 0.01, 0.001};

struct widths {
    uint32_t ef[EFS_MAX];
    size_t count;
};

struct bench {
    const char *name, *truth_path, *parts;
    char engine[32];
    struct vectors_options options;
    struct matrix base, queries;
    struct widths widths;

    struct vectors *index;
    struct vectors_searcher *searcher;
    uint32_t *slot_of; /* [rows]; UINT32_MAX: not in the index */
    uint32_t *row_of;  /* [slots]; the index never has more slots than twice the rows */
    struct truth *truth;
};

static void *need(void *memory)
{
    if (memory)
        return memory;
    fprintf(stderr, "bench_memory: out of memory\n");
    exit(1);
}

static void begin_line(const struct bench *b, const char *part)
{
    printf("{\"part\":\"%s\",\"set\":\"%s\",\"size\":%u,\"engine\":\"%s\",", part, b->name,
           b->base.count, b->engine);
}

static void end_line(void)
{
    printf("}\n");
    fflush(stdout);
}

/* --- the index and its rows */

static void add_row(struct bench *b, uint32_t row)
{
    uint32_t slot = vectors_add(b->index, matrix_row(&b->base, row));
    assert(slot < 2 * b->base.count);
    b->slot_of[row] = slot;
    b->row_of[slot] = row;
}

static void remove_row(struct bench *b, uint32_t row)
{
    vectors_remove(b->index, b->slot_of[row]);
    b->row_of[b->slot_of[row]] = UINT32_MAX;
    b->slot_of[row] = UINT32_MAX;
}

static void reserve(struct bench *b, uint32_t more)
{
    if (!vectors_reserve(b->index, more))
        need(NULL);
}

struct work {
    double cpu_s, longest_ms; /* one call */
};

static struct work do_work(struct bench *b)
{
    struct work w = {0, 0};
    int64_t cpu = ns_of(CLOCK_THREAD_CPUTIME_ID);
    enum vectors_left left = VECTORS_MORE;
    while (left == VECTORS_MORE) {
        int64_t began = ns_of(CLOCK_THREAD_CPUTIME_ID);
        left = vectors_work(b->index, BUDGET);
        double ms = seconds_since(CLOCK_THREAD_CPUTIME_ID, began) * 1e3;
        if (ms > w.longest_ms)
            w.longest_ms = ms;
    }
    if (left == VECTORS_NOMEM)
        need(NULL);
    w.cpu_s = seconds_since(CLOCK_THREAD_CPUTIME_ID, cpu);
    return w;
}

static void open_index(struct bench *b)
{
    b->index = need(vectors_new(&b->options));
    b->searcher = need(vectors_searcher_new());
    b->slot_of = need(mem_calloc(b->base.count, sizeof *b->slot_of));
    b->row_of = need(mem_calloc(2 * (size_t)b->base.count, sizeof *b->row_of));
}

static void close_index(struct bench *b)
{
    vectors_free(b->index);
    vectors_searcher_free(b->searcher);
    mem_free(b->slot_of);
    mem_free(b->row_of);
    b->index = NULL;
}

static double fill(struct bench *b)
{
    int64_t cpu = ns_of(CLOCK_THREAD_CPUTIME_ID);
    for (uint32_t row = 0; row < b->base.count; row++) {
        if (row % BATCH == 0)
            reserve(b, b->base.count - row < BATCH ? b->base.count - row : BATCH);
        add_row(b, row);
    }
    return seconds_since(CLOCK_THREAD_CPUTIME_ID, cpu);
}

static size_t index_bytes(const struct vectors_stats *s)
{
    return s->bytes_bits + s->bytes_i8 + s->bytes_links + s->bytes_other;
}

static void build(struct bench *b)
{
    struct vectors_stats s;
    double n = b->base.count, before = anonymous_bytes();
    open_index(b);
    double added_s = fill(b);
    struct work w = do_work(b);
    vectors_stats(b->index, &s);
    begin_line(b, "build");
    printf("\"added_per_cpu_s\":%.0f,\"linked\":%u,\"linked_per_cpu_s\":%.1f,"
           "\"longest_work_ms\":%.1f,\"levels\":%u,\"bytes_per_vector\":%.0f,"
           "\"exact_bytes_per_vector\":%.0f,\"links_bytes_per_vector\":%.0f,"
           "\"resident_per_vector\":%.0f",
           n / added_s, s.linked, s.linked ? s.linked / w.cpu_s : 0, w.longest_ms, s.levels,
           (double)index_bytes(&s) / n, (double)s.bytes_exact / n, (double)s.bytes_links / n,
           (anonymous_bytes() - before) / n);
    end_line();
}

/* --- searching */

struct trial {
    uint32_t queries, ef;
    bool force_exact;
    const struct truth *truth;      /* [queries] */
    const uint64_t *const *permits; /* [queries], over slots; NULL: all */
    const uint32_t *permitted;      /* [queries] */
};

struct result {
    double recall, visited, rescored, exact; /* means; share of the queries */
    uint32_t too_few,
        wrong; /* queries with less rows than there are; rows not permitted, or gone */
    struct latencies l;
};

static void judge(const struct bench *b, const struct trial *t, uint32_t q,
                  const struct topk_item *found, size_t count, struct result *r)
{
    uint32_t rows[MEMORY_K], n = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t slot = found[i].id;
        bool ok = vectors_has(b->index, slot) &&
                  (!t->permits || (t->permits[q][slot / 64] >> slot % 64 & 1));
        r->wrong += !ok;
        if (ok)
            rows[n++] = b->row_of[slot];
    }
    r->too_few += count < t->truth[q].count;
    uint32_t right = right_ones(&b->base, matrix_row(&b->queries, q), rows, n, t->truth[q].worst);
    r->recall += t->truth[q].count ? (double)right / t->truth[q].count / t->queries : 0;
}

static void search_one(const struct bench *b, const struct trial *t, uint32_t q, bool judged,
                       struct result *r)
{
    struct topk_item found[MEMORY_K];
    struct vectors_result_info info;
    size_t count = 0;
    const struct vectors_query query = {.x = matrix_row(&b->queries, q),
                                        .k = MEMORY_K,
                                        .ef = t->ef,
                                        .permit = t->permits ? t->permits[q] : NULL,
                                        .permitted = t->permits ? t->permitted[q] : 0,
                                        .force_exact = t->force_exact};
    int64_t began = ns_of(CLOCK_THREAD_CPUTIME_ID);
    if (!vectors_search(b->index, &query, b->searcher, found, &count, &info))
        need(NULL);
    int64_t took = ns_of(CLOCK_THREAD_CPUTIME_ID) - began;
    if (took < r->l.best_ns[q])
        r->l.best_ns[q] = took;
    if (!judged)
        return;
    judge(b, t, q, found, count, r);
    r->visited += (double)info.visited / t->queries;
    r->rescored += (double)info.rescored / t->queries;
    r->exact += (double)info.exact / t->queries;
}

/* The answers are judged in a pass of its own: to look at their rows would clear the caches. */
static struct result run(const struct bench *b, const struct trial *t)
{
    struct result r = {.l = {.count = t->queries, .cpu_s = 1e9}};
    r.l.best_ns = need(mem_calloc(t->queries, sizeof *r.l.best_ns));
    for (uint32_t q = 0; q < t->queries; q++)
        r.l.best_ns[q] = INT64_MAX;
    for (uint32_t q = 0; q < t->queries; q++)
        search_one(b, t, q, true, &r);
    for (int pass = 0; pass < PASSES; pass++) {
        int64_t cpu = ns_of(CLOCK_THREAD_CPUTIME_ID), wall = ns_of(CLOCK_MONOTONIC);
        for (uint32_t q = 0; q < t->queries; q++)
            search_one(b, t, q, false, &r);
        double cpu_s = seconds_since(CLOCK_THREAD_CPUTIME_ID, cpu);
        if (cpu_s < r.l.cpu_s) {
            r.l.cpu_s = cpu_s;
            r.l.wall_s = seconds_since(CLOCK_MONOTONIC, wall);
        }
    }
    return r;
}

static void end_result(struct result *r)
{
    printf("\"recall\":%.4f,", r->recall);
    print_speed(&r->l);
    printf(",\"visited\":%.0f,\"rescored\":%.1f,\"exact\":%.3f,\"too_few\":%u,\"wrong\":%u",
           r->visited, r->rescored, r->exact, r->too_few, r->wrong);
    end_line();
    mem_free(r->l.best_ns);
}

static void find_truth(struct bench *b)
{
    mem_free(b->truth);
    b->truth = need(mem_calloc(b->queries.count, sizeof *b->truth));
    truth_find(&(struct truth_job){&b->base, &b->queries, 1, NULL, b->truth});
}

/* --- parts */

static void write_truth(const struct bench *b)
{
    FILE *f = fopen(b->truth_path, "we");
    for (uint32_t q = 0; f && q < b->queries.count; q++)
        fprintf(f, "%.9g\n", b->truth[q].worst);
    if (!f || fclose(f) != 0) {
        perror(b->truth_path);
        exit(1);
    }
}

static void part_search(struct bench *b)
{
    for (size_t i = 0; i < b->widths.count; i++) {
        const struct trial t = {
            .queries = b->queries.count, .ef = b->widths.ef[i], .truth = b->truth};
        struct result r = run(b, &t);
        begin_line(b, "search");
        printf("\"ef\":%u,", t.ef);
        end_result(&r);
    }
}

/* Tenants that are only scanned, as beginnings of the set. */
static void part_flat(const struct bench *whole)
{
    static const uint32_t sizes[] = {1000, 10000, 20000};
    for (size_t i = 0; i < ARRAY_LEN(sizes) && sizes[i] <= whole->base.count; i++) {
        struct bench b = *whole;
        b.base.count = sizes[i];
        b.truth = NULL;
        b.options.flat_max = 0; /* as it comes */
        find_truth(&b);
        open_index(&b);
        fill(&b);
        do_work(&b);
        struct result r = run(&b, &(struct trial){.queries = b.queries.count, .truth = b.truth});
        begin_line(&b, "flat");
        end_result(&r);
        close_index(&b);
        mem_free(b.truth);
    }
}

static size_t words(const struct bench *b)
{
    size_t n = vectors_permit_words(b->index);
    assert(n <= ((size_t)b->base.count + 63) / 64); /* nothing was removed yet: slots are rows */
    return n;
}

static uint64_t *random_permit(const struct bench *b, struct rng *rng, double share,
                               uint32_t *ret_permitted)
{
    uint64_t *bits = need(mem_calloc(words(b), sizeof *bits));
    *ret_permitted = 0;
    for (uint32_t i = 0; i < b->base.count; i++)
        if (rng_unit(rng) < share) {
            bits[i / 64] |= UINT64_C(1) << i % 64;
            ++*ret_permitted;
        }
    return bits;
}

/* The `share` of the rows that are nearest to one of them. */
static uint64_t *topic_permit(const struct bench *b, uint32_t topic, double share,
                              uint32_t *ret_permitted)
{
    uint64_t *bits = need(mem_calloc(words(b), sizeof *bits));
    size_t k = (size_t)((double)b->base.count * share);
    struct topk_item *items = need(mem_calloc(k, sizeof *items));
    struct topk best;
    topk_init(&best, items, k);
    for (uint32_t i = 0; i < b->base.count; i++)
        topk_offer(&best,
                   math_kernels()->dot_f32(matrix_row(&b->base, topic), matrix_row(&b->base, i),
                                           b->base.dim),
                   i);
    for (size_t i = 0; i < best.len; i++)
        bits[items[i].id / 64] |= UINT64_C(1) << items[i].id % 64;
    *ret_permitted = (uint32_t)best.len;
    mem_free(items);
    return bits;
}

enum kind { RANDOM, NEAR, FAR, KINDS };
static const char *const kind_names[KINDS] = {"random", "near", "far"};

/* The filters of one share, and which of them each query gets of each kind. */
struct filters {
    uint32_t queries, topic[TOPICS];
    uint64_t *bits[TOPICS + 1]; /* the last one random */
    uint32_t permitted[TOPICS + 1];
    const uint64_t *of[FILTERED * KINDS];
    uint32_t count_of[FILTERED * KINDS];
};

static void assign(struct filters *f, uint32_t q, enum kind kind, size_t filter)
{
    f->of[q * KINDS + kind] = f->bits[filter];
    f->count_of[q * KINDS + kind] = f->permitted[filter];
}

static void choose_filters(const struct bench *b, struct filters *f, double share)
{
    struct rng rng;
    rng_seed(&rng, 11);
    for (size_t i = 0; i < TOPICS; i++) {
        f->topic[i] = rng_below(&rng, b->base.count);
        f->bits[i] = topic_permit(b, f->topic[i], share, &f->permitted[i]);
    }
    f->bits[TOPICS] = random_permit(b, &rng, share, &f->permitted[TOPICS]);
    for (uint32_t q = 0; q < f->queries; q++) {
        size_t near = 0, far = 0;
        double score[TOPICS];
        for (size_t i = 0; i < TOPICS; i++) {
            score[i] = exact_score(matrix_row(&b->queries, q), matrix_row(&b->base, f->topic[i]),
                                   b->base.dim);
            near = score[i] > score[near] ? i : near;
            far = score[i] < score[far] ? i : far;
        }
        assign(f, q, RANDOM, TOPICS);
        assign(f, q, NEAR, near);
        assign(f, q, FAR, far);
    }
}

static void run_filters(const struct bench *b, const struct filters *f, enum kind kind,
                        double share, const struct truth *truth)
{
    struct truth own[FILTERED];
    const uint64_t *permits[FILTERED];
    uint32_t permitted[FILTERED];
    static const uint32_t widths[] = {0, 256, 512};
    for (uint32_t q = 0; q < f->queries; q++) {
        own[q] = truth[q * KINDS + kind];
        permits[q] = f->of[q * KINDS + kind];
        permitted[q] = f->count_of[q * KINDS + kind];
    }
    for (size_t i = 0; i < ARRAY_LEN(widths); i++) {
        const struct trial t = {.queries = f->queries,
                                .ef = widths[i],
                                .truth = own,
                                .permits = permits,
                                .permitted = permitted};
        struct result r = run(b, &t);
        begin_line(b, "filter");
        printf("\"kind\":\"%s\",\"share\":%g,\"ef\":%u,", kind_names[kind], share, t.ef);
        end_result(&r);
    }
}

static void part_filter(const struct bench *b)
{
    struct filters *f = need(mem_calloc(1, sizeof *f));
    struct matrix queries = b->queries;
    f->queries = queries.count = queries.count < FILTERED ? queries.count : FILTERED;
    struct truth *truth = need(mem_calloc((size_t)f->queries * KINDS, sizeof *truth));
    for (size_t i = 0; i < ARRAY_LEN(shares); i++) {
        choose_filters(b, f, shares[i]);
        truth_find(&(struct truth_job){&b->base, &queries, KINDS, f->of, truth});
        for (enum kind kind = RANDOM; kind < KINDS; kind++)
            run_filters(b, f, kind, shares[i], truth);
        for (size_t j = 0; j <= TOPICS; j++)
            mem_free(f->bits[j]);
    }
    mem_free(truth);
    mem_free(f);
}

/* A tenth of the rows to the front of order[]. */
static uint32_t shuffle_tenth(struct rng *rng, uint32_t *order, uint32_t rows)
{
    for (uint32_t i = 0; i < rows / 10; i++) {
        uint32_t j = i + rng_below(rng, rows - i), kept = order[i];
        order[i] = order[j];
        order[j] = kept;
    }
    return rows / 10;
}

static double recall_now(const struct bench *b, uint32_t ef, const struct truth *truth)
{
    struct result r =
        run(b, &(struct trial){.queries = b->queries.count, .ef = ef, .truth = truth});
    mem_free(r.l.best_ns);
    return r.recall + (r.wrong ? -1 : 0); /* a row that is gone: no such recall exists */
}

/* The exact answers among the rows that are left. */
static void truth_of_rest(const struct bench *b, struct truth *ret)
{
    uint64_t *bits = need(mem_calloc(((size_t)b->base.count + 63) / 64, sizeof *bits));
    const uint64_t **permits = need(mem_calloc(b->queries.count, sizeof *permits));
    for (uint32_t row = 0; row < b->base.count; row++)
        if (b->slot_of[row] != UINT32_MAX)
            bits[row / 64] |= UINT64_C(1) << row % 64;
    for (uint32_t q = 0; q < b->queries.count; q++)
        permits[q] = bits;
    truth_find(&(struct truth_job){&b->base, &b->queries, 1, permits, ret});
    mem_free(permits);
    mem_free(bits);
}

static void churn_round(struct bench *b, int round, struct rng *rng, uint32_t *order,
                        const double *fresh)
{
    static const uint32_t widths[] = {64, 256};
    struct truth *rest = need(mem_calloc(b->queries.count, sizeof *rest));
    double removed[ARRAY_LEN(widths)], repaired[ARRAY_LEN(widths)];
    uint32_t n = shuffle_tenth(rng, order, b->base.count);
    for (uint32_t i = 0; i < n; i++)
        remove_row(b, order[i]);
    truth_of_rest(b, rest);
    for (size_t i = 0; i < ARRAY_LEN(widths); i++)
        removed[i] = recall_now(b, widths[i], rest);
    struct work repair = do_work(b);
    for (size_t i = 0; i < ARRAY_LEN(widths); i++)
        repaired[i] = recall_now(b, widths[i], rest);
    reserve(b, n);
    for (uint32_t i = 0; i < n; i++)
        add_row(b, order[i]);
    struct work link = do_work(b);
    struct vectors_stats s;
    vectors_stats(b->index, &s);
    for (size_t i = 0; i < ARRAY_LEN(widths); i++) {
        double recall = recall_now(b, widths[i], b->truth);
        begin_line(b, "churn");
        printf("\"round\":%d,\"ef\":%u,\"recall\":%.4f,\"fresh\":%.4f,\"recall_removed\":%.4f,"
               "\"recall_repaired\":%.4f,\"repair_cpu_s\":%.2f,\"link_cpu_s\":%.2f,"
               "\"longest_work_ms\":%.1f,\"dead\":%u,\"slots\":%u,\"bytes_per_vector\":%.0f",
               round, widths[i], recall, fresh[i], removed[i], repaired[i], repair.cpu_s,
               link.cpu_s,
               repair.longest_ms > link.longest_ms ? repair.longest_ms : link.longest_ms, s.dead,
               s.slots, (double)index_bytes(&s) / b->base.count);
        end_line();
    }
    mem_free(rest);
}

/* What is put back is what was taken out, so the exact answers stay, and a fresh build is the index
 * as it was at first. */
static void part_churn(struct bench *b)
{
    struct rng rng;
    rng_seed(&rng, 5);
    uint32_t *order = need(mem_calloc(b->base.count, sizeof *order));
    for (uint32_t i = 0; i < b->base.count; i++)
        order[i] = i;
    const double fresh[] = {recall_now(b, 64, b->truth), recall_now(b, 256, b->truth)};
    for (int round = 1; round <= ROUNDS; round++)
        churn_round(b, round, &rng, order, fresh);
    mem_free(order);
}

/* --- bounds */

/* Nanoseconds to read one of `count` blocks, in order or anywhere. */
static double block_ns(size_t block, size_t count, bool anywhere)
{
    enum { READS = 1 << 19 };
    uint64_t *memory = need(mem_alloc(block * count)), sum = 0;
    memset(memory, 1, block * count);
    double best = 1e9;
    for (int pass = 0; pass < PASSES; pass++) {
        uint64_t at = 1;
        int64_t cpu = ns_of(CLOCK_THREAD_CPUTIME_ID);
        for (size_t i = 0; i < READS; i++) {
            at = at * UINT64_C(6364136223846793005) + 1442695040888963407;
            size_t which = anywhere ? (size_t)((at >> 32) * count >> 32) : i % count;
            const uint64_t *words = memory + which * block / 8;
            for (size_t j = 0; j < block / 8; j++)
                sum += words[j];
        }
        double ns = seconds_since(CLOCK_THREAD_CPUTIME_ID, cpu) * 1e9 / READS;
        best = ns < best ? ns : best;
    }
    *(volatile uint64_t *)memory = sum;
    mem_free(memory);
    return best;
}

/* What reading alone costs: the block of a row's bits, and its int8 codes.  No search that looks at
 * so many rows can be faster. */
static void part_bound(const struct bench *b)
{
    size_t bits = (b->base.dim / 8 + 63) / 64 * 64 + 64, i8 = kernels_i8_stride(b->base.dim);
    begin_line(b, "bound");
    printf("\"bits_ns\":%.1f,\"i8_ns\":%.1f,\"scan_bits_ns\":%.1f,\"scan_i8_ns\":%.1f",
           block_ns(bits, b->base.count, true), block_ns(i8, b->base.count, true),
           block_ns(bits, b->base.count, false), block_ns(i8, b->base.count, false));
    end_line();
}

/* --- options */

static bool wants(const struct bench *b, const char *part)
{
    size_t len = strlen(part);
    for (const char *at = b->parts; (at = strstr(at, part)); at += len)
        if ((at == b->parts || at[-1] == ',') && (at[len] == ',' || !at[len]))
            return true;
    return false;
}

static struct widths read_widths(const char *list)
{
    struct widths w = {.count = 0};
    for (char *at; w.count < EFS_MAX && *list; list = *at == ',' ? at + 1 : at) {
        w.ef[w.count++] = (uint32_t)strtoul(list, &at, 10);
        if (at == list)
            exit(2);
    }
    return w;
}

static uint32_t one_of(const char *word, const char *const *words, size_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (strcmp(word, words[i]) == 0)
            return i + 1;
    fprintf(stderr, "bench_memory: what is %s?\n", word);
    exit(2);
}

static void read_options(struct bench *b, int argc, char **argv)
{
    static const char *const walks[] = {"bits", "i8"}, *const exacts[] = {"none", "f16", "f32"};
    enum { NAME, BASE, QUERIES, ROWS, PARTS, EF, WALK, EXACT, LINKS, FLAT_MAX, TRUTH, OPTIONS };
    static const char *const names[OPTIONS] = {"name",  "base",     "queries", "rows",
                                               "parts", "ef",       "walk",    "exact",
                                               "links", "flat-max", "truth"};
    const char *value[OPTIONS] = {[ROWS] = "0",
                                  [PARTS] = "bound,flat,search,filter,churn",
                                  [WALK] = "bits",
                                  [EXACT] = "none",
                                  [LINKS] = "0",
                                  [FLAT_MAX] = "0",
                                  [EF] = "16,32,64,96,128,192,256,400,600,800"};
    struct option table[OPTIONS + 1] = {0};
    for (int i = 0; i < OPTIONS; i++)
        table[i] = (struct option){names[i], required_argument, NULL, i};
    for (int c; (c = getopt_long(argc, argv, "", table, NULL)) != -1;) {
        if (c == '?')
            exit(2);
        value[c] = optarg;
    }
    if (!value[NAME] || !value[BASE] || !value[QUERIES]) {
        fprintf(stderr, "bench_memory: --name, --base and --queries are needed\n");
        exit(2);
    }
    b->name = value[NAME];
    b->parts = value[PARTS];
    b->truth_path = value[TRUTH];
    b->base = matrix_map(value[BASE], (uint32_t)strtoul(value[ROWS], NULL, 10));
    b->queries = matrix_map(value[QUERIES], 0);
    b->widths = read_widths(value[EF]);
    b->options = (struct vectors_options){
        .dim = b->base.dim,
        .walk = one_of(value[WALK], walks, ARRAY_LEN(walks)),
        .exact = one_of(value[EXACT], exacts, ARRAY_LEN(exacts)),
        .links = (uint32_t)strtoul(value[LINKS], NULL, 10),
        .flat_max = (uint32_t)strtoul(value[FLAT_MAX], NULL, 10),
        .seed = 1,
    };
    bool exact = b->options.exact != VECTORS_EXACT_NONE;
    snprintf(b->engine, sizeof b->engine, "qmn %s%s%s", value[WALK], exact ? "+" : "",
             exact ? value[EXACT] : "");
}

int main(int argc, char **argv)
{
    struct bench b = {.name = NULL};
    read_options(&b, argc, argv);
    if (wants(&b, "bound"))
        part_bound(&b);
    if (wants(&b, "truth") || wants(&b, "search") || wants(&b, "churn"))
        find_truth(&b);
    if (wants(&b, "truth"))
        write_truth(&b);
    if (wants(&b, "search") || wants(&b, "filter") || wants(&b, "churn")) {
        build(&b);
        if (wants(&b, "search"))
            part_search(&b);
        if (wants(&b, "filter"))
            part_filter(&b);
        if (wants(&b, "churn"))
            part_churn(&b);
        close_index(&b);
    }
    if (wants(&b, "flat")) /* last: memory that it leaves to the heap would count for less */
        part_flat(&b);
    mem_free(b.truth);
    return 0;
}
