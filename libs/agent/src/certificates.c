#include "certificates.h"
#include "image_trust.h"
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include "ridge/base/random.h"
#include "ridge/codec/hex.h"
#include "thread.h"
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define LOOK_EVERY_MS 60000u
#define ANSWER_WITHIN_MS 30000u
#define RETRY_MIN_MS 60000u
#define RETRY_MAX_MS 3600000u
#define HOLDERS_MAX (WORKLOADS_MAX + 1)

/* A directory with credentials: the device's (chain "") or a node's. */
typedef struct holder {
    char chain[COMMAND_CHAIN_MAX + 1];
    int64_t not_before_s, not_after_s; /* 0: nothing is installed yet */
    bool forced, alarm, told;
    uint64_t next_try_ms, wait_ms; /* monotonic; back-off */
    bool seen;                     /* while the list is made anew */
    uint8_t jitter;                /* of 256 parts of a twelfth of the life */
} holder_t;

struct certificates {
    certificates_options_t o;
    char *dir, *device;
    pthread_t thread;
    bool running;
    pthread_mutex_t lock; /* what follows */
    pthread_cond_t wake;
    bool stopping, kicked;
    rdg_buf_t answer, list, trust; /* what came; empty: nothing */
    holder_t holders[HOLDERS_MAX];
    size_t holder_count;
    pthread_mutex_t disk; /* one change of credentials at a time */
    /* The thread's own: the request that is under way. */
    char asked_id[33], asked_chain[COMMAND_CHAIN_MAX + 1];
    uint64_t asked_ms; /* monotonic; 0: none */
};

void certificates_name(const char *device, const char *chain, char out[RDG_CERT_DNS_MAX]) {
    snprintf(out, RDG_CERT_DNS_MAX, "%s%s%s", device, chain[0] ? "." : "", chain);
}

static int64_t now_s(const certificates_t *c) {
    return (int64_t)(rdg_wall_ms(c->o.clock) / 1000);
}

static uint64_t mono_ms(void) {
    return rdg_mono_ms(rdg_clock_system());
}

static rdg_err_t dir_of(const certificates_t *c, const char *chain, char out[CHAIN_PATH_MAX]) {
    if (chain[0]) return chain_path(c->dir, chain, "node", out);
    int n = snprintf(out, CHAIN_PATH_MAX, "%s", c->dir);
    return n < CHAIN_PATH_MAX ? RDG_OK : rdg_fail(RDG_E_TOO_LARGE, "the path %s is too long", c->dir);
}

static const char *prefix_of(const char *chain) {
    return chain[0] ? CREDENTIALS_NODE_PREFIX : CREDENTIALS_PREFIX;
}

/* --- installing ------------------------------------------------------------------------------------------- */

static rdg_err_t install(certificates_t *c, const char *chain, const json_t *certificates) {
    char dir[CHAIN_PATH_MAX], name[RDG_CERT_DNS_MAX];
    char *roots = NULL;
    certificates_name(c->device, chain, name);
    RDG_TRY(dir_of(c, chain, dir));
    pthread_mutex_lock(&c->disk);
    rdg_err_t err = credentials_roots(c->dir, &roots);
    if (err == RDG_OK) err = credentials_install(dir, prefix_of(chain), name, certificates, roots, now_s(c));
    pthread_mutex_unlock(&c->disk);
    rdg_free(roots);
    return err;
}

static rdg_err_t copy_list(certificates_t *c, const char *chain) {
    char from[CHAIN_PATH_MAX], to[CHAIN_PATH_MAX];
    rdg_buf_t text;
    RDG_TRY(rdg_path_join(from, sizeof from, c->dir, "ca.crl"));
    RDG_TRY(chain_path(c->dir, chain, "node/ca.crl", to));
    rdg_buf_init(&text, RDG_CRL_PEM_MAX);
    pthread_mutex_lock(&c->disk);
    rdg_err_t err = rdg_file_read(from, &text);
    if (err == RDG_OK) err = rdg_file_replace(to, rdg_buf_view(&text), 0644);
    pthread_mutex_unlock(&c->disk);
    rdg_buf_fini(&text);
    return err == RDG_E_NOT_FOUND ? RDG_OK : err;
}

static rdg_err_t load(certificates_t *c, const char *chain, rdg_credentials_t **out) {
    char dir[CHAIN_PATH_MAX];
    *out = NULL;
    pthread_mutex_lock(&c->disk);
    rdg_err_t err = dir_of(c, chain, dir);
    if (err == RDG_OK) err = rdg_credentials_load(dir, prefix_of(chain), out);
    pthread_mutex_unlock(&c->disk);
    return err;
}

/* The node's own files are whole, and go together. */
static bool has_sound(certificates_t *c, const char *chain) {
    rdg_credentials_t *found;
    rdg_err_t err = load(c, chain, &found);
    rdg_credentials_free(found);
    return err == RDG_OK;
}

/* The cloud's may be of keys that this device has replaced since. */
static rdg_err_t install_or_keep(certificates_t *c, const char *chain, const json_t *certificates) {
    char why[RDG_ERROR_TEXT_MAX];
    rdg_err_t err = install(c, chain, certificates);
    bool passing = err == RDG_E_IO || err == RDG_E_DISK_FULL || err == RDG_E_NO_MEMORY;
    if (err == RDG_OK || passing) return err;
    snprintf(why, sizeof why, "%s", rdg_err_message(err));
    if (!has_sound(c, chain)) return rdg_fail(err, "%s", why);
    rdg_log(RDG_LOG_WARN, "certificate.kept", RDG_STR("chain", chain), RDG_STR("why", why));
    return RDG_OK;
}

rdg_err_t certificates_install_node(certificates_t *c, const char *chain, const json_t *certificates) {
    RDG_TRY(install_or_keep(c, chain, certificates));
    RDG_TRY(copy_list(c, chain));
    certificates_kick(c);
    return RDG_OK;
}

/* --- who holds what ----------------------------------------------------------------------------------------- */

/* With the lock held. */
static holder_t *find(certificates_t *c, const char *chain) {
    for (size_t i = 0; i < c->holder_count; ++i)
        if (strcmp(c->holders[i].chain, chain) == 0) return &c->holders[i];
    return NULL;
}

static void note(certificates_t *c, const char *chain, const rdg_credentials_t *found) {
    char serial[RDG_CERT_SERIAL_MAX] = "";
    uint8_t jitter = 0;
    if (found) rdg_cert_serial(found->sign_cert, serial);
    for (const char *s = serial; *s; ++s) jitter = (uint8_t)(jitter * 31 + (uint8_t)*s);
    pthread_mutex_lock(&c->lock);
    holder_t *h = find(c, chain);
    if (!h && c->holder_count < HOLDERS_MAX) {
        h = &c->holders[c->holder_count++];
        memset(h, 0, sizeof *h);
        snprintf(h->chain, sizeof h->chain, "%s", chain);
    }
    if (h) {
        h->seen = true;
        h->jitter = jitter;
        h->not_before_s = found ? rdg_cert_not_before_s(found->sign_cert) : 0;
        h->not_after_s = found ? rdg_cert_not_after_s(found->sign_cert) : 0;
        int64_t enc_end = found ? rdg_cert_not_after_s(found->enc_cert) : 0;
        if (enc_end < h->not_after_s) h->not_after_s = enc_end;
    }
    pthread_mutex_unlock(&c->lock);
}

static void look_at(certificates_t *c, const char *chain) {
    rdg_credentials_t *found;
    rdg_err_t err = load(c, chain, &found);
    if (err != RDG_OK && err != RDG_E_NOT_FOUND)
        rdg_log(RDG_LOG_ERROR, "certificate.unreadable", RDG_STR("chain", chain),
                RDG_STR("why", rdg_err_message(err)));
    note(c, chain, found);
    rdg_credentials_free(found);
}

static void drop_unseen(certificates_t *c) {
    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < c->holder_count;) {
        holder_t *h = &c->holders[i];
        if (h->seen)
            ++i;
        else
            *h = c->holders[--c->holder_count];
    }
    pthread_mutex_unlock(&c->lock);
}

static void look_at_all(certificates_t *c) {
    workload_view_t *views = rdg_calloc(WORKLOADS_MAX, sizeof *views);
    size_t count = views ? workloads_list(c->o.workloads, views, WORKLOADS_MAX) : 0;
    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < c->holder_count; ++i) c->holders[i].seen = !views;
    pthread_mutex_unlock(&c->lock);
    look_at(c, "");
    for (size_t i = 0; i < count; ++i) look_at(c, views[i].chain.name);
    rdg_free(views);
    drop_unseen(c);
}

/* --- renewing ------------------------------------------------------------------------------------------------ */

static bool due(const holder_t *h, int64_t now) {
    int64_t life = h->not_after_s - h->not_before_s;
    if (h->not_after_s == 0) return false; /* enrolment or chain.start brings the first */
    return h->forced || now - h->not_before_s >= life / 3 * 2 + life / 12 * h->jitter / 256;
}

/* Times are scaled for lives that are shorter than a year, so that a try fits into them many times. */
static uint64_t scaled(const holder_t *h, uint64_t ms) {
    uint64_t part = (uint64_t)(h->not_after_s - h->not_before_s) * 1000 / 500;
    if (ms == RETRY_MAX_MS) part *= 10;
    return part < ms ? (part < 200 ? 200 : part) : ms;
}

static rdg_err_t sign(certificates_t *c, const char *chain, const json_t *requests, uint64_t time_ms,
                      char out[129]) {
    char path[CHAIN_PATH_MAX], sign_hex[65], enc_hex[65], text[512];
    rdg_sm2_key_t *key = NULL;
    rdg_sm2_signature_t sig;
    rdg_hash_t digest;
    const char *sign_request = json_string_value(json_object_get(requests, "sign"));
    const char *enc_request = json_string_value(json_object_get(requests, "enc"));
    rdg_sm3(sign_request, strlen(sign_request), &digest);
    rdg_hex_encode(digest.b, sizeof digest.b, sign_hex);
    rdg_sm3(enc_request, strlen(enc_request), &digest);
    rdg_hex_encode(digest.b, sizeof digest.b, enc_hex);
    int n = snprintf(text, sizeof text, "ridge-renew-v1\n%s\n%s\n%" PRIu64 "\n%s\n%s", c->device, chain,
                     time_ms, sign_hex, enc_hex);
    if (n < 0 || n >= (int)sizeof text) return rdg_fail(RDG_E_TOO_LARGE, "the renewal's names are too long");
    RDG_TRY(rdg_path_join(path, sizeof path, c->dir, CREDENTIALS_PREFIX ".key"));
    RDG_TRY(rdg_sm2_key_load(path, &key));
    rdg_err_t err = rdg_sm2_sign(key, text, (size_t)n, &sig);
    rdg_sm2_key_free(key);
    rdg_hex_encode(sig.b, sizeof sig.b, out);
    return err;
}

static rdg_err_t ask(certificates_t *c, const char *chain) {
    char dir[CHAIN_PATH_MAX], name[RDG_CERT_DNS_MAX], sig[129];
    uint64_t time_ms = rdg_wall_ms(rdg_clock_system());
    json_t *requests = NULL, *message = NULL;
    rdg_buf_t text;
    certificates_name(c->device, chain, name);
    RDG_TRY(dir_of(c, chain, dir));
    pthread_mutex_lock(&c->disk);
    rdg_err_t err = credentials_requests(dir, prefix_of(chain), name, &requests);
    pthread_mutex_unlock(&c->disk);
    if (err == RDG_OK) err = sign(c, chain, requests, time_ms, sig);
    rdg_random_hex(rdg_random_system(), c->asked_id, 16);
    if (err == RDG_OK) {
        message =
            json_pack("{s:s, s:s, s:O, s:O, s:I, s:s}", "id", c->asked_id, "chain", chain, "sign_request",
                      json_object_get(requests, "sign"), "enc_request", json_object_get(requests, "enc"),
                      "time_ms", (json_int_t)time_ms, "signature", sig);
        if (!message) err = rdg_fail(RDG_E_NO_MEMORY, "no memory for a renewal");
    }
    rdg_buf_init(&text, 16u << 10);
    if (err == RDG_OK) err = rdg_json_dump(message, &text);
    if (err == RDG_OK) err = c->o.send(c->o.ctx, rdg_buf_view(&text));
    rdg_buf_fini(&text);
    json_decref(message);
    json_decref(requests);
    if (err != RDG_OK) return err;
    snprintf(c->asked_chain, sizeof c->asked_chain, "%s", chain);
    c->asked_ms = mono_ms();
    return RDG_OK;
}

/* The next try of this holder is later and later; a success forgets that. */
static void settle(certificates_t *c, const char *chain, rdg_err_t err) {
    if (err != RDG_OK && err != RDG_E_UNAVAILABLE)
        rdg_log(RDG_LOG_WARN, "certificate.renewal_failed", RDG_STR("chain", chain),
                RDG_STR("code", rdg_err_name(err)), RDG_STR("why", rdg_err_message(err)));
    pthread_mutex_lock(&c->lock);
    holder_t *h = find(c, chain);
    if (h && err == RDG_OK) {
        h->wait_ms = h->next_try_ms = 0;
        h->forced = h->told = false;
    } else if (h) {
        uint64_t least = scaled(h, RETRY_MIN_MS), most = scaled(h, RETRY_MAX_MS);
        h->wait_ms = h->wait_ms * 2 < least ? least : h->wait_ms * 2 > most ? most : h->wait_ms * 2;
        h->next_try_ms = mono_ms() + h->wait_ms;
    }
    pthread_mutex_unlock(&c->lock);
}

static rdg_err_t error_of(const json_t *message) {
    const json_t *e = json_object_get(message, "error");
    const char *code = json_string_value(json_object_get(e, "code"));
    const char *text = json_string_value(json_object_get(e, "message"));
    return rdg_fail(rdg_err_from_name(code ? code : ""), "%s", text ? text : "the cloud gave no reason");
}

/* The same certificate again: the cloud thinks that it is too early. */
static rdg_err_t installed(certificates_t *c, int64_t before_s) {
    pthread_mutex_lock(&c->lock);
    const holder_t *h = find(c, c->asked_chain);
    bool newer = h && (h->not_before_s > before_s);
    pthread_mutex_unlock(&c->lock);
    return newer ? RDG_OK : rdg_fail(RDG_E_BUSY, "the cloud answered the present certificate again");
}

static void take_answer(certificates_t *c, const json_t *message) {
    const char *id = json_string_value(json_object_get(message, "id"));
    json_t *certificates = json_object_get(message, "certificates");
    if (!c->asked_ms || !id || strcmp(id, c->asked_id) != 0) return;
    c->asked_ms = 0;
    pthread_mutex_lock(&c->lock);
    const holder_t *h = find(c, c->asked_chain);
    int64_t before = h ? h->not_before_s : 0;
    bool forced = h && h->forced;
    pthread_mutex_unlock(&c->lock);
    rdg_err_t err =
        json_is_object(certificates) ? install(c, c->asked_chain, certificates) : error_of(message);
    if (err == RDG_OK) {
        look_at(c, c->asked_chain);
        rdg_log(RDG_LOG_INFO, "certificate.renewed", RDG_STR("chain", c->asked_chain));
        c->o.changed(c->o.ctx, c->asked_chain);
        if (!forced) err = installed(c, before);
    }
    settle(c, c->asked_chain, err);
}

static void renew_due(certificates_t *c) {
    char chain[COMMAND_CHAIN_MAX + 1];
    bool found = false;
    if (c->asked_ms && mono_ms() - c->asked_ms > ANSWER_WITHIN_MS) {
        c->asked_ms = 0;
        settle(c, c->asked_chain, rdg_fail(RDG_E_TIMEOUT, "the cloud did not answer"));
    }
    if (c->asked_ms) return;
    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < c->holder_count && !found; ++i) {
        const holder_t *h = &c->holders[i];
        found = due(h, now_s(c)) && h->next_try_ms <= mono_ms();
        if (found) snprintf(chain, sizeof chain, "%s", h->chain);
    }
    pthread_mutex_unlock(&c->lock);
    if (!found) return;
    rdg_err_t err = ask(c, chain);
    if (err != RDG_OK) settle(c, chain, err);
}

/* --- the revocation list ---------------------------------------------------------------------------------- */

static rdg_err_t force_all(certificates_t *c) {
    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < c->holder_count; ++i) c->holders[i].forced = true;
    pthread_mutex_unlock(&c->lock);
    rdg_log0(RDG_LOG_INFO, "certificate.issuer_changed");
    return RDG_OK;
}

static rdg_err_t is_news(const rdg_credentials_t *mine, const rdg_crl_t *crl, bool *news) {
    *news = !mine->crl || rdg_crl_number(crl) > rdg_crl_number(mine->crl);
    if (*news || rdg_crl_number(crl) == rdg_crl_number(mine->crl)) return RDG_OK;
    return rdg_fail(RDG_E_STALE, "revocation list %" PRIu64 " came after list %" PRIu64, rdg_crl_number(crl),
                    rdg_crl_number(mine->crl));
}

/* The list's issuer stands under our root, whether it is ours or one that has taken its place. */
static rdg_err_t check_issuer(certificates_t *c, const rdg_credentials_t *mine, const json_t *message,
                              const rdg_crl_t *crl, bool *ours) {
    const char *chain_pem = NULL;
    rdg_cert_t *chain[RDG_CERT_CHAIN_MAX] = {0};
    size_t count = 0;
    *ours = rdg_crl_verify(crl, mine->chain_count ? mine->chain[0] : mine->roots[0]) == RDG_OK;
    if (*ours) return RDG_OK;
    RDG_TRY(rdg_json_get_str(message, "chain", &chain_pem));
    RDG_TRY(rdg_cert_parse_pem(rdg_bytes_str(chain_pem), chain, RDG_CERT_CHAIN_MAX, &count));
    rdg_err_t err = rdg_cert_verify_ca(chain[0], (const rdg_cert_t *const *)chain, count, mine->roots,
                                       mine->root_count, now_s(c));
    if (err == RDG_OK) err = rdg_crl_verify(crl, chain[0]);
    for (size_t i = 0; i < count; ++i) rdg_cert_free(chain[i]);
    return err;
}

static rdg_err_t store_list(certificates_t *c, const char *pem) {
    char path[CHAIN_PATH_MAX];
    RDG_TRY(rdg_path_join(path, sizeof path, c->dir, "ca.crl"));
    pthread_mutex_lock(&c->disk);
    rdg_err_t err = rdg_file_replace(path, rdg_bytes_str(pem), 0644);
    pthread_mutex_unlock(&c->disk);
    return err;
}

static rdg_err_t give_list(certificates_t *c) {
    char chains[HOLDERS_MAX][COMMAND_CHAIN_MAX + 1];
    size_t count = 0;
    rdg_err_t err = RDG_OK;
    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < c->holder_count; ++i)
        if (c->holders[i].chain[0] && c->holders[i].not_after_s)
            memcpy(chains[count++], c->holders[i].chain, sizeof chains[0]);
    pthread_mutex_unlock(&c->lock);
    for (size_t i = 0; i < count; ++i) {
        rdg_err_t one = copy_list(c, chains[i]);
        if (one != RDG_OK) err = one;
    }
    return err;
}

static rdg_err_t take_crl(certificates_t *c, const json_t *message, const char *pem, const rdg_crl_t *crl) {
    rdg_credentials_t *mine = NULL;
    bool news = false, ours = false;
    pthread_mutex_lock(&c->disk);
    rdg_err_t err = rdg_credentials_load(c->dir, CREDENTIALS_PREFIX, &mine);
    pthread_mutex_unlock(&c->disk);
    RDG_TRY(err);
    err = is_news(mine, crl, &news);
    if (err == RDG_OK && news) err = check_issuer(c, mine, message, crl, &ours);
    if (err == RDG_OK && news && ours && rdg_crl_this_update_s(crl) > now_s(c) + 86400)
        err = rdg_crl_check_time(crl, now_s(c));
    rdg_credentials_free(mine);
    if (err != RDG_OK || !news) return err;
    if (!ours) return force_all(c);
    RDG_TRY(store_list(c, pem));
    rdg_log(RDG_LOG_INFO, "certificate.list", RDG_U64("number", rdg_crl_number(crl)),
            RDG_U64("entries", rdg_crl_count(crl)));
    err = give_list(c);
    c->o.changed(c->o.ctx, NULL);
    return err;
}

static void take_list(certificates_t *c, const json_t *message) {
    const char *pem = NULL;
    rdg_crl_t *crl = NULL;
    rdg_err_t err = rdg_json_get_str(message, "crl", &pem);
    if (err == RDG_OK) err = rdg_crl_parse_pem(rdg_bytes_str(pem), &crl);
    if (err == RDG_OK) err = take_crl(c, message, pem, crl);
    rdg_crl_free(crl);
    if (err != RDG_OK)
        rdg_log(RDG_LOG_WARN, "certificate.list_refused", RDG_STR("code", rdg_err_name(err)),
                RDG_STR("why", rdg_err_message(err)));
}

static void take_trust(certificates_t *c, const json_t *message) {
    pthread_mutex_lock(&c->disk);
    rdg_err_t err = image_trust_take(c->dir, message, now_s(c), false);
    pthread_mutex_unlock(&c->disk);
    if (err != RDG_OK)
        rdg_log(RDG_LOG_WARN, "image.trust_refused", RDG_STR("code", rdg_err_name(err)),
                RDG_STR("why", rdg_err_message(err)));
}

/* --- the thread --------------------------------------------------------------------------------------------- */

/* Takes what came out of its buffer. With the lock held. */
static json_t *take(rdg_buf_t *b) {
    json_t *message = NULL;
    if (b->len > 0) (void)rdg_json_parse(rdg_buf_view(b), &message);
    size_t max = b->max;
    rdg_buf_fini(b); /* a list is large, and comes seldom */
    rdg_buf_init(b, max);
    return message;
}

static void raise_alarms(certificates_t *c) {
    int64_t now = now_s(c);
    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < c->holder_count; ++i) {
        holder_t *h = &c->holders[i];
        h->alarm = h->not_after_s && h->not_after_s - now < (h->not_after_s - h->not_before_s) / 10;
        if (h->alarm && !h->told)
            rdg_log(RDG_LOG_ERROR, "certificate.ends", RDG_STR("chain", h->chain),
                    RDG_I64("seconds_left", h->not_after_s - now));
        h->told = h->alarm;
    }
    pthread_mutex_unlock(&c->lock);
}

static uint64_t pause_of(certificates_t *c) {
    uint64_t ms = LOOK_EVERY_MS;
    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < c->holder_count; ++i) {
        uint64_t part = scaled(&c->holders[i], RETRY_MIN_MS);
        if (c->holders[i].not_after_s && part < ms) ms = part;
    }
    pthread_mutex_unlock(&c->lock);
    return ms;
}

static void *run(void *arg) {
    certificates_t *c = arg;
    pthread_mutex_lock(&c->lock);
    while (!c->stopping) {
        c->kicked = false;
        json_t *answer = take(&c->answer), *list = take(&c->list), *trust = take(&c->trust);
        pthread_mutex_unlock(&c->lock);
        look_at_all(c);
        if (answer) take_answer(c, answer);
        if (list) take_list(c, list);
        if (trust) take_trust(c, trust);
        json_decref(answer);
        json_decref(list);
        json_decref(trust);
        renew_due(c);
        raise_alarms(c);
        uint64_t pause = pause_of(c);
        pthread_mutex_lock(&c->lock);
        if (!c->stopping && !c->kicked) (void)thread_cond_wait_ms(&c->wake, &c->lock, pause);
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

static void leave(certificates_t *c, rdg_buf_t *place, rdg_bytes_t text) {
    pthread_mutex_lock(&c->lock);
    rdg_buf_clear(place);
    if (rdg_buf_append(place, text.data, text.len) != RDG_OK) rdg_buf_clear(place);
    c->kicked = true;
    pthread_cond_signal(&c->wake);
    pthread_mutex_unlock(&c->lock);
}

void certificates_answer(certificates_t *c, rdg_bytes_t text) {
    leave(c, &c->answer, text);
}

void certificates_list(certificates_t *c, rdg_bytes_t text) {
    leave(c, &c->list, text);
}

void certificates_trust(certificates_t *c, rdg_bytes_t text) {
    leave(c, &c->trust, text);
}

void certificates_kick(certificates_t *c) {
    pthread_mutex_lock(&c->lock);
    c->kicked = true;
    /* Whoever waits for a connection has one now. */
    for (size_t i = 0; i < c->holder_count; ++i) c->holders[i].next_try_ms = 0;
    pthread_cond_signal(&c->wake);
    pthread_mutex_unlock(&c->lock);
}

json_t *certificates_status(certificates_t *c) {
    json_t *list = json_array();
    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < c->holder_count; ++i) {
        const holder_t *h = &c->holders[i];
        if (h->not_after_s)
            json_array_append_new(list, json_pack("{s:s, s:I, s:b}", "chain", h->chain, "not_after_ms",
                                                  (json_int_t)h->not_after_s * 1000, "alarm", h->alarm));
    }
    pthread_mutex_unlock(&c->lock);
    return list;
}

rdg_err_t certificates_start(const certificates_options_t *options, certificates_t **out) {
    certificates_t *c = rdg_calloc(1, sizeof *c);
    if (!c) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the certificates");
    c->o = *options;
    c->dir = rdg_strdup(options->dir);
    c->device = rdg_strdup(options->device);
    pthread_mutex_init(&c->lock, NULL);
    pthread_mutex_init(&c->disk, NULL);
    thread_cond_init(&c->wake);
    rdg_buf_init(&c->answer, 64u << 10);
    rdg_buf_init(&c->list, 1u << 20);
    rdg_buf_init(&c->trust, 1u << 20);
    *out = c;
    if (!c->dir || !c->device) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the certificates");
    RDG_TRY(thread_start(&c->thread, run, c));
    c->running = true;
    return RDG_OK;
}

void certificates_stop(certificates_t *c) {
    if (!c) return;
    pthread_mutex_lock(&c->lock);
    c->stopping = true;
    pthread_cond_signal(&c->wake);
    pthread_mutex_unlock(&c->lock);
    if (c->running) pthread_join(c->thread, NULL);
    c->running = false;
}

void certificates_free(certificates_t *c) {
    if (!c) return;
    certificates_stop(c);
    rdg_buf_fini(&c->answer);
    rdg_buf_fini(&c->list);
    rdg_buf_fini(&c->trust);
    pthread_cond_destroy(&c->wake);
    pthread_mutex_destroy(&c->disk);
    pthread_mutex_destroy(&c->lock);
    rdg_free(c->dir);
    rdg_free(c->device);
    rdg_free(c);
}
