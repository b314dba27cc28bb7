/* The cloud's REST interface (docs/rest-api.md), as the CLI, the agent's enrolment and the cloud's own
 * services use it.
 *
 * One generic call: paths and bodies are those of the documentation. An answer outside 2xx becomes the
 * rdg_err_t that its error object names, with its message. A client belongs to one thread. */
#ifndef RIDGE_CLIENT_CLOUD_H
#define RIDGE_CLIENT_CLOUD_H
#include "ridge/codec/json.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rdg_cloud_client rdg_cloud_client_t;

/* url: "http://127.0.0.1:7780", or the absolute path of a local socket; token: bearer token or NULL. Copies. */
rdg_err_t rdg_cloud_client_new(const char *url, const char *token, rdg_cloud_client_t **out);
void rdg_cloud_client_free(rdg_cloud_client_t *c);
/* path below /api/v1 ("/devices"). body: taken, may be NULL. answer: returned owned, may be NULL if not
 * wanted; an empty body gives JSON null. timeout_ms 0: 30 s. */
rdg_err_t rdg_cloud_call(rdg_cloud_client_t *c, const char *method, const char *path, json_t *body,
                         uint64_t timeout_ms, json_t **answer);
/* GET of a path that answers bytes, not JSON: they go to sink, whose error ends the call and is returned. */
rdg_err_t rdg_cloud_fetch(rdg_cloud_client_t *c, const char *path, uint64_t timeout_ms,
                          rdg_err_t (*sink)(void *ctx, rdg_bytes_t bytes), void *ctx);
/* The trace id of the last answer's error, "" if none: to quote to an operator. Borrowed. */
const char *rdg_cloud_trace(const rdg_cloud_client_t *c);

#ifdef __cplusplus
}
#endif
#endif
