/* SPDX-License-Identifier: MIT
 *
 * hnswlib over the same files, built by `make bench-memory` only, from the distribution's headers.
 *
 *     memory_hnswlib NAME BASE QUERIES ROWS TRUTH EF,EF,... [M [EF_CONSTRUCTION]]
 *
 * float32, inner product of unit vectors; two threads build, one searches.  TRUTH: of each query
 * the score of its tenth neighbour, as bench_memory writes it. */
#include <hnswlib/hnswlib.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include "memory_data.h"

using hnswlib::HierarchicalNSW;

namespace
{

enum { PASSES = 3, THREADS = 2 };

struct run {
    const char *name;
    struct matrix base, queries;
    std::vector<double> worst;
};

std::vector<double> read_truth(const char *path, size_t count)
{
    std::vector<double> worst;
    char line[64];
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f))
        worst.push_back(strtod(line, NULL));
    if (f)
        fclose(f);
    if (worst.size() != count) {
        fprintf(stderr, "%s: %zu scores, expected %zu\n", path, worst.size(), count);
        exit(1);
    }
    return worst;
}

/* Processor seconds of all threads together. */
double build(HierarchicalNSW<float> &index, const struct matrix &base)
{
    std::atomic<uint32_t> next{1};
    int64_t cpu = ns_of(CLOCK_PROCESS_CPUTIME_ID);
    index.addPoint(matrix_row(&base, 0), 0);
    std::vector<std::thread> threads;
    for (int t = 0; t < THREADS; t++)
        threads.emplace_back([&] {
            for (uint32_t i; (i = next++) < base.count;)
                index.addPoint(matrix_row(&base, i), i);
        });
    for (std::thread &t : threads)
        t.join();
    return seconds_since(CLOCK_PROCESS_CPUTIME_ID, cpu);
}

void search(const struct run &r, HierarchicalNSW<float> &index, size_t ef)
{
    uint32_t n = r.queries.count, right = 0;
    std::vector<int64_t> best(n, INT64_MAX);
    struct latencies l = {best.data(), n, 1e9, 0};
    index.setEf(ef);
    for (int pass = 0; pass < PASSES; pass++) {
        int64_t cpu = ns_of(CLOCK_THREAD_CPUTIME_ID), wall = ns_of(CLOCK_MONOTONIC);
        std::vector<uint32_t> found((size_t)n * MEMORY_K, UINT32_MAX);
        std::vector<uint32_t> counts(n, 0);
        for (uint32_t q = 0; q < n; q++) {
            int64_t began = ns_of(CLOCK_THREAD_CPUTIME_ID);
            auto heap = index.searchKnn(matrix_row(&r.queries, q), MEMORY_K);
            for (; !heap.empty(); heap.pop())
                found[(size_t)q * MEMORY_K + counts[q]++] = (uint32_t)heap.top().second;
            best[q] = std::min(best[q], ns_of(CLOCK_THREAD_CPUTIME_ID) - began);
        }
        double cpu_s = seconds_since(CLOCK_THREAD_CPUTIME_ID, cpu);
        if (cpu_s < l.cpu_s) {
            l.cpu_s = cpu_s;
            l.wall_s = seconds_since(CLOCK_MONOTONIC, wall);
        }
        for (uint32_t q = 0; q < n && pass == 0; q++)
            right += right_ones(&r.base, matrix_row(&r.queries, q), &found[(size_t)q * MEMORY_K],
                                counts[q], r.worst[q]);
    }
    printf("{\"part\":\"search\",\"set\":\"%s\",\"size\":%u,\"engine\":\"hnswlib f32\",\"ef\":%zu,"
           "\"recall\":%.4f,",
           r.name, r.base.count, ef, (double)right / ((double)n * MEMORY_K));
    print_speed(&l);
    printf("}\n");
    fflush(stdout);
}

} // namespace

int main(int argc, char **argv)
{
    if (argc < 7) {
        fprintf(stderr, "usage: memory_hnswlib NAME BASE QUERIES ROWS TRUTH EF,EF,... [M [EFC]]\n");
        return 2;
    }
    struct run r = {argv[1],
                    matrix_map(argv[2], (uint32_t)strtoul(argv[4], NULL, 10)),
                    matrix_map(argv[3], 0),
                    {}};
    r.worst = read_truth(argv[5], r.queries.count);
    size_t m = argc > 7 ? strtoul(argv[7], NULL, 10) : 16;
    size_t efc = argc > 8 ? strtoul(argv[8], NULL, 10) : 200;
    double before = anonymous_bytes();
    hnswlib::InnerProductSpace space(r.base.dim);
    HierarchicalNSW<float> index(&space, r.base.count, m, efc);
    double cpu_s = build(index, r.base), n = r.base.count;
    printf("{\"part\":\"build\",\"set\":\"%s\",\"size\":%u,\"engine\":\"hnswlib f32\",\"m\":%zu,"
           "\"ef_construction\":%zu,\"linked_per_cpu_s\":%.1f,\"bytes_per_vector\":%.0f}\n",
           r.name, r.base.count, m, efc, n / cpu_s, (anonymous_bytes() - before) / n);
    fflush(stdout);
    for (char *ef = argv[6]; *ef; ef += *ef == ',')
        search(r, index, strtoul(ef, &ef, 10));
    return 0;
}
