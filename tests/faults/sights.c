/* SPDX-License-Identifier: MIT
 *
 * What can be seen of a tenant from outside: one pipelined burst of reads, boiled down to numbers.
 * The lists are short enough (a new tenant is made before they reach a page) to be counted. */
#include "support/test.h"

#include "world.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/attr.h"

static const char *const names[] = {
#define SIGHT_NAME(name) #name,
    WORLD_SIGHTS(SIGHT_NAME)
#undef SIGHT_NAME
};

const char *sight_name(enum sight s)
{
    return names[s];
}

static long count(const struct answer *a, const char *text)
{
    long n = 0;
    for (const char *p = a->body; (p = strstr(p, text)); p += strlen(text))
        n++;
    return n;
}

/* The sum of all numbers that follow `mark`. */
static long sum(const struct answer *a, const char *mark)
{
    long n = 0;
    for (const char *p = a->body; (p = strstr(p, mark)); p += strlen(mark))
        n += strtol(p + strlen(mark), NULL, 10);
    return n;
}

static void see_usage(struct world *w QMN_UNUSED, const struct answer *a, struct sights *s)
{
    s->n[SEE_nutrients_sent] = sum(a, "\"nutrients_sent\":");
    s->n[SEE_contexts_collected] = sum(a, "\"contexts_collected\":");
    s->n[SEE_nutrients] = sum(a, "\"nutrients\":");
    s->n[SEE_collects] = sum(a, "\"collects\":");
    s->n[SEE_searches] = sum(a, "\"searches\":");
    s->n[SEE_outcomes] = sum(a, "\"outcomes\":");
    s->n[SEE_stores] = sum(a, "\"stores\":");
    s->n[SEE_bytes] = sum(a, "\"bytes\":");
    s->n[SEE_agents] = sum(a, "\"agents\":");
}

static void see_agents(struct world *w QMN_UNUSED, const struct answer *a, struct sights *s)
{
    s->n[SEE_agents_active] = count(a, "\"status\":\"active\"");
    s->n[SEE_agents_suspended] = count(a, "\"status\":\"suspended\"");
    s->n[SEE_inbox_pending] = sum(a, "\"inbox_pending\":");
}

static void see_edges(struct world *w QMN_UNUSED, const struct answer *a, struct sights *s)
{
    s->n[SEE_edges] = count(a, "\"src\":");
    s->n[SEE_edge_outcomes] = sum(a, "\"outcomes\":");
}

static void see_memories(struct world *w QMN_UNUSED, const struct answer *a, struct sights *s)
{
    s->n[SEE_memories] = count(a, "\"agent_id\":");
}

static void see_tasks(struct world *w QMN_UNUSED, const struct answer *a, struct sights *s)
{
    s->n[SEE_tasks] = count(a, "\"title\":");
    s->n[SEE_tasks_running] = count(a, "\"status\":\"running\"");
}

static void see_keys(struct world *w QMN_UNUSED, const struct answer *a, struct sights *s)
{
    s->n[SEE_keys_active] = count(a, "\"status\":\"active\"");
    s->n[SEE_keys_revoked] = count(a, "\"status\":\"revoked\"");
}

static void see_policies(struct world *w QMN_UNUSED, const struct answer *a, struct sights *s)
{
    s->n[SEE_policies] = count(a, "\"policy_type\":");
}

/* Counted on from where the last look ended: the record only grows. */
static void see_audit(struct world *w, const struct answer *a, struct sights *s)
{
    for (const char *p = a->body; (p = strstr(p, "\"seq\":")); p += 6) {
        w->audit_after = strtol(p + 6, NULL, 10);
        w->audit_seen++;
    }
    s->n[SEE_audit] = w->audit_seen;
}

static void see_tenants(struct world *w QMN_UNUSED, const struct answer *a, struct sights *s)
{
    s->n[SEE_tenants] = count(a, "\"plan_tier\":");
    s->n[SEE_tenants_deleted] = count(a, "\"status\":\"deleted\"");
}

static const struct {
    const char *path; /* "%ld": where the audit record was left off */
    bool admin;
    void (*see)(struct world *w, const struct answer *a, struct sights *s);
} reads[] = {
    {"/v1/tenants/$T/usage", false, see_usage},
    {"/v1/agents?limit=1000", false, see_agents},
    {"/v1/edges/top?limit=1000", false, see_edges},
    {"/v1/hyphal/agent/helper?limit=1000", false, see_memories},
    {"/v1/tasks?limit=1000", false, see_tasks},
    {"/v1/keys", false, see_keys},
    {"/v1/policies", false, see_policies},
    {"/v1/audit?limit=1000&after=%ld", false, see_audit},
    {"/v1/tenants?limit=1000", true, see_tenants},
};

static void take(struct world *w, const char *path)
{
    wire_answer(w->wire, w->answer);
    if (w->answer->broken || w->answer->status != 200)
        fail_msg("GET %s: %d %s %s", path, w->answer->status, w->answer->why, w->answer->body);
}

/* Files, not requests: a backup that is there must be whole. */
static void see_backups(struct world *w, struct sights *s)
{
    char folder[96], newest[128];
    struct err err = {0};
    int64_t rows;
    snprintf(folder, sizeof folder, "%s/backups", w->node->dir);
    snprintf(newest, sizeof newest, "%s/b-%08u.db", folder, w->serial);
    DIR *d = opendir(folder);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) {
        const char *dot = strrchr(e->d_name, '.');
        if (dot && !strcmp(dot, ".db"))
            s->n[SEE_backups]++;
        else if (e->d_name[0] != '.') {
            s->n[SEE_litter]++;
            print_message("%s lies in the backup directory\n", e->d_name);
        }
    }
    closedir(d);
    if (access(newest, F_OK) == 0 &&
        store_sqlite_verify(newest, &sealer_identity, &rows, &err) != QMN_OK)
        fail_msg("a backup is not whole: %s", err.text);
}

void world_see(struct world *w, const char *path, const char *text, struct sights *ret)
{
    char request[REQUEST_BYTES], wanted[1024];
    *ret = (struct sights){0};
    for (size_t i = 0; i < ARRAY_LEN(reads); i++) {
        char where[128];
        snprintf(where, sizeof where, "%s", reads[i].path);
        if (reads[i].see == see_audit)
            snprintf(where, sizeof where, "/v1/audit?limit=1000&after=%ld", w->audit_after);
        world_request(w, reads[i].admin ? w->admin : w->key, "GET", where, NULL, NULL, request);
        assert_true(wire_send(w->wire, request));
    }
    for (size_t i = 0; i < ARRAY_LEN(reads); i++) {
        take(w, reads[i].path);
        reads[i].see(w, w->answer, ret);
    }
    if (w->node->sqlite)
        see_backups(w, ret);
    if (!path)
        return;
    world_call(w, w->admin, "GET", path, NULL, 0);
    world_expand(w, text, wanted, sizeof wanted);
    ret->n[SEE_probe] = w->answer->status == 200 && strstr(w->answer->body, wanted);
}

struct sights sights_minus(const struct sights *a, const struct sights *b)
{
    struct sights d;
    for (int i = 0; i < SIGHTS; i++)
        d.n[i] = a->n[i] - b->n[i];
    return d;
}

bool sights_equal(const struct sights *a, const struct sights *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

void sights_print(const struct sights *delta, char *ret, size_t size)
{
    size_t len = 0;
    snprintf(ret, size, "nothing");
    for (int i = 0; i < SIGHTS && len < size; i++)
        if (delta->n[i])
            len += (size_t)snprintf(ret + len, size - len, "%s%s %+ld", len ? ", " : "", names[i],
                                    delta->n[i]);
}

/* ---- shapes ---- */

static bool in_word(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '.' || c == '+' || c == '-';
}

/* Words with a digit in them, and words as long as an id, become '#'. */
static size_t shape(const char *from, const char *end, char *ret, size_t size)
{
    enum { ID_CHARS = 16 };
    size_t len = 0;
    while (from < end && len + 1 < size) {
        size_t n = 0;
        bool digit = false;
        for (; from + n < end && in_word(from[n]); n++)
            digit |= isdigit((unsigned char)from[n]) != 0;
        if (n == 0) {
            ret[len++] = *from++;
        } else if (digit || n >= ID_CHARS) {
            if (len == 0 || ret[len - 1] != '#')
                ret[len++] = '#';
            from += n;
        } else {
            for (; n && len + 1 < size; n--)
                ret[len++] = *from++;
        }
    }
    ret[len] = 0;
    return len;
}

void wire_shape_of(const struct answer *a, char *ret, size_t size)
{
    size_t len = 0;
    for (const char *line = a->head; *line;) {
        const char *end = strstr(line, "\r\n") + 2;
        if (strncasecmp(line, "Date:", 5) != 0)
            len += shape(line, end, ret + len, size - len);
        line = end;
    }
    shape(a->body, a->body + a->body_len, ret + len, size - len);
}
