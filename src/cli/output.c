/* SPDX-License-Identifier: MIT
 *
 * Everything that reaches the terminal: lines, tables, and small formats. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cli.h"
#include "codec/json_read.h"
#include "text.h"

enum { LINE_MAX_BYTES = 4 << 20, GAP = 2, NARROWEST = 12, GIST_BYTES = 4096 };

QMN_PRINTF(3, 0)
static void print_to(FILE *to, bool colours, const char *fmt, va_list args)
{
    CLEANUP(buf_release) struct buf raw, out;
    buf_init(&raw, LINE_MAX_BYTES);
    buf_init(&out, 4 * (size_t)LINE_MAX_BYTES);
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, fmt, args);
    char *room = len >= 0 ? buf_reserve(&raw, (size_t)len + 1) : NULL;
    if (room) {
        vsnprintf(room, (size_t)len + 1, fmt, again);
        text_render(&out, bytes_of(room, (size_t)len), colours, true);
        (void)fwrite(out.ptr, 1, out.len, to);
    }
    va_end(again);
}

void cli_print(const struct cli *c, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    print_to(stdout, c->colours, fmt, args);
    va_end(args);
}

void cli_note(const struct cli *c, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)fflush(stdout);
    print_to(stderr, c->colours, fmt, args);
    va_end(args);
}

/* ---- tables ---- */

void table_begin(struct table *t, struct cli *c, const char *const *titles, size_t columns)
{
    *t = (struct table){.c = c, .columns = columns};
    memcpy(t->titles, titles, columns * sizeof *titles);
    buf_init(&t->cells, TABLE_ROWS_MAX * TABLE_COLUMNS_MAX * sizeof(char *));
}

void table_cell(struct table *t, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, fmt, args);
    char *text = len >= 0 ? arena_alloc(&t->c->arena, (size_t)len + 1) : NULL;
    if (text) {
        vsnprintf(text, (size_t)len + 1, fmt, again);
        buf_add(&t->cells, &text, sizeof text);
        t->count++;
    }
    t->failed |= !text || !buf_ok(&t->cells);
    va_end(again);
    va_end(args);
}

static const char *cell_at(const struct table *t, size_t i)
{
    const char *text;
    memcpy(&text, t->cells.ptr + i * sizeof text, sizeof text);
    return text;
}

static const char *title_text(const char *title)
{
    return title + (title[0] == '>' || title[0] == '*');
}

static void column_widths(const struct table *t, size_t *widths)
{
    size_t total = 0, flexible = SIZE_MAX;
    for (size_t col = 0; col < t->columns; col++) {
        widths[col] = text_width(bytes_cstr(title_text(t->titles[col])));
        for (size_t i = col; i < t->count; i += t->columns) {
            size_t w = text_width(bytes_cstr(cell_at(t, i)));
            widths[col] = w > widths[col] ? w : widths[col];
        }
        total += widths[col] + (col ? GAP : 0);
        if (t->titles[col][0] == '*')
            flexible = col;
    }
    if (t->c->columns && total > t->c->columns && flexible != SIZE_MAX) {
        size_t over = total - t->c->columns;
        size_t w = widths[flexible];
        widths[flexible] = w > over + NARROWEST ? w - over : NARROWEST < w ? NARROWEST : w;
    }
}

static void put_cell(struct buf *out, const struct table *t, size_t col, struct bytes text,
                     size_t width, bool last)
{
    size_t natural = text_width(text);
    bool cut = natural > width && width > 0;
    struct bytes shown = cut ? text_prefix(text, width - 1) : text;
    size_t pad = cut ? width - 1 - text_width(shown) : width - natural;
    if (t->titles[col][0] == '>')
        for (size_t i = 0; i < pad; i++)
            buf_addc(out, ' ');
    text_render(out, shown, t->c->colours, false);
    if (cut)
        buf_adds(out, "\xe2\x80\xa6");
    if (t->c->colours)
        text_render(out, BYTES_LIT(S_OFF), true, false);
    if (t->titles[col][0] != '>' && !last)
        for (size_t i = 0; i < pad; i++)
            buf_addc(out, ' ');
    for (int i = 0; i < GAP && !last; i++)
        buf_addc(out, ' ');
}

void table_end(struct table *t, const char *empty)
{
    CLEANUP(buf_release) struct buf out;
    size_t widths[TABLE_COLUMNS_MAX];
    buf_init(&out, LINE_MAX_BYTES * 16);
    if (t->count == 0) {
        cli_print(t->c, S_DIM "%s" S_OFF "\n", empty);
    } else {
        column_widths(t, widths);
        for (size_t col = 0; col < t->columns; col++) {
            text_render(&out, BYTES_LIT(S_DIM), t->c->colours, false);
            put_cell(&out, t, col, bytes_cstr(title_text(t->titles[col])), widths[col],
                     col + 1 == t->columns);
        }
        buf_addc(&out, '\n');
        for (size_t i = 0; t->columns && i < t->count; i++) {
            size_t col = i % t->columns;
            bool last = col + 1 == t->columns;
            put_cell(&out, t, col, bytes_cstr(cell_at(t, i)), widths[col], last);
            if (last)
                buf_addc(&out, '\n');
        }
        (void)fwrite(out.ptr, 1, out.len, stdout);
    }
    if (t->failed)
        cli_note(t->c, "qmn: out of memory: the table is not whole\n");
    buf_release(&t->cells);
}

/* ---- small formats ---- */

static const char *or_blank(const char *text)
{
    return text ? text : "";
}

const char *cli_when(struct cli *c, int64_t unix_ms)
{
    static const struct {
        int64_t seconds;
        const char *unit;
    } units[] = {{86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}};
    if (unix_ms <= 0)
        return "never";
    int64_t ahead = (unix_ms - clock_now_ms(&clock_system)) / 1000;
    int64_t distance = ahead < 0 ? -ahead : ahead;
    if (distance < 1)
        return "now";
    size_t u = 0;
    while (distance < units[u].seconds)
        u++;
    long long n = (long long)(distance / units[u].seconds);
    return or_blank(
        arena_printf(&c->arena, ahead < 0 ? "%lld %s ago" : "in %lld %s", n, units[u].unit));
}

const char *cli_time(struct cli *c, int64_t unix_ms)
{
    char text[CLOCK_TEXT_SIZE];
    if (unix_ms <= 0)
        return "never";
    clock_format(unix_ms, text);
    return or_blank(arena_printf(&c->arena, "%.10s %.8s UTC", text, text + 11));
}

const char *cli_bytes(struct cli *c, uint64_t bytes)
{
    static const char *const units[] = {"B", "KB", "MB", "GB", "TB"};
    double value = (double)bytes;
    size_t u = 0;
    while (value >= 1000 && u + 1 < ARRAY_LEN(units)) {
        value /= 1000;
        u++;
    }
    return or_blank(
        arena_printf(&c->arena, u && value < 100 ? "%.1f %s" : "%.0f %s", value, units[u]));
}

const char *cli_join(struct cli *c, char *const *words, size_t count)
{
    const char *text = count ? words[0] : "-";
    for (size_t i = 1; i < count; i++)
        text = or_blank(arena_printf(&c->arena, "%s, %s", text, words[i]));
    return text;
}

/* The value of the member "text" of an object; ptr NULL if there is none. */
static struct bytes text_member(struct cli *c, struct bytes json)
{
    struct json_reader *r = arena_new(&c->arena, struct json_reader);
    struct json_token t, value;
    struct bytes text = {0};
    if (!r)
        return text;
    json_reader_init(r, json, &c->arena);
    if (json_next(r, &t, NULL) != QMN_OK || t.kind != JSON_OBJECT)
        return text;
    while (json_next(r, &t, NULL) == QMN_OK && t.kind == JSON_KEY) {
        if (json_next(r, &value, NULL) != QMN_OK)
            break;
        if (bytes_is(t.text, "text") && value.kind == JSON_STRING) {
            if (json_text(r, &value, &text, NULL) != QMN_OK)
                text = (struct bytes){0};
            break;
        }
        if (json_skip(r, &value, NULL, NULL) != QMN_OK)
            break;
    }
    return text;
}

const char *cli_gist(struct cli *c, ProtobufCBinaryData json, size_t max)
{
    struct bytes whole = bytes_of(json.data, json.len);
    struct bytes text = text_member(c, whole);
    if (!text.ptr)
        text = whole;
    struct bytes shown = text_prefix(text, max);
    bool cut = shown.len < text.len;
    if (cut)
        shown = text_prefix(text, max - 1);
    return or_blank(arena_printf(&c->arena, "%.*s%s", BYTES_FMT(shown), cut ? "\xe2\x80\xa6" : ""));
}
