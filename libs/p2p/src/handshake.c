#include "handshake.h"
#include <string.h>

void hello_encode(const hello_t *h, uint8_t out[HELLO_BYTES]) {
    rdg_writer_t w;
    rdg_writer_init(&w, out, HELLO_BYTES);
    rdg_write_u16(&w, HELLO_VERSION);
    rdg_write_u64(&w, h->chain_id);
    rdg_write_bytes(&w, h->genesis.b, sizeof h->genesis.b);
}

rdg_err_t hello_decode(rdg_bytes_t in, hello_t *out) {
    rdg_reader_t r;
    rdg_reader_init(&r, in);
    uint16_t version = rdg_read_u16(&r);
    out->chain_id = rdg_read_u64(&r);
    rdg_read_copy(&r, out->genesis.b, sizeof out->genesis.b);
    /* The version first: another version's hello may have another length. */
    if (in.len >= 2 && version != HELLO_VERSION)
        return rdg_fail(RDG_E_UNSUPPORTED, "the peer speaks version %u of the node protocol, this node %d",
                        version, HELLO_VERSION);
    if (!rdg_reader_done(&r))
        return rdg_fail(RDG_E_MALFORMED, "a hello of %zu bytes, want %d", in.len, HELLO_BYTES);
    return RDG_OK;
}

rdg_err_t hello_match(const hello_t *own, const hello_t *peer) {
    if (own->chain_id != peer->chain_id)
        return rdg_fail(RDG_E_WRONG_CHAIN, "the peer is of chain id %llu, this node of %llu",
                        (unsigned long long)peer->chain_id, (unsigned long long)own->chain_id);
    if (!rdg_hash_equal(&own->genesis, &peer->genesis))
        return rdg_fail(RDG_E_WRONG_CHAIN,
                        "the peer's genesis differs from this node's: one of them holds another "
                        "chain's data under this chain id");
    return RDG_OK;
}
