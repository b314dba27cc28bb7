/* The Engine API of Docker, which Podman speaks too, over the engine's local socket: one request, one answer of JSON.
 *
 * The version of the API is the engine's own newest. Answers have at most ENGINE_ANSWER_MAX bytes; every wait is bounded.
 * UNAVAILABLE names the socket and what to do. */
#ifndef RIDGE_CONTAINER_ENGINE_H
#define RIDGE_CONTAINER_ENGINE_H
#include "ridge/codec/json.h"
#include "ridge/net/http_client.h"

#define ENGINE_ANSWER_MAX (4u << 20)

typedef struct engine {
    const char *socket; /* borrowed */
} engine_t;

/* body: NULL, or taken. *out (NULL: not wanted) is owned, NULL where the engine sent no JSON. An answer of 400 and above is
 * an error with the engine's own words: NOT_FOUND (404), CONFLICT (409), INVALID (400), INTERNAL. */
rdg_err_t engine_call(const engine_t *e, const char *method, const char *path, json_t *body,
                      uint64_t timeout_ms, json_t **out);
/* POST of a file as application/x-tar. */
rdg_err_t engine_send_tar(const engine_t *e, const char *path, const char *file, uint64_t timeout_ms);
/* GET whose body goes to the sink as it comes. */
rdg_err_t engine_stream(const engine_t *e, const char *path, uint64_t timeout_ms,
                        rdg_err_t (*sink)(void *ctx, rdg_bytes_t chunk), void *ctx);

#endif
