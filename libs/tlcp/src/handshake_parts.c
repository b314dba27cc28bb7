#include <string.h>

#include "handshake.h"
#include "prf.h"
#include "ridge/base/alloc.h"
#include "ridge/base/assert.h"
#include "ridge/crypto/sm2_cipher.h"

size_t rdg_tlcp_message_begin(handshake_t *h, uint8_t type) {
    size_t begun = rdg_writer_len(&h->out);
    rdg_write_u8(&h->out, type);
    rdg_write_u24(&h->out, 0);
    return begun;
}

void rdg_tlcp_message_end(handshake_t *h, size_t begun) {
    /* rdg_tlcp_new measured what we send; a flight that does not fit is our mistake. */
    RDG_ASSERT(rdg_writer_ok(&h->out));
    size_t len = rdg_writer_len(&h->out) - begun;
    uint8_t *head = h->flight + begun;
    rdg_store_be32(head, (uint32_t)head[0] << 24 | (uint32_t)(len - MESSAGE_HEAD));
    rdg_sm3_stream_update(h->transcript, head, len);
}

rdg_err_t rdg_tlcp_signature_put(rdg_tlcp_t *t, const void *msg, size_t len) {
    rdg_sm2_signature_t sig;
    uint8_t der[RDG_SM2_DER_MAX];
    RDG_TRY(rdg_sm2_sign_standard(t->config->sign_key, msg, len, &sig));
    size_t der_len = rdg_sm2_signature_to_der(&sig, der);
    rdg_write_u16(&t->handshake->out, (uint16_t)der_len);
    rdg_write_bytes(&t->handshake->out, der, der_len);
    return RDG_OK;
}

rdg_err_t rdg_tlcp_signature_check(rdg_tlcp_t *t, rdg_bytes_t body, const void *msg, size_t len) {
    rdg_reader_t r;
    rdg_sm2_signature_t sig;
    rdg_reader_init(&r, body);
    rdg_bytes_t der = rdg_read_bytes(&r, rdg_read_u16(&r));
    if (!rdg_reader_done(&r) || rdg_sm2_signature_from_der(der, &sig) != RDG_OK)
        return REFUSE(t, decode_error, RDG_E_PROTOCOL, "TLCP: a signature's message cannot be read");
    if (rdg_sm2_verify_standard(rdg_cert_public(t->handshake->peer_sign), msg, len, &sig) != RDG_OK)
        return REFUSE(t, decrypt_error, RDG_E_UNAUTHENTICATED, "TLCP: the peer's signature does not verify");
    t->handshake->proven = true;
    return RDG_OK;
}

void rdg_tlcp_master_make(rdg_tlcp_t *t, uint8_t pre_master[SECRET_BYTES]) {
    handshake_t *h = t->handshake;
    rdg_tlcp_prf(h->session.master, SECRET_BYTES, rdg_bytes(pre_master, SECRET_BYTES), "master secret",
                 rdg_bytes(h->client_random, RANDOM_BYTES), rdg_bytes(h->server_random, RANDOM_BYTES));
    rdg_secure_zero(pre_master, SECRET_BYTES);
    rdg_tlcp_keys_make(t);
}

void rdg_tlcp_keys_make(rdg_tlcp_t *t) {
    handshake_t *h = t->handshake;
    rdg_tlcp_prf(h->key_block, RDG_TLCP_KEY_BLOCK, rdg_bytes(h->session.master, SECRET_BYTES),
                 "key expansion", rdg_bytes(h->server_random, RANDOM_BYTES),
                 rdg_bytes(h->client_random, RANDOM_BYTES));
}

static void finished_of(const handshake_t *h, bool client, const rdg_hash_t *hash,
                        uint8_t out[FINISHED_BYTES]) {
    rdg_tlcp_prf(out, FINISHED_BYTES, rdg_bytes(h->session.master, SECRET_BYTES),
                 client ? "client finished" : "server finished", rdg_bytes(hash->b, sizeof hash->b),
                 rdg_bytes(NULL, 0));
}

rdg_err_t rdg_tlcp_finished_put(rdg_tlcp_t *t) {
    handshake_t *h = t->handshake;
    rdg_hash_t hash;
    uint8_t verify[FINISHED_BYTES];
    RDG_TRY(rdg_sm3_stream_peek(h->transcript, &hash));
    finished_of(h, t->role == RDG_TLCP_CLIENT, &hash, verify);
    h->change_at = rdg_writer_len(&h->out);
    size_t begun = rdg_tlcp_message_begin(h, MESSAGE_FINISHED);
    rdg_write_bytes(&h->out, verify, sizeof verify);
    rdg_tlcp_message_end(h, begun);
    return RDG_OK;
}

rdg_err_t rdg_tlcp_on_change_cipher(rdg_tlcp_t *t, rdg_bytes_t body, wait_t *next) {
    (void)body;
    *next = WAIT_FINISHED;
    return rdg_tlcp_protect_init(&t->rx, t->suite, t->role == RDG_TLCP_SERVER, t->handshake->key_block);
}

static rdg_cert_t *own(const rdg_cert_t *cert) {
    return cert ? rdg_cert_ref((rdg_cert_t *)(uintptr_t)cert) : NULL;
}

static void session_of_peer(handshake_t *h) {
    h->session.peer = own(h->peer_sign);
    h->session.peer_enc = own(h->peer_enc);
}

rdg_err_t rdg_tlcp_on_finished(rdg_tlcp_t *t, rdg_bytes_t body, wait_t *next) {
    handshake_t *h = t->handshake;
    uint8_t want[FINISHED_BYTES];
    finished_of(h, t->role == RDG_TLCP_SERVER, &h->hash, want);
    if (body.len != FINISHED_BYTES)
        return REFUSE(t, decode_error, RDG_E_PROTOCOL, "TLCP: a Finished of %zu bytes", body.len);
    if (!rdg_ct_equal(want, body.data, FINISHED_BYTES))
        return REFUSE(t, decrypt_error, RDG_E_BAD_SIGNATURE, "TLCP: the peer's Finished does not verify");
    /* A server answers a client's Finished, but in a resumption the server's comes first. */
    if ((t->role == RDG_TLCP_SERVER) != h->resumed) RDG_TRY(rdg_tlcp_finished_put(t));
    if (!h->resumed) session_of_peer(h);
    if (h->session.peer) t->peer = rdg_cert_ref(h->session.peer);
    if (h->session.peer_enc) t->peer_enc = rdg_cert_ref(h->session.peer_enc);
    if (!h->resumed) rdg_tlcp_session_keep(t);
    t->resumed = h->resumed;
    t->state = RDG_TLCP_OPEN;
    *next = WAIT_NOTHING;
    return RDG_OK;
}
