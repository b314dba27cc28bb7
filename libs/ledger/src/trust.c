#include "trust.h"
#include <inttypes.h>
#include <string.h>
#include "governance.h"
#include "ridge/base/alloc.h"
#include "ridge/codec/abi.h"

enum { LOGS_ARENA_MAX = 1 << 20 };

struct rdg_trust {
    bool is_raft;
    uint32_t count;
    rdg_epoch_t *epochs; /* by ascending number, from 0 */
};

rdg_err_t rdg_trust_new(const rdg_genesis_t *genesis, rdg_trust_t **out) {
    *out = NULL;
    RDG_TRY(rdg_validators_check(&genesis->validators));
    rdg_trust_t *t = rdg_calloc(1, sizeof *t);
    if (t) t->epochs = rdg_calloc(1, sizeof *t->epochs);
    if (!t || !t->epochs) {
        rdg_trust_free(t);
        return rdg_fail(RDG_E_NO_MEMORY, "no memory for what is known of the chain's validators");
    }
    rdg_epoch_t *e = &t->epochs[t->count++];
    e->first_height = 1;
    e->validators = genesis->validators;
    memcpy(e->names, genesis->validator_names, sizeof e->names);
    t->is_raft = rdg_genesis_is_raft(genesis);
    *out = t;
    return RDG_OK;
}

void rdg_trust_free(rdg_trust_t *t) {
    if (!t) return;
    rdg_free(t->epochs);
    rdg_free(t);
}

const rdg_epoch_t *rdg_trust_latest(const rdg_trust_t *t) {
    return &t->epochs[t->count - 1];
}

uint64_t rdg_trust_chain_id(const rdg_trust_t *t) {
    return t->epochs[0].validators.chain_id;
}

static const rdg_epoch_t *epoch_of(const rdg_trust_t *t, uint64_t height) {
    uint32_t i = t->count - 1;
    while (i > 0 && t->epochs[i].first_height > height) --i;
    return &t->epochs[i];
}

/* The last block of an epoch may be certified by the next one's validators (docs/ledger.md). */
static const rdg_epoch_t *signers_of(const rdg_trust_t *t, uint64_t height, uint64_t epoch) {
    const rdg_epoch_t *e = epoch_of(t, height);
    bool is_last = e != rdg_trust_latest(t) && e[1].first_height == height + 1;
    return is_last && e[1].validators.epoch == epoch ? e + 1 : e;
}

rdg_err_t trust_check(const rdg_trust_t *t, rdg_bytes_t executed, rdg_bytes_t checkpoint,
                      rdg_executed_t *out) {
    rdg_certificate_t c;
    rdg_hash_t digest;
    RDG_TRY(rdg_executed_decode(executed, out));
    if (out->chain_id != rdg_trust_chain_id(t))
        return rdg_fail(RDG_E_WRONG_CHAIN, "evidence is of chain %" PRIu64 ", wanted is chain %" PRIu64,
                        out->chain_id, rdg_trust_chain_id(t));
    RDG_TRY(rdg_certificate_decode(checkpoint, &c));
    uint64_t newest = rdg_trust_latest(t)->validators.epoch;
    if (c.statement.epoch > newest)
        return rdg_fail(RDG_E_STALE,
                        "evidence is signed by the validators of epoch %" PRIu64
                        "; known are those up to %" PRIu64 ": learn the changes between first",
                        c.statement.epoch, newest);
    RDG_TRY(rdg_executed_hash(out, &digest));
    const rdg_epoch_t *e = signers_of(t, out->height, c.statement.epoch);
    return (t->is_raft ? rdg_certificate_verify_raft : rdg_certificate_verify)(
        &c, &e->validators, RDG_PHASE_CHECKPOINT, out->height, &digest);
}

/* --- a change, from the events of its transaction ------------------------------------------------------------- */

static bool is_event(const rdg_log_entry_t *log, const char *signature) {
    uint8_t topic[32];
    rdg_keccak256(signature, strlen(signature), topic);
    return log->topic_count > 0 && memcmp(log->topics[0].b, topic, sizeof topic) == 0;
}

static rdg_err_t decode(const rdg_log_entry_t *log, const char *params, json_t **out) {
    json_t *types = governance_params_json(params);
    rdg_err_t err = types ? rdg_abi_decode(types, log->data, out) : RDG_E_NO_MEMORY;
    json_decref(types);
    return err;
}

static void remove_member(rdg_epoch_t *e, uint32_t i) {
    rdg_validator_set_t *set = &e->validators;
    size_t after = --set->count - i;
    memmove(&set->keys[i], &set->keys[i + 1], after * sizeof set->keys[0]);
    memmove(&set->weights[i], &set->weights[i + 1], after * sizeof set->weights[0]);
    memmove(e->names[i], e->names[i + 1], after * sizeof e->names[0]);
}

static rdg_err_t add_member(rdg_epoch_t *e, const rdg_sm2_public_t *key, const char *name, uint32_t weight) {
    rdg_validator_set_t *set = &e->validators;
    if (set->count == RDG_VALIDATORS_MAX) return RDG_E_INVALID;
    set->keys[set->count] = *key;
    set->weights[set->count] = weight;
    memset(e->names[set->count], 0, sizeof e->names[0]);
    for (size_t i = 0; i < RDG_NAME_MAX && name[i]; ++i) e->names[set->count][i] = name[i];
    set->count++;
    return RDG_OK;
}

/* 1: added, 2: removed, 3: another weight; 0: an event of another kind. */
static int change_kind(const rdg_log_entry_t *log) {
    if (is_event(log, "ValidatorAdded(bytes,string,uint32)")) return 1;
    if (is_event(log, "ValidatorRemoved(bytes)")) return 2;
    return is_event(log, "WeightChanged(bytes,uint32)") ? 3 : 0;
}

static rdg_err_t apply_change(rdg_epoch_t *e, const rdg_log_entry_t *log) {
    static const char *const params[] = {"", "bytes key,string name,uint32 weight", "bytes key",
                                         "bytes key,uint32 weight"};
    int kind = change_kind(log);
    json_t *args = NULL;
    rdg_sm2_public_t key;
    if (kind == 0) return RDG_OK;
    RDG_TRY(decode(log, params[kind], &args));
    rdg_err_t err = rdg_json_get_hex(args, "key", key.b, sizeof key.b);
    uint32_t weight = (uint32_t)json_integer_value(json_object_get(args, "weight"));
    uint32_t i = err == RDG_OK ? rdg_validators_find(&e->validators, &key) : 0;
    bool is_member = i < e->validators.count;
    if (err == RDG_OK && is_member == (kind == 1)) err = RDG_E_INVALID;
    if (err == RDG_OK && kind == 1)
        err = add_member(e, &key, json_string_value(json_object_get(args, "name")), weight);
    if (err == RDG_OK && kind == 2) remove_member(e, i);
    if (err == RDG_OK && kind == 3) e->validators.weights[i] = weight;
    json_decref(args);
    return err;
}

static bool is_schedule(const rdg_log_entry_t *log) {
    return is_event(log, "EpochScheduled(uint64,uint64)");
}

/* Calls visit for each event of governance. */
static rdg_err_t each_event(const rdg_receipt_t *r,
                            rdg_err_t (*visit)(rdg_epoch_t *e, const rdg_log_entry_t *log), rdg_epoch_t *e) {
    for (size_t i = 0; i < r->log_count; ++i) {
        if (!rdg_address_equal(&r->logs[i].address, &RDG_GOVERNANCE_ADDRESS)) continue;
        rdg_err_t err = visit(e, &r->logs[i]);
        if (err == RDG_E_NO_MEMORY) return err;
        if (err != RDG_OK)
            return rdg_fail(RDG_E_INVALID, "evidence: an event of governance cannot be followed");
    }
    return RDG_OK;
}

static rdg_err_t read_schedule(rdg_epoch_t *e, const rdg_log_entry_t *log) {
    json_t *args = NULL;
    if (!is_schedule(log)) return RDG_OK;
    if (log->topic_count != 2) return RDG_E_INVALID;
    e->validators.epoch = rdg_load_be64(log->topics[1].b + 24);
    RDG_TRY(decode(log, "uint64 firstHeight", &args));
    e->first_height = (uint64_t)json_integer_value(json_object_get(args, "firstHeight"));
    json_decref(args);
    return RDG_OK;
}

/* The next epoch is the latest with the changes that the receipt tells, in their order. */
static rdg_err_t next_epoch(const rdg_epoch_t *latest, const rdg_receipt_evidence_t *e, rdg_epoch_t *next) {
    uint64_t known = latest->validators.epoch;
    *next = *latest;
    next->first_height = 0;
    for (uint32_t i = 0; i < next->validators.count; ++i)
        next->validators.weights[i] = rdg_validators_weight(&latest->validators, i);
    RDG_TRY(each_event(&e->receipt, read_schedule, next));
    uint64_t number = next->validators.epoch;
    if (!e->receipt.success || next->first_height == 0)
        return rdg_fail(RDG_E_INVALID,
                        "evidence is of a transaction that schedules no change of the validators");
    if (number <= known) return rdg_fail(RDG_E_DUPLICATE, "epoch %" PRIu64 " is known already", number);
    if (number != known + 1 || next->first_height <= e->header.height ||
        e->header.height < latest->first_height)
        return rdg_fail(RDG_E_INVALID, "evidence is of epoch %" PRIu64 "; the next to learn is %" PRIu64,
                        number, known + 1);
    RDG_TRY(each_event(&e->receipt, apply_change, next));
    return rdg_validators_check(&next->validators);
}

static rdg_err_t append(rdg_trust_t *t, const rdg_epoch_t *next) {
    if (t->count == RDG_TRUST_EPOCHS_MAX)
        return rdg_fail(RDG_E_FULL, "%u epochs are known, which is the limit", t->count);
    rdg_epoch_t *bigger = rdg_realloc(t->epochs, (t->count + 1) * sizeof *bigger);
    if (!bigger) return rdg_fail(RDG_E_NO_MEMORY, "no memory for another epoch");
    t->epochs = bigger;
    t->epochs[t->count - 1].last_height = next->first_height - 1;
    t->epochs[t->count++] = *next;
    return RDG_OK;
}

rdg_err_t rdg_trust_advance(rdg_trust_t *t, rdg_bytes_t receipt_evidence) {
    rdg_receipt_evidence_t e;
    rdg_epoch_t next;
    rdg_arena_t arena;
    rdg_arena_init(&arena, LOGS_ARENA_MAX);
    rdg_err_t err = rdg_evidence_verify_receipt(t, receipt_evidence, &arena, &e);
    if (err == RDG_OK) {
        err = next_epoch(rdg_trust_latest(t), &e, &next);
        rdg_tx_unref(e.tx);
    }
    rdg_arena_fini(&arena);
    return err == RDG_OK ? append(t, &next) : err;
}
