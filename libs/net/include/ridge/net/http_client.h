/* HTTP/1.1 client, synchronous; RFC 9110, 9112. A client keeps its connection alive between requests and
 * belongs to one thread at a time.
 *
 * http:// is spoken by a small client of our own over a socket (src/http_plain.c), https:// by libcurl, which
 * is opened with dlopen at the first https:// call. Why two: measured on Debian 12, a release program that
 * uses this header, http_server.h and mqtt.h has 6.5 MB resident after 1,000 calls and 500 messages
 * (libmicrohttpd with gnutls 2.8 MB of it, libmosquitto with libssl and libcrypto 2.0 MB, our own heap 0.2
 * MB), and 10.5 MB once libcurl with its thirty shared libraries is in. The agent may have 12 MB in all, and
 * speaks plain HTTP only: to its node on loopback, and to the cloud inside TLCP.
 *
 * 1. Redirects are not followed: the answer has the status and the location.
 * 2. A request is sent again, once, only when a kept-alive connection turns out to be closed before the first
 *    byte of the answer.
 * 3. Answers that break the rules on message length (both Content-Length and Transfer-Encoding, two lengths,
 *    folded headers, unknown codings) are refused as PROTOCOL and never guessed at.
 * Limits: max_body; 64 KiB of answer headers; URLs of 8 KiB. Not done: proxies, cookies, authentication
 * schemes, compression, HTTP/2. Resolving a name is bounded by resolv.conf and not by timeout_ms. */
#ifndef RIDGE_NET_HTTP_CLIENT_H
#define RIDGE_NET_HTTP_CLIENT_H
#include "ridge/base/buf.h"
#include "ridge/net/address_ranges.h"

#define RDG_HTTP_ROOTS_MAX (1u << 20)

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rdg_http_client rdg_http_client_t;

typedef struct rdg_http_call {
    const char *method, *url;
    const char *const *headers; /* "Name: value" strings */
    size_t header_count;
    rdg_bytes_t body;
    uint64_t timeout_ms; /* whole request; 0: 30 s */
    size_t max_body;     /* 0: 16 MiB, or no limit if there is a sink */
    /* If set, body bytes of a 2xx answer go here instead of into the answer, whose other fields are filled by then;
     * an error stops the transfer and is what the call returns. */
    rdg_err_t (*sink)(void *ctx, rdg_bytes_t chunk);
    void *sink_ctx;
} rdg_http_call_t;

typedef struct rdg_http_answer {
    unsigned status;
    rdg_buf_t body; /* initialised by the call; rdg_http_answer_fini frees */
    /* Content-Type, Docker-Content-Digest, Location, Content-Range, Range, WWW-Authenticate, ETag, Link; empty when absent
     * or longer than fits. */
    char content_type[96], digest[160], location[3072], content_range[96], range[48], challenge[1024],
        etag[160], link[1024];
    uint64_t length;        /* Content-Length; UINT64_MAX: not told */
    unsigned retry_after_s; /* of Retry-After in seconds; 0: absent, or a date */
} rdg_http_answer_t;

rdg_err_t rdg_http_client_new(rdg_http_client_t **out);
void rdg_http_client_free(rdg_http_client_t *c); /* NULL is fine */
/* From now on every http:// call goes through this local socket, whatever host its URL names (which the Host
 * header still says); https:// calls are refused as UNSUPPORTED. TOO_LARGE: no path of a local socket. */
rdg_err_t rdg_http_client_via(rdg_http_client_t *c, const char *path);
/* For URLs that somebody else has given: from now on no connection goes to an address that is link-local, of a cloud's
 * metadata service, multicast or unspecified, however its name resolves: FORBIDDEN. No proxy is used. */
void rdg_http_client_guard(rdg_http_client_t *c);
/* The same, and to no loopback or private address either that no allowed range has. Borrows them, until it is freed. */
void rdg_http_client_guard_local(rdg_http_client_t *c, const rdg_address_ranges_t *allowed);
/* From now on an https:// server is believed when its certificate leads to one of these, PEM, in place of the system's
 * roots; none: the system's again. Borrows them, until the client is freed. */
void rdg_http_client_roots(rdg_http_client_t *c, rdg_bytes_t pem);
/* INVALID: no certificate in it, a damaged one, or a private key beside; TOO_LARGE. */
rdg_err_t rdg_http_roots_check(rdg_bytes_t pem);
/* A PEM file, checked; out: empty, with room for RDG_HTTP_ROOTS_MAX. The error names the file. */
rdg_err_t rdg_http_roots_read(const char *path, rdg_buf_t *out);
/* RDG_OK for any HTTP status. INVALID (URL, header), UNAVAILABLE (cannot connect), TIMEOUT, TOO_LARGE,
 * PROTOCOL, CLOSED (the connection broke in the middle), FORBIDDEN (the server's certificate is not to be believed, the
 * text says why), UNSUPPORTED (https:// without libcurl); the text names the address. After a failure *out holds nothing to free; finishing it all the same does no harm. */
rdg_err_t rdg_http_call(rdg_http_client_t *c, const rdg_http_call_t *call, rdg_http_answer_t *out);
void rdg_http_answer_fini(rdg_http_answer_t *a);

#ifdef __cplusplus
}
#endif
#endif
