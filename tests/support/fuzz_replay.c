/* SPDX-License-Identifier: MIT
 *
 * main() of a fuzz target without a fuzzer: feeds it every seed of the folders named, each also cut
 * short, from a heap block of exactly that size so that a sanitizer sees one byte too many.  Any
 * compiler, deterministic; `make fuzz` links libFuzzer instead. */
#include "support/fuzz.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CUTS = 256, /* prefixes tried of one seed, evenly spaced when it is longer */
    SEED_BYTES = 4 << 20,
};

static void feed(const uint8_t *data, size_t size)
{
    uint8_t *exact = malloc(size ? size : 1);
    if (!exact)
        abort();
    if (size)
        memcpy(exact, data, size);
    LLVMFuzzerTestOneInput(exact, size);
    free(exact);
}

static void feed_with_prefixes(const uint8_t *data, size_t size)
{
    size_t step = size / CUTS + 1;
    for (size_t cut = 0; cut < size; cut += step)
        feed(data, cut);
    feed(data, size);
}

/* 0 if the seed was read. */
static int replay_file(const char *path, uint8_t *room)
{
    FILE *f = fopen(path, "rb");
    if (!f) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return -1;
    }
    size_t size = fread(room, 1, SEED_BYTES, f);
    int bad = ferror(f) || !feof(f);
    fclose(f);
    if (bad) {
        fprintf(stderr, "%s: unreadable or over %d bytes\n", path, SEED_BYTES);
        return -1;
    }
    feed_with_prefixes(room, size);
    return 0;
}

/* The number of seeds replayed, or -1. */
static int replay_folder(const char *folder, uint8_t *room)
{
    DIR *d = opendir(folder);
    if (!d) {
        fprintf(stderr, "%s: %s\n", folder, strerror(errno));
        return -1;
    }
    int seeds = 0;
    for (struct dirent *e; seeds >= 0 && (e = readdir(d));) {
        char path[4096];
        if (e->d_name[0] == '.')
            continue;
        int n = snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        if (n < 0 || (size_t)n >= sizeof path || replay_file(path, room) != 0)
            seeds = -1;
        else
            seeds++;
    }
    closedir(d);
    return seeds;
}

int main(int argc, char **argv)
{
    int total = 0;
    uint8_t *room = calloc(1, SEED_BYTES);
    if (!room)
        return 1;
    feed(room, 0); /* nothing at all is an input too */
    for (int i = 1; i < argc; i++) {
        int seeds = replay_folder(argv[i], room);
        if (seeds < 0) {
            free(room);
            return 1;
        }
        total += seeds;
    }
    free(room);
    printf("1..1\n%s 1 - %d seeds replayed\n", total ? "ok" : "not ok", total);
    return total ? 0 : 1;
}
