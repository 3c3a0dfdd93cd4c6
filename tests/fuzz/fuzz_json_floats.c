/* SPDX-License-Identifier: MIT
 *
 * An array of numbers: the fast path gives bit for bit what the reader's tokens and strtof() give,
 * with every scanner, and refuses what they refuse. */
#include "support/fuzz.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "codec/json_floats.h"
#include "codec/json_read.h"

enum { MAX = 64 };

/* The slow, obvious way.  QMN_E_INVALID: an element is no float32, or too many. */
static enum qmn_code by_tokens(struct bytes in, struct arena *a, float *out, size_t *ret_count)
{
    struct json_reader r;
    struct json_token t;
    *ret_count = 0;
    json_reader_init(&r, in, a);
    if (json_next(&r, &t, NULL) != QMN_OK || t.kind != JSON_ARRAY)
        return QMN_E_MALFORMED;
    for (;;) {
        if (json_next(&r, &t, NULL) != QMN_OK)
            return QMN_E_MALFORMED;
        if (t.kind == JSON_ARRAY_END)
            return QMN_OK;
        if (t.kind != JSON_NUMBER || *ret_count == MAX)
            return QMN_E_INVALID;
        char *number = arena_cstr(a, t.text);
        float f = strtof(number, NULL);
        if (!isfinite(f))
            return QMN_E_INVALID;
        out[(*ret_count)++] = f;
    }
}

static void compare_scanner(floats_scan_fn *scan, struct bytes in, const float *want, size_t count)
{
    float out[MAX];
    const char *p;
    bool closed;
    size_t n = scan(in.ptr + 1, in.ptr + in.len, out, MAX, &p, &closed);
    assert(n <= count && (!closed || n == count));
    assert(n == 0 || memcmp(out, want, n * sizeof *out) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    struct json_reader r;
    struct json_token t;
    float want[MAX], *got = NULL;
    size_t want_count, count = 0;
    arena_init(&a, 0);
    char *text = arena_alloc(&a, size + 1);
    text[0] = '[';
    memcpy(text + 1, data, size);
    struct bytes in = bytes_of(text, size + 1);
    enum qmn_code expected = by_tokens(in, &a, want, &want_count);
    json_reader_init(&r, in, &a);
    assert(json_next(&r, &t, NULL) == QMN_OK && t.kind == JSON_ARRAY);
    enum qmn_code code = json_floats(&r, MAX, &got, &count, NULL);
    assert(code == expected && (code == QMN_E_MALFORMED || count == want_count));
    if (code == QMN_OK)
        assert(count == 0 || memcmp(got, want, count * sizeof *got) == 0);
    compare_scanner(floats_scan_portable, in, want, want_count);
    if (floats_have_avx512())
        compare_scanner(floats_scan_avx512, in, want, want_count);
    arena_release(&a);
    return 0;
}
