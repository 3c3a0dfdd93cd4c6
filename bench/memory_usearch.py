#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""usearch over the same files, where Python can import it (bench/memory says how to have it).

    memory_usearch.py NAME BASE QUERIES ROWS TRUTH EF,EF,... DTYPE

DTYPE: f32, bf16 or i8.  The calls go through Python, which costs some microseconds a query, and one thread
searches one query at a time, as in the other programs.
"""
import json
import struct
import sys
import time

import numpy as np
from usearch.index import Index

K, PASSES, TIE = 10, 3, 2e-6


def load(path, rows=None):
    with open(path, "rb") as f:
        _, count, dim = struct.unpack("<8sII48x", f.read(64))
    return np.memmap(path, np.float32, "r", 64, (min(count, rows or count), dim))


def anonymous_bytes():
    with open("/proc/self/status", encoding="ascii") as f:
        return next(1024 * int(line.split()[1]) for line in f if line.startswith("RssAnon"))


def main():
    name, base_path, query_path, rows, truth_path, widths, dtype = sys.argv[1:]
    base, queries = load(base_path, int(rows)), np.array(load(query_path))
    worst = np.loadtxt(truth_path)
    about = {"set": name, "size": len(base), "engine": f"usearch {dtype}"}
    before, cpu = anonymous_bytes(), time.process_time()
    index = Index(ndim=base.shape[1], metric="cos", dtype=dtype, connectivity=16, expansion_add=200)
    for first in range(0, len(base), 10000):
        part = np.array(base[first:first + 10000])
        index.add(np.arange(first, first + len(part), dtype=np.uint64), part, threads=2)
    print(json.dumps({"part": "build", **about, "linked_per_cpu_s": round(len(base) / (time.process_time() - cpu), 1),
                      "bytes_per_vector": round((anonymous_bytes() - before) / len(base))}), flush=True)
    for ef in map(int, widths.split(",")):
        index.expansion_search = ef
        best_ns, cpu_s = np.full(len(queries), 2**62), 1e9
        for _ in range(PASSES):
            cpu, found = time.thread_time(), []
            for i, q in enumerate(queries):
                began = time.thread_time_ns()
                found.append(index.search(q, K, threads=1).keys)
                best_ns[i] = min(best_ns[i], time.thread_time_ns() - began)
            cpu_s = min(cpu_s, time.thread_time() - cpu)
        right = sum(int((base[np.unique(keys).astype(np.int64)].astype(float) @ q.astype(float) >= bar - TIE).sum())
                    for keys, q, bar in zip(found, queries, worst))
        p50, p95, p99 = np.percentile(best_ns, [50, 95, 99]) / 1e3
        print(json.dumps({"part": "search", **about, "ef": ef, "recall": round(right / len(queries) / K, 4),
                          "qps": round(len(queries) / cpu_s, 1), "p50_us": round(p50, 1), "p95_us": round(p95, 1),
                          "p99_us": round(p99, 1)}), flush=True)


if __name__ == "__main__":
    main()
