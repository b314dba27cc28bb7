#include "broker_internal.h"
#include "socket.h"
#include "ridge/base/alloc.h"
#include "ridge/base/clock.h"
#include <string.h>
#include <unistd.h>

#define FLAG_USER 0x80
#define FLAG_PASSWORD 0x40
#define FLAG_CLEAN_SESSION 0x02

static void put_string(rdg_writer_t *w, const char *s) {
    rdg_write_u16(w, (uint16_t)strlen(s));
    rdg_write_bytes(w, s, strlen(s));
}

/* CONNECT of MQTT 3.1.1 (OASIS, section 3.1) with an empty client id: no session is left behind. */
static size_t connect_packet(uint8_t *out, size_t size, const char *user, const char *password) {
    uint8_t rest[512];
    rdg_writer_t body, w;
    rdg_writer_init(&body, rest, sizeof rest);
    put_string(&body, "MQTT");
    rdg_write_u8(&body, 4);
    rdg_write_u8(&body, user ? FLAG_USER | FLAG_PASSWORD | FLAG_CLEAN_SESSION : FLAG_CLEAN_SESSION);
    rdg_write_u16(&body, 10);
    put_string(&body, "");
    if (user) put_string(&body, user), put_string(&body, password);
    size_t len = rdg_writer_len(&body);
    rdg_writer_init(&w, out, size);
    rdg_write_u8(&w, 0x10);
    if (len > 127)
        rdg_write_u8(&w, (uint8_t)(len & 127) | 128), rdg_write_u8(&w, (uint8_t)(len >> 7));
    else
        rdg_write_u8(&w, (uint8_t)len);
    rdg_write_bytes(&w, rest, len);
    return rdg_writer_ok(&body) && rdg_writer_ok(&w) ? rdg_writer_len(&w) : 0;
}

static rdg_err_t read_connack(int fd, uint64_t deadline_ms, int *code) {
    uint8_t answer[4];
    size_t have = 0, got;
    while (have < sizeof answer) {
        RDG_TRY(socket_recv(fd, answer + have, sizeof answer - have, deadline_ms, &got));
        if (got == 0) return rdg_fail(RDG_E_PROTOCOL, "the broker closed the connection without an answer");
        have += got;
    }
    if (answer[0] != 0x20 || answer[1] != 2)
        return rdg_fail(RDG_E_PROTOCOL, "what answers is no MQTT broker");
    *code = answer[3];
    return RDG_OK;
}

rdg_err_t broker_probe(const char *host, uint16_t port, const char *user, const char *password,
                       uint64_t timeout_ms, int *code) {
    uint8_t packet[600];
    static const uint8_t goodbye[] = {0xe0, 0};
    uint64_t deadline_ms = rdg_mono_ms(rdg_clock_system()) + timeout_ms;
    size_t len = connect_packet(packet, sizeof packet, user, password);
    int fd;
    if (len == 0) return rdg_fail(RDG_E_TOO_LARGE, "user name or password is too long");
    rdg_err_t err = socket_connect(host, port, deadline_ms, &fd);
    if (err == RDG_OK) {
        err = socket_send(fd, rdg_bytes(packet, len), deadline_ms);
        if (err == RDG_OK) err = read_connack(fd, deadline_ms, code);
        if (err == RDG_OK) (void)socket_send(fd, rdg_bytes(goodbye, sizeof goodbye), deadline_ms);
        close(fd);
    }
    rdg_secure_zero(packet, sizeof packet);
    return err;
}
