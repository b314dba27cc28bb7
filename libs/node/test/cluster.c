#include "cluster.h"
#include "ridge/base/clock.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include "ridge/codec/abi.h"
#include "ridge/codec/hex.h"
#include "ridge/crypto/hash.h"
#include "ridge/ledger/governance.h"
#include "ridge/node/node.h"
#include "ridge/test.h"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WAIT_MS 60000
#define CALL_MS 30000
#define LEAKED 99 /* exit status of a node that gave not all of its memory back */

/* RocksDB comes without the sanitizer's marks: whatever it does between its threads would look like a race. */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void) {
    return "race:librocksdb.so\nrace:libstdc++.so\n"; /* nothing else here is C++ */
}
#endif
#endif

static void pause_ms(long ms) {
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

static void write_text(const char *dir, const char *name, const char *text) {
    char path[600];
    CHECK_OK(rdg_path_join(path, sizeof path, dir, name));
    CHECK_OK(rdg_file_replace(path, rdg_bytes_str(text), 0600));
}

void cluster_write_peers(cluster_t *c, size_t i, unsigned mask) {
    json_t *peers = json_array();
    for (size_t k = 0; k < c->count; ++k) {
        char key[129], name[32];
        if (!(mask >> k & 1)) continue;
        rdg_hex_encode(c->keys[k].b, 64, key);
        snprintf(name, sizeof name, "node-%zu", k);
        json_array_append_new(peers, json_pack("{s:s, s:s, s:s, s:i}", "name", name, "public_key", key,
                                               "host", "127.0.0.1", "port", c->p2p_ports[k]));
    }
    char *text = json_dumps(peers, 0);
    write_text(c->dirs[i], "peers.json", text);
    free(text);
    json_decref(peers);
}

static void write_files(cluster_t *c) {
    rdg_buf_t genesis;
    rdg_buf_init(&genesis, RDG_GENESIS_BYTES_MAX);
    CHECK_OK(rdg_genesis_format(&c->genesis, &genesis));
    for (size_t i = 0; i < c->count; ++i) {
        write_text(c->dirs[i], "genesis.json", rdg_buf_cstr(&genesis));
        cluster_write_peers(c, i, ~0u);
    }
    rdg_buf_fini(&genesis);
}

void cluster_init(cluster_t *c, size_t count) {
    cluster_init_observers(c, count, count);
}

void cluster_init_observers(cluster_t *c, size_t count, size_t validators) {
    memset(c, 0, sizeof *c);
    c->count = count;
    c->pool_count = 1000;
    rdg_genesis_t *g = &c->genesis;
    snprintf(g->name, sizeof g->name, "test");
    snprintf(g->consensus, sizeof g->consensus, "pbft");
    g->time_ms = 1700000000000ull;
    g->validators.chain_id = 4711;
    g->validators.count = (uint32_t)validators;
    rdg_chain_params_default(&g->params);
    g->params.block_interval_ms = 20;
    rdg_test_ca_init(&c->ca, (int64_t)(rdg_wall_ms(rdg_clock_system()) / 1000));
    for (size_t i = 0; i < count; ++i) {
        char path[600];
        rdg_sm2_key_t *key = NULL;
        snprintf(c->dirs[i], sizeof c->dirs[i], "%s/node-%zu", rdg_test_dir(), i);
        CHECK_OK(rdg_dir_make(c->dirs[i], 0700));
        CHECK_OK(rdg_path_join(path, sizeof path, c->dirs[i], "node.key"));
        CHECK_OK(rdg_sm2_key_load_or_generate(path, &key));
        rdg_sm2_key_public(key, &c->keys[i]);
        rdg_sm2_key_free(key);
        if (i < validators) {
            g->validators.keys[i] = c->keys[i];
            snprintf(g->validator_names[i], sizeof g->validator_names[i], "node-%zu", i);
        }
        char name[32];
        snprintf(name, sizeof name, "node-%zu", i);
        rdg_test_ca_write(&c->ca, c->dirs[i], "node", name);
        c->p2p_ports[i] = rdg_test_port();
        c->rpc_ports[i] = rdg_test_port();
    }
    CHECK_OK(rdg_sm2_key_generate(&c->user));
    rdg_sm2_public_t user;
    rdg_sm2_key_public(c->user, &user);
    rdg_sm2_address(&user, &g->admins[0]);
    g->admin_count = 1;
    CHECK_OK(rdg_http_client_new(&c->http));
    write_files(c);
}

void cluster_use_raft(cluster_t *c) {
    snprintf(c->genesis.consensus, sizeof c->genesis.consensus, "raft");
    c->genesis.params.view_timeout_ms = 1000;
    write_files(c);
}

void cluster_use_small_blocks(cluster_t *c, uint64_t txs) {
    c->genesis.params.block_tx_max = txs;
    write_files(c);
}

static void run_node(cluster_t *c, size_t i) {
    char log[600];
    int status = 0;
    rdg_node_t *node = NULL;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    snprintf(log, sizeof log, "%s/node.log", c->dirs[i]);
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(fd, 2);
    long live = rdg_alloc_live();
    rdg_node_options_t o = {.dir = c->dirs[i],
                            .p2p_host = "127.0.0.1",
                            .rpc_host = "127.0.0.1",
                            .p2p_port = c->p2p_ports[i],
                            .rpc_port = c->rpc_ports[i],
                            .memory_bytes = 8u << 20,
                            .pool_count = c->pool_count,
                            .pool_bytes = 4u << 20,
                            .pool_per_sender = 1000,
                            .snapshot_gap = c->snapshot_gap,
                            .scrub_ms = c->scrub_ms,
                            .rpc_call_ms = c->rpc_call_ms,
                            .rpc_log_blocks = c->log_blocks};
    rdg_err_t err = rdg_node_open(&o, &node);
    if (err == RDG_OK) err = rdg_node_run(node, &status);
    if (err != RDG_OK) rdg_log_err("node.failed", err);
    rdg_node_close(node);
    live = rdg_alloc_live() - live;
    if (live != 0) rdg_log(RDG_LOG_ERROR, "test.leak", RDG_I64("blocks", live));
    _exit(live != 0 ? LEAKED : err == RDG_OK ? status : 100 + (int)err);
}

void cluster_start(cluster_t *c, size_t i) {
    fflush(stdout);
    c->pids[i] = fork();
    CHECK(c->pids[i] >= 0);
    if (c->pids[i] == 0) run_node(c, i);
}

void cluster_start_all(cluster_t *c) {
    for (size_t i = 0; i < c->count; ++i) cluster_start(c, i);
}

void cluster_kill(cluster_t *c, size_t i) {
    kill(c->pids[i], SIGKILL);
    waitpid(c->pids[i], NULL, 0);
    c->pids[i] = 0;
}

int cluster_stop(cluster_t *c, size_t i) {
    kill(c->pids[i], SIGTERM);
    return cluster_exit(c, i);
}

int cluster_exit(cluster_t *c, size_t i) {
    int status = 0;
    waitpid(c->pids[i], &status, 0);
    c->pids[i] = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void cluster_fini(cluster_t *c) {
    for (size_t i = 0; i < c->count; ++i)
        if (c->pids[i]) CHECK_EQ(cluster_stop(c, i), 0);
    rdg_test_ca_fini(&c->ca);
    rdg_sm2_key_free(c->user);
    rdg_http_client_free(c->http);
}

unsigned cluster_post(cluster_t *c, size_t i, const char *body, rdg_buf_t *out) {
    char url[64];
    rdg_http_answer_t answer;
    snprintf(url, sizeof url, "http://127.0.0.1:%u/", c->rpc_ports[i]);
    rdg_http_call_t call = {.method = "POST", .url = url, .body = rdg_bytes_str(body), .timeout_ms = CALL_MS};
    if (rdg_http_call(c->http, &call, &answer) != RDG_OK) return 0;
    CHECK_OK(rdg_buf_append(out, answer.body.data, answer.body.len));
    unsigned status = answer.status;
    rdg_http_answer_fini(&answer);
    return status;
}

json_t *cluster_call(cluster_t *c, size_t i, const char *method, json_t *params) {
    json_t *request = json_pack("{s:s, s:i, s:s, s:o}", "jsonrpc", "2.0", "id", 1, "method", method, "params",
                                params),
           *answer = NULL;
    char *text = json_dumps(request, JSON_COMPACT);
    rdg_buf_t out;
    rdg_buf_init(&out, 16u << 20);
    json_decref(request);
    unsigned status = cluster_post(c, i, text, &out);
    free(text);
    if (status == 200 || status == 429) CHECK_OK(rdg_json_parse(rdg_buf_view(&out), &answer));
    rdg_buf_fini(&out);
    return answer;
}

json_t *cluster_rpc(cluster_t *c, size_t i, const char *method, json_t *params, char code[32]) {
    json_t *answer = cluster_call(c, i, method, params);
    if (code) *code = '\0';
    json_t *result = json_incref(json_object_get(answer, "result"));
    const json_t *data = json_object_get(json_object_get(answer, "error"), "data");
    if (code && json_object_get(data, "code"))
        snprintf(code, 32, "%s", json_string_value(json_object_get(data, "code")));
    json_decref(answer);
    return result;
}

uint64_t cluster_height(cluster_t *c, size_t i) {
    json_t *result = cluster_rpc(c, i, "eth_blockNumber", json_array(), NULL);
    uint64_t height = 0;
    if (result) CHECK_OK(rdg_json_quantity_parse(result, &height));
    json_decref(result);
    return height;
}

void cluster_wait_rpc(cluster_t *c, size_t i) {
    uint64_t end = rdg_mono_ms(rdg_clock_system()) + WAIT_MS;
    json_t *result;
    while (!(result = cluster_rpc(c, i, "eth_chainId", json_array(), NULL))) {
        if (rdg_mono_ms(rdg_clock_system()) > end)
            rdg_test_fail(__FILE__, __LINE__, "node %zu does not answer: see %s/node.log", i, c->dirs[i]);
        pause_ms(5);
    }
    json_decref(result);
}

int cluster_wait_rpc_or_exit(cluster_t *c, size_t i) {
    uint64_t end = rdg_mono_ms(rdg_clock_system()) + WAIT_MS;
    for (;;) {
        int status = 0;
        json_t *result = cluster_rpc(c, i, "eth_chainId", json_array(), NULL);
        json_decref(result);
        if (result) return -1;
        if (waitpid(c->pids[i], &status, WNOHANG) == c->pids[i]) {
            c->pids[i] = 0;
            return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
        }
        CHECK(rdg_mono_ms(rdg_clock_system()) < end);
        pause_ms(2);
    }
}

void cluster_wait_height(cluster_t *c, size_t i, uint64_t height) {
    uint64_t end = rdg_mono_ms(rdg_clock_system()) + WAIT_MS, now = 0;
    while ((now = cluster_height(c, i)) < height) {
        if (rdg_mono_ms(rdg_clock_system()) > end)
            rdg_test_fail(__FILE__, __LINE__, "node %zu is at height %llu, %llu is wanted: see %s/node.log",
                          i, (unsigned long long)now, (unsigned long long)height, c->dirs[i]);
        pause_ms(5);
    }
}

void cluster_block_hash(cluster_t *c, size_t i, uint64_t height, char out[80]) {
    json_t *block =
        cluster_rpc(c, i, "eth_getBlockByNumber", json_pack("[o, b]", rdg_json_quantity(height), 0), NULL);
    const char *hash = json_string_value(json_object_get(block, "hash"));
    snprintf(out, 80, "%s", hash ? hash : "none");
    json_decref(block);
}

void cluster_pause(long ms) {
    pause_ms(ms);
}

void cluster_halted(cluster_t *c, size_t i, char out[600]) {
    json_t *status = cluster_rpc(c, i, "ridge_status", json_array(), NULL);
    const char *why = json_string_value(json_object_get(status, "halted"));
    snprintf(out, 600, "%s", why ? why : "");
    json_decref(status);
}

void cluster_check_agreement(cluster_t *c, uint64_t from) {
    uint64_t top = 0;
    for (size_t i = 0; i < c->count; ++i) {
        uint64_t height = c->pids[i] ? cluster_height(c, i) : 0;
        if (height > top) top = height;
    }
    for (size_t i = 0; i < c->count; ++i)
        if (c->pids[i]) cluster_wait_height(c, i, top);
    for (uint64_t h = from; h <= top; ++h) {
        char want[80] = "", got[80];
        for (size_t i = 0; i < c->count; ++i) {
            if (!c->pids[i]) continue;
            cluster_block_hash(c, i, h, got);
            if (*want == '\0') memcpy(want, got, sizeof want);
            if (strcmp(got, want) != 0)
                rdg_test_fail(__FILE__, __LINE__, "block %llu: node %zu has %s, another %s",
                              (unsigned long long)h, i, got, want);
        }
    }
}

rdg_tx_t *cluster_sign(cluster_t *c, rdg_tx_fields_t f) {
    rdg_tx_t *tx = NULL;
    if (f.chain_id == 0) f.chain_id = c->genesis.validators.chain_id;
    if (f.nonce == 0) f.nonce = rdg_tx_random_nonce(rdg_random_system());
    if (f.valid_until == 0) f.valid_until = 1000;
    if (f.gas_limit == 0) f.gas_limit = 100000;
    CHECK_OK(rdg_tx_sign(&f, c->user, &tx));
    return tx;
}

rdg_tx_t *cluster_tx(cluster_t *c) {
    static const rdg_address_t to = {{0x11}};
    return cluster_sign(c, (rdg_tx_fields_t){.to = &to});
}

static void read_log(const cluster_t *c, size_t i, rdg_buf_t *log) {
    char path[600];
    rdg_buf_init(log, 64u << 20);
    CHECK_OK(rdg_path_join(path, sizeof path, c->dirs[i], "node.log"));
    CHECK_OK(rdg_file_read(path, log));
}

void cluster_wait_log(cluster_t *c, size_t i, const char *text) {
    uint64_t until = rdg_mono_ms(rdg_clock_system()) + WAIT_MS;
    for (bool there = false; !there && rdg_mono_ms(rdg_clock_system()) < until;) {
        rdg_buf_t log;
        read_log(c, i, &log);
        there = strstr(rdg_buf_cstr(&log), text) != NULL;
        rdg_buf_fini(&log);
        if (!there) pause_ms(20);
    }
    cluster_log_has(c, i, text);
}

void cluster_log_has(cluster_t *c, size_t i, const char *text) {
    rdg_buf_t log;
    read_log(c, i, &log);
    const char *all = rdg_buf_cstr(&log), *tail = all + (log.len > 600 ? log.len - 600 : 0);
    if (!strstr(all, text))
        rdg_test_fail(__FILE__, __LINE__, "the log of node %zu does not say '%s'; it ends: %s", i, text,
                      tail);
    rdg_buf_fini(&log);
}

static size_t links_of(cluster_t *c, size_t i) {
    size_t count = 0, at;
    json_t *peer, *status = cluster_rpc(c, i, "ridge_status", json_array(), NULL);
    json_array_foreach(json_object_get(status, "peers"), at, peer) {
        count += json_is_true(json_object_get(peer, "connected"));
    }
    json_decref(status);
    return count;
}

void cluster_wait_links(cluster_t *c, size_t i, size_t want) {
    uint64_t end = rdg_mono_ms(rdg_clock_system()) + WAIT_MS;
    for (size_t links; (links = links_of(c, i)) != want; pause_ms(20))
        if (rdg_mono_ms(rdg_clock_system()) > end)
            rdg_test_fail(__FILE__, __LINE__, "node %zu has %zu links, want %zu", i, links, want);
}

void cluster_send(cluster_t *c, size_t i, rdg_bytes_t wire, char code[32]) {
    json_t *result =
        cluster_rpc(c, i, "ridge_sendTransaction", json_pack("[o]", rdg_json_hex(wire.data, wire.len)), code);
    json_decref(result);
}

json_t *cluster_receipt(cluster_t *c, size_t i, const rdg_hash_t *id) {
    uint64_t end = rdg_mono_ms(rdg_clock_system()) + WAIT_MS;
    for (;;) {
        json_t *result =
            cluster_rpc(c, i, "eth_getTransactionReceipt", json_pack("[o]", rdg_json_hex(id->b, 32)), NULL);
        if (json_is_object(result)) return result;
        json_decref(result);
        CHECK(rdg_mono_ms(rdg_clock_system()) < end);
        pause_ms(5);
    }
}

json_t *cluster_key(cluster_t *c, size_t i) {
    return rdg_json_hex(c->keys[i].b, sizeof c->keys[i].b);
}

static void encode_governance(const char *method, json_t *args, rdg_buf_t *out) {
    rdg_buf_t text;
    json_t *artefact = NULL;
    const json_t *entry = NULL;
    rdg_buf_init(&text, 1 << 20);
    CHECK_OK(rdg_file_read(RIDGE_CONTRACT_ARTIFACTS "/Governance.json", &text));
    CHECK_OK(rdg_json_parse(rdg_buf_view(&text), &artefact));
    CHECK_OK(
        rdg_abi_find(json_object_get(artefact, "abi"), "function", method, json_array_size(args), &entry));
    CHECK_OK(rdg_abi_encode_call(entry, args, rdg_keccak256, out));
    rdg_buf_fini(&text);
    json_decref(artefact);
    json_decref(args);
}

bool cluster_govern(cluster_t *c, size_t via, const char *method, json_t *args) {
    rdg_buf_t data;
    char code[32];
    uint64_t status = 0;
    rdg_buf_init(&data, 1 << 20);
    encode_governance(method, args, &data);
    rdg_tx_t *tx = cluster_sign(c, (rdg_tx_fields_t){.to = &RDG_GOVERNANCE_ADDRESS,
                                                     .gas_limit = 5000000,
                                                     .valid_until = cluster_height(c, via) + 1000,
                                                     .data = rdg_buf_view(&data)});
    cluster_send(c, via, tx->raw, code);
    CHECK_STR(code, "");
    json_t *receipt = cluster_receipt(c, via, &tx->id);
    CHECK_OK(rdg_json_quantity_parse(json_object_get(receipt, "status"), &status));
    json_decref(receipt);
    rdg_tx_unref(tx);
    rdg_buf_fini(&data);
    return status == 1;
}
