/* Uploads that go on: a file that grows, a row that says how much of it is on the disk, and the digest so far.
 *
 * 1. One request at a time has an upload; another is told BUSY. Between requests it holds no descriptor.
 * 2. What was acknowledged is on the disk (fdatasync, then the row). A process that follows on the same boot goes on
 *    from the file's length; after a reboot from the row, the rest being cut off.
 * 3. At most `max` at a time, half of it to the repositories below one first part of a name, which may be a tenant's; one that nobody has touched for life_ms is removed. Their bytes count as pending. */
#ifndef RIDGE_REGISTRY_UPLOAD_H
#define RIDGE_REGISTRY_UPLOAD_H
#include "ridge/base/list.h"
#include "store.h"

#define UPLOADS_SHARED_FROM 4 /* of fewer everybody may have all */

typedef struct upload {
    rdg_list_t node;
    char id[TARGET_UPLOAD_ID + 1];
    char repo[TARGET_NAME_MAX + 1];
    char algorithm[8]; /* that the digest is expected to be of */
    uint64_t offset;   /* bytes in the file */
    uint64_t recorded; /* of these, synced and in the row */
    uint64_t touched_ms;
    digester_t *digester; /* of bytes 0 to offset; NULL: has to be read back */
    int fd;               /* -1 unless busy */
    bool busy, passing;   /* passing: without a row; ends with its request */
} upload_t;

typedef struct uploads {
    store_t *store;
    pthread_mutex_t lock;
    rdg_list_t list;
    size_t count, max;
    uint64_t life_ms;
} uploads_t;

/* Finds what the last process left. */
rdg_err_t uploads_open(uploads_t *u, store_t *store, unsigned max, uint64_t life_ms);
void uploads_close(uploads_t *u);
/* A new one, busy. FULL: as many as there may be. passing: see upload_t. */
rdg_err_t uploads_begin(uploads_t *u, const char *repo, const char *algorithm, bool passing, upload_t **out);
/* NOT_FOUND; BUSY. */
rdg_err_t uploads_take(uploads_t *u, const char *repo, const char *id, upload_t **out);
/* Where it is, without taking it. NOT_FOUND. */
rdg_err_t uploads_status(uploads_t *u, const char *repo, const char *id, uint64_t *offset);
rdg_err_t upload_write(uploads_t *u, upload_t *up, rdg_bytes_t bytes);
rdg_err_t upload_record(uploads_t *u, upload_t *up); /* everything so far is on the disk */
void uploads_give_back(uploads_t *u, upload_t *up);
void uploads_remove(uploads_t *u, upload_t *up); /* one that was taken */
void upload_path(const uploads_t *u, const char *id, char out[STORE_PATH_MAX]);
/* Compares the digest and makes the file a blob of the repository. MALFORMED: another digest. FULL: a quota. After
 * an error that lies in reading it back (IO, NO_MEMORY) the upload is still there, else it is gone. */
rdg_err_t upload_finish(uploads_t *u, upload_t *up, const char *digest, bool *gone);
size_t uploads_expire(uploads_t *u); /* how many were too old */

#endif
