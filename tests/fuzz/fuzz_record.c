/* SPDX-License-Identifier: MIT
 *
 * Bytes read back from a disk: packed bodies of every kind, sealed bodies, and batches of the
 * change feed.  What unpacks must pack to bytes that unpack to the same. */
#include "support/fuzz.h"

#include <assert.h>
#include <string.h>

#include "base/attr.h"
#include "store/record_pack.h"

static void fuzz_body(enum record_kind kind, struct bytes in)
{
    const struct layout *l = store_layout(kind);
    union record_any first, second;
    struct arena arena;
    struct bytes packed, again;
    memset(&first, 0, sizeof first);
    memset(&second, 0, sizeof second);
    arena_init(&arena, 0);
    if (record_unpack(l, in, &first, NULL) == QMN_OK &&
        record_pack(l, &first, &arena, &packed, NULL) == QMN_OK) {
        enum qmn_code code = record_unpack(l, packed, &second, NULL);
        assert(code == QMN_OK);
        code = record_pack(l, &second, &arena, &again, NULL);
        assert(code != QMN_OK || bytes_equal(packed, again));
    }
    /* The chance that random bytes carry the right checksum is nil: they never open. */
    memset(&first, 0, sizeof first);
    enum qmn_code opened = record_open(&sealer_identity, l, in, &arena, &first, NULL);
    (void)opened;
    arena_release(&arena);
}

static enum qmn_code repack(void *ctx, int64_t cursor QMN_UNUSED, const struct change *change,
                            struct err *err QMN_UNUSED)
{
    feed_pack(ctx, change->kind, change->deleted, change->key);
    return QMN_OK;
}

static void fuzz_feed(struct bytes in)
{
    struct buf once, twice;
    buf_init(&once, 1 << 26);
    buf_init(&twice, 1 << 26);
    if (feed_unpack(in, 1, repack, &once, NULL) == QMN_OK && once.len) {
        enum qmn_code code = feed_unpack(buf_bytes(&once), 1, repack, &twice, NULL);
        assert(code == QMN_OK && bytes_equal(buf_bytes(&once), buf_bytes(&twice)));
    }
    buf_release(&once);
    buf_release(&twice);
}

/* The first byte chooses the kind; 0 is the feed. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    struct bytes rest = bytes_of(data + 1, size - 1);
    enum record_kind kind = (enum record_kind)(data[0] % RECORD_KIND_COUNT);
    if (kind)
        fuzz_body(kind, rest);
    else
        fuzz_feed(rest);
    return 0;
}
