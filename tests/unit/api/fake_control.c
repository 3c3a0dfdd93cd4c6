/* SPDX-License-Identifier: MIT
 *
 * The control plane of the cardboard engine. */
#include "fake_engine_priv.h"

static const struct tenant_out tenant_sample = {.id = {"acme", 4},
                                                .name = {"Acme", 4},
                                                .plan = PLAN_PRO,
                                                .status = TENANT_ACTIVE,
                                                .dim = 1536,
                                                .created_ms = 1700000000000,
                                                .updated_ms = 1700000000000};

static void note_tenant(const struct tenant_in *in)
{
    fake_text(in->id);
    fake_text(in->name);
    fake_text(in->kms_key_id);
    fake_text(in->region);
    fake_text(in->metadata);
    fake_number(in->plan);
    fake_number(in->status);
    fake_number(in->dim);
}

void engine_create_tenant(struct engine *e, struct call *c, const struct tenant_in *in,
                          struct tenant_out *out)
{
    (void)e;
    fake_note("engine_create_tenant", c);
    note_tenant(in);
    *out = tenant_sample;
    fake_finish(c);
}

void engine_get_tenant(struct engine *e, struct call *c, struct bytes id, struct tenant_out *out)
{
    (void)e;
    fake_note("engine_get_tenant", c);
    fake_text(id);
    *out = tenant_sample;
    fake_finish(c);
}

void engine_list_tenants(struct engine *e, struct call *c, uint32_t status, uint32_t plan,
                         uint32_t limit, uint32_t offset, struct tenants_out *out)
{
    (void)e;
    fake_note("engine_list_tenants", c);
    fake_number(status);
    fake_number(plan);
    fake_number(limit);
    fake_number(offset);
    *out = (struct tenants_out){.tenants = &tenant_sample, .count = 1};
    fake_finish(c);
}

void engine_update_tenant(struct engine *e, struct call *c, const struct tenant_in *in,
                          struct tenant_out *out)
{
    (void)e;
    fake_note("engine_update_tenant", c);
    note_tenant(in);
    *out = tenant_sample;
    fake_finish(c);
}

void engine_delete_tenant(struct engine *e, struct call *c, struct bytes id, bool purge)
{
    (void)e;
    fake_note("engine_delete_tenant", c);
    fake_text(id);
    fake_number(purge);
    fake_finish(c);
}

void engine_usage(struct engine *e, struct call *c, struct bytes id, struct usage_out *out)
{
    (void)e;
    fake_note("engine_usage", c);
    fake_text(id);
    *out = (struct usage_out){.tenant_id = BYTES_LIT("acme"),
                              .plan = PLAN_FREE,
                              .current = {.nutrients = 3},
                              .quota = {.nutrients = 10000, .searches = UINT64_MAX},
                              .remaining = {.nutrients = 9997, .searches = UINT64_MAX},
                              .nutrients_total = 33,
                              .collects_total = 11,
                              .resets_ms = 1700000000000};
    fake_finish(c);
}

static const struct key_out key_sample = {.id = {"k2", 2},
                                          .tenant_id = {"acme", 4},
                                          .scopes = {"inbox\0", 6},
                                          .rate_per_minute = 1000,
                                          .clearance = LABEL_INTERNAL,
                                          .status = "active",
                                          .created_ms = 1700000000000};

void engine_create_key(struct engine *e, struct call *c, const struct key_in *in,
                       struct key_out *out)
{
    (void)e;
    fake_note("engine_create_key", c);
    fake_text(in->tenant_id);
    fake_text(in->name);
    fake_list(in->scopes);
    fake_list(in->agent_ids);
    fake_number(in->rate_per_minute);
    fake_number(in->expires_in_days);
    fake_number(in->clearance);
    *out = key_sample;
    out->secret = BYTES_LIT("qmn_live_k2_secret");
    fake_finish(c);
}

void engine_list_keys(struct engine *e, struct call *c, struct bytes tenant_id, uint32_t limit,
                      uint32_t offset, struct keys_out *out)
{
    (void)e;
    fake_note("engine_list_keys", c);
    fake_text(tenant_id);
    fake_number(limit);
    fake_number(offset);
    *out = (struct keys_out){.keys = &key_sample, .count = 1};
    fake_finish(c);
}

void engine_rotate_key(struct engine *e, struct call *c, struct bytes key_id, uint32_t grace_sec,
                       struct key_out *out)
{
    (void)e;
    fake_note("engine_rotate_key", c);
    fake_text(key_id);
    fake_number(grace_sec);
    *out = key_sample;
    out->secret = BYTES_LIT("qmn_live_k3_secret");
    out->old_key_id = BYTES_LIT("k1");
    out->old_expires_ms = 1700003600000;
    fake_finish(c);
}

void engine_revoke_key(struct engine *e, struct call *c, struct bytes key_id, struct key_out *out)
{
    (void)e;
    fake_note("engine_revoke_key", c);
    fake_text(key_id);
    *out = key_sample;
    out->status = "revoked";
    fake_finish(c);
}

void engine_validate_key(struct engine *e, struct call *c, struct bytes key_text,
                         struct key_validity *out)
{
    (void)e;
    fake_note("engine_validate_key", c);
    out->valid = bytes_is(key_text, FAKE_KEY);
    if (out->valid)
        out->key = key_sample;
    fake_finish(c);
}

static const struct policy_out policy_sample = {.id = {"po_1", 4},
                                                .tenant_id = {"acme", 4},
                                                .name = {"no secrets", 10},
                                                .rules = {"{\"block\":true}", 14},
                                                .type = POLICY_DLP,
                                                .enabled = true,
                                                .created_ms = 1700000000000};

void engine_create_policy(struct engine *e, struct call *c, const struct policy_in *in,
                          struct policy_out *out)
{
    (void)e;
    fake_note("engine_create_policy", c);
    fake_text(in->name);
    fake_text(in->description);
    fake_text(in->rules);
    fake_number(in->type);
    fake_number(in->enabled);
    *out = policy_sample;
    fake_finish(c);
}

void engine_list_policies(struct engine *e, struct call *c, struct bytes tenant_id, uint32_t type,
                          uint32_t limit, uint32_t offset, struct policies_out *out)
{
    (void)e;
    fake_note("engine_list_policies", c);
    fake_text(tenant_id);
    fake_number(type);
    fake_number(limit);
    fake_number(offset);
    *out = (struct policies_out){.policies = &policy_sample, .count = 1, .total = 1};
    fake_finish(c);
}

void engine_evaluate_policy(struct engine *e, struct call *c, const struct evaluate_in *in,
                            struct evaluate_out *out)
{
    (void)e;
    fake_note("engine_evaluate_policy", c);
    fake_text(in->action);
    fake_text(in->subject);
    fake_text(in->resource);
    fake_text(in->context);
    fake_number(in->type);
    static const struct bytes passed[] = {{"p1", 2}}, failed[] = {{"f1", 2}, {"f2", 2}};
    *out = (struct evaluate_out){.allowed = false,
                                 .action = "deny",
                                 .policy_id = BYTES_LIT("po_1"),
                                 .reason = BYTES_LIT("because"),
                                 .passed = passed,
                                 .passed_count = 1,
                                 .failed = failed,
                                 .failed_count = 2};
    fake_finish(c);
}

static const struct task_out task_sample = {.id = {"t1", 2},
                                            .title = {"Do", 2},
                                            .status = TASK_OPEN,
                                            .outcome = -1,
                                            .created_ms = 1700000000000};

static void note_task(const struct task_in *in)
{
    fake_text(in->id);
    fake_text(in->title);
    fake_text(in->metadata);
    fake_number(in->status);
    fake_number(in->outcome);
}

void engine_create_task(struct engine *e, struct call *c, const struct task_in *in,
                        struct task_out *out)
{
    (void)e;
    fake_note("engine_create_task", c);
    note_task(in);
    *out = task_sample;
    fake_finish(c);
}

void engine_get_task(struct engine *e, struct call *c, struct bytes id, struct task_out *out)
{
    (void)e;
    fake_note("engine_get_task", c);
    fake_text(id);
    *out = task_sample;
    fake_finish(c);
}

void engine_list_tasks(struct engine *e, struct call *c, uint32_t status, uint32_t limit,
                       struct tasks_out *out)
{
    (void)e;
    fake_note("engine_list_tasks", c);
    fake_number(status);
    fake_number(limit);
    *out = (struct tasks_out){.tasks = &task_sample, .count = 1};
    fake_finish(c);
}

void engine_update_task(struct engine *e, struct call *c, const struct task_in *in,
                        struct task_out *out)
{
    (void)e;
    fake_note("engine_update_task", c);
    note_task(in);
    *out = task_sample;
    out->outcome = 0.5;
    fake_finish(c);
}

void engine_audit(struct engine *e, struct call *c, int64_t after, uint32_t limit,
                  struct audit_out *out)
{
    (void)e;
    fake_note("engine_audit", c);
    fake_number((double)after);
    fake_number(limit);
    static const struct record_audit entries[] = {{.tenant_no = 1,
                                                   .seq = 8,
                                                   .at_ms = 1700000000000,
                                                   .actor = {"k1", 2},
                                                   .action = {"key.create", 10},
                                                   .target = {"k2", 2}}};
    *out = (struct audit_out){.entries = entries, .count = 1};
    fake_finish(c);
}
