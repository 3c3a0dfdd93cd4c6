/* SPDX-License-Identifier: MIT
 *
 * Ordered sets of rows that never change: a treap (Seidel and Aragon 1996) with path copying.  A
 * change copies the nodes between the root and the spot and shares the rest, so an old root is a
 * snapshot for as long as somebody holds it, a batch is a new root, and giving a batch up is
 * letting its root go.  Nodes only one holder can reach are changed in place.
 *
 * Thread rule: one thread changes; any thread reads and drops roots it holds a reference to. */
#ifndef QMN_STORE_MEM_TREE_H
#define QMN_STORE_MEM_TREE_H

#include <stdatomic.h>
#include <stdint.h>

#include "store/layout.h"

/* One stored row: the record in clear, its bytes and its sealed body in one heap block. */
struct row {
    _Atomic uint32_t refs;
    struct bytes body; /* ptr NULL: the kind has no sealed fields */
    void *record;
};

struct tree_node;

/* How the rows of one tree are ordered: by primary key, or by (tenant_no,) unique field. */
struct tree_order {
    enum record_kind kind;
    const struct field *field;  /* NULL: the primary key */
    const struct field *tenant; /* in front of the field; NULL: none */
};

struct row *row_ref(struct row *row);
void row_unref(struct row *row);

struct tree_node *tree_ref(struct tree_node *root);
void tree_unref(struct tree_node *root);

/* NULL if absent.  Borrowed from the tree. */
struct row *tree_find(const struct tree_node *root, const struct tree_order *order,
                      const void *probe);
struct row *tree_first(const struct tree_node *root);
struct row *tree_last(const struct tree_node *root);

/* Inserts, or replaces the row that compares equal; takes a reference of its own.  False when out
 * of memory: *root is then still a valid tree, fit only to be dropped. */
QMN_NODISCARD bool tree_put(struct tree_node **root, const struct tree_order *order,
                            struct row *row);
/* Absent is fine.  False as for tree_put. */
QMN_NODISCARD bool tree_remove(struct tree_node **root, const struct tree_order *order,
                               const void *probe);

/* Rows in order, from the first after `after` (NULL: all). */
typedef enum qmn_code tree_visit_fn(void *ctx, struct row *row, struct err *err);
enum qmn_code tree_walk(const struct tree_node *root, const struct tree_order *order,
                        const void *after, tree_visit_fn *visit, void *ctx, struct err *err);

#endif
