/* SPDX-License-Identifier: MIT
 *
 * The node about itself: alive, ready, healthy, its numbers, its contract; audit and backup. */
#include "qmn/v1/node.pb-c.h"

#include "base/limits.h"
#include "engine/tenancy.h"
#include "operations_priv.h"
#include "qmn/v1/router.pb-c.h"
#include "translate_priv.h"

enum { METRICS_MAX_BYTES = 8 << 20 };

/* ---- alive and ready ---- */

static enum qmn_code live_start(struct api_call *x, struct err *err)
{
    (void)err;
    answer_text(x, 200, "application/json", BYTES_LIT("{\"status\":\"alive\"}"));
    return QMN_OK;
}

const struct operation op_live = {.start = live_start};

static enum qmn_code ready_start(struct api_call *x, struct err *err)
{
    TRY(engine_ready(x->api->engine, err));
    answer_text(x, 200, "application/json", BYTES_LIT("{\"status\":\"ready\"}"));
    return QMN_OK;
}

const struct operation op_ready = {.start = ready_start};

/* ---- health ---- */

static Qmn__V1__Health__ChecksEntry *out_check(struct api_call *x, const struct health_check *c)
{
    Qmn__V1__Health__ChecksEntry *m = out_new(x, &qmn__v1__health__checks_entry__descriptor);
    if (!m)
        return NULL;
    m->key = out_word(c->name);
    m->value = c->ok ? out_word("ok") : out_text(x, bytes_cstr(c->text));
    return m;
}

static enum qmn_code health_start(struct api_call *x, struct err *err)
{
    struct health_check checks[8];
    const char *service = x->service ? x->service : "node";
    uint32_t count = engine_health(x->api->engine, service, checks);
    Qmn__V1__Health *m = out_new(x, &qmn__v1__health__descriptor);
    if (!m)
        return err_nomem(err);
    bool healthy = true;
    m->checks = out_array(x, count);
    for (uint32_t i = 0; m->checks && i < count; i++) {
        m->checks[i] = out_check(x, &checks[i]);
        healthy &= checks[i].ok;
    }
    m->n_checks = count;
    m->status = out_word(healthy ? "healthy" : "unhealthy");
    m->service = out_word(service);
    m->region = out_word(x->api->region);
    m->version = out_word(x->api->version);
    SET_TIME(m, timestamp, clock_now_ms(&clock_system));
    answer_message(x, healthy ? 200 : 503, &m->base);
    return QMN_OK;
}

const struct operation op_health = {
    .request = &qmn__v1__empty__descriptor,
    .response = &qmn__v1__health__descriptor,
    .start = health_start,
};

/* ---- documents ---- */

static enum qmn_code metrics_start(struct api_call *x, struct err *err)
{
    CLEANUP(buf_release) struct buf b;
    buf_init(&b, METRICS_MAX_BYTES);
    if (x->api->metrics)
        metrics_expose(x->api->metrics, &b);
    if (!buf_ok(&b))
        return err_nomem(err);
    answer_text(x, 200, x->route->media, buf_bytes(&b));
    return QMN_OK;
}

const struct operation op_metrics = {.start = metrics_start};

static enum qmn_code openapi_start(struct api_call *x, struct err *err)
{
    (void)err;
    answer_text(x, 200, x->route->media, buf_bytes(&x->api->openapi));
    return QMN_OK;
}

const struct operation op_openapi = {.start = openapi_start};

/* ---- audit ---- */

struct audit {
    struct audit_out out;
};

static enum qmn_code audit_start(struct api_call *x, struct err *err)
{
    (void)err;
    const Qmn__V1__AuditRequest *m = IN(Qmn__V1__AuditRequest, x);
    engine_audit(x->api->engine, &x->call, m->after < INT64_MAX ? (int64_t)m->after : INT64_MAX,
                 m->limit, &DATA(struct audit, x)->out);
    return QMN_OK;
}

static Qmn__V1__AuditEntry *out_entry(struct api_call *x, const struct record_audit *e)
{
    Qmn__V1__AuditEntry *m = out_new(x, &qmn__v1__audit_entry__descriptor);
    if (!m)
        return NULL;
    SET(m, seq, (uint64_t)e->seq);
    SET_TIME(m, at, e->at_ms);
    m->actor = out_text(x, e->actor);
    m->action = out_text(x, e->action);
    m->target = out_text(x, e->target);
    SET_RAW(m, detail, e->detail);
    return m;
}

static ProtobufCMessage *audit_answer(struct api_call *x)
{
    const struct audit_out *out = &DATA(struct audit, x)->out;
    Qmn__V1__AuditList *m = out_new(x, &qmn__v1__audit_list__descriptor);
    if (!m)
        return NULL;
    m->n_entries = out->count;
    m->entries = out_array(x, out->count);
    for (size_t i = 0; m->entries && i < out->count; i++)
        m->entries[i] = out_entry(x, &out->entries[i]);
    return &m->base;
}

const struct operation op_audit = {
    .call = "engine_audit",
    .request = &qmn__v1__audit_request__descriptor,
    .response = &qmn__v1__audit_list__descriptor,
    .data_size = sizeof(struct audit),
    .start = audit_start,
    .answer = audit_answer,
};

/* ---- backup ---- */

struct backup {
    struct backup_out out;
};

static enum qmn_code backup_start(struct api_call *x, struct err *err)
{
    (void)err;
    request_extend(x->req, LIMIT_BACKUP_MS);
    engine_backup(x->api->engine, &x->call, in_text(IN(Qmn__V1__BackupRequest, x)->path),
                  &DATA(struct backup, x)->out);
    return QMN_OK;
}

static ProtobufCMessage *backup_answer(struct api_call *x)
{
    const struct backup_out *out = &DATA(struct backup, x)->out;
    Qmn__V1__BackupResponse *m = out_new(x, &qmn__v1__backup_response__descriptor);
    if (!m)
        return NULL;
    m->path = out_text(x, bytes_cstr(out->path));
    SET(m, bytes, (uint64_t)out->bytes);
    SET(m, rows, (uint64_t)out->rows);
    SET_TIME(m, created_at, out->created_ms);
    return &m->base;
}

const struct operation op_backup = {
    .call = "engine_backup",
    .request = &qmn__v1__backup_request__descriptor,
    .response = &qmn__v1__backup_response__descriptor,
    .data_size = sizeof(struct backup),
    .start = backup_start,
    .answer = backup_answer,
};
