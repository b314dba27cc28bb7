#include "tx_store.h"
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include "record_log.h"
#include <limits.h>
#include <stdio.h>
#include <string.h>

enum { RECORD_TX = 1, RECORD_END = 2, RECORD_REFUSED = 3, RECORD_STATE = 4 };

bool tx_store_done(const tx_store_t *s, uint64_t number) {
    if (number < s->low) return true;
    if (number - s->low >= TX_STORE_WINDOW) return false;
    return s->done[number % TX_STORE_WINDOW / 8] >> (number % 8) & 1;
}

void tx_store_set_done(tx_store_t *s, uint64_t number) {
    if (number < s->low || number - s->low >= TX_STORE_WINDOW) return;
    s->done[number % TX_STORE_WINDOW / 8] |= (uint8_t)(1u << (number % 8));
}

void tx_store_advance(tx_store_t *s, uint64_t end) {
    while (s->low < end && tx_store_done(s, s->low)) {
        s->done[s->low % TX_STORE_WINDOW / 8] &= (uint8_t) ~(1u << (s->low % 8));
        ++s->low;
    }
}

uint64_t tx_store_behind(const tx_store_t *s) {
    uint64_t behind = s->low;
    for (uint64_t n = s->low; n < s->low + TX_STORE_WINDOW; ++n)
        if (tx_store_done(s, n)) behind = n + 1;
    for (size_t i = 0; i < s->flight_count; ++i)
        for (size_t k = 0; k < s->flight[i]->count; ++k)
            if (s->flight[i]->numbers[k] >= behind) behind = s->flight[i]->numbers[k] + 1;
    return behind;
}

static void stored_free(stored_tx_t *t) {
    if (!t) return;
    rdg_tx_unref(t->tx);
    rdg_free(t);
}

static rdg_err_t encode_tx(const stored_tx_t *t, rdg_buf_t *b) {
    rdg_buf_append(b, t->meter, METER_BYTES);
    rdg_buf_u16(b, (uint16_t)t->count);
    for (size_t i = 0; i < t->count; ++i) rdg_buf_u64(b, t->numbers[i]);
    return rdg_buf_append(b, t->tx->raw.data, t->tx->raw.len);
}

static rdg_err_t decode_tx(rdg_bytes_t payload, stored_tx_t *t) {
    rdg_reader_t r;
    rdg_reader_init(&r, payload);
    rdg_read_copy(&r, t->meter, METER_BYTES);
    t->count = rdg_read_u16(&r);
    if (t->count > METERING_BATCH_MAX)
        return rdg_fail(RDG_E_CORRUPT, "a stored transaction with too many readings");
    for (size_t i = 0; i < t->count; ++i) t->numbers[i] = rdg_read_u64(&r);
    if (!rdg_reader_ok(&r)) return rdg_fail(RDG_E_CORRUPT, "a stored transaction is short");
    return rdg_tx_decode(rdg_read_rest(&r), &t->tx);
}

static void end_in_memory(tx_store_t *s, size_t at, tx_outcome_t outcome) {
    stored_tx_t *t = s->flight[at];
    if (outcome == TX_CONFIRMED) {
        for (size_t i = 0; i < t->count; ++i) tx_store_set_done(s, t->numbers[i]);
        s->confirmed += t->count;
    }
    stored_free(t);
    s->flight[at] = s->flight[--s->flight_count];
}

/* STATE: [low][submitted][confirmed][refused][n u32][n done numbers]. */
static rdg_err_t take_state(tx_store_t *s, rdg_reader_t *r) {
    s->low = rdg_read_u64(r);
    s->submitted = rdg_read_u64(r);
    s->confirmed = rdg_read_u64(r);
    s->refused = rdg_read_u64(r);
    memset(s->done, 0, sizeof s->done);
    uint32_t n = rdg_read_u32(r);
    for (uint32_t i = 0; i < n && rdg_reader_ok(r); ++i) tx_store_set_done(s, rdg_read_u64(r));
    return rdg_reader_done(r) ? RDG_OK : rdg_fail(RDG_E_CORRUPT, "%s: a state record is short", s->path);
}

static rdg_err_t replay_tx(tx_store_t *s, rdg_bytes_t payload) {
    stored_tx_t *t = rdg_calloc(1, sizeof *t);
    rdg_err_t err = t ? decode_tx(payload, t) : RDG_E_NO_MEMORY;
    ++s->submitted;
    if (err == RDG_OK && s->flight_count < TX_STORE_FLIGHT_MAX) {
        s->flight[s->flight_count++] = t;
        return RDG_OK;
    }
    stored_free(t);
    if (err == RDG_E_NO_MEMORY) return err;
    /* Its readings wait again; the contract refuses what it has already counted. */
    rdg_log_err("intake.transaction_unreadable", err == RDG_OK ? RDG_E_FULL : err);
    return RDG_OK;
}

static rdg_err_t replayed(void *ctx, uint8_t type, rdg_bytes_t payload, uint64_t offset) {
    tx_store_t *s = ctx;
    rdg_reader_t r;
    rdg_hash_t id;
    (void)offset;
    rdg_reader_init(&r, payload);
    if (type == RECORD_TX) return replay_tx(s, payload);
    if (type == RECORD_STATE) return take_state(s, &r);
    if (type == RECORD_REFUSED) {
        tx_store_set_done(s, rdg_read_u64(&r));
        ++s->refused;
    } else if (type == RECORD_END) {
        rdg_read_copy(&r, id.b, sizeof id.b);
        tx_outcome_t outcome = rdg_read_u8(&r) == TX_CONFIRMED ? TX_CONFIRMED : TX_DROPPED;
        for (size_t i = 0; i < s->flight_count; ++i)
            if (rdg_hash_equal(&s->flight[i]->tx->id, &id)) {
                end_in_memory(s, i, outcome);
                break;
            }
    }
    /* The low mark follows the records: numbers above it must stay within the window. */
    tx_store_advance(s, UINT64_MAX);
    return RDG_OK;
}

rdg_err_t tx_store_open(const char *path, uint64_t first_number, tx_store_t **out) {
    tx_store_t *s = rdg_calloc(1, sizeof *s);
    if (!s) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the intake's transactions");
    s->low = first_number;
    s->path = rdg_strdup(path);
    rdg_err_t err = s->path ? record_log_open(path, replayed, s, &s->log) : RDG_E_NO_MEMORY;
    /* Segments below the first are gone, because their readings were done with. */
    if (err == RDG_OK && s->low < first_number) {
        memset(s->done, 0, sizeof s->done);
        s->low = first_number;
    }
    if (err != RDG_OK) {
        tx_store_close(s);
        return rdg_fail_in(err, "cannot open the intake's transactions");
    }
    *out = s;
    return RDG_OK;
}

void tx_store_close(tx_store_t *s) {
    if (!s) return;
    for (size_t i = 0; i < s->flight_count; ++i) stored_free(s->flight[i]);
    record_log_close(s->log);
    rdg_free(s->path);
    rdg_free(s);
}

static rdg_err_t append_tx(record_log_t *log, const stored_tx_t *t) {
    rdg_buf_t b;
    rdg_buf_init(&b, RDG_TX_BYTES_MAX + 4096);
    rdg_err_t err = encode_tx(t, &b);
    if (err == RDG_OK) err = record_log_append(log, RECORD_TX, rdg_buf_view(&b), NULL);
    rdg_buf_fini(&b);
    return err;
}

rdg_err_t tx_store_add(tx_store_t *s, stored_tx_t *t) {
    if (s->flight_count == TX_STORE_FLIGHT_MAX)
        return rdg_fail(RDG_E_FULL, "%d transactions are on the way", TX_STORE_FLIGHT_MAX);
    RDG_TRY(append_tx(s->log, t));
    s->flight[s->flight_count++] = t;
    ++s->submitted;
    return RDG_OK;
}

rdg_err_t tx_store_sync(tx_store_t *s) {
    return record_log_sync(s->log);
}

rdg_err_t tx_store_end(tx_store_t *s, size_t at, tx_outcome_t outcome) {
    uint8_t record[33];
    memcpy(record, s->flight[at]->tx->id.b, 32);
    record[32] = (uint8_t)outcome;
    RDG_TRY(record_log_append(s->log, RECORD_END, rdg_bytes(record, sizeof record), NULL));
    end_in_memory(s, at, outcome);
    return RDG_OK;
}

rdg_err_t tx_store_refuse(tx_store_t *s, uint64_t number) {
    uint8_t record[8];
    rdg_store_be64(record, number);
    RDG_TRY(record_log_append(s->log, RECORD_REFUSED, rdg_bytes(record, sizeof record), NULL));
    tx_store_set_done(s, number);
    ++s->refused;
    return RDG_OK;
}

static rdg_err_t write_state(tx_store_t *s, record_log_t *to) {
    rdg_buf_t b;
    uint32_t n = 0;
    rdg_buf_init(&b, 64 + 8 * TX_STORE_WINDOW);
    for (uint64_t i = 0; i < TX_STORE_WINDOW; ++i) n += tx_store_done(s, s->low + i);
    rdg_buf_u64(&b, s->low);
    /* Replaying the transactions on the way counts them again. */
    rdg_buf_u64(&b, s->submitted - s->flight_count);
    rdg_buf_u64(&b, s->confirmed);
    rdg_buf_u64(&b, s->refused);
    rdg_buf_u32(&b, n);
    for (uint64_t i = 0; i < TX_STORE_WINDOW; ++i)
        if (tx_store_done(s, s->low + i)) rdg_buf_u64(&b, s->low + i);
    rdg_err_t err = rdg_buf_err(&b);
    if (err == RDG_OK) err = record_log_append(to, RECORD_STATE, rdg_buf_view(&b), NULL);
    for (size_t i = 0; err == RDG_OK && i < s->flight_count; ++i) err = append_tx(to, s->flight[i]);
    rdg_buf_fini(&b);
    return err;
}

rdg_err_t tx_store_compact_if_worth(tx_store_t *s) {
    char path[PATH_MAX];
    record_log_t *fresh = NULL;
    if (record_log_size(s->log) < TX_STORE_COMPACT_BYTES) return RDG_OK;
    if (snprintf(path, sizeof path, "%s.new", s->path) >= (int)sizeof path)
        return rdg_fail(RDG_E_TOO_LARGE, "%s is too long a path", s->path);
    RDG_TRY(rdg_tree_remove(path, NULL));
    RDG_TRY(record_log_open(path, NULL, NULL, &fresh));
    rdg_err_t err = write_state(s, fresh);
    if (err == RDG_OK) return record_log_replace(s->log, fresh);
    record_log_close(fresh);
    return err;
}
