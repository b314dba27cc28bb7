#include "ridge/base/error.h"
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static _Thread_local struct {
    rdg_err_t code;
    char text[RDG_ERROR_TEXT_MAX];
} last;

typedef struct entry {
    const char *name, *text;
} entry_t;

static const entry_t table[] = {
#define RDG_ERROR_ENTRY(name, number, text) [number] = {#name, text},
    RDG_ERROR_TABLE(RDG_ERROR_ENTRY)
#undef RDG_ERROR_ENTRY
};

static bool known(rdg_err_t code) {
    return (unsigned)code < sizeof table / sizeof table[0] && table[code].name;
}

const char *rdg_err_name(rdg_err_t code) {
    return known(code) ? table[code].name : "UNKNOWN";
}
const char *rdg_err_text(rdg_err_t code) {
    return known(code) ? table[code].text : "unknown error";
}

rdg_err_t rdg_err_from_name(const char *name) {
    for (size_t i = 0; name && i < sizeof table / sizeof table[0]; ++i)
        if (table[i].name && strcmp(table[i].name, name) == 0) return (rdg_err_t)i;
    return RDG_E_INTERNAL;
}

rdg_err_t rdg_fail(rdg_err_t code, const char *fmt, ...) {
    char text[RDG_ERROR_TEXT_MAX];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    last.code = code;
    memcpy(last.text, text, sizeof text);
    return code;
}

rdg_err_t rdg_fail_in(rdg_err_t code, const char *fmt, ...) {
    char text[RDG_ERROR_TEXT_MAX];
    va_list args;
    if (code == RDG_OK) return RDG_OK;
    va_start(args, fmt);
    int len = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (len >= 0 && (size_t)len < sizeof text)
        snprintf(text + len, sizeof text - (size_t)len, ": %s", rdg_err_message(code));
    last.code = code;
    memcpy(last.text, text, sizeof text);
    return code;
}

static rdg_err_t from_errno(int errnum) {
    switch (errnum) {
    case ENOSPC:
    case EDQUOT: return RDG_E_DISK_FULL;
    case ENOENT:
    case ESRCH: return RDG_E_NOT_FOUND;
    case EEXIST: return RDG_E_EXISTS;
    case EADDRINUSE: return RDG_E_PORT_IN_USE;
    case ENOMEM: return RDG_E_NO_MEMORY;
    case EACCES:
    case EPERM: return RDG_E_FORBIDDEN;
    case ETIMEDOUT: return RDG_E_TIMEOUT;
    case EBUSY: return RDG_E_BUSY;
    case ECONNREFUSED:
    case EHOSTUNREACH:
    case ENETUNREACH: return RDG_E_UNAVAILABLE;
    case EPIPE:
    case ECONNRESET: return RDG_E_CLOSED;
    default: return RDG_E_IO;
    }
}

rdg_err_t rdg_fail_errno(int errnum, const char *fmt, ...) {
    char text[RDG_ERROR_TEXT_MAX], reason[128];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return rdg_fail(from_errno(errnum), "%.*s: %s", RDG_ERROR_TEXT_MAX - 140, text,
                    strerror_r(errnum, reason, sizeof reason));
}

const char *rdg_err_message(rdg_err_t code) {
    return last.code == code && code != RDG_OK ? last.text : rdg_err_text(code);
}
