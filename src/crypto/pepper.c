/* SPDX-License-Identifier: MIT
 *
 * The file of the key pepper: 32 raw bytes, mode 0600.
 *
 * It is written under another name, synced, and linked (not renamed) into place: a rename would
 * replace a pepper that another process made in the meantime, and with it every key. */
#include "crypto/apikey.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/rng.h"

enum { PEPPER_PATH_MAX = 4096 };

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static enum qmn_code pepper_read(int fd, struct pepper *ret, struct err *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return err_set(err, QMN_E_UNAVAILABLE, "key pepper: %s", strerror(errno));
    if (!S_ISREG(st.st_mode))
        return err_set(err, QMN_E_CORRUPT, "key pepper: not a regular file");
    if (st.st_mode & (S_IRWXG | S_IRWXO))
        return err_set(
            err, QMN_E_FORBIDDEN,
            "key pepper: its mode is %03o and lets others at it; expected 600 (chmod it, "
            "and rotate the keys if somebody may have read it)",
            (unsigned)(st.st_mode & 0777));
    uint8_t bytes[PEPPER_BYTES + 1];
    ssize_t n = pread(fd, bytes, sizeof bytes, 0);
    if (n == PEPPER_BYTES) {
        memcpy(ret->b, bytes, PEPPER_BYTES);
        ret->ready = true;
    }
    secret_wipe(bytes, sizeof bytes);
    if (n != PEPPER_BYTES)
        return err_set(err, QMN_E_CORRUPT, "key pepper: the file holds %lld bytes; expected %d",
                       (long long)st.st_size, PEPPER_BYTES);
    return QMN_OK;
}

static bool sync_parent(const char *path)
{
    char dir[PEPPER_PATH_MAX];
    const char *slash = strrchr(path, '/');
    int len = slash == path ? 1 : slash ? (int)(slash - path) : 1;
    snprintf(dir, sizeof dir, "%.*s", len, slash ? path : ".");
    CLEANUP(close_fd) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 && fsync(fd) == 0;
}

static bool write_all(int fd, const uint8_t *p, size_t len)
{
    while (len) {
        ssize_t n = write(fd, p, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        p += n;
        len -= (size_t)n;
    }
    return true;
}

static bool write_new(const char *temp)
{
    uint8_t bytes[PEPPER_BYTES];
    CLEANUP(close_fd)
    int fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return false;
    rng_secure(bytes, sizeof bytes);
    bool ok = write_all(fd, bytes, sizeof bytes) && fsync(fd) == 0;
    secret_wipe(bytes, sizeof bytes);
    return ok;
}

static enum qmn_code pepper_make(const char *path, struct err *err)
{
    char temp[PEPPER_PATH_MAX];
    uint64_t tag;
    rng_secure(&tag, sizeof tag);
    int n = snprintf(temp, sizeof temp, "%s.%016llx", path, (unsigned long long)tag);
    if (n < 0 || (size_t)n >= sizeof temp)
        return err_set(err, QMN_E_INVALID, "key pepper: the path is too long");
    bool ok = write_new(temp) && (link(temp, path) == 0 || errno == EEXIST);
    int why = errno;
    unlink(temp);
    if (!ok)
        return err_set(err, why == ENOSPC ? QMN_E_DISK_FULL : QMN_E_UNAVAILABLE,
                       "key pepper: cannot make the file: %s", strerror(why));
    if (!sync_parent(path))
        return err_set(err, QMN_E_UNAVAILABLE, "key pepper: cannot sync its folder: %s",
                       strerror(errno));
    return QMN_OK;
}

enum qmn_code pepper_load(const char *path, struct pepper *ret, struct err *err)
{
    CLEANUP(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return err_set(err, errno == ENOENT ? QMN_E_NOT_FOUND : QMN_E_UNAVAILABLE, "key pepper: %s",
                       strerror(errno));
    return pepper_read(fd, ret, err);
}

enum qmn_code pepper_load_or_make(const char *path, struct pepper *ret, struct err *err)
{
    enum qmn_code code = pepper_load(path, ret, err);
    if (code != QMN_E_NOT_FOUND)
        return code;
    TRY(pepper_make(path, err));
    return pepper_load(path, ret, err);
}

void pepper_wipe(struct pepper *p)
{
    secret_wipe(p, sizeof *p);
}
