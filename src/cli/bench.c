/* SPDX-License-Identifier: MIT
 *
 * `qmn bench`: scenarios, each one line of figures.  The tenant is new for every call and goes
 * afterwards.  Processor time and memory are read from /proc when the node's process is named. */
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/suggest.h"
#include "bench_priv.h"

enum {
    IDLE_CONNECTIONS = 5000,
    MEMORIES = 10000,
    COLLECT_CONNECTIONS = 16,
    COLLECT_RATE = 50,
    SILENT_TASKS = 16
};

/* ---- the process ---- */

static bool read_proc(long pid, const char *name, char *text, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%ld/%s", pid, name);
    int fd = pid > 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return false;
    ssize_t n = read(fd, text, size - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    return n > 0;
}

/* Fields 14 and 15 of stat: user and system time in ticks. */
struct bench_cpu bench_cpu_now(long pid)
{
    char text[1024];
    struct bench_cpu now = {0, clock_mono_us()};
    if (!read_proc(pid, "stat", text, sizeof text))
        return now;
    char *p = strrchr(text, ')');
    for (int field = 2; p && field < 14; field++)
        p = strchr(p + 1, ' ');
    if (!p)
        return now;
    char *end;
    double user = strtod(p, &end), system = strtod(end, NULL);
    now.seconds = (user + system) / (double)sysconf(_SC_CLK_TCK);
    return now;
}

double bench_resident_kb(long pid)
{
    char text[4096];
    if (!read_proc(pid, "status", text, sizeof text))
        return 0;
    const char *line = strstr(text, "VmRSS:");
    return line ? strtod(line + 6, NULL) : 0;
}

/* ---- figures ---- */

struct figures {
    const char *scenario;
    const struct load_result *r;
    double cpu_us;              /* per request; 0: unknown */
    double cpu_share;           /* of one processor */
    double offered;             /* a second; 0: as much as it takes */
    uint32_t connections, rows; /* rows: stored by each request */
};

static double ms(const struct load_result *r, double p)
{
    return (double)load_histogram_at(&r->latency, p) / 1000;
}

static void print_figures(const struct bench *b, const struct figures *f)
{
    const struct load_result *r = f->r;
    double rate = r->seconds > 0 ? (double)(r->done - r->failed) / r->seconds : 0;
    if (b->c->json) {
        printf(
            "{\"scenario\":\"%s\",\"seconds\":%.2f,\"requests\":%llu,\"failed\":%llu,"
            "\"refused\":%llu,\"per_second\":%.1f,\"p50_ms\":%.3f,\"p95_ms\":%.3f,\"p99_ms\":%.3f,"
            "\"max_ms\":%.3f,\"cpu_us\":%.1f,\"cpu_share\":%.3f,\"offered\":%.0f,"
            "\"connections\":%u,\"agents\":%u,\"dim\":%u,\"resident_kb\":%.0f,\"rows\":%u}\n",
            f->scenario, r->seconds, (unsigned long long)r->done,
            (unsigned long long)(r->failed - r->refused), (unsigned long long)r->refused, rate,
            ms(r, .5), ms(r, .95), ms(r, .99), (double)r->latency.max / 1000, f->cpu_us,
            f->cpu_share, f->offered, f->connections, b->agents, b->dim, bench_resident_kb(b->pid),
            f->rows);
    } else {
        cli_print(b->c,
                  S_BOLD "%-16s" S_OFF " %9.0f/s   p50 %7.2f ms   p95 %7.2f ms   p99 %7.2f ms",
                  f->scenario, rate, ms(r, .5), ms(r, .95), ms(r, .99));
        if (f->cpu_us > 0)
            cli_print(b->c, "   node %6.1f us/request", f->cpu_us);
        if (f->rows > 1)
            cli_print(b->c, "   %.0f rows/s, %.1f us each", rate * f->rows, f->cpu_us / f->rows);
        if (r->refused)
            cli_print(b->c, "   %llu refused", (unsigned long long)r->refused);
        if (r->failed > r->refused)
            cli_print(b->c, S_RED "   %llu failed (%d)" S_OFF,
                      (unsigned long long)(r->failed - r->refused), r->worst_status);
        cli_print(b->c, "\n");
    }
    (void)fflush(stdout);
}

enum qmn_code bench_measure(struct bench *b, const char *scenario, uint32_t rows,
                            struct load_config *k, struct err *err)
{
    static struct load_result result;
    if (cli_flag(b->c, "rate"))
        k->rate = b->rate;
    struct bench_cpu before = bench_cpu_now(b->pid);
    TRY(bench_load(b, scenario, k, &result, err));
    struct bench_cpu after = bench_cpu_now(b->pid);
    struct figures f = {.scenario = scenario,
                        .r = &result,
                        .offered = k->rate,
                        .connections = k->connections,
                        .rows = rows};
    if (b->pid && result.done) {
        f.cpu_us = (after.seconds - before.seconds) * 1e6 / (double)result.done;
        f.cpu_share = (after.seconds - before.seconds) / result.seconds;
    }
    print_figures(b, &f);
    if (result.done == result.failed)
        return err_set(err, QMN_E_INTERNAL, "%s: every request failed (status %d)", scenario,
                       result.worst_status);
    return QMN_OK;
}

/* ---- scenarios with ready-made bodies ---- */

struct bench_rotating {
    struct bench *b;
    const char *path;
    bool mutation;
    struct buf bodies[BENCH_BODIES];
};

void bench_rotate(void *ctx, uint64_t n, struct load_request *r)
{
    struct bench_rotating *k = ctx;
    r->body = buf_bytes(&k->bodies[n % BENCH_BODIES]);
    bench_head(k->b, r, "POST", k->path, n, k->mutation);
}

enum qmn_code bench_rotating_new(struct bench *b, const char *path, bool mutation,
                                 bench_body_fn *body, struct bench_rotating **ret, struct err *err)
{
    enum { BODY_MAX = 1 << 20 };
    struct bench_rotating *k = mem_calloc(1, sizeof *k);
    if (!k)
        return err_nomem(err);
    k->b = b;
    k->path = path;
    k->mutation = mutation;
    bool ok = true;
    for (uint32_t i = 0; i < BENCH_BODIES; i++) {
        buf_init(&k->bodies[i], BODY_MAX);
        body(b, &k->bodies[i], i);
        ok = ok && buf_ok(&k->bodies[i]);
    }
    if (!ok) {
        bench_rotating_free(k);
        return err_nomem(err);
    }
    *ret = k;
    return QMN_OK;
}

void bench_rotating_free(struct bench_rotating *k)
{
    for (uint32_t i = 0; i < BENCH_BODIES; i++)
        buf_release(&k->bodies[i]);
    mem_free(k);
}

/* `scenario` NULL: part of setting up, no figures. */
static enum qmn_code run_rotating(struct bench *b, const char *scenario, const char *path,
                                  bool mutation, bench_body_fn *body, struct load_config *k,
                                  struct err *err)
{
    struct bench_rotating *ctx;
    TRY(bench_rotating_new(b, path, mutation, body, &ctx, err));
    k->ctx = ctx;
    k->make = bench_rotate;
    enum qmn_code code = scenario ? bench_measure(b, scenario, 1, k, err)
                                  : bench_prepare(b, "preparing", BENCH_BODIES, k->make, ctx, err);
    bench_rotating_free(ctx);
    return code;
}

/* ---- broadcast ---- */

static void broadcast_body(struct bench *b, struct buf *s, uint32_t i, bool base64)
{
    float v[BENCH_DIM_MAX];
    bench_vector(b, v);
    buf_printf(s,
               "{\"summary\":\"a nutrient of the measurement\",\"source_agent_id\":\"agent-%05u\","
               "\"top_k\":3,\"max_hops\":1,\"ttl_sec\":30,",
               i % BENCH_SOURCES % b->agents);
    bench_put_tags(s, "tool_hints", &b->rng, 2);
    buf_addc(s, ',');
    bench_put_vector(s, "embedding", v, b->dim, base64);
    buf_addc(s, '}');
}

void bench_broadcast_body(struct bench *b, struct buf *s, uint32_t i)
{
    broadcast_body(b, s, i, false);
}

static void broadcast_b64(struct bench *b, struct buf *s, uint32_t i)
{
    broadcast_body(b, s, i, true);
}

static enum qmn_code run_broadcast(struct bench *b, struct err *err)
{
    struct load_config k = {.seconds = b->seconds};
    TRY(bench_recents(b, err));
    return run_rotating(b, "broadcast", "/v1/nutrients:broadcast", true, bench_broadcast_body, &k,
                        err);
}

static enum qmn_code run_broadcast_b64(struct bench *b, struct err *err)
{
    struct load_config k = {.seconds = b->seconds};
    TRY(bench_recents(b, err));
    return run_rotating(b, "broadcast-b64", "/v1/nutrients:broadcast", true, broadcast_b64, &k,
                        err);
}

/* What the bytes alone cost: the same bodies to a server that answers without looking
 * (bench/bench_net). */
static enum qmn_code run_http(struct bench *b, struct err *err)
{
    struct load_config k = {.seconds = b->seconds};
    return run_rotating(b, "http", "/", true, bench_broadcast_body, &k, err);
}

/* ---- collect ---- */

static void collect_body(struct bench *b, struct buf *s, uint32_t i)
{
    float v[BENCH_DIM_MAX];
    bench_vector(b, v);
    /* The last agents: they broadcast nothing, so nobody owes them an answer. */
    buf_printf(s, "{\"agent_id\":\"agent-%05u\",\"window_ms\":300,\"top_k\":5,",
               b->agents - 1 - i % 8 % b->agents);
    bench_put_vector(s, "demand_embedding", v, b->dim, false);
    buf_addc(s, '}');
}

/* 0: as many as everybody has, since the command line says how many. */
static uint32_t collect_connections(const struct bench *b)
{
    return cli_flag(b->c, "connections") ? 0 : COLLECT_CONNECTIONS;
}

static enum qmn_code run_collect(struct bench *b, struct err *err)
{
    /* Latency at a modest load; what the node could do at most follows from its cost. */
    struct load_config k = {
        .seconds = b->seconds, .connections = collect_connections(b), .rate = COLLECT_RATE};
    TRY(bench_memories(b, MEMORIES, err));
    return run_rotating(b, "collect", "/v1/contexts:collect", false, collect_body, &k, err);
}

static void silent_broadcast_body(struct bench *b, struct buf *s, uint32_t i)
{
    float v[BENCH_DIM_MAX];
    bench_vector(b, v);
    buf_printf(s,
               "{\"summary\":\"nobody answers this\",\"source_agent_id\":\"agent-%05u\","
               "\"top_k\":3,\"max_hops\":1,\"ttl_sec\":3600,\"trace_task_id\":\"silent-%u\",",
               i % SILENT_TASKS, i % SILENT_TASKS);
    bench_put_vector(s, "embedding", v, b->dim, true);
    buf_addc(s, '}');
}

static void waiting_body(struct bench *b, struct buf *s, uint32_t i)
{
    float v[BENCH_DIM_MAX];
    bench_vector(b, v);
    buf_printf(s, "{\"agent_id\":\"agent-%05u\",\"window_ms\":300,\"trace_task_id\":\"silent-%u\",",
               i % SILENT_TASKS, i % SILENT_TASKS);
    bench_put_vector(s, "demand_embedding", v, b->dim, true);
    buf_addc(s, '}');
}

static void make_lease(void *ctx, uint64_t n, struct load_request *r)
{
    char path[96];
    snprintf(path, sizeof path, "/v1/agents/agent-%05llu/nutrients?lease_ms=3600000",
             (unsigned long long)n);
    r->body = BYTES_LIT("");
    bench_head(ctx, r, "GET", path, n, false);
}

static enum qmn_code run_collect_window(struct bench *b, struct err *err)
{
    struct load_config send = {0};
    struct load_config k = {.seconds = b->seconds, .connections = collect_connections(b)};
    TRY(bench_memories(b, MEMORIES, err));
    TRY(run_rotating(b, NULL, "/v1/nutrients:broadcast", false, silent_broadcast_body, &send, err));
    TRY(bench_prepare(b, "leasing", b->agents, make_lease, b, err));
    return run_rotating(b, "collect-window", "/v1/contexts:collect", false, waiting_body, &k, err);
}

/* ---- outcomes ---- */

enum { TRACE_CHARS = 64 };

struct outcomes {
    struct bench *b;
    char (*traces)[TRACE_CHARS];
    struct buf bodies[BENCH_BODIES];
};

static void make_small_broadcast(void *ctx, uint64_t n, struct load_request *r)
{
    struct outcomes *o = ctx;
    r->body = buf_bytes(&o->bodies[n % BENCH_BODIES]);
    bench_head(o->b, r, "POST", "/v1/nutrients:broadcast", n, false);
}

static void take_trace(void *ctx, uint64_t n, int status, struct bytes body)
{
    static const char name[] = "\"trace_id\":\"";
    struct outcomes *o = ctx;
    const char *p = status == 200 ? memmem(body.ptr, body.len, name, sizeof name - 1) : NULL;
    o->traces[n][0] = '\0';
    if (!p)
        return;
    p += sizeof name - 1;
    const char *quote = memchr(p, '"', (size_t)(body.ptr + body.len - p));
    if (quote && quote - p < TRACE_CHARS)
        snprintf(o->traces[n], TRACE_CHARS, "%.*s", (int)(quote - p), p);
}

static void make_outcome(void *ctx, uint64_t n, struct load_request *r)
{
    struct outcomes *o = ctx;
    struct buf *s = &o->b->slots[r->slot];
    buf_clear(s);
    buf_printf(s, "{\"trace_id\":\"%s\",\"outcome_score\":0.%u,\"agent_id\":\"agent-%05llu\"}",
               o->traces[n], (unsigned)(n % 10),
               (unsigned long long)(n % BENCH_BODIES % BENCH_SOURCES % o->b->agents));
    r->body = buf_bytes(s);
    bench_head(o->b, r, "POST", "/v1/outcomes:record", n, false);
}

/* One outcome per trace and rater, so every outcome needs a trace of its own, made before.  The
 * vectors do not matter here; the bodies carry no hints. */
static enum qmn_code run_outcomes(struct bench *b, struct err *err)
{
    double rate = b->rate > 0 ? b->rate : 20000;
    uint64_t count = (uint64_t)(rate * b->seconds);
    struct outcomes *o = mem_calloc(1, sizeof *o);
    if (!o)
        return err_nomem(err);
    o->b = b;
    o->traces = mem_calloc(count, TRACE_CHARS);
    for (uint32_t i = 0; i < BENCH_BODIES; i++) {
        buf_init(&o->bodies[i], 1 << 20);
        broadcast_body(b, &o->bodies[i], i, true);
    }
    static struct load_result result;
    struct load_config prepare = {
        .requests = count, .ctx = o, .make = make_small_broadcast, .answer = take_trace};
    struct load_config k = {.requests = count, .ctx = o, .make = make_outcome};
    enum qmn_code code =
        o->traces ? bench_load(b, "making traces", &prepare, &result, err) : err_nomem(err);
    if (code == QMN_OK)
        code = bench_measure(b, "outcomes", 1, &k, err);
    for (uint32_t i = 0; i < BENCH_BODIES; i++)
        buf_release(&o->bodies[i]);
    mem_free(o->traces);
    mem_free(o);
    return code;
}

/* ---- idle ---- */

static enum qmn_code run_idle(struct bench *b, struct err *err)
{
    if (!b->pid)
        return cli_usage(b->c, err, "idle needs the process of the node: --pid PID");
    int *fds = mem_calloc(IDLE_CONNECTIONS, sizeof *fds);
    if (!fds)
        return err_nomem(err);
    double before = bench_resident_kb(b->pid);
    uint32_t n = load_idle_connections(b->host, b->port, IDLE_CONNECTIONS, fds);
    usleep(500000);
    double after = bench_resident_kb(b->pid);
    for (uint32_t i = 0; i < n; i++)
        close(fds[i]);
    mem_free(fds);
    double each = n ? (after - before) / n : 0;
    if (b->c->json)
        printf("{\"scenario\":\"idle\",\"resident_kb\":%.0f,\"connections\":%u,"
               "\"kb_per_connection\":%.2f}\n",
               before, n, each);
    else
        cli_print(b->c,
                  S_BOLD "%-16s" S_OFF " %.1f MB resident, %.2f KB for each of %u idle "
                         "connections\n",
                  "idle", before / 1000, each, n);
    return QMN_OK;
}

/* ---- the command ---- */

enum wants {
    WANTS_NODE = 1,
    WANTS_NETWORK, /* a tenant with agents; run when nothing is named */
    WANTS_NAME,    /* the same, only when it is named */
};

static const struct scenario {
    const char *name;
    enum wants wants;
    enum qmn_code (*run)(struct bench *b, struct err *err);
} scenarios[] = {
    {"idle", WANTS_NODE, run_idle},
    {"http", WANTS_NODE, run_http},
    {"broadcast", WANTS_NETWORK, run_broadcast},
    {"broadcast-b64", WANTS_NETWORK, run_broadcast_b64},
    {"collect", WANTS_NETWORK, run_collect},
    {"collect-window", WANTS_NETWORK, run_collect_window},
    {"outcomes", WANTS_NETWORK, run_outcomes},
    {"overload", WANTS_NAME, bench_overload},
    {"store", WANTS_NAME, bench_store},
    {"store-batch", WANTS_NAME, bench_store_batch},
    {"search", WANTS_NAME, bench_search},
};

static const struct scenario *scenario_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(scenarios); i++)
        if (strcmp(scenarios[i].name, name) == 0)
            return &scenarios[i];
    return NULL;
}

static enum qmn_code check_scenarios(struct cli *c, struct err *err)
{
    const char *names[ARRAY_LEN(scenarios)];
    for (size_t i = 0; i < ARRAY_LEN(scenarios); i++)
        names[i] = scenarios[i].name;
    for (size_t i = 0; i < c->arg_count; i++)
        if (!scenario_find(c->args[i])) {
            const char *near = suggest_word(c->args[i], names, ARRAY_LEN(names));
            return cli_usage(c, err,
                             "there is no scenario \"%s\"%s%s%s; there are broadcast, "
                             "broadcast-b64, collect, collect-window, outcomes, overload, store, "
                             "store-batch, search, idle",
                             c->args[i], near ? "; did you mean " : "", near ? near : "",
                             near ? "?" : "");
        }
    return QMN_OK;
}

/* host:port of the client as a numeric address. */
static enum qmn_code find_address(struct bench *b, struct err *err)
{
    const char *address = client_address(b->c->client);
    const char *colon = strrchr(address, ':');
    size_t len = colon ? (size_t)(colon - address) : strlen(address);
    bool brackets = address[0] == '[';
    snprintf(b->host, sizeof b->host, "%.*s", (int)(brackets && len > 2 ? len - 2 : len),
             address + brackets);
    if (strcmp(b->host, "localhost") == 0)
        snprintf(b->host, sizeof b->host, "127.0.0.1");
    long port = colon ? strtol(colon + 1, NULL, 10) : 80;
    b->port = (uint16_t)port;
    return port > 0 && port < 65536
               ? QMN_OK
               : cli_usage(b->c, err, "bench needs HOST:PORT in the URL, got %s", address);
}

static enum qmn_code read_options(struct bench *b, struct err *err)
{
    double connections, agents, dim, pid;
    struct cli *c = b->c;
    TRY(cli_number(c, "seconds", 0.1, 86400, 10, &b->seconds, err));
    TRY(cli_number(c, "rate", 0, 1e6, 0, &b->rate, err));
    TRY(cli_number(c, "connections", 1, 10000, 64, &connections, err));
    TRY(cli_number(c, "agents", 1, 100000, 1000, &agents, err));
    TRY(cli_number(c, "dim", 2, BENCH_DIM_MAX, 1536, &dim, err));
    TRY(cli_number(c, "pid", 1, 1e9, 0, &pid, err));
    b->connections = (uint32_t)connections;
    b->agents = (uint32_t)agents;
    b->dim = (uint32_t)dim;
    b->pid = (long)pid;
    return QMN_OK;
}

static enum qmn_code run_all(struct bench *b, struct err *err)
{
    struct cli *c = b->c;
    bool ready = false;
    for (size_t i = 0; i < ARRAY_LEN(scenarios); i++) {
        const struct scenario *s = &scenarios[i];
        bool wanted = c->arg_count == 0 && s->wants == WANTS_NETWORK;
        for (size_t k = 0; k < c->arg_count; k++)
            wanted |= strcmp(c->args[k], s->name) == 0;
        if (!wanted)
            continue;
        if (s->wants != WANTS_NODE && !ready) {
            TRY(bench_tenant(b, err));
            TRY(bench_agents(b, err));
            ready = true;
        }
        TRY(s->run(b, err));
    }
    return QMN_OK;
}

enum qmn_code cmd_bench(struct cli *c, struct err *err)
{
    enum { SLOT_MAX = 1 << 20 };
    static struct bench b;
    b = (struct bench){.c = c, .run = (uint64_t)clock_now_ms(&clock_system) << 16};
    rng_seed(&b.rng, 42);
    TRY(check_scenarios(c, err));
    TRY(read_options(&b, err));
    TRY(cli_connect(c, err));
    TRY(find_address(&b, err));
    uint32_t slots = b.connections > COLLECT_CONNECTIONS ? b.connections : COLLECT_CONNECTIONS;
    b.slots = mem_calloc(slots, sizeof *b.slots);
    if (!b.slots)
        return err_nomem(err);
    for (uint32_t i = 0; i < slots; i++)
        buf_init(&b.slots[i], SLOT_MAX);
    enum qmn_code code = run_all(&b, err);
    struct err ignored = {0};
    enum qmn_code dropped = bench_tenant_drop(&b, &ignored);
    if (code == QMN_OK && dropped != QMN_OK)
        cli_note(c, "the tenant of the measurement could not be removed: %s\n", ignored.text);
    for (uint32_t i = 0; i < slots; i++)
        buf_release(&b.slots[i]);
    mem_free(b.slots);
    mem_free(b.vectors);
    return code;
}
