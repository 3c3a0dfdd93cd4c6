/* SPDX-License-Identifier: MIT
 *
 * How rows of the constraint table are written. */
#ifndef QMN_CODEC_CONSTRAINTS_PRIV_H
#define QMN_CODEC_CONSTRAINTS_PRIV_H

#include <math.h>

#include "base/attr.h"
#include "base/limits.h"
#include "codec/constraint.h"
#include "model/labels.h"

enum {
    KIND_CHARS = 64,
    SCOPES = 64,
    URL_CHARS = 2048,       /* what clients and proxies agree to carry */
    RATE_MAX = 1000000,     /* per minute: beyond it a limit is none */
    KEY_DAYS_MAX = 3650,    /* ten years */
    GRACE_SEC_MAX = 604800, /* a week to roll a key out */
    TTL_HOURS_MAX = 87600,  /* ten years */
    WAIT_MS_MAX = 25000,    /* clients and proxies that give up at 30 s hear from us before */
    LEASE_MS_MAX = 3600000, /* the longest TTL */
    WINDOW_MS_MIN = 100,
    WINDOW_MS_MAX = 5000,
    QUOTA_COST_MAX = 100,
    OFFSET_MAX = 1000000,
};
#define HALF_LIFE_HOURS_MIN 0.01 /* half a minute: less is an order by time alone */

#define ID(name, more)                                                                             \
    {                                                                                              \
        .field = (name), .flags = (more), .range = {1, LIMIT_ID_CHARS},                            \
        .pattern = PATTERN_PRINTABLE                                                               \
    }
#define NAME(name_, more)                                                                          \
    {                                                                                              \
        .field = (name_), .flags = (more), .range = {1, LIMIT_NAME_CHARS},                         \
        .pattern = PATTERN_PRINTABLE                                                               \
    }
#define TEXT(name, more, chars)                                                                    \
    {                                                                                              \
        .field = (name), .flags = (more), .range = { 1, (chars) }                                  \
    }
#define TAGS(name)                                                                                 \
    {                                                                                              \
        .field = (name), .range = {0, LIMIT_TAGS}, .each = {1, LIMIT_TAG_CHARS},                   \
        .pattern = PATTERN_PRINTABLE                                                               \
    }
#define VECTOR(name)                                                                               \
    {                                                                                              \
        .field = (name), .flags = CON_VECTOR, .range = { LIMIT_DIM_MIN, LIMIT_DIM_MAX }            \
    }
/* Needed, unless the message's text stands in its place. */
#define VECTOR_OR_TEXT(name)                                                                       \
    {                                                                                              \
        .field = (name), .flags = CON_VECTOR | CON_OR_TEXT, .range = {                             \
            LIMIT_DIM_MIN,                                                                         \
            LIMIT_DIM_MAX                                                                          \
        }                                                                                          \
    }
#define OBJECT(name, more, bytes)                                                                  \
    {                                                                                              \
        .field = (name), .flags = CON_RAW_JSON | (more), .range = { 2, (bytes) }                   \
    }
#define METADATA OBJECT("metadata", 0, LIMIT_METADATA_BYTES)
#define LABEL(name)                                                                                \
    {                                                                                              \
        .field = (name), .one_of = sensitivity_names + 1                                           \
    }
#define WORD(name, more, names)                                                                    \
    {                                                                                              \
        .field = (name), .flags = (more), .one_of = (names) + 1                                    \
    }
#define RANGE(name, lo, hi)                                                                        \
    {                                                                                              \
        .field = (name), .range = {(lo), (hi) }                                                    \
    }
/* Of a listing, whose order and default stand in the schema. */
#define ROWS                                                                                       \
    {                                                                                              \
        .field = "limit", .range = {1, LIMIT_LIST}, .about = "So many rows at most."               \
    }
#define SKIP                                                                                       \
    {                                                                                              \
        .field = "offset", .range = {0, OFFSET_MAX},                                               \
        .about = "Leaves out so many rows, in the order of the listing."                           \
    }
#define CURSOR                                                                                     \
    {                                                                                              \
        .field = "cursor", .range = {1, LIMIT_ID_CHARS}, .pattern = PATTERN_TOKEN,                 \
        .about = "The next_cursor of the page before."                                             \
    }
#define TIME(name)                                                                                 \
    {                                                                                              \
        .field = (name), .flags = CON_TIME                                                         \
    }
#define TIME_OR_NULL(name)                                                                         \
    {                                                                                              \
        .field = (name), .flags = CON_TIME | CON_NULLABLE                                          \
    }
#define OR_NULL(name)                                                                              \
    {                                                                                              \
        .field = (name), .flags = CON_NULLABLE                                                     \
    }
#define ALWAYS(name)                                                                               \
    {                                                                                              \
        .field = (name), .flags = CON_ALWAYS                                                       \
    }
#define BARE(name)                                                                                 \
    {                                                                                              \
        .field = (name), .flags = CON_BARE_ARRAY                                                   \
    }
#define OBJECT_OUT(name)                                                                           \
    {                                                                                              \
        .field = (name), .flags = CON_RAW_JSON | CON_ALWAYS                                        \
    }

#define RULES(message_, rows_)                                                                     \
    {                                                                                              \
        .message = &qmn__v1__##message_##__descriptor, .rows = (rows_), .count = ARRAY_LEN(rows_)  \
    }
#define PLAIN(message_)                                                                            \
    {                                                                                              \
        .message = &qmn__v1__##message_##__descriptor                                              \
    }

#endif
