/* Archives anchored on a real main chain: a node as a child process, and the chain service's queue. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "mainnodes.h"
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include "ridge/client/anchors.h"
#include "ridge/test.h"

#define PATIENCE_MS 60000
#define CHAIN 77

typedef struct world {
    rdg_baas_t *baas;
    mainnodes_t *nodes;
} world_t;

static void world_open(world_t *w, const char *setting) {
    mainnodes_options_t o = {
        .data_dir = rdg_test_dir(), .setting = setting, .node_program = RIDGE_NODE_PROGRAM};
    rdg_log_set_level(RDG_LOG_ERROR);
    CHECK_OK(rdg_baas_open(rdg_test_dir(), &w->baas));
    CHECK_OK(mainnodes_start(&o, w->baas, &w->nodes));
}

static void world_close(world_t *w) {
    rdg_baas_stop(w->baas);
    rdg_baas_close(w->baas);
    mainnodes_stop(w->nodes);
}

static rdg_hash_t hash_of(uint64_t n) {
    rdg_hash_t h;
    rdg_sm3(&n, sizeof n, &h);
    return h;
}

static rdg_baas_archive_t archive(uint64_t from, uint64_t to, uint64_t mark) {
    return (rdg_baas_archive_t){.chain_id = CHAIN,
                                .from = from,
                                .to = to,
                                .mark_ms = mark,
                                .manifest = hash_of(from),
                                .content = hash_of(1000 + from)};
}

static void record(world_t *w) {
    rdg_hash_t genesis = hash_of(4711);
    CHECK_OK(rdg_baas_mainchain_genesis(w->baas, CHAIN, "edge", &genesis));
}

static void anchor(world_t *w, rdg_baas_archive_t a, rdg_baas_anchor_state_t wanted, rdg_baas_anchor_t *got) {
    CHECK_OK(rdg_baas_mainchain_anchor(w->baas, &a, PATIENCE_MS, got));
    if (got->state != wanted) rdg_test_fail(__FILE__, __LINE__, "state %d: %s", got->state, got->error);
}

static rdg_genesis_t *load_genesis(void) {
    char path[600];
    rdg_genesis_t *g = rdg_calloc(1, sizeof *g);
    CHECK_OK(rdg_path_join(path, sizeof path, rdg_test_dir(), "mainchain/genesis.json"));
    CHECK_OK(rdg_genesis_load(path, g));
    return g;
}

TEST(mainchain_anchors_an_archive_once_and_proves_it) {
    world_t w;
    rdg_baas_anchor_t first, again, second;
    rdg_anchor_proof_t p;
    rdg_buf_t proof;
    world_open(&w, "1");
    rdg_baas_archive_t unknown = archive(1, 10, 100);
    CHECK_ERR(rdg_baas_mainchain_anchor(w.baas, &unknown, 0, &first), RDG_E_NOT_FOUND);
    record(&w);
    record(&w); /* twice is once */
    anchor(&w, archive(1, 10, 100), RDG_BAAS_ANCHOR_WRITTEN, &first);
    anchor(&w, archive(1, 10, 100), RDG_BAAS_ANCHOR_WRITTEN, &again);
    CHECK_EQ(first.index, 1);
    CHECK(first.height > 1);
    CHECK_EQ(again.height, first.height);
    CHECK(rdg_hash_equal(&first.tx, &again.tx));
    anchor(&w, archive(11, 12, 101), RDG_BAAS_ANCHOR_WRITTEN, &second);
    CHECK_EQ(second.index, 2);

    rdg_baas_archive_t a = archive(1, 10, 100);
    rdg_buf_init(&proof, RDG_ANCHOR_PROOF_MAX);
    CHECK_OK(rdg_baas_mainchain_proof(w.baas, CHAIN, &a.manifest, &proof));
    world_close(&w);

    /* From here on nothing runs. */
    rdg_genesis_t *g = load_genesis();
    json_t *values = NULL;
    rdg_hash_t manifest;
    CHECK_OK(rdg_anchor_proof_verify(g, rdg_buf_view(&proof), &p));
    CHECK_EQ(p.entry.chain, CHAIN);
    CHECK_EQ(p.entry.index, 1);
    CHECK_EQ(p.entry.block, first.height);
    CHECK_EQ(p.chain.archived_to, 12);
    CHECK_EQ(p.chain.mark_ms, 101);
    CHECK_EQ(p.chain.entries, 3);
    CHECK_OK(rdg_anchor_decode_data(p.entry.kind, p.entry.data, &values));
    CHECK_OK(rdg_json_get_hex(values, "manifest", manifest.b, sizeof manifest.b));
    CHECK(rdg_hash_equal(&manifest, &a.manifest));
    json_decref(values);
    rdg_free(g);
    rdg_buf_fini(&proof);
}

TEST(mainchain_refuses_gaps_marks_that_go_back_and_other_contents) {
    world_t w;
    rdg_baas_anchor_t got;
    rdg_hash_t unknown = hash_of(99);
    world_open(&w, "1");
    record(&w);
    anchor(&w, archive(1, 10, 100), RDG_BAAS_ANCHOR_WRITTEN, &got);
    anchor(&w, archive(12, 20, 200), RDG_BAAS_ANCHOR_REFUSED, &got);
    CHECK(strstr(got.error, "without a gap"));
    rdg_baas_archive_t other = archive(1, 10, 100);
    other.to = 11;
    CHECK_ERR(rdg_baas_mainchain_anchor(w.baas, &other, 0, &got), RDG_E_CONFLICT);
    other = archive(11, 20, 100); /* the mark stays where it was */
    anchor(&w, other, RDG_BAAS_ANCHOR_REFUSED, &got);
    CHECK(strstr(got.error, "mark only goes up"));
    other = archive(1, 10, 101); /* the range that is there, by another file */
    other.manifest = hash_of(5);
    anchor(&w, other, RDG_BAAS_ANCHOR_REFUSED, &got);
    other.from = 0;
    CHECK_ERR(rdg_baas_mainchain_anchor(w.baas, &other, 0, &got), RDG_E_INVALID);
    /* A receipt of an archive that nobody anchored stops nothing behind it. */
    CHECK_OK(rdg_baas_mainchain_receipt(w.baas, CHAIN, &unknown, rdg_bytes_str("receipt")));
    CHECK_OK(rdg_baas_mainchain_destroyed(w.baas, CHAIN, 10, false));
    other = archive(11, 20, 300);
    other.manifest = hash_of(6);
    anchor(&w, other, RDG_BAAS_ANCHOR_REFUSED, &got);
    CHECK(strstr(got.error, "destroyed"));
    world_close(&w);
}

/* What came before its predecessor is told again when that stands; what others have anchored meanwhile never is. */
TEST(mainchain_is_told_again_of_what_came_too_early) {
    world_t w;
    rdg_baas_anchor_t got;
    world_open(&w, "1");
    record(&w);
    anchor(&w, archive(11, 20, 200), RDG_BAAS_ANCHOR_REFUSED, &got);
    CHECK(strstr(got.error, "without a gap") && !got.never);
    anchor(&w, archive(1, 10, 100), RDG_BAAS_ANCHOR_WRITTEN, &got);
    anchor(&w, archive(11, 20, 200), RDG_BAAS_ANCHOR_WRITTEN, &got);
    CHECK_EQ(got.index, 2);
    rdg_baas_archive_t other = archive(15, 30, 300);
    anchor(&w, other, RDG_BAAS_ANCHOR_REFUSED, &got);
    CHECK(got.never);
    other = archive(31, 40, 400); /* a gap that may be filled */
    anchor(&w, other, RDG_BAAS_ANCHOR_REFUSED, &got);
    CHECK(!got.never);
    CHECK_OK(rdg_baas_mainchain_destroyed(w.baas, CHAIN, 20, false));
    other = archive(21, 30, 300);
    anchor(&w, other, RDG_BAAS_ANCHOR_REFUSED, &got);
    CHECK(strstr(got.error, "destroyed") && got.never);
    anchor(&w, archive(31, 40, 400), RDG_BAAS_ANCHOR_REFUSED, &got);
    CHECK(got.never);
    world_close(&w);
}

TEST(mainchain_goes_on_after_a_stop_and_after_the_loss_of_the_database) {
    world_t w;
    rdg_baas_anchor_t got, later;
    char path[600];
    world_open(&w, "1");
    record(&w);
    rdg_baas_archive_t a = archive(1, 10, 100);
    CHECK_OK(rdg_baas_mainchain_anchor(w.baas, &a, 0, &got)); /* nobody waits for it */
    world_close(&w);
    world_open(&w, "1");
    anchor(&w, a, RDG_BAAS_ANCHOR_WRITTEN, &got);
    world_close(&w);
    static const char *const files[] = {"baas.db", "baas.db-wal", "baas.db-shm"};
    for (size_t i = 0; i < 3; ++i) {
        CHECK_OK(rdg_path_join(path, sizeof path, rdg_test_dir(), files[i]));
        (void)unlink(path);
    }
    world_open(&w, "1");
    record(&w);
    anchor(&w, a, RDG_BAAS_ANCHOR_WRITTEN, &later);
    CHECK_EQ(later.index, got.index);
    CHECK_EQ(later.height, got.height);
    CHECK(rdg_hash_equal(&later.tx, &got.tx));
    world_close(&w);
}

TEST(mainchain_proofs_that_were_touched_prove_nothing) {
    world_t w;
    rdg_baas_anchor_t got;
    rdg_anchor_proof_t p;
    rdg_buf_t proof;
    rdg_baas_archive_t a = archive(1, 10, 100);
    world_open(&w, "1");
    record(&w);
    anchor(&w, a, RDG_BAAS_ANCHOR_WRITTEN, &got);
    rdg_buf_init(&proof, RDG_ANCHOR_PROOF_MAX);
    CHECK_OK(rdg_baas_mainchain_proof(w.baas, CHAIN, &a.manifest, &proof));
    world_close(&w);
    rdg_genesis_t *g = load_genesis();
    for (size_t i = 0; i < proof.len; ++i) {
        proof.data[i] ^= 1;
        if (rdg_anchor_proof_verify(g, rdg_buf_view(&proof), &p) == RDG_OK)
            rdg_test_fail(__FILE__, __LINE__, "byte %zu of the proof may be anything", i);
        proof.data[i] ^= 1;
    }
    for (size_t len = 0; len < proof.len; ++len)
        CHECK(rdg_anchor_proof_verify(g, rdg_bytes(proof.data, len), &p) != RDG_OK);
    /* Validators of another main chain, and a registry that somebody else would have created. */
    rdg_address_t admin = g->admins[0];
    g->admins[0].b[0] ^= 1;
    CHECK_ERR(rdg_anchor_proof_verify(g, rdg_buf_view(&proof), &p), RDG_E_INVALID);
    g->admins[0] = admin;
    rdg_sm2_key_t *key = NULL;
    CHECK_OK(rdg_sm2_key_generate(&key));
    rdg_sm2_key_public(key, &g->validators.keys[0]);
    rdg_sm2_key_free(key);
    CHECK_ERR(rdg_anchor_proof_verify(g, rdg_buf_view(&proof), &p), RDG_E_BAD_SIGNATURE);
    rdg_free(g);
    rdg_buf_fini(&proof);
}

TEST(mainchain_settings_that_can_not_be_are_refused) {
    static const char *const wrong[] = {"0", "8", "ftp://host:1", "http://", "", ",", "many"};
    mainnodes_options_t o = {.data_dir = rdg_test_dir(), .node_program = RIDGE_NODE_PROGRAM};
    rdg_log_set_level(RDG_LOG_ERROR);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; ++i) {
        rdg_baas_t *b = NULL;
        mainnodes_t *n = NULL;
        CHECK_OK(rdg_baas_open(rdg_test_dir(), &b));
        o.setting = wrong[i];
        CHECK_ERR(mainnodes_start(&o, b, &n), RDG_E_INVALID);
        rdg_baas_close(b);
        mainnodes_stop(n);
    }
    world_t w;
    rdg_baas_t *b = NULL;
    mainnodes_t *n = NULL;
    world_open(&w, "1");
    world_close(&w);
    CHECK_OK(rdg_baas_open(rdg_test_dir(), &b));
    o.setting = "4"; /* made with one */
    CHECK_ERR(mainnodes_start(&o, b, &n), RDG_E_CONFLICT);
    rdg_baas_close(b);
    mainnodes_stop(n);
    CHECK_OK(rdg_baas_open(rdg_test_dir(), &b));
    o.setting = "off";
    CHECK_OK(mainnodes_start(&o, b, &n));
    CHECK(!n);
    rdg_hash_t genesis = hash_of(1);
    CHECK_ERR(rdg_baas_mainchain_genesis(b, 1, "c", &genesis), RDG_E_UNSUPPORTED);
    rdg_baas_close(b);
}
