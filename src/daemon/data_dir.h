/* SPDX-License-Identifier: MIT
 *
 * The directory that holds everything a node keeps:
 *
 *   qmn.lock     held while a node (or a restore) uses the directory; tells its process
 *   qmn.db       the database, with its log beside it
 *   pepper       what key secrets are hashed with; not part of a backup
 *   admin-key    the first key, for the operator (.admin-key.new: until it counts)
 *   backups/     where `qmn backup` writes
 *   index/       snapshots of large indexes of memories, a folder a tenant; made anew when missing
 *
 * Opening it makes it the working directory: after dropping root its parents may be closed to us,
 * and then relative names still work.  Main thread. */
#ifndef QMN_DAEMON_DATA_DIR_H
#define QMN_DAEMON_DATA_DIR_H

#include <stdbool.h>

#include "base/bytes.h"
#include "base/err.h"
#include "privileges.h"

#define DATA_DATABASE  "qmn.db"
#define DATA_ADMIN_KEY "admin-key"
#define DATA_BACKUPS   "backups"
#define DATA_SNAPSHOTS "index"

struct data_dir {
    int fd, lock_fd;
    char root[3072]; /* absolute, for people */
};

/* Makes it (0700) when absent, locks it, gives all of it to `who`, changes into it.
 * QMN_E_IN_PROGRESS: another process holds it; QMN_E_CONFLICT: it holds something else than a
 * node's data, or half a restore; QMN_E_UNAVAILABLE: the system says no. */
QMN_NODISCARD enum qmn_code data_dir_open(const char *path, const struct identity *who,
                                          bool restoring, struct data_dir *ret, struct err *err);
void data_dir_close(struct data_dir *d);

/* Removes a folder of it with its files, and folders of files; true when it is gone. */
bool data_dir_remove(const struct data_dir *d, const char *folder);

/* The absolute name of a file in it if this user can reach that, else the relative one. */
const char *data_dir_name(const struct data_dir *d, const char *file, char ret[static 4096]);

/* A file that is there whole or not at all.  begin writes nothing that counts, but takes the room;
 * write makes the content durable under another name; commit gives it its own, durably.  One that
 * was begun ends with commit, abandon (it goes) or leave (it stays under the other name). */
struct new_file {
    int fd;
    char temporary[64];
    const char *name;
};
QMN_NODISCARD enum qmn_code new_file_begin(const struct data_dir *d, const char *name,
                                           struct new_file *ret, struct err *err);
/* What one that never ended left behind, to be read; false: nothing. */
bool new_file_find(const struct data_dir *d, const char *name, struct new_file *ret);
QMN_NODISCARD enum qmn_code new_file_write(const struct data_dir *d, struct new_file *f,
                                           struct bytes content, struct err *err);
/* It ends in any case: if this fails the content stays under the other name. */
QMN_NODISCARD enum qmn_code new_file_commit(const struct data_dir *d, struct new_file *f,
                                            struct err *err);
void new_file_abandon(const struct data_dir *d, struct new_file *f);
void new_file_leave(struct new_file *f);

/* Marks a restore that has begun to move files; a node refuses to start on it. */
#define DATA_RESTORE_MARK "restore-unfinished"

#endif
