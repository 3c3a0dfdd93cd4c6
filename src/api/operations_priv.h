/* SPDX-License-Identifier: MIT
 *
 * Every operation, by the file that translates it. */
#ifndef QMN_API_OPERATIONS_PRIV_H
#define QMN_API_OPERATIONS_PRIV_H

#include "route_priv.h"

/* nutrients.c */
extern const struct operation op_broadcast, op_respond;
/* inbox.c, stream.c */
extern const struct operation op_pull, op_stream, op_ack, op_nack;
/* contexts.c */
extern const struct operation op_collect;
/* traces.c */
extern const struct operation op_trace;
/* agents.c */
extern const struct operation op_agent_register, op_agent_get, op_agent_list, op_agent_suspend;
/* outcomes.c */
extern const struct operation op_outcome_record;
/* edges.c */
extern const struct operation op_edge_stats, op_edge_top, op_edge_list, op_edge_prune,
    op_edge_decay;
/* memory.c */
extern const struct operation op_memory_store, op_memory_batch, op_memory_get, op_memory_update,
    op_memory_history, op_memory_page, op_memory_duplicates, op_memory_export, op_memory_import,
    op_memory_delete, op_memory_list, op_memory_search, op_memory_cleanup;
/* tenants.c */
extern const struct operation op_tenant_create, op_tenant_get, op_tenant_list, op_tenant_update,
    op_tenant_delete, op_usage;
/* keys.c */
extern const struct operation op_key_create, op_key_list, op_key_rotate, op_key_revoke,
    op_key_delete, op_key_validate;
/* policies.c */
extern const struct operation op_policy_create, op_policy_array, op_policy_list, op_policy_evaluate;
/* tasks.c */
extern const struct operation op_task_create, op_task_get, op_task_list, op_task_update;
/* node.c */
extern const struct operation op_live, op_ready, op_health, op_metrics, op_openapi, op_audit,
    op_backup;

#endif
