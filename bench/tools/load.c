/* ridge-load: sends metering transactions (or others: see the options) to the nodes of a chain at a steady rate and measures them.
 *
 * Phases: register the meters (waits for each receipt) → sign all transactions of the run in advance, so that
 * the measured time holds no signing → send in small JSON-RPC batches, every meter always over the same node
 * so that its readings stay in order → follow the blocks of the first node and note when each transaction is
 * in one. Prints one JSON object. Latency is from when a transaction was due, even if a late answer to the one
 * before it on its connection kept it from leaving then (late_ms: the worst), until the poll that saw its block
 * (polls every 5 ms); it includes execution, because a block is visible only when it is durable. */
#include "ridge/base/alloc.h"
#include "ridge/base/clock.h"
#include "ridge/base/config.h"
#include "ridge/base/file.h"
#include "ridge/base/map.h"
#include "ridge/client/rpc.h"
#include "ridge/codec/abi.h"
#include "ridge/codec/hex.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NODES_MAX 16
#define CONNECTIONS_MAX 8 /* to each node */
#define BATCH_MAX 50
#define GAS_LIMIT 400000
#define FIRST_TIME 1000000
#define PAYLOAD_MAX 4096
#define CALL_GAS 21000
#define BYTE_GAS 16
#define ENDOWMENT 1000000000000

typedef struct meter {
    rdg_sm2_key_t *key;
    uint8_t id[32];
    uint64_t next_time;
} meter_t;

typedef struct sample {
    uint64_t sent_us, seen_us;
} sample_t;

static struct {
    const char *urls[NODES_MAX];
    size_t url_count, sender_count, meter_count, tx_count;
    uint64_t rate, seconds, chain_id, valid_until, payload;
    bool empty; /* calls of an address without code: agreement and signatures, no contract */
    bool erc20; /* transfers of a token, each meter's key being a holder */
    rdg_address_t contract;
    meter_t *meters;
    rdg_tx_t **txs;
    sample_t *samples;
    rdg_map_t *by_id;
    size_t sent, seen, refused;
    uint64_t late_us; /* the worst */
    pthread_mutex_t lock;
} load;

static uint64_t now_us(void) {
    return rdg_mono_us(rdg_clock_system());
}

static void pause_us(uint64_t us) {
    struct timespec t = {(time_t)(us / 1000000), (long)(us % 1000000) * 1000};
    nanosleep(&t, NULL);
}

static void die(const char *what, rdg_err_t err) {
    fprintf(stderr, "ridge-load: %s: %s\n", what, rdg_err_message(err));
    exit(1);
}

static void put_word(uint8_t *out, uint64_t v) {
    memset(out, 0, 24);
    rdg_store_be64(out + 24, v);
}

static void selector(const char *signature, uint8_t out[4]) {
    uint8_t hash[32];
    rdg_keccak256(signature, strlen(signature), hash);
    memcpy(out, hash, 4);
}

static rdg_tx_t *sign_call(const meter_t *m, rdg_bytes_t data, uint64_t gas) {
    rdg_tx_t *tx = NULL;
    rdg_tx_fields_t f = {.chain_id = load.chain_id,
                         .nonce = rdg_tx_random_nonce(rdg_random_system()),
                         .valid_until = load.valid_until,
                         .gas_limit = gas,
                         .to = &load.contract,
                         .data = data};
    rdg_err_t err = rdg_tx_sign(&f, m->key, &tx);
    if (err != RDG_OK) die("cannot sign", err);
    return tx;
}

static rdg_tx_t *sign_register(const meter_t *m) {
    uint8_t data[4 + 3 * 32];
    selector("registerMeter(bytes32,int64,int64)", data);
    memcpy(data + 4, m->id, 32);
    put_word(data + 36, 0);
    put_word(data + 68, INT64_MAX);
    return sign_call(m, rdg_bytes(data, sizeof data), GAS_LIMIT);
}

static void put_address_of(uint8_t word[32], const meter_t *m) {
    rdg_sm2_public_t key;
    rdg_address_t a;
    rdg_sm2_key_public(m->key, &key);
    rdg_sm2_address(&key, &a);
    memset(word, 0, 12);
    memcpy(word + 12, a.b, sizeof a.b);
}

static rdg_tx_t *sign_transfer(const meter_t *from, const meter_t *to, uint64_t amount) {
    uint8_t data[4 + 2 * 32];
    selector("transfer(address,uint256)", data);
    put_address_of(data + 4, to);
    put_word(data + 36, amount);
    return sign_call(from, rdg_bytes(data, sizeof data), GAS_LIMIT);
}

static rdg_tx_t *sign_empty(const meter_t *m) {
    uint8_t data[PAYLOAD_MAX];
    memset(data, 0x5a, load.payload);
    return sign_call(m, rdg_bytes(data, load.payload), CALL_GAS + BYTE_GAS * load.payload);
}

/* submit(bytes32,uint64[],int64[]) with one reading. */
static rdg_tx_t *sign_reading(meter_t *m) {
    uint8_t data[4 + 7 * 32];
    selector("submit(bytes32,uint64[],int64[])", data);
    memcpy(data + 4, m->id, 32);
    put_word(data + 4 + 32, 96);
    put_word(data + 4 + 64, 160);
    put_word(data + 4 + 96, 1);
    put_word(data + 4 + 128, m->next_time++);
    put_word(data + 4 + 160, 1);
    put_word(data + 4 + 192, 1000 + m->next_time);
    return sign_call(m, rdg_bytes(data, sizeof data), GAS_LIMIT);
}

/* --- preparation
 * ---------------------------------------------------------------------------------------------------- */

static void make_meters(void) {
    load.meters = calloc(load.meter_count, sizeof *load.meters);
    for (size_t i = 0; i < load.meter_count; ++i) {
        meter_t *m = &load.meters[i];
        rdg_err_t err = rdg_sm2_key_generate(&m->key);
        if (err != RDG_OK) die("cannot make a key", err);
        rdg_random_fill(rdg_random_system(), m->id, sizeof m->id);
        m->next_time = FIRST_TIME;
    }
}

static void register_meters(const rdg_rpc_t *rpc) {
    rdg_tx_t **txs = calloc(load.meter_count, sizeof *txs);
    for (size_t i = 0; i < load.meter_count; ++i) {
        txs[i] = load.erc20 ? sign_transfer(&load.meters[0], &load.meters[i], ENDOWMENT)
                            : sign_register(&load.meters[i]);
        rdg_err_t err = rdg_rpc_send(rpc, txs[i]);
        if (err != RDG_OK) die("cannot register a meter", err);
    }
    for (size_t i = 0; i < load.meter_count; ++i) {
        json_t *receipt = NULL;
        rdg_err_t err = rdg_rpc_wait(rpc, txs[i], 60000, 10, &receipt);
        if (err != RDG_OK) die("cannot register a meter", err);
        const char *status = json_string_value(json_object_get(receipt, "status"));
        if (!status || strcmp(status, "0x1") != 0)
            die("the first call for a meter was reverted", RDG_E_REVERTED);
        json_decref(receipt);
        rdg_tx_unref(txs[i]);
    }
    free(txs);
}

static void *sign_part(void *arg) {
    size_t part = (size_t)(uintptr_t)arg;
    for (size_t i = part; i < load.tx_count; i += 2) {
        meter_t *m = &load.meters[i % load.meter_count];
        load.txs[i] = load.empty   ? sign_empty(m)
                      : load.erc20 ? sign_transfer(m, &load.meters[(i + 1) % load.meter_count], 1)
                                   : sign_reading(m);
    }
    return NULL;
}

static void sign_all(void) {
    pthread_t threads[2];
    load.tx_count = (size_t)(load.rate * load.seconds);
    load.txs = calloc(load.tx_count, sizeof *load.txs);
    load.samples = calloc(load.tx_count, sizeof *load.samples);
    load.by_id = rdg_map_new(load.tx_count + 1);
    for (size_t i = 0; i < 2; ++i) pthread_create(&threads[i], NULL, sign_part, (void *)(uintptr_t)i);
    for (size_t i = 0; i < 2; ++i) pthread_join(threads[i], NULL);
    for (size_t i = 0; i < load.tx_count; ++i)
        if (rdg_map_put(load.by_id, rdg_bytes(load.txs[i]->id.b, 32), &load.samples[i], NULL) != RDG_OK)
            exit(1);
}

/* --- measurement
 * ---------------------------------------------------------------------------------------------------- */

/* Sender k carries the transactions of the meters that belong to it, to node k % url_count. */
static void *run_sender(void *arg) {
    size_t k = (size_t)(uintptr_t)arg, next = k;
    rdg_rpc_t *rpc = NULL;
    if (rdg_rpc_http_new(load.urls[k % load.url_count], 30000, &rpc) != RDG_OK) exit(1);
    uint64_t start = now_us();
    while (next < load.tx_count) {
        json_t *params[BATCH_MAX], *results[BATCH_MAX];
        rdg_err_t errs[BATCH_MAX];
        size_t count = 0, first = next;
        uint64_t elapsed = now_us() - start;
        while (count < BATCH_MAX && next < load.tx_count && next * 1000000 / load.rate <= elapsed) {
            params[count++] =
                json_pack("[o]", rdg_json_hex(load.txs[next]->raw.data, load.txs[next]->raw.len));
            load.samples[next].sent_us = start + next * 1000000 / load.rate;
            next += load.sender_count;
        }
        if (count == 0) {
            pause_us(2000);
            continue;
        }
        uint64_t late = now_us() - load.samples[first].sent_us;
        rdg_err_t err = rpc->batch(rpc->ctx, "ridge_sendTransaction", params, count, results, errs);
        size_t refused = 0;
        for (size_t i = 0; i < count; ++i) {
            json_decref(params[i]);
            if (err != RDG_OK || errs[i] != RDG_OK)
                ++refused;
            else
                json_decref(results[i]);
        }
        pthread_mutex_lock(&load.lock);
        load.sent += count;
        load.refused += refused;
        if (late > load.late_us) load.late_us = late;
        pthread_mutex_unlock(&load.lock);
    }
    rdg_rpc_http_free(rpc);
    return NULL;
}

static size_t note_block(const json_t *block) {
    const json_t *txs = json_object_get(block, "transactions");
    size_t i, found = 0;
    json_t *id;
    uint64_t seen = now_us();
    json_array_foreach(txs, i, id) {
        uint8_t hash[32];
        const char *text = json_string_value(id);
        if (!text || rdg_hex_decode(text, strlen(text), hash, 32) != RDG_OK) continue;
        sample_t *s = rdg_map_get(load.by_id, rdg_bytes(hash, 32));
        if (s && s->seen_us == 0) s->seen_us = seen, ++found;
    }
    return found;
}

static void follow(const rdg_rpc_t *rpc, uint64_t height, uint64_t deadline_us) {
    while (load.seen + load.refused < load.tx_count && now_us() < deadline_us) {
        json_t *block = NULL, *number = rdg_json_quantity(height + 1);
        rdg_err_t err = rdg_rpc_call(rpc, "eth_getBlockByNumber", json_pack("[o, b]", number, 0), &block);
        if (err == RDG_OK && json_is_object(block)) {
            size_t found = note_block(block);
            pthread_mutex_lock(&load.lock);
            load.seen += found;
            pthread_mutex_unlock(&load.lock);
            ++height;
        } else {
            pause_us(5000);
        }
        json_decref(block);
    }
}

static int compare(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void report(void) {
    uint64_t *latency = calloc(load.tx_count + 1, sizeof *latency), first = UINT64_MAX, last = 0;
    size_t n = 0;
    for (size_t i = 0; i < load.tx_count; ++i) {
        const sample_t *s = &load.samples[i];
        if (s->sent_us && s->sent_us < first) first = s->sent_us;
        if (!s->seen_us) continue;
        if (s->seen_us > last) last = s->seen_us;
        latency[n++] = s->seen_us - s->sent_us;
    }
    qsort(latency, n, sizeof *latency, compare);
    size_t p50 = n / 2, p99 = n * 99 / 100;
    double seconds = n ? (double)(last - first) / 1e6 : 0;
    printf("{\"offered_tps\": %llu, \"sent\": %zu, \"refused\": %zu, \"included\": %zu, \"seconds\": %.3f, "
           "\"tps\": %.1f, "
           "\"p50_ms\": %.1f, \"p99_ms\": %.1f, \"max_ms\": %.1f, \"late_ms\": %.1f}\n",
           (unsigned long long)load.rate, load.sent, load.refused, n, seconds,
           seconds > 0 ? (double)n / seconds : 0, n ? (double)latency[p50] / 1e3 : 0,
           n ? (double)latency[p99] / 1e3 : 0, n ? (double)latency[n - 1] / 1e3 : 0,
           (double)load.late_us / 1e3);
    free(latency);
}

static const rdg_option_t options[] = {
    {"rpc", RDG_OPT_STRING, NULL, "URLs of nodes, separated by commas", false, 0, 0},
    {"contract", RDG_OPT_STRING, NULL, "address of the Metering contract", false, 0, 0},
    {"artifact", RDG_OPT_STRING, NULL, "instead: deploy the contract of this artefact", false, 0, 0},
    {"erc20", RDG_OPT_BOOL, "false",
     "the artefact is of a token (address holder, uint256 amount): transfer it", false, 0, 0},
    {"empty", RDG_OPT_BOOL, "false", "instead: call an address without code", false, 0, 0},
    {"payload", RDG_OPT_U64, "0", "bytes of data in an empty call", false, 0, PAYLOAD_MAX},
    {"meters", RDG_OPT_U64, "200", "meters, each with a key of its own", false, 1, 100000},
    {"rate", RDG_OPT_U64, "500", "transactions a second", false, 1, 100000},
    {"seconds", RDG_OPT_U64, "10", "how long", false, 1, 3600},
    {"connections", RDG_OPT_U64, "2", "to each node, each with one batch under way", false, 1,
     CONNECTIONS_MAX},
};

static void split_urls(char *text) {
    while (*text && load.url_count < NODES_MAX) {
        size_t len = strcspn(text, ",");
        bool last = text[len] == '\0';
        text[len] = '\0';
        if (len > 0) load.urls[load.url_count++] = text;
        text += last ? len : len + 1;
    }
}

/* Deploys the contract of an artefact and takes its address. */
static void deploy(const rdg_rpc_t *rpc, const char *path) {
    rdg_buf_t text, code;
    json_t *artifact = NULL, *receipt = NULL;
    const char *hex = NULL;
    rdg_sm2_key_t *key = NULL;
    rdg_tx_t *tx = NULL;
    rdg_buf_init(&text, 4u << 20);
    rdg_buf_init(&code, 1u << 20);
    rdg_err_t err = rdg_file_read(path, &text);
    if (err == RDG_OK) err = rdg_json_parse(rdg_buf_view(&text), &artifact);
    if (err == RDG_OK) err = rdg_json_get_str(artifact, "bytecode", &hex);
    if (err == RDG_OK) err = rdg_hex_decode_buf(hex, strlen(hex), &code);
    if (err == RDG_OK && load.erc20) { /* constructor(address holder, uint256 amount) */
        uint8_t words[64];
        put_address_of(words, &load.meters[0]);
        put_word(words + 32, UINT64_MAX);
        err = rdg_buf_append(&code, words, sizeof words);
    }
    if (err == RDG_OK) err = rdg_sm2_key_generate(&key);
    rdg_tx_fields_t f = {.chain_id = load.chain_id,
                         .nonce = rdg_tx_random_nonce(rdg_random_system()),
                         .valid_until = load.valid_until,
                         .gas_limit = 10000000,
                         .data = rdg_buf_view(&code)};
    if (err == RDG_OK) err = rdg_tx_sign(&f, key, &tx);
    if (err == RDG_OK) err = rdg_rpc_send(rpc, tx);
    if (err == RDG_OK) err = rdg_rpc_wait(rpc, tx, 30000, 10, &receipt);
    if (err == RDG_OK) err = rdg_json_get_hex(receipt, "contractAddress", load.contract.b, 20);
    if (err != RDG_OK) die("cannot deploy the contract", err);
    json_decref(receipt);
    json_decref(artifact);
    rdg_tx_unref(tx);
    rdg_sm2_key_free(key);
    rdg_buf_fini(&text);
    rdg_buf_fini(&code);
}

int main(int argc, char **argv) {
    rdg_config_t *c = NULL;
    rdg_rpc_t *rpc = NULL;
    rdg_rpc_head_t head;
    pthread_t threads[NODES_MAX * CONNECTIONS_MAX];
    rdg_err_t err =
        rdg_config_load("ridge-load", "Loads a chain with metering transactions and measures it.",
                        "RIDGE_LOAD", options, sizeof options / sizeof options[0], argc, argv, &c);
    if (err == RDG_E_CANCELLED) return 0;
    if (err != RDG_OK) die("options", err);
    const char *contract = rdg_config_str(c, "contract"), *artifact = rdg_config_str(c, "artifact");
    load.empty = rdg_config_bool(c, "empty"), load.payload = rdg_config_u64(c, "payload");
    load.erc20 = rdg_config_bool(c, "erc20");
    if (!rdg_config_str(c, "rpc") || (!contract && !artifact && !load.empty))
        die("--rpc and --contract, --artifact or --empty are needed", RDG_E_INVALID);
    char *urls = strdup(rdg_config_str(c, "rpc"));
    split_urls(urls);
    if (contract) err = rdg_hex_decode(contract, strlen(contract), load.contract.b, 20);
    if (err == RDG_OK) err = rdg_rpc_http_new(load.urls[0], 30000, &rpc);
    if (err == RDG_OK) err = rdg_rpc_head(rpc, &head);
    if (err != RDG_OK) die("start", err);
    pthread_mutex_init(&load.lock, NULL);
    load.rate = rdg_config_u64(c, "rate"), load.seconds = rdg_config_u64(c, "seconds");
    load.sender_count = load.url_count * rdg_config_u64(c, "connections");
    /* A multiple of the senders and of the two signers keeps each meter with one sender and one signer. */
    size_t unit = 2 * load.sender_count;
    load.meter_count = (rdg_config_u64(c, "meters") + unit - 1) / unit * unit;
    load.chain_id = head.chain_id, load.valid_until = head.height + 90000;
    make_meters();
    if (load.empty)
        memset(load.contract.b, 0xee, sizeof load.contract.b);
    else if (!contract)
        deploy(rpc, artifact);
    if (!load.empty) register_meters(rpc);
    sign_all();
    if ((err = rdg_rpc_head(rpc, &head)) != RDG_OK) die("head", err);
    for (size_t k = 0; k < load.sender_count; ++k)
        pthread_create(&threads[k], NULL, run_sender, (void *)(uintptr_t)k);
    follow(rpc, head.height, now_us() + (load.seconds + 60) * 1000000);
    for (size_t k = 0; k < load.sender_count; ++k) pthread_join(threads[k], NULL);
    report();
    rdg_rpc_http_free(rpc);
    rdg_config_free(c);
    free(urls);
    return load.seen + load.refused == load.tx_count ? 0 : 1;
}
