/* What a device asks a registry for below /v2/<name> (OCI distribution 1.1), but for blobs, which go to disk (blob_store.h). */
#ifndef RIDGE_CONTAINER_DISTRIBUTION_H
#define RIDGE_CONTAINER_DISTRIBUTION_H
#include "image_ref.h"
#include "ridge/net/http_client.h"

#define DISTRIBUTION_TIMEOUT_MS 30000u

/* accept: a whole header. RDG_OK for 200 alone: *got is to be finished then. NOT_FOUND (404), FORBIDDEN (401, 403),
 * UNAVAILABLE (any other status), and those of rdg_http_call. */
rdg_err_t distribution_get(rdg_http_client_t *http, const image_ref_t *ref, const char *path,
                           const char *accept, size_t max, rdg_http_answer_t *got);

#endif
