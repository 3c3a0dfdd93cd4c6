/* SPDX-License-Identifier: MIT
 *
 * Hyphal memory. */
#include "engine/memories.h"

#include "memory_filter_priv.h"
#include "model/labels.h"
#include "operations_priv.h"
#include "qmn/v1/memory.pb-c.h"
#include "qmn/v1/router.pb-c.h"
#include "translate_priv.h"

struct memory_one {
    struct memory_in in;
    struct memory_out out;
};

static struct memory_in in_memory(const Qmn__V1__StoreMemoryRequest *m)
{
    return (struct memory_in){
        .agent_id = in_text(m->agent_id),
        .kind = in_text(m->kind),
        .content = in_raw(m->has_content, m->content),
        .metadata = in_raw(m->has_metadata, m->metadata),
        .task_id = in_text(m->task_id),
        .trace_id = in_text(m->trace_id),
        .embedding = in_vector(m->embedding, m->n_embedding, m->text),
        .quality = m->quality,
        .sensitivity = label_parse(sensitivity_names, in_text(m->sensitivity)),
        .ttl_hours = m->has_ttl_hours ? m->ttl_hours : 0,
        .supersedes = in_text(m->supersedes),
    };
}

static enum qmn_code store_start(struct api_call *x, struct err *err)
{
    (void)err;
    struct memory_one *s = DATA(struct memory_one, x);
    s->in = in_memory(IN(Qmn__V1__StoreMemoryRequest, x));
    engine_store_memory(x->api->engine, &x->call, &s->in, &s->out);
    return QMN_OK;
}

static Qmn__V1__Memory *out_memory(struct api_call *x, const struct memory_out *o)
{
    Qmn__V1__Memory *m = out_new(x, &qmn__v1__memory__descriptor);
    if (!m)
        return NULL;
    m->id = out_text(x, o->id);
    m->agent_id = out_text(x, o->agent_id);
    m->kind = out_text(x, o->kind);
    SET_RAW(m, content, o->content);
    SET(m, quality, o->quality);
    m->sensitivity = out_word(label_name(sensitivity_names, o->sensitivity));
    SET_TIME(m, created_at, o->created_ms);
    SET_TIME(m, expires_at, o->expires_ms);
    SET_RAW(m, metadata, o->metadata);
    m->task_id = out_text(x, o->task_id);
    m->trace_id = out_text(x, o->trace_id);
    SET(m, version, (uint32_t)o->version);
    SET_TIME(m, updated_at, o->updated_ms);
    SET_TIME(m, replaced_at, o->until_ms);
    if (o->merged)
        SET(m, merged, true);
    if (!o->until_ms)
        SET(m, uses, o->uses);
    return m;
}

static ProtobufCMessage *memory_answer(struct api_call *x)
{
    Qmn__V1__Memory *m = out_memory(x, &DATA(struct memory_one, x)->out);
    return m ? &m->base : NULL;
}

const struct operation op_memory_store = {
    .call = "engine_store_memory",
    .request = &qmn__v1__store_memory_request__descriptor,
    .response = &qmn__v1__memory__descriptor,
    .data_size = sizeof(struct memory_one),
    .start = store_start,
    .answer = memory_answer,
};

struct memory_batch {
    struct memory_out *out; /* [count] */
    uint32_t count;
};

static enum qmn_code batch_start(struct api_call *x, struct err *err)
{
    const Qmn__V1__StoreMemoriesRequest *m = IN(Qmn__V1__StoreMemoriesRequest, x);
    struct memory_batch *b = DATA(struct memory_batch, x);
    struct memory_in *in = in_alloc(x, m->n_memories, sizeof *in);
    b->count = (uint32_t)m->n_memories;
    b->out = in_alloc(x, m->n_memories, sizeof *b->out);
    if (!in || !b->out)
        return err_nomem(err);
    for (size_t i = 0; i < m->n_memories; i++)
        in[i] = in_memory(m->memories[i]);
    engine_store_memories(x->api->engine, &x->call, in, b->count, b->out);
    return QMN_OK;
}

static Qmn__V1__StoredMemory *out_stored(struct api_call *x, const struct memory_out *o)
{
    Qmn__V1__StoredMemory *m = out_new(x, &qmn__v1__stored_memory__descriptor);
    if (!m)
        return NULL;
    m->id = out_text(x, o->id);
    m->agent_id = out_text(x, o->agent_id);
    SET_TIME(m, created_at, o->created_ms);
    SET_TIME(m, expires_at, o->expires_ms);
    if (o->merged)
        SET(m, merged, true);
    return m;
}

static ProtobufCMessage *batch_answer(struct api_call *x)
{
    const struct memory_batch *b = DATA(struct memory_batch, x);
    Qmn__V1__StoreMemoriesResponse *m = out_new(x, &qmn__v1__store_memories_response__descriptor);
    if (!m)
        return NULL;
    m->n_results = b->count;
    m->results = out_array(x, b->count);
    for (size_t i = 0; m->results && i < b->count; i++)
        m->results[i] = out_stored(x, &b->out[i]);
    SET(m, total, b->count);
    return &m->base;
}

const struct operation op_memory_batch = {
    .call = "engine_store_memories",
    .request = &qmn__v1__store_memories_request__descriptor,
    .response = &qmn__v1__store_memories_response__descriptor,
    .data_size = sizeof(struct memory_batch),
    .start = batch_start,
    .answer = batch_answer,
};

static enum qmn_code get_start(struct api_call *x, struct err *err)
{
    (void)err;
    const Qmn__V1__GetMemoryRequest *m = IN(Qmn__V1__GetMemoryRequest, x);
    int64_t as_of = m->has_as_of && !m->as_of ? 1 : m->as_of; /* 0 means now */
    engine_get_memory(x->api->engine, &x->call, in_text(m->id), as_of,
                      &DATA(struct memory_one, x)->out);
    return QMN_OK;
}

const struct operation op_memory_get = {
    .call = "engine_get_memory",
    .request = &qmn__v1__get_memory_request__descriptor,
    .response = &qmn__v1__memory__descriptor,
    .data_size = sizeof(struct memory_one),
    .start = get_start,
    .answer = memory_answer,
};

struct memory_update {
    struct memory_patch in;
    struct memory_out out;
};

static bool clears(const Qmn__V1__UpdateMemoryRequest *m, const char *field)
{
    for (size_t i = 0; i < m->n_cleared; i++)
        if (!strcmp(m->cleared[i], field))
            return true;
    return false;
}

static enum qmn_code in_cleared(const Qmn__V1__UpdateMemoryRequest *m, struct memory_patch *p,
                                struct err *err)
{
    if ((clears(m, "ttl_hours") && m->has_ttl_hours) || (clears(m, "metadata") && m->has_metadata))
        return err_field(err, QMN_E_INVALID, "cleared", "a field is both cleared and given");
    if (clears(m, "ttl_hours"))
        p->ttl_hours = -1;
    if (clears(m, "metadata"))
        p->metadata = bytes_of("", 0);
    return QMN_OK;
}

static enum qmn_code update_start(struct api_call *x, struct err *err)
{
    const Qmn__V1__UpdateMemoryRequest *m = IN(Qmn__V1__UpdateMemoryRequest, x);
    struct memory_update *u = DATA(struct memory_update, x);
    u->in = (struct memory_patch){
        .id = in_text(m->id),
        .kind = in_text(m->kind),
        .content = in_raw(m->has_content, m->content),
        .metadata = in_raw(m->has_metadata, m->metadata),
        .embedding = in_vector(m->embedding, m->n_embedding, m->text),
        .quality = m->has_quality ? m->quality : -1,
        .sensitivity = m->sensitivity ? label_parse(sensitivity_names, in_text(m->sensitivity)) : 0,
        .ttl_hours = m->has_ttl_hours ? m->ttl_hours : 0,
    };
    TRY(in_cleared(m, &u->in, err));
    engine_update_memory(x->api->engine, &x->call, &u->in, &u->out);
    return QMN_OK;
}

static ProtobufCMessage *update_answer(struct api_call *x)
{
    Qmn__V1__Memory *m = out_memory(x, &DATA(struct memory_update, x)->out);
    return m ? &m->base : NULL;
}

const struct operation op_memory_update = {
    .call = "engine_update_memory",
    .request = &qmn__v1__update_memory_request__descriptor,
    .response = &qmn__v1__memory__descriptor,
    .data_size = sizeof(struct memory_update),
    .start = update_start,
    .answer = update_answer,
};

static enum qmn_code delete_start(struct api_call *x, struct err *err)
{
    (void)err;
    engine_delete_memory(x->api->engine, &x->call, in_text(IN(Qmn__V1__MemoryRef, x)->id));
    return QMN_OK;
}

const struct operation op_memory_delete = {
    .call = "engine_delete_memory",
    .request = &qmn__v1__memory_ref__descriptor,
    .start = delete_start,
};

struct memory_many {
    struct memory_search search;
    struct memory_filters filters;
    struct memories_out out;
};

static enum qmn_code list_start(struct api_call *x, struct err *err)
{
    (void)err;
    const Qmn__V1__AgentMemoriesRequest *m = IN(Qmn__V1__AgentMemoriesRequest, x);
    engine_agent_memories(x->api->engine, &x->call, in_text(m->agent_id), in_text(m->kind),
                          m->limit, m->offset, &DATA(struct memory_many, x)->out);
    return QMN_OK;
}

static ProtobufCMessage *list_answer(struct api_call *x)
{
    const struct memories_out *out = &DATA(struct memory_many, x)->out;
    Qmn__V1__MemoryList *m = out_new(x, &qmn__v1__memory_list__descriptor);
    if (!m)
        return NULL;
    m->n_memories = out->count;
    m->memories = out_array(x, out->count);
    for (size_t i = 0; m->memories && i < out->count; i++)
        m->memories[i] = out_memory(x, &out->items[i]);
    return &m->base;
}

const struct operation op_memory_list = {
    .call = "engine_agent_memories",
    .request = &qmn__v1__agent_memories_request__descriptor,
    .response = &qmn__v1__memory_list__descriptor,
    .data_size = sizeof(struct memory_many),
    .start = list_start,
    .answer = list_answer,
};

static enum qmn_code history_start(struct api_call *x, struct err *err)
{
    (void)err;
    engine_memory_history(x->api->engine, &x->call, in_text(IN(Qmn__V1__MemoryRef, x)->id),
                          &DATA(struct memory_many, x)->out);
    return QMN_OK;
}

static ProtobufCMessage *history_answer(struct api_call *x)
{
    const struct memories_out *out = &DATA(struct memory_many, x)->out;
    Qmn__V1__MemoryHistory *m = out_new(x, &qmn__v1__memory_history__descriptor);
    if (!m)
        return NULL;
    m->n_versions = out->count;
    m->versions = out_array(x, out->count);
    for (size_t i = 0; m->versions && i < out->count; i++)
        m->versions[i] = out_memory(x, &out->items[i]);
    return &m->base;
}

const struct operation op_memory_history = {
    .call = "engine_memory_history",
    .request = &qmn__v1__memory_ref__descriptor,
    .response = &qmn__v1__memory_history__descriptor,
    .data_size = sizeof(struct memory_many),
    .start = history_start,
    .answer = history_answer,
};

/* ---- pages ----
 *
 * A cursor is the id where the page ended under a prefix of its own, which is all that a client is
 * to see in it. */

#define PREFIX_CURSOR "cu_"

static enum qmn_code in_cursor(const char *text, struct memory_query *q, struct err *err)
{
    if (!text)
        return QMN_OK;
    q->has_after = true;
    if (!id_parse(bytes_cstr(text), PREFIX_CURSOR, &q->after))
        return err_field(err, QMN_E_INVALID, "cursor", "expected a next_cursor as it came");
    return QMN_OK;
}

static char *out_cursor(struct api_call *x, const struct memories_out *out)
{
    char text[sizeof PREFIX_CURSOR + ID_TEXT_CHARS];
    if (!out->more)
        return NULL;
    id_format(out->last, PREFIX_CURSOR, text);
    return out_text(x, bytes_cstr(text));
}

struct memory_listing {
    struct memory_query q;
    struct memories_out out;
};

static enum qmn_code page_start(struct api_call *x, struct err *err)
{
    const Qmn__V1__ListMemoriesRequest *m = IN(Qmn__V1__ListMemoriesRequest, x);
    struct memory_listing *l = DATA(struct memory_listing, x);
    l->q = (struct memory_query){.agent_id = in_text(m->agent_id),
                                 .kind = in_text(m->kind),
                                 .from_ms = m->created_from,
                                 .to_ms = m->created_to,
                                 .as_of_ms = m->has_as_of && !m->as_of ? 1 : m->as_of};
    TRY(in_cursor(m->cursor, &l->q, err));
    engine_list_memories(x->api->engine, &x->call, &l->q, m->limit, &l->out);
    return QMN_OK;
}

static ProtobufCMessage *page_answer(struct api_call *x)
{
    const struct memories_out *out = &DATA(struct memory_listing, x)->out;
    Qmn__V1__MemoryPage *m = out_new(x, &qmn__v1__memory_page__descriptor);
    if (!m)
        return NULL;
    m->n_memories = out->count;
    m->memories = out_array(x, out->count);
    for (size_t i = 0; m->memories && i < out->count; i++)
        m->memories[i] = out_memory(x, &out->items[i]);
    m->next_cursor = out_cursor(x, out);
    return &m->base;
}

const struct operation op_memory_page = {
    .call = "engine_list_memories",
    .request = &qmn__v1__list_memories_request__descriptor,
    .response = &qmn__v1__memory_page__descriptor,
    .data_size = sizeof(struct memory_listing),
    .start = page_start,
    .answer = page_answer,
};

static enum qmn_code in_filter(struct api_call *x, const Qmn__V1__SearchMemoryRequest *m,
                               struct memory_filters *f, struct err *err)
{
    memory_filters_init(f, &x->req->arena);
    if (m->has_min_quality)
        TRY(memory_filters_quality(f, m->min_quality, err));
    if (m->kind_filter)
        TRY(memory_filters_text(f, FILTER_KIND, in_text(m->kind_filter), err));
    if (m->agent_filter)
        TRY(memory_filters_text(f, FILTER_AGENT, in_text(m->agent_filter), err));
    TRY(memory_filters_add(f, "filters", in_raw(m->has_filters, m->filters), err));
    return memory_filters_add(f, "user_filter", in_raw(m->has_user_filter, m->user_filter), err);
}

#define HOUR_MS 3600000.0

static struct rerank in_ranking(const Qmn__V1__SearchRanking *m)
{
    struct rerank r = {0};
    if (m && m->has_quality)
        r.quality_weight = m->quality;
    if (m && m->has_usefulness)
        r.useful_weight = m->usefulness;
    if (m && m->recency) {
        r.recency_weight = m->recency->weight;
        r.half_life_ms = m->recency->half_life_hours * HOUR_MS;
    }
    return r;
}

static enum qmn_code search_start(struct api_call *x, struct err *err)
{
    const Qmn__V1__SearchMemoryRequest *m = IN(Qmn__V1__SearchMemoryRequest, x);
    struct memory_many *s = DATA(struct memory_many, x);
    TRY(in_filter(x, m, &s->filters, err));
    s->search = (struct memory_search){.vector = in_vector(m->embedding, m->n_embedding, m->text),
                                       .query = in_text(m->query),
                                       .mode = label_parse(search_mode_names, in_text(m->mode)),
                                       .top_k = m->top_k,
                                       .exact = m->exact,
                                       .explain = m->explain,
                                       .ranking = in_ranking(m->ranking)};
    engine_search_memory(x->api->engine, &x->call, &s->search, &s->filters.all, &s->out);
    return QMN_OK;
}

static Qmn__V1__SearchTerm *out_term(struct api_call *x, const struct memory_term *t)
{
    Qmn__V1__SearchTerm *m = out_new(x, &qmn__v1__search_term__descriptor);
    if (!m)
        return NULL;
    m->word = out_text(x, t->word);
    SET(m, score, t->score);
    return m;
}

static Qmn__V1__SearchExplanation *out_explanation(struct api_call *x, const struct memory_match *k)
{
    Qmn__V1__SearchExplanation *m = out_new(x, &qmn__v1__search_explanation__descriptor);
    if (!m)
        return NULL;
    if (k->compared)
        SET(m, cosine, k->cosine);
    if (k->vector_rank)
        SET(m, vector_rank, k->vector_rank);
    if (k->terms)
        SET(m, words_score, k->words_score);
    if (k->words_rank)
        SET(m, words_rank, k->words_rank);
    m->n_terms = k->terms ? k->term_count : 0;
    m->terms = out_array(x, m->n_terms);
    for (size_t i = 0; k->terms && m->terms && i < m->n_terms; i++)
        m->terms[i] = out_term(x, &k->terms[i]);
    SET(m, relevance, k->relevance);
    SET(m, quality_factor, k->factors.quality);
    SET(m, recency_factor, k->factors.recency);
    SET(m, usefulness_factor, k->factors.useful);
    return m;
}

static Qmn__V1__SearchHit *out_hit(struct api_call *x, const struct memory_out *o, bool explain)
{
    Qmn__V1__SearchHit *m = out_new(x, &qmn__v1__search_hit__descriptor);
    if (!m)
        return NULL;
    m->id = out_text(x, o->id);
    m->agent_id = out_text(x, o->agent_id);
    m->kind = out_text(x, o->kind);
    SET_RAW(m, content, o->content);
    if (o->match->compared)
        SET(m, similarity, o->similarity);
    SET(m, score, o->match->score);
    if (explain)
        m->explanation = out_explanation(x, o->match);
    SET(m, quality, o->quality);
    m->sensitivity = out_word(label_name(sensitivity_names, o->sensitivity));
    SET_TIME(m, created_at, o->created_ms);
    SET(m, uses, o->uses);
    return m;
}

static ProtobufCMessage *search_answer(struct api_call *x)
{
    const struct memory_many *s = DATA(struct memory_many, x);
    const struct memories_out *out = &s->out;
    Qmn__V1__SearchMemoryResponse *m = out_new(x, &qmn__v1__search_memory_response__descriptor);
    Qmn__V1__SearchMetadata *meta = out_new(x, &qmn__v1__search_metadata__descriptor);
    if (!m || !meta)
        return NULL;
    m->n_results = out->count;
    m->results = out_array(x, out->count);
    for (size_t i = 0; m->results && i < out->count; i++)
        m->results[i] = out_hit(x, &out->items[i], s->search.explain);
    SET(m, total, (uint32_t)out->count);
    SET(meta, candidates, out->candidates);
    SET(meta, exact, out->exact);
    meta->mode = out_word(label_name(search_mode_names, out->mode));
    m->metadata = meta;
    return &m->base;
}

const struct operation op_memory_search = {
    .call = "engine_search_memory",
    .request = &qmn__v1__search_memory_request__descriptor,
    .response = &qmn__v1__search_memory_response__descriptor,
    .data_size = sizeof(struct memory_many),
    .start = search_start,
    .answer = search_answer,
};

struct cleanup {
    uint64_t deleted;
};

static enum qmn_code cleanup_start(struct api_call *x, struct err *err)
{
    (void)err;
    engine_cleanup_memory(x->api->engine, &x->call, &DATA(struct cleanup, x)->deleted);
    return QMN_OK;
}

static ProtobufCMessage *cleanup_answer(struct api_call *x)
{
    Qmn__V1__CleanupResponse *m = out_new(x, &qmn__v1__cleanup_response__descriptor);
    if (!m)
        return NULL;
    SET(m, deleted, DATA(struct cleanup, x)->deleted);
    return &m->base;
}

const struct operation op_memory_cleanup = {
    .call = "engine_cleanup_memory",
    .request = &qmn__v1__empty__descriptor,
    .response = &qmn__v1__cleanup_response__descriptor,
    .data_size = sizeof(struct cleanup),
    .start = cleanup_start,
    .answer = cleanup_answer,
};
