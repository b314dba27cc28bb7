#include "http_parse.h"
#include <string.h>
#include <strings.h>

void http_parser_init(http_parser_t *p, const rdg_http_call_t *call, rdg_http_answer_t *answer) {
    memset(p, 0, sizeof *p);
    p->answer = answer;
    p->call = call;
    p->is_head = strcmp(call->method, "HEAD") == 0;
    p->max_body = call->max_body ? call->max_body : call->sink ? UINT64_MAX : answer->body.max;
    rdg_buf_init(&p->line, HTTP_LINE_MAX);
}

void http_parser_fini(http_parser_t *p) {
    rdg_buf_fini(&p->line);
}

static rdg_err_t broken(const http_parser_t *p, const char *what) {
    return rdg_fail(RDG_E_PROTOCOL, "%s answered no valid HTTP: %s", p->call->url, what);
}

static rdg_err_t over_limit(const http_parser_t *p) {
    return rdg_fail(RDG_E_TOO_LARGE, "the answer of %s is larger than the limit of %llu bytes", p->call->url,
                    (unsigned long long)p->max_body);
}

static bool equals(rdg_bytes_t a, const char *b) {
    return a.len == strlen(b) && strncasecmp((const char *)a.data, b, a.len) == 0;
}

static rdg_bytes_t trim(rdg_bytes_t v) {
    while (v.len > 0 && (v.data[0] == ' ' || v.data[0] == '\t')) ++v.data, --v.len;
    while (v.len > 0 && (v.data[v.len - 1] == ' ' || v.data[v.len - 1] == '\t')) --v.len;
    return v;
}

/* Does the comma-separated list hold the token? */
static bool list_has(rdg_bytes_t list, const char *token) {
    while (list.len > 0) {
        const uint8_t *comma = memchr(list.data, ',', list.len);
        size_t len = comma ? (size_t)(comma - list.data) : list.len;
        if (equals(trim(rdg_bytes(list.data, len)), token)) return true;
        if (comma) ++len;
        list = rdg_bytes(list.data + len, list.len - len);
    }
    return false;
}

static rdg_err_t status_line(http_parser_t *p, rdg_bytes_t line) {
    const uint8_t *s = line.data;
    if (line.len < 12 || memcmp(s, "HTTP/1.", 7) != 0 || (s[7] != '0' && s[7] != '1') || s[8] != ' ')
        return broken(p, "the status line");
    for (int i = 9; i < 12; ++i)
        if (s[i] < '0' || s[i] > '9') return broken(p, "the status code");
    if (line.len > 12 && s[12] != ' ') return broken(p, "the status code");
    p->answer->status = (unsigned)(s[9] - '0') * 100 + (unsigned)(s[10] - '0') * 10 + (unsigned)(s[11] - '0');
    if (p->answer->status < 100 || p->answer->status > 599) return broken(p, "the status code");
    p->http_1_0 = s[7] == '0';
    p->keep_alive = !p->http_1_0;
    p->chunked = p->has_length = false;
    p->state = HTTP_HEADERS;
    return RDG_OK;
}

static rdg_err_t content_length(http_parser_t *p, rdg_bytes_t value) {
    uint64_t length = 0;
    if (value.len == 0) return broken(p, "Content-Length is empty");
    for (size_t i = 0; i < value.len; ++i) {
        unsigned digit = (unsigned)value.data[i] - '0';
        if (digit > 9) return broken(p, "Content-Length is no number");
        if (__builtin_mul_overflow(length, 10u, &length) || __builtin_add_overflow(length, digit, &length))
            return broken(p, "Content-Length is too large");
    }
    if (p->has_length && length != p->left) return broken(p, "two Content-Lengths");
    p->has_length = true;
    p->left = length;
    return RDG_OK;
}

static bool is_token_char(uint8_t c) {
    return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') ||
           (c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static rdg_err_t split_header(const http_parser_t *p, rdg_bytes_t line, rdg_bytes_t *name,
                              rdg_bytes_t *value) {
    const uint8_t *colon = memchr(line.data, ':', line.len);
    if (!colon || colon == line.data) return broken(p, "a header without a name");
    *name = rdg_bytes(line.data, (size_t)(colon - line.data));
    for (size_t i = 0; i < name->len; ++i)
        if (!is_token_char(name->data[i])) return broken(p, "a header name with forbidden characters");
    *value = trim(rdg_bytes(colon + 1, line.len - name->len - 1));
    for (size_t i = 0; i < value->len; ++i)
        if (value->data[i] < 0x20 && value->data[i] != '\t')
            return broken(p, "a control character in a header");
    return RDG_OK;
}

static rdg_err_t header_line(http_parser_t *p, rdg_bytes_t line) {
    rdg_bytes_t name, value;
    RDG_TRY(split_header(p, line, &name, &value));
    if (p->state == HTTP_TRAILERS) return RDG_OK;
    if (equals(name, "content-length")) {
        RDG_TRY(content_length(p, value));
        p->answer->length = p->left;
        return RDG_OK;
    }
    if (equals(name, "transfer-encoding")) {
        if (p->chunked || p->http_1_0 || !equals(value, "chunked"))
            return broken(p, "an unknown transfer coding");
        p->chunked = true;
    } else if (equals(name, "connection")) {
        if (list_has(value, "close")) p->keep_alive = false;
        if (p->http_1_0 && list_has(value, "keep-alive")) p->keep_alive = true;
    } else {
        http_answer_header(p->answer, name, value);
    }
    return RDG_OK;
}

static rdg_err_t headers_end(http_parser_t *p) {
    unsigned status = p->answer->status;
    if (p->chunked && p->has_length) return broken(p, "both Content-Length and Transfer-Encoding");
    if (status < 200) {
        if (status == 101) return broken(p, "an upgrade nobody asked for");
        p->state = HTTP_STATUS_LINE;
        return RDG_OK;
    }
    if (p->is_head || status == 204 || status == 304) {
        p->state = HTTP_DONE;
    } else if (p->chunked) {
        p->state = HTTP_CHUNK_SIZE;
    } else if (p->has_length) {
        if (p->left > p->max_body) return over_limit(p);
        p->state = p->left > 0 ? HTTP_BODY_LENGTH : HTTP_DONE;
    } else {
        p->keep_alive = false;
        p->state = HTTP_BODY_TO_CLOSE;
    }
    return RDG_OK;
}

static rdg_err_t chunk_size(http_parser_t *p, rdg_bytes_t line) {
    uint64_t size = 0;
    size_t i = 0;
    for (; i < line.len; ++i) {
        uint8_t c = line.data[i], low = c | 32;
        unsigned digit;
        if (c >= '0' && c <= '9')
            digit = (unsigned)c - '0';
        else if (low >= 'a' && low <= 'f')
            digit = (unsigned)low - 'a' + 10;
        else
            break;
        if (size >> 60) return broken(p, "the size of a chunk");
        size = size << 4 | digit;
    }
    if (i == 0 || (i < line.len && line.data[i] != ';' && line.data[i] != ' '))
        return broken(p, "the size of a chunk");
    p->left = size;
    p->state = size > 0 ? HTTP_CHUNK_DATA : HTTP_TRAILERS;
    return RDG_OK;
}

static rdg_err_t take_line(http_parser_t *p, rdg_bytes_t line) {
    switch (p->state) {
    case HTTP_STATUS_LINE: return status_line(p, line);
    case HTTP_CHUNK_SIZE: return chunk_size(p, line);
    case HTTP_CHUNK_END:
        if (line.len > 0) return broken(p, "a chunk is longer than its size");
        p->state = HTTP_CHUNK_SIZE;
        return RDG_OK;
    case HTTP_TRAILERS:
        if (line.len > 0) return header_line(p, line);
        p->state = HTTP_DONE;
        return RDG_OK;
    default: return line.len > 0 ? header_line(p, line) : headers_end(p);
    }
}

static rdg_err_t feed_line(http_parser_t *p, rdg_bytes_t bytes, size_t *used) {
    const uint8_t *newline = memchr(bytes.data, '\n', bytes.len);
    size_t len = newline ? (size_t)(newline - bytes.data) + 1 : bytes.len;
    *used = len;
    p->head_bytes += len;
    /* The sizes of chunks are bounded with their chunks; everything else by the limit on headers. */
    if (p->state != HTTP_CHUNK_SIZE && p->state != HTTP_CHUNK_END && p->head_bytes > HTTP_HEAD_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "the headers of %s are larger than %u bytes", p->call->url,
                        HTTP_HEAD_MAX);
    rdg_err_t err = rdg_buf_append(&p->line, bytes.data, len);
    if (err != RDG_OK) return rdg_fail_in(err, "a line in the answer of %s", p->call->url);
    if (!newline) return RDG_OK;
    rdg_bytes_t line = rdg_buf_view(&p->line);
    if (line.len < 2 || line.data[line.len - 2] != '\r')
        return broken(p, "a line that does not end in CR LF");
    if (p->state == HTTP_CHUNK_SIZE || p->state == HTTP_CHUNK_END) p->head_bytes -= line.len;
    err = take_line(p, rdg_bytes(line.data, line.len - 2));
    rdg_buf_clear(&p->line);
    return err;
}

static rdg_err_t feed_body(http_parser_t *p, rdg_bytes_t bytes, size_t *used) {
    size_t len = bytes.len;
    if (p->state != HTTP_BODY_TO_CLOSE && len > p->left) len = (size_t)p->left;
    if (len > p->max_body - p->body_bytes) return over_limit(p);
    *used = len;
    p->body_bytes += len;
    p->left -= p->state == HTTP_BODY_TO_CLOSE ? 0 : len;
    RDG_TRY(http_answer_body(p->call, p->answer, rdg_bytes(bytes.data, len)));
    if (p->state != HTTP_BODY_TO_CLOSE && p->left == 0)
        p->state = p->state == HTTP_CHUNK_DATA ? HTTP_CHUNK_END : HTTP_DONE;
    return RDG_OK;
}

rdg_err_t http_parser_feed(http_parser_t *p, rdg_bytes_t bytes, size_t *used) {
    *used = 0;
    while (*used < bytes.len && p->state != HTTP_DONE) {
        size_t n = 0;
        rdg_bytes_t rest = rdg_bytes(bytes.data + *used, bytes.len - *used);
        bool body =
            p->state == HTTP_BODY_LENGTH || p->state == HTTP_BODY_TO_CLOSE || p->state == HTTP_CHUNK_DATA;
        RDG_TRY(body ? feed_body(p, rest, &n) : feed_line(p, rest, &n));
        *used += n;
    }
    return RDG_OK;
}

rdg_err_t http_parser_end(http_parser_t *p) {
    if (p->state == HTTP_BODY_TO_CLOSE) p->state = HTTP_DONE;
    if (p->state == HTTP_DONE) return RDG_OK;
    return rdg_fail(RDG_E_CLOSED, "%s closed the connection in the middle of its answer", p->call->url);
}
