/* SPDX-License-Identifier: MIT
 *
 * The gathered writes of a log: what goes out when, and what becomes of a write that fails.  The
 * layer below is a file in memory that notes its calls and fails on request. */
#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/attr.h"
#include "base/rng.h"
#include "store/sqlite/sqlite_priv.h"
#include "support/fault.h"

enum {
    PAGE = 4096,
    HEADER = 24,
    FRAME = HEADER + PAGE,
    DISK_BYTES = 1 << 20,
    NOTES_BYTES = 4096,
    BELOW_WRITE_MAX = 0x1ffff, /* of SQLite's unix layer: longer lengths lose their high bits */
};

/* ---- the layer below ---- */

struct disk_file {
    sqlite3_file base;
    char bytes[DISK_BYTES];
    sqlite3_int64 size;
    char notes[NOTES_BYTES]; /* "w0+32 s " */
    int writes, longest;
    int fail_write; /* the n-th from now on; 0: none */
    int rc;         /* with this */
    int fail_sync;  /* its code; 0: none */
};

static struct disk_file disk;

#define NOTE(...)                                                                                  \
    do {                                                                                           \
        size_t len_ = strlen(disk.notes);                                                          \
        snprintf(disk.notes + len_, sizeof disk.notes - len_, __VA_ARGS__);                        \
    } while (0)

/* The calls since the last look. */
static const char *noted(void)
{
    static char copy[NOTES_BYTES];
    memcpy(copy, disk.notes, sizeof copy);
    disk.notes[0] = 0;
    return copy;
}

#define assert_noted(want) assert_string_equal(noted(), (want))

static int disk_close(sqlite3_file *f QMN_UNUSED)
{
    NOTE("c ");
    return SQLITE_OK;
}

static int disk_read(sqlite3_file *f QMN_UNUSED, void *ret, int len, sqlite3_int64 at)
{
    NOTE("r%d+%d ", (int)at, len);
    memcpy(ret, disk.bytes + at, (size_t)len);
    return SQLITE_OK;
}

static int disk_write(sqlite3_file *f QMN_UNUSED, const void *data, int len, sqlite3_int64 at)
{
    disk.writes++;
    if (len > disk.longest)
        disk.longest = len;
    if (disk.fail_write && --disk.fail_write == 0) {
        NOTE("W%d+%d ", (int)at, len);
        memcpy(disk.bytes + at, data, (size_t)len / 2); /* as a disk that fills up */
        return disk.rc;
    }
    NOTE("w%d+%d ", (int)at, len);
    memcpy(disk.bytes + at, data, (size_t)len);
    if (at + len > disk.size)
        disk.size = at + len;
    return SQLITE_OK;
}

static int disk_truncate(sqlite3_file *f QMN_UNUSED, sqlite3_int64 size)
{
    NOTE("t%d ", (int)size);
    disk.size = size;
    return SQLITE_OK;
}

static int disk_sync(sqlite3_file *f QMN_UNUSED, int flags QMN_UNUSED)
{
    NOTE(disk.fail_sync ? "S " : "s ");
    return disk.fail_sync;
}

static int disk_size(sqlite3_file *f QMN_UNUSED, sqlite3_int64 *ret)
{
    NOTE("z ");
    *ret = disk.size;
    return SQLITE_OK;
}

static int disk_control(sqlite3_file *f QMN_UNUSED, int op QMN_UNUSED, void *arg QMN_UNUSED)
{
    NOTE("x ");
    return SQLITE_OK;
}

static int disk_open(sqlite3_vfs *vfs QMN_UNUSED, const char *name QMN_UNUSED, sqlite3_file *file,
                     int flags QMN_UNUSED, int *ret_flags QMN_UNUSED)
{
    static const sqlite3_io_methods methods = {.iVersion = 1,
                                               .xClose = disk_close,
                                               .xRead = disk_read,
                                               .xWrite = disk_write,
                                               .xTruncate = disk_truncate,
                                               .xSync = disk_sync,
                                               .xFileSize = disk_size,
                                               .xFileControl = disk_control};
    if (!name)
        return SQLITE_CANTOPEN;
    file->pMethods = &methods;
    return SQLITE_OK;
}

static sqlite3_vfs below = {.szOsFile = sizeof(sqlite3_file), .xOpen = disk_open};

/* ---- the file under test ---- */

static char page[PAGE], header[HEADER], last_header[HEADER];

static int setup(void **state)
{
    memset(&disk, 0, sizeof disk);
    memset(page, 'p', sizeof page);
    last_header[4] = 1; /* the database has so many pages after this commit */
    sqlite3_file *f = calloc(1, (size_t)log_file_bytes(&below));
    assert_non_null(f);
    assert_int_equal(log_file_open(&below, "log", f, SQLITE_OPEN_WAL, NULL), SQLITE_OK);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    sqlite3_file *f = *state;
    disk.fail_write = 0;
    (void)f->pMethods->xClose(f);
    free(f);
    return 0;
}

static int put(sqlite3_file *f, const void *data, int len, sqlite3_int64 at)
{
    return f->pMethods->xWrite(f, data, len, at);
}

static int frame(sqlite3_file *f, sqlite3_int64 at, bool last)
{
    int rc = put(f, last ? last_header : header, HEADER, at);
    return rc == SQLITE_OK ? put(f, page, PAGE, at + HEADER) : rc;
}

static int sync_file(sqlite3_file *f)
{
    return f->pMethods->xSync(f, SQLITE_SYNC_NORMAL);
}

#define must(expr) assert_int_equal((expr), SQLITE_OK)

static void a_transaction_goes_out_in_one_write_before_its_last_page_returns(void **state)
{
    sqlite3_file *f = *state;
    must(frame(f, 32, false));
    must(frame(f, 32 + FRAME, false));
    assert_noted("");
    must(put(f, last_header, HEADER, 32 + 2 * FRAME));
    assert_noted("");
    must(put(f, page, PAGE, 32 + 2 * FRAME + HEADER));
    assert_noted("w32+12360 ");
    must(sync_file(f));
    assert_noted("s ");
    assert_memory_equal(disk.bytes + 32 + 2 * FRAME, last_header, HEADER);
    assert_memory_equal(disk.bytes + 32 + 2 * FRAME + HEADER, page, PAGE);
}

static void a_sync_comes_after_what_was_gathered(void **state)
{
    sqlite3_file *f = *state;
    must(put(f, page, 32, 0));
    must(sync_file(f));
    assert_noted("w0+32 s ");
}

static void what_has_been_synced_is_not_synced_again(void **state)
{
    sqlite3_file *f = *state;
    must(sync_file(f));
    assert_noted("s "); /* who knows what was written before */
    must(sync_file(f));
    assert_noted("");
    must(frame(f, 32, true));
    must(sync_file(f));
    must(sync_file(f));
    assert_noted("w32+4120 s ");
    must(f->pMethods->xTruncate(f, 0));
    must(sync_file(f));
    assert_noted("t0 s ");
}

static void a_sync_that_failed_is_made_up_for(void **state)
{
    sqlite3_file *f = *state;
    must(frame(f, 32, true));
    disk.fail_sync = SQLITE_IOERR_FSYNC;
    assert_int_equal(sync_file(f), SQLITE_IOERR_FSYNC);
    disk.fail_sync = 0;
    must(sync_file(f));
    assert_noted("w32+4120 S s ");
}

static void every_other_call_comes_after_it_too(void **state)
{
    sqlite3_file *f = *state;
    char got[HEADER];
    sqlite3_int64 size;
    must(frame(f, 32, false));
    must(f->pMethods->xRead(f, got, HEADER, 32));
    assert_noted("w32+4120 r32+24 ");
    must(frame(f, 32 + FRAME, false));
    must(f->pMethods->xFileSize(f, &size));
    assert_noted("w4152+4120 z ");
    assert_int_equal(size, 32 + 2 * FRAME);
    must(frame(f, 32 + 2 * FRAME, false));
    must(f->pMethods->xTruncate(f, 32 + FRAME));
    assert_noted("w8272+4120 t4152 ");
    must(frame(f, 32 + FRAME, false));
    must(f->pMethods->xFileControl(f, 1, NULL));
    assert_noted("w4152+4120 x ");
    must(frame(f, 32 + 2 * FRAME, false));
    must(f->pMethods->xClose(f));
    assert_noted("w8272+4120 c ");
    must(log_file_open(&below, "log", f, SQLITE_OPEN_WAL, NULL));
}

static void writes_elsewhere_keep_their_order(void **state)
{
    sqlite3_file *f = *state;
    must(frame(f, 32, false));
    must(put(f, "again", 5, 32 + HEADER)); /* a page of this transaction, once more */
    must(sync_file(f));
    assert_noted("w32+4120 w56+5 s ");
    assert_memory_equal(disk.bytes + 32 + HEADER, "againppp", 8);
}

static void what_is_written_over_goes_out_at_once(void **state)
{
    sqlite3_file *f = *state;
    must(frame(f, 32, false));
    must(frame(f, 32 + FRAME, true));
    noted();
    must(put(f, header, HEADER, 32)); /* its checksum, made again after the last page */
    assert_noted("w32+24 ");
    must(put(f, last_header, HEADER, 32 + FRAME));
    assert_noted("w4152+24 ");
    must(frame(f, 32 + 2 * FRAME, false)); /* and the next transaction as ever */
    must(frame(f, 32 + 3 * FRAME, true));
    assert_noted("w8272+8240 ");
    must(put(f, page, 32, 0)); /* the log is started over */
    must(frame(f, 32, false));
    must(frame(f, 32 + FRAME, true));
    assert_noted("w0+32 w32+8240 ");
}

static void no_write_is_longer_than_the_layer_below_takes(void **state)
{
    sqlite3_file *f = *state;
    static char large[65536 + HEADER];
    for (int i = 0; i < 100; i++)
        must(frame(f, 32 + i * FRAME, false));
    for (int i = 0; i < 5; i++)
        must(put(f, large, sizeof large, 500000 + i * (int)sizeof large));
    must(sync_file(f));
    assert_in_range(disk.longest, 100000, BELOW_WRITE_MAX);
    assert_true(disk.writes < 12);
    assert_int_equal(disk.size, 500000 + 5 * (int)sizeof large);
}

static void without_memory_every_write_goes_out_at_once(void **state)
{
    sqlite3_file *f = *state;
    fault_arm_from(1);
    must(frame(f, 32, false));
    must(frame(f, 32 + FRAME, true));
    assert_true(fault_disarm());
    assert_noted("w32+24 w56+4096 w4152+24 w4176+4096 ");
}

static void what_cannot_be_opened_is_not_closed(void **state)
{
    sqlite3_file *f = calloc(1, (size_t)log_file_bytes(&below));
    (void)state;
    assert_int_equal(log_file_open(&below, NULL, f, SQLITE_OPEN_WAL, NULL), SQLITE_CANTOPEN);
    assert_null(f->pMethods);
    free(f);
}

/* ---- writes that fail ---- */

static void a_full_disk_fails_the_write_of_the_last_page(void **state)
{
    sqlite3_file *f = *state;
    disk.fail_write = 1;
    disk.rc = SQLITE_FULL;
    must(frame(f, 32, false));
    assert_int_equal(frame(f, 32 + FRAME, true), SQLITE_FULL);
    /* the transaction is given up, the next one begins where it began */
    noted();
    must(frame(f, 32, true));
    must(sync_file(f));
    assert_noted("w32+4120 s ");
}

static void a_sync_fails_as_long_as_something_is_lost(void **state)
{
    sqlite3_file *f = *state;
    char got[HEADER];
    must(frame(f, 32, true));
    must(frame(f, 32 + FRAME, false));
    disk.fail_write = 1;
    disk.rc = SQLITE_IOERR_WRITE;
    assert_int_equal(sync_file(f), SQLITE_IOERR_WRITE);
    assert_int_equal(sync_file(f), SQLITE_IOERR_WRITE);
    assert_int_equal(frame(f, 32 + 2 * FRAME, true), SQLITE_IOERR_WRITE);
    assert_int_equal(f->pMethods->xRead(f, got, HEADER, 32 + FRAME), SQLITE_IOERR_WRITE);
    assert_int_equal(sync_file(f), SQLITE_IOERR_WRITE);
    noted();
    must(f->pMethods->xRead(f, got, HEADER, 32)); /* what came before is there */
    assert_noted("r32+24 ");
    must(frame(f, 32 + FRAME, true));
    must(sync_file(f));
    assert_noted("w4152+4120 s ");
}

static void what_is_lost_and_cut_off_is_not_missed(void **state)
{
    sqlite3_file *f = *state;
    must(frame(f, 32, true));
    must(frame(f, 32 + FRAME, false));
    disk.fail_write = 1;
    disk.rc = SQLITE_FULL;
    assert_int_equal(f->pMethods->xTruncate(f, 0), SQLITE_FULL);
    assert_int_equal(sync_file(f), SQLITE_FULL);
    must(f->pMethods->xTruncate(f, 0));
    must(sync_file(f));
}

/* What SQLite does, at random: transactions of some frames, pages written over, reads in between,
 * a new beginning; at the first error it gives the transaction up.  What a sync promised is on the
 * disk, and what is read is what was written. */
static void what_a_sync_promised_is_there_whatever_failed(void **state)
{
    sqlite3_file *f = *state;
    static char expected[DISK_BYTES];
    struct rng rng;
    sqlite3_int64 end = 32;
    int given_up = 0;
    rng_seed(&rng, 7);
    for (int round = 0; round < 4000; round++) {
        sqlite3_int64 at = end;
        int frames = 1 + (int)rng_below(&rng, 60), rc = SQLITE_OK;
        if (at + frames * FRAME > DISK_BYTES) {
            disk.fail_write = 0;
            must(put(f, page, 32, 0));
            must(sync_file(f));
            at = end = 32;
        }
        disk.fail_write = rng_below(&rng, 4) ? 0 : 1 + (int)rng_below(&rng, 5);
        disk.rc = rng_below(&rng, 2) ? SQLITE_FULL : SQLITE_IOERR_WRITE;
        for (int i = 0; i < frames && rc == SQLITE_OK; i++, at += FRAME) {
            char got[PAGE];
            memset(page, (int)rng_below(&rng, 256), sizeof page);
            memcpy(expected + at + HEADER, page, PAGE);
            rc = frame(f, at, i == frames - 1);
            if (rc == SQLITE_OK && i && rng_below(&rng, 10) == 0) {
                memset(expected + at - PAGE, 'o', PAGE); /* the page before */
                memset(page, 'o', PAGE);
                rc = put(f, page, PAGE, at - PAGE);
            }
            if (rc == SQLITE_OK && i && rng_below(&rng, 20) == 0) {
                rc = f->pMethods->xRead(f, got, PAGE, at - PAGE);
                assert_true(rc != SQLITE_OK || !memcmp(got, expected + at - PAGE, PAGE));
            }
        }
        if (rc == SQLITE_OK)
            rc = sync_file(f);
        noted();
        if (rc != SQLITE_OK) {
            given_up++;
            continue;
        }
        for (sqlite3_int64 p = end; p < at; p += FRAME)
            assert_memory_equal(disk.bytes + p + HEADER, expected + p + HEADER, PAGE);
        end = at;
    }
    assert_in_range(given_up, 200, 2000);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_transaction_goes_out_in_one_write_before_its_last_page_returns),
        TEST(a_sync_comes_after_what_was_gathered),
        TEST(what_has_been_synced_is_not_synced_again),
        TEST(a_sync_that_failed_is_made_up_for),
        TEST(every_other_call_comes_after_it_too),
        TEST(writes_elsewhere_keep_their_order),
        TEST(what_is_written_over_goes_out_at_once),
        TEST(no_write_is_longer_than_the_layer_below_takes),
        TEST(without_memory_every_write_goes_out_at_once),
        TEST(what_cannot_be_opened_is_not_closed),
        TEST(a_full_disk_fails_the_write_of_the_last_page),
        TEST(a_sync_fails_as_long_as_something_is_lost),
        TEST(what_is_lost_and_cut_off_is_not_missed),
        TEST(what_a_sync_promised_is_there_whatever_failed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
