/* SPDX-License-Identifier: MIT
 *
 * Connections by peer address. */
#include "peers_priv.h"

#include <assert.h>
#include <netinet/in.h>
#include <string.h>

#include "base/mem.h"

enum { PREFIX_BYTES = 8 };

void peers_init(struct peers *p, uint32_t max_each)
{
    *p = (struct peers){.max_each = max_each};
    pthread_mutex_init(&p->lock, NULL);
}

void peers_release(struct peers *p)
{
    assert(!p->all.len);
    textmap_release(&p->all);
    pthread_mutex_destroy(&p->lock);
}

static void peer_key(const struct sockaddr_storage *addr, uint8_t ret[16])
{
    memset(ret, 0, 16);
    if (addr->ss_family == AF_INET) {
        ret[10] = ret[11] = 0xff;
        memcpy(ret + 12, &((const struct sockaddr_in *)(const void *)addr)->sin_addr, 4);
        return;
    }
    const struct in6_addr *v6 = &((const struct sockaddr_in6 *)(const void *)addr)->sin6_addr;
    bool whole = IN6_IS_ADDR_V4MAPPED(v6) || IN6_IS_ADDR_LINKLOCAL(v6);
    memcpy(ret, v6, whole ? sizeof *v6 : PREFIX_BYTES);
}

static struct bytes key_of(const struct peer *peer)
{
    return bytes_of(peer->key, sizeof peer->key);
}

/* The lock is held.  NULL: no memory. */
static struct peer *peer_find(struct peers *p, const struct peer *wanted)
{
    struct peer *peer = textmap_get(&p->all, key_of(wanted));
    if (peer)
        return peer;
    peer = mem_alloc(sizeof *peer);
    if (!peer)
        return NULL;
    *peer = *wanted;
    if (textmap_put(&p->all, key_of(peer), peer))
        return peer;
    mem_free(peer);
    return NULL;
}

enum qmn_code peers_join(struct peers *p, const struct sockaddr_storage *addr, struct peer **ret,
                         struct err *err)
{
    struct peer wanted = {.connections = 0};
    peer_key(addr, wanted.key);
    pthread_mutex_lock(&p->lock);
    struct peer *peer = peer_find(p, &wanted);
    bool full = peer && peer->connections >= p->max_each;
    if (peer && !full)
        peer->connections++;
    pthread_mutex_unlock(&p->lock);
    if (!peer)
        return err_retry(err, QMN_E_NOMEM, 1, "out of memory");
    if (full)
        return err_retry(err, QMN_E_OVERLOADED, 1,
                         "this address has %u connections already, the most a peer may have",
                         p->max_each);
    *ret = peer;
    return QMN_OK;
}

void peers_leave(struct peers *p, struct peer *peer)
{
    pthread_mutex_lock(&p->lock);
    assert(peer->connections);
    if (--peer->connections == 0) {
        (void)textmap_remove(&p->all, key_of(peer));
        mem_free(peer);
    }
    pthread_mutex_unlock(&p->lock);
}
