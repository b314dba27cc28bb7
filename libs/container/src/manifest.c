#include "manifest.h"
#include "ridge/base/config.h"
#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#define OCI "application/vnd.oci.image."
#define DOCKER "application/vnd.docker."

const char manifest_accept[] =
    "Accept: " OCI "manifest.v1+json, " DOCKER "distribution.manifest.v2+json, " OCI "index.v1+json, " DOCKER
    "distribution.manifest.list.v2+json";

static const char *const manifest_types[] = {OCI "manifest.v1+json", DOCKER "distribution.manifest.v2+json",
                                             NULL};
static const char *const index_types[] = {OCI "index.v1+json", DOCKER "distribution.manifest.list.v2+json",
                                          NULL};
static const char *const config_types[] = {OCI "config.v1+json", DOCKER "container.image.v1+json", NULL};
static const char *const layer_types[] = {OCI "layer.v1.tar",
                                          OCI "layer.v1.tar+gzip",
                                          OCI "layer.v1.tar+zstd",
                                          DOCKER "image.rootfs.diff.tar",
                                          DOCKER "image.rootfs.diff.tar.gzip",
                                          DOCKER "image.rootfs.diff.tar.zstd",
                                          NULL};

static rdg_err_t check_type(const char *what, const json_t *o, const char *const *known, bool may_lack) {
    const json_t *field = json_object_get(o, "mediaType");
    const char *type = json_string_value(field);
    if (!field && may_lack) return RDG_OK;
    for (size_t i = 0; type && known[i]; ++i)
        if (strcmp(type, known[i]) == 0) return RDG_OK;
    return rdg_fail(RDG_E_UNSUPPORTED, "the %s has media type '%.100s', which no container image has", what,
                    type ? type : "");
}

rdg_err_t manifest_descriptor(const json_t *d, char digest[IMAGE_DIGEST_TEXT], uint64_t *size) {
    const char *text = NULL;
    RDG_TRY(rdg_json_get_str(d, "digest", &text));
    RDG_TRY(rdg_json_get_u64(d, "size", size));
    if (!image_digest_valid(text)) return rdg_fail(RDG_E_UNSUPPORTED, "'%.80s' is no sha256 digest", text);
    memcpy(digest, text, strlen(text) + 1);
    return RDG_OK;
}

bool manifest_is_index(const json_t *m) {
    return json_object_get(m, "manifests") != NULL;
}

rdg_err_t manifest_parse(const json_t *m, image_t *out) {
    json_t *config = NULL, *layers = NULL;
    RDG_TRY(check_type("manifest", m, manifest_types, true));
    RDG_TRY(rdg_json_get_object(m, "config", &config));
    RDG_TRY(rdg_json_get_array(m, "layers", &layers));
    RDG_TRY(check_type("configuration", config, config_types, false));
    RDG_TRY(manifest_descriptor(config, out->config, &out->config_size));
    out->layer_count = json_array_size(layers);
    if (out->layer_count == 0 || out->layer_count > IMAGE_LAYERS_MAX)
        return rdg_fail(RDG_E_UNSUPPORTED, "the image has %zu layers: 1 to %d are supported",
                        out->layer_count, IMAGE_LAYERS_MAX);
    out->total = out->config_size;
    for (size_t i = 0; i < out->layer_count; ++i) {
        const json_t *layer = json_array_get(layers, i);
        RDG_TRY(check_type("layer", layer, layer_types, false));
        RDG_TRY(rdg_fail_in(manifest_descriptor(layer, out->layers[i], &out->sizes[i]), "layer %zu", i));
        if (__builtin_add_overflow(out->total, out->sizes[i], &out->total))
            return rdg_fail(RDG_E_MALFORMED, "the sizes of the image's layers overflow");
    }
    return RDG_OK;
}

const char *manifest_architecture(void) {
    static struct utsname host;
    uname(&host);
    if (strcmp(host.machine, "x86_64") == 0) return "amd64";
    if (strcmp(host.machine, "aarch64") == 0) return "arm64";
    if (strncmp(host.machine, "armv7", 5) == 0) return "arm";
    return host.machine;
}

static bool fits(const json_t *platform) {
    const char *os = json_string_value(json_object_get(platform, "os"));
    const char *arch = json_string_value(json_object_get(platform, "architecture"));
    return os && arch && strcmp(os, "linux") == 0 && strcmp(arch, manifest_architecture()) == 0;
}

rdg_err_t manifest_choose(const json_t *index, char out[IMAGE_DIGEST_TEXT]) {
    json_t *list = NULL, *entry;
    size_t i;
    uint64_t size;
    RDG_TRY(check_type("index", index, index_types, true));
    RDG_TRY(rdg_json_get_array(index, "manifests", &list));
    json_array_foreach(
        list, i, entry) if (fits(json_object_get(entry, "platform"))) return manifest_descriptor(entry, out,
                                                                                                 &size);
    return rdg_fail(RDG_E_UNSUPPORTED, "the image has no variant for linux/%s", manifest_architecture());
}

rdg_err_t manifest_check_config(const json_t *config) {
    if (fits(config)) return RDG_OK;
    const char *os = json_string_value(json_object_get(config, "os"));
    const char *arch = json_string_value(json_object_get(config, "architecture"));
    return rdg_fail(RDG_E_UNSUPPORTED, "the image is for %.40s/%.40s and this machine is linux/%s",
                    os ? os : "(no system)", arch ? arch : "(no architecture)", manifest_architecture());
}

static void take_need(const json_t *annotations, const char *key, uint64_t *out) {
    uint64_t value;
    const char *text = json_string_value(json_object_get(annotations, key));
    if (*out == 0 && text && rdg_parse_size(text, &value) == RDG_OK) *out = value;
}

void manifest_needs(const json_t *annotations, image_needs_t *out) {
    take_need(annotations, "ridge.memory.min", &out->memory_bytes);
    take_need(annotations, "ridge.disk.min", &out->disk_bytes);
    take_need(annotations, "ridge.cpu.min", &out->cpu_thousandths);
    take_need(annotations, "ridge.memory.max", &out->memory_max_bytes);
    take_need(annotations, "ridge.cpu.max", &out->cpu_max_thousandths);
}

static rdg_err_t too_small(rdg_err_t code, const char *what, uint64_t wanted, uint64_t there) {
    return rdg_fail(code, "the image needs %llu %s and this device has %llu", (unsigned long long)wanted,
                    what, (unsigned long long)there);
}

rdg_err_t manifest_check_needs(const image_needs_t *needs, const char *root, uint64_t total) {
    struct statvfs fs;
    uint64_t memory = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t cpu = (uint64_t)sysconf(_SC_NPROCESSORS_ONLN) * 1000;
    if (needs->memory_bytes > memory)
        return too_small(RDG_E_TOO_LARGE, "bytes of memory", needs->memory_bytes, memory);
    if (needs->cpu_thousandths > cpu)
        return too_small(RDG_E_TOO_LARGE, "thousandths of a processor's core", needs->cpu_thousandths, cpu);
    if (statvfs(root, &fs) != 0) return rdg_fail_errno(errno, "cannot look at the file system of %s", root);
    uint64_t disk = (uint64_t)fs.f_bavail * fs.f_frsize, wanted = needs->disk_bytes;
    if (wanted < total) wanted = total;
    return wanted > disk ? too_small(RDG_E_DISK_FULL, "bytes of disk space", wanted, disk) : RDG_OK;
}
