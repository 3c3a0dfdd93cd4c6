/* SPDX-License-Identifier: MIT
 *
 * What every C test includes: cmocka with the headers it forgets, and comparisons of byte runs that
 * show both sides. */
#ifndef QMN_TESTS_SUPPORT_TEST_H
#define QMN_TESTS_SUPPORT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/bytes.h"

/* Fails at the caller's line, printing both texts. */
#define assert_bytes_equal(got, want) test_bytes_equal((got), bytes_cstr(want), __FILE__, __LINE__)

static inline void test_bytes_equal(struct bytes got, struct bytes want, const char *file, int line)
{
    if (bytes_equal(got, want))
        return;
    print_error("got  \"%.*s\"\nwant \"%.*s\"\n", BYTES_FMT(got), BYTES_FMT(want));
    _fail(file, line);
}

#endif
