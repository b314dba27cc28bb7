/* What nodes have pruned, read from the archive: of the stored file only its index and the frames of the block are fetched,
 * and nothing of it is believed before it is proven from the chain's genesis on, as the collector did with all of it.
 *
 * One archive stays open for the next question, which is often for the block beside. */
#include "collector_read.h"
#include "archive_keys.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "ridge/base/alloc.h"
#include "ridge/codec/hex.h"
#include "ridge/ledger/archive.h"
#include "ridge/ledger/eth_json.h"

struct archive_reader {
    pthread_mutex_t lock; /* guards the rest; held while the platform is asked */
    rdg_baas_t *b;
    int64_t number, file; /* of the archive that is open; 0: none */
    rdg_archive_t *archive;
    rdg_archive_key_t key; /* of the archive, as long as it is open; id empty: none */
    rdg_genesis_t genesis; /* of its chain */
};

rdg_err_t archive_reader_new(rdg_baas_t *b, archive_reader_t **out) {
    archive_reader_t *r = rdg_calloc(1, sizeof *r);
    if (!r) return rdg_fail(RDG_E_NO_MEMORY, "no memory to read archives");
    pthread_mutex_init(&r->lock, NULL);
    r->b = b;
    *out = r;
    return RDG_OK;
}

static void shut(archive_reader_t *r) {
    rdg_archive_close(r->archive);
    r->archive = NULL;
    r->number = 0;
    rdg_secure_zero(&r->key, sizeof r->key);
}

void archive_reader_free(archive_reader_t *r) {
    if (!r) return;
    shut(r);
    pthread_mutex_destroy(&r->lock);
    rdg_free(r);
}

/* --- the file ------------------------------------------------------------------------------------------ */

static rdg_err_t read_at(void *ctx, uint64_t offset, void *dst, size_t len) {
    archive_reader_t *r = ctx;
    char path[128];
    snprintf(path, sizeof path, "/files/%" PRId64 "/content?offset=%" PRIu64 "&size=%zu", r->file, offset,
             len);
    return remote_read(r->b, path, dst, len);
}

static rdg_err_t prove(archive_reader_t *r, const chain_t *c, const archive_row_t *row) {
    rdg_hash_t digest;
    char *text = c->genesis ? rdg_json_text(c->genesis) : NULL;
    if (!text) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the genesis of chain '%s'", c->name);
    rdg_err_t err = rdg_genesis_parse(rdg_bytes_str(text), &r->genesis);
    rdg_free(text);
    RDG_TRY(err);
    rdg_archive_digest(r->archive, &digest);
    if (!rdg_hash_equal(&digest, &row->claim.manifest))
        return rdg_fail(RDG_E_CORRUPT, "its manifest is not the one that was anchored");
    return rdg_archive_trust(r->archive, &r->genesis);
}

/* NOT_FOUND would say that there is no such block. */
static rdg_err_t take_key(archive_reader_t *r, const archive_row_t *row) {
    if (!row->key_id[0]) return RDG_OK;
    rdg_err_t err = archive_keys_load(r->b, row->name, row->key_id, &r->key);
    return err == RDG_E_NOT_FOUND ? rdg_fail(RDG_E_UNAVAILABLE, "%s", rdg_err_message(err)) : err;
}

static rdg_err_t open_archive(archive_reader_t *r, const chain_t *c, const archive_row_t *row) {
    if (r->number == row->number) return RDG_OK;
    shut(r);
    r->file = row->file;
    const rdg_archive_source_t source = {read_at, row->bytes, r};
    const rdg_archive_options_t options = {.keys = &r->key, .key_count = row->key_id[0] != '\0'};
    RDG_TRY(take_key(r, row));
    rdg_err_t err = rdg_archive_open(&source, &options, &r->archive);
    if (err == RDG_OK) err = prove(r, c, row);
    if (err == RDG_OK)
        r->number = row->number;
    else
        shut(r);
    return err;
}

/* --- which archive -------------------------------------------------------------------------------------- */

static rdg_err_t find(rdg_baas_t *b, const chain_t *c, uint64_t height, archive_row_t *out) {
    int64_t number = 0;
    RDG_TRY(rdg_sql_query(
        b->db,
        "SELECT number FROM archives WHERE chain = ? AND state = 'archived' AND file > 0"
        " AND first <= ? AND last >= ? ORDER BY number LIMIT 1",
        RDG_SQL_PARAMS(rdg_sql_int(c->number), rdg_sql_int((int64_t)height), rdg_sql_int((int64_t)height)),
        baas_int_row, &number));
    if (number == 0)
        return rdg_fail(RDG_E_ARCHIVED,
                        "block %" PRIu64
                        " of chain '%s' is on no node any more, and in no archive of this cloud",
                        height, c->name);
    return archives_load(b, number, out);
}

static json_t *source_json(const archive_row_t *row) {
    return json_pack("{s:I, s:I, s:I, s:o, s:I}", "number", (json_int_t)row->number, "from",
                     (json_int_t)row->claim.from, "to", (json_int_t)row->claim.to, "manifest",
                     rdg_json_hex(row->claim.manifest.b, sizeof row->claim.manifest.b), "anchor_height",
                     (json_int_t)row->anchored.height);
}

/* --- blocks ---------------------------------------------------------------------------------------------- */

static rdg_err_t block_json(const rdg_archive_block_t *block, const archived_want_t *want, json_t **out) {
    rdg_bloom_t bloom = {{0}};
    json_t *receipts = json_array();
    rdg_err_t err = rdg_eth_receipts_json(block->block, block->receipts, 0, block->block->header.tx_count,
                                          receipts, &bloom);
    if (err == RDG_OK)
        *out = want->receipts ? json_incref(receipts)
                              : rdg_eth_block_json(block->block, &block->block->header, &block->block->hash,
                                                   &block->executed, &bloom, want->full);
    json_decref(receipts);
    RDG_TRY(err);
    return *out ? RDG_OK : rdg_fail(RDG_E_NO_MEMORY, "no memory for a block");
}

static rdg_err_t tx_json(const rdg_archive_block_t *block, const uint8_t id[32], json_t **out) {
    const rdg_block_t *b = block->block;
    uint32_t i = 0;
    while (i < b->header.tx_count && memcmp(b->txs[i]->id.b, id, 32) != 0) ++i;
    if (i == b->header.tx_count)
        return rdg_fail(RDG_E_NOT_FOUND, "block %" PRIu64 " has no such transaction", b->header.height);
    json_t *receipts = json_array();
    rdg_err_t err = rdg_eth_receipts_json(b, block->receipts, i, 1, receipts, NULL);
    if (err == RDG_OK) {
        *out = json_pack("{s:o, s:O}", "tx", rdg_eth_tx_json(b->txs[i], &b->hash, b->header.height, i),
                         "receipt", json_array_get(receipts, 0));
        if (!*out) err = rdg_fail(RDG_E_NO_MEMORY, "no memory for a transaction");
    }
    json_decref(receipts);
    return err;
}

/* With the lock. */
static rdg_err_t read_block(archive_reader_t *r, const chain_t *c, const archive_row_t *row, uint64_t height,
                            const archived_want_t *want, json_t **out) {
    rdg_archive_block_t block;
    RDG_TRY(open_archive(r, c, row));
    RDG_TRY(rdg_archive_read(r->archive, height, &block));
    rdg_err_t err =
        block.proven ? RDG_OK : rdg_fail(RDG_E_CORRUPT, "block %" PRIu64 " is not proven", height);
    if (err == RDG_OK && want->tx) err = tx_json(&block, want->tx, out);
    if (err == RDG_OK && !want->tx) err = block_json(&block, want, out);
    rdg_archive_block_fini(&block);
    return err;
}

rdg_err_t archived_read(rdg_baas_t *b, const chain_t *c, uint64_t height, const archived_want_t *want,
                        json_t **out, json_t **source) {
    archive_reader_t *r = b->collector->reader;
    archive_row_t row;
    RDG_TRY(find(b, c, height, &row));
    pthread_mutex_lock(&r->lock);
    rdg_err_t err = read_block(r, c, &row, height, want, out);
    if (err != RDG_OK) shut(r); /* the connection, or what was read: from the beginning next time */
    pthread_mutex_unlock(&r->lock);
    if (err != RDG_OK) err = rdg_fail_in(err, "archive %" PRId64, row.number);
    if (err == RDG_OK && source) *source = source_json(&row);
    archive_row_fini(&row);
    return err;
}

bool archived_height(const json_t *node_error, uint64_t *height) {
    const json_t *data = json_object_get(node_error, "data");
    const char *code = json_string_value(json_object_get(data, "code"));
    return code && rdg_err_from_name(code) == RDG_E_ARCHIVED &&
           rdg_json_get_u64(data, "height", height) == RDG_OK;
}
