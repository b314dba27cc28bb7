#ifndef RIDGE_LEDGER_STATE_JOURNAL_H
#define RIDGE_LEDGER_STATE_JOURNAL_H
#include "state.h"

typedef enum undo_kind {
    UNDO_ACCOUNT,      /* target: account_t, saved: its former values */
    UNDO_SLOT,         /* target: slot_t, word: its former value */
    UNDO_TRANSIENT,    /* target: transient_t, word */
    UNDO_WARM_ACCOUNT, /* target: account_t */
    UNDO_WARM_SLOT,    /* target: slot_t */
    UNDO_LOG
} undo_kind_t;

struct undo {
    undo_kind_t kind;
    void *target;
    union {
        rdg_word_t word;
        account_values_t *saved; /* in the transaction's arena */
    } was;
};

#endif
