/* Real nodes through changes of their validators. */
#include "cluster.h"
#include "ridge/base/clock.h"
#include "ridge/base/file.h"
#include "ridge/codec/hex.h"
#include "ridge/test.h"
#include <ridge/verify.h>
#include <signal.h>
#include <stdio.h>

#define WAIT_MS 60000

static uint64_t now_ms(void) {
    return rdg_mono_ms(rdg_clock_system());
}

static uint64_t epoch_of(cluster_t *c, size_t i, bool *voting, char halted[600]) {
    json_t *s = cluster_rpc(c, i, "ridge_status", json_array(), NULL);
    const json_t *consensus = json_object_get(s, "consensus");
    const char *why = json_string_value(json_object_get(s, "halted"));
    uint64_t epoch = (uint64_t)json_integer_value(json_object_get(consensus, "epoch"));
    if (voting) *voting = json_is_true(json_object_get(consensus, "voting"));
    if (halted) snprintf(halted, 600, "%s", why ? why : "");
    json_decref(s);
    return epoch;
}

static void wait_epoch(cluster_t *c, size_t i, uint64_t epoch, bool votes) {
    uint64_t end = now_ms() + WAIT_MS;
    bool voting = false;
    char halted[600];
    while (epoch_of(c, i, &voting, halted) < epoch || voting != votes) {
        CHECK_STR(halted, "");
        if (now_ms() > end)
            rdg_test_fail(__FILE__, __LINE__, "node %zu is not in epoch %llu: see %s/node.log", i,
                          (unsigned long long)epoch, c->dirs[i]);
        cluster_pause(10);
    }
}

/* With height and hash of node i's own ledger, once it has caught up. */
static json_t *add_args(cluster_t *c, size_t i) {
    char hash[80], name[32];
    cluster_wait_height(c, i, cluster_height(c, 0));
    uint64_t height = cluster_height(c, i);
    cluster_block_hash(c, i, height, hash);
    snprintf(name, sizeof name, "node-%zu", i);
    return json_pack("[o, s, i, I, s]", cluster_key(c, i), name, 1, (json_int_t)height, hash);
}

static void transfer(cluster_t *c, size_t via) {
    char code[32];
    rdg_tx_t *tx = cluster_tx(c);
    cluster_send(c, via, tx->raw, code);
    CHECK_STR(code, "");
    json_decref(cluster_receipt(c, via, &tx->id));
    rdg_tx_unref(tx);
}

/* --- who knows the genesis only ----------------------------------------------------------------------------- */

static ridge_trust_t *light_client(cluster_t *c) {
    char path[600];
    rdg_buf_t genesis;
    ridge_trust_t *trust = NULL;
    CHECK_OK(rdg_path_join(path, sizeof path, c->dirs[0], "genesis.json"));
    rdg_buf_init(&genesis, RDG_GENESIS_BYTES_MAX);
    CHECK_OK(rdg_file_read(path, &genesis));
    CHECK_EQ(ridge_trust_new(rdg_buf_cstr(&genesis), &trust), RIDGE_OK);
    rdg_buf_fini(&genesis);
    return trust;
}

static ridge_node_t *node_of(cluster_t *c, size_t i) {
    char url[64];
    ridge_node_t *node = NULL;
    snprintf(url, sizeof url, "http://127.0.0.1:%u", c->rpc_ports[i]);
    CHECK_EQ(ridge_node_open(url, 0, &node), RIDGE_OK);
    return node;
}

/* A node that lies about a change teaches nothing: no byte can be another or be missing. */
static void refuse_lies(ridge_trust_t *trust, const ridge_bytes_t *evidence) {
    uint64_t known = ridge_trust_epoch(trust);
    for (size_t i = 0; i < evidence->len; i += 5) {
        uint8_t bit = (uint8_t)(1u << (i % 8));
        evidence->data[i] ^= bit;
        CHECK(ridge_trust_learn(trust, evidence->data, evidence->len) != RIDGE_OK);
        evidence->data[i] ^= bit;
        CHECK_EQ(ridge_trust_learn(trust, evidence->data, i), RIDGE_MALFORMED);
    }
    CHECK_EQ(ridge_trust_epoch(trust), known);
}

/* A transaction of now is proven to who followed the validators through every change, and to nobody who did not. */
static void check_light_client(cluster_t *c, size_t via, uint64_t epochs) {
    ridge_trust_t *stale = light_client(c), *trust = light_client(c);
    ridge_node_t *node = node_of(c, via);
    ridge_bytes_t evidence, change;
    ridge_receipt_t receipt;
    char id[RIDGE_HASH_TEXT] = "0x", code[32];
    rdg_tx_t *tx = cluster_tx(c);
    cluster_send(c, via, tx->raw, code);
    CHECK_STR(code, "");
    json_decref(cluster_receipt(c, via, &tx->id));
    rdg_hex_encode(tx->id.b, sizeof tx->id.b, id + 2);
    CHECK_EQ(ridge_prove_receipt(node, id, WAIT_MS, &evidence), RIDGE_OK);
    CHECK_EQ(ridge_verify_receipt(stale, evidence.data, evidence.len, &receipt, NULL), RIDGE_STALE);
    for (uint64_t epoch = 1; epoch <= epochs; ++epoch) { /* one by one, and in no other order */
        if (epoch < epochs) {
            CHECK_EQ(ridge_prove_epoch(node, epoch + 1, WAIT_MS, &change), RIDGE_OK);
            CHECK(ridge_trust_learn(stale, change.data, change.len) != RIDGE_OK);
            ridge_free(change.data);
        }
        CHECK_EQ(ridge_prove_epoch(node, epoch, WAIT_MS, &change), RIDGE_OK);
        if (epoch == 1) refuse_lies(stale, &change);
        CHECK_EQ(ridge_trust_learn(stale, change.data, change.len), RIDGE_OK);
        CHECK_EQ(ridge_trust_learn(stale, change.data, change.len), RIDGE_DUPLICATE);
        ridge_free(change.data);
    }
    CHECK_EQ(ridge_prove_epoch(node, epochs + 1, WAIT_MS, &change), RIDGE_NOT_FOUND);
    CHECK_EQ(ridge_prove_epoch(node, 0, 0, &change), RIDGE_INVALID);
    CHECK_EQ(ridge_trust_update(trust, node), RIDGE_OK); /* the same in one step */
    CHECK_EQ(ridge_trust_epoch(trust), epochs);
    CHECK_EQ(ridge_verify_receipt(trust, evidence.data, evidence.len, &receipt, NULL), RIDGE_OK);
    CHECK(receipt.success && strcmp(receipt.id, id) == 0);
    ridge_receipt_fini(&receipt);
    evidence.data[evidence.len / 2] ^= 1;
    CHECK(ridge_verify_receipt(trust, evidence.data, evidence.len, &receipt, NULL) != RIDGE_OK);
    ridge_free(evidence.data);
    rdg_tx_unref(tx);
    ridge_node_close(node);
    ridge_trust_free(stale);
    ridge_trust_free(trust);
}

TEST(a_chain_grows_from_one_to_four_validators_and_shrinks_again) {
    cluster_t c;
    cluster_init_observers(&c, 4, 1);
    cluster_start_all(&c);
    for (size_t i = 0; i < 4; ++i) cluster_wait_rpc(&c, i);
    transfer(&c, 0);
    for (size_t i = 1; i < 4; ++i) {
        CHECK(cluster_govern(&c, 0, "addValidator", add_args(&c, i)));
        for (size_t k = 0; k < 4; ++k) wait_epoch(&c, k, i, k <= i);
        transfer(&c, i);
    }
    cluster_kill(&c, 3); /* four bear the loss of one */
    transfer(&c, 1);
    cluster_start(&c, 3);
    cluster_wait_rpc(&c, 3);
    wait_epoch(&c, 3, 3, true);
    for (size_t i = 3; i > 0; --i) {
        CHECK(cluster_govern(&c, 0, "removeValidator", json_pack("[o]", cluster_key(&c, i))));
        for (size_t k = 0; k < 4; ++k) wait_epoch(&c, k, 7 - i, k < i);
        transfer(&c, 0);
    }
    cluster_check_agreement(&c, 1);
    for (size_t i = 0; i < 4; i += 3)
        check_light_client(&c, i, 6); /* a validator, and one that is none any more */
    cluster_fini(&c);
}

TEST(nodes_that_were_away_while_the_validators_changed_come_back) {
    cluster_t c;
    cluster_init_observers(&c, 5, 4);
    for (size_t i = 0; i < 5; ++i)
        if (i != 2) cluster_start(&c, i);
    for (size_t i = 0; i < 5; ++i)
        if (i != 2) cluster_wait_rpc(&c, i);
    transfer(&c, 0);
    cluster_wait_height(&c, 4, 1);
    CHECK(cluster_govern(&c, 0, "addValidator", add_args(&c, 4)));
    wait_epoch(&c, 4, 1, true);
    CHECK(cluster_govern(&c, 0, "removeValidator", json_pack("[o]", cluster_key(&c, 1))));
    wait_epoch(&c, 0, 2, true);
    transfer(&c, 3);
    cluster_start(&c, 2); /* knows of epoch 0 only */
    cluster_wait_rpc(&c, 2);
    wait_epoch(&c, 2, 2, true);
    cluster_kill(&c, 3); /* now it is needed */
    transfer(&c, 0);
    cluster_start(&c, 3);
    cluster_wait_rpc(&c, 3);
    for (size_t i = 0; i < 5; ++i) CHECK_EQ(epoch_of(&c, i, NULL, NULL), 2);
    cluster_check_agreement(&c, 1);
    cluster_fini(&c);
}

TEST(all_nodes_killed_while_a_change_is_pending_carry_it_out) {
    cluster_t c;
    cluster_init_observers(&c, 4, 3);
    cluster_start_all(&c);
    for (size_t i = 0; i < 4; ++i) cluster_wait_rpc(&c, i);
    transfer(&c, 0);
    for (int round = 0; round < 3; ++round) {
        bool adds = round % 2 == 0;
        json_t *args = adds ? add_args(&c, 3) : json_pack("[o]", cluster_key(&c, 3));
        CHECK(cluster_govern(&c, 0, adds ? "addValidator" : "removeValidator", args));
        cluster_pause(30 * round);
        for (size_t i = 0; i < 4; ++i) cluster_kill(&c, i);
        cluster_start_all(&c);
        for (size_t i = 0; i < 4; ++i) cluster_wait_rpc(&c, i);
        for (size_t i = 0; i < 4; ++i) wait_epoch(&c, i, (uint64_t)round + 1, i < 3 || adds);
    }
    transfer(&c, 2);
    cluster_check_agreement(&c, 1);
    cluster_fini(&c);
}

/* --- under Raft ------------------------------------------------------------------------------------------ */

TEST(under_raft_validators_come_and_go_and_weights_change) {
    cluster_t c;
    cluster_init_observers(&c, 4, 1);
    cluster_use_raft(&c);
    cluster_start_all(&c);
    for (size_t i = 0; i < 4; ++i) cluster_wait_rpc(&c, i);
    transfer(&c, 0);
    for (size_t i = 1; i < 4; ++i) {
        CHECK(cluster_govern(&c, 0, "addValidator", add_args(&c, i)));
        for (size_t k = 0; k < 4; ++k) wait_epoch(&c, k, i, k <= i);
        transfer(&c, i);
    }
    CHECK(cluster_govern(&c, 1, "setWeight", json_pack("[o, i]", cluster_key(&c, 0), 4))); /* of 7 */
    for (size_t k = 0; k < 4; ++k) wait_epoch(&c, k, 4, true);
    for (size_t i = 1; i < 4; ++i) cluster_kill(&c, i); /* the heavy one is a majority */
    transfer(&c, 0);
    for (size_t i = 1; i < 4; ++i) cluster_start(&c, i);
    for (size_t i = 1; i < 4; ++i) cluster_wait_rpc(&c, i);
    transfer(&c, 3);
    for (size_t k = 0; k < 2; ++k) { /* the heavy one leaves, whoever leads; then another */
        CHECK(cluster_govern(&c, 2, "removeValidator", json_pack("[o]", cluster_key(&c, k))));
        for (size_t i = 0; i < 4; ++i) wait_epoch(&c, i, 5 + k, i > k);
        transfer(&c, 3);
    }
    cluster_check_agreement(&c, 1);
    check_light_client(&c, 2, 6);
    cluster_fini(&c);
}

TEST(under_raft_nodes_killed_while_a_change_is_pending_carry_it_out) {
    cluster_t c;
    cluster_init_observers(&c, 4, 3);
    cluster_use_raft(&c);
    cluster_start_all(&c);
    for (size_t i = 0; i < 4; ++i) cluster_wait_rpc(&c, i);
    transfer(&c, 0);
    for (int round = 0; round < 2; ++round) {
        bool adds = round % 2 == 0;
        json_t *args = adds ? add_args(&c, 3) : json_pack("[o]", cluster_key(&c, 3));
        CHECK(cluster_govern(&c, 0, adds ? "addValidator" : "removeValidator", args));
        cluster_pause(30 * round);
        for (size_t i = 0; i < 4; ++i) cluster_kill(&c, i);
        cluster_start_all(&c);
        for (size_t i = 0; i < 4; ++i) cluster_wait_rpc(&c, i);
        for (size_t i = 0; i < 4; ++i) wait_epoch(&c, i, (uint64_t)round + 1, i < 3 || adds);
    }
    transfer(&c, 2);
    cluster_check_agreement(&c, 1);
    cluster_fini(&c);
}

TEST(peers_are_taken_from_a_changed_file_without_a_restart) {
    cluster_t c;
    cluster_init_observers(&c, 2, 1);
    cluster_write_peers(&c, 0, 1); /* the validator does not know the observer */
    cluster_start_all(&c);
    for (size_t i = 0; i < 2; ++i) cluster_wait_rpc(&c, i);
    transfer(&c, 0);
    cluster_pause(700);
    CHECK_EQ(cluster_height(&c, 1), 0);
    cluster_write_peers(&c, 0, 3);
    cluster_wait_height(&c, 1, 1);
    cluster_wait_height(&c, 1, cluster_height(&c, 0));
    cluster_write_peers(&c, 0, 1);
    cluster_wait_links(&c, 0, 0);
    uint64_t before = cluster_height(&c, 1);
    transfer(&c, 0);
    cluster_pause(700);
    CHECK_EQ(cluster_height(&c, 1), before);
    cluster_fini(&c);
}

TEST(the_first_block_comes_when_the_first_leader_never_does) {
    cluster_t c;
    cluster_init(&c, 4);
    for (size_t i = 1; i < 4; ++i) cluster_start(&c, i);
    for (size_t i = 1; i < 4; ++i) cluster_wait_height(&c, i, 1);
    json_t *s = cluster_rpc(&c, 1, "ridge_consensus", json_array(), NULL);
    CHECK_EQ(json_array_size(json_object_get(s, "validators")), 4);
    CHECK(json_array_size(json_object_get(s, "view_changes")) >= 1);
    CHECK(json_integer_value(json_object_get(s, "view")) >= 1);
    const json_t *block = json_array_get(json_object_get(s, "blocks"), 0);
    CHECK_EQ(json_array_size(json_object_get(block, "voted")), 3);
    json_decref(s);
    cluster_fini(&c);
}
