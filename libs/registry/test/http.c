#include "http.h"
#include "ridge/base/file.h"
#include "ridge/test.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

int http_connect(uint16_t port) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0);
    if (connect(fd, (const struct sockaddr *)&to, sizeof to) == 0) return fd;
    close(fd);
    return -1;
}

static void send_head(int fd, const char *method, const char *path, const char *headers, uint64_t length) {
    char head[8192];
    int n = snprintf(
        head, sizeof head,
        "%s %s HTTP/1.1\r\nHost: registry.test\r\nConnection: close\r\n%sContent-Length: %llu\r\n\r\n",
        method, path, headers ? headers : "", (unsigned long long)length);
    CHECK(n < (int)sizeof head);
    (void)rdg_write_all(fd, rdg_bytes(head, (size_t)n));
}

static void take_answer(int fd, const char *method, reply_t *out) {
    char block[16384];
    rdg_buf_t all;
    ssize_t n;
    rdg_buf_init(&all, 256u << 20);
    __atomic_store_n(&out->heard, 0, __ATOMIC_RELAXED);
    while ((n = read(fd, block, sizeof block)) > 0) {
        CHECK_OK(rdg_buf_append(&all, block, (size_t)n));
        __atomic_store_n(&out->heard, all.len, __ATOMIC_RELAXED);
    }
    const char *text = rdg_buf_cstr(&all), *end = text ? strstr(text, "\r\n\r\n") : NULL;
    /* An interim answer comes first when one was asked for. */
    if (end && strncmp(text, "HTTP/1.1 100", 12) == 0) {
        text = end + 4;
        end = strstr(text, "\r\n\r\n");
    }
    if (!end) rdg_test_fail(__FILE__, __LINE__, "%s: no answer", method);
    size_t head = (size_t)(end - text);
    CHECK(head < sizeof out->head);
    memcpy(out->head, text, head);
    out->head[head] = '\0';
    out->status = (unsigned)atoi(out->head + 9);
    rdg_buf_init(&out->body, 256u << 20);
    CHECK_OK(rdg_buf_append(&out->body, end + 4, all.len - (size_t)(end + 4 - (const char *)all.data)));
    rdg_buf_fini(&all);
}

void http_ask(uint16_t port, const char *method, const char *path, const char *headers, rdg_bytes_t body,
              reply_t *out) {
    int fd = http_connect(port);
    CHECK(fd >= 0);
    send_head(fd, method, path, headers, body.len);
    (void)rdg_write_all(fd, body);
    take_answer(fd, method, out);
    close(fd);
}

void http_break_off(uint16_t port, const char *method, const char *path, uint64_t length, rdg_bytes_t some) {
    int fd = http_connect(port);
    CHECK(fd >= 0);
    send_head(fd, method, path, NULL, length);
    (void)rdg_write_all(fd, some);
    close(fd);
}

const char *http_header(const reply_t *r, const char *name) {
    static char value[2048];
    size_t len = strlen(name);
    value[0] = '\0';
    for (const char *line = strstr(r->head, "\r\n"); line; line = strstr(line + 2, "\r\n")) {
        const char *at = line + 2;
        if (strncasecmp(at, name, len) != 0 || at[len] != ':') continue;
        at += len + 1;
        while (*at == ' ') ++at;
        snprintf(value, sizeof value, "%.*s", (int)strcspn(at, "\r"), at);
        return value;
    }
    return value;
}

void http_done(reply_t *r) {
    rdg_buf_fini(&r->body);
}
