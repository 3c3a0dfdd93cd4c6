/* SPDX-License-Identifier: MIT
 *
 * A model of what a disk keeps.  Files below one directory are watched: everything there at start
 * is durable; what is written later is durable once synced.  At a power cut each unsynced 512-byte
 * sector independently holds what it held at the last sync, what it holds now, or something it held
 * in between; an unsynced change of size happened, did not, or half; and of the unsynced changes of
 * names (created, removed, renamed) a random number of the latest never happened.
 *
 * When a name becomes durable: as on ext4 with the sync of the file it names, or (strict) only with
 * the sync of its directory.
 *
 * Every function wants the caller to hold one lock. */
#ifndef QMN_TESTS_CRASH_DISK_H
#define QMN_TESTS_CRASH_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct disk_file;

/* The calls that really touch files; the watched program's own go through the model. */
struct disk_calls {
    ssize_t (*pwrite)(int fd, const void *data, size_t len, off_t at);
    int (*ftruncate)(int fd, off_t size);
    int (*open)(const char *path, int flags, ...);
    int (*close)(int fd);
    int (*unlink)(const char *path);
    int (*rename)(const char *from, const char *to);
    int (*link)(const char *from, const char *to);
};

void disk_init(const char *dir, bool strict, uint64_t seed, const struct disk_calls *calls);
/* Whether an absolute path is `dir` or below it. */
bool disk_watches(const char *path);

/* The file behind an open descriptor; NULL if there is no memory to watch it. */
struct disk_file *disk_file(int fd);
off_t disk_size(const struct disk_file *f);

/* Before the change is made: what is there now may be what stays. */
void disk_will_write(struct disk_file *f, off_t at, size_t len);
void disk_will_truncate(struct disk_file *f, off_t size);
/* Everything of the file so far is durable. */
void disk_synced(struct disk_file *f);
/* The kernel gave up on the file's unsynced sectors: no later sync makes them durable. */
void disk_sync_failed(struct disk_file *f);

/* Names.  `created` after, `will_remove` and `will_rename` before the fact. */
void disk_created(const char *path, struct disk_file *f);
void disk_will_remove(const char *path);
void disk_will_rename(const char *from, const char *to);
void disk_dir_synced(const char *dir);

/* Rewrites the directory to what is left after the power went. */
void disk_cut(void);

#endif
