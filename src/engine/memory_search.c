/* SPDX-License-Identifier: MIT
 *
 * Searching hyphal memory: what is near a vector or has the words of a query, under filters and
 * labels.  The permitted memories are found first, as bits, and both kinds of search look at no
 * others; quality and age then order a pool of candidates anew.  The index of a large tenant has
 * int8 only: exact vectors of what it found are then read from the store.  Any loop; vectors are
 * compared and the store is read without the lock, and what was found is asked again whether it may
 * be. */
#include <float.h>
#include <stdlib.h>

#include "engine/memories_priv.h"
#include "engine/memory_candidates_priv.h"
#include "engine/memory_words_priv.h"
#include "math/kernels.h"
#include "text/words.h"

enum { POOL_TIMES = 10, POOL_MIN = 100 }; /* candidates that are ordered anew, or fused: a guess */
enum { SCRATCH_BYTES = 1 << 20 };         /* of one vector's row at a time */

struct search {
    struct engine *e;
    struct call *c;
    const struct memory_search *in;
    const struct memory_filter *filter;
    struct tenant *t;
    uint32_t mode;
    struct vector_in vector;
    struct bytes text; /* whose words are looked for */
    const float *unit; /* NULL: no vector is */
    bool alike;        /* vectors are those of words, too */
    struct memory_permit permit;
    struct memory_finds finds;
    uint32_t dim;
    struct memory_match *matches; /* [top_k] */
    uint64_t seed;                /* of the tenant's words */
    struct lexical_doc doc;       /* those of the text */
    struct lexical_query words;
};

/* ---- what is asked ---- */

static bool has_vector(const struct vector_in *v)
{
    return v->values || v->text.ptr;
}

static uint32_t mode_by_input(const struct memory_search *in, bool text_space)
{
    if (in->query.ptr)
        return has_vector(&in->vector) || text_space ? SEARCH_HYBRID : SEARCH_WORDS;
    return in->vector.text.ptr && !in->vector.values && text_space ? SEARCH_HYBRID : SEARCH_VECTOR;
}

/* Either text stands in for what is missing: the query can be made a vector where vectors are
 * texts, and the text that is to be one has words. */
static enum qmn_code resolve(struct search *s, struct err *err)
{
    const struct memory_search *in = s->in;
    bool text_space = engine_text_space(s->t);
    s->mode = in->mode ? in->mode : mode_by_input(in, text_space);
    s->vector = in->vector;
    s->text = in->query.ptr ? in->query : in->vector.text;
    if (!has_vector(&in->vector) && text_space)
        s->vector.text = in->query;
    const char *mode = label_name(search_mode_names, s->mode);
    if (!has_vector(&in->vector) && !in->query.ptr)
        return err_field(err, QMN_E_INVALID, "embedding",
                         "there is nothing to search for: expected embedding, text or query");
    if (s->mode != SEARCH_WORDS && !has_vector(&s->vector))
        return err_field(err, QMN_E_INVALID, "embedding",
                         "mode %s needs an embedding: this tenant's vectors are in space \"%.*s\"",
                         mode, BYTES_FMT(s->t->record->space));
    if (s->mode != SEARCH_VECTOR && !s->text.ptr)
        return err_field(err, QMN_E_INVALID, "query", "mode %s needs a query, or text", mode);
    return QMN_OK;
}

/* Those that are past their time and not deleted yet: no statistics may count them. */
static bool find_expired(const struct search *s, struct lexical_filter *f)
{
    uint32_t count = 0, slot;
    for (slot = 0; (slot = memory_expired_next(s->t, s->permit.now, slot)) != UINT32_MAX; slot++)
        count++;
    uint32_t *slots = arena_raw(s->c->arena, uint32_t, count + 1);
    if (!slots)
        return false;
    for (slot = 0; (slot = memory_expired_next(s->t, s->permit.now, slot)) != UINT32_MAX; slot++)
        slots[f->absent_count++] = slot;
    f->absent = slots;
    return true;
}

/* Read lock held: the words of the query among the permitted. */
static bool find_words(struct search *s)
{
    struct lexical_filter f = {.permit = s->permit.bits};
    for (uint32_t label = LABEL_PUBLIC; label <= s->permit.clearance; label++)
        f.classes |= 1u << memory_words_class(label);
    if (!find_expired(s, &f))
        return false;
    lexical_query_init(&s->words, &s->t->memory_words, &s->doc, &f);
    return true;
}

/* ---- ordering anew ---- */

struct ranked {
    const struct memory_candidate *c;
    struct rerank_factors factors;
    double score;
};

/* Candidates stand in order of relevance, so where scores are equal their places decide. */
static int by_score(const void *pa, const void *pb)
{
    const struct ranked *a = pa, *b = pb;
    if (a->score != b->score)
        return a->score > b->score ? -1 : 1;
    return (a->c > b->c) - (a->c < b->c);
}

static struct ranked *order(const struct search *s, const struct memory_candidates *found)
{
    const struct rerank *r = &s->in->ranking;
    struct ranked *all = arena_array(s->c->arena, struct ranked, found->count + 1);
    for (size_t i = 0; all && i < found->count; i++) {
        const struct memory_candidate *c = &found->items[i];
        const struct memory *m = &s->t->memories[c->slot];
        struct rerank_facts known = {.quality = m->quality,
                                     .useful = (double)m->useful,
                                     .age_ms = s->permit.now - m->updated_ms};
        struct rerank_factors f = rerank_factors(r, &known);
        double score =
            rerank_asked(r) ? rerank_score((double)c->relevance, f) : (double)c->relevance;
        all[i] = (struct ranked){c, f, score};
    }
    if (all && rerank_asked(r) && found->count)
        qsort(all, found->count, sizeof *all, by_score);
    return all;
}

/* ---- explaining ---- */

/* The words of a query by their places in it; an index knows only their hashes. */
struct naming {
    const struct lexical_query *q;
    struct arena *arena;
    struct bytes *words; /* [q->len] */
    uint32_t place;
    bool failed;
};

static bool name_word(void *ctx, struct bytes word)
{
    struct naming *n = ctx;
    for (uint32_t i = 0; i < n->q->len; i++)
        if (n->q->words[i].first == n->place) {
            n->words[i] = arena_bytes(n->arena, word);
            n->failed |= !n->words[i].ptr;
        }
    n->place++;
    return !n->failed;
}

static bool explain_words(const struct search *s, const struct bytes *names, uint32_t slot,
                          struct memory_match *m)
{
    float parts[LEXICAL_QUERY_WORDS] = {0};
    struct memory_term *terms = arena_array(s->c->arena, struct memory_term, s->words.len + 1);
    if (!terms)
        return false;
    m->words_score = lexical_score(&s->words, slot, parts);
    for (uint32_t i = 0; i < s->words.len; i++)
        if (parts[i] > 0)
            terms[m->term_count++] = (struct memory_term){names[i], parts[i]};
    m->terms = terms;
    return true;
}

/* Of one that only its words brought in, as precisely as the index has it. */
static bool compare(const struct search *s, uint32_t slot, float *ret_cosine)
{
    uint32_t dim = s->t->profiles.dim;
    float *x = arena_raw(s->c->arena, float, dim);
    if (!x)
        return false;
    *ret_cosine =
        vectors_copy(s->t->memory_index, slot, x) ? math_kernels()->dot_f32(x, s->unit, dim) : 0;
    return true;
}

static bool fill_match(const struct search *s, const struct ranked *r, const struct bytes *names,
                       struct wanted *ret, struct memory_match *m)
{
    const struct memory_candidate *c = r->c;
    *m = (struct memory_match){.compared = s->unit != NULL,
                               .cosine = c->cosine,
                               .vector_rank = c->vector_rank,
                               .words_score = c->words_score,
                               .words_rank = c->words_rank,
                               .relevance = c->relevance,
                               .factors = r->factors,
                               .score = (float)r->score};
    if (s->unit && !c->vector_rank && !compare(s, c->slot, &m->cosine))
        return false;
    if (names && !explain_words(s, names, c->slot, m))
        return false;
    *ret = (struct wanted){.no = c->no, .similarity = m->cosine, .match = m};
    return true;
}

/* NULL: nothing to name, or out of memory, which *ret_failed says. */
static const struct bytes *name_words(const struct search *s, bool *ret_failed)
{
    struct naming n = {.q = &s->words, .arena = s->c->arena};
    *ret_failed = false;
    if (!s->in->explain || s->mode == SEARCH_VECTOR)
        return NULL;
    n.words = arena_array(s->c->arena, struct bytes, s->words.len + 1);
    *ret_failed = !n.words;
    if (n.words)
        text_words(s->text, name_word, &n);
    *ret_failed |= n.failed;
    return n.words;
}

static enum qmn_code fill(const struct search *s, const struct memory_candidates *found,
                          struct wanted *ret, size_t *ret_count)
{
    bool failed;
    const struct bytes *names = name_words(s, &failed);
    const struct ranked *all = failed ? NULL : order(s, found);
    size_t count = found->count < s->in->top_k ? found->count : s->in->top_k;
    for (size_t i = 0; all && !failed && i < count; i++)
        failed = !fill_match(s, &all[i], names, &ret[i], &s->matches[i]);
    if (!all || failed)
        return err_nomem(&s->c->err);
    *ret_count = count;
    return QMN_OK;
}

/* ---- */

static uint32_t pool_of(const struct search *s)
{
    uint32_t k = s->in->top_k;
    if (s->mode != SEARCH_HYBRID && !rerank_asked(&s->in->ranking))
        return k;
    return POOL_TIMES * k > POOL_MIN ? POOL_TIMES * k : POOL_MIN;
}

/* Read lock held: who asks, for what, and what of it may be found. */
static enum qmn_code search_begin(struct search *s)
{
    struct engine *e = s->e;
    struct call *c = s->c;
    struct bytes space;
    TRY(engine_tenant(e, c->caller, &s->t, &c->err));
    TRY(usage_count_read(e, s->t, USAGE_SEARCHES, &c->err));
    TRY(resolve(s, &c->err));
    s->seed = s->t->memory_words.seed;
    s->alike = engine_text_space(s->t);
    if (!memory_permit(s->t, network_clearance(s->t, c->caller), engine_now(e), s->filter, c->arena,
                       &s->permit))
        return err_nomem(&c->err);
    if (s->mode == SEARCH_WORDS)
        return QMN_OK;
    TRY(engine_vector(s->t, &s->vector, "embedding", c->arena, &s->unit, &s->dim, &space, &c->err));
    memory_index_begin(s->t, &s->permit, &s->finds);
    return QMN_OK;
}

static struct memory_aim aim_of(const struct search *s)
{
    return (struct memory_aim){.unit = s->unit,
                               .words = s->mode != SEARCH_VECTOR ? &s->words : NULL,
                               .permit = &s->permit,
                               .pool = pool_of(s),
                               .exact = s->in->exact,
                               .alike = s->alike};
}

/* What takes long, without the lock. */
static enum qmn_code search_long(struct search *s)
{
    struct memory_aim aim = aim_of(s);
    if (s->mode != SEARCH_VECTOR)
        TRY(lexical_doc_read(s->seed, &s->text, 1, &s->doc, &s->c->err));
    if (s->unit && !memory_candidates_search(s->e, &aim, &s->finds, s->c->arena))
        return err_nomem(&s->c->err);
    return QMN_OK;
}

/* Read lock held: whom the answer names. */
static enum qmn_code search_take(struct search *s, struct wanted *ret, struct memories_out *out)
{
    struct call *c = s->c;
    struct memory_aim aim = aim_of(s);
    struct memory_candidates found;
    uint32_t clearance = network_clearance(s->t, c->caller);
    if (!memory_permit_again(s->t, clearance, s->filter, c->arena, &s->permit) ||
        (s->mode != SEARCH_VECTOR && !find_words(s)) ||
        !memory_candidates_take(s->t, &aim, &s->finds, c->arena, &found))
        return err_nomem(&c->err);
    out->candidates = s->permit.count;
    out->mode = s->mode;
    out->exact = found.exact;
    return fill(s, &found, ret, &out->count);
}

/* ---- exact cosines ---- */

/* By the vector in the store; that of one that was deleted meanwhile stays as it is. */
static enum qmn_code stored_cosine(const struct search *s, struct arena *scratch, int64_t no,
                                   float *ret)
{
    const float *x;
    arena_reset(scratch);
    TRY(memory_stored_vector(s->e, no, s->dim, scratch, &x, &s->c->err));
    if (x)
        *ret = math_kernels()->dot_f32(s->unit, x, s->dim);
    return QMN_OK;
}

/* Six times what int8 is off in the mean square: nobody further behind comes forward by an exact
 * look. */
#define ROUGH_MOST 0.0012F

/* The least that has to be looked at; they stand in order of their rough cosines. */
static float worth_a_look(const struct search *s)
{
    const struct memory_finds *f = &s->finds;
    uint32_t pool = pool_of(s);
    return f->count > pool ? f->items[pool - 1].score - 2 * ROUGH_MOST : -FLT_MAX;
}

/* Of what the index found, before ranks are made of them.  Equal vectors, of which there may be
 * very many, stand side by side and are read once.  Without the lock, but for whose the slots are.
 */
static enum qmn_code look_closely(struct search *s, struct arena *scratch)
{
    struct memory_finds *f = &s->finds;
    float least = worth_a_look(s);
    struct memory_whose *all = arena_array(s->c->arena, struct memory_whose, f->count + 1);
    if (!all)
        return err_nomem(&s->c->err);
    pthread_rwlock_rdlock(&s->e->net.lock);
    memory_index_whose(s->t, f, all);
    pthread_rwlock_unlock(&s->e->net.lock);
    for (size_t i = 0; i < f->count && f->items[i].score >= least; i++)
        if (i && all[i].no && all[i - 1].no && all[i].vector == all[i - 1].vector)
            f->items[i].score = f->items[i - 1].score;
        else if (all[i].no)
            TRY(stored_cosine(s, scratch, all[i].no, &f->items[i].score));
    return QMN_OK;
}

/* Of those in the answer that only their words brought in. */
static enum qmn_code look_at_others(const struct search *s, struct arena *scratch,
                                    struct wanted *found, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!s->matches[i].vector_rank) {
            TRY(stored_cosine(s, scratch, found[i].no, &s->matches[i].cosine));
            found[i].similarity = s->matches[i].cosine;
        }
    return QMN_OK;
}

/* ---- */

static enum qmn_code search(struct search *s, struct wanted *ret, struct memories_out *out)
{
    struct engine *e = s->e;
    pthread_rwlock_rdlock(&e->net.lock);
    enum qmn_code code = search_begin(s);
    pthread_rwlock_unlock(&e->net.lock);
    if (code == QMN_OK)
        code = search_long(s);
    struct arena scratch;
    arena_init(&scratch, SCRATCH_BYTES);
    if (code == QMN_OK && s->finds.rough)
        code = look_closely(s, &scratch);
    if (code == QMN_OK) {
        pthread_rwlock_rdlock(&e->net.lock);
        code = search_take(s, ret, out);
        pthread_rwlock_unlock(&e->net.lock);
    }
    if (code == QMN_OK && s->finds.rough)
        code = look_at_others(s, &scratch, ret, out->count);
    arena_release(&scratch);
    memory_index_end(&s->finds);
    lexical_doc_release(&s->doc);
    return code;
}

void engine_search_memory(struct engine *e, struct call *c, const struct memory_search *in,
                          const struct memory_filter *filter, struct memories_out *out)
{
    *out = (struct memories_out){0};
    struct search *s = arena_new(c->arena, struct search);
    struct wanted *found = arena_array(c->arena, struct wanted, in->top_k + 1);
    struct memory_match *matches = arena_array(c->arena, struct memory_match, in->top_k + 1);
    if (!s || !found || !matches) {
        call_finish(c, err_nomem(&c->err));
        return;
    }
    s->e = e;
    s->c = c;
    s->in = in;
    s->filter = filter;
    s->matches = matches;
    enum qmn_code code = search(s, found, out);
    if (code == QMN_OK)
        code = memory_read_rows(e, c, found, out->count, out);
    call_finish(c, code);
}
