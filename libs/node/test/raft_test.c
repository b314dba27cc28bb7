/* Real nodes under Raft. */
#include "cluster.h"
#include "ridge/base/clock.h"
#include "ridge/base/file.h"
#include "ridge/ledger/governance.h"
#include "ridge/ledger/order.h"
#include "ridge/test.h"
#include <stdio.h>
#include <string.h>

#define BASE_MS 1000
#define WAIT_MS 60000
#define TRIES 5 /* a machine may be too busy for what has to be quick, but not each time */

static uint64_t now_ms(void) {
    return rdg_mono_ms(rdg_clock_system());
}

static void start(cluster_t *c, size_t count) {
    cluster_init(c, count);
    cluster_use_raft(c);
    cluster_start_all(c);
    for (size_t i = 0; i < count; ++i) cluster_wait_height(c, i, 1);
}

static rdg_hash_t send(cluster_t *c, size_t i) {
    char code[32];
    rdg_tx_t *tx = cluster_tx(c);
    rdg_hash_t id = tx->id;
    cluster_send(c, i, tx->raw, code);
    CHECK_STR(code, "");
    rdg_tx_unref(tx);
    return id;
}

static void await(cluster_t *c, size_t i, const rdg_hash_t *id) {
    json_decref(cluster_receipt(c, i, id));
}

/* The validator that node i takes for the leader; the count when it knows none. */
static size_t leader_by(cluster_t *c, size_t i) {
    json_t *status = cluster_rpc(c, i, "ridge_status", json_array(), NULL);
    const json_t *consensus = json_object_get(status, "consensus");
    const char *name = json_string_value(json_object_get(consensus, "leader"));
    size_t leader = c->count;
    CHECK_STR(json_string_value(json_object_get(consensus, "protocol")), "raft");
    CHECK(json_integer_value(json_object_get(consensus, "term")) > 0);
    for (size_t k = 0; name && k < c->count; ++k)
        if (strcmp(name, c->genesis.validator_names[k]) == 0) leader = k;
    json_decref(status);
    return leader;
}

static size_t leader_of(cluster_t *c) {
    for (uint64_t end = now_ms() + WAIT_MS; now_ms() < end;) {
        for (size_t i = 0; i < c->count; ++i) {
            size_t leader = c->pids[i] ? leader_by(c, i) : c->count;
            if (leader < c->count && c->pids[leader]) return leader;
        }
        cluster_pause(10);
    }
    rdg_test_fail(__FILE__, __LINE__, "there is no leader");
    return 0;
}

TEST(one_two_three_and_five_nodes_of_raft_make_blocks) {
    static const size_t sizes[] = {1, 2, 3, 5};
    for (size_t k = 0; k < 4; ++k) {
        cluster_t c;
        start(&c, sizes[k]);
        for (size_t i = 0; i < c.count; ++i) {
            rdg_hash_t id = send(&c, i);
            await(&c, (i + 1) % c.count, &id);
        }
        cluster_check_agreement(&c, 1);
        cluster_fini(&c);
        for (size_t i = 0; i < c.count; ++i) CHECK_OK(rdg_tree_remove(c.dirs[i], NULL));
    }
}

TEST(the_next_block_comes_within_two_time_outs_of_a_leaders_death) {
    cluster_t c;
    uint64_t best = UINT64_MAX;
    start(&c, 3);
    rdg_hash_t before = send(&c, 0);
    for (size_t i = 0; i < 3; ++i) await(&c, i, &before);
    for (int round = 0; round < 3 || (round < TRIES && best > 2 * BASE_MS); ++round) {
        size_t leader = leader_of(&c), other = (leader + 1) % 3;
        cluster_kill(&c, leader);
        uint64_t died = now_ms();
        rdg_hash_t id = send(&c, other);
        await(&c, other, &id);
        uint64_t took = now_ms() - died;
        if (took < best) best = took;
        cluster_start(&c, leader);
        cluster_wait_rpc(&c, leader);
        await(&c, leader, &id);
    }
    if (best > 2 * BASE_MS) rdg_test_fail(__FILE__, __LINE__, "it took %llu ms", (unsigned long long)best);
    cluster_check_agreement(&c, 1);
    cluster_fini(&c);
}

TEST(a_leader_that_is_stopped_hands_over) {
    cluster_t c;
    bool quick = false; /* nobody had to miss it first */
    start(&c, 3);
    for (int round = 0; round < TRIES && !quick; ++round) {
        size_t leader = leader_of(&c), other = (leader + 1) % 3;
        CHECK_EQ(cluster_stop(&c, leader), 0);
        uint64_t stopped = now_ms();
        rdg_hash_t id = send(&c, other);
        await(&c, other, &id);
        quick = now_ms() - stopped < BASE_MS;
        cluster_log_has(&c, leader, "node.lead_handed_over");
        cluster_start(&c, leader);
        await(&c, leader, &id);
    }
    CHECK(quick);
    cluster_fini(&c);
}

TEST(any_node_gives_a_read_index_that_is_not_older_than_what_was_answered) {
    cluster_t c;
    char code[32];
    start(&c, 3);
    for (int round = 0; round < 10; ++round) {
        size_t writer = (size_t)round % 3, reader = (size_t)(round + 1) % 3;
        rdg_hash_t id = send(&c, writer);
        await(&c, writer, &id);
        uint64_t seen = cluster_height(&c, writer), index = 0;
        json_t *result = cluster_rpc(&c, reader, "ridge_readIndex", json_array(), code);
        /* Without a leader that is sure of it there is none. */
        for (uint64_t end = now_ms() + WAIT_MS; !result && now_ms() < end;)
            result = cluster_rpc(&c, reader, "ridge_readIndex", json_array(), code);
        CHECK_STR(code, "");
        CHECK_OK(rdg_json_quantity_parse(result, &index));
        json_decref(result);
        CHECK(index >= seen);
        CHECK(cluster_height(&c, reader) >= index);
    }
    size_t leader = leader_of(&c);
    for (size_t i = 0; i < 3; ++i)
        if (i != leader) cluster_kill(&c, i);
    json_decref(cluster_rpc(&c, leader, "ridge_readIndex", json_array(), code));
    CHECK_STR(code, "UNAVAILABLE");
    cluster_fini(&c);
}

TEST(a_chain_of_pbft_has_no_read_index) {
    cluster_t c;
    char code[32];
    cluster_init(&c, 1);
    cluster_start_all(&c);
    cluster_wait_height(&c, 0, 1);
    json_decref(cluster_rpc(&c, 0, "ridge_readIndex", json_array(), code));
    CHECK_STR(code, "UNSUPPORTED");
    cluster_fini(&c);
}

TEST(all_nodes_of_raft_may_be_killed_at_once) {
    cluster_t c;
    start(&c, 3);
    for (int round = 0; round < 3; ++round) {
        rdg_hash_t ids[20];
        for (size_t k = 0; k < 20; ++k) ids[k] = send(&c, k % 3);
        await(&c, (size_t)round, &ids[0]);
        for (size_t i = 0; i < 3; ++i) cluster_kill(&c, i);
        cluster_start_all(&c);
        for (size_t i = 0; i < 3; ++i) cluster_wait_rpc(&c, i);
        for (size_t i = 0; i < 3; ++i) await(&c, i, &ids[0]); /* what was acknowledged is not lost */
    }
    cluster_check_agreement(&c, 1);
    cluster_fini(&c);
}

static bool votes(cluster_t *c, size_t i) {
    json_t *status = cluster_rpc(c, i, "ridge_status", json_array(), NULL);
    bool voting = json_is_true(json_object_get(json_object_get(status, "consensus"), "voting"));
    json_decref(status);
    return voting;
}

TEST(a_node_that_lost_its_ledger_comes_back_under_raft) {
    cluster_t c;
    char path[600];
    start(&c, 3);
    rdg_hash_t id = send(&c, 0);
    for (size_t i = 0; i < 3; ++i) await(&c, i, &id);
    size_t lost = (leader_of(&c) + 1) % 3;
    CHECK_EQ(cluster_stop(&c, lost), 0);
    CHECK_OK(rdg_path_join(path, sizeof path, c.dirs[lost], "data"));
    CHECK_OK(rdg_tree_remove(path, NULL));
    cluster_start(&c, lost);
    cluster_wait_rpc(&c, lost);
    await(&c, lost, &id);
    cluster_log_has(&c, lost, "node.lost_ledger");
    for (uint64_t end = now_ms() + WAIT_MS; !votes(&c, lost) && now_ms() < end;) cluster_pause(20);
    CHECK(votes(&c, lost));
    size_t leader = leader_of(&c);
    if (leader != lost) cluster_kill(&c, leader); /* the one that came back must be of use */
    id = send(&c, lost);
    await(&c, lost, &id);
    cluster_fini(&c);
}

/* --- an administrator's order ---------------------------------------------------------------------------- */

static rdg_lead_order_t order_now(cluster_t *c, size_t i, const char *to) {
    rdg_lead_order_t o = {.epoch = 0};
    json_t *status = cluster_rpc(c, i, "ridge_consensus", json_array(), NULL);
    o.epoch = (uint64_t)json_integer_value(json_object_get(status, "epoch"));
    o.view = (uint64_t)json_integer_value(json_object_get(status, "view"));
    snprintf(o.to, sizeof o.to, "%s", to);
    json_decref(status);
    return o;
}

static json_t *give_order(cluster_t *c, size_t i, const rdg_lead_order_t *o, uint64_t valid_until,
                          char code[32]) {
    rdg_buf_t data;
    rdg_buf_init(&data, 512);
    CHECK_OK(rdg_lead_order_encode(o, &data));
    rdg_tx_t *tx = cluster_sign(c, (rdg_tx_fields_t){.to = &RDG_GOVERNANCE_ADDRESS,
                                                     .gas_limit = 5000000,
                                                     .valid_until = valid_until,
                                                     .data = rdg_buf_view(&data)});
    json_t *params = json_pack("[o]", rdg_json_hex(tx->raw.data, tx->raw.len));
    json_t *answer = cluster_rpc(c, i, "ridge_transferLeader", params, code);
    rdg_tx_unref(tx);
    rdg_buf_fini(&data);
    return answer;
}

/* Whether an order that was given to the leader of this term met that leader: a busy machine may have made another one. */
static bool still_leads(cluster_t *c, size_t leader, uint64_t term) {
    return leader_by(c, leader) == leader && order_now(c, leader, "").view == term;
}

TEST(an_administrator_hands_the_lead_to_whom_he_names) {
    cluster_t c;
    char code[32];
    bool quick = false; /* nobody had to miss it first */
    start(&c, 3);
    for (int round = 0, tries = 0; round < 4; ++tries) {
        size_t leader = leader_of(&c), to = (leader + 1 + (size_t)round % 2) % 3;
        const char *name = round == 3 ? "" : c.genesis.validator_names[to];
        rdg_lead_order_t o = order_now(&c, leader, name);
        uint64_t begin = now_ms();
        json_t *answer = give_order(&c, leader, &o, 0, code);
        bool in_vain = strcmp(code, "TIMEOUT") == 0 || strcmp(code, "BUSY") == 0;
        if (*code && tries < 100 && (in_vain || !still_leads(&c, leader, o.view))) continue;
        CHECK_STR(code, "");
        const char *leads = json_string_value(json_object_get(answer, "leader"));
        CHECK(leads && strcmp(leads, c.genesis.validator_names[leader]) != 0);
        if (name[0]) CHECK_STR(leads, name);
        CHECK(json_integer_value(json_object_get(answer, "term")) > (json_int_t)o.view);
        quick = quick || now_ms() - begin < 2 * BASE_MS;
        json_decref(answer);
        do { /* the same order again; a moment long nobody may be known to lead */
            json_decref(give_order(&c, leader, &o, 0, code));
        } while (strcmp(code, "UNAVAILABLE") == 0 && ++tries < 1000);
        CHECK_STR(code, "STALE");
        rdg_hash_t id = send(&c, leader);
        await(&c, to, &id);
        ++round;
    }
    CHECK(quick);
    cluster_fini(&c);
}

/* False: another one leads meanwhile, or it is not known at present who does. */
static bool refused(cluster_t *c, size_t leader, size_t i, rdg_lead_order_t o, const char *want) {
    char code[32];
    uint64_t term = order_now(c, leader, "").view;
    json_decref(give_order(c, i, &o, 0, code));
    if (strcmp(code, want) == 0) return true;
    if (strcmp(code, "UNAVAILABLE") != 0 && still_leads(c, leader, term)) CHECK_STR(code, want);
    return false;
}

static bool all_are_refused(cluster_t *c) {
    char code[32];
    size_t leader = leader_of(c), other = (leader + 1) % 3;
    const char *name = c->genesis.validator_names[other];
    bool all =
        refused(c, leader, other, order_now(c, leader, name), "CONFLICT") && /* it does not lead */
        refused(c, leader, leader, order_now(c, leader, c->genesis.validator_names[leader]), "EXISTS") &&
        refused(c, leader, leader, order_now(c, leader, "nobody"), "NOT_FOUND");
    rdg_lead_order_t later = order_now(c, leader, name);
    ++later.view;
    all = all && refused(c, leader, leader, later, "STALE");
    rdg_sm2_key_t *administrator = c->user;
    CHECK_OK(rdg_sm2_key_generate(&c->user));
    all = all && refused(c, leader, leader, order_now(c, leader, name), "FORBIDDEN");
    rdg_sm2_key_free(c->user);
    c->user = administrator;
    json_decref(cluster_rpc(c, leader, "ridge_transferLeader", json_pack("[s]", "0x00"), code));
    CHECK_STR(code, "MALFORMED");
    rdg_tx_t *tx = cluster_tx(c); /* signed by the administrator, and no order */
    json_decref(cluster_rpc(c, leader, "ridge_transferLeader",
                            json_pack("[o]", rdg_json_hex(tx->raw.data, tx->raw.len)), code));
    CHECK_STR(code, "INVALID");
    rdg_tx_unref(tx);
    return all;
}

TEST(orders_that_nobody_may_give_or_follow_are_refused) {
    cluster_t c;
    char code[32] = "";
    start(&c, 3);
    int tries = 0;
    while (!all_are_refused(&c)) CHECK(++tries < 20);
    size_t leader = leader_of(&c), gone = (leader + 1) % 3, third = (leader + 2) % 3;
    cluster_kill(&c, gone);
    uint64_t end = now_ms() + WAIT_MS;
    while (strcmp(code, "UNAVAILABLE") != 0 && now_ms() < end) { /* until the leader has noticed */
        leader = leader_of(&c);
        rdg_lead_order_t o = order_now(&c, leader, c.genesis.validator_names[gone]);
        json_decref(give_order(&c, leader, &o, 0, code));
    }
    CHECK_STR(code, "UNAVAILABLE");
    CHECK(leader_of(&c) != gone);
    rdg_hash_t id = send(&c, third);
    await(&c, third, &id);
    cluster_fini(&c);
}

TEST(the_leader_of_a_chain_of_pbft_takes_no_order) {
    cluster_t c;
    char code[32];
    cluster_init(&c, 1);
    cluster_start_all(&c);
    cluster_wait_height(&c, 0, 1);
    rdg_lead_order_t o = order_now(&c, 0, "");
    json_decref(give_order(&c, 0, &o, 0, code));
    CHECK_STR(code, "UNSUPPORTED");
    cluster_fini(&c);
}
