/* SPDX-License-Identifier: MIT
 *
 * A tenant with agents that know each other, requests made from templates, and what can be read of
 * the tenant from outside.  All requests here go without faults and must succeed.  One thread. */
#ifndef QMN_TESTS_FAULTS_WORLD_H
#define QMN_TESTS_FAULTS_WORLD_H

#include "node.h"
#include "wire.h"

enum { WORLD_ID = 64, REQUEST_BYTES = 16384 };

struct world {
    struct fault_node *node;
    struct wire *wire; /* kept alive, without faults */
    struct answer *answer;
    char tenant[WORLD_ID], key[NODE_KEY_SIZE];
    char admin[NODE_KEY_SIZE]; /* as node->admin_key, but hardly limited in rate */
    unsigned serial;           /* $N, different in all worlds */
    long audit_after, audit_seen;
    /* made by world_prepare for the next request */
    char nutrient[WORLD_ID], trace[WORLD_ID], first_trace[WORLD_ID], memory[WORLD_ID],
        key_id[WORLD_ID], task[WORLD_ID];
    char secret[NODE_KEY_SIZE];
};

/* Templates.  What stands for what:
 *
 *   $T  the tenant          $N  a number, new with each preparation
 *   $V  an embedding near agent `helper`     $U  near agent `relay`
 *
 * and, made by world_prepare if a template asks for it:
 *
 *   $I $R  a nutrient from `asker` to `helper`, and its trace      $M  a memory of `helper`
 *   $K $S  a key, and its secret    $J  a task    $A  agent "agent-$N", without profile
 *   $D  tenant "gone-$N"            $P  the trace of a nutrient from the new agent $A to `helper`
 *   $O  nothing, but the trace $R has been rated     $$  the character */
void world_expand(const struct world *w, const char *template, char *ret, size_t size);

/* Makes a tenant of its own on the node. */
void world_begin(struct world *w, struct fault_node *n, struct wire *wire, struct answer *answer);
void world_prepare(struct world *w, const char *const *templates, size_t count);
/* A request without faults; the answer in w->answer.  `expect` 0: any. */
void world_call(struct world *w, const char *key, const char *method, const char *path,
                const char *body, int expect);
/* The bytes of a request.  `body` NULL: none; `idempotency` NULL: none. */
void world_request(const struct world *w, const char *key, const char *method, const char *path,
                   const char *body, const char *idempotency, char ret[REQUEST_BYTES]);

/* ---- what can be seen from outside ---- */

#define WORLD_SIGHTS(X)                                                                            \
    X(nutrients_sent)                                                                              \
    X(contexts_collected)                                                                          \
    X(nutrients)                                                                                   \
    X(collects)                                                                                    \
    X(searches)                                                                                    \
    X(outcomes)                                                                                    \
    X(stores)                                                                                      \
    X(bytes)                                                                                       \
    X(agents)                                                                                      \
    X(agents_active)                                                                               \
    X(agents_suspended)                                                                            \
    X(inbox_pending)                                                                               \
    X(edges)                                                                                       \
    X(edge_outcomes)                                                                               \
    X(memories)                                                                                    \
    X(tasks)                                                                                       \
    X(tasks_running)                                                                               \
    X(keys_active)                                                                                 \
    X(keys_revoked)                                                                                \
    X(policies)                                                                                    \
    X(audit)                                                                                       \
    X(tenants)                                                                                     \
    X(tenants_deleted)                                                                             \
    X(backups)                                                                                     \
    X(litter) /* what else lies in the backup directory */                                         \
    X(probe)  /* a read of one's own, see world_see */

enum sight {
#define WORLD_SIGHT_ENUM(name) SEE_##name,
    WORLD_SIGHTS(WORLD_SIGHT_ENUM)
#undef WORLD_SIGHT_ENUM
        SIGHTS
};

struct sights {
    long n[SIGHTS];
};
const char *sight_name(enum sight s);

/* `probe` 1 if the answer to GET `path` holds `text` (both templates; NULL: 0). */
void world_see(struct world *w, const char *path, const char *text, struct sights *ret);
/* a - b */
struct sights sights_minus(const struct sights *a, const struct sights *b);
bool sights_equal(const struct sights *a, const struct sights *b);
/* "nutrients +1, bytes +81", or "nothing". */
void sights_print(const struct sights *delta, char *ret, size_t size);

/* The answer with everything that may differ between two right ones taken out: ids, numbers, times.
 */
void wire_shape_of(const struct answer *a, char *ret, size_t size);
/* A string field's value, or "". */
void wire_text_of(const struct answer *a, const char *field, char *ret, size_t size);

#endif
