/* What the parts of the collector share (ridge/baas/collector.h). */
#ifndef RIDGE_BAAS_SRC_COLLECTOR_H
#define RIDGE_BAAS_SRC_COLLECTOR_H
#include "internal.h"
#include "ridge/baas/collector.h"
#include "ridge/ledger/archive.h"

#define COLLECTOR_ORDER_MS 86400000ull /* a device that was away for longer is not waited for */

typedef struct collector {
    rdg_collector_anchorer_t anchorer; /* anchor NULL: none */
    rdg_sm2_key_t *key;
    struct archive_reader *reader;
    char *dir; /* of files while they are proven */
    pthread_t thread;
    bool running, kicked;
    pthread_cond_t work; /* with the service's lock, as kicked and the next */
    bool prunes_due, schedule_due;
    uint64_t prunes_at_ms, schedule_at_ms; /* monotonic; the thread's own */
} collector_t;

/* One row of the table `archives`. */
typedef struct archive_row {
    int64_t number, chain, attempt, file;
    char name[BAAS_NAME_MAX + 1], device[BAAS_NAME_MAX + 1], state[16], command[33], object[65];
    char stored[16]; /* the state that is in the table, as far as this row knows */
    bool given_device;
    uint64_t wanted_from, wanted_to; /* 0: as the node finds */
    rdg_collector_claim_t claim;     /* as the device said; as it was proven from `verified` on */
    uint64_t txs, bytes, signatures, created_ms, updated_ms;
    rdg_collector_anchored_t anchored;
    rdg_buf_t receipt; /* of `archived`; else empty */
    char *error;       /* NULL: none */
    /* Under which it is encrypted (archive_keys.h), empty: in the clear; and as the device got it with the order. */
    char key_id[RDG_ARCHIVE_KEY_ID_MAX + 1];
    char *wrapped; /* JSON; NULL: not sent yet, or none */
} archive_row_t;
void archive_row_fini(archive_row_t *r);

/* collector_store.c */
extern const char collector_migration[];
/* The row of an order that has not ended and wants the same, or a new one. */
rdg_err_t archives_order(rdg_baas_t *b, const chain_t *c, const char *device, uint64_t from, uint64_t to,
                         int64_t *number, bool *made);
rdg_err_t archives_load(rdg_baas_t *b, int64_t number, archive_row_t *out); /* NOT_FOUND */
/* STALE: somebody else has moved it to another state since it was loaded; nothing is stored. */
rdg_err_t archives_save(rdg_baas_t *b, archive_row_t *r);
/* Moves to a state with an error (NULL: none) and stores. */
rdg_err_t archives_move(rdg_baas_t *b, archive_row_t *r, const char *state, const char *error);
/* The numbers of those that have not ended, or whose file is to go; at most max. */
rdg_err_t archives_open(rdg_baas_t *b, int64_t *numbers, size_t max, size_t *count);
/* The last height that is proven without a gap from block 1 on. */
rdg_err_t archives_reach(rdg_baas_t *b, int64_t chain, uint64_t *height);
/* The archive that has this range already, or 0; same: with the same content. */
rdg_err_t archives_twin(rdg_baas_t *b, const archive_row_t *r, int64_t *number, bool *same);
/* Proven ones of blocks above a height, of which the main chain is not being told: they are `exported` again. */
rdg_err_t archives_prove_again(rdg_baas_t *b, int64_t chain, uint64_t height);
/* There is a proven one of this very range. */
rdg_err_t archives_have(rdg_baas_t *b, int64_t chain, uint64_t from, uint64_t to, bool *have);
/* Whether a proven archive is in this file. */
rdg_err_t archives_file_used(rdg_baas_t *b, int64_t file, bool *used);
/* tenant, chain: NULL for any. */
rdg_err_t archives_list(rdg_baas_t *b, const char *tenant, const char *chain, uint64_t limit, json_t **out);
rdg_err_t archives_check(void *baas, const char *tenant, const char *number); /* as chain_check */
json_t *archive_row_json(const archive_row_t *r);
bool archive_ended(const archive_row_t *r);

/* collector_away.c: of the chain's orders under way those that wait for a device which is away, while another one is there. They
 * stay, and end when it returns; but nobody has to wait for them. */
#define ARCHIVES_AWAY_MAX 64
typedef struct archives_away {
    int64_t list[ARCHIVES_AWAY_MAX];
    size_t count;
} archives_away_t;
rdg_err_t archives_away(rdg_baas_t *b, const chain_t *c, archives_away_t *out);
bool archives_is_away(const archives_away_t *a, int64_t number);
/* Whether one is under way that does not wait so. */
rdg_err_t archives_under_way(rdg_baas_t *b, const chain_t *c, bool *out);

/* collector_steps.c: trouble of the way, of a disk or of a moment; what is tried again may succeed */
bool collector_passes(rdg_err_t err);
/* One step of a row; *after_ms: when to look again. */
rdg_err_t collector_advance(rdg_baas_t *b, archive_row_t *r, uint64_t *after_ms);
/* Of a row whose file was proven against the chain as c has it: verified, a duplicate, or refused as another history. taken is
 * false, and nothing changed, if the chain is being handed over to others behind a block below, or was meanwhile. */
rdg_err_t collector_record(rdg_baas_t *b, archive_row_t *r, const chain_t *c, bool *taken);
/* collector_prove.c: fetches the file from the platform and proves it, with the key of r->key_id, NULL without one. The
 * claim of r becomes what was proven. What the file is guilty of comes back as an error that names it with *guilty set;
 * trouble of our own without. */
rdg_err_t collector_prove(rdg_baas_t *b, archive_row_t *r, const chain_t *c, const rdg_archive_key_t *key,
                          bool *guilty);

/* collector.c */
rdg_err_t collector_open(rdg_baas_t *b, const char *data_dir);
rdg_err_t collector_start(rdg_baas_t *b);
void collector_kick(rdg_baas_t *b);
void collector_wake(rdg_baas_t *b); /* stopping */
void collector_close(rdg_baas_t *b);

/* collector_rest.c */
extern const rdg_service_route_t collector_routes[];
extern const size_t collector_route_count;

/* remote.c: a file of the platform, whole, into a new or emptied one here (0600); size, if given, as it came. */
rdg_err_t remote_fetch_file(rdg_baas_t *b, int64_t file, const char *path, uint64_t *size);
/* The bytes behind a path of the platform into memory: exactly len of them, or PROTOCOL. */
rdg_err_t remote_read(rdg_baas_t *b, const char *path, void *dst, size_t len);

#endif
