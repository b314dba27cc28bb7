/* Evidence of a stranger: it is taken apart and put together to the same bytes, and never verified, because no
 * input holds a signature of the validators. */
#include <stdlib.h>
#include "ridge/ledger/evidence.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static rdg_trust_t *stranger_trust(void) {
    static rdg_trust_t *t;
    rdg_sm2_key_t *key = NULL;
    uint8_t scalar[32] = {[31] = 7};
    if (t) return t;
    static rdg_genesis_t g;
    g.validators.chain_id = 7, g.validators.count = 1;
    if (rdg_sm2_key_from_scalar(scalar, &key) != RDG_OK) abort();
    rdg_sm2_key_public(key, &g.validators.keys[0]);
    rdg_sm2_key_free(key);
    if (rdg_trust_new(&g, &t) != RDG_OK) abort();
    return t;
}

static void same(rdg_bytes_t in, rdg_err_t err, rdg_buf_t *out) {
    if (err != RDG_OK || !rdg_bytes_equal(rdg_buf_view(out), in)) abort();
    rdg_buf_clear(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static rdg_state_parts_t state;
    static rdg_state_evidence_t proven;
    rdg_receipt_parts_t receipt;
    rdg_receipt_evidence_t e;
    rdg_bytes_t in = rdg_bytes(data, size);
    rdg_arena_t arena;
    rdg_buf_t out;
    rdg_arena_init(&arena, 1 << 20);
    rdg_buf_init(&out, RDG_EVIDENCE_BYTES_MAX);
    if (rdg_evidence_decode_receipt(in, &receipt) == RDG_OK)
        same(in, rdg_evidence_encode_receipt(&receipt, &out), &out);
    if (rdg_evidence_decode_state(in, &state) == RDG_OK)
        same(in, rdg_evidence_encode_state(&state, &out), &out);
    rdg_epoch_parts_t epoch;
    if (rdg_evidence_decode_epoch(in, &epoch) == RDG_OK)
        same(in, rdg_evidence_encode_epoch(&epoch, &out), &out);
    if (rdg_trust_advance(stranger_trust(), in) == RDG_OK) abort();
    if (rdg_evidence_verify_receipt(stranger_trust(), in, &arena, &e) == RDG_OK) abort();
    if (rdg_evidence_verify_state(stranger_trust(), in, &proven) == RDG_OK) abort();
    rdg_buf_fini(&out);
    rdg_arena_fini(&arena);
    return 0;
}
