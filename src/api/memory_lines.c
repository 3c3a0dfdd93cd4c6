/* SPDX-License-Identifier: MIT
 *
 * Memories as lines of JSON: export and import.  A line is a MemoryLine; content goes out as it was
 * stored but for line breaks between its tokens, which become blanks. */
#include <stdio.h>

#include "base/limits.h"
#include "codec/base64.h"
#include "codec/json_decode.h"
#include "codec/json_encode.h"
#include "engine/memories.h"
#include "model/labels.h"
#include "operations_priv.h"
#include "qmn/v1/memory.pb-c.h"
#include "translate_priv.h"

#define PREFIX_MEMORY "me_"

/* ---- export ---- */

struct export
{
    struct memory_query q;
    struct memory_lines out;
};

static enum qmn_code export_start(struct api_call *x, struct err *err)
{
    const Qmn__V1__ExportMemoriesRequest *m = IN(Qmn__V1__ExportMemoriesRequest, x);
    struct export *d = DATA(struct export, x);
    d->q = (struct memory_query){.agent_id = in_text(m->agent_id),
                                 .kind = in_text(m->kind),
                                 .oldest_first = true,
                                 .has_after = m->after != NULL};
    if (m->after && !id_parse(bytes_cstr(m->after), PREFIX_MEMORY, &d->q.after))
        return err_field(err, QMN_E_INVALID, "after", "expected the id of a memory");
    engine_export_memories(x->api->engine, &x->call, &d->q, m->limit, m->history, &d->out);
    return QMN_OK;
}

/* Inside a JSON text a line break can only stand between tokens. */
static struct bytes on_one_line(struct api_call *x, struct bytes json)
{
    if (!json.len || (!memchr(json.ptr, '\n', json.len) && !memchr(json.ptr, '\r', json.len)))
        return json;
    char *copy = in_alloc(x, json.len, 1);
    if (!copy)
        return bytes_of("", 0);
    for (size_t i = 0; i < json.len; i++)
        copy[i] = json.ptr[i] == '\n' || json.ptr[i] == '\r' ? ' ' : json.ptr[i];
    return bytes_of(copy, json.len);
}

static char *out_vector(struct api_call *x, struct bytes vector)
{
    CLEANUP(buf_release) struct buf b;
    buf_init(&b, LIMIT_DIM_MAX * 6);
    base64_encode(vector, &b);
    x->oom |= !buf_ok(&b);
    return out_text(x, buf_bytes(&b));
}

static Qmn__V1__MemoryCredit *out_credit(struct api_call *x, const struct memory_line *l)
{
    const struct quality_evidence *v = &l->credit.evidence;
    char rater[17];
    Qmn__V1__MemoryCredit *m = out_new(x, &qmn__v1__memory_credit__descriptor);
    if (!m)
        return NULL;
    SET(m, uses, l->m.uses);
    SET(m, weight, v->weight);
    SET(m, sum, v->sum);
    SET(m, run_weight, v->run_weight);
    SET(m, run_sum, v->run_sum);
    snprintf(rater, sizeof rater, "%016llx", (unsigned long long)v->rater);
    m->rater = out_text(x, bytes_cstr(rater));
    return m;
}

static enum qmn_code write_line(struct api_call *x, const struct memory_line *l, struct buf *out)
{
    Qmn__V1__MemoryLine *m = out_new(x, &qmn__v1__memory_line__descriptor);
    if (!m)
        return QMN_E_NOMEM;
    m->id = out_text(x, l->m.id);
    m->version_of = out_text(x, l->version_of);
    SET(m, version, (uint32_t)l->m.version);
    m->agent_id = out_text(x, l->m.agent_id);
    m->kind = out_text(x, l->m.kind);
    SET_RAW(m, content, on_one_line(x, l->m.content));
    SET_RAW(m, metadata, on_one_line(x, l->m.metadata));
    SET(m, quality, l->version_of.len ? l->m.quality : l->credit.given);
    if (l->m.uses)
        m->credit = out_credit(x, l);
    if (l->m.sensitivity)
        m->sensitivity = out_word(label_name(sensitivity_names, l->m.sensitivity));
    SET_TIME(m, begun_at, l->begun_ms);
    SET_TIME(m, created_at, l->m.created_ms);
    SET_TIME(m, updated_at, l->m.updated_ms);
    SET_TIME(m, replaced_at, l->m.until_ms);
    SET_TIME(m, expires_at, l->m.expires_ms);
    if (l->superseded)
        SET(m, superseded, true);
    m->task_id = out_text(x, l->m.task_id);
    m->trace_id = out_text(x, l->m.trace_id);
    m->space = out_text(x, l->space);
    if (l->vector.len)
        m->embedding_b64 = out_vector(x, l->vector);
    if (x->oom)
        return QMN_E_NOMEM;
    TRY(json_encode(&m->base, out));
    buf_addc(out, '\n');
    return QMN_OK;
}

static enum qmn_code export_write(struct api_call *x, struct buf *out, struct err *err)
{
    const struct memory_lines *lines = &DATA(struct export, x)->out;
    for (size_t i = 0; i < lines->count; i++)
        for (size_t k = 0; k < lines->chunks[i].count; k++)
            if (write_line(x, &lines->chunks[i].lines[k], out) != QMN_OK)
                return err_nomem(err);
    return QMN_OK;
}

const struct operation op_memory_export = {
    .call = "engine_export_memories",
    .request = &qmn__v1__export_memories_request__descriptor,
    .data_size = sizeof(struct export),
    .start = export_start,
    .write = export_write,
};

/* ---- import ---- */

struct import {
    struct memory_line *lines;
    uint32_t *numbers; /* of the lines, which may have empty ones among them */
    uint32_t count;
};

static bool take_line(struct bytes *rest, struct bytes *ret)
{
    if (!rest->len)
        return false;
    const char *end = memchr(rest->ptr, '\n', rest->len);
    size_t len = end ? (size_t)(end - rest->ptr) : rest->len;
    size_t used = end ? len + 1 : len;
    *ret = bytes_of(rest->ptr, len);
    *rest = bytes_of(rest->ptr + used, rest->len - used);
    return true;
}

static bool is_blank(struct bytes line)
{
    for (size_t i = 0; i < line.len; i++)
        if (line.ptr[i] != ' ' && line.ptr[i] != '\t' && line.ptr[i] != '\r')
            return false;
    return true;
}

static enum qmn_code in_vector_b64(struct api_call *x, const char *text, struct bytes *ret,
                                   struct err *err)
{
    struct bytes b64 = bytes_cstr(text);
    size_t len;
    uint8_t *raw = in_alloc(x, base64_room(b64) + 1, 1);
    if (!raw)
        return err_nomem(err);
    if (!base64_decode(b64, raw, &len))
        return err_field(err, QMN_E_INVALID, "embedding_b64",
                         "expected base64 (padded) of little-endian float32");
    *ret = bytes_of(raw, len);
    return QMN_OK;
}

/* 16 digits of hexadecimal. */
static bool in_hash(const char *text, int64_t *ret)
{
    uint64_t v = 0;
    for (const char *p = text; *p; p++) {
        const char *digits = "0123456789abcdef", *at = strchr(digits, *p);
        if (!at || p - text == 16)
            return false;
        v = v << 4 | (uint64_t)(at - digits);
    }
    *ret = (int64_t)v;
    return true;
}

static enum qmn_code in_credit(const Qmn__V1__MemoryCredit *m, struct memory_line *l,
                               struct err *err)
{
    l->credit.given = l->m.quality;
    if (!m)
        return QMN_OK;
    l->m.uses = m->uses;
    l->credit.evidence = (struct quality_evidence){
        .weight = m->weight, .sum = m->sum, .run_weight = m->run_weight, .run_sum = m->run_sum};
    if (m->rater && !in_hash(m->rater, &l->credit.evidence.rater))
        return err_field(err, QMN_E_INVALID, "credit.rater", "expected 16 hexadecimal digits");
    return QMN_OK;
}

static enum qmn_code in_line(struct api_call *x, struct bytes text, struct memory_line *l,
                             struct err *err)
{
    ProtobufCMessage *base;
    TRY(json_decode(text, &qmn__v1__memory_line__descriptor, &x->req->arena, &base, err));
    const Qmn__V1__MemoryLine *m = (const Qmn__V1__MemoryLine *)(const void *)base;
    l->m = (struct memory_out){
        .id = in_text(m->id),
        .agent_id = in_text(m->agent_id),
        .kind = in_text(m->kind),
        .content = in_raw(m->has_content, m->content),
        .metadata = in_raw(m->has_metadata, m->metadata),
        .task_id = in_text(m->task_id),
        .trace_id = in_text(m->trace_id),
        .quality = m->quality,
        .sensitivity = m->sensitivity ? label_parse(sensitivity_names, in_text(m->sensitivity))
                                      : LABEL_INTERNAL,
        .created_ms = m->created_at,
        .updated_ms = m->has_updated_at ? m->updated_at : m->created_at,
        .until_ms = m->replaced_at,
        .expires_ms = m->expires_at,
        .version = m->has_version ? m->version : 1,
    };
    TRY(in_credit(m->credit, l, err));
    l->begun_ms = m->has_begun_at ? m->begun_at : m->created_at;
    l->version_of = in_text(m->version_of);
    l->superseded = m->superseded;
    l->space = m->space ? in_text(m->space) : BYTES_LIT("client");
    if (m->embedding_b64)
        return in_vector_b64(x, m->embedding_b64, &l->vector, err);
    if (!m->version_of)
        return err_field(err, QMN_E_INVALID, "embedding_b64", "required, but it is absent");
    return QMN_OK;
}

static enum qmn_code import_start(struct api_call *x, struct err *err)
{
    struct import *d = DATA(struct import, x);
    struct bytes rest = x->req->body, text;
    d->lines = in_alloc(x, LIMIT_IMPORT_LINES, sizeof *d->lines);
    d->numbers = in_alloc(x, LIMIT_IMPORT_LINES, sizeof *d->numbers);
    if (!d->lines || !d->numbers)
        return err_nomem(err);
    for (uint32_t number = 1; take_line(&rest, &text); number++) {
        if (is_blank(text))
            continue;
        if (d->count == LIMIT_IMPORT_LINES)
            return err_set(err, QMN_E_INVALID, "expected at most %d lines at once",
                           LIMIT_IMPORT_LINES);
        struct memory_line *l = &d->lines[d->count];
        d->numbers[d->count++] = number;
        enum qmn_code code = in_line(x, text, l, &l->err);
        if (code == QMN_E_NOMEM || x->req->arena.failed)
            return err_nomem(err);
        if (code != QMN_OK) {
            l->err.code = code;
            l->state = LINE_FAILED;
        }
    }
    engine_import_memories(x->api->engine, &x->call, d->lines, d->count);
    return QMN_OK;
}

static Qmn__V1__ImportError *out_failed(struct api_call *x, const struct import *d, uint32_t i)
{
    Qmn__V1__ImportError *m = out_new(x, &qmn__v1__import_error__descriptor);
    if (!m)
        return NULL;
    SET(m, line, d->numbers[i]);
    m->code = out_word(code_info(d->lines[i].err.code)->wire);
    m->field = out_text(x, bytes_cstr(d->lines[i].err.field));
    m->detail = out_text(x, bytes_cstr(d->lines[i].err.text));
    return m;
}

static ProtobufCMessage *import_answer(struct api_call *x)
{
    const struct import *d = DATA(struct import, x);
    uint32_t of[LINE_FAILED + 1] = {0};
    Qmn__V1__ImportMemoriesResponse *m = out_new(x, &qmn__v1__import_memories_response__descriptor);
    if (!m)
        return NULL;
    m->errors = out_array(x, d->count);
    for (uint32_t i = 0; m->errors && i < d->count; i++) {
        of[d->lines[i].state]++;
        if (d->lines[i].state == LINE_FAILED)
            m->errors[m->n_errors++] = out_failed(x, d, i);
    }
    SET(m, lines, d->count);
    SET(m, stored, of[LINE_STORED]);
    SET(m, known, of[LINE_KNOWN]);
    SET(m, expired, of[LINE_EXPIRED]);
    SET(m, failed, of[LINE_FAILED]);
    return &m->base;
}

const struct operation op_memory_import = {
    .call = "engine_import_memories",
    .response = &qmn__v1__import_memories_response__descriptor,
    .data_size = sizeof(struct import),
    .start = import_start,
    .answer = import_answer,
};
