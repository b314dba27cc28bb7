#include "campaign.h"
#include <stdlib.h>
#include <string.h>
#include "ridge/base/alloc.h"
#include "ridge/base/clock.h"
#include "ridge/base/file.h"
#include "ridge/codec/hex.h"
#include "ridge/test_ca.h"

#define HOST_SIZE 80

typedef struct chain {
    rdg_genesis_t genesis;
    rdg_test_ca_t ca;
    const char *dir;
    char hosts[RDG_VALIDATORS_MAX][HOST_SIZE];
    uint16_t ports[RDG_VALIDATORS_MAX];
    uint32_t count;
} chain_t;

static const rdg_option_t options[] = {
    {"dir", RDG_OPT_STRING, NULL, "directory that gets node-1, node-2, …", false, 0, 0},
    {"addresses", RDG_OPT_STRING, NULL, "host:port of each validator's peer port, separated by commas", false,
     0, 0},
    {"consensus", RDG_OPT_STRING, "pbft", "pbft or raft", false, 0, 0},
    {"chain-id", RDG_OPT_U64, "4711", "of the genesis", false, 1, 1u << 30},
    {"block-interval", RDG_OPT_MS, "100ms", "of the genesis", false, 0, 0},
    {"view-timeout", RDG_OPT_MS, "2s", "of the genesis", false, 0, 0},
    {"block-transactions", RDG_OPT_U64, "2000", "at most in a block, of the genesis", false, 1,
     RDG_BLOCK_TXS_MAX},
};

static void write_text(const char *dir, const char *name, const char *text) {
    char path[4096];
    campaign_must(rdg_path_join(path, sizeof path, dir, name), name);
    campaign_must(rdg_file_replace(path, rdg_bytes_str(text), 0600), path);
}

static void parse_addresses(chain_t *c, const char *text) {
    while (*text) {
        size_t len = strcspn(text, ",");
        char one[HOST_SIZE];
        uint64_t port = 0;
        if (len >= sizeof one || c->count == RDG_VALIDATORS_MAX)
            campaign_must(rdg_fail(RDG_E_TOO_LARGE, "at most %d addresses, each below %d bytes",
                                   RDG_VALIDATORS_MAX, HOST_SIZE),
                          "--addresses");
        snprintf(one, sizeof one, "%.*s", (int)len, text);
        char *colon = strrchr(one, ':');
        if (!colon) campaign_must(rdg_fail(RDG_E_INVALID, "'%s' is not host:port", one), "--addresses");
        *colon = '\0';
        campaign_must(rdg_parse_u64(colon + 1, &port), "--addresses");
        snprintf(c->hosts[c->count], sizeof c->hosts[0], "%s", one);
        c->ports[c->count++] = (uint16_t)port;
        text += len + (text[len] == ',');
    }
}

static void node_dir(const chain_t *c, uint32_t i, char *out, size_t size) {
    char name[16];
    snprintf(name, sizeof name, "node-%u", i + 1);
    campaign_must(rdg_path_join(out, size, c->dir, name), name);
}

static void make_keys(chain_t *c) {
    for (uint32_t i = 0; i < c->count; ++i) {
        char dir[4096], path[4200];
        rdg_sm2_key_t *key = NULL;
        node_dir(c, i, dir, sizeof dir);
        campaign_must(rdg_dir_make(dir, 0700), dir);
        campaign_must(rdg_path_join(path, sizeof path, dir, "node.key"), dir);
        campaign_must(rdg_sm2_key_load_or_generate(path, &key), path);
        rdg_sm2_key_public(key, &c->genesis.validators.keys[i]);
        rdg_sm2_key_free(key);
        char *name = c->genesis.validator_names[i];
        snprintf(name, RDG_NAME_MAX, "node-%u", i + 1);
        rdg_test_ca_write(&c->ca, dir, "node", name);
    }
}

static void write_files(chain_t *c) {
    rdg_buf_t genesis;
    json_t *peers = json_array();
    rdg_buf_init(&genesis, RDG_GENESIS_BYTES_MAX);
    campaign_must(rdg_genesis_format(&c->genesis, &genesis), "genesis");
    for (uint32_t i = 0; i < c->count; ++i) {
        char key[129];
        rdg_hex_encode(c->genesis.validators.keys[i].b, 64, key);
        json_array_append_new(peers, json_pack("{s:s, s:s, s:s, s:i}", "name", c->genesis.validator_names[i],
                                               "public_key", key, "host", c->hosts[i], "port", c->ports[i]));
    }
    char *text = rdg_json_text(peers);
    for (uint32_t i = 0; i < c->count; ++i) {
        char dir[4096];
        node_dir(c, i, dir, sizeof dir);
        write_text(dir, "genesis.json", rdg_buf_cstr(&genesis));
        write_text(dir, "peers.json", text);
    }
    rdg_free(text);
    json_decref(peers);
    rdg_buf_fini(&genesis);
}

int campaign_make(int argc, char **argv) {
    static chain_t c;
    rdg_config_t *o = NULL;
    rdg_err_t err =
        rdg_config_load("ridge-campaign make", "Makes the directories of a chain's nodes.", "RIDGE_CAMPAIGN",
                        options, sizeof options / sizeof options[0], argc, argv, &o);
    if (err == RDG_E_CANCELLED) return 0;
    campaign_must(err, "options");
    if (!rdg_config_str(o, "dir") || !rdg_config_str(o, "addresses"))
        campaign_must(rdg_fail(RDG_E_INVALID, "--dir and --addresses are needed"), "options");
    c.dir = rdg_config_str(o, "dir");
    parse_addresses(&c, rdg_config_str(o, "addresses"));
    rdg_genesis_t *g = &c.genesis;
    snprintf(g->name, sizeof g->name, "campaign");
    snprintf(g->consensus, sizeof g->consensus, "%s", rdg_config_str(o, "consensus"));
    g->time_ms = rdg_wall_ms(rdg_clock_system());
    g->validators.chain_id = rdg_config_u64(o, "chain-id");
    g->validators.count = c.count;
    rdg_chain_params_default(&g->params);
    g->params.block_interval_ms = rdg_config_u64(o, "block-interval");
    g->params.view_timeout_ms = rdg_config_u64(o, "view-timeout");
    g->params.block_tx_max = rdg_config_u64(o, "block-transactions");
    rdg_test_ca_init(&c.ca, (int64_t)(g->time_ms / 1000));
    make_keys(&c);
    write_files(&c);
    rdg_test_ca_fini(&c.ca);
    rdg_config_free(o);
    return 0;
}
