/* The file of an archive, read back from where it is stored, against the chain's genesis. */
#include "archive_states.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include "ridge/ledger/archive.h"

static bool go_on(void *ctx, const rdg_archive_progress_t *p) {
    (void)p;
    return !baas_stopping(ctx);
}

/* What is to be encrypted is not taken in the clear: a node or agent of before would make it so. */
static rdg_err_t compare_key(const archive_row_t *r, const rdg_archive_manifest_t *m) {
    if (strcmp(m->key_id, r->key_id) == 0) return RDG_OK;
    if (!m->key_id[0])
        return rdg_fail(
            RDG_E_UNSUPPORTED,
            "it is in the clear, and archives of chain '%s' are encrypted, now with key '%s': upgrade "
            "agent and node of that device",
            r->name, r->key_id);
    return rdg_fail(RDG_E_INVALID, "it is encrypted with key '%s', and was ordered %s%s%s", m->key_id,
                    r->key_id[0] ? "with key '" : "in the clear", r->key_id, r->key_id[0] ? "'" : "");
}

/* It was made for this order: chain, genesis, digest and range are those that were asked for and announced. */
static rdg_err_t compare(const archive_row_t *r, const rdg_genesis_t *genesis, const rdg_archive_t *a) {
    const rdg_archive_manifest_t *m = rdg_archive_manifest(a);
    rdg_hash_t digest;
    rdg_archive_digest(a, &digest);
    if (m->chain_id != r->claim.chain_id || !rdg_hash_equal(&m->genesis, &genesis->hash))
        return rdg_fail(RDG_E_WRONG_CHAIN, "its manifest is of another chain (id %" PRIu64 ") than '%s'",
                        m->chain_id, r->name);
    if (!rdg_hash_equal(&digest, &r->claim.manifest))
        return rdg_fail(RDG_E_INVALID, "its manifest is another one than the device announced");
    RDG_TRY(compare_key(r, m));
    if ((r->wanted_from && m->from != r->wanted_from) || (r->wanted_to && m->to != r->wanted_to))
        return rdg_fail(RDG_E_INVALID, "it has blocks %" PRIu64 " to %" PRIu64 ", others than were ordered",
                        m->from, m->to);
    return RDG_OK;
}

static void take_manifest(archive_row_t *r, const rdg_archive_t *a, const rdg_archive_report_t *report) {
    const rdg_archive_manifest_t *m = rdg_archive_manifest(a);
    r->claim.from = m->from;
    r->claim.to = m->to;
    r->claim.mark_ms = m->last_time_ms;
    rdg_archive_digest(a, &r->claim.manifest);
    r->txs = report->txs;
    r->signatures = report->signatures;
}

static rdg_err_t prove_file(rdg_baas_t *b, archive_row_t *r, const rdg_genesis_t *genesis, const char *path,
                            const rdg_archive_key_t *key) {
    const rdg_archive_options_t options = {.keys = key, .key_count = key != NULL};
    rdg_archive_t *a = NULL;
    rdg_archive_report_t report = {0};
    RDG_TRY(rdg_archive_open_file(path, &options, &a));
    rdg_err_t err = compare(r, genesis, a);
    if (err == RDG_OK) err = rdg_archive_trust(a, genesis);
    if (err == RDG_OK) err = rdg_archive_verify(a, go_on, b, &report);
    if (err == RDG_OK) err = rdg_archive_content_digest(rdg_archive_manifest(a), &r->claim.content);
    if (err == RDG_OK) take_manifest(r, a, &report);
    if (err == RDG_OK && rdg_archive_manifest(a)->state_frames) err = archive_state_note(b, r);
    rdg_archive_close(a);
    return err;
}

/* Ours: nothing is said of the file. */
static bool ours(rdg_err_t err) {
    return err == RDG_E_NO_MEMORY || err == RDG_E_IO || err == RDG_E_DISK_FULL || err == RDG_E_CANCELLED;
}

static rdg_err_t fetch(rdg_baas_t *b, const archive_row_t *r, const char *path) {
    uint64_t size = 0;
    RDG_TRY(remote_fetch_file(b, r->file, path, &size));
    if (size == r->bytes) return RDG_OK;
    return rdg_fail(RDG_E_IO, "file %" PRId64 " came with %" PRIu64 " of %" PRIu64 " bytes", r->file, size,
                    r->bytes);
}

rdg_err_t collector_prove(rdg_baas_t *b, archive_row_t *r, const chain_t *c, const rdg_archive_key_t *key,
                          bool *guilty) {
    char name[32], path[4200];
    char *text = c->genesis ? rdg_json_text(c->genesis) : NULL;
    rdg_genesis_t *genesis = rdg_calloc(1, sizeof *genesis);
    *guilty = false;
    snprintf(name, sizeof name, "%" PRId64 ".archive", r->number);
    rdg_err_t err = text && genesis
                        ? rdg_path_join(path, sizeof path, b->collector->dir, name)
                        : rdg_fail(RDG_E_NO_MEMORY, "no memory for the genesis of chain '%s'", c->name);
    if (err == RDG_OK) err = rdg_genesis_parse(rdg_bytes_str(text), genesis);
    if (err == RDG_OK) {
        err = fetch(b, r, path);
        if (err == RDG_OK) {
            err = prove_file(b, r, genesis, path, key);
            *guilty = err != RDG_OK && !ours(err);
        }
        (void)unlink(path);
    }
    rdg_free(genesis);
    rdg_free(text);
    return err;
}
