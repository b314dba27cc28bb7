/* What contracts say back: event logs and reasons of a revert. */
#include <inttypes.h>
#include <string.h>

#include "abi_type.h"
#include "ridge/codec/hex.h"

static bool is_static_word(const abi_type_t *t) {
    return !t->dynamic && t->kind != ABI_TUPLE && t->kind != ABI_FIXED_ARRAY;
}

/* The parameters that are not indexed, in order: what the data holds. Returns owned. */
static json_t *unindexed(const json_t *inputs) {
    json_t *list = json_array();
    for (size_t i = 0; list && i < json_array_size(inputs); i++) {
        json_t *p = json_array_get(inputs, i);
        if (!json_is_true(json_object_get(p, "indexed")) && json_array_append(list, p) != 0) {
            json_decref(list);
            list = NULL;
        }
    }
    return list;
}

static rdg_err_t indexed_value(const abi_type_t *t, const uint8_t topic[32], json_t **out) {
    if (is_static_word(t)) return rdg_abi_decode_word(t, topic, out);
    *out = rdg_json_hex(topic, 32); /* its Keccak-256 is all there is */
    return *out ? RDG_OK : RDG_E_NO_MEMORY;
}

/* Puts topics and decoded data together in the order of the parameters. */
static rdg_err_t merge(const json_t *inputs, const abi_type_t *all, const uint8_t (*topics)[32],
                       const json_t *data, json_t *args) {
    size_t topic = 0, plain = 0;
    for (size_t i = 0; i < all->count; i++) {
        const abi_type_t *t = &all->children[i];
        json_t *v = NULL;
        if (json_is_true(json_object_get(json_array_get(inputs, i), "indexed"))) {
            RDG_TRY(indexed_value(t, topics[topic++], &v));
        } else {
            v = json_incref(json_is_object(data) ? json_object_get(data, t->name)
                                                 : json_array_get(data, plain));
            plain++;
        }
        int failed = all->named ? json_object_set_new(args, t->name, v) : json_array_append_new(args, v);
        if (failed) return rdg_fail(RDG_E_NO_MEMORY, "event: out of memory");
    }
    return RDG_OK;
}

static rdg_err_t decode_event(const json_t *event, const uint8_t (*topics)[32], rdg_bytes_t data,
                              json_t **out) {
    const json_t *inputs = json_object_get(event, "inputs");
    rdg_arena_t arena;
    rdg_arena_init(&arena, ABI_TYPE_ARENA_MAX);
    abi_type_t all;
    json_t *plain = unindexed(inputs), *values = NULL, *args = NULL;
    rdg_err_t err = plain ? rdg_abi_tuple_parse(&arena, inputs, 0, &all) : RDG_E_NO_MEMORY;
    if (err == RDG_OK) err = rdg_abi_decode(plain, data, &values);
    if (err == RDG_OK) {
        args = all.named || all.count == 0 ? json_object() : json_array();
        err = args ? merge(inputs, &all, topics, values, args) : RDG_E_NO_MEMORY;
    }
    if (err == RDG_OK) {
        *out = json_pack("{s:O, s:O}", "event", json_object_get(event, "name"), "args", args);
        if (!*out) err = rdg_fail(RDG_E_NO_MEMORY, "event: out of memory");
    }
    json_decref(args);
    json_decref(values);
    json_decref(plain);
    rdg_arena_fini(&arena);
    return err;
}

static size_t indexed_count(const json_t *inputs) {
    size_t n = 0;
    for (size_t i = 0; i < json_array_size(inputs); i++)
        n += json_is_true(json_object_get(json_array_get(inputs, i), "indexed"));
    return n;
}

static bool is_entry(const json_t *entry, const char *kind) {
    const char *type = json_string_value(json_object_get(entry, "type"));
    return type && strcmp(type, kind) == 0 && json_is_string(json_object_get(entry, "name"));
}

rdg_err_t rdg_abi_decode_log(const json_t *abi, const uint8_t (*topics)[32], size_t topic_count,
                             rdg_bytes_t data, rdg_abi_keccak_t keccak, json_t **out) {
    *out = NULL;
    const json_t *entry;
    size_t i;
    json_array_foreach(abi, i, entry) {
        uint8_t hash[32];
        if (topic_count == 0 || !is_entry(entry, "event") ||
            json_is_true(json_object_get(entry, "anonymous")))
            continue;
        if (indexed_count(json_object_get(entry, "inputs")) != topic_count - 1) continue;
        RDG_TRY(rdg_abi_entry_hash(entry, keccak, hash));
        if (memcmp(hash, topics[0], 32) == 0) return decode_event(entry, topics + 1, data, out);
    }
    return rdg_fail(RDG_E_NOT_FOUND, "the log is of no event in the ABI");
}

/* --- reverts ------------------------------------------------------------------------------------- */

static const char *panic_text(uint64_t code) {
    static const struct {
        uint64_t code;
        const char *text;
    } known[] = {{0x01, "an assertion failed"},
                 {0x11, "arithmetic overflow or underflow"},
                 {0x12, "division by zero"},
                 {0x21, "a value out of its enumeration"},
                 {0x22, "a storage byte array is wrongly encoded"},
                 {0x31, "pop from an empty array"},
                 {0x32, "an index out of bounds"},
                 {0x41, "too much memory"},
                 {0x51, "a call of an uninitialised function"}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (known[i].code == code) return known[i].text;
    return "unknown reason";
}

/* A parameter list of one type, for the two errors that every contract has. */
static rdg_err_t decode_single(const char *type, rdg_bytes_t data, json_t **list) {
    json_t *outputs = json_pack("[{s:s}]", "type", type);
    rdg_err_t err = outputs ? rdg_abi_decode(outputs, data, list) : RDG_E_NO_MEMORY;
    json_decref(outputs);
    return err;
}

static rdg_err_t custom_error(const json_t *entry, rdg_bytes_t data, rdg_buf_t *out) {
    json_t *args = NULL;
    RDG_TRY(rdg_abi_decode(json_object_get(entry, "inputs"), data, &args));
    rdg_buf_str(out, json_string_value(json_object_get(entry, "name")));
    rdg_json_dump(args, out);
    json_decref(args);
    return rdg_buf_err(out);
}

/* NOT_FOUND or MALFORMED when the data tells nothing that is known. */
static rdg_err_t known_reason(const json_t *abi, rdg_bytes_t data, rdg_abi_keccak_t keccak, rdg_buf_t *out) {
    if (data.len < 4) return RDG_E_NOT_FOUND;
    const rdg_bytes_t body = rdg_bytes(data.data + 4, data.len - 4);
    uint32_t selector = rdg_load_be32(data.data);
    json_t *list = NULL;
    if (selector == 0x08c379a0) { /* Error(string) */
        RDG_TRY(decode_single("string", body, &list));
        rdg_buf_str(out, json_string_value(json_array_get(list, 0)));
        json_decref(list);
        return rdg_buf_err(out);
    }
    if (selector == 0x4e487b71) { /* Panic(uint256) */
        RDG_TRY(decode_single("uint64", body, &list));
        uint64_t code = (uint64_t)json_integer_value(json_array_get(list, 0));
        json_decref(list);
        return rdg_buf_printf(out, "panic 0x%02" PRIx64 ": %s", code, panic_text(code));
    }
    const json_t *entry;
    size_t i;
    json_array_foreach(abi, i, entry) {
        uint8_t hash[32];
        if (!is_entry(entry, "error") || rdg_abi_entry_hash(entry, keccak, hash) != RDG_OK) continue;
        if (memcmp(hash, data.data, 4) == 0) return custom_error(entry, body, out);
    }
    return RDG_E_NOT_FOUND;
}

rdg_err_t rdg_abi_decode_revert(const json_t *abi, rdg_bytes_t data, rdg_abi_keccak_t keccak,
                                rdg_buf_t *out) {
    if (data.len == 0) return rdg_buf_str(out, "reverted without a reason");
    rdg_err_t err = known_reason(abi, data, keccak, out);
    if (err != RDG_E_NOT_FOUND && err != RDG_E_MALFORMED) return err;
    const size_t shown = data.len < 68 ? data.len : 68;
    RDG_TRY(rdg_buf_str(out, "reverted with data "));
    RDG_TRY(rdg_hex_append(out, data.data, shown, true));
    return shown < data.len ? rdg_buf_str(out, "…") : RDG_OK;
}
