/* SPDX-License-Identifier: MIT
 *
 * What only the SQLite store does: its files, its versions, its log, backups, and damage found. */
#include "support/test.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/rng.h"
#include "store/sqlite/sqlite_priv.h"
#include "support/fault.h"

struct fixture {
    char dir[64], path[96], copy[96];
    struct store *store;
    struct err err;
};

static struct store_config config(const struct fixture *f)
{
    return (struct store_config){
        .path = f->path, .sealer = sealer_identity, .sync = STORE_SYNC_NORMAL, .feed = true};
}

static enum qmn_code open_store(struct fixture *f)
{
    struct store_config c = config(f);
    return store_sqlite_open(&c, &f->store, &f->err);
}

static void close_store(struct fixture *f)
{
    store_close(f->store);
    f->store = NULL;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    /* memory where it can be had: nothing here asks what a disk keeps */
    snprintf(f->dir, sizeof f->dir, "%s/qmn-sqlite-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof f->path, "%s/store.db", f->dir);
    snprintf(f->copy, sizeof f->copy, "%s/copy.db", f->dir);
    assert_int_equal(open_store(f), QMN_OK);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    static const char *const suffixes[] = {"", "-wal", ".lock"};
    store_close(f->store);
    for (size_t i = 0; i < 2 * ARRAY_LEN(suffixes); i++) {
        char name[128];
        snprintf(name, sizeof name, "%s%s", i % 2 ? f->copy : f->path, suffixes[i / 2]);
        unlink(name);
    }
    assert_int_equal(rmdir(f->dir), 0); /* nothing else was left behind */
    free(f);
    return 0;
}

static enum qmn_code put_memory(struct fixture *f, int64_t no, size_t size)
{
    char *content = test_malloc(size + 1);
    memset(content, 'm', size);
    struct record_memory m = {.no = no, .tenant_no = 1, .content = bytes_of(content, size)};
    struct mutation mutation = {.op = MUT_PUT, .kind = RECORD_MEMORY, .record = &m};
    size_t failed;
    enum qmn_code code = f->store->ops->commit(f->store, &mutation, 1, &failed, &f->err);
    test_free(content);
    return code;
}

static void sql(const char *path, const char *text)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    int rc = sqlite3_exec(db, text, NULL, NULL, NULL);
    if (rc != SQLITE_OK)
        fail_msg("%s", sqlite3_errmsg(db));
    sqlite3_close(db);
}

static bool exists(const struct fixture *f, const char *suffix)
{
    char name[128];
    snprintf(name, sizeof name, "%s%s", f->path, suffix);
    return access(name, F_OK) == 0;
}

static void a_second_opener_is_told_who_has_it(void **state)
{
    struct fixture *f = *state;
    struct store *second = NULL;
    struct store_config c = config(f);
    char expected[120];
    snprintf(expected, sizeof expected, "the store is in use by process %ld: stop it first",
             (long)getpid());
    assert_int_equal(store_sqlite_open(&c, &second, &f->err), QMN_E_CONFLICT);
    assert_null(second);
    assert_bytes_equal(bytes_cstr(f->err.text), expected);
    assert_int_equal(put_memory(f, 1, 10), QMN_OK); /* the first is not harmed */
    close_store(f);
    assert_int_equal(open_store(f), QMN_OK);
}

static void files_are_private_and_a_closed_store_is_one_file(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    assert_int_equal(put_memory(f, 1, 10), QMN_OK);
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_true(exists(f, "-wal"));
    assert_false(exists(f, "-shm"));
    close_store(f);
    assert_false(exists(f, "-wal"));
}

static void a_newer_file_is_refused_and_left_alone(void **state)
{
    struct fixture *f = *state;
    close_store(f);
    sql(f->path, "PRAGMA user_version=99");
    assert_int_equal(open_store(f), QMN_E_CONFLICT);
    assert_non_null(strstr(f->err.text, "99"));
    char known[16];
    snprintf(known, sizeof known, "up to %d", SCHEMA_VERSION);
    assert_non_null(strstr(f->err.text, known));
    int64_t rows;
    assert_int_equal(store_sqlite_verify(f->path, &sealer_identity, &rows, &f->err),
                     QMN_E_CONFLICT);
    char back[40];
    snprintf(back, sizeof back, "PRAGMA user_version=%d", SCHEMA_VERSION);
    sql(f->path, back);
    assert_int_equal(open_store(f), QMN_OK);
}

static void a_database_of_another_program_is_refused(void **state)
{
    struct fixture *f = *state;
    close_store(f);
    assert_int_equal(unlink(f->path), 0);
    sql(f->path, "CREATE TABLE theirs (x)");
    assert_int_equal(open_store(f), QMN_E_CORRUPT);
    assert_non_null(strstr(f->err.text, "another program"));
}

static void a_file_that_is_no_database_is_refused(void **state)
{
    struct fixture *f = *state;
    close_store(f);
    FILE *file = fopen(f->path, "wb");
    assert_non_null(file);
    for (int i = 0; i < 2000; i++)
        fputs("not a database ", file);
    fclose(file);
    assert_int_equal(open_store(f), QMN_E_CORRUPT);
    assert_null(strstr(f->err.text, f->dir)); /* no paths in answers */
}

static void a_file_that_lacks_a_column_is_refused_by_name(void **state)
{
    struct fixture *f = *state;
    close_store(f);
    sql(f->path, "ALTER TABLE edge DROP COLUMN decay");
    assert_int_equal(open_store(f), QMN_E_CORRUPT);
    assert_non_null(strstr(f->err.text, "edge"));
}

/* Opens the file as an older version would have left it and runs `steps`. */
static enum qmn_code migrate(struct fixture *f, const struct migration *steps, size_t count,
                             int version)
{
    struct dbconn *c = NULL;
    assert_int_equal(dbconn_open(f->path, CONN_WRITER, false, STORE_SYNC_FULL, &c, &f->err),
                     QMN_OK);
    enum qmn_code code = schema_migrate(c, steps, count, version, &f->err);
    dbconn_close(c);
    return code;
}

static int64_t version_of(struct fixture *f)
{
    struct dbconn *c = NULL;
    int64_t version;
    assert_int_equal(dbconn_open(f->path, CONN_READER, false, STORE_SYNC_FULL, &c, &f->err),
                     QMN_OK);
    assert_int_equal(dbconn_int(c, "PRAGMA user_version", &version, &f->err), QMN_OK);
    dbconn_close(c);
    return version;
}

static void migrations_run_once_each_and_all_or_none(void **state)
{
    struct fixture *f = *state;
    enum { NEXT = SCHEMA_VERSION + 1 };
    static const struct migration steps[] = {
        {.version = SCHEMA_VERSION, .sql = "CREATE TABLE never (x)"}, /* the file is past it */
        {.version = NEXT, .sql = "CREATE TABLE second (x); INSERT INTO second VALUES (2)"},
        {.version = NEXT + 1, .sql = "INSERT INTO second VALUES (3)"},
        {.version = NEXT + 2, .sql = "INSERT INTO absent VALUES (4)"},
    };
    close_store(f);
    assert_int_not_equal(migrate(f, steps, 4, NEXT + 2), QMN_OK); /* the last step fails */
    assert_int_equal(version_of(f), SCHEMA_VERSION);
    assert_int_equal(migrate(f, steps, 3, NEXT + 1), QMN_OK);
    assert_int_equal(migrate(f, steps, 3, NEXT + 1), QMN_OK); /* nothing left to do */
    assert_int_equal(version_of(f), NEXT + 1);
    struct dbconn *c = NULL;
    int64_t sum;
    assert_int_equal(dbconn_open(f->path, CONN_READER, false, STORE_SYNC_FULL, &c, &f->err),
                     QMN_OK);
    assert_int_equal(dbconn_int(c, "SELECT sum(x) FROM second", &sum, &f->err), QMN_OK);
    assert_int_equal(sum, 5);
    dbconn_close(c);
}

/* As version 1 had left it. */
static void a_file_from_before_memories_had_versions_is_brought_up(void **state)
{
    struct fixture *f = *state;
    struct record_memory m = {.no = 7,
                              .tenant_no = 1,
                              .id = BYTES_LIT("0123456789012345678901"),
                              .kind = BYTES_LIT("note"),
                              .content = BYTES_LIT("{}"),
                              .created_ms = 5000,
                              .updated_ms = 5000},
                         got;
    struct mutation put = {.op = MUT_PUT, .kind = RECORD_MEMORY, .record = &m};
    struct arena arena;
    size_t failed;
    arena_init(&arena, 0);
    assert_int_equal(f->store->ops->commit(f->store, &put, 1, &failed, &f->err), QMN_OK);
    close_store(f);
    sql(f->path, "DROP TABLE memory_credit;"
                 "DROP TABLE memory_version;"
                 "DROP INDEX memory_id;"
                 "CREATE UNIQUE INDEX memory_id ON memory (id) WHERE id <> x'';"
                 "ALTER TABLE memory RENAME COLUMN version TO supersedes_no;"
                 "ALTER TABLE memory RENAME COLUMN begun_ms TO superseded_by_no;"
                 "PRAGMA user_version = 1");
    assert_int_equal(open_store(f), QMN_OK);
    assert_int_equal(f->store->ops->get(f->store, RECORD_MEMORY, &m, &arena, &got, &f->err),
                     QMN_OK);
    assert_int_equal(got.version, 1);
    assert_int_equal(got.begun_ms, 5000);
    assert_bytes_equal(got.content, "{}");
    struct record_memory_version v = {.memory_no = 7, .version = 1, .tenant_no = 1, .alias = m.id},
                                 found;
    struct mutation add = {.op = MUT_INSERT, .kind = RECORD_MEMORY_VERSION, .record = &v};
    assert_int_equal(f->store->ops->commit(f->store, &add, 1, &failed, &f->err), QMN_OK);
    v.version = 2;
    assert_int_equal(f->store->ops->commit(f->store, &add, 1, &failed, &f->err), QMN_E_CONFLICT);
    assert_int_equal(
        f->store->ops->find(f->store, RECORD_MEMORY_VERSION, 4, &v, &arena, &found, &f->err),
        QMN_OK);
    struct record_memory_credit credit = {.memory_no = 7, .tenant_no = 1, .id = m.id, .uses = 3};
    add = (struct mutation){.op = MUT_PUT, .kind = RECORD_MEMORY_CREDIT, .record = &credit};
    assert_int_equal(f->store->ops->commit(f->store, &add, 1, &failed, &f->err), QMN_OK);
    arena_release(&arena);
}

static size_t count_in_file(const char *path, const char *what)
{
    static char bytes[8 << 20];
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t len = fread(bytes, 1, sizeof bytes, file), found = 0;
    assert_true(len < sizeof bytes);
    fclose(file);
    for (const char *at = bytes, *end = bytes + len;
         (at = memmem(at, (size_t)(end - at), what, strlen(what))); at++)
        found++;
    return found;
}

static void deleted_content_is_in_no_file(void **state)
{
    struct fixture *f = *state;
    struct record_memory last = {.no = 40};
    struct mutation wipe = {
        .op = MUT_DELETE_BELOW, .kind = RECORD_MEMORY, .record = &last, .limit = 1000};
    size_t failed;
    for (int64_t no = 1; no <= 40; no++)
        assert_int_equal(put_memory(f, no, no % 3 ? 700 : 30000), QMN_OK);
    close_store(f);
    assert_true(count_in_file(f->path, "mmmmmmmmmmmmmmmm") > 40);
    assert_int_equal(open_store(f), QMN_OK);
    assert_int_equal(f->store->ops->commit(f->store, &wipe, 1, &failed, &f->err), QMN_OK);
    wipe.op = MUT_DELETE;
    assert_int_equal(f->store->ops->commit(f->store, &wipe, 1, &failed, &f->err), QMN_OK);
    close_store(f);
    assert_int_equal(count_in_file(f->path, "mmmmmmmmmmmmmmmm"), 0);
}

static void checkpoints_keep_the_log_short(void **state)
{
    struct fixture *f = *state;
    struct store_stats stats;
    for (int64_t no = 1; no <= 400; no++) {
        assert_int_equal(put_memory(f, no, 60000), QMN_OK); /* 24 MB */
        assert_int_equal(f->store->ops->maintain(f->store, &f->err), QMN_OK);
    }
    f->store->ops->stats(f->store, &stats);
    assert_true(stats.checkpoints > 1);
    assert_true(stats.log_bytes < 8 << 20);
    assert_true(stats.file_bytes > 20 << 20);
    assert_int_equal(stats.commits, 400);
}

static enum qmn_code hold_and_write(void *ctx, const void *record QMN_UNUSED, struct err *err)
{
    struct fixture *f = ctx;
    for (int64_t no = 1; no <= 400; no++) {
        TRY(put_memory(f, no, 200000)); /* 80 MB behind the back of this scan */
        TRY(f->store->ops->maintain(f->store, err));
    }
    return QMN_OK;
}

static void a_log_that_a_reader_held_open_shrinks_again(void **state)
{
    struct fixture *f = *state;
    struct store_stats stats;
    assert_int_equal(put_memory(f, 1, 10), QMN_OK);
    assert_int_equal(f->store->ops->scan(f->store, RECORD_MEMORY, NULL, hold_and_write, f, &f->err),
                     QMN_OK);
    f->store->ops->stats(f->store, &stats);
    assert_true(stats.log_bytes > 64 << 20);
    for (int64_t no = 1; no <= 80; no++) {
        assert_int_equal(put_memory(f, no, 60000), QMN_OK);
        assert_int_equal(f->store->ops->maintain(f->store, &f->err), QMN_OK);
    }
    f->store->ops->stats(f->store, &stats);
    assert_true(stats.log_bytes < 16 << 20);
}

/* Write calls of this thread so far; -1 where the kernel does not count them. */
static long write_calls(void)
{
    char line[64];
    long calls = -1;
    FILE *file = fopen("/proc/thread-self/io", "r");
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, "syscw: ", 7) == 0)
            calls = strtol(line + 7, NULL, 10);
    if (file)
        fclose(file);
    return calls;
}

static void a_batch_is_written_in_a_few_calls(void **state)
{
    enum { ROWS = 20, BYTES = 3700 };
    struct fixture *f = *state;
    static char content[BYTES];
    struct record_memory rows[ROWS];
    struct mutation batch[ROWS];
    size_t failed;
    for (int i = 0; i < ROWS; i++) {
        rows[i] = (struct record_memory){
            .no = i + 1, .tenant_no = 1, .content = bytes_of(content, sizeof content)};
        batch[i] = (struct mutation){.op = MUT_INSERT, .kind = RECORD_MEMORY, .record = &rows[i]};
    }
    assert_int_equal(put_memory(f, 100, 10), QMN_OK); /* with it goes the header of the log */
    long before = write_calls();
    assert_int_equal(f->store->ops->commit(f->store, batch, ROWS, &failed, &f->err), QMN_OK);
    long calls = write_calls() - before;
    if (before < 0)
        skip();
    assert_in_range(calls, 1, 3); /* of 80 KB and more: two calls a page without gathering */
}

static void copy_file(const char *from, const char *to)
{
    static char bytes[1 << 20];
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    assert_non_null(in);
    assert_non_null(out);
    for (size_t n; (n = fread(bytes, 1, sizeof bytes, in));)
        assert_int_equal(fwrite(bytes, 1, n, out), n);
    fclose(in);
    assert_int_equal(fclose(out), 0);
}

/* Pages leave the cache before the end and are written again, and with them the checksums of
 * everything behind: what is in the files is whole all the same once the commit returns. */
static void a_batch_larger_than_the_cache_is_whole_once_it_is_committed(void **state)
{
    enum { ROWS = 400, BYTES = 60000 };
    struct fixture *f = *state;
    static char content[BYTES], other[BYTES] = "other";
    struct record_memory rows[2 * ROWS];
    struct mutation batch[2 * ROWS];
    size_t failed;
    char log[128], copied_log[128];
    int64_t verified;
    for (int i = 0; i < 2 * ROWS; i++) {
        rows[i] = (struct record_memory){.no = i % ROWS + 1,
                                         .tenant_no = 1,
                                         .content = bytes_of(i < ROWS ? content : other, BYTES)};
        batch[i] = (struct mutation){.op = MUT_PUT, .kind = RECORD_MEMORY, .record = &rows[i]};
    }
    assert_int_equal(f->store->ops->commit(f->store, batch, 2 * ROWS, &failed, &f->err), QMN_OK);
    snprintf(log, sizeof log, "%s-wal", f->path);
    snprintf(copied_log, sizeof copied_log, "%s-wal", f->copy);
    copy_file(f->path, f->copy);
    copy_file(log, copied_log);
    assert_int_equal(store_sqlite_verify(f->copy, &sealer_identity, &verified, &f->err), QMN_OK);
    assert_int_equal(verified, ROWS);
}

struct progress {
    struct fixture *f;
    int64_t last, calls;
};

/* The writer goes on in the middle of the copy. */
static void on_progress(void *ctx, int64_t done, int64_t total)
{
    struct progress *p = ctx;
    assert_true(done >= p->last && done <= total);
    p->last = done;
    assert_int_equal(put_memory(p->f, 1000 + p->calls, 5000), QMN_OK);
    assert_int_equal(p->f->store->ops->maintain(p->f->store, &p->f->err), QMN_OK);
    p->calls++;
}

static void a_backup_is_one_moment_though_writes_go_on(void **state)
{
    struct fixture *f = *state;
    struct progress p = {.f = f};
    for (int64_t no = 1; no <= 200; no++)
        assert_int_equal(put_memory(f, no, 60000), QMN_OK);
    assert_int_equal(f->store->ops->backup(f->store, f->copy, on_progress, &p, &f->err), QMN_OK);
    assert_true(p.calls > 3);
    int64_t rows;
    assert_int_equal(store_sqlite_verify(f->copy, &sealer_identity, &rows, &f->err), QMN_OK);
    assert_int_equal(rows, 200);
    struct stat st;
    assert_int_equal(stat(f->copy, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);

    close_store(f); /* and it opens as a store */
    assert_int_equal(rename(f->copy, f->path), 0);
    assert_int_equal(open_store(f), QMN_OK);
    int64_t no;
    assert_int_equal(f->store->ops->max_no(f->store, RECORD_MEMORY, &no, &f->err), QMN_OK);
    assert_int_equal(no, 200);
}

static void a_backup_overwrites_nothing(void **state)
{
    struct fixture *f = *state;
    FILE *file = fopen(f->copy, "wb");
    assert_non_null(file);
    fputs("precious", file);
    fclose(file);
    assert_int_equal(f->store->ops->backup(f->store, f->copy, NULL, NULL, &f->err), QMN_E_CONFLICT);
    struct stat st;
    assert_int_equal(stat(f->copy, &st), 0);
    assert_int_equal(st.st_size, 8);
}

static void a_backup_that_cannot_be_written_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    char nowhere[128];
    snprintf(nowhere, sizeof nowhere, "%s/absent/copy.db", f->dir);
    assert_int_not_equal(f->store->ops->backup(f->store, nowhere, NULL, NULL, &f->err), QMN_OK);
    assert_null(strstr(f->err.text, f->dir));
}

/* Names in the folder that begin with the copy's. */
static int copies(const struct fixture *f)
{
    const char *name = strrchr(f->copy, '/') + 1;
    int n = 0;
    DIR *d = opendir(f->dir);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));)
        n += strncmp(e->d_name, name, strlen(name)) == 0;
    closedir(d);
    return n;
}

static void what_an_interrupted_backup_left_is_cleared(void **state)
{
    static const char *const suffixes[] = {".part", ".part-wal", ".part-journal"};
    struct fixture *f = *state;
    for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
        char name[128];
        snprintf(name, sizeof name, "%s%s", f->copy, suffixes[i]);
        FILE *file = fopen(name, "wb");
        assert_non_null(file);
        fputs("half of something", file);
        fclose(file);
    }
    assert_int_equal(f->store->ops->backup(f->store, f->copy, NULL, NULL, &f->err), QMN_OK);
    assert_int_equal(copies(f), 1);
}

static void a_backup_without_memory_is_whole_or_leaves_nothing(void **state)
{
    enum { STEP = 3 };
    struct fixture *f = *state;
    unsigned refused = 0;
    bool hit = true;
    for (int64_t no = 1; no <= 3; no++)
        assert_int_equal(put_memory(f, no, 30000), QMN_OK);
    for (unsigned n = 1; hit; n += STEP) {
        for (int from = 0; from < 2; from++) {
            int64_t rows;
            if (from)
                fault_arm_from(n);
            else
                fault_arm(n);
            enum qmn_code code = f->store->ops->backup(f->store, f->copy, NULL, NULL, &f->err);
            hit = fault_disarm();
            if (code != QMN_OK && code != QMN_E_NOMEM)
                fail_msg("n = %u: %s", n, f->err.text);
            if (copies(f) != (code == QMN_OK))
                fail_msg("n = %u: %d files after %s", n, copies(f), code_info(code)->wire);
            refused += code != QMN_OK;
            if (code != QMN_OK)
                continue;
            assert_int_equal(store_sqlite_verify(f->copy, &sealer_identity, &rows, &f->err),
                             QMN_OK);
            assert_int_equal(rows, 3);
            assert_int_equal(unlink(f->copy), 0);
        }
    }
    assert_true(refused > 10);
}

static void verify_finds_every_damaged_byte_of_content(void **state)
{
    struct fixture *f = *state;
    struct rng r;
    int64_t rows;
    static char file[4 << 20];
    rng_seed(&r, 11);
    for (int64_t no = 1; no <= 5; no++)
        assert_int_equal(put_memory(f, no, 3000), QMN_OK);
    close_store(f);
    assert_int_equal(store_sqlite_verify(f->path, &sealer_identity, &rows, &f->err), QMN_OK);
    assert_int_equal(rows, 5);
    int fd = open(f->path, O_RDWR);
    size_t size = (size_t)pread(fd, file, sizeof file, 0);
    const char *content = memmem(file, size, "mmmmmmmm", 8);
    assert_non_null(content);
    for (int i = 0; i < 200; i++) {
        off_t at = content - file + (off_t)rng_below(&r, 2900);
        char byte = file[at], flipped = (char)(byte ^ (1 << rng_below(&r, 8)));
        assert_int_equal(pwrite(fd, &flipped, 1, at), 1);
        assert_int_equal(store_sqlite_verify(f->path, &sealer_identity, &rows, &f->err),
                         QMN_E_CORRUPT);
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    }
    close(fd);
    assert_false(exists(f, "-wal")); /* verify leaves what it found */
}

/* Any damage anywhere: an answer or a refusal, never a crash. */
/* Every allocation of the opening, then every few: there are thousands. */
static void a_verify_without_memory_speaks_of_no_damage(void **state)
{
    enum { OPENING = 150, STEP = 7 };
    struct fixture *f = *state;
    unsigned refused = 0;
    bool hit = true;
    for (int64_t no = 1; no <= 20; no++)
        assert_int_equal(put_memory(f, no, 30000), QMN_OK);
    close_store(f);
    for (unsigned n = 1; hit; n += n < OPENING ? 1 : STEP) {
        for (int from = 0; from < 2; from++) {
            int64_t rows;
            if (from)
                fault_arm_from(n);
            else
                fault_arm(n);
            enum qmn_code code = store_sqlite_verify(f->path, &sealer_identity, &rows, &f->err);
            hit = fault_disarm();
            if (code != QMN_OK && code != QMN_E_NOMEM)
                fail_msg("n = %u: %s", n, f->err.text);
            assert_false(exists(f, "-wal"));
            refused += code != QMN_OK;
        }
    }
    assert_true(refused > 10);
}

static void random_damage_never_crashes(void **state)
{
    struct fixture *f = *state;
    struct rng r;
    static char file[4 << 20];
    unsigned found = 0;
    rng_seed(&r, 12);
    for (int64_t no = 1; no <= 100; no++) /* most of the file is to hold something */
        assert_int_equal(put_memory(f, no, 500), QMN_OK);
    close_store(f);
    int fd = open(f->path, O_RDWR);
    ssize_t size = pread(fd, file, sizeof file, 0);
    assert_true(size > 0);
    for (int i = 0; i < 150; i++) {
        for (int j = 0; j < 8; j++) {
            char junk[64];
            for (size_t k = 0; k < sizeof junk; k++)
                junk[k] = (char)rng_next(&r);
            off_t at = (off_t)rng_below(&r, (uint32_t)((size_t)size - sizeof junk));
            assert_int_equal(pwrite(fd, junk, 1 + rng_below(&r, 63), at) > 0, 1);
        }
        int64_t rows;
        found += store_sqlite_verify(f->path, &sealer_identity, &rows, &f->err) != QMN_OK;
        assert_int_equal(pwrite(fd, file, (size_t)size, 0), size);
        assert_int_equal(ftruncate(fd, size), 0);
    }
    close(fd);
    assert_true(found > 100);
}

static _Atomic int lock_held; /* -1: it could not be had */

/* What a reader does for an instant when it meets a commit half way, made long. */
static void *hold_write_lock(void *arg)
{
    sqlite3 *db = NULL;
    bool ok = sqlite3_open_v2(arg, &db, SQLITE_OPEN_READWRITE, "qmn") == SQLITE_OK &&
              sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK;
    atomic_store(&lock_held, ok ? 1 : -1);
    nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    if (ok)
        ok = sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL) == SQLITE_OK;
    sqlite3_close(db);
    return ok ? arg : NULL;
}

static void a_commit_waits_for_a_reader_that_has_the_write_lock(void **state)
{
    struct fixture *f = *state;
    pthread_t thread;
    void *held;
    assert_int_equal(put_memory(f, 1, 100), QMN_OK);
    atomic_store(&lock_held, 0);
    assert_int_equal(pthread_create(&thread, NULL, hold_write_lock, f->path), 0);
    while (!atomic_load(&lock_held))
        sched_yield();
    enum qmn_code code = put_memory(f, 2, 100);
    pthread_join(thread, &held);
    assert_non_null(held);
    assert_int_equal(atomic_load(&lock_held), 1);
    assert_int_equal(code, QMN_OK);
}

/* In a row's numbers too, which neither the trees nor the sealer look after. */
static void every_flipped_bit_of_a_backup_is_noticed(void **state)
{
    struct fixture *f = *state;
    struct rng r;
    int64_t rows;
    rng_seed(&r, 13);
    for (int64_t no = 1; no <= 20; no++)
        assert_int_equal(put_memory(f, no, 500), QMN_OK);
    assert_int_equal(f->store->ops->backup(f->store, f->copy, NULL, NULL, &f->err), QMN_OK);
    int fd = open(f->copy, O_RDWR);
    off_t size = lseek(fd, 0, SEEK_END);
    for (int i = 0; i < 400; i++) {
        unsigned char byte, flipped;
        off_t at =
            (off_t)rng_below(&r, (uint32_t)size - 16); /* not the mark that says there is one */
        assert_int_equal(pread(fd, &byte, 1, at), 1);
        flipped = (unsigned char)(byte ^ 1u << rng_below(&r, 8));
        assert_int_equal(pwrite(fd, &flipped, 1, at), 1);
        if (at < size - 24)
            assert_int_equal(store_sqlite_verify(f->copy, &sealer_identity, &rows, &f->err),
                             QMN_E_CORRUPT);
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    }
    assert_int_equal(ftruncate(fd, size - 8192), 0); /* cut short */
    assert_int_equal(store_sqlite_verify(f->copy, &sealer_identity, &rows, &f->err), QMN_E_CORRUPT);
    close(fd);
}

static void a_backup_opens_as_a_store_with_or_without_its_checksum(void **state)
{
    struct fixture *f = *state;
    int64_t rows;
    assert_int_equal(put_memory(f, 1, 500), QMN_OK);
    assert_int_equal(f->store->ops->backup(f->store, f->copy, NULL, NULL, &f->err), QMN_OK);
    for (int i = 0; i < 2; i++) {
        struct store *copy;
        struct store_config config = {
            .path = f->copy, .sealer = sealer_identity, .sync = STORE_SYNC_FULL};
        assert_int_equal(store_sqlite_verify(f->copy, &sealer_identity, &rows, &f->err), QMN_OK);
        assert_int_equal(rows, 1);
        if (i) {
            assert_int_equal(store_sqlite_open(&config, &copy, &f->err), QMN_OK);
            store_close(copy);
        }
        assert_int_equal(store_sqlite_unwrap(f->copy, &f->err), QMN_OK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_second_opener_is_told_who_has_it, setup, teardown),
        cmocka_unit_test_setup_teardown(files_are_private_and_a_closed_store_is_one_file, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_newer_file_is_refused_and_left_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(a_database_of_another_program_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_that_is_no_database_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_that_lacks_a_column_is_refused_by_name, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(migrations_run_once_each_and_all_or_none, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_from_before_memories_had_versions_is_brought_up,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(deleted_content_is_in_no_file, setup, teardown),
        cmocka_unit_test_setup_teardown(checkpoints_keep_the_log_short, setup, teardown),
        cmocka_unit_test_setup_teardown(a_log_that_a_reader_held_open_shrinks_again, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_batch_is_written_in_a_few_calls, setup, teardown),
        cmocka_unit_test_setup_teardown(a_batch_larger_than_the_cache_is_whole_once_it_is_committed,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_backup_is_one_moment_though_writes_go_on, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_backup_overwrites_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_backup_that_cannot_be_written_leaves_nothing, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_an_interrupted_backup_left_is_cleared, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_backup_without_memory_is_whole_or_leaves_nothing, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(verify_finds_every_damaged_byte_of_content, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_verify_without_memory_speaks_of_no_damage, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_commit_waits_for_a_reader_that_has_the_write_lock, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(random_damage_never_crashes, setup, teardown),
        cmocka_unit_test_setup_teardown(every_flipped_bit_of_a_backup_is_noticed, setup, teardown),
        cmocka_unit_test_setup_teardown(a_backup_opens_as_a_store_with_or_without_its_checksum,
                                        setup, teardown),
    };
    return cmocka_run_group_tests_name("store/sqlite", tests, NULL, NULL);
}
