/* SPDX-License-Identifier: MIT
 *
 * The dotted path of a field at fault, put together only once something is at fault. */
#ifndef QMN_CODEC_PATH_PRIV_H
#define QMN_CODEC_PATH_PRIV_H

#include "base/bytes.h"
#include "base/err.h"

struct path {
    char text[sizeof((struct err *)0)->field];
    size_t len;
};

void path_name(struct path *p, struct bytes name); /* ".name" */
void path_index(struct path *p, size_t index);     /* "[3]" */
/* Gives the failure in *err (may be NULL) this path; returns code. */
enum qmn_code path_fail(const struct path *p, enum qmn_code code, struct err *err);

#endif
