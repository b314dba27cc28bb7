#include "internal.h"
#include "ridge/base/alloc.h"
#include "ridge/base/log.h"

void answer_json(rdg_http_response_t *res, unsigned status, const char *type, json_t *body) {
    char *text = body ? rdg_json_text(body) : NULL;
    rdg_http_status(res, text ? status : 500);
    if (text) (void)rdg_http_write(res, type, rdg_bytes_str(text));
    rdg_free(text);
    json_decref(body);
}

void answer_error(rdg_http_response_t *res, unsigned status, const char *code, const char *message) {
    if (status == 429) (void)rdg_http_set_header(res, "Retry-After", "1");
    answer_json(res, status, "application/json",
                json_pack("{s:[{s:s, s:s}]}", "errors", "code", code, "message", message));
}

void answer_failure(rdg_http_response_t *res, rdg_err_t err, const char *unknown, const char *invalid) {
    const char *text = rdg_err_message(err);
    switch (err) {
    case RDG_E_NOT_FOUND: answer_error(res, 404, unknown, text); return;
    case RDG_E_MALFORMED:
    case RDG_E_INVALID:
    case RDG_E_UNSUPPORTED: answer_error(res, 400, invalid, text); return;
    case RDG_E_TOO_LARGE: answer_error(res, 413, invalid, text); return;
    case RDG_E_CONFLICT: answer_error(res, 405, "UNSUPPORTED", text); return;
    case RDG_E_FULL: answer_error(res, 403, "DENIED", text); return;
    case RDG_E_FORBIDDEN: answer_error(res, 403, "DENIED", text); return;
    case RDG_E_BUSY: answer_error(res, 429, "TOOMANYREQUESTS", text); return;
    default: break;
    }
    rdg_log_err("registry.failed", err);
    answer_error(res,
                 err == RDG_E_DISK_FULL     ? 507
                 : err == RDG_E_UNAVAILABLE ? 503
                                            : 500,
                 "UNKNOWN",
                 err == RDG_E_DISK_FULL     ? "the registry's disk is full"
                 : err == RDG_E_UNAVAILABLE ? text
                                            : "the registry has trouble of its own: its log says why");
}

void answer_empty(rdg_http_response_t *res, unsigned status) {
    rdg_http_status(res, status);
}
