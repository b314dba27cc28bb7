#include "ridge/ledger/scrub.h"
#include <inttypes.h>
#include <string.h>
#include "ledger_internal.h"
#include "ridge/base/alloc.h"

#define RECORD_MAX (RDG_RECEIPTS_BYTES_MAX + 2 * RDG_BLOCK_BYTES_MAX)

struct rdg_scrub {
    rdg_ledger_t *l;
    uint64_t height; /* the next block; 0: a pass begins */
    rdg_hash_t parent;
    bool knows_parent, in_keys;
    uint8_t key[RDG_KV_KEY_MAX]; /* the last that was read */
    size_t key_len;
    rdg_buf_t record;
};

rdg_err_t rdg_scrub_new(rdg_ledger_t *l, rdg_scrub_t **out) {
    rdg_scrub_t *s = rdg_calloc(1, sizeof *s);
    if (!s) return rdg_fail(RDG_E_NO_MEMORY, "no memory to check the ledger");
    s->l = l;
    rdg_buf_init(&s->record, RECORD_MAX);
    *out = s;
    return RDG_OK;
}

void rdg_scrub_free(rdg_scrub_t *s) {
    if (!s) return;
    rdg_buf_fini(&s->record);
    rdg_free(s);
}

static rdg_err_t scrub_header(rdg_scrub_t *s, const block_entry_t *e) {
    rdg_hash_t hash;
    uint64_t height = e->header.height;
    RDG_TRY(rdg_header_hash(&e->header, &hash));
    if (height != s->height || !rdg_hash_equal(&hash, &e->hash))
        return rdg_fail(RDG_E_CORRUPT, "the stored header of block %" PRIu64 " does not have its hash",
                        s->height);
    if (s->knows_parent && !rdg_hash_equal(&e->header.parent, &s->parent))
        return rdg_fail(RDG_E_CORRUPT,
                        "the stored header of block %" PRIu64 " does not follow the one before it", height);
    s->parent = e->hash;
    s->knows_parent = true;
    return RDG_OK;
}

static rdg_err_t scrub_body(const block_entry_t *e, const block_parts_t *parts) {
    rdg_header_t header;
    rdg_hash_t hash;
    rdg_err_t err = rdg_proposal_header(parts->proposal, &header);
    if (err == RDG_OK) err = rdg_header_hash(&header, &hash);
    if (err == RDG_OK && rdg_hash_equal(&hash, &e->hash)) return RDG_OK;
    return rdg_fail(RDG_E_CORRUPT, "the stored body of block %" PRIu64 " is another block's",
                    e->header.height);
}

/* A body that is not here by right is no damage. */
static rdg_err_t scrub_block(rdg_scrub_t *s) {
    block_entry_t e;
    block_parts_t parts;
    rdg_buf_clear(&s->record);
    rdg_err_t err = ledger_parts(s->l, s->height, &e, &s->record, &parts);
    bool absent = err == RDG_E_UNAVAILABLE || err == RDG_E_ARCHIVED;
    if (err != RDG_OK && !absent) return err;
    RDG_TRY(scrub_header(s, &e));
    return absent ? RDG_OK : scrub_body(&e, &parts);
}

static rdg_err_t read_blocks(rdg_scrub_t *s, size_t *left) {
    rdg_ledger_head_t head;
    rdg_ledger_head(s->l, &head);
    while (*left > 0 && s->height <= head.height) {
        RDG_TRY(scrub_block(s));
        size_t cost = s->record.len + 1024;
        *left = *left > cost ? *left - cost : 0;
        ++s->height;
    }
    s->in_keys = s->height > head.height;
    return RDG_OK;
}

static rdg_err_t read_keys(rdg_scrub_t *s, size_t *left, bool *passed) {
    rdg_kv_iter_t *it = NULL;
    rdg_bytes_t key, value;
    RDG_TRY(rdg_kv_iter_open(s->l->kv, NULL, rdg_bytes(NULL, 0), rdg_bytes(s->key, s->key_len), &it));
    while (*left > 0 && rdg_kv_iter_next(it, &key, &value)) {
        size_t cost = key.len + value.len + 16;
        *left = *left > cost ? *left - cost : 0;
        if (key.len <= sizeof s->key) {
            memcpy(s->key, key.data, key.len);
            s->key_len = key.len;
        }
    }
    *passed = *left > 0;
    rdg_err_t err = rdg_kv_iter_err(it);
    rdg_kv_iter_close(it);
    return err;
}

static rdg_err_t begin(rdg_scrub_t *s) {
    s->height = 1;
    s->knows_parent = s->in_keys = false;
    s->key_len = 0;
    return rdg_kv_check_files(s->l->kv);
}

rdg_err_t rdg_scrub_step(rdg_scrub_t *s, size_t bytes, bool *passed) {
    *passed = false;
    if (s->height == 0) RDG_TRY(begin(s));
    rdg_err_t err = s->in_keys ? RDG_OK : read_blocks(s, &bytes);
    rdg_buf_fini(&s->record); /* one large block must not stay in memory for ever */
    rdg_buf_init(&s->record, RECORD_MAX);
    if (err != RDG_OK || !s->in_keys || bytes == 0) return err;
    RDG_TRY(read_keys(s, &bytes, passed));
    if (*passed) s->height = 0;
    return RDG_OK;
}
