/* SPDX-License-Identifier: MIT
 *
 * The checksum at the end of a backup.  SQLite's own check knows its trees, and the sealer its
 * content, but a flipped bit in a number of a row is noticed by neither.  A backup does not change,
 * so it carries a CRC-32C over itself behind its last page, where SQLite does not look; a restore
 * takes it off again. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sqlite_priv.h"
#include "store/crc32c.h"

struct trailer {
    char magic[8];
    uint64_t len; /* of what stands before */
    uint32_t crc; /* over that */
    uint32_t spare;
};

static const char magic[8] = {'Q', 'M', 'N', ' ', 'c', 'o', 'p', 'y'};

static void closep(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static enum qmn_code fail(const char *doing, struct err *err)
{
    int e = errno;
    if (e == ENOSPC || e == EDQUOT)
        return err_set(err, QMN_E_DISK_FULL, "no space left on the store's disk");
    return err_set(err, QMN_E_UNAVAILABLE, "%s: %s", doing, strerrordesc_np(e));
}

/* Over the first `len` bytes; a file that ends before is damaged. */
static enum qmn_code add_up(int fd, uint64_t len, uint32_t *ret, struct err *err)
{
    char block[1 << 16];
    uint32_t crc = 0;
    for (uint64_t at = 0; at < len;) {
        size_t want = len - at < sizeof block ? (size_t)(len - at) : sizeof block;
        ssize_t n = pread(fd, block, want, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail("the copy cannot be read", err);
        if (n == 0)
            return err_set(err, QMN_E_CORRUPT, "the copy ends before its end");
        crc = crc32c(crc, bytes_of(block, (size_t)n));
        at += (uint64_t)n;
    }
    *ret = crc;
    return QMN_OK;
}

static enum qmn_code open_sized(const char *path, int flags, int *ret_fd, uint64_t *ret_size,
                                struct err *err)
{
    struct stat st;
    int fd = open(path, flags | O_CLOEXEC);
    if (fd < 0)
        return fail("the copy cannot be opened", err);
    if (fstat(fd, &st) != 0) {
        enum qmn_code code = fail("the copy cannot be looked at", err);
        close(fd);
        return code;
    }
    *ret_fd = fd;
    *ret_size = (uint64_t)st.st_size;
    return QMN_OK;
}

/* False: the file ends in nothing of ours. */
static bool read_trailer(int fd, uint64_t size, struct trailer *ret)
{
    return size >= sizeof *ret &&
           pread(fd, ret, sizeof *ret, (off_t)(size - sizeof *ret)) == (ssize_t)sizeof *ret &&
           memcmp(ret->magic, magic, sizeof magic) == 0;
}

enum qmn_code sum_append(const char *path, struct err *err)
{
    CLEANUP(closep) int fd = -1;
    struct trailer t = {0};
    memcpy(t.magic, magic, sizeof magic);
    TRY(open_sized(path, O_RDWR, &fd, &t.len, err));
    TRY(add_up(fd, t.len, &t.crc, err));
    if (pwrite(fd, &t, sizeof t, (off_t)t.len) != (ssize_t)sizeof t)
        return fail("the copy cannot be finished", err);
    return QMN_OK;
}

enum qmn_code sum_check(const char *path, struct err *err)
{
    CLEANUP(closep) int fd = -1;
    struct trailer t;
    uint64_t size;
    uint32_t crc;
    TRY(open_sized(path, O_RDONLY, &fd, &size, err));
    if (!read_trailer(fd, size, &t))
        return QMN_OK;
    if (t.len != size - sizeof t)
        return err_set(err, QMN_E_CORRUPT, "the copy was made of %llu bytes and now has %llu",
                       (unsigned long long)t.len, (unsigned long long)(size - sizeof t));
    TRY(add_up(fd, t.len, &crc, err));
    if (crc != t.crc)
        return err_set(err, QMN_E_CORRUPT,
                       "the copy is not what was written: its checksum is %08x, %08x was expected",
                       crc, t.crc);
    return QMN_OK;
}

enum qmn_code store_sqlite_unwrap(const char *path, struct err *err)
{
    CLEANUP(closep) int fd = -1;
    struct trailer t;
    uint64_t size;
    TRY(open_sized(path, O_RDWR, &fd, &size, err));
    if (!read_trailer(fd, size, &t))
        return QMN_OK;
    if (ftruncate(fd, (off_t)(size - sizeof t)) != 0 || fsync(fd) != 0)
        return fail("the copy cannot be made a database", err);
    return QMN_OK;
}
