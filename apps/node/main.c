/* ridge-node: runs one chain node (libs/node). */
#include "ridge/base/config.h"
#include "ridge/base/log.h"
#include "ridge/node/node.h"
#include <stdio.h>

enum { EXIT_CONFIG = 2, EXIT_LEDGER = 3, EXIT_PORT = 4 };

static const rdg_option_t options[] = {
    {"name", RDG_OPT_STRING, NULL, "name of this node in logs", false, 0, 0},
    {"dir", RDG_OPT_STRING, "/var/lib/ridge-node",
     "directory with node.key, genesis.json, peers.json and data", false, 0, 0},
    {"p2p-host", RDG_OPT_STRING, "0.0.0.0", "address on which other nodes reach this one", false, 0, 0},
    {"p2p-port", RDG_OPT_U64, "0", "its port; 0: the system chooses", false, 0, 65535},
    {"rpc-host", RDG_OPT_STRING, "127.0.0.1", "address of JSON-RPC", false, 0, 0},
    {"rpc-port", RDG_OPT_U64, "0", "its port; 0: the system chooses", false, 0, 65535},
    {"rpc-keys", RDG_OPT_STRING, NULL,
     "key files, by commas, for which eth_sendTransaction signs whatever JSON-RPC asks; none by default",
     false, 0, 0},
    {"rpc-call-timeout", RDG_OPT_MS, "5s",
     "after so long a call, an estimate or a search of logs is ended; a trace after twice that", false, 10,
     600000},
    {"rpc-log-blocks", RDG_OPT_U64, "1000000", "blocks that one search of logs looks through", false, 1,
     1000000000},
    {"memory", RDG_OPT_SIZE, "16MiB", "budget of the store's buffers and cache", false, 1 << 20, 1ull << 40},
    {"execution-threads", RDG_OPT_U64, "0",
     "threads that execute a block; 1: serial, 0: the cores, at most 4", false, 0, 16},
    {"pool-transactions", RDG_OPT_U64, "20000", "transactions that may wait", false, 1, 10000000},
    {"pool-bytes", RDG_OPT_SIZE, "32MiB", "their bytes", false, 1 << 16, 1ull << 40},
    {"pool-per-sender", RDG_OPT_U64, "10000", "transactions of one sender that may wait", false, 1, 10000000},
    {"snapshot-gap", RDG_OPT_U64, "10000",
     "blocks behind from which on a snapshot is taken instead of all blocks (docs/sync.md)", false, 1,
     UINT64_MAX},
    {"scrub-interval", RDG_OPT_MS, "1h",
     "pause between two readings of all that is stored, to find damage before it is needed", false, 1000,
     31622400000},
    {"log-level", RDG_OPT_STRING, "info", "debug, info, warn or error", false, 0, 0},
};

static int exit_code(rdg_err_t err) {
    switch (err) {
    case RDG_E_CORRUPT:
    case RDG_E_CONFLICT: return EXIT_LEDGER;
    case RDG_E_PORT_IN_USE: return EXIT_PORT;
    case RDG_E_INVALID:
    case RDG_E_MALFORMED:
    case RDG_E_NOT_FOUND:
    case RDG_E_FORBIDDEN:
    case RDG_E_UNSUPPORTED: return EXIT_CONFIG;
    default: return 1;
    }
}

static int run(const rdg_config_t *c) {
    rdg_node_options_t o = {
        .dir = rdg_config_str(c, "dir"),
        .p2p_host = rdg_config_str(c, "p2p-host"),
        .rpc_host = rdg_config_str(c, "rpc-host"),
        .p2p_port = (uint16_t)rdg_config_u64(c, "p2p-port"),
        .rpc_port = (uint16_t)rdg_config_u64(c, "rpc-port"),
        .rpc_keys = rdg_config_str(c, "rpc-keys"),
        .rpc_call_ms = (unsigned)rdg_config_u64(c, "rpc-call-timeout"),
        .rpc_log_blocks = rdg_config_u64(c, "rpc-log-blocks"),
        .memory_bytes = rdg_config_u64(c, "memory"),
        .execution_threads = (unsigned)rdg_config_u64(c, "execution-threads"),
        .pool_count = rdg_config_u64(c, "pool-transactions"),
        .pool_bytes = rdg_config_u64(c, "pool-bytes"),
        .pool_per_sender = rdg_config_u64(c, "pool-per-sender"),
        .snapshot_gap = rdg_config_u64(c, "snapshot-gap"),
        .scrub_ms = rdg_config_u64(c, "scrub-interval"),
    };
    rdg_node_t *node = NULL;
    int status = 0;
    rdg_err_t err = rdg_node_open(&o, &node);
    if (err == RDG_OK) err = rdg_node_run(node, &status);
    if (err != RDG_OK) {
        rdg_log_err("node.failed", err);
        fprintf(stderr, "ridge-node: %s\n", rdg_err_message(err));
        status = exit_code(err);
    }
    rdg_node_close(node);
    return status;
}

int main(int argc, char **argv) {
    rdg_config_t *c = NULL;
    rdg_log_level_t level = RDG_LOG_INFO;
    rdg_err_t err = rdg_config_load("ridge-node", "Runs one node of a Ridge chain.", "RIDGE_NODE", options,
                                    sizeof options / sizeof options[0], argc, argv, &c);
    if (err == RDG_E_CANCELLED) return 0;
    if (err == RDG_OK) err = rdg_log_level_parse(rdg_config_str(c, "log-level"), &level);
    if (err != RDG_OK) {
        fprintf(stderr, "ridge-node: %s\n", rdg_err_message(err));
        rdg_config_free(c);
        return EXIT_CONFIG;
    }
    rdg_log_set_level(level);
    rdg_log_common("program", "ridge-node");
    if (rdg_config_str(c, "name")) rdg_log_common("node", rdg_config_str(c, "name"));
    int status = run(c);
    rdg_config_free(c);
    return status;
}
