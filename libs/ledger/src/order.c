#include "ridge/ledger/order.h"
#include <string.h>
#include "ledger_internal.h"
#include "ridge/base/file.h"
#include "ridge/codec/rlp.h"

static const char verb[] = "transferLeader";

rdg_err_t rdg_lead_order_encode(const rdg_lead_order_t *o, rdg_buf_t *out) {
    size_t list = rdg_rlp_list_begin(out);
    rdg_rlp_put_str(out, verb);
    rdg_rlp_put_u64(out, o->epoch);
    rdg_rlp_put_u64(out, o->view);
    rdg_rlp_put_str(out, o->to);
    return rdg_rlp_list_end(out, list);
}

static rdg_err_t decode(rdg_bytes_t data, rdg_lead_order_t *out) {
    rdg_rlp_t outer, list;
    memset(out, 0, sizeof *out);
    rdg_rlp_init(&outer, data);
    RDG_TRY(rdg_rlp_list(&outer, &list));
    rdg_bytes_t what = rdg_rlp_bytes_max(&list, sizeof verb - 1);
    out->epoch = rdg_rlp_u64(&list);
    out->view = rdg_rlp_u64(&list);
    rdg_bytes_t to = rdg_rlp_bytes_max(&list, RDG_NAME_MAX);
    RDG_TRY(rdg_rlp_done(&list));
    RDG_TRY(rdg_rlp_done(&outer));
    if (!rdg_bytes_equal(what, rdg_bytes_str(verb)))
        return rdg_fail(RDG_E_INVALID, "not an order to transfer the lead");
    if (to.len > 0) memcpy(out->to, to.data, to.len);
    if (to.len > 0 && !rdg_name_valid(out->to))
        return rdg_fail(RDG_E_INVALID, "the validator's name is no valid name");
    return RDG_OK;
}

static bool is_administrator(rdg_ledger_t *l, const rdg_address_t *a) {
    view_t *v = view_get(l);
    bool is = governance_is_admin(&v->rules->g, a);
    view_put(v);
    return is;
}

static rdg_err_t check_tx(rdg_ledger_t *l, const rdg_tx_t *tx, rdg_lead_order_t *out) {
    rdg_chain_params_t params;
    rdg_ledger_head_t head;
    rdg_ledger_params(l, &params);
    rdg_ledger_head(l, &head);
    RDG_TRY(rdg_tx_check(tx, l->genesis.validators.chain_id, params.tx_gas_limit, head.height + 1));
    if (tx->is_create || memcmp(tx->to.b, RDG_GOVERNANCE_ADDRESS.b, sizeof tx->to.b) != 0)
        return rdg_fail(RDG_E_INVALID, "an order is addressed to governance");
    RDG_TRY(decode(tx->data, out));
    RDG_TRY(rdg_tx_verify(tx));
    if (is_administrator(l, &tx->from)) return RDG_OK;
    return rdg_fail(RDG_E_FORBIDDEN, "only an administrator of this chain may order this");
}

rdg_err_t rdg_lead_order_check(rdg_ledger_t *l, rdg_bytes_t wire, rdg_lead_order_t *out) {
    rdg_tx_t *tx = NULL;
    RDG_TRY(rdg_tx_decode(wire, &tx));
    rdg_err_t err = check_tx(l, tx, out);
    rdg_tx_unref(tx);
    return rdg_fail_in(err, "order");
}
