#include "cli.h"
#include <stdio.h>

static rdg_err_t list(cli_t *cli) {
    uint64_t limit;
    const char *from = cli_flag(cli, "from", NULL);
    json_t *answer = NULL;
    RDG_TRY(cli_component("chain", cli->args[0]));
    RDG_TRY(cli_number(cli, "limit", 20, &limit));
    if (from) RDG_TRY(cli_component("block", from));
    RDG_TRY(cli_call(cli, "GET", NULL, &answer, "/chains/%s/blocks?limit=%llu%s%s", cli->args[0],
                     (unsigned long long)limit, from ? "&from=" : "", from ? from : ""));
    if (cli->json)
        out_json(answer);
    else
        out_table(json_object_get(answer, "blocks"),
                  COLUMNS("HEIGHT=height", "HASH=hash", "TIME=time_ms", "TXS=tx_count", "GAS USED=gas_used",
                          "ARCHIVE=archive.number"));
    json_decref(answer);
    return RDG_OK;
}

static rdg_err_t show(cli_t *cli) {
    json_t *answer = NULL;
    RDG_TRY(cli_component("chain", cli->args[0]));
    RDG_TRY(cli_component("block", cli->args[1]));
    RDG_TRY(cli_call(cli, "GET", NULL, &answer, "/chains/%s/blocks/%s", cli->args[0], cli->args[1]));
    out_json(answer);
    json_decref(answer);
    return RDG_OK;
}

static rdg_err_t show_tx(cli_t *cli) {
    json_t *answer = NULL;
    RDG_TRY(cli_component("chain", cli->args[0]));
    RDG_TRY(cli_component("transaction", cli->args[1]));
    RDG_TRY(cli_call(cli, "GET", NULL, &answer, "/chains/%s/txs/%s", cli->args[0], cli->args[1]));
    out_json(answer);
    json_decref(answer);
    return RDG_OK;
}

const command_t block_commands[] = {
    {"block",
     "list",
     "CHAIN",
     "the newest blocks",
     1,
     1,
     list,
     {{"from", "HEIGHT", "start at this height, going down"}, {"limit", "N", "how many (default 20)"}, {0}}},
    {"block", "show", "CHAIN HEIGHT|HASH", "one block", 2, 2, show, {{0}}},
    {"tx", "show", "CHAIN ID", "one transaction with its receipt", 2, 2, show_tx, {{0}}},
    {0},
};
