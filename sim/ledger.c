#include "ledger.h"
#include "ridge/base/assert.h"
#include <string.h>

static const rdg_hash_t zero;

uint32_t set_count(uint32_t members) {
    return (uint32_t)__builtin_popcount(members);
}

uint32_t set_index(uint32_t members, uint32_t validator) {
    bool is_member = validator < 32 && (members >> validator & 1);
    return is_member ? set_count(members & ((1u << validator) - 1)) : set_count(members);
}

uint32_t set_member(uint32_t members, uint32_t index) {
    for (uint32_t v = 0; v < 32; ++v)
        if ((members >> v & 1) && index-- == 0) return v;
    return UINT32_MAX;
}

void ledger_clear(ledger_t *l, uint32_t members) {
    for (uint64_t h = 1; h <= l->height; ++h) {
        blob_unref(l->blocks[h].proposal);
        blob_unref(l->blocks[h].seal);
    }
    for (size_t i = 0; i < l->record_count; ++i) {
        blob_unref(l->records[i].key);
        blob_unref(l->records[i].value);
    }
    l->height = l->epoch = l->last_height = 0;
    l->first_height = 1;
    l->members = l->next_members = members;
    l->record_count = 0;
    memset(l->tx_height, 0, sizeof l->tx_height);
}

/* --- blocks --------------------------------------------------------------------------------------------- */

void tx_write(uint16_t tx, uint8_t out[TX_BYTES]) {
    rdg_store_be32(out, tx);
    rdg_store_be32(out + 4, ~(uint32_t)tx * 2654435761u);
}

uint16_t tx_read(const uint8_t in[TX_BYTES]) {
    uint32_t tx = rdg_load_be32(in);
    return tx < 4096 && rdg_load_be32(in + 4) == ~tx * 2654435761u ? (uint16_t)tx : UINT16_MAX;
}

bool block_is_whole(const block_t *b, rdg_bytes_t proposal) {
    rdg_hash_t root;
    size_t len = proposal.len - BLOCK_HEAD;
    rdg_sm3(proposal.data + BLOCK_HEAD, len, &root);
    return len == (size_t)b->count * TX_BYTES && rdg_hash_equal(&root, &b->root);
}

uint16_t block_tx(rdg_bytes_t proposal, uint32_t i) {
    return tx_read(proposal.data + BLOCK_HEAD + (size_t)i * TX_BYTES);
}

bool block_read(rdg_bytes_t proposal, block_t *out) {
    rdg_reader_t r;
    rdg_reader_init(&r, proposal);
    out->height = rdg_read_u64(&r);
    rdg_read_copy(&r, out->parent.b, 32);
    out->time_ms = rdg_read_u64(&r);
    out->nonce = rdg_read_u64(&r);
    out->proposer = rdg_read_u32(&r);
    (void)rdg_read_u64(&r);
    out->count = rdg_read_u32(&r);
    rdg_read_copy(&r, out->root.b, 32);
    return rdg_reader_ok(&r) && out->height > 0 && out->height < SIM_HEIGHTS;
}

void block_make(const block_t *head, const uint16_t *txs, rdg_buf_t *out) {
    uint8_t item[TX_BYTES];
    rdg_hash_t root;
    rdg_buf_u64(out, head->height);
    rdg_buf_append(out, head->parent.b, 32);
    rdg_buf_u64(out, head->time_ms);
    rdg_buf_u64(out, head->nonce);
    rdg_buf_u32(out, head->proposer);
    rdg_buf_u64(out, 0);
    rdg_buf_u32(out, head->count);
    size_t root_at = out->len;
    rdg_buf_append(out, zero.b, 32);
    for (uint32_t i = 0; i < head->count; ++i) {
        tx_write(txs[i], item);
        rdg_buf_append(out, item, sizeof item);
    }
    RDG_ASSERT(rdg_buf_err(out) == RDG_OK);
    rdg_sm3(out->data + BLOCK_HEAD, out->len - BLOCK_HEAD, &root);
    memcpy(out->data + root_at, root.b, 32);
}

rdg_err_t block_digest(void *ctx, rdg_bytes_t proposal, rdg_hash_t *out) {
    (void)ctx;
    if (proposal.len < BLOCK_HEAD) return RDG_E_MALFORMED;
    rdg_sm3(proposal.data, BLOCK_HEAD, out);
    return RDG_OK;
}

static rdg_err_t judge_body(const ledger_t *l, const block_t *b, rdg_bytes_t proposal) {
    uint8_t seen[4096 / 8] = {0};
    if (!block_is_whole(b, proposal)) return RDG_E_MALFORMED;
    for (uint32_t i = 0; i < b->count; ++i) {
        uint16_t tx = block_tx(proposal, i);
        if (tx == UINT16_MAX) return RDG_E_BAD_SIGNATURE;
        if (l->tx_height[tx] != 0 || (seen[tx / 8] >> (tx % 8) & 1)) return RDG_E_DUPLICATE;
        seen[tx / 8] |= (uint8_t)(1u << (tx % 8));
    }
    return RDG_OK;
}

rdg_err_t ledger_judge(const ledger_t *l, rdg_bytes_t proposal, uint64_t now_ms) {
    block_t b;
    if (proposal.len < BLOCK_HEAD || !block_read(proposal, &b)) return RDG_E_MALFORMED;
    if (b.height <= l->height) return RDG_E_STALE;
    if (b.height > l->height + 1) return RDG_E_UNAVAILABLE;
    if (!rdg_hash_equal(&b.parent, ledger_hash(l))) return RDG_E_CONFLICT;
    if (l->height > 0 && b.time_ms <= l->blocks[l->height].time_ms) return RDG_E_INVALID;
    if (now_ms != 0 && b.time_ms > now_ms + CLOCK_SKEW_MS) return RDG_E_INVALID;
    return judge_body(l, &b, proposal);
}

const rdg_hash_t *ledger_hash(const ledger_t *l) {
    return l->height > 0 ? &l->blocks[l->height].digest : &zero;
}

static void change(ledger_t *l, uint16_t tx) {
    uint32_t what = tx - (uint32_t)TX_CHANGE, bit = 1u << (what % 32);
    uint32_t next = what >= 32 ? l->members | bit : l->members & ~bit;
    if (l->last_height != 0 || what >= 64 || next == l->members || next == 0) return;
    l->next_members = next;
    l->last_height = l->height + RDG_CONSENSUS_WINDOW;
}

void ledger_append(ledger_t *l, blob_t *proposal, blob_t *seal) {
    block_t b;
    RDG_ASSERT(block_read(blob_view(proposal), &b) && b.height == l->height + 1);
    stored_block_t *s = &l->blocks[b.height];
    *s = (stored_block_t){.proposal = blob_ref(proposal), .seal = blob_ref(seal), .time_ms = b.time_ms};
    (void)block_digest(NULL, blob_view(proposal), &s->digest);
    const rdg_hash_t *before = l->height > 0 ? &l->blocks[l->height].state : &zero;
    const rdg_bytes_t parts[] = {rdg_bytes(before->b, 32), rdg_bytes(s->digest.b, 32)};
    rdg_sm3_parts(parts, 2, &s->state);
    l->height = b.height;
    for (uint32_t i = 0; i < b.count; ++i) {
        uint16_t tx = block_tx(blob_view(proposal), i);
        if (tx != UINT16_MAX) l->tx_height[tx] = (uint16_t)b.height;
        if (tx != UINT16_MAX && tx >= TX_CHANGE) change(l, tx);
    }
    if (l->last_height != l->height) return;
    l->members = l->next_members;
    l->first_height = l->height + 1;
    l->last_height = 0;
    ++l->epoch;
}

void ledger_executed_digest(const ledger_t *l, uint64_t height, rdg_hash_t *out) {
    uint8_t head[8];
    rdg_store_be64(head, height);
    const rdg_bytes_t parts[] = {rdg_bytes(head, 8), rdg_bytes(l->blocks[height].state.b, 32)};
    rdg_sm3_tagged(RDG_DOMAIN_EXECUTED, parts, 2, out);
}

/* --- records ---------------------------------------------------------------------------------------------- */

void ledger_delete_record(ledger_t *l, rdg_bytes_t key) {
    for (size_t i = 0; i < l->record_count; ++i) {
        if (!rdg_bytes_equal(blob_view(l->records[i].key), key)) continue;
        blob_unref(l->records[i].key);
        blob_unref(l->records[i].value);
        l->records[i] = l->records[--l->record_count];
        return;
    }
}

void ledger_put_record(ledger_t *l, rdg_bytes_t key, rdg_bytes_t value) {
    ledger_delete_record(l, key);
    RDG_ASSERT(l->record_count < RECORDS_MAX);
    l->records[l->record_count++] = (record_t){blob_new(key), blob_new(value)};
}

bool ledger_has_record(const ledger_t *l, rdg_bytes_t value) {
    for (size_t i = l->record_count; i-- > 0;)
        if (rdg_bytes_equal(blob_view(l->records[i].value), value)) return true;
    return false;
}
