/* Finding entries of a JSON ABI, their signatures, and calls. */
#include <string.h>

#include "abi_type.h"

#define SIGNATURE_MAX 4096

static rdg_err_t put_types(const json_t *parameters, unsigned depth, rdg_buf_t *out) {
    if (depth > ABI_DEPTH_MAX)
        return rdg_fail(RDG_E_INVALID, "ABI: types nested deeper than %d", ABI_DEPTH_MAX);
    RDG_TRY(rdg_buf_str(out, "("));
    for (size_t i = 0; i < json_array_size(parameters); i++) {
        const json_t *parameter = json_array_get(parameters, i);
        const char *type;
        RDG_TRY(rdg_json_get_str(parameter, "type", &type));
        if (i) RDG_TRY(rdg_buf_str(out, ","));
        if (strncmp(type, "tuple", 5) == 0) {
            RDG_TRY(put_types(json_object_get(parameter, "components"), depth + 1, out));
            type += 5;
        }
        RDG_TRY(rdg_buf_str(out, type));
    }
    return rdg_buf_str(out, ")");
}

rdg_err_t rdg_abi_signature(const json_t *entry, rdg_buf_t *out) {
    const char *name = "";
    if (entry) RDG_TRY(rdg_json_opt_str(entry, "name", &name));
    RDG_TRY(rdg_buf_str(out, name));
    return put_types(json_object_get(entry, "inputs"), 0, out);
}

static bool is_kind(const json_t *entry, const char *kind) {
    const char *type = json_string_value(json_object_get(entry, "type"));
    return strcmp(type ? type : "function", kind) == 0;
}

static bool has_name(const json_t *entry, const char *name) {
    const char *own = json_string_value(json_object_get(entry, "name"));
    return !name || (own && strcmp(own, name) == 0);
}

static bool has_signature(const json_t *entry, const char *signature) {
    rdg_buf_t buf;
    rdg_buf_init(&buf, SIGNATURE_MAX);
    bool same = rdg_abi_signature(entry, &buf) == RDG_OK &&
                rdg_bytes_equal(rdg_buf_view(&buf), rdg_bytes_str(signature));
    rdg_buf_fini(&buf);
    return same;
}

/* The signatures of a kind (of one name, if any has it), for the error's text. */
static void list_entries(const json_t *abi, const char *kind, const char *name, rdg_buf_t *out) {
    const json_t *entry;
    size_t i;
    bool of_name = false;
    json_array_foreach(abi, i, entry) of_name |= is_kind(entry, kind) && has_name(entry, name);
    json_array_foreach(abi, i, entry) {
        if (!is_kind(entry, kind) || (of_name && !has_name(entry, name))) continue;
        if (out->len) rdg_buf_str(out, ", ");
        if (out->len > 300) {
            rdg_buf_str(out, "…");
            return;
        }
        rdg_abi_signature(entry, out);
    }
    if (out->len == 0) rdg_buf_str(out, "none");
}

static rdg_err_t not_found(const json_t *abi, const char *kind, const char *name, size_t arg_count,
                           size_t found) {
    rdg_buf_t list;
    rdg_buf_init(&list, SIGNATURE_MAX);
    list_entries(abi, kind, name, &list);
    const char *text = rdg_buf_cstr(&list);
    rdg_err_t err;
    if (found > 1)
        err = rdg_fail(RDG_E_INVALID, "%s %.80s is overloaded: give its full signature, one of: %.300s", kind,
                       name, text ? text : "");
    else if (arg_count == RDG_ABI_ANY_COUNT)
        err = rdg_fail(RDG_E_NOT_FOUND, "no %s%s%.80s in the ABI: there are %.300s", kind, name ? " " : "",
                       name ? name : "", text ? text : "");
    else
        err = rdg_fail(RDG_E_NOT_FOUND, "no %s%s%.80s with %zu arguments in the ABI: there are %.300s", kind,
                       name ? " " : "", name ? name : "", arg_count, text ? text : "");
    rdg_buf_fini(&list);
    return err;
}

rdg_err_t rdg_abi_find(const json_t *abi, const char *kind, const char *name, size_t arg_count,
                       const json_t **entry) {
    *entry = NULL;
    if (!json_is_array(abi)) return rdg_fail(RDG_E_INVALID, "the ABI is not a JSON array");
    bool by_signature = name && strchr(name, '(');
    size_t found = 0, i;
    const json_t *e;
    json_array_foreach(abi, i, e) {
        if (!is_kind(e, kind)) continue;
        if (by_signature ? !has_signature(e, name) : !has_name(e, name)) continue;
        size_t count = json_array_size(json_object_get(e, "inputs"));
        if (arg_count != RDG_ABI_ANY_COUNT && count != arg_count) continue;
        *entry = e;
        found++;
    }
    if (found == 1) return RDG_OK;
    *entry = NULL;
    /* solc leaves out a constructor that takes nothing. */
    if (!name && found == 0 && strcmp(kind, "constructor") == 0 &&
        (arg_count == 0 || arg_count == RDG_ABI_ANY_COUNT)) {
        json_array_foreach(abi, i, e) if (is_kind(e, kind)) return not_found(abi, kind, name, arg_count, 0);
        return RDG_OK;
    }
    return not_found(abi, kind, name, arg_count, found);
}

rdg_err_t rdg_abi_entry_hash(const json_t *entry, rdg_abi_keccak_t keccak, uint8_t out[32]) {
    rdg_buf_t signature;
    rdg_buf_init(&signature, SIGNATURE_MAX);
    rdg_err_t err = rdg_abi_signature(entry, &signature);
    if (err == RDG_OK) keccak(signature.data, signature.len, out);
    rdg_buf_fini(&signature);
    return err;
}

rdg_err_t rdg_abi_encode_call(const json_t *entry, const json_t *args, rdg_abi_keccak_t keccak,
                              rdg_buf_t *out) {
    if (entry && is_kind(entry, "function")) {
        uint8_t hash[32];
        RDG_TRY(rdg_abi_entry_hash(entry, keccak, hash));
        RDG_TRY(rdg_buf_append(out, hash, 4));
    }
    return rdg_abi_encode(json_object_get(entry, "inputs"), args, out);
}
