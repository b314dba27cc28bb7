#include "sessions.h"

#include <pthread.h>
#include <string.h>
#include "ridge/base/alloc.h"
#include "ridge/base/list.h"
#include "ridge/base/map.h"

typedef struct entry {
    rdg_list_t age; /* the oldest first */
    session_key_t key;
    session_t session;
} entry_t;

struct rdg_tlcp_sessions {
    pthread_mutex_t lock;
    rdg_map_t *by_key;
    rdg_list_t oldest, oldest_nameless; /* with the peer's certificate, and without one */
    size_t max;
    int64_t lifetime_s;
};

rdg_err_t rdg_tlcp_sessions_new(size_t max, int64_t lifetime_s, rdg_tlcp_sessions_t **out) {
    *out = NULL;
    if (max == 0 || max > RDG_TLCP_SESSIONS_MAX || lifetime_s <= 0 ||
        lifetime_s > RDG_TLCP_SESSION_SECONDS_MAX)
        return rdg_fail(RDG_E_INVALID,
                        "TLCP sessions: %zu sessions for %lld s, where 1 to %d for 1 to %d s are possible",
                        max, (long long)lifetime_s, RDG_TLCP_SESSIONS_MAX, RDG_TLCP_SESSION_SECONDS_MAX);
    rdg_tlcp_sessions_t *s = rdg_calloc(1, sizeof *s);
    rdg_map_t *map = s ? rdg_map_new(max) : NULL;
    if (!map) {
        rdg_free(s);
        return rdg_fail(RDG_E_NO_MEMORY, "TLCP sessions: out of memory");
    }
    pthread_mutex_init(&s->lock, NULL);
    rdg_list_init(&s->oldest);
    rdg_list_init(&s->oldest_nameless);
    s->by_key = map, s->max = max, s->lifetime_s = lifetime_s;
    *out = s;
    return RDG_OK;
}

static void hold(const session_t *session) {
    if (session->peer) rdg_cert_ref(session->peer);
    if (session->peer_enc) rdg_cert_ref(session->peer_enc);
}

void rdg_tlcp_session_fini(session_t *session) {
    rdg_cert_free(session->peer);
    rdg_cert_free(session->peer_enc);
    rdg_secure_zero(session, sizeof *session);
}

static rdg_bytes_t name_of(const session_key_t *key) {
    return rdg_bytes(key->b, sizeof key->b);
}

static void remove_entry(rdg_tlcp_sessions_t *s, entry_t *e) {
    rdg_map_remove(s->by_key, name_of(&e->key));
    rdg_list_remove(&e->age);
    rdg_tlcp_session_fini(&e->session);
    rdg_free(e);
}

static void remove_first(rdg_tlcp_sessions_t *s, rdg_list_t *list) {
    remove_entry(s, RDG_LIST_ENTRY(list->next, entry_t, age));
}

/* Anybody can have a session without a certificate: such ones never cost a peer with one its session. */
static void make_room(rdg_tlcp_sessions_t *s) {
    remove_first(s, rdg_list_empty(&s->oldest_nameless) ? &s->oldest : &s->oldest_nameless);
}

static void remove_all(rdg_tlcp_sessions_t *s) {
    while (!rdg_list_empty(&s->oldest)) remove_first(s, &s->oldest);
    while (!rdg_list_empty(&s->oldest_nameless)) remove_first(s, &s->oldest_nameless);
}

void rdg_tlcp_sessions_free(rdg_tlcp_sessions_t *s) {
    if (!s) return;
    remove_all(s);
    rdg_map_free(s->by_key);
    pthread_mutex_destroy(&s->lock);
    rdg_free(s);
}

void rdg_tlcp_sessions_clear(rdg_tlcp_sessions_t *s) {
    pthread_mutex_lock(&s->lock);
    remove_all(s);
    pthread_mutex_unlock(&s->lock);
}

size_t rdg_tlcp_sessions_count(rdg_tlcp_sessions_t *s) {
    pthread_mutex_lock(&s->lock);
    size_t count = rdg_map_count(s->by_key);
    pthread_mutex_unlock(&s->lock);
    return count;
}

bool rdg_tlcp_sessions_put(rdg_tlcp_sessions_t *s, const session_key_t *key, const session_t *session) {
    int64_t until = session->from_s + s->lifetime_s;
    if (until > session->until_s) until = session->until_s;
    entry_t *e = until > session->from_s ? rdg_calloc(1, sizeof *e) : NULL;
    if (!e) return false;
    e->key = *key;
    e->session = *session;
    e->session.until_s = until;
    hold(session);
    pthread_mutex_lock(&s->lock);
    entry_t *same = rdg_map_get(s->by_key, name_of(key));
    if (same) remove_entry(s, same);
    bool full = rdg_map_count(s->by_key) == s->max;
    bool room = !full || session->peer || !rdg_list_empty(&s->oldest_nameless);
    if (full && room) make_room(s);
    bool kept = room && rdg_map_put(s->by_key, name_of(key), e, NULL) == RDG_OK;
    if (kept) rdg_list_append(session->peer ? &s->oldest : &s->oldest_nameless, &e->age);
    pthread_mutex_unlock(&s->lock);
    if (!kept) {
        rdg_tlcp_session_fini(&e->session);
        rdg_free(e);
    }
    return kept;
}

bool rdg_tlcp_sessions_get(rdg_tlcp_sessions_t *s, const session_key_t *key, const rdg_hash_t *binding,
                           int64_t now_s, session_t *out) {
    pthread_mutex_lock(&s->lock);
    entry_t *e = rdg_map_get(s->by_key, name_of(key));
    if (e && (now_s < e->session.from_s || now_s >= e->session.until_s)) {
        remove_entry(s, e);
        e = NULL;
    }
    bool found = e && rdg_hash_equal(&e->session.binding, binding);
    if (found) {
        *out = e->session;
        hold(out);
    }
    pthread_mutex_unlock(&s->lock);
    return found;
}

void rdg_tlcp_sessions_drop(rdg_tlcp_sessions_t *s, const session_key_t *key) {
    pthread_mutex_lock(&s->lock);
    entry_t *e = rdg_map_get(s->by_key, name_of(key));
    if (e) remove_entry(s, e);
    pthread_mutex_unlock(&s->lock);
}

/* A chain of digests, each over the one before and a part with its length: no two configurations give the
 * same bytes, and no memory is needed. */
static void add(rdg_hash_t *h, rdg_bytes_t part) {
    uint8_t head[9] = {part.data != NULL};
    rdg_store_be64(head + 1, part.len);
    const rdg_bytes_t parts[] = {{h->b, sizeof h->b}, {head, sizeof head}, part};
    rdg_sm3_parts(parts, 3, h);
}

static void add_cert(rdg_hash_t *h, const rdg_cert_t *cert) {
    add(h, cert ? rdg_cert_der(cert) : rdg_bytes(NULL, 0));
}

void rdg_tlcp_session_binding(const rdg_tlcp_config_t *c, rdg_tlcp_role_t role, rdg_hash_t *out) {
    uint8_t fixed[3 + 2 * RDG_TLCP_SUITES_MAX] = {(uint8_t)role, (uint8_t)c->client_auth,
                                                  (uint8_t)c->suite_count};
    for (size_t i = 0; i < c->suite_count; i++) {
        fixed[3 + 2 * i] = (uint8_t)(c->suites[i] >> 8);
        fixed[4 + 2 * i] = (uint8_t)(c->suites[i] & 0xff);
    }
    memset(out, 0, sizeof *out);
    add(out, rdg_bytes(fixed, sizeof fixed));
    add(out, rdg_bytes_str(c->peer_name));
    add(out, rdg_bytes_str(c->server_name));
    add(out, c->session_scope);
    add_cert(out, c->sign_cert);
    add_cert(out, c->enc_cert);
    for (size_t i = 0; i < c->root_count; i++) add_cert(out, c->roots[i]);
    add(out, c->root_pin ? rdg_bytes(c->root_pin->b, sizeof c->root_pin->b) : rdg_bytes(NULL, 0));
}
