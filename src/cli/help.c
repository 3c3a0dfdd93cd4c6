/* SPDX-License-Identifier: MIT
 *
 * Help, made from the command table. */
#include <stdio.h>
#include <string.h>

#include "cli_priv.h"

enum { NAME_WIDTH = 22 };

static const struct {
    const char *heading;
    const char *names[12];
} chapters[] = {
    {"Exchange context",
     {"broadcast", "inbox", "ack", "nack", "respond", "collect", "outcome", "trace"}},
    {"Look at the network", {"agent", "edges", "memory", "task"}},
    {"Administer", {"node", "tenant", "key", "policy", "audit", "backup", "restore", "bootstrap"}},
    {"Try and measure", {"demo", "bench", "completion", "help"}},
};

static const char *group_about(const char *name)
{
    static const char *const texts[][2] = {
        {"agent", "register, list, show, suspend agents"},
        {"edges", "how much agents trust each other's answers"},
        {"memory", "store and search what agents learned"},
        {"task", "named pieces of work that traces belong to"},
        {"node", "status, health and numbers of the node"},
        {"tenant", "create, list, change, delete tenants; usage"},
        {"key", "create, list, rotate, revoke API keys"},
        {"policy", "create, list, evaluate policies"},
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (strcmp(texts[i][0], name) == 0)
            return texts[i][1];
    return "";
}

void cli_help(const struct cli *c)
{
    int words;
    cli_print(c, S_BOLD "qmn" S_OFF " - talk to a node of the QMN network\n\n"
                        "Usage: qmn COMMAND [ARGUMENT...] [--OPTION...]\n");
    for (size_t i = 0; i < ARRAY_LEN(chapters); i++) {
        cli_print(c, "\n" S_BOLD "%s" S_OFF "\n", chapters[i].heading);
        for (size_t k = 0; k < ARRAY_LEN(chapters[i].names) && chapters[i].names[k]; k++) {
            const char *name = chapters[i].names[k];
            const struct cli_command *one = cli_find(name, NULL, &words);
            cli_print(c, "  %-*s %s\n", NAME_WIDTH / 2, name, one ? one->about : group_about(name));
        }
    }
    cli_print(c, "\n" S_BOLD "Everywhere" S_OFF "\n");
    for (const struct cli_option *o = cli_common_options; o->name; o++) {
        char left[64];
        snprintf(left, sizeof left, "--%s%s%s", o->name, o->arg ? " " : "", o->arg ? o->arg : "");
        cli_print(c, "  %-*s %s\n", NAME_WIDTH, left, o->about);
    }
    cli_print(c, "\nqmn COMMAND --help shows options and examples.  First steps: qmn demo\n");
}

static void print_usage_line(const struct cli *c, const struct cli_command *k)
{
    char left[80];
    snprintf(left, sizeof left, "qmn %s%s%s %s", k->group ? k->group : "", k->group ? " " : "",
             k->name, k->args);
    cli_print(c, "  %-44s %s\n", left, k->about);
}

void cli_help_group(const struct cli *c, const char *group)
{
    cli_print(c, S_BOLD "qmn %s" S_OFF " - %s\n\n", group, group_about(group));
    for (size_t i = 0; i < cli_command_count; i++)
        if (cli_commands[i].group && strcmp(cli_commands[i].group, group) == 0)
            print_usage_line(c, &cli_commands[i]);
    cli_print(c, "\nqmn %s COMMAND --help shows options and examples.\n", group);
}

static void print_option(const struct cli *c, const struct cli_option *o)
{
    char left[80];
    snprintf(left, sizeof left, "--%s%s%s", o->name, o->arg ? " " : "", o->arg ? o->arg : "");
    cli_print(c, "  %-26s %s\n", left, o->about);
}

void cli_help_command(const struct cli *c, const struct cli_command *k)
{
    cli_print(c, S_BOLD "qmn %s%s%s" S_OFF " - %s\n\nUsage: qmn %s%s%s %s\n",
              k->group ? k->group : "", k->group ? " " : "", k->name, k->about,
              k->group ? k->group : "", k->group ? " " : "", k->name, k->args);
    if (k->options && k->options->name) {
        cli_print(c, "\n" S_BOLD "Options" S_OFF "\n");
        for (const struct cli_option *o = k->options; o->name; o++)
            print_option(c, o);
    }
    cli_print(c, "\n" S_BOLD "Everywhere" S_OFF "\n");
    for (const struct cli_option *o = cli_common_options; o->name; o++)
        print_option(c, o);
    if (k->examples) {
        cli_print(c, "\n" S_BOLD "Examples" S_OFF "\n");
        for (const char *const *e = k->examples; *e; e++)
            cli_print(c, "  %s\n", *e);
    }
}

enum qmn_code cmd_help(struct cli *c, struct err *err)
{
    int words;
    if (c->arg_count == 0) {
        cli_help(c);
        return QMN_OK;
    }
    const struct cli_command *k =
        cli_find(c->args[0], c->arg_count > 1 ? c->args[1] : NULL, &words);
    if (k)
        cli_help_command(c, k);
    else if (!cli_group_known(c->args[0]))
        return cli_unknown_command(c, NULL, c->args[0], err);
    else if (c->arg_count > 1)
        return cli_unknown_command(c, c->args[0], c->args[1], err);
    else
        cli_help_group(c, c->args[0]);
    return QMN_OK;
}
