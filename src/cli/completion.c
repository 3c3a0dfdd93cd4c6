/* SPDX-License-Identifier: MIT
 *
 * Shell completions, generated from the command table.  They complete commands, options and closed
 * sets of values; they never ask the node. */
#include <stdio.h>
#include <string.h>

#include "cli_priv.h"

static const struct cli_command *at(size_t i)
{
    return &cli_commands[i];
}

/* True for the first command of its group. */
static bool first_of_group(size_t i)
{
    if (!at(i)->group)
        return true;
    for (size_t k = 0; k < i; k++)
        if (at(k)->group && strcmp(at(k)->group, at(i)->group) == 0)
            return false;
    return true;
}

static void put_top_words(const char *separator)
{
    for (size_t i = 0; i < cli_command_count; i++)
        if (first_of_group(i))
            printf("%s%s", i ? separator : "", at(i)->group ? at(i)->group : at(i)->name);
}

static void put_options(const struct cli_option *list)
{
    for (; list && list->name; list++)
        printf(" --%s", list->name);
}

/* ---- bash ---- */

static void bash_values(void)
{
    puts("    case \"$prev\" in");
    for (size_t i = 0; i < cli_command_count; i++)
        for (const struct cli_option *o = at(i)->options; o && o->name; o++) {
            if (!o->words)
                continue;
            printf("    --%s) [ \"$key\" = '%s%s%s' ] && words='", o->name,
                   at(i)->group ? at(i)->group : "", at(i)->group ? " " : "", at(i)->name);
            for (const char *const *w = o->words; *w; w++)
                printf("%s%s", w == o->words ? "" : " ", *w);
            puts("' ;;&");
        }
    puts("    --key-file|--data-dir|--daemon) COMPREPLY=($(compgen -f -- \"$cur\")); return ;;");
    puts("    esac");
}

static void bash(void)
{
    puts("# bash completion for qmn; made by: qmn completion bash\n_qmn() {\n"
         "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words='' i "
         "plain=() key\n"
         "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
         "        [[ ${COMP_WORDS[i]} == -* ]] || plain+=(\"${COMP_WORDS[i]}\")\n"
         "    done\n"
         "    key=\"${plain[*]:0:2}\"");
    printf("    case \"${plain[0]}\" in\n    '') words='");
    put_top_words(" ");
    puts("' ;;");
    for (size_t i = 0; i < cli_command_count; i++) {
        if (!at(i)->group || !first_of_group(i))
            continue;
        printf("    %s) [ ${#plain[@]} -eq 1 ] && words='", at(i)->group);
        for (size_t k = i; k < cli_command_count; k++)
            if (at(k)->group && strcmp(at(k)->group, at(i)->group) == 0)
                printf("%s%s", k == i ? "" : " ", at(k)->name);
        puts("' ;;");
    }
    for (size_t i = 0; i < cli_command_count; i++) {
        const char *const *words = cli_argument_words(at(i));
        if (!words)
            continue;
        printf("    %s) key=%s; words='", at(i)->name, at(i)->name);
        for (; *words; words++)
            printf("%s ", *words);
        puts("' ;;");
    }
    printf("    *) key=${plain[0]} ;;\n    esac\n    if [[ $cur == -* ]]; then\n"
           "        case \"$key\" in\n");
    for (size_t i = 0; i < cli_command_count; i++) {
        printf("        '%s%s%s') words='", at(i)->group ? at(i)->group : "",
               at(i)->group ? " " : "", at(i)->name);
        put_options(at(i)->options);
        puts("' ;;");
    }
    printf("        *) words='' ;;\n        esac\n        words+='");
    put_options(cli_common_options);
    puts(" --help'\n    fi");
    bash_values();
    puts("    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n}\ncomplete -F _qmn qmn");
}

/* ---- zsh ---- */

/* zsh reads bash completions once told to. */
static void zsh(void)
{
    puts("#compdef qmn\nautoload -U +X bashcompinit && bashcompinit");
    bash();
}

/* ---- fish ---- */

static void fish_text(const char *text)
{
    putchar('\'');
    for (; *text; text++)
        printf("%s%c", *text == '\'' || *text == '\\' ? "\\" : "", *text);
    putchar('\'');
}

static void fish_option(const struct cli_option *o, const char *condition)
{
    printf("complete -c qmn %s -l %s", condition, o->name);
    if (o->arg)
        fputs(" -r", stdout);
    if (o->words) {
        fputs(" -a '", stdout);
        for (const char *const *w = o->words; *w; w++)
            printf("%s ", *w);
        putchar('\'');
    }
    fputs(" -d ", stdout);
    fish_text(o->about);
    putchar('\n');
}

static void fish(void)
{
    puts("# fish completion for qmn; made by: qmn completion fish\ncomplete -c qmn -f");
    for (const struct cli_option *o = cli_common_options; o->name; o++)
        fish_option(o, "");
    for (size_t i = 0; i < cli_command_count; i++) {
        const struct cli_command *k = at(i);
        char condition[160];
        if (first_of_group(i)) {
            printf("complete -c qmn -n __fish_use_subcommand -a %s", k->group ? k->group : k->name);
            if (!k->group) {
                fputs(" -d ", stdout);
                fish_text(k->about);
            }
            putchar('\n');
        }
        if (k->group) {
            printf("complete -c qmn -n '__fish_seen_subcommand_from %s; and test (count "
                   "(commandline -opc)) -eq 2' -a %s -d ",
                   k->group, k->name);
            fish_text(k->about);
            putchar('\n');
        }
        snprintf(condition, sizeof condition, "-n '__fish_seen_subcommand_from %s%s%s'",
                 k->group ? k->group : k->name,
                 k->group ? "; and __fish_seen_subcommand_from " : "", k->group ? k->name : "");
        for (const struct cli_option *o = k->options; o && o->name; o++)
            fish_option(o, condition);
        const char *const *words = cli_argument_words(k);
        for (; words && *words; words++)
            printf("complete -c qmn %s -a %s\n", condition, *words);
    }
}

enum qmn_code cmd_completion(struct cli *c, struct err *err)
{
    static const struct {
        const char *name;
        void (*print)(void);
    } shells[] = {{"bash", bash}, {"zsh", zsh}, {"fish", fish}};
    for (size_t i = 0; i < ARRAY_LEN(shells); i++)
        if (strcmp(c->args[0], shells[i].name) == 0) {
            shells[i].print();
            return QMN_OK;
        }
    return cli_usage(c, err, "expected bash, zsh or fish, got \"%s\"", c->args[0]);
}
