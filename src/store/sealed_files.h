/* SPDX-License-Identifier: MIT
 *
 * A folder of sealed files beside the database, for what can be made anew from the store: no
 * transaction covers it, and losing it costs time only.
 *
 * Each file is sealed under its own name and `context`, so that a flipped bit, a missing end or the
 * file of another name is noticed.  sealed_files_write() makes the content durable, but not the
 * name; sealed_files_replace() puts a file in place of the one that has its name, whole or not at
 * all, and makes durable what was written before it.
 *
 * One thread at a time. */
#ifndef QMN_STORE_SEALED_FILES_H
#define QMN_STORE_SEALED_FILES_H

#include "store/store.h"

struct sealed_files {
    int fd; /* of the folder; -1: closed */
    int64_t tenant_no;
    const struct sealer *sealer;
    struct arena arena; /* of one file at a time */
};

/* path: the folder above, which is there; name: the folder's, made (0700) when `create`.
 * QMN_E_NOT_FOUND: it is not there and not to be made; QMN_E_UNAVAILABLE, QMN_E_DISK_FULL: the
 * system says no. */
QMN_NODISCARD enum qmn_code sealed_files_open(const char *path, int64_t tenant_no,
                                              const struct sealer *sealer, bool create,
                                              struct sealed_files *ret, struct err *err);
void sealed_files_close(struct sealed_files *f);

/* The content is borrowed from the arena until the next call.  QMN_E_NOT_FOUND, QMN_E_CORRUPT,
 * QMN_E_UNAVAILABLE, QMN_E_NOMEM. */
QMN_NODISCARD enum qmn_code sealed_files_read(struct sealed_files *f, const char *name,
                                              size_t max_bytes, struct bytes *ret, struct err *err);
QMN_NODISCARD enum qmn_code sealed_files_write(struct sealed_files *f, const char *name,
                                               struct bytes content, struct err *err);
QMN_NODISCARD enum qmn_code sealed_files_replace(struct sealed_files *f, const char *name,
                                                 struct bytes content, struct err *err);
/* Removes the files that `keep` does not want; best effort. */
void sealed_files_trim(struct sealed_files *f, bool (*keep)(void *ctx, const char *name),
                       void *ctx);

/* Removes the folder of a tenant and what is in it.  QMN_OK also when there is none. */
QMN_NODISCARD enum qmn_code sealed_files_remove(const char *path, int64_t tenant_no,
                                                struct err *err);

#endif
