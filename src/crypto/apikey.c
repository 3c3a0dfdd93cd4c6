/* SPDX-License-Identifier: MIT
 *
 * Key texts and their MACs.
 *
 * The secret is MACed as the 43 characters it is written in: decoding them to 32 bytes first would
 * add a step that can go wrong and protect nothing.  The checksum covers every character before it,
 * and CRC-32 sees any change within 32 consecutive bits, hence any single wrong character. */
#include "crypto/apikey.h"

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

/* Four bits at a time: the 16 words of the table stay in one cache line, and 80 characters take a
 * fraction of a microsecond. */
static uint32_t crc32_ieee(struct bytes b)
{
    static const uint32_t nibble[16] = {0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac,
                                        0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
                                        0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
                                        0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < b.len; i++) {
        uint32_t c = (unsigned char)b.ptr[i];
        crc = (crc >> 4) ^ nibble[(crc ^ c) & 15];
        crc = (crc >> 4) ^ nibble[(crc ^ (c >> 4)) & 15];
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
