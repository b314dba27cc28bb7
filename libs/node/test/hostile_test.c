/* A validator that lies: it completes the handshake with a validator's key, then sends what no node would. The
 * others go on, in bounded memory, with the same blocks. */
#include "cluster.h"
#include "internal.h"
#include "ridge/base/clock.h"
#include "ridge/base/file.h"
#include "ridge/net/tlcp_credentials.h"
#include "ridge/test.h"
#include <stdio.h>

#define LIAR 3
#define KINDS (MSG_CHUNK - RDG_P2P_TYPE_FIRST + 1)
#define CAPTURED_MAX 64
#define SLICE_MS 40
#define RUN_MS 3000

typedef struct liar {
    cluster_t c;
    rdg_loop_t *loop;
    rdg_p2p_t *p2p;
    rdg_p2p_peer_t peers[CLUSTER_MAX];
    rdg_sm2_key_t *key;
    rdg_timer_t *send, *slice;
    struct {
        uint8_t type;
        rdg_buf_t bytes;
    } captured[CAPTURED_MAX]; /* what honest nodes sent: the stuff that lies are made of */
    size_t captured_count, received[256], sent;
    uint8_t junk[1u << 17];
} liar_t;

static uint64_t below(uint64_t limit) {
    return rdg_random_below(rdg_test_random(), limit);
}

static void on_message(void *ctx, size_t peer, uint8_t type, rdg_bytes_t bytes) {
    liar_t *l = ctx;
    (void)peer;
    ++l->received[type];
    size_t at = l->captured_count < CAPTURED_MAX ? l->captured_count++ : below(CAPTURED_MAX);
    l->captured[at].type = type;
    rdg_buf_clear(&l->captured[at].bytes);
    CHECK_OK(rdg_buf_append(&l->captured[at].bytes, bytes.data, bytes.len));
}

static void on_link(void *ctx, size_t peer, bool up) {
    (void)ctx, (void)peer, (void)up;
}

static void say(liar_t *l, size_t to, uint8_t type, const void *data, size_t len) {
    l->sent += rdg_p2p_send(l->p2p, to, type, rdg_bytes(data, len)) == RDG_OK;
}

static void say_random(liar_t *l, size_t to) {
    size_t len = below(4) ? below(300) : below(sizeof l->junk);
    rdg_random_fill(rdg_test_random(), l->junk, len);
    say(l, to, (uint8_t)(RDG_P2P_TYPE_FIRST + below(KINDS + 2)), l->junk, len);
}

/* A real message with bytes changed, cut, or under another type. */
static void say_mutated(liar_t *l, size_t to) {
    if (l->captured_count == 0) return;
    size_t from = below(l->captured_count), len = l->captured[from].bytes.len;
    if (len == 0 || len > sizeof l->junk) return;
    memcpy(l->junk, l->captured[from].bytes.data, len);
    for (uint64_t i = below(4); i > 0; --i) l->junk[below(len)] ^= (uint8_t)(1 + below(255));
    if (below(4) == 0) len = below(len);
    uint8_t type = below(5) ? l->captured[from].type : (uint8_t)(RDG_P2P_TYPE_FIRST + below(KINDS));
    say(l, to, type, l->junk, len);
}

static void say_height(liar_t *l, size_t to) {
    uint8_t message[48] = {0};
    rdg_store_be64(message, below(3) == 0 ? UINT64_MAX : below(2) ? below(100) : below(100000));
    rdg_store_be64(message + 16, below(3) ? 0 : below(1000)); /* bodies from there on */
    for (size_t at = 24; at < sizeof message; at += 8)
        rdg_store_be64(message + at, below(2) ? UINT64_MAX : below(100000));
    say(l, to, MSG_STATUS, message, below(8) ? sizeof message - 8 * below(4) : below(sizeof message));
}

static void ask_blocks(liar_t *l, size_t to) {
    uint8_t message[12];
    rdg_store_be64(message, below(3) ? below(20) : UINT64_MAX - below(3));
    rdg_store_be32(message + 8, below(2) ? UINT32_MAX : (uint32_t)below(100));
    say(l, to, MSG_BLOCKS_GET, message, sizeof message);
}

/* Of heights that it offers, that it has, and that nobody has. */
static void ask_snapshot(liar_t *l, size_t to) {
    uint8_t message[12];
    rdg_store_be64(message, below(4) ? 64 * below(3) : UINT64_MAX - below(3));
    rdg_store_be32(message + 8, below(2) ? 0 : (uint32_t)below(UINT32_MAX));
    if (below(3) == 0) rdg_store_be64(message, 1 + below(20));
    switch (below(3)) {
    case 0: say(l, to, MSG_HEADERS_GET, message, 8); break;
    case 1: say(l, to, MSG_SNAPSHOT_GET, message, 8); break;
    default: say(l, to, MSG_CHUNK_GET, message, 12);
    }
}

/* Counts that promise more than there is, and a great number of empty entries. */
static void say_empty_entries(liar_t *l, size_t to) {
    memset(l->junk, 0, sizeof l->junk);
    if (below(2)) rdg_store_be32(l->junk, UINT32_MAX);
    say(l, to, below(2) ? MSG_TXS : MSG_BLOCKS, l->junk, below(sizeof l->junk));
}

static void on_send(void *arg) {
    static void (*const lies[])(liar_t *, size_t) = {say_random,  say_mutated,      say_mutated,
                                                     say_mutated, ask_snapshot,     say_height,
                                                     ask_blocks,  say_empty_entries};
    liar_t *l = arg;
    for (int i = 0; i < 4; ++i) lies[below(sizeof lies / sizeof lies[0])](l, below(LIAR));
}

static void on_slice(void *arg) {
    rdg_loop_stop(((liar_t *)arg)->loop);
}

static void run_slice(liar_t *l, uint64_t ms) {
    rdg_timer_start(l->slice, ms, 0);
    CHECK_OK(rdg_loop_run(l->loop));
}

static void init(liar_t *l) {
    char path[600];
    cluster_init(&l->c, 4);
    for (size_t i = 0; i < LIAR; ++i) cluster_start(&l->c, i);
    for (size_t i = 0; i < CAPTURED_MAX; ++i) rdg_buf_init(&l->captured[i].bytes, NODE_FRAME_MAX);
    for (size_t i = 0; i < 4; ++i) {
        snprintf(l->peers[i].name, sizeof l->peers[i].name, "node-%zu", i);
        snprintf(l->peers[i].host, sizeof l->peers[i].host, "127.0.0.1");
        l->peers[i].port = l->c.p2p_ports[i];
        l->peers[i].key = l->c.genesis.validators.keys[i];
    }
    snprintf(path, sizeof path, "%s/node.key", l->c.dirs[LIAR]);
    CHECK_OK(rdg_sm2_key_load(path, &l->key));
    CHECK_OK(rdg_loop_new(&l->loop));
    CHECK_OK(rdg_timer_new(l->loop, on_send, l, &l->send));
    CHECK_OK(rdg_timer_new(l->loop, on_slice, l, &l->slice));
    rdg_tlcp_identity_t *identity = NULL;
    CHECK_OK(rdg_tlcp_identity_load(l->c.dirs[LIAR], "node", &identity));
    rdg_p2p_options_t o = {.loop = l->loop,
                           .random = rdg_random_system(),
                           .chain_id = l->c.genesis.validators.chain_id,
                           .genesis = l->c.genesis.hash,
                           .identity = identity,
                           .host = "127.0.0.1",
                           .port = l->c.p2p_ports[LIAR],
                           .peers = l->peers,
                           .peer_count = 4,
                           .max_frame = NODE_FRAME_MAX,
                           .message = on_message,
                           .link = on_link,
                           .ctx = l};
    CHECK_OK(rdg_p2p_start(&o, &l->p2p));
    rdg_tlcp_identity_unref(identity);
}

static void fini(liar_t *l) {
    rdg_p2p_stop(l->p2p);
    rdg_timer_free(l->send);
    rdg_timer_free(l->slice);
    rdg_loop_free(l->loop);
    rdg_sm2_key_free(l->key);
    for (size_t i = 0; i < CAPTURED_MAX; ++i) rdg_buf_fini(&l->captured[i].bytes);
    cluster_fini(&l->c);
}

static uint64_t now_ms(void) {
    return rdg_mono_ms(rdg_clock_system());
}

static void check_nodes(cluster_t *c) {
    for (size_t i = 0; i < LIAR; ++i) {
        json_t *status = cluster_rpc(c, i, "ridge_status", json_array(), NULL);
        CHECK(status && json_is_null(json_object_get(status, "halted")));
        char log[600];
        uint64_t bytes = 0;
        snprintf(log, sizeof log, "%s/node.log", c->dirs[i]);
        CHECK_OK(rdg_tree_size(log, &bytes));
        CHECK(bytes < 128u << 10);
        json_decref(status);
    }
}

/* Everything that this test is about has been sent and has come. */
static bool all_was_said(const liar_t *l) {
    static const uint8_t kinds[] = {MSG_CONSENSUS, MSG_TXS,      MSG_STATUS, MSG_BLOCKS,
                                    MSG_HEADERS,   MSG_SNAPSHOT, MSG_CHUNK};
    bool all = l->sent > 500 && l->received[MSG_BLOCKS_GET] + l->received[MSG_HEADERS_GET] > 0;
    for (size_t i = 0; i < sizeof kinds; ++i) all = all && l->received[kinds[i]] > 0;
    return all;
}

TEST(a_validator_that_lies_in_every_message_harms_no_other) {
    static liar_t l;
    static rdg_hash_t ids[RUN_MS / SLICE_MS + 1];
    size_t sent = 0;
    char code[32];
    init(&l);
    for (uint64_t end = now_ms() + 60000; rdg_p2p_link_count(l.p2p) < LIAR && now_ms() < end;)
        run_slice(&l, 20);
    CHECK_EQ(rdg_p2p_link_count(l.p2p), LIAR);
    rdg_timer_start(l.send, 1, 2);
    for (uint64_t start = now_ms(); now_ms() - start < RUN_MS;) {
        run_slice(&l, SLICE_MS);
        /* A pause of a second in the middle: nodes that stand still believe in the heights they are told. */
        uint64_t at = now_ms() - start;
        if (at > RUN_MS / 3 && at < RUN_MS * 2 / 3) continue;
        rdg_tx_t *tx = cluster_tx(&l.c);
        cluster_send(&l.c, below(LIAR), tx->raw, code);
        CHECK_STR(code, "");
        if (sent < sizeof ids / sizeof ids[0]) ids[sent++] = tx->id;
        rdg_tx_unref(tx);
    }
    for (uint64_t end = now_ms() + 30000; !all_was_said(&l) && now_ms() < end;) run_slice(&l, SLICE_MS);
    CHECK(all_was_said(&l));
    rdg_timer_stop(l.send);
    run_slice(&l, 20);
    for (size_t i = 0; i < sent; ++i) json_decref(cluster_receipt(&l.c, i % LIAR, &ids[i]));
    cluster_check_agreement(&l.c, 1);
    check_nodes(&l.c);
    fini(&l);
}
