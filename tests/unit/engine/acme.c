/* SPDX-License-Identifier: MIT */
#include "acme.h"

struct test_engine *te;
struct caller boss;

int acme_setup(void **state)
{
    (void)state;
    te = test_engine_new();
    test_tenant(te, "acme");
    boss = test_member(te, "acme", "tenant:admin");
    return 0;
}

int acme_teardown(void **state)
{
    (void)state;
    test_engine_free(te);
    return 0;
}
