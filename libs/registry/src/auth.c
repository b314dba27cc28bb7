#include "internal.h"
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include "ridge/base/random.h"
#include "ridge/codec/base64.h"
#include "ridge/codec/hex.h"
#include "ridge/crypto/hmac.h"
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* A token of ours: hex of {"n":caller,"e":seconds,"a":[[repository, rights]…]}, a dot, hex of its HMAC-SM3. It says what
 * its bearer may do at most; the guard is still asked each time, so what it takes back is gone at once. */

#define SCOPES_MAX 16
#define TOKEN_MAX 16384
#define PASSWORD_MAX 1024

rdg_err_t auth_open(rdg_registry_t *r) {
    char path[STORE_PATH_MAX];
    rdg_buf_t key;
    RDG_TRY(rdg_path_join(path, sizeof path, r->store.dir, "token.key"));
    rdg_buf_init(&key, TOKEN_KEY_BYTES);
    rdg_err_t err = rdg_file_read(path, &key);
    if (err == RDG_OK && key.len == TOKEN_KEY_BYTES) {
        memcpy(r->token_key, key.data, TOKEN_KEY_BYTES);
    } else {
        /* Tokens live for minutes: a damaged key costs no more than being asked again. */
        rdg_random_fill(rdg_random_system(), r->token_key, TOKEN_KEY_BYTES);
        err = rdg_file_replace(path, rdg_bytes(r->token_key, TOKEN_KEY_BYTES), 0600);
    }
    if (key.data) rdg_secure_zero(key.data, key.len);
    rdg_buf_fini(&key);
    return err;
}

static void mac(const rdg_registry_t *r, const char *payload, size_t len, char out[65]) {
    uint8_t sum[RDG_HMAC_SM3_BYTES];
    const rdg_bytes_t part = rdg_bytes(payload, len);
    rdg_hmac_sm3(sum, rdg_bytes(r->token_key, TOKEN_KEY_BYTES), &part, 1);
    rdg_hex_encode(sum, sizeof sum, out);
}

/* --- making tokens ------------------------------------------------------------------------------------------- */

static unsigned right_of(const char *word, size_t len) {
    static const struct {
        const char *word;
        unsigned right;
    } words[] = {{"pull", RDG_REGISTRY_PULL},
                 {"push", RDG_REGISTRY_PUSH},
                 {"delete", RDG_REGISTRY_DELETE},
                 {"*", RDG_REGISTRY_PULL | RDG_REGISTRY_PUSH | RDG_REGISTRY_DELETE}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; ++i)
        if (strlen(words[i].word) == len && memcmp(words[i].word, word, len) == 0) return words[i].right;
    return 0;
}

static unsigned rights_of(const rdg_registry_t *r, const rdg_registry_caller_t *caller, const char *repo) {
    unsigned all = RDG_REGISTRY_PULL | RDG_REGISTRY_PUSH | RDG_REGISTRY_DELETE;
    return r->guarded ? r->guard.rights(r->guard.ctx, caller, repo) : all;
}

/* "repository:NAME:pull,push"; what is no such scope, or asks for too much, grants less, and is no error. */
static void grant(const rdg_registry_t *r, const rdg_registry_caller_t *caller, const char *scope, size_t len,
                  json_t *access) {
    static const char kind[] = "repository:";
    char name[TARGET_NAME_MAX + 1];
    if (len <= sizeof kind - 1 || memcmp(scope, kind, sizeof kind - 1) != 0) return;
    scope += sizeof kind - 1;
    len -= sizeof kind - 1;
    const char *colon = memchr(scope, ':', len);
    if (!colon || (size_t)(colon - scope) >= sizeof name) return;
    memcpy(name, scope, (size_t)(colon - scope));
    name[colon - scope] = '\0';
    if (!target_name_valid(name)) return;
    unsigned wanted = 0;
    const char *end = scope + len;
    for (const char *word = colon + 1; word < end;) {
        const char *comma = memchr(word, ',', (size_t)(end - word));
        size_t word_len = (size_t)((comma ? comma : end) - word);
        wanted |= right_of(word, word_len);
        word += word_len + 1;
    }
    wanted &= rights_of(r, caller, name);
    if (json_array_size(access) < SCOPES_MAX)
        json_array_append_new(access, json_pack("[s, i]", name, (int)wanted));
}

/* Several scopes come as several parameters or with spaces between. */
static json_t *grant_all(visit_t *v, const rdg_registry_caller_t *caller) {
    json_t *access = json_array();
    const char *scope;
    for (size_t i = 0; i < SCOPES_MAX && (scope = rdg_http_query_at(v->req, "scope", i)); ++i)
        while (*scope) {
            size_t len = strcspn(scope, " ");
            grant(v->registry, caller, scope, len, access);
            scope += len;
            while (*scope == ' ') ++scope;
        }
    return access;
}

static rdg_err_t make_token(const rdg_registry_t *r, const char *name, json_t *access, uint64_t now_s,
                            rdg_buf_t *out) {
    char sum[65];
    json_t *payload =
        json_pack("{s:s, s:I, s:O}", "n", name, "e", (json_int_t)(now_s + RDG_REGISTRY_TOKEN_S), "a", access);
    char *text = payload ? rdg_json_text(payload) : NULL;
    json_decref(payload);
    if (!text) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a token");
    mac(r, text, strlen(text), sum);
    rdg_hex_append(out, text, strlen(text), false);
    rdg_err_t err = rdg_buf_printf(out, ".%s", sum);
    rdg_free(text);
    return err;
}

/* --- who asks -------------------------------------------------------------------------------------------------- */

static rdg_err_t no_login(void) {
    return rdg_fail(RDG_E_UNAUTHENTICATED,
                    "log in with a user's name and access token (skopeo login, podman login)");
}

static rdg_err_t basic(const rdg_registry_t *r, const char *text, rdg_registry_caller_t *out) {
    uint8_t both[PASSWORD_MAX];
    size_t len;
    rdg_err_t err = no_login();
    if (rdg_base64_decode(rdg_bytes_str(text), both, sizeof both - 1, &len) == RDG_OK) {
        both[len] = '\0';
        char *user = (char *)both, *colon = strchr(user, ':');
        if (colon && strlen(user) == len) {
            *colon = '\0';
            err = r->guard.login(r->guard.ctx, user, colon + 1, out);
        }
    }
    rdg_secure_zero(both, sizeof both);
    return err;
}

typedef struct token {
    rdg_registry_caller_t caller;
    json_t *access; /* owned */
} token_t;

static rdg_err_t open_token(const rdg_registry_t *r, const char *text, token_t *out) {
    char sum[65];
    rdg_buf_t payload;
    json_t *v = NULL;
    const char *dot = strchr(text, '.'), *name = NULL;
    uint64_t until = 0;
    if (!dot || strlen(dot + 1) != 64 || strlen(text) > TOKEN_MAX) return no_login();
    rdg_buf_init(&payload, TOKEN_MAX);
    rdg_err_t err = rdg_hex_decode_buf(text, (size_t)(dot - text), &payload);
    if (err == RDG_OK) mac(r, (const char *)payload.data, payload.len, sum);
    if (err != RDG_OK || !rdg_ct_equal(sum, dot + 1, 64)) err = no_login();
    if (err == RDG_OK) err = rdg_json_parse(rdg_buf_view(&payload), &v);
    if (err == RDG_OK) err = rdg_json_get_str(v, "n", &name);
    if (err == RDG_OK) err = rdg_json_get_u64(v, "e", &until);
    if (err == RDG_OK) snprintf(out->caller.name, sizeof out->caller.name, "%s", name);
    if (err == RDG_OK && until * 1000 < store_now(&r->store))
        err = rdg_fail(RDG_E_UNAUTHENTICATED, "the token has expired: ask for another");
    if (err == RDG_OK) out->access = json_incref(json_object_get(v, "a"));
    json_decref(v);
    rdg_buf_fini(&payload);
    return err;
}

static unsigned token_rights(const json_t *access, const char *repo) {
    unsigned rights = 0;
    const json_t *entry;
    size_t i;
    json_array_foreach(access, i, entry) {
        const char *name = json_string_value(json_array_get(entry, 0));
        if (name && strcmp(name, repo) == 0) rights |= (unsigned)json_integer_value(json_array_get(entry, 1));
    }
    return rights;
}

/* --- admission -------------------------------------------------------------------------------------------------- */

static const char *wanted_words(unsigned wanted) {
    if (wanted & RDG_REGISTRY_DELETE) return "pull,push,delete";
    return wanted & RDG_REGISTRY_PUSH ? "pull,push" : "pull";
}

/* The Host header comes back in ours: only what a host name is made of. */
static void realm(const visit_t *v, char *out, size_t size) {
    const char *host = rdg_http_header(v->req, "Host");
    static const char chars[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:[]";
    if (v->registry->public_url[0])
        snprintf(out, size, "%s/v2/token", v->registry->public_url);
    else if (host && *host && strlen(host) < 256 && strspn(host, chars) == strlen(host))
        snprintf(out, size, "http://%s/v2/token", host);
    else
        snprintf(out, size, "http://localhost/v2/token");
}

static void challenge(visit_t *v, unsigned wanted, const char *error, const char *message) {
    char url[400], text[1024], scope[TARGET_NAME_MAX + 64] = "";
    realm(v, url, sizeof url);
    if (v->target.name_ok)
        snprintf(scope, sizeof scope, ",scope=\"repository:%s:%s\"", v->target.name, wanted_words(wanted));
    snprintf(text, sizeof text, "Bearer realm=\"%s\",service=\"ridge\"%s%s", url, scope, error);
    (void)rdg_http_set_header(v->res, "WWW-Authenticate", text);
    rdg_metric_add(v->registry->m_refused, 1);
    answer_error(v->res, 401, "UNAUTHORIZED", message);
}

static unsigned wanted_of(const visit_t *v) {
    const char *method = rdg_http_method(v->req);
    if (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0)
        return v->target.kind == TARGET_UPLOAD ? RDG_REGISTRY_PUSH : RDG_REGISTRY_PULL;
    return strcmp(method, "DELETE") == 0 && v->target.kind != TARGET_UPLOAD ? RDG_REGISTRY_DELETE
                                                                            : RDG_REGISTRY_PUSH;
}

static rdg_err_t identify(visit_t *v, token_t *token) {
    const rdg_registry_t *r = v->registry;
    const char *header = rdg_http_header(v->req, "Authorization");
    if (r->guard.peer && r->guard.peer(r->guard.ctx, v->req, &token->caller)) return RDG_OK;
    if (header && strncasecmp(header, "Basic ", 6) == 0) return basic(r, header + 6, &token->caller);
    if (!header || strncasecmp(header, "Bearer ", 7) != 0) return no_login();
    if (strchr(header + 7, '.')) return open_token(r, header + 7, token);
    return r->guard.login(r->guard.ctx, NULL, header + 7, &token->caller);
}

/* err: what the credentials are worth, if there are any. */
static rdg_err_t judge(const visit_t *v, const rdg_registry_caller_t *caller, rdg_err_t err) {
    const rdg_registry_guard_t *g = &v->registry->guard;
    if (!g->judge || caller->device || !rdg_http_header(v->req, "Authorization")) return err;
    if (err != RDG_OK && caller->name[0]) return err;
    rdg_err_t barred = g->judge(g->ctx, v->req, err == RDG_OK ? caller->name : NULL);
    return barred == RDG_OK ? err : barred;
}

static void refuse_guesser(visit_t *v) {
    rdg_metric_add(v->registry->m_refused, 1);
    answer_error(v->res, 429, "TOOMANYREQUESTS", rdg_err_message(RDG_E_BUSY));
}

bool auth_admit(visit_t *v) {
    token_t token = {0};
    unsigned wanted = wanted_of(v);
    if (!v->registry->guarded) {
        snprintf(v->caller.name, sizeof v->caller.name, "anybody");
        v->granted = RDG_REGISTRY_PULL | RDG_REGISTRY_PUSH | RDG_REGISTRY_DELETE;
        return true;
    }
    rdg_err_t err = judge(v, &token.caller, identify(v, &token));
    if (err != RDG_OK) {
        json_decref(token.access);
        if (err == RDG_E_BUSY)
            refuse_guesser(v);
        else
            challenge(v, wanted, "", rdg_err_message(err));
        return false;
    }
    v->caller = token.caller;
    unsigned allowed =
        v->target.name_ok ? rights_of(v->registry, &v->caller, v->target.name) : RDG_REGISTRY_PULL;
    v->granted = allowed;
    if (token.access && v->target.name_ok) v->granted &= token_rights(token.access, v->target.name);
    v->access = token.access;
    if (v->target.kind == TARGET_ROOT || (v->granted & wanted) == wanted) return true;
    if ((allowed & wanted) == wanted) {
        challenge(v, wanted, ",error=\"insufficient_scope\"",
                  "the token was not made for this: ask for another");
        return false;
    }
    rdg_metric_add(v->registry->m_refused, 1);
    rdg_log(RDG_LOG_WARN, "registry.denied", RDG_STR("caller", v->caller.name),
            RDG_STR("method", rdg_http_method(v->req)), RDG_STR("repository", v->target.name));
    answer_error(v->res, 403, "DENIED",
                 v->caller.device ? "a device may pull the images that it was given, no more"
                                  : "this user may not do that in this repository");
    return false;
}

bool auth_may_pull(visit_t *v, const char *repo) {
    if (v->access && !(token_rights(v->access, repo) & RDG_REGISTRY_PULL)) return false;
    return (rights_of(v->registry, &v->caller, repo) & RDG_REGISTRY_PULL) != 0;
}

void auth_serve_token(visit_t *v) {
    rdg_registry_t *r = v->registry;
    const char *header = rdg_http_header(v->req, "Authorization");
    rdg_registry_caller_t caller = {.name = ""};
    rdg_err_t err = RDG_OK;
    char issued[25];
    uint64_t now = store_now(&r->store);
    if (!r->guarded)
        snprintf(caller.name, sizeof caller.name, "anybody");
    else if (header && strncasecmp(header, "Basic ", 6) == 0)
        err = judge(v, &caller, basic(r, header + 6, &caller));
    else
        err = no_login();
    if (err == RDG_E_BUSY) {
        refuse_guesser(v);
        return;
    }
    if (err != RDG_OK) {
        (void)rdg_http_set_header(v->res, "WWW-Authenticate", "Basic realm=\"ridge\"");
        rdg_metric_add(r->m_refused, 1);
        answer_error(v->res, 401, "UNAUTHORIZED", rdg_err_message(err));
        return;
    }
    json_t *access = grant_all(v, &caller);
    rdg_buf_t token;
    rdg_buf_init(&token, TOKEN_MAX);
    err = make_token(r, caller.name, access, now / 1000, &token);
    json_decref(access);
    rdg_time_format(now, issued);
    (void)rdg_http_set_header(v->res, "Cache-Control", "no-store");
    if (err == RDG_OK)
        answer_json(v->res, 200, "application/json",
                    json_pack("{s:s, s:s, s:i, s:s}", "token", rdg_buf_cstr(&token), "access_token",
                              rdg_buf_cstr(&token), "expires_in", RDG_REGISTRY_TOKEN_S, "issued_at", issued));
    else
        answer_failure(v->res, err, "UNKNOWN", "UNKNOWN");
    rdg_buf_fini(&token);
}
