#include "upstream.h"
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include "ridge/codec/json.h"
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#define REDIRECTS_MAX 5
#define REST_MAX_S 60u
#define CREDENTIALS_MAX (256u << 10)
#define HUB "registry-1.docker.io"

/* --- what it is ------------------------------------------------------------------------------------------------ */

rdg_err_t upstream_init(upstream_t *u, const char *prefix, const char *url, const char *credentials,
                        const rdg_clock_t *clock) {
    memset(u, 0, sizeof *u);
    size_t scheme = strncmp(url, "https://", 8) == 0 ? 8 : strncmp(url, "http://", 7) == 0 ? 7 : 0;
    size_t len = strlen(url);
    while (len > scheme && url[len - 1] == '/') --len;
    if (!target_name_valid(prefix))
        return rdg_fail(RDG_E_INVALID,
                        "'%.80s' is no repository name: the prefix of a registry's copy has "
                        "lower-case letters, digits, . _ - and /",
                        prefix);
    if (scheme == 0 || len == scheme || len >= sizeof u->url || memchr(url + scheme, '/', len - scheme) ||
        memchr(url + scheme, '@', len - scheme))
        return rdg_fail(RDG_E_INVALID,
                        "'%.200s': want http(s)://host[:port] of a registry; its password "
                        "belongs into the file of credentials",
                        url);
    snprintf(u->prefix, sizeof u->prefix, "%s", prefix);
    snprintf(u->url, sizeof u->url, "%.*s", (int)len, url);
    u->credentials = credentials;
    u->clock = clock;
    pthread_mutex_init(&u->lock, NULL);
    return RDG_OK;
}

static void forget(upstream_token_t *t) {
    if (t->header) rdg_secure_zero(t->header, strlen(t->header));
    rdg_free(t->header);
    memset(t, 0, sizeof *t);
}

void upstream_fini(upstream_t *u) {
    for (size_t i = 0; i < UPSTREAM_TOKENS; ++i) forget(&u->tokens[i]);
    pthread_mutex_destroy(&u->lock);
}

static const char *host_of(const char *url) {
    return strstr(url, "://") + 3;
}

/* --- its moods --------------------------------------------------------------------------------------------------- */

static rdg_err_t check_rest(upstream_t *u) {
    pthread_mutex_lock(&u->lock);
    bool rests = rdg_wall_ms(u->clock) < u->rests_until_ms;
    rdg_err_t code = u->rest_code;
    pthread_mutex_unlock(&u->lock);
    return rests ? rdg_fail(code, "registry %s %s a moment ago: it is left alone for some seconds", u->url,
                            code == RDG_E_BUSY ? "wanted to be left alone" : "did not answer")
                 : RDG_OK;
}

static void let_rest(upstream_t *u, rdg_err_t code, uint64_t ms) {
    pthread_mutex_lock(&u->lock);
    u->rests_until_ms = rdg_wall_ms(u->clock) + ms;
    u->rest_code = code;
    pthread_mutex_unlock(&u->lock);
}

static rdg_err_t judge(upstream_t *u, const upstream_ask_t *ask, const rdg_http_answer_t *got) {
    unsigned s = got->status;
    if (s >= 200 && s <= 299) return RDG_OK;
    if (s == 404) return rdg_fail(RDG_E_NOT_FOUND, "registry %s has no %s/%s", u->url, ask->name, ask->path);
    if (s == 401 || s == 403)
        return rdg_fail(RDG_E_FORBIDDEN, "registry %s does not let us read %s: are the credentials right?",
                        u->url, ask->name);
    if (s == 429) {
        unsigned wait = got->retry_after_s ? got->retry_after_s : UPSTREAM_REST_MS / 1000;
        let_rest(u, RDG_E_BUSY, (uint64_t)(wait < REST_MAX_S ? wait : REST_MAX_S) * 1000);
        return rdg_fail(RDG_E_BUSY, "registry %s is asked too often (429)", u->url);
    }
    if (s >= 500) {
        let_rest(u, RDG_E_UNAVAILABLE, UPSTREAM_REST_MS);
        return rdg_fail(RDG_E_UNAVAILABLE, "registry %s answered HTTP status %u", u->url, s);
    }
    return rdg_fail(RDG_E_PROTOCOL, "registry %s answered HTTP status %u for %s/%s", u->url, s, ask->name,
                    ask->path);
}

/* --- credentials ------------------------------------------------------------------------------------------------- */

static const char *entry_for(const json_t *auths, const char *host) {
    static const char *const hub[] = {"docker.io", "index.docker.io", "https://index.docker.io/v1/"};
    const char *auth = json_string_value(json_object_get(json_object_get(auths, host), "auth"));
    for (size_t i = 0; !auth && strcmp(host, HUB) == 0 && i < sizeof hub / sizeof hub[0]; ++i)
        auth = json_string_value(json_object_get(json_object_get(auths, hub[i]), "auth"));
    return auth;
}

/* "Authorization: Basic …" into out, empty when the file has nothing for this registry. */
static rdg_err_t basic_header(const upstream_t *u, rdg_buf_t *out) {
    struct stat st;
    rdg_buf_t text;
    json_t *v = NULL;
    if (!u->credentials) return RDG_OK;
    if (stat(u->credentials, &st) == 0 && (st.st_mode & 077) != 0)
        return rdg_fail(RDG_E_FORBIDDEN, "%s can be read by others: chmod 600", u->credentials);
    rdg_buf_init(&text, CREDENTIALS_MAX);
    rdg_err_t err = rdg_file_read(u->credentials, &text);
    if (err == RDG_OK) err = rdg_json_parse(rdg_buf_view(&text), &v);
    const char *auth = err == RDG_OK ? entry_for(json_object_get(v, "auths"), host_of(u->url)) : NULL;
    if (auth &&
        strspn(auth, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=") == strlen(auth))
        rdg_buf_printf(out, "Authorization: Basic %s", auth);
    if (text.data) rdg_secure_zero(text.data, text.len);
    rdg_buf_fini(&text);
    json_decref(v);
    return rdg_fail_in(err, "the credentials for registry %s in %s", u->url, u->credentials);
}

/* --- tokens ------------------------------------------------------------------------------------------------------- */

static void keep_token(upstream_t *u, const char *scope, const char *header, uint64_t life_s) {
    char *copy = rdg_strdup(header);
    if (!copy) return;
    pthread_mutex_lock(&u->lock);
    upstream_token_t *t = NULL;
    for (size_t i = 0; i < UPSTREAM_TOKENS && !t; ++i)
        if (strcmp(u->tokens[i].scope, scope) == 0) t = &u->tokens[i];
    if (!t) t = &u->tokens[u->oldest++ % UPSTREAM_TOKENS];
    forget(t);
    snprintf(t->scope, sizeof t->scope, "%s", scope);
    t->header = copy;
    t->until_ms = rdg_wall_ms(u->clock) + life_s * 900; /* a tenth is left for the way */
    pthread_mutex_unlock(&u->lock);
}

/* Empty when there is none. */
static void find_token(upstream_t *u, const char *scope, rdg_buf_t *out) {
    pthread_mutex_lock(&u->lock);
    for (size_t i = 0; i < UPSTREAM_TOKENS; ++i)
        if (strcmp(u->tokens[i].scope, scope) == 0 && rdg_wall_ms(u->clock) < u->tokens[i].until_ms)
            rdg_buf_str(out, u->tokens[i].header);
    pthread_mutex_unlock(&u->lock);
}

/* After a 401. header becomes what to send. */
static rdg_err_t authenticate(upstream_t *u, rdg_http_client_t *http, const char *challenge,
                              const char *scope, rdg_buf_t *header) {
    char url[UPSTREAM_ADDRESS_MAX];
    rdg_http_answer_t got;
    uint64_t life_s = 0;
    rdg_buf_clear(header);
    RDG_TRY(basic_header(u, header));
    if (strncasecmp(challenge, "Basic", 5) == 0) {
        if (header->len > 0) keep_token(u, scope, rdg_buf_cstr(header), 3600);
        return RDG_OK;
    }
    if (strncasecmp(challenge, "Bearer ", 7) != 0) return RDG_OK;
    RDG_TRY(upstream_token_address(u->url, challenge, scope, url));
    const char *const headers[] = {header->len > 0 ? rdg_buf_cstr(header) : NULL};
    rdg_http_call_t call = {.method = "GET",
                            .url = url,
                            .headers = headers,
                            .header_count = header->len > 0,
                            .timeout_ms = UPSTREAM_ANSWER_MS,
                            .max_body = 64u << 10};
    RDG_TRY(rdg_fail_in(rdg_http_call(http, &call, &got), "the token of registry %s", u->url));
    rdg_err_t err =
        got.status == 200
            ? rdg_fail_in(upstream_token(rdg_buf_view(&got.body), header, &life_s),
                          "registry %s: the answer of its token service", u->url)
            : rdg_fail(got.status >= 500 || got.status == 429 ? RDG_E_UNAVAILABLE : RDG_E_FORBIDDEN,
                       "registry %s: its token service answered HTTP status %u", u->url, got.status);
    rdg_http_answer_fini(&got);
    if (err == RDG_OK) keep_token(u, scope, rdg_buf_cstr(header), life_s);
    return err;
}

/* --- calls --------------------------------------------------------------------------------------------------------- */

static bool same_origin(const upstream_t *u, const char *url) {
    size_t len = strlen(u->url);
    return strncmp(url, u->url, len) == 0 && (url[len] == '/' || url[len] == '?' || url[len] == '\0');
}

static bool is_redirect(unsigned status) {
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* auth: a whole header, or NULL. */
static rdg_err_t call_once(upstream_t *u, rdg_http_client_t *http, const upstream_ask_t *ask,
                           const char *auth, rdg_http_answer_t *out) {
    char url[UPSTREAM_ADDRESS_MAX], range[64];
    snprintf(url, sizeof url, "%s/v2/%s/%s", u->url, ask->name, ask->path);
    for (unsigned hop = 0;; ++hop) {
        const char *headers[3];
        size_t count = 0;
        if (ask->accept) headers[count++] = ask->accept;
        if (auth && same_origin(u, url)) headers[count++] = auth;
        if (ask->from > 0) {
            snprintf(range, sizeof range, "Range: bytes=%llu-", (unsigned long long)ask->from);
            headers[count++] = range;
        }
        rdg_http_call_t call = {.method = ask->method,
                                .url = url,
                                .headers = headers,
                                .header_count = count,
                                .timeout_ms = ask->timeout_ms ? ask->timeout_ms : UPSTREAM_ANSWER_MS,
                                .max_body = ask->max_body,
                                .sink = ask->sink,
                                .sink_ctx = ask->sink_ctx};
        RDG_TRY(rdg_http_call(http, &call, out));
        if (!is_redirect(out->status)) return RDG_OK;
        rdg_err_t err = hop < REDIRECTS_MAX
                            ? upstream_location(u->url, out->location, url)
                            : rdg_fail(RDG_E_PROTOCOL, "registry %s leads us on and on", u->url);
        rdg_http_answer_fini(out);
        RDG_TRY(err);
    }
}

rdg_err_t upstream_call(upstream_t *u, rdg_http_client_t *http, const upstream_ask_t *ask,
                        rdg_http_answer_t *out) {
    char scope[TARGET_NAME_MAX + 64];
    rdg_buf_t header;
    RDG_TRY(check_rest(u));
    snprintf(scope, sizeof scope, "repository:%s:pull", ask->name);
    rdg_buf_init(&header, UPSTREAM_TOKEN_MAX + 64);
    find_token(u, scope, &header);
    rdg_err_t err = call_once(u, http, ask, header.len > 0 ? rdg_buf_cstr(&header) : NULL, out);
    if (err == RDG_OK && out->status == 401) {
        char challenge[sizeof out->challenge];
        memcpy(challenge, out->challenge, sizeof challenge);
        rdg_http_answer_fini(out);
        err = authenticate(u, http, challenge, scope, &header);
        if (err == RDG_OK) err = call_once(u, http, ask, header.len > 0 ? rdg_buf_cstr(&header) : NULL, out);
    }
    if (header.data) rdg_secure_zero(header.data, header.len);
    rdg_buf_fini(&header);
    if (err == RDG_E_UNAVAILABLE || (err == RDG_E_TIMEOUT && !ask->sink)) {
        rdg_err_t kept = rdg_fail_in(err, "registry %s", u->url);
        let_rest(u, RDG_E_UNAVAILABLE, UPSTREAM_REST_MS);
        return kept;
    }
    RDG_TRY(rdg_fail_in(err, "registry %s", u->url));
    err = judge(u, ask, out);
    if (err != RDG_OK) rdg_http_answer_fini(out);
    return err;
}
