/* SPDX-License-Identifier: MIT
 *
 * Log lines are read back from the pipe that stands in for stderr. */
#include "support/test.h"

#include <fcntl.h>
#include <math.h>
#include <unistd.h>

#include "base/log.h"

struct capture {
    int pipe_out, saved_stderr;
    char text[65536];
};

static void capture_start(struct capture *c)
{
    int fds[2];
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    c->saved_stderr = dup(STDERR_FILENO);
    assert_true(c->saved_stderr >= 0);
    assert_true(dup2(fds[1], STDERR_FILENO) >= 0);
    close(fds[1]);
    c->pipe_out = fds[0];
}

/* Everything logged since the start; one pipe-full at most. */
static const char *capture_end(struct capture *c)
{
    assert_true(dup2(c->saved_stderr, STDERR_FILENO) >= 0);
    close(c->saved_stderr);
    size_t len = 0;
    ssize_t n;
    while ((n = read(c->pipe_out, c->text + len, sizeof c->text - 1 - len)) > 0)
        len += (size_t)n;
    close(c->pipe_out);
    c->text[len] = 0;
    return c->text;
}

static struct capture captured;

static int count_of(const char *text, char c)
{
    int n = 0;
    for (; *text; text++)
        n += *text == c;
    return n;
}

static int restore_defaults(void **state)
{
    (void)state;
    log_configure(LOG_INFO, LOG_LOGFMT);
    return 0;
}

static void logfmt_has_time_level_event_and_typed_fields(void **state)
{
    (void)state;
    capture_start(&captured);
    log_warn("inbox full", LOG_S("tenant", "demo"), LOG_I("dropped", -3), LOG_F("share", 0.25));
    const char *line = capture_end(&captured);
    assert_memory_equal(line, "time=2", 6);
    assert_non_null(strstr(line, "+00:00 level=warn event=\"inbox full\" tenant=demo dropped=-3 "
                                 "share=0.25\n"));
}

static void json_has_the_same_fields(void **state)
{
    (void)state;
    log_configure(LOG_INFO, LOG_JSON);
    capture_start(&captured);
    log_error("commit failed", LOG_S("why", "disk \"full\""), LOG_I("group", 64));
    const char *line = capture_end(&captured);
    assert_memory_equal(line, "{\"time\":\"2", 10);
    assert_non_null(strstr(line, ",\"level\":\"error\",\"event\":\"commit failed\","
                                 "\"why\":\"disk \\\"full\\\"\",\"group\":64}\n"));
}

static void hostile_values_cannot_forge_a_line_or_a_field(void **state)
{
    (void)state;
    static const char evil[] =
        "x\ntime=0 level=error event=\"forged\"\r\x1b[2J\xe2\x80\xa8\\\" a=b";
    for (int format = LOG_LOGFMT; format <= LOG_JSON; format++) {
        log_configure(LOG_INFO, (enum log_format)format);
        capture_start(&captured);
        log_info("request", LOG_S("agent", evil), LOG_I("after", 1));
        const char *line = capture_end(&captured);
        assert_int_equal(count_of(line, '\n'), 1);
        for (const char *c = line; *c && *c != '\n'; c++)
            assert_in_range((unsigned char)*c, 0x20, 0x7e);
        assert_non_null(strstr(line, "\"x\\u000atime=0 level=error event=\\\"forged\\\"\\u000d"
                                     "\\u001b[2J\\u00e2\\u0080\\u00a8\\\\\\\" a=b\""));
        assert_non_null(strstr(line, format == LOG_JSON ? ",\"after\":1}\n" : " after=1\n"));
    }
}

static void words_that_would_read_as_structure_are_quoted(void **state)
{
    (void)state;
    static const char *const quoted[] = {"", "a b", "a=b", "a\"b", "a\\b"};
    for (size_t i = 0; i < sizeof quoted / sizeof quoted[0]; i++) {
        capture_start(&captured);
        log_info("e", LOG_S("v", quoted[i]));
        assert_non_null(strstr(capture_end(&captured), " v=\""));
    }
}

static void a_line_that_is_too_long_still_ends(void **state)
{
    (void)state;
    static char noise[4000];
    memset(noise, 1, sizeof noise); /* each byte escapes to six */
    struct bytes n = bytes_of(noise, sizeof noise);
    for (int format = LOG_LOGFMT; format <= LOG_JSON; format++) {
        log_configure(LOG_INFO, (enum log_format)format);
        capture_start(&captured);
        log_info("first", LOG_T("a", n), LOG_T("b", n), LOG_T("c", n));
        log_info("second", LOG_I("ok", 1));
        const char *text = capture_end(&captured);
        assert_int_equal(count_of(text, '\n'), 2);
        assert_true(strstr(text, "second") > strchr(text, '\n'));
        assert_non_null(strstr(text, format == LOG_JSON ? ",\"cut\":true}\n" : " cut=true\n"));
    }
}

static void numbers_that_json_cannot_say_become_null(void **state)
{
    (void)state;
    log_configure(LOG_INFO, LOG_JSON);
    capture_start(&captured);
    log_info("e", LOG_F("a", NAN), LOG_F("b", INFINITY), LOG_F("c", 1e300));
    assert_non_null(strstr(capture_end(&captured), ",\"a\":null,\"b\":null,\"c\":1e+300}\n"));
}

static void levels_below_the_threshold_are_silent(void **state)
{
    (void)state;
    log_configure(LOG_WARN, LOG_LOGFMT);
    capture_start(&captured);
    log_debug("no", LOG_I("a", 1));
    log_info("no", LOG_I("a", 1));
    assert_string_equal(capture_end(&captured), "");
    assert_false(log_enabled(LOG_INFO));
    assert_true(log_enabled(LOG_WARN));
}

static void level_names_are_read_in_any_case(void **state)
{
    (void)state;
    enum log_level level;
    assert_true(log_level_parse(BYTES_LIT("debug"), &level));
    assert_int_equal(level, LOG_DEBUG);
    assert_true(log_level_parse(BYTES_LIT("WARNING"), &level));
    assert_int_equal(level, LOG_WARN);
    assert_true(log_level_parse(BYTES_LIT("Error"), &level));
    assert_int_equal(level, LOG_ERROR);
    assert_false(log_level_parse(BYTES_LIT("warnin"), &level));
    assert_false(log_level_parse(BYTES_LIT(""), &level));
    assert_int_equal(level, LOG_ERROR);
}

#define LOG_TEST(f) cmocka_unit_test_teardown(f, restore_defaults)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOG_TEST(logfmt_has_time_level_event_and_typed_fields),
        LOG_TEST(json_has_the_same_fields),
        LOG_TEST(hostile_values_cannot_forge_a_line_or_a_field),
        LOG_TEST(words_that_would_read_as_structure_are_quoted),
        LOG_TEST(a_line_that_is_too_long_still_ends),
        LOG_TEST(numbers_that_json_cannot_say_become_null),
        LOG_TEST(levels_below_the_threshold_are_silent),
        LOG_TEST(level_names_are_read_in_any_case),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
