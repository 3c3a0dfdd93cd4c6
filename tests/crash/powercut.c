/* SPDX-License-Identifier: MIT
 *
 * A power-cut simulator: preloaded (LD_PRELOAD) under a program, it watches what the program does
 * to the files below one directory, and at a chosen operation leaves there what a disk might hold
 * had the power gone (disk.h), and ends the process with status 99.  Syncs are not passed on: the
 * model knows what is durable.
 *
 *     PC_DIR=/absolute/dir      what to watch; unset: nothing is
 *     PC_AT=n                   cut at the n-th write, sync, truncation or change of a name
 *     PC_SEED=n                 of the random choices
 *     PC_CUT_AT_EXIT=1          the power goes when the program ends
 *     PC_STRICT=1               names are durable only when their directory is synced
 *     PC_FSYNC_FAIL_AT=n        the n-th sync of a file fails with EIO, later ones succeed
 *     PC_WRITE_FAIL_AT=n        the n-th write fails with EIO, later ones succeed
 *     PC_ENOSPC_AT_BYTES=n      files may grow by n bytes, then ENOSPC, until PC_DIR.lift exists
 *
 * Writes through a memory mapping and through stdio are not seen; the store uses neither. */
#undef _FILE_OFFSET_BITS /* else open and open64 are one name */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "disk.h"

#define PUBLIC __attribute__((visibility("default")))

enum { FDS_MAX = 65536, PATH_LEN = 512, CUT_STATUS = 99 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct disk_file *file_of[FDS_MAX];
static char *dir_of[FDS_MAX];
static bool active;
static uint64_t operations, cut_at, syncs, fail_sync_at, writes, fail_write_at;
static int64_t space_left;
static bool limited;
static char lift[PATH_LEN];

static struct disk_calls real;
static ssize_t (*real_write)(int, const void *, size_t);
static int (*real_openat)(int, const char *, int, ...);
static int (*real_unlinkat)(int, const char *, int);
static int (*real_renameat)(int, const char *, int, const char *);
static int (*real_closedir)(DIR *);
static int (*real_fclose)(FILE *);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int (*real_fallocate)(int, int, off_t, off_t);

static uint64_t env_number(const char *name)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : 0;
}

/* ISO C has no cast from an object pointer to a function pointer; dlsym's page shows this way. */
static void resolve(void *ret_function, const char *name)
{
    void *symbol = dlsym(RTLD_NEXT, name);
    if (!symbol)
        abort();
    memcpy(ret_function, &symbol, sizeof symbol);
}

__attribute__((constructor)) static void powercut_init(void)
{
    static bool done;
    if (done)
        return;
    done = true;
    resolve(&real.pwrite, "pwrite64");
    resolve(&real.ftruncate, "ftruncate64");
    resolve(&real.open, "open64");
    resolve(&real.close, "close");
    resolve(&real.unlink, "unlink");
    resolve(&real.rename, "rename");
    resolve(&real.link, "link");
    resolve(&real_write, "write");
    resolve(&real_openat, "openat64");
    resolve(&real_unlinkat, "unlinkat");
    resolve(&real_renameat, "renameat");
    resolve(&real_closedir, "closedir");
    resolve(&real_fclose, "fclose");
    resolve(&real_fsync, "fsync");
    resolve(&real_fdatasync, "fdatasync");
    resolve(&real_fallocate, "fallocate64");
    const char *dir = getenv("PC_DIR");
    if (!dir)
        return;
    cut_at = env_number("PC_AT");
    fail_sync_at = env_number("PC_FSYNC_FAIL_AT");
    fail_write_at = env_number("PC_WRITE_FAIL_AT");
    limited = getenv("PC_ENOSPC_AT_BYTES") != NULL;
    space_left = (int64_t)env_number("PC_ENOSPC_AT_BYTES");
    snprintf(lift, sizeof lift, "%.480s.lift", dir);
    disk_init(dir, env_number("PC_STRICT") != 0, env_number("PC_SEED"), &real);
    active = true;
}

__attribute__((destructor)) static void powercut_exit(void)
{
    pthread_mutex_lock(&lock);
    if (active && env_number("PC_CUT_AT_EXIT"))
        disk_cut();
    pthread_mutex_unlock(&lock);
}

/* Counts one operation, just done; does not return from the one at which the power goes. */
static void operation(void)
{
    if (++operations != cut_at)
        return;
    disk_cut();
    syscall(SYS_exit_group, CUT_STATUS);
}

static struct disk_file *watched(int fd)
{
    return active && fd >= 0 && fd < FDS_MAX ? file_of[fd] : NULL;
}

/* ---- opening and closing ---- */

static bool path_of(int fd, char *ret, size_t size)
{
    char self[64];
    snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(self, ret, size - 1);
    if (n <= 0)
        return false;
    ret[n] = 0;
    return true;
}

/* A descriptor's number gets a new life, or none. */
static void forget(int fd)
{
    if (!active || fd < 0 || fd >= FDS_MAX)
        return;
    file_of[fd] = NULL;
    free(dir_of[fd]);
    dir_of[fd] = NULL;
}

static void truncate_watched(int fd, struct disk_file *f, off_t size)
{
    disk_will_truncate(f, size);
    if (real.ftruncate(fd, size) == 0)
        operation();
}

static void watch(int fd, bool created, bool empty)
{
    char path[PATH_LEN];
    struct stat st;
    if (fd < 0 || fd >= FDS_MAX || !path_of(fd, path, sizeof path) || !disk_watches(path) ||
        fstat(fd, &st) != 0)
        return;
    if (S_ISDIR(st.st_mode)) {
        dir_of[fd] = strdup(path);
    } else if (S_ISREG(st.st_mode)) {
        struct disk_file *f = file_of[fd] = disk_file(fd);
        if (created && f) {
            disk_created(path, f);
            operation();
        } else if (empty && f && disk_size(f) > 0) {
            truncate_watched(fd, f, 0);
        }
    }
}

static int open_watched(int dirfd, const char *path, int flags, mode_t mode)
{
    if (!active)
        return real_openat(dirfd, path, flags, mode);
    pthread_mutex_lock(&lock);
    bool creates = (flags & O_CREAT) && faccessat(dirfd, path, F_OK, 0) != 0;
    int fd = real_openat(dirfd, path, flags & ~O_TRUNC, mode);
    int saved = errno;
    forget(fd);
    watch(fd, creates, flags & O_TRUNC);
    char plain[PATH_LEN];
    if (fd >= 0 && (flags & O_TRUNC) && !file_of[fd % FDS_MAX] && !dir_of[fd % FDS_MAX] &&
        path_of(fd, plain, sizeof plain) && real.ftruncate(fd, 0) != 0)
        saved = errno; /* a file we do not watch: what was asked, a little later */
    pthread_mutex_unlock(&lock);
    errno = saved;
    return fd;
}

#define OPEN_MODE(flags, mode)                                                                     \
    mode_t mode = 0;                                                                               \
    if ((flags) & (O_CREAT | O_TMPFILE)) {                                                         \
        va_list args;                                                                              \
        va_start(args, flags);                                                                     \
        mode = va_arg(args, mode_t);                                                               \
        va_end(args);                                                                              \
    }

PUBLIC int open(const char *path, int flags, ...)
{
    OPEN_MODE(flags, mode)
    return open_watched(AT_FDCWD, path, flags, mode);
}

PUBLIC int open64(const char *path, int flags, ...)
{
    OPEN_MODE(flags, mode)
    return open_watched(AT_FDCWD, path, flags, mode);
}

PUBLIC int openat(int dirfd, const char *path, int flags, ...)
{
    OPEN_MODE(flags, mode)
    return open_watched(dirfd, path, flags, mode);
}

PUBLIC int openat64(int dirfd, const char *path, int flags, ...)
{
    OPEN_MODE(flags, mode)
    return open_watched(dirfd, path, flags, mode);
}

PUBLIC int close(int fd)
{
    pthread_mutex_lock(&lock);
    forget(fd);
    int rc = real.close(fd);
    pthread_mutex_unlock(&lock);
    return rc;
}

/* The C library closes these without calling close(). */
PUBLIC int closedir(DIR *dir)
{
    pthread_mutex_lock(&lock);
    forget(dirfd(dir));
    int rc = real_closedir(dir);
    pthread_mutex_unlock(&lock);
    return rc;
}

PUBLIC int fclose(FILE *file)
{
    pthread_mutex_lock(&lock);
    forget(fileno(file));
    int rc = real_fclose(file);
    pthread_mutex_unlock(&lock);
    return rc;
}

/* ---- writing ---- */

/* How much of a write there is space for; a write into the middle always fits. */
static size_t fits(const struct disk_file *f, off_t at, size_t len)
{
    if (!limited || access(lift, F_OK) == 0)
        return len;
    off_t size = disk_size(f);
    int64_t grows = at + (off_t)len - size;
    if (grows <= 0)
        return len;
    if (grows <= space_left) {
        space_left -= grows;
        return len;
    }
    int64_t room = size + space_left - at;
    space_left = 0;
    return room > 0 ? (size_t)room : 0;
}

static ssize_t write_watched(int fd, struct disk_file *f, const void *data, size_t len, off_t at)
{
    if (++writes == fail_write_at) {
        errno = EIO;
        return -1;
    }
    size_t n = fits(f, at, len);
    if (len && !n) {
        errno = ENOSPC;
        return -1;
    }
    disk_will_write(f, at, n);
    ssize_t done = real.pwrite(fd, data, n, at);
    operation();
    return done;
}

static ssize_t pwrite_any(int fd, const void *data, size_t len, off_t at)
{
    struct disk_file *f = watched(fd);
    if (!f)
        return real.pwrite(fd, data, len, at);
    pthread_mutex_lock(&lock);
    ssize_t done = write_watched(fd, f, data, len, at);
    pthread_mutex_unlock(&lock);
    return done;
}

PUBLIC ssize_t pwrite(int fd, const void *data, size_t len, off_t at)
{
    return pwrite_any(fd, data, len, at);
}

PUBLIC ssize_t pwrite64(int fd, const void *data, size_t len, off_t at)
{
    return pwrite_any(fd, data, len, at);
}

PUBLIC ssize_t write(int fd, const void *data, size_t len)
{
    struct disk_file *f = watched(fd);
    if (!f)
        return real_write(fd, data, len);
    pthread_mutex_lock(&lock);
    bool append = fcntl(fd, F_GETFL) & O_APPEND;
    off_t at = append ? disk_size(f) : lseek(fd, 0, SEEK_CUR);
    ssize_t done = write_watched(fd, f, data, len, at);
    if (done > 0)
        lseek(fd, at + done, SEEK_SET);
    pthread_mutex_unlock(&lock);
    return done;
}

static int truncate_any(int fd, off_t size)
{
    struct disk_file *f = watched(fd);
    if (!f)
        return real.ftruncate(fd, size);
    pthread_mutex_lock(&lock);
    disk_will_truncate(f, size);
    int rc = real.ftruncate(fd, size);
    operation();
    pthread_mutex_unlock(&lock);
    return rc;
}

PUBLIC int ftruncate(int fd, off_t size)
{
    return truncate_any(fd, size);
}

PUBLIC int ftruncate64(int fd, off_t size)
{
    return truncate_any(fd, size);
}

static int fallocate_any(int fd, int mode, off_t at, off_t len)
{
    struct disk_file *f = watched(fd);
    if (!f)
        return real_fallocate(fd, mode, at, len);
    pthread_mutex_lock(&lock);
    if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
        disk_will_write(f, at, (size_t)len);
    int rc = real_fallocate(fd, mode, at, len);
    operation();
    pthread_mutex_unlock(&lock);
    return rc;
}

PUBLIC int fallocate(int fd, int mode, off_t at, off_t len)
{
    return fallocate_any(fd, mode, at, len);
}

PUBLIC int fallocate64(int fd, int mode, off_t at, off_t len)
{
    return fallocate_any(fd, mode, at, len);
}

PUBLIC int posix_fallocate(int fd, off_t at, off_t len)
{
    return fallocate_any(fd, 0, at, len) == 0 ? 0 : errno;
}

PUBLIC int posix_fallocate64(int fd, off_t at, off_t len)
{
    return fallocate_any(fd, 0, at, len) == 0 ? 0 : errno;
}

/* ---- syncing ---- */

/* The cut may come at the sync: before it took effect. */
static int sync_any(int fd, int (*real_sync)(int))
{
    if (!active || fd < 0 || fd >= FDS_MAX || (!file_of[fd] && !dir_of[fd]))
        return real_sync(fd);
    pthread_mutex_lock(&lock);
    operation();
    int rc = 0;
    if (dir_of[fd]) {
        disk_dir_synced(dir_of[fd]);
    } else if (++syncs == fail_sync_at) {
        disk_sync_failed(file_of[fd]);
        errno = EIO;
        rc = -1;
    } else {
        disk_synced(file_of[fd]);
    }
    pthread_mutex_unlock(&lock);
    return rc;
}

PUBLIC int fsync(int fd)
{
    return sync_any(fd, real_fsync);
}

PUBLIC int fdatasync(int fd)
{
    return sync_any(fd, real_fdatasync);
}

/* Starts write-back and promises nothing. */
PUBLIC int sync_file_range(int fd, off64_t at __attribute__((unused)),
                           off64_t len __attribute__((unused)),
                           unsigned flags __attribute__((unused)))
{
    if (!watched(fd))
        return 0;
    pthread_mutex_lock(&lock);
    operation();
    pthread_mutex_unlock(&lock);
    return 0;
}

/* ---- names ---- */

static bool absolute(const char *path, char *ret, size_t size)
{
    char cwd[PATH_LEN / 2];
    if (path[0] == '/')
        snprintf(ret, size, "%s", path);
    else if (getcwd(cwd, sizeof cwd))
        snprintf(ret, size, "%s/%s", cwd, path);
    else
        return false;
    return disk_watches(ret);
}

/* The same for a name relative to an open folder. */
static bool absolute_at(int dirfd, const char *path, char *ret, size_t size)
{
    char dir[PATH_LEN / 2];
    if (path[0] == '/' || dirfd == AT_FDCWD)
        return absolute(path, ret, size);
    if (!path_of(dirfd, dir, sizeof dir))
        return false;
    snprintf(ret, size, "%s/%s", dir, path);
    return disk_watches(ret);
}

PUBLIC int unlinkat(int dirfd, const char *path, int flags)
{
    char full[PATH_LEN];
    if (!active || flags || !absolute_at(dirfd, path, full, sizeof full))
        return real_unlinkat(dirfd, path, flags);
    return unlink(full);
}

PUBLIC int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
    char full_from[PATH_LEN], full_to[PATH_LEN];
    if (!active || !absolute_at(from_dir, from, full_from, sizeof full_from) ||
        !absolute_at(to_dir, to, full_to, sizeof full_to))
        return real_renameat(from_dir, from, to_dir, to);
    return rename(full_from, full_to);
}

PUBLIC int unlink(const char *path)
{
    char full[PATH_LEN];
    struct stat st;
    if (!active || !absolute(path, full, sizeof full) || stat(full, &st) != 0)
        return real.unlink(path);
    pthread_mutex_lock(&lock);
    disk_will_remove(full);
    int rc = real.unlink(path);
    operation();
    pthread_mutex_unlock(&lock);
    return rc;
}

PUBLIC int rename(const char *from, const char *to)
{
    char full_from[PATH_LEN], full_to[PATH_LEN];
    if (!active || !absolute(from, full_from, sizeof full_from) ||
        !absolute(to, full_to, sizeof full_to))
        return real.rename(from, to);
    pthread_mutex_lock(&lock);
    disk_will_rename(full_from, full_to);
    int rc = real.rename(from, to);
    operation();
    pthread_mutex_unlock(&lock);
    return rc;
}

PUBLIC int link(const char *from, const char *to)
{
    char full[PATH_LEN];
    int rc = real.link(from, to);
    if (!active || rc != 0 || !absolute(to, full, sizeof full))
        return rc;
    pthread_mutex_lock(&lock);
    disk_created(full, NULL);
    operation();
    pthread_mutex_unlock(&lock);
    return rc;
}
