#include "internal.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/codec/hex.h"
#include "ridge/ledger/genesis.h"

static rdg_err_t key_path(const rdg_baas_t *b, const chain_t *c, char *out, size_t size) {
    char name[64];
    snprintf(name, sizeof name, "chain-%lld.pem", (long long)c->number);
    return rdg_path_join(out, size, b->keys_dir, name);
}

rdg_err_t chain_key_load(rdg_baas_t *b, const chain_t *c, rdg_sm2_key_t **out) {
    char path[4200];
    RDG_TRY(key_path(b, c, path, sizeof path));
    return rdg_fail_in(rdg_sm2_key_load_or_generate(path, out), "the key of chain '%s'", c->name);
}

void chain_key_remove(rdg_baas_t *b, const chain_t *c) {
    char path[4200];
    if (key_path(b, c, path, sizeof path) == RDG_OK) (void)rdg_tree_remove(path, NULL);
}

/* What a device says of its node is checked before it stands in a genesis. */
static rdg_err_t add_validator(const step_t *s, json_t *validators) {
    uint8_t raw[64];
    rdg_sm2_public_t key;
    char hex[129];
    size_t i;
    json_t *other;
    RDG_TRY(
        rdg_fail_in(rdg_json_get_hex(s->result, "public_key", raw, sizeof raw), "device '%s'", s->device));
    RDG_TRY(rdg_fail_in(rdg_sm2_public_decode(rdg_bytes(raw, sizeof raw), &key), "device '%s': public_key",
                        s->device));
    rdg_hex_encode(raw, sizeof raw, hex);
    json_array_foreach(validators, i, other) {
        if (strcmp(json_string_value(json_object_get(other, "key")), hex) == 0)
            return rdg_fail(RDG_E_CONFLICT,
                            "devices '%s' and '%s' gave the same node key: one is a copy of the other",
                            json_string_value(json_object_get(other, "name")), s->device);
    }
    json_array_append_new(validators, json_pack("{s:s, s:s}", "name", s->device, "key", hex));
    return RDG_OK;
}

static rdg_err_t check(json_t *genesis) {
    rdg_buf_t text;
    rdg_buf_init(&text, RDG_GENESIS_BYTES_MAX);
    rdg_genesis_t *parsed = rdg_calloc(1, sizeof *parsed);
    rdg_err_t err =
        parsed ? rdg_json_dump(genesis, &text) : rdg_fail(RDG_E_NO_MEMORY, "no memory for a genesis");
    if (err == RDG_OK) err = rdg_genesis_parse(rdg_buf_view(&text), parsed);
    rdg_free(parsed);
    rdg_buf_fini(&text);
    return rdg_fail_in(err, "the chain's genesis");
}

rdg_err_t genesis_compose(rdg_baas_t *b, const chain_t *c, const steps_t *prepared, json_t **genesis) {
    json_t *validators = json_array();
    rdg_err_t err = RDG_OK;
    for (size_t i = 0; i < prepared->count && err == RDG_OK; ++i)
        if (prepared->list[i].kind == STEP_PREPARE) err = add_validator(&prepared->list[i], validators);
    rdg_sm2_key_t *key = NULL;
    if (err == RDG_OK) err = chain_key_load(b, c, &key);
    if (err != RDG_OK) {
        json_decref(validators);
        return err;
    }
    rdg_sm2_public_t public;
    rdg_address_t admin;
    rdg_sm2_key_public(key, &public);
    rdg_sm2_address(&public, &admin);
    rdg_sm2_key_free(key);
    json_t *params = json_copy(c->params);
    if (params) json_object_del(params, CHAIN_SNAPSHOT_GAP);
    if (params) json_object_del(params, CHAIN_ARCHIVE_STATE_BLOCKS);
    json_t *g = json_pack("{s:i, s:s, s:I, s:I, s:s, s:o, s:[o], s:o}", "version", 1, "name", c->name,
                          "chain_id", (json_int_t)c->chain_id, "time_ms", (json_int_t)baas_now(), "consensus",
                          c->consensus, "validators", validators, "admins",
                          rdg_json_hex(admin.b, sizeof admin.b), "params", params);
    if (!g) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a genesis");
    err = check(g);
    if (err != RDG_OK) {
        json_decref(g);
        return err;
    }
    *genesis = g;
    return RDG_OK;
}

rdg_err_t genesis_peers(const steps_t *prepared, json_t **peers) {
    json_t *list = json_array();
    for (size_t i = 0; i < prepared->count; ++i) {
        const step_t *s = &prepared->list[i];
        const char *host, *key;
        uint64_t port;
        if (s->kind != STEP_PREPARE || !s->result || steps_find(prepared, s->device, STEP_REMOVE)) continue;
        rdg_err_t err = rdg_json_get_str(s->result, "p2p_host", &host);
        if (err == RDG_OK) err = rdg_json_get_u64(s->result, "p2p_port", &port);
        if (err == RDG_OK) err = rdg_json_get_str(s->result, "public_key", &key);
        if (err == RDG_OK && (port == 0 || port > 65535))
            err = rdg_fail(RDG_E_INVALID, "p2p_port is no port");
        if (err != RDG_OK) {
            json_decref(list);
            return rdg_fail_in(err, "device '%s'", s->device);
        }
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:I}", "name", s->device, "public_key", key,
                                              "host", host, "port", (json_int_t)port));
    }
    *peers = list;
    return RDG_OK;
}
