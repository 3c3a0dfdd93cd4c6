/* SPDX-License-Identifier: MIT
 *
 * Denied requests of known keys on their way into the audit.
 *
 * A denial costs its sender nothing, so what it makes us write is bounded twice: a few entries per
 * key and second, and a queue of fixed length.  What goes beyond is counted, in the metrics and in
 * the detail of that key's next entry.
 *
 * Loops add under the mutex; one background command, in flight or not, takes them to the writer. */
#include "engine/control_priv.h"

#include <stdio.h>

#include "base/mem.h"
#include "codec/json_encode.h"

enum {
    DENIED_QUEUE = 256,
    DENIED_BATCH = 32,
    DENIED_PER_SECOND = 5, /* of one key; a guess at what a person can still read */
    DENIED_SOURCES = 256,  /* keys told apart; two that share a place share its allowance */
};

struct denied_entry {
    int64_t tenant_no;
    uint64_t unwritten; /* denials of this key that found no room before this one */
    char key_id[APIKEY_ID_CHARS + 1];
    char action[64], why[160];
};

struct denied_source {
    int64_t second;
    uint32_t written;
    uint64_t unwritten;
};

struct denied {
    struct command cmd; /* first: one command, reused */
    struct engine *engine;
    struct counter *beyond;
    pthread_mutex_t lock;
    pthread_cond_t idle;
    /* guarded by lock */
    bool queued;
    uint32_t head, count;
    struct denied_entry queue[DENIED_QUEUE];
    struct denied_source sources[DENIED_SOURCES];
    /* owned by the writer */
    uint32_t taken;
};

static struct denied *denied_of(struct command *c)
{
    return CONTAINER_OF(c, struct denied, cmd);
}

static struct bytes detail_of(struct arena *arena, const struct denied_entry *x)
{
    CLEANUP(buf_release) struct buf b;
    buf_init(&b, 4096);
    buf_adds(&b, "{\"why\":");
    json_put_string(&b, bytes_cstr(x->why));
    if (x->unwritten)
        buf_printf(&b, ",\"unwritten_before\":%llu", (unsigned long long)x->unwritten);
    buf_addc(&b, '}');
    return buf_ok(&b) ? arena_bytes(arena, buf_bytes(&b)) : bytes_of("{}", 2);
}

static enum qmn_code write_entry(struct engine *e, const struct denied_entry *x, struct err *err)
{
    struct arena *arena = writer_arena(e);
    struct tenant *t = network_tenant_no(&e->net, x->tenant_no);
    struct bytes action = bytes_cstr(arena_printf(arena, "denied %s", x->action));
    struct caller who = {.key_id = arena_bytes(arena, bytes_cstr(x->key_id))};
    struct bytes detail = detail_of(arena, x);
    if (!action.ptr || !who.key_id.ptr || !detail.ptr)
        return err_nomem(err);
    if (t)
        writer_audit(e, t, &who, action.ptr, who.key_id, detail);
    return QMN_OK;
}

static enum qmn_code denied_check(struct engine *e, struct command *c, struct err *err)
{
    struct denied *d = denied_of(c);
    enum qmn_code code = QMN_OK;
    pthread_mutex_lock(&d->lock);
    uint32_t n = d->count < DENIED_BATCH ? d->count : DENIED_BATCH;
    for (uint32_t i = 0; i < n && code == QMN_OK; i++)
        code = write_entry(e, &d->queue[(d->head + i) % DENIED_QUEUE], err);
    pthread_mutex_unlock(&d->lock);
    d->taken = n;
    return code;
}

/* On the writer thread, after success and failure alike.  After a failure the entries stay, and the
 * next denial tries again. */
static enum qmn_code denied_finish(struct engine *e, struct command *c, struct err *err)
{
    (void)err;
    struct denied *d = denied_of(c);
    pthread_mutex_lock(&d->lock);
    bool more = false;
    if (c->code == QMN_OK) {
        d->head = (d->head + d->taken) % DENIED_QUEUE;
        d->count -= d->taken;
        more = d->count > 0;
    }
    d->queued = more;
    if (!more)
        pthread_cond_broadcast(&d->idle);
    pthread_mutex_unlock(&d->lock);
    if (more)
        writer_submit(e, NULL, c);
    return QMN_OK;
}

static const struct command_ops denied_ops = {
    .name = "audit.denied", .check = denied_check, .finish = denied_finish};

/* Lock held.  Whether this denial may be written; if not it is counted. */
static bool admit(struct denied *d, const struct caller *caller, uint64_t *ret_unwritten)
{
    struct denied_source *s = &d->sources[bytes_hash(caller->key_id, 0) % DENIED_SOURCES];
    int64_t second = clock_mono_us() / 1000000;
    if (s->second != second) {
        s->second = second;
        s->written = 0;
    }
    if (s->written == DENIED_PER_SECOND || d->count == DENIED_QUEUE) {
        s->unwritten++;
        return false;
    }
    s->written++;
    *ret_unwritten = s->unwritten;
    s->unwritten = 0;
    return true;
}

/* As much of the text as fits, ending with a whole character. */
static void copy_text(char *to, size_t size, struct bytes from)
{
    size_t n = from.len < size ? from.len : size - 1;
    while (n < from.len && n && ((unsigned char)from.ptr[n] & 0xc0) == 0x80)
        n--;
    if (n)
        memcpy(to, from.ptr, n);
    to[n] = 0;
}

void engine_audit_denied(struct engine *e, const struct caller *caller, struct bytes action,
                         const char *why)
{
    struct denied *d = e->control ? e->control->denied : NULL;
    uint64_t unwritten = 0;
    if (!d)
        return;
    pthread_mutex_lock(&d->lock);
    bool admitted = admit(d, caller, &unwritten);
    bool submit = admitted && !d->queued;
    if (admitted) {
        struct denied_entry *x = &d->queue[(d->head + d->count++) % DENIED_QUEUE];
        x->tenant_no = caller->home_tenant_no;
        x->unwritten = unwritten;
        copy_text(x->key_id, sizeof x->key_id, caller->key_id);
        copy_text(x->action, sizeof x->action, action);
        copy_text(x->why, sizeof x->why, bytes_cstr(why));
        d->queued = true;
    }
    pthread_mutex_unlock(&d->lock);
    if (!admitted)
        counter_add(d->beyond, 1);
    if (submit)
        writer_submit(e, NULL, &d->cmd);
}

struct denied *denied_new(struct engine *e)
{
    struct denied *d = mem_calloc(1, sizeof *d);
    if (!d)
        return NULL;
    d->cmd.ops = &denied_ops;
    d->engine = e;
    pthread_mutex_init(&d->lock, NULL);
    pthread_cond_init(&d->idle, NULL);
    if (e->metrics)
        d->beyond =
            metrics_counter(e->metrics, "qmn_audit_denied_unwritten_total",
                            "Denied requests beyond what one key may write into the audit.", "");
    return d;
}

void denied_free(struct denied *d)
{
    if (!d)
        return;
    pthread_mutex_lock(&d->lock);
    while (d->queued)
        pthread_cond_wait(&d->idle, &d->lock);
    pthread_mutex_unlock(&d->lock);
    pthread_mutex_destroy(&d->lock);
    pthread_cond_destroy(&d->idle);
    mem_free(d);
}
