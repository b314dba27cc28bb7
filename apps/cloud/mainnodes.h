/* The nodes of the main chain: by default one, which the cloud makes at its first start and runs as a child process.
 *
 * A node is layer 5 as the cloud's services are, so it is reached over its public interface only, JSON-RPC. It is a process
 * of its own, and not a thread of this one: a crash or a want of memory of the one is then none of the other, the
 * program is the one that devices run, and to move a node to another machine is to move its directory.
 *
 * setting  "off"; a number N of nodes, child processes on loopback (1 by default; 4 tolerate the loss or the damage of
 *          one); or addresses "http://host:port,…" of nodes that somebody else runs, with the chain's genesis.json and
 *          the key of its first administrator (writer.key) in <data>/mainchain.
 *
 * In <data>/mainchain: genesis.json, writer.key, ca/ (certificates of these nodes alone), node-0/ and so on, each a node's
 * directory (docs/device-protocol.md). Keys are loaded as all keys of the cloud are: plain with mode 0600, or sealed by a
 * systemd credential.
 *
 * Invariants
 * 1. The genesis is written once. Another number of nodes than its validators is refused (CONFLICT).
 * 2. A node that ends is started again, after 0.1 s at first and 10 s at most; it dies with the cloud. A port that is
 *    taken is replaced, and the peers learn of it.
 * 3. The cloud starts whether the main chain works or not; what is to be written waits in its store. */
#ifndef RIDGE_CLOUD_MAINNODES_H
#define RIDGE_CLOUD_MAINNODES_H
#include "ridge/baas/mainchain.h"

#define MAINNODES_NODES_MAX 7

typedef struct mainnodes mainnodes_t;
typedef struct mainnodes_options {
    const char *data_dir, *setting;
    const char *node_program; /* NULL: ridge-node beside this program, else the one in PATH */
    uint64_t checkpoint_ms;
} mainnodes_options_t;

/* Starts the nodes and opens the main chain for the chain service. *out stays NULL for "off". */
rdg_err_t mainnodes_start(const mainnodes_options_t *options, rdg_baas_t *baas, mainnodes_t **out);
void mainnodes_stop(mainnodes_t *m); /* after the chain service is closed; NULL is fine */

/* --- mainnodes_files.c --- */
#define MAINNODES_PATH 4200

/* Makes what is not there yet of keys, genesis, certificates for `count` nodes. *genesis: text, owned (rdg_free). */
rdg_err_t mainnodes_make(const char *dir, size_t count, char **genesis);
rdg_err_t mainnodes_read_genesis(const char *dir, char **genesis);
rdg_err_t mainnodes_dir(const char *dir, size_t i, char out[MAINNODES_PATH]);
/* Renews the certificates of node i when a third of their life or less is left. */
rdg_err_t mainnodes_certify(const char *dir, size_t i);
rdg_err_t mainnodes_write_peers(const char *dir, size_t count, const uint16_t *ports);

#endif
