/* Signatures of many blocks, verified together: a batch costs a third of what they cost one by one. */
#include <inttypes.h>
#include <string.h>
#include "archive_internal.h"
#include "ridge/base/alloc.h"
#include "ridge/codec/hex.h"

enum {
    FLUSH_AT = 512,
    CHECKS_MAX = FLUSH_AT + RDG_BLOCK_TXS_MAX + 2 * RDG_VALIDATORS_MAX, /* one block more than the limit */
    IS_SEAL = -1,
    IS_CHECKPOINT = -2
};

struct signature_batch {
    uint32_t count, block_count;
    rdg_sm2_check_t checks[CHECKS_MAX];
    rdg_hash_t messages[CHECKS_MAX];            /* of votes */
    rdg_sm2_signature_t signatures[CHECKS_MAX]; /* of votes */
    rdg_err_t results[CHECKS_MAX];
    struct {
        uint64_t height;
        int32_t what; /* index of a transaction, or IS_ */
    } of[CHECKS_MAX];
    rdg_block_t
        *blocks[FLUSH_AT + 1]; /* whose transactions the checks borrow; each block has a seal at least */
    uint64_t height;           /* of the votes that are being added */
    int32_t what;
};

signature_batch_t *signature_batch_new(void) {
    signature_batch_t *b = rdg_alloc(sizeof *b);
    if (b) b->count = b->block_count = 0;
    return b;
}

void signature_batch_clear(signature_batch_t *b) {
    for (uint32_t i = 0; i < b->block_count; ++i) rdg_block_unref(b->blocks[i]);
    b->count = b->block_count = 0;
}

void signature_batch_free(signature_batch_t *b) {
    if (b) signature_batch_clear(b);
    rdg_free(b);
}

static void add(signature_batch_t *b, const rdg_sm2_check_t *check, int32_t what) {
    b->checks[b->count] = *check;
    b->of[b->count].height = b->height;
    b->of[b->count++].what = what;
}

/* For rdg_certificate_verify_each: takes copies and says yes for now. */
static void add_votes(void *ctx, const rdg_sm2_check_t *checks, size_t count, rdg_err_t *results) {
    signature_batch_t *b = ctx;
    for (size_t i = 0; i < count; ++i) {
        rdg_hash_t *message = &b->messages[b->count];
        rdg_sm2_signature_t *signature = &b->signatures[b->count];
        RDG_ASSERT(checks[i].msg.len == sizeof message->b);
        memcpy(message->b, checks[i].msg.data, sizeof message->b);
        *signature = *checks[i].sig;
        rdg_sm2_check_t copy = checks[i];
        copy.msg = rdg_bytes(message->b, sizeof message->b);
        copy.sig = signature;
        add(b, &copy, b->what);
        results[i] = RDG_OK;
    }
}

rdg_err_t signature_batch_certificate(signature_batch_t *b, const rdg_certificate_t *c,
                                      const rdg_validator_set_t *set, bool raft, rdg_phase_t phase,
                                      uint64_t height, const rdg_hash_t *digest) {
    b->height = height;
    b->what = phase == RDG_PHASE_CHECKPOINT ? IS_CHECKPOINT : IS_SEAL;
    return rdg_fail_in(rdg_certificate_verify_each(c, set, raft, phase, height, digest, add_votes, b),
                       b->what == IS_SEAL ? "seal" : "checkpoint");
}

rdg_err_t signature_batch_block(signature_batch_t *b, rdg_block_t *block) {
    b->height = block->header.height;
    b->blocks[b->block_count++] = rdg_block_ref(block);
    for (uint32_t i = 0; i < block->header.tx_count; ++i) {
        const rdg_tx_t *tx = block->txs[i];
        add(b, &(rdg_sm2_check_t){&tx->key, rdg_bytes(tx->id.b, sizeof tx->id.b), &tx->signature, false},
            (int32_t)i);
    }
    return b->count < FLUSH_AT ? RDG_OK : signature_batch_flush(b);
}

static rdg_err_t refuse(const signature_batch_t *b, uint32_t i) {
    char id[2 * RDG_HASH_BYTES + 1];
    int32_t what = b->of[i].what;
    uint64_t height = b->of[i].height;
    if (what < 0)
        return rdg_fail(RDG_E_BAD_SIGNATURE,
                        "block %" PRIu64 ": %s: a signature in the certificate does not verify", height,
                        what == IS_SEAL ? "seal" : "checkpoint");
    rdg_hex_encode(b->checks[i].msg.data, RDG_HASH_BYTES, id);
    return rdg_fail(RDG_E_BAD_SIGNATURE,
                    "block %" PRIu64 ": the signature of transaction %" PRId32 " (0x%s) does not verify",
                    height, what, id);
}

void signature_batch_verify(signature_batch_t *b) {
    rdg_sm2_verify_batch(b->checks, b->count, b->results);
}

rdg_err_t signature_batch_settle(signature_batch_t *b) {
    rdg_err_t err = RDG_OK;
    for (uint32_t i = 0; err == RDG_OK && i < b->count; ++i)
        if (b->results[i] != RDG_OK) err = refuse(b, i);
    signature_batch_clear(b);
    return err;
}

rdg_err_t signature_batch_flush(signature_batch_t *b) {
    signature_batch_verify(b);
    return signature_batch_settle(b);
}
