#ifndef RIDGE_LEDGER_INTERNAL_H
#define RIDGE_LEDGER_INTERNAL_H
#include <pthread.h>
#include <stdatomic.h>
#include "block_build.h"
#include "blockfile.h"
#include "executor.h"
#include "keys.h"
#include "log_index.h"
#include "parallel.h"
#include "ridge/base/ref.h"
#include "ridge/consensus/consensus.h"
#include "tree.h"

enum { RECENT_BLOCKS = 4, IDLE_MACHINES = 2, LEDGER_PATH_MAX = 900 };

/* Governance after a block; immutable. */
typedef struct rules {
    rdg_ref_t ref;
    governance_t g;
    rdg_hash_t
        epoch_digest; /* of the latest epoch in the state: an act may have put another into g (succession.h) */
} rules_t;

/* What readers see: one height, whole. Immutable; the last reference releases the snapshot. */
typedef struct view {
    rdg_ref_t ref;
    rdg_kv_t *kv;
    rdg_kv_snapshot_t *snap;
    unsigned bank; /* of the state, keys.h */
    rdg_ledger_head_t head;
    rdg_header_t header; /* of the head */
    rules_t *rules;
} view_t;

/* A block's entry in the store. */
typedef struct block_entry {
    rdg_header_t header;
    rdg_hash_t hash;
    rdg_executed_t executed;
    block_place_t place;
    uint64_t tx_total; /* transactions up to and with this block */
} block_entry_t;

struct rdg_ledger {
    char dir[LEDGER_PATH_MAX];
    rdg_genesis_t genesis;
    rdg_kv_t *kv;

    unsigned bank;              /* where the state is, keys.h */
    uint64_t base, tail, last;  /* see store.c */
    _Atomic uint64_t pruned;    /* bodies up to here are deleted, archive_prune.c */
    pthread_mutex_t write_lock; /* validate, apply, checkpoint, prove, import */
    tree_t *tree;
    blockfile_t *files;
    log_open_t logs;
    rdg_evm_t *evm;
    parallel_t *parallel;
    rdg_err_t failed; /* of an apply: nothing is applied any more */

    pthread_mutex_t view_lock;
    view_t *view;
    view_t *past[RDG_LEDGER_STATES_KEPT - 1]; /* of the blocks before, at height modulo its length */
    rdg_block_t *recent[RECENT_BLOCKS];       /* proposed, validated or applied; the latest first */
    rdg_block_t
        *pending[RDG_CONSENSUS_WINDOW]; /* proposed here, above the head, at height modulo its length */
    rdg_evm_t *machines[IDLE_MACHINES]; /* idle ones of calls */
};

/* calls.c: idle machines. NULL: no memory */
rdg_evm_t *machine_get(rdg_ledger_t *l);
void machine_put(rdg_ledger_t *l, rdg_evm_t *vm);

/* store.c */
rdg_err_t entry_encode(const block_entry_t *e, rdg_buf_t *out);
rdg_err_t entry_load(rdg_kv_t *kv, const rdg_kv_snapshot_t *snap, uint64_t height, block_entry_t *out);
rdg_err_t put_entry(rdg_kv_batch_t *batch,
                    const block_entry_t *e); /* with its hash index and the head mark */
rdg_err_t put_entry_of(rdg_kv_batch_t *batch, const block_entry_t *e); /* the same without the mark */
/* Of a block that came as a header, it is only with a checkpoint certificate. */
static inline bool executed_is_known(const block_entry_t *e) {
    return e->header.height == 0 || e->executed.height == e->header.height;
}
void put_tx_index(rdg_kv_batch_t *batch, const rdg_hash_t *id, uint64_t height, uint32_t index);
rdg_err_t load_u64(rdg_kv_t *kv, const char *name, uint64_t *out); /* NOT_FOUND */
void put_u64(rdg_kv_batch_t *batch, const char *name, uint64_t value);
/* What lies above head is of a sync that has not come to its end: NOT_FOUND. */
rdg_err_t find_tx(rdg_kv_t *kv, const rdg_kv_snapshot_t *snap, uint64_t head, const rdg_hash_t *id,
                  rdg_tx_location_t *out);
/* Whether a transaction of that block could still be taken into one of height. */
static inline bool in_replay_window(uint64_t of, uint64_t height) {
    return height <= of || height - of <= RDG_TX_VALID_MAX;
}
extern const char META_HEAD[], META_CHECKPOINT[], META_VERSION[], META_BANK[], META_BASE[], META_TAIL[],
    META_LAST[];

/* view.c. Holders of write_lock read l->view directly: only they replace it. */
view_t *view_get(rdg_ledger_t *l); /* returns a reference */
void view_put(view_t *v);
/* Of the head or a block whose state is kept; a reference. UNSUPPORTED. */
rdg_err_t view_at(rdg_ledger_t *l, uint64_t height, view_t **out);
void views_close(rdg_ledger_t *l);
/* Made before the block is durable, published after: then only want of memory for a snapshot can fail. *out
 * is to be put by the caller in every case. */
rdg_err_t view_new(rdg_ledger_t *l, const block_entry_t *e, uint64_t checkpoint_height, rules_t *rules,
                   view_t **out);
rdg_err_t view_publish(rdg_ledger_t *l, view_t *v);
rdg_err_t view_replace(rdg_ledger_t *l, const block_entry_t *e, uint64_t checkpoint_height, rules_t *rules);
rdg_block_t *recent_find(rdg_ledger_t *l, const rdg_hash_t *hash,
                         rdg_bytes_t proposal);    /* a reference or NULL */
void recent_add(rdg_ledger_t *l, rdg_block_t *b);  /* takes a reference of its own */
void pending_add(rdg_ledger_t *l, rdg_block_t *b); /* the same */
/* Of the head or a block proposed here that stands on it: references to the head's view and to the blocks between, from
 * the head up. NULL: no such block. */
view_t *pending_chain(rdg_ledger_t *l, const rdg_hash_t *top, rdg_block_t *chain[RDG_CONSENSUS_WINDOW],
                      size_t *count);

/* reads.c: a block as it is stored; parts are views into buf */
rdg_err_t ledger_parts(rdg_ledger_t *l, uint64_t height, block_entry_t *e, rdg_buf_t *buf,
                       block_parts_t *parts);

/* archive_prune.c */
extern const char META_PRUNED[], META_FREED[];
/* Deletes what lies below the mark, and counts what that frees. With write_lock, or while opening. */
rdg_err_t prune_sweep(rdg_ledger_t *l, uint64_t head, uint64_t *freed, uint64_t *files);
rdg_err_t archived_error(rdg_ledger_t *l, uint64_t height); /* ARCHIVED, which names the archive */

/* epochs.c */
/* Behind block `height`, whose state s is. Returns a reference. */
rdg_err_t rules_load(rdg_ledger_t *l, state_t *s, uint64_t height, rules_t **out);
void rules_put(rules_t *r); /* NULL is fine */
rdg_err_t put_epoch(rdg_kv_batch_t *batch, const rdg_epoch_t *e);
/* The epoch of any height, also of one that is scheduled; rules: of the head. */
rdg_err_t epoch_numbered(rdg_ledger_t *l, uint64_t number, rdg_epoch_t *out); /* NOT_FOUND */
/* The first executed header up to `to` that names the epoch before it begins, with the certificate of the validators
 * before; of an epoch that began by an act, the header of their last block. UNAVAILABLE: there is none yet. */
rdg_err_t epoch_link(rdg_ledger_t *l, const rdg_epoch_t *e, uint64_t to, rdg_executed_t *executed,
                     rdg_buf_t *checkpoint);
rdg_err_t epoch_at(rdg_ledger_t *l, const rules_t *rules, uint64_t height, rdg_epoch_t *out);

/* check.c, with write_lock held */
rdg_err_t check_header(const rdg_ledger_t *l, const rdg_header_t *h);
rdg_err_t check_transactions(rdg_ledger_t *l, const rdg_block_t *b);
rdg_err_t check_signatures(rdg_ledger_t *l, const rdg_block_t *b, rdg_pool_t *pool);
rdg_err_t obtain_block(rdg_ledger_t *l, rdg_bytes_t proposal, rdg_block_t **out); /* returns a reference */

/* For state_host_t: ctx is a hash_source_t. */
typedef struct hash_source {
    rdg_kv_t *kv;
    const rdg_kv_snapshot_t *snap;
    uint64_t height; /* of the running block */
} hash_source_t;
rdg_err_t ledger_block_hash(void *ctx, uint64_t height, rdg_word_t *out);

#endif
