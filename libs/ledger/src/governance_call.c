/* The contract of governance: which method, whether the caller may, approvals, gas, events. */
#include "governance_call.h"
#include <string.h>
#include "ridge/base/alloc.h"
#include "ridge/codec/hex.h"
#include "word.h"

enum { GAS_BASE = 30000 };

/* --- events ------------------------------------------------------------------------------------------------- */

void governance_emit(call_t *c, const char *signature, const rdg_word_t *indexed, const char *params,
                     json_t *args) {
    native_event_t event = {.from = &RDG_GOVERNANCE_ADDRESS, .signature = signature, .params = params};
    if (indexed) event.indexed[event.indexed_count++] = *indexed;
    rdg_err_t err = native_emit(c->host->state, &event, args, &c->gas);
    if (c->err == RDG_OK) c->err = err;
}

static void emit_id(call_t *c, const char *signature, uint64_t id, const char *params, json_t *args) {
    rdg_word_t topic = word_from_u64(id);
    governance_emit(c, signature, &topic, params, args);
}

/* --- approvals ------------------------------------------------------------------------------------------------ */

/* What is void makes room. */
static void drop_expired(call_t *c) {
    for (uint32_t i = 0; i < c->g->proposal_count;) {
        if (c->g->proposals[i].last_height >= c->context->block_number)
            ++i;
        else
            governance_drop_proposal(c->g, i);
    }
}

void governance_drop_proposal(governance_t *g, uint32_t i) {
    size_t after = --g->proposal_count - i;
    memmove(&g->proposals[i], &g->proposals[i + 1], after * sizeof g->proposals[0]);
    memset(&g->proposals[g->proposal_count], 0, sizeof g->proposals[0]);
}

static const char *propose(call_t *c) {
    governance_t *g = c->g;
    drop_expired(c);
    if (g->proposal_count == GOVERNANCE_PROPOSALS_MAX) return "too many proposals are open";
    if (c->msg->input.len > GOVERNANCE_CALL_MAX) return "the call is too long for a proposal";
    proposal_t *p = &g->proposals[g->proposal_count++];
    *p = (proposal_t){.id = g->next_proposal++,
                      .last_height = c->context->block_number + GOVERNANCE_PROPOSAL_HEIGHTS,
                      .proposer = c->msg->sender,
                      .approval_count = 1,
                      .call_len = (uint32_t)c->msg->input.len};
    p->approvals[0] = c->msg->sender;
    memcpy(p->call, c->msg->input.data, c->msg->input.len);
    emit_id(c, "Proposed(uint64,address,uint64,bytes)", p->id,
            "address proposer,uint64 lastHeight,bytes call",
            json_pack("[o, I, o]", rdg_json_hex(p->proposer.b, sizeof p->proposer.b),
                      (json_int_t)p->last_height, rdg_json_hex(p->call, p->call_len)));
    json_array_append_new(c->results, json_integer((json_int_t)p->id));
    return NULL;
}

static const char *run_change(call_t *c, const method_t *m, const json_t *args) {
    uint64_t epoch = c->g->latest.validators.epoch;
    const char *why = m->run(c, args);
    if (why || c->g->latest.validators.epoch == epoch) return why;
    emit_id(c, "EpochScheduled(uint64,uint64)", epoch + 1, "uint64 firstHeight",
            json_pack("[I]", (json_int_t)c->g->latest.first_height));
    return NULL;
}

static const char *change(call_t *c, const method_t *m, const json_t *args) {
    c->changed = true;
    const char *why = m->in_sync ? governance_check_sync(c, args) : NULL;
    if (!why && strcmp(m->name, "callRegistry") == 0) why = governance_check_order(args);
    if (why) return why;
    if (c->g->threshold > 1) return propose(c);
    json_array_append_new(c->results, json_integer(0));
    return run_change(c, m, args);
}

static const char *run_proposal(call_t *c, uint32_t index) {
    proposal_t p = c->g->proposals[index];
    const method_t *m = governance_method(rdg_bytes(p.call, p.call_len));
    json_t *args = NULL;
    governance_drop_proposal(c->g, index);
    rdg_err_t err =
        m ? native_decode(m->inputs, rdg_bytes(p.call + 4, p.call_len - 4), &args) : RDG_E_INTERNAL;
    if (err != RDG_OK) {
        c->err = err;
        return NULL;
    }
    const char *why = run_change(c, m, args);
    json_decref(args);
    if (!why) emit_id(c, "Executed(uint64)", p.id, "", json_array());
    return why;
}

const char *governance_approve(call_t *c, const json_t *args) {
    uint32_t i;
    const char *why = governance_find_proposal(c, args, &i);
    if (why) return why;
    proposal_t *p = &c->g->proposals[i];
    c->changed = true;
    for (uint32_t k = 0; k < p->approval_count; ++k)
        if (rdg_address_equal(&p->approvals[k], &c->msg->sender)) return "approved already";
    if (p->approval_count == RDG_GENESIS_ADMINS_MAX)
        return "approved by too many who are no administrators any more";
    p->approvals[p->approval_count++] = c->msg->sender;
    emit_id(c, "Approved(uint64,address)", p->id, "address account",
            json_pack("[o]", rdg_json_hex(c->msg->sender.b, sizeof c->msg->sender.b)));
    bool enough = governance_approvals(c->g, p) >= c->g->threshold;
    json_array_append_new(c->results, json_boolean(enough));
    return enough ? run_proposal(c, i) : NULL;
}

const char *governance_withdraw(call_t *c, const json_t *args) {
    uint32_t i;
    const char *why = governance_find_proposal(c, args, &i);
    if (why) return why;
    if (!rdg_address_equal(&c->g->proposals[i].proposer, &c->msg->sender))
        return "only its proposer may withdraw a proposal";
    emit_id(c, "Withdrawn(uint64)", c->g->proposals[i].id, "", json_array());
    governance_drop_proposal(c->g, i);
    c->changed = true;
    return NULL;
}

/* --- the call ------------------------------------------------------------------------------------------------- */

static const char *dispatch(call_t *c) {
    const method_t *m = governance_method(c->msg->input);
    json_t *args = NULL;
    if (!m) return "no such method";
    c->method = m;
    rdg_bytes_t arguments = rdg_bytes(c->msg->input.data + 4, c->msg->input.len - 4);
    rdg_err_t err = native_decode(m->inputs, arguments, &args);
    if (err == RDG_E_NO_MEMORY) c->err = err;
    if (err != RDG_OK) return "the arguments cannot be read";
    const char *why = NULL;
    if (!word_is_zero(&c->msg->value)) {
        why = "governance takes no value";
    } else if (m->kind == METHOD_VIEW) {
        why = m->run(c, args);
    } else if (c->msg->is_static || c->msg->kind == RDG_EVM_STATICCALL) {
        why = "a static call changes nothing";
    } else if (!rdg_address_equal(&c->msg->sender, &c->context->origin) ||
               !governance_is_admin(c->g, &c->msg->sender)) {
        why = "only a transaction of an administrator may change this";
    } else {
        why = m->kind == METHOD_CHANGE ? change(c, m, args) : m->run(c, args);
    }
    json_decref(args);
    return why;
}

/* *ok=false without output: out of gas. */
static rdg_err_t run(call_t *c, uint64_t *gas, rdg_buf_t *output, bool *ok) {
    size_t slots = 0;
    uint64_t writing = 0;
    c->gas = GAS_BASE;
    *ok = false;
    if (*gas < c->gas) return RDG_OK;
    RDG_TRY(governance_load(c->host->state, c->host->genesis->validators.chain_id, c->g, &slots));
    c->gas += GOVERNANCE_GAS_SLOT * slots;
    if (*gas < c->gas) return RDG_OK;
    const char *why = dispatch(c);
    RDG_TRY(c->err);
    if (!why && c->changed) RDG_TRY(governance_store(c->host->state, c->g, &writing));
    if (*gas < writing || *gas - writing < c->gas) return RDG_OK;
    c->gas += writing;
    *gas -= c->gas;
    *ok = why == NULL;
    if (*ok && c->changed) c->host->governance_changed = true;
    return why ? native_reason(why, output) : native_encode(c->method->outputs, c->results, output);
}

rdg_err_t governance_call(void *ctx, const rdg_evm_message_t *msg, uint64_t *gas, rdg_buf_t *output,
                          bool *found, bool *ok) {
    state_host_t *host = ctx;
    *found = rdg_address_equal(&msg->code_address, &RDG_GOVERNANCE_ADDRESS) &&
             (msg->kind == RDG_EVM_CALL || msg->kind == RDG_EVM_STATICCALL);
    if (!*found) return RDG_OK;
    call_t c = {.host = host, .context = host->context, .msg = msg};
    c.g = rdg_alloc(sizeof *c.g);
    c.results = json_array();
    rdg_err_t err = c.g && c.results ? run(&c, gas, output, ok)
                                     : rdg_fail(RDG_E_NO_MEMORY, "no memory for a call of governance");
    json_decref(c.results);
    rdg_free(c.g);
    return err;
}
