/* SPDX-License-Identifier: MIT
 *
 * The wiring, and a clock that starts one minute into an hour: no node lives long enough to see
 * the hourly counters begin anew. */
#include "support/test.h"

#include "node.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/log.h"
#include "codec/codec.h"
#include "engine/engine_priv.h"

enum { DRAIN_MS = 2000 };

#define HOUR_MS INT64_C(3600000)
#define EPOCH   (INT64_C(472223) * HOUR_MS + 60000)

static int64_t now_ms(void *ctx)
{
    struct fault_node *n = ctx;
    return EPOCH + (clock_mono_us() - n->opened_us) / 1000 + n->ahead_ms;
}

static int64_t mono_us(void *ctx)
{
    struct fault_node *n = ctx;
    return clock_mono_us() + n->ahead_ms * 1000;
}

void fault_node_advance(struct fault_node *n, int64_t ms)
{
    n->ahead_ms += ms;
}

/* ---- the server outlives no api: it is given a handler that passes on ---- */

static bool on_head(void *ctx, struct request *req)
{
    const struct handler *h = &((struct fault_node *)ctx)->handler;
    return h->on_head(h->ctx, req);
}

static void on_request(void *ctx, struct request *req)
{
    const struct handler *h = &((struct fault_node *)ctx)->handler;
    h->on_request(h->ctx, req);
}

static void on_round(void *ctx, struct executor *loop)
{
    const struct handler *h = &((struct fault_node *)ctx)->handler;
    if (h->on_round)
        h->on_round(h->ctx, loop);
}

static void on_refused(void *ctx, const struct err *err, const struct request *req,
                       const char *peer, struct arena *arena, struct refusal *ret)
{
    const struct handler *h = &((struct fault_node *)ctx)->handler;
    h->on_refused(h->ctx, err, req, peer, arena, ret);
}

/* ---- start and stop ---- */

static enum qmn_code start_server(struct fault_node *n, struct err *err)
{
    const struct listener_config listener = {.host = "127.0.0.1"};
    const struct server_config config = {
        .listeners = &listener,
        .listener_count = 1,
        .loops = 1,
        .metrics = n->metrics,
        .handler = {n, on_head, on_request, on_round, on_refused},
    };
    return server_new(&config, &n->server, err);
}

static enum qmn_code start_engine(struct fault_node *n, struct err *err)
{
    char database[96], pepper[96], backups[96];
    snprintf(database, sizeof database, "%s/qmn.db", n->dir);
    snprintf(pepper, sizeof pepper, "%s/pepper", n->dir);
    snprintf(backups, sizeof backups, "%s/backups", n->dir);
    const struct store_config store_config = {
        .path = n->sqlite ? database : NULL,
        .sealer = sealer_identity,
        .sync = STORE_SYNC_NORMAL, /* the power stays on here */
    };
    struct store *store = NULL;
    TRY(n->sqlite ? store_sqlite_open(&store_config, &store, err)
                  : store_mem_open(&store_config, &store, err));
    n->clock = (struct clock){.now_ms = now_ms, .mono_us = mono_us, .ctx = n};
    const struct engine_config config = {
        .store = store,
        .metrics = n->metrics,
        .clock = &n->clock,
        .seed = 1,
        .pepper_path = pepper,
        .backup_dir = backups,
        .epsilon = 0,
    };
    enum qmn_code code = engine_new(&config, &n->engine, err);
    if (code != QMN_OK)
        store_close(store);
    return code;
}

static enum qmn_code start_all(struct fault_node *n, struct err *err)
{
    n->metrics = metrics_new();
    if (!n->metrics)
        return err_nomem(err);
    TRY(codec_init(err));
    TRY(start_server(n, err));
    TRY(start_engine(n, err));
    const struct api_config config = {.engine = n->engine,
                                      .metrics = n->metrics,
                                      .region = "local",
                                      .version = "test",
                                      .open_metrics = true};
    TRY(api_new(&config, &n->api, err));
    n->handler = api_handler(n->api);
    (void)engine_gather(n->engine, server_loop(n->server, 0));
    TRY(server_start(n->server, err));
    n->started = true;
    n->port = server_port(n->server, 0);
    return QMN_OK;
}

bool fault_node_start(struct fault_node *n, struct err *err)
{
    if (start_all(n, err) == QMN_OK)
        return true;
    fault_node_stop(n);
    return false;
}

void fault_node_stop(struct fault_node *n)
{
    if (n->engine)
        engine_drain(n->engine);
    if (n->started)
        (void)server_drain(n->server, DRAIN_MS);
    n->started = false;
    if (n->server)
        server_stop(n->server);
    engine_stop(n->engine);
    server_free(n->server);
    api_free(n->api);
    engine_free(n->engine);
    metrics_free(n->metrics);
    n->server = NULL;
    n->engine = NULL;
    n->api = NULL;
    n->metrics = NULL;
}

static void must_start(struct fault_node *n)
{
    struct err err = {0};
    if (!fault_node_start(n, &err))
        fail_msg("the node does not start: %s", err.text);
}

void fault_node_open(struct fault_node *n, bool sqlite)
{
    struct err err = {0};
    char backups[96];
    *n = (struct fault_node){.sqlite = sqlite, .opened_us = clock_mono_us()};
    log_configure(LOG_ERROR, LOG_LOGFMT);
    snprintf(n->dir, sizeof n->dir, "%s/qmn-faults-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(n->dir));
    snprintf(backups, sizeof backups, "%s/backups", n->dir);
    assert_int_equal(mkdir(backups, 0700), 0);
    must_start(n);
    engine_admin_key_text(n->engine, n->admin_key);
    if (engine_bootstrap(n->engine, n->admin_key, BOOTSTRAP_FIRST, &err) != QMN_OK)
        fail_msg("no first key: %s", err.text);
}

void fault_node_restart(struct fault_node *n)
{
    fault_node_stop(n);
    must_start(n);
}

static int remove_one(const char *path, const struct stat *st QMN_UNUSED, int type QMN_UNUSED,
                      struct FTW *at QMN_UNUSED)
{
    return remove(path);
}

void fault_node_close(struct fault_node *n)
{
    fault_node_stop(n);
    if (n->dir[0])
        nftw(n->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    n->dir[0] = 0;
}

void fault_node_validate(struct fault_node *n)
{
    char text[VALIDATE_TEXT];
    if (!network_validate(&n->engine->net, text))
        fail_msg("the network is not whole: %s", text);
}
