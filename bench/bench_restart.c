/* SPDX-License-Identifier: MIT
 *
 * How long a node with many memories takes until it can search them, from a snapshot of their
 * index.
 *
 *     bench_restart make DIR ROWS [DIM]    a database of that many memories, and a snapshot
 *     bench_restart start DIR [cold]       the start; cold: the snapshot is not in the page cache
 *
 * The vectors are clusters with noise.  The links are drawn at random and every block of level 0 is
 * full, since a start reads and checks them whatever they are worth, and making them would take
 * hours: no search is measured.  The rows of the vectors are left out of the database: a start that
 * reads one of them fails.  Times are wall time, and processor time of the whole process. */
#include <assert.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "engine/memory_index_priv.h"
#include "engine/memory_snapshot_priv.h"
#include "index/snapshot_priv.h"

enum { TENANT = 5, AGENT = 6, BATCH = 2000, CLUSTERS = 256, RARITY = 32, LEVELS = 4 };
enum { MEMORY_NO = 1000000 };

struct dataset {
    const char *dir;
    uint32_t rows, dim;
    struct rng rng;
    struct vectors *index;
    uint64_t *prints; /* [rows] */
};

static void check(enum qmn_code code, const struct err *err)
{
    if (code == QMN_OK)
        return;
    fprintf(stderr, "bench_restart: %s\n", err->text);
    exit(1);
}

static void need(bool ok)
{
    if (ok)
        return;
    fprintf(stderr, "bench_restart: out of memory\n");
    exit(1);
}

static double processor_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- make: the index ---- */

/* Noise of eight values for one number drawn: a million vectors have 1.5 billion. */
static void draw(struct dataset *d, uint32_t row, float *ret)
{
    struct rng cluster;
    float square = 0;
    rng_seed(&cluster, row % CLUSTERS);
    for (uint32_t i = 0; i < d->dim; i += 8) {
        uint64_t noise = rng_next(&d->rng), centre = rng_next(&cluster);
        for (uint32_t j = 0; j < 8 && i + j < d->dim; j++) {
            float x = (float)(int8_t)(centre >> 8 * j) + (float)(int8_t)(noise >> 8 * j);
            ret[i + j] = x;
            square += x * x;
        }
    }
    float length = sqrtf(square);
    for (uint32_t i = 0; i < d->dim; i++)
        ret[i] /= length;
}

static uint32_t level_of(uint32_t slot)
{
    uint32_t level = 0;
    for (; level + 1 < LEVELS && slot % RARITY == 0; level++)
        slot /= RARITY;
    return level;
}

static uint32_t step_of(uint32_t level)
{
    uint32_t step = 1;
    while (level--)
        step *= RARITY;
    return step;
}

/* Distinct slots that reach the level. */
static uint32_t draw_links(struct dataset *d, uint32_t slot, uint32_t level, uint32_t *ret)
{
    uint32_t step = step_of(level), there = d->rows / step, n = 0;
    uint32_t room = graph_room(d->index->graph, level);
    for (uint32_t tries = 0; n < room && tries < 4 * room && there > 1; tries++) {
        uint32_t to = rng_below(&d->rng, there) * step;
        bool known = to == slot;
        for (uint32_t i = 0; i < n; i++)
            known |= ret[i] == to;
        if (!known)
            ret[n++] = to;
    }
    return n;
}

static void link_all(struct dataset *d)
{
    struct graph *g = d->index->graph;
    uint32_t links[GRAPH_LINKS_MAX];
    for (uint32_t slot = 0; slot < d->rows; slot++) {
        if (rows_is_linked(&d->index->rows, slot))
            graph_displace(g, slot); /* the one that came with the graph */
        else
            rows_link(&d->index->rows, slot);
        need(graph_place(g, slot, level_of(slot)));
        for (uint32_t level = 0; level <= level_of(slot); level++)
            graph_write(g, slot, level, links, draw_links(d, slot, level, links));
    }
    graph_choose_entry(g);
}

static void make_index(struct dataset *d)
{
    struct tenant like = {.profiles.dim = d->dim, .engine = &(struct engine){0}};
    struct vectors_options o = memory_index_options(&like);
    float *x = mem_calloc(d->dim + 8, sizeof *x);
    o.exact = VECTORS_EXACT_NONE;
    o.flat_max = 1; /* a graph, however few they are */
    d->index = vectors_new(&o);
    d->prints = mem_calloc(d->rows, sizeof *d->prints);
    need(x && d->index && d->prints);
    for (uint32_t row = 0; row < d->rows; row++) {
        draw(d, row, x);
        need(vectors_reserve(d->index, 1));
        uint32_t slot = vectors_add(d->index, x);
        d->prints[slot] = memory_vector_print(bytes_of(x, d->dim * sizeof *x));
    }
    mem_free(x);
    if (vectors_work(d->index, 1) == VECTORS_NOMEM)
        need(false);
    link_all(d);
}

/* ---- make: the files ---- */

static struct id id_of(uint32_t row)
{
    struct id id;
    struct rng rng;
    rng_seed(&rng, row + UINT64_C(1));
    memset(&id, 0, sizeof id);
    for (size_t i = 0; i + 8 <= sizeof id; i += 8) {
        uint64_t x = rng_next(&rng);
        memcpy((char *)&id + i, &x, sizeof x);
    }
    return id;
}

static void put_owners(const struct dataset *d, uint32_t chunk, struct buf *b)
{
    uint32_t first = chunk * SNAPSHOT_CHUNK;
    for (uint32_t i = 0; i < snapshot_slots(d->index, chunk); i++) {
        struct id id = id_of(first + i);
        struct snapshot_owner owner = {.no = MEMORY_NO + first + i,
                                       .version = 1,
                                       .id_hash = id_hash(&id),
                                       .vector_print = d->prints[first + i]};
        buf_add(b, &owner, sizeof owner);
    }
}

static uint64_t write_piece(struct sealed_files *f, char kind, uint32_t chunk, const struct buf *b)
{
    char name[SNAPSHOT_NAME_BYTES];
    struct err err = {0};
    need(buf_ok(b));
    snapshot_file_name(kind, chunk, 1, name);
    check(sealed_files_write(f, name, buf_bytes(b), &err), &err);
    return b->len;
}

static uint64_t write_snapshot(const struct dataset *d, const char *folder)
{
    struct err err = {0};
    struct sealed_files f;
    struct snapshot_table t = {.generation = 1};
    struct buf piece, head;
    uint64_t bytes = 0;
    uint32_t chunks = snapshot_chunks(d->index);
    buf_init(&piece, SIZE_MAX);
    buf_init(&head, SIZE_MAX);
    check(sealed_files_open(folder, TENANT, &sealer_identity, true, &f, &err), &err);
    need(snapshot_table_reach(&t, chunks - 1));
    for (uint32_t i = 0; i < chunks; i++) {
        t.chunks[i].codes.generation = t.chunks[i].links.generation = 1;
        buf_clear(&piece);
        snapshot_put_codes(d->index, i, &piece);
        put_owners(d, i, &piece);
        bytes += write_piece(&f, 'c', i, &piece);
        buf_clear(&piece);
        snapshot_put_links(d->index, i, &piece);
        bytes += write_piece(&f, 'l', i, &piece);
    }
    buf_clear(&piece);
    snapshot_put_head(d->index, &head);
    snapshot_manifest_pack(&t, buf_bytes(&head), &piece);
    check(sealed_files_replace(&f, SNAPSHOT_MANIFEST, buf_bytes(&piece), &err), &err);
    sealed_files_close(&f);
    snapshot_table_release(&t);
    buf_release(&piece);
    buf_release(&head);
    return bytes;
}

/* ---- make: the store ---- */

static void commit(struct store *s, const struct mutation *batch, size_t count)
{
    struct err err = {0};
    size_t failed;
    check(s->ops->commit(s, batch, count, &failed, &err), &err);
    check(s->ops->maintain(s, &err), &err);
}

static void make_owner(struct store *s, uint32_t dim)
{
    const struct record_tenant t = {.no = TENANT,
                                    .id = BYTES_LIT("large"),
                                    .name = BYTES_LIT("large"),
                                    .metadata = BYTES_LIT("{}"),
                                    .plan = PLAN_ENTERPRISE,
                                    .status = TENANT_ACTIVE,
                                    .space = BYTES_LIT("client"),
                                    .dim = dim,
                                    .created_ms = 1};
    const struct record_agent a = {.no = AGENT,
                                   .tenant_no = TENANT,
                                   .id = BYTES_LIT("default-agent"),
                                   .name = BYTES_LIT("default-agent"),
                                   .metadata = BYTES_LIT("{}"),
                                   .status = 1,
                                   .clearance = LABEL_SECRET,
                                   .created_ms = 1};
    const struct mutation both[] = {{MUT_PUT, RECORD_TENANT, &t, 0},
                                    {MUT_PUT, RECORD_AGENT, &a, 0}};
    commit(s, both, 2);
}

static void make_rows(struct store *s, uint32_t rows)
{
    struct record_memory *records = mem_calloc(BATCH, sizeof *records);
    struct mutation *batch = mem_calloc(BATCH, sizeof *batch);
    struct id *ids = mem_calloc(BATCH, sizeof *ids);
    need(records && batch && ids);
    for (uint32_t first = 0; first < rows; first += BATCH) {
        uint32_t n = rows - first < BATCH ? rows - first : BATCH;
        for (uint32_t i = 0; i < n; i++) {
            ids[i] = id_of(first + i);
            records[i] = (struct record_memory){
                .no = MEMORY_NO + first + i,
                .tenant_no = TENANT,
                .id = bytes_of(&ids[i], sizeof ids[i]),
                .agent_no = AGENT,
                .kind = BYTES_LIT("insight"),
                .content = BYTES_LIT("{\"text\":\"The orders report was slow because the index on "
                                     "(customer_id, created_at) was missing; with it 40 ms.\"}"),
                .metadata = BYTES_LIT("{\"source\":\"bench\"}"),
                .quality = 0.5,
                .sensitivity = LABEL_INTERNAL,
                .created_ms = 1,
                .updated_ms = 1,
                .begun_ms = 1,
                .version = 1};
            batch[i] = (struct mutation){MUT_PUT, RECORD_MEMORY, &records[i], 0};
        }
        commit(s, batch, n);
    }
    mem_free(records);
    mem_free(batch);
    mem_free(ids);
}

static struct store *open_store(const char *dir)
{
    char file[4096];
    struct err err = {0};
    struct store *s = NULL;
    snprintf(file, sizeof file, "%s/qmn.db", dir);
    struct store_config config = {
        .path = file, .sealer = sealer_identity, .sync = STORE_SYNC_NORMAL};
    check(store_sqlite_open(&config, &s, &err), &err);
    return s;
}

static int make(const char *dir, uint32_t rows, uint32_t dim)
{
    char folder[4096];
    struct dataset d = {.dir = dir, .rows = rows, .dim = dim};
    snprintf(folder, sizeof folder, "%s/index", dir);
    rng_seed(&d.rng, 17);
    (void)mkdir(dir, 0700);
    (void)mkdir(folder, 0700);
    struct store *s = open_store(dir);
    make_owner(s, dim);
    make_rows(s, rows);
    store_close(s);
    make_index(&d);
    int64_t began = clock_mono_us();
    double cpu = processor_s();
    uint64_t bytes = write_snapshot(&d, folder);
    printf("{\"rows\":%u,\"dim\":%u,\"snapshot_bytes\":%llu,\"bytes_per_row\":%.0f,"
           "\"written_s\":%.2f,\"written_cpu_s\":%.2f}\n",
           rows, dim, (unsigned long long)bytes, (double)bytes / rows,
           (double)(clock_mono_us() - began) / 1e6, processor_s() - cpu);
    vectors_free(d.index);
    mem_free(d.prints);
    return 0;
}

/* ---- start ---- */

static int start(const char *dir)
{
    char pepper[4096], folder[4096];
    struct err err = {0};
    struct engine *e = NULL;
    struct rusage usage;
    snprintf(pepper, sizeof pepper, "%s/pepper", dir);
    snprintf(folder, sizeof folder, "%s/index", dir);
    struct engine_config config = {.pepper_path = pepper,
                                   .snapshot_dir = folder,
                                   .key_env = "bench",
                                   .store = open_store(dir),
                                   .metrics = metrics_new()};
    double cpu = processor_s();
    int64_t began = clock_mono_us();
    check(engine_new(&config, &e, &err), &err);
    double s = (double)(clock_mono_us() - began) / 1e6;
    const struct tenant *t = network_tenant(&e->net, BYTES_LIT("large"));
    const struct memory_snapshot *from = t->snapshot;
    getrusage(RUSAGE_SELF, &usage);
    printf("{\"ready_s\":%.2f,\"ready_cpu_s\":%.2f,\"memories\":%u,\"from_snapshot\":%u,"
           "\"to_link\":%u,\"resident_mb\":%ld}\n",
           s, processor_s() - cpu, t->memory_count, from ? from->taken : 0,
           from ? from->report.relink : 0, usage.ru_maxrss / 1024);
    (void)fflush(stdout);
    _exit(0); /* the snapshot stays as it was made */
}

/* Takes a file out of the page cache. */
static bool forget(void *ctx, const char *name)
{
    const struct sealed_files *f = ctx;
    int fd = openat(f->fd, name, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
        close(fd);
    }
    return true;
}

static void forget_all(const char *dir)
{
    char folder[4096];
    struct sealed_files f;
    struct err err = {0};
    snprintf(folder, sizeof folder, "%s/index", dir);
    check(sealed_files_open(folder, TENANT, &sealer_identity, false, &f, &err), &err);
    sealed_files_trim(&f, forget, &f);
    sealed_files_close(&f);
}

int main(int argc, char **argv)
{
    if (argc >= 4 && strcmp(argv[1], "make") == 0) {
        uint32_t rows = (uint32_t)strtoul(argv[3], NULL, 10);
        return make(argv[2], rows, argc > 4 ? (uint32_t)strtoul(argv[4], NULL, 10) : 1536);
    }
    if (argc >= 3 && strcmp(argv[1], "start") == 0) {
        if (argc > 3)
            forget_all(argv[2]);
        return start(argv[2]);
    }
    fprintf(stderr, "bench_restart make DIR ROWS [DIM] | start DIR [cold]\n");
    return 2;
}
