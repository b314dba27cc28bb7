/* The upgrade of an HTTP request, RFC 6455, section 4.2. */
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include "ws_internal.h"

enum { KEY_CHARACTERS = 24 };

/* Is the word among the comma-separated ones of a header's value? */
static bool has_word(const char *value, const char *word) {
    size_t len = strlen(word);
    while (value && *value) {
        value += strspn(value, " \t,");
        size_t item = strcspn(value, " \t,");
        if (item == len && strncasecmp(value, word, len) == 0) return true;
        value += item;
    }
    return false;
}

bool rdg_ws_is_upgrade(const rdg_http_request_t *req) {
    return has_word(rdg_http_header(req, "Upgrade"), "websocket");
}

bool ws_accept_key(const char *key, char out[WS_ACCEPT_MAX]) {
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    char both[KEY_CHARACTERS + sizeof guid];
    unsigned char digest[EVP_MAX_MD_SIZE], raw[KEY_CHARACTERS];
    unsigned len = 0;
    if (!key || strlen(key) != KEY_CHARACTERS || strcmp(key + KEY_CHARACTERS - 2, "==") != 0) return false;
    if (EVP_DecodeBlock(raw, (const unsigned char *)key, KEY_CHARACTERS) < 0) return false;
    snprintf(both, sizeof both, "%s%s", key, guid);
    if (EVP_Digest(both, strlen(both), digest, &len, EVP_sha1(), NULL) != 1) return false;
    return EVP_EncodeBlock((unsigned char *)out, digest, (int)len) > 0;
}

static void refuse(rdg_http_response_t *res, unsigned status, rdg_err_t code, const char *why) {
    http_response_error(res, status, code, why);
    if (status == 426) {
        (void)rdg_http_set_header(res, "Sec-WebSocket-Version", "13");
        (void)rdg_http_set_header(res, "Upgrade", "websocket");
    }
    (void)rdg_http_set_header(res, "Connection", "close");
}

void rdg_ws_accept(const rdg_http_request_t *req, rdg_http_response_t *res) {
    const char *version = rdg_http_header(req, "Sec-WebSocket-Version");
    if (!req->hub) {
        refuse(res, 404, RDG_E_UNSUPPORTED, "this server speaks no WebSocket");
    } else if (rdg_http_header(req, "Origin")) {
        refuse(res, 403, RDG_E_FORBIDDEN, "pages of a browser are not served: the request has an Origin");
    } else if (strcmp(req->method, "GET") != 0 || !has_word(rdg_http_header(req, "Connection"), "upgrade") ||
               req->body.len > 0) {
        refuse(res, 400, RDG_E_INVALID, "no WebSocket handshake: want GET with Connection: Upgrade");
    } else if (!version || strcmp(version, "13") != 0) {
        refuse(res, 426, RDG_E_UNSUPPORTED, "want Sec-WebSocket-Version: 13");
    } else if (!ws_accept_key(rdg_http_header(req, "Sec-WebSocket-Key"), res->accept)) {
        refuse(res, 400, RDG_E_INVALID, "Sec-WebSocket-Key is not 16 bytes in base64");
    } else if (!ws_hub_reserve(req->hub)) {
        refuse(res, 503, RDG_E_FULL, "too many WebSocket connections: close one, or ask again later");
    } else {
        res->status = MHD_HTTP_SWITCHING_PROTOCOLS;
        res->upgrade = req->hub;
    }
}
