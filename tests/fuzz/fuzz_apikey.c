/* SPDX-License-Identifier: MIT
 *
 * Key texts: what is accepted is nothing but its parts in their order, and its neighbours are
 * refused.  The input is also the stuff of a well-formed key, whose checksum is computed here in
 * the slow and obvious way: it is accepted, and with any other checksum it is not. */
#include "support/fuzz.h"

#include <assert.h>
#include <string.h>

#include "crypto/apikey.h"

static void check_parts(struct bytes text, const struct apikey *k)
{
    assert(k->env.len >= 1 && k->env.len <= APIKEY_ENV_CHARS);
    assert(k->id.len == APIKEY_ID_CHARS && k->secret.len == APIKEY_SECRET_CHARS);
    assert(bytes_starts(text, BYTES_LIT("qmn_")));
    assert(k->env.ptr == text.ptr + 4);
    assert(k->id.ptr == k->env.ptr + k->env.len + 1);
    assert(k->secret.ptr == k->id.ptr + k->id.len + 1);
    assert(text.len == (size_t)(k->secret.ptr - text.ptr) + k->secret.len + APIKEY_CRC_CHARS);
}

static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/* CRC-32 (IEEE), bit by bit, in six digits of base 62. */
static void checksum(struct bytes b, char ret[APIKEY_CRC_CHARS])
{
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < b.len; i++) {
        crc ^= (unsigned char)b.ptr[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ 0xedb88320 : crc >> 1;
    }
    crc = ~crc;
    for (int i = APIKEY_CRC_CHARS; i-- > 0; crc /= 62)
        ret[i] = digits[crc % 62];
}

/* "qmn_" + env + "_" + id + "_" + secret + crc, out of the input's bytes. */
static void fuzz_made(const uint8_t *data, size_t size)
{
    enum { BODY = APIKEY_ID_CHARS + APIKEY_SECRET_CHARS };
    char text[APIKEY_TEXT_SIZE], crc[APIKEY_CRC_CHARS];
    size_t env = 1 + (size ? data[0] % APIKEY_ENV_CHARS : 0), len = 4;
    if (size < 1 + env + BODY)
        return;
    memcpy(text, "qmn_", len);
    for (size_t i = 0; i < env; i++, len++) /* digits and small letters */
        text[len] = digits[data[1 + i] % 36 < 10 ? data[1 + i] % 36 : data[1 + i] % 36 + 26];
    for (size_t i = 0; i < BODY; i++) {
        if (i == 0 || i == APIKEY_ID_CHARS)
            text[len++] = '_';
        text[len++] = digits[data[1 + env + i] % 62];
    }
    checksum(bytes_of(text, len), crc);
    memcpy(text + len, crc, sizeof crc);
    struct bytes whole = bytes_of(text, len + sizeof crc);
    struct apikey k;
    assert(apikey_parse(whole, &k));
    check_parts(whole, &k);
    if (size > 1 + env + BODY) { /* another checksum */
        size_t at = len + data[1 + env + BODY] % APIKEY_CRC_CHARS;
        text[at] = text[at] == '0' ? '1' : '0';
        assert(!apikey_parse(whole, &k));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes text = bytes_of(data, size);
    struct apikey k, other;
    char near[APIKEY_TEXT_SIZE];
    fuzz_made(data, size);
    if (!apikey_parse(text, &k))
        return 0;
    check_parts(text, &k);
    memcpy(near, data, size);
    for (size_t i = 0; i < size; i++) {
        near[i] ^= 1;
        assert(!apikey_parse(bytes_of(near, size), &other));
        near[i] ^= 1;
    }
    assert(!apikey_parse(bytes_of(near, size - 1), &other));
    return 0;
}
