#include "handshake.h"

#include <string.h>
#include "ridge/base/alloc.h"
#include "ridge/base/assert.h"

/* The state machine. A message that has no row where it arrives is fatal (unexpected_message).
 *
 *   server, whole      CLIENT_HELLO ─► CLIENT_CERTIFICATE ─► CLIENT_KEY ─► CERTIFICATE_VERIFY ─┐
 *                                 └──────── not asked ──────────┘   └──────── none ────────────┤
 *   server, resumed    CLIENT_HELLO ───────────────────────────────────────────────────────────┤
 *   client, whole      SERVER_HELLO ─► SERVER_CERTIFICATE ─► SERVER_KEY ─► REQUEST_OR_DONE ─┐  │
 *                                                                  HELLO_DONE ◄── request ──┤  │
 *                                                                       └───────────────────┤  │
 *   client, resumed    SERVER_HELLO ────────────────────────────────────────────────────────┤  │
 *   both               CHANGE_CIPHER ◄──────────────────────────────────────────────────────┴──┘
 *                            └─► FINISHED ─► NOTHING, which is OPEN
 *
 * Invariants, checked after each move (hold)
 * 1. A handler moves to one of its row's successors, or the connection has failed.
 * 2. OPEN is where nothing is waited for, and nowhere else; there both directions are protected under the
 *    agreed suite, or ours will be once what is in the flight has gone.
 * 3. No byte of the application has come in or can go out before OPEN.
 * 4. The peer's records are protected from the change of keys on, and not before; keys are made by then.
 * 5. Behind SERVER_CERTIFICATE a client holds two verified certificates; behind SERVER_KEY the server has
 *    proven to hold the key of the first. CERTIFICATE_VERIFY is waited for only with a verified
 *    certificate, and nobody who sent one comes to CHANGE_CIPHER without proof. A resumed session stands
 *    in for all of it.
 * 6. In OPEN, rdg_tlcp_peer is there: always for a client, for a server if certificates are required.
 * Keys change only between messages, because content_take lets nothing else in between (engine.c). */
#define TO(w) (1u << (w))
static const struct row {
    wait_t wait;
    unsigned message;
    bool hash; /* the handler needs the transcript's digest before this message */
    handler_t *handler;
    unsigned successors;
} table[] = {
    /* server */
    {WAIT_CLIENT_HELLO, MESSAGE_CLIENT_HELLO, false, rdg_tlcp_on_client_hello,
     TO(WAIT_CLIENT_CERTIFICATE) | TO(WAIT_CLIENT_KEY) | TO(WAIT_CHANGE_CIPHER)},
    {WAIT_CLIENT_CERTIFICATE, MESSAGE_CERTIFICATE, false, rdg_tlcp_on_client_certificate,
     TO(WAIT_CLIENT_KEY)},
    {WAIT_CLIENT_KEY, MESSAGE_CLIENT_KEY_EXCHANGE, false, rdg_tlcp_on_client_key,
     TO(WAIT_CERTIFICATE_VERIFY) | TO(WAIT_CHANGE_CIPHER)},
    {WAIT_CERTIFICATE_VERIFY, MESSAGE_CERTIFICATE_VERIFY, true, rdg_tlcp_on_certificate_verify,
     TO(WAIT_CHANGE_CIPHER)},
    /* client */
    {WAIT_SERVER_HELLO, MESSAGE_SERVER_HELLO, false, rdg_tlcp_on_server_hello,
     TO(WAIT_SERVER_CERTIFICATE) | TO(WAIT_CHANGE_CIPHER)},
    {WAIT_SERVER_CERTIFICATE, MESSAGE_CERTIFICATE, false, rdg_tlcp_on_server_certificate,
     TO(WAIT_SERVER_KEY)},
    {WAIT_SERVER_KEY, MESSAGE_SERVER_KEY_EXCHANGE, false, rdg_tlcp_on_server_key, TO(WAIT_REQUEST_OR_DONE)},
    {WAIT_REQUEST_OR_DONE, MESSAGE_CERTIFICATE_REQUEST, false, rdg_tlcp_on_certificate_request,
     TO(WAIT_HELLO_DONE)},
    {WAIT_REQUEST_OR_DONE, MESSAGE_SERVER_HELLO_DONE, false, rdg_tlcp_on_hello_done, TO(WAIT_CHANGE_CIPHER)},
    {WAIT_HELLO_DONE, MESSAGE_SERVER_HELLO_DONE, false, rdg_tlcp_on_hello_done, TO(WAIT_CHANGE_CIPHER)},
    /* both */
    {WAIT_CHANGE_CIPHER, MESSAGE_CHANGE_CIPHER, false, rdg_tlcp_on_change_cipher, TO(WAIT_FINISHED)},
    {WAIT_FINISHED, MESSAGE_FINISHED, true, rdg_tlcp_on_finished, TO(WAIT_NOTHING)},
};

static void hold(const rdg_tlcp_t *t) {
    const handshake_t *h = t->handshake;
    bool client = t->role == RDG_TLCP_CLIENT, open = t->state == RDG_TLCP_OPEN;
    bool keyed = h->wait == WAIT_FINISHED || h->wait == WAIT_NOTHING, whole = !h->resumed;
    RDG_ASSERT(open == (h->wait == WAIT_NOTHING) && (open || t->state == RDG_TLCP_HANDSHAKE));
    RDG_ASSERT(!open || t->tx.suite == t->suite || h->change_at != NO_CHANGE);
    RDG_ASSERT(t->app_len == 0 && t->written == 0);
    RDG_ASSERT(keyed == (t->rx.suite != 0) && (!keyed || t->rx.suite == t->suite));
    if (client && whole && h->wait > WAIT_SERVER_CERTIFICATE) RDG_ASSERT(h->peer_sign && h->peer_enc);
    if (client && whole && h->wait > WAIT_SERVER_KEY) RDG_ASSERT(h->proven);
    if (h->wait == WAIT_CERTIFICATE_VERIFY) RDG_ASSERT(h->peer_sign && !h->proven);
    if (h->wait >= WAIT_CHANGE_CIPHER && whole) RDG_ASSERT(!h->peer_sign == !h->proven);
    bool needs_peer = client || t->config->client_auth == RDG_TLCP_CLIENT_REQUIRED;
    RDG_ASSERT((!t->peer || open) && (!open || t->peer || !needs_peer));
}

rdg_err_t rdg_tlcp_handshake_new(rdg_tlcp_t *t) {
    handshake_t *h = rdg_calloc(1, sizeof *h);
    if (!h) return rdg_fail(RDG_E_NO_MEMORY, "TLCP: out of memory");
    t->handshake = h;
    h->change_at = NO_CHANGE;
    h->session.until_s = INT64_MAX;
    h->wait = t->role == RDG_TLCP_CLIENT ? WAIT_SERVER_HELLO : WAIT_CLIENT_HELLO;
    rdg_writer_init(&h->out, h->flight, sizeof h->flight);
    h->transcript = rdg_sm3_stream_new();
    if (!h->transcript) return rdg_fail(RDG_E_NO_MEMORY, "TLCP: out of memory");
    return t->role == RDG_TLCP_CLIENT ? rdg_tlcp_client_hello_put(t) : RDG_OK;
}

void rdg_tlcp_handshake_free(rdg_tlcp_t *t) {
    handshake_t *h = t->handshake;
    if (!h) return;
    for (size_t i = 0; i < h->cert_count; i++) rdg_cert_free(h->certs[i]);
    if (h->transcript) rdg_sm3_stream_free(h->transcript);
    rdg_tlcp_session_fini(&h->session);
    rdg_sm2_key_free(h->fresh);
    rdg_secure_zero(h, sizeof *h);
    rdg_free(h);
    t->handshake = NULL;
}

/* whole: with its head, as the transcript wants it; empty for a change of keys. */
static rdg_err_t dispatch(rdg_tlcp_t *t, unsigned message, rdg_bytes_t body, rdg_bytes_t whole) {
    handshake_t *h = t->handshake;
    const struct row *row = NULL;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (table[i].wait == h->wait && table[i].message == message) row = &table[i];
    if (!row)
        return REFUSE(t, unexpected_message, RDG_E_PROTOCOL, "TLCP: message %u is out of turn (state %d)",
                      message, (int)h->wait);
    if (row->hash) {
        rdg_err_t err = rdg_sm3_stream_peek(h->transcript, &h->hash);
        if (err != RDG_OK) return rdg_tlcp_fail(t, RDG_TLCP_ALERT_internal_error, err);
    }
    rdg_sm3_stream_update(h->transcript, whole.data, whole.len);
    wait_t next = h->wait;
    rdg_err_t err = row->handler(t, body, &next);
    if (err != RDG_OK) {
        /* Handlers refuse by themselves; what they only pass on is our own trouble. */
        if (t->state != RDG_TLCP_FAILED) rdg_tlcp_fail(t, RDG_TLCP_ALERT_internal_error, err);
        return err;
    }
    RDG_ASSERT(row->successors & TO(next));
    h->wait = next;
    hold(t);
    return RDG_OK;
}

static void take(handshake_t *h, rdg_reader_t *r, size_t until) {
    size_t want = until > h->in_len ? until - h->in_len : 0, left = rdg_reader_left(r);
    size_t n = want < left ? want : left;
    rdg_read_copy(r, h->in + h->in_len, n);
    h->in_len += n;
}

rdg_err_t rdg_tlcp_handshake_take(rdg_tlcp_t *t, rdg_bytes_t content) {
    handshake_t *h = t->handshake;
    if (t->state != RDG_TLCP_HANDSHAKE)
        return REFUSE(t, no_renegotiation, RDG_E_PROTOCOL, "TLCP: the peer wants to renegotiate");
    rdg_reader_t r;
    rdg_reader_init(&r, content);
    while (rdg_reader_left(&r) > 0) {
        /* In the record of a Finished nothing may follow. */
        if (t->state != RDG_TLCP_HANDSHAKE)
            return REFUSE(t, unexpected_message, RDG_E_PROTOCOL, "TLCP: bytes behind a Finished");
        take(h, &r, MESSAGE_HEAD);
        if (h->in_len < MESSAGE_HEAD) break;
        size_t len = rdg_load_be32(h->in) & 0xffffff;
        if (len > RDG_TLCP_HANDSHAKE_MAX)
            return REFUSE(t, handshake_failure, RDG_E_TOO_LARGE, "TLCP: a handshake message of %zu bytes",
                          len);
        take(h, &r, MESSAGE_HEAD + len);
        if (h->in_len < MESSAGE_HEAD + len) break;
        h->in_len = 0;
        RDG_TRY(dispatch(t, h->in[0], rdg_bytes(h->in + MESSAGE_HEAD, len),
                         rdg_bytes(h->in, MESSAGE_HEAD + len)));
    }
    return RDG_OK;
}

rdg_err_t rdg_tlcp_change_cipher_take(rdg_tlcp_t *t, rdg_bytes_t content) {
    if (t->state != RDG_TLCP_HANDSHAKE || content.len != 1 || content.data[0] != 1)
        return REFUSE(t, unexpected_message, RDG_E_PROTOCOL, "TLCP: a change of keys that is not due");
    return dispatch(t, MESSAGE_CHANGE_CIPHER, content, rdg_bytes(NULL, 0));
}
