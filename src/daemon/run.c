/* SPDX-License-Identifier: MIT
 *
 * Start, wait for a signal, stop; or one of the things done to a node that is stopped.
 *
 * Signals are blocked before any thread exists and taken by the main thread alone: TERM and INT
 * drain; HUP reads the log level again.  While it drains they are unblocked, so that a second one
 * ends the process at once, and an alarm ends it should draining itself hang. */
#include "run.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "node.h"
#include "restore.h"

/* Beyond the drain: the engine finishes its queue, the store its checkpoint. */
enum { HARD_DEADLINE_S = 10 };

static int fail(const struct err *e, int status)
{
    fprintf(stderr, "qmnd: %s\n", e->text);
    return status;
}

static int data_status(enum qmn_code code)
{
    return code == QMN_E_IN_PROGRESS ? EXIT_IN_USE : EXIT_DATA;
}

/* ---- restore ---- */

static int restore(const struct config *c, const struct identity *who)
{
    struct err err = {0};
    int backup = open(c->restore_file, O_RDONLY | O_CLOEXEC);
    if (backup < 0) {
        fprintf(stderr, "qmnd: --restore %s: %s\n", c->restore_file, strerror(errno));
        return EXIT_CONFIG;
    }
    struct data_dir data;
    enum qmn_code code = data_dir_open(c->data_dir, who, true, &data, &err);
    if (code != QMN_OK) {
        close(backup);
        return fail(&err, data_status(code));
    }
    int status = EXIT_STOPPED;
    struct restored r;
    code = privileges_drop(who, &err);
    if (code != QMN_OK)
        status = EXIT_PRIVILEGES;
    else if ((code = restore_run(&data, backup, &r, &err)) != QMN_OK)
        status = EXIT_DATA;
    close(backup);
    if (code == QMN_OK) {
        printf("restored %lld rows into %s\n", (long long)r.rows, data.root);
        if (r.aside[0])
            printf("the old data is kept in %s/%s\n", data.root, r.aside);
        if (r.pepper_absent)
            printf("the keys of the backup work only with their pepper, and a start without it is "
                   "refused: copy the old node's pepper file to %s/pepper; or, if it is lost, run "
                   "qmnd --new-pepper --data-dir %s, which ends all keys and writes a new admin "
                   "key\n",
                   data.root, data.root);
        else
            puts("the pepper file was left as it is; if the backup comes from another node, put "
                 "that node's in its place before starting");
    }
    data_dir_close(&data);
    return code == QMN_OK ? status : fail(&err, status);
}

/* ---- an admin key ---- */

/* Where it makes sense; asked before a wrong name makes a folder. */
static enum qmn_code may_have_key(const struct config *c, struct err *err)
{
    char database[4096];
    if (c->store == CONFIG_STORE_MEMORY)
        return err_set(err, QMN_E_INVALID,
                       "a node that only remembers makes its admin key at each start");
    snprintf(database, sizeof database, "%s/" DATA_DATABASE, c->data_dir);
    if (c->action != CONFIG_BOOTSTRAP && access(database, F_OK) != 0)
        return err_set(err, QMN_E_INVALID, "%.200s: %s; --data-dir names the folder of the node",
                       database, strerror(errno));
    return QMN_OK;
}

static int say_key(const struct data_dir *data, enum admin_key what, enum config_action action)
{
    bool first = action == CONFIG_BOOTSTRAP;
    if (what == ADMIN_KEY_KEPT)
        printf("kept the admin key of a start that was cut short: %s/" DATA_ADMIN_KEY "\n",
               data->root);
    else
        printf("wrote %s admin key to %s/" DATA_ADMIN_KEY "\n", first ? "the first" : "another",
               data->root);
    if (action == CONFIG_NEW_PEPPER)
        puts("all keys made before have ended: make new ones with this one");
    if (action == CONFIG_NEW_ADMIN_KEY)
        puts("the other keys stay valid: with this one, revoke those that may be in wrong hands");
    return EXIT_STOPPED;
}

static int in_use(const struct err *err, enum config_action action)
{
    fprintf(stderr, "qmnd: %s%s\n", err->text,
            action != CONFIG_BOOTSTRAP
                ? ""
                : " (it made its first admin key when it started: DIR/" DATA_ADMIN_KEY ")");
    return EXIT_IN_USE;
}

static int make_key(const struct config *c, const struct identity *who)
{
    struct err err = {0};
    struct data_dir data;
    enum admin_key what = ADMIN_KEY_THERE;
    log_configure(LOG_WARN, (enum log_format)c->log_format);
    if (may_have_key(c, &err) != QMN_OK)
        return fail(&err, EXIT_CONFIG);
    enum qmn_code code = data_dir_open(c->data_dir, who, false, &data, &err);
    if (code != QMN_OK)
        return code == QMN_E_IN_PROGRESS ? in_use(&err, c->action) : fail(&err, EXIT_DATA);
    int status;
    if (privileges_drop(who, &err) != QMN_OK)
        status = fail(&err, EXIT_PRIVILEGES);
    else if ((code = node_make_key(c, &data, &what, &err)) != QMN_OK)
        status = fail(&err, code == QMN_E_CONFLICT ? EXIT_FAILED : EXIT_DATA);
    else
        status = say_key(&data, what, c->action);
    data_dir_close(&data);
    return status;
}

/* ---- signals ---- */

static void end_at_once(int signal_number)
{
    static const char late[] = "qmnd: draining took too long, giving up\n";
    if (signal_number == SIGALRM && write(STDERR_FILENO, late, sizeof late - 1) < 0)
        _exit(EXIT_FAILED);
    _exit(signal_number == SIGALRM ? EXIT_FAILED : 128 + signal_number);
}

static void block_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGHUP);
    sigprocmask(SIG_BLOCK, set, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
}

static void unblock_for_drain(const sigset_t *set, uint32_t drain_timeout_s)
{
    struct sigaction action = {.sa_handler = end_at_once};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGALRM, &action, NULL);
    (void)signal(SIGHUP, SIG_IGN);
    alarm(drain_timeout_s + HARD_DEADLINE_S);
    pthread_sigmask(SIG_UNBLOCK, set, NULL);
}

/* Only the level: everything else needs a restart, and half a reload would be worse than none. */
static void reload(const struct config *c, char *const *envp)
{
    struct config fresh;
    struct err err = {0};
    if (config_reload(c, envp, &fresh, &err) == QMN_OK) {
        log_configure((enum log_level)fresh.log_level, (enum log_format)fresh.log_format);
        log_info("read the log level again",
                 LOG_S("now", log_level_name((enum log_level)fresh.log_level)));
    } else {
        log_warn("kept the log level: the configuration is wrong", LOG_S("error", err.text));
    }
    config_release(&fresh);
}

/* ---- the node ---- */

static void warn_of_environment(char *const *envp, void (*warn)(const char *name, const char *near))
{
    char name[CONFIG_NAME_SIZE];
    const char *near;
    for (size_t at = 0; config_next_unknown(envp, &at, name, &near);)
        warn(name, near);
}

static void warn_in_log(const char *name, const char *near)
{
    if (near)
        log_warn("ignored an unknown variable of the environment", LOG_S("variable", name),
                 LOG_S("did_you_mean", near));
    else
        log_warn("ignored an unknown variable of the environment", LOG_S("variable", name));
}

static void warn_in_person(const char *name, const char *near)
{
    fprintf(stderr, "qmnd: %s in the environment means nothing%s%s%s\n", name,
            near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}

static int serve(struct node *n, const struct config *c, const struct data_dir *data,
                 const sigset_t *set, char *const *envp)
{
    struct err err = {0};
    enum qmn_code code = node_start(n, data, &err);
    if (code != QMN_OK)
        return fail(&err, EXIT_DATA);
    int signal_number = 0;
    while (signal_number != SIGTERM && signal_number != SIGINT) {
        if (sigwait(set, &signal_number) == 0 && signal_number == SIGHUP)
            reload(c, envp);
    }
    log_info("stopping", LOG_I("signal", signal_number),
             LOG_I("drain_timeout_s", c->drain_timeout_s));
    unblock_for_drain(set, c->drain_timeout_s);
    node_stop(n, c->drain_timeout_s * 1000);
    return EXIT_STOPPED;
}

static int run(const struct config *c, const struct identity *who, char *const *envp)
{
    struct err err = {0};
    sigset_t set;
    block_signals(&set);
    log_configure((enum log_level)c->log_level, (enum log_format)c->log_format);
    warn_of_environment(envp, warn_in_log);
    privileges_raise_files();

    struct node *n = NULL;
    enum qmn_code code = node_bind(c, &n, &err);
    if (code != QMN_OK)
        return fail(&err, code == QMN_E_CONFLICT ? EXIT_ADDRESS : EXIT_FAILED);
    struct data_dir data;
    int status;
    code = data_dir_open(c->data_dir, who, false, &data, &err);
    if (code != QMN_OK) {
        status = fail(&err, data_status(code));
    } else {
        if (privileges_drop(who, &err) != QMN_OK)
            status = fail(&err, EXIT_PRIVILEGES);
        else
            status = serve(n, c, &data, &set, envp);
    }
    node_free(n);
    if (code == QMN_OK)
        data_dir_close(&data);
    return status;
}

static int act(struct config *c, int argc, char *const *argv, char *const *envp)
{
    struct err err = {0};
    if (config_load(c, argc, argv, envp, &err) != QMN_OK)
        return fail(&err, EXIT_CONFIG);
    if (c->action == CONFIG_HELP) {
        config_print_help(stdout);
        return EXIT_STOPPED;
    }
    if (c->action == CONFIG_VERSION) {
        puts("qmnd " QMN_VERSION);
        return EXIT_STOPPED;
    }
    struct identity who;
    if (privileges_identity(c->user, &who, &err) != QMN_OK)
        return fail(&err, EXIT_CONFIG);
    if (c->action == CONFIG_CHECK) {
        config_print(c, stdout);
        warn_of_environment(envp, warn_in_person);
        return EXIT_STOPPED;
    }
    if (c->action == CONFIG_RESTORE)
        return restore(c, &who);
    if (c->action == CONFIG_BOOTSTRAP || c->action == CONFIG_NEW_ADMIN_KEY ||
        c->action == CONFIG_NEW_PEPPER)
        return make_key(c, &who);
    return run(c, &who, envp);
}

int daemon_run(int argc, char *const *argv, char *const *envp)
{
    struct config c;
    int status = act(&c, argc, argv, envp);
    config_release(&c);
    return status;
}
