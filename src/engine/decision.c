/* SPDX-License-Identifier: MIT
 *
 * Packing of decisions and credits.  The layout is the memory layout of the structs above; every
 * supported machine is little-endian, and the sizes are asserted. */
#include "engine/decision_priv.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "decisions are stored little-endian");
_Static_assert(sizeof(struct decision_header) == 32, "stored layout");
_Static_assert(sizeof(struct route_view) == 40, "stored layout");
_Static_assert(sizeof(struct candidate_view) == 32, "stored layout");
_Static_assert(sizeof(struct contribution_view) == 48, "stored layout");
_Static_assert(sizeof(struct credit_view) == 48, "stored layout");

static size_t decision_size(const struct decision_header *h)
{
    return sizeof *h + (size_t)h->route_count * sizeof(struct route_view) +
           (size_t)h->candidate_count * sizeof(struct candidate_view) +
           (size_t)h->contribution_count * sizeof(struct contribution_view);
}

static char *append(char *out, const void *data, size_t len)
{
    if (len)
        memcpy(out, data, len);
    return out + len;
}

struct bytes decision_pack(const struct decision *d, struct arena *arena)
{
    size_t size = decision_size(&d->head) + d->hints.len;
    char *p = arena_alloc(arena, size), *out = p;
    if (!p)
        return bytes_of(NULL, 0);
    out = append(out, &d->head, sizeof d->head);
    out = append(out, d->routes, d->head.route_count * sizeof *d->routes);
    out = append(out, d->candidates, d->head.candidate_count * sizeof *d->candidates);
    out = append(out, d->contributions, d->head.contribution_count * sizeof *d->contributions);
    append(out, d->hints.ptr, d->hints.len);
    return bytes_of(p, size);
}

enum qmn_code decision_unpack(struct bytes packed, struct arena *arena, struct decision *ret,
                              struct err *err)
{
    struct decision d = {0};
    if (packed.len < sizeof d.head)
        return err_set(err, QMN_E_CORRUPT, "a stored decision is cut short");
    memcpy(&d.head, packed.ptr, sizeof d.head);
    size_t fixed = decision_size(&d.head);
    if (d.head.version != DECISION_VERSION || fixed > packed.len ||
        (fixed < packed.len && packed.ptr[packed.len - 1])) /* a text list ends so */
        return err_set(err, QMN_E_CORRUPT, "a stored decision has the wrong version or length");
    char *p = arena_copy(arena, packed.ptr, packed.len); /* the arena aligns it */
    if (!p)
        return err_nomem(err);
    p += sizeof d.head;
    d.routes = (const void *)p;
    p += d.head.route_count * sizeof *d.routes;
    d.candidates = (const void *)p;
    p += d.head.candidate_count * sizeof *d.candidates;
    d.contributions = (const void *)p;
    p += d.head.contribution_count * sizeof *d.contributions;
    d.hints = bytes_of(p, packed.len - fixed);
    *ret = d;
    return QMN_OK;
}

enum qmn_code credits_unpack(struct bytes packed, struct arena *arena,
                             const struct credit_view **ret, uint32_t *ret_count, struct err *err)
{
    if (packed.len % sizeof(struct credit_view))
        return err_set(err, QMN_E_CORRUPT, "a stored outcome has the wrong length");
    void *p = arena_copy(arena, packed.ptr, packed.len);
    if (!p)
        return err_nomem(err);
    *ret = p;
    *ret_count = (uint32_t)(packed.len / sizeof(struct credit_view));
    return QMN_OK;
}
