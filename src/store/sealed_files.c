/* SPDX-License-Identifier: MIT
 *
 * Sealed files in a folder for each tenant. */
#include "sealed_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAME_BYTES = 256, WRITE_BYTES = 1 << 20 };

#define NEW_SUFFIX ".new"

static enum qmn_code system_says(struct err *err, const char *what, const char *name)
{
    int saved = errno;
    enum qmn_code code = saved == ENOSPC || saved == EDQUOT ? QMN_E_DISK_FULL : QMN_E_UNAVAILABLE;
    if (saved == ENOENT)
        code = QMN_E_NOT_FOUND;
    return err_set(err, code, "%s %s: %s", what, name, strerrordesc_np(saved));
}

static bool folder_name(const char *path, int64_t tenant_no, char ret[static 4096])
{
    int n = snprintf(ret, 4096, "%s/%lld", path, (long long)tenant_no);
    return n > 0 && n < 4096;
}

/* What was sealed for one tenant and name opens for no other. */
static struct bytes context_of(const struct sealed_files *f, const char *name,
                               char room[static NAME_BYTES])
{
    int n = snprintf(room, NAME_BYTES, "file/%lld/%s", (long long)f->tenant_no, name);
    return bytes_of(room, n > 0 && n < NAME_BYTES ? (size_t)n : 0);
}

/* Makes the folder, and its name durable. */
static bool make_folder(const char *path, const char *name)
{
    if (mkdir(name, 0700) != 0)
        return errno == EEXIST;
    int above = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = above >= 0 && fsync(above) == 0;
    if (above >= 0)
        close(above);
    return ok;
}

enum qmn_code sealed_files_open(const char *path, int64_t tenant_no, const struct sealer *sealer,
                                bool create, struct sealed_files *ret, struct err *err)
{
    char name[4096];
    if (!folder_name(path, tenant_no, name))
        return err_set(err, QMN_E_INVALID, "a path of more than 4096 characters");
    if (create && !make_folder(path, name))
        return system_says(err, "cannot make", name);
    int fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return system_says(err, "cannot open", name);
    *ret = (struct sealed_files){.fd = fd, .tenant_no = tenant_no, .sealer = sealer};
    arena_init(&ret->arena, 0);
    return QMN_OK;
}

void sealed_files_close(struct sealed_files *f)
{
    if (f->fd >= 0)
        close(f->fd);
    f->fd = -1;
    arena_release(&f->arena);
}

/* ---- reading ---- */

static enum qmn_code read_all(int fd, const char *name, char *to, size_t len, struct err *err)
{
    for (size_t at = 0; at < len;) {
        ssize_t n = pread(fd, to + at, len - at, (off_t)at);
        if (n < 0)
            return system_says(err, "cannot read", name);
        if (!n)
            return err_set(err, QMN_E_CORRUPT, "%s ends after %zu bytes of %zu", name, at, len);
        at += (size_t)n;
    }
    return QMN_OK;
}

static enum qmn_code read_file(struct sealed_files *f, int fd, const char *name, size_t max_bytes,
                               struct bytes *ret, struct err *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return system_says(err, "cannot read", name);
    if (!S_ISREG(st.st_mode) || st.st_size < 0 ||
        (uint64_t)st.st_size > max_bytes + f->sealer->overhead)
        return err_set(err, QMN_E_CORRUPT, "%s has %lld bytes; up to %zu expected", name,
                       (long long)st.st_size, max_bytes);
    char room[NAME_BYTES];
    size_t len = (size_t)st.st_size;
    char *p = arena_alloc(&f->arena, len + 1);
    if (!p)
        return err_nomem(err);
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    TRY(read_all(fd, name, p, len, err));
    return f->sealer->open(f->sealer->ctx, f->tenant_no, context_of(f, name, room),
                           bytes_of(p, len), &f->arena, ret, err);
}

enum qmn_code sealed_files_read(struct sealed_files *f, const char *name, size_t max_bytes,
                                struct bytes *ret, struct err *err)
{
    arena_reset(&f->arena);
    int fd = openat(f->fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return system_says(err, "cannot open", name);
    enum qmn_code code = read_file(f, fd, name, max_bytes, ret, err);
    close(fd);
    return code;
}

/* ---- writing ---- */

static bool write_all(int fd, struct bytes b)
{
    for (size_t at = 0; at < b.len;) {
        size_t left = b.len - at;
        ssize_t n =
            pwrite(fd, b.ptr + at, left < WRITE_BYTES ? left : (size_t)WRITE_BYTES, (off_t)at);
        if (n < 0)
            return false;
        at += (size_t)n;
    }
    return true;
}

/* As file `at`, sealed under `name`. */
static enum qmn_code write_as(struct sealed_files *f, const char *at, const char *name,
                              struct bytes content, struct err *err)
{
    struct bytes sealed;
    char room[NAME_BYTES];
    arena_reset(&f->arena);
    TRY(f->sealer->seal(f->sealer->ctx, f->tenant_no, context_of(f, name, room), content, &f->arena,
                        &sealed, err));
    /* never over a file that is there: its sync may have failed, and then nothing is known of it */
    (void)unlinkat(f->fd, at, 0);
    int fd = openat(f->fd, at, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return system_says(err, "cannot write", name);
    bool ok = write_all(fd, sealed) && fsync(fd) == 0;
    enum qmn_code code = ok ? QMN_OK : system_says(err, "cannot write", name);
    close(fd);
    return code;
}

enum qmn_code sealed_files_write(struct sealed_files *f, const char *name, struct bytes content,
                                 struct err *err)
{
    return write_as(f, name, name, content, err);
}

enum qmn_code sealed_files_replace(struct sealed_files *f, const char *name, struct bytes content,
                                   struct err *err)
{
    char other[NAME_BYTES];
    snprintf(other, sizeof other, "%s" NEW_SUFFIX, name);
    TRY(write_as(f, other, name, content, err));
    /* the names of what was written before come first, or the new file would tell of files that a
     * power cut has taken */
    bool ok = fsync(f->fd) == 0 && renameat(f->fd, other, f->fd, name) == 0 && fsync(f->fd) == 0;
    return ok ? QMN_OK : system_says(err, "cannot write", name);
}

/* ---- removing ---- */

void sealed_files_trim(struct sealed_files *f, bool (*keep)(void *ctx, const char *name), void *ctx)
{
    int copy = openat(f->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
    const struct dirent *e;
    if (!dir && copy >= 0)
        close(copy);
    while (dir && (e = readdir(dir)) != NULL)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 && !keep(ctx, e->d_name))
            (void)unlinkat(f->fd, e->d_name, 0);
    if (dir)
        closedir(dir);
}

static bool keep_none(void *ctx, const char *name)
{
    (void)ctx;
    (void)name;
    return false;
}

enum qmn_code sealed_files_remove(const char *path, int64_t tenant_no, struct err *err)
{
    struct sealed_files f;
    char name[4096];
    enum qmn_code code = sealed_files_open(path, tenant_no, &sealer_identity, false, &f, err);
    if (code != QMN_OK)
        return code == QMN_E_NOT_FOUND ? QMN_OK : code;
    sealed_files_trim(&f, keep_none, NULL);
    sealed_files_close(&f);
    if (!folder_name(path, tenant_no, name) || rmdir(name) != 0)
        return system_says(err, "cannot remove", name);
    return QMN_OK;
}
