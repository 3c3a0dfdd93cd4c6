/* SPDX-License-Identifier: MIT
 *
 * Idempotency index: a hash map to row numbers, and a ring in order of commit that says what is
 * oldest. */
#include "engine/idempotency_priv.h"

#include "base/mem.h"

struct idempotency {
    pthread_mutex_t lock;
    struct u64map running; /* hash[0] -> hash[1] */
    struct u64map known;   /* hash[0] -> no */
    struct idem_entry {
        uint64_t hash;
        int64_t no;
    } * ring;
    uint64_t head, len, cap; /* of the ring */
    uint64_t max, evicted;
};

struct idempotency *idempotency_new(uint64_t max_entries)
{
    struct idempotency *d = mem_calloc(1, sizeof *d);
    if (!d)
        return NULL;
    d->max = max_entries;
    if (pthread_mutex_init(&d->lock, NULL)) {
        mem_free(d);
        return NULL;
    }
    return d;
}

void idempotency_free(struct idempotency *d)
{
    if (!d)
        return;
    u64map_release(&d->running);
    u64map_release(&d->known);
    mem_free(d->ring);
    pthread_mutex_destroy(&d->lock);
    mem_free(d);
}

void idempotency_hash(const struct caller *caller, const struct idempotency_in *in,
                      uint64_t ret_hash[2])
{
    for (int i = 0; i < 2; i++) {
        uint64_t h = bytes_hash(in->value, (uint64_t)caller->tenant_no * 2 + (uint64_t)i);
        h = bytes_hash(caller->key_id, h);
        ret_hash[i] = bytes_hash(in->route, h);
    }
}

enum idem_state idempotency_begin(struct idempotency *d, const uint64_t hash[2], int64_t *ret_no)
{
    enum idem_state state = IDEM_NEW;
    pthread_mutex_lock(&d->lock);
    uint64_t *no = u64map_get(&d->known, hash[0]);
    if (no) {
        *ret_no = (int64_t)*no;
        state = IDEM_KNOWN;
    } else if (u64map_get(&d->running, hash[0])) {
        state = IDEM_RUNNING;
    } else if (!u64map_put(&d->running, hash[0], hash[1])) {
        state = IDEM_NOMEM;
    }
    pthread_mutex_unlock(&d->lock);
    return state;
}

void idempotency_abort(struct idempotency *d, const uint64_t hash[2])
{
    pthread_mutex_lock(&d->lock);
    u64map_remove(&d->running, hash[0]);
    pthread_mutex_unlock(&d->lock);
}

static bool ring_reserve(struct idempotency *d, uint64_t more)
{
    if (d->len + more <= d->cap)
        return true;
    uint64_t cap = d->cap ? d->cap * 2 : 1024;
    while (cap < d->len + more)
        cap *= 2;
    struct idem_entry *ring = mem_alloc(cap * sizeof *ring);
    if (!ring)
        return false;
    for (uint64_t i = 0; i < d->len; i++)
        ring[i] = d->ring[(d->head + i) & (d->cap - 1)];
    mem_free(d->ring);
    d->ring = ring;
    d->head = 0;
    d->cap = cap;
    return true;
}

bool idempotency_reserve(struct idempotency *d, uint32_t more)
{
    pthread_mutex_lock(&d->lock);
    bool ok = u64map_reserve(&d->known, more) && ring_reserve(d, more);
    pthread_mutex_unlock(&d->lock);
    return ok;
}

static void drop_oldest(struct idempotency *d)
{
    struct idem_entry *x = &d->ring[d->head];
    uint64_t *no = u64map_get(&d->known, x->hash);
    if (no && (int64_t)*no == x->no)
        u64map_remove(&d->known, x->hash);
    d->head = (d->head + 1) & (d->cap - 1);
    d->len--;
}

void idempotency_done(struct idempotency *d, const uint64_t hash[2], int64_t no)
{
    pthread_mutex_lock(&d->lock);
    u64map_remove(&d->running, hash[0]);
    if (u64map_put(&d->known, hash[0], (uint64_t)no) && ring_reserve(d, 1))
        d->ring[(d->head + d->len++) & (d->cap - 1)] = (struct idem_entry){hash[0], no};
    if (d->len > d->max) {
        drop_oldest(d);
        d->evicted++;
    }
    pthread_mutex_unlock(&d->lock);
}

int64_t idempotency_trim(struct idempotency *d, int64_t below)
{
    pthread_mutex_lock(&d->lock);
    while (d->len && d->ring[d->head].no < below)
        drop_oldest(d);
    int64_t lowest = d->len ? d->ring[d->head].no : INT64_MAX;
    pthread_mutex_unlock(&d->lock);
    return lowest;
}

uint64_t idempotency_evicted(struct idempotency *d)
{
    pthread_mutex_lock(&d->lock);
    uint64_t n = d->evicted;
    pthread_mutex_unlock(&d->lock);
    return n;
}
