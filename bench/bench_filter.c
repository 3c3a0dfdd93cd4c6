/* SPDX-License-Identifier: MIT
 *
 * What it costs to say which memories a search may see: by sets, and beside it by asking each one.
 *
 *     bench_filter [MEMORIES] [ROUNDS] [CASE]
 *
 * Instructions: valgrind --tool=callgrind --toggle-collect=by_sets (or by_asking) with one case. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/rng.h"
#include "engine/memory_sets_priv.h"
#include "engine/network_priv.h"

enum { AGENTS = 100, KINDS = 8, NOW = 1000000 };

static struct tenant tenant;
static struct rng rng;

static void fill(uint32_t n)
{
    struct tenant *t = &tenant;
    struct arena a;
    char text[64], agent[32], kind[32];
    arena_init(&a, 0);
    t->memories = calloc(n, sizeof *t->memories);
    t->memory_sets.heads = calloc(n / 64 + 1, sizeof *t->memory_sets.heads);
    struct memory_columns *c = &t->memory_sets.columns;
    c->quality = calloc(n + 64, sizeof *c->quality);
    c->created_ms = calloc(n + 64, sizeof *c->created_ms);
    c->updated_ms = calloc(n + 64, sizeof *c->updated_ms);
    c->expires_ms = calloc(n + 64, sizeof *c->expires_ms);
    if (!t->memories || !t->memory_sets.heads || !c->quality || !c->created_ms || !c->updated_ms ||
        !c->expires_ms)
        abort();
    for (uint32_t i = 0; i < n; i++) {
        struct memory *m = &t->memories[i];
        struct fact *facts;
        size_t count;
        uint32_t agent_no = rng_below(&rng, AGENTS), kind_no = rng_below(&rng, KINDS);
        snprintf(agent, sizeof agent, "agent-%u", agent_no);
        snprintf(kind, sizeof kind, "kind-%u", kind_no);
        snprintf(text, sizeof text, "{\"lang\":\"l%u\",\"n\":%u}", rng_below(&rng, 20),
                 rng_below(&rng, 1000000));
        *m = (struct memory){.created_ms = i,
                             .updated_ms = i,
                             .agent = agent_no,
                             .kind = kind_no,
                             .quality = rng_unit(&rng),
                             .sensitivity = 1 + rng_below(&rng, 3),
                             .expires_ms = rng_below(&rng, 4) ? 0 : NOW + 1 + rng_below(&rng, 99),
                             .used = true};
        struct record_memory row = {.kind = bytes_cstr(kind), .metadata = bytes_cstr(text)};
        arena_reset(&a);
        if (!memory_facts(&row, bytes_cstr(agent), &a, &facts, &count) ||
            !terms_promise(&t->memory_sets.terms, 1, facts, count, n, &m->facts))
            abort();
        memory_sets_add(t, i);
    }
    t->memory_slots = n;
    arena_release(&a);
}

/* ---- asking each ---- */

struct ask {
    uint32_t clearance;
    int64_t now;
    uint32_t kind, agent; /* UINT32_MAX: any */
    double above;         /* negative: any */
};

static bool __attribute__((noinline)) permits(void *ctx, const struct memory *m)
{
    const struct ask *q = ctx;
    if (!(m->used && m->sensitivity <= q->clearance && (!m->expires_ms || m->expires_ms > q->now)))
        return false;
    return (q->kind == UINT32_MAX || m->kind == q->kind) &&
           (q->agent == UINT32_MAX || m->agent == q->agent) &&
           (q->above < 0 || m->quality > q->above);
}

uint32_t by_asking(struct ask *q, bool (*permit)(void *, const struct memory *), struct arena *a);
uint32_t __attribute__((noinline))
by_asking(struct ask *q, bool (*permit)(void *, const struct memory *), struct arena *a)
{
    const struct tenant *t = &tenant;
    uint64_t *bits = arena_array(a, uint64_t, t->memory_slots / 64 + 1);
    uint32_t count = 0;
    for (uint32_t slot = 0; bits && slot < t->memory_slots; slot++)
        if (t->memories[slot].used && permit(q, &t->memories[slot])) {
            bits[slot / 64] |= UINT64_C(1) << slot % 64;
            count++;
        }
    return count;
}

/* ---- by sets ---- */

uint32_t by_sets(const struct memory_filter *f, struct arena *a);
uint32_t __attribute__((noinline)) by_sets(const struct memory_filter *f, struct arena *a)
{
    struct memory_permit p;
    return memory_permit(&tenant, LABEL_INTERNAL, NOW, f, a, &p) ? p.count : 0;
}

/* ---- cases ---- */

static const struct filter_value a_kind = {FILTER_TEXT, .text = {"kind-3", 6}},
                                 an_agent = {FILTER_TEXT, .text = {"agent-42", 8}},
                                 a_quality = {FILTER_NUMBER, .number = .5},
                                 a_lang = {FILTER_TEXT, .text = {"l7", 2}},
                                 a_number = {FILTER_NUMBER, .number = 500000};
#define ONE(o, f, v, p)                                                                            \
    {                                                                                              \
        .op = (o), .field = (f), .path = p, .values = &(v), .count = 1                             \
    }
#define LANG                                                                                       \
    {                                                                                              \
        "metadata.lang", 13                                                                        \
    }
#define NUMBER                                                                                     \
    {                                                                                              \
        "metadata.n", 10                                                                           \
    }
#define NO_PATH                                                                                    \
    {                                                                                              \
        NULL, 0                                                                                    \
    }
static const struct {
    const char *name;
    struct memory_filter filter;
    struct ask ask;
    bool asked;
} cases[] = {
    {"no filter", {.op = FILTER_AND}, {2, NOW, UINT32_MAX, UINT32_MAX, -1}, true},
    {"kind", ONE(FILTER_IN, FILTER_KIND, a_kind, NO_PATH), {2, NOW, 3, UINT32_MAX, -1}, true},
    {"agent", ONE(FILTER_IN, FILTER_AGENT, an_agent, NO_PATH), {2, NOW, UINT32_MAX, 42, -1}, true},
    {"quality > .5",
     ONE(FILTER_ABOVE, FILTER_QUALITY, a_quality, NO_PATH),
     {2, NOW, UINT32_MAX, UINT32_MAX, .5},
     true},
    {"metadata.lang", ONE(FILTER_IN, FILTER_METADATA, a_lang, LANG), {0}, false},
    {"metadata.n > x", ONE(FILTER_ABOVE, FILTER_METADATA, a_number, NUMBER), {0}, false},
};

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void measure(size_t i, int rounds)
{
    struct arena a;
    uint32_t found = 0, asked = 0;
    double best = 1e18, best_asked = 1e18;
    arena_init(&a, 0);
    for (int r = 0; r < rounds; r++) {
        struct ask q = cases[i].ask;
        arena_reset(&a);
        double began = now_us();
        found = by_sets(&cases[i].filter, &a);
        double took = now_us() - began;
        best = took < best ? took : best;
        arena_reset(&a);
        began = now_us();
        asked = cases[i].asked ? by_asking(&q, permits, &a) : found;
        took = now_us() - began;
        best_asked = took < best_asked ? took : best_asked;
    }
    arena_release(&a);
    if (found != asked) {
        fprintf(stderr, "%s: %u and %u\n", cases[i].name, found, asked);
        exit(1);
    }
    printf("%-16s %8u found  by sets %8.1f us", cases[i].name, found, best);
    if (cases[i].asked)
        printf("  by asking %8.1f us  %5.1f times", best_asked, best_asked / best);
    printf("\n");
}

int main(int argc, char **argv)
{
    long n = argc > 1 ? strtol(argv[1], NULL, 10) : 10000;
    long rounds = argc > 2 ? strtol(argv[2], NULL, 10) : 200;
    long only = argc > 3 ? strtol(argv[3], NULL, 10) : -1;
    rng_seed(&rng, 1);
    fill((uint32_t)n);
    printf("%ld memories, the least processor time of %ld rounds\n", n, rounds);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (only < 0 || only == (long)i)
            measure(i, (int)rounds);
    return 0;
}
