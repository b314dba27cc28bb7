#include "http_parse.h"
#include "ridge/base/assert.h"
#include <string.h>

#define BODY_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* However the bytes are cut, the parser comes to the same end and keeps its limits. */
static rdg_err_t parse(const uint8_t *data, size_t len, size_t piece, rdg_http_answer_t *a,
                       http_state_t *end) {
    rdg_http_call_t call = {.method = "GET", .url = "http://fuzz/", .max_body = BODY_MAX};
    http_parser_t p;
    rdg_err_t err = RDG_OK;
    http_answer_init(a, &call);
    http_parser_init(&p, &call, a);
    for (size_t at = 0; at < len && err == RDG_OK && p.state != HTTP_DONE;) {
        size_t used, count = len - at < piece ? len - at : piece;
        err = http_parser_feed(&p, rdg_bytes(data + at, count), &used);
        RDG_ASSERT(used <= count);
        RDG_ASSERT(err != RDG_OK || used == count || p.state == HTTP_DONE);
        at += used;
    }
    *end = p.state;
    http_parser_fini(&p);
    RDG_ASSERT(a->body.len <= BODY_MAX);
    return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    rdg_http_answer_t whole, cut;
    http_state_t whole_end, cut_end;
    if (len == 0) return 0;
    rdg_err_t a = parse(data, len, len, &whole, &whole_end);
    rdg_err_t b = parse(data, len, 1 + data[0] % 7, &cut, &cut_end);
    if (a == RDG_OK && b == RDG_OK) {
        RDG_ASSERT(whole_end == cut_end && whole.status == cut.status);
        RDG_ASSERT(rdg_bytes_equal(rdg_buf_view(&whole.body), rdg_buf_view(&cut.body)));
    }
    rdg_http_answer_fini(&whole);
    rdg_http_answer_fini(&cut);
    return 0;
}
