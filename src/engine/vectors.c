/* SPDX-License-Identifier: MIT
 *
 * From an input (numbers or text) to a unit vector of the tenant's space. */
#include "engine/engine_priv.h"

#include "math/kernels.h"
#include "math/vector.h"
#include "text/embed.h"

enum { DEFAULT_DIM = 1536 };

#define SPACE_TEXT   "qmn-lexical/1"
#define SPACE_CLIENT "client"

_Static_assert(TEXT_SPACE_VERSION == 1, "the space's name carries its version");

static enum qmn_code space_mismatch(const struct tenant *t, const char *field, const char *came,
                                    struct err *err)
{
    return err_field(err, QMN_E_SPACE_MISMATCH, field,
                     "this tenant's vectors are in space \"%.*s\"; %s is in space \"%s\", and the "
                     "two cannot be compared",
                     BYTES_FMT(t->record->space), field, came);
}

bool engine_text_space(const struct tenant *t)
{
    return !t->record->space.len || bytes_is(t->record->space, SPACE_TEXT);
}

static enum qmn_code from_text(const struct tenant *t, const struct vector_in *in,
                               struct arena *arena, const float **ret_unit, uint32_t *ret_dim,
                               struct err *err)
{
    uint32_t dim = t->record->dim ? (uint32_t)t->record->dim : DEFAULT_DIM;
    if (!engine_text_space(t))
        return space_mismatch(t, "text", SPACE_TEXT, err);
    float *unit = arena_alloc(arena, sizeof *unit * dim);
    if (!unit)
        return err_nomem(err);
    TRY(text_embed(in->text, dim, unit, err));
    *ret_unit = unit;
    *ret_dim = dim;
    return QMN_OK;
}

/* Three results of one look; every caller would unpack a struct of them at once. */
/* NOLINTNEXTLINE(readability-function-size) */
enum qmn_code engine_vector(const struct tenant *t, const struct vector_in *in, const char *field,
                            struct arena *arena, const float **ret_unit, uint32_t *ret_dim,
                            struct bytes *ret_space, struct err *err)
{
    bool text = in->text.ptr != NULL, values = in->values != NULL;
    if (text && values)
        return err_field(err, QMN_E_INVALID, field, "both %s and text came; expected one of them",
                         field);
    if (!text && !values)
        return err_field(err, QMN_E_INVALID, field, "%s is missing (or text in its place)", field);
    if (text) {
        *ret_space = BYTES_LIT(SPACE_TEXT);
        return from_text(t, in, arena, ret_unit, ret_dim, err);
    }
    *ret_space = BYTES_LIT(SPACE_CLIENT);
    if (in->dim < LIMIT_DIM_MIN || in->dim > LIMIT_DIM_MAX)
        return err_field(err, QMN_E_DIMENSION, field, "%zu numbers came; expected %d to %d",
                         in->dim, LIMIT_DIM_MIN, LIMIT_DIM_MAX);
    if (t->record->dim && (size_t)t->record->dim != in->dim)
        return err_field(err, QMN_E_DIMENSION, field,
                         "%zu numbers came; this tenant's vectors have %lld dimensions", in->dim,
                         (long long)t->record->dim);
    if (t->record->space.len && !bytes_is(t->record->space, SPACE_CLIENT))
        return space_mismatch(t, field, SPACE_CLIENT, err);
    float *unit = arena_alloc(arena, sizeof *unit * in->dim);
    if (!unit)
        return err_nomem(err);
    if (!vector_normalise(in->values, in->dim, unit))
        return err_field(
            err, QMN_E_INVALID, field,
            "all numbers are zero, or one is not finite; expected a vector with a direction");
    *ret_unit = unit;
    *ret_dim = (uint32_t)in->dim;
    return QMN_OK;
}

struct bytes engine_pack_f16(const float *unit, uint32_t dim, struct arena *arena)
{
    uint16_t *f16 = arena_alloc(arena, sizeof *f16 * dim);
    if (!f16)
        return bytes_of(NULL, 0);
    math_kernels()->f32_to_f16(unit, dim, f16);
    return bytes_of(f16, sizeof *f16 * dim);
}

float *engine_unpack_f16(struct bytes f16, struct arena *arena)
{
    size_t dim = f16.len / sizeof(uint16_t);
    uint16_t *aligned = arena_copy(arena, f16.ptr, f16.len);
    float *unit = arena_alloc(arena, sizeof *unit * dim);
    if (!unit || !aligned)
        return NULL;
    math_kernels()->f16_to_f32(aligned, dim, unit);
    return unit;
}
