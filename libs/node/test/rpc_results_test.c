/* What JSON-RPC answers, with the metering contract on a chain of one node; seals on a chain of four. */
#include "cluster.h"
#include "ridge/base/file.h"
#include "ridge/codec/abi.h"
#include "ridge/codec/hex.h"
#include "ridge/crypto/hash.h"
#include "ridge/ledger/block.h"
#include "ridge/test.h"
#include <stdio.h>

#define METER "0x6d31000000000000000000000000000000000000000000000000000000000000"

typedef struct world {
    cluster_t c;
    json_t *artifact;
    rdg_address_t metering;
    char address[43];
    json_t *deployed, *registered, *submitted; /* receipts */
} world_t;

static const char *text_of(const json_t *o, const char *field) {
    const char *text = json_string_value(json_object_get(o, field));
    return text ? text : "(no string)";
}

static uint64_t quantity_of(const json_t *o, const char *field) {
    uint64_t v = 0;
    CHECK_OK(rdg_json_quantity_parse(json_object_get(o, field), &v));
    return v;
}

static json_t *json_of(const char *text) {
    json_t *v = NULL;
    CHECK_OK(rdg_json_parse(rdg_bytes_str(text), &v));
    return v;
}

static const json_t *function_of(world_t *w, const char *name) {
    const json_t *entry = NULL;
    CHECK_OK(rdg_abi_find(json_object_get(w->artifact, "abi"), "function", name, RDG_ABI_ANY_COUNT, &entry));
    return entry;
}

static void encode(world_t *w, const char *function, const char *args, rdg_buf_t *out) {
    json_t *list = json_of(args);
    CHECK_OK(rdg_abi_encode_call(function_of(w, function), list, rdg_keccak256, out));
    json_decref(list);
}

static json_t *send_data(world_t *w, const rdg_address_t *to, rdg_bytes_t data) {
    char code[32];
    rdg_tx_t *tx = cluster_sign(&w->c, (rdg_tx_fields_t){.to = to, .data = data, .gas_limit = 5000000});
    cluster_send(&w->c, 0, tx->raw, code);
    CHECK_STR(code, "");
    json_t *receipt = cluster_receipt(&w->c, 0, &tx->id);
    rdg_tx_unref(tx);
    return receipt;
}

static json_t *send_call(world_t *w, const char *function, const char *args) {
    rdg_buf_t data;
    rdg_buf_init(&data, 1u << 20);
    encode(w, function, args, &data);
    json_t *receipt = send_data(w, &w->metering, rdg_buf_view(&data));
    rdg_buf_fini(&data);
    return receipt;
}

static void deploy(world_t *w) {
    rdg_buf_t file, code;
    rdg_buf_init(&file, 4u << 20);
    rdg_buf_init(&code, 1u << 20);
    CHECK_OK(rdg_file_read(RIDGE_CONTRACT_ARTIFACTS "/Metering.json", &file));
    CHECK_OK(rdg_json_parse(rdg_buf_view(&file), &w->artifact));
    const char *hex = text_of(w->artifact, "bytecode");
    CHECK_OK(rdg_hex_decode_buf(hex, strlen(hex), &code));
    w->deployed = send_data(w, NULL, rdg_buf_view(&code));
    snprintf(w->address, sizeof w->address, "%s", text_of(w->deployed, "contractAddress"));
    CHECK_OK(rdg_hex_decode(w->address, strlen(w->address), w->metering.b, sizeof w->metering.b));
    rdg_buf_fini(&file);
    rdg_buf_fini(&code);
}

static void world_init(world_t *w) {
    memset(w, 0, sizeof *w);
    cluster_init(&w->c, 1);
    cluster_start_all(&w->c);
    cluster_wait_height(&w->c, 0, 1);
    deploy(w);
    w->registered = send_call(w, "registerMeter", "[\"" METER "\", -5, 100]");
    w->submitted = send_call(w, "submit", "[\"" METER "\", [10, 20, 30], [7, -2, 101]]");
}

static void world_fini(world_t *w) {
    json_decref(w->artifact);
    json_decref(w->deployed);
    json_decref(w->registered);
    json_decref(w->submitted);
    cluster_fini(&w->c);
}

static json_t *rpc(world_t *w, const char *method, json_t *params) {
    char code[32];
    json_t *result = cluster_rpc(&w->c, 0, method, params, code);
    CHECK_STR(code, "");
    CHECK(result);
    return result;
}

static json_t *call_params(world_t *w, const char *function, const char *args) {
    rdg_buf_t data;
    rdg_buf_init(&data, 1u << 20);
    encode(w, function, args, &data);
    rdg_address_t from;
    rdg_sm2_public_t key;
    rdg_sm2_key_public(w->c.user, &key);
    rdg_sm2_address(&key, &from);
    json_t *params = json_pack("[{s:s, s:o, s:o}, s]", "to", w->address, "from", rdg_json_hex(from.b, 20),
                               "data", rdg_json_hex(data.data, data.len), "latest");
    rdg_buf_fini(&data);
    return params;
}

TEST(receipts_and_transactions_have_the_fields_that_stock_tools_read) {
    world_t w;
    world_init(&w);
    CHECK_STR(text_of(w.deployed, "status"), "0x1");
    CHECK(json_is_null(json_object_get(w.deployed, "to")));
    CHECK(json_is_null(json_object_get(w.submitted, "contractAddress")));
    CHECK_STR(text_of(w.submitted, "to"), w.address);
    CHECK(quantity_of(w.submitted, "gasUsed") > 21000);
    CHECK_EQ(quantity_of(w.submitted, "cumulativeGasUsed"), quantity_of(w.submitted, "gasUsed"));
    CHECK_EQ(strlen(text_of(w.submitted, "logsBloom")), 2 + 512);
    json_t *tx = rpc(&w, "eth_getTransactionByHash",
                     json_pack("[O]", json_object_get(w.submitted, "transactionHash")));
    static const char *const same[] = {"blockHash", "blockNumber", "transactionIndex", "from", "to"};
    for (size_t i = 0; i < sizeof same / sizeof same[0]; ++i)
        CHECK(json_equal(json_object_get(tx, same[i]), json_object_get(w.submitted, same[i])));
    CHECK_EQ(quantity_of(tx, "chainId"), 4711);
    CHECK_EQ(quantity_of(tx, "gas"), 5000000);
    CHECK_STR(text_of(tx, "v"), "0x1b");
    CHECK(strlen(text_of(tx, "r")) > 40 && strlen(text_of(tx, "s")) > 40);
    CHECK_EQ(strlen(text_of(tx, "publicKey")), 2 + 128);
    json_decref(tx);
    tx = cluster_rpc(&w.c, 0, "eth_getTransactionByHash", json_pack("[s]", METER), NULL);
    CHECK(json_is_null(tx));
    world_fini(&w);
}

TEST(blocks_are_found_by_number_and_hash_with_and_without_their_transactions) {
    world_t w;
    world_init(&w);
    json_t *number = json_object_get(w.submitted, "blockNumber"),
           *hash = json_object_get(w.submitted, "blockHash");
    json_t *brief = rpc(&w, "eth_getBlockByNumber", json_pack("[O, b]", number, 0));
    json_t *full = rpc(&w, "eth_getBlockByHash", json_pack("[O, b]", hash, 1));
    CHECK(json_equal(json_object_get(brief, "hash"), hash));
    CHECK(json_equal(json_object_get(full, "number"), number));
    json_t *ids = json_object_get(brief, "transactions"), *txs = json_object_get(full, "transactions");
    CHECK_EQ(json_array_size(ids), 1);
    CHECK_EQ(json_array_size(txs), 1);
    CHECK(json_equal(json_array_get(ids, 0), json_object_get(w.submitted, "transactionHash")));
    CHECK(json_equal(json_object_get(json_array_get(txs, 0), "hash"), json_array_get(ids, 0)));
    CHECK(json_equal(json_object_get(json_array_get(txs, 0), "blockHash"), hash));
    CHECK_EQ(quantity_of(full, "gasUsed"), quantity_of(w.submitted, "gasUsed"));
    json_t *parent =
        rpc(&w, "eth_getBlockByHash", json_pack("[O, b]", json_object_get(full, "parentHash"), 0));
    CHECK_EQ(quantity_of(parent, "number") + 1, quantity_of(full, "number"));
    json_t *genesis = rpc(&w, "eth_getBlockByNumber", json_pack("[s, b]", "earliest", 0));
    CHECK_EQ(quantity_of(genesis, "number"), 0);
    json_t *none = cluster_rpc(&w.c, 0, "eth_getBlockByNumber", json_pack("[s, b]", "0xffffff", 0), NULL);
    CHECK(json_is_null(none));
    json_decref(brief);
    json_decref(full);
    json_decref(parent);
    json_decref(genesis);
    world_fini(&w);
}

static size_t logs_found(world_t *w, const char *filter) {
    json_t *logs = rpc(w, "eth_getLogs", json_pack("[o]", json_of(filter)));
    size_t count = json_array_size(logs);
    json_decref(logs);
    return count;
}

static void topic_of(const char *signature, char out[67]) {
    uint8_t hash[32];
    rdg_keccak256(signature, strlen(signature), hash);
    memcpy(out, "0x", 2);
    rdg_hex_encode(hash, 32, out + 2);
}

TEST(logs_are_filtered_by_range_address_and_topics) {
    world_t w;
    char registered[67], anomaly[67], readings[67], filter[512];
    world_init(&w);
    topic_of("MeterRegistered(bytes32,address,int64,int64)", registered);
    topic_of("Anomaly(bytes32,uint64,int64,int64,int64)", anomaly);
    topic_of("Readings(bytes32,uint64,uint64,int256)", readings);
    CHECK_EQ(logs_found(&w, "{\"fromBlock\":\"0x0\"}"), 3);
    CHECK_EQ(logs_found(&w, "{\"fromBlock\":\"latest\"}"), 2);
    snprintf(filter, sizeof filter, "{\"fromBlock\":\"earliest\",\"address\":\"%s\",\"topics\":[\"%s\"]}",
             w.address, anomaly);
    CHECK_EQ(logs_found(&w, filter), 1);
    snprintf(filter, sizeof filter, "{\"fromBlock\":\"0x0\",\"topics\":[[\"%s\",\"%s\"],\"%s\"]}", registered,
             readings, METER);
    CHECK_EQ(logs_found(&w, filter), 2);
    snprintf(filter, sizeof filter, "{\"fromBlock\":\"0x0\",\"topics\":[null,\"%s\"]}", anomaly);
    CHECK_EQ(logs_found(&w, filter), 0);
    snprintf(filter, sizeof filter, "{\"fromBlock\":\"0x0\",\"topics\":[[\"%s\",null],\"%s\"]}", anomaly,
             METER);
    CHECK_EQ(logs_found(&w, filter), 3);
    snprintf(filter, sizeof filter, "{\"fromBlock\":\"0x0\",\"address\":\"0x%040d\"}", 7);
    CHECK_EQ(logs_found(&w, filter), 0);
    snprintf(filter, sizeof filter, "{\"blockHash\":\"%s\"}", text_of(w.submitted, "blockHash"));
    CHECK_EQ(logs_found(&w, filter), 2);
    json_t *logs =
        rpc(&w, "eth_getLogs", json_pack("[{s:O}]", "blockHash", json_object_get(w.submitted, "blockHash")));
    CHECK(json_equal(logs, json_object_get(w.submitted, "logs")));
    json_decref(logs);
    world_fini(&w);
}

static void refused(world_t *w, const char *method, const char *filter, const char *code, const char *words) {
    json_t *answer = cluster_call(&w->c, 0, method, json_pack("[o]", json_of(filter)));
    const json_t *error = json_object_get(answer, "error");
    CHECK_STR(text_of(json_object_get(error, "data"), "code"), code);
    if (!strstr(text_of(error, "message"), words))
        rdg_test_fail(__FILE__, __LINE__, "%s, not %s", text_of(error, "message"), words);
    json_decref(answer);
}

/* Follows `next`; returns the number of logs, each of which has its own place. */
static size_t count_pages(world_t *w, json_t *filter, size_t *pages) {
    size_t count = 0;
    uint64_t height = 0, index = 0;
    for (*pages = 0;; ++*pages) {
        size_t i;
        json_t *page = rpc(w, "ridge_getLogs", json_pack("[O]", filter)), *log;
        json_array_foreach(json_object_get(page, "logs"), i, log) {
            uint64_t h = quantity_of(log, "blockNumber"), at = quantity_of(log, "logIndex");
            CHECK(count++ == 0 || h > height || (h == height && at > index));
            height = h, index = at;
        }
        bool last = json_is_null(json_object_get(page, "next"));
        if (!last) json_object_update(filter, json_object_get(page, "next"));
        json_decref(page);
        if (last) break;
    }
    json_decref(filter);
    return count;
}

/* Logs 10,100 times without topics; deploys nothing. */
static const uint8_t MANY_LOGS[] = {0x61, 0x27, 0x74, 0x5b, 0x5f, 0x5f, 0xa0, 0x60,
                                    0x01, 0x90, 0x03, 0x80, 0x60, 0x03, 0x57, 0x00};

TEST(more_logs_than_one_answer_holds_are_refused_with_the_remedy_and_come_in_pages) {
    world_t w;
    char text[256], words[128];
    size_t pages;
    world_init(&w);
    json_t *polled = rpc(&w, "eth_newFilter", json_of("[{}]")), *got;
    json_t *receipt = send_data(&w, NULL, rdg_bytes(MANY_LOGS, sizeof MANY_LOGS));
    unsigned long long height = quantity_of(receipt, "blockNumber");
    snprintf(words, sizeof words, "ask for blocks 0 to %llu first", height - 1);
    refused(&w, "eth_getLogs", "{\"fromBlock\":\"0x0\"}", "TOO_LARGE", words);
    snprintf(text, sizeof text, "{\"blockHash\":\"%s\"}", text_of(receipt, "blockHash"));
    snprintf(words, sizeof words, "block %llu alone has more than 10000 logs", height);
    refused(&w, "eth_getLogs", text, "TOO_LARGE", words);
    CHECK_EQ(count_pages(&w, json_of(text), &pages), 10100);
    CHECK_EQ(pages, 1);
    CHECK_EQ(count_pages(&w, json_of("{\"fromBlock\":\"0x0\",\"limit\":3500}"), &pages), 10103);
    CHECK_EQ(pages, 2);
    snprintf(text, sizeof text, "{\"fromBlock\":\"0x0\",\"address\":\"%s\",\"limit\":1}", w.address);
    CHECK_EQ(count_pages(&w, json_of(text), &pages), 3);
    got = rpc(&w, "eth_getFilterChanges", json_pack("[O]", polled));
    CHECK_EQ(json_array_size(got), 10000);
    json_decref(got);
    got = rpc(&w, "eth_getFilterChanges", json_pack("[O]", polled));
    CHECK_EQ(json_array_size(got), 100);
    CHECK_EQ(quantity_of(json_array_get(got, 0), "logIndex"), 10000);
    json_decref(got);
    got = rpc(&w, "eth_getFilterChanges", json_pack("[O]", polled));
    CHECK_EQ(json_array_size(got), 0);
    json_decref(got);
    json_decref(polled);
    json_decref(receipt);
    refused(&w, "ridge_getLogs", "{\"limit\":0}", "INVALID", "from 1 to 10000");
    refused(&w, "ridge_getLogs", "{\"limit\":10001}", "INVALID", "from 1 to 10000");
    refused(&w, "ridge_getLogs", "{\"fromLogIndex\":\"0x100000000\"}", "INVALID", "fromLogIndex");
    refused(&w, "eth_getLogs", "{\"topics\":\"0x7\"}", "INVALID", "want an array");
    snprintf(text, sizeof text, "{\"fromBlock\":\"0x0\",\"blockHash\":\"%s\"}",
             text_of(w.submitted, "blockHash"));
    refused(&w, "eth_getLogs", text, "INVALID", "blockHash goes without");
    world_fini(&w);
}

TEST(calls_read_totals_and_give_revert_data_back) {
    world_t w;
    world_init(&w);
    json_t *answer = rpc(&w, "eth_call", call_params(&w, "totals", "[\"" METER "\"]")), *totals = NULL;
    rdg_buf_t data;
    rdg_buf_init(&data, 4096);
    CHECK_OK(rdg_hex_decode_buf(json_string_value(answer), json_string_length(answer), &data));
    CHECK_OK(
        rdg_abi_decode(json_object_get(function_of(&w, "totals"), "outputs"), rdg_buf_view(&data), &totals));
    CHECK_EQ(json_integer_value(json_object_get(totals, "count")), 3);
    char *text = json_dumps(totals, JSON_COMPACT | JSON_ENCODE_ANY);
    CHECK(strstr(text, "106") && strstr(text, "-2") && strstr(text, "101"));
    free(text);
    json_decref(answer);
    json_decref(totals);

    answer = cluster_call(&w.c, 0, "eth_call", call_params(&w, "submit", "[\"" METER "\", [30], [1]]"));
    const json_t *error = json_object_get(answer, "error");
    CHECK_EQ(json_integer_value(json_object_get(error, "code")), 3);
    const char *revert = text_of(error, "data");
    rdg_buf_clear(&data);
    CHECK_OK(rdg_hex_decode_buf(revert, strlen(revert), &data));
    rdg_buf_t sentence;
    rdg_buf_init(&sentence, 4096);
    CHECK_OK(rdg_abi_decode_revert(json_object_get(w.artifact, "abi"), rdg_buf_view(&data), rdg_keccak256,
                                   &sentence));
    CHECK(strstr(rdg_buf_cstr(&sentence), "NotNewer"));
    json_t *failed = send_call(&w, "submit", "[\"" METER "\", [30], [1]]");
    CHECK_STR(text_of(failed, "status"), "0x0");
    CHECK_EQ(json_array_size(json_object_get(failed, "logs")), 0);
    CHECK_STR(text_of(failed, "output"), revert); /* a part of answer */
    json_decref(failed);
    json_decref(answer);
    rdg_buf_fini(&data);
    rdg_buf_fini(&sentence);
    world_fini(&w);
}

TEST(an_estimate_of_gas_suffices_and_little_less_does_not) {
    world_t w;
    world_init(&w);
    json_t *params = call_params(&w, "submit", "[\"" METER "\", [40], [1]]"),
           *call = json_array_get(params, 0);
    json_t *gas = rpc(&w, "eth_estimateGas", json_incref(params));
    uint64_t estimate = 0;
    CHECK_OK(rdg_json_quantity_parse(gas, &estimate));
    CHECK(estimate > 21000 && estimate < 1000000);
    json_object_set(call, "gas", gas);
    json_decref(rpc(&w, "eth_call", json_incref(params)));
    json_object_set_new(call, "gas", rdg_json_quantity(estimate * 9 / 10));
    char code[32];
    CHECK(!cluster_rpc(&w.c, 0, "eth_call", json_incref(params), code));
    CHECK_STR(code, "GAS_LIMIT");
    json_decref(gas);
    json_decref(params);
    json_t *answer =
        cluster_call(&w.c, 0, "eth_estimateGas", call_params(&w, "submit", "[\"" METER "\", [30], [1]]"));
    CHECK_EQ(json_integer_value(json_object_get(json_object_get(answer, "error"), "code")), 3);
    json_decref(answer);
    world_fini(&w);
}

TEST(code_and_storage_are_read_also_of_older_blocks) {
    world_t w;
    world_init(&w);
    char code[32];
    json_t *got = rpc(&w, "eth_getCode", json_pack("[s, s]", w.address, "latest"));
    CHECK_STR(json_string_value(got), text_of(w.artifact, "deployedBytecode"));
    json_decref(got);
    got = rpc(&w, "eth_getCode", json_pack("[s]", "0x1100000000000000000000000000000000000000"));
    CHECK_STR(json_string_value(got), "0x");
    json_decref(got);
    got = rpc(&w, "eth_getStorageAt", json_pack("[s, s, s]", w.address, "0x3", "latest"));
    CHECK_EQ(json_string_length(got), 66);
    json_decref(got);
    /* Before the contract was there; after a restart that state is gone. */
    got = rpc(&w, "eth_getCode", json_pack("[s, s]", w.address, "0x1"));
    CHECK_STR(json_string_value(got), "0x");
    json_decref(got);
    CHECK_EQ(cluster_stop(&w.c, 0), 0);
    cluster_start(&w.c, 0);
    cluster_wait_rpc(&w.c, 0);
    CHECK(!cluster_rpc(&w.c, 0, "eth_getCode", json_pack("[s, s]", w.address, "0x1"), code));
    CHECK_STR(code, "UNSUPPORTED");
    world_fini(&w);
}

static void bytes_of(const json_t *o, const char *field, rdg_buf_t *out) {
    const char *text = text_of(o, field);
    rdg_buf_clear(out);
    CHECK_OK(rdg_hex_decode_buf(text, strlen(text), out));
}

static void check_seal(const rdg_validator_set_t *set, const json_t *proof, const char *block_hash) {
    rdg_buf_t b;
    rdg_header_t header;
    rdg_executed_t executed;
    rdg_certificate_t certificate;
    rdg_hash_t hash;
    char text[67] = "0x";
    rdg_buf_init(&b, 1u << 20);
    bytes_of(proof, "header", &b);
    CHECK_OK(rdg_header_decode(rdg_buf_view(&b), &header));
    CHECK_OK(rdg_header_hash(&header, &hash));
    rdg_hex_encode(hash.b, 32, text + 2);
    CHECK_STR(text, block_hash);
    bytes_of(proof, "seal", &b);
    CHECK_OK(rdg_certificate_decode(rdg_buf_view(&b), &certificate));
    CHECK_OK(rdg_certificate_verify(&certificate, set, RDG_PHASE_COMMIT, header.height, &hash));
    CHECK(certificate.count >= 3);
    hash.b[0] ^= 1;
    CHECK(rdg_certificate_verify(&certificate, set, RDG_PHASE_COMMIT, header.height, &hash) != RDG_OK);
    hash.b[0] ^= 1;
    bytes_of(proof, "executed", &b);
    CHECK_OK(rdg_executed_decode(rdg_buf_view(&b), &executed));
    CHECK(rdg_hash_equal(&executed.block_hash, &hash));
    CHECK_OK(rdg_executed_hash(&executed, &hash));
    bytes_of(proof, "checkpoint", &b);
    CHECK_OK(rdg_certificate_decode(rdg_buf_view(&b), &certificate));
    CHECK_OK(rdg_certificate_verify(&certificate, set, RDG_PHASE_CHECKPOINT, header.height, &hash));
    rdg_buf_fini(&b);
}

TEST(seal_and_checkpoint_prove_a_block_to_anyone_who_knows_the_validators) {
    cluster_t c;
    char hash[80], code[32];
    cluster_init(&c, 4);
    cluster_start_all(&c);
    rdg_tx_t *tx = cluster_tx(&c);
    cluster_wait_height(&c, 1, 1);
    cluster_send(&c, 1, tx->raw, code);
    json_decref(cluster_receipt(&c, 1, &tx->id));
    cluster_block_hash(&c, 1, 1, hash);
    json_t *proof = cluster_rpc(&c, 1, "ridge_getSeal", json_pack("[s]", "0x1"), code);
    CHECK_STR(code, "");
    check_seal(&c.genesis.validators, proof, hash);
    json_decref(proof);
    CHECK(!cluster_rpc(&c, 1, "ridge_getSeal", json_pack("[s]", "0xffff"), code));
    CHECK_STR(code, "NOT_FOUND");
    rdg_tx_unref(tx);
    cluster_fini(&c);
}
