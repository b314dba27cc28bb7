#include "ridge/ledger/block.h"
#include <string.h>
#include "ridge/base/alloc.h"
#include "block_build.h"
#include "ridge/codec/rlp.h"

enum { BLOCK_VERSION = 1, HEADER_BYTES_MAX = 256 };

static void put_hash(rdg_buf_t *out, const rdg_hash_t *h) {
    rdg_rlp_put_bytes(out, rdg_bytes(h->b, sizeof h->b));
}

rdg_err_t rdg_header_encode(const rdg_header_t *h, rdg_buf_t *out) {
    size_t list = rdg_rlp_list_begin(out);
    rdg_rlp_put_u64(out, BLOCK_VERSION);
    rdg_rlp_put_u64(out, h->chain_id);
    rdg_rlp_put_u64(out, h->epoch);
    rdg_rlp_put_u64(out, h->height);
    put_hash(out, &h->parent);
    rdg_rlp_put_u64(out, h->time_ms);
    rdg_rlp_put_u64(out, h->proposer);
    rdg_rlp_put_u64(out, h->tx_count);
    put_hash(out, &h->tx_root);
    rdg_rlp_put_u64(out, h->gas_limit);
    return rdg_rlp_list_end(out, list);
}

static rdg_err_t read_header(rdg_rlp_t *src, rdg_header_t *out) {
    rdg_rlp_t c;
    memset(out, 0, sizeof *out);
    rdg_rlp_list(src, &c);
    uint64_t version = rdg_rlp_u64(&c);
    out->chain_id = rdg_rlp_u64(&c);
    out->epoch = rdg_rlp_u64(&c);
    out->height = rdg_rlp_u64(&c);
    rdg_rlp_fixed(&c, out->parent.b, sizeof out->parent.b);
    out->time_ms = rdg_rlp_u64(&c);
    uint64_t proposer = rdg_rlp_u64(&c);
    uint64_t tx_count = rdg_rlp_u64(&c);
    rdg_rlp_fixed(&c, out->tx_root.b, sizeof out->tx_root.b);
    out->gas_limit = rdg_rlp_u64(&c);
    if (src->err != RDG_OK || rdg_rlp_done(&c) != RDG_OK || version != BLOCK_VERSION)
        return rdg_fail(RDG_E_MALFORMED, "block header is not the RLP list of a version %d header",
                        BLOCK_VERSION);
    if (tx_count > RDG_BLOCK_TXS_MAX || proposer >= UINT32_MAX)
        return rdg_fail(RDG_E_TOO_LARGE,
                        "block header claims more than %d transactions or an impossible proposer",
                        RDG_BLOCK_TXS_MAX);
    out->proposer = (uint32_t)proposer;
    out->tx_count = (uint32_t)tx_count;
    return RDG_OK;
}

rdg_err_t rdg_header_decode(rdg_bytes_t encoded, rdg_header_t *out) {
    rdg_rlp_t c;
    rdg_rlp_init(&c, encoded);
    RDG_TRY(read_header(&c, out));
    return rdg_rlp_done(&c);
}

rdg_err_t rdg_header_hash(const rdg_header_t *h, rdg_hash_t *out) {
    rdg_buf_t b;
    rdg_buf_init(&b, HEADER_BYTES_MAX);
    rdg_err_t err = rdg_header_encode(h, &b);
    rdg_bytes_t view = rdg_buf_view(&b);
    if (err == RDG_OK) rdg_sm3_tagged(RDG_DOMAIN_HEADER, &view, 1, out);
    rdg_buf_fini(&b);
    return err;
}

void rdg_block_root_of_ids(rdg_hash_t *ids, size_t count, const rdg_hash_t *signatures, rdg_hash_t *out) {
    rdg_bytes_t items[64];
    rdg_hash_t leaves[64], root;
    memset(out, 0, sizeof *out);
    if (count == 0) return;
    for (size_t from = 0; from < count;) {
        size_t n = count - from < 64 ? count - from : 64;
        for (size_t i = 0; i < n; ++i) items[i] = rdg_bytes(ids[from + i].b, sizeof ids->b);
        rdg_merkle_leaves(items, n, leaves);
        memcpy(ids + from, leaves, n * sizeof *leaves);
        from += n;
    }
    rdg_merkle_root(ids, count, &root);
    const rdg_bytes_t parts[2] = {rdg_bytes(root.b, sizeof root.b),
                                  rdg_bytes(signatures->b, sizeof signatures->b)};
    rdg_sm3_tagged(RDG_DOMAIN_TX_ROOT, parts, 2, out);
}

static rdg_sm3_stream_t *signatures_begin(void) {
    const uint8_t tag = RDG_DOMAIN_SIGNATURES;
    rdg_sm3_stream_t *s = rdg_sm3_stream_new();
    if (s) rdg_sm3_stream_update(s, &tag, 1);
    return s;
}

rdg_err_t rdg_block_signatures_digest(rdg_tx_t *const *txs, size_t count, rdg_hash_t *out) {
    rdg_sm3_stream_t *s = signatures_begin();
    if (!s) return RDG_E_NO_MEMORY;
    for (size_t i = 0; i < count; ++i)
        rdg_sm3_stream_update(s, txs[i]->signature.b, sizeof txs[i]->signature.b);
    rdg_sm3_stream_final(s, out);
    rdg_sm3_stream_free(s);
    return RDG_OK;
}

rdg_err_t rdg_block_tx_root(rdg_tx_t *const *txs, size_t count, rdg_hash_t *out) {
    rdg_hash_t signatures;
    RDG_TRY(rdg_block_signatures_digest(txs, count, &signatures));
    rdg_hash_t *ids = rdg_calloc(count ? count : 1, sizeof *ids);
    if (!ids) return RDG_E_NO_MEMORY;
    for (size_t i = 0; i < count; ++i) ids[i] = txs[i]->id;
    rdg_block_root_of_ids(ids, count, &signatures, out);
    rdg_free(ids);
    return RDG_OK;
}

rdg_err_t rdg_proposal_encode(const rdg_header_t *h, rdg_tx_t *const *txs, rdg_buf_t *out) {
    size_t start = out->len, outer = rdg_rlp_list_begin(out);
    rdg_header_encode(h, out);
    size_t list = rdg_rlp_list_begin(out);
    for (uint32_t i = 0; i < h->tx_count; ++i) rdg_rlp_put_bytes(out, txs[i]->raw);
    rdg_rlp_list_end(out, list);
    RDG_TRY(rdg_rlp_list_end(out, outer));
    if (out->len - start > RDG_BLOCK_BYTES_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "proposal of %zu bytes: the limit is %u", out->len - start,
                        RDG_BLOCK_BYTES_MAX);
    return RDG_OK;
}

/* *txs is left on the transactions' list item. */
static rdg_err_t open_proposal(rdg_bytes_t proposal, rdg_header_t *header, rdg_rlp_t *txs) {
    rdg_rlp_t outer, c;
    if (proposal.len > RDG_BLOCK_BYTES_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "proposal of %zu bytes: the limit is %u", proposal.len,
                        RDG_BLOCK_BYTES_MAX);
    rdg_rlp_init(&outer, proposal);
    rdg_rlp_list(&outer, &c);
    if (rdg_rlp_done(&outer) != RDG_OK) return rdg_fail(RDG_E_MALFORMED, "proposal is not one RLP list");
    RDG_TRY(read_header(&c, header));
    rdg_rlp_list(&c, txs);
    if (rdg_rlp_done(&c) != RDG_OK)
        return rdg_fail(RDG_E_MALFORMED, "proposal is not the RLP list [header, transactions]");
    return RDG_OK;
}

rdg_err_t rdg_proposal_header(rdg_bytes_t proposal, rdg_header_t *out) {
    rdg_rlp_t txs;
    return open_proposal(proposal, out, &txs);
}

static rdg_err_t not_those(uint32_t tx_count) {
    return rdg_fail(RDG_E_MALFORMED, "proposal does not hold the %u transactions of its header", tx_count);
}

static rdg_err_t other_root(void) {
    return rdg_fail(RDG_E_MALFORMED,
                    "the transactions of the proposal are not those of its header's tx_root");
}

static rdg_err_t read_txs(rdg_block_t *b, rdg_rlp_t *list) {
    for (uint32_t i = 0; i < b->header.tx_count; ++i) {
        rdg_bytes_t wire = rdg_rlp_bytes(list);
        if (list->err != RDG_OK) break;
        rdg_err_t err = tx_parse(wire, &b->txs[i]);
        if (err != RDG_OK) return rdg_fail_in(err, "transaction %u of the block", i);
    }
    if (rdg_rlp_done(list) != RDG_OK) return not_those(b->header.tx_count);
    rdg_hash_t root;
    txs_identify(b->txs, b->header.tx_count);
    RDG_TRY(rdg_block_tx_root(b->txs, b->header.tx_count, &root));
    return rdg_hash_equal(&root, &b->header.tx_root) ? RDG_OK : other_root();
}

/* [payload, signature] */
static bool split_tx(rdg_bytes_t wire, rdg_bytes_t *payload, rdg_bytes_t *signature) {
    rdg_rlp_t outer, c;
    rdg_rlp_init(&outer, wire);
    rdg_rlp_list(&outer, &c);
    *payload = rdg_rlp_raw(&c);
    *signature = rdg_rlp_bytes(&c);
    return rdg_rlp_done(&c) == RDG_OK && rdg_rlp_done(&outer) == RDG_OK &&
           signature->len == sizeof(rdg_sm2_signature_t);
}

static rdg_err_t read_ids(rdg_rlp_t *list, uint32_t count, rdg_sm3_stream_t *signatures, rdg_hash_t *ids) {
    enum { MANY = 64 };
    rdg_sm3_input_t payloads[MANY];
    memset(payloads, 0, sizeof payloads);
    for (uint32_t i = 0; i < count; ++i) {
        rdg_bytes_t signature, wire = rdg_rlp_bytes(list);
        if (!split_tx(wire, &payloads[i % MANY].body, &signature)) return not_those(count);
        rdg_sm3_stream_update(signatures, signature.data, signature.len);
        if (i % MANY == MANY - 1 || i + 1 == count)
            rdg_sm3_tagged_many(RDG_DOMAIN_TX, payloads, i % MANY + 1, ids + i / MANY * MANY);
    }
    return rdg_rlp_done(list) == RDG_OK ? RDG_OK : not_those(count);
}

static rdg_err_t ids_of(rdg_rlp_t *list, block_ids_t *out, rdg_hash_t *work) {
    const rdg_header_t *h = &out->header;
    rdg_hash_t root;
    rdg_sm3_stream_t *signatures = signatures_begin();
    rdg_err_t err = signatures ? read_ids(list, h->tx_count, signatures, out->ids) : RDG_E_NO_MEMORY;
    if (signatures) rdg_sm3_stream_final(signatures, &out->signatures);
    rdg_sm3_stream_free(signatures);
    RDG_TRY(err);
    memcpy(work, out->ids, h->tx_count * sizeof *work);
    rdg_block_root_of_ids(work, h->tx_count, &out->signatures, &root);
    return rdg_hash_equal(&root, &h->tx_root) ? RDG_OK : other_root();
}

rdg_err_t block_ids(rdg_bytes_t proposal, block_ids_t *out) {
    rdg_rlp_t list;
    out->ids = NULL;
    RDG_TRY(open_proposal(proposal, &out->header, &list));
    size_t count = (size_t)out->header.tx_count + 1;
    out->ids = rdg_calloc(2 * count, sizeof *out->ids);
    if (!out->ids) return RDG_E_NO_MEMORY;
    rdg_err_t err = ids_of(&list, out, out->ids + count);
    if (err == RDG_OK) err = rdg_header_hash(&out->header, &out->hash);
    if (err == RDG_OK) return RDG_OK;
    rdg_free(out->ids);
    out->ids = NULL;
    return err;
}

static rdg_block_t *block_new(const rdg_header_t *header, rdg_bytes_t proposal) {
    size_t pointers = header->tx_count * sizeof(rdg_tx_t *);
    rdg_block_t *b = rdg_alloc(sizeof *b + pointers + proposal.len);
    if (!b) return NULL;
    memset(b, 0, sizeof *b + pointers);
    rdg_ref_init(&b->ref);
    b->header = *header;
    b->txs = (rdg_tx_t **)(void *)(b + 1);
    uint8_t *copy = (uint8_t *)(b->txs + header->tx_count);
    memcpy(copy, proposal.data, proposal.len);
    b->proposal = rdg_bytes(copy, proposal.len);
    return b;
}

rdg_err_t rdg_block_decode(rdg_bytes_t proposal, rdg_block_t **out) {
    rdg_header_t header;
    rdg_rlp_t list;
    *out = NULL;
    RDG_TRY(open_proposal(proposal, &header, &list));
    rdg_block_t *b = block_new(&header, proposal);
    if (!b) return RDG_E_NO_MEMORY;
    rdg_err_t err = read_txs(b, &list);
    if (err == RDG_OK) err = rdg_header_hash(&header, &b->hash);
    if (err != RDG_OK) {
        rdg_block_unref(b);
        return err;
    }
    *out = b;
    return RDG_OK;
}

rdg_err_t block_build(const rdg_header_t *h, rdg_tx_t *const *txs, rdg_bytes_t proposal, rdg_block_t **out) {
    *out = NULL;
    rdg_block_t *b = block_new(h, proposal);
    if (!b) return RDG_E_NO_MEMORY;
    for (uint32_t i = 0; i < h->tx_count; ++i) b->txs[i] = rdg_tx_ref(txs[i]);
    rdg_err_t err = rdg_header_hash(h, &b->hash);
    if (err != RDG_OK) {
        rdg_block_unref(b);
        return err;
    }
    *out = b;
    return RDG_OK;
}

rdg_block_t *rdg_block_ref(rdg_block_t *b) {
    rdg_ref_get(&b->ref);
    return b;
}

void rdg_block_unref(rdg_block_t *b) {
    if (!b || !rdg_ref_put(&b->ref)) return;
    for (uint32_t i = 0; i < b->header.tx_count; ++i) rdg_tx_unref(b->txs[i]);
    rdg_free(b);
}
