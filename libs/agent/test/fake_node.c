#include "fake_node.h"
#include "ridge/base/alloc.h"
#include "ridge/base/buf.h"
#include "ridge/base/file.h"
#include "ridge/base/random.h"
#include "ridge/codec/hex.h"
#include "ridge/codec/json.h"
#include "ridge/ledger/tx.h"
#include "ridge/net/http_server.h"
#include "ridge/test.h"
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define TXS_MAX 20000
#define METERS_MAX 64

typedef struct fake_tx {
    rdg_hash_t id;
    rdg_tx_t *tx;
    bool included, success, lost;
} fake_tx_t;

typedef struct fake_meter {
    uint8_t id[32];
    uint64_t last_time;
} fake_meter_t;

struct fake_node {
    rdg_http_server_t *http;
    pthread_mutex_t lock;
    char url[64];
    bool hold, full;
    uint64_t height, count, reverts, sends;
    int64_t sum;
    char token[65]; /* of its agent */
    unsigned asked; /* for long work */
    fake_tx_t txs[TXS_MAX];
    size_t tx_count, meter_count;
    fake_meter_t meters[METERS_MAX];
};

static fake_meter_t *meter(fake_node_t *n, const uint8_t *id, bool make) {
    for (size_t i = 0; i < n->meter_count; ++i)
        if (memcmp(n->meters[i].id, id, 32) == 0) return &n->meters[i];
    if (!make || n->meter_count == METERS_MAX) return NULL;
    memcpy(n->meters[n->meter_count].id, id, 32);
    return &n->meters[n->meter_count++];
}

/* registerMeter and submit are told apart by their form; a submit with any reading not newer fails whole. */
static bool execute(fake_node_t *n, const rdg_tx_t *tx) {
    const uint8_t *d = tx->data.data;
    if (tx->data.len < 4 + 96) return false;
    if (tx->data.len == 4 + 96) return meter(n, d + 4, true) != NULL;
    uint64_t count = rdg_load_be64(d + 4 + 96 + 24);
    const uint8_t *times = d + 4 + 128, *values = times + 32 * count + 32;
    fake_meter_t *m = meter(n, d + 4, false);
    if (!m || tx->data.len != 4 + 32 * (5 + 2 * count)) return false;
    uint64_t last = m->last_time;
    for (uint64_t i = 0; i < count; ++i) {
        uint64_t t = rdg_load_be64(times + 32 * i + 24);
        if (t <= last) return false;
        last = t;
    }
    m->last_time = last;
    for (uint64_t i = 0; i < count; ++i) n->sum += (int64_t)rdg_load_be64(values + 32 * i + 24);
    n->count += count;
    return true;
}

static void seal_block(fake_node_t *n) {
    ++n->height;
    if (n->hold) return;
    for (size_t i = 0; i < n->tx_count; ++i) {
        fake_tx_t *t = &n->txs[i];
        if (t->included || t->lost || n->height > t->tx->valid_until) continue;
        t->included = true;
        t->success = execute(n, t->tx);
        n->reverts += !t->success;
    }
}

static fake_tx_t *find_tx(fake_node_t *n, const rdg_hash_t *id) {
    for (size_t i = 0; i < n->tx_count; ++i)
        if (rdg_hash_equal(&n->txs[i].id, id)) return &n->txs[i];
    return NULL;
}

static rdg_err_t take_tx(fake_node_t *n, const char *hex, json_t **result) {
    rdg_buf_t wire;
    rdg_tx_t *tx = NULL;
    ++n->sends;
    rdg_buf_init(&wire, RDG_TX_BYTES_MAX);
    rdg_err_t err = hex ? rdg_hex_decode_buf(hex, strlen(hex), &wire) : RDG_E_INVALID;
    if (err == RDG_OK) err = rdg_tx_decode(rdg_buf_view(&wire), &tx);
    rdg_buf_fini(&wire);
    if (err == RDG_OK) err = rdg_tx_verify(tx);
    fake_tx_t *t = err == RDG_OK ? find_tx(n, &tx->id) : NULL;
    if (err == RDG_OK) *result = rdg_json_hex(tx->id.b, 32);
    if (err == RDG_OK && n->full) err = RDG_E_FULL;
    if (err == RDG_OK && t && !t->lost) err = RDG_E_DUPLICATE;
    if (err == RDG_OK && t) {
        t->lost = false;
    } else if (err == RDG_OK && n->tx_count < TXS_MAX) {
        n->txs[n->tx_count++] = (fake_tx_t){.id = tx->id, .tx = rdg_tx_ref(tx)};
    }
    rdg_tx_unref(tx);
    return err;
}

/* NotNewer(bytes32,uint64,uint64), as the contract says it. */
static json_t *revert_data(void) {
    uint8_t data[100] = {0}, digest[32];
    static const char signature[] = "NotNewer(bytes32,uint64,uint64)";
    rdg_keccak256(signature, sizeof signature - 1, digest);
    memcpy(data, digest, 4);
    data[67] = 200;
    data[99] = 100;
    return rdg_json_hex(data, sizeof data);
}

/* Done when it is asked for the second time; with a file "end-once" beside it, the node ends instead. */
static rdg_err_t work(fake_node_t *n, const char *token, json_t **result) {
    if (!n->token[0] || !token || strcmp(token, n->token) != 0)
        return rdg_fail(RDG_E_FORBIDDEN, "not the agent's token");
    if (unlink("end-once") == 0) _exit(9);
    *result = json_pack("{s:s, s:i, s:i}", "state", n->asked++ ? "done" : "running", "pruned_height", 3,
                        "freed_bytes", 4);
    return RDG_OK;
}

static rdg_err_t call(fake_node_t *n, const char *method, const json_t *params, json_t **result) {
    const char *first = json_string_value(json_array_get(params, 0));
    rdg_hash_t id;
    if (strcmp(method, "ridge_status") == 0) {
        seal_block(n);
        *result = json_pack("{s:I, s:I, s:s}", "height", (json_int_t)n->height, "chain_id", (json_int_t)7,
                            "hash", "0x1111111111111111111111111111111111111111111111111111111111111111");
        return RDG_OK;
    }
    if (strcmp(method, "ridge_sendTransaction") == 0) return take_tx(n, first, result);
    if (strcmp(method, "eth_getTransactionReceipt") == 0 && first &&
        rdg_hex_decode(first, strlen(first), id.b, 32) == RDG_OK) {
        const fake_tx_t *t = find_tx(n, &id);
        *result = t && t->included ? json_pack("{s:s}", "status", t->success ? "0x1" : "0x0") : json_null();
        if (t && t->included && !t->success) json_object_set_new(*result, "output", revert_data());
        return RDG_OK;
    }
    if (strcmp(method, "node_prune") == 0) return work(n, first, result);
    return rdg_fail(RDG_E_UNSUPPORTED, "no method %s", method);
}

static json_t *answer(fake_node_t *n, const json_t *request) {
    json_t *result = NULL;
    const char *method = json_string_value(json_object_get(request, "method"));
    pthread_mutex_lock(&n->lock);
    rdg_err_t err = call(n, method ? method : "", json_object_get(request, "params"), &result);
    pthread_mutex_unlock(&n->lock);
    json_t *id = json_object_get(request, "id");
    if (err == RDG_OK) return json_pack("{s:s, s:O, s:o}", "jsonrpc", "2.0", "id", id, "result", result);
    json_decref(result);
    return json_pack("{s:s, s:O, s:{s:i, s:s, s:{s:s}}}", "jsonrpc", "2.0", "id", id, "error", "code", -32000,
                     "message", rdg_err_message(err), "data", "code", rdg_err_name(err));
}

static void handle(void *ctx, const rdg_http_request_t *req, rdg_http_response_t *res) {
    json_t *in = NULL, *out = NULL, *one;
    rdg_buf_t text;
    size_t i;
    if (rdg_json_parse(rdg_http_body(req), &in) != RDG_OK) {
        rdg_http_status(res, 400);
        return;
    }
    if (json_is_array(in)) {
        out = json_array();
        json_array_foreach(in, i, one) json_array_append_new(out, answer(ctx, one));
    } else {
        out = answer(ctx, in);
    }
    rdg_buf_init(&text, 1u << 20);
    (void)rdg_json_dump(out, &text);
    (void)rdg_http_write(res, "application/json", rdg_buf_view(&text));
    rdg_buf_fini(&text);
    json_decref(in);
    json_decref(out);
}

fake_node_t *fake_node_start(uint16_t port) {
    fake_node_t *n = calloc(1, sizeof *n);
    rdg_http_server_options_t o = {.port = port, .max_body = 4u << 20};
    if (!n) return NULL;
    pthread_mutex_init(&n->lock, NULL);
    if (rdg_http_server_start(&o, handle, n, &n->http) != RDG_OK) {
        free(n);
        return NULL;
    }
    snprintf(n->url, sizeof n->url, "http://127.0.0.1:%u", (unsigned)rdg_http_server_port(n->http));
    return n;
}

void fake_node_stop(fake_node_t *n) {
    if (!n) return;
    rdg_http_server_stop(n->http);
    for (size_t i = 0; i < n->tx_count; ++i) rdg_tx_unref(n->txs[i].tx);
    free(n);
}

const char *fake_node_url(const fake_node_t *n) {
    return n->url;
}

#define LOCKED(n, statement)                                                                                 \
    do {                                                                                                     \
        pthread_mutex_lock(&(n)->lock);                                                                      \
        statement;                                                                                           \
        pthread_mutex_unlock(&(n)->lock);                                                                    \
    } while (0)

void fake_node_hold(fake_node_t *n, bool hold) {
    LOCKED(n, n->hold = hold);
}

void fake_node_full(fake_node_t *n, bool full) {
    LOCKED(n, n->full = full);
}

void fake_node_jump(fake_node_t *n, uint64_t height) {
    LOCKED(n, n->height = height);
}

void fake_node_forget(fake_node_t *n) {
    LOCKED(n, for (size_t i = 0; i < n->tx_count; ++i) n->txs[i].lost = !n->txs[i].included);
}

uint64_t fake_node_count(fake_node_t *n) {
    uint64_t v;
    LOCKED(n, v = n->count);
    return v;
}

int64_t fake_node_sum(fake_node_t *n) {
    int64_t v;
    LOCKED(n, v = n->sum);
    return v;
}

uint64_t fake_node_reverts(fake_node_t *n) {
    uint64_t v;
    LOCKED(n, v = n->reverts);
    return v;
}

uint64_t fake_node_sends(fake_node_t *n) {
    uint64_t v;
    LOCKED(n, v = n->sends);
    return v;
}

size_t fake_node_distinct(fake_node_t *n) {
    size_t v = 0;
    LOCKED(n, for (size_t i = 0; i < n->tx_count; ++i) v += n->txs[i].included);
    return v;
}

/* --- as a program ---------------------------------------------------------------------------------- */

void fake_node_main(int argc, char **argv) {
    const char *kind = getenv("FAKE_NODE");
    if (argc < 3 || !kind || strcmp(argv[1], "--config") != 0) return;
    unsigned port = 0;
    char line[512];
    sigset_t signals;
    int signal_number;
    if (strcmp(kind, "broken") == 0) {
        fprintf(stderr, "ridge-node: genesis.json: no validators\n");
        _exit(2);
    }
    FILE *f = fopen(argv[2], "re");
    if (!f) _exit(2);
    while (fgets(line, sizeof line, f))
        if (sscanf(line, "rpc-port = %u", &port) == 1) break;
    fclose(f);
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    char token[65];
    rdg_random_hex(rdg_random_system(), token, 32);
    if (rdg_file_replace("agent.token", rdg_bytes_str(token), 0600) != RDG_OK) _exit(1);
    fake_node_t *n = fake_node_start((uint16_t)port);
    if (!n) _exit(4);
    LOCKED(n, memcpy(n->token, token, sizeof token));
    (void)rdg_dir_make("data", 0700);
    sigwait(&signals, &signal_number);
    fake_node_stop(n);
    _exit(0);
}

__attribute__((constructor)) static void be_a_node(int argc, char **argv) {
    fake_node_main(argc, argv);
}
