/* SPDX-License-Identifier: MIT
 *
 * The way in and the way out, whatever the call: who is let in, what is read, what every answer
 * carries. */
#include <stdio.h>

#include "api/api_priv.h"
#include "base/limits.h"
#include "fixture.h"
#include "support/fault.h"

#define BROADCAST "POST /v1/nutrients:broadcast"
#define NUTRIENT  "{\"summary\":\"s\",\"text\":\"t\"}"

/* ---- authentication ---- */

static void a_request_without_a_key_is_refused_before_its_body(void **state)
{
    (void)state;
    expect_with(401, NULL, BROADCAST, NUTRIENT);
    assert_true(got.head_answered);
    assert_int_equal(fake.calls, 0);
    assert_int_equal(fake.authentications, 0);
    assert_body_has("\"code\":\"unauthenticated\"");
    assert_string_equal(got_header("Content-Type"), "application/problem+json");
    assert_string_equal(got_header("WWW-Authenticate"), "Bearer realm=\"qmn\"");
    expect_with(401, "X-API-Key: nonsense\n", BROADCAST, NUTRIENT);
    assert_true(got.head_answered);
    expect_with(401, "Authorization: Basic " FAKE_KEY "\n", BROADCAST, NUTRIENT);
}

static void a_key_may_come_in_either_header(void **state)
{
    (void)state;
    expect_with(200, "x-api-key: " FAKE_KEY "\n", BROADCAST, NUTRIENT);
    expect_with(200, "Authorization: Bearer " FAKE_KEY "\n", BROADCAST, NUTRIENT);
    expect_with(200, "authorization: bearer   " FAKE_KEY "\n", BROADCAST, NUTRIENT);
}

static void two_keys_are_no_key(void **state)
{
    (void)state;
    expect_with(400, KEY "X-Api-Key: " FAKE_KEY "\n", BROADCAST, NUTRIENT);
    assert_body_has("\"field\":\"x-api-key\"");
    assert_int_equal(fake.authentications, 0);
    expect_with(400, KEY "X-Tenant-ID: a\nX-Tenant-ID: b\n", BROADCAST, NUTRIENT);
}

static void the_tenant_header_reaches_the_engine(void **state)
{
    (void)state;
    expect_with(200, KEY "X-Tenant-ID: other\n", BROADCAST, NUTRIENT);
    assert_string_equal(fake.tenant_header, "other");
}

static void a_missing_scope_is_forbidden_and_audited(void **state)
{
    (void)state;
    fake.scopes = SCOPE_BIT(SCOPE_INBOX);
    expect(403, BROADCAST, NUTRIENT);
    assert_true(got.head_answered);
    assert_body_has("nutrients:write");
    assert_int_equal(fake.calls, 0);
    assert_int_equal(fake.denials, 1);
    assert_string_equal(fake.denied_action, "broadcast");
}

static void admin_calls_want_the_admin_scope(void **state)
{
    (void)state;
    expect(403, "GET /v1/tenants", NULL);
    assert_int_equal(fake.calls, 0);
    expect_with(200, ADMIN, "GET /v1/tenants", NULL);
}

static void every_scoped_route_is_closed_without_its_scope(void **state)
{
    (void)state;
    for (size_t r = 0; r < route_count; r++) {
        if (routes[r].access != ACCESS_SCOPE && routes[r].access != ACCESS_ADMIN)
            continue;
        enum scope s = routes[r].access == ACCESS_ADMIN ? SCOPE_ADMIN : routes[r].scope;
        fake.scopes = ~(SCOPE_BIT(s) | SCOPE_BIT(SCOPE_ADMIN));
        char target[128];
        snprintf(target, sizeof target, "%s %s", http_method_name(routes[r].method),
                 routes[r].pattern);
        expect(403, target, NULL);
        assert_true(got.head_answered);
    }
}

static void a_refusal_of_the_engine_is_audited_too(void **state)
{
    (void)state;
    fake.fail.code = QMN_E_FORBIDDEN;
    expect(403, BROADCAST, NUTRIENT);
    assert_int_equal(fake.denials, 1);
    fake.fail.code = QMN_E_NOT_FOUND;
    expect(404, BROADCAST, NUTRIENT);
    assert_int_equal(fake.denials, 1);
}

static void a_rate_limit_says_when_to_come_back(void **state)
{
    (void)state;
    fake.auth = (struct err){.code = QMN_E_RATE_LIMITED, .retry_after_s = 3, .text = "slow down"};
    expect(429, BROADCAST, NUTRIENT);
    assert_string_equal(got_header("Retry-After"), "3");
    assert_true(got.head_answered);
}

static void metrics_want_an_admin_key_unless_they_are_open(void **state)
{
    (void)state;
    expect_with(401, NULL, "GET /metrics", NULL);
    expect(403, "GET /metrics", NULL);
    expect_with(200, ADMIN, "GET /metrics", NULL);
    struct api *open = NULL;
    struct err e;
    const struct api_config config = {.metrics = registry, .open_metrics = true};
    assert_int_equal(api_new(&config, &open, &e), QMN_OK);
    struct handler h = api_handler(open);
    fake_http(&h, "GET /metrics", NULL, NULL);
    assert_int_equal(got.status, 200);
    assert_body_has("qmn_http_requests_total{");
    api_free(open);
}

static void failures_are_counted(void **state)
{
    (void)state;
    double before = metric_sum("qmn_auth_failures_total", "");
    expect_with(401, NULL, BROADCAST, NUTRIENT);
    expect_with(401, "X-API-Key: x\n", BROADCAST, NUTRIENT);
    assert_true(metric_sum("qmn_auth_failures_total", "") == before + 2);
}

/* ---- what every answer carries ---- */

static void answers_of_known_callers_carry_their_limits(void **state)
{
    (void)state;
    expect(200, BROADCAST, NUTRIENT);
    assert_string_equal(got_header("X-RateLimit-Limit"), "600");
    assert_string_equal(got_header("X-RateLimit-Remaining"), "99");
    assert_string_equal(got_header("X-RateLimit-Reset"), "7");
    expect(422, BROADCAST, "{}");
    assert_string_equal(got_header("X-RateLimit-Limit"), "600");
    expect(204, "DELETE /v1/agents/a", NULL);
    assert_string_equal(got_header("X-RateLimit-Limit"), "600");
    expect_with(401, NULL, BROADCAST, NUTRIENT);
    assert_string_equal(got_header("X-RateLimit-Limit"), "");
}

static void a_request_id_is_echoed_or_made(void **state)
{
    (void)state;
    expect_with(200, KEY "X-Request-Id: abc-1.2:3\n", BROADCAST, NUTRIENT);
    assert_string_equal(got_header("X-Request-Id"), "abc-1.2:3");
    char first[64];
    expect(404, "GET /nowhere", NULL);
    snprintf(first, sizeof first, "%s", got_header("X-Request-Id"));
    assert_int_equal(strlen(first), 36);
    expect_with(404, "X-Request-Id: bad id\n", "GET /nowhere", NULL);
    assert_int_equal(strlen(got_header("X-Request-Id")), 36);
    assert_string_not_equal(first, got_header("X-Request-Id"));
    char long_id[200];
    memset(long_id, 'x', sizeof long_id);
    memcpy(long_id, "X-Request-Id: ", 14);
    memcpy(long_id + 190, "\n", 2);
    expect_with(404, long_id, "GET /nowhere", NULL);
    assert_int_equal(strlen(got_header("X-Request-Id")), 36);
}

static void errors_are_problem_documents(void **state)
{
    (void)state;
    expect_with(404, NULL, "GET /nowhere", NULL);
    assert_string_equal(got_header("Content-Type"), "application/problem+json");
    assert_body_has("\"code\":\"not_found\"");
    expect_with(405, NULL, "PUT /v1/agents", NULL);
    assert_string_equal(got_header("Allow"), "GET, HEAD");
    assert_body_has("\"code\":\"method_not_allowed\"");
    fake.fail = (struct err){
        .code = QMN_E_UNAVAILABLE, .retry_after_s = 2, .text = "no store", .field = "x"};
    expect(503, BROADCAST, NUTRIENT);
    assert_string_equal(got_header("Retry-After"), "2");
    assert_body_has("\"detail\":\"no store\"");
    assert_body_has("\"field\":\"x\"");
}

static struct bytes refusal_header(const struct refusal *r, const char *name)
{
    for (size_t i = 0; i < r->header_count; i++)
        if (bytes_is(r->headers[i].name, name))
            return r->headers[i].value;
    return (struct bytes){NULL, 0};
}

static void requests_that_never_arrived_get_a_problem_document(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    struct refusal r[2];
    struct err e = {.code = QMN_E_TIMEOUT, .text = "headers too slow"};
    for (int i = 0; i < 2; i++)
        handler.on_refused(handler.ctx, &e, NULL, "192.0.2.1", &arena, &r[i]);
    assert_bytes_equal(refusal_header(&r[0], "Content-Type"), "application/problem+json");
    assert_bytes_equal(refusal_header(&r[0], "X-Content-Type-Options"), "nosniff");
    assert_bytes_equal(refusal_header(&r[0], "Cache-Control"), "no-store");
    struct bytes first = refusal_header(&r[0], "X-Request-Id");
    assert_true(bytes_starts(first, BYTES_LIT("req_")) && first.len == 36);
    assert_false(bytes_equal(first, refusal_header(&r[1], "X-Request-Id")));
    char text[512];
    snprintf(text, sizeof text, "%.*s", BYTES_FMT(r[0].body));
    assert_non_null(strstr(text, "\"code\":\"request_timeout\""));
    assert_non_null(strstr(text, "headers too slow"));
    arena_release(&arena);
}

static void a_request_refused_after_its_head_keeps_its_id(void **state)
{
    (void)state;
    const struct header headers[] = {{BYTES_LIT("X-API-Key"), BYTES_LIT(FAKE_KEY)},
                                     {BYTES_LIT("X-Request-Id"), BYTES_LIT("mine-1")}};
    struct request req = {.method = HTTP_POST,
                          .target = BYTES_LIT("/v1/nutrients:broadcast"),
                          .path = BYTES_LIT("/v1/nutrients:broadcast"),
                          .headers = headers,
                          .header_count = 2,
                          .peer = "192.0.2.1"};
    struct err e = {.code = QMN_E_TOO_LARGE, .text = "body too large"};
    struct refusal r;
    struct arena arena;
    arena_init(&arena, 0);
    arena_init(&req.arena, 0);
    assert_true(handler.on_head(handler.ctx, &req));
    handler.on_refused(handler.ctx, &e, &req, req.peer, &arena, &r);
    assert_bytes_equal(refusal_header(&r, "X-Request-Id"), "mine-1");
    assert_bytes_equal(refusal_header(&r, "X-RateLimit-Limit"), "600");
    arena_release(&arena);
    arena_release(&req.arena);
}

static void without_memory_a_refusal_is_still_a_document(void **state)
{
    (void)state;
    struct err e = {.code = QMN_E_NOMEM, .text = "out of memory"};
    for (unsigned n = 1, failing = 1; failing; n++) {
        struct refusal r = {0};
        struct arena arena;
        arena_init(&arena, 0);
        fault_arm(n);
        handler.on_refused(handler.ctx, &e, NULL, "192.0.2.1", &arena, &r);
        failing = fault_disarm();
        assert_bytes_equal(refusal_header(&r, "Content-Type"), "application/problem+json");
        assert_true(bytes_starts(r.body, BYTES_LIT("{\"type\":")));
        arena_release(&arena);
    }
}

static void requests_are_counted_by_route_and_code(void **state)
{
    (void)state;
    double ok = metric_sum("qmn_http_requests_total", "route=\"broadcast\",code=\"200\"");
    double bad = metric_sum("qmn_http_requests_total", "route=\"broadcast\",code=\"422\"");
    double none = metric_sum("qmn_http_requests_total", "route=\"none\",code=\"404\"");
    double timed = metric_sum("qmn_http_request_seconds_count", "route=\"broadcast\"");
    double in = metric_sum("qmn_http_request_body_bytes_total", "");
    expect(200, BROADCAST, NUTRIENT);
    expect(422, BROADCAST, "{}");
    expect(404, "GET /nowhere", NULL);
    assert_true(metric_sum("qmn_http_requests_total", "route=\"broadcast\",code=\"200\"") ==
                ok + 1);
    assert_true(metric_sum("qmn_http_requests_total", "route=\"broadcast\",code=\"422\"") ==
                bad + 1);
    assert_true(metric_sum("qmn_http_requests_total", "route=\"none\",code=\"404\"") == none + 1);
    assert_true(metric_sum("qmn_http_request_seconds_count", "route=\"broadcast\"") == timed + 2);
    assert_true(metric_sum("qmn_http_request_body_bytes_total", "") ==
                in + (double)strlen(NUTRIENT) + 2);
    assert_true(metric_sum("qmn_http_requests_in_flight", "") == 0);
}

/* ---- what is read ---- */

static void a_body_must_be_json_or_untyped(void **state)
{
    (void)state;
    expect_with(200, KEY "Content-Type: application/json\n", BROADCAST, NUTRIENT);
    expect_with(200, KEY "Content-Type: Application/JSON; charset=utf-8\n", BROADCAST, NUTRIENT);
    expect_with(200, KEY "Content-Type: application/vnd.x+json\n", BROADCAST, NUTRIENT);
    static const char *const wrong[] = {"text/plain",
                                        "application/x-www-form-urlencoded",
                                        "multipart/form-data",
                                        "application/jsonx",
                                        "json",
                                        "application/",
                                        "application/json5",
                                        ";application/json",
                                        "application/+json ",
                                        "text/json"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        char headers[200];
        snprintf(headers, sizeof headers, KEY "Content-Type: %s\n", wrong[i]);
        expect_with(415, headers, BROADCAST, NUTRIENT);
        assert_body_has("\"code\":\"unsupported_media_type\"");
        assert_body_has("send Content-Type: application/json;");
    }
    assert_int_equal(fake.calls, 3);
    expect_with(200, KEY, BROADCAST, NUTRIENT);
    /* Nothing came, so nothing came in the wrong type. */
    expect_with(200, KEY "Content-Type: text/plain\n", "POST /v1/keys/k:revoke", NULL);
}

static void malformed_json_and_broken_constraints_are_told_apart(void **state)
{
    (void)state;
    expect(400, BROADCAST, "{");
    assert_body_has("\"code\":\"malformed\"");
    expect(422, BROADCAST, "{}");
    assert_body_has("\"field\":\"summary\"");
    expect(422, BROADCAST, NULL);
    assert_body_has("\"field\":\"summary\"");
    expect(422, BROADCAST, "{\"summary\":\"s\",\"ttl_sec\":3601}");
    assert_body_has("\"field\":\"ttl_sec\"");
    assert_int_equal(fake.calls, 0);
}

static void path_parameters_are_decoded_and_checked(void **state)
{
    (void)state;
    expect(200, "GET /v1/agents/a%2Fb%20c%C3%A9+", NULL);
    assert_string_equal(fake.text[0], "a/b c\xc3\xa9+");
    expect(400, "GET /v1/agents/a%2", NULL);
    expect(400, "GET /v1/agents/a%", NULL);
    expect(400, "GET /v1/agents/%zz", NULL);
    unsigned calls = fake.calls;
    fake_http(&handler, "GET /v1/agents/%ff", KEY, NULL);
    assert_true(got.status == 400 || got.status == 422);
    fake_http(&handler, "GET /v1/agents/a%00b", KEY, NULL);
    assert_true(got.status == 400 || got.status == 422);
    expect(422, "GET /v1/agents/a%0Ab", NULL);
    assert_body_has("\"field\":\"agent_id\"");
    char path[400] = "GET /v1/agents/";
    memset(path + 15, 'a', 256);
    expect(422, path, NULL);
    assert_int_equal(fake.calls, calls);
}

static void the_path_beats_the_body(void **state)
{
    (void)state;
    expect(200, "POST /v1/agents/real/nutrients:ack",
           "{\"agent_id\":\"forged\",\"nutrient_ids\":[\"n\"]}");
    assert_string_equal(fake.text[0], "real");
}

static void query_parameters_are_read_where_the_table_says_so(void **state)
{
    (void)state;
    expect(200, "GET /v1/agents?limit=7&status_filter=idle&capability=a%20b&x=y", NULL);
    assert_string_equal(fake.text[0], "a b");
    assert_true(fake.number[0] == 2 && fake.number[1] == 7);
    expect(422, "GET /v1/agents?limit=0", NULL);
    assert_body_has("\"field\":\"limit\"");
    expect(422, "GET /v1/agents?limit=seven", NULL);
    expect(422, "GET /v1/agents?status_filter=nonsense", NULL);
    expect(200, "POST /v1/nutrients:broadcast?ttl_sec=1", NUTRIENT);
    assert_true(fake.number[1] == 180);
    expect(200, "POST /v1/edges:prune?threshold=0.25", NULL);
    assert_true(fake.number[0] == 0.25);
    expect(200, "POST /v1/edges:prune", "{\"threshold\":0.5}");
    assert_true(fake.number[0] == 0.5);
}

static void calls_without_a_body_allow_next_to_none(void **state)
{
    (void)state;
    expect(200, "GET /v1/agents/a", NULL);
    assert_int_equal(got.body_limit, 1024);
    expect(200, BROADCAST, NUTRIENT);
    assert_int_equal(got.body_limit, 1 << 20);
}

static void a_listener_of_one_service_serves_only_that(void **state)
{
    (void)state;
    fake_http_bytes(&handler, "GET /v1/hyphal/m", KEY, (struct bytes){NULL, 0}, 1);
    assert_int_equal(got.status, 200);
    fake_http_bytes(&handler, "GET /v1/agents", KEY, (struct bytes){NULL, 0}, 1);
    assert_int_equal(got.status, 404);
    fake_http_bytes(&handler, "GET /health", NULL, (struct bytes){NULL, 0}, 1);
    assert_int_equal(got.status, 200);
    assert_body_has("\"service\":\"memory\"");
}

/* ---- idempotency ---- */

static void the_idempotency_key_and_a_fingerprint_reach_the_engine(void **state)
{
    (void)state;
    expect_with(200, KEY "Idempotency-Key: once only\n", BROADCAST, NUTRIENT);
    assert_string_equal(fake.idempotency_value, "once only");
    assert_bytes_equal(fake.idempotency.route, "broadcast");
    uint64_t first[2] = {fake.idempotency.body_hash[0], fake.idempotency.body_hash[1]};
    expect_with(200, KEY "Idempotency-Key: once only\n", "POST /router/v1/nutrients:broadcast",
                NUTRIENT);
    assert_memory_equal(first, fake.idempotency.body_hash, sizeof first);
    expect_with(200, KEY "Idempotency-Key: once only\n", BROADCAST,
                "{\"summary\":\"s\",\"text\":\"u\"}");
    assert_memory_not_equal(first, fake.idempotency.body_hash, sizeof first);
}

static void the_fingerprint_covers_path_and_query(void **state)
{
    (void)state;
    expect_with(204, KEY "Idempotency-Key: k\n", "DELETE /v1/agents/a", NULL);
    uint64_t a[2] = {fake.idempotency.body_hash[0], fake.idempotency.body_hash[1]};
    expect_with(204, KEY "Idempotency-Key: k\n", "DELETE /v1/agents/b", NULL);
    assert_memory_not_equal(a, fake.idempotency.body_hash, sizeof a);
    expect_with(204, KEY "Idempotency-Key: k\n", "DELETE /v1/agents/a?x=1", NULL);
    assert_memory_not_equal(a, fake.idempotency.body_hash, sizeof a);
}

static void a_bad_idempotency_key_is_named(void **state)
{
    (void)state;
    char headers[400];
    snprintf(headers, sizeof headers, KEY "Idempotency-Key: %0*d\n", 255, 1);
    expect_with(200, headers, BROADCAST, NUTRIENT);
    assert_int_equal(strlen(fake.idempotency_value), 255);
    snprintf(headers, sizeof headers, KEY "Idempotency-Key: %0*d\n", 256, 1);
    expect_with(422, headers, BROADCAST, NUTRIENT);
    assert_body_has("\"field\":\"Idempotency-Key\"");
    expect_with(422, KEY "Idempotency-Key: a\xc3\xa9\n", BROADCAST, NUTRIENT);
    expect_with(422, KEY "Idempotency-Key: \n", BROADCAST, NUTRIENT);
    expect_with(400, KEY "Idempotency-Key: a\nIdempotency-Key: a\n", BROADCAST, NUTRIENT);
    assert_int_equal(fake.calls, 1);
}

static void reads_ignore_the_idempotency_key(void **state)
{
    (void)state;
    expect_with(200, KEY "Idempotency-Key: k\n", "GET /v1/agents", NULL);
    assert_string_equal(fake.idempotency_value, "");
}

static void a_replay_says_so(void **state)
{
    (void)state;
    expect(200, BROADCAST, NUTRIENT);
    assert_string_equal(got_header("Idempotent-Replayed"), "");
    fake.replay = true;
    expect(200, BROADCAST, NUTRIENT);
    assert_string_equal(got_header("Idempotent-Replayed"), "true");
}

/* ---- later, or never ---- */

static void an_answer_may_come_later(void **state)
{
    (void)state;
    fake.hold = true;
    fake_http(&handler, BROADCAST, KEY, NUTRIENT);
    assert_int_equal(got.answers, 0);
    assert_true(metric_sum("qmn_http_requests_in_flight", "") == 1);
    fake_engine_release();
    assert_int_equal(got.answers, 1);
    assert_int_equal(got.status, 200);
    assert_true(metric_sum("qmn_http_requests_in_flight", "") == 0);
}

static void the_end_of_a_round_reaches_the_engine(void **state)
{
    (void)state;
    handler.on_round(handler.ctx, NULL);
    assert_int_equal(fake.rounds, 1);
}

static void a_client_that_leaves_ends_its_pull(void **state)
{
    (void)state;
    fake_http(&handler, "GET /v1/agents/a/nutrients?wait_ms=20000", KEY, NULL);
    assert_int_equal(got.answers, 0);
    fake_http_leave();
    assert_int_equal(fake.cancels, 1);
    assert_int_equal(got.answers, 1);
}

static void a_client_that_leaves_lets_a_change_run_to_its_end(void **state)
{
    (void)state;
    fake.hold = true;
    fake_http(&handler, BROADCAST, KEY, NUTRIENT);
    fake_http_leave();
    assert_int_equal(got.answers, 0);
    fake_engine_release();
    assert_int_equal(got.answers, 1);
}

static void a_late_answer_counts_as_what_the_client_was_told(void **state)
{
    (void)state;
    static const char late[] = "route=\"broadcast\",code=\"503\"";
    double before = metric_sum("qmn_http_requests_total", late);
    fake.hold = true;
    fake_http(&handler, BROADCAST, KEY, NUTRIENT);
    fake_http_expire();
    assert_int_equal(got.answers, 0); /* a change runs to its end */
    fake_engine_release();
    assert_int_equal(got.answers, 1); /* net throws it away */
    assert_true(metric_sum("qmn_http_requests_total", late) == before + 1);
    assert_true(metric_sum("qmn_http_requests_in_flight", "") == 0);
}

static void only_what_waits_moves_its_deadline(void **state)
{
    (void)state;
    static const struct {
        const char *what, *body;
        uint32_t ms;
    } rows[] = {
        {"GET /v1/agents/a/nutrients?wait_ms=20000", NULL, 20000},
        {"GET /v1/agents/a/nutrients", NULL, 0},
        {"POST /v1/contexts:collect", "{\"text\":\"t\",\"window_ms\":700}", 700},
        {"POST /v1/node:backup", NULL, LIMIT_BACKUP_MS},
        {BROADCAST, NUTRIENT, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        fake_http(&handler, rows[i].what, ADMIN, rows[i].body);
        assert_int_equal(got.extended_ms, rows[i].ms);
        if (!got.answers)
            fake_http_leave();
        assert_true(got.status < 300);
    }
}

static void out_of_memory_is_an_answer_too(void **state)
{
    (void)state;
    for (size_t r = 0; r < route_count; r++) {
        char target[160];
        snprintf(target, sizeof target, "%s %s", http_method_name(routes[r].method),
                 routes[r].pattern);
        for (unsigned n = 1;; n++) {
            assert_true(n < 500);
            fake.pull_count = 0;
            fake_http_reset();
            fault_arm(n);
            fake_http(&handler, target, ADMIN,
                      "{\"summary\":\"s\",\"text\":\"t\",\"content\":{},\"trace_id\":\"t\","
                      "\"outcome_score\":1,\"agent_id\":\"a\",\"kind\":\"k\",\"id\":\"ttt\","
                      "\"name\":\"n\",\"title\":\"t\",\"policy_type\":\"dlp\",\"rules\":{},"
                      "\"memories\":[{\"kind\":\"k\",\"content\":{},\"text\":\"t\"}],"
                      "\"metadata\":null,"
                      "\"api_key\":\"k\",\"nutrient_ids\":[\"n\"],\"scopes\":[\"a\"],"
                      "\"conditions\":[],\"hop_outcomes\":{\"a\":1},\"filters\":{\"kind\":\"k\"}}");
            bool hit = fault_disarm();
            if (got.streamed && !got.ended)
                fake_http_leave();
            if (fake.held)
                fake_engine_release();
            assert_int_equal(got.answers, 1);
            if (!hit)
                break;
            if (got.status >= 300 && got.status != 503)
                fail_msg("%s: %d at allocation %u: %s", target, got.status, n, got.body);
        }
        if (got.status >= 300)
            fail_msg("%s: %d: %s", target, got.status, got.body);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, api_reset)
    const struct CMUnitTest tests[] = {
        TEST(a_request_without_a_key_is_refused_before_its_body),
        TEST(a_key_may_come_in_either_header),
        TEST(two_keys_are_no_key),
        TEST(the_tenant_header_reaches_the_engine),
        TEST(a_missing_scope_is_forbidden_and_audited),
        TEST(admin_calls_want_the_admin_scope),
        TEST(every_scoped_route_is_closed_without_its_scope),
        TEST(a_refusal_of_the_engine_is_audited_too),
        TEST(a_rate_limit_says_when_to_come_back),
        TEST(metrics_want_an_admin_key_unless_they_are_open),
        TEST(failures_are_counted),
        TEST(answers_of_known_callers_carry_their_limits),
        TEST(a_request_id_is_echoed_or_made),
        TEST(errors_are_problem_documents),
        TEST(requests_that_never_arrived_get_a_problem_document),
        TEST(a_request_refused_after_its_head_keeps_its_id),
        TEST(without_memory_a_refusal_is_still_a_document),
        TEST(requests_are_counted_by_route_and_code),
        TEST(a_body_must_be_json_or_untyped),
        TEST(malformed_json_and_broken_constraints_are_told_apart),
        TEST(path_parameters_are_decoded_and_checked),
        TEST(the_path_beats_the_body),
        TEST(query_parameters_are_read_where_the_table_says_so),
        TEST(calls_without_a_body_allow_next_to_none),
        TEST(a_listener_of_one_service_serves_only_that),
        TEST(the_idempotency_key_and_a_fingerprint_reach_the_engine),
        TEST(the_fingerprint_covers_path_and_query),
        TEST(a_bad_idempotency_key_is_named),
        TEST(reads_ignore_the_idempotency_key),
        TEST(a_replay_says_so),
        TEST(an_answer_may_come_later),
        TEST(the_end_of_a_round_reaches_the_engine),
        TEST(a_client_that_leaves_ends_its_pull),
        TEST(a_client_that_leaves_lets_a_change_run_to_its_end),
        TEST(a_late_answer_counts_as_what_the_client_was_told),
        TEST(only_what_waits_moves_its_deadline),
        TEST(out_of_memory_is_an_answer_too),
    };
    return cmocka_run_group_tests(tests, api_up, api_down);
}
