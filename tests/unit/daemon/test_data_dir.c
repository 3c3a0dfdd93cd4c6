/* SPDX-License-Identifier: MIT
 *
 * The data directory: ours alone, locked, and nobody else's.  Opening changes the working
 * directory, so each test starts in a fresh one. */
#include "support/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/data_dir.h"

static char base[64];

static int make_base(void **state)
{
    (void)state;
    snprintf(base, sizeof base, "/tmp/qmn-data-XXXXXX");
    return mkdtemp(base) && chdir(base) == 0 ? 0 : -1;
}

static int clear_base(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", base);
    return chdir("/") == 0 ? system(command) : -1;
}

static struct identity myself(void)
{
    return (struct identity){"me", geteuid(), getegid()};
}

static enum qmn_code open_at(const char *path, bool restoring, struct data_dir *d, struct err *err)
{
    struct identity me = myself();
    return data_dir_open(path, &me, restoring, d, err);
}

static void put(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT, 0644);
    assert_true(fd >= 0);
    close(fd);
}

static void it_is_made_for_its_owner_alone(void **state)
{
    (void)state;
    struct data_dir d;
    struct err err = {0};
    struct stat st;
    assert_int_equal(open_at("a/b/data", false, &d, &err), QMN_OK);
    assert_int_equal(stat(d.root, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    char path[4096];
    assert_non_null(strstr(data_dir_name(&d, "qmn.db", path), "/a/b/data/qmn.db"));
    data_dir_close(&d);
}

static void a_second_node_is_told_who_holds_it(void **state)
{
    (void)state;
    struct data_dir first, second;
    struct err err = {0};
    char pid[32], path[128];
    snprintf(path, sizeof path, "%s/data", base);
    assert_int_equal(open_at(path, false, &first, &err), QMN_OK);
    assert_int_equal(open_at(path, false, &second, &err), QMN_E_IN_PROGRESS);
    snprintf(pid, sizeof pid, "process %ld ", (long)getpid());
    assert_non_null(strstr(err.text, pid));
    assert_int_equal(open_at(path, true, &second, &err), QMN_E_IN_PROGRESS);
    data_dir_close(&first);
    assert_int_equal(open_at(path, false, &second, &err), QMN_OK);
    data_dir_close(&second);
}

static void a_directory_of_others_is_left_alone(void **state)
{
    (void)state;
    struct data_dir d;
    struct err err = {0};
    struct stat st;
    assert_int_equal(mkdir("photos", 0755), 0);
    put("photos/holiday.jpg");
    assert_int_equal(open_at("photos", false, &d, &err), QMN_E_CONFLICT);
    assert_non_null(strstr(err.text, "holiday.jpg"));
    assert_int_equal(stat("photos", &st), 0);
    assert_int_equal(st.st_mode & 07777, 0755);
}

static void half_a_restore_stops_a_node_but_not_a_restore(void **state)
{
    (void)state;
    struct data_dir d;
    struct err err = {0};
    char path[128];
    snprintf(path, sizeof path, "%s/data", base);
    assert_int_equal(open_at(path, false, &d, &err), QMN_OK);
    data_dir_close(&d);
    put(DATA_RESTORE_MARK);
    assert_int_equal(open_at(path, false, &d, &err), QMN_E_CONFLICT);
    assert_int_equal(open_at(path, true, &d, &err), QMN_OK);
    data_dir_close(&d);
}

static void a_new_file_is_whole_and_private(void **state)
{
    (void)state;
    struct data_dir d;
    struct err err = {0};
    struct new_file f;
    struct stat st;
    char text[16] = "";
    assert_int_equal(open_at("data", false, &d, &err), QMN_OK);
    assert_int_equal(new_file_begin(&d, "admin-key", &f, &err), QMN_OK);
    assert_int_equal(new_file_write(&d, &f, BYTES_LIT("secret\n"), &err), QMN_OK);
    assert_int_equal(faccessat(d.fd, "admin-key", F_OK, 0), -1);
    new_file_leave(&f);
    assert_true(new_file_find(&d, "admin-key", &f)); /* as after a crash */
    assert_int_equal(new_file_commit(&d, &f, &err), QMN_OK);
    assert_false(new_file_find(&d, "admin-key", &f));
    int fd = openat(d.fd, "admin-key", O_RDONLY);
    assert_int_equal(read(fd, text, sizeof text), 7);
    assert_string_equal(text, "secret\n");
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    close(fd);

    assert_int_equal(new_file_begin(&d, "admin-key", &f, &err), QMN_OK);
    new_file_abandon(&d, &f);
    assert_int_equal(faccessat(d.fd, ".admin-key.new", F_OK, 0), -1);
    assert_int_equal(faccessat(d.fd, "admin-key", F_OK, 0), 0);
    data_dir_close(&d);
}

static void root_gives_it_away_but_follows_no_link(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    struct data_dir d;
    struct err err = {0};
    struct stat st;
    char path[128], outside[128];
    struct identity other = {"other", 12345, 12346};
    snprintf(path, sizeof path, "%s/data", base);
    snprintf(outside, sizeof outside, "%s/outside", base);
    put(outside);
    assert_int_equal(open_at(path, false, &d, &err), QMN_OK);
    put("qmn.db");
    assert_int_equal(mkdir("backups", 0700), 0);
    put("backups/one");
    assert_int_equal(symlink(outside, "link"), 0);
    data_dir_close(&d);
    assert_int_equal(data_dir_open(path, &other, false, &d, &err), QMN_OK);
    assert_int_equal(stat("backups/one", &st), 0);
    assert_int_equal(st.st_uid, 12345);
    assert_int_equal(st.st_gid, 12346);
    assert_int_equal(stat(outside, &st), 0);
    assert_int_equal(st.st_uid, 0);
    data_dir_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_is_made_for_its_owner_alone, make_base, clear_base),
        cmocka_unit_test_setup_teardown(a_second_node_is_told_who_holds_it, make_base, clear_base),
        cmocka_unit_test_setup_teardown(a_directory_of_others_is_left_alone, make_base, clear_base),
        cmocka_unit_test_setup_teardown(half_a_restore_stops_a_node_but_not_a_restore, make_base,
                                        clear_base),
        cmocka_unit_test_setup_teardown(a_new_file_is_whole_and_private, make_base, clear_base),
        cmocka_unit_test_setup_teardown(root_gives_it_away_but_follows_no_link, make_base,
                                        clear_base),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
