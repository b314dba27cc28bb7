/* A chain node: ledger, pool, consensus core, peer mesh and JSON-RPC in one process.
 *
 * Threads
 *   loop      consensus core, mesh, timers. Never waits for the disk but for the small synced write of its
 * votes. workers   (libuv's pool, 3) the ledger lane — propose, validate, apply, one at a time in order — and
 * signature checks of gossiped transactions and of consensus messages HTTP      (2), WebSocket (2) JSON-RPC: decodes, checks and pools transactions,
 * reads the ledger
 *
 * Invariants
 * 1. All records that a consensus output asks to write are on stable storage before any of its messages is
 * sent.
 * 2. The core hears EXECUTED only of blocks that are durable (ledger.h, invariant 1).
 * 3. After a storage failure the node halts: it votes and applies no more, takes no transactions,
 * goes on answering reads, and says why in ridge_status ("halted"). When the cause was a full disk and there is room again it exits with status
 * 5, to be started again by its supervisor.
 *    What it finds damaged in itself, at the start, on reading, or by reading everything again now and then, it also
 *    writes to <dir>/damaged, and votes no more after a restart either: until the ledger is recovered
 *    (docs/operator.md).
 * 4. Every queue towards the core is bounded: RDG_NODE_LANE_MAX jobs, RDG_NODE_VERIFY_MAX unverified
 * (RDG_NODE_VERIFY_BYTES)
 * transactions; what does not fit is dropped and counted, and comes again by retransmission. */
#ifndef RIDGE_NODE_NODE_H
#define RIDGE_NODE_NODE_H
#include <stddef.h>
#include <stdint.h>
#include "ridge/base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RDG_NODE_LANE_MAX 256
#define RDG_NODE_VERIFY_MAX 8192
#define RDG_NODE_VERIFY_BYTES (8u << 20)
#define RDG_NODE_SNAPSHOT_GAP 10000
#define RDG_NODE_EXIT_RESTART 5
#define RDG_NODE_SCRUB_MS 3600000

typedef struct rdg_node rdg_node_t;

typedef struct rdg_node_options {
    const char *dir; /* holds node.key, genesis.json, peers.json, data/ (docs/device-protocol.md) */
    const char *p2p_host, *rpc_host;
    uint16_t p2p_port, rpc_port; /* 0: the system chooses */
    const char *rpc_keys;       /* files of keys that eth_sendTransaction signs with, by commas; NULL: none */
    size_t memory_bytes;        /* of the store */
    unsigned execution_threads; /* of a block's transactions; 1: serial, 0: the cores, at most 4 */
    size_t pool_count, pool_bytes, pool_per_sender;
    /* A node that is so many blocks behind takes a snapshot and the blocks after it, and has no bodies below
     * (docs/sync.md). 0: RDG_NODE_SNAPSHOT_GAP; UINT64_MAX: only when no peer has the bodies any more. */
    uint64_t snapshot_gap;
    uint64_t
        scrub_ms; /* pause between two readings of everything that is stored (ledger/scrub.h); 0: an hour */
    unsigned
        rpc_call_ms; /* what JSON-RPC gives a call or a search of logs (node/rpc.h); 0: RDG_RPC_CALL_MS */
    uint64_t rpc_log_blocks; /* how many of them one search looks through; 0: RDG_RPC_LOG_BLOCKS */
} rdg_node_options_t;

/* Opens everything and listens; the node acts only in run. CORRUPT, CONFLICT (another chain's ledger),
 * PORT_IN_USE, INVALID (configuration), NOT_FOUND (a file of dir). */
rdg_err_t rdg_node_open(const rdg_node_options_t *options, rdg_node_t **out);
/* Until SIGTERM, SIGINT or rdg_node_stop; *exit_status is what the program should exit with. */
rdg_err_t rdg_node_run(rdg_node_t *n, int *exit_status);
void rdg_node_stop(rdg_node_t *n); /* thread-safe */
void rdg_node_close(rdg_node_t *n);
uint16_t rdg_node_rpc_port(const rdg_node_t *n);
uint16_t rdg_node_p2p_port(const rdg_node_t *n);

#ifdef __cplusplus
}
#endif
#endif
