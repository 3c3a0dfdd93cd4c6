/* SPDX-License-Identifier: MIT
 *
 * What a routing decision costs: the pass over the vectors, and engine_decide alone, in nanoseconds
 * and (where the kernel counts them) instructions.
 *
 *     bench_decide [agents [decisions [epsilon [random|text [scored]]]]]
 *
 * (1000 20000 0.1 random); scored: so many agents have no index
 *
 * A tenant large enough for an index is measured when all of it is linked, which takes a while, and
 * then its choices are compared with those of the exact way: of the agents chosen, and of the 32
 * candidates, the share that is the same.
 *
 * The tenant is the one of `qmn bench broadcast`: 1,536 dimensions, 8 capabilities, 16 recent tasks
 * of 2 hints, which groups of 50 agents have in common, 160 sources with 100 edges; a broadcast
 * carries 2 hints, top_k 3, diverse.  It is loaded from the in-memory store and the same each time.
 * Decisions come in tiles, as a busy node makes them, and the pass over the codes of a tile, which
 * is counted apart, leaves the caches to them as it would there.  The least of several rounds is
 * printed beside the mean, both of processor time: other work on the machine only adds.
 *
 * Vectors are Gaussian, or like those of texts: topics within fields, most of their spread in 40
 * directions, the nearest of 100,000 at a cosine of .8, the hundredth at .6. */
#include <inttypes.h>
#include <linux/perf_event.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "engine/agent_index_priv.h"
#include "engine/decide_priv.h"
#include "engine/learned_priv.h"
#include "engine/recent_priv.h"
#include "store/store.h"

enum {
    DIM = 1536,
    TAGS = 200,
    CAPABILITIES = 8,
    HINTS = 2,
    GROUP = 50, /* agents that were sent the same tasks */
    SOURCES = 160,
    EDGES = 100,
    QUERIES = 256, /* different broadcasts; a multiple of the tile */
    ROUNDS = 100,
    TAG_BYTES = 16,
    LATENT = 40, /* directions of texts */
    FIELDS = 64,
    TOPICS = 24, /* of a field */
    ARENA_MAX = 64 << 20,
};

#define TENANT_NO INT64_C(1795000000000000)

struct query {
    struct agent *source;
    float unit[DIM];
    char hints[HINTS * TAG_BYTES];
    size_t hint_bytes;
};

static int64_t now_ms; /* of everything that happened */

/* NULL: Gaussian. */
static struct texts {
    float directions[LATENT][DIM];
    float fields[FIELDS][LATENT], topics[FIELDS * TOPICS][LATENT];
} * texts;

static void check(enum qmn_code code, const struct err *err)
{
    if (code == QMN_OK)
        return;
    fprintf(stderr, "bench_decide: %s\n", err->text);
    exit(1);
}

static void *need(void *p)
{
    if (!p)
        check(QMN_E_NOMEM, &(struct err){.text = "out of memory"});
    return p;
}

/* ---- the tenant ---- */

static void fill_normal(struct rng *rng, float *v, uint32_t n, double deviation)
{
    for (uint32_t i = 0; i < n; i++)
        v[i] = (float)(deviation * rng_normal(rng));
}

static struct texts *make_texts(void)
{
    struct texts *x = need(mem_calloc(1, sizeof *x));
    struct rng rng;
    rng_seed(&rng, 5);
    for (uint32_t k = 0; k < LATENT; k++)
        fill_normal(&rng, x->directions[k], DIM, 0.48 * pow(k + 1, -0.3));
    fill_normal(&rng, x->fields[0], FIELDS * LATENT, 1);
    fill_normal(&rng, x->topics[0], FIELDS * TOPICS * LATENT, 0.7);
    return x;
}

static void add_text(struct rng *rng, float *v)
{
    uint32_t topic = rng_below(rng, FIELDS * TOPICS);
    for (uint32_t k = 0; k < LATENT; k++) {
        double at = (double)texts->fields[topic / TOPICS][k] + (double)texts->topics[topic][k] +
                    0.5 * rng_normal(rng);
        for (uint32_t i = 0; i < DIM; i++)
            v[i] += (float)at * texts->directions[k][i];
    }
}

static void random_unit(struct rng *rng, float *v)
{
    double norm = 0;
    fill_normal(rng, v, DIM, texts ? 0.6 : 1);
    if (texts)
        add_text(rng, v);
    for (uint32_t i = 0; i < DIM; i++)
        norm += (double)v[i] * (double)v[i];
    for (uint32_t i = 0; i < DIM; i++)
        v[i] = (float)((double)v[i] / sqrt(norm));
}

/* A text list of tags as the load generator draws them: ret[count * TAG_BYTES]. */
static size_t put_tags(struct rng *rng, uint32_t count, char *ret)
{
    uint32_t first = rng_below(rng, TAGS);
    size_t len = 0;
    for (uint32_t i = 0; i < count; i++)
        len += 1 + (size_t)snprintf(ret + len, TAG_BYTES, "skill-%03u", (first + i * 23) % TAGS);
    return len;
}

static void put(struct store *s, enum record_kind kind, const void *record)
{
    struct err err = {0};
    size_t failed;
    check(s->ops->commit(s, &(struct mutation){MUT_PUT, kind, record, 0}, 1, &failed, &err), &err);
}

static void put_tenant(struct store *s)
{
    const struct record_tenant t = {.no = TENANT_NO,
                                    .id = BYTES_LIT("measured"),
                                    .name = BYTES_LIT("measured"),
                                    .metadata = BYTES_LIT("{}"),
                                    .plan = PLAN_ENTERPRISE,
                                    .status = TENANT_ACTIVE,
                                    .dim = DIM,
                                    .created_ms = now_ms,
                                    .updated_ms = now_ms};
    put(s, RECORD_TENANT, &t);
}

static void put_agents(struct store *s, struct rng *rng, uint32_t agents)
{
    float profile[DIM];
    char id[24], tags[CAPABILITIES * TAG_BYTES];
    for (uint32_t i = 0; i < agents; i++) {
        random_unit(rng, profile);
        int len = snprintf(id, sizeof id, "agent-%05u", i);
        size_t tag_bytes = put_tags(rng, CAPABILITIES, tags);
        const struct record_agent row = {.no = TENANT_NO + 1 + i,
                                         .tenant_no = TENANT_NO,
                                         .id = bytes_of(id, (size_t)len),
                                         .metadata = BYTES_LIT("{}"),
                                         .capabilities = bytes_of(tags, tag_bytes),
                                         .status = AGENT_ACTIVE,
                                         .clearance = LABEL_INTERNAL,
                                         .profile = bytes_of(profile, sizeof profile),
                                         .created_ms = now_ms,
                                         .updated_ms = now_ms};
        put(s, RECORD_AGENT, &row);
    }
}

/* One part of the rings of a group: tasks [part RECENT_PART ...) of each. */
static void put_group_tasks(struct store *s, struct rng *rng, uint32_t agents, uint32_t first,
                            uint32_t part)
{
    struct learned_task tasks[RECENT_PART];
    char hints[RECENT_PART][HINTS * TAG_BYTES];
    struct arena arena;
    arena_init(&arena, ARENA_MAX);
    for (uint32_t i = 0; i < RECENT_PART; i++) {
        uint64_t nth = part * RECENT_PART + i;
        tasks[i] =
            (struct learned_task){.nutrient_no = (int64_t)(1 + first * 1000 + nth),
                                  .at_ms = now_ms,
                                  .nth = nth,
                                  .hints = bytes_of(hints[i], put_tags(rng, HINTS, hints[i]))};
    }
    for (uint32_t a = first; a < first + GROUP && a < agents; a++) {
        for (uint32_t i = 0; i < RECENT_PART; i++)
            tasks[i].agent_no = TENANT_NO + 1 + a;
        const struct record_agent_tasks row = {.agent_no = TENANT_NO + 1 + a,
                                               .part = part,
                                               .tenant_no = TENANT_NO,
                                               .tasks =
                                                   learned_pack_tasks(tasks, RECENT_PART, &arena)};
        need((void *)(uintptr_t)row.tasks.ptr);
        put(s, RECORD_AGENT_TASKS, &row);
    }
    arena_release(&arena);
}

static void put_edges(struct store *s, struct rng *rng, uint32_t agents)
{
    for (uint32_t src = 0; src < SOURCES && src < agents; src++) {
        uint32_t first = rng_below(rng, agents);
        for (uint32_t k = 0; k < EDGES && k + 1 < agents; k++) {
            uint32_t dst = (first + k) % agents;
            if (dst == src)
                continue;
            const struct record_edge row = {.src_no = TENANT_NO + 1 + src,
                                            .dst_no = TENANT_NO + 1 + dst,
                                            .tenant_no = TENANT_NO,
                                            .weight = 0.3 + 0.5 * rng_unit(rng),
                                            .success = 1,
                                            .decay = 1,
                                            .outcomes = 2,
                                            .created_ms = now_ms,
                                            .updated_ms = now_ms};
            put(s, RECORD_EDGE, &row);
        }
    }
}

static struct engine *make_engine(uint32_t agents, double epsilon, uint32_t scored,
                                  struct metrics *metrics)
{
    const struct store_config config = {.sealer = sealer_identity, .sync = STORE_SYNC_NORMAL};
    struct err err = {0};
    struct store *s = NULL;
    struct engine *e = NULL;
    struct rng rng;
    rng_seed(&rng, 7);
    check(store_mem_open(&config, &s, &err), &err);
    put_tenant(s);
    put_agents(s, &rng, agents);
    for (uint32_t first = 0; first < agents; first += GROUP)
        for (uint32_t part = 0; part < RECENT_PARTS; part++)
            put_group_tasks(s, &rng, agents, first, part);
    put_edges(s, &rng, agents);

    char pepper[] = "/tmp/bench_decide-XXXXXX";
    need(mkdtemp(pepper));
    char path[sizeof pepper + 8];
    snprintf(path, sizeof path, "%s/pepper", pepper);
    const struct engine_config engine = {.store = s,
                                         .metrics = metrics,
                                         .seed = 1,
                                         .pepper_path = path,
                                         .epsilon = epsilon,
                                         .agent_flat_max = scored};
    check(engine_new(&engine, &e, &err), &err);
    unlink(path);
    rmdir(pepper);
    return e;
}

/* ---- measuring ---- */

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

/* This thread's instructions in user mode; -1: not to be had here. */
static int instructions_open(void)
{
    struct perf_event_attr attr = {.type = PERF_TYPE_HARDWARE,
                                   .size = sizeof attr,
                                   .config = PERF_COUNT_HW_INSTRUCTIONS,
                                   .exclude_kernel = 1,
                                   .exclude_hv = 1};
    return (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
}

static int64_t instructions(int fd)
{
    int64_t count = 0;
    return fd >= 0 && read(fd, &count, sizeof count) == sizeof count ? count : 0;
}

struct bench {
    struct engine *e;
    struct tenant *t;
    struct query *queries; /* [QUERIES] */
    struct arena arenas[FLAT_TILE];
    int counter;
    int64_t ns, instructions;             /* of the decisions so far ... */
    int64_t pass_ns;                      /* ... and of the passes before them */
    struct decision decisions[FLAT_TILE]; /* of the last tile */
    uint64_t digest;                      /* of all that they said */
};

static void digest(struct bench *b, const struct decision *d)
{
    b->digest = bytes_hash(bytes_of(&d->head, sizeof d->head), b->digest);
    b->digest = bytes_hash(bytes_of(d->routes, d->head.route_count * sizeof *d->routes), b->digest);
    b->digest = bytes_hash(bytes_of(d->candidates, d->head.candidate_count * sizeof *d->candidates),
                           b->digest);
}

/* Scores queries [first ..) of a tile, and decides each of them. */
static void run_tile(struct bench *b, uint32_t first)
{
    const float *units[FLAT_TILE];
    struct arena *arenas[FLAT_TILE];
    struct rough rough[FLAT_TILE];
    struct err err = {0};
    for (uint32_t i = 0; i < FLAT_TILE; i++) {
        units[i] = b->queries[first + i].unit;
        arenas[i] = &b->arenas[i];
        arena_reset(arenas[i]);
    }
    int64_t pass_began = now_ns();
    if (!engine_cosines(b->t, units, arenas, FLAT_TILE, rough))
        need(NULL);
    int64_t counted = instructions(b->counter), began = now_ns();
    b->pass_ns += began - pass_began;
    for (uint32_t i = 0; i < FLAT_TILE; i++) {
        const struct query *q = &b->queries[first + i];
        const struct decide_in in = {.source = q->source,
                                     .rough = rough[i],
                                     .hints = bytes_of(q->hints, q->hint_bytes),
                                     .sensitivity = LABEL_INTERNAL,
                                     .top_k = 3,
                                     .max_hops = 1,
                                     .diversify = true,
                                     .min_score = -1,
                                     .now_ms = now_ms};
        check(engine_decide(b->e, b->t, &in, arenas[i], &b->decisions[i], &err), &err);
    }
    b->ns += now_ns() - began;
    b->instructions += instructions(b->counter) - counted;
    for (uint32_t i = 0; i < FLAT_TILE; i++)
        digest(b, &b->decisions[i]);
}

static void make_queries(struct bench *b, uint32_t agents)
{
    struct rng rng;
    rng_seed(&rng, 11);
    b->queries = need(mem_calloc(QUERIES, sizeof *b->queries));
    for (uint32_t i = 0; i < QUERIES; i++) {
        struct query *q = &b->queries[i];
        q->source = network_agent_no(&b->e->net, TENANT_NO + 1 + i % SOURCES % agents);
        random_unit(&rng, q->unit);
        q->hint_bytes = put_tags(&rng, HINTS, q->hints);
    }
}

static void measure(struct bench *b, uint32_t decisions)
{
    uint32_t tiles = decisions / ROUNDS / FLAT_TILE + 1, each = tiles * FLAT_TILE, next = 0;
    int64_t best_ns = INT64_MAX, best_pass = INT64_MAX, total_ns = 0, total_instructions = 0;
    for (uint32_t i = 0; i < QUERIES; i += FLAT_TILE) /* fills the caches of the hints */
        run_tile(b, i);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        b->ns = b->instructions = b->pass_ns = 0;
        for (uint32_t i = 0; i < tiles; i++, next = (next + FLAT_TILE) % QUERIES)
            run_tile(b, next);
        best_ns = b->ns < best_ns ? b->ns : best_ns;
        best_pass = b->pass_ns < best_pass ? b->pass_ns : best_pass;
        total_ns += b->ns;
        total_instructions += b->instructions;
    }
    printf("a decision among %u%s: least %" PRId64 " ns, mean %" PRId64
           " ns, beside a pass of %" PRId64 " ns",
           b->t->agent_count, agent_index_ready(b->t) ? " by the index" : "", best_ns / each,
           total_ns / each / ROUNDS, best_pass / each);
    if (total_instructions)
        printf(", %" PRId64 " instructions", total_instructions / each / ROUNDS);
    printf(", digest %016" PRIx64 "\n", b->digest);
}

/* ---- beside the exact way ---- */

/* Who was chosen, or is a candidate. */
struct named {
    int64_t chosen[LIMIT_FANOUT], candidates[ROUTE_POOL_MAX];
    uint32_t chosen_count, candidate_count;
};

static void note_tile(const struct bench *b, struct named *ret)
{
    for (uint32_t i = 0; i < FLAT_TILE; i++) {
        const struct decision *d = &b->decisions[i];
        ret[i].chosen_count = ret[i].candidate_count = 0;
        for (uint32_t k = 0; k < d->head.route_count; k++)
            ret[i].chosen[ret[i].chosen_count++] = d->routes[k].agent_no;
        for (uint32_t k = 0; k < d->head.candidate_count; k++)
            ret[i].candidates[ret[i].candidate_count++] = d->candidates[k].agent_no;
    }
}

static uint32_t common(const int64_t *a, uint32_t a_count, const int64_t *b, uint32_t b_count)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < a_count; i++)
        for (uint32_t k = 0; k < b_count; k++)
            n += a[i] == b[k];
    return n;
}

/* Without exploration, which draws. */
static void compare(struct bench *b)
{
    static struct named indexed[FLAT_TILE], exact[FLAT_TILE];
    double epsilon = b->e->epsilon;
    uint64_t chosen = 0, same_chosen = 0, candidates = 0, same_candidates = 0;
    b->e->epsilon = 0;
    for (uint32_t first = 0; first < QUERIES; first += FLAT_TILE) {
        run_tile(b, first);
        note_tile(b, indexed);
        b->t->index.ready = false; /* this thread holds the lock, the writer leaves it alone */
        run_tile(b, first);
        b->t->index.ready = true;
        note_tile(b, exact);
        for (uint32_t i = 0; i < FLAT_TILE; i++) {
            const struct named *x = &indexed[i], *y = &exact[i];
            chosen += y->chosen_count;
            candidates += y->candidate_count;
            same_chosen += common(x->chosen, x->chosen_count, y->chosen, y->chosen_count);
            same_candidates +=
                common(x->candidates, x->candidate_count, y->candidates, y->candidate_count);
        }
    }
    b->e->epsilon = epsilon;
    printf("as the exact way: %.4f of the chosen, %.4f of the candidates\n",
           (double)same_chosen / (double)chosen, (double)same_candidates / (double)candidates);
}

/* Until the writer has nothing left to do. */
static void await_index(struct bench *b)
{
    bool wanted = b->t->active_agents > b->e->agent_flat_max, ready = !wanted;
    while (!ready) {
        usleep(100000);
        pthread_rwlock_rdlock(&b->e->net.lock);
        struct vectors_stats stats = {.fresh = 1};
        if (agent_index_ready(b->t))
            vectors_stats(b->t->index.vectors, &stats);
        ready = !stats.fresh;
        pthread_rwlock_unlock(&b->e->net.lock);
    }
}

int main(int argc, char **argv)
{
    uint32_t agents = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 1000;
    uint32_t decisions = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 20000;
    double epsilon = argc > 3 ? strtod(argv[3], NULL) : 0.1;
    const char *kind = argc > 4 ? argv[4] : "random";
    uint32_t scored = argc > 5 ? (uint32_t)strtoul(argv[5], NULL, 10) : AGENT_FLAT_MAX;
    bool text = strcmp(kind, "text") == 0;
    if (agents < 2 || !decisions || !(epsilon >= 0 && epsilon <= 1) ||
        (!text && strcmp(kind, "random") != 0)) {
        fprintf(stderr,
                "usage: bench_decide [AGENTS [DECISIONS [EPSILON [random|text [SCORED]]]]]\n");
        return 2;
    }
    texts = text ? make_texts() : NULL;
    now_ms = clock_now_ms(&clock_system);
    struct metrics *metrics = need(metrics_new());
    struct bench b = {.e = make_engine(agents, epsilon, scored, metrics),
                      .counter = instructions_open()};
    b.t = need(network_tenant(&b.e->net, BYTES_LIT("measured")));
    for (uint32_t i = 0; i < FLAT_TILE; i++)
        arena_init(&b.arenas[i], ARENA_MAX);
    make_queries(&b, agents);
    await_index(&b);
    pthread_rwlock_rdlock(&b.e->net.lock);
    measure(&b, decisions);
    if (agent_index_ready(b.t))
        compare(&b);
    pthread_rwlock_unlock(&b.e->net.lock);
    for (uint32_t i = 0; i < FLAT_TILE; i++)
        arena_release(&b.arenas[i]);
    mem_free(b.queries);
    mem_free(texts);
    engine_free(b.e);
    metrics_free(metrics);
    return 0;
}
