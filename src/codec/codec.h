/* SPDX-License-Identifier: MIT
 *
 * Start-up of the codec: compiles descriptors and constraint rows into per-message plans (field
 * lookup by name, nested plans), so that coding a message does no search.  Call once before any
 * thread uses the codec; afterwards the plans are read-only. */
#ifndef QMN_CODEC_CODEC_H
#define QMN_CODEC_CODEC_H

#include "base/arena.h"
#include "base/attr.h"
#include "base/err.h"
#include "constraint.h"

/* Registers constraint_table.  A second call does nothing.  QMN_E_INTERNAL: a row does not fit the
 * schema; the text names it. */
QMN_NODISCARD enum qmn_code codec_init(struct err *err);
/* Registers further messages (tests, tools).  `rules` is borrowed for ever. */
QMN_NODISCARD enum qmn_code codec_register(const struct message_rules *rules, size_t count,
                                           struct err *err);
/* Frees all plans.  Only for tests that count allocations. */
void codec_release(void);

/* For protobuf_c_message_unpack: the message lives in the arena and must never be handed to
 * protobuf_c_message_free_unpacked. */
ProtobufCAllocator codec_allocator(struct arena *arena);

/* An empty message with the schema's defaults; NULL when out of memory. */
ProtobufCMessage *message_new(const ProtobufCMessageDescriptor *desc, struct arena *arena);

#endif
