#include "target.h"
#include <stdio.h>
#include <string.h>

static bool is_lower_alnum(char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* [a-z0-9]+((\.|_|__|-+)[a-z0-9]+)* for each part between slashes. */
static bool parts_valid(const char *name) {
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

bool target_name_valid(const char *name) {
    return strlen(name) <= TARGET_NAME_MAX && parts_valid(name);
}

bool target_tag_valid(const char *tag) {
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

static bool ends_with(const char *path, size_t len, const char *end, size_t *split) {
    size_t n = strlen(end);
    if (len <= n || strcmp(path + len - n, end) != 0) return false;
    *split = len - n;
    return true;
}

static bool upload_id_valid(const char *id) {
    return strlen(id) == TARGET_UPLOAD_ID && strspn(id, "0123456789abcdef") == TARGET_UPLOAD_ID;
}

static void take_reference(const char *reference, target_t *out) {
    out->reference_ok = copy(out->reference, sizeof out->reference, reference, strlen(reference));
    out->is_digest = strchr(reference, ':') != NULL;
    if (!out->reference_ok) return;
    if (out->kind == TARGET_UPLOAD)
        out->reference_ok = upload_id_valid(out->reference);
    else if (out->kind == TARGET_MANIFEST && !out->is_digest)
        out->reference_ok = target_tag_valid(out->reference);
    else
        out->reference_ok = target_digest_valid(out->reference);
}

void target_parse(const char *path, target_t *out) {
    static const struct {
        const char *part;
        target_kind_t kind;
    } parts[] = {{"/manifests/", TARGET_MANIFEST},
                 {"/blobs/", TARGET_BLOB},
                 {"/referrers/", TARGET_REFERRERS},
                 {"/blobs/uploads/", TARGET_UPLOAD}};
    memset(out, 0, sizeof *out);
    if (strcmp(path, "/v2") == 0 || strcmp(path, "/v2/") == 0) out->kind = TARGET_ROOT;
    if (strcmp(path, "/v2/token") == 0) out->kind = TARGET_TOKEN;
    if (out->kind != TARGET_NONE || strncmp(path, "/v2/", 4) != 0) return;
    path += 4;
    size_t len = strlen(path), split = 0;
    if (ends_with(path, len, "/tags/list", &split)) {
        out->kind = TARGET_TAGS;
    } else if (ends_with(path, len, "/blobs/uploads/", &split) ||
               ends_with(path, len, "/blobs/uploads", &split)) {
        out->kind = TARGET_UPLOADS;
    } else {
        const char *reference = NULL, *at = NULL;
        for (size_t i = 0; i < sizeof parts / sizeof parts[0]; ++i) {
            const char *found = find_last(path, parts[i].part);
            if (!found || (at && found < at)) continue;
            at = found;
            reference = found + strlen(parts[i].part);
            out->kind = parts[i].kind;
        }
        if (!at) return;
        split = (size_t)(at - path);
        take_reference(reference, out);
    }
    out->name_ok = copy(out->name, sizeof out->name, path, split) && target_name_valid(out->name);
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

bool target_chunk(const char *header, uint64_t *from, uint64_t *to) {
    uint64_t size;
    if (strncmp(header, "bytes ", 6) == 0) header += 6;
    if (!number(&header, from) || *header++ != '-' || !number(&header, to) || *to < *from) return false;
    if (*header == '\0') return true;
    if (*header++ != '/') return false;
    return strcmp(header, "*") == 0 || (number(&header, &size) && !*header);
}

void target_escape(const char *text, char *out, size_t size) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";
    size_t len = 0;
    for (; *text && len + 4 < size; ++text)
        len +=
            (size_t)(strchr(plain, *text) ? snprintf(out + len, size - len, "%c", *text)
                                          : snprintf(out + len, size - len, "%%%02X", (unsigned char)*text));
    out[len] = '\0';
}
