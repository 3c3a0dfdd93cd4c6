/* SPDX-License-Identifier: MIT
 *
 * Setting the scene, and making requests in it. */
#include "support/test.h"

#include "world.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/attr.h"

#define NEAR_HELPER "[1,0,0.2,0,0,0,0,0.1]"
#define NEAR_RELAY  "[0.6,0.8,0.2,0,0,0,0,0.1]"

/* ---- templates ---- */

static const char *meaning(const struct world *w, char letter, char number[static 12])
{
    switch (letter) {
    case 'T':
        return w->tenant;
    case 'N':
        snprintf(number, 12, "%08u", w->serial);
        return number;
    case 'V':
        return NEAR_HELPER;
    case 'U':
        return NEAR_RELAY;
    case 'I':
        return w->nutrient;
    case 'R':
        return w->trace;
    case 'P':
        return w->first_trace;
    case 'M':
        return w->memory;
    case 'K':
        return w->key_id;
    case 'S':
        return w->secret;
    case 'J':
        return w->task;
    case '$':
        return "$";
    default:
        fail_msg("a template says $%c", letter);
        return "";
    }
}

void world_expand(const struct world *w, const char *template, char *ret, size_t size)
{
    size_t len = 0;
    for (const char *p = template; *p; p++) {
        char number[12], one[2] = {*p, 0};
        const char *text = one;
        char name[24];
        if (*p == '$' && (p[1] == 'A' || p[1] == 'D')) {
            snprintf(name, sizeof name, "%s-%08u", p[1] == 'A' ? "agent" : "gone", w->serial);
            text = name;
            p++;
        } else if (*p == '$') {
            text = meaning(w, *++p, number);
        }
        size_t more = strlen(text);
        assert_true(len + more < size);
        memcpy(ret + len, text, more);
        len += more;
    }
    ret[len] = 0;
}

static bool asks(const char *const *templates, size_t count, char letter)
{
    const char mark[3] = {'$', letter, 0};
    for (size_t i = 0; i < count; i++)
        if (templates[i] && strstr(templates[i], mark))
            return true;
    return false;
}

/* ---- requests ---- */

void world_request(const struct world *w, const char *key, const char *method, const char *path,
                   const char *body, const char *idempotency, char ret[REQUEST_BYTES])
{
    char where[1024], what[8192] = "", repeat[300] = "", tenant[128] = "";
    world_expand(w, path, where, sizeof where);
    if (body)
        world_expand(w, body, what, sizeof what);
    if (idempotency)
        snprintf(repeat, sizeof repeat, "Idempotency-Key: %s\r\n", idempotency);
    if (*key && !strcmp(key, w->admin))
        snprintf(tenant, sizeof tenant, "X-Tenant-ID: %s\r\n", w->tenant);
    int n = snprintf(ret, REQUEST_BYTES,
                     "%s %s HTTP/1.1\r\nHost: node\r\nX-API-Key: %s\r\n%s%s"
                     "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                     method, where, key, tenant, repeat, strlen(what), what);
    assert_in_range(n, 1, REQUEST_BYTES - 1);
}

void world_call(struct world *w, const char *key, const char *method, const char *path,
                const char *body, int expect)
{
    char request[REQUEST_BYTES];
    world_request(w, key, method, path, body, NULL, request);
    if (!wire_send(w->wire, request))
        fail_msg("the connection without faults was closed before %s %s", method, path);
    wire_answer(w->wire, w->answer);
    if (w->answer->broken || !w->answer->status)
        fail_msg("%s %s: no whole answer: %s", method, path, w->answer->why);
    if (expect && w->answer->status != expect)
        fail_msg("%s %s: %d instead of %d: %s", method, path, w->answer->status, expect,
                 w->answer->body);
}

void wire_text_of(const struct answer *a, const char *field, char *ret, size_t size)
{
    char mark[64];
    snprintf(mark, sizeof mark, "\"%s\":\"", field);
    const char *p = strstr(a->body, mark);
    size_t len = 0;
    if (p) {
        p += strlen(mark);
        len = strcspn(p, "\"");
        if (len >= size)
            len = size - 1;
        memcpy(ret, p, len);
    }
    ret[len] = 0;
}

static void must_have(const struct world *w, const char *field, char *ret, size_t size)
{
    wire_text_of(w->answer, field, ret, size);
    if (!*ret)
        fail_msg("no \"%s\" in %s", field, w->answer->body);
}

/* ---- the scene ---- */

/* helper -> relay is learned, so that what reaches helper travels on. */
static void teach_edge(struct world *w)
{
    world_call(w, w->key, "POST", "/v1/nutrients:broadcast",
               "{\"summary\":\"s\",\"embedding\":$U,\"source_agent_id\":\"helper\",\"top_k\":1,"
               "\"ttl_sec\":3600}",
               200);
    must_have(w, "trace_id", w->trace, sizeof w->trace);
    world_call(w, w->key, "POST", "/v1/outcomes:record",
               "{\"trace_id\":\"$R\",\"outcome\":{\"score\":1},\"agent_id\":\"helper\"}", 200);
}

/* A nutrient that found its agent: tasks of the agents, responses and memories to be found. */
static void live_a_little(struct world *w)
{
    static const char *const nutrient[] = {"$I"};
    for (int i = 0; i < 6; i++) {
        world_prepare(w, nutrient, 1);
        world_call(w, w->key, "POST", "/v1/nutrients/$I:respond",
                   "{\"agent_id\":\"helper\",\"content\":{\"n\":$V},\"embedding\":$V}", 201);
        world_call(w, w->key, "POST", "/v1/hyphal:store",
                   "{\"agent_id\":\"helper\",\"kind\":\"insight\",\"content\":{\"n\":1},"
                   "\"embedding\":$V}",
                   201);
    }
    world_call(w, w->key, "POST", "/v1/policies",
               "{\"name\":\"p\",\"policy_type\":\"dlp\",\"rules\":{\"max_sensitivity\":"
               "\"internal\"}}",
               201);
    world_call(w, w->key, "POST", "/v1/tasks", "{\"title\":\"work\"}", 201);
}

static void agents(struct world *w)
{
    static const char *const bodies[] = {
        "{\"agent_id\":\"asker\"}", "{\"agent_id\":\"idler\"}",
        ("{\"agent_id\":\"helper\",\"capabilities\":[\"sql.explain\"],\"tools\":[\"psql\"],"
         "\"metadata\":{\"a\":1},\"profile\":{\"embedding\":$V,\"skills\":[\"x\"]}}"),
        "{\"agent_id\":\"relay\",\"profile\":{\"embedding\":$U}}"};
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++)
        world_call(w, w->key, "POST", "/v1/agents:register", bodies[i], 200);
}

void world_begin(struct world *w, struct fault_node *n, struct wire *wire, struct answer *answer)
{
    static unsigned worlds;
    *w = (struct world){.node = n, .wire = wire, .answer = answer};
    snprintf(w->tenant, sizeof w->tenant, "system");
    world_call(w, n->admin_key, "POST", "/v1/keys",
               "{\"tenant_id\":\"system\",\"scopes\":[\"admin\"],\"rate_limit_per_minute\":"
               "1000000}",
               201);
    must_have(w, "api_key", w->admin, sizeof w->admin);
    snprintf(w->tenant, sizeof w->tenant, "acme-%06u", worlds++);
    world_call(w, n->admin_key, "POST", "/v1/tenants",
               "{\"id\":\"$T\",\"name\":\"n\",\"plan_tier\":\"enterprise\",\"embedding_dim\":8}",
               201);
    world_call(w, n->admin_key, "POST", "/v1/keys",
               "{\"tenant_id\":\"$T\",\"scopes\":[\"tenant:admin\"],\"rate_limit_per_minute\":"
               "1000000}",
               201);
    must_have(w, "api_key", w->key, sizeof w->key);
    agents(w);
    teach_edge(w);
    live_a_little(w);
}

/* ---- what a request uses up ---- */

static void prepare_nutrient(struct world *w)
{
    world_call(w, w->key, "POST", "/v1/nutrients:broadcast",
               "{\"summary\":\"a need\",\"embedding\":$V,\"source_agent_id\":\"asker\",\"top_k\":1,"
               "\"max_hops\":1,\"ttl_sec\":3600}",
               200);
    must_have(w, "nutrient_id", w->nutrient, sizeof w->nutrient);
    must_have(w, "trace_id", w->trace, sizeof w->trace);
}

static void rate(struct world *w)
{
    world_call(w, w->key, "POST", "/v1/outcomes:record",
               "{\"trace_id\":\"$R\",\"outcome\":{\"score\":0.75},\"agent_id\":\"asker\"}", 200);
}

void world_prepare(struct world *w, const char *const *templates, size_t count)
{
    bool rated = asks(templates, count, 'O');
    static unsigned serial;
    w->serial = ++serial;
    if (rated || asks(templates, count, 'I') || asks(templates, count, 'R'))
        prepare_nutrient(w);
    if (rated)
        rate(w);
    if (asks(templates, count, 'M')) {
        world_call(w, w->key, "POST", "/v1/hyphal:store",
                   "{\"agent_id\":\"helper\",\"kind\":\"insight\",\"content\":{\"n\":1},"
                   "\"embedding\":$V}",
                   201);
        must_have(w, "id", w->memory, sizeof w->memory);
    }
    if (asks(templates, count, 'K') || asks(templates, count, 'S')) {
        world_call(w, w->key, "POST", "/v1/keys", "{\"scopes\":[\"inbox\"]}", 201);
        must_have(w, "id", w->key_id, sizeof w->key_id);
        must_have(w, "api_key", w->secret, sizeof w->secret);
    }
    if (asks(templates, count, 'J')) {
        world_call(w, w->key, "POST", "/v1/tasks", "{\"title\":\"work\"}", 201);
        must_have(w, "id", w->task, sizeof w->task);
    }
    if (asks(templates, count, 'A') || asks(templates, count, 'P'))
        world_call(w, w->key, "POST", "/v1/agents:register", "{\"agent_id\":\"$A\"}", 200);
    if (asks(templates, count, 'P')) {
        world_call(
            w, w->key, "POST", "/v1/nutrients:broadcast",
            "{\"summary\":\"a need\",\"embedding\":$V,\"source_agent_id\":\"$A\",\"top_k\":1,"
            "\"max_hops\":1,\"ttl_sec\":3600}",
            200);
        must_have(w, "trace_id", w->first_trace, sizeof w->first_trace);
    }
    if (asks(templates, count, 'D'))
        world_call(w, w->admin, "POST", "/v1/tenants", "{\"id\":\"$D\",\"name\":\"n\"}", 201);
}
