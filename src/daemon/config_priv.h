/* SPDX-License-Identifier: MIT
 *
 * The option table, for the files that read and print it. */
#ifndef QMN_DAEMON_CONFIG_PRIV_H
#define QMN_DAEMON_CONFIG_PRIV_H

#include <stddef.h>

#include "config.h"

enum option_type {
    OPTION_TEXT = 1, /* const char * */
    OPTION_COUNT,    /* uint32_t in [min, max] */
    OPTION_REAL,     /* double in [min, max] */
    OPTION_SWITCH,   /* bool; a flag without value */
    OPTION_CHOICE,   /* uint32_t: 1 for the first word */
    OPTION_LEVEL,    /* enum log_level */
    OPTION_LISTEN,   /* the list of addresses */
};

struct option {
    const char *group; /* heading in --help */
    const char *name;  /* flag without the dashes; also the key in a file */
    const char *env;
    const char *arg; /* placeholder in --help; NULL: a switch */
    const char *initial;
    enum option_type type;
    size_t offset; /* in struct config */
    double min, max;
    const char *const *words; /* OPTION_CHOICE, NULL-terminated */
    const char *about;
};

extern const struct option config_options[];
extern const size_t config_option_count;

/* Turns settings[] into values. */
QMN_NODISCARD enum qmn_code config_apply(struct config *c, struct err *err);

#endif
