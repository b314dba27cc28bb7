/* What the files of the registry's client share. */
#ifndef RIDGE_CLIENT_IMAGES_INTERNAL_H
#define RIDGE_CLIENT_IMAGES_INTERNAL_H
#include "ridge/client/images.h"
#include "ridge/net/http_client.h"

#define IMAGES_URL_MAX 2048

struct rdg_images_client {
    rdg_http_client_t *http;
    char *url, *authorization;
};

typedef struct images_call {
    const char *method, *url;
    const char *header, *header2; /* further ones, or NULL */
    rdg_bytes_t body;
    size_t max_body;
    uint64_t timeout_ms; /* 0: 60 s */
} images_call_t;

/* What a status outside 2xx says becomes an error; got is then finished. */
rdg_err_t images_exchange(rdg_images_client_t *c, const images_call_t *call, rdg_http_answer_t *got);
__attribute__((format(printf, 3, 4))) rdg_err_t images_url(const rdg_images_client_t *c,
                                                           char out[IMAGES_URL_MAX], const char *fmt, ...);

#endif
