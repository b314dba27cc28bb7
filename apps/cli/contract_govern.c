/* Who may do what with contracts: names for those that exist, owners, deployers, the policy, approvals. */
#include <stdio.h>
#include <string.h>
#include "contract_cli.h"
#include "keys.h"
#include "ridge/base/config.h"
#include "ridge/base/random.h"
#include "ridge/client/rpc.h"
#include "ridge/codec/abi.h"
#include "ridge/crypto/hash.h"
#include "ridge/ledger/governance.h"

enum { VALID_BLOCKS = 1000, WAIT_MS = 30000, INTERVAL_MS = 100 };

/* --- what is said of a change ------------------------------------------------------------------------------------------ */

static bool has_event(const json_t *answer, const char *name) {
    const json_t *e;
    size_t i;
    json_array_foreach(json_object_get(answer, "events"), i, e) {
        if (strcmp(out_raw(e, "event"), name) == 0) return true;
    }
    return false;
}

static void say(const cli_t *cli, const char *chain, const json_t *answer, const char *done) {
    if (cli->json)
        out_json(answer);
    else if (json_object_get(answer, "proposal"))
        printf("proposal %s waits for other administrators: ridge contract approve %s %s\n",
               out_text(answer, "proposal"), chain, out_text(answer, "proposal"));
    else
        printf("%s (block %s)\n", done, out_text(answer, "height"));
}

static json_t *keyed(const cli_t *cli, json_t *body) {
    const char *key = cli_flag(cli, "idempotency-key", NULL);
    if (key) json_object_set_new(body, "idempotency_key", json_string(key));
    return body;
}

static rdg_err_t post_change(cli_t *cli, const char *chain, const char *change, json_t *value,
                             json_t **answer) {
    return cli_call(cli, "POST", keyed(cli, json_pack("{s:s, s:o}", "change", change, "value", value)),
                    answer, "/chains/%s/contract-policy", chain);
}

/* --- register, owner --------------------------------------------------------------------------------------------------- */

static rdg_err_t read_abi(const cli_t *cli, json_t *body) {
    const char *path = cli_flag(cli, "artifact", cli_flag(cli, "abi", NULL));
    json_t *v = NULL;
    rdg_buf_t text;
    if (!path) return RDG_OK;
    rdg_buf_init(&text, 4u << 20);
    rdg_err_t err = cli_read(path, 4u << 20, &text);
    if (err == RDG_OK) err = rdg_fail_in(rdg_json_parse(rdg_buf_view(&text), &v), "%s", path);
    rdg_buf_fini(&text);
    if (err != RDG_OK) return err;
    const json_t *abi = json_is_object(v) ? json_object_get(v, "abi") : v;
    if (json_is_array(abi))
        json_object_set(body, "abi", (json_t *)(uintptr_t)abi);
    else
        err = rdg_fail(RDG_E_INVALID, "%s: want an ABI, or an object with 'abi'", path);
    json_decref(v);
    return err;
}

static rdg_err_t register_name(cli_t *cli) {
    json_t *answer = NULL, *body = keyed(cli, json_pack("{s:s}", "address", cli->args[2]));
    uint64_t nonce = 0;
    rdg_err_t err = cli_component("chain", cli->args[0]);
    if (err == RDG_OK) err = cli_component("contract", cli->args[1]);
    if (err == RDG_OK) err = read_abi(cli, body);
    if (err == RDG_OK) err = cli_number(cli, "nonce", 0, &nonce);
    if (cli_has(cli, "nonce")) json_object_set_new(body, "nonce", json_integer((json_int_t)nonce));
    if (cli_has(cli, "owner")) json_object_set_new(body, "owner", json_string(cli_flag(cli, "owner", "")));
    if (err != RDG_OK) {
        json_decref(body);
        return err;
    }
    RDG_TRY(
        cli_call(cli, "POST", body, &answer, "/chains/%s/contracts/%s/register", cli->args[0], cli->args[1]));
    say(cli, cli->args[0], answer, "registered");
    json_decref(answer);
    return RDG_OK;
}

static rdg_err_t owner(cli_t *cli) {
    json_t *answer = NULL;
    RDG_TRY(cli_component("chain", cli->args[0]));
    RDG_TRY(cli_component("contract", cli->args[1]));
    RDG_TRY(cli_call(cli, "POST", keyed(cli, json_pack("{s:s}", "owner", cli->args[2])), &answer,
                     "/chains/%s/contracts/%s/owner", cli->args[0], cli->args[1]));
    say(cli, cli->args[0], answer, "handed over");
    json_decref(answer);
    return RDG_OK;
}

/* --- policy ------------------------------------------------------------------------------------------------------------ */

static void print_list(const char *title, const json_t *list) {
    const json_t *v;
    size_t i;
    json_array_foreach(list, i, v) printf("%-18s %s\n", i == 0 ? title : "", json_string_value(v));
    if (json_array_size(list) == 0) printf("%-18s -\n", title);
}

static void print_policy(json_t *p) {
    json_t *proposals = json_object_get(p, "proposals"), *row;
    size_t i;
    printf("%-18s %s\n", "Who may deploy", out_text(p, "deploy"));
    printf("%-18s %s of %zu administrators\n", "Approvals", out_text(p, "approvals"),
           json_array_size(json_object_get(p, "administrators")));
    print_list("Administrators", json_object_get(p, "administrators"));
    printf("%-18s %s\n", "This cloud's", out_text(p, "account"));
    print_list("Deployers", json_object_get(p, "deployers"));
    if (json_array_size(proposals) == 0) return;
    json_array_foreach(proposals, i, row) json_object_set_new(
        row, "given", json_integer((json_int_t)json_array_size(json_object_get(row, "approvals"))));
    out_table(proposals, COLUMNS("PROPOSAL=id", "CALL=call.method", "ARGUMENTS=call.args", "APPROVALS=given",
                                 "UNTIL BLOCK=last_height"));
}

static rdg_err_t get_policy(cli_t *cli, const char *chain, json_t **policy) {
    RDG_TRY(cli_component("chain", chain));
    return cli_call(cli, "GET", NULL, policy, "/chains/%s/contract-policy", chain);
}

/* Each change is a transaction of its own. */
static rdg_err_t set_policy(cli_t *cli, const char *chain) {
    static const char *const flags[][2] = {{"deploy", "deploy"},
                                           {"add-administrator", "add_administrator"},
                                           {"remove-administrator", "remove_administrator"},
                                           {"approve-code", "approve_code"},
                                           {"disapprove-code", "disapprove_code"},
                                           {"approvals", "approvals"}};
    size_t set = 0;
    RDG_TRY(cli_component("chain", chain));
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; ++i) {
        json_t *answer = NULL;
        if (!cli_has(cli, flags[i][0])) continue;
        RDG_TRY(rdg_fail_in(
            post_change(cli, chain, flags[i][1], json_string(cli_flag(cli, flags[i][0], "")), &answer),
            "--%s", flags[i][0]));
        say(cli, chain, answer, flags[i][0]);
        json_decref(answer);
        ++set;
    }
    if (set > 0) return RDG_OK;
    return rdg_fail(RDG_E_INVALID,
                    "ridge contract policy set: nothing to set: see ridge contract policy --help");
}

static rdg_err_t policy(cli_t *cli) {
    json_t *p = NULL;
    if (strcmp(cli->args[0], "set") == 0) return set_policy(cli, cli->args[1]);
    if (strcmp(cli->args[0], "show") != 0)
        return rdg_fail(RDG_E_INVALID, "contract policy '%s' is not known: show or set", cli->args[0]);
    RDG_TRY(get_policy(cli, cli->args[1], &p));
    if (cli->json)
        out_json(p);
    else
        print_policy(p);
    json_decref(p);
    return RDG_OK;
}

static rdg_err_t list_deployers(cli_t *cli, const char *chain) {
    json_t *p = NULL;
    RDG_TRY(get_policy(cli, chain, &p));
    json_t *list = json_object_get(p, "deployers"), *answer = json_pack("{s:O}", "deployers", list);
    if (cli->json)
        out_json(answer);
    else
        print_list("Deployers", list);
    json_decref(answer);
    json_decref(p);
    return RDG_OK;
}

static rdg_err_t deployers(cli_t *cli) {
    const char *action = cli->args[0], *account = cli->arg_count > 2 ? cli->args[2] : NULL;
    bool adds = strcmp(action, "add") == 0, removes = strcmp(action, "remove") == 0;
    json_t *answer = NULL;
    if (!adds && !removes && strcmp(action, "list") != 0)
        return rdg_fail(RDG_E_INVALID, "contract deployers '%s' is not known: add, remove or list", action);
    if ((adds || removes) != (account != NULL))
        return rdg_fail(RDG_E_INVALID,
                        "usage: ridge contract deployers add|remove CHAIN ADDRESS, or list CHAIN");
    if (!account) return list_deployers(cli, cli->args[1]);
    RDG_TRY(cli_component("chain", cli->args[1]));
    RDG_TRY(post_change(cli, cli->args[1], adds ? "add_deployer" : "remove_deployer", json_string(account),
                        &answer));
    say(cli, cli->args[1], answer, adds ? "added" : "removed");
    json_decref(answer);
    return RDG_OK;
}

/* --- approve ----------------------------------------------------------------------------------------------------------- */

static rdg_err_t relay_call(void *ctx, const char *method, const json_t *params, json_t **result) {
    cli_t *cli = ctx;
    json_t *answer = NULL, *request = json_pack("{s:s, s:i, s:s, s:O}", "jsonrpc", "2.0", "id", 1, "method",
                                                method, "params", (json_t *)(uintptr_t)params);
    RDG_TRY(cli_call(cli, "POST", request, &answer, "/chains/%s/rpc", cli->args[0]));
    rdg_err_t err = rdg_rpc_decode(answer, result);
    json_decref(answer);
    return err;
}

static rdg_err_t estimate(const rdg_rpc_t *rpc, const rdg_address_t *from, rdg_bytes_t data, uint64_t *gas) {
    json_t *result = NULL;
    rdg_err_t err =
        rdg_rpc_call(rpc, "eth_estimateGas",
                     json_pack("[{s:o, s:o, s:o}]", "from", rdg_json_hex(from->b, sizeof from->b), "to",
                               rdg_json_hex(RDG_GOVERNANCE_ADDRESS.b, sizeof RDG_GOVERNANCE_ADDRESS.b),
                               "data", rdg_json_hex(data.data, data.len)),
                     &result);
    if (err == RDG_OK) err = rdg_json_quantity_parse(result, gas);
    json_decref(result);
    *gas += *gas / 4;
    return err;
}

static rdg_err_t sign_approval(const rdg_rpc_t *rpc, const rdg_sm2_key_t *key, uint64_t id, rdg_tx_t **tx) {
    rdg_rpc_head_t head;
    rdg_sm2_public_t public;
    rdg_address_t self;
    rdg_buf_t data;
    json_t *entry = json_pack("{s:s, s:s, s:[{s:s, s:s}]}", "type", "function", "name", "approve", "inputs",
                              "name", "id", "type", "uint64");
    json_t *args = json_pack("[I]", (json_int_t)id);
    rdg_tx_fields_t f = {.to = &RDG_GOVERNANCE_ADDRESS, .nonce = rdg_tx_random_nonce(rdg_random_system())};
    rdg_sm2_key_public(key, &public);
    rdg_sm2_address(&public, &self);
    rdg_buf_init(&data, 256);
    rdg_err_t err = rdg_abi_encode_call(entry, args, rdg_keccak256, &data);
    f.data = rdg_buf_view(&data);
    if (err == RDG_OK) err = rdg_rpc_head(rpc, &head);
    if (err == RDG_OK) err = estimate(rpc, &self, f.data, &f.gas_limit);
    if (err == RDG_OK) {
        f.chain_id = head.chain_id;
        f.valid_until = head.height + VALID_BLOCKS;
        err = rdg_tx_sign(&f, key, tx);
    }
    rdg_buf_fini(&data);
    json_decref(entry);
    json_decref(args);
    return err;
}

/* By an administrator's own key: signed here, and the cloud only carries it. */
static rdg_err_t approve_with(cli_t *cli, uint64_t id, json_t **answer) {
    const rdg_rpc_t rpc = {.call = relay_call, .ctx = cli};
    rdg_sm2_key_t *key = NULL;
    rdg_tx_t *tx = NULL;
    json_t *receipt = NULL;
    RDG_TRY(cli_key_open(cli, cli_flag(cli, "key", ""), &key));
    rdg_err_t err = sign_approval(&rpc, key, id, &tx);
    rdg_sm2_key_free(key);
    if (err == RDG_OK) err = rdg_rpc_send(&rpc, tx);
    if (err == RDG_OK) err = rdg_rpc_wait(&rpc, tx, WAIT_MS, INTERVAL_MS, &receipt);
    if (err == RDG_OK && strcmp(out_raw(receipt, "status"), "0x1") != 0)
        err = rdg_fail(RDG_E_REVERTED, "the chain refused the approval: see ridge contract policy show %s",
                       cli->args[0]);
    if (err == RDG_OK) {
        uint64_t height = 0;
        (void)rdg_json_quantity_parse(json_object_get(receipt, "blockNumber"), &height);
        *answer = json_pack("{s:o, s:I}", "tx", rdg_json_hex(tx->id.b, sizeof tx->id.b), "height",
                            (json_int_t)height);
    }
    json_decref(receipt);
    rdg_tx_unref(tx);
    return err;
}

static bool waits_still(const json_t *policy, uint64_t id) {
    const json_t *p;
    size_t i;
    json_array_foreach(json_object_get(policy, "proposals"), i, p) {
        if ((uint64_t)json_integer_value(json_object_get(p, "id")) == id) return true;
    }
    return false;
}

static rdg_err_t approve(cli_t *cli) {
    json_t *answer = NULL, *p = NULL;
    uint64_t id;
    RDG_TRY(cli_component("chain", cli->args[0]));
    RDG_TRY(rdg_fail_in(rdg_parse_u64(cli->args[1], &id), "PROPOSAL"));
    if (cli_has(cli, "key"))
        RDG_TRY(approve_with(cli, id, &answer));
    else
        RDG_TRY(post_change(cli, cli->args[0], "approve", json_integer((json_int_t)id), &answer));
    bool executed = has_event(answer, "Executed");
    rdg_err_t err = executed ? RDG_OK : get_policy(cli, cli->args[0], &p);
    if (err == RDG_OK) {
        executed = executed || !waits_still(p, id);
        json_object_set_new(answer, "executed", json_boolean(executed));
        say(cli, cli->args[0], answer,
            executed ? "approved, and done" : "approved; it waits for more approvals");
    }
    json_decref(p);
    json_decref(answer);
    return err;
}

#define ONCE                                                                                                 \
    { "idempotency-key", "KEY", "the same key gives the same transaction and answer" }

const command_t contract_govern_commands[] = {
    {"contract",
     "register",
     "CHAIN NAME ADDRESS",
     "give a name to a contract that exists",
     3,
     3,
     register_name,
     {{"owner", "ADDRESS", "its owner (the chain's account in the cloud)"},
      {"nonce", "N", "of the transaction of that account that created it: no administrator is needed then"},
      {"abi", "FILE", "its ABI"},
      {"artifact", "FILE", "the same from an artefact"},
      ONCE,
      {0}}},
    {"contract",
     "owner",
     "CHAIN CONTRACT ADDRESS",
     "hand a contract over to another account",
     3,
     3,
     owner,
     {ONCE, {0}}},
    {"contract",
     "deployers",
     "add|remove|list CHAIN [ADDRESS]",
     "who may deploy where the policy asks for it",
     2,
     3,
     deployers,
     {ONCE, {0}}},
    {"contract",
     "policy",
     "show|set CHAIN",
     "who may deploy, who administers, how many must approve, what waits for it",
     2,
     2,
     policy,
     {{"deploy", "WHO", "anybody, deployers, administrators or approved-code"},
      {"approvals", "K", "administrators that must approve a change"},
      {"add-administrator", "ADDRESS", "an account that may approve"},
      {"remove-administrator", "ADDRESS", "one that no longer may"},
      {"approve-code", "DIGEST", "of ridge contract digest: init code that anybody may deploy once"},
      {"disapprove-code", "DIGEST", "take that back"},
      {0}}},
    {"contract",
     "digest",
     "[ARG...]",
     "the digest to approve of code with its constructor's ARGs; nothing is sent",
     0,
     CLI_ARGS_MAX,
     contract_show_digest,
     {CONTRACT_CODE_FLAGS, {0}}},
    {"contract",
     "approve",
     "CHAIN PROPOSAL",
     "approve a change that waits for it; see ridge contract policy show",
     2,
     2,
     approve,
     {{"key", "FILE", "an administrator's own key (the chain's account in the cloud)"}, KEY_OPEN_FLAGS, {0}}},
    {0},
};
