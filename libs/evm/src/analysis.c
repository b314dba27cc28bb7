#include "analysis.h"
#include <string.h>
#include "gas.h"
#include "opcodes.h"
#include "ridge/base/alloc.h"
#include "ridge/base/assert.h"

#define CACHE_ENTRIES_MAX 4096

enum { ENDS = 1, STARTS = 2 };

typedef struct traits {
    uint16_t gas;
    uint8_t in, out, immediate, block;
    bool known;
} traits_t;

/* STOP, SSTORE, JUMP, JUMPI, GAS; from 0xf0 on calls, creates and halts. */
#define BLOCK_OF(op)                                                                                         \
    (op == 0x00 || op == 0x55 || op == 0x56 || op == 0x57 || op == 0x5a || op >= 0xf0 ? ENDS                 \
     : op == EVM_JUMPDEST                                                             ? STARTS               \
                                                                                      : 0)

/* Cancun's: what Shanghai does not know fails when it is reached, whatever was charged for it. */
static const traits_t traits[256] = {
#define X(code, name, base, taken, given, since)                                                             \
    [code] = {.gas = base, .in = taken, .out = given, .block = BLOCK_OF(code), .known = true},
    EVM_OPCODES(X)
#undef X
#define X(n) [0x5f + (n)] = {.gas = 3, .out = 1, .immediate = (n), .known = true},
        EVM_NUMBERS_1_TO_32(X)
#undef X
#define X(n) [0x7f + (n)] = {.gas = 3, .in = (n), .out = (n) + 1, .known = true},
            EVM_NUMBERS_1_TO_16(X)
#undef X
#define X(n) [0x8f + (n)] = {.gas = 3, .in = (n) + 1, .out = (n) + 1, .known = true},
                EVM_NUMBERS_1_TO_16(X)
#undef X
#define X(n) [0xa0 + (n)] = {.gas = GAS_LOG_TOPIC * ((n) + 1), .in = (n) + 2, .known = true},
                    EVM_NUMBERS_0_TO_4(X)
#undef X
};

static size_t count_blocks(rdg_bytes_t code) {
    size_t count = 2; /* the first of all stands for none */
    for (size_t i = 0; i < code.len; ++i) {
        const traits_t *t = &traits[code.data[i]];
        i += t->immediate;
        count += t->block != 0 || !t->known;
    }
    return count;
}

/* The block being read: heights are relative to its entrance. */
typedef struct reader {
    evm_code_t *code;
    uint16_t block;
    uint32_t gas;
    int height, lowest, highest;
} reader_t;

static void begin_block(reader_t *r, size_t at) {
    r->code->block_of[at] = ++r->block;
    r->gas = 0;
    r->height = r->lowest = r->highest = 0;
}

static void end_block(const reader_t *r) {
    evm_block_t *b = &r->code->blocks[r->block];
    int need = -r->lowest, most = RDG_EVM_STACK_MAX - r->highest; /* at the entrance */
    b->gas = r->gas;
    if (need > RDG_EVM_STACK_MAX)
        b->need = RDG_EVM_STACK_MAX + 1;
    else if (most < need)
        b->need = EVM_BLOCK_OVERFLOWS;
    else
        b->need = (uint16_t)need, b->spare = (uint16_t)(most - need);
}

static void count(reader_t *r, const traits_t *t) {
    int after = r->height - t->in;
    r->gas += t->gas;
    if (after < r->lowest) r->lowest = after;
    r->height = after + t->out;
    if (r->height > r->highest) r->highest = r->height;
}

/* PUSH1 or PUSH2 at i, then a jump. */
static void fuse(evm_code_t *code, size_t i, unsigned immediate) {
    size_t next = i + immediate + 1;
    if (immediate > 2 || next >= code->len) return;
    uint8_t jump = code->bytes[next];
    if (jump != EVM_JUMP && jump != EVM_JUMPI) return;
    uint16_t target = code->bytes[i + 1];
    if (immediate == 2) target = (uint16_t)(target << 8 | code->bytes[i + 2]);
    code->ops[i] = jump == EVM_JUMP ? EVM_FUSED_JUMP : immediate == 1 ? EVM_FUSED_JUMPI_1 : EVM_FUSED_JUMPI_2;
    memcpy(code->ops + i + 1, &target, sizeof target);
}

static void find_blocks(evm_code_t *code, bool fused) {
    reader_t r = {.code = code};
    begin_block(&r, 0);
    for (size_t i = 0; i < code->len; ++i) {
        uint8_t op = code->bytes[i];
        const traits_t *t = &traits[op];
        if (t->block == STARTS && code->block_of[i] == 0) {
            end_block(&r);
            begin_block(&r, i);
        }
        count(&r, t);
        if (!t->known) code->ops[i] = EVM_INVALID;
        if (t->immediate) {
            if (fused) fuse(code, i, t->immediate);
            i += t->immediate;
        }
        if (t->block == ENDS || !t->known) {
            end_block(&r);
            if (i + 1 == code->len) return;
            begin_block(&r, i + 1);
        }
    }
    end_block(&r);
}

static evm_code_t *analyse(rdg_bytes_t bytes, bool fused) {
    RDG_ASSERT(bytes.len <= EVM_CODE_LEN_MAX);
    size_t padded = bytes.len + EVM_CODE_PADDING, blocks = count_blocks(bytes);
    size_t size = sizeof(evm_code_t) + blocks * sizeof(evm_block_t) + padded * sizeof(uint16_t) + 2 * padded;
    evm_code_t *code = rdg_calloc(1, size);
    if (!code) return NULL;
    code->refs = 1;
    code->len = bytes.len;
    code->cost = size;
    code->blocks = (evm_block_t *)(code + 1);
    code->block_of = (uint16_t *)(code->blocks + blocks);
    code->ops = (uint8_t *)(code->block_of + padded);
    code->bytes = code->ops + padded;
    code->blocks[0].spare = RDG_EVM_STACK_MAX; /* past the end, where a STOP stands */
    if (bytes.len > 0) {
        memcpy(code->bytes, bytes.data, bytes.len);
        memcpy(code->ops, bytes.data, bytes.len);
    }
    find_blocks(code, fused);
    return code;
}

evm_code_t *evm_code_analyse(rdg_bytes_t bytes) {
    return analyse(bytes, true);
}

evm_code_t *evm_code_analyse_plain(rdg_bytes_t bytes) {
    return analyse(bytes, false);
}

unsigned evm_static_gas(uint8_t op) {
    return traits[op].gas;
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
