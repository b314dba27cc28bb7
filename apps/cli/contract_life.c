/* The life of a contract after its deployment: upgrade is in contract.c. */
#include <stdio.h>
#include <string.h>
#include "contract_cli.h"

static rdg_err_t put_version(const cli_t *cli, const char *flag, const char *field, json_t *body) {
    uint64_t version = 0;
    if (!cli_has(cli, flag)) return RDG_OK;
    RDG_TRY(cli_number(cli, flag, 0, &version));
    if (version == 0 || version > UINT32_MAX)
        return rdg_fail(RDG_E_INVALID, "--%s %s: want a number from 1 on", flag, cli_flag(cli, flag, ""));
    json_object_set_new(body, field, json_integer((json_int_t)version));
    return RDG_OK;
}

rdg_err_t contract_options(const cli_t *cli, json_t *body) {
    const char *key = cli_flag(cli, "idempotency-key", NULL);
    if (key) json_object_set_new(body, "idempotency_key", json_string(key));
    return put_version(cli, "version", "version", body);
}

static rdg_err_t check_names(const cli_t *cli) {
    RDG_TRY(cli_component("chain", cli->args[0]));
    return cli_component("contract", cli->args[1]);
}

static rdg_err_t change(cli_t *cli, const char *verb, const char *done) {
    json_t *answer = NULL, *body = json_object();
    rdg_err_t err = check_names(cli);
    if (err == RDG_OK) err = contract_options(cli, body);
    if (err != RDG_OK) {
        json_decref(body);
        return err;
    }
    RDG_TRY(
        cli_call(cli, "POST", body, &answer, "/chains/%s/contracts/%s/%s", cli->args[0], cli->args[1], verb));
    const json_t *proposal = json_object_get(answer, "proposal");
    const char *version = cli_flag(cli, "version", NULL);
    if (cli->json)
        out_json(answer);
    else if (proposal)
        printf("proposal %s waits for the approval of other administrators\n", out_text(answer, "proposal"));
    else
        printf("%s%s%s of %s is %s (block %s)\n", version ? "version " : "",
               version ? version : "every version", "", cli->args[1], done, out_text(answer, "height"));
    json_decref(answer);
    return RDG_OK;
}

static rdg_err_t freeze(cli_t *cli) {
    return change(cli, "freeze", "frozen: it can be read, not changed");
}

static rdg_err_t unfreeze(cli_t *cli) {
    return change(cli, "unfreeze", "no longer frozen");
}

static rdg_err_t revoke(cli_t *cli) {
    const char *name = cli_flag(cli, "confirm", NULL);
    if (!name || strcmp(name, cli->args[1]) != 0)
        return rdg_fail(RDG_E_INVALID, "a revocation is for good: confirm it with --confirm %s",
                        cli->args[1]);
    return change(cli, "revoke", "revoked: nothing can call it any more");
}

/* The cloud does as many steps as it can within some seconds, and is asked again until it is done. */
static rdg_err_t migrate(cli_t *cli) {
    static const char *const fields[] = {"method", "limit"};
    json_t *answer = NULL, *body = json_object();
    rdg_err_t err = check_names(cli);
    if (err == RDG_OK) err = put_version(cli, "from", "from", body);
    if (err == RDG_OK) err = put_version(cli, "version", "version", body);
    uint64_t limit = 0;
    if (err == RDG_OK && cli_has(cli, fields[1])) err = cli_number(cli, fields[1], 0, &limit);
    if (limit > 0) json_object_set_new(body, fields[1], json_integer((json_int_t)limit));
    if (cli_has(cli, fields[0]))
        json_object_set_new(body, fields[0], json_string(cli_flag(cli, fields[0], "")));
    while (err == RDG_OK) {
        json_decref(answer);
        answer = NULL;
        err = cli_call(cli, "POST", json_incref(body), &answer, "/chains/%s/contracts/%s/migrate",
                       cli->args[0], cli->args[1]);
        if (err != RDG_OK || json_is_true(json_object_get(answer, "done"))) break;
        fprintf(stderr, "%s steps done, at cursor %s\n", out_text(answer, "steps"),
                out_text(answer, "cursor"));
    }
    if (err == RDG_OK && cli->json)
        out_json(answer);
    else if (err == RDG_OK)
        printf("version %s of %s has the data of version %s (%s steps)\n", out_text(answer, "version"),
               cli->args[1], out_text(answer, "from"), out_text(answer, "steps"));
    json_decref(body);
    json_decref(answer);
    return err;
}

static rdg_err_t show(cli_t *cli) {
    json_t *answer = NULL;
    uint64_t version = 0;
    RDG_TRY(check_names(cli));
    RDG_TRY(cli_number(cli, "version", 0, &version));
    RDG_TRY(cli_call(cli, "GET", NULL, &answer, "/chains/%s/contracts/%s?version=%llu", cli->args[0],
                     cli->args[1], (unsigned long long)version));
    if (cli->json)
        out_json(answer);
    else {
        out_fields(answer, COLUMNS("Contract=name", "Version=version", "Status=status", "Address=address",
                                   "Owner=owner", "Transaction=tx", "Block=height", "ABI digest=abi_digest"));
        out_table(json_object_get(answer, "versions"),
                  COLUMNS("VERSION=version", "STATUS=status", "ADDRESS=address", "BLOCK=height"));
    }
    json_decref(answer);
    return RDG_OK;
}

static rdg_err_t events(cli_t *cli) {
    json_t *answer = NULL, *e;
    char query[200] = "";
    size_t i;
    static const char *const names[] = {"version", "from", "to", "limit"};
    RDG_TRY(check_names(cli));
    for (size_t k = 0; k < 4; ++k) {
        uint64_t v = 0;
        if (!cli_has(cli, names[k])) continue;
        RDG_TRY(cli_number(cli, names[k], 0, &v));
        size_t used = strlen(query);
        snprintf(query + used, sizeof query - used, "%c%s=%llu", used ? '&' : '?', names[k],
                 (unsigned long long)v);
    }
    RDG_TRY(cli_call(cli, "GET", NULL, &answer, "/chains/%s/contracts/%s/events%s", cli->args[0],
                     cli->args[1], query));
    if (cli->json)
        out_json(answer);
    else {
        json_array_foreach(json_object_get(answer, "events"), i, e)
            printf("%-10s %-18s %s\n", out_text(e, "height"), out_text(e, "event"), out_text(e, "args"));
        fprintf(stderr, "blocks %s to %s\n", out_text(answer, "from"), out_text(answer, "to"));
    }
    json_decref(answer);
    return RDG_OK;
}

#define CHANGE_FLAGS                                                                                         \
    {"version", "N", "one version; without it, all of them"}, {                                              \
        "idempotency-key", "KEY", "the same key gives the same transaction and answer"                       \
    }

const command_t contract_life_commands[] = {
    {"contract",
     "freeze",
     "CHAIN CONTRACT",
     "no transaction and no contract changes it any more",
     2,
     2,
     freeze,
     {CHANGE_FLAGS, {0}}},
    {"contract",
     "unfreeze",
     "CHAIN CONTRACT",
     "let it be changed again",
     2,
     2,
     unfreeze,
     {CHANGE_FLAGS, {0}}},
    {"contract",
     "revoke",
     "CHAIN CONTRACT",
     "nothing can call it any more, for good; its data stays",
     2,
     2,
     revoke,
     {CHANGE_FLAGS, {"confirm", "CONTRACT", "its name once more"}, {0}}},
    {"contract",
     "migrate",
     "CHAIN CONTRACT",
     "let the newest version take over an old one's data, step by step",
     2,
     2,
     migrate,
     {{"from", "N", "the old version (the one before)"},
      {"version", "N", "the new version (the newest)"},
      {"method", "NAME",
       "method(address old, uint256 cursor, uint256 limit) returns (uint256 next); migrate"},
      {"limit", "N", "items a step (100)"},
      {0}}},
    {"contract",
     "show",
     "CHAIN CONTRACT",
     "a contract and its versions",
     2,
     2,
     show,
     {{"version", "N", "that version"}, {0}}},
    {"contract",
     "events",
     "CHAIN CONTRACT",
     "what a contract logged in the last 10,000 blocks",
     2,
     2,
     events,
     {{"version", "N", "of that version"},
      {"from", "HEIGHT", "first block"},
      {"to", "HEIGHT", "last block"},
      {"limit", "N", "at most so many (100)"},
      {0}}},
    {0},
};
