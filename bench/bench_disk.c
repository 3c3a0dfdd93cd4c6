/* SPDX-License-Identifier: MIT
 *
 * What the disk alone allows: writes of KB kilobytes to a growing file, each made durable by
 * fdatasync, for SECONDS.  A group commit cannot be faster than one of these.
 *
 *     build/bench/bench_disk DIR [KB [SECONDS]]     prints syncs a second and their median */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

enum { SAMPLES_MAX = 1000000 };

static int compare(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

int main(int argc, char **argv)
{
    static int64_t samples[SAMPLES_MAX];
    static char block[1 << 20];
    char path[4096];
    size_t size = (argc > 2 ? (size_t)strtoul(argv[2], NULL, 10) : 64) * 1024;
    double seconds = argc > 3 ? strtod(argv[3], NULL) : 3;
    if (argc < 2 || size == 0 || size > sizeof block) {
        fprintf(stderr, "usage: bench_disk DIR [KB up to 1024 [SECONDS]]\n");
        return 2;
    }
    snprintf(path, sizeof path, "%s/bench-disk-XXXXXX", argv[1]);
    int fd = mkstemp(path);
    if (fd < 0) {
        perror(path);
        return 1;
    }
    unlink(path);
    memset(block, 'q', sizeof block);
    size_t n = 0;
    int64_t began = clock_mono_us(), now = began;
    while ((double)(now - began) < seconds * 1e6 && n < SAMPLES_MAX) {
        if (write(fd, block, size) != (ssize_t)size || fdatasync(fd) != 0) {
            perror("write");
            return 1;
        }
        int64_t after = clock_mono_us();
        samples[n++] = after - now;
        now = after;
    }
    qsort(samples, n, sizeof samples[0], compare);
    printf("{\"bound\":\"disk\",\"kb\":%zu,\"syncs_per_second\":%.0f,\"median_us\":%lld,"
           "\"p95_us\":%lld}\n",
           size / 1024, (double)n * 1e6 / (double)(now - began), (long long)samples[n / 2],
           (long long)samples[n * 95 / 100]);
    return 0;
}
