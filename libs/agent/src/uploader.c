#include "uploader.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "ridge/base/alloc.h"
#include "ridge/base/assert.h"
#include "ridge/base/clock.h"
#include "ridge/base/log.h"
#include "ridge/base/random.h"
#include "ridge/codec/hex.h"
#include "ridge/net/http_client.h"
#include "thread.h"

#define CALL_MS 60000
#define FINISH_MS 600000 /* the cloud reads the whole file back */
#define ANSWER_MAX (64u << 10)
#define BACKOFF_FIRST_MS 1000u
#define BACKOFF_LAST_MS 60000u
#define RETRY_AFTER_MAX_S 3600u
#define PIECE_AIM_MS 1000u
#define CORRUPT_MAX 3
#define BASE "http://cloud.ridge/v1/uploads"

/* The file that is being sent. */
typedef struct current {
    bool active;
    outbox_item_t item;
    char upload[65]; /* "": ask the gateway where to go on */
    uint64_t offset;
    unsigned corrupt;
} current_t;

/* A file that has to wait. Every file of the outbox has a place: one without would be due at once, again and again. */
#define WAITING_MAX (OUTBOX_ITEMS_MAX + OUTBOX_FAILED_MAX)
typedef struct waiting {
    uint64_t seq, until_ms, backoff_ms;
    bool broken; /* by the link, and so until it is up */
} waiting_t;

struct uploader {
    uploader_options_t options;
    rdg_http_client_t *http;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool running, stopping, kicked, link_up;
    /* The thread's own. */
    current_t current;
    waiting_t waiting[WAITING_MAX];
    size_t waiting_count;
    size_t piece;
    uint64_t send_at_ms;
};

static uint64_t now_ms(void) {
    return rdg_mono_ms(rdg_clock_system());
}

/* --- files that wait --------------------------------------------------------------------------------------- */

static waiting_t *find_waiting(uploader_t *u, uint64_t seq) {
    for (size_t i = 0; i < u->waiting_count; ++i)
        if (u->waiting[i].seq == seq) return &u->waiting[i];
    return NULL;
}

static void forget_waiting(uploader_t *u, uint64_t seq) {
    waiting_t *w = find_waiting(u, seq);
    if (w) *w = u->waiting[--u->waiting_count];
}

static void current_leave(uploader_t *u) {
    outbox_item_fini(&u->current.item);
    memset(&u->current, 0, sizeof u->current);
}

/* retry_after_s 0: by the back-off of its own. */
static void postpone(uploader_t *u, unsigned retry_after_s, bool broken) {
    waiting_t *w = find_waiting(u, u->current.item.seq);
    if (!w) {
        RDG_ASSERT(u->waiting_count < WAITING_MAX);
        w = &u->waiting[u->waiting_count++];
        *w = (waiting_t){.seq = u->current.item.seq};
    }
    uint64_t base = w->backoff_ms ? w->backoff_ms * 2 : BACKOFF_FIRST_MS;
    if (base > BACKOFF_LAST_MS) base = BACKOFF_LAST_MS;
    w->backoff_ms = base;
    w->broken = broken;
    if (retry_after_s > RETRY_AFTER_MAX_S) retry_after_s = RETRY_AFTER_MAX_S;
    uint64_t wait = retry_after_s ? retry_after_s * 1000ull : base / 2;
    w->until_ms = now_ms() + wait + rdg_random_below(rdg_random_system(), retry_after_s ? 250 : base);
    current_leave(u);
}

/* Once it is uploaded nothing here would be left of it, and an export made anew has another manifest. */
static bool is_unannounced(const uploader_t *u, const outbox_item_t *i) {
    return strcmp(i->kind, OUTBOX_ARCHIVE) == 0 && journal_waits(u->options.journal, i->name);
}

/* The oldest file that is due; *soonest: when the next one is. Whoever ends a command kicks. */
static bool choose(uploader_t *u, uint64_t *soonest) {
    uint64_t from = 0, now = now_ms();
    outbox_item_t item;
    while (outbox_next(u->options.outbox, from, &item)) {
        const waiting_t *w = find_waiting(u, item.seq);
        bool due = !w || w->until_ms <= now;
        if (due && !is_unannounced(u, &item)) {
            u->current = (current_t){.active = true, .item = item};
            return true;
        }
        if (!due && w->until_ms < *soonest) *soonest = w->until_ms;
        from = item.seq + 1;
        outbox_item_fini(&item);
    }
    return false;
}

/* --- one request ------------------------------------------------------------------------------------------- */

typedef struct reply {
    unsigned status, retry_after_s;
    json_t *body; /* an object */
} reply_t;

static rdg_err_t call(uploader_t *u, const char *method, const char *path, rdg_bytes_t body,
                      uint64_t timeout_ms, reply_t *out) {
    char url[160];
    rdg_http_answer_t got;
    snprintf(url, sizeof url, BASE "%s", path);
    rdg_http_call_t c = {
        .method = method, .url = url, .body = body, .timeout_ms = timeout_ms, .max_body = ANSWER_MAX};
    RDG_TRY(rdg_http_call(u->http, &c, &got));
    *out = (reply_t){.status = got.status, .retry_after_s = got.retry_after_s};
    if (rdg_json_parse(rdg_buf_view(&got.body), &out->body) != RDG_OK || !json_is_object(out->body)) {
        json_decref(out->body);
        out->body = json_object();
    }
    rdg_http_answer_fini(&got);
    return out->body ? RDG_OK : rdg_fail(RDG_E_NO_MEMORY, "no memory for an answer");
}

static rdg_err_t refusal(const reply_t *r) {
    const char *code = NULL, *message = NULL;
    const json_t *error = json_object_get(r->body, "error");
    if (json_is_object(error)) {
        (void)rdg_json_opt_str(error, "code", &code);
        (void)rdg_json_opt_str(error, "message", &message);
    }
    rdg_err_t err = code ? rdg_err_from_name(code) : RDG_E_PROTOCOL;
    if (err == RDG_OK) err = RDG_E_PROTOCOL;
    return message ? rdg_fail(err, "%s", message)
                   : rdg_fail(err, "the cloud answered HTTP status %u", r->status);
}

static void finished(uploader_t *u) {
    const outbox_item_t *i = &u->current.item;
    rdg_log(RDG_LOG_INFO, "upload.done", RDG_STR("kind", i->kind), RDG_STR("name", i->name),
            RDG_U64("bytes", i->size));
    (void)outbox_done(u->options.outbox, i->seq);
    forget_waiting(u, i->seq);
    current_leave(u);
}

static void give_up(uploader_t *u, rdg_err_t why) {
    rdg_err_t err = outbox_fail(u->options.outbox, u->current.item.seq, why);
    if (err != RDG_OK) rdg_log_err("outbox.failed", err);
    forget_waiting(u, u->current.item.seq);
    current_leave(u);
}

/* What an answer other than 2xx means for the file. */
static void refused(uploader_t *u, const reply_t *r) {
    rdg_err_t why = refusal(r);
    uint64_t offset = u->current.offset;
    if (r->status == 409 && rdg_json_get_u64(r->body, "offset", &offset) == RDG_OK &&
        offset != u->current.offset) {
        u->current.offset = offset; /* go on where the gateway says */
        if (offset > u->current.item.size)
            give_up(u, rdg_fail(RDG_E_PROTOCOL, "the cloud has more of it than there is"));
        return;
    }
    if (r->status == 404 && u->current.upload[0]) {
        u->current.upload[0] = '\0';
        return;
    }
    if (r->status == 422 && ++u->current.corrupt < CORRUPT_MAX) {
        rdg_log_err("upload.corrupt", why);
        u->current.upload[0] = '\0';
        return;
    }
    if (r->status == 400 || r->status == 403 || r->status == 409 || r->status == 413 || r->status == 422) {
        give_up(u, why);
        return;
    }
    rdg_log(RDG_LOG_INFO, "upload.postponed", RDG_STR("name", u->current.item.name),
            RDG_U64("status", r->status), RDG_U64("retry_after_s", r->retry_after_s),
            RDG_STR("why", rdg_err_message(why)));
    postpone(u, r->retry_after_s, false);
}

/* --- the steps --------------------------------------------------------------------------------------------- */

static void take_state(uploader_t *u, const reply_t *r) {
    const char *state = "", *upload = "";
    uint64_t offset = 0;
    (void)rdg_json_opt_str(r->body, "state", &state);
    (void)rdg_json_opt_str(r->body, "upload", &upload);
    (void)rdg_json_opt_u64(r->body, "offset", &offset);
    size_t len = strlen(upload);
    if (strcmp(state, "stored") == 0) {
        finished(u);
    } else if (strcmp(state, "open") != 0 || len == 0 || len >= sizeof u->current.upload ||
               strspn(upload, "0123456789abcdef") != len || offset > u->current.item.size) {
        rdg_log(RDG_LOG_WARN, "upload.strange_answer", RDG_U64("status", r->status));
        postpone(u, 0, false);
    } else {
        snprintf(u->current.upload, sizeof u->current.upload, "%s", upload);
        u->current.offset = offset;
    }
}

static rdg_err_t offer(uploader_t *u) {
    const outbox_item_t *i = &u->current.item;
    char hex[65];
    reply_t r = {0};
    rdg_hex_encode(i->digest.b, sizeof i->digest.b, hex);
    json_t *o = json_pack("{s:s, s:s, s:I, s:s, s:O}", "kind", i->kind, "name", i->name, "size",
                          (json_int_t)i->size, "sm3", hex, "meta", i->meta);
    char *text = o ? rdg_json_text(o) : NULL;
    json_decref(o);
    if (!text) return rdg_fail(RDG_E_NO_MEMORY, "no memory to offer a file");
    rdg_err_t err = call(u, "POST", "", rdg_bytes_str(text), CALL_MS, &r);
    rdg_free(text);
    RDG_TRY(err);
    if (r.status == 200 || r.status == 201)
        take_state(u, &r);
    else
        refused(u, &r);
    json_decref(r.body);
    return RDG_OK;
}

static rdg_err_t read_piece(uploader_t *u, uint8_t *dst, size_t len) {
    int fd;
    size_t done = 0;
    rdg_err_t err = outbox_data(u->options.outbox, u->current.item.seq, &fd);
    RDG_TRY(err);
    while (err == RDG_OK && done < len) {
        ssize_t n = pread(fd, dst + done, len - done, (off_t)(u->current.offset + done));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) err = rdg_fail_errno(errno, "cannot read a file of the outbox");
        if (n == 0) err = rdg_fail(RDG_E_CORRUPT, "a file of the outbox has become shorter");
        if (n > 0) done += (size_t)n;
    }
    close(fd);
    return err;
}

/* As much as the link takes in about a second: what is urgent never waits longer behind a piece. */
static void adapt(uploader_t *u, size_t len, uint64_t took_ms) {
    if (took_ms < PIECE_AIM_MS / 4 && len == u->piece)
        u->piece *= 2;
    else if (took_ms > 2 * PIECE_AIM_MS)
        u->piece /= 2;
    if (u->piece > UPLOAD_PIECE_MAX) u->piece = UPLOAD_PIECE_MAX;
    if (u->piece < UPLOAD_PIECE_MIN) u->piece = UPLOAD_PIECE_MIN;
    if (u->options.bytes_per_s) u->send_at_ms = now_ms() + len * 1000 / u->options.bytes_per_s;
}

static rdg_err_t send_piece(uploader_t *u) {
    char path[120];
    reply_t r = {0};
    uint64_t left = u->current.item.size - u->current.offset, start = now_ms();
    size_t len = left < u->piece ? (size_t)left : u->piece;
    uint8_t *bytes = rdg_alloc(len);
    if (!bytes) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a piece of a file");
    snprintf(path, sizeof path, "/%s?offset=%" PRIu64, u->current.upload, u->current.offset);
    rdg_err_t err = read_piece(u, bytes, len);
    if (err == RDG_E_CORRUPT || err == RDG_E_NOT_FOUND) {
        rdg_free(bytes);
        give_up(u, err);
        return RDG_OK;
    }
    if (err == RDG_OK) err = call(u, "PUT", path, rdg_bytes(bytes, len), CALL_MS, &r);
    rdg_free(bytes);
    RDG_TRY(err);
    if (r.status == 200) {
        adapt(u, len, now_ms() - start);
        take_state(u, &r);
    } else {
        refused(u, &r);
    }
    json_decref(r.body);
    return RDG_OK;
}

static rdg_err_t finish(uploader_t *u) {
    char path[120];
    reply_t r = {0};
    snprintf(path, sizeof path, "/%s/finish", u->current.upload);
    RDG_TRY(call(u, "POST", path, rdg_bytes(NULL, 0), FINISH_MS, &r));
    if (r.status == 200)
        take_state(u, &r);
    else
        refused(u, &r);
    json_decref(r.body);
    return RDG_OK;
}

static void step(uploader_t *u) {
    rdg_err_t err;
    if (!u->current.upload[0])
        err = offer(u);
    else if (u->current.offset < u->current.item.size)
        err = send_piece(u);
    else
        err = finish(u);
    if (err == RDG_OK || !u->current.active) return;
    /* The link broke, or the cloud did: nothing is known of the request. */
    rdg_log(RDG_LOG_INFO, "upload.interrupted", RDG_STR("name", u->current.item.name),
            RDG_STR("code", rdg_err_name(err)), RDG_STR("why", rdg_err_message(err)));
    postpone(u, 0, true);
}

/* --- the thread -------------------------------------------------------------------------------------------- */

static void wait_until(uploader_t *u, uint64_t until_ms) {
    pthread_mutex_lock(&u->lock);
    uint64_t now;
    while (!u->stopping && !u->kicked && (now = now_ms()) < until_ms)
        (void)thread_cond_wait_ms(&u->wake, &u->lock, until_ms - now < 60000 ? until_ms - now : 60000);
    u->kicked = false;
    pthread_mutex_unlock(&u->lock);
}

static bool go_on(uploader_t *u) {
    pthread_mutex_lock(&u->lock);
    for (size_t i = 0; u->link_up && i < u->waiting_count; ++i)
        if (u->waiting[i].broken) u->waiting[i].until_ms = 0;
    u->link_up = false;
    bool go = !u->stopping;
    pthread_mutex_unlock(&u->lock);
    return go;
}

static void *run(void *arg) {
    uploader_t *u = arg;
    while (go_on(u)) {
        uint64_t soonest = UINT64_MAX;
        if (!u->current.active && !choose(u, &soonest))
            wait_until(u, soonest);
        else if (u->send_at_ms > now_ms())
            wait_until(u, u->send_at_ms);
        else
            step(u);
    }
    current_leave(u);
    return NULL;
}

rdg_err_t uploader_start(const uploader_options_t *o, uploader_t **out) {
    RDG_ASSERT(o->outbox && o->journal);
    uploader_t *u = rdg_calloc(1, sizeof *u);
    if (!u) return rdg_fail(RDG_E_NO_MEMORY, "no memory for uploads");
    u->options = *o;
    u->piece = 4 * UPLOAD_PIECE_MIN;
    pthread_mutex_init(&u->lock, NULL);
    thread_cond_init(&u->wake);
    rdg_err_t err = rdg_http_client_new(&u->http);
    if (err == RDG_OK) err = rdg_http_client_via(u->http, o->socket);
    if (err == RDG_OK) err = thread_start(&u->thread, run, u);
    u->running = err == RDG_OK;
    if (err == RDG_OK)
        *out = u;
    else
        uploader_free(u);
    return err;
}

void uploader_kick(uploader_t *u, bool link_up) {
    if (!u) return;
    pthread_mutex_lock(&u->lock);
    u->kicked = true;
    u->link_up |= link_up;
    pthread_cond_signal(&u->wake);
    pthread_mutex_unlock(&u->lock);
}

void uploader_halt(uploader_t *u) {
    if (!u) return;
    pthread_mutex_lock(&u->lock);
    u->stopping = true;
    pthread_cond_signal(&u->wake);
    pthread_mutex_unlock(&u->lock);
}

void uploader_free(uploader_t *u) {
    if (!u) return;
    uploader_halt(u);
    if (u->running) pthread_join(u->thread, NULL);
    rdg_http_client_free(u->http);
    pthread_cond_destroy(&u->wake);
    pthread_mutex_destroy(&u->lock);
    rdg_free(u);
}
