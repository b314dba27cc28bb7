/* What a collector signs when an archive is safe. */
#include <inttypes.h>
#include <string.h>
#include "archive_internal.h"

enum { RECEIPT_VERSION = 1, RECEIPT_BYTES_MAX = 512 };

static void put_hash(rdg_buf_t *out, const rdg_hash_t *h) {
    rdg_rlp_put_bytes(out, rdg_bytes(h->b, sizeof h->b));
}

static rdg_err_t encode_body(const rdg_archive_receipt_t *r, rdg_buf_t *out) {
    size_t list = rdg_rlp_list_begin(out);
    rdg_rlp_put_u64(out, RECEIPT_VERSION);
    rdg_rlp_put_u64(out, r->chain_id);
    put_hash(out, &r->genesis);
    rdg_rlp_put_u64(out, r->from);
    rdg_rlp_put_u64(out, r->to);
    rdg_rlp_put_u64(out, r->mark_ms);
    put_hash(out, &r->manifest);
    put_hash(out, &r->content);
    rdg_rlp_put_u64(out, r->anchor_height);
    put_hash(out, &r->anchor_tx);
    return rdg_rlp_list_end(out, list);
}

static void digest_of(rdg_bytes_t body, rdg_hash_t *out) {
    rdg_sm3_tagged(RDG_DOMAIN_ARCHIVE_RECEIPT, &body, 1, out);
}

rdg_err_t rdg_archive_receipt_sign(const rdg_archive_receipt_t *r, const rdg_sm2_key_t *key, rdg_buf_t *out) {
    rdg_buf_t body;
    rdg_hash_t digest;
    rdg_sm2_public_t collector;
    rdg_sm2_signature_t signature;
    rdg_buf_init(&body, RECEIPT_BYTES_MAX);
    rdg_err_t err = encode_body(r, &body);
    if (err == RDG_OK) {
        digest_of(rdg_buf_view(&body), &digest);
        err = rdg_sm2_sign(key, digest.b, sizeof digest.b, &signature);
    }
    if (err == RDG_OK) {
        rdg_sm2_key_public(key, &collector);
        size_t list = rdg_rlp_list_begin(out);
        rdg_rlp_put_raw(out, rdg_buf_view(&body));
        rdg_rlp_put_bytes(out, rdg_bytes(collector.b, sizeof collector.b));
        rdg_rlp_put_bytes(out, rdg_bytes(signature.b, sizeof signature.b));
        err = rdg_rlp_list_end(out, list);
    }
    rdg_buf_fini(&body);
    return err;
}

static rdg_err_t decode(rdg_bytes_t encoded, rdg_archive_receipt_t *out, rdg_bytes_t *body,
                        rdg_sm2_signature_t *signature) {
    rdg_rlp_t outer, list, raw, c;
    memset(out, 0, sizeof *out);
    rdg_rlp_init(&outer, encoded);
    rdg_rlp_list(&outer, &list);
    *body = rdg_rlp_raw(&list);
    rdg_rlp_fixed(&list, out->collector.b, sizeof out->collector.b);
    rdg_rlp_fixed(&list, signature->b, sizeof signature->b);
    rdg_rlp_init(&raw, *body);
    rdg_rlp_list(&raw, &c);
    uint64_t version = rdg_rlp_u64(&c);
    out->chain_id = rdg_rlp_u64(&c);
    rdg_rlp_fixed(&c, out->genesis.b, sizeof out->genesis.b);
    out->from = rdg_rlp_u64(&c);
    out->to = rdg_rlp_u64(&c);
    out->mark_ms = rdg_rlp_u64(&c);
    rdg_rlp_fixed(&c, out->manifest.b, sizeof out->manifest.b);
    rdg_rlp_fixed(&c, out->content.b, sizeof out->content.b);
    out->anchor_height = rdg_rlp_u64(&c);
    rdg_rlp_fixed(&c, out->anchor_tx.b, sizeof out->anchor_tx.b);
    if (rdg_rlp_done(&outer) == RDG_OK && rdg_rlp_done(&list) == RDG_OK && rdg_rlp_done(&c) == RDG_OK &&
        version == RECEIPT_VERSION && out->from > 0 && out->to >= out->from)
        return RDG_OK;
    return rdg_fail(RDG_E_MALFORMED, "archive receipt: not the RLP list of a version %d receipt",
                    RECEIPT_VERSION);
}

rdg_err_t rdg_archive_receipt_decode(rdg_bytes_t encoded, rdg_archive_receipt_t *out) {
    rdg_bytes_t body;
    rdg_sm2_signature_t signature;
    return decode(encoded, out, &body, &signature);
}

rdg_err_t rdg_archive_receipt_verify(rdg_bytes_t encoded, const rdg_sm2_public_t *collectors, size_t count,
                                     rdg_archive_receipt_t *out) {
    rdg_bytes_t body;
    rdg_sm2_signature_t signature;
    rdg_hash_t digest;
    bool known = false;
    RDG_TRY(decode(encoded, out, &body, &signature));
    for (size_t i = 0; i < count; ++i)
        if (memcmp(collectors[i].b, out->collector.b, sizeof out->collector.b) == 0) known = true;
    if (!known)
        return rdg_fail(RDG_E_FORBIDDEN,
                        "archive receipt: it is signed by a collector that is not one of this chain's "
                        "(any more)");
    digest_of(body, &digest);
    if (rdg_sm2_verify(&out->collector, digest.b, sizeof digest.b, &signature) == RDG_OK) return RDG_OK;
    return rdg_fail(RDG_E_BAD_SIGNATURE, "archive receipt: its signature does not verify");
}
