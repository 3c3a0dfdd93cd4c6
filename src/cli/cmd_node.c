/* SPDX-License-Identifier: MIT
 *
 * node, audit, policy, backup, restore, bootstrap, completion. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli_priv.h"
#include "qmn/v1/identity.pb-c.h"
#include "qmn/v1/node.pb-c.h"
#include "qmn/v1/reinforcement.pb-c.h"

/* ---- node ---- */

/* An unhealthy node answers 503 with the same document; the client reports that as an error, whose
 * text stands for it. */
static enum qmn_code get_health(struct cli *c, const char *service, Qmn__V1__Health **ret,
                                struct err *err)
{
    const char *path = service ? cli_path(c, "/%s/health", service) : "/health";
    const struct client_call call = {"GET", path, NULL, &qmn__v1__health__descriptor, NULL, 0};
    return cli_send(c, &call, ret, err);
}

static void print_health(struct cli *c, const Qmn__V1__Health *h)
{
    bool healthy = h->status && strcmp(h->status, "healthy") == 0;
    cli_print(c, "%s%s" S_OFF "  %s, version %s, region %s, at %s\n", healthy ? S_GREEN : S_RED,
              cli_or(h->status, "?"), c->url, cli_or(h->version, "?"), cli_or(h->region, "?"),
              cli_time(c, h->timestamp));
}

enum qmn_code cmd_node_health(struct cli *c, struct err *err)
{
    Qmn__V1__Health *h;
    struct table t;
    TRY(get_health(c, c->arg_count ? c->args[0] : NULL, &h, err));
    if (!h)
        return QMN_OK;
    print_health(c, h);
    TABLE(&t, c, "CHECK", "*RESULT");
    for (size_t i = 0; i < h->n_checks; i++) {
        const char *value = cli_or(h->checks[i]->value, "?");
        table_cell(&t, "%s", cli_or(h->checks[i]->key, "?"));
        table_cell(&t, "%s%s", strcmp(value, "ok") == 0 ? S_GREEN : S_RED, value);
    }
    table_end(&t, "no checks");
    return QMN_OK;
}

/* The value of an exposition line "name 12" or "name{...} 12"; sums over labels. */
static double metric(struct bytes text, const char *name)
{
    double sum = 0;
    size_t len = strlen(name);
    for (const char *p = text.ptr, *end = p + text.len; p < end;) {
        const char *line_end = memchr(p, '\n', (size_t)(end - p));
        line_end = line_end ? line_end : end;
        size_t n = (size_t)(line_end - p);
        if (n > len + 1 && memcmp(p, name, len) == 0 && (p[len] == ' ' || p[len] == '{')) {
            const char *blank = memrchr(p, ' ', n);
            char number[40] = "";
            if (blank && (size_t)(line_end - blank) < sizeof number)
                memcpy(number, blank + 1, (size_t)(line_end - blank) - 1);
            sum += strtod(number, NULL);
        }
        p = line_end + 1;
    }
    return sum;
}

static enum qmn_code get_metrics(struct cli *c, struct bytes *ret, struct err *err)
{
    struct client_answer answer;
    const struct client_call call = {"GET", "/metrics", NULL, NULL, NULL, 0};
    TRY(cli_connect(c, err));
    TRY(client_send(c->client, &call, &c->arena, &answer, err));
    *ret = answer.body;
    return QMN_OK;
}

enum qmn_code cmd_node_metrics(struct cli *c, struct err *err)
{
    struct bytes text;
    TRY(get_metrics(c, &text, err));
    (void)fwrite(text.ptr, 1, text.len, stdout);
    return QMN_OK;
}

enum qmn_code cmd_node_status(struct cli *c, struct err *err)
{
    Qmn__V1__Health *h;
    struct bytes m;
    struct err quiet = {0};
    TRY(get_health(c, NULL, &h, err));
    if (!h)
        return QMN_OK;
    print_health(c, h);
    if (get_metrics(c, &m, &quiet) != QMN_OK)
        return QMN_OK; /* health is for everybody, numbers may need a key */
    double started = metric(m, "process_start_time_seconds");
    cli_print(c, S_DIM "  running since" S_OFF "  %s (%s)\n",
              cli_time(c, (int64_t)(started * 1000)), cli_when(c, (int64_t)(started * 1000)));
    cli_print(c, S_DIM "  requests     " S_OFF "  %.0f\n", metric(m, "qmn_http_requests_total"));
    cli_print(c, S_DIM "  nutrients    " S_OFF "  %.0f, delivered %.0f times\n",
              metric(m, "qmn_nutrients_total"), metric(m, "qmn_deliveries_total"));
    cli_print(c, S_DIM "  collects     " S_OFF "  %.0f\n", metric(m, "qmn_collects_total"));
    cli_print(c, S_DIM "  outcomes     " S_OFF "  %.0f\n", metric(m, "qmn_outcomes_total"));
    cli_print(c, S_DIM "  memory       " S_OFF "  %s resident, %.1f s of processor time\n",
              cli_bytes(c, (uint64_t)metric(m, "process_resident_memory_bytes")),
              metric(m, "process_cpu_seconds_total"));
    return QMN_OK;
}

/* ---- backup, restore ---- */

enum qmn_code cmd_backup(struct cli *c, struct err *err)
{
    enum { BACKUP_TIMEOUT_MS = 3600 * 1000 };
    Qmn__V1__BackupRequest *in;
    Qmn__V1__BackupResponse *out;
    TRY(cli_request(c, &qmn__v1__backup_request__descriptor, &in, err));
    if (c->arg_count)
        in->path = (char *)(uintptr_t)c->args[0];
    const struct client_call call = {"POST",    "/v1/node:backup",
                                     &in->base, &qmn__v1__backup_response__descriptor,
                                     NULL,      BACKUP_TIMEOUT_MS};
    TRY(cli_send(c, &call, &out, err));
    if (out)
        cli_print(c,
                  S_GREEN "written" S_OFF "  %s  (%s, %llu rows)\n" S_DIM
                          "keep the pepper file of the data directory too, in another place: "
                          "keys need it" S_OFF "\n",
                  cli_or(out->path, "?"), cli_bytes(c, out->bytes), (unsigned long long)out->rows);
    return QMN_OK;
}

/* Beside this program, or in the PATH. */
static const char *find_daemon(struct cli *c)
{
    char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self);
    const char *slash = n > 0 ? memrchr(self, '/', (size_t)n) : NULL;
    const char *path =
        slash ? arena_printf(&c->arena, "%.*s/qmnd", (int)(slash - self), self) : NULL;
    return path && access(path, X_OK) == 0 ? path : "qmnd";
}

/* The daemon owns the data, so it does the work: becomes it, and returns only if it cannot. */
static enum qmn_code become_daemon(struct cli *c, const char *action, const char *file,
                                   struct err *err)
{
    const char *daemon = cli_text(c, "daemon"), *dir = cli_text(c, "data-dir");
    if (!dir)
        dir = getenv("QMN_DATA_DIR");
    if (!dir || !*dir)
        return cli_usage(c, err, "which data directory?  qmn %s%s --data-dir DIR", c->command->name,
                         file ? " FILE" : "");
    if (!daemon)
        daemon = find_daemon(c);
    char *const argv[] = {(char *)(uintptr_t) "qmnd", (char *)(uintptr_t) "--data-dir",
                          (char *)(uintptr_t)dir,     (char *)(uintptr_t)action,
                          (char *)(uintptr_t)file,    NULL};
    (void)fflush(stdout);
    execvp(daemon, argv);
    return err_set(err, QMN_E_UNAVAILABLE, "cannot run %s: %s; name it with --daemon FILE", daemon,
                   strerror(errno));
}

enum qmn_code cmd_restore(struct cli *c, struct err *err)
{
    return become_daemon(c, "--restore", c->args[0], err);
}

enum qmn_code cmd_bootstrap(struct cli *c, struct err *err)
{
    const char *action = cli_flag(c, "new-pepper")      ? "--new-pepper"
                         : cli_flag(c, "new-admin-key") ? "--new-admin-key"
                                                        : "--bootstrap";
    return become_daemon(c, action, NULL, err);
}

/* ---- audit ---- */

enum qmn_code cmd_audit(struct cli *c, struct err *err)
{
    Qmn__V1__AuditList *out;
    struct table t;
    const struct client_call call = {
        "GET", cli_query(c, "/v1/audit"), NULL, &qmn__v1__audit_list__descriptor, NULL, 0};
    TRY(cli_send(c, &call, &out, err));
    if (!out)
        return QMN_OK;
    TABLE(&t, c, ">SEQ", "WHEN", "KEY", "ACTION", "ON", "*DETAIL");
    for (size_t i = 0; i < out->n_entries; i++) {
        const Qmn__V1__AuditEntry *e = out->entries[i];
        table_cell(&t, "%llu", (unsigned long long)e->seq);
        table_cell(&t, "%s", cli_time(c, e->at));
        table_cell(&t, "%s", cli_or(e->actor, "-"));
        table_cell(&t, S_BOLD "%s", cli_or(e->action, "?"));
        table_cell(&t, "%s", cli_or(e->target, "-"));
        table_cell(&t, "%s", cli_gist(c, e->detail, 400));
    }
    table_end(&t, "nothing recorded");
    return QMN_OK;
}

/* ---- policy ---- */

static void print_policies(struct cli *c, Qmn__V1__Policy *const *list, size_t count)
{
    struct table t;
    TABLE(&t, c, "POLICY", "TYPE", "ON", "NAME", "CHANGED", "*RULES");
    for (size_t i = 0; i < count; i++) {
        const Qmn__V1__Policy *p = list[i];
        table_cell(&t, S_DIM "%s", cli_or(p->id, "?"));
        table_cell(&t, "%s", cli_or(p->policy_type, "?"));
        table_cell(&t, "%s", p->enabled ? S_GREEN "yes" : "no");
        table_cell(&t, S_BOLD "%s", cli_or(p->name, "?"));
        table_cell(&t, "%s", cli_when(c, p->updated_at));
        table_cell(&t, "%s", cli_gist(c, p->rules, 400));
    }
    table_end(&t, "no policies");
}

enum qmn_code cmd_policy_create(struct cli *c, struct err *err)
{
    Qmn__V1__CreatePolicyRequest *in;
    Qmn__V1__Policy *out;
    TRY(cli_request(c, &qmn__v1__create_policy_request__descriptor, &in, err));
    in->name = (char *)(uintptr_t)c->args[0];
    if (!in->policy_type)
        return cli_usage(c, err,
                         "what kind?  Give --type dlp, rbac, abac, rate_limit or "
                         "content_filter");
    const struct client_call call = {
        "POST", "/v1/policies", &in->base, &qmn__v1__policy__descriptor, NULL, 0};
    TRY(cli_send(c, &call, &out, err));
    if (out)
        print_policies(c, &out, 1);
    return QMN_OK;
}

enum qmn_code cmd_policy_list(struct cli *c, struct err *err)
{
    Qmn__V1__PolicyArray *out;
    const struct client_call call = {
        "GET", cli_query(c, "/v1/policies"), NULL, &qmn__v1__policy_array__descriptor, NULL, 0};
    TRY(cli_send(c, &call, &out, err));
    if (out)
        print_policies(c, out->policies, out->n_policies);
    return QMN_OK;
}

enum qmn_code cmd_policy_evaluate(struct cli *c, struct err *err)
{
    Qmn__V1__EvaluatePolicyRequest *in;
    Qmn__V1__EvaluatePolicyResponse *out;
    TRY(cli_request(c, &qmn__v1__evaluate_policy_request__descriptor, &in, err));
    const struct client_call call = {"POST",    "/v1/policies:evaluate",
                                     &in->base, &qmn__v1__evaluate_policy_response__descriptor,
                                     NULL,      0};
    TRY(cli_send(c, &call, &out, err));
    if (out)
        cli_print(c, "%s" S_OFF "  %s%s%s\n  passed: %s\n  failed: %s\n",
                  out->allowed ? S_GREEN "allowed" : S_RED "denied", cli_or(out->reason, ""),
                  out->policy_id ? "  by " : "", cli_or(out->policy_id, ""),
                  cli_join(c, out->checks_passed, out->n_checks_passed),
                  cli_join(c, out->checks_failed, out->n_checks_failed));
    return QMN_OK;
}
