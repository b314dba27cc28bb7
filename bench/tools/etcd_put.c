/* ridge-etcd-put: how many puts a second an etcd cluster takes, as a yardstick beside our own chains.
 *
 * gRPC (HTTP/2 without TLS) written out for the one call that is needed, /etcdserverpb.KV/Put: one connection to each
 * member, on each a fixed number of puts under way; a new one starts when one is answered. One thread. Prints one JSON
 * object; latency is from the request's submission to the end of its stream. A put that is refused ends the program. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MEMBERS_MAX 8
#define PUT_MAX 4096
#define SAMPLES_MAX 4000000

typedef struct member {
    int fd;
    uint16_t port;
    nghttp2_session *session;
    size_t open;
} member_t;

typedef struct put {
    uint64_t sent_us;
    size_t len, at;
    int grpc_status; /* -1: none yet */
    uint8_t body[PUT_MAX];
} put_t;

static struct {
    member_t members[MEMBERS_MAX];
    size_t member_count, outstanding, value_bytes, done;
    uint64_t end_us, next_key;
    uint32_t *latency_us;
} run;

static void die(const char *what) {
    fprintf(stderr, "ridge-etcd-put: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static size_t put_varint(uint8_t *out, size_t v) {
    size_t n = 0;
    for (; v >= 128; v >>= 7) out[n++] = (uint8_t)(v | 128);
    out[n++] = (uint8_t)v;
    return n;
}

static size_t put_field(uint8_t *out, unsigned field, const void *data, size_t len) {
    size_t n = 0;
    out[n++] = (uint8_t)(field << 3 | 2);
    n += put_varint(out + n, len);
    memcpy(out + n, data, len);
    return n + len;
}

/* A gRPC message: no compression, length, PutRequest{key, value}. */
static void make_body(put_t *p) {
    char key[32];
    uint8_t value[PUT_MAX / 2];
    int key_len = snprintf(key, sizeof key, "ridge/%llu", (unsigned long long)run.next_key++);
    for (size_t i = 0; i < run.value_bytes; ++i) value[i] = (uint8_t)('a' + (run.next_key + i) % 26);
    size_t len = put_field(p->body + 5, 1, key, (size_t)key_len);
    len += put_field(p->body + 5 + len, 2, value, run.value_bytes);
    uint32_t be = htonl((uint32_t)len);
    p->body[0] = 0;
    memcpy(p->body + 1, &be, 4);
    p->len = 5 + len;
}

static ssize_t read_body(nghttp2_session *s, int32_t stream, uint8_t *buf, size_t size, uint32_t *flags,
                         nghttp2_data_source *source, void *user) {
    put_t *p = source->ptr;
    (void)s, (void)stream, (void)user;
    size_t n = p->len - p->at < size ? p->len - p->at : size;
    memcpy(buf, p->body + p->at, n);
    p->at += n;
    if (p->at == p->len) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)n;
}

static nghttp2_nv header(const char *name, const char *value) {
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name), strlen(value),
                        NGHTTP2_NV_FLAG_NONE};
}

static void start_put(member_t *m) {
    const nghttp2_nv headers[] = {header(":method", "POST"),
                                  header(":scheme", "http"),
                                  header(":path", "/etcdserverpb.KV/Put"),
                                  header(":authority", "127.0.0.1"),
                                  header("content-type", "application/grpc"),
                                  header("te", "trailers")};
    put_t *p = calloc(1, sizeof *p);
    if (!p) die("memory");
    p->grpc_status = -1;
    p->sent_us = now_us();
    make_body(p);
    nghttp2_data_provider body = {.source = {.ptr = p}, .read_callback = read_body};
    if (nghttp2_submit_request(m->session, NULL, headers, 6, &body, p) < 0) die("cannot submit a put");
    ++m->open;
}

static int on_header(nghttp2_session *s, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
                     const uint8_t *value, size_t value_len, uint8_t flags, void *user) {
    (void)flags, (void)user;
    put_t *p = nghttp2_session_get_stream_user_data(s, frame->hd.stream_id);
    if (p && name_len == 11 && memcmp(name, "grpc-status", 11) == 0) {
        char text[8];
        snprintf(text, sizeof text, "%.*s", (int)(value_len < 7 ? value_len : 7), (const char *)value);
        p->grpc_status = (int)strtol(text, NULL, 10);
    }
    return 0;
}

static int on_close(nghttp2_session *s, int32_t stream, uint32_t code, void *user) {
    member_t *m = user;
    put_t *p = nghttp2_session_get_stream_user_data(s, stream);
    if (code != 0 || p->grpc_status != 0) {
        fprintf(stderr, "ridge-etcd-put: a put was refused: HTTP/2 code %u, gRPC status %d\n", code,
                p->grpc_status);
        exit(1);
    }
    uint64_t now = now_us();
    if (now <= run.end_us && run.done < SAMPLES_MAX)
        run.latency_us[run.done++] = (uint32_t)(now - p->sent_us);
    free(p);
    --m->open;
    if (now < run.end_us) start_put(m);
    return 0;
}

static ssize_t on_send(nghttp2_session *s, const uint8_t *data, size_t len, int flags, void *user) {
    const member_t *m = user;
    (void)s, (void)flags;
    ssize_t n = send(m->fd, data, len, MSG_NOSIGNAL);
    if (n >= 0) return n;
    return errno == EAGAIN ? NGHTTP2_ERR_WOULDBLOCK : NGHTTP2_ERR_CALLBACK_FAILURE;
}

static void open_member(member_t *m) {
    nghttp2_session_callbacks *callbacks = NULL;
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(m->port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int one = 1;
    m->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (m->fd < 0 || connect(m->fd, (const struct sockaddr *)&to, sizeof to) != 0)
        die("cannot connect to a member");
    setsockopt(m->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(m->fd, F_SETFL, O_NONBLOCK);
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_send_callback(callbacks, on_send);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    nghttp2_session_client_new(&m->session, callbacks, m);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_submit_settings(m->session, NGHTTP2_FLAG_NONE, NULL, 0);
}

static void turn(member_t *m, short events) {
    static uint8_t buf[1 << 18];
    if (events & (POLLIN | POLLHUP | POLLERR)) {
        ssize_t n = recv(m->fd, buf, sizeof buf, 0);
        if (n == 0 || (n < 0 && errno != EAGAIN)) die("a member closed the connection");
        if (n > 0 && nghttp2_session_mem_recv(m->session, buf, (size_t)n) < 0) die("a member broke HTTP/2");
    }
    if (nghttp2_session_send(m->session) != 0) die("cannot send");
}

static int compare(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static size_t open_puts(void) {
    size_t open = 0;
    for (size_t i = 0; i < run.member_count; ++i) open += run.members[i].open;
    return open;
}

int main(int argc, char **argv) {
    if (argc < 5) {
        fprintf(stderr, "usage: ridge-etcd-put SECONDS VALUE-BYTES OUTSTANDING PORT...\n");
        return 2;
    }
    uint64_t seconds = strtoull(argv[1], NULL, 10);
    run.value_bytes = strtoull(argv[2], NULL, 10);
    run.outstanding = strtoull(argv[3], NULL, 10);
    if (run.value_bytes > PUT_MAX / 2) run.value_bytes = PUT_MAX / 2;
    run.latency_us = calloc(SAMPLES_MAX, sizeof *run.latency_us);
    if (!run.latency_us) die("memory");
    struct pollfd polls[MEMBERS_MAX];
    for (int i = 4; i < argc && run.member_count < MEMBERS_MAX; ++i) {
        member_t *m = &run.members[run.member_count++];
        m->port = (uint16_t)strtoul(argv[i], NULL, 10);
        open_member(m);
    }
    uint64_t start = now_us();
    run.end_us = start + seconds * 1000000;
    for (size_t i = 0; i < run.outstanding; ++i) start_put(&run.members[i % run.member_count]);
    while (open_puts() > 0) {
        for (size_t i = 0; i < run.member_count; ++i) {
            member_t *m = &run.members[i];
            polls[i] = (struct pollfd){
                m->fd, (short)(POLLIN | (nghttp2_session_want_write(m->session) ? POLLOUT : 0)), 0};
        }
        if (poll(polls, run.member_count, 1000) < 0 && errno != EINTR) die("poll");
        if (now_us() > run.end_us + 30000000) die("puts without an answer for 30 s");
        for (size_t i = 0; i < run.member_count; ++i) turn(&run.members[i], polls[i].revents);
    }
    qsort(run.latency_us, run.done, sizeof *run.latency_us, compare);
    printf("{\"puts_per_second\": %.1f, \"p50_ms\": %.2f, \"p99_ms\": %.2f, \"outstanding\": %zu, "
           "\"value_bytes\": %zu}\n",
           (double)run.done / (double)seconds, run.done ? run.latency_us[run.done / 2] / 1e3 : 0,
           run.done ? run.latency_us[run.done * 99 / 100] / 1e3 : 0, run.outstanding, run.value_bytes);
    free(run.latency_us);
    return 0;
}
