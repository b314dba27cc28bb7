/* ridge archive: segments as files, with no server. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "archive.h"
#include "ridge/base/alloc.h"
#include "ridge/base/clock.h"
#include "ridge/base/config.h"
#include "ridge/base/file.h"
#include "ridge/ledger/archive_key.h"

/* --- what several verbs need --------------------------------------------------------------------- */

/* A file says its key's id if it came from the cloud. id: what it is to be; NULL: as the file says. */
static rdg_err_t load_key(const char *path, const char *id, rdg_archive_key_t *out) {
    RDG_TRY(rdg_archive_key_load(path, out));
    if (id && out->id[0] && strcmp(out->id, id) != 0) {
        rdg_err_t err = rdg_fail(RDG_E_UNAUTHENTICATED,
                                 "%s holds the key '%s', and '%s' is wanted: see ridge archive key --id",
                                 path, out->id, id);
        rdg_secure_zero(out, sizeof *out);
        return err;
    }
    if (id || !out->id[0]) snprintf(out->id, sizeof out->id, "%s", id ? id : "archive");
    return RDG_OK;
}

/* The key has the id that the manifest asks for; so the file is opened once to read that. */
static rdg_err_t open_with_key(const char *path, const char *key_path, rdg_archive_key_t *key,
                               rdg_archive_t **out) {
    rdg_archive_options_t o = {.keys = key, .key_count = 1};
    RDG_TRY(rdg_archive_open_file(path, NULL, out));
    if (!key_path || !*rdg_archive_manifest(*out)->key_id) return RDG_OK;
    rdg_err_t err = load_key(key_path, rdg_archive_manifest(*out)->key_id, key);
    rdg_archive_close(*out);
    *out = NULL;
    return err == RDG_OK ? rdg_archive_open_file(path, &o, out) : err;
}

typedef struct opened {
    rdg_archive_t *a;
    rdg_archive_key_t key;
    rdg_genesis_t genesis;
    bool trusted;
} opened_t;

static void shut(opened_t *o) {
    rdg_archive_close(o->a);
    rdg_secure_zero(o, sizeof *o);
}

/* With --genesis, everything that is read from then on is proven. */
static rdg_err_t open_archive(cli_t *cli, opened_t *o) {
    const char *genesis = cli_flag(cli, "genesis", NULL);
    memset(o, 0, sizeof *o);
    RDG_TRY(open_with_key(cli->args[0], cli_flag(cli, "key", NULL), &o->key, &o->a));
    if (!genesis) return RDG_OK;
    RDG_TRY(rdg_genesis_load(genesis, &o->genesis));
    o->trusted = true;
    return rdg_archive_trust(o->a, &o->genesis);
}

static bool show_progress(void *ctx, const rdg_archive_progress_t *p) {
    uint64_t *last = ctx, now = rdg_mono_ms(rdg_clock_system());
    if (!isatty(STDERR_FILENO) || now < *last + 200) return true;
    *last = now;
    fprintf(stderr, "\rblock %" PRIu64 ", %" PRIu64 " of %" PRIu64 ", %" PRIu64 " transactions ", p->height,
            p->blocks, p->blocks_total, p->txs);
    return true;
}

static void end_progress(uint64_t last) {
    if (last) fprintf(stderr, "\r%70s\r", "");
}

static void print(const cli_t *cli, json_t *o) {
    if (cli->json) {
        out_json(o);
    } else {
        const char *key;
        json_t *value;
        json_object_foreach(o, key, value) {
            char title[160];
            snprintf(title, sizeof title, "%s=%s", key, key);
            out_fields(o, (const char *const[]){title}, 1);
        }
    }
    json_decref(o);
}

/* Acts by which the genesis's administrators have replaced lost validators: to be compared with the main chain's entries
 * `validators`. NULL: none. */
static json_t *successions_json(const rdg_genesis_t *g) {
    if (g->succession_count == 0) return NULL;
    json_t *list = json_array();
    for (uint32_t i = 0; i < g->succession_count; ++i) {
        const rdg_succession_t *s = &g->successions[i];
        json_array_append_new(list,
                              json_pack("{s:I, s:I, s:o}", "epoch", (json_int_t)s->epoch.validators.epoch,
                                        "first_height", (json_int_t)s->height + 1, "digest",
                                        rdg_json_hex(s->epoch_digest.b, sizeof s->epoch_digest.b)));
    }
    return list;
}

/* --- verbs --------------------------------------------------------------------------------------- */

static rdg_err_t verify(cli_t *cli) {
    opened_t o;
    rdg_archive_report_t report;
    uint64_t last = 0;
    rdg_hash_t digest, wanted;
    const char *expected = cli_flag(cli, "manifest", NULL);
    if (!cli_flag(cli, "genesis", NULL))
        return rdg_fail(RDG_E_INVALID,
                        "give --genesis FILE, the genesis.json of the chain: without it nothing is proven");
    rdg_err_t err = open_archive(cli, &o);
    if (err == RDG_OK && expected) {
        rdg_archive_digest(o.a, &digest);
        err = archive_hash("--manifest", expected, &wanted);
        if (err == RDG_OK && !rdg_hash_equal(&digest, &wanted))
            err = rdg_fail(RDG_E_CONFLICT, "the archive's manifest is another one than %s", expected);
    }
    if (err == RDG_OK) err = rdg_archive_verify(o.a, show_progress, &last, &report);
    end_progress(last);
    if (err == RDG_OK) {
        json_t *json = archive_manifest_json(o.a);
        json_object_set_new(json, "verified", json_true());
        json_object_set_new(json, "signatures", json_integer((json_int_t)report.signatures));
        json_object_set_new(json, "bytes", json_integer((json_int_t)report.bytes));
        json_t *acts = successions_json(&o.genesis);
        if (acts) json_object_set_new(json, "successions", acts);
        if (acts)
            fprintf(stderr,
                    "this rests on %" PRIu32
                    " act(s) of administrators in the genesis: prove with ridge mainchain "
                    "verify --extended that the main chain has the same\n",
                    o.genesis.succession_count);
        print(cli, json);
    }
    shut(&o);
    return err == RDG_OK ? RDG_OK : rdg_fail_in(err, "%s", cli->args[0]);
}

static rdg_err_t find_block(cli_t *cli, const opened_t *o, uint64_t *height, uint32_t *index, bool *is_tx) {
    const char *tx = cli_flag(cli, "tx", NULL);
    rdg_hash_t id;
    rdg_tx_location_t where;
    *is_tx = tx != NULL;
    if (!tx) return cli_number(cli, "block", 0, height);
    RDG_TRY(archive_hash("--tx", tx, &id));
    RDG_TRY(rdg_archive_find_tx(o->a, &id, &where));
    *height = where.height;
    *index = where.index;
    return RDG_OK;
}

static rdg_err_t block_json(const opened_t *o, uint64_t height, json_t **out) {
    rdg_archive_block_t b;
    RDG_TRY(rdg_archive_read(o->a, height, &b));
    rdg_err_t err = archive_block_json(&b, out);
    rdg_archive_block_fini(&b);
    return err;
}

static rdg_err_t show_one(cli_t *cli, const opened_t *o) {
    uint64_t height = 0;
    uint32_t index = 0;
    bool is_tx;
    json_t *block = NULL;
    RDG_TRY(find_block(cli, o, &height, &index, &is_tx));
    RDG_TRY(block_json(o, height, &block));
    json_t *tx = is_tx ? json_array_get(json_object_get(block, "transactions"), index) : NULL;
    if (tx) {
        json_object_set_new(tx, "height", json_integer((json_int_t)height));
        json_object_set_new(tx, "index", json_integer(index));
        json_object_set(tx, "proven", json_object_get(block, "proven"));
    }
    out_json(tx ? tx : block);
    json_decref(block);
    return RDG_OK;
}

static rdg_err_t show(cli_t *cli) {
    opened_t o;
    uint64_t number;
    if (!rdg_file_exists(cli->args[0]) && rdg_parse_u64(cli->args[0], &number) == RDG_OK)
        return archive_cloud_show(cli, number);
    if (cli_has(cli, "block") && cli_has(cli, "tx"))
        return rdg_fail(RDG_E_INVALID, "--block and --tx: one of them");
    rdg_err_t err = open_archive(cli, &o);
    bool one = cli_has(cli, "block") || cli_has(cli, "tx");
    if (err == RDG_OK && one) err = show_one(cli, &o);
    if (err == RDG_OK && !one) print(cli, archive_manifest_json(o.a));
    shut(&o);
    return err == RDG_OK ? RDG_OK : rdg_fail_in(err, "%s", cli->args[0]);
}

static rdg_err_t write_block(const opened_t *o, uint64_t height, const char *dir) {
    char name[40], path[1024];
    json_t *block = NULL;
    rdg_buf_t text;
    snprintf(name, sizeof name, "%012" PRIu64 ".json", height);
    RDG_TRY(rdg_path_join(path, sizeof path, dir, name));
    RDG_TRY(block_json(o, height, &block));
    rdg_buf_init(&text, 1u << 30);
    rdg_err_t err = rdg_json_dump_pretty(block, &text);
    if (err == RDG_OK) err = rdg_buf_str(&text, "\n");
    if (err == RDG_OK) err = rdg_file_replace(path, rdg_buf_view(&text), 0644);
    rdg_buf_fini(&text);
    json_decref(block);
    return err;
}

static rdg_err_t extract(cli_t *cli) {
    opened_t o;
    const char *dir = cli_flag(cli, "out", NULL);
    uint64_t first, last;
    if (!dir && !cli_has(cli, "block"))
        return rdg_fail(RDG_E_INVALID, "give --out DIR for all blocks as files, or --block HEIGHT");
    rdg_err_t err = open_archive(cli, &o);
    if (err == RDG_OK && !dir) err = show_one(cli, &o);
    if (err == RDG_OK && dir) {
        const rdg_archive_manifest_t *m = rdg_archive_manifest(o.a);
        err = cli_number(cli, "block", m->from, &first);
        last = cli_has(cli, "block") ? first : m->to;
        if (err == RDG_OK) err = rdg_dir_make(dir, 0755);
        for (uint64_t h = first; err == RDG_OK && h <= last; ++h) err = write_block(&o, h, dir);
    }
    shut(&o);
    return err == RDG_OK ? RDG_OK : rdg_fail_in(err, "%s", cli->args[0]);
}

/* --- export of a node that does not run ---------------------------------------------------------- */

static rdg_err_t export_range(cli_t *cli, rdg_ledger_t *l, const rdg_sm2_key_t *signer,
                              const rdg_archive_key_t *key) {
    rdg_archive_manifest_t m;
    rdg_hash_t digest;
    uint64_t shown = 0, to;
    rdg_archive_export_options_t o = {
        .signer = signer, .key = key, .progress = show_progress, .progress_ctx = &shown};
    RDG_TRY(cli_number(cli, "from", rdg_ledger_pruned(l) + 1, &o.from));
    RDG_TRY(cli_number(cli, "to", UINT64_MAX, &to));
    RDG_TRY(rdg_archive_plan(l, o.from, to, &o.to));
    rdg_err_t err = rdg_archive_export_file(l, &o, cli->args[1], &m);
    end_progress(shown);
    if (err == RDG_OK) err = rdg_archive_manifest_digest(&m, &digest);
    if (err == RDG_OK) print(cli, archive_fields_json(&m, &digest));
    return err;
}

static rdg_err_t export_node(cli_t *cli) {
    static const char *const names[] = {"genesis.json", "node.key", "data"};
    char paths[3][1024];
    rdg_genesis_t genesis;
    rdg_sm2_key_t *signer = NULL;
    rdg_ledger_t *l = NULL;
    rdg_archive_key_t key;
    const char *key_file = cli_flag(cli, "key", NULL);
    for (int i = 0; i < 3; ++i) RDG_TRY(rdg_path_join(paths[i], sizeof paths[i], cli->args[0], names[i]));
    if (key_file) RDG_TRY(load_key(key_file, cli_flag(cli, "key-id", NULL), &key));
    RDG_TRY(rdg_genesis_load(paths[0], &genesis));
    if (!rdg_file_exists(paths[2]))
        return rdg_fail(RDG_E_NOT_FOUND, "%s: there is no ledger of a node here", paths[2]);
    RDG_TRY(rdg_sm2_key_load(cli_flag(cli, "signer", paths[1]), &signer));
    rdg_err_t err = rdg_ledger_open(paths[2], &genesis, NULL, &l);
    if (err == RDG_OK) err = export_range(cli, l, signer, key_file ? &key : NULL);
    rdg_ledger_close(l);
    rdg_sm2_key_free(signer);
    rdg_secure_zero(&key, sizeof key);
    return err;
}

#define GENESIS_FLAG                                                                                         \
    { "genesis", "FILE", "genesis.json of the chain, against which everything is proven" }
#define KEY_FLAG                                                                                             \
    {                                                                                                        \
        "key", "FILE",                                                                                       \
            "of an encrypted archive, as ridge archive key writes it: 32 hex digits, in a file of yours "    \
            "alone"                                                                                          \
    }

const command_t archive_commands[] = {
    {"archive",
     "verify",
     "FILE",
     "prove every block of an archive from the genesis on",
     1,
     1,
     verify,
     {GENESIS_FLAG, KEY_FLAG, {"manifest", "DIGEST", "that it must be, as it is anchored"}, {0}}},
    {"archive",
     "show",
     "FILE|NUMBER",
     "what is in an archive, or one block or transaction of it; by number: of the cloud's, and what devices "
     "freed",
     1,
     1,
     show,
     {{"block", "HEIGHT", "this block"},
      {"tx", "ID", "this transaction with its receipt"},
      GENESIS_FLAG,
      KEY_FLAG,
      {0}}},
    {"archive",
     "extract",
     "FILE",
     "blocks with their receipts as JSON files",
     1,
     1,
     extract,
     {{"out", "DIR", "one file a block"},
      {"block", "HEIGHT", "this block only; without --out to standard output"},
      GENESIS_FLAG,
      KEY_FLAG,
      {0}}},
    {"archive",
     "export",
     "NODE-DIR FILE",
     "archive blocks of a node that does not run; goes on where it was cut off",
     2,
     2,
     export_node,
     {{"from", "HEIGHT", "first block (default: the first that is there)"},
      {"to", "HEIGHT", "last block (default: as many as a segment holds)"},
      {"signer", "FILE", "key that signs the manifest (default: the node's)"},
      {"key-id", "ID", "name of the key, to stand in the manifest (default: as its file says, else archive)"},
      KEY_FLAG,
      {0}}},
    {0},
};
