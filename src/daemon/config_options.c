/* SPDX-License-Identifier: MIT
 *
 * The table of options, and the two texts made from it: --help and --check-config. */
#include "config_priv.h"

#include <string.h>

#include "base/limits.h"

static const char *const store_words[] = {"sqlite", "memory", NULL};
static const char *const sync_words[] = {"full", "normal", NULL};
static const char *const format_words[] = {"logfmt", "json", NULL};

#define AT(field) offsetof(struct config, field)

/* clang-format off */
const struct option config_options[] = {
    {"Where it listens", "listen", "QMN_LISTEN", "[SERVICE=]HOST:PORT", "127.0.0.1:8022",
     OPTION_LISTEN, AT(listen), 0, 0, NULL,
     "Address to answer on; may be given several times. With SERVICE (identity, keys, policies, "
     "router, memory, reinforcement, regions) that address answers for that service alone. "
     "Port 0 lets the kernel choose."},
    {NULL, "allow-plaintext", "QMN_ALLOW_PLAINTEXT", NULL, "no", OPTION_SWITCH,
     AT(allow_plaintext), 0, 0, NULL,
     "Allow addresses that other machines can reach, although keys then cross the network in the "
     "clear. For a trusted network, or behind a proxy that speaks TLS."},
    {NULL, "private-metrics", "QMN_PRIVATE_METRICS", NULL, "no", OPTION_SWITCH,
     AT(private_metrics), 0, 0, NULL,
     "Give /metrics to admin keys only. Otherwise it is open while every address is a loopback "
     "one, and so to whoever reaches it through a proxy on this machine."},
    {NULL, "max-connections", "QMN_MAX_CONNECTIONS", "N", "10000", OPTION_COUNT,
     AT(max_connections), 1, 1000000, NULL, "Open connections; more are turned away."},
    {NULL, "max-connections-per-peer", "QMN_MAX_CONNECTIONS_PER_PEER", "N", "8000", OPTION_COUNT,
     AT(max_per_peer), 1, 1000000, NULL,
     "Open connections of one address (of one /64 network with IPv6); more are turned away. "
     "Behind a proxy all clients share the proxy's address."},

    {"What it keeps", "data-dir", "QMN_DATA_DIR", "DIR", "var/data", OPTION_TEXT, AT(data_dir),
     0, 0, NULL,
     "Everything the node keeps. Made (mode 0700) when absent; the first start writes "
     "DIR/admin-key (mode 0600)."},
    {NULL, "store", "QMN_STORE", "sqlite|memory", "sqlite", OPTION_CHOICE, AT(store), 0, 0,
     store_words, "memory forgets everything when the node stops."},
    {NULL, "retention-days", "QMN_RETENTION_DAYS", "N", "30", OPTION_COUNT, AT(retention_days), 1,
     3650, NULL, "How long traces and outcomes are kept."},

    {"How it routes", "epsilon", "QMN_EPSILON", "P", "0.1", OPTION_REAL, AT(epsilon), 0, 1, NULL,
     "Probability that the last of the chosen agents is drawn at random, so that the network "
     "keeps learning."},
    {NULL, "region", "QMN_REGION", "NAME", "local", OPTION_TEXT, AT(region), 0, 0, NULL,
     "Region that health and agents report."},

    {"How it runs", "loops", "QMN_LOOPS", "N", "0", OPTION_COUNT, AT(loops), 0, 256, NULL,
     "Event loops; 0: one per processor."},
    {NULL, "user", "QMN_USER", "NAME", "", OPTION_TEXT, AT(user), 0, 0, NULL,
     "User to become when started as root; default: qmn if there is one, else nobody."},
    {NULL, "drain-timeout", "QMN_DRAIN_TIMEOUT", "SECONDS", "5", OPTION_COUNT, AT(drain_timeout_s),
     0, 3600, NULL, "How long a stopping node waits for requests in progress."},
    {NULL, "log-level", "QMN_LOG_LEVEL", "LEVEL", "info", OPTION_LEVEL, AT(log_level), 0, 0,
     NULL, "debug, info, warn or error. LOG_LEVEL is understood too; SIGHUP reads it again "
     "from the file."},
    {NULL, "log-format", "QMN_LOG_FORMAT", "logfmt|json", "logfmt", OPTION_CHOICE, AT(log_format),
     0, 0, format_words, "Logs go to standard error, one event a line."},

    {"For tests only", "synchronous", "QMN_SYNCHRONOUS", "full|normal", "full", OPTION_CHOICE,
     AT(synchronous), 0, 0, sync_words,
     "normal loses acknowledged writes at a power cut. It exists to prove that full does not."},
};
/* clang-format on */
const size_t config_option_count = ARRAY_LEN(config_options);

_Static_assert(ARRAY_LEN(config_options) <= CONFIG_OPTIONS_MAX,
               "settings[] must hold every option");
_Static_assert(CONFIG_STORE_SQLITE == 1 && CONFIG_STORE_MEMORY == 2, "order of store_words");
_Static_assert(STORE_SYNC_FULL == 1 && STORE_SYNC_NORMAL == 2, "order of sync_words");
_Static_assert(LOG_LOGFMT == 1 && LOG_JSON == 2, "order of format_words");

enum { HELP_INDENT = 6, HELP_WIDTH = 78 };

static void print_wrapped(FILE *out, const char *text)
{
    size_t column = 0;
    while (*text) {
        size_t word = strcspn(text, " ");
        if (column == 0 || column + 1 + word > HELP_WIDTH) {
            fprintf(out, "%s%*s", column ? "\n" : "", HELP_INDENT, "");
            column = HELP_INDENT;
        } else {
            fputc(' ', out);
            column++;
        }
        (void)fwrite(text, 1, word, out);
        column += word;
        text += word + strspn(text + word, " ");
    }
    fputc('\n', out);
}

void config_print_help(FILE *out)
{
    fputs("qmnd - a node of the QMN network: carries context between agents and learns from "
          "outcomes\n\n"
          "Usage:  qmnd [OPTION]...\n"
          "        qmnd --data-dir DIR --restore FILE    put a backup in place of the data\n"
          "        qmnd --data-dir DIR --bootstrap       make the first admin key, start nothing\n"
          "        qmnd --data-dir DIR --new-admin-key   make another one, if all are lost\n"
          "        qmnd --data-dir DIR --new-pepper      end all keys and make one, if the pepper "
          "is lost\n\n",
          out);
    for (size_t i = 0; i < config_option_count; i++) {
        const struct option *o = &config_options[i];
        if (o->group)
            fprintf(out, "%s%s\n", i ? "\n" : "", o->group);
        fprintf(out, "  --%s%s%s", o->name, o->arg ? " " : "", o->arg ? o->arg : "");
        if (o->initial[0] && o->arg)
            fprintf(out, "  (default %s)", o->initial);
        fputc('\n', out);
        print_wrapped(out, o->about);
    }
    fputs("\nOther\n"
          "  --config FILE      read options from a file of `key = value` lines\n"
          "  --check-config     print the effective configuration and where each value comes "
          "from\n"
          "  --restore FILE     verify FILE, put it in place of DIR's data, keep the old data "
          "aside\n"
          "  --bootstrap        make DIR and its first admin key, which a first start does too\n"
          "  --new-admin-key    write another admin key to DIR/admin-key while the node is "
          "stopped;\n"
          "                     the other keys stay valid\n"
          "  --new-pepper       for a stopped node whose pepper file is lost or another node's: "
          "end all\n"
          "                     keys and write a new admin key to DIR/admin-key\n"
          "  --help, --version\n\n"
          "Every option can also stand in the environment (QMN_DATA_DIR, QMN_LISTEN=A,B, ...) or\n"
          "in the file (data-dir = ..., several listen lines). A flag wins over the environment,\n"
          "the environment over the file.\n\n"
          "Exit status: 0 stopped on request; 1 failure; 2 wrong configuration; 3 the data cannot\n"
          "be opened; 4 an address is taken; 5 another node uses the data directory; 6 privileges\n"
          "could not be dropped.\n",
          out);
}

void config_print(const struct config *c, FILE *out)
{
    for (size_t i = 0; i < config_option_count; i++) {
        const struct config_setting *s = &c->settings[i];
        int used = fprintf(out, "%s = %s", config_options[i].name, s->text);
        fprintf(out, "%*s# %s\n", used < 44 ? 44 - used : 1, "", s->where);
    }
}
