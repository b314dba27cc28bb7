#include "chain.h"
#include <stdio.h>
#include "governance.h"
#include "ridge/base/file.h"
#include "ridge/codec/abi.h"
#include "ridge/consensus/consensus.h"

/* State in memory: these tests are about blocks, whose files are on disk. */
static rdg_ledger_t *open_quick(const char *name, const rdg_genesis_t *g) {
    char path[600];
    rdg_ledger_t *l = NULL;
    rdg_ledger_options_t options = {.memory_store = true};
    CHECK_OK(rdg_path_join(path, sizeof path, rdg_test_dir(), name));
    CHECK_OK(rdg_ledger_open(path, g, &options, &l));
    return l;
}

void chain_open(chain_t *c, const char *name) {
    rdg_buf_t text;
    memset(c, 0, sizeof *c);
    support_genesis(&c->genesis);
    c->genesis.validators.count = 1;
    c->genesis.admin_count = 1;
    c->genesis.admins[0] = support_address(9);
    rdg_buf_init(&text, RDG_GENESIS_BYTES_MAX);
    CHECK_OK(rdg_genesis_format(&c->genesis, &text));
    rdg_buf_fini(&text);
    c->l = open_quick(name, &c->genesis);
}

void chain_close(chain_t *c) {
    rdg_ledger_close(c->l);
    c->l = NULL;
}

uint64_t chain_height(const chain_t *c) {
    rdg_ledger_head_t head;
    rdg_ledger_head(c->l, &head);
    return head.height;
}

static void certify(chain_t *c, uint64_t height) {
    rdg_executed_t executed;
    rdg_hash_t digest;
    rdg_epoch_t epoch;
    rdg_buf_t certificate;
    rdg_buf_init(&certificate, 65536);
    CHECK_OK(rdg_ledger_header(c->l, height, NULL, NULL, &executed));
    CHECK_OK(rdg_executed_hash(&executed, &digest));
    CHECK_OK(rdg_ledger_epoch(c->l, height, &epoch));
    support_certify(&epoch, RDG_PHASE_CHECKPOINT, height, &digest, &certificate);
    CHECK_OK(rdg_ledger_checkpoint(c->l, height, rdg_buf_view(&certificate)));
    rdg_buf_fini(&certificate);
}

void chain_block(chain_t *c, rdg_tx_t **txs, uint32_t count) {
    CHECK_OK(support_apply_epoch(c->l, txs, count));
    certify(c, chain_height(c));
}

void chain_grow(chain_t *c, uint64_t height, uint32_t txs) {
    rdg_tx_t *list[64];
    CHECK(txs <= 64);
    while (chain_height(c) < height) {
        for (uint32_t i = 0; i < txs; ++i)
            list[i] = support_tx(
                (tx_spec_t){.nonce = ++c->nonce, .value = 1 + i, .valid_until = chain_height(c) + 100});
        chain_block(c, list, txs);
    }
}

void chain_fill(chain_t *c, uint32_t blocks) {
    /* for (i = 1200; i > 0; i--) storage[i] = i; */
    static const uint8_t code[] = {0x61, 0x04, 0xb0, 0x5b, 0x80, 0x80, 0x55, 0x60,
                                   0x01, 0x90, 0x03, 0x80, 0x60, 0x03, 0x57, 0x00};
    for (uint32_t i = 0; i < blocks; ++i) {
        rdg_tx_t *tx = support_tx((tx_spec_t){.create = true,
                                              .nonce = ++c->nonce,
                                              .gas = 30000000,
                                              .valid_until = chain_height(c) + 100,
                                              .data = rdg_bytes(code, sizeof code)});
        chain_block(c, &tx, 1);
    }
}

void chain_add_validator(chain_t *c, uint8_t n) {
    static const char signature[] = "addValidator(bytes,string,uint32,uint64,bytes32)";
    uint8_t selector[32];
    char name[16];
    rdg_sm2_public_t key;
    rdg_ledger_head_t head;
    rdg_buf_t data;
    json_t *params =
        native_params_json("bytes key,string name,uint32 weight,uint64 height,bytes32 blockHash");
    rdg_buf_init(&data, 1 << 16);
    rdg_ledger_head(c->l, &head);
    rdg_sm2_key_public(support_key(n), &key);
    snprintf(name, sizeof name, "dev-%u", n);
    json_t *args = json_pack("[o, s, i, I, o]", rdg_json_hex(key.b, sizeof key.b), name, 1,
                             (json_int_t)head.height, rdg_json_hex(head.hash.b, sizeof head.hash.b));
    rdg_keccak256(signature, strlen(signature), selector);
    CHECK_OK(rdg_buf_append(&data, selector, 4));
    CHECK_OK(rdg_abi_encode(params, args, &data));
    rdg_tx_t *tx = support_tx((tx_spec_t){.to = &RDG_GOVERNANCE_ADDRESS,
                                          .nonce = ++c->nonce,
                                          .gas = 20000000,
                                          .valid_until = head.height + 100,
                                          .data = rdg_buf_view(&data)});
    chain_block(c, &tx, 1);
    c->governed = chain_height(c);
    json_decref(args);
    json_decref(params);
    rdg_buf_fini(&data);
}

void chain_story(chain_t *c) {
    chain_grow(c, 3, 2);
    chain_add_validator(c, 2);
    chain_grow(c, c->governed + 8, 3);
    chain_grow(c, c->governed + RDG_CONSENSUS_WINDOW + 1, 0);
    chain_add_validator(c, 3);
    chain_grow(c, c->governed + RDG_CONSENSUS_WINDOW + 1, 1);
    chain_add_validator(c, 4);
    chain_grow(c, c->governed + RDG_CONSENSUS_WINDOW + 4, 0);
    chain_grow(c, chain_height(c) + 4, 5);
}

/* All but one of the signers, where that is a quorum still. */
static void fewer(rdg_bytes_t certificate, const rdg_validator_set_t *set, rdg_buf_t *out) {
    rdg_certificate_t c;
    CHECK_OK(rdg_certificate_decode(certificate, &c));
    if (c.count > rdg_validators_quorum(set->count)) c.count--;
    rdg_buf_clear(out);
    CHECK_OK(rdg_certificate_encode(&c, out));
}

void chain_copy(const chain_t *from, const char *name, chain_t *out) {
    rdg_buf_t seal, checkpoint, other;
    *out = *from;
    out->l = open_quick(name, &from->genesis);
    rdg_buf_init(&seal, 65536), rdg_buf_init(&checkpoint, 65536), rdg_buf_init(&other, 65536);
    for (uint64_t h = 1; h <= chain_height(from); ++h) {
        rdg_block_t *b = NULL;
        rdg_executed_t executed;
        rdg_epoch_t epoch;
        CHECK_OK(rdg_ledger_block(from->l, h, &b));
        CHECK_OK(rdg_ledger_epoch(from->l, h, &epoch));
        CHECK_OK(rdg_ledger_seal(from->l, h, &seal, &checkpoint));
        fewer(rdg_buf_view(&seal), &epoch.validators, &other);
        CHECK_OK(rdg_ledger_apply(out->l, b->proposal, rdg_buf_view(&other), false, &executed));
        fewer(rdg_buf_view(&checkpoint), &epoch.validators, &other);
        CHECK_OK(rdg_ledger_checkpoint(out->l, h, rdg_buf_view(&other)));
        rdg_block_unref(b);
    }
    rdg_buf_fini(&seal), rdg_buf_fini(&checkpoint), rdg_buf_fini(&other);
}
