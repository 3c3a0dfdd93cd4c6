/* SPDX-License-Identifier: MIT
 *
 * How many connections each peer address has.  An entry lives while its peer is connected, so there
 * are never more entries than connections; looking one up takes constant time, whatever addresses
 * somebody chooses (the hashes are seeded).
 *
 * An IPv6 host usually has a whole /64 and may speak from any address of it: those count as one
 * peer.  A link-local prefix is everybody's, so there each address counts for itself.
 *
 * Any thread: one lock, taken when a connection is accepted and when it ends. */
#ifndef QMN_NET_PEERS_PRIV_H
#define QMN_NET_PEERS_PRIV_H

#include <pthread.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/map.h"

struct peer {
    uint8_t key[16]; /* IPv6, or IPv4 as ::ffff:a.b.c.d */
    uint32_t connections;
};

struct peers {
    uint32_t max_each; /* immutable */
    pthread_mutex_t lock;
    struct textmap all; /* of struct peer; guarded by lock */
};

void peers_init(struct peers *p, uint32_t max_each);
void peers_release(struct peers *p);
/* One connection more.  OVERLOADED: the peer has max_each already.  NOMEM. */
QMN_NODISCARD enum qmn_code peers_join(struct peers *p, const struct sockaddr_storage *addr,
                                       struct peer **ret, struct err *err);
/* One less; the last takes the entry with it. */
void peers_leave(struct peers *p, struct peer *peer);

#endif
