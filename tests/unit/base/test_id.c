/* SPDX-License-Identifier: MIT */
#include "support/test.h"

#include "base/id.h"

enum { TEXT_SIZE = 3 + ID_TEXT_CHARS + 1 };

static void text_and_back_is_the_same_id(void **state)
{
    (void)state;
    for (int i = 0; i < 1000; i++) {
        struct id id = id_make(1700000000000 + i), back;
        char text[TEXT_SIZE];
        id_format(id, "nu_", text);
        assert_int_equal(strlen(text), TEXT_SIZE - 1);
        assert_true(id_parse(bytes_cstr(text), "nu_", &back));
        assert_memory_equal(id.b, back.b, ID_BYTES);
    }
}

static void the_text_form_is_pinned(void **state)
{
    (void)state;
    struct id id;
    char text[ID_TEXT_CHARS + 1];
    memset(id.b, 0xff, ID_BYTES);
    id_format(id, "", text);
    assert_string_equal(text, "1zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz");
    memset(id.b, 0, ID_BYTES);
    id.b[ID_BYTES - 1] = 33;
    id_format(id, "", text);
    assert_string_equal(text, "000000000000000000000000000000000011");
}

static void ids_sort_by_time_as_bytes_and_as_text(void **state)
{
    (void)state;
    static const int64_t times[] = {0, 1, 255, 256, 1700000000000, 1700000000001, 253402300799999};
    char before[TEXT_SIZE] = "", text[TEXT_SIZE];
    struct id last = {{0}};
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        struct id id = id_make(times[i]);
        id_format(id, "tr_", text);
        assert_true(strcmp(text, before) > 0);
        assert_true(memcmp(id.b, last.b, ID_BYTES) > 0);
        memcpy(before, text, sizeof text);
        last = id;
    }
}

static void the_random_part_differs_at_one_instant(void **state)
{
    (void)state;
    enum { COUNT = 2000 };
    static struct id ids[COUNT];
    unsigned ones = 0;
    for (int i = 0; i < COUNT; i++)
        ids[i] = id_make(1);
    for (int i = 0; i < COUNT; i++) {
        for (int j = 0; j < i; j++)
            assert_memory_not_equal(ids[i].b, ids[j].b, ID_BYTES);
        for (int k = 6; k < ID_BYTES; k++)
            ones += (unsigned)__builtin_popcount(ids[i].b[k]);
    }
    /* 256000 fair bits: 128000 expected, standard deviation 253 */
    assert_in_range(ones, 126000, 130000);
}

static void malformed_text_is_refused(void **state)
{
    (void)state;
    static const char good[] = "nu_0123456789abcdefghjkmnpqrstvwxyz0000";
    struct id id, untouched;
    memset(&id, 0x5a, sizeof id);
    untouched = id;
    assert_false(id_parse(bytes_of(good, sizeof good - 2), "nu_", &id));
    assert_false(id_parse(bytes_of(good, sizeof good), "nu_", &id)); /* with its NUL */
    assert_false(id_parse(bytes_cstr(good), "tr_", &id));
    assert_false(id_parse(bytes_cstr(good), "nu_0", &id));
    assert_false(id_parse(bytes_of(NULL, 0), "nu_", &id));
    char text[sizeof good];
    for (const char *c = "ilou AZ\x80_-\n"; *c; c++) {
        memcpy(text, good, sizeof good);
        text[20] = *c;
        assert_false(id_parse(bytes_cstr(text), "nu_", &id));
    }
    memcpy(text, good, sizeof good);
    text[20] = 0;
    assert_false(id_parse(bytes_of(text, sizeof good - 1), "nu_", &id));
    memcpy(text, good, sizeof good);
    text[3] = '2'; /* more than 176 bits: two texts would name one id */
    assert_false(id_parse(bytes_cstr(text), "nu_", &id));
    assert_memory_equal(&id, &untouched, sizeof id);
    assert_true(id_parse(bytes_cstr(good), "nu_", &id));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_and_back_is_the_same_id),
        cmocka_unit_test(the_text_form_is_pinned),
        cmocka_unit_test(ids_sort_by_time_as_bytes_and_as_text),
        cmocka_unit_test(the_random_part_differs_at_one_instant),
        cmocka_unit_test(malformed_text_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
