/* What is done once for the requests of a batch. */
#include "ridge/codec/hex.h"
#include "rpc_internal.h"
#include <string.h>

#define RECEIPT "eth_getTransactionReceipt"
#define WAITS_BYTES_MAX (64u << 10) /* a batch of them has less */

static const json_t *transaction_of(const json_t *request) {
    const char *method = json_string_value(json_object_get(request, "method"));
    bool sends = method && strcmp(method, "ridge_sendTransaction") == 0;
    return sends ? json_array_get(json_object_get(request, "params"), 0) : NULL;
}

static void init(rpc_batch_t *b) {
    b->expected = NULL;
    memset(b->place_of, 0, sizeof b->place_of);
    rdg_buf_init(&b->bytes, RDG_RPC_CALLS_MAX * (size_t)RDG_TX_BYTES_MAX);
}

/* ends[k]: of the k-th transaction in the batch's bytes. */
static void expect(rdg_node_rpc_t *rpc, rpc_batch_t *b, const size_t *ends, size_t count) {
    for (size_t k = 0, from = 0; k < count; from = ends[k++])
        b->wires[k] = rdg_bytes(b->bytes.data + from, ends[k] - from);
    if (count > 1 && rpc->options.expect)
        b->expected = rpc->options.expect(rpc->options.ctx, b->wires, count);
}

/* Whatever is wrong with one of them is said when its turn comes. */
void rpc_batch_open(rdg_node_rpc_t *rpc, const json_t *batch, rpc_batch_t *b) {
    size_t ends[RDG_RPC_CALLS_MAX], count = 0, i;
    const json_t *request;
    init(b);
    json_array_foreach(batch, i, request) {
        const json_t *tx = transaction_of(request);
        size_t before = b->bytes.len;
        if (!tx) continue;
        bool good = param_bytes(tx, "transaction", &b->bytes) == RDG_OK && b->bytes.len > before &&
                    b->bytes.len - before <= RDG_TX_BYTES_MAX;
        if (good) {
            ends[count++] = b->bytes.len;
            b->place_of[i] = (uint8_t)count;
        } else {
            b->bytes.len = before;
        }
    }
    expect(rpc, b, ends, count);
}

bool rpc_batch_open_plain(rdg_node_rpc_t *rpc, const rpc_plain_call_t *calls, size_t count, rpc_batch_t *b) {
    size_t ends[RDG_RPC_CALLS_MAX];
    init(b);
    for (size_t i = 0; i < count; ++i) {
        rdg_bytes_t hex = calls[i].transaction;
        size_t before = b->bytes.len;
        bool prefixed = hex.len > 2 && hex.data[0] == '0' && hex.data[1] == 'x';
        if (!prefixed || rdg_hex_decode_buf((const char *)hex.data, hex.len, &b->bytes) != RDG_OK ||
            b->bytes.len - before > RDG_TX_BYTES_MAX)
            return false;
        ends[i] = b->bytes.len;
        b->place_of[i] = (uint8_t)(i + 1);
    }
    expect(rpc, b, ends, count);
    return true;
}

void rpc_batch_close(rdg_node_rpc_t *rpc, rpc_batch_t *b) {
    if (b->expected) rpc->options.expect_end(b->expected);
    rdg_buf_fini(&b->bytes);
}

bool rpc_batch_has(const rpc_batch_t *b, size_t i) {
    return b && b->place_of[i] > 0;
}

rdg_err_t rpc_batch_submit(rdg_node_rpc_t *rpc, const rpc_batch_t *b, size_t i, rdg_hash_t *id) {
    const rdg_node_rpc_options_t *o = &rpc->options;
    size_t at = b->place_of[i] - 1u;
    return b->expected ? o->submit_expected(o->ctx, b->expected, at, b->wires[at], id)
                       : o->submit(o->ctx, b->wires[at], id);
}

static bool receipt_is_due(rdg_node_rpc_t *rpc, const json_t *request) {
    const char *method = json_string_value(json_object_get(request, "method"));
    rdg_hash_t id;
    rdg_tx_location_t where;
    if (!method || strcmp(method, RECEIPT) != 0) return false;
    if (param_hash(json_object_get(request, "params"), 0, "transaction hash", &id) != RDG_OK) return false;
    rdg_tx_t *pending = rdg_pool_find(rpc->options.pool, &id);
    if (!pending) return false;
    rdg_tx_unref(pending);
    return rdg_ledger_find_tx(rpc->options.ledger, &id, &where) == RDG_E_NOT_FOUND;
}

bool rdg_node_rpc_waits(rdg_node_rpc_t *rpc, rdg_bytes_t body) {
    json_t *request = NULL, *one;
    size_t i;
    bool waits = false;
    if (body.len == 0 || body.len > WAITS_BYTES_MAX) return false;
    if (!memmem(body.data, body.len, RECEIPT, strlen(RECEIPT))) return false;
    if (rdg_json_parse(body, &request) != RDG_OK) return false;
    if (json_is_array(request))
        json_array_foreach(request, i, one) waits = waits || receipt_is_due(rpc, one);
    else
        waits = receipt_is_due(rpc, request);
    json_decref(request);
    return waits;
}

static size_t count_of(rdg_bytes_t body, const char *word) {
    size_t count = 0, len = strlen(word);
    const uint8_t *at = body.data, *end = body.data + body.len;
    for (; at && (at = memmem(at, (size_t)(end - at), word, len)); at += len) ++count;
    return count;
}

/* Inside a JSON string a quote is escaped, so that the words stand alone where they are found. */
bool rpc_only_submits(rdg_bytes_t body) {
    size_t calls = count_of(body, "\"method\"");
    return calls > 0 && calls == count_of(body, "\"ridge_sendTransaction\"");
}
