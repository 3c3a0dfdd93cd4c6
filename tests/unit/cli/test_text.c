/* SPDX-License-Identifier: MIT
 *
 * Text that a stranger wrote, on its way to a terminal. */
#include "support/test.h"

#include "cli/cli.h"
#include "cli/text.h"

static void render(const char *text, bool colours, bool lines, const char *want)
{
    struct buf b;
    buf_init(&b, 4096);
    text_render(&b, bytes_cstr(text), colours, lines);
    assert_bytes_equal(buf_bytes(&b), want);
    buf_release(&b);
}

static void width_counts_columns_not_bytes(void **state)
{
    (void)state;
    assert_int_equal(text_width(BYTES_LIT("plain")), 5);
    assert_int_equal(text_width(BYTES_LIT("\xc3\xa4\xc3\xb6")), 2);         /* äö */
    assert_int_equal(text_width(BYTES_LIT("a\xcc\x88")), 1);                /* a + mark */
    assert_int_equal(text_width(BYTES_LIT("\xe6\xbc\xa2\xe5\xad\x97")), 4); /* two kanji */
    assert_int_equal(text_width(BYTES_LIT("\xf0\x9f\x98\x80")), 2);         /* a face */
    assert_int_equal(text_width(BYTES_LIT(S_GREEN "ok" S_OFF)), 2);
    assert_int_equal(text_width(BYTES_LIT("\xff\xfe")), 2);
}

static void a_prefix_never_cuts_a_character(void **state)
{
    (void)state;
    struct bytes kanji = BYTES_LIT("\xe6\xbc\xa2\xe5\xad\x97");
    assert_int_equal(text_prefix(kanji, 4).len, 6);
    assert_int_equal(text_prefix(kanji, 3).len, 3);
    assert_int_equal(text_prefix(kanji, 1).len, 0);
}

static void styles_become_escapes_or_nothing(void **state)
{
    (void)state;
    render(S_BOLD "x" S_OFF, true, false, "\033[1mx\033[0m");
    render(S_BOLD "x" S_OFF, false, false, "x");
}

static void nothing_a_terminal_acts_upon_gets_through(void **state)
{
    (void)state;
    render("a\033[2Jb\x07", true, true, "a?[2Jb?");
    render("c1 \xc2\x9b"
           "31m",
           true, true, "c1 ?31m");
    render("rtl \xe2\x80\xae"
           "gpj.exe",
           false, false, "rtl ?gpj.exe");
    render("bad \xc3", false, false, "bad ?");
    render("a\nb\tc\rd", false, true, "a\nb c d");
    render("a\nb", false, false, "a b");
    render("del \x7f", false, false, "del ?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(width_counts_columns_not_bytes),
        cmocka_unit_test(a_prefix_never_cuts_a_character),
        cmocka_unit_test(styles_become_escapes_or_nothing),
        cmocka_unit_test(nothing_a_terminal_acts_upon_gets_through),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
