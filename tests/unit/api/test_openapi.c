/* SPDX-License-Identifier: MIT
 *
 * The document: one strict JSON object, whole, every reference resolved, each route in it once. */
#include <stdio.h>

#include "api/route_priv.h"
#include "codec/json_read.h"
#include "fixture.h"

static struct arena arena;

static int up(void **state)
{
    arena_init(&arena, 0);
    return api_up(state);
}

static int down(void **state)
{
    arena_release(&arena);
    return api_down(state);
}

static void fetch(void)
{
    expect_with(200, NULL, "GET /openapi.json", NULL);
    assert_string_equal(got_header("Content-Type"), "application/json");
}

static size_t count_of(const char *text)
{
    size_t n = 0;
    for (const char *at = got.body; (at = strstr(at, text)); at++)
        n++;
    return n;
}

static void it_is_strict_json(void **state)
{
    (void)state;
    fetch();
    enum json_kind kind;
    assert_true(json_valid(bytes_of(got.body, got.body_len), &arena, &kind));
    assert_int_equal(kind, JSON_OBJECT);
    assert_body_has("\"openapi\":\"3.1.0\"");
    assert_body_has("\"version\":\"1.2.3\"");
}

static void each_route_stands_in_it_once(void **state)
{
    (void)state;
    fetch();
    assert_int_equal(count_of("\"operationId\":"), route_count);
    for (size_t r = 0; r < route_count; r++) {
        char text[256];
        snprintf(text, sizeof text, "\"operationId\":\"%s\"", routes[r].name);
        assert_int_equal(count_of(text), 1);
        snprintf(text, sizeof text, "\"%s\":{", routes[r].pattern);
        assert_int_equal(count_of(text), 1);
    }
}

static void each_reference_leads_somewhere(void **state)
{
    (void)state;
    fetch();
    static const char open[] = "\"$ref\":\"#/components/schemas/";
    const char *schemas = strstr(got.body, "\"schemas\":{");
    assert_non_null(schemas);
    size_t refs = 0;
    for (const char *at = got.body; (at = strstr(at, open)); refs++) {
        at += sizeof open - 1;
        char wanted[128];
        snprintf(wanted, sizeof wanted, "\"%.*s\":{\"type\":", (int)strcspn(at, "\""), at);
        if (!strstr(schemas, wanted))
            fail_msg("%s is referred to and missing", wanted);
    }
    assert_true(refs > 80);
}

static void schemas_say_what_the_decoder_does(void **state)
{
    (void)state;
    fetch();
    assert_body_has("\"ttl_sec\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":3600,"
                    "\"default\":180}");
    assert_body_has("\"sensitivity\":{\"type\":\"string\",\"enum\":[\"public\",\"internal\","
                    "\"confidential\",\"secret\"],\"default\":\"internal\"}");
    assert_body_has("\"embedding_b64\":{");
    assert_body_has("\"required\":[\"summary\"]");
    assert_body_has("\"expires_at\":{\"type\":[\"string\",\"null\"],\"format\":\"date-time\"}");
    assert_body_has("\"AgentList\":{\"type\":\"array\"");
    assert_body_has("\"routing_scores\":{\"type\":\"object\"");
    assert_body_has("\"pattern\":\"^[a-z0-9-]{3,64}$\"");
}

/* Its schema leaves out the field that the path fills, so all routes have to agree on it. */
static void a_message_of_two_bodies_has_one_path_field(void **state)
{
    (void)state;
    for (size_t a = 0; a < route_count; a++)
        for (size_t b = 0; b < route_count; b++) {
            const char *one = routes[a].path_field, *other = routes[b].path_field;
            if (routes[a].op->request == routes[b].op->request && routes[a].op->request &&
                (routes[a].input & routes[b].input & INPUT_BODY) &&
                (!one != !other || (one && strcmp(one, other) != 0)))
                fail_msg("%s and %s", routes[a].name, routes[b].name);
        }
}

static void access_is_written_down(void **state)
{
    (void)state;
    fetch();
    assert_body_has("\"x-qmn-access\":\"scope\",\"x-qmn-tenant\":\"caller\","
                    "\"x-qmn-scope\":\"nutrients:write\"");
    assert_body_has("\"x-qmn-access\":\"open\",\"x-qmn-tenant\":\"none\"");
    assert_body_has("\"x-qmn-agent\":\"source_agent_id\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(it_is_strict_json, api_reset),
        cmocka_unit_test_setup(each_route_stands_in_it_once, api_reset),
        cmocka_unit_test_setup(each_reference_leads_somewhere, api_reset),
        cmocka_unit_test_setup(schemas_say_what_the_decoder_does, api_reset),
        cmocka_unit_test_setup(a_message_of_two_bodies_has_one_path_field, api_reset),
        cmocka_unit_test_setup(access_is_written_down, api_reset),
    };
    return cmocka_run_group_tests(tests, up, down);
}
