/* SPDX-License-Identifier: MIT
 *
 * The layers of the configuration, and what they say when they are wrong. */
#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/limits.h"
#include "daemon/config.h"

static char *no_env[] = {NULL};

static enum qmn_code load_env(struct config *c, char **env, struct err *err, int count,
                              const char *const *flags)
{
    char *argv[16] = {(char *)(uintptr_t) "qmnd"};
    for (int i = 0; i < count; i++)
        argv[i + 1] = (char *)(uintptr_t)flags[i];
    return config_load(c, count + 1, argv, env, err);
}

#define LOAD(c, err, ...)                                                                          \
    load_env(c, no_env, err, (int)ARRAY_LEN(((const char *const[]){__VA_ARGS__})),                 \
             (const char *const[]){__VA_ARGS__})

static void assert_contains(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("expected \"%s\" in \"%s\"", part, text);
}

static void refused(const char *const *flags, int count, const char *part)
{
    struct config c;
    struct err err = {0};
    assert_int_equal(load_env(&c, no_env, &err, count, flags), QMN_E_INVALID);
    assert_contains(err.text, part);
    config_release(&c);
}

#define REFUSED(part, ...)                                                                         \
    refused((const char *const[]){__VA_ARGS__},                                                    \
            (int)ARRAY_LEN(((const char *const[]){__VA_ARGS__})), part)

static void nothing_said_gives_the_defaults(void **state)
{
    (void)state;
    struct config c;
    struct err err = {0};
    assert_int_equal(load_env(&c, no_env, &err, 0, NULL), QMN_OK);
    assert_int_equal(c.action, CONFIG_RUN);
    assert_string_equal(c.data_dir, "var/data");
    assert_int_equal(c.listen_count, 1);
    assert_string_equal(c.listen[0].host, "127.0.0.1");
    assert_int_equal(c.listen[0].port, 8022);
    assert_int_equal(c.store, CONFIG_STORE_SQLITE);
    assert_int_equal(c.synchronous, STORE_SYNC_FULL);
    assert_int_equal(c.log_level, LOG_INFO);
    assert_int_equal(c.max_connections, LIMIT_CONNECTIONS);
    assert_int_equal(c.max_per_peer, LIMIT_CONNECTIONS_PER_PEER);
    assert_true(c.epsilon == 0.1);
    config_release(&c);
}

static void flag_beats_environment_beats_file(void **state)
{
    (void)state;
    char path[] = "/tmp/qmn-config-XXXXXX";
    int fd = mkstemp(path);
    const char text[] = "# three layers\nregion = from-file\nloops=2\n max_connections = 77 \r\n"
                        "max_connections_per_peer = 7\n"
                        "listen = 127.0.0.1:1\nlisten = \"[::1]:2\"\n";
    assert_int_equal(write(fd, text, sizeof text - 1), sizeof text - 1);
    close(fd);
    char *env[] = {(char *)(uintptr_t) "QMN_REGION=from-env", (char *)(uintptr_t) "QMN_LOOPS=3",
                   (char *)(uintptr_t) "LOG_LEVEL=Warning",
                   (char *)(uintptr_t) "QMN_EPSILON=", NULL};
    const char *const flags[] = {"--config", path, "--region=from-flag"};
    struct config c;
    struct err err = {0};
    assert_int_equal(load_env(&c, env, &err, 3, flags), QMN_OK);
    assert_string_equal(c.region, "from-flag");
    assert_int_equal(c.loops, 3);
    assert_int_equal(c.max_connections, 77);
    assert_int_equal(c.max_per_peer, 7);
    assert_int_equal(c.log_level, LOG_WARN);
    assert_true(c.epsilon == 0.1);
    assert_int_equal(c.listen_count, 2);
    assert_string_equal(c.listen[1].host, "::1");

    char printed[4096] = "";
    FILE *out = fmemopen(printed, sizeof printed, "w");
    config_print(&c, out);
    fclose(out);
    assert_contains(printed, "region = from-flag");
    assert_contains(printed, "# flag\n");
    assert_contains(printed, "max-connections-per-peer = 7 ");
    assert_contains(printed, "# QMN_LOOPS\n");
    assert_contains(printed, "# LOG_LEVEL\n");
    assert_contains(printed, ":4\n");
    assert_contains(printed, "# default\n");
    config_release(&c);
    unlink(path);
}

static void a_wrong_file_is_refused_by_line(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"\nregoin = x\n", ":2: unknown key regoin; did you mean region?"},
        {"loops 3\n", ":1: expected `key = value`"},
        {"loops = 1\nloops = 2\n", ":2: loops is given twice"},
        {"restore = /tmp/x\n", ":1: unknown key restore"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char path[] = "/tmp/qmn-config-XXXXXX";
        int fd = mkstemp(path);
        assert_true(write(fd, cases[i][0], strlen(cases[i][0])) > 0);
        close(fd);
        REFUSED(cases[i][1], "--config", path);
        unlink(path);
    }
    REFUSED("No such file", "--config", "/nonexistent/qmn.conf");
}

static void unknown_flags_name_the_nearest(void **state)
{
    (void)state;
    REFUSED("unknown option --lsiten; did you mean --listen?", "--lsiten", "127.0.0.1:1");
    REFUSED("unknown option --frobnicate; see qmnd --help", "--frobnicate");
    REFUSED("unexpected argument start", "start");
    REFUSED("--data-dir needs a value: DIR", "--data-dir");
    REFUSED("region is given twice", "--region", "a", "--region", "b");
}

static void wrong_values_say_what_was_expected(void **state)
{
    (void)state;
    REFUSED("loops (flag): expected a whole number from 0 to 256, got \"many\"", "--loops", "many");
    REFUSED("expected a whole number", "--loops", "1.5");
    REFUSED("expected a whole number", "--loops", "-1");
    REFUSED("expected a number from 0 to 1, got \"nan\"", "--epsilon", "nan");
    REFUSED("expected sqlite|memory, got \"redis\"", "--store", "redis");
    REFUSED("expected yes or no", "--allow-plaintext=maybe");
    REFUSED("expected debug, info", "--log-level", "loud");
    REFUSED("expected [SERVICE=]HOST:PORT", "--listen", "8022");
    REFUSED("expected [SERVICE=]HOST:PORT", "--listen", "127.0.0.1:99999");
    REFUSED("expected [SERVICE=]HOST:PORT", "--listen", "::1:8022");
    REFUSED("did you mean router?", "--listen", "rooter=127.0.0.1:1");
    REFUSED("expected a directory", "--data-dir", "");
}

static void services_get_addresses_of_their_own(void **state)
{
    (void)state;
    struct config c;
    struct err err = {0};
    assert_int_equal(LOAD(&c, &err, "--listen", "127.0.0.1:1", "--listen", "memory=localhost:8201"),
                     QMN_OK);
    assert_int_equal(c.listen_count, 2);
    assert_string_equal(c.listen[0].service, "");
    assert_string_equal(c.listen[1].service, "memory");
    assert_int_equal(c.listen[1].port, 8201);
    config_release(&c);
}

static void open_addresses_need_a_word(void **state)
{
    (void)state;
    REFUSED("--allow-plaintext", "--listen", "0.0.0.0:8022");
    REFUSED("--allow-plaintext", "--listen", "[::]:8022");
    REFUSED("--allow-plaintext", "--listen", "127.0.0.1:1", "--listen", "10.0.0.1:2");
    struct config c;
    struct err err = {0};
    assert_int_equal(LOAD(&c, &err, "--allow-plaintext", "--listen", "0.0.0.0:8022"), QMN_OK);
    assert_true(c.allow_plaintext);
    config_release(&c);
    assert_true(config_is_loopback("127.9.9.9"));
    assert_true(config_is_loopback("::1"));
    assert_false(config_is_loopback("::"));
    assert_false(config_is_loopback("128.0.0.1"));
    assert_false(config_is_loopback("localhost.example.com"));
}

static void every_option_stands_in_the_help(void **state)
{
    (void)state;
    static char help[16384];
    FILE *out = fmemopen(help, sizeof help, "w");
    config_print_help(out);
    fclose(out);
    static const char *const wanted[] = {"--data-dir",
                                         "--listen",
                                         "--store",
                                         "--loops",
                                         "--epsilon",
                                         "--region",
                                         "--log-format",
                                         "--log-level",
                                         "--retention-days",
                                         "--max-connections",
                                         "--user",
                                         "--config",
                                         "--drain-timeout",
                                         "--synchronous",
                                         "--allow-plaintext",
                                         "--check-config",
                                         "--restore",
                                         "--bootstrap",
                                         "--new-admin-key",
                                         "--new-pepper",
                                         "Exit status",
                                         "--max-connections-per-peer"};
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
        assert_contains(help, wanted[i]);
}

static void a_reload_keeps_the_flags(void **state)
{
    (void)state;
    struct config c, fresh;
    struct err err = {0};
    assert_int_equal(LOAD(&c, &err, "--region", "north"), QMN_OK);
    char *env[] = {(char *)(uintptr_t) "QMN_LOG_LEVEL=error",
                   (char *)(uintptr_t) "QMN_REGION=south", NULL};
    assert_int_equal(config_reload(&c, env, &fresh, &err), QMN_OK);
    assert_int_equal(fresh.log_level, LOG_ERROR);
    assert_string_equal(fresh.region, "north");
    config_release(&fresh);
    config_release(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_said_gives_the_defaults),
        cmocka_unit_test(flag_beats_environment_beats_file),
        cmocka_unit_test(a_wrong_file_is_refused_by_line),
        cmocka_unit_test(unknown_flags_name_the_nearest),
        cmocka_unit_test(wrong_values_say_what_was_expected),
        cmocka_unit_test(services_get_addresses_of_their_own),
        cmocka_unit_test(open_addresses_need_a_word),
        cmocka_unit_test(every_option_stands_in_the_help),
        cmocka_unit_test(a_reload_keeps_the_flags),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
