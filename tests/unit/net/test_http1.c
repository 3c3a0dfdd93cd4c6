/* SPDX-License-Identifier: MIT
 *
 * The HTTP/1 codec without sockets: what is understood, what is refused, and that neither depends
 * on how the bytes were cut. */
#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "net/http1_priv.h"
#include "support/http1_transcript.h"

enum { BODY_LIMIT = 1024 };

#define HEAD "POST /v1/x HTTP/1.1\r\nHost: h\r\n"
#define GET_ "GET / HTTP/1.1\r\n"

static enum qmn_code run(struct bytes in, size_t piece, struct buf *out)
{
    buf_init(out, 1 << 20);
    return http1_transcript(in, piece, BODY_LIMIT, out);
}

/* The transcript with every size of piece must be the same. */
static enum qmn_code run_all_cuts(struct bytes in, struct buf *out)
{
    enum qmn_code code = run(in, 0, out);
    for (size_t piece = 1; piece < in.len; piece++) {
        struct buf again;
        enum qmn_code cut = run(in, piece, &again);
        assert_int_equal(cut, code);
        assert_true(bytes_equal(buf_bytes(&again), buf_bytes(out)));
        buf_release(&again);
    }
    return code;
}

static void expect_text(struct bytes in, const char *want)
{
    struct buf out;
    enum qmn_code code = run_all_cuts(in, &out);
    assert_bytes_equal(buf_bytes(&out), want);
    assert_int_equal(code, QMN_OK);
    buf_release(&out);
}

static char *body_line(const char *body)
{
    static char line[64];
    snprintf(line, sizeof line, "body %zu %016llx\n", strlen(body),
             (unsigned long long)bytes_hash(bytes_cstr(body), 1));
    return line;
}

/* ---- understood ---- */

static void a_request_is_split_into_its_parts(void **state)
{
    (void)state;
    char want[512];
    snprintf(want, sizeof want,
             "request 1 \"/a%%20b?c=d?e\" path \"/a%%20b\" query \"c=d?e\" keep\n"
             "  Host: h:80\n  X-Key: a b\n  Empty: \n%s",
             body_line(""));
    expect_text(BYTES_LIT("GET /a%20b?c=d?e HTTP/1.1\r\nHost: h:80\r\nX-Key:\t a b \t\r\n"
                          "Empty:\r\n\r\n"),
                want);
}

static void pipelined_requests_come_in_order(void **state)
{
    (void)state;
    char want[1024];
    size_t n = (size_t)snprintf(
        want, sizeof want,
        "request 2 \"/v1/x\" path \"/v1/x\" query \"\" keep\n  Host: h\n  Content-Length: 5\n%s",
        body_line("hello"));
    n += (size_t)snprintf(want + n, sizeof want - n,
                          "request 1 \"/\" path \"/\" query \"\" keep\n  Host: i\n%s",
                          body_line(""));
    snprintf(want + n, sizeof want - n, "wants more head\n");
    expect_text(BYTES_LIT(HEAD "Content-Length: 5\r\n\r\nhello" GET_ "Host: i\r\n\r\nGET"), want);
}

static void a_chunked_body_is_joined(void **state)
{
    (void)state;
    char want[512];
    snprintf(want, sizeof want,
             "request 2 \"/v1/x\" path \"/v1/x\" query \"\" keep\n  Host: h\n"
             "  transfer-encoding: Chunked\n%s",
             body_line("hello, world, abcdefghijklmnop"));
    expect_text(BYTES_LIT(HEAD "transfer-encoding: Chunked\r\n\r\n"
                               "5\r\nhello\r\n09;name=\"v\";x\r\n, world, \r\n"
                               "00000010\r\nabcdefghijklmnop\r\n0;last\r\nT: v\r\nU:\r\n\r\n"),
                want);
}

static void versions_decide_keep_alive(void **state)
{
    static const struct {
        const char *text, *want;
    } rows[] = {
        {GET_ "Host: h\r\n\r\n", " keep"},
        {GET_ "Host: h\r\nConnection: close\r\n\r\n", " close"},
        {GET_ "Host: h\r\nConnection: foo, CLOSE\r\n\r\n", " close"},
        {"GET / HTTP/1.0\r\n\r\n", " 1.0 close"},
        {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", " 1.0 keep"},
        {"\r\nGET / HTTP/1.0\r\n\r\n", " 1.0 close"},
        {HEAD "Expect: 100-Continue\r\nContent-Length: 0\r\n\r\n", " keep expect"},
        {"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", "request 7 \"*\""},
        {"PROPFIND / HTTP/1.1\r\nHost: h\r\n\r\n", "request 8 "},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf out;
        assert_int_equal(run_all_cuts(bytes_cstr(rows[i].text), &out), QMN_OK);
        buf_addc(&out, 0);
        assert_non_null(strstr(out.ptr, rows[i].want));
        buf_release(&out);
    }
}

/* ---- refused ---- */

struct hostile {
    const char *what;
    struct bytes text;
    enum qmn_code code;
};

#define ROW(what, text, code)                                                                      \
    {                                                                                              \
        what, {text, sizeof(text) - 1}, QMN_##code                                                 \
    }

static const struct hostile hostile[] = {
    ROW("both lengths", HEAD "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        E_MALFORMED),
    ROW("both, other order",
        HEAD "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", E_MALFORMED),
    ROW("length twice, different", HEAD "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        E_MALFORMED),
    ROW("length twice, same", HEAD "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
        E_MALFORMED),
    ROW("length list", HEAD "Content-Length: 5, 5\r\n\r\nhello", E_MALFORMED),
    ROW("length with sign", HEAD "Content-Length: +5\r\n\r\nhello", E_MALFORMED),
    ROW("negative length", HEAD "Content-Length: -5\r\n\r\nhello", E_MALFORMED),
    ROW("hexadecimal length", HEAD "Content-Length: 0x5\r\n\r\nhello", E_MALFORMED),
    ROW("empty length", HEAD "Content-Length: \r\n\r\n", E_MALFORMED),
    ROW("length with blank", HEAD "Content-Length: 1 2\r\n\r\nhello", E_MALFORMED),
    ROW("length past 64 bits", HEAD "Content-Length: 18446744073709551621\r\n\r\nhello",
        E_MALFORMED),
    ROW("length past the limit", HEAD "Content-Length: 1025\r\n\r\n", E_TOO_LARGE),
    ROW("huge length", HEAD "Content-Length: 999999999999999999\r\n\r\n", E_TOO_LARGE),
    ROW("coding identity", HEAD "Transfer-Encoding: identity\r\n\r\n", E_NOT_IMPLEMENTED),
    ROW("coding gzip", HEAD "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", E_NOT_IMPLEMENTED),
    ROW("coding after chunked", HEAD "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
        E_MALFORMED),
    ROW("coding twice",
        HEAD "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"
             "0\r\n\r\n",
        E_MALFORMED),
    ROW("coding in quotes", HEAD "Transfer-Encoding: \"chunked\"\r\n\r\n", E_NOT_IMPLEMENTED),
    ROW("coding xchunked", HEAD "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", E_NOT_IMPLEMENTED),
    ROW("coding with control",
        HEAD "Transfer-Encoding: \x0b"
             "chunked\r\n\r\n0\r\n\r\n",
        E_MALFORMED),
    ROW("coding on 1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        E_MALFORMED),
    ROW("blank before colon", HEAD "Content-Length : 5\r\n\r\nhello", E_MALFORMED),
    ROW("tab before colon", HEAD "Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n", E_MALFORMED),
    ROW("line without colon", HEAD "Content-Length\r\n\r\n", E_MALFORMED),
    ROW("name missing", HEAD ": x\r\n\r\n", E_MALFORMED),
    ROW("name not a token", HEAD "A(b): x\r\n\r\n", E_MALFORMED),
    ROW("name with high byte", HEAD "A\xe9: x\r\n\r\n", E_MALFORMED),
    ROW("folded line", HEAD "A: b\r\n c\r\n\r\n", E_MALFORMED),
    ROW("folded length", HEAD "Content-Length:\r\n 5\r\n\r\nhello", E_MALFORMED),
    ROW("first header indented", GET_ " Host: h\r\n\r\n", E_MALFORMED),
    ROW("bare LF after request line", "GET / HTTP/1.1\nHost: h\r\n\r\n", E_MALFORMED),
    ROW("bare LF after header", GET_ "Host: h\n\r\n", E_MALFORMED),
    ROW("bare LF at the end", GET_ "Host: h\r\n\n", E_MALFORMED),
    ROW("bare LF hides a header", HEAD "A: b\nContent-Length: 5\r\n\r\nhello", E_MALFORMED),
    ROW("bare CR in value", HEAD "A: b\rContent-Length: 5\r\n\r\nhello", E_MALFORMED),
    ROW("bare CR at the end", GET_ "Host: h\r\n\rX", E_MALFORMED),
    ROW("NUL in value", HEAD "A: b\0c\r\n\r\n", E_MALFORMED),
    ROW("NUL in name", HEAD "A\0b: c\r\n\r\n", E_MALFORMED),
    ROW("NUL in target", "GET /\0 HTTP/1.1\r\nHost: h\r\n\r\n", E_MALFORMED),
    ROW("DEL in value", HEAD "A: b\x7f\r\n\r\n", E_MALFORMED),
    ROW("escape in value", HEAD "A: \x1b[31m\r\n\r\n", E_MALFORMED),
    ROW("no Host", GET_ "\r\n", E_MALFORMED),
    ROW("Host twice", GET_ "Host: a\r\nHost: b\r\n\r\n", E_MALFORMED),
    ROW("Host with path", GET_ "Host: a/b\r\n\r\n", E_MALFORMED),
    ROW("Host with user", GET_ "Host: u@a\r\n\r\n", E_MALFORMED),
    ROW("Host list", GET_ "Host: a, b\r\n\r\n", E_MALFORMED),
    ROW("absolute target", "GET http://h/ HTTP/1.1\r\nHost: h\r\n\r\n", E_MALFORMED),
    ROW("target without slash", "GET foo HTTP/1.1\r\nHost: h\r\n\r\n", E_MALFORMED),
    ROW("star without OPTIONS", "GET * HTTP/1.1\r\nHost: h\r\n\r\n", E_MALFORMED),
    ROW("fragment", "GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n", E_MALFORMED),
    ROW("high byte in target", "GET /\xc3\xa9 HTTP/1.1\r\nHost: h\r\n\r\n", E_MALFORMED),
    ROW("two blanks", "GET  / HTTP/1.1\r\nHost: h\r\n\r\n", E_MALFORMED),
    ROW("blank in target", "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n", E_MALFORMED),
    ROW("tab in request line", "GET\t/ HTTP/1.1\r\nHost: h\r\n\r\n", E_MALFORMED),
    ROW("blank at the end", "GET / HTTP/1.1 \r\nHost: h\r\n\r\n", E_MALFORMED),
    ROW("no version", "GET /\r\n\r\n", E_MALFORMED),
    ROW("nothing but a word", "GET\r\n\r\n", E_MALFORMED),
    ROW("two empty lines first", "\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", E_MALFORMED),
    ROW("version 0.9", "GET / HTTP/0.9\r\n\r\n", E_HTTP_VERSION),
    ROW("version 1.2", "GET / HTTP/1.2\r\nHost: h\r\n\r\n", E_HTTP_VERSION),
    ROW("version 2.0", "GET / HTTP/2.0\r\nHost: h\r\n\r\n", E_HTTP_VERSION),
    ROW("HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", E_HTTP_VERSION),
    ROW("version lower case", "GET / http/1.1\r\nHost: h\r\n\r\n", E_MALFORMED),
    ROW("version of two digits", "GET / HTTP/1.10\r\nHost: h\r\n\r\n", E_MALFORMED),
    ROW("other protocol", "OPTIONS / RTSP/1.0\r\n\r\n", E_MALFORMED),
    ROW("unknown method", "BREW / HTTP/1.1\r\nHost: h\r\n\r\n", E_NOT_IMPLEMENTED),
    ROW("method in lower case", "get / HTTP/1.1\r\nHost: h\r\n\r\n", E_NOT_IMPLEMENTED),
    ROW("RTSP method", "TEARDOWN / HTTP/1.1\r\nHost: h\r\n\r\n", E_NOT_IMPLEMENTED),
    ROW("CONNECT", "CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n", E_NOT_IMPLEMENTED),
    ROW("TLS hello", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", E_MALFORMED),
    ROW("expectation", HEAD "Expect: 200-ok\r\nContent-Length: 0\r\n\r\n", E_EXPECTATION),
#define CHUNKED HEAD "Transfer-Encoding: chunked\r\n\r\n"
    ROW("chunk size not hex", CHUNKED "g\r\n", E_MALFORMED),
    ROW("chunk size empty", CHUNKED "\r\n", E_MALFORMED),
    ROW("chunk size 0x", CHUNKED "0x5\r\nhello\r\n0\r\n\r\n", E_MALFORMED),
    ROW("chunk size signed", CHUNKED "+5\r\nhello\r\n0\r\n\r\n", E_MALFORMED),
    ROW("blank before chunk size", CHUNKED " 5\r\nhello\r\n0\r\n\r\n", E_MALFORMED),
    ROW("blank after chunk size", CHUNKED "5 \r\nhello\r\n0\r\n\r\n", E_MALFORMED),
    ROW("chunk size of nine digits", CHUNKED "000000005\r\nhello\r\n0\r\n\r\n", E_MALFORMED),
    ROW("chunk size past 64 bits", CHUNKED "10000000000000005\r\nhello\r\n", E_MALFORMED),
    ROW("bare LF after chunk size", CHUNKED "5\nhello\r\n0\r\n\r\n", E_MALFORMED),
    ROW("bare CR after chunk size", CHUNKED "5\rhello\r\n0\r\n\r\n", E_MALFORMED),
    ROW("CR and another byte after chunk size", CHUNKED "5\rXhello\r\n0\r\n\r\n", E_MALFORMED),
    ROW("CR and another byte after chunk", CHUNKED "5\r\nhello\rX0\r\n\r\n", E_MALFORMED),
    ROW("bare LF after chunk", CHUNKED "5\r\nhello\n0\r\n\r\n", E_MALFORMED),
    ROW("chunk longer than its size", CHUNKED "4\r\nhello\r\n0\r\n\r\n", E_MALFORMED),
    ROW("LF in extension", CHUNKED "5;a\nb\r\nhello\r\n0\r\n\r\n", E_MALFORMED),
    ROW("NUL in extension", CHUNKED "5;a\0b\r\nhello\r\n0\r\n\r\n", E_MALFORMED),
    ROW("bare LF after trailer", CHUNKED "0\r\nA: b\n\r\n", E_MALFORMED),
    ROW("trailer without colon", CHUNKED "0\r\nGET / HTTP/1.1\r\n\r\n", E_MALFORMED),
    ROW("folded trailer", CHUNKED "0\r\nA: b\r\n c\r\n\r\n", E_MALFORMED),
    ROW("bare LF at the very end", CHUNKED "0\r\n\n", E_MALFORMED),
    ROW("chunks past the limit", CHUNKED "401\r\n", E_TOO_LARGE),
    ROW("huge chunk", CHUNKED "ffffffff\r\n", E_TOO_LARGE),
};

static void each_hostile_head_or_body_is_refused_with_its_code(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(hostile); i++) {
        struct buf out;
        enum qmn_code code = run_all_cuts(hostile[i].text, &out);
        if (code != hostile[i].code)
            print_error("%s: got %s, want %s\n%.*s", hostile[i].what, code_info(code)->wire,
                        code_info(hostile[i].code)->wire, BYTES_FMT(buf_bytes(&out)));
        assert_int_equal(code, hostile[i].code);
        buf_release(&out);
    }
}

/* ---- limits ---- */

/* prefix + n times fill + suffix, all at once and byte by byte. */
static enum qmn_code run_filled(const char *prefix, const char *fill, size_t n, const char *suffix)
{
    struct buf in, out, cut;
    buf_init(&in, 1 << 20);
    buf_adds(&in, prefix);
    for (size_t i = 0; i < n; i++)
        buf_adds(&in, fill);
    buf_adds(&in, suffix);
    assert_true(buf_ok(&in));
    enum qmn_code code = run(buf_bytes(&in), 0, &out);
    assert_int_equal(run(buf_bytes(&in), 1, &cut), code);
    assert_true(bytes_equal(buf_bytes(&out), buf_bytes(&cut)));
    buf_release(&in);
    buf_release(&out);
    buf_release(&cut);
    return code;
}

/* What the scanner makes of a head with the byte `c` in the middle of a line of eights. */
static enum http1_step scan_with(const char *before, int place, unsigned char c, const char *after)
{
    char head[256];
    size_t len = 0, end;
    struct http1_scan scan = {0};
    struct err err;
    len += (size_t)snprintf(head, sizeof head, "%s%.*s", before, place, "aaaaaaaaaaaaaaaaaaaa");
    head[len++] = (char)c;
    len += (size_t)snprintf(head + len, sizeof head - len, "%s\r\n\r\n", after);
    return http1_scan(&scan, bytes_of(head, len), &end, &err);
}

static void each_byte_is_let_through_where_the_grammar_has_it(void **state)
{
    (void)state;
    for (int place = 1; place < 20; place++) {
        for (unsigned c = 0; c < 256; c++) {
            if (c == '\r')
                continue; /* a line ends there */
            bool alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
            bool token = alnum || (c && c < 128 && strchr("!#$%&'*+-.^_`|~", (int)c));
            bool line = c >= 0x20 && c < 0x7f, value = c == '\t' || (c >= 0x20 && c != 0x7f);
            enum http1_step want[] = {HTTP1_REFUSED, HTTP1_DONE};
            assert_int_equal(scan_with("GET /", place, (unsigned char)c, "aaaaaaaaaaaa HTTP/1.1"),
                             want[line]);
            assert_int_equal(scan_with(GET_ "A: ", place, (unsigned char)c, "aaaaaaaaaaaa"),
                             want[value]);
            if (c != ':')
                assert_int_equal(scan_with(GET_, place, (unsigned char)c, "aaaaaaaaaaa: b"),
                                 want[token]);
        }
    }
}

static void a_target_may_have_8192_bytes_and_no_more(void **state)
{
    (void)state;
    const char *end = " HTTP/1.1\r\nHost: h\r\n\r\n";
    assert_int_equal(run_filled("GET /", "a", LIMIT_URI_BYTES - 1, end), QMN_OK);
    assert_int_equal(run_filled("GET /", "a", LIMIT_URI_BYTES, end), QMN_E_URI_TOO_LONG);
    assert_int_equal(run_filled("GET /", "a", 100000, ""), QMN_E_URI_TOO_LONG);
    assert_int_equal(run_filled("", "A", 100000, ""), QMN_E_URI_TOO_LONG);
}

static void a_head_may_have_16384_bytes_and_no_more(void **state)
{
    (void)state;
    const char *start = GET_ "Host: h\r\nA: ";
    size_t room = LIMIT_HEADER_BYTES - strlen(start) - 4;
    assert_int_equal(run_filled(start, "b", room, "\r\n\r\n"), QMN_OK);
    assert_int_equal(run_filled(start, "b", room + 1, "\r\n\r\n"), QMN_E_HEADERS_TOO_LARGE);
    assert_int_equal(run_filled(start, "b", 100000, ""), QMN_E_HEADERS_TOO_LARGE);
}

static void a_head_may_have_100_fields_and_no_more(void **state)
{
    (void)state;
    assert_int_equal(run_filled(GET_ "Host: h\r\n", "A: b\r\n", 99, "\r\n"), QMN_OK);
    assert_int_equal(run_filled(GET_ "Host: h\r\n", "A: b\r\n", 100, "\r\n"),
                     QMN_E_HEADERS_TOO_LARGE);
}

static void a_chunked_body_may_reach_the_limit_and_no_more(void **state)
{
    (void)state;
    assert_int_equal(run_filled(CHUNKED, "1\r\nx\r\n", BODY_LIMIT, "0\r\n\r\n"), QMN_OK);
    assert_int_equal(run_filled(CHUNKED, "1\r\nx\r\n", BODY_LIMIT + 1, "0\r\n\r\n"),
                     QMN_E_TOO_LARGE);
}

static void extensions_and_trailers_are_bounded(void **state)
{
    (void)state;
    assert_int_equal(run_filled(CHUNKED "1;", "e", 100000, ""), QMN_E_HEADERS_TOO_LARGE);
    assert_int_equal(run_filled(CHUNKED "0\r\n", "A: b\r\n", 10000, ""), QMN_E_HEADERS_TOO_LARGE);
    assert_int_equal(run_filled(CHUNKED "0\r\n", "A: b\r\n", 1000, "\r\n"), QMN_OK);
}

/* ---- answers ---- */

static struct bytes write_head(struct buf *out, const struct http1_answer_head *head)
{
    buf_init(out, 65536);
    http1_write_head(out, head);
    assert_true(buf_ok(out));
    return buf_bytes(out);
}

static void an_answer_head_is_written_out(void **state)
{
    (void)state;
    struct buf out;
    const struct header headers[] = {{BYTES_LIT("X-A"), BYTES_LIT("b c")}};
    struct http1_answer_head head = {.status = 200,
                                     .headers = headers,
                                     .header_count = 1,
                                     .length_kind = HTTP1_LENGTH_KNOWN,
                                     .length = 1234567890,
                                     .date = "D"};
    assert_bytes_equal(
        write_head(&out, &head),
        "HTTP/1.1 200 OK\r\nDate: D\r\nX-A: b c\r\nContent-Length: 1234567890\r\n\r\n");
    buf_release(&out);
    head = (struct http1_answer_head){
        .status = 599, .length_kind = HTTP1_LENGTH_CHUNKED, .date = "D", .close = true};
    assert_bytes_equal(write_head(&out, &head),
                       "HTTP/1.1 599 Status\r\nDate: D\r\nTransfer-Encoding: chunked\r\n"
                       "Connection: close\r\n\r\n");
    buf_release(&out);
}

static void a_header_that_could_forge_another_is_left_out(void **state)
{
    (void)state;
    struct buf out;
    const struct header headers[] = {{BYTES_LIT("A"), BYTES_LIT("b\r\nSet-Cookie: x")},
                                     {BYTES_LIT("B\r\n"), BYTES_LIT("c")},
                                     {BYTES_LIT("C"), BYTES_LIT("d\0e")},
                                     {BYTES_LIT(""), BYTES_LIT("f")},
                                     {BYTES_LIT("D"), BYTES_LIT("ok")}};
    struct http1_answer_head head = {.status = 204,
                                     .headers = headers,
                                     .header_count = ARRAY_LEN(headers),
                                     .length_kind = HTTP1_LENGTH_NONE,
                                     .date = "D"};
    assert_bytes_equal(write_head(&out, &head),
                       "HTTP/1.1 204 No Content\r\nDate: D\r\nD: ok\r\n\r\n");
    buf_release(&out);
}

static void chunk_sizes_are_hexadecimal(void **state)
{
    (void)state;
    char text[HTTP1_CHUNK_HEAD];
    assert_bytes_equal(bytes_of(text, http1_write_chunk_head(text, 1)), "1\r\n");
    assert_bytes_equal(bytes_of(text, http1_write_chunk_head(text, 0xabc0)), "abc0\r\n");
    assert_bytes_equal(bytes_of(text, http1_write_chunk_head(text, SIZE_MAX)),
                       "ffffffffffffffff\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_split_into_its_parts),
        cmocka_unit_test(pipelined_requests_come_in_order),
        cmocka_unit_test(a_chunked_body_is_joined),
        cmocka_unit_test(versions_decide_keep_alive),
        cmocka_unit_test(each_hostile_head_or_body_is_refused_with_its_code),
        cmocka_unit_test(each_byte_is_let_through_where_the_grammar_has_it),
        cmocka_unit_test(a_target_may_have_8192_bytes_and_no_more),
        cmocka_unit_test(a_head_may_have_16384_bytes_and_no_more),
        cmocka_unit_test(a_head_may_have_100_fields_and_no_more),
        cmocka_unit_test(a_chunked_body_may_reach_the_limit_and_no_more),
        cmocka_unit_test(extensions_and_trailers_are_bounded),
        cmocka_unit_test(an_answer_head_is_written_out),
        cmocka_unit_test(a_header_that_could_forge_another_is_left_out),
        cmocka_unit_test(chunk_sizes_are_hexadecimal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
