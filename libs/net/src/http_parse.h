/* Reads one HTTP/1.1 answer from bytes as they arrive. No I/O. Strict: what RFC 9112 calls ambiguous is
 * PROTOCOL. */
#ifndef RIDGE_NET_HTTP_PARSE_H
#define RIDGE_NET_HTTP_PARSE_H
#include "ridge/net/http_client.h"

#define HTTP_LINE_MAX (16u << 10)
#define HTTP_HEAD_MAX (64u << 10)

typedef enum http_state {
    HTTP_STATUS_LINE,
    HTTP_HEADERS,
    HTTP_BODY_LENGTH,
    HTTP_BODY_TO_CLOSE,
    HTTP_CHUNK_SIZE,
    HTTP_CHUNK_DATA,
    HTTP_CHUNK_END,
    HTTP_TRAILERS,
    HTTP_DONE
} http_state_t;

typedef struct http_parser {
    http_state_t state;
    rdg_http_answer_t *answer;
    const rdg_http_call_t *call;
    rdg_buf_t line;
    size_t head_bytes; /* of status line, headers, chunk sizes and trailers together */
    uint64_t left;     /* of the body or the chunk */
    uint64_t body_bytes, max_body;
    bool chunked, has_length, keep_alive, http_1_0, is_head;
} http_parser_t;

/* Borrows call and answer. */
void http_parser_init(http_parser_t *p, const rdg_http_call_t *call, rdg_http_answer_t *answer);
void http_parser_fini(http_parser_t *p);
/* Takes bytes up to the end of the answer; *used tells how many. PROTOCOL, TOO_LARGE, NO_MEMORY, the sink's
 * error. */
rdg_err_t http_parser_feed(http_parser_t *p, rdg_bytes_t bytes, size_t *used);
/* The connection has ended: RDG_OK if that is where the answer ends, else CLOSED. */
rdg_err_t http_parser_end(http_parser_t *p);

/* Shared with the https engine. */
void http_answer_init(rdg_http_answer_t *a, const rdg_http_call_t *call);
void http_answer_header(rdg_http_answer_t *a, rdg_bytes_t name, rdg_bytes_t value);
rdg_err_t http_answer_body(const rdg_http_call_t *call, rdg_http_answer_t *a, rdg_bytes_t chunk);

#endif
