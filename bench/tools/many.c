/* ridge-many: deploys many contracts, each with code of its own, and calls each of them, in steps that whoever started it
 * gives the word for: it prints one JSON object when a step is done, and begins the next one with a line of its input.
 *   1. deploys COUNT contracts: the runtime code of an artefact, with bytes behind it that never run
 *   2. calls each by a transaction   3. calls each by eth_call
 * Usage: ridge-many URL ARTEFACT COUNT SIGNATURE-OF-A-METHOD, which takes up to three words */
#include "ridge/base/alloc.h"
#include "ridge/base/clock.h"
#include "ridge/base/file.h"
#include "ridge/client/rpc.h"
#include "ridge/codec/hex.h"
#include "ridge/evm/evm.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH 50
#define CREATE_GAS 5000000
#define CALL_GAS 300000
#define INIT_BYTES 11

static struct {
    rdg_rpc_t *rpc;
    rdg_sm2_key_t *key;
    rdg_address_t from, *contracts;
    uint64_t chain_id, valid_until;
    uint8_t data[4 + 3 * 32]; /* a call of the method with zeros */
    rdg_buf_t code;
    size_t count;
} many;

static void must(rdg_err_t err, const char *what) {
    if (err == RDG_OK) return;
    fprintf(stderr, "ridge-many: %s: %s\n", what, rdg_err_message(err));
    exit(1);
}

static void step_done(const char *step, uint64_t start_us) {
    char line[16];
    printf("{\"step\": \"%s\", \"count\": %zu, \"seconds\": %.2f}\n", step, many.count,
           (double)(rdg_mono_us(rdg_clock_system()) - start_us) / 1e6);
    fflush(stdout);
    if (!fgets(line, sizeof line, stdin)) exit(0);
}

/* Init code that returns what lies behind it: the artefact's runtime code and eight bytes that differ. */
static void load_code(const char *path) {
    rdg_buf_t text;
    json_t *artefact = NULL;
    const char *hex = NULL;
    uint8_t trailer[8] = {0};
    rdg_buf_init(&text, 4u << 20);
    rdg_buf_init(&many.code, 1u << 20);
    must(rdg_file_read(path, &text), path);
    must(rdg_json_parse(rdg_buf_view(&text), &artefact), path);
    must(rdg_json_get_str(artefact, "deployedBytecode", &hex), path);
    size_t len = (strlen(hex) - 2) / 2 + sizeof trailer;
    const uint8_t init[INIT_BYTES] = {
        0x61, (uint8_t)(len >> 8), (uint8_t)len, 0x80, 0x60, INIT_BYTES, 0x5f, 0x39, 0x5f, 0xf3, 0x00};
    rdg_buf_append(&many.code, init, sizeof init);
    must(rdg_hex_decode_buf(hex, strlen(hex), &many.code), path);
    must(rdg_buf_append(&many.code, trailer, sizeof trailer), path);
    json_decref(artefact);
    rdg_buf_fini(&text);
}

static rdg_tx_t *make_tx(size_t i, bool create) {
    rdg_tx_t *tx = NULL;
    rdg_tx_fields_t f = {.chain_id = many.chain_id,
                         .nonce = rdg_tx_random_nonce(rdg_random_system()),
                         .valid_until = many.valid_until,
                         .gas_limit = create ? CREATE_GAS : CALL_GAS,
                         .to = create ? NULL : &many.contracts[i],
                         .data = create ? rdg_buf_view(&many.code) : rdg_bytes(many.data, sizeof many.data)};
    if (create) {
        rdg_store_be64(many.code.data + many.code.len - 8, i);
        rdg_evm_create_address(&many.from, f.nonce, &many.contracts[i]);
    }
    must(rdg_tx_sign(&f, many.key, &tx), "sign");
    return tx;
}

/* All of a batch are in blocks before the next one goes: pools stay small. */
static void send_batch(size_t first, size_t count, bool create) {
    rdg_tx_t *txs[BATCH];
    json_t *params[BATCH] = {NULL}, *results[BATCH] = {NULL};
    rdg_err_t errs[BATCH] = {RDG_OK};
    for (size_t i = 0; i < count; ++i) {
        txs[i] = make_tx(first + i, create);
        params[i] = json_pack("[o]", rdg_json_hex(txs[i]->raw.data, txs[i]->raw.len));
    }
    must(many.rpc->batch(many.rpc->ctx, "ridge_sendTransaction", params, count, results, errs), "send");
    for (size_t i = 0; i < count; ++i) {
        json_t *receipt = NULL;
        must(errs[i], "send");
        must(rdg_rpc_wait(many.rpc, txs[i], 60000, 5, &receipt), "wait");
        const char *status = json_string_value(json_object_get(receipt, "status"));
        if (!status || strcmp(status, "0x1") != 0) must(RDG_E_REVERTED, create ? "deployment" : "call");
        json_decref(receipt);
        json_decref(params[i]);
        json_decref(results[i]);
        rdg_tx_unref(txs[i]);
    }
}

static void send_all(const char *step, bool create) {
    uint64_t start = rdg_mono_us(rdg_clock_system());
    for (size_t i = 0; i < many.count; i += BATCH)
        send_batch(i, many.count - i < BATCH ? many.count - i : BATCH, create);
    step_done(step, start);
}

static void call_all(void) {
    uint64_t start = rdg_mono_us(rdg_clock_system());
    for (size_t i = 0; i < many.count; ++i) {
        rdg_buf_t out;
        rdg_buf_init(&out, 65536);
        must(rdg_rpc_eth_call(many.rpc, &many.from, &many.contracts[i],
                              rdg_bytes(many.data, sizeof many.data), &out),
             "eth_call");
        rdg_buf_fini(&out);
    }
    step_done("calls", start);
}

int main(int argc, char **argv) {
    rdg_rpc_head_t head;
    rdg_sm2_public_t key;
    uint8_t hash[32];
    if (argc != 5 || (many.count = strtoul(argv[3], NULL, 10)) == 0) {
        fprintf(stderr, "usage: ridge-many URL ARTEFACT COUNT SIGNATURE\n");
        return 2;
    }
    load_code(argv[2]);
    rdg_keccak256(argv[4], strlen(argv[4]), hash);
    memcpy(many.data, hash, 4);
    many.contracts = rdg_calloc(many.count, sizeof *many.contracts);
    if (!many.contracts) must(RDG_E_NO_MEMORY, "start");
    must(rdg_sm2_key_generate(&many.key), "key");
    rdg_sm2_key_public(many.key, &key);
    rdg_sm2_address(&key, &many.from);
    must(rdg_rpc_http_new(argv[1], 30000, &many.rpc), argv[1]);
    must(rdg_rpc_head(many.rpc, &head), argv[1]);
    many.chain_id = head.chain_id;
    many.valid_until = head.height + 90000;
    send_all("deployed", true);
    send_all("transactions", false);
    call_all();
    rdg_rpc_http_free(many.rpc);
    rdg_sm2_key_free(many.key);
    rdg_buf_fini(&many.code);
    rdg_free(many.contracts);
    return 0;
}
