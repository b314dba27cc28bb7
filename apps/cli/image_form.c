#include "image_form.h"
#include "ridge/base/config.h"
#include "ridge/base/file.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ENV_MAX (64u << 10)

static const struct {
    const char *flag, *key;
    bool size;
} annotations[] = {{"version", "org.opencontainers.image.version", false},
                   {"purpose", "org.opencontainers.image.description", false},
                   {"memory-min", "ridge.memory.min", true},
                   {"memory-max", "ridge.memory.max", true},
                   {"disk-min", "ridge.disk.min", true},
                   {"cpu-min", "ridge.cpu.min", true},
                   {"cpu-max", "ridge.cpu.max", true}};
#define ANNOTATIONS (sizeof annotations / sizeof annotations[0])

static rdg_err_t check_pair(const cli_t *cli, const char *least, const char *most) {
    uint64_t min, max;
    const char *a = cli_flag(cli, least, NULL), *b = cli_flag(cli, most, NULL);
    if (!a || !b || rdg_parse_size(a, &min) != RDG_OK || rdg_parse_size(b, &max) != RDG_OK || min <= max)
        return RDG_OK;
    return rdg_fail(RDG_E_INVALID, "--%s %s is more than --%s %s", least, a, most, b);
}

static rdg_err_t check_port(const char *text, size_t len) {
    char copy[24];
    uint64_t port;
    snprintf(copy, sizeof copy, "%.*s", (int)(len < sizeof copy ? len : sizeof copy - 1), text);
    char *slash = strchr(copy, '/');
    if (slash) *slash = '\0';
    if (len < sizeof copy && rdg_parse_u64(copy, &port) == RDG_OK && port > 0 && port < 65536 &&
        (!slash || strcmp(slash + 1, "tcp") == 0 || strcmp(slash + 1, "udp") == 0))
        return RDG_OK;
    return rdg_fail(RDG_E_INVALID, "--ports: '%.*s' is no port: want 8080/tcp", (int)(len > 40 ? 40 : len),
                    text);
}

rdg_err_t image_form_check(const cli_t *cli) {
    uint64_t value;
    for (size_t i = 0; i < ANNOTATIONS; ++i) {
        const char *text = annotations[i].size ? cli_flag(cli, annotations[i].flag, NULL) : NULL;
        if (text) RDG_TRY(rdg_fail_in(rdg_parse_size(text, &value), "--%s", annotations[i].flag));
    }
    for (const char *p = cli_flag(cli, "ports", ""); *p;) {
        size_t len = strcspn(p, ",");
        RDG_TRY(check_port(p, len));
        p += len;
        p += *p == ',';
    }
    RDG_TRY(check_pair(cli, "memory-min", "memory-max"));
    return check_pair(cli, "cpu-min", "cpu-max");
}

static bool annotate(const cli_t *cli, json_t *manifest) {
    bool changed = false;
    json_t *notes = json_object_get(manifest, "annotations");
    for (size_t i = 0; i < ANNOTATIONS; ++i) {
        const char *text = cli_flag(cli, annotations[i].flag, NULL);
        if (!text) continue;
        if (!json_is_object(notes)) {
            json_object_set_new(manifest, "annotations", json_object());
            notes = json_object_get(manifest, "annotations");
        }
        json_object_set_new(notes, annotations[i].key, json_string(text));
        changed = true;
    }
    return changed;
}

static json_t *ports_of(const char *text) {
    json_t *ports = json_object();
    while (*text) {
        char port[32];
        size_t len = strcspn(text, ",");
        bool bare = !memchr(text, '/', len);
        snprintf(port, sizeof port, "%.*s%s", (int)(len < 24 ? len : 24), text, bare ? "/tcp" : "");
        json_object_set_new(ports, port, json_object());
        text += len;
        text += *text == ',';
    }
    return ports;
}

static rdg_err_t environment_of(const char *path, json_t **out) {
    rdg_buf_t text;
    rdg_buf_init(&text, ENV_MAX);
    json_t *list = json_array();
    rdg_err_t err = rdg_file_read(path, &text);
    const char *line = err == RDG_OK ? rdg_buf_cstr(&text) : NULL;
    for (; err == RDG_OK && line && *line; line += strcspn(line, "\n"), line += *line == '\n') {
        size_t len = strcspn(line, "\n");
        const char *equals = memchr(line, '=', len);
        if (len == 0 || *line == '#') continue;
        if (!equals || equals == line)
            err = rdg_fail(RDG_E_INVALID, "%s: '%.*s' is no NAME=VALUE", path, (int)(len > 60 ? 60 : len),
                           line);
        else
            json_array_append_new(list, json_stringn(line, len));
    }
    rdg_buf_fini(&text);
    if (err == RDG_OK)
        *out = list;
    else
        json_decref(list);
    return err;
}

static rdg_err_t change_config(const cli_t *cli, json_t *config) {
    const char *ports = cli_flag(cli, "ports", NULL), *env = cli_flag(cli, "env-file", NULL);
    json_t *inner = json_object_get(config, "config"), *list = NULL;
    if (!json_is_object(inner)) {
        json_object_set_new(config, "config", json_object());
        inner = json_object_get(config, "config");
    }
    if (env) RDG_TRY(environment_of(env, &list));
    if (list) json_object_set_new(inner, "Env", list);
    if (ports) json_object_set_new(inner, "ExposedPorts", ports_of(ports));
    return RDG_OK;
}

static rdg_err_t put_config(rdg_images_client_t *registry, const char *name, json_t *descriptor,
                            const json_t *config) {
    rdg_buf_t bytes;
    char digest[RDG_IMAGE_DIGEST_MAX];
    rdg_buf_init(&bytes, RDG_IMAGES_MANIFEST_MAX);
    rdg_err_t err = rdg_json_dump(config, &bytes);
    if (err == RDG_OK) {
        rdg_image_digest(rdg_buf_view(&bytes), digest);
        err = rdg_images_put_blob(registry, name, digest, rdg_buf_view(&bytes));
    }
    if (err == RDG_OK) {
        json_object_set_new(descriptor, "digest", json_string(digest));
        json_object_set_new(descriptor, "size", json_integer((json_int_t)bytes.len));
        json_object_del(descriptor, "data");
    }
    rdg_buf_fini(&bytes);
    return err;
}

static rdg_err_t configure(const cli_t *cli, rdg_images_client_t *registry, const char *name,
                           json_t *manifest) {
    json_t *descriptor = json_object_get(manifest, "config"), *config = NULL;
    const char *digest = json_string_value(json_object_get(descriptor, "digest"));
    rdg_buf_t bytes;
    if (!digest)
        return rdg_fail(RDG_E_INVALID,
                        "--ports and --env-file are for one image: this is an index of several");
    rdg_buf_init(&bytes, RDG_IMAGES_MANIFEST_MAX);
    rdg_err_t err = rdg_images_get_blob(registry, name, digest, &bytes);
    if (err == RDG_OK) err = rdg_json_parse(rdg_buf_view(&bytes), &config);
    if (err == RDG_OK) err = change_config(cli, config);
    if (err == RDG_OK) err = put_config(registry, name, descriptor, config);
    json_decref(config);
    rdg_buf_fini(&bytes);
    return err;
}

rdg_err_t image_form_apply(const cli_t *cli, rdg_images_client_t *registry, const char *name,
                           json_t *manifest, rdg_buf_t *bytes) {
    bool configured = cli_has(cli, "ports") || cli_has(cli, "env-file");
    if (configured) RDG_TRY(configure(cli, registry, name, manifest));
    if (!annotate(cli, manifest) && !configured) return RDG_OK;
    rdg_buf_clear(bytes);
    return rdg_json_dump(manifest, bytes);
}
