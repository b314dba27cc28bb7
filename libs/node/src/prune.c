/* Deletes bodies and receipts that are in an archive, as the receipts of the chain's collector allow (ledger/archive.h).
 *
 * The order comes from the agent, who has it from the cloud; neither is believed. A receipt counts only if the key that has
 * signed it is certified as a collector's (RDG_CREDENTIALS_COLLECTOR) under a root that this node trusts, has not expired
 * and is not in the revocation list, and if it names this ledger's own blocks. The rest is the ledger's: the mark is durable
 * before the first byte goes, and never moves back.
 *
 * One order at a time, on a thread of its own with low priority. It is known by its id; asked again, the answer is the same
 * until a restart, after which it is carried out again, which then changes nothing. */
#include "internal.h"
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include "ridge/codec/hex.h"
#include "ridge/crypto/credentials.h"
#include "ridge/ledger/archive.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PRIORITY 10
#define RECEIPTS_MAX 64
#define KEEP_MIN 2 /* blocks: the newest, and one that the node may still be taking in */
#define RECEIPT_MAX 512

typedef struct prune_order {
    char id[PRUNE_ID_MAX + 1];
    rdg_retention_t keep;
    rdg_cert_t *chain[RDG_CERT_CHAIN_MAX]; /* the collector's own first */
    size_t chain_count;
    rdg_buf_t receipts[RECEIPTS_MAX];
    size_t receipt_count;
    bool compact;
} prune_order_t;

static void order_free(prune_order_t *o) {
    if (!o) return;
    for (size_t i = 0; i < o->chain_count; ++i) rdg_cert_free(o->chain[i]);
    for (size_t i = 0; i < o->receipt_count; ++i) rdg_buf_fini(&o->receipts[i]);
    rdg_free(o);
}

void prune_open(rdg_node_t *n) {
    pthread_mutex_init(&n->pruner.lock, NULL);
}

void prune_close(rdg_node_t *n) {
    pruner_t *p = &n->pruner;
    if (p->thread_there) pthread_join(p->thread, NULL); /* nobody asks any more */
    p->thread_there = false;
    order_free(p->order);
    json_decref(p->done);
    p->order = NULL;
    p->done = NULL;
    pthread_mutex_destroy(&p->lock);
}

/* --- the order ----------------------------------------------------------------------------------- */

static rdg_err_t read_receipts(const json_t *o, prune_order_t *out) {
    json_t *list = NULL;
    RDG_TRY(rdg_json_get_array(o, "receipts", &list));
    if (json_array_size(list) == 0 || json_array_size(list) > RECEIPTS_MAX)
        return rdg_fail(RDG_E_INVALID, "receipts: want 1 to %d", RECEIPTS_MAX);
    for (size_t i = 0; i < json_array_size(list); ++i) {
        const char *hex = json_string_value(json_array_get(list, i));
        rdg_buf_t *b = &out->receipts[out->receipt_count++];
        rdg_buf_init(b, RECEIPT_MAX);
        if (!hex) return rdg_fail(RDG_E_INVALID, "receipts: number %zu is no string", i + 1);
        RDG_TRY(rdg_fail_in(rdg_hex_decode_buf(hex, strlen(hex), b), "receipts: number %zu", i + 1));
    }
    return RDG_OK;
}

static rdg_err_t read_order(const json_t *o, prune_order_t *out) {
    const char *id, *certificate;
    RDG_TRY(rdg_json_get_str(o, "id", &id));
    RDG_TRY(rdg_json_get_str(o, "certificate", &certificate));
    RDG_TRY(rdg_json_opt_u64(o, "keep_blocks", &out->keep.blocks));
    RDG_TRY(rdg_json_opt_u64(o, "keep_ms", &out->keep.age_ms));
    RDG_TRY(rdg_json_opt_bool(o, "compact", &out->compact));
    if (out->keep.blocks < KEEP_MIN) out->keep.blocks = KEEP_MIN;
    if (strlen(id) > PRUNE_ID_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "id: at most %d characters", PRUNE_ID_MAX);
    snprintf(out->id, sizeof out->id, "%s", id);
    RDG_TRY(read_receipts(o, out));
    return rdg_fail_in(
        rdg_cert_parse_pem(rdg_bytes_str(certificate), out->chain, RDG_CERT_CHAIN_MAX, &out->chain_count),
        "certificate");
}

/* --- whose receipts count ------------------------------------------------------------------------- */

static rdg_err_t check_collector(const prune_order_t *o, const rdg_credentials_t *mine) {
    const rdg_cert_t *others[2 * RDG_CERT_CHAIN_MAX];
    size_t count = 0;
    char name[RDG_CERT_NAME_MAX];
    for (size_t i = 1; i < o->chain_count; ++i) others[count++] = o->chain[i];
    for (size_t i = 0; i < mine->chain_count; ++i) others[count++] = mine->chain[i];
    rdg_cert_common_name(o->chain[0], name, sizeof name);
    if (!rdg_cert_has_name(o->chain[0], RDG_CREDENTIALS_COLLECTOR))
        return rdg_fail(RDG_E_FORBIDDEN, "the certificate is of '%s', which is no collector", name);
    RDG_TRY(rdg_cert_verify(o->chain[0], RDG_CERT_SIGN, others, count, mine->roots, mine->root_count,
                            (int64_t)(rdg_wall_ms(rdg_clock_system()) / 1000)));
    for (size_t i = 0; i < o->chain_count; ++i) RDG_TRY(rdg_credentials_accept(mine, o->chain[i]));
    return RDG_OK;
}

static rdg_err_t collector_key(const rdg_node_t *n, const prune_order_t *o, rdg_sm2_public_t *out) {
    rdg_credentials_t *mine = NULL;
    RDG_TRY(rdg_credentials_load(n->dir, "node", &mine));
    rdg_err_t err = check_collector(o, mine);
    rdg_credentials_free(mine);
    *out = *rdg_cert_public(o->chain[0]);
    return rdg_fail_in(err, "nothing is pruned: the collector's certificate");
}

/* --- deleting --------------------------------------------------------------------------------------- */

typedef struct pruned {
    uint64_t height, mark_ms, freed_bytes, compacted_bytes;
} pruned_t;

static rdg_err_t prune_one(rdg_node_t *n, const prune_order_t *o, rdg_bytes_t receipt,
                           const rdg_sm2_public_t *collector, pruned_t *out) {
    rdg_archive_receipt_t r;
    rdg_prune_result_t result;
    rdg_ledger_head_t head;
    uint64_t first;
    RDG_TRY(rdg_archive_receipt_verify(receipt, collector, 1, &r));
    RDG_TRY(rdg_ledger_retained(n->ledger, &o->keep, r.to, rdg_wall_ms(rdg_clock_system()), &first));
    /* A receipt that came before, or of which all has to stay as yet, moves nothing; but it must be one of this chain's,
     * and who is behind can not tell yet what may go. */
    if (r.chain_id != n->genesis.validators.chain_id || !rdg_hash_equal(&r.genesis, &n->genesis.hash))
        return rdg_fail(RDG_E_WRONG_CHAIN, "the archive receipt is of another chain (id %" PRIu64 ")",
                        r.chain_id);
    rdg_ledger_head(n->ledger, &head);
    if (r.to > head.height)
        return rdg_fail(RDG_E_UNAVAILABLE,
                        "blocks %" PRIu64 " to %" PRIu64 " are not all here yet: this ledger ends at %" PRIu64
                        ", ask again when it has caught up",
                        r.from, r.to, head.height);
    if (first <= rdg_ledger_pruned(n->ledger) + 1) return RDG_OK;
    rdg_err_t err = rdg_ledger_prune(n->ledger, first, receipt, collector, 1, &result);
    out->freed_bytes += result.bytes_freed;
    return err == RDG_E_STALE ? RDG_OK : err;
}

static uint64_t store_bytes(const rdg_node_t *n) {
    char path[4096];
    uint64_t bytes = 0;
    if (rdg_path_join(path, sizeof path, n->dir, "data/db") == RDG_OK) (void)rdg_tree_size(path, &bytes);
    return bytes;
}

/* The store is measured as a whole while blocks go on coming, so that what these add counts against it. */
static rdg_err_t compact(rdg_node_t *n, pruned_t *out) {
    uint64_t before = store_bytes(n);
    RDG_TRY(rdg_kv_compact(rdg_ledger_kv(n->ledger)));
    uint64_t after = store_bytes(n);
    out->compacted_bytes = before > after ? before - after : 0;
    return RDG_OK;
}

static rdg_err_t mark_of(rdg_node_t *n, pruned_t *out) {
    rdg_header_t h;
    out->height = rdg_ledger_pruned(n->ledger);
    if (out->height == 0) return RDG_OK;
    RDG_TRY(rdg_ledger_header(n->ledger, out->height, &h, NULL, NULL));
    out->mark_ms = h.time_ms;
    return RDG_OK;
}

static rdg_err_t carry_out(rdg_node_t *n, const prune_order_t *o, pruned_t *out) {
    rdg_sm2_public_t collector;
    uint64_t before = rdg_ledger_pruned(n->ledger);
    RDG_TRY(collector_key(n, o, &collector));
    for (size_t i = 0; i < o->receipt_count; ++i)
        RDG_TRY(prune_one(n, o, rdg_buf_view(&o->receipts[i]), &collector, out));
    if (o->compact && rdg_ledger_pruned(n->ledger) > before) RDG_TRY(compact(n, out));
    return mark_of(n, out);
}

static json_t *done_json(rdg_node_t *n, const pruned_t *p) {
    char path[4096];
    uint64_t bytes = 0;
    if (rdg_path_join(path, sizeof path, n->dir, "data") == RDG_OK) (void)rdg_tree_size(path, &bytes);
    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I}", "state", "done", "pruned_height",
                     (json_int_t)p->height, "mark_ms", (json_int_t)p->mark_ms, "freed_bytes",
                     (json_int_t)p->freed_bytes, "compacted_bytes", (json_int_t)p->compacted_bytes,
                     "freed_total_bytes", (json_int_t)rdg_ledger_freed(n->ledger), "ledger_bytes",
                     (json_int_t)bytes);
}

static void *run(void *arg) {
    rdg_node_t *n = arg;
    pruner_t *p = &n->pruner;
    pruned_t done = {0};
    (void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), PRIORITY);
    rdg_err_t err = carry_out(n, p->order, &done);
    json_t *answer = err == RDG_OK ? done_json(n, &done) : NULL;
    if (err == RDG_OK && !answer) err = rdg_fail(RDG_E_NO_MEMORY, "no memory for the answer");
    if (is_damage(err)) damage_found(n, err, rdg_err_message(err));
    pthread_mutex_lock(&p->lock);
    p->done = answer;
    p->err = err;
    snprintf(p->why, sizeof p->why, "%s", err == RDG_OK ? "" : rdg_err_message(err));
    p->running = false;
    pthread_mutex_unlock(&p->lock);
    if (err == RDG_OK)
        rdg_log(RDG_LOG_INFO, "node.pruned", RDG_U64("height", done.height),
                RDG_U64("bytes", done.freed_bytes), RDG_U64("compacted_bytes", done.compacted_bytes));
    else
        rdg_log(RDG_LOG_WARN, "node.prune_refused", RDG_STR("code", rdg_err_name(err)),
                RDG_STR("why", p->why));
    return NULL;
}

/* --- asking ------------------------------------------------------------------------------------------- */

/* Takes the order, if it succeeds. With the lock held, as the next. */
static rdg_err_t begin(rdg_node_t *n, prune_order_t *order) {
    pruner_t *p = &n->pruner;
    if (p->thread_there) pthread_join(p->thread, NULL); /* it has ended: running says so */
    p->thread_there = false;
    order_free(p->order);
    json_decref(p->done);
    p->done = NULL;
    p->order = order;
    p->running = true;
    if (pthread_create(&p->thread, NULL, run, n) != 0) {
        p->order = NULL;
        p->running = false;
        return rdg_fail(RDG_E_NO_MEMORY, "no thread to prune");
    }
    p->thread_there = true;
    return RDG_OK;
}

static rdg_err_t answer(const pruner_t *p, json_t **out) {
    if (!p->running && p->err != RDG_OK) return rdg_fail(p->err, "%s", p->why);
    *out = p->running ? json_pack("{s:s}", "state", "running") : json_deep_copy(p->done);
    return *out ? RDG_OK : rdg_fail(RDG_E_NO_MEMORY, "no memory for the answer");
}

rdg_err_t prune_ask(void *node, const json_t *order, json_t **out) {
    rdg_node_t *n = node;
    pruner_t *p = &n->pruner;
    prune_order_t *o = rdg_calloc(1, sizeof *o);
    if (!o) return rdg_fail(RDG_E_NO_MEMORY, "no memory for an order");
    rdg_err_t err = read_order(order, o);
    if (err != RDG_OK) {
        order_free(o);
        return err;
    }
    pthread_mutex_lock(&p->lock);
    bool same = p->order && strcmp(p->order->id, o->id) == 0;
    if (!same && p->running) {
        err = rdg_fail(RDG_E_BUSY, "this node prunes by another order: ask again later");
    } else if (!same) {
        err = begin(n, o);
        if (err == RDG_OK) o = NULL;
    }
    if (err == RDG_OK) err = answer(p, out);
    pthread_mutex_unlock(&p->lock);
    order_free(o);
    return err;
}
