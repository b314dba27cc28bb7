/* ridge mainchain: what the main chain has, and proofs of it that are verified with no server. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "archive.h"
#include "cli.h"
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/client/anchors.h"
#include "ridge/codec/hex.h"

static rdg_err_t show_all(cli_t *cli) {
    json_t *answer = NULL;
    RDG_TRY(cli_call(cli, "GET", NULL, &answer, "/mainchain"));
    if (cli->json) {
        out_json(answer);
    } else {
        if (json_is_true(json_object_get(answer, "embedded")) &&
            json_integer_value(json_object_get(answer, "validators")) < 4)
            printf(
                "The main chain runs embedded in this cloud, on fewer than 4 nodes: it tolerates the loss of "
                "none.\n\n");
        out_fields(answer,
                   COLUMNS("state=state", "problem=problem", "chain id=chain_id", "validators=validators",
                           "height=height", "genesis=genesis", "registry=registry", "writer=writer",
                           "waiting entries=pending", "refused entries=refused"));
        if (json_object_get(answer, "nodes")) printf("\n");
        out_table(json_object_get(answer, "nodes"), COLUMNS("NODE=url", "STATE=state"));
        printf("\n");
        out_table(json_object_get(answer, "chains"),
                  COLUMNS("CHAIN=chain", "CHAIN ID=chain_id", "ENTRIES=entries", "WAITING=pending",
                          "REFUSED=refused", "DESTROYED=destroyed"));
    }
    json_decref(answer);
    return RDG_OK;
}

static rdg_err_t show_chain(cli_t *cli) {
    json_t *answer = NULL, *entry;
    size_t i;
    RDG_TRY(cli_component("chain", cli->args[0]));
    RDG_TRY(cli_call(cli, "GET", NULL, &answer, "/mainchain/chains/%s", cli->args[0]));
    if (cli->json) {
        out_json(answer);
    } else {
        json_array_foreach(json_object_get(answer, "entries"), i, entry) {
            char *text = rdg_json_text(json_object_get(entry, "values"));
            json_object_set_new(entry, "what", json_string(text ? text : ""));
            rdg_free(text);
        }
        out_table(json_object_get(answer, "entries"),
                  COLUMNS("ENTRY=index", "KIND=kind", "STATE=state", "BLOCK=height", "TIME=time_ms",
                          "WHAT=what", "ERROR=error"));
    }
    json_decref(answer);
    return RDG_OK;
}

static rdg_err_t show(cli_t *cli) {
    return cli->arg_count > 0 ? show_chain(cli) : show_all(cli);
}

static rdg_err_t genesis(cli_t *cli) {
    json_t *answer = NULL;
    RDG_TRY(cli_call(cli, "GET", NULL, &answer, "/mainchain/genesis"));
    rdg_err_t err = cli_save_genesis(answer, cli->arg_count > 0 ? cli->args[0] : NULL);
    json_decref(answer);
    return err;
}

static rdg_err_t prove(cli_t *cli) {
    json_t *answer = NULL;
    rdg_buf_t proof;
    RDG_TRY(cli_component("chain", cli->args[0]));
    RDG_TRY(cli_component("entry", cli->args[1]));
    RDG_TRY(cli_call(cli, "GET", NULL, &answer, "/mainchain/chains/%s/entries/%s/proof", cli->args[0],
                     cli->args[1]));
    const char *hex = json_string_value(json_object_get(answer, "proof"));
    rdg_buf_init(&proof, RDG_ANCHOR_PROOF_MAX);
    rdg_err_t err = hex ? rdg_hex_decode_buf(hex, strlen(hex), &proof)
                        : rdg_fail(RDG_E_PROTOCOL, "the cloud's answer has no proof");
    if (err == RDG_OK) err = cli_save_new(cli->args[2], rdg_buf_view(&proof));
    if (err == RDG_OK && cli->json) out_json(answer);
    rdg_buf_fini(&proof);
    json_decref(answer);
    return err;
}

/* --- offline ----------------------------------------------------------------------------------------------------- */

static void put_u64(json_t *o, const char *field, uint64_t v) {
    json_object_set_new(o, field, json_integer((json_int_t)v));
}

static rdg_err_t proof_json(const rdg_anchor_proof_t *p, json_t **out) {
    json_t *values = NULL, *o = json_object(), *chain = json_object();
    RDG_TRY(rdg_anchor_decode_data(p->entry.kind, p->entry.data, &values));
    json_object_set_new(o, "verified", json_true());
    put_u64(o, "chain_id", p->entry.chain);
    put_u64(o, "index", p->entry.index);
    json_object_set_new(o, "kind", json_string(rdg_anchor_kind_name(p->entry.kind)));
    json_object_set_new(o, "values", values);
    put_u64(o, "height", p->entry.block);
    put_u64(o, "time_ms", p->entry.time_s * 1000);
    put_u64(o, "proven_height", p->height);
    put_u64(o, "epoch", p->epoch);
    put_u64(chain, "entries", p->chain.entries);
    put_u64(chain, "archived_to", p->chain.archived_to);
    put_u64(chain, "mark_ms", p->chain.mark_ms);
    put_u64(chain, "checkpoint", p->chain.checkpoint);
    put_u64(chain, "epoch", p->chain.epoch);
    json_object_set_new(chain, "destroyed", json_boolean(p->chain.destroyed));
    json_object_set_new(chain, "genesis", rdg_json_hex(p->chain.genesis, sizeof p->chain.genesis));
    json_object_set_new(o, "chain", chain);
    *out = o;
    return RDG_OK;
}

static rdg_err_t is_same(const json_t *values, const char *field, const rdg_hash_t *wanted) {
    rdg_hash_t got;
    RDG_TRY(rdg_json_get_hex(values, field, got.b, sizeof got.b));
    if (rdg_hash_equal(&got, wanted)) return RDG_OK;
    return rdg_fail(RDG_E_CONFLICT, "the entry is of another archive: its %s differs", field);
}

/* The archive's bytes are the ones that were anchored; that its blocks are good says `ridge archive verify`. */
static rdg_err_t check_archive(const char *path, const rdg_anchor_proof_t *p, const json_t *values) {
    rdg_archive_t *a = NULL;
    rdg_hash_t digest, content;
    RDG_TRY(rdg_archive_open_file(path, NULL, &a));
    const rdg_archive_manifest_t *m = rdg_archive_manifest(a);
    rdg_archive_digest(a, &digest);
    rdg_err_t err = p->entry.kind == RDG_ANCHOR_ARCHIVE
                        ? rdg_archive_content_digest(m, &content)
                        : rdg_fail(RDG_E_CONFLICT, "the entry is no archive's");
    if (err == RDG_OK) err = is_same(values, "manifest", &digest);
    if (err == RDG_OK) err = is_same(values, "content", &content);
    if (err == RDG_OK && m->chain_id != p->entry.chain)
        err = rdg_fail(RDG_E_WRONG_CHAIN, "%s is of another chain than the entry", path);
    if (err == RDG_OK && memcmp(m->genesis.b, p->chain.genesis, sizeof m->genesis.b) != 0)
        err = rdg_fail(RDG_E_WRONG_CHAIN, "%s is of a chain with another genesis than the entry's", path);
    rdg_archive_close(a);
    return err;
}

/* The act beside the chain's genesis is the one that counts; that enough have signed it says the file by itself. */
static rdg_err_t check_act(const char *path, const rdg_anchor_proof_t *p) {
    rdg_genesis_t *g = rdg_calloc(1, sizeof *g);
    if (!g) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a genesis");
    rdg_err_t err = rdg_genesis_load(path, g);
    if (err == RDG_OK) err = rdg_fail_in(rdg_anchor_check_extended(p, g), "%s", path);
    rdg_free(g);
    return err;
}

static rdg_err_t check_wanted(cli_t *cli, const rdg_anchor_proof_t *p) {
    const char *archive = cli_flag(cli, "archive", NULL), *manifest = cli_flag(cli, "manifest", NULL),
               *extended = cli_flag(cli, "extended", NULL);
    json_t *values = NULL;
    rdg_hash_t wanted;
    RDG_TRY(rdg_anchor_decode_data(p->entry.kind, p->entry.data, &values));
    rdg_err_t err = manifest ? archive_hash("--manifest", manifest, &wanted) : RDG_OK;
    if (err == RDG_OK && manifest) err = is_same(values, "manifest", &wanted);
    if (err == RDG_OK && archive) err = check_archive(archive, p, values);
    if (err == RDG_OK && extended) err = check_act(extended, p);
    json_decref(values);
    return err;
}

static rdg_err_t verify_bytes(cli_t *cli, const rdg_genesis_t *g, rdg_bytes_t bytes) {
    rdg_anchor_proof_t *p = rdg_calloc(1, sizeof *p);
    json_t *o = NULL;
    if (!p) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a proof");
    rdg_err_t err = rdg_anchor_proof_verify(g, bytes, p);
    if (err == RDG_OK) err = check_wanted(cli, p);
    if (err == RDG_OK) err = proof_json(p, &o);
    if (err == RDG_OK) out_json(o);
    json_decref(o);
    rdg_free(p);
    return err;
}

static rdg_err_t verify(cli_t *cli) {
    const char *path = cli_flag(cli, "genesis", NULL);
    rdg_buf_t proof;
    if (!path)
        return rdg_fail(
            RDG_E_INVALID,
            "give --genesis FILE, the genesis.json of the main chain from a source that you trust: "
            "without it nothing is proven");
    rdg_genesis_t *g = rdg_calloc(1, sizeof *g);
    rdg_buf_init(&proof, RDG_ANCHOR_PROOF_MAX);
    rdg_err_t err = g ? rdg_genesis_load(path, g) : rdg_fail(RDG_E_NO_MEMORY, "no memory for a genesis");
    if (err == RDG_OK) err = rdg_file_read(cli->args[0], &proof);
    if (err == RDG_OK) err = rdg_fail_in(verify_bytes(cli, g, rdg_buf_view(&proof)), "%s", cli->args[0]);
    rdg_buf_fini(&proof);
    rdg_free(g);
    return err;
}

const command_t mainchain_commands[] = {
    {"mainchain", "show", "[CHAIN]", "the main chain, or what it has of a chain", 0, 1, show, {{0}}},
    {"mainchain",
     "genesis",
     "[FILE]",
     "its genesis.json, against which proofs are verified",
     0,
     1,
     genesis,
     {{0}}},
    {"mainchain",
     "prove",
     "CHAIN ENTRY FILE",
     "save the proof of one entry, to be verified with no server",
     3,
     3,
     prove,
     {{0}}},
    {"mainchain",
     "verify",
     "FILE",
     "verify the proof of an entry, with no server",
     1,
     1,
     verify,
     {{"genesis", "FILE", "genesis.json of the main chain, against which it is proven"},
      {"manifest", "DIGEST", "of the archive that the entry must be of"},
      {"archive", "FILE", "an archive segment that must be the anchored one"},
      {"extended", "FILE",
       "a genesis.json with acts of administrators: the entry must be the change that one of them makes"},
      {0}}},
    {0},
};
