/* SPDX-License-Identifier: MIT
 *
 * The transport as a whole: what is made at start and handed to net. */
#include "api_priv.h"

#include "base/mem.h"

enum { OPENAPI_MAX_BYTES = 4 << 20 };

static void api_freep(struct api **a)
{
    api_free(*a);
}

enum qmn_code api_new(const struct api_config *config, struct api **ret, struct err *err)
{
    CLEANUP(api_freep) struct api *a = mem_calloc(1, sizeof *a);
    if (!a)
        return err_nomem(err);
    a->engine = config->engine;
    a->metrics = config->metrics;
    a->region = config->region ? config->region : "local";
    a->version = config->version ? config->version : "0";
    a->listener_services = config->listener_services;
    a->listener_count = config->listener_services ? config->listener_count : 0;
    a->open_metrics = config->open_metrics;
    buf_init(&a->openapi, OPENAPI_MAX_BYTES);
    TRY(router_new(routes, route_count, &a->router, err));
    a->series = series_new(config->metrics);
    a->denials = denials_new(config->metrics);
    if (!a->series || !a->denials)
        return err_nomem(err);
    TRY(openapi_write(a, &a->openapi, err));
    *ret = TAKE(a);
    return QMN_OK;
}

void api_free(struct api *a)
{
    if (!a)
        return;
    router_free(a->router);
    series_free(a->series);
    denials_free(a->denials);
    buf_release(&a->openapi);
    mem_free(a);
}

/* Broadcasts that came in one wake-up are scored together. */
static void api_on_round(void *ctx, struct executor *loop)
{
    struct api *a = ctx;
    engine_round(a->engine, loop);
}

struct handler api_handler(struct api *a)
{
    return (struct handler){.ctx = a,
                            .on_head = api_on_head,
                            .on_request = api_on_request,
                            .on_round = api_on_round,
                            .on_refused = api_on_refused};
}

bool api_service_known(const char *service)
{
    for (const char *const *s = route_services; *s; s++)
        if (!strcmp(*s, service))
            return true;
    return false;
}
