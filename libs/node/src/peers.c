#include "internal.h"
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include "ridge/codec/json.h"
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define PEERS_BYTES_MAX (256u << 10)

static rdg_err_t parse_peer(const json_t *entry, rdg_p2p_peer_t *out) {
    const char *name = NULL, *host = NULL;
    uint64_t port = 0;
    uint8_t key[64];
    RDG_TRY(rdg_json_get_str(entry, "name", &name));
    RDG_TRY(rdg_json_get_str(entry, "host", &host));
    RDG_TRY(rdg_json_get_u64(entry, "port", &port));
    RDG_TRY(rdg_json_get_hex(entry, "public_key", key, sizeof key));
    if (!rdg_name_valid(name)) return rdg_fail(RDG_E_INVALID, "name: '%.64s' is no valid name", name);
    if (strlen(host) >= sizeof out->host) return rdg_fail(RDG_E_TOO_LARGE, "host: longer than 255 bytes");
    if (port == 0 || port > 65535)
        return rdg_fail(RDG_E_INVALID, "port: %llu is no port", (unsigned long long)port);
    snprintf(out->name, sizeof out->name, "%s", name);
    snprintf(out->host, sizeof out->host, "%s", host);
    out->port = (uint16_t)port;
    return rdg_fail_in(rdg_sm2_public_decode(rdg_bytes(key, sizeof key), &out->key), "public_key");
}

bool peer_is_empty(const rdg_p2p_peer_t *p) {
    static const rdg_sm2_public_t nobody;
    return memcmp(p->key.b, nobody.b, sizeof nobody.b) == 0;
}

static rdg_err_t parse_peers(const json_t *list, rdg_p2p_peer_t *out, size_t *out_count) {
    if (!json_is_array(list)) return rdg_fail(RDG_E_INVALID, "want an array of peers");
    size_t count = json_array_size(list);
    if (count > RDG_P2P_PEERS_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "%zu peers, at most %d", count, RDG_P2P_PEERS_MAX);
    for (size_t i = 0; i < count; ++i) {
        RDG_TRY(rdg_fail_in(parse_peer(json_array_get(list, i), &out[i]), "peer %zu", i));
        for (size_t j = 0; j < i; ++j)
            if (memcmp(out[i].key.b, out[j].key.b, 64) == 0)
                return rdg_fail(RDG_E_INVALID, "peer %zu (%s) has the public key of peer %zu (%s)", i,
                                out[i].name, j, out[j].name);
    }
    *out_count = count;
    return RDG_OK;
}

void peers_map(rdg_node_t *n) {
    rdg_sm2_public_t own;
    rdg_sm2_key_public(n->key, &own);
    pthread_mutex_lock(&n->lock);
    n->self_peer = SIZE_MAX;
    for (size_t i = 0; i < n->peer_count; ++i)
        if (memcmp(n->peers[i].key.b, own.b, sizeof own.b) == 0) n->self_peer = i;
    for (uint32_t v = 0; v < n->epoch.validators.count; ++v) {
        n->peer_of[v] = SIZE_MAX;
        for (size_t i = 0; i < n->peer_count; ++i)
            if (memcmp(n->peers[i].key.b, n->epoch.validators.keys[v].b, 64) == 0) n->peer_of[v] = i;
    }
    pthread_mutex_unlock(&n->lock);
}

/* Changes with each new content: the file is replaced, never written in place. */
static uint64_t stamp_of(const char *path) {
    struct stat st;
    if (stat(path, &st) != 0) return 0;
    return (uint64_t)st.st_ino * 1000003u + (uint64_t)st.st_mtim.tv_sec * 1000000007u +
           (uint64_t)st.st_mtim.tv_nsec + (uint64_t)st.st_size;
}

static rdg_err_t read_peers(const char *path, rdg_p2p_peer_t *out, size_t *count) {
    rdg_buf_t text;
    json_t *list = NULL;
    rdg_buf_init(&text, PEERS_BYTES_MAX);
    rdg_err_t err = rdg_file_read(path, &text);
    if (err == RDG_OK) err = rdg_json_parse(rdg_buf_view(&text), &list);
    if (err == RDG_OK) err = parse_peers(list, out, count);
    json_decref(list);
    rdg_buf_fini(&text);
    return err == RDG_OK ? RDG_OK : rdg_fail_in(err, "%s", path);
}

rdg_err_t peers_load(rdg_node_t *n) {
    char path[4096];
    RDG_TRY(node_file(n, "peers.json", path, sizeof path));
    n->peers = rdg_calloc(RDG_P2P_PEERS_MAX, sizeof *n->peers);
    if (!n->peers) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the peers");
    n->peers_stamp = stamp_of(path);
    return read_peers(path, n->peers, &n->peer_count);
}

static size_t find(const rdg_p2p_peer_t *list, size_t count, const rdg_sm2_public_t *key) {
    size_t i = 0;
    while (i < count && memcmp(list[i].key.b, key->b, sizeof key->b) != 0) ++i;
    return i;
}

static void reset_place(rdg_node_t *n, size_t i) {
    sync_forget_peer(n, i);
    inbox_forget(n->inbox, i);
}

/* Who stays keeps its place, who is gone leaves it empty, who is new takes the first empty one. */
static rdg_err_t merge(rdg_node_t *n, const rdg_p2p_peer_t *fresh, size_t count, rdg_p2p_peer_t *out) {
    memcpy(out, n->peers, RDG_P2P_PEERS_MAX * sizeof *out);
    size_t places = n->peer_count;
    for (size_t i = 0; i < places; ++i) {
        if (peer_is_empty(&out[i])) continue;
        size_t at = find(fresh, count, &out[i].key);
        if (at < count)
            out[i] = fresh[at];
        else
            memset(&out[i], 0, sizeof out[i]);
    }
    for (size_t k = 0; k < count; ++k) {
        size_t i = 0;
        if (find(out, places, &fresh[k].key) < places) continue;
        while (i < places && !peer_is_empty(&out[i])) ++i;
        if (i == RDG_P2P_PEERS_MAX) return rdg_fail(RDG_E_TOO_LARGE, "more than %d peers", RDG_P2P_PEERS_MAX);
        out[i] = fresh[k];
        if (i == places) ++places;
    }
    RDG_TRY(rdg_p2p_set_peers(n->p2p, out, places));
    for (size_t i = 0; i < places; ++i)
        if (memcmp(out[i].key.b, n->peers[i].key.b, sizeof out[i].key.b) != 0) reset_place(n, i);
    pthread_mutex_lock(&n->lock);
    memcpy(n->peers, out, RDG_P2P_PEERS_MAX * sizeof *out);
    n->peer_count = places;
    pthread_mutex_unlock(&n->lock);
    return RDG_OK;
}

void peers_refresh(rdg_node_t *n) {
    char path[4096];
    size_t count = 0;
    if (rdg_path_join(path, sizeof path, n->dir, "peers.json") != RDG_OK) return;
    uint64_t stamp = stamp_of(path);
    if (stamp == 0 || stamp == n->peers_stamp) return;
    rdg_p2p_peer_t *fresh = rdg_calloc(RDG_P2P_PEERS_MAX, sizeof *fresh);
    rdg_p2p_peer_t *merged = rdg_calloc(RDG_P2P_PEERS_MAX, sizeof *merged);
    rdg_err_t err = fresh && merged ? read_peers(path, fresh, &count) : RDG_E_NO_MEMORY;
    if (err == RDG_OK) err = merge(n, fresh, count, merged);
    rdg_free(fresh);
    rdg_free(merged);
    n->peers_stamp = stamp; /* a bad file is told of once */
    if (err != RDG_OK) {
        rdg_log(RDG_LOG_ERROR, "node.peers_refused", RDG_STR("why", rdg_err_message(err)));
        return;
    }
    peers_map(n);
    rdg_log(RDG_LOG_INFO, "node.peers", RDG_U64("count", count));
}
