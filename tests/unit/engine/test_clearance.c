/* SPDX-License-Identifier: MIT
 *
 * Labels, wherever something secret could show itself sideways: through a trace, an answer to an
 * acknowledgement, a count, an agent that lends its key what it must not have. */
#include "stage.h"

#include "engine/engine_priv.h"

static struct caller weak; /* as s.caller, but cleared for public only */

static int begin(void **state)
{
    (void)state;
    scene_begin(&s, (struct test_engine_options){0});
    scene_agent_cleared(&s, "boss", AXIS(7), LABEL_SECRET);
    scene_agent_cleared(&s, "a", AXIS(0), LABEL_SECRET);
    scene_agent_cleared(&s, "b", AXIS(1), LABEL_INTERNAL);
    weak = s.caller;
    weak.clearance = LABEL_PUBLIC;
    return 0;
}

/* The caller of a key with every clearance, bound to these agents. */
static struct caller bound_to(const char *agents)
{
    struct caller c = s.caller;
    c.agent_ids = test_list(s.te, agents);
    return c;
}

static struct broadcast_out send_labelled(uint32_t label)
{
    struct broadcast_in in = scene_nutrient(&s, "boss", AXIS(0));
    struct broadcast_out out;
    in.sensitivity = label;
    assert_int_equal(scene_broadcast(&s, &in, &out), QMN_OK);
    assert_true(scene_reaches(&out, "a"));
    return out;
}

static struct memory_out remember_labelled(const char *agent, uint32_t label)
{
    struct memory_in in = scene_memory(&s, agent, AXIS(0));
    struct memory_out out;
    in.sensitivity = label;
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_store_memory, &in, &out), QMN_OK);
    return out;
}

/* ---- traces ---- */

static void the_trace_of_a_secret_nutrient_is_absent_below_its_label(void **state)
{
    (void)state;
    struct broadcast_out sent = send_labelled(LABEL_SECRET);
    struct caller bound = bound_to("b");
    struct trace_out out;
    assert_int_equal(TEST_CALL(s.te, &weak, engine_trace, sent.trace_id, &out), QMN_E_NOT_FOUND);
    assert_int_equal(TEST_CALL(s.te, &bound, engine_trace, sent.trace_id, &out), QMN_E_NOT_FOUND);
    bound = bound_to("b a");
    assert_int_equal(TEST_CALL(s.te, &bound, engine_trace, sent.trace_id, &out), QMN_OK);
    assert_int_equal(scene_suspend(&s, "a"), QMN_OK);
    assert_int_equal(TEST_CALL(s.te, &bound, engine_trace, sent.trace_id, &out), QMN_E_NOT_FOUND);
    assert_int_equal(scene_trace(&s, sent.trace_id).hop_count, sent.hop_count);
}

static void the_trace_of_a_collect_is_as_secret_as_what_it_found(void **state)
{
    (void)state;
    struct trace_out out;
    struct collect_out plain = scene_collect(&s, "boss", AXIS(0));
    remember_labelled("a", LABEL_SECRET);
    struct collect_out secret = scene_collect(&s, "boss", AXIS(0));
    assert_int_equal(secret.count, 1);
    assert_int_equal(TEST_CALL(s.te, &weak, engine_trace, plain.trace_id, &out), QMN_OK);
    assert_int_equal(TEST_CALL(s.te, &weak, engine_trace, secret.trace_id, &out), QMN_E_NOT_FOUND);
    assert_int_equal(scene_trace(&s, secret.trace_id).contribution_count, 1);
}

/* ---- acting on what one may not see ---- */

static void what_one_may_not_see_one_cannot_acknowledge(void **state)
{
    (void)state;
    struct broadcast_out sent = send_labelled(LABEL_SECRET);
    for (int nack = 0; nack < 2; nack++) {
        struct ack_in in = {.agent_id = BYTES_LIT("a"),
                            .nutrient_ids = &sent.nutrient_id,
                            .count = 1,
                            .nack = nack,
                            .reject = nack};
        struct ack_out out;
        assert_int_equal(TEST_CALL(s.te, &weak, engine_ack, &in, &out), QMN_OK);
        assert_int_equal(out.changed, 0);
        assert_int_equal(out.unknown_count, 1);
    }
    struct ack_out out;
    assert_int_equal(scene_ack(&s, "a", sent.nutrient_id, &out), QMN_OK);
    assert_int_equal(out.changed, 1);
}

static void what_an_agent_may_no_longer_see_it_cannot_acknowledge(void **state)
{
    (void)state;
    struct broadcast_out sent = send_labelled(LABEL_SECRET);
    struct ack_out out;
    scene_agent_cleared(&s, "a", AXIS(0), LABEL_INTERNAL);
    assert_int_equal(scene_ack(&s, "a", sent.nutrient_id, &out), QMN_OK);
    assert_int_equal(out.changed, 0);
}

static void what_one_may_not_see_one_cannot_answer(void **state)
{
    (void)state;
    struct broadcast_out sent = send_labelled(LABEL_SECRET);
    struct respond_in in = {
        .nutrient_id = sent.nutrient_id, .agent_id = BYTES_LIT("a"), .content = BYTES_LIT("{}")};
    struct respond_out out;
    assert_int_equal(TEST_CALL(s.te, &weak, engine_respond, &in, &out), QMN_E_NOT_FOUND);
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_respond, &in, &out), QMN_OK);
}

static void what_one_may_not_see_one_cannot_rate(void **state)
{
    (void)state;
    struct broadcast_out sent = send_labelled(LABEL_SECRET);
    struct outcome_in in = {.trace_id = sent.trace_id, .score = 1};
    struct outcome_out out;
    assert_int_equal(TEST_CALL(s.te, &weak, engine_record_outcome, &in, &out), QMN_E_NOT_FOUND);
    assert_true(scene_weight(&s, "boss", "a") < 0);
    scene_agent_cleared(&s, "boss", AXIS(7), LABEL_INTERNAL);
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_record_outcome, &in, &out), QMN_E_NOT_FOUND);
    scene_agent_cleared(&s, "boss", AXIS(7), LABEL_SECRET);
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_record_outcome, &in, &out), QMN_OK);
}

/* ---- counts ---- */

static void a_count_of_what_waits_leaves_out_what_is_hidden(void **state)
{
    (void)state;
    struct pull_in pull = {.agent_id = BYTES_LIT("a"), .limit = 1, .lease_ms = 1000};
    struct pull_out pulled;
    struct agent_out agent;
    struct agents_out agents;
    send_labelled(LABEL_SECRET);
    send_labelled(LABEL_CONFIDENTIAL);
    send_labelled(LABEL_PUBLIC);
    assert_int_equal(scene_pull_as(&s, &weak, &pull, &pulled), QMN_OK);
    assert_int_equal(pulled.pending, 1);
    assert_int_equal(TEST_CALL(s.te, &weak, engine_get_agent, BYTES_LIT("a"), false, &agent),
                     QMN_OK);
    assert_int_equal(agent.inbox_pending, 1);
    assert_int_equal(
        TEST_CALL(s.te, &weak, engine_list_agents, 0, BYTES_LIT(""), BYTES_LIT(""), 1, &agents),
        QMN_OK);
    assert_bytes_equal(agents.agents[0].id, "a");
    assert_int_equal(agents.agents[0].inbox_pending, 1);
    assert_int_equal(scene_pull(&s, "a", 1).pending, 3);
}

/* ---- memories ---- */

static void an_agent_lends_its_key_no_clearance(void **state)
{
    (void)state;
    struct memory_out secret = remember_labelled("a", LABEL_SECRET), out;
    struct memory_search query = {.vector = scene_vector(&s, AXIS(0)), .top_k = 5};
    struct caller bound = bound_to("b");
    struct memories_out found;
    assert_int_equal(
        TEST_CALL(s.te, &bound, engine_search_memory, &query, &scene_no_filter, &found), QMN_OK);
    assert_int_equal(found.count, 0);
    assert_int_equal(found.candidates, 0);
    assert_int_equal(TEST_CALL(s.te, &bound, engine_get_memory, secret.id, 0, &out),
                     QMN_E_NOT_FOUND);
    assert_int_equal(
        TEST_CALL(s.te, &bound, engine_agent_memories, BYTES_LIT("a"), BYTES_LIT(""), 5, 0, &found),
        QMN_OK);
    assert_int_equal(found.count, 0);
    assert_int_equal(TEST_CALL(s.te, &bound, engine_delete_memory, secret.id), QMN_E_NOT_FOUND);
    bound = bound_to("b a");
    assert_int_equal(TEST_CALL(s.te, &bound, engine_get_memory, secret.id, 0, &out), QMN_OK);
}

static void an_agent_stores_nothing_above_its_clearance(void **state)
{
    (void)state;
    struct memory_in in = scene_memory(&s, "b", AXIS(0));
    struct memory_out out;
    in.sensitivity = LABEL_CONFIDENTIAL;
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_store_memory, &in, &out), QMN_E_FORBIDDEN);
    assert_string_equal(s.te->last->err.field, "sensitivity");
    in.sensitivity = LABEL_INTERNAL;
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_store_memory, &in, &out), QMN_OK);
}

static void a_bound_key_deletes_memories_of_its_agents_only(void **state)
{
    (void)state;
    struct memory_out mine = remember_labelled("a", LABEL_PUBLIC);
    struct memory_out other = remember_labelled("b", LABEL_PUBLIC), out;
    struct caller bound = bound_to("a");
    assert_int_equal(TEST_CALL(s.te, &bound, engine_get_memory, other.id, 0, &out), QMN_OK);
    assert_int_equal(TEST_CALL(s.te, &bound, engine_delete_memory, other.id), QMN_E_FORBIDDEN);
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_get_memory, other.id, 0, &out), QMN_OK);
    assert_int_equal(TEST_CALL(s.te, &bound, engine_delete_memory, mine.id), QMN_OK);
}

/* ---- names ---- */

static enum qmn_code send_named(const struct caller *caller, uint32_t label, const char *summary,
                                struct broadcast_out *out)
{
    struct broadcast_in in = scene_nutrient(&s, "", VEC(1, 0.5f));
    in.sensitivity = label;
    in.summary = bytes_cstr(summary);
    in.client_id = BYTES_LIT("order-66");
    return TEST_CALL(s.te, caller, engine_broadcast, &in, out);
}

/* The name of a hidden nutrient is as free as any other. */
static void a_hidden_nutrient_does_not_show_by_its_name(void **state)
{
    (void)state;
    struct broadcast_out secret, plain, again, fresh;
    assert_int_equal(send_named(&s.caller, LABEL_SECRET, "hidden", &secret), QMN_OK);
    assert_int_equal(send_named(&weak, LABEL_PUBLIC, "guess", &plain), QMN_OK);
    assert_false(bytes_equal(plain.trace_id, secret.trace_id));
    struct broadcast_in other = scene_nutrient(&s, "", VEC(1, 0.5f));
    other.sensitivity = LABEL_PUBLIC;
    other.client_id = BYTES_LIT("order-67");
    assert_int_equal(TEST_CALL(s.te, &weak, engine_broadcast, &other, &fresh), QMN_OK);
    assert_int_equal(fresh.hop_count, plain.hop_count); /* answered alike */
    assert_bytes_equal(plain.nutrient_id, "order-66");
    /* within a label it is one name */
    assert_int_equal(send_named(&weak, LABEL_PUBLIC, "guess", &again), QMN_OK);
    assert_true(bytes_equal(again.trace_id, plain.trace_id));
    assert_int_equal(send_named(&weak, LABEL_PUBLIC, "another", &again), QMN_E_CONFLICT);
    assert_int_equal(send_named(&s.caller, LABEL_SECRET, "another", &again), QMN_E_CONFLICT);
    scene_restart(&s);
    assert_int_equal(send_named(&s.caller, LABEL_SECRET, "hidden", &again), QMN_OK);
    assert_true(bytes_equal(again.trace_id, secret.trace_id));
}

static void a_name_means_the_highest_label_in_sight(void **state)
{
    (void)state;
    struct broadcast_out secret, plain;
    struct ack_out ack;
    assert_int_equal(send_named(&weak, LABEL_PUBLIC, "plain", &plain), QMN_OK);
    assert_int_equal(send_named(&s.caller, LABEL_SECRET, "hidden", &secret), QMN_OK);
    assert_int_equal(scene_ack(&s, "b", BYTES_LIT("order-66"), &ack), QMN_OK);
    assert_int_equal(ack.changed, 1); /* b sees one only */
    for (int i = 0; i < 2; i++) {
        assert_int_equal(scene_ack(&s, "a", BYTES_LIT("order-66"), &ack), QMN_OK);
        assert_int_equal(ack.changed, i == 0); /* said again, it is not the other one */
    }
    struct pull_out left = scene_pull(&s, "a", 10);
    assert_int_equal(left.count, 1);
    assert_true(bytes_equal(left.items[0].trace_id, plain.trace_id));
    assert_int_equal(scene_ack(&s, "a", plain.trace_id, &ack), QMN_OK);
    assert_int_equal(ack.changed, 1);
}

/* ---- who is no longer let in ---- */

static struct caller waiting_key(struct key_out *made)
{
    struct key_in in = {.scopes = test_list(s.te, "inbox contexts:read"), .expires_in_days = 1};
    struct caller who;
    struct err err;
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_create_key, &in, made), QMN_OK);
    assert_int_equal(test_authenticate(s.te, made->secret, "", &who, &err), QMN_OK);
    return who;
}

static const struct pull_in long_poll = {
    .agent_id = {"b", 1}, .limit = 1, .wait_ms = 30000, .lease_ms = 30000};

/* A pull of `who` that waits while `act` happens, and ends by it without the clock moving. */
static enum qmn_code end_of_pull(const struct caller *who, void (*act)(struct bytes key_id),
                                 struct bytes key_id)
{
    struct pull_out out;
    struct call *c = test_call_new(s.te, who);
    engine_pull(s.te->engine, c, &long_poll, &out);
    assert_false(test_call_done(s.te, c));
    act(key_id);
    return test_call_wait(s.te, c);
}

static void revoke(struct bytes key_id)
{
    struct key_out out;
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_revoke_key, key_id, &out), QMN_OK);
}

static void rotate(struct bytes key_id)
{
    struct key_out out;
    assert_int_equal(TEST_CALL(s.te, &s.te->admin, engine_rotate_key, key_id, 0, &out), QMN_OK);
}

static void suspend_tenant(struct bytes key_id)
{
    (void)key_id;
    struct tenant_in in = {.id = BYTES_LIT("acme"), .status = TENANT_SUSPENDED};
    struct tenant_out out;
    assert_int_equal(TEST_CALL(s.te, &s.te->admin, engine_update_tenant, &in, &out), QMN_OK);
}

static void delete_tenant(struct bytes key_id)
{
    (void)key_id;
    assert_int_equal(TEST_CALL(s.te, &s.te->admin, engine_delete_tenant, BYTES_LIT("acme"), false),
                     QMN_OK);
}

static void expire(struct bytes key_id)
{
    (void)key_id;
    test_engine_advance(s.te, 1000);
}

static void whoever_waits_is_told_at_once_that_the_key_ended(void **state)
{
    (void)state;
    struct key_out made;
    struct caller who = waiting_key(&made);
    assert_int_equal(end_of_pull(&who, revoke, made.id), QMN_E_UNAUTHENTICATED);
    who = waiting_key(&made);
    assert_int_equal(end_of_pull(&who, rotate, made.id), QMN_E_UNAUTHENTICATED);
    who = waiting_key(&made);
    test_engine_advance(s.te, INT64_C(24) * 3600 * 1000 - 1000);
    assert_int_equal(end_of_pull(&who, expire, made.id), QMN_E_UNAUTHENTICATED);
}

static void whoever_waits_is_told_at_once_that_the_tenant_closed(void **state)
{
    (void)state;
    struct key_out made;
    struct caller who = waiting_key(&made);
    assert_int_equal(end_of_pull(&who, suspend_tenant, made.id), QMN_E_FORBIDDEN);
    struct tenant_in in = {.id = BYTES_LIT("acme"), .status = TENANT_ACTIVE};
    struct tenant_out out;
    assert_int_equal(TEST_CALL(s.te, &s.te->admin, engine_update_tenant, &in, &out), QMN_OK);
    assert_int_equal(end_of_pull(&who, delete_tenant, made.id), QMN_E_FORBIDDEN);
}

/* The others wait on. */
static void a_key_that_works_waits_on(void **state)
{
    (void)state;
    struct key_out made;
    struct pull_out out;
    (void)waiting_key(&made);
    struct call *c = test_call_new(s.te, &s.caller);
    engine_pull(s.te->engine, c, &long_poll, &out);
    revoke(made.id);
    assert_false(test_call_done(s.te, c));
    test_engine_advance(s.te, 30000);
    assert_int_equal(test_call_wait(s.te, c), QMN_OK);
}

/* ---- agents ---- */

static enum qmn_code register_as(const struct caller *caller, const char *id, uint32_t clearance,
                                 struct agent_out *out)
{
    struct agent_in in = {.id = bytes_cstr(id), .clearance = clearance};
    return TEST_CALL(s.te, caller, engine_register_agent, &in, out);
}

static void nobody_lowers_an_agent_above_himself(void **state)
{
    (void)state;
    struct agent_out out;
    assert_int_equal(register_as(&weak, "a", LABEL_PUBLIC, &out), QMN_E_FORBIDDEN);
    assert_int_equal(register_as(&weak, "a", 0, &out), QMN_E_FORBIDDEN);
    assert_string_equal(s.te->last->err.field, "agent_id");
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_get_agent, BYTES_LIT("a"), false, &out),
                     QMN_OK);
    assert_int_equal(out.clearance, LABEL_SECRET);
}

/* It would empty the inbox of somebody whose mail one may not read. */
static void nobody_suspends_an_agent_above_himself(void **state)
{
    (void)state;
    struct broadcast_out sent = send_labelled(LABEL_SECRET);
    assert_true(scene_reaches(&sent, "a"));
    assert_int_equal(TEST_CALL(s.te, &weak, engine_suspend_agent, BYTES_LIT("a")), QMN_E_FORBIDDEN);
    assert_string_equal(s.te->last->err.field, "agent_id");
    assert_int_equal(scene_pull(&s, "a", 10).count, 1);
    struct agent_out own;
    assert_int_equal(register_as(&weak, "own", 0, &own), QMN_OK);
    assert_int_equal(TEST_CALL(s.te, &weak, engine_suspend_agent, BYTES_LIT("own")), QMN_OK);
    assert_int_equal(scene_suspend(&s, "a"), QMN_OK);
}

static void a_clearance_that_is_not_given_stays(void **state)
{
    (void)state;
    struct agent_out out;
    assert_int_equal(register_as(&s.caller, "a", 0, &out), QMN_OK);
    assert_int_equal(out.clearance, LABEL_SECRET);
    assert_int_equal(register_as(&s.caller, "new", 0, &out), QMN_OK);
    assert_int_equal(out.clearance, LABEL_INTERNAL);
    assert_int_equal(register_as(&weak, "weaker", 0, &out), QMN_OK);
    assert_int_equal(out.clearance, LABEL_PUBLIC);
}

static void a_changed_clearance_is_in_the_audit_log(void **state)
{
    (void)state;
    struct agent_out out;
    struct audit_out log;
    assert_int_equal(register_as(&s.caller, "a", LABEL_SECRET, &out), QMN_OK); /* no change */
    assert_int_equal(register_as(&s.caller, "a", LABEL_PUBLIC, &out), QMN_OK);
    assert_int_equal(TEST_CALL(s.te, &s.caller, engine_audit, 0, 1000, &log), QMN_OK);
    uint32_t seen = 0;
    for (size_t i = 0; i < log.count; i++)
        if (bytes_is(log.entries[i].action, "agent.clearance")) {
            assert_bytes_equal(log.entries[i].target, "a");
            assert_bytes_equal(log.entries[i].detail, "{\"from\":\"secret\",\"to\":\"public\"}");
            seen++;
        }
    assert_int_equal(seen, 1);
}

#define LABELS(test) cmocka_unit_test_setup_teardown(test, begin, stage_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LABELS(the_trace_of_a_secret_nutrient_is_absent_below_its_label),
        LABELS(the_trace_of_a_collect_is_as_secret_as_what_it_found),
        LABELS(what_one_may_not_see_one_cannot_acknowledge),
        LABELS(what_an_agent_may_no_longer_see_it_cannot_acknowledge),
        LABELS(what_one_may_not_see_one_cannot_answer),
        LABELS(what_one_may_not_see_one_cannot_rate),
        LABELS(a_count_of_what_waits_leaves_out_what_is_hidden),
        LABELS(an_agent_lends_its_key_no_clearance),
        LABELS(an_agent_stores_nothing_above_its_clearance),
        LABELS(a_bound_key_deletes_memories_of_its_agents_only),
        LABELS(nobody_lowers_an_agent_above_himself),
        LABELS(a_hidden_nutrient_does_not_show_by_its_name),
        LABELS(a_name_means_the_highest_label_in_sight),
        LABELS(whoever_waits_is_told_at_once_that_the_key_ended),
        LABELS(whoever_waits_is_told_at_once_that_the_tenant_closed),
        LABELS(a_key_that_works_waits_on),
        LABELS(nobody_suspends_an_agent_above_himself),
        LABELS(a_clearance_that_is_not_given_stays),
        LABELS(a_changed_clearance_is_in_the_audit_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
