/* Code made ready to run: a padded copy and the set of valid jump destinations, kept by code hash.
 *
 * Invariants
 * 1. Behind the last byte of code stand EVM_CODE_PADDING zero bytes: a PUSH may read and the program counter
 *    may run past the end without a check (zero is STOP).
 * 2. The cache holds at most its budget in bytes; the least recently used code goes first. Code in use by a
 *    frame outlives its place in the cache. */
#ifndef RIDGE_EVM_ANALYSIS_H
#define RIDGE_EVM_ANALYSIS_H
#include "ridge/base/list.h"
#include "ridge/base/map.h"
#include "ridge/evm/evm.h"

#define EVM_CODE_PADDING 40

typedef struct evm_code {
    rdg_list_t lru;
    rdg_word_t hash; /* of cached code */
    unsigned refs;   /* frames that run it, and the cache */
    size_t len, cost;
    uint8_t *jumpdests; /* one bit for each byte of code */
    uint8_t *bytes;
} evm_code_t;

typedef struct evm_code_cache {
    rdg_map_t *by_hash;
    rdg_list_t lru; /* the most recently used first */
    size_t used, budget;
} evm_code_cache_t;

rdg_err_t evm_code_cache_init(evm_code_cache_t *c, size_t budget_bytes);
void evm_code_cache_fini(evm_code_cache_t *c);
/* Both give one reference, to be given back by evm_code_unref. NULL: no memory. */
evm_code_t *evm_code_cache_get(evm_code_cache_t *c, rdg_bytes_t code, const rdg_word_t *hash);
evm_code_t *evm_code_analyse(rdg_bytes_t code);
void evm_code_unref(evm_code_t *code);

static inline bool evm_code_is_jumpdest(const evm_code_t *code, uint64_t at) {
    return at < code->len && ((code->jumpdests[at / 8] >> (at % 8)) & 1);
}

#endif
