/* SPDX-License-Identifier: MIT
 *
 * Each operation both ways: what of the request reaches the engine, what of its result reaches the
 * client, and under which names older clients read it. */
#include "fixture.h"

static void text_is(size_t i, const char *want)
{
    assert_string_equal(fake.text[i], want);
}

static void number_is(size_t i, double want)
{
    if (fake.number[i] != want)
        fail_msg("number %zu is %g, not %g", i, fake.number[i], want);
}

/* ---- nutrients ---- */

static void broadcast_carries_every_field(void **state)
{
    (void)state;
    expect(200, "POST /router/v1/nutrients:broadcast",
           "{\"id\":\"nutr-1\",\"trace_id\":\"x\",\"summary\":\"Sum\",\"embedding\":[0.5,1],"
           "\"snippets\":[\"s1\",\"\"],\"tool_hints\":[\"h\"],\"sensitivity\":\"secret\","
           "\"ttl_sec\":60,\"max_hops\":2,\"quota_cost\":5,\"trace_task_id\":\"task\","
           "\"source_agent_id\":\"me\",\"created_at\":\"2024-01-01T00:00:00\",\"current_hop\":0,"
           "\"top_k\":7,\"diversify\":false,\"min_score\":0.25}");
    text_is(0, "nutr-1");
    text_is(1, "me");
    text_is(2, "task");
    text_is(3, "Sum");
    text_is(4, "s1||");
    text_is(5, "h|");
    number_is(0, 4);
    number_is(1, 60);
    number_is(2, 2);
    number_is(3, 5);
    number_is(4, 7);
    number_is(5, 0);
    number_is(6, 0.25);
    number_is(7, 2);
    number_is(8, 0.5);
    text_is(6, "(none)");
}

static void broadcast_has_the_documented_defaults(void **state)
{
    (void)state;
    expect(200, "POST /v1/nutrients:broadcast",
           "{\"summary\":\"s\",\"text\":\"words\",\"id\":null,\"source_agent_id\":null}");
    text_is(0, "(none)");
    text_is(1, "(none)");
    number_is(0, 2); /* internal */
    number_is(1, 180);
    number_is(2, 3);
    number_is(3, 1);
    number_is(4, 3);
    number_is(5, 1);
    number_is(6, -1);
    number_is(7, 0);
    text_is(6, "words");
}

static void broadcast_answers_hops_and_what_older_clients_read(void **state)
{
    (void)state;
    expect(200, "POST /v1/nutrients:broadcast", "{\"summary\":\"s\",\"text\":\"t\"}");
    assert_body_has("\"nutrient_id\":\"nu_1\"");
    assert_body_has("\"trace_id\":\"tr_1\"");
    assert_body_has("\"routed_to\":[\"a1\",\"a2\"]");
    assert_body_has("\"routing_scores\":{\"a1\":0.5,\"a2\":0.25}");
    assert_body_has("\"created_at\":\"2023-11-14T22:13:20.123000+00:00\"");
    assert_body_has("\"from_agent_id\":\"src\"");
    assert_body_has("\"edge_weight\":0.75");
    assert_body_has("\"propensity\":0.5");
    assert_body_has("\"explored\":true");
    assert_body_lacks("\"reason\"");
}

static void respond_is_made_a_resource(void **state)
{
    (void)state;
    expect(201, "POST /v1/nutrients/nu_1:respond",
           "{\"agent_id\":\"a1\",\"content\":{\"x\": 1e2},\"quality\":0.75,"
           "\"sensitivity\":\"public\",\"nutrient_id\":\"nu_2\"}");
    text_is(0, "nu_1");
    text_is(1, "a1");
    text_is(2, "{\"x\": 1e2}");
    number_is(0, 0.75);
    number_is(1, 1);
    number_is(2, 0); /* no vector: the nutrient's own */
    assert_body_has("\"response_id\":\"re_1\"");
    expect(201, "POST /v1/nutrients/nu_1:respond", "{\"content\":{}}");
    number_is(1, 0); /* the nutrient's own label */
}

static void collect_carries_and_answers_every_field(void **state)
{
    (void)state;
    expect(200, "POST /router/v1/contexts:collect",
           "{\"demand_embedding\":[1,0],\"window_ms\":500,\"top_k\":10,\"diversify\":false,"
           "\"trace_task_id\":\"task\",\"agent_id\":\"me\",\"min_similarity\":-0.5}");
    text_is(0, "me");
    text_is(1, "task");
    number_is(0, 500);
    number_is(1, 10);
    number_is(2, 0);
    number_is(3, -0.5);
    number_is(4, 2);
    assert_body_has("\"source_agents\":[\"a1\"]");
    assert_body_has("\"quality_scores\":[0.25,0.5]");
    assert_body_has("\"data\":{\"x\":1}");
    assert_body_has("\"kind\":\"response\"");
    assert_body_has("\"kind\":\"insight\"");
    assert_body_has("\"source\":\"memory\"");
    assert_body_has("\"waited_ms\":300");
    expect(200, "POST /v1/contexts:collect", "{\"text\":\"words\"}");
    number_is(0, 300);
    number_is(1, 5);
    number_is(2, 1);
    number_is(3, -2);
}

static void a_trace_tells_everything(void **state)
{
    (void)state;
    expect(200, "GET /v1/traces/tr_1", NULL);
    text_is(0, "tr_1");
    assert_body_has("\"kind\":\"broadcast\"");
    assert_body_has("\"eligible_total\":12");
    assert_body_has("\"candidates\":[{\"agent_id\":\"a1\"");
    assert_body_has("\"deliveries\":[{\"agent_id\":\"a1\",\"state\":\"leased\"}]");
    assert_body_has("\"contributions\":[{\"id\":\"me_1\"");
    assert_body_has("\"rater_agent_id\":\"src\"");
    assert_body_has("\"delta\":0.125");
}

/* ---- inbox ---- */

static void pull_leases_with_defaults_and_without(void **state)
{
    (void)state;
    fake.pull_count = 1;
    fake.pull_first = 42;
    expect(200, "GET /v1/agents/a1/nutrients", NULL);
    text_is(0, "a1");
    number_is(0, 10);
    number_is(1, 0);
    number_is(2, 30000);
    number_is(3, 0);
    number_is(4, 0);
    assert_body_has("\"sequence\":42");
    assert_body_has("\"summary\":\"line one\\nline two\"");
    assert_body_has("\"snippets\":[\"s1\",\"s2\"]");
    assert_body_has("\"lease_until\":\"2023-11-14T22:13:50.000000+00:00\"");
    assert_body_has("\"pending\":5");
    assert_body_has("\"dropped\":1");
    assert_body_lacks("\"embedding\"");
    fake.pull_count = 1;
    expect(200, "GET /v1/agents/a1/nutrients?limit=3&wait_ms=5&lease_ms=2000&embedding=true", NULL);
    number_is(0, 3);
    number_is(1, 5);
    number_is(2, 2000);
    number_is(3, 1);
    assert_body_has("\"embedding\":[1.0,0.5]");
}

static void ack_and_nack_differ_only_in_what_they_say(void **state)
{
    (void)state;
    expect(200, "POST /v1/agents/a1/nutrients:ack", "{\"nutrient_ids\":[\"n1\",\"n2\"]}");
    text_is(0, "a1");
    text_is(1, "n1");
    text_is(2, "n2");
    number_is(0, 2);
    number_is(1, 0);
    number_is(2, 0);
    assert_body_has("{\"changed\":1,\"unknown\":[\"nu_9\"]}");
    expect(200, "POST /v1/agents/a1/nutrients:nack",
           "{\"nutrient_ids\":[\"n1\"],\"delay_ms\":500,\"reject\":true}");
    number_is(1, 1);
    number_is(2, 1);
    number_is(3, 500);
}

/* ---- agents ---- */

static void register_carries_profile_and_all(void **state)
{
    (void)state;
    expect(200, "POST /router/v1/agents:register",
           "{\"agent_id\":\"a1\",\"name\":\"One\",\"capabilities\":[\"c1\",\"c2\"],"
           "\"tools\":[\"t\"],\"profile\":{\"embedding\":[1,2,3],\"skills\":[\"s\"],"
           "\"description\":\"d\"},\"region\":\"eu\",\"metadata\":{\"k\":[1]},"
           "\"clearance\":\"confidential\"}");
    text_is(0, "a1");
    text_is(1, "One");
    text_is(2, "d");
    text_is(3, "eu");
    text_is(4, "{\"k\":[1]}");
    text_is(5, "c1|c2|");
    text_is(6, "t|");
    text_is(7, "s|");
    number_is(0, 3);
    number_is(1, 3);
    assert_body_has("\"agent_id\":\"a1\"");
    assert_body_has("\"tenant_id\":\"acme\"");
    assert_body_has("\"capabilities\":[\"c1\",\"c2\"]");
    assert_body_has("\"tools\":[]");
    assert_body_has("\"status\":\"active\"");
    assert_body_has("\"region\":null");
    assert_body_has("\"metadata\":{\"k\":[1]}");
    expect(200, "POST /v1/agents:register",
           "{\"agent_id\":\"a1\",\"name\":null,\"region\":null,\"profile\":{\"text\":\"words\","
           "\"description\":null}}");
    text_is(1, "(none)");
    text_is(8, "words");
    number_is(0, 0); /* not the default: an agent that is there keeps what it has */
    expect(200, "POST /v1/agents:register", "{\"agent_id\":\"a1\",\"clearance\":null}");
    number_is(0, 0);
    expect(200, "POST /v1/agents:register", "{\"agent_id\":\"a1\",\"clearance\":\"internal\"}");
    number_is(0, 2);
}

static void an_agent_shows_its_vector_only_when_asked(void **state)
{
    (void)state;
    expect(200, "GET /v1/agents/a1", NULL);
    assert_body_lacks("\"embedding\"");
    expect(200, "GET /v1/agents/a1?embedding=true", NULL);
    assert_body_has("\"embedding\":[0.5,0.25]");
}

static void agents_are_a_bare_array(void **state)
{
    (void)state;
    expect(200, "GET /router/v1/agents", NULL);
    assert_true(got.body[0] == '[');
    number_is(1, 100);
    expect(204, "DELETE /router/v1/agents/a1", NULL);
    assert_int_equal(got.body_len, 0);
}

/* ---- outcomes and edges ---- */

static void an_outcome_may_be_said_three_ways(void **state)
{
    (void)state;
    expect(200, "POST /reinforcement/v1/outcomes:record",
           "{\"trace_id\":\"tr_1\",\"outcome\":{\"score\":0.75,\"metadata\":{\"m\":1}}}");
    text_is(0, "tr_1");
    text_is(1, "(none)");
    text_is(2, "{\"m\":1}");
    number_is(0, 0.75);
    number_is(1, 0);
    assert_body_has("\"edges_updated\":1");
    assert_body_has("\"old_weight\":0.5,\"new_weight\":0.625,\"delta\":0.125");
    assert_body_has("\"success\":true");
    expect(200, "POST /v1/outcomes:record",
           "{\"trace_id\":\"t\",\"outcome_score\":0.25,\"agent_id\":\"me\"}");
    number_is(0, 0.25);
    text_is(1, "me");
    expect(200, "POST /v1/outcomes:record", "{\"trace_id\":\"t\",\"outcome\":{\"score\":0}}");
    number_is(0, 0);
    expect(422, "POST /v1/outcomes:record", "{\"trace_id\":\"t\",\"outcome\":{}}");
    assert_body_has("\"field\":\"outcome.score\"");
    expect(422, "POST /v1/outcomes:record", "{\"trace_id\":\"t\",\"outcome\":{\"score\":1.5}}");
    assert_body_has("\"field\":\"outcome.score\"");
}

static void hop_outcomes_stand_inside_or_beside(void **state)
{
    (void)state;
    expect(200, "POST /v1/outcomes:record",
           "{\"trace_id\":\"t\",\"outcome\":{\"score\":1,\"hop_outcomes\":{\"a\":0.5}}}");
    number_is(1, 1);
    text_is(3, "a");
    number_is(2, 0.5);
    expect(200, "POST /v1/outcomes:record",
           "{\"trace_id\":\"t\",\"outcome\":{\"score\":1,\"hop_outcomes\":{\"a\":0.5}},"
           "\"hop_outcomes\":{\"b\":0.25,\"c\":null}}");
    number_is(1, 1);
    text_is(3, "b");
    number_is(2, 0.25);
    expect(422, "POST /v1/outcomes:record",
           "{\"trace_id\":\"t\",\"outcome_score\":1,\"hop_outcomes\":{\"b\":2}}");
}

static void edges_answer_under_their_old_names(void **state)
{
    (void)state;
    expect(200, "GET /reinforcement/v1/edges/stats", NULL);
    assert_body_has("\"total_edges\":2");
    assert_body_has("\"max_weight\":0.75");
    expect(200, "GET /v1/edges/top?limit=4", NULL);
    text_is(0, "(none)");
    number_is(0, 4);
    assert_true(got.body[0] == '[');
    assert_body_has("\"dst\":\"a1\",\"target_id\":\"a1\",\"weight\":0.625");
    expect(200, "GET /v1/edges/src", NULL);
    text_is(0, "src");
    assert_body_has("{\"edges\":[{");
    expect(200, "POST /v1/edges:prune?threshold=0.125", NULL);
    assert_body_has("{\"pruned\":3,\"threshold\":0.125}");
    expect(200, "POST /v1/edges:decay", NULL);
    assert_body_has("{\"decayed\":9,\"deleted\":3}");
}

/* ---- memory ---- */

static void memory_is_stored_with_all_it_carries(void **state)
{
    (void)state;
    expect(201, "POST /memory/v1/hyphal:store",
           "{\"agent_id\":\"a1\",\"kind\":\"insight\",\"content\":{\"k\": 1e2},"
           "\"embedding\":[1,0],\"quality\":0.25,\"sensitivity\":\"public\",\"task_id\":\"t\","
           "\"trace_id\":\"r\",\"ttl_hours\":1.5,\"metadata\":{\"m\":null}}");
    text_is(0, "a1");
    text_is(1, "insight");
    text_is(2, "{\"k\": 1e2}");
    text_is(3, "{\"m\":null}");
    text_is(4, "t");
    text_is(5, "r");
    number_is(0, 0.25);
    number_is(1, 1);
    number_is(2, 1.5);
    number_is(3, 2);
    assert_body_has("\"content\":{\"k\": 1e2}");
    assert_body_has("\"expires_at\":null");
    expect(201, "POST /v1/hyphal:store", "{\"kind\":\"k\",\"content\":{},\"text\":\"t\"}");
    number_is(0, 0.5);
    number_is(1, 2);
    number_is(2, 0);
}

static void a_batch_of_memories_is_stored(void **state)
{
    (void)state;
    expect(201, "POST /memory/v1/hyphal:batchStore",
           "{\"memories\":[{\"kind\":\"a\",\"content\":{},\"text\":\"t\"},"
           "{\"kind\":\"b\",\"content\":{},\"embedding\":[1,0]}]}");
    number_is(0, 2);
    text_is(0, "a");
    text_is(1, "b");
    assert_body_has("{\"results\":[{\"id\":\"me_1\"");
    assert_body_has("\"total\":2");
    expect(422, "POST /v1/hyphal:batchStore", "{\"memories\":[]}");
    assert_body_has("\"field\":\"memories\"");
    expect(422, "POST /v1/hyphal:batchStore",
           "{\"memories\":[{\"kind\":\"a\",\"content\":{},\"text\":\"t\"},{\"kind\":\"b\"}]}");
    assert_body_has("\"field\":\"memories[1].content\"");
}

static void a_memory_is_changed_where_fields_are_named(void **state)
{
    (void)state;
    expect(200, "PATCH /v1/hyphal/me_1", "{}");
    text_is(0, "me_1");
    text_is(1, "(none)");
    number_is(0, -1);
    number_is(1, 0);
    number_is(2, 0);
    number_is(3, 0);
    assert_body_has("\"version\":2");
    expect(200, "PATCH /v1/hyphal/me_1",
           "{\"kind\":\"k\",\"content\":{\"a\":1},\"quality\":0.25,\"sensitivity\":\"public\","
           "\"ttl_hours\":2,\"metadata\":{}}");
    text_is(1, "k");
    text_is(2, "{\"a\":1}");
    text_is(3, "{}");
    number_is(0, 0.25);
    number_is(1, 1);
    number_is(2, 2);
}

static void memories_are_listed_a_page_at_a_time(void **state)
{
    (void)state;
    expect(200, "GET /v1/hyphal", NULL);
    text_is(0, "(none)");
    number_is(0, 0);
    number_is(3, 100);
    number_is(4, -1);
    assert_body_has("\"next_cursor\":\"cu_000000000000000000000000000000000007\"");
    expect(
        200,
        "GET "
        "/v1/"
        "hyphal?agent_id=a&kind=k&created_from=1970-01-01T00:00:01Z&created_to=1970-01-01T00:00:02Z"
        "&as_of=1970-01-01T00:00:03Z&limit=5&cursor=cu_000000000000000000000000000000000007",
        NULL);
    text_is(0, "a");
    text_is(1, "k");
    number_is(0, 1000);
    number_is(1, 2000);
    number_is(2, 3000);
    number_is(3, 5);
    number_is(4, 7);
    expect(422, "GET /v1/hyphal?cursor=me_000000000000000000000000000000000007", NULL);
    assert_body_has("\"field\":\"cursor\"");
}

static void memories_go_out_and_in_as_lines(void **state)
{
    (void)state;
    expect(200, "GET /v1/hyphal:export?history=true", NULL);
    number_is(0, 1000);
    number_is(1, 1);
    number_is(2, 0);
    assert_body_has("\"content\":{\"a\": 1}");
    assert_body_has("\"embedding_b64\":\"AACAPwAAAAA=\"}\n");
    expect(422, "GET /v1/hyphal:export?after=x", NULL);
    assert_body_has("\"field\":\"after\"");
    expect(200, "POST /v1/hyphal:import",
           "{\"id\":\"me_1\",\"agent_id\":\"a\",\"kind\":\"k\",\"content\":{},\"quality\":1,"
           "\"created_at\":\"2026-01-01T00:00:00Z\",\"embedding_b64\":\"AACAPwAAAAA=\"}\n\n"
           "{\"id\":1}\nnonsense\n");
    number_is(0, 3);
    assert_body_has("{\"lines\":3,\"stored\":1,\"known\":0,\"expired\":0,\"failed\":2,");
    assert_body_has("\"errors\":[{\"line\":3,\"code\":\"invalid\",\"field\":\"id\"");
    assert_body_has("{\"line\":4,\"code\":\"malformed\"");
    expect(200, "POST /v1/hyphal:import", NULL);
    assert_body_has("{\"lines\":0,");
}

static void null_clears_what_may_be_cleared(void **state)
{
    (void)state;
    expect(200, "PATCH /v1/hyphal/me_1",
           "{\"ttl_hours\":null,\"metadata\":null,\"kind\":null,\"quality\":null}");
    number_is(0, -1);
    number_is(2, -1);
    number_is(3, 1); /* given, and empty */
    text_is(1, "(none)");
    expect(200, "PATCH /v1/hyphal/me_1", "{\"metadata\":null,\"cleared\":[\"ttl_hours\"]}");
    number_is(2, -1);
    number_is(3, 1);
    expect(200, "PATCH /v1/hyphal/me_1", "{\"cleared\":[\"ttl_hours\"],\"metadata\":null}");
    number_is(2, -1);
    number_is(3, 1);
    expect(422, "PATCH /v1/hyphal/me_1", "{\"cleared\":[\"content\"]}");
    assert_body_has("\"field\":\"cleared[0]\"");
    expect(422, "PATCH /v1/hyphal/me_1", "{\"cleared\":[\"metadata\"],\"metadata\":{}}");
    assert_body_has("\"field\":\"cleared\"");
}

static void memory_is_read_listed_deleted_and_cleaned(void **state)
{
    (void)state;
    expect(200, "GET /v1/hyphal/me_1", NULL);
    text_is(0, "me_1");
    number_is(0, 0);
    expect(200, "GET /v1/hyphal/me_1?as_of=1970-01-01T00:00:02Z", NULL);
    number_is(0, 2000);
    expect(200, "GET /v1/hyphal/me_1?as_of=1970-01-01T00:00:00Z", NULL);
    number_is(0, 1);
    expect(200, "GET /v1/hyphal/me_1/history", NULL);
    text_is(0, "me_1");
    assert_body_has("{\"versions\":[{\"id\":\"me_1\"");
    expect(200, "GET /v1/hyphal/me_1", NULL);
    assert_body_has("\"kind\":\"insight\"");
    expect(200, "GET /v1/hyphal/agent/a1?kind=x&limit=3", NULL);
    text_is(0, "a1");
    text_is(1, "x");
    number_is(0, 3);
    assert_true(got.body[0] == '[');
    expect(204, "DELETE /v1/hyphal/me_1", NULL);
    expect(200, "POST /v1/hyphal:cleanup", NULL);
    assert_body_has("{\"deleted\":6}");
}

static void search_merges_all_its_filters(void **state)
{
    (void)state;
    expect(
        200, "POST /memory/v1/hyphal:search",
        "{\"embedding\":[1,0],\"top_k\":15,\"min_quality\":0.125,\"filters\":"
        "{\"kind\":\"insight\",\"quality\":{\"$gt\":0.5}},\"user_filter\":{\"agent_id\":\"a\"}}");
    text_is(0, "(agent in[a] (kind in[insight] quality > 0.5) quality >= 0.125)");
    number_is(0, 15);
    assert_body_has("\"results\":[{");
    assert_body_has("\"similarity\":0.5");
    assert_body_has("\"total\":1");
    assert_body_has("\"candidates\":7");
    assert_body_has("\"exact\":false");
    assert_body_has("\"mode\":\"hybrid\"");
    assert_body_has("\"score\":0.125");
    assert_body_lacks("explanation");
    expect(200, "POST /v1/hyphal:search", "{\"text\":\"t\",\"filters\":{}}");
    text_is(0, "()");
    expect(422, "POST /v1/hyphal:search", "{\"text\":\"t\",\"filters\":{\"colour\":\"red\"}}");
    assert_body_has("\"field\":\"filters.colour\"");
    expect(200, "POST /v1/hyphal:search",
           "{\"text\":\"t\",\"kind_filter\":\"a\",\"filters\":{\"kind\":\"b\"}}");
    text_is(0, "(kind in[b] kind in[a])");
}

static void search_takes_words_and_says_why(void **state)
{
    (void)state;
    expect(200, "POST /v1/hyphal:search",
           "{\"query\":\"a rule\",\"mode\":\"words\",\"exact\":true,\"explain\":true,"
           "\"ranking\":{\"quality\":0.25,\"usefulness\":0.125,"
           "\"recency\":{\"half_life_hours\":2}}}");
    static const double asked[] = {SEARCH_WORDS, 1, 1, 0.25, 0.5, 7200000, 0.125};
    for (uint32_t i = 0; i < ARRAY_LEN(asked); i++)
        number_is(3 + i, asked[i]); /* behind top_k and vector */
    assert_body_has("\"explanation\":{\"cosine\":0.5,\"vector_rank\":3,\"words_score\":2.0,"
                    "\"words_rank\":1,\"terms\":[{\"word\":\"rule\",\"score\":2.0}],"
                    "\"relevance\":0.25,\"quality_factor\":0.5,\"recency_factor\":1.0,"
                    "\"usefulness_factor\":0.75}");
    expect(422, "POST /v1/hyphal:search", "{\"query\":\"a\",\"mode\":\"both\"}");
    assert_body_has("\"field\":\"mode\"");
    expect(422, "POST /v1/hyphal:search", "{\"query\":\"a\",\"ranking\":{\"quality\":2}}");
    assert_body_has("\"field\":\"ranking.quality\"");
}

/* ---- control plane ---- */

static void tenants_are_made_changed_listed(void **state)
{
    (void)state;
    expect_with(201, ADMIN, "POST /identity/v1/tenants",
                "{\"id\":\"acme\",\"name\":\"Acme\",\"plan_tier\":\"pro\",\"metadata\":{},"
                "\"region_preference\":\"eu\",\"embedding_dim\":8}");
    text_is(0, "acme");
    text_is(3, "eu");
    number_is(0, 2);
    number_is(2, 8);
    assert_body_has("\"plan_tier\":\"pro\"");
    assert_body_has("\"kms_key_id\":null");
    expect_with(200, ADMIN, "PUT /v1/tenants/acme", "{\"status\":\"suspended\"}");
    text_is(0, "acme");
    text_is(1, "(none)");
    text_is(4, "(none)");
    number_is(0, 0);
    number_is(1, 2);
    expect_with(200, ADMIN, "PATCH /v1/tenants/acme", "{\"name\":\"New\",\"id\":\"other\"}");
    text_is(0, "acme");
    expect_with(200, ADMIN,
                "GET /v1/tenants?limit=5&offset=10&plan_tier=free&status_filter=deleted", NULL);
    number_is(0, 3);
    number_is(1, 1);
    number_is(2, 5);
    number_is(3, 10);
    assert_true(got.body[0] == '[');
    expect_with(204, ADMIN, "DELETE /v1/tenants/acme?purge=true", NULL);
    number_is(0, 1);
    expect(200, "GET /v1/tenants/None", NULL);
    text_is(0, "None");
}

static void usage_leaves_out_what_is_unlimited(void **state)
{
    (void)state;
    expect(200, "GET /identity/v1/tenants/me/usage", NULL);
    text_is(0, "me");
    assert_body_has("\"nutrients_sent\":33");
    assert_body_has("\"contexts_collected\":11");
    assert_body_has("\"quota_remaining\":{\"nutrients\":9997,\"collects\":0");
    assert_body_lacks("18446744073709551615");
    assert_body_lacks("\"searches\":1844");
}

static void a_secret_is_shown_once_and_twice_named_in_a_rotation(void **state)
{
    (void)state;
    expect(201, "POST /keys/v1/keys",
           "{\"name\":\"n\",\"scopes\":[\"inbox\"],\"rate_limit_per_minute\":5,"
           "\"expires_in_days\":3,\"agent_ids\":[\"a\"],\"clearance\":\"public\"}");
    text_is(0, "(none)");
    text_is(1, "n");
    text_is(2, "inbox|");
    text_is(3, "a|");
    number_is(0, 5);
    number_is(1, 3);
    number_is(2, 1);
    assert_body_has("\"api_key\":\"qmn_live_k2_secret\"");
    assert_body_lacks("new_api_key");
    expect(200, "GET /v1/keys", NULL);
    text_is(0, "(none)");
    assert_body_lacks("api_key");
    expect(200, "GET /v1/keys/acme", NULL);
    text_is(0, "acme");
    expect(200, "POST /keys/v1/keys:rotate", "{\"grace_period_sec\":7}");
    text_is(0, "(none)");
    number_is(0, 7);
    assert_body_has("\"api_key\":\"qmn_live_k3_secret\"");
    assert_body_has("\"new_api_key\":\"qmn_live_k3_secret\"");
    assert_body_has("\"old_key_id\":\"k1\"");
    expect(200, "POST /v1/keys/k2:revoke", NULL);
    text_is(0, "k2");
    assert_body_has("\"status\":\"revoked\"");
    expect(204, "DELETE /v1/keys/k2", NULL);
}

static void validation_says_no_more_than_no(void **state)
{
    (void)state;
    expect(200, "POST /v1/keys:validate", "{\"api_key\":\"" FAKE_KEY "\"}");
    assert_body_has("\"valid\":true");
    assert_body_has("\"key_id\":\"k2\"");
    expect(200, "POST /v1/keys:validate", "{\"api_key\":\"other\"}");
    assert_body_has("\"valid\":false");
    assert_body_lacks("key_id");
}

static void a_policy_may_come_in_parts(void **state)
{
    (void)state;
    expect(201, "POST /policies/v1/policies",
           "{\"name\":\"p\",\"policy_type\":\"rbac\",\"rules\":{\"a\": 1}}");
    text_is(2, "{\"a\": 1}");
    number_is(0, 2);
    number_is(1, 1);
    assert_body_has("\"policy_type\":\"dlp\"");
    expect(201, "POST /v1/policies",
           "{\"name\":\"p\",\"policy_type\":\"abac\",\"rules\":{\"a\":1},\"conditions\":[1],"
           "\"actions\":{\"x\":2},\"enabled\":false}");
    text_is(2, "{\"a\":1,\"conditions\":[1],\"actions\":{\"x\":2}}");
    number_is(1, 0);
    expect(201, "POST /v1/policies",
           "{\"name\":\"p\",\"policy_type\":\"dlp\",\"rules\":{ },\"rbac_roles\":\"r\"}");
    text_is(2, "{\"rbac_roles\":\"r\"}");
    expect(422, "POST /v1/policies",
           "{\"name\":\"p\",\"policy_type\":\"dlp\",\"rules\":{\"actions\":1},\"actions\":2}");
    assert_body_has("\"field\":\"rules\"");
    expect(422, "POST /v1/policies", "{\"name\":\"p\",\"policy_type\":\"dlp\"}");
    assert_body_has("\"field\":\"rules\"");
}

static void policies_are_listed_bare_and_with_a_total(void **state)
{
    (void)state;
    expect(200, "GET /policies/v1/policies?policy_type=dlp", NULL);
    assert_true(got.body[0] == '[');
    number_is(0, POLICY_DLP);
    expect(422, "GET /v1/policies?policy_type=none", NULL);
    assert_body_has("\"field\":\"policy_type\"");
    expect(200, "GET /v1/policies/acme", NULL);
    text_is(0, "acme");
    number_is(0, 0);
    assert_body_has("{\"policies\":[{");
    assert_body_has("\"total\":1");
}

static void a_policy_is_evaluated_in_either_form(void **state)
{
    (void)state;
    expect(200, "POST /policies/v1/policies:evaluate",
           "{\"policy_type\":\"dlp\",\"context\":{\"a\":1}}");
    text_is(0, "(none)");
    text_is(3, "{\"a\":1}");
    number_is(0, 1);
    assert_body_has("{\"allowed\":false,\"action\":\"deny\",\"policy_id\":\"po_1\","
                    "\"reason\":\"because\",\"checks_passed\":[\"p1\"],"
                    "\"checks_failed\":[\"f1\",\"f2\"]}");
    expect(200, "POST /v1/policies:evaluate",
           "{\"policy_type\":\"rbac\",\"subject\":{\"s\":1},\"resource\":{},\"action\":\"read\"}");
    text_is(0, "read");
    text_is(1, "{\"s\":1}");
    text_is(2, "{}");
    text_is(3, "(none)");
}

static void tasks_keep_what_is_not_named(void **state)
{
    (void)state;
    expect(201, "POST /v1/tasks", "{\"title\":\"Do\",\"metadata\":{}}");
    text_is(0, "(none)");
    text_is(1, "Do");
    number_is(1, -1);
    assert_body_has("\"outcome\":null");
    assert_body_has("\"status\":\"open\"");
    expect(200, "PATCH /v1/tasks/t1", "{\"status\":\"done\",\"outcome\":0.5}");
    text_is(0, "t1");
    text_is(1, "(none)");
    number_is(0, 3);
    number_is(1, 0.5);
    assert_body_has("\"outcome\":0.5");
    expect(200, "GET /v1/tasks?status=failed&limit=2", NULL);
    number_is(0, 4);
    number_is(1, 2);
    assert_body_has("\"tasks\":[");
    expect(200, "GET /v1/tasks/t1", NULL);
}

/* ---- the node ---- */

static void health_names_what_is_wrong(void **state)
{
    (void)state;
    expect_with(200, NULL, "GET /memory/health", NULL);
    text_is(0, "memory");
    assert_body_has("\"status\":\"healthy\"");
    assert_body_has("\"region\":\"test\"");
    assert_body_has("\"checks\":{\"store\":\"ok\",\"disk\":\"ok\"}");
    fake.sick = true;
    expect_with(503, NULL, "GET /health", NULL);
    text_is(0, "node");
    assert_body_has("\"status\":\"unhealthy\"");
    assert_body_has("\"disk\":\"12 bytes left\"");
}

static void ready_is_what_the_engine_says(void **state)
{
    (void)state;
    expect_with(200, NULL, "GET /readyz", NULL);
    fake.ready = (struct err){.code = QMN_E_UNAVAILABLE, .text = "loading"};
    expect_with(503, NULL, "GET /readyz", NULL);
    assert_body_has("loading");
    expect_with(200, NULL, "GET /livez", NULL);
}

static void audit_and_backup_are_translated(void **state)
{
    (void)state;
    expect(200, "GET /v1/audit?after=7&limit=2", NULL);
    number_is(0, 7);
    number_is(1, 2);
    assert_body_has("\"entries\":[{\"seq\":8");
    assert_body_has("\"action\":\"key.create\"");
    expect_with(201, ADMIN, "POST /v1/node:backup", "{\"path\":\"one\"}");
    text_is(0, "one");
    assert_body_has("\"path\":\"backups/one\",\"bytes\":4096,\"rows\":12");
    expect_with(201, ADMIN, "POST /v1/node:backup", NULL);
    text_is(0, "(none)");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, api_reset)
    const struct CMUnitTest tests[] = {
        TEST(broadcast_carries_every_field),
        TEST(broadcast_has_the_documented_defaults),
        TEST(broadcast_answers_hops_and_what_older_clients_read),
        TEST(respond_is_made_a_resource),
        TEST(collect_carries_and_answers_every_field),
        TEST(a_trace_tells_everything),
        TEST(pull_leases_with_defaults_and_without),
        TEST(ack_and_nack_differ_only_in_what_they_say),
        TEST(register_carries_profile_and_all),
        TEST(an_agent_shows_its_vector_only_when_asked),
        TEST(agents_are_a_bare_array),
        TEST(an_outcome_may_be_said_three_ways),
        TEST(hop_outcomes_stand_inside_or_beside),
        TEST(edges_answer_under_their_old_names),
        TEST(memory_is_stored_with_all_it_carries),
        TEST(a_batch_of_memories_is_stored),
        TEST(a_memory_is_changed_where_fields_are_named),
        TEST(memories_are_listed_a_page_at_a_time),
        TEST(memories_go_out_and_in_as_lines),
        TEST(null_clears_what_may_be_cleared),
        TEST(memory_is_read_listed_deleted_and_cleaned),
        TEST(search_merges_all_its_filters),
        TEST(search_takes_words_and_says_why),
        TEST(tenants_are_made_changed_listed),
        TEST(usage_leaves_out_what_is_unlimited),
        TEST(a_secret_is_shown_once_and_twice_named_in_a_rotation),
        TEST(validation_says_no_more_than_no),
        TEST(a_policy_may_come_in_parts),
        TEST(policies_are_listed_bare_and_with_a_total),
        TEST(a_policy_is_evaluated_in_either_form),
        TEST(tasks_keep_what_is_not_named),
        TEST(health_names_what_is_wrong),
        TEST(ready_is_what_the_engine_says),
        TEST(audit_and_backup_are_translated),
    };
    return cmocka_run_group_tests(tests, api_up, api_down);
}
