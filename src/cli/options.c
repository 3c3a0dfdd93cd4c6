/* SPDX-License-Identifier: MIT
 *
 * The command line taken apart by the command table. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/suggest.h"
#include "cli_priv.h"

enum { STDIN_MAX = 1 << 20, WORDS_MAX = 128 };

enum qmn_code cli_usage(struct cli *c, struct err *err, const char *fmt, ...)
{
    char text[sizeof err->text];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    c->wrong_usage = true;
    return err_set(err, QMN_E_INVALID, "%s", text);
}

/* ---- commands ---- */

bool cli_group_known(const char *name)
{
    for (size_t i = 0; i < cli_command_count; i++)
        if (cli_commands[i].group && strcmp(cli_commands[i].group, name) == 0)
            return true;
    return false;
}

const struct cli_command *cli_find(const char *first, const char *second, int *ret_words)
{
    for (size_t i = 0; i < cli_command_count; i++) {
        const struct cli_command *k = &cli_commands[i];
        if (k->group ? strcmp(k->group, first) == 0 && second && strcmp(k->name, second) == 0
                     : strcmp(k->name, first) == 0) {
            *ret_words = k->group ? 2 : 1;
            return k;
        }
    }
    return NULL;
}

enum qmn_code cli_unknown_command(struct cli *c, const char *group, const char *word,
                                  struct err *err)
{
    const char *words[WORDS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < cli_command_count && count < WORDS_MAX; i++) {
        const struct cli_command *k = &cli_commands[i];
        if (group && (!k->group || strcmp(k->group, group) != 0))
            continue;
        words[count++] = group || !k->group ? k->name : k->group;
    }
    /* A group stands once per command; suggest_word would see several words that begin alike. */
    size_t unique = 0;
    for (size_t i = 0; i < count; i++)
        if (unique == 0 || strcmp(words[unique - 1], words[i]) != 0)
            words[unique++] = words[i];
    const char *near = suggest_word(word, words, unique);
    const char *between = group ? " " : "";
    group = group ? group : "";
    if (near)
        return cli_usage(c, err, "there is no command \"%s%s%s\"; did you mean qmn %s%s%s?", group,
                         between, word, group, between, near);
    return cli_usage(c, err, "there is no command \"%s%s%s\"; see qmn help", group, between, word);
}

/* ---- options ---- */

static const struct cli_option *option_in(const struct cli_option *list, const char *name)
{
    for (; list && list->name; list++)
        if (strcmp(list->name, name) == 0)
            return list;
    return NULL;
}

static enum qmn_code unknown_option(struct cli *c, const char *name, struct err *err)
{
    const char *words[WORDS_MAX];
    size_t count = 0;
    const struct cli_option *lists[] = {c->command ? c->command->options : NULL,
                                        cli_common_options};
    for (size_t l = 0; l < ARRAY_LEN(lists); l++)
        for (const struct cli_option *o = lists[l]; o && o->name && count < WORDS_MAX; o++)
            words[count++] = o->name;
    const char *near = suggest_word(name, words, count);
    const struct cli_command *k = c->command;
    if (near)
        return cli_usage(c, err, "unknown option --%s; did you mean --%s?", name, near);
    return cli_usage(c, err, "unknown option --%s; see qmn %s%s%s --help", name,
                     k && k->group ? k->group : "", k && k->group ? " " : "", k ? k->name : "help");
}

/* Other users of the machine can read a command line; a key should not stay in it. */
static void blot(char *text)
{
    for (; *text; text++)
        *text = '*';
}

static enum qmn_code take_option(struct cli *c, int argc, char **argv, int *i, struct err *err)
{
    char *arg = argv[*i] + 2;
    char *equals = strchr(arg, '=');
    size_t len = equals ? (size_t)(equals - arg) : strlen(arg);
    const char *name = arena_cstr(&c->arena, bytes_of(arg, len));
    if (!name)
        return err_nomem(err);
    const struct cli_option *o = option_in(c->command ? c->command->options : NULL, name);
    if (!o)
        o = option_in(cli_common_options, name);
    if (!o)
        return unknown_option(c, name, err);
    if (c->value_count == CLI_VALUES_MAX)
        return cli_usage(c, err, "more than %d options", CLI_VALUES_MAX);
    char *value = equals ? equals + 1 : NULL;
    if (!o->arg) {
        if (value)
            return cli_usage(c, err, "--%s takes no value", name);
        c->values[c->value_count++] = (struct cli_value){o, "true"};
        return QMN_OK;
    }
    if (!value && *i + 1 < argc)
        value = argv[++*i];
    if (!value)
        return cli_usage(c, err, "--%s needs a value: --%s %s", name, name, o->arg);
    const char *copy = arena_cstr(&c->arena, bytes_cstr(value));
    if (!copy)
        return err_nomem(err);
    if (strcmp(name, "key") == 0)
        blot(value);
    c->values[c->value_count++] = (struct cli_value){o, copy};
    return QMN_OK;
}

/* The words that are not options, up to two of them name the command.  Options of the command may
 * stand anywhere, so the command must be found first. */
static void find_command(struct cli *c, int argc, char **argv, int *ret_at, int *ret_words,
                         const char **ret_first, const char **ret_second)
{
    *ret_first = *ret_second = NULL;
    *ret_words = 0;
    *ret_at = argc;
    int i = 1;
    while (i < argc && argv[i][0] == '-' && argv[i][1]) {
        const struct cli_option *o =
            argv[i][1] == '-' ? option_in(cli_common_options, argv[i] + 2) : NULL;
        i += o && o->arg ? 2 : 1;
    }
    if (i >= argc)
        return;
    *ret_at = i;
    *ret_first = argv[i];
    if (i + 1 < argc && argv[i + 1][0] != '-')
        *ret_second = argv[i + 1];
    c->command = cli_find(*ret_first, *ret_second, ret_words);
}

static enum qmn_code check_args(struct cli *c, struct err *err)
{
    const struct cli_command *k = c->command;
    const char *group = k->group ? k->group : "", *between = k->group ? " " : "";
    if (c->arg_count < (size_t)k->min_args)
        return cli_usage(c, err, "something is missing: qmn %s%s%s %s", group, between, k->name,
                         k->args);
    if (k->max_args >= 0 && c->arg_count > (size_t)k->max_args)
        return cli_usage(c, err, "one word too many, \"%s\": qmn %s%s%s %s", c->args[k->max_args],
                         group, between, k->name, k->args);
    return QMN_OK;
}

enum qmn_code cli_parse(struct cli *c, int argc, char **argv, bool *ret_help, struct err *err)
{
    int at, words;
    const char *first, *second;
    *ret_help = false;
    find_command(c, argc, argv, &at, &words, &first, &second);
    c->args = arena_array(&c->arena, const char *, (size_t)argc + 1);
    if (!c->args)
        return err_nomem(err);
    bool only_args = false;
    for (int i = 1; i < argc; i++) {
        if (i >= at && i < at + words)
            continue;
        if (!only_args && (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0))
            *ret_help = true;
        else if (!only_args && strcmp(argv[i], "--") == 0)
            only_args = true;
        else if (!only_args && strncmp(argv[i], "--", 2) == 0)
            TRY(take_option(c, argc, argv, &i, err));
        else if (!only_args && argv[i][0] == '-' && argv[i][1] && !c->command)
            return cli_usage(c, err, "unknown option %s; see qmn help", argv[i]);
        else
            c->args[c->arg_count++] = argv[i];
    }
    if (*ret_help || !first)
        return QMN_OK;
    if (c->command)
        return check_args(c, err);
    if (!cli_group_known(first))
        return cli_unknown_command(c, NULL, first, err);
    return second ? cli_unknown_command(c, first, second, err) : QMN_OK;
}

/* ---- what was said ---- */

const char *cli_text(const struct cli *c, const char *option)
{
    const char *found = NULL;
    for (size_t i = 0; i < c->value_count; i++)
        if (strcmp(c->values[i].option->name, option) == 0)
            found = c->values[i].text;
    return found;
}

bool cli_flag(const struct cli *c, const char *option)
{
    return cli_text(c, option) != NULL;
}

const char *cli_nth(const struct cli *c, const char *option, size_t n)
{
    for (size_t i = 0; i < c->value_count; i++)
        if (strcmp(c->values[i].option->name, option) == 0 && n-- == 0)
            return c->values[i].text;
    return NULL;
}

enum qmn_code cli_number(struct cli *c, const char *option, double min, double max, double fallback,
                         double *ret, struct err *err)
{
    const char *text = cli_text(c, option);
    char *end = NULL;
    if (!text) {
        *ret = fallback;
        return QMN_OK;
    }
    double value = strtod(text, &end);
    if (end == text || *end || !(value >= min && value <= max))
        return cli_usage(c, err, "--%s: expected a number from %g to %g, got \"%s\"", option, min,
                         max, text);
    *ret = value;
    return QMN_OK;
}

static enum qmn_code read_stdin(struct cli *c, const char **ret, struct err *err)
{
    char *text = arena_alloc(&c->arena, STDIN_MAX + 1);
    if (!text)
        return err_nomem(err);
    size_t len = fread(text, 1, STDIN_MAX + 1, stdin);
    if (len > STDIN_MAX)
        return cli_usage(c, err, "more than %d bytes on standard input", STDIN_MAX);
    while (len && (text[len - 1] == '\n' || text[len - 1] == '\r'))
        len--;
    text[len] = '\0';
    *ret = text;
    return QMN_OK;
}

enum qmn_code cli_words(struct cli *c, size_t first, const char **ret, struct err *err)
{
    if (c->arg_count == first + 1 && strcmp(c->args[first], "-") == 0)
        return read_stdin(c, ret, err);
    const char *text = first < c->arg_count ? c->args[first] : "";
    for (size_t i = first + 1; text && i < c->arg_count; i++)
        text = arena_printf(&c->arena, "%s %s", text, c->args[i]);
    if (!text)
        return err_nomem(err);
    *ret = text;
    return QMN_OK;
}
