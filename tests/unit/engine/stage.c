/* SPDX-License-Identifier: MIT */
#include "stage.h"

struct scene s;

int stage_empty(void **state)
{
    (void)state;
    scene_begin(&s, (struct test_engine_options){0});
    return 0;
}

int stage_a(void **state)
{
    (void)stage_empty(state);
    scene_agent(&s, "a", AXIS(0), NULL);
    return 0;
}

int stage_a_b(void **state)
{
    (void)stage_a(state);
    scene_agent(&s, "b", AXIS(1), NULL);
    return 0;
}

int stage_end(void **state)
{
    (void)state;
    scene_end(&s);
    return 0;
}
