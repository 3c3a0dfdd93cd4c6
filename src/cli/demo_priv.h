/* SPDX-License-Identifier: MIT
 *
 * What one run of the demo brought, between the script that runs it and what is shown of it. */
#ifndef QMN_CLI_DEMO_PRIV_H
#define QMN_CLI_DEMO_PRIV_H

#include "cli_priv.h"
#include "demo.h"
#include "qmn/v1/router.pb-c.h"

#define DEMO_TENANT "demo"

enum { DEMO_NUTRIENTS_MAX = 32, DEMO_CHANGES_MAX = 256 };

struct demo_change {
    const char *src, *dst;
    double first, last;
};

struct demo {
    struct cli *c;
    struct progress progress;
    const char *tenant;
    unsigned calls;
    const Qmn__V1__BroadcastResponse *first[DEMO_NUTRIENTS_MAX], *second[DEMO_NUTRIENTS_MAX];
    struct demo_change changes[DEMO_CHANGES_MAX];
    size_t change_count;
    unsigned asked; /* deliveries of the first round */
    unsigned answered, deliveries;
    const Qmn__V1__CollectResponse *collected;
};

void demo_show(const struct demo *d);

#endif
