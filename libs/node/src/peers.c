#include "internal.h"
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/codec/json.h"
#include <stdio.h>
#include <string.h>

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

static rdg_err_t parse_peers(rdg_node_t *n, const json_t *list) {
    if (!json_is_array(list)) return rdg_fail(RDG_E_INVALID, "want an array of peers");
    size_t count = json_array_size(list);
    if (count > RDG_P2P_PEERS_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "%zu peers, at most %d", count, RDG_P2P_PEERS_MAX);
    n->peers = rdg_calloc(count + 1, sizeof *n->peers);
    if (!n->peers) return RDG_E_NO_MEMORY;
    for (size_t i = 0; i < count; ++i) {
        RDG_TRY(rdg_fail_in(parse_peer(json_array_get(list, i), &n->peers[i]), "peer %zu", i));
        for (size_t j = 0; j < i; ++j)
            if (memcmp(n->peers[i].key.b, n->peers[j].key.b, 64) == 0)
                return rdg_fail(RDG_E_INVALID, "peer %zu (%s) has the public key of peer %zu (%s)", i,
                                n->peers[i].name, j, n->peers[j].name);
    }
    n->peer_count = count;
    return RDG_OK;
}

static void map_validators(rdg_node_t *n) {
    rdg_sm2_public_t own;
    rdg_sm2_key_public(n->key, &own);
    n->self_peer = SIZE_MAX;
    for (size_t i = 0; i < n->peer_count; ++i)
        if (memcmp(n->peers[i].key.b, own.b, sizeof own.b) == 0) n->self_peer = i;
    for (uint32_t v = 0; v < n->genesis.validators.count; ++v) {
        n->peer_of[v] = SIZE_MAX;
        for (size_t i = 0; i < n->peer_count; ++i)
            if (memcmp(n->peers[i].key.b, n->genesis.validators.keys[v].b, 64) == 0) n->peer_of[v] = i;
    }
}

rdg_err_t peers_load(rdg_node_t *n) {
    char path[4096];
    rdg_buf_t text;
    json_t *list = NULL;
    RDG_TRY(node_file(n, "peers.json", path, sizeof path));
    rdg_buf_init(&text, PEERS_BYTES_MAX);
    rdg_err_t err = rdg_file_read(path, &text);
    if (err == RDG_OK) err = rdg_json_parse(rdg_buf_view(&text), &list);
    if (err == RDG_OK) err = parse_peers(n, list);
    json_decref(list);
    rdg_buf_fini(&text);
    if (err != RDG_OK) return rdg_fail_in(err, "%s", path);
    map_validators(n);
    return RDG_OK;
}
