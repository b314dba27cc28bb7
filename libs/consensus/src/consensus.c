#include "core.h"

void rdg_consensus_free(rdg_consensus_t *c) {
    if (c) c->vtable->free(c);
}

rdg_err_t rdg_consensus_check(const rdg_consensus_t *c, rdg_bytes_t message) {
    return c->vtable->check(c->vtable->config(c), message);
}

rdg_err_t rdg_consensus_step(rdg_consensus_t *c, uint64_t now_ms, const rdg_consensus_event_t *event,
                             rdg_consensus_output_t *out) {
    return c->vtable->step(c, now_ms, event, out);
}

void rdg_consensus_status(const rdg_consensus_t *c, rdg_consensus_status_t *out) {
    c->vtable->status(c, out);
}
