#include "upstream_answer.h"
#include <stdio.h>
#include <string.h>

#define TOKEN_LIFE_MIN_S 60u
#define TOKEN_LIFE_MAX_S 86400

bool upstream_parameter(const char *challenge, const char *name, char *out, size_t size) {
    size_t len = strlen(name), n = 0;
    for (const char *at = challenge; (at = strstr(at, name)); at += len) {
        bool begins = at > challenge && (at[-1] == ' ' || at[-1] == ',');
        if (!begins || at[len] != '=' || at[len + 1] != '"') continue;
        for (at += len + 2; *at && *at != '"'; ++at) {
            if (*at == '\\' && at[1]) ++at;
            if (n + 1 >= size) return false;
            out[n++] = *at;
        }
        out[n] = '\0';
        return *at == '"';
    }
    return false;
}

static bool plain(const char *text) {
    for (; *text; ++text)
        if ((unsigned char)*text <= ' ' || (unsigned char)*text >= 127) return false;
    return true;
}

/* Of a registry with TLS only what has TLS too. */
static bool may_follow(const char *registry, const char *url) {
    bool tls = strncmp(url, "https://", 8) == 0;
    if (!tls && (strncmp(url, "http://", 7) != 0 || strncmp(registry, "http://", 7) != 0)) return false;
    return plain(url);
}

rdg_err_t upstream_token_address(const char *registry, const char *challenge, const char *scope,
                                 char out[UPSTREAM_ADDRESS_MAX]) {
    char realm[400], service[200] = "", value[3 * 300 + 1];
    if (!upstream_parameter(challenge, "realm", realm, sizeof realm))
        return rdg_fail(RDG_E_PROTOCOL, "registry %s asks for a token and does not say where", registry);
    if (!may_follow(registry, realm))
        return rdg_fail(
            RDG_E_PROTOCOL,
            "registry %s sends us to '%.100s' for a token, which is no plain address, or has no TLS",
            registry, realm);
    int n = snprintf(out, UPSTREAM_ADDRESS_MAX, "%s%c", realm, strchr(realm, '?') ? '&' : '?');
    if (upstream_parameter(challenge, "service", service, sizeof service)) {
        target_escape(service, value, sizeof value);
        n += snprintf(out + n, UPSTREAM_ADDRESS_MAX - (size_t)n, "service=%s&", value);
    }
    target_escape(scope, value, sizeof value);
    snprintf(out + n, UPSTREAM_ADDRESS_MAX - (size_t)n, "scope=%s", value);
    return RDG_OK;
}

rdg_err_t upstream_token(rdg_bytes_t body, rdg_buf_t *header, uint64_t *life_s) {
    json_t *v = NULL;
    rdg_buf_clear(header);
    RDG_TRY(rdg_json_parse(body, &v));
    const char *token = json_string_value(json_object_get(v, "token"));
    if (!token) token = json_string_value(json_object_get(v, "access_token"));
    json_int_t life = json_integer_value(json_object_get(v, "expires_in"));
    *life_s = life > 0 && life < TOKEN_LIFE_MAX_S ? (uint64_t)life : TOKEN_LIFE_MIN_S;
    rdg_err_t err = RDG_OK;
    if (!token || !*token || strlen(token) > UPSTREAM_TOKEN_MAX || !plain(token))
        err = rdg_fail(RDG_E_PROTOCOL, "there is no token in it");
    if (err == RDG_OK) rdg_buf_printf(header, "Authorization: Bearer %s", token);
    json_decref(v);
    return err == RDG_OK ? rdg_buf_err(header) : err;
}

rdg_err_t upstream_location(const char *registry, const char *location, char out[UPSTREAM_ADDRESS_MAX]) {
    bool here = location[0] == '/' && location[1] != '/';
    int n = snprintf(out, UPSTREAM_ADDRESS_MAX, "%s%s", here ? registry : "", location);
    return n > 0 && n < UPSTREAM_ADDRESS_MAX && may_follow(registry, out)
               ? RDG_OK
               : rdg_fail(RDG_E_PROTOCOL, "registry %s leads us on to '%.100s'", registry, location);
}

static bool says_next(const char *at, const char *end) {
    static const char *const forms[] = {"rel=\"next\"", "rel=next"};
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; ++i) {
        size_t len = strlen(forms[i]);
        for (const char *p = at; p + len <= end; ++p)
            if (strncmp(p, forms[i], len) == 0) return true;
    }
    return false;
}

/* The part of "<uri>" that is below this repository, or NULL. */
static const char *below(const char *registry, const char *name, const char *uri, const char *end) {
    size_t len = strlen(registry), name_len = strlen(name);
    if ((size_t)(end - uri) > len && strncmp(uri, registry, len) == 0) uri += len;
    if (end - uri < 5 || strncmp(uri, "/v2/", 4) != 0) return NULL;
    uri += 4;
    bool ours = (size_t)(end - uri) > name_len && strncmp(uri, name, name_len) == 0 && uri[name_len] == '/';
    return ours ? uri + name_len + 1 : NULL;
}

bool upstream_next(const char *registry, const char *name, const char *link, char out[UPSTREAM_ADDRESS_MAX]) {
    out[0] = '\0';
    for (const char *at = link; (at = strchr(at, '<'));) {
        const char *close = strchr(at, '>');
        if (!close) return false;
        const char *more = strchr(close, '<'), *end = more ? more : close + strlen(close);
        if (says_next(close, end)) {
            const char *path = below(registry, name, at + 1, close);
            if (path && close - path < UPSTREAM_ADDRESS_MAX) {
                snprintf(out, UPSTREAM_ADDRESS_MAX, "%.*s", (int)(close - path), path);
                if (!plain(out)) out[0] = '\0';
            }
            return true;
        }
        at = end;
    }
    return false;
}

/* --- lists ------------------------------------------------------------------------------------------------------- */

static bool has_text(const json_t *list, const char *text) {
    const json_t *one;
    size_t i;
    json_array_foreach(list, i, one) {
        if (strcmp(json_string_value(one), text) == 0) return true;
    }
    return false;
}

rdg_err_t upstream_tags(rdg_bytes_t body, const char *last, uint64_t max, json_t **out) {
    json_t *answer = NULL, *tag;
    const char *greatest = "";
    size_t i;
    RDG_TRY(rdg_json_parse(body, &answer));
    *out = json_array();
    json_array_foreach(json_object_get(answer, "tags"), i, tag) {
        const char *text = json_string_value(tag);
        if (json_array_size(*out) >= max) break;
        if (!text || !target_tag_valid(text) || (last && strcmp(text, last) <= 0)) continue;
        /* Whoever sends them in order sends none twice; else each is looked for. */
        if (strcmp(text, greatest) <= 0 && has_text(*out, text)) continue;
        if (strcmp(text, greatest) > 0) greatest = text;
        json_array_append(*out, tag);
    }
    json_decref(answer);
    return *out ? RDG_OK : rdg_fail(RDG_E_NO_MEMORY, "no memory for a list");
}

static bool listed(const json_t *list, const char *digest) {
    const json_t *d;
    size_t i;
    json_array_foreach(list, i, d) {
        const char *other = json_string_value(json_object_get(d, "digest"));
        if (other && strcmp(other, digest) == 0) return true;
    }
    return false;
}

rdg_err_t upstream_referrers(rdg_bytes_t body, const char *type, json_t *list) {
    json_t *index = NULL, *d;
    size_t i;
    RDG_TRY(rdg_json_parse(body, &index));
    json_array_foreach(json_object_get(index, "manifests"), i, d) {
        const char *digest = json_string_value(json_object_get(d, "digest"));
        const char *kind = json_string_value(json_object_get(d, "artifactType"));
        if (json_array_size(list) >= UPSTREAM_REFERRERS_MAX) break;
        if (!digest || !target_digest_valid(digest) || (type && (!kind || strcmp(kind, type) != 0)) ||
            listed(list, digest))
            continue;
        json_array_append(list, d);
    }
    json_decref(index);
    return RDG_OK;
}
