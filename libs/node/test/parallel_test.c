/* Many clients at once while blocks are made: the threads of a node under the sanitizers, and one answer to all. */
#include <pthread.h>
#include "cluster.h"
#include "ridge/test.h"

#define CLIENTS 6
#define ROUNDS 40

typedef struct client {
    cluster_t c; /* a copy with an HTTP client of its own */
    size_t node;
    pthread_t thread;
    rdg_hash_t ids[ROUNDS];
} client_t;

static void *run_client(void *arg) {
    static const char *const reads[][2] = {{"ridge_status", "[]"},
                                           {"eth_getBlockByNumber", "[\"latest\", true]"},
                                           {"eth_getLogs", "[{\"fromBlock\":\"0x0\"}]"},
                                           {"eth_estimateGas", "[{}]"},
                                           {"ridge_getSeal", "[\"0x1\"]"}};
    client_t *client = arg;
    for (size_t i = 0; i < ROUNDS; ++i) {
        char code[32];
        json_t *params = NULL;
        rdg_tx_t *tx = cluster_tx(&client->c);
        client->ids[i] = tx->id;
        cluster_send(&client->c, client->node, tx->raw, code);
        CHECK_STR(code, "");
        rdg_tx_unref(tx);
        size_t r = i % (sizeof reads / sizeof reads[0]);
        CHECK_OK(rdg_json_parse(rdg_bytes_str(reads[r][1]), &params));
        json_t *result = cluster_rpc(&client->c, client->node, reads[r][0], params, code);
        CHECK_STR(code, "");
        json_decref(result);
    }
    return NULL;
}

TEST(many_clients_at_once_are_all_served_while_blocks_are_made) {
    static client_t clients[CLIENTS];
    cluster_t c;
    cluster_init(&c, 4);
    cluster_start_all(&c);
    for (size_t i = 0; i < 4; ++i) cluster_wait_height(&c, i, 1);
    for (size_t i = 0; i < CLIENTS; ++i) {
        clients[i].c = c;
        clients[i].node = i % 3; /* two at each of three nodes, the leader among them */
        CHECK_OK(rdg_http_client_new(&clients[i].c.http));
        CHECK_EQ(pthread_create(&clients[i].thread, NULL, run_client, &clients[i]), 0);
    }
    for (size_t i = 0; i < CLIENTS; ++i) {
        CHECK_EQ(pthread_join(clients[i].thread, NULL), 0);
        rdg_http_client_free(clients[i].c.http);
    }
    for (size_t i = 0; i < CLIENTS; ++i)
        for (size_t j = 0; j < ROUNDS; ++j) json_decref(cluster_receipt(&c, 3, &clients[i].ids[j]));
    cluster_check_agreement(&c, 1);
    cluster_fini(&c);
}
