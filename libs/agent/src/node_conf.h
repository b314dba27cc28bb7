/* What of a node's files the agent itself can put right, before each start of the node and with the log event
 * chain.config_restored:
 *   node.conf    the node's command line, made of what the agent knows and of nothing else: compared with what it has to
 *                be. One that says another port or directory would start a node that nobody finds.
 *   peers.json   kept twice, with a digest in the chain's record: a changed digit in it would cost the node one of its
 *                links, and nobody would be told.
 * Damage of the others is found by the node, and mended by a recovery (docs/recovery.md). */
#ifndef RIDGE_AGENT_NODE_CONF_H
#define RIDGE_AGENT_NODE_CONF_H
#include "agent_internal.h"

#define NODE_PEERS "node/peers.json"
#define NODE_PEERS_COPY "peers.json"

/* SM3 of a file's bytes. */
rdg_err_t node_conf_digest(const char *path, rdg_hash_t *out);
/* On which address nodes of this device listen for others. */
const char *node_conf_p2p_host(const rdg_agent_t *a);
/* Writes it when it is not what the file holds; *changed is then set, and else left alone. */
rdg_err_t node_conf_write(const rdg_agent_t *a, const chain_t *chain, const rdg_container_driver_t *driver,
                          bool *changed);
/* Before each start (workloads_options_t.before_start; ctx is the agent). Nothing for a chain that was never configured,
 * or by an agent that did not keep what the file is made of. */
rdg_err_t node_conf_guard(void *agent, const chain_t *chain, const rdg_container_driver_t *driver);

#endif
