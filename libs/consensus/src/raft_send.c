#include "output.h"
#include "raft.h"

rdg_err_t raft_sign(raft_t *p, const rdg_statement_t *s, rdg_sm2_signature_t *out) {
    rdg_hash_t hash;
    rdg_statement_hash(p->config.validators.chain_id, s, &hash);
    rdg_err_t err = p->config.host.sign(p->config.host.ctx, &hash, out);
    if (err == RDG_OK || err == RDG_E_NO_MEMORY) return err;
    return rdg_fail(RDG_E_CRYPTO, "this node's key cannot sign");
}

rdg_err_t raft_send(raft_t *p, raft_message_t *m, uint32_t to, rdg_consensus_output_t *out) {
    rdg_buf_t bytes;
    RDG_TRY(raft_save(p, out));
    m->epoch = p->config.validators.epoch;
    m->from = p->config.self;
    m->to = m->kind == RAFT_CHECKPOINT ? 0 : to;
    rdg_buf_init(&bytes, RDG_CONSENSUS_MESSAGE_MAX);
    rdg_err_t err = raft_message_encode(m, &bytes);
    if (err == RDG_OK)
        err = output_add(
            out, &(rdg_consensus_action_t){
                     .kind = RDG_ACTION_SEND, .to = to, .height = m->height, .bytes = rdg_buf_view(&bytes)});
    rdg_buf_fini(&bytes);
    return err;
}

rdg_err_t raft_send_all(raft_t *p, const raft_message_t *m, rdg_consensus_output_t *out) {
    for (uint32_t i = 0; i < p->config.validators.count; ++i) {
        raft_message_t one = *m;
        if (i != p->config.self) RDG_TRY(raft_send(p, &one, i, out));
    }
    return RDG_OK;
}
