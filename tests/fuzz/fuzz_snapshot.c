/* SPDX-License-Identifier: MIT
 *
 * What a start reads back of an index; the first byte chooses: a manifest, which packs to the same
 * bytes; a head; or the pieces of one chunk, behind the number of its slots and of those with
 * codes. An index that is accepted is valid, can be searched and worked on, and saved and loaded
 * again. */
#include "support/fuzz.h"

#include <assert.h>
#include <string.h>

#include "engine/memory_snapshot_priv.h"
#include "index/snapshot_priv.h"

enum { DIM = 2, PADDED = 64, SLOTS_MOST = 64, CODES_MOST = 1 << 15, WORK = 200 };

static const struct vectors_options options = {.dim = DIM,
                                               .walk = VECTORS_WALK_BITS,
                                               .links = 4,
                                               .ef_construction = 8,
                                               .flat_max = 1,
                                               .seed = 1};

static void fuzz_manifest(struct bytes in)
{
    struct snapshot_table table;
    struct bytes head;
    struct err err = {0};
    struct buf again;
    if (snapshot_manifest_unpack(in, &table, &head, &err) != QMN_OK) {
        assert(err.text[0]);
        return;
    }
    buf_init(&again, SIZE_MAX);
    snapshot_manifest_pack(&table, head, &again);
    assert(!buf_ok(&again) || bytes_equal(buf_bytes(&again), in));
    buf_release(&again);
    snapshot_table_release(&table);
}

static void fuzz_head(struct bytes in)
{
    struct snapshot_loader *l = NULL;
    struct err err = {0};
    if (snapshot_load_begin(&options, in, 1, &l, &err) == QMN_OK)
        snapshot_load_abort(l);
    else
        assert(err.text[0]);
}

static enum qmn_code load(struct bytes head, struct bytes codes, struct bytes links,
                          struct vectors **ret, struct err *err)
{
    struct snapshot_loader *l = NULL;
    struct snapshot_report report;
    TRY(snapshot_load_begin(&options, head, 1, &l, err));
    enum qmn_code code = snapshot_load_codes(l, 0, codes, err);
    if (code == QMN_OK)
        code = snapshot_load_links(l, 0, links, err);
    if (code == QMN_OK)
        return snapshot_load_end(l, ret, &report, err);
    snapshot_load_abort(l);
    return code;
}

static void use(struct vectors *v)
{
    static const float x[DIM] = {1, 0};
    struct topk_item found[4];
    size_t count = 0;
    struct vectors_query q = {.x = x, .k = 4};
    struct vectors_searcher *s = vectors_searcher_new();
    vectors_validate(v);
    if (s && vectors_search(v, &q, s, found, &count, NULL))
        for (size_t i = 0; i < count; i++)
            assert(vectors_has(v, found[i].id));
    vectors_searcher_free(s);
    (void)vectors_work(v, WORK);
    vectors_validate(v);
}

static void save_and_load(const struct vectors *v)
{
    struct buf head, codes, links;
    struct vectors *back = NULL;
    struct err err;
    buf_init(&head, SIZE_MAX);
    buf_init(&codes, SIZE_MAX);
    buf_init(&links, SIZE_MAX);
    if (snapshot_chunks(v)) {
        snapshot_put_head(v, &head);
        snapshot_put_codes(v, 0, &codes);
        snapshot_put_links(v, 0, &links);
        assert(load(buf_bytes(&head), buf_bytes(&codes), buf_bytes(&links), &back, &err) == QMN_OK);
        vectors_validate(back);
        vectors_free(back);
    }
    buf_release(&head);
    buf_release(&codes);
    buf_release(&links);
}

/* in: slots, slots that have codes, the codes as far as they go (zeros follow), the links. */
static void fuzz_pieces(struct bytes in)
{
    static _Alignas(8) char head[sizeof(struct snapshot_head) + PADDED * sizeof(float)];
    static char codes[CODES_MOST];
    struct vectors *like = vectors_new(&options), *v = NULL;
    struct err err = {0};
    if (!like || in.len < 4) {
        vectors_free(like);
        return;
    }
    struct snapshot_head h = snapshot_head_of(like);
    h.slots = 1 + (uint8_t)in.ptr[0] % SLOTS_MOST;
    size_t want = (uint8_t)in.ptr[1] % SLOTS_MOST * snapshot_codes_bytes(like, 1);
    size_t come = (uint8_t)in.ptr[2] + 256 * (size_t)(uint8_t)in.ptr[3];
    assert(want <= sizeof codes && snapshot_head_bytes(like) == sizeof head);
    in = bytes_of(in.ptr + 4, in.len - 4);
    come = come < in.len ? come : in.len;
    come = come < want ? come : want;
    memcpy(head, &h, sizeof h);
    memset(codes, 0, sizeof codes);
    memcpy(codes, in.ptr, come);
    if (load(bytes_of(head, sizeof head), bytes_of(codes, want),
             bytes_of(in.ptr + come, in.len - come), &v, &err) == QMN_OK) {
        use(v);
        save_and_load(v);
    } else {
        assert(err.text[0]);
    }
    vectors_free(v);
    vectors_free(like);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const targets[])(struct bytes in) = {fuzz_manifest, fuzz_head, fuzz_pieces};
    if (size)
        targets[data[0] % 3](bytes_of(data + 1, size - 1));
    return 0;
}
