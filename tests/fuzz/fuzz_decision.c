/* SPDX-License-Identifier: MIT
 *
 * What a trace stores of its decision, and an outcome of its credits: the first byte chooses.  What
 * is accepted of a decision is no more than its bytes can hold, and packs to as few of them or
 * fewer, which are then what they are packed to; credits lie wholly inside their copy, byte for
 * byte as stored. */
#include "support/fuzz.h"

#include <assert.h>
#include <string.h>

#include "engine/decision_priv.h"

static void fuzz_decision(struct bytes in, struct arena *arena)
{
    struct decision d, again;
    struct err err;
    enum qmn_code code = decision_unpack(in, arena, &d, &err);
    assert(code == QMN_OK || (code == QMN_E_CORRUPT && err.text[0]));
    if (code != QMN_OK)
        return;
    assert((d.head.route_count + (size_t)d.head.candidate_count) * 5 +
               d.head.contribution_count * sizeof *d.contributions + d.hints.len <
           in.len);
    assert(!d.hints.len || !d.hints.ptr[d.hints.len - 1]);
    struct bytes packed = decision_pack(&d, arena);
    assert(packed.ptr && packed.len <= in.len);
    code = decision_unpack(packed, arena, &again, &err);
    assert(code == QMN_OK && memcmp(&again.head, &d.head, sizeof d.head) == 0);
    assert(bytes_equal(decision_pack(&again, arena), packed));
}

static void fuzz_credits(struct bytes in, struct arena *arena)
{
    const struct credit_view *credits = NULL;
    uint32_t count = 0;
    struct err err;
    enum qmn_code code = credits_unpack(in, arena, &credits, &count, &err);
    assert(code == QMN_OK || (code == QMN_E_CORRUPT && err.text[0]));
    if (code != QMN_OK)
        return;
    assert(count * sizeof *credits == in.len);
    assert((uintptr_t)credits % _Alignof(struct credit_view) == 0);
    assert(!in.len || memcmp(credits, in.ptr, in.len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    if (!size)
        return 0;
    arena_init(&arena, 0);
    struct bytes in = bytes_of(data + 1, size - 1);
    if (data[0] & 1)
        fuzz_credits(in, &arena);
    else
        fuzz_decision(in, &arena);
    arena_release(&arena);
    return 0;
}
