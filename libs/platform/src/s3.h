/* An S3-style object store, asked over HTTP: path-style addresses, AWS Signature Version 4 with signed payloads, retries.
 *
 * "s3+https://host[:port]/bucket[/prefix][?region=…]" names one (s3+http:// where TLS is somebody else's). Credentials
 * are a file in the form of the AWS command line's, profile [default], mode 0600, read anew for each call: they never
 * stand in an argument, a log line or an error. Requests that break off, or are answered 429 or 5xx, are sent again
 * S3_TRIES times with a growing pause. Keys have the characters of S3_PLAIN alone.
 * (Amazon S3 API Reference, "Authenticating Requests (AWS Signature Version 4)".) Thread-safe; an HTTP client belongs to
 * one thread at a time. */
#ifndef RIDGE_PLATFORM_S3_H
#define RIDGE_PLATFORM_S3_H
#include <limits.h>
#include "ridge/base/clock.h"
#include "ridge/net/http_client.h"

#define S3_TRIES 5
#define S3_CALL_MS 120000u
#define S3_ANSWER_MAX (1u << 20)
#define S3_PLAIN "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/"

typedef struct s3 {
    char base[300]; /* scheme, host, port */
    char host[280]; /* as the Host header says it */
    char bucket[64], prefix[256], region[64];
    char credentials[PATH_MAX];
    const rdg_clock_t *clock;
} s3_t;

typedef struct s3_keys {
    char id[129], secret[257];
} s3_keys_t;

typedef struct s3_call {
    const char *method, *key; /* key below the prefix */
    const char *query;        /* canonical: sorted, escaped, "name=value"; NULL: none */
    rdg_bytes_t body;
    uint64_t from, len;                              /* len > 0: this range */
    rdg_err_t (*sink)(void *ctx, rdg_bytes_t chunk); /* then it is not sent again */
    void *sink_ctx;
} s3_call_t;

/* INVALID shows the URL. credentials NULL: the systemd credential "object-store". */
rdg_err_t s3_init(s3_t *s, const char *url, const char *credentials, const rdg_clock_t *clock);
/* RDG_OK for 2xx; NOT_FOUND (404), FORBIDDEN (401, 403, with the store's own code), UNAVAILABLE, TIMEOUT, CLOSED, PROTOCOL.
 * After RDG_OK *out is to be finished. */
rdg_err_t s3_send(const s3_t *s, rdg_http_client_t *http, const s3_call_t *call, rdg_http_answer_t *out);
/* Bytes of an object, gone on with after a break. */
rdg_err_t s3_get(const s3_t *s, rdg_http_client_t *http, const char *key, uint64_t from, uint64_t len,
                 rdg_err_t (*sink)(void *ctx, rdg_bytes_t chunk), void *sink_ctx);
rdg_err_t s3_size(const s3_t *s, rdg_http_client_t *http, const char *key, uint64_t *out); /* NOT_FOUND */
/* Of a file that is open, from its start: in one request, or in parts, of which nothing is left when it fails. */
rdg_err_t s3_put(const s3_t *s, rdg_http_client_t *http, const char *key, int fd, uint64_t size);
rdg_err_t s3_delete(const s3_t *s, rdg_http_client_t *http, const char *key); /* absent is fine */

/* For a query. Cut off at size. */
void s3_escape(const char *text, char *out, size_t size);
/* s3_sign.c. date: "20130524T000000Z". path and query canonical; payload: its SHA-256 in hex. out: the whole header. */
rdg_err_t s3_sign(const s3_keys_t *keys, const char *region, const char *date, const char *method,
                  const char *host, const char *path, const char *query, const char *payload, char out[700]);
rdg_err_t s3_keys(const char *path, s3_keys_t *out);

#endif
