/* Meters in closed loops. Each has one transaction under way: it sends it to a node, asks that node for the receipt, and
 * when none comes in time it sends the same transaction to another one, as a careful client does. One in eight is given to
 * two nodes from the start. SIGTERM: nothing new is sent; the end comes when every transaction has its receipt. */
#include "campaign.h"
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "ridge/base/clock.h"
#include "ridge/base/file.h"
#include "ridge/client/rpc.h"
#include "ridge/codec/hex.h"
#include "ridge/crypto/hash.h"

#define NODES_MAX 64
#define BATCH 50
#define GAS_LIMIT 400000
#define FIRST_TIME 1000000
#define DOUBLED 8
#define CALL_MS 3000
#define PAUSE_MS 10

typedef enum meter_state {
    METER_IDLE,
    METER_SIGNING,
    METER_SEND,
    METER_SENDING,
    METER_WAIT,
    METER_ASKING
} meter_state_t;

typedef struct meter {
    rdg_sm2_key_t *key;
    uint8_t id[32];
    uint64_t time, value, since_ms, again_ms;
    bool registered, doubled;
    size_t node;
    meter_state_t state;
    rdg_tx_t *tx;
} meter_t;

static struct {
    const char *urls[NODES_MAX];
    size_t url_count, meter_count;
    meter_t *meters;
    rdg_address_t contract;
    uint64_t chain_id, valid_until, rate, patience_ms, start_ms, sent, acknowledged, failed, again,
        refusals[RDG_E_LIMIT_];
    FILE *journal;
    pthread_mutex_t lock;
} load = {.lock = PTHREAD_MUTEX_INITIALIZER};

static atomic_bool stopping, ended;

static void on_term(int sig) {
    (void)sig;
    atomic_store(&stopping, true);
}

static uint64_t now_ms(void) {
    return rdg_mono_ms(rdg_clock_system());
}

static uint64_t dice(uint64_t n) {
    uint64_t v;
    rdg_random_fill(rdg_random_system(), &v, sizeof v);
    return v % n;
}

static void pause_ms(long ms) {
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

static size_t put_word(uint8_t *out, uint64_t v) {
    memset(out, 0, 24);
    rdg_store_be64(out + 24, v);
    return 32;
}

static rdg_tx_t *sign(const rdg_sm2_key_t *key, const rdg_address_t *to, rdg_bytes_t data, uint64_t gas) {
    rdg_tx_t *tx = NULL;
    rdg_tx_fields_t f = {.chain_id = load.chain_id,
                         .nonce = rdg_tx_random_nonce(rdg_random_system()),
                         .valid_until = load.valid_until,
                         .gas_limit = gas,
                         .to = to,
                         .data = data};
    campaign_must(rdg_tx_sign(&f, key, &tx), "cannot sign");
    return tx;
}

/* registerMeter first, then submit with one reading at a time. */
static void sign_next(meter_t *m) {
    static const char *const signatures[] = {"registerMeter(bytes32,int64,int64)",
                                             "submit(bytes32,uint64[],int64[])"};
    uint8_t data[4 + 7 * 32], hash[32];
    size_t len = 4;
    rdg_keccak256(signatures[m->registered], strlen(signatures[m->registered]), hash);
    memcpy(data, hash, 4);
    memcpy(data + len, m->id, 32), len += 32;
    m->value = m->registered ? 1 + dice(1000000) : 0;
    if (m->registered) {
        const uint64_t words[] = {96, 160, 1, m->time++, 1, m->value};
        for (size_t i = 0; i < 6; ++i) len += put_word(data + len, words[i]);
    } else {
        len += put_word(data + len, 0);
        len += put_word(data + len, INT64_MAX);
    }
    m->tx = sign(m->key, &load.contract, rdg_bytes(data, len), GAS_LIMIT);
    m->doubled = load.url_count > 1 && dice(DOUBLED) == 0;
}

/* --- moves of a meter, with the lock held ------------------------------------------------------------------ */

static size_t collect(size_t node, meter_state_t from, meter_state_t to, meter_t **out, size_t max) {
    size_t count = 0;
    uint64_t now = now_ms();
    for (size_t i = 0; i < load.meter_count && count < max; ++i) {
        meter_t *m = &load.meters[i];
        if (m->node != node || m->state != from || m->again_ms > now) continue;
        m->state = to;
        out[count++] = m;
    }
    return count;
}

static void elsewhere(meter_t *m, uint64_t wait_ms) {
    m->node = (m->node + 1 + (load.url_count > 1 ? dice(load.url_count - 1) : 0)) % load.url_count;
    m->state = METER_SEND;
    m->again_ms = now_ms() + wait_ms;
    ++load.again;
}

static void was_sent(meter_t *m, rdg_err_t err) {
    ++load.refusals[err];
    if (err != RDG_OK && err != RDG_E_DUPLICATE) {
        elsewhere(m, 100);
        return;
    }
    m->since_ms = now_ms();
    m->state = METER_WAIT;
    m->again_ms = 0;
    if (m->doubled) elsewhere(m, 0);
    m->doubled = false;
}

static void was_asked(meter_t *m, json_t *receipt, size_t node) {
    if (!receipt) {
        m->state = METER_WAIT;
        m->again_ms = now_ms() + 20;
        if (now_ms() - m->since_ms > load.patience_ms) elsewhere(m, 0);
        return;
    }
    const char *status = json_string_value(json_object_get(receipt, "status"));
    journal_acknowledged(load.journal, &m->tx->id, receipt, load.urls[node]);
    if (!status || strcmp(status, "0x1") != 0) ++load.failed;
    ++load.acknowledged;
    m->registered = true;
    rdg_tx_unref(m->tx);
    m->tx = NULL;
    m->state = METER_IDLE;
    m->again_ms = 0;
    m->node = dice(load.url_count);
}

/* --- a worker a node ---------------------------------------------------------------------------------------- */

static size_t sign_some(size_t node) {
    meter_t *batch[BATCH];
    size_t allowed = BATCH;
    pthread_mutex_lock(&load.lock);
    uint64_t due = (now_ms() - load.start_ms) * load.rate / 1000;
    if (due < load.sent + allowed) allowed = due > load.sent ? (size_t)(due - load.sent) : 0;
    size_t count = atomic_load(&stopping) ? 0 : collect(node, METER_IDLE, METER_SIGNING, batch, allowed);
    load.sent += count;
    pthread_mutex_unlock(&load.lock);
    for (size_t i = 0; i < count; ++i) sign_next(batch[i]);
    pthread_mutex_lock(&load.lock);
    for (size_t i = 0; i < count; ++i) {
        journal_sent(load.journal,
                     &(journal_sent_t){batch[i]->tx, batch[i]->id, batch[i]->registered, batch[i]->value});
        batch[i]->state = METER_SEND;
    }
    pthread_mutex_unlock(&load.lock);
    return count;
}

static size_t send_some(const rdg_rpc_t *rpc, size_t node) {
    meter_t *batch[BATCH];
    json_t *params[BATCH], *results[BATCH];
    rdg_err_t errs[BATCH];
    pthread_mutex_lock(&load.lock);
    size_t count = collect(node, METER_SEND, METER_SENDING, batch, BATCH);
    pthread_mutex_unlock(&load.lock);
    if (count == 0) return 0;
    for (size_t i = 0; i < count; ++i)
        params[i] = json_pack("[o]", rdg_json_hex(batch[i]->tx->raw.data, batch[i]->tx->raw.len));
    rdg_err_t err = rpc->batch(rpc->ctx, "ridge_sendTransaction", params, count, results, errs);
    pthread_mutex_lock(&load.lock);
    for (size_t i = 0; i < count; ++i) {
        was_sent(batch[i], err != RDG_OK ? err : errs[i]);
        if (err == RDG_OK && errs[i] == RDG_OK) json_decref(results[i]);
        json_decref(params[i]);
    }
    pthread_mutex_unlock(&load.lock);
    return count;
}

static size_t ask_some(const rdg_rpc_t *rpc, size_t node) {
    meter_t *batch[BATCH];
    rdg_hash_t ids[BATCH];
    json_t *receipts[BATCH] = {NULL};
    pthread_mutex_lock(&load.lock);
    size_t count = collect(node, METER_WAIT, METER_ASKING, batch, BATCH);
    for (size_t i = 0; i < count; ++i) ids[i] = batch[i]->tx->id;
    pthread_mutex_unlock(&load.lock);
    if (count == 0) return 0;
    rdg_err_t err = rdg_rpc_receipts(rpc, ids, count, receipts);
    pthread_mutex_lock(&load.lock);
    for (size_t i = 0; i < count; ++i) {
        if (err != RDG_OK)
            elsewhere(batch[i], 0);
        else
            was_asked(batch[i], receipts[i], node);
        if (err == RDG_OK) json_decref(receipts[i]);
    }
    pthread_mutex_unlock(&load.lock);
    return count;
}

static void *work(void *arg) {
    size_t node = (size_t)(uintptr_t)arg;
    rdg_rpc_t *rpc = NULL;
    campaign_must(rdg_rpc_http_new(load.urls[node], CALL_MS, &rpc), load.urls[node]);
    while (!atomic_load(&ended)) {
        size_t did = sign_some(node) + send_some(rpc, node) + ask_some(rpc, node);
        if (did == 0) pause_ms(PAUSE_MS);
    }
    rdg_rpc_http_free(rpc);
    return NULL;
}

/* --- start and end ------------------------------------------------------------------------------------------ */

static void deploy(const rdg_rpc_t *rpc, const char *path) {
    rdg_buf_t text, code;
    json_t *artifact = NULL, *receipt = NULL;
    const char *hex = NULL;
    rdg_sm2_key_t *key = NULL;
    rdg_buf_init(&text, 4u << 20);
    rdg_buf_init(&code, 1u << 20);
    campaign_must(rdg_file_read(path, &text), path);
    campaign_must(rdg_json_parse(rdg_buf_view(&text), &artifact), path);
    campaign_must(rdg_json_get_str(artifact, "bytecode", &hex), path);
    campaign_must(rdg_hex_decode_buf(hex, strlen(hex), &code), path);
    campaign_must(rdg_sm2_key_generate(&key), "key");
    rdg_tx_t *tx = sign(key, NULL, rdg_buf_view(&code), 10000000);
    campaign_must(rdg_rpc_send(rpc, tx), "cannot deploy the contract");
    campaign_must(rdg_rpc_wait(rpc, tx, 60000, 20, &receipt), "cannot deploy the contract");
    campaign_must(rdg_json_get_hex(receipt, "contractAddress", load.contract.b, 20),
                  "receipt of the contract");
    json_decref(receipt);
    json_decref(artifact);
    rdg_tx_unref(tx);
    rdg_sm2_key_free(key);
    rdg_buf_fini(&text);
    rdg_buf_fini(&code);
}

static size_t open_count(void) {
    size_t open = 0;
    pthread_mutex_lock(&load.lock);
    for (size_t i = 0; i < load.meter_count; ++i) open += load.meters[i].state != METER_IDLE;
    fflush(load.journal);
    pthread_mutex_unlock(&load.lock);
    return open;
}

static void report(size_t open) {
    char contract[41];
    json_t *refusals = json_object();
    for (size_t i = 1; i < RDG_E_LIMIT_; ++i)
        if (load.refusals[i])
            json_object_set_new(refusals, rdg_err_name((rdg_err_t)i),
                                json_integer((json_int_t)load.refusals[i]));
    rdg_hex_encode(load.contract.b, 20, contract);
    json_t *o =
        json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:o}", "contract", contract, "sent", (json_int_t)load.sent,
                  "acknowledged", (json_int_t)load.acknowledged, "failed", (json_int_t)load.failed, "open",
                  (json_int_t)open, "again", (json_int_t)load.again, "refusals", refusals);
    json_dumpf(o, stdout, JSON_COMPACT);
    puts("");
    json_decref(o);
}

static const rdg_option_t options[] = {
    {"rpc", RDG_OPT_STRING, NULL, "URLs of nodes, separated by commas", false, 0, 0},
    {"artifact", RDG_OPT_STRING, NULL, "of the Metering contract, which is deployed", false, 0, 0},
    {"journal", RDG_OPT_STRING, NULL, "file for what was sent and acknowledged", false, 0, 0},
    {"meters", RDG_OPT_U64, "100", "meters, each with a key of its own", false, 1, 10000},
    {"rate", RDG_OPT_U64, "200", "new transactions a second, at most", false, 1, 100000},
    {"patience", RDG_OPT_MS, "3s", "for a receipt before another node is asked", false, 0, 0},
    {"drain", RDG_OPT_MS, "60s", "after SIGTERM, for what has no receipt yet", false, 0, 0},
};

static void start(const rdg_config_t *c, char *urls) {
    rdg_rpc_t *rpc = NULL;
    rdg_rpc_head_t head;
    for (char *at = strtok(urls, ","); at && load.url_count < NODES_MAX; at = strtok(NULL, ","))
        load.urls[load.url_count++] = at;
    load.journal = fopen(rdg_config_str(c, "journal"), "we");
    if (!load.journal) campaign_must(rdg_fail(RDG_E_IO, "cannot be written"), rdg_config_str(c, "journal"));
    campaign_must(rdg_rpc_http_new(load.urls[0], 30000, &rpc), load.urls[0]);
    campaign_must(rdg_rpc_head(rpc, &head), load.urls[0]);
    load.chain_id = head.chain_id, load.valid_until = head.height + RDG_TX_VALID_MAX - 1000;
    load.rate = rdg_config_u64(c, "rate"), load.patience_ms = rdg_config_u64(c, "patience");
    deploy(rpc, rdg_config_str(c, "artifact"));
    rdg_rpc_http_free(rpc);
    load.meter_count = rdg_config_u64(c, "meters");
    load.meters = calloc(load.meter_count, sizeof *load.meters);
    for (size_t i = 0; i < load.meter_count; ++i) {
        meter_t *m = &load.meters[i];
        campaign_must(rdg_sm2_key_generate(&m->key), "key");
        rdg_random_fill(rdg_random_system(), m->id, sizeof m->id);
        m->time = FIRST_TIME;
        m->node = i % load.url_count;
    }
    load.start_ms = now_ms();
}

int campaign_load(int argc, char **argv) {
    pthread_t threads[NODES_MAX];
    rdg_config_t *c = NULL;
    rdg_err_t err =
        rdg_config_load("ridge-campaign load", "Loads a chain and journals what it acknowledged.",
                        "RIDGE_CAMPAIGN", options, sizeof options / sizeof options[0], argc, argv, &c);
    if (err == RDG_E_CANCELLED) return 0;
    campaign_must(err, "options");
    if (!rdg_config_str(c, "rpc") || !rdg_config_str(c, "artifact") || !rdg_config_str(c, "journal"))
        campaign_must(rdg_fail(RDG_E_INVALID, "--rpc, --artifact and --journal are needed"), "options");
    signal(SIGTERM, on_term);
    signal(SIGINT, on_term);
    char *urls = strdup(rdg_config_str(c, "rpc"));
    start(c, urls);
    for (size_t k = 0; k < load.url_count; ++k) pthread_create(&threads[k], NULL, work, (void *)(uintptr_t)k);
    while (!atomic_load(&stopping)) pause_ms(PAUSE_MS), (void)open_count();
    uint64_t end = now_ms() + rdg_config_u64(c, "drain");
    size_t open;
    while ((open = open_count()) > 0 && now_ms() < end) pause_ms(PAUSE_MS);
    atomic_store(&ended, true);
    for (size_t k = 0; k < load.url_count; ++k) pthread_join(threads[k], NULL);
    report(open);
    fclose(load.journal);
    rdg_config_free(c);
    free(urls);
    return open == 0 ? 0 : 1;
}
