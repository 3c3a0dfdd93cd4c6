/* SPDX-License-Identifier: MIT
 *
 * What the store costs the writer: groups of commands (64 unless said) as the engine sends them,
 * CPU and wall time per command, commit included, checkpoints apart.
 *
 *     bench_store [DIR] [groups] [body bytes] [commands per group]
 *
 * broadcast = insert nutrient + trace + idempotency, put usage; a DELETE_BELOW per group keeps the
 * live nutrients at `LIVE` (so expiry at the same rate is in the figure); outcome = 3 edges of one
 * source among SOURCES x FANOUT, a recent task of each target, insert outcome: with a row put for
 * each edge and for the part of each ring, and with the learning log (a record a group, and what
 * brings the rows of CATCH_UP agents up to date).  The bound printed beside is the same bytes
 * appended to a file and synced once per group. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/mem.h"
#include "base/rng.h"
#include "store/store.h"

enum {
    GROUP_MAX = 64,
    TRACE_BYTES = 1200,
    LIVE = 20000, /* nutrients: at most what a ttl of 2 s at 10,000 a second keeps */
    SOURCES = 1000,
    FANOUT = 100,
    DEFAULT_GROUPS = 800,
    DEFAULT_BODY = 3072 + 128,
    RING_PARTS = 4,
    PART_BYTES = 8 * 60, /* tasks with two hints of 10 characters */
    /* A log of 4 MB holds 176 groups of 64 outcomes: in that time each of the agents has to be
     * brought up to date once, in some 28 of its edges and all parts of its ring. */
    CATCH_UP = 6,
    CATCH_UP_EDGES = 28,
    LOG_GROUPS = 176,
    LOGGED_EDGE_BYTES = 64,
    LOGGED_TASK_BYTES = 60,
    BATCH_MAX = GROUP_MAX * 7 + 2,
};

static char filler[65536];
static struct rng rng;
static int group = GROUP_MAX; /* commands per commit */

/* The writer thread's own clock: readers and the kernel's write-back are not in it. */
static int64_t cpu_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * INT64_C(1000000) + t.tv_nsec / 1000;
}

struct sums {
    int64_t cpu, wall, maintain_cpu, maintain_wall, longest;
};

static void check(enum qmn_code code, const struct err *err)
{
    if (code == QMN_OK)
        return;
    fprintf(stderr, "bench_store: %s\n", err->text);
    exit(1);
}

static void timed_commit(struct store *s, const struct mutation *batch, size_t count,
                         struct sums *sums)
{
    struct err err;
    size_t failed;
    int64_t cpu = cpu_us(), wall = clock_mono_us();
    check(s->ops->commit(s, batch, count, &failed, &err), &err);
    int64_t cpu_mid = cpu_us(), wall_mid = clock_mono_us();
    check(s->ops->maintain(s, &err), &err);
    int64_t end = clock_mono_us();
    sums->cpu += cpu_mid - cpu;
    sums->wall += wall_mid - wall;
    sums->maintain_cpu += cpu_us() - cpu_mid;
    sums->maintain_wall += end - wall_mid;
    if (end - wall_mid > sums->longest)
        sums->longest = end - wall_mid;
}

static void report(const char *name, int64_t groups, const struct sums *s)
{
    double n = (double)(groups * group);
    printf("%-14s %6.1f us cpu/command (%.1f commit + %.1f checkpoint), %6.1f us wall, "
           "%7.0f commands/s, longest checkpoint %.1f ms\n",
           name, (double)(s->cpu + s->maintain_cpu) / n, (double)s->cpu / n,
           (double)s->maintain_cpu / n, (double)(s->wall + s->maintain_wall) / n,
           n * 1e6 / (double)(s->wall + s->maintain_wall), (double)s->longest / 1000);
}

static void broadcasts(struct store *s, int64_t groups, size_t body)
{
    static struct record_nutrient nutrients[GROUP_MAX], bound;
    static struct record_trace traces[GROUP_MAX];
    static struct record_idempotency replays[GROUP_MAX];
    static struct id ids[GROUP_MAX];
    static struct record_usage usage;
    struct mutation batch[BATCH_MAX];
    struct sums sums = {0};
    int64_t no = INT64_C(1795000000000000);
    for (int64_t g = 0; g < groups; g++) {
        size_t n = 0;
        for (int i = 0; i < group; i++, no += 90) {
            int64_t ms = no / 1000;
            ids[i] = id_make(ms);
            nutrients[i] =
                (struct record_nutrient){.no = no,
                                         .tenant_no = 1795000000000000,
                                         .source_no = no,
                                         .sensitivity = 2,
                                         .created_ms = ms,
                                         .expires_ms = ms + 30000,
                                         .summary = bytes_of(filler, 100),
                                         .embedding = bytes_of(filler + 128, body - 100)};
            traces[i] = (struct record_trace){.no = no,
                                              .tenant_no = 1795000000000000,
                                              .id = id_bytes(&ids[i]),
                                              .kind = 1,
                                              .agent_no = no,
                                              .created_ms = ms,
                                              .expires_ms = ms + 30000,
                                              .decision = bytes_of(filler, TRACE_BYTES)};
            replays[i] = (struct record_idempotency){.no = no,
                                                     .tenant_no = 1795000000000000,
                                                     .key_hash = bytes_of(filler + no % 999, 16),
                                                     .body_hash = bytes_of(filler, 16),
                                                     .status = 200,
                                                     .created_ms = ms,
                                                     .result = bytes_of(filler, 40)};
            batch[n++] = (struct mutation){
                .op = MUT_INSERT, .kind = RECORD_NUTRIENT, .record = &nutrients[i]};
            batch[n++] =
                (struct mutation){.op = MUT_INSERT, .kind = RECORD_TRACE, .record = &traces[i]};
            batch[n++] = (struct mutation){
                .op = MUT_INSERT, .kind = RECORD_IDEMPOTENCY, .record = &replays[i]};
            usage = (struct record_usage){.tenant_no = 1, .hour = 1, .nutrients = g * group};
            batch[n++] = (struct mutation){.op = MUT_PUT, .kind = RECORD_USAGE, .record = &usage};
        }
        bound = (struct record_nutrient){.no = no - LIVE * INT64_C(90)};
        batch[n++] = (struct mutation){
            .op = MUT_DELETE_BELOW, .kind = RECORD_NUTRIENT, .record = &bound, .limit = 256};
        timed_commit(s, batch, n, &sums);
    }
    report("broadcast", groups, &sums);
}

static void fill_edges(struct store *s)
{
    struct record_edge *edges = mem_calloc(FANOUT, sizeof *edges);
    struct mutation batch[FANOUT];
    struct err err;
    size_t failed;
    for (int64_t src = 0; edges && src < SOURCES; src++) {
        for (int64_t i = 0; i < FANOUT; i++) {
            edges[i] = (struct record_edge){.src_no = 1795000000000000 + src,
                                            .dst_no = 1795000000000000 + (src + i * 7) % SOURCES,
                                            .tenant_no = 1795000000000000,
                                            .weight = 0.5};
            batch[i] = (struct mutation){.op = MUT_PUT, .kind = RECORD_EDGE, .record = &edges[i]};
        }
        check(s->ops->commit(s, batch, FANOUT, &failed, &err), &err);
        check(s->ops->maintain(s, &err), &err);
    }
    mem_free(edges);
}

static void change_edge(struct record_edge *e, int64_t src, int64_t dst, int64_t now_ms)
{
    *e = (struct record_edge){.src_no = 1795000000000000 + src,
                              .dst_no = 1795000000000000 + dst % SOURCES,
                              .tenant_no = 1795000000000000,
                              .weight = rng_unit(&rng),
                              .outcomes = now_ms,
                              .success = rng_unit(&rng),
                              .decay = rng_unit(&rng),
                              .updated_ms = now_ms};
}

static struct record_agent_tasks ring_part(int64_t agent, int64_t part)
{
    return (struct record_agent_tasks){.agent_no = 1795000000000000 + agent % SOURCES,
                                       .part = part,
                                       .tenant_no = 1795000000000000,
                                       .tasks = bytes_of(filler, PART_BYTES)};
}

/* What one group of outcomes teaches: a row for each edge and task. */
static size_t put_rows(struct mutation *batch, int64_t no)
{
    static struct record_edge edges[GROUP_MAX * 3];
    static struct record_agent_tasks tasks[GROUP_MAX * 3];
    size_t n = 0, at = 0;
    for (int i = 0; i < group; i++) {
        int64_t src = rng_below(&rng, SOURCES);
        for (int j = 0; j < 3; j++, at++) {
            int64_t dst = src + (int64_t)rng_below(&rng, FANOUT) * 7;
            change_edge(&edges[at], src, dst, no / 1000);
            tasks[at] = ring_part(dst, rng_below(&rng, RING_PARTS));
            batch[n++] =
                (struct mutation){.op = MUT_PUT, .kind = RECORD_EDGE, .record = &edges[at]};
            batch[n++] =
                (struct mutation){.op = MUT_PUT, .kind = RECORD_AGENT_TASKS, .record = &tasks[at]};
        }
    }
    return n;
}

static size_t catch_up(struct mutation *batch, int64_t no)
{
    static struct record_edge edges[CATCH_UP * CATCH_UP_EDGES];
    static struct record_agent_tasks tasks[CATCH_UP * RING_PARTS];
    static int64_t src;
    size_t n = 0;
    for (int k = 0; k < CATCH_UP; k++, src = (src + 1) % SOURCES) {
        for (int i = 0; i < CATCH_UP_EDGES; i++) {
            struct record_edge *row = &edges[k * CATCH_UP_EDGES + i];
            change_edge(row, src, src + i * 21, no / 1000);
            batch[n++] = (struct mutation){.op = MUT_PUT, .kind = RECORD_EDGE, .record = row};
        }
        for (int i = 0; i < RING_PARTS; i++) {
            struct record_agent_tasks *row = &tasks[k * RING_PARTS + i];
            *row = ring_part(src, i);
            batch[n++] =
                (struct mutation){.op = MUT_PUT, .kind = RECORD_AGENT_TASKS, .record = row};
        }
    }
    return n;
}

/* The same with the log. */
static size_t log_all(struct mutation *batch, int64_t no)
{
    static struct record_learning_log row, below;
    row = (struct record_learning_log){
        .no = no,
        .tenant_no = 1,
        .edges = bytes_of(filler, (size_t)group * 3 * LOGGED_EDGE_BYTES),
        .tasks = bytes_of(filler, (size_t)group * 3 * LOGGED_TASK_BYTES)};
    below = (struct record_learning_log){.no = no - LOG_GROUPS * INT64_C(90) * group};
    size_t n = catch_up(batch, no);
    batch[n++] = (struct mutation){
        .op = MUT_DELETE_BELOW, .kind = RECORD_LEARNING_LOG, .record = &below, .limit = 256};
    batch[n++] = (struct mutation){.op = MUT_INSERT, .kind = RECORD_LEARNING_LOG, .record = &row};
    return n;
}

static void outcomes(struct store *s, int64_t groups, const char *name,
                     size_t (*learn)(struct mutation *batch, int64_t no), int64_t no)
{
    static struct record_outcome rated[GROUP_MAX];
    struct mutation batch[BATCH_MAX];
    struct sums sums = {0};
    for (int64_t g = 0; g < groups; g++) {
        size_t n = learn(batch, no);
        for (int i = 0; i < group; i++, no += 90) {
            rated[i] = (struct record_outcome){.trace_no = no - rng_below(&rng, 100000),
                                               .rater_no = no,
                                               .tenant_no = 1795000000000000,
                                               .score = 0.7,
                                               .hops = bytes_of(filler, 100),
                                               .at_ms = no / 1000};
            batch[n++] =
                (struct mutation){.op = MUT_PUT, .kind = RECORD_OUTCOME, .record = &rated[i]};
        }
        timed_commit(s, batch, n, &sums);
    }
    report(name, groups, &sums);
}

static enum qmn_code touch(void *ctx, const void *record, struct err *err QMN_UNUSED)
{
    *(int64_t *)ctx += (int64_t)((const struct record_trace *)record)->decision.len;
    return QMN_OK;
}

static void scan(struct store *s)
{
    struct err err;
    int64_t bytes = 0, start = clock_mono_us();
    check(s->ops->scan(s, RECORD_TRACE, NULL, touch, &bytes, &err), &err);
    double ms = (double)(clock_mono_us() - start) / 1000;
    printf("scan       %6.1f ms for %.1f MB of traces (%.0f MB/s)\n", ms, (double)bytes / 1e6,
           (double)bytes / 1e3 / ms);
}

static void bound(const char *path, int64_t groups, size_t body)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int64_t cpu = cpu_us(), wall = clock_mono_us();
    for (int64_t g = 0; fd >= 0 && g < groups; g++) {
        for (int i = 0; i < group; i++)
            if (write(fd, filler, body + TRACE_BYTES + 200) < 0)
                break;
        fdatasync(fd);
    }
    double n = (double)(groups * group);
    printf("bound      %6.1f us cpu/command, %6.1f us wall (the same bytes appended, one sync a "
           "group)\n",
           (double)(cpu_us() - cpu) / n, (double)(clock_mono_us() - wall) / n);
    close(fd);
    unlink(path);
}

static void remove_store(const char *path)
{
    static const char *const suffixes[] = {"", "-wal", ".lock"};
    for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
        char name[512];
        snprintf(name, sizeof name, "%s%s", path, suffixes[i]);
        unlink(name);
    }
}

int main(int argc, char **argv)
{
    char path[400];
    struct store *s;
    struct err err;
    int64_t groups = argc > 2 ? strtoll(argv[2], NULL, 10) : DEFAULT_GROUPS;
    size_t body = argc > 3 ? strtoul(argv[3], NULL, 10) : DEFAULT_BODY;
    if (argc > 4)
        group = (int)strtol(argv[4], NULL, 10);
    if (groups <= 0 || group < 1 || group > GROUP_MAX || body < 124 || body > sizeof filler - 128) {
        fprintf(stderr, "usage: bench_store [DIR] [groups] [body bytes, 124 to 65408] "
                        "[commands per group, 1 to 64]\n");
        return 2;
    }
    snprintf(path, sizeof path, "%s/bench_store.db", argc > 1 ? argv[1] : ".");
    rng_seed(&rng, 1);
    for (size_t i = 0; i < sizeof filler; i++)
        filler[i] = (char)rng_next(&rng);
    remove_store(path);
    const struct store_config config = {
        .path = path, .sealer = sealer_identity, .sync = STORE_SYNC_FULL};
    check(store_sqlite_open(&config, &s, &err), &err);
    broadcasts(s, groups, body);
    fill_edges(s);
    outcomes(s, groups, "outcome, rows", put_rows, INT64_C(1795000000000000));
    outcomes(s, groups, "outcome, log", log_all, INT64_C(1796000000000000));
    scan(s);
    struct store_stats stats;
    s->ops->stats(s, &stats);
    printf("file %.1f MB, log %.1f MB, %" PRId64 " checkpoints\n", (double)stats.file_bytes / 1e6,
           (double)stats.log_bytes / 1e6, stats.checkpoints);
    store_close(s);
    remove_store(path);
    bound(path, groups, body);
    return 0;
}
