#include "campaign.h"
#include <string.h>
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include "ridge/codec/hex.h"
#include "ridge/crypto/hash.h"

#define METERS_BYTES_MAX (1u << 20)

static const rdg_option_t options[] = {
    {"dir", RDG_OPT_STRING, NULL, "directory of a stopped node", false, 0, 0},
    {"replica", RDG_OPT_STRING, NULL, "an empty directory: execute every block again from genesis on, there",
     false, 0, 0},
    {"contract", RDG_OPT_STRING, NULL, "address of the Metering contract, to tell its totals", false, 0, 0},
    {"spoil-seal", RDG_OPT_U64, "0", "change a bit of this height's seal before it is verified", false, 0, 0},
    {"meters", RDG_OPT_STRING, NULL, "a file with one meter (64 digits) a line", false, 0, 0},
};

static void print_line(json_t *o) {
    char *text = json_dumps(o, JSON_COMPACT);
    if (text) puts(text);
    free(text);
    json_decref(o);
}

/* totals(bytes32): count, sum, … */
static json_t *totals(rdg_ledger_t *l, const rdg_address_t *contract, const char *meter) {
    uint8_t data[36], hash[32];
    rdg_buf_t answer;
    rdg_call_result_t result;
    rdg_keccak256("totals(bytes32)", 15, hash);
    memcpy(data, hash, 4);
    rdg_buf_init(&answer, 1u << 16);
    campaign_must(rdg_hex_decode(meter, 64, data + 4, 32), "--meters");
    rdg_call_t call = {.to = contract, .data = rdg_bytes(data, sizeof data)};
    rdg_err_t err = rdg_ledger_call(l, &call, &answer, &result);
    json_t *o;
    if (err != RDG_OK || result.status != RDG_EVM_SUCCESS || answer.len < 64)
        o = json_pack("{s:s, s:i, s:i}", "meter", meter, "count", -1, "sum", -1);
    else
        o = json_pack("{s:s, s:I, s:I}", "meter", meter, "count", (json_int_t)rdg_load_be64(answer.data + 24),
                      "sum", (json_int_t)rdg_load_be64(answer.data + 56));
    rdg_buf_fini(&answer);
    return o;
}

static void print_totals(rdg_ledger_t *l, const char *contract_hex, const char *file) {
    rdg_buf_t text;
    rdg_address_t contract;
    rdg_buf_init(&text, METERS_BYTES_MAX);
    campaign_must(rdg_hex_decode(contract_hex, strlen(contract_hex), contract.b, 20), "--contract");
    campaign_must(rdg_file_read(file, &text), "--meters");
    for (const char *at = rdg_buf_cstr(&text); at && strlen(at) >= 64; at += 64, at += *at == '\n') {
        char meter[65];
        snprintf(meter, sizeof meter, "%.64s", at);
        print_line(totals(l, &contract, meter));
    }
    rdg_buf_fini(&text);
}

static rdg_ledger_t *open_ledger(const char *dir, const char *data, const rdg_genesis_t *genesis,
                                 bool memory) {
    char path[4096];
    rdg_ledger_t *l = NULL;
    rdg_ledger_options_t o = {.memory_bytes = 64u << 20, .memory_store = memory};
    if (data)
        campaign_must(rdg_path_join(path, sizeof path, dir, data), dir);
    else
        snprintf(path, sizeof path, "%s", dir);
    campaign_must(rdg_ledger_open(path, genesis, &o, &l), path);
    return l;
}

int campaign_dump(int argc, char **argv) {
    static rdg_genesis_t genesis;
    rdg_config_t *c = NULL;
    char path[4096];
    rdg_ledger_head_t head;
    rdg_err_t err =
        rdg_config_load("ridge-campaign dump", "Tells what a stopped node's ledger holds, verified.",
                        "RIDGE_CAMPAIGN", options, sizeof options / sizeof options[0], argc, argv, &c);
    if (err == RDG_E_CANCELLED) return 0;
    campaign_must(err, "options");
    const char *dir = rdg_config_str(c, "dir"), *replica_dir = rdg_config_str(c, "replica");
    if (!dir) campaign_must(rdg_fail(RDG_E_INVALID, "--dir is needed"), "options");
    rdg_log_set_level(RDG_LOG_ERROR);
    campaign_must(rdg_path_join(path, sizeof path, dir, "genesis.json"), dir);
    campaign_must(rdg_genesis_load(path, &genesis), path);
    rdg_ledger_t *l = open_ledger(dir, "data", &genesis, false);
    rdg_ledger_t *replica = replica_dir ? open_ledger(replica_dir, NULL, &genesis, true) : NULL;
    rdg_ledger_head(l, &head);
    for (uint64_t height = 1; height <= head.height; ++height) {
        json_t *block;
        campaign_block(l, height, replica, rdg_config_u64(c, "spoil-seal"), &block);
        print_line(block);
    }
    if (rdg_config_str(c, "contract") && rdg_config_str(c, "meters"))
        print_totals(l, rdg_config_str(c, "contract"), rdg_config_str(c, "meters"));
    rdg_ledger_close(replica);
    rdg_ledger_close(l);
    rdg_config_free(c);
    return 0;
}
