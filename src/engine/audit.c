/* SPDX-License-Identifier: MIT
 *
 * The audit: what was changed, by whom, in the same transaction as the change.
 *
 * Each tenant's entries count upwards.  A number is taken when the entry joins a batch; if that
 * batch fails the number is not used again, so a gap means a failed transaction, never a reused
 * number. */
#include "engine/control_priv.h"
#include "engine/group_priv.h"

/* A scan ends early by any code but QMN_OK; the context says that it was this one. */
enum { SCAN_ENOUGH = QMN_E_GONE };

void writer_audit(struct engine *e, struct tenant *t, const struct caller *caller,
                  const char *action, struct bytes target, struct bytes detail)
{
    struct record_audit *row = arena_new(writer_arena(e), struct record_audit);
    if (!row) {
        e->writer->failed = true; /* unaudited changes are refused */
        return;
    }
    *row = (struct record_audit){
        .tenant_no = t->record->no,
        .seq = ++t->audit_seq,
        .at_ms = writer_now_ms(e),
        .actor = caller ? caller->key_id : BYTES_LIT("node"),
        .action = bytes_cstr(action),
        .target = target,
        .detail = detail.len ? detail : BYTES_LIT("{}"),
    };
    writer_add(e, MUT_INSERT, RECORD_AUDIT, row);
}

/* ---- reading ---- */

struct audit_list {
    struct arena *arena;
    int64_t tenant_no;
    uint32_t limit;
    struct record_audit *entries;
    size_t count;
    bool enough;
};

static enum qmn_code list_row(void *ctx, const void *record, struct err *err)
{
    struct audit_list *l = ctx;
    const struct record_audit *row = record;
    l->enough = row->tenant_no != l->tenant_no || l->count == l->limit;
    if (l->enough)
        return (enum qmn_code)SCAN_ENOUGH;
    if (!record_copy(RECORD_AUDIT, row, l->arena, &l->entries[l->count]))
        return err_nomem(err);
    l->count++;
    return QMN_OK;
}

void engine_audit(struct engine *e, struct call *c, int64_t after, uint32_t limit,
                  struct audit_out *out)
{
    uint32_t most = limit < LIMIT_LIST ? limit : LIMIT_LIST;
    struct audit_list l = {.arena = c->arena, .tenant_no = c->caller->tenant_no, .limit = most};
    struct record_audit from = {.tenant_no = l.tenant_no, .seq = after};
    l.entries = arena_array(c->arena, struct record_audit, most);
    if (!l.entries) {
        call_finish(c, err_nomem(&c->err));
        return;
    }
    enum qmn_code code = e->store->ops->scan(e->store, RECORD_AUDIT, &from, list_row, &l, &c->err);
    if (l.enough)
        code = QMN_OK;
    if (code == QMN_OK)
        *out = (struct audit_out){.entries = l.entries, .count = l.count};
    call_finish(c, code);
}

/* ---- loading: the highest number of each tenant ----
 *
 * Most tenants have a few entries and one scan finds them all.  One that has many is left after
 * LONG_RUN of them, and its end is searched by bisection instead. */

enum { LONG_RUN = 256 };

struct audit_walk {
    struct engine *e;
    struct record_audit last; /* tenant_no and seq of the last row seen */
    uint32_t run;
    bool enough;
};

static void note_seq(struct engine *e, int64_t tenant_no, int64_t seq)
{
    struct tenant *t = network_tenant_no(&e->net, tenant_no);
    if (t && seq > t->audit_seq)
        t->audit_seq = seq;
}

static enum qmn_code walk_row(void *ctx, const void *record, struct err *err)
{
    (void)err;
    struct audit_walk *w = ctx;
    const struct record_audit *row = record;
    w->run = row->tenant_no == w->last.tenant_no ? w->run + 1 : 1;
    w->last.tenant_no = row->tenant_no;
    w->last.seq = row->seq;
    note_seq(w->e, row->tenant_no, row->seq);
    w->enough = w->run == LONG_RUN;
    return w->enough ? (enum qmn_code)SCAN_ENOUGH : QMN_OK;
}

struct audit_probe {
    int64_t tenant_no;
    bool called, found;
};

static enum qmn_code probe_row(void *ctx, const void *record, struct err *err)
{
    (void)err;
    struct audit_probe *p = ctx;
    p->called = true;
    p->found = ((const struct record_audit *)record)->tenant_no == p->tenant_no;
    return (enum qmn_code)SCAN_ENOUGH;
}

/* Whether the tenant has an entry above `seq`. */
static enum qmn_code has_above(struct engine *e, int64_t tenant_no, int64_t seq, bool *ret,
                               struct err *err)
{
    struct audit_probe p = {.tenant_no = tenant_no};
    struct record_audit from = {.tenant_no = tenant_no, .seq = seq};
    enum qmn_code code = e->store->ops->scan(e->store, RECORD_AUDIT, &from, probe_row, &p, err);
    if (!p.called && code != QMN_OK)
        return code;
    *ret = p.found;
    return QMN_OK;
}

/* The tenant's highest number, given one that it has. */
static enum qmn_code find_end(struct engine *e, int64_t tenant_no, int64_t seq, int64_t *ret,
                              struct err *err)
{
    int64_t low = seq - 1, step = LONG_RUN; /* something is above low, always */
    bool above;
    for (;; step *= 2) {
        TRY(has_above(e, tenant_no, low + step, &above, err));
        if (!above)
            break;
        low += step;
    }
    int64_t high = low + step; /* nothing is above high */
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;
        TRY(has_above(e, tenant_no, middle, &above, err));
        if (above)
            low = middle;
        else
            high = middle;
    }
    *ret = high;
    return QMN_OK;
}

enum qmn_code audit_load(struct engine *e, struct err *err)
{
    struct audit_walk w = {.e = e};
    const struct record_audit *after = NULL;
    for (;;) {
        w.enough = false;
        w.run = 0;
        struct record_audit from = w.last;
        enum qmn_code code =
            e->store->ops->scan(e->store, RECORD_AUDIT, after ? &from : NULL, walk_row, &w, err);
        if (!w.enough)
            return code;
        TRY(find_end(e, w.last.tenant_no, w.last.seq, &w.last.seq, err));
        note_seq(e, w.last.tenant_no, w.last.seq);
        after = &w.last;
    }
}
