/* A chain on this device: what is wanted of it, on disk in <dir>/chains/<name>/chain.json
 * (state_file.h: kept twice, each replaced atomically).
 *
 *   <dir>/chains/<name>/chain.json   the desired state
 *   <dir>/chains/<name>/node/        the node's directory (docs/device-protocol.md)
 *   <dir>/chains/<name>/container/   the driver's state
 *
 * A chain whose desired state is "removed" is one whose removal was cut short: whoever finds it goes on
 * removing. */
#ifndef RIDGE_AGENT_CHAIN_H
#define RIDGE_AGENT_CHAIN_H
#include <limits.h>
#include "command.h"
#include "ridge/crypto/hash.h"
#include "ridge/container/container.h"

typedef enum chain_desired { CHAIN_STOPPED, CHAIN_RUNNING, CHAIN_REMOVED } chain_desired_t;

typedef struct chain {
    char name[COMMAND_CHAIN_MAX + 1];
    char driver[16], image[512];
    uint16_t p2p_port, rpc_port;
    uint64_t memory_bytes, cpu_millis, pids;
    uint64_t snapshot_gap; /* of the chain's parameters; 0: the node's default */
    bool configured;       /* node.conf is made of this record (node_conf.h) */
    rdg_hash_t peers;      /* SM3 of the text of peers.json; zero: not known */
    chain_desired_t desired;
} chain_t;

#define CHAIN_PATH_MAX PATH_MAX
/* "<dir>/chains/<name>/<leaf>"; leaf NULL: the chain's directory. */
rdg_err_t chain_path(const char *dir, const char *name, const char *leaf, char out[CHAIN_PATH_MAX]);
rdg_err_t chain_save(const char *dir, const chain_t *c);
rdg_err_t chain_load(const char *dir, const char *name, chain_t *out); /* NOT_FOUND, CORRUPT */

/* A TCP port on which nothing listens, with a socket that keeps it ours until it is closed; below the range
 * from which the system takes ports of outgoing connections. */
rdg_err_t port_reserve(const char *host, uint16_t *port, int *fd);

#endif
