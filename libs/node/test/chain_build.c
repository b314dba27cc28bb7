#include "chain_build.h"
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/test.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* for (i = calldata[0]; i < calldata[1]; i++) storage[i] = i + 1; */
static const uint8_t FILLER[] = {
    0x60, 0x1e, 0x80, 0x60, 0x0b, 0x60, 0x00, 0x39, 0x60, 0x00, 0xf3, /* deploys: */
    0x60, 0x00, 0x35, 0x60, 0x20, 0x35, 0x5b, 0x81, 0x81, 0x11, 0x15, 0x60, 0x1c, 0x57, 0x81,
    0x60, 0x01, 0x01, 0x82, 0x55, 0x90, 0x60, 0x01, 0x01, 0x90, 0x60, 0x06, 0x56, 0x5b, 0x00};

static void certify(chain_build_t *b, rdg_phase_t phase, uint64_t height, const rdg_hash_t *digest,
                    rdg_buf_t *out) {
    const rdg_validator_set_t *set = &b->c->genesis.validators;
    bool raft = rdg_genesis_is_raft(&b->c->genesis);
    rdg_certificate_t c = {.statement = {.phase = phase, .height = height, .digest = *digest}};
    rdg_hash_t hash;
    c.count = raft && phase == RDG_PHASE_RAFT_LEADER ? 1 : rdg_validators_quorum(set->count);
    rdg_statement_hash(set->chain_id, &c.statement, &hash);
    for (uint32_t i = 0; i < c.count; ++i) {
        c.votes[i].index = i;
        CHECK_OK(rdg_sm2_sign(b->keys[i], hash.b, sizeof hash.b, &c.votes[i].signature));
    }
    rdg_buf_clear(out);
    CHECK_OK(rdg_certificate_encode(&c, out));
}

/* Takes the transactions. */
static void apply(chain_build_t *b, rdg_tx_t **txs, uint32_t count) {
    rdg_ledger_head_t head;
    rdg_executed_t executed;
    rdg_hash_t hash;
    rdg_buf_t proposal, certificate;
    bool raft = rdg_genesis_is_raft(&b->c->genesis);
    rdg_buf_init(&proposal, RDG_BLOCK_BYTES_MAX);
    rdg_buf_init(&certificate, 65536);
    rdg_ledger_head(b->l, &head);
    rdg_header_t h = {.chain_id = b->c->genesis.validators.chain_id,
                      .height = head.height + 1,
                      .time_ms = head.time_ms + 100,
                      .parent = head.hash,
                      .tx_count = count,
                      .gas_limit = b->c->genesis.params.block_gas_limit};
    CHECK_OK(rdg_block_tx_root(txs, count, &h.tx_root));
    CHECK_OK(rdg_proposal_encode(&h, txs, &proposal));
    CHECK_OK(rdg_header_hash(&h, &hash));
    certify(b, raft ? RDG_PHASE_RAFT_LEADER : RDG_PHASE_COMMIT, h.height, &hash, &certificate);
    CHECK_OK(rdg_ledger_apply(b->l, rdg_buf_view(&proposal), rdg_buf_view(&certificate), false, &executed));
    CHECK_OK(rdg_executed_hash(&executed, &hash));
    certify(b, RDG_PHASE_CHECKPOINT, h.height, &hash, &certificate);
    CHECK_OK(rdg_ledger_checkpoint(b->l, h.height, rdg_buf_view(&certificate)));
    for (uint32_t i = 0; i < count; ++i) rdg_tx_unref(txs[i]);
    rdg_buf_fini(&proposal);
    rdg_buf_fini(&certificate);
}

static rdg_tx_t *sign(chain_build_t *b, const rdg_address_t *to, uint64_t gas, rdg_bytes_t data) {
    rdg_tx_t *tx = NULL;
    rdg_tx_fields_t f = {.chain_id = b->c->genesis.validators.chain_id,
                         .nonce = ++b->nonce,
                         .valid_until = 90000,
                         .gas_limit = gas,
                         .to = to,
                         .data = data};
    CHECK_OK(rdg_tx_sign(&f, b->c->user, &tx));
    return tx;
}

void chain_build_open(chain_build_t *b, cluster_t *c, size_t at) {
    char path[600];
    rdg_sm2_public_t user;
    rdg_address_t from;
    *b = (chain_build_t){.c = c};
    for (uint32_t i = 0; i < c->genesis.validators.count; ++i) {
        CHECK_OK(rdg_path_join(path, sizeof path, c->dirs[i], "node.key"));
        CHECK_OK(rdg_sm2_key_load(path, &b->keys[i]));
    }
    CHECK_OK(rdg_path_join(path, sizeof path, c->dirs[at], "data"));
    CHECK_OK(rdg_ledger_open(path, &c->genesis, NULL, &b->l));
    rdg_sm2_key_public(c->user, &user);
    rdg_sm2_address(&user, &from);
    rdg_tx_t *txs[1] = {sign(b, NULL, 1000000, rdg_bytes(FILLER, sizeof FILLER))};
    rdg_evm_create_address(&from, b->nonce, &b->contract);
    apply(b, txs, 1);
}

void chain_build_blocks(chain_build_t *b, uint64_t count, uint32_t txs) {
    for (uint64_t i = 0; i < count; ++i) {
        rdg_tx_t *list[64];
        CHECK(txs <= 64);
        for (uint32_t k = 0; k < txs; ++k) {
            rdg_address_t to = {{0xcc}};
            list[k] = sign(b, &to, 21000, rdg_bytes(NULL, 0));
        }
        apply(b, list, txs);
    }
}

void chain_build_slots(chain_build_t *b, uint64_t from, uint64_t to) {
    for (; from < to; from += 1200) {
        uint8_t words[64] = {0};
        rdg_store_be64(words + 24, from);
        rdg_store_be64(words + 56, from + 1200 < to ? from + 1200 : to);
        rdg_tx_t *txs[1] = {sign(b, &b->contract, 30000000, rdg_bytes(words, sizeof words))};
        apply(b, txs, 1);
    }
}

uint64_t chain_build_close(chain_build_t *b) {
    rdg_ledger_head_t head;
    rdg_ledger_head(b->l, &head);
    rdg_ledger_close(b->l);
    for (size_t i = 0; i < CLUSTER_MAX; ++i) rdg_sm2_key_free(b->keys[i]);
    return head.height;
}

void chain_build_copy(cluster_t *c, size_t from, size_t to) {
    char command[1400];
    snprintf(command, sizeof command, "cp -a '%s/data' '%s/'", c->dirs[from], c->dirs[to]);
    CHECK_EQ(system(command), 0);
}

void chain_build_damage(cluster_t *c, size_t i, rdg_bytes_t prefix, rdg_bytes_t from) {
    char path[600];
    uint8_t copy[8192], key_copy[128];
    rdg_kv_t *kv = NULL;
    rdg_kv_iter_t *it = NULL;
    rdg_bytes_t key, value;
    CHECK_OK(rdg_path_join(path, sizeof path, c->dirs[i], "data/db"));
    CHECK_OK(rdg_kv_open_rocksdb(path, &(rdg_kv_options_t){0}, &kv));
    CHECK_OK(rdg_kv_iter_open(kv, NULL, prefix, from, &it));
    CHECK(rdg_kv_iter_next(it, &key, &value));
    CHECK(value.len > 0 && value.len <= sizeof copy && key.len <= sizeof key_copy);
    memcpy(copy, value.data, value.len);
    memcpy(key_copy, key.data, key.len);
    copy[value.len - 1] ^= 1;
    rdg_kv_batch_t *batch = rdg_kv_batch_new();
    rdg_kv_batch_put(batch, rdg_bytes(key_copy, key.len), rdg_bytes(copy, value.len));
    rdg_kv_iter_close(it);
    CHECK_OK(rdg_kv_write(kv, batch, true));
    rdg_kv_batch_free(batch);
    rdg_kv_close(kv);
}
