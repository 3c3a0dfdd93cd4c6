/* SPDX-License-Identifier: MIT
 *
 * The model behind the power-cut simulator.  It lives in a preloaded library and may use nothing of
 * the program it watches, so it brings its own memory and random numbers. */
#include "disk.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    SECTOR = 512,
    FILES_MAX = 64,
    NAMES_MAX = 256, /* unsynced changes of names */
    PATH_LEN = 512,
    BUCKETS = 4096,
};

/* A sector changed since the last sync. */
struct sector {
    struct sector *next;
    uint64_t index;
    unsigned versions; /* overwritten states between the sync and now */
    bool lost;         /* given up by a failed sync */
    unsigned char synced[SECTOR], between[SECTOR];
};

struct disk_file {
    dev_t dev;
    ino_t ino;
    int fd; /* ours, never closed: keeps the inode from being reused */
    off_t synced_size;
    struct sector *buckets[BUCKETS];
};

enum name_change { NAME_CREATED = 1, NAME_REMOVED, NAME_RENAMED };

struct name {
    enum name_change change;
    char path[PATH_LEN], to[PATH_LEN];
    char saved[PATH_LEN]; /* a link to what the change hid; empty: nothing */
    struct disk_file *file;
};

static char root[PATH_LEN], attic[PATH_LEN];
static bool strict_names;
static uint64_t random_state;
static struct disk_calls real;
static struct disk_file *files[FILES_MAX];
static size_t file_count;
static struct name names[NAMES_MAX];
static size_t name_count;

static uint64_t next_random(void)
{
    random_state += 0x9e3779b97f4a7c15u;
    uint64_t x = random_state;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static uint64_t random_below(uint64_t n)
{
    return next_random() % n;
}

void disk_init(const char *dir, bool strict, uint64_t seed, const struct disk_calls *calls)
{
    snprintf(root, sizeof root, "%s", dir);
    snprintf(attic, sizeof attic, "%.480s.attic", dir);
    strict_names = strict;
    random_state = seed;
    real = *calls;
    mkdir(attic, 0777);
    chmod(attic, 0777); /* the program may become another user on its way */
}

bool disk_watches(const char *path)
{
    size_t n = strlen(root);
    return n && strncmp(path, root, n) == 0 && (path[n] == 0 || path[n] == '/');
}

struct disk_file *disk_file(int fd)
{
    struct stat st;
    char self[64];
    if (fstat(fd, &st) != 0)
        return NULL;
    for (size_t i = 0; i < file_count; i++)
        if (files[i]->dev == st.st_dev && files[i]->ino == st.st_ino)
            return files[i];
    struct disk_file *f = file_count < FILES_MAX ? calloc(1, sizeof *f) : NULL;
    if (!f)
        return NULL;
    snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    f->fd = real.open(self, O_RDWR | O_CLOEXEC);
    if (f->fd < 0) {
        free(f);
        return NULL;
    }
    f->dev = st.st_dev;
    f->ino = st.st_ino;
    f->synced_size = st.st_size;
    files[file_count++] = f;
    return f;
}

off_t disk_size(const struct disk_file *f)
{
    struct stat st;
    return fstat(f->fd, &st) == 0 ? st.st_size : 0;
}

static void read_sector(const struct disk_file *f, uint64_t index, unsigned char *ret)
{
    memset(ret, 0, SECTOR);
    if (pread(f->fd, ret, SECTOR, (off_t)(index * SECTOR)) < 0)
        memset(ret, 0, SECTOR);
}

static void save_sector(struct disk_file *f, uint64_t index)
{
    struct sector **slot = &f->buckets[index % BUCKETS], *s = *slot;
    while (s && s->index != index)
        s = s->next;
    if (s) { /* reservoir of one over the states since the sync */
        s->lost = false;
        if (random_below(++s->versions) == 0)
            read_sector(f, index, s->between);
        return;
    }
    s = calloc(1, sizeof *s);
    if (!s)
        abort();
    s->index = index;
    read_sector(f, index, s->synced);
    s->next = *slot;
    *slot = s;
}

void disk_will_write(struct disk_file *f, off_t at, size_t len)
{
    if (!len)
        return;
    uint64_t last = ((uint64_t)at + len - 1) / SECTOR;
    for (uint64_t i = (uint64_t)at / SECTOR; i <= last; i++)
        save_sector(f, i);
}

void disk_will_truncate(struct disk_file *f, off_t size)
{
    off_t now = disk_size(f);
    if (size < now)
        disk_will_write(f, size, (size_t)(now - size));
}

void disk_synced(struct disk_file *f)
{
    for (size_t b = 0; b < BUCKETS; b++) {
        struct sector **slot = &f->buckets[b];
        while (*slot) {
            struct sector *s = *slot;
            if (s->lost) {
                slot = &s->next;
                continue;
            }
            *slot = s->next;
            free(s);
        }
    }
    f->synced_size = disk_size(f);
    if (strict_names)
        return;
    /* ext4: the journal commit that holds this file's name holds every change before it */
    for (size_t i = name_count; i > 0; i--) {
        if (names[i - 1].file == f && names[i - 1].change != NAME_REMOVED) {
            memmove(names, names + i, (name_count - i) * sizeof *names);
            name_count -= i;
            return;
        }
    }
}

void disk_sync_failed(struct disk_file *f)
{
    for (size_t b = 0; b < BUCKETS; b++)
        for (struct sector *s = f->buckets[b]; s; s = s->next)
            s->lost = true;
}

static struct name *add_name(enum name_change change, const char *path)
{
    if (name_count == NAMES_MAX)
        abort();
    struct name *n = &names[name_count++];
    memset(n, 0, sizeof *n);
    n->change = change;
    snprintf(n->path, sizeof n->path, "%s", path);
    return n;
}

/* Keeps what lies at `path` reachable, in case it comes back. */
static void save_target(struct name *n, const char *path)
{
    static unsigned counter;
    snprintf(n->saved, sizeof n->saved, "%.480s/%d-%u", attic, (int)getpid(), counter++);
    if (real.link(path, n->saved) != 0)
        n->saved[0] = 0;
}

static struct disk_file *file_at(const char *path)
{
    struct stat st;
    for (size_t i = 0; stat(path, &st) == 0 && i < file_count; i++)
        if (files[i]->dev == st.st_dev && files[i]->ino == st.st_ino)
            return files[i];
    return NULL;
}

void disk_created(const char *path, struct disk_file *f)
{
    struct name *n = add_name(NAME_CREATED, path);
    n->file = f ? f : file_at(path);
    if (f)
        f->synced_size = 0;
}

void disk_will_remove(const char *path)
{
    save_target(add_name(NAME_REMOVED, path), path);
}

void disk_will_rename(const char *from, const char *to)
{
    struct name *n = add_name(NAME_RENAMED, from);
    snprintf(n->to, sizeof n->to, "%s", to);
    n->file = file_at(from);
    save_target(n, to);
}

static bool lies_in(const char *path, const char *dir)
{
    size_t n = strlen(dir);
    return strncmp(path, dir, n) == 0 && path[n] == '/' && !strchr(path + n + 1, '/');
}

void disk_dir_synced(const char *dir)
{
    size_t kept = 0;
    for (size_t i = 0; i < name_count; i++)
        if (!lies_in(names[i].path, dir))
            names[kept++] = names[i];
    name_count = kept;
}

static void undo_name(const struct name *n)
{
    if (n->change == NAME_CREATED)
        real.unlink(n->path);
    else if (n->change == NAME_RENAMED)
        real.rename(n->to, n->path);
    if (n->saved[0])
        real.rename(n->saved, n->change == NAME_RENAMED ? n->to : n->path);
}

static off_t size_after_cut(const struct disk_file *f, off_t now)
{
    off_t low = now < f->synced_size ? now : f->synced_size;
    off_t high = now < f->synced_size ? f->synced_size : now;
    switch (random_below(3)) {
    case 0:
        return f->synced_size;
    case 1:
        return now;
    default:
        return low + (off_t)random_below((uint64_t)(high - low) / SECTOR + 1) * SECTOR;
    }
}

static void settle_sector(const struct disk_file *f, const struct sector *s, off_t now, off_t size)
{
    off_t at = (off_t)(s->index * SECTOR);
    if (at >= size)
        return;
    const unsigned char *content = s->synced;
    if (at < now && !s->lost) {
        uint64_t choice = random_below(s->versions ? 3 : 2);
        if (choice == 0)
            return; /* it holds what was written last */
        content = choice == 1 ? s->synced : s->between;
    }
    real.pwrite(f->fd, content, SECTOR, at);
}

static void settle_file(const struct disk_file *f)
{
    off_t now = disk_size(f), size = size_after_cut(f, now);
    if (real.ftruncate(f->fd, size) != 0)
        return;
    for (size_t b = 0; b < BUCKETS; b++)
        for (const struct sector *s = f->buckets[b]; s; s = s->next)
            settle_sector(f, s, now, size);
    if (real.ftruncate(f->fd, size) != 0) /* the last sector may reach beyond */
        return;
}

void disk_cut(void)
{
    size_t kept = random_below(name_count + 1);
    while (name_count > kept)
        undo_name(&names[--name_count]);
    for (size_t i = 0; i < file_count; i++)
        settle_file(files[i]);
}
