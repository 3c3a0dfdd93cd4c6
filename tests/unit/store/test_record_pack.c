/* SPDX-License-Identifier: MIT
 *
 * Packed bodies and feed batches, damaged in every way a disk can think of. */
#include "support/test.h"

#include "base/attr.h"
#include "store/record_pack.h"

static struct arena arena;

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_release(&arena);
    return 0;
}

static const struct record_nutrient sample = {.no = 7,
                                              .tenant_no = 2,
                                              .summary = {"what is known", 13},
                                              .snippets = {"a\0b\0", 4},
                                              .embedding = {"\x01\x02\x03\x04", 4}};

static struct bytes pack(const struct layout *l, const void *record)
{
    struct bytes packed;
    assert_int_equal(record_pack(l, record, &arena, &packed, NULL), QMN_OK);
    return packed;
}

static char *heap_copy(struct bytes b)
{
    char *p = test_malloc(b.len + 1); /* of its exact size, so that a sanitizer sees overruns */
    memcpy(p, b.ptr, b.len);
    return p;
}

static void a_body_unpacks_to_what_was_packed(void **state)
{
    (void)state;
    const struct layout *l = store_layout(RECORD_NUTRIENT);
    struct record_nutrient got = {.no = 7};
    assert_int_equal(record_unpack(l, pack(l, &sample), &got, NULL), QMN_OK);
    assert_bytes_equal(got.summary, "what is known");
    assert_true(bytes_equal(got.snippets, sample.snippets));
    assert_true(bytes_equal(got.embedding, sample.embedding));
    assert_int_equal(got.no, 7); /* fields in clear are not touched */
}

static void the_layout_of_a_body_never_changes(void **state)
{
    (void)state;
    const struct layout *l = store_layout(RECORD_NUTRIENT);
    static const char golden[] = "\x01\x03\x0dwhat is known\x04"
                                 "a\0b\0\x04\x01\x02\x03\x04";
    assert_true(bytes_equal(pack(l, &sample), BYTES_LIT(golden)));
}

static void a_body_cut_anywhere_is_refused_and_changes_nothing(void **state)
{
    (void)state;
    const struct layout *l = store_layout(RECORD_NUTRIENT);
    struct bytes packed = pack(l, &sample);
    for (size_t len = 0; len < packed.len; len++) {
        char *cut = heap_copy(bytes_of(packed.ptr, len));
        struct record_nutrient got = {.summary = BYTES_LIT("before")};
        struct err err;
        assert_int_equal(record_unpack(l, bytes_of(cut, len), &got, &err), QMN_E_CORRUPT);
        assert_bytes_equal(got.summary, "before");
        test_free(cut);
    }
}

static void bytes_after_the_last_field_are_refused(void **state)
{
    (void)state;
    const struct layout *l = store_layout(RECORD_NUTRIENT);
    struct bytes packed = pack(l, &sample);
    char *longer = arena_alloc(&arena, packed.len + 1);
    memcpy(longer, packed.ptr, packed.len);
    longer[packed.len] = 0;
    struct record_nutrient got;
    assert_int_equal(record_unpack(l, bytes_of(longer, packed.len + 1), &got, NULL), QMN_E_CORRUPT);
}

static void a_body_of_fewer_fields_reads_the_rest_as_empty(void **state)
{
    (void)state;
    const struct layout *l = store_layout(RECORD_NUTRIENT);
    struct record_nutrient got = {.embedding = BYTES_LIT("stale")};
    static const char older[] = "\x01\x02\x03sum\x01s";
    assert_int_equal(record_unpack(l, BYTES_LIT(older), &got, NULL), QMN_OK);
    assert_bytes_equal(got.summary, "sum");
    assert_bytes_equal(got.snippets, "s");
    assert_int_equal(got.embedding.len, 0);
    static const char newer[] = "\x01\x04\x00\x00\x00\x00";
    assert_int_equal(record_unpack(l, BYTES_LIT(newer), &got, NULL), QMN_E_CORRUPT);
}

static void lengths_that_lie_are_refused(void **state)
{
    (void)state;
    const struct layout *l = store_layout(RECORD_MEMORY_VECTOR);
    const struct bytes lies[] = {
        BYTES_LIT("\x01\x01\x05"
                  "abcd"), /* one too long */
        BYTES_LIT("\x01\x01\xff\xff\xff\xff\x0f"
                  "a"), /* 4 GB */
        BYTES_LIT("\x01\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
        BYTES_LIT("\x01\x01\x80\x80\x80\x80\x80\x00"),
        BYTES_LIT("\x02\x01\x01"
                  "a"), /* another format */
    };
    for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
        struct record_memory_vector got;
        assert_int_equal(record_unpack(l, lies[i], &got, NULL), QMN_E_CORRUPT);
    }
}

/* Each single bit of a sealed body, and each wrong home for it. */
static void a_flipped_bit_or_another_row_is_noticed(void **state)
{
    (void)state;
    const struct layout *l = store_layout(RECORD_NUTRIENT);
    struct bytes body;
    struct record_nutrient got = {.no = 7, .tenant_no = 2};
    struct err err;
    assert_int_equal(record_seal(&sealer_identity, l, &sample, &arena, &body, NULL), QMN_OK);
    assert_int_equal(record_open(&sealer_identity, l, body, &arena, &got, NULL), QMN_OK);
    char *copy = heap_copy(body);
    for (size_t bit = 0; bit < body.len * 8; bit++) {
        copy[bit / 8] ^= (char)(1 << bit % 8);
        assert_int_equal(
            record_open(&sealer_identity, l, bytes_of(copy, body.len), &arena, &got, &err),
            QMN_E_CORRUPT);
        copy[bit / 8] ^= (char)(1 << bit % 8);
    }
    assert_bytes_equal(bytes_cstr(err.text), "the content of nutrient 7 is damaged");
    test_free(copy);
    struct record_nutrient other_row = {.no = 8, .tenant_no = 2};
    struct record_nutrient other_tenant = {.no = 7, .tenant_no = 3};
    struct record_response other_table = {.no = 7, .tenant_no = 2};
    assert_int_equal(record_open(&sealer_identity, l, body, &arena, &other_row, NULL),
                     QMN_E_CORRUPT);
    assert_int_equal(record_open(&sealer_identity, l, body, &arena, &other_tenant, NULL),
                     QMN_E_CORRUPT);
    assert_int_equal(record_open(&sealer_identity, store_layout(RECORD_RESPONSE), body, &arena,
                                 &other_table, NULL),
                     QMN_E_CORRUPT);
}

static enum qmn_code keep_last(void *ctx, int64_t cursor QMN_UNUSED, const struct change *change,
                               struct err *err QMN_UNUSED)
{
    struct record_key *last = ctx;
    assert_int_equal(change->kind, RECORD_KEY);
    assert_true(change->deleted);
    *last = *(const struct record_key *)change->key;
    return QMN_OK;
}

static void a_feed_batch_cut_between_entries_is_shorter_and_elsewhere_damaged(void **state)
{
    (void)state;
    struct buf b;
    struct record_key key = {.id = BYTES_LIT("abc"), .tenant_no = 9, .mac = BYTES_LIT("secret")};
    struct record_key last = {0};
    buf_init(&b, 4096);
    feed_pack(&b, RECORD_KEY, true, &key);
    size_t first = b.len;
    feed_pack(&b, RECORD_KEY, true, &key);
    assert_true(buf_ok(&b));
    assert_int_equal(feed_unpack(buf_bytes(&b), 1, keep_last, &last, NULL), QMN_OK);
    assert_bytes_equal(last.id, "abc");
    assert_int_equal(last.tenant_no, 9);
    assert_int_equal(last.mac.len, 0); /* keys only */
    for (size_t len = 1; len < b.len; len++) {
        bool whole = len == 1 || len == first;
        assert_int_equal(feed_unpack(bytes_of(b.ptr, len), 1, keep_last, &last, NULL),
                         whole ? QMN_OK : QMN_E_CORRUPT);
    }
    buf_release(&b);
}

static void a_feed_entry_of_no_known_kind_is_damaged(void **state)
{
    (void)state;
    struct record_key last;
    const struct bytes bad[] = {BYTES_LIT("\x02"), BYTES_LIT("\x01\x00\x00"),
                                BYTES_LIT("\x01\x7f\x00"), BYTES_LIT("\x01\x03\x02")};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(feed_unpack(bad[i], 1, keep_last, &last, NULL), QMN_E_CORRUPT);
}

static void records_are_described_by_their_keys(void **state)
{
    (void)state;
    char text[RECORD_NAME_CHARS];
    record_describe(store_layout(RECORD_EDGE), &(struct record_edge){.src_no = 3, .dst_no = -4},
                    text);
    assert_string_equal(text, "edge 3/-4");
    record_describe(store_layout(RECORD_KEY), &(struct record_key){.id = BYTES_LIT("abc")}, text);
    assert_string_equal(text, "key abc");
    char longest[300];
    memset(longest, 'x', sizeof longest);
    struct record_key key = {.id = bytes_of(longest, sizeof longest)};
    record_describe(store_layout(RECORD_KEY), &key, text);
    assert_int_equal(strlen(text), RECORD_NAME_CHARS - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_body_unpacks_to_what_was_packed),
        cmocka_unit_test(the_layout_of_a_body_never_changes),
        cmocka_unit_test(a_body_cut_anywhere_is_refused_and_changes_nothing),
        cmocka_unit_test(bytes_after_the_last_field_are_refused),
        cmocka_unit_test(a_body_of_fewer_fields_reads_the_rest_as_empty),
        cmocka_unit_test(lengths_that_lie_are_refused),
        cmocka_unit_test(a_flipped_bit_or_another_row_is_noticed),
        cmocka_unit_test(a_feed_batch_cut_between_entries_is_shorter_and_elsewhere_damaged),
        cmocka_unit_test(a_feed_entry_of_no_known_kind_is_damaged),
        cmocka_unit_test(records_are_described_by_their_keys),
    };
    return cmocka_run_group_tests_name("store/record_pack", tests, setup, teardown);
}
