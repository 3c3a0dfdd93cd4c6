/* SPDX-License-Identifier: MIT
 *
 * The sealer that keeps content in clear: body = content, then CRC-32C over context and content.
 * It finds accidents (a flipped bit, a body under the wrong key), not attackers. */
#include "store.h"

#include "base/attr.h"
#include "crc32c.h"

enum { CRC_BYTES = 4 };

static void put_crc(char *p, uint32_t crc)
{
    for (int i = 0; i < CRC_BYTES; i++)
        p[i] = (char)(uint8_t)(crc >> (8 * i));
}

static enum qmn_code identity_seal(void *ctx QMN_UNUSED, int64_t tenant_no QMN_UNUSED,
                                   struct bytes context, struct bytes plain, struct arena *arena,
                                   struct bytes *ret_sealed, struct err *err)
{
    char *p = arena_alloc(arena, plain.len + CRC_BYTES);
    if (!p)
        return err_nomem(err);
    if (plain.len)
        memcpy(p, plain.ptr, plain.len);
    put_crc(p + plain.len, crc32c(crc32c(0, context), plain));
    *ret_sealed = bytes_of(p, plain.len + CRC_BYTES);
    return QMN_OK;
}

/* The content is a slice of `sealed`: nothing is copied. */
static enum qmn_code identity_open(void *ctx QMN_UNUSED, int64_t tenant_no QMN_UNUSED,
                                   struct bytes context, struct bytes sealed,
                                   struct arena *arena QMN_UNUSED, struct bytes *ret_plain,
                                   struct err *err)
{
    if (sealed.len < CRC_BYTES)
        return err_set(err, QMN_E_CORRUPT, "content of %zu bytes; at least %d expected", sealed.len,
                       CRC_BYTES);
    struct bytes plain = bytes_of(sealed.ptr, sealed.len - CRC_BYTES);
    char expected[CRC_BYTES];
    put_crc(expected, crc32c(crc32c(0, context), plain));
    if (memcmp(expected, sealed.ptr + plain.len, CRC_BYTES) != 0)
        return err_set(err, QMN_E_CORRUPT, "content and its checksum disagree");
    *ret_plain = plain;
    return QMN_OK;
}

const struct sealer sealer_identity = {
    .overhead = CRC_BYTES, .seal = identity_seal, .open = identity_open};
