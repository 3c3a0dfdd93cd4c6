/* SPDX-License-Identifier: MIT
 *
 * Rotation and revocation.
 *
 * A rotation is one transaction: the new key's row, and the old one's with its successor and the
 * end of its grace.  Who rotates another's key gets to hold the new one, so he must hold all it
 * grants; and a key that ends on a day its holder did not choose cannot rotate itself past it. */
#include "engine/control_priv.h"

#include "base/mem.h"
#include "engine/live_priv.h"

struct key_change {
    struct command cmd;
    struct bytes old_id; /* the key that is rotated or revoked */
    uint32_t grace_sec;
    /* rotation */
    struct record_key row; /* of the new key: id, mac, and what check copies */
    struct apikey_text text;
    struct key *made, *forgotten;
    /* the old key's next version, in the making */
    struct record_key *next;
    struct key_out *out;
};

static struct key_change *change_of(struct command *c)
{
    return CONTAINER_OF(c, struct key_change, cmd);
}

static void change_discard(struct engine *e, struct command *c)
{
    (void)e;
    struct key_change *op = change_of(c);
    key_free(TAKE(op->made));
    mem_free(TAKE(op->next));
}

/* Another's key takes the scope over its tenant; one's own does not. */
static enum qmn_code may_change(const struct caller *caller, const struct key *k, struct err *err)
{
    if (bytes_equal(k->record->id, caller->key_id) || caller_is(caller, SCOPE_TENANT_ADMIN))
        return QMN_OK;
    return err_set(err, QMN_E_FORBIDDEN, "this key lacks the scope %s, which another's key takes",
                   scope_name(SCOPE_TENANT_ADMIN));
}

/* Revoking takes less than rotating: who closes a key gets nothing that it grants, and whoever
 * keeps a tenant's keys must be able to close one in wrong hands that was cleared higher than his
 * own. Admin keys are no tenant's matter. */
static enum qmn_code may_end(const struct caller *caller, const struct key *k, struct err *err)
{
    if (!(k->scopes & SCOPE_BIT(SCOPE_ADMIN)) || caller_is(caller, SCOPE_ADMIN) ||
        bytes_equal(k->record->id, caller->key_id))
        return QMN_OK;
    return err_set(err, QMN_E_FORBIDDEN, "revoking an admin key takes the scope %s",
                   scope_name(SCOPE_ADMIN));
}

static bool usable(const struct record_key *row, int64_t now_ms)
{
    return !row->revoked_ms && (!row->expires_ms || row->expires_ms > now_ms);
}

/* ---- rotation ---- */

/* While the key it replaced still works.  A third one then would be a third bucket of requests for
 * who was granted one. */
static const struct key *in_grace(const struct key *k, int64_t now_ms)
{
    for (const struct key *old = k->tenant->keys; old; old = old->sibling)
        if (bytes_equal(old->record->rotated_to, k->record->id) && usable(old->record, now_ms))
            return old;
    return NULL;
}

static enum qmn_code rotatable(const struct key *k, int64_t now_ms, struct err *err)
{
    const struct record_key *row = k->record;
    if (row->revoked_ms)
        return err_set(err, QMN_E_CONFLICT, "this key was revoked; create a new one");
    if (!usable(row, now_ms))
        return err_set(err, QMN_E_CONFLICT, "this key has expired; create a new one");
    if (row->rotated_to.len)
        return err_set(err, QMN_E_CONFLICT, "this key was rotated already, to %.*s",
                       BYTES_FMT(row->rotated_to));
    const struct key *old = in_grace(k, now_ms);
    if (old)
        return err_set(err, QMN_E_CONFLICT,
                       "the grace of the key before this one, %.*s, still runs; revoke that one, "
                       "or wait",
                       BYTES_FMT(old->record->id));
    return QMN_OK;
}

/* An administrator renews the term, anybody else keeps its end. */
static int64_t next_expiry(const struct caller *caller, const struct record_key *old,
                           int64_t now_ms)
{
    if (!old->expires_ms || !caller_is(caller, SCOPE_TENANT_ADMIN))
        return old->expires_ms;
    return now_ms + (old->expires_ms - old->created_ms);
}

static enum qmn_code rotation_rows(struct engine *e, struct key_change *op, struct key *k,
                                   struct err *err)
{
    int64_t now = writer_now_ms(e), grace_end = now + (int64_t)op->grace_sec * 1000;
    struct record_key old = *k->record, fresh = *k->record;
    fresh.id = op->row.id;
    fresh.mac = op->row.mac;
    fresh.created_ms = now;
    fresh.expires_ms = next_expiry(op->cmd.call->caller, k->record, now);
    old.rotated_to = op->row.id;
    if (!old.expires_ms || old.expires_ms > grace_end)
        old.expires_ms = grace_end;
    if (!network_grow_keys(&e->net, LIMIT_GROUP))
        return err_nomem(err);
    op->made = key_new(k->tenant, &fresh);
    op->next = record_hold(RECORD_KEY, &old);
    if (!op->made || !op->next)
        return err_nomem(err);
    writer_add(e, MUT_INSERT, RECORD_KEY, op->made->record);
    writer_add(e, MUT_PUT, RECORD_KEY, op->next);
    return QMN_OK;
}

static enum qmn_code rotation_check(struct engine *e, struct command *c, struct err *err)
{
    struct key_change *op = change_of(c);
    const struct caller *caller = c->call->caller;
    struct key *k;
    if (!writer_claim(e, c, RECORD_KEY, bytes_hash(op->old_id, 0)))
        return QMN_OK;
    TRY(key_of_caller(e, caller, op->old_id, &k, err));
    TRY(control_active(k->tenant, err));
    TRY(may_change(caller, k, err));
    if (!bytes_equal(op->old_id, caller->key_id))
        TRY(key_grantable(caller, k->tenant, k->record, err));
    TRY(rotatable(k, writer_now_ms(e), err));
    TRY(key_room(e, c, k->tenant, false, &op->forgotten, err));
    if (c->defer)
        return QMN_OK;
    TRY(rotation_rows(e, op, k, err));
    char *detail = arena_printf(writer_arena(e), "{\"new_key\":\"%.*s\",\"grace_sec\":%u}",
                                BYTES_FMT(op->row.id), op->grace_sec);
    /* what a repeat needs: both ids, which have one length */
    char *pair =
        arena_printf(writer_arena(e), "%.*s%.*s", BYTES_FMT(op->row.id), BYTES_FMT(k->record->id));
    if (!detail || !pair)
        return err_nomem(err);
    writer_audit(e, k->tenant, caller, "key.rotate", op->old_id, bytes_cstr(detail));
    c->idem_result = bytes_cstr(pair);
    return QMN_OK;
}

/* Who waits with the key is told at once; an admin key may wait anywhere. */
static void wake_users(struct engine *e, const struct key *k)
{
    if (!(k->scopes & SCOPE_BIT(SCOPE_ADMIN))) {
        tenant_wake(k->tenant);
        return;
    }
    for (uint32_t i = 0; i < e->net.tenant_count; i++)
        tenant_wake(e->net.tenants[i]);
}

static void rotation_publish(struct engine *e, struct command *c)
{
    struct key_change *op = change_of(c);
    struct key *old = network_key(&e->net, op->old_id);
    op->made->tat_us = old->tat_us; /* or a rotation would be a way to start afresh */
    if (op->forgotten)
        network_remove_key(&e->net, op->forgotten);
    network_add_key(&e->net, TAKE(op->made));
    key_replace(old, TAKE(op->next));
    wake_users(e, old);
}

/* For a repeat too, which may come when a key that ended has been forgotten: what is known of one
 * such is that. */
static enum qmn_code describe(struct engine *e, struct bytes id, struct arena *arena,
                              struct key_out *ret, struct err *err)
{
    enum qmn_code code = key_describe_id(e, id, arena, ret, err);
    if (code != QMN_E_NOT_FOUND)
        return code;
    *ret = (struct key_out){.id = id, .status = "revoked"};
    return QMN_OK;
}

static enum qmn_code describe_rotation(struct engine *e, struct key_change *op, struct bytes new_id,
                                       struct bytes old_id, struct err *err)
{
    struct arena *arena = op->cmd.call->arena;
    struct key_out old;
    TRY(describe(e, old_id, arena, &old, err));
    TRY(describe(e, new_id, arena, op->out, err));
    op->out->old_key_id = old.id;
    op->out->old_expires_ms = old.expires_ms;
    return QMN_OK;
}

static enum qmn_code rotation_finish(struct engine *e, struct command *c, struct err *err)
{
    struct key_change *op = change_of(c);
    TRY(describe_rotation(e, op, op->row.id, op->old_id, err));
    op->out->secret = bytes_cstr(op->text.text);
    return QMN_OK;
}

static enum qmn_code rotation_replay(struct engine *e, struct command *c, struct bytes result,
                                     struct err *err)
{
    struct key_change *op = change_of(c);
    apikey_text_wipe(&op->text);
    if (result.len != 2 * APIKEY_ID_CHARS)
        return err_set(err, QMN_E_CORRUPT, "the stored answer of this rotation is damaged");
    return describe_rotation(e, op, bytes_of(result.ptr, APIKEY_ID_CHARS),
                             bytes_of(result.ptr + APIKEY_ID_CHARS, APIKEY_ID_CHARS), err);
}

static const struct command_ops rotation_ops = {
    .name = "key.rotate",
    .check = rotation_check,
    .publish = rotation_publish,
    .finish = rotation_finish,
    .replay = rotation_replay,
    .discard = change_discard,
};

/* ---- revocation ---- */

/* A key in grace is on its way out, whatever its end; any other must not end before this one
 * would. */
static bool lasts_like(const struct record_key *other, const struct record_key *row)
{
    return !other->rotated_to.len &&
           (!other->expires_ms || (row->expires_ms && other->expires_ms >= row->expires_ms));
}

/* Nobody could make another one: the first admin key is made only when there is no key at all.
 * Admin keys are all of one tenant. */
static enum qmn_code not_the_last(const struct key *k, int64_t now_ms, struct err *err)
{
    if (!(k->scopes & SCOPE_BIT(SCOPE_ADMIN)) || !usable(k->record, now_ms))
        return QMN_OK;
    for (const struct key *other = k->tenant->keys; other; other = other->sibling)
        if (other != k && (other->scopes & SCOPE_BIT(SCOPE_ADMIN)) &&
            usable(other->record, now_ms) && lasts_like(other->record, k->record))
            return QMN_OK;
    return err_set(err, QMN_E_CONFLICT,
                   "no other admin key would last as long as this one; rotate it with a grace of "
                   "0, or create another one first");
}

static enum qmn_code revocation_check(struct engine *e, struct command *c, struct err *err)
{
    struct key_change *op = change_of(c);
    const struct caller *caller = c->call->caller;
    struct key *k;
    /* admin keys one at a time, or two could each count on the other */
    if (!writer_claim(e, c, RECORD_KEY, bytes_hash(op->old_id, 0)))
        return QMN_OK;
    TRY(key_of_caller(e, caller, op->old_id, &k, err));
    if ((k->scopes & SCOPE_BIT(SCOPE_ADMIN)) && !writer_claim(e, c, RECORD_KEY, 0))
        return QMN_OK;
    TRY(may_change(caller, k, err));
    TRY(may_end(caller, k, err));
    c->idem_result = op->old_id;
    if (k->record->revoked_ms)
        return QMN_OK; /* it is done; the first time counts */
    int64_t now = writer_now_ms(e);
    TRY(not_the_last(k, now, err));
    struct record_key next = *k->record;
    next.revoked_ms = now;
    op->next = record_hold(RECORD_KEY, &next);
    if (!op->next)
        return err_nomem(err);
    writer_add(e, MUT_PUT, RECORD_KEY, op->next);
    writer_audit(e, k->tenant, caller, "key.revoke", op->old_id, BYTES_LIT("{}"));
    return QMN_OK;
}

static void revocation_publish(struct engine *e, struct command *c)
{
    struct key_change *op = change_of(c);
    struct key *k = op->next ? network_key(&e->net, op->old_id) : NULL;
    if (!k)
        return; /* it was revoked before */
    key_replace(k, TAKE(op->next));
    wake_users(e, k);
}

static enum qmn_code revocation_finish(struct engine *e, struct command *c, struct err *err)
{
    struct key_change *op = change_of(c);
    return key_describe_id(e, op->old_id, c->call->arena, op->out, err);
}

static enum qmn_code revocation_replay(struct engine *e, struct command *c, struct bytes result,
                                       struct err *err)
{
    return describe(e, result, c->call->arena, change_of(c)->out, err);
}

static const struct command_ops revocation_ops = {
    .name = "key.revoke",
    .check = revocation_check,
    .publish = revocation_publish,
    .finish = revocation_finish,
    .replay = revocation_replay,
    .discard = change_discard,
};

/* ---- entry ---- */

static struct key_change *change_new(struct engine *e, struct call *c, struct bytes key_id,
                                     const struct command_ops *ops, struct key_out *out)
{
    struct key_change *op = arena_new(c->arena, struct key_change);
    struct bytes id = arena_bytes(c->arena, key_id);
    if (!op || !id.ptr) {
        err_nomem(&c->err);
        return NULL;
    }
    op->cmd.ops = ops;
    op->old_id = id;
    op->out = out;
    pthread_rwlock_rdlock(&e->net.lock);
    op->cmd.tenant = network_tenant_no(&e->net, c->caller->tenant_no);
    pthread_rwlock_unlock(&e->net.lock);
    return op;
}

void engine_rotate_key(struct engine *e, struct call *c, struct bytes key_id, uint32_t grace_sec,
                       struct key_out *out)
{
    struct bytes id = key_id.len ? key_id : c->caller->key_id;
    struct key_change *op = change_new(e, c, id, &rotation_ops, out);
    enum qmn_code code = op ? key_make(e, c->arena, &op->text, &op->row, &c->err) : QMN_E_NOMEM;
    if (code != QMN_OK) {
        call_finish(c, code);
        return;
    }
    op->grace_sec = grace_sec;
    writer_submit(e, c, &op->cmd);
}

void engine_revoke_key(struct engine *e, struct call *c, struct bytes key_id, struct key_out *out)
{
    struct key_change *op = change_new(e, c, key_id, &revocation_ops, out);
    if (op)
        writer_submit(e, c, &op->cmd);
    else
        call_finish(c, QMN_E_NOMEM);
}
