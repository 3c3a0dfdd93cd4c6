/* SPDX-License-Identifier: MIT
 *
 * The cast and the script of `qmn demo`: hand-written texts.  Where each nutrient goes is the
 * node's decision; the script only knows who could answer it. */
#ifndef QMN_CLI_DEMO_H
#define QMN_CLI_DEMO_H

#include <stddef.h>

struct demo_agent {
    const char *id;
    const char *about;
    const char *capabilities[4]; /* NULL-terminated */
};

struct demo_nutrient {
    const char *source;
    const char *text;
    const char *hints[3]; /* NULL-terminated */
    const char *expert;   /* who knows the answer; the others turn it down */
    const char *answer;
};

struct demo_memory {
    const char *agent, *kind, *text;
    double quality;
};

extern const struct demo_agent demo_agents[];
extern const size_t demo_agent_count;
extern const struct demo_nutrient demo_nutrients[];
extern const size_t demo_nutrient_count;
extern const struct demo_memory demo_memories[];
extern const size_t demo_memory_count;

#endif
