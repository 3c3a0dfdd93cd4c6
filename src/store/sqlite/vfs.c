/* SPDX-License-Identifier: MIT
 *
 * SQLite's file layer, with two changes: the writes of a log are gathered (log_file.c), and a
 * relative name stays relative.
 *
 * A node started as root in a folder that only root may pass (a checkout under /root) drops to an
 * unprivileged user that still stands in its data directory but can no longer reach it from above.
 * SQLite would make every name absolute and fail.  The process never changes its directory after
 * the start, so a relative name always means the same file. */
#include "sqlite_priv.h"

#include <string.h>

static sqlite3_vfs node_files;

static int keep_name(sqlite3_vfs *vfs, const char *name, int room, char *ret)
{
    (void)vfs;
    size_t len = strlen(name);
    if (len + 1 > (size_t)room)
        return SQLITE_CANTOPEN;
    memcpy(ret, name, len + 1);
    return SQLITE_OK;
}

static int full_name(sqlite3_vfs *vfs, const char *name, int room, char *ret)
{
    const sqlite3_vfs *base = sqlite3_vfs_find(SQLITE_BASE_VFS);
    if (name[0] != '/' || !base)
        return keep_name(vfs, name, room, ret);
    return base->xFullPathname(vfs, name, room, ret);
}

/* The base layer goes by its own name when it decides to take files exclusively. */
static int open_file(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
                     int *ret_flags)
{
    (void)vfs;
    sqlite3_vfs *base = sqlite3_vfs_find(SQLITE_BASE_VFS);
    if (!base)
        return SQLITE_ERROR;
    return flags & SQLITE_OPEN_WAL ? log_file_open(base, name, file, flags, ret_flags)
                                   : base->xOpen(base, name, file, flags, ret_flags);
}

int sqlite_vfs_register(void)
{
    const sqlite3_vfs *base = sqlite3_vfs_find(SQLITE_BASE_VFS);
    if (!base)
        return SQLITE_ERROR;
    node_files = *base;
    node_files.szOsFile = log_file_bytes(base);
    node_files.zName = SQLITE_NODE_VFS;
    node_files.pNext = NULL;
    node_files.xFullPathname = full_name;
    node_files.xOpen = open_file;
    return sqlite3_vfs_register(&node_files, 0);
}
