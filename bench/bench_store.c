/* SPDX-License-Identifier: MIT
 *
 * What the store costs the writer: groups of commands (64 unless said) as the engine sends them,
 * CPU and wall time per command, commit included, checkpoints apart.
 *
 *     bench_store [DIR] [groups] [body bytes] [commands per group]
 *
 * broadcast = insert nutrient + trace + idempotency, and for each one that expires, once LIVE are
 * there: its nutrient deleted, before the inserts as the engine does it; usage is put once a group.
 * Only groups with expiry are measured.  outcome = 3 edges of one source among SOURCES x FANOUT, a
 * recent task of each target, insert outcome: with a row put for each edge and for the part of each
 * ring, and with the learning log (a record a group, and what brings the rows of CATCH_UP agents up
 * to date).  The bound printed beside is the same bytes appended to a file and synced once per
 * group.
 *
 * The writer thread's system calls and bytes are the kernel's own count of them. */
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
    TRACE_BYTES = 350, /* a decision of 32 candidates */
    LIVE = 10000,      /* nutrients; their pages do not fit the writer's cache */
    SOURCES = 1000,
    FANOUT = 100,
    DEFAULT_GROUPS = 800,
    DEFAULT_BODY = 3072 + 600, /* a float16 vector of 1,536 dimensions, and text */
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
    NO_STEP = 90, /* microseconds between broadcasts */
};

#define FIRST_NO INT64_C(1795000000000000)

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

/* What this thread has asked of the kernel so far. */
struct io {
    int64_t reads, writes, bytes; /* calls, calls, bytes written */
};

static struct io io_now(void)
{
    struct io io = {0};
    char line[64];
    FILE *f = fopen("/proc/thread-self/io", "re");
    while (f && fgets(line, sizeof line, f)) {
        char *colon = strchr(line, ':');
        int64_t value = colon ? strtoll(colon + 1, NULL, 10) : 0;
        if (strncmp(line, "syscr", 5) == 0)
            io.reads = value;
        else if (strncmp(line, "syscw", 5) == 0)
            io.writes = value;
        else if (strncmp(line, "wchar", 5) == 0)
            io.bytes = value;
    }
    if (f)
        fclose(f);
    return io;
}

static struct io io_since(struct io sum, struct io then)
{
    struct io now = io_now();
    enum { OWN_READS = 1 }; /* of io_now() before */
    sum.reads += now.reads - then.reads - OWN_READS;
    sum.writes += now.writes - then.writes;
    sum.bytes += now.bytes - then.bytes;
    return sum;
}

struct sums {
    int64_t cpu, wall, maintain_cpu, maintain_wall, longest;
    struct io io, maintain_io;
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
    struct io io = io_now();
    int64_t cpu = cpu_us(), wall = clock_mono_us();
    check(s->ops->commit(s, batch, count, &failed, &err), &err);
    sums->cpu += cpu_us() - cpu;
    sums->wall += clock_mono_us() - wall;
    sums->io = io_since(sums->io, io);
    io = io_now();
    cpu = cpu_us(), wall = clock_mono_us();
    check(s->ops->maintain(s, &err), &err);
    int64_t end = clock_mono_us();
    sums->maintain_cpu += cpu_us() - cpu;
    sums->maintain_wall += end - wall;
    sums->maintain_io = io_since(sums->maintain_io, io);
    if (end - wall > sums->longest)
        sums->longest = end - wall;
}

static void report_io(const char *what, double n, const struct io *io)
{
    printf("               %-10s %5.2f writes, %7.0f bytes, %5.2f reads a command\n", what,
           (double)io->writes / n, (double)io->bytes / n, (double)io->reads / n);
}

static void report(const char *name, int64_t groups, const struct sums *s)
{
    double n = (double)(groups * group);
    printf("%-14s %6.1f us cpu/command (%.1f commit + %.1f checkpoint), %6.1f us wall, "
           "%7.0f commands/s, longest checkpoint %.1f ms\n",
           name, (double)(s->cpu + s->maintain_cpu) / n, (double)s->cpu / n,
           (double)s->maintain_cpu / n, (double)(s->wall + s->maintain_wall) / n,
           n * 1e6 / (double)(s->wall + s->maintain_wall), (double)s->longest / 1000);
    report_io("commit", n, &s->io);
    report_io("checkpoint", n, &s->maintain_io);
}

/* One group of broadcasts, the first of them number `no`. */
struct broadcast_group {
    struct record_nutrient nutrients[GROUP_MAX], expired[GROUP_MAX];
    struct record_trace traces[GROUP_MAX];
    struct record_idempotency replays[GROUP_MAX];
    struct id ids[GROUP_MAX];
    struct record_usage usage;
    struct mutation batch[BATCH_MAX];
    size_t count;
};

static void add(struct broadcast_group *b, enum mutation_op op, enum record_kind kind,
                const void *record)
{
    b->batch[b->count++] = (struct mutation){.op = op, .kind = kind, .record = record};
}

static void add_broadcast(struct broadcast_group *b, int i, int64_t no, size_t body)
{
    int64_t ms = no / 1000;
    b->ids[i] = id_make(ms);
    b->nutrients[i] = (struct record_nutrient){.no = no,
                                               .tenant_no = FIRST_NO,
                                               .source_no = no,
                                               .sensitivity = 2,
                                               .created_ms = ms,
                                               .expires_ms = ms + 30000,
                                               .summary = bytes_of(filler, 100),
                                               .embedding = bytes_of(filler + 128, body - 100)};
    b->traces[i] = (struct record_trace){.no = no,
                                         .tenant_no = FIRST_NO,
                                         .id = id_bytes(&b->ids[i]),
                                         .kind = 1,
                                         .agent_no = no,
                                         .created_ms = ms,
                                         .expires_ms = ms + 30000,
                                         .decision = bytes_of(filler, TRACE_BYTES)};
    b->replays[i] = (struct record_idempotency){.no = no,
                                                .tenant_no = FIRST_NO,
                                                .key_hash = bytes_of(filler + no % 999, 16),
                                                .body_hash = bytes_of(filler, 16),
                                                .status = 200,
                                                .created_ms = ms,
                                                .result = bytes_of(filler, 40)};
    add(b, MUT_INSERT, RECORD_NUTRIENT, &b->nutrients[i]);
    add(b, MUT_INSERT, RECORD_TRACE, &b->traces[i]);
    add(b, MUT_INSERT, RECORD_IDEMPOTENCY, &b->replays[i]);
}

static void broadcasts(struct store *s, int64_t groups, size_t body)
{
    static struct broadcast_group b;
    struct sums sums = {0}, filling = {0};
    int64_t no = FIRST_NO, fill = LIVE / group + 1;
    for (int64_t g = 0; g < fill + groups; g++) {
        b.count = 0;
        for (int i = 0; i < group && g >= fill; i++) {
            b.expired[i] = (struct record_nutrient){.no = no + (i - fill * group) * NO_STEP};
            add(&b, MUT_DELETE, RECORD_NUTRIENT, &b.expired[i]);
        }
        for (int i = 0; i < group; i++, no += NO_STEP)
            add_broadcast(&b, i, no, body);
        b.usage = (struct record_usage){.tenant_no = 1, .hour = 1, .nutrients = g * group};
        add(&b, MUT_PUT, RECORD_USAGE, &b.usage);
        timed_commit(s, b.batch, b.count, g < fill ? &filling : &sums);
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
            edges[i] = (struct record_edge){.src_no = FIRST_NO + src,
                                            .dst_no = FIRST_NO + (src + i * 7) % SOURCES,
                                            .tenant_no = FIRST_NO,
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
    *e = (struct record_edge){.src_no = FIRST_NO + src,
                              .dst_no = FIRST_NO + dst % SOURCES,
                              .tenant_no = FIRST_NO,
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
    below = (struct record_learning_log){.no = no - (int64_t)LOG_GROUPS * NO_STEP * group};
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
        for (int i = 0; i < group; i++, no += NO_STEP) {
            rated[i] = (struct record_outcome){.trace_no = no - rng_below(&rng, 100000),
                                               .rater_no = no,
                                               .tenant_no = FIRST_NO,
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
    outcomes(s, groups, "outcome, rows", put_rows, FIRST_NO);
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
