#include <stdio.h>
#include <string.h>
#include "api_internal.h"
#include "ridge/base/alloc.h"
#include "ridge/codec/abi.h"
#include "ridge/codec/hex.h"

/* Public codes are the library's own. */
#define SAME(name) _Static_assert((int)RIDGE_##name == (int)RDG_E_##name, #name)
SAME(OK);
SAME(NO_MEMORY);
SAME(INVALID);
SAME(MALFORMED);
SAME(TOO_LARGE);
SAME(NOT_FOUND);
SAME(BUSY);
SAME(FULL);
SAME(IO);
SAME(CORRUPT);
SAME(TIMEOUT);
SAME(UNAUTHENTICATED);
SAME(FORBIDDEN);
SAME(BAD_SIGNATURE);
SAME(WRONG_CHAIN);
SAME(EXPIRED);
SAME(DUPLICATE);
SAME(GAS_LIMIT);
SAME(REVERTED);
SAME(UNSUPPORTED);
SAME(UNAVAILABLE);
SAME(CONFLICT);
SAME(PROTOCOL);
SAME(INTERNAL);
SAME(INVALID_TX);
SAME(STALE);
#undef SAME

const char *ridge_status_name(ridge_status_t status) {
    return rdg_err_name((rdg_err_t)status);
}

const char *ridge_error(ridge_status_t status) {
    return rdg_err_message((rdg_err_t)status);
}

const char *ridge_version(void) {
    return RIDGE_VERSION;
}

void ridge_free(void *p) {
    rdg_free(p);
}

rdg_err_t api_parse(const char *what, const char *text, const char *fallback, json_t **out) {
    *out = NULL;
    return rdg_fail_in(rdg_json_parse(rdg_bytes_str(text ? text : fallback), out), "%s", what);
}

rdg_err_t api_json(json_t *v, char **out) {
    *out = v ? rdg_json_text(v) : NULL;
    json_decref(v);
    return *out ? RDG_OK : rdg_fail(RDG_E_NO_MEMORY, "no memory for the answer as text");
}

rdg_err_t api_bytes(rdg_buf_t *buf, ridge_bytes_t *out) {
    out->data = rdg_buf_take(buf, &out->len);
    return out->data ? RDG_OK : rdg_fail(RDG_E_NO_MEMORY, "no memory for the answer's bytes");
}

static rdg_err_t fixed(const char *what, const char *text, void *out, size_t len) {
    if (text && text[0] == '0' && text[1] == 'x' && rdg_hex_decode(text, strlen(text), out, len) == RDG_OK)
        return RDG_OK;
    return rdg_fail(RDG_E_INVALID, "%s: \"%.80s\": want 0x and %zu hexadecimal digits", what,
                    text ? text : "", 2 * len);
}

rdg_err_t api_address(const char *what, const char *text, rdg_address_t *out) {
    return fixed(what, text, out->b, sizeof out->b);
}

rdg_err_t api_hash(const char *what, const char *text, rdg_hash_t *out) {
    return fixed(what, text, out->b, sizeof out->b);
}

rdg_err_t api_word(const char *what, const char *text, rdg_word_t *out) {
    memset(out, 0, sizeof *out);
    if (!text) return RDG_OK;
    json_t *types = json_pack("[{s:s, s:s}]", "name", what, "type", "uint256"),
           *args = json_pack("[s]", text);
    rdg_buf_t word;
    rdg_buf_init(&word, sizeof out->b);
    rdg_err_t err = types && args ? rdg_abi_encode(types, args, &word) : RDG_E_NO_MEMORY;
    if (err == RDG_OK) memcpy(out->b, word.data, sizeof out->b);
    rdg_buf_fini(&word);
    json_decref(types);
    json_decref(args);
    return err;
}

void api_hex(const void *data, size_t len, char *out) {
    out[0] = '0', out[1] = 'x';
    rdg_hex_encode(data, len, out + 2);
}
