/* Answers whose bodies are still being made when they begin. */
#include "http_test.h"
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#define WHOLE 300000

/* Bytes appear by grow(); one reader. */
typedef struct made {
    pthread_mutex_t lock;
    rdg_http_waiter_t *waiter;
    size_t there;
    bool broken;
    unsigned read, freed;
} made_t;

static ptrdiff_t read_made(void *ctx, uint64_t at, uint8_t *out, size_t size, rdg_http_waiter_t *waiter) {
    made_t *m = ctx;
    ptrdiff_t n = -1;
    pthread_mutex_lock(&m->lock);
    ++m->read;
    if (!m->broken) {
        n = (ptrdiff_t)(m->there - at < size ? m->there - at : size);
        for (ptrdiff_t i = 0; i < n; ++i) out[i] = (uint8_t)((at + (uint64_t)i) * 31 >> 3);
        if (n == 0) {
            m->waiter = waiter;
            rdg_http_rest(waiter);
        }
    }
    pthread_mutex_unlock(&m->lock);
    return n;
}

static void free_made(void *ctx) {
    made_t *m = ctx;
    pthread_mutex_lock(&m->lock);
    m->waiter = NULL;
    ++m->freed;
    pthread_mutex_unlock(&m->lock);
}

static void grow(made_t *m, size_t to, bool broken) {
    pthread_mutex_lock(&m->lock);
    m->there = to;
    m->broken = broken;
    if (m->waiter) rdg_http_wake(m->waiter);
    pthread_mutex_unlock(&m->lock);
}

static void handle(void *ctx, const rdg_http_request_t *req, rdg_http_response_t *res) {
    const rdg_http_source_t source = {read_made, free_made, ctx};
    (void)req;
    (void)rdg_http_send_source(res, "application/octet-stream", &source, WHOLE);
}

typedef struct asked {
    http_fixture_t *f;
    rdg_err_t err;
    rdg_http_answer_t got;
} asked_t;

static void *ask(void *arg) {
    asked_t *a = arg;
    rdg_http_call_t call = {.method = "GET", .url = http_url(a->f, "/made")};
    a->err = rdg_http_call(a->f->client, &call, &a->got);
    return NULL;
}

static void begin(http_fixture_t *f, made_t *m, asked_t *a, pthread_t *thread) {
    const rdg_http_server_options_t o = {0};
    memset(m, 0, sizeof *m);
    pthread_mutex_init(&m->lock, NULL);
    http_open(f, &o, handle, m);
    memset(a, 0, sizeof *a);
    a->f = f;
    CHECK_EQ(pthread_create(thread, NULL, ask, a), 0);
}

static void await_rest(made_t *m, unsigned reads) {
    for (int i = 0; i < 20000; ++i) {
        pthread_mutex_lock(&m->lock);
        bool rests = m->read >= reads && m->waiter;
        pthread_mutex_unlock(&m->lock);
        if (rests) return;
        usleep(1000);
    }
    rdg_test_fail(__FILE__, __LINE__, "the body was never asked for");
}

TEST(http_body_that_grows_is_sent_as_it_comes) {
    http_fixture_t f;
    made_t m;
    asked_t a;
    pthread_t thread;
    begin(&f, &m, &a, &thread);
    await_rest(&m, 1);
    usleep(20000); /* at rest it is not asked again and again */
    CHECK(m.read <= 2);
    for (size_t to = 1; to < WHOLE; to += 70001) grow(&m, to, false);
    grow(&m, WHOLE, false);
    pthread_join(thread, NULL);
    CHECK_OK(a.err);
    CHECK_EQ(a.got.length, WHOLE);
    CHECK_EQ(a.got.body.len, WHOLE);
    for (size_t i = 0; i < WHOLE; ++i) CHECK(a.got.body.data[i] == (uint8_t)(i * 31 >> 3));
    rdg_http_answer_fini(&a.got);
    http_close(&f);
    CHECK_EQ(m.freed, 1);
}

TEST(http_body_that_breaks_off_ends_the_connection) {
    http_fixture_t f;
    made_t m;
    asked_t a;
    pthread_t thread;
    begin(&f, &m, &a, &thread);
    grow(&m, 1000, false);
    await_rest(&m, 2);
    grow(&m, 1000, true);
    pthread_join(thread, NULL);
    CHECK_ERR(a.err, RDG_E_CLOSED);
    http_close(&f);
    CHECK_EQ(m.freed, 1);
}

TEST(http_server_stops_while_a_body_rests) {
    http_fixture_t f;
    made_t m;
    asked_t a;
    pthread_t thread;
    begin(&f, &m, &a, &thread);
    await_rest(&m, 1);
    rdg_http_server_stop(f.server);
    f.server = NULL;
    pthread_join(thread, NULL);
    CHECK(a.err != RDG_OK);
    CHECK_EQ(m.freed, 1);
    http_close(&f);
}
