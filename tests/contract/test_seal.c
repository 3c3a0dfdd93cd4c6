/* SPDX-License-Identifier: MIT
 *
 * Sealed content leaves the process only through the sealer. */
#include "contract.h"

#include <stdio.h>
#include <stdlib.h>

#define CANARY "canary-5f1d7c"

/* Canaries in every sealed field of every kind; the rest is left zero. */
static void store_canaries(struct fixture *f)
{
    for (int k = RECORD_META; k < RECORD_KIND_COUNT; k++) {
        const struct layout *l = store_layout((enum record_kind)k);
        union record_any record;
        memset(&record, 0, sizeof record);
        for (size_t i = 0; i < l->sealed_count; i++)
            record_set_bytes(&record, &l->type->fields[l->sealed[i]], BYTES_LIT(CANARY));
        must(commit_one(f, MUT_PUT, (enum record_kind)k, &record));
    }
}

static size_t occurrences(const char *path, const char *suffix)
{
    char name[128];
    snprintf(name, sizeof name, "%s%s", path, suffix);
    FILE *file = fopen(name, "rb");
    if (!file)
        return 0;
    static char bytes[4 << 20];
    size_t len = fread(bytes, 1, sizeof bytes, file), found = 0;
    assert_true(len < sizeof bytes);
    (void)fclose(file);
    for (const char *at = bytes, *end = bytes + len;
         (at = memmem(at, (size_t)(end - at), CANARY, strlen(CANARY))); at++)
        found++;
    return found;
}

static size_t occurrences_anywhere(struct fixture *f)
{
    char copy[112];
    snprintf(copy, sizeof copy, "%s.copy", f->path);
    must(f->store->ops->backup(f->store, copy, NULL, NULL, &f->err));
    return occurrences(f->path, "") + occurrences(f->path, "-wal") + occurrences(f->path, ".copy");
}

static void nothing_sealed_appears_in_any_file(void **state)
{
    struct fixture *f = *state;
    if (!f->backend->keeps)
        return;
    store_canaries(f);
    assert_true(occurrences_anywhere(f) > 0); /* the search works: in clear it is there */
    f->config.sealer = sealer_scramble;
    open_fresh(f);
    store_canaries(f);
    assert_int_equal(occurrences_anywhere(f), 0);
    reopen(f);
    assert_int_equal(occurrences(f->path, ""), 0);
    struct record_agent got;
    must(get(f, RECORD_AGENT, &(struct record_agent){.no = 0}, &got));
    assert_bytes_equal(got.profile, CANARY);
}

static void every_kind_reads_back_through_another_sealer(void **state)
{
    struct fixture *f = *state;
    f->config.sealer = sealer_scramble;
    open_fresh(f);
    for (int k = RECORD_META; k < RECORD_KIND_COUNT; k++) {
        union record_any record, got;
        fill_random(f, (enum record_kind)k, &record);
        must(commit_one(f, MUT_PUT, (enum record_kind)k, &record));
        must(get(f, (enum record_kind)k, &record, &got));
        assert_true(records_equal((enum record_kind)k, &record, &got));
    }
}

static void content_under_another_sealer_is_damaged(void **state)
{
    struct fixture *f = *state;
    if (!f->backend->keeps)
        return;
    store_canaries(f);
    f->config.sealer = sealer_scramble;
    reopen(f);
    struct record_agent got;
    assert_int_equal(get(f, RECORD_AGENT, &(struct record_agent){.no = 0}, &got), QMN_E_CORRUPT);
    assert_bytes_equal(bytes_cstr(f->err.text), "the content of agent 0 is damaged");
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(nothing_sealed_appears_in_any_file),
    cmocka_unit_test(every_kind_reads_back_through_another_sealer),
    cmocka_unit_test(content_under_another_sealer_is_damaged),
};

CONTRACT_MAIN("store contract: sealing", tests)
