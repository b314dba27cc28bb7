#include "registry_world.h"
#include <stdio.h>
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/codec/abi.h"
#include "ridge/codec/hex.h"
#include "ridge/codec/rlp.h"
#include "ridge/crypto/hash.h"

static json_t *load_artefact(const char *name) {
    char path[1024];
    rdg_buf_t text;
    json_t *out = NULL;
    snprintf(path, sizeof path, "%s/%s.json", RIDGE_CONTRACT_ARTIFACTS, name);
    rdg_buf_init(&text, 1 << 20);
    CHECK_OK(rdg_file_read(path, &text));
    CHECK_OK(rdg_json_parse(rdg_buf_view(&text), &out));
    rdg_buf_fini(&text);
    return out;
}

static void open_ledger(world_t *w, const char *name, unsigned threads, bool fresh) {
    char path[600];
    rdg_ledger_options_t options = {.execution_threads = threads};
    CHECK_OK(rdg_path_join(path, sizeof path, rdg_test_dir(), name));
    if (fresh && rdg_file_exists(path)) CHECK_OK(rdg_tree_remove(path, NULL));
    CHECK_OK(rdg_ledger_open(path, &w->genesis, &options, &w->l));
}

void world_init(world_t *w, unsigned threads) {
    char name[16];
    memset(w, 0, sizeof *w);
    w->artefact = load_artefact("Registry");
    w->abi = json_object_get(w->artefact, "abi");
    w->governance = load_artefact("Governance");
    w->governance_abi = json_object_get(w->governance, "abi");
    support_genesis(&w->genesis);
    w->genesis.admin_count = 1;
    w->genesis.admins[0] = support_address(ADMIN);
    rdg_buf_t text;
    rdg_buf_init(&text, RDG_GENESIS_BYTES_MAX);
    CHECK_OK(rdg_genesis_format(&w->genesis, &text));
    rdg_buf_fini(&text);
    snprintf(name, sizeof name, "r%u", threads);
    open_ledger(w, name, threads, true);
}

void world_reopen(world_t *w) {
    rdg_ledger_close(w->l);
    open_ledger(w, "r1", 1, false);
}

void world_fini(world_t *w) {
    rdg_ledger_close(w->l);
    json_decref(w->artefact);
    json_decref(w->governance);
    json_decref(w->events);
}

/* --- code -------------------------------------------------------------------------------------------------------- */

code_t code_hex(const char *hex) {
    code_t c = {.len = strlen(hex) / 2};
    CHECK(c.len <= sizeof c.b);
    CHECK_OK(rdg_hex_decode(hex, strlen(hex), c.b, c.len));
    return c;
}

code_t code_store(void) {
    return code_hex("36600c575f545f5260205ff35b5f355f5500");
}

code_t code_forward(rdg_evm_kind_t kind) {
    static const char *const operation[] = {[RDG_EVM_CALL] = "f1",
                                            [RDG_EVM_CALLCODE] = "f2",
                                            [RDG_EVM_DELEGATECALL] = "f4",
                                            [RDG_EVM_STATICCALL] = "fa"};
    bool value = kind == RDG_EVM_CALL || kind == RDG_EVM_CALLCODE;
    char hex[200];
    snprintf(hex, sizeof hex,
             "6020360380"
             "60205f37"
             "5f5f91"
             "5f%s"
             "5f35"
             "5a%s"
             "3d5f5f3e"
             "60%s57"
             "3d5ffd"
             "5b3d5ff3",
             value ? "5f" : "", operation[kind], value ? "1c" : "1b");
    return code_hex(hex);
}

code_t code_init(const code_t *prologue, const code_t *runtime) {
    code_t c = {.len = 0};
    size_t before = prologue ? prologue->len : 0;
    uint8_t tail[] = {0x60, (uint8_t)runtime->len, 0x80, 0x60, (uint8_t)(before + 9), 0x5f, 0x39, 0x5f, 0xf3};
    CHECK(runtime->len < 256 && before + 9 < 256);
    if (before) memcpy(c.b, prologue->b, before);
    memcpy(c.b + before, tail, sizeof tail);
    memcpy(c.b + before + sizeof tail, runtime->b, runtime->len);
    c.len = before + sizeof tail + runtime->len;
    return c;
}

/* --- transactions -------------------------------------------------------------------------------------------------- */

uint64_t height_of(const world_t *w) {
    rdg_ledger_head_t head;
    rdg_ledger_head(w->l, &head);
    return head.height;
}

rdg_word_t word(uint64_t v) {
    rdg_word_t out = {{0}};
    rdg_store_be64(out.b + 24, v);
    return out;
}

json_t *address_json(const rdg_address_t *a) {
    return rdg_json_hex(a->b, sizeof a->b);
}

static void encode_by(const json_t *abi, const char *method, json_t *args, rdg_buf_t *out) {
    const json_t *entry = NULL;
    CHECK_OK(rdg_abi_find(abi, "function", method, json_array_size(args), &entry));
    CHECK_OK(rdg_abi_encode_call(entry, args, rdg_keccak256, out));
    json_decref(args);
}

void encode(world_t *w, const char *method, json_t *args, rdg_buf_t *out) {
    encode_by(w->abi, method, args, out);
}

static void keep_revert(world_t *w, rdg_bytes_t output) {
    rdg_buf_t why;
    rdg_buf_init(&why, sizeof w->revert);
    snprintf(w->revert, sizeof w->revert, "nothing was said");
    if (output.len >= 4 && rdg_abi_decode_revert(w->abi, output, rdg_keccak256, &why) == RDG_OK)
        snprintf(w->revert, sizeof w->revert, "%s", rdg_buf_cstr(&why));
    rdg_buf_fini(&why);
}

static void keep_events(world_t *w, const rdg_receipt_t *r) {
    json_decref(w->events);
    w->events = json_array();
    for (size_t i = 0; i < r->log_count; ++i) {
        json_t *decoded = NULL;
        const rdg_log_entry_t *log = &r->logs[i];
        const uint8_t(*topics)[32] = (const void *)log->topics;
        bool ours = rdg_address_equal(&log->address, &RDG_REGISTRY_ADDRESS);
        const json_t *abi = ours ? w->abi : w->governance_abi;
        if (rdg_abi_decode_log(abi, topics, log->topic_count, log->data, rdg_keccak256, &decoded) == RDG_OK)
            json_array_append_new(w->events, decoded);
    }
}

const json_t *event(const world_t *w, const char *name) {
    const json_t *e;
    size_t i;
    json_array_foreach(w->events, i, e) {
        if (!strcmp(json_string_value(json_object_get(e, "event")), name)) return json_object_get(e, "args");
    }
    return NULL;
}

static void with_receipts(world_t *w,
                          void (*visit)(world_t *w, void *ctx, uint32_t i, const rdg_receipt_t *r),
                          void *ctx) {
    rdg_rlp_t outer, list;
    rdg_buf_t raw;
    rdg_arena_t arena;
    rdg_receipt_t r;
    rdg_buf_init(&raw, 8 << 20);
    rdg_arena_init(&arena, 8 << 20);
    CHECK_OK(rdg_ledger_receipts(w->l, height_of(w), &raw));
    rdg_rlp_init(&outer, rdg_buf_view(&raw));
    CHECK_OK(rdg_rlp_list(&outer, &list));
    for (uint32_t i = 0; rdg_rlp_more(&list); ++i) {
        CHECK_OK(rdg_receipt_decode(rdg_rlp_raw(&list), &arena, &r));
        visit(w, ctx, i, &r);
    }
    rdg_buf_fini(&raw);
    rdg_arena_fini(&arena);
}

typedef struct outcome {
    bool ok;
    rdg_address_t created;
} outcome_t;

static void take_outcome(world_t *w, void *ctx, uint32_t i, const rdg_receipt_t *r) {
    outcome_t *o = ctx;
    CHECK_EQ(i, 0);
    w->revert[0] = 0;
    if (!r->success) keep_revert(w, r->output);
    keep_events(w, r);
    w->gas_used = r->gas_used;
    *o = (outcome_t){.ok = r->success, .created = r->contract};
}

void batch(world_t *w, uint8_t from, const rdg_address_t *to, rdg_bytes_t data, uint64_t gas) {
    CHECK(w->batched < BATCH_MAX);
    w->batch[w->batched++] = support_tx((tx_spec_t){.from = from,
                                                    .to = to,
                                                    .create = to == NULL,
                                                    .nonce = ++w->nonce,
                                                    .gas = gas,
                                                    .valid_until = height_of(w) + 100,
                                                    .data = data});
}

rdg_err_t flush_executed(world_t *w, rdg_executed_t *out) {
    uint32_t count = w->batched;
    w->batched = 0;
    return support_apply(w->l, w->batch, count, out);
}

static void take_success(world_t *w, void *ctx, uint32_t i, const rdg_receipt_t *r) {
    ((bool *)ctx)[i] = r->success;
    w->revert[0] = 0;
    if (!r->success) keep_revert(w, r->output);
}

void flush(world_t *w, bool *succeeded) {
    CHECK_OK(flush_executed(w, NULL));
    with_receipts(w, take_success, succeeded);
}

static outcome_t transact(world_t *w, uint8_t from, const rdg_address_t *to, rdg_bytes_t data) {
    outcome_t o;
    batch(w, from, to, data, 20000000);
    CHECK_OK(flush_executed(w, NULL));
    with_receipts(w, take_outcome, &o);
    return o;
}

bool send(world_t *w, uint8_t from, const rdg_address_t *to, rdg_bytes_t data) {
    return transact(w, from, to, data).ok;
}

static bool method_to(world_t *w, uint8_t from, const rdg_address_t *to, const json_t *abi,
                      const char *method, json_t *args) {
    rdg_buf_t data;
    rdg_buf_init(&data, 1 << 20);
    encode_by(abi, method, args, &data);
    bool ok = send(w, from, to, rdg_buf_view(&data));
    rdg_buf_fini(&data);
    return ok;
}

bool change(world_t *w, uint8_t from, const char *method, json_t *args) {
    return method_to(w, from, &RDG_REGISTRY_ADDRESS, w->abi, method, args);
}

bool govern(world_t *w, uint8_t from, const char *method, json_t *args) {
    return method_to(w, from, &RDG_GOVERNANCE_ADDRESS, w->governance_abi, method, args);
}

bool deploy(world_t *w, uint8_t from, const char *method, const char *name, const code_t *init,
            rdg_address_t *created) {
    rdg_buf_t data;
    rdg_hash_t digest = {{0xab}};
    rdg_address_t sender = support_address(from), expected;
    rdg_buf_init(&data, 1 << 20);
    encode(w, method,
           json_pack("[s, o, o]", name, rdg_json_hex(init->b, init->len), rdg_json_hex(digest.b, 32)), &data);
    outcome_t o = transact(w, from, &RDG_REGISTRY_ADDRESS, rdg_buf_view(&data));
    rdg_evm_create_address(&sender, w->nonce, &expected);
    if (o.ok) CHECK(rdg_address_equal(&o.created, &expected));
    if (created) *created = o.created;
    rdg_buf_fini(&data);
    return o.ok;
}

bool create(world_t *w, uint8_t from, const code_t *init, rdg_address_t *created, uint64_t *nonce) {
    outcome_t o = transact(w, from, NULL, rdg_bytes(init->b, init->len));
    *created = o.created;
    *nonce = w->nonce;
    return o.ok;
}

/* --- reading ------------------------------------------------------------------------------------------------------- */

static bool eth_call(world_t *w, const rdg_call_t *c, rdg_buf_t *out) {
    rdg_call_result_t result;
    CHECK_OK(rdg_ledger_call(w->l, c, out, &result));
    w->revert[0] = 0;
    if (result.status != RDG_EVM_SUCCESS) keep_revert(w, rdg_buf_view(out));
    return result.status == RDG_EVM_SUCCESS;
}

bool call(world_t *w, const rdg_address_t *to, rdg_bytes_t data, bool audit, uint64_t *out) {
    rdg_buf_t output;
    rdg_call_t c = {.from = support_address(OTHER), .to = to, .data = data, .audit = audit};
    rdg_buf_init(&output, 1 << 20);
    bool ok = eth_call(w, &c, &output);
    if (ok && out) *out = output.len == 32 ? rdg_load_be64(output.data + 24) : UINT64_MAX;
    rdg_buf_fini(&output);
    return ok;
}

static void put_forward(const rdg_address_t *to, rdg_bytes_t data, rdg_buf_t *out) {
    rdg_word_t target = {{0}};
    memcpy(target.b + 12, to->b, sizeof to->b);
    rdg_buf_init(out, 1 << 20);
    CHECK_OK(rdg_buf_append(out, target.b, sizeof target.b));
    CHECK_OK(rdg_buf_append(out, data.data, data.len));
}

bool forward(world_t *w, const rdg_address_t *by, const rdg_address_t *to, rdg_bytes_t data) {
    rdg_buf_t all;
    put_forward(to, data, &all);
    bool ok = call(w, by, rdg_buf_view(&all), false, NULL);
    rdg_buf_fini(&all);
    return ok;
}

bool forward_send(world_t *w, const rdg_address_t *by, const rdg_address_t *to, rdg_bytes_t data) {
    rdg_buf_t all;
    put_forward(to, data, &all);
    bool ok = send(w, OTHER, by, rdg_buf_view(&all));
    rdg_buf_fini(&all);
    return ok;
}

json_t *view(world_t *w, const char *method, json_t *args) {
    rdg_buf_t data, out;
    json_t *decoded = NULL;
    const json_t *entry = NULL;
    size_t count = json_array_size(args);
    rdg_buf_init(&data, 1 << 20), rdg_buf_init(&out, 1 << 20);
    encode(w, method, args, &data);
    rdg_call_t c = {.from = support_address(OTHER), .to = &RDG_REGISTRY_ADDRESS, .data = rdg_buf_view(&data)};
    if (eth_call(w, &c, &out)) {
        CHECK_OK(rdg_abi_find(w->abi, "function", method, count, &entry));
        CHECK_OK(rdg_abi_decode(json_object_get(entry, "outputs"), rdg_buf_view(&out), &decoded));
    }
    rdg_buf_fini(&data), rdg_buf_fini(&out);
    return decoded;
}

uint64_t view_u64(world_t *w, const char *method, json_t *args, const char *field) {
    json_t *v = view(w, method, args);
    CHECK(v && json_is_integer(json_object_get(v, field)));
    uint64_t out = (uint64_t)json_integer_value(json_object_get(v, field));
    json_decref(v);
    return out;
}

uint64_t stored(world_t *w, const rdg_address_t *a) {
    rdg_word_t zero = word(0), value;
    CHECK_OK(rdg_ledger_storage(w->l, a, &zero, &value));
    return rdg_load_be64(value.b + 24);
}
