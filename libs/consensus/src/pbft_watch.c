#include "output.h"
#include "pbft.h"
#include "planted.h"

#define BACKOFF_MAX 4 /* the time-out grows up to 16 times */

static uint64_t timeout_ms(const pbft_t *p) {
    uint32_t most = PLANTED("timeout-unbounded") ? 24 : BACKOFF_MAX;
    return p->config.view_timeout_ms << (p->attempts < most ? p->attempts : most);
}

/* What waits at the host may be decided already and not executed yet: then the host does not know better. */
static bool has_work(const pbft_t *p) {
    return p->work_ms != 0 && p->now_ms - p->work_ms <= 2 * p->config.retransmit_ms &&
           p->executed == p->committed;
}

/* More than f others vote on the current height: at least one of them has a reason to. */
static bool others_vote(pbft_t *p) {
    const slot_t *s = pbft_slot(p, p->committed + 1);
    uint32_t voting = 0;
    for (uint32_t i = 0; i < p->config.validators.count; ++i)
        if (i != p->config.self && ((s->prepares[i].present && s->prepares[i].view >= p->view) ||
                                    (s->commits[i].present && s->commits[i].view >= p->view)))
            voting += pbft_weight(p, i);
    return voting > rdg_validators_faults(pbft_total(p));
}

/* A view that too few have changed to has no leader yet whom time could run against. */
static bool is_awaited(const pbft_t *p) {
    uint32_t as_far = 0;
    for (uint32_t i = 0; i < p->config.validators.count; ++i)
        if (p->changes[i].vote.present && p->changes[i].vote.view >= p->view) as_far += pbft_weight(p, i);
    return as_far >= p->quorum;
}

void pbft_watch(pbft_t *p) {
    bool waits = pbft_may_vote(p) && p->config.validators.count > 1 && p->config.view_timeout_ms > 0 &&
                 pbft_has_room(p);
    if (waits && p->changing)
        waits = is_awaited(p);
    else if (waits)
        waits = has_work(p) || pbft_slot(p, p->committed + 1)->state != SLOT_EMPTY || others_vote(p);
    if (!waits) p->watch_ms = 0, p->suspecting = false;
    if (waits && p->watch_ms == 0) p->watch_ms = p->now_ms ? p->now_ms : 1;
}

void pbft_progress(pbft_t *p) {
    p->watch_ms = 0;
    p->suspecting = false;
    p->attempts = 0;
    for (uint32_t i = 0; i < p->config.validators.count; ++i) p->changes[i].suspected = 0;
}

/* A wish binds nobody: a replica that is alone with it, because it was cut off or stopped for a while, goes on
 * voting in its view. */
rdg_err_t pbft_check_watch(pbft_t *p, rdg_consensus_output_t *out) {
    rdg_hash_t none = {{0}};
    message_t m;
    rdg_buf_t bytes;
    if (p->watch_ms == 0 || p->now_ms - p->watch_ms < timeout_ms(p) || p->view >= VIEW_MAX) return RDG_OK;
    p->suspecting = true;
    rdg_buf_init(&bytes, 4096);
    rdg_err_t err =
        pbft_sign(p, RDG_PHASE_SUSPECT, p->view + 1, p->committed + 1, &none, rdg_bytes(NULL, 0), &m, &bytes);
    if (err == RDG_OK) err = pbft_send(RDG_CONSENSUS_ALL, rdg_buf_view(&bytes), p->committed + 1, out);
    rdg_buf_fini(&bytes);
    return err == RDG_OK ? pbft_consider_view(p, out) : err;
}
