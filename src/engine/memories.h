/* SPDX-License-Identifier: MIT
 *
 * Hyphal memory: store, get, list, delete, search. */
#ifndef QMN_ENGINE_MEMORIES_H
#define QMN_ENGINE_MEMORIES_H

#include "engine/engine.h"

struct memory_in {
    struct bytes agent_id, kind, content, metadata, task_id, trace_id;
    struct vector_in embedding;
    double quality; /* [0, 1] */
    uint32_t sensitivity;
    double ttl_hours; /* 0: for ever */
};
struct memory_out {
    struct bytes id, agent_id, kind, content, metadata, task_id, trace_id;
    double quality;
    uint32_t sensitivity;
    int64_t created_ms, expires_ms;
    float similarity; /* search only */
};
struct memories_out {
    const struct memory_out *items;
    size_t count;
    uint64_t candidates; /* permitted rows that were compared */
};
struct memory_filter {
    struct bytes kind, agent_id;       /* empty: any */
    double quality_min, quality_above; /* >= and >; negative: none */
    double quality_max, quality_below; /* <= and <; above 1: none */
};

void engine_store_memory(struct engine *e, struct call *c, const struct memory_in *in,
                         struct memory_out *out);
/* One transaction: all of them or, at the first that is refused, none; the error's field says
 * which. count: 1 .. LIMIT_BATCH; out: [count]. */
void engine_store_memories(struct engine *e, struct call *c, const struct memory_in *in,
                           uint32_t count, struct memory_out *out);
void engine_get_memory(struct engine *e, struct call *c, struct bytes id, struct memory_out *out);
void engine_delete_memory(struct engine *e, struct call *c, struct bytes id);
/* Newest first. */
void engine_agent_memories(struct engine *e, struct call *c, struct bytes agent_id,
                           struct bytes kind, uint32_t limit, uint32_t offset,
                           struct memories_out *out);
void engine_search_memory(struct engine *e, struct call *c, const struct vector_in *query,
                          uint32_t top_k, const struct memory_filter *filter,
                          struct memories_out *out);
/* Deletes what has expired now instead of in the background. */
void engine_cleanup_memory(struct engine *e, struct call *c, uint64_t *ret_deleted);

#endif
