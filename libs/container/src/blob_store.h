/* Content-addressed files: <root>/blobs/sha256/<hex>. A blob that is there is whole and was verified; what is
 * being fetched is in <hex>.part and may be gone on with. */
#ifndef RIDGE_CONTAINER_BLOB_STORE_H
#define RIDGE_CONTAINER_BLOB_STORE_H
#include <limits.h>
#include <stdint.h>
#include "image_ref.h"
#include "ridge/container/container.h"
#include "ridge/net/http_client.h"

rdg_err_t blob_path(const char *root, const char *digest, char out[PATH_MAX]);
bool blob_present(const char *root, const char *digest);
/* Fetches url (a blob of exactly `size` bytes with this digest) unless it is present; resumes with a range
 * request. CORRUPT: the bytes have another digest (what was fetched is thrown away). */
rdg_err_t blob_fetch(const char *root, rdg_http_client_t *http, const char *url, const char *digest,
                     uint64_t size, bool (*progress)(void *ctx, uint64_t bytes), void *ctx);
/* Bytes of it that are on the disk, whole or in part. */
uint64_t blob_fetched(const char *root, const char *digest);
/* Stores bytes that are at hand, after comparing. */
rdg_err_t blob_put(const char *root, const char *digest, rdg_bytes_t content);
/* Compared with its digest. CORRUPT: it was damaged on the disk; it is removed, so that it can be fetched anew. */
rdg_err_t blob_read(const char *root, const char *digest, rdg_buf_t *out);

#endif
