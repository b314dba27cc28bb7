#include "ws_kit.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "ridge/base/clock.h"
#include "socket.h"

static uint64_t soon(void) {
    return rdg_mono_ms(rdg_clock_system()) + 30000;
}

void ws_send_raw(ws_client_t *c, const void *bytes, size_t len) {
    (void)socket_send(c->fd, rdg_bytes(bytes, len), soon()); /* the server may have closed already */
}

static bool read_more(ws_client_t *c) {
    char part[16384];
    size_t got = 0;
    if (socket_recv(c->fd, part, sizeof part, soon(), &got) != RDG_OK || got == 0) return false;
    CHECK_OK(rdg_buf_append(&c->in, part, got));
    return true;
}

unsigned ws_connect(ws_client_t *c, uint16_t port, const char *extra_headers) {
    char request[1024];
    const char *end;
    rdg_buf_init(&c->in, 64u << 20);
    CHECK_OK(socket_connect("127.0.0.1", port, soon(), &c->fd));
    snprintf(request, sizeof request, "GET / HTTP/1.1\r\nHost: x\r\n%s\r\n", extra_headers);
    ws_send_raw(c, request, strlen(request));
    while (!(end = strstr(rdg_buf_cstr(&c->in), "\r\n\r\n")))
        if (!read_more(c)) return 0;
    unsigned status = (unsigned)strtoul(rdg_buf_cstr(&c->in) + strlen("HTTP/1.1 "), NULL, 10);
    rdg_buf_consume(&c->in, (size_t)(end + 4 - rdg_buf_cstr(&c->in)));
    return status;
}

void ws_disconnect(ws_client_t *c) {
    close(c->fd);
    rdg_buf_fini(&c->in);
}

void ws_send_frame(ws_client_t *c, unsigned first, rdg_bytes_t payload) {
    static const uint8_t mask[4] = {1, 2, 3, 4};
    rdg_buf_t out;
    rdg_buf_init(&out, payload.len + 16);
    rdg_buf_u8(&out, (uint8_t)first);
    if (payload.len < 126) {
        rdg_buf_u8(&out, (uint8_t)(0x80 | payload.len));
    } else if (payload.len < 65536) {
        rdg_buf_u8(&out, 0x80 | 126);
        rdg_buf_u16(&out, (uint16_t)payload.len);
    } else {
        rdg_buf_u8(&out, 0x80 | 127);
        rdg_buf_u64(&out, payload.len);
    }
    rdg_buf_append(&out, mask, sizeof mask);
    for (size_t i = 0; i < payload.len; ++i) rdg_buf_u8(&out, payload.data[i] ^ mask[i % 4]);
    ws_send_raw(c, out.data, out.len);
    rdg_buf_fini(&out);
}

void ws_send_text(ws_client_t *c, const char *text) {
    ws_send_frame(c, 0x81, rdg_bytes_str(text));
}

static bool have(ws_client_t *c, size_t len) {
    while (c->in.len < len)
        if (!read_more(c)) return false;
    return true;
}

static unsigned be16(const uint8_t *p) {
    return (unsigned)p[0] << 8 | p[1];
}

bool ws_receive(ws_client_t *c, ws_frame_t *out) {
    *out = (ws_frame_t){0};
    if (!have(c, 2)) return false;
    const uint8_t *p = c->in.data;
    size_t head = 2, len = p[1];
    CHECK(len < 128); /* a server does not mask */
    if (len == 126) head = 4;
    if (len == 127) head = 10;
    if (!have(c, head)) return false;
    p = c->in.data;
    if (head == 4) len = be16(p + 2);
    if (head == 10) len = (size_t)rdg_load_be64(p + 2);
    if (!have(c, head + len)) return false;
    p = c->in.data;
    out->opcode = p[0] & 15;
    rdg_buf_init(&out->payload, len + 1);
    bool is_close = out->opcode == 8 && len >= 2;
    if (is_close) out->code = be16(p + head);
    CHECK_OK(rdg_buf_append(&out->payload, p + head + (is_close ? 2 : 0), len - (is_close ? 2 : 0)));
    rdg_buf_consume(&c->in, head + len);
    return true;
}

void ws_expect_text(ws_client_t *c, const char *text) {
    ws_frame_t f;
    CHECK(ws_receive(c, &f));
    CHECK_EQ(f.opcode, 1);
    CHECK_STR(rdg_buf_cstr(&f.payload), text);
    rdg_buf_fini(&f.payload);
}

unsigned ws_close_code(ws_client_t *c) {
    ws_frame_t f;
    CHECK(ws_receive(c, &f));
    CHECK_EQ(f.opcode, 8);
    rdg_buf_fini(&f.payload);
    return f.code;
}

void ws_expect_close(ws_client_t *c, unsigned code, const char *reason) {
    ws_frame_t f;
    for (;;) {
        CHECK(ws_receive(c, &f));
        if (f.opcode == 8) break;
        rdg_buf_fini(&f.payload);
    }
    CHECK_EQ(f.code, code);
    if (!strstr(rdg_buf_cstr(&f.payload), reason))
        rdg_test_fail(__FILE__, __LINE__, "the reason '%s' does not say '%s'", rdg_buf_cstr(&f.payload),
                      reason);
    rdg_buf_fini(&f.payload);
}
