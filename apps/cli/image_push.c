#include "image.h"
#include "image_form.h"
#include "image_source.h"
#include "ridge/base/alloc.h"
#include "ridge/base/clock.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define REF_NAME "org.opencontainers.image.ref.name"
#define OCI "application/vnd.oci.image."
#define JSON_MAX (4u << 20)
#define PARTS_MAX 1024

/* One push: what was done, told while it is done and at the end. */
typedef struct push {
    cli_t *cli;
    rdg_images_client_t *registry;
    image_source_t *source;
    image_name_t to;
    uint64_t shown_ms, bytes_sent;
    size_t done, total; /* blobs */
    size_t sent, mounted, there;
} push_t;

/* --- blobs ------------------------------------------------------------------------------------------- */

typedef struct shown {
    push_t *p;
    const char *digest;
    uint64_t size;
} shown_t;

static bool show(void *ctx, uint64_t done) {
    const shown_t *s = ctx;
    uint64_t now = rdg_mono_ms(rdg_clock_system());
    if (!isatty(STDERR_FILENO) || now < s->p->shown_ms + 200) return true;
    s->p->shown_ms = now;
    fprintf(stderr, "\rblob %zu of %zu: %" PRIu64 " of %" PRIu64 " bytes ", s->p->done + 1, s->p->total, done,
            s->size);
    return true;
}

static rdg_err_t push_file(push_t *p, const char *digest, const image_file_t *file) {
    shown_t s = {p, digest, file->size};
    rdg_images_pushed_t how = RDG_IMAGES_THERE;
    const rdg_images_blob_t blob = {.name = p->to.name,
                                    .digest = digest,
                                    .fd = file->fd,
                                    .offset = file->offset,
                                    .size = file->size,
                                    .progress = show,
                                    .ctx = &s};
    RDG_TRY(rdg_images_push_blob(p->registry, &blob, &how));
    ++p->done;
    p->sent += how == RDG_IMAGES_SENT;
    p->mounted += how == RDG_IMAGES_MOUNTED;
    p->there += how == RDG_IMAGES_THERE;
    if (how == RDG_IMAGES_SENT) p->bytes_sent += file->size;
    return RDG_OK;
}

static rdg_err_t push_part(push_t *p, const json_t *descriptor) {
    const char *digest = json_string_value(json_object_get(descriptor, "digest"));
    char name[200];
    image_file_t file;
    if (!digest || !rdg_image_digest_valid(digest))
        return rdg_fail(RDG_E_MALFORMED, "a manifest names a part without a digest");
    snprintf(name, sizeof name, "blobs/%.6s/%s", digest, digest + 7);
    RDG_TRY(image_source_find(p->source, name, &file));
    rdg_err_t err = push_file(p, digest, &file);
    close(file.fd);
    return err;
}

/* --- manifests ------------------------------------------------------------------------------------------ */

static const char *type_of(const json_t *manifest, const char *otherwise) {
    const char *type = json_string_value(json_object_get(manifest, "mediaType"));
    return type ? type : otherwise;
}

static rdg_err_t push_parts(push_t *p, const json_t *manifest) {
    const json_t *layers = json_object_get(manifest, "layers"), *layer;
    size_t i;
    if (json_array_size(layers) > PARTS_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "an image of more than %d layers", PARTS_MAX);
    p->total += json_array_size(layers) + 1;
    RDG_TRY(push_part(p, json_object_get(manifest, "config")));
    json_array_foreach(layers, i, layer) RDG_TRY(push_part(p, layer));
    return RDG_OK;
}

static rdg_err_t read_blob(const push_t *p, const char *digest, rdg_buf_t *out) {
    char name[200], actual[RDG_IMAGE_DIGEST_MAX];
    if (!digest || !rdg_image_digest_valid(digest) || strncmp(digest, "sha256:", 7) != 0)
        return rdg_fail(RDG_E_MALFORMED, "'%.100s' is no sha256 digest", digest ? digest : "");
    snprintf(name, sizeof name, "blobs/sha256/%s", digest + 7);
    RDG_TRY(image_source_read(p->source, name, JSON_MAX, out));
    rdg_image_digest(rdg_buf_view(out), actual);
    return strcmp(actual, digest) == 0 ? RDG_OK
                                       : rdg_fail(RDG_E_CORRUPT, "%s holds the bytes of %s", name, actual);
}

static rdg_err_t push_children(push_t *p, const json_t *index);

/* Its parts; then itself, with the form's annotations when it is the topmost, under the tag. */
static rdg_err_t push_manifest(push_t *p, const char *digest, bool top, char pushed[RDG_IMAGE_DIGEST_MAX]) {
    rdg_buf_t bytes;
    json_t *m = NULL;
    rdg_buf_init(&bytes, JSON_MAX);
    rdg_err_t err = read_blob(p, digest, &bytes);
    if (err == RDG_OK) err = rdg_json_parse(rdg_buf_view(&bytes), &m);
    bool index = json_object_get(m, "manifests") != NULL;
    if (err == RDG_OK && index && !top) err = rdg_fail(RDG_E_UNSUPPORTED, "an index within an index");
    if (err == RDG_OK) err = index ? push_children(p, m) : push_parts(p, m);
    if (err == RDG_OK && top) err = image_form_apply(p->cli, p->registry, p->to.name, m, &bytes);
    rdg_image_digest(rdg_buf_view(&bytes), pushed);
    if (err == RDG_OK)
        err = rdg_images_put_manifest(p->registry, p->to.name, top ? p->to.tag : pushed,
                                      type_of(m, index ? OCI "index.v1+json" : OCI "manifest.v1+json"),
                                      rdg_buf_view(&bytes));
    json_decref(m);
    rdg_buf_fini(&bytes);
    return err;
}

static rdg_err_t push_children(push_t *p, const json_t *index) {
    const json_t *entry;
    char ignored[RDG_IMAGE_DIGEST_MAX];
    size_t i;
    json_array_foreach(json_object_get(index, "manifests"), i, entry)
        RDG_TRY(push_manifest(p, json_string_value(json_object_get(entry, "digest")), false, ignored));
    return RDG_OK;
}

/* --- which image of the source --------------------------------------------------------------------------- */

static const char *ref_of(const json_t *entry) {
    const char *text = json_string_value(json_object_get(json_object_get(entry, "annotations"), REF_NAME));
    return text ? text : "";
}

static rdg_err_t which(const push_t *p, const json_t *names) {
    char text[300] = "";
    const json_t *name;
    size_t i;
    json_array_foreach(names, i, name) {
        size_t len = strlen(text);
        snprintf(text + len, sizeof text - len, "%s%s", i ? ", " : "", json_string_value(name));
    }
    const char *wanted = cli_flag(p->cli, "image", NULL);
    if (wanted)
        return rdg_fail(RDG_E_NOT_FOUND, "%s holds no image %.80s; it has: %s", p->cli->args[0], wanted,
                        text);
    return rdg_fail(RDG_E_INVALID, "%s holds %zu images: say which with --image (%s)", p->cli->args[0],
                    json_array_size(names), text);
}

static rdg_err_t push_layout(push_t *p, char pushed[RDG_IMAGE_DIGEST_MAX]) {
    const char *wanted = cli_flag(p->cli, "image", NULL);
    rdg_buf_t bytes;
    json_t *index = NULL, *entry, *chosen = NULL, *names = json_array();
    size_t i;
    rdg_buf_init(&bytes, JSON_MAX);
    rdg_err_t err = image_source_read(p->source, "index.json", JSON_MAX, &bytes);
    if (err == RDG_OK) err = rdg_json_parse(rdg_buf_view(&bytes), &index);
    json_t *list = json_object_get(index, "manifests");
    json_array_foreach(list, i, entry) {
        json_array_append_new(names, json_string(ref_of(entry)));
        if (wanted ? strcmp(ref_of(entry), wanted) == 0 : json_array_size(list) == 1) chosen = entry;
    }
    if (err == RDG_OK && !chosen) err = which(p, names);
    if (err == RDG_OK)
        err = push_manifest(p, json_string_value(json_object_get(chosen, "digest")), true, pushed);
    json_decref(names);
    json_decref(index);
    rdg_buf_fini(&bytes);
    return err;
}

/* --- docker-archive --------------------------------------------------------------------------------------- */

static rdg_err_t push_named(push_t *p, const json_t *name, const char *type, json_t **descriptor) {
    char digest[RDG_IMAGE_DIGEST_MAX];
    image_file_t file;
    if (!json_is_string(name)) return rdg_fail(RDG_E_MALFORMED, "manifest.json of the archive names no file");
    RDG_TRY(image_source_find(p->source, json_string_value(name), &file));
    rdg_err_t err = image_source_digest(&file, digest);
    if (err == RDG_OK) err = push_file(p, digest, &file);
    close(file.fd);
    if (err != RDG_OK) return err;
    *descriptor =
        json_pack("{s:s, s:s, s:I}", "mediaType", type, "digest", digest, "size", (json_int_t)file.size);
    return *descriptor ? RDG_OK : rdg_fail(RDG_E_NO_MEMORY, "no memory for a manifest");
}

static rdg_err_t build_manifest(push_t *p, const json_t *image, json_t **out) {
    const json_t *names = json_object_get(image, "Layers"), *name;
    json_t *config = NULL, *layers = json_array(), *layer = NULL;
    size_t i;
    p->total = json_array_size(names) + 1;
    rdg_err_t err = json_array_size(names) > PARTS_MAX
                        ? rdg_fail(RDG_E_TOO_LARGE, "an image of more than %d layers", PARTS_MAX)
                        : push_named(p, json_object_get(image, "Config"), OCI "config.v1+json", &config);
    json_array_foreach(names, i, name) {
        if (err == RDG_OK) err = push_named(p, name, OCI "layer.v1.tar", &layer);
        if (err == RDG_OK) json_array_append_new(layers, layer);
    }
    if (err == RDG_OK)
        *out = json_pack("{s:i, s:s, s:O, s:O}", "schemaVersion", 2, "mediaType", OCI "manifest.v1+json",
                         "config", config, "layers", layers);
    json_decref(config);
    json_decref(layers);
    return err == RDG_OK && !*out ? rdg_fail(RDG_E_NO_MEMORY, "no memory for a manifest") : err;
}

static rdg_err_t put_built(push_t *p, json_t *m, char pushed[RDG_IMAGE_DIGEST_MAX]) {
    rdg_buf_t bytes;
    rdg_buf_init(&bytes, JSON_MAX);
    rdg_err_t err = rdg_json_dump(m, &bytes);
    if (err == RDG_OK) err = image_form_apply(p->cli, p->registry, p->to.name, m, &bytes);
    rdg_image_digest(rdg_buf_view(&bytes), pushed);
    if (err == RDG_OK)
        err = rdg_images_put_manifest(p->registry, p->to.name, p->to.tag, OCI "manifest.v1+json",
                                      rdg_buf_view(&bytes));
    rdg_buf_fini(&bytes);
    return err;
}

static bool has_tag(const json_t *image, const char *wanted) {
    const json_t *tag;
    size_t i;
    json_array_foreach(json_object_get(image, "RepoTags"), i,
                       tag) if (json_is_string(tag) &&
                                strcmp(json_string_value(tag), wanted) == 0) return true;
    return false;
}

static rdg_err_t push_docker_archive(push_t *p, char pushed[RDG_IMAGE_DIGEST_MAX]) {
    const char *wanted = cli_flag(p->cli, "image", NULL);
    rdg_buf_t bytes;
    json_t *list = NULL, *image, *chosen = NULL, *m = NULL, *names = json_array();
    size_t i;
    rdg_buf_init(&bytes, JSON_MAX);
    rdg_err_t err = image_source_read(p->source, "manifest.json", JSON_MAX, &bytes);
    if (err == RDG_OK) err = rdg_json_parse(rdg_buf_view(&bytes), &list);
    json_array_foreach(list, i, image) {
        const char *tag = json_string_value(json_array_get(json_object_get(image, "RepoTags"), 0));
        json_array_append_new(names, json_string(tag ? tag : ""));
        if (wanted ? has_tag(image, wanted) : json_array_size(list) == 1) chosen = image;
    }
    if (err == RDG_OK && !chosen) err = which(p, names);
    if (err == RDG_OK) err = build_manifest(p, chosen, &m);
    if (err == RDG_OK) err = put_built(p, m, pushed);
    json_decref(m);
    json_decref(names);
    json_decref(list);
    rdg_buf_fini(&bytes);
    return err;
}

/* --- the commands ------------------------------------------------------------------------------------------ */

static void tell(const push_t *p, const char *digest) {
    json_t *about =
        json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I}", "name", p->to.name, "tag", p->to.tag, "digest",
                  digest, "blobs_sent", (json_int_t)p->sent, "blobs_mounted", (json_int_t)p->mounted,
                  "blobs_there", (json_int_t)p->there, "bytes_sent", (json_int_t)p->bytes_sent);
    if (p->shown_ms) fprintf(stderr, "\r%70s\r", "");
    if (p->cli->json)
        out_json(about);
    else
        out_fields(about,
                   COLUMNS("Name=name", "Tag=tag", "Digest=digest", "Blobs sent=blobs_sent",
                           "Mounted=blobs_mounted", "There already=blobs_there", "Bytes sent=bytes_sent"));
    json_decref(about);
}

static rdg_err_t push(cli_t *cli) {
    push_t p = {.cli = cli};
    char digest[RDG_IMAGE_DIGEST_MAX] = "";
    RDG_TRY(image_name_parse(cli->args[1], &p.to));
    if (!p.to.tag[0])
        return rdg_fail(RDG_E_INVALID, "under which tag: give NAME:TAG, not %.100s", cli->args[1]);
    RDG_TRY(image_form_check(cli));
    RDG_TRY(image_source_open(cli->args[0], &p.source));
    rdg_err_t err = cli_registry(cli, &p.registry);
    if (err == RDG_OK)
        err = image_source_is_layout(p.source) ? push_layout(&p, digest) : push_docker_archive(&p, digest);
    rdg_images_client_free(p.registry);
    image_source_close(p.source);
    if (err == RDG_OK) tell(&p, digest);
    return rdg_fail_in(err, "cannot push %s", cli->args[0]);
}

static rdg_err_t set_in(cli_t *cli, rdg_images_client_t *registry, const image_name_t *to,
                        char before[RDG_IMAGE_DIGEST_MAX], char after[RDG_IMAGE_DIGEST_MAX]) {
    rdg_buf_t bytes;
    json_t *m = NULL;
    rdg_buf_init(&bytes, JSON_MAX);
    rdg_err_t err = rdg_images_get_manifest(registry, to->name, to->tag, &bytes, before);
    if (err == RDG_OK) err = rdg_json_parse(rdg_buf_view(&bytes), &m);
    if (err == RDG_OK) err = image_form_apply(cli, registry, to->name, m, &bytes);
    rdg_image_digest(rdg_buf_view(&bytes), after);
    if (err == RDG_OK && strcmp(before, after) != 0)
        err = rdg_images_put_manifest(registry, to->name, to->tag, type_of(m, OCI "manifest.v1+json"),
                                      rdg_buf_view(&bytes));
    json_decref(m);
    rdg_buf_fini(&bytes);
    return err;
}

static rdg_err_t set(cli_t *cli) {
    rdg_images_client_t *registry = NULL;
    image_name_t to;
    char before[RDG_IMAGE_DIGEST_MAX], after[RDG_IMAGE_DIGEST_MAX];
    RDG_TRY(image_name_parse(cli->args[0], &to));
    if (!to.tag[0]) return rdg_fail(RDG_E_INVALID, "of which tag: give NAME:TAG, not %.100s", cli->args[0]);
    RDG_TRY(image_form_check(cli));
    RDG_TRY(cli_registry(cli, &registry));
    rdg_err_t err = set_in(cli, registry, &to, before, after);
    rdg_images_client_free(registry);
    RDG_TRY(rdg_fail_in(err, "%s", cli->args[0]));
    json_t *about =
        json_pack("{s:s, s:s, s:s, s:s}", "name", to.name, "tag", to.tag, "digest", after, "before", before);
    if (cli->json)
        out_json(about);
    else
        out_fields(about, COLUMNS("Name=name", "Tag=tag", "Digest=digest", "Before=before"));
    json_decref(about);
    if (!cli->json && strcmp(before, after) != 0)
        printf("the image has another digest now: sign it anew with 'ridge image sign %s'\n", cli->args[0]);
    return RDG_OK;
}

const command_t image_push_commands[] = {
    {"image",
     "push",
     "SOURCE NAME:TAG",
     "push an OCI layout (directory or tar) or a docker-archive to the cloud's registry",
     2,
     2,
     push,
     {{"image", "REF", "which one, when SOURCE holds several"}, IMAGE_FORM_FLAGS, {0}}},
    {"image",
     "set",
     "NAME:TAG",
     "change what an image says of itself; it has another digest then",
     1,
     1,
     set,
     {IMAGE_FORM_FLAGS, {0}}},
    {0},
};
