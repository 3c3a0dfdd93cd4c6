/* SPDX-License-Identifier: MIT
 *
 * The edge log: what a group did to edges, as one appended record instead of a row here and a row
 * there.
 *
 * An outcome moves a few edges, and the rows of the edges that a group moves lie on as many pages:
 * writing those was two thirds of an outcome.  So a group writes the new state of all of them into
 * one record of the log, and the row of an edge may be behind.  The truth is the rows, then the log
 * in its order.  When the log has grown beyond its bound, groups bring up to date the rows of the
 * agents that have waited longest, all edges of one at a time since those lie together, and the log
 * loses its oldest records.  An edge that goes leaves its row at once and a mark in the log,
 * against older records in it.
 *
 * Thread rule: the writer's; at load, the loading thread's. */
#ifndef QMN_ENGINE_EDGE_LOG_PRIV_H
#define QMN_ENGINE_EDGE_LOG_PRIV_H

#include "base/err.h"
#include "engine/network_priv.h"

struct engine;

struct edge_log {
    uint64_t bound;             /* bytes */
    uint64_t written;           /* bytes, ever */
    struct agent *head, **tail; /* agents with rows behind, the longest behind first */
    /* of the group at hand */
    uint32_t catching_up; /* so many at the head have their rows written by it */
    int64_t first_no;     /* of its records; 0: none */
    uint64_t added;       /* bytes */
};

enum { EDGE_LOG_BYTES = 4 << 20 }; /* 65,000 edges, read at the start in some 20 ms; a guess */

void edge_log_init(struct edge_log *g, uint64_t bound);

/* In this order while a group is finished: rows of agents that are long behind, then the group's
 * own edges.  Out of memory fails the group. */
void edge_log_catch_up(struct engine *e);
void edge_log_add(struct engine *e);
/* After the commit, before the group's edges are published ... */
void edge_log_publish(struct engine *e);
/* ... and for each of them: its row is behind from now on. */
void edge_log_mark(struct engine *e, struct agent *src, struct edge *x);

/* Applies one record of the log to the network. */
QMN_NODISCARD enum qmn_code edge_log_load(struct engine *e, const struct record_edge_log *row,
                                          struct err *err);

#endif
