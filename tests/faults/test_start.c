/* SPDX-License-Identifier: MIT
 *
 * The start of a node, with its n-th allocation failing: it starts and serves all of its data, or
 * says why not, leaves nothing open, and starts the next time. */
#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "support/fault.h"
#include "world.h"

enum { FEW = 60 }; /* places tried, in a plain run */

static struct fault_node node;
static struct wire wire;
static struct answer answer;
static struct world world;

static int setup(void **state)
{
    (void)state;
    fault_node_open(&node, true);
    wire_open(&wire, node.port);
    world_begin(&world, &node, &wire, &answer);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    mem_set_fault(NULL);
    wire_close(&wire);
    fault_node_close(&node);
    return 0;
}

static _Atomic unsigned counted;

static bool count_only(void)
{
    counted++;
    return false;
}

static void serves_all(const struct sights *wanted)
{
    struct sights now;
    char text[400];
    wire_open(&wire, node.port);
    world_call(&world, "", "GET", "/readyz", NULL, 200);
    world_see(&world, NULL, NULL, &now);
    wire_close(&wire);
    struct sights delta = sights_minus(&now, wanted);
    sights_print(&delta, text, sizeof text);
    assert_string_equal(text, "nothing");
    fault_node_validate(&node);
}

static void must_start(void)
{
    struct err err = {0};
    if (!fault_node_start(&node, &err))
        fail_msg("without a fault: %s", err.text);
}

static unsigned allocations_of_a_start(void)
{
    counted = 0;
    mem_set_fault(count_only);
    must_start();
    mem_set_fault(NULL);
    fault_node_stop(&node);
    return counted;
}

static void sweep(bool from)
{
    struct sights before;
    world_see(&world, NULL, NULL, &before);
    wire_close(&wire);
    fault_node_stop(&node);
    unsigned step = getenv("QMN_FAULT_INJECTIONS") ? 1 : allocations_of_a_start() / FEW + 1;
    unsigned n = 1, refused = 0;
    for (bool hit = true; hit; n += step) {
        struct err err = {0};
        if (from)
            fault_arm_from(n);
        else
            fault_arm(n);
        bool started = fault_node_start(&node, &err);
        hit = fault_disarm();
        if (started) {
            serves_all(&before);
            fault_node_stop(&node);
        } else {
            refused++;
            if (!hit || !err.text[0])
                fail_msg("n = %u: the start failed and says \"%s\"", n, err.text);
        }
    }
    assert_true(refused > 1);
    must_start();
    serves_all(&before);
}

static void a_start_is_whole_or_refused(void **state)
{
    (void)state;
    sweep(false);
}

static void a_start_is_refused_when_memory_stays_out(void **state)
{
    (void)state;
    sweep(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_start_is_whole_or_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_start_is_refused_when_memory_stays_out, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
