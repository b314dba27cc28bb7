#include "cluster.h"
#include "ridge/base/file.h"
#include "ridge/test.h"
#include <stdio.h>
#include <string.h>

static void send_and_wait(cluster_t *c, size_t through, size_t seen_at) {
    char code[32];
    rdg_tx_t *tx = cluster_tx(c);
    cluster_send(c, through, tx->raw, code);
    CHECK_STR(code, "");
    json_t *receipt = cluster_receipt(c, seen_at, &tx->id);
    CHECK_STR(json_string_value(json_object_get(receipt, "status")), "0x1");
    json_decref(receipt);
    rdg_tx_unref(tx);
}

static void check_same_chain(cluster_t *c, uint64_t height) {
    char want[80], got[80];
    cluster_block_hash(c, 0, height, want);
    for (size_t i = 1; i < c->count; ++i) {
        cluster_wait_height(c, i, height);
        cluster_block_hash(c, i, height, got);
        CHECK_STR(got, want);
    }
}

TEST(four_nodes_seal_the_first_block_and_a_transaction_sent_to_any) {
    cluster_t c;
    cluster_init(&c, 4);
    cluster_start_all(&c);
    for (size_t i = 0; i < 4; ++i) cluster_wait_height(&c, i, 1);
    for (size_t i = 0; i < 4; ++i) send_and_wait(&c, i, (i + 1) % 4);
    check_same_chain(&c, cluster_height(&c, 0));
    cluster_fini(&c);
}

TEST(one_node_alone_seals_blocks) {
    cluster_t c;
    cluster_init(&c, 1);
    cluster_start_all(&c);
    cluster_wait_height(&c, 0, 1);
    send_and_wait(&c, 0, 0);
    cluster_fini(&c);
}

TEST(a_killed_node_comes_back_with_the_same_hashes_and_catches_up) {
    cluster_t c;
    char before[80], after[80];
    cluster_init(&c, 4);
    cluster_start_all(&c);
    cluster_wait_height(&c, 3, 1);
    for (int i = 0; i < 5; ++i) send_and_wait(&c, 0, 3);
    uint64_t height = cluster_height(&c, 3);
    cluster_block_hash(&c, 3, height, before);
    cluster_kill(&c, 3);
    for (int i = 0; i < 5; ++i) send_and_wait(&c, 0, 1);
    cluster_start(&c, 3);
    cluster_wait_height(&c, 3, height);
    cluster_block_hash(&c, 3, height, after);
    CHECK_STR(after, before);
    cluster_wait_height(&c, 3, cluster_height(&c, 0));
    send_and_wait(&c, 3, 3);
    check_same_chain(&c, cluster_height(&c, 0));
    cluster_fini(&c);
}

TEST(a_killed_leader_comes_back_and_the_chain_goes_on) {
    cluster_t c;
    char code[32];
    cluster_init(&c, 4);
    cluster_start_all(&c);
    for (size_t i = 0; i < 4; ++i) cluster_wait_height(&c, i, 1);
    rdg_tx_t *txs[20];
    for (int i = 0; i < 20; ++i) {
        txs[i] = cluster_tx(&c);
        cluster_send(&c, 1, txs[i]->raw, code);
        CHECK_STR(code, "");
        if (i == 10) cluster_kill(&c, 0);
    }
    cluster_start(&c, 0);
    for (int i = 0; i < 20; ++i) {
        json_decref(cluster_receipt(&c, 2, &txs[i]->id));
        rdg_tx_unref(txs[i]);
    }
    cluster_wait_height(&c, 0, cluster_height(&c, 2));
    check_same_chain(&c, cluster_height(&c, 0));
    cluster_fini(&c);
}

/* How soon, the consensus library's tests say in virtual time: here a busy machine takes its part. */
TEST(a_leader_that_is_killed_for_good_is_replaced_and_catches_up_when_it_returns) {
    cluster_t c;
    cluster_init(&c, 4);
    cluster_start_all(&c);
    for (size_t i = 0; i < 4; ++i) cluster_wait_height(&c, i, 1);
    send_and_wait(&c, 0, 3);
    cluster_kill(&c, 0);
    send_and_wait(&c, 2, 3);
    for (size_t i = 0; i < 5; ++i) send_and_wait(&c, 1 + i % 3, 1 + (i + 1) % 3);
    json_t *status = cluster_rpc(&c, 3, "ridge_status", json_array(), NULL);
    const json_t *consensus = json_object_get(status, "consensus");
    CHECK(json_integer_value(json_object_get(consensus, "view")) > 0);
    CHECK(strcmp(json_string_value(json_object_get(consensus, "leader")), "node-0") != 0);
    json_decref(status);
    cluster_start(&c, 0);
    cluster_wait_height(&c, 0, cluster_height(&c, 1));
    send_and_wait(&c, 0, 2);
    cluster_kill(&c, 3); /* now the one that came back has to vote */
    send_and_wait(&c, 1, 0);
    cluster_check_agreement(&c, 1);
    cluster_fini(&c);
}

TEST(all_nodes_killed_at_once_lose_nothing_that_had_a_receipt) {
    cluster_t c;
    cluster_init(&c, 4);
    cluster_start_all(&c);
    cluster_wait_height(&c, 2, 1);
    rdg_tx_t *tx = cluster_tx(&c);
    char code[32];
    cluster_send(&c, 2, tx->raw, code);
    json_decref(cluster_receipt(&c, 2, &tx->id));
    for (size_t i = 0; i < 4; ++i) cluster_kill(&c, i);
    cluster_start_all(&c);
    for (size_t i = 0; i < 4; ++i) json_decref(cluster_receipt(&c, i, &tx->id));
    send_and_wait(&c, 1, 2);
    rdg_tx_unref(tx);
    cluster_fini(&c);
}

TEST(a_ledger_of_another_chain_is_refused_by_name) {
    cluster_t c;
    cluster_init(&c, 1);
    cluster_start_all(&c);
    cluster_wait_height(&c, 0, 1);
    CHECK_EQ(cluster_stop(&c, 0), 0);
    char path[600];
    rdg_buf_t text;
    rdg_buf_init(&text, RDG_GENESIS_BYTES_MAX);
    c.genesis.time_ms += 1;
    CHECK_OK(rdg_genesis_format(&c.genesis, &text));
    CHECK_OK(rdg_path_join(path, sizeof path, c.dirs[0], "genesis.json"));
    CHECK_OK(rdg_file_replace(path, rdg_buf_view(&text), 0600));
    rdg_buf_fini(&text);
    cluster_start(&c, 0);
    CHECK_EQ(cluster_exit(&c, 0), 100 + RDG_E_CONFLICT);
    cluster_fini(&c);
}

TEST(a_validator_that_lost_its_ledger_catches_up_before_it_votes_again) {
    cluster_t c;
    char path[600];
    cluster_init(&c, 4);
    cluster_start_all(&c);
    for (size_t i = 0; i < 4; ++i) cluster_wait_height(&c, i, 1);
    for (int i = 0; i < 3; ++i) send_and_wait(&c, 0, 3);
    cluster_kill(&c, 3);
    CHECK_OK(rdg_path_join(path, sizeof path, c.dirs[3], "data"));
    CHECK_OK(rdg_tree_remove(path, NULL));
    cluster_start(&c, 3);
    cluster_wait_height(&c, 3, cluster_height(&c, 0));
    /* It votes again when a height is decided that it cannot have voted on before. */
    for (int i = 0; i < 3; ++i) send_and_wait(&c, 0, 3);
    /* With another one away, the chain goes on only if the restored one votes. */
    cluster_kill(&c, 2);
    send_and_wait(&c, 0, 3);
    cluster_fini(&c);
}
