#include "ridge/service/service.h"
#include "ridge/base/config.h"

unsigned rdg_service_status(rdg_err_t code) {
    switch (code) {
    case RDG_E_OK: return 200;
    case RDG_E_INVALID:
    case RDG_E_MALFORMED:
    case RDG_E_WRONG_CHAIN: return 400;
    case RDG_E_UNAUTHENTICATED: return 401;
    case RDG_E_FORBIDDEN: return 403;
    case RDG_E_NOT_FOUND: return 404;
    case RDG_E_EXISTS:
    case RDG_E_CONFLICT:
    case RDG_E_DUPLICATE:
    case RDG_E_CANCELLED:
    case RDG_E_STALE: return 409;
    case RDG_E_EXPIRED: return 410;
    case RDG_E_TOO_LARGE: return 413;
    case RDG_E_REVERTED:
    case RDG_E_INVALID_TX:
    case RDG_E_BAD_SIGNATURE:
    case RDG_E_GAS_LIMIT: return 422;
    case RDG_E_BUSY: return 429;
    case RDG_E_UNSUPPORTED: return 501;
    case RDG_E_PROTOCOL: return 502;
    case RDG_E_FULL:
    case RDG_E_EXHAUSTED:
    case RDG_E_CLOSED:
    case RDG_E_UNAVAILABLE: return 503;
    case RDG_E_TIMEOUT: return 504;
    case RDG_E_DISK_FULL: return 507;
    default: return 500;
    }
}

rdg_err_t rdg_service_query_u64(const rdg_service_call_t *call, const char *name, uint64_t min, uint64_t max,
                                uint64_t *out) {
    const char *text = rdg_http_query(call->http, name);
    if (!text) return RDG_OK;
    uint64_t v;
    if (rdg_parse_u64(text, &v) != RDG_OK || v < min || v > max)
        return rdg_fail(RDG_E_INVALID, "query parameter '%s' is '%.40s': want a number from %llu to %llu",
                        name, text, (unsigned long long)min, (unsigned long long)max);
    *out = v;
    return RDG_OK;
}

rdg_err_t rdg_service_body(const rdg_service_call_t *call, const json_t **out) {
    if (!call->body) return rdg_fail(RDG_E_INVALID, "the request has no body: send a JSON object");
    *out = call->body;
    return RDG_OK;
}

rdg_err_t rdg_service_reply(rdg_service_answer_t *answer, unsigned status, json_t *body) {
    if (!body) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the answer");
    answer->status = status;
    answer->body = body;
    return RDG_OK;
}

rdg_err_t rdg_service_reply_file(rdg_service_answer_t *answer, const char *content_type, int fd,
                                 uint64_t offset, uint64_t size) {
    answer->status = 200;
    answer->has_file = true;
    answer->fd = fd;
    answer->offset = offset;
    answer->size = size;
    answer->content_type = content_type;
    return RDG_OK;
}

rdg_err_t rdg_service_reply_stream(rdg_service_answer_t *answer, const char *content_type,
                                   rdg_http_stream_t *s) {
    answer->status = 200;
    answer->stream = rdg_http_stream_ref(s);
    answer->content_type = content_type;
    return RDG_OK;
}
