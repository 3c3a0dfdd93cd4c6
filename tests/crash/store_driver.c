/* SPDX-License-Identifier: MIT
 *
 * The program the crash tests kill: commits batch after batch to a store, and says "A n" on its
 * standard output once batch n is acknowledged.  Batch n is a function of n alone, so the whole
 * state after m batches is too, and `verify` compares every row with it.
 *
 *     store_driver run PATH full|normal COUNT     go on after the last batch, COUNT more (0: for
 * ever) store_driver verify PATH ACKED              exit 3: lost batches; 4: not a state; 5:
 * unreadable
 *
 * `run` goes on after a failed commit, with "E name" of the failure, so that what follows is seen
 * too; a read is made after each failure, "R ok" if it gave what is acknowledged. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/clock.h"
#include "store/store.h"

enum {
    ROWS_MAX = 12, /* nutrients of one batch */
    KEPT = 30,     /* batches whose nutrients are kept; twice as many traces */
    STRIDE = 64,   /* numbers between batches */
    NODES = 20,    /* edges among so many */
    EDGES = 3,     /* put per batch */
    POLICIES = 5,  /* live at a time */
    BODY_MAX = 6000,
    FAILURES_MAX = 100, /* `run` gives up then: after a second */
    EXIT_LOST = 3,
    EXIT_WRONG = 4,
    EXIT_UNREADABLE = 5,
};

static uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* ---- batch n ---- */

static int64_t row_count(int64_t n)
{
    return 1 + (int64_t)(mix((uint64_t)n) % ROWS_MAX);
}

static size_t fill_body(int64_t no, char *ret)
{
    uint64_t x = mix((uint64_t)no ^ 0xb0d1);
    size_t len = (size_t)(x % BODY_MAX);
    for (size_t i = 0; i < len; i += 8) {
        x = mix(x);
        memcpy(ret + i, &x, 8);
    }
    return len;
}

static void trace_id(int64_t no, uint64_t ret[2])
{
    ret[0] = (uint64_t)no;
    ret[1] = mix((uint64_t)no);
}

static void edge_of(int64_t n, int i, int64_t *ret_src, int64_t *ret_dst)
{
    uint64_t x = mix((uint64_t)n * 8 + (uint64_t)i);
    *ret_src = (int64_t)(x % NODES);
    *ret_dst = (int64_t)(x / NODES % NODES);
}

/* All records of one batch, and the mutations that point at them. */
struct batch {
    struct record_nutrient nutrients[ROWS_MAX], nutrient_bound;
    struct record_trace traces[ROWS_MAX], trace_bound;
    struct record_edge edges[EDGES];
    struct record_policy policy, old_policy;
    struct record_usage usage;
    struct record_meta meta;
    char bodies[ROWS_MAX][BODY_MAX + 8], number[24];
    uint64_t ids[ROWS_MAX + 1][2];
    struct mutation mutations[2 * ROWS_MAX + EDGES + 6];
    size_t count;
};

static void add(struct batch *b, enum mutation_op op, enum record_kind kind, const void *record)
{
    b->mutations[b->count++] =
        (struct mutation){.op = op, .kind = kind, .record = record, .limit = 1000};
}

static void build_rows(struct batch *b, int64_t n)
{
    for (int64_t i = 0; i < row_count(n); i++) {
        int64_t no = n * STRIDE + i;
        trace_id(no, b->ids[i]);
        b->nutrients[i] = (struct record_nutrient){
            .no = no,
            .tenant_no = 1,
            .source_no = n,
            .summary = bytes_of(b->bodies[i], fill_body(no, b->bodies[i]))};
        b->traces[i] = (struct record_trace){
            .no = no, .tenant_no = 1, .agent_no = row_count(n), .id = bytes_of(b->ids[i], 16)};
        add(b, MUT_INSERT, RECORD_NUTRIENT, &b->nutrients[i]);
        add(b, MUT_INSERT, RECORD_TRACE, &b->traces[i]);
    }
}

static void build(struct batch *b, int64_t n, int64_t rows_before)
{
    b->count = 0;
    build_rows(b, n);
    for (int i = 0; i < EDGES; i++) {
        b->edges[i] = (struct record_edge){.weight = (double)n, .outcomes = n};
        edge_of(n, i, &b->edges[i].src_no, &b->edges[i].dst_no);
        add(b, MUT_PUT, RECORD_EDGE, &b->edges[i]);
    }
    trace_id(-n, b->ids[ROWS_MAX]);
    b->policy = (struct record_policy){.no = n, .id = bytes_of(b->ids[ROWS_MAX], 16)};
    b->old_policy = (struct record_policy){.no = n - POLICIES};
    b->usage = (struct record_usage){.tenant_no = 1, .nutrients = rows_before + row_count(n)};
    snprintf(b->number, sizeof b->number, "%" PRId64, n);
    b->meta = (struct record_meta){.name = BYTES_LIT("batch"), .value = bytes_cstr(b->number)};
    b->nutrient_bound = (struct record_nutrient){.no = (n - KEPT) * STRIDE};
    b->trace_bound = (struct record_trace){.no = (n - 2 * KEPT) * STRIDE};
    add(b, MUT_INSERT, RECORD_POLICY, &b->policy);
    add(b, MUT_DELETE, RECORD_POLICY, &b->old_policy);
    add(b, MUT_PUT, RECORD_USAGE, &b->usage);
    add(b, MUT_PUT, RECORD_META, &b->meta);
    add(b, MUT_DELETE_BELOW, RECORD_NUTRIENT, &b->nutrient_bound);
    add(b, MUT_DELETE_BELOW, RECORD_TRACE, &b->trace_bound);
}

/* ---- run ---- */

static void say(const char *what, const char *value)
{
    char line[80];
    int len = snprintf(line, sizeof line, "%s %s\n", what, value);
    if (write(STDOUT_FILENO, line, (size_t)len) != len)
        exit(1);
}

/* The last batch in the store; 0 for an empty one, -1 when it cannot be read. */
static int64_t last_batch(struct store *s)
{
    struct arena arena;
    struct err err;
    struct record_meta got, key = {.name = BYTES_LIT("batch")};
    arena_init(&arena, 0);
    enum qmn_code code = s->ops->get(s, RECORD_META, &key, &arena, &got, &err);
    char *text = code == QMN_OK ? arena_cstr(&arena, got.value) : NULL;
    int64_t n = text ? strtoll(text, NULL, 10) : code == QMN_E_NOT_FOUND ? 0 : -1;
    arena_release(&arena);
    return n;
}

static int64_t rows_of(int64_t batches)
{
    int64_t rows = 0;
    for (int64_t n = 1; n <= batches; n++)
        rows += row_count(n);
    return rows;
}

static int run(struct store *s, int64_t count)
{
    static struct batch b;
    struct err err;
    size_t failed;
    int failures = 0;
    int64_t n = last_batch(s), end = count ? n + count : INT64_MAX, rows = rows_of(n);
    while (n < end && failures < FAILURES_MAX) {
        build(&b, n + 1, rows);
        enum qmn_code code = s->ops->commit(s, b.mutations, b.count, &failed, &err);
        if (code == QMN_OK) {
            rows += row_count(++n);
            say("A", b.number);
        } else {
            failures++;
            say("E", code_info(code)->wire);
            say("R", last_batch(s) == n ? "ok" : "wrong");
            usleep(10000);
        }
        (void)!s->ops->maintain(s, &err);
    }
    return 0;
}

/* ---- verify ---- */

struct check {
    int64_t batches; /* the state is that after so many */
    int64_t next;    /* number expected next */
    int64_t seen;
    int64_t edges[NODES][NODES];
};

/* The number after `no` in the sequence of all rows. */
static int64_t number_after(int64_t no)
{
    int64_t n = no / STRIDE, i = no % STRIDE;
    return i + 1 < row_count(n) ? no + 1 : (n + 1) * STRIDE;
}

static enum qmn_code wrong(struct err *err, const char *what, int64_t no)
{
    return err_set(err, QMN_E_CORRUPT, "%s %" PRId64 " is not as it was written", what, no);
}

static enum qmn_code check_nutrient(void *ctx, const void *record, struct err *err)
{
    const struct record_nutrient *r = record;
    struct check *c = ctx;
    char body[BODY_MAX + 8];
    if (r->no != c->next || r->source_no != r->no / STRIDE ||
        !bytes_equal(r->summary, bytes_of(body, fill_body(r->no, body))))
        return wrong(err, "nutrient", r->no);
    c->next = number_after(r->no);
    return QMN_OK;
}

static enum qmn_code check_trace(void *ctx, const void *record, struct err *err)
{
    const struct record_trace *r = record;
    struct check *c = ctx;
    uint64_t id[2];
    trace_id(r->no, id);
    if (r->no != c->next || r->agent_no != row_count(r->no / STRIDE) ||
        !bytes_equal(r->id, bytes_of(id, 16)))
        return wrong(err, "trace", r->no);
    c->next = number_after(r->no);
    return QMN_OK;
}

static enum qmn_code check_edge(void *ctx, const void *record, struct err *err)
{
    const struct record_edge *r = record;
    struct check *c = ctx;
    if (r->src_no < 0 || r->src_no >= NODES || r->dst_no < 0 || r->dst_no >= NODES ||
        c->edges[r->src_no][r->dst_no] != r->outcomes || r->weight != (double)r->outcomes)
        return wrong(err, "edge from", r->src_no);
    c->seen++;
    return QMN_OK;
}

static enum qmn_code check_policy(void *ctx, const void *record, struct err *err)
{
    const struct record_policy *r = record;
    struct check *c = ctx;
    if (r->no != c->next)
        return wrong(err, "policy", r->no);
    c->next++;
    return QMN_OK;
}

static enum qmn_code check_usage(void *ctx, const void *record, struct err *err)
{
    const struct record_usage *r = record;
    struct check *c = ctx;
    c->seen++;
    return r->nutrients == rows_of(c->batches) ? QMN_OK : wrong(err, "usage", r->nutrients);
}

static enum qmn_code check_numbered(struct store *s, struct check *c, enum record_kind kind,
                                    store_row_fn *row, int64_t first, int64_t end, struct err *err)
{
    c->next = first;
    TRY(s->ops->scan(s, kind, NULL, row, c, err));
    return c->next == end ? QMN_OK : wrong(err, "the end after", c->next);
}

static int64_t at_least_one(int64_t n)
{
    return n > 1 ? n : 1;
}

static enum qmn_code check_state(struct store *s, int64_t m, struct err *err)
{
    static struct check c;
    int64_t edges = 0, end = (m + 1) * STRIDE;
    c = (struct check){.batches = m};
    for (int64_t n = 1; n <= m; n++) {
        for (int i = 0; i < EDGES; i++) {
            int64_t src, dst;
            edge_of(n, i, &src, &dst);
            edges += c.edges[src][dst] == 0;
            c.edges[src][dst] = n;
        }
    }
    TRY(check_numbered(s, &c, RECORD_NUTRIENT, check_nutrient, at_least_one(m - KEPT) * STRIDE, end,
                       err));
    TRY(check_numbered(s, &c, RECORD_TRACE, check_trace, at_least_one(m - 2 * KEPT) * STRIDE, end,
                       err));
    TRY(check_numbered(s, &c, RECORD_POLICY, check_policy, at_least_one(m - POLICIES + 1), m + 1,
                       err));
    TRY(s->ops->scan(s, RECORD_EDGE, NULL, check_edge, &c, err));
    TRY(s->ops->scan(s, RECORD_USAGE, NULL, check_usage, &c, err));
    return c.seen == edges + (m > 0) ? QMN_OK : wrong(err, "the number of edges", c.seen);
}

static int verify(struct store *s, int64_t acked, int64_t open_us)
{
    struct err err = {0};
    int64_t m = last_batch(s);
    printf("batches %" PRId64 " acknowledged %" PRId64 " open_us %" PRId64 "\n", m, acked, open_us);
    if (m >= 0 && m < acked)
        return EXIT_LOST;
    if (m > acked + 1) {
        printf("more than one batch beyond the last acknowledged\n");
        return EXIT_WRONG;
    }
    if (m < 0 || check_state(s, m, &err) != QMN_OK) {
        printf("%s\n", err.text);
        return EXIT_WRONG;
    }
    return 0;
}

/* Every page and row, as the crash left them and before anybody opens the store. */
static int verify_file(const char *path)
{
    struct err err;
    int64_t rows;
    if (access(path, F_OK) != 0)
        return 0; /* the power went before the file had a name */
    enum qmn_code code = store_sqlite_verify(path, &sealer_identity, &rows, &err);
    bool unborn = code == QMN_E_CORRUPT && strstr(err.text, "file is empty");
    if (code == QMN_OK || unborn)
        return 0;
    printf("%s\n", err.text);
    return EXIT_UNREADABLE;
}

int main(int argc, char **argv)
{
    bool verifying = argc == 4 && strcmp(argv[1], "verify") == 0;
    if (!verifying && (argc != 5 || strcmp(argv[1], "run") != 0)) {
        fprintf(stderr, "usage: store_driver run PATH full|normal COUNT | verify PATH ACKED\n");
        return 2;
    }
    if (verifying && verify_file(argv[2]) != 0)
        return EXIT_UNREADABLE;
    bool normal = !verifying && strcmp(argv[3], "normal") == 0;
    const struct store_config config = {.path = argv[2],
                                        .sealer = sealer_identity,
                                        .sync = normal ? STORE_SYNC_NORMAL : STORE_SYNC_FULL};
    struct store *s;
    struct err err;
    int64_t start = clock_mono_us();
    if (store_sqlite_open(&config, &s, &err) != QMN_OK) {
        printf("%s\n", err.text);
        return EXIT_UNREADABLE;
    }
    int64_t open_us = clock_mono_us() - start;
    int status = verifying ? verify(s, strtoll(argv[3], NULL, 10), open_us)
                           : run(s, strtoll(argv[4], NULL, 10));
    store_close(s);
    return status;
}
