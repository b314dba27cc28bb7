/* A handler that leaves without an answer is called again, and holds no thread meanwhile. */
#include "http_test.h"
#include "ridge/base/clock.h"
#include <pthread.h>
#include <stdio.h>
#include <string.h>

typedef struct event {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    rdg_http_server_t *wake_inside; /* by the handler, before it defers */
    unsigned calls, max_ms;
    bool happened;
} event_t;

static void on_wait(void *ctx, const rdg_http_request_t *req, rdg_http_response_t *res) {
    event_t *e = ctx;
    if (strcmp(rdg_http_path(req), "/other") == 0) {
        (void)rdg_http_write(res, "text/plain", rdg_bytes_str("other"));
        return;
    }
    pthread_mutex_lock(&e->mutex);
    bool happened = e->happened;
    rdg_http_server_t *wake = e->wake_inside;
    e->wake_inside = NULL;
    if (wake) e->happened = true;
    ++e->calls;
    pthread_cond_broadcast(&e->changed);
    pthread_mutex_unlock(&e->mutex);
    if (wake) rdg_http_server_wake(wake);
    if (!happened && rdg_http_defer(req, e->max_ms)) {
        rdg_http_status(res, 500);
        (void)rdg_http_set_header(res, "Location", "/forgotten");
        (void)rdg_http_write(res, "text/plain", rdg_bytes_str("forgotten "));
        return;
    }
    rdg_http_status(res, happened ? 200 : 404);
    (void)rdg_http_write(res, "text/plain", rdg_http_body(req));
}

typedef struct caller {
    http_fixture_t *f;
    unsigned status;
    rdg_err_t err;
    char text[64];
    bool forgotten; /* there was a header that a call before the last one set */
    pthread_t thread;
} caller_t;

static void *call_waiting(void *arg) {
    caller_t *c = arg;
    rdg_http_client_t *client;
    rdg_http_answer_t a;
    rdg_http_call_t call = {
        .method = "POST", .url = c->f->url, .body = rdg_bytes_str("body"), .timeout_ms = 30000};
    CHECK_OK(rdg_http_client_new(&client));
    c->err = rdg_http_call(client, &call, &a);
    c->status = a.status;
    snprintf(c->text, sizeof c->text, "%s", rdg_buf_cstr(&a.body));
    c->forgotten = a.location[0] != '\0';
    rdg_http_answer_fini(&a);
    rdg_http_client_free(client);
    return NULL;
}

static void begin(caller_t *c, http_fixture_t *f) {
    *c = (caller_t){.f = f};
    CHECK_EQ(pthread_create(&c->thread, NULL, call_waiting, c), 0);
}

static void wait_calls(event_t *e, unsigned calls) {
    pthread_mutex_lock(&e->mutex);
    while (e->calls < calls) pthread_cond_wait(&e->changed, &e->mutex);
    pthread_mutex_unlock(&e->mutex);
}

static void happen(event_t *e, rdg_http_server_t *s) {
    pthread_mutex_lock(&e->mutex);
    e->happened = true;
    pthread_mutex_unlock(&e->mutex);
    rdg_http_server_wake(s);
}

static void event_init(event_t *e, unsigned max_ms) {
    *e = (event_t){.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER, .max_ms = max_ms};
}

TEST(http_requests_that_wait_hold_no_thread_and_are_answered_when_woken) {
    enum { CALLERS = 6 };
    http_fixture_t f;
    event_t e;
    caller_t callers[CALLERS];
    event_init(&e, 60000);
    http_open(&f, &(rdg_http_server_options_t){.threads = 1}, on_wait, &e);
    http_url(&f, "/wait");
    for (int i = 0; i < CALLERS; ++i) begin(&callers[i], &f);
    wait_calls(&e, CALLERS);
    rdg_http_server_wake(f.server); /* it has not happened: they go on waiting */
    wait_calls(&e, 2 * CALLERS);
    char other[512];
    rdg_http_answer_t a;
    snprintf(other, sizeof other, "http://127.0.0.1:%u/other", rdg_http_server_port(f.server));
    CHECK_OK(rdg_http_call(f.client, &(rdg_http_call_t){.method = "GET", .url = other}, &a));
    CHECK_STR(rdg_buf_cstr(&a.body), "other");
    rdg_http_answer_fini(&a);
    happen(&e, f.server);
    for (int i = 0; i < CALLERS; ++i) {
        pthread_join(callers[i].thread, NULL);
        CHECK_EQ(callers[i].status, 200);
        CHECK_STR(callers[i].text, "body");
        CHECK(!callers[i].forgotten);
    }
    CHECK_EQ(e.calls, 3 * CALLERS);
    http_close(&f);
}

TEST(http_request_that_waits_is_answered_when_its_time_is_over) {
    http_fixture_t f;
    event_t e;
    caller_t c;
    event_init(&e, 200);
    http_open(&f, &(rdg_http_server_options_t){.threads = 2}, on_wait, &e);
    http_url(&f, "/wait");
    uint64_t start = rdg_mono_ms(rdg_clock_system());
    begin(&c, &f);
    pthread_join(c.thread, NULL);
    CHECK_EQ(c.status, 404);
    CHECK(rdg_mono_ms(rdg_clock_system()) - start >= 200);
    CHECK_EQ(e.calls, 2);
    http_close(&f);
}

/* What happens while the handler still runs is not missed. */
TEST(http_wake_before_a_request_is_deferred_counts) {
    http_fixture_t f;
    event_t e;
    caller_t c;
    event_init(&e, 60000);
    http_open(&f, &(rdg_http_server_options_t){.threads = 1}, on_wait, &e);
    e.wake_inside = f.server;
    http_url(&f, "/wait");
    begin(&c, &f);
    pthread_join(c.thread, NULL);
    CHECK_EQ(c.status, 200);
    CHECK_EQ(e.calls, 2);
    http_close(&f);
}

TEST(http_server_that_stops_waits_for_no_event) {
    http_fixture_t f;
    event_t e;
    caller_t c;
    event_init(&e, 60000);
    http_open(&f, &(rdg_http_server_options_t){0}, on_wait, &e);
    http_url(&f, "/wait");
    begin(&c, &f);
    wait_calls(&e, 1);
    uint64_t start = rdg_mono_ms(rdg_clock_system());
    rdg_http_server_stop(f.server);
    f.server = NULL;
    pthread_join(c.thread, NULL);
    CHECK(rdg_mono_ms(rdg_clock_system()) - start < 30000);
    CHECK_EQ(e.calls, 2);
    http_close(&f);
}
