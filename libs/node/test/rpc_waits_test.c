/* Who asks for the receipt of a transaction that waits is answered when it is in a block: Ethereum's tools ask once and then
 * only when they see the height grow, and that they learn from the same block. */
#include "ridge/base/clock.h"
#include "ridge/codec/hex.h"
#include "ridge/test.h"
#include "cluster.h"
#include <pthread.h>
#include <signal.h>
#include <stdio.h>

static rdg_tx_t *send_one(cluster_t *c) {
    char code[32];
    rdg_tx_t *tx = cluster_tx(c);
    cluster_send(c, 0, tx->raw, code);
    CHECK_STR(code, "");
    return tx;
}

static json_t *ask(cluster_t *c, const rdg_hash_t *id) {
    return cluster_rpc(c, 0, "eth_getTransactionReceipt", json_pack("[o]", rdg_json_hex(id->b, 32)), NULL);
}

/* As ethers asks: one batch, of which the height is another part. */
static json_t *ask_as_ethers(cluster_t *c, const rdg_hash_t *id) {
    char hex[2 * RDG_HASH_BYTES + 1], body[400];
    rdg_buf_t out;
    json_t *answers = NULL;
    rdg_buf_init(&out, 1u << 20);
    rdg_hex_encode(id->b, sizeof id->b, hex);
    snprintf(body, sizeof body,
             "[{\"id\":1,\"method\":\"eth_blockNumber\",\"params\":[]},"
             "{\"id\":2,\"method\":\"eth_getTransactionReceipt\",\"params\":[\"0x%s\"]}]",
             hex);
    CHECK_EQ(cluster_post(c, 0, body, &out), 200);
    CHECK_OK(rdg_json_parse(rdg_buf_view(&out), &answers));
    rdg_buf_fini(&out);
    return answers;
}

typedef struct asker {
    uint16_t port;
    rdg_hash_t id;
    bool batch;
    bool answered, receipt;
    pthread_t thread;
} asker_t;

static void *ask_apart(void *arg) {
    asker_t *a = arg;
    cluster_t own = {.count = 1};
    own.rpc_ports[0] = a->port;
    CHECK_OK(rdg_http_client_new(&own.http));
    json_t *answer = a->batch ? ask_as_ethers(&own, &a->id) : ask(&own, &a->id);
    const json_t *receipt = a->batch ? json_object_get(json_array_get(answer, 1), "result") : answer;
    a->answered = receipt != NULL;
    a->receipt = json_is_object(receipt);
    json_decref(answer);
    rdg_http_client_free(own.http);
    return NULL;
}

/* The other validators stand still while it is asked, so that the transaction waits for certain. How long a machine takes
 * until they go on is another matter: one of a few such questions is to be answered with the receipt. */
TEST(one_question_for_the_receipt_of_a_transaction_that_waits_is_enough) {
    enum { TRIES = 10 };
    cluster_t c;
    bool alone = false, in_a_batch = false;
    cluster_init(&c, 4);
    cluster_start_all(&c);
    for (size_t i = 0; i < 4; ++i) cluster_wait_height(&c, i, 1);
    for (int try = 0; try < TRIES && !(alone && in_a_batch); ++try) {
        asker_t a = {.port = c.rpc_ports[0], .batch = try % 2 == 1};
        for (size_t i = 1; i < 4; ++i) CHECK_EQ(kill(c.pids[i], SIGSTOP), 0);
        rdg_tx_t *tx = send_one(&c);
        a.id = tx->id;
        CHECK_EQ(pthread_create(&a.thread, NULL, ask_apart, &a), 0);
        cluster_pause(100);
        for (size_t i = 1; i < 4; ++i) CHECK_EQ(kill(c.pids[i], SIGCONT), 0);
        pthread_join(a.thread, NULL);
        CHECK(a.answered);
        if (a.receipt) *(a.batch ? &in_a_batch : &alone) = true;
        json_decref(cluster_receipt(&c, 0, &tx->id));
        rdg_tx_unref(tx);
    }
    CHECK(alone);
    CHECK(in_a_batch);
    cluster_fini(&c);
}

enum { ASKERS = 12 }; /* more than the node has threads */

/* All wait for a second, and are answered without a receipt. Whether others were answered meanwhile; who is not known is
 * not waited for. */
static bool others_are_served(cluster_t *c, const rdg_hash_t *id) {
    static const rdg_hash_t unknown = {{7}};
    asker_t askers[ASKERS];
    uint64_t start = rdg_mono_ms(rdg_clock_system()), others = 0;
    for (int i = 0; i < ASKERS; ++i) {
        askers[i] = (asker_t){.port = c->rpc_ports[0], .id = *id};
        CHECK_EQ(pthread_create(&askers[i].thread, NULL, ask_apart, &askers[i]), 0);
    }
    while (rdg_mono_ms(rdg_clock_system()) - start < 700) {
        json_decref(cluster_rpc(c, 0, "eth_chainId", json_array(), NULL));
        ++others;
    }
    uint64_t asked = rdg_mono_ms(rdg_clock_system());
    json_t *none = ask(c, &unknown);
    uint64_t took = rdg_mono_ms(rdg_clock_system()) - asked;
    CHECK(json_is_null(none));
    json_decref(none);
    for (int i = 0; i < ASKERS; ++i) {
        pthread_join(askers[i].thread, NULL);
        CHECK(askers[i].answered && !askers[i].receipt);
    }
    CHECK(rdg_mono_ms(rdg_clock_system()) - start >= 1000);
    return others > 10 && took < 900;
}

/* Three of four nodes are away. A machine may be too busy to answer anybody in time, but not again and again. */
TEST(who_waits_for_a_receipt_holds_up_nobody_and_is_answered_without_one_in_the_end) {
    enum { TRIES = 10 };
    cluster_t c;
    bool served = false;
    cluster_init(&c, 4);
    cluster_start_all(&c);
    for (size_t i = 0; i < 4; ++i) cluster_wait_height(&c, i, 1);
    for (size_t i = 1; i < 4; ++i) cluster_kill(&c, i);
    rdg_tx_t *tx = send_one(&c);
    for (int try = 0; try < TRIES && !served; ++try) served = others_are_served(&c, &tx->id);
    CHECK(served);
    rdg_tx_unref(tx);
    cluster_fini(&c);
}
