/* SPDX-License-Identifier: MIT
 *
 * Tenants: making, looking, changing, deleting.
 *
 * Another tenant than the caller's is an administrator's business; to anybody else it does not
 * exist. Plan and status are the operator's say even about the caller's own tenant, or quotas would
 * bind nobody.  A deleted tenant keeps its row, so that its id is never given to somebody else. */
#include "engine/control_priv.h"

#include "base/mem.h"
#include "engine/live_priv.h"

enum { TENANT_ID_MIN = 3, TENANT_ID_MAX = 64, HOUR_MS = 3600 * 1000 };

#define EMPTY_OBJECT BYTES_LIT("{}")

static bool tenant_id_valid(struct bytes id)
{
    if (id.len < TENANT_ID_MIN || id.len > TENANT_ID_MAX)
        return false;
    for (size_t i = 0; i < id.len; i++) {
        char c = id.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'))
            return false;
    }
    return true;
}

/* Read lock held. */
static enum qmn_code describe(const struct tenant *t, struct arena *arena, struct tenant_out *ret,
                              struct err *err)
{
    struct record_tenant row;
    if (!record_copy(RECORD_TENANT, t->record, arena, &row))
        return err_nomem(err);
    *ret = (struct tenant_out){
        .id = row.id,
        .name = row.name,
        .kms_key_id = row.kms_key_id,
        .region = row.region,
        .metadata = row.metadata,
        .space = row.space,
        .plan = (uint32_t)row.plan,
        .status = (uint32_t)row.status,
        .dim = (uint32_t)row.dim,
        .created_ms = row.created_ms,
        .updated_ms = row.updated_ms,
    };
    return QMN_OK;
}

static enum qmn_code describe_id(struct engine *e, struct bytes id, struct arena *arena,
                                 struct tenant_out *ret, struct err *err)
{
    pthread_rwlock_rdlock(&e->net.lock);
    const struct tenant *t = network_tenant(&e->net, id);
    enum qmn_code code =
        t ? describe(t, arena, ret, err) : err_set(err, QMN_E_NOT_FOUND, "there is no such tenant");
    pthread_rwlock_unlock(&e->net.lock);
    return code;
}

/* ---- birth ---- */

/* The default agent stands for "whoever holds the key", so the key's clearance alone limits it. */
static struct record_agent default_agent_row(const struct record_tenant *t)
{
    return (struct record_agent){
        .tenant_no = t->no,
        .id = BYTES_LIT(DEFAULT_AGENT_ID),
        .name = BYTES_LIT("Default agent"),
        .description = BYTES_LIT("Acts for callers that name no agent; is never asked."),
        .metadata = EMPTY_OBJECT,
        .region = t->region,
        .status = AGENT_ACTIVE,
        .clearance = LABEL_SECRET,
        .created_ms = t->created_ms,
        .updated_ms = t->created_ms,
    };
}

enum qmn_code tenant_conceive(struct engine *e, struct tenant_birth *b, struct err *err)
{
    struct network *n = &e->net;
    b->row.no = writer_next_no(e);
    b->row.created_ms = b->row.updated_ms = writer_now_ms(e);
    b->row.status = TENANT_ACTIVE;
    b->agent_row = default_agent_row(&b->row);
    b->agent_row.no = writer_next_no(e);
    b->tenant = tenant_new(e, &b->row);
    if (!b->tenant)
        return err_nomem(err);
    b->tenant->usage.hour = b->row.created_ms / HOUR_MS;
    b->agent = agent_new(b->tenant, &b->agent_row);
    if (!b->agent || !network_grow_tenants(n, LIMIT_GROUP) ||
        !network_grow_agents(n, b->tenant, 1) ||
        !control_grow_u64(e, &n->agents_by_no, LIMIT_GROUP))
        return err_nomem(err);
    writer_add(e, MUT_INSERT, RECORD_TENANT, &b->row);
    writer_add(e, MUT_INSERT, RECORD_AGENT, &b->agent_row);
    return QMN_OK;
}

void tenant_born(struct engine *e, struct tenant_birth *b)
{
    network_add_tenant(&e->net, TAKE(b->tenant));
    network_add_agent(&e->net, TAKE(b->agent), NULL);
}

void tenant_unborn(struct tenant_birth *b)
{
    agent_free(TAKE(b->agent));
    tenant_free(TAKE(b->tenant));
}

/* ---- creation ---- */

struct tenant_creation {
    struct command cmd;
    struct tenant_birth birth;
    struct tenant_out *out;
};

static struct tenant_creation *creation_of(struct command *c)
{
    return CONTAINER_OF(c, struct tenant_creation, cmd);
}

static enum qmn_code creation_check(struct engine *e, struct command *c, struct err *err)
{
    struct tenant_creation *op = creation_of(c);
    struct bytes id = op->birth.row.id;
    if (!writer_claim(e, c, RECORD_TENANT, bytes_hash(id, 0)))
        return QMN_OK;
    const struct tenant *old = network_tenant(&e->net, id);
    if (old)
        return err_field(
            err, QMN_E_CONFLICT, "id", "tenant \"%.*s\" exists already%s", BYTES_FMT(id),
            old->record->status == TENANT_DELETED ? " and was deleted; ids are not given out twice"
                                                  : "");
    TRY(tenant_conceive(e, &op->birth, err));
    char *detail = arena_printf(writer_arena(e), "{\"plan_tier\":\"%s\",\"embedding_dim\":%lld}",
                                label_name(plan_tier_names, (uint32_t)op->birth.row.plan),
                                (long long)op->birth.row.dim);
    if (!detail)
        return err_nomem(err);
    writer_audit(e, op->birth.tenant, c->call->caller, "tenant.create", id, bytes_cstr(detail));
    c->idem_result = id;
    c->idem_status = 201;
    return QMN_OK;
}

static void creation_publish(struct engine *e, struct command *c)
{
    tenant_born(e, &creation_of(c)->birth);
}

static void creation_discard(struct engine *e, struct command *c)
{
    (void)e;
    tenant_unborn(&creation_of(c)->birth);
}

static enum qmn_code creation_finish(struct engine *e, struct command *c, struct err *err)
{
    struct tenant_creation *op = creation_of(c);
    return describe_id(e, op->birth.row.id, c->call->arena, op->out, err);
}

static enum qmn_code creation_replay(struct engine *e, struct command *c, struct bytes result,
                                     struct err *err)
{
    return describe_id(e, result, c->call->arena, creation_of(c)->out, err);
}

static const struct command_ops creation_ops = {
    .name = "tenant.create",
    .check = creation_check,
    .publish = creation_publish,
    .finish = creation_finish,
    .replay = creation_replay,
    .discard = creation_discard,
};

static enum qmn_code creation_prepare(const struct call *c, const struct tenant_in *in,
                                      struct err *err)
{
    if (!caller_is(c->caller, SCOPE_ADMIN))
        return err_set(err, QMN_E_FORBIDDEN, "making a tenant takes the scope %s",
                       scope_name(SCOPE_ADMIN));
    if (!tenant_id_valid(in->id))
        return err_field(err, QMN_E_INVALID, "id",
                         "\"%.*s\" came; expected %d to %d of a-z, 0-9 and -",
                         in->id.len > 80 ? 80 : BYTES_FMT(in->id), TENANT_ID_MIN, TENANT_ID_MAX);
    if (in->plan > PLAN_ENTERPRISE)
        return err_field(err, QMN_E_INVALID, "plan_tier", "expected free, pro or enterprise");
    if (in->dim && (in->dim < LIMIT_DIM_MIN || in->dim > LIMIT_DIM_MAX))
        return err_field(err, QMN_E_INVALID, "embedding_dim", "%u came; expected %d to %d", in->dim,
                         LIMIT_DIM_MIN, LIMIT_DIM_MAX);
    return QMN_OK;
}

void engine_create_tenant(struct engine *e, struct call *c, const struct tenant_in *in,
                          struct tenant_out *out)
{
    struct tenant_creation *op = arena_new(c->arena, struct tenant_creation);
    enum qmn_code code = op ? creation_prepare(c, in, &c->err) : err_nomem(&c->err);
    if (code != QMN_OK) {
        call_finish(c, code);
        return;
    }
    op->cmd.ops = &creation_ops;
    op->out = out;
    op->birth.row = (struct record_tenant){
        .id = in->id,
        .name = in->name.len ? in->name : in->id,
        .metadata = in->metadata.len ? in->metadata : EMPTY_OBJECT,
        .kms_key_id = in->kms_key_id,
        .region = in->region,
        .plan = in->plan ? in->plan : PLAN_FREE,
        .dim = in->dim,
    };
    writer_submit(e, c, &op->cmd);
}

/* ---- looking ---- */

void engine_get_tenant(struct engine *e, struct call *c, struct bytes id, struct tenant_out *out)
{
    struct tenant *t;
    pthread_rwlock_rdlock(&e->net.lock);
    enum qmn_code code = control_tenant(e, c->caller, id, &t, &c->err);
    if (code == QMN_OK)
        code = describe(t, c->arena, out, &c->err);
    pthread_rwlock_unlock(&e->net.lock);
    call_finish(c, code);
}

struct tenant_filter {
    uint32_t status, plan;
    int64_t only; /* no; 0: any */
};

static bool passes(const struct tenant *t, const struct tenant_filter *f)
{
    const struct record_tenant *row = t->record;
    return (!f->status || row->status == f->status) && (!f->plan || row->plan == f->plan) &&
           (!f->only || row->no == f->only);
}

static enum qmn_code list_locked(struct engine *e, struct call *c, const struct tenant_filter *f,
                                 uint32_t limit, uint32_t offset, struct tenants_out *out)
{
    const struct network *n = &e->net;
    uint32_t most = limit < n->tenant_count ? limit : n->tenant_count;
    struct tenant_out *list = arena_array(c->arena, struct tenant_out, most);
    size_t count = 0;
    if (!list)
        return err_nomem(&c->err);
    for (uint32_t i = 0; i < n->tenant_count && count < most; i++) {
        if (!passes(n->tenants[i], f))
            continue;
        if (offset) {
            offset--;
            continue;
        }
        TRY(describe(n->tenants[i], c->arena, &list[count++], &c->err));
    }
    *out = (struct tenants_out){.tenants = list, .count = count};
    return QMN_OK;
}

void engine_list_tenants(struct engine *e, struct call *c, uint32_t status, uint32_t plan,
                         uint32_t limit, uint32_t offset, struct tenants_out *out)
{
    struct tenant_filter f = {.status = status, .plan = plan};
    if (!caller_is(c->caller, SCOPE_ADMIN))
        f.only = c->caller->tenant_no;
    pthread_rwlock_rdlock(&e->net.lock);
    enum qmn_code code = list_locked(e, c, &f, limit, offset, out);
    pthread_rwlock_unlock(&e->net.lock);
    call_finish(c, code);
}

/* ---- changing ---- */

struct tenant_change {
    struct command cmd;
    const struct tenant_in *in; /* update */
    bool purge;
    bool is_new_purge;
    struct record_tenant *next;
    struct record_meta mark;
    struct tenant_out *out;
};

static struct tenant_change *change_of(struct command *c)
{
    return CONTAINER_OF(c, struct tenant_change, cmd);
}

static void change_discard(struct engine *e, struct command *c)
{
    (void)e;
    mem_free(TAKE(change_of(c)->next));
}

static void change_publish(struct engine *e, struct command *c)
{
    (void)e;
    struct tenant_change *op = change_of(c);
    if (!op->next)
        return;
    tenant_replace(c->tenant, TAKE(op->next));
    if (c->tenant->record->status != TENANT_ACTIVE)
        tenant_wake(c->tenant);
}

static enum qmn_code change_finish(struct engine *e, struct command *c, struct err *err)
{
    struct tenant_change *op = change_of(c);
    if (!op->out)
        return QMN_OK;
    pthread_rwlock_rdlock(&e->net.lock);
    enum qmn_code code = describe(c->tenant, c->call->arena, op->out, err);
    pthread_rwlock_unlock(&e->net.lock);
    return code;
}

static enum qmn_code change_replay(struct engine *e, struct command *c, struct bytes result,
                                   struct err *err)
{
    (void)result;
    return change_finish(e, c, err);
}

static struct bytes pick(struct bytes came, struct bytes old)
{
    return came.ptr ? came : old;
}

static enum qmn_code check_status_change(struct engine *e, const struct tenant *t, uint32_t status,
                                         struct err *err)
{
    bool same = !status || status == t->record->status;
    if (status == TENANT_DELETED && !same)
        return err_field(err, QMN_E_INVALID, "status",
                         "a tenant is deleted with DELETE; expected active or suspended");
    if (!same && bytes_is(t->record->id, SYSTEM_TENANT_ID))
        return err_field(err, QMN_E_CONFLICT, "status",
                         "tenant \"" SYSTEM_TENANT_ID "\" is always active");
    if (t->record->status != TENANT_DELETED)
        return QMN_OK;
    if (same)
        return err_set(err, QMN_E_CONFLICT,
                       "this tenant is deleted; set its status to active to bring it back");
    return purge_ordered(e->control->purge, t->record->no)
               ? err_set(err, QMN_E_GONE, "this tenant was purged and cannot come back")
               : QMN_OK;
}

static enum qmn_code operators_say(const struct caller *caller, const struct tenant *t,
                                   const struct tenant_in *in, struct err *err)
{
    if (caller_is(caller, SCOPE_ADMIN))
        return QMN_OK;
    if (in->plan && in->plan != t->record->plan)
        return err_field(err, QMN_E_FORBIDDEN, "plan_tier", "changing the plan takes the scope %s",
                         scope_name(SCOPE_ADMIN));
    if (in->status && in->status != t->record->status)
        return err_field(err, QMN_E_FORBIDDEN, "status", "changing the status takes the scope %s",
                         scope_name(SCOPE_ADMIN));
    return QMN_OK;
}

static struct record_tenant updated_row(const struct record_tenant *old, const struct tenant_in *in,
                                        int64_t now_ms)
{
    struct record_tenant next = *old;
    next.name = pick(in->name, old->name);
    next.metadata = pick(in->metadata, old->metadata);
    next.kms_key_id = pick(in->kms_key_id, old->kms_key_id);
    next.region = pick(in->region, old->region);
    if (in->plan)
        next.plan = in->plan;
    if (in->status)
        next.status = in->status;
    if (next.status != TENANT_DELETED)
        next.deleted_ms = 0;
    next.updated_ms = now_ms;
    return next;
}

static enum qmn_code update_check(struct engine *e, struct command *c, struct err *err)
{
    struct tenant_change *op = change_of(c);
    const struct caller *caller = c->call->caller;
    const struct record_tenant *old = c->tenant->record;
    if (!writer_claim(e, c, RECORD_TENANT, (uint64_t)old->no))
        return QMN_OK;
    TRY(check_status_change(e, c->tenant, op->in->status, err));
    TRY(operators_say(caller, c->tenant, op->in, err));
    struct record_tenant next = updated_row(old, op->in, writer_now_ms(e));
    op->next = record_hold(RECORD_TENANT, &next);
    char *detail = arena_printf(writer_arena(e), "{\"plan_tier\":\"%s\",\"status\":\"%s\"}",
                                label_name(plan_tier_names, (uint32_t)next.plan),
                                label_name(tenant_status_names, (uint32_t)next.status));
    if (!op->next || !detail)
        return err_nomem(err);
    writer_add(e, MUT_PUT, RECORD_TENANT, op->next);
    writer_audit(e, c->tenant, caller, "tenant.update", old->id, bytes_cstr(detail));
    return QMN_OK;
}

static const struct command_ops update_ops = {
    .name = "tenant.update",
    .check = update_check,
    .publish = change_publish,
    .finish = change_finish,
    .replay = change_replay,
    .discard = change_discard,
};

static void change_start(struct engine *e, struct call *c, struct bytes id,
                         const struct command_ops *ops, struct tenant_change *op)
{
    pthread_rwlock_rdlock(&e->net.lock);
    enum qmn_code code = control_tenant(e, c->caller, id, &op->cmd.tenant, &c->err);
    pthread_rwlock_unlock(&e->net.lock);
    op->cmd.ops = ops;
    if (code == QMN_OK)
        writer_submit(e, c, &op->cmd);
    else
        call_finish(c, code);
}

void engine_update_tenant(struct engine *e, struct call *c, const struct tenant_in *in,
                          struct tenant_out *out)
{
    struct tenant_change *op = arena_new(c->arena, struct tenant_change);
    if (!op) {
        call_finish(c, err_nomem(&c->err));
        return;
    }
    op->in = in;
    op->out = out;
    change_start(e, c, in->id, &update_ops, op);
}

/* ---- deleting ---- */

/* Orders the purge in the same transaction, so that a stop in between cannot lose the order. */
static enum qmn_code order_purge(struct engine *e, struct tenant_change *op, struct err *err)
{
    int64_t no = op->cmd.tenant->record->no;
    if (!op->purge || purge_ordered(e->control->purge, no))
        return QMN_OK;
    op->mark.name = purge_mark(writer_arena(e), no);
    op->mark.value = BYTES_LIT("");
    if (!op->mark.name.ptr || !purge_reserve(e->control->purge))
        return err_nomem(err);
    writer_add(e, MUT_PUT, RECORD_META, &op->mark);
    op->is_new_purge = true;
    return QMN_OK;
}

static enum qmn_code delete_check(struct engine *e, struct command *c, struct err *err)
{
    struct tenant_change *op = change_of(c);
    const struct record_tenant *old = c->tenant->record;
    if (!writer_claim(e, c, RECORD_TENANT, (uint64_t)old->no))
        return QMN_OK;
    op->is_new_purge = false;
    if (bytes_is(old->id, SYSTEM_TENANT_ID))
        return err_set(err, QMN_E_CONFLICT,
                       "tenant \"" SYSTEM_TENANT_ID "\" holds the admin keys and stays");
    TRY(order_purge(e, op, err));
    bool live = old->status != TENANT_DELETED;
    if (live) {
        struct record_tenant next = *old;
        next.status = TENANT_DELETED;
        next.deleted_ms = next.updated_ms = writer_now_ms(e);
        op->next = record_hold(RECORD_TENANT, &next);
        if (!op->next)
            return err_nomem(err);
        writer_add(e, MUT_PUT, RECORD_TENANT, op->next);
    }
    if (live || op->is_new_purge)
        writer_audit(e, c->tenant, c->call->caller, "tenant.delete", old->id,
                     op->purge ? BYTES_LIT("{\"purge\":true}") : BYTES_LIT("{\"purge\":false}"));
    return QMN_OK;
}

static void delete_publish(struct engine *e, struct command *c)
{
    struct tenant_change *op = change_of(c);
    change_publish(e, c);
    if (op->is_new_purge) {
        purge_remember(e->control->purge, c->tenant->record->no, false);
        purge_start(e->control->purge);
    }
}

static const struct command_ops delete_ops = {
    .name = "tenant.delete",
    .check = delete_check,
    .publish = delete_publish,
    .finish = change_finish,
    .replay = change_replay,
    .discard = change_discard,
};

void engine_delete_tenant(struct engine *e, struct call *c, struct bytes id, bool purge)
{
    struct tenant_change *op = arena_new(c->arena, struct tenant_change);
    if (!op) {
        call_finish(c, err_nomem(&c->err));
        return;
    }
    op->purge = purge;
    change_start(e, c, id, &delete_ops, op);
}
