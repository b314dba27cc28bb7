#include <string.h>

#include "handshake.h"
#include "ridge/base/alloc.h"
#include "ridge/base/assert.h"
#include "ridge/crypto/sm2_cipher.h"
#include "ridge/crypto/sm2_exchange.h"

/* ECParameters { named_curve, SM2's number } and ECPoint, as both sides of ECDHE send their ephemeral key. */
#define CURVE_NAMED 3
#define CURVE_SM2 41
#define POINT_BYTES 65
#define PARAMS_BYTES (3 + 1 + POINT_BYTES)
#define STATEMENT_MAX (2 * RANDOM_BYTES + 3 + RDG_CERT_DER_MAX)
#define FRESH_TRIES 8 /* a random number is out of the curve's range once in 2^32 */

/* --- what a server signs ---------------------------------------------------------------------------- */

/* ECC: both randoms, a 3-byte length, the encryption certificate. ECDHE: both randoms, the parameters. */
static size_t statement_make(const rdg_tlcp_t *t, const rdg_cert_t *enc_cert, rdg_bytes_t params,
                             uint8_t out[STATEMENT_MAX]) {
    const handshake_t *h = t->handshake;
    rdg_writer_t w;
    rdg_writer_init(&w, out, STATEMENT_MAX);
    rdg_write_bytes(&w, h->client_random, RANDOM_BYTES);
    rdg_write_bytes(&w, h->server_random, RANDOM_BYTES);
    if (!rdg_tlcp_suite_is_ecdhe(t->suite)) {
        params = rdg_cert_der(enc_cert);
        rdg_write_u24(&w, (uint32_t)params.len);
    }
    rdg_write_bytes(&w, params.data, params.len);
    RDG_ASSERT(rdg_writer_ok(&w));
    return rdg_writer_len(&w);
}

/* --- ephemeral keys --------------------------------------------------------------------------------- */

/* From the engine's randomness, as all its secrets. */
static rdg_err_t fresh_make(rdg_tlcp_t *t) {
    uint8_t scalar[32];
    rdg_err_t err = RDG_E_INVALID;
    for (int i = 0; i < FRESH_TRIES && err == RDG_E_INVALID; i++) {
        rdg_random_fill(t->random, scalar, sizeof scalar);
        err = rdg_sm2_key_from_scalar(scalar, &t->handshake->fresh);
    }
    rdg_secure_zero(scalar, sizeof scalar);
    return err;
}

static void params_make(const rdg_tlcp_t *t, uint8_t out[PARAMS_BYTES]) {
    static const uint8_t head[] = {CURVE_NAMED, CURVE_SM2 >> 8, CURVE_SM2, POINT_BYTES, 0x04};
    rdg_sm2_public_t pub;
    rdg_sm2_key_public(t->handshake->fresh, &pub);
    memcpy(out, head, sizeof head);
    memcpy(out + sizeof head, pub.b, sizeof pub.b);
}

static rdg_err_t params_take(rdg_tlcp_t *t, rdg_reader_t *r, rdg_sm2_public_t *out) {
    uint8_t type = rdg_read_u8(r);
    uint16_t curve = rdg_read_u16(r);
    rdg_bytes_t point = rdg_read_bytes(r, rdg_read_u8(r));
    if (!rdg_reader_ok(r))
        return REFUSE(t, decode_error, RDG_E_PROTOCOL, "TLCP: the peer's ephemeral key cannot be read");
    if (type != CURVE_NAMED || curve != CURVE_SM2)
        return REFUSE(t, illegal_parameter, RDG_E_PROTOCOL,
                      "TLCP: the peer's ephemeral key is not on SM2's curve");
    if (rdg_sm2_public_decode(point, out) != RDG_OK)
        return REFUSE(t, illegal_parameter, RDG_E_PROTOCOL,
                      "TLCP: the peer's ephemeral key is not a point of SM2's curve");
    return RDG_OK;
}

/* The server is the side that the standard calls A. */
static rdg_err_t agree(rdg_tlcp_t *t, const rdg_sm2_public_t *peer_fresh) {
    handshake_t *h = t->handshake;
    uint8_t secret[SECRET_BYTES];
    rdg_sm2_exchange_t x = {.initiator = t->role == RDG_TLCP_SERVER,
                            .own_static = t->config->enc_key,
                            .own_ephemeral = h->fresh,
                            .peer_static = rdg_cert_public(h->peer_enc),
                            .peer_ephemeral = peer_fresh};
    rdg_err_t err = rdg_sm2_exchange(&x, secret, sizeof secret, NULL);
    if (err == RDG_E_INVALID) return rdg_tlcp_fail(t, RDG_TLCP_ALERT_illegal_parameter, err);
    if (err == RDG_OK) rdg_tlcp_master_make(t, secret);
    rdg_secure_zero(secret, sizeof secret);
    rdg_sm2_key_free(h->fresh);
    h->fresh = NULL;
    return err;
}

/* --- ServerKeyExchange ------------------------------------------------------------------------------ */

rdg_err_t rdg_tlcp_server_key_put(rdg_tlcp_t *t) {
    handshake_t *h = t->handshake;
    uint8_t statement[STATEMENT_MAX], params[PARAMS_BYTES];
    size_t params_len = 0;
    if (rdg_tlcp_suite_is_ecdhe(t->suite)) {
        RDG_TRY(fresh_make(t));
        params_make(t, params);
        params_len = sizeof params;
    }
    size_t len = statement_make(t, t->config->enc_cert, rdg_bytes(params, params_len), statement);
    size_t begun = rdg_tlcp_message_begin(h, MESSAGE_SERVER_KEY_EXCHANGE);
    rdg_write_bytes(&h->out, params, params_len);
    RDG_TRY(rdg_tlcp_signature_put(t, statement, len));
    rdg_tlcp_message_end(h, begun);
    return RDG_OK;
}

rdg_err_t rdg_tlcp_server_key_take(rdg_tlcp_t *t, rdg_bytes_t body) {
    handshake_t *h = t->handshake;
    uint8_t statement[STATEMENT_MAX];
    rdg_reader_t r;
    rdg_reader_init(&r, body);
    if (rdg_tlcp_suite_is_ecdhe(t->suite)) RDG_TRY(params_take(t, &r, &h->peer_fresh));
    rdg_bytes_t params = rdg_bytes(body.data, body.len - rdg_reader_left(&r));
    size_t len = statement_make(t, h->peer_enc, params, statement);
    return rdg_tlcp_signature_check(t, rdg_read_rest(&r), statement, len);
}

/* --- ClientKeyExchange ------------------------------------------------------------------------------ */

static rdg_err_t put_sealed(rdg_tlcp_t *t) {
    handshake_t *h = t->handshake;
    uint8_t secret[SECRET_BYTES], sealed[RDG_SM2_CIPHERTEXT_MAX];
    size_t len;
    rdg_random_fill(t->random, secret, sizeof secret);
    secret[0] = RDG_TLCP_VERSION >> 8;
    secret[1] = RDG_TLCP_VERSION & 0xff;
    rdg_err_t err = rdg_cert_encrypt(h->peer_enc, sealed, &len, secret, sizeof secret);
    if (err == RDG_OK) rdg_tlcp_master_make(t, secret);
    rdg_secure_zero(secret, sizeof secret);
    if (err != RDG_OK) return err;
    rdg_write_u16(&h->out, (uint16_t)len);
    rdg_write_bytes(&h->out, sealed, len);
    return RDG_OK;
}

static rdg_err_t put_fresh(rdg_tlcp_t *t) {
    handshake_t *h = t->handshake;
    uint8_t params[PARAMS_BYTES];
    RDG_TRY(fresh_make(t));
    params_make(t, params);
    if (!t->config->bare_client_params) rdg_write_u16(&h->out, PARAMS_BYTES);
    rdg_write_bytes(&h->out, params, PARAMS_BYTES);
    return agree(t, &h->peer_fresh);
}

rdg_err_t rdg_tlcp_client_key_put(rdg_tlcp_t *t) {
    handshake_t *h = t->handshake;
    size_t begun = rdg_tlcp_message_begin(h, MESSAGE_CLIENT_KEY_EXCHANGE);
    RDG_TRY(rdg_tlcp_suite_is_ecdhe(t->suite) ? put_fresh(t) : put_sealed(t));
    rdg_tlcp_message_end(h, begun);
    return RDG_OK;
}

/* A wrong secret must show nowhere but in the Finished: a random one takes its place (Bleichenbacher, and
 * RFC 5246 7.4.7.1). */
static rdg_err_t take_sealed(rdg_tlcp_t *t, rdg_bytes_t body) {
    rdg_reader_t r;
    rdg_reader_init(&r, body);
    rdg_bytes_t sealed = rdg_read_bytes(&r, rdg_read_u16(&r));
    if (!rdg_reader_done(&r))
        return REFUSE(t, decode_error, RDG_E_PROTOCOL, "TLCP: the ClientKeyExchange cannot be read");
    uint8_t secret[SECRET_BYTES], plain[RDG_SM2_PLAINTEXT_MAX] = {0};
    size_t len;
    rdg_random_fill(t->random, secret, sizeof secret);
    unsigned wrong = rdg_sm2_decrypt(t->config->enc_key, plain, &len, sealed) != RDG_OK;
    wrong |= (unsigned)(len ^ SECRET_BYTES);
    wrong |=
        (unsigned)(plain[0] ^ (RDG_TLCP_VERSION >> 8)) | (unsigned)(plain[1] ^ (RDG_TLCP_VERSION & 0xff));
    uint8_t keep = (uint8_t)(0u - ((wrong | (0u - wrong)) >> 31)); /* all ones: the random one */
    for (size_t i = 0; i < SECRET_BYTES; i++) secret[i] = (uint8_t)((secret[i] & keep) | (plain[i] & ~keep));
    rdg_secure_zero(plain, sizeof plain);
    rdg_tlcp_master_make(t, secret);
    return RDG_OK;
}

/* With the outer length that the standard has, or without it, as some clients send it: the curve's type 3
 * cannot be the first byte of a length of 69 or less. */
static rdg_err_t take_fresh(rdg_tlcp_t *t, rdg_bytes_t body) {
    rdg_reader_t r;
    rdg_sm2_public_t peer_fresh;
    rdg_reader_init(&r, body);
    if (body.len > 0 && body.data[0] != CURVE_NAMED && rdg_read_u16(&r) != rdg_reader_left(&r))
        return REFUSE(t, decode_error, RDG_E_PROTOCOL, "TLCP: the ClientKeyExchange cannot be read");
    RDG_TRY(params_take(t, &r, &peer_fresh));
    if (!rdg_reader_done(&r))
        return REFUSE(t, decode_error, RDG_E_PROTOCOL, "TLCP: bytes behind the client's ephemeral key");
    return agree(t, &peer_fresh);
}

rdg_err_t rdg_tlcp_client_key_take(rdg_tlcp_t *t, rdg_bytes_t body) {
    return rdg_tlcp_suite_is_ecdhe(t->suite) ? take_fresh(t, body) : take_sealed(t, body);
}
