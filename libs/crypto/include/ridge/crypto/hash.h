/* Digests: SM3 (GB/T 32905-2016, by libgcrypt) for everything the ledger itself hashes, Keccak-256 for
 * what Ethereum's tools compute, SHA-256 (FIPS 180-4, by libgcrypt) for OCI digests. All functions are
 * thread-safe; a stream belongs to one thread at a time. A NULL pointer is fine where the length is 0.
 *
 * Domain separation: every SM3 in the ledger starts with one tag byte of the table below, so that no
 * structure can be taken for another. The table is append-only. */
#ifndef RIDGE_CRYPTO_HASH_H
#define RIDGE_CRYPTO_HASH_H
#include <stdbool.h>
#include "ridge/base/bytes.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RDG_HASH_BYTES 32

typedef struct rdg_hash {
    uint8_t b[RDG_HASH_BYTES];
} rdg_hash_t;

typedef enum rdg_domain {
    RDG_DOMAIN_TX = 0x01,       /* signing payload of a transaction: its id */
    RDG_DOMAIN_HEADER = 0x02,   /* ordered block header: the block hash */
    RDG_DOMAIN_EXECUTED = 0x03, /* executed header: what a checkpoint signs */
    RDG_DOMAIN_GENESIS = 0x04,
    RDG_DOMAIN_VALIDATORS = 0x05,  /* validator set */
    RDG_DOMAIN_EPOCH = 0x06,       /* an epoch's record: what an executed header names */
    RDG_DOMAIN_SUCCESSION = 0x07,  /* validators who follow lost ones: what administrators sign */
    RDG_DOMAIN_SIGNATURES = 0x12,  /* the signatures of a block's transactions, one after the other */
    RDG_DOMAIN_TX_ROOT = 0x13,     /* root of the ids, digest of the signatures */
    RDG_DOMAIN_MERKLE_LEAF = 0x10, /* transaction and receipt lists */
    RDG_DOMAIN_MERKLE_INNER = 0x11,
    RDG_DOMAIN_STATE_KEY = 0x20, /* path of a state key in the tree */
    RDG_DOMAIN_STATE_LEAF = 0x21,
    RDG_DOMAIN_STATE_INNER = 0x22,
    RDG_DOMAIN_PBFT = 0x30, /* signed consensus statements, see consensus/pbft.h */
    RDG_DOMAIN_RAFT = 0x31,
    RDG_DOMAIN_P2P_HELLO = 0x40, /* node handshake */
    RDG_DOMAIN_COMMAND = 0x50,   /* platform statements */
    RDG_DOMAIN_ENROL = 0x51,
    RDG_DOMAIN_ARCHIVE_MANIFEST = 0x60, /* archive segments, ledger/archive.h */
    RDG_DOMAIN_ARCHIVE_CONTENT = 0x61,
    RDG_DOMAIN_ARCHIVE_RECEIPT = 0x62,
    RDG_DOMAIN_ARCHIVE_KEY = 0x63 /* whose key it is, ledger/archive_key.h */
} rdg_domain_t;

/* SM3 of data as it is (the standard's function). */
void rdg_sm3(const void *data, size_t len, rdg_hash_t *out);
/* SM3 of the parts one after the other, at most RDG_SM3_PARTS_MAX (asserted). No heap. */
#define RDG_SM3_PARTS_MAX 32
void rdg_sm3_parts(const rdg_bytes_t *parts, size_t part_count, rdg_hash_t *out);
/* SM3 of the tag byte followed by the parts, at most RDG_SM3_PARTS_MAX - 1. */
void rdg_sm3_tagged(rdg_domain_t tag, const rdg_bytes_t *parts, size_t part_count, rdg_hash_t *out);

/* Many messages at once: out[i] is SM3 of inputs[i].head followed by inputs[i].body, after the tag byte in the
 * second form. Short messages of like length gain most: eight or sixteen at a time where the CPU has AVX2 or
 * AVX-512 (docs/crypto.md). No heap. An input may be an earlier element of out only if it has been written by
 * another call. */
typedef struct rdg_sm3_input {
    rdg_bytes_t head, body; /* borrowed */
} rdg_sm3_input_t;
void rdg_sm3_many(const rdg_sm3_input_t *inputs, size_t count, rdg_hash_t *out);
void rdg_sm3_tagged_many(rdg_domain_t tag, const rdg_sm3_input_t *inputs, size_t count, rdg_hash_t *out);

typedef struct rdg_sm3_stream rdg_sm3_stream_t;
rdg_sm3_stream_t *rdg_sm3_stream_new(void); /* NULL: no memory */
void rdg_sm3_stream_update(rdg_sm3_stream_t *s, const void *data, size_t len);
void rdg_sm3_stream_final(rdg_sm3_stream_t *s, rdg_hash_t *out); /* then reset for the next message */
/* The digest of what has come so far; the stream goes on. NO_MEMORY. */
rdg_err_t rdg_sm3_stream_peek(const rdg_sm3_stream_t *s, rdg_hash_t *out);
void rdg_sm3_stream_free(rdg_sm3_stream_t *s);

void rdg_keccak256(const void *data, size_t len, uint8_t out[32]);

typedef struct rdg_sha256_stream rdg_sha256_stream_t;
void rdg_sha256(const void *data, size_t len, uint8_t out[32]);
rdg_sha256_stream_t *rdg_sha256_stream_new(void);
void rdg_sha256_stream_update(rdg_sha256_stream_t *s, const void *data, size_t len);
void rdg_sha256_stream_final(rdg_sha256_stream_t *s, uint8_t out[32]);
void rdg_sha256_stream_free(rdg_sha256_stream_t *s);

typedef struct rdg_sha512_stream rdg_sha512_stream_t;
rdg_sha512_stream_t *rdg_sha512_stream_new(void); /* NULL: no memory */
void rdg_sha512_stream_update(rdg_sha512_stream_t *s, const void *data, size_t len);
void rdg_sha512_stream_final(rdg_sha512_stream_t *s, uint8_t out[64]);
void rdg_sha512_stream_free(rdg_sha512_stream_t *s);

bool rdg_hash_equal(const rdg_hash_t *a, const rdg_hash_t *b);
bool rdg_hash_is_zero(const rdg_hash_t *h);

/* Root of a binary Merkle tree over leaf digests (each already SM3 with tag MERKLE_LEAF). Inner nodes are
 * tagged; an odd node is carried up unchanged (no duplication, CVE-2012-2459); no leaves gives all zero.
 * Destroys leaves[] (it is the work space). */
void rdg_merkle_root(rdg_hash_t *leaves, size_t count, rdg_hash_t *out);
void rdg_merkle_leaf(rdg_bytes_t item, rdg_hash_t *out);
void rdg_merkle_leaves(const rdg_bytes_t *items, size_t count,
                       rdg_hash_t *out); /* the same of many at once */

#ifdef __cplusplus
}
#endif
#endif
