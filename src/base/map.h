/* SPDX-License-Identifier: MIT
 *
 * Two open-addressing hash maps (linear probing, backward-shift deletion, load <= 7/8).
 * `reserve` makes the next `more` insertions unable to fail, so that a commit can allocate first
 * and then only succeed.  One writer; readers need the owner's lock. */
#ifndef QMN_BASE_MAP_H
#define QMN_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attr.h"
#include "bytes.h"

/* uint64 -> uint64.  Any key is allowed.  A key lies beside its value, since look-ups in large maps
 * wait for memory. */
struct u64map_slot {
    uint64_t key, value;
};

struct u64map {
    struct u64map_slot *slots;
    uint8_t *full; /* by slot */
    size_t len, cap;
};

void u64map_release(struct u64map *m);
/* Empties; keeps the memory. */
void u64map_clear(struct u64map *m);
QMN_NODISCARD bool u64map_reserve(struct u64map *m, size_t more);
/* NULL if absent.  The pointer holds until the next put or remove. */
uint64_t *u64map_get(const struct u64map *m, uint64_t key);
/* Inserts or overwrites; false when out of memory (never after a reserve). */
bool u64map_put(struct u64map *m, uint64_t key, uint64_t value);
bool u64map_remove(struct u64map *m, uint64_t key);

/* text -> pointer.  Keys are borrowed: they must live as long as the entry (usually inside the
 * value). Hashes are seeded per process, so hostile ids cannot aim at one bucket. */
struct textmap_slot {
    struct bytes key;
    uint64_t hash;
    void *value; /* NULL: empty slot */
};

struct textmap {
    struct textmap_slot *slots;
    size_t len, cap;
};

void textmap_release(struct textmap *m);
QMN_NODISCARD bool textmap_reserve(struct textmap *m, size_t more);
void *textmap_get(const struct textmap *m, struct bytes key);
bool textmap_put(struct textmap *m, struct bytes key, void *value);
void *textmap_remove(struct textmap *m, struct bytes key);

#endif
