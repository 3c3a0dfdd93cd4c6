/* SPDX-License-Identifier: MIT
 *
 * A tenant's memories by their words: the inverted index, whose slots are the memories' slots and
 * whose classes are their labels.
 *
 * The words of a memory are those (text/words.h) of its kind, its task's id, and of content and
 * metadata: the strings, the whole numbers, and the keys that are more than a word in small letters
 * (max_connections, HTTPStatus, E42; not text, title).  A plain key names a field and would be in
 * every memory.  Of a memory with more than LEXICAL_DOC_WORDS the rest is not found.
 *
 * Thread rule: that of memory_index_priv.h. */
#ifndef QMN_ENGINE_MEMORY_WORDS_PRIV_H
#define QMN_ENGINE_MEMORY_WORDS_PRIV_H

#include "engine/live_priv.h"
#include "text/lexical.h"

/* All that is read of `m`: kind, content, metadata, task_id.  ret_doc: of the arena, never released
 * and not for lexical_add.  Reads JSON as far as it is valid.  Any thread, no lock; `seed` is
 * that of the tenant's index. */
QMN_NODISCARD enum qmn_code memory_words_read(uint64_t seed, const struct record_memory *m,
                                              struct arena *arena, struct lexical_doc *ret_doc,
                                              struct err *err);

/* Before memories are published: room for what the group brings so far and for `words` different
 * words more.  After memory_index_reserve.  Takes the lock for writing when something moves. False:
 * out of memory. */
QMN_NODISCARD bool memory_words_reserve(struct engine *e, struct tenant *t, uint32_t words);
/* A label's class in the index, below LEXICAL_CLASSES. */
uint32_t memory_words_class(uint32_t sensitivity);
/* Takes the document's memory. */
void memory_words_add(struct tenant *t, uint32_t slot, uint32_t sensitivity,
                      struct lexical_doc *doc);
void memory_words_remove(struct tenant *t, uint32_t slot);
/* Empties it; the seed stays. */
void memory_words_release(struct tenant *t);
/* What is kept twice agrees.  For tests. */
bool memory_words_hold(const struct tenant *t);

#endif
