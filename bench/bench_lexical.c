/* SPDX-License-Identifier: MIT
 *
 * What the inverted index costs, on texts whose words are as common as Zipf says:
 *
 *     bench_lexical [documents] [words per document]
 *
 * Documents read (cut and counted) and added a second, removed and added again a second, bytes a
 * posting, and queries a second for the ten best, by the number of words in the query, drawn as the
 * texts draw theirs; beside it how fast the same postings are scored without skipping any (the ten
 * best asked for as the best of all). */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/attr.h"
#include "base/rng.h"
#include "text/lexical.h"

enum { VOCABULARY = 200000, TOP = 10, QUERIES = 2000, TEXT_MAX = 65536, DEFAULT_DOCS = 100000 };

static struct rng rng;
static char text[TEXT_MAX];

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void must(bool done)
{
    if (done)
        return;
    fputs("bench_lexical: out of memory\n", stderr);
    exit(1);
}

/* Rank r with a chance of about 1 / r. */
static unsigned zipf(void)
{
    return (unsigned)pow(VOCABULARY, rng_unit(&rng));
}

static struct bytes random_text(uint32_t words)
{
    size_t at = 0;
    for (uint32_t i = 0; i < words && at + 16 < TEXT_MAX; i++) {
        for (unsigned n = zipf(), digit = 0; n || digit < 3; n /= 17, digit++)
            text[at++] = (char)('a' + n % 17);
        text[at++] = ' ';
    }
    return bytes_of(text, at);
}

static void add(struct lexical *x, uint32_t slot, uint32_t words, double *read_s, double *add_s)
{
    struct bytes b = random_text(words / 2 + rng_below(&rng, words));
    struct lexical_doc doc;
    double start = now();
    must(lexical_doc_read(x->seed, &b, 1, &doc, NULL) == QMN_OK);
    double read = now();
    must(lexical_reserve(x, slot + 1, doc.len));
    lexical_add(x, slot, slot % LEXICAL_CLASSES, &doc);
    *read_s += read - start;
    *add_s += now() - read;
}

static void search(struct lexical *x, uint32_t words, size_t k, unsigned queries)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct topk_item *items = calloc(k, sizeof *items);
    must(items);
    double spent = 0, worst = 0;
    for (unsigned i = 0; i < queries; i++) {
        struct bytes b = random_text(words);
        double start = now();
        struct lexical_doc doc;
        struct lexical_query q;
        size_t count;
        must(lexical_doc_read(x->seed, &b, 1, &doc, NULL) == QMN_OK);
        lexical_query_init(&q, x, &doc, &(struct lexical_filter){.classes = 7});
        must(lexical_best(&q, k, &arena, items, &count));
        lexical_doc_release(&doc);
        arena_reset(&arena);
        double took = now() - start;
        spent += took;
        worst = took > worst ? took : worst;
    }
    printf("search  %2u words, best %-6zu %8.0f queries/s  mean %7.0f us  worst %7.0f us\n", words,
           k, queries / spent, 1e6 * spent / queries, 1e6 * worst);
    arena_release(&arena);
    free(items);
}

int main(int argc, char **argv)
{
    uint32_t docs = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : DEFAULT_DOCS;
    uint32_t words = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 60;
    struct lexical x;
    lexical_init(&x);
    rng_seed(&rng, 1);
    double read_s = 0, add_s = 0, start;
    for (uint32_t s = 0; s < docs; s++)
        add(&x, s, words, &read_s, &add_s);
    printf("%u documents, %" PRIu64 " postings, %u words\n", docs, x.postings, x.terms_live);
    printf("read    %8.0f documents/s\nadd     %8.0f documents/s\n", docs / read_s, docs / add_s);
    printf("memory  %.2f bytes a posting: %.2f blocks, %.2f documents, %.2f the rest\n",
           (double)lexical_bytes(&x) / (double)x.postings,
           (double)x.block_bytes / (double)x.postings, (double)x.forward_bytes / (double)x.postings,
           (double)(lexical_bytes(&x) - x.block_bytes - x.forward_bytes) / (double)x.postings);
    static const uint32_t lengths[] = {1, 2, 3, 5, 10, 20, 64};
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        search(&x, lengths[i], TOP, QUERIES);
        search(&x, lengths[i], docs, QUERIES / 20);
    }
    read_s = add_s = 0;
    double remove_s = 0;
    for (uint32_t i = 0; i < docs / 5; i++) {
        uint32_t slot = rng_below(&rng, docs);
        start = now();
        lexical_remove(&x, slot);
        remove_s += now() - start;
        add(&x, slot, words, &read_s, &add_s);
    }
    printf("anew    %8.0f removed/s, %8.0f added/s\n", docs / 5 / remove_s, docs / 5 / add_s);
    printf("memory  %.2f bytes a posting after that\n",
           (double)lexical_bytes(&x) / (double)x.postings);
    lexical_release(&x);
    return 0;
}
