/* The key of encrypted archives (archive.h) on its way from who keeps it to a node, and what tells a right one from a wrong
 * one.
 *
 * Wrapped: SM2 encryption (GB/T 32918.4-2016, sm2_cipher.h) for the key of the node's encryption certificate, of
 *
 *   1 ‖ key (16) ‖ SM3 (tag ARCHIVE_KEY) of genesis hash ‖ chain id (8, big-endian) ‖ key id
 *
 * As JSON: {"id": ID, "wrapped": [{"for": address of the encryption key, "key": DER of the ciphertext}, …]}. There is one
 * entry for each encryption key that the node may have: its certificates are renewed, each time with a new key.
 *
 * Invariants
 * 1. The wrapped form is no secret: it may stand in commands, journals and databases. The key itself is in memory that its
 *    holder clears, and in files of mode 0600.
 * 2. What is wrapped for one chain, or under one id, does not open as that of another.
 *
 * Whoever knows the node's certificate can wrap a key of his own, so a wrapped key says nothing of who has wrapped it: the
 * archive that it has sealed does, because it does not open with the key that was meant.
 *
 * Limits: RDG_ARCHIVE_WRAPPED_MAX entries. Thread-safe. */
#ifndef RIDGE_LEDGER_ARCHIVE_KEY_H
#define RIDGE_LEDGER_ARCHIVE_KEY_H
#include "ridge/codec/json.h"
#include "ridge/ledger/archive.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RDG_ARCHIVE_WRAPPED_MAX 8
#define RDG_ARCHIVE_KEY_CHECK_BYTES 16

typedef struct rdg_archive_key_chain {
    uint64_t chain_id;
    rdg_hash_t genesis;
} rdg_archive_key_chain_t;

/* Returns owned. INVALID: no recipient, too many, or a key that is not on the curve. */
rdg_err_t rdg_archive_key_wrap(const rdg_archive_key_t *key, const rdg_archive_key_chain_t *chain,
                               const rdg_sm2_public_t *recipients, size_t count, json_t **out);
/* own: the node's encryption key, in <dir>/node-enc.key. INVALID names the field; STALE: nothing is wrapped for that key, because
 * it was renewed since; UNAUTHENTICATED: damaged, or wrapped for another; WRONG_CHAIN: of another chain or id. Each names
 * chain and key id. out is cleared unless it is RDG_OK; the caller clears it then. */
rdg_err_t rdg_archive_key_unwrap(const json_t *wrapped, const rdg_archive_key_chain_t *chain,
                                 const rdg_sm2_key_t *own, rdg_archive_key_t *out);
/* What may be kept beside the id in the clear, to tell whether a key is the one that it was: the first bytes of HMAC-SM3
 * with the key over a label and the id. */
void rdg_archive_key_check(const rdg_archive_key_t *key, uint8_t out[RDG_ARCHIVE_KEY_CHECK_BYTES]);

/* As a file: 32 hex digits, and the id in a second line, which may be missing. Needs RDG_ARCHIVE_KEY_TEXT_MAX bytes, which
 * the caller clears. */
#define RDG_ARCHIVE_KEY_TEXT_MAX (2 * RDG_SM4_KEY_BYTES + RDG_ARCHIVE_KEY_ID_MAX + 3)
void rdg_archive_key_print(const rdg_archive_key_t *key, char out[RDG_ARCHIVE_KEY_TEXT_MAX]);
/* id: as the second line says, else empty. MALFORMED; out is then cleared. */
rdg_err_t rdg_archive_key_parse(rdg_bytes_t text, rdg_archive_key_t *out);
/* A file that only its owner can use (keyfile.h). */
rdg_err_t rdg_archive_key_load(const char *path, rdg_archive_key_t *out);

#ifdef __cplusplus
}
#endif
#endif
