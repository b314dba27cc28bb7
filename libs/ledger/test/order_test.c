#include "ridge/ledger/order.h"
#include "ridge/codec/rlp.h"
#include "ridge/ledger/governance.h"
#include "support.h"
#include <string.h>

typedef struct world {
    rdg_genesis_t genesis;
    rdg_ledger_t *l;
} world_t;

static void open_world(world_t *w) {
    support_genesis(&w->genesis);
    w->genesis.admin_count = 1;
    w->genesis.admins[0] = support_address(9);
    w->l = support_open("order", &w->genesis);
}

static rdg_err_t check(world_t *w, tx_spec_t spec, rdg_lead_order_t *out) {
    rdg_lead_order_t unused;
    if (!spec.to) spec.to = &RDG_GOVERNANCE_ADDRESS;
    if (spec.gas == 0) spec.gas = 1000000;
    rdg_tx_t *tx = support_tx(spec);
    rdg_err_t err = rdg_lead_order_check(w->l, tx->raw, out ? out : &unused);
    rdg_tx_unref(tx);
    return err;
}

TEST(an_order_is_taken_as_it_was_given) {
    world_t w;
    rdg_buf_t data;
    rdg_lead_order_t given = {3, 1ull << 40, "node-2"}, none = {0, 1, ""}, got;
    open_world(&w);
    rdg_buf_init(&data, 512);
    CHECK_OK(rdg_lead_order_encode(&given, &data));
    CHECK_OK(check(&w, (tx_spec_t){.data = rdg_buf_view(&data)}, &got));
    CHECK_EQ(got.epoch, 3);
    CHECK_EQ(got.view, 1ull << 40);
    CHECK_STR(got.to, "node-2");
    rdg_buf_clear(&data);
    CHECK_OK(rdg_lead_order_encode(&none, &data));
    CHECK_OK(check(&w, (tx_spec_t){.data = rdg_buf_view(&data)}, &got));
    CHECK_STR(got.to, "");
    rdg_buf_fini(&data);
    rdg_ledger_close(w.l);
}

TEST(only_an_administrators_order_for_this_chain_and_time_counts) {
    world_t w;
    rdg_buf_t data;
    rdg_lead_order_t o = {0, 1, "node-2"}, got;
    const rdg_address_t elsewhere = support_address(1);
    open_world(&w);
    rdg_buf_init(&data, 512);
    CHECK_OK(rdg_lead_order_encode(&o, &data));
    rdg_bytes_t d = rdg_buf_view(&data);
    CHECK_ERR(check(&w, (tx_spec_t){.data = d, .from = 1}, NULL), RDG_E_FORBIDDEN);
    CHECK_ERR(check(&w, (tx_spec_t){.data = d, .chain_id = 8}, NULL), RDG_E_WRONG_CHAIN);
    CHECK_ERR(check(&w, (tx_spec_t){.data = d, .to = &elsewhere}, NULL), RDG_E_INVALID);
    CHECK_ERR(check(&w, (tx_spec_t){.data = d, .valid_until = RDG_TX_VALID_MAX * 2}, NULL), RDG_E_INVALID_TX);
    rdg_tx_t *tx = support_tx((tx_spec_t){.data = d, .to = &RDG_GOVERNANCE_ADDRESS, .gas = 1000000});
    rdg_buf_t wire;
    rdg_buf_init(&wire, RDG_TX_BYTES_MAX);
    CHECK_OK(rdg_buf_append(&wire, tx->raw.data, tx->raw.len));
    wire.data[wire.len - 1] ^= 1;
    CHECK_ERR(rdg_lead_order_check(w.l, rdg_buf_view(&wire), &got), RDG_E_BAD_SIGNATURE);
    rdg_tx_unref(tx);
    rdg_buf_fini(&wire);
    rdg_buf_fini(&data);
    rdg_ledger_close(w.l);
}

static rdg_err_t check_raw(world_t *w, const char *what, const char *to, uint64_t more) {
    rdg_buf_t data;
    rdg_buf_init(&data, 512);
    size_t list = rdg_rlp_list_begin(&data);
    rdg_rlp_put_str(&data, what);
    rdg_rlp_put_u64(&data, 0);
    rdg_rlp_put_u64(&data, 1);
    rdg_rlp_put_str(&data, to);
    if (more) rdg_rlp_put_u64(&data, more);
    CHECK_OK(rdg_rlp_list_end(&data, list));
    rdg_err_t err = check(w, (tx_spec_t){.data = rdg_buf_view(&data)}, NULL);
    rdg_buf_fini(&data);
    return err;
}

TEST(what_is_no_order_is_refused) {
    world_t w;
    char longer[RDG_NAME_MAX + 2];
    memset(longer, 'a', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    open_world(&w);
    CHECK_OK(check_raw(&w, "transferLeader", "node-1", 0));
    CHECK_ERR(check_raw(&w, "transferleader", "node-1", 0), RDG_E_INVALID);
    CHECK_ERR(check_raw(&w, "transferLeader", "../x", 0), RDG_E_INVALID);
    CHECK_ERR(check_raw(&w, "transferLeader", longer, 0), RDG_E_MALFORMED);
    CHECK_ERR(check_raw(&w, "transferLeader", "node-1", 7), RDG_E_MALFORMED);
    CHECK_ERR(check(&w, (tx_spec_t){.data = rdg_bytes(NULL, 0)}, NULL), RDG_E_MALFORMED);
    rdg_ledger_close(w.l);
}
