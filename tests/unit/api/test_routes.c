/* SPDX-License-Identifier: MIT
 *
 * The table against the contract: every REST call is there, every engine call has its place, and
 * no row promises what its messages cannot hold. */
#include <stdio.h>
#include <stdlib.h>

#include "api/route_priv.h"
#include "fixture.h"

/* The contract's calls: method, path, service, and who may.  Written out by hand, not derived from
 * the table, which it checks. */
static const char *const contract[][4] = {
    {"POST", "/v1/nutrients:broadcast", "router", "nutrients:write"},
    {"POST", "/v1/contexts:collect", "router", "contexts:read"},
    {"POST", "/v1/agents:register", "router", "agents:write"},
    {"GET", "/v1/agents", "router", "agents:read"},
    {"GET", "/v1/agents/a", "router", "agents:read"},
    {"DELETE", "/v1/agents/a", "router", "agents:write"},
    {"POST", "/v1/outcomes:record", "reinforcement", "outcomes:write"},
    {"GET", "/v1/edges/stats", "reinforcement", "edges:read"},
    {"GET", "/v1/edges/top", "reinforcement", "edges:read"},
    {"GET", "/v1/edges/a", "reinforcement", "edges:read"},
    {"POST", "/v1/edges:prune", "reinforcement", "tenant:admin"},
    {"POST", "/v1/edges:decay", "reinforcement", "tenant:admin"},
    {"POST", "/v1/hyphal:store", "memory", "memory:write"},
    {"POST", "/v1/hyphal:batchStore", "memory", "memory:write"},
    {"POST", "/v1/hyphal:search", "memory", "memory:read"},
    {"POST", "/v1/hyphal:cleanup", "memory", "memory:write"},
    {"GET", "/v1/hyphal/m", "memory", "memory:read"},
    {"GET", "/v1/hyphal", "memory", "memory:read"},
    {"GET", "/v1/hyphal:export", "memory", "memory:read"},
    {"GET", "/v1/hyphal:duplicates", "memory", "memory:read"},
    {"POST", "/v1/hyphal:import", "memory", "memory:write"},
    {"PATCH", "/v1/hyphal/m", "memory", "memory:write"},
    {"GET", "/v1/hyphal/m/history", "memory", "memory:read"},
    {"DELETE", "/v1/hyphal/m", "memory", "memory:write"},
    {"GET", "/v1/hyphal/agent/a", "memory", "memory:read"},
    {"POST", "/v1/tenants", "identity", "admin"},
    {"GET", "/v1/tenants", "identity", "admin"},
    {"GET", "/v1/tenants/t", "identity", "tenants:read"},
    {"PUT", "/v1/tenants/t", "identity", "tenant:admin"},
    {"PATCH", "/v1/tenants/t", "identity", "tenant:admin"},
    {"DELETE", "/v1/tenants/t", "identity", "admin"},
    {"GET", "/v1/tenants/t/usage", "identity", "tenants:read"},
    {"POST", "/v1/keys", "keys", "tenant:admin"},
    {"GET", "/v1/keys", "keys", "tenant:admin"},
    {"GET", "/v1/keys/t", "keys", "tenant:admin"},
    {"POST", "/v1/keys:validate", "keys", "any key"},
    {"POST", "/v1/keys:rotate", "keys", "any key"},
    {"POST", "/v1/keys/k:revoke", "keys", "tenant:admin"},
    {"DELETE", "/v1/keys/k", "keys", "tenant:admin"},
    {"POST", "/v1/policies", "policies", "tenant:admin"},
    {"GET", "/v1/policies", "policies", "policies:read"},
    {"GET", "/v1/policies/t", "policies", "policies:read"},
    {"POST", "/v1/policies:evaluate", "policies", "policies:read"},
    {"GET", "/v1/agents/a/nutrients", "router", "inbox"},
    {"GET", "/v1/agents/a/nutrients:stream", "router", "inbox"},
    {"POST", "/v1/agents/a/nutrients:ack", "router", "inbox"},
    {"POST", "/v1/agents/a/nutrients:nack", "router", "inbox"},
    {"POST", "/v1/nutrients/n:respond", "router", "inbox"},
    {"GET", "/v1/traces/t", "router", "traces:read"},
    {"POST", "/v1/tasks", "router", "tasks:write"},
    {"GET", "/v1/tasks", "router", "tasks:read"},
    {"GET", "/v1/tasks/t", "router", "tasks:read"},
    {"PATCH", "/v1/tasks/t", "router", "tasks:write"},
    {"GET", "/v1/audit", "identity", "tenant:admin"},
    {"GET", "/health", "router", "open"},
    {"GET", "/health", "identity", "open"},
    {"GET", "/health", "keys", "open"},
    {"GET", "/health", "policies", "open"},
    {"GET", "/health", "memory", "open"},
    {"GET", "/health", "reinforcement", "open"},
    {"GET", "/health", "regions", "open"},
    {"POST", "/v1/node:backup", NULL, "admin"},
    {"GET", "/metrics", NULL, "admin, or open"},
    {"GET", "/openapi.json", NULL, "open"},
    {"GET", "/livez", NULL, "open"},
    {"GET", "/readyz", NULL, "open"},
};

static struct router *router;

static int router_up(void **state)
{
    struct err e;
    if (api_up(state) != 0 || router_new(routes, route_count, &router, &e) != QMN_OK)
        return -1;
    return 0;
}

static int router_down(void **state)
{
    router_free(router);
    return api_down(state);
}

static enum http_method method_named(const char *name)
{
    for (enum http_method m = HTTP_GET; m < HTTP_OTHER; m++)
        if (!strcmp(http_method_name(m), name))
            return m;
    return HTTP_OTHER;
}

static const struct route *at(const char *method, const char *path)
{
    struct route_match m;
    struct err e;
    if (router_match(router, method_named(method), bytes_cstr(path), NULL, &m, &e) != QMN_OK)
        fail_msg("%s %s: %s", method, path, e.text);
    return m.route;
}

static void every_call_of_the_contract_answers_with_and_without_its_prefix(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(contract); i++) {
        char path[128];
        const struct route *plain = at(contract[i][0], contract[i][1]);
        if (!contract[i][2])
            continue;
        snprintf(path, sizeof path, "/%s%s", contract[i][2], contract[i][1]);
        assert_ptr_equal(at(contract[i][0], path), plain);
    }
}

static void every_row_is_a_call_of_the_contract(void **state)
{
    (void)state;
    for (size_t r = 0; r < route_count; r++) {
        bool found = false;
        for (size_t i = 0; i < ARRAY_LEN(contract); i++)
            found |= at(contract[i][0], contract[i][1]) == &routes[r];
        if (!found)
            fail_msg("%s is not written down in the contract", routes[r].name);
    }
}

static const char *who_may(const struct route *r)
{
    switch (r->access) {
    case ACCESS_OPEN:
        return "open";
    case ACCESS_KEY:
        return "any key";
    case ACCESS_SCOPE:
        return scope_name(r->scope);
    case ACCESS_ADMIN:
        return "admin";
    case ACCESS_LOCAL:
        return "admin, or open";
    }
    return "nobody";
}

static void every_call_is_for_those_the_contract_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(contract); i++)
        assert_string_equal(who_may(at(contract[i][0], contract[i][1])), contract[i][3]);
}

/* ---- engine calls ---- */

/* Calls "void engine_x(struct engine *e, struct call *c" declared in the engine's headers. */
static size_t engine_calls(char names[][64], size_t max)
{
    static const char *const headers[] = {"engine.h",   "agents.h",   "nutrients.h",
                                          "learning.h", "memories.h", "tenancy.h"};
    size_t count = 0;
    for (size_t h = 0; h < ARRAY_LEN(headers); h++) {
        char path[512], line[512];
        snprintf(path, sizeof path, "%s/%s", ENGINE_DIR, headers[h]);
        FILE *f = fopen(path, "r");
        assert_non_null(f);
        while (fgets(line, sizeof line, f)) {
            char name[64];
            const char *open = strstr(line, "(struct engine *e, struct call *c");
            if (!open || strncmp(line, "void engine_", 12) != 0)
                continue;
            snprintf(name, sizeof name, "%.*s", (int)(open - line - 5), line + 5);
            if (!strcmp(name, "engine_cancel"))
                continue; /* ends a call, is none */
            assert_true(count < max);
            memcpy(names[count++], name, sizeof name);
        }
        fclose(f);
    }
    return count;
}

static void every_engine_call_can_be_reached(void **state)
{
    (void)state;
    static char names[64][64];
    size_t count = engine_calls(names, ARRAY_LEN(names));
    assert_true(count > 30);
    for (size_t i = 0; i < count; i++) {
        bool found = false;
        for (size_t r = 0; r < route_count; r++)
            found |= routes[r].op->call && !strcmp(routes[r].op->call, names[i]);
        if (!found)
            fail_msg("no route calls %s", names[i]);
    }
}

static void every_named_call_is_one_of_the_engine(void **state)
{
    (void)state;
    static char names[64][64];
    size_t count = engine_calls(names, ARRAY_LEN(names));
    for (size_t r = 0; r < route_count; r++) {
        bool found = !routes[r].op->call;
        for (size_t i = 0; i < count; i++)
            found |= routes[r].op->call && !strcmp(routes[r].op->call, names[i]);
        if (!found)
            fail_msg("%s claims to call %s", routes[r].name, routes[r].op->call);
    }
}

/* ---- rows ---- */

static void a_change_is_never_a_get_and_a_get_never_a_change(void **state)
{
    (void)state;
    for (size_t r = 0; r < route_count; r++) {
        assert_false(routes[r].method == HTTP_GET && routes[r].mutation);
        if (routes[r].audit)
            assert_true(routes[r].mutation);
        if (routes[r].method == HTTP_PUT || routes[r].method == HTTP_PATCH ||
            routes[r].method == HTTP_DELETE)
            assert_true(routes[r].mutation);
    }
}

static void only_the_node_itself_is_open(void **state)
{
    (void)state;
    for (size_t r = 0; r < route_count; r++)
        if (routes[r].access == ACCESS_OPEN || routes[r].access == ACCESS_LOCAL)
            assert_null(strstr(routes[r].pattern, "/v1/"));
}

static void each_row_names_itself_in_plain_characters(void **state)
{
    (void)state;
    for (size_t r = 0; r < route_count; r++) {
        assert_true(strspn(routes[r].name, "abcdefghijklmnopqrstuvwxyz._") ==
                    strlen(routes[r].name));
        assert_non_null(routes[r].about);
    }
}

/* ---- the checks of the builder, unplugged one by one ---- */

static void build_fails(const struct route *table, size_t count, const char *why)
{
    struct router *r = NULL;
    struct err e = {.code = QMN_OK};
    assert_int_equal(router_new(table, count, &r, &e), QMN_E_INTERNAL);
    if (!strstr(e.text, why))
        fail_msg("\"%s\" does not say \"%s\"", e.text, why);
    assert_null(r);
}

static struct route row(const char *name)
{
    for (size_t r = 0; r < route_count; r++)
        if (!strcmp(routes[r].name, name))
            return routes[r];
    fail();
    return routes[0];
}

static void two_rows_for_one_request_are_refused(void **state)
{
    (void)state;
    struct route twice[] = {row("agent.get"), row("agent.get")};
    build_fails(twice, 2, "two routes are called agent.get");
    twice[1].name = "another";
    build_fails(twice, 2, "two routes answer GET /v1/agents/{id}");
}

static void a_row_without_a_place_for_its_parameter_is_refused(void **state)
{
    (void)state;
    struct route r = row("agent.get");
    r.path_field = "no_such_field";
    build_fails(&r, 1, "path parameter");
    r.path_field = NULL;
    build_fails(&r, 1, "path parameter");
    r = row("agent.get");
    r.ignores = "no_such_field";
    build_fails(&r, 1, "speaks of");
}

static void a_row_that_does_not_say_who_may_call_is_refused(void **state)
{
    (void)state;
    struct route r = row("agent.get");
    r.access = 0;
    build_fails(&r, 1, "who may call");
    r = row("agent.get");
    r.scope = SCOPE_COUNT;
    build_fails(&r, 1, "who may call");
    r = row("agent.get");
    r.access = ACCESS_OPEN;
    build_fails(&r, 1, "open");
}

static void a_row_with_a_wrong_answer_is_refused(void **state)
{
    (void)state;
    struct route r = row("agent.get");
    r.status = 204;
    build_fails(&r, 1, "204");
    r.status = 302;
    build_fails(&r, 1, "success status");
    r = row("agent.suspend");
    r.status = 200;
    build_fails(&r, 1, "nothing without");
    r = row("broadcast");
    r.agent = "nobody";
    build_fails(&r, 1, "agent field");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_call_of_the_contract_answers_with_and_without_its_prefix),
        cmocka_unit_test(every_row_is_a_call_of_the_contract),
        cmocka_unit_test(every_call_is_for_those_the_contract_says),
        cmocka_unit_test(every_engine_call_can_be_reached),
        cmocka_unit_test(every_named_call_is_one_of_the_engine),
        cmocka_unit_test(a_change_is_never_a_get_and_a_get_never_a_change),
        cmocka_unit_test(only_the_node_itself_is_open),
        cmocka_unit_test(each_row_names_itself_in_plain_characters),
        cmocka_unit_test(two_rows_for_one_request_are_refused),
        cmocka_unit_test(a_row_without_a_place_for_its_parameter_is_refused),
        cmocka_unit_test(a_row_that_does_not_say_who_may_call_is_refused),
        cmocka_unit_test(a_row_with_a_wrong_answer_is_refused),
    };
    return cmocka_run_group_tests(tests, router_up, router_down);
}
