#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Dense vectors of real text: latent semantic analysis, a truncated randomised SVD of tf-idf.

    memory_svd.py LINES QUERIES ROWS DIM PREFIX

Words and pairs of neighbours that at least two lines have, the most frequent FEATURES of them; weight
(1 + log tf) log(n / df), rows of length 1.  The basis: DIM random directions, twice through A'A (Halko,
Martinsson, Tropp 2011, alg. 4.4), each time made orthonormal by the Cholesky factor of its Gram matrix,
which needs no QR of tall matrices.  The first QUERIES lines with a known word become PREFIX.query, the next
ROWS PREFIX.base; all lines shape the basis, as they would in use.  Needs numpy and scipy.
"""
import collections
import re
import struct
import sys

import numpy as np
from scipy import linalg, sparse

SEED, FEATURES, CHUNK = 7, 60000, 16384


def features(line):
    words = re.findall(r"[a-z0-9]+", line.lower())
    return words + [f"{a} {b}" for a, b in zip(words, words[1:])]


def tf_idf(lines):
    df = collections.Counter()
    for line in lines:
        df.update(set(features(line)))
    kept = sorted((f for f in df if df[f] > 1), key=lambda f: (-df[f], f))[:FEATURES]
    column = {f: i for i, f in enumerate(kept)}
    idf = np.log(len(lines) / np.array([df[f] for f in kept]))
    starts, columns, values = [0], [], []
    for line in lines:
        found = collections.Counter(column[f] for f in features(line) if f in column)
        columns.extend(found)
        values.extend(found.values())
        starts.append(len(columns))
    columns = np.array(columns, np.int32)
    values = (1 + np.log(np.array(values))) * idf[columns]
    a = sparse.csr_matrix((values, columns, starts), (len(lines), len(kept)))
    norms = np.sqrt(np.asarray(a.multiply(a).sum(1)).ravel())
    a = a[norms > 0]
    return sparse.diags(1 / norms[norms > 0]).dot(a).tocsr().astype(np.float32)


def gram(m):
    """m'm, in pieces: the sum of squares of 180,000 floats needs more than their own precision."""
    total = np.zeros((m.shape[1], m.shape[1]))
    for i in range(0, m.shape[0], CHUNK):
        total += m[i:i + CHUNK].T @ m[i:i + CHUNK]
    return total


def orthonormal(m):
    factor = linalg.cholesky(gram(m))
    return m @ linalg.solve_triangular(factor, np.eye(len(factor))).astype(np.float32)


def project(a, dim):
    """Rows of `a` in the coordinates of its `dim` strongest directions."""
    basis = np.random.default_rng(SEED).standard_normal((a.shape[1], dim), np.float32)
    for _ in range(2):
        basis = orthonormal(a.T @ (a @ basis))
        print("svd: one pass through A'A", file=sys.stderr, flush=True)
    rows = a @ basis
    _, axes = linalg.eigh(gram(rows))
    return rows @ axes[:, ::-1].astype(np.float32)


def write(path, rows):
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    with open(path, "wb") as f:
        f.write(struct.pack("<8sII48x", b"QMNVEC1", *rows.shape))
        f.write((rows / norms).astype("<f4").tobytes())


def main():
    lines, queries, rows, dim, prefix = sys.argv[1:]
    queries, rows, dim = int(queries), int(rows), int(dim)
    with open(lines, encoding="utf-8") as f:
        a = tf_idf(f.read().splitlines())
    print(f"svd: {a.shape[0]} lines, {a.shape[1]} features, {a.nnz} entries", file=sys.stderr, flush=True)
    x = project(a, dim)
    x = x[np.linalg.norm(x, axis=1) > 1e-3]
    write(prefix + ".query", x[:queries])
    write(prefix + ".base", x[queries:queries + rows])


if __name__ == "__main__":
    main()
