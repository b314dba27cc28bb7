/* Between evil.c (votes and proposals) and evil_view.c (views and certificates). */
#ifndef SIM_EVIL_H
#define SIM_EVIL_H
#include "wire.h"
#include "world.h"

void evil_emit(world_t *w, replica_t *r, uint32_t to, const wire_t *m); /* UINT32_MAX: to everybody */
void evil_sign_and_emit(world_t *w, replica_t *r, uint32_t to, wire_t *m);
/* The same block with another nonce. */
void evil_other_block(rdg_bytes_t proposal, uint64_t turn, rdg_buf_t *out, rdg_hash_t *digest);
blob_t *evil_recall(world_t *w, size_t class); /* borrowed; NULL: nothing of that class was heard */

bool evil_change(world_t *w, replica_t *r, uint32_t to, wire_t *m); /* true if it was replaced */
void evil_views(world_t *w, replica_t *r);
void evil_new_view(world_t *w, replica_t *r);
void evil_seals(world_t *w, replica_t *r);

#endif
