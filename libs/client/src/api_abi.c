#include <string.h>
#include "api_internal.h"
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/codec/abi.h"
#include "ridge/codec/hex.h"

#define DATA_MAX (8u << 20)
#define ARTEFACT_MAX (4u << 20)

/* As api_parse, but strings may hold zero bytes, which Solidity's may as well. */
static rdg_err_t parse_args(const char *text, json_t **out) {
    json_error_t error;
    size_t len = text ? strlen(text) : 0;
    if (len > RDG_JSON_TEXT_MAX) return rdg_fail(RDG_E_TOO_LARGE, "arguments: %zu bytes of JSON", len);
    *out = text ? json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error) : json_array();
    if (*out) return RDG_OK;
    if (!text || json_error_code(&error) == json_error_out_of_memory)
        return rdg_fail(RDG_E_NO_MEMORY, "no memory for arguments");
    return rdg_fail(RDG_E_MALFORMED, "arguments: JSON: line %d, column %d: %s", error.line, error.column,
                    error.text);
}

ridge_status_t ridge_abi_encode(const char *types, const char *args, ridge_bytes_t *out) {
    json_t *params = NULL, *values = NULL;
    rdg_buf_t data;
    *out = (ridge_bytes_t){0};
    rdg_buf_init(&data, DATA_MAX);
    rdg_err_t err = api_types(types, &params);
    if (err == RDG_OK) err = parse_args(args, &values);
    if (err == RDG_OK) err = rdg_abi_encode(params, values, &data);
    if (err == RDG_OK) err = rdg_buf_reserve(&data, 1); /* no arguments are no bytes, yet an owned pointer */
    if (err == RDG_OK) err = api_bytes(&data, out);
    rdg_buf_fini(&data);
    json_decref(params);
    json_decref(values);
    return err;
}

ridge_status_t ridge_abi_decode(const char *types, const uint8_t *data, size_t len, char **json) {
    json_t *params = NULL, *values = NULL;
    *json = NULL;
    rdg_err_t err = api_types(types, &params);
    if (err == RDG_OK) err = rdg_abi_decode(params, rdg_bytes(data, len), &values);
    json_decref(params);
    return err == RDG_OK ? api_json(values, json) : err;
}

/* --- a contract's ABI -------------------------------------------------------------------------------------------- */

static rdg_err_t take_bytecode(const json_t *artefact, ridge_abi_t *abi) {
    const json_t *code = json_object_get(artefact, "bytecode");
    if (json_is_object(code)) code = json_object_get(code, "object"); /* as solc's own output has it */
    if (!json_is_string(code)) return RDG_OK;
    return rdg_fail_in(rdg_hex_decode_buf(json_string_value(code), json_string_length(code), &abi->bytecode),
                       "bytecode");
}

/* Takes root. */
static rdg_err_t fill(json_t *root, ridge_abi_t *abi) {
    json_t *list = json_is_array(root) ? root : json_object_get(root, "abi");
    rdg_err_t err =
        json_is_array(list)
            ? take_bytecode(root, abi)
            : rdg_fail(RDG_E_INVALID, "an ABI is a JSON array, or an object with \"abi\" and \"bytecode\"");
    if (err == RDG_OK) abi->abi = json_incref(list);
    json_decref(root);
    return err;
}

ridge_status_t ridge_abi_new(const char *json, ridge_abi_t **out) {
    json_t *root = NULL;
    *out = NULL;
    RDG_TRY(api_parse("ABI", json, "", &root));
    ridge_abi_t *abi = rdg_calloc(1, sizeof *abi);
    if (!abi) {
        json_decref(root);
        return rdg_fail(RDG_E_NO_MEMORY, "no memory for an ABI");
    }
    rdg_buf_init(&abi->bytecode, RDG_EVM_INITCODE_MAX);
    rdg_err_t err = fill(root, abi);
    if (err == RDG_OK)
        *out = abi;
    else
        ridge_abi_free(abi);
    return err;
}

ridge_status_t ridge_abi_load(const char *path, ridge_abi_t **out) {
    rdg_buf_t text;
    *out = NULL;
    rdg_buf_init(&text, ARTEFACT_MAX);
    rdg_err_t err = rdg_file_read(path, &text);
    const char *json = err == RDG_OK ? rdg_buf_cstr(&text) : NULL;
    if (err == RDG_OK) err = json ? rdg_fail_in(ridge_abi_new(json, out), "%s", path) : RDG_E_NO_MEMORY;
    rdg_buf_fini(&text);
    return err;
}

void ridge_abi_free(ridge_abi_t *abi) {
    if (!abi) return;
    json_decref(abi->abi);
    rdg_buf_fini(&abi->bytecode);
    rdg_free(abi);
}

static rdg_err_t encode_entry(const ridge_abi_t *abi, const char *method, const char *args, rdg_buf_t *out) {
    json_t *values = NULL;
    const json_t *entry;
    RDG_TRY(parse_args(args, &values));
    rdg_err_t err =
        rdg_abi_find(abi->abi, method ? "function" : "constructor", method,
                     json_is_array(values) && method ? json_array_size(values) : RDG_ABI_ANY_COUNT, &entry);
    if (err == RDG_OK) err = rdg_abi_encode_call(entry, values, rdg_keccak256, out);
    json_decref(values);
    return err;
}

ridge_status_t ridge_abi_encode_call(const ridge_abi_t *abi, const char *method, const char *args,
                                     ridge_bytes_t *out) {
    rdg_buf_t data;
    *out = (ridge_bytes_t){0};
    if (!method) return rdg_fail(RDG_E_INVALID, "a method's name is wanted");
    rdg_buf_init(&data, DATA_MAX);
    rdg_err_t err = encode_entry(abi, method, args, &data);
    if (err == RDG_OK) err = api_bytes(&data, out);
    rdg_buf_fini(&data);
    return err;
}

ridge_status_t ridge_abi_encode_deploy(const ridge_abi_t *abi, const char *args, ridge_bytes_t *out) {
    rdg_buf_t data;
    *out = (ridge_bytes_t){0};
    if (abi->bytecode.len == 0)
        return rdg_fail(RDG_E_INVALID,
                        "the ABI came without bytecode: give an artefact with \"abi\" and \"bytecode\"");
    rdg_buf_init(&data, DATA_MAX);
    rdg_err_t err = rdg_buf_append(&data, abi->bytecode.data, abi->bytecode.len);
    if (err == RDG_OK) err = encode_entry(abi, NULL, args, &data);
    if (err == RDG_OK) err = api_bytes(&data, out);
    rdg_buf_fini(&data);
    return err;
}

ridge_status_t ridge_abi_decode_result(const ridge_abi_t *abi, const char *method, const uint8_t *data,
                                       size_t len, char **json) {
    const json_t *entry;
    json_t *values = NULL;
    *json = NULL;
    RDG_TRY(rdg_abi_find(abi->abi, "function", method, RDG_ABI_ANY_COUNT, &entry));
    RDG_TRY(rdg_abi_decode(json_object_get(entry, "outputs"), rdg_bytes(data, len), &values));
    return api_json(values, json);
}

ridge_status_t ridge_abi_decode_event(const ridge_abi_t *abi, const uint8_t *topics, size_t topic_count,
                                      const uint8_t *data, size_t len, char **json) {
    uint8_t copy[4][32];
    json_t *event = NULL;
    *json = NULL;
    if (topic_count > 4) return rdg_fail(RDG_E_INVALID, "a log has at most 4 topics");
    if (topic_count) memcpy(copy, topics, topic_count * sizeof copy[0]);
    RDG_TRY(rdg_abi_decode_log(abi->abi, copy, topic_count, rdg_bytes(data, len), rdg_keccak256, &event));
    return api_json(event, json);
}

ridge_status_t ridge_abi_decode_error(const ridge_abi_t *abi, const uint8_t *data, size_t len, char **text) {
    rdg_buf_t out;
    size_t ignored;
    *text = NULL;
    rdg_buf_init(&out, DATA_MAX);
    rdg_err_t err = rdg_abi_decode_revert(abi ? abi->abi : NULL, rdg_bytes(data, len), rdg_keccak256, &out);
    if (err == RDG_OK && !(*text = (char *)rdg_buf_take(&out, &ignored))) err = RDG_E_NO_MEMORY;
    rdg_buf_fini(&out);
    return err;
}

rdg_err_t api_reverted(const ridge_abi_t *abi, rdg_bytes_t data) {
    char *text = NULL;
    RDG_TRY(ridge_abi_decode_error(abi, data.data, data.len, &text));
    rdg_fail(RDG_E_REVERTED, "%s", text);
    rdg_free(text);
    return RDG_E_REVERTED;
}
