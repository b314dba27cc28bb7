/* Requests of the plainest form, which clients send transactions in, are read without making a tree of JSON, which costs
 * more than all else about a transaction that is taken. Whatever is of another form, wrong or right, is left to the parser. */
#include "rpc_internal.h"
#include <string.h>

#define ID_BYTES_MAX 64

typedef struct text {
    const uint8_t *at, *end;
} text_t;

static void skip_space(text_t *t) {
    while (t->at < t->end && (*t->at == ' ' || *t->at == '\n' || *t->at == '\r' || *t->at == '\t')) ++t->at;
}

static bool take(text_t *t, char c) {
    skip_space(t);
    if (t->at == t->end || *t->at != (uint8_t)c) return false;
    ++t->at;
    return true;
}

/* A string of plain characters, without its quotes. */
static bool take_string(text_t *t, rdg_bytes_t *out) {
    if (!take(t, '"')) return false;
    const uint8_t *from = t->at;
    while (t->at < t->end && *t->at >= 0x20 && *t->at < 0x7f && *t->at != '"' && *t->at != '\\') ++t->at;
    *out = rdg_bytes(from, (size_t)(t->at - from));
    return t->at < t->end && *t->at++ == '"';
}

static bool is(rdg_bytes_t text, const char *word) {
    return text.len == strlen(word) && memcmp(text.data, word, text.len) == 0;
}

/* A number without sign or fraction, or a string, as it stands in the text. */
static bool take_id(text_t *t, rdg_bytes_t *out) {
    rdg_bytes_t unquoted;
    skip_space(t);
    const uint8_t *from = t->at;
    if (from < t->end && *from == '"') {
        if (!take_string(t, &unquoted)) return false;
    } else {
        while (t->at < t->end && *t->at >= '0' && *t->at <= '9') ++t->at;
        size_t digits = (size_t)(t->at - from);
        if (digits == 0 || digits > 15 || (*from == '0' && digits > 1)) return false;
    }
    *out = rdg_bytes(from, (size_t)(t->at - from));
    return out->len <= ID_BYTES_MAX;
}

static bool take_params(text_t *t, rdg_bytes_t *out) {
    return take(t, '[') && take_string(t, out) && take(t, ']');
}

static bool take_member(text_t *t, rpc_plain_call_t *call, unsigned *seen) {
    rdg_bytes_t name, value;
    if (!take_string(t, &name) || !take(t, ':')) return false;
    unsigned which = is(name, "id")        ? 1
                     : is(name, "method")  ? 2
                     : is(name, "params")  ? 4
                     : is(name, "jsonrpc") ? 8
                                           : 0;
    if (which == 0 || (*seen & which)) return false;
    *seen |= which;
    switch (which) {
    case 1: return take_id(t, &call->id);
    case 2: return take_string(t, &value) && is(value, "ridge_sendTransaction");
    case 4: return take_params(t, &call->transaction);
    default: return take_string(t, &value);
    }
}

static bool take_call(text_t *t, rpc_plain_call_t *call) {
    unsigned seen = 0;
    if (!take(t, '{')) return false;
    do
        if (!take_member(t, call, &seen)) return false;
    while (take(t, ','));
    return take(t, '}') && (seen & 7) == 7;
}

size_t rpc_plain_read(rdg_bytes_t body, rpc_plain_call_t calls[RDG_RPC_CALLS_MAX], bool *is_batch) {
    size_t count = 0;
    if (body.len == 0) return 0; /* and has no address */
    text_t t = {body.data, body.data + body.len};
    *is_batch = take(&t, '[');
    do
        if (count == RDG_RPC_CALLS_MAX || !take_call(&t, &calls[count++])) return 0;
    while (*is_batch && take(&t, ','));
    if (*is_batch && !take(&t, ']')) return 0;
    skip_space(&t);
    return t.at == t.end ? count : 0;
}
