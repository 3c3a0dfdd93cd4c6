/* SPDX-License-Identifier: MIT
 *
 * Root is given up for good.  The dropping itself runs in a child: the test must stay who it is. */
#include "support/test.h"

#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/privileges.h"

static void an_unknown_user_is_named(void **state)
{
    (void)state;
    struct identity who;
    struct err err = {0};
    assert_int_equal(privileges_identity("no-such-user", &who, &err), QMN_E_INVALID);
    assert_non_null(strstr(err.text, "no-such-user"));
}

static void root_becomes_somebody_else_by_default(void **state)
{
    (void)state;
    struct identity who;
    struct err err = {0};
    assert_int_equal(privileges_identity("", &who, &err), QMN_OK);
    assert_int_not_equal(who.uid, 0);
}

/* The exit status says which step did not hold. */
static int dropped_child(void)
{
    struct identity who;
    struct err err = {0};
    struct rlimit core;
    if (privileges_identity("nobody", &who, &err) != QMN_OK)
        return 1;
    if (privileges_drop(&who, &err) != QMN_OK)
        return 2;
    if (getuid() != who.uid || geteuid() != who.uid || getgid() != who.gid)
        return 3;
    if (setuid(0) == 0 || seteuid(0) == 0 || setgid(0) == 0)
        return 4;
    if (getgroups(0, NULL) != 0)
        return 5;
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1 || prctl(PR_GET_DUMPABLE) != 0)
        return 6;
    if (getrlimit(RLIMIT_CORE, &core) != 0 || core.rlim_max != 0)
        return 7;
    return 0;
}

static void what_root_drops_stays_dropped(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    pid_t child = fork();
    if (child == 0)
        _exit(dropped_child());
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void an_ordinary_user_cannot_become_another(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    pid_t child = fork();
    if (child == 0) {
        struct identity who;
        struct err err = {0};
        bool refused = setresuid(65534, 65534, 65534) == 0 &&
                       privileges_identity("root", &who, &err) == QMN_E_INVALID;
        _exit(refused ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void descriptors_are_raised_to_the_limit(void **state)
{
    (void)state;
    struct rlimit files;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
    struct rlimit few = {64, files.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    assert_true(privileges_raise_files() > 64);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
    assert_true(files.rlim_cur == files.rlim_max);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_unknown_user_is_named),
        cmocka_unit_test(root_becomes_somebody_else_by_default),
        cmocka_unit_test(what_root_drops_stays_dropped),
        cmocka_unit_test(an_ordinary_user_cannot_become_another),
        cmocka_unit_test(descriptors_are_raised_to_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
