/* Snapshots of the state: from one ledger into another, and everything that is refused on the way. */
#include <stdio.h>
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "snapshot_support.h"

enum { SLOTS = 9600, ACCOUNTS = 300 };

typedef struct world {
    rdg_genesis_t genesis;
    rdg_ledger_t *giver;
    rdg_address_t contract;
    frames_t f; /* with all headers */
    uint64_t height;
} world_t;

static void fill(world_t *w) {
    w->contract = chain_deploy(w->giver, 1);
    for (uint64_t i = 0; i < SLOTS; i += 1200) chain_store(w->giver, &w->contract, 10 + i, i, i + 1200);
    chain_transfers(w->giver, 1000000, ACCOUNTS);
    chain_empty(w->giver, 6);
}

static void world_init(world_t *w) {
    rdg_snapshot_pin_t *pin = NULL;
    memset(w, 0, sizeof *w);
    support_genesis(&w->genesis);
    w->giver = support_open("giver", &w->genesis);
    fill(w);
    chain_certify(w->giver);
    CHECK_OK(rdg_snapshot_pin(w->giver, &pin));
    w->height = rdg_snapshot_pin_height(pin);
    /* What comes after the pin is not in the snapshot. */
    chain_store(w->giver, &w->contract, 5000, SLOTS, SLOTS + 100);
    chain_certify(w->giver);
    frames_init(&w->f);
    frames_export(&w->f, w->giver, pin, 1, 256 << 10);
    rdg_snapshot_unpin(pin);
}

static void world_fini(world_t *w) {
    frames_fini(&w->f);
    rdg_ledger_close(w->giver);
}

static void check_slot(rdg_ledger_t *l, const rdg_address_t *contract, uint64_t slot, uint64_t want) {
    rdg_word_t key = {{0}}, value = {{0}};
    rdg_store_be64(key.b + 24, slot);
    CHECK_OK(rdg_ledger_storage(l, contract, &key, &value));
    CHECK_EQ(rdg_load_be64(value.b + 24), want);
}

static void check_same_state(const world_t *w, rdg_ledger_t *l) {
    rdg_ledger_head_t head;
    rdg_executed_t executed;
    rdg_ledger_head(l, &head);
    CHECK_EQ(head.height, w->height);
    CHECK_OK(rdg_ledger_header(w->giver, w->height, NULL, NULL, &executed));
    CHECK(rdg_hash_equal(&executed.state_root, &head.state_root));
    for (uint64_t i = 0; i < SLOTS; i += 7) check_slot(l, &w->contract, i, i + 1);
    check_slot(l, &w->contract, SLOTS, 0);
    for (uint64_t i = 0; i < ACCOUNTS; i += 11) {
        rdg_address_t a = {{0xbb}};
        rdg_word_t balance;
        rdg_store_be64(a.b + 12, 1000000 + i);
        CHECK_OK(rdg_ledger_account(l, &a, NULL, &balance, NULL));
        CHECK_EQ(rdg_load_be64(balance.b + 24), 1 + i);
    }
    rdg_buf_t code;
    rdg_buf_init(&code, 65536);
    CHECK_OK(rdg_ledger_account(l, &w->contract, NULL, NULL, &code));
    CHECK_EQ(code.len, 30);
    rdg_buf_fini(&code);
}

/* Its blocks go on; what was in a block before may not come again; what has no body says so. */
static void check_goes_on(const world_t *w, rdg_ledger_t *l) {
    rdg_block_t *b = NULL;
    rdg_buf_t proposal;
    rdg_ledger_head_t a, z;
    rdg_address_t to = {{0xbb}};
    rdg_store_be64(to.b + 12, 1000000);
    rdg_buf_init(&proposal, RDG_BLOCK_BYTES_MAX);
    rdg_tx_t *again[1] = {
        support_tx((tx_spec_t){.to = &to, .nonce = 1000000, .value = 1, .gas = 21000, .valid_until = 50000})};
    support_proposal(l, again, 1, &proposal);
    CHECK_ERR(rdg_ledger_validate(l, NULL, rdg_buf_view(&proposal), UINT64_MAX / 2), RDG_E_DUPLICATE);
    rdg_tx_location_t where;
    CHECK_OK(rdg_ledger_find_tx(l, &again[0]->id, &where));
    rdg_tx_unref(again[0]);
    rdg_buf_fini(&proposal);
    CHECK_ERR(rdg_ledger_block(l, where.height, &b), RDG_E_UNAVAILABLE);
    CHECK(strstr(rdg_err_message(RDG_E_UNAVAILABLE), "snapshot at block"));
    CHECK_OK(chain_copy_block(w->giver, l, w->height + 1));
    rdg_ledger_head(w->giver, &a);
    rdg_ledger_head(l, &z);
    CHECK(rdg_hash_equal(&a.executed, &z.executed) && rdg_hash_equal(&a.hash, &z.hash));
    CHECK_EQ(z.tx_total, a.tx_total);
    check_slot(l, &w->contract, SLOTS + 99, SLOTS + 100);
    CHECK_OK(rdg_ledger_block(l, w->height + 1, &b));
    rdg_block_unref(b);
}

TEST(snapshot_round_trip_through_a_stream_and_over_a_restart) {
    world_t w;
    world_init(&w);
    rdg_ledger_t *l = support_open("taker", &w.genesis);
    CHECK_OK(frames_read(&w.f, l, 1000, w.f.bytes.len));
    check_same_state(&w, l);
    rdg_ledger_close(l);
    l = support_open("taker", &w.genesis);
    check_same_state(&w, l);
    check_goes_on(&w, l);
    rdg_ledger_close(l);
    l = support_open("taker", &w.genesis);
    rdg_buf_t output;
    rdg_call_result_t result;
    rdg_buf_init(&output, 64);
    CHECK_OK(rdg_ledger_call(l, &(rdg_call_t){.to = &w.contract}, &output, &result));
    CHECK_EQ(result.status, RDG_EVM_SUCCESS);
    rdg_buf_fini(&output);
    bool done = false;
    while (!done) CHECK_OK(rdg_snapshot_sweep(l, 1000, &done));
    rdg_ledger_close(l);
    world_fini(&w);
}

TEST(snapshot_is_the_same_bytes_from_every_ledger_whatever_its_memory) {
    world_t w;
    frames_t other;
    rdg_snapshot_pin_t *pin = NULL;
    world_init(&w);
    rdg_ledger_t *l = support_open("taker", &w.genesis);
    CHECK_OK(frames_read(&w.f, l, 1 << 20, w.f.bytes.len));
    CHECK_OK(rdg_snapshot_pin(l, &pin));
    frames_init(&other);
    frames_export(&other, l, pin, 1, 16 << 20); /* of a ledger that has no body of it */
    rdg_snapshot_unpin(pin);
    size_t mine = frames_manifest(&w.f), theirs = frames_manifest(&other);
    CHECK_EQ(w.f.count - mine, other.count - theirs);
    for (size_t i = 0; i < other.count - theirs; ++i)
        CHECK(rdg_bytes_equal(frames_get(&w.f, mine + i), frames_get(&other, theirs + i)));
    CHECK(w.f.count - mine > 4);
    frames_fini(&other);
    rdg_ledger_close(l);
    world_fini(&w);
}

static void take_headers(const world_t *w, rdg_ledger_t *l) {
    uint64_t known;
    for (size_t i = 0; i < frames_manifest(&w->f); ++i)
        CHECK_OK(rdg_headers_import(l, frames_get(&w->f, i), &known));
    CHECK_EQ(known, w->height);
}

static void names_chunk(rdg_err_t err, uint32_t number) {
    char want[32];
    snprintf(want, sizeof want, "chunk %u", number);
    if (!strstr(rdg_err_message(err), want))
        rdg_test_fail(__FILE__, __LINE__, "'%s' does not name %s", rdg_err_message(err), want);
}

static void refuse(rdg_snapshot_import_t *import, uint32_t number, rdg_bytes_t chunk) {
    rdg_snapshot_info_t info;
    rdg_err_t err = rdg_snapshot_import_chunk(import, chunk);
    CHECK(err == RDG_E_MALFORMED || err == RDG_E_INVALID || err == RDG_E_CONFLICT ||
          err == RDG_E_WRONG_CHAIN || err == RDG_E_TOO_LARGE);
    names_chunk(err, number);
    rdg_snapshot_import_info(import, &info);
    CHECK_EQ(info.next, number);
}

static void refuse_altered(rdg_snapshot_import_t *import, uint32_t number, rdg_bytes_t chunk) {
    uint8_t *copy = rdg_memdup(chunk.data, chunk.len);
    const rdg_random_t *random = rdg_test_random();
    const size_t cuts[] = {0, 1, 24, 25, 26, chunk.len / 2, chunk.len - 1};
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; ++i)
        if (cuts[i] < chunk.len) refuse(import, number, rdg_bytes(copy, cuts[i]));
    for (size_t i = 0; i < 30; ++i) {
        size_t at = i < 25 ? i : (size_t)rdg_random_below(random, chunk.len);
        uint8_t bit = (uint8_t)(1u << rdg_random_below(random, 8));
        copy[at] ^= bit;
        refuse(import, number, rdg_bytes(copy, chunk.len));
        copy[at] ^= bit;
    }
    rdg_free(copy);
}

TEST(snapshot_chunks_that_are_cut_altered_reordered_or_foreign_are_refused_by_number) {
    world_t w;
    rdg_snapshot_import_t *import = NULL;
    rdg_snapshot_info_t info;
    world_init(&w);
    rdg_ledger_t *l = support_open("taker", &w.genesis);
    take_headers(&w, l);
    size_t manifest = frames_manifest(&w.f);
    CHECK_OK(rdg_snapshot_import_open(l, frames_get(&w.f, manifest), &import));
    rdg_snapshot_import_info(import, &info);
    CHECK_EQ(info.chunks, w.f.count - manifest - 1);
    for (uint32_t i = 0; i < info.chunks; ++i) {
        rdg_bytes_t chunk = frames_get(&w.f, manifest + 1 + i);
        refuse_altered(import, i, chunk);
        for (uint32_t k = 0; k < info.chunks; ++k)
            if (k != i) refuse(import, i, frames_get(&w.f, manifest + 1 + k));
        uint8_t *copy = rdg_memdup(chunk.data, chunk.len);
        rdg_store_be64(copy + 4, 4712); /* chain */
        refuse(import, i, rdg_bytes(copy, chunk.len));
        CHECK(strstr(rdg_err_message(RDG_E_WRONG_CHAIN), "chain 4712"));
        rdg_free(copy);
        CHECK_ERR(rdg_snapshot_import_finish(import), RDG_E_CONFLICT);
        CHECK_OK(rdg_snapshot_import_chunk(import, chunk));
    }
    CHECK_OK(rdg_snapshot_import_finish(import));
    rdg_snapshot_import_close(import);
    check_same_state(&w, l);
    rdg_ledger_close(l);
    world_fini(&w);
}

TEST(snapshot_manifest_is_bound_to_a_certified_header) {
    world_t w;
    rdg_snapshot_import_t *import = NULL;
    world_init(&w);
    rdg_ledger_t *l = support_open("taker", &w.genesis);
    rdg_bytes_t manifest = frames_get(&w.f, frames_manifest(&w.f));
    CHECK_ERR(rdg_snapshot_import_open(l, manifest, &import), RDG_E_UNAVAILABLE);
    CHECK(strstr(rdg_err_message(RDG_E_UNAVAILABLE), "headers are known up to 0"));
    take_headers(&w, l);
    uint8_t *copy = rdg_memdup(manifest.data, manifest.len);
    for (size_t i = 0; i < 150; ++i) {
        size_t at = i < 60 ? i : (size_t)rdg_random_below(rdg_test_random(), manifest.len);
        copy[at] ^= 1;
        if (rdg_snapshot_import_open(l, rdg_bytes(copy, manifest.len), &import) == RDG_OK) {
            /* Only the sizes of chunks are nobody's word: the chunks then do not fit. */
            CHECK(at > manifest.len - 9 * w.f.count);
            rdg_snapshot_import_close(import);
        }
        copy[at] ^= 1;
    }
    for (size_t len = 0; len < manifest.len; len += 97)
        CHECK(rdg_snapshot_import_open(l, rdg_bytes(copy, len), &import) != RDG_OK);
    rdg_free(copy);
    rdg_ledger_t *giver = w.giver;
    CHECK_ERR(rdg_snapshot_import_open(giver, manifest, &import), RDG_E_STALE);
    rdg_ledger_close(l);
    world_fini(&w);
}

TEST(snapshot_stream_that_is_cut_anywhere_changes_nothing_and_can_come_again) {
    world_t w;
    world_init(&w);
    rdg_ledger_t *l = support_open("taker", &w.genesis);
    rdg_ledger_head_t head;
    size_t step = w.f.bytes.len / 40;
    for (size_t len = 0; len < w.f.bytes.len; len += step) {
        CHECK(frames_read(&w.f, l, 4096, len) != RDG_OK);
        rdg_ledger_head(l, &head);
        CHECK_EQ(head.height, 0);
        if (len / step % 8 != 0) continue;
        rdg_ledger_close(l);
        l = support_open("taker", &w.genesis);
    }
    CHECK_OK(frames_read(&w.f, l, 4096, w.f.bytes.len));
    check_same_state(&w, l);
    rdg_ledger_close(l);
    world_fini(&w);
}

/* --- crashes ------------------------------------------------------------------------------------- */

static rdg_ledger_t *open_faulty(const world_t *w, const char *name, rdg_kv_t **faulty) {
    char path[600], db[700];
    rdg_kv_t *kv = NULL;
    rdg_ledger_t *l = NULL;
    CHECK_OK(rdg_path_join(path, sizeof path, rdg_test_dir(), name));
    CHECK_OK(rdg_dir_make(path, 0700));
    CHECK_OK(rdg_path_join(db, sizeof db, path, "db"));
    CHECK_OK(rdg_kv_open_rocksdb(db, &(rdg_kv_options_t){.create = true}, &kv));
    CHECK_OK(rdg_kv_open_faulty(kv, faulty));
    CHECK_OK(rdg_ledger_open(path, &w->genesis, &(rdg_ledger_options_t){.store = *faulty}, &l));
    return l;
}

/* The n-th write fails, for every n; then the ledger is opened as after a power cut, is whole, and goes on. */
TEST(snapshot_import_survives_a_failure_of_every_write) {
    world_t w;
    rdg_err_t err = RDG_E_IO;
    uint64_t n = 1;
    world_init(&w);
    for (; err != RDG_OK; ++n) {
        char name[32];
        rdg_kv_t *faulty = NULL;
        rdg_ledger_head_t head;
        snprintf(name, sizeof name, "faulty-%llu", (unsigned long long)n);
        rdg_ledger_t *l = open_faulty(&w, name, &faulty);
        rdg_kv_faulty_fail_at(faulty, n, RDG_E_IO);
        err = frames_read(&w.f, l, 1 << 20, w.f.bytes.len);
        CHECK(err == RDG_OK || err == RDG_E_IO);
        rdg_ledger_close(l);
        l = support_open(name, &w.genesis);
        rdg_ledger_head(l, &head);
        CHECK_EQ(head.height, err == RDG_OK ? w.height : 0);
        if (err != RDG_OK) CHECK_OK(frames_read(&w.f, l, 1 << 20, w.f.bytes.len));
        check_same_state(&w, l);
        if (n % 4 == 1) check_goes_on(&w, l);
        rdg_ledger_close(l);
        CHECK(n < 100);
    }
    CHECK(n > w.f.count); /* headers, manifest, chunks, the end */
    world_fini(&w);
}

/* Memory runs out at one allocation after the other, far into the import: it says so, the ledger is what it was, and the
 * same ledger takes the rest when there is memory again. */
TEST(snapshot_import_out_of_memory_anywhere_says_so_and_goes_on) {
    world_t w;
    rdg_err_t err = RDG_E_NO_MEMORY;
    rdg_ledger_head_t head;
    long runs = 0;
    world_init(&w);
    rdg_ledger_t *l = support_open("taker", &w.genesis);
    for (long n = 1; err != RDG_OK; n += 1 + n / 4, ++runs) {
        rdg_alloc_fail_at(n);
        err = frames_read(&w.f, l, 1 << 16, w.f.bytes.len);
        bool failed = rdg_alloc_did_fail();
        rdg_alloc_fail_at(0);
        CHECK_EQ(err, failed ? RDG_E_NO_MEMORY : RDG_OK);
        rdg_ledger_head(l, &head);
        CHECK_EQ(head.height, err == RDG_OK ? w.height : 0);
    }
    CHECK(runs > 20);
    check_same_state(&w, l);
    check_goes_on(&w, l);
    rdg_ledger_close(l);
    world_fini(&w);
}

TEST(snapshot_onto_a_ledger_that_has_blocks_keeps_their_bodies) {
    world_t w;
    world_init(&w);
    rdg_ledger_t *l = support_open("taker", &w.genesis);
    rdg_block_t *b = NULL;
    for (uint64_t h = 1; h <= 3; ++h) CHECK_OK(chain_copy_block(w.giver, l, h));
    CHECK_OK(frames_read(&w.f, l, 1 << 20, w.f.bytes.len));
    for (int round = 0; round < 2; ++round) {
        CHECK_OK(rdg_ledger_block(l, 3, &b));
        rdg_block_unref(b);
        CHECK_ERR(rdg_ledger_block(l, 4, &b), RDG_E_UNAVAILABLE);
        check_same_state(&w, l);
        rdg_ledger_close(l);
        l = support_open("taker", &w.genesis);
    }
    check_goes_on(&w, l);
    rdg_ledger_close(l);
    l = support_open("taker", &w.genesis);
    CHECK_OK(rdg_ledger_block(l, 3, &b));
    rdg_block_unref(b);
    rdg_log_filter_t filter = {.from = 1, .to = 2};
    CHECK_OK(rdg_ledger_logs(l, &filter, 10, NULL, NULL));
    filter.to = 5;
    CHECK_ERR(rdg_ledger_logs(l, &filter, 10, NULL, NULL), RDG_E_UNAVAILABLE);
    char first[64];
    rdg_ledger_head_t head;
    rdg_ledger_head(l, &head);
    snprintf(first, sizeof first, "logs from block %llu on", (unsigned long long)head.base_height + 1);
    CHECK(strstr(rdg_err_message(RDG_E_UNAVAILABLE), first));
    filter.from = head.base_height + 1, filter.to = UINT64_MAX;
    CHECK_OK(rdg_ledger_logs(l, &filter, 10, NULL, NULL));
    rdg_ledger_close(l);
    world_fini(&w);
}

/* --- headers ------------------------------------------------------------------------------------- */

TEST(headers_above_the_head_are_shown_to_nobody_and_do_not_disturb_replay) {
    world_t w;
    world_init(&w);
    rdg_ledger_t *l = support_open("taker", &w.genesis);
    rdg_hash_t hash;
    uint64_t height;
    rdg_buf_t seal;
    rdg_header_t header;
    rdg_buf_init(&seal, 65536);
    take_headers(&w, l);
    CHECK_OK(rdg_ledger_header(w.giver, 5, NULL, &hash, NULL));
    CHECK_ERR(rdg_ledger_header(l, 5, &header, NULL, NULL), RDG_E_NOT_FOUND);
    CHECK_ERR(rdg_ledger_height_of(l, &hash, &height), RDG_E_NOT_FOUND);
    CHECK_ERR(rdg_ledger_seal(l, 5, &seal, NULL), RDG_E_NOT_FOUND);
    CHECK_ERR(rdg_ledger_checkpoint(l, 5, rdg_bytes(NULL, 0)), RDG_E_NOT_FOUND);
    /* An import that came as far as the guard leaves its index behind. */
    rdg_snapshot_import_t *import = NULL;
    size_t manifest = frames_manifest(&w.f);
    CHECK_OK(rdg_snapshot_import_open(l, frames_get(&w.f, manifest), &import));
    for (size_t i = manifest + 1; i < w.f.count; ++i)
        CHECK_OK(rdg_snapshot_import_chunk(import, frames_get(&w.f, i)));
    rdg_snapshot_import_close(import);
    for (uint64_t h = 1; h <= w.height + 1; ++h) CHECK_OK(chain_copy_block(w.giver, l, h));
    CHECK_ERR(rdg_snapshot_import_resume(l, &import), RDG_E_STALE);
    CHECK_EQ(rdg_headers_known(l), w.height + 1);
    rdg_buf_fini(&seal);
    rdg_ledger_close(l);
    world_fini(&w);
}

TEST(headers_that_are_altered_cut_or_do_not_follow_are_refused) {
    world_t w;
    uint64_t known;
    world_init(&w);
    rdg_ledger_t *l = support_open("taker", &w.genesis);
    rdg_bytes_t segment = frames_get(&w.f, 0);
    uint8_t *copy = rdg_memdup(segment.data, segment.len);
    for (size_t len = 0; len < segment.len; len += 61)
        CHECK(rdg_headers_import(l, rdg_bytes(copy, len), &known) != RDG_OK);
    for (size_t i = 0; i < 300; ++i) {
        size_t at = i < 60 ? i : (size_t)rdg_random_below(rdg_test_random(), segment.len);
        copy[at] ^= 4;
        rdg_err_t err = rdg_headers_import(l, rdg_bytes(copy, segment.len), &known);
        if (err == RDG_OK) rdg_test_fail(__FILE__, __LINE__, "a segment altered at %zu was taken", at);
        CHECK_EQ(rdg_headers_known(l), 0);
        copy[at] ^= 4;
    }
    rdg_free(copy);
    rdg_buf_t out;
    uint64_t last;
    rdg_buf_init(&out, 2 * RDG_HEADERS_SEGMENT_MAX);
    CHECK_OK(rdg_headers_export(w.giver, 3, 10, 0, &out, &last));
    CHECK_EQ(last, 10);
    CHECK_ERR(rdg_headers_import(l, rdg_buf_view(&out), &known), RDG_E_CONFLICT);
    CHECK(strstr(rdg_err_message(RDG_E_CONFLICT), "1 is wanted"));
    CHECK_OK(rdg_headers_import(l, segment, &known));
    CHECK_ERR(rdg_headers_import(l, segment, &known), RDG_E_STALE);
    CHECK_ERR(rdg_headers_export(w.giver, 100000, 100010, 0, &out, &last), RDG_E_UNAVAILABLE);
    rdg_buf_fini(&out);
    rdg_ledger_close(l);
    world_fini(&w);
}

TEST(headers_behind_the_last_checkpoint_certificate_are_left_for_later) {
    rdg_genesis_t g;
    rdg_buf_t out;
    uint64_t last, known;
    support_genesis(&g);
    rdg_ledger_t *giver = support_open("giver", &g), *l = support_open("taker", &g);
    rdg_buf_init(&out, 2 * RDG_HEADERS_SEGMENT_MAX);
    chain_empty(giver, 4);
    CHECK_OK(rdg_headers_export(giver, 1, 4, 0, &out, &last));
    CHECK_ERR(rdg_headers_import(l, rdg_buf_view(&out), &known), RDG_E_UNAVAILABLE);
    chain_certify(giver);
    chain_empty(giver, 3);
    rdg_buf_clear(&out);
    CHECK_OK(rdg_headers_export(giver, 1, 7, 0, &out, &last));
    CHECK_OK(rdg_headers_import(l, rdg_buf_view(&out), &known));
    CHECK_EQ(known, 4);
    rdg_block_t *b = NULL;
    CHECK_OK(rdg_ledger_block(giver, 4, &b));
    CHECK_OK(rdg_headers_check_body(l, b->proposal, &known));
    rdg_block_unref(b);
    CHECK_OK(rdg_ledger_block(giver, 5, &b));
    CHECK_ERR(rdg_headers_check_body(l, b->proposal, &known), RDG_E_UNAVAILABLE);
    rdg_block_unref(b);
    rdg_buf_fini(&out);
    rdg_ledger_close(giver);
    rdg_ledger_close(l);
}
