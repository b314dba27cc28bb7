/* Files that wait on this device's disk to be uploaded, oldest first.
 *
 *   <dir>/<seq>.data   the file
 *   <dir>/<seq>.json   kind, name, size, SM3, meta: written last, so an item is there when this is
 *   <dir>/in.<kind>.<name>  a file that a local program is still handing over
 *
 * Invariants
 * 1. An item that outbox_add has taken is durable, and goes only by outbox_done (the cloud has it durably) or
 *    outbox_fail (it will never take it: what it was and why stays, without the bytes).
 * 2. The bytes of all files, those being handed over included, stay within max_bytes: FULL, and nothing is taken.
 * 3. The same kind and name with the same content is one item.
 * Limits: OUTBOX_ITEMS_MAX items, OUTBOX_FAILED_MAX failures (the oldest is forgotten), OUTBOX_INCOMING_MAX files
 * being handed over: one that got no piece for OUTBOX_IDLE_S goes when another needs its place. Thread-safe. */
#ifndef RIDGE_AGENT_OUTBOX_H
#define RIDGE_AGENT_OUTBOX_H
#include "ridge/codec/json.h"
#include "ridge/crypto/hash.h"

#define OUTBOX_ITEMS_MAX 256
#define OUTBOX_FAILED_MAX 32
#define OUTBOX_INCOMING_MAX 8
#define OUTBOX_IDLE_S 3600
#define OUTBOX_PIECE_MAX (1u << 20)
#define OUTBOX_META_MAX 4096u
#define OUTBOX_ARCHIVE "archive" /* kind of what chain.archive made, under that command's id */

typedef struct outbox outbox_t;

typedef struct outbox_item {
    uint64_t seq, size;
    char kind[65], name[65];
    rdg_hash_t digest;
    json_t *meta; /* owned by who has the item: outbox_item_fini */
} outbox_item_t;

typedef struct outbox_stats {
    uint64_t queued, bytes, failed, sent;
} outbox_stats_t;

/* Takes up what is there; what a crash left half done is removed. */
rdg_err_t outbox_open(const char *dir, uint64_t max_bytes, outbox_t **out);
void outbox_close(outbox_t *o); /* NULL is fine */
/* Takes the file at path, of the same file system. meta is borrowed; NULL: {}. FULL; CONFLICT: this name has other
 * content here; INVALID. When it fails the file stays where it is. */
rdg_err_t outbox_add(outbox_t *o, const char *path, const char *kind, const char *name, const json_t *meta);
/* The same for a file of a directory in which somebody else may write: no link in the place of either is followed, and
 * what is no plain file is INVALID. */
rdg_err_t outbox_add_from(outbox_t *o, const char *dir, const char *file, const char *kind, const char *name,
                          const json_t *meta);
/* A piece of a file from a local program; the one with `last` makes it an item. *have: how much is here: CONFLICT says
 * that the offset is another one. */
rdg_err_t outbox_piece(outbox_t *o, const char *kind, const char *name, uint64_t offset, rdg_bytes_t bytes,
                       bool last, uint64_t *have);
/* The oldest item with a number from `from` on. false: none. */
bool outbox_next(outbox_t *o, uint64_t from, outbox_item_t *out);
/* The item of this kind and name that waits; false: none. */
bool outbox_find(outbox_t *o, const char *kind, const char *name, outbox_item_t *out);
void outbox_item_fini(outbox_item_t *i);
rdg_err_t outbox_data(outbox_t *o, uint64_t seq, int *fd); /* to read from; the caller closes */
rdg_err_t outbox_done(outbox_t *o, uint64_t seq);
rdg_err_t outbox_fail(outbox_t *o, uint64_t seq, rdg_err_t why); /* with the thread's text */
void outbox_stats(outbox_t *o, outbox_stats_t *out);
/* {"queued":[…],"failed":[…]}; NULL: no memory. */
json_t *outbox_json(outbox_t *o);

#endif
