#include "snapshot_support.h"
#include "ridge/base/alloc.h"

/* for (i = calldata[0]; i < calldata[1]; i++) storage[i] = i + 1; */
static const uint8_t FILLER[] = {
    0x60, 0x1e, 0x80, 0x60, 0x0b, 0x60, 0x00, 0x39, 0x60, 0x00, 0xf3, /* deploys: */
    0x60, 0x00, 0x35, 0x60, 0x20, 0x35, 0x5b, 0x81, 0x81, 0x11, 0x15, 0x60, 0x1c, 0x57, 0x81,
    0x60, 0x01, 0x01, 0x82, 0x55, 0x90, 0x60, 0x01, 0x01, 0x90, 0x60, 0x06, 0x56, 0x5b, 0x00};

void frames_init(frames_t *f) {
    rdg_buf_init(&f->bytes, 256u << 20);
    f->count = 0;
}

void frames_fini(frames_t *f) {
    rdg_buf_fini(&f->bytes);
}

rdg_bytes_t frames_get(const frames_t *f, size_t i) {
    CHECK(i < f->count);
    return rdg_bytes(f->bytes.data + f->at[i], f->len[i]);
}

static rdg_err_t write_bytes(void *ctx, rdg_bytes_t bytes) {
    frames_t *f = ctx;
    return rdg_buf_append(&f->bytes, bytes.data, bytes.len);
}

void frames_export(frames_t *f, rdg_ledger_t *l, rdg_snapshot_pin_t *pin, uint64_t headers_from,
                   size_t memory) {
    rdg_snapshot_options_t options = {.memory_bytes = memory, .headers_from = headers_from};
    rdg_snapshot_writer_t writer = {write_bytes, f};
    rdg_snapshot_export_t *e = NULL;
    bool done = false;
    CHECK_OK(rdg_snapshot_export_new(l, pin, &options, &e));
    while (!done) CHECK_OK(rdg_snapshot_export_step(e, &writer, &done));
    rdg_snapshot_export_free(e);
    for (size_t at = 0; at < f->bytes.len; ++f->count) {
        CHECK(f->count < FRAMES_MAX);
        f->len[f->count] = rdg_load_be32(f->bytes.data + at);
        f->at[f->count] = at + 4;
        at += 4 + f->len[f->count];
    }
}

size_t frames_manifest(const frames_t *f) {
    for (size_t i = 0; i < f->count; ++i)
        if (memcmp(f->bytes.data + f->at[i], "RSNM", 4) == 0) return i;
    CHECK(false);
    return 0;
}

typedef struct source {
    rdg_bytes_t left;
    size_t piece;
} source_t;

static rdg_err_t read_bytes(void *ctx, void *dst, size_t len, size_t *got) {
    source_t *s = ctx;
    *got = len < s->piece ? len : s->piece;
    if (*got > s->left.len) *got = s->left.len;
    if (*got > 0) memcpy(dst, s->left.data, *got);
    s->left = rdg_bytes(s->left.data + *got, s->left.len - *got);
    return RDG_OK;
}

rdg_err_t frames_read(const frames_t *f, rdg_ledger_t *l, size_t piece, size_t len) {
    source_t s = {rdg_bytes(f->bytes.data, len), piece};
    rdg_snapshot_reader_t reader = {read_bytes, &s};
    return rdg_snapshot_read(l, &reader);
}

rdg_address_t chain_deploy(rdg_ledger_t *l, uint64_t nonce) {
    rdg_address_t from = support_address(9), contract;
    rdg_tx_t *txs[1] = {support_tx((tx_spec_t){
        .create = true, .nonce = nonce, .valid_until = 50000, .data = rdg_bytes(FILLER, sizeof FILLER)})};
    rdg_evm_create_address(&from, nonce, &contract);
    CHECK_OK(support_apply(l, txs, 1, NULL));
    return contract;
}

void chain_store(rdg_ledger_t *l, const rdg_address_t *contract, uint64_t nonce, uint64_t from, uint64_t to) {
    uint8_t words[64] = {0};
    rdg_executed_t executed;
    rdg_store_be64(words + 24, from);
    rdg_store_be64(words + 56, to);
    rdg_tx_t *txs[1] = {support_tx((tx_spec_t){.to = contract,
                                               .nonce = nonce,
                                               .gas = 30000000,
                                               .valid_until = 50000,
                                               .data = rdg_bytes(words, sizeof words)})};
    CHECK_OK(support_apply(l, txs, 1, &executed));
    rdg_word_t key = {{0}}, value = {{0}};
    rdg_store_be64(key.b + 24, to - 1);
    CHECK_OK(rdg_ledger_storage(l, contract, &key, &value));
    CHECK_EQ(rdg_load_be64(value.b + 24), to);
}

void chain_transfers(rdg_ledger_t *l, uint64_t nonce, uint32_t count) {
    rdg_tx_t **txs = rdg_calloc(count, sizeof(rdg_tx_t *));
    for (uint32_t i = 0; i < count; ++i) {
        rdg_address_t to = {{0xbb}};
        rdg_store_be64(to.b + 12, nonce + i);
        txs[i] = support_tx(
            (tx_spec_t){.to = &to, .nonce = nonce + i, .value = 1 + i, .gas = 21000, .valid_until = 50000});
    }
    CHECK_OK(support_apply(l, txs, count, NULL));
    rdg_free(txs);
}

void chain_empty(rdg_ledger_t *l, uint64_t count) {
    while (count-- > 0) CHECK_OK(support_apply(l, NULL, 0, NULL));
}

void chain_certify(rdg_ledger_t *l) {
    rdg_ledger_head_t head;
    rdg_buf_t certificate;
    rdg_buf_init(&certificate, 65536);
    rdg_ledger_head(l, &head);
    for (uint64_t h = head.checkpoint_height + 1; h <= head.height; ++h) {
        rdg_executed_t executed;
        rdg_hash_t digest;
        CHECK_OK(rdg_ledger_header(l, h, NULL, NULL, &executed));
        CHECK_OK(rdg_executed_hash(&executed, &digest));
        support_certificate(RDG_PHASE_CHECKPOINT, h, &digest, &certificate);
        CHECK_OK(rdg_ledger_checkpoint(l, h, rdg_buf_view(&certificate)));
    }
    rdg_buf_fini(&certificate);
}

rdg_err_t chain_copy_block(rdg_ledger_t *from, rdg_ledger_t *to, uint64_t height) {
    rdg_block_t *b = NULL;
    rdg_buf_t seal;
    rdg_executed_t executed;
    rdg_buf_init(&seal, 65536);
    CHECK_OK(rdg_ledger_block(from, height, &b));
    CHECK_OK(rdg_ledger_seal(from, height, &seal, NULL));
    rdg_err_t err = rdg_ledger_apply(to, b->proposal, rdg_buf_view(&seal), false, &executed);
    rdg_block_unref(b);
    rdg_buf_fini(&seal);
    return err;
}
