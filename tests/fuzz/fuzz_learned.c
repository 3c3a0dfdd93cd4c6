/* SPDX-License-Identifier: MIT
 *
 * What the learning log and the rings of recent tasks store: the first byte chooses.  What is
 * accepted lies wholly inside the input and packs to the same bytes. */
#include "support/fuzz.h"

#include <assert.h>
#include <string.h>

#include "engine/learned_priv.h"

static void fuzz_edges(struct bytes in)
{
    struct bytes rest = in;
    while (rest.len) {
        struct learned_edge edge;
        struct err err;
        const char *at = rest.ptr;
        enum qmn_code code = learned_next_edge(&rest, &edge, &err);
        assert(code == QMN_OK || (code == QMN_E_CORRUPT && err.text[0]));
        if (code != QMN_OK) {
            assert(rest.ptr == at && in.len % sizeof edge);
            return;
        }
        assert(rest.ptr == at + sizeof edge && memcmp(&edge, at, sizeof edge) == 0);
    }
}

static void fuzz_tasks(struct bytes in, struct arena *arena)
{
    struct learned_task *tasks = arena_array(arena, struct learned_task, in.len + 1);
    struct bytes rest = in;
    size_t n = 0;
    while (tasks && rest.len) {
        struct err err;
        enum qmn_code code = learned_next_task(&rest, &tasks[n], &err);
        assert(code == QMN_OK || (code == QMN_E_CORRUPT && err.text[0]));
        if (code != QMN_OK)
            return;
        assert(tasks[n].hints.len && !tasks[n].hints.ptr[tasks[n].hints.len - 1]);
        assert(tasks[n].hints.ptr + tasks[n].hints.len == rest.ptr);
        n++;
    }
    if (tasks)
        assert(bytes_equal(learned_pack_tasks(tasks, n, arena), in));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    if (!size)
        return 0;
    arena_init(&arena, 0);
    struct bytes in = bytes_of(data + 1, size - 1);
    if (data[0] & 1)
        fuzz_tasks(in, &arena);
    else
        fuzz_edges(in);
    arena_release(&arena);
    return 0;
}
