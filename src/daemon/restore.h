/* SPDX-License-Identifier: MIT
 *
 * Puts a backup in place of a node's data while no node runs. */
#ifndef QMN_DAEMON_RESTORE_H
#define QMN_DAEMON_RESTORE_H

#include "data_dir.h"

struct restored {
    int64_t rows;
    char aside[64]; /* directory (in the data directory) of the old data; empty: there was none */
    bool pepper_absent; /* keys of the backup will not work until their pepper is put back */
};

/* `backup_fd` is the open backup file; `d` is locked.  Verifies the copy before anything of the old
 * data is touched; a crash at any point leaves the old data, the new data, or a mark that makes a
 * node refuse to start until the restore is repeated. */
QMN_NODISCARD enum qmn_code restore_run(const struct data_dir *d, int backup_fd,
                                        struct restored *ret, struct err *err);

#endif
