/* SPDX-License-Identifier: MIT
 *
 * What waits, with its n-th allocation failing: a long poll and a stream that are woken by a
 * broadcast, a collect whose window a response closes.  Both requests run under the fault. Whatever
 * happens to the waiting one, it ends in good time, what was sent is not lost, and the next one
 * works. */
#include "support/test.h"

#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/mem.h"
#include "codec/json_read.h"
#include "support/fault.h"
#include "world.h"

enum {
    PARKED_MS = 3, /* to let the waiting request park; right whether it has or not */
    EVENT_MS = 10000,
    LEASE_MS = 1000,
    WORLD_TRIALS = 48,
};

static struct fault_node node;
static struct wire wire, waiting, waking;
static struct answer answer, got, woke;
static struct world world;
static unsigned long injections;

static int setup(void **state)
{
    (void)state;
    waiting.fd = waking.fd = -1;
    fault_node_open(&node, false);
    wire_open(&wire, node.port);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    mem_set_fault(NULL);
    wire_close(&waiting);
    wire_close(&waking);
    wire_close(&wire);
    fault_node_close(&node);
    return 0;
}

static bool good(const struct answer *a)
{
    return a->status >= 200 && a->status < 300;
}

static void whole_or_refused(const struct answer *a)
{
    if (a->broken)
        fail_msg("no whole answer: %s\n%s%s", a->why, a->head, a->body);
    if (!good(a) && a->status && a->status != 503 && a->status != 507)
        fail_msg("unexpected answer: %d %s", a->status, a->body);
}

static void valid_json(const char *text)
{
    struct arena arena;
    arena_init(&arena, 0);
    bool valid = json_valid(bytes_cstr(text), &arena, NULL);
    arena_release(&arena);
    if (!valid)
        fail_msg("no JSON: %s", text);
}

static void open_and_send(struct wire *w, const char *method, const char *path, const char *body)
{
    char request[REQUEST_BYTES];
    world_request(&world, world.key, method, path, body, NULL, request);
    wire_open(w, node.port);
    (void)wire_send(w, request);
}

/* ---- what all have in common ---- */

static const char *const nutrient = "{\"summary\":\"a need\",\"embedding\":$V,\"source_agent_id\":"
                                    "\"asker\",\"top_k\":1,\"max_hops\":1,\"ttl_sec\":3600}";

struct wait {
    void (*prepare)(void);
    const char *method, *path, *body;  /* waits */
    const char *wake_path, *wake_body; /* POSTed, ends the waiting */
    void (*listen)(void);              /* under the fault, before the waking; may be NULL */
    void (*end)(void);                 /* without: reads the rest of the answer */
    void (*again)(void);               /* without */
};

static void run(const struct wait *w, unsigned n, bool from, bool *ret_hit)
{
    w->prepare();
    if (from)
        fault_arm_from(n);
    else
        fault_arm(n);
    open_and_send(&waiting, w->method, w->path, w->body);
    if (w->listen)
        w->listen();
    else
        (void)wire_readable(&waiting, PARKED_MS);
    open_and_send(&waking, "POST", w->wake_path, w->wake_body);
    wire_answer(&waking, &woke);
    *ret_hit = fault_disarm();
    whole_or_refused(&woke);
    if (!good(&woke))
        world_call(&world, world.key, "POST", w->wake_path, w->wake_body, 0);
    w->end();
    wire_close(&waiting);
    wire_close(&waking);
    fault_node_validate(&node);
    world_call(&world, "", "GET", "/readyz", NULL, 200);
    w->again();
}

static void sweep(const struct wait *w, bool from)
{
    unsigned trials = 0;
    for (unsigned n = 1;; n++) {
        bool hit;
        if (trials++ % WORLD_TRIALS == 0)
            world_begin(&world, &node, &wire, &answer);
        run(w, n, from, &hit);
        if (!hit)
            break;
        injections++;
    }
    if (trials < 3)
        fail_msg("hardly anything was allocated");
}

/* ---- long poll ---- */

/* Nothing is there that a pull could take at once. */
static void empty_inbox(void)
{
    world_prepare(&world, NULL, 0);
    fault_node_advance(&node, LEASE_MS + 1);
    world_call(&world, world.key, "GET", "/v1/agents/helper/nutrients?limit=1000&lease_ms=3600000",
               NULL, 200);
}

static void pull_ends(void)
{
    wire_answer(&waiting, &got);
    whole_or_refused(&got);
    if (good(&got) && !strstr(got.body, "\"nutrient_id\""))
        fail_msg("the pull ended with nothing: %s", got.body);
    if (good(&got))
        valid_json(got.body);
}

/* What was leased to nobody comes again. */
static void pull_again(void)
{
    fault_node_advance(&node, LEASE_MS + 1);
    world_call(&world, world.key, "GET", "/v1/agents/helper/nutrients?limit=1000&lease_ms=1000",
               NULL, 200);
    if (!strstr(answer.body, "\"summary\":\"a need\""))
        fail_msg("the nutrient is lost: %s", answer.body);
}

static const struct wait long_poll = {
    .prepare = empty_inbox,
    .method = "GET",
    .path = "/v1/agents/helper/nutrients?wait_ms=20000&lease_ms=1000",
    .wake_path = "/v1/nutrients:broadcast",
    .wake_body = nutrient,
    .end = pull_ends,
    .again = pull_again,
};

static void a_long_poll_ends_whatever_fails(void **state)
{
    (void)state;
    sweep(&long_poll, false);
}

static void a_long_poll_ends_when_memory_stays_out(void **state)
{
    (void)state;
    sweep(&long_poll, true);
}

/* ---- stream ---- */

static struct wire_chunks chunks;

/* The head and the first comment, unless the stream is refused. */
static void stream_opens(void)
{
    wire_head(&waiting, &got);
    chunks = (struct wire_chunks){0};
}

static void stream_delivers(void)
{
    if (!good(&got)) {
        if (got.status) /* its body follows */
            (void)wire_readable(&waiting, PARKED_MS);
        whole_or_refused(&got);
        return;
    }
    for (;;) {
        switch (wire_line(&waiting, &chunks, EVENT_MS)) {
        case WIRE_LINE:
            if (strncmp(chunks.line, "data: ", 6) != 0)
                break;
            valid_json(chunks.line + 6);
            assert_non_null(strstr(chunks.line, "\"summary\":\"a need\""));
            return;
        case WIRE_SILENT:
            fail_msg("the stream neither delivers nor ends");
            return;
        default: /* it has ended: the client comes again */
            return;
        }
    }
}

static const struct wait stream = {
    .prepare = empty_inbox,
    .method = "GET",
    .path = "/v1/agents/helper/nutrients:stream?lease_ms=1000",
    .wake_path = "/v1/nutrients:broadcast",
    .wake_body = nutrient,
    .listen = stream_opens,
    .end = stream_delivers,
    .again = pull_again,
};

static void a_stream_delivers_or_ends_whatever_fails(void **state)
{
    (void)state;
    sweep(&stream, false);
}

static void a_stream_delivers_or_ends_when_memory_stays_out(void **state)
{
    (void)state;
    sweep(&stream, true);
}

/* ---- collect ---- */

#define COLLECT "{\"demand_embedding\":$V,\"window_ms\":400,\"agent_id\":\"asker\",\"top_k\":5}"

static void ask(void)
{
    static const char *const needs[] = {"$I"};
    world_prepare(&world, needs, 1);
}

static void collect_ends(void)
{
    wire_answer(&waiting, &got);
    whole_or_refused(&got);
    if (!good(&got))
        return;
    valid_json(got.body);
    assert_non_null(strstr(got.body, "\"source\":\"response\""));
}

static void collect_again(void)
{
    world_call(&world, world.key, "POST", "/v1/contexts:collect", COLLECT, 200);
    assert_non_null(strstr(answer.body, "\"source\":\"response\""));
}

static const struct wait collect = {
    .prepare = ask,
    .method = "POST",
    .path = "/v1/contexts:collect",
    .body = COLLECT,
    .wake_path = "/v1/nutrients/$I:respond",
    .wake_body = "{\"agent_id\":\"helper\",\"content\":{\"answer\":42},\"embedding\":$V}",
    .end = collect_ends,
    .again = collect_again,
};

static void a_collect_ends_whatever_fails(void **state)
{
    (void)state;
    sweep(&collect, false);
}

static void a_collect_ends_when_memory_stays_out(void **state)
{
    (void)state;
    sweep(&collect, true);
}

static int report(void **state)
{
    (void)state;
    fprintf(stderr, "%lu allocations failed\n", injections);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_long_poll_ends_whatever_fails, setup, teardown),
        cmocka_unit_test_setup_teardown(a_long_poll_ends_when_memory_stays_out, setup, teardown),
        cmocka_unit_test_setup_teardown(a_stream_delivers_or_ends_whatever_fails, setup, teardown),
        cmocka_unit_test_setup_teardown(a_stream_delivers_or_ends_when_memory_stays_out, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_collect_ends_whatever_fails, setup, teardown),
        cmocka_unit_test_setup_teardown(a_collect_ends_when_memory_stays_out, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, report);
}
