/* SPDX-License-Identifier: MIT
 *
 * A folder of sealed files: what was written comes back, and nothing else does. */
#include "support/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/sealed_files.h"

enum { TENANT = 7, MOST = 1000 };

static char above[64];
static struct sealed_files files;
static struct err err;

static int begin(void **state)
{
    (void)state;
    snprintf(above, sizeof above, "/tmp/qmn-sealed-XXXXXX");
    assert_non_null(mkdtemp(above));
    return sealed_files_open(above, TENANT, &sealer_identity, true, &files, &err) != QMN_OK;
}

static int end(void **state)
{
    (void)state;
    sealed_files_close(&files);
    int code = sealed_files_remove(above, TENANT, &err) != QMN_OK;
    return rmdir(above) != 0 || code;
}

static struct bytes some(void)
{
    return BYTES_LIT("the quick brown fox jumps over the lazy dog, and then once more");
}

static void assert_reads(const char *name, struct bytes want)
{
    struct bytes got;
    assert_int_equal(sealed_files_read(&files, name, MOST, &got, &err), QMN_OK);
    assert_true(bytes_equal(got, want));
}

static void what_is_written_comes_back(void **state)
{
    (void)state;
    struct bytes got;
    assert_int_equal(sealed_files_read(&files, "a", MOST, &got, &err), QMN_E_NOT_FOUND);
    assert_int_equal(sealed_files_write(&files, "a", some(), &err), QMN_OK);
    assert_reads("a", some());
    assert_int_equal(sealed_files_write(&files, "a", BYTES_LIT("another"), &err), QMN_OK);
    assert_reads("a", BYTES_LIT("another"));
    assert_int_equal(sealed_files_replace(&files, "a", BYTES_LIT(""), &err), QMN_OK);
    assert_reads("a", BYTES_LIT(""));
    assert_int_equal(faccessat(files.fd, "a.new", F_OK, 0), -1);
}

static void raw_write(const char *name, const char *data, size_t len)
{
    int fd = openat(files.fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0 && pwrite(fd, data, len, 0) == (ssize_t)len);
    close(fd);
}

static void every_flipped_bit_and_every_cut_is_noticed(void **state)
{
    (void)state;
    char raw[200];
    struct bytes got;
    assert_int_equal(sealed_files_write(&files, "a", some(), &err), QMN_OK);
    int fd = openat(files.fd, "a", O_RDONLY | O_CLOEXEC);
    ssize_t len = pread(fd, raw, sizeof raw, 0);
    close(fd);
    assert_true(len > (ssize_t)some().len);
    for (size_t bit = 0; bit < 8 * (size_t)len; bit++) {
        raw[bit / 8] = (char)(raw[bit / 8] ^ (1 << bit % 8));
        raw_write("a", raw, (size_t)len);
        assert_int_equal(sealed_files_read(&files, "a", MOST, &got, &err), QMN_E_CORRUPT);
        raw[bit / 8] = (char)(raw[bit / 8] ^ (1 << bit % 8));
    }
    for (size_t n = 0; n < (size_t)len; n++) {
        raw_write("a", raw, n);
        assert_int_equal(sealed_files_read(&files, "a", MOST, &got, &err), QMN_E_CORRUPT);
    }
    raw_write("a", raw, (size_t)len);
    assert_reads("a", some());
}

static void a_file_of_another_name_or_tenant_is_refused(void **state)
{
    (void)state;
    struct bytes got;
    struct sealed_files other;
    assert_int_equal(sealed_files_write(&files, "a", some(), &err), QMN_OK);
    assert_int_equal(linkat(files.fd, "a", files.fd, "b", 0), 0);
    assert_int_equal(sealed_files_read(&files, "b", MOST, &got, &err), QMN_E_CORRUPT);
    assert_int_equal(sealed_files_open(above, TENANT + 1, &sealer_identity, true, &other, &err),
                     QMN_OK);
    assert_int_equal(linkat(files.fd, "a", other.fd, "a", 0), 0);
    assert_int_equal(sealed_files_read(&other, "a", MOST, &got, &err), QMN_E_CORRUPT);
    sealed_files_close(&other);
    assert_int_equal(sealed_files_remove(above, TENANT + 1, &err), QMN_OK);
}

static void more_than_expected_and_no_file_at_all_are_refused(void **state)
{
    (void)state;
    struct bytes got;
    assert_int_equal(sealed_files_write(&files, "a", some(), &err), QMN_OK);
    assert_int_equal(sealed_files_read(&files, "a", some().len - 1, &got, &err), QMN_E_CORRUPT);
    assert_int_equal(sealed_files_read(&files, "a", some().len, &got, &err), QMN_OK);
    assert_int_equal(mkdirat(files.fd, "d", 0700), 0);
    assert_int_equal(sealed_files_read(&files, "d", MOST, &got, &err), QMN_E_CORRUPT);
    assert_int_equal(unlinkat(files.fd, "d", AT_REMOVEDIR), 0);
    assert_int_equal(symlinkat("a", files.fd, "link"), 0); /* nobody leads us out of the folder */
    assert_int_equal(sealed_files_read(&files, "link", MOST, &got, &err), QMN_E_UNAVAILABLE);
}

static bool is_a(void *ctx, const char *name)
{
    (void)ctx;
    return strcmp(name, "a") == 0;
}

static void what_is_not_kept_goes(void **state)
{
    (void)state;
    assert_int_equal(sealed_files_write(&files, "a", some(), &err), QMN_OK);
    assert_int_equal(sealed_files_write(&files, "b", some(), &err), QMN_OK);
    sealed_files_trim(&files, is_a, NULL);
    assert_reads("a", some());
    assert_int_equal(faccessat(files.fd, "b", F_OK, 0), -1);
    assert_int_equal(sealed_files_remove(above, TENANT + 1, &err), QMN_OK); /* there is none */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_written_comes_back, begin, end),
        cmocka_unit_test_setup_teardown(every_flipped_bit_and_every_cut_is_noticed, begin, end),
        cmocka_unit_test_setup_teardown(a_file_of_another_name_or_tenant_is_refused, begin, end),
        cmocka_unit_test_setup_teardown(more_than_expected_and_no_file_at_all_are_refused, begin,
                                        end),
        cmocka_unit_test_setup_teardown(what_is_not_kept_goes, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
