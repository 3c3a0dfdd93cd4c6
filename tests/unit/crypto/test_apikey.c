/* SPDX-License-Identifier: MIT
 *
 * Key texts: what is made parses, what is mistyped does not, and MACs agree with RFC 4231. */
#include "support/test.h"

#include <regex.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "crypto/apikey.h"

/* Made by Python's zlib.crc32 over the text before the last six characters. */
static const char golden[] =
    "qmn_live_0123456789ABCDEF_ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopq2wSelh";

static bool parses(const char *text)
{
    struct apikey k;
    return apikey_parse(bytes_cstr(text), &k);
}

static void a_golden_key_parses_into_its_parts(void **state)
{
    (void)state;
    struct apikey k;
    assert_true(apikey_parse(bytes_cstr(golden), &k));
    assert_bytes_equal(k.env, "live");
    assert_bytes_equal(k.id, "0123456789ABCDEF");
    assert_bytes_equal(k.secret, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopq");
}

/* Of each length modulo 4, as the checksum goes four bytes at a time. */
static void a_key_of_any_length_has_the_usual_checksum(void **state)
{
    (void)state;
    static const char *const keys[] = {
        "qmn_t_0123456789ABCDEF_ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopq3oBSWb",
        "qmn_te_0123456789ABCDEF_ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopq4MOPFT",
        "qmn_tes_0123456789ABCDEF_ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopq0EVBGP",
        "qmn_staging1_0123456789ABCDEF_ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopq3RoJm9"};
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        assert_true(parses(keys[i]));
}

enum { MADE = 100000 };

static int compare_text(const void *a, const void *b)
{
    return strcmp(((const struct apikey_text *)a)->text, ((const struct apikey_text *)b)->text);
}

static void made_keys_are_distinct_and_well_formed(void **state)
{
    (void)state;
    regex_t form;
    assert_int_equal(
        regcomp(&form, "^qmn_test_[0-9A-Za-z]{16}_[0-9A-Za-z]{49}$", REG_EXTENDED | REG_NOSUB), 0);
    struct apikey_text *keys = mem_calloc(MADE, sizeof *keys);
    assert_non_null(keys);
    for (int i = 0; i < MADE; i++) {
        apikey_make("test", &keys[i]);
        assert_int_equal(regexec(&form, keys[i].text, 0, NULL, 0), 0);
        assert_true(parses(keys[i].text));
    }
    qsort(keys, MADE, sizeof *keys, compare_text);
    for (int i = 1; i < MADE; i++) /* ids in front: distinct ids make distinct keys */
        assert_int_not_equal(strncmp(keys[i].text, keys[i - 1].text, 9 + APIKEY_ID_CHARS), 0);
    mem_free(keys);
    regfree(&form);
}

/* Chi-square over the digits of many secrets: 61 degrees of freedom, 1 in 10^6 beyond 128. */
static void every_digit_is_equally_likely(void **state)
{
    (void)state;
    double seen[128] = {0}, chi = 0;
    int n = 0;
    for (int i = 0; i < 5000; i++) {
        struct apikey_text k;
        struct apikey parts;
        apikey_make("t", &k);
        assert_true(apikey_parse(bytes_cstr(k.text), &parts));
        for (size_t j = 0; j < parts.secret.len; j++, n++)
            seen[(unsigned char)parts.secret.ptr[j]]++;
    }
    double want = n / 62.0;
    for (int c = 0; c < 128; c++)
        if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'))
            chi += (seen[c] - want) * (seen[c] - want) / want;
    assert_true(chi < 128);
}

static void any_single_wrong_character_is_refused(void **state)
{
    (void)state;
    for (int round = 0; round < 20; round++) {
        struct apikey_text k;
        apikey_make("live", &k);
        size_t len = strlen(k.text);
        for (size_t at = 0; at < len; at++) {
            char right = k.text[at];
            for (int c = 1; c < 256; c++) {
                k.text[at] = (char)c;
                if (k.text[at] != right)
                    assert_false(parses(k.text));
            }
            k.text[at] = right;
        }
        assert_true(parses(k.text));
    }
}

static void swapped_neighbours_are_refused(void **state)
{
    (void)state;
    struct apikey_text k;
    apikey_make("live", &k);
    for (size_t at = 0; at + 1 < strlen(k.text); at++) {
        char a = k.text[at], b = k.text[at + 1];
        if (a == b)
            continue;
        k.text[at] = b;
        k.text[at + 1] = a;
        assert_false(parses(k.text));
        k.text[at] = a;
        k.text[at + 1] = b;
    }
}

static void a_shortened_or_lengthened_key_is_refused(void **state)
{
    (void)state;
    struct apikey_text k;
    struct apikey parts;
    apikey_make("live", &k);
    size_t len = strlen(k.text);
    for (size_t n = 0; n < len; n++)
        assert_false(apikey_parse(bytes_of(k.text, n), &parts));
    char longer[APIKEY_TEXT_SIZE + 4];
    snprintf(longer, sizeof longer, "%s0", k.text);
    assert_false(parses(longer));
    snprintf(longer, sizeof longer, " %s", k.text);
    assert_false(parses(longer));
    assert_false(apikey_parse(bytes_of(NULL, 0), &parts));
    /* a NUL inside: the text has a length and does not end there */
    char with_nul[APIKEY_TEXT_SIZE];
    memcpy(with_nul, k.text, sizeof with_nul);
    with_nul[5] = 0;
    assert_false(apikey_parse(bytes_of(with_nul, len), &parts));
}

static void refusal_leaves_the_result_untouched(void **state)
{
    (void)state;
    struct apikey k = {.id = BYTES_LIT("before")};
    assert_false(apikey_parse(BYTES_LIT("qmn_live_short"), &k));
    assert_bytes_equal(k.id, "before");
}

static void environments_are_short_lower_case_words(void **state)
{
    (void)state;
    assert_true(apikey_env_valid("live"));
    assert_true(apikey_env_valid("abcdefghijklmn0"));
    assert_false(apikey_env_valid(""));
    assert_false(apikey_env_valid("abcdefghijklmnop"));
    assert_false(apikey_env_valid("Live"));
    assert_false(apikey_env_valid("a_b"));
    struct apikey_text k;
    apikey_make("abcdefghijklmn0", &k);
    assert_int_equal(strlen(k.text), APIKEY_TEXT_SIZE - 1);
    assert_true(parses(k.text));
}

/* RFC 4231 pads shorter keys with zeros up to the block, so a pepper with a zero tail is its key.
 */
static void check_vector(const char *key, size_t key_len, const char *data, const char *want_hex)
{
    struct pepper p = {.ready = true};
    struct apikey_mac mac;
    char hex[2 * APIKEY_MAC_BYTES + 1];
    memcpy(p.b, key, key_len);
    assert_int_equal(apikey_mac(&p, bytes_cstr(data), &mac, NULL), QMN_OK);
    for (int i = 0; i < APIKEY_MAC_BYTES; i++)
        snprintf(hex + 2 * i, 3, "%02x", mac.b[i]);
    assert_string_equal(hex, want_hex);
}

static void macs_agree_with_rfc_4231(void **state)
{
    (void)state;
    char key[20];
    memset(key, 0x0b, sizeof key);
    check_vector(key, sizeof key, "Hi There",
                 "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    check_vector("Jefe", 4, "what do ya want for nothing?",
                 "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

static void a_pepper_that_is_not_ready_makes_no_mac(void **state)
{
    (void)state;
    struct pepper p = {0};
    struct apikey_mac mac;
    struct err err;
    assert_int_equal(apikey_mac(&p, BYTES_LIT("secret"), &mac, &err), QMN_E_INTERNAL);
}

static void macs_are_equal_only_when_every_byte_is(void **state)
{
    (void)state;
    struct pepper p = {.ready = true};
    struct apikey_mac mac, other;
    assert_int_equal(apikey_mac(&p, BYTES_LIT("secret"), &mac, NULL), QMN_OK);
    other = mac;
    assert_true(apikey_mac_equal(&mac, bytes_of(other.b, sizeof other.b)));
    for (size_t bit = 0; bit < 8 * sizeof other.b; bit++) {
        other.b[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        assert_false(apikey_mac_equal(&mac, bytes_of(other.b, sizeof other.b)));
        other.b[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    assert_false(apikey_mac_equal(&mac, bytes_of(mac.b, sizeof mac.b - 1)));
    assert_false(apikey_mac_equal(&mac, bytes_of(NULL, 0)));
}

static void a_wiped_key_leaves_nothing(void **state)
{
    (void)state;
    struct apikey_text k, zero = {0};
    apikey_make("live", &k);
    apikey_text_wipe(&k);
    assert_memory_equal(&k, &zero, sizeof k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_golden_key_parses_into_its_parts),
        cmocka_unit_test(a_key_of_any_length_has_the_usual_checksum),
        cmocka_unit_test(made_keys_are_distinct_and_well_formed),
        cmocka_unit_test(every_digit_is_equally_likely),
        cmocka_unit_test(any_single_wrong_character_is_refused),
        cmocka_unit_test(swapped_neighbours_are_refused),
        cmocka_unit_test(a_shortened_or_lengthened_key_is_refused),
        cmocka_unit_test(refusal_leaves_the_result_untouched),
        cmocka_unit_test(environments_are_short_lower_case_words),
        cmocka_unit_test(macs_agree_with_rfc_4231),
        cmocka_unit_test(a_pepper_that_is_not_ready_makes_no_mac),
        cmocka_unit_test(macs_are_equal_only_when_every_byte_is),
        cmocka_unit_test(a_wiped_key_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
