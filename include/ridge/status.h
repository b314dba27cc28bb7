/* libridge: what its functions return, and who frees what.
 *
 * libridge is the C client of a Ridge chain: keys (key.h), the contract ABI (abi.h), a node's JSON-RPC (node.h),
 * contracts by name of method (contract.h), proofs that need no trust in the node (verify.h), and the cloud's platform
 * (platform.h).
 *
 * Every function that can fail returns a ridge_status_t: RIDGE_OK (0), or one code of the list below. Numbers never
 * change their meaning; later versions may add some. ridge_error(status) is the sentence for a person: what was
 * wrong, with what, and what to do.
 *
 * Ownership: what a function gives by a pointer to a pointer is the caller's, to be released as its comment says:
 * objects by their own _free or _close, text and bytes by ridge_free. Arguments are borrowed for the call. On failure
 * outputs are NULL or zero, unless the comment says otherwise.
 * Threads: an object may be used by one thread at a time; ridge_key_t, ridge_abi_t and ridge_tx_t never change and may
 * be shared. ridge_error is the calling thread's own.
 * Text is UTF-8 and ends with a zero byte. Addresses are "0x" and 40 digits, hashes "0x" and 64. JSON is text. */
#ifndef RIDGE_STATUS_H
#define RIDGE_STATUS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define RIDGE_API __attribute__((visibility("default")))
#else
#define RIDGE_API
#endif

typedef unsigned ridge_status_t;
enum {
    RIDGE_OK = 0,
    RIDGE_NO_MEMORY = 1,
    RIDGE_INVALID = 2,   /* an argument or a value */
    RIDGE_MALFORMED = 3, /* data that is not of its form */
    RIDGE_TOO_LARGE = 4,
    RIDGE_NOT_FOUND = 5,
    RIDGE_BUSY = 7,
    RIDGE_FULL = 8, /* the node's pool, for one */
    RIDGE_IO = 9,
    RIDGE_CORRUPT = 10,
    RIDGE_TIMEOUT = 12,
    RIDGE_UNAUTHENTICATED = 15, /* a wrong passphrase, for one */
    RIDGE_FORBIDDEN = 16,
    RIDGE_BAD_SIGNATURE = 17,
    RIDGE_WRONG_CHAIN = 18,
    RIDGE_EXPIRED = 19,   /* never included before its last valid height: sign it anew */
    RIDGE_DUPLICATE = 20, /* the node has it already */
    RIDGE_GAS_LIMIT = 21,
    RIDGE_REVERTED = 22, /* the contract refused; ridge_error has its reason */
    RIDGE_UNSUPPORTED = 23,
    RIDGE_UNAVAILABLE = 24, /* no connection, or not yet: try again */
    RIDGE_CONFLICT = 25,
    RIDGE_PROTOCOL = 28, /* what answers is no Ridge node */
    RIDGE_INTERNAL = 29,
    RIDGE_INVALID_TX = 32,
    RIDGE_STALE = 33 /* of verify.h: changes of the validators must be learnt first */
};

#define RIDGE_ADDRESS_TEXT 43 /* bytes of "0x…" with its end */
#define RIDGE_HASH_TEXT 67

/* The code's stable name, "NOT_FOUND". Static. */
RIDGE_API const char *ridge_status_name(ridge_status_t status);
/* What this thread's last failure with that code said. Borrowed until the next failure in this thread. */
RIDGE_API const char *ridge_error(ridge_status_t status);
/* "0.1.0". Static. */
RIDGE_API const char *ridge_version(void);
/* Text and bytes that a function gave. NULL is fine. */
RIDGE_API void ridge_free(void *p);

/* Bytes that a function gave; release data with ridge_free. */
typedef struct ridge_bytes {
    uint8_t *data;
    size_t len;
} ridge_bytes_t;

#ifdef __cplusplus
}
#endif
#endif
