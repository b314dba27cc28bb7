#include "images_internal.h"
#include "ridge/base/config.h"
#include <string.h>

#define CONFIG_MAX (4u << 20)
#define OCI "org.opencontainers.image."

/* Resources that an image asks for: "64MiB", "500" (thousandths of a core). */
static const struct {
    const char *field, *key;
} resources[] = {{"memory_min", "ridge.memory.min"},
                 {"memory_max", "ridge.memory.max"},
                 {"disk_min", "ridge.disk.min"},
                 {"cpu_min", "ridge.cpu.min"},
                 {"cpu_max", "ridge.cpu.max"}};

typedef struct texts {
    const json_t *top, *annotations,
        *labels; /* the index's, the manifest's, the configuration's: the first counts */
} texts_t;

static const char *text_of(const texts_t *t, const char *key) {
    const char *text = json_string_value(json_object_get(t->top, key));
    if (!text) text = json_string_value(json_object_get(t->annotations, key));
    return text ? text : json_string_value(json_object_get(t->labels, key));
}

static rdg_err_t read_json(rdg_err_t err, rdg_buf_t *text, json_t **out) {
    if (err == RDG_OK) err = rdg_json_parse(rdg_buf_view(text), out);
    rdg_buf_fini(text);
    return err;
}

static rdg_err_t read_manifest(rdg_registry_t *r, const char *name, const char *reference, char digest[136],
                               json_t **out) {
    rdg_buf_t text;
    rdg_buf_init(&text, RDG_REGISTRY_MANIFEST_MAX);
    return read_json(rdg_registry_get_manifest(r, name, reference, &text, digest), &text, out);
}

/* Another kind of artifact has a configuration of another kind, or none: it says nothing then. */
static json_t *read_config(rdg_registry_t *r, const char *name, const json_t *manifest) {
    rdg_buf_t text;
    json_t *config = NULL;
    const char *digest = json_string_value(json_object_get(json_object_get(manifest, "config"), "digest"));
    if (!digest) return NULL;
    rdg_buf_init(&text, CONFIG_MAX);
    if (read_json(rdg_registry_get_blob(r, name, digest, &text), &text, &config) != RDG_OK) return NULL;
    if (json_is_object(config)) return config;
    json_decref(config);
    return NULL;
}

static json_t *keys_of(const json_t *object) {
    json_t *list = json_array();
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
        json_array_append_new(list, json_string(key));
    return list;
}

static json_t *resources_of(const texts_t *t) {
    json_t *out = json_object();
    for (size_t i = 0; i < sizeof resources / sizeof resources[0]; ++i) {
        const char *text = text_of(t, resources[i].key);
        uint64_t value;
        if (text && rdg_parse_size(text, &value) == RDG_OK && value <= INT64_MAX)
            json_object_set_new(out, resources[i].field, json_integer((json_int_t)value));
    }
    return out;
}

static json_t *architectures(const json_t *manifest, const json_t *config) {
    json_t *list = json_array();
    const json_t *entry, *own = json_object_get(config, "architecture");
    size_t i;
    if (json_is_string(own)) json_array_append(list, (json_t *)(uintptr_t)own);
    json_array_foreach(json_object_get(manifest, "manifests"), i, entry) {
        json_t *architecture = json_object_get(json_object_get(entry, "platform"), "architecture");
        if (json_is_string(architecture)) json_array_append(list, architecture);
    }
    return list;
}

static uint64_t bytes_of(const json_t *manifest) {
    const json_t *layer;
    size_t i;
    json_int_t bytes = json_integer_value(json_object_get(json_object_get(manifest, "config"), "size"));
    json_array_foreach(json_object_get(manifest, "layers"), i, layer) bytes +=
        json_integer_value(json_object_get(layer, "size"));
    return (uint64_t)bytes;
}

static json_t *pack(const char *name, const char *reference, const char *digest, const json_t *top,
                    const json_t *manifest, const json_t *config) {
    const json_t *inner = json_object_get(config, "config");
    const texts_t t = {json_object_get(top, "annotations"), json_object_get(manifest, "annotations"),
                       json_object_get(inner, "Labels")};
    json_t *environment = json_object_get(inner, "Env");
    const char *purpose = text_of(&t, OCI "description");
    return json_pack("{s:s, s:s, s:s, s:s*, s:s*, s:o, s:o, s:O*, s:o, s:I}", "name", name, "reference",
                     reference, "digest", digest, "version", text_of(&t, OCI "version"), "purpose",
                     purpose ? purpose : text_of(&t, OCI "title"), "architectures",
                     architectures(manifest, config), "ports",
                     keys_of(json_object_get(inner, "ExposedPorts")), "environment",
                     json_is_array(environment) ? environment : NULL, "resources", resources_of(&t), "bytes",
                     (json_int_t)bytes_of(manifest));
}

rdg_err_t image_form(rdg_registry_t *r, const char *name, const char *reference, json_t **out) {
    char digest[136];
    json_t *manifest = NULL, *first = NULL;
    RDG_TRY(read_manifest(r, name, reference, digest, &manifest));
    /* Of an index, what it does not say itself its first image says for all. */
    const char *inner = json_string_value(
        json_object_get(json_array_get(json_object_get(manifest, "manifests"), 0), "digest"));
    char ignored[136];
    if (inner && read_manifest(r, name, inner, ignored, &first) != RDG_OK) first = NULL;
    json_t *config = read_config(r, name, first ? first : manifest);
    *out = pack(name, reference, digest, manifest, first ? first : manifest, config);
    if (*out && first) {
        json_object_set_new(*out, "architectures", architectures(manifest, NULL));
    }
    json_decref(config);
    json_decref(first);
    json_decref(manifest);
    return *out ? RDG_OK : rdg_fail(RDG_E_NO_MEMORY, "no memory for an image");
}
