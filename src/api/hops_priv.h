/* SPDX-License-Identifier: MIT
 *
 * A hop and a weight change stand in several answers. */
#ifndef QMN_API_HOPS_PRIV_H
#define QMN_API_HOPS_PRIV_H

#include "engine/nutrients.h"
#include "qmn/v1/router.pb-c.h"
#include "translate_priv.h"

/* NULL only when out of memory (x->oom). */
Qmn__V1__Hop **out_hops(struct api_call *x, const struct hop_out *hops, size_t count);
Qmn__V1__WeightChange **out_changes(struct api_call *x, const struct weight_change *changes,
                                    size_t count);

#endif
