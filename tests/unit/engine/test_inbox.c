/* SPDX-License-Identifier: MIT
 *
 * Inboxes: order, leases, redelivery, waiting, bounds, restarts. */
#include "stage.h"

#include <stdio.h>

#include "engine/engine_priv.h"

static int begin_bounded(void **state)
{
    (void)state;
    scene_begin(&s, (struct test_engine_options){.inbox_bytes = 1000});
    scene_agent(&s, "a", AXIS(0), NULL);
    return 0;
}

static struct call *start_pull(const struct pull_in *in, struct pull_out *out)
{
    struct call *c = test_call_new(s.te, &s.caller);
    engine_pull(s.te->engine, c, in, out);
    return c;
}

static const struct pull_in waiting = {
    .agent_id = {"a", 1}, .limit = 10, .wait_ms = 5000, .lease_ms = 30000};

/* ---- order and leases ---- */

static void items_come_in_the_order_of_their_sequence(void **state)
{
    (void)state;
    struct broadcast_out sent[5];
    for (int i = 0; i < 5; i++)
        sent[i] = scene_send(&s, "", AXIS(0));
    struct pull_out got = scene_pull(&s, "a", 3), rest;
    assert_int_equal(got.count, 3);
    assert_int_equal(got.pending, 5);
    rest = scene_pull(&s, "a", 10);
    assert_int_equal(rest.count, 2);
    for (size_t i = 0; i < 5; i++) {
        const struct inbox_item *x = i < 3 ? &got.items[i] : &rest.items[i - 3];
        assert_true(bytes_equal(x->nutrient_id, sent[i].nutrient_id));
        assert_true(bytes_equal(x->trace_id, sent[i].trace_id));
        assert_int_equal(x->attempt, 1);
        assert_bytes_equal(x->summary, "a summary");
        assert_int_equal(x->expires_ms, sent[i].expires_ms);
        assert_int_equal(x->lease_until_ms, TEST_ENGINE_START_MS + 30000);
    }
    assert_true(got.items[0].sequence < got.items[1].sequence);
    assert_true(got.items[2].sequence < rest.items[0].sequence);
}

static void a_stream_resumes_after_a_sequence(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++)
        scene_send(&s, "", AXIS(0));
    struct pull_out all = scene_pull(&s, "a", 10), out;
    test_engine_advance(s.te, 30000);
    struct pull_in in = waiting;
    in.wait_ms = 0;
    in.after = all.items[1].sequence;
    assert_int_equal(scene_pull_as(&s, &s.caller, &in, &out), QMN_OK);
    assert_int_equal(out.count, 2);
    assert_int_equal(out.items[0].sequence, all.items[2].sequence);
}

static struct pull_out pull_in_stream(uint32_t stream, int64_t resume_after)
{
    struct pull_in in = waiting;
    struct pull_out out;
    in.wait_ms = 0;
    in.stream = stream;
    in.after = resume_after;
    in.resume = resume_after > 0;
    assert_int_equal(scene_pull_as(&s, &s.caller, &in, &out), QMN_OK);
    return out;
}

static void a_resume_takes_over_what_a_stream_that_ended_was_leasing(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++)
        scene_send(&s, "", AXIS(0));
    uint32_t dead = engine_stream_open(s.te->engine), alive = engine_stream_open(s.te->engine),
             next = engine_stream_open(s.te->engine);
    struct pull_in two = waiting;
    struct pull_out first, out;
    two.limit = 2;
    two.stream = dead;
    assert_int_equal(scene_pull_as(&s, &s.caller, &two, &first), QMN_OK);
    two.stream = alive;
    two.limit = 1;
    assert_int_equal(scene_pull_as(&s, &s.caller, &two, &out), QMN_OK);
    assert_int_equal(scene_pull(&s, "a", 1).count, 1); /* a pull of its own, no stream */
    assert_int_equal(pull_in_stream(next, first.items[0].sequence).count, 0);
    engine_stream_close(s.te->engine, dead, NULL, 0);
    out = pull_in_stream(next, first.items[0].sequence);
    assert_int_equal(out.count, 1); /* neither what was seen nor what others hold */
    assert_int_equal(out.items[0].sequence, first.items[1].sequence);
    assert_int_equal(out.items[0].attempt, 2);
    assert_int_equal(pull_in_stream(next, first.items[0].sequence).count, 0);
    engine_stream_close(s.te->engine, alive, NULL, 0);
    assert_int_equal(pull_in_stream(next, 0).count, 0); /* who does not resume waits for leases */
    test_engine_advance(s.te, 30000);
    assert_int_equal(scene_pull(&s, "a", 10).count, 4);
    engine_stream_close(s.te->engine, next, NULL, 0);
}

static void a_resume_that_comes_before_the_end_of_its_old_stream_is_woken(void **state)
{
    (void)state;
    scene_send(&s, "", AXIS(0));
    scene_send(&s, "", AXIS(0));
    uint32_t dying = engine_stream_open(s.te->engine), next = engine_stream_open(s.te->engine);
    struct pull_out first = pull_in_stream(dying, 0), out;
    struct pull_in in = waiting;
    in.stream = next;
    in.after = first.items[0].sequence;
    in.resume = true;
    struct call *c = start_pull(&in, &out);
    assert_false(test_call_done(s.te, c));
    engine_stream_close(s.te->engine, dying, NULL, 0);
    assert_int_equal(test_call_wait(s.te, c), QMN_OK);
    assert_int_equal(out.count, 1);
    assert_int_equal(out.items[0].sequence, first.items[1].sequence);
    engine_stream_close(s.te->engine, next, NULL, 0);
}

static void what_a_stream_never_sent_is_anybodys_at_once(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        scene_send(&s, "", AXIS(0));
    uint32_t dying = engine_stream_open(s.te->engine);
    struct pull_out first = pull_in_stream(dying, 0), out;
    assert_int_equal(first.count, 3);
    struct call *c = start_pull(&waiting, &out); /* no stream, and nothing to resume */
    assert_false(test_call_done(s.te, c));
    int64_t unsent[] = {first.items[1].sequence, first.items[2].sequence};
    engine_stream_close(s.te->engine, dying, unsent, 2);
    assert_int_equal(test_call_wait(s.te, c), QMN_OK);
    assert_int_equal(out.count, 2);
    assert_int_equal(out.items[0].sequence, unsent[0]);
    assert_int_equal(out.items[0].attempt, 1); /* the one in vain does not count */
    assert_int_equal(out.items[1].sequence, unsent[1]);
    assert_int_equal(scene_pull(&s, "a", 10).count, 0); /* the first was sent */
}

static void what_somebody_else_holds_by_now_stays_theirs(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++)
        scene_send(&s, "", AXIS(0));
    uint32_t dying = engine_stream_open(s.te->engine);
    struct pull_out first = pull_in_stream(dying, 0);
    struct ack_out acked;
    int64_t unsent[] = {first.items[0].sequence, first.items[1].sequence, 12345};
    test_engine_advance(s.te, 30000); /* its leases are over */
    assert_int_equal(scene_pull(&s, "a", 1).items[0].sequence, unsent[0]);
    assert_int_equal(scene_ack(&s, "a", first.items[1].nutrient_id, &acked), QMN_OK);
    engine_stream_close(s.te->engine, dying, unsent, 3);
    assert_int_equal(scene_pull(&s, "a", 10).count, 0);
}

static void a_pulled_item_carries_its_embedding_when_asked(void **state)
{
    (void)state;
    scene_send(&s, "", VEC(3, 4));
    struct pull_in in = waiting;
    struct pull_out out;
    in.embedding = true;
    assert_int_equal(scene_pull_as(&s, &s.caller, &in, &out), QMN_OK);
    assert_int_equal(out.items[0].dim, SCENE_DIM);
    assert_float_equal(out.items[0].embedding[0], 0.6f, 1e-3f);
    assert_float_equal(out.items[0].embedding[1], 0.8f, 1e-3f);
}

static void a_leased_item_comes_again_after_its_lease(void **state)
{
    (void)state;
    scene_send(&s, "", AXIS(0));
    assert_int_equal(scene_pull(&s, "a", 1).count, 1);
    test_engine_advance(s.te, 29999);
    assert_int_equal(scene_pull(&s, "a", 1).count, 0);
    test_engine_advance(s.te, 1);
    struct pull_out again = scene_pull(&s, "a", 1);
    assert_int_equal(again.count, 1);
    assert_int_equal(again.items[0].attempt, 2);
}

static void what_is_acknowledged_is_gone(void **state)
{
    (void)state;
    struct ack_out ack;
    struct broadcast_out sent = scene_send(&s, "", AXIS(0));
    scene_pull(&s, "a", 1);
    assert_int_equal(scene_ack(&s, "a", sent.nutrient_id, &ack), QMN_OK);
    assert_int_equal(ack.changed, 1);
    assert_int_equal(ack.unknown_count, 0);
    test_engine_advance(s.te, 30000);
    struct pull_out out = scene_pull(&s, "a", 1);
    assert_int_equal(out.count, 0);
    assert_int_equal(out.pending, 0);
    assert_int_equal(scene_ack(&s, "a", sent.nutrient_id, &ack), QMN_OK);
    assert_int_equal(ack.changed, 0); /* a second time it is unknown */
    assert_int_equal(ack.unknown_count, 1);
}

static void a_refused_item_comes_again_after_the_delay(void **state)
{
    (void)state;
    struct broadcast_out sent = scene_send(&s, "", AXIS(0));
    scene_pull(&s, "a", 1);
    assert_int_equal(scene_nack(&s, "a", sent.nutrient_id, false, 2000), QMN_OK);
    struct trace_out t = scene_trace(&s, sent.trace_id);
    assert_string_equal(t.deliveries[0].state, "pending"); /* given back: nobody leases it */
    test_engine_advance(s.te, 1999);
    assert_int_equal(scene_pull(&s, "a", 1).count, 0);
    test_engine_advance(s.te, 1);
    struct pull_out again = scene_pull(&s, "a", 1);
    assert_int_equal(again.count, 1);
    assert_int_equal(again.items[0].attempt, 2);
}

static void a_rejected_item_never_comes_again(void **state)
{
    (void)state;
    struct broadcast_out sent = scene_send(&s, "", AXIS(0));
    assert_int_equal(scene_nack(&s, "a", sent.nutrient_id, true, 0), QMN_OK);
    assert_int_equal(scene_pull(&s, "a", 1).count, 0);
    assert_string_equal(scene_trace(&s, sent.trace_id).deliveries[0].state, "rejected");
}

static void an_expired_item_is_gone(void **state)
{
    (void)state;
    struct broadcast_out sent = scene_send(&s, "", AXIS(0));
    struct ack_out ack;
    struct respond_out response;
    test_engine_advance(s.te, 60000); /* before any background work */
    assert_int_equal(scene_pull(&s, "a", 1).count, 0);
    assert_int_equal(scene_respond(&s, "a", sent.nutrient_id, "{}", &response), QMN_E_NOT_FOUND);
    scene_settle(&s);
    assert_int_equal(scene_pull(&s, "a", 1).pending, 0);
    assert_int_equal(scene_ack(&s, "a", sent.nutrient_id, &ack), QMN_OK);
    assert_int_equal(ack.unknown_count, 1);
}

static void two_pullers_never_share_a_lease(void **state)
{
    (void)state;
    struct pull_out first, second;
    struct call *a = start_pull(&waiting, &first), *b = start_pull(&waiting, &second);
    assert_false(test_call_done(s.te, a) || test_call_done(s.te, b));
    scene_send(&s, "", AXIS(0));
    while (!test_call_done(s.te, a) && !test_call_done(s.te, b))
        ;
    test_engine_advance(s.te, 5000);
    assert_int_equal(test_call_wait(s.te, a), QMN_OK);
    assert_int_equal(test_call_wait(s.te, b), QMN_OK);
    assert_int_equal(first.count + second.count, 1);
}

/* ---- names ---- */

static void a_clients_own_id_works_for_ack_and_respond(void **state)
{
    (void)state;
    struct broadcast_in in = scene_nutrient(&s, "", AXIS(0));
    struct broadcast_out sent;
    in.client_id = BYTES_LIT("my-nutrient");
    assert_int_equal(scene_broadcast(&s, &in, &sent), QMN_OK);
    assert_bytes_equal(sent.nutrient_id, "my-nutrient");
    struct pull_out out = scene_pull(&s, "a", 1);
    assert_bytes_equal(out.items[0].nutrient_id, "my-nutrient");
    struct respond_out response;
    assert_int_equal(scene_respond(&s, "a", BYTES_LIT("my-nutrient"), "{}", &response), QMN_OK);
    assert_bytes_equal(response.nutrient_id, "my-nutrient");
    struct ack_out ack;
    assert_int_equal(scene_ack(&s, "a", BYTES_LIT("my-nutrient"), &ack), QMN_OK);
    assert_int_equal(ack.changed, 1);
}

/* It would shadow the nutrient of that name: answers and acknowledgements would go there. */
static void a_clients_own_id_is_never_one_of_ours(void **state)
{
    (void)state;
    struct broadcast_in in = scene_nutrient(&s, "", AXIS(0));
    struct broadcast_out other = scene_send(&s, "", AXIS(0)), sent;
    struct bytes taken[] = {other.nutrient_id, other.trace_id};
    for (size_t i = 0; i < ARRAY_LEN(taken); i++) {
        in.client_id = taken[i];
        assert_int_equal(scene_broadcast(&s, &in, &sent), QMN_E_INVALID);
        assert_string_equal(s.te->last->err.field, "id");
    }
    in.client_id = BYTES_LIT("nu_almost");
    assert_int_equal(scene_broadcast(&s, &in, &sent), QMN_OK);
    assert_bytes_equal(sent.nutrient_id, "nu_almost");
}

static void the_same_client_id_is_the_same_nutrient(void **state)
{
    (void)state;
    struct broadcast_in in = scene_nutrient(&s, "", AXIS(0));
    struct broadcast_out first, again;
    in.client_id = BYTES_LIT("my-nutrient");
    assert_int_equal(scene_broadcast(&s, &in, &first), QMN_OK);
    test_engine_advance(s.te, 1000);
    assert_int_equal(scene_broadcast(&s, &in, &again), QMN_OK);
    assert_true(bytes_equal(first.trace_id, again.trace_id));
    assert_int_equal(first.created_ms, again.created_ms);
    assert_string_equal(scene_reached(&s, &first), scene_reached(&s, &again));
    assert_int_equal(scene_pull(&s, "a", 10).count, 1);
    in.summary = BYTES_LIT("another body");
    assert_int_equal(scene_broadcast(&s, &in, &again), QMN_E_CONFLICT);
    test_engine_advance(s.te, 61000); /* also when the nutrient itself has gone */
    scene_settle(&s);
    assert_int_equal(scene_broadcast(&s, &in, &again), QMN_E_CONFLICT);
    in.summary = BYTES_LIT("a summary");
    assert_int_equal(scene_broadcast(&s, &in, &again), QMN_OK);
    assert_true(bytes_equal(first.trace_id, again.trace_id));
    assert_int_equal(scene_pull(&s, "a", 10).count, 0);
}

static void the_same_client_id_of_two_tenants_is_two_nutrients(void **state)
{
    (void)state;
    struct broadcast_in in = scene_nutrient(&s, "", AXIS(0));
    struct broadcast_out mine, theirs;
    struct ack_out ack;
    in.client_id = BYTES_LIT("my-nutrient");
    assert_int_equal(scene_broadcast(&s, &in, &mine), QMN_OK);
    test_tenant(s.te, "rival");
    struct caller rival = test_member(s.te, "rival", NULL);
    in.summary = BYTES_LIT("another body");
    assert_int_equal(TEST_CALL(s.te, &rival, engine_broadcast, &in, &theirs), QMN_OK);
    assert_false(bytes_equal(mine.trace_id, theirs.trace_id));
    struct ack_in acked = {.agent_id = BYTES_LIT("a"), .nutrient_ids = &in.client_id, .count = 1};
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_ack, &acked, &ack), QMN_OK);
    assert_int_equal(ack.changed, 1);
}

static void one_group_makes_one_nutrient_of_one_client_id(void **state)
{
    (void)state;
    enum { N = 20 };
    struct broadcast_in in = scene_nutrient(&s, "", AXIS(0));
    struct broadcast_out out[N];
    struct call *calls[N];
    in.client_id = BYTES_LIT("twin");
    for (int i = 0; i < N; i++) {
        calls[i] = test_call_new(s.te, &s.caller);
        engine_broadcast(s.te->engine, calls[i], &in, &out[i]);
    }
    for (int i = 0; i < N; i++) {
        assert_int_equal(test_call_wait(s.te, calls[i]), QMN_OK);
        assert_true(bytes_equal(out[i].trace_id, out[0].trace_id));
    }
    assert_int_equal(scene_pull(&s, "a", N).count, 1);
}

static void unknown_ids_are_listed(void **state)
{
    (void)state;
    scene_agent(&s, "b", AXIS(1), NULL);
    struct broadcast_out mine = scene_send(&s, "", AXIS(0)), others = scene_send(&s, "", AXIS(1));
    struct bytes ids[] = {BYTES_LIT("no-such"), mine.nutrient_id, others.nutrient_id,
                          mine.nutrient_id, BYTES_LIT("")};
    struct ack_in in = {.agent_id = BYTES_LIT("a"), .nutrient_ids = ids, .count = ARRAY_LEN(ids)};
    struct ack_out ack;
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_ack, &in, &ack), QMN_OK);
    assert_int_equal(ack.changed, 1); /* named twice, acknowledged once */
    assert_int_equal(ack.unknown_count, 3);
    assert_bytes_equal(ack.unknown[0], "no-such");
    assert_true(bytes_equal(ack.unknown[1], others.nutrient_id));
}

static void acks_of_one_item_in_one_group_count_it_once(void **state)
{
    (void)state;
    enum { N = 10 };
    struct broadcast_out sent = scene_send(&s, "", AXIS(0));
    struct ack_in in = {.agent_id = BYTES_LIT("a"), .nutrient_ids = &sent.nutrient_id, .count = 1};
    struct ack_out out[N];
    struct call *calls[N];
    uint32_t changed = 0;
    size_t unknown = 0;
    for (int i = 0; i < N; i++) {
        calls[i] = test_call_new(s.te, &s.caller);
        engine_ack(s.te->engine, calls[i], &in, &out[i]);
    }
    for (int i = 0; i < N; i++) {
        assert_int_equal(test_call_wait(s.te, calls[i]), QMN_OK);
        changed += out[i].changed;
        unknown += out[i].unknown_count;
    }
    assert_int_equal(changed, 1);
    assert_int_equal(unknown, N - 1);
}

/* ---- waiting ---- */

static void a_waiting_pull_wakes_on_a_broadcast(void **state)
{
    (void)state;
    struct pull_out out;
    struct call *c = start_pull(&waiting, &out);
    assert_false(test_call_done(s.te, c));
    scene_send(&s, "", AXIS(0));
    assert_int_equal(test_call_wait(s.te, c), QMN_OK);
    assert_int_equal(out.count, 1);
}

static void a_waiting_pull_ends_empty_after_its_wait(void **state)
{
    (void)state;
    struct pull_out out;
    struct call *c = start_pull(&waiting, &out);
    test_engine_advance(s.te, 4999);
    assert_false(test_call_done(s.te, c));
    test_engine_advance(s.te, 1);
    assert_true(test_call_done(s.te, c));
    assert_int_equal(c->code, QMN_OK);
    assert_int_equal(out.count, 0);
}

static void a_waiting_pull_gets_what_another_let_lapse(void **state)
{
    (void)state;
    struct pull_in first = waiting, second = waiting;
    struct pull_out one, two;
    scene_send(&s, "", AXIS(0));
    first.lease_ms = 2000;
    assert_int_equal(scene_pull_as(&s, &s.caller, &first, &one), QMN_OK);
    struct call *c = start_pull(&second, &two);
    test_engine_advance(s.te, 1999);
    assert_false(test_call_done(s.te, c));
    test_engine_advance(s.te, 60);
    assert_true(test_call_done(s.te, c));
    assert_int_equal(two.count, 1);
    assert_int_equal(two.items[0].attempt, 2);
}

static void a_cancelled_pull_ends_at_once_without_items(void **state)
{
    (void)state;
    struct pull_out out;
    struct call *c = start_pull(&waiting, &out);
    engine_cancel(s.te->engine, c);
    assert_true(test_call_done(s.te, c));
    assert_int_equal(out.count, 0);
    engine_cancel(s.te->engine, c); /* harmless afterwards */
}

static void a_pull_cancelled_on_its_way_takes_nothing_with_it(void **state)
{
    (void)state;
    struct pull_out out;
    struct call *c = start_pull(&waiting, &out);
    /* the wake-up of c is posted before the broadcast's own end, and both wait to be run */
    struct test_engine *lane = test_engine_lane(s.te);
    struct broadcast_in in = scene_nutrient(&s, "", AXIS(0));
    struct broadcast_out sent;
    struct call *b = test_call_new(lane, &s.caller);
    engine_broadcast(s.te->engine, b, &in, &sent);
    assert_int_equal(test_call_wait(lane, b), QMN_OK);
    engine_cancel(s.te->engine, c);
    assert_int_equal(test_call_wait(s.te, c), QMN_OK);
    assert_int_equal(out.count, 0);
    struct pull_out next = scene_pull(&s, "a", 1);
    assert_int_equal(next.count, 1); /* not leased to a client that has gone */
    assert_int_equal(next.items[0].attempt, 1);
    test_engine_free(lane);
}

static void cancelling_any_other_call_is_harmless(void **state)
{
    (void)state;
    struct broadcast_in in = scene_nutrient(&s, "", AXIS(0));
    struct broadcast_out sent;
    struct call *c = test_call_new(s.te, &s.caller);
    engine_broadcast(s.te->engine, c, &in, &sent);
    engine_cancel(s.te->engine, c);
    assert_int_equal(test_call_wait(s.te, c), QMN_OK);
    engine_cancel(s.te->engine, c);
    struct edge_stats stats;
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_edge_stats, &stats), QMN_OK);
    engine_cancel(s.te->engine, s.te->last);
    assert_int_equal(scene_pull(&s, "a", 1).count, 1);
}

static void a_pull_of_a_suspended_agent_ends(void **state)
{
    (void)state;
    struct pull_out out;
    struct call *c = start_pull(&waiting, &out);
    assert_int_equal(scene_suspend(&s, "a"), QMN_OK);
    assert_int_equal(test_call_wait(s.te, c), QMN_E_CONFLICT);
}

/* ---- labels ---- */

static void a_pull_shows_only_what_key_and_agent_may_see(void **state)
{
    (void)state;
    scene_agent_cleared(&s, "boss", AXIS(7), LABEL_SECRET);
    scene_agent_cleared(&s, "a", AXIS(0), LABEL_SECRET);
    struct broadcast_in in = scene_nutrient(&s, "boss", AXIS(0));
    struct broadcast_out sent;
    in.sensitivity = LABEL_CONFIDENTIAL;
    assert_int_equal(scene_broadcast(&s, &in, &sent), QMN_OK);
    struct broadcast_out plain = scene_send(&s, "boss", AXIS(0));
    struct caller weak = s.caller;
    struct pull_out out;
    weak.clearance = LABEL_INTERNAL;
    struct pull_in pull = waiting;
    pull.wait_ms = 0;
    assert_int_equal(scene_pull_as(&s, &weak, &pull, &out), QMN_OK);
    assert_int_equal(out.count, 1);
    assert_true(bytes_equal(out.items[0].nutrient_id, plain.nutrient_id));
    assert_int_equal(scene_pull_as(&s, &s.caller, &pull, &out), QMN_OK);
    assert_int_equal(out.count, 1);
    assert_true(bytes_equal(out.items[0].nutrient_id, sent.nutrient_id));
}

static void a_key_bound_to_agents_pulls_for_them_only(void **state)
{
    (void)state;
    scene_agent(&s, "b", AXIS(1), NULL);
    struct caller bound = s.caller;
    struct pull_in in = waiting;
    struct pull_out out;
    bound.agent_ids = test_list(s.te, "b");
    in.wait_ms = 0;
    assert_int_equal(scene_pull_as(&s, &bound, &in, &out), QMN_E_FORBIDDEN);
    in.agent_id = BYTES_LIT("");
    scene_send(&s, "", AXIS(1));
    assert_int_equal(scene_pull_as(&s, &bound, &in, &out), QMN_OK);
    assert_int_equal(out.count, 1);
}

/* ---- restarts ---- */

static void a_restart_redelivers_the_unacknowledged_only(void **state)
{
    (void)state;
    struct broadcast_out sent[4];
    struct ack_out ack;
    for (int i = 0; i < 4; i++)
        sent[i] = scene_send(&s, "", AXIS(0));
    scene_pull(&s, "a", 3); /* leases do not survive, nor need they */
    assert_int_equal(scene_ack(&s, "a", sent[0].nutrient_id, &ack), QMN_OK);
    assert_int_equal(scene_nack(&s, "a", sent[2].nutrient_id, true, 0), QMN_OK);
    scene_restart(&s);
    struct pull_out out = scene_pull(&s, "a", 10);
    assert_int_equal(out.count, 2);
    assert_true(bytes_equal(out.items[0].nutrient_id, sent[1].nutrient_id));
    assert_true(bytes_equal(out.items[1].nutrient_id, sent[3].nutrient_id));
}

static void a_restart_over_sqlite_redelivers_as_well(void **state)
{
    (void)state;
    scene_end(&s);
    scene_begin(&s, (struct test_engine_options){.sqlite = true});
    scene_agent(&s, "a", AXIS(0), "x y");
    struct broadcast_out sent = scene_send(&s, "", AXIS(0)), other = scene_send(&s, "", AXIS(0));
    struct ack_out ack;
    assert_int_equal(scene_ack(&s, "a", other.nutrient_id, &ack), QMN_OK);
    scene_restart(&s);
    struct pull_out out = scene_pull(&s, "a", 10);
    assert_int_equal(out.count, 1);
    assert_true(bytes_equal(out.items[0].nutrient_id, sent.nutrient_id));
    test_engine_advance(s.te, 60000);
    scene_restart(&s);
    assert_int_equal(scene_pull(&s, "a", 10).count, 0);
}

static void what_suspension_took_stays_away_after_a_restart(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        scene_send(&s, "", AXIS(0));
    assert_int_equal(scene_suspend(&s, "a"), QMN_OK);
    scene_agent(&s, "a", AXIS(0), NULL); /* resumes, with an empty inbox */
    assert_int_equal(scene_pull(&s, "a", 10).count, 0);
    struct broadcast_out later = scene_send(&s, "", AXIS(0));
    scene_restart(&s);
    struct pull_out out = scene_pull(&s, "a", 10);
    assert_int_equal(out.count, 1);
    assert_true(bytes_equal(out.items[0].nutrient_id, later.nutrient_id));
}

/* ---- how much at once ---- */

static void a_pull_leases_no_more_than_it_can_carry(void **state)
{
    (void)state;
    enum { N = 12, SIZE = (1 << 20) - 4096 }; /* with all that belongs to it, 1 MB at most */
    static char text[SIZE];
    memset(text, 'x', sizeof text);
    struct broadcast_in in = scene_nutrient(&s, "", AXIS(0));
    struct broadcast_out sent;
    in.summary = bytes_of(text, sizeof text);
    for (int i = 0; i < N; i++)
        assert_int_equal(scene_broadcast(&s, &in, &sent), QMN_OK);
    struct pull_out first = scene_pull(&s, "a", 100);
    assert_int_equal(first.count, 8);
    assert_int_equal(first.pending, N);
    assert_int_equal(scene_pull(&s, "a", 100).count, N - 8); /* at once: nobody leased them */
}

static void what_lapses_or_is_refused_is_found_among_many_leased(void **state)
{
    (void)state;
    enum { N = 20 };
    struct broadcast_out sent[N];
    struct pull_in longer = {.agent_id = BYTES_LIT("a"), .limit = N, .lease_ms = 60000};
    struct pull_out out;
    for (int i = 0; i < N; i++)
        sent[i] = scene_send(&s, "", AXIS(0));
    assert_int_equal(scene_pull(&s, "a", 5).count, 5); /* for 30 s */
    assert_int_equal(scene_pull_as(&s, &s.caller, &longer, &out), QMN_OK);
    assert_int_equal(out.count, N - 5);
    assert_int_equal(scene_pull(&s, "a", N).count, 0);
    scene_validate(&s);
    const struct tenant *t = network_tenant(&s.te->engine->net, BYTES_LIT("acme"));
    assert_null(tenant_agent(t, BYTES_LIT("a"))->inbox_scan); /* the next pull walks past none */
    assert_int_equal(scene_nack(&s, "a", sent[7].nutrient_id, false, 1000), QMN_OK);
    assert_int_equal(scene_pull(&s, "a", N).count, 0);
    test_engine_advance(s.te, 1000);
    out = scene_pull(&s, "a", N);
    assert_int_equal(out.count, 1);
    assert_true(bytes_equal(out.items[0].nutrient_id, sent[7].nutrient_id));
    struct ack_out ack; /* the one after all that were looked at */
    struct broadcast_out late = scene_send(&s, "", AXIS(0));
    assert_int_equal(scene_ack(&s, "a", late.nutrient_id, &ack), QMN_OK);
    late = scene_send(&s, "", AXIS(0));
    out = scene_pull(&s, "a", N);
    assert_int_equal(out.count, 1);
    assert_true(bytes_equal(out.items[0].nutrient_id, late.nutrient_id));
    scene_validate(&s);
    test_engine_advance(s.te, 29000);
    assert_int_equal(scene_pull(&s, "a", N).count, 5);
}

/* ---- the bound ---- */

/* About 400 bytes each. */
static struct broadcast_out send_large(void)
{
    static char text[320];
    struct broadcast_in in = scene_nutrient(&s, "", AXIS(0));
    struct broadcast_out out;
    memset(text, 'x', sizeof text);
    in.summary = bytes_of(text, sizeof text);
    assert_int_equal(scene_broadcast(&s, &in, &out), QMN_OK);
    return out;
}

static void beyond_the_bound_the_oldest_is_dropped_and_counted(void **state)
{
    (void)state;
    struct broadcast_out sent[5];
    for (int i = 0; i < 5; i++)
        sent[i] = send_large();
    struct pull_out out = scene_pull(&s, "a", 10);
    assert_int_equal(out.count, 2);
    assert_int_equal(out.dropped, 3);
    assert_true(bytes_equal(out.items[0].nutrient_id, sent[3].nutrient_id));
    assert_string_equal(scene_trace(&s, sent[0].trace_id).deliveries[0].state, "rejected");
}

static void what_is_acknowledged_no_longer_counts_against_the_bound(void **state)
{
    (void)state;
    struct ack_out ack;
    struct broadcast_out kept = send_large();
    for (int i = 0; i < 20; i++) {
        struct broadcast_out sent = send_large();
        assert_int_equal(scene_ack(&s, "a", sent.nutrient_id, &ack), QMN_OK);
        assert_int_equal(ack.changed, 1);
    }
    scene_restart(&s);
    struct pull_out out = scene_pull(&s, "a", 10);
    assert_int_equal(out.dropped, 0);
    assert_int_equal(out.count, 1);
    assert_true(bytes_equal(out.items[0].nutrient_id, kept.nutrient_id));
}

static void what_reached_nobody_does_not_count_against_the_bound(void **state)
{
    (void)state;
    struct broadcast_out kept = send_large();
    for (int i = 0; i < 20; i++) {
        struct broadcast_in in = scene_nutrient(&s, "", VEC(-1));
        struct broadcast_out out;
        assert_int_equal(scene_broadcast(&s, &in, &out), QMN_OK);
        assert_int_equal(out.hop_count, 0);
    }
    struct pull_out out = scene_pull(&s, "a", 10);
    assert_int_equal(out.count, 1);
    assert_true(bytes_equal(out.items[0].nutrient_id, kept.nutrient_id));
}

#define INBOX(test) cmocka_unit_test_setup_teardown(test, stage_a, stage_end)
#define BOUND(test) cmocka_unit_test_setup_teardown(test, begin_bounded, stage_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        INBOX(items_come_in_the_order_of_their_sequence),
        INBOX(a_stream_resumes_after_a_sequence),
        INBOX(a_resume_takes_over_what_a_stream_that_ended_was_leasing),
        INBOX(a_resume_that_comes_before_the_end_of_its_old_stream_is_woken),
        INBOX(what_a_stream_never_sent_is_anybodys_at_once),
        INBOX(what_somebody_else_holds_by_now_stays_theirs),
        INBOX(a_pulled_item_carries_its_embedding_when_asked),
        INBOX(a_leased_item_comes_again_after_its_lease),
        INBOX(what_is_acknowledged_is_gone),
        INBOX(a_refused_item_comes_again_after_the_delay),
        INBOX(a_rejected_item_never_comes_again),
        INBOX(an_expired_item_is_gone),
        INBOX(two_pullers_never_share_a_lease),
        INBOX(a_clients_own_id_works_for_ack_and_respond),
        INBOX(a_clients_own_id_is_never_one_of_ours),
        INBOX(the_same_client_id_is_the_same_nutrient),
        INBOX(the_same_client_id_of_two_tenants_is_two_nutrients),
        INBOX(one_group_makes_one_nutrient_of_one_client_id),
        INBOX(unknown_ids_are_listed),
        INBOX(acks_of_one_item_in_one_group_count_it_once),
        INBOX(a_waiting_pull_wakes_on_a_broadcast),
        INBOX(a_waiting_pull_ends_empty_after_its_wait),
        INBOX(a_waiting_pull_gets_what_another_let_lapse),
        INBOX(a_cancelled_pull_ends_at_once_without_items),
        INBOX(a_pull_cancelled_on_its_way_takes_nothing_with_it),
        INBOX(cancelling_any_other_call_is_harmless),
        INBOX(a_pull_of_a_suspended_agent_ends),
        INBOX(a_pull_shows_only_what_key_and_agent_may_see),
        INBOX(a_key_bound_to_agents_pulls_for_them_only),
        INBOX(a_restart_redelivers_the_unacknowledged_only),
        INBOX(a_restart_over_sqlite_redelivers_as_well),
        INBOX(what_suspension_took_stays_away_after_a_restart),
        INBOX(a_pull_leases_no_more_than_it_can_carry),
        INBOX(what_lapses_or_is_refused_is_found_among_many_leased),
        BOUND(beyond_the_bound_the_oldest_is_dropped_and_counted),
        BOUND(what_is_acknowledged_no_longer_counts_against_the_bound),
        BOUND(what_reached_nobody_does_not_count_against_the_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
