/* What another registry's answers say. Pure functions over hostile text, fuzzed (fuzz/upstream.c): whatever it sends,
 *
 * 1. an address that is followed is plain text and has https:// when the registry has;
 * 2. a token that becomes a header has no byte that could end the header;
 * 3. lists have valid tags and digests only, each once, and at most as many as were wanted. */
#ifndef RIDGE_REGISTRY_UPSTREAM_ANSWER_H
#define RIDGE_REGISTRY_UPSTREAM_ANSWER_H
#include "ridge/base/buf.h"
#include "ridge/codec/json.h"
#include "target.h"

#define UPSTREAM_TOKEN_MAX (16u << 10)
#define UPSTREAM_ADDRESS_MAX 4000
#define UPSTREAM_REFERRERS_MAX 1000

/* The value of a parameter of a challenge (WWW-Authenticate, RFC 9110, 11.6.1); false: it has none, or it does not fit. */
bool upstream_parameter(const char *challenge, const char *name, char *out, size_t size);
/* Where a token for scope is to be had. registry: its scheme and host. PROTOCOL. */
rdg_err_t upstream_token_address(const char *registry, const char *challenge, const char *scope,
                                 char out[UPSTREAM_ADDRESS_MAX]);
/* The token service's answer as "Authorization: Bearer …"; header is cleared before. MALFORMED, PROTOCOL. */
rdg_err_t upstream_token(rdg_bytes_t body, rdg_buf_t *header, uint64_t *life_s);
/* Where a redirect leads. PROTOCOL. */
rdg_err_t upstream_location(const char *registry, const char *location, char out[UPSTREAM_ADDRESS_MAX]);
/* Whether a Link header (RFC 8288) says that a list goes on. out: the path behind <registry>/v2/<name>/; empty where it leads
 * elsewhere. */
bool upstream_next(const char *registry, const char *name, const char *link, char out[UPSTREAM_ADDRESS_MAX]);
/* Tags after `last` (NULL: all), at most max, as they come; also of a registry that knows no pages. *out: owned. */
rdg_err_t upstream_tags(rdg_bytes_t body, const char *last, uint64_t max, json_t **out);
/* Adds an index's descriptors, of this artifact type if one is given, to a list until it has UPSTREAM_REFERRERS_MAX. */
rdg_err_t upstream_referrers(rdg_bytes_t body, const char *type, json_t *list);

#endif
