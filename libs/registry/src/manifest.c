#include "manifest.h"
#include "ridge/base/alloc.h"
#include "ridge/registry/registry.h"
#include <stdio.h>
#include <string.h>
#include <strings.h>

static rdg_err_t bad(const char *what) {
    return rdg_fail(RDG_E_MALFORMED, "the manifest is not valid: %s", what);
}

/* Counted in the text, before there is memory for each: at least one such character stands before every value. */
static bool too_many_values(rdg_bytes_t text) {
    size_t count = 0;
    for (size_t i = 0; i < text.len; ++i) {
        uint8_t c = text.data[i];
        count += c == '[' || c == '{' || c == ',' || c == ':';
    }
    return count > MANIFEST_VALUES_MAX;
}

static bool known_type(const char *type) {
    return strcmp(type, MANIFEST_OCI) == 0 || strcmp(type, MANIFEST_OCI_INDEX) == 0 ||
           strcmp(type, MANIFEST_DOCKER) == 0 || strcmp(type, MANIFEST_DOCKER_LIST) == 0;
}

static rdg_err_t take_type(const char *content_type, manifest_t *m) {
    const json_t *field = json_object_get(m->root, "mediaType");
    const char *said = json_string_value(field), *type = said;
    char called[MANIFEST_TYPE_MAX + 1] = "";
    if (field && !said) return bad("mediaType is no text");
    if (content_type) {
        size_t len = strcspn(content_type, "; ");
        snprintf(called, sizeof called, "%.*s", (int)(len < sizeof called ? len : sizeof called - 1),
                 content_type);
    }
    if (said && called[0] && strcmp(said, called) != 0)
        return rdg_fail(RDG_E_MALFORMED, "the manifest's mediaType is %.100s, but it was sent as %.100s",
                        said, called);
    if (!type) type = called[0] ? called : m->index ? MANIFEST_OCI_INDEX : MANIFEST_OCI;
    if (!known_type(type))
        return rdg_fail(
            RDG_E_UNSUPPORTED,
            "manifests of type %.100s are not kept here: want an OCI image manifest or index, or Docker's "
            "schema 2",
            type);
    bool says_index = strcmp(type, MANIFEST_OCI_INDEX) == 0 || strcmp(type, MANIFEST_DOCKER_LIST) == 0;
    if (says_index != m->index) return bad("its fields are not those of its media type");
    snprintf(m->media_type, sizeof m->media_type, "%s", type);
    return RDG_OK;
}

static rdg_err_t check_descriptor(const json_t *d, const char **digest) {
    const json_t *size = json_object_get(d, "size");
    *digest = json_string_value(json_object_get(d, "digest"));
    if (!json_is_object(d) || !*digest) return bad("a descriptor has no digest");
    if (!target_digest_valid(*digest))
        return rdg_fail(RDG_E_MALFORMED, "the manifest is not valid: '%.80s' is no digest", *digest);
    if (!json_is_integer(size) || json_integer_value(size) < 0) return bad("a descriptor has no size");
    return RDG_OK;
}

/* Layers that are to be had elsewhere need not be here (image specification, non-distributable layers). */
static bool is_elsewhere(const json_t *d) {
    const char *type = json_string_value(json_object_get(d, "mediaType"));
    return type && (strstr(type, ".nondistributable.") || strstr(type, ".foreign."));
}

static rdg_err_t take_part(const json_t *d, manifest_t *m) {
    const char *digest;
    RDG_TRY(check_descriptor(d, &digest));
    if (is_elsewhere(d)) return RDG_OK;
    if (m->part_count == MANIFEST_PARTS_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "the manifest names more than %d parts", MANIFEST_PARTS_MAX);
    m->parts[m->part_count++] = digest;
    return RDG_OK;
}

static rdg_err_t take_parts(manifest_t *m) {
    const json_t *list = json_object_get(m->root, m->index ? "manifests" : "layers"), *config, *d;
    size_t i;
    config = json_object_get(m->root, "config");
    if (!json_is_array(list)) return bad(m->index ? "manifests is no list" : "layers is no list");
    if (!m->index) RDG_TRY(take_part(config, m));
    json_array_foreach(list, i, d) RDG_TRY(take_part(d, m));
    return RDG_OK;
}

static rdg_err_t take_referring(manifest_t *m) {
    const json_t *subject = json_object_get(m->root, "subject"), *annotations, *type;
    if (subject && !json_is_null(subject)) RDG_TRY(check_descriptor(subject, &m->subject));
    type = json_object_get(m->root, "artifactType");
    m->artifact_type = json_string_value(type);
    if (type && !m->artifact_type && !json_is_null(type)) return bad("artifactType is no text");
    if ((!m->artifact_type || !*m->artifact_type) && !m->index)
        m->artifact_type =
            json_string_value(json_object_get(json_object_get(m->root, "config"), "mediaType"));
    if (m->artifact_type && strlen(m->artifact_type) > MANIFEST_TYPE_MAX)
        return bad("artifactType is too long");
    annotations = json_object_get(m->root, "annotations");
    if (annotations && !json_is_object(annotations) && !json_is_null(annotations))
        return bad("annotations are no object");
    if (!json_is_object(annotations)) return RDG_OK;
    m->annotations = rdg_json_text(annotations);
    return m->annotations ? RDG_OK : rdg_fail(RDG_E_NO_MEMORY, "no memory for a manifest");
}

static rdg_err_t parse(rdg_bytes_t text, const char *content_type, manifest_t *m) {
    if (text.len > RDG_REGISTRY_MANIFEST_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "a manifest has at most %u bytes", RDG_REGISTRY_MANIFEST_MAX);
    if (too_many_values(text))
        return rdg_fail(RDG_E_MALFORMED, "the manifest holds more than %d values", MANIFEST_VALUES_MAX);
    RDG_TRY(rdg_fail_in(rdg_json_parse(text, &m->root), "the manifest is not valid"));
    if (!json_is_object(m->root)) return bad("it is no JSON object");
    m->index = json_object_get(m->root, "manifests") != NULL;
    /* Another program could take it for the other kind (CVE-2021-41190). */
    if (m->index && (json_object_get(m->root, "layers") || json_object_get(m->root, "config")))
        return bad("it is a manifest and an index at once");
    RDG_TRY(take_type(content_type, m));
    const json_t *version = json_object_get(m->root, "schemaVersion");
    if (version && json_integer_value(version) != 2) return bad("schemaVersion is not 2");
    RDG_TRY(take_parts(m));
    return take_referring(m);
}

rdg_err_t manifest_parse(rdg_bytes_t text, const char *content_type, manifest_t *out) {
    memset(out, 0, sizeof *out);
    rdg_err_t err = parse(text, content_type, out);
    if (err != RDG_OK) manifest_fini(out);
    return err;
}

void manifest_fini(manifest_t *m) {
    rdg_free(m->annotations);
    json_decref(m->root);
    m->annotations = NULL;
    m->root = NULL;
}
