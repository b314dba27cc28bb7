/* Finished sessions as the handshake sees them. */
#ifndef RIDGE_TLCP_SRC_SESSIONS_H
#define RIDGE_TLCP_SRC_SESSIONS_H
#include "ridge/crypto/hash.h"
#include "ridge/tlcp/sessions.h"
#include "ridge/tlcp/tlcp.h"

#define SESSION_ID_BYTES 32
#define SESSION_SECRET_BYTES 48

/* A server finds a session by its id, a client by its binding: neither can be taken for the other, as the
 * role is hashed into the binding. */
typedef struct session_key {
    uint8_t b[RDG_HASH_BYTES];
} session_key_t;

typedef struct session {
    rdg_hash_t binding; /* of role and configuration */
    size_t id_len;
    uint8_t id[SESSION_ID_BYTES];
    uint8_t master[SESSION_SECRET_BYTES];
    rdg_tlcp_suite_t suite;
    int64_t from_s, until_s;
    rdg_cert_t *peer;     /* its verified sign certificate, referenced; NULL: a client without */
    rdg_cert_t *peer_enc; /* the same for its encryption certificate */
} session_t;

void rdg_tlcp_session_binding(const rdg_tlcp_config_t *c, rdg_tlcp_role_t role, rdg_hash_t *out);
/* Keeps a copy, in place of what has the same key. Without memory, or if it ends sooner than it begins,
 * nothing is kept: true if it was. */
bool rdg_tlcp_sessions_put(rdg_tlcp_sessions_t *s, const session_key_t *key, const session_t *session);
/* A copy, for rdg_tlcp_session_fini; false: there is none of this binding at this time. */
bool rdg_tlcp_sessions_get(rdg_tlcp_sessions_t *s, const session_key_t *key, const rdg_hash_t *binding,
                           int64_t now_s, session_t *out);
void rdg_tlcp_sessions_drop(rdg_tlcp_sessions_t *s, const session_key_t *key);
void rdg_tlcp_session_fini(session_t *session);

#endif
