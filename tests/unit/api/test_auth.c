/* SPDX-License-Identifier: MIT
 *
 * Failures without a key: each counted, one line a minute and source. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "api/api_priv.h"
#include "base/log.h"
#include "fixture.h"

enum { SECOND = 1000000 };

static struct denials *denials;
static int old_stderr, captured;

static int up(void **state)
{
    (void)state;
    log_configure(LOG_INFO, LOG_LOGFMT);
    denials = denials_new(NULL);
    char path[] = "/tmp/qmn-test-XXXXXX";
    captured = mkstemp(path);
    unlink(path);
    old_stderr = dup(2);
    return denials && captured >= 0 && dup2(captured, 2) == 2 ? 0 : -1;
}

static int down(void **state)
{
    (void)state;
    denials_free(denials);
    dup2(old_stderr, 2);
    close(old_stderr);
    close(captured);
    return 0;
}

/* Lines about `peer` so far. */
static size_t lines(const char *peer)
{
    static char text[1 << 20];
    ssize_t n = pread(captured, text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = 0;
    size_t count = 0;
    for (const char *at = text; (at = strstr(at, peer)); at++)
        count++;
    return count;
}

static bool logged(const char *text)
{
    return lines(text) > 0;
}

static void a_source_is_logged_once_a_minute_with_its_count(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++)
        denials_note(denials, "198.51.100.7", i * SECOND / 10);
    assert_int_equal(lines("198.51.100.7"), 1);
    denials_note(denials, "198.51.100.7", 61 * SECOND);
    assert_int_equal(lines("198.51.100.7"), 2);
    assert_true(logged("count=100"));
}

static void sources_do_not_hide_each_other(void **state)
{
    (void)state;
    denials_note(denials, "198.51.100.8", 0);
    denials_note(denials, "198.51.100.9", 0);
    assert_int_equal(lines("198.51.100.8"), 1);
    assert_int_equal(lines("198.51.100.9"), 1);
}

static void many_sources_take_the_quietest_place(void **state)
{
    (void)state;
    denials_note(denials, "203.0.113.1", 1);
    for (int i = 0; i < 1023; i++) {
        char peer[48];
        snprintf(peer, sizeof peer, "10.0.%d.%d", i / 256, i % 256);
        denials_note(denials, peer, 2 + i);
    }
    denials_note(denials, "203.0.113.1", 5000); /* still known: no new line */
    assert_int_equal(lines("203.0.113.1"), 1);
    denials_note(denials, "203.0.113.2", 5001); /* takes the place of 10.0.0.0 */
    assert_int_equal(lines("203.0.113.2"), 1);
    denials_note(denials, "203.0.113.1", 5002);
    assert_int_equal(lines("203.0.113.1"), 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, up, down)
    const struct CMUnitTest tests[] = {
        TEST(a_source_is_logged_once_a_minute_with_its_count),
        TEST(sources_do_not_hide_each_other),
        TEST(many_sources_take_the_quietest_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
