/* SPDX-License-Identifier: MIT
 *
 * The contract of store.h as tests.  Every test file here is one executable that takes the backend
 * to test as its argument ("mem", "sqlite"); each test starts with an empty store in *state.  A new
 * backend adds a row to the table in contract.c and a name to meson.build. */
#ifndef QMN_TESTS_CONTRACT_H
#define QMN_TESTS_CONTRACT_H

#include "support/test.h"

#include <stdbool.h>

#include "base/attr.h"
#include "base/rng.h"
#include "store/record_pack.h"
#include "store/store.h"

struct backend {
    const char *name;
    enum qmn_code (*open)(const struct store_config *config, struct store **ret, struct err *err);
    bool keeps; /* what was committed is there after a reopen */
};

/* A store under test and the state of its test. */
struct fixture {
    const struct backend *backend;
    struct store *store;
    struct store_config config;
    char dir[64], path[96];
    struct arena arena; /* of the test */
    struct err err;
    struct rng rng;
};

/* Picks the backend from the arguments and runs the group, one fresh store a test. */
int contract_main(int argc, char **argv, const char *group, const struct CMUnitTest *tests,
                  size_t count);
#define CONTRACT_MAIN(group, tests)                                                                \
    int main(int argc, char **argv)                                                                \
    {                                                                                              \
        return contract_main(argc, argv, (group), (tests), ARRAY_LEN(tests));                      \
    }

/* Closes and opens again with f->config, which the test may have changed. */
void reopen(struct fixture *f);
/* The same, with an empty file. */
void open_fresh(struct fixture *f);

/* One mutation, one batch. */
enum qmn_code commit_one(struct fixture *f, enum mutation_op op, enum record_kind kind,
                         const void *record);
#define must(expr) assert_int_equal((expr), QMN_OK)

enum qmn_code get(struct fixture *f, enum record_kind kind, const void *key, void *ret);
/* Rows of a kind. */
size_t count_rows(struct fixture *f, enum record_kind kind);
/* One number over every row of every kind: equal states have equal digests. */
uint64_t digest(struct fixture *f);

/* Random values for every field of a kind: extremes, empty and large ones among them. */
void fill_random(struct fixture *f, enum record_kind kind, void *record);
bool records_equal(enum record_kind kind, const void *a, const void *b);
/* The field of that name. */
size_t field_index(enum record_kind kind, const char *name);

/* Scrambles with a stream that depends on the context, and checks a tag; for tests only. */
extern const struct sealer sealer_scramble;

#endif
