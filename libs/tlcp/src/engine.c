#include "engine.h"

#include <stdio.h>
#include <string.h>
#include "ridge/base/alloc.h"
#include "ridge/base/assert.h"

#define LEVEL_WARNING 1
#define LEVEL_FATAL 2

rdg_err_t rdg_tlcp_fail(rdg_tlcp_t *t, rdg_tlcp_alert_t alert, rdg_err_t err) {
    if (t->state == RDG_TLCP_FAILED) return err;
    /* An end without an alert is a network's: what it cut off may be resumed, but not tried for ever. */
    if (alert != RDG_TLCP_ALERT_NONE || t->alert_received != RDG_TLCP_ALERT_NONE ||
        (t->role == RDG_TLCP_CLIENT && t->state == RDG_TLCP_HANDSHAKE))
        rdg_tlcp_session_forget(t);
    snprintf(t->text, sizeof t->text, "%s", rdg_err_message(err));
    t->err = err;
    t->written = 0;
    t->app_len = 0;
    if (alert != RDG_TLCP_ALERT_NONE) {
        t->alert_sent = alert;
        rdg_tlcp_alert_put(t, LEVEL_FATAL, alert);
    }
    t->state = RDG_TLCP_FAILED;
    return err;
}

/* Behind what waits to be sent; the room for two alerts is kept free for this. */
void rdg_tlcp_alert_put(rdg_tlcp_t *t, uint8_t level, rdg_tlcp_alert_t alert) {
    RDG_ASSERT(t->written == 0 && t->out_end + ALERT_ROOM <= OUT_CAP);
    uint8_t *record = t->out + t->out_end,
            *content = record + RDG_TLCP_HEAD_BYTES + rdg_tlcp_protect_lead(&t->tx);
    size_t len = 0;
    content[0] = level;
    content[1] = (uint8_t)alert;
    /* Without a key left to say it with, it stays unsaid. */
    if (rdg_tlcp_protect_seal(&t->tx, record, RECORD_ALERT, 2, t->random, &len) == RDG_OK) t->out_end += len;
}

static void alert_take(rdg_tlcp_t *t, rdg_bytes_t content) {
    if (content.len != 2) {
        REFUSE(t, decode_error, RDG_E_PROTOCOL, "TLCP: an alert of %zu bytes", content.len);
        return;
    }
    uint8_t level = content.data[0], number = content.data[1];
    if (number == RDG_TLCP_ALERT_close_notify) {
        if (t->state == RDG_TLCP_OPEN)
            rdg_tlcp_close(t);
        else
            rdg_tlcp_fail(t, RDG_TLCP_ALERT_NONE,
                          rdg_fail(RDG_E_CLOSED, "TLCP: closed during the handshake"));
    } else if (level != LEVEL_WARNING) {
        t->alert_received = (rdg_tlcp_alert_t)number;
        rdg_tlcp_fail(t, RDG_TLCP_ALERT_NONE,
                      rdg_fail(RDG_E_PROTOCOL, "TLCP: the peer refused with alert %u (%s)", number,
                               rdg_tlcp_alert_name(number)));
    } else if (t->state == RDG_TLCP_HANDSHAKE) {
        /* Nothing authenticates it, and no peer of ours has a reason to send one. */
        REFUSE(t, unexpected_message, RDG_E_PROTOCOL, "TLCP: warning %u (%s) during the handshake", number,
               rdg_tlcp_alert_name(number));
    } else if (t->idle_records++ >= RDG_TLCP_EMPTY_MAX) {
        REFUSE(t, unexpected_message, RDG_E_PROTOCOL, "TLCP: too many warnings");
    }
}

static void application_take(rdg_tlcp_t *t, rdg_bytes_t content) {
    if (t->state != RDG_TLCP_OPEN) {
        REFUSE(t, unexpected_message, RDG_E_PROTOCOL, "TLCP: application data before the handshake is over");
    } else if (content.len > 0) {
        t->app = (size_t)(content.data - t->in);
        t->app_len = content.len;
        t->idle_records = 0;
    } else if (t->idle_records++ >= RDG_TLCP_EMPTY_MAX) {
        REFUSE(t, unexpected_message, RDG_E_PROTOCOL, "TLCP: too many empty records");
    }
}

static void content_take(rdg_tlcp_t *t, uint8_t type, rdg_bytes_t content) {
    handshake_t *h = t->handshake;
    rdg_err_t err;
    if (content.len > RDG_TLCP_PLAIN_MAX) {
        REFUSE(t, record_overflow, RDG_E_TOO_LARGE, "TLCP: a record of %zu bytes", content.len);
        return;
    }
    if (content.len == 0 && type != RECORD_APPLICATION) {
        REFUSE(t, unexpected_message, RDG_E_PROTOCOL, "TLCP: an empty record of type %u", type);
        return;
    }
    if (h && h->in_len > 0 && type != RECORD_HANDSHAKE && type != RECORD_ALERT) {
        REFUSE(t, unexpected_message, RDG_E_PROTOCOL, "TLCP: a record inside of a handshake message");
        return;
    }
    switch (type) {
    case RECORD_HANDSHAKE: err = rdg_tlcp_handshake_take(t, content); break;
    case RECORD_CHANGE_CIPHER: err = rdg_tlcp_change_cipher_take(t, content); break;
    case RECORD_ALERT: alert_take(t, content); return;
    default: application_take(t, content); return;
    }
    RDG_ASSERT((err != RDG_OK) == (t->state == RDG_TLCP_FAILED));
}

/* The length of the record at in_start with its head; 0 if not all of the head is there, or refused. */
static size_t record_len(rdg_tlcp_t *t) {
    if (t->in_end - t->in_start < RDG_TLCP_HEAD_BYTES) return 0;
    const uint8_t *head = t->in + t->in_start;
    size_t body = (size_t)head[3] << 8 | head[4],
           most = t->rx.suite ? RDG_TLCP_CIPHER_MAX : RDG_TLCP_PLAIN_MAX;
    if (head[0] < RECORD_CHANGE_CIPHER || head[0] > RECORD_APPLICATION) {
        REFUSE(t, unexpected_message, RDG_E_PROTOCOL, "TLCP: no record starts with %02x", head[0]);
    } else if ((head[1] << 8 | head[2]) != RDG_TLCP_VERSION) {
        REFUSE(t, protocol_version, RDG_E_PROTOCOL, "TLCP: a record of version %02x%02x", head[1], head[2]);
    } else if (body > most) {
        REFUSE(t, record_overflow, RDG_E_TOO_LARGE, "TLCP: a record of %zu bytes", body);
    } else {
        return RDG_TLCP_HEAD_BYTES + body;
    }
    return 0;
}

void rdg_tlcp_records_take(rdg_tlcp_t *t) {
    while (t->app_len == 0 && (t->state == RDG_TLCP_HANDSHAKE || t->state == RDG_TLCP_OPEN)) {
        size_t len = record_len(t);
        if (len == 0 || t->in_end - t->in_start < len) break;
        uint8_t *record = t->in + t->in_start;
        rdg_bytes_t content;
        t->in_start += len;
        rdg_err_t err = rdg_tlcp_protect_open(&t->rx, record, len, &content);
        if (err == RDG_E_BAD_SIGNATURE)
            rdg_tlcp_fail(t, RDG_TLCP_ALERT_bad_record_mac, err);
        else if (err != RDG_OK)
            rdg_tlcp_fail(t, RDG_TLCP_ALERT_internal_error, err);
        else
            content_take(t, record[0], content);
    }
}

/* One handshake message a record: some stacks cannot read several of one. */
static bool message_pump(rdg_tlcp_t *t, handshake_t *h) {
    if (h->message_left == 0)
        h->message_left = MESSAGE_HEAD + (rdg_load_be32(h->flight + h->sent) & 0xffffff);
    size_t n = h->message_left < RDG_TLCP_PLAIN_MAX ? h->message_left : RDG_TLCP_PLAIN_MAX, len = 0;
    size_t around = RDG_TLCP_HEAD_BYTES + RDG_TLCP_IV_ROOM + RDG_TLCP_TAIL_ROOM + 2 * ALERT_ROOM;
    if (t->out_end + n + around > OUT_CAP) return false;
    uint8_t *record = t->out + t->out_end;
    memcpy(record + RDG_TLCP_HEAD_BYTES + rdg_tlcp_protect_lead(&t->tx), h->flight + h->sent, n);
    rdg_err_t err = rdg_tlcp_protect_seal(&t->tx, record, RECORD_HANDSHAKE, n, t->random, &len);
    RDG_ASSERT(err == RDG_OK); /* the first records of a key */
    t->out_end += len;
    h->sent += n;
    h->message_left -= n;
    return true;
}

static bool change_pump(rdg_tlcp_t *t, handshake_t *h) {
    size_t len = 0;
    if (t->out_end + 4 * ALERT_ROOM > OUT_CAP) return false;
    uint8_t *record = t->out + t->out_end;
    record[RDG_TLCP_HEAD_BYTES] = 1;
    rdg_err_t err = rdg_tlcp_protect_seal(&t->tx, record, RECORD_CHANGE_CIPHER, 1, t->random, &len);
    RDG_ASSERT(err == RDG_OK);
    t->out_end += len;
    h->change_at = NO_CHANGE;
    err = rdg_tlcp_protect_init(&t->tx, t->suite, t->role == RDG_TLCP_CLIENT, h->key_block);
    if (err != RDG_OK) rdg_tlcp_fail(t, RDG_TLCP_ALERT_NONE, err);
    return err == RDG_OK;
}

void rdg_tlcp_flight_pump(rdg_tlcp_t *t) {
    handshake_t *h = t->handshake;
    if (!h || t->state == RDG_TLCP_FAILED) return;
    if (t->out_start == t->out_end) t->out_start = t->out_end = 0;
    bool room = true;
    while (room && h->sent < rdg_writer_len(&h->out))
        room = h->sent == h->change_at ? change_pump(t, h) : message_pump(t, h);
}
