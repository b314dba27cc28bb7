#include "protocol.h"
#include "world.h"
#include <string.h>

static const protocol_t pbft = {
    .name = "pbft",
    .create = rdg_pbft_new,
    .byzantine = true,
    .faults = rdg_validators_faults,
    .quorum = rdg_validators_quorum,
    .seal = RDG_PHASE_COMMIT,
    .check_send = check_send,
};

static uint32_t minority(uint32_t validators) {
    return (validators - 1) / 2;
}

static const protocol_t raft = {
    .name = "raft",
    .create = rdg_raft_new,
    .faults = minority,
    .quorum = rdg_validators_majority,
    .seal = RDG_PHASE_RAFT_LEADER,
    .check_send = raft_check_send,
};

static const protocol_t *const all[] = {&pbft, &raft};

const protocol_t *protocol_at(size_t i) {
    return i < sizeof all / sizeof all[0] ? all[i] : NULL;
}

const protocol_t *protocol_find(const char *name) {
    for (size_t i = 0; protocol_at(i); ++i)
        if (strcmp(all[i]->name, name) == 0) return all[i];
    return NULL;
}
