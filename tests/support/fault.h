/* SPDX-License-Identifier: MIT
 *
 * Makes one chosen allocation fail.  The usual test tries n = 1, 2, 3 ... until a run in which
 * nothing failed:
 *
 *     for (unsigned n = 1;; n++) {
 *         fault_arm(n);
 *         enum qmn_code code = thing_do(...);
 *         if (!fault_disarm())
 *             break;
 *         assert_int_equal(code, QMN_E_NOMEM);
 *         ... the state is whole ...
 *     }
 *
 * Any thread may allocate while it is armed; arm and disarm from one thread. */
#ifndef QMN_TESTS_SUPPORT_FAULT_H
#define QMN_TESTS_SUPPORT_FAULT_H

#include <stdbool.h>

/* The n-th allocation from now on fails (1 is the next one), once. */
void fault_arm(unsigned n);
/* Every allocation from the n-th on fails. */
void fault_arm_from(unsigned n);
/* Back to normal; true if an allocation was made to fail since arming. */
bool fault_disarm(void);

#endif
