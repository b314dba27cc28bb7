/* Who is a device, and what the platform does for one, as C functions over its REST interface (docs/rest-api.md): tokens,
 * approval, replacement, revocation, requests, certificates of its nodes, and which images it may have.
 *
 * Names that cannot stand in a path are INVALID before anything is sent. Answers are the documented JSON, owned by the
 * caller; other errors are those of rdg_cloud_call. A client belongs to one thread. Beside platform.h. */
#ifndef RIDGE_CLIENT_DEVICES_H
#define RIDGE_CLIENT_DEVICES_H
#include "ridge/client/cloud.h"

#ifdef __cplusplus
extern "C" {
#endif

/* order: {"count"?, "uses"?, "ttl_s"?, "group"?, "site"?, "location"?, "labels"?, "device"?, "approve"?}; taken, may be NULL.
 * tokens: an array of {"token", "id", …}; the only time that "token" is told. */
rdg_err_t rdg_platform_tokens_make(rdg_cloud_client_t *c, json_t *order, json_t **tokens);
/* All that there are, fetched page by page. */
rdg_err_t rdg_platform_tokens(rdg_cloud_client_t *c, json_t **tokens);
rdg_err_t rdg_platform_token_revoke(rdg_cloud_client_t *c, const char *id,
                                    json_t **token); /* token may be NULL */

/* All devices that wait to be approved, fetched page by page. */
rdg_err_t rdg_platform_waiting(rdg_cloud_client_t *c, json_t **requests);
rdg_err_t rdg_platform_approve(rdg_cloud_client_t *c, uint64_t number, json_t **request);
/* reason: what the device is told; may be NULL. request may be NULL in both. */
rdg_err_t rdg_platform_refuse(rdg_cloud_client_t *c, uint64_t number, const char *reason, json_t **request);

/* order: {"ttl_s"?, "at_once"?, "approve"?}; taken, may be NULL. answer: {"token", "chains", …}. */
rdg_err_t rdg_platform_replace(rdg_cloud_client_t *c, const char *device, json_t *order, json_t **answer);
rdg_err_t rdg_platform_revoke(rdg_cloud_client_t *c, const char *device,
                              const char *reason); /* reason may be NULL */
rdg_err_t rdg_platform_remove(rdg_cloud_client_t *c, const char *device,
                              bool force); /* CONFLICT: it runs a chain */

/* request: {"method", "params", "timeout_ms"?}; taken. answer: {"result"} or {"error"}, as the device gave it. UNAVAILABLE:
 * it is away; TIMEOUT: it is silent, after timeout_ms and two seconds more. */
rdg_err_t rdg_platform_request(rdg_cloud_client_t *c, const char *device, json_t *request,
                               uint64_t timeout_ms, json_t **answer);
/* request: {"chain", "sign_request", "enc_request"}; taken. The same keys get the same certificates again. */
rdg_err_t rdg_platform_certify_node(rdg_cloud_client_t *c, const char *device, json_t *request,
                                    json_t **pair);
/* What a secret for that node may be encrypted for: its valid encryption certificates, newest first, at most `limit`:
 * [{"serial", "public_key", …}]. */
rdg_err_t rdg_platform_node_encryption(rdg_cloud_client_t *c, const char *device, const char *chain,
                                       unsigned limit, json_t **certificates);
/* Of the key that signs receipts of archives. request: PEM; answer: {"certificate"}. */
rdg_err_t rdg_platform_certify_collector(rdg_cloud_client_t *c, const char *request, json_t **answer);

/* Repositories of the registry, fetched page by page: [{"name", "tags", "bytes", "devices", …}]. */
rdg_err_t rdg_platform_images(rdg_cloud_client_t *c, json_t **images);
/* The form of an image by tag or digest; reference NULL: its repository. */
rdg_err_t rdg_platform_image(rdg_cloud_client_t *c, const char *name, const char *reference, json_t **image);
rdg_err_t rdg_platform_image_remove(rdg_cloud_client_t *c, const char *name, const char *reference);
/* devices: "*" (all), "" (none), or names with commas between. */
rdg_err_t rdg_platform_image_devices(rdg_cloud_client_t *c, const char *name, const char *devices);

#ifdef __cplusplus
}
#endif
#endif
