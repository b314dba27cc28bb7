/* Urgent records: what is taken, what is refused, and how they get to a cloud that is slow, full or away. */
#include "records.h"
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "ridge/base/alloc.h"
#include "ridge/net/http_server.h"
#include "ridge/test.h"

/* The gateway: refuses the first `busy` requests with 503, then takes all. */
typedef struct cloud {
    rdg_http_server_t *http;
    pthread_mutex_t lock;
    pthread_cond_t news;
    unsigned busy, asked;
    size_t count;
    char ids[4096]; /* with a space behind each */
    char socket[PATH_MAX];
} cloud_t;

static void handle(void *ctx, const rdg_http_request_t *req, rdg_http_response_t *res) {
    cloud_t *c = ctx;
    json_t *body = NULL, *one;
    size_t i;
    CHECK_STR(rdg_http_path(req), "/v1/records");
    CHECK_OK(rdg_json_parse(rdg_http_body(req), &body));
    pthread_mutex_lock(&c->lock);
    if (c->asked++ < c->busy) {
        rdg_http_status(res, 503);
        (void)rdg_http_set_header(res, "Retry-After", "1");
    } else {
        json_array_foreach(json_object_get(body, "records"), i, one) {
            size_t used = strlen(c->ids);
            snprintf(c->ids + used, sizeof c->ids - used, "%s ",
                     json_string_value(json_object_get(one, "id")));
            ++c->count;
        }
        (void)rdg_http_write(res, "application/json", rdg_bytes_str("{\"refused\":[]}"));
    }
    pthread_cond_broadcast(&c->news);
    pthread_mutex_unlock(&c->lock);
    json_decref(body);
}

static void cloud_open(cloud_t *c, unsigned busy) {
    memset(c, 0, sizeof *c);
    c->busy = busy;
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->news, NULL);
    snprintf(c->socket, sizeof c->socket, "%s/cloud.sock", rdg_test_dir());
}

static void cloud_start(cloud_t *c) {
    rdg_http_server_options_t o = {.host = c->socket};
    CHECK_OK(rdg_http_server_start(&o, handle, c, &c->http));
}

static void await_count(cloud_t *c, size_t count) {
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += 60;
    pthread_mutex_lock(&c->lock);
    while (c->count < count && pthread_cond_timedwait(&c->news, &c->lock, &end) == 0) {
    }
    size_t seen = c->count;
    pthread_mutex_unlock(&c->lock);
    CHECK_EQ(seen, count);
}

static records_t *start(cloud_t *c, uint64_t max_bytes) {
    char dir[PATH_MAX];
    records_t *r = NULL;
    snprintf(dir, sizeof dir, "%s/records", rdg_test_dir());
    const records_options_t o = {.dir = dir, .max_bytes = max_bytes, .socket = c->socket};
    CHECK_OK(records_start(&o, &r));
    return r;
}

static rdg_err_t put(records_t *r, const char *text, size_t *taken) {
    json_t *o = NULL;
    CHECK_OK(rdg_json_parse(rdg_bytes_str(text), &o));
    rdg_err_t err = records_put(r, o, taken);
    json_decref(o);
    return err;
}

TEST(records_reach_a_cloud_that_was_away_in_order_also_after_a_restart) {
    cloud_t c;
    size_t taken;
    cloud_open(&c, 0);
    records_t *r = start(&c, 1u << 20); /* nobody listens yet */
    CHECK_OK(put(r, "[{\"id\":\"a\",\"kind\":\"k\",\"data\":1},{\"id\":\"b\",\"kind\":\"k\",\"data\":null}]",
                 &taken));
    CHECK_EQ(taken, 2);
    records_free(r);
    r = start(&c, 1u << 20);
    CHECK_OK(put(r, "{\"id\":\"c\",\"kind\":\"k\",\"data\":{\"x\":[]}}", &taken));
    cloud_start(&c);
    records_up(r);
    await_count(&c, 3);
    CHECK_STR(c.ids, "a b c ");
    records_free(r);
    rdg_http_server_stop(c.http);
}

TEST(records_wait_as_long_as_the_cloud_says) {
    cloud_t c;
    size_t taken;
    cloud_open(&c, 2);
    cloud_start(&c);
    records_t *r = start(&c, 1u << 20);
    CHECK_OK(put(r, "{\"id\":\"a\",\"kind\":\"k\",\"data\":1}", &taken));
    await_count(&c, 1);
    CHECK_EQ(c.asked, 3);
    CHECK_STR(c.ids, "a ");
    records_free(r);
    rdg_http_server_stop(c.http);
}

TEST(records_are_refused_whole_and_with_their_reason) {
    static const struct {
        const char *text;
        rdg_err_t err;
    } bad[] = {{"[]", RDG_E_INVALID},
               {"5", RDG_E_INVALID},
               {"{\"id\":\"a\",\"kind\":\"k\"}", RDG_E_INVALID},
               {"{\"id\":\"A b\",\"kind\":\"k\",\"data\":1}", RDG_E_INVALID},
               {"{\"id\":\"a\",\"kind\":\"k\",\"data\":1,\"time_ms\":\"x\"}", RDG_E_INVALID},
               {"[{\"id\":\"a\",\"kind\":\"k\",\"data\":1},{\"id\":\"\",\"kind\":\"k\",\"data\":1}]",
                RDG_E_INVALID}};
    cloud_t c;
    size_t taken;
    spool_stats_t s;
    cloud_open(&c, 0);
    records_t *r = start(&c, 1u << 16);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; ++i) CHECK_EQ(put(r, bad[i].text, &taken), bad[i].err);
    char *large = rdg_calloc(1, RECORDS_TEXT_MAX + 100);
    memset(large, 'x', RECORDS_TEXT_MAX + 64);
    const char *head = "{\"id\":\"a\",\"kind\":\"k\",\"data\":\"";
    memcpy(large, head, strlen(head));
    memcpy(large + RECORDS_TEXT_MAX + 40, "\"}", 3);
    CHECK_EQ(put(r, large, &taken), RDG_E_TOO_LARGE);
    rdg_free(large);
    records_stats(r, &s);
    CHECK_EQ(s.items, 0); /* nothing of any of them was taken */
    char text[300], filler[200];
    memset(filler, 'y', sizeof filler - 1);
    filler[sizeof filler - 1] = '\0';
    rdg_err_t err = RDG_OK;
    unsigned n = 0;
    for (; err == RDG_OK && n < 10000; ++n) {
        snprintf(text, sizeof text, "{\"id\":\"r%u\",\"kind\":\"k\",\"data\":\"%s\"}", n, filler);
        err = put(r, text, &taken);
    }
    CHECK_EQ(err, RDG_E_FULL);
    CHECK_EQ(taken, 0);
    records_stats(r, &s);
    CHECK_EQ(s.items, n - 1);
    CHECK_EQ(records_put(NULL, NULL, &taken), RDG_E_UNAVAILABLE);
    records_free(r);
}
