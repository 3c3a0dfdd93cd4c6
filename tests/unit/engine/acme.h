/* SPDX-License-Identifier: MIT
 *
 * What tests of the control plane begin with: an engine with a tenant "acme" and its administrator.
 */
#ifndef QMN_TESTS_ENGINE_ACME_H
#define QMN_TESTS_ENGINE_ACME_H

#include "support/test.h"

#include "support/test_engine.h"

/* Of the test at hand. */
extern struct test_engine *te;
extern struct caller boss; /* tenant:admin of acme */

#define ACME_TEST(f) cmocka_unit_test_setup_teardown(f, acme_setup, acme_teardown)
int acme_setup(void **state);
int acme_teardown(void **state);

#endif
