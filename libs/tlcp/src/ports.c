#include <string.h>

#include "engine.h"
#include "ridge/base/alloc.h"
#include "ridge/base/assert.h"

/* --- making ------------------------------------------------------------------------------------- */

rdg_err_t rdg_tlcp_new(const rdg_tlcp_config_t *config, rdg_tlcp_role_t role, int64_t now_s,
                       const rdg_random_t *random, rdg_tlcp_t **out) {
    *out = NULL;
    RDG_TRY(rdg_tlcp_config_check(config, role));
    rdg_tlcp_t *t = rdg_calloc(1, sizeof *t);
    if (!t) return rdg_fail(RDG_E_NO_MEMORY, "TLCP: out of memory");
    t->config = config, t->role = role, t->now_s = now_s, t->random = random;
    t->alert_sent = t->alert_received = RDG_TLCP_ALERT_NONE;
    rdg_err_t err = rdg_tlcp_handshake_new(t);
    if (err != RDG_OK)
        rdg_tlcp_free(t);
    else
        *out = t;
    return err;
}

void rdg_tlcp_free(rdg_tlcp_t *t) {
    if (!t) return;
    rdg_tlcp_handshake_free(t);
    rdg_tlcp_protect_fini(&t->rx);
    rdg_tlcp_protect_fini(&t->tx);
    rdg_cert_free(t->peer);
    rdg_cert_free(t->peer_enc);
    rdg_cert_free(t->pinned);
    rdg_secure_zero(t, sizeof *t);
    rdg_free(t);
}

/* Secrets go as soon as nothing needs them. */
static void tidy(rdg_tlcp_t *t) {
    handshake_t *h = t->handshake;
    rdg_tlcp_flight_pump(t);
    bool over = t->state == RDG_TLCP_FAILED ||
                (h && t->state != RDG_TLCP_HANDSHAKE && h->sent == rdg_writer_len(&h->out));
    if (over) rdg_tlcp_handshake_free(t);
    if (t->state == RDG_TLCP_FAILED || t->state == RDG_TLCP_CLOSED) {
        rdg_tlcp_protect_fini(&t->rx);
        if (!t->handshake) rdg_tlcp_protect_fini(&t->tx);
    }
}

/* --- from the network ----------------------------------------------------------------------------- */

rdg_tlcp_room_t rdg_tlcp_receive_room(rdg_tlcp_t *t) {
    rdg_tlcp_room_t none = {NULL, 0};
    if (t->state == RDG_TLCP_CLOSED || t->state == RDG_TLCP_FAILED) return none;
    if (t->app_len == 0 && t->in_start > 0) {
        memmove(t->in, t->in + t->in_start, t->in_end - t->in_start);
        t->in_end -= t->in_start;
        t->in_start = 0;
    }
    rdg_tlcp_room_t room = {t->in + t->in_end, IN_CAP - t->in_end};
    return room;
}

void rdg_tlcp_receive_done(rdg_tlcp_t *t, size_t len) {
    RDG_ASSERT(len <= IN_CAP - t->in_end);
    t->in_end += len;
    rdg_tlcp_records_take(t);
    tidy(t);
}

rdg_bytes_t rdg_tlcp_read_view(rdg_tlcp_t *t) {
    return rdg_bytes(t->app_len ? t->in + t->app : NULL, t->app_len);
}

void rdg_tlcp_read_done(rdg_tlcp_t *t, size_t len) {
    RDG_ASSERT(len <= t->app_len);
    t->app += len;
    t->app_len -= len;
    rdg_tlcp_records_take(t);
    tidy(t);
}

/* --- to the network ------------------------------------------------------------------------------- */

rdg_bytes_t rdg_tlcp_send_view(rdg_tlcp_t *t) {
    tidy(t);
    size_t len = t->out_end - t->out_start;
    return rdg_bytes(len ? t->out + t->out_start : NULL, len);
}

void rdg_tlcp_send_done(rdg_tlcp_t *t, size_t len) {
    RDG_ASSERT(len <= t->out_end - t->out_start);
    t->out_start += len;
    if (t->out_start == t->out_end) t->out_start = t->out_end = 0;
    tidy(t);
}

static size_t content_at(const rdg_tlcp_t *t) {
    return RDG_TLCP_HEAD_BYTES + rdg_tlcp_protect_lead(&t->tx);
}

rdg_tlcp_room_t rdg_tlcp_write_room(rdg_tlcp_t *t) {
    rdg_tlcp_room_t room = {NULL, 0};
    if (t->state != RDG_TLCP_OPEN || t->handshake || t->out_start != t->out_end) return room;
    room.data = t->out + content_at(t) + t->written;
    room.len = RDG_TLCP_PLAIN_MAX - t->written;
    return room;
}

void rdg_tlcp_write_done(rdg_tlcp_t *t, size_t len) {
    RDG_ASSERT(len <= rdg_tlcp_write_room(t).len);
    t->written += len;
    if (t->written == RDG_TLCP_PLAIN_MAX) rdg_tlcp_flush(t);
}

void rdg_tlcp_flush(rdg_tlcp_t *t) {
    if (t->written == 0) return;
    size_t len = 0;
    rdg_err_t err = rdg_tlcp_protect_seal(&t->tx, t->out, RECORD_APPLICATION, t->written, t->random, &len);
    t->written = 0;
    if (err != RDG_OK) {
        rdg_tlcp_fail(t, RDG_TLCP_ALERT_NONE, err);
        tidy(t);
        return;
    }
    t->out_end = len;
}

void rdg_tlcp_close(rdg_tlcp_t *t) {
    if (t->state == RDG_TLCP_HANDSHAKE) {
        rdg_tlcp_fail(t, RDG_TLCP_ALERT_user_canceled,
                      rdg_fail(RDG_E_CANCELLED, "TLCP: closed by ourselves during the handshake"));
    } else if (t->state == RDG_TLCP_OPEN) {
        rdg_tlcp_flush(t);
        rdg_tlcp_flight_pump(t);
        if (t->state == RDG_TLCP_FAILED) return;
        /* With part of the handshake still to go out it would come under the wrong key: left unsaid. */
        handshake_t *h = t->handshake;
        if (!h || h->sent == rdg_writer_len(&h->out)) rdg_tlcp_alert_put(t, 1, RDG_TLCP_ALERT_close_notify);
        t->state = RDG_TLCP_CLOSED;
    }
    tidy(t);
}

void rdg_tlcp_transport_ended(rdg_tlcp_t *t) {
    if (t->state != RDG_TLCP_HANDSHAKE && t->state != RDG_TLCP_OPEN) return;
    rdg_tlcp_fail(t, RDG_TLCP_ALERT_NONE,
                  rdg_fail(RDG_E_CLOSED, "TLCP: the connection ended without close_notify"));
    t->out_start = t->out_end = 0;
    tidy(t);
}

/* --- asking --------------------------------------------------------------------------------------- */

rdg_tlcp_state_t rdg_tlcp_state(const rdg_tlcp_t *t) {
    return t->state;
}

rdg_err_t rdg_tlcp_error(const rdg_tlcp_t *t) {
    return t->err;
}

const char *rdg_tlcp_error_text(const rdg_tlcp_t *t) {
    return t->text;
}

rdg_tlcp_alert_t rdg_tlcp_alert_sent(const rdg_tlcp_t *t) {
    return t->alert_sent;
}

rdg_tlcp_alert_t rdg_tlcp_alert_received(const rdg_tlcp_t *t) {
    return t->alert_received;
}

const rdg_cert_t *rdg_tlcp_peer(const rdg_tlcp_t *t) {
    return t->peer;
}

const rdg_cert_t *rdg_tlcp_peer_enc(const rdg_tlcp_t *t) {
    return t->peer_enc;
}

const rdg_cert_t *rdg_tlcp_pinned_root(const rdg_tlcp_t *t) {
    return t->peer ? t->pinned : NULL;
}

rdg_tlcp_suite_t rdg_tlcp_suite(const rdg_tlcp_t *t) {
    return t->suite;
}

bool rdg_tlcp_resumed(const rdg_tlcp_t *t) {
    return t->resumed;
}

const char *rdg_tlcp_server_name(const rdg_tlcp_t *t) {
    return t->server_name;
}
