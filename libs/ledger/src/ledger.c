#include "ridge/ledger/ledger.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "ledger_internal.h"
#include "registry.h"
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/codec/hex.h"
#include "succession.h"
#include "word.h"

/* 2: governance in the state, epochs; 3: roots that prove ids and epochs; 4: an index of logs */
enum { LAYOUT_VERSION = 4, LAYOUT_WITHOUT_LOG_INDEX = 3 };

static rdg_err_t fill_genesis_state(rdg_ledger_t *l, rdg_kv_batch_t *batch, block_entry_t *e) {
    state_t state;
    state_init(&state, l->kv, NULL, l->bank);
    state_begin_tx(&state);
    rdg_err_t err = RDG_OK;
    for (uint32_t i = 0; err == RDG_OK && i < l->genesis.alloc_count; ++i) {
        account_t *account;
        err = state_account(&state, &l->genesis.alloc[i].address, &account);
        if (err == RDG_OK) account->now.balance = l->genesis.alloc[i].balance;
    }
    if (err == RDG_OK) err = governance_create(&state, &l->genesis);
    if (err == RDG_OK) err = registry_create(&state);
    if (err == RDG_OK) err = state_commit(&state, l->tree, batch);
    state_fini(&state);
    tree_root(l->tree, &e->executed.state_root);
    return err;
}

static rdg_err_t put_first_epoch(rdg_ledger_t *l, rdg_kv_batch_t *batch, rdg_hash_t *digest) {
    governance_t *g = rdg_alloc(sizeof *g);
    if (!g) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the chain's governance");
    governance_from_genesis(&l->genesis, g);
    rdg_err_t err = put_epoch(batch, &g->latest);
    if (err == RDG_OK) err = rdg_epoch_digest(&g->latest, digest);
    rdg_free(g);
    return err;
}

/* Height 0 has an entry like any block, but its hash is the genesis hash and it has no body. */
static rdg_err_t write_genesis(rdg_ledger_t *l) {
    const rdg_genesis_t *g = &l->genesis;
    block_entry_t e = {.header = {.chain_id = g->validators.chain_id,
                                  .epoch = g->validators.epoch,
                                  .time_ms = g->time_ms,
                                  .gas_limit = g->params.block_gas_limit},
                       .hash = g->hash,
                       .executed = {.chain_id = g->validators.chain_id, .block_hash = g->hash}};
    rdg_kv_batch_t *batch = rdg_kv_batch_new();
    if (!batch) return RDG_E_NO_MEMORY;
    rdg_err_t err = fill_genesis_state(l, batch, &e);
    if (err == RDG_OK) err = put_first_epoch(l, batch, &e.executed.epoch_digest);
    if (err == RDG_OK) {
        put_u64(batch, META_VERSION, LAYOUT_VERSION);
        log_index_begin(batch, 1);
        err = put_entry(batch, &e);
    }
    if (err == RDG_OK) err = rdg_kv_write(l->kv, batch, true);
    rdg_kv_batch_free(batch);
    return err;
}

static rdg_err_t save_genesis_file(rdg_ledger_t *l) {
    char path[LEDGER_PATH_MAX];
    rdg_buf_t json;
    RDG_TRY(rdg_path_join(path, sizeof path, l->dir, "genesis.json"));
    rdg_buf_init(&json, RDG_GENESIS_BYTES_MAX);
    rdg_err_t err = rdg_genesis_format(&l->genesis, &json);
    if (err == RDG_OK) err = rdg_file_replace(path, rdg_buf_view(&json), 0600);
    rdg_buf_fini(&json);
    return err;
}

/* Such a ledger is continued: its older blocks are found by their blooms, as they always were. From now on
 * programs of that time must keep off, because they would leave gaps in the index. */
static rdg_err_t begin_log_index(rdg_ledger_t *l, uint64_t head) {
    rdg_kv_batch_t *batch = rdg_kv_batch_new();
    if (!batch) return RDG_E_NO_MEMORY;
    log_index_begin(batch, head + 1);
    put_u64(batch, META_VERSION, LAYOUT_VERSION);
    rdg_err_t err = rdg_kv_write(l->kv, batch, true);
    rdg_kv_batch_free(batch);
    return err;
}

static rdg_err_t check_chain(rdg_ledger_t *l, uint64_t head) {
    block_entry_t genesis;
    uint64_t version = 0;
    RDG_TRY(load_u64(l->kv, META_VERSION, &version));
    if (version != LAYOUT_VERSION && version != LAYOUT_WITHOUT_LOG_INDEX)
        return rdg_fail(RDG_E_UNSUPPORTED, "the ledger has layout %llu, this program knows %d: %s",
                        (unsigned long long)version, LAYOUT_VERSION,
                        version > LAYOUT_VERSION ? "use the newer program" : "create the chain anew");
    RDG_TRY(entry_load(l->kv, NULL, 0, &genesis));
    if (rdg_hash_equal(&genesis.hash, &l->genesis.hash)) {
        RDG_TRY(succession_check_ledger(l, head));
        return version == LAYOUT_VERSION ? RDG_OK : begin_log_index(l, head);
    }
    char there[65], given[65];
    rdg_hex_encode(genesis.hash.b, sizeof genesis.hash.b, there);
    rdg_hex_encode(l->genesis.hash.b, sizeof l->genesis.hash.b, given);
    return rdg_fail(RDG_E_CONFLICT,
                    "the directory holds the chain with genesis %s, not %s: use another directory or "
                    "that chain's genesis file",
                    there, given);
}

static rdg_err_t open_store(rdg_ledger_t *l, const rdg_ledger_options_t *options) {
    char path[LEDGER_PATH_MAX];
    if (options->store) return RDG_OK;
    if (options->memory_store) return rdg_kv_open_memory(&l->kv);
    RDG_TRY(rdg_path_join(path, sizeof path, l->dir, "db"));
    return rdg_kv_open_rocksdb(path, &(rdg_kv_options_t){options->memory_bytes, true}, &l->kv);
}

/* A mark that may be absent. */
static rdg_err_t load_mark(rdg_ledger_t *l, const char *name, uint64_t *out) {
    *out = 0;
    rdg_err_t err = load_u64(l->kv, name, out);
    return err == RDG_E_NOT_FOUND ? RDG_OK : err;
}

/* Files end with the last block that has a body: on a snapshot, that is what this node had before it. */
static rdg_err_t open_files(rdg_ledger_t *l, const block_entry_t *head) {
    char path[LEDGER_PATH_MAX];
    block_entry_t last = *head;
    RDG_TRY(load_mark(l, META_BASE, &l->base));
    RDG_TRY(load_mark(l, META_TAIL, &l->tail));
    RDG_TRY(load_mark(l, META_LAST, &l->last));
    if (l->base > 0 && head->header.height == l->base) RDG_TRY(entry_load(l->kv, NULL, l->last, &last));
    RDG_TRY(rdg_path_join(path, sizeof path, l->dir, "blocks"));
    RDG_TRY(blockfile_open(path, &last.place, last.header.height, &l->files));
    uint64_t pruned = 0, freed = 0, files = 0;
    RDG_TRY(load_mark(l, META_PRUNED, &pruned));
    atomic_store(&l->pruned, pruned);
    return pruned == 0 ? RDG_OK : prune_sweep(l, head->header.height, &freed, &files);
}

static rdg_err_t open_rules(rdg_ledger_t *l, const block_entry_t *head, uint64_t checkpoint) {
    state_t state;
    rules_t *rules = NULL;
    state_init(&state, l->kv, NULL, l->bank);
    state_begin_tx(&state);
    rdg_err_t err = rules_load(l, &state, head->header.height, &rules);
    state_fini(&state);
    if (err == RDG_OK) err = view_replace(l, head, checkpoint, rules);
    rules_put(rules);
    return err;
}

static rdg_err_t open_head(rdg_ledger_t *l, uint64_t height) {
    block_entry_t head;
    rdg_hash_t root;
    uint64_t checkpoint;
    RDG_TRY(entry_load(l->kv, NULL, height, &head));
    tree_root(l->tree, &root);
    if (!rdg_hash_equal(&root, &head.executed.state_root))
        return rdg_fail(RDG_E_CORRUPT,
                        "the state tree does not have the root of block %llu: restore this node from "
                        "its peers",
                        (unsigned long long)height);
    RDG_TRY(load_mark(l, META_CHECKPOINT, &checkpoint));
    RDG_TRY(open_files(l, &head));
    return open_rules(l, &head, checkpoint);
}

static unsigned threads_of(const rdg_ledger_options_t *options) {
    enum { DEFAULT_MAX = 4 };
    if (options && options->execution_threads) return options->execution_threads;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return cores < 1 ? 1 : cores < DEFAULT_MAX ? (unsigned)cores : DEFAULT_MAX;
}

static rdg_err_t open_all(rdg_ledger_t *l, const rdg_ledger_options_t *options) {
    uint64_t height = 0, bank;
    RDG_TRY(rdg_dir_make(l->dir, 0700));
    RDG_TRY(open_store(l, options));
    RDG_TRY(load_mark(l, META_BANK, &bank));
    l->bank = bank != 0;
    RDG_TRY(tree_open(l->kv, l->bank, &l->tree));
    if (!(l->evm = rdg_evm_new()) || !(l->parallel = parallel_new(threads_of(options))))
        return RDG_E_NO_MEMORY;
    rdg_err_t err = load_u64(l->kv, META_HEAD, &height);
    if (err == RDG_E_NOT_FOUND) {
        RDG_TRY(save_genesis_file(l));
        err = write_genesis(l);
    } else if (err == RDG_OK) {
        err = check_chain(l, height);
    }
    RDG_TRY(err);
    RDG_TRY(log_index_load(l->kv, options ? options->log_section_items : 0, &l->logs));
    return open_head(l, height);
}

rdg_err_t rdg_ledger_open(const char *dir, const rdg_genesis_t *genesis, const rdg_ledger_options_t *options,
                          rdg_ledger_t **out) {
    static const rdg_ledger_options_t defaults;
    *out = NULL;
    if (!options) options = &defaults;
    rdg_ledger_t *l = rdg_calloc(1, sizeof *l);
    if (!l) {
        rdg_kv_close(options->store);
        return RDG_E_NO_MEMORY;
    }
    pthread_mutex_init(&l->write_lock, NULL);
    pthread_mutex_init(&l->view_lock, NULL);
    l->kv = options->store;
    l->genesis = *genesis;
    rdg_err_t err = RDG_OK;
    if ((size_t)snprintf(l->dir, sizeof l->dir, "%s", dir) >= sizeof l->dir - 64)
        err = rdg_fail(RDG_E_TOO_LARGE, "the path %.100s… is too long", dir);
    if (err == RDG_OK) err = open_all(l, options);
    if (err != RDG_OK) {
        rdg_ledger_close(l);
        return rdg_fail_in(err, "ledger %s", dir);
    }
    *out = l;
    return RDG_OK;
}

void rdg_ledger_close(rdg_ledger_t *l) {
    if (!l) return;
    for (size_t i = 0; i < RECENT_BLOCKS; ++i) rdg_block_unref(l->recent[i]);
    for (size_t i = 0; i < RDG_CONSENSUS_WINDOW; ++i) rdg_block_unref(l->pending[i]);
    for (size_t i = 0; i < IDLE_MACHINES; ++i) rdg_evm_free(l->machines[i]);
    views_close(l);
    blockfile_close(l->files);
    tree_close(l->tree);
    parallel_free(l->parallel);
    rdg_evm_free(l->evm);
    rdg_kv_close(l->kv);
    pthread_mutex_destroy(&l->write_lock);
    pthread_mutex_destroy(&l->view_lock);
    rdg_free(l);
}

const rdg_genesis_t *rdg_ledger_genesis(const rdg_ledger_t *l) {
    return &l->genesis;
}

rdg_kv_t *rdg_ledger_kv(rdg_ledger_t *l) {
    return l->kv;
}
