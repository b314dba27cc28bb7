#include "s3.h"
#include "ridge/base/alloc.h"
#include "ridge/base/log.h"
#include "ridge/codec/hex.h"
#include "ridge/crypto/hash.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PART_BYTES (8u << 20) /* S3 takes parts of 5 MiB to 5 GiB, 10,000 of them */
#define PARTS_MAX 10000
#define FIRST_PAUSE_MS 200
#define CREDENTIAL "object-store"

/* --- which ----------------------------------------------------------------------------------------------------- */

static rdg_err_t unusable(const char *url) {
    return rdg_fail(RDG_E_INVALID,
                    "'%.200s' names no object store: want s3+https://host[:port]/bucket[/prefix]", url);
}

static bool take(char *out, size_t size, const char *from, size_t len, const char *chars) {
    if (len == 0 || len >= size) return false;
    memcpy(out, from, len);
    out[len] = '\0';
    return strspn(out, chars) == len;
}

static rdg_err_t credentials_path(s3_t *s, const char *path) {
    const char *dir = getenv("CREDENTIALS_DIRECTORY");
    int n = path  ? snprintf(s->credentials, sizeof s->credentials, "%s", path)
            : dir ? snprintf(s->credentials, sizeof s->credentials, "%s/" CREDENTIAL, dir)
                  : 0;
    if (n > 0 && n < (int)sizeof s->credentials) return RDG_OK;
    return rdg_fail(RDG_E_INVALID,
                    "the object store needs a file with its credentials, or the systemd credential "
                    "'" CREDENTIAL "'");
}

rdg_err_t s3_init(s3_t *s, const char *url, const char *credentials, const rdg_clock_t *clock) {
    static const char names[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
    static const char hosts[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:[]";
    memset(s, 0, sizeof *s);
    bool tls = strncmp(url, "s3+https://", 11) == 0;
    if (!tls && strncmp(url, "s3+http://", 10) != 0) return unusable(url);
    const char *host = strstr(url, "://") + 3, *slash = strchr(host, '/');
    const char *query = strchr(host, '?'), *end = query ? query : host + strlen(host);
    if (!slash || slash > end || !take(s->host, sizeof s->host, host, (size_t)(slash - host), hosts))
        return unusable(url);
    size_t len = strlen(s->host), drop = strlen(tls ? ":443" : ":80");
    if (len > drop && strcmp(s->host + len - drop, tls ? ":443" : ":80") == 0) s->host[len - drop] = '\0';
    snprintf(s->base, sizeof s->base, "%s%s", tls ? "https://" : "http://", s->host);
    const char *bucket = slash + 1, *prefix = memchr(bucket, '/', (size_t)(end - bucket));
    const char *bucket_end = prefix ? prefix : end;
    if (!take(s->bucket, sizeof s->bucket, bucket, (size_t)(bucket_end - bucket), names))
        return unusable(url);
    while (prefix && end > prefix && end[-1] == '/') --end;
    if (prefix && end > prefix + 1 &&
        !take(s->prefix, sizeof s->prefix, prefix + 1, (size_t)(end - prefix) - 1, S3_PLAIN))
        return unusable(url);
    snprintf(s->region, sizeof s->region, "us-east-1");
    if (query && (strncmp(query, "?region=", 8) != 0 ||
                  !take(s->region, sizeof s->region, query + 8, strlen(query + 8), names)))
        return unusable(url);
    s->clock = clock;
    return credentials_path(s, credentials);
}

/* --- one request ------------------------------------------------------------------------------------------------- */

void s3_escape(const char *text, char *out, size_t size) {
    size_t len = 0;
    for (; *text && len + 4 < size; ++text)
        len += (size_t)(*text != '/' && strchr(S3_PLAIN, *text)
                            ? snprintf(out + len, size - len, "%c", *text)
                            : snprintf(out + len, size - len, "%%%02X", (unsigned char)*text));
    out[len] = '\0';
}

/* The text of the first element of this name in a small XML answer. */
static bool element(const rdg_buf_t *xml, const char *name, char *out, size_t size) {
    char open[40], close[40];
    int n = snprintf(open, sizeof open, "<%s>", name);
    int m = snprintf(close, sizeof close, "</%s>", name);
    const uint8_t *at = xml->len ? memmem(xml->data, xml->len, open, (size_t)n) : NULL;
    if (!at) return false;
    at += n;
    size_t left = xml->len - (size_t)(at - xml->data);
    const uint8_t *end = memmem(at, left, close, (size_t)m);
    if (!end || (size_t)(end - at) >= size) return false;
    memcpy(out, at, (size_t)(end - at));
    out[end - at] = '\0';
    return true;
}

static rdg_err_t judge(const s3_t *s, const s3_call_t *c, const rdg_http_answer_t *got) {
    char code[80] = "";
    unsigned status = got->status;
    if (status >= 200 && status <= 299) return RDG_OK;
    (void)element(&got->body, "Code", code, sizeof code);
    for (char *at = code; *at; ++at)
        if (*at < 0x20 || *at > 0x7e) *at = '?';
    rdg_err_t err = status == 404                    ? RDG_E_NOT_FOUND
                    : status == 401 || status == 403 ? RDG_E_FORBIDDEN
                    : status == 429 || status >= 500 ? RDG_E_UNAVAILABLE
                                                     : RDG_E_PROTOCOL;
    return rdg_fail(err, "object store %s/%s answered HTTP status %u%s%s to %s %s", s->base, s->bucket,
                    status, code[0] ? " " : "", code, c->method, c->key);
}

static rdg_err_t send_once(const s3_t *s, rdg_http_client_t *http, const s3_call_t *c,
                           rdg_http_answer_t *out) {
    char url[1900], path[600], payload[65], auth[700], date[17], date_header[64], hash_header[100], range[80];
    uint8_t digest[32];
    s3_keys_t keys;
    struct tm tm;
    time_t now = (time_t)(rdg_wall_ms(s->clock) / 1000);
    RDG_TRY(s3_keys(s->credentials, &keys));
    strftime(date, sizeof date, "%Y%m%dT%H%M%SZ", gmtime_r(&now, &tm));
    rdg_sha256(c->body.data, c->body.len, digest);
    rdg_hex_encode(digest, sizeof digest, payload);
    snprintf(path, sizeof path, "/%s/%s%s%s", s->bucket, s->prefix, s->prefix[0] ? "/" : "", c->key);
    rdg_err_t err = s3_sign(&keys, s->region, date, c->method, s->host, path, c->query, payload, auth);
    rdg_secure_zero(&keys, sizeof keys);
    RDG_TRY(err);
    snprintf(url, sizeof url, "%s%s%s%s", s->base, path, c->query ? "?" : "", c->query ? c->query : "");
    snprintf(date_header, sizeof date_header, "x-amz-date: %s", date);
    snprintf(hash_header, sizeof hash_header, "x-amz-content-sha256: %s", payload);
    const char *headers[4] = {auth, date_header, hash_header};
    size_t count = 3;
    if (c->len > 0) {
        snprintf(range, sizeof range, "Range: bytes=%llu-%llu", (unsigned long long)c->from,
                 (unsigned long long)(c->from + c->len - 1));
        headers[count++] = range;
    }
    rdg_http_call_t call = {.method = c->method,
                            .url = url,
                            .headers = headers,
                            .header_count = count,
                            .body = c->body,
                            .timeout_ms = S3_CALL_MS,
                            .max_body = c->sink ? 0 : S3_ANSWER_MAX,
                            .sink = c->sink,
                            .sink_ctx = c->sink_ctx};
    RDG_TRY(rdg_http_call(http, &call, out));
    err = judge(s, c, out);
    if (err != RDG_OK) rdg_http_answer_fini(out);
    return err;
}

static bool may_pass(rdg_err_t err) {
    return err == RDG_E_UNAVAILABLE || err == RDG_E_TIMEOUT || err == RDG_E_CLOSED;
}

static void pause_before(unsigned attempt, rdg_err_t why) {
    long ms = FIRST_PAUSE_MS;
    for (unsigned i = 1; i < attempt; ++i) ms *= 3;
    rdg_log(RDG_LOG_WARN, "collect.object_store_retry", RDG_U64("attempt", attempt),
            RDG_STR("why", rdg_err_message(why)));
    (void)poll(NULL, 0, (int)ms);
}

rdg_err_t s3_send(const s3_t *s, rdg_http_client_t *http, const s3_call_t *call, rdg_http_answer_t *out) {
    for (unsigned attempt = 1;; ++attempt) {
        rdg_err_t err = send_once(s, http, call, out);
        if (!may_pass(err) || call->sink || attempt == S3_TRIES) return err;
        pause_before(attempt, err);
    }
}

static rdg_err_t send_simply(const s3_t *s, rdg_http_client_t *http, const s3_call_t *call) {
    rdg_http_answer_t got;
    RDG_TRY(s3_send(s, http, call, &got));
    rdg_http_answer_fini(&got);
    return RDG_OK;
}

/* --- objects ------------------------------------------------------------------------------------------------------- */

rdg_err_t s3_size(const s3_t *s, rdg_http_client_t *http, const char *key, uint64_t *out) {
    rdg_http_answer_t got;
    RDG_TRY(s3_send(s, http, &(s3_call_t){.method = "HEAD", .key = key}, &got));
    *out = got.length;
    rdg_http_answer_fini(&got);
    return *out != UINT64_MAX
               ? RDG_OK
               : rdg_fail(RDG_E_PROTOCOL, "object store %s does not say how long %s is", s->base, key);
}

rdg_err_t s3_delete(const s3_t *s, rdg_http_client_t *http, const char *key) {
    rdg_err_t err = send_simply(s, http, &(s3_call_t){.method = "DELETE", .key = key});
    return err == RDG_E_NOT_FOUND ? RDG_OK : err;
}

typedef struct getting {
    rdg_err_t (*sink)(void *ctx, rdg_bytes_t chunk);
    void *ctx;
    const rdg_http_answer_t *answer;
    uint64_t done, len;
} getting_t;

static rdg_err_t count(void *ctx, rdg_bytes_t chunk) {
    getting_t *g = ctx;
    if (g->answer->status != 206) return rdg_fail(RDG_E_PROTOCOL, "the object store does not know ranges");
    if (chunk.len > g->len - g->done)
        return rdg_fail(RDG_E_PROTOCOL, "the object store sent more than it was asked for");
    g->done += chunk.len;
    return g->sink(g->ctx, chunk);
}

rdg_err_t s3_get(const s3_t *s, rdg_http_client_t *http, const char *key, uint64_t from, uint64_t len,
                 rdg_err_t (*sink)(void *ctx, rdg_bytes_t chunk), void *sink_ctx) {
    rdg_http_answer_t got;
    getting_t g = {sink, sink_ctx, &got, 0, len};
    for (unsigned attempt = 1; g.done < len; ++attempt) {
        uint64_t before = g.done;
        rdg_err_t err = s3_send(s, http,
                                &(s3_call_t){.method = "GET",
                                             .key = key,
                                             .from = from + g.done,
                                             .len = len - g.done,
                                             .sink = count,
                                             .sink_ctx = &g},
                                &got);
        if (err == RDG_OK) {
            rdg_http_answer_fini(&got);
            if (g.done < len)
                err = rdg_fail(RDG_E_CLOSED, "object store %s sent less of %s than it has", s->base, key);
        }
        if (g.done > before) attempt = 1;
        if (err != RDG_OK && (!may_pass(err) || attempt == S3_TRIES)) return err;
        if (err != RDG_OK) pause_before(attempt, err);
    }
    return RDG_OK;
}

/* --- putting --------------------------------------------------------------------------------------------------------- */

static rdg_err_t read_part(int fd, uint64_t at, uint8_t *out, size_t len) {
    while (len > 0) {
        ssize_t n = pread(fd, out, len, (off_t)at);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return rdg_fail_errno(n < 0 ? errno : EIO, "cannot read what is to be stored");
        out += n;
        at += (uint64_t)n;
        len -= (size_t)n;
    }
    return RDG_OK;
}

typedef struct parts {
    const s3_t *s;
    rdg_http_client_t *http;
    const char *key;
    char id[800];   /* of the upload, escaped */
    rdg_buf_t list; /* what completes it */
} parts_t;

static rdg_err_t begin_parts(parts_t *p) {
    char id[400];
    rdg_http_answer_t got;
    RDG_TRY(s3_send(p->s, p->http, &(s3_call_t){.method = "POST", .key = p->key, .query = "uploads="}, &got));
    bool told = element(&got.body, "UploadId", id, sizeof id) && strlen(id) < sizeof p->id / 3;
    rdg_http_answer_fini(&got);
    if (!told) return rdg_fail(RDG_E_PROTOCOL, "object store %s began an upload without a name", p->s->base);
    s3_escape(id, p->id, sizeof p->id);
    return RDG_OK;
}

static rdg_err_t put_part(parts_t *p, unsigned number, rdg_bytes_t bytes) {
    char query[900];
    rdg_http_answer_t got;
    snprintf(query, sizeof query, "partNumber=%u&uploadId=%s", number, p->id);
    RDG_TRY(s3_send(p->s, p->http,
                    &(s3_call_t){.method = "PUT", .key = p->key, .query = query, .body = bytes}, &got));
    rdg_buf_printf(&p->list, "<Part><PartNumber>%u</PartNumber><ETag>%s</ETag></Part>", number, got.etag);
    bool tagged = got.etag[0] && strspn(got.etag, S3_PLAIN "\"") == strlen(got.etag);
    rdg_http_answer_fini(&got);
    return tagged ? rdg_buf_err(&p->list)
                  : rdg_fail(RDG_E_PROTOCOL, "object store %s gave a part no entity tag", p->s->base);
}

/* It answers 200 before it is done, and says in the body when it failed. */
static rdg_err_t complete(parts_t *p) {
    char query[900], code[80];
    rdg_http_answer_t got;
    rdg_buf_str(&p->list, "</CompleteMultipartUpload>");
    RDG_TRY(rdg_buf_err(&p->list));
    snprintf(query, sizeof query, "uploadId=%s", p->id);
    RDG_TRY(s3_send(
        p->s, p->http,
        &(s3_call_t){.method = "POST", .key = p->key, .query = query, .body = rdg_buf_view(&p->list)}, &got));
    bool failed = element(&got.body, "Code", code, sizeof code);
    rdg_http_answer_fini(&got);
    return failed ? rdg_fail(RDG_E_UNAVAILABLE, "object store %s could not put the parts together: %s",
                             p->s->base, code)
                  : RDG_OK;
}

static rdg_err_t put_parts(const s3_t *s, rdg_http_client_t *http, const char *key, int fd, uint64_t size,
                           uint8_t *block) {
    parts_t p = {.s = s, .http = http, .key = key};
    char query[900];
    if (size / PART_BYTES >= PARTS_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "%llu bytes are too much for one object", (unsigned long long)size);
    RDG_TRY(begin_parts(&p));
    rdg_buf_init(&p.list, 2u << 20);
    rdg_buf_str(&p.list, "<CompleteMultipartUpload>");
    rdg_err_t err = RDG_OK;
    unsigned number = 1;
    for (uint64_t at = 0; err == RDG_OK && at < size; at += PART_BYTES, ++number) {
        size_t len = size - at < PART_BYTES ? (size_t)(size - at) : PART_BYTES;
        err = read_part(fd, at, block, len);
        if (err == RDG_OK) err = put_part(&p, number, rdg_bytes(block, len));
    }
    if (err == RDG_OK) err = complete(&p);
    rdg_buf_fini(&p.list);
    if (err != RDG_OK) {
        char why[RDG_ERROR_TEXT_MAX];
        snprintf(why, sizeof why, "%s", rdg_err_message(err));
        snprintf(query, sizeof query, "uploadId=%s", p.id);
        (void)send_simply(s, http, &(s3_call_t){.method = "DELETE", .key = key, .query = query});
        return rdg_fail(err, "%s", why);
    }
    return RDG_OK;
}

rdg_err_t s3_put(const s3_t *s, rdg_http_client_t *http, const char *key, int fd, uint64_t size) {
    uint8_t *block = rdg_alloc(size < PART_BYTES ? (size_t)size + 1 : PART_BYTES);
    if (!block) return rdg_fail(RDG_E_NO_MEMORY, "no memory to store an object");
    rdg_err_t err;
    if (size > PART_BYTES) {
        err = put_parts(s, http, key, fd, size, block);
    } else {
        err = read_part(fd, 0, block, (size_t)size);
        if (err == RDG_OK)
            err = send_simply(
                s, http, &(s3_call_t){.method = "PUT", .key = key, .body = rdg_bytes(block, (size_t)size)});
    }
    rdg_free(block);
    return err;
}
