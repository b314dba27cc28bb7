/* Calls on a state that is kept, and transactions executed again for whoever watches them. */
#include <string.h>
#include "ledger_internal.h"
#include "ridge/base/clock.h"
#include "ridge/crypto/hash.h"
#include "succession.h"
#include "word.h"

rdg_evm_t *machine_get(rdg_ledger_t *l) {
    rdg_evm_t *vm = NULL;
    pthread_mutex_lock(&l->view_lock);
    for (size_t i = 0; i < IDLE_MACHINES && !vm; ++i) {
        vm = l->machines[i];
        l->machines[i] = NULL;
    }
    pthread_mutex_unlock(&l->view_lock);
    return vm ? vm : rdg_evm_new();
}

void machine_put(rdg_ledger_t *l, rdg_evm_t *vm) {
    pthread_mutex_lock(&l->view_lock);
    for (size_t i = 0; i < IDLE_MACHINES && vm; ++i) {
        if (l->machines[i]) continue;
        l->machines[i] = vm;
        vm = NULL;
    }
    pthread_mutex_unlock(&l->view_lock);
    rdg_evm_free(vm);
}

/* A watch that also looks at the clock. */
typedef struct guard {
    const rdg_evm_watch_t *inner; /* NULL: none */
    uint64_t end_ms, time_ms;
    rdg_evm_watch_t watch;
} guard_t;

static rdg_err_t on_poll(void *ctx) {
    const guard_t *g = ctx;
    if (rdg_mono_ms(rdg_clock_system()) < g->end_ms) return RDG_OK;
    return rdg_fail(
        RDG_E_TIMEOUT,
        "the execution took longer than the limit of %llu ms: does the code end? Give it less gas, or "
        "less to do",
        (unsigned long long)g->time_ms);
}
static rdg_err_t on_step(void *ctx, const rdg_evm_step_t *step) {
    const guard_t *g = ctx;
    return g->inner->step(g->inner->ctx, step);
}
static rdg_err_t on_enter(void *ctx, const rdg_evm_message_t *msg) {
    const guard_t *g = ctx;
    return g->inner->enter(g->inner->ctx, msg);
}
static rdg_err_t on_leave(void *ctx, rdg_evm_status_t status, uint64_t gas_left, rdg_bytes_t output,
                          const rdg_address_t *created) {
    const guard_t *g = ctx;
    return g->inner->leave(g->inner->ctx, status, gas_left, output, created);
}

static void guard_init(guard_t *g, const rdg_evm_watch_t *inner, uint64_t time_ms) {
    *g = (guard_t){.inner = inner, .time_ms = time_ms, .watch = {.ctx = g}};
    g->end_ms = rdg_mono_ms(rdg_clock_system()) + time_ms;
    if (time_ms) g->watch.poll = on_poll;
    if (inner && inner->step) g->watch.step = on_step;
    if (inner && inner->enter) g->watch.enter = on_enter;
    if (inner && inner->leave) g->watch.leave = on_leave;
}

static void guard_set(guard_t *g, rdg_evm_t *vm) {
    rdg_evm_watch(vm, g->time_ms || g->inner ? &g->watch : NULL);
}

static rdg_err_t override_account(state_t *s, const rdg_account_override_t *o) {
    account_t *a;
    RDG_TRY(state_account(s, &o->address, &a));
    if (o->has_nonce) a->now.nonce = o->nonce;
    if (o->has_balance) a->now.balance = o->balance;
    if (o->has_code) {
        void *copy = o->code.len ? rdg_arena_copy(&s->block_arena, o->code.data, o->code.len) : NULL;
        if (o->code.len && !copy) return RDG_E_NO_MEMORY;
        a->now.code = rdg_bytes(copy, o->code.len);
        a->now.code_loaded = true;
        memset(&a->now.code_hash, 0, sizeof a->now.code_hash);
        if (o->code.len) rdg_keccak256(o->code.data, o->code.len, a->now.code_hash.b);
    }
    if (o->only_slots) a->existed = false; /* so nothing of it is looked for in the store */
    for (size_t i = 0; i < o->slot_count; ++i) {
        slot_t *slot;
        RDG_TRY(state_slot(s, &o->address, &o->slots[i].key, &slot));
        slot->value = o->slots[i].value;
    }
    return RDG_OK;
}

/* As if a transaction before had left it so. */
static rdg_err_t override_state(state_t *s, const rdg_call_t *call) {
    state_begin_tx(s);
    for (size_t i = 0; i < call->override_count; ++i) RDG_TRY(override_account(s, &call->overrides[i]));
    return RDG_OK;
}

static rdg_err_t call_on(rdg_ledger_t *l, view_t *v, rdg_evm_t *vm, const rdg_call_t *call, rdg_buf_t *output,
                         rdg_call_result_t *result) {
    state_t state;
    rdg_bytes_t bytes;
    guard_t guard;
    uint64_t limit = l->genesis.params.tx_gas_limit;
    uint64_t gas = call->gas == 0 || call->gas > limit ? limit : call->gas;
    state_init(&state, l->kv, v->snap, v->bank);
    hash_source_t hashes = {l->kv, v->snap, v->header.height};
    executor_t x = {.evm = vm,
                    .state = &state,
                    .host = {.state = &state, .block_hash = ledger_block_hash, .ctx = &hashes}};
    executor_context(&x, &l->genesis, governance_epoch(&v->rules->g, v->header.height), &v->header);
    guard_init(&guard, call->watch, call->time_ms);
    rdg_err_t err = override_state(&state, call);
    guard_set(&guard, vm);
    if (err == RDG_OK) err = executor_call(&x, call, gas, result, &bytes);
    rdg_evm_watch(vm, NULL);
    if (err == RDG_OK) err = rdg_buf_append(output, bytes.data, bytes.len);
    state_fini(&state);
    return err;
}

rdg_err_t rdg_ledger_call(rdg_ledger_t *l, const rdg_call_t *call, rdg_buf_t *output,
                          rdg_call_result_t *result) {
    view_t *v = NULL;
    if (call->at_height)
        RDG_TRY(view_at(l, call->height, &v));
    else
        v = view_get(l);
    rdg_evm_t *vm = machine_get(l);
    rdg_err_t err = vm ? call_on(l, v, vm, call, output, result) : RDG_E_NO_MEMORY;
    machine_put(l, vm);
    view_put(v);
    return err;
}

/* --- transactions again ----------------------------------------------------------------------------------- */

static rdg_err_t run_to(executor_t *x, const rdg_block_t *b, uint32_t index, guard_t *guard,
                        rdg_receipt_t *receipt) {
    for (uint32_t i = 0; i <= index; ++i) {
        guard_t unseen = *guard;
        unseen.watch = (rdg_evm_watch_t){.poll = guard->watch.poll, .ctx = guard};
        rdg_evm_watch(x->evm, i < index ? &unseen.watch : &guard->watch);
        rdg_err_t err = executor_run(x, b->txs[i], 0, receipt);
        rdg_evm_watch(x->evm, NULL);
        RDG_TRY(err);
    }
    return RDG_OK;
}

static rdg_err_t trace_on(rdg_ledger_t *l, view_t *before, const rdg_block_t *b, uint32_t index,
                          guard_t *guard, rdg_evm_t *vm, rdg_receipt_t *receipt) {
    state_t state;
    state_init(&state, l->kv, before->snap, before->bank);
    hash_source_t hashes = {l->kv, before->snap, b->header.height};
    executor_t x = {.evm = vm,
                    .state = &state,
                    .host = {.state = &state, .block_hash = ledger_block_hash, .ctx = &hashes}};
    executor_context(&x, &l->genesis, governance_epoch(&before->rules->g, b->header.height), &b->header);
    rdg_err_t err = succession_begin(&l->genesis, b->header.height, &x);
    if (err == RDG_OK) err = run_to(&x, b, index, guard, receipt);
    state_fini(&state);
    return err;
}

static rdg_err_t trace_block(rdg_ledger_t *l, const rdg_block_t *b, uint32_t index, guard_t *guard,
                             rdg_buf_t *output, rdg_call_result_t *result) {
    view_t *before;
    rdg_receipt_t receipt;
    if (index >= b->header.tx_count)
        return rdg_fail(RDG_E_NOT_FOUND, "block %llu has %u transactions",
                        (unsigned long long)b->header.height, b->header.tx_count);
    RDG_TRY(view_at(l, b->header.height - 1, &before));
    rdg_evm_t *vm = machine_get(l);
    rdg_err_t err = vm ? trace_on(l, before, b, index, guard, vm, &receipt) : RDG_E_NO_MEMORY;
    if (err == RDG_OK) {
        *result = (rdg_call_result_t){.status = receipt.success ? RDG_EVM_SUCCESS : RDG_EVM_REVERT,
                                      .gas_used = receipt.gas_used};
        err = rdg_buf_append(output, receipt.output.data, receipt.output.len);
    }
    machine_put(l, vm);
    view_put(before);
    return err;
}

rdg_err_t rdg_ledger_trace(rdg_ledger_t *l, uint64_t height, uint32_t index, const rdg_evm_watch_t *watch,
                           uint64_t time_ms, rdg_buf_t *output, rdg_call_result_t *result) {
    rdg_block_t *b = NULL;
    guard_t guard;
    guard_init(&guard, watch, time_ms);
    RDG_TRY(rdg_ledger_block(l, height, &b));
    rdg_err_t err = trace_block(l, b, index, &guard, output, result);
    rdg_block_unref(b);
    return err;
}
