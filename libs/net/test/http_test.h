/* A server and a client for it. */
#ifndef HTTP_TEST_H
#define HTTP_TEST_H
#include "ridge/net/http_client.h"
#include "ridge/net/http_server.h"
#include "ridge/test.h"

typedef struct http_fixture {
    rdg_http_server_t *server;
    rdg_http_client_t *client;
    char url[512];
} http_fixture_t;

void http_open(http_fixture_t *f, const rdg_http_server_options_t *options, rdg_http_handler_t handler,
               void *ctx);
void http_close(http_fixture_t *f); /* also checks that nothing is left on the heap */
const char *http_url(http_fixture_t *f, const char *path);
/* Sends the bytes as they are (end: and says that no more will come) and reads until the server closes (or 10
 * s); NUL-terminated. */
void http_raw(http_fixture_t *f, rdg_bytes_t request, bool end, char *answer, size_t size);
void check_headers(void *ctx, const rdg_http_request_t *req, rdg_http_response_t *res);

/* A server that answers fixed bytes, each to one connection, and closes. */
typedef struct canned canned_t;
canned_t *canned_start(const char *const *answers, size_t count);
uint16_t canned_port(const canned_t *c);
void canned_stop(canned_t *c); /* waits until all answers were fetched */

#endif
