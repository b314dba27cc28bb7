/* A service on a port of its own, and a client that reads JSON answers. */
#ifndef SERVICE_TEST_KIT_H
#define SERVICE_TEST_KIT_H
#include "ridge/net/http_client.h"
#include "ridge/service/service.h"
#include "ridge/test.h"

typedef struct kit {
    rdg_service_t *service;
    rdg_http_client_t *http;
    char traceparent[64]; /* sent when not empty */
    size_t body_len;      /* of the next bodies, when they are no strings; 0: strlen */
} kit_t;

void kit_open(kit_t *k,
              const rdg_service_options_t *options); /* the tests' routes; token "secret" of "alice" */
void kit_close(kit_t *k);
/* token, body may be NULL. *answer (owned) is NULL when the answer is no JSON. Returns the status. */
unsigned kit_call(kit_t *k, const char *method, const char *path, const char *token, const char *body,
                  json_t **answer);
const char *kit_error(const json_t *answer, const char *field); /* "" if absent */

#endif
