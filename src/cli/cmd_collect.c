/* SPDX-License-Identifier: MIT
 *
 * collect, outcome, trace. */
#include <stdlib.h>
#include <string.h>

#include "cli_priv.h"
#include "qmn/v1/reinforcement.pb-c.h"
#include "qmn/v1/router.pb-c.h"

enum qmn_code cmd_collect(struct cli *c, struct err *err)
{
    Qmn__V1__CollectRequest *in;
    Qmn__V1__CollectResponse *out;
    const char *words;
    struct table t;
    TRY(cli_words(c, 0, &words, err));
    TRY(cli_request(c, &qmn__v1__collect_request__descriptor, &in, err));
    in->text = (char *)(uintptr_t)words;
    const struct client_call call = {
        "POST", "/v1/contexts:collect", &in->base, &qmn__v1__collect_response__descriptor, NULL, 0};
    TRY(cli_send(c, &call, &out, err));
    if (!out)
        return QMN_OK;
    TABLE(&t, c, ">SCORE", ">SIMILARITY", "FROM", "AS", "*CONTENT");
    for (size_t i = 0; i < out->n_contents; i++) {
        const Qmn__V1__ContextItem *x = out->contents[i];
        table_cell(&t, S_GREEN "%.3f", (double)x->score);
        table_cell(&t, "%.3f", (double)x->similarity);
        table_cell(&t, S_BOLD "%s", cli_or(x->agent_id, "?"));
        table_cell(&t, "%s", cli_or(x->kind, "?"));
        table_cell(&t, "%s", cli_gist(c, x->data, 400));
    }
    table_end(&t, "nothing found");
    const Qmn__V1__CollectMetadata *m = out->metadata;
    if (m)
        cli_print(c,
                  S_DIM "%u responses and %u memories considered, waited %u ms, %u still "
                        "silent" S_OFF "\n",
                  m->responses_considered, m->memories_considered, m->waited_ms, m->outstanding);
    cli_print(c,
              S_DIM "trace" S_OFF " %s\n" S_DIM "qmn outcome TRACE SCORE teaches the network" S_OFF
                    "\n",
              cli_or(out->trace_id, "-"));
    return QMN_OK;
}

/* ---- outcome ---- */

/* "agent=0.5"; agent ids may hold '='. */
static enum qmn_code hop_outcome(struct cli *c, const char *text,
                                 Qmn__V1__RecordOutcomeRequest__HopOutcomesEntry **ret,
                                 struct err *err)
{
    const char *equals = strrchr(text, '=');
    char *end = NULL;
    double score = equals ? strtod(equals + 1, &end) : 0;
    if (!equals || equals == text || end == equals + 1 || *end)
        return cli_usage(c, err, "--hop: expected AGENT=SCORE, got \"%s\"", text);
    Qmn__V1__RecordOutcomeRequest__HopOutcomesEntry *e =
        arena_new(&c->arena, Qmn__V1__RecordOutcomeRequest__HopOutcomesEntry);
    if (!e)
        return err_nomem(err);
    qmn__v1__record_outcome_request__hop_outcomes_entry__init(e);
    e->key = arena_cstr(&c->arena, bytes_of(text, (size_t)(equals - text)));
    e->value = score;
    e->has_value = 1;
    *ret = e;
    return e->key ? QMN_OK : err_nomem(err);
}

static void print_changes(struct cli *c, Qmn__V1__WeightChange *const *changes, size_t count)
{
    struct table t;
    TABLE(&t, c, "EDGE", ">OLD", ">NEW", ">CHANGE", ">RATED", ">HOP");
    for (size_t i = 0; i < count; i++) {
        const Qmn__V1__WeightChange *w = changes[i];
        table_cell(&t, "%s \xe2\x86\x92 %s", cli_or(w->src, "?"), cli_or(w->dst, "?"));
        table_cell(&t, "%.4f", w->old_weight);
        table_cell(&t, "%.4f", w->new_weight);
        table_cell(&t, "%s%+.4f", w->delta < 0 ? S_RED : S_GREEN, w->delta);
        table_cell(&t, "%.2f", w->hop_score);
        table_cell(&t, "%u", w->hop);
    }
    table_end(&t, "no edge moved");
}

enum qmn_code cmd_outcome(struct cli *c, struct err *err)
{
    Qmn__V1__RecordOutcomeRequest *in;
    Qmn__V1__RecordOutcomeResponse *out;
    char *end = NULL;
    TRY(cli_request(c, &qmn__v1__record_outcome_request__descriptor, &in, err));
    in->trace_id = (char *)(uintptr_t)c->args[0];
    in->outcome_score = strtod(c->args[1], &end);
    in->has_outcome_score = 1;
    if (end == c->args[1] || *end)
        return cli_usage(c, err, "expected a score from 0 to 1, got \"%s\"", c->args[1]);
    in->hop_outcomes = arena_calloc(&c->arena, CLI_VALUES_MAX, sizeof *in->hop_outcomes);
    if (!in->hop_outcomes)
        return err_nomem(err);
    for (const char *hop; (hop = cli_nth(c, "hop", in->n_hop_outcomes)) != NULL;
         in->n_hop_outcomes++)
        TRY(hop_outcome(c, hop, &in->hop_outcomes[in->n_hop_outcomes], err));
    const struct client_call call = {"POST",    "/v1/outcomes:record",
                                     &in->base, &qmn__v1__record_outcome_response__descriptor,
                                     NULL,      0};
    TRY(cli_send(c, &call, &out, err));
    if (out)
        print_changes(c, out->weight_changes, out->n_weight_changes);
    return QMN_OK;
}

/* ---- trace ---- */

static const char *delivery_state(const Qmn__V1__Trace *t, const char *agent)
{
    for (size_t i = 0; agent && i < t->n_deliveries; i++)
        if (t->deliveries[i]->agent_id && strcmp(t->deliveries[i]->agent_id, agent) == 0)
            return cli_or(t->deliveries[i]->state, "");
    return "";
}

static void print_candidates(struct cli *c, const Qmn__V1__Trace *x)
{
    struct table t;
    cli_print(c,
              "\n" S_BOLD "Considered" S_OFF S_DIM " (%u agents could have been chosen)" S_OFF "\n",
              x->eligible_total);
    TABLE(&t, c, "AGENT", ">SCORE", ">SIMILARITY", ">EDGE", ">DEMAND", ">SKILLS", ">CHANCE",
          "CHOSEN", "DELIVERY");
    for (size_t i = 0; i < x->n_candidates; i++) {
        const Qmn__V1__TraceCandidate *k = x->candidates[i];
        table_cell(&t, "%s%s", k->chosen ? S_BOLD : "", cli_or(k->agent_id, "?"));
        table_cell(&t, "%.3f", (double)k->score);
        table_cell(&t, "%.3f", (double)k->similarity);
        table_cell(&t, "%.3f", (double)k->edge_weight);
        table_cell(&t, "%.2f", (double)k->demand);
        table_cell(&t, "%u", k->capability_matches);
        table_cell(&t, "%.2f", (double)k->propensity);
        table_cell(&t, "%s", k->chosen ? S_GREEN "yes" : "");
        table_cell(&t, "%s", k->chosen ? delivery_state(x, k->agent_id) : "");
    }
    table_end(&t, "nobody");
}

static void print_contributions(struct cli *c, const Qmn__V1__Trace *x)
{
    struct table t;
    cli_print(c, "\n" S_BOLD "Collected" S_OFF "\n");
    TABLE(&t, c, ">SCORE", ">SIMILARITY", "FROM", "AS", "ID");
    for (size_t i = 0; i < x->n_contributions; i++) {
        const Qmn__V1__TraceContribution *k = x->contributions[i];
        table_cell(&t, "%.3f", (double)k->score);
        table_cell(&t, "%.3f", (double)k->similarity);
        table_cell(&t, "%s", cli_or(k->agent_id, "?"));
        table_cell(&t, "%s", cli_or(k->source, "?"));
        table_cell(&t, "%s", cli_or(k->id, "?"));
    }
    table_end(&t, "nothing");
}

enum qmn_code cmd_trace(struct cli *c, struct err *err)
{
    Qmn__V1__Trace *x;
    const struct client_call call = {"GET", cli_path(c, "/v1/traces/%s", c->args[0]),
                                     NULL,  &qmn__v1__trace__descriptor,
                                     NULL,  0};
    TRY(cli_send(c, &call, &x, err));
    if (!x)
        return QMN_OK;
    cli_print(c, S_BOLD "%s" S_OFF "  %s by %s, %s%s%s\n", cli_or(x->trace_id, "-"),
              cli_or(x->kind, "?"), cli_or(x->agent_id, "?"), cli_when(c, x->created_at),
              x->trace_task_id ? ", task " : "", cli_or(x->trace_task_id, ""));
    if (x->n_candidates || x->n_hops)
        print_candidates(c, x);
    if (x->n_contributions)
        print_contributions(c, x);
    for (size_t i = 0; i < x->n_outcomes; i++) {
        const Qmn__V1__TraceOutcome *o = x->outcomes[i];
        cli_print(c, "\n" S_BOLD "Rated %.2f" S_OFF " by %s, %s\n", o->score,
                  cli_or(o->rater_agent_id, "?"), cli_when(c, o->recorded_at));
        print_changes(c, o->weight_changes, o->n_weight_changes);
    }
    if (x->n_outcomes == 0)
        cli_print(c, S_DIM "not rated yet" S_OFF "\n");
    return QMN_OK;
}
