/* The access tokens of the administrator ("admin") and of who gathers metrics ("metrics", for GET /api/v1/metrics alone): made
 * at the first start, there is no default one.
 *
 * <data>/admin.token holds it, readable by the owner only, for whoever runs the cloud to take;
 * <data>/admin.token.sm3 holds its digest, and that alone is what later starts need: the operator may move
 * the token itself elsewhere. To have a new one made, both files are removed. */
#ifndef RIDGE_CLOUD_ADMIN_TOKEN_H
#define RIDGE_CLOUD_ADMIN_TOKEN_H
#include "ridge/crypto/hash.h"

rdg_err_t cloud_token_digest(const char *data_dir, const char *name, rdg_hash_t *out);

#endif
