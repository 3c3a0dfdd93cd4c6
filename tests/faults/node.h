/* SPDX-License-Identifier: MIT
 *
 * A whole node inside the test: store, engine, REST transport, one loop on a loopback port, wired
 * as the daemon wires them.  Its clock can be moved ahead; exploration is off, so that the same
 * question gets the same answer.  Failures of the machinery itself end the test.  One thread. */
#ifndef QMN_TESTS_FAULTS_NODE_H
#define QMN_TESTS_FAULTS_NODE_H

#include "api/api.h"
#include "engine/engine.h"
#include "net/server.h"

enum { NODE_KEY_SIZE = 192 };

struct fault_node {
    bool sqlite, started;
    char dir[64]; /* pepper, backups and database; removed at the end */
    struct clock clock;
    int64_t opened_us;
    _Atomic int64_t ahead_ms;
    char admin_key[NODE_KEY_SIZE];
    uint16_t port;
    struct metrics *metrics;
    struct server *server;
    struct engine *engine;
    struct api *api;
    struct handler handler;
};

void fault_node_open(struct fault_node *n, bool sqlite);
void fault_node_close(struct fault_node *n);
/* Stops the node and starts it again on the same folder; over SQLite it finds its data there. */
void fault_node_restart(struct fault_node *n);
/* Starts the parts on the folder; false, and nothing left, if any of them is refused. */
bool fault_node_start(struct fault_node *n, struct err *err);
void fault_node_stop(struct fault_node *n);
void fault_node_advance(struct fault_node *n, int64_t ms);
/* Every cross-reference of the network in memory holds, or the test fails. */
void fault_node_validate(struct fault_node *n);

#endif
