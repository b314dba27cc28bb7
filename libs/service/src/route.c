#include "route.h"
#include <string.h>

static size_t segment_len(const char *s) {
    return strcspn(s, "/");
}

/* The name of a parameter points into the pattern and ends at '}': rdg_service_arg compares it so. */
static bool take_param(const char *name, const char *value, size_t len, rdg_service_call_t *call) {
    if (len == 0 || len >= RDG_SERVICE_PARAM_BYTES || call->param_count == RDG_SERVICE_PARAMS_MAX)
        return false;
    rdg_service_param_t *p = &call->params[call->param_count++];
    p->name = name;
    memcpy(p->value, value, len);
    p->value[len] = '\0';
    return true;
}

bool rdg_route_match(const char *pattern, const char *path, rdg_service_call_t *call) {
    call->param_count = 0;
    for (;;) {
        size_t want = segment_len(pattern), have = segment_len(path);
        if (pattern[0] == '{') {
            if (!take_param(pattern + 1, path, have, call)) return false;
        } else if (want != have || memcmp(pattern, path, want) != 0) {
            return false;
        }
        pattern += want;
        path += have;
        if (*pattern == '\0' || *path == '\0') return *pattern == *path;
        ++pattern;
        ++path;
    }
}

const char *rdg_service_arg(const rdg_service_call_t *call, const char *name) {
    size_t len = strlen(name);
    for (size_t i = 0; i < call->param_count; ++i)
        if (strncmp(call->params[i].name, name, len) == 0 && call->params[i].name[len] == '}')
            return call->params[i].value;
    return "";
}
