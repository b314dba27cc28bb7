/* Bearer tokens: only digests are kept. */
#ifndef RIDGE_SERVICE_TOKENS_H
#define RIDGE_SERVICE_TOKENS_H
#include "ridge/service/service.h"

typedef struct rdg_tokens {
    size_t count;
    struct {
        char caller[64];
        rdg_hash_t digest;
    } list[RDG_SERVICE_TOKENS_MAX];
} rdg_tokens_t;

rdg_err_t rdg_tokens_add(rdg_tokens_t *t, const char *caller, const rdg_hash_t *digest);
/* authorization: the header, may be NULL. The caller, or NULL. Looks at every digest whatever the outcome. */
const char *rdg_tokens_find(const rdg_tokens_t *t, const char *authorization);
const char *rdg_tokens_find_token(const rdg_tokens_t *t, const char *token);

#endif
