#include "image_ref.h"
#include "ridge/container/container.h"
#include <stdio.h>
#include <string.h>

#define NAME_CHARS "abcdefghijklmnopqrstuvwxyz0123456789._-/"
#define TAG_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
#define HOST_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:[]"

bool image_digest_valid(const char *digest) {
    return strncmp(digest, "sha256:", 7) == 0 && strlen(digest) == 71 &&
           strspn(digest + 7, "0123456789abcdef") == 64;
}

static bool is_loopback(const char *host) {
    return strncmp(host, "127.", 4) == 0 || strcmp(host, "localhost") == 0 ||
           strncmp(host, "localhost:", 10) == 0 || strncmp(host, "[::1]", 5) == 0;
}

static bool name_valid(const char *name) {
    size_t len = strlen(name);
    return len > 0 && strspn(name, NAME_CHARS) == len && name[0] != '/' && name[len - 1] != '/' &&
           !strstr(name, "//") && !strstr(name, "..");
}

static rdg_err_t bad(const char *text) {
    return rdg_fail(RDG_E_INVALID, "'%.100s' is no image reference: want host[:port]/name[:tag][@sha256:…]",
                    text);
}

rdg_err_t image_ref_parse(const char *text, image_ref_t *out) {
    char host[256], rest[420];
    const char *whole = text, *scheme = NULL;
    memset(out, 0, sizeof *out);
    if (strncmp(text, "http://", 7) == 0) {
        scheme = "http";
        text += 7;
    } else if (strncmp(text, "https://", 8) == 0) {
        scheme = "https";
        text += 8;
    }
    const char *slash = strchr(text, '/');
    if (!slash || slash == text || (size_t)(slash - text) >= sizeof host || strlen(slash + 1) >= sizeof rest)
        return bad(whole);
    memcpy(host, text, (size_t)(slash - text));
    host[slash - text] = '\0';
    memcpy(rest, slash + 1, strlen(slash + 1) + 1);
    /* Without a dot, a port or "localhost" it would be Docker Hub's short form, which we do not guess at. */
    if (strspn(host, HOST_CHARS) != strlen(host) || (!strpbrk(host, ".:") && strcmp(host, "localhost") != 0))
        return bad(whole);
    out->cloud = strcmp(host, RDG_CONTAINER_CLOUD) == 0;
    snprintf(out->base, sizeof out->base, "%s://%s",
             out->cloud          ? "http"
             : scheme            ? scheme
             : is_loopback(host) ? "http"
                                 : "https",
             host);
    char *at = strchr(rest, '@'), *colon;
    if (at) *at = '\0';
    if ((colon = strrchr(rest, ':'))) *colon = '\0';
    const char *reference = at ? at + 1 : colon ? colon + 1 : "latest";
    out->by_digest = at != NULL;
    if (at ? !image_digest_valid(reference)
           : strspn(reference, TAG_CHARS) != strlen(reference) || !reference[0] || strlen(reference) > 128)
        return bad(whole);
    if (strlen(rest) >= sizeof out->name || !name_valid(rest)) return bad(whole);
    memcpy(out->name, rest, strlen(rest) + 1);
    memcpy(out->reference, reference, strlen(reference) + 1);
    return RDG_OK;
}
