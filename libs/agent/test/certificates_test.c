/* Renewal and revocation lists, with a clock that jumps and a CA in memory for the cloud. */
#include "certificates.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include "ridge/test.h"
#include "ridge/test_ca.h"
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define DAY_MS 86400000ull
#define PATIENCE_MS 60000

typedef struct world {
    rdg_clock_manual_t clock;
    rdg_test_ca_t ca;
    rdg_container_driver_t *driver;
    workloads_t *workloads;
    certificates_t *certificates;
    pthread_mutex_t lock;
    pthread_cond_t news;
    const char *refuse; /* code of the error that requests are answered with; "": no answer at all */
    unsigned asked, changed, lists;
    char asked_chain[65];
} world_t;

/* The tests' time is read by other threads. */
static uint64_t wall(void *ctx) {
    const world_t *w = ctx;
    return __atomic_load_n(&w->clock.wall_ms, __ATOMIC_RELAXED);
}

static void advance(world_t *w, uint64_t ms) {
    __atomic_fetch_add(&w->clock.wall_ms, ms, __ATOMIC_RELAXED);
    w->ca.now_s += (int64_t)(ms / 1000);
    certificates_kick(w->certificates);
}

static const char *text_of(const json_t *o, const char *field) {
    const char *text = json_string_value(json_object_get(o, field));
    return text ? text : "";
}

static json_t *pem_of(rdg_cert_t *cert, bool drop) {
    rdg_buf_t pem;
    rdg_buf_init(&pem, 65536);
    CHECK_OK(rdg_cert_to_pem(cert, &pem));
    json_t *text = json_string(rdg_buf_cstr(&pem));
    rdg_buf_fini(&pem);
    if (drop) rdg_cert_free(cert);
    return text;
}

static json_t *certify(const world_t *w, rdg_cert_kind_t use, const char *request) {
    rdg_cert_request_t r;
    CHECK_OK(rdg_cert_request_parse_pem(rdg_bytes_str(request), &r));
    return pem_of(rdg_test_ca_issue(&w->ca, use, r.common_name, &r.public_key), true);
}

static rdg_err_t send_request(void *ctx, rdg_bytes_t text) {
    world_t *w = ctx;
    json_t *o = NULL, *a = NULL;
    CHECK_OK(rdg_json_parse(text, &o));
    pthread_mutex_lock(&w->lock);
    ++w->asked;
    snprintf(w->asked_chain, sizeof w->asked_chain, "%s", text_of(o, "chain"));
    if (!w->refuse)
        a = json_pack("{s:s, s:{s:o, s:o, s:o}}", "id", text_of(o, "id"), "certificates", "sign",
                      certify(w, RDG_CERT_KIND_SIGN, text_of(o, "sign_request")), "enc",
                      certify(w, RDG_CERT_KIND_ENCRYPT, text_of(o, "enc_request")), "chain",
                      pem_of(w->ca.issuing, false));
    else if (w->refuse[0])
        a = json_pack("{s:s, s:{s:s, s:s}}", "id", text_of(o, "id"), "error", "code", w->refuse, "message",
                      "no");
    pthread_cond_broadcast(&w->news);
    pthread_mutex_unlock(&w->lock);
    json_decref(o);
    if (!a) return RDG_OK;
    char *answer = rdg_json_text(a);
    json_decref(a);
    certificates_answer(w->certificates, rdg_bytes_str(answer));
    rdg_free(answer);
    return RDG_OK;
}

static void changed(void *ctx, const char *chain) {
    world_t *w = ctx;
    pthread_mutex_lock(&w->lock);
    if (chain)
        ++w->changed;
    else
        ++w->lists;
    pthread_cond_broadcast(&w->news);
    pthread_mutex_unlock(&w->lock);
}

static void await(world_t *w, const unsigned *counter, unsigned least) {
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += PATIENCE_MS / 1000;
    pthread_mutex_lock(&w->lock);
    while (*counter < least) CHECK_EQ(pthread_cond_timedwait(&w->news, &w->lock, &end), 0);
    pthread_mutex_unlock(&w->lock);
}

/* A kick may meet a request that is under way, which then fails and waits: kicked until it has worked. */
static void kick_until(world_t *w, const unsigned *counter, unsigned least) {
    for (int i = 0; i < PATIENCE_MS / 50; ++i) {
        struct timespec pause = {0, 50000000};
        pthread_mutex_lock(&w->lock);
        bool there = *counter >= least;
        pthread_mutex_unlock(&w->lock);
        if (there) return;
        certificates_kick(w->certificates);
        nanosleep(&pause, NULL);
    }
    rdg_test_fail(__FILE__, __LINE__, "still below %u", least);
}

/* Until the thread has looked at everything once more: the status shows what it saw. */
static const json_t *status_of(json_t *list, const char *chain) {
    const json_t *o;
    size_t i;
    json_array_foreach(list, i, o) if (strcmp(text_of(o, "chain"), chain) == 0) return o;
    return NULL;
}

static void await_status(world_t *w, const char *chain, bool alarm) {
    for (int i = 0; i < PATIENCE_MS / 5; ++i) {
        struct timespec pause = {0, 5000000};
        json_t *list = certificates_status(w->certificates);
        const json_t *o = status_of(list, chain);
        bool there = o && json_is_true(json_object_get(o, "alarm")) == alarm;
        json_decref(list);
        if (there) return;
        /* A look that came too early for what the test has set up is followed by the next only in a minute. */
        if (i % 100 == 99) certificates_kick(w->certificates);
        nanosleep(&pause, NULL);
    }
    rdg_test_fail(__FILE__, __LINE__, "no status of '%s' with alarm %d", chain, alarm);
}

static const char *node_dir(void) {
    static char dir[CHAIN_PATH_MAX];
    CHECK_OK(chain_path(rdg_test_dir(), "c1", "node", dir));
    return dir;
}

static void world_open(world_t *w) {
    static rdg_clock_t clock;
    memset(w, 0, sizeof *w);
    rdg_log_set_level(RDG_LOG_ERROR);
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->news, NULL);
    rdg_clock_manual_init(&w->clock, rdg_wall_ms(rdg_clock_system()));
    clock = (rdg_clock_t){.wall_ms = wall, .ctx = w};
    rdg_test_ca_init(&w->ca, (int64_t)(w->clock.wall_ms / 1000));
    rdg_test_ca_write(&w->ca, rdg_test_dir(), "identity", "d1");
    rdg_test_ca_write(&w->ca, node_dir(), "node", "d1.c1");
    CHECK_OK(rdg_container_process_new("/bin/true", &w->driver));
    chain_t chain = {.name = "c1", .driver = "process", .p2p_port = 1, .rpc_port = 2};
    CHECK_OK(chain_save(rdg_test_dir(), &chain));
    workloads_options_t o = {.dir = rdg_test_dir(), .drivers = &w->driver, .driver_count = 1};
    CHECK_OK(workloads_start(&o, &w->workloads));
    certificates_options_t c = {.dir = rdg_test_dir(),
                                .device = "d1",
                                .clock = &clock,
                                .workloads = w->workloads,
                                .send = send_request,
                                .changed = changed,
                                .ctx = w};
    CHECK_OK(certificates_start(&c, &w->certificates));
    await_status(w, "", false);
    await_status(w, "c1", false);
}

static void world_close(world_t *w) {
    certificates_free(w->certificates);
    workloads_stop(w->workloads);
    rdg_container_driver_free(w->driver);
    rdg_test_ca_fini(&w->ca);
}

static rdg_credentials_t *load(const char *chain) {
    rdg_credentials_t *c = NULL;
    CHECK_OK(
        rdg_credentials_load(chain[0] ? node_dir() : rdg_test_dir(), chain[0] ? "node" : "identity", &c));
    return c;
}

static bool same(const rdg_cert_t *a, const rdg_cert_t *b) {
    return rdg_bytes_equal(rdg_cert_der(a), rdg_cert_der(b));
}

/* What the cloud gives a node that is started or recovered is of the keys that it began with. */
static void check_older_ones_change_nothing(world_t *w, const rdg_credentials_t *old) {
    rdg_credentials_t *before = load("c1");
    json_t *o = json_pack("{s:o, s:o, s:o}", "sign", pem_of(old->sign_cert, false), "enc",
                          pem_of(old->enc_cert, false), "chain", pem_of(w->ca.issuing, false));
    CHECK_OK(certificates_install_node(w->certificates, "c1", o));
    json_decref(o);
    rdg_credentials_t *after = load("c1");
    CHECK(same(before->sign_cert, after->sign_cert) && same(before->enc_cert, after->enc_cert));
    rdg_credentials_free(before), rdg_credentials_free(after);
}

TEST(certificates_are_renewed_at_two_thirds_of_their_life) {
    world_t w;
    world_open(&w);
    rdg_credentials_t *device = load(""), *node = load("c1");
    advance(&w, 240 * DAY_MS);
    await_status(&w, "c1", false);
    CHECK_EQ(w.asked, 0);
    advance(&w, 40 * DAY_MS); /* two thirds, and the twelfth over which devices spread */
    await(&w, &w.changed, 2);
    rdg_credentials_t *device2 = load(""), *node2 = load("c1");
    CHECK(!same(device->sign_cert, device2->sign_cert) && !same(node->sign_cert, node2->sign_cert));
    CHECK_MEM(rdg_cert_public(node->sign_cert)->b, rdg_cert_public(node2->sign_cert)->b, 64);
    CHECK(memcmp(rdg_cert_public(node->enc_cert)->b, rdg_cert_public(node2->enc_cert)->b, 64) != 0);
    CHECK(memcmp(rdg_cert_public(device->enc_cert)->b, rdg_cert_public(device2->enc_cert)->b, 64) != 0);
    CHECK(same(device->roots[0], device2->roots[0]));
    check_older_ones_change_nothing(&w, node);
    rdg_credentials_free(device), rdg_credentials_free(node);
    rdg_credentials_free(device2), rdg_credentials_free(node2);
    world_close(&w);
}

TEST(certificates_that_are_not_renewed_stay_in_use_and_raise_an_alarm) {
    world_t w;
    world_open(&w);
    rdg_credentials_t *before = load("");
    w.refuse = "UNAVAILABLE";
    advance(&w, 300 * DAY_MS);
    await(&w, &w.asked, 2); /* the device's and the node's, each once; then the back-off */
    rdg_credentials_t *after = load("");
    CHECK(same(before->sign_cert, after->sign_cert) && same(before->enc_cert, after->enc_cert));
    await_status(&w, "", false);
    advance(&w, 40 * DAY_MS);
    await_status(&w, "", true);
    await_status(&w, "c1", true);
    pthread_mutex_lock(&w.lock);
    w.refuse = NULL;
    pthread_mutex_unlock(&w.lock);
    kick_until(&w, &w.changed, 2); /* connected again: at once, without the back-off */
    await_status(&w, "", false);
    await_status(&w, "c1", false);
    rdg_credentials_free(before), rdg_credentials_free(after);
    world_close(&w);
}

TEST(certificates_of_a_renewal_that_do_not_fit_are_refused) {
    world_t w;
    rdg_test_ca_t other, mine;
    world_open(&w);
    rdg_credentials_t *before = load("c1");
    rdg_test_ca_init(&other, w.ca.now_s);
    pthread_mutex_lock(&w.lock);
    mine = w.ca;
    w.ca = other; /* another root signs */
    pthread_mutex_unlock(&w.lock);
    advance(&w, 280 * DAY_MS);
    await(&w, &w.asked, 2);
    rdg_credentials_t *after = load("c1");
    CHECK(same(before->sign_cert, after->sign_cert));
    CHECK_EQ(w.changed, 0);
    mine.now_s = w.ca.now_s;
    pthread_mutex_lock(&w.lock);
    w.ca = mine;
    pthread_mutex_unlock(&w.lock);
    kick_until(&w, &w.changed, 2);
    rdg_credentials_free(before), rdg_credentials_free(after);
    rdg_test_ca_fini(&other);
    world_close(&w);
}

/* --- lists ------------------------------------------------------------------------------------------------- */

static void give(world_t *w, const rdg_test_ca_t *ca, uint64_t number, const rdg_cert_t *revoked) {
    rdg_crl_t *crl = rdg_test_ca_crl(ca, number, &revoked, revoked ? 1 : 0);
    rdg_buf_t pem;
    rdg_buf_init(&pem, RDG_CRL_PEM_MAX);
    CHECK_OK(rdg_crl_to_pem(crl, &pem));
    json_t *o = json_pack("{s:I, s:o, s:s}", "number", (json_int_t)number, "chain",
                          pem_of(ca->issuing, false), "crl", rdg_buf_cstr(&pem));
    char *text = rdg_json_text(o);
    certificates_list(w->certificates, rdg_bytes_str(text));
    rdg_free(text);
    json_decref(o);
    rdg_buf_fini(&pem);
    rdg_crl_free(crl);
}

static uint64_t number_of(const char *chain) {
    rdg_credentials_t *c = load(chain);
    uint64_t number = c->crl ? rdg_crl_number(c->crl) : 0;
    rdg_credentials_free(c);
    return number;
}

TEST(the_newest_list_wins_and_reaches_every_node) {
    world_t w;
    rdg_test_ca_t other;
    world_open(&w);
    rdg_test_ca_init(&other, w.ca.now_s);
    rdg_credentials_t *peer = rdg_test_ca_credentials(&w.ca, "d2.c1", NULL);
    give(&w, &w.ca, 5, peer->sign_cert);
    await(&w, &w.lists, 1);
    CHECK_EQ(number_of(""), 5);
    CHECK_EQ(number_of("c1"), 5);
    rdg_credentials_t *node = load("c1");
    CHECK_ERR(rdg_credentials_accept(node, peer->sign_cert), RDG_E_FORBIDDEN);
    rdg_credentials_free(node);
    /* One that is older, one of another CA of the same name, rubbish: each is passed over. */
    give(&w, &w.ca, 4, NULL);
    advance(&w, 0);
    await_status(&w, "", false);
    give(&w, &other, 6, NULL);
    advance(&w, 0);
    await_status(&w, "", false);
    certificates_list(w.certificates, rdg_bytes_str("{\"number\":9,\"crl\":\"x\"}"));
    advance(&w, 0);
    give(&w, &w.ca, 7, NULL);
    await(&w, &w.lists, 2);
    CHECK_EQ(number_of(""), 7);
    CHECK_EQ(number_of("c1"), 7);
    CHECK_EQ(w.asked, 0);
    rdg_credentials_free(peer);
    rdg_test_ca_fini(&other);
    world_close(&w);
}

TEST(a_list_of_another_issuing_ca_under_the_same_root_renews_everything) {
    world_t w;
    world_open(&w);
    rdg_sm2_public_t pub;
    rdg_sm2_key_t *old_key = w.ca.issuing_key, *key = NULL;
    rdg_cert_t *old = w.ca.issuing, *issuing = NULL;
    CHECK_OK(rdg_sm2_key_generate(&key));
    rdg_sm2_key_public(key, &pub);
    rdg_cert_order_t order = {RDG_CERT_KIND_CA, "second issuing CA", &pub, w.ca.root, w.ca.root_key,
                              w.ca.now_s - 100, w.ca.now_s + 86400};
    CHECK_OK(rdg_cert_issue(&order, &issuing));
    pthread_mutex_lock(&w.lock);
    w.ca.issuing = issuing;
    w.ca.issuing_key = key;
    pthread_mutex_unlock(&w.lock);
    give(&w, &w.ca, 1, NULL);
    await(&w, &w.changed, 2);
    rdg_credentials_t *c = load("c1");
    CHECK(same(c->chain[0], issuing));
    give(&w, &w.ca, 2, NULL);
    await(&w, &w.lists, 1);
    CHECK_EQ(number_of("c1"), 2);
    rdg_credentials_free(c);
    rdg_cert_free(old);
    rdg_sm2_key_free(old_key);
    world_close(&w);
}
