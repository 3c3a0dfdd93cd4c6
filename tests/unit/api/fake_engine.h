/* SPDX-License-Identifier: MIT
 *
 * An engine of cardboard: it notes what it was asked, answers with fixed samples or a chosen error,
 * at once or when told.  The transport's tests see exactly what the translation did. */
#ifndef QMN_TESTS_FAKE_ENGINE_H
#define QMN_TESTS_FAKE_ENGINE_H

#include "engine/agents.h"
#include "engine/engine.h"
#include "engine/learning.h"
#include "engine/memories.h"
#include "engine/nutrients.h"
#include "engine/tenancy.h"

#define FAKE_KEY       "good-key"
#define FAKE_ADMIN_KEY "admin-key"
#define FAKE_TENANT    "acme"

struct fake_engine {
    /* what to do */
    struct err fail; /* code other than QMN_OK: every call ends with it */
    bool hold;       /* keep calls until fake_engine_release() */
    bool replay;     /* the calls are repeats */
    uint32_t scopes; /* of FAKE_KEY */
    struct err auth; /* code other than QMN_OK: authentication ends with it */
    struct err ready;
    bool sick;         /* one health check fails */
    size_t pull_count; /* items of the next pull; 0 afterwards unless pull_again */
    bool pull_again;
    int64_t pull_first; /* sequence of the first item */

    /* what was seen */
    const char *call; /* name of the last engine function */
    unsigned calls, authentications, denials, cancels, rounds, streams;
    char denied_action[64];
    struct call *held;
    struct idempotency_in idempotency;
    char idempotency_value[300];
    char text[16][256]; /* texts of the last call, in the order of the parameter struct */
    double number[16];
    char tenant_header[80];
    int64_t unsent[8]; /* of the last stream that was closed */
    size_t unsent_count;
};

extern struct fake_engine fake;

void fake_engine_reset(void);
/* Ends the held call. */
void fake_engine_release(void);

#endif
