/* What a consensus core is to consensus.h: PBFT here, Raft beside it. */
#ifndef RIDGE_CONSENSUS_CORE_H
#define RIDGE_CONSENSUS_CORE_H
#include "ridge/consensus/consensus.h"

typedef struct core_vtable {
    void (*free)(rdg_consensus_t *c);
    /* By this configuration: the core's own, or one with another host. Reads nothing else. */
    rdg_err_t (*check)(const rdg_consensus_config_t *config, rdg_bytes_t message);
    const rdg_consensus_config_t *(*config)(const rdg_consensus_t *c);
    bool (*is_light)(rdg_bytes_t message);
    rdg_err_t (*step)(rdg_consensus_t *c, uint64_t now_ms, const rdg_consensus_event_t *event,
                      rdg_consensus_output_t *out);
    void (*status)(const rdg_consensus_t *c, rdg_consensus_status_t *out);
} core_vtable_t;

struct rdg_consensus {
    const core_vtable_t *vtable;
};

#endif
