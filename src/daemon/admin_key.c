/* SPDX-License-Identifier: MIT
 *
 * An admin key and its file: written, then committed, then named. */
#include "admin_key.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

struct key_text {
    char text[ENGINE_KEY_TEXT_MAX + 1]; /* with its newline */
};

static void wipe(struct key_text *k)
{
    explicit_bzero(k, sizeof *k);
}

/* Whether the key in an open file is an admin key of this node, usable now. */
static enum qmn_code works(int fd, struct engine *e, bool *ret, struct err *err)
{
    CLEANUP(wipe) struct key_text k = {0};
    CLEANUP(arena_release) struct arena arena;
    arena_init(&arena, 0);
    ssize_t n = pread(fd, k.text, sizeof k.text, 0);
    if (n < 0)
        return err_set(err, QMN_E_UNAVAILABLE, "cannot read " DATA_ADMIN_KEY ": %s",
                       strerror(errno));
    struct caller caller;
    struct bytes text = bytes_of(k.text, strnlen(k.text, (size_t)n));
    if (text.len && text.ptr[text.len - 1] == '\n')
        text.len--;
    enum qmn_code code = engine_authenticate(e, text, BYTES_LIT(""), &arena, &caller, err);
    if (code == QMN_OK)
        *ret = (caller.scopes & SCOPE_BIT(SCOPE_ADMIN)) != 0;
    else if (code == QMN_E_UNAUTHENTICATED || code == QMN_E_FORBIDDEN)
        *ret = false;
    else
        return code;
    return QMN_OK;
}

enum qmn_code admin_key_works(const struct data_dir *d, struct engine *e, bool *ret,
                              struct err *err)
{
    int fd = openat(d->fd, DATA_ADMIN_KEY, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    *ret = false;
    if (fd < 0 && errno == ENOENT)
        return QMN_OK;
    if (fd < 0)
        return err_set(err, QMN_E_UNAVAILABLE, "cannot read " DATA_ADMIN_KEY ": %s",
                       strerror(errno));
    enum qmn_code code = works(fd, e, ret, err);
    close(fd);
    return code;
}

/* What a crash left: a key that counts gets its name, one that never did goes. */
static enum qmn_code settle(const struct data_dir *d, struct engine *e, bool *ret_kept,
                            struct err *err)
{
    struct new_file left;
    *ret_kept = false;
    if (!new_file_find(d, DATA_ADMIN_KEY, &left))
        return QMN_OK;
    enum qmn_code code = works(left.fd, e, ret_kept, err);
    if (code != QMN_OK)
        new_file_leave(&left);
    else if (*ret_kept)
        code = new_file_commit(d, &left, err);
    else
        new_file_abandon(d, &left);
    return code;
}

/* From the commit on the file stays whatever happens: even one that failed may turn out to have
 * reached the disk. */
static enum qmn_code make(const struct data_dir *d, struct engine *e, enum bootstrap what,
                          struct err *err)
{
    CLEANUP(wipe) struct key_text k = {0};
    struct new_file file;
    engine_admin_key_text(e, k.text);
    size_t len = strlen(k.text);
    TRY(new_file_begin(d, DATA_ADMIN_KEY, &file, err));
    k.text[len] = '\n';
    enum qmn_code code = new_file_write(d, &file, bytes_of(k.text, len + 1), err);
    if (code != QMN_OK) {
        new_file_abandon(d, &file);
        return code;
    }
    k.text[len] = '\0';
    code = engine_bootstrap(e, k.text, what, err);
    if (code == QMN_OK)
        return new_file_commit(d, &file, err);
    if (code == QMN_E_CONFLICT)
        new_file_abandon(d, &file);
    else
        new_file_leave(&file);
    return code;
}

enum qmn_code admin_key_first(const struct data_dir *d, struct engine *e, enum admin_key *ret,
                              struct err *err)
{
    bool kept;
    TRY(settle(d, e, &kept, err));
    bool there = engine_has_keys(e);
    if (!there)
        TRY(make(d, e, BOOTSTRAP_FIRST, err));
    *ret = kept ? ADMIN_KEY_KEPT : there ? ADMIN_KEY_THERE : ADMIN_KEY_MADE;
    return QMN_OK;
}

enum qmn_code admin_key_another(const struct data_dir *d, struct engine *e, enum admin_key *ret,
                                struct err *err)
{
    bool kept, usable;
    TRY(settle(d, e, &kept, err));
    if (kept) {
        *ret = ADMIN_KEY_KEPT;
        return QMN_OK;
    }
    TRY(admin_key_works(d, e, &usable, err));
    if (usable)
        return err_set(err, QMN_E_CONFLICT,
                       "%.200s/" DATA_ADMIN_KEY " holds an admin key that works; use it, or move "
                       "it away to get another one",
                       d->root);
    TRY(make(d, e, BOOTSTRAP_ANOTHER, err));
    *ret = ADMIN_KEY_MADE;
    return QMN_OK;
}

enum qmn_code admin_key_only(const struct data_dir *d, struct engine *e, enum admin_key *ret,
                             struct err *err)
{
    bool kept;
    TRY(settle(d, e, &kept, err));
    if (kept) {
        *ret = ADMIN_KEY_KEPT;
        return QMN_OK;
    }
    if (engine_pepper_fits(e))
        return err_set(err, QMN_E_CONFLICT,
                       "%.200s/pepper is the one that this node's keys were made with, and they "
                       "work; if all admin keys are lost, --new-admin-key makes another one",
                       d->root);
    TRY(make(d, e, BOOTSTRAP_NEW_PEPPER, err));
    *ret = ADMIN_KEY_MADE;
    return QMN_OK;
}
