/* kill -9 again and again, in the middle of blocks and under load: nothing that had a receipt is lost, and no two
 * nodes ever hold different blocks at one height. */
#include "cluster.h"
#include "ridge/test.h"
#include <stdio.h>

#define NODES 4
#define KILLS 10
#define BURST 10
#define TXS_MAX ((KILLS + 2) * 2 * BURST)

typedef struct load {
    cluster_t c;
    rdg_hash_t ids[TXS_MAX];
    json_t *receipts[TXS_MAX]; /* as first seen; NULL: none yet */
    size_t count;
} load_t;

static size_t pick(uint64_t below) {
    return rdg_random_below(rdg_test_random(), below);
}

static void send_burst(load_t *l) {
    for (size_t i = 0; i < BURST; ++i) {
        size_t through = pick(NODES);
        char code[32];
        if (!l->c.pids[through]) continue;
        rdg_tx_t *tx = cluster_tx(&l->c);
        cluster_send(&l->c, through, tx->raw, code);
        l->ids[l->count++] = tx->id;
        rdg_tx_unref(tx);
    }
}

/* What has a receipt at one node has the same one at every other later. */
static void look(load_t *l, size_t node) {
    for (size_t i = 0; i < l->count; ++i) {
        json_t *r = cluster_rpc(&l->c, node, "eth_getTransactionReceipt",
                                json_pack("[o]", rdg_json_hex(l->ids[i].b, 32)), NULL);
        if (json_is_object(r) && !l->receipts[i]) l->receipts[i] = json_incref(r);
        if (json_is_object(r)) CHECK(json_equal(r, l->receipts[i]));
        json_decref(r);
    }
}

/* The chain is at work again, the node that came back among them. */
static void wait_for_progress(load_t *l, size_t node) {
    char code[32];
    rdg_tx_t *tx = cluster_tx(&l->c);
    cluster_wait_rpc(&l->c, node);
    cluster_send(&l->c, node, tx->raw, code);
    CHECK_STR(code, "");
    json_decref(cluster_receipt(&l->c, node, &tx->id));
    rdg_tx_unref(tx);
}

static void kill_one_under_load(load_t *l) {
    size_t victim = pick(NODES);
    send_burst(l);
    cluster_pause((long)pick(25));
    cluster_kill(&l->c, victim);
    send_burst(l);
    look(l, (victim + 1) % NODES);
    cluster_start(&l->c, victim);
    wait_for_progress(l, victim);
}

static void kill_all_under_load(load_t *l) {
    send_burst(l);
    look(l, pick(NODES));
    cluster_pause((long)pick(25));
    for (size_t i = 0; i < NODES; ++i) cluster_kill(&l->c, i);
    cluster_start_all(&l->c);
    wait_for_progress(l, pick(NODES));
}

TEST(nodes_stopped_in_the_middle_of_their_work_end_in_order) {
    static load_t l;
    cluster_init(&l.c, NODES);
    cluster_start_all(&l.c);
    for (size_t i = 0; i < NODES; ++i) cluster_wait_rpc(&l.c, i);
    for (size_t round = 0; round < 3; ++round) {
        for (size_t i = 0; i < NODES; ++i) {
            send_burst(&l);
            CHECK_EQ(cluster_stop(&l.c, i), 0);
        }
        cluster_start_all(&l.c);
        for (size_t i = 0; i < NODES; ++i) cluster_wait_rpc(&l.c, i);
    }
    wait_for_progress(&l, 0);
    cluster_fini(&l.c);
}

TEST(nodes_killed_again_and_again_under_load_agree_and_lose_nothing) {
    static load_t l;
    cluster_init(&l.c, NODES);
    cluster_start_all(&l.c);
    for (size_t i = 0; i < NODES; ++i) cluster_wait_height(&l.c, i, 1);
    for (size_t i = 0; i < KILLS; ++i) {
        if (i == KILLS / 2) kill_all_under_load(&l);
        kill_one_under_load(&l);
    }
    for (size_t i = 0; i < NODES; ++i) wait_for_progress(&l, i);
    cluster_check_agreement(&l.c, 1);
    look(&l, 0);
    size_t seen = 0;
    for (size_t i = 0; i < l.count; ++i) seen += l.receipts[i] != NULL;
    if (seen * 2 <= l.count)
        rdg_test_fail(__FILE__, __LINE__, "only %zu of %zu transactions have a receipt", seen, l.count);
    for (size_t node = 0; node < NODES; ++node) {
        for (size_t i = 0; i < l.count; ++i) {
            if (!l.receipts[i]) continue;
            json_t *r = cluster_receipt(&l.c, node, &l.ids[i]);
            CHECK(json_equal(r, l.receipts[i]));
            json_decref(r);
        }
    }
    for (size_t i = 0; i < l.count; ++i) json_decref(l.receipts[i]);
    cluster_fini(&l.c);
}
