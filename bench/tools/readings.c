#include "readings.h"
#include "metering_call.h"
#include "ridge/base/assert.h"
#include "ridge/base/file.h"
#include "ridge/codec/hex.h"
#include "ridge/codec/json.h"

#define MUST(expr) RDG_ASSERT((expr) == RDG_OK)

static void certify(readings_t *r, rdg_phase_t phase, uint64_t height, const rdg_hash_t *digest) {
    rdg_hash_t statement;
    rdg_certificate_t c = {.statement = {.phase = phase, .height = height, .digest = *digest}, .count = 1};
    rdg_statement_hash(r->genesis.validators.chain_id, &c.statement, &statement);
    MUST(rdg_sm2_sign(r->key, statement.b, sizeof statement.b, &c.votes[0].signature));
    rdg_buf_clear(&r->certificate);
    MUST(rdg_certificate_encode(&c, &r->certificate));
}

/* Takes the transactions. */
static void block(readings_t *r, rdg_tx_t **txs, uint32_t count) {
    rdg_ledger_head_t head;
    rdg_executed_t executed;
    rdg_hash_t digest;
    rdg_ledger_head(r->ledger, &head);
    rdg_header_t h = {.chain_id = r->genesis.validators.chain_id,
                      .height = head.height + 1,
                      .time_ms = head.time_ms + 100,
                      .parent = head.hash,
                      .tx_count = count,
                      .gas_limit = r->genesis.params.block_gas_limit};
    MUST(rdg_block_tx_root(txs, count, &h.tx_root));
    rdg_buf_clear(&r->proposal);
    MUST(rdg_proposal_encode(&h, txs, &r->proposal));
    MUST(rdg_header_hash(&h, &digest));
    certify(r, RDG_PHASE_COMMIT, h.height, &digest);
    MUST(rdg_ledger_apply(r->ledger, rdg_buf_view(&r->proposal), rdg_buf_view(&r->certificate), true,
                          &executed));
    MUST(rdg_executed_hash(&executed, &digest));
    certify(r, RDG_PHASE_CHECKPOINT, h.height, &digest);
    MUST(rdg_ledger_checkpoint(r->ledger, h.height, rdg_buf_view(&r->certificate)));
    for (uint32_t i = 0; i < count; ++i) rdg_tx_unref(txs[i]);
}

static rdg_tx_t *make_tx(readings_t *r, bool create, rdg_bytes_t data) {
    rdg_tx_fields_t f = {.chain_id = r->genesis.validators.chain_id,
                         .nonce = ++r->nonce,
                         .valid_until = RDG_TX_VALID_MAX,
                         .gas_limit = create ? 10000000 : 1000000,
                         .to = create ? NULL : &r->contract,
                         .data = data};
    return quick_tx(&r->sender, &f);
}

static void one(readings_t *r, bool create, rdg_bytes_t data) {
    rdg_tx_t *tx = make_tx(r, create, data);
    block(r, &tx, 1);
}

void readings_open(readings_t *r, const char *dir) {
    rdg_buf_init(&r->proposal, RDG_BLOCK_BYTES_MAX), rdg_buf_init(&r->certificate, 65536);
    quick_signer_init(&r->sender, 0x22);
    MUST(rdg_ledger_open(dir, &r->genesis, NULL, &r->ledger));
}

void readings_deploy(readings_t *r, const char *artefact, unsigned meters) {
    rdg_buf_t text, code, call;
    json_t *root = NULL;
    const char *hex = NULL;
    rdg_address_t from;
    RDG_ASSERT(meters > 0 && meters <= READINGS_METERS_MAX);
    rdg_buf_init(&text, 4u << 20), rdg_buf_init(&code, RDG_EVM_INITCODE_MAX), rdg_buf_init(&call, 4096);
    MUST(rdg_file_read(artefact, &text));
    MUST(rdg_json_parse(rdg_buf_view(&text), &root));
    MUST(rdg_json_get_str(root, "bytecode", &hex));
    MUST(rdg_hex_decode_buf(hex, strlen(hex), &code));
    rdg_sm2_address(&r->sender.key, &from);
    rdg_evm_create_address(&from, r->nonce + 1, &r->contract);
    one(r, true, rdg_buf_view(&code));
    for (r->meters = 0; r->meters < meters; ++r->meters) {
        start_call(&call, "registerMeter(bytes32,int64,int64)", r->meters);
        put_word(&call, 0);
        put_word(&call, 1000000);
        one(r, false, rdg_buf_view(&call));
    }
    json_decref(root);
    rdg_buf_fini(&text), rdg_buf_fini(&code), rdg_buf_fini(&call);
}

static void put_call(readings_t *r, unsigned meter, unsigned readings, unsigned padding, rdg_buf_t *call) {
    start_call(call, "submit(bytes32,uint64[],int64[])", meter);
    put_word(call, 96);
    put_word(call, 96 + 32 * ((uint64_t)readings + 1));
    put_word(call, readings);
    for (unsigned n = 0; n < readings; ++n) put_word(call, ++r->time);
    put_word(call, readings);
    for (unsigned n = 0; n < readings; ++n) put_word(call, 7919 * r->time % 1000);
    uint64_t noise = 0x9e3779b97f4a7c15ull * (r->nonce + 1); /* xorshift64 */
    for (unsigned n = 0; n < padding; n += 8) {
        noise ^= noise << 13, noise ^= noise >> 7, noise ^= noise << 17;
        rdg_buf_u64(call, noise);
    }
}

void readings_fill(readings_t *r, uint64_t blocks, unsigned readings, unsigned padding) {
    rdg_tx_t *txs[READINGS_BLOCK_TXS];
    rdg_buf_t call;
    rdg_buf_init(&call, 1u << 20);
    for (uint64_t b = 0; b < blocks; ++b) {
        for (unsigned i = 0; i < READINGS_BLOCK_TXS; ++i) {
            put_call(r, i % r->meters, readings, padding, &call);
            txs[i] = make_tx(r, false, rdg_buf_view(&call));
        }
        block(r, txs, READINGS_BLOCK_TXS);
    }
    rdg_buf_fini(&call);
}

void readings_close(readings_t *r) {
    rdg_ledger_close(r->ledger);
    rdg_buf_fini(&r->proposal), rdg_buf_fini(&r->certificate);
}
