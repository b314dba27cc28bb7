/* Nodes that come late: by snapshot and by blocks, from peers of which some lie, are slow or die. */
#include "chain_build.h"
#include "ridge/base/clock.h"
#include "ridge/base/file.h"
#include "ridge/test.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define WAIT_MS 50000

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

enum { BLOCKS = 2000, SLOTS = 12000, GAP = 300 };

typedef struct world {
    cluster_t c;
    rdg_address_t contract;
    uint64_t height;
} world_t;

/* Node 0 decides; all but the last have a chain of some length, on which the last one will come. */
static void world_init(world_t *w, size_t count, uint64_t blocks, uint64_t slots, bool raft) {
    chain_build_t b;
    cluster_init_observers(&w->c, count, 1);
    if (raft) cluster_use_raft(&w->c);
    w->c.snapshot_gap = GAP;
    chain_build_open(&b, &w->c, 0);
    chain_build_blocks(&b, 20, 8);
    chain_build_slots(&b, 0, slots);
    chain_build_blocks(&b, blocks, 0);
    w->contract = b.contract;
    w->height = chain_build_close(&b);
    for (size_t i = 1; i + 1 < count; ++i) chain_build_copy(&w->c, 0, i);
}

static void start(world_t *w, size_t count) {
    for (size_t i = 0; i < count; ++i) cluster_start(&w->c, i);
    for (size_t i = 0; i < count; ++i) cluster_wait_rpc(&w->c, i);
}

static void check_slot(world_t *w, size_t i, uint64_t slot, uint64_t want) {
    rdg_word_t key = {{0}};
    char got[80], expect[80];
    rdg_store_be64(key.b + 24, slot);
    json_t *result = cluster_rpc(
        &w->c, i, "eth_getStorageAt",
        json_pack("[o, o, s]", rdg_json_hex(w->contract.b, 20), rdg_json_hex(key.b, 32), "latest"), NULL);
    snprintf(got, sizeof got, "%s", json_string_value(result) ? json_string_value(result) : "nothing");
    snprintf(expect, sizeof expect, "0x%064llx", (unsigned long long)want);
    if (strcmp(got, expect) != 0)
        rdg_test_fail(__FILE__, __LINE__, "slot %llu of node %zu: %s, want %s", (unsigned long long)slot, i,
                      got, expect);
    json_decref(result);
}

static void wait_height(world_t *w, size_t i, uint64_t height) {
    uint64_t end = rdg_mono_ms(rdg_clock_system()) + WAIT_MS;
    while (cluster_height(&w->c, i) < height && rdg_mono_ms(rdg_clock_system()) < end) cluster_pause(20);
    cluster_wait_height(&w->c, i, height);
}

/* It has the state, follows new blocks, and the block that it executes is everybody's. */
static void check_joined(world_t *w, size_t i) {
    rdg_tx_t *tx = cluster_tx(&w->c);
    char code[32], mine[80], theirs[80];
    wait_height(w, i, w->height);
    for (uint64_t slot = 0; slot < SLOTS; slot += SLOTS / 8 + 1) check_slot(w, i, slot, slot + 1);
    rdg_tx_unref(tx);
    static const rdg_address_t to = {{0x11}};
    tx = cluster_sign(&w->c, (rdg_tx_fields_t){.to = &to, .valid_until = w->height + 500});
    cluster_send(&w->c, 0, tx->raw, code);
    CHECK(*code == '\0');
    json_decref(cluster_receipt(&w->c, i, &tx->id));
    rdg_tx_unref(tx);
    cluster_block_hash(&w->c, 0, w->height + 1, theirs);
    cluster_block_hash(&w->c, i, w->height + 1, mine);
    CHECK(strcmp(mine, theirs) == 0);
}

static json_t *sync_of(world_t *w, size_t i) {
    json_t *status = cluster_rpc(&w->c, i, "ridge_status", json_array(), NULL);
    json_t *sync = json_incref(json_object_get(status, "sync"));
    json_decref(status);
    return sync;
}

static uint64_t base_of(world_t *w, size_t i) {
    json_t *sync = sync_of(w, i);
    uint64_t base = (uint64_t)json_integer_value(json_object_get(sync, "base_height"));
    json_decref(sync);
    return base;
}

#ifndef SANITIZED
/* KiB, of the process since its start. */
static unsigned long long peak_kib(pid_t pid) {
    char path[64], line[256];
    unsigned long long kib = 0;
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "VmHWM: %llu kB", &kib) == 1) break;
    if (f) fclose(f);
    return kib;
}
#endif

TEST(a_newcomer_takes_a_snapshot_of_a_long_chain_and_the_blocks_behind_it) {
    world_t w;
    world_init(&w, 4, BLOCKS, SLOTS, false);
    start(&w, 3);
    cluster_start(&w.c, 3);
    cluster_wait_rpc(&w.c, 3);
    check_joined(&w, 3);
    CHECK_EQ(base_of(&w, 3), w.height);
#ifndef SANITIZED
    unsigned long long peak = peak_kib(w.c.pids[3]);
    if (peak == 0 || peak > 96 * 1024) rdg_test_fail(__FILE__, __LINE__, "its peak was %llu KiB", peak);
#endif
    cluster_log_has(&w.c, 3, "\"sync.snapshot_taken\"");
    /* What it has not, it says. */
    json_t *answer = cluster_call(&w.c, 3, "eth_getBlockByNumber", json_pack("[s, b]", "0x5", 0));
    CHECK(
        strstr(json_string_value(json_object_get(json_object_get(answer, "error"), "message")), "snapshot"));
    json_decref(answer);
    /* And over a restart it is as it was. */
    CHECK_EQ(cluster_stop(&w.c, 3), 0);
    cluster_start(&w.c, 3);
    cluster_wait_rpc(&w.c, 3);
    wait_height(&w, 3, w.height + 1);
    check_slot(&w, 3, 7, 8);
    cluster_fini(&w.c);
}

TEST(a_newcomer_under_raft_takes_a_snapshot_too) {
    world_t w;
    world_init(&w, 3, 600, SLOTS, true);
    start(&w, 2);
    cluster_start(&w.c, 2);
    cluster_wait_rpc(&w.c, 2);
    check_joined(&w, 2);
    CHECK(base_of(&w, 2) > 0);
    cluster_fini(&w.c);
}

TEST(a_newcomer_to_a_short_chain_takes_headers_first_and_all_blocks_from_all_peers) {
    world_t w;
    world_init(&w, 4, 250, SLOTS, false);
    w.c.snapshot_gap = 100000;
    start(&w, 3);
    cluster_start(&w.c, 3);
    cluster_wait_rpc(&w.c, 3);
    check_joined(&w, 3);
    CHECK_EQ(base_of(&w, 3), 0);
    cluster_log_has(&w.c, 3, "\"sync.headers\"");
    char first[80], theirs[80];
    cluster_block_hash(&w.c, 3, 1, first);
    cluster_block_hash(&w.c, 0, 1, theirs);
    CHECK(strcmp(first, theirs) == 0);
    cluster_fini(&w.c);
}

static bool log_says(world_t *w, size_t i, const char *text) {
    char path[600];
    rdg_buf_t log;
    rdg_buf_init(&log, 64u << 20);
    snprintf(path, sizeof path, "%s/node.log", w->c.dirs[i]);
    bool says = rdg_file_read(path, &log) == RDG_OK && strstr(rdg_buf_cstr(&log), text) != NULL;
    rdg_buf_fini(&log);
    return says;
}

/* The newcomer knows nobody but the liar until it has found out, and the others from then on. */
static void join_by_liar(world_t *w, size_t liar, const char *log) {
    uint64_t end = rdg_mono_ms(rdg_clock_system()) + WAIT_MS;
    start(w, 3);
    cluster_write_peers(&w->c, 3, 1u << liar | 1u << 3);
    cluster_start(&w->c, 3);
    cluster_wait_rpc(&w->c, 3);
    while (!log_says(w, 3, log) && rdg_mono_ms(rdg_clock_system()) < end) cluster_pause(20);
    cluster_log_has(&w->c, 3, log);
    CHECK(cluster_height(&w->c, 3) < w->height);
    cluster_write_peers(&w->c, 3, ~0u);
    check_joined(w, 3);
}

/* The state of one giver is not what its tree says: its chunks are refused, and it is named. */
TEST(a_peer_that_lies_in_chunks_is_named_and_the_rest_comes_from_others) {
    world_t w;
    uint8_t key[21] = {'S'};
    world_init(&w, 4, 800, SLOTS, false);
    memcpy(key + 1, w.contract.b, 20);
    for (uint8_t i = 0; i < 40; ++i) { /* in most of its chunks */
        uint8_t from[53] = {0};
        memcpy(from, key, sizeof key);
        from[51] = i;
        from[52] = 0x80;
        chain_build_damage(&w.c, 1, rdg_bytes(key, sizeof key), rdg_bytes(from, sizeof from));
    }
    join_by_liar(&w, 1, "\"peer\":\"node-1\",\"what\":\"chunk\"");
    CHECK(base_of(&w, 3) > 0);
    cluster_fini(&w.c);
}

/* A seal of one giver is not what the validators signed. */
static void check_liar(uint64_t blocks, bool snapshot, const char *log) {
    world_t w;
    uint8_t key[9] = {'Q'};
    world_init(&w, 4, blocks, SLOTS, false);
    for (uint64_t height = 5; height < w.height; height += 20) {
        rdg_store_be64(key + 1, height);
        chain_build_damage(&w.c, 2, rdg_bytes(key, 1), rdg_bytes(key, sizeof key));
    }
    join_by_liar(&w, 2, log);
    CHECK(snapshot == (base_of(&w, 3) > 0));
    cluster_fini(&w.c);
}

TEST(a_peer_that_lies_in_headers_is_named_and_the_rest_comes_from_others) {
    check_liar(800, true, "\"peer\":\"node-2\",\"what\":\"headers\"");
}

TEST(a_peer_that_lies_in_bodies_is_named_and_the_rest_comes_from_others) {
    check_liar(60, false, "\"peer\":\"node-2\",\"what\":\"blocks\"");
}

/* Two givers go, one for ever and one for a while, and one stands still: the newcomer ends with the one that is left. */
TEST(givers_that_die_or_stand_still_do_not_stop_a_newcomer) {
    world_t w;
    world_init(&w, 5, 800, SLOTS, false);
    start(&w, 4);
    cluster_start(&w.c, 4);
    uint64_t end = rdg_mono_ms(rdg_clock_system()) + WAIT_MS;
    for (bool begun = false; !begun && rdg_mono_ms(rdg_clock_system()) < end;) {
        json_t *sync = sync_of(&w, 4);
        begun = json_integer_value(json_object_get(sync, "headers")) > 0;
        json_decref(sync);
    }
    cluster_kill(&w.c, 1);
    kill(w.c.pids[2], SIGSTOP);
    cluster_kill(&w.c, 3);
    check_joined(&w, 4);
    kill(w.c.pids[2], SIGCONT);
    cluster_fini(&w.c);
}

TEST(a_newcomer_that_is_killed_again_and_again_goes_on_where_it_was) {
    world_t w;
    world_init(&w, 4, 800, SLOTS, false);
    start(&w, 3);
    for (int round = 0; round < 6; ++round) {
        cluster_start(&w.c, 3);
        cluster_wait_rpc(&w.c, 3);
        cluster_pause(40 * round); /* wherever it is then */
        cluster_kill(&w.c, 3);
    }
    cluster_start(&w.c, 3);
    cluster_wait_rpc(&w.c, 3);
    check_joined(&w, 3);
    CHECK(base_of(&w, 3) > 0);
    cluster_log_has(&w.c, 3, "\"sync.snapshot_taken\"");
    cluster_fini(&w.c);
}

/* Node 2 has no bodies below its snapshot; when it is all that is left, a newcomer takes a snapshot however short the
 * chain is. */
TEST(without_any_peer_that_has_the_bodies_a_newcomer_takes_a_snapshot) {
    world_t w;
    world_init(&w, 3, 400, SLOTS, false);
    start(&w, 1);
    cluster_start(&w.c, 1);
    cluster_wait_rpc(&w.c, 1);
    cluster_kill(&w.c, 1); /* it has everything: it goes away */
    w.c.snapshot_gap = GAP;
    cluster_start(&w.c, 2);
    cluster_wait_rpc(&w.c, 2);
    check_joined(&w, 2);
    CHECK(base_of(&w, 2) > 0);
    /* Now 0, the validator, loses its ledger; the others are a snapshot's. */
    cluster_kill(&w.c, 0);
    char path[700];
    snprintf(path, sizeof path, "%s/data", w.c.dirs[1]);
    CHECK_OK(rdg_tree_remove(path, NULL));
    w.c.snapshot_gap = 100000;
    cluster_start(&w.c, 1);
    cluster_wait_rpc(&w.c, 1);
    wait_height(&w, 1, w.height);
    CHECK(base_of(&w, 1) > 0);
    check_slot(&w, 1, 100, 101);
    cluster_fini(&w.c);
}
