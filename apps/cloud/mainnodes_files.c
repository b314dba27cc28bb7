/* What the nodes of the main chain find in their directories. */
#include <stdio.h>
#include <string.h>
#include "mainnodes.h"
#include "ridge/base/alloc.h"
#include "ridge/base/clock.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include "ridge/base/random.h"
#include "ridge/codec/hex.h"
#include "ridge/codec/json.h"
#include "ridge/crypto/cert_issue.h"
#include "ridge/crypto/credentials.h"
#include "ridge/ledger/genesis.h"

#define DAY_S 86400ll
#define CA_LIFE_S (30 * 365 * DAY_S)
#define LEAF_LIFE_S (365 * DAY_S)
#define NAME "main"
#define INTERVAL_MS 20 /* between blocks: an entry is to stand soon, and an idle chain makes none */

static int64_t now_s(void) {
    return (int64_t)(rdg_wall_ms(rdg_clock_system()) / 1000);
}

rdg_err_t mainnodes_dir(const char *dir, size_t i, char out[MAINNODES_PATH]) {
    char name[32];
    snprintf(name, sizeof name, "node-%zu", i);
    return rdg_path_join(out, MAINNODES_PATH, dir, name);
}

static rdg_err_t load_key(const char *dir, const char *name, rdg_sm2_key_t **out) {
    char path[MAINNODES_PATH];
    RDG_TRY(rdg_path_join(path, sizeof path, dir, name));
    return rdg_sm2_key_load_or_generate(path, out);
}

/* --- certificates ------------------------------------------------------------------------------------------------ */

typedef struct ca {
    rdg_sm2_key_t *keys[2]; /* root, issuing */
    rdg_cert_t *certs[2];
} ca_t;

static rdg_err_t save_cert(const char *path, const rdg_cert_t *cert) {
    rdg_buf_t pem;
    rdg_buf_init(&pem, RDG_CREDENTIALS_TEXT_MAX);
    rdg_err_t err = rdg_cert_to_pem(cert, &pem);
    if (err == RDG_OK) err = rdg_file_replace(path, rdg_buf_view(&pem), 0644);
    rdg_buf_fini(&pem);
    return err;
}

static rdg_err_t load_cert(const char *path, rdg_cert_t **out) {
    size_t count = 0;
    rdg_buf_t pem;
    rdg_buf_init(&pem, RDG_CREDENTIALS_TEXT_MAX);
    rdg_err_t err = rdg_file_read(path, &pem);
    if (err == RDG_OK) err = rdg_fail_in(rdg_cert_parse_pem(rdg_buf_view(&pem), out, 1, &count), "%s", path);
    rdg_buf_fini(&pem);
    return err;
}

static rdg_err_t load_or_issue(const char *dir, ca_t *ca, int which) {
    static const char *const names[] = {"root.crt", "issuing.crt"};
    static const char *const titles[] = {"Ridge main chain root", "Ridge main chain CA"};
    char path[MAINNODES_PATH];
    rdg_sm2_public_t key;
    RDG_TRY(rdg_path_join(path, sizeof path, dir, names[which]));
    if (rdg_file_exists(path)) return load_cert(path, &ca->certs[which]);
    rdg_sm2_key_public(ca->keys[which], &key);
    rdg_cert_order_t order = {which == 0 ? RDG_CERT_KIND_ROOT : RDG_CERT_KIND_CA,
                              titles[which],
                              &key,
                              which == 0 ? NULL : ca->certs[0],
                              ca->keys[0],
                              now_s() - DAY_S,
                              now_s() + CA_LIFE_S - which * DAY_S};
    RDG_TRY(rdg_cert_issue(&order, &ca->certs[which]));
    return save_cert(path, ca->certs[which]);
}

static rdg_err_t ca_load(const char *dir, ca_t *ca) {
    char path[MAINNODES_PATH];
    RDG_TRY(rdg_path_join(path, sizeof path, dir, "ca"));
    RDG_TRY(rdg_dir_make(path, 0700));
    RDG_TRY(load_key(path, "root.key", &ca->keys[0]));
    RDG_TRY(load_key(path, "issuing.key", &ca->keys[1]));
    RDG_TRY(load_or_issue(path, ca, 0));
    return load_or_issue(path, ca, 1);
}

static void ca_fini(ca_t *ca) {
    for (int i = 0; i < 2; ++i) {
        rdg_cert_free(ca->certs[i]);
        rdg_sm2_key_free(ca->keys[i]);
    }
}

static rdg_err_t issue_pem(const ca_t *ca, rdg_cert_kind_t kind, const char *name, const rdg_sm2_key_t *key,
                           rdg_buf_t *pem) {
    rdg_sm2_public_t public;
    rdg_cert_t *cert = NULL;
    rdg_sm2_key_public(key, &public);
    rdg_cert_order_t order = {
        kind, name, &public, ca->certs[1], ca->keys[1], now_s() - DAY_S, now_s() + LEAF_LIFE_S};
    rdg_err_t err = rdg_cert_issue(&order, &cert);
    if (err == RDG_OK) err = rdg_cert_to_pem(cert, pem);
    rdg_cert_free(cert);
    return err;
}

static rdg_err_t install(const ca_t *ca, const char *dir, const char *name) {
    rdg_sm2_key_t *sign = NULL, *enc = NULL;
    rdg_buf_t pem[4];
    for (int i = 0; i < 4; ++i) rdg_buf_init(&pem[i], RDG_CREDENTIALS_TEXT_MAX);
    rdg_err_t err = load_key(dir, "node.key", &sign);
    if (err == RDG_OK) err = rdg_credentials_next_key(dir, "node", &enc);
    if (err == RDG_OK) err = issue_pem(ca, RDG_CERT_KIND_SIGN, name, sign, &pem[0]);
    if (err == RDG_OK) err = issue_pem(ca, RDG_CERT_KIND_ENCRYPT, name, enc, &pem[1]);
    if (err == RDG_OK) err = rdg_cert_to_pem(ca->certs[1], &pem[2]);
    if (err == RDG_OK) err = rdg_cert_to_pem(ca->certs[0], &pem[3]);
    if (err == RDG_OK) {
        rdg_credentials_texts_t texts = {rdg_buf_cstr(&pem[0]), rdg_buf_cstr(&pem[1]), rdg_buf_cstr(&pem[2]),
                                         rdg_buf_cstr(&pem[3])};
        err = rdg_credentials_install(dir, "node", &texts, now_s());
    }
    for (int i = 0; i < 4; ++i) rdg_buf_fini(&pem[i]);
    rdg_sm2_key_free(sign);
    rdg_sm2_key_free(enc);
    return err;
}

rdg_err_t mainnodes_certify(const char *dir, size_t i) {
    char node[MAINNODES_PATH], name[64];
    rdg_credentials_t *have = NULL;
    ca_t ca = {0};
    RDG_TRY(mainnodes_dir(dir, i, node));
    bool fresh = rdg_credentials_load(node, "node", &have) == RDG_OK &&
                 rdg_cert_not_after_s(have->sign_cert) - now_s() > LEAF_LIFE_S / 3;
    rdg_credentials_free(have);
    if (fresh) return RDG_OK;
    snprintf(name, sizeof name, "node-%zu." NAME, i);
    rdg_err_t err = ca_load(dir, &ca);
    if (err == RDG_OK) err = install(&ca, node, name);
    ca_fini(&ca);
    return rdg_fail_in(err, "certificates of the main chain's node %zu", i);
}

/* --- genesis ------------------------------------------------------------------------------------------------------- */

static rdg_err_t compose(const char *dir, size_t count, rdg_genesis_t *g) {
    rdg_sm2_key_t *key = NULL;
    rdg_sm2_public_t public;
    snprintf(g->name, sizeof g->name, NAME);
    snprintf(g->consensus, sizeof g->consensus, "pbft");
    g->time_ms = rdg_wall_ms(rdg_clock_system());
    g->validators.chain_id = 1 + rdg_random_below(rdg_random_system(), (1ull << 53) - 1);
    g->validators.count = (uint32_t)count;
    rdg_chain_params_default(&g->params);
    g->params.block_interval_ms = INTERVAL_MS;
    for (size_t i = 0; i < count; ++i) {
        char node[MAINNODES_PATH];
        RDG_TRY(mainnodes_dir(dir, i, node));
        RDG_TRY(rdg_dir_make(node, 0700));
        RDG_TRY(load_key(node, "node.key", &key));
        rdg_sm2_key_public(key, &g->validators.keys[i]);
        rdg_sm2_key_free(key);
        snprintf(g->validator_names[i], sizeof g->validator_names[i], "node-%zu", i);
    }
    RDG_TRY(load_key(dir, "writer.key", &key));
    rdg_sm2_key_public(key, &public);
    rdg_sm2_key_free(key);
    rdg_sm2_address(&public, &g->admins[0]);
    g->admin_count = 1;
    return RDG_OK;
}

/* Written last of all: before it there is no main chain, and everything is made from the keys that are there. */
static rdg_err_t make_genesis(const char *dir, const char *path, size_t count) {
    rdg_genesis_t *g = rdg_calloc(1, sizeof *g);
    rdg_buf_t text;
    rdg_buf_init(&text, RDG_GENESIS_BYTES_MAX);
    rdg_err_t err = g ? compose(dir, count, g) : rdg_fail(RDG_E_NO_MEMORY, "no memory for a genesis");
    if (err == RDG_OK) err = rdg_genesis_format(g, &text);
    if (err == RDG_OK) err = rdg_file_replace(path, rdg_buf_view(&text), 0644);
    if (err == RDG_OK)
        rdg_log(RDG_LOG_INFO, "mainchain.made", RDG_STR("genesis", path), RDG_U64("validators", count),
                RDG_U64("tolerates", (count - 1) / 3));
    rdg_buf_fini(&text);
    rdg_free(g);
    return err;
}

static rdg_err_t copy_genesis(const char *dir, size_t i, rdg_bytes_t text) {
    char node[MAINNODES_PATH], path[MAINNODES_PATH];
    RDG_TRY(mainnodes_dir(dir, i, node));
    RDG_TRY(rdg_path_join(path, sizeof path, node, "genesis.json"));
    return rdg_file_exists(path) ? RDG_OK : rdg_file_replace(path, text, 0644);
}

static rdg_err_t check_count(const char *text, size_t count) {
    rdg_genesis_t *g = rdg_calloc(1, sizeof *g);
    rdg_err_t err =
        g ? rdg_genesis_parse(rdg_bytes_str(text), g) : rdg_fail(RDG_E_NO_MEMORY, "no memory for a genesis");
    if (err == RDG_OK && g->validators.count != count)
        err = rdg_fail(
            RDG_E_CONFLICT,
            "the main chain was made with %u nodes, not %zu: start with --mainchain %u (its validators are "
            "changed by its governance, not here)",
            g->validators.count, count, g->validators.count);
    rdg_free(g);
    return err;
}

rdg_err_t mainnodes_read_genesis(const char *dir, char **genesis) {
    char path[MAINNODES_PATH];
    rdg_buf_t text;
    RDG_TRY(rdg_path_join(path, sizeof path, dir, "genesis.json"));
    rdg_buf_init(&text, RDG_GENESIS_BYTES_MAX);
    rdg_err_t err = rdg_file_read(path, &text);
    size_t len = 0;
    if (err == RDG_OK && !(*genesis = (char *)rdg_buf_take(&text, &len)))
        err = rdg_fail(RDG_E_NO_MEMORY, "no memory for a genesis");
    rdg_buf_fini(&text);
    return err;
}

rdg_err_t mainnodes_make(const char *dir, size_t count, char **genesis) {
    char path[MAINNODES_PATH];
    RDG_TRY(rdg_dir_make(dir, 0700));
    RDG_TRY(rdg_path_join(path, sizeof path, dir, "genesis.json"));
    if (!rdg_file_exists(path)) RDG_TRY(make_genesis(dir, path, count));
    RDG_TRY(mainnodes_read_genesis(dir, genesis));
    rdg_err_t err = check_count(*genesis, count);
    for (size_t i = 0; i < count && err == RDG_OK; ++i) {
        err = copy_genesis(dir, i, rdg_bytes_str(*genesis));
        if (err == RDG_OK) err = mainnodes_certify(dir, i);
    }
    if (err == RDG_OK) return RDG_OK;
    rdg_free(*genesis);
    *genesis = NULL;
    return err;
}

rdg_err_t mainnodes_write_peers(const char *dir, size_t count, const uint16_t *ports) {
    json_t *peers = json_array();
    rdg_buf_t text;
    rdg_err_t err = RDG_OK;
    for (size_t i = 0; i < count && err == RDG_OK; ++i) {
        char node[MAINNODES_PATH], name[32], hex[129];
        rdg_sm2_key_t *key = NULL;
        rdg_sm2_public_t public;
        err = mainnodes_dir(dir, i, node);
        if (err == RDG_OK) err = load_key(node, "node.key", &key);
        if (err != RDG_OK) break;
        rdg_sm2_key_public(key, &public);
        rdg_sm2_key_free(key);
        rdg_hex_encode(public.b, sizeof public.b, hex);
        snprintf(name, sizeof name, "node-%zu", i);
        json_array_append_new(peers, json_pack("{s:s, s:s, s:s, s:i}", "name", name, "public_key", hex,
                                               "host", "127.0.0.1", "port", (int)ports[i]));
    }
    rdg_buf_init(&text, 1u << 20);
    if (err == RDG_OK) err = rdg_json_dump_pretty(peers, &text);
    for (size_t i = 0; i < count && err == RDG_OK; ++i) {
        char node[MAINNODES_PATH], path[MAINNODES_PATH];
        err = mainnodes_dir(dir, i, node);
        if (err == RDG_OK) err = rdg_path_join(path, sizeof path, node, "peers.json");
        if (err == RDG_OK) err = rdg_file_replace(path, rdg_buf_view(&text), 0644);
    }
    rdg_buf_fini(&text);
    json_decref(peers);
    return err;
}
