/* SPDX-License-Identifier: MIT
 *
 * Agents: register, look, list, suspend. */
#include "engine/agents.h"

#include <stdlib.h>

#include "base/mem.h"
#include "engine/authors_priv.h"
#include "engine/live_priv.h"

struct agent_op {
    struct command cmd;
    const struct agent_in *in;
    struct agent_out *out;
    struct bytes id;
    const float *profile; /* unit, or NULL */
    uint32_t dim;
    struct bytes space;
    struct record_agent row;

    /* made by check */
    struct agent *fresh;         /* a new agent */
    struct agent *known;         /* or an old one ... */
    struct record_agent *record; /* ... with this new record */
    uint32_t *tags, tag_count;
    bool has_tags;
};

/* Read lock held. */
static bool fill_out(const struct agent *a, const struct caller *caller, struct arena *arena,
                     struct agent_out *out)
{
    struct record_agent copy;
    if (!record_copy(RECORD_AGENT, a->record, arena, &copy))
        return false;
    *out =
        (struct agent_out){.id = copy.id,
                           .name = copy.name,
                           .description = copy.description,
                           .region = copy.region,
                           .metadata = copy.metadata,
                           .capabilities = copy.capabilities,
                           .tools = copy.tools,
                           .skills = copy.skills,
                           .status = (uint32_t)copy.status,
                           .clearance = agent_label(a),
                           .inbox_pending = agent_pending(a, network_clearance(a->tenant, caller)),
                           .created_ms = copy.created_ms,
                           .updated_ms = copy.updated_ms,
                           .last_seen_ms = a->last_seen_ms};
    return true;
}

/* A profile as the store has it, float32 and aligned; memory keeps it less precisely.  Empty:
 * none. */
static enum qmn_code stored_profile(struct engine *e, int64_t no, struct arena *arena,
                                    struct bytes *ret, struct err *err)
{
    struct record_agent key = {.no = no}, row;
    TRY(e->store->ops->get(e->store, RECORD_AGENT, &key, arena, &row, err));
    *ret = bytes_of(arena_copy(arena, row.profile.ptr, row.profile.len), row.profile.len);
    return ret->ptr ? QMN_OK : err_nomem(err);
}

/* ---- register ---- */

static enum qmn_code intern_capabilities(struct engine *e, struct agent_op *op, struct err *err)
{
    struct tags *tags = &op->cmd.tenant->tags;
    struct arena *arena = writer_arena(e);
    size_t len = op->row.capabilities.len + op->row.tools.len;
    char *both = arena_alloc(arena, len); /* tools count as capabilities: a hint may name either */
    if (!both)
        return err_nomem(err);
    if (op->row.capabilities.len)
        memcpy(both, op->row.capabilities.ptr, op->row.capabilities.len);
    if (op->row.tools.len)
        memcpy(both + op->row.capabilities.len, op->row.tools.ptr, op->row.tools.len);
    pthread_rwlock_wrlock(&e->net.lock);
    op->has_tags = tags_intern(tags, bytes_of(both, len), &op->tags, &op->tag_count);
    bool ok = op->has_tags && tags_reserve_capable(tags, op->tags, op->tag_count);
    pthread_rwlock_unlock(&e->net.lock);
    return ok ? QMN_OK : err_nomem(err);
}

static void agent_discard(struct engine *e, struct command *cmd)
{
    struct agent_op *op = CONTAINER_OF(cmd, struct agent_op, cmd);
    if (op->has_tags) {
        pthread_rwlock_wrlock(&e->net.lock);
        tags_drop(&cmd->tenant->tags, op->tags, op->tag_count);
        pthread_rwlock_unlock(&e->net.lock);
        mem_free(op->tags);
        op->has_tags = false;
        op->tags = NULL;
    }
    agent_free(op->fresh);
    mem_free(op->record);
    op->fresh = NULL;
    op->record = NULL;
}

static enum qmn_code make_pieces(struct engine *e, struct agent_op *op, struct err *err)
{
    struct tenant *t = op->cmd.tenant;
    if (op->known) {
        struct record_agent slim = op->row;
        slim.profile = bytes_of("", 0);
        op->record = record_hold(RECORD_AGENT, &slim);
    } else {
        op->fresh = agent_new(t, &op->row);
    }
    if ((!op->record && !op->fresh) || !network_grow_agents(&e->net, t, LIMIT_GROUP))
        return err_nomem(err);
    return intern_capabilities(e, op, err);
}

/* Whoever is not cleared for what the agent is may neither change it nor empty its inbox. */
static enum qmn_code not_above(const struct caller *caller, const struct record_agent *a,
                               struct err *err)
{
    if (a->clearance <= (int64_t)caller->clearance)
        return QMN_OK;
    return err_field(err, QMN_E_FORBIDDEN, "agent_id",
                     "the clearance of agent \"%.*s\" is above that of this key", BYTES_FMT(a->id));
}

/* Who may change the agent's clearance, and to what.  Looked at here and not before: another
 * registration may have come first. */
static enum qmn_code check_clearance(struct engine *e, struct agent_op *op, struct err *err)
{
    const struct caller *caller = op->cmd.call->caller;
    const struct record_agent *old = op->known ? op->known->record : NULL;
    uint32_t usual = caller->clearance < LABEL_INTERNAL ? caller->clearance : LABEL_INTERNAL;
    if (old)
        TRY(not_above(caller, old, err));
    bool granted = old && old->clearance; /* an author nobody registered has been granted nothing */
    op->row.clearance = op->in->clearance ? op->in->clearance : granted ? old->clearance : usual;
    if (!granted || old->clearance == op->row.clearance)
        return QMN_OK;
    char *detail = arena_printf(writer_arena(e), "{\"from\":\"%s\",\"to\":\"%s\"}",
                                label_name(sensitivity_names, (uint32_t)old->clearance),
                                label_name(sensitivity_names, (uint32_t)op->row.clearance));
    if (!detail)
        return err_nomem(err);
    writer_audit(e, op->cmd.tenant, caller, "agent.clearance", op->in->id, bytes_cstr(detail));
    return QMN_OK;
}

/* What waited when the agent was suspended, or was decided for it since, does not come back with
 * it, nor at any later start.  One number, because a row for each delivery of a long inbox would
 * keep the writer from everybody else. */
static int64_t inbox_from(struct engine *e, const struct agent *known)
{
    if (!known)
        return 0;
    return known->record->status == AGENT_SUSPENDED ? writer_next_no(e) : known->record->inbox_from;
}

static enum qmn_code register_check(struct engine *e, struct command *cmd, struct err *err)
{
    struct agent_op *op = CONTAINER_OF(cmd, struct agent_op, cmd);
    struct tenant *t = cmd->tenant;
    if (op->profile)
        TRY(writer_fix_space(e, cmd, op->space, op->dim, err));
    if (cmd->defer ||
        !writer_claim(e, cmd, RECORD_AGENT, bytes_hash(op->in->id, (uint64_t)t->record->no)))
        return QMN_OK;
    op->known = tenant_agent(t, op->in->id);
    TRY(check_clearance(e, op, err));
    TRY(agent_quota(e, t, op->known, err));
    op->row.no = op->known ? op->known->record->no : writer_next_no(e);
    op->row.created_ms = op->known ? op->known->record->created_ms : writer_now_ms(e);
    op->row.updated_ms = writer_now_ms(e);
    op->row.inbox_from = inbox_from(e, op->known);
    enum qmn_code code = make_pieces(e, op, err);
    if (code != QMN_OK) {
        agent_discard(e, cmd);
        return code;
    }
    cmd->idem_result = op->in->id;
    writer_add(e, MUT_PUT, RECORD_AGENT, &op->row);
    return QMN_OK;
}

static void register_publish(struct engine *e, struct command *cmd)
{
    struct agent_op *op = CONTAINER_OF(cmd, struct agent_op, cmd);
    op->has_tags = false;
    if (op->known) {
        agent_replace(op->known, TAKE(op->record), TAKE(op->tags), op->tag_count, op->profile);
        return;
    }
    op->fresh->capability_tags = TAKE(op->tags);
    op->fresh->capability_count = op->tag_count;
    network_add_agent(&e->net, TAKE(op->fresh), op->profile);
}

static enum qmn_code read_agent(struct call *c, struct tenant *t, struct bytes id, int64_t *ret_no,
                                struct agent_out *out)
{
    const struct agent *a = tenant_agent(t, id);
    if (!a)
        return err_field(&c->err, QMN_E_NOT_FOUND, "agent_id", "agent \"%.*s\" is not registered",
                         BYTES_FMT(id));
    *ret_no = a->record->no;
    return fill_out(a, c->caller, c->arena, out) ? QMN_OK : err_nomem(&c->err);
}

static enum qmn_code agent_finish(struct engine *e, struct command *cmd, struct err *err)
{
    struct agent_op *op = CONTAINER_OF(cmd, struct agent_op, cmd);
    (void)err;
    if (!op->out)
        return QMN_OK;
    pthread_rwlock_rdlock(&e->net.lock);
    int64_t no;
    enum qmn_code code = read_agent(cmd->call, cmd->tenant, op->id, &no, op->out);
    pthread_rwlock_unlock(&e->net.lock);
    return code;
}

static enum qmn_code agent_replay(struct engine *e, struct command *cmd, struct bytes result,
                                  struct err *err)
{
    struct agent_op *op = CONTAINER_OF(cmd, struct agent_op, cmd);
    op->id = result;
    return agent_finish(e, cmd, err);
}

static const struct command_ops register_ops = {
    .name = "agent.register",
    .check = register_check,
    .publish = register_publish,
    .finish = agent_finish,
    .replay = agent_replay,
    .discard = agent_discard,
};

static enum qmn_code register_prepare(struct engine *e, struct call *c, struct agent_op *op,
                                      struct err *err)
{
    const struct agent_in *in = op->in;
    TRY(engine_tenant(e, c->caller, &op->cmd.tenant, err));
    if (bytes_is(in->id, DEFAULT_AGENT_ID))
        return err_field(err, QMN_E_INVALID, "agent_id",
                         "\"" DEFAULT_AGENT_ID "\" is reserved; choose another id");
    if (c->caller->agent_ids.len && !textlist_has(c->caller->agent_ids, in->id))
        return err_field(err, QMN_E_FORBIDDEN, "agent_id",
                         "this key may not register agent \"%.*s\"", BYTES_FMT(in->id));
    if (in->clearance > c->caller->clearance)
        return err_field(err, QMN_E_FORBIDDEN, "clearance",
                         "\"%s\" is above the clearance of this key",
                         label_name(sensitivity_names, in->clearance));
    if (in->profile.values || in->profile.text.ptr)
        TRY(engine_vector(op->cmd.tenant, &in->profile, "profile.embedding", c->arena, &op->profile,
                          &op->dim, &op->space, err));
    op->id = in->id;
    op->row = (struct record_agent){.tenant_no = op->cmd.tenant->record->no,
                                    .id = in->id,
                                    .name = in->name,
                                    .description = in->description,
                                    .metadata = in->metadata,
                                    .region = in->region,
                                    .capabilities = in->capabilities,
                                    .tools = in->tools,
                                    .skills = in->skills,
                                    .status = AGENT_ACTIVE,
                                    .profile = bytes_of(op->profile, op->dim * sizeof(float))};
    return QMN_OK;
}

void engine_register_agent(struct engine *e, struct call *c, const struct agent_in *in,
                           struct agent_out *out)
{
    struct agent_op *op = arena_new(c->arena, struct agent_op);
    if (!op) {
        call_finish(c, err_nomem(&c->err));
        return;
    }
    op->cmd.ops = &register_ops;
    op->in = in;
    op->out = out;
    pthread_rwlock_rdlock(&e->net.lock);
    enum qmn_code code = register_prepare(e, c, op, &c->err);
    pthread_rwlock_unlock(&e->net.lock);
    if (code != QMN_OK)
        call_finish(c, code);
    else
        writer_submit(e, c, &op->cmd);
}

/* ---- suspend ---- */

static enum qmn_code suspend_check(struct engine *e, struct command *cmd, struct err *err)
{
    struct agent_op *op = CONTAINER_OF(cmd, struct agent_op, cmd);
    struct tenant *t = cmd->tenant;
    if (!writer_claim(e, cmd, RECORD_AGENT, bytes_hash(op->id, (uint64_t)t->record->no)))
        return QMN_OK;
    op->known = tenant_agent(t, op->id);
    if (!op->known || op->known == t->default_agent)
        return err_field(err, QMN_E_NOT_FOUND, "agent_id", "agent \"%.*s\" is not registered",
                         BYTES_FMT(op->id));
    TRY(not_above(cmd->call->caller, op->known->record, err));
    if (op->known->record->status == AGENT_SUSPENDED)
        return QMN_OK;
    op->row = *op->known->record;
    op->row.status = AGENT_SUSPENDED;
    op->row.updated_ms = writer_now_ms(e);
    op->record = record_hold(RECORD_AGENT, &op->row);
    if (!op->record)
        return err_nomem(err);
    /* the record in memory has no profile, the row must keep it */
    TRY(stored_profile(e, op->row.no, writer_arena(e), &op->row.profile, err));
    writer_add(e, MUT_PUT, RECORD_AGENT, &op->row);
    return QMN_OK;
}

static void suspend_publish(struct engine *e, struct command *cmd)
{
    struct agent_op *op = CONTAINER_OF(cmd, struct agent_op, cmd);
    struct agent *a = op->known;
    (void)e;
    if (!op->record)
        return;
    cmd->tenant->active_agents--;
    struct record_agent *old = a->record;
    a->record = TAKE(op->record);
    textmap_put(&cmd->tenant->agents_by_id, a->record->id, a);
    mem_free(old);
    agent_reach(a);
    while (a->inbox_head) {
        struct delivery *d = a->inbox_head;
        delivery_end(d, DELIVERY_REJECTED);
        collects_wake(cmd->tenant, d->nutrient->no);
    }
    waiters_wake(&a->waiters);
}

static enum qmn_code suspend_replay(struct engine *e, struct command *cmd, struct bytes result,
                                    struct err *err)
{
    (void)e;
    (void)cmd;
    (void)result;
    (void)err;
    return QMN_OK;
}

static const struct command_ops suspend_ops = {
    .name = "agent.suspend",
    .check = suspend_check,
    .publish = suspend_publish,
    .replay = suspend_replay,
    .discard = agent_discard,
};

void engine_suspend_agent(struct engine *e, struct call *c, struct bytes id)
{
    struct agent_op *op = arena_new(c->arena, struct agent_op);
    if (!op) {
        call_finish(c, err_nomem(&c->err));
        return;
    }
    op->cmd.ops = &suspend_ops;
    op->id = id;
    pthread_rwlock_rdlock(&e->net.lock);
    enum qmn_code code = engine_tenant(e, c->caller, &op->cmd.tenant, &c->err);
    pthread_rwlock_unlock(&e->net.lock);
    if (code == QMN_OK && c->caller->agent_ids.len && !textlist_has(c->caller->agent_ids, id))
        code = err_field(&c->err, QMN_E_FORBIDDEN, "agent_id",
                         "this key may not suspend agent \"%.*s\"", BYTES_FMT(id));
    if (code != QMN_OK)
        call_finish(c, code);
    else
        writer_submit(e, c, &op->cmd);
}

/* ---- look and list ---- */

static enum qmn_code read_profile(struct engine *e, int64_t no, struct arena *arena,
                                  struct agent_out *out, struct err *err)
{
    struct bytes profile;
    TRY(stored_profile(e, no, arena, &profile, err));
    out->dim = profile.len / sizeof(float);
    out->profile = out->dim ? (const float *)(const void *)profile.ptr : NULL;
    return QMN_OK;
}

void engine_get_agent(struct engine *e, struct call *c, struct bytes id, bool profile,
                      struct agent_out *out)
{
    struct tenant *t;
    int64_t no = 0;
    pthread_rwlock_rdlock(&e->net.lock);
    enum qmn_code code = engine_tenant(e, c->caller, &t, &c->err);
    if (code == QMN_OK)
        code = read_agent(c, t, id, &no, out);
    pthread_rwlock_unlock(&e->net.lock);
    if (code == QMN_OK && profile)
        code = read_profile(e, no, c->arena, out, &c->err);
    call_finish(c, code);
}

static int by_id(const void *pa, const void *pb)
{
    const struct agent *const *a = pa, *const *b = pb;
    return bytes_compare((*a)->record->id, (*b)->record->id);
}

static bool listed(const struct agent *a, uint32_t status, struct bytes capability,
                   struct bytes after)
{
    if (a == a->tenant->default_agent || (status && a->record->status != (int64_t)status))
        return false;
    if (after.len && bytes_compare(a->record->id, after) <= 0)
        return false;
    return !capability.len || textlist_has(a->record->capabilities, capability);
}

static enum qmn_code list_read(struct engine *e, struct call *c, uint32_t status,
                               struct bytes capability, struct bytes after, uint32_t limit,
                               struct agents_out *out)
{
    struct tenant *t;
    size_t count = 0;
    TRY(engine_tenant(e, c->caller, &t, &c->err));
    const struct agent **found = arena_array(c->arena, const struct agent *, t->agent_count + 1);
    if (!found)
        return err_nomem(&c->err);
    for (uint32_t i = 0; i < t->agent_count; i++)
        if (listed(t->agents[i], status, capability, after))
            found[count++] = t->agents[i];
    qsort(found, count, sizeof(const struct agent *), by_id);
    if (count > limit)
        count = limit;
    struct agent_out *agents = arena_array(c->arena, struct agent_out, count + 1);
    for (size_t i = 0; agents && i < count; i++)
        if (!fill_out(found[i], c->caller, c->arena, &agents[i]))
            agents = NULL;
    out->agents = agents;
    out->count = agents ? count : 0;
    return agents ? QMN_OK : err_nomem(&c->err);
}

void engine_list_agents(struct engine *e, struct call *c, uint32_t status, struct bytes capability,
                        struct bytes after, uint32_t limit, struct agents_out *out)
{
    pthread_rwlock_rdlock(&e->net.lock);
    enum qmn_code code = list_read(e, c, status, capability, after, limit, out);
    pthread_rwlock_unlock(&e->net.lock);
    call_finish(c, code);
}
