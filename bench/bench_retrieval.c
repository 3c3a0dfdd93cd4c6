/* SPDX-License-Identifier: MIT
 *
 * How well words, vectors and both find the one document a query was taken from.
 *
 *     bench/retrieval_corpus.py > corpus.tsv; bench_retrieval corpus.tsv [dim] [weight of words]
 * [damping]
 *
 * Recall@10: the share of queries whose document is among the first ten; MRR: the mean of 1 / its
 * rank among the first hundred, 0 beyond.  Every set of queries is cut in two by turns: what is
 * tuned is tuned on the first half, and judged by the second. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/attr.h"
#include "base/limits.h"
#include "index/flat.h"
#include "route/fuse.h"
#include "text/embed.h"
#include "text/lexical.h"

enum { COLLECTIONS = 8, SETS = 8, NAME_MAX_CHARS = 32, FIELDS = 5, DEPTH = 100, TOP = 10 };

struct collection {
    char name[NAME_MAX_CHARS];
    struct flat flat;
    struct lexical words;
    char **ids;
    uint32_t len, cap;
};

enum mode { MODE_WORDS, MODE_VECTOR, MODE_HYBRID, MODE_COUNT };
static const char *const mode_names[] = {"words", "vector", "hybrid"};

struct set {
    char name[NAME_MAX_CHARS];
    struct {
        double recall, mrr;
        uint32_t queries;
    } halves[2][MODE_COUNT];
};

static struct collection collections[COLLECTIONS];
static struct set sets[SETS];
static uint32_t dim = 1536;
static double words_weight = FUSE_WORDS_WEIGHT, damping = FUSE_WORDS_DAMPING;

static void must(bool done)
{
    if (done)
        return;
    fputs("bench_retrieval: out of memory, or a damaged corpus\n", stderr);
    exit(1);
}

/* Finds an entry by name or takes a free one (an empty name). */
#define NAMED(array, count, want)                                                                  \
    __extension__({                                                                                \
        size_t at_ = 0;                                                                            \
        while (at_ < (count) && (array)[at_].name[0] && strcmp((array)[at_].name, (want)) != 0)    \
            at_++;                                                                                 \
        must(at_ < (count) && strlen(want) < NAME_MAX_CHARS);                                      \
        &(array)[at_];                                                                             \
    })

static struct collection *collection_named(const char *name)
{
    struct collection *c = NAMED(collections, COLLECTIONS, name);
    if (!c->name[0]) {
        strcpy(c->name, name);
        flat_init(&c->flat, dim, FLAT_F32);
        lexical_init(&c->words);
    }
    return c;
}

static void add_document(struct collection *c, const char *id, struct bytes text)
{
    static float unit[LIMIT_DIM_MAX];
    struct lexical_doc doc;
    must(lexical_doc_read(c->words.seed, &text, 1, &doc, NULL) == QMN_OK);
    must(lexical_reserve(&c->words, c->len + 1, doc.len) && flat_reserve(&c->flat, 1));
    lexical_add(&c->words, c->len, 0, &doc);
    flat_add(&c->flat, text_embed(text, dim, unit, NULL) == QMN_OK ? unit : NULL);
    if (c->len == c->cap) {
        c->cap = c->cap ? 2 * c->cap : 256;
        c->ids = realloc(c->ids, c->cap * sizeof *c->ids);
        must(c->ids);
    }
    c->ids[c->len] = strdup(id);
    must(c->ids[c->len++]);
}

struct answers {
    struct topk_item items[MODE_COUNT][2 * DEPTH];
    size_t len[MODE_COUNT];
};

static void ask(struct collection *c, struct bytes text, struct arena *arena, struct answers *ret)
{
    static float unit[LIMIT_DIM_MAX];
    struct lexical_doc doc;
    struct lexical_query q;
    uint64_t permitted;
    must(lexical_doc_read(c->words.seed, &text, 1, &doc, NULL) == QMN_OK);
    lexical_query_init(&q, &c->words, &doc, &(struct lexical_filter){.classes = 1});
    must(lexical_best(&q, DEPTH, arena, ret->items[MODE_WORDS], &ret->len[MODE_WORDS]));
    lexical_doc_release(&doc);
    ret->len[MODE_VECTOR] = 0;
    if (text_embed(text, dim, unit, NULL) == QMN_OK)
        ret->len[MODE_VECTOR] =
            flat_search(&c->flat, unit, DEPTH, NULL, arena, ret->items[MODE_VECTOR], &permitted);
    struct fuse_list lists[] = {
        {ret->items[MODE_WORDS], ret->len[MODE_WORDS], words_weight, true},
        {ret->items[MODE_VECTOR], ret->len[MODE_VECTOR], 1, false},
    };
    struct fuse_place room[2 * DEPTH];
    ret->len[MODE_HYBRID] = fuse_ranks(lists, 2, damping, DEPTH, room, ret->items[MODE_HYBRID]);
}

static void run_query(struct set *s, struct collection *c, const char *id, struct bytes text,
                      struct arena *arena)
{
    struct answers a;
    ask(c, text, arena, &a);
    uint32_t half = (s->halves[0][0].queries + s->halves[1][0].queries) % 2;
    for (unsigned m = 0; m < MODE_COUNT; m++) {
        s->halves[half][m].queries++;
        for (size_t i = 0; i < a.len[m]; i++) {
            if (strcmp(c->ids[a.items[m][i].id], id) != 0)
                continue;
            s->halves[half][m].recall += i < TOP;
            s->halves[half][m].mrr += 1 / (1.0 + (double)i);
            break;
        }
    }
    arena_reset(arena);
}

static void run_line(char *line, struct arena *arena)
{
    char *fields[FIELDS] = {0};
    for (unsigned i = 0; i < FIELDS && line; i++) {
        fields[i] = line;
        line = i == 3 && fields[0][0] == 'D' ? NULL : strchr(line, '\t');
        if (line)
            *line++ = '\0';
    }
    must(fields[3]);
    if (fields[0][0] == 'D') {
        add_document(collection_named(fields[1]), fields[2], bytes_cstr(fields[3]));
        return;
    }
    must(fields[4]);
    struct set *s = NAMED(sets, SETS, fields[1]);
    strcpy(s->name, fields[1]);
    run_query(s, collection_named(fields[2]), fields[3], bytes_cstr(fields[4]), arena);
}

/* The means over the sets: each kind of query counts alike. */
static void report_means(uint32_t count)
{
    for (unsigned half = 0; half < 2; half++)
        for (unsigned m = 0; m < MODE_COUNT; m++) {
            double recall = 0, mrr = 0;
            for (unsigned i = 0; i < count; i++) {
                recall += sets[i].halves[half][m].recall / sets[i].halves[half][m].queries;
                mrr += sets[i].halves[half][m].mrr / sets[i].halves[half][m].queries;
            }
            printf("%-9s %-5s %-7s %6s  recall@10 %.4f  mrr %.4f\n", "mean",
                   half ? "judge" : "tune", mode_names[m], "", recall / count, mrr / count);
        }
}

static void report(const struct set *s)
{
    for (unsigned half = 0; half < 2; half++)
        for (unsigned m = 0; m < MODE_COUNT; m++)
            printf("%-9s %-5s %-7s %6u  recall@10 %.3f  mrr %.3f\n", s->name,
                   half ? "judge" : "tune", mode_names[m], s->halves[half][m].queries,
                   s->halves[half][m].recall / s->halves[half][m].queries,
                   s->halves[half][m].mrr / s->halves[half][m].queries);
}

int main(int argc, char **argv)
{
    FILE *f = argc > 1 ? fopen(argv[1], "r") : NULL;
    if (!f) {
        fputs("usage: bench_retrieval CORPUS [dim] [weight of words] [damping]\n", stderr);
        return 2;
    }
    dim = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : dim;
    words_weight = argc > 3 ? strtod(argv[3], NULL) : words_weight;
    damping = argc > 4 ? strtod(argv[4], NULL) : damping;
    struct arena arena;
    arena_init(&arena, 0);
    char *line = NULL;
    size_t cap = 0;
    for (ssize_t len; (len = getline(&line, &cap, f)) > 0;) {
        line[strcspn(line, "\n")] = '\0';
        run_line(line, &arena);
    }
    uint32_t count = 0;
    while (count < SETS && sets[count].name[0])
        report(&sets[count++]);
    report_means(count);
    arena_release(&arena);
    free(line);
    fclose(f);
    return 0;
}
