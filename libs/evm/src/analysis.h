/* Code made ready to run: blocks whose gas and stack are checked once, and an operation for each byte.
 *
 * A block is a run of operations that is entered at its first one alone and left after its last: it begins at
 * the start of the code, at a JUMPDEST, and behind an operation that ends one. These are jumps, halts, and
 * whatever shows a contract its exact gas (GAS, calls, creates, SSTORE with its minimum): there the block's gas has
 * been charged up to that operation and no further. To be out of gas or stack at the block's entrance instead
 * of in its middle changes nothing that can be observed: every other way out of the middle is a failure too,
 * which takes all gas and undoes all changes of the frame.
 *
 * Invariants
 * 1. ops has the length of the code and an operation stands where it stood, so that positions stay what a
 *    contract knows. Only whole pairs of operations are replaced (EVM_FUSED_*), and none that is a JUMPDEST.
 * 2. Behind the last byte stand EVM_CODE_PADDING zero bytes: a PUSH may read and the program counter may run
 *    past the end without a check (zero is STOP).
 * 3. block_of[i] is not 0 exactly where a block begins, so a jump to i is good if that is so and ops[i] is
 *    JUMPDEST.
 * 4. The cache holds at most its budget in bytes; the least recently used code goes first. Code in use by a
 *    frame outlives its place in the cache. */
#ifndef RIDGE_EVM_ANALYSIS_H
#define RIDGE_EVM_ANALYSIS_H
#include "ridge/base/list.h"
#include "ridge/base/map.h"
#include "ridge/evm/evm.h"

#define EVM_CODE_PADDING 40
#define EVM_CODE_LEN_MAX UINT16_MAX /* block_of and the targets of jumps are 16 bits */

/* In place of PUSH1 or PUSH2 with a JUMP or JUMPI behind it: the target follows in 16 bits of the machine's
 * order. Numbers that no opcode has; unassigned ones in code become EVM_INVALID. */
#define EVM_FUSED_JUMP 0x0c
#define EVM_FUSED_JUMPI_1 0x0d
#define EVM_FUSED_JUMPI_2 0x0e
#define EVM_INVALID 0xfe

typedef struct evm_block {
    uint32_t gas;
    /* It can be entered with `need` to `need + spare` words on the stack. */
    uint16_t need, spare;
} evm_block_t;
#define EVM_BLOCK_OVERFLOWS UINT16_MAX /* as need: at any height */

typedef struct evm_code {
    rdg_list_t lru;
    rdg_word_t hash; /* of cached code */
    unsigned refs;   /* frames that run it, and the cache */
    size_t len, cost;
    evm_block_t *blocks; /* from 1 */
    uint16_t *block_of;
    uint8_t *ops;
    uint8_t *bytes; /* the code as it was given */
} evm_code_t;

typedef struct evm_code_cache {
    rdg_map_t *by_hash;
    rdg_list_t lru; /* the most recently used first */
    size_t used, budget;
} evm_code_cache_t;

rdg_err_t evm_code_cache_init(evm_code_cache_t *c, size_t budget_bytes);
void evm_code_cache_fini(evm_code_cache_t *c);
/* Both give one reference, to be given back by evm_code_unref. At most EVM_CODE_LEN_MAX bytes. NULL: no
 * memory. */
evm_code_t *evm_code_cache_get(evm_code_cache_t *c, rdg_bytes_t code, const rdg_word_t *hash);
evm_code_t *evm_code_analyse(rdg_bytes_t code);
/* The same without EVM_FUSED_*: each operation is dispatched by itself. */
evm_code_t *evm_code_analyse_plain(rdg_bytes_t code);
unsigned evm_static_gas(uint8_t op); /* that is charged with the block */
void evm_code_unref(evm_code_t *code);

#endif
