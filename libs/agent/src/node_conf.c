#include "node_conf.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include "ridge/crypto/hash.h"
#include <string.h>

#define CONF_BYTES_MAX 16384u

const char *node_conf_p2p_host(const rdg_agent_t *a) {
    return strncmp(a->advertise_host, "127.", 4) == 0 ? "127.0.0.1" : "0.0.0.0";
}

static rdg_err_t make(const rdg_agent_t *a, const chain_t *chain, const rdg_container_driver_t *driver,
                      rdg_buf_t *text) {
    char node_dir[CHAIN_PATH_MAX];
    RDG_TRY(chain_path(a->dir, chain->name, "node", node_dir));
    rdg_buf_printf(text,
                   "name = %s\ndir = %s\np2p-host = %s\np2p-port = %u\nrpc-host = 127.0.0.1\nrpc-port = %u\n",
                   a->name, driver->data_mount ? driver->data_mount : node_dir, node_conf_p2p_host(a),
                   (unsigned)chain->p2p_port, (unsigned)chain->rpc_port);
    if (chain->snapshot_gap)
        rdg_buf_printf(text, "snapshot-gap = %llu\n", (unsigned long long)chain->snapshot_gap);
    return rdg_buf_err(text);
}

static bool holds(const char *path, rdg_bytes_t text) {
    rdg_buf_t have;
    rdg_buf_init(&have, CONF_BYTES_MAX);
    bool same =
        rdg_file_read_plain(path, false, &have) == RDG_OK && rdg_bytes_equal(rdg_buf_view(&have), text);
    rdg_buf_fini(&have);
    return same;
}

rdg_err_t node_conf_write(const rdg_agent_t *a, const chain_t *chain, const rdg_container_driver_t *driver,
                          bool *changed) {
    char path[CHAIN_PATH_MAX];
    rdg_buf_t text;
    RDG_TRY(chain_path(a->dir, chain->name, "node/node.conf", path));
    rdg_buf_init(&text, CONF_BYTES_MAX);
    rdg_err_t err = make(a, chain, driver, &text);
    if (err == RDG_OK && !holds(path, rdg_buf_view(&text))) {
        err = rdg_file_replace(path, rdg_buf_view(&text), 0644);
        *changed = true;
    }
    rdg_buf_fini(&text);
    return err;
}

/* --- peers.json ----------------------------------------------------------------------------------------- */

#define PEERS_BYTES_MAX (1u << 20)

static rdg_err_t read_digest(const char *path, rdg_buf_t *text, rdg_hash_t *out) {
    rdg_buf_init(text, PEERS_BYTES_MAX);
    RDG_TRY(rdg_file_read_plain(path, false, text));
    rdg_sm3(text->data, text->len, out);
    return RDG_OK;
}

rdg_err_t node_conf_digest(const char *path, rdg_hash_t *out) {
    rdg_buf_t text;
    rdg_err_t err = read_digest(path, &text, out);
    rdg_buf_fini(&text);
    return err;
}

/* Each from the other, if that is sound. When neither is, the node says what is wrong, or runs with what the cloud has said
 * since. */
static rdg_err_t mend(const char *bad, const char *good, const rdg_hash_t *want, bool *changed) {
    rdg_hash_t digest;
    rdg_buf_t text;
    if (node_conf_digest(bad, &digest) == RDG_OK && rdg_hash_equal(&digest, want)) return RDG_OK;
    rdg_err_t err = read_digest(good, &text, &digest);
    bool sound = err == RDG_OK && rdg_hash_equal(&digest, want);
    err = sound ? rdg_file_replace(bad, rdg_buf_view(&text), 0644) : RDG_OK;
    *changed = *changed || sound;
    rdg_buf_fini(&text);
    return err;
}

static rdg_err_t guard_peers(const rdg_agent_t *a, const chain_t *chain, bool *changed) {
    char path[CHAIN_PATH_MAX], copy[CHAIN_PATH_MAX];
    if (rdg_hash_is_zero(&chain->peers)) return RDG_OK;
    RDG_TRY(chain_path(a->dir, chain->name, NODE_PEERS, path));
    RDG_TRY(chain_path(a->dir, chain->name, NODE_PEERS_COPY, copy));
    RDG_TRY(mend(path, copy, &chain->peers, changed));
    return mend(copy, path, &chain->peers, changed);
}

static void say_restored(const chain_t *chain, const char *file) {
    rdg_log(RDG_LOG_WARN, "chain.config_restored", RDG_STR("chain", chain->name), RDG_STR("file", file));
}

rdg_err_t node_conf_guard(void *agent, const chain_t *chain, const rdg_container_driver_t *driver) {
    bool conf = false, peers = false;
    rdg_err_t err = chain->configured ? node_conf_write(agent, chain, driver, &conf) : RDG_OK;
    if (err == RDG_OK && conf) say_restored(chain, "node.conf");
    if (err == RDG_OK) err = guard_peers(agent, chain, &peers);
    if (err == RDG_OK && peers) say_restored(chain, "peers.json");
    return rdg_fail_in(err, "the configuration of chain %s", chain->name);
}
