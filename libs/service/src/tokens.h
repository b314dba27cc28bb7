/* Bearer tokens that are the process's own: only digests are kept. */
#ifndef RIDGE_SERVICE_TOKENS_H
#define RIDGE_SERVICE_TOKENS_H
#include "ridge/service/service.h"

typedef struct rdg_tokens {
    size_t count;
    struct {
        char caller[RDG_CALLER_MAX + 1];
        rdg_hash_t digest;
    } list[RDG_SERVICE_TOKENS_MAX];
} rdg_tokens_t;

rdg_err_t rdg_tokens_add(rdg_tokens_t *t, const char *caller, const rdg_hash_t *digest);
/* The caller, or NULL. Looks at every digest whatever the outcome. */
const char *rdg_tokens_find(const rdg_tokens_t *t, const char *token);

#endif
