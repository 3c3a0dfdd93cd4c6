/* SPDX-License-Identifier: MIT
 *
 * Who calls, and what may he: from a key text to a caller.
 *
 * The order of the checks decides what a stranger learns.  A mistyped key fails its checksum; after
 * that the MAC is computed before the look-up, so that an unknown key id and a wrong secret cost
 * the same and read the same.  Only who has shown the secret hears that a key was revoked or has
 * expired, that its tenant is suspended, or that it was too fast.  The rate is taken before
 * X-Tenant-ID is looked at, so that wrong ones are not free. */
#include "engine/control_priv.h"

static const char *const scope_texts[] = {
#define SCOPE_TEXT(name, text) text,
    ENGINE_SCOPES(SCOPE_TEXT)
#undef SCOPE_TEXT
};

enum scope scope_parse(struct bytes text)
{
    for (unsigned s = 0; s < SCOPE_COUNT; s++)
        if (bytes_is(text, scope_texts[s]))
            return (enum scope)s;
    return SCOPE_COUNT;
}

const char *scope_name(enum scope s)
{
    return (unsigned)s < SCOPE_COUNT ? scope_texts[s] : "";
}

/* The state of one authentication; read lock held while the key is looked at. */
struct attempt {
    struct engine *e;
    const struct apikey_mac *mac;
    struct bytes id, acting; /* key id; X-Tenant-ID */
    int64_t now_ms;
    struct caller caller;
    const char *denied; /* why, for the audit: an authenticated denial */
};

static enum qmn_code check_row(const struct record_key *row, int64_t now_ms, struct err *err)
{
    if (row->revoked_ms)
        return err_set(err, QMN_E_UNAUTHENTICATED, "this key was revoked");
    if (row->expires_ms && row->expires_ms <= now_ms) {
        char when[CLOCK_TEXT_SIZE];
        clock_format(row->expires_ms, when);
        return err_set(err, QMN_E_UNAUTHENTICATED, "this key expired at %s", when);
    }
    return QMN_OK;
}

static enum qmn_code check_key(struct attempt *t, struct key **ret, struct err *err)
{
    static const char nobody[APIKEY_MAC_BYTES];
    struct key *k = network_key(&t->e->net, t->id);
    bool match = apikey_mac_equal(t->mac, k ? k->record->mac : bytes_of(nobody, sizeof nobody));
    if (!k || !match)
        return err_set(err, QMN_E_UNAUTHENTICATED, "this key is not known");
    TRY(check_row(k->record, t->now_ms, err));
    *ret = k;
    return QMN_OK;
}

static enum qmn_code check_status(struct attempt *t, const struct tenant *x, struct err *err)
{
    enum qmn_code code = control_active(x, err);
    if (code != QMN_OK)
        t->denied = "the tenant is not active";
    return code;
}

/* Whom the key acts for. */
static enum qmn_code check_tenant(struct attempt *t, struct key *k, struct tenant **ret,
                                  struct err *err)
{
    struct tenant *x = k->tenant;
    bool own =
        !t->acting.len || bytes_is(t->acting, "None") || bytes_equal(t->acting, x->record->id);
    if (!own && !(k->scopes & SCOPE_BIT(SCOPE_ADMIN))) {
        t->denied = "X-Tenant-ID names another tenant";
        return err_set(err, QMN_E_FORBIDDEN,
                       "X-Tenant-ID is not the tenant of this key; leave it out, or use a key of "
                       "that tenant");
    }
    if (!own) {
        x = network_tenant(&t->e->net, t->acting);
        if (!x)
            return err_set(err, QMN_E_NOT_FOUND, "X-Tenant-ID: there is no such tenant");
        TRY(check_status(t, x, err));
    }
    *ret = x;
    return QMN_OK;
}

static enum qmn_code take_rate(struct attempt *t, struct key *k, struct err *err)
{
    uint32_t rate = (uint32_t)k->record->rate_per_minute;
    struct rate_verdict v = rate_take(&k->tat_us, rate, clock_mono_us());
    t->caller.limit_per_minute = rate;
    t->caller.limit_remaining = v.remaining;
    t->caller.limit_reset_s = v.reset_s;
    if (v.allowed)
        return QMN_OK;
    return err_retry(err, QMN_E_RATE_LIMITED, v.retry_s ? v.retry_s : 1,
                     "this key is limited to %u requests a minute", rate);
}

static bool copy_to(struct arena *arena, struct bytes from, struct bytes *ret)
{
    *ret = arena_bytes(arena, from);
    return ret->ptr != NULL;
}

static enum qmn_code identify(struct attempt *t, struct arena *arena, struct err *err)
{
    struct caller *c = &t->caller;
    struct key *k;
    struct tenant *acting = NULL;
    TRY(check_key(t, &k, err));
    atomic_store_explicit(&k->last_used_ms, t->now_ms, memory_order_relaxed);
    const struct record_key *row = k->record;
    c->tenant_no = c->home_tenant_no = k->tenant->record->no;
    c->scopes = k->scopes;
    c->clearance = (uint32_t)row->clearance;
    if (!copy_to(arena, row->id, &c->key_id) || !copy_to(arena, row->agent_ids, &c->agent_ids))
        return err_nomem(err);
    TRY(check_status(t, k->tenant, err));
    TRY(take_rate(t, k, err));
    TRY(check_tenant(t, k, &acting, err));
    c->tenant_no = acting->record->no;
    return copy_to(arena, acting->record->id, &c->tenant_id) ? QMN_OK : err_nomem(err);
}

enum qmn_code engine_authenticate(struct engine *e, struct bytes key_text, struct bytes tenant,
                                  struct arena *arena, struct caller *ret, struct err *err)
{
    struct apikey parts;
    struct apikey_mac mac;
    if (!apikey_parse(key_text, &parts))
        return err_set(
            err, QMN_E_UNAUTHENTICATED,
            "this is not a key; expected qmn_<env>_<id>_<secret>, complete and unchanged");
    TRY(apikey_mac(&e->pepper, parts.secret, &mac, err));
    struct attempt t = {
        .e = e, .mac = &mac, .id = parts.id, .acting = tenant, .now_ms = engine_now(e)};
    pthread_rwlock_rdlock(&e->net.lock);
    enum qmn_code code = identify(&t, arena, err);
    pthread_rwlock_unlock(&e->net.lock);
    secret_wipe(&mac, sizeof mac);
    if (t.denied)
        engine_audit_denied(e, &t.caller, BYTES_LIT("authenticate"), t.denied);
    if (code == QMN_OK)
        *ret = t.caller;
    else if (code == QMN_E_RATE_LIMITED) { /* the one failure whose answer carries the limits */
        ret->limit_per_minute = t.caller.limit_per_minute;
        ret->limit_remaining = t.caller.limit_remaining;
        ret->limit_reset_s = t.caller.limit_reset_s;
    }
    return code;
}

enum qmn_code engine_still_welcome(const struct engine *e, const struct caller *caller,
                                   struct err *err)
{
    const struct key *k = network_key(&e->net, caller->key_id);
    const struct tenant *acting = network_tenant_no(&e->net, caller->tenant_no);
    if (!k || !acting)
        return err_set(err, QMN_E_UNAUTHENTICATED, "this key is not known");
    TRY(check_row(k->record, engine_now(e), err));
    TRY(control_active(k->tenant, err));
    return control_active(acting, err);
}

int64_t engine_welcome_until(const struct engine *e, const struct caller *caller)
{
    const struct key *k = network_key(&e->net, caller->key_id);
    return k && k->record->expires_ms ? k->record->expires_ms : INT64_MAX;
}
