/* SPDX-License-Identifier: MIT
 *
 * tenant, key. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli_priv.h"
#include "codec/codec.h"
#include "qmn/v1/identity.pb-c.h"
#include "qmn/v1/router.pb-c.h"

/* ---- tenant ---- */

static void print_tenant(struct cli *c, const Qmn__V1__Tenant *t)
{
    cli_print(c, S_BOLD "%s" S_OFF "  %s\n", cli_or(t->id, "?"), cli_or(t->name, ""));
    cli_print(c, S_DIM "  plan     " S_OFF "%s, %s\n", cli_or(t->plan_tier, "?"),
              cli_or(t->status, "?"));
    if (t->has_embedding_dim && t->embedding_dim)
        cli_print(c, S_DIM "  vectors  " S_OFF "%u dimensions%s%s\n", t->embedding_dim,
                  t->vector_space && *t->vector_space ? ", " : "", cli_or(t->vector_space, ""));
    else
        cli_print(c, S_DIM "  vectors  " S_OFF "fixed at first use\n");
    cli_print(c, S_DIM "  created  " S_OFF "%s\n", cli_time(c, t->created_at));
}

static enum qmn_code tenant_call(struct cli *c, const struct client_call *call, struct err *err)
{
    Qmn__V1__Tenant *out;
    TRY(cli_send(c, call, &out, err));
    if (out)
        print_tenant(c, out);
    return QMN_OK;
}

enum qmn_code cmd_tenant_create(struct cli *c, struct err *err)
{
    Qmn__V1__CreateTenantRequest *in;
    TRY(cli_request(c, &qmn__v1__create_tenant_request__descriptor, &in, err));
    in->id = (char *)(uintptr_t)c->args[0];
    if (!in->name)
        in->name = in->id;
    const struct client_call call = {
        "POST", "/v1/tenants", &in->base, &qmn__v1__tenant__descriptor, NULL, 0};
    return tenant_call(c, &call, err);
}

enum qmn_code cmd_tenant_list(struct cli *c, struct err *err)
{
    Qmn__V1__TenantList *out;
    struct table t;
    const struct client_call call = {
        "GET", cli_query(c, "/v1/tenants"), NULL, &qmn__v1__tenant_list__descriptor, NULL, 0};
    TRY(cli_send(c, &call, &out, err));
    if (!out)
        return QMN_OK;
    /* Every measurement leaves a deleted one. */
    bool all = cli_flag(c, "all") || cli_flag(c, "status");
    size_t hidden = 0;
    TABLE(&t, c, "TENANT", "STATUS", "PLAN", ">DIM", "CREATED", "*NAME");
    for (size_t i = 0; i < out->n_tenants; i++) {
        const Qmn__V1__Tenant *x = out->tenants[i];
        if (!all && x->status && strcmp(x->status, "deleted") == 0) {
            hidden++;
            continue;
        }
        bool active = x->status && strcmp(x->status, "active") == 0;
        table_cell(&t, S_BOLD "%s", cli_or(x->id, "?"));
        table_cell(&t, "%s%s", active ? S_GREEN : S_YELLOW, cli_or(x->status, "?"));
        table_cell(&t, "%s", cli_or(x->plan_tier, "?"));
        table_cell(&t, "%u", x->embedding_dim);
        table_cell(&t, "%s", cli_when(c, x->created_at));
        table_cell(&t, "%s", cli_or(x->name, ""));
    }
    table_end(&t, "no tenants");
    if (hidden)
        cli_print(c, S_DIM "%zu deleted, not shown; --all shows them" S_OFF "\n", hidden);
    return QMN_OK;
}

static const char *tenant_arg(const struct cli *c)
{
    return c->arg_count ? c->args[0] : "me";
}

enum qmn_code cmd_tenant_show(struct cli *c, struct err *err)
{
    const struct client_call call = {"GET", cli_path(c, "/v1/tenants/%s", tenant_arg(c)),
                                     NULL,  &qmn__v1__tenant__descriptor,
                                     NULL,  0};
    return tenant_call(c, &call, err);
}

enum qmn_code cmd_tenant_update(struct cli *c, struct err *err)
{
    Qmn__V1__UpdateTenantRequest *in;
    TRY(cli_request(c, &qmn__v1__update_tenant_request__descriptor, &in, err));
    const struct client_call call = {"PATCH",   cli_path(c, "/v1/tenants/%s", c->args[0]),
                                     &in->base, &qmn__v1__tenant__descriptor,
                                     NULL,      0};
    return tenant_call(c, &call, err);
}

/* Asks on a terminal; elsewhere --yes is required.  Looks first: of what is not there, nothing is
 * to be asked. */
static enum qmn_code confirm(struct cli *c, const char *question, struct err *err)
{
    char answer[16] = "";
    struct client_answer there;
    const struct client_call look = {
        "GET", cli_path(c, "/v1/tenants/%s", c->args[0]), NULL, NULL, NULL, 0};
    if (cli_flag(c, "yes"))
        return QMN_OK;
    TRY(cli_connect(c, err));
    TRY(client_send(c->client, &look, &c->arena, &there, err));
    if (!isatty(STDIN_FILENO))
        return cli_usage(c, err, "%s  Say so with --yes", question);
    cli_note(c, "%s [y/N] ", question);
    if (!fgets(answer, sizeof answer, stdin) || (answer[0] != 'y' && answer[0] != 'Y'))
        return err_set(err, QMN_E_CONFLICT, "nothing was changed");
    return QMN_OK;
}

enum qmn_code cmd_tenant_delete(struct cli *c, struct err *err)
{
    const char *question = cli_flag(c, "purge")
                               ? "Delete the tenant and all its data, for good?"
                               : "Close the tenant?  Its keys stop working at once.";
    TRY(confirm(c, question, err));
    const char *path = cli_query(c, cli_path(c, "/v1/tenants/%s", c->args[0]));
    const struct client_call call = {"DELETE", path, NULL, NULL, NULL, 0};
    TRY(cli_send(c, &call, NULL, err));
    if (!c->json)
        cli_print(c, "%s is deleted\n", c->args[0]);
    return QMN_OK;
}

static void usage_row(struct table *t, const char *name, bool has, uint64_t used, bool limited,
                      uint64_t quota)
{
    table_cell(t, "%s", name);
    table_cell(t, has ? "%llu" : "0", (unsigned long long)used);
    table_cell(t, limited ? "%llu" : "unlimited", (unsigned long long)quota);
}

enum qmn_code cmd_tenant_usage(struct cli *c, struct err *err)
{
    Qmn__V1__Usage *out;
    struct table t;
    const struct client_call call = {"GET", cli_path(c, "/v1/tenants/%s/usage", tenant_arg(c)),
                                     NULL,  &qmn__v1__usage__descriptor,
                                     NULL,  0};
    TRY(cli_send(c, &call, &out, err));
    if (!out)
        return QMN_OK;
    Qmn__V1__UsageCounts none = QMN__V1__USAGE_COUNTS__INIT;
    const Qmn__V1__UsageCounts *now = out->current_usage ? out->current_usage : &none;
    const Qmn__V1__UsageCounts *quota = out->quota ? out->quota : &none;
    cli_print(c, S_BOLD "%s" S_OFF "  plan %s; this hour ends %s\n", cli_or(out->tenant_id, "?"),
              cli_or(out->plan_tier, "?"), cli_when(c, out->resets_at));
    TABLE(&t, c, "", ">USED", ">QUOTA");
#define ROW(name, f) usage_row(&t, name, now->has_##f, now->f, quota->has_##f, quota->f)
    ROW("nutrients", nutrients);
    ROW("collects", collects);
    ROW("searches", searches);
    ROW("outcomes", outcomes);
    ROW("memories stored", stores);
    ROW("agents", agents);
    ROW("bytes", bytes);
#undef ROW
    table_end(&t, "");
    cli_print(c,
              S_DIM "since the beginning: %llu nutrients sent, %llu contexts collected" S_OFF "\n",
              (unsigned long long)out->nutrients_sent, (unsigned long long)out->contexts_collected);
    return QMN_OK;
}

/* ---- key ---- */

enum { SCOPES_SHOWN = 4 };

static void print_new_key(struct cli *c, const Qmn__V1__Key *k)
{
    if (k->api_key && *k->api_key)
        cli_print(c, "%s\n", k->api_key);
    else
        cli_note(c, S_YELLOW "the key was made before; its secret is not shown again" S_OFF "\n");
    cli_note(c, S_DIM "key %s of tenant %s, %s" S_OFF "\n", cli_or(k->id, "?"),
             cli_or(k->tenant_id, "?"),
             k->n_scopes <= SCOPES_SHOWN
                 ? cli_join(c, k->scopes, k->n_scopes)
                 : cli_or(arena_printf(&c->arena, "%zu scopes (qmn key list)", k->n_scopes), "?"));
    if (k->api_key && *k->api_key)
        cli_note(c, S_DIM "this is the only time it is shown" S_OFF "\n");
    if (k->old_key_expires_at)
        cli_note(c, S_DIM "the old key %s works until %s" S_OFF "\n", cli_or(k->old_key_id, "?"),
                 cli_time(c, k->old_key_expires_at));
}

enum qmn_code cmd_key_create(struct cli *c, struct err *err)
{
    Qmn__V1__CreateKeyRequest *in;
    Qmn__V1__Key *out;
    TRY(cli_request(c, &qmn__v1__create_key_request__descriptor, &in, err));
    const struct client_call call = {"POST", "/v1/keys", &in->base, &qmn__v1__key__descriptor,
                                     NULL,   0};
    TRY(cli_send(c, &call, &out, err));
    if (out)
        print_new_key(c, out);
    return QMN_OK;
}

enum qmn_code cmd_key_list(struct cli *c, struct err *err)
{
    Qmn__V1__KeyList *out;
    struct table t;
    const char *path = c->arg_count ? cli_path(c, "/v1/keys/%s", c->args[0]) : "/v1/keys";
    const struct client_call call = {
        "GET", cli_query(c, path), NULL, &qmn__v1__key_list__descriptor, NULL, 0};
    TRY(cli_send(c, &call, &out, err));
    if (!out)
        return QMN_OK;
    TABLE(&t, c, "KEY", "STATUS", "TENANT", "NAME", "AGENTS", "USED", "EXPIRES", "*SCOPES");
    for (size_t i = 0; i < out->n_keys; i++) {
        const Qmn__V1__Key *k = out->keys[i];
        bool active = k->status && strcmp(k->status, "active") == 0;
        table_cell(&t, S_BOLD "%s", cli_or(k->id, "?"));
        table_cell(&t, "%s%s", active ? S_GREEN : S_DIM, cli_or(k->status, "?"));
        table_cell(&t, "%s", cli_or(k->tenant_id, "?"));
        table_cell(&t, "%s", cli_or(k->name, "-"));
        table_cell(&t, "%s", k->n_agent_ids ? cli_join(c, k->agent_ids, k->n_agent_ids) : "any");
        table_cell(&t, "%s", cli_when(c, k->last_used_at));
        table_cell(&t, "%s", cli_when(c, k->expires_at));
        table_cell(&t, "%s", cli_join(c, k->scopes, k->n_scopes));
    }
    table_end(&t, "no keys");
    return QMN_OK;
}

enum qmn_code cmd_key_rotate(struct cli *c, struct err *err)
{
    Qmn__V1__RotateKeyRequest *in;
    Qmn__V1__Key *out;
    TRY(cli_request(c, &qmn__v1__rotate_key_request__descriptor, &in, err));
    if (c->arg_count)
        in->key_id = (char *)(uintptr_t)c->args[0];
    const struct client_call call = {
        "POST", "/v1/keys:rotate", &in->base, &qmn__v1__key__descriptor, NULL, 0};
    TRY(cli_send(c, &call, &out, err));
    if (out)
        print_new_key(c, out);
    return QMN_OK;
}

enum qmn_code cmd_key_revoke(struct cli *c, struct err *err)
{
    const struct client_call call = {"POST", cli_path(c, "/v1/keys/%s:revoke", c->args[0]),
                                     NULL,   &qmn__v1__key__descriptor,
                                     NULL,   0};
    Qmn__V1__Key *out;
    TRY(cli_send(c, &call, &out, err));
    if (out)
        cli_print(c, "%s is %s\n", cli_or(out->id, c->args[0]), cli_or(out->status, "revoked"));
    return QMN_OK;
}

/* From standard input only: a key on the command line can be read by everybody on the machine. */
enum qmn_code cmd_key_check(struct cli *c, struct err *err)
{
    char key[512];
    if (!fgets(key, sizeof key, stdin))
        return cli_usage(c, err, "expected a key on standard input");
    key[strcspn(key, "\r\n")] = '\0';
    Qmn__V1__ValidateKeyRequest in;
    Qmn__V1__ValidateKeyResponse *out;
    qmn__v1__validate_key_request__init(&in);
    in.api_key = key;
    const struct client_call call = {"POST",   "/v1/keys:validate",
                                     &in.base, &qmn__v1__validate_key_response__descriptor,
                                     NULL,     0};
    enum qmn_code code = cli_send(c, &call, &out, err);
    explicit_bzero(key, sizeof key);
    TRY(code);
    if (!out)
        return QMN_OK;
    if (!out->valid)
        return err_set(err, QMN_E_UNAUTHENTICATED, "the key given on standard input is not valid");
    cli_print(c, S_GREEN "valid" S_OFF "  key %s of tenant %s, expires %s\n%s\n",
              cli_or(out->key_id, "?"), cli_or(out->tenant_id, "?"), cli_when(c, out->expires_at),
              cli_join(c, out->scopes, out->n_scopes));
    return QMN_OK;
}
