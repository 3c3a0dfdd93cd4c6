/* SPDX-License-Identifier: MIT
 *
 * Collect: for whom it waits, what it finds, how it ranks. */
#include "stage.h"

#include <math.h>
#include <string.h>

#include "base/limits.h"

static struct call *start_collect(const struct collect_in *in, struct collect_out *out)
{
    struct call *c = test_call_new(s.te, &s.caller);
    engine_collect(s.te->engine, c, in, out);
    return c;
}

/* True when the call ends without the clock moving. */
static bool ends_at_once(struct call *c)
{
    scene_settle(&s);
    return test_call_done(s.te, c);
}

static void assert_lasts_its_window(struct call *c)
{
    assert_false(ends_at_once(c));
    test_engine_advance(s.te, 300);
    assert_int_equal(test_call_wait(s.te, c), QMN_OK);
}

static bool found(const struct collect_out *out, const char *agent, bool memory)
{
    for (size_t i = 0; i < out->count; i++)
        if (bytes_is(out->items[i].agent_id, agent) && out->items[i].from_memory == memory)
            return true;
    return false;
}

/* ---- waiting ---- */

static void with_nobody_asked_it_returns_at_once(void **state)
{
    (void)state;
    struct collect_in in = scene_demand(&s, "", AXIS(0));
    struct collect_out out;
    struct call *c = start_collect(&in, &out);
    assert_true(ends_at_once(c));
    assert_int_equal(c->code, QMN_OK);
    assert_int_equal(out.waited_ms, 0);
    assert_int_equal(out.outstanding, 0);
}

static void when_nobody_polled_it_returns_at_once(void **state)
{
    (void)state;
    scene_send(&s, "", AXIS(0));
    struct collect_in in = scene_demand(&s, "", AXIS(0));
    struct collect_out out;
    assert_true(ends_at_once(start_collect(&in, &out)));
    assert_int_equal(out.outstanding, 0);
}

static void for_an_agent_that_polled_and_is_silent_it_waits_the_window(void **state)
{
    (void)state;
    scene_pull(&s, "a", 1);
    scene_send(&s, "", AXIS(0));
    struct collect_in in = scene_demand(&s, "", AXIS(0));
    struct collect_out out;
    struct call *c = start_collect(&in, &out);
    assert_false(ends_at_once(c));
    test_engine_advance(s.te, 299);
    assert_false(ends_at_once(c));
    test_engine_advance(s.te, 1);
    assert_int_equal(test_call_wait(s.te, c), QMN_OK);
    assert_int_equal(out.waited_ms, 300);
    assert_int_equal(out.outstanding, 1);
}

static void an_agent_counts_as_around_for_a_minute(void **state)
{
    (void)state;
    scene_pull(&s, "a", 1);
    struct broadcast_in in = scene_nutrient(&s, "", AXIS(0));
    struct broadcast_out sent;
    in.ttl_sec = 3600;
    assert_int_equal(scene_broadcast(&s, &in, &sent), QMN_OK);
    test_engine_advance(s.te, 59999);
    struct collect_in demand = scene_demand(&s, "", AXIS(0));
    struct collect_out out;
    struct call *c = start_collect(&demand, &out);
    assert_lasts_its_window(c);
    assert_true(ends_at_once(start_collect(&demand, &out)));
}

static void for_a_lease_it_waits_however_long_ago_the_poll_was(void **state)
{
    (void)state;
    struct broadcast_in in = scene_nutrient(&s, "", AXIS(0));
    struct broadcast_out sent;
    in.ttl_sec = 3600;
    assert_int_equal(scene_broadcast(&s, &in, &sent), QMN_OK);
    struct pull_in pull = {.agent_id = BYTES_LIT("a"), .limit = 1, .lease_ms = 300000};
    struct pull_out pulled;
    assert_int_equal(scene_pull_as(&s, &s.caller, &pull, &pulled), QMN_OK);
    test_engine_advance(s.te, 200000);
    struct collect_in demand = scene_demand(&s, "", AXIS(0));
    struct collect_out out;
    struct call *c = start_collect(&demand, &out);
    assert_lasts_its_window(c);
}

static void the_response_wakes_it_early(void **state)
{
    (void)state;
    scene_pull(&s, "a", 1);
    struct broadcast_out sent = scene_send(&s, "", AXIS(0));
    struct collect_in in = scene_demand(&s, "", AXIS(0));
    struct collect_out out;
    struct respond_out response;
    struct call *c = start_collect(&in, &out);
    test_engine_advance(s.te, 100);
    assert_int_equal(scene_respond(&s, "a", sent.nutrient_id, "{\"x\":1}", &response), QMN_OK);
    assert_int_equal(test_call_wait(s.te, c), QMN_OK);
    assert_int_equal(out.waited_ms, 100);
    assert_int_equal(out.count, 1);
    assert_true(bytes_equal(out.items[0].id, response.response_id));
    assert_bytes_equal(out.items[0].data, "{\"x\":1}");
    assert_bytes_equal(out.items[0].kind, "response");
}

static void it_waits_for_the_last_one_asked(void **state)
{
    (void)state;
    scene_agent(&s, "a2", VEC(1, 0, 0.1f), NULL);
    scene_pull(&s, "a", 1);
    scene_pull(&s, "a2", 1);
    struct broadcast_out sent = scene_send(&s, "", AXIS(0));
    struct collect_in in = scene_demand(&s, "", AXIS(0));
    struct collect_out out;
    struct respond_out response;
    struct call *c = start_collect(&in, &out);
    assert_int_equal(scene_respond(&s, "a", sent.nutrient_id, "{}", &response), QMN_OK);
    assert_false(ends_at_once(c));
    assert_int_equal(scene_respond(&s, "a2", sent.nutrient_id, "{}", &response), QMN_OK);
    assert_int_equal(test_call_wait(s.te, c), QMN_OK);
    assert_int_equal(out.waited_ms, 0);
    assert_int_equal(out.count, 2);
}

static void an_ack_a_refusal_or_a_suspension_ends_the_wait(void **state)
{
    (void)state;
    for (int way = 0; way < 4; way++) {
        scene_agent(&s, "a", AXIS(0), NULL);
        scene_pull(&s, "a", 10);
        struct broadcast_out sent = scene_send(&s, "", AXIS(0));
        struct collect_in in = scene_demand(&s, "", AXIS(0));
        struct collect_out out;
        struct ack_out ack;
        struct call *c = start_collect(&in, &out);
        assert_false(ends_at_once(c));
        if (way == 0)
            assert_int_equal(scene_ack(&s, "a", sent.nutrient_id, &ack), QMN_OK);
        else if (way == 1)
            assert_int_equal(scene_nack(&s, "a", sent.nutrient_id, true, 0), QMN_OK);
        else if (way == 2)
            assert_int_equal(scene_suspend(&s, "a"), QMN_OK);
        else
            engine_cancel(s.te->engine, c); /* its client has gone */
        assert_int_equal(test_call_wait(s.te, c), QMN_OK);
        assert_int_equal(out.waited_ms, 0);
        assert_int_equal(out.count, 0);
    }
}

static void an_expiry_ends_the_wait(void **state)
{
    (void)state;
    struct broadcast_in in = scene_nutrient(&s, "", AXIS(0));
    struct broadcast_out sent;
    in.ttl_sec = 1;
    assert_int_equal(scene_broadcast(&s, &in, &sent), QMN_OK);
    scene_pull(&s, "a", 1);
    test_engine_advance(s.te, 900);
    struct collect_in demand = scene_demand(&s, "", AXIS(0));
    struct collect_out out;
    demand.window_ms = 5000;
    struct call *c = start_collect(&demand, &out);
    assert_false(ends_at_once(c));
    test_engine_advance(s.te, 100);
    scene_settle(&s);
    assert_int_equal(test_call_wait(s.te, c), QMN_OK);
    assert_int_equal(out.waited_ms, 100);
}

static void it_waits_only_for_its_own_nutrients_of_the_task_or_near_the_demand(void **state)
{
    (void)state;
    struct collect_out out;
    scene_agent(&s, "source", AXIS(7), NULL);
    scene_pull(&s, "a", 1);
    scene_pull(&s, "b", 1);
    scene_send(&s, "source", AXIS(0)); /* somebody else's */
    struct collect_in mine = scene_demand(&s, "", AXIS(0));
    assert_true(ends_at_once(start_collect(&mine, &out)));
    struct collect_in far = scene_demand(&s, "source", AXIS(1)); /* own, but far away */
    assert_true(ends_at_once(start_collect(&far, &out)));
    struct collect_in near = scene_demand(&s, "source", VEC(0.51f, 0.86f)); /* cosine > .5 */
    struct call *c = start_collect(&near, &out);
    assert_lasts_its_window(c);

    struct broadcast_in in = scene_nutrient(&s, "source", AXIS(1));
    struct broadcast_out sent;
    in.task_id = BYTES_LIT("task-9");
    assert_int_equal(scene_broadcast(&s, &in, &sent), QMN_OK);
    struct collect_in same = scene_demand(&s, "source", AXIS(5)); /* of the same task */
    same.task_id = BYTES_LIT("task-9");
    c = start_collect(&same, &out);
    assert_lasts_its_window(c);
}

static void a_response_to_another_nutrient_does_not_end_the_wait(void **state)
{
    (void)state;
    scene_pull(&s, "a", 1);
    scene_pull(&s, "b", 1);
    struct broadcast_out watched = scene_send(&s, "", AXIS(0)), other = scene_send(&s, "", AXIS(1));
    struct collect_in in = scene_demand(&s, "", AXIS(0));
    struct collect_out out;
    struct respond_out response;
    struct call *c = start_collect(&in, &out);
    assert_int_equal(scene_respond(&s, "b", other.nutrient_id, "{}", &response), QMN_OK);
    assert_false(ends_at_once(c));
    assert_int_equal(scene_respond(&s, "a", watched.nutrient_id, "{}", &response), QMN_OK);
    assert_int_equal(test_call_wait(s.te, c), QMN_OK);
}

/* ---- what it finds ---- */

static void it_merges_responses_and_memories(void **state)
{
    (void)state;
    struct broadcast_out sent = scene_send(&s, "", AXIS(0));
    struct respond_out response;
    struct memory_out memory;
    assert_int_equal(scene_respond(&s, "a", sent.nutrient_id, "{}", &response), QMN_OK);
    assert_int_equal(scene_remember(&s, "b", VEC(1, 0.2f), &memory), QMN_OK);
    struct collect_out out = scene_collect(&s, "", AXIS(0));
    assert_int_equal(out.count, 2);
    assert_true(found(&out, "a", false));
    assert_true(found(&out, "b", true));
    assert_int_equal(out.responses_considered, 1);
    assert_int_equal(out.memories_considered, 1);
    struct trace_out t = scene_trace(&s, out.trace_id);
    assert_int_equal(t.contribution_count, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_true(bytes_equal(t.contributions[i].id, out.items[i].id));
        assert_true(bytes_equal(t.contributions[i].agent_id, out.items[i].agent_id));
    }
}

static void it_ranks_by_similarity_quality_and_weight(void **state)
{
    (void)state;
    struct memory_out memory;
    struct outcome_out outcome;
    struct memory_in good = scene_memory(&s, "a", AXIS(0)), near = scene_memory(&s, "b", AXIS(0));
    good.embedding = scene_vector(&s, VEC(0.8f, 0, 0.6f));
    good.quality = 0.9; /* .8 * .9 = .72 against 1 * .7 */
    near.quality = 0.7;
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_store_memory, &good, &memory), QMN_OK);
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_store_memory, &near, &memory), QMN_OK);
    struct collect_out out = scene_collect(&s, "", AXIS(0));
    assert_int_equal(out.count, 2);
    assert_bytes_equal(out.items[0].agent_id, "a");
    assert_float_equal(out.items[0].score, 0.72f, 1e-5f);
    assert_float_equal(out.items[1].score, 0.7f, 1e-5f);
    struct broadcast_out sent = scene_send(&s, "", AXIS(1));
    assert_int_equal(scene_outcome(&s, "", sent.trace_id, 1, &outcome), QMN_OK);
    out = scene_collect(&s, "", AXIS(0)); /* b: .7 * .578 / .5 */
    assert_bytes_equal(out.items[0].agent_id, "b");
    assert_float_equal(out.items[0].score, 0.7f * 0.578f / 0.5f, 1e-5f);
}

static void min_similarity_leaves_the_distant_out(void **state)
{
    (void)state;
    struct memory_out memory;
    assert_int_equal(scene_remember(&s, "a", AXIS(0), &memory), QMN_OK);
    assert_int_equal(scene_remember(&s, "b", VEC(0.5f, 0.9f), &memory), QMN_OK);
    assert_int_equal(scene_remember(&s, "b", VEC(-1), &memory), QMN_OK);
    struct collect_in in = scene_demand(&s, "", AXIS(0));
    struct collect_out out;
    in.min_similarity = 0.6f;
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_collect, &in, &out), QMN_OK);
    assert_int_equal(out.count, 1);
    in.min_similarity = 0.4f;
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_collect, &in, &out), QMN_OK);
    assert_int_equal(out.count, 2);
}

/* At this cosine to the first axis. */
static struct vec at_cosine(float cosine)
{
    return VEC(cosine, 0, 0, sqrtf(1 - cosine * cosine));
}

static uint32_t count_of(struct collect_in in)
{
    struct collect_out out;
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_collect, &in, &out), QMN_OK);
    return (uint32_t)out.count;
}

static void what_is_not_near_is_neither_returned_nor_credited(void **state)
{
    (void)state;
    struct memory_out memory;
    struct outcome_out rated;
    assert_int_equal(scene_remember(&s, "b", at_cosine(0.09f), &memory), QMN_OK);
    struct collect_out out = scene_collect(&s, "", AXIS(0));
    assert_int_equal(out.count, 0); /* the best there is, and still noise */
    assert_int_equal(scene_outcome(&s, "", out.trace_id, 1, &rated), QMN_OK);
    assert_int_equal(rated.change_count, 0);
    assert_int_equal(scene_remember(&s, "b", at_cosine(0.26f), &memory), QMN_OK);
    assert_int_equal(scene_collect(&s, "", AXIS(0)).count, 1);
    assert_int_equal(scene_remember(&s, "a", at_cosine(0.9f), &memory), QMN_OK);
    out = scene_collect(&s, "", AXIS(0)); /* beside a good one it is noise as well */
    assert_int_equal(out.count, 1);
    assert_bytes_equal(out.items[0].agent_id, "a");
    assert_int_equal(scene_remember(&s, "b", at_cosine(0.28f), &memory), QMN_OK);
    assert_int_equal(scene_collect(&s, "", AXIS(0)).count, 2);
    struct collect_in in = scene_demand(&s, "", AXIS(0));
    in.min_similarity = 0; /* who sets a bound gets it */
    assert_int_equal(count_of(in), 4);
}

static void a_response_that_is_not_near_stays_out_too(void **state)
{
    (void)state;
    struct respond_out response;
    struct broadcast_out sent = scene_send(&s, "", AXIS(0));
    assert_int_equal(scene_respond(&s, "a", sent.nutrient_id, "{}", &response), QMN_OK);
    assert_int_equal(scene_collect(&s, "", AXIS(0)).count, 1);
    assert_int_equal(scene_collect(&s, "", at_cosine(0.05f)).count, 0);
}

static void a_score_of_nothing_is_never_an_item(void **state)
{
    (void)state;
    struct memory_out memory;
    struct memory_in worthless = scene_memory(&s, "a", AXIS(0));
    worthless.quality = 0;
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_store_memory, &worthless, &memory), QMN_OK);
    assert_int_equal(scene_remember(&s, "a", VEC(-1), &memory), QMN_OK);
    assert_int_equal(scene_remember(&s, "a", AXIS(2), &memory), QMN_OK);
    struct collect_in in = scene_demand(&s, "", AXIS(0));
    in.min_similarity = -1;
    assert_int_equal(count_of(in), 0);
}

/* The best that the caller may not see must not raise the floor, or it would show. */
static void a_hidden_item_does_not_raise_the_floor(void **state)
{
    (void)state;
    struct memory_out memory;
    struct memory_in secret = scene_memory(&s, "", AXIS(0));
    secret.sensitivity = LABEL_SECRET;
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_store_memory, &secret, &memory), QMN_OK);
    assert_int_equal(scene_remember(&s, "b", at_cosine(0.2f), &memory), QMN_OK);
    struct collect_in in = scene_demand(&s, "a", AXIS(0)); /* cleared for internal */
    assert_int_equal(count_of(in), 1);
}

static void diversity_leaves_the_repetition_out(void **state)
{
    (void)state;
    struct memory_out memory;
    assert_int_equal(scene_remember(&s, "a", VEC(1, 0.3f), &memory), QMN_OK);
    assert_int_equal(scene_remember(&s, "a", VEC(1, 0.31f), &memory), QMN_OK);
    assert_int_equal(scene_remember(&s, "b", VEC(1, 0, 0.4f), &memory), QMN_OK);
    assert_int_equal(scene_remember(&s, "b", VEC(0.1f, 0, 0, 1), &memory), QMN_OK);
    struct collect_in in = scene_demand(&s, "", AXIS(0));
    struct collect_out out;
    in.top_k = 2;
    in.min_similarity = 0; /* the distant one shows how near the others are */
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_collect, &in, &out), QMN_OK);
    assert_false(found(&out, "b", true));
    in.diversify = true;
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_collect, &in, &out), QMN_OK);
    assert_int_equal(out.count, 2);
    assert_true(found(&out, "a", true) && found(&out, "b", true));
}

static void the_most_that_can_be_asked_for_is_found(void **state)
{
    (void)state;
    struct memory_out memory;
    for (int i = 0; i < 130; i++) {
        struct vec v = VEC(1);
        v.v[1 + i % 7] = (float)i / 200;
        assert_int_equal(scene_remember(&s, i % 2 ? "a" : "b", v, &memory), QMN_OK);
    }
    for (int diverse = 0; diverse < 2; diverse++) {
        struct collect_in in = scene_demand(&s, "", AXIS(0));
        struct collect_out out;
        in.top_k = LIMIT_TOP_K;
        in.diversify = diverse;
        assert_int_equal(TEST_CALL(s.te, &s.caller, engine_collect, &in, &out), QMN_OK);
        assert_int_equal(out.count, LIMIT_TOP_K);
        for (size_t i = 0; i < out.count; i++)
            for (size_t k = 0; k < i; k++)
                assert_false(bytes_equal(out.items[i].id, out.items[k].id));
    }
}

static void labels_hide_without_a_trace(void **state)
{
    (void)state;
    struct memory_out memory;
    struct memory_in secret = scene_memory(&s, "a", AXIS(0));
    scene_agent_cleared(&s, "cleared", AXIS(7), LABEL_SECRET);
    scene_agent_cleared(&s, "a", AXIS(0), LABEL_SECRET);
    assert_int_equal(scene_remember(&s, "b", VEC(1, 0.5f), &memory), QMN_OK);
    struct collect_out before = scene_collect(&s, "cleared", AXIS(0));
    secret.sensitivity = LABEL_SECRET;
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_store_memory, &secret, &memory), QMN_OK);
    struct collect_out all = scene_collect(&s, "cleared", AXIS(0));
    assert_int_equal(all.count, 2);
    struct caller weak = s.caller;
    weak.clearance = LABEL_INTERNAL;
    struct collect_in in = scene_demand(&s, "cleared", AXIS(0));
    struct collect_out out;
    assert_int_equal(TEST_CALL(s.te, &weak, engine_collect, &in, &out), QMN_OK);
    assert_int_equal(out.count, 1);
    assert_int_equal(out.memories_considered, before.memories_considered);
    assert_true(bytes_equal(out.items[0].id, before.items[0].id));
    assert_float_equal(out.items[0].score, before.items[0].score, 0);
    out = scene_collect(&s, "b", AXIS(0)); /* the agent's clearance counts as well */
    assert_int_equal(out.count, 1);
    assert_int_equal(out.memories_considered, 1);
}

static void a_response_inherits_the_label(void **state)
{
    (void)state;
    scene_agent_cleared(&s, "boss", AXIS(7), LABEL_SECRET);
    scene_agent_cleared(&s, "a", AXIS(0), LABEL_SECRET);
    struct broadcast_in in = scene_nutrient(&s, "boss", AXIS(0));
    struct broadcast_out sent;
    struct respond_out response;
    in.sensitivity = LABEL_SECRET;
    assert_int_equal(scene_broadcast(&s, &in, &sent), QMN_OK);
    struct respond_in lower = {.nutrient_id = sent.nutrient_id,
                               .agent_id = BYTES_LIT("a"),
                               .content = BYTES_LIT("{}"),
                               .sensitivity = LABEL_INTERNAL};
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_respond, &lower, &response),
                     QMN_E_FORBIDDEN);
    assert_int_equal(scene_respond(&s, "a", sent.nutrient_id, "{}", &response), QMN_OK);
    assert_int_equal(scene_collect(&s, "boss", AXIS(0)).count, 1);
    assert_int_equal(scene_collect(&s, "b", AXIS(0)).count, 0);
}

static void responses_go_with_their_nutrient(void **state)
{
    (void)state;
    struct broadcast_out sent = scene_send(&s, "", AXIS(0));
    struct respond_out response;
    assert_int_equal(scene_respond(&s, "a", sent.nutrient_id, "{}", &response), QMN_OK);
    scene_restart(&s);
    struct collect_out kept = scene_collect(&s, "", AXIS(0));
    assert_int_equal(kept.count, 1);
    test_engine_advance(s.te, 60000);
    struct collect_out out = scene_collect(&s, "", AXIS(0));
    assert_int_equal(out.count, 0);
    assert_int_equal(out.responses_considered, 0);
    scene_settle(&s);
    scene_restart(&s);
    assert_int_equal(scene_collect(&s, "", AXIS(0)).count, 0);
    struct trace_out t = scene_trace(&s, kept.trace_id);
    assert_int_equal(t.contribution_count, 1); /* what was used is remembered */
}

static void only_those_who_were_given_a_nutrient_may_respond(void **state)
{
    (void)state;
    struct broadcast_out sent = scene_send(&s, "", AXIS(0));
    struct respond_out response;
    assert_int_equal(scene_respond(&s, "b", sent.nutrient_id, "{}", &response), QMN_E_NOT_FOUND);
    assert_int_equal(scene_respond(&s, "a", BYTES_LIT("nu_x"), "{}", &response), QMN_E_NOT_FOUND);
    struct respond_in in = {.nutrient_id = sent.nutrient_id,
                            .agent_id = BYTES_LIT("a"),
                            .content = BYTES_LIT("{}"),
                            .embedding = scene_vector(&s, AXIS(4)),
                            .quality = 1};
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_respond, &in, &response), QMN_OK);
    struct collect_out out = scene_collect(&s, "", AXIS(4)); /* found where it says it stands */
    assert_float_equal(out.items[0].similarity, 1, 1e-3f);
}

static void a_draining_node_ends_a_collect_with_what_there_is(void **state)
{
    (void)state;
    struct memory_out memory;
    assert_int_equal(scene_remember(&s, "b", AXIS(0), &memory), QMN_OK);
    scene_pull(&s, "a", 1);
    scene_send(&s, "", AXIS(0));
    struct collect_in in = scene_demand(&s, "", AXIS(0));
    struct collect_out out;
    struct call *c = start_collect(&in, &out);
    assert_false(ends_at_once(c));
    engine_drain(s.te->engine);
    assert_int_equal(test_call_wait(s.te, c), QMN_OK);
    assert_int_equal(out.count, 1);
}

#define COLLECT(test) cmocka_unit_test_setup_teardown(test, stage_a_b, stage_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        COLLECT(with_nobody_asked_it_returns_at_once),
        COLLECT(when_nobody_polled_it_returns_at_once),
        COLLECT(for_an_agent_that_polled_and_is_silent_it_waits_the_window),
        COLLECT(an_agent_counts_as_around_for_a_minute),
        COLLECT(for_a_lease_it_waits_however_long_ago_the_poll_was),
        COLLECT(the_response_wakes_it_early),
        COLLECT(it_waits_for_the_last_one_asked),
        COLLECT(an_ack_a_refusal_or_a_suspension_ends_the_wait),
        COLLECT(an_expiry_ends_the_wait),
        COLLECT(it_waits_only_for_its_own_nutrients_of_the_task_or_near_the_demand),
        COLLECT(a_response_to_another_nutrient_does_not_end_the_wait),
        COLLECT(it_merges_responses_and_memories),
        COLLECT(it_ranks_by_similarity_quality_and_weight),
        COLLECT(min_similarity_leaves_the_distant_out),
        COLLECT(what_is_not_near_is_neither_returned_nor_credited),
        COLLECT(a_response_that_is_not_near_stays_out_too),
        COLLECT(a_score_of_nothing_is_never_an_item),
        COLLECT(a_hidden_item_does_not_raise_the_floor),
        COLLECT(diversity_leaves_the_repetition_out),
        COLLECT(the_most_that_can_be_asked_for_is_found),
        COLLECT(labels_hide_without_a_trace),
        COLLECT(a_response_inherits_the_label),
        COLLECT(responses_go_with_their_nutrient),
        COLLECT(only_those_who_were_given_a_nutrient_may_respond),
        COLLECT(a_draining_node_ends_a_collect_with_what_there_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
