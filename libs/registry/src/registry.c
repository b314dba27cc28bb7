#include "ridge/registry/registry.h"
#include "layout.h"
#include "ridge/base/alloc.h"
#include "ridge/base/config.h"
#include "ridge/base/log.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TAGS_MAX 1000

struct rdg_registry {
    layout_t layout;
};

rdg_err_t rdg_registry_new(const char *dir, rdg_registry_t **out) {
    rdg_registry_t *r = rdg_calloc(1, sizeof *r);
    if (r) r->layout.dir = rdg_strdup(dir);
    if (!r || !r->layout.dir) {
        rdg_free(r);
        return rdg_fail(RDG_E_NO_MEMORY, "no memory for a registry");
    }
    *out = r;
    return RDG_OK;
}

void rdg_registry_free(rdg_registry_t *r) {
    if (!r) return;
    rdg_free(r->layout.dir);
    rdg_free(r);
}

static void answer_json(rdg_http_response_t *res, unsigned status, json_t *body) {
    char *text = body ? rdg_json_text(body) : NULL;
    rdg_http_status(res, text ? status : 500);
    if (text) (void)rdg_http_write(res, "application/json", rdg_bytes_str(text));
    rdg_free(text);
    json_decref(body);
}

static void answer_error(rdg_http_response_t *res, unsigned status, const char *code, const char *message) {
    answer_json(res, status, json_pack("{s:[{s:s, s:s}]}", "errors", "code", code, "message", message));
}

/* unknown: the code for what is not there. Trouble of ours is logged and not told. */
static void answer_failure(rdg_http_response_t *res, rdg_err_t err, const char *unknown) {
    if (err == RDG_E_NOT_FOUND) {
        answer_error(res, 404, unknown, rdg_err_message(err));
        return;
    }
    rdg_log_err("registry.failed", err);
    answer_error(res, 500, "UNKNOWN", "the registry cannot read its files: its log says why");
}

static void serve_manifest(const rdg_registry_t *r, const json_t *entries, const target_t *t,
                           rdg_http_response_t *res) {
    layout_manifest_t m;
    rdg_err_t err = layout_manifest(&r->layout, entries, t, &m);
    if (err != RDG_OK) {
        answer_failure(res, err, "MANIFEST_UNKNOWN");
        return;
    }
    (void)rdg_http_set_header(res, "Docker-Content-Digest", m.digest);
    (void)rdg_http_write(res, m.media_type, rdg_buf_view(&m.bytes));
    rdg_buf_fini(&m.bytes);
}

static void serve_blob(const rdg_registry_t *r, const target_t *t, const rdg_http_request_t *req,
                       rdg_http_response_t *res) {
    uint64_t size, first = 0, length;
    char range[96];
    int fd;
    rdg_err_t err = layout_blob(&r->layout, t->reference, &fd, &size);
    if (err != RDG_OK) {
        answer_failure(res, err, "BLOB_UNKNOWN");
        return;
    }
    length = size;
    (void)rdg_http_set_header(res, "Docker-Content-Digest", t->reference);
    (void)rdg_http_set_header(res, "Accept-Ranges", "bytes");
    switch (target_range(rdg_http_header(req, "Range"), size, &first, &length)) {
    case RANGE_UNSATISFIABLE:
        close(fd);
        snprintf(range, sizeof range, "bytes */%llu", (unsigned long long)size);
        (void)rdg_http_set_header(res, "Content-Range", range);
        answer_error(res, 416, "RANGE_INVALID", "the range is outside the blob");
        return;
    case RANGE_PART:
        snprintf(range, sizeof range, "bytes %llu-%llu/%llu", (unsigned long long)first,
                 (unsigned long long)(first + length - 1), (unsigned long long)size);
        (void)rdg_http_set_header(res, "Content-Range", range);
        rdg_http_status(res, 206);
        break;
    case RANGE_NONE: break;
    }
    (void)rdg_http_send_file(res, "application/octet-stream", fd, first, length);
}

static int compare_tags(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sorted tags after last, at most max; *more if some are left. */
static json_t *list_tags(const json_t *entries, const char *name, const char *last, uint64_t max,
                         bool *more) {
    size_t count = 0, i;
    const json_t *entry;
    const char **tags = rdg_calloc(json_array_size(entries) + 1, sizeof *tags);
    json_t *list = json_array();
    *more = false;
    if (!tags || !list) {
        rdg_free(tags);
        json_decref(list);
        return NULL;
    }
    json_array_foreach(entries, i, entry) {
        const char *tag = layout_entry_tag(entry, name);
        if (tag && (!last || strcmp(tag, last) > 0)) tags[count++] = tag;
    }
    qsort(tags, count, sizeof *tags, compare_tags);
    for (i = 0; i < count; ++i) {
        if (i > 0 && strcmp(tags[i], tags[i - 1]) == 0) continue;
        *more = max > 0 && json_array_size(list) == max;
        if (json_array_size(list) == max || json_array_append_new(list, json_string(tags[i])) != 0) break;
    }
    rdg_free(tags);
    return list;
}

static void serve_tags(const json_t *entries, const target_t *t, const rdg_http_request_t *req,
                       rdg_http_response_t *res) {
    uint64_t max = TAGS_MAX;
    bool more;
    const char *n = rdg_http_query(req, "n");
    if (n && rdg_parse_u64(n, &max) != RDG_OK) {
        answer_error(res, 400, "UNSUPPORTED", "n has to be a number");
        return;
    }
    if (max > TAGS_MAX) max = TAGS_MAX;
    json_t *list = list_tags(entries, t->name, rdg_http_query(req, "last"), max, &more);
    if (list && more) {
        char link[TARGET_NAME_MAX + TARGET_TAG_MAX + 96];
        const char *last = json_string_value(json_array_get(list, json_array_size(list) - 1));
        snprintf(link, sizeof link, "</v2/%s/tags/list?n=%llu&last=%.*s>; rel=\"next\"", t->name,
                 (unsigned long long)max, TARGET_TAG_MAX, last);
        (void)rdg_http_set_header(res, "Link", link);
    }
    answer_json(res, 200, list ? json_pack("{s:s, s:o}", "name", t->name, "tags", list) : NULL);
}

static void serve_named(const rdg_registry_t *r, const target_t *t, const rdg_http_request_t *req,
                        rdg_http_response_t *res) {
    json_t *entries = NULL;
    rdg_err_t err = layout_entries(&r->layout, &entries);
    if (err != RDG_OK)
        answer_failure(res, err, "NAME_UNKNOWN");
    else if (!layout_has_name(entries, t->name))
        answer_error(res, 404, "NAME_UNKNOWN", "the registry knows no repository of this name");
    else if (t->kind == TARGET_MANIFEST)
        serve_manifest(r, entries, t, res);
    else if (t->kind == TARGET_BLOB)
        serve_blob(r, t, req, res);
    else
        serve_tags(entries, t, req, res);
    json_decref(entries);
}

void rdg_registry_handle(void *registry, const rdg_http_request_t *req, rdg_http_response_t *res) {
    const rdg_registry_t *r = registry;
    const char *method = rdg_http_method(req);
    target_t t;
    (void)rdg_http_set_header(res, "Docker-Distribution-API-Version", "registry/2.0");
    target_parse(rdg_http_path(req), &t);
    if (t.kind == TARGET_NONE) {
        answer_error(res, 404, "UNSUPPORTED", "no path of the OCI distribution API that is served here");
    } else if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
        (void)rdg_http_set_header(res, "Allow", "GET, HEAD");
        answer_error(res, 405, "UNSUPPORTED", "this registry is read only");
    } else if (t.kind == TARGET_ROOT) {
        answer_json(res, 200, json_object());
    } else if (!t.name_ok) {
        answer_error(res, 400, "NAME_INVALID",
                     "the repository's name does not obey the specification's grammar");
    } else if (t.kind != TARGET_TAGS && !t.reference_ok) {
        bool digest = t.is_digest || t.kind == TARGET_BLOB;
        answer_error(res, 400, digest ? "DIGEST_INVALID" : "MANIFEST_INVALID",
                     digest ? "want sha256: and 64 lower-case hex digits, or sha512: and 128"
                            : "the tag does not obey the specification's grammar");
    } else {
        serve_named(r, &t, req, res);
    }
}
