/* A chain with enough state for a snapshot of several chunks, and snapshots kept in memory. */
#ifndef RIDGE_LEDGER_TEST_SNAPSHOT_SUPPORT_H
#define RIDGE_LEDGER_TEST_SNAPSHOT_SUPPORT_H
#include "ridge/ledger/snapshot.h"
#include "support.h"

#define FRAMES_MAX 512

typedef struct frames {
    rdg_buf_t bytes; /* the stream */
    size_t count;
    size_t at[FRAMES_MAX], len[FRAMES_MAX];
} frames_t;

void frames_init(frames_t *f);
void frames_fini(frames_t *f);
rdg_bytes_t frames_get(const frames_t *f, size_t i);
/* The whole stream of a pin; headers_from as in the options. */
void frames_export(frames_t *f, rdg_ledger_t *l, rdg_snapshot_pin_t *pin, uint64_t headers_from,
                   size_t memory);
size_t frames_manifest(const frames_t *f); /* its index; chunks follow */
/* Reads the stream in pieces of at most `piece` bytes, its first `len`. */
rdg_err_t frames_read(const frames_t *f, rdg_ledger_t *l, size_t piece, size_t len);

/* A contract that stores i + 1 at slot i for from <= i < to, and reads nothing. Deployed in the next block. */
rdg_address_t chain_deploy(rdg_ledger_t *l, uint64_t nonce);
void chain_store(rdg_ledger_t *l, const rdg_address_t *contract, uint64_t nonce, uint64_t from, uint64_t to);
/* One block of `count` transfers, each to an address of its own. */
void chain_transfers(rdg_ledger_t *l, uint64_t nonce, uint32_t count);
void chain_empty(rdg_ledger_t *l, uint64_t count);
/* Checkpoint certificates up to the head. */
void chain_certify(rdg_ledger_t *l);
/* The block of that height, from one ledger to another. */
rdg_err_t chain_copy_block(rdg_ledger_t *from, rdg_ledger_t *to, uint64_t height);

#endif
