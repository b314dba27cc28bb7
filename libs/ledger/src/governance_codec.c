/* The form of epochs and of the whole governance:
 *   epoch      [number, first_height, view_timeout_ms, rotate_every, [[key, name, weight], …]]
 *   governance [version=1, latest, previous or [], [[key, name], …] observers, [address, …] administrators, threshold,
 *               [block_interval_ms, empty_block_ms, block_gas_limit, tx_gas_limit, block_tx_max, revision],
 *               next_proposal, [[id, last_height, proposer, [address, …], call], …]] */
#include <string.h>
#include "governance.h"
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/codec/rlp.h"

enum { GOVERNANCE_VERSION = 1 };

const rdg_address_t RDG_GOVERNANCE_ADDRESS = {{[18] = 0x10, [19] = 0x01}};

static void put_epoch(const rdg_epoch_t *e, rdg_buf_t *out) {
    const rdg_validator_set_t *set = &e->validators;
    size_t list = rdg_rlp_list_begin(out);
    rdg_rlp_put_u64(out, set->epoch);
    rdg_rlp_put_u64(out, e->first_height);
    rdg_rlp_put_u64(out, e->view_timeout_ms);
    rdg_rlp_put_u64(out, e->rotate_every);
    size_t members = rdg_rlp_list_begin(out);
    for (uint32_t i = 0; i < set->count; ++i) {
        size_t member = rdg_rlp_list_begin(out);
        rdg_rlp_put_bytes(out, rdg_bytes(set->keys[i].b, sizeof set->keys[i].b));
        rdg_rlp_put_str(out, e->names[i]);
        rdg_rlp_put_u64(out, rdg_validators_weight(set, i));
        rdg_rlp_list_end(out, member);
    }
    rdg_rlp_list_end(out, members);
    rdg_rlp_list_end(out, list);
}

rdg_err_t rdg_epoch_encode(const rdg_epoch_t *e, rdg_buf_t *out) {
    put_epoch(e, out);
    return rdg_buf_err(out);
}

/* --- reading: errors stick to the cursor ------------------------------------------------------------------- */

static void spoil(rdg_rlp_t *c) {
    if (c->err == RDG_OK) c->err = RDG_E_MALFORMED;
}

/* Not a name: then the list is spoilt. */
static void get_name(rdg_rlp_t *c, char out[RDG_NAME_MAX + 1]) {
    rdg_bytes_t text = rdg_rlp_bytes_max(c, RDG_NAME_MAX);
    if (text.len > 0) memcpy(out, text.data, text.len);
    out[text.len] = 0;
    if (strlen(out) != text.len || !rdg_name_valid(out)) spoil(c);
}

static void get_member(rdg_rlp_t *members, rdg_epoch_t *out) {
    rdg_validator_set_t *set = &out->validators;
    rdg_rlp_t c;
    if (set->count == RDG_VALIDATORS_MAX) return spoil(members);
    if (rdg_rlp_list(members, &c) != RDG_OK) return spoil(members);
    uint32_t i = set->count++;
    rdg_rlp_fixed(&c, set->keys[i].b, sizeof set->keys[i].b);
    get_name(&c, out->names[i]);
    uint64_t weight = rdg_rlp_u64(&c);
    if (weight == 0 || weight > RDG_VALIDATOR_WEIGHT_MAX || rdg_rlp_done(&c) != RDG_OK) return spoil(members);
    set->weights[i] = (uint32_t)weight;
    for (uint32_t k = 0; k < i; ++k)
        if (strcmp(out->names[k], out->names[i]) == 0) return spoil(members);
}

static void get_epoch(rdg_rlp_t *c, uint64_t chain_id, rdg_epoch_t *out) {
    rdg_rlp_t members;
    memset(out, 0, sizeof *out);
    out->validators.chain_id = chain_id;
    out->validators.epoch = rdg_rlp_u64(c);
    out->first_height = rdg_rlp_u64(c);
    out->view_timeout_ms = rdg_rlp_u64(c);
    out->rotate_every = rdg_rlp_u64(c);
    if (rdg_rlp_list(c, &members) != RDG_OK) return spoil(c);
    while (rdg_rlp_more(&members)) get_member(&members, out);
    if (rdg_rlp_done(&members) != RDG_OK || rdg_validators_check(&out->validators) != RDG_OK ||
        out->first_height == 0)
        spoil(c);
}

rdg_err_t rdg_epoch_decode(rdg_bytes_t encoded, uint64_t chain_id, rdg_epoch_t *out) {
    rdg_rlp_t outer, c;
    rdg_rlp_init(&outer, encoded);
    RDG_TRY(rdg_fail_in(rdg_rlp_list(&outer, &c), "epoch"));
    get_epoch(&c, chain_id, out);
    RDG_TRY(rdg_fail_in(rdg_rlp_done(&c), "epoch"));
    return rdg_fail_in(rdg_rlp_done(&outer), "epoch");
}

/* --- the whole --------------------------------------------------------------------------------------------- */

static void put_addresses(const rdg_address_t *list, uint32_t count, rdg_buf_t *out) {
    size_t begin = rdg_rlp_list_begin(out);
    for (uint32_t i = 0; i < count; ++i) rdg_rlp_put_bytes(out, rdg_bytes(list[i].b, sizeof list[i].b));
    rdg_rlp_list_end(out, begin);
}

static void put_params(const rdg_chain_params_t *p, rdg_buf_t *out) {
    size_t list = rdg_rlp_list_begin(out);
    rdg_rlp_put_u64(out, p->block_interval_ms);
    rdg_rlp_put_u64(out, p->empty_block_ms);
    rdg_rlp_put_u64(out, p->block_gas_limit);
    rdg_rlp_put_u64(out, p->tx_gas_limit);
    rdg_rlp_put_u64(out, p->block_tx_max);
    rdg_rlp_put_u64(out, (uint64_t)p->revision);
    rdg_rlp_list_end(out, list);
}

static void put_proposals(const governance_t *g, rdg_buf_t *out) {
    size_t list = rdg_rlp_list_begin(out);
    for (uint32_t i = 0; i < g->proposal_count; ++i) {
        const proposal_t *p = &g->proposals[i];
        size_t item = rdg_rlp_list_begin(out);
        rdg_rlp_put_u64(out, p->id);
        rdg_rlp_put_u64(out, p->last_height);
        rdg_rlp_put_bytes(out, rdg_bytes(p->proposer.b, sizeof p->proposer.b));
        put_addresses(p->approvals, p->approval_count, out);
        rdg_rlp_put_bytes(out, rdg_bytes(p->call, p->call_len));
        rdg_rlp_list_end(out, item);
    }
    rdg_rlp_list_end(out, list);
}

rdg_err_t governance_encode(const governance_t *g, rdg_buf_t *out) {
    size_t list = rdg_rlp_list_begin(out);
    rdg_rlp_put_u64(out, GOVERNANCE_VERSION);
    put_epoch(&g->latest, out);
    if (g->previous.validators.count > 0)
        put_epoch(&g->previous, out);
    else
        rdg_rlp_list_end(out, rdg_rlp_list_begin(out));
    size_t observers = rdg_rlp_list_begin(out);
    for (uint32_t i = 0; i < g->observer_count; ++i) {
        size_t item = rdg_rlp_list_begin(out);
        rdg_rlp_put_bytes(out, rdg_bytes(g->observers[i].key.b, sizeof g->observers[i].key.b));
        rdg_rlp_put_str(out, g->observers[i].name);
        rdg_rlp_list_end(out, item);
    }
    rdg_rlp_list_end(out, observers);
    put_addresses(g->admins, g->admin_count, out);
    rdg_rlp_put_u64(out, g->threshold);
    put_params(&g->params, out);
    rdg_rlp_put_u64(out, g->next_proposal);
    put_proposals(g, out);
    return rdg_rlp_list_end(out, list);
}

static void get_addresses(rdg_rlp_t *c, rdg_address_t *list, uint32_t *count) {
    rdg_rlp_t items;
    if (rdg_rlp_list(c, &items) != RDG_OK) return spoil(c);
    while (rdg_rlp_more(&items)) {
        if (*count == RDG_GENESIS_ADMINS_MAX) return spoil(c);
        rdg_rlp_fixed(&items, list[*count].b, sizeof list[*count].b);
        ++*count;
    }
    if (rdg_rlp_done(&items) != RDG_OK) spoil(c);
}

static void get_observers(rdg_rlp_t *c, governance_t *out) {
    rdg_rlp_t items, item;
    if (rdg_rlp_list(c, &items) != RDG_OK) return spoil(c);
    while (rdg_rlp_more(&items)) {
        if (out->observer_count == GOVERNANCE_OBSERVERS_MAX || rdg_rlp_list(&items, &item) != RDG_OK)
            return spoil(c);
        observer_t *o = &out->observers[out->observer_count++];
        rdg_rlp_fixed(&item, o->key.b, sizeof o->key.b);
        get_name(&item, o->name);
        if (rdg_rlp_done(&item) != RDG_OK) return spoil(c);
    }
    if (rdg_rlp_done(&items) != RDG_OK) spoil(c);
}

static void get_params(rdg_rlp_t *c, rdg_chain_params_t *out) {
    rdg_rlp_t items;
    if (rdg_rlp_list(c, &items) != RDG_OK) return spoil(c);
    out->block_interval_ms = rdg_rlp_u64(&items);
    out->empty_block_ms = rdg_rlp_u64(&items);
    out->block_gas_limit = rdg_rlp_u64(&items);
    out->tx_gas_limit = rdg_rlp_u64(&items);
    out->block_tx_max = rdg_rlp_u64(&items);
    uint64_t revision = rdg_rlp_u64(&items);
    out->revision = revision == RDG_EVM_SHANGHAI ? RDG_EVM_SHANGHAI : RDG_EVM_CANCUN;
    if (rdg_rlp_done(&items) != RDG_OK || revision > RDG_EVM_CANCUN) spoil(c);
}

static void get_proposals(rdg_rlp_t *c, governance_t *out) {
    rdg_rlp_t items, item;
    if (rdg_rlp_list(c, &items) != RDG_OK) return spoil(c);
    while (rdg_rlp_more(&items)) {
        if (out->proposal_count == GOVERNANCE_PROPOSALS_MAX || rdg_rlp_list(&items, &item) != RDG_OK)
            return spoil(c);
        proposal_t *p = &out->proposals[out->proposal_count++];
        p->id = rdg_rlp_u64(&item);
        p->last_height = rdg_rlp_u64(&item);
        rdg_rlp_fixed(&item, p->proposer.b, sizeof p->proposer.b);
        get_addresses(&item, p->approvals, &p->approval_count);
        rdg_bytes_t call = rdg_rlp_bytes_max(&item, sizeof p->call);
        if (call.len > 0) memcpy(p->call, call.data, call.len);
        p->call_len = (uint32_t)call.len;
        if (rdg_rlp_done(&item) != RDG_OK) return spoil(c);
    }
    if (rdg_rlp_done(&items) != RDG_OK) spoil(c);
}

static void get_previous(rdg_rlp_t *c, uint64_t chain_id, governance_t *out) {
    rdg_rlp_t list;
    if (rdg_rlp_list(c, &list) != RDG_OK) return spoil(c);
    if (!rdg_rlp_more(&list)) return;
    get_epoch(&list, chain_id, &out->previous);
    if (rdg_rlp_done(&list) != RDG_OK || out->previous.first_height >= out->latest.first_height)
        return spoil(c);
    out->previous.last_height = out->latest.first_height - 1;
}

static void get_all(rdg_rlp_t *c, uint64_t chain_id, governance_t *out) {
    rdg_rlp_t latest;
    if (rdg_rlp_u64(c) != GOVERNANCE_VERSION || rdg_rlp_list(c, &latest) != RDG_OK) return spoil(c);
    get_epoch(&latest, chain_id, &out->latest);
    if (rdg_rlp_done(&latest) != RDG_OK) return spoil(c);
    get_previous(c, chain_id, out);
    get_observers(c, out);
    get_addresses(c, out->admins, &out->admin_count);
    uint64_t threshold = rdg_rlp_u64(c);
    out->threshold = threshold <= RDG_GENESIS_ADMINS_MAX ? (uint32_t)threshold : 0;
    get_params(c, &out->params);
    out->params.view_timeout_ms = out->latest.view_timeout_ms;
    out->params.rotate_every = out->latest.rotate_every;
    out->next_proposal = rdg_rlp_u64(c);
    get_proposals(c, out);
    if (out->threshold == 0 || rdg_chain_params_check(&out->params) != RDG_OK) spoil(c);
}

rdg_err_t governance_decode(rdg_bytes_t encoded, uint64_t chain_id, governance_t *out) {
    rdg_rlp_t outer, c;
    memset(out, 0, sizeof *out);
    rdg_rlp_init(&outer, encoded);
    RDG_TRY(rdg_fail_in(rdg_rlp_list(&outer, &c), "governance"));
    get_all(&c, chain_id, out);
    RDG_TRY(rdg_fail_in(rdg_rlp_done(&c), "governance"));
    return rdg_fail_in(rdg_rlp_done(&outer), "governance");
}

void governance_from_genesis(const rdg_genesis_t *g, governance_t *out) {
    memset(out, 0, sizeof *out);
    out->latest.first_height = 1;
    out->latest.validators = g->validators;
    for (uint32_t i = 0; i < g->validators.count; ++i)
        out->latest.validators.weights[i] = rdg_validators_weight(&g->validators, i);
    memcpy(out->latest.names, g->validator_names, sizeof out->latest.names);
    out->latest.view_timeout_ms = g->params.view_timeout_ms;
    out->latest.rotate_every = g->params.rotate_every;
    out->params = g->params;
    out->threshold = 1;
    out->admin_count = g->admin_count;
    memcpy(out->admins, g->admins, sizeof out->admins);
    out->next_proposal = 1;
}

const rdg_epoch_t *governance_epoch(const governance_t *g, uint64_t height) {
    bool old = g->previous.validators.count > 0 && height < g->latest.first_height;
    return old ? &g->previous : &g->latest;
}
