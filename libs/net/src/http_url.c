#include "http_url.h"
#include "ridge/base/config.h"
#include <string.h>
#include <strings.h>

static rdg_err_t bad_url(const char *url, const char *why) {
    return rdg_fail(RDG_E_INVALID, "no valid URL: \"%.200s\": %s", url, why);
}

static rdg_err_t parse_port(const char *url, const char *text, size_t len, uint16_t *port) {
    char digits[6];
    uint64_t value;
    if (len == 0 || len >= sizeof digits) return bad_url(url, "the port");
    memcpy(digits, text, len);
    digits[len] = '\0';
    if (rdg_parse_u64(digits, &value) != RDG_OK || value == 0 || value > 65535)
        return bad_url(url, "the port");
    *port = (uint16_t)value;
    return RDG_OK;
}

rdg_err_t http_url_parse(const char *url, http_url_t *out) {
    memset(out, 0, sizeof *out);
    if (!url || strlen(url) > HTTP_URL_MAX)
        return rdg_fail(RDG_E_INVALID, "a URL has 1 to %d bytes", HTTP_URL_MAX);
    for (const char *c = url; *c; ++c)
        if (*c <= ' ' || *c == 0x7f || *c == '#')
            return bad_url(url, "a space, '#' or other character to be encoded");
    if (strncasecmp(url, "http://", 7) == 0)
        out->authority = url + 7;
    else if (strncasecmp(url, "https://", 8) == 0)
        out->authority = url + 8, out->tls = true;
    else
        return bad_url(url, "it has to begin with http:// or https://");
    size_t len = strcspn(out->authority, "/?");
    out->authority_len = (int)len;
    out->target = out->authority + len;
    if (memchr(out->authority, '@', len))
        return bad_url(url, "user names and passwords do not belong into it");
    const char *host = out->authority, *end = host + len, *port;
    if (*host == '[') {
        ++host;
        port = memchr(host, ']', (size_t)(end - host));
        if (!port) return bad_url(url, "']' is missing");
        len = (size_t)(port - host);
        ++port;
    } else {
        port = memchr(host, ':', len);
        if (!port) port = end;
        len = (size_t)(port - host);
    }
    if (len == 0 || len >= sizeof out->host) return bad_url(url, "the host");
    memcpy(out->host, host, len);
    out->port = out->tls ? 443 : 80;
    if (port == end) return RDG_OK;
    if (*port != ':') return bad_url(url, "the port");
    out->has_port = true;
    return parse_port(url, port + 1, (size_t)(end - port - 1), &out->port);
}
