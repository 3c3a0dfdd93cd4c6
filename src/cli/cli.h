/* SPDX-License-Identifier: MIT
 *
 * The command line.  Every command is one row (commands.c) that says how it is called; parsing,
 * help, completions and "did you mean" come from the rows.  A command turns its options into a
 * request message, sends it, and prints the answer: as a table for people, or as it came with
 * --json.
 *
 * One thread. */
#ifndef QMN_CLI_CLI_H
#define QMN_CLI_CLI_H

#include <stdbool.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/err.h"
#include "client/client.h"

/* Exit status. */
enum cli_exit {
    CLI_OK = 0,
    CLI_FAILED = 1,      /* the node refused, or something broke */
    CLI_USAGE = 2,       /* the command line is wrong */
    CLI_UNREACHABLE = 3, /* no answer from the node */
    CLI_DENIED = 4,      /* the key is unknown or may not do this */
    CLI_ABSENT = 5,      /* what was named does not exist */
    CLI_LATER = 6,       /* too many requests, or the node is busy: try again */
};

struct cli_option {
    const char *name;  /* without dashes; NULL ends a list */
    const char *arg;   /* placeholder; NULL: a switch */
    const char *field; /* of the request that it fills; NULL: the command reads it itself */
    const char *about;
    const char *const *words; /* closed set for completions; NULL: anything */
};

struct cli;
typedef enum qmn_code cli_run_fn(struct cli *c, struct err *err);

struct cli_command {
    const char *group; /* "agent"; NULL: the command stands alone */
    const char *name;
    const char *args;       /* "AGENT [TEXT...]" */
    int min_args, max_args; /* max -1: any number */
    const char *about;
    cli_run_fn *run;
    const struct cli_option *options; /* NULL: only the common ones */
    const char *const *examples;      /* NULL-terminated; NULL: none */
};

extern const struct cli_command cli_commands[];
extern const size_t cli_command_count;
extern const struct cli_option cli_common_options[];

enum { CLI_VALUES_MAX = 256, CLI_ARGS_MAX = 4096 };

struct cli_value {
    const struct cli_option *option;
    const char *text; /* "true" for a switch */
};

struct cli {
    struct arena arena;
    const struct cli_command *command;
    struct cli_value values[CLI_VALUES_MAX];
    size_t value_count;
    const char **args;
    size_t arg_count;

    bool json, colours, wrong_usage;
    unsigned columns; /* of the terminal; 0: output is not one */
    struct client *client;
    const char *url, *key_source; /* where the key came from, for messages; NULL: none found */
    const char *locked_key;       /* a key file that is there but not ours to read */
};

/* The whole program. */
int cli_main(int argc, char **argv);

/* ---- the command line ---- */

/* The last value of an option; NULL if absent. */
const char *cli_text(const struct cli *c, const char *option);
bool cli_flag(const struct cli *c, const char *option);
/* The i-th value of a repeatable option; NULL past the end. */
const char *cli_nth(const struct cli *c, const char *option, size_t i);
/* A number within [min, max]; `fallback` if the option is absent. */
QMN_NODISCARD enum qmn_code cli_number(struct cli *c, const char *option, double min, double max,
                                       double fallback, double *ret, struct err *err);
/* Arguments from the i-th on as one text; a lone "-" reads standard input. */
QMN_NODISCARD enum qmn_code cli_words(struct cli *c, size_t first, const char **ret,
                                      struct err *err);
/* The command line is wrong: sets the exit status apart from the server's refusals. */
enum qmn_code cli_usage(struct cli *c, struct err *err, const char *fmt, ...) QMN_PRINTF(3, 4);

/* ---- requests ---- */

/* Connects lazily: finds URL, key and tenant. */
QMN_NODISCARD enum qmn_code cli_connect(struct cli *c, struct err *err);
/* A request message with the fields of the given options set; NULL-safe. */
QMN_NODISCARD enum qmn_code cli_request(struct cli *c, const ProtobufCMessageDescriptor *desc,
                                        void *ret_message, struct err *err);
/* {"text": "..."} for commands that take words in place of JSON. */
QMN_NODISCARD enum qmn_code cli_text_object(struct cli *c, const char *text,
                                            ProtobufCBinaryData *ret, struct err *err);

/* One call.  With --json prints the answer and sets *ret_answer to NULL, else decodes it; the
 * caller prints only what is not NULL.  `path` is a format like printf's, already encoded. */
QMN_NODISCARD enum qmn_code cli_send(struct cli *c, const struct client_call *call,
                                     void *ret_answer, struct err *err);
/* The same, and decodes the answer with --json too: for commands that go on from it. */
QMN_NODISCARD enum qmn_code cli_ask(struct cli *c, const struct client_call *call, void *ret_answer,
                                    struct err *err);
/* Path of `fmt` with each %s replaced by the percent-encoded argument. */
const char *cli_path(struct cli *c, const char *fmt, ...);
/* Adds the options that have a `field` to the path's query. */
const char *cli_query(struct cli *c, const char *path);

/* ---- output ---- */

/* Styles inside texts; they vanish where colours are off. */
#define S_OFF    "\x01"
#define S_BOLD   "\x02"
#define S_DIM    "\x03"
#define S_GREEN  "\x04"
#define S_RED    "\x05"
#define S_YELLOW "\x06"
#define S_CYAN   "\x0e"

/* Prints a formatted text; control characters in it (a node may be fooled by an agent) cannot reach
 * the terminal. */
void cli_print(const struct cli *c, const char *fmt, ...) QMN_PRINTF(2, 3);
void cli_note(const struct cli *c, const char *fmt, ...) QMN_PRINTF(2, 3); /* stderr */

enum { TABLE_COLUMNS_MAX = 12, TABLE_ROWS_MAX = 10000 };

/* Aligned columns.  A title that starts with '>' is right-aligned, with '*' gives way when the
 * terminal is too narrow. */
struct table {
    struct cli *c;
    const char *titles[TABLE_COLUMNS_MAX];
    size_t columns;
    struct buf cells; /* const char * */
    size_t count;
    bool failed;
};
void table_begin(struct table *t, struct cli *c, const char *const *titles, size_t columns);
void table_cell(struct table *t, const char *fmt, ...) QMN_PRINTF(2, 3);
/* Prints all, or `empty` when there is no row. */
void table_end(struct table *t, const char *empty);

#define TABLE(t, c, ...)                                                                           \
    table_begin((t), (c), (const char *const[]){__VA_ARGS__},                                      \
                sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

/* "3 min ago", "in 2 h", "never" (0). */
const char *cli_when(struct cli *c, int64_t unix_ms);
/* "2026-11-23 00:51:39 UTC" */
const char *cli_time(struct cli *c, int64_t unix_ms);
const char *cli_bytes(struct cli *c, uint64_t bytes);
/* The words, joined; "-" for none. */
const char *cli_join(struct cli *c, char *const *words, size_t count);
/* The text inside a content object if it has one, else the JSON, shortened to max characters. */
const char *cli_gist(struct cli *c, ProtobufCBinaryData json, size_t max);
static inline const char *cli_or(const char *text, const char *otherwise)
{
    return text && *text ? text : otherwise;
}

/* A line on standard error while something takes long: shown on a terminal only, from the second
 * second on. */
struct progress {
    const char *label;
    double total; /* 0: unknown */
    int64_t began_us, drawn_us;
    bool drawn;
};
void progress_begin(struct progress *p, const char *label, double total);
void progress_set(struct progress *p, double done);
void progress_end(struct progress *p);

#endif
