/* Both backends behave the same; the store that failed once refuses until reopened. */
#include <stdio.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>
#include "ridge/base/file.h"
#include "ridge/kv/kv.h"
#include "ridge/test.h"

static rdg_kv_t *open_disk(bool create) {
    char path[512];
    rdg_kv_t *kv = NULL;
    CHECK_OK(rdg_path_join(path, sizeof path, rdg_test_dir(), "db"));
    CHECK_OK(rdg_kv_open_rocksdb(path, &(rdg_kv_options_t){.create = create}, &kv));
    return kv;
}

static rdg_kv_t *open_memory(void) {
    rdg_kv_t *kv = NULL;
    CHECK_OK(rdg_kv_open_memory(&kv));
    return kv;
}

static rdg_err_t put(rdg_kv_t *kv, const char *key, const char *value) {
    rdg_kv_batch_t *b = rdg_kv_batch_new();
    rdg_kv_batch_put(b, rdg_bytes_str(key), rdg_bytes_str(value));
    rdg_err_t err = rdg_kv_write(kv, b, true);
    rdg_kv_batch_free(b);
    return err;
}

static void expect(rdg_kv_t *kv, const rdg_kv_snapshot_t *snap, const char *key, const char *want) {
    rdg_buf_t out;
    rdg_buf_init(&out, 1024);
    rdg_err_t err = rdg_kv_get(kv, snap, rdg_bytes_str(key), &out);
    if (!want) {
        CHECK_ERR(err, RDG_E_NOT_FOUND);
        CHECK_EQ(out.len, 0);
    } else {
        CHECK_OK(err);
        CHECK_STR(rdg_buf_cstr(&out), want);
    }
    rdg_buf_fini(&out);
}

enum { KEYS_SIZE = 256 };

static void list_keys(rdg_kv_t *kv, const rdg_kv_snapshot_t *snap, const char *prefix, const char *from,
                      char out[KEYS_SIZE]) {
    rdg_kv_iter_t *it = NULL;
    rdg_bytes_t key, value;
    size_t used = 0;
    out[0] = '\0';
    CHECK_OK(rdg_kv_iter_open(kv, snap, rdg_bytes_str(prefix), rdg_bytes_str(from), &it));
    while (rdg_kv_iter_next(it, &key, &value)) {
        CHECK(key.len + 2 <= KEYS_SIZE - used);
        used += (size_t)snprintf(out + used, KEYS_SIZE - used, "%.*s ", (int)key.len, (const char *)key.data);
    }
    CHECK_OK(rdg_kv_iter_err(it));
    rdg_kv_iter_close(it);
}

static void check_behaviour(rdg_kv_t *kv) {
    char keys[KEYS_SIZE];
    CHECK_OK(put(kv, "a/1", "one"));
    CHECK_OK(put(kv, "a/2", "two"));
    CHECK_OK(put(kv, "b/1", "x"));
    expect(kv, NULL, "a/1", "one");
    expect(kv, NULL, "a/9", NULL);
    rdg_kv_snapshot_t *snap = rdg_kv_snapshot(kv);
    rdg_kv_batch_t *b = rdg_kv_batch_new();
    rdg_kv_batch_put(b, rdg_bytes_str("a/3"), rdg_bytes_str("three"));
    rdg_kv_batch_delete(b, rdg_bytes_str("a/1"));
    rdg_kv_batch_put(b, rdg_bytes_str("a/2"), rdg_bytes_str(""));
    CHECK_OK(rdg_kv_write(kv, b, false));
    rdg_kv_batch_free(b);
    expect(kv, NULL, "a/1", NULL);
    expect(kv, NULL, "a/2", "");
    expect(kv, snap, "a/1", "one");
    expect(kv, snap, "a/2", "two");
    expect(kv, snap, "a/3", NULL);
    list_keys(kv, NULL, "a/", "", keys);
    CHECK_STR(keys, "a/2 a/3 ");
    list_keys(kv, snap, "a/", "", keys);
    CHECK_STR(keys, "a/1 a/2 ");
    list_keys(kv, NULL, "a/", "a/3", keys);
    CHECK_STR(keys, "a/3 ");
    list_keys(kv, NULL, "", "", keys);
    CHECK_STR(keys, "a/2 a/3 b/1 ");
    list_keys(kv, NULL, "c", "", keys);
    CHECK_STR(keys, "");
    rdg_kv_snapshot_release(kv, snap);
    CHECK_OK(put(kv, "a/1", "again"));
    expect(kv, NULL, "a/1", "again");
}

TEST(kv_memory_behaves) {
    rdg_kv_t *kv = open_memory();
    check_behaviour(kv);
    rdg_kv_close(kv);
    CHECK_EQ(rdg_alloc_live(), 0);
}

TEST(kv_rocksdb_behaves_and_keeps_after_reopening) {
    rdg_kv_t *kv = open_disk(true);
    check_behaviour(kv);
    rdg_kv_close(kv);
    kv = open_disk(false);
    expect(kv, NULL, "a/1", "again");
    expect(kv, NULL, "a/3", "three");
    rdg_kv_close(kv);
}

TEST(kv_rocksdb_absent_is_not_made_unasked) {
    char path[512];
    rdg_kv_t *kv = NULL;
    CHECK_OK(rdg_path_join(path, sizeof path, rdg_test_dir(), "none"));
    CHECK_ERR(rdg_kv_open_rocksdb(path, &(rdg_kv_options_t){0}, &kv), RDG_E_NOT_FOUND);
    CHECK_ERR(rdg_kv_open_rocksdb(path, &(rdg_kv_options_t){.memory_bytes = 1000}, &kv), RDG_E_INVALID);
}

TEST(kv_rocksdb_second_opener_is_told_busy) {
    rdg_kv_t *kv = open_disk(true), *again = NULL;
    char path[512];
    CHECK_OK(rdg_path_join(path, sizeof path, rdg_test_dir(), "db"));
    CHECK_ERR(rdg_kv_open_rocksdb(path, &(rdg_kv_options_t){0}, &again), RDG_E_BUSY);
    rdg_kv_close(kv);
}

/* A synced write is there after kill -9. */
TEST(kv_rocksdb_synced_write_survives_a_kill) {
    pid_t child = fork();
    if (child == 0) {
        rdg_kv_t *kv = open_disk(true);
        if (put(kv, "k", "v") != RDG_OK) _exit(1);
        kill(getpid(), SIGKILL);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
    rdg_kv_t *kv = open_disk(false);
    expect(kv, NULL, "k", "v");
    rdg_kv_close(kv);
}

TEST(kv_rocksdb_names_a_corrupt_store) {
    rdg_kv_t *kv = open_disk(true);
    CHECK_OK(put(kv, "k", "v"));
    rdg_kv_close(kv);
    char path[512];
    CHECK_OK(rdg_path_join(path, sizeof path, rdg_test_dir(), "db/CURRENT"));
    CHECK_OK(rdg_file_replace(path, rdg_bytes_str("MANIFEST-999999\n"), 0600));
    CHECK_OK(rdg_path_join(path, sizeof path, rdg_test_dir(), "db"));
    CHECK_ERR(rdg_kv_open_rocksdb(path, &(rdg_kv_options_t){0}, &kv), RDG_E_CORRUPT);
    CHECK(strstr(rdg_err_message(RDG_E_CORRUPT), "MANIFEST-999999"));
}

static void expect_gone(const char *path) {
    rdg_kv_t *kv = NULL;
    for (int again = 0; again < 3; ++again) {
        CHECK_ERR(rdg_kv_open_rocksdb(path, &(rdg_kv_options_t){.create = true}, &kv), RDG_E_CORRUPT);
        CHECK(strstr(rdg_err_message(RDG_E_CORRUPT), "CURRENT is gone"));
    }
}

/* The second opening must find what the first one did: a node is started again and again. */
TEST(kv_rocksdb_that_lost_its_current_is_not_begun_anew) {
    char path[512], current[600], aside[600];
    rdg_kv_close(open_disk(true));
    CHECK_OK(rdg_path_join(path, sizeof path, rdg_test_dir(), "db"));
    snprintf(current, sizeof current, "%s/CURRENT", path);
    snprintf(aside, sizeof aside, "%s/aside", rdg_test_dir());
    for (int tables = 0; tables < 2; ++tables) { /* the second time the first value is in a table */
        rdg_kv_t *kv = open_disk(false);
        CHECK_OK(put(kv, tables ? "k2" : "k1", "v"));
        rdg_kv_close(kv);
        CHECK_EQ(rename(current, aside), 0);
        expect_gone(path);
        CHECK_EQ(rename(aside, current), 0);
        kv = open_disk(true);
        expect(kv, NULL, "k1", "v");
        if (tables) expect(kv, NULL, "k2", "v");
        rdg_kv_close(kv);
    }
}

TEST(kv_failed_write_is_sticky_and_reads_go_on) {
    rdg_kv_t *kv = NULL;
    CHECK_OK(rdg_kv_open_faulty(open_memory(), &kv));
    CHECK_OK(put(kv, "a", "1"));
    rdg_kv_faulty_fail_at(kv, 2, RDG_E_DISK_FULL);
    CHECK_OK(put(kv, "b", "1"));
    CHECK_ERR(put(kv, "c", "1"), RDG_E_DISK_FULL);
    CHECK_ERR(put(kv, "d", "1"), RDG_E_DISK_FULL);
    expect(kv, NULL, "b", "1");
    expect(kv, NULL, "c", NULL);
    expect(kv, NULL, "d", NULL);
    rdg_kv_close(kv);
}

TEST(kv_batch_refuses_what_is_too_large) {
    static uint8_t big[RDG_KV_KEY_MAX + 1];
    rdg_kv_t *kv = open_memory();
    rdg_kv_batch_t *b = rdg_kv_batch_new();
    rdg_kv_batch_put(b, rdg_bytes(big, sizeof big), rdg_bytes_str("v"));
    rdg_kv_batch_put(b, rdg_bytes_str("fine"), rdg_bytes_str("v"));
    CHECK_ERR(rdg_kv_write(kv, b, true), RDG_E_TOO_LARGE);
    rdg_kv_batch_clear(b);
    rdg_kv_batch_put(b, rdg_bytes_str("fine"), rdg_bytes_str("v"));
    CHECK_OK(rdg_kv_write(kv, b, true));
    expect(kv, NULL, "fine", "v");
    rdg_kv_batch_free(b);
    rdg_kv_close(kv);
}

TEST(kv_memory_write_is_whole_or_nothing_without_memory) {
    rdg_err_t err = RDG_OK;
    RDG_TEST_ALLOC_LOOP(err) {
        rdg_kv_t *kv = NULL;
        rdg_kv_batch_t *b = NULL;
        err = rdg_kv_open_memory(&kv);
        if (err == RDG_OK) err = (b = rdg_kv_batch_new()) ? RDG_OK : RDG_E_NO_MEMORY;
        if (err == RDG_OK) {
            rdg_kv_batch_put(b, rdg_bytes_str("k1"), rdg_bytes_str("v"));
            rdg_kv_batch_put(b, rdg_bytes_str("k2"), rdg_bytes_str("v"));
            err = rdg_kv_write(kv, b, true);
            if (err != RDG_OK) {
                rdg_buf_t out;
                rdg_buf_init(&out, 16);
                CHECK_ERR(rdg_kv_get(kv, NULL, rdg_bytes_str("k1"), &out), RDG_E_NOT_FOUND);
                CHECK_ERR(rdg_kv_get(kv, NULL, rdg_bytes_str("k2"), &out), RDG_E_NOT_FOUND);
                rdg_buf_fini(&out);
            }
        }
        rdg_kv_batch_free(b);
        rdg_kv_close(kv);
    }
}
