/* SPDX-License-Identifier: MIT
 *
 * The persistent tree against arrays, with old roots kept and checked after everything that came
 * later. */
#include "support/test.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/rng.h"
#include "store/mem/tree.h"
#include "support/fault.h"

enum { KEYS = 200, STEPS = 4000, SNAPSHOTS = 20 };

static const struct tree_order by_key = {.kind = RECORD_NUTRIENT};

struct oracle {
    int64_t value[KEYS]; /* 0: absent */
};

static struct row *row_new(int64_t no, int64_t value)
{
    struct row *row = mem_calloc(1, sizeof *row + sizeof(struct record_nutrient));
    assert_non_null(row);
    row->refs = 1;
    row->record = row + 1;
    *(struct record_nutrient *)row->record =
        (struct record_nutrient){.no = no, .created_ms = value};
    return row;
}

static bool put(struct tree_node **root, int64_t no, int64_t value)
{
    struct row *row = row_new(no, value);
    bool done = tree_put(root, &by_key, row);
    row_unref(row);
    return done;
}

struct walk {
    const struct oracle *o;
    int64_t next;
};

static enum qmn_code check_row(void *ctx, struct row *row, struct err *err QMN_UNUSED)
{
    struct walk *w = ctx;
    const struct record_nutrient *n = row->record;
    while (w->next < n->no)
        assert_int_equal(w->o->value[w->next++], 0);
    assert_int_equal(w->o->value[w->next++], n->created_ms);
    return QMN_OK;
}

static void check(const struct tree_node *root, const struct oracle *o)
{
    struct walk w = {.o = o};
    assert_int_equal(tree_walk(root, &by_key, NULL, check_row, &w, NULL), QMN_OK);
    while (w.next < KEYS)
        assert_int_equal(o->value[w.next++], 0);
}

static void old_roots_never_change(void **state)
{
    (void)state;
    struct rng r;
    struct tree_node *root = NULL, *kept[SNAPSHOTS] = {0};
    struct oracle now = {0}, then[SNAPSHOTS] = {0};
    rng_seed(&r, 5);
    for (int i = 1; i <= STEPS; i++) {
        uint32_t k = rng_below(&r, KEYS);
        bool grow = rng_below(&r, 10) < ((i / 500) % 2 ? 3u : 7u);
        assert_true(grow ? put(&root, k, i)
                         : tree_remove(&root, &by_key, &(struct record_nutrient){.no = k}));
        now.value[k] = grow ? i : 0;
        if (i % 50 == 0) {
            uint32_t slot = rng_below(&r, SNAPSHOTS);
            tree_unref(kept[slot]);
            kept[slot] = tree_ref(root);
            then[slot] = now;
            check(root, &now);
        }
    }
    for (int s = 0; s < SNAPSHOTS; s++) {
        check(kept[s], &then[s]);
        tree_unref(kept[s]);
    }
    tree_unref(root); /* a leak or a double free is the sanitizer's to find */
}

/* Whatever allocation fails, the tree held before is intact and the torn one can be dropped. */
static void a_failed_change_harms_no_other_root(void **state)
{
    (void)state;
    struct tree_node *root = NULL;
    struct oracle o = {0};
    for (int k = 0; k < KEYS; k += 2) {
        assert_true(put(&root, k, k + 1));
        o.value[k] = k + 1;
    }
    struct row *fresh = row_new(101, 1);
    for (int remove = 0; remove <= 1; remove++) {
        unsigned failures = 0;
        for (unsigned n = 1;; n++) {
            struct tree_node *next = tree_ref(root);
            fault_arm(n);
            bool done = remove ? tree_remove(&next, &by_key, &(struct record_nutrient){.no = 100})
                               : tree_put(&next, &by_key, fresh);
            bool hit = fault_disarm();
            assert_true(done == !hit);
            tree_unref(next);
            check(root, &o);
            if (!hit)
                break;
            failures++;
        }
        assert_true(failures > 2);
    }
    row_unref(fresh);
    tree_unref(root);
}

static void first_and_last_are_the_ends(void **state)
{
    (void)state;
    struct tree_node *root = NULL;
    assert_null(tree_first(root));
    assert_null(tree_last(root));
    static const int64_t nos[] = {5, 2, 9, 7};
    for (size_t i = 0; i < ARRAY_LEN(nos); i++)
        assert_true(put(&root, nos[i], 1));
    assert_int_equal(((struct record_nutrient *)tree_first(root)->record)->no, 2);
    assert_int_equal(((struct record_nutrient *)tree_last(root)->record)->no, 9);
    tree_unref(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(old_roots_never_change),
        cmocka_unit_test(a_failed_change_harms_no_other_root),
        cmocka_unit_test(first_and_last_are_the_ends),
    };
    return cmocka_run_group_tests_name("store/tree", tests, NULL, NULL);
}
