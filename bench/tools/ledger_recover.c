/* How long a ledger takes to be archived with its state, verified, and to come back from that file: by the state, and by
 * executing every block. Wall-clock seconds and this process's peak of memory, one way a process.
 * Prints one JSON object. Usage: ridge-ledger-recover export|verify|state|replay LEDGER ARCHIVE [INTO] */
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "ridge/base/assert.h"
#include "ridge/base/file.h"
#include "ridge/ledger/archive.h"

#define MUST(expr) RDG_ASSERT((expr) == RDG_OK)

static double wall_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void export_all(rdg_ledger_t *l, const char *archive, rdg_archive_manifest_t *m) {
    const uint8_t scalar[32] = {0x11};
    rdg_sm2_key_t *key = NULL;
    rdg_ledger_head_t head;
    rdg_archive_export_options_t o = {.from = 1};
    MUST(rdg_sm2_key_from_scalar(scalar, &key));
    rdg_ledger_head(l, &head);
    o.to = head.height;
    o.signer = key;
    MUST(rdg_snapshot_pin_at(l, o.to, &o.state));
    MUST(rdg_archive_export_file(l, &o, archive, m));
    rdg_snapshot_unpin(o.state);
    rdg_sm2_key_free(key);
}

static void come_back(const rdg_genesis_t *genesis, rdg_archive_t *a, const char *into, bool by_state) {
    rdg_ledger_t *l = NULL;
    rdg_ledger_head_t head;
    MUST(rdg_ledger_open(into, genesis, NULL, &l));
    MUST((by_state ? rdg_archive_import_state : rdg_archive_import)(a, l, NULL, NULL));
    rdg_ledger_head(l, &head);
    RDG_ASSERT(head.height == rdg_archive_manifest(a)->to);
    rdg_ledger_close(l);
}

static void run(const char *way, const char *ledger, const char *archive, const char *into,
                rdg_archive_manifest_t *m) {
    static rdg_genesis_t genesis;
    char path[600];
    rdg_archive_t *a = NULL;
    snprintf(path, sizeof path, "%s/genesis.json", ledger);
    MUST(rdg_genesis_load(path, &genesis));
    if (strcmp(way, "export") == 0) {
        rdg_ledger_t *l = NULL;
        MUST(rdg_ledger_open(ledger, &genesis, NULL, &l));
        export_all(l, archive, m);
        rdg_ledger_close(l);
        return;
    }
    MUST(rdg_archive_open_file(archive, NULL, &a));
    *m = *rdg_archive_manifest(a);
    if (strcmp(way, "verify") == 0) {
        MUST(rdg_archive_trust(a, &genesis));
        MUST(rdg_archive_verify(a, NULL, NULL, NULL));
    } else {
        come_back(&genesis, a, into, strcmp(way, "state") == 0);
    }
    rdg_archive_close(a);
}

int main(int argc, char **argv) {
    struct rusage usage;
    static rdg_archive_manifest_t m;
    const char *way = argc > 3 ? argv[1] : "";
    bool imports = strcmp(way, "state") == 0 || strcmp(way, "replay") == 0;
    if (argc != 4 + imports || !(imports || strcmp(way, "export") == 0 || strcmp(way, "verify") == 0)) {
        fprintf(stderr, "usage: ridge-ledger-recover export|verify|state|replay LEDGER ARCHIVE [INTO]\n");
        return 2;
    }
    double start = wall_s();
    run(way, argv[2], argv[3], imports ? argv[4] : NULL, &m);
    double took = wall_s() - start;
    getrusage(RUSAGE_SELF, &usage);
    printf("{\"txs\":%llu,\"raw_mb\":%.1f,\"state_mb\":%.1f,\"stored_mb\":%.1f,\"seconds\":%.2f,\"peak_kib\":"
           "%ld}\n",
           (unsigned long long)m.tx_count, (double)m.raw_bytes / 1e6, (double)m.state_bytes / 1e6,
           (double)m.stored_bytes / 1e6, took, usage.ru_maxrss);
    return 0;
}
