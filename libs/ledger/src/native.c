#include "native.h"
#include <string.h>
#include "ridge/codec/abi.h"
#include "ridge/crypto/hash.h"
#include "word.h"

enum { GAS_LOG = 375, GAS_LOG_BYTE = 8, SIGNATURE_MAX = 160 };

/* One "type name" of the list. */
static json_t *param_json(const char *text, size_t len) {
    const char *space = memchr(text, ' ', len);
    size_t type = (size_t)(space - text);
    return json_pack("{s:s%, s:s%}", "type", text, type, "name", space + 1, len - type - 1);
}

json_t *native_params_json(const char *text) {
    json_t *list = json_array();
    while (list && *text) {
        size_t len = strcspn(text, ",");
        if (json_array_append_new(list, param_json(text, len)) != 0) {
            json_decref(list);
            return NULL;
        }
        text += len + (text[len] == ',');
    }
    return list;
}

/* "addValidator(bytes,string,…)": the types alone. */
static void hash_signature(const char *name, const char *inputs, uint8_t digest[32]) {
    char text[SIGNATURE_MAX];
    size_t n = (size_t)snprintf(text, sizeof text, "%s(", name);
    for (const char *p = inputs; *p;) {
        size_t type = strcspn(p, " "), all = strcspn(p, ",");
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%.*s", p == inputs ? "" : ",", (int)type, p);
        p += all + (p[all] == ',');
    }
    n += (size_t)snprintf(text + n, sizeof text - n, ")");
    rdg_keccak256(text, n, digest);
}

bool native_is_method(const char *name, const char *inputs, rdg_bytes_t data) {
    uint8_t digest[32];
    hash_signature(name, inputs, digest);
    return data.len >= 4 && memcmp(digest, data.data, 4) == 0;
}

rdg_err_t native_selector(const char *name, const char *inputs, rdg_buf_t *out) {
    uint8_t digest[32];
    hash_signature(name, inputs, digest);
    return rdg_buf_append(out, digest, 4);
}

rdg_err_t native_decode(const char *inputs, rdg_bytes_t arguments, json_t **args) {
    json_t *types = native_params_json(inputs);
    if (!types) return RDG_E_NO_MEMORY;
    rdg_err_t err = rdg_abi_decode(types, arguments, args);
    json_decref(types);
    return err;
}

rdg_err_t native_encode(const char *types, const json_t *values, rdg_buf_t *out) {
    json_t *list = native_params_json(types);
    rdg_err_t err = list && values ? rdg_abi_encode(list, values, out) : RDG_E_NO_MEMORY;
    json_decref(list);
    return err;
}

rdg_err_t native_reason(const char *why, rdg_buf_t *out) {
    static const uint8_t selector[4] = {0x08, 0xc3, 0x79, 0xa0};
    json_t *args = json_pack("[s]", why);
    rdg_err_t err = rdg_buf_append(out, selector, sizeof selector);
    if (err == RDG_OK) err = native_encode("string reason", args, out);
    json_decref(args);
    return err;
}

rdg_err_t native_emit(state_t *s, const native_event_t *event, json_t *args, uint64_t *gas) {
    rdg_evm_log_t log = {.address = *event->from, .topic_count = 1 + event->indexed_count};
    rdg_buf_t data;
    rdg_buf_init(&data, NATIVE_RETURN_MAX);
    rdg_err_t err = native_encode(event->params, args, &data);
    log.data = rdg_buf_view(&data);
    rdg_keccak256(event->signature, strlen(event->signature), log.topics[0].b);
    for (uint32_t i = 0; i < event->indexed_count; ++i) log.topics[1 + i] = event->indexed[i];
    *gas += GAS_LOG * (1 + (uint64_t)log.topic_count) + GAS_LOG_BYTE * data.len;
    if (err == RDG_OK) err = state_log(s, &log);
    rdg_buf_fini(&data);
    json_decref(args);
    return err;
}

uint64_t native_u64(const json_t *args, const char *name) {
    const json_t *v = json_object_get(args, name);
    return json_is_integer(v) && json_integer_value(v) >= 0 ? (uint64_t)json_integer_value(v) : UINT64_MAX;
}

uint32_t native_u32(const json_t *args, const char *name) {
    uint64_t v = native_u64(args, name);
    return v < UINT32_MAX ? (uint32_t)v : UINT32_MAX;
}

const char *native_text(const json_t *args, const char *name) {
    const json_t *v = json_object_get(args, name);
    const char *text = json_string_value(v);
    return text && strlen(text) == json_string_length(v) ? text : "";
}
