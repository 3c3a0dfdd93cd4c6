/* SPDX-License-Identifier: MIT
 *
 * Key texts: what is accepted is nothing but its parts in their order, and its neighbours are
 * refused. */
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes text = bytes_of(data, size);
    struct apikey k, other;
    char near[APIKEY_TEXT_SIZE];
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
