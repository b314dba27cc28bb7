/* The ledger's keys in the store: one letter, then fixed-width fields, so that prefixes never overlap.
 *
 * The state (accounts, storage, tree) has two banks: the second one has the small letters. One holds the state of the
 * head; into the other one a snapshot is imported, and one mark, Mbank, written with the new head, makes it the
 * state. */
#ifndef RIDGE_LEDGER_KEYS_H
#define RIDGE_LEDGER_KEYS_H
#include "ridge/evm/evm.h"

enum {
    KEY_ACCOUNT = 'A',     /* address: RLP account */
    KEY_BLOCK = 'B',       /* height: block record, see index.c */
    KEY_CONSENSUS = 'C',   /* the consensus core's own */
    KEY_EPOCH = 'E',       /* number: epoch, see governance.h */
    KEY_HASH = 'H',        /* block hash: height */
    KEY_LOGS = 'G',        /* height: what the block's logs can be found by, see log_index.h */
    KEY_LOG_SECTION = 'F', /* height, item: the same of many blocks */
    KEY_IDS = 'I',         /* height: what proves the ids of a block without body, see snapshot_guard.c */
    KEY_IMPORT = 'J',      /* a snapshot's import that is under way, see snapshot_import.c */
    KEY_CODE = 'K',        /* Keccak-256 of the code: code */
    KEY_BLOOM = 'L',       /* height: log bloom; absent when the block has no log */
    KEY_ARCHIVE = 'R',     /* last height of an archive: its receipt, see archive_prune.c */
    KEY_META = 'M',        /* name: see store.c */
    KEY_TREE = 'N',        /* depth, path prefix: page of the state tree */
    KEY_CHECKPOINT = 'P',  /* height: checkpoint certificate */
    KEY_SEAL = 'Q',        /* height: commit certificate */
    KEY_STORAGE = 'S',     /* address, slot: value without leading zeros */
    KEY_TX = 'T'           /* first half of a transaction id: height, index */
};

typedef struct ledger_key {
    uint8_t b[64];
    size_t len;
} ledger_key_t;

static inline rdg_bytes_t key_view(const ledger_key_t *k) {
    return rdg_bytes(k->b, k->len);
}

/* Letter followed by len bytes. */
static inline ledger_key_t key_of(char letter, const void *data, size_t len) {
    ledger_key_t k = {{(uint8_t)letter}, 1 + len};
    for (size_t i = 0; i < len && i < sizeof k.b - 1; ++i) k.b[1 + i] = ((const uint8_t *)data)[i];
    return k;
}

static inline ledger_key_t key_of_height(char letter, uint64_t height) {
    uint8_t be[8];
    rdg_store_be64(be, height);
    return key_of(letter, be, sizeof be);
}

/* For the letters of the state. */
static inline char bank_letter(char letter, unsigned bank) {
    return (char)(letter + (bank ? 'a' - 'A' : 0));
}

static inline ledger_key_t key_of_account(unsigned bank, const rdg_address_t *a) {
    return key_of(bank_letter(KEY_ACCOUNT, bank), a->b, sizeof a->b);
}

static inline ledger_key_t key_of_slot(unsigned bank, const rdg_address_t *a, const rdg_word_t *slot) {
    ledger_key_t k = key_of(bank_letter(KEY_STORAGE, bank), a->b, sizeof a->b);
    for (size_t i = 0; i < sizeof slot->b; ++i) k.b[k.len++] = slot->b[i];
    return k;
}

#endif
