/* SPDX-License-Identifier: MIT
 *
 * A filter as text: (kind in[plan] quality > 0.5). */
#ifndef QMN_TEST_FILTER_TEXT_H
#define QMN_TEST_FILTER_TEXT_H

#include "engine/memories.h"

/* Static memory; lasts until the next call. */
const char *filter_text(const struct memory_filter *f);

#endif
