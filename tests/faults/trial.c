/* SPDX-License-Identifier: MIT
 *
 * The trial.  The request under fault goes over a connection of its own; all else over one that
 * never sees a fault. */
#include "support/test.h"

#include "trial.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/mem.h"
#include "codec/json_read.h"
#include "support/fault.h"

enum { LEASE_MS = 1000 };

struct trial_tally trial_tally;

static struct wire side; /* carries the request under fault */
static struct answer got;
static char shape_got[SHAPE_BYTES];

/* ---- the request ---- */

static void request_of(const struct trial *t, char ret[REQUEST_BYTES])
{
    const struct sample *s = t->sample;
    char path[512], value[32];
    const char *param = strstr(t->route->pattern, "{id}");
    int before = param ? (int)(param - t->route->pattern) : (int)strlen(t->route->pattern);
    snprintf(path, sizeof path, "%.*s%s%s%s", before, t->route->pattern, param ? s->param : "",
             param ? param + 4 : "", s->query ? s->query : "");
    snprintf(value, sizeof value, "k-%08u", t->world->serial);
    world_request(t->world, s->admin ? t->world->admin : t->world->key,
                  http_method_name(t->route->method), path, s->body,
                  t->key == TRIAL_PLAIN ? NULL : value, ret);
}

static void send_clean(struct trial *t)
{
    struct world *w = t->world;
    char request[REQUEST_BYTES];
    request_of(t, request);
    assert_true(wire_send(w->wire, request));
    wire_answer(w->wire, w->answer);
    if (w->answer->broken || !w->answer->status)
        fail_msg("without a fault: %s", w->answer->why);
}

static void prepare(struct trial *t)
{
    const struct sample *s = t->sample;
    const char *const templates[] = {s->param, s->query, s->body, s->needs, s->probe};
    world_prepare(t->world, templates, sizeof templates / sizeof *templates);
    if (t->key != TRIAL_REPEAT)
        return;
    send_clean(t);
    if (t->world->answer->status != t->route->status)
        fail_msg("without a fault: %d %s", t->world->answer->status, t->world->answer->body);
}

static void see(struct trial *t, struct sights *ret)
{
    world_see(t->world, t->sample->probe, t->sample->probe_text, ret);
}

/* ---- measuring ---- */

static _Atomic unsigned counted;

static bool count_only(void)
{
    counted++;
    return false;
}

static void measure(struct trial *t, struct effect *ret)
{
    struct sights before, after;
    see(t, &before);
    counted = 0;
    mem_set_fault(count_only);
    send_clean(t);
    mem_set_fault(NULL);
    t->allocations = counted;
    ret->status = t->world->answer->status;
    wire_shape_of(t->world->answer, ret->shape, sizeof ret->shape);
    if (ret->status < 300 && t->sample->holds && !strstr(t->world->answer->body, t->sample->holds))
        fail_msg("expected %s in %s", t->sample->holds, t->world->answer->body);
    see(t, &after);
    ret->delta = sights_minus(&after, &before);
}

static void let_leases_run_out(struct trial *t)
{
    if (t->sample->leases)
        fault_node_advance(t->world->node, LEASE_MS + 1);
}

void trial_begin(struct trial *t)
{
    static const struct sights nothing;
    side.fd = -1;
    for (int round = 0; round < 2; round++) { /* the first may find more to do than any other */
        prepare(t);
        let_leases_run_out(t);
        measure(t, &t->again);
        unsigned allocations = t->allocations;
        memcpy(&t->first, &t->again, sizeof t->first);
        let_leases_run_out(t);
        measure(t, &t->again);
        t->allocations = allocations;
    }
    if (t->first.status != t->route->status)
        fail_msg("without a fault: %d instead of %d", t->first.status, t->route->status);
    if (t->route->mutation && !t->sample->idle && t->key != TRIAL_REPEAT &&
        sights_equal(&t->first.delta, &nothing))
        fail_msg("without a fault it changes nothing that is looked at");
    if (t->key != TRIAL_PLAIN &&
        (t->again.status != t->first.status || !sights_equal(&t->again.delta, &nothing)))
        fail_msg("without a fault its repeat is not answered by the first answer");
}

/* ---- under fault ---- */

static void send_faulty(struct trial *t, unsigned n, enum trial_fault fault,
                        enum trial_connection c, bool *ret_hit)
{
    char request[REQUEST_BYTES];
    request_of(t, request);
    if (c == CONNECTION_KEPT) {
        wire_open(&side, t->world->node->port);
        assert_true(wire_send(&side, "GET /livez HTTP/1.1\r\nHost: node\r\n\r\n"));
        wire_answer(&side, &got);
        assert_int_equal(got.status, 200);
    }
    if (fault == FAULT_ONCE)
        fault_arm(n);
    else
        fault_arm_from(n);
    if (c == CONNECTION_NEW)
        wire_open(&side, t->world->node->port);
    (void)wire_send(&side, request); /* false: the connection is closed, as the answer will tell */
    wire_answer(&side, &got);
    *ret_hit = fault_disarm();
    wire_close(&side);
}

static bool good(int status)
{
    return status >= 200 && status < 300;
}

static void check_json(const struct answer *a)
{
    struct arena arena;
    if (!strstr(a->head, "json"))
        return;
    arena_init(&arena, 0);
    bool valid = json_valid(bytes_of(a->body, a->body_len), &arena, NULL);
    arena_release(&arena);
    if (!valid)
        fail_msg("no JSON: %s%s", a->head, a->body);
}

static void check_shape(const struct effect *expected, const struct answer *a)
{
    wire_shape_of(a, shape_got, sizeof shape_got);
    if (strcmp(shape_got, expected->shape) != 0)
        fail_msg("the answer differs from the one without a fault:\n%s%s\n(in shape: %s\ninstead "
                 "of: %s)",
                 a->head, a->body, shape_got, expected->shape);
}

static void check_answer(struct trial *t, bool hit)
{
    if (got.broken)
        fail_msg("no whole answer: %s\n%s%s", got.why, got.head, got.body);
    check_json(&got);
    bool refused = got.status == 503 || got.status == 507 || got.status == 0;
    trial_tally.answers_good += good(got.status);
    trial_tally.answers_refused += refused && got.status;
    trial_tally.closed += got.status == 0;
    if (good(got.status) && got.status != t->first.status)
        fail_msg("%d instead of %d", got.status, t->first.status);
    if (!good(got.status) && !(hit && refused))
        fail_msg("unexpected answer: %d %s", got.status, got.body);
}

/* What was made can be found. */
static void check_made(struct trial *t)
{
    char id[WORLD_ID], path[128];
    if (!t->sample->made)
        return;
    wire_text_of(&got, t->sample->made, id, sizeof id);
    size_t len = (size_t)(strchr(t->sample->found_at, '%') - t->sample->found_at);
    snprintf(path, sizeof path, "%.*s%s", (int)len, t->sample->found_at, id);
    world_call(t->world, t->world->key, "GET", path, NULL, 200);
}

static void wrong_effect(const char *when, const struct sights *delta, const struct sights *wanted)
{
    char is[400], should[400];
    sights_print(delta, is, sizeof is);
    sights_print(wanted, should, sizeof should);
    fail_msg("%s, after %d %s: %s; expected %s", when, got.status, got.body, is, should);
}

/* All of it or none of it.  True: all. */
static bool check_effect(struct trial *t, const struct sights *before)
{
    static const struct sights nothing;
    struct sights after;
    see(t, &after);
    struct sights delta = sights_minus(&after, before);
    bool all = sights_equal(&delta, &t->first.delta), none = sights_equal(&delta, &nothing);
    if (!all && !(none && !good(got.status)))
        wrong_effect("all or nothing", &delta, &t->first.delta);
    trial_tally.stood += all && !none && !good(got.status);
    return all && !none;
}

/* The same request without a fault. */
static void check_again(struct trial *t, const struct sights *before, bool done)
{
    struct sights middle, after;
    const struct effect *expected = done && t->key == TRIAL_PLAIN ? &t->again : &t->first;
    see(t, &middle);
    let_leases_run_out(t);
    send_clean(t);
    if (t->world->answer->status != expected->status)
        fail_msg("the same request without a fault: %d %s; expected %d", t->world->answer->status,
                 t->world->answer->body, expected->status);
    if (t->key == TRIAL_PLAIN && !t->sample->varies)
        check_shape(expected, t->world->answer);
    see(t, &after);
    struct sights delta = sights_minus(&after, t->key == TRIAL_PLAIN ? &middle : before);
    if (!sights_equal(&delta, &expected->delta))
        wrong_effect("the same request without a fault", &delta, &expected->delta);
}

bool trial_run(struct trial *t, unsigned n, enum trial_fault fault, enum trial_connection c)
{
    struct sights before;
    bool hit;
    prepare(t);
    let_leases_run_out(t);
    see(t, &before);
    send_faulty(t, n, fault, c, &hit);
    trial_tally.injections += hit;
    check_answer(t, hit);
    fault_node_validate(t->world->node);
    world_call(t->world, "", "GET", "/readyz", NULL, 200);
    bool done = check_effect(t, &before);
    if (good(got.status)) {
        if (!t->sample->varies)
            check_shape(&t->first, &got);
        check_made(t);
    }
    check_again(t, &before, done);
    return hit;
}
