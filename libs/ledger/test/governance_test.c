/* Governance through the EVM: who may change what, when it takes effect, and that no change makes a set that cannot
 * decide. Calls and answers go by the published artefact. */
#include <stdio.h>
#include <stdlib.h>
#include "governance_call.h"
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/codec/abi.h"
#include "ridge/codec/hex.h"
#include "ridge/codec/rlp.h"
#include "ridge/consensus/consensus.h"
#include "ridge/crypto/hash.h"
#include "ridge/ledger/headers.h"
#include "support.h"

typedef struct world {
    rdg_genesis_t genesis;
    rdg_ledger_t *l;
    json_t *artefact, *abi;
    uint64_t nonce;
    char revert[256]; /* why the last call was refused; empty: it was not */
} world_t;

static json_t *load_artefact(void) {
    char path[1024];
    rdg_buf_t text;
    json_t *out = NULL;
    const char *slash = strrchr(__FILE__, '/');
    snprintf(path, sizeof path, "%.*s/../../../contracts/artifacts/Governance.json", (int)(slash - __FILE__),
             __FILE__);
    rdg_buf_init(&text, 1 << 20);
    CHECK_OK(rdg_file_read(path, &text));
    CHECK_OK(rdg_json_parse(rdg_buf_view(&text), &out));
    rdg_buf_fini(&text);
    return out;
}

/* validators of the support keys 1…; key 9 administers. */
static void world_init(world_t *w, uint32_t validators) {
    memset(w, 0, sizeof *w);
    w->artefact = load_artefact();
    w->abi = json_object_get(w->artefact, "abi");
    support_genesis(&w->genesis);
    w->genesis.validators.count = validators;
    w->genesis.admin_count = 1;
    w->genesis.admins[0] = support_address(9);
    rdg_buf_t text;
    rdg_buf_init(&text, RDG_GENESIS_BYTES_MAX);
    CHECK_OK(rdg_genesis_format(&w->genesis, &text));
    rdg_buf_fini(&text);
    w->l = support_open("g", &w->genesis);
}

static void world_fini(world_t *w) {
    rdg_ledger_close(w->l);
    json_decref(w->artefact);
}

static uint64_t height_of(const world_t *w) {
    rdg_ledger_head_t head;
    rdg_ledger_head(w->l, &head);
    return head.height;
}

static void blocks(world_t *w, uint64_t count) {
    while (count-- > 0) CHECK_OK(support_apply_epoch(w->l, NULL, 0));
}

static json_t *key_json(uint8_t n) {
    rdg_sm2_public_t key;
    rdg_sm2_key_public(support_key(n), &key);
    return rdg_json_hex(key.b, sizeof key.b);
}

/* args is taken. */
static void encode(world_t *w, const char *method, json_t *args, rdg_buf_t *out) {
    const json_t *entry = NULL;
    CHECK_OK(rdg_abi_find(w->abi, "function", method, json_array_size(args), &entry));
    CHECK_OK(rdg_abi_encode_call(entry, args, rdg_keccak256, out));
    json_decref(args);
}

static void last_receipt(world_t *w, rdg_buf_t *raw, rdg_arena_t *arena, rdg_receipt_t *r) {
    rdg_rlp_t outer, list;
    CHECK_OK(rdg_ledger_receipts(w->l, height_of(w), raw));
    rdg_rlp_init(&outer, rdg_buf_view(raw));
    CHECK_OK(rdg_rlp_list(&outer, &list));
    CHECK_OK(rdg_receipt_decode(rdg_rlp_raw(&list), arena, r));
}

/* One block with one transaction of that key; true if it was not refused. */
static bool transact_to(world_t *w, uint8_t from, const rdg_address_t *to, const char *method, json_t *args) {
    rdg_buf_t data, raw, why;
    rdg_arena_t arena;
    rdg_receipt_t r;
    rdg_buf_init(&data, 1 << 20), rdg_buf_init(&raw, 1 << 20), rdg_buf_init(&why, sizeof w->revert);
    rdg_arena_init(&arena, 1 << 20);
    encode(w, method, args, &data);
    rdg_tx_t *txs[1] = {support_tx((tx_spec_t){.from = from,
                                               .to = to,
                                               .nonce = ++w->nonce,
                                               .gas = 20000000,
                                               .valid_until = height_of(w) + 100,
                                               .data = rdg_buf_view(&data)})};
    CHECK_OK(support_apply_epoch(w->l, txs, 1));
    last_receipt(w, &raw, &arena, &r);
    w->revert[0] = 0;
    if (!r.success) {
        CHECK_OK(rdg_abi_decode_revert(w->abi, r.output, rdg_keccak256, &why));
        snprintf(w->revert, sizeof w->revert, "%s", rdg_buf_cstr(&why));
    }
    bool ok = r.success;
    rdg_buf_fini(&data), rdg_buf_fini(&raw), rdg_buf_fini(&why);
    rdg_arena_fini(&arena);
    return ok;
}

static bool transact(world_t *w, uint8_t from, const char *method, json_t *args) {
    return transact_to(w, from, &RDG_GOVERNANCE_ADDRESS, method, args);
}

#define REFUSED(w, text) CHECK(strstr((w)->revert, text) != NULL)

/* Returns owned. */
static json_t *view_at(world_t *w, const rdg_address_t *to, const char *method, json_t *args) {
    const json_t *entry = NULL;
    json_t *out = NULL;
    rdg_buf_t data, answer;
    rdg_call_result_t result;
    rdg_buf_init(&data, 1 << 20), rdg_buf_init(&answer, 1 << 20);
    CHECK_OK(rdg_abi_find(w->abi, "function", method, json_array_size(args), &entry));
    encode(w, method, args, &data);
    rdg_call_t call = {.from = support_address(3), .to = to, .data = rdg_buf_view(&data)};
    CHECK_OK(rdg_ledger_call(w->l, &call, &answer, &result));
    CHECK_EQ(result.status, RDG_EVM_SUCCESS);
    CHECK_OK(rdg_abi_decode(json_object_get(entry, "outputs"), rdg_buf_view(&answer), &out));
    rdg_buf_fini(&data), rdg_buf_fini(&answer);
    return out;
}

static json_t *view(world_t *w, const char *method, json_t *args) {
    return view_at(w, &RDG_GOVERNANCE_ADDRESS, method, args);
}

/* What the newcomer's ledger would hold: the head. */
static json_t *add_args(world_t *w, uint8_t n, const char *name) {
    rdg_ledger_head_t head;
    rdg_ledger_head(w->l, &head);
    return json_pack("[o, s, i, I, o]", key_json(n), name, 1, (json_int_t)head.height,
                     rdg_json_hex(head.hash.b, sizeof head.hash.b));
}

/* --- epochs ----------------------------------------------------------------------------------------------- */

static void check_epoch(world_t *w, uint64_t height, uint64_t number, uint32_t count, uint64_t last) {
    rdg_epoch_t e;
    CHECK_OK(rdg_ledger_epoch(w->l, height, &e));
    CHECK_EQ(e.validators.epoch, number);
    CHECK_EQ(e.validators.count, count);
    CHECK_EQ(e.last_height, last);
    CHECK(e.first_height <= height);
}

TEST(governance_adds_and_removes_validators_a_window_later) {
    world_t w;
    world_init(&w, 1);
    blocks(&w, 3);
    CHECK(transact(&w, 9, "addValidator", add_args(&w, 2, "dev-2"))); /* block 4 */
    check_epoch(&w, 5, 0, 1, 20);
    check_epoch(&w, 21, 1, 2, 0);
    CHECK(!transact(&w, 9, "addValidator", add_args(&w, 3, "dev-3")));
    REFUSED(&w, "pending");
    json_t *pending = view(&w, "pending", json_array());
    CHECK(json_is_true(json_object_get(pending, "scheduled")));
    CHECK_EQ(json_integer_value(json_object_get(pending, "firstHeight")), 21);
    json_decref(pending);
    blocks(&w, 20 - height_of(&w));
    rdg_epoch_t before;
    rdg_hash_t hash;
    rdg_executed_t executed;
    CHECK_OK(rdg_ledger_epoch(w.l, 20, &before));
    blocks(&w, 1); /* sealed by two */
    CHECK(transact(&w, 9, "addValidator", add_args(&w, 3, "dev-3")));
    uint64_t second = height_of(&w) + RDG_CONSENSUS_WINDOW + 1;
    blocks(&w, second - height_of(&w));
    rdg_sm2_public_t key;
    rdg_sm2_key_public(support_key(1), &key);
    CHECK(transact(&w, 9, "removeValidator", json_pack("[o]", key_json(1))));
    uint64_t third = height_of(&w) + RDG_CONSENSUS_WINDOW + 1;
    blocks(&w, third + 2 - height_of(&w));
    check_epoch(&w, 1, 0, 1, 20);
    check_epoch(&w, 20, 0, 1, 20);
    check_epoch(&w, 21, 1, 2, second - 1);
    check_epoch(&w, second, 2, 3, third - 1);
    check_epoch(&w, third + 100, 3, 2, 0);
    rdg_epoch_t now;
    CHECK_OK(rdg_ledger_epoch(w.l, third, &now));
    CHECK_EQ(rdg_validators_find(&now.validators, &key), 2); /* it is none any more */
    CHECK(strcmp(now.names[0], "dev-2") == 0 && strcmp(now.names[1], "dev-3") == 0);

    /* A checkpoint of the last block of an epoch may be of either epoch, of another block only of its own. */
    rdg_buf_t certificate;
    rdg_buf_init(&certificate, 65536);
    CHECK_OK(rdg_ledger_header(w.l, 20, NULL, NULL, &executed));
    CHECK_OK(rdg_executed_hash(&executed, &hash));
    support_certify(&before, RDG_PHASE_CHECKPOINT, 20, &hash, &certificate);
    CHECK_OK(rdg_ledger_checkpoint(w.l, 20, rdg_buf_view(&certificate)));
    rdg_buf_clear(&certificate);
    rdg_epoch_t after;
    CHECK_OK(rdg_ledger_epoch(w.l, 21, &after));
    support_certify(&after, RDG_PHASE_CHECKPOINT, 20, &hash, &certificate);
    CHECK_OK(rdg_ledger_checkpoint(w.l, 20, rdg_buf_view(&certificate)));
    rdg_buf_clear(&certificate);
    CHECK_OK(rdg_ledger_header(w.l, 19, NULL, NULL, &executed));
    CHECK_OK(rdg_executed_hash(&executed, &hash));
    support_certify(&after, RDG_PHASE_CHECKPOINT, 19, &hash, &certificate);
    CHECK_ERR(rdg_ledger_checkpoint(w.l, 19, rdg_buf_view(&certificate)), RDG_E_BAD_SIGNATURE);
    rdg_buf_fini(&certificate);

    rdg_ledger_close(w.l);
    w.l = support_open("g", &w.genesis);
    check_epoch(&w, 20, 0, 1, 20);
    check_epoch(&w, third, 3, 2, 0);
    blocks(&w, 1);
    world_fini(&w);
}

static void certify(world_t *w, uint64_t height) {
    rdg_epoch_t epoch;
    rdg_executed_t executed;
    rdg_hash_t digest;
    rdg_buf_t certificate;
    rdg_buf_init(&certificate, 65536);
    CHECK_OK(rdg_ledger_epoch(w->l, height, &epoch));
    CHECK_OK(rdg_ledger_header(w->l, height, NULL, NULL, &executed));
    CHECK_OK(rdg_executed_hash(&executed, &digest));
    support_certify(&epoch, RDG_PHASE_CHECKPOINT, height, &digest, &certificate);
    CHECK_OK(rdg_ledger_checkpoint(w->l, height, rdg_buf_view(&certificate)));
    rdg_buf_fini(&certificate);
}

/* Who knows the genesis alone learns every later set; one certified header in the window before each is enough, none
 * is not. */
TEST(governance_headers_prove_each_epoch_to_who_knows_the_genesis) {
    world_t w;
    rdg_buf_t segment;
    uint64_t last, known;
    world_init(&w, 1);
    rdg_ledger_t *l = support_open("light", &w.genesis);
    CHECK(transact(&w, 9, "addValidator", add_args(&w, 2, "dev-2"))); /* block 1; rules from 18 on */
    blocks(&w, 17);
    CHECK(transact(&w, 9, "addValidator", add_args(&w, 3, "dev-3"))); /* block 19; from 36 on */
    blocks(&w, 20);
    rdg_buf_init(&segment, RDG_HEADERS_SEGMENT_MAX);
    certify(&w, 12);
    certify(&w, 39);
    CHECK_OK(rdg_headers_export(w.l, 1, 39, 0, &segment, &last));
    CHECK(rdg_headers_import(l, rdg_buf_view(&segment), &known) != RDG_OK); /* who decided 36? */
    CHECK_EQ(rdg_headers_known(l), 0);
    certify(&w, 35);
    rdg_buf_clear(&segment);
    CHECK_OK(rdg_headers_export(w.l, 1, 39, 0, &segment, &last));
    for (size_t i = 0; i < segment.len; i += 5) {
        segment.data[i] ^= 2;
        CHECK(rdg_headers_import(l, rdg_buf_view(&segment), &known) != RDG_OK);
        segment.data[i] ^= 2;
    }
    CHECK_EQ(rdg_headers_known(l), 0);
    CHECK_OK(rdg_headers_import(l, rdg_buf_view(&segment), &known));
    CHECK_EQ(known, 39);
    /* In pieces, over a restart. */
    rdg_ledger_t *pieces = support_open("pieces", &w.genesis);
    for (uint64_t from = 1; from < 39; from = known + 1) {
        rdg_buf_clear(&segment);
        CHECK_OK(rdg_headers_export(w.l, from, from < 13 ? 12 : from < 36 ? 35 : 39, 0, &segment, &last));
        CHECK_OK(rdg_headers_import(pieces, rdg_buf_view(&segment), &known));
        rdg_ledger_close(pieces);
        pieces = support_open("pieces", &w.genesis);
    }
    CHECK_EQ(rdg_headers_known(pieces), 39);
    rdg_buf_fini(&segment);
    rdg_ledger_close(pieces);
    rdg_ledger_close(l);
    world_fini(&w);
}

TEST(governance_blocks_of_another_epoch_are_refused) {
    world_t w;
    rdg_epoch_t old, next;
    rdg_buf_t proposal, seal;
    rdg_executed_t executed;
    rdg_ledger_head_t head;
    rdg_hash_t hash;
    world_init(&w, 4);
    CHECK(transact(&w, 9, "removeValidator", json_pack("[o]", key_json(4))));
    blocks(&w, 17 - height_of(&w));
    CHECK_OK(rdg_ledger_epoch(w.l, 17, &old));
    CHECK_OK(rdg_ledger_epoch(w.l, 18, &next));
    CHECK_EQ(old.validators.epoch, 0);
    CHECK_EQ(next.validators.epoch, 1);
    rdg_buf_init(&proposal, 1 << 20), rdg_buf_init(&seal, 1 << 20);
    rdg_ledger_head(w.l, &head);
    rdg_header_t h = {.chain_id = SUPPORT_CHAIN_ID,
                      .height = 18,
                      .time_ms = head.time_ms + 1,
                      .parent = head.hash,
                      .gas_limit = w.genesis.params.block_gas_limit};
    support_encode(&h, NULL, 0, &proposal); /* says epoch 0 */
    CHECK_OK(rdg_header_hash(&h, &hash));
    support_certify(&old, RDG_PHASE_COMMIT, 18, &hash, &seal);
    CHECK_ERR(rdg_ledger_apply(w.l, rdg_buf_view(&proposal), rdg_buf_view(&seal), false, &executed),
              RDG_E_INVALID);
    h.epoch = 1;
    support_encode(&h, NULL, 0, &proposal); /* says epoch 1, sealed by the old set */
    CHECK_OK(rdg_header_hash(&h, &hash));
    rdg_buf_clear(&seal);
    support_certify(&old, RDG_PHASE_COMMIT, 18, &hash, &seal);
    CHECK_ERR(rdg_ledger_apply(w.l, rdg_buf_view(&proposal), rdg_buf_view(&seal), false, &executed),
              RDG_E_BAD_SIGNATURE);
    h.proposer = 3; /* who is gone */
    support_encode(&h, NULL, 0, &proposal);
    CHECK_ERR(rdg_ledger_validate(w.l, NULL, rdg_buf_view(&proposal), head.time_ms + 10), RDG_E_INVALID);
    rdg_buf_fini(&proposal), rdg_buf_fini(&seal);
    blocks(&w, 2);
    world_fini(&w);
}

/* --- who, and what ------------------------------------------------------------------------------------------ */

TEST(governance_is_changed_by_administrators_only_and_read_by_all) {
    /* Forwards its call data to governance and answers what that answers. */
    static const uint8_t proxy[] = {
        0x60, 0x26, 0x80, 0x60, 0x0b, 0x60, 0x00, 0x39, 0x60, 0x00, 0xf3, /* deploys: */
        0x36, 0x60, 0x00, 0x60, 0x00, 0x37,                               /* the call data to memory */
        0x60, 0x00, 0x60, 0x00, 0x36, 0x60, 0x00, 0x60, 0x00, 0x61, 0x10, 0x01, 0x5a, 0xf1, /* call */
        0x3d, 0x60, 0x00, 0x60, 0x00, 0x3e,                                      /* its answer to memory */
        0x60, 0x21, 0x57, 0x3d, 0x60, 0x00, 0xfd, 0x5b, 0x3d, 0x60, 0x00, 0xf3}; /* revert or return */
    world_t w;
    world_init(&w, 2);
    CHECK(!transact(&w, 8, "addValidator", add_args(&w, 3, "dev-3")));
    REFUSED(&w, "administrator");
    CHECK(!transact(&w, 1, "setThreshold", json_pack("[i]", 1)));
    REFUSED(&w, "administrator");
    rdg_tx_t *txs[1] = {support_tx((tx_spec_t){
        .create = true, .nonce = ++w.nonce, .gas = 1000000, .data = rdg_bytes(proxy, sizeof proxy)})};
    rdg_address_t from = support_address(9), contract;
    rdg_evm_create_address(&from, w.nonce, &contract);
    CHECK_OK(support_apply_epoch(w.l, txs, 1));
    json_t *set = view_at(&w, &contract, "validators", json_array());
    CHECK_EQ(json_array_size(json_object_get(set, "keys")), 2);
    CHECK(strcmp(json_string_value(json_array_get(json_object_get(set, "names"), 1)), "dev-2") == 0);
    json_decref(set);
    /* Also when an administrator stands behind it: a contract must not change the chain in passing. */
    CHECK(!transact_to(&w, 9, &contract, "setParameter", json_pack("[s, i]", "block_interval_ms", 5)));
    REFUSED(&w, "administrator");
    CHECK(transact(&w, 9, "setParameter", json_pack("[s, i]", "block_interval_ms", 5)));
    CHECK(!transact(&w, 9, "approve", json_pack("[i]", 1)));
    REFUSED(&w, "no such proposal");
    world_fini(&w);
}

TEST(governance_makes_no_set_that_cannot_decide) {
    world_t w;
    world_init(&w, 1);
    CHECK(!transact(&w, 9, "removeValidator", json_pack("[o]", key_json(1))));
    REFUSED(&w, "last validator stays");
    CHECK(!transact(&w, 9, "demoteValidator", json_pack("[o]", key_json(1))));
    REFUSED(&w, "last validator stays");
    CHECK(!transact(&w, 9, "removeValidator", json_pack("[o]", key_json(2))));
    REFUSED(&w, "no validator's");
    CHECK(!transact(&w, 9, "addValidator", add_args(&w, 1, "dev-x")));
    REFUSED(&w, "validator's already");
    CHECK(!transact(&w, 9, "addValidator", add_args(&w, 2, "dev-1")));
    REFUSED(&w, "name is taken");
    CHECK(!transact(&w, 9, "addValidator", add_args(&w, 2, "Dev 2")));
    REFUSED(&w, "no valid name");
    json_t *args = add_args(&w, 2, "dev-2");
    json_array_set_new(args, 0, json_string("0x1111"));
    CHECK(!transact(&w, 9, "addValidator", args));
    REFUSED(&w, "64 bytes");
    args = add_args(&w, 2, "dev-2");
    uint8_t no_point[64] = {1};
    json_array_set_new(args, 0, rdg_json_hex(no_point, sizeof no_point));
    CHECK(!transact(&w, 9, "addValidator", args));
    REFUSED(&w, "no public key");
    args = add_args(&w, 2, "dev-2");
    json_array_set_new(args, 2, json_integer(0));
    CHECK(!transact(&w, 9, "addValidator", args));
    REFUSED(&w, "weight");
    args = add_args(&w, 2, "dev-2");
    json_array_set_new(args, 3, json_integer(0));
    CHECK(!transact(&w, 9, "addValidator", args));
    REFUSED(&w, "another block at its height");
    args = add_args(&w, 2, "dev-2");
    json_array_set_new(args, 3, json_integer(1000));
    CHECK(!transact(&w, 9, "addValidator", args));
    REFUSED(&w, "not among the last 256");
    CHECK(!transact(&w, 9, "setWeight", json_pack("[o, i]", key_json(1), 1000001)));
    REFUSED(&w, "weight");
    check_epoch(&w, height_of(&w) + 100, 0, 1, 0);
    world_fini(&w);
}

static void state_rules(governance_t *g) {
    rdg_genesis_t genesis;
    support_genesis(&genesis);
    genesis.validators.count = 1;
    governance_from_genesis(&genesis, g);
}

TEST(governance_holds_at_most_64_validators_and_observers) {
    governance_t *g = rdg_alloc(sizeof *g);
    rdg_sm2_key_t *key = NULL;
    uint64_t height = 1;
    CHECK(g != NULL);
    state_rules(g);
    for (int i = 0; i < 140; ++i) {
        char name[16];
        member_t m = {.name = name, .weight = RDG_VALIDATOR_WEIGHT_MAX};
        snprintf(name, sizeof name, "n-%d", i);
        CHECK_OK(rdg_sm2_key_generate(&key));
        rdg_sm2_key_public(key, &m.key);
        rdg_sm2_key_free(key);
        height = g->latest.first_height;
        const char *why = i % 2 ? governance_add_observer(g, &m) : governance_add_validator(g, height, &m);
        if (why) CHECK(strstr(why, "at most 64") != NULL);
        CHECK_OK(rdg_validators_check(&g->latest.validators));
    }
    CHECK_EQ(g->latest.validators.count, 64);
    CHECK_EQ(g->observer_count, 64);
    CHECK_STR(governance_promote(g, height + 100, &g->observers[0].key, 1),
              "a chain has at most 64 validators");
    CHECK_STR(governance_demote(g, height + 100, &g->latest.validators.keys[5]),
              "a chain has at most 64 observers");
    /* The largest governance there can be has its form, too. */
    g->proposal_count = GOVERNANCE_PROPOSALS_MAX;
    for (uint32_t i = 0; i < g->proposal_count; ++i) {
        g->proposals[i] = (proposal_t){.id = i + 1, .call_len = GOVERNANCE_CALL_MAX, .approval_count = 16};
    }
    governance_t *read = rdg_alloc(sizeof *read);
    rdg_buf_t bytes, again;
    rdg_buf_init(&bytes, GOVERNANCE_BYTES_MAX), rdg_buf_init(&again, GOVERNANCE_BYTES_MAX);
    CHECK_OK(governance_encode(g, &bytes));
    CHECK_OK(governance_decode(rdg_buf_view(&bytes), SUPPORT_CHAIN_ID, read));
    CHECK_OK(governance_encode(read, &again));
    CHECK(rdg_bytes_equal(rdg_buf_view(&bytes), rdg_buf_view(&again)));
    rdg_buf_fini(&bytes), rdg_buf_fini(&again);
    rdg_free(read);
    rdg_free(g);
}

TEST(governance_promotes_and_demotes_observers) {
    world_t w;
    world_init(&w, 1);
    CHECK(transact(&w, 9, "addObserver", json_pack("[o, s]", key_json(2), "dev-2")));
    check_epoch(&w, 100, 0, 1, 0); /* an observer decides nothing: no epoch */
    CHECK(!transact(&w, 9, "addValidator", add_args(&w, 2, "dev-2b")));
    REFUSED(&w, "observer's already");
    json_t *args = add_args(&w, 2, "unused");
    json_array_remove(args, 1);
    CHECK(transact(&w, 9, "promoteObserver", args));
    uint64_t first = height_of(&w) + RDG_CONSENSUS_WINDOW + 1;
    check_epoch(&w, first, 1, 2, 0);
    blocks(&w, first - height_of(&w));
    CHECK(transact(&w, 9, "demoteValidator", json_pack("[o]", key_json(1))));
    json_t *observers = view(&w, "observers", json_array());
    CHECK_EQ(json_array_size(json_object_get(observers, "keys")), 1);
    json_decref(observers);
    first = height_of(&w) + RDG_CONSENSUS_WINDOW + 1;
    check_epoch(&w, first, 2, 1, 0);
    blocks(&w, first + 1 - height_of(&w));
    CHECK(transact(&w, 9, "removeObserver", json_pack("[o]", key_json(1))));
    world_fini(&w);
}

TEST(governance_changes_parameters_within_bounds) {
    world_t w;
    rdg_chain_params_t params;
    world_init(&w, 2);
    CHECK(transact(&w, 9, "setParameter", json_pack("[s, i]", "block_gas_limit", 40000000)));
    rdg_ledger_params(w.l, &params);
    CHECK_EQ(params.block_gas_limit, 40000000);
    blocks(&w, 1); /* whose header says so */
    rdg_header_t h;
    CHECK_OK(rdg_ledger_header(w.l, height_of(&w), &h, NULL, NULL));
    CHECK_EQ(h.gas_limit, 40000000);
    static const struct {
        const char *name;
        json_int_t value;
    } bad[] = {{"block_gas_limit", 1}, {"block_tx_max", 0},     {"block_interval_ms", 0},
               {"view_timeout_ms", 5}, {"tx_gas_limit", 30000}, {"empty_block_ms", -1},
               {"no_such", 1}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; ++i)
        if (bad[i].value >= 0)
            CHECK(!transact(&w, 9, "setParameter", json_pack("[s, I]", bad[i].name, bad[i].value)));
    CHECK(!transact(&w, 9, "setParameter", json_pack("[s, s]", "block_tx_max", "18446744073709551615")));
    REFUSED(&w, "out of bounds");
    check_epoch(&w, 1000, 0, 2, 0);
    CHECK(transact(&w, 9, "setParameter", json_pack("[s, i]", "view_timeout_ms", 700)));
    rdg_epoch_t e;
    CHECK_OK(rdg_ledger_epoch(w.l, 1000, &e)); /* of consensus: an epoch of its own */
    CHECK_EQ(e.validators.epoch, 1);
    CHECK_EQ(e.view_timeout_ms, 700);
    CHECK_OK(rdg_ledger_epoch(w.l, height_of(&w), &e));
    CHECK_EQ(e.view_timeout_ms, RDG_VIEW_TIMEOUT_MS);
    world_fini(&w);
}

TEST(governance_waits_for_as_many_approvals_as_the_threshold_says) {
    world_t w;
    world_init(&w, 2);
    for (uint8_t n = 6; n <= 8; ++n) {
        rdg_address_t a = support_address(n);
        CHECK(transact(&w, 9, "addAdministrator", json_pack("[o]", rdg_json_hex(a.b, sizeof a.b))));
    }
    CHECK(!transact(&w, 9, "setThreshold", json_pack("[i]", 5)));
    CHECK(transact(&w, 9, "setThreshold", json_pack("[i]", 3)));
    CHECK(transact(&w, 9, "removeValidator", json_pack("[o]", key_json(2)))); /* proposal 1 */
    check_epoch(&w, 1000, 0, 2, 0);
    CHECK(!transact(&w, 9, "approve", json_pack("[i]", 1)));
    REFUSED(&w, "approved already");
    CHECK(!transact(&w, 5, "approve", json_pack("[i]", 1)));
    REFUSED(&w, "administrator");
    CHECK(transact(&w, 8, "approve", json_pack("[i]", 1)));
    check_epoch(&w, 1000, 0, 2, 0);
    json_t *p = view(&w, "proposal", json_pack("[i]", 1));
    CHECK_EQ(json_array_size(json_object_get(p, "approvals")), 2);
    json_decref(p);
    CHECK(!transact(&w, 8, "withdraw", json_pack("[i]", 1)));
    REFUSED(&w, "proposer");
    CHECK(transact(&w, 7, "approve", json_pack("[i]", 1)));
    check_epoch(&w, 1000, 1, 1, 0);
    CHECK(!transact(&w, 6, "approve", json_pack("[i]", 1)));
    REFUSED(&w, "no such proposal");
    /* Approvals of those who are no administrators any more do not count. */
    rdg_address_t gone = support_address(8);
    CHECK(transact(&w, 8, "setParameter", json_pack("[s, i]", "block_tx_max", 7))); /* 2 */
    CHECK(transact(&w, 9, "removeAdministrator",
                   json_pack("[o]", rdg_json_hex(gone.b, sizeof gone.b)))); /* 3 */
    CHECK(transact(&w, 7, "approve", json_pack("[i]", 3)));
    CHECK(transact(&w, 6, "approve", json_pack("[i]", 3)));
    CHECK(transact(&w, 9, "approve", json_pack("[i]", 2)));
    CHECK(transact(&w, 7, "approve", json_pack("[i]", 2)));
    rdg_chain_params_t params;
    rdg_ledger_params(w.l, &params);
    CHECK(params.block_tx_max != 7);
    CHECK(transact(&w, 6, "approve", json_pack("[i]", 2)));
    rdg_ledger_params(w.l, &params);
    CHECK_EQ(params.block_tx_max, 7);
    /* Three are left, and three are needed. */
    gone = support_address(7);
    CHECK(transact(&w, 9, "removeAdministrator",
                   json_pack("[o]", rdg_json_hex(gone.b, sizeof gone.b)))); /* 4 */
    CHECK(transact(&w, 7, "approve", json_pack("[i]", 4)));
    CHECK(!transact(&w, 6, "approve", json_pack("[i]", 4)));
    REFUSED(&w, "threshold");
    CHECK(transact(&w, 9, "withdraw", json_pack("[i]", 4)));
    world_fini(&w);
}

TEST(governance_keeps_a_bounded_number_of_proposals_for_a_bounded_time) {
    governance_t *g = rdg_alloc(sizeof *g);
    CHECK(g != NULL);
    world_t w;
    world_init(&w, 1);
    rdg_address_t a = support_address(8);
    CHECK(transact(&w, 9, "addAdministrator", json_pack("[o]", rdg_json_hex(a.b, sizeof a.b))));
    CHECK(transact(&w, 9, "setThreshold", json_pack("[i]", 2)));
    for (int i = 0; i < GOVERNANCE_PROPOSALS_MAX; ++i)
        CHECK(transact(&w, 9, "setParameter", json_pack("[s, i]", "block_tx_max", 7 + i)));
    CHECK(!transact(&w, 9, "setParameter", json_pack("[s, i]", "block_tx_max", 7)));
    REFUSED(&w, "too many");
    json_t *open = view(&w, "proposals", json_array());
    CHECK_EQ(json_array_size(json_object_get(open, "ids")), GOVERNANCE_PROPOSALS_MAX);
    json_int_t last = json_integer_value(json_array_get(json_object_get(open, "lastHeights"), 0));
    CHECK(last > GOVERNANCE_PROPOSAL_HEIGHTS && last < GOVERNANCE_PROPOSAL_HEIGHTS + 10);
    json_decref(open);
    world_fini(&w);
    rdg_free(g);
}

/* --- for tools ------------------------------------------------------------------------------------------------ */

TEST(governance_methods_are_those_of_the_published_interface) {
    json_t *artefact = load_artefact(), *entry;
    size_t i, functions = 0;
    json_array_foreach(json_object_get(artefact, "abi"), i, entry) {
        uint8_t digest[32];
        rdg_buf_t text;
        if (strcmp(json_string_value(json_object_get(entry, "type")), "function") != 0) continue;
        ++functions;
        rdg_buf_init(&text, 1000);
        CHECK_OK(rdg_abi_signature(entry, &text));
        rdg_keccak256(text.data, text.len, digest);
        const method_t *m = governance_method(rdg_bytes(digest, 4));
        CHECK(m != NULL && strcmp(m->name, json_string_value(json_object_get(entry, "name"))) == 0);
        const struct { const char *text, *field; } lists[] = {{m->inputs, "inputs"}, {m->outputs, "outputs"}};
        for (size_t k = 0; k < 2; ++k) {
            json_t *ours = native_params_json(lists[k].text),
                   *theirs = json_object_get(entry, lists[k].field);
            CHECK_EQ(json_array_size(ours), json_array_size(theirs));
            for (size_t n = 0; n < json_array_size(ours); ++n) {
                const json_t *a = json_array_get(ours, n), *b = json_array_get(theirs, n);
                CHECK(json_equal(json_object_get(a, "type"), json_object_get(b, "type")));
                CHECK(json_equal(json_object_get(a, "name"), json_object_get(b, "name")));
            }
            json_decref(ours);
        }
        bool changes = strcmp(json_string_value(json_object_get(entry, "stateMutability")), "view") != 0;
        CHECK_EQ(changes, m->kind != METHOD_VIEW);
        rdg_buf_fini(&text);
    }
    CHECK_EQ(functions, 21);
    json_decref(artefact);
}

typedef struct seen {
    world_t *w;
    char names[16][32];
    size_t count;
} seen_t;

static rdg_err_t on_log(void *ctx, const rdg_log_hit_t *hit) {
    seen_t *s = ctx;
    json_t *event = NULL;
    uint8_t topics[4][32];
    for (uint32_t i = 0; i < hit->log->topic_count; ++i) memcpy(topics[i], hit->log->topics[i].b, 32);
    CHECK_OK(rdg_abi_decode_log(s->w->abi, (const uint8_t(*)[32])topics, hit->log->topic_count,
                                hit->log->data, rdg_keccak256, &event));
    snprintf(s->names[s->count++ % 16], 32, "%s", json_string_value(json_object_get(event, "event")));
    json_decref(event);
    return RDG_OK;
}

TEST(governance_tells_of_each_step_by_an_event_that_tools_can_read) {
    static const char *const expected[] = {
        "ValidatorAdded",   "EpochScheduled", "ObserverAdded", "ParameterChanged", "AdministratorAdded",
        "ThresholdChanged", "Proposed",       "Approved",      "ThresholdChanged", "Executed"};
    world_t w;
    world_init(&w, 1);
    rdg_address_t a = support_address(8);
    CHECK(transact(&w, 9, "addValidator", add_args(&w, 2, "dev-2")));
    CHECK(transact(&w, 9, "addObserver", json_pack("[o, s]", key_json(3), "dev-3")));
    CHECK(transact(&w, 9, "setParameter", json_pack("[s, i]", "empty_block_ms", 1000)));
    CHECK(transact(&w, 9, "addAdministrator", json_pack("[o]", rdg_json_hex(a.b, sizeof a.b))));
    CHECK(transact(&w, 9, "setThreshold", json_pack("[i]", 2)));
    CHECK(transact(&w, 9, "setThreshold", json_pack("[i]", 1)));
    CHECK(transact(&w, 8, "approve", json_pack("[i]", 1)));
    seen_t seen = {.w = &w};
    rdg_log_filter_t filter = {
        .from = 1, .to = 100, .addresses = &RDG_GOVERNANCE_ADDRESS, .address_count = 1};
    CHECK_OK(rdg_ledger_logs(w.l, &filter, 100, on_log, &seen));
    CHECK_EQ(seen.count, sizeof expected / sizeof expected[0]);
    for (size_t i = 0; i < seen.count; ++i) CHECK_STR(seen.names[i], expected[i]);
    world_fini(&w);
}

TEST(governance_costs_gas_and_a_call_without_enough_changes_nothing) {
    world_t w;
    rdg_chain_params_t params;
    world_init(&w, 1);
    rdg_buf_t data;
    rdg_buf_init(&data, 4096);
    encode(&w, "setParameter", json_pack("[s, i]", "block_tx_max", 7), &data);
    for (uint64_t gas = 25000; gas < 90000; gas += 3000) {
        rdg_tx_t *txs[1] = {support_tx((tx_spec_t){
            .to = &RDG_GOVERNANCE_ADDRESS, .nonce = ++w.nonce, .gas = gas, .data = rdg_buf_view(&data)})};
        CHECK_OK(support_apply_epoch(w.l, txs, 1));
        rdg_ledger_params(w.l, &params);
        if (params.block_tx_max == 7) break;
    }
    CHECK_EQ(params.block_tx_max, 7);
    rdg_buf_fini(&data);
    world_fini(&w);
}

TEST(a_proposal_ahead_of_every_clock_is_good_when_its_parent_leaves_no_choice) {
    world_t w;
    rdg_buf_t proposal;
    rdg_ledger_head_t head;
    world_init(&w, 1);
    blocks(&w, 2);
    rdg_ledger_head(w.l, &head);
    rdg_pool_t *pool = support_pool();
    rdg_buf_init(&proposal, 1 << 20);
    uint64_t now = head.time_ms - 3600000; /* the clocks were set back by an hour */
    CHECK_OK(rdg_ledger_propose(w.l, pool, 0, now, true, &proposal));
    CHECK_OK(rdg_ledger_validate(w.l, pool, rdg_buf_view(&proposal), now));
    rdg_header_t h;
    CHECK_OK(rdg_proposal_header(rdg_buf_view(&proposal), &h));
    CHECK_EQ(h.time_ms, head.time_ms + 1);
    h.time_ms += 1;
    support_encode(&h, NULL, 0, &proposal);
    CHECK_ERR(rdg_ledger_validate(w.l, pool, rdg_buf_view(&proposal), now), RDG_E_INVALID);
    rdg_buf_fini(&proposal);
    rdg_pool_free(pool);
    world_fini(&w);
}
