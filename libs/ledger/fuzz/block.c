/* Proposals: whatever decodes encodes to the same bytes. Because the fuzzer cannot find a tx_root, the
 * header's is replaced by the right one when that is all that is wrong. */
#include <stdlib.h>
#include <string.h>
#include "ridge/base/alloc.h"
#include "ridge/codec/rlp.h"
#include "ridge/ledger/block.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_encoding(rdg_bytes_t wire) {
    rdg_block_t *b = NULL;
    if (rdg_block_decode(wire, &b) != RDG_OK) return;
    rdg_buf_t out;
    rdg_hash_t root;
    rdg_buf_init(&out, RDG_BLOCK_BYTES_MAX);
    if (rdg_proposal_encode(&b->header, b->txs, &out) != RDG_OK) abort();
    if (!rdg_bytes_equal(rdg_buf_view(&out), wire)) abort();
    if (rdg_block_tx_root(b->txs, b->header.tx_count, &root) != RDG_OK ||
        !rdg_hash_equal(&root, &b->header.tx_root))
        abort();
    rdg_buf_fini(&out);
    rdg_block_unref(b);
}

/* The proposal's transactions under a header that fits them. */
static void repair(const rdg_header_t *given, rdg_bytes_t wire, rdg_buf_t *out) {
    rdg_rlp_t outer, c, list;
    rdg_tx_t *txs[64];
    rdg_header_t h = *given;
    h.tx_count = 0;
    rdg_rlp_init(&outer, wire);
    rdg_rlp_list(&outer, &c);
    rdg_rlp_raw(&c);
    rdg_rlp_list(&c, &list);
    while (rdg_rlp_more(&list) && h.tx_count < 64) {
        rdg_bytes_t item = rdg_rlp_bytes(&list);
        if (list.err == RDG_OK && rdg_tx_decode(item, &txs[h.tx_count]) == RDG_OK) h.tx_count++;
    }
    if (rdg_block_tx_root(txs, h.tx_count, &h.tx_root) == RDG_OK) (void)rdg_proposal_encode(&h, txs, out);
    for (uint32_t i = 0; i < h.tx_count; ++i) rdg_tx_unref(txs[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    rdg_header_t h;
    rdg_buf_t repaired;
    check_encoding(rdg_bytes(data, size));
    if (rdg_proposal_header(rdg_bytes(data, size), &h) != RDG_OK) return 0;
    rdg_buf_init(&repaired, RDG_BLOCK_BYTES_MAX);
    repair(&h, rdg_bytes(data, size), &repaired);
    check_encoding(rdg_buf_view(&repaired));
    rdg_buf_fini(&repaired);
    return 0;
}
