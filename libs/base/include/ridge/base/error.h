/* Error codes, their texts, and the context that is added on the way up.
 *
 * A function that can fail returns rdg_err_t: RDG_OK (0) or one code of the table below. A code says
 * what kind of trouble it is, and a program acts on it. What a person reads is the calling thread's
 * error text: the place that finds the trouble writes it with rdg_fail ("what, with what, and what to
 * do"), callers put their context in front with rdg_fail_in.
 *
 * Invariants
 * 1. The table is append-only: a code keeps its number and its name for ever (they are in logs, in
 *    REST answers as "code", and are exit codes of no program).
 * 2. The text belongs to the last failure of this thread; a success neither reads nor clears it.
 * 3. The text is never longer than RDG_ERROR_TEXT_MAX - 1 bytes; longer ones are cut.
 * 4. No text ever holds a secret. */
#ifndef RIDGE_BASE_ERROR_H
#define RIDGE_BASE_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

#define RDG_ERROR_TEXT_MAX 512

/* X(name, number, text) */
#define RDG_ERROR_TABLE(X)                                                                                   \
    X(OK, 0, "success")                                                                                      \
    X(NO_MEMORY, 1, "out of memory")                                                                         \
    X(INVALID, 2, "invalid argument or value")                                                               \
    X(MALFORMED, 3, "malformed data")                                                                        \
    X(TOO_LARGE, 4, "larger than the stated limit")                                                          \
    X(NOT_FOUND, 5, "not found")                                                                             \
    X(EXISTS, 6, "already exists")                                                                           \
    X(BUSY, 7, "busy: try again later")                                                                      \
    X(FULL, 8, "full: a stated limit is reached")                                                            \
    X(IO, 9, "input/output error")                                                                           \
    X(CORRUPT, 10, "stored data is corrupt")                                                                 \
    X(DISK_FULL, 11, "no space left on the device")                                                          \
    X(TIMEOUT, 12, "timed out")                                                                              \
    X(CANCELLED, 13, "cancelled")                                                                            \
    X(CLOSED, 14, "connection or resource is closed")                                                        \
    X(UNAUTHENTICATED, 15, "not authenticated")                                                              \
    X(FORBIDDEN, 16, "not allowed")                                                                          \
    X(BAD_SIGNATURE, 17, "signature does not verify")                                                        \
    X(WRONG_CHAIN, 18, "belongs to another chain")                                                           \
    X(EXPIRED, 19, "expired")                                                                                \
    X(DUPLICATE, 20, "duplicate")                                                                            \
    X(GAS_LIMIT, 21, "gas limit exceeded")                                                                   \
    X(REVERTED, 22, "execution reverted")                                                                    \
    X(UNSUPPORTED, 23, "not supported")                                                                      \
    X(UNAVAILABLE, 24, "service unavailable")                                                                \
    X(CONFLICT, 25, "conflicts with the present state")                                                      \
    X(CRYPTO, 26, "cryptographic library failed")                                                            \
    X(PORT_IN_USE, 27, "address already in use")                                                             \
    X(PROTOCOL, 28, "peer broke the protocol")                                                               \
    X(INTERNAL, 29, "internal error")                                                                        \
    X(EXHAUSTED, 30, "a budget is used up")                                                                  \
    X(DIVERGED, 31, "this replica's result differs from the quorum's")                                       \
    X(INVALID_TX, 32, "transaction is not valid")                                                            \
    X(STALE, 33, "belongs to the past")                                                                      \
    X(ARCHIVED, 34, "is in an archive, not here any more")

typedef enum rdg_err {
#define RDG_ERROR_ENUM(name, number, text) RDG_E_##name = number,
    RDG_ERROR_TABLE(RDG_ERROR_ENUM)
#undef RDG_ERROR_ENUM
        RDG_E_LIMIT_
} rdg_err_t;

#define RDG_OK RDG_E_OK

/* The code's stable name ("NOT_FOUND") and its text; "UNKNOWN" for a number not in the table. */
const char *rdg_err_name(rdg_err_t code);
const char *rdg_err_text(rdg_err_t code);
/* The code with this name, or RDG_E_INTERNAL: for codes that arrive over REST. */
rdg_err_t rdg_err_from_name(const char *name);

/* Records the text of a failure for this thread and returns code (never RDG_OK), so that
 * `return rdg_fail(...)` reads naturally. The text names the thing, the reason and the remedy. */
#define rdg_fail(code, ...) rdg_err_not_ok_(rdg_fail_(code, __VA_ARGS__))
/* Puts context and ": " in front of the present text and returns code unchanged. If the present text
 * was recorded for another code, the code's own text is taken in its place. RDG_OK passes through. */
__attribute__((format(printf, 2, 3))) rdg_err_t rdg_fail_in(rdg_err_t code, const char *fmt, ...);
/* Maps errno to a code (ENOSPC and EDQUOT to DISK_FULL, ENOENT to NOT_FOUND, EADDRINUSE to PORT_IN_USE,
 * …, else IO) and records "<what>: <strerror>". */
#define rdg_fail_errno(errnum, ...) rdg_err_not_ok_(rdg_fail_errno_(errnum, __VA_ARGS__))

/* Behind the two macros, which let the compiler see that a failure is not RDG_OK: without that it warns
 * of variables that are set on success only. */
__attribute__((format(printf, 2, 3))) rdg_err_t rdg_fail_(rdg_err_t code, const char *fmt, ...);
__attribute__((format(printf, 2, 3))) rdg_err_t rdg_fail_errno_(int errnum, const char *fmt, ...);
static inline rdg_err_t rdg_err_not_ok_(rdg_err_t code) {
    if (code == RDG_OK) __builtin_unreachable();
    return code;
}

/* The text recorded last in this thread if it was recorded for `code`, else the code's own text.
 * Borrowed; valid until the next failure in this thread. */
const char *rdg_err_message(rdg_err_t code);

/* Returns early with the error of expr, if any. */
#define RDG_TRY(expr)                                                                                        \
    do {                                                                                                     \
        rdg_err_t rdg_try_err_ = (expr);                                                                     \
        if (rdg_try_err_ != RDG_OK) return rdg_try_err_;                                                     \
    } while (0)

#ifdef __cplusplus
}
#endif
#endif
