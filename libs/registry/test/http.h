/* A client for tests: one request a connection, everything of the answer kept. */
#ifndef RIDGE_REGISTRY_TEST_HTTP_H
#define RIDGE_REGISTRY_TEST_HTTP_H
#include "ridge/base/buf.h"

typedef struct reply {
    unsigned status;
    char head[8192];
    rdg_buf_t body;
    size_t heard; /* bytes so far, the head among them; another thread may look (atomic) */
} reply_t;

/* headers: whole lines, each ending in "\r\n"; body.len is sent as Content-Length. Fails the test if no answer comes. */
void http_ask(uint16_t port, const char *method, const char *path, const char *headers, rdg_bytes_t body,
              reply_t *out);
/* Sends the head for `length` bytes and only some of them, then closes. */
void http_break_off(uint16_t port, const char *method, const char *path, uint64_t length, rdg_bytes_t some);
/* Connects; for tests that write by themselves. */
int http_connect(uint16_t port);
/* The value of a header, "" if absent; in a static buffer that the next call overwrites. */
const char *http_header(const reply_t *r, const char *name);
void http_done(reply_t *r);

#endif
