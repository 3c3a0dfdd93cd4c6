/* SPDX-License-Identifier: MIT
 *
 * Tag similarity by a bit-parallel longest common subsequence [Hyy04: Hyyro, "Bit-parallel
 * LCS-length computation revisited", 2004]: one column of the dynamic-programming table is a bit
 * vector V over the shorter tag; for each byte c of the longer one, with M the positions of c in
 * the shorter, V' = (V + (V & M)) | (V & ~M) and at the end the zeros of V count the length. */
#include "demand.h"

#include <string.h>

#include "base/attr.h"

enum { WORD_BITS = 64, WORDS_MAX = DEMAND_TAG_BYTES / WORD_BITS };

static unsigned char fold(char c)
{
    return (unsigned char)tag_fold(c);
}

/* shorter.len is 1 .. DEMAND_TAG_BYTES. */
static size_t common_length(struct bytes shorter, struct bytes longer)
{
    uint64_t masks[256 * WORDS_MAX] QMN_UNINIT, v[WORDS_MAX];
    size_t words = (shorter.len + WORD_BITS - 1) / WORD_BITS;
    memset(masks, 0, 256 * words * sizeof *masks);
    memset(v, 0xff, words * sizeof *v);
    for (size_t i = 0; i < shorter.len; i++)
        masks[fold(shorter.ptr[i]) * words + i / WORD_BITS] |= (uint64_t)1 << (i % WORD_BITS);
    for (size_t i = 0; i < longer.len; i++) {
        const uint64_t *m = masks + fold(longer.ptr[i]) * words;
        uint64_t carry = 0;
        for (size_t w = 0; w < words; w++) {
            uint64_t sum = v[w] + carry;
            carry = sum < carry;
            uint64_t matched = v[w] & m[w];
            sum += matched;
            carry |= sum < matched;
            v[w] = sum | (v[w] & ~m[w]);
        }
    }
    size_t zeros = 0;
    for (size_t w = 0; w < words; w++)
        zeros += (size_t)__builtin_popcountll(~v[w]);
    return zeros; /* bits past the shorter tag never match, so they stay ones */
}

float tag_ratio(struct bytes a, struct bytes b)
{
    if (a.len > DEMAND_TAG_BYTES || b.len > DEMAND_TAG_BYTES)
        return 0;
    if (a.len + b.len == 0)
        return 1;
    if (a.len == 0 || b.len == 0)
        return 0;
    size_t common = a.len <= b.len ? common_length(a, b) : common_length(b, a);
    return 2 * (float)common / (float)(a.len + b.len);
}

bool demand_may_match(size_t hint_len, size_t task_len)
{
    size_t shorter = hint_len < task_len ? hint_len : task_len;
    /* if all of the shorter one were common */
    return hint_len == task_len ||
           2 * (float)shorter >= DEMAND_RATIO_MIN * (float)(hint_len + task_len);
}

float demand_match(struct bytes hint, struct bytes task)
{
    if (bytes_equal(hint, task))
        return 1;
    if (!demand_may_match(hint.len, task.len))
        return 0;
    float ratio = tag_ratio(hint, task);
    return ratio >= DEMAND_RATIO_MIN ? ratio : 0;
}

float demand_mean(const float *best, uint32_t hints)
{
    float sum = 0;
    for (uint32_t i = 0; i < hints; i++)
        sum += best[i];
    return hints ? sum / (float)hints : 0;
}

float demand_overlap(const struct bytes *hints, uint32_t hint_count, const struct bytes *tasks,
                     uint32_t task_count)
{
    float sum = 0;
    for (uint32_t h = 0; h < hint_count; h++) {
        float best = 0;
        for (uint32_t t = 0; t < task_count && best < 1; t++) {
            float match = demand_match(hints[h], tasks[t]);
            best = match > best ? match : best;
        }
        sum += best;
    }
    return hint_count ? sum / (float)hint_count : 0;
}
