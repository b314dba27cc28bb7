/* Damage that a running node finds by itself: it votes no more, says what it is, also after a restart, and begins anew when
 * its ledger is taken away. */
#include "cluster.h"
#include "ridge/base/clock.h"
#include "ridge/base/file.h"
#include "ridge/test.h"
#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define WAIT_MS 60000
#define VICTIM 3

static void send_some(cluster_t *c, size_t count) {
    char code[32];
    for (size_t i = 0; i < count; ++i) {
        rdg_tx_t *tx = cluster_tx(c);
        cluster_send(c, 0, tx->raw, code);
        CHECK_STR(code, "");
        json_decref(cluster_receipt(c, 0, &tx->id));
        rdg_tx_unref(tx);
    }
}

static void open_chain(cluster_t *c) {
    cluster_init(c, 4);
    c->scrub_ms = 200;
    cluster_start_all(c);
    for (size_t i = 0; i < 4; ++i) cluster_wait_height(c, i, 1);
    send_some(c, 8);
}

/* A file with this ending in a folder of the ledger. */
static void find_file(cluster_t *c, const char *folder, const char *ending, char out[900]) {
    char dir[700];
    snprintf(dir, sizeof dir, "%s/data/%s", c->dirs[VICTIM], folder);
    DIR *d = opendir(dir);
    CHECK(d);
    out[0] = 0;
    for (struct dirent *e; (e = readdir(d));) {
        size_t len = strlen(e->d_name), tail = strlen(ending);
        if (len >= tail && strcmp(e->d_name + len - tail, ending) == 0)
            snprintf(out, 900, "%.600s/%.250s", dir, e->d_name);
    }
    closedir(d);
    if (!out[0]) rdg_test_fail(__FILE__, __LINE__, "no file *%s in %s", ending, dir);
}

static void await_halt(cluster_t *c, const char *word) {
    char why[600] = "";
    uint64_t end = rdg_mono_ms(rdg_clock_system()) + WAIT_MS;
    while (!why[0] && rdg_mono_ms(rdg_clock_system()) < end) {
        cluster_halted(c, VICTIM, why);
        cluster_pause(20);
    }
    if (!strstr(why, word)) rdg_test_fail(__FILE__, __LINE__, "halted: '%s', wanted is '%s'", why, word);
    cluster_wait_log(c, VICTIM, "node.damaged"); /* written, and synced, after it halts */
}

/* As `ridge node recover` has it done: the ledger goes, the mark of a voter stays. */
static void recover(cluster_t *c) {
    static const char *const gone[] = {"data", "damaged"};
    char path[900];
    for (size_t i = 0; i < 2; ++i) {
        CHECK_OK(rdg_path_join(path, sizeof path, c->dirs[VICTIM], gone[i]));
        CHECK(rdg_file_exists(path));
        CHECK_OK(rdg_tree_remove(path, NULL));
    }
    cluster_start(c, VICTIM);
    cluster_wait_height(c, VICTIM, cluster_height(c, 0));
    send_some(c, 3);
    cluster_check_agreement(c, 1);
}

TEST(a_table_that_is_gone_is_found_while_the_node_runs) {
    cluster_t c;
    char path[900];
    open_chain(&c);
    CHECK_EQ(cluster_stop(&c, VICTIM), 0);
    cluster_start(&c, VICTIM); /* the store turns its log into a table when it is opened */
    cluster_wait_rpc(&c, VICTIM);
    find_file(&c, "db", ".sst", path);
    CHECK_EQ(unlink(path), 0);
    await_halt(&c, ".sst");
    send_some(&c, 3); /* the others go on without it */
    CHECK(cluster_height(&c, VICTIM) < cluster_height(&c, 0));
    cluster_kill(&c, VICTIM);
    recover(&c);
    cluster_fini(&c);
}

TEST(a_changed_block_is_found_while_the_node_runs_and_known_after_a_restart) {
    cluster_t c;
    char path[900];
    rdg_buf_t whole;
    open_chain(&c);
    find_file(&c, "blocks", ".blk", path);
    rdg_buf_init(&whole, 1u << 24);
    CHECK_OK(rdg_file_read(path, &whole));
    FILE *f = fopen(path, "r+b");
    CHECK(f);
    CHECK_EQ(fseek(f, (long)whole.len / 3, SEEK_SET), 0);
    CHECK_EQ(fputc(whole.data[whole.len / 3] ^ 1, f), whole.data[whole.len / 3] ^ 1);
    CHECK_EQ(fclose(f), 0);
    rdg_buf_fini(&whole);
    await_halt(&c, ".blk");
    CHECK_EQ(cluster_stop(&c, VICTIM), 0);
    /* Its newest block is sound, so it would open: but it knows. */
    cluster_start(&c, VICTIM);
    cluster_wait_rpc(&c, VICTIM);
    await_halt(&c, ".blk");
    CHECK_EQ(cluster_stop(&c, VICTIM), 0);
    recover(&c);
    cluster_fini(&c);
}

TEST(a_sound_node_finds_nothing_and_a_file_that_is_put_back_ends_the_record) {
    cluster_t c;
    char path[900], away[920], record[900], why[600];
    open_chain(&c);
    cluster_pause(1500); /* some readings of everything */
    for (size_t i = 0; i < 4; ++i) {
        cluster_halted(&c, i, why);
        CHECK_STR(why, "");
    }
    CHECK_EQ(cluster_stop(&c, VICTIM), 0);
    find_file(&c, "db", "CURRENT", path);
    snprintf(away, sizeof away, "%s.away", path);
    CHECK_EQ(rename(path, away), 0);
    cluster_start(&c, VICTIM);
    CHECK(cluster_wait_rpc_or_exit(&c, VICTIM) > 0);
    CHECK_OK(rdg_path_join(record, sizeof record, c.dirs[VICTIM], "damaged"));
    CHECK(rdg_file_exists(record));
    CHECK_EQ(rename(away, path), 0);
    cluster_start(&c, VICTIM);
    cluster_wait_rpc(&c, VICTIM);
    /* It answers a moment before it has removed it. */
    uint64_t end = rdg_mono_ms(rdg_clock_system()) + WAIT_MS;
    while (rdg_file_exists(record) && rdg_mono_ms(rdg_clock_system()) < end) cluster_pause(5);
    CHECK(!rdg_file_exists(record));
    send_some(&c, 2);
    cluster_check_agreement(&c, 1);
    cluster_fini(&c);
}
