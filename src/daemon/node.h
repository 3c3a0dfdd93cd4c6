/* SPDX-License-Identifier: MIT
 *
 * A node put together: listeners, store, engine, transport.  Main thread. */
#ifndef QMN_DAEMON_NODE_H
#define QMN_DAEMON_NODE_H

#include "admin_key.h"
#include "config.h"
#include "data_dir.h"

struct node;

/* Binds the addresses, so that a busy one is found before any data is touched and a low port may be
 * bound by root.  QMN_E_CONFLICT: taken.  `config` is borrowed until node_free. */
QMN_NODISCARD enum qmn_code node_bind(const struct config *config, struct node **ret,
                                      struct err *err);
/* Opens the data and answers requests from here on. */
QMN_NODISCARD enum qmn_code node_start(struct node *n, const struct data_dir *data,
                                       struct err *err);
/* Of the i-th address. */
uint16_t node_port(const struct node *n, uint32_t i);
/* Instead of all that, with the node stopped: makes an admin key, as config->action says.
 * QMN_E_CONFLICT: there is no need to. */
QMN_NODISCARD enum qmn_code node_make_key(const struct config *config, const struct data_dir *data,
                                          enum admin_key *ret, struct err *err);
/* Ends requests in progress, at most grace_ms long, then everything else.  Accepts a node that was
 * only bound. */
void node_stop(struct node *n, uint32_t grace_ms);
/* Accepts one that was never stopped: whoever is connected is cut off. */
void node_free(struct node *n);

#endif
