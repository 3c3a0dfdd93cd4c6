/* SPDX-License-Identifier: MIT
 *
 * A tenant "acme" with agents on small vectors, and its calls in one line each.  Every function
 * runs its call to the end and returns its code; results live until the scene ends.  Ending it
 * validates the network.
 *
 * Vectors have SCENE_DIM numbers; AXIS(i) points along the i-th. */
#ifndef QMN_TESTS_ENGINE_SCENE_H
#define QMN_TESTS_ENGINE_SCENE_H

#include "support/test.h"

#include "engine/agents.h"
#include "engine/learning.h"
#include "engine/memories.h"
#include "engine/nutrients.h"
#include "support/test_engine.h"

enum { SCENE_DIM = 8 };

struct vec {
    float v[SCENE_DIM];
};
static inline struct vec scene_axis(int i)
{
    struct vec v = {{0}};
    v.v[i] = 1;
    return v;
}
#define AXIS(i)  scene_axis(i)
#define VEC(...) ((struct vec){.v = {__VA_ARGS__}})

struct scene {
    struct test_engine *te;
    struct caller caller; /* of a key of "acme" with all scopes and clearance secret */
};

void scene_begin(struct scene *s, struct test_engine_options options);
/* The network must be whole. */
void scene_end(struct scene *s);
void scene_validate(struct scene *s);
void scene_restart(struct scene *s);

struct vector_in scene_vector(struct scene *s, struct vec v);

/* An agent with this profile; capabilities: words set apart by blanks, or NULL; clearance internal.
 */
void scene_agent(struct scene *s, const char *id, struct vec profile, const char *capabilities);
void scene_agent_cleared(struct scene *s, const char *id, struct vec profile, uint32_t clearance);
/* Without a profile. */
void scene_capable(struct scene *s, const char *id, const char *capabilities);
enum qmn_code scene_suspend(struct scene *s, const char *id);

/* A broadcast of default values: top_k 3, one hop, not diverse, ttl 60 s, internal, no hints. */
struct broadcast_in scene_nutrient(struct scene *s, const char *source, struct vec v);
enum qmn_code scene_broadcast(struct scene *s, const struct broadcast_in *in,
                              struct broadcast_out *out);
/* Both at once; fails the test unless it succeeds. */
struct broadcast_out scene_send(struct scene *s, const char *source, struct vec v);

/* Pulls at once with a lease of 30 s. */
struct pull_out scene_pull(struct scene *s, const char *agent, uint32_t limit);
enum qmn_code scene_pull_as(struct scene *s, const struct caller *caller, const struct pull_in *in,
                            struct pull_out *out);
enum qmn_code scene_ack(struct scene *s, const char *agent, struct bytes nutrient,
                        struct ack_out *out);
enum qmn_code scene_nack(struct scene *s, const char *agent, struct bytes nutrient, bool reject,
                         uint32_t delay_ms);
enum qmn_code scene_respond(struct scene *s, const char *agent, struct bytes nutrient,
                            const char *content, struct respond_out *out);

/* Defaults: window 300 ms, top_k 5, not diverse. */
struct collect_in scene_demand(struct scene *s, const char *agent, struct vec v);
struct collect_out scene_collect(struct scene *s, const char *agent, struct vec v);

enum qmn_code scene_outcome(struct scene *s, const char *rater, struct bytes trace, double score,
                            struct outcome_out *out);
/* The stored edge's weight as listed now; -1 when there is none. */
double scene_weight(struct scene *s, const char *src, const char *dst);

struct memory_in scene_memory(struct scene *s, const char *agent, struct vec v);
enum qmn_code scene_remember(struct scene *s, const char *agent, struct vec v,
                             struct memory_out *out);
struct memories_out scene_search(struct scene *s, struct vec v, uint32_t top_k);
extern const struct memory_filter scene_no_filter;

struct trace_out scene_trace(struct scene *s, struct bytes trace);

/* What the network holds, in numbers that any mutation moves. */
struct scene_state {
    uint64_t agents, active, edges, live, live_bytes, responses, memories, pending, nutrients,
        collects, outcomes, stores, bytes, recents, tags, policies, tasks, keys, tenants;
    double weights;
};
struct scene_state scene_look(struct scene *s);

/* The names of the agents reached, in order, set apart by blanks. */
const char *scene_reached(struct scene *s, const struct broadcast_out *out);
bool scene_reaches(const struct broadcast_out *out, const char *agent);

/* Stops the writer inside a commit, so that calls started from now on come in one group.  The
 * commit is that of a memory of the default agent; scene_let_go waits for its end. */
struct scene_hold {
    struct call *call;
    struct memory_in in;
    struct memory_out out;
};
void scene_hold(struct scene *s, struct scene_hold *h);
void scene_let_go(struct scene *s, struct scene_hold *h);

/* Returns when the engine's background work that is due now has been done. */
void scene_settle(struct scene *s);

#endif
