#include "target.h"
#include <string.h>

static bool is_lower_alnum(char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* [a-z0-9]+((\.|_|__|-+)[a-z0-9]+)* for each part between slashes. */
static bool name_valid(const char *name) {
    const char *c = name;
    if (!is_lower_alnum(*c)) return false;
    while (*c) {
        while (is_lower_alnum(*c)) ++c;
        if (!*c) return true;
        if (*c == '-')
            while (*c == '-') ++c;
        else if (*c == '_')
            c += c[1] == '_' ? 2 : 1;
        else if (*c == '.' || *c == '/')
            ++c;
        else
            return false;
        if (!is_lower_alnum(*c)) return false;
    }
    return true;
}

static bool tag_valid(const char *tag) {
    size_t len = strlen(tag);
    if (len == 0 || len > TARGET_TAG_MAX || tag[0] == '.' || tag[0] == '-') return false;
    for (const char *c = tag; *c; ++c) {
        bool letter = (*c | 32) >= 'a' && (*c | 32) <= 'z';
        if (!letter && !(*c >= '0' && *c <= '9') && !strchr("._-", *c)) return false;
    }
    return true;
}

bool target_digest_valid(const char *digest) {
    size_t want = strncmp(digest, "sha256:", 7) == 0 ? 64 : strncmp(digest, "sha512:", 7) == 0 ? 128 : 0;
    if (want == 0 || strlen(digest) != 7 + want) return false;
    for (const char *c = digest + 7; *c; ++c)
        if (!(*c >= '0' && *c <= '9') && !(*c >= 'a' && *c <= 'f')) return false;
    return true;
}

static bool copy(char *dst, size_t size, const char *from, size_t len) {
    if (len >= size) return false;
    memcpy(dst, from, len);
    dst[len] = '\0';
    return true;
}

/* The last occurrence: a repository may be called a/blobs/b. */
static const char *find_last(const char *path, const char *part) {
    const char *found = NULL;
    for (const char *at = strstr(path, part); at; at = strstr(at + 1, part)) found = at;
    return found;
}

void target_parse(const char *path, target_t *out) {
    memset(out, 0, sizeof *out);
    if (strcmp(path, "/v2") == 0 || strcmp(path, "/v2/") == 0) out->kind = TARGET_ROOT;
    if (out->kind == TARGET_ROOT || strncmp(path, "/v2/", 4) != 0) return;
    path += 4;
    size_t len = strlen(path);
    const char *manifests = find_last(path, "/manifests/"), *blobs = find_last(path, "/blobs/"), *split;
    static const char tags[] = "/tags/list";
    if (len > sizeof tags - 1 && strcmp(path + len - (sizeof tags - 1), tags) == 0) {
        out->kind = TARGET_TAGS;
        split = path + len - (sizeof tags - 1);
    } else if (manifests || blobs) {
        bool manifest = manifests && (!blobs || manifests > blobs);
        out->kind = manifest ? TARGET_MANIFEST : TARGET_BLOB;
        split = manifest ? manifests : blobs;
        const char *reference = split + strlen(manifest ? "/manifests/" : "/blobs/");
        out->reference_ok = copy(out->reference, sizeof out->reference, reference, strlen(reference));
        out->is_digest = strchr(reference, ':') != NULL;
        if (out->reference_ok)
            out->reference_ok =
                out->is_digest || !manifest ? target_digest_valid(out->reference) : tag_valid(out->reference);
    } else {
        return;
    }
    out->name_ok = copy(out->name, sizeof out->name, path, (size_t)(split - path)) && name_valid(out->name);
}

/* Digits up to a character that is none; false if there are none or they do not fit. */
static bool number(const char **at, uint64_t *out) {
    uint64_t value = 0;
    const char *start = *at;
    for (; **at >= '0' && **at <= '9'; ++*at)
        if (__builtin_mul_overflow(value, 10u, &value) ||
            __builtin_add_overflow(value, (uint64_t)(**at - '0'), &value))
            return false;
    *out = value;
    return *at != start;
}

range_kind_t target_range(const char *header, uint64_t size, uint64_t *first, uint64_t *length) {
    uint64_t from, to = UINT64_MAX;
    if (!header || strncmp(header, "bytes=", 6) != 0) return RANGE_NONE;
    const char *at = header + 6;
    if (*at == '-') {
        ++at;
        if (!number(&at, &to) || *at) return RANGE_NONE;
        if (to == 0 || size == 0) return RANGE_UNSATISFIABLE;
        *length = to < size ? to : size;
        *first = size - *length;
        return RANGE_PART;
    }
    if (!number(&at, &from) || *at++ != '-') return RANGE_NONE;
    if (*at && (!number(&at, &to) || *at)) return RANGE_NONE;
    /* RFC 9110 calls last < first invalid and lets it be ignored; registries and their clients' tests want
     * 416. */
    if (from >= size || to < from) return RANGE_UNSATISFIABLE;
    *first = from;
    *length = (to < size ? to : size - 1) - from + 1;
    return RANGE_PART;
}
