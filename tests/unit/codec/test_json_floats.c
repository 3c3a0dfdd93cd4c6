/* SPDX-License-Identifier: MIT
 *
 * The oracle is strtof() in the C locale, which glibc rounds correctly. */
#include "support/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/rng.h"
#include "codec/json_floats.h"
#include "codec/json_read.h"

enum {
    BATCH = 512,    /* numbers in one array */
    BATCHES = 2200, /* over a million numbers, about a second */
    NUMBER_CHARS = 64,
};

static float float_of(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static uint32_t bits_of(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

/* A random finite float of any magnitude, subnormals included. */
static float any_float(struct rng *r)
{
    for (;;) {
        float f = float_of((uint32_t)rng_next(r));
        if (isfinite(f))
            return f;
    }
}

/* The kinds of text that find bugs: what clients send, midpoints between floats and their nearest
 * neighbours, subnormals, long digits, wild exponents. */
static void make_number(struct rng *r, char *text, size_t size)
{
    float f = any_float(r), g = fabsf(f) < 3e38f ? nextafterf(f, INFINITY) : f;
    double middle = ((double)f + (double)g) / 2;
    switch (rng_below(r, 22)) {
    case 0:
    case 1:
        snprintf(text, size, "%.17g", rng_normal(r));
        return;
    case 2:
        snprintf(text, size, "%.*f", (int)rng_below(r, 22), rng_normal(r) * 0.03);
        return;
    case 3:
        snprintf(text, size, "%.9g", (double)f);
        return;
    case 4: /* 18 digits of a midpoint: just above, on, or just below it */
        snprintf(text, size, "%.17e", middle);
        return;
    case 5:
        snprintf(text, size, "%.17e", nextafter(middle, rng_below(r, 2) ? INFINITY : -INFINITY));
        return;
    case 6: /* exact midpoints of integers: 2^24 + odd */
        snprintf(text, size, "%u", 16777217u + 2 * rng_below(r, 8000000));
        return;
    case 7: /* subnormal */
        snprintf(text, size, "%.*e", (int)rng_below(r, 20),
                 (double)float_of(rng_below(r, 1u << 23)));
        return;
    case 8: /* many digits */
        snprintf(text, size, "%llu.%019llue%d", (unsigned long long)rng_next(r) % 1000000,
                 (unsigned long long)rng_next(r) % 10000000000000000000ull,
                 (int)rng_below(r, 90) - 60);
        return;
    case 9:
        snprintf(text, size, "%s%llu%s%d", rng_below(r, 2) ? "-" : "",
                 (unsigned long long)(rng_next(r) >> rng_below(r, 64)), rng_below(r, 2) ? "e" : "E",
                 (int)rng_below(r, 110) - 65);
        return;
    case 10: /* beside a midpoint again, in plain digits, as far as they go or cut short */
    case 11:
        f = (float)(rng_normal(r) * ldexp(1, -(int)rng_below(r, 8)));
        middle = ((double)f + (double)nextafterf(f, 8)) / 2;
        snprintf(text, size, "%.*f", 14 + (int)rng_below(r, 20), middle);
        return;
    case 12:
        snprintf(text, size, "%s%.*f", rng_below(r, 2) ? "-" : "", (int)rng_below(r, 3),
                 (double)rng_below(r, 10) / 2);
        return;
    default: /* 4 to 2^20 units in the last place of a double beside a midpoint */
        middle *= 1 + ldexp(rng_unit(r) - 0.5, -(int)rng_below(r, 20) - 29);
        snprintf(text, size, "%.*e", 15 + (int)rng_below(r, 3), middle);
        return;
    }
}

/* Runs one scanner over a whole array; what it does not want goes through float_parse(), like in
 * the reader. */
static void compare_batch(floats_scan_fn *scan, const char *text, size_t len, const float *want,
                          size_t *ret_slow)
{
    float out[BATCH];
    const char *p = text, *end = text + len;
    size_t n = 0;
    bool closed = false;
    while (!closed) {
        n += scan(p, end, out + n, BATCH - n, &p, &closed);
        if (closed)
            break;
        assert_true(n < BATCH);
        while (*p == ' ' || *p == '\n')
            p++;
        size_t number = strcspn(p, ",] ");
        assert_true(float_parse(bytes_of(p, number), &out[n]));
        n++;
        ++*ret_slow;
        p += number + strspn(p + number, " ");
        closed = *p++ == ']';
    }
    assert_int_equal(n, BATCH);
    for (size_t i = 0; i < n; i++)
        if (bits_of(out[i]) != bits_of(want[i])) {
            print_error("number %zu: got %.9g want %.9g\n", i, (double)out[i], (double)want[i]);
            fail();
        }
}

static void a_million_numbers_agree_with_strtof(void **state)
{
    (void)state;
    static char text[BATCH * NUMBER_CHARS];
    float want[BATCH];
    struct rng r;
    size_t slow_portable = 0, slow_wide = 0;
    rng_seed(&r, 20240501);
    for (int batch = 0; batch < BATCHES; batch++) {
        size_t len = 0;
        for (size_t i = 0; i < BATCH;) {
            char number[NUMBER_CHARS];
            make_number(&r, number, sizeof number);
            want[i] = strtof(number, NULL);
            if (!isfinite(want[i]))
                continue;
            static const char *const gaps[] = {"", " ", "  ", "\n    "};
            len +=
                (size_t)snprintf(text + len, sizeof text - len, "%s%s%s%s", gaps[rng_below(&r, 4)],
                                 number, gaps[rng_below(&r, 2)], i + 1 < BATCH ? "," : "]");
            i++;
        }
        compare_batch(floats_scan_portable, text, len, want, &slow_portable);
        if (floats_have_avx512())
            compare_batch(floats_scan_avx512, text, len, want, &slow_wide);
    }
    /* The fast ways must carry the bulk, or this compares strtof() with itself. */
    assert_true(slow_portable < (size_t)BATCHES * BATCH / 2);
    assert_true(slow_wide < (size_t)BATCHES * BATCH / 2);
}

static void what_clients_send_never_takes_the_slow_way(void **state)
{
    (void)state;
    static char text[BATCH * NUMBER_CHARS];
    float out[BATCH];
    struct rng r;
    size_t len = 0;
    rng_seed(&r, 7);
    for (int i = 0; i < BATCH; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "%.17g, ", rng_normal(&r) * 0.0255);
    memset(text + len, ' ', 80);
    text[len + 80] = ']';
    const char *p = text;
    size_t portable = 0, wide = 0, total = 0;
    bool closed;
    /* 17 digits may need 20 places; some of those may go the long way. */
    for (p = text; total < BATCH; total++) {
        portable +=
            floats_scan_portable(p, text + len + 64, out, 1, &(const char *){NULL}, &closed);
        if (floats_have_avx512())
            wide += floats_scan_avx512(p, text + len + 64, out, 1, &(const char *){NULL}, &closed);
        p = strchr(p, ',') + 1;
    }
    assert_true(portable >= BATCH * 99 / 100);
    assert_true(!floats_have_avx512() || wide >= BATCH * 99 / 100);
}

static void midpoints_round_to_even(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        float want;
    } cases[] = {
        {"16777217", 16777216.0f},
        {"16777217.0000000001", 16777218.0f},
        {"16777216.9999999999", 16777216.0f},
        {"16777219", 16777220.0f},
        {"1.00000005960464477539", 1.0f},
        {"1.000000059604644775390626", 1.00000012f},
        {"3.4028235e38", 0x1.fffffep127f},
        {"3.40282356e38", 0x1.fffffep127f},
        {"1.17549435e-38", 0x1p-126f},
        {"1.1754942e-38", 0x1.fffffcp-127f},
        {"1e-45", 0x1p-149f},
        {"7.0064923216240853e-46", 0.0f}, /* just under half the least float */
        {"7.0064923216240862e-46", 0x1p-149f},
        {"1e-400", 0.0f},
        {"-0", -0.0f},
        {"-0.0e7", -0.0f},
        {"0.000000000000000000000000000000000000000000001", 0x1p-149f},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        float got;
        assert_true(float_parse(bytes_cstr(cases[i].text), &got));
        if (bits_of(got) != bits_of(cases[i].want)) {
            print_error("%s: got %a want %a\n", cases[i].text, (double)got, (double)cases[i].want);
            fail();
        }
    }
}

static void overflow_is_told(void **state)
{
    (void)state;
    static const char *const over[] = {"3.4028236e38", "1e39", "-1e39", "1e999999", "1e400"};
    float f;
    double d;
    for (size_t i = 0; i < ARRAY_LEN(over); i++)
        assert_false(float_parse(bytes_cstr(over[i]), &f));
    assert_false(double_parse(BYTES_LIT("1e309"), &d));
    assert_true(double_parse(BYTES_LIT("1e308"), &d));
    assert_true(d == 1e308);
}

/* Scanners stop in front of anything odd, at the element's start. */
static void scanners_leave_malformed_elements_alone(void **state)
{
    (void)state;
    static const char *const bad[] = {"1,,2", "01",    "-",     "1.",  ".5",    "1e",  "NaN",
                                      "0x10", "+1",    "0.1.2", "--1", "1e+",   "-.5", "Infinity",
                                      "1 2",  "\"1\"", "null",  "[1]", "1e5.5", "1-2", "00",
                                      "-01",  "1.e5",  "1..2",  "",    "1}",    ",1"};
    floats_scan_fn *const scans[] = {floats_scan_portable,
                                     floats_have_avx512() ? floats_scan_avx512 : floats_scan};
    for (size_t s = 0; s < ARRAY_LEN(scans); s++)
        for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
            char text[256];
            float out[8];
            const char *p;
            bool closed;
            int len = snprintf(text, sizeof text, "0.5, %s] %100s", bad[i], "");
            size_t n = scans[s](text, text + len, out, 8, &p, &closed);
            bool first_taken = strcmp(bad[i], "1,,2") == 0;
            if (closed || n != 1 + (size_t)first_taken) {
                print_error("scanner %zu took %s\n", s, bad[i]);
                fail();
            }
            assert_ptr_equal(p, text + 4 + (first_taken ? 3 : 0));
        }
}

/* The same in the middle of a long array, where numbers go in batches, with the wrong element at
 * any place of a batch and of a block. */
static void scanners_stop_in_the_midst_of_a_batch(void **state)
{
    (void)state;
    static const char *const bad[] = {"",      "-",    "01.5",  "1.",    "-.5",  "0.1.2",
                                      "0.12x", "0..1", "0.1 2", "+0.5",  "0.1e", "\"0.5\"",
                                      "--0.5", "0.-5", "-0x5",  "0.5\"", "NaN",  "0.123\t4",
                                      "[0.5]", ".25",  "9/5"};
    floats_scan_fn *const scans[] = {floats_scan_portable,
                                     floats_have_avx512() ? floats_scan_avx512 : floats_scan};
    for (size_t s = 0; s < ARRAY_LEN(scans); s++)
        for (size_t i = 0; i < ARRAY_LEN(bad); i++)
            for (size_t before = 0; before < 200; before++) {
                char text[8192];
                float out[512];
                const char *p;
                bool closed;
                size_t len = 0, at = 0;
                for (size_t k = 0; k < 400; k++) {
                    at = k == before ? len : at;
                    len +=
                        (size_t)snprintf(text + len, sizeof text - len, "%s%s",
                                         k == before ? bad[i] : "-0.0123456", k < 399 ? "," : "]");
                }
                memset(text + len, ' ', 100);
                size_t n = scans[s](text, text + len + 100, out, ARRAY_LEN(out), &p, &closed);
                if (closed || n != before || p != text + at) {
                    print_error("scanner %zu took \"%s\" after %zu numbers\n", s, bad[i], before);
                    fail();
                }
            }
}

/* What stands behind the bracket is none of the scanner's, and neither is what the caller has no
 * room for. */
static void scanners_end_at_the_bracket_and_at_the_room(void **state)
{
    (void)state;
    floats_scan_fn *const scans[] = {floats_scan_portable,
                                     floats_have_avx512() ? floats_scan_avx512 : floats_scan};
    for (size_t s = 0; s < ARRAY_LEN(scans); s++)
        for (size_t count = 1; count < 300; count++) {
            char text[8192];
            float out[512];
            const char *p;
            bool closed;
            size_t len = 0, room = count > 7 ? count - 7 : count;
            for (size_t k = 0; k < count; k++)
                len += (size_t)snprintf(text + len, sizeof text - len, "%s0.5", k ? ", " : "");
            memset(text + len, ',', 200);
            memcpy(text + len, "],\"a\":[1,2]", 12);
            out[count] = 7;
            assert_int_equal(scans[s](text, text + len + 200, out, 512, &p, &closed), count);
            assert_true(closed && p == text + len + 1 && out[count] == 7);
            out[room] = 7;
            assert_int_equal(scans[s](text, text + len + 200, out, room, &p, &closed), room);
            assert_true(closed == (room == count) && out[room] == 7);
            assert_true(closed || p == text + 5 * room - 1 || p == text + 5 * room);
        }
}

/* Through the reader, malformed elements are told as malformed, wherever they stand. */
static void the_reader_tells_malformed_arrays(void **state)
{
    (void)state;
    static const char *const bad[] = {"1,,2", "01",       "-",  "1.",    ".5",  "1e",
                                      "NaN",  "0x10",     "+1", "0.1.2", "--1", "1e+",
                                      "1 2",  "Infinity", "1,", ",1"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        for (int tail = 0; tail <= 100; tail += 100) {
            char text[256];
            struct arena a;
            struct json_reader r;
            struct json_token t;
            struct err err = {0};
            float *out;
            size_t n;
            arena_init(&a, 0);
            int len = snprintf(text, sizeof text, "[0.25, %s]%*s", bad[i], tail, "");
            struct bytes copy = arena_bytes(&a, bytes_of(text, (size_t)len));
            json_reader_init(&r, copy, &a);
            assert_int_equal(json_next(&r, &t, &err), QMN_OK);
            assert_int_equal(json_floats(&r, 100, &out, &n, &err), QMN_E_MALFORMED);
            assert_non_null(strstr(err.text, "byte "));
            arena_release(&a);
        }
}

static void the_reader_takes_arrays_of_any_length(void **state)
{
    (void)state;
    for (int n = 0; n < 5000; n = n * 3 / 2 + 1) {
        struct arena a;
        struct json_reader r;
        struct json_token t;
        float *out;
        size_t got;
        arena_init(&a, 0);
        char *text = arena_alloc(&a, (size_t)n * 8 + 8);
        size_t len = 0;
        text[len++] = '[';
        for (int i = 0; i < n; i++)
            len += (size_t)snprintf(text + len, 8, i ? ",%d" : "%d", i);
        text[len++] = ']';
        struct bytes copy = arena_bytes(&a, bytes_of(text, len));
        json_reader_init(&r, copy, &a);
        assert_int_equal(json_next(&r, &t, NULL), QMN_OK);
        assert_int_equal(json_floats(&r, (size_t)n, &out, &got, NULL), QMN_OK);
        assert_int_equal(got, n);
        for (int i = 0; i < n; i++)
            assert_true(out[i] == (float)i);
        assert_int_equal(json_next(&r, &t, NULL), QMN_OK);
        assert_int_equal(t.kind, JSON_END);
        arena_release(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_million_numbers_agree_with_strtof),
        cmocka_unit_test(what_clients_send_never_takes_the_slow_way),
        cmocka_unit_test(midpoints_round_to_even),
        cmocka_unit_test(overflow_is_told),
        cmocka_unit_test(scanners_leave_malformed_elements_alone),
        cmocka_unit_test(scanners_stop_in_the_midst_of_a_batch),
        cmocka_unit_test(scanners_end_at_the_bracket_and_at_the_room),
        cmocka_unit_test(the_reader_tells_malformed_arrays),
        cmocka_unit_test(the_reader_takes_arrays_of_any_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
