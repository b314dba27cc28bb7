/* The Ethereum virtual machine: an interpreter behind a host vtable.
 *
 * What it does: runs bytecode under the rules of Ethereum (yellow paper and EIPs) up to the revision asked
 * for (default Cancun), with Ethereum's gas, all call kinds and both creates. KECCAK256 stays Keccak, so
 * stock solc output runs unchanged.
 * What it does not: it holds no account, does no I/O, reads no clock, starts no thread.
 *
 * Invariants
 * 1. One rdg_evm_execute runs a whole message-call tree. Nested calls push frames on the machine's own
 *    frame stack: the C stack does not grow with the depth a contract chooses (limit 1,024).
 * 2. The result is a function of (revision, message, context, what the host answers), on every machine.
 * 3. State changes of a frame that fails or reverts are undone by host->revert_to before its caller goes on.
 * 4. Memory is bounded by gas and by the context's memory_max over all frames of a transaction; beyond it the
 *    frame is out of gas. The limit is part of the rules that all nodes of a chain must share.
 * 5. A machine serves one execution at a time; machines are independent (one a thread).
 * 6. The host answers an error of its own (disk, corruption) through its `failed` return: execution stops at
 *    once with RDG_EVM_HOST_ERROR and the transaction must not be committed.
 *
 * Precompiles. Ethereum's 1 (ecrecover), 2 (SHA-256), 3 (RIPEMD-160), 4 (identity), 5 (modular power), 6 to 8
 * (alt_bn128: add, multiply, pairing check) and 9 (BLAKE2 F), with the gas of EIP-152, 1108 and 2565. Absent
 * is 10, KZG point evaluation (Cancun): a call to it fails with RDG_EVM_PRECOMPILE_ABSENT and consumes the gas
 * it was given.
 * Ridge's own, at "RDG" and a number:
 *   0x52444701 SM3: input of any length -> 32 bytes; gas 60 + 12 a word.
 *   0x52444702 SM2 verify: public key X‖Y (64) ‖ signature r‖s (64) ‖ message -> one word, 1 if the signature
 *          (any s, default user id) is good, else 0; gas 3,450 + 12 a word of input.
 *   0x52444703 SM4: operation (1 byte: 0 CTR, 1 CBC encrypt, 2 CBC decrypt) ‖ key (16) ‖ first counter or IV
 *          (16) ‖ data -> as many bytes; CBC without padding, so data in whole blocks. Fails on another
 *          operation, a short input, a partial block. Gas 600 + 12 a word of input. A key in a contract's input
 *          is public: this serves data whose key is disclosed, never secrecy.
 *
 * Execution starts by warming origin, coinbase and recipient (EIP-2929, 3651); the access list is the
 * caller's to warm before. The machine moves the message's value, and counts the nonces of contracts that
 * create; the nonce of the transaction's sender is the caller's. */
#ifndef RIDGE_EVM_EVM_H
#define RIDGE_EVM_EVM_H
#include "ridge/base/buf.h"
#include "ridge/crypto/sm2.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RDG_EVM_CALL_DEPTH_MAX 1024
#define RDG_EVM_STACK_MAX 1024
#define RDG_EVM_CODE_MAX 24576                      /* EIP-170 */
#define RDG_EVM_INITCODE_MAX (2 * RDG_EVM_CODE_MAX) /* EIP-3860 */
#define RDG_EVM_MEMORY_MAX (64u << 20)    /* of contracts in one transaction, unless the context says other */
#define RDG_EVM_CODE_CACHE_MAX (4u << 20) /* bytes of analysed code kept by a machine, by code hash */

/* 256-bit word as it stands on the wire and in storage: big-endian bytes. */
typedef struct rdg_word {
    uint8_t b[32];
} rdg_word_t;

typedef enum rdg_evm_revision { RDG_EVM_SHANGHAI = 0, RDG_EVM_CANCUN = 1 } rdg_evm_revision_t;

typedef enum rdg_evm_kind {
    RDG_EVM_CALL,
    RDG_EVM_CALLCODE,
    RDG_EVM_DELEGATECALL,
    RDG_EVM_STATICCALL,
    RDG_EVM_CREATE,
    RDG_EVM_CREATE2
} rdg_evm_kind_t;

typedef enum rdg_evm_status {
    RDG_EVM_SUCCESS,
    RDG_EVM_REVERT,
    RDG_EVM_OUT_OF_GAS,
    RDG_EVM_INVALID_OPCODE,
    RDG_EVM_STACK_UNDERFLOW,
    RDG_EVM_STACK_OVERFLOW,
    RDG_EVM_BAD_JUMP,
    RDG_EVM_STATIC_VIOLATION,
    RDG_EVM_RETURN_DATA_BOUNDS,
    RDG_EVM_CALL_DEPTH,
    RDG_EVM_BALANCE, /* value exceeds the sender's balance */
    RDG_EVM_CREATE_COLLISION,
    RDG_EVM_NONCE_OVERFLOW,
    RDG_EVM_CODE_TOO_LARGE,
    RDG_EVM_CODE_INVALID, /* EIP-3541: starts with 0xEF */
    RDG_EVM_PRECOMPILE_FAILED,
    RDG_EVM_PRECOMPILE_ABSENT,
    RDG_EVM_REFUSED, /* the host refuses this callee (contract frozen or revoked) without a word */
    RDG_EVM_HOST_ERROR
} rdg_evm_status_t;
const char *rdg_evm_status_name(rdg_evm_status_t s);

/* The block and the transaction that the message runs in. */
typedef struct rdg_evm_context {
    rdg_evm_revision_t revision;
    rdg_address_t origin, coinbase;
    rdg_word_t gas_price, base_fee, blob_base_fee, prevrandao, chain_id;
    uint64_t block_number, block_time_s, block_gas_limit;
    uint64_t memory_max;           /* invariant 4; 0: RDG_EVM_MEMORY_MAX */
    const rdg_word_t *blob_hashes; /* borrowed; NULL with count 0 where there are no blobs */
    size_t blob_hash_count;
} rdg_evm_context_t;

typedef struct rdg_evm_message {
    rdg_evm_kind_t kind; /* CALL or CREATE/CREATE2 at the top; the others occur inside */
    bool is_static;
    rdg_address_t sender, recipient /* of a create: set by the machine */, code_address;
    rdg_word_t value, salt /* CREATE2 */;
    uint64_t
        nonce; /* CREATE at the top: the transaction's own nonce, as Ethereum's rule takes the sender's */
    uint64_t gas;
    rdg_bytes_t input; /* call data, or init code of a create; borrowed for the execution */
} rdg_evm_message_t;

typedef struct rdg_evm_result {
    rdg_evm_status_t status;
    uint64_t gas_left;
    int64_t gas_refund;    /* accumulated, not yet capped */
    rdg_address_t created; /* creates: the new address (also on failure, for diagnosis) */
    rdg_bytes_t output;    /* return or revert data; borrowed from the machine until its next use */
} rdg_evm_result_t;

typedef struct rdg_evm_log {
    rdg_address_t address;
    uint32_t topic_count; /* 0..4 */
    rdg_word_t topics[4];
    rdg_bytes_t data; /* borrowed during the call of host->log */
} rdg_evm_log_t;

typedef enum rdg_evm_access { RDG_EVM_COLD, RDG_EVM_WARM } rdg_evm_access_t;

/* What the machine asks of the state. Every function returns RDG_OK or the host's own trouble (invariant 6).
 * `code` views are borrowed until the execution ends. */
typedef struct rdg_evm_host {
    rdg_err_t (*exists)(void *ctx, const rdg_address_t *a, bool *out); /* EIP-161: not empty */
    rdg_err_t (*balance)(void *ctx, const rdg_address_t *a, rdg_word_t *out);
    rdg_err_t (*transfer)(void *ctx, const rdg_address_t *from, const rdg_address_t *to,
                          const rdg_word_t *value);
    rdg_err_t (*nonce)(void *ctx, const rdg_address_t *a, uint64_t *out);
    rdg_err_t (*set_nonce)(void *ctx, const rdg_address_t *a, uint64_t nonce);
    rdg_err_t (*code)(void *ctx, const rdg_address_t *a, rdg_bytes_t *code, rdg_word_t *code_hash);
    rdg_err_t (*set_code)(void *ctx, const rdg_address_t *a, rdg_bytes_t code);
    /* True if a contract may be created at a (nonce 0, no code, no storage). create marks it created in this
     * transaction, with nonce 1 (EIP-161) and empty storage. */
    rdg_err_t (*can_create)(void *ctx, const rdg_address_t *a, bool *out);
    rdg_err_t (*create)(void *ctx, const rdg_address_t *a);
    rdg_err_t (*storage)(void *ctx, const rdg_address_t *a, const rdg_word_t *key, rdg_word_t *value);
    /* value at the start of the transaction, for EIP-2200/3529 */
    rdg_err_t (*storage_original)(void *ctx, const rdg_address_t *a, const rdg_word_t *key,
                                  rdg_word_t *value);
    rdg_err_t (*set_storage)(void *ctx, const rdg_address_t *a, const rdg_word_t *key,
                             const rdg_word_t *value);
    rdg_err_t (*transient)(void *ctx, const rdg_address_t *a, const rdg_word_t *key, rdg_word_t *value);
    rdg_err_t (*set_transient)(void *ctx, const rdg_address_t *a, const rdg_word_t *key,
                               const rdg_word_t *value);
    /* Marks as warm (EIP-2929) and tells what it was. */
    rdg_err_t (*access_account)(void *ctx, const rdg_address_t *a, rdg_evm_access_t *was);
    rdg_err_t (*access_storage)(void *ctx, const rdg_address_t *a, const rdg_word_t *key,
                                rdg_evm_access_t *was);
    /* Moves a's whole balance to the beneficiary. EIP-6780 is the host's: it removes a at the end of the
     * transaction only if it was created in it (then a balance left to itself is burnt). */
    rdg_err_t (*selfdestruct)(void *ctx, const rdg_address_t *a, const rdg_address_t *beneficiary);
    rdg_err_t (*log)(void *ctx, const rdg_evm_log_t *log);
    rdg_err_t (*block_hash)(void *ctx, uint64_t number, rdg_word_t *out); /* zero if not among the last 256 */
    /* Journal: revert_to undoes every change made since snapshot returned that number (logs, warmth, refunds
     * of the frame and transient storage included; refunds are kept by the machine). */
    size_t (*snapshot)(void *ctx);
    void (*revert_to)(void *ctx, size_t snapshot);
    /* May code at `a` be entered? Contract life: false makes the call fail and its gas go back to the caller; what
     * was appended to `refusal` is revert data, and without any the status is RDG_EVM_REFUSED. is_static: nothing can be
     * changed inside. Asked right after `code` of the same account. NULL: always. */
    rdg_err_t (*may_call)(void *ctx, const rdg_address_t *a, rdg_evm_kind_t kind, bool is_static,
                          rdg_buf_t *refusal, bool *out);
    /* A precompile or system contract at `a`: *found=false if there is none. gas is reduced; output appended.
     * Fails by *ok=false: with output, that is revert data and the gas left goes back to the caller; without,
     * all gas of the frame is consumed. Value has been moved already; a failure undoes it. Called for CALL,
     * CALLCODE, DELEGATECALL and STATICCALL alike (see msg->kind, msg->is_static). NULL: none beyond the
     * machine's own. */
    rdg_err_t (*precompile)(void *ctx, const rdg_evm_message_t *msg, uint64_t *gas, rdg_buf_t *output,
                            bool *found, bool *ok);
} rdg_evm_host_t;

typedef struct rdg_evm rdg_evm_t;
rdg_evm_t *rdg_evm_new(void); /* NULL: no memory */
void rdg_evm_free(rdg_evm_t *vm);

/* Runs msg. The intrinsic gas of a transaction, the refund cap and fees are the caller's. Returns RDG_OK
 * whenever the machine reached a verdict (see result->status), or NO_MEMORY or the host's own error. */
rdg_err_t rdg_evm_execute(rdg_evm_t *vm, const rdg_evm_host_t *host, void *host_ctx,
                          const rdg_evm_context_t *context, const rdg_evm_message_t *msg,
                          rdg_evm_result_t *result);

/* Intrinsic gas of a transaction (21,000, data bytes, create, init code words): EIP-2028, 3860. */
uint64_t rdg_evm_intrinsic_gas(bool is_create, rdg_bytes_t data);
/* Ethereum's address rules: keccak256(rlp([sender, nonce]))[12..] and EIP-1014. */
void rdg_evm_create_address(const rdg_address_t *sender, uint64_t nonce, rdg_address_t *out);
void rdg_evm_create2_address(const rdg_address_t *sender, const rdg_word_t *salt, rdg_bytes_t init_code,
                             rdg_address_t *out);

#ifdef __cplusplus
}
#endif
#endif
