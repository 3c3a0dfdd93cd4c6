/* SPDX-License-Identifier: MIT
 *
 * The command table agrees with itself and with the messages it fills. */
#include "support/test.h"

#include "cli/cli_priv.h"
#include "qmn/v1/identity.pb-c.h"
#include "qmn/v1/memory.pb-c.h"
#include "qmn/v1/node.pb-c.h"
#include "qmn/v1/reinforcement.pb-c.h"
#include "qmn/v1/router.pb-c.h"

static const ProtobufCMessageDescriptor *const messages[] = {
    &qmn__v1__broadcast_request__descriptor,       &qmn__v1__nack_request__descriptor,
    &qmn__v1__respond_request__descriptor,         &qmn__v1__collect_request__descriptor,
    &qmn__v1__record_outcome_request__descriptor,  &qmn__v1__register_agent_request__descriptor,
    &qmn__v1__list_agents_request__descriptor,     &qmn__v1__top_edges_request__descriptor,
    &qmn__v1__prune_edges_request__descriptor,     &qmn__v1__store_memory_request__descriptor,
    &qmn__v1__search_memory_request__descriptor,   &qmn__v1__agent_memories_request__descriptor,
    &qmn__v1__create_tenant_request__descriptor,   &qmn__v1__list_tenants_request__descriptor,
    &qmn__v1__update_tenant_request__descriptor,   &qmn__v1__tenant_ref__descriptor,
    &qmn__v1__create_key_request__descriptor,      &qmn__v1__rotate_key_request__descriptor,
    &qmn__v1__create_task_request__descriptor,     &qmn__v1__update_task_request__descriptor,
    &qmn__v1__list_tasks_request__descriptor,      &qmn__v1__create_policy_request__descriptor,
    &qmn__v1__evaluate_policy_request__descriptor, &qmn__v1__audit_request__descriptor,
    &qmn__v1__list_keys_request__descriptor,       &qmn__v1__list_policies_request__descriptor,
    &qmn__v1__list_memories_request__descriptor,   &qmn__v1__export_memories_request__descriptor,
    &qmn__v1__get_memory_request__descriptor,      &qmn__v1__update_memory_request__descriptor,
};

static bool some_message_has(const char *field)
{
    for (size_t i = 0; i < ARRAY_LEN(messages); i++)
        if (protobuf_c_message_descriptor_get_field_by_name(messages[i], field))
            return true;
    return false;
}

static void every_option_fills_a_field_that_exists(void **state)
{
    (void)state;
    for (size_t i = 0; i < cli_command_count; i++)
        for (const struct cli_option *o = cli_commands[i].options; o && o->name; o++)
            if (o->field && !some_message_has(o->field))
                fail_msg("--%s of %s fills %s, which no message has", o->name, cli_commands[i].name,
                         o->field);
}

static void every_command_is_found_by_its_words(void **state)
{
    (void)state;
    for (size_t i = 0; i < cli_command_count; i++) {
        const struct cli_command *k = &cli_commands[i];
        int words = 0;
        assert_ptr_equal(k->group ? cli_find(k->group, k->name, &words)
                                  : cli_find(k->name, "anything", &words),
                         k);
        assert_int_equal(words, k->group ? 2 : 1);
        assert_non_null(k->run);
        assert_true(k->about[0] != '\0');
    }
}

static enum qmn_code parse(struct cli *c, struct err *err, char **argv)
{
    int argc = 0;
    bool help;
    *c = (struct cli){0};
    arena_init(&c->arena, 0);
    while (argv[argc])
        argc++;
    return cli_parse(c, argc, argv, &help, err);
}

#define PARSE(c, err, ...) parse((c), (err), (char *[]){"qmn", __VA_ARGS__, NULL})

static void options_may_stand_anywhere(void **state)
{
    (void)state;
    static struct cli c;
    struct err err = {0};
    assert_int_equal(PARSE(&c, &err, "--json", "agent", "list", "--limit=5", "--capability", "a",
                           "--capability", "b"),
                     QMN_OK);
    assert_string_equal(c.command->name, "list");
    assert_true(cli_flag(&c, "json"));
    assert_string_equal(cli_text(&c, "limit"), "5");
    assert_string_equal(cli_nth(&c, "capability", 1), "b");
    assert_null(cli_nth(&c, "capability", 2));
    arena_release(&c.arena);
}

static void the_rest_after_two_dashes_is_text(void **state)
{
    (void)state;
    static struct cli c;
    struct err err = {0};
    const char *text = NULL;
    assert_int_equal(PARSE(&c, &err, "broadcast", "--agent", "x", "--", "--json", "is", "slow"),
                     QMN_OK);
    assert_int_equal(cli_words(&c, 0, &text, &err), QMN_OK);
    assert_string_equal(text, "--json is slow");
    assert_false(cli_flag(&c, "json"));
    arena_release(&c.arena);
}

static void a_key_given_as_an_option_is_blotted_out(void **state)
{
    (void)state;
    static struct cli c;
    struct err err = {0};
    char key[] = "secret", joined[] = "--key=secret";
    char *argv[] = {"qmn", "agent", "list", "--key", key, joined, NULL};
    assert_int_equal(parse(&c, &err, argv), QMN_OK);
    assert_string_equal(cli_text(&c, "key"), "secret");
    assert_string_equal(key, "******");
    assert_string_equal(joined, "--key=******");
    arena_release(&c.arena);
}

static void numbers_are_checked(void **state)
{
    (void)state;
    static struct cli c;
    struct err err = {0};
    double value = -1;
    assert_int_equal(PARSE(&c, &err, "inbox", "a", "--wait", "ten"), QMN_OK);
    assert_int_equal(cli_number(&c, "wait", 0, 25, 0, &value, &err), QMN_E_INVALID);
    assert_true(c.wrong_usage);
    assert_true(value == -1);
    assert_int_equal(cli_number(&c, "lease", 1, 3600, 30, &value, &err), QMN_OK);
    assert_true(value == 30);
    arena_release(&c.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_option_fills_a_field_that_exists),
        cmocka_unit_test(every_command_is_found_by_its_words),
        cmocka_unit_test(options_may_stand_anywhere),
        cmocka_unit_test(the_rest_after_two_dashes_is_text),
        cmocka_unit_test(a_key_given_as_an_option_is_blotted_out),
        cmocka_unit_test(numbers_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
