/* SPDX-License-Identifier: MIT
 *
 * What a trace stores of its decision, and an outcome of its credits: the first byte chooses.  What
 * is accepted lies wholly inside its copy, byte for byte as stored, and packs to the same bytes. */
#include "support/fuzz.h"

#include <assert.h>
#include <string.h>

#include "engine/decision_priv.h"

static void fuzz_decision(struct bytes in, struct arena *arena)
{
    struct decision d;
    struct err err;
    enum qmn_code code = decision_unpack(in, arena, &d, &err);
    assert(code == QMN_OK || (code == QMN_E_CORRUPT && err.text[0]));
    if (code != QMN_OK)
        return;
    size_t routes = d.head.route_count * sizeof *d.routes;
    size_t candidates = d.head.candidate_count * sizeof *d.candidates;
    size_t contributions = d.head.contribution_count * sizeof *d.contributions;
    assert(sizeof d.head + routes + candidates + contributions + d.hints.len == in.len);
    assert(!d.hints.len || !d.hints.ptr[d.hints.len - 1]);
    const char *at = in.ptr + sizeof d.head;
    assert(!routes || memcmp(d.routes, at, routes) == 0);
    assert(!candidates || memcmp(d.candidates, at + routes, candidates) == 0);
    assert(!contributions || memcmp(d.contributions, at + routes + candidates, contributions) == 0);
    assert((uintptr_t)d.routes % _Alignof(struct route_view) == 0);
    assert((uintptr_t)d.candidates % _Alignof(struct candidate_view) == 0);
    assert((uintptr_t)d.contributions % _Alignof(struct contribution_view) == 0);
    assert(bytes_equal(decision_pack(&d, arena), in));
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
