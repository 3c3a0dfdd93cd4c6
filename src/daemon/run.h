/* SPDX-License-Identifier: MIT
 *
 * The life of the process, from its arguments to its exit status. */
#ifndef QMN_DAEMON_RUN_H
#define QMN_DAEMON_RUN_H

enum exit_status {
    EXIT_STOPPED = 0,
    EXIT_FAILED = 1,
    EXIT_CONFIG = 2,
    EXIT_DATA = 3,
    EXIT_ADDRESS = 4,
    EXIT_IN_USE = 5,
    EXIT_PRIVILEGES = 6,
};

int daemon_run(int argc, char *const *argv, char *const *envp);

#endif
