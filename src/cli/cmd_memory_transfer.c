/* SPDX-License-Identifier: MIT
 *
 * memory export, memory import: lines of JSON between a node and a file.  An import is sent a piece
 * at a time; the node skips what it has, so after a break the same file is simply sent again. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/limits.h"
#include "cli_priv.h"
#include "codec/json_decode.h"
#include "qmn/v1/memory.pb-c.h"

enum {
    PIECE_BYTES = 4 << 20, /* half of what the node takes, so that one more line always fits */
    PIECE_LINES = 512,
};

static enum qmn_code open_file(struct cli *c, const char *name, const char *mode, FILE **ret,
                               struct err *err)
{
    bool write = *mode == 'w';
    if (!name || !strcmp(name, "-")) {
        *ret = write ? stdout : stdin;
        return QMN_OK;
    }
    *ret = fopen(name, mode);
    if (!*ret)
        return cli_usage(c, err, "cannot open %s: %s", name, strerror(errno));
    return QMN_OK;
}

/* A failed write shows here at the latest. */
static enum qmn_code close_file(FILE *f, const char *name, struct err *err)
{
    bool own = f != stdout && f != stdin;
    bool failed = ferror(f) || fflush(f) != 0;
    if (own)
        failed |= fclose(f) != 0;
    return failed ? err_set(err, QMN_E_UNAVAILABLE, "cannot write or read %s", name ? name : "-")
                  : QMN_OK;
}

/* ---- export ---- */

/* The id that the next page goes on behind; NULL: not what an export looks like. */
static const char *last_id(struct cli *c, struct bytes page, struct arena *arena)
{
    (void)c;
    size_t end = page.len, from;
    ProtobufCMessage *m;
    struct err ignored;
    if (end && page.ptr[end - 1] == '\n')
        end--;
    for (from = end; from && page.ptr[from - 1] != '\n'; from--)
        ;
    if (json_decode(bytes_of(page.ptr + from, end - from), &qmn__v1__memory_line__descriptor, arena,
                    &m, &ignored) != QMN_OK)
        return NULL;
    const Qmn__V1__MemoryLine *line = (const Qmn__V1__MemoryLine *)(const void *)m;
    return line->version_of ? line->version_of : line->id;
}

static uint64_t count_lines(struct bytes page)
{
    uint64_t n = 0;
    for (size_t i = 0; i < page.len; i++)
        n += page.ptr[i] == '\n';
    return n;
}

static enum qmn_code export_pages(struct cli *c, FILE *f, uint64_t *lines, struct err *err)
{
    struct arena arena;
    struct progress progress;
    char after[64] = "";
    enum qmn_code code = QMN_OK;
    arena_init(&arena, 0);
    progress_begin(&progress, "exporting", 0);
    for (bool more = true; more && code == QMN_OK;) {
        struct client_answer page = {0};
        CLEANUP(buf_release) struct buf path;
        buf_init(&path, 4096);
        buf_adds(&path, cli_query(c, "/v1/hyphal:export"));
        client_path_query(&path, "after", after);
        buf_addc(&path, 0);
        const struct client_call call = {"GET", buf_ok(&path) ? path.ptr : "", NULL, NULL, NULL, 0};
        code = client_send(c->client, &call, &arena, &page, err);
        more = code == QMN_OK && page.body.len;
        const char *last = more ? last_id(c, page.body, &arena) : NULL;
        if (more && (!last || fwrite(page.body.ptr, 1, page.body.len, f) != page.body.len))
            code = err_set(err, QMN_E_UNAVAILABLE, "%s",
                           last ? "cannot write" : "the node sent what is no export");
        if (last)
            snprintf(after, sizeof after, "%s", last);
        *lines += count_lines(page.body);
        progress_set(&progress, 0);
        arena_reset(&arena);
    }
    progress_end(&progress);
    arena_release(&arena);
    return code;
}

enum qmn_code cmd_memory_export(struct cli *c, struct err *err)
{
    const char *name = c->arg_count ? c->args[0] : NULL;
    FILE *f;
    uint64_t lines = 0;
    TRY(cli_connect(c, err));
    TRY(open_file(c, name, "w", &f, err));
    enum qmn_code code = export_pages(c, f, &lines, err);
    enum qmn_code closed = close_file(f, name, code == QMN_OK ? err : &(struct err){0});
    TRY(code);
    TRY(closed);
    if (f == stdout)
        return QMN_OK;
    if (c->json)
        printf("{\"lines\":%llu}\n", (unsigned long long)lines);
    else
        cli_print(c, "%llu lines written to %s\n", (unsigned long long)lines, name);
    return QMN_OK;
}

/* ---- import ---- */

struct import {
    struct cli *c;
    struct arena arena;
    struct buf piece;
    uint32_t piece_lines;
    uint64_t lines, stored, known, expired, failed; /* so far */
};

/* Sends what has been gathered; says which lines were refused, by their number in the file. */
static enum qmn_code send_piece(struct import *p, struct err *err)
{
    struct client_answer answer = {0};
    const struct client_call call = {
        "POST", "/v1/hyphal:import", NULL, &qmn__v1__import_memories_response__descriptor, NULL, 0};
    if (!p->piece_lines)
        return QMN_OK;
    if (!buf_ok(&p->piece))
        return err_nomem(err);
    TRY(client_send_lines(p->c->client, &call, buf_bytes(&p->piece), &p->arena, &answer, err));
    if (!answer.message)
        return err_set(err, QMN_E_INTERNAL, "the node answered nothing");
    const Qmn__V1__ImportMemoriesResponse *m =
        (const Qmn__V1__ImportMemoriesResponse *)(const void *)answer.message;
    for (size_t i = 0; i < m->n_errors; i++)
        cli_note(p->c, "line %llu: %s%s%s\n", (unsigned long long)p->lines + m->errors[i]->line,
                 cli_or(m->errors[i]->field, ""), m->errors[i]->field ? ": " : "",
                 cli_or(m->errors[i]->detail, cli_or(m->errors[i]->code, "?")));
    p->stored += m->stored;
    p->known += m->known;
    p->expired += m->expired;
    p->failed += m->failed;
    p->lines += p->piece_lines;
    p->piece_lines = 0;
    buf_clear(&p->piece);
    arena_reset(&p->arena);
    return QMN_OK;
}

/* With its end.  False: there is none, or it does not fit. */
static bool read_line(FILE *f, struct buf *line)
{
    int c = 0;
    buf_clear(line);
    while (buf_ok(line) && c != '\n' && (c = getc_unlocked(f)) != EOF)
        buf_addc(line, (char)c);
    return buf_ok(line) && line->len;
}

static enum qmn_code import_lines(struct import *p, FILE *f, struct err *err)
{
    struct progress progress;
    struct stat st;
    CLEANUP(buf_release) struct buf line;
    double done = 0;
    enum qmn_code code = QMN_OK;
    bool sized = fstat(fileno(f), &st) == 0 && S_ISREG(st.st_mode);
    buf_init(&line, LIMIT_IMPORT_BODY_BYTES);
    progress_begin(&progress, "importing", sized ? (double)st.st_size : 0);
    while (code == QMN_OK && read_line(f, &line)) {
        if (p->piece.len + line.len > PIECE_BYTES || p->piece_lines == PIECE_LINES)
            code = send_piece(p, err);
        buf_add(&p->piece, line.ptr, line.len);
        p->piece_lines++;
        done += (double)line.len;
        progress_set(&progress, done);
    }
    if (code == QMN_OK && !buf_ok(&line))
        code = err_set(err, QMN_E_TOO_LARGE, "line %llu is longer than the node takes",
                       (unsigned long long)(p->lines + p->piece_lines + 1));
    if (code == QMN_OK)
        code = send_piece(p, err);
    progress_end(&progress);
    return code;
}

enum qmn_code cmd_memory_import(struct cli *c, struct err *err)
{
    const char *name = c->arg_count ? c->args[0] : NULL;
    struct import p = {.c = c};
    FILE *f;
    TRY(cli_connect(c, err));
    TRY(open_file(c, name, "r", &f, err));
    arena_init(&p.arena, 0);
    buf_init(&p.piece, LIMIT_IMPORT_BODY_BYTES);
    enum qmn_code code = import_lines(&p, f, err);
    enum qmn_code closed = close_file(f, name, code == QMN_OK ? err : &(struct err){0});
    buf_release(&p.piece);
    arena_release(&p.arena);
    TRY(code);
    TRY(closed);
    if (c->json)
        printf("{\"lines\":%llu,\"stored\":%llu,\"known\":%llu,\"expired\":%llu,\"failed\":%llu}\n",
               (unsigned long long)p.lines, (unsigned long long)p.stored,
               (unsigned long long)p.known, (unsigned long long)p.expired,
               (unsigned long long)p.failed);
    else
        cli_print(c, "%llu stored, %llu known already, %llu expired, %llu refused\n",
                  (unsigned long long)p.stored, (unsigned long long)p.known,
                  (unsigned long long)p.expired, (unsigned long long)p.failed);
    return p.failed ? err_set(err, QMN_E_INVALID, "%llu lines were refused",
                              (unsigned long long)p.failed)
                    : QMN_OK;
}
