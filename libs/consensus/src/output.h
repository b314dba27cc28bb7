/* The list of actions that a step puts out. Byte views are copied into the output's arena. */
#ifndef RIDGE_CONSENSUS_OUTPUT_H
#define RIDGE_CONSENSUS_OUTPUT_H
#include "ridge/consensus/consensus.h"

/* Copies the views of a. NO_MEMORY leaves the output as it was before this action. */
rdg_err_t output_add(rdg_consensus_output_t *o, const rdg_consensus_action_t *a);
/* Sends to all what the WRITE of `key` before it in this output promises; asserts that it is there. */
rdg_err_t output_send_recorded(rdg_consensus_output_t *o, rdg_bytes_t key, rdg_bytes_t bytes,
                               uint64_t height);
/* Drops the actions after the first `count`: those of a step that failed. */
void output_truncate(rdg_consensus_output_t *o, size_t count);

#endif
