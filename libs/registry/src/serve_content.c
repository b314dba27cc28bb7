#include "proxy.h"
#include "ridge/base/alloc.h"
#include "ridge/base/config.h"
#include "ridge/base/log.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TAGS_MAX 1000
#define REFERRERS_MAX 100 /* an answer stays below 4 MiB with annotations of a usual size */
#define PUT_TAGS_MAX 32

/* --- blobs ------------------------------------------------------------------------------------------------------ */

bool blob_head(visit_t *v, uint64_t size, uint64_t *first, uint64_t *length) {
    char range[96];
    *first = 0;
    *length = size;
    (void)rdg_http_set_header(v->res, "Docker-Content-Digest", v->target.reference);
    (void)rdg_http_set_header(v->res, "Accept-Ranges", "bytes");
    switch (target_range(rdg_http_header(v->req, "Range"), size, first, length)) {
    case RANGE_UNSATISFIABLE:
        snprintf(range, sizeof range, "bytes */%llu", (unsigned long long)size);
        (void)rdg_http_set_header(v->res, "Content-Range", range);
        answer_error(v->res, 416, "SIZE_INVALID", "the range is outside the blob");
        return false;
    case RANGE_PART:
        snprintf(range, sizeof range, "bytes %llu-%llu/%llu", (unsigned long long)*first,
                 (unsigned long long)(*first + *length - 1), (unsigned long long)size);
        (void)rdg_http_set_header(v->res, "Content-Range", range);
        rdg_http_status(v->res, 206);
        break;
    case RANGE_NONE: break;
    }
    return true;
}

static void send_blob(visit_t *v, int fd, uint64_t size) {
    uint64_t first, length;
    if (!blob_head(v, size, &first, &length)) {
        close(fd);
        return;
    }
    if (strcmp(rdg_http_method(v->req), "GET") == 0) rdg_metric_add(v->registry->m_pulled, length);
    (void)rdg_http_send_file(v->res, "application/octet-stream", fd, first, length);
}

void serve_blob(visit_t *v) {
    uint64_t size = 0;
    int fd = -1;
    upstream_t *u = proxy_upstream(v->registry, v->target.name);
    rdg_err_t err = store_find(&v->registry->store, v->target.name, v->target.reference, &size);
    if (err == RDG_E_NOT_FOUND && u) {
        if (!proxy_serve_blob(v, u)) return;
        err = store_find(&v->registry->store, v->target.name, v->target.reference, &size);
        if (err == RDG_E_NOT_FOUND) err = rdg_fail(RDG_E_UNAVAILABLE, "the blob did not come: ask again");
    }
    if (err == RDG_OK) err = store_read(&v->registry->store, v->target.reference, size, &fd);
    if (err != RDG_OK) {
        answer_failure(v->res, err, "BLOB_UNKNOWN", "DIGEST_INVALID");
        return;
    }
    /* Who may push and asks whether a blob is there will not upload it: it has to stay for the manifest. */
    if (u || (v->granted & RDG_REGISTRY_PUSH && !v->registry->read_only))
        store_touch(&v->registry->store, v->target.name, v->target.reference);
    send_blob(v, fd, size);
}

void serve_blob_delete(visit_t *v) {
    rdg_err_t err = store_unlink(&v->registry->store, v->target.name, v->target.reference);
    if (err == RDG_OK)
        answer_empty(v->res, 202);
    else
        answer_failure(v->res, err, "BLOB_UNKNOWN", "DIGEST_INVALID");
}

/* --- manifests ---------------------------------------------------------------------------------------------------- */

static bool repository_known(visit_t *v) {
    int64_t id = 0;
    return store_repo_find(&v->registry->store, v->target.name, &id) != RDG_OK || id > 0;
}

void serve_manifest(visit_t *v) {
    catalog_entry_t entry;
    rdg_buf_t bytes;
    upstream_t *u = proxy_upstream(v->registry, v->target.name);
    rdg_err_t err = u ? proxy_manifest(v->registry->proxy, u, v->target.name, v->target.reference) : RDG_OK;
    if (err != RDG_OK) {
        proxy_answer(v->res, err, "MANIFEST_UNKNOWN");
        return;
    }
    rdg_buf_init(&bytes, RDG_REGISTRY_MANIFEST_MAX);
    err = catalog_find(&v->registry->store, v->target.name, v->target.reference, &entry);
    const char *unknown =
        err == RDG_E_NOT_FOUND && !repository_known(v) ? "NAME_UNKNOWN" : "MANIFEST_UNKNOWN";
    if (err == RDG_OK) {
        err = catalog_read(&v->registry->store, &entry, &bytes);
        if (err == RDG_E_NOT_FOUND) err = RDG_E_CORRUPT;
    }
    if (err == RDG_OK) {
        (void)rdg_http_set_header(v->res, "Docker-Content-Digest", entry.digest);
        (void)rdg_http_write(v->res, entry.media_type, rdg_buf_view(&bytes));
    } else {
        answer_failure(v->res, err, unknown, "MANIFEST_INVALID");
    }
    rdg_buf_fini(&bytes);
}

static bool take_tags(visit_t *v, const char **tags, size_t *count) {
    const char *tag;
    *count = 0;
    if (!v->target.is_digest) tags[(*count)++] = v->target.reference;
    for (size_t i = 0; v->target.is_digest && (tag = rdg_http_query_at(v->req, "tag", i)); ++i) {
        if (!target_tag_valid(tag) || *count == PUT_TAGS_MAX) {
            answer_error(v->res, *count == PUT_TAGS_MAX ? 414 : 400, "MANIFEST_INVALID",
                         "a tag does not obey the specification's grammar, or there are more than 32");
            return false;
        }
        tags[(*count)++] = tag;
    }
    return true;
}

static void say_put(visit_t *v, const catalog_put_t *p) {
    char text[TARGET_NAME_MAX + DIGEST_TEXT + 32];
    snprintf(text, sizeof text, "/v2/%s/manifests/%s", p->repo, p->digest);
    (void)rdg_http_set_header(v->res, "Location", text);
    (void)rdg_http_set_header(v->res, "Docker-Content-Digest", p->digest);
    if (p->manifest->subject) (void)rdg_http_set_header(v->res, "OCI-Subject", p->manifest->subject);
    if (v->target.is_digest && p->tag_count > 0) {
        char tags[PUT_TAGS_MAX * (TARGET_TAG_MAX + 2)] = "";
        size_t len = 0;
        for (size_t i = 0; i < p->tag_count; ++i)
            len += (size_t)snprintf(tags + len, sizeof tags - len, "%s%s", i ? ", " : "", p->tags[i]);
        (void)rdg_http_set_header(v->res, "OCI-Tag", tags);
    }
    rdg_log(RDG_LOG_INFO, "registry.pushed", RDG_STR("repository", p->repo), RDG_STR("digest", p->digest),
            RDG_STR("tag", p->tag_count ? p->tags[0] : ""), RDG_STR("caller", v->caller.name));
    answer_empty(v->res, 201);
}

void serve_manifest_put(visit_t *v, rdg_bytes_t body) {
    const char *tags[PUT_TAGS_MAX];
    char digest[DIGEST_TEXT];
    manifest_t *m = NULL;
    catalog_put_t put = {.repo = v->target.name, .digest = digest, .bytes = body, .tags = tags};
    if (!take_tags(v, tags, &put.tag_count)) return;
    rdg_err_t err = digest_of_bytes(v->target.is_digest ? v->target.reference : "sha256", body, digest);
    if (err == RDG_OK && v->target.is_digest && strcmp(digest, v->target.reference) != 0) {
        answer_error(v->res, 400, "DIGEST_INVALID",
                     "the manifest has another digest than the one it was pushed by");
        return;
    }
    if (err == RDG_OK) m = rdg_calloc(1, sizeof *m);
    if (err == RDG_OK && !m) err = rdg_fail(RDG_E_NO_MEMORY, "no memory for a manifest");
    if (err == RDG_OK) err = manifest_parse(body, rdg_http_header(v->req, "Content-Type"), m);
    if (err != RDG_OK) {
        answer_failure(v->res, err, "MANIFEST_INVALID", "MANIFEST_INVALID");
        rdg_free(m);
        return;
    }
    put.manifest = m;
    const upstream_t *u = proxy_upstream(v->registry, v->target.name);
    put.sparse = u != NULL; /* what its registry has need not be here */
    if (u && (!m->subject || put.tag_count > 0))
        err = rdg_fail(RDG_E_CONFLICT,
                       "%s is a copy of %s, to which it is to be pushed; here only what refers "
                       "to an image can be added (ridge image sign)",
                       v->target.name, u->url);
    else
        err = catalog_put(&v->registry->store, &put);
    if (err == RDG_OK)
        say_put(v, &put);
    else
        answer_failure(v->res, err, "MANIFEST_BLOB_UNKNOWN", "MANIFEST_INVALID");
    manifest_fini(m);
    rdg_free(m);
}

void serve_manifest_delete(visit_t *v) {
    rdg_err_t err =
        catalog_delete(&v->registry->store, v->target.name, v->target.reference, v->target.is_digest);
    if (err != RDG_OK) {
        answer_failure(v->res, err, repository_known(v) ? "MANIFEST_UNKNOWN" : "NAME_UNKNOWN",
                       "MANIFEST_INVALID");
        return;
    }
    rdg_log(RDG_LOG_INFO, "registry.deleted", RDG_STR("repository", v->target.name),
            RDG_STR("reference", v->target.reference), RDG_STR("caller", v->caller.name));
    answer_empty(v->res, 202);
}

/* --- lists ---------------------------------------------------------------------------------------------------------- */

static void say_next(visit_t *v, const char *query) {
    char link[2048];
    snprintf(link, sizeof link, "</v2/%s/%s>; rel=\"next\"", v->target.name, query);
    (void)rdg_http_set_header(v->res, "Link", link);
}

void serve_tags(visit_t *v) {
    uint64_t max = TAGS_MAX;
    bool more = false;
    json_t *list = NULL;
    const char *n = rdg_http_query(v->req, "n");
    if (n && rdg_parse_u64(n, &max) != RDG_OK) {
        answer_error(v->res, 400, "UNSUPPORTED", "n has to be a number");
        return;
    }
    if (max > TAGS_MAX) max = TAGS_MAX;
    upstream_t *u = proxy_upstream(v->registry, v->target.name);
    const char *last = rdg_http_query(v->req, "last");
    if (last && strlen(last) > TARGET_TAG_MAX) last = NULL;
    if (!u && !repository_known(v)) {
        answer_error(v->res, 404, "NAME_UNKNOWN", "the registry has no repository of this name");
        return;
    }
    rdg_err_t err = u && max > 0 ? proxy_tags(v->registry->proxy, u, v->target.name, last, max, &list, &more)
                                 : RDG_E_UNAVAILABLE;
    if (err != RDG_OK) /* of a copy: what is here of it */
        err = catalog_tags(&v->registry->store, v->target.name, last, max, &list, &more);
    if (err != RDG_OK) {
        answer_failure(v->res, err, "NAME_UNKNOWN", "UNSUPPORTED");
        return;
    }
    if (more) {
        char query[TARGET_TAG_MAX + 64];
        snprintf(query, sizeof query, "tags/list?n=%llu&last=%s", (unsigned long long)max,
                 json_string_value(json_array_get(list, json_array_size(list) - 1)));
        say_next(v, query);
    }
    answer_json(v->res, 200, "application/json",
                json_pack("{s:s, s:o}", "name", v->target.name, "tags", list));
}

void serve_referrers(visit_t *v) {
    bool more = false;
    json_t *list = NULL;
    const char *type = rdg_http_query(v->req, "artifactType"), *last = rdg_http_query(v->req, "last");
    if (type && strlen(type) > MANIFEST_TYPE_MAX) {
        answer_error(v->res, 400, "UNSUPPORTED", "artifactType is too long");
        return;
    }
    rdg_err_t err = catalog_referrers(&v->registry->store, v->target.name, v->target.reference, type, last,
                                      REFERRERS_MAX, &list, &more);
    if (err != RDG_OK) {
        answer_failure(v->res, err, "NAME_UNKNOWN", "UNSUPPORTED");
        return;
    }
    upstream_t *u = proxy_upstream(v->registry, v->target.name);
    if (u && !last) proxy_referrers(v->registry->proxy, u, v->target.name, v->target.reference, type, list);
    if (type) (void)rdg_http_set_header(v->res, "OCI-Filters-Applied", "artifactType");
    if (more) {
        char query[1400], escaped[3 * MANIFEST_TYPE_MAX + 4] = "";
        if (type) target_escape(type, escaped, sizeof escaped);
        snprintf(
            query, sizeof query, "referrers/%s?last=%s%s%s", v->target.reference,
            json_string_value(json_object_get(json_array_get(list, json_array_size(list) - 1), "digest")),
            type ? "&artifactType=" : "", escaped);
        say_next(v, query);
    }
    answer_json(
        v->res, 200, MANIFEST_OCI_INDEX,
        json_pack("{s:i, s:s, s:o}", "schemaVersion", 2, "mediaType", MANIFEST_OCI_INDEX, "manifests", list));
}
