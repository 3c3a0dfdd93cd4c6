/* SPDX-License-Identifier: MIT
 *
 * Restore: copy, verify the copy, set the mark, remove what was derived from the old data, move
 * that aside, move the copy in, clear the mark.  The write-ahead log goes aside with its database:
 * left beside the new one it would be replayed into it. */
#include "restore.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/store.h"

#define INCOMING "restore-incoming.db"

static const char *const database_files[] = {DATA_DATABASE, DATA_DATABASE "-wal",
                                             DATA_DATABASE "-shm", DATA_DATABASE "-journal"};

static enum qmn_code system_says(struct err *err, const char *what)
{
    int saved = errno;
    return err_set(err, saved == ENOSPC || saved == EDQUOT ? QMN_E_DISK_FULL : QMN_E_UNAVAILABLE,
                   "%s: %s", what, strerror(saved));
}

static bool copy_bytes(int from, int to)
{
    for (;;) {
        static char block[1 << 16];
        ssize_t n = read(from, block, sizeof block);
        if (n <= 0)
            return n == 0;
        for (ssize_t done = 0; done < n;) {
            ssize_t w = write(to, block + done, (size_t)(n - done));
            if (w < 0)
                return false;
            done += w;
        }
    }
}

/* What an earlier attempt, or the verification, left beside the copy. */
static void clear_leavings(const struct data_dir *d)
{
    static const char *const leavings[] = {INCOMING "-wal", INCOMING "-shm", INCOMING "-journal"};
    for (size_t i = 0; i < ARRAY_LEN(leavings); i++)
        (void)unlinkat(d->fd, leavings[i], 0);
}

static enum qmn_code copy_in(const struct data_dir *d, int from, struct err *err)
{
    clear_leavings(d);
    (void)unlinkat(d->fd, INCOMING, 0);
    int to = openat(d->fd, INCOMING, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (to < 0)
        return system_says(err, "cannot copy the backup");
    bool ok = lseek(from, 0, SEEK_SET) == 0 && copy_bytes(from, to) && fsync(to) == 0;
    enum qmn_code code = ok ? QMN_OK : system_says(err, "cannot copy the backup");
    close(to);
    return code;
}

static enum qmn_code set_mark(const struct data_dir *d, struct err *err)
{
    int fd = openat(d->fd, DATA_RESTORE_MARK, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || fsync(fd) != 0 || fsync(d->fd) != 0) {
        enum qmn_code code = system_says(err, "cannot mark the restore");
        if (fd >= 0)
            close(fd);
        return code;
    }
    close(fd);
    return QMN_OK;
}

/* A folder of its own, even for two restores within a second: nothing kept aside is overwritten. */
static enum qmn_code make_aside(const struct data_dir *d, struct restored *r, int *ret_fd,
                                struct err *err)
{
    enum { TRIES = 100 };
    time_t now = (time_t)(clock_now_ms(&clock_system) / 1000);
    struct tm utc;
    char when[32];
    gmtime_r(&now, &utc);
    (void)strftime(when, sizeof when, "%Y%m%dT%H%M%SZ", &utc);
    for (int i = 0; i < TRIES; i++) {
        snprintf(r->aside, sizeof r->aside, i ? "replaced-%s-%d" : "replaced-%s", when, i);
        if (mkdirat(d->fd, r->aside, 0700) == 0) {
            *ret_fd = openat(d->fd, r->aside, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
            return *ret_fd >= 0 ? QMN_OK : system_says(err, "cannot move the old data aside");
        }
        if (errno != EEXIST)
            break;
    }
    return system_says(err, "cannot make room for the old data");
}

static enum qmn_code move_files(const struct data_dir *d, int aside, struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(database_files); i++)
        if (renameat(d->fd, database_files[i], aside, database_files[i]) != 0 && errno != ENOENT)
            return system_says(err, "cannot move the old data aside");
    return fsync(aside) == 0 ? QMN_OK : system_says(err, "cannot move the old data aside");
}

static enum qmn_code move_aside(const struct data_dir *d, struct restored *r, struct err *err)
{
    bool any = false;
    for (size_t i = 0; i < ARRAY_LEN(database_files); i++)
        any |= faccessat(d->fd, database_files[i], F_OK, AT_SYMLINK_NOFOLLOW) == 0;
    if (!any)
        return QMN_OK;
    int aside = -1;
    TRY(make_aside(d, r, &aside, err));
    enum qmn_code code = move_files(d, aside, err);
    close(aside);
    return code;
}

enum qmn_code restore_run(const struct data_dir *d, int backup_fd, struct restored *ret,
                          struct err *err)
{
    struct restored r = {0};
    char path[4096];
    TRY(copy_in(d, backup_fd, err));
    enum qmn_code code =
        store_sqlite_verify(data_dir_name(d, INCOMING, path), &sealer_identity, &r.rows, err);
    if (code == QMN_OK)
        code = store_sqlite_unwrap(path, err);
    clear_leavings(d);
    if (code != QMN_OK) {
        (void)unlinkat(d->fd, INCOMING, 0);
        return code;
    }
    TRY(set_mark(d, err));
    /* a start would compare them with the new data and keep nothing that is not in it */
    if (!data_dir_remove(d, DATA_SNAPSHOTS))
        return system_says(err, "cannot remove the snapshots of indexes");
    TRY(move_aside(d, &r, err));
    if (renameat(d->fd, INCOMING, d->fd, DATA_DATABASE) != 0 || fsync(d->fd) != 0 ||
        unlinkat(d->fd, DATA_RESTORE_MARK, 0) != 0 || fsync(d->fd) != 0)
        return system_says(err, "cannot move the backup in");
    r.pepper_absent = faccessat(d->fd, "pepper", F_OK, 0) != 0;
    *ret = r;
    return QMN_OK;
}
