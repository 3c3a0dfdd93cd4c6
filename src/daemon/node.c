/* SPDX-License-Identifier: MIT
 *
 * The wiring.  Listeners are bound first, as root if need be; the transport exists only once the
 * engine does, so the server is given a handler that passes on to it.  Loops start last: until then
 * clients wait in the kernel's queue. */
#include "node.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "admin_key.h"
#include "api/api.h"
#include "base/mem.h"
#include "codec/codec.h"
#include "engine/engine.h"
#include "net/server.h"
#include "process_metrics.h"

/* Requests that need no waiting are done well within this; what is left then is waiting pulls and
 * collects, which only the engine can end. */
enum { QUICK_DRAIN_MS = 250 };

struct node {
    const struct config *config;
    struct metrics *metrics;
    struct server *server;
    struct engine *engine;
    struct api *api;
    struct handler handler; /* the transport's */
    const char *services[CONFIG_LISTEN_MAX];
    bool started;
};

/* ---- the server's handler ---- */

static bool on_head(void *ctx, struct request *req)
{
    const struct handler *h = &((struct node *)ctx)->handler;
    return h->on_head ? h->on_head(h->ctx, req) : true;
}

static void on_request(void *ctx, struct request *req)
{
    const struct handler *h = &((struct node *)ctx)->handler;
    h->on_request(h->ctx, req);
}

static void on_round(void *ctx, struct executor *loop)
{
    const struct handler *h = &((struct node *)ctx)->handler;
    if (h->on_round)
        h->on_round(h->ctx, loop);
}

static void on_refused(void *ctx, const struct err *err, const struct request *req,
                       const char *peer, struct arena *arena, struct refusal *ret)
{
    const struct handler *h = &((struct node *)ctx)->handler;
    if (h->on_refused)
        h->on_refused(h->ctx, err, req, peer, arena, ret);
}

/* ---- start ---- */

static enum qmn_code bind_all(struct node *n, struct err *err)
{
    const struct config *c = n->config;
    struct listener_config listeners[CONFIG_LISTEN_MAX];
    for (uint32_t i = 0; i < c->listen_count; i++) {
        listeners[i] = (struct listener_config){c->listen[i].host, c->listen[i].port};
        n->services[i] = c->listen[i].service[0] ? c->listen[i].service : NULL;
    }
    const struct server_config config = {
        .listeners = listeners,
        .listener_count = c->listen_count,
        .loops = c->loops,
        .max_connections = c->max_connections,
        .max_per_peer = c->max_per_peer,
        .metrics = n->metrics,
        .handler = {n, on_head, on_request, on_round, on_refused},
    };
    return server_new(&config, &n->server, err);
}

enum qmn_code node_bind(const struct config *config, struct node **ret, struct err *err)
{
    struct node *n = mem_calloc(1, sizeof *n);
    if (!n)
        return err_nomem(err);
    n->config = config;
    n->metrics = metrics_new();
    enum qmn_code code = n->metrics ? bind_all(n, err) : err_nomem(err);
    if (code == QMN_OK)
        *ret = n;
    else
        node_free(n);
    return code;
}

static enum qmn_code open_store(const struct config *c, const struct data_dir *data,
                                struct store **ret, struct err *err)
{
    char path[4096];
    struct store_config config = {.sealer = sealer_identity,
                                  .sync = (enum store_sync)c->synchronous};
    if (c->store == CONFIG_STORE_MEMORY) {
        if (faccessat(data->fd, DATA_DATABASE, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
            return err_set(err, QMN_E_CONFLICT,
                           "%.200s holds a database; a node that only remembers would overwrite "
                           "its admin key: name another --data-dir",
                           data->root);
        return store_mem_open(&config, ret, err);
    }
    config.path = data_dir_name(data, DATA_DATABASE, path);
    return store_sqlite_open(&config, ret, err);
}

static enum qmn_code make_folder(const struct data_dir *data, const char *name, struct err *err)
{
    if (mkdirat(data->fd, name, 0700) == 0 || errno == EEXIST)
        return QMN_OK;
    return err_set(err, QMN_E_UNAVAILABLE, "cannot make %.200s/%s: %s", data->root, name,
                   strerror(errno));
}

static enum qmn_code open_engine(struct node *n, const struct data_dir *data, struct err *err)
{
    const struct config *c = n->config;
    char pepper[4096], backups[4096], snapshots[4096];
    TRY(make_folder(data, DATA_BACKUPS, err));
    TRY(make_folder(data, DATA_SNAPSHOTS, err));
    struct store *store = NULL;
    TRY(open_store(c, data, &store, err));
    const struct engine_config config = {
        .store = store,
        .metrics = n->metrics,
        .pepper_path = data_dir_name(data, "pepper", pepper),
        .new_pepper = c->action == CONFIG_NEW_PEPPER,
        .backup_dir = data_dir_name(data, DATA_BACKUPS, backups),
        .snapshot_dir =
            c->store == CONFIG_STORE_MEMORY ? NULL : data_dir_name(data, DATA_SNAPSHOTS, snapshots),
        .sealer = &sealer_identity,
        .region = c->region,
        .epsilon = c->epsilon,
        .retention_ms = (int64_t)c->retention_days * 24 * 3600 * 1000,
    };
    enum qmn_code code = engine_new(&config, &n->engine, err);
    if (code != QMN_OK)
        store_close(store);
    return code;
}

static enum qmn_code first_key(struct node *n, const struct data_dir *data, struct err *err)
{
    enum admin_key what;
    TRY(admin_key_first(data, n->engine, &what, err));
    if (what != ADMIN_KEY_THERE)
        log_info(what == ADMIN_KEY_MADE ? "wrote the first admin key"
                                        : "kept the admin key of a start that was cut short",
                 LOG_S("directory", data->root), LOG_S("file", DATA_ADMIN_KEY));
    return QMN_OK;
}

static enum qmn_code open_api(struct node *n, struct err *err)
{
    bool loopback = true;
    for (uint32_t i = 0; i < n->config->listen_count; i++)
        loopback = loopback && config_is_loopback(n->config->listen[i].host);
    const struct api_config config = {
        .engine = n->engine,
        .metrics = n->metrics,
        .region = n->config->region,
        .version = QMN_VERSION,
        .listener_services = n->services,
        .listener_count = n->config->listen_count,
        .open_metrics = loopback && !n->config->private_metrics,
    };
    TRY(api_new(&config, &n->api, err));
    n->handler = api_handler(n->api);
    return QMN_OK;
}

uint16_t node_port(const struct node *n, uint32_t i)
{
    return server_port(n->server, i);
}

enum qmn_code node_start(struct node *n, const struct data_dir *data, struct err *err)
{
    process_metrics_register(n->metrics);
    TRY(codec_init(err));
    TRY(open_engine(n, data, err));
    TRY(first_key(n, data, err));
    TRY(open_api(n, err));
    for (uint32_t i = 0; i < server_loops(n->server); i++)
        (void)engine_gather(n->engine,
                            server_loop(n->server, i)); /* a loop too many runs ungathered */
    TRY(server_start(n->server, err));
    n->started = true;
    for (uint32_t i = 0; i < n->config->listen_count; i++) {
        const struct config_listen *a = &n->config->listen[i];
        char url[320];
        bool v6 = strchr(a->host, ':') != NULL;
        snprintf(url, sizeof url, "http://%s%s%s:%u", v6 ? "[" : "", a->host, v6 ? "]" : "",
                 node_port(n, i));
        log_info("listening", LOG_S("url", url),
                 LOG_S("service", a->service[0] ? a->service : "all"));
    }
    log_info("ready", LOG_S("version", QMN_VERSION), LOG_I("loops", server_loops(n->server)),
             LOG_S("data", data->root), LOG_I("pid", getpid()));
    return QMN_OK;
}

/* ---- for the operator, instead of a start ---- */

static enum qmn_code refuse_first(struct node *n, const struct data_dir *data, struct err *err)
{
    bool works;
    TRY(admin_key_works(data, n->engine, &works, err));
    if (works)
        return err_set(err, QMN_E_CONFLICT,
                       "this node has its first admin key already: %.200s/" DATA_ADMIN_KEY,
                       data->root);
    return err_set(err, QMN_E_CONFLICT,
                   "this node has keys already, and %.200s/" DATA_ADMIN_KEY
                   " is none of its admin keys; if all of those are lost, --new-admin-key makes "
                   "another one",
                   data->root);
}

static enum qmn_code make_key(struct node *n, const struct data_dir *data, enum admin_key *ret,
                              struct err *err)
{
    TRY(codec_init(err));
    TRY(open_engine(n, data, err));
    if (n->config->action == CONFIG_NEW_PEPPER)
        return admin_key_only(data, n->engine, ret, err);
    if (n->config->action == CONFIG_NEW_ADMIN_KEY)
        return admin_key_another(data, n->engine, ret, err);
    TRY(admin_key_first(data, n->engine, ret, err));
    return *ret == ADMIN_KEY_THERE ? refuse_first(n, data, err) : QMN_OK;
}

enum qmn_code node_make_key(const struct config *config, const struct data_dir *data,
                            enum admin_key *ret, struct err *err)
{
    struct node *n = mem_calloc(1, sizeof *n);
    if (!n)
        return err_nomem(err);
    n->config = config;
    n->metrics = metrics_new();
    enum qmn_code code = n->metrics ? make_key(n, data, ret, err) : err_nomem(err);
    node_free(n);
    return code;
}

/* ---- stop ---- */

struct draining {
    struct server *server;
    uint32_t grace_ms, cut;
};

static void *drain_server(void *arg)
{
    struct draining *d = arg;
    d->cut = server_drain(d->server, d->grace_ms);
    return NULL;
}

/* By the wall clock, because the thread sanitizer knows no pthread_clockjoin_np: a clock that is
 * set back just now makes waiting requests wait as long as the drain may. */
static struct timespec after_ms(uint32_t ms)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    int64_t ns = t.tv_nsec + (int64_t)ms * 1000000;
    return (struct timespec){t.tv_sec + (time_t)(ns / 1000000000), (long)(ns % 1000000000)};
}

void node_stop(struct node *n, uint32_t grace_ms)
{
    if (!n || !n->started)
        return;
    n->started = false;
    struct draining d = {n->server, grace_ms, 0};
    pthread_t thread;
    if (pthread_create(&thread, NULL, drain_server, &d) != 0) {
        engine_drain(n->engine);
        drain_server(&d);
    } else {
        struct timespec quick = after_ms(grace_ms < QUICK_DRAIN_MS ? grace_ms : QUICK_DRAIN_MS);
        bool done = pthread_timedjoin_np(thread, NULL, &quick) == 0;
        engine_drain(n->engine);
        if (!done)
            pthread_join(thread, NULL);
    }
    log_info("stopped", LOG_I("requests_cut", d.cut));
}

void node_free(struct node *n)
{
    if (!n)
        return;
    /* The writer may still hold commands of requests that the drain cut: it stops after the loops,
     * which start commands, and before the requests go. */
    if (n->server)
        server_stop(n->server);
    engine_stop(n->engine);
    server_free(n->server);
    api_free(n->api);
    engine_free(n->engine);
    metrics_free(n->metrics);
    mem_free(n);
}
