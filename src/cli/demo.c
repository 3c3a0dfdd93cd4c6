/* SPDX-License-Identifier: MIT
 *
 * `qmn demo`: one whole round of the network on hand-written texts, and a second one that shows
 * what it learned.  Everything printed comes from the node's answers; the script decides only who
 * can answer what (demo_data.c).
 *
 *   cast       a tenant, a key for it, a dozen agents, some memories
 *   broadcast  a score of nutrients, each to the agents the node picks
 *   answer     each agent empties its inbox: the expert responds, the others turn it down
 *   collect    one agent gathers what it needs
 *   rate       every trace: the expert well, the others badly
 *   again      the same nutrients once more */
#include "demo.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli_priv.h"
#include "codec/json_encode.h"
#include "qmn/v1/identity.pb-c.h"
#include "qmn/v1/memory.pb-c.h"
#include "qmn/v1/reinforcement.pb-c.h"
#include "qmn/v1/router.pb-c.h"

enum {
    NUTRIENTS_MAX = 32,
    CHANGES_MAX = 256,
    ASKED = 2,
    EDGES_SHOWN = 3,
    SHIFTS_SHOWN = 3,
    WIDTH = 100
};

struct change {
    const char *src, *dst;
    double first, last;
};

struct demo {
    struct cli *c;
    struct progress progress;
    unsigned calls;
    const Qmn__V1__BroadcastResponse *first[NUTRIENTS_MAX], *second[NUTRIENTS_MAX];
    struct change changes[CHANGES_MAX];
    size_t change_count;
    unsigned answered, deliveries;
    const Qmn__V1__CollectResponse *collected;
};

static char *str(const char *text)
{
    return (char *)(uintptr_t)text;
}

static char **list(const char *const *words, size_t *ret_count)
{
    size_t n = 0;
    while (words[n])
        n++;
    *ret_count = n;
    return (char **)(uintptr_t)words;
}

/* Every call; --json prints each answer as it came. */
static enum qmn_code call(struct demo *d, const char *method, const char *path,
                          const ProtobufCMessage *in, const ProtobufCMessageDescriptor *desc,
                          void *ret, struct err *err)
{
    enum { CALLS_EXPECTED = 150 };
    struct client_answer answer = {0};
    const struct client_call one = {method, path, in, desc, NULL, 0};
    progress_set(&d->progress, (double)d->calls++ / CALLS_EXPECTED);
    TRY(client_send(d->c->client, &one, &d->c->arena, &answer, err));
    /* The one answer that holds a secret stays unseen. */
    if (d->c->json && answer.body.len && desc != &qmn__v1__key__descriptor)
        printf("%.*s\n", BYTES_FMT(answer.body));
    if (!ret)
        return QMN_OK;
    if (!answer.message)
        return err_set(err, QMN_E_INTERNAL, "the node answered nothing to %s", path);
    memcpy(ret, &answer.message, sizeof answer.message);
    return QMN_OK;
}

/* ---- cast ---- */

static enum qmn_code make_tenant(struct demo *d, struct err *err)
{
    static const char *const scopes[] = {
        "nutrients:write", "inbox",      "contexts:read", "agents:read",  "agents:write",
        "outcomes:write",  "edges:read", "memory:read",   "memory:write", "traces:read"};
    Qmn__V1__CreateTenantRequest tenant;
    qmn__v1__create_tenant_request__init(&tenant);
    tenant.id = tenant.name = str("demo");
    TRY(call(d, "POST", "/v1/tenants", &tenant.base, NULL, NULL, err));

    Qmn__V1__CreateKeyRequest in;
    Qmn__V1__Key *key;
    qmn__v1__create_key_request__init(&in);
    in.tenant_id = in.name = str("demo");
    in.scopes = (char **)(uintptr_t)scopes;
    in.n_scopes = ARRAY_LEN(scopes);
    in.rate_limit_per_minute = 60000;
    in.has_rate_limit_per_minute = 1;
    TRY(call(d, "POST", "/v1/keys", &in.base, &qmn__v1__key__descriptor, &key, err));
    if (!key->api_key)
        return err_set(err, QMN_E_INTERNAL, "the node made a key without showing it");
    TRY(client_set_tenant(d->c->client, NULL, err));
    enum qmn_code code = client_set_key(d->c->client, key->api_key, err);
    explicit_bzero(key->api_key, strlen(key->api_key));
    return code;
}

static enum qmn_code register_agents(struct demo *d, struct err *err)
{
    for (size_t i = 0; i < demo_agent_count; i++) {
        const struct demo_agent *a = &demo_agents[i];
        Qmn__V1__AgentProfile profile;
        Qmn__V1__RegisterAgentRequest in;
        qmn__v1__agent_profile__init(&profile);
        qmn__v1__register_agent_request__init(&in);
        profile.text = profile.description = str(a->about);
        in.agent_id = str(a->id);
        in.profile = &profile;
        in.capabilities = list(a->capabilities, &in.n_capabilities);
        TRY(call(d, "POST", "/v1/agents:register", &in.base, NULL, NULL, err));
    }
    return QMN_OK;
}

static enum qmn_code store_memories(struct demo *d, struct err *err)
{
    for (size_t i = 0; i < demo_memory_count; i++) {
        const struct demo_memory *m = &demo_memories[i];
        Qmn__V1__StoreMemoryRequest in;
        qmn__v1__store_memory_request__init(&in);
        in.agent_id = str(m->agent);
        in.kind = str(m->kind);
        in.text = str(m->text);
        in.quality = m->quality;
        in.has_quality = in.has_content = 1;
        TRY(cli_text_object(d->c, m->text, &in.content, err));
        TRY(call(d, "POST", "/v1/hyphal:store", &in.base, NULL, NULL, err));
    }
    return QMN_OK;
}

/* ---- one round ---- */

static enum qmn_code broadcast_all(struct demo *d, const Qmn__V1__BroadcastResponse **ret,
                                   struct err *err)
{
    for (size_t i = 0; i < demo_nutrient_count; i++) {
        const struct demo_nutrient *n = &demo_nutrients[i];
        Qmn__V1__BroadcastRequest in;
        Qmn__V1__BroadcastResponse *out;
        qmn__v1__broadcast_request__init(&in);
        in.source_agent_id = str(n->source);
        in.summary = in.text = str(n->text);
        in.tool_hints = list(n->hints, &in.n_tool_hints);
        in.top_k = ASKED;
        in.max_hops = 1;
        in.has_top_k = in.has_max_hops = 1;
        TRY(call(d, "POST", "/v1/nutrients:broadcast", &in.base,
                 &qmn__v1__broadcast_response__descriptor, &out, err));
        ret[i] = out;
        d->deliveries += (unsigned)out->n_hops;
    }
    return QMN_OK;
}

static const struct demo_nutrient *script_of(const char *summary)
{
    for (size_t i = 0; summary && i < demo_nutrient_count; i++)
        if (strcmp(demo_nutrients[i].text, summary) == 0)
            return &demo_nutrients[i];
    return NULL;
}

/* The expert answers and is done; whoever else was asked turns it down. */
static enum qmn_code handle(struct demo *d, const char *agent, const Qmn__V1__InboxItem *item,
                            struct err *err)
{
    const struct demo_nutrient *n = script_of(item->summary);
    char *ids[] = {item->nutrient_id};
    if (!n || strcmp(n->expert, agent) != 0) {
        Qmn__V1__NackRequest nack;
        qmn__v1__nack_request__init(&nack);
        nack.nutrient_ids = ids;
        nack.n_nutrient_ids = 1;
        nack.has_reject = nack.reject = 1;
        return call(d, "POST", cli_path(d->c, "/v1/agents/%s/nutrients:nack", agent), &nack.base,
                    NULL, NULL, err);
    }
    Qmn__V1__RespondRequest in;
    qmn__v1__respond_request__init(&in);
    in.agent_id = str(agent);
    in.quality = 0.9f;
    in.has_quality = in.has_content = 1;
    TRY(cli_text_object(d->c, n->answer, &in.content, err));
    TRY(call(d, "POST", cli_path(d->c, "/v1/nutrients/%s:respond", item->nutrient_id), &in.base,
             NULL, NULL, err));
    d->answered++;
    Qmn__V1__AckRequest ack;
    qmn__v1__ack_request__init(&ack);
    ack.nutrient_ids = ids;
    ack.n_nutrient_ids = 1;
    return call(d, "POST", cli_path(d->c, "/v1/agents/%s/nutrients:ack", agent), &ack.base, NULL,
                NULL, err);
}

static enum qmn_code empty_inboxes(struct demo *d, struct err *err)
{
    for (size_t a = 0; a < demo_agent_count; a++) {
        const char *id = demo_agents[a].id;
        Qmn__V1__PullResponse *out;
        TRY(call(d, "GET", cli_path(d->c, "/v1/agents/%s/nutrients?limit=50", id), NULL,
                 &qmn__v1__pull_response__descriptor, &out, err));
        for (size_t i = 0; i < out->n_nutrients; i++)
            TRY(handle(d, id, out->nutrients[i], err));
    }
    return QMN_OK;
}

static enum qmn_code collect(struct demo *d, struct err *err)
{
    Qmn__V1__CollectRequest in;
    Qmn__V1__CollectResponse *out;
    qmn__v1__collect_request__init(&in);
    in.agent_id = str("oncall");
    in.text = str("why do requests time out while connections wait");
    in.top_k = 4;
    in.min_similarity = 0.2f;
    in.has_top_k = in.has_min_similarity = 1;
    TRY(call(d, "POST", "/v1/contexts:collect", &in.base, &qmn__v1__collect_response__descriptor,
             &out, err));
    d->collected = out;
    return QMN_OK;
}

/* ---- rating ---- */

static void note_change(struct demo *d, const Qmn__V1__WeightChange *w)
{
    for (size_t i = 0; i < d->change_count; i++) {
        struct change *k = &d->changes[i];
        if (strcmp(k->src, w->src) == 0 && strcmp(k->dst, w->dst) == 0) {
            k->last = w->new_weight;
            return;
        }
    }
    if (d->change_count < CHANGES_MAX)
        d->changes[d->change_count++] =
            (struct change){w->src, w->dst, w->old_weight, w->new_weight};
}

static enum qmn_code record(struct demo *d, Qmn__V1__RecordOutcomeRequest *in, struct err *err)
{
    Qmn__V1__RecordOutcomeResponse *out;
    TRY(call(d, "POST", "/v1/outcomes:record", &in->base,
             &qmn__v1__record_outcome_response__descriptor, &out, err));
    for (size_t i = 0; i < out->n_weight_changes; i++)
        if (out->weight_changes[i]->src && out->weight_changes[i]->dst)
            note_change(d, out->weight_changes[i]);
    return QMN_OK;
}

/* All who were asked count as useless but the expert, who gets a score of its own. */
static enum qmn_code rate_all(struct demo *d, struct err *err)
{
    for (size_t i = 0; i < demo_nutrient_count; i++) {
        const Qmn__V1__BroadcastResponse *b = d->first[i];
        Qmn__V1__RecordOutcomeRequest in;
        Qmn__V1__RecordOutcomeRequest__HopOutcomesEntry hop, *hops[] = {&hop};
        qmn__v1__record_outcome_request__init(&in);
        qmn__v1__record_outcome_request__hop_outcomes_entry__init(&hop);
        in.trace_id = b->trace_id;
        in.agent_id = str(demo_nutrients[i].source);
        in.outcome_score = 0;
        in.has_outcome_score = 1;
        hop.key = str(demo_nutrients[i].expert);
        hop.value = hop.has_value = 1;
        for (size_t k = 0; k < b->n_hops; k++)
            if (strcmp(cli_or(b->hops[k]->agent_id, ""), hop.key) == 0) {
                in.hop_outcomes = hops;
                in.n_hop_outcomes = 1;
            }
        if (b->n_hops)
            TRY(record(d, &in, err));
    }
    Qmn__V1__RecordOutcomeRequest in;
    qmn__v1__record_outcome_request__init(&in);
    in.trace_id = d->collected->trace_id;
    in.agent_id = str("oncall");
    in.outcome_score = 0.9;
    in.has_outcome_score = 1;
    return d->collected->n_contents ? record(d, &in, err) : QMN_OK;
}

/* ---- what is shown ---- */

static const char *second_asked(struct demo *d, const Qmn__V1__BroadcastResponse *b)
{
    if (b->n_hops < 2)
        return "";
    const Qmn__V1__Hop *h = b->hops[1];
    return cli_or(arena_printf(&d->c->arena, "%s %.2f%s", cli_or(h->agent_id, "?"),
                               (double)h->score, h->explored ? " (chance)" : ""),
                  "");
}

static void show_routes(struct demo *d)
{
    struct cli *c = d->c;
    struct table t;
    cli_print(c,
              S_BOLD "1  %zu nutrients, and where each went" S_OFF S_DIM
                     "   score = similarity x edge/0.5 x (1+demand)/2 + 0.05 per skill\n" S_OFF,
              demo_nutrient_count);
    TABLE(&t, c, "FROM", "*NUTRIENT", "WENT TO", ">SCORE", ">SIMIL", ">EDGE", ">SKILL", "AND TO");
    for (size_t i = 0; i < demo_nutrient_count; i++) {
        const Qmn__V1__BroadcastResponse *b = d->first[i];
        const Qmn__V1__Hop *h = b->n_hops ? b->hops[0] : NULL;
        const char *to = h ? cli_or(h->agent_id, "?") : "nobody";
        bool right = strcmp(to, demo_nutrients[i].expert) == 0;
        table_cell(&t, "%s", demo_nutrients[i].source);
        table_cell(&t, "%s", demo_nutrients[i].text);
        table_cell(&t, "%s%s", right ? S_GREEN : S_YELLOW, to);
        table_cell(&t, h ? "%.2f" : "-", h ? (double)h->score : 0.0);
        table_cell(&t, h ? "%.2f" : "-", h ? (double)h->similarity : 0.0);
        table_cell(&t, h ? "%.2f" : "-", h ? (double)h->edge_weight : 0.0);
        table_cell(&t, h ? "%u" : "-", h ? h->capability_matches : 0u);
        table_cell(&t, S_DIM "%s", second_asked(d, b));
    }
    table_end(&t, "nothing was sent");
}

static void show_collected(struct demo *d)
{
    struct cli *c = d->c;
    struct table t;
    cli_print(c, "\n" S_BOLD "2  oncall collects: why do requests time out while connections "
                 "wait?" S_OFF "\n");
    TABLE(&t, c, ">SCORE", "FROM", "AS", "*WHAT");
    for (size_t i = 0; i < d->collected->n_contents; i++) {
        const Qmn__V1__ContextItem *x = d->collected->contents[i];
        table_cell(&t, "%.2f", (double)x->score);
        table_cell(&t, "%s", cli_or(x->agent_id, "?"));
        table_cell(&t, S_DIM "%s", cli_or(x->kind, "?"));
        table_cell(&t, "%s", cli_gist(c, x->data, 300));
    }
    table_end(&t, "nothing found");
}

static void show_edges(struct demo *d)
{
    struct cli *c = d->c;
    bool shown[CHANGES_MAX] = {false};
    cli_print(c,
              "\n" S_BOLD "3  outcomes recorded, %zu edges moved" S_OFF S_DIM
              "   (every pair starts at 0.5)" S_OFF "\n",
              d->change_count);
    for (int row = 0; row < EDGES_SHOWN; row++) {
        size_t best = CHANGES_MAX;
        for (size_t i = 0; i < d->change_count; i++) {
            double moved = fabs(d->changes[i].last - d->changes[i].first);
            if (!shown[i] && (best == CHANGES_MAX ||
                              moved > fabs(d->changes[best].last - d->changes[best].first)))
                best = i;
        }
        if (best == CHANGES_MAX)
            break;
        const struct change *k = &d->changes[best];
        shown[best] = true;
        cli_print(c, "   %-10s \xe2\x86\x92 %-10s %.3f \xe2\x86\x92 %s%.3f" S_OFF "\n", k->src,
                  k->dst, k->first, k->last >= k->first ? S_GREEN : S_RED, k->last);
    }
}

static bool is_first(const Qmn__V1__BroadcastResponse *b, const char *agent)
{
    return b->n_hops && strcmp(cli_or(b->hops[0]->agent_id, ""), agent) == 0;
}

static const char *first_asked(const Qmn__V1__BroadcastResponse *b)
{
    return b->n_hops ? cli_or(b->hops[0]->agent_id, "?") : "nobody";
}

static void show_second_round(struct demo *d)
{
    struct cli *c = d->c;
    unsigned before = 0, after = 0;
    int shown = 0;
    for (size_t i = 0; i < demo_nutrient_count; i++) {
        before += is_first(d->first[i], demo_nutrients[i].expert);
        after += is_first(d->second[i], demo_nutrients[i].expert);
    }
    cli_print(c,
              "\n" S_BOLD
              "4  the same %zu nutrients again: the one who knows is asked first %u times, "
              "before %u" S_OFF "\n",
              demo_nutrient_count, after, before);
    struct table t;
    TABLE(&t, c, "*NUTRIENT", "BEFORE", "NOW", ">SCORE", ">SIMIL", ">EDGE", ">DEMAND");
    for (size_t i = 0; i < demo_nutrient_count && shown < SHIFTS_SHOWN; i++) {
        const char *expert = demo_nutrients[i].expert;
        if (is_first(d->first[i], expert) || !is_first(d->second[i], expert))
            continue;
        const Qmn__V1__Hop *h = d->second[i]->hops[0];
        table_cell(&t, "%s", demo_nutrients[i].text);
        table_cell(&t, S_YELLOW "%s", first_asked(d->first[i]));
        table_cell(&t, S_GREEN "%s", first_asked(d->second[i]));
        table_cell(&t, "%.2f", (double)h->score);
        table_cell(&t, "%.2f", (double)h->similarity);
        table_cell(&t, "%.2f", (double)h->edge_weight);
        table_cell(&t, "%.2f", (double)h->demand);
        shown++;
    }
    table_end(&t, "no first choice changed for the better this time");
}

static enum qmn_code play(struct demo *d, struct err *err)
{
    TRY(make_tenant(d, err));
    TRY(register_agents(d, err));
    TRY(store_memories(d, err));
    TRY(broadcast_all(d, d->first, err));
    unsigned asked_first = d->deliveries;
    TRY(empty_inboxes(d, err));
    TRY(collect(d, err));
    TRY(rate_all(d, err));
    TRY(broadcast_all(d, d->second, err));
    progress_end(&d->progress);
    if (d->c->json)
        return QMN_OK;
    if (d->c->columns == 0 || d->c->columns > WIDTH)
        d->c->columns = WIDTH;
    cli_print(d->c,
              S_BOLD "qmn demo" S_OFF "  tenant demo on %s: %zu agents of an online shop share "
                     "what they know\n\n",
              d->c->url, demo_agent_count);
    show_routes(d);
    cli_print(d->c,
              S_DIM "%u deliveries; %u were answered by the one who knows, the others were "
                    "turned down" S_OFF "\n",
              asked_first, d->answered);
    show_collected(d);
    show_edges(d);
    show_second_round(d);
    cli_print(d->c, "\n" S_DIM "look closer:" S_OFF "  qmn trace %s --tenant demo\n",
              cli_or(d->first[0]->trace_id, "-"));
    return QMN_OK;
}

enum qmn_code cmd_demo(struct cli *c, struct err *err)
{
    static struct demo d;
    struct err absent = {0};
    d.c = c;
    _Static_assert(NUTRIENTS_MAX >= 20, "room for the script");
    TRY(cli_connect(c, err));
    progress_begin(&d.progress, "demo", 1);
    const struct client_call look = {"GET", "/v1/tenants/demo", NULL, NULL, NULL, 0};
    struct client_answer answer;
    enum qmn_code code = client_send(c->client, &look, &c->arena, &answer, &absent);
    if (code == QMN_OK) {
        if (c->json)
            printf("%.*s\n", BYTES_FMT(answer.body));
        else
            cli_print(c, "The tenant demo is there already.  Look around: qmn agent list --tenant "
                         "demo\n");
        return QMN_OK;
    }
    if (code != QMN_E_NOT_FOUND) {
        *err = absent;
        return code;
    }
    code = play(&d, err);
    progress_end(&d.progress);
    return code;
}
