/* SPDX-License-Identifier: MIT
 *
 * An index with a graph as bytes, a piece at a time, and back.
 *
 * Three kinds of pieces: for each chunk of SNAPSHOT_CHUNK slots its codes, which change as vectors
 * come in, and its links, an eighth of that, which change all the time; and one head.  A piece is
 * right in itself.  Pieces may be of different moments, the head of the last, if all codes are of
 * one epoch: a link to a slot that its own chunk does not know yet is dropped by the loader, and a
 * node that lost too much by it is fresh again and linked anew by vectors_work().
 *
 * The loader takes any bytes.  It gives an index that is valid, or says QMN_E_CORRUPT and what is
 * wrong; whether the index says what the vectors were is for a checksum to guard.
 *
 * The numbers are those of the machine, the head tells their order.  Exact copies are no part of
 * it: what is loaded has none.
 *
 * Threads: saving is the writer's, or another's while it stands still. */
#ifndef QMN_INDEX_SNAPSHOT_H
#define QMN_INDEX_SNAPSHOT_H

#include "base/buf.h"
#include "base/err.h"
#include "index/vectors.h"

enum { SNAPSHOT_CHUNK = 4096 };

/* Chunks that hold slots in use; 0: there is no graph, and nothing worth saving. */
uint32_t snapshot_chunks(const struct vectors *v);
/* Pieces of the same marks are the same. */
struct snapshot_marks {
    uint64_t codes, links;
};
struct snapshot_marks snapshot_marks(const struct vectors *v, uint32_t chunk);
/* Moves when all codes are made anew. */
uint64_t snapshot_epoch(const struct vectors *v);

/* Slots that a chunk's pieces tell of: those up to the highest ever used. */
uint32_t snapshot_slots(const struct vectors *v, uint32_t chunk);
/* Each appends one piece; whether there was memory is for buf_ok(). */
void snapshot_put_head(const struct vectors *v, struct buf *b);
void snapshot_put_codes(const struct vectors *v, uint32_t chunk, struct buf *b);
void snapshot_put_links(const struct vectors *v, uint32_t chunk, struct buf *b);
/* The bytes of codes of `slots` slots; of a head. */
size_t snapshot_codes_bytes(const struct vectors *v, uint32_t slots);
size_t snapshot_head_bytes(const struct vectors *v);
/* The most that links of one chunk take. */
size_t snapshot_links_most(const struct vectors *v);

struct snapshot_loader;
struct snapshot_report {
    uint32_t slots, live, linked;
    uint32_t relink;  /* of the live: nodes that were linked, and are fresh now */
    uint64_t dropped; /* links */
};

/* options: those the index would be made with, defaults as in vectors_new(); chunks: that there are
 * pieces of, so that no head makes us reserve memory for more.  QMN_E_CONFLICT: the snapshot is of
 * an index of others, or of another format. */
QMN_NODISCARD enum qmn_code snapshot_load_begin(const struct vectors_options *options,
                                                struct bytes head, uint32_t chunks,
                                                struct snapshot_loader **ret, struct err *err);
void snapshot_load_abort(struct snapshot_loader *l);
/* Each piece once, in any order, the codes of different chunks from any thread, the links from one.
 * QMN_E_CORRUPT, QMN_E_NOMEM: abort is all that is left. */
QMN_NODISCARD enum qmn_code snapshot_load_codes(struct snapshot_loader *l, uint32_t chunk,
                                                struct bytes piece, struct err *err);
QMN_NODISCARD enum qmn_code snapshot_load_links(struct snapshot_loader *l, uint32_t chunk,
                                                struct bytes piece, struct err *err);
/* After all of them: mends what does not fit together.  The loader is gone either way. */
QMN_NODISCARD enum qmn_code snapshot_load_end(struct snapshot_loader *l, struct vectors **ret,
                                              struct snapshot_report *ret_report, struct err *err);
/* From begin on. */
const struct vectors *snapshot_load_index(const struct snapshot_loader *l);

#endif
