/* Evidence: what a ledger proves, somebody who knows the genesis only believes, and nothing else. */
#include "ridge/ledger/evidence.h"
#include <stdio.h>
#include <stdlib.h>
#include "governance.h"
#include "ridge/base/alloc.h"
#include "ridge/codec/abi.h"
#include "ridge/codec/hex.h"
#include "ridge/consensus/consensus.h"
#include "support.h"

typedef struct world {
    rdg_genesis_t genesis;
    rdg_ledger_t *l;
    rdg_trust_t *trust;
    uint64_t nonce;
} world_t;

static void world_init(world_t *w, uint32_t validators) {
    rdg_buf_t text;
    memset(w, 0, sizeof *w);
    support_genesis(&w->genesis);
    w->genesis.validators.count = validators;
    w->genesis.admin_count = 1;
    w->genesis.admins[0] = support_address(9);
    rdg_buf_init(&text, RDG_GENESIS_BYTES_MAX);
    CHECK_OK(rdg_genesis_format(&w->genesis, &text));
    rdg_buf_fini(&text);
    w->l = support_open("e", &w->genesis);
    CHECK_OK(rdg_trust_new(&w->genesis, &w->trust));
}

static void world_fini(world_t *w) {
    rdg_trust_free(w->trust);
    rdg_ledger_close(w->l);
}

static uint64_t height_of(const world_t *w) {
    rdg_ledger_head_t head;
    rdg_ledger_head(w->l, &head);
    return head.height;
}

/* Signed by the epoch of `by` (a height), as a quorum of nodes would. */
static void checkpoint_by(world_t *w, uint64_t height, uint64_t by) {
    rdg_executed_t executed;
    rdg_hash_t digest;
    rdg_epoch_t epoch;
    rdg_buf_t certificate;
    rdg_buf_init(&certificate, 65536);
    CHECK_OK(rdg_ledger_header(w->l, height, NULL, NULL, &executed));
    CHECK_OK(rdg_executed_hash(&executed, &digest));
    CHECK_OK(rdg_ledger_epoch(w->l, by, &epoch));
    support_certify(&epoch, RDG_PHASE_CHECKPOINT, height, &digest, &certificate);
    CHECK_OK(rdg_ledger_checkpoint(w->l, height, rdg_buf_view(&certificate)));
    rdg_buf_fini(&certificate);
}

static void block_of(world_t *w, rdg_tx_t **txs, uint32_t count) {
    CHECK_OK(support_apply_epoch(w->l, txs, count));
    checkpoint_by(w, height_of(w), height_of(w));
}

static void blocks_to(world_t *w, uint64_t height) {
    while (height_of(w) < height) block_of(w, NULL, 0);
}

static rdg_tx_t *transfer(world_t *w, uint64_t value) {
    return support_tx((tx_spec_t){.nonce = ++w->nonce, .value = value, .valid_until = height_of(w) + 100});
}

static void prove(world_t *w, uint64_t height, uint32_t index, rdg_buf_t *out) {
    rdg_buf_clear(out);
    CHECK_OK(rdg_ledger_prove_receipt(w->l, height, index, out));
}

static rdg_err_t verify(const rdg_trust_t *t, rdg_bytes_t evidence, rdg_receipt_evidence_t *out) {
    rdg_arena_t arena;
    rdg_arena_init(&arena, 1 << 20);
    rdg_err_t err = rdg_evidence_verify_receipt(t, evidence, &arena, out);
    rdg_tx_unref(out->tx);
    rdg_arena_fini(&arena);
    return err;
}

/* --- lists -------------------------------------------------------------------------------------------------- */

static bool leads(const rdg_list_proof_t *p, const rdg_hash_t *root, uint32_t count, uint32_t index,
                  rdg_bytes_t item) {
    rdg_hash_t at;
    return rdg_list_proof_root(p, count, index, item, &at) == RDG_OK && rdg_hash_equal(&at, root);
}

static void check_list(uint32_t count) {
    rdg_hash_t leaves[40] = {{{0}}}, scratch[40], root;
    uint8_t items[40];
    for (uint32_t i = 0; i < count; ++i)
        items[i] = (uint8_t)i, rdg_merkle_leaf(rdg_bytes(&items[i], 1), &leaves[i]);
    memcpy(scratch, leaves, sizeof leaves);
    rdg_merkle_root(scratch, count, &root);
    for (uint32_t i = 0; i < count; ++i) {
        rdg_list_proof_t p;
        memcpy(scratch, leaves, sizeof leaves);
        CHECK_OK(rdg_list_prove(scratch, count, i, &p));
        CHECK(leads(&p, &root, count, i, rdg_bytes(&items[i], 1)));
        for (uint32_t other = 0; other < count; ++other)
            if (other != i) CHECK(!leads(&p, &root, count, other, rdg_bytes(&items[i], 1)));
        CHECK(!leads(&p, &root, count, i, rdg_bytes("x", 1)));
        CHECK(!leads(&p, &root, count, count, rdg_bytes(&items[i], 1)));
        p.siblings[p.count++] = root;
        CHECK(!leads(&p, &root, count, i, rdg_bytes(&items[i], 1)));
    }
}

TEST(evidence_proves_every_place_of_a_list_and_no_other) {
    for (uint32_t count = 1; count <= 40; ++count) check_list(count);
    rdg_list_proof_t p;
    rdg_hash_t leaf = {{1}};
    CHECK_ERR(rdg_list_prove(&leaf, 1, 1, &p), RDG_E_INVALID);
}

/* --- receipts ----------------------------------------------------------------------------------------------- */

TEST(evidence_of_a_receipt_needs_the_genesis_only) {
    world_t w;
    rdg_buf_t evidence;
    rdg_receipt_evidence_t e;
    world_init(&w, 4);
    rdg_buf_init(&evidence, 1 << 20);
    blocks_to(&w, 2);
    rdg_tx_t *txs[5];
    rdg_hash_t ids[5];
    for (uint32_t i = 0; i < 5; ++i) txs[i] = transfer(&w, i), ids[i] = txs[i]->id;
    CHECK_OK(support_apply_epoch(w.l, txs, 5));
    CHECK_ERR(rdg_ledger_prove_receipt(w.l, 3, 0, &evidence), RDG_E_UNAVAILABLE); /* nobody has signed it */
    checkpoint_by(&w, 3, 3);
    for (uint32_t i = 0; i < 5; ++i) {
        prove(&w, 3, i, &evidence);
        rdg_arena_t arena;
        rdg_arena_init(&arena, 1 << 20);
        CHECK_OK(rdg_evidence_verify_receipt(w.trust, rdg_buf_view(&evidence), &arena, &e));
        CHECK(e.receipt.success && e.header.height == 3 && e.index == i);
        CHECK(rdg_hash_equal(&e.tx->id, &ids[i]));
        rdg_tx_unref(e.tx);
        rdg_arena_fini(&arena);
    }
    CHECK_ERR(rdg_ledger_prove_receipt(w.l, 3, 5, &evidence), RDG_E_NOT_FOUND);
    CHECK_ERR(rdg_ledger_prove_receipt(w.l, 4, 0, &evidence), RDG_E_NOT_FOUND);
    w.genesis.validators.chain_id++;
    rdg_trust_t *other = NULL;
    CHECK_OK(rdg_trust_new(&w.genesis, &other));
    CHECK_ERR(verify(other, rdg_buf_view(&evidence), &e), RDG_E_WRONG_CHAIN);
    rdg_trust_free(other);
    w.genesis.validators.chain_id--;
    rdg_sm2_key_public(support_key(8), &w.genesis.validators.keys[2]);
    CHECK_OK(rdg_trust_new(&w.genesis, &other));
    CHECK_ERR(verify(other, rdg_buf_view(&evidence), &e), RDG_E_BAD_SIGNATURE);
    rdg_trust_free(other);
    rdg_buf_fini(&evidence);
    world_fini(&w);
}

TEST(evidence_with_any_byte_changed_or_missing_proves_nothing) {
    world_t w;
    rdg_buf_t evidence;
    rdg_receipt_evidence_t e;
    world_init(&w, 2);
    rdg_buf_init(&evidence, 1 << 20);
    rdg_tx_t *txs[3] = {transfer(&w, 1), transfer(&w, 2), transfer(&w, 3)};
    block_of(&w, txs, 3);
    prove(&w, 1, 1, &evidence);
    CHECK_OK(verify(w.trust, rdg_buf_view(&evidence), &e));
    for (size_t i = 0; i < evidence.len; ++i) {
        evidence.data[i] ^= 1u << (i % 8);
        CHECK(verify(w.trust, rdg_buf_view(&evidence), &e) != RDG_OK && !e.tx);
        evidence.data[i] ^= 1u << (i % 8);
        CHECK(verify(w.trust, rdg_bytes(evidence.data, i), &e) == RDG_E_MALFORMED);
    }
    CHECK_OK(rdg_buf_u8(&evidence, 0));
    CHECK_ERR(verify(w.trust, rdg_buf_view(&evidence), &e), RDG_E_MALFORMED);
    rdg_bytes_t huge = rdg_bytes(evidence.data, RDG_EVIDENCE_BYTES_MAX + 1);
    CHECK_ERR(verify(w.trust, huge, &e), RDG_E_TOO_LARGE);
    rdg_buf_fini(&evidence);
    world_fini(&w);
}

/* A receipt of one transaction is not believed for another of the same block. */
TEST(evidence_binds_a_receipt_to_its_transaction) {
    world_t w;
    rdg_buf_t first, second, mixed;
    rdg_receipt_parts_t a, b;
    rdg_receipt_evidence_t e;
    world_init(&w, 1);
    rdg_buf_init(&first, 1 << 20), rdg_buf_init(&second, 1 << 20), rdg_buf_init(&mixed, 1 << 20);
    rdg_tx_t *txs[2] = {transfer(&w, 1), transfer(&w, 1)};
    block_of(&w, txs, 2);
    prove(&w, 1, 0, &first);
    prove(&w, 1, 1, &second);
    CHECK_OK(rdg_evidence_decode_receipt(rdg_buf_view(&first), &a));
    CHECK_OK(rdg_evidence_decode_receipt(rdg_buf_view(&second), &b));
    a.receipt = b.receipt;
    a.in_receipts = b.in_receipts;
    CHECK_OK(rdg_evidence_encode_receipt(&a, &mixed));
    CHECK_ERR(verify(w.trust, rdg_buf_view(&mixed), &e), RDG_E_INVALID);
    rdg_buf_fini(&first), rdg_buf_fini(&second), rdg_buf_fini(&mixed);
    world_fini(&w);
}

TEST(evidence_survives_or_refuses_want_of_memory) {
    world_t w;
    rdg_err_t err;
    rdg_buf_t evidence;
    rdg_receipt_evidence_t e;
    world_init(&w, 1);
    rdg_buf_init(&evidence, 1 << 20);
    rdg_tx_t *txs[2] = {transfer(&w, 1), transfer(&w, 2)};
    block_of(&w, txs, 2);
    prove(&w, 1, 1, &evidence);
    RDG_TEST_ALLOC_LOOP(err) {
        err = verify(w.trust, rdg_buf_view(&evidence), &e);
    }
    rdg_buf_fini(&evidence);
    world_fini(&w);
}

/* --- validators that change ---------------------------------------------------------------------------------- */

/* One block with one call of governance by the administrator; returns its height. */
static uint64_t govern(world_t *w, const char *signature, const char *types, json_t *args) {
    uint8_t selector[32];
    rdg_buf_t data;
    json_t *params = native_params_json(types);
    rdg_buf_init(&data, 1 << 16);
    rdg_keccak256(signature, strlen(signature), selector);
    CHECK_OK(rdg_buf_append(&data, selector, 4));
    CHECK_OK(rdg_abi_encode(params, args, &data));
    rdg_tx_t *tx = support_tx((tx_spec_t){.to = &RDG_GOVERNANCE_ADDRESS,
                                          .nonce = ++w->nonce,
                                          .gas = 20000000,
                                          .valid_until = height_of(w) + 100,
                                          .data = rdg_buf_view(&data)});
    block_of(w, &tx, 1);
    json_decref(args);
    json_decref(params);
    rdg_buf_fini(&data);
    return height_of(w);
}

static json_t *key_json(uint8_t n) {
    rdg_sm2_public_t key;
    rdg_sm2_key_public(support_key(n), &key);
    return rdg_json_hex(key.b, sizeof key.b);
}

static uint64_t add_validator(world_t *w, uint8_t n, const char *name, int weight) {
    rdg_ledger_head_t head;
    rdg_ledger_head(w->l, &head);
    return govern(w, "addValidator(bytes,string,uint32,uint64,bytes32)",
                  "bytes key,string name,uint32 weight,uint64 height,bytes32 blockHash",
                  json_pack("[o, s, i, I, o]", key_json(n), name, weight, (json_int_t)head.height,
                            rdg_json_hex(head.hash.b, sizeof head.hash.b)));
}

static void check_same_set(world_t *w, uint64_t height) {
    rdg_epoch_t want;
    CHECK_OK(rdg_ledger_epoch(w->l, height, &want));
    const rdg_epoch_t *got = rdg_trust_latest(w->trust);
    rdg_hash_t a, b;
    rdg_validators_hash(&want.validators, &a);
    rdg_validators_hash(&got->validators, &b);
    CHECK_MEM(a.b, b.b, sizeof a.b);
    CHECK_EQ(got->first_height, want.first_height);
    CHECK_MEM(got->names, want.names, (size_t)want.validators.count * sizeof want.names[0]);
}

static void prove_epoch(world_t *w, uint64_t number, rdg_buf_t *out) {
    rdg_buf_clear(out);
    CHECK_OK(rdg_ledger_prove_epoch(w->l, number, out));
}

/* No byte of it can be another, or be missing. */
static void flip_epoch(world_t *w, rdg_buf_t *evidence) {
    for (size_t i = 0; i < evidence->len; ++i) {
        evidence->data[i] ^= 1u << (i % 8);
        CHECK(rdg_trust_advance(w->trust, rdg_buf_view(evidence)) != RDG_OK);
        evidence->data[i] ^= 1u << (i % 8);
        CHECK_ERR(rdg_trust_advance(w->trust, rdg_bytes(evidence->data, i)), RDG_E_MALFORMED);
    }
}

enum { CHANGES = 4 };

static void make_changes(world_t *w, uint64_t at[CHANGES]) {
    at[0] = add_validator(w, 2, "dev-2", 3);
    blocks_to(w, at[0] + RDG_CONSENSUS_WINDOW + 1);
    at[1] = add_validator(w, 3, "dev-3", 1);
    blocks_to(w, at[1] + RDG_CONSENSUS_WINDOW + 1);
    at[2] = govern(w, "removeValidator(bytes)", "bytes key", json_pack("[o]", key_json(1)));
    blocks_to(w, at[2] + RDG_CONSENSUS_WINDOW + 1);
    at[3] =
        govern(w, "setWeight(bytes,uint32)", "bytes key,uint32 weight", json_pack("[o, i]", key_json(3), 5));
    blocks_to(w, at[3] + RDG_CONSENSUS_WINDOW + 2);
}

TEST(evidence_teaches_validator_changes_one_after_the_other) {
    world_t w;
    uint64_t at[CHANGES];
    rdg_buf_t evidence, late;
    rdg_receipt_evidence_t e;
    world_init(&w, 1);
    rdg_buf_init(&evidence, 1 << 20), rdg_buf_init(&late, 1 << 20);
    rdg_tx_t *tx = transfer(&w, 1);
    block_of(&w, &tx, 1);
    make_changes(&w, at);
    tx = transfer(&w, 1);
    block_of(&w, &tx, 1);
    prove(&w, height_of(&w), 0, &late);
    for (int i = 0; i < CHANGES; ++i) {
        CHECK_ERR(verify(w.trust, rdg_buf_view(&late), &e), RDG_E_STALE);
        if (i < CHANGES - 1) {
            prove_epoch(&w, (uint64_t)i + 2, &evidence);
            CHECK_ERR(rdg_trust_advance(w.trust, rdg_buf_view(&evidence)), RDG_E_STALE);
        }
        prove_epoch(&w, (uint64_t)i + 1, &evidence);
        CHECK_OK(rdg_trust_advance(w.trust, rdg_buf_view(&evidence)));
        check_same_set(&w, at[i] + RDG_CONSENSUS_WINDOW + 1);
        CHECK_ERR(rdg_trust_advance(w.trust, rdg_buf_view(&evidence)), RDG_E_DUPLICATE);
    }
    CHECK_OK(verify(w.trust, rdg_buf_view(&late), &e));
    CHECK_ERR(rdg_trust_advance(w.trust, rdg_buf_view(&late)), RDG_E_MALFORMED);
    CHECK_ERR(rdg_ledger_prove_epoch(w.l, CHANGES + 1, &evidence), RDG_E_NOT_FOUND);
    CHECK_ERR(rdg_ledger_prove_epoch(w.l, 0, &evidence), RDG_E_INVALID);
    prove(&w, 1, 0, &evidence); /* what the first validators signed is believed still */
    CHECK_OK(verify(w.trust, rdg_buf_view(&evidence), &e));
    rdg_buf_fini(&evidence), rdg_buf_fini(&late);
    world_fini(&w);
}

/* An epoch's last block may be certified by its successors; a block behind it by those who left is refused. */
TEST(evidence_is_believed_from_the_validators_of_its_height_only) {
    world_t w;
    rdg_buf_t evidence, forged, certificate;
    rdg_receipt_evidence_t e;
    rdg_receipt_parts_t p;
    rdg_epoch_t old;
    rdg_hash_t digest;
    world_init(&w, 1);
    rdg_buf_init(&evidence, 1 << 20), rdg_buf_init(&forged, 1 << 20), rdg_buf_init(&certificate, 65536);
    uint64_t at = add_validator(&w, 2, "dev-2", 1), last = at + RDG_CONSENSUS_WINDOW;
    rdg_buf_clear(&evidence);
    prove_epoch(&w, 1, &evidence); /* as soon as the block that decides it is signed */
    flip_epoch(&w, &evidence);
    CHECK_OK(rdg_trust_advance(w.trust, rdg_buf_view(&evidence)));
    blocks_to(&w, last - 1);
    rdg_tx_t *tx = transfer(&w, 1);
    CHECK_OK(support_apply_epoch(w.l, &tx, 1));
    checkpoint_by(&w, last, last + 1);
    prove(&w, last, 0, &evidence);
    CHECK_OK(verify(w.trust, rdg_buf_view(&evidence), &e));
    tx = transfer(&w, 1);
    block_of(&w, &tx, 1);
    prove(&w, last + 1, 0, &evidence);
    CHECK_OK(verify(w.trust, rdg_buf_view(&evidence), &e));
    CHECK_OK(rdg_evidence_decode_receipt(rdg_buf_view(&evidence), &p));
    CHECK_OK(rdg_executed_hash(&e.executed, &digest));
    CHECK_OK(rdg_ledger_epoch(w.l, 1, &old));
    support_certify(&old, RDG_PHASE_CHECKPOINT, last + 1, &digest, &certificate);
    p.checkpoint = rdg_buf_view(&certificate);
    CHECK_OK(rdg_evidence_encode_receipt(&p, &forged));
    CHECK_ERR(verify(w.trust, rdg_buf_view(&forged), &e), RDG_E_BAD_SIGNATURE);
    rdg_buf_fini(&evidence), rdg_buf_fini(&forged), rdg_buf_fini(&certificate);
    world_fini(&w);
}

/* --- state --------------------------------------------------------------------------------------------------- */

static void prove_state(world_t *w, const rdg_address_t *a, const rdg_word_t *slots, uint32_t count,
                        rdg_buf_t *out) {
    rdg_state_parts_t p = {.address = *a, .slot_count = count};
    rdg_executed_t executed;
    rdg_buf_t ran, checkpoint, account, proofs[4];
    uint64_t height;
    rdg_buf_init(&ran, 4096), rdg_buf_init(&checkpoint, 65536), rdg_buf_init(&account, RDG_PROOF_BYTES_MAX);
    CHECK_OK(rdg_ledger_prove(w->l, a, NULL, &account, &height));
    for (uint32_t i = 0; i < count; ++i) {
        rdg_buf_init(&proofs[i], RDG_PROOF_BYTES_MAX);
        CHECK_OK(rdg_ledger_prove(w->l, a, &slots[i], &proofs[i], &height));
        p.slots[i].slot = slots[i];
        p.slots[i].proof = rdg_buf_view(&proofs[i]);
    }
    CHECK_OK(rdg_ledger_header(w->l, height, NULL, NULL, &executed));
    CHECK_OK(rdg_executed_encode(&executed, &ran));
    CHECK_OK(rdg_ledger_seal(w->l, height, NULL, &checkpoint));
    p.executed = rdg_buf_view(&ran), p.checkpoint = rdg_buf_view(&checkpoint);
    p.account_proof = rdg_buf_view(&account);
    CHECK_OK(rdg_evidence_encode_state(&p, out));
    rdg_buf_fini(&ran), rdg_buf_fini(&checkpoint), rdg_buf_fini(&account);
    for (uint32_t i = 0; i < count; ++i) rdg_buf_fini(&proofs[i]);
}

TEST(evidence_proves_accounts_and_slots_that_are_there_and_that_are_not) {
    world_t w;
    rdg_buf_t evidence;
    rdg_state_evidence_t e;
    rdg_word_t slots[3] = {{{0}}, {{[31] = 1}}, {{[0] = 0xff}}}, stored;
    static const rdg_address_t absent = {{0x77}};
    world_init(&w, 2);
    rdg_buf_init(&evidence, 1 << 20);
    blocks_to(&w, 1);
    prove_state(&w, &RDG_GOVERNANCE_ADDRESS, slots, 3, &evidence);
    CHECK_OK(rdg_evidence_verify_state(w.trust, rdg_buf_view(&evidence), &e));
    CHECK(e.has_account && e.exists && e.nonce == 1 && e.slot_count == 3 && e.executed.height == 1);
    for (int i = 0; i < 3; ++i) {
        CHECK_OK(rdg_ledger_storage(w.l, &RDG_GOVERNANCE_ADDRESS, &slots[i], &stored));
        CHECK_MEM(e.slots[i].value.b, stored.b, sizeof stored.b);
    }
    CHECK(e.slots[0].value.b[31] != 0 && e.slots[2].value.b[31] == 0);
    for (size_t i = 0; i < evidence.len; i += 3) {
        evidence.data[i] ^= 1u << (i % 8);
        rdg_state_evidence_t other;
        /* What is still true then is said of another slot. */
        if (rdg_evidence_verify_state(w.trust, rdg_buf_view(&evidence), &other) == RDG_OK)
            CHECK(memcmp(other.slots, e.slots, sizeof e.slots) != 0);
        evidence.data[i] ^= 1u << (i % 8);
    }
    rdg_buf_clear(&evidence);
    prove_state(&w, &absent, slots, 1, &evidence);
    CHECK_OK(rdg_evidence_verify_state(w.trust, rdg_buf_view(&evidence), &e));
    CHECK(e.has_account && !e.exists && e.slots[0].value.b[31] == 0);
    rdg_address_t holder = support_address(9);
    rdg_buf_clear(&evidence);
    prove_state(&w, &holder, NULL, 0, &evidence);
    CHECK_OK(rdg_evidence_verify_state(w.trust, rdg_buf_view(&evidence), &e));
    CHECK_EQ(rdg_load_be64(e.balance.b + 24), 1000000000000000000u);
    rdg_buf_fini(&evidence);
    world_fini(&w);
}
