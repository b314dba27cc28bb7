/* The first frame of each side of a link, which says of which chain it is. Who it is, TLCP has proven. */
#ifndef RIDGE_P2P_HANDSHAKE_H
#define RIDGE_P2P_HANDSHAKE_H
#include "ridge/base/bytes.h"
#include "ridge/crypto/hash.h"

#define HELLO_VERSION 2
#define HELLO_BYTES (2 + 8 + 32)

typedef struct hello {
    uint64_t chain_id;
    rdg_hash_t genesis;
} hello_t;

void hello_encode(const hello_t *h, uint8_t out[HELLO_BYTES]);
/* MALFORMED (size), UNSUPPORTED (version). */
rdg_err_t hello_decode(rdg_bytes_t in, hello_t *out);
/* WRONG_CHAIN unless both speak of the same chain and genesis. */
rdg_err_t hello_match(const hello_t *own, const hello_t *peer);

#endif
