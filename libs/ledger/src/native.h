/* What the contracts that every node has built in share: arguments, results, refusals and events, by the ABI.
 *
 * Lists of parameters are written as "bytes key,string name". Texts that a call is refused with are part of the
 * protocol: they stand in receipts. */
#ifndef RIDGE_LEDGER_NATIVE_H
#define RIDGE_LEDGER_NATIVE_H
#include "ridge/codec/json.h"
#include "state.h"

enum { NATIVE_RETURN_MAX = 128 << 10 };

/* The list as the JSON ABI has it. NULL: no memory. */
json_t *native_params_json(const char *text);
/* Do data begin with the selector of name(types of inputs)? */
bool native_is_method(const char *name, const char *inputs, rdg_bytes_t data);
/* That selector, appended. */
rdg_err_t native_selector(const char *name, const char *inputs, rdg_buf_t *out);
/* arguments: without the selector. Returns owned. NO_MEMORY, MALFORMED. */
rdg_err_t native_decode(const char *inputs, rdg_bytes_t arguments, json_t **args);
rdg_err_t native_encode(const char *types, const json_t *values, rdg_buf_t *out);
/* Appends Error(string) of Solidity. */
rdg_err_t native_reason(const char *why, rdg_buf_t *out);

typedef struct native_event {
    const rdg_address_t *from;
    const char *signature; /* "Frozen(string,address,…)" */
    rdg_word_t indexed[2];
    uint32_t indexed_count;
    const char *params; /* those that are not indexed */
} native_event_t;
/* args is taken. Adds what it costs to *gas. */
rdg_err_t native_emit(state_t *s, const native_event_t *event, json_t *args, uint64_t *gas);

/* Numbers beyond 53 bits come as text: whatever they mean here, they are out of bounds, and so is UINT64_MAX. */
uint64_t native_u64(const json_t *args, const char *name);
uint32_t native_u32(const json_t *args, const char *name);
/* Empty when it holds a zero byte. Borrowed from args. */
const char *native_text(const json_t *args, const char *name);

#endif
