/* SPDX-License-Identifier: MIT
 *
 * The scene of the test at hand, set before it and taken down after it. */
#ifndef QMN_TESTS_ENGINE_STAGE_H
#define QMN_TESTS_ENGINE_STAGE_H

#include "scene.h"

extern struct scene s;

/* For cmocka: with nobody; with agent "a" on AXIS(0); with "b" on AXIS(1) as well. */
int stage_empty(void **state);
int stage_a(void **state);
int stage_a_b(void **state);
int stage_end(void **state);

#endif
