/* SPDX-License-Identifier: MIT
 *
 * Keys: making, listing, validating.  Rotation and revocation stand in key_changes.c.
 *
 * A key is made on the loop, text and MAC and all; the writer only stores the row.  Its text lives
 * in the arena of the request that made it and nowhere else: a repeat under the same
 * Idempotency-Key gets everything but the text. */
#include "engine/control_priv.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    KEY_RATE_DEFAULT = 1000,
    KEY_DAYS_MAX = 36500, /* a hundred years; "never" is 0 */
    DAY_MS = 24 * 3600 * 1000,
    KEYS_MAX = 1000,  /* usable ones of a tenant: some for each of its services and people */
    KEYS_KEPT = 4000, /* with those that ended; beyond, the one that ended first is forgotten */
};

/* What a key may do when its maker does not say: all of a member's work, nothing of an
 * administrator's. */
static const uint32_t default_scopes =
    (SCOPE_BIT(SCOPE_COUNT) - 1) & ~(SCOPE_BIT(SCOPE_ADMIN) | SCOPE_BIT(SCOPE_TENANT_ADMIN));

struct bytes scopes_pack(struct arena *arena, uint32_t bits)
{
    char *names[SCOPE_COUNT];
    size_t n = 0;
    for (unsigned s = 0; s < SCOPE_COUNT; s++)
        if (bits & SCOPE_BIT(s))
            names[n++] = (char *)(uintptr_t)scope_name((enum scope)s);
    return n ? textlist_pack(arena, names, n) : bytes_of("", 0);
}

static enum qmn_code unknown_scope(struct bytes text, struct err *err)
{
    char names[240];
    size_t len = 0;
    for (unsigned s = 0; s < SCOPE_COUNT; s++) {
        const char *name = scope_name((enum scope)s);
        size_t n = strlen(name);
        if (len + n + 2 >= sizeof names)
            break;
        memcpy(names + len, name, n);
        memcpy(names + len + n, ", ", 2);
        len += n + 2;
    }
    return err_field(err, QMN_E_INVALID, "scopes", "\"%.*s\" is no scope; expected some of %.*s",
                     text.len > 40 ? 40 : BYTES_FMT(text), (int)(len - 2), names);
}

/* The bits of a list of names, without what they imply.  "*" is the default set. */
static enum qmn_code scopes_of(struct bytes list, uint32_t *ret, struct err *err)
{
    uint32_t bits = 0;
    struct bytes text;
    while (textlist_next(&list, &text)) {
        enum scope s = scope_parse(text);
        if (bytes_is(text, "*"))
            bits |= default_scopes;
        else if (s == SCOPE_COUNT)
            return unknown_scope(text, err);
        else
            bits |= SCOPE_BIT(s);
    }
    *ret = bits;
    return QMN_OK;
}

static enum qmn_code agents_grantable(const struct caller *caller, struct bytes agents,
                                      struct err *err)
{
    if (!caller->agent_ids.len)
        return QMN_OK;
    struct bytes each;
    if (!agents.len)
        return err_field(err, QMN_E_FORBIDDEN, "agent_ids",
                         "this key is bound to agents and can grant only keys bound to some of "
                         "them; name those");
    while (textlist_next(&agents, &each))
        if (!textlist_has(caller->agent_ids, each))
            return err_field(err, QMN_E_FORBIDDEN, "agent_ids",
                             "this key may not act as agent \"%.*s\" and cannot grant it",
                             each.len > 100 ? 100 : BYTES_FMT(each));
    return QMN_OK;
}

enum qmn_code key_grantable(const struct caller *caller, const struct tenant *t,
                            const struct record_key *row, struct err *err)
{
    uint32_t bits = 0;
    TRY(scopes_of(row->scopes, &bits, err));
    uint32_t lacking = bits & ~caller->scopes;
    for (unsigned s = 0; s < SCOPE_COUNT; s++)
        if (lacking & SCOPE_BIT(s))
            return err_field(err, QMN_E_FORBIDDEN, "scopes",
                             "this key lacks the scope %s and cannot grant it",
                             scope_name((enum scope)s));
    if ((bits & SCOPE_BIT(SCOPE_ADMIN)) && !bytes_is(t->record->id, SYSTEM_TENANT_ID))
        return err_field(err, QMN_E_FORBIDDEN, "scopes",
                         "keys with the scope admin belong to tenant \"" SYSTEM_TENANT_ID
                         "\", this one would be of \"%.*s\"",
                         BYTES_FMT(t->record->id));
    if (row->clearance > (int64_t)caller->clearance)
        return err_field(err, QMN_E_FORBIDDEN, "clearance",
                         "this key is cleared for %s and cannot grant %s",
                         label_name(sensitivity_names, caller->clearance),
                         label_name(sensitivity_names, (uint32_t)row->clearance));
    return agents_grantable(caller, row->agent_ids, err);
}

enum qmn_code key_fill(struct engine *e, struct arena *arena, struct bytes text,
                       struct record_key *row, struct err *err)
{
    struct apikey parts;
    struct apikey_mac mac;
    if (!apikey_parse(text, &parts))
        return err_set(err, QMN_E_INTERNAL, "a new key does not parse");
    TRY(apikey_mac(&e->pepper, parts.secret, &mac, err));
    struct bytes id = arena_bytes(arena, parts.id);
    struct bytes kept = arena_bytes(arena, bytes_of(mac.b, sizeof mac.b));
    if (!id.ptr || !kept.ptr)
        return err_nomem(err);
    row->id = id;
    row->mac = kept;
    return QMN_OK;
}

enum qmn_code key_make(struct engine *e, struct arena *arena, struct apikey_text *ret_text,
                       struct record_key *row, struct err *err)
{
    apikey_make(e->key_env, ret_text);
    return key_fill(e, arena, bytes_cstr(ret_text->text), row, err);
}

/* ---- description ---- */

static const char *key_status(const struct record_key *row, int64_t now_ms)
{
    if (row->revoked_ms)
        return "revoked";
    return row->expires_ms && row->expires_ms <= now_ms ? "expired" : "active";
}

enum qmn_code key_describe(const struct key *k, int64_t now_ms, struct arena *arena,
                           struct key_out *ret, struct err *err)
{
    struct record_key row;
    struct bytes tenant_id = arena_bytes(arena, k->tenant->record->id);
    if (!record_copy(RECORD_KEY, k->record, arena, &row) || !tenant_id.ptr)
        return err_nomem(err);
    *ret = (struct key_out){
        .id = row.id,
        .tenant_id = tenant_id,
        .name = row.name,
        .scopes = row.scopes,
        .agent_ids = row.agent_ids,
        .rate_per_minute = (uint32_t)row.rate_per_minute,
        .clearance = (uint32_t)row.clearance,
        .status = key_status(&row, now_ms),
        .created_ms = row.created_ms,
        .expires_ms = row.expires_ms,
        .last_used_ms = atomic_load_explicit(&k->last_used_ms, memory_order_relaxed),
    };
    return QMN_OK;
}

enum qmn_code key_describe_id(struct engine *e, struct bytes id, struct arena *arena,
                              struct key_out *ret, struct err *err)
{
    pthread_rwlock_rdlock(&e->net.lock);
    const struct key *k = network_key(&e->net, id);
    enum qmn_code code = k ? key_describe(k, engine_now(e), arena, ret, err)
                           : err_set(err, QMN_E_NOT_FOUND, "there is no such key");
    pthread_rwlock_unlock(&e->net.lock);
    return code;
}

enum qmn_code key_of_caller(const struct engine *e, const struct caller *caller, struct bytes id,
                            struct key **ret, struct err *err)
{
    struct key *k = network_key(&e->net, id);
    bool visible = k && (k->tenant->record->no == caller->tenant_no ||
                         caller_is(caller, SCOPE_ADMIN) || bytes_equal(id, caller->key_id));
    if (!visible)
        return err_set(err, QMN_E_NOT_FOUND, "there is no such key");
    *ret = k;
    return QMN_OK;
}

/* ---- room ---- */

/* INT64_MAX: it is usable. */
static int64_t ended_at(const struct record_key *row, int64_t now_ms)
{
    if (row->expires_ms && row->expires_ms <= now_ms &&
        (!row->revoked_ms || row->expires_ms < row->revoked_ms))
        return row->expires_ms;
    return row->revoked_ms ? row->revoked_ms : INT64_MAX;
}

enum qmn_code key_room(struct engine *e, struct command *cmd, struct tenant *t, bool one_more,
                       struct key **ret_forgotten, struct err *err)
{
    int64_t first = INT64_MAX;
    struct key *oldest = NULL;
    uint32_t count = 0;
    *ret_forgotten = NULL;
    if (t->key_count + LIMIT_GROUP <= KEYS_MAX)
        return QMN_OK; /* whatever else this group makes */
    if (!writer_claim(e, cmd, RECORD_KEY, bytes_hash(BYTES_LIT("room"), (uint64_t)t->record->no)))
        return QMN_OK;
    for (struct key *k = t->keys; k; k = k->sibling) {
        int64_t at = ended_at(k->record, writer_now_ms(e));
        count += at == INT64_MAX;
        if (at < first) {
            first = at;
            oldest = k;
        }
    }
    if (one_more && count >= KEYS_MAX)
        return err_set(err, QMN_E_CONFLICT,
                       "this tenant has %u usable keys, and %d is the most; revoke some first",
                       count, KEYS_MAX);
    if (t->key_count < KEYS_KEPT || !oldest ||
        !writer_claim(e, cmd, RECORD_KEY, bytes_hash(oldest->record->id, 0)))
        return QMN_OK;
    writer_add(e, MUT_DELETE, RECORD_KEY, oldest->record);
    *ret_forgotten = oldest;
    return QMN_OK;
}

/* ---- creation ---- */

struct key_creation {
    struct command cmd;
    struct key *forgotten;
    struct record_key row;
    struct apikey_text text;
    struct bytes tenant_id, detail;
    struct key *made;
    struct key_kept {
        int64_t created_ms;
        char id[APIKEY_ID_CHARS];
    } kept; /* with the request, all that a repeat is answered from */
    struct key_out *out;
};

static struct key_creation *creation_of(struct command *c)
{
    return CONTAINER_OF(c, struct key_creation, cmd);
}

static enum qmn_code creation_check(struct engine *e, struct command *c, struct err *err)
{
    struct key_creation *op = creation_of(c);
    TRY(control_active(c->tenant, err));
    TRY(key_room(e, c, c->tenant, true, &op->forgotten, err));
    if (c->defer)
        return QMN_OK;
    if (!network_grow_keys(&e->net, LIMIT_GROUP))
        return err_nomem(err);
    op->made = key_new(c->tenant, &op->row);
    if (!op->made)
        return err_nomem(err);
    writer_add(e, MUT_INSERT, RECORD_KEY, &op->row);
    writer_audit(e, c->tenant, c->call->caller, "key.create", op->row.id, op->detail);
    op->kept.created_ms = op->row.created_ms;
    memcpy(op->kept.id, op->row.id.ptr, sizeof op->kept.id);
    c->idem_result = bytes_of(&op->kept, sizeof op->kept);
    c->idem_status = 201;
    return QMN_OK;
}

static void creation_publish(struct engine *e, struct command *c)
{
    struct key_creation *op = creation_of(c);
    if (op->forgotten)
        network_remove_key(&e->net, op->forgotten);
    network_add_key(&e->net, TAKE(op->made));
}

static void creation_discard(struct engine *e, struct command *c)
{
    (void)e;
    key_free(TAKE(creation_of(c)->made));
}

static enum qmn_code creation_finish(struct engine *e, struct command *c, struct err *err)
{
    (void)e;
    (void)err;
    struct key_creation *op = creation_of(c);
    *op->out = (struct key_out){
        .id = op->row.id,
        .tenant_id = op->tenant_id,
        .name = op->row.name,
        .scopes = op->row.scopes,
        .agent_ids = op->row.agent_ids,
        .rate_per_minute = (uint32_t)op->row.rate_per_minute,
        .clearance = (uint32_t)op->row.clearance,
        .status = "active",
        .created_ms = op->row.created_ms,
        .expires_ms = op->row.expires_ms,
        .secret = bytes_cstr(op->text.text),
    };
    return QMN_OK;
}

static enum qmn_code creation_replay(struct engine *e, struct command *c, struct bytes result,
                                     struct err *err)
{
    struct key_creation *op = creation_of(c);
    struct key_kept kept;
    apikey_text_wipe(&op->text);
    if (result.len != sizeof kept)
        return err_set(err, QMN_E_CORRUPT, "a stored idempotent answer has the wrong length");
    memcpy(&kept, result.ptr, sizeof kept);
    struct bytes id = bytes_of(result.ptr + offsetof(struct key_kept, id), sizeof kept.id);
    enum qmn_code code = key_describe_id(e, id, c->call->arena, op->out, err);
    if (code != QMN_E_NOT_FOUND)
        return code;
    /* it ended, and so many after it that it was forgotten */
    int64_t term = op->row.expires_ms ? op->row.expires_ms - op->row.created_ms : 0;
    (void)creation_finish(e, c, err);
    op->out->id = id;
    op->out->secret = bytes_of(NULL, 0);
    op->out->status = "revoked";
    op->out->created_ms = kept.created_ms;
    op->out->expires_ms = term ? kept.created_ms + term : 0;
    return QMN_OK;
}

static const struct command_ops creation_ops = {
    .name = "key.create",
    .check = creation_check,
    .publish = creation_publish,
    .finish = creation_finish,
    .replay = creation_replay,
    .discard = creation_discard,
};

/* The JSON object the audit keeps of a new key. */
static struct bytes creation_detail(struct arena *arena, uint32_t bits,
                                    const struct record_key *row)
{
    char names[320] = "";
    size_t len = 0;
    for (unsigned s = 0; s < SCOPE_COUNT; s++)
        if ((bits & SCOPE_BIT(s)) && len < sizeof names)
            len += (size_t)snprintf(names + len, sizeof names - len, "%s\"%s\"", len ? "," : "",
                                    scope_name((enum scope)s));
    return bytes_cstr(arena_printf(arena,
                                   "{\"scopes\":[%s],\"clearance\":\"%s\",\"rate_limit_per_"
                                   "minute\":%lld,\"bound_agents\":%zu}",
                                   names, label_name(sensitivity_names, (uint32_t)row->clearance),
                                   (long long)row->rate_per_minute,
                                   textlist_count(row->agent_ids)));
}

static enum qmn_code check_input(const struct key_in *in, struct err *err)
{
    struct bytes rest = in->agent_ids, each;
    if (textlist_count(rest) > LIMIT_KEY_AGENTS)
        return err_field(err, QMN_E_INVALID, "agent_ids", "%zu agents came; expected at most %d",
                         textlist_count(rest), LIMIT_KEY_AGENTS);
    while (textlist_next(&rest, &each))
        if (!control_id_valid(each))
            return err_field(err, QMN_E_INVALID, "agent_ids",
                             "an agent id of %zu bytes came; expected 1 to %d printable characters",
                             each.len, LIMIT_ID_CHARS);
    if (in->expires_in_days > KEY_DAYS_MAX)
        return err_field(err, QMN_E_INVALID, "expires_in_days",
                         "%u came; expected 1 to %d, or nothing for a key that does not expire",
                         in->expires_in_days, KEY_DAYS_MAX);
    if (in->clearance > LABEL_SECRET)
        return err_field(err, QMN_E_INVALID, "clearance",
                         "expected public, internal, "
                         "confidential or secret");
    return QMN_OK;
}

/* Everything of the row but id and MAC. */
static enum qmn_code fill_row(struct engine *e, const struct call *c, const struct key_in *in,
                              struct key_creation *op, struct err *err)
{
    uint32_t bits = 0;
    TRY(check_input(in, err));
    TRY(scopes_of(in->scopes, &bits, err));
    /* the default set, whether left to us or asked for by "*", is what the caller has of it */
    if (!in->scopes.len)
        bits = default_scopes;
    if (!in->scopes.len || textlist_has(in->scopes, BYTES_LIT("*")))
        bits &= c->caller->scopes | ~default_scopes;
    int64_t now = engine_now(e);
    op->row = (struct record_key){
        .tenant_no = op->cmd.tenant->record->no,
        .name = in->name,
        .scopes = scopes_pack(c->arena, bits),
        .agent_ids = in->agent_ids,
        .clearance = in->clearance ? in->clearance : LABEL_INTERNAL,
        .rate_per_minute = in->rate_per_minute ? in->rate_per_minute : KEY_RATE_DEFAULT,
        .created_ms = now,
        .expires_ms = in->expires_in_days ? now + (int64_t)in->expires_in_days * DAY_MS : 0,
        .rotated_to = bytes_of("", 0),
    };
    op->detail = creation_detail(c->arena, bits, &op->row);
    if (!op->row.scopes.ptr || !op->detail.ptr)
        return err_nomem(err);
    return key_grantable(c->caller, op->cmd.tenant, &op->row, err);
}

static enum qmn_code creation_prepare(struct engine *e, struct call *c, const struct key_in *in,
                                      struct key_creation *op)
{
    pthread_rwlock_rdlock(&e->net.lock);
    enum qmn_code code = control_tenant(e, c->caller, in->tenant_id, &op->cmd.tenant, &c->err);
    if (code == QMN_OK) {
        op->tenant_id = arena_bytes(c->arena, op->cmd.tenant->record->id);
        code = op->tenant_id.ptr ? fill_row(e, c, in, op, &c->err) : err_nomem(&c->err);
    }
    pthread_rwlock_unlock(&e->net.lock);
    return code == QMN_OK ? key_make(e, c->arena, &op->text, &op->row, &c->err) : code;
}

void engine_create_key(struct engine *e, struct call *c, const struct key_in *in,
                       struct key_out *out)
{
    struct key_creation *op = arena_new(c->arena, struct key_creation);
    if (!op) {
        call_finish(c, err_nomem(&c->err));
        return;
    }
    op->cmd.ops = &creation_ops;
    op->out = out;
    enum qmn_code code = creation_prepare(e, c, in, op);
    if (code == QMN_OK)
        writer_submit(e, c, &op->cmd);
    else
        call_finish(c, code);
}

/* ---- listing ---- */

static int compare_made(const void *a, const void *b)
{
    const struct record_key *x = (*(const struct key *const *)a)->record,
                            *y = (*(const struct key *const *)b)->record;
    if (x->created_ms != y->created_ms)
        return x->created_ms < y->created_ms ? -1 : 1;
    return bytes_compare(x->id, y->id);
}

static enum qmn_code list_locked(struct engine *e, struct call *c, struct bytes tenant_id,
                                 uint32_t limit, uint32_t offset, struct keys_out *out)
{
    struct tenant *t;
    TRY(control_tenant(e, c->caller, tenant_id, &t, &c->err));
    size_t count = 0, rest = t->key_count > offset ? t->key_count - offset : 0;
    size_t most = rest < limit ? rest : limit;
    const struct key **all = arena_array(c->arena, const struct key *, t->key_count + 1);
    struct key_out *list = arena_array(c->arena, struct key_out, most + 1);
    if (!all || !list)
        return err_nomem(&c->err);
    int64_t now = engine_now(e);
    for (const struct key *k = t->keys; k; k = k->sibling)
        all[count++] = k;
    qsort(all, count, sizeof(const struct key *), compare_made);
    for (size_t i = 0; i < most; i++)
        TRY(key_describe(all[offset + i], now, c->arena, &list[i], &c->err));
    *out = (struct keys_out){.keys = list, .count = most};
    return QMN_OK;
}

void engine_list_keys(struct engine *e, struct call *c, struct bytes tenant_id, uint32_t limit,
                      uint32_t offset, struct keys_out *out)
{
    pthread_rwlock_rdlock(&e->net.lock);
    enum qmn_code code = list_locked(e, c, tenant_id, limit, offset, out);
    pthread_rwlock_unlock(&e->net.lock);
    call_finish(c, code);
}

/* ---- validation ---- */

static bool is_valid(const struct key *k, const struct apikey_mac *mac, const struct caller *caller,
                     int64_t now_ms)
{
    return k && apikey_mac_equal(mac, k->record->mac) && !k->record->revoked_ms &&
           (!k->record->expires_ms || k->record->expires_ms > now_ms) &&
           k->tenant->record->status == TENANT_ACTIVE &&
           (k->tenant->record->no == caller->tenant_no || caller_is(caller, SCOPE_ADMIN));
}

static enum qmn_code validate(struct engine *e, struct call *c, struct bytes key_text,
                              struct key_validity *out)
{
    struct apikey parts;
    struct apikey_mac mac;
    *out = (struct key_validity){.valid = false};
    if (!apikey_parse(key_text, &parts))
        return QMN_OK;
    TRY(apikey_mac(&e->pepper, parts.secret, &mac, &c->err));
    int64_t now = engine_now(e);
    enum qmn_code code = QMN_OK;
    pthread_rwlock_rdlock(&e->net.lock);
    const struct key *k = network_key(&e->net, parts.id);
    if (is_valid(k, &mac, c->caller, now)) {
        code = key_describe(k, now, c->arena, &out->key, &c->err);
        out->valid = code == QMN_OK;
    }
    pthread_rwlock_unlock(&e->net.lock);
    return code;
}

void engine_validate_key(struct engine *e, struct call *c, struct bytes key_text,
                         struct key_validity *out)
{
    call_finish(c, validate(e, c, key_text, out));
}
