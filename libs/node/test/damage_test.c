/* Damaged files of a node: whatever byte changes, the node refuses by name, or answers what it answered before. */
#include "cluster.h"
#include "ridge/base/file.h"
#include "ridge/net/process.h"
#include "ridge/test.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define BLOCKS 12
#define FLIPS 10

typedef struct known {
    cluster_t c;
    uint64_t height;
    char *blocks[BLOCKS + 8];
    rdg_hash_t ids[BLOCKS];
    json_t *receipts[BLOCKS];
} known_t;

static json_t *block_at(cluster_t *c, uint64_t height, char code[32]) {
    return cluster_rpc(c, 0, "eth_getBlockByNumber", json_pack("[o, b]", rdg_json_quantity(height), 1), code);
}

static void init(known_t *k) {
    char code[32];
    memset(k, 0, sizeof *k);
    cluster_init(&k->c, 1);
    cluster_start_all(&k->c);
    cluster_wait_height(&k->c, 0, 1);
    for (size_t i = 0; i < BLOCKS; ++i) {
        rdg_tx_t *tx = cluster_tx(&k->c);
        cluster_send(&k->c, 0, tx->raw, code);
        CHECK_STR(code, "");
        k->ids[i] = tx->id;
        k->receipts[i] = cluster_receipt(&k->c, 0, &tx->id);
        rdg_tx_unref(tx);
    }
    k->height = cluster_height(&k->c, 0);
    CHECK(k->height < BLOCKS + 8);
    for (uint64_t h = 1; h <= k->height; ++h) {
        json_t *block = block_at(&k->c, h, code);
        k->blocks[h] = json_dumps(block, 0);
        json_decref(block);
    }
    CHECK_EQ(cluster_stop(&k->c, 0), 0);
}

static void fini(known_t *k) {
    for (size_t i = 0; i < BLOCKS; ++i) json_decref(k->receipts[i]);
    for (uint64_t h = 1; h <= k->height; ++h) free(k->blocks[h]);
    cluster_fini(&k->c);
}

/* The newest file with this ending in a folder of the node. */
static void find_file(known_t *k, const char *folder, const char *ending, char out[900]) {
    char dir[700];
    struct dirent **list;
    snprintf(dir, sizeof dir, "%s/data/%s", k->c.dirs[0], folder);
    int n = scandir(dir, &list, NULL, alphasort);
    off_t best = 0;
    for (int i = 0; i < n; ++i) {
        char path[900];
        struct stat st;
        size_t len = strlen(list[i]->d_name), tail = strlen(ending);
        snprintf(path, sizeof path, "%.600s/%.250s", dir, list[i]->d_name);
        if (len > tail && strcmp(list[i]->d_name + len - tail, ending) == 0 && stat(path, &st) == 0 &&
            st.st_size > best) {
            best = st.st_size;
            snprintf(out, 900, "%s", path);
        }
        free(list[i]);
    }
    free(list);
    if (best == 0) rdg_test_fail(__FILE__, __LINE__, "no file *%s in %s", ending, dir);
}

static bool is_refusal(const char *code) {
    return strcmp(code, "CORRUPT") == 0 || strcmp(code, "IO") == 0;
}

/* Number of answers that were refused; any other must be what it was before. */
static size_t read_all(known_t *k) {
    char code[32];
    size_t refused = 0;
    for (uint64_t h = 1; h <= k->height; ++h) {
        json_t *block = block_at(&k->c, h, code);
        char *text = block ? json_dumps(block, 0) : NULL;
        if (block)
            CHECK_STR(text, k->blocks[h]);
        else if (is_refusal(code))
            ++refused;
        else
            rdg_test_fail(__FILE__, __LINE__, "block %llu: neither answered nor refused (%s)",
                          (unsigned long long)h, code);
        free(text);
        json_decref(block);
    }
    for (size_t i = 0; i < BLOCKS; ++i) {
        json_t *receipt = cluster_rpc(&k->c, 0, "eth_getTransactionReceipt",
                                      json_pack("[o]", rdg_json_hex(k->ids[i].b, 32)), code);
        if (receipt)
            CHECK(json_equal(receipt, k->receipts[i]));
        else
            CHECK(is_refusal(code));
        refused += !receipt;
        json_decref(receipt);
    }
    return refused;
}

typedef struct tally {
    size_t refused_at_start, refused_reads, unharmed;
} tally_t;

static void try_damaged(known_t *k, tally_t *t) {
    cluster_start(&k->c, 0);
    int status = cluster_wait_rpc_or_exit(&k->c, 0);
    if (status >= 0) {
        CHECK_EQ(status, 100 + RDG_E_CORRUPT);
        ++t->refused_at_start;
        return;
    }
    if (read_all(k) > 0)
        ++t->refused_reads;
    else
        ++t->unharmed;
    (void)cluster_stop(&k->c, 0);
}

static void copy_tree(const char *from, const char *to) {
    const char *argv[] = {"cp", "-a", from, to, NULL};
    CHECK_OK(rdg_process_run(argv, 60000, NULL, 0));
}

/* Changes one byte after the other, each time beginning with the same files. */
static void flip_bytes(known_t *k, const char *folder, const char *ending, tally_t *t) {
    char path[900], keep[700], data[700];
    rdg_buf_t whole;
    snprintf(data, sizeof data, "%s/data", k->c.dirs[0]);
    snprintf(keep, sizeof keep, "%s/keep", k->c.dirs[0]);
    copy_tree(data, keep);
    find_file(k, folder, ending, path);
    rdg_buf_init(&whole, 64u << 20);
    CHECK_OK(rdg_file_read(path, &whole));
    memset(t, 0, sizeof *t);
    for (size_t i = 0; i < FLIPS; ++i) {
        size_t at = i * whole.len / FLIPS + rdg_random_below(rdg_test_random(), whole.len / FLIPS);
        whole.data[at] ^= 0x10;
        CHECK_OK(rdg_file_replace(path, rdg_buf_view(&whole), 0600));
        whole.data[at] ^= 0x10;
        try_damaged(k, t);
        CHECK_OK(rdg_tree_remove(data, NULL));
        copy_tree(keep, data);
    }
    rdg_buf_fini(&whole);
    cluster_start(&k->c, 0);
    cluster_wait_height(&k->c, 0, k->height);
    CHECK_EQ(read_all(k), 0);
}

TEST(a_changed_byte_in_a_block_file_is_never_served) {
    known_t k;
    tally_t t;
    init(&k);
    flip_bytes(&k, "blocks", ".blk", &t);
    CHECK(t.refused_at_start + t.refused_reads >= FLIPS - 1);
    cluster_log_has(&k.c, 0, ".blk");
    fini(&k);
}

TEST(a_changed_byte_in_the_stores_log_loses_nothing_in_silence) {
    known_t k;
    tally_t t;
    init(&k);
    flip_bytes(&k, "db", ".log", &t);
    CHECK(t.refused_at_start >= FLIPS - 2);
    fini(&k);
}

TEST(a_changed_byte_in_a_table_of_the_store_is_never_served) {
    known_t k;
    tally_t t;
    init(&k);
    cluster_start(&k.c, 0); /* the store turns its log into a table when it is opened */
    cluster_wait_rpc(&k.c, 0);
    CHECK_EQ(cluster_stop(&k.c, 0), 0);
    flip_bytes(&k, "db", ".sst", &t);
    CHECK(t.refused_at_start + t.refused_reads > 0);
    fini(&k);
}
