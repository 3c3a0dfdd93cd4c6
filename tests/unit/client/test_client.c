/* SPDX-License-Identifier: MIT
 *
 * Problems, paths and the refusals that need no server. */
#include "support/test.h"

#include "client/client_priv.h"
#include "codec/problem.h"

static void a_problem_comes_back_as_the_error_it_was(void **state)
{
    (void)state;
    struct err sent = {0}, got = {0};
    struct buf b;
    buf_init(&b, 4096);
    err_field(&sent, QMN_E_DIMENSION, "profile.embedding", "expected 1536 numbers, got \"3\"");
    problem_encode(&sent, &b);
    assert_int_equal(client_problem(422, buf_bytes(&b), 0, &got), QMN_E_DIMENSION);
    assert_string_equal(got.text, sent.text);
    assert_string_equal(got.field, "profile.embedding");
    buf_release(&b);
}

static void every_code_survives_the_way(void **state)
{
    (void)state;
    for (int i = 1; i < QMN_CODE_COUNT; i++) {
        struct err sent = {0}, got = {0};
        struct buf b;
        buf_init(&b, 4096);
        err_set(&sent, (enum qmn_code)i, "why");
        problem_encode(&sent, &b);
        assert_int_equal(
            client_problem(code_info((enum qmn_code)i)->http_status, buf_bytes(&b), 9, &got), i);
        assert_int_equal(got.retry_after_s, 9);
        buf_release(&b);
    }
}

static void an_answer_of_something_else_gives_the_nearest_code(void **state)
{
    (void)state;
    static const char *const bodies[] = {"", "<html>Bad Gateway</html>", "[1]",
                                         "{\"code\":", "{\"code\":7,\"detail\":{}}"};
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        struct err got = {0};
        assert_int_equal(client_problem(404, bytes_cstr(bodies[i]), 0, &got), QMN_E_NOT_FOUND);
        assert_non_null(strstr(got.text, "404"));
        assert_int_equal(client_problem(502, bytes_cstr(bodies[i]), 0, &got), QMN_E_UNAVAILABLE);
    }
}

static void paths_are_encoded(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 4096);
    buf_adds(&b, "/v1/agents/");
    client_path_segment(&b, "a/b c?\xc3\xa4");
    client_path_query(&b, "q", "x&y=z");
    client_path_query(&b, "none", NULL);
    client_path_query(&b, "empty", "");
    client_path_query_int(&b, "n", -5);
    assert_bytes_equal(buf_bytes(&b), "/v1/agents/a%2Fb%20c%3F%C3%A4?q=x%26y%3Dz&n=-5");
    buf_release(&b);
}

static enum qmn_code make(const char *url, const char *key, const char *tenant)
{
    struct client *c = NULL;
    struct err err = {0};
    const struct client_config config = {.url = url, .key = key, .tenant = tenant};
    enum qmn_code code = client_new(&config, &c, &err);
    assert_true((code == QMN_OK) == (c != NULL));
    client_free(c);
    return code;
}

static void what_is_no_url_is_refused(void **state)
{
    (void)state;
    assert_int_equal(make("http://127.0.0.1:8022/", NULL, NULL), QMN_OK);
    assert_int_equal(make("https://node.example/qmn", "k", "t"), QMN_OK);
    assert_int_equal(make("127.0.0.1:8022", NULL, NULL), QMN_OK);
    assert_int_equal(make("", NULL, NULL), QMN_E_INVALID);
    assert_int_equal(make("gopher://host", NULL, NULL), QMN_E_INVALID);
    assert_int_equal(make("user:secret@host", NULL, NULL), QMN_E_INVALID);
    assert_int_equal(make("file:///etc/passwd", NULL, NULL), QMN_E_INVALID);
    assert_int_equal(make("http://", NULL, NULL), QMN_E_INVALID);
    assert_int_equal(make("http://user:secret@host/", NULL, NULL), QMN_E_INVALID);
    assert_int_equal(make("http://host/\r\nX: y", NULL, NULL), QMN_E_INVALID);
}

static void a_header_cannot_be_smuggled_in(void **state)
{
    (void)state;
    assert_int_equal(make("http://h", "key\r\nX-Tenant-ID: other", NULL), QMN_E_INVALID);
    assert_int_equal(make("http://h", "key", "a\nb"), QMN_E_INVALID);
}

static void nobody_there_is_told_apart_from_a_refusal(void **state)
{
    (void)state;
    struct client *c = NULL;
    struct err err = {0};
    struct arena arena;
    struct client_answer answer;
    arena_init(&arena, 0);
    const struct client_config config = {.url = "http://127.0.0.1:1"};
    const struct client_call call = {.method = "GET", .path = "/health"};
    assert_int_equal(client_new(&config, &c, &err), QMN_OK);
    assert_int_equal(client_send(c, &call, &arena, &answer, &err), QMN_E_UNAVAILABLE);
    assert_string_equal(err.text, "cannot reach 127.0.0.1:1: connection refused");
    assert_true(client_unreachable(c));
    client_free(c);
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_problem_comes_back_as_the_error_it_was),
        cmocka_unit_test(every_code_survives_the_way),
        cmocka_unit_test(an_answer_of_something_else_gives_the_nearest_code),
        cmocka_unit_test(paths_are_encoded),
        cmocka_unit_test(what_is_no_url_is_refused),
        cmocka_unit_test(a_header_cannot_be_smuggled_in),
        cmocka_unit_test(nobody_there_is_told_apart_from_a_refusal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
