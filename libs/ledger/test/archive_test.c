/* A segment holds what the ledger held, on every node the same, and opens at any place. */
#include "ridge/ledger/archive.h"
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include "archive_file.h"
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"

static void check_block(rdg_ledger_t *l, rdg_archive_t *a, uint64_t height) {
    rdg_archive_block_t got;
    rdg_block_t *want = NULL;
    rdg_buf_t receipts, seal, checkpoint;
    rdg_buf_init(&receipts, 1 << 20), rdg_buf_init(&seal, 65536), rdg_buf_init(&checkpoint, 65536);
    CHECK_OK(rdg_ledger_block(l, height, &want));
    CHECK_OK(rdg_ledger_receipts(l, height, &receipts));
    CHECK_OK(rdg_ledger_seal(l, height, &seal, &checkpoint));
    CHECK_OK(rdg_archive_read(a, height, &got));
    CHECK(got.proven);
    CHECK(rdg_bytes_equal(got.block->proposal, want->proposal));
    CHECK(rdg_bytes_equal(got.receipts, rdg_buf_view(&receipts)));
    CHECK(rdg_bytes_equal(got.seal, rdg_buf_view(&seal)));
    CHECK(rdg_bytes_equal(got.checkpoint, rdg_buf_view(&checkpoint)));
    rdg_archive_block_fini(&got);
    for (uint32_t i = 0; i < want->header.tx_count; ++i) {
        rdg_tx_location_t at = {0};
        CHECK_OK(rdg_archive_find_tx(a, &want->txs[i]->id, &at));
        CHECK_EQ(at.height, height);
        CHECK_EQ(at.index, i);
    }
    rdg_block_unref(want);
    rdg_buf_fini(&receipts), rdg_buf_fini(&seal), rdg_buf_fini(&checkpoint);
}

static void check_range(const chain_t *c, uint64_t from, uint64_t to) {
    memory_file_t f;
    rdg_archive_t *a = NULL;
    rdg_archive_report_t report;
    memory_init(&f);
    archive_of(c, from, to, NULL, &f);
    CHECK_OK(memory_open(&f, NULL, &a));
    CHECK_ERR(rdg_archive_verify(a, NULL, NULL, NULL), RDG_E_INVALID); /* against nothing */
    CHECK_OK(rdg_archive_trust(a, &c->genesis));
    CHECK_OK(rdg_archive_verify(a, NULL, NULL, &report));
    CHECK_EQ(report.blocks, to - from + 1);
    CHECK_EQ(report.txs, rdg_archive_manifest(a)->tx_count);
    for (uint64_t h = from; h <= to; ++h) check_block(c->l, a, h);
    rdg_archive_block_t none;
    rdg_tx_location_t nowhere;
    rdg_hash_t id = {{1}};
    CHECK_ERR(rdg_archive_read(a, to + 1, &none), RDG_E_NOT_FOUND);
    CHECK_ERR(rdg_archive_read(a, from - 1, &none), RDG_E_NOT_FOUND);
    CHECK_ERR(rdg_archive_find_tx(a, &id, &nowhere), RDG_E_NOT_FOUND);
    rdg_archive_close(a);
    memory_fini(&f);
}

TEST(archive_holds_what_the_ledger_held_over_changes_of_the_validators) {
    chain_t c;
    chain_open(&c, "c");
    chain_story(&c);
    uint64_t head = chain_height(&c);
    check_range(&c, 1, head);
    check_range(&c, 1, 1);
    check_range(&c, head, head);
    for (int i = 0; i < 6; ++i) {
        uint64_t from = 1 + rdg_random_below(rdg_test_random(), head);
        check_range(&c, from, from + rdg_random_below(rdg_test_random(), head - from + 1));
    }
    chain_close(&c);
}

/* Blocks of 100 KiB that do not compress. */
static void fill(chain_t *c, uint64_t height) {
    static uint8_t data[20000];
    while (chain_height(c) < height) {
        rdg_tx_t *txs[5];
        for (int i = 0; i < 5; ++i) {
            rdg_random_fill(rdg_test_random(), data, sizeof data);
            txs[i] = support_tx((tx_spec_t){.nonce = ++c->nonce, .data = rdg_bytes(data, sizeof data)});
        }
        chain_block(c, txs, 5);
    }
}

TEST(archive_of_many_frames_opens_at_each_block) {
    chain_t c;
    chain_open(&c, "c");
    fill(&c, 12);
    memory_file_t f;
    rdg_archive_t *a = NULL;
    memory_init(&f);
    archive_of(&c, 1, 12, NULL, &f);
    CHECK_OK(memory_open(&f, NULL, &a));
    CHECK(rdg_archive_manifest(a)->frame_count > 5);
    rdg_archive_close(a);
    memory_fini(&f);
    check_range(&c, 1, 12);
    check_range(&c, 4, 11);
    chain_close(&c);
}

static void archive_with(const chain_t *c, uint64_t to, const rdg_archive_key_t *key, unsigned threads,
                         memory_file_t *out) {
    rdg_archive_export_options_t o = {
        .from = 1, .to = to, .signer = support_key(1), .key = key, .threads = threads};
    rdg_archive_sink_t sink = memory_sink(out);
    CHECK_OK(rdg_archive_export(c->l, &o, &sink, NULL));
}

/* Up to the signature, which is random. */
static size_t proven_len(const memory_file_t *f) {
    archive_trailer_t t;
    CHECK_OK(archive_trailer_decode(f->bytes.data + f->bytes.len - ARCHIVE_TRAILER_BYTES, f->bytes.len, &t));
    return f->bytes.len - ARCHIVE_TRAILER_BYTES - t.signature_bytes;
}

TEST(archive_of_several_threads_is_that_of_one) {
    static const rdg_archive_key_t key = {.id = "k", .key = {1, 2, 3}};
    rdg_archive_options_t with = {.keys = &key, .key_count = 1, .threads = 3};
    chain_t c;
    chain_open(&c, "c");
    chain_story(&c);
    fill(&c, chain_height(&c) + 40);
    for (int encrypted = 0; encrypted < 2; ++encrypted) {
        memory_file_t one, many;
        rdg_archive_t *a = NULL;
        memory_init(&one);
        archive_with(&c, chain_height(&c), encrypted ? &key : NULL, 1, &one);
        for (unsigned threads = 0; threads <= 9; threads += 3) {
            memory_init(&many);
            archive_with(&c, chain_height(&c), encrypted ? &key : NULL, threads, &many);
            CHECK_EQ(proven_len(&one), proven_len(&many));
            CHECK_MEM(one.bytes.data, many.bytes.data, proven_len(&one));
            memory_fini(&many);
        }
        CHECK_OK(memory_open(&one, &with, &a));
        CHECK(rdg_archive_manifest(a)->frame_count > 20);
        CHECK_OK(rdg_archive_trust(a, &c.genesis));
        CHECK_OK(rdg_archive_verify(a, NULL, NULL, NULL));
        rdg_archive_close(a);
        memory_fini(&one);
    }
    chain_close(&c);
}

static rdg_err_t verify_with(const memory_file_t *f, const rdg_genesis_t *g, unsigned threads,
                             char why[400]) {
    rdg_archive_t *a = NULL;
    rdg_archive_options_t o = {.threads = threads};
    CHECK_OK(memory_open(f, &o, &a));
    rdg_err_t err = rdg_archive_trust(a, g);
    if (err == RDG_OK) err = rdg_archive_verify(a, NULL, NULL, NULL);
    snprintf(why, 400, "%s", err == RDG_OK ? "" : rdg_err_message(err));
    rdg_archive_close(a);
    return err;
}

/* Whatever the threads come to first, what is told is the first that is wrong. */
TEST(archive_damaged_is_refused_by_several_threads_as_by_one) {
    chain_t c;
    memory_file_t f;
    rdg_archive_t *a = NULL;
    char one[400], many[400];
    chain_open(&c, "c");
    fill(&c, 24);
    memory_init(&f);
    archive_of(&c, 1, 24, NULL, &f);
    CHECK_OK(memory_open(&f, NULL, &a));
    for (uint32_t i = 0; i < a->frames.count; ++i) {
        const frame_t *frame = &a->frames.frames[i], *last = &a->frames.frames[a->frames.count - 3];
        f.bytes.data[frame->offset + frame->stored_len / 2] ^= 1;
        f.bytes.data[last->offset + 1] ^= 1;
        rdg_err_t err = verify_with(&f, &c.genesis, 1, one);
        CHECK_EQ(err, RDG_E_CORRUPT);
        CHECK_EQ(verify_with(&f, &c.genesis, 4, many), err);
        CHECK_STR(one, many);
        f.bytes.data[frame->offset + frame->stored_len / 2] ^= 1;
        f.bytes.data[last->offset + 1] ^= 1;
    }
    CHECK_OK(verify_with(&f, &c.genesis, 4, many));
    rdg_archive_close(a);
    memory_fini(&f);
    chain_close(&c);
}

TEST(archive_is_the_same_each_time_and_its_content_on_every_node) {
    chain_t c, other;
    memory_file_t one, two;
    rdg_archive_t *a = NULL, *b = NULL;
    rdg_hash_t first, second;
    chain_open(&c, "c");
    chain_story(&c);
    chain_copy(&c, "d", &other);
    memory_init(&one), memory_init(&two);
    archive_of(&c, 1, chain_height(&c), NULL, &one);
    archive_of(&c, 1, chain_height(&c), NULL, &two);
    CHECK_OK(memory_open(&one, NULL, &a));
    CHECK_OK(memory_open(&two, NULL, &b));
    rdg_archive_digest(a, &first), rdg_archive_digest(b, &second);
    CHECK(rdg_hash_equal(&first, &second)); /* all but the signature, which is random */
    rdg_archive_close(b);
    archive_of(&other, 1, chain_height(&c), NULL, &two);
    CHECK_OK(memory_open(&two, NULL, &b));
    rdg_archive_digest(b, &second);
    CHECK(!rdg_hash_equal(&first, &second));
    CHECK_OK(rdg_archive_content_digest(rdg_archive_manifest(a), &first));
    CHECK_OK(rdg_archive_content_digest(rdg_archive_manifest(b), &second));
    CHECK(rdg_hash_equal(&first, &second));
    for (uint32_t i = 0; i < a->frames.count; ++i)
        if (a->frames.frames[i].kind == FRAME_BODIES || a->frames.frames[i].kind == FRAME_TXS)
            CHECK(rdg_hash_equal(&a->frames.frames[i].digest, &b->frames.frames[i].digest));
    CHECK_OK(archive_prove(&two, &c.genesis, NULL));
    rdg_archive_close(a);
    rdg_archive_close(b);
    memory_fini(&one), memory_fini(&two);
    chain_close(&c);
    chain_close(&other);
}

TEST(archive_encrypted_opens_with_its_key_only) {
    chain_t c;
    memory_file_t f, again;
    rdg_archive_t *a = NULL;
    rdg_archive_key_t key = {"site-7/2026", {1, 2, 3}}, wrong = {"site-7/2026", {1, 2, 4}},
                      other = {"site-8", {1}};
    const rdg_archive_key_t both[] = {other, key};
    rdg_archive_options_t with = {.keys = both, .key_count = 2}, bad = {.keys = &wrong, .key_count = 1},
                          missing = {.keys = &other, .key_count = 1};
    chain_open(&c, "c");
    chain_story(&c);
    memory_init(&f), memory_init(&again);
    archive_of(&c, 1, chain_height(&c), &key, &f);
    archive_of(&c, 1, chain_height(&c), &key, &again);
    size_t frames = f.bytes.len - 400;
    CHECK(f.bytes.len == again.bytes.len && memcmp(f.bytes.data, again.bytes.data, frames) == 0);
    CHECK_OK(memory_open(&f, &with, &a));
    CHECK_STR(rdg_archive_manifest(a)->key_id, "site-7/2026");
    CHECK_OK(rdg_archive_trust(a, &c.genesis));
    CHECK_OK(rdg_archive_verify(a, NULL, NULL, NULL));
    check_block(c.l, a, 5);
    rdg_archive_close(a);
    CHECK_OK(memory_open(&f, &bad, &a));
    CHECK_ERR(rdg_archive_trust(a, &c.genesis), RDG_E_UNAUTHENTICATED);
    rdg_archive_close(a);
    CHECK_OK(memory_open(&f, &missing, &a)); /* the manifest can be shown */
    CHECK_ERR(rdg_archive_trust(a, &c.genesis), RDG_E_UNAUTHENTICATED);
    CHECK(strstr(rdg_err_message(RDG_E_UNAUTHENTICATED), "site-7/2026"));
    rdg_archive_close(a);
    memory_fini(&f), memory_fini(&again);
    chain_close(&c);
}

TEST(archive_takes_only_what_is_certified) {
    chain_t c;
    memory_file_t f;
    rdg_archive_sink_t sink;
    uint64_t to = 0;
    chain_open(&c, "c");
    memory_init(&f);
    sink = memory_sink(&f);
    rdg_archive_export_options_t o = {.from = 1, .to = 1, .signer = support_key(1)};
    CHECK_ERR(rdg_archive_plan(c.l, 1, 9, &to), RDG_E_UNAVAILABLE);
    CHECK_ERR(rdg_archive_export(c.l, &o, &sink, NULL), RDG_E_UNAVAILABLE);
    chain_grow(&c, 3, 1);
    CHECK_OK(support_apply_epoch(c.l, NULL, 0)); /* 4: without a certificate */
    CHECK_OK(rdg_archive_plan(c.l, 1, 9, &to));
    CHECK_EQ(to, 3);
    o.to = 4;
    CHECK_ERR(rdg_archive_export(c.l, &o, &sink, NULL), RDG_E_UNAVAILABLE);
    chain_grow(&c, 5, 0);
    o.to = 5;
    CHECK_ERR(rdg_archive_export(c.l, &o, &sink, NULL), RDG_E_UNAVAILABLE);
    CHECK(strstr(rdg_err_message(RDG_E_UNAVAILABLE), "block 4"));
    o = (rdg_archive_export_options_t){.from = 3, .to = 2, .signer = support_key(1)};
    CHECK_ERR(rdg_archive_export(c.l, &o, &sink, NULL), RDG_E_INVALID);
    o.from = 0;
    CHECK_ERR(rdg_archive_export(c.l, &o, &sink, NULL), RDG_E_INVALID);
    memory_fini(&f);
    chain_close(&c);
}

/* --- files --------------------------------------------------------------------------------------- */

static bool stop_at_once(void *ctx, const rdg_archive_progress_t *p) {
    (void)ctx, (void)p;
    return false;
}

static void path_of(const char *name, char out[600]) {
    CHECK_OK(rdg_path_join(out, 600, rdg_test_dir(), name));
}

static void read_whole(const char *path, rdg_buf_t *out) {
    rdg_buf_clear(out);
    CHECK_OK(rdg_file_read(path, out));
}

/* Whatever an interrupted export has left, or somebody wrote there, the next one ends with the same frames. */
TEST(archive_export_to_a_file_goes_on_where_it_was_cut) {
    chain_t c;
    char path[600], part[700];
    rdg_buf_t first, again;
    rdg_archive_t *a = NULL;
    chain_open(&c, "c");
    chain_story(&c);
    rdg_archive_export_options_t o = {.from = 1, .to = chain_height(&c), .signer = support_key(1)};
    rdg_buf_init(&first, 1 << 24), rdg_buf_init(&again, 1 << 24);
    path_of("a.rdgarchive", path);
    snprintf(part, sizeof part, "%s.part", path);
    CHECK_OK(rdg_archive_export_file(c.l, &o, path, NULL));
    CHECK(!rdg_file_exists(part));
    CHECK_ERR(rdg_archive_export_file(c.l, &o, path, NULL), RDG_E_EXISTS);
    read_whole(path, &first);
    for (int i = 0; i < 12; ++i) {
        size_t cut = (size_t)rdg_random_below(rdg_test_random(), first.len + 1);
        CHECK(unlink(path) == 0);
        CHECK_OK(rdg_file_replace(part, rdg_bytes(first.data, cut), 0600));
        if (i % 3 == 0 && cut > 0) { /* torn: the last bytes are not what was written */
            rdg_buf_clear(&again);
            CHECK_OK(rdg_buf_append(&again, first.data, cut));
            memset(again.data + cut - (cut < 100 ? cut : 100), 0, cut < 100 ? cut : 100);
            CHECK_OK(rdg_buf_append(&again, "garbage behind it", 17));
            CHECK_OK(rdg_file_replace(part, rdg_buf_view(&again), 0600));
        }
        CHECK_OK(rdg_archive_export_file(c.l, &o, path, NULL));
        read_whole(path, &again);
        CHECK_EQ(again.len, first.len);
        CHECK_MEM(again.data, first.data, first.len - 180); /* up to the signature */
        CHECK_OK(rdg_archive_open_file(path, NULL, &a));
        CHECK_OK(rdg_archive_trust(a, &c.genesis));
        CHECK_OK(rdg_archive_verify(a, NULL, NULL, NULL));
        CHECK_ERR(rdg_archive_verify(a, stop_at_once, NULL, NULL), RDG_E_CANCELLED);
        rdg_archive_close(a);
    }
    CHECK_ERR(rdg_archive_open_file(part, NULL, &a), RDG_E_NOT_FOUND);
    rdg_buf_fini(&first), rdg_buf_fini(&again);
    chain_close(&c);
}

typedef struct failing {
    long left;
    memory_file_t f;
} failing_t;

static rdg_err_t fail_later(void *ctx, rdg_bytes_t bytes) {
    failing_t *f = ctx;
    if (f->left-- == 0) return rdg_fail(RDG_E_DISK_FULL, "no space for %zu bytes", bytes.len);
    return rdg_buf_append(&f->f.bytes, bytes.data, bytes.len);
}

TEST(archive_export_says_when_any_write_of_it_fails) {
    chain_t c;
    failing_t f;
    chain_open(&c, "c");
    chain_story(&c);
    memory_init(&f.f);
    rdg_archive_sink_t sink = {fail_later, &f};
    rdg_archive_export_options_t o = {.from = 1, .to = chain_height(&c), .signer = support_key(1)};
    rdg_err_t err = RDG_E_DISK_FULL;
    long writes = 0;
    for (; err != RDG_OK; ++writes) {
        f.left = writes;
        rdg_buf_clear(&f.f.bytes);
        err = rdg_archive_export(c.l, &o, &sink, NULL);
        CHECK(err == RDG_OK || err == RDG_E_DISK_FULL);
    }
    CHECK(writes > 5);
    CHECK_OK(archive_prove(&f.f, &c.genesis, NULL));
    f.left = 1000;
    o.progress = stop_at_once;
    CHECK_ERR(rdg_archive_export(c.l, &o, &sink, NULL), RDG_E_CANCELLED);
    memory_fini(&f.f);
    chain_close(&c);
}

/* --- back into a ledger -------------------------------------------------------------------------- */

static void check_same_ledger(rdg_ledger_t *a, rdg_ledger_t *b) {
    rdg_ledger_head_t one, two;
    rdg_ledger_head(a, &one), rdg_ledger_head(b, &two);
    CHECK_MEM(&one, &two, sizeof one);
}

TEST(archive_import_builds_the_ledger_anew_from_one_or_many) {
    chain_t c;
    memory_file_t f[3];
    rdg_archive_t *a = NULL;
    chain_open(&c, "c");
    chain_story(&c);
    uint64_t head = chain_height(&c), cuts[4] = {0, 20, 40, head};
    rdg_ledger_t *l = support_open("n", &c.genesis);
    for (int i = 0; i < 3; ++i) {
        memory_init(&f[i]);
        archive_of(&c, cuts[i] + 1, cuts[i + 1], NULL, &f[i]);
    }
    CHECK_OK(memory_open(&f[1], NULL, &a));
    CHECK_ERR(rdg_archive_import(a, l, NULL, NULL), RDG_E_UNAVAILABLE); /* blocks before it are missing */
    rdg_archive_close(a);
    for (int i = 0; i < 3; ++i) {
        for (int twice = 0; twice < 2; ++twice) {
            CHECK_OK(memory_open(&f[i], NULL, &a));
            CHECK_OK(rdg_archive_import(a, l, NULL, NULL));
            rdg_archive_close(a);
        }
        memory_fini(&f[i]);
    }
    check_same_ledger(c.l, l);
    rdg_ledger_close(l);
    chain_close(&c);
}

/* The n-th write of an import fails, for every n; then the ledger is opened again and goes on. */
TEST(archive_import_goes_on_after_any_write_that_failed) {
    chain_t c;
    char path[600], db[600];
    memory_file_t f;
    chain_open(&c, "c");
    chain_grow(&c, 12, 1);
    memory_init(&f);
    archive_of(&c, 1, 12, NULL, &f);
    path_of("n", path);
    path_of("n/db", db);
    for (uint64_t n = 2; n < 30; n += 3) {
        rdg_kv_t *kv = NULL, *faulty = NULL;
        rdg_ledger_t *l = NULL;
        rdg_archive_t *a = NULL;
        CHECK_OK(rdg_tree_remove(path, NULL));
        CHECK_OK(rdg_dir_make(path, 0700));
        CHECK_OK(rdg_kv_open_rocksdb(db, &(rdg_kv_options_t){.create = true}, &kv));
        CHECK_OK(rdg_kv_open_faulty(kv, &faulty));
        rdg_kv_faulty_fail_at(faulty, n, RDG_E_IO);
        CHECK_OK(rdg_ledger_open(path, &c.genesis, &(rdg_ledger_options_t){.store = faulty}, &l));
        CHECK_OK(memory_open(&f, NULL, &a));
        rdg_err_t err = rdg_archive_import(a, l, NULL, NULL);
        CHECK(err == RDG_E_IO || n > 24);
        rdg_ledger_close(l);
        l = support_open("n", &c.genesis);
        CHECK_OK(rdg_archive_import(a, l, NULL, NULL));
        check_same_ledger(c.l, l);
        rdg_archive_close(a);
        rdg_ledger_close(l);
    }
    memory_fini(&f);
    chain_close(&c);
}

TEST(archive_survives_or_refuses_want_of_memory) {
    chain_t c;
    memory_file_t f, out;
    chain_open(&c, "c");
    chain_grow(&c, 3, 2);
    memory_init(&f), memory_init(&out);
    archive_of(&c, 1, 3, NULL, &f);
    rdg_archive_export_options_t o = {.from = 1, .to = 3, .signer = support_key(1)};
    rdg_archive_sink_t sink = memory_sink(&out);
    CHECK_OK(rdg_buf_reserve(&out.bytes, f.bytes.len + 1000)); /* the test's own memory is not in the loop */
    rdg_err_t err;
    RDG_TEST_ALLOC_LOOP(err) {
        err = archive_prove(&f, &c.genesis, NULL);
    }
    RDG_TEST_ALLOC_LOOP(err) {
        rdg_buf_clear(&out.bytes);
        err = rdg_archive_export(c.l, &o, &sink, NULL);
    }
    CHECK_OK(archive_prove(&out, &c.genesis, NULL));
    memory_fini(&f), memory_fini(&out);
    chain_close(&c);
}
