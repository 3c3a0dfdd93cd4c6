/* SPDX-License-Identifier: MIT
 *
 * From main() to an exit status, and from an error to a sentence that says what to do next. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/suggest.h"
#include "cli_priv.h"
#include "codec/codec.h"

static void look_at_terminal(struct cli *c)
{
    struct winsize size;
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    if (!isatty(STDOUT_FILENO))
        return;
    c->columns = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : 80;
    c->colours = !(no_color && *no_color) && !(term && strcmp(term, "dumb") == 0);
}

static enum cli_exit exit_status(const struct cli *c, enum qmn_code code)
{
    if (c->wrong_usage)
        return CLI_USAGE;
    if (c->client && client_unreachable(c->client))
        return CLI_UNREACHABLE;
    switch (code) {
    case QMN_E_UNAUTHENTICATED:
    case QMN_E_FORBIDDEN:
        return CLI_DENIED;
    case QMN_E_NOT_FOUND:
    case QMN_E_GONE:
        return CLI_ABSENT;
    default:
        return code_info(code)->retryable ? CLI_LATER : CLI_FAILED;
    }
}

/* Typically a node that was started as root, and somebody else at the terminal. */
static void advise_locked_key(const struct cli *c)
{
    cli_note(c,
             "     %s is not yours to read.  A copy that is:\n"
             "     sudo install -m 600 -o \"$USER\" %s FILE, then --key-file FILE\n",
             c->locked_key, c->locked_key);
}

static void advise(const struct cli *c, const struct err *e)
{
    if (c->locked_key && (c->wrong_usage || e->code == QMN_E_UNAUTHENTICATED)) {
        advise_locked_key(c);
        return;
    }
    if (c->wrong_usage)
        return;
    if (c->client && client_unreachable(c->client)) {
        cli_note(c, "     Is the node running?  Start it with: make up   (or: systemctl start "
                    "qmnd)\n     Another address?      --url http://HOST:PORT, or QMN_URL\n");
    } else if (e->code == QMN_E_UNAUTHENTICATED) {
        if (c->key_source)
            cli_note(c, "     The key came from %s.  Another one: --key-file FILE or QMN_API_KEY\n",
                     c->key_source);
        else
            cli_note(c, "     No key was found.  Name one with --key-file FILE or QMN_API_KEY;\n"
                        "     the node's first one lies in DIR/admin-key of its data directory\n");
    } else if (e->code == QMN_E_FORBIDDEN) {
        cli_note(c, "     The key came from %s.  Scopes of keys: qmn key list\n",
                 cli_or(c->key_source, "nowhere"));
    } else if (e->retry_after_s) {
        cli_note(c, "     Try again in %u s\n", e->retry_after_s);
    } else if (code_info(e->code)->retryable) {
        cli_note(c, "     Try again in a moment\n");
    }
}

/* The option that fills the field at fault, "tool_hints" for "tool_hints[2]"; NULL: an argument
 * does, or nothing. */
static const char *option_at_fault(const struct cli *c, const char *field)
{
    size_t len = strcspn(field, "[.");
    for (const struct cli_option *o = c->command ? c->command->options : NULL; o && o->name; o++)
        if (o->field && strlen(o->field) == len && len && memcmp(o->field, field, len) == 0)
            return o->name;
    return NULL;
}

static enum cli_exit report(struct cli *c, const struct err *e)
{
    const char *option = option_at_fault(c, e->field);
    c->colours = c->colours && isatty(STDERR_FILENO);
    if (option)
        cli_note(c, S_RED "qmn:" S_OFF " --%s: %s\n", option, e->text);
    else
        cli_note(c, S_RED "qmn:" S_OFF " %s%s%s%s\n", e->text, e->field[0] ? " (field " : "",
                 e->field, e->field[0] ? ")" : "");
    advise(c, e);
    return exit_status(c, e->code);
}

/* A mistyped name would be ignored in silence. */
static void warn_of_environment(const struct cli *c)
{
    static const char *const known[] = {"URL", "API_KEY", "API_KEY_FILE", "TENANT_ID", "DATA_DIR",
                                        /* qmnd's, which may well stand in the same environment */
                                        "LISTEN", "ALLOW_PLAINTEXT", "PRIVATE_METRICS",
                                        "MAX_CONNECTIONS", "MAX_CONNECTIONS_PER_PEER", "STORE",
                                        "RETENTION_DAYS", "EPSILON", "REGION", "LOOPS", "USER",
                                        "DRAIN_TIMEOUT", "LOG_LEVEL", "LOG_FORMAT", "SYNCHRONOUS"};
    for (char *const *e = environ; *e; e++) {
        char name[64];
        snprintf(name, sizeof name, "%.*s", (int)strcspn(*e, "="), *e);
        if (strncmp(name, "QMN_", 4) != 0)
            continue;
        const char *near = suggest_word(name + 4, known, ARRAY_LEN(known));
        if (near && strcmp(near, name + 4) != 0)
            cli_note(c,
                     S_YELLOW "qmn:" S_OFF " %s in the environment means nothing; did you mean "
                              "QMN_%s?\n",
                     name, near);
    }
}

static enum qmn_code dispatch(struct cli *c, int argc, char **argv, struct err *err)
{
    bool help;
    enum qmn_code code = cli_parse(c, argc, argv, &help, err);
    if (cli_flag(c, "version")) {
        puts("qmn " QMN_VERSION);
        return QMN_OK;
    }
    if (help && c->command) {
        cli_help_command(c, c->command);
        return QMN_OK;
    }
    TRY(code);
    c->json = cli_flag(c, "json");
    if (cli_flag(c, "no-color"))
        c->colours = false;
    if (c->command) {
        warn_of_environment(c);
        TRY(codec_init(err));
        return c->command->run(c, err);
    }
    const char *word = c->arg_count ? c->args[0] : NULL;
    if (word)
        cli_help_group(c, word);
    else
        cli_help(c);
    c->wrong_usage = !help && word;
    return QMN_OK;
}

int cli_main(int argc, char **argv)
{
    static struct cli c;
    struct err err = {0};
    arena_init(&c.arena, 0);
    look_at_terminal(&c);
    enum qmn_code code = dispatch(&c, argc, argv, &err);
    int status = c.wrong_usage ? CLI_USAGE : CLI_OK;
    if (code != QMN_OK) {
        err.code = code;
        status = (int)report(&c, &err);
    }
    if (fflush(stdout) != 0 && status == CLI_OK)
        status = CLI_FAILED;
    client_free(c.client);
    arena_release(&c.arena);
    return status;
}
