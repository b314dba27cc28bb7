/* Nothing goes without a receipt that fits; what goes is answered for; no crash loses more. */
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "blockfile.h"
#include "log_emitter.h"
#include "prune_support.h"
#include "ridge/base/file.h"

/* --- receipts ------------------------------------------------------------------------------------ */

TEST(prune_demands_a_receipt_that_fits_in_everything) {
    chain_t c;
    rdg_prune_result_t out;
    chain_open(&c, "c");
    chain_grow(&c, 10, 1);
    const rdg_archive_receipt_t good = prune_truth(c.l, 1, 8);
    rdg_archive_receipt_t r = good;
    rdg_sm2_public_t known = prune_key(PRUNE_COLLECTOR);
    CHECK_ERR(rdg_ledger_prune(c.l, 5, rdg_bytes(NULL, 0), &known, 1, &out), RDG_E_MALFORMED);
    CHECK_ERR(prune_as(c.l, 5, &r, PRUNE_STRANGER, &out), RDG_E_FORBIDDEN);
    r.chain_id++;
    CHECK_ERR(prune_as(c.l, 5, &r, PRUNE_COLLECTOR, &out), RDG_E_FORBIDDEN);
    CHECK(strstr(rdg_err_message(RDG_E_FORBIDDEN), "another chain"));
    r = good, r.genesis.b[0] ^= 1;
    CHECK_ERR(prune_as(c.l, 5, &r, PRUNE_COLLECTOR, &out), RDG_E_FORBIDDEN);
    r = good, r.content.b[0] ^= 1;
    CHECK_ERR(prune_as(c.l, 5, &r, PRUNE_COLLECTOR, &out), RDG_E_FORBIDDEN);
    CHECK(strstr(rdg_err_message(RDG_E_FORBIDDEN), "other blocks"));
    r = good, r.mark_ms++;
    CHECK_ERR(prune_as(c.l, 5, &r, PRUNE_COLLECTOR, &out), RDG_E_FORBIDDEN);
    r = good, r.anchor_height = 0;
    CHECK_ERR(prune_as(c.l, 5, &r, PRUNE_COLLECTOR, &out), RDG_E_FORBIDDEN);
    memset(r.anchor_tx.b, 0, sizeof r.anchor_tx.b), r.anchor_height = 1;
    CHECK_ERR(prune_as(c.l, 5, &r, PRUNE_COLLECTOR, &out), RDG_E_FORBIDDEN);
    r = prune_truth(c.l, 2, 8); /* block 1 is in no archive */
    CHECK_ERR(prune_as(c.l, 5, &r, PRUNE_COLLECTOR, &out), RDG_E_FORBIDDEN);
    CHECK_ERR(prune_as(c.l, 10, &good, PRUNE_COLLECTOR, &out), RDG_E_INVALID); /* block 9 is not in it */
    r = prune_truth(c.l, 1, 10);
    CHECK_ERR(prune_as(c.l, 11, &r, PRUNE_COLLECTOR, &out), RDG_E_INVALID); /* the newest stays */
    CHECK_ERR(prune_as(c.l, 1, &good, PRUNE_COLLECTOR, &out), RDG_E_INVALID);
    CHECK_EQ(rdg_ledger_pruned(c.l), 0);
    for (uint64_t h = 1; h <= 10; ++h) CHECK(prune_has_body(c.l, h));
    CHECK_OK(prune_as(c.l, 5, &good, PRUNE_COLLECTOR, &out));
    CHECK_EQ(out.pruned_height, 4);
    CHECK_ERR(prune_as(c.l, 3, &good, PRUNE_COLLECTOR, &out), RDG_E_STALE); /* never back */
    CHECK_EQ(rdg_ledger_pruned(c.l), 4);
    r = prune_truth(c.l, 6, 8);
    CHECK_ERR(prune_as(c.l, 8, &r, PRUNE_COLLECTOR, &out),
              RDG_E_FORBIDDEN); /* 5 is in no archive that counts */
    CHECK_OK(prune_as(c.l, 9, &good, 8, &out));
    CHECK_EQ(out.pruned_height, 8);
    chain_close(&c);
}

TEST(archive_receipt_with_any_bit_changed_is_refused) {
    rdg_archive_receipt_t r = {.chain_id = 1, .from = 1, .to = 2, .anchor_height = 1}, got;
    rdg_sm2_public_t known = prune_key(PRUNE_COLLECTOR);
    rdg_buf_t bytes;
    rdg_buf_init(&bytes, 1024);
    CHECK_OK(rdg_archive_receipt_sign(&r, support_key(PRUNE_COLLECTOR), &bytes));
    CHECK_OK(rdg_archive_receipt_verify(rdg_buf_view(&bytes), &known, 1, &got));
    CHECK_MEM(got.collector.b, known.b, sizeof known.b);
    CHECK_EQ(got.to, 2);
    for (size_t i = 0; i < bytes.len; ++i) {
        bytes.data[i] ^= 4;
        CHECK(rdg_archive_receipt_verify(rdg_buf_view(&bytes), &known, 1, &got) != RDG_OK);
        CHECK(rdg_archive_receipt_verify(rdg_bytes(bytes.data, i), &known, 1, &got) != RDG_OK);
        bytes.data[i] ^= 4;
    }
    CHECK_ERR(rdg_archive_receipt_verify(rdg_buf_view(&bytes), NULL, 0, &got), RDG_E_FORBIDDEN);
    rdg_buf_fini(&bytes);
}

/* --- what is left -------------------------------------------------------------------------------- */

TEST(prune_keeps_what_proves_and_answers_archived_for_the_rest) {
    chain_t c;
    rdg_prune_result_t out;
    rdg_tx_location_t at;
    rdg_archive_receipt_t r;
    rdg_block_t *b = NULL;
    memory_file_t before, after;
    chain_open(&c, "c");
    chain_story(&c);
    memory_init(&before), memory_init(&after);
    uint64_t head = chain_height(&c);
    archive_of(&c, 31, head, NULL, &before);
    CHECK_OK(rdg_ledger_block(c.l, 7, &b));
    rdg_hash_t id = b->txs[0]->id;
    rdg_block_unref(b);
    CHECK_OK(prune(c.l, 1, 30, 31, &out));
    CHECK_ERR(rdg_ledger_block(c.l, 7, &b), RDG_E_ARCHIVED);
    CHECK(strstr(rdg_err_message(RDG_E_ARCHIVED), "archive of blocks 1 to 30") &&
          strstr(rdg_err_message(RDG_E_ARCHIVED), "0xabcd00"));
    for (uint64_t h = 1; h <= head; ++h) {
        rdg_buf_t seal, checkpoint;
        rdg_buf_init(&seal, 65536), rdg_buf_init(&checkpoint, 65536);
        CHECK_OK(rdg_ledger_seal(c.l, h, &seal, &checkpoint));
        CHECK(seal.len > 0 && checkpoint.len > 0);
        CHECK_EQ(prune_has_body(c.l, h), h > 30);
        rdg_buf_fini(&seal), rdg_buf_fini(&checkpoint);
    }
    CHECK_OK(rdg_ledger_find_tx(c.l, &id, &at));
    CHECK_EQ(at.height, 7);
    CHECK_OK(rdg_ledger_archive_of(c.l, 7, &r));
    CHECK_EQ(r.to, 30);
    CHECK_ERR(rdg_ledger_archive_of(c.l, 31, &r), RDG_E_NOT_FOUND);
    archive_of(&c, 31, head, NULL, &after); /* later archives go on, the same as before */
    CHECK_MEM(before.bytes.data, after.bytes.data, before.bytes.len - 200);
    rdg_archive_export_options_t o = {.from = 30, .to = head, .signer = support_key(1)};
    rdg_archive_sink_t sink = memory_sink(&after);
    CHECK_ERR(rdg_archive_export(c.l, &o, &sink, NULL), RDG_E_ARCHIVED);
    chain_grow(&c, head + 2, 1);
    memory_fini(&before), memory_fini(&after);
    chain_close(&c);
}

static rdg_err_t count_log(void *ctx, const rdg_log_hit_t *hit) {
    (void)hit;
    ++*(size_t *)ctx;
    return RDG_OK;
}

static rdg_err_t logs_with(rdg_ledger_t *l, uint64_t from, uint8_t topic, size_t *count) {
    rdg_word_t want = {{0}};
    rdg_log_filter_t f = {.from = from, .to = UINT64_MAX, .topics = {{&want, topic ? 1 : 0}}};
    want.b[31] = topic;
    *count = 0;
    return rdg_ledger_logs(l, &f, SIZE_MAX, count_log, count);
}

/* The index stays and knows that there is nothing below the mark, or that what is there is in an archive. */
TEST(prune_answers_for_logs_below_the_mark_only_what_is_known) {
    chain_t c;
    rdg_prune_result_t out;
    uint8_t code[EMITTER_CODE_BYTES], input[EMIT_WORDS * 32] = {[31] = 1};
    rdg_address_t from = support_address(9), emitter;
    size_t count;
    chain_open(&c, "c");
    emitter_code(code);
    rdg_evm_create_address(&from, ++c.nonce, &emitter);
    rdg_tx_t *tx =
        support_tx((tx_spec_t){.create = true, .nonce = c.nonce, .data = rdg_bytes(code, sizeof code)});
    chain_block(&c, &tx, 1);
    for (uint8_t topic = 1; topic <= 6; ++topic) { /* block 1 + topic */
        input[63] = topic;
        tx = support_tx(
            (tx_spec_t){.nonce = ++c.nonce, .to = &emitter, .data = rdg_bytes(input, sizeof input)});
        chain_block(&c, &tx, 1);
    }
    CHECK_OK(logs_with(c.l, 0, 2, &count));
    CHECK_EQ(count, 1);
    CHECK_OK(prune(c.l, 1, 4, 5, &out));
    CHECK_ERR(logs_with(c.l, 0, 2, &count), RDG_E_ARCHIVED);
    CHECK(strstr(rdg_err_message(RDG_E_ARCHIVED), "archive of blocks 1 to 4"));
    CHECK_ERR(logs_with(c.l, 0, 0, &count), RDG_E_ARCHIVED);
    CHECK_OK(logs_with(c.l, 0, 5, &count));
    CHECK_EQ(count, 1);
    CHECK_OK(logs_with(c.l, 0, 77, &count));
    CHECK_EQ(count, 0);
    CHECK_OK(logs_with(c.l, 5, 0, &count));
    CHECK_EQ(count, 3);
    chain_close(&c);
}

static uint64_t disk_bytes(const char *name) {
    char path[600];
    uint64_t bytes = 0;
    CHECK_OK(rdg_path_join(path, sizeof path, rdg_test_dir(), name));
    CHECK_OK(rdg_tree_size(path, &bytes));
    return bytes;
}

/* By number and by age; the newest body stays whatever is said, and what a receipt does not reach. */
TEST(prune_retains_the_newest_blocks_and_the_young_ones) {
    chain_t c;
    rdg_prune_result_t out;
    rdg_header_t h;
    uint64_t first = 0;
    chain_open(&c, "c");
    chain_grow(&c, 20, 1);
    CHECK_OK(rdg_ledger_retained(c.l, &(rdg_retention_t){0, 0}, 20, UINT64_MAX, &first));
    CHECK_EQ(first, 20);
    CHECK_OK(rdg_ledger_retained(c.l, &(rdg_retention_t){0, 0}, 12, UINT64_MAX, &first));
    CHECK_EQ(first, 13);
    CHECK_OK(rdg_ledger_retained(c.l, &(rdg_retention_t){5, 0}, 20, UINT64_MAX, &first));
    CHECK_EQ(first, 16);
    CHECK_OK(rdg_ledger_retained(c.l, &(rdg_retention_t){20, 0}, 20, UINT64_MAX, &first));
    CHECK_EQ(first, 1);
    CHECK_OK(rdg_ledger_retained(c.l, &(rdg_retention_t){UINT64_MAX, 0}, 20, UINT64_MAX, &first));
    CHECK_EQ(first, 1);
    CHECK_OK(rdg_ledger_header(c.l, 7, &h, NULL, NULL));
    for (uint64_t age = 1; age < 1000; age *= 7) {
        CHECK_OK(rdg_ledger_retained(c.l, &(rdg_retention_t){0, age}, 20, h.time_ms + age, &first));
        CHECK_EQ(first, 8); /* block 7 is that old, 8 is younger */
    }
    CHECK_OK(rdg_ledger_retained(c.l, &(rdg_retention_t){0, UINT64_MAX}, 20, h.time_ms, &first));
    CHECK_EQ(first, 1);
    CHECK_OK(prune(c.l, 1, 10, 11, &out));
    CHECK_OK(rdg_ledger_retained(c.l, &(rdg_retention_t){0, 0}, 8, UINT64_MAX, &first));
    CHECK(first <= rdg_ledger_pruned(c.l) + 1); /* nothing to do */
    chain_close(&c);
}

/* Files behind the newest one go whole; its first part goes where the file system has holes. */
TEST(prune_frees_the_disk_and_says_how_much) {
    chain_t c;
    rdg_prune_result_t out;
    static uint8_t data[60000];
    chain_open(&c, "c");
    for (int i = 0; i < 12; ++i) {
        rdg_tx_t *tx =
            support_tx((tx_spec_t){.nonce = ++c.nonce, .gas = 2000000, .data = rdg_bytes(data, sizeof data)});
        rdg_random_fill(rdg_test_random(), data, sizeof data);
        chain_block(&c, &tx, 1);
    }
    uint64_t before = disk_bytes("c/blocks");
    CHECK_OK(prune(c.l, 1, 11, 12, &out));
    CHECK_EQ(before - disk_bytes("c/blocks"), out.bytes_freed);
    CHECK_EQ(rdg_ledger_freed(c.l), out.bytes_freed);
    CHECK(out.bytes_freed == 0 || out.bytes_freed > 10 * sizeof data);
    rdg_block_t *b = NULL;
    CHECK(prune_has_body(c.l, 12));
    rdg_block_unref(b);
    chain_close(&c);
}

TEST(blockfile_release_removes_whole_files) {
    char path[600];
    blockfile_t *b = NULL;
    block_place_t none = {0}, first, second, third;
    uint64_t freed = 0, files = 0;
    CHECK_OK(rdg_path_join(path, sizeof path, rdg_test_dir(), "blocks"));
    uint8_t *big = rdg_calloc(1, BLOCKFILE_ROLL);
    rdg_bytes_t much = rdg_bytes(big, BLOCKFILE_ROLL), little = rdg_bytes(big, 100);
    CHECK_OK(blockfile_open(path, &none, 0, &b));
    CHECK_OK(blockfile_plan(b, much, little, little, &first));
    CHECK_OK(blockfile_append(b, &first, 1, much, little, little));
    CHECK_OK(blockfile_plan(b, little, little, little, &second));
    CHECK_OK(blockfile_append(b, &second, 2, little, little, little));
    CHECK_OK(blockfile_plan(b, little, little, little, &third));
    CHECK_OK(blockfile_append(b, &third, 3, little, little, little));
    CHECK_EQ(second.file, 2);
    for (int twice = 0; twice < 2; ++twice) CHECK_OK(blockfile_release(b, &third, &freed, &files));
    CHECK_EQ(files, 1);
    CHECK(freed >= BLOCKFILE_ROLL);
    rdg_buf_t buf;
    block_parts_t parts;
    rdg_buf_init(&buf, 1000);
    CHECK_OK(blockfile_read(b, &third, 3, &buf, &parts));
    CHECK_ERR(blockfile_read(b, &first, 1, &buf, &parts), RDG_E_TOO_LARGE);
    blockfile_close(b);
    CHECK_OK(blockfile_open(path, &third, 3, &b));
    blockfile_close(b);
    rdg_buf_fini(&buf);
    rdg_free(big);
}

/* --- power cuts ---------------------------------------------------------------------------------- */

static rdg_ledger_t *open_faulty(const rdg_genesis_t *g, rdg_kv_t **faulty) {
    char path[600], db[600];
    rdg_kv_t *kv = NULL;
    rdg_ledger_t *l = NULL;
    CHECK_OK(rdg_path_join(path, sizeof path, rdg_test_dir(), "p"));
    CHECK_OK(rdg_path_join(db, sizeof db, rdg_test_dir(), "p/db"));
    CHECK_OK(rdg_dir_make(path, 0700));
    CHECK_OK(rdg_kv_open_rocksdb(db, &(rdg_kv_options_t){.create = true}, &kv));
    CHECK_OK(rdg_kv_open_faulty(kv, faulty));
    CHECK_OK(rdg_ledger_open(path, g, &(rdg_ledger_options_t){.store = *faulty}, &l));
    return l;
}

/* The write of the mark fails: nothing has gone. It succeeds and the power goes before the files do: open ends it. */
TEST(prune_cut_off_at_any_write_loses_nothing_that_is_not_safe) {
    chain_t c;
    rdg_prune_result_t out;
    rdg_kv_t *faulty = NULL;
    chain_open(&c, "c");
    chain_grow(&c, 8, 1);
    rdg_ledger_t *l = open_faulty(&c.genesis, &faulty);
    memory_file_t f;
    rdg_archive_t *a = NULL;
    memory_init(&f);
    archive_of(&c, 1, 8, NULL, &f);
    CHECK_OK(memory_open(&f, NULL, &a));
    CHECK_OK(rdg_archive_import(a, l, NULL, NULL));
    rdg_kv_faulty_fail_at(faulty, 1, RDG_E_IO);
    CHECK_ERR(prune(l, 1, 6, 7, &out), RDG_E_IO);
    CHECK_EQ(rdg_ledger_pruned(l), 0);
    for (uint64_t h = 1; h <= 8; ++h) CHECK(prune_has_body(l, h));
    rdg_ledger_close(l);
    l = open_faulty(&c.genesis, &faulty);
    CHECK_EQ(rdg_ledger_pruned(l), 0);
    for (uint64_t h = 1; h <= 8; ++h) CHECK(prune_has_body(l, h));
    /* the store is a copy of the moment after the mark, the files of the moment before */
    char blocks[600], kept[600], path[600];
    CHECK_OK(rdg_path_join(blocks, sizeof blocks, rdg_test_dir(), "p/blocks/000001.blk"));
    CHECK_OK(rdg_path_join(kept, sizeof kept, rdg_test_dir(), "kept"));
    CHECK_OK(rdg_path_join(path, sizeof path, rdg_test_dir(), "p"));
    rdg_buf_t bytes;
    rdg_buf_init(&bytes, 1 << 24);
    CHECK_OK(rdg_file_read(blocks, &bytes));
    CHECK_OK(prune(l, 1, 6, 7, &out));
    rdg_ledger_close(l);
    CHECK_OK(rdg_file_replace(blocks, rdg_buf_view(&bytes), 0600));
    l = open_faulty(&c.genesis, &faulty);
    CHECK_EQ(rdg_ledger_pruned(l), 6);
    for (uint64_t h = 1; h <= 8; ++h) CHECK_EQ(prune_has_body(l, h), h > 6);
    rdg_buf_clear(&bytes);
    CHECK_OK(rdg_file_read(blocks, &bytes));
    CHECK(bytes.data[0] == 0); /* the hole */
    rdg_ledger_close(l);
    rdg_buf_fini(&bytes);
    rdg_archive_close(a);
    memory_fini(&f);
    chain_close(&c);
}

static rdg_ledger_t *copy_of(chain_t *c, const char *name, uint64_t head, rdg_kv_t **faulty) {
    char path[600], db[608];
    rdg_kv_t *kv = NULL;
    rdg_ledger_t *l = NULL;
    rdg_archive_t *a = NULL;
    memory_file_t f;
    memory_init(&f);
    CHECK_OK(rdg_path_join(path, sizeof path, rdg_test_dir(), name));
    CHECK_OK(rdg_path_join(db, sizeof db, path, "db"));
    CHECK_OK(rdg_dir_make(path, 0700));
    CHECK_OK(rdg_kv_open_rocksdb(db, &(rdg_kv_options_t){.create = true}, &kv));
    CHECK_OK(rdg_kv_open_faulty(kv, faulty));
    CHECK_OK(rdg_ledger_open(path, &c->genesis, &(rdg_ledger_options_t){.store = *faulty}, &l));
    archive_of(c, 1, head, NULL, &f);
    CHECK_OK(memory_open(&f, NULL, &a));
    CHECK_OK(rdg_archive_import(a, l, NULL, NULL));
    rdg_archive_close(a);
    memory_fini(&f);
    return l;
}

static rdg_ledger_t *open_again(const chain_t *c, const char *name) {
    char path[600];
    rdg_ledger_t *l = NULL;
    CHECK_OK(rdg_path_join(path, sizeof path, rdg_test_dir(), name));
    CHECK_OK(rdg_ledger_open(path, &c->genesis, NULL, &l));
    return l;
}

/* Each write to the store fails in turn, until none is left that could. */
TEST(prune_with_each_write_failing_in_turn_is_ended_or_was_not_begun) {
    chain_t c;
    bool done = false;
    chain_open(&c, "c");
    chain_grow(&c, 8, 1);
    for (uint64_t n = 1; !done; ++n) {
        char name[16];
        rdg_kv_t *faulty = NULL;
        rdg_prune_result_t out;
        CHECK(n < 20);
        snprintf(name, sizeof name, "w%u", (unsigned)n);
        rdg_ledger_t *l = copy_of(&c, name, 8, &faulty);
        rdg_kv_faulty_fail_at(faulty, n, RDG_E_IO);
        rdg_err_t err = prune(l, 1, 6, 7, &out);
        CHECK(err == RDG_OK || err == RDG_E_IO);
        done = err == RDG_OK;
        CHECK(done || n < 5);
        rdg_ledger_close(l);
        l = open_again(&c, name);
        CHECK(prune_check_after_a_cut(l, 8) ==
              (n <= 2 ? 0u : 6u)); /* ids, mark and receipt, the sum of bytes */
        err = prune(l, 1, 6, 7, &out);
        CHECK(err == RDG_OK || err == RDG_E_STALE);
        CHECK_EQ(prune_check_after_a_cut(l, 8), 6);
        rdg_ledger_close(l);
    }
    chain_close(&c);
}

/* In a process of its own: prunes one block after another. */
static void prune_until_killed(const chain_t *c, uint64_t head) {
    rdg_prune_result_t out;
    rdg_ledger_t *l = open_again(c, "k");
    for (uint64_t below = rdg_ledger_pruned(l) + 2; below <= head; ++below)
        if (prune(l, 1, head, below, &out) != RDG_OK) _exit(1);
    _exit(0);
}

TEST(prune_killed_at_any_moment_has_deleted_only_what_is_safe) {
    enum { HEAD = 60 };
    chain_t c;
    rdg_kv_t *faulty = NULL;
    uint64_t mark = 0;
    chain_open(&c, "c");
    chain_grow(&c, HEAD, 2);
    rdg_ledger_close(copy_of(&c, "k", HEAD, &faulty));
    for (int round = 0; round < 60 && mark + 1 < HEAD; ++round) {
        int status;
        pid_t child = fork();
        if (child == 0) prune_until_killed(&c, HEAD);
        usleep((useconds_t)(2000 + rdg_random_below(rdg_test_random(), 40000)));
        kill(child, SIGKILL);
        CHECK(waitpid(child, &status, 0) == child);
        CHECK(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
        rdg_ledger_t *l = open_again(&c, "k");
        uint64_t now = prune_check_after_a_cut(l, HEAD);
        CHECK(now >= mark);
        mark = now;
        rdg_ledger_close(l);
    }
    chain_close(&c);
}
