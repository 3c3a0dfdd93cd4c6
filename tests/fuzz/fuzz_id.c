/* SPDX-License-Identifier: MIT
 *
 * Ids as text: whatever is accepted has exactly one text. */
#include "support/fuzz.h"

#include <assert.h>
#include <string.h>

#include "base/id.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct id id;
    struct bytes text = bytes_of(data, size);
    if (id_parse(text, "nu_", &id)) {
        char again[3 + ID_TEXT_CHARS + 1];
        id_format(id, "nu_", again);
        assert(bytes_is(text, again));
    }
    return 0;
}
