/* SPDX-License-Identifier: MIT
 *
 * Tasks: named pieces of work.  A trace joins one by naming its id, before or after the task itself
 * is made; the task says how the work stands and how it ended. */
#include "engine/control_priv.h"

#include <stdlib.h>

#include "base/mem.h"

/* Of a tenant, in memory and in the store.  A new one beyond takes the place of the finished one
 * that has rested longest. */
enum { TASKS_MAX = 10000 };

/* Read lock held. */
static enum qmn_code describe(const struct record_task *t, struct arena *arena,
                              struct task_out *ret, struct err *err)
{
    struct record_task row;
    if (!record_copy(RECORD_TASK, t, arena, &row))
        return err_nomem(err);
    *ret = (struct task_out){.id = row.id,
                             .title = row.title,
                             .metadata = row.metadata,
                             .status = (uint32_t)row.status,
                             .outcome = row.outcome,
                             .created_ms = row.created_ms,
                             .updated_ms = row.updated_ms};
    return QMN_OK;
}

static enum qmn_code find(const struct tenant *t, struct bytes id, struct record_task **ret,
                          struct err *err)
{
    *ret = textmap_get(&t->tasks_by_id, id);
    return *ret ? QMN_OK
                : err_set(err, QMN_E_NOT_FOUND, "there is no task \"%.*s\"",
                          id.len > 100 ? 100 : BYTES_FMT(id));
}

static enum qmn_code describe_id(struct engine *e, int64_t tenant_no, struct bytes id,
                                 struct arena *arena, struct task_out *ret, struct err *err)
{
    struct record_task *row;
    pthread_rwlock_rdlock(&e->net.lock);
    const struct tenant *t = network_tenant_no(&e->net, tenant_no);
    enum qmn_code code = t ? find(t, id, &row, err) : err_set(err, QMN_E_NOT_FOUND, "no tenant");
    if (code == QMN_OK)
        code = describe(row, arena, ret, err);
    pthread_rwlock_unlock(&e->net.lock);
    return code;
}

/* ---- changes ----
 *
 * A repeat answers how the task stands, as any look at it does; of a task that was forgotten since,
 * what the request said. */

/* With the request, what a repeat is answered from once the task is forgotten; its id stands
 * behind. */
struct task_kept {
    int64_t created_ms, updated_ms, status;
    double outcome;
};

struct task_change {
    struct command cmd;
    const struct task_in *in;
    struct bytes id;
    struct record_task *next; /* held: new, or the next version */
    struct record_task *forgotten;
    struct task_out *out;
};

static struct task_change *change_of(struct command *c)
{
    return CONTAINER_OF(c, struct task_change, cmd);
}

static enum qmn_code claim_task(struct engine *e, struct command *c, bool *ret_claimed,
                                struct err *err)
{
    const struct record_tenant *t = c->tenant->record;
    *ret_claimed = writer_claim(e, c, RECORD_TASK, bytes_hash(change_of(c)->id, (uint64_t)t->no));
    return control_active(c->tenant, err);
}

static bool is_finished(const struct record_task *t)
{
    return t->status != TASK_OPEN && t->status != TASK_RUNNING;
}

/* Makes room for one more; may set defer. */
static enum qmn_code task_room(struct engine *e, struct command *c, struct err *err)
{
    struct task_change *op = change_of(c);
    const struct textmap *all = &c->tenant->tasks_by_id;
    const struct record_tenant *t = c->tenant->record;
    struct record_task *oldest = NULL;
    op->forgotten = NULL;
    if (all->len + LIMIT_GROUP <= TASKS_MAX)
        return QMN_OK; /* whatever else this group makes */
    if (!writer_claim(e, c, RECORD_TASK, (uint64_t)t->no) || all->len < TASKS_MAX)
        return QMN_OK;
    for (size_t i = 0; i < all->cap; i++) {
        struct record_task *x = all->slots[i].value;
        if (x && is_finished(x) && (!oldest || x->updated_ms < oldest->updated_ms))
            oldest = x;
    }
    if (!oldest)
        return err_set(err, QMN_E_CONFLICT,
                       "this tenant has %zu unfinished tasks, which is the most; set the status of "
                       "some to done, failed or cancelled",
                       all->len);
    if (!writer_claim(e, c, RECORD_TASK, bytes_hash(oldest->id, (uint64_t)t->no)))
        return QMN_OK;
    writer_add(e, MUT_DELETE, RECORD_TASK, oldest);
    op->forgotten = oldest;
    return QMN_OK;
}

static enum qmn_code keep_answer(struct engine *e, struct task_change *op, struct err *err)
{
    const struct record_task *t = op->next;
    struct task_kept kept = {t->created_ms, t->updated_ms, t->status, t->outcome};
    char *p = arena_alloc(writer_arena(e), sizeof kept + op->id.len);
    if (!p)
        return err_nomem(err);
    memcpy(p, &kept, sizeof kept);
    memcpy(p + sizeof kept, op->id.ptr, op->id.len);
    op->cmd.idem_result = bytes_of(p, sizeof kept + op->id.len);
    return QMN_OK;
}

static enum qmn_code create_check(struct engine *e, struct command *c, struct err *err)
{
    struct task_change *op = change_of(c);
    const struct task_in *in = op->in;
    bool claimed;
    TRY(claim_task(e, c, &claimed, err));
    if (!claimed)
        return QMN_OK;
    if (textmap_get(&c->tenant->tasks_by_id, op->id))
        return err_field(err, QMN_E_CONFLICT, "id", "task \"%.*s\" exists already",
                         op->id.len > 100 ? 100 : BYTES_FMT(op->id));
    TRY(task_room(e, c, err));
    if (c->defer)
        return QMN_OK;
    TRY(writer_use(e, c->tenant, USAGE_BYTES, op->id.len + in->title.len + in->metadata.len, err));
    struct record_task row = {.no = writer_next_no(e),
                              .tenant_no = c->tenant->record->no,
                              .id = op->id,
                              .title = in->title,
                              .metadata = in->metadata.len ? in->metadata : BYTES_LIT("{}"),
                              .status = in->status ? in->status : TASK_OPEN,
                              .outcome = in->outcome,
                              .created_ms = writer_now_ms(e),
                              .updated_ms = writer_now_ms(e)};
    op->next = record_hold(RECORD_TASK, &row);
    if (!op->next || !control_grow_text(e, &c->tenant->tasks_by_id, LIMIT_GROUP))
        return err_nomem(err);
    writer_add(e, MUT_INSERT, RECORD_TASK, op->next);
    TRY(keep_answer(e, op, err));
    c->idem_status = 201;
    return QMN_OK;
}

static enum qmn_code update_check(struct engine *e, struct command *c, struct err *err)
{
    struct task_change *op = change_of(c);
    const struct task_in *in = op->in;
    struct record_task *old;
    bool claimed;
    TRY(claim_task(e, c, &claimed, err));
    if (!claimed)
        return QMN_OK;
    TRY(find(c->tenant, op->id, &old, err));
    TRY(writer_use(e, c->tenant, USAGE_BYTES, in->title.len + in->metadata.len, err));
    struct record_task row = *old;
    if (in->title.ptr)
        row.title = in->title;
    if (in->metadata.ptr)
        row.metadata = in->metadata;
    if (in->status)
        row.status = in->status;
    if (in->outcome >= 0)
        row.outcome = in->outcome;
    row.updated_ms = writer_now_ms(e);
    op->next = record_hold(RECORD_TASK, &row);
    if (!op->next)
        return err_nomem(err);
    writer_add(e, MUT_PUT, RECORD_TASK, op->next);
    TRY(keep_answer(e, op, err));
    return QMN_OK;
}

static void change_publish(struct engine *e, struct command *c)
{
    (void)e;
    struct record_task *next = TAKE(change_of(c)->next), *forgotten = change_of(c)->forgotten;
    if (forgotten)
        tenant_remove_task(c->tenant, forgotten);
    (void)tenant_put_task(c->tenant, next); /* the check made room */
}

static void change_discard(struct engine *e, struct command *c)
{
    (void)e;
    mem_free(TAKE(change_of(c)->next));
}

static enum qmn_code change_finish(struct engine *e, struct command *c, struct err *err)
{
    return describe_id(e, c->call->caller->tenant_no, change_of(c)->id, c->call->arena,
                       change_of(c)->out, err);
}

static enum qmn_code change_replay(struct engine *e, struct command *c, struct bytes result,
                                   struct err *err)
{
    struct task_change *op = change_of(c);
    struct task_kept kept;
    if (result.len < sizeof kept)
        return err_set(err, QMN_E_CORRUPT, "a stored idempotent answer has the wrong length");
    memcpy(&kept, result.ptr, sizeof kept);
    op->id = bytes_of(result.ptr + sizeof kept, result.len - sizeof kept);
    enum qmn_code code = change_finish(e, c, err);
    if (code != QMN_E_NOT_FOUND)
        return code;
    *op->out =
        (struct task_out){.id = op->id,
                          .title = op->in->title,
                          .metadata = op->in->metadata.len ? op->in->metadata : BYTES_LIT("{}"),
                          .status = (uint32_t)kept.status,
                          .outcome = kept.outcome,
                          .created_ms = kept.created_ms,
                          .updated_ms = kept.updated_ms};
    return QMN_OK;
}

static const struct command_ops create_ops = {
    .name = "task.create",
    .check = create_check,
    .publish = change_publish,
    .finish = change_finish,
    .replay = change_replay,
    .discard = change_discard,
};

static const struct command_ops update_ops = {
    .name = "task.update",
    .check = update_check,
    .publish = change_publish,
    .finish = change_finish,
    .replay = change_replay,
    .discard = change_discard,
};

static struct bytes new_task_id(struct engine *e, struct arena *arena)
{
    struct id id = id_make(engine_now(e));
    return engine_id_text(arena, &id, PREFIX_TASK);
}

static enum qmn_code check_input(const struct task_in *in, struct err *err)
{
    if (in->id.len && !control_id_valid(in->id))
        return err_field(err, QMN_E_INVALID, "id",
                         "%zu bytes came; expected 1 to %d printable characters", in->id.len,
                         LIMIT_ID_CHARS);
    if (in->status > TASK_CANCELLED)
        return err_field(err, QMN_E_INVALID, "status",
                         "expected open, running, done, failed or cancelled");
    if (!(in->outcome <= 1)) /* NaN too */
        return err_field(err, QMN_E_INVALID, "outcome", "%g came; expected 0 to 1", in->outcome);
    return QMN_OK;
}

static void change_start(struct engine *e, struct call *c, const struct task_in *in,
                         const struct command_ops *ops, struct task_out *out)
{
    struct task_change *op = arena_new(c->arena, struct task_change);
    enum qmn_code code = op ? check_input(in, &c->err) : err_nomem(&c->err);
    if (code == QMN_OK) {
        op->cmd.ops = ops;
        op->in = in;
        op->out = out;
        op->id = in->id.len || ops == &update_ops ? in->id : new_task_id(e, c->arena);
        if (!op->id.ptr)
            code = err_nomem(&c->err);
    }
    if (code == QMN_OK) {
        pthread_rwlock_rdlock(&e->net.lock);
        code = engine_tenant(e, c->caller, &op->cmd.tenant, &c->err);
        pthread_rwlock_unlock(&e->net.lock);
    }
    if (code == QMN_OK)
        writer_submit(e, c, &op->cmd);
    else
        call_finish(c, code);
}

void engine_create_task(struct engine *e, struct call *c, const struct task_in *in,
                        struct task_out *out)
{
    change_start(e, c, in, &create_ops, out);
}

void engine_update_task(struct engine *e, struct call *c, const struct task_in *in,
                        struct task_out *out)
{
    change_start(e, c, in, &update_ops, out);
}

/* ---- reading ---- */

void engine_get_task(struct engine *e, struct call *c, struct bytes id, struct task_out *out)
{
    call_finish(c, describe_id(e, c->caller->tenant_no, id, c->arena, out, &c->err));
}

/* A heap of the newest tasks seen, the oldest of them on top. */
struct newest {
    const struct record_task **items;
    uint32_t count, limit;
};

static void sift_down(struct newest *h, uint32_t at)
{
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= h->count)
            return;
        if (child + 1 < h->count && h->items[child + 1]->no < h->items[child]->no)
            child++;
        if (h->items[at]->no <= h->items[child]->no)
            return;
        const struct record_task *t = h->items[at];
        h->items[at] = h->items[child];
        h->items[child] = t;
        at = child;
    }
}

static void offer(struct newest *h, const struct record_task *t)
{
    if (h->count < h->limit) {
        h->items[h->count++] = t;
        if (h->count == h->limit)
            for (uint32_t i = h->count / 2; i-- > 0;)
                sift_down(h, i);
    } else if (h->count && t->no > h->items[0]->no) {
        h->items[0] = t;
        sift_down(h, 0);
    }
}

static int compare_newest(const void *a, const void *b)
{
    const struct record_task *x = *(const struct record_task *const *)a,
                             *y = *(const struct record_task *const *)b;
    return (x->no < y->no) - (x->no > y->no);
}

static enum qmn_code list_locked(struct engine *e, struct call *c, uint32_t status, uint32_t limit,
                                 struct tasks_out *out)
{
    struct tenant *t;
    TRY(engine_tenant(e, c->caller, &t, &c->err));
    const struct textmap *all = &t->tasks_by_id;
    struct newest h = {.limit = limit < all->len ? limit : (uint32_t)all->len};
    h.items = arena_array(c->arena, const struct record_task *, h.limit);
    struct task_out *list = arena_array(c->arena, struct task_out, h.limit);
    if (!h.items || !list)
        return err_nomem(&c->err);
    for (size_t i = 0; i < all->cap; i++) {
        const struct record_task *row = all->slots[i].value;
        if (row && (!status || row->status == status))
            offer(&h, row);
    }
    qsort(h.items, h.count, sizeof(const struct record_task *), compare_newest);
    for (uint32_t i = 0; i < h.count; i++)
        TRY(describe(h.items[i], c->arena, &list[i], &c->err));
    *out = (struct tasks_out){.tasks = list, .count = h.count};
    return QMN_OK;
}

void engine_list_tasks(struct engine *e, struct call *c, uint32_t status, uint32_t limit,
                       struct tasks_out *out)
{
    pthread_rwlock_rdlock(&e->net.lock);
    enum qmn_code code = list_locked(e, c, status, limit, out);
    pthread_rwlock_unlock(&e->net.lock);
    call_finish(c, code);
}
