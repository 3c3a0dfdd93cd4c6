/* SPDX-License-Identifier: MIT
 *
 * File handling.  Never opens the database file while a connection has it: closing any descriptor
 * of a file drops the process's POSIX locks on it. */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

enum { MODE_PRIVATE = 0600 };

static enum qmn_code file_fail(const char *doing, struct err *err)
{
    int e = errno;
    if (e == ENOSPC || e == EDQUOT)
        return err_set(err, QMN_E_DISK_FULL, "no space left on the store's disk");
    return err_set(err, QMN_E_UNAVAILABLE, "%s: %s", doing, strerrordesc_np(e));
}

char *file_beside(const char *path, const char *suffix)
{
    size_t size = strlen(path) + strlen(suffix) + 1;
    char *p = mem_alloc(size);
    if (p)
        snprintf(p, size, "%s%s", path, suffix);
    return p;
}

static enum qmn_code lock_taken(int fd, struct err *err)
{
    char text[32] = "";
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    long pid = n > 0 ? strtol(text, NULL, 10) : 0;
    close(fd);
    if (pid > 0)
        return err_set(err, QMN_E_CONFLICT, "the store is in use by process %ld: stop it first",
                       pid);
    return err_set(err, QMN_E_CONFLICT, "the store is in use by another process: stop it first");
}

enum qmn_code file_lock(const char *path, int *ret_fd, struct err *err)
{
    CLEANUP(mem_freep) char *name = file_beside(path, ".lock");
    if (!name)
        return err_nomem(err);
    int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, MODE_PRIVATE);
    if (fd < 0)
        return file_fail("the store's lock file cannot be opened", err);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK)
            return lock_taken(fd, err);
        enum qmn_code code = file_fail("the store cannot be locked", err);
        close(fd);
        return code;
    }
    char text[32];
    int n = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    /* Only a courtesy to whoever finds the lock taken; on a full disk it holds as well. */
    if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)n, 0) != n)
        errno = 0;
    *ret_fd = fd;
    return QMN_OK;
}

enum qmn_code file_create(const char *path, struct err *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, MODE_PRIVATE);
    if (fd < 0)
        return file_fail("the database file cannot be opened", err);
    close(fd);
    return QMN_OK;
}

static enum qmn_code sync_path(const char *path, int flags, struct err *err)
{
    int fd = open(path, flags | O_CLOEXEC);
    if (fd < 0)
        return file_fail("a file cannot be opened", err);
    enum qmn_code code = fsync(fd) == 0 ? QMN_OK : file_fail("a file cannot be synced", err);
    close(fd);
    return code;
}

enum qmn_code file_sync(const char *path, struct err *err)
{
    return sync_path(path, O_RDONLY, err);
}

enum qmn_code file_sync_dir(const char *path, struct err *err)
{
    CLEANUP(mem_freep) char *dir = file_beside(path, "");
    if (!dir)
        return err_nomem(err);
    char *slash = strrchr(dir, '/');
    if (!slash)
        return sync_path(".", O_RDONLY | O_DIRECTORY, err);
    slash[slash == dir ? 1 : 0] = 0;
    return sync_path(dir, O_RDONLY | O_DIRECTORY, err);
}

int64_t file_bytes(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? (int64_t)st.st_size : 0;
}
