/* Reading the flat state; paths are hashed 64 at a time. */
#include <string.h>
#include "snapshot_internal.h"

static rdg_err_t open_kind(state_scan_t *s) {
    const uint8_t prefix = (uint8_t)bank_letter(s->slots ? KEY_STORAGE : KEY_ACCOUNT, s->view->bank);
    return rdg_kv_iter_open(s->view->kv, s->view->snap, rdg_bytes(&prefix, 1), rdg_bytes(NULL, 0), &s->it);
}

rdg_err_t scan_open(state_scan_t *s, const view_t *view) {
    s->view = view;
    s->slots = false;
    s->filled = s->at = 0;
    s->it = NULL;
    return open_kind(s);
}

void scan_close(state_scan_t *s) {
    if (s->it) rdg_kv_iter_close(s->it);
    s->it = NULL;
}

static rdg_err_t take(state_scan_t *s, rdg_bytes_t key, rdg_bytes_t value) {
    state_item_t *item = &s->batch[s->filled];
    size_t want = 1 + sizeof item->address.b + (s->slots ? sizeof item->slot.b : 0);
    if (key.len != want || value.len == 0 || value.len > RDG_PROOF_VALUE_MAX)
        return rdg_fail(RDG_E_CORRUPT,
                        "an entry of the state cannot be read: restore this node from its peers");
    item->is_slot = s->slots;
    memcpy(item->address.b, key.data + 1, sizeof item->address.b);
    if (s->slots) memcpy(item->slot.b, key.data + 1 + sizeof item->address.b, sizeof item->slot.b);
    memcpy(s->bytes[s->filled], value.data, value.len);
    item->value = rdg_bytes(s->bytes[s->filled], value.len);
    ++s->filled;
    return RDG_OK;
}

static void hash_batch(state_scan_t *s) {
    rdg_sm3_input_t inputs[64];
    rdg_hash_t paths[64];
    for (unsigned i = 0; i < s->filled; ++i) {
        const state_item_t *item = &s->batch[i];
        inputs[i].head = rdg_bytes(item->address.b, sizeof item->address.b);
        inputs[i].body = rdg_bytes(item->slot.b, item->is_slot ? sizeof item->slot.b : 0);
    }
    rdg_sm3_tagged_many(RDG_DOMAIN_STATE_KEY, inputs, s->filled, paths);
    for (unsigned i = 0; i < s->filled; ++i) s->batch[i].path = paths[i];
}

static rdg_err_t fill(state_scan_t *s) {
    s->filled = s->at = 0;
    while (s->it && s->filled < 64) {
        rdg_bytes_t key, value;
        if (rdg_kv_iter_next(s->it, &key, &value)) {
            RDG_TRY(take(s, key, value));
            continue;
        }
        RDG_TRY(rdg_kv_iter_err(s->it));
        scan_close(s);
        if (s->slots) break;
        s->slots = true;
        if (s->filled > 0) { /* a batch is of one kind */
            hash_batch(s);
            return open_kind(s);
        }
        RDG_TRY(open_kind(s));
    }
    hash_batch(s);
    return RDG_OK;
}

rdg_err_t scan_next(state_scan_t *s, const state_item_t **item) {
    if (s->at == s->filled) RDG_TRY(fill(s));
    *item = s->at < s->filled ? &s->batch[s->at++] : NULL;
    return RDG_OK;
}
