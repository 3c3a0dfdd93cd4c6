/* SPDX-License-Identifier: MIT
 *
 * The REST transport: one table of routes between the HTTP layer and the engine.  It translates and
 * decides nothing; who may do what stands in the table, what happens stands in the engine.
 *
 * Thread rule: api_new and api_free from one thread; the handler runs on every loop at once. */
#ifndef QMN_API_API_H
#define QMN_API_API_H

#include <stdbool.h>

#include "base/err.h"
#include "engine/engine.h"
#include "net/request.h"
#include "obs/metrics.h"

struct api;

struct api_config {
    struct engine *engine;
    struct metrics *metrics; /* may be NULL: /metrics is then empty */
    const char *region;      /* NULL: "local" */
    const char *version;     /* NULL: "0" */
    /* The service of each listener, by its index: "router", "memory" ...; NULL: all of them.
     * Listeners past the end serve all. */
    const char *const *listener_services;
    size_t listener_count;
    /* /metrics without a key, like /livez.  False: it takes an admin key.  Meant to be true while
     * every listener is a loopback address. */
    bool open_metrics;
};

/* Everything in `config` is borrowed until api_free.  codec_init() must have run.
 * QMN_E_INTERNAL: the route table contradicts itself or the schema; the text names the row. */
QMN_NODISCARD enum qmn_code api_new(const struct api_config *config, struct api **ret,
                                    struct err *err);
/* After the server: no request may be left. */
void api_free(struct api *a);
struct handler api_handler(struct api *a);

/* True for a name that api_config.listener_services may hold. */
bool api_service_known(const char *service);

#endif
