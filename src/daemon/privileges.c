/* SPDX-License-Identifier: MIT
 *
 * Dropping root.  Order matters: groups while we may still change them, then the group, then the
 * user, then a check that none of it can be undone. */
#include "privileges.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

static bool lookup(const char *name, struct identity *ret)
{
    char text[4096];
    struct passwd entry, *found = NULL;
    if (getpwnam_r(name, &entry, text, sizeof text, &found) != 0 || !found)
        return false;
    *ret = (struct identity){.uid = found->pw_uid, .gid = found->pw_gid};
    snprintf(ret->name, sizeof ret->name, "%s", name);
    return true;
}

enum qmn_code privileges_identity(const char *user, struct identity *ret, struct err *err)
{
    struct identity who = {.uid = geteuid(), .gid = getegid()};
    if (*user && !lookup(user, &who))
        return err_set(err, QMN_E_INVALID, "user: there is no user \"%.60s\" on this machine",
                       user);
    if (geteuid() != 0) {
        if (who.uid != geteuid())
            return err_set(err, QMN_E_INVALID,
                           "user: only root can become \"%.60s\"; leave --user out", user);
    } else if (!*user && !lookup("qmn", &who) && !lookup("nobody", &who)) {
        return err_set(err, QMN_E_INVALID,
                       "started as root, and there is neither a user qmn nor nobody to become; "
                       "name one with --user");
    }
    *ret = who;
    return QMN_OK;
}

static enum qmn_code become(const struct identity *who, struct err *err)
{
    if (setgroups(0, NULL) != 0 || setresgid(who->gid, who->gid, who->gid) != 0 ||
        setresuid(who->uid, who->uid, who->uid) != 0)
        return err_set(err, QMN_E_FORBIDDEN,
                       "cannot become %s: %s; in a container without that right start it as an "
                       "ordinary user, or say --user root",
                       who->name, strerror(errno));
    if (setuid(0) == 0 || seteuid(0) == 0 || setgid(0) == 0 || getgroups(0, NULL) != 0)
        return err_set(err, QMN_E_FORBIDDEN, "root could be regained after becoming %s", who->name);
    return QMN_OK;
}

enum qmn_code privileges_drop(const struct identity *who, struct err *err)
{
    if (geteuid() == 0 && who->uid != 0)
        TRY(become(who, err));
    const struct rlimit none = {0, 0};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 ||
        setrlimit(RLIMIT_CORE, &none) != 0)
        return err_set(err, QMN_E_FORBIDDEN, "cannot shut off privileges: %s", strerror(errno));
    return QMN_OK;
}

unsigned long privileges_raise_files(void)
{
    enum { WANTED = 65536 };
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        return 0;
    if (geteuid() == 0 && files.rlim_max < WANTED) {
        struct rlimit more = {WANTED, WANTED};
        if (setrlimit(RLIMIT_NOFILE, &more) == 0)
            return WANTED;
    }
    files.rlim_cur = files.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &files) != 0 && getrlimit(RLIMIT_NOFILE, &files) != 0)
        return 0;
    return (unsigned long)files.rlim_cur;
}
