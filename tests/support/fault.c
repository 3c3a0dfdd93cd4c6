/* SPDX-License-Identifier: MIT
 *
 * A counter behind the allocation hook. */
#include "support/fault.h"

#include <stdatomic.h>

#include "base/mem.h"

static _Atomic unsigned seen, first, last, hits;

static bool should_fail(void)
{
    unsigned n = atomic_fetch_add(&seen, 1) + 1;
    if (n < first || n > last)
        return false;
    atomic_fetch_add(&hits, 1);
    return true;
}

static void arm(unsigned from, unsigned to)
{
    seen = hits = 0;
    first = from;
    last = to;
    mem_set_fault(should_fail);
}

void fault_arm(unsigned n)
{
    arm(n, n);
}

void fault_arm_from(unsigned n)
{
    arm(n, (unsigned)-1);
}

bool fault_disarm(void)
{
    mem_set_fault(NULL);
    return hits > 0;
}
