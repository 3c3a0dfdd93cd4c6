/* SPDX-License-Identifier: MIT
 *
 * A node started as root becomes somebody harmless before it reads its first byte from the network.
 * Main thread, before any other exists. */
#ifndef QMN_DAEMON_PRIVILEGES_H
#define QMN_DAEMON_PRIVILEGES_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"

struct identity {
    char name[64];
    uid_t uid;
    gid_t gid;
};

/* Whom to become.  `user` empty: "qmn" if there is one, else "nobody".  Not started as root:
 * whoever runs this, and any other name is QMN_E_INVALID. */
QMN_NODISCARD enum qmn_code privileges_identity(const char *user, struct identity *ret,
                                                struct err *err);
/* Becomes `who` for good: no groups, no way back (which is tried, and must fail), nothing gained
 * through later programs, no core dumps, no tracing by others of that user. */
QMN_NODISCARD enum qmn_code privileges_drop(const struct identity *who, struct err *err);
/* As many descriptors as the system allows this process; returns how many. */
unsigned long privileges_raise_files(void);

#endif
