/* The intake's thread: window → transactions → node → receipts. */
#include "intake_internal.h"
#include "ridge/base/alloc.h"
#include "ridge/base/clock.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include "ridge/codec/hex.h"
#include "thread.h"
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define POLL_MS 40u /* between two looks for receipts while transactions are on the way */
#define IDLE_MS 5000u
#define AWAY_MIN_MS 200u
#define AWAY_MAX_MS 5000u
#define RESEND_MS 3000u /* a node that was restarted has forgotten its pool */
#define RPC_TIMEOUT_MS 5000u
#define VALID_BLOCKS 1000u
#define REFUSED_LOG_BYTES (1u << 20)

static window_entry_t *entry_of(intake_t *i, uint64_t number) {
    return &i->window[number % TX_STORE_WINDOW];
}

/* --- the window ------------------------------------------------------------------------------------ */

static void mark_flight(intake_t *i, const stored_tx_t *t, entry_state_t state) {
    for (size_t k = 0; k < t->count; ++k) {
        uint64_t n = t->numbers[k];
        if (n < i->store->low || n >= i->loaded) continue;
        window_entry_t *e = entry_of(i, n);
        if (e->state != ENTRY_DONE) e->state = (uint8_t)state;
    }
}

static meter_t *meter_named(intake_t *i, const uint8_t id[METER_BYTES]) {
    pthread_mutex_lock(&i->lock);
    meter_t *m = intake_meter(i, id);
    pthread_mutex_unlock(&i->lock);
    return m;
}

static void put_entry(intake_t *i, uint64_t number, const reading_t *r) {
    window_entry_t *e = entry_of(i, number);
    *e = (window_entry_t){.meter = r ? meter_named(i, r->meter) : NULL, .next = NO_ENTRY};
    if (r) {
        e->time = r->time;
        e->value = r->value;
    }
    e->state = !r || !e->meter || tx_store_done(i->store, number) ? ENTRY_DONE : ENTRY_WAITING;
    if (e->state == ENTRY_DONE) tx_store_set_done(i->store, number);
}

/* Fills the window from the queue. Numbers that the queue skips are lost to damage and count as done. */
static void load_window(intake_t *i) {
    size_t count;
    uint64_t first;
    bool more = true;
    while (more) {
        tx_store_advance(i->store, i->loaded);
        uint64_t room = TX_STORE_WINDOW - (i->loaded - i->store->low);
        if (room < READINGS_MAX + 1) break;
        rdg_err_t err = queue_next(i->queue, i->scratch, READINGS_MAX, &count, &first);
        if (err != RDG_OK) rdg_log_err("intake.queue_unreadable", err);
        more = err == RDG_OK && count > 0;
        if (!more || first + count <= i->loaded) continue;
        if (first > i->loaded) {
            uint64_t lost = first - i->loaded;
            rdg_log(RDG_LOG_ERROR, "intake.readings_lost", RDG_U64("first", i->loaded),
                    RDG_U64("count", lost));
            if (lost > room - count) {
                /* Larger than the window: all before it is done or lost, once what flies has ended. */
                i->store->low = i->loaded = first;
                memset(i->store->done, 0, sizeof i->store->done);
            }
            while (i->loaded < first) put_entry(i, i->loaded++, NULL);
        }
        for (size_t k = 0; k < count; ++k) {
            if (first + k < i->loaded) continue;
            put_entry(i, i->loaded++, &i->scratch[k]);
        }
    }
    for (size_t f = 0; f < i->store->flight_count; ++f) {
        meter_t *m = meter_named(i, i->store->flight[f]->meter);
        if (m) m->flying = true;
        mark_flight(i, i->store->flight[f], ENTRY_FLYING);
    }
}

/* --- ends of transactions --------------------------------------------------------------------------- */

static void note_latency(intake_t *i, const stored_tx_t *t) {
    if (t->first_sent_us == 0) return;
    float ms = (float)(rdg_mono_us(rdg_clock_system()) - t->first_sent_us) / 1000.0f;
    rdg_metric_observe(i->m_latency, (double)ms);
    pthread_mutex_lock(&i->lock);
    i->latencies[i->latency_count++ % LATENCIES] = ms;
    pthread_mutex_unlock(&i->lock);
}

static rdg_err_t write_refused(intake_t *i, const window_entry_t *e, const char *why) {
    char path[PATH_MAX], old[PATH_MAX];
    struct stat st;
    RDG_TRY(rdg_path_join(path, sizeof path, i->dir, "refused.log"));
    RDG_TRY(rdg_path_join(old, sizeof old, i->dir, "refused.log.1"));
    if (stat(path, &st) == 0 && st.st_size > REFUSED_LOG_BYTES) (void)rename(path, old);
    json_t *o = json_pack("{s:I, s:s, s:I, s:I, s:s}", "time_ms", (json_int_t)rdg_wall_ms(rdg_clock_system()),
                          "meter", (const char *)e->meter->id, "time", (json_int_t)e->time, "value_micro",
                          (json_int_t)e->value, "why", why);
    rdg_buf_t line;
    rdg_buf_init(&line, 4096);
    rdg_err_t err = o ? rdg_json_dump(o, &line) : RDG_E_NO_MEMORY;
    rdg_buf_u8(&line, '\n');
    json_decref(o);
    int fd = err == RDG_OK ? open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (fd >= 0) {
        err = rdg_write_all(fd, rdg_buf_view(&line));
        if (err == RDG_OK && fdatasync(fd) != 0) err = RDG_E_IO;
        close(fd);
    } else if (err == RDG_OK) {
        err = rdg_fail(RDG_E_IO, "cannot open %s", path);
    }
    rdg_buf_fini(&line);
    return err;
}

static rdg_err_t refuse_one(intake_t *i, uint64_t number, const char *why) {
    window_entry_t *e = entry_of(i, number);
    RDG_TRY(write_refused(i, e, why));
    RDG_TRY(tx_store_refuse(i->store, number));
    e->state = ENTRY_DONE;
    rdg_metric_add(i->m_refused, 1);
    rdg_log(RDG_LOG_WARN, "intake.refused", RDG_STR("meter", (const char *)e->meter->id),
            RDG_U64("time", e->time), RDG_STR("why", why));
    return RDG_OK;
}

static rdg_err_t confirmed(intake_t *i, size_t at) {
    stored_tx_t *t = i->store->flight[at];
    meter_t *m = meter_named(i, t->meter);
    note_latency(i, t);
    mark_flight(i, t, ENTRY_DONE);
    if (m) {
        m->flying = false;
        m->registered = true;
        m->batch_limit =
            m->batch_limit * 2 > METERING_BATCH_MAX ? METERING_BATCH_MAX : (uint16_t)(m->batch_limit * 2);
    }
    rdg_metric_add(i->m_confirmed, t->count);
    return tx_store_end(i->store, at, TX_CONFIRMED);
}

/* Its readings wait again. */
static rdg_err_t dropped(intake_t *i, size_t at) {
    stored_tx_t *t = i->store->flight[at];
    meter_t *m = meter_named(i, t->meter);
    mark_flight(i, t, ENTRY_WAITING);
    if (m) m->flying = false;
    return tx_store_end(i->store, at, TX_DROPPED);
}

/* The contract, or the node, will not have it. Of several readings the guilty one is searched by halving. */
static rdg_err_t rejected(intake_t *i, size_t at, const char *why) {
    stored_tx_t *t = i->store->flight[at];
    meter_t *m = meter_named(i, t->meter);
    size_t count = t->count;
    uint64_t number = t->numbers[0];
    RDG_TRY(dropped(i, at));
    if (!m) return RDG_OK;
    if (count == 0) {
        /* Somebody else's meter: perhaps we may write to it, and if not each reading says so. */
        m->registered = true;
        return RDG_OK;
    }
    if (count > 1) {
        m->batch_limit = (uint16_t)(count / 2);
        return RDG_OK;
    }
    return refuse_one(i, number, why);
}

/* The receipt carries what the contract said. */
static void reject_reason(const json_t *receipt, char *why, size_t size) {
    const char *hex = json_string_value(json_object_get(receipt, "output"));
    rdg_buf_t data, text;
    rdg_buf_init(&data, 4096);
    rdg_buf_init(&text, 4096);
    bool said = hex && rdg_hex_decode_buf(hex, strlen(hex), &data) == RDG_OK &&
                metering_revert_reason(rdg_buf_view(&data), &text) == RDG_OK && text.len > 0;
    snprintf(why, size, "%s", said ? rdg_buf_cstr(&text) : "the transaction failed without a reason");
    rdg_buf_fini(&data);
    rdg_buf_fini(&text);
}

static rdg_err_t look_for_receipts(intake_t *i, uint64_t height) {
    tx_store_t *s = i->store;
    rdg_hash_t ids[TX_STORE_FLIGHT_MAX] = {{{0}}};
    json_t *receipts[TX_STORE_FLIGHT_MAX] = {NULL};
    size_t n = s->flight_count;
    for (size_t f = 0; f < n; ++f) ids[f] = s->flight[f]->tx->id;
    RDG_TRY(rdg_rpc_receipts(i->rpc, ids, n, receipts));
    rdg_err_t err = RDG_OK;
    /* From the end, because an ended one is replaced by the last. */
    for (size_t f = n; f-- > 0;) {
        uint64_t status = 0;
        char why[256];
        if (err != RDG_OK) {
            json_decref(receipts[f]);
            continue;
        }
        if (!receipts[f]) {
            /* The height was read before the receipts: past valid_until it will never be included. */
            if (height > s->flight[f]->tx->valid_until) err = dropped(i, f);
            continue;
        }
        if (rdg_json_quantity_parse(json_object_get(receipts[f], "status"), &status) == RDG_OK &&
            status == 1) {
            err = confirmed(i, f);
        } else {
            reject_reason(receipts[f], why, sizeof why);
            err = rejected(i, f, why);
        }
        json_decref(receipts[f]);
    }
    return err;
}

/* --- new transactions ------------------------------------------------------------------------------- */

static rdg_err_t sign(intake_t *i, stored_tx_t *t, uint64_t gas, rdg_bytes_t data, uint64_t height) {
    rdg_address_t contract;
    pthread_mutex_lock(&i->lock);
    contract = i->contract;
    pthread_mutex_unlock(&i->lock);
    rdg_tx_fields_t f = {.chain_id = i->chain_id,
                         .nonce = rdg_tx_random_nonce(rdg_random_system()),
                         .valid_until = height + VALID_BLOCKS,
                         .gas_limit = gas,
                         .to = &contract,
                         .data = data};
    return rdg_tx_sign(&f, i->key, &t->tx);
}

static rdg_err_t make_tx(intake_t *i, meter_t *m, uint64_t base, uint64_t height) {
    uint64_t times[METERING_BATCH_MAX];
    int64_t values[METERING_BATCH_MAX];
    rdg_buf_t data;
    stored_tx_t *t = rdg_calloc(1, sizeof *t);
    if (!t) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a transaction");
    memcpy(t->meter, m->id, METER_BYTES);
    rdg_buf_init(&data, METERING_CALL_MAX);
    rdg_err_t err;
    if (!m->registered) {
        err = metering_register(m->id, &data);
    } else {
        for (uint16_t at = m->first; at != NO_ENTRY; at = i->window[at].next) {
            uint64_t offset = (at + TX_STORE_WINDOW - base % TX_STORE_WINDOW) % TX_STORE_WINDOW;
            t->numbers[t->count] = base + offset;
            times[t->count] = i->window[at].time;
            values[t->count++] = i->window[at].value;
        }
        err = metering_submit(m->id, times, values, t->count, &data);
    }
    uint64_t gas = t->count ? metering_submit_gas(t->count) : metering_register_gas();
    if (err == RDG_OK) err = sign(i, t, gas, rdg_buf_view(&data), height);
    rdg_buf_fini(&data);
    if (err == RDG_OK) err = tx_store_add(i->store, t);
    if (err != RDG_OK) {
        rdg_tx_unref(t->tx);
        rdg_free(t);
        return err;
    }
    m->flying = true;
    mark_flight(i, t, ENTRY_FLYING);
    return RDG_OK;
}

/* One pass over the window gathers a batch for every meter that has nothing on the way. */
static rdg_err_t make_all(intake_t *i, uint64_t height) {
    meter_t *ready[TX_STORE_FLIGHT_MAX];
    size_t count = 0, free_slots = TX_STORE_FLIGHT_MAX - i->store->flight_count;
    uint64_t base = i->store->low;
    for (uint64_t n = base; n < i->loaded; ++n) {
        window_entry_t *e = entry_of(i, n);
        meter_t *m = e->meter;
        if (e->state != ENTRY_WAITING || m->flying || m->count >= m->batch_limit) continue;
        if (m->count == 0) {
            if (count == free_slots) continue;
            ready[count++] = m;
            m->first = (uint16_t)(n % TX_STORE_WINDOW);
        } else {
            i->window[m->last].next = (uint16_t)(n % TX_STORE_WINDOW);
        }
        e->next = NO_ENTRY;
        m->last = (uint16_t)(n % TX_STORE_WINDOW);
        ++m->count;
    }
    rdg_err_t err = RDG_OK;
    for (size_t k = 0; k < count; ++k) {
        if (err == RDG_OK) err = make_tx(i, ready[k], base, height);
        ready[k]->count = 0;
        ready[k]->first = ready[k]->last = NO_ENTRY;
    }
    return err;
}

static rdg_err_t send_failed(intake_t *i, size_t at, rdg_err_t code) {
    stored_tx_t *t = i->store->flight[at];
    switch (code) {
    case RDG_OK:
    case RDG_E_DUPLICATE: return RDG_OK;
    case RDG_E_EXPIRED:
    case RDG_E_WRONG_CHAIN: return dropped(i, at);
    case RDG_E_INVALID_TX:
    case RDG_E_INVALID:
    case RDG_E_GAS_LIMIT:
    case RDG_E_TOO_LARGE:
    case RDG_E_MALFORMED:
    case RDG_E_BAD_SIGNATURE: return rejected(i, at, rdg_err_text(code));
    default:
        t->sent_ms = rdg_mono_ms(rdg_clock_system()) + AWAY_MIN_MS - RESEND_MS; /* full or busy: soon again */
        return RDG_OK;
    }
}

static rdg_err_t send_all(intake_t *i) {
    tx_store_t *s = i->store;
    json_t *params[TX_STORE_FLIGHT_MAX], *results[TX_STORE_FLIGHT_MAX] = {NULL};
    rdg_err_t errs[TX_STORE_FLIGHT_MAX], err = RDG_OK;
    size_t of[TX_STORE_FLIGHT_MAX], n = 0;
    uint64_t now = rdg_mono_ms(rdg_clock_system());
    for (size_t f = 0; f < s->flight_count; ++f) {
        stored_tx_t *t = s->flight[f];
        if (t->sent_ms != 0 && now < t->sent_ms + RESEND_MS) continue;
        if (!(params[n] = json_pack("[o]", rdg_json_hex(t->tx->raw.data, t->tx->raw.len)))) break;
        if (t->first_sent_us == 0) t->first_sent_us = rdg_mono_us(rdg_clock_system());
        t->sent_ms = now;
        of[n++] = f;
    }
    if (n == 0) return RDG_OK;
    err = i->rpc->batch(i->rpc->ctx, "ridge_sendTransaction", params, n, results, errs);
    for (size_t k = n; k-- > 0;) {
        json_decref(params[k]);
        json_decref(results[k]);
        if (err == RDG_OK) err = send_failed(i, of[k], errs[k]);
    }
    return err;
}

/* --- the cycle -------------------------------------------------------------------------------------- */

static rdg_err_t connect_node(intake_t *i) {
    char chain[65], url[64];
    pthread_mutex_lock(&i->lock);
    bool bound = i->bound;
    uint64_t binding = i->binding;
    snprintf(chain, sizeof chain, "%s", i->chain);
    pthread_mutex_unlock(&i->lock);
    if (!bound) return rdg_fail(RDG_E_UNAVAILABLE, "the intake is not bound to a contract");
    RDG_TRY(i->options.node_url(i->options.ctx, chain, url));
    if (binding != i->seen_binding) {
        /* What flies belongs to another contract: its readings go to this one. */
        while (i->seen_binding != 0 && i->store->flight_count > 0)
            RDG_TRY(dropped(i, i->store->flight_count - 1));
        size_t pos = 0;
        void *m;
        rdg_bytes_t key;
        pthread_mutex_lock(&i->lock);
        while (rdg_map_next(i->meters, &pos, &key, &m)) ((meter_t *)m)->registered = false;
        pthread_mutex_unlock(&i->lock);
        i->seen_binding = binding;
    }
    if (i->rpc && strcmp(i->url, url) == 0) return RDG_OK;
    rdg_rpc_http_free(i->rpc);
    i->rpc = NULL;
    snprintf(i->url, sizeof i->url, "%s", url);
    return rdg_rpc_http_new(url, RPC_TIMEOUT_MS, &i->rpc);
}

static void publish_counts(intake_t *i) {
    bool room = false;
    pthread_mutex_lock(&i->lock);
    i->submitted = i->store->submitted;
    i->confirmed = i->store->confirmed;
    i->refused = i->store->refused;
    i->low = i->store->low;
    if (i->was_full && queue_bytes(i->queue) < i->options.queue_bytes / 10 * 9) {
        i->was_full = false;
        room = true;
    }
    pthread_mutex_unlock(&i->lock);
    rdg_metric_set(i->m_queued, (int64_t)queue_bytes(i->queue));
    if (room && i->options.room) i->options.room(i->options.ctx);
}

/* *busy: look again soon. */
static rdg_err_t cycle(intake_t *i, bool *busy) {
    rdg_rpc_head_t head;
    *busy = false;
    load_window(i);
    if (i->store->flight_count == 0 && i->store->low == i->loaded) return RDG_OK;
    RDG_TRY(connect_node(i));
    RDG_TRY(rdg_rpc_head(i->rpc, &head));
    i->chain_id = head.chain_id;
    if (i->store->flight_count > 0) RDG_TRY(look_for_receipts(i, head.height));
    tx_store_advance(i->store, i->loaded);
    load_window(i);
    size_t before = i->store->flight_count;
    RDG_TRY(make_all(i, head.height));
    if (i->store->flight_count > before) RDG_TRY(tx_store_sync(i->store));
    RDG_TRY(send_all(i));
    *busy = i->store->flight_count > 0 || i->store->low < i->loaded;
    RDG_TRY(queue_release(i->queue, i->store->low));
    return tx_store_compact_if_worth(i->store);
}

static void await(intake_t *i, uint64_t ms, bool even_if_kicked) {
    uint64_t end = rdg_mono_ms(rdg_clock_system()) + ms, now;
    pthread_mutex_lock(&i->lock);
    while (!i->stopping && (even_if_kicked || !i->kicked) && (now = rdg_mono_ms(rdg_clock_system())) < end)
        (void)thread_cond_wait_ms(&i->wake, &i->lock, end - now);
    i->kicked = false;
    pthread_mutex_unlock(&i->lock);
}

static bool stopping(intake_t *i) {
    pthread_mutex_lock(&i->lock);
    bool s = i->stopping;
    pthread_mutex_unlock(&i->lock);
    return s;
}

void *intake_run(void *intake) {
    intake_t *i = intake;
    uint64_t away_ms = AWAY_MIN_MS;
    bool away = false;
    while (!stopping(i)) {
        bool busy;
        rdg_err_t err = cycle(i, &busy);
        publish_counts(i);
        if (err == RDG_OK) {
            if (away) rdg_log0(RDG_LOG_INFO, "intake.node_back");
            away = false;
            away_ms = AWAY_MIN_MS;
            await(i, busy ? POLL_MS : IDLE_MS, busy);
            continue;
        }
        if (!away)
            rdg_log(RDG_LOG_WARN, "intake.waiting", RDG_STR("code", rdg_err_name(err)),
                    RDG_STR("why", rdg_err_message(err)));
        away = true;
        await(i, away_ms, false);
        away_ms = away_ms * 2 > AWAY_MAX_MS ? AWAY_MAX_MS : away_ms * 2;
    }
    return NULL;
}
