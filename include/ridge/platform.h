/* The cloud's platform: devices and what they are told to do (docs/rest-api.md, docs/openapi.yaml).
 *
 * Orders and answers are the documented JSON, as text. Names that cannot stand in a path are INVALID before anything is
 * sent; other failures have the platform's own code and sentence. Nothing here is retried silently: an order with an "id"
 * may be given again, and stays one. */
#ifndef RIDGE_PLATFORM_H
#define RIDGE_PLATFORM_H
#include <ridge/status.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ridge_platform ridge_platform_t;

/* url: "http://127.0.0.1:7780"; token: of an operator, copied. Connects with the first call. Returns owned. */
RIDGE_API ridge_status_t ridge_platform_open(const char *url, const char *token, ridge_platform_t **out);
RIDGE_API void ridge_platform_close(ridge_platform_t *platform); /* NULL is fine */
/* Any path below /api/v1. body: a JSON object, or NULL. timeout_ms 0: 30 s. answer may be NULL. Returns owned. */
RIDGE_API ridge_status_t ridge_platform_call(ridge_platform_t *platform, const char *method, const char *path,
                                             const char *body, uint64_t timeout_ms, char **answer);

/* --- devices: all answers are returned owned ----------------------------------------------------------- */

/* An array of all that fit, by name. group, labels ("k=v,k2=v2"): NULL for any. */
RIDGE_API ridge_status_t ridge_platform_devices(ridge_platform_t *platform, const char *group,
                                                const char *labels, char **devices);
/* order: {"count"?, "uses"?, "ttl_s"?, "group"?, "labels"?, "approve"?, …} or NULL. An array; shown this once. */
RIDGE_API ridge_status_t ridge_platform_tokens(ridge_platform_t *platform, const char *order, char **tokens);
/* Devices that wait to be approved, and the word about one of them by its "number". reason: of a refusal; may be NULL. */
RIDGE_API ridge_status_t ridge_platform_waiting(ridge_platform_t *platform, char **requests);
RIDGE_API ridge_status_t ridge_platform_decide(ridge_platform_t *platform, uint64_t number, bool approve,
                                               const char *reason);
/* A token with which new hardware takes the device's place. order: {"ttl_s"?, "at_once"?, "approve"?} or NULL. */
RIDGE_API ridge_status_t ridge_platform_replace(ridge_platform_t *platform, const char *device,
                                                const char *order, char **answer);

/* --- commands ---------------------------------------------------------------------------------------------- */

/* order: {"type", "params"?, "id"?, "deadline_ms"?, "priority"?}. On the platform's disk when it returns. */
RIDGE_API ridge_status_t ridge_platform_command(ridge_platform_t *platform, const char *device,
                                                const char *order, char **command);
/* As it is when it has ended, or after wait_ms (at most 25,000). */
RIDGE_API ridge_status_t ridge_platform_command_wait(ridge_platform_t *platform, const char *id,
                                                     uint64_t wait_ms, char **command);
/* order: {"type", "params"?, "selector", "batch_size"?, "stop_percent"?, …}: to many devices, batch after batch. */
RIDGE_API ridge_status_t ridge_platform_rollout(ridge_platform_t *platform, const char *order,
                                                char **rollout);

/* --- images -------------------------------------------------------------------------------------------------- */

RIDGE_API ridge_status_t ridge_platform_images(ridge_platform_t *platform, char **images); /* an array */
/* The form of one, by tag or digest. */
RIDGE_API ridge_status_t ridge_platform_image(ridge_platform_t *platform, const char *name,
                                              const char *reference, char **image);

#ifdef __cplusplus
}
#endif
#endif
