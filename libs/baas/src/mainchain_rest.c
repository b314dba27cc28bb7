#include <stdio.h>
#include <string.h>
#include "mainchain.h"
#include "ridge/base/config.h"

static json_t *nodes_json(const struct mainchain *m) {
    json_t *list = json_array();
    char url[RDG_BAAS_URL_MAX], state[32];
    for (size_t i = 0; m->options.node(m->options.ctx, i, url, state); ++i)
        json_array_append_new(list, json_pack("{s:s?, s:s}", "url", url[0] ? url : NULL, "state", state));
    return list;
}

static rdg_err_t show(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    rdg_baas_t *b = ctx;
    const struct mainchain *m = b->mainchain;
    uint64_t pending, refused;
    uint8_t code[32];
    char problem[RDG_ERROR_TEXT_MAX];
    json_t *chains;
    RDG_TRY(mainchain_needed(b));
    RDG_TRY(intent_counts(b, &pending, &refused));
    RDG_TRY(intent_chains(b, call->tenant, &chains));
    pthread_mutex_lock(&b->lock);
    bool ready = m->ready;
    uint64_t height = m->height;
    snprintf(problem, sizeof problem, "%s", m->problem);
    pthread_mutex_unlock(&b->lock);
    rdg_anchor_code_hash(code);
    json_t *o = json_pack(
        "{s:s, s:s?, s:b, s:I, s:s, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:o}", "state",
        ready ? "ready" : "waiting", "problem", ready ? NULL : problem, "embedded", (int)m->options.embedded,
        "chain_id", (json_int_t)m->genesis.validators.chain_id, "consensus", m->genesis.consensus,
        "validators", (json_int_t)m->genesis.validators.count, "height", (json_int_t)height, "genesis",
        rdg_json_hex(m->genesis.hash.b, 32), "registry", rdg_json_hex(m->registry.b, sizeof m->registry.b),
        "registry_code", rdg_json_hex(code, sizeof code), "writer",
        rdg_json_hex(m->writer.b, sizeof m->writer.b), "nodes", nodes_json(m), "pending", (json_int_t)pending,
        "refused", (json_int_t)refused, "chains", chains);
    /* Where its nodes are, and how much others write, is the cloud's. */
    static const char *const of_the_cloud[] = {"problem", "nodes", "pending", "refused"};
    for (size_t i = 0; call->tenant && i < sizeof of_the_cloud / sizeof of_the_cloud[0]; ++i)
        json_object_del(o, of_the_cloud[i]);
    return rdg_service_reply(answer, 200, o);
}

static rdg_err_t show_genesis(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    rdg_baas_t *b = ctx;
    json_t *genesis = NULL;
    (void)call;
    RDG_TRY(mainchain_needed(b));
    RDG_TRY(rdg_json_parse(rdg_bytes_str(b->mainchain->genesis_text), &genesis));
    return rdg_service_reply(answer, 200, genesis);
}

static rdg_err_t show_chain(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    rdg_baas_t *b = ctx;
    uint64_t chain;
    json_t *entries = NULL;
    RDG_TRY(mainchain_needed(b));
    RDG_TRY(intent_chain(b, rdg_service_arg(call, "chain"), &chain));
    RDG_TRY(intent_list(b, chain, &entries));
    return rdg_service_reply(answer, 200,
                             json_pack("{s:I, s:o}", "chain_id", (json_int_t)chain, "entries", entries));
}

static rdg_err_t prove(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    rdg_baas_t *b = ctx;
    uint64_t chain, index;
    intent_t i;
    rdg_buf_t proof;
    RDG_TRY(mainchain_needed(b));
    RDG_TRY(intent_chain(b, rdg_service_arg(call, "chain"), &chain));
    if (rdg_parse_u64(rdg_service_arg(call, "index"), &index) != RDG_OK || index > INT64_MAX)
        return rdg_fail(RDG_E_INVALID, "'%.32s' is no number of an entry", rdg_service_arg(call, "index"));
    RDG_TRY(intent_of_entry(b, chain, index, &i));
    rdg_buf_init(&proof, RDG_ANCHOR_PROOF_MAX);
    rdg_err_t err = i.number ? mainchain_prove(b, &i, &proof)
                             : rdg_fail(RDG_E_NOT_FOUND, "chain '%s' has no entry %llu on the main chain",
                                        rdg_service_arg(call, "chain"), (unsigned long long)index);
    if (err == RDG_OK)
        err = rdg_service_reply(answer, 200,
                                json_pack("{s:I, s:I, s:s, s:o}", "chain_id", (json_int_t)chain, "index",
                                          (json_int_t)index, "kind", rdg_anchor_kind_name(i.kind), "proof",
                                          rdg_json_hex(proof.data, proof.len)));
    rdg_buf_fini(&proof);
    intent_fini(&i);
    return err;
}

const rdg_service_route_t mainchain_routes[] = {
    {"GET", "/api/v1/mainchain", RDG_ROUTE_TENANT, show},
    {"GET", "/api/v1/mainchain/genesis", RDG_ROUTE_TENANT, show_genesis},
    {"GET", "/api/v1/mainchain/chains/{chain}", RDG_ROUTE_OWNED, show_chain},
    {"GET", "/api/v1/mainchain/chains/{chain}/entries/{index}/proof", RDG_ROUTE_OWNED, prove},
};
const size_t mainchain_route_count = sizeof mainchain_routes / sizeof mainchain_routes[0];
