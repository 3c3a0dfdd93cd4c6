/* SPDX-License-Identifier: MIT
 *
 * Policies: a type (first byte), then a document with rules, subject, resource and context.
 * Whatever they are, a verdict comes, denies when anything failed, and denies once the rules hold
 * one that nobody knows. */
#include "support/fuzz.h"

#include <assert.h>

#include "engine/policy_json_priv.h"
#include "policy/evaluate.h"

static void judge(enum policy_type type, const struct policy_value *rules,
                  const struct policy_request *request, struct arena *arena)
{
    struct policy_verdict v;
    policy_evaluate(type, rules, request, arena, &v);
    assert(v.allowed == (v.failed_count == 0));
    assert(v.reason.len > 0);
    if (!rules || rules->type != POLICY_MAP)
        return;
    struct policy_value odd = {
        .type = POLICY_NULL, .name = BYTES_LIT("\x01"), .next = rules->first};
    struct policy_value more = {.type = POLICY_MAP, .first = &odd};
    policy_evaluate(type, &more, request, arena, &v);
    assert(!v.allowed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    const struct policy_value *v = NULL;
    if (size < 1 || size > 4096)
        return 0;
    arena_init(&arena, 0);
    enum policy_type type = (enum policy_type)(POLICY_DLP + data[0] % POLICY_CONTENT_FILTER);
    if (policy_json(bytes_of(data + 1, size - 1), &arena, &v, NULL) == QMN_OK) {
        const struct policy_value *action = policy_member(v, BYTES_LIT("action"));
        struct policy_request request = {
            .subject = policy_member(v, BYTES_LIT("subject")),
            .resource = policy_member(v, BYTES_LIT("resource")),
            .context = policy_member(v, BYTES_LIT("context")),
            .action = action && action->type == POLICY_TEXT ? action->text : bytes_of(NULL, 0),
        };
        const struct policy_value *rules = policy_member(v, BYTES_LIT("rules"));
        judge(type, rules, &request, &arena);
        if (rules && policy_rules_check(type, rules, NULL) == QMN_OK)
            assert(rules->type == POLICY_MAP);
    }
    arena_release(&arena);
    return 0;
}
