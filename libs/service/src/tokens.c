#include "tokens.h"
#include <stdio.h>
#include <string.h>
#include "ridge/base/alloc.h"

#define TOKEN_BYTES_MAX 512

rdg_err_t rdg_tokens_add(rdg_tokens_t *t, const char *caller, const rdg_hash_t *digest) {
    if (t->count == RDG_SERVICE_TOKENS_MAX)
        return rdg_fail(RDG_E_FULL, "%d access tokens at most", RDG_SERVICE_TOKENS_MAX);
    snprintf(t->list[t->count].caller, sizeof t->list[0].caller, "%s", caller);
    t->list[t->count++].digest = *digest;
    return RDG_OK;
}

const char *rdg_tokens_find(const rdg_tokens_t *t, const char *token) {
    size_t len = strnlen(token, TOKEN_BYTES_MAX + 1);
    if (len == 0 || len > TOKEN_BYTES_MAX) return NULL;
    rdg_hash_t digest;
    rdg_sm3(token, len, &digest);
    const char *caller = NULL;
    for (size_t i = 0; i < t->count; ++i)
        if (rdg_ct_equal(digest.b, t->list[i].digest.b, sizeof digest.b)) caller = t->list[i].caller;
    return caller;
}
