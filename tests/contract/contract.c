/* SPDX-License-Identifier: MIT
 *
 * Fixtures, random records and comparisons for the contract tests. */
#include "contract.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct backend backends[] = {
    {.name = "mem", .open = store_mem_open, .keeps = false},
    {.name = "sqlite", .open = store_sqlite_open, .keeps = true},
};

static const struct backend *chosen;

static void remove_files(struct fixture *f)
{
    static const char *const suffixes[] = {"", "-wal", "-journal", ".lock", ".copy"};
    for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
        char name[128];
        snprintf(name, sizeof name, "%s%s", f->path, suffixes[i]);
        unlink(name);
    }
}

void reopen(struct fixture *f)
{
    store_close(f->store);
    f->store = NULL;
    must(f->backend->open(&f->config, &f->store, &f->err));
}

void open_fresh(struct fixture *f)
{
    store_close(f->store);
    f->store = NULL;
    remove_files(f);
    must(f->backend->open(&f->config, &f->store, &f->err));
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->backend = chosen;
    /* memory where it can be had: nothing here asks what a disk keeps */
    snprintf(f->dir, sizeof f->dir, "%s/qmn-contract-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof f->path, "%s/store.db", f->dir);
    f->config = (struct store_config){
        .path = f->path, .sealer = sealer_identity, .sync = STORE_SYNC_FULL, .feed = true};
    arena_init(&f->arena, 0);
    rng_seed(&f->rng, 7);
    open_fresh(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    store_close(f->store);
    remove_files(f);
    rmdir(f->dir);
    arena_release(&f->arena);
    free(f);
    return 0;
}

int contract_main(int argc, char **argv, const char *group, const struct CMUnitTest *tests,
                  size_t count)
{
    for (size_t i = 0; argc == 2 && i < ARRAY_LEN(backends); i++)
        if (strcmp(argv[1], backends[i].name) == 0)
            chosen = &backends[i];
    if (!chosen) {
        fprintf(stderr, "usage: %s mem|sqlite\n", argv[0]);
        return 2;
    }
    struct CMUnitTest *with_fixture = calloc(count, sizeof *with_fixture);
    if (!with_fixture)
        return 2;
    for (size_t i = 0; i < count; i++) {
        with_fixture[i] = tests[i];
        with_fixture[i].setup_func = setup;
        with_fixture[i].teardown_func = teardown;
    }
    int failed = _cmocka_run_group_tests(group, with_fixture, count, NULL, NULL);
    free(with_fixture);
    return failed;
}

enum qmn_code commit_one(struct fixture *f, enum mutation_op op, enum record_kind kind,
                         const void *record)
{
    struct mutation m = {.op = op, .kind = kind, .record = record, .limit = UINT32_MAX};
    size_t failed = 0;
    return f->store->ops->commit(f->store, &m, 1, &failed, &f->err);
}

enum qmn_code get(struct fixture *f, enum record_kind kind, const void *key, void *ret)
{
    return f->store->ops->get(f->store, kind, key, &f->arena, ret, &f->err);
}

static enum qmn_code count_row(void *ctx, const void *record QMN_UNUSED, struct err *err QMN_UNUSED)
{
    ++*(size_t *)ctx;
    return QMN_OK;
}

size_t count_rows(struct fixture *f, enum record_kind kind)
{
    size_t n = 0;
    must(f->store->ops->scan(f->store, kind, NULL, count_row, &n, &f->err));
    return n;
}

struct digest {
    enum record_kind kind;
    uint64_t sum;
};

static enum qmn_code digest_row(void *ctx, const void *record, struct err *err QMN_UNUSED)
{
    struct digest *d = ctx;
    const struct record_type *t = record_type(d->kind);
    for (size_t i = 0; i < t->field_count; i++) {
        const struct field *f = &t->fields[i];
        struct bytes raw = bytes_of((const char *)record + f->offset, 8);
        if (f->type == FIELD_TEXT || f->type == FIELD_BLOB)
            raw = record_bytes(record, f);
        d->sum = bytes_hash(raw, d->sum + (uint64_t)d->kind);
    }
    return QMN_OK;
}

uint64_t digest(struct fixture *f)
{
    struct digest d = {.sum = 1};
    for (int k = RECORD_META; k < RECORD_KIND_COUNT; k++) {
        d.kind = (enum record_kind)k;
        must(f->store->ops->scan(f->store, d.kind, NULL, digest_row, &d, &f->err));
    }
    return d.sum;
}

static int64_t random_int(struct rng *r)
{
    static const int64_t extremes[] = {0, 1, -1, INT64_MAX, INT64_MIN, INT64_C(1) << 53, -300};
    uint32_t n = rng_below(r, 12);
    return n < ARRAY_LEN(extremes) ? extremes[n] : (int64_t)rng_next(r);
}

static double random_real(struct rng *r)
{
    static const double some[] = {0, 0.5, -1.25, 0.1, 1e300, -1e-300, 4503599627370497.0};
    uint32_t n = rng_below(r, 12);
    return n < ARRAY_LEN(some) ? some[n] : rng_normal(r);
}

static struct bytes random_bytes(struct fixture *f, bool text)
{
    static const uint32_t sizes[] = {0, 1, 16, 200, 3000, 20000};
    size_t len = sizes[rng_below(&f->rng, ARRAY_LEN(sizes))];
    char *p = arena_alloc(&f->arena, len + 1);
    assert_non_null(p);
    for (size_t i = 0; i < len; i++)
        p[i] = text ? (char)('a' + (int)rng_below(&f->rng, 26)) : (char)rng_next(&f->rng);
    if (text && len > 2 && rng_below(&f->rng, 2)) {
        p[0] = (char)0xc3; /* an e with an accent, then NUL: both are valid text */
        p[1] = (char)0xa9;
        p[2] = 0;
    }
    return bytes_of(p, len);
}

void fill_random(struct fixture *f, enum record_kind kind, void *record)
{
    const struct record_type *t = record_type(kind);
    memset(record, 0, t->size);
    for (size_t i = 0; i < t->field_count; i++) {
        const struct field *field = &t->fields[i];
        if (field->type == FIELD_INT)
            record_set_int(record, field, random_int(&f->rng));
        else if (field->type == FIELD_REAL)
            record_set_real(record, field, random_real(&f->rng));
        else
            record_set_bytes(record, field, random_bytes(f, field->type == FIELD_TEXT));
    }
}

bool records_equal(enum record_kind kind, const void *a, const void *b)
{
    const struct record_type *t = record_type(kind);
    for (size_t i = 0; i < t->field_count; i++) {
        const struct field *f = &t->fields[i];
        bool same = f->type == FIELD_INT    ? record_int(a, f) == record_int(b, f)
                    : f->type == FIELD_REAL ? record_real(a, f) == record_real(b, f)
                                            : bytes_equal(record_bytes(a, f), record_bytes(b, f));
        if (!same) {
            print_message("%s.%s differs\n", t->name, f->name);
            return false;
        }
    }
    return true;
}

size_t field_index(enum record_kind kind, const char *name)
{
    const struct record_type *t = record_type(kind);
    for (size_t i = 0; i < t->field_count; i++)
        if (strcmp(t->fields[i].name, name) == 0)
            return i;
    fail_msg("no field %s.%s", t->name, name);
    return 0;
}

enum { TAG_BYTES = 8 };

static void scramble(char *p, size_t len, uint64_t seed)
{
    for (size_t i = 0; i < len; i += 8) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        uint64_t pad = seed ^ (seed >> 33);
        for (size_t j = i; j < len && j < i + 8; j++)
            p[j] = (char)(p[j] ^ (char)(pad >> (8 * (j - i))));
    }
}

static enum qmn_code scramble_seal(void *ctx QMN_UNUSED, int64_t tenant_no, struct bytes context,
                                   struct bytes plain, struct arena *arena,
                                   struct bytes *ret_sealed, struct err *err)
{
    char *p = arena_alloc(arena, plain.len + TAG_BYTES);
    if (!p)
        return err_nomem(err);
    uint64_t seed = bytes_hash(context, (uint64_t)tenant_no);
    uint64_t tag = bytes_hash(plain, seed);
    memcpy(p, &tag, TAG_BYTES);
    memcpy(p + TAG_BYTES, plain.ptr, plain.len);
    scramble(p + TAG_BYTES, plain.len, seed);
    *ret_sealed = bytes_of(p, plain.len + TAG_BYTES);
    return QMN_OK;
}

static enum qmn_code scramble_open(void *ctx QMN_UNUSED, int64_t tenant_no, struct bytes context,
                                   struct bytes sealed, struct arena *arena,
                                   struct bytes *ret_plain, struct err *err)
{
    if (sealed.len < TAG_BYTES)
        return err_set(err, QMN_E_CORRUPT, "too short");
    struct bytes plain = bytes_of(sealed.ptr + TAG_BYTES, sealed.len - TAG_BYTES);
    char *p = arena_alloc(arena, plain.len + 1);
    if (!p)
        return err_nomem(err);
    memcpy(p, plain.ptr, plain.len);
    uint64_t seed = bytes_hash(context, (uint64_t)tenant_no), tag;
    scramble(p, plain.len, seed);
    memcpy(&tag, sealed.ptr, TAG_BYTES);
    *ret_plain = bytes_of(p, plain.len);
    return tag == bytes_hash(*ret_plain, seed) ? QMN_OK
                                               : err_set(err, QMN_E_CORRUPT, "wrong context");
}

const struct sealer sealer_scramble = {
    .overhead = TAG_BYTES, .seal = scramble_seal, .open = scramble_open};
