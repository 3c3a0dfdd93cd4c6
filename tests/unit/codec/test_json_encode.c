/* SPDX-License-Identifier: MIT */
#include "schema.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"

static const char *put_float(float f)
{
    struct buf b;
    buf_init(&b, 64);
    json_put_float(&b, f);
    const char *s = arena_cstr(schema_arena(), buf_bytes(&b));
    buf_release(&b);
    return s;
}

static const char *put_double(double d)
{
    struct buf b;
    buf_init(&b, 64);
    json_put_double(&b, d);
    const char *s = arena_cstr(schema_arena(), buf_bytes(&b));
    buf_release(&b);
    return s;
}

static void absent_fields_are_left_out(void **state)
{
    (void)state;
    Test__V1__All m = TEST__V1__ALL__INIT;
    assert_string_equal(schema_encode(&m.base), "{}");
}

static void fields_that_older_clients_read_are_always_there(void **state)
{
    (void)state;
    Test__V1__Filled m = TEST__V1__FILLED__INIT;
    assert_string_equal(schema_encode(&m.base),
                        "{\"null_text\":null,\"null_time\":null,\"text\":\"d\",\"number\":3,"
                        "\"flag\":false,\"object\":{},\"list\":[],\"map\":{},\"names\":[]}");
}

static void every_kind_of_field_goes_out(void **state)
{
    (void)state;
    struct err err;
    const char *json =
        "{\"i32\":-5,\"i64\":-9223372036854775808,\"u32\":9,\"u64\":18446744073709551615,"
        "\"f\":0.1,\"d\":0.3,\"b\":true,\"s\":\"text\",\"blob\":\"AAEC/w==\",\"object\":{ \"x\" : "
        "1},"
        "\"any\":[1, 2],\"color\":\"dark_blue\",\"at\":\"2024-05-01T10:00:00.250000+00:00\","
        "\"inner\":{\"name\":\"n\",\"embedding\":[0.5,-1.0],\"tags\":[\"a\",\"b\"],\"child\":{}},"
        "\"inners\":[{},{\"name\":\"m\"}],\"strings\":[\"x\"],\"numbers\":[1,2],\"doubles\":[0.5],"
        "\"bools\":[true,false],\"colors\":[\"red\"],\"objects\":[{\"o\":1}],"
        "\"labels\":{\"k\":\"v\",\"l\":\"w\"},\"scores\":{\"s\":0.25},\"parts\":{\"p\":{\"name\":"
        "\"z\"}},"
        "\"vector\":[1.0,2.0]}";
    Test__V1__All *m = decode_all(json, &err);
    assert_non_null(m);
    assert_string_equal(schema_encode(&m->base), json);
}

static void a_marked_list_is_a_bare_array(void **state)
{
    (void)state;
    struct err err;
    ProtobufCMessage *m = schema_decode("[{\"name\":\"a\"},{}]", &test__v1__list__descriptor, &err);
    assert_string_equal(schema_encode(m), "[{\"name\":\"a\"},{}]");
    Test__V1__Names none = TEST__V1__NAMES__INIT;
    assert_string_equal(schema_encode(&none.base), "[]");
}

static void strings_are_escaped(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1000);
    json_put_string(
        &b,
        BYTES_LIT("q\" b\\ /\b\f\n\r\t\x01\x1f\x7f \xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa \xc3\xa9"));
    assert_bytes_equal(buf_bytes(&b), "\"q\\\" b\\\\ /\\b\\f\\n\\r\\t\\u0001\\u001f\\u007f "
                                      "\\u2028\\u2029\xe2\x80\xaa \xc3\xa9\"");
    buf_clear(&b);
    json_put_string(&b, BYTES_LIT("a\xff\xc3"));
    assert_bytes_equal(buf_bytes(&b), "\"a\xef\xbf\xbd\xef\xbf\xbd\"");
    buf_clear(&b);
    json_put_string(&b, BYTES_LIT("a\0b"));
    assert_bytes_equal(buf_bytes(&b), "\"a\\u0000b\"");
    buf_clear(&b);
    json_put_string(&b, (struct bytes){0});
    assert_bytes_equal(buf_bytes(&b), "\"\"");
    buf_release(&b);
}

/* Plain bytes go eight at a time: an odd one is found wherever it stands. */
static void an_escape_is_found_at_every_place(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } odd[] = {{"\"", "\\\""},           {"\\", "\\\\"}, {"\x1f", "\\u001f"},
               {"\x7f", "\\u007f"},      {"\n", "\\n"},  {"\xff", "\xef\xbf\xbd"},
               {"\xc3\xa9", "\xc3\xa9"}, {" ", " "},     {"~", "~"}};
    struct buf in, want, got;
    buf_init(&in, 100);
    buf_init(&want, 100);
    buf_init(&got, 100);
    for (size_t k = 0; k < ARRAY_LEN(odd); k++) {
        for (int before = 0; before < 20; before++) {
            buf_clear(&in);
            buf_clear(&want);
            buf_clear(&got);
            buf_addc(&want, '"');
            for (int i = 0; i < 20; i++) {
                buf_adds(&in, i == before ? odd[k].in : "a");
                buf_adds(&want, i == before ? odd[k].out : "a");
            }
            buf_addc(&want, '"');
            json_put_string(&got, buf_bytes(&in));
            assert_true(bytes_equal(buf_bytes(&got), buf_bytes(&want)));
        }
    }
    buf_release(&in);
    buf_release(&want);
    buf_release(&got);
}

static void floats_are_short(void **state)
{
    (void)state;
    static const struct {
        float f;
        const char *want;
    } cases[] = {
        {0.1f, "0.1"},
        {1.0f, "1.0"},
        {-2.5f, "-2.5"},
        {0.0f, "0.0"},
        {-0.0f, "-0.0"},
        {100.0f, "100.0"},
        {1e15f, "1000000000000000.0"},
        {1e16f, "1e16"},
        {1e-5f, "0.00001"},
        {1e-6f, "1e-6"},
        {1.5e-7f, "1.5e-7"},
        {3.4028235e38f, "3.4028235e38"},
        {1.4e-45f, "1e-45"},
        {16777216.f, "16777216.0"},
        {0.3f, "0.3"},
        {123456.79f, "123456.79"},
        {1.17549435e-38f, "1.1754944e-38"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_string_equal(put_float(cases[i].f), cases[i].want);
}

static void any_float_reads_back_the_same(void **state)
{
    (void)state;
    struct rng r;
    struct buf b;
    rng_seed(&r, 3);
    buf_init(&b, 64);
    for (int i = 0; i < 200000; i++) {
        uint32_t bits = (uint32_t)rng_next(&r);
        float f;
        memcpy(&f, &bits, sizeof f);
        if (!isfinite(f))
            continue;
        buf_clear(&b);
        json_put_float(&b, f);
        buf_addc(&b, 0);
        float back = strtof(b.ptr, NULL);
        if (memcmp(&back, &f, sizeof f) != 0 || b.len > 20)
            fail_msg("%a went out as %s", (double)f, b.ptr);
    }
    buf_release(&b);
}

/* printf's digits, tried from one up, are the oracle: no more of them. */
static void a_float_has_the_digits_that_printf_would_need(void **state)
{
    (void)state;
    struct rng r;
    rng_seed(&r, 4);
    struct buf b;
    buf_init(&b, 64);
    for (int i = 0; i < 100000; i++) {
        uint32_t bits = (uint32_t)rng_next(&r);
        if (i % 4 == 1)
            bits = (bits & 0x7f800000u) | rng_below(&r, 3); /* at and beside a power of two */
        if (i % 4 == 2)
            bits = 0x3f000000u + (bits >> 9) % 0x00800000u; /* as scores are */
        float f, back = 0, got;
        memcpy(&f, &bits, sizeof f);
        if (!isfinite(f) || f == 0)
            continue;
        char want[40];
        int digits = 0;
        while (digits < 9 && memcmp(&back, &f, sizeof f) != 0) {
            snprintf(want, sizeof want, "%.*e", digits++, (double)f);
            back = strtof(want, NULL);
        }
        buf_clear(&b);
        json_put_float(&b, f);
        buf_addc(&b, 0);
        got = strtof(b.ptr, NULL);
        int said = 0, zeros = 0; /* digits between the first that is not 0 and the last */
        for (const char *p = b.ptr; *p && *p != 'e'; p++) {
            if (*p < '0' || *p > '9' || (!said && *p == '0'))
                continue;
            said++;
            zeros = *p == '0' ? zeros + 1 : 0;
        }
        if (memcmp(&got, &f, sizeof f) != 0 || said - zeros > digits)
            fail_msg("%a went out as %s, expected %s", (double)f, b.ptr, want);
    }
    buf_release(&b);
}

static void any_double_reads_back_the_same(void **state)
{
    (void)state;
    struct rng r;
    rng_seed(&r, 4);
    for (int i = 0; i < 50000; i++) {
        uint64_t bits = rng_next(&r);
        double d;
        memcpy(&d, &bits, sizeof d);
        if (i % 2)
            d = (double)(int64_t)(bits >> 40) / 1000;
        if (!isfinite(d))
            continue;
        struct buf b;
        buf_init(&b, 64);
        json_put_double(&b, d);
        buf_addc(&b, 0);
        double back = strtod(b.ptr, NULL);
        if (memcmp(&back, &d, sizeof d) != 0 || b.len > 26)
            fail_msg("%a went out as %s", d, b.ptr);
        buf_release(&b);
    }
    assert_string_equal(put_double(0.1), "0.1");
    assert_string_equal(put_double(0.542), "0.542");
    assert_string_equal(put_double(1), "1.0");
    assert_string_equal(put_double(-0.0), "-0.0");
    assert_string_equal(put_double(1.0 / 3), "0.3333333333333333");
    assert_string_equal(put_double(1e300), "1e+300");
    assert_string_equal(put_double(5e-324), "5e-324");
}

static size_t digits_in(const char *text)
{
    size_t n = 0;
    for (; *text && *text != 'e'; text++)
        n += *text >= '0' && *text <= '9' && (n || *text != '0');
    return n;
}

/* As weights are: close to a short one, or anywhere between 0 and 1; and powers of two, below which
 * doubles lie closer. */
static double like_a_weight(struct rng *r, int i)
{
    double close = (double)rng_below(r, 100000) / 1e5;
    switch (i % 4) {
    case 0:
        return nextafter(close, i & 4 ? 2 : -2);
    case 1:
        return nextafter(nextafter(close, 2), 2);
    case 2:
        return ldexp(1, -(int)rng_below(r, 60));
    default:
        return rng_unit(r);
    }
}

static void no_digit_of_a_double_could_be_spared(void **state)
{
    (void)state;
    struct rng r;
    rng_seed(&r, 5);
    for (int i = 0; i < 40000; i++) {
        double d = like_a_weight(&r, i);
        const char *text = put_double(d);
        char fewest[40];
        for (int n = 1; n <= 17; n++) {
            snprintf(fewest, sizeof fewest, "%.*e", n - 1, d);
            if (strtod(fewest, NULL) == d)
                break;
        }
        size_t spare = text[strlen(text) - 1] == '0'; /* 1.0 */
        if (strtod(text, NULL) != d || digits_in(text) > digits_in(fewest) + spare)
            fail_msg("%a went out as %s, not %s", d, text, fewest);
    }
}

static void nan_and_infinity_become_null(void **state)
{
    (void)state;
    assert_string_equal(put_float(NAN), "null");
    assert_string_equal(put_float(-INFINITY), "null");
    assert_string_equal(put_double((double)NAN), "null");
    assert_string_equal(put_double((double)INFINITY), "null");
}

static void a_foreign_locale_changes_nothing(void **state)
{
    (void)state;
    /* A locale with a decimal comma need not be installed; then this proves only the C half. */
    setlocale(LC_ALL, "de_DE.UTF-8");
    struct err err;
    Test__V1__All *m = decode_all("{\"d\":0.12345678901234567890123,\"f\":1e-40}", &err);
    assert_non_null(m);
    assert_true(m->d == 0.12345678901234567890123);
    assert_string_equal(put_double(1.0 / 3), "0.3333333333333333");
    setlocale(LC_ALL, "C");
}

static void a_full_buffer_is_told(void **state)
{
    (void)state;
    struct err err;
    Test__V1__All *m = decode_all("{\"s\":\"text\",\"strings\":[\"a\"]}", &err);
    size_t need = strlen(schema_encode(&m->base));
    for (size_t room = 1; room <= need; room++) {
        struct buf b;
        buf_init(&b, room);
        assert_int_equal(json_encode(&m->base, &b), room < need ? QMN_E_NOMEM : QMN_OK);
        buf_release(&b);
    }
}

static void a_loop_of_messages_ends(void **state)
{
    (void)state;
    Test__V1__Inner m = TEST__V1__INNER__INIT;
    struct buf b;
    m.child = &m;
    buf_init(&b, 1u << 20);
    assert_int_equal(json_encode(&m.base, &b), QMN_E_INTERNAL);
    assert_int_equal(message_check(&m.base, NULL), QMN_E_INVALID);
    buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(absent_fields_are_left_out),
        cmocka_unit_test(fields_that_older_clients_read_are_always_there),
        cmocka_unit_test(every_kind_of_field_goes_out),
        cmocka_unit_test(a_marked_list_is_a_bare_array),
        cmocka_unit_test(strings_are_escaped),
        cmocka_unit_test(an_escape_is_found_at_every_place),
        cmocka_unit_test(floats_are_short),
        cmocka_unit_test(any_float_reads_back_the_same),
        cmocka_unit_test(a_float_has_the_digits_that_printf_would_need),
        cmocka_unit_test(any_double_reads_back_the_same),
        cmocka_unit_test(no_digit_of_a_double_could_be_spared),
        cmocka_unit_test(nan_and_infinity_become_null),
        cmocka_unit_test(a_foreign_locale_changes_nothing),
        cmocka_unit_test(a_full_buffer_is_told),
        cmocka_unit_test(a_loop_of_messages_ends),
    };
    return cmocka_run_group_tests(tests, schema_setup, schema_teardown);
}
