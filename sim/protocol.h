/* What the simulator knows of a consensus protocol: how to make its core, what it tolerates, and what its messages
 * promise. The rest of the simulator is the same for all. */
#ifndef SIM_PROTOCOL_H
#define SIM_PROTOCOL_H
#include "ridge/consensus/consensus.h"

struct world;
struct replica;

typedef struct protocol {
    const char *name;
    rdg_err_t (*create)(const rdg_consensus_config_t *config, rdg_consensus_t **out);
    bool byzantine; /* tolerates liars, and disks that forget, among its faults */
    uint32_t (*faults)(uint32_t validators);
    uint32_t (*quorum)(uint32_t validators);
    rdg_phase_t seal; /* of the certificate that seals a block */
    /* Sees every message that a correct replica sends, before it leaves. */
    void (*check_send)(struct world *w, struct replica *r, rdg_bytes_t message);
} protocol_t;

const protocol_t *protocol_find(const char *name); /* NULL: there is none */
const protocol_t *protocol_at(size_t i);           /* NULL past the last */

#endif
