/* SPDX-License-Identifier: MIT
 *
 * What the programs of `make bench-memory` share, in the common part of C and C++: the file of
 * vectors, recall, clocks, memory.
 *
 * A file is 64 bytes of head (magic, count, dim) and float[count][dim], each of length 1, in this
 * machine's byte order.  Smaller sets are beginnings of larger ones. */
#ifndef QMN_BENCH_MEMORY_DATA_H
#define QMN_BENCH_MEMORY_DATA_H

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MEMORY_MAGIC "QMNVEC1"

enum { MEMORY_K = 10 };

struct memory_head {
    char magic[8];
    uint32_t count, dim;
    char pad[48];
};

struct matrix {
    const float *rows;
    uint32_t count, dim;
};

static inline const float *matrix_row(const struct matrix *m, size_t i)
{
    return m->rows + i * m->dim;
}

/* The first `rows` of a file; 0: all.  Whatever fails ends the program. */
static inline struct matrix matrix_map(const char *path, uint32_t rows)
{
    struct matrix m = {NULL, 0, 0};
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0) {
        perror(path);
        exit(1);
    }
    void *at = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    const struct memory_head *head = (const struct memory_head *)at;
    if (at == MAP_FAILED || (size_t)st.st_size < sizeof *head ||
        memcmp(head->magic, MEMORY_MAGIC, sizeof head->magic) != 0 ||
        (size_t)st.st_size < sizeof *head + (size_t)head->count * head->dim * sizeof(float)) {
        fprintf(stderr, "%s: no vectors\n", path);
        exit(1);
    }
    m.rows = (const float *)(const void *)(head + 1);
    m.dim = head->dim;
    m.count = rows && rows < head->count ? rows : head->count;
    return m;
}

/* Rows whose scores equal the k-th within this are as good as it: a tie that either engine may
 * break its own way, or one float's rounding. */
#define MEMORY_TIE 2e-6

static inline double exact_score(const float *a, const float *b, uint32_t dim)
{
    double sum[8] = {0, 0, 0, 0, 0, 0, 0, 0};
    for (uint32_t i = 0; i + 8 <= dim; i += 8)
        for (uint32_t j = 0; j < 8; j++)
            sum[j] += (double)a[i + j] * (double)b[i + j];
    for (uint32_t i = dim / 8 * 8; i < dim; i++)
        sum[0] += (double)a[i] * (double)b[i];
    return ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
}

/* How many of found[n] different rows score at least `worst`, the score of the last right one. */
static inline uint32_t right_ones(const struct matrix *base, const float *query,
                                  const uint32_t *found, size_t n, double worst)
{
    uint32_t right = 0;
    for (size_t i = 0; i < n; i++) {
        size_t same = 0;
        while (same < i && found[same] != found[i])
            same++;
        right += same == i &&
                 exact_score(matrix_row(base, found[i]), query, base->dim) >= worst - MEMORY_TIE;
    }
    return right;
}

static inline int64_t ns_of(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static inline double seconds_since(clockid_t clock, int64_t then)
{
    return (double)(ns_of(clock) - then) / 1e9;
}

/* Memory of this process that is no file's. */
static inline double anonymous_bytes(void)
{
    char line[128];
    double kb = 0;
    FILE *f = fopen("/proc/self/status", "re");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, "RssAnon:", 8) == 0)
            kb = strtod(line + 8, NULL);
    if (f)
        fclose(f);
    return kb * 1024;
}

/* Latencies of one width over all queries, in the thread's own processor time: a search waits for
 * nobody, so on an idle machine wall time is the same, and on a shared one it shows the others.
 * Of each query the best of some passes: who ran between two of them has emptied the caches. */
struct latencies {
    int64_t *best_ns; /* [queries] */
    size_t count;
    double cpu_s, wall_s; /* of the pass that took least processor time */
};

static inline int by_ns(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* The fields of a JSON line that tell a width's speed.  Sorts best_ns. */
static inline void print_speed(struct latencies *l)
{
    double n = (double)l->count;
    qsort(l->best_ns, l->count, sizeof *l->best_ns, by_ns);
    printf("\"qps\":%.1f,\"qps_wall\":%.1f,\"p50_us\":%.1f,\"p95_us\":%.1f,\"p99_us\":%.1f",
           n / l->cpu_s, n / l->wall_s, (double)l->best_ns[l->count / 2] / 1e3,
           (double)l->best_ns[l->count * 95 / 100] / 1e3,
           (double)l->best_ns[l->count * 99 / 100] / 1e3);
}

#endif
