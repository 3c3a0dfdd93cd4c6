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
 *   again      the same nutrients once more
 *
 * What is shown of it stands in demo_show.c. */
#include "demo_priv.h"

#include <stdio.h>
#include <string.h>

#include "qmn/v1/identity.pb-c.h"
#include "qmn/v1/memory.pb-c.h"
#include "qmn/v1/reinforcement.pb-c.h"
#include "qmn/v1/router.pb-c.h"

enum { CHANGES_MAX = DEMO_CHANGES_MAX, ASKED = 2 };

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

/* "demo", or the next of demo-2, demo-3, ... that was never there: a name is given out once. */
static enum qmn_code take_name(struct demo *d, struct err *err)
{
    enum { NAMES_MAX = 999 };
    const char *wanted = cli_text(d->c, "tenant");
    Qmn__V1__CreateTenantRequest in;
    qmn__v1__create_tenant_request__init(&in);
    for (unsigned n = 1;; n++) {
        d->tenant = wanted  ? wanted
                    : n > 1 ? arena_printf(&d->c->arena, DEMO_TENANT "-%u", n)
                            : DEMO_TENANT;
        if (!d->tenant)
            return err_nomem(err);
        in.id = in.name = str(d->tenant);
        enum qmn_code code = call(d, "POST", "/v1/tenants", &in.base, NULL, NULL, err);
        if (code != QMN_E_CONFLICT || wanted || n == NAMES_MAX)
            return code;
    }
}

static enum qmn_code make_tenant(struct demo *d, struct err *err)
{
    static const char *const scopes[] = {
        "nutrients:write", "inbox",      "contexts:read", "agents:read",  "agents:write",
        "outcomes:write",  "edges:read", "memory:read",   "memory:write", "traces:read"};
    Qmn__V1__CreateKeyRequest in;
    Qmn__V1__Key *key;
    TRY(client_set_tenant(d->c->client, NULL, err));
    TRY(take_name(d, err));
    qmn__v1__create_key_request__init(&in);
    in.tenant_id = in.name = str(d->tenant);
    in.scopes = (char **)(uintptr_t)scopes;
    in.n_scopes = ARRAY_LEN(scopes);
    in.rate_limit_per_minute = 60000;
    in.has_rate_limit_per_minute = 1;
    TRY(call(d, "POST", "/v1/keys", &in.base, &qmn__v1__key__descriptor, &key, err));
    if (!key->api_key)
        return err_set(err, QMN_E_INTERNAL, "the node made a key without showing it");
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
        struct demo_change *k = &d->changes[i];
        if (strcmp(k->src, w->src) == 0 && strcmp(k->dst, w->dst) == 0) {
            k->last = w->new_weight;
            return;
        }
    }
    if (d->change_count < CHANGES_MAX)
        d->changes[d->change_count++] =
            (struct demo_change){w->src, w->dst, w->old_weight, w->new_weight};
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

static enum qmn_code play(struct demo *d, struct err *err)
{
    TRY(make_tenant(d, err));
    TRY(register_agents(d, err));
    TRY(store_memories(d, err));
    TRY(broadcast_all(d, d->first, err));
    d->asked = d->deliveries;
    TRY(empty_inboxes(d, err));
    TRY(collect(d, err));
    TRY(rate_all(d, err));
    return broadcast_all(d, d->second, err);
}

/* Whether a demo was here, also if its tenant has been deleted since. */
static enum qmn_code look(struct cli *c, bool *ret_there, struct err *err)
{
    struct err why = {0};
    struct client_answer answer;
    const struct client_call call = {"GET", "/v1/tenants/" DEMO_TENANT, NULL, NULL, NULL, 0};
    enum qmn_code code = client_send(c->client, &call, &c->arena, &answer, &why);
    *ret_there = code == QMN_OK || code == QMN_E_GONE;
    if (*ret_there || code == QMN_E_NOT_FOUND)
        return QMN_OK;
    *err = why;
    return code;
}

enum qmn_code cmd_demo(struct cli *c, struct err *err)
{
    static struct demo d;
    bool there = false;
    d.c = c;
    _Static_assert(DEMO_NUTRIENTS_MAX >= 20, "room for the script");
    TRY(cli_connect(c, err));
    if (cli_flag(c, "once")) {
        TRY(client_set_tenant(c->client, NULL, err));
        TRY(look(c, &there, err));
    }
    if (there) {
        cli_note(c, "This node has had its demo; once more: qmn demo\n");
        return QMN_OK;
    }
    progress_begin(&d.progress, "demo", 1);
    enum qmn_code code = play(&d, err);
    progress_end(&d.progress);
    if (code == QMN_OK && !c->json)
        demo_show(&d);
    return code;
}
