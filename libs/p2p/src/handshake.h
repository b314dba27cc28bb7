/* The two messages that authenticate both ends of a link; pure, so that they are tested without a socket. */
#ifndef RIDGE_P2P_HANDSHAKE_H
#define RIDGE_P2P_HANDSHAKE_H
#include "ridge/base/buf.h"
#include "ridge/crypto/sm2.h"

#define HELLO_VERSION 1
#define HELLO_BYTES (2 + 8 + 32 + 64 + 32)

typedef struct hello {
    uint64_t chain_id;
    rdg_hash_t genesis;
    rdg_sm2_public_t key;
    uint8_t nonce[32];
} hello_t;

void hello_encode(const hello_t *h, uint8_t out[HELLO_BYTES]);
/* MALFORMED (size), UNSUPPORTED (version). */
rdg_err_t hello_decode(rdg_bytes_t in, hello_t *out);
/* WRONG_CHAIN unless both speak of the same chain and genesis. */
rdg_err_t hello_match(const hello_t *own, const hello_t *peer);
/* What `own` signs towards `peer`. */
void auth_hash(const hello_t *own, const hello_t *peer, bool own_dialled, rdg_hash_t *out);

#endif
