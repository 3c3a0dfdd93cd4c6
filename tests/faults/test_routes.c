/* SPDX-License-Identifier: MIT
 *
 * Every route of a whole node, with its n-th allocation failing, wherever in the node that is: the
 * answer is right or says that memory is out, the state is whole or unchanged, and the same request
 * succeeds afterwards.  That nothing leaks or is used after its end is the sanitizers' part, and
 * under the address sanitizer arenas allocate piece by piece, so that there are more places to
 * fail.
 *
 * A plain run tries at most FEW places a request and way of failing, spread evenly.  With
 * QMN_FAULT_INJECTIONS=100000 every place is tried, over and over until so many have failed. */
#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/attr.h"
#include "base/mem.h"
#include "trial.h"

enum {
    FEW = 24,
    FEW_ON_DISK = 6,
    MANY_COPIES = 300, /* a backup takes thousands of allocations and milliseconds */
    WORLD_TRIALS = 48, /* then a new tenant: lists stay short */
    PAST_END = 64,
    TESTS_MAX = 512,
};

static struct fault_node node;
static struct wire wire;
static struct answer answer;
static struct world world;
static struct trial trial;

struct test_case {
    const struct sample *sample;
    const struct route *route;
    enum trial_key key;
    bool sqlite;
    char name[128];
};

static unsigned long wanted_injections(void)
{
    const char *text = getenv("QMN_FAULT_INJECTIONS");
    return text ? strtoul(text, NULL, 10) : 0;
}

/* ---- one request ---- */

static void renew(void)
{
    world_begin(&world, &node, &wire, &answer);
    trial_begin(&trial);
}

/* n = 1 + phase, 1 + phase + step ... until the fault is not reached any more. */
static void sweep(enum trial_fault fault, enum trial_connection c, unsigned few)
{
    renew();
    unsigned trials = 0, step = few ? trial.allocations / few + 1 : 1;
    unsigned n = fault == FAULT_ONCE ? 1 : 1 + step / 2;
    /* Background work comes and goes, and a backup grows. */
    unsigned last = 2 * trial.allocations + PAST_END;
    for (; n < last; n += step) {
        if (++trials % WORLD_TRIALS == 0)
            renew();
        if (!trial_run(&trial, n, fault, c))
            break;
    }
    if (n >= last)
        fail_msg("allocation %u was still reached, where %u were counted", n, trial.allocations);
}

static void open_node(const struct test_case *c)
{
    fault_node_open(&node, c->sqlite);
    wire_open(&wire, node.port);
    trial = (struct trial){.world = &world, .sample = c->sample, .route = c->route, .key = c->key};
}

static void close_node(void)
{
    wire_close(&wire);
    fault_node_close(&node);
}

/* What the store holds is what the node had in memory. */
static void check_stored(void)
{
    struct sights before, after;
    char text[400];
    world_see(&world, NULL, NULL, &before);
    wire_close(&wire);
    fault_node_restart(&node);
    wire_open(&wire, node.port);
    world_see(&world, NULL, NULL, &after);
    struct sights delta = sights_minus(&after, &before);
    sights_print(&delta, text, sizeof text);
    assert_string_equal(text, "nothing");
}

static void every_place(void **state)
{
    const struct test_case *c = *state;
    unsigned long wanted = wanted_injections();
    unsigned few = c->sqlite ? FEW_ON_DISK : FEW;
    if (wanted)
        few = c->sample->on_disk ? MANY_COPIES : 0;
    open_node(c);
    sweep(FAULT_ONCE, CONNECTION_NEW, few);
    sweep(FAULT_FROM, CONNECTION_KEPT, few);
    if (wanted) {
        sweep(FAULT_ONCE, CONNECTION_KEPT, few);
        sweep(FAULT_FROM, CONNECTION_NEW, few);
    }
    if (c->sqlite)
        check_stored();
    close_node();
}

static int after_each(void **state)
{
    (void)state;
    mem_set_fault(NULL);
    close_node();
    return 0;
}

/* ---- all of them ---- */

static struct test_case cases[TESTS_MAX];
static struct CMUnitTest tests[TESTS_MAX];
static size_t test_count;

static const struct route *route_named(const char *name)
{
    for (size_t i = 0; i < route_count; i++)
        if (!strcmp(routes[i].name, name))
            return &routes[i];
    return NULL;
}

static void add(const struct sample *s, const struct route *r, enum trial_key key, bool sqlite)
{
    static const char *const how[] = {
        [TRIAL_PLAIN] = "", [TRIAL_KEYED] = ", keyed", [TRIAL_REPEAT] = ", repeated"};
    struct test_case *c = &cases[test_count];
    *c = (struct test_case){.sample = s, .route = r, .key = key, .sqlite = sqlite};
    snprintf(c->name, sizeof c->name, "%s%s%s%s%s", s->route, s->variant ? " " : "",
             s->variant ? s->variant : "", how[key], sqlite ? ", on disk" : "");
    tests[test_count++] = (struct CMUnitTest){
        .name = c->name, .test_func = every_place, .teardown_func = after_each, .initial_state = c};
}

static void add_all(const char *only)
{
    for (size_t i = 0; i < sample_count; i++) {
        const struct sample *s = &samples[i];
        const struct route *r = route_named(s->route);
        if (!r || (only && !strstr(s->route, only)))
            continue;
        for (enum trial_key k = TRIAL_PLAIN; k <= (r->mutation ? TRIAL_REPEAT : TRIAL_PLAIN); k++)
            if (!s->on_disk)
                add(s, r, k, false);
        if (r->mutation || s->on_disk)
            add(s, r, r->mutation ? TRIAL_KEYED : TRIAL_PLAIN, true);
    }
}

/* The stream has tests of its own. */
static void every_route_is_tried(void **state)
{
    (void)state;
    for (size_t i = 0; i < route_count; i++) {
        bool found = !strcmp(routes[i].name, "inbox.stream");
        for (size_t k = 0; k < sample_count; k++)
            found |= !strcmp(samples[k].route, routes[i].name);
        if (!found)
            fail_msg("no request for route %s in samples.c", routes[i].name);
    }
    for (size_t k = 0; k < sample_count; k++)
        if (!route_named(samples[k].route))
            fail_msg("samples.c has a request for %s, which is no route", samples[k].route);
}

int main(int argc, char **argv)
{
    tests[test_count++] =
        (struct CMUnitTest){.name = "every_route_is_tried", .test_func = every_route_is_tried};
    add_all(argc > 1 ? argv[1] : NULL);
    int failed;
    do
        failed = _cmocka_run_group_tests("faults", tests, test_count, NULL, NULL);
    while (!failed && trial_tally.injections < wanted_injections());
    fprintf(stderr,
            "%lu allocations failed: %lu answers right, %lu refused (of which %lu had been done), "
            "%lu connections closed\n",
            trial_tally.injections, trial_tally.answers_good, trial_tally.answers_refused,
            trial_tally.stood, trial_tally.closed);
    return failed;
}
