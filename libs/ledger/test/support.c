#include "support.h"
#include <stdio.h>
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"

static rdg_sm2_key_t *keys[SUPPORT_KEYS + 1];

/* Before any test, so that no test is taken to have leaked them. */
__attribute__((constructor)) static void make_keys(void) {
    for (int n = 1; n <= SUPPORT_KEYS; ++n) {
        uint8_t scalar[32] = {0x11};
        scalar[31] = (uint8_t)n;
        (void)rdg_sm2_key_from_scalar(scalar, &keys[n]);
    }
}

rdg_sm2_key_t *support_key(uint8_t n) {
    CHECK(n > 0 && n <= SUPPORT_KEYS && keys[n]);
    return keys[n];
}

rdg_address_t support_address(uint8_t n) {
    rdg_sm2_public_t key;
    rdg_address_t a;
    rdg_sm2_key_public(support_key(n), &key);
    rdg_sm2_address(&key, &a);
    return a;
}

void support_genesis(rdg_genesis_t *g) {
    memset(g, 0, sizeof *g);
    snprintf(g->name, sizeof g->name, "feeder-7");
    snprintf(g->consensus, sizeof g->consensus, "pbft");
    g->time_ms = 1700000000000;
    g->validators.chain_id = SUPPORT_CHAIN_ID;
    g->validators.count = SUPPORT_VALIDATORS;
    for (int i = 0; i < SUPPORT_VALIDATORS; ++i) {
        rdg_sm2_key_public(support_key((uint8_t)(i + 1)), &g->validators.keys[i]);
        snprintf(g->validator_names[i], sizeof g->validator_names[i], "dev-%d", i + 1);
    }
    rdg_chain_params_default(&g->params);
    g->alloc_count = 1;
    g->alloc[0].address = support_address(9);
    rdg_store_be64(g->alloc[0].balance.b + 24, 1000000000000000000u);
    rdg_buf_t text;
    rdg_buf_init(&text, RDG_GENESIS_BYTES_MAX);
    CHECK_OK(rdg_genesis_format(g, &text));
    rdg_buf_fini(&text);
}

rdg_ledger_t *support_open(const char *name, const rdg_genesis_t *g) {
    char path[600];
    rdg_ledger_t *l = NULL;
    CHECK_OK(rdg_path_join(path, sizeof path, rdg_test_dir(), name));
    CHECK_OK(rdg_ledger_open(path, g, NULL, &l));
    return l;
}

rdg_tx_t *support_tx(tx_spec_t spec) {
    static const rdg_address_t nobody = {{0xaa}};
    rdg_tx_t *tx = NULL;
    rdg_tx_fields_t f = {.chain_id = spec.chain_id ? spec.chain_id : SUPPORT_CHAIN_ID,
                         .nonce = spec.nonce,
                         .valid_until = spec.valid_until ? spec.valid_until : 1000,
                         .gas_limit = spec.gas ? spec.gas : 1000000,
                         .to = spec.create ? NULL
                               : spec.to   ? spec.to
                                           : &nobody,
                         .data = spec.data};
    rdg_store_be64(f.value.b + 24, spec.value);
    CHECK_OK(rdg_tx_sign(&f, support_key(spec.from ? spec.from : 9), &tx));
    return tx;
}

void support_encode(rdg_header_t *h, rdg_tx_t **txs, uint32_t count, rdg_buf_t *out) {
    h->tx_count = count;
    CHECK_OK(rdg_block_tx_root(txs, count, &h->tx_root));
    rdg_buf_clear(out);
    CHECK_OK(rdg_proposal_encode(h, txs, out));
}

void support_proposal(rdg_ledger_t *l, rdg_tx_t **txs, uint32_t count, rdg_buf_t *out) {
    rdg_ledger_head_t head;
    rdg_ledger_head(l, &head);
    rdg_header_t h = {.chain_id = SUPPORT_CHAIN_ID,
                      .height = head.height + 1,
                      .time_ms = head.time_ms + 100,
                      .parent = head.hash,
                      .proposer = (uint32_t)(head.height % SUPPORT_VALIDATORS),
                      .gas_limit = rdg_ledger_genesis(l)->params.block_gas_limit};
    support_encode(&h, txs, count, out);
}

void support_certificate(rdg_phase_t phase, uint64_t height, const rdg_hash_t *digest, rdg_buf_t *out) {
    rdg_certificate_t c = {.statement = {.phase = phase, .height = height, .digest = *digest}, .count = 3};
    rdg_hash_t statement;
    rdg_statement_hash(SUPPORT_CHAIN_ID, &c.statement, &statement);
    for (uint32_t i = 0; i < c.count; ++i) {
        c.votes[i].index = i;
        CHECK_OK(rdg_sm2_sign(support_key((uint8_t)(i + 1)), statement.b, sizeof statement.b,
                              &c.votes[i].signature));
    }
    rdg_buf_clear(out);
    CHECK_OK(rdg_certificate_encode(&c, out));
}

void support_seal(rdg_bytes_t proposal, rdg_buf_t *out) {
    rdg_header_t h;
    rdg_hash_t hash;
    CHECK_OK(rdg_proposal_header(proposal, &h));
    CHECK_OK(rdg_header_hash(&h, &hash));
    support_certificate(RDG_PHASE_COMMIT, h.height, &hash, out);
}

rdg_err_t support_apply(rdg_ledger_t *l, rdg_tx_t **txs, uint32_t count, rdg_executed_t *out) {
    rdg_buf_t proposal, seal;
    rdg_executed_t executed;
    rdg_buf_init(&proposal, RDG_BLOCK_BYTES_MAX);
    rdg_buf_init(&seal, 65536);
    support_proposal(l, txs, count, &proposal);
    support_seal(rdg_buf_view(&proposal), &seal);
    rdg_err_t err =
        rdg_ledger_apply(l, rdg_buf_view(&proposal), rdg_buf_view(&seal), false, out ? out : &executed);
    for (uint32_t i = 0; i < count; ++i) rdg_tx_unref(txs[i]);
    rdg_buf_fini(&proposal);
    rdg_buf_fini(&seal);
    return err;
}

static rdg_sm2_key_t *key_of(const rdg_sm2_public_t *public) {
    for (uint8_t n = 1; n <= SUPPORT_KEYS; ++n) {
        rdg_sm2_public_t key;
        rdg_sm2_key_public(support_key(n), &key);
        if (memcmp(key.b, public->b, sizeof key.b) == 0) return support_key(n);
    }
    CHECK(false);
    return NULL;
}

void support_certify(const rdg_epoch_t *e, rdg_phase_t phase, uint64_t height, const rdg_hash_t *digest,
                     rdg_buf_t *out) {
    rdg_certificate_t c = {
        .statement = {.phase = phase, .epoch = e->validators.epoch, .height = height, .digest = *digest},
        .count = e->validators.count};
    rdg_hash_t statement;
    rdg_statement_hash(SUPPORT_CHAIN_ID, &c.statement, &statement);
    for (uint32_t i = 0; i < c.count; ++i) {
        c.votes[i].index = i;
        CHECK_OK(rdg_sm2_sign(key_of(&e->validators.keys[i]), statement.b, sizeof statement.b,
                              &c.votes[i].signature));
    }
    CHECK_OK(rdg_certificate_encode(&c, out));
}

rdg_err_t support_apply_epoch(rdg_ledger_t *l, rdg_tx_t **txs, uint32_t count) {
    rdg_buf_t proposal, seal;
    rdg_ledger_head_t head;
    rdg_chain_params_t params;
    rdg_epoch_t epoch;
    rdg_executed_t executed;
    rdg_hash_t hash;
    rdg_ledger_head(l, &head);
    rdg_ledger_params(l, &params);
    CHECK_OK(rdg_ledger_epoch(l, head.height + 1, &epoch));
    rdg_buf_init(&proposal, RDG_BLOCK_BYTES_MAX);
    rdg_buf_init(&seal, 65536);
    rdg_header_t h = {.chain_id = SUPPORT_CHAIN_ID,
                      .epoch = epoch.validators.epoch,
                      .height = head.height + 1,
                      .time_ms = head.time_ms + 100,
                      .parent = head.hash,
                      .gas_limit = params.block_gas_limit};
    support_encode(&h, txs, count, &proposal);
    CHECK_OK(rdg_header_hash(&h, &hash));
    support_certify(&epoch, RDG_PHASE_COMMIT, h.height, &hash, &seal);
    rdg_err_t err = rdg_ledger_apply(l, rdg_buf_view(&proposal), rdg_buf_view(&seal), false, &executed);
    for (uint32_t i = 0; i < count; ++i) rdg_tx_unref(txs[i]);
    rdg_buf_fini(&proposal);
    rdg_buf_fini(&seal);
    return err;
}

rdg_pool_t *support_pool(void) {
    rdg_pool_t *p = NULL;
    rdg_pool_limits_t limits = {1000, 1u << 20, 100};
    CHECK_OK(rdg_pool_new(&limits, SUPPORT_CHAIN_ID, 30000000, &p));
    return p;
}
