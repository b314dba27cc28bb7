#include "analysis.h"
#include <string.h>
#include "opcodes.h"
#include "ridge/base/alloc.h"

#define CACHE_ENTRIES_MAX 4096

static void find_jumpdests(evm_code_t *code) {
    for (size_t i = 0; i < code->len; ++i) {
        uint8_t op = code->bytes[i];
        if (op == EVM_JUMPDEST)
            code->jumpdests[i / 8] |= (uint8_t)(1u << (i % 8));
        else if (op >= EVM_PUSH1 && op <= EVM_PUSH32)
            i += (size_t)(op - EVM_PUSH1 + 1);
    }
}

evm_code_t *evm_code_analyse(rdg_bytes_t bytes) {
    size_t bitmap = bytes.len / 8 + 1, size;
    if (__builtin_add_overflow(sizeof(evm_code_t) + EVM_CODE_PADDING + bitmap, bytes.len, &size)) return NULL;
    evm_code_t *code = rdg_calloc(1, size);
    if (!code) return NULL;
    code->refs = 1;
    code->len = bytes.len;
    code->cost = size;
    code->bytes = (uint8_t *)(code + 1);
    code->jumpdests = code->bytes + bytes.len + EVM_CODE_PADDING;
    if (bytes.len > 0) memcpy(code->bytes, bytes.data, bytes.len);
    find_jumpdests(code);
    return code;
}

void evm_code_unref(evm_code_t *code) {
    if (code && --code->refs == 0) rdg_free(code);
}

rdg_err_t evm_code_cache_init(evm_code_cache_t *c, size_t budget_bytes) {
    *c = (evm_code_cache_t){.budget = budget_bytes};
    rdg_list_init(&c->lru);
    c->by_hash = rdg_map_new(CACHE_ENTRIES_MAX);
    return c->by_hash ? RDG_OK : RDG_E_NO_MEMORY;
}

static void drop(evm_code_cache_t *c, evm_code_t *code) {
    rdg_map_remove(c->by_hash, rdg_bytes(code->hash.b, sizeof code->hash.b));
    rdg_list_remove(&code->lru);
    c->used -= code->cost;
    evm_code_unref(code);
}

static evm_code_t *oldest(evm_code_cache_t *c) {
    return rdg_list_empty(&c->lru) ? NULL : RDG_LIST_ENTRY(c->lru.prev, evm_code_t, lru);
}

void evm_code_cache_fini(evm_code_cache_t *c) {
    if (!c->by_hash) return;
    for (evm_code_t *code; (code = oldest(c));) drop(c, code);
    rdg_map_free(c->by_hash);
}

static bool insert(evm_code_cache_t *c, evm_code_t *code, const rdg_word_t *hash) {
    if (code->cost > c->budget) return true;
    while (c->used + code->cost > c->budget || rdg_map_count(c->by_hash) >= CACHE_ENTRIES_MAX)
        drop(c, oldest(c));
    code->hash = *hash;
    if (rdg_map_put(c->by_hash, rdg_bytes(code->hash.b, sizeof code->hash.b), code, NULL) != RDG_OK)
        return false;
    rdg_list_append(c->lru.next, &code->lru);
    c->used += code->cost;
    ++code->refs;
    return true;
}

evm_code_t *evm_code_cache_get(evm_code_cache_t *c, rdg_bytes_t bytes, const rdg_word_t *hash) {
    evm_code_t *code = rdg_map_get(c->by_hash, rdg_bytes(hash->b, sizeof hash->b));
    if (code) {
        rdg_list_remove(&code->lru);
        rdg_list_append(c->lru.next, &code->lru);
        ++code->refs;
        return code;
    }
    code = evm_code_analyse(bytes);
    if (!code || insert(c, code, hash)) return code;
    evm_code_unref(code);
    return NULL;
}
