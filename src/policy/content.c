/* SPDX-License-Identifier: MIT
 *
 * Rules over the text of a request (content_filter, and blocked_patterns of dlp) and the rate.  The
 * text of a request is every text anywhere in its resource, or in its context when it names no
 * resource. */
#include "policy/judge_priv.h"

typedef bool text_match(struct bytes wanted, struct bytes text);

static bool any_text(const struct policy_value *v, text_match *match, struct bytes wanted)
{
    if (v->type == POLICY_TEXT)
        return match(wanted, v->text);
    for (const struct policy_value *c = v->first; c; c = c->next)
        if (any_text(c, match, wanted))
            return true;
    return false;
}

static const struct policy_value *content(const struct judge *j)
{
    return j->request->resource ? j->request->resource : j->request->context;
}

/* Fails at the first of the list that the content holds.  The reason names the rule's entry, which
 * its owner wrote, and nothing of the content. */
static void judge_blocked(struct judge *j, const struct policy_value *v, text_match *match)
{
    const struct policy_value *text = content(j);
    if (!text) {
        judge_fail(j, v->name, "rule \"%.*s\" needs a resource, and the request has none",
                   BYTES_FMT(v->name));
        return;
    }
    for (const struct policy_value *x = v->first; x; x = x->next)
        if (any_text(text, match, x->text)) {
            judge_fail(j, v->name, "the content holds \"%.*s\", which is blocked",
                       x->text.len > 120 ? 120 : BYTES_FMT(x->text));
            return;
        }
    judge_pass(j, v->name);
}

static bool match_pattern(struct bytes pattern, struct bytes text)
{
    return policy_glob(pattern, text, true);
}

void judge_blocked_patterns(struct judge *j, const struct policy_value *v)
{
    judge_blocked(j, v, match_pattern);
}

static void judge_blocked_terms(struct judge *j, const struct policy_value *v)
{
    judge_blocked(j, v, policy_has_word);
}

static size_t text_characters(const struct policy_value *v)
{
    size_t n = 0;
    if (v->type == POLICY_TEXT)
        for (size_t i = 0; i < v->text.len; i++)
            n += ((unsigned char)v->text.ptr[i] & 0xc0) != 0x80;
    for (const struct policy_value *c = v->first; c; c = c->next)
        n += text_characters(c);
    return n;
}

static void judge_max_length(struct judge *j, const struct policy_value *v)
{
    const struct policy_value *text = content(j);
    size_t n = text ? text_characters(text) : 0;
    if (!text)
        judge_fail(j, v->name, "rule \"max_length\" needs a resource, and the request has none");
    else if ((double)n > v->number)
        judge_fail(j, v->name, "the content has %zu characters, at most %.0f are allowed", n,
                   v->number);
    else
        judge_pass(j, v->name);
}

const struct rule content_rules[] = {
    {"blocked_terms", "a list of words", shape_texts, judge_blocked_terms},
    {"blocked_patterns", "a list of patterns", shape_texts, judge_blocked_patterns},
    {"max_length", "a number of characters", shape_count, judge_max_length},
    {"actions", "an object", shape_map, NULL},
    {0},
};

/* ---- rate ---- */

static void judge_rate(struct judge *j, const struct policy_value *v)
{
    struct policy_value scratch;
    const struct policy_value *seen =
        judge_attribute(j, BYTES_LIT("context.requests_last_minute"), &scratch);
    if (!seen || seen->type != POLICY_NUMBER)
        judge_fail(j, v->name, "context.requests_last_minute is missing, or is no number");
    else if (seen->number >= v->number)
        judge_fail(j, v->name, "%.0f requests in the last minute, %.0f are allowed", seen->number,
                   v->number);
    else
        judge_pass(j, v->name);
}

const struct rule rate_rules[] = {
    {"limit_per_minute", "a whole number above 0", shape_count, judge_rate},
    {"actions", "an object", shape_map, NULL},
    {0},
};
