/* SPDX-License-Identifier: MIT
 *
 * The tokeniser of lexical search.  It shares the character classes with the embedder but not its
 * definition of a token: that one is part of a vector space that must stay as it is. */
#include "words.h"

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "chars_priv.h"
#include "fold_priv.h"

struct chunk {
    struct text_char chars[WORDS_CHUNK_CHARS];
    size_t len;
};

struct walk {
    struct bytes text;
    size_t pos;
    text_word_fn *word;
    void *ctx;
};

/* A piece of a chunk. */
struct span {
    size_t start, end;
};

static bool is_between(uint32_t c, uint32_t first, uint32_t last)
{
    return c >= first && c <= last;
}

/* Scripts in which a run of letters is more than a word. */
static bool is_unspaced(struct text_char c)
{
    if (c.class == CHAR_IDEOGRAPH)
        return true;
    if (c.class != CHAR_LETTER || c.code < 0x0e00)
        return false;
    return is_between(c.code, 0x0e00, 0x0eff) || is_between(c.code, 0x1000, 0x109f) ||
           is_between(c.code, 0x1780, 0x17ff) || is_between(c.code, 0x30a1, 0x30ff) ||
           is_between(c.code, 0xac00, 0xd7a3) || is_between(c.code, 0xff66, 0xff9f);
}

static bool is_spaced(struct text_char c)
{
    return (c.class == CHAR_LETTER || c.class == CHAR_UPPER || c.class == CHAR_DIGIT) &&
           !is_unspaced(c);
}

static bool is_path_connector(struct text_char c)
{
    return c.class == CHAR_CONNECTOR &&
           (c.code == '.' || c.code == '/' || c.code == ':' || c.code == '@' || c.code == '\\');
}

/* The next character that is not as if not there; a break at the end of the text. */
static struct text_char next_char(struct bytes text, size_t *pos)
{
    while (*pos < text.len) {
        struct text_char c = text_char_next(text, pos);
        if (c.class != CHAR_IGNORED)
            return c;
    }
    return (struct text_char){' ', CHAR_BREAK};
}

static size_t put_utf8(char *out, uint32_t c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    size_t len = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = len - 1; i > 0; i--, c >>= 6)
        out[i] = (char)(0x80 | (c & 0x3f));
    out[0] = (char)(0xf00 >> len | c); /* as many ones as bytes, then a zero: bits above are cut */
    return len;
}

/* Whether connector i stays when its neighbours are joined. */
static bool joins_digits(const struct chunk *c, size_t i)
{
    return c->chars[i - 1].class == CHAR_DIGIT && c->chars[i + 1].class == CHAR_DIGIT;
}

/* The singular of an English plural, for any word that looks like one; returns its length.  Once
 * more changes nothing. */
static size_t make_singular(char *word, size_t len)
{
    if (len <= 3 || word[len - 1] != 's')
        return len;
    char before = word[len - 2];
    if (before < 'a' || before > 'z' || before == 's' || before == 'u' || before == 'i')
        return len;
    if (len > 4 && before == 'e' && word[len - 3] == 'i') {
        word[len - 3] = 'y';
        return len - 2;
    }
    return len - 1;
}

static bool give(const struct walk *w, const struct chunk *c, struct span s)
{
    char out[WORDS_BYTES_MAX] QMN_UNINIT;
    size_t len = 0;
    for (size_t i = s.start; i < s.end; i++) {
        uint32_t code = c->chars[i].code;
        if (c->chars[i].class != CHAR_CONNECTOR)
            len += put_utf8(out + len, code);
        else if (joins_digits(c, i))
            out[len++] = code < 0x80 ? (char)code : '-';
    }
    return w->word(w->ctx, bytes_of(out, make_singular(out, len)));
}

/* Whether a part ends between the word characters i - 1 and i of a name. */
static bool is_cut(const struct chunk *c, struct span name, size_t i, bool at_digits)
{
    enum char_class before = c->chars[i - 1].class, here = c->chars[i].class;
    if ((before == CHAR_DIGIT) != (here == CHAR_DIGIT))
        return at_digits;
    if (here != CHAR_UPPER)
        return false;
    return before == CHAR_LETTER || (i + 1 < name.end && c->chars[i + 1].class == CHAR_LETTER);
}

static size_t digit_switches(const struct chunk *c, struct span name)
{
    size_t n = 0;
    for (size_t i = name.start + 1; i < name.end; i++)
        n += (c->chars[i].class == CHAR_DIGIT) != (c->chars[i - 1].class == CHAR_DIGIT) &&
             c->chars[i].class != CHAR_CONNECTOR && c->chars[i - 1].class != CHAR_CONNECTOR;
    return n;
}

/* The parts of a name, and the name if they are several. */
static bool give_name(const struct walk *w, const struct chunk *c, struct span name)
{
    bool at_digits = digit_switches(c, name) <= WORDS_SWITCHES_MAX;
    size_t begin = name.start;
    for (size_t i = name.start + 1; i <= name.end; i++) {
        bool connector = i < name.end && c->chars[i].class == CHAR_CONNECTOR;
        if (i < name.end && !connector && (i == begin || !is_cut(c, name, i, at_digits)))
            continue;
        if (!give(w, c, (struct span){begin, i}))
            return false;
        if (i == name.end)
            return begin == name.start || give(w, c, name);
        begin = connector ? i + 1 : i;
    }
    return give(w, c, name); /* of one character */
}

/* Whether a run of joined numbers has been given as something else. */
static bool is_given(const struct span *names, size_t count, struct span run)
{
    if (run.start == names[0].start && run.end == names[count - 1].end)
        return true;
    for (size_t i = 0; i < count; i++)
        if (run.start == names[i].start &&
            (run.end == names[i].end || (i + 1 < count && run.end == names[i + 1].end)))
            return true;
    return false;
}

static bool give_numbers(const struct walk *w, const struct chunk *c, const struct span *names,
                         size_t count)
{
    for (size_t i = 0; i < c->len;) {
        if (c->chars[i].class != CHAR_DIGIT) {
            i++;
            continue;
        }
        struct span run = {i, i};
        bool joined = false;
        for (; i < c->len && (c->chars[i].class == CHAR_DIGIT ||
                              (c->chars[i].class == CHAR_CONNECTOR && joins_digits(c, i)));
             i++)
            joined |= c->chars[i].class == CHAR_CONNECTOR;
        run.end = i;
        if (joined && !is_given(names, count, run) && !give(w, c, run))
            return false;
    }
    return true;
}

static size_t split_names(const struct chunk *c, struct span *ret_names)
{
    size_t count = 0, begin = 0;
    for (size_t i = 0; i <= c->len; i++)
        if (i == c->len || is_path_connector(c->chars[i])) {
            ret_names[count++] = (struct span){begin, i};
            begin = i + 1;
        }
    return count;
}

static bool give_chunk(const struct walk *w, const struct chunk *c)
{
    struct span names[WORDS_CHUNK_CHARS / 2 + 1] QMN_UNINIT;
    size_t count = split_names(c, names);
    for (size_t i = 0; i < count; i++)
        if (!give_name(w, c, names[i]))
            return false;
    for (size_t i = 1; i < count && count > 2; i++)
        if (!give(w, c, (struct span){names[i - 1].start, names[i].end}))
            return false;
    if (count > 1 && !give(w, c, (struct span){0, c->len}))
        return false;
    return give_numbers(w, c, names, count);
}

/* At most two characters. */
static void push(struct chunk *c, struct text_char read)
{
    uint32_t second;
    read.code = fold_letter(read.code, &second);
    c->chars[c->len++] = read;
    if (second)
        c->chars[c->len++] = (struct text_char){second, CHAR_LETTER};
}

/* The chunk that begins with `first`, which has been read. */
static void read_chunk(struct walk *w, struct text_char first, struct chunk *ret)
{
    ret->len = 0;
    push(ret, first);
    while (ret->len + 3 <= WORDS_CHUNK_CHARS) {
        size_t pos = w->pos;
        struct text_char c = next_char(w->text, &pos);
        if (c.class == CHAR_CONNECTOR) {
            struct text_char connector = c;
            c = next_char(w->text, &pos);
            if (!is_spaced(c))
                return;
            ret->chars[ret->len++] = connector;
        }
        if (!is_spaced(c))
            return;
        push(ret, c);
        w->pos = pos;
    }
}

/* c++, c#: their letter has been given and stands before `pos`. */
static bool give_suffixed(const struct walk *w, char letter)
{
    struct bytes rest = bytes_of(w->text.ptr + w->pos, w->text.len - w->pos);
    struct bytes suffix = bytes_starts(rest, BYTES_LIT("++")) ? BYTES_LIT("++") : BYTES_LIT("#");
    if (!bytes_starts(rest, suffix))
        return true;
    size_t after = w->pos + suffix.len;
    if (is_spaced(next_char(w->text, &after)))
        return true;
    char out[] = {letter, suffix.ptr[0], '+'};
    return w->word(w->ctx, bytes_of(out, 1 + suffix.len));
}

/* A run of an unspaced script that begins with c, which has been read. */
static bool give_unspaced(struct walk *w, struct text_char c)
{
    char out[2 * 4];
    size_t before = 0;
    do {
        size_t len = put_utf8(out + before, c.code);
        if (!w->word(w->ctx, bytes_of(out + before, len)) ||
            (before && !w->word(w->ctx, bytes_of(out, before + len))))
            return false;
        for (size_t i = 0; i < len; i++)
            out[i] = out[before + i];
        before = len;
        size_t pos = w->pos;
        c = next_char(w->text, &pos);
        if (is_unspaced(c))
            w->pos = pos;
    } while (is_unspaced(c));
    return true;
}

bool text_words(struct bytes utf8, text_word_fn *word, void *ctx)
{
    struct walk w = {.text = utf8, .word = word, .ctx = ctx};
    struct chunk chunk QMN_UNINIT;
    while (w.pos < utf8.len) {
        struct text_char c = next_char(utf8, &w.pos);
        bool more = true;
        if (is_unspaced(c)) {
            more = give_unspaced(&w, c);
        } else if (is_spaced(c)) {
            read_chunk(&w, c, &chunk);
            more = give_chunk(&w, &chunk);
            if (more && chunk.len == 1 && c.class != CHAR_DIGIT && c.code < 0x80)
                more = give_suffixed(&w, (char)c.code);
        }
        if (!more)
            return false;
    }
    return true;
}
