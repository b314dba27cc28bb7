/* The writer: one thread that creates the registry, and then makes entries of intents, in order. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "contract.h"
#include "mainchain.h"
#include "ridge/base/alloc.h"
#include "ridge/base/log.h"
#include "ridge/base/random.h"
#include "ridge/codec/hex.h"

#define RPC_MS 5000
#define WAIT_MS 15000
#define ASK_EVERY_MS 10
#define AGAIN_MIN_MS 200
#define AGAIN_MAX_MS 5000
#define LOOK_MS 30000 /* whether the nodes are still there */
#define VALID_HEIGHTS 1000
#define ENTRY_GAS 3000000
#define CREATE_GAS 20000000

rdg_err_t mainchain_connect(const struct mainchain *m, rdg_rpc_t **out, rdg_rpc_head_t *head) {
    char url[RDG_BAAS_URL_MAX], state[32];
    rdg_err_t err = rdg_fail(RDG_E_UNAVAILABLE, "the main chain has no node");
    for (size_t i = 0; m->options.node(m->options.ctx, i, url, state); ++i) {
        rdg_rpc_t *rpc = NULL;
        if (!url[0]) {
            err = rdg_fail(RDG_E_UNAVAILABLE, "node %zu of the main chain is %s", i, state);
            continue;
        }
        err = rdg_rpc_http_new(url, RPC_MS, &rpc);
        if (err == RDG_OK) err = rdg_rpc_head(rpc, head);
        if (err == RDG_OK && head->chain_id != m->genesis.validators.chain_id)
            err = rdg_fail(RDG_E_WRONG_CHAIN, "%s runs another chain than the main chain", url);
        if (err == RDG_OK) {
            *out = rpc;
            return RDG_OK;
        }
        rdg_rpc_http_free(rpc);
        err = rdg_fail_in(err, "node %zu of the main chain", i);
    }
    return err;
}

/* --- the registry ---------------------------------------------------------------------------------------------------- */

static rdg_err_t code_at(const rdg_rpc_t *rpc, const rdg_address_t *a, rdg_buf_t *code) {
    json_t *answer = NULL;
    rdg_err_t err = rdg_rpc_call(rpc, "eth_getCode",
                                 json_pack("[o, s]", rdg_json_hex(a->b, sizeof a->b), "latest"), &answer);
    const char *hex = json_string_value(answer);
    if (err == RDG_OK && !hex) err = rdg_fail(RDG_E_PROTOCOL, "eth_getCode gave no text");
    if (err == RDG_OK) err = rdg_hex_decode_buf(hex, strlen(hex), code);
    json_decref(answer);
    return err;
}

/* True when it is there, and is ours. */
static rdg_err_t find_registry(const struct mainchain *m, const rdg_rpc_t *rpc, bool *found) {
    rdg_buf_t code;
    uint8_t wanted[32], got[32];
    rdg_buf_init(&code, 1u << 16);
    rdg_err_t err = code_at(rpc, &m->registry, &code);
    *found = err == RDG_OK && code.len > 0;
    rdg_anchor_code_hash(wanted);
    rdg_keccak256(code.data, code.len, got);
    if (*found && memcmp(wanted, got, sizeof got) != 0)
        err =
            rdg_fail(RDG_E_CONFLICT,
                     "the main chain's registry has other code than this cloud knows: was the cloud set back "
                     "to an older version?");
    rdg_buf_fini(&code);
    return err;
}

/* Nonce 0 decides on the address, so whatever crashes in between, there is one. */
static rdg_err_t create_registry(const struct mainchain *m, const rdg_rpc_t *rpc,
                                 const rdg_rpc_head_t *head) {
    rdg_buf_t code;
    rdg_tx_t *tx = NULL;
    json_t *receipt = NULL;
    bool found = false;
    rdg_buf_init(&code, RDG_TX_BYTES_MAX);
    rdg_err_t err = rdg_anchor_init_code(&code);
    rdg_tx_fields_t fields = {.chain_id = head->chain_id,
                              .nonce = 0,
                              .valid_until = head->height + VALID_HEIGHTS,
                              .gas_limit = CREATE_GAS,
                              .data = rdg_buf_view(&code)};
    if (err == RDG_OK) err = rdg_tx_sign(&fields, m->key, &tx);
    if (err == RDG_OK) err = rdg_rpc_send(rpc, tx);
    if (err == RDG_OK || err == RDG_E_DUPLICATE) err = rdg_rpc_wait(rpc, tx, WAIT_MS, ASK_EVERY_MS, &receipt);
    if (err == RDG_OK) err = find_registry(m, rpc, &found);
    if (err == RDG_OK && !found) err = rdg_fail(RDG_E_REVERTED, "the main chain did not create the registry");
    if (err == RDG_OK)
        rdg_log(RDG_LOG_INFO, "mainchain.registry_created",
                RDG_HEX("address", m->registry.b, sizeof m->registry.b));
    json_decref(receipt);
    rdg_tx_unref(tx);
    rdg_buf_fini(&code);
    return err;
}

static rdg_err_t ensure_registry(const struct mainchain *m, const rdg_rpc_t *rpc,
                                 const rdg_rpc_head_t *head) {
    bool found;
    RDG_TRY(find_registry(m, rpc, &found));
    return found ? RDG_OK : create_registry(m, rpc, head);
}

/* --- one entry ------------------------------------------------------------------------------------------------------- */

static rdg_err_t sign(rdg_baas_t *b, const rdg_rpc_t *rpc, intent_t *i) {
    const struct mainchain *m = b->mainchain;
    rdg_rpc_head_t head;
    rdg_buf_t data;
    RDG_TRY(rdg_rpc_head(rpc, &head));
    rdg_buf_init(&data, 2 * RDG_ANCHOR_DATA_MAX);
    rdg_err_t err = rdg_anchor_encode_call(i->kind, i->chain, i->values, &data);
    rdg_tx_fields_t fields = {.chain_id = head.chain_id,
                              .nonce = rdg_tx_random_nonce(rdg_random_system()),
                              .valid_until = head.height + VALID_HEIGHTS,
                              .gas_limit = ENTRY_GAS,
                              .to = &m->registry,
                              .data = rdg_buf_view(&data)};
    if (err == RDG_OK) err = rdg_tx_sign(&fields, m->key, &i->tx);
    rdg_buf_fini(&data);
    return err == RDG_OK ? intent_set_tx(b, i, i->tx) : err;
}

/* The entry that is the intent's: by its data, for an entry may have been there before this transaction. */
static bool is_of(const intent_t *i, const rdg_anchor_entry_t *e) {
    rdg_buf_t data;
    rdg_buf_init(&data, RDG_ANCHOR_DATA_MAX);
    bool same = e->chain == i->chain && e->kind == i->kind &&
                rdg_anchor_encode_data(i->kind, i->values, &data) == RDG_OK &&
                rdg_bytes_equal(rdg_buf_view(&data), e->data);
    rdg_buf_fini(&data);
    return same;
}

static rdg_err_t take_from(rdg_baas_t *b, const json_t *logs, const intent_t *i, bool *taken) {
    size_t k;
    json_t *log;
    *taken = false;
    json_array_foreach(logs, k, log) {
        rdg_buf_t data;
        rdg_anchor_entry_t e;
        rdg_hash_t tx;
        uint8_t at[20];
        if (rdg_json_get_hex(log, "address", at, sizeof at) != RDG_OK ||
            memcmp(at, b->mainchain->registry.b, sizeof at) != 0)
            continue;
        rdg_buf_init(&data, RDG_ANCHOR_DATA_MAX);
        rdg_err_t err = RDG_OK;
        if (rdg_anchor_read_log(log, &data, &e) == RDG_OK && is_of(i, &e)) {
            err = rdg_json_get_hex(log, "transactionHash", tx.b, sizeof tx.b);
            if (err == RDG_OK) err = intent_written(b, i, &tx, &e);
            *taken = err == RDG_OK;
        }
        rdg_buf_fini(&data);
        if (err != RDG_OK || *taken) return err;
    }
    return RDG_OK;
}

/* It was written by a transaction that this database knows nothing of. */
static rdg_err_t take_earlier(rdg_baas_t *b, const rdg_rpc_t *rpc, const intent_t *i) {
    uint8_t event[32], chain[32] = {0};
    json_t *logs = NULL;
    bool taken = false;
    rdg_anchor_topic(event);
    rdg_store_be64(chain + 24, i->chain);
    json_t *filter = json_pack("[{s:s, s:s, s:o, s:[o, o]}]", "fromBlock", "0x0", "toBlock", "latest",
                               "address", rdg_json_hex(b->mainchain->registry.b, 20), "topics",
                               rdg_json_hex(event, 32), rdg_json_hex(chain, 32));
    rdg_err_t err = rdg_rpc_call(rpc, "eth_getLogs", filter, &logs);
    if (err == RDG_OK) err = take_from(b, logs, i, &taken);
    if (err == RDG_OK && !taken)
        err = rdg_fail(RDG_E_PROTOCOL, "the registry took an entry, and no node shows it");
    json_decref(logs);
    return err;
}

static rdg_err_t refuse(rdg_baas_t *b, const intent_t *i, const json_t *receipt) {
    rdg_buf_t output;
    const char *hex = json_string_value(json_object_get(receipt, "output"));
    rdg_buf_init(&output, 65536);
    if (hex && rdg_hex_decode_buf(hex, strlen(hex), &output) != RDG_OK) rdg_buf_clear(&output);
    (void)contract_reverted(NULL, rdg_buf_view(&output), "the entry");
    rdg_buf_fini(&output);
    rdg_log(RDG_LOG_WARN, "mainchain.refused", RDG_U64("chain_id", i->chain),
            RDG_STR("kind", rdg_anchor_kind_name(i->kind)), RDG_STR("why", rdg_err_message(RDG_E_REVERTED)));
    char why[RDG_ERROR_TEXT_MAX];
    snprintf(why, sizeof why, "%s", rdg_err_message(RDG_E_REVERTED));
    return intent_refused(b, i, why);
}

static rdg_err_t settle(rdg_baas_t *b, const rdg_rpc_t *rpc, const intent_t *i, const json_t *receipt) {
    uint64_t status;
    bool taken;
    RDG_TRY(rdg_json_quantity_parse(json_object_get(receipt, "status"), &status));
    if (status != 1) return refuse(b, i, receipt);
    RDG_TRY(take_from(b, json_object_get(receipt, "logs"), i, &taken));
    if (!taken) RDG_TRY(take_earlier(b, rpc, i));
    rdg_log(RDG_LOG_INFO, "mainchain.written", RDG_U64("chain_id", i->chain),
            RDG_STR("kind", rdg_anchor_kind_name(i->kind)));
    return RDG_OK;
}

/* Its block has passed without it: it never will be in one, and another may be signed. */
static bool is_dead(rdg_err_t err) {
    return err == RDG_E_EXPIRED || err == RDG_E_WRONG_CHAIN || err == RDG_E_INVALID ||
           err == RDG_E_BAD_SIGNATURE || err == RDG_E_MALFORMED;
}

static rdg_err_t write_one(rdg_baas_t *b, const rdg_rpc_t *rpc, intent_t *i) {
    json_t *receipt = NULL;
    if (!i->tx) RDG_TRY(sign(b, rpc, i));
    rdg_err_t err = rdg_rpc_send(rpc, i->tx);
    if (err == RDG_OK || err == RDG_E_DUPLICATE)
        err = rdg_rpc_wait(rpc, i->tx, WAIT_MS, ASK_EVERY_MS, &receipt);
    /* An old one may be in a block that the node no longer looks at before it answers. */
    if (is_dead(err) && rdg_rpc_receipt(rpc, &i->tx->id, &receipt) == RDG_OK) err = RDG_OK;
    if (err == RDG_OK) err = settle(b, rpc, i, receipt);
    json_decref(receipt);
    if (!is_dead(err)) return err;
    RDG_TRY(intent_set_tx(b, i, NULL));
    return rdg_fail(RDG_E_STALE, "a transaction for the main chain came too late and is signed anew");
}

/* --- the thread ------------------------------------------------------------------------------------------------------ */

static void tell(rdg_baas_t *b, rdg_err_t err, uint64_t height) {
    struct mainchain *m = b->mainchain;
    char text[RDG_ERROR_TEXT_MAX] = "";
    if (err != RDG_OK) snprintf(text, sizeof text, "%s", rdg_err_message(err));
    pthread_mutex_lock(&b->lock);
    bool was = m->ready, news = strcmp(text, m->problem) != 0;
    m->ready = err == RDG_OK;
    if (height > 0) m->height = height;
    snprintf(m->problem, sizeof m->problem, "%s", text);
    pthread_cond_broadcast(&m->changed);
    pthread_mutex_unlock(&b->lock);
    if (err == RDG_OK && !was)
        rdg_log(RDG_LOG_INFO, "mainchain.ready", RDG_U64("height", height),
                RDG_HEX("registry", m->registry.b, sizeof m->registry.b),
                RDG_BOOL("embedded", m->options.embedded));
    if (err != RDG_OK && news && !baas_stopping(b))
        rdg_log(RDG_LOG_WARN, "mainchain.waits", RDG_STR("code", rdg_err_name(err)), RDG_STR("why", text));
}

static void count_ended(rdg_baas_t *b) {
    pthread_mutex_lock(&b->lock);
    ++b->mainchain->ended;
    pthread_cond_broadcast(&b->mainchain->changed);
    pthread_mutex_unlock(&b->lock);
}

static rdg_err_t write_all(rdg_baas_t *b) {
    rdg_rpc_t *rpc = NULL;
    rdg_rpc_head_t head = {0};
    intent_t i = {0};
    RDG_TRY(mainchain_connect(b->mainchain, &rpc, &head));
    rdg_err_t err = ensure_registry(b->mainchain, rpc, &head);
    if (err == RDG_OK) tell(b, RDG_OK, head.height);
    while (err == RDG_OK && !baas_stopping(b) && (err = intent_next(b, 0, &i)) == RDG_OK && i.number != 0) {
        err = write_one(b, rpc, &i);
        if (err == RDG_OK) count_ended(b);
        if (err == RDG_E_STALE) err = RDG_OK;
        intent_fini(&i);
    }
    intent_fini(&i);
    rdg_rpc_head_t now;
    if (err == RDG_OK && rdg_rpc_head(rpc, &now) == RDG_OK) head = now;
    rdg_rpc_http_free(rpc);
    tell(b, err, head.height);
    return err;
}

void *mainchain_write_main(void *baas) {
    rdg_baas_t *b = baas;
    struct mainchain *m = b->mainchain;
    uint64_t again = AGAIN_MIN_MS;
    while (!baas_stopping(b)) {
        pthread_mutex_lock(&b->lock);
        uint64_t seen = m->stored;
        pthread_mutex_unlock(&b->lock);
        rdg_err_t err = write_all(b);
        if (err != RDG_OK) tell(b, err, 0);
        again = err == RDG_OK ? AGAIN_MIN_MS : again * 2 > AGAIN_MAX_MS ? AGAIN_MAX_MS : again * 2;
        uint64_t end = baas_mono() + (err == RDG_OK ? LOOK_MS : again);
        pthread_mutex_lock(&b->lock);
        /* What is stored meanwhile is written at once; after a failure it waits with the rest. */
        while (!b->stopping && baas_mono() < end && (err != RDG_OK || seen == m->stored))
            (void)baas_wait(b, &m->changed, end);
        pthread_mutex_unlock(&b->lock);
    }
    return NULL;
}

rdg_err_t mainchain_prove(rdg_baas_t *b, const intent_t *i, rdg_buf_t *out) {
    const struct mainchain *m = b->mainchain;
    rdg_rpc_t *rpc = NULL;
    rdg_rpc_head_t head;
    rdg_buf_t data;
    rdg_anchor_proof_t *seen = rdg_calloc(1, sizeof *seen);
    size_t before = out->len;
    if (!seen) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a proof");
    rdg_buf_init(&data, RDG_ANCHOR_DATA_MAX);
    rdg_anchor_entry_t e = {
        .chain = i->chain, .index = i->index, .kind = i->kind, .block = i->block, .time_s = i->time_s};
    memcpy(e.previous, i->previous, sizeof e.previous);
    rdg_err_t err = rdg_anchor_encode_data(i->kind, i->values, &data);
    e.data = rdg_buf_view(&data);
    if (err == RDG_OK) err = mainchain_connect(m, &rpc, &head);
    if (err == RDG_OK) err = rdg_anchor_proof_fetch(rpc, &m->registry, &e, out);
    if (err == RDG_OK)
        err = rdg_anchor_proof_verify(&m->genesis, rdg_bytes(out->data + before, out->len - before), seen);
    rdg_rpc_http_free(rpc);
    rdg_buf_fini(&data);
    rdg_free(seen);
    return err;
}
