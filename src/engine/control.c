/* SPDX-License-Identifier: MIT
 *
 * The control plane's life: loading its records into the network, starting and stopping; and the
 * helpers its files share.  Loading runs before any other thread exists. */
#include "engine/control_priv.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"

enum { HOUR_MS = 3600 * 1000 };

/* ---- helpers ---- */

static bool names_self(struct bytes id)
{
    return !id.len || bytes_is(id, "me") || bytes_is(id, "None");
}

enum qmn_code control_tenant(const struct engine *e, const struct caller *caller, struct bytes id,
                             struct tenant **ret, struct err *err)
{
    bool self = names_self(id) || bytes_equal(id, caller->tenant_id);
    struct tenant *t = NULL;
    if (self)
        t = network_tenant_no(&e->net, caller->tenant_no);
    else if (caller_is(caller, SCOPE_ADMIN))
        t = network_tenant(&e->net, id);
    if (!t)
        return err_set(err, QMN_E_NOT_FOUND, "there is no tenant \"%.*s\"",
                       id.len > 64 ? 64 : BYTES_FMT(id));
    *ret = t;
    return QMN_OK;
}

enum qmn_code control_active(const struct tenant *t, struct err *err)
{
    if (t->record->status == TENANT_ACTIVE)
        return QMN_OK;
    return err_set(err, QMN_E_FORBIDDEN, "tenant \"%.*s\" is %s", BYTES_FMT(t->record->id),
                   label_name(tenant_status_names, (uint32_t)t->record->status));
}

bool control_grow_text(struct engine *e, struct textmap *m, size_t more)
{
    if (m->cap && m->len + more <= m->cap / 8 * 7)
        return true;
    pthread_rwlock_wrlock(&e->net.lock);
    bool ok = textmap_reserve(m, more);
    pthread_rwlock_unlock(&e->net.lock);
    return ok;
}

bool control_grow_u64(struct engine *e, struct u64map *m, size_t more)
{
    if (m->cap && m->len + more <= m->cap / 8 * 7)
        return true;
    pthread_rwlock_wrlock(&e->net.lock);
    bool ok = u64map_reserve(m, more);
    pthread_rwlock_unlock(&e->net.lock);
    return ok;
}

bool control_id_valid(struct bytes id)
{
    size_t chars = 0;
    for (size_t i = 0; i < id.len; i++) {
        unsigned char c = (unsigned char)id.ptr[i];
        if (c < 0x20 || c == 0x7f)
            return false;
        chars += (c & 0xc0) != 0x80;
    }
    return chars >= 1 && chars <= LIMIT_ID_CHARS;
}

/* ---- loading ---- */

static enum qmn_code load_tenant(void *ctx, const void *record, struct err *err)
{
    struct engine *e = ctx;
    if (!network_grow_tenants(&e->net, 1))
        return err_nomem(err);
    struct tenant *t = tenant_new(e, record);
    if (!t)
        return err_nomem(err);
    t->usage.hour = engine_now(e) / HOUR_MS;
    network_add_tenant(&e->net, t);
    return QMN_OK;
}

/* The tenant of a loaded row.  NULL: a purge was stopped half-way, or the file is damaged; neither
 * should keep the node from starting, and nobody can reach the row. */
static struct tenant *owner(struct engine *e, enum record_kind kind, int64_t tenant_no)
{
    struct tenant *t = network_tenant_no(&e->net, tenant_no);
    if (!t)
        log_warn("stored row without a tenant", LOG_S("kind", record_type(kind)->name),
                 LOG_I("tenant_no", tenant_no));
    return t;
}

static enum qmn_code load_key(void *ctx, const void *record, struct err *err)
{
    struct engine *e = ctx;
    const struct record_key *row = record;
    struct tenant *t = owner(e, RECORD_KEY, row->tenant_no);
    if (!t)
        return QMN_OK;
    if (!network_grow_keys(&e->net, 1))
        return err_nomem(err);
    struct key *k = key_new(t, row);
    if (!k)
        return err_nomem(err);
    network_add_key(&e->net, k);
    return QMN_OK;
}

static enum qmn_code load_policy(void *ctx, const void *record, struct err *err)
{
    struct engine *e = ctx;
    const struct record_policy *row = record;
    struct tenant *t = owner(e, RECORD_POLICY, row->tenant_no);
    if (!t)
        return QMN_OK;
    void *held = record_hold(RECORD_POLICY, row);
    if (!held || !network_grow_array(&e->net, (void **)&t->policies, &t->policy_cap,
                                     t->policy_count + 1, sizeof(struct record_policy *))) {
        mem_free(held);
        return err_nomem(err);
    }
    t->policies[t->policy_count++] = held;
    return QMN_OK;
}

static enum qmn_code load_task(void *ctx, const void *record, struct err *err)
{
    struct engine *e = ctx;
    const struct record_task *row = record;
    struct tenant *t = owner(e, RECORD_TASK, row->tenant_no);
    if (!t)
        return QMN_OK;
    struct record_task *held = record_hold(RECORD_TASK, row);
    if (!held || !tenant_put_task(t, held)) {
        mem_free(held);
        return err_nomem(err);
    }
    return QMN_OK;
}

static void set_usage(struct usage *u, const struct record_usage *row)
{
    u->nutrients = (uint64_t)row->nutrients;
    u->collects = (uint64_t)row->collects;
    u->searches = (uint64_t)row->searches;
    u->outcomes = (uint64_t)row->outcomes;
    u->stores = (uint64_t)row->stores;
    u->bytes = (uint64_t)row->bytes;
}

static enum qmn_code load_usage(void *ctx, const void *record, struct err *err)
{
    (void)err;
    struct engine *e = ctx;
    const struct record_usage *row = record;
    struct tenant *t = network_tenant_no(&e->net, row->tenant_no);
    if (t && row->hour == 0)
        set_usage(&t->usage_total, row);
    else if (t && row->hour == t->usage.hour)
        set_usage(&t->usage, row);
    return QMN_OK;
}

static enum qmn_code load_mark(void *ctx, const void *record, struct err *err)
{
    struct engine *e = ctx;
    const struct record_meta *row = record;
    char text[32];
    if (!bytes_starts(row->name, BYTES_LIT(PURGE_MARK)) || row->name.len >= sizeof text)
        return QMN_OK;
    memcpy(text, row->name.ptr, row->name.len);
    text[row->name.len] = 0;
    int64_t no = strtoll(text + sizeof PURGE_MARK - 1, NULL, 10);
    return purge_remember(e->control->purge, no, bytes_is(row->value, PURGE_DONE)) ? QMN_OK
                                                                                   : err_nomem(err);
}

static void control_free(struct control *c)
{
    if (!c)
        return;
    purge_free(c->purge);
    denied_free(c->denied);
    mem_free(c);
}

static enum qmn_code control_new(struct engine *e, struct err *err)
{
    struct control *c = mem_calloc(1, sizeof *c);
    if (!c)
        return err_nomem(err);
    c->purge = purge_new(e);
    c->denied = denied_new(e);
    if (!c->purge || !c->denied) {
        control_free(c);
        return err_nomem(err);
    }
    e->control = c;
    return QMN_OK;
}

enum qmn_code engine_load_control(struct engine *e, struct err *err)
{
    static const struct {
        enum record_kind kind;
        store_row_fn *row;
    } steps[] = {
        {RECORD_TENANT, load_tenant}, {RECORD_KEY, load_key},     {RECORD_POLICY, load_policy},
        {RECORD_TASK, load_task},     {RECORD_USAGE, load_usage}, {RECORD_META, load_mark},
    };
    if (!apikey_env_valid(e->key_env))
        return err_set(err, QMN_E_INVALID,
                       "the environment of keys is \"%s\"; expected 1 to %d of a-z and 0-9",
                       e->key_env, APIKEY_ENV_CHARS);
    TRY(control_new(e, err));
    for (size_t i = 0; i < ARRAY_LEN(steps); i++)
        TRY(e->store->ops->scan(e->store, steps[i].kind, NULL, steps[i].row, e, err));
    return audit_load(e, err);
}

void engine_start_control(struct engine *e)
{
    purge_start(e->control->purge);
}

void engine_release_control(struct engine *e)
{
    control_free(TAKE(e->control));
}
