#include "ridge/codec/telemetry.h"
#include <string.h>
#include "ridge/base/file.h"

#define NUMBER_MAX ((uint64_t)INT64_MAX - 1)

void rdg_telemetry_init(rdg_telemetry_t *t) {
    memset(t, 0, sizeof *t);
    for (size_t i = 0; i < RDG_HOST_COUNT; ++i) t->host[i] = RDG_TELEMETRY_ABSENT;
    for (size_t c = 0; c < RDG_TELEMETRY_CHAINS_MAX; ++c)
        for (size_t i = 0; i < RDG_CHAIN_COUNT; ++i) t->chains[c].numbers[i] = RDG_TELEMETRY_ABSENT;
    for (size_t q = 0; q < RDG_TELEMETRY_QUEUES_MAX; ++q)
        for (size_t i = 0; i < RDG_QUEUE_COUNT; ++i) t->queues[q].numbers[i] = RDG_TELEMETRY_ABSENT;
}

/* --- encode ------------------------------------------------------------------------------------------------- */

static void put_numbers(rdg_buf_t *out, const uint64_t *numbers, size_t count) {
    while (count > 0 && numbers[count - 1] > NUMBER_MAX) --count;
    size_t list = rdg_rlp_list_begin(out);
    for (size_t i = 0; i < count; ++i) rdg_rlp_put_u64(out, numbers[i] > NUMBER_MAX ? 0 : numbers[i] + 1);
    rdg_rlp_list_end(out, list);
}

static void put_text(rdg_buf_t *out, const char *text) {
    char printable[RDG_TELEMETRY_DAMAGED_MAX + 1];
    size_t n = 0;
    for (; text[n] && n < sizeof printable - 1; ++n)
        printable[n] = text[n] >= 0x20 && text[n] <= 0x7e ? text[n] : '?';
    rdg_rlp_put_bytes(out, rdg_bytes(printable, n));
}

static void put_chain(rdg_buf_t *out, const rdg_telemetry_chain_t *c) {
    size_t list = rdg_rlp_list_begin(out);
    rdg_rlp_put_str(out, c->name);
    rdg_rlp_put_u64(out, c->state);
    put_text(out, c->driver);
    rdg_rlp_put_u64(out, c->rpc_port);
    rdg_rlp_put_bytes(out, rdg_bytes(c->hash, c->has_hash ? sizeof c->hash : 0));
    put_text(out, c->damaged);
    put_numbers(out, c->numbers, RDG_CHAIN_COUNT);
    rdg_rlp_list_end(out, list);
}

static void put_lists(rdg_buf_t *out, const rdg_telemetry_t *t) {
    size_t list = rdg_rlp_list_begin(out);
    for (size_t i = 0; i < t->chain_count; ++i) put_chain(out, &t->chains[i]);
    rdg_rlp_list_end(out, list);
    list = rdg_rlp_list_begin(out);
    for (size_t i = 0; i < t->certificate_count; ++i) {
        size_t one = rdg_rlp_list_begin(out);
        rdg_rlp_put_str(out, t->certificates[i].chain);
        rdg_rlp_put_u64(out, t->certificates[i].not_after_ms);
        rdg_rlp_put_u64(out, t->certificates[i].alarm);
        rdg_rlp_list_end(out, one);
    }
    rdg_rlp_list_end(out, list);
    list = rdg_rlp_list_begin(out);
    for (size_t i = 0; i < t->queue_count; ++i) {
        size_t one = rdg_rlp_list_begin(out);
        rdg_rlp_put_str(out, t->queues[i].name);
        put_numbers(out, t->queues[i].numbers, RDG_QUEUE_COUNT);
        rdg_rlp_list_end(out, one);
    }
    rdg_rlp_list_end(out, list);
}

rdg_err_t rdg_telemetry_encode(const rdg_telemetry_t *t, rdg_buf_t *out) {
    rdg_buf_t one;
    rdg_buf_init(&one, RDG_TELEMETRY_RECORD_MAX);
    size_t list = rdg_rlp_list_begin(&one);
    rdg_rlp_put_u64(&one, t->seq);
    rdg_rlp_put_u64(&one, t->time_ms);
    rdg_rlp_put_u64(&one, t->interval_ms);
    put_text(&one, t->agent_version);
    put_numbers(&one, t->host, RDG_HOST_COUNT);
    put_lists(&one, t);
    rdg_err_t err = rdg_rlp_list_end(&one, list);
    if (err == RDG_OK) err = rdg_buf_reserve(out, one.len);
    if (err == RDG_OK) err = rdg_buf_append(out, one.data, one.len);
    rdg_buf_fini(&one);
    return err;
}

rdg_err_t rdg_telemetry_message_encode(const rdg_telemetry_message_t *m, rdg_buf_t *out) {
    size_t list = rdg_rlp_list_begin(out);
    rdg_rlp_put_u64(out, RDG_TELEMETRY_VERSION);
    rdg_rlp_put_u64(out, m->sent_ms);
    rdg_rlp_put_u64(out, m->live);
    for (size_t i = 0; i < m->count; ++i) rdg_rlp_put_raw(out, m->records[i]);
    return rdg_rlp_list_end(out, list);
}

rdg_err_t rdg_telemetry_ack_encode(const rdg_telemetry_ack_t *a, rdg_buf_t *out) {
    size_t list = rdg_rlp_list_begin(out);
    rdg_rlp_put_u64(out, RDG_TELEMETRY_VERSION);
    rdg_rlp_put_u64(out, a->hold_ms);
    for (size_t i = 0; i < a->count; ++i) {
        size_t one = rdg_rlp_list_begin(out);
        rdg_rlp_put_u64(out, a->names[i].seq);
        rdg_rlp_put_u64(out, a->names[i].time_ms);
        rdg_rlp_list_end(out, one);
    }
    return rdg_rlp_list_end(out, list);
}

/* --- decode: everything is hostile --------------------------------------------------------------------------- */

static rdg_err_t bad(const char *what) {
    return rdg_fail(RDG_E_MALFORMED, "telemetry: %s", what);
}

static rdg_err_t get_number(rdg_rlp_t *c, uint64_t *out) {
    *out = rdg_rlp_u64(c);
    return c->err == RDG_OK && *out <= NUMBER_MAX ? RDG_OK : bad("a number is none or out of range");
}

/* Printable ASCII, so that it may stand in logs and terminals as it is. */
static rdg_err_t get_text(rdg_rlp_t *c, char *out, size_t size) {
    rdg_bytes_t b = rdg_rlp_bytes_max(c, size - 1);
    if (c->err != RDG_OK) return bad("a text is none or too long");
    for (size_t i = 0; i < b.len; ++i)
        if (b.data[i] < 0x20 || b.data[i] > 0x7e) return bad("a text has bytes that are not printable ASCII");
    if (b.len > 0) memcpy(out, b.data, b.len);
    out[b.len] = '\0';
    return RDG_OK;
}

static rdg_err_t get_name(rdg_rlp_t *c, char *out, size_t size, bool may_be_empty) {
    RDG_TRY(get_text(c, out, size));
    return rdg_name_valid(out) || (may_be_empty && !out[0]) ? RDG_OK : bad("a name is none");
}

static rdg_err_t get_numbers(rdg_rlp_t *c, uint64_t *out, size_t count) {
    rdg_rlp_t list;
    if (rdg_rlp_list(c, &list) != RDG_OK) return bad("numbers are no list");
    for (size_t i = 0; i < count; ++i) {
        out[i] = RDG_TELEMETRY_ABSENT;
        if (!rdg_rlp_more(&list)) continue;
        uint64_t v;
        RDG_TRY(get_number(&list, &v));
        if (v > 0) out[i] = v - 1;
    }
    return list.err == RDG_OK ? RDG_OK : bad("numbers are no list");
}

static rdg_err_t get_chain(rdg_rlp_t *list, rdg_telemetry_chain_t *out) {
    rdg_rlp_t c;
    uint64_t state, port;
    if (rdg_rlp_list(list, &c) != RDG_OK) return bad("a chain is no list");
    RDG_TRY(get_name(&c, out->name, sizeof out->name, false));
    RDG_TRY(get_number(&c, &state));
    RDG_TRY(get_text(&c, out->driver, sizeof out->driver));
    RDG_TRY(get_number(&c, &port));
    if (port > UINT16_MAX) return bad("a port is none");
    out->state = state < RDG_CHAIN_STATES ? (uint8_t)state : RDG_CHAIN_STATES;
    out->rpc_port = (uint16_t)port;
    rdg_bytes_t hash = rdg_rlp_bytes_max(&c, sizeof out->hash);
    out->has_hash = hash.len > 0;
    if (c.err != RDG_OK || (hash.len > 0 && hash.len != sizeof out->hash))
        return bad("a hash has not 32 bytes");
    if (hash.len > 0) memcpy(out->hash, hash.data, hash.len);
    RDG_TRY(get_text(&c, out->damaged, sizeof out->damaged));
    return get_numbers(&c, out->numbers, RDG_CHAIN_COUNT);
}

static rdg_err_t get_certificate(rdg_rlp_t *list, rdg_telemetry_certificate_t *out) {
    rdg_rlp_t c;
    uint64_t alarm;
    if (rdg_rlp_list(list, &c) != RDG_OK) return bad("a certificate is no list");
    RDG_TRY(get_name(&c, out->chain, sizeof out->chain, true));
    RDG_TRY(get_number(&c, &out->not_after_ms));
    RDG_TRY(get_number(&c, &alarm));
    out->alarm = alarm != 0;
    return RDG_OK;
}

static rdg_err_t get_queue(rdg_rlp_t *list, rdg_telemetry_queue_t *out) {
    rdg_rlp_t c;
    if (rdg_rlp_list(list, &c) != RDG_OK) return bad("a queue is no list");
    RDG_TRY(get_name(&c, out->name, sizeof out->name, false));
    return get_numbers(&c, out->numbers, RDG_QUEUE_COUNT);
}

static rdg_err_t too_many(const char *what, size_t max) {
    return rdg_fail(RDG_E_TOO_LARGE, "telemetry: more than %zu %s", max, what);
}

static rdg_err_t get_lists(rdg_rlp_t *c, rdg_telemetry_t *out) {
    rdg_rlp_t list;
    if (rdg_rlp_list(c, &list) != RDG_OK) return bad("chains are no list");
    for (out->chain_count = 0; rdg_rlp_more(&list); ++out->chain_count) {
        if (out->chain_count == RDG_TELEMETRY_CHAINS_MAX) return too_many("chains", RDG_TELEMETRY_CHAINS_MAX);
        RDG_TRY(get_chain(&list, &out->chains[out->chain_count]));
    }
    if (list.err != RDG_OK || rdg_rlp_list(c, &list) != RDG_OK) return bad("certificates are no list");
    for (out->certificate_count = 0; rdg_rlp_more(&list); ++out->certificate_count) {
        if (out->certificate_count == RDG_TELEMETRY_CERTIFICATES_MAX)
            return too_many("certificates", RDG_TELEMETRY_CERTIFICATES_MAX);
        RDG_TRY(get_certificate(&list, &out->certificates[out->certificate_count]));
    }
    if (list.err != RDG_OK || rdg_rlp_list(c, &list) != RDG_OK) return bad("queues are no list");
    for (out->queue_count = 0; rdg_rlp_more(&list); ++out->queue_count) {
        if (out->queue_count == RDG_TELEMETRY_QUEUES_MAX) return too_many("queues", RDG_TELEMETRY_QUEUES_MAX);
        RDG_TRY(get_queue(&list, &out->queues[out->queue_count]));
    }
    return list.err == RDG_OK ? RDG_OK : bad("queues are no list");
}

rdg_err_t rdg_telemetry_decode(rdg_bytes_t record, rdg_telemetry_t *out) {
    rdg_rlp_t top, c;
    if (record.len > RDG_TELEMETRY_RECORD_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "telemetry: a record of %zu bytes, at most %u", record.len,
                        RDG_TELEMETRY_RECORD_MAX);
    out->chain_count = out->certificate_count = out->queue_count = 0;
    rdg_rlp_init(&top, record);
    if (rdg_rlp_list(&top, &c) != RDG_OK || rdg_rlp_done(&top) != RDG_OK) return bad("a record is no list");
    RDG_TRY(get_number(&c, &out->seq));
    RDG_TRY(get_number(&c, &out->time_ms));
    RDG_TRY(get_number(&c, &out->interval_ms));
    RDG_TRY(get_text(&c, out->agent_version, sizeof out->agent_version));
    RDG_TRY(get_numbers(&c, out->host, RDG_HOST_COUNT));
    return get_lists(&c, out);
}

/* The list that bytes are, with the version read. */
static rdg_err_t open_list(rdg_bytes_t bytes, rdg_rlp_t *out) {
    rdg_rlp_t top;
    uint64_t version;
    if (bytes.len > RDG_TELEMETRY_MESSAGE_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "telemetry: a message of %zu bytes, at most %u", bytes.len,
                        RDG_TELEMETRY_MESSAGE_MAX);
    rdg_rlp_init(&top, bytes);
    if (rdg_rlp_list(&top, out) != RDG_OK || rdg_rlp_done(&top) != RDG_OK)
        return bad("the message is no list");
    RDG_TRY(get_number(out, &version));
    if (version == RDG_TELEMETRY_VERSION) return RDG_OK;
    return rdg_fail(RDG_E_UNSUPPORTED, "telemetry of version %llu: this program knows %u",
                    (unsigned long long)version, RDG_TELEMETRY_VERSION);
}

rdg_err_t rdg_telemetry_message_decode(rdg_bytes_t bytes, rdg_telemetry_message_t *out) {
    rdg_rlp_t c;
    uint64_t live;
    RDG_TRY(open_list(bytes, &c));
    RDG_TRY(get_number(&c, &out->sent_ms));
    RDG_TRY(get_number(&c, &live));
    out->live = live != 0;
    for (out->count = 0; rdg_rlp_more(&c); ++out->count) {
        if (out->count == RDG_TELEMETRY_RECORDS_MAX) return too_many("records", RDG_TELEMETRY_RECORDS_MAX);
        if (!rdg_rlp_is_list(&c)) return bad("a record is no list");
        out->records[out->count] = rdg_rlp_raw(&c);
    }
    return c.err == RDG_OK ? RDG_OK : bad("the records are none");
}

rdg_err_t rdg_telemetry_name_of(rdg_bytes_t record, rdg_telemetry_name_t *out) {
    rdg_rlp_t top, c;
    rdg_rlp_init(&top, record);
    if (rdg_rlp_list(&top, &c) != RDG_OK || rdg_rlp_done(&top) != RDG_OK) return bad("a record is no list");
    RDG_TRY(get_number(&c, &out->seq));
    return get_number(&c, &out->time_ms);
}

bool rdg_telemetry_is_message(rdg_bytes_t bytes) {
    return bytes.len > 0 && bytes.data[0] >= 0xc0;
}

rdg_err_t rdg_telemetry_ack_decode(rdg_bytes_t bytes, rdg_telemetry_ack_t *out) {
    rdg_rlp_t c, one;
    RDG_TRY(open_list(bytes, &c));
    RDG_TRY(get_number(&c, &out->hold_ms));
    for (out->count = 0; rdg_rlp_more(&c); ++out->count) {
        if (out->count == RDG_TELEMETRY_RECORDS_MAX) return too_many("records", RDG_TELEMETRY_RECORDS_MAX);
        if (rdg_rlp_list(&c, &one) != RDG_OK) return bad("the name of a record is no list");
        RDG_TRY(get_number(&one, &out->names[out->count].seq));
        RDG_TRY(get_number(&one, &out->names[out->count].time_ms));
    }
    return c.err == RDG_OK ? RDG_OK : bad("the names of records are none");
}
