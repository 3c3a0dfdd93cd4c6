/* SPDX-License-Identifier: MIT
 *
 * agent, edges. */
#include "cli_priv.h"
#include "codec/codec.h"
#include "qmn/v1/reinforcement.pb-c.h"
#include "qmn/v1/router.pb-c.h"

/* ---- agent ---- */

static void print_agent(struct cli *c, const Qmn__V1__Agent *a)
{
    cli_print(c, S_BOLD "%s" S_OFF "  %s%s\n", cli_or(a->agent_id, "?"), cli_or(a->name, ""),
              a->status && a->status[0] != 'a' ? S_YELLOW "  suspended" S_OFF : "");
    if (a->description && *a->description)
        cli_print(c, "  %s\n", a->description);
    cli_print(c, S_DIM "  capabilities  " S_OFF "%s\n",
              cli_join(c, a->capabilities, a->n_capabilities));
    cli_print(c, S_DIM "  tools         " S_OFF "%s\n", cli_join(c, a->tools, a->n_tools));
    cli_print(c, S_DIM "  skills        " S_OFF "%s\n", cli_join(c, a->skills, a->n_skills));
    cli_print(c, S_DIM "  clearance     " S_OFF "%s\n", cli_or(a->clearance, "-"));
    cli_print(c, S_DIM "  inbox         " S_OFF "%u waiting, last seen %s\n", a->inbox_pending,
              cli_when(c, a->last_seen_at));
    cli_print(c, S_DIM "  registered    " S_OFF "%s\n", cli_time(c, a->created_at));
}

static enum qmn_code fill_profile(struct cli *c, Qmn__V1__RegisterAgentRequest *in, struct err *err)
{
    const char *about = cli_text(c, "about");
    size_t skills = 0;
    while (cli_nth(c, "skill", skills))
        skills++;
    ProtobufCMessage *m = message_new(&qmn__v1__agent_profile__descriptor, &c->arena);
    Qmn__V1__AgentProfile *p = (Qmn__V1__AgentProfile *)(void *)m;
    if (!p || !(p->skills = arena_array(&c->arena, char *, skills + 1)))
        return err_nomem(err);
    p->text = p->description = (char *)(uintptr_t)about;
    for (; p->n_skills < skills; p->n_skills++)
        p->skills[p->n_skills] = (char *)(uintptr_t)cli_nth(c, "skill", p->n_skills);
    in->profile = p;
    return QMN_OK;
}

/* The agent as it is; NULL if there is none, or if the key may not look. */
static enum qmn_code find_agent(struct cli *c, const Qmn__V1__Agent **ret, struct err *err)
{
    struct client_answer answer = {0};
    const struct client_call call = {"GET", cli_path(c, "/v1/agents/%s?embedding=true", c->args[0]),
                                     NULL,  &qmn__v1__agent__descriptor,
                                     NULL,  0};
    struct err why = {0};
    TRY(cli_connect(c, err));
    enum qmn_code code = client_send(c->client, &call, &c->arena, &answer, &why);
    *ret = (const Qmn__V1__Agent *)(const void *)answer.message;
    if (code == QMN_OK || code == QMN_E_NOT_FOUND || code == QMN_E_FORBIDDEN)
        return QMN_OK;
    *err = why;
    return code;
}

/* What the command line does not name stays.  The node replaces an agent as a whole, so a forgotten
 * --about would otherwise take the profile away, and with it every nutrient. */
static void keep_rest(Qmn__V1__RegisterAgentRequest *in, const Qmn__V1__Agent *old)
{
    Qmn__V1__AgentProfile *p = in->profile;
    if (!in->name)
        in->name = old->name;
    if (!in->region)
        in->region = old->region;
    if (!in->has_metadata) {
        in->has_metadata = old->has_metadata;
        in->metadata = old->metadata;
    }
    if (!in->n_capabilities) {
        in->n_capabilities = old->n_capabilities;
        in->capabilities = old->capabilities;
    }
    if (!in->n_tools) {
        in->n_tools = old->n_tools;
        in->tools = old->tools;
    }
    if (!p->n_skills) {
        p->n_skills = old->n_skills;
        p->skills = old->skills;
    }
    if (!p->description) {
        p->description = old->description;
        p->n_embedding = old->n_embedding;
        p->embedding = old->embedding;
    }
}

static enum qmn_code send_agent(struct cli *c, Qmn__V1__RegisterAgentRequest *in,
                                Qmn__V1__Agent **ret, struct err *err)
{
    const struct client_call call = {
        "POST", "/v1/agents:register", &in->base, &qmn__v1__agent__descriptor, NULL, 0};
    return cli_send(c, &call, ret, err);
}

enum qmn_code cmd_agent_register(struct cli *c, struct err *err)
{
    Qmn__V1__RegisterAgentRequest *in;
    Qmn__V1__Agent *out;
    const Qmn__V1__Agent *old;
    TRY(cli_request(c, &qmn__v1__register_agent_request__descriptor, &in, err));
    in->agent_id = (char *)(uintptr_t)c->args[0];
    TRY(fill_profile(c, in, err));
    TRY(find_agent(c, &old, err));
    if (old)
        keep_rest(in, old);
    enum qmn_code code = send_agent(c, in, &out, err);
    if (code == QMN_E_SPACE_MISMATCH && in->profile->n_embedding && in->profile->description) {
        /* A vector that the node made from a text comes back only as that text. */
        in->profile->n_embedding = 0;
        in->profile->text = in->profile->description;
        code = send_agent(c, in, &out, err);
    }
    if (code == QMN_OK && out)
        print_agent(c, out);
    return code;
}

enum qmn_code cmd_agent_list(struct cli *c, struct err *err)
{
    Qmn__V1__AgentList *out;
    struct table t;
    const struct client_call call = {
        "GET", cli_query(c, "/v1/agents"), NULL, &qmn__v1__agent_list__descriptor, NULL, 0};
    TRY(cli_send(c, &call, &out, err));
    if (!out)
        return QMN_OK;
    TABLE(&t, c, "AGENT", "STATUS", ">INBOX", "SEEN", "CAPABILITIES", "*ABOUT");
    for (size_t i = 0; i < out->n_agents; i++) {
        const Qmn__V1__Agent *a = out->agents[i];
        bool active = a->status && a->status[0] == 'a';
        table_cell(&t, S_BOLD "%s", cli_or(a->agent_id, "?"));
        table_cell(&t, "%s%s", active ? S_GREEN : S_YELLOW, cli_or(a->status, "?"));
        table_cell(&t, "%u", a->inbox_pending);
        table_cell(&t, "%s", cli_when(c, a->last_seen_at));
        table_cell(&t, "%s", cli_join(c, a->capabilities, a->n_capabilities));
        table_cell(&t, "%s", cli_or(a->description, cli_or(a->name, "")));
    }
    table_end(&t, "no agents yet; register one with: qmn agent register NAME --about \"...\"");
    return QMN_OK;
}

enum qmn_code cmd_agent_show(struct cli *c, struct err *err)
{
    Qmn__V1__Agent *out;
    const struct client_call call = {"GET", cli_path(c, "/v1/agents/%s", c->args[0]),
                                     NULL,  &qmn__v1__agent__descriptor,
                                     NULL,  0};
    TRY(cli_send(c, &call, &out, err));
    if (out)
        print_agent(c, out);
    return QMN_OK;
}

enum qmn_code cmd_agent_suspend(struct cli *c, struct err *err)
{
    const struct client_call call = {
        "DELETE", cli_path(c, "/v1/agents/%s", c->args[0]), NULL, NULL, NULL, 0};
    TRY(cli_send(c, &call, NULL, err));
    if (!c->json)
        cli_print(c, "%s is suspended; registering it again wakes it\n", c->args[0]);
    return QMN_OK;
}

/* ---- edges ---- */

static void print_edges(struct cli *c, Qmn__V1__Edge *const *edges, size_t count)
{
    struct table t;
    TABLE(&t, c, "FROM", "TO", ">WEIGHT", ">SIMILARITY", ">SUCCESS", ">FAILURE", ">OUTCOMES",
          "LAST");
    for (size_t i = 0; i < count; i++) {
        const Qmn__V1__Edge *e = edges[i];
        table_cell(&t, "%s", cli_or(e->src, "?"));
        table_cell(&t, S_BOLD "%s", cli_or(e->dst, "?"));
        table_cell(&t, "%s%.4f", e->weight >= 0.5 ? S_GREEN : S_RED, e->weight);
        /* 0: one of them has no profile, default-agent for one */
        table_cell(&t, e->similarity != 0 ? "%.3f" : "-", e->similarity);
        table_cell(&t, "%.2f", e->success);
        table_cell(&t, "%.2f", e->decay);
        table_cell(&t, "%llu", (unsigned long long)e->outcomes);
        table_cell(&t, "%s", cli_when(c, e->last_update));
    }
    table_end(&t, "no edges yet: they appear with the first outcome (every pair starts at 0.5)");
}

enum qmn_code cmd_edges_top(struct cli *c, struct err *err)
{
    Qmn__V1__TopEdges *out;
    const struct client_call call = {
        "GET", cli_query(c, "/v1/edges/top"), NULL, &qmn__v1__top_edges__descriptor, NULL, 0};
    TRY(cli_send(c, &call, &out, err));
    if (out)
        print_edges(c, out->edges, out->n_edges);
    return QMN_OK;
}

enum qmn_code cmd_edges_of(struct cli *c, struct err *err)
{
    Qmn__V1__EdgeList *out;
    const char *path = cli_query(c, cli_path(c, "/v1/edges/%s", c->args[0]));
    const struct client_call call = {"GET", path, NULL, &qmn__v1__edge_list__descriptor, NULL, 0};
    TRY(cli_send(c, &call, &out, err));
    if (out)
        print_edges(c, out->edges, out->n_edges);
    return QMN_OK;
}

enum qmn_code cmd_edges_stats(struct cli *c, struct err *err)
{
    Qmn__V1__EdgeStats *out;
    const struct client_call call = {
        "GET", "/v1/edges/stats", NULL, &qmn__v1__edge_stats__descriptor, NULL, 0};
    TRY(cli_send(c, &call, &out, err));
    if (out)
        cli_print(c,
                  "%llu edges, weight %.4f on average (from %.4f to %.4f, deviation %.4f)\n"
                  "per edge on average: success %.2f, failure %.2f\n",
                  (unsigned long long)out->total_edges, out->avg_weight, out->min_weight,
                  out->max_weight, out->stddev_weight, out->avg_success, out->avg_decay);
    return QMN_OK;
}

enum qmn_code cmd_edges_prune(struct cli *c, struct err *err)
{
    Qmn__V1__PruneEdgesResponse *out;
    const struct client_call call = {"POST", cli_query(c, "/v1/edges:prune"),
                                     NULL,   &qmn__v1__prune_edges_response__descriptor,
                                     NULL,   0};
    TRY(cli_send(c, &call, &out, err));
    if (out)
        cli_print(c, "%llu edges below %g removed\n", (unsigned long long)out->pruned,
                  out->threshold);
    return QMN_OK;
}

enum qmn_code cmd_edges_decay(struct cli *c, struct err *err)
{
    Qmn__V1__DecayEdgesResponse *out;
    const struct client_call call = {
        "POST", "/v1/edges:decay", NULL, &qmn__v1__decay_edges_response__descriptor, NULL, 0};
    TRY(cli_send(c, &call, &out, err));
    if (out)
        cli_print(c,
                  "%llu idle edges have relaxed, %llu of them were back at the prior and are "
                  "removed\n",
                  (unsigned long long)out->decayed, (unsigned long long)out->deleted);
    return QMN_OK;
}
