/* SPDX-License-Identifier: MIT
 *
 * The first admin key, and the tenant it belongs to.  Made on the node, while nobody else can call:
 * there is no open way to ask for it.  Another one is made likewise when the first is lost, and the
 * only one when the pepper of all of them is.  The starting thread waits for the writer here. */
#include "engine/control_priv.h"

#include <stdio.h>

#include "base/mem.h"

enum { ADMIN_RATE = 60000 }; /* an operator's scripts; not a limit to meet by accident */

struct birth {
    struct command cmd;
    struct tenant_birth tenant; /* unused when the tenant is there already */
    bool with_tenant;
    enum bootstrap what;
    struct record_key row;
    struct key *key;
    struct ending {
        struct key *key;
        struct record_key *next; /* held */
    } * endings;                 /* new pepper: of all there were */
    uint32_t ending_count;
    struct apikey_mac fingerprint;
    struct record_meta mark;
    struct err err;

    pthread_mutex_t lock;
    pthread_cond_t ended;
    bool over; /* guarded by lock */
};

static struct birth *birth_of(struct command *c)
{
    return CONTAINER_OF(c, struct birth, cmd);
}

static struct record_tenant system_row(void)
{
    return (struct record_tenant){.id = BYTES_LIT(SYSTEM_TENANT_ID),
                                  .name = BYTES_LIT("Operators of this node"),
                                  .metadata = BYTES_LIT("{}"),
                                  .plan = PLAN_ENTERPRISE};
}

static enum qmn_code end_keys_of(struct engine *e, struct birth *b, struct tenant *t,
                                 struct err *err)
{
    uint32_t before = b->ending_count;
    for (struct key *k = t->keys; k; k = k->sibling) {
        struct record_key next = *k->record;
        if (next.revoked_ms)
            continue;
        next.revoked_ms = writer_now_ms(e);
        struct ending *x = &b->endings[b->ending_count];
        *x = (struct ending){k, record_hold(RECORD_KEY, &next)};
        if (!x->next)
            return err_nomem(err);
        b->ending_count++;
        writer_add(e, MUT_PUT, RECORD_KEY, x->next);
    }
    if (b->ending_count == before)
        return QMN_OK;
    char *detail = arena_printf(writer_arena(e), "{\"new_pepper\":true,\"keys\":%u}",
                                b->ending_count - before);
    if (!detail)
        return err_nomem(err);
    writer_audit(e, t, NULL, "key.revoke", BYTES_LIT("*"), bytes_cstr(detail));
    return QMN_OK;
}

/* They do not work with this pepper, nor would they with their own once the store knows this one:
 * let the lists say so. */
static enum qmn_code end_all_keys(struct engine *e, struct birth *b, struct err *err)
{
    b->endings = mem_calloc(e->net.keys_by_id.len + 1, sizeof *b->endings);
    if (!b->endings)
        return err_nomem(err);
    for (uint32_t i = 0; i < e->net.tenant_count; i++)
        TRY(end_keys_of(e, b, e->net.tenants[i], err));
    b->mark = pepper_mark(&b->fingerprint);
    writer_add(e, MUT_PUT, RECORD_META, &b->mark);
    return QMN_OK;
}

static enum qmn_code prepare(struct engine *e, struct birth *b, struct err *err)
{
    if (e->net.keys_by_id.len && b->what == BOOTSTRAP_FIRST)
        return err_set(err, QMN_E_CONFLICT,
                       "this node has keys already; the first admin key is made only once");
    struct tenant *t = network_tenant(&e->net, BYTES_LIT(SYSTEM_TENANT_ID));
    b->with_tenant = !t;
    if (!t) {
        b->tenant.row = system_row();
        TRY(tenant_conceive(e, &b->tenant, err));
        t = b->tenant.tenant;
    }
    if (b->what == BOOTSTRAP_NEW_PEPPER)
        TRY(end_all_keys(e, b, err));
    b->row.tenant_no = t->record->no;
    b->row.created_ms = writer_now_ms(e);
    b->key = key_new(t, &b->row);
    if (!b->key || !network_grow_keys(&e->net, LIMIT_GROUP))
        return err_nomem(err);
    writer_add(e, MUT_INSERT, RECORD_KEY, &b->row);
    writer_audit(e, t, NULL, "key.create", b->row.id,
                 b->what == BOOTSTRAP_FIRST ? BYTES_LIT("{\"bootstrap\":true}")
                                            : BYTES_LIT("{\"recovery\":true}"));
    return QMN_OK;
}

static enum qmn_code bootstrap_check(struct engine *e, struct command *c, struct err *err)
{
    (void)err;
    struct birth *b = birth_of(c);
    return prepare(e, b, &b->err);
}

static void bootstrap_publish(struct engine *e, struct command *c)
{
    struct birth *b = birth_of(c);
    if (b->with_tenant)
        tenant_born(e, &b->tenant);
    for (uint32_t i = 0; i < b->ending_count; i++)
        key_replace(b->endings[i].key, TAKE(b->endings[i].next));
    e->pepper_fits = true;
    network_add_key(&e->net, TAKE(b->key));
}

static void bootstrap_discard(struct engine *e, struct command *c)
{
    (void)e;
    struct birth *b = birth_of(c);
    key_free(TAKE(b->key));
    for (uint32_t i = 0; i < b->ending_count; i++)
        mem_free(b->endings[i].next);
    b->ending_count = 0;
    tenant_unborn(&b->tenant);
}

static enum qmn_code bootstrap_finish(struct engine *e, struct command *c, struct err *err)
{
    (void)e;
    (void)err;
    struct birth *b = birth_of(c);
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

static enum qmn_code submit_and_wait(struct engine *e, struct birth *b, struct err *err)
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

bool engine_pepper_fits(const struct engine *e)
{
    return e->pepper_fits;
}

enum qmn_code engine_bootstrap(struct engine *e, const char *key, enum bootstrap what,
                               struct err *err)
{
    struct birth b = {.cmd = {.ops = &bootstrap_ops},
                      .what = what,
                      .row = {.name = what == BOOTSTRAP_FIRST
                                          ? BYTES_LIT("first admin key")
                                          : BYTES_LIT("admin key made on the node"),
                              .scopes = bytes_of("admin", sizeof "admin"), /* a list of one */
                              .clearance = LABEL_SECRET,
                              .rate_per_minute = ADMIN_RATE},
                      .lock = PTHREAD_MUTEX_INITIALIZER,
                      .ended = PTHREAD_COND_INITIALIZER};
    CLEANUP(arena_release) struct arena arena;
    struct err local;
    arena_init(&arena, 0);
    TRY(pepper_fingerprint(&e->pepper, &b.fingerprint, err));
    TRY(key_fill(e, &arena, bytes_cstr(key), &b.row, err));
    enum qmn_code code = submit_and_wait(e, &b, err ? err : &local);
    mem_free(b.endings);
    return code;
}
