/* SPDX-License-Identifier: MIT
 *
 * What a loop does in one round goes on together: its broadcasts are scored in one pass over the
 * agents, and its commands reach the writer in one piece,
 * for the same commit.  Handed over one by one, the first of them woke the writer and was a group
 * of its own.
 *
 * Thread rule: a gather belongs to its loop. */
#ifndef QMN_ENGINE_GATHER_PRIV_H
#define QMN_ENGINE_GATHER_PRIV_H

#include <stdbool.h>

#include "base/task.h"

struct broadcast_op;
struct command;
struct engine;

struct gather {
    struct executor *exec;
    bool begun;                      /* something came in this round */
    struct broadcast_op *broadcasts; /* read, not yet decided */
    struct command *commands, **commands_end;
};

/* Of a loop that was announced with engine_gather; else NULL. */
struct gather *gather_of(struct engine *e, const struct executor *exec);
/* Before anything is put in: the writer may expect commands of this round. */
void gather_begin(struct engine *e, struct gather *g);
void gather_command(struct engine *e, struct gather *g, struct command *cmd);

/* Decides the gathered broadcasts and submits them.  In broadcast.c. */
void broadcast_decide_all(struct engine *e, struct gather *g);

#endif
