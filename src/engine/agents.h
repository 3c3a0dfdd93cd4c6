/* SPDX-License-Identifier: MIT
 *
 * The agents of a tenant. */
#ifndef QMN_ENGINE_AGENTS_H
#define QMN_ENGINE_AGENTS_H

#include "engine/engine.h"

struct agent_in {
    struct bytes id, name, description, region, metadata;
    struct bytes capabilities, tools, skills; /* text lists */
    struct vector_in profile;
    uint32_t clearance; /* 0: as it is; internal, if the key has that much, for a new agent */
};
struct agent_out {
    struct bytes id, name, description, region, metadata;
    struct bytes capabilities, tools, skills;
    uint32_t status, clearance, inbox_pending;
    int64_t created_ms, updated_ms, last_seen_ms; /* last_seen 0: not since the node started */
    const float *profile;                         /* NULL unless asked for */
    size_t dim;
};
struct agents_out {
    const struct agent_out *agents;
    size_t count;
};

/* Registers, or updates and re-activates. */
void engine_register_agent(struct engine *e, struct call *c, const struct agent_in *in,
                           struct agent_out *out);
void engine_get_agent(struct engine *e, struct call *c, struct bytes id, bool profile,
                      struct agent_out *out);
/* In order of id.  status 0 and empty capability: any.  `after`: the last id seen. */
void engine_list_agents(struct engine *e, struct call *c, uint32_t status, struct bytes capability,
                        struct bytes after, uint32_t limit, struct agents_out *out);
/* Suspends: no candidate any more, its inbox is emptied. */
void engine_suspend_agent(struct engine *e, struct call *c, struct bytes id);

#endif
