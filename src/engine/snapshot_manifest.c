/* SPDX-License-Identifier: MIT
 *
 * The table of a snapshot's files, and its bytes: format, generation, chunks, bytes of the head
 * (uint32_t, little endian); of each chunk the generations of its codes and links; the head. */
#include "engine/memory_snapshot_priv.h"

#include <stdio.h>

#include "base/mem.h"

enum { MANIFEST_FORMAT = 1, WORD = 4, FIXED_WORDS = 4 };
enum { CHUNKS_MAX = VECTORS_SLOTS_MAX / SNAPSHOT_CHUNK };

void snapshot_table_release(struct snapshot_table *s)
{
    mem_free(s->chunks);
    *s = (struct snapshot_table){0};
}

bool snapshot_table_reach(struct snapshot_table *s, uint32_t chunk)
{
    if (chunk >= s->chunk_cap) {
        uint32_t cap = s->chunk_cap ? 2 * s->chunk_cap : 16;
        cap = cap > chunk ? cap : chunk + 1;
        struct snapshot_chunk *p = mem_resize(s->chunks, cap, sizeof *p);
        if (!p)
            return false;
        s->chunks = p;
        s->chunk_cap = cap;
    }
    for (; s->chunk_count <= chunk; s->chunk_count++)
        s->chunks[s->chunk_count] = (struct snapshot_chunk){0};
    return true;
}

bool snapshot_table_copy(const struct snapshot_table *from, struct snapshot_table *ret)
{
    struct snapshot_table copy = {.generation = from->generation};
    if (from->chunk_count && !snapshot_table_reach(&copy, from->chunk_count - 1))
        return false;
    for (uint32_t i = 0; i < from->chunk_count; i++)
        copy.chunks[i] = from->chunks[i];
    *ret = copy;
    return true;
}

void snapshot_file_name(char kind, uint32_t chunk, uint32_t generation,
                        char ret[static SNAPSHOT_NAME_BYTES])
{
    snprintf(ret, SNAPSHOT_NAME_BYTES, "%c%u-%u", kind, chunk, generation);
}

/* Asked of a folder's hundreds of files once a snapshot. */
bool snapshot_table_names(const struct snapshot_table *s, const char *name)
{
    char want[SNAPSHOT_NAME_BYTES];
    if (strcmp(name, SNAPSHOT_MANIFEST) == 0)
        return true;
    for (uint32_t i = 0; i < s->chunk_count; i++) {
        bool codes = name[0] == 'c';
        const struct snapshot_file *f = codes ? &s->chunks[i].codes : &s->chunks[i].links;
        snapshot_file_name(codes ? 'c' : 'l', i, f->generation, want);
        if (strcmp(name, want) == 0)
            return true;
    }
    return false;
}

static void put_word(struct buf *b, uint32_t x)
{
    const char bytes[WORD] = {(char)(x & 0xff), (char)(x >> 8 & 0xff), (char)(x >> 16 & 0xff),
                              (char)(x >> 24 & 0xff)};
    buf_add(b, bytes, WORD);
}

static uint32_t word_at(struct bytes b, size_t word)
{
    uint32_t x = 0;
    for (size_t i = WORD; i-- > 0;)
        x = x << 8 | (uint8_t)b.ptr[word * WORD + i];
    return x;
}

void snapshot_manifest_pack(const struct snapshot_table *s, struct bytes head, struct buf *ret)
{
    put_word(ret, MANIFEST_FORMAT);
    put_word(ret, s->generation);
    put_word(ret, s->chunk_count);
    put_word(ret, (uint32_t)head.len);
    for (uint32_t i = 0; i < s->chunk_count; i++) {
        put_word(ret, s->chunks[i].codes.generation);
        put_word(ret, s->chunks[i].links.generation);
    }
    buf_addb(ret, head);
}

static bool generation_fits(uint32_t x, uint32_t highest)
{
    return x && x <= highest;
}

static enum qmn_code unpack_chunks(struct bytes manifest, struct snapshot_table *s, struct err *err)
{
    for (uint32_t i = 0; i < s->chunk_count; i++) {
        size_t at = FIXED_WORDS + 2 * (size_t)i;
        uint32_t codes = word_at(manifest, at), links = word_at(manifest, at + 1);
        if (!generation_fits(codes, s->generation) || !generation_fits(links, s->generation))
            return err_set(err, QMN_E_CORRUPT, "files of generation %u and %u in a manifest of %u",
                           codes, links, s->generation);
        s->chunks[i].codes.generation = codes;
        s->chunks[i].links.generation = links;
    }
    return QMN_OK;
}

enum qmn_code snapshot_manifest_unpack(struct bytes manifest, struct snapshot_table *ret,
                                       struct bytes *ret_head, struct err *err)
{
    if (manifest.len < FIXED_WORDS * WORD || word_at(manifest, 0) != MANIFEST_FORMAT)
        return err_set(err, QMN_E_CORRUPT, "no manifest of format %d", MANIFEST_FORMAT);
    struct snapshot_table s = {.generation = word_at(manifest, 1)};
    uint32_t chunks = word_at(manifest, 2), head = word_at(manifest, 3);
    size_t head_at = (FIXED_WORDS + 2 * (size_t)chunks) * WORD;
    if (!chunks || chunks > CHUNKS_MAX || manifest.len != head_at + head)
        return err_set(err, QMN_E_CORRUPT, "a manifest of %zu bytes with %u chunks", manifest.len,
                       chunks);
    if (!snapshot_table_reach(&s, chunks - 1))
        return err_nomem(err);
    enum qmn_code code = unpack_chunks(manifest, &s, err);
    if (code != QMN_OK) {
        snapshot_table_release(&s);
        return code;
    }
    *ret = s;
    *ret_head = bytes_of(manifest.ptr + head_at, head);
    return QMN_OK;
}
