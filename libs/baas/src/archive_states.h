/* What recovery needs to know of a chain's archives. */
#ifndef RIDGE_BAAS_SRC_ARCHIVE_STATES_H
#define RIDGE_BAAS_SRC_ARCHIVE_STATES_H
#include <string.h>
#include "collector.h"
#include "ridge/base/alloc.h"

#define ARCHIVE_STATE_BLOCKS_DEFAULT 10000 /* some minutes of executing, at most */
#define ARCHIVE_PIECES_MAX 20000

extern const char archive_states_migration[];
/* The archive of this row, which has been proven, ends with the state. */
rdg_err_t archive_state_note(rdg_baas_t *b, const archive_row_t *r);
/* From which last block on the next archive should end with it, by the chain's parameter; 0: never. */
rdg_err_t archive_state_wanted(rdg_baas_t *b, const archive_row_t *r, const chain_t *c, uint64_t *from);

/* What the operator wants of a recovery. from 0: as it is quickest; to 0: all that is archived. */
typedef struct archive_span {
    bool wanted; /* false: from peers */
    uint64_t from, to;
} archive_span_t;
rdg_err_t recovery_wish(rdg_baas_t *b, const chain_t *c, const char *device, archive_span_t *out);
rdg_err_t recovery_wish_set(rdg_baas_t *b, const chain_t *c, const char *device, const archive_span_t *s);

typedef struct archive_piece {
    int64_t file; /* of the platform's collection */
    uint64_t from, to;
    rdg_hash_t manifest;
    char key_id[RDG_ARCHIVE_KEY_ID_MAX + 1]; /* empty: in the clear */
    bool has_state;
} archive_piece_t;
/* The anchored archives that cover the chain from block 1 on without a gap, in order. Returns owned: rdg_free. */
rdg_err_t archive_pieces(rdg_baas_t *b, const chain_t *c, archive_piece_t **out, size_t *count);

/* recover_archives.c: the archives of a recovery, each proven by the main chain, as the command's `archives`; the device
 * may read their files from then on. *last: of the blocks in them. UNAVAILABLE: none, a gap, or the main chain is away. */
rdg_err_t recovery_archives(rdg_baas_t *b, const chain_t *c, const char *device, const archive_span_t *s,
                            json_t **out, uint64_t *last);
/* The main chain proves the entry of this archive; else the reason. */
rdg_err_t recovery_anchor(rdg_baas_t *b, const chain_t *c, const archive_piece_t *p);
/* What is taken of piece i of so many: "headers", "state" or "blocks"; from: as of archive_span_t. */
const char *recovery_kind(const archive_piece_t *pieces, size_t count, uint64_t from, size_t i);
/* The recovery has ended: the device reads them no more. */
rdg_err_t recovery_archives_end(rdg_baas_t *b, const chain_t *c, const char *device);

/* --- flow_close.c: destroying a chain begins with archiving it -------------------------------------- */
extern const char closing_migration[];
/* CONFLICT: nothing could be anchored. */
rdg_err_t flow_begin_close(rdg_baas_t *b, chain_t *c);
/* The order once more while devices remove it: what failed is tried again, and if a node has blocks above what is archived
 * the chain is closed anew. Asks the devices. */
rdg_err_t flow_close_again(rdg_baas_t *b, chain_t *c);
rdg_err_t flow_close(rdg_baas_t *b, chain_t *c, const steps_t *steps, uint64_t *after_ms);
/* Up to which height everything is archived, of a chain that is destroyed after it was closed. */
rdg_err_t closing_archived(rdg_baas_t *b, const chain_t *c, bool *archived, uint64_t *height);
rdg_err_t closing_forget(rdg_baas_t *b, const chain_t *c);

/* --- rebuild.c: every node of a chain anew ----------------------------------------------------------- */
extern const char rebuild_migration[];
/* Of the block at which the nodes that are being rebuilt may vote again; 0: the chain is not being rebuilt. */
rdg_err_t rebuild_height(rdg_baas_t *b, const chain_t *c, uint64_t *out);
rdg_err_t rebuild_end(rdg_baas_t *b, const chain_t *c);
#endif
