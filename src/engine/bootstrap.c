/* SPDX-License-Identifier: MIT
 *
 * The first admin key, and the tenant it belongs to.  Made on the node, while nobody else can call:
 * there is no open way to ask for it.  Another one is made likewise when the first is lost.  The
 * starting thread waits for the writer here. */
#include "engine/control_priv.h"

#include <stdio.h>

enum { ADMIN_RATE = 60000 }; /* an operator's scripts; not a limit to meet by accident */

struct bootstrap {
    struct command cmd;
    struct tenant_birth birth; /* unused when the tenant is there already */
    bool with_tenant, another;
    struct record_key row;
    struct key *key;
    struct err err;

    pthread_mutex_t lock;
    pthread_cond_t ended;
    bool over; /* guarded by lock */
};

static struct bootstrap *bootstrap_of(struct command *c)
{
    return CONTAINER_OF(c, struct bootstrap, cmd);
}

static struct record_tenant system_row(void)
{
    return (struct record_tenant){.id = BYTES_LIT(SYSTEM_TENANT_ID),
                                  .name = BYTES_LIT("Operators of this node"),
                                  .metadata = BYTES_LIT("{}"),
                                  .plan = PLAN_ENTERPRISE};
}

static enum qmn_code prepare(struct engine *e, struct bootstrap *b, struct err *err)
{
    if (e->net.keys_by_id.len && !b->another)
        return err_set(err, QMN_E_CONFLICT,
                       "this node has keys already; the first admin key is made only once");
    struct tenant *t = network_tenant(&e->net, BYTES_LIT(SYSTEM_TENANT_ID));
    b->with_tenant = !t;
    if (!t) {
        b->birth.row = system_row();
        TRY(tenant_conceive(e, &b->birth, err));
        t = b->birth.tenant;
    }
    b->row.tenant_no = t->record->no;
    b->row.created_ms = writer_now_ms(e);
    b->key = key_new(t, &b->row);
    if (!b->key || !network_grow_keys(&e->net, LIMIT_GROUP))
        return err_nomem(err);
    writer_add(e, MUT_INSERT, RECORD_KEY, &b->row);
    writer_audit(e, t, NULL, "key.create", b->row.id,
                 b->another ? BYTES_LIT("{\"recovery\":true}") : BYTES_LIT("{\"bootstrap\":true}"));
    return QMN_OK;
}

static enum qmn_code bootstrap_check(struct engine *e, struct command *c, struct err *err)
{
    (void)err;
    struct bootstrap *b = bootstrap_of(c);
    return prepare(e, b, &b->err);
}

static void bootstrap_publish(struct engine *e, struct command *c)
{
    struct bootstrap *b = bootstrap_of(c);
    if (b->with_tenant)
        tenant_born(e, &b->birth);
    network_add_key(&e->net, TAKE(b->key));
}

static void bootstrap_discard(struct engine *e, struct command *c)
{
    (void)e;
    struct bootstrap *b = bootstrap_of(c);
    key_free(TAKE(b->key));
    tenant_unborn(&b->birth);
}

static enum qmn_code bootstrap_finish(struct engine *e, struct command *c, struct err *err)
{
    (void)e;
    (void)err;
    struct bootstrap *b = bootstrap_of(c);
    pthread_mutex_lock(&b->lock);
    b->over = true;
    pthread_cond_signal(&b->ended);
    pthread_mutex_unlock(&b->lock);
    return QMN_OK;
}

static const struct command_ops bootstrap_ops = {.name = "bootstrap",
                                                 .check = bootstrap_check,
                                                 .publish = bootstrap_publish,
                                                 .finish = bootstrap_finish,
                                                 .discard = bootstrap_discard};

static enum qmn_code submit_and_wait(struct engine *e, struct bootstrap *b, struct err *err)
{
    writer_submit(e, NULL, &b->cmd);
    pthread_mutex_lock(&b->lock);
    while (!b->over)
        pthread_cond_wait(&b->ended, &b->lock);
    pthread_mutex_unlock(&b->lock);
    if (b->cmd.code == QMN_OK)
        return QMN_OK;
    if (b->err.code == b->cmd.code)
        *err = b->err;
    else
        err_set(err, b->cmd.code, "the first admin key could not be stored");
    return b->cmd.code;
}

bool engine_has_keys(struct engine *e)
{
    pthread_rwlock_rdlock(&e->net.lock);
    bool any = e->net.keys_by_id.len > 0;
    pthread_rwlock_unlock(&e->net.lock);
    return any;
}

void engine_admin_key_text(const struct engine *e, char ret_key[ENGINE_KEY_TEXT_MAX])
{
    CLEANUP(apikey_text_wipe) struct apikey_text text = {0};
    _Static_assert(APIKEY_TEXT_SIZE <= ENGINE_KEY_TEXT_MAX, "a key fits");
    apikey_make(e->key_env, &text);
    snprintf(ret_key, ENGINE_KEY_TEXT_MAX, "%s", text.text);
}

enum qmn_code engine_bootstrap(struct engine *e, const char *key, bool another, struct err *err)
{
    struct bootstrap b = {.cmd = {.ops = &bootstrap_ops},
                          .another = another,
                          .row = {.name = another ? BYTES_LIT("admin key made on the node")
                                                  : BYTES_LIT("first admin key"),
                                  .scopes = bytes_of("admin", sizeof "admin"), /* a list of one */
                                  .clearance = LABEL_SECRET,
                                  .rate_per_minute = ADMIN_RATE},
                          .lock = PTHREAD_MUTEX_INITIALIZER,
                          .ended = PTHREAD_COND_INITIALIZER};
    CLEANUP(arena_release) struct arena arena;
    struct err local;
    arena_init(&arena, 0);
    TRY(key_fill(e, &arena, bytes_cstr(key), &b.row, err));
    return submit_and_wait(e, &b, err ? err : &local);
}
