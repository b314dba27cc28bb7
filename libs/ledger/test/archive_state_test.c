/* A segment that ends with the state: a ledger is built from it without executing what was before. */
#include "ridge/ledger/archive.h"
#include "archive_file.h"
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "snapshot_support.h"

typedef struct fixture {
    chain_t c;
    memory_file_t first, second, third; /* the second ends with the state */
    uint64_t middle, stated;            /* last blocks of the first and the second */
} fixture_t;

static void archive_with_state(rdg_ledger_t *l, uint64_t from, uint64_t to, memory_file_t *out) {
    rdg_snapshot_pin_t *pin = NULL;
    rdg_archive_manifest_t m;
    CHECK_OK(rdg_snapshot_pin_at(l, to, &pin));
    rdg_archive_export_options_t o = {.from = from, .to = to, .signer = support_key(1), .state = pin};
    rdg_archive_sink_t sink = memory_sink(out);
    rdg_buf_clear(&out->bytes);
    CHECK_OK(rdg_archive_export(l, &o, &sink, &m));
    CHECK(m.state_frames >= 2);
    rdg_snapshot_unpin(pin);
}

/* A contract of one byte, in accounts of its own. */
static void deploy(chain_t *c, uint32_t count) {
    static const uint8_t code[] = {0x60, 0x01, 0x60, 0x00, 0x53, 0x60, 0x01, 0x60, 0x00, 0xf3};
    for (uint32_t i = 0; i < count; ++i) {
        rdg_tx_t *tx = support_tx((tx_spec_t){.create = true,
                                              .nonce = ++c->nonce,
                                              .valid_until = chain_height(c) + 100,
                                              .data = rdg_bytes(code, sizeof code)});
        chain_block(c, &tx, 1);
    }
}

/* Validators change before and behind the state; contracts and slots are in it. */
static void setup(fixture_t *f) {
    chain_t *c = &f->c;
    chain_open(c, "c");
    deploy(c, 3);
    chain_fill(c, 2);
    chain_story(c);
    f->middle = chain_height(c) / 2;
    f->stated = chain_height(c);
    chain_grow(c, f->stated + 12, 2);
    memory_init(&f->first), memory_init(&f->second), memory_init(&f->third);
    archive_of(c, 1, f->middle, NULL, &f->first);
    archive_with_state(c->l, f->middle + 1, f->stated, &f->second);
    archive_of(c, f->stated + 1, chain_height(c), NULL, &f->third);
}

static void teardown(fixture_t *f) {
    memory_fini(&f->first), memory_fini(&f->second), memory_fini(&f->third);
    chain_close(&f->c);
}

typedef rdg_err_t (*import_fn)(rdg_archive_t *a, rdg_ledger_t *l, rdg_archive_progress_fn progress,
                               void *ctx);

static rdg_err_t import(const memory_file_t *f, rdg_ledger_t *l, import_fn fn) {
    rdg_archive_t *a = NULL;
    RDG_TRY(memory_open(f, NULL, &a));
    rdg_err_t err = fn(a, l, NULL, NULL);
    rdg_archive_close(a);
    return err;
}

static rdg_err_t import_all(const fixture_t *f, rdg_ledger_t *l) {
    RDG_TRY(import(&f->first, l, rdg_archive_import_headers));
    RDG_TRY(import(&f->second, l, rdg_archive_import_state));
    return import(&f->third, l, rdg_archive_import);
}

static void check_at_the_head(const fixture_t *f, rdg_ledger_t *l) {
    rdg_ledger_head_t a, b;
    rdg_ledger_head(f->c.l, &a), rdg_ledger_head(l, &b);
    CHECK_EQ(b.height, a.height);
    CHECK_MEM(&b.hash, &a.hash, sizeof a.hash);
    CHECK_MEM(&b.executed, &a.executed, sizeof a.executed);
    CHECK_MEM(&b.state_root, &a.state_root, sizeof a.state_root);
    CHECK_EQ(b.tx_total, a.tx_total);
    CHECK_EQ(b.checkpoint_height, a.checkpoint_height);
    CHECK_EQ(b.base_height, f->stated);
}

TEST(archive_state_is_proven_with_the_segment_and_its_content_is_that_of_the_segment_without) {
    fixture_t f;
    memory_file_t plain;
    rdg_archive_t *a = NULL, *b = NULL;
    rdg_hash_t one, other;
    setup(&f);
    memory_init(&plain);
    archive_of(&f.c, f.middle + 1, f.stated, NULL, &plain);
    CHECK_OK(memory_open(&f.second, NULL, &a));
    CHECK_OK(memory_open(&plain, NULL, &b));
    CHECK(rdg_archive_manifest(a)->state_bytes > 0);
    CHECK_EQ(rdg_archive_manifest(b)->state_frames, 0);
    CHECK_EQ(f.second.bytes.data[9], 2);
    CHECK_EQ(plain.bytes.data[9], 1); /* who knows no state reads it all the same */
    CHECK_OK(rdg_archive_content_digest(rdg_archive_manifest(a), &one));
    CHECK_OK(rdg_archive_content_digest(rdg_archive_manifest(b), &other));
    CHECK_MEM(&one, &other, sizeof one);
    rdg_archive_close(a), rdg_archive_close(b);
    CHECK_OK(archive_prove(&f.second, &f.c.genesis, NULL));
    memory_fini(&plain);
    teardown(&f);
}

TEST(archive_state_builds_a_ledger_that_goes_on_with_the_blocks_behind_it) {
    fixture_t f;
    setup(&f);
    rdg_ledger_t *l = support_open("n", &f.c.genesis);
    CHECK_ERR(import(&f.third, l, rdg_archive_import), RDG_E_UNAVAILABLE);
    CHECK_ERR(import(&f.second, l, rdg_archive_import_state), RDG_E_UNAVAILABLE); /* the first comes first */
    CHECK_ERR(import(&f.first, l, rdg_archive_import_state), RDG_E_NOT_FOUND);
    CHECK_OK(import_all(&f, l));
    check_at_the_head(&f, l);
    CHECK_OK(import_all(&f, l)); /* again: nothing changes */
    check_at_the_head(&f, l);

    /* What was before is known by headers and ids, and no transaction of it is taken again. */
    for (uint64_t h = 1; h <= f.stated; ++h) {
        rdg_block_t *b = NULL, *none = NULL;
        rdg_tx_location_t at;
        CHECK_OK(rdg_ledger_header(l, h, NULL, NULL, NULL));
        CHECK_ERR(rdg_ledger_block(l, h, &none), RDG_E_UNAVAILABLE);
        CHECK_OK(rdg_ledger_block(f.c.l, h, &b));
        for (uint32_t i = 0; i < b->header.tx_count; ++i) {
            CHECK_OK(rdg_ledger_find_tx(l, &b->txs[i]->id, &at));
            CHECK_EQ(at.height, h);
            CHECK_EQ(at.index, i);
        }
        rdg_block_unref(b);
    }
    rdg_ledger_close(l);
    l = support_open("n", &f.c.genesis);
    check_at_the_head(&f, l);
    rdg_ledger_close(l);
    teardown(&f);
}

static void path_of(const char *name, char out[600]) {
    CHECK_OK(rdg_path_join(out, 600, rdg_test_dir(), name));
}

/* The n-th write fails, for every n; then the ledger is opened again and goes on. */
TEST(archive_state_import_goes_on_after_any_write_that_failed) {
    fixture_t f;
    char path[600], db[600];
    bool failed = true;
    setup(&f);
    path_of("n", path);
    path_of("n/db", db);
    for (uint64_t n = 2; failed; n += n < 12 ? 1 : 7) {
        rdg_kv_t *kv = NULL, *faulty = NULL;
        rdg_ledger_t *l = NULL;
        CHECK_OK(rdg_tree_remove(path, NULL));
        CHECK_OK(rdg_dir_make(path, 0700));
        CHECK_OK(rdg_kv_open_rocksdb(db, &(rdg_kv_options_t){.create = true}, &kv));
        CHECK_OK(rdg_kv_open_faulty(kv, &faulty));
        rdg_kv_faulty_fail_at(faulty, n, RDG_E_IO);
        CHECK_OK(rdg_ledger_open(path, &f.c.genesis, &(rdg_ledger_options_t){.store = faulty}, &l));
        rdg_err_t err = import_all(&f, l);
        failed = err != RDG_OK;
        if (failed) CHECK_EQ(err, RDG_E_IO);
        rdg_ledger_close(l);
        l = support_open("n", &f.c.genesis);
        CHECK_OK(import_all(&f, l));
        check_at_the_head(&f, l);
        rdg_ledger_close(l);
    }
    teardown(&f);
}

typedef struct stopper {
    unsigned calls, stop_at;
} stopper_t;

static bool stop_at(void *ctx, const rdg_archive_progress_t *progress) {
    stopper_t *s = ctx;
    (void)progress;
    return ++s->calls != s->stop_at;
}

static rdg_err_t import_until(const fixture_t *f, rdg_ledger_t *l, unsigned calls) {
    rdg_archive_t *a = NULL;
    stopper_t s = {.stop_at = calls};
    CHECK_OK(memory_open(&f->second, NULL, &a));
    rdg_err_t err = rdg_archive_import_state(a, l, stop_at, &s);
    rdg_archive_close(a);
    return err;
}

/* Stopped after every step in turn: what was taken is there when it is opened again. */
TEST(archive_state_import_that_is_stopped_keeps_what_it_has) {
    fixture_t f;
    uint32_t taken = 0;
    setup(&f);
    rdg_ledger_t *l = support_open("n", &f.c.genesis);
    CHECK_OK(import(&f.first, l, rdg_archive_import_headers));
    for (unsigned calls = 1;; ++calls) {
        rdg_snapshot_import_t *i = NULL;
        rdg_snapshot_info_t info = {.next = 0};
        rdg_err_t err = import_until(&f, l, calls);
        if (err == RDG_OK) break;
        CHECK_ERR(err, RDG_E_CANCELLED);
        rdg_ledger_close(l);
        l = support_open("n", &f.c.genesis);
        if (rdg_snapshot_import_resume(l, &i) == RDG_OK) rdg_snapshot_import_info(i, &info);
        rdg_snapshot_import_close(i);
        CHECK(info.next >= taken);
        taken = info.next;
    }
    CHECK(taken > 0);
    CHECK_OK(import(&f.third, l, rdg_archive_import));
    check_at_the_head(&f, l);
    rdg_ledger_close(l);
    teardown(&f);
}

/* --- lies ----------------------------------------------------------------------------------------- */

typedef struct state_lie {
    uint32_t at; /* frame */
    size_t byte;
} state_lie_t;

static void flip_byte(void *ctx, uint32_t index, frame_t *f, rdg_buf_t *raw) {
    const state_lie_t *lie = ctx;
    (void)f;
    if (index == lie->at) raw->data[lie->byte % raw->len] ^= 1;
}

static void take_state(const fixture_t *f, rdg_archive_t **a, uint32_t *first) {
    CHECK_OK(memory_open(&f->second, NULL, a));
    *first = (*a)->first_state;
}

/* Every byte counts: what is flipped anywhere in manifest, state or code is found, though digests and signature agree. */
TEST(archive_state_that_lies_is_refused) {
    fixture_t f;
    memory_file_t lied;
    rdg_archive_t *a = NULL;
    uint32_t first;
    setup(&f);
    memory_init(&lied);
    take_state(&f, &a, &first);
    uint32_t frames = a->manifest.state_frames;
    rdg_archive_close(a);
    for (int i = 0; i < 60; ++i) {
        state_lie_t l = {first + (uint32_t)rdg_random_below(rdg_test_random(), frames),
                         (size_t)rdg_random_below(rdg_test_random(), 1 << 20)};
        archive_forge(&f.second, &(lie_t){.frame = flip_byte, .ctx = &l}, &lied);
        rdg_err_t err = archive_prove(&lied, &f.c.genesis, NULL);
        if (err == RDG_OK)
            rdg_test_fail(__FILE__, __LINE__, "part %u, byte %zu: taken", l.at - first, l.byte);
        CHECK(strstr(rdg_err_message(err), "state") != NULL);
    }
    memory_fini(&lied);
    teardown(&f);
}

static void other_range(void *ctx, rdg_archive_manifest_t *m) {
    m->state_frames = *(uint32_t *)ctx;
}

TEST(archive_state_has_as_many_parts_as_its_manifests_say) {
    fixture_t f;
    memory_file_t lied;
    setup(&f);
    memory_init(&lied);
    uint32_t frames = 1;
    archive_forge(&f.second, &(lie_t){.manifest = other_range, .ctx = &frames}, &lied);
    CHECK_ERR(archive_prove(&lied, &f.c.genesis, NULL), RDG_E_MALFORMED);
    rdg_snapshot_pin_t *pin = NULL;
    CHECK_OK(rdg_snapshot_pin_at(f.c.l, f.stated + 1, &pin));
    rdg_archive_export_options_t o = {.from = 1, .to = f.stated, .signer = support_key(1), .state = pin};
    rdg_archive_sink_t sink = memory_sink(&lied);
    CHECK_ERR(rdg_archive_export(f.c.l, &o, &sink, NULL), RDG_E_INVALID); /* the state of another block */
    rdg_snapshot_unpin(pin);
    memory_fini(&lied);
    teardown(&f);
}
