/* SPDX-License-Identifier: MIT
 *
 * Policies: stored, listed, evaluated on request.  What their rules mean stands in src/policy. */
#include "engine/control_priv.h"

#include "base/mem.h"
#include "engine/policy_json_priv.h"
#include "policy/evaluate.h"

enum { POLICIES_MAX = LIMIT_LIST }; /* of one tenant: one evaluation asks all of a type */

/* ---- creation ---- */

struct policy_creation {
    struct command cmd;
    struct record_policy row;
    struct id id;
    struct record_policy *held;
    struct policy_out *out;
};

static struct policy_creation *creation_of(struct command *c)
{
    return CONTAINER_OF(c, struct policy_creation, cmd);
}

static enum qmn_code describe(const struct tenant *t, const struct record_policy *p,
                              struct arena *arena, struct policy_out *ret, struct err *err)
{
    struct record_policy row;
    struct id id;
    if (!record_copy(RECORD_POLICY, p, arena, &row))
        return err_nomem(err);
    memcpy(id.b, row.id.ptr, sizeof id.b);
    *ret = (struct policy_out){.id = engine_id_text(arena, &id, PREFIX_POLICY),
                               .tenant_id = arena_bytes(arena, t->record->id),
                               .name = row.name,
                               .description = row.description,
                               .rules = row.rules,
                               .type = (uint32_t)row.type,
                               .enabled = row.enabled != 0,
                               .created_ms = row.created_ms,
                               .updated_ms = row.updated_ms};
    return ret->id.ptr && ret->tenant_id.ptr ? QMN_OK : err_nomem(err);
}

static enum qmn_code creation_check(struct engine *e, struct command *c, struct err *err)
{
    struct policy_creation *op = creation_of(c);
    struct tenant *t = c->tenant;
    TRY(control_active(t, err));
    if (t->policy_count >= POLICIES_MAX)
        return err_set(err, QMN_E_CONFLICT, "this tenant has %u policies, which is the most",
                       t->policy_count);
    op->row.no = writer_next_no(e);
    op->row.created_ms = op->row.updated_ms = writer_now_ms(e);
    op->held = record_hold(RECORD_POLICY, &op->row);
    char *detail = arena_printf(writer_arena(e), "{\"policy_type\":\"%s\",\"enabled\":%s}",
                                label_name(policy_type_names, (uint32_t)op->row.type),
                                op->row.enabled ? "true" : "false");
    struct bytes target = engine_id_text(writer_arena(e), &op->id, PREFIX_POLICY);
    if (!op->held || !detail || !target.ptr ||
        !network_grow_array(&e->net, (void **)&t->policies, &t->policy_cap,
                            t->policy_count + LIMIT_GROUP, sizeof(struct record_policy *)))
        return err_nomem(err);
    writer_add(e, MUT_INSERT, RECORD_POLICY, op->held);
    writer_audit(e, t, c->call->caller, "policy.create", target, bytes_cstr(detail));
    c->idem_result = op->row.id;
    c->idem_status = 201;
    return QMN_OK;
}

static void creation_publish(struct engine *e, struct command *c)
{
    (void)e;
    c->tenant->policies[c->tenant->policy_count++] = TAKE(creation_of(c)->held);
}

static void creation_discard(struct engine *e, struct command *c)
{
    (void)e;
    mem_free(TAKE(creation_of(c)->held));
}

static enum qmn_code creation_finish(struct engine *e, struct command *c, struct err *err)
{
    struct policy_creation *op = creation_of(c);
    pthread_rwlock_rdlock(&e->net.lock);
    enum qmn_code code = describe(c->tenant, &op->row, c->call->arena, op->out, err);
    pthread_rwlock_unlock(&e->net.lock);
    return code;
}

static enum qmn_code creation_replay(struct engine *e, struct command *c, struct bytes result,
                                     struct err *err)
{
    enum qmn_code code = err_set(err, QMN_E_NOT_FOUND, "the policy is gone");
    pthread_rwlock_rdlock(&e->net.lock);
    for (uint32_t i = 0; i < c->tenant->policy_count; i++)
        if (bytes_equal(c->tenant->policies[i]->id, result))
            code = describe(c->tenant, c->tenant->policies[i], c->call->arena, creation_of(c)->out,
                            err);
    pthread_rwlock_unlock(&e->net.lock);
    return code;
}

static const struct command_ops creation_ops = {
    .name = "policy.create",
    .check = creation_check,
    .publish = creation_publish,
    .finish = creation_finish,
    .replay = creation_replay,
    .discard = creation_discard,
};

static enum qmn_code creation_prepare(struct engine *e, struct call *c, const struct policy_in *in,
                                      struct policy_creation *op)
{
    const struct policy_value *rules;
    enum qmn_code code = policy_json(in->rules, c->arena, &rules, &c->err);
    if (code == QMN_E_MALFORMED || code == QMN_E_INVALID)
        return err_field(&c->err, QMN_E_INVALID, "rules", "expected a JSON object");
    TRY(code);
    TRY(policy_rules_check((enum policy_type)in->type, rules, &c->err));
    op->id = id_make(engine_now(e));
    pthread_rwlock_rdlock(&e->net.lock);
    code = engine_tenant(e, c->caller, &op->cmd.tenant, &c->err);
    if (code == QMN_OK)
        op->row.tenant_no = op->cmd.tenant->record->no;
    pthread_rwlock_unlock(&e->net.lock);
    return code;
}

void engine_create_policy(struct engine *e, struct call *c, const struct policy_in *in,
                          struct policy_out *out)
{
    struct policy_creation *op = arena_new(c->arena, struct policy_creation);
    enum qmn_code code = op ? creation_prepare(e, c, in, op) : err_nomem(&c->err);
    if (code != QMN_OK) {
        call_finish(c, code);
        return;
    }
    op->cmd.ops = &creation_ops;
    op->out = out;
    op->row.id = id_bytes(&op->id);
    op->row.type = in->type;
    op->row.name = in->name;
    op->row.description = in->description;
    op->row.rules = in->rules;
    op->row.enabled = in->enabled;
    writer_submit(e, c, &op->cmd);
}

/* ---- listing ---- */

static enum qmn_code list_locked(struct engine *e, struct call *c, struct bytes tenant_id,
                                 uint32_t type, uint32_t limit, uint32_t offset,
                                 struct policies_out *out)
{
    struct tenant *t;
    size_t count = 0, total = 0;
    TRY(control_tenant(e, c->caller, tenant_id, &t, &c->err));
    uint32_t most = limit < t->policy_count ? limit : t->policy_count;
    struct policy_out *list = arena_array(c->arena, struct policy_out, most + 1);
    if (!list)
        return err_nomem(&c->err);
    for (uint32_t i = 0; i < t->policy_count; i++) {
        if (type && t->policies[i]->type != type)
            continue;
        if (total++ >= offset && count < most)
            TRY(describe(t, t->policies[i], c->arena, &list[count++], &c->err));
    }
    *out = (struct policies_out){.policies = list, .count = count, .total = total};
    return QMN_OK;
}

void engine_list_policies(struct engine *e, struct call *c, struct bytes tenant_id, uint32_t type,
                          uint32_t limit, uint32_t offset, struct policies_out *out)
{
    pthread_rwlock_rdlock(&e->net.lock);
    enum qmn_code code = list_locked(e, c, tenant_id, type, limit, offset, out);
    pthread_rwlock_unlock(&e->net.lock);
    call_finish(c, code);
}

/* ---- evaluation ----
 *
 * The rules are copied under the lock and judged without it: patterns against a large content take
 * milliseconds, in which the writer must not wait. */

static enum qmn_code copy_enabled(struct engine *e, struct call *c, uint32_t type,
                                  struct policies_out *ret)
{
    struct tenant *t;
    size_t count = 0;
    TRY(engine_tenant(e, c->caller, &t, &c->err));
    struct policy_out *list = arena_array(c->arena, struct policy_out, t->policy_count);
    if (!list)
        return err_nomem(&c->err);
    for (uint32_t i = 0; i < t->policy_count; i++)
        if (t->policies[i]->type == type && t->policies[i]->enabled)
            TRY(describe(t, t->policies[i], c->arena, &list[count++], &c->err));
    *ret = (struct policies_out){.policies = list, .count = count};
    return QMN_OK;
}

/* One part of the request: as it came, else the member of that name in the context. */
static enum qmn_code read_part(struct call *c, struct bytes json, const char *name,
                               const struct policy_value *context, const struct policy_value **ret)
{
    const struct policy_value *v = policy_member(context, bytes_cstr(name));
    if (json.len) {
        enum qmn_code code = policy_json(json, c->arena, &v, &c->err);
        if (code == QMN_E_MALFORMED || code == QMN_E_INVALID)
            return err_field(&c->err, QMN_E_INVALID, name, "expected a JSON object");
        TRY(code);
    }
    if (v && v->type != POLICY_MAP)
        return err_field(&c->err, QMN_E_INVALID, name, "expected an object");
    *ret = v;
    return QMN_OK;
}

static enum qmn_code read_request(struct call *c, const struct evaluate_in *in,
                                  struct policy_request *ret)
{
    *ret = (struct policy_request){.action = in->action};
    TRY(read_part(c, in->context, "context", NULL, &ret->context));
    TRY(read_part(c, in->subject, "subject", ret->context, &ret->subject));
    TRY(read_part(c, in->resource, "resource", ret->context, &ret->resource));
    const struct policy_value *action = policy_member(ret->context, BYTES_LIT("action"));
    if (!ret->action.len && action && action->type == POLICY_TEXT)
        ret->action = action->text;
    return QMN_OK;
}

static bool append(struct arena *arena, const struct bytes **list, size_t *count,
                   const struct bytes *more, size_t more_count)
{
    struct bytes *both = arena_array(arena, struct bytes, *count + more_count);
    if (!both)
        return false;
    if (*count)
        memcpy(both, *list, *count * sizeof *both);
    if (more_count)
        memcpy(both + *count, more, more_count * sizeof *both);
    *list = both;
    *count += more_count;
    return true;
}

/* Adds one policy's verdict; the first that denies gives the reason. */
static enum qmn_code ask(struct call *c, const struct policy_out *p,
                         const struct policy_request *request, struct evaluate_out *out)
{
    const struct policy_value *rules = NULL;
    struct policy_verdict v;
    /* a row that cannot be read any more denies, as rules of NULL do */
    enum qmn_code code = policy_json(p->rules, c->arena, &rules, &c->err);
    if (code == QMN_E_NOMEM)
        return code;
    policy_evaluate((enum policy_type)p->type, code == QMN_OK ? rules : NULL, request, c->arena,
                    &v);
    if (!append(c->arena, &out->passed, &out->passed_count, v.passed, v.passed_count) ||
        !append(c->arena, &out->failed, &out->failed_count, v.failed, v.failed_count))
        return err_nomem(&c->err);
    if (!out->policy_id.ptr || (out->allowed && !v.allowed)) {
        out->policy_id = p->id;
        out->reason = v.reason;
    }
    out->allowed = out->allowed && v.allowed;
    return QMN_OK;
}

static enum qmn_code evaluate(struct call *c, const struct policies_out *policies, uint32_t type,
                              const struct policy_request *request, struct evaluate_out *ret)
{
    struct evaluate_out out = {.allowed = true};
    for (size_t i = 0; i < policies->count; i++)
        TRY(ask(c, &policies->policies[i], request, &out));
    if (!policies->count) {
        out.reason = bytes_cstr(arena_printf(c->arena, "there is no enabled policy of type %s",
                                             label_name(policy_type_names, type)));
        if (!out.reason.ptr)
            return err_nomem(&c->err);
    }
    out.action = out.allowed ? "allow" : "deny";
    *ret = out;
    return QMN_OK;
}

void engine_evaluate_policy(struct engine *e, struct call *c, const struct evaluate_in *in,
                            struct evaluate_out *out)
{
    struct policies_out policies = {0};
    struct policy_request request = {0};
    enum qmn_code code = label_name(policy_type_names, in->type)[0]
                             ? read_request(c, in, &request)
                             : err_field(&c->err, QMN_E_INVALID, "policy_type",
                                         "expected dlp, rbac, abac, rate_limit or content_filter");
    if (code == QMN_OK) {
        pthread_rwlock_rdlock(&e->net.lock);
        code = copy_enabled(e, c, in->type, &policies);
        pthread_rwlock_unlock(&e->net.lock);
    }
    if (code == QMN_OK)
        code = evaluate(c, &policies, in->type, &request, out);
    call_finish(c, code);
}
