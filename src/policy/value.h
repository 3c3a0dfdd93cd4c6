/* SPDX-License-Identifier: MIT
 *
 * What policies and the requests they judge are made of: plain values, as JSON has them.  Nodes and
 * texts belong to whoever built the tree; nothing here allocates.  Pure. */
#ifndef QMN_POLICY_VALUE_H
#define QMN_POLICY_VALUE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

enum policy_value_type {
    POLICY_NULL = 1,
    POLICY_BOOL,
    POLICY_NUMBER,
    POLICY_TEXT,
    POLICY_LIST,
    POLICY_MAP
};

struct policy_value {
    enum policy_value_type type;
    bool truth;                              /* bool */
    double number;                           /* number, finite */
    struct bytes text;                       /* text */
    struct bytes name;                       /* of a member of a map */
    const struct policy_value *first, *next; /* children of a list or map; siblings */
};

/* Member of a map; NULL if absent or `map` is no map (NULL included). */
const struct policy_value *policy_member(const struct policy_value *map, struct bytes name);
/* "a.b.c": a member of that very name, else c of b of a. */
const struct policy_value *policy_path(const struct policy_value *map, struct bytes path);

bool policy_equal(const struct policy_value *a, const struct policy_value *b);
/* Numbers by size, texts by bytes; false for anything else. */
bool policy_order(const struct policy_value *a, const struct policy_value *b, int *ret);
/* One of the list equals `v`. */
bool policy_list_has(const struct policy_value *list, const struct policy_value *v);

/* '*' stands for any run, '?' for one character; letters of ASCII match in either case. `anywhere`:
 * a part of the text is enough.  Time: at most |pattern| * |text|. */
bool policy_glob(struct bytes pattern, struct bytes text, bool anywhere);
/* `term` stands in the text as a word of its own (or several), in either case of ASCII. */
bool policy_has_word(struct bytes term, struct bytes text);

#endif
