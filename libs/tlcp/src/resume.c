#include <string.h>

#include "handshake.h"
#include "ridge/base/alloc.h"

/* A session that the peer may still use, by what is known of it now. Whom accept_peer refuses has no session
 * any more. */
static bool usable(rdg_tlcp_t *t) {
    handshake_t *h = t->handshake;
    const rdg_tlcp_config_t *c = t->config;
    rdg_hash_t binding = h->session.binding;
    if (!rdg_tlcp_sessions_get(c->sessions, &t->session_key, &binding, t->now_s, &h->session)) return false;
    if (!h->session.peer || rdg_tlcp_peer_welcome(c, h->session.peer, h->session.peer_enc) == RDG_OK)
        return true;
    rdg_tlcp_sessions_drop(c->sessions, &t->session_key);
    return false;
}

void rdg_tlcp_session_anew(handshake_t *h) {
    rdg_hash_t binding = h->session.binding;
    rdg_tlcp_session_fini(&h->session);
    h->session.binding = binding;
    h->session.until_s = INT64_MAX;
}

bool rdg_tlcp_session_offer(rdg_tlcp_t *t) {
    rdg_hash_t *binding = &t->handshake->session.binding;
    if (!t->config->sessions) return false;
    rdg_tlcp_session_binding(t->config, t->role, binding);
    memcpy(t->session_key.b, binding->b, sizeof binding->b);
    t->session_kept = usable(t);
    if (!t->session_kept) rdg_tlcp_session_anew(t->handshake);
    return t->session_kept;
}

static bool contains(rdg_bytes_t suites, rdg_tlcp_suite_t suite) {
    for (size_t at = 0; at + 1 < suites.len; at += 2)
        if ((suites.data[at] << 8 | suites.data[at + 1]) == (int)suite) return true;
    return false;
}

bool rdg_tlcp_session_find(rdg_tlcp_t *t, rdg_bytes_t id, rdg_bytes_t offered) {
    handshake_t *h = t->handshake;
    if (!t->config->sessions) return false;
    rdg_tlcp_session_binding(t->config, t->role, &h->session.binding);
    if (id.len == sizeof t->session_key.b) {
        memcpy(t->session_key.b, id.data, id.len);
        t->session_kept = usable(t) && contains(offered, h->session.suite);
        if (t->session_kept) return true;
    }
    rdg_tlcp_session_anew(h);
    h->session.id_len = SESSION_ID_BYTES;
    rdg_random_fill(t->random, h->session.id, SESSION_ID_BYTES);
    memcpy(t->session_key.b, h->session.id, sizeof t->session_key.b);
    return false;
}

void rdg_tlcp_session_keep(rdg_tlcp_t *t) {
    handshake_t *h = t->handshake;
    if (!t->config->sessions) return;
    h->session.suite = t->suite;
    h->session.from_s = t->now_s;
    if (h->session.id_len > 0)
        t->session_kept = rdg_tlcp_sessions_put(t->config->sessions, &t->session_key, &h->session);
    else if (t->role == RDG_TLCP_CLIENT) /* the server keeps none, and what we had it did not know */
        rdg_tlcp_sessions_drop(t->config->sessions, &t->session_key);
}

void rdg_tlcp_session_forget(rdg_tlcp_t *t) {
    if (t->session_kept) rdg_tlcp_sessions_drop(t->config->sessions, &t->session_key);
    t->session_kept = false;
}
