/* SPDX-License-Identifier: MIT
 *
 * The machinery behind the commands. */
#ifndef QMN_CLI_CLI_PRIV_H
#define QMN_CLI_CLI_PRIV_H

#include "cli.h"

/* ---- options.c ---- */

/* Finds the command and takes the line apart.  *ret_help: --help was among the words. */
QMN_NODISCARD enum qmn_code cli_parse(struct cli *c, int argc, char **argv, bool *ret_help,
                                      struct err *err);
const struct cli_command *cli_find(const char *first, const char *second, int *ret_words);
bool cli_group_known(const char *name);
QMN_NODISCARD enum qmn_code cli_unknown_command(struct cli *c, const char *group, const char *word,
                                                struct err *err);

/* ---- commands.c ---- */

/* Closed set of what an argument may be, for completions; NULL: anything. */
const char *const *cli_argument_words(const struct cli_command *k);

/* ---- help.c ---- */

void cli_help(const struct cli *c);
void cli_help_group(const struct cli *c, const char *group);
void cli_help_command(const struct cli *c, const struct cli_command *command);

/* ---- the commands ---- */

cli_run_fn cmd_node_status, cmd_node_health, cmd_node_metrics, cmd_backup, cmd_restore,
    cmd_bootstrap;
cli_run_fn cmd_tenant_create, cmd_tenant_list, cmd_tenant_show, cmd_tenant_update,
    cmd_tenant_delete, cmd_tenant_usage;
cli_run_fn cmd_key_create, cmd_key_list, cmd_key_rotate, cmd_key_revoke, cmd_key_check;
cli_run_fn cmd_agent_register, cmd_agent_list, cmd_agent_show, cmd_agent_suspend;
cli_run_fn cmd_broadcast, cmd_inbox, cmd_ack, cmd_nack, cmd_respond;
cli_run_fn cmd_collect, cmd_outcome, cmd_trace;
cli_run_fn cmd_edges_top, cmd_edges_of, cmd_edges_stats, cmd_edges_prune, cmd_edges_decay;
cli_run_fn cmd_memory_update, cmd_memory_history, cmd_memory_browse, cmd_memory_export,
    cmd_memory_import, cmd_memory_duplicates;
cli_run_fn cmd_memory_store, cmd_memory_search, cmd_memory_show, cmd_memory_list, cmd_memory_delete,
    cmd_memory_cleanup;
cli_run_fn cmd_task_create, cmd_task_list, cmd_task_show, cmd_task_update;
cli_run_fn cmd_policy_create, cmd_policy_list, cmd_policy_evaluate;
cli_run_fn cmd_audit;
cli_run_fn cmd_bench, cmd_demo, cmd_completion, cmd_help;

#endif
