/* The act by which administrators let others follow on lost devices: looked at, signed (also with no cloud at hand), handed
 * in. What is shown is read out of the act's own bytes, whatever the cloud says of it. */
#include <stdio.h>
#include <string.h>
#include "archive.h"
#include "keys.h"
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/client/anchors.h"
#include "ridge/codec/hex.h"
#include "ridge/ledger/succession.h"

#define SIGNATURE_FILE_MAX 4096

typedef struct act {
    rdg_buf_t bytes;
    rdg_succession_report_t report;
    rdg_genesis_t genesis; /* that it is compared with */
} act_t;

static act_t *act_new(void) {
    act_t *a = rdg_calloc(1, sizeof *a);
    if (a) rdg_buf_init(&a->bytes, RDG_SUCCESSION_BYTES_MAX);
    return a;
}

static void act_free(act_t *a) {
    if (a) rdg_buf_fini(&a->bytes);
    rdg_free(a);
}

/* --- getting it ------------------------------------------------------------------------------------------------ */

static rdg_err_t fetch(cli_t *cli, const char *chain, act_t *a, json_t **rebuild) {
    RDG_TRY(cli_component("chain", chain));
    RDG_TRY(cli_call(cli, "GET", NULL, rebuild, "/chains/%s/rebuild", chain));
    const char *hex = json_string_value(json_object_get(json_object_get(*rebuild, "act"), "bytes"));
    if (hex) return rdg_fail_in(rdg_hex_decode_buf(hex, strlen(hex), &a->bytes), "the cloud's answer");
    return rdg_fail(RDG_E_CONFLICT,
                    "the rebuild of chain '%s' has no act yet (step %s, %s): see ridge chain status %s",
                    chain, out_text(*rebuild, "step"), out_text(*rebuild, "state"), chain);
}

/* Proven by itself; with --genesis of that chain, with --digest that very act. */
static rdg_err_t judge(const cli_t *cli, act_t *a) {
    const char *genesis = cli_flag(cli, "genesis", NULL), *digest = cli_flag(cli, "digest", NULL);
    rdg_hash_t wanted;
    if (genesis) RDG_TRY(rdg_genesis_load(genesis, &a->genesis));
    RDG_TRY(rdg_succession_check(rdg_buf_view(&a->bytes), genesis ? &a->genesis : NULL, &a->report));
    if (!digest) return RDG_OK;
    RDG_TRY(archive_hash("--digest", digest, &wanted));
    if (rdg_hash_equal(&wanted, &a->report.succession.act)) return RDG_OK;
    return rdg_fail(RDG_E_CONFLICT,
                    "the act has another digest than %s: nothing is signed; see ridge chain act", digest);
}

/* --- the main chain -------------------------------------------------------------------------------------------- */

static rdg_err_t newest_archive(cli_t *cli, json_int_t *index) {
    json_t *answer = NULL, *entry;
    size_t i;
    *index = -1;
    RDG_TRY(cli_call(cli, "GET", NULL, &answer, "/mainchain/chains/%s", cli->args[0]));
    json_array_foreach(json_object_get(answer, "entries"), i, entry) {
        json_int_t number = json_integer_value(json_object_get(entry, "index"));
        if (strcmp(out_raw(entry, "kind"), "archive") == 0 &&
            strcmp(out_raw(entry, "state"), "written") == 0 && number > *index)
            *index = number;
    }
    json_decref(answer);
    return *index >= 0 ? RDG_OK : rdg_fail(RDG_E_NOT_FOUND, "the main chain has no archive of this chain");
}

static rdg_err_t fetch_proof(cli_t *cli, const rdg_genesis_t *main_chain, rdg_buf_t *bytes,
                             rdg_anchor_proof_t *out) {
    json_int_t index;
    json_t *answer = NULL;
    RDG_TRY(newest_archive(cli, &index));
    RDG_TRY(cli_call(cli, "GET", NULL, &answer, "/mainchain/chains/%s/entries/%lld/proof", cli->args[0],
                     (long long)index));
    const char *hex = out_raw(answer, "proof");
    rdg_err_t err = rdg_fail_in(rdg_hex_decode_buf(hex, strlen(hex), bytes), "the cloud's answer");
    json_decref(answer);
    return err == RDG_OK ? rdg_anchor_proof_verify(main_chain, rdg_buf_view(bytes), out) : err;
}

static rdg_err_t check_anchored(cli_t *cli, const act_t *a) {
    const char *path = cli_flag(cli, "mainchain", NULL);
    rdg_buf_t bytes;
    if (!path) return RDG_OK;
    rdg_genesis_t *main_chain = rdg_calloc(1, sizeof *main_chain);
    rdg_anchor_proof_t *p = rdg_calloc(1, sizeof *p);
    rdg_buf_init(&bytes, RDG_ANCHOR_PROOF_MAX);
    rdg_err_t err = main_chain && p ? rdg_genesis_load(path, main_chain)
                                    : rdg_fail(RDG_E_NO_MEMORY, "no memory for a proof");
    if (err == RDG_OK) err = fetch_proof(cli, main_chain, &bytes, p);
    if (err == RDG_OK) err = rdg_anchor_check_act(p, &a->report);
    rdg_buf_fini(&bytes);
    rdg_free(p);
    rdg_free(main_chain);
    return err;
}

/* --- act ------------------------------------------------------------------------------------------------------- */

static void print_act(const json_t *act, const json_t *rebuild) {
    if (rebuild)
        out_fields(rebuild, COLUMNS("Chain=chain", "Rebuild=step", "Rebuild is=state", "Error=error"));
    out_fields(act, COLUMNS("Chain id=chain_id", "Genesis=genesis", "Last block=height", "Its hash=block",
                            "Its result=executed", "New epoch=epoch", "From block=first_height",
                            "As anchored=epoch_digest", "Digest to sign=digest"));
    printf("%-18s %zu of %s needed\n", "Signatures", json_array_size(json_object_get(act, "signed")),
           out_text(act, "threshold"));
    const json_t *account, *signers = json_object_get(act, "signed");
    size_t i, k;
    json_array_foreach(json_object_get(act, "administrators"), i, account) {
        bool done = false;
        const json_t *signer;
        json_array_foreach(signers, k, signer) done = done || json_equal(signer, account);
        printf("%-18s %s%s\n", i == 0 ? "Administrators" : "", json_string_value(account),
               done ? "  signed" : "");
    }
    printf("\n");
    out_table(json_object_get(act, "validators"), COLUMNS("NEW VALIDATOR=name", "WEIGHT=weight", "KEY=key"));
}

static rdg_err_t show_act(cli_t *cli, act_t *a, json_t *rebuild) {
    const char *path = cli->arg_count > 1 ? cli->args[1] : NULL;
    RDG_TRY(judge(cli, a));
    RDG_TRY(check_anchored(cli, a));
    if (path) RDG_TRY(cli_refuse_existing(path));
    if (path) RDG_TRY(rdg_file_replace(path, rdg_buf_view(&a->bytes), 0644));
    json_t *act = rdg_succession_json(&a->report);
    if (!act) return rdg_fail(RDG_E_NO_MEMORY, "no memory for an act");
    json_object_set_new(act, "step", json_string(out_text(rebuild, "step")));
    json_object_set_new(act, "state", json_string(out_text(rebuild, "state")));
    if (path) json_object_set_new(act, "file", json_string(path));
    if (cli->json)
        out_json(act);
    else
        print_act(act, rebuild);
    json_decref(act);
    return RDG_OK;
}

static rdg_err_t show(cli_t *cli) {
    json_t *rebuild = NULL;
    act_t *a = act_new();
    rdg_err_t err = a ? fetch(cli, cli->args[0], a, &rebuild) : rdg_fail(RDG_E_NO_MEMORY, "no memory");
    if (err == RDG_OK) err = show_act(cli, a, rebuild);
    json_decref(rebuild);
    act_free(a);
    return err;
}

/* --- approve --------------------------------------------------------------------------------------------------- */

/* {"digest", "public_key", "signature"}, as it is handed in. */
static rdg_err_t sign(cli_t *cli, act_t *a, json_t **out) {
    const rdg_hash_t *digest = &a->report.succession.act;
    rdg_sm2_key_t *key = NULL;
    rdg_sm2_public_t public;
    rdg_sm2_signature_t signature;
    rdg_address_t self;
    RDG_TRY(cli_key_open(cli, cli_flag(cli, "key", ""), &key));
    rdg_sm2_key_public(key, &public);
    rdg_sm2_address(&public, &self);
    rdg_err_t err = RDG_OK;
    if (!rdg_succession_is_admin(&a->report, &self))
        err = rdg_fail(
            RDG_E_FORBIDDEN,
            "%s is the key of no administrator of the chain at block %llu: ridge chain act names those "
            "who are",
            cli_flag(cli, "key", ""), (unsigned long long)a->report.succession.height);
    if (err == RDG_OK) err = rdg_sm2_sign(key, digest->b, sizeof digest->b, &signature);
    rdg_sm2_key_free(key);
    RDG_TRY(err);
    *out = json_pack("{s:o, s:o, s:o}", "digest", rdg_json_hex(digest->b, sizeof digest->b), "public_key",
                     rdg_json_hex(public.b, sizeof public.b), "signature",
                     rdg_json_hex(signature.b, sizeof signature.b));
    return *out ? RDG_OK : rdg_fail(RDG_E_NO_MEMORY, "no memory for a signature");
}

static rdg_err_t write_signature(cli_t *cli, const json_t *signature) {
    const char *path = cli_flag(cli, "out", "");
    rdg_buf_t text;
    RDG_TRY(cli_refuse_existing(path));
    rdg_buf_init(&text, SIGNATURE_FILE_MAX);
    rdg_err_t err = rdg_json_dump_pretty(signature, &text);
    if (err == RDG_OK) err = rdg_buf_str(&text, "\n");
    if (err == RDG_OK) err = rdg_file_replace(path, rdg_buf_view(&text), 0644);
    rdg_buf_fini(&text);
    if (err == RDG_OK && cli->json) out_json(signature);
    if (err == RDG_OK && !cli->json)
        printf("signed; hand it in with ridge chain approve CHAIN --signature %s\n", path);
    return err;
}

static rdg_err_t read_signature(const char *path, json_t **out) {
    rdg_buf_t text;
    RDG_TRY(cli_read(path, SIGNATURE_FILE_MAX, &text));
    rdg_err_t err = rdg_json_parse(rdg_buf_view(&text), out);
    rdg_buf_fini(&text);
    if (err == RDG_OK && !json_is_object(*out)) {
        json_decref(*out);
        *out = NULL;
        err = rdg_fail(RDG_E_MALFORMED, "want an object with digest, public_key and signature");
    }
    return rdg_fail_in(err, "%s", path);
}

/* Takes signature. */
static rdg_err_t hand_in(cli_t *cli, json_t *signature) {
    json_t *answer = NULL;
    RDG_TRY(cli_call(cli, "POST", signature, &answer, "/chains/%s/rebuild/signatures", cli->args[0]));
    if (cli->json)
        out_json(answer);
    else
        printf("signatures: %s of %s; %s\n", out_text(answer, "signed"), out_text(answer, "threshold"),
               strcmp(out_text(answer, "state"), "waiting") == 0 ? "it waits for more administrators"
                                                                 : "the rebuild goes on");
    json_decref(answer);
    return RDG_OK;
}

static rdg_err_t get_act(cli_t *cli, act_t *a) {
    const char *file = cli_flag(cli, "act", NULL);
    json_t *rebuild = NULL;
    rdg_err_t err = file ? rdg_file_read(file, &a->bytes) : fetch(cli, cli->args[0], a, &rebuild);
    json_decref(rebuild);
    if (err == RDG_OK) err = judge(cli, a);
    if (err == RDG_OK) err = check_anchored(cli, a);
    return file ? rdg_fail_in(err, "%s", file) : err;
}

static rdg_err_t sign_and(cli_t *cli, bool hand) {
    json_t *signature = NULL;
    act_t *a = act_new();
    rdg_err_t err = a ? get_act(cli, a) : rdg_fail(RDG_E_NO_MEMORY, "no memory for an act");
    if (err == RDG_OK) err = sign(cli, a, &signature);
    act_free(a);
    RDG_TRY(err);
    if (hand) return hand_in(cli, signature);
    err = write_signature(cli, signature);
    json_decref(signature);
    return err;
}

static rdg_err_t approve(cli_t *cli) {
    const char *given = cli_flag(cli, "signature", NULL);
    bool chain = cli->arg_count > 0, key = cli_has(cli, "key"), act = cli_has(cli, "act"),
         out = cli_has(cli, "out");
    json_t *signature = NULL;
    if (given && (key || act || out || !chain))
        return rdg_fail(RDG_E_INVALID, "--signature FILE is handed in for a CHAIN, and goes with no key");
    if (!given && (!key || (act && !out) || chain == act))
        return rdg_fail(
            RDG_E_INVALID,
            "give CHAIN --key FILE to sign and hand in, --act FILE --key FILE --out FILE to sign with "
            "no cloud at hand, or CHAIN --signature FILE to hand that in");
    if (act && cli_has(cli, "mainchain"))
        return rdg_fail(RDG_E_INVALID, "--mainchain asks the cloud for a proof: give it to ridge chain act");
    if (chain) RDG_TRY(cli_component("chain", cli->args[0]));
    if (!given) return sign_and(cli, !out);
    RDG_TRY(read_signature(given, &signature));
    return hand_in(cli, signature);
}

#define ACT_GENESIS                                                                                          \
    {                                                                                                        \
        "genesis", "FILE",                                                                                   \
            "the chain's genesis.json from a source that you trust: the act must be of that chain"           \
    }
#define ACT_MAINCHAIN                                                                                        \
    {                                                                                                        \
        "mainchain", "FILE",                                                                                 \
            "genesis.json of the main chain, from a source that you trust: the act must follow the last "    \
            "block that it has an archive of"                                                                \
    }

const command_t succession_commands[] = {
    {"chain",
     "act",
     "CHAIN [FILE]",
     "what administrators sign so that others follow on lost devices; FILE: saved, to be signed elsewhere",
     1,
     2,
     show,
     {ACT_GENESIS, ACT_MAINCHAIN, {0}}},
    {"chain",
     "approve",
     "[CHAIN]",
     "sign that act with an administrator's key; --act: a saved one, with no cloud at hand",
     0,
     1,
     approve,
     {{"key", "FILE", "the administrator's key"},
      {"act", "FILE", "sign this one, as ridge chain act saved it"},
      {"out", "FILE", "write the signature there, and do not hand it in"},
      {"signature", "FILE", "hand in what --out wrote"},
      {"digest", "DIGEST", "sign no other act than the one with this digest"},
      ACT_GENESIS,
      ACT_MAINCHAIN,
      KEY_OPEN_FLAGS,
      {0}}},
    {0},
};
