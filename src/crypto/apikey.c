/* SPDX-License-Identifier: MIT
 *
 * Key texts and their MACs.
 *
 * The secret is MACed as the 43 characters it is written in: decoding them to 32 bytes first would
 * add a step that can go wrong and protect nothing.  The checksum covers every character before it,
 * and CRC-32 sees any change within 32 consecutive bits, hence any single wrong character. */
#include "crypto/apikey.h"

#include <endian.h>
#include <stdio.h>
#include <string.h>

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

#include "base/rng.h"

static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

enum { BASE62 = 62 };

static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'Z')
        return c - 'A' + 10;
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 36;
    return -1;
}

static bool all_digits(struct bytes b)
{
    for (size_t i = 0; i < b.len; i++)
        if (digit_value(b.ptr[i]) < 0)
            return false;
    return true;
}

/* Four bytes at a time, each half byte by its own table (what it becomes once the rest of the four
 * has passed), so that eight look-ups wait for the last step and not for each other: 80 characters
 * take 0.1 us, half byte by half byte 0.4.  Tables of whole bytes would be 4 KB of cache. */
static const uint32_t crc_tables[8][16] = {
    {0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
     0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278,
     0xbdbdf21c},
    {0x00000000, 0x77073096, 0xee0e612c, 0x990951ba, 0x076dc419, 0x706af48f, 0xe963a535, 0x9e6495a3,
     0x0edb8832, 0x79dcb8a4, 0xe0d5e91e, 0x97d2d988, 0x09b64c2b, 0x7eb17cbd, 0xe7b82d07,
     0x90bf1d91},
    {0x00000000, 0x4ac21251, 0x958424a2, 0xdf4636f3, 0xf0794f05, 0xbabb5d54, 0x65fd6ba7, 0x2f3f79f6,
     0x3b83984b, 0x71418a1a, 0xae07bce9, 0xe4c5aeb8, 0xcbfad74e, 0x8138c51f, 0x5e7ef3ec,
     0x14bce1bd},
    {0x00000000, 0x191b3141, 0x32366282, 0x2b2d53c3, 0x646cc504, 0x7d77f445, 0x565aa786, 0x4f4196c7,
     0xc8d98a08, 0xd1c2bb49, 0xfaefe88a, 0xe3f4d9cb, 0xacb54f0c, 0xb5ae7e4d, 0x9e832d8e,
     0x87981ccf},
    {0x00000000, 0x1c26a370, 0x384d46e0, 0x246be590, 0x709a8dc0, 0x6cbc2eb0, 0x48d7cb20, 0x54f16850,
     0xe1351b80, 0xfd13b8f0, 0xd9785d60, 0xc55efe10, 0x91af9640, 0x8d893530, 0xa9e2d0a0,
     0xb5c473d0},
    {0x00000000, 0x01c26a37, 0x0384d46e, 0x0246be59, 0x0709a8dc, 0x06cbc2eb, 0x048d7cb2, 0x054f1685,
     0x0e1351b8, 0x0fd13b8f, 0x0d9785d6, 0x0c55efe1, 0x091af964, 0x08d89353, 0x0a9e2d0a,
     0x0b5c473d},
    {0x00000000, 0x5019579f, 0xa032af3e, 0xf02bf8a1, 0x9b14583d, 0xcb0d0fa2, 0x3b26f703, 0x6b3fa09c,
     0xed59b63b, 0xbd40e1a4, 0x4d6b1905, 0x1d724e9a, 0x764dee06, 0x2654b999, 0xd67f4138,
     0x866616a7},
    {0x00000000, 0xb8bc6765, 0xaa09c88b, 0x12b5afee, 0x8f629757, 0x37def032, 0x256b5fdc, 0x9dd738b9,
     0xc5b428ef, 0x7d084f8a, 0x6fbde064, 0xd7018701, 0x4ad6bfb8, 0xf26ad8dd, 0xe0df7733,
     0x58631056}};

static uint32_t crc32_ieee(struct bytes b)
{
    uint32_t crc = 0xffffffff;
    size_t i = 0;
    for (; b.len - i >= sizeof crc; i += sizeof crc) {
        uint32_t four;
        memcpy(&four, b.ptr + i, sizeof four);
        four = le32toh(four) ^ crc;
        crc = 0;
#pragma GCC unroll 8
        for (unsigned n = 0; n < 8; n++)
            crc ^= crc_tables[7 - n][four >> 4 * n & 15];
    }
    for (; i < b.len; i++) {
        uint32_t c = (unsigned char)b.ptr[i];
        crc = (crc >> 4) ^ crc_tables[0][(crc ^ c) & 15];
        crc = (crc >> 4) ^ crc_tables[0][(crc ^ (c >> 4)) & 15];
    }
    return ~crc;
}

static void crc_write(uint32_t crc, char ret[APIKEY_CRC_CHARS])
{
    for (int i = APIKEY_CRC_CHARS; i-- > 0; crc /= BASE62)
        ret[i] = digits[crc % BASE62];
}

/* Uniform digits: bytes of the kernel's generator, those that would favour small digits dropped. */
static void random_digits(char *ret, size_t count)
{
    uint8_t pool[64];
    for (size_t done = 0; done < count;) {
        rng_secure(pool, sizeof pool);
        for (size_t i = 0; i < sizeof pool && done < count; i++)
            if (pool[i] < 256 / BASE62 * BASE62)
                ret[done++] = digits[pool[i] % BASE62];
    }
    secret_wipe(pool, sizeof pool);
}

bool apikey_env_valid(const char *env)
{
    size_t n = strlen(env);
    if (n == 0 || n > APIKEY_ENV_CHARS)
        return false;
    return strspn(env, "abcdefghijklmnopqrstuvwxyz0123456789") == n;
}

void apikey_make(const char *env, struct apikey_text *ret)
{
    char id[APIKEY_ID_CHARS], secret[APIKEY_SECRET_CHARS], crc[APIKEY_CRC_CHARS];
    random_digits(id, sizeof id);
    random_digits(secret, sizeof secret);
    int n = snprintf(ret->text, sizeof ret->text, "qmn_%.*s_%.*s_%.*s", APIKEY_ENV_CHARS, env,
                     APIKEY_ID_CHARS, id, APIKEY_SECRET_CHARS, secret);
    crc_write(crc32_ieee(bytes_of(ret->text, (size_t)n)), crc);
    memcpy(ret->text + n, crc, sizeof crc);
    ret->text[n + APIKEY_CRC_CHARS] = 0;
    secret_wipe(secret, sizeof secret);
}

/* Takes the characters up to the next '_' off *rest. */
static bool next_part(struct bytes *rest, struct bytes *ret)
{
    const char *end = rest->len ? memchr(rest->ptr, '_', rest->len) : NULL;
    if (!end)
        return false;
    *ret = bytes_of(rest->ptr, (size_t)(end - rest->ptr));
    *rest = bytes_of(end + 1, rest->len - ret->len - 1);
    return true;
}

static bool env_text_valid(struct bytes env)
{
    char text[APIKEY_ENV_CHARS + 1];
    if (env.len > APIKEY_ENV_CHARS || memchr(env.ptr, 0, env.len))
        return false;
    memcpy(text, env.ptr, env.len);
    text[env.len] = 0;
    return apikey_env_valid(text);
}

bool apikey_parse(struct bytes text, struct apikey *ret)
{
    struct bytes rest = text, mark;
    struct apikey k;
    if (text.len >= APIKEY_TEXT_SIZE)
        return false;
    if (!next_part(&rest, &mark) || !bytes_is(mark, "qmn"))
        return false;
    if (!next_part(&rest, &k.env) || !env_text_valid(k.env))
        return false;
    if (!next_part(&rest, &k.id) || k.id.len != APIKEY_ID_CHARS || !all_digits(k.id))
        return false;
    if (rest.len != APIKEY_SECRET_CHARS + APIKEY_CRC_CHARS || !all_digits(rest))
        return false;
    char crc[APIKEY_CRC_CHARS];
    crc_write(crc32_ieee(bytes_of(text.ptr, text.len - APIKEY_CRC_CHARS)), crc);
    if (memcmp(crc, rest.ptr + APIKEY_SECRET_CHARS, APIKEY_CRC_CHARS) != 0)
        return false;
    k.secret = bytes_of(rest.ptr, APIKEY_SECRET_CHARS);
    *ret = k;
    return true;
}

enum qmn_code apikey_mac(const struct pepper *p, struct bytes secret, struct apikey_mac *ret,
                         struct err *err)
{
    struct apikey_mac mac;
    if (!p->ready)
        return err_set(err, QMN_E_INTERNAL, "the key pepper is not loaded");
    int r = gnutls_hmac_fast(GNUTLS_MAC_SHA256, p->b, sizeof p->b, secret.ptr, secret.len, mac.b);
    if (r < 0)
        return err_set(err, QMN_E_INTERNAL, "HMAC-SHA256: %s", gnutls_strerror(r));
    *ret = mac;
    return QMN_OK;
}

bool apikey_mac_equal(const struct apikey_mac *mac, struct bytes stored)
{
    return stored.len == sizeof mac->b && gnutls_memcmp(mac->b, stored.ptr, stored.len) == 0;
}

void secret_wipe(void *secret, size_t len)
{
    explicit_bzero(secret, len);
}

void apikey_text_wipe(struct apikey_text *k)
{
    secret_wipe(k, sizeof *k);
}
