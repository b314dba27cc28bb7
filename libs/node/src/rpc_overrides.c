/* State overrides of eth_call: { address: { balance, nonce, code, state | stateDiff: { slot: value } } }. */
#include "ridge/base/arena.h"
#include "ridge/codec/hex.h"
#include "rpc_internal.h"
#include <string.h>

enum { ACCOUNTS_MAX = 256, SLOTS_MAX = 8192, BYTES_MAX = 4 << 20 };

static rdg_err_t read_slots(const char *what, json_t *slots, rpc_overrides_t *all,
                            rdg_account_override_t *out) {
    const char *key;
    json_t *value;
    size_t count = json_object_size(slots), i = 0;
    if (!json_is_object(slots)) return rdg_fail(RDG_E_INVALID, "override: %s: want an object of slots", what);
    if (count > SLOTS_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "override: %s: at most %d slots", what, SLOTS_MAX);
    rdg_slot_override_t *list = rdg_arena_calloc(&all->arena, count + 1, sizeof *list);
    if (!list) return rdg_fail(RDG_E_TOO_LARGE, "overrides of more than %d bytes", BYTES_MAX);
    json_object_foreach(slots, key, value) {
        json_t *name = json_string(key);
        rdg_err_t err = param_word(name, "override: slot", &list[i].key);
        json_decref(name);
        RDG_TRY(err);
        RDG_TRY(param_word(value, "override: value of a slot", &list[i++].value));
    }
    out->slots = list;
    out->slot_count = count;
    return RDG_OK;
}

static rdg_err_t read_code(const json_t *v, rpc_overrides_t *all, rdg_account_override_t *out) {
    rdg_buf_t code;
    rdg_buf_init(&code, RDG_EVM_INITCODE_MAX);
    rdg_err_t err = param_bytes(v, "override: code", &code);
    void *copy = err == RDG_OK && code.len ? rdg_arena_copy(&all->arena, code.data, code.len) : NULL;
    if (err == RDG_OK && code.len && !copy)
        err = rdg_fail(RDG_E_TOO_LARGE, "overrides of more than %d bytes", BYTES_MAX);
    out->has_code = true;
    out->code = rdg_bytes(copy, code.len);
    rdg_buf_fini(&code);
    return err;
}

static rdg_err_t read_account(const char *address, json_t *o, rpc_overrides_t *all,
                              rdg_account_override_t *out) {
    const char *field;
    json_t *v, *name = json_string(address);
    rdg_err_t err = param_address(name, "override: address", &out->address);
    json_decref(name);
    RDG_TRY(err);
    if (!json_is_object(o)) return rdg_fail(RDG_E_INVALID, "override of %s: want an object", address);
    json_object_foreach(o, field, v) {
        if (strcmp(field, "nonce") == 0) {
            out->has_nonce = true;
            RDG_TRY(rdg_fail_in(rdg_json_quantity_parse(v, &out->nonce), "override: nonce"));
        } else if (strcmp(field, "balance") == 0) {
            out->has_balance = true;
            RDG_TRY(param_word(v, "override: balance", &out->balance));
        } else if (strcmp(field, "code") == 0) {
            RDG_TRY(read_code(v, all, out));
        } else if ((strcmp(field, "state") == 0 || strcmp(field, "stateDiff") == 0) && !out->slots) {
            out->only_slots = strcmp(field, "state") == 0;
            RDG_TRY(read_slots(field, v, all, out));
        } else {
            return rdg_fail(
                RDG_E_INVALID,
                "override: want nonce, balance, code, and one of state and stateDiff, not \"%.40s\"", field);
        }
    }
    return RDG_OK;
}

rdg_err_t rpc_overrides_read(const json_t *o, rpc_overrides_t *out) {
    const char *address;
    json_t *account;
    *out = (rpc_overrides_t){.list = NULL};
    rdg_arena_init(&out->arena, BYTES_MAX);
    if (!o || json_is_null(o)) return RDG_OK;
    if (!json_is_object(o)) return rdg_fail(RDG_E_INVALID, "overrides: want an object of addresses");
    size_t count = json_object_size(o);
    if (count > ACCOUNTS_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "overrides of at most %d accounts", ACCOUNTS_MAX);
    out->list = rdg_arena_calloc(&out->arena, count + 1, sizeof *out->list);
    if (!out->list) return rdg_fail(RDG_E_NO_MEMORY, "no memory for overrides");
    json_object_foreach((json_t *)(uintptr_t)o, address, account)
        RDG_TRY(read_account(address, account, out, &out->list[out->count++]));
    return RDG_OK;
}

void rpc_overrides_fini(rpc_overrides_t *o) {
    rdg_arena_fini(&o->arena);
}
