/* What everything of a chain is proven against: its genesis.json, from the cloud into a file. */
#include <inttypes.h>
#include <stdio.h>
#include "cli.h"
#include "ridge/base/file.h"
#include "ridge/ledger/genesis.h"

rdg_err_t cli_save_new(const char *path, rdg_bytes_t bytes) {
    if (rdg_file_exists(path)) return rdg_fail(RDG_E_EXISTS, "%s exists already: give another name", path);
    return rdg_file_replace(path, bytes, 0644);
}

rdg_err_t cli_save_genesis(const json_t *genesis, const char *path) {
    rdg_buf_t text;
    if (!path) {
        out_json(genesis);
        return RDG_OK;
    }
    rdg_buf_init(&text, RDG_GENESIS_EXTENDED_MAX);
    rdg_err_t err = rdg_json_dump_pretty(genesis, &text);
    if (err == RDG_OK) err = rdg_buf_str(&text, "\n");
    if (err == RDG_OK) err = cli_save_new(path, rdg_buf_view(&text));
    rdg_buf_fini(&text);
    return err;
}

static rdg_err_t genesis(cli_t *cli) {
    json_t *answer = NULL;
    uint64_t id;
    RDG_TRY(cli_component("chain", cli->args[0]));
    RDG_TRY(cli_number(cli, "id", 0, &id));
    RDG_TRY(cli_call(cli, "GET", NULL, &answer, "/chains/%s/genesis?chain_id=%" PRIu64, cli->args[0], id));
    rdg_err_t err = cli_save_genesis(answer, cli->arg_count > 1 ? cli->args[1] : NULL);
    json_decref(answer);
    return err;
}

const command_t genesis_commands[] = {
    {"chain",
     "genesis",
     "CHAIN [FILE]",
     "its genesis.json, against which archives are proven; also of a chain that is destroyed",
     1,
     2,
     genesis,
     {{"id", "NUMBER", "the chain id, of one that had this name before (default: the newest)"}, {0}}},
    {0},
};
