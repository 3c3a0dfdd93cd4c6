/* SPDX-License-Identifier: MIT
 *
 * The files around the database: the lock that keeps a second node out, and syncs of new names. */
#ifndef QMN_STORE_SQLITE_FILE_H
#define QMN_STORE_SQLITE_FILE_H

#include <stdint.h>

#include "base/err.h"

/* Takes PATH.lock for as long as *ret_fd is open and writes our process id into it.
 * QMN_E_CONFLICT names the process that has it. */
QMN_NODISCARD enum qmn_code file_lock(const char *path, int *ret_fd, struct err *err);
/* Creates an empty file, readable by its owner only, if there is none. */
QMN_NODISCARD enum qmn_code file_create(const char *path, struct err *err);
/* Makes the names in path's directory durable. */
QMN_NODISCARD enum qmn_code file_sync_dir(const char *path, struct err *err);
QMN_NODISCARD enum qmn_code file_sync(const char *path, struct err *err);
int64_t file_bytes(const char *path);
/* path + suffix; the caller frees.  NULL when out of memory. */
char *file_beside(const char *path, const char *suffix);

#endif
