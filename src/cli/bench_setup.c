/* SPDX-License-Identifier: MIT
 *
 * Fills the tenant that is measured, through the public API and by the same load generator, so that
 * setting up takes seconds.
 *
 * Recent tasks come from real deliveries: a broadcast whose vector is the mean of 50 agents'
 * vectors reaches just these 50 (random vectors of many dimensions are almost orthogonal, the mean
 * of 50 is at 0.14 to each of them), which then pull and acknowledge it. */
#include "bench_priv.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "codec/base64.h"
#include "codec/json_encode.h"
#include "qmn/v1/identity.pb-c.h"

enum { GROUP = 50, RECENTS = 16, CAPABILITIES = 8, HINTS = 2, BODY_MAX = 1 << 20 };

/* ---- bodies ---- */

void bench_vector(struct bench *b, float *ret)
{
    double norm = 0;
    for (uint32_t i = 0; i < b->dim; i++) {
        double x = rng_normal(&b->rng);
        ret[i] = (float)x;
        norm += x * x;
    }
    for (uint32_t i = 0; i < b->dim; i++)
        ret[i] = (float)(ret[i] / sqrt(norm));
}

void bench_put_vector(struct buf *out, const char *name, const float *v, uint32_t dim, bool base64)
{
    if (base64) {
        buf_printf(out, "\"%s_b64\":\"", name);
        base64_encode(bytes_of(v, dim * sizeof *v), out);
        buf_addc(out, '"');
        return;
    }
    buf_printf(out, "\"%s\":[", name);
    /* The digits of a float64, as Python clients send them. */
    for (uint32_t i = 0; i < dim; i++)
        buf_printf(out, "%s%.17g", i ? ", " : "", (double)v[i] * 1.0000000123456789);
    buf_addc(out, ']');
}

void bench_put_tags(struct buf *out, const char *name, struct rng *rng, uint32_t count)
{
    buf_printf(out, "\"%s\":[", name);
    uint32_t first = rng_below(rng, BENCH_TAGS);
    for (uint32_t i = 0; i < count; i++)
        buf_printf(out, "%s\"skill-%03u\"", i ? "," : "", (first + i * 23) % BENCH_TAGS);
    buf_addc(out, ']');
}

void bench_head(const struct bench *b, struct load_request *r, const char *method, const char *path,
                uint64_t number, bool mutation)
{
    char idempotency[80] = "";
    if (mutation)
        snprintf(idempotency, sizeof idempotency, "Idempotency-Key: %llx-%llx\r\n",
                 (unsigned long long)b->run, (unsigned long long)number);
    int n = snprintf(r->head, sizeof r->head,
                     "%s %s HTTP/1.1\r\nHost: %s:%u\r\nX-API-Key: %s\r\n"
                     "Content-Type: application/json\r\n%sContent-Length: %zu\r\n\r\n",
                     method, path, b->host, b->port, b->keys[number % BENCH_KEYS], idempotency,
                     r->body.len);
    r->head_len = n > 0 && (size_t)n < sizeof r->head ? (size_t)n : 0;
}

/* The connection's own buffer, emptied. */
static struct buf *slot(struct bench *b, const struct load_request *r)
{
    struct buf *s = &b->slots[r->slot];
    buf_clear(s);
    return s;
}

/* ---- runs ---- */

static void tick(void *ctx, double seconds, uint64_t done)
{
    struct bench *b = ctx;
    progress_set(&b->progress, b->progress_from > 0 ? (double)done : seconds);
}

enum qmn_code bench_load(struct bench *b, const char *what, struct load_config *k,
                         struct load_result *r, struct err *err)
{
    k->host = b->host;
    k->port = b->port;
    k->connections = k->connections ? k->connections : b->connections;
    k->tick = tick;
    k->tick_ctx = b;
    b->run++;
    b->progress_from = k->requests ? 1 : 0;
    progress_begin(&b->progress, what, k->requests ? (double)k->requests : k->seconds);
    enum qmn_code code = load_run(k, r, err);
    progress_end(&b->progress);
    return code;
}

/* Numbered requests that all have to succeed. */
struct preparing {
    void *ctx;
    void (*make)(void *ctx, uint64_t n, struct load_request *r);
    uint64_t *numbers; /* those sent in this round; NULL: all */
    uint64_t *refused; /* those to send again */
    size_t refused_count, refused_cap;
    bool nomem;
};

static void prepare_make(void *ctx, uint64_t n, struct load_request *r)
{
    struct preparing *p = ctx;
    p->make(p->ctx, p->numbers ? p->numbers[n] : n, r);
}

static void prepare_answer(void *ctx, uint64_t n, int status, struct bytes body)
{
    struct preparing *p = ctx;
    (void)body;
    if (status != 429 && status != 503)
        return;
    if (p->refused_count == p->refused_cap) {
        size_t cap = p->refused_cap ? 2 * p->refused_cap : 64;
        uint64_t *more = mem_resize(p->refused, cap, sizeof *more);
        p->nomem |= !more;
        if (!more)
            return;
        p->refused = more;
        p->refused_cap = cap;
    }
    p->refused[p->refused_count++] = p->numbers ? p->numbers[n] : n;
}

static enum qmn_code prepare_round(struct bench *b, const char *what, uint64_t requests,
                                   struct preparing *p, struct err *err)
{
    static struct load_result result;
    struct load_config k = {
        .requests = requests, .ctx = p, .make = prepare_make, .answer = prepare_answer};
    TRY(bench_load(b, what, &k, &result, err));
    if (p->nomem)
        return err_nomem(err);
    if (result.failed > p->refused_count)
        return err_set(err, QMN_E_INTERNAL, "%llu of %llu requests failed while %s (status %d)",
                       (unsigned long long)result.failed, (unsigned long long)result.done, what,
                       result.worst_status);
    return QMN_OK;
}

/* A node that is busy says so: it is asked again, as its answer wants it. */
enum qmn_code bench_prepare(struct bench *b, const char *what, uint64_t requests,
                            void (*make)(void *ctx, uint64_t n, struct load_request *r), void *ctx,
                            struct err *err)
{
    enum { ROUNDS_MAX = 30 };
    struct preparing p = {.ctx = ctx, .make = make};
    enum qmn_code code = QMN_OK;
    for (int round = 0; requests && code == QMN_OK; round++) {
        if (round == ROUNDS_MAX) {
            code = err_set(err, QMN_E_UNAVAILABLE,
                           "the node refused %llu requests while %s, for %d seconds",
                           (unsigned long long)requests, what, ROUNDS_MAX);
            break;
        }
        if (round)
            sleep(1);
        code = prepare_round(b, what, requests, &p, err);
        mem_free(p.numbers);
        p.numbers = TAKE(p.refused);
        requests = p.refused_count;
        p.refused_count = p.refused_cap = 0;
    }
    mem_free(p.numbers);
    mem_free(p.refused);
    return code;
}

/* ---- tenant ---- */

static enum qmn_code make_key(struct bench *b, char ret[256], struct err *err)
{
    static const char *const scopes[] = {
        "nutrients:write", "inbox",      "contexts:read", "agents:read",  "agents:write",
        "outcomes:write",  "edges:read", "memory:read",   "memory:write", "traces:read"};
    Qmn__V1__CreateKeyRequest in;
    Qmn__V1__Key *key;
    qmn__v1__create_key_request__init(&in);
    in.tenant_id = b->tenant;
    in.scopes = (char **)(uintptr_t)scopes;
    in.n_scopes = ARRAY_LEN(scopes);
    in.rate_limit_per_minute = 1000000;
    in.has_rate_limit_per_minute = 1;
    const struct client_call call = {"POST", "/v1/keys", &in.base, &qmn__v1__key__descriptor,
                                     NULL,   0};
    struct client_answer answer;
    TRY(client_send(b->c->client, &call, &b->c->arena, &answer, err));
    key = (Qmn__V1__Key *)(void *)answer.message;
    if (!key || !key->api_key)
        return err_set(err, QMN_E_INTERNAL, "the node made a key without showing it");
    snprintf(ret, 256, "%s", key->api_key);
    return QMN_OK;
}

enum qmn_code bench_tenant(struct bench *b, struct err *err)
{
    Qmn__V1__CreateTenantRequest in;
    struct client_answer answer;
    qmn__v1__create_tenant_request__init(&in);
    snprintf(b->tenant, sizeof b->tenant, "bench-%lld-%u", (long long)clock_now_ms(&clock_system),
             b->dim);
    in.id = in.name = b->tenant;
    in.plan_tier = (char *)(uintptr_t) "enterprise";
    in.embedding_dim = b->dim;
    in.has_embedding_dim = 1;
    const struct client_call call = {"POST", "/v1/tenants", &in.base, NULL, NULL, 0};
    TRY(client_send(b->c->client, &call, &b->c->arena, &answer, err));
    for (int i = 0; i < BENCH_KEYS; i++)
        TRY(make_key(b, b->keys[i], err));
    b->made_recents = b->memories = 0;
    return QMN_OK;
}

enum qmn_code bench_tenant_drop(struct bench *b, struct err *err)
{
    struct client_answer answer;
    if (!b->tenant[0] || cli_flag(b->c, "keep"))
        return QMN_OK;
    const struct client_call call = {
        "DELETE", cli_path(b->c, "/v1/tenants/%s?purge=true", b->tenant), NULL, NULL, NULL, 120000};
    b->tenant[0] = '\0';
    return client_send(b->c->client, &call, &b->c->arena, &answer, err);
}

/* ---- agents ---- */

static void make_agent(void *ctx, uint64_t n, struct load_request *r)
{
    struct bench *b = ctx;
    struct buf *s = slot(b, r);
    struct rng rng;
    rng_seed(&rng, n);
    buf_printf(s, "{\"agent_id\":\"agent-%05llu\",", (unsigned long long)n);
    bench_put_tags(s, "capabilities", &rng, CAPABILITIES);
    buf_adds(s, ",\"profile\":{");
    bench_put_vector(s, "embedding", b->vectors + (size_t)n * b->dim, b->dim, true);
    buf_adds(s, "}}");
    r->body = buf_bytes(s);
    bench_head(b, r, "POST", "/v1/agents:register", n, false);
}

enum qmn_code bench_agents(struct bench *b, struct err *err)
{
    mem_free(b->vectors);
    b->vectors = mem_alloc((size_t)b->agents * b->dim * sizeof(float));
    if (!b->vectors)
        return err_nomem(err);
    for (uint32_t i = 0; i < b->agents; i++)
        bench_vector(b, b->vectors + (size_t)i * b->dim);
    return bench_prepare(b, "registering agents", b->agents, make_agent, b, err);
}

/* ---- recent tasks and edges ---- */

static uint32_t groups(const struct bench *b)
{
    return (b->agents + GROUP - 1) / GROUP;
}

static void make_group_broadcast(void *ctx, uint64_t n, struct load_request *r)
{
    struct bench *b = ctx;
    struct buf *s = slot(b, r);
    float mean[BENCH_DIM_MAX] = {0};
    struct rng rng;
    rng_seed(&rng, n);
    uint32_t first = (uint32_t)(n % groups(b)) * GROUP;
    for (uint32_t a = first; a < first + GROUP && a < b->agents; a++)
        for (uint32_t i = 0; i < b->dim; i++)
            mean[i] += b->vectors[(size_t)a * b->dim + i];
    /* Two groups each for a source: 100 edges. */
    uint64_t source = n / 2 % BENCH_SOURCES % b->agents;
    buf_printf(s,
               "{\"summary\":\"setting up\",\"source_agent_id\":\"agent-%05llu\",\"top_k\":50,"
               "\"max_hops\":1,\"diversify\":false,\"ttl_sec\":600,",
               (unsigned long long)source);
    bench_put_tags(s, "tool_hints", &rng, HINTS);
    buf_addc(s, ',');
    bench_put_vector(s, "embedding", mean, b->dim, true);
    buf_addc(s, '}');
    r->body = buf_bytes(s);
    bench_head(b, r, "POST", "/v1/nutrients:broadcast", n, false);
}

/* What a pull brought is acknowledged by the next request. */
struct emptying {
    struct bench *b;
    struct buf *acks; /* per agent: the list of ids */
};

static void make_pull(void *ctx, uint64_t n, struct load_request *r)
{
    struct emptying *e = ctx;
    char path[96];
    snprintf(path, sizeof path, "/v1/agents/agent-%05llu/nutrients?limit=64",
             (unsigned long long)n);
    r->body = BYTES_LIT("");
    bench_head(e->b, r, "GET", path, n, false);
}

static void take_ids(void *ctx, uint64_t n, int status, struct bytes body)
{
    static const char name[] = "\"nutrient_id\":\"";
    struct emptying *e = ctx;
    struct buf *ids = &e->acks[n];
    const char *p = body.ptr, *end = body.ptr + body.len;
    buf_adds(ids, "{\"nutrient_ids\":[");
    while (status == 200 && (p = memmem(p, (size_t)(end - p), name, sizeof name - 1)) != NULL) {
        p += sizeof name - 1;
        const char *quote = memchr(p, '"', (size_t)(end - p));
        if (!quote)
            break;
        buf_printf(ids, "%s\"%.*s\"", ids->ptr[ids->len - 1] == '[' ? "" : ",", (int)(quote - p),
                   p);
    }
    buf_adds(ids, "]}");
}

static void make_ack(void *ctx, uint64_t n, struct load_request *r)
{
    struct emptying *e = ctx;
    char path[96];
    snprintf(path, sizeof path, "/v1/agents/agent-%05llu/nutrients:ack", (unsigned long long)n);
    r->body = buf_bytes(&e->acks[n]);
    bench_head(e->b, r, "POST", path, n, false);
}

static enum qmn_code empty_inboxes(struct bench *b, struct err *err)
{
    static struct load_result result;
    struct emptying e = {b, mem_calloc(b->agents, sizeof *e.acks)};
    if (!e.acks)
        return err_nomem(err);
    for (uint32_t i = 0; i < b->agents; i++)
        buf_init(&e.acks[i], BODY_MAX);
    struct load_config pull = {
        .requests = b->agents, .ctx = &e, .make = make_pull, .answer = take_ids};
    struct load_config ack = {.requests = b->agents, .ctx = &e, .make = make_ack};
    enum qmn_code code = bench_load(b, "pulling", &pull, &result, err);
    if (code == QMN_OK)
        code = bench_load(b, "acknowledging", &ack, &result, err);
    for (uint32_t i = 0; i < b->agents; i++)
        buf_release(&e.acks[i]);
    mem_free(e.acks);
    return code;
}

enum qmn_code bench_recents(struct bench *b, struct err *err)
{
    if (b->made_recents)
        return QMN_OK;
    TRY(bench_prepare(b, "delivering recent tasks", (uint64_t)groups(b) * RECENTS,
                      make_group_broadcast, b, err));
    TRY(empty_inboxes(b, err));
    b->made_recents = 1;
    return QMN_OK;
}

/* ---- memories ---- */

static void make_memory(void *ctx, uint64_t n, struct load_request *r)
{
    struct bench *b = ctx;
    struct buf *s = slot(b, r);
    float v[BENCH_DIM_MAX];
    bench_vector(b, v);
    buf_printf(s,
               "{\"agent_id\":\"agent-%05llu\",\"kind\":\"insight\",\"quality\":0.7,"
               "\"content\":{\"text\":\"memory number %llu of the measurement\"},",
               (unsigned long long)(n % b->agents), (unsigned long long)n);
    bench_put_vector(s, "embedding", v, b->dim, true);
    buf_addc(s, '}');
    r->body = buf_bytes(s);
    bench_head(b, r, "POST", "/v1/hyphal:store", n, false);
}

enum qmn_code bench_memories(struct bench *b, uint32_t count, struct err *err)
{
    if (b->memories >= count)
        return QMN_OK;
    TRY(bench_prepare(b, "storing memories", count - b->memories, make_memory, b, err));
    b->memories = count;
    return QMN_OK;
}
