/* SPDX-License-Identifier: MIT
 *
 * Server-sent events from pieces of any size. */
#include "support/test.h"

#include <stdio.h>

#include "base/attr.h"
#include "client/client_priv.h"

static char seen[4096];

static bool note(void *ctx, const struct client_event *e)
{
    size_t len = strlen(seen);
    snprintf(seen + len, sizeof seen - len, "[%.*s|%.*s|%.*s]", BYTES_FMT(e->type),
             BYTES_FMT(e->id), BYTES_FMT(e->data));
    int *left = ctx;
    return --*left > 0;
}

static bool feed(const char *text, size_t piece, int stop_after)
{
    struct sse s;
    bool going = true;
    seen[0] = '\0';
    sse_init(&s, note, &stop_after);
    for (size_t at = 0; going && at < strlen(text); at += piece) {
        size_t left = strlen(text) - at;
        going = sse_feed(&s, bytes_of(text + at, left < piece ? left : piece));
    }
    sse_release(&s);
    return going;
}

static void events_come_whole_however_they_are_cut(void **state)
{
    (void)state;
    const char *text = ": a comment\n\nevent: nutrient\nid: 7\ndata: {\"a\":1}\n\n"
                       "data: one\r\ndata:two\r\n\r\nretry: 5\n\nevent: empty\n\ndata: last\n\n";
    for (size_t piece = 1; piece < 40; piece++) {
        assert_true(feed(text, piece, 100));
        assert_string_equal(seen, "[nutrient|7|{\"a\":1}][message|7|one\ntwo][message|7|last]");
    }
}

static void a_line_may_end_with_a_lone_carriage_return(void **state)
{
    (void)state;
    assert_true(feed("data: x\r\rdata: y\r\r:", 1, 100));
    assert_string_equal(seen, "[message||x][message||y]");
}

static void half_an_event_is_none(void **state)
{
    (void)state;
    assert_true(feed("data: x\n", 3, 100));
    assert_string_equal(seen, "");
}

static void the_reader_may_have_enough(void **state)
{
    (void)state;
    assert_false(feed("data: 1\n\ndata: 2\n\ndata: 3\n\n", 100, 2));
    assert_string_equal(seen, "[message||1][message||2]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_come_whole_however_they_are_cut),
        cmocka_unit_test(a_line_may_end_with_a_lone_carriage_return),
        cmocka_unit_test(half_an_event_is_none),
        cmocka_unit_test(the_reader_may_have_enough),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
