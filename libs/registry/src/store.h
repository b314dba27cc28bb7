/* Where the registry keeps things: blobs as files named by their digest, everything else in SQL.
 *
 *   <dir>/blobs/<algorithm>/<2 digits>/<hex>   a blob or a manifest, whole and verified; written once
 *   <dir>/uploads/<id>                          an upload that goes on (upload.h)
 *   <dir>/uploads/<id>.tmp                      bytes on their way; without meaning after a restart
 *   <dir>/registry.db                           what is where
 *
 * Invariants
 * 1. A row of table blob has its file, whole, synced, and in a synced directory: the file comes before the row and
 *    goes after it. A file without a row is what a crash left; collect removes it.
 * 2. A blob belongs to a repository by a row of table link, a manifest by one of table manifest; both name a row
 *    of blob (foreign keys). A row of blob that neither names may be collected.
 * 3. Whoever makes or removes the file or the row of a blob holds that digest's lock (store_lock), and looks again
 *    at the rows inside a transaction: so what is collected is not what is just being put. Order: the digest's
 *    lock, then the database.
 * 4. A link that no manifest names is kept for grace_ms after it was last touched: a client that has uploaded, or
 *    asked for a blob in order to use it, has that long to push the manifest. Once the manifest is there, its blobs
 *    stay as long as it does.
 * 5. Sizes: repo.bytes is the sum of what the repository holds (kept by triggers); `used` counts all blobs, and
 *    `pending` the bytes of uploads. */
#ifndef RIDGE_REGISTRY_STORE_H
#define RIDGE_REGISTRY_STORE_H
#include <pthread.h>
#include <stdatomic.h>
#include "digest.h"
#include "ridge/base/clock.h"
#include "ridge/base/metrics.h"
#include "ridge/registry/registry.h"
#include "ridge/sql/sql.h"

#define STORE_PATH_MAX 4400
#define STORE_LOCKS 64
#define STORE_QUOTAS_MAX 64

typedef struct store {
    char dir[4200];
    rdg_sql_t *db;
    const rdg_clock_t *clock;
    uint64_t total_max, grace_ms, untagged_ms;
    struct {
        char prefix[TARGET_NAME_MAX + 1];
        uint64_t bytes;
    } quotas[STORE_QUOTAS_MAX];
    size_t quota_count;
    pthread_mutex_t locks[STORE_LOCKS];
    _Atomic uint64_t used, pending;
    bool same_boot; /* the files of uploads are as the last process left them */
    /* Tests stand in the gap between a decision and its effect; NULL otherwise. */
    void (*gap)(void *ctx, const char *where);
    void *gap_ctx;
} store_t;

rdg_err_t store_open(store_t *s, const rdg_registry_options_t *options);
void store_close(store_t *s);
uint64_t store_now(const store_t *s);

void store_blob_path(const store_t *s, const char *digest, char out[STORE_PATH_MAX]);
void store_temp_path(const store_t *s, char out[STORE_PATH_MAX]); /* a new name */
pthread_mutex_t *store_lock(store_t *s, const char *digest);      /* not locked yet */

/* NOT_FOUND: the repository has no such blob (also: one that was deleted there). */
rdg_err_t store_find(store_t *s, const char *repo, const char *digest, uint64_t *size);
/* Opens the file of a blob that was found. NOT_FOUND, CORRUPT (another size). The caller owns *fd. */
rdg_err_t store_read(store_t *s, const char *digest, uint64_t size, int *fd);
/* The client that asked is about to use the blob: invariant 4 counts from now. */
void store_touch(store_t *s, const char *repo, const char *digest);

/* Makes the bytes of a temporary file the blob `digest`, which they must be (the caller has checked), and in the
 * same transaction whatever `record` writes. The file is taken, also on failure. FULL: the total quota. */
rdg_err_t store_put(store_t *s, const char *digest, const char *temp, uint64_t size,
                    rdg_err_t (*record)(store_t *s, void *ctx), void *ctx);
/* For `record`, and inside transactions: the repository's row, made if need be. */
rdg_err_t store_repo(store_t *s, const char *repo, int64_t *id);
/* The same, but 0 when there is none. */
rdg_err_t store_repo_find(store_t *s, const char *repo, int64_t *id);
/* Inside a transaction: links a blob whose row is there, and checks the quotas. NOT_FOUND, FULL. */
rdg_err_t store_link(store_t *s, const char *repo, const char *digest);
/* Inside a transaction. FULL names the prefix. */
rdg_err_t store_check_quota(store_t *s, const char *repo);
/* Links a blob of another repository, or of any when from is NULL and the caller may read it. NOT_FOUND. */
rdg_err_t store_mount(store_t *s, const char *repo, const char *from, const char *digest,
                      bool (*may_read)(void *ctx, const char *repo), void *ctx);
/* NOT_FOUND; CONFLICT: a manifest of the repository names it. */
rdg_err_t store_unlink(store_t *s, const char *repo, const char *digest);

/* Room for bytes that are about to be written to an upload; given back by store_release. FULL. */
rdg_err_t store_reserve(store_t *s, uint64_t bytes);
void store_release(store_t *s, uint64_t bytes);

/* collect.c: one whole run. */
rdg_err_t store_collect(store_t *s, rdg_registry_collected_t *out);
/* Row and file of a blob that nothing names any more; one that something names stays. Adds to out. */
rdg_err_t store_drop_blob(store_t *s, const char *digest, rdg_registry_collected_t *out);

/* SQL, short: one row of up to two integers; false in *found when there is none. */
rdg_err_t store_ask(store_t *s, const char *sql, const rdg_sql_value_t *params, size_t count, bool *found,
                    int64_t *first, int64_t *second);

#endif
