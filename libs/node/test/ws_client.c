#include "ws_client.h"
#include <arpa/inet.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "ridge/test.h"

static void ws_read(ws_t *s) {
    uint8_t part[8192];
    struct pollfd p = {s->fd, POLLIN, 0};
    CHECK(poll(&p, 1, 30000) == 1);
    ssize_t got = recv(s->fd, part, sizeof part, 0);
    CHECK(got > 0);
    CHECK_OK(rdg_buf_append(&s->in, part, (size_t)got));
}

void ws_open(ws_t *s, uint16_t port) {
    static const char request[] =
        "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    const char *end;
    rdg_buf_init(&s->in, 16u << 20);
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(connect(s->fd, (const struct sockaddr *)&to, sizeof to) == 0);
    CHECK(write(s->fd, request, sizeof request - 1) == sizeof request - 1);
    while (!(end = strstr(rdg_buf_cstr(&s->in), "\r\n\r\n"))) ws_read(s);
    CHECK(strstr(rdg_buf_cstr(&s->in), "101"));
    rdg_buf_consume(&s->in, (size_t)(end + 4 - rdg_buf_cstr(&s->in)));
}

void ws_send(ws_t *s, const char *text) {
    uint8_t head[8] = {0x81}; /* and a mask of zeros */
    size_t len = strlen(text), size = len < 126 ? 6 : 8;
    head[1] = (uint8_t)(0x80 | (len < 126 ? len : 126));
    if (len >= 126) head[2] = (uint8_t)(len >> 8), head[3] = (uint8_t)len;
    CHECK(write(s->fd, head, size) == (ssize_t)size);
    CHECK(write(s->fd, text, len) == (ssize_t)len);
}

/* The first two bytes stand; gives the length of the head, and that of what follows. */
static size_t frame_head(ws_t *s, size_t *len) {
    while (s->in.len < 2) ws_read(s);
    *len = s->in.data[1];
    size_t head = *len == 127 ? 10 : *len == 126 ? 4 : 2;
    while (s->in.len < head) ws_read(s);
    if (*len == 126) *len = (size_t)s->in.data[2] << 8 | s->in.data[3];
    if (*len == 127) *len = (size_t)rdg_load_be64(s->in.data + 2);
    while (s->in.len < head + *len) ws_read(s);
    return head;
}

json_t *ws_next(ws_t *s) {
    json_t *v = NULL;
    size_t len, head = frame_head(s, &len);
    CHECK_EQ(s->in.data[0], 0x81);
    CHECK_OK(rdg_json_parse(rdg_bytes(s->in.data + head, len), &v));
    rdg_buf_consume(&s->in, head + len);
    return v;
}

void ws_expect_close(ws_t *s, unsigned code, const char *reason) {
    size_t len, head = frame_head(s, &len);
    for (; s->in.data[0] != 0x88; head = frame_head(s, &len)) rdg_buf_consume(&s->in, head + len);
    CHECK(len >= 2);
    CHECK_EQ((unsigned)s->in.data[head] << 8 | s->in.data[head + 1], code);
    rdg_buf_consume(&s->in, head + 2);
    if (!strstr(rdg_buf_cstr(&s->in), reason))
        rdg_test_fail(__FILE__, __LINE__, "'%s' does not say '%s'", rdg_buf_cstr(&s->in), reason);
}

void ws_close(ws_t *s) {
    close(s->fd);
    rdg_buf_fini(&s->in);
}
