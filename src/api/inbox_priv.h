/* SPDX-License-Identifier: MIT
 *
 * What pull and stream share. */
#ifndef QMN_API_INBOX_PRIV_H
#define QMN_API_INBOX_PRIV_H

#include "engine/nutrients.h"
#include "qmn/v1/router.pb-c.h"
#include "translate_priv.h"

/* NULL only when out of memory (x->oom). */
Qmn__V1__InboxItem *out_inbox_item(struct api_call *x, const struct inbox_item *i);

#endif
