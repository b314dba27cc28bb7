/* Sessions that later handshakes resume by their id (GB/T 38636-2020, 6.4.4): no certificate is sent, nothing
 * is signed or decrypted. One object serves the engines of a server, those of the clients of a process, or both; a
 * client keeps its last session for each configuration (the scope included).
 *
 * Invariants
 * 1. A session is resumed only in the role and under the configuration that it came from: the trusted roots,
 *    the peer's name, the mode of client authentication, the suites, the own certificates and the server's
 *    name are hashed into it. Whatever accept_peer rests on is not: it is asked at each resumption, and a
 *    peer that it refuses loses its session and goes through the whole handshake, to be refused there.
 * 2. A session ends lifetime_s after its whole handshake, and with the first certificate of the peer's list
 *    that expires; resuming does not prolong it. A clock that went back ends it also.
 * 3. A fatal alert, either way, ends the session of its connection; a client's ends with any handshake that
 *    fails.
 * 4. What leaves is wiped.
 *
 * While it is kept, a session's master secret can decrypt the connections that used it: lifetime_s bounds
 * the time in which a stolen process memory uncovers the past, with ECDHE suites too.
 *
 * Limits: max sessions, the oldest making room for the next, those of clients without a certificate first: such a
 * client takes the place of one of its kind only. About 16 KiB each with the peer's two certificates.
 * Thread-safe. Must outlive the configurations that name it. */
#ifndef RIDGE_TLCP_SESSIONS_H
#define RIDGE_TLCP_SESSIONS_H
#include <stddef.h>
#include <stdint.h>
#include "ridge/base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RDG_TLCP_SESSIONS_MAX 1000000
#define RDG_TLCP_SESSION_SECONDS_MAX 86400

typedef struct rdg_tlcp_sessions rdg_tlcp_sessions_t;

/* INVALID: max or lifetime_s is 0 or over its limit. NO_MEMORY. */
rdg_err_t rdg_tlcp_sessions_new(size_t max, int64_t lifetime_s, rdg_tlcp_sessions_t **out);
void rdg_tlcp_sessions_free(rdg_tlcp_sessions_t *s); /* NULL is fine */
void rdg_tlcp_sessions_clear(rdg_tlcp_sessions_t *s);
size_t rdg_tlcp_sessions_count(rdg_tlcp_sessions_t *s);

#ifdef __cplusplus
}
#endif
#endif
