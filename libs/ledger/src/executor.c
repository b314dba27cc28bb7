#include "executor.h"
#include "registry.h"
#include "word.h"

enum { REFUND_DIVISOR = 5 }; /* EIP-3529 */

void executor_context(executor_t *x, const rdg_genesis_t *g, const rdg_epoch_t *epoch,
                      const rdg_header_t *h) {
    const rdg_validator_set_t *set = &epoch->validators;
    rdg_evm_context_t *out = &x->context;
    x->host.context = out;
    x->host.genesis = g;
    *out = (rdg_evm_context_t){.revision = g->params.revision,
                               .chain_id = word_from_u64(h->chain_id),
                               .block_number = h->height,
                               .block_time_s = h->time_ms / 1000,
                               .block_gas_limit = h->gas_limit};
    for (size_t i = 0; i < sizeof h->parent.b; ++i) out->prevrandao.b[i] = h->parent.b[i];
    if (h->proposer < set->count) rdg_sm2_address(&set->keys[h->proposer], &out->coinbase);
}

static uint64_t used_after_refund(uint64_t limit, const rdg_evm_result_t *result) {
    uint64_t used = limit - result->gas_left;
    if (result->status != RDG_EVM_SUCCESS || result->gas_refund <= 0) return used;
    uint64_t refund = (uint64_t)result->gas_refund, cap = used / REFUND_DIVISOR;
    return used - (refund < cap ? refund : cap);
}

static rdg_err_t run_message(executor_t *x, const rdg_evm_message_t *msg, rdg_evm_result_t *result) {
    bool may = true;
    if (registry_is_deployment(msg)) return registry_deploy(&x->host, x->evm, msg, result);
    if (msg->kind == RDG_EVM_CREATE) RDG_TRY(registry_may_create(&x->host, msg, result, &may));
    return may ? rdg_evm_execute(x->evm, &RDG_STATE_HOST, &x->host, &x->context, msg, result) : RDG_OK;
}

static rdg_err_t execute(executor_t *x, const rdg_evm_message_t *msg, rdg_evm_result_t *result) {
    state_begin_tx(x->state);
    x->context.origin = msg->sender;
    x->host.entered = NULL;
    RDG_TRY(run_message(x, msg, result));
    if (result->status != RDG_EVM_SUCCESS) state_revert(x->state, 0);
    state_end_tx(x->state);
    return RDG_OK;
}

rdg_err_t executor_run(executor_t *x, const rdg_tx_t *tx, uint64_t gas_before, rdg_receipt_t *receipt) {
    uint64_t intrinsic = rdg_evm_intrinsic_gas(tx->is_create, tx->data);
    rdg_evm_message_t msg = {.kind = tx->is_create ? RDG_EVM_CREATE : RDG_EVM_CALL,
                             .sender = tx->from,
                             .recipient = tx->to,
                             .code_address = tx->to,
                             .value = tx->value,
                             .nonce = tx->nonce,
                             .gas = tx->gas_limit - intrinsic,
                             .input = tx->data};
    rdg_evm_result_t result;
    RDG_TRY(execute(x, &msg, &result));
    *receipt = (rdg_receipt_t){.success = result.status == RDG_EVM_SUCCESS};
    receipt->gas_used = used_after_refund(tx->gas_limit, &result);
    receipt->cumulative_gas = gas_before + receipt->gas_used;
    if (receipt->success) {
        receipt->has_contract = tx->is_create || registry_is_deployment(&msg);
        if (receipt->has_contract) receipt->contract = result.created;
        receipt->logs = x->state->logs;
        receipt->log_count = x->state->log_count;
    } else if (result.status == RDG_EVM_REVERT) {
        receipt->output = result.output;
        if (receipt->output.len > RDG_RECEIPT_OUTPUT_MAX) receipt->output.len = RDG_RECEIPT_OUTPUT_MAX;
    }
    return RDG_OK;
}

/* What can only be read is read in a static call, also when the caller did not say so. */
static rdg_err_t read_only(executor_t *x, const rdg_call_t *call, rdg_evm_message_t *msg) {
    account_t *account;
    x->host.audit = call->audit;
    if (!call->to) return RDG_OK;
    RDG_TRY(state_account(x->state, call->to, &account));
    bool revoked = rdg_contract_status(account->now.life) == RDG_CONTRACT_REVOKED;
    msg->is_static = call->audit || (account->now.life != 0 && !revoked);
    return RDG_OK;
}

/* Of a call that changed something where it may not: an estimate of a transaction then says what stands against it. */
static rdg_err_t tell_refusal(executor_t *x, const rdg_evm_message_t *msg, rdg_evm_result_t *r) {
    rdg_buf_t text;
    account_t *account;
    bool untold = r->status == RDG_EVM_STATIC_VIOLATION ||
                  (r->status == RDG_EVM_REVERT && r->output.len == 0); /* by a contract that it called */
    if (!msg->is_static || x->host.audit || !untold) return RDG_OK;
    RDG_TRY(state_account(x->state, &msg->recipient, &account));
    rdg_buf_init(&text, NATIVE_RETURN_MAX);
    rdg_err_t err = registry_refusal(account, &text);
    void *copy = err == RDG_OK ? rdg_arena_copy(&x->state->tx_arena, text.data, text.len) : NULL;
    r->status = RDG_EVM_REVERT;
    r->output = rdg_bytes(copy, text.len);
    rdg_buf_fini(&text);
    return copy ? err : RDG_E_NO_MEMORY;
}

rdg_err_t executor_call(executor_t *x, const rdg_call_t *call, uint64_t gas_limit, rdg_call_result_t *result,
                        rdg_bytes_t *output) {
    uint64_t intrinsic = rdg_evm_intrinsic_gas(!call->to, call->data);
    *output = rdg_bytes(NULL, 0);
    *result = (rdg_call_result_t){.status = RDG_EVM_OUT_OF_GAS, .gas_used = gas_limit};
    if (gas_limit < intrinsic) return RDG_OK;
    rdg_evm_message_t msg = {.kind = call->to ? RDG_EVM_CALL : RDG_EVM_CREATE,
                             .sender = call->from,
                             .value = call->value,
                             .gas = gas_limit - intrinsic,
                             .input = call->data};
    if (call->to) msg.recipient = msg.code_address = *call->to;
    rdg_evm_result_t r;
    RDG_TRY(read_only(x, call, &msg));
    RDG_TRY(execute(x, &msg, &r));
    RDG_TRY(tell_refusal(x, &msg, &r));
    result->status = r.status;
    result->gas_used = used_after_refund(gas_limit, &r);
    if (r.status == RDG_EVM_SUCCESS || r.status == RDG_EVM_REVERT) *output = r.output;
    return RDG_OK;
}
