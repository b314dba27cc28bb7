/* Solidity ABI (Contract ABI Specification, solc 0.8): encoding of arguments from JSON and decoding of
 * results and events to JSON, driven by the JSON ABI that solc emits.
 *
 * JSON forms: integers as decimal or 0x strings or JSON integers (decoded: decimal strings; JSON integers
 * when they fit 53 bits); address, bytes and bytesN as 0x hex; bool as true/false (also as strings); string
 * as string; arrays and tuples as arrays (a tuple may also be given as an object with the component names,
 * and is decoded as one when all components are named and distinct).
 * Types: uintN, intN, address, bool, bytesN, bytes, string, function (as bytes24), arrays of fixed and
 * dynamic length, tuples, nested in any way. fixedMxN, which solc does not implement, is INVALID.
 * Limits: type nesting 16, 256 parameters a list, 65,536 items encoded or decoded, data as given. Hostile
 * data is refused as MALFORMED: offsets or lengths out of the data, values wider than their type, strings
 * that are not UTF-8, and values that share bytes (no encoder does so, and a small message could otherwise
 * grow without limit). Padding after bytes and strings is not looked at.
 * Thread-safe as far as the json_t values are not shared.
 * Selectors and topics are Keccak-256 and are passed in through a function pointer, because codec stands
 * beside crypto in the layers. */
#ifndef RIDGE_CODEC_ABI_H
#define RIDGE_CODEC_ABI_H
#include "ridge/codec/json.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef void (*rdg_abi_keccak_t)(const void *data, size_t len, uint8_t out[32]);

/* The function (or, with name NULL, the constructor) in abi that takes `args`. Overloads are chosen by
 * name and argument count (RDG_ABI_ANY_COUNT: any), or by full signature "f(uint256,bytes)". NOT_FOUND
 * lists what there is; INVALID if several match, with their signatures. *entry is borrowed from abi, and
 * NULL with RDG_OK for a constructor that solc left out because it takes nothing. */
#define RDG_ABI_ANY_COUNT SIZE_MAX
rdg_err_t rdg_abi_find(const json_t *abi, const char *kind /* "function", "event", "constructor", "error" */,
                       const char *name, size_t arg_count, const json_t **entry);
/* Canonical signature "submit(bytes32,uint64[])" appended to out. Here and below an entry of NULL is the
 * constructor without arguments. */
rdg_err_t rdg_abi_signature(const json_t *entry, rdg_buf_t *out);
/* Encodes args (JSON array, or object by parameter name) after the selector (functions) or alone
 * (constructors). INVALID names the parameter, its type and the offending value. On failure out may hold
 * a part of it. */
rdg_err_t rdg_abi_encode_call(const json_t *entry, const json_t *args, rdg_abi_keccak_t keccak,
                              rdg_buf_t *out);
rdg_err_t rdg_abi_encode(const json_t *inputs, const json_t *args, rdg_buf_t *out);
/* Decodes to a JSON object by name where all are named and distinct, else to an array. Returns owned. */
rdg_err_t rdg_abi_decode(const json_t *outputs, rdg_bytes_t data, json_t **out);
/* An event log: topics and data to {"event": name, "args": {...}}. NOT_FOUND if no event matches. Of an
 * indexed parameter that does not fit a topic (bytes, string, arrays, tuples) the value is its hash. */
rdg_err_t rdg_abi_decode_log(const json_t *abi, const uint8_t (*topics)[32], size_t topic_count,
                             rdg_bytes_t data, rdg_abi_keccak_t keccak, json_t **out);
/* Revert data (Error(string), Panic(uint256), or a custom error of abi, which may be NULL) as a sentence,
 * appended to out. */
rdg_err_t rdg_abi_decode_revert(const json_t *abi, rdg_bytes_t data, rdg_abi_keccak_t keccak, rdg_buf_t *out);

#ifdef __cplusplus
}
#endif
#endif
