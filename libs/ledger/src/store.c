/* What a block leaves in the store beside state and tree.
 *   B height: RLP [header, hash, executed, file, offset, proposal_len, seal_len, receipts_len, tx_total]
 *   H hash: height      T id[0..16): height (6 bytes), index (2 bytes)
 *   Mhead, Mcheckpoint: heights      Mversion: of this layout
 *   Mlogs, Mlogsopen: log_index.h
 *   Mbank: where the state is (keys.h)
 *   Mbase: height of the snapshot that the ledger stands on, absent: none; blocks up to Mtail have all bodies, those
 *   above up to Mbase need not; Mlast: the last body below it
 * Above the head there may be what a sync has verified and stored before its time: readers do not see it. */
#include <string.h>
#include "ledger_internal.h"
#include "ridge/codec/rlp.h"

enum { ENTRY_BYTES_MAX = 1024, TX_KEY_BYTES = 16 };

const char META_HEAD[] = "head", META_CHECKPOINT[] = "checkpoint", META_VERSION[] = "version",
           META_BANK[] = "bank", META_BASE[] = "base", META_TAIL[] = "tail", META_LAST[] = "last";

rdg_err_t entry_encode(const block_entry_t *e, rdg_buf_t *out) {
    size_t list = rdg_rlp_list_begin(out);
    rdg_header_encode(&e->header, out);
    rdg_rlp_put_bytes(out, rdg_bytes(e->hash.b, sizeof e->hash.b));
    rdg_executed_encode(&e->executed, out);
    rdg_rlp_put_u64(out, e->place.file);
    rdg_rlp_put_u64(out, e->place.offset);
    rdg_rlp_put_u64(out, e->place.proposal_len);
    rdg_rlp_put_u64(out, e->place.seal_len);
    rdg_rlp_put_u64(out, e->place.receipts_len);
    rdg_rlp_put_u64(out, e->tx_total);
    return rdg_rlp_list_end(out, list);
}

static bool entry_decode(rdg_bytes_t encoded, block_entry_t *out) {
    rdg_rlp_t outer, c;
    rdg_rlp_init(&outer, encoded);
    rdg_rlp_list(&outer, &c);
    bool ok = rdg_header_decode(rdg_rlp_raw(&c), &out->header) == RDG_OK;
    rdg_rlp_fixed(&c, out->hash.b, sizeof out->hash.b);
    ok = rdg_executed_decode(rdg_rlp_raw(&c), &out->executed) == RDG_OK && ok;
    out->place.file = (uint32_t)rdg_rlp_u64(&c);
    out->place.offset = rdg_rlp_u64(&c);
    out->place.proposal_len = (uint32_t)rdg_rlp_u64(&c);
    out->place.seal_len = (uint32_t)rdg_rlp_u64(&c);
    out->place.receipts_len = (uint32_t)rdg_rlp_u64(&c);
    out->tx_total = rdg_rlp_u64(&c);
    return ok && rdg_rlp_done(&c) == RDG_OK && rdg_rlp_done(&outer) == RDG_OK;
}

rdg_err_t entry_load(rdg_kv_t *kv, const rdg_kv_snapshot_t *snap, uint64_t height, block_entry_t *out) {
    rdg_buf_t raw;
    ledger_key_t key = key_of_height(KEY_BLOCK, height);
    memset(out, 0, sizeof *out);
    rdg_buf_init(&raw, ENTRY_BYTES_MAX);
    rdg_err_t err = rdg_kv_get(kv, snap, key_view(&key), &raw);
    if (err == RDG_E_NOT_FOUND)
        rdg_fail(err, "block %llu is not in the ledger", (unsigned long long)height);
    else if (err == RDG_OK && !entry_decode(rdg_buf_view(&raw), out))
        err = rdg_fail(RDG_E_CORRUPT,
                       "the entry of block %llu cannot be read: restore this node from its peers",
                       (unsigned long long)height);
    rdg_buf_fini(&raw);
    return err;
}

void put_u64(rdg_kv_batch_t *batch, const char *name, uint64_t value) {
    uint8_t be[8];
    ledger_key_t key = key_of(KEY_META, name, strlen(name));
    rdg_store_be64(be, value);
    rdg_kv_batch_put(batch, key_view(&key), rdg_bytes(be, sizeof be));
}

rdg_err_t load_u64(rdg_kv_t *kv, const char *name, uint64_t *out) {
    rdg_buf_t raw;
    ledger_key_t key = key_of(KEY_META, name, strlen(name));
    rdg_buf_init(&raw, 8);
    rdg_err_t err = rdg_kv_get(kv, NULL, key_view(&key), &raw);
    if (err == RDG_OK && raw.len != 8)
        err = rdg_fail(RDG_E_CORRUPT, "the ledger's mark '%s' cannot be read", name);
    if (err == RDG_OK) *out = rdg_load_be64(raw.data);
    rdg_buf_fini(&raw);
    return err;
}

rdg_err_t put_entry_of(rdg_kv_batch_t *batch, const block_entry_t *e) {
    rdg_buf_t raw;
    uint8_t be[8];
    rdg_buf_init(&raw, ENTRY_BYTES_MAX);
    rdg_err_t err = entry_encode(e, &raw);
    ledger_key_t key = key_of_height(KEY_BLOCK, e->header.height);
    rdg_kv_batch_put(batch, key_view(&key), rdg_buf_view(&raw));
    rdg_buf_fini(&raw);
    key = key_of(KEY_HASH, e->hash.b, sizeof e->hash.b);
    rdg_store_be64(be, e->header.height);
    rdg_kv_batch_put(batch, key_view(&key), rdg_bytes(be, sizeof be));
    return err != RDG_OK ? err : rdg_kv_batch_err(batch);
}

rdg_err_t put_entry(rdg_kv_batch_t *batch, const block_entry_t *e) {
    put_u64(batch, META_HEAD, e->header.height);
    return put_entry_of(batch, e);
}

/* Half of an id is enough to find it (128 bits), and its other half would be half of the index. Whoever makes
 * two transactions with one half (2^64 work) gets the second one refused as a duplicate, on every node alike.
 */
void put_tx_index(rdg_kv_batch_t *batch, const rdg_hash_t *id, uint64_t height, uint32_t index) {
    uint8_t be[8];
    ledger_key_t key = key_of(KEY_TX, id->b, TX_KEY_BYTES);
    rdg_store_be64(be, height << 16 | index);
    rdg_kv_batch_put(batch, key_view(&key), rdg_bytes(be, sizeof be));
}

rdg_err_t find_tx(rdg_kv_t *kv, const rdg_kv_snapshot_t *snap, uint64_t head, const rdg_hash_t *id,
                  rdg_tx_location_t *out) {
    rdg_buf_t raw;
    ledger_key_t key = key_of(KEY_TX, id->b, TX_KEY_BYTES);
    rdg_buf_init(&raw, 8);
    rdg_err_t err = rdg_kv_get(kv, snap, key_view(&key), &raw);
    if (err == RDG_OK && raw.len != 8)
        err = rdg_fail(RDG_E_CORRUPT, "the index entry of a transaction cannot be read");
    if (err == RDG_OK) {
        uint64_t packed = rdg_load_be64(raw.data);
        *out = (rdg_tx_location_t){packed >> 16, (uint32_t)(packed & 0xffff)};
        if (out->height > head) err = RDG_E_NOT_FOUND;
    }
    rdg_buf_fini(&raw);
    return err;
}

rdg_err_t ledger_block_hash(void *ctx, uint64_t height, rdg_word_t *out) {
    const hash_source_t *source = ctx;
    block_entry_t e;
    memset(out, 0, sizeof *out);
    if (height >= source->height || source->height - height > 256) return RDG_OK;
    RDG_TRY(entry_load(source->kv, source->snap, height, &e));
    memcpy(out->b, e.hash.b, sizeof out->b);
    return RDG_OK;
}
