/* The directories of two nodes of one chain, of which the first decides alone and has a ledger of readings; the second
 * observes and has nothing yet. peers.json is left to who chooses the ports.
 * Prints one JSON object. Usage: ridge-ledger-make DIR TRANSACTIONS READINGS PADDING ARTEFACT */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "one_validator.h"
#include "readings.h"
#include "ridge/base/file.h"
#include "ridge/codec/hex.h"
#include "ridge/test_ca.h"

#define CHAIN_ID 7
#define METERS 200
#define PATH_SIZE 600
#define MUST(expr) RDG_ASSERT((expr) == RDG_OK)

static double wall_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void path_of(char out[PATH_SIZE], const char *dir, const char *node, const char *name) {
    RDG_ASSERT((size_t)snprintf(out, PATH_SIZE, "%s/%s%s%s", dir, node, name[0] ? "/" : "", name) <
               PATH_SIZE);
}

/* Its directory, key (made if key is NULL), certificates and genesis; hex is of its public key. */
static void node_files(const char *dir, const char *node, const rdg_sm2_key_t *key, rdg_genesis_t *genesis,
                       const rdg_test_ca_t *ca, char hex[129]) {
    char path[PATH_SIZE];
    rdg_buf_t text;
    rdg_sm2_key_t *own = NULL;
    rdg_sm2_public_t public_key;
    path_of(path, dir, node, "");
    MUST(rdg_dir_make(path, 0700));
    path_of(path, dir, node, "node.key");
    if (key) MUST(rdg_sm2_key_save(key, path));
    MUST(rdg_sm2_key_load_or_generate(path, &own));
    rdg_sm2_key_public(own, &public_key);
    rdg_hex_encode(public_key.b, sizeof public_key.b, hex);
    rdg_sm2_key_free(own);
    path_of(path, dir, node, "genesis.json");
    rdg_buf_init(&text, RDG_GENESIS_BYTES_MAX);
    MUST(rdg_genesis_format(genesis, &text));
    MUST(rdg_file_replace(path, rdg_buf_view(&text), 0600));
    rdg_buf_fini(&text);
    path_of(path, dir, node, "");
    rdg_test_ca_write(ca, path, "node", node);
}

int main(int argc, char **argv) {
    static readings_t r;
    rdg_test_ca_t ca;
    rdg_ledger_head_t head;
    char path[PATH_SIZE], first[129], second[129];
    uint64_t bytes = 0;
    if (argc != 6) {
        fprintf(stderr, "usage: ridge-ledger-make DIR TRANSACTIONS READINGS PADDING ARTEFACT\n");
        return 2;
    }
    const char *dir = argv[1];
    uint64_t blocks = strtoull(argv[2], NULL, 10) / READINGS_BLOCK_TXS;
    one_validator(CHAIN_ID, &r.key, &r.genesis);
    rdg_test_ca_init(&ca, (int64_t)time(NULL));
    MUST(rdg_dir_make(dir, 0700));
    node_files(dir, "one", r.key, &r.genesis, &ca, first);
    node_files(dir, "two", NULL, &r.genesis, &ca, second);
    path_of(path, dir, "one", "data");
    double start = wall_s();
    readings_open(&r, path);
    readings_deploy(&r, argv[5], METERS);
    readings_fill(&r, blocks, (unsigned)strtoul(argv[3], NULL, 10), (unsigned)strtoul(argv[4], NULL, 10));
    rdg_ledger_head(r.ledger, &head);
    readings_close(&r);
    double took = wall_s() - start;
    MUST(rdg_tree_size(path, &bytes));
    printf("{\"height\":%llu,\"txs\":%llu,\"ledger_bytes\":%llu,\"made_s\":%.1f,\"keys\":{\"one\":\"%s\","
           "\"two\":\"%s\"}}\n",
           (unsigned long long)head.height, (unsigned long long)head.tx_total, (unsigned long long)bytes,
           took, first, second);
    rdg_test_ca_fini(&ca);
    rdg_sm2_key_free(r.key);
    return 0;
}
