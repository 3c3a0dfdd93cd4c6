/* SPDX-License-Identifier: MIT
 *
 * Conditions over attributes.  A condition holds, does not hold, or cannot be decided (its
 * attribute is missing, or is of a kind that the operator does not compare).  What cannot be
 * decided never helps: it does not fulfil a policy that allows, and it triggers one that denies. */
#include "policy/judge_priv.h"

enum outcome { DOES_NOT_HOLD = 1, HOLDS, UNDECIDED };

typedef enum outcome operator_fn(const struct policy_value *has, const struct policy_value *wanted);

static enum outcome outcome_of(bool holds)
{
    return holds ? HOLDS : DOES_NOT_HOLD;
}

static enum outcome op_equal(const struct policy_value *has, const struct policy_value *wanted)
{
    return outcome_of(policy_equal(has, wanted));
}

static enum outcome op_unequal(const struct policy_value *has, const struct policy_value *wanted)
{
    return outcome_of(!policy_equal(has, wanted));
}

static enum outcome op_above(const struct policy_value *has, const struct policy_value *wanted)
{
    int order;
    return policy_order(has, wanted, &order) ? outcome_of(order > 0) : UNDECIDED;
}

static enum outcome op_at_least(const struct policy_value *has, const struct policy_value *wanted)
{
    int order;
    return policy_order(has, wanted, &order) ? outcome_of(order >= 0) : UNDECIDED;
}

static enum outcome op_below(const struct policy_value *has, const struct policy_value *wanted)
{
    int order;
    return policy_order(has, wanted, &order) ? outcome_of(order < 0) : UNDECIDED;
}

static enum outcome op_at_most(const struct policy_value *has, const struct policy_value *wanted)
{
    int order;
    return policy_order(has, wanted, &order) ? outcome_of(order <= 0) : UNDECIDED;
}

/* A list has to share one element. */
static enum outcome op_in(const struct policy_value *has, const struct policy_value *wanted)
{
    if (has->type != POLICY_LIST)
        return outcome_of(policy_list_has(wanted, has));
    for (const struct policy_value *x = has->first; x; x = x->next)
        if (policy_list_has(wanted, x))
            return HOLDS;
    return DOES_NOT_HOLD;
}

static enum outcome op_not_in(const struct policy_value *has, const struct policy_value *wanted)
{
    return outcome_of(op_in(has, wanted) == DOES_NOT_HOLD);
}

static enum outcome op_contains(const struct policy_value *has, const struct policy_value *wanted)
{
    if (has->type == POLICY_LIST)
        return outcome_of(policy_list_has(has, wanted));
    if (has->type != POLICY_TEXT || wanted->type != POLICY_TEXT)
        return UNDECIDED;
    return outcome_of(!wanted->text.len ||
                      (has->text.len && memmem(has->text.ptr, has->text.len, wanted->text.ptr,
                                               wanted->text.len) != NULL));
}

static enum outcome op_matches(const struct policy_value *has, const struct policy_value *wanted)
{
    if (has->type != POLICY_TEXT)
        return UNDECIDED;
    return outcome_of(policy_glob(wanted->text, has->text, false));
}

/* NULL operator: existence, which asks nothing of the value. */
static const struct operation {
    const char *name, *alias;
    enum policy_value_type wanted; /* 0: anything */
    operator_fn *decide;
} operations[] = {
    {"$eq", "equals", 0, op_equal},
    {"$ne", "not_equals", 0, op_unequal},
    {"$gt", "greater_than", 0, op_above},
    {"$gte", "at_least", 0, op_at_least},
    {"$lt", "less_than", 0, op_below},
    {"$lte", "at_most", 0, op_at_most},
    {"$in", "in", POLICY_LIST, op_in},
    {"$nin", "not_in", POLICY_LIST, op_not_in},
    {"$contains", "contains", 0, op_contains},
    {"$matches", "matches", POLICY_TEXT, op_matches},
    {"$exists", "exists", POLICY_BOOL, NULL},
};

static const struct operation *operation_find(struct bytes name)
{
    for (size_t i = 0; i < ARRAY_LEN(operations); i++)
        if (bytes_is(name, operations[i].name) || bytes_is(name, operations[i].alias))
            return &operations[i];
    return NULL;
}

struct condition {
    struct bytes attribute;
    const struct operation *op;
    const struct policy_value *value;
};

static bool condition_read(const struct policy_value *v, struct condition *ret)
{
    const struct policy_value *attribute = policy_member(v, BYTES_LIT("attribute"));
    const struct policy_value *op = policy_member(v, BYTES_LIT("op"));
    const struct policy_value *value = policy_member(v, BYTES_LIT("value"));
    if (!op)
        op = policy_member(v, BYTES_LIT("operator"));
    if (!attribute || attribute->type != POLICY_TEXT || !attribute->text.len || !value || !op ||
        op->type != POLICY_TEXT)
        return false;
    ret->attribute = attribute->text;
    ret->op = operation_find(op->text);
    ret->value = value;
    return ret->op && (!ret->op->wanted || ret->op->wanted == value->type);
}

static bool shape_conditions(const struct policy_value *v)
{
    struct condition c;
    if (v->type != POLICY_LIST || !v->first)
        return false;
    for (const struct policy_value *x = v->first; x; x = x->next)
        if (!condition_read(x, &c))
            return false;
    return true;
}

static bool is_word(const struct policy_value *v, const char *a, const char *b)
{
    return v->type == POLICY_TEXT && (bytes_is(v->text, a) || bytes_is(v->text, b));
}

static bool shape_effect(const struct policy_value *v)
{
    return is_word(v, "allow", "deny");
}

static bool shape_match(const struct policy_value *v)
{
    return is_word(v, "all", "any");
}

static bool qualifier_is(const struct judge *j, const char *name, const char *word)
{
    const struct policy_value *v = policy_member(j->rules, bytes_cstr(name));
    return v && v->type == POLICY_TEXT && bytes_is(v->text, word);
}

static enum outcome decide(const struct judge *j, const struct condition *c)
{
    struct policy_value scratch;
    const struct policy_value *has = judge_attribute(j, c->attribute, &scratch);
    if (!c->op->decide)
        return outcome_of((has != NULL) == c->value->truth);
    return has ? c->op->decide(has, c->value) : UNDECIDED;
}

static struct bytes condition_name(struct judge *j, const struct condition *c)
{
    char *name = arena_printf(j->arena, "%.*s %s",
                              c->attribute.len > 120 ? 120 : BYTES_FMT(c->attribute), c->op->name);
    j->broken |= !name;
    return name ? bytes_cstr(name) : BYTES_LIT("condition");
}

/* How one condition counts, when it must hold (allow) or must not (deny). */
static void count(struct judge *j, const struct condition *c, enum outcome o, bool denies,
                  bool excused)
{
    struct bytes name = condition_name(j, c);
    bool good = denies ? o == DOES_NOT_HOLD : o == HOLDS;
    if (good)
        judge_pass(j, name);
    else if (o == UNDECIDED && !(excused && !denies))
        judge_fail(j, name, "%.*s is missing, or cannot be compared so",
                   c->attribute.len > 120 ? 120 : BYTES_FMT(c->attribute));
    else if (!excused)
        judge_fail(j, name,
                   denies ? "the condition \"%.*s\" holds, and it denies"
                          : "the condition \"%.*s\" does not hold",
                   BYTES_FMT(name));
}

/* allow, all: every one must hold.      allow, any: one that holds excuses the others.
 * deny, any: none may hold.             deny, all: one that does not hold excuses the others.
 * In a policy that denies nothing excuses what cannot be decided. */
static void judge_conditions(struct judge *j, const struct policy_value *v)
{
    bool denies = qualifier_is(j, "effect", "deny"), any = qualifier_is(j, "match", "any");
    bool excused = false;
    struct condition c;
    if (denies != any)
        for (const struct policy_value *x = v->first; x && !excused; x = x->next) {
            enum outcome wanted = denies ? DOES_NOT_HOLD : HOLDS;
            excused = condition_read(x, &c) && decide(j, &c) == wanted;
        }
    for (const struct policy_value *x = v->first; x; x = x->next)
        if (condition_read(x, &c))
            count(j, &c, decide(j, &c), denies, excused);
}

const struct rule abac_rules[] = {
    {"conditions",
     "a list of objects with attribute, op ($eq, $ne, $gt, $gte, $lt, $lte, $in, $nin, "
     "$contains, $matches, $exists) and value",
     shape_conditions, judge_conditions},
    {"effect", "allow or deny", shape_effect, NULL},
    {"match", "all or any", shape_match, NULL},
    {"actions", "an object", shape_map, NULL},
    {0},
};
