/* SPDX-License-Identifier: MIT
 *
 * The admin key that is made on the node, and the file in which it is handed over,
 * DIR/admin-key (0600).
 *
 * The key is written to a file of another name and made durable there before it counts, and gets
 * its name after.  So at every moment a key that counts stands in one of the two files: what a
 * crash left behind is put in order when the data is opened next.  Main thread, before the loops
 * start. */
#ifndef QMN_DAEMON_ADMIN_KEY_H
#define QMN_DAEMON_ADMIN_KEY_H

#include "data_dir.h"
#include "engine/engine.h"

enum admin_key {
    ADMIN_KEY_THERE = 1, /* the store has keys; nothing was done */
    ADMIN_KEY_KEPT,      /* so it has, and what a crash had left got its name */
    ADMIN_KEY_MADE,
};

/* The first key, if the store holds none. */
QMN_NODISCARD enum qmn_code admin_key_first(const struct data_dir *d, struct engine *e,
                                            enum admin_key *ret, struct err *err);
/* One more, for operators who lost theirs; the others stay as they are.  QMN_E_CONFLICT: the file
 * holds an admin key that works. */
QMN_NODISCARD enum qmn_code admin_key_another(const struct data_dir *d, struct engine *e,
                                              enum admin_key *ret, struct err *err);
/* The only one, with a new pepper, for operators who lost the pepper: the others end.
 * QMN_E_CONFLICT: the pepper is the right one. */
QMN_NODISCARD enum qmn_code admin_key_only(const struct data_dir *d, struct engine *e,
                                           enum admin_key *ret, struct err *err);
/* Whether the file holds an admin key that works. */
QMN_NODISCARD enum qmn_code admin_key_works(const struct data_dir *d, struct engine *e, bool *ret,
                                            struct err *err);

#endif
