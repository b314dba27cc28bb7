/* Test contracts in a ledger of their own: the code that a chain runs, with one validator and its state in memory. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "contract_dev.h"
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/codec/abi.h"
#include "ridge/codec/hex.h"
#include "ridge/codec/rlp.h"
#include "ridge/ledger/ledger.h"

#define OUTPUT_MAX (1u << 20)
#define GAS 60000000ull /* of a deployment, of setUp and of each test: the most that a chain may allow */
enum { CHAIN_ID = 1337, PATH_SIZE = 1024 };

typedef struct runner {
    rdg_genesis_t genesis;
    rdg_sm2_key_t *key;
    rdg_address_t sender, contract;
    rdg_ledger_t *ledger;
    const json_t *abi;
    uint64_t nonce;
    char why[512]; /* why the last transaction or call failed */
} runner_t;

static rdg_err_t open_ledger(runner_t *r, const char *dir) {
    rdg_genesis_t *g = &r->genesis;
    rdg_sm2_public_t public;
    rdg_buf_t text;
    const rdg_ledger_options_t options = {.execution_threads = 1, .memory_store = true};
    RDG_TRY(rdg_sm2_key_generate(&r->key));
    rdg_sm2_key_public(r->key, &public);
    rdg_sm2_address(&public, &r->sender);
    snprintf(g->name, sizeof g->name, "test");
    snprintf(g->consensus, sizeof g->consensus, "pbft");
    snprintf(g->validator_names[0], sizeof g->validator_names[0], "local");
    g->time_ms = 1700000000000ull;
    g->validators.chain_id = CHAIN_ID;
    g->validators.count = 1;
    g->validators.keys[0] = public;
    rdg_chain_params_default(&g->params);
    g->params.tx_gas_limit = GAS;
    g->alloc_count = 1;
    g->alloc[0].address = r->sender;
    g->alloc[0].balance.b[16] = 1; /* plenty */
    rdg_buf_init(&text, RDG_GENESIS_BYTES_MAX);
    rdg_err_t err = rdg_genesis_format(g, &text);
    rdg_buf_fini(&text);
    return err == RDG_OK ? rdg_ledger_open(dir, g, &options, &r->ledger) : err;
}

static rdg_err_t seal(runner_t *r, const rdg_header_t *h, rdg_buf_t *out) {
    rdg_certificate_t c = {.statement = {.phase = RDG_PHASE_COMMIT, .height = h->height}, .count = 1};
    rdg_hash_t statement;
    RDG_TRY(rdg_header_hash(h, &c.statement.digest));
    rdg_statement_hash(CHAIN_ID, &c.statement, &statement);
    RDG_TRY(rdg_sm2_sign(r->key, statement.b, sizeof statement.b, &c.votes[0].signature));
    return rdg_certificate_encode(&c, out);
}

/* A block with that one transaction. */
static rdg_err_t apply(runner_t *r, rdg_tx_t *tx, uint64_t *height) {
    rdg_ledger_head_t head;
    rdg_executed_t executed;
    rdg_buf_t proposal, certificate;
    rdg_ledger_head(r->ledger, &head);
    rdg_header_t h = {.chain_id = CHAIN_ID, .height = head.height + 1, .parent = head.hash, .tx_count = 1};
    h.time_ms = head.time_ms + 1000;
    h.gas_limit = r->genesis.params.block_gas_limit;
    rdg_buf_init(&proposal, RDG_BLOCK_BYTES_MAX), rdg_buf_init(&certificate, 65536);
    rdg_err_t err = rdg_block_tx_root(&tx, 1, &h.tx_root);
    if (err == RDG_OK) err = rdg_proposal_encode(&h, &tx, &proposal);
    if (err == RDG_OK) err = seal(r, &h, &certificate);
    if (err == RDG_OK)
        err =
            rdg_ledger_apply(r->ledger, rdg_buf_view(&proposal), rdg_buf_view(&certificate), true, &executed);
    rdg_buf_fini(&proposal), rdg_buf_fini(&certificate);
    *height = h.height;
    return err;
}

static rdg_err_t explain(runner_t *r, rdg_bytes_t revert) {
    rdg_buf_t text;
    rdg_buf_init(&text, OUTPUT_MAX);
    rdg_err_t err = rdg_abi_decode_revert(r->abi, revert, rdg_keccak256, &text);
    if (err == RDG_OK) snprintf(r->why, sizeof r->why, "%s", rdg_buf_cstr(&text));
    rdg_buf_fini(&text);
    return err;
}

static rdg_err_t read_receipt(runner_t *r, uint64_t height, bool *ok) {
    rdg_rlp_t outer, list;
    rdg_receipt_t receipt;
    rdg_arena_t arena;
    rdg_buf_t raw;
    rdg_arena_init(&arena, 64u << 20), rdg_buf_init(&raw, 64u << 20);
    rdg_err_t err = rdg_ledger_receipts(r->ledger, height, &raw);
    rdg_rlp_init(&outer, rdg_buf_view(&raw));
    if (err == RDG_OK) err = rdg_rlp_list(&outer, &list);
    if (err == RDG_OK) err = rdg_receipt_decode(rdg_rlp_raw(&list), &arena, &receipt);
    if (err == RDG_OK) {
        *ok = receipt.success;
        if (receipt.has_contract) r->contract = receipt.contract;
        if (!*ok) err = explain(r, receipt.output);
    }
    rdg_arena_fini(&arena), rdg_buf_fini(&raw);
    return err;
}

/* to NULL: creates. *ok is false, and r->why says why, when it reverts. */
static rdg_err_t transact(runner_t *r, const rdg_address_t *to, rdg_bytes_t data, bool *ok) {
    rdg_tx_fields_t f = {
        .chain_id = CHAIN_ID, .nonce = ++r->nonce, .valid_until = 1000, .gas_limit = GAS, .to = to};
    rdg_tx_t *tx = NULL;
    uint64_t height;
    f.data = data;
    RDG_TRY(rdg_tx_sign(&f, r->key, &tx));
    rdg_err_t err = apply(r, tx, &height);
    rdg_tx_unref(tx);
    return err == RDG_OK ? read_receipt(r, height, ok) : err;
}

static rdg_err_t deploy(runner_t *r, const json_t *artefact, bool *ok) {
    const json_t *code = json_object_get(artefact, "bytecode");
    rdg_buf_t data;
    rdg_buf_init(&data, RDG_EVM_INITCODE_MAX);
    rdg_err_t err = rdg_hex_decode_buf(json_string_value(code), json_string_length(code), &data);
    if (err == RDG_E_TOO_LARGE)
        err = rdg_fail(err, "its code is longer than the %d bytes that a chain takes: split it",
                       RDG_EVM_INITCODE_MAX);
    if (err == RDG_OK) err = transact(r, NULL, rdg_buf_view(&data), ok);
    rdg_buf_fini(&data);
    return err;
}

static void selector(const char *name, uint8_t out[4]) {
    char signature[256];
    uint8_t hash[32];
    size_t len = (size_t)snprintf(signature, sizeof signature, "%.200s()", name);
    rdg_keccak256(signature, len, hash);
    memcpy(out, hash, 4);
}

static rdg_err_t run_test(runner_t *r, const char *name, json_t *tests) {
    uint8_t data[4];
    rdg_buf_t output;
    rdg_call_result_t result;
    selector(name, data);
    rdg_buf_init(&output, OUTPUT_MAX);
    const rdg_call_t call = {.from = r->sender, .to = &r->contract, .data = rdg_bytes(data, sizeof data)};
    r->why[0] = 0;
    rdg_err_t err = rdg_ledger_call(r->ledger, &call, &output, &result);
    if (err == RDG_OK && result.status == RDG_EVM_REVERT) err = explain(r, rdg_buf_view(&output));
    rdg_buf_fini(&output);
    if (err != RDG_OK) return err;
    bool passed = result.status == RDG_EVM_SUCCESS;
    const char *why = r->why[0] ? r->why : rdg_evm_status_name(result.status);
    json_t *one = json_pack("{s:s, s:b, s:I, s:s}", "name", name, "passed", passed, "gas",
                            (json_int_t)result.gas_used, "reason", passed ? "" : why);
    return json_array_append_new(tests, one) == 0 ? RDG_OK : RDG_E_NO_MEMORY;
}

/* The functions of the ABI that a test is: test…() without arguments. */
static bool is_test(const json_t *entry) {
    return strcmp(out_raw(entry, "type"), "function") == 0 &&
           strncmp(out_raw(entry, "name"), "test", 4) == 0 &&
           json_array_size(json_object_get(entry, "inputs")) == 0;
}

static rdg_err_t prepare(runner_t *r, const json_t *artefact, bool *ok) {
    const json_t *entry;
    size_t i;
    RDG_TRY(deploy(r, artefact, ok));
    if (!*ok) return RDG_OK;
    json_array_foreach(r->abi, i, entry) {
        uint8_t data[4];
        if (strcmp(out_raw(entry, "name"), "setUp") != 0 ||
            json_array_size(json_object_get(entry, "inputs")) != 0)
            continue;
        selector("setUp", data);
        return transact(r, &r->contract, rdg_bytes(data, sizeof data), ok);
    }
    return RDG_OK;
}

static rdg_err_t run_all(runner_t *r, const json_t *artefact, json_t *tests) {
    const json_t *entry;
    size_t i;
    bool ok = false;
    RDG_TRY(prepare(r, artefact, &ok));
    json_array_foreach(r->abi, i, entry) {
        if (!is_test(entry)) continue;
        if (ok) {
            RDG_TRY(run_test(r, out_raw(entry, "name"), tests));
            continue;
        }
        json_array_append_new(tests, json_pack("{s:s, s:b, s:i, s:o}", "name", out_raw(entry, "name"),
                                               "passed", 0, "gas", 0, "reason",
                                               json_sprintf("constructor or setUp: %s", r->why)));
    }
    return RDG_OK;
}

rdg_err_t run_test_contract(const json_t *artefact, json_t **report) {
    const char *tmp = getenv("TMPDIR");
    char dir[PATH_SIZE];
    snprintf(dir, sizeof dir, "%s/ridge-test-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(dir)) return rdg_fail(RDG_E_IO, "no directory can be made in %s", tmp ? tmp : "/tmp");
    runner_t *r = rdg_calloc(1, sizeof *r);
    json_t *tests = json_array();
    rdg_err_t err = r ? open_ledger(r, dir) : RDG_E_NO_MEMORY;
    if (err == RDG_OK) {
        r->abi = json_object_get(artefact, "abi");
        err = rdg_fail_in(run_all(r, artefact, tests), "%s", out_raw(artefact, "contractName"));
    }
    if (r) {
        rdg_ledger_close(r->ledger);
        rdg_sm2_key_free(r->key);
        rdg_free(r);
    }
    (void)rdg_tree_remove(dir, NULL);
    *report = json_pack("{s:s, s:s, s:o}", "name", out_raw(artefact, "contractName"), "file",
                        out_raw(artefact, "sourceFile"), "tests", tests);
    if (err == RDG_OK) return RDG_OK;
    json_decref(*report);
    *report = NULL;
    return err;
}
