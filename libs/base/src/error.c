#include "ridge/base/error.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "ridge/base/assert.h"

static _Thread_local struct {
    rdg_err_t code;
    char text[RDG_ERROR_TEXT_MAX];
} last;

typedef struct entry {
    const char *name, *text;
} entry_t;

static const entry_t table[RDG_E_LIMIT_] = {
#define ENTRY(name, number, text) [number] = {#name, text},
    RDG_ERROR_TABLE(ENTRY)
#undef ENTRY
};

static const entry_t *find(rdg_err_t code) {
    static const entry_t unknown = {"UNKNOWN", "unknown error"};
    return (unsigned)code < RDG_E_LIMIT_ && table[code].name ? &table[code] : &unknown;
}

const char *rdg_err_name(rdg_err_t code) {
    return find(code)->name;
}
const char *rdg_err_text(rdg_err_t code) {
    return find(code)->text;
}

rdg_err_t rdg_err_from_name(const char *name) {
    for (unsigned i = 0; name && i < RDG_E_LIMIT_; ++i)
        if (table[i].name && strcmp(table[i].name, name) == 0) return (rdg_err_t)i;
    return RDG_E_INTERNAL;
}

/* A cut in the middle of a UTF-8 character would make the whole line invalid for JSON readers. */
static void drop_partial_character(char *text, size_t len) {
    size_t back = 0;
    while (back < 3 && back < len && ((unsigned char)text[len - 1 - back] & 0xc0) == 0x80) ++back;
    if (back == len) return;
    unsigned char lead = (unsigned char)text[len - 1 - back];
    size_t want = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : lead >= 0xc0 ? 1 : 0;
    if (want > back) text[len - 1 - back] = 0;
}

__attribute__((format(printf, 2, 0))) static void record(rdg_err_t code, const char *fmt, va_list args,
                                                         const char *tail) {
    /* The arguments may point into last.text, so the new text is made beside it. */
    char text[RDG_ERROR_TEXT_MAX];
    int n = vsnprintf(text, sizeof text, fmt, args);
    size_t len = n < 0 ? 0 : (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;
    text[len] = 0;
    if (tail && len < sizeof text - 1) {
        int more = snprintf(text + len, sizeof text - len, ": %s", tail);
        len = more < 0 ? len : len + (size_t)more;
    }
    if (len >= sizeof text - 1) drop_partial_character(text, sizeof text - 1);
    memcpy(last.text, text, sizeof text);
    last.code = code;
}

rdg_err_t rdg_fail_(rdg_err_t code, const char *fmt, ...) {
    RDG_ASSERT(code != RDG_OK);
    va_list args;
    va_start(args, fmt);
    record(code, fmt, args, NULL);
    va_end(args);
    return code;
}

rdg_err_t rdg_fail_in(rdg_err_t code, const char *fmt, ...) {
    if (code == RDG_OK) return code;
    va_list args;
    va_start(args, fmt);
    record(code, fmt, args, rdg_err_message(code));
    va_end(args);
    return code;
}

static rdg_err_t code_of_errno(int errnum) {
    switch (errnum) {
    case ENOMEM: return RDG_E_NO_MEMORY;
    case EINVAL: return RDG_E_INVALID;
    case ENOENT:
    case ENOTDIR: return RDG_E_NOT_FOUND;
    case EEXIST:
    case ENOTEMPTY: return RDG_E_EXISTS;
    case EAGAIN:
    case EBUSY:
    case ETXTBSY: return RDG_E_BUSY;
    case EMFILE:
    case ENFILE: return RDG_E_FULL;
    case ENOSPC:
    case EDQUOT: return RDG_E_DISK_FULL;
    case EFBIG:
    case ENAMETOOLONG:
    case EMSGSIZE: return RDG_E_TOO_LARGE;
    case ETIMEDOUT: return RDG_E_TIMEOUT;
    case ECANCELED: return RDG_E_CANCELLED;
    case EPIPE:
    case ECONNRESET:
    case ECONNABORTED:
    case ENOTCONN: return RDG_E_CLOSED;
    case ECONNREFUSED:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case ENETDOWN: return RDG_E_UNAVAILABLE;
    case EACCES:
    case EPERM:
    case EROFS: return RDG_E_FORBIDDEN;
    case EADDRINUSE: return RDG_E_PORT_IN_USE;
    case ENOSYS:
    case EOPNOTSUPP:
    case EAFNOSUPPORT: return RDG_E_UNSUPPORTED;
    case EPROTO: return RDG_E_PROTOCOL;
    default: return RDG_E_IO;
    }
}

rdg_err_t rdg_fail_errno_(int errnum, const char *fmt, ...) {
    char reason[128];
    rdg_err_t code = code_of_errno(errnum);
    va_list args;
    va_start(args, fmt);
    record(code, fmt, args, strerror_r(errnum, reason, sizeof reason));
    va_end(args);
    return code;
}

const char *rdg_err_message(rdg_err_t code) {
    return code != RDG_OK && last.code == code && last.text[0] ? last.text : rdg_err_text(code);
}
