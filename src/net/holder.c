/* SPDX-License-Identifier: MIT
 *
 * Who holds a TCP port: /proc/net/tcp{,6} tell the inode of its listening socket, /proc/PID/fd
 * whose descriptor it is.  Other users' processes show nothing without privilege; then so do we. */
#include "server_priv.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { INODES = 8, FIELD_LOCAL = 1, FIELD_STATE = 3, FIELD_INODE = 9, FIELDS = 10 };

struct inodes {
    unsigned long at[INODES];
    size_t count;
};

/* Splits at blanks, in place. */
static size_t split(char *line, char **fields, size_t max)
{
    size_t n = 0;
    for (char *p = line; n < max;) {
        while (isspace((unsigned char)*p))
            p++;
        if (!*p)
            break;
        fields[n++] = p;
        while (*p && !isspace((unsigned char)*p))
            p++;
        if (*p)
            *p++ = 0;
    }
    return n;
}

static void read_table(const char *path, uint16_t port, struct inodes *found)
{
    FILE *f = fopen(path, "re");
    char line[512], *fields[FIELDS];
    while (f && fgets(line, sizeof line, f)) {
        if (split(line, fields, FIELDS) < FIELDS)
            continue;
        const char *colon = strrchr(fields[FIELD_LOCAL], ':');
        if (!colon || strtoul(colon + 1, NULL, 16) != port ||
            strcmp(fields[FIELD_STATE], "0A") != 0)
            continue;
        unsigned long inode = strtoul(fields[FIELD_INODE], NULL, 10);
        if (inode && found->count < INODES)
            found->at[found->count++] = inode;
    }
    if (f)
        (void)fclose(f);
}

static bool is_one_of(const char *link, const struct inodes *wanted)
{
    static const char prefix[] = "socket:[";
    if (strncmp(link, prefix, sizeof prefix - 1) != 0)
        return false;
    unsigned long inode = strtoul(link + sizeof prefix - 1, NULL, 10);
    for (size_t i = 0; i < wanted->count; i++) {
        if (wanted->at[i] == inode)
            return true;
    }
    return false;
}

static bool process_has(const char *pid, const struct inodes *wanted)
{
    char path[600], link[64];
    snprintf(path, sizeof path, "/proc/%.32s/fd", pid);
    DIR *dir = opendir(path);
    bool has = false;
    for (struct dirent *e; dir && !has && (e = readdir(dir));) {
        snprintf(path, sizeof path, "/proc/%.32s/fd/%.255s", pid, e->d_name);
        ssize_t n = readlink(path, link, sizeof link - 1);
        if (n > 0) {
            link[n] = 0;
            has = is_one_of(link, wanted);
        }
    }
    if (dir)
        closedir(dir);
    return has;
}

static void process_name(const char *pid, char *ret, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%.32s/comm", pid);
    FILE *f = fopen(path, "re");
    ret[0] = 0;
    if (f && fgets(ret, (int)size, f))
        ret[strcspn(ret, "\n")] = 0;
    if (f)
        (void)fclose(f);
}

void port_holder(uint16_t port, char *ret, size_t size)
{
    struct inodes wanted = {0};
    ret[0] = 0;
    read_table("/proc/net/tcp", port, &wanted);
    read_table("/proc/net/tcp6", port, &wanted);
    DIR *dir = wanted.count ? opendir("/proc") : NULL;
    for (struct dirent *e; dir && (e = readdir(dir));) {
        char name[64];
        if (!isdigit((unsigned char)e->d_name[0]) || !process_has(e->d_name, &wanted))
            continue;
        process_name(e->d_name, name, sizeof name);
        snprintf(ret, size, "pid %.32s (%s)", e->d_name, name);
        break;
    }
    if (dir)
        closedir(dir);
}
