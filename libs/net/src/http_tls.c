/* https:// through libcurl, which is opened at the first call: see http_client.h for the measurement behind
 * it. Only types and constants come from its header; the names below are resolved from the shared library by
 * hand. */
#include "http_engine.h"
#include <curl/curl.h>
#include <dlfcn.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>
#include "address_guard.h"

#undef curl_easy_setopt
#undef curl_easy_getinfo

static struct {
    void *library;
    CURL *(*easy_init)(void);
    void (*easy_cleanup)(CURL *curl);
    void (*easy_reset)(CURL *curl);
    CURLcode (*easy_setopt)(CURL *curl, CURLoption option, ...);
    CURLcode (*easy_perform)(CURL *curl);
    CURLcode (*easy_getinfo)(CURL *curl, CURLINFO info, ...);
    const char *(*easy_strerror)(CURLcode code);
    struct curl_slist *(*slist_append)(struct curl_slist *list, const char *text);
    void (*slist_free_all)(struct curl_slist *list);
} lib;
static pthread_once_t lib_once = PTHREAD_ONCE_INIT;

typedef struct transfer {
    const rdg_http_call_t *call;
    rdg_http_answer_t *answer;
    CURL *curl;
    rdg_err_t err; /* of the sink or the limit; stops the transfer */
    uint64_t body_bytes, max_body;
    const http_tls_t *how;
    bool refused;
    char why[CURL_ERROR_SIZE];
} transfer_t;

static bool resolve_all(void *library) {
    const struct {
        const char *name;
        void *slot;
    } names[] = {{"curl_easy_init", &lib.easy_init},          {"curl_easy_cleanup", &lib.easy_cleanup},
                 {"curl_easy_reset", &lib.easy_reset},        {"curl_easy_setopt", &lib.easy_setopt},
                 {"curl_easy_perform", &lib.easy_perform},    {"curl_easy_getinfo", &lib.easy_getinfo},
                 {"curl_easy_strerror", &lib.easy_strerror},  {"curl_slist_append", &lib.slist_append},
                 {"curl_slist_free_all", &lib.slist_free_all}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; ++i) {
        void *symbol = dlsym(library, names[i].name);
        if (!symbol) return false;
        /* POSIX guarantees that a function's address survives in a void *; C does not say so, hence the copy.
         */
        memcpy(names[i].slot, &symbol, sizeof symbol);
    }
    return true;
}

static void load(void) {
    void *library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
    CURLcode (*global_init)(long flags);
    if (!library || !resolve_all(library)) return;
    void *symbol = dlsym(library, "curl_global_init");
    if (!symbol) return;
    memcpy(&global_init, &symbol, sizeof symbol);
    if (global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK) lib.library = library;
}

static size_t on_header(char *data, size_t size, size_t count, void *ctx) {
    transfer_t *t = ctx;
    size_t len = size * count, end = len;
    while (end > 0 && (data[end - 1] == '\r' || data[end - 1] == '\n' || data[end - 1] == ' ')) --end;
    const char *colon = memchr(data, ':', end);
    if (!colon) return len;
    const char *value = colon + 1;
    while (value < data + end && (*value == ' ' || *value == '\t')) ++value;
    http_answer_header(t->answer, rdg_bytes(data, (size_t)(colon - data)),
                       rdg_bytes(value, (size_t)(data + end - value)));
    return len;
}

static size_t on_body(char *data, size_t size, size_t count, void *ctx) {
    transfer_t *t = ctx;
    size_t len = size * count;
    long status = 0;
    lib.easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
    t->answer->status = (unsigned)status;
    if (len > t->max_body - t->body_bytes)
        t->err = rdg_fail(RDG_E_TOO_LARGE, "the answer of %s is larger than the limit of %llu bytes",
                          t->call->url, (unsigned long long)t->max_body);
    else
        t->err = http_answer_body(t->call, t->answer, rdg_bytes(data, len));
    t->body_bytes += len;
    return t->err == RDG_OK ? len : 0;
}

static curl_socket_t on_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *a) {
    transfer_t *t = ctx;
    (void)purpose;
    t->refused = address_guarded(&a->addr, t->how->guard);
    return t->refused ? CURL_SOCKET_BAD : socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

static void set_body(CURL *curl, const rdg_http_call_t *call) {
    if (strcmp(call->method, "HEAD") == 0) {
        lib.easy_setopt(curl, CURLOPT_NOBODY, 1L);
        return;
    }
    if (call->body.len > 0 || call->method[0] == 'P') {
        lib.easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.len);
        lib.easy_setopt(curl, CURLOPT_POSTFIELDS, call->body.len > 0 ? (const char *)call->body.data : "");
    }
    lib.easy_setopt(curl, CURLOPT_CUSTOMREQUEST, call->method);
}

/* For a guarded client, and for one that has roots of its own. */
static void set_trust(transfer_t *t) {
    CURL *curl = t->curl;
    if (t->how->guard.level != GUARD_NONE) {
        lib.easy_setopt(curl, CURLOPT_PROXY, "");
        lib.easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, on_socket);
        lib.easy_setopt(curl, CURLOPT_OPENSOCKETDATA, t);
    }
    if (t->how->roots.len > 0) {
        struct curl_blob roots = {(void *)(uintptr_t)t->how->roots.data, t->how->roots.len, CURL_BLOB_COPY};
        lib.easy_setopt(curl, CURLOPT_CAINFO, NULL);
        lib.easy_setopt(curl, CURLOPT_CAPATH, NULL); /* else what is there is believed besides */
        lib.easy_setopt(curl, CURLOPT_CAINFO_BLOB, &roots);
    }
}

static rdg_err_t failure(transfer_t *t, CURLcode code) {
    const char *why = t->why[0] ? t->why : lib.easy_strerror(code);
    if (t->refused) return address_refuse(t->call->url, t->how->guard);
    if (code == CURLE_PEER_FAILED_VERIFICATION)
        return rdg_fail(RDG_E_FORBIDDEN, "%s: its certificate is not believed: %s", t->call->url, why);
    rdg_err_t err = code == CURLE_OPERATION_TIMEDOUT                                ? RDG_E_TIMEOUT
                    : code == CURLE_OUT_OF_MEMORY                                   ? RDG_E_NO_MEMORY
                    : code == CURLE_GOT_NOTHING || code == CURLE_WEIRD_SERVER_REPLY ? RDG_E_PROTOCOL
                    : code == CURLE_PARTIAL_FILE || code == CURLE_RECV_ERROR        ? RDG_E_CLOSED
                    : code == CURLE_SSL_CACERT_BADFILE                              ? RDG_E_INVALID
                                                                                    : RDG_E_UNAVAILABLE;
    return rdg_fail(err, "%s: %s", t->call->url, why);
}

static rdg_err_t perform(transfer_t *t, struct curl_slist *headers, uint64_t timeout_ms) {
    CURL *curl = t->curl;
    long status = 0;
    lib.easy_reset(curl);
    set_body(curl, t->call);
    lib.easy_setopt(curl, CURLOPT_URL, t->call->url);
    lib.easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https");
    lib.easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    lib.easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    lib.easy_setopt(curl, CURLOPT_USERAGENT, "ridge/" RIDGE_VERSION);
    lib.easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
    lib.easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
    lib.easy_setopt(curl, CURLOPT_HEADERDATA, t);
    lib.easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    lib.easy_setopt(curl, CURLOPT_WRITEDATA, t);
    lib.easy_setopt(curl, CURLOPT_ERRORBUFFER, t->why);
    set_trust(t);
    CURLcode code = lib.easy_perform(curl);
    lib.easy_setopt(curl, CURLOPT_ERRORBUFFER, NULL); /* the buffer ends with this call */
    lib.easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    t->answer->status = (unsigned)status;
    if (t->err != RDG_OK) return t->err;
    return code == CURLE_OK ? RDG_OK : failure(t, code);
}

rdg_err_t http_tls_call(http_tls_t *c, const rdg_http_call_t *call, uint64_t timeout_ms,
                        rdg_http_answer_t *out) {
    pthread_once(&lib_once, load);
    if (!lib.library)
        return rdg_fail(RDG_E_UNSUPPORTED, "%s: https:// needs libcurl.so.4: install libcurl4", call->url);
    if (!c->curl) c->curl = lib.easy_init();
    transfer_t t = {.call = call, .answer = out, .curl = c->curl, .how = c};
    t.max_body = call->max_body ? call->max_body : call->sink ? UINT64_MAX : out->body.max;
    struct curl_slist *headers = NULL;
    bool ok = c->curl != NULL;
    for (size_t i = 0; ok && i < call->header_count; ++i) {
        struct curl_slist *longer = lib.slist_append(headers, call->headers[i]);
        ok = longer != NULL;
        if (ok) headers = longer;
    }
    rdg_err_t err =
        ok ? perform(&t, headers, timeout_ms) : rdg_fail(RDG_E_NO_MEMORY, "no memory for a request");
    lib.slist_free_all(headers);
    return err;
}

void http_tls_close(http_tls_t *c) {
    if (c->curl) lib.easy_cleanup(c->curl);
    c->curl = NULL;
}
