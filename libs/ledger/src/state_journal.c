/* Every change of the running transaction, with what undoes it. */
#include "state_journal.h"
#include <string.h>
#include "ridge/base/alloc.h"
#include "ridge/base/assert.h"
#include "word.h"

static undo_t *journal_add(state_t *s, undo_kind_t kind, void *target) {
    if (s->journal_count == s->journal_room) {
        size_t room = s->journal_room ? s->journal_room * 2 : 256;
        undo_t *grown = rdg_realloc_array(s->journal, room, sizeof *grown);
        if (!grown) return NULL;
        s->journal = grown;
        s->journal_room = room;
    }
    undo_t *u = &s->journal[s->journal_count++];
    u->kind = kind;
    u->target = target;
    return u;
}

rdg_err_t state_touch_account(state_t *s, account_t *a) {
    account_values_t *saved = rdg_arena_copy(&s->tx_arena, &a->now, sizeof a->now);
    undo_t *u = saved ? journal_add(s, UNDO_ACCOUNT, a) : NULL;
    if (!u) return RDG_E_NO_MEMORY;
    u->was.saved = saved;
    return RDG_OK;
}

rdg_err_t state_set_slot(state_t *s, slot_t *slot, const rdg_word_t *value) {
    undo_t *u = journal_add(s, UNDO_SLOT, slot);
    if (!u) return RDG_E_NO_MEMORY;
    u->was.word = slot->value;
    slot->value = *value;
    return RDG_OK;
}

static uint64_t transient_hash(const rdg_address_t *a, const rdg_word_t *key) {
    return table_hash(a->b, sizeof a->b) ^ table_hash(key->b, sizeof key->b);
}

static transient_t *find_transient(const state_t *s, const rdg_address_t *a, const rdg_word_t *key,
                                   uint64_t hash) {
    size_t pos = hash;
    for (transient_t *t; (t = table_probe(&s->transients, hash, &pos));)
        if (!memcmp(t->key.b, key->b, sizeof key->b) && rdg_address_equal(&t->address, a)) return t;
    return NULL;
}

rdg_err_t state_transient(state_t *s, const rdg_address_t *a, const rdg_word_t *key, rdg_word_t *out) {
    const transient_t *t = find_transient(s, a, key, transient_hash(a, key));
    *out = t ? t->value : (rdg_word_t){{0}};
    return RDG_OK;
}

rdg_err_t state_set_transient(state_t *s, const rdg_address_t *a, const rdg_word_t *key,
                              const rdg_word_t *value) {
    uint64_t hash = transient_hash(a, key);
    transient_t *t = find_transient(s, a, key, hash);
    if (!t) {
        t = rdg_arena_calloc(&s->tx_arena, 1, sizeof *t);
        if (!t || !table_reserve(&s->transients)) return RDG_E_NO_MEMORY;
        t->address = *a;
        t->key = *key;
        table_insert(&s->transients, hash, t);
    }
    undo_t *u = journal_add(s, UNDO_TRANSIENT, t);
    if (!u) return RDG_E_NO_MEMORY;
    u->was.word = t->value;
    t->value = *value;
    return RDG_OK;
}

rdg_err_t state_warm_account(state_t *s, account_t *a) {
    if (a->warm_tx == s->tx) return RDG_OK;
    if (!journal_add(s, UNDO_WARM_ACCOUNT, a)) return RDG_E_NO_MEMORY;
    a->warm_tx = s->tx;
    return RDG_OK;
}

rdg_err_t state_warm_slot(state_t *s, slot_t *slot) {
    if (slot->warm_tx == s->tx) return RDG_OK;
    if (!journal_add(s, UNDO_WARM_SLOT, slot)) return RDG_E_NO_MEMORY;
    slot->warm_tx = s->tx;
    return RDG_OK;
}

rdg_err_t state_log(state_t *s, const rdg_evm_log_t *log) {
    if (s->log_count == s->log_room) {
        size_t room = s->log_room ? s->log_room * 2 : 64;
        rdg_log_entry_t *grown = rdg_realloc_array(s->logs, room, sizeof *grown);
        if (!grown) return RDG_E_NO_MEMORY;
        s->logs = grown;
        s->log_room = room;
    }
    const void *data = log->data.len ? rdg_arena_copy(&s->tx_arena, log->data.data, log->data.len) : NULL;
    if ((log->data.len && !data) || !journal_add(s, UNDO_LOG, NULL)) return RDG_E_NO_MEMORY;
    rdg_log_entry_t *entry = &s->logs[s->log_count++];
    *entry = (rdg_log_entry_t){.address = log->address, .topic_count = log->topic_count};
    memcpy(entry->topics, log->topics, sizeof entry->topics);
    entry->data = rdg_bytes(data, log->data.len);
    return RDG_OK;
}

rdg_err_t state_mark_destroyed(state_t *s, account_t *a) {
    if (s->destroyed_count == s->destroyed_room) {
        size_t room = s->destroyed_room ? s->destroyed_room * 2 : 16;
        account_t **grown = rdg_realloc_array(s->destroyed, room, sizeof(account_t *));
        if (!grown) return RDG_E_NO_MEMORY;
        s->destroyed = grown;
        s->destroyed_room = room;
    }
    RDG_TRY(state_touch_account(s, a));
    a->now.destroyed_tx = s->tx;
    s->destroyed[s->destroyed_count++] = a;
    return RDG_OK;
}

rdg_err_t state_transfer(state_t *s, const rdg_address_t *from, const rdg_address_t *to,
                         const rdg_word_t *value, bool *enough) {
    account_t *payer, *payee;
    rdg_word_t rest, sum;
    *enough = true;
    if (word_is_zero(value)) return RDG_OK;
    RDG_TRY(state_account(s, from, &payer));
    RDG_TRY(state_account(s, to, &payee));
    *enough = word_sub(&rest, &payer->now.balance, value);
    if (!*enough || payer == payee) return RDG_OK;
    if (!word_add(&sum, &payee->now.balance, value)) {
        *enough = false;
        return RDG_OK;
    }
    RDG_TRY(state_touch_account(s, payer));
    RDG_TRY(state_touch_account(s, payee));
    payer->now.balance = rest;
    payee->now.balance = sum;
    return RDG_OK;
}

size_t state_snapshot(const state_t *s) {
    return s->journal_count;
}

void state_revert(state_t *s, size_t snapshot) {
    RDG_ASSERT(snapshot <= s->journal_count);
    while (s->journal_count > snapshot) {
        undo_t *u = &s->journal[--s->journal_count];
        switch (u->kind) {
        case UNDO_ACCOUNT: ((account_t *)u->target)->now = *u->was.saved; break;
        case UNDO_SLOT: ((slot_t *)u->target)->value = u->was.word; break;
        case UNDO_TRANSIENT: ((transient_t *)u->target)->value = u->was.word; break;
        case UNDO_WARM_ACCOUNT: ((account_t *)u->target)->warm_tx = 0; break;
        case UNDO_WARM_SLOT: ((slot_t *)u->target)->warm_tx = 0; break;
        case UNDO_LOG: s->log_count--; break;
        }
    }
}
