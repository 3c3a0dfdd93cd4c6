/* SPDX-License-Identifier: MIT
 *
 * The configuration of a node: flags, then environment, then a file, then defaults.  Every option
 * stands once, in a table (config_options.c), and from there reaches the command line, the
 * environment, the file, --help and --check-config alike.  No option carries a secret.
 *
 * Used by the main thread before any other exists. */
#ifndef QMN_DAEMON_CONFIG_H
#define QMN_DAEMON_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/log.h"
#include "store/store.h"

enum { CONFIG_LISTEN_MAX = 16 };

enum config_source { CONFIG_DEFAULT = 1, CONFIG_FILE, CONFIG_ENVIRONMENT, CONFIG_FLAG };

enum config_action {
    CONFIG_RUN = 1,
    CONFIG_CHECK,
    CONFIG_RESTORE,
    CONFIG_BOOTSTRAP,
    CONFIG_NEW_ADMIN_KEY,
    CONFIG_NEW_PEPPER,
    CONFIG_HELP,
    CONFIG_VERSION,
};

enum config_store { CONFIG_STORE_SQLITE = 1, CONFIG_STORE_MEMORY };

struct config_listen {
    const char *service; /* "": every service */
    const char *host;
    uint16_t port; /* 0: the kernel chooses */
};

/* What was said about one option. */
struct config_setting {
    enum config_source source;
    const char *where; /* "flag", "QMN_REGION", "qmn.conf:7" */
    const char *text;  /* lists: joined by ", " */
};

enum { CONFIG_OPTIONS_MAX = 32, CONFIG_NAME_SIZE = 64 };

struct config {
    struct arena arena; /* all texts */
    enum config_action action;
    const char *file;         /* --config; NULL: none */
    const char *restore_file; /* --restore; NULL: none */
    struct config_setting settings[CONFIG_OPTIONS_MAX];

    /* the effective values */
    const char *data_dir, *user, *region;
    struct config_listen listen[CONFIG_LISTEN_MAX];
    uint32_t listen_count;
    bool allow_plaintext, private_metrics;
    uint32_t store;       /* enum config_store */
    uint32_t synchronous; /* enum store_sync */
    uint32_t log_format;  /* enum log_format */
    uint32_t log_level;   /* enum log_level */
    uint32_t loops, max_connections, max_per_peer, retention_days, drain_timeout_s;
    double epsilon;
};

/* Reads all layers and checks them.  QMN_E_INVALID names what is wrong and the nearest thing that
 * would be right.  `envp` ends with NULL.  Release with config_release() in every case. */
QMN_NODISCARD enum qmn_code config_load(struct config *c, int argc, char *const *argv,
                                        char *const *envp, struct err *err);
void config_release(struct config *c);
/* Steps through the names in `envp` that begin with QMN_ and mean nothing to anybody, *at counting
 * from 0; false at the end.  *ret_near: what may have been meant, or NULL. */
bool config_next_unknown(char *const *envp, size_t *at, char ret_name[static CONFIG_NAME_SIZE],
                         const char **ret_near);
/* The same with the file and environment read again; flags stay.  For a running node. */
QMN_NODISCARD enum qmn_code config_reload(const struct config *running, char *const *envp,
                                          struct config *ret, struct err *err);

/* The effective configuration, one option a line, with the source of each value. */
void config_print(const struct config *c, FILE *out);
void config_print_help(FILE *out);

/* True if the address can be reached from this machine only. */
bool config_is_loopback(const char *host);

#endif
