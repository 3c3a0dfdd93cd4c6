/* SPDX-License-Identifier: MIT
 *
 * Packing of what was learned.  The layout is the memory layout of the structs; every supported
 * machine is little-endian, and the sizes are asserted. */
#include "engine/learned_priv.h"

#include <string.h>

/* In front of a task's hints. */
struct task_head {
    int64_t agent_no, nutrient_no, at_ms;
    uint64_t nth;
    uint32_t hint_bytes, zero;
};

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "what was learned is stored so");
_Static_assert(sizeof(struct learned_edge) == 64, "stored layout");
_Static_assert(sizeof(struct learned_memory) == 80, "stored layout");
_Static_assert(sizeof(struct task_head) == 40, "stored layout");

enum qmn_code learned_next_edge(struct bytes *rest, struct learned_edge *ret, struct err *err)
{
    if (rest->len < sizeof *ret)
        return err_set(err, QMN_E_CORRUPT, "a stored edge is cut short at %zu of %zu bytes",
                       rest->len, sizeof *ret);
    memcpy(ret, rest->ptr, sizeof *ret);
    *rest = bytes_of(rest->ptr + sizeof *ret, rest->len - sizeof *ret);
    return QMN_OK;
}

enum qmn_code learned_next_memory(struct bytes *rest, struct learned_memory *ret, struct err *err)
{
    if (rest->len < sizeof *ret)
        return err_set(err, QMN_E_CORRUPT, "what was learned of a memory is cut short at %zu bytes",
                       rest->len);
    memcpy(ret, rest->ptr, sizeof *ret);
    *rest = bytes_of(rest->ptr + sizeof *ret, rest->len - sizeof *ret);
    return QMN_OK;
}

enum qmn_code learned_next_task(struct bytes *rest, struct learned_task *ret, struct err *err)
{
    struct task_head head;
    if (rest->len < sizeof head)
        return err_set(err, QMN_E_CORRUPT, "a stored task is cut short at %zu of %zu bytes",
                       rest->len, sizeof head);
    memcpy(&head, rest->ptr, sizeof head);
    const char *hints = rest->ptr + sizeof head;
    size_t left = rest->len - sizeof head;
    if (!head.hint_bytes || head.hint_bytes > left || hints[head.hint_bytes - 1] || head.zero)
        return err_set(err, QMN_E_CORRUPT, "a stored task has no list of hints in %u of %zu bytes",
                       head.hint_bytes, left);
    *ret = (struct learned_task){.agent_no = head.agent_no,
                                 .nutrient_no = head.nutrient_no,
                                 .at_ms = head.at_ms,
                                 .nth = head.nth,
                                 .hints = bytes_of(hints, head.hint_bytes)};
    *rest = bytes_of(hints + head.hint_bytes, left - head.hint_bytes);
    return QMN_OK;
}

static char *put_task(char *out, const struct learned_task *t)
{
    struct task_head head = {.agent_no = t->agent_no,
                             .nutrient_no = t->nutrient_no,
                             .at_ms = t->at_ms,
                             .nth = t->nth,
                             .hint_bytes = (uint32_t)t->hints.len};
    memcpy(out, &head, sizeof head);
    memcpy(out + sizeof head, t->hints.ptr, t->hints.len);
    return out + sizeof head + t->hints.len;
}

struct bytes learned_pack_tasks(const struct learned_task *tasks, size_t count, struct arena *arena)
{
    size_t size = count * sizeof(struct task_head);
    for (size_t i = 0; i < count; i++)
        size += tasks[i].hints.len;
    char *p = arena_alloc(arena, size), *out = p;
    if (!p)
        return bytes_of(NULL, 0);
    for (size_t i = 0; i < count; i++)
        out = put_task(out, &tasks[i]);
    return bytes_of(p, size);
}
