/* What comes as sorted tables is as if it had been written row by row, and on disk when it is said to be. */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "ridge/base/file.h"
#include "ridge/base/random.h"
#include "ridge/kv/kv.h"
#include "ridge/test.h"
#include "ridge/test_faults.h"

enum { MANY = 1500, VALUE = 64, SAMPLE = 4 }; /* MANY rows are enough for a table */

static rdg_err_t try_open(const char *dir, rdg_kv_t **out) {
    char path[512];
    CHECK_OK(rdg_path_join(path, sizeof path, dir, "db"));
    return rdg_kv_open_rocksdb(path, &(rdg_kv_options_t){.create = true}, out);
}

static rdg_kv_t *open_store(const char *dir) {
    rdg_kv_t *kv = NULL;
    CHECK_OK(try_open(dir, &kv));
    return kv;
}

/* How many, and the path of one. */
static unsigned find_files(const char *dir, const char *suffix, char out[800]) {
    char path[512];
    unsigned count = 0;
    CHECK_OK(rdg_path_join(path, sizeof path, dir, "db"));
    DIR *d = opendir(path);
    CHECK(d);
    for (const struct dirent *e; (e = readdir(d));) {
        size_t len = strlen(e->d_name), end = strlen(suffix);
        if (len <= end || strcmp(e->d_name + len - end, suffix) != 0) continue;
        CHECK_OK(rdg_path_join(out, 800, path, e->d_name));
        ++count;
    }
    closedir(d);
    return count;
}

static unsigned files_named(const char *dir, const char *suffix) {
    char path[800];
    return find_files(dir, suffix, path);
}

/* --- the same as row by row ----------------------------------------------------------------------------- */

static rdg_bytes_t random_key(uint8_t out[24]) {
    const rdg_random_t *random = rdg_test_random();
    size_t len = 1 + (size_t)rdg_random_below(random, 23);
    for (size_t i = 0; i < len; ++i) /* often alike, zeros at the end among them */
        out[i] = i == 0 ? (uint8_t)('a' + rdg_random_below(random, 2))
                        : (uint8_t)rdg_random_below(random, i % 9 == 8 ? 256 : 2);
    return rdg_bytes(out, len);
}

static void random_rows(rdg_kv_batch_t *b, unsigned round) {
    for (unsigned i = 0; i < 4 * MANY; ++i) {
        uint8_t key[24], value[VALUE] = {(uint8_t)round, (uint8_t)i, (uint8_t)(i >> 8)};
        rdg_bytes_t k = random_key(key);
        if (rdg_random_below(rdg_test_random(), 5) == 0)
            rdg_kv_batch_delete(b, k);
        else
            rdg_kv_batch_put(b, k, rdg_bytes(value, sizeof value));
    }
}

static void check_same(rdg_kv_t *a, const rdg_kv_snapshot_t *snap_a, rdg_kv_t *b,
                       const rdg_kv_snapshot_t *snap_b) {
    rdg_kv_iter_t *x = NULL, *y = NULL;
    rdg_bytes_t none = rdg_bytes(NULL, 0), key, value, other_key, other_value;
    size_t rows = 0;
    CHECK_OK(rdg_kv_iter_open(a, snap_a, none, none, &x));
    CHECK_OK(rdg_kv_iter_open(b, snap_b, none, none, &y));
    while (rdg_kv_iter_next(x, &key, &value)) {
        CHECK(rdg_kv_iter_next(y, &other_key, &other_value));
        CHECK(rdg_bytes_equal(key, other_key) && rdg_bytes_equal(value, other_value));
        ++rows;
    }
    CHECK(!rdg_kv_iter_next(y, &other_key, &other_value));
    CHECK_OK(rdg_kv_iter_err(x));
    CHECK_OK(rdg_kv_iter_err(y));
    CHECK(rows > 0 || snap_a);
    rdg_kv_iter_close(x), rdg_kv_iter_close(y);
}

/* Rows of the log, of write buffers and of tables replace each other in the order in which they came. */
TEST(kv_tables_are_as_if_their_rows_had_been_written) {
    rdg_kv_t *disk = open_store(rdg_test_dir()), *memory = NULL;
    CHECK_OK(rdg_kv_open_memory(&memory));
    rdg_kv_batch_t *b = rdg_kv_batch_new();
    for (unsigned round = 0; round < 9; ++round) {
        rdg_kv_snapshot_t *of_disk = rdg_kv_snapshot(disk), *of_memory = rdg_kv_snapshot(memory);
        rdg_kv_batch_clear(b);
        random_rows(b, round);
        CHECK_OK(rdg_kv_write(memory, b, true));
        CHECK_OK(round % 3 == 2 ? rdg_kv_write(disk, b, false) : rdg_kv_write_tables(disk, b, round % 3));
        if (round < 2) CHECK_EQ(files_named(rdg_test_dir(), ".sst"), round == 0 ? 1 : 3);
        check_same(disk, NULL, memory, NULL);
        if (round == 4) CHECK_OK(rdg_kv_compact(disk));
        check_same(disk, of_disk, memory, of_memory);
        rdg_kv_snapshot_release(disk, of_disk), rdg_kv_snapshot_release(memory, of_memory);
        if (round != 7) continue;
        rdg_kv_close(disk);
        disk = open_store(rdg_test_dir());
        check_same(disk, NULL, memory, NULL);
    }
    CHECK_OK(rdg_kv_check_files(disk));
    CHECK_EQ(files_named(rdg_test_dir(), ".table"), 0);
    rdg_kv_batch_free(b);
    rdg_kv_close(disk), rdg_kv_close(memory);
}

TEST(kv_tables_that_fail_are_a_failed_write) {
    rdg_kv_t *faulty = NULL;
    CHECK_OK(rdg_kv_open_faulty(open_store(rdg_test_dir()), &faulty));
    rdg_kv_batch_t *b = rdg_kv_batch_new();
    random_rows(b, 0);
    rdg_kv_faulty_fail_at(faulty, 2, RDG_E_DISK_FULL);
    CHECK_OK(rdg_kv_write_tables(faulty, b, 1));
    CHECK_ERR(rdg_kv_write_tables(faulty, b, 1), RDG_E_DISK_FULL);
    CHECK_ERR(rdg_kv_write(faulty, b, true), RDG_E_DISK_FULL);
    rdg_kv_batch_free(b);
    rdg_kv_close(faulty);
}

/* --- cut off -------------------------------------------------------------------------------------------- */

/* Rows a0.. and b0.. with the version, some c0.. that are too few for a table. */
static rdg_err_t write_version(rdg_kv_t *kv, uint8_t version) {
    rdg_kv_batch_t *b = rdg_kv_batch_new();
    for (unsigned i = 0; i < 2 * MANY + 10; ++i) {
        char key[16];
        uint8_t value[VALUE] = {version};
        snprintf(key, sizeof key, "%c%04u", 'a' + (int)(i / MANY), i * 7 % MANY);
        rdg_kv_batch_put(b, rdg_bytes_str(key), rdg_bytes(value, sizeof value));
    }
    rdg_err_t err = rdg_kv_write_tables(kv, b, 1);
    rdg_kv_batch_free(b);
    return err;
}

static void write_versions(const char *dir, unsigned char *acknowledged) {
    rdg_kv_t *kv = NULL;
    if (try_open(dir, &kv) != RDG_OK) return;
    for (uint8_t version = 1; version <= 2 && write_version(kv, version) == RDG_OK; ++version)
        acknowledged[0] = version;
    rdg_kv_close(kv);
}

/* Of the rows of one letter, which all have one version or are not there (0). */
static uint8_t version_of(rdg_kv_t *kv, const char *letter, unsigned rows) {
    rdg_kv_iter_t *it = NULL;
    rdg_bytes_t key, value;
    unsigned found = 0;
    uint8_t version = 0;
    CHECK_OK(rdg_kv_iter_open(kv, NULL, rdg_bytes_str(letter), rdg_bytes(NULL, 0), &it));
    for (; rdg_kv_iter_next(it, &key, &value); ++found) {
        CHECK(value.len == VALUE && (found == 0 || value.data[0] == version));
        version = value.data[0];
    }
    CHECK_OK(rdg_kv_iter_err(it));
    rdg_kv_iter_close(it);
    CHECK(found == (version ? rows : 0));
    return version;
}

/* Of all rows; the last letters come first. */
static uint8_t lowest_version(rdg_kv_t *kv) {
    uint8_t a = version_of(kv, "a", MANY), b = version_of(kv, "b", MANY), c = version_of(kv, "c", 10);
    CHECK(a <= b && b <= c && c <= 2);
    return a;
}

static void check_versions(const char *dir, unsigned char *acknowledged) {
    rdg_kv_t *kv = open_store(dir);
    CHECK(lowest_version(kv) >= acknowledged[0]);
    CHECK_EQ(files_named(dir, ".table"), 0);
    CHECK_OK(rdg_kv_check_files(kv));
    CHECK_OK(write_version(kv, 2));
    CHECK_EQ(lowest_version(kv), 2);
    rdg_kv_close(kv);
    kv = open_store(dir);
    CHECK_EQ(lowest_version(kv), 2);
    rdg_kv_close(kv);
}

/* RocksDB's threads do not live on in a forked child: this process opens no store. */
TEST(kv_tables_cut_off_at_any_call_are_there_when_they_were_said_to_be) {
    rdg_test_faults_walk(&(rdg_test_faults_plan_t){.first = RDG_FAULT_FAIL,
                                                   .last = RDG_FAULT_CUT_LOST,
                                                   .act = write_versions,
                                                   .check = check_versions,
                                                   .sample = SAMPLE,
                                                   .may_abort = true});
}

/* A table that was never taken in takes no room after the next opening. */
TEST(kv_tables_that_were_cut_off_are_removed_by_the_next_opening) {
    char path[512];
    rdg_kv_close(open_store(rdg_test_dir()));
    CHECK_OK(rdg_path_join(path, sizeof path, rdg_test_dir(), "db/7.table"));
    CHECK_OK(rdg_file_replace(path, rdg_bytes_str("half of a table"), 0600));
    rdg_kv_close(open_store(rdg_test_dir()));
    CHECK(access(path, F_OK) != 0);
}

static void close_and_misname_a_table(rdg_kv_t *kv) {
    char table[800], path[512];
    rdg_kv_close(kv);
    CHECK(find_files(rdg_test_dir(), ".sst", table) > 0);
    CHECK_OK(rdg_path_join(path, sizeof path, rdg_test_dir(), "db/7.table"));
    CHECK_EQ(rename(table, path), 0);
}

/* What RocksDB leaves when the writing of its manifest failed, though the manifest has it. */
TEST(kv_table_that_was_removed_too_early_is_brought_back_and_no_other_in_its_place) {
    char path[512];
    rdg_kv_t *kv = open_store(rdg_test_dir());
    CHECK_OK(write_version(kv, 1));
    close_and_misname_a_table(kv);
    kv = open_store(rdg_test_dir());
    CHECK_EQ(lowest_version(kv), 1);
    CHECK_EQ(files_named(rdg_test_dir(), ".table"), 0);
    close_and_misname_a_table(kv);
    CHECK_OK(rdg_path_join(path, sizeof path, rdg_test_dir(), "db/7.table"));
    CHECK_OK(rdg_file_replace(path, rdg_bytes_str("another"), 0600));
    CHECK_ERR(try_open(rdg_test_dir(), &kv), RDG_E_CORRUPT);
}
