#include "output.h"
#include "raft.h"

/* A read index (Ongaro §6.4): the leader notes what is committed, and answers once a majority has confirmed
 * after the request that it still leads. As long as it has found entries that may be committed or not, it does
 * not know. A follower asks its leader. */

static raft_read_t *slot_for(raft_t *p, uint32_t from, uint64_t request) {
    raft_read_t *free_slot = NULL;
    for (size_t i = 0; i < RAFT_READS_MAX; ++i) {
        raft_read_t *r = &p->reads[i];
        if (r->used && r->from == from && r->request == request) return r;
        if (!r->used && !free_slot) free_slot = r;
    }
    if (free_slot)
        *free_slot = (raft_read_t){.request = request,
                                   .from = from,
                                   .used = true,
                                   .due_ms = p->now_ms + 2 * p->config.view_timeout_ms};
    return free_slot;
}

static rdg_err_t answer(uint64_t request, uint64_t height, bool ok, rdg_consensus_output_t *out) {
    return output_add(out, &(rdg_consensus_action_t){
                               .kind = RDG_ACTION_READ, .request = request, .height = height, .ok = ok});
}

static rdg_err_t ask_leader(raft_t *p, const raft_read_t *r, rdg_consensus_output_t *out) {
    if (p->role == RAFT_LEADER || p->leader == RAFT_NOBODY) return RDG_OK;
    raft_message_t m = {.kind = RAFT_READ, .term = p->term, .seq = r->request};
    return raft_send(p, &m, p->leader, out);
}

/* One round of appends confirms all requests before it. */
static rdg_err_t place(raft_t *p, rdg_consensus_output_t *out) {
    bool any = false;
    for (size_t i = 0; i < RAFT_READS_MAX; ++i) {
        raft_read_t *r = &p->reads[i];
        if (!r->used || r->placed) continue;
        r->placed = any = true;
        r->height = p->committed;
        r->seq = p->seq + 1;
    }
    return any ? raft_replicate(p, true, out) : RDG_OK;
}

static bool is_confirmed(const raft_t *p, const raft_read_t *r) {
    uint32_t weight = raft_weight(p, p->config.self);
    for (uint32_t i = 0; i < p->config.validators.count; ++i)
        if (i != p->config.self && p->peers[i].acked >= r->seq) weight += raft_weight(p, i);
    return weight >= p->majority;
}

rdg_err_t raft_serve_reads(raft_t *p, rdg_consensus_output_t *out) {
    if (p->role != RAFT_LEADER || p->committed < p->start) return RDG_OK;
    RDG_TRY(place(p, out));
    for (size_t i = 0; i < RAFT_READS_MAX; ++i) {
        raft_read_t *r = &p->reads[i];
        if (!r->used || !is_confirmed(p, r)) continue;
        r->used = false;
        if (r->from == p->config.self) {
            RDG_TRY(answer(r->request, r->height, true, out));
            continue;
        }
        raft_message_t m = {.kind = RAFT_READ_REPLY,
                            .term = p->term,
                            .seq = r->request,
                            .height = r->height,
                            .flags = RAFT_FLAG_OK};
        RDG_TRY(raft_send(p, &m, r->from, out));
    }
    return RDG_OK;
}

rdg_err_t raft_read(raft_t *p, uint64_t request, rdg_consensus_output_t *out) {
    raft_read_t *r = raft_may_vote(p) ? slot_for(p, p->config.self, request) : NULL;
    if (!r) return answer(request, 0, false, out);
    return p->role == RAFT_LEADER ? raft_serve_reads(p, out) : ask_leader(p, r, out);
}

rdg_err_t raft_on_read(raft_t *p, const raft_message_t *m, rdg_consensus_output_t *out) {
    if (p->role != RAFT_LEADER || m->term != p->term || m->from == p->config.self) return RDG_OK;
    (void)slot_for(p, m->from, m->seq); /* full: its sender asks again */
    return raft_serve_reads(p, out);
}

rdg_err_t raft_on_read_reply(raft_t *p, const raft_message_t *m, rdg_consensus_output_t *out) {
    if (m->term < p->term || !(m->flags & RAFT_FLAG_OK)) return RDG_OK;
    for (size_t i = 0; i < RAFT_READS_MAX; ++i) {
        raft_read_t *r = &p->reads[i];
        if (!r->used || r->from != p->config.self || r->request != m->seq) continue;
        r->used = false;
        return answer(m->seq, m->height, true, out);
    }
    return RDG_OK;
}

rdg_err_t raft_expire_reads(raft_t *p, bool stepped_down, rdg_consensus_output_t *out) {
    for (size_t i = 0; i < RAFT_READS_MAX; ++i) {
        raft_read_t *r = &p->reads[i];
        bool is_own = r->from == p->config.self;
        if (!r->used) continue;
        if (stepped_down) r->used = is_own, r->placed = false;
        if (!r->used || r->due_ms > p->now_ms) continue;
        r->used = false;
        if (is_own) RDG_TRY(answer(r->request, 0, false, out));
    }
    return RDG_OK;
}

rdg_err_t raft_ask_reads(raft_t *p, rdg_consensus_output_t *out) {
    RDG_TRY(raft_expire_reads(p, false, out));
    for (size_t i = 0; i < RAFT_READS_MAX; ++i)
        if (p->reads[i].used && p->reads[i].from == p->config.self) RDG_TRY(ask_leader(p, &p->reads[i], out));
    return RDG_OK;
}
