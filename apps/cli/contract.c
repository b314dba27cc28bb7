#include "contract_cli.h"
#include "ridge/base/file.h"
#include <stdio.h>
#include <string.h>

#define ARTIFACT_MAX (4u << 20)

static rdg_err_t read_bytecode(const char *path, json_t **out) {
    rdg_buf_t text;
    rdg_buf_init(&text, ARTIFACT_MAX);
    rdg_err_t err = rdg_file_read(path, &text);
    while (err == RDG_OK && text.len > 0 && strchr(" \r\n", text.data[text.len - 1])) --text.len;
    if (err == RDG_OK && !(*out = json_stringn((const char *)text.data, text.len)))
        err = rdg_fail(RDG_E_MALFORMED, "%s: is no text: bytecode is given in hexadecimal", path);
    rdg_buf_fini(&text);
    return err;
}

/* An argument is JSON if it reads as JSON and is no bare number too large for it; else it is a string. */
static json_t *parse_arg(const char *text) {
    json_t *v = NULL;
    bool maybe_json = strchr("[{\"", *text) || strcmp(text, "true") == 0 || strcmp(text, "false") == 0;
    if (*text && maybe_json && rdg_json_parse(rdg_bytes_str(text), &v) == RDG_OK) return v;
    return json_string(text);
}

json_t *contract_args(const cli_t *cli, size_t from) {
    json_t *list = json_array();
    for (size_t i = from; list && i < cli->arg_count; ++i)
        json_array_append_new(list, parse_arg(cli->args[i]));
    return list;
}

rdg_err_t contract_read(const cli_t *cli, json_t *body) {
    const char *artifact = cli_flag(cli, "artifact", NULL), *abi = cli_flag(cli, "abi", NULL),
               *bytecode = cli_flag(cli, "bytecode", NULL);
    json_t *a = NULL, *code = NULL;
    rdg_err_t err;
    const char *source = cli_flag(cli, "source", NULL);
    if (source) return contract_from_source(source, cli_flag(cli, "contract", NULL), body);
    if (artifact) {
        RDG_TRY(cli_read_json(artifact, &a));
        json_object_set(body, "abi", json_object_get(a, "abi"));
        json_object_set(body, "bytecode", json_object_get(a, "bytecode"));
        bool ok = json_is_array(json_object_get(a, "abi")) && json_is_string(json_object_get(a, "bytecode"));
        json_decref(a);
        return ok ? RDG_OK
                  : rdg_fail(RDG_E_INVALID, "%s: want an object with 'abi' and 'bytecode'", artifact);
    }
    if (!abi || !bytecode)
        return rdg_fail(RDG_E_INVALID,
                        "give --artifact FILE, or --source FILE.sol, or --abi FILE and --bytecode FILE");
    RDG_TRY(cli_read_json(abi, &a));
    json_object_set_new(body, "abi", a);
    if ((err = read_bytecode(bytecode, &code)) == RDG_OK) json_object_set_new(body, "bytecode", code);
    return err;
}

/* A chain that takes approved code only says so without the digest: it is known here. */
static rdg_err_t with_remedy(rdg_err_t err, const char *chain, const json_t *body) {
    char said[600], digest[CONTRACT_DIGEST_SIZE];
    if (err == RDG_OK || !strstr(rdg_err_message(err), "(approveCode)")) return err;
    snprintf(said, sizeof said, "%s", rdg_err_message(err));
    if (contract_digest(body, digest) != RDG_OK) return rdg_fail(err, "%s", said);
    return rdg_fail(err, "%s. An administrator does it by: ridge contract policy set %s --approve-code %s",
                    said, chain, digest);
}

static rdg_err_t put(cli_t *cli, bool is_upgrade) {
    json_t *answer = NULL;
    RDG_TRY(cli_component("chain", cli->args[0]));
    RDG_TRY(cli_component("contract", cli->args[1]));
    json_t *body = json_pack("{s:s, s:o}", "name", cli->args[1], "args", contract_args(cli, 2));
    rdg_err_t err = contract_read(cli, body);
    if (err == RDG_OK) err = contract_options(cli, body);
    if (err != RDG_OK) {
        json_decref(body);
        return err;
    }
    json_incref(body);
    err = is_upgrade ? cli_call(cli, "POST", body, &answer, "/chains/%s/contracts/%s/upgrade", cli->args[0],
                                cli->args[1])
                     : cli_call(cli, "POST", body, &answer, "/chains/%s/contracts", cli->args[0]);
    err = with_remedy(err, cli->args[0], body);
    json_decref(body);
    RDG_TRY(err);
    if (cli->json)
        out_json(answer);
    else
        out_fields(answer, COLUMNS("Contract=name", "Address=address", "Version=version", "Transaction=tx",
                                   "Block=height", "Gas used=gas_used"));
    json_decref(answer);
    return RDG_OK;
}

static rdg_err_t deploy(cli_t *cli) {
    return put(cli, false);
}

static rdg_err_t upgrade(cli_t *cli) {
    return put(cli, true);
}

static rdg_err_t invoke(cli_t *cli, const char *how, json_t **answer) {
    RDG_TRY(cli_component("chain", cli->args[0]));
    RDG_TRY(cli_component("contract", cli->args[1]));
    json_t *body = json_pack("{s:s, s:o}", "method", cli->args[2], "args", contract_args(cli, 3));
    if (cli_has(cli, "audit")) json_object_set_new(body, "audit", json_true());
    rdg_err_t err = contract_options(cli, body);
    if (err != RDG_OK) {
        json_decref(body);
        return err;
    }
    return cli_call(cli, "POST", body, answer, "/chains/%s/contracts/%s/%s", cli->args[0], cli->args[1], how);
}

static rdg_err_t send(cli_t *cli) {
    json_t *answer = NULL, *event;
    size_t i;
    RDG_TRY(invoke(cli, "send", &answer));
    if (cli->json)
        out_json(answer);
    else {
        out_fields(answer, COLUMNS("Transaction=tx", "Block=height", "Status=status", "Gas used=gas_used"));
        json_array_foreach(json_object_get(answer, "events"), i, event) printf(
            "%-18s %s %s\n", i == 0 ? "Events" : "", out_text(event, "event"), out_text(event, "args"));
    }
    json_decref(answer);
    return RDG_OK;
}

static rdg_err_t call(cli_t *cli) {
    json_t *answer = NULL;
    RDG_TRY(invoke(cli, "call", &answer));
    out_json(cli->json ? answer : json_object_get(answer, "result"));
    json_decref(answer);
    return RDG_OK;
}

static rdg_err_t list(cli_t *cli) {
    json_t *answer = NULL;
    RDG_TRY(cli_component("chain", cli->args[0]));
    RDG_TRY(cli_call(cli, "GET", NULL, &answer, "/chains/%s/contracts", cli->args[0]));
    if (cli->json)
        out_json(answer);
    else
        out_table(json_object_get(answer, "contracts"),
                  COLUMNS("NAME=name", "VERSION=version", "STATUS=status", "ADDRESS=address", "BLOCK=height",
                          "CREATED=created_ms"));
    json_decref(answer);
    return RDG_OK;
}

static rdg_err_t bind_intake(cli_t *cli) {
    json_t *answer = NULL;
    RDG_TRY(cli_component("chain", cli->args[0]));
    json_t *body = json_pack("{s:s}", "contract", cli->args[1]);
    RDG_TRY(cli_call(cli, "POST", body, &answer, "/chains/%s/intake", cli->args[0]));
    if (cli->json)
        out_json(answer);
    else
        printf("readings of the devices of %s go to contract %s\n", cli->args[0], cli->args[1]);
    json_decref(answer);
    return RDG_OK;
}

#define CODE_FLAGS                                                                                           \
    CONTRACT_CODE_FLAGS, {                                                                                   \
        "idempotency-key", "KEY", "the same key gives the same transaction and answer"                       \
    }

const command_t contract_commands[] = {
    {"contract",
     "deploy",
     "CHAIN NAME [ARG...]",
     "deploy a contract; ARGs go to its constructor",
     2,
     CLI_ARGS_MAX,
     deploy,
     {CODE_FLAGS, {0}}},
    {"contract",
     "upgrade",
     "CHAIN NAME [ARG...]",
     "deploy a new version with a storage of its own; the old one stays to be read",
     2,
     CLI_ARGS_MAX,
     upgrade,
     {CODE_FLAGS, {0}}},
    {"contract",
     "send",
     "CHAIN CONTRACT METHOD [ARG...]",
     "call a method in a transaction, wait for its receipt",
     3,
     CLI_ARGS_MAX,
     send,
     {{"version", "N", "of that version (the newest)"},
      {"idempotency-key", "KEY", "the same key gives the same transaction and answer"},
      {0}}},
    {"contract",
     "call",
     "CHAIN CONTRACT METHOD [ARG...]",
     "call a method without changing anything",
     3,
     CLI_ARGS_MAX,
     call,
     {{"version", "N", "of that version (the newest)"},
      {"audit", NULL, "also what is revoked answers"},
      {0}}},
    {"contract", "list", "CHAIN", "the contracts deployed on a chain", 1, 1, list, {{0}}},
    {"intake",
     "bind",
     "CHAIN CONTRACT",
     "send the readings of a chain's devices to a Metering contract",
     2,
     2,
     bind_intake,
     {{0}}},
    {0},
};
