/* SPDX-License-Identifier: MIT
 *
 * Opening, locking and giving away the data directory. */
#include "data_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK_NAME "qmn.lock"

enum { GIVE_DEPTH_MAX = 4 };

static enum qmn_code system_says(struct err *err, const char *what, const char *path)
{
    int saved = errno;
    return err_set(err, saved == ENOSPC || saved == EDQUOT ? QMN_E_DISK_FULL : QMN_E_UNAVAILABLE,
                   "%s %s: %s", what, path, strerror(saved));
}

/* mkdir -p; parents as the umask has them, the last one for us alone. */
static enum qmn_code make_path(const char *path, struct err *err)
{
    char part[PATH_MAX];
    size_t len = strlen(path);
    if (len >= sizeof part)
        return err_set(err, QMN_E_INVALID, "data-dir: longer than %d characters", PATH_MAX);
    memcpy(part, path, len + 1);
    for (size_t i = 1; i < len; i++) {
        if (part[i] != '/')
            continue;
        part[i] = '\0';
        if (mkdir(part, 0755) != 0 && errno != EEXIST)
            return system_says(err, "cannot make", part);
        part[i] = '/';
    }
    if (mkdir(part, 0700) != 0 && errno != EEXIST)
        return system_says(err, "cannot make", part);
    return QMN_OK;
}

/* True if a directory without our lock may become ours: it is empty, or prepared for us. */
static bool may_be_ours(const char *name)
{
    return name[0] == '.' || strcmp(name, "lost+found") == 0 || strcmp(name, "pepper") == 0;
}

/* Calls `each` for the entries of a directory; a false ends the walk and is returned. */
static bool for_entries(int fd, bool (*each)(void *ctx, int fd, const char *name), void *ctx)
{
    int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
    if (!dir) {
        if (copy >= 0)
            close(copy);
        return false;
    }
    bool ok = true;
    struct dirent *e;
    while (ok && (e = readdir(dir)) != NULL)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            ok = each(ctx, fd, e->d_name);
    closedir(dir);
    return ok;
}

static bool check_stranger(void *ctx, int fd, const char *name)
{
    (void)fd;
    if (may_be_ours(name))
        return true;
    snprintf(ctx, NAME_MAX + 1, "%s", name);
    return false;
}

static enum qmn_code check_ours(const struct data_dir *d, const char *path, struct err *err)
{
    if (faccessat(d->fd, LOCK_NAME, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return QMN_OK;
    char stranger[NAME_MAX + 1] = "";
    if (!for_entries(d->fd, check_stranger, stranger))
        return err_set(err, QMN_E_CONFLICT,
                       "%.120s holds \"%.60s\" and is not a node's data directory; name an empty "
                       "or new one",
                       path, stranger[0] ? stranger : "?");
    return QMN_OK;
}

static enum qmn_code take_lock(struct data_dir *d, const char *path, struct err *err)
{
    d->lock_fd = openat(d->fd, LOCK_NAME, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (d->lock_fd < 0)
        return system_says(err, "cannot lock", path);
    char text[24] = "";
    if (flock(d->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        ssize_t n = errno == EWOULDBLOCK ? pread(d->lock_fd, text, sizeof text - 1, 0) : 0;
        text[n > 0 ? strspn(text, "0123456789") : 0] = '\0';
        return err_set(err, QMN_E_IN_PROGRESS, "another node%s%s uses %.200s; stop it first",
                       *text ? ", process " : "", text, path);
    }
    int len = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(d->lock_fd, 0) != 0 || pwrite(d->lock_fd, text, (size_t)len, 0) != len)
        return system_says(err, "cannot lock", path);
    /* The lock marks the directory as ours: it must outlast whatever is made in it from here on, or
     * after a power cut the next start would take the rest for somebody else's. */
    if (fsync(d->lock_fd) != 0 || fsync(d->fd) != 0)
        return system_says(err, "cannot sync", path);
    return QMN_OK;
}

struct giving {
    const struct identity *to;
    int depth;
};

/* Links are not followed, so nothing outside the directory changes hands. */
static bool give(void *ctx, int fd, const char *name)
{
    struct giving *g = ctx;
    struct stat st;
    if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT;
    bool mine = st.st_uid == g->to->uid && st.st_gid == g->to->gid;
    if (!mine && fchownat(fd, name, g->to->uid, g->to->gid, AT_SYMLINK_NOFOLLOW) != 0)
        return false;
    if (!S_ISDIR(st.st_mode) || g->depth == GIVE_DEPTH_MAX)
        return true;
    int sub = openat(fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (sub < 0)
        return false;
    g->depth++;
    bool ok = for_entries(sub, give, g);
    g->depth--;
    close(sub);
    return ok;
}

static enum qmn_code give_all(const struct data_dir *d, const struct identity *who,
                              const char *path, struct err *err)
{
    struct giving g = {.to = who};
    if (geteuid() != 0)
        return QMN_OK;
    if (fchown(d->fd, who->uid, who->gid) != 0 || !for_entries(d->fd, give, &g))
        return system_says(err, "cannot give to the node's user:", path);
    return QMN_OK;
}

static enum qmn_code open_locked(const char *path, const struct identity *who, bool restoring,
                                 struct data_dir *d, struct err *err)
{
    TRY(make_path(path, err));
    d->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (d->fd < 0)
        return system_says(err, "cannot open", path);
    TRY(check_ours(d, path, err));
    TRY(take_lock(d, path, err));
    if (!restoring && faccessat(d->fd, DATA_RESTORE_MARK, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return err_set(err, QMN_E_CONFLICT,
                       "a restore into %.200s was cut short; run qmnd --restore once more", path);
    TRY(give_all(d, who, path, err));
    if (fchmod(d->fd, 0700) != 0)
        return system_says(err, "cannot close to others", path);
    if (fchdir(d->fd) != 0 || !getcwd(d->root, sizeof d->root))
        return system_says(err, "cannot change into", path);
    return QMN_OK;
}

enum qmn_code data_dir_open(const char *path, const struct identity *who, bool restoring,
                            struct data_dir *ret, struct err *err)
{
    struct data_dir d = {.fd = -1, .lock_fd = -1};
    enum qmn_code code = open_locked(path, who, restoring, &d, err);
    if (code == QMN_OK)
        *ret = d;
    else
        data_dir_close(&d);
    return code;
}

void data_dir_close(struct data_dir *d)
{
    if (!d)
        return;
    if (d->lock_fd >= 0)
        close(d->lock_fd);
    if (d->fd >= 0)
        close(d->fd);
    d->fd = d->lock_fd = -1;
}

static bool remove_entry(void *ctx, int fd, const char *name)
{
    const int *depth = ctx;
    int above = *depth - 1;
    if (unlinkat(fd, name, 0) == 0)
        return true;
    int sub = *depth ? openat(fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW) : -1;
    if (sub < 0)
        return false;
    bool ok = for_entries(sub, remove_entry, &above);
    close(sub);
    return unlinkat(fd, name, AT_REMOVEDIR) == 0 && ok;
}

bool data_dir_remove(const struct data_dir *d, const char *folder)
{
    int depth = 2;
    if (faccessat(d->fd, folder, F_OK, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT;
    return remove_entry(&depth, d->fd, folder);
}

const char *data_dir_name(const struct data_dir *d, const char *file, char ret[static 4096])
{
    bool reachable = access(d->root, X_OK) == 0;
    snprintf(ret, 4096, "%s%s%s", reachable ? d->root : "", reachable ? "/" : "", file);
    return ret;
}

/* ---- files that are whole or absent ---- */

enum { NEW_FILE_ROOM = 4096 };

static struct new_file new_file(const char *name)
{
    struct new_file f = {.fd = -1, .name = name};
    snprintf(f.temporary, sizeof f.temporary, ".%s.new", name);
    return f;
}

bool new_file_find(const struct data_dir *d, const char *name, struct new_file *ret)
{
    struct new_file f = new_file(name);
    f.fd = openat(d->fd, f.temporary, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (f.fd >= 0)
        *ret = f;
    return f.fd >= 0;
}

enum qmn_code new_file_begin(const struct data_dir *d, const char *name, struct new_file *ret,
                             struct err *err)
{
    struct new_file f = new_file(name);
    (void)unlinkat(d->fd, f.temporary, 0);
    f.fd = openat(d->fd, f.temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (f.fd < 0)
        return system_says(err, "cannot write", name);
    int failed = posix_fallocate(f.fd, 0, NEW_FILE_ROOM);
    if (failed == ENOSPC || failed == EDQUOT) {
        new_file_abandon(d, &f);
        errno = failed;
        return system_says(err, "cannot write", name);
    }
    *ret = f;
    return QMN_OK;
}

enum qmn_code new_file_write(const struct data_dir *d, struct new_file *f, struct bytes content,
                             struct err *err)
{
    bool ok = pwrite(f->fd, content.ptr, content.len, 0) == (ssize_t)content.len &&
              ftruncate(f->fd, (off_t)content.len) == 0 && fsync(f->fd) == 0 && fsync(d->fd) == 0;
    return ok ? QMN_OK : system_says(err, "cannot write", f->name);
}

enum qmn_code new_file_commit(const struct data_dir *d, struct new_file *f, struct err *err)
{
    bool ok = renameat(d->fd, f->temporary, d->fd, f->name) == 0 && fsync(d->fd) == 0;
    enum qmn_code code = ok ? QMN_OK : system_says(err, "cannot write", f->name);
    new_file_leave(f);
    return code;
}

void new_file_abandon(const struct data_dir *d, struct new_file *f)
{
    new_file_leave(f);
    (void)unlinkat(d->fd, f->temporary, 0);
}

void new_file_leave(struct new_file *f)
{
    close(f->fd);
    f->fd = -1;
}
