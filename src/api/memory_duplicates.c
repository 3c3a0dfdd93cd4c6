/* SPDX-License-Identifier: MIT
 *
 * Near-duplicates among memories. */
#include "engine/memories.h"

#include "operations_priv.h"
#include "qmn/v1/memory.pb-c.h"
#include "translate_priv.h"

#define PREFIX_CURSOR "cu_"

struct duplicates {
    struct duplicates_query q;
    struct duplicates_out out;
};

static enum qmn_code duplicates_start(struct api_call *x, struct err *err)
{
    const Qmn__V1__MemoryDuplicatesRequest *m = IN(Qmn__V1__MemoryDuplicatesRequest, x);
    struct duplicates *d = DATA(struct duplicates, x);
    d->q = (struct duplicates_query){.agent_id = in_text(m->agent_id),
                                     .kind = in_text(m->kind),
                                     .threshold = m->threshold,
                                     .has_after = m->cursor != NULL};
    if (m->cursor && !id_parse(bytes_cstr(m->cursor), PREFIX_CURSOR, &d->q.after))
        return err_field(err, QMN_E_INVALID, "cursor", "expected a next_cursor as it came");
    engine_memory_duplicates(x->api->engine, &x->call, &d->q, m->limit, &d->out);
    return QMN_OK;
}

static Qmn__V1__MemoryDuplicate *out_duplicate(struct api_call *x, const struct duplicate *o)
{
    Qmn__V1__MemoryDuplicate *m = out_new(x, &qmn__v1__memory_duplicate__descriptor);
    if (!m)
        return NULL;
    m->id = out_text(x, o->id);
    m->agent_id = out_text(x, o->agent_id);
    m->kind = out_text(x, o->kind);
    SET(m, quality, o->quality);
    SET_TIME(m, created_at, o->created_ms);
    SET(m, similarity, o->similarity);
    return m;
}

static Qmn__V1__MemoryDuplicates *out_group(struct api_call *x, const struct duplicate_group *g)
{
    Qmn__V1__MemoryDuplicates *m = out_new(x, &qmn__v1__memory_duplicates__descriptor);
    if (!m)
        return NULL;
    m->id = out_text(x, g->memory.id);
    m->agent_id = out_text(x, g->memory.agent_id);
    m->kind = out_text(x, g->memory.kind);
    SET(m, quality, g->memory.quality);
    SET_TIME(m, created_at, g->memory.created_ms);
    m->n_duplicates = g->count;
    m->duplicates = out_array(x, g->count);
    for (size_t i = 0; m->duplicates && i < g->count; i++)
        m->duplicates[i] = out_duplicate(x, &g->older[i]);
    if (g->more)
        SET(m, more, true);
    return m;
}

static ProtobufCMessage *duplicates_answer(struct api_call *x)
{
    const struct duplicates_out *out = &DATA(struct duplicates, x)->out;
    char cursor[sizeof PREFIX_CURSOR + ID_TEXT_CHARS];
    Qmn__V1__MemoryDuplicatesPage *m = out_new(x, &qmn__v1__memory_duplicates_page__descriptor);
    if (!m)
        return NULL;
    m->n_groups = out->count;
    m->groups = out_array(x, out->count);
    for (size_t i = 0; m->groups && i < out->count; i++)
        m->groups[i] = out_group(x, &out->groups[i]);
    SET(m, examined, out->examined);
    if (out->more) {
        id_format(out->last, PREFIX_CURSOR, cursor);
        m->next_cursor = out_text(x, bytes_cstr(cursor));
    }
    return &m->base;
}

const struct operation op_memory_duplicates = {
    .call = "engine_memory_duplicates",
    .request = &qmn__v1__memory_duplicates_request__descriptor,
    .response = &qmn__v1__memory_duplicates_page__descriptor,
    .data_size = sizeof(struct duplicates),
    .start = duplicates_start,
    .answer = duplicates_answer,
};
