/* SPDX-License-Identifier: MIT
 *
 * The pepper file: made once, private, and never replaced. */
#include "support/test.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/apikey.h"

static char dir[64], path[96];

static int make_dir(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/qmn-pepper-XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof path, "%s/pepper", dir);
    return 0;
}

static int remove_dir(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(dir); /* fails if a temporary file was left behind */
}

static void write_file(const void *data, size_t len, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, len), len);
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

static void an_absent_pepper_is_made_private_and_kept(void **state)
{
    (void)state;
    struct pepper first = {0}, again = {0};
    struct stat st;
    assert_int_equal(pepper_load_or_make(path, &first, NULL), QMN_OK);
    assert_true(first.ready);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(st.st_size, PEPPER_BYTES);
    assert_int_equal(st.st_nlink, 1);
    assert_int_equal(pepper_load_or_make(path, &again, NULL), QMN_OK);
    assert_memory_equal(first.b, again.b, PEPPER_BYTES);
}

static void two_peppers_differ(void **state)
{
    (void)state;
    struct pepper first = {0}, second = {0};
    assert_int_equal(pepper_load_or_make(path, &first, NULL), QMN_OK);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(pepper_load_or_make(path, &second, NULL), QMN_OK);
    assert_int_not_equal(memcmp(first.b, second.b, PEPPER_BYTES), 0);
}

static void a_pepper_that_others_may_read_is_refused(void **state)
{
    (void)state;
    char bytes[PEPPER_BYTES] = "x";
    static const mode_t modes[] = {0640, 0604, 0620, 0602, 0610, 0601, 0644, 0666, 0777};
    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        struct pepper p = {0};
        struct err err;
        write_file(bytes, sizeof bytes, modes[i]);
        assert_int_equal(pepper_load_or_make(path, &p, &err), QMN_E_FORBIDDEN);
        assert_false(p.ready);
        assert_non_null(strstr(err.text, "600"));
        assert_null(strstr(err.text, dir));
    }
    struct pepper p = {0};
    write_file(bytes, sizeof bytes, 0600);
    assert_int_equal(pepper_load_or_make(path, &p, NULL), QMN_OK);
    write_file(bytes, sizeof bytes, 0400);
    assert_int_equal(pepper_load_or_make(path, &p, NULL), QMN_OK);
}

static void a_file_of_another_length_is_damaged(void **state)
{
    (void)state;
    char bytes[PEPPER_BYTES + 1] = "x";
    static const size_t lengths[] = {0, 1, PEPPER_BYTES - 1, PEPPER_BYTES + 1};
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        struct pepper p = {0};
        write_file(bytes, lengths[i], 0600);
        assert_int_equal(pepper_load_or_make(path, &p, NULL), QMN_E_CORRUPT);
        assert_false(p.ready);
    }
}

static void something_else_than_a_file_is_refused(void **state)
{
    (void)state;
    struct pepper p = {0};
    assert_int_equal(pepper_load_or_make(dir, &p, NULL), QMN_E_CORRUPT);
    assert_int_equal(mkfifo(path, 0600), 0); /* must not wait for a writer */
    assert_int_equal(pepper_load_or_make(path, &p, NULL), QMN_E_CORRUPT);
    assert_false(p.ready);
}

static void a_missing_folder_is_an_error_and_not_made(void **state)
{
    (void)state;
    char deep[160];
    struct pepper p = {0};
    snprintf(deep, sizeof deep, "%s/absent/pepper", dir);
    assert_int_equal(pepper_load_or_make(deep, &p, NULL), QMN_E_UNAVAILABLE);
    assert_false(p.ready);
}

static void *load(void *arg)
{
    struct pepper *p = arg;
    return pepper_load_or_make(path, p, NULL) == QMN_OK ? p : NULL;
}

/* A rename in place of the link would let the last one win, and the others work with a lost
 * pepper. */
static void those_who_make_it_at_once_get_the_same_one(void **state)
{
    (void)state;
    for (int round = 0; round < 30; round++) {
        struct pepper p[4] = {0};
        pthread_t threads[4];
        unlink(path);
        for (int i = 0; i < 4; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, load, &p[i]), 0);
        for (int i = 0; i < 4; i++) {
            void *ok;
            pthread_join(threads[i], &ok);
            assert_non_null(ok);
        }
        for (int i = 1; i < 4; i++)
            assert_memory_equal(p[0].b, p[i].b, PEPPER_BYTES);
    }
}

static void a_wiped_pepper_is_not_ready(void **state)
{
    (void)state;
    struct pepper p = {0}, zero = {0};
    assert_int_equal(pepper_load_or_make(path, &p, NULL), QMN_OK);
    pepper_wipe(&p);
    assert_memory_equal(&p, &zero, sizeof p);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_dir, remove_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_absent_pepper_is_made_private_and_kept),
        TEST(two_peppers_differ),
        TEST(a_pepper_that_others_may_read_is_refused),
        TEST(a_file_of_another_length_is_damaged),
        TEST(something_else_than_a_file_is_refused),
        TEST(a_missing_folder_is_an_error_and_not_made),
        TEST(those_who_make_it_at_once_get_the_same_one),
        TEST(a_wiped_pepper_is_not_ready),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
