/* Whatever decodes as a transaction is its one encoding: signing aside, the fields encode to the same
 * payload. */
#include <stdlib.h>
#include "ridge/codec/rlp.h"
#include "ridge/ledger/tx.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void encode(const rdg_tx_t *tx, rdg_buf_t *out) {
    size_t outer = rdg_rlp_list_begin(out), list = rdg_rlp_list_begin(out);
    rdg_rlp_put_u64(out, 1);
    rdg_rlp_put_u64(out, tx->chain_id);
    rdg_rlp_put_u64(out, tx->nonce);
    rdg_rlp_put_u64(out, tx->valid_until);
    rdg_rlp_put_bytes(out, rdg_bytes(tx->to.b, tx->is_create ? 0 : sizeof tx->to.b));
    rdg_rlp_put_uint(out, rdg_bytes(tx->value.b, sizeof tx->value.b));
    rdg_rlp_put_u64(out, tx->gas_limit);
    rdg_rlp_put_bytes(out, tx->data);
    rdg_rlp_put_bytes(out, rdg_bytes(tx->key.b, sizeof tx->key.b));
    rdg_rlp_list_end(out, list);
    rdg_rlp_put_bytes(out, rdg_bytes(tx->signature.b, sizeof tx->signature.b));
    rdg_rlp_list_end(out, outer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    rdg_tx_t *tx = NULL;
    if (rdg_tx_decode(rdg_bytes(data, size), &tx) != RDG_OK) return 0;
    rdg_buf_t out;
    rdg_buf_init(&out, RDG_TX_BYTES_MAX + 64);
    encode(tx, &out);
    if (!rdg_bytes_equal(rdg_buf_view(&out), rdg_bytes(data, size))) abort();
    (void)rdg_tx_check(tx, tx->chain_id, 30000000, tx->valid_until);
    rdg_buf_fini(&out);
    rdg_tx_unref(tx);
    return 0;
}
