#include "http_parse.h"
#include <string.h>
#include <strings.h>

#define DEFAULT_MAX_BODY (16u << 20)

void http_answer_init(rdg_http_answer_t *a, const rdg_http_call_t *call) {
    memset(a, 0, sizeof *a);
    a->length = UINT64_MAX;
    rdg_buf_init(&a->body, call->max_body ? call->max_body : DEFAULT_MAX_BODY);
}

void rdg_http_answer_fini(rdg_http_answer_t *a) {
    rdg_buf_fini(&a->body);
}

static void keep(char *dst, size_t size, rdg_bytes_t value) {
    if (value.len >= size) return;
    memcpy(dst, value.data, value.len);
    dst[value.len] = '\0';
}

/* Absent for what is no number of up to `digits` digits. */
static uint64_t number(rdg_bytes_t value, size_t digits, uint64_t absent) {
    uint64_t v = 0;
    if (value.len == 0 || value.len > digits) return absent;
    for (size_t i = 0; i < value.len; ++i) {
        unsigned digit = (unsigned)value.data[i] - '0';
        if (digit > 9) return absent;
        v = v * 10 + digit;
    }
    return v;
}

static bool named(rdg_bytes_t name, const char *want) {
    return name.len == strlen(want) && strncasecmp((const char *)name.data, want, name.len) == 0;
}

void http_answer_header(rdg_http_answer_t *a, rdg_bytes_t name, rdg_bytes_t value) {
    const struct {
        const char *name;
        char *dst;
        size_t size;
    } kept[] = {{"content-type", a->content_type, sizeof a->content_type},
                {"docker-content-digest", a->digest, sizeof a->digest},
                {"location", a->location, sizeof a->location},
                {"content-range", a->content_range, sizeof a->content_range},
                {"range", a->range, sizeof a->range},
                {"www-authenticate", a->challenge, sizeof a->challenge},
                {"etag", a->etag, sizeof a->etag},
                {"link", a->link, sizeof a->link}};
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; ++i)
        if (named(name, kept[i].name)) keep(kept[i].dst, kept[i].size, value);
    if (named(name, "retry-after")) a->retry_after_s = (unsigned)number(value, 8, 0);
    if (named(name, "content-length")) a->length = number(value, 18, UINT64_MAX);
}

rdg_err_t http_answer_body(const rdg_http_call_t *call, rdg_http_answer_t *a, rdg_bytes_t chunk) {
    if (call->sink && a->status >= 200 && a->status <= 299) return call->sink(call->sink_ctx, chunk);
    rdg_err_t err = rdg_buf_append(&a->body, chunk.data, chunk.len);
    if (err == RDG_E_TOO_LARGE)
        return rdg_fail(err, "the answer of %s is larger than the limit of %zu bytes", call->url,
                        a->body.max);
    return err;
}
