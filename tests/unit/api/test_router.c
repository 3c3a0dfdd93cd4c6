/* SPDX-License-Identifier: MIT
 *
 * Paths to routes: literals before parameters, verbs, prefixes, listeners of one service. */
#include "api/route_priv.h"
#include "fixture.h"

static struct router *router;
static struct route_match match;
static struct err error;

static int router_up(void **state)
{
    return api_up(state) != 0 || router_new(routes, route_count, &router, &error) != QMN_OK ? -1
                                                                                            : 0;
}

static int router_down(void **state)
{
    router_free(router);
    return api_down(state);
}

static enum qmn_code find(enum http_method method, const char *path, const char *only)
{
    match = (struct route_match){.allow = ""};
    return router_match(router, method, bytes_cstr(path), only, &match, &error);
}

static void leads_to(enum http_method method, const char *path, const char *name, const char *param)
{
    if (find(method, path, NULL) != QMN_OK)
        fail_msg("%s: %s", path, error.text);
    assert_string_equal(match.route->name, name);
    assert_bytes_equal(match.param, param);
}

static void leads_nowhere(const char *path)
{
    if (find(HTTP_GET, path, NULL) != QMN_E_NOT_FOUND)
        fail_msg("%s leads somewhere", path);
}

static void literals_come_before_parameters(void **state)
{
    (void)state;
    leads_to(HTTP_GET, "/v1/edges/top", "edge.top", "");
    leads_to(HTTP_GET, "/v1/edges/stats", "edge.stats", "");
    leads_to(HTTP_GET, "/v1/edges/topper", "edge.list", "topper");
    leads_to(HTTP_GET, "/v1/hyphal/agent/a1", "memory.list", "a1");
}

static void an_escaped_literal_is_a_parameter(void **state)
{
    (void)state;
    leads_to(HTTP_GET, "/v1/edges/%74op", "edge.list", "%74op");
}

static void a_literal_that_leads_nowhere_is_backed_out_of(void **state)
{
    (void)state;
    leads_to(HTTP_GET, "/v1/hyphal/agent", "memory.get", "agent");
}

static void verbs_are_split_off_parameters(void **state)
{
    (void)state;
    leads_to(HTTP_POST, "/v1/keys/k:1:revoke", "key.revoke", "k:1");
    leads_to(HTTP_POST, "/v1/nutrients/nu_1:respond", "respond", "nu_1");
    leads_to(HTTP_DELETE, "/v1/agents/a:b", "agent.suspend", "a:b");
    leads_to(HTTP_DELETE, "/v1/keys/:revoke", "key.delete", ":revoke");
}

static void a_prefix_must_be_the_routes_own(void **state)
{
    (void)state;
    leads_to(HTTP_GET, "/router/v1/agents", "agent.list", "");
    assert_bytes_equal(match.path, "/v1/agents");
    assert_string_equal(match.service, "router");
    leads_nowhere("/memory/v1/agents");
    leads_nowhere("/nobody/v1/agents");
    leads_nowhere("/router/router/v1/agents");
    leads_nowhere("/router/livez");
    leads_to(HTTP_GET, "/regions/health", "health", "");
    assert_string_equal(match.service, "regions");
    leads_to(HTTP_GET, "/health", "health", "");
    assert_null(match.service);
}

static void paths_are_taken_literally(void **state)
{
    (void)state;
    leads_nowhere("");
    leads_nowhere("/");
    leads_nowhere("//");
    leads_nowhere("/v1");
    leads_nowhere("/v1/agents/");
    leads_nowhere("/v1//agents");
    leads_nowhere("/V1/agents");
    leads_nowhere("/v1/agents/../agents/a/b");
    leads_nowhere("/router");
    leads_nowhere("/router/");
    leads_nowhere("v1/agents");
    leads_nowhere("*");
    leads_nowhere("/v1/agents/a/nutrients:ackk/x");
}

static void a_wrong_method_is_told_the_right_ones(void **state)
{
    (void)state;
    assert_int_equal(find(HTTP_PUT, "/v1/agents/a", NULL), QMN_E_METHOD);
    assert_string_equal(match.allow, "GET, HEAD, DELETE");
    assert_int_equal(find(HTTP_GET, "/v1/nutrients:broadcast", NULL), QMN_E_METHOD);
    assert_string_equal(match.allow, "POST");
    assert_int_equal(find(HTTP_OPTIONS, "/v1/tenants/t", NULL), QMN_E_METHOD);
    assert_string_equal(match.allow, "GET, HEAD, PUT, PATCH, DELETE");
    assert_int_equal(find(HTTP_OTHER, "/livez", NULL), QMN_E_METHOD);
}

static void head_is_a_get(void **state)
{
    (void)state;
    leads_to(HTTP_HEAD, "/v1/agents", "agent.list", "");
    assert_int_equal(find(HTTP_HEAD, "/v1/agents:register", NULL), QMN_E_METHOD);
    /* a GET that leases */
    assert_int_equal(find(HTTP_HEAD, "/v1/agents/a/nutrients", NULL), QMN_E_METHOD);
    assert_string_equal(match.allow, "GET");
}

static void a_listener_of_one_service_answers_nothing_else(void **state)
{
    (void)state;
    assert_int_equal(find(HTTP_GET, "/v1/hyphal/m", "memory"), QMN_OK);
    assert_int_equal(find(HTTP_GET, "/memory/v1/hyphal/m", "memory"), QMN_OK);
    assert_int_equal(find(HTTP_GET, "/v1/agents", "memory"), QMN_E_NOT_FOUND);
    assert_int_equal(find(HTTP_GET, "/router/v1/agents", "memory"), QMN_E_NOT_FOUND);
    assert_int_equal(find(HTTP_PUT, "/router/v1/agents", "memory"), QMN_E_NOT_FOUND);
    assert_int_equal(find(HTTP_GET, "/livez", "memory"), QMN_OK);
    assert_int_equal(find(HTTP_GET, "/health", "memory"), QMN_OK);
    assert_string_equal(match.service, "memory");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(literals_come_before_parameters),
        cmocka_unit_test(an_escaped_literal_is_a_parameter),
        cmocka_unit_test(a_literal_that_leads_nowhere_is_backed_out_of),
        cmocka_unit_test(verbs_are_split_off_parameters),
        cmocka_unit_test(a_prefix_must_be_the_routes_own),
        cmocka_unit_test(paths_are_taken_literally),
        cmocka_unit_test(a_wrong_method_is_told_the_right_ones),
        cmocka_unit_test(head_is_a_get),
        cmocka_unit_test(a_listener_of_one_service_answers_nothing_else),
    };
    return cmocka_run_group_tests(tests, router_up, router_down);
}
