/* The contract ABI of Solidity: every type, in both directions, between bytes and JSON text.
 *
 * JSON forms: integers as JSON integers, or strings of decimal or 0x digits (given back as a JSON integer when it fits
 * 53 bits, else as a decimal string); address, bytes, bytesN and function as "0x…"; bool as true or false; string as
 * a string; arrays and tuples as arrays, a tuple with named components also as an object (and given back as one).
 * A list of types is text: "uint256,(string,bytes32[])[2],address" or "uint256 amount, string memo".
 *
 * Limits: nesting of 16, 256 types a list, 65,536 items. Hostile data is MALFORMED, never more memory than its size
 * warrants. A wrong argument is INVALID and named, with its type. */
#ifndef RIDGE_ABI_H
#define RIDGE_ABI_H
#include <ridge/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/* types: as above; args: JSON array. out->data: ridge_free. */
RIDGE_API ridge_status_t ridge_abi_encode(const char *types, const char *args, ridge_bytes_t *out);
/* *json: an array, or an object when all types have different names. Returns owned (ridge_free). */
RIDGE_API ridge_status_t ridge_abi_decode(const char *types, const uint8_t *data, size_t len, char **json);

/* A contract's ABI, with its bytecode if there is some. */
typedef struct ridge_abi ridge_abi_t;
/* json: the ABI array that solc writes, or an artefact: an object with "abi" and "bytecode". Returns owned. */
RIDGE_API ridge_status_t ridge_abi_new(const char *json, ridge_abi_t **out);
RIDGE_API ridge_status_t ridge_abi_load(const char *path, ridge_abi_t **out);
RIDGE_API void ridge_abi_free(ridge_abi_t *abi); /* NULL is fine */

/* Call data. method: a name, or a full signature where it is overloaded. args: JSON array, or object by name; NULL is
 * no argument. NOT_FOUND lists the methods there are. */
RIDGE_API ridge_status_t ridge_abi_encode_call(const ridge_abi_t *abi, const char *method, const char *args,
                                               ridge_bytes_t *out);
/* Bytecode and constructor arguments: the data of a transaction that deploys. INVALID without bytecode. */
RIDGE_API ridge_status_t ridge_abi_encode_deploy(const ridge_abi_t *abi, const char *args,
                                                 ridge_bytes_t *out);
/* What a method returned. Returns owned. */
RIDGE_API ridge_status_t ridge_abi_decode_result(const ridge_abi_t *abi, const char *method,
                                                 const uint8_t *data, size_t len, char **json);
/* A log: {"event": name, "args": …}. topics: topic_count times 32 bytes. NOT_FOUND: no event of this ABI. Of an
 * indexed string, array or tuple only the hash is known, and given. Returns owned. */
RIDGE_API ridge_status_t ridge_abi_decode_event(const ridge_abi_t *abi, const uint8_t *topics,
                                                size_t topic_count, const uint8_t *data, size_t len,
                                                char **json);
/* Revert data as a sentence: the reason, what a panic code means, or the name and arguments of a custom error of the
 * ABI, which may be NULL. Returns owned. */
RIDGE_API ridge_status_t ridge_abi_decode_error(const ridge_abi_t *abi, const uint8_t *data, size_t len,
                                                char **text);

#ifdef __cplusplus
}
#endif
#endif
