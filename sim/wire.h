/* PBFT's messages as bytes, read and written here anew from their description (docs/consensus.md, and the head of
 * libs/consensus/src/message.h): the simulator does not judge a core by the core's own parser. */
#ifndef SIM_WIRE_H
#define SIM_WIRE_H
#include "ridge/consensus/validators.h"

#define WIRE_STATUS 16

typedef struct wire {
    uint32_t kind; /* a phase, or WIRE_STATUS */
    rdg_statement_t statement;
    uint32_t index;
    rdg_sm2_signature_t signature;
    rdg_bytes_t proposal, proof, certificate; /* borrowed */
} wire_t;

bool wire_read(rdg_bytes_t bytes, wire_t *out);
uint32_t wire_kind(rdg_bytes_t bytes); /* of the first message in bytes; 0: unreadable */
void wire_write(const wire_t *m, rdg_buf_t *out);

#endif
