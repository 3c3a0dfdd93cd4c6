/* SPDX-License-Identifier: MIT
 *
 * How long tests wait for what has to happen.  A minute, far beyond what a busy machine needs: only
 * a failure waits that long.  Where one is expected (tests/controls), QMN_TEST_PATIENCE_MS says
 * less. */
#ifndef QMN_TESTS_SUPPORT_PATIENCE_H
#define QMN_TESTS_SUPPORT_PATIENCE_H

#include <stdlib.h>

static inline int patience_ms(void)
{
    const char *text = getenv("QMN_TEST_PATIENCE_MS");
    int ms = text ? (int)strtol(text, NULL, 10) : 0;
    return ms > 0 ? ms : 60000;
}

#endif
