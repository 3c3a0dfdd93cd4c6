/* SPDX-License-Identifier: MIT
 *
 * Online backup: a thread of its own copies the store while everything goes on, then reads the copy
 * back. */
#include "engine/engine_priv.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

struct backup_op {
    struct engine *engine;
    struct call *call;
    struct backup_out *out;
};

static enum qmn_code backup_run(struct backup_op *op, struct err *err)
{
    struct engine *e = op->engine;
    struct stat st;
    TRY(e->store->ops->backup(e->store, op->out->path, NULL, NULL, err));
    if (stat(op->out->path, &st))
        return err_set(err, QMN_E_UNAVAILABLE, "the backup was written and cannot be found again");
    op->out->bytes = st.st_size;
    return store_sqlite_verify(op->out->path, &sealer_identity, &op->out->rows, err);
}

static void backup_home(struct task *t)
{
    struct call *c = CONTAINER_OF(t, struct call, task);
    call_finish(c, c->code);
}

static void *backup_thread(void *arg)
{
    struct backup_op *op = arg;
    struct call *c = op->call;
    struct engine *e = op->engine;
    c->code = backup_run(op, &c->err);
    c->exec->post(c->exec, &c->task); /* the call is its loop's from here on */
    atomic_fetch_sub(&e->backups, 1); /* engine_stop waits for it */
    return NULL;
}

/* A plain file name: it stays inside the backup directory. */
static bool name_valid(struct bytes name)
{
    if (!name.len || name.len > 100 || name.ptr[0] == '.')
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char ch = name.ptr[i];
        if (!((ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9') ||
              ch == '.' || ch == '-' || ch == '_'))
            return false;
    }
    return true;
}

static enum qmn_code backup_path(struct engine *e, struct bytes name, struct backup_out *out,
                                 struct err *err)
{
    char when[CLOCK_TEXT_SIZE], made[64];
    if (!e->backup_dir[0])
        return err_set(err, QMN_E_CONFLICT,
                       "this node has no backup directory (its store is in memory)");
    out->created_ms = engine_now(e);
    clock_format(out->created_ms, when);
    if (!name.len) {
        snprintf(made, sizeof made, "qmn-%.4s%.2s%.2s-%.2s%.2s%.2s.db", when, when + 5, when + 8,
                 when + 11, when + 14, when + 17);
        name = bytes_cstr(made);
    }
    if (!name_valid(name))
        return err_field(
            err, QMN_E_INVALID, "path",
            "\"%.*s\" is not a plain file name (letters, digits, '.', '-', '_', at most 100)",
            BYTES_FMT(name));
    snprintf(out->path, sizeof out->path, "%s/%.*s", e->backup_dir, BYTES_FMT(name));
    if (access(out->path, F_OK) == 0)
        return err_field(err, QMN_E_CONFLICT, "path", "backup \"%.*s\" exists", BYTES_FMT(name));
    return QMN_OK;
}

void engine_backup(struct engine *e, struct call *c, struct bytes name, struct backup_out *out)
{
    struct backup_op *op = arena_new(c->arena, struct backup_op);
    pthread_t thread;
    if (!op) {
        call_finish(c, err_nomem(&c->err));
        return;
    }
    *out = (struct backup_out){0};
    *op = (struct backup_op){.engine = e, .call = c, .out = out};
    enum qmn_code code = engine_open_for(e, &c->err);
    if (code == QMN_OK)
        code = backup_path(e, name, out, &c->err);
    if (code != QMN_OK) {
        call_finish(c, code);
        return;
    }
    c->task.run = backup_home;
    atomic_fetch_add(&e->backups, 1);
    if (pthread_create(&thread, NULL, backup_thread, op)) {
        atomic_fetch_sub(&e->backups, 1);
        call_finish(c, err_nomem(&c->err));
        return;
    }
    pthread_detach(thread);
}
