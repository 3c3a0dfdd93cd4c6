/* SPDX-License-Identifier: MIT
 *
 * The persistent treap.  Expected depth is about 2 ln n (30 for a million rows), so recursion is
 * shallow; priorities come from a private generator and no input can steer them. */
#include "tree.h"

#include <assert.h>

#include "base/mem.h"

struct tree_node {
    _Atomic uint32_t refs;
    uint32_t priority; /* a parent's is never below its children's */
    struct tree_node *left, *right;
    struct row *row;
};

struct row *row_ref(struct row *row)
{
    atomic_fetch_add_explicit(&row->refs, 1, memory_order_relaxed);
    return row;
}

void row_unref(struct row *row)
{
    if (row && atomic_fetch_sub_explicit(&row->refs, 1, memory_order_acq_rel) == 1)
        mem_free(row);
}

struct tree_node *tree_ref(struct tree_node *root)
{
    if (root)
        atomic_fetch_add_explicit(&root->refs, 1, memory_order_relaxed);
    return root;
}

void tree_unref(struct tree_node *n)
{
    while (n && atomic_fetch_sub_explicit(&n->refs, 1, memory_order_acq_rel) == 1) {
        struct tree_node *right = n->right;
        tree_unref(n->left);
        row_unref(n->row);
        mem_free(n);
        n = right;
    }
}

static uint32_t next_priority(void)
{
    static _Atomic uint64_t counter;
    uint64_t x = atomic_fetch_add_explicit(&counter, 0x9e3779b97f4a7c15u, memory_order_relaxed);
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u; /* splitmix64 */
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return (uint32_t)(x >> 32);
}

static int order_compare(const struct tree_order *o, const void *a, const void *b)
{
    if (!o->field)
        return record_key_compare(o->kind, a, b);
    if (o->tenant) {
        int64_t x = record_int(a, o->tenant), y = record_int(b, o->tenant);
        if (x != y)
            return x < y ? -1 : 1;
    }
    return bytes_compare(record_bytes(a, o->field), record_bytes(b, o->field));
}

struct row *tree_find(const struct tree_node *n, const struct tree_order *order, const void *probe)
{
    while (n) {
        int c = order_compare(order, probe, n->row->record);
        if (c == 0)
            return n->row;
        n = c < 0 ? n->left : n->right;
    }
    return NULL;
}

struct row *tree_first(const struct tree_node *n)
{
    while (n && n->left)
        n = n->left;
    return n ? n->row : NULL;
}

struct row *tree_last(const struct tree_node *n)
{
    while (n && n->right)
        n = n->right;
    return n ? n->row : NULL;
}

static struct tree_node *node_new(uint32_t priority, struct row *row, struct tree_node *left,
                                  struct tree_node *right)
{
    struct tree_node *n = mem_alloc(sizeof *n);
    if (!n)
        return NULL;
    n->refs = 1;
    n->priority = priority;
    n->row = row_ref(row);
    n->left = tree_ref(left);
    n->right = tree_ref(right);
    return n;
}

/* Makes *slot a node nobody else can reach.  Sound only when the holder of the slot is such a node
 * itself: then a count of one means one path. */
static bool node_own(struct tree_node **slot)
{
    struct tree_node *n = *slot;
    if (!n || atomic_load_explicit(&n->refs, memory_order_acquire) == 1)
        return true;
    struct tree_node *copy = node_new(n->priority, n->row, n->left, n->right);
    if (!copy)
        return false;
    tree_unref(n);
    *slot = copy;
    return true;
}

/* Both turn an owned node whose (owned) child has the higher priority. */
static void rotate_right(struct tree_node **slot)
{
    struct tree_node *n = *slot, *child = n->left;
    n->left = child->right;
    child->right = n;
    *slot = child;
}

static void rotate_left(struct tree_node **slot)
{
    struct tree_node *n = *slot, *child = n->right;
    n->right = child->left;
    child->left = n;
    *slot = child;
}

bool tree_put(struct tree_node **slot, const struct tree_order *order, struct row *row)
{
    if (!*slot)
        return (*slot = node_new(next_priority(), row, NULL, NULL)) != NULL;
    if (!node_own(slot))
        return false;
    struct tree_node *n = *slot;
    int c = order_compare(order, row->record, n->row->record);
    if (c == 0) {
        row_unref(n->row);
        n->row = row_ref(row);
        return true;
    }
    if (!tree_put(c < 0 ? &n->left : &n->right, order, row))
        return false;
    if (c < 0 && n->left->priority > n->priority)
        rotate_right(slot);
    else if (c > 0 && n->right->priority > n->priority)
        rotate_left(slot);
    return true;
}

/* Sinks the owned node *slot to a leaf, keeping the order, and drops it there. */
static bool node_sink(struct tree_node **slot)
{
    struct tree_node *n = *slot;
    if (!n->left || !n->right) {
        *slot = n->left ? n->left : n->right;
        n->left = n->right = NULL;
        tree_unref(n);
        return true;
    }
    if (n->left->priority > n->right->priority) {
        if (!node_own(&n->left))
            return false;
        rotate_right(slot);
        return node_sink(&(*slot)->right);
    }
    if (!node_own(&n->right))
        return false;
    rotate_left(slot);
    return node_sink(&(*slot)->left);
}

static bool remove_present(struct tree_node **slot, const struct tree_order *order,
                           const void *probe)
{
    if (!node_own(slot))
        return false;
    struct tree_node *n = *slot;
    assert(n);
    int c = order_compare(order, probe, n->row->record);
    if (c == 0)
        return node_sink(slot);
    return remove_present(c < 0 ? &n->left : &n->right, order, probe);
}

bool tree_remove(struct tree_node **root, const struct tree_order *order, const void *probe)
{
    return !tree_find(*root, order, probe) || remove_present(root, order, probe);
}

enum qmn_code tree_walk(const struct tree_node *n, const struct tree_order *order,
                        const void *after, tree_visit_fn *visit, void *ctx, struct err *err)
{
    for (; n; n = n->right) {
        if (after && order_compare(order, n->row->record, after) <= 0)
            continue;
        TRY(tree_walk(n->left, order, after, visit, ctx, err));
        TRY(visit(ctx, n->row, err));
        after = NULL; /* everything to the right is greater */
    }
    return QMN_OK;
}
