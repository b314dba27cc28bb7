/* chain.archive: the node writes a segment of its ledger to a file, which goes into the outbox under the command's id.
 * Executed again after a crash, it takes what waits there already; what does not is exported again: other bytes, with
 * another manifest if there are more blocks by then, or a key. So it stays there until the result is in the journal
 * (uploader.h, 5): nothing of the export before was ever offered. */
#include "agent_internal.h"
#include "ridge/base/file.h"

/* The node may be a container with rights of its own, so what it says is looked at like anything from outside. */
static rdg_err_t queue_file(rdg_agent_t *a, const command_t *c, const json_t *done, json_t **about) {
    char dir[CHAIN_PATH_MAX];
    const char *file;
    rdg_hash_t manifest, content;
    uint64_t from, to, mark_ms, txs;
    RDG_TRY(rdg_json_get_str(done, "file", &file));
    RDG_TRY(rdg_json_get_hex(done, "manifest", manifest.b, sizeof manifest.b));
    RDG_TRY(rdg_json_get_hex(done, "content", content.b, sizeof content.b));
    RDG_TRY(rdg_json_get_u64(done, "from", &from));
    RDG_TRY(rdg_json_get_u64(done, "to", &to));
    RDG_TRY(rdg_json_get_u64(done, "mark_ms", &mark_ms));
    RDG_TRY(rdg_json_get_u64(done, "transactions", &txs));
    if (!rdg_name_valid(file)) return rdg_fail(RDG_E_PROTOCOL, "the node names no file: '%.64s'", file);
    RDG_TRY(chain_path(a->dir, c->chain, "node/archive", dir));
    *about = json_pack("{s:s, s:I, s:I, s:I, s:I, s:o, s:o}", "chain", c->chain, "from", (json_int_t)from,
                       "to", (json_int_t)to, "mark_ms", (json_int_t)mark_ms, "transactions", (json_int_t)txs,
                       "manifest", rdg_json_hex(manifest.b, sizeof manifest.b), "content",
                       rdg_json_hex(content.b, sizeof content.b));
    if (!*about) return rdg_fail(RDG_E_NO_MEMORY, "no memory for an archive");
    return outbox_add_from(a->outbox, dir, file, OUTBOX_ARCHIVE, c->id, *about);
}

static rdg_err_t export_file(rdg_agent_t *a, const command_t *c, executor_run_t *at, json_t **about) {
    uint64_t from = 0, to = 0, state_from = 0;
    json_t *done = NULL, *key = json_object_get(c->params, "key");
    RDG_TRY(rdg_json_opt_u64(c->params, "from", &from));
    RDG_TRY(rdg_json_opt_u64(c->params, "to", &to));
    RDG_TRY(rdg_json_opt_u64(c->params, "state_from", &state_from));
    if (from > INT64_MAX || to > INT64_MAX || state_from > INT64_MAX)
        return rdg_fail(RDG_E_INVALID, "from, to: no heights");
    /* The key is wrapped for the node: nobody else on the device can open it. */
    json_t *range = json_pack("[I, I, I, O?]", (json_int_t)from, (json_int_t)to, (json_int_t)state_from, key);
    if (!range) return rdg_fail(RDG_E_NO_MEMORY, "no memory for an order");
    const node_job_t job = {"node_exportArchive", "export", range};
    rdg_err_t err = node_job(a, c, at, &job, &done);
    json_decref(range);
    if (err == RDG_OK) err = queue_file(a, c, done, about);
    json_decref(done);
    return err;
}

rdg_err_t chain_archive(rdg_agent_t *a, const command_t *c, executor_run_t *at, json_t **result) {
    outbox_item_t waiting;
    json_t *about = NULL;
    rdg_err_t err = RDG_OK;
    if (outbox_find(a->outbox, OUTBOX_ARCHIVE, c->id, &waiting))
        about = waiting.meta;
    else
        err = export_file(a, c, at, &about);
    if (err == RDG_OK) {
        json_object_set_new(about, "name", json_string(c->id));
        *result = json_incref(about);
    }
    json_decref(about);
    return rdg_fail_in(err, "chain %s", c->chain);
}
