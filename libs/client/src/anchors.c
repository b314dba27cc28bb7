/* Entries of the archive registry: kinds, encodings, digests. */
#include "ridge/client/anchors.h"
#include <string.h>
#include "anchor_code.h"
#include "api_internal.h"
#include "ridge/codec/abi.h"
#include "ridge/codec/hex.h"
#include "ridge/crypto/hash.h"

static const char EVENT[] = "Entry(uint64,uint64,uint8,uint64,uint64,bytes32,bytes32,bytes)";
static const char EVENT_DATA[] =
    "uint64 block,uint64 time,bytes32 previous,bytes32 digest,bytes data"; /* what is not indexed */

/* The contract's methods, without the chain that each takes first. */
static const struct {
    const char *name, *params;
} kinds[] = {
    [RDG_ANCHOR_GENESIS] = {"genesis", "bytes32 digest,string name"},
    [RDG_ANCHOR_VALIDATORS] = {"validators", "uint64 epoch,uint64 first_height,bytes32 digest"},
    [RDG_ANCHOR_CHECKPOINT] = {"checkpoint",
                               "uint64 height,bytes32 block,bytes32 executed,bytes32 certificate"},
    [RDG_ANCHOR_ARCHIVE] = {"archive",
                            "uint64 from,uint64 to,uint64 mark_ms,bytes32 manifest,bytes32 content"},
    [RDG_ANCHOR_RECEIPT] = {"receipt", "bytes32 manifest,bytes32 digest"},
    [RDG_ANCHOR_RECOVERY] = {"recovery", "string device,uint64 from,uint64 to,bytes32 reference"},
    [RDG_ANCHOR_DESTRUCTION] = {"destruction", "uint64 height,bool discarded"},
};

const char *rdg_anchor_kind_name(unsigned kind) {
    return kind >= 1 && kind < sizeof kinds / sizeof kinds[0] ? kinds[kind].name : NULL;
}

void rdg_anchor_digest(const rdg_anchor_entry_t *e, uint8_t out[32]) {
    rdg_buf_t b;
    rdg_buf_init(&b, RDG_ANCHOR_DATA_MAX + 128);
    rdg_buf_u64(&b, e->chain);
    rdg_buf_u64(&b, e->index);
    rdg_buf_u8(&b, (uint8_t)e->kind);
    rdg_buf_u64(&b, e->block);
    rdg_buf_u64(&b, e->time_s);
    rdg_buf_append(&b, e->previous, sizeof e->previous);
    rdg_buf_append(&b, e->data.data, e->data.len);
    /* Without memory, what no digest is. */
    memset(out, 0, 32);
    if (rdg_buf_err(&b) == RDG_OK) rdg_keccak256(b.data, b.len, out);
    rdg_buf_fini(&b);
}

static rdg_err_t check_kind(unsigned kind) {
    if (rdg_anchor_kind_name(kind)) return RDG_OK;
    return rdg_fail(RDG_E_INVALID, "the registry has no entries of kind %u", kind);
}

rdg_err_t rdg_anchor_encode_data(rdg_anchor_kind_t kind, const json_t *values, rdg_buf_t *out) {
    json_t *params = NULL;
    RDG_TRY(check_kind(kind));
    RDG_TRY(api_types(kinds[kind].params, &params));
    rdg_err_t err = rdg_abi_encode(params, values, out);
    json_decref(params);
    return rdg_fail_in(err, "entry '%s'", kinds[kind].name);
}

rdg_err_t rdg_anchor_decode_data(rdg_anchor_kind_t kind, rdg_bytes_t data, json_t **out) {
    json_t *params = NULL;
    RDG_TRY(check_kind(kind));
    if (data.len > RDG_ANCHOR_DATA_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "an entry of %zu bytes, at most %d", data.len, RDG_ANCHOR_DATA_MAX);
    RDG_TRY(api_types(kinds[kind].params, &params));
    rdg_err_t err = rdg_abi_decode(params, data, out);
    json_decref(params);
    return rdg_fail_in(err, "entry '%s'", kinds[kind].name);
}

rdg_err_t rdg_anchor_encode_call(rdg_anchor_kind_t kind, uint64_t chain, const json_t *values,
                                 rdg_buf_t *out) {
    char text[160];
    json_t *params = NULL;
    RDG_TRY(check_kind(kind));
    snprintf(text, sizeof text, "uint64 chain,%s", kinds[kind].params);
    RDG_TRY(api_types(text, &params));
    json_t *entry =
        json_pack("{s:s, s:s, s:o}", "type", "function", "name", kinds[kind].name, "inputs", params);
    json_t *all = json_pack("[I]", (json_int_t)chain);
    rdg_err_t err = entry && all && json_array_extend(all, (json_t *)(uintptr_t)values) == 0
                        ? rdg_abi_encode_call(entry, all, rdg_keccak256, out)
                        : rdg_fail(RDG_E_NO_MEMORY, "no memory for an entry");
    json_decref(entry);
    json_decref(all);
    return rdg_fail_in(err, "entry '%s'", kinds[kind].name);
}

/* --- the event ----------------------------------------------------------------------------------------------------- */

void rdg_anchor_topic(uint8_t out[32]) {
    rdg_keccak256(EVENT, sizeof EVENT - 1, out);
}

static rdg_err_t topic(const json_t *log, size_t i, uint8_t out[32]) {
    const char *hex = json_string_value(json_array_get(json_object_get(log, "topics"), i));
    return hex ? rdg_hex_decode(hex, strlen(hex), out, 32)
               : rdg_fail(RDG_E_MALFORMED, "a log has no topic %zu", i);
}

static rdg_err_t topic_number(const json_t *log, size_t i, uint64_t *out) {
    uint8_t word[32];
    static const uint8_t zero[24];
    RDG_TRY(topic(log, i, word));
    if (memcmp(word, zero, sizeof zero) != 0) return rdg_fail(RDG_E_MALFORMED, "a topic is too large");
    *out = rdg_load_be64(word + 24);
    return RDG_OK;
}

static rdg_err_t take_values(const json_t *values, rdg_buf_t *data, rdg_anchor_entry_t *out) {
    const char *hex = json_string_value(json_object_get(values, "data"));
    uint64_t block, time;
    RDG_TRY(rdg_json_get_u64(values, "block", &block));
    RDG_TRY(rdg_json_get_u64(values, "time", &time));
    RDG_TRY(rdg_json_get_hex(values, "previous", out->previous, sizeof out->previous));
    if (!hex) return rdg_fail(RDG_E_MALFORMED, "an entry has no data");
    RDG_TRY(rdg_hex_decode_buf(hex, strlen(hex), data));
    out->block = block;
    out->time_s = time;
    out->data = rdg_buf_view(data);
    return RDG_OK;
}

rdg_err_t rdg_anchor_read_log(const json_t *log, rdg_buf_t *data, rdg_anchor_entry_t *out) {
    uint8_t wanted[32], got[32];
    uint64_t kind;
    json_t *params = NULL, *values = NULL;
    rdg_buf_t raw;
    const char *hex = json_string_value(json_object_get(log, "data"));
    memset(out, 0, sizeof *out);
    rdg_anchor_topic(wanted);
    if (!hex || topic(log, 0, got) != RDG_OK || memcmp(got, wanted, sizeof got) != 0)
        return rdg_fail(RDG_E_NOT_FOUND, "a log is no entry of the registry");
    RDG_TRY(topic_number(log, 1, &out->chain));
    RDG_TRY(topic_number(log, 2, &out->index));
    RDG_TRY(topic_number(log, 3, &kind));
    RDG_TRY(check_kind(kind < 256 ? (unsigned)kind : 0));
    out->kind = (rdg_anchor_kind_t)kind;
    rdg_buf_init(&raw, 4 * RDG_ANCHOR_DATA_MAX);
    rdg_err_t err = rdg_hex_decode_buf(hex, strlen(hex), &raw);
    if (err == RDG_OK) err = api_types(EVENT_DATA, &params);
    if (err == RDG_OK) err = rdg_abi_decode(params, rdg_buf_view(&raw), &values);
    if (err == RDG_OK) err = take_values(values, data, out);
    json_decref(params);
    json_decref(values);
    rdg_buf_fini(&raw);
    return err;
}

/* --- the contract -------------------------------------------------------------------------------------------------- */

rdg_err_t rdg_anchor_address(const rdg_genesis_t *main_chain, rdg_address_t *out) {
    if (main_chain->admin_count == 0)
        return rdg_fail(RDG_E_INVALID, "the genesis of '%s' names no administrator: it is no main chain's",
                        main_chain->name);
    rdg_evm_create_address(&main_chain->admins[0], 0, out);
    return RDG_OK;
}

rdg_err_t rdg_anchor_init_code(rdg_buf_t *out) {
    return rdg_hex_decode_buf(anchor_init_code, strlen(anchor_init_code), out);
}

void rdg_anchor_code_hash(uint8_t out[32]) {
    rdg_buf_t code;
    rdg_buf_init(&code, strlen(anchor_code));
    memset(out, 0, 32);
    if (rdg_hex_decode_buf(anchor_code, strlen(anchor_code), &code) == RDG_OK)
        rdg_keccak256(code.data, code.len, out);
    rdg_buf_fini(&code);
}
