/* Driver `docker`: containers of an engine that speaks Docker's Engine API on a local socket, Docker's own or Podman's.
 *
 * What runs is what driver oci would run: the image is pulled, verified and judged here (image.h) and handed to the engine
 * as one archive (engine_image.h), and the container has the same walls (bundle.h): no capability, no new privileges, the
 * calls of seccomp.h, a read-only root, the host's network and nothing else of it.
 *
 * state_dir of a container: run (run_state.h), seccomp.json, log-seen (engine_log.h). An engine that is away does not hide a
 * container that runs: its process is known by pid and start time. */
#include "bundle.h"
#include "engine_image.h"
#include "engine_log.h"
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include "run_state.h"
#include "seccomp.h"
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define IMAGE_BYTES_DEFAULT (4ull << 30)
#define CALL_TIMEOUT_MS 60000u
#define PATH_TEXT 256
#define IMAGES_KEPT_MAX 256

typedef struct driver_docker {
    rdg_container_driver_t driver;
    char *root, *data_mount, *socket, *cloud_socket, *trust_file;
    engine_t engine;
    uint64_t image_bytes_max;
    pthread_rwlock_t images;
} driver_docker_t;

/* --- finding ---------------------------------------------------------------------------------------------------- */

/* As waitpid tells it; engines say 128 + n for signal n. */
static int wait_status(json_int_t code) {
    return code > 128 && code < 128 + 65 ? (int)(code - 128) : (int)(code & 0xff) << 8;
}

/* The engine's answer, or NULL: it has no such container. */
static rdg_err_t inspect(const driver_docker_t *d, const char *id, json_t **out) {
    char path[PATH_TEXT];
    snprintf(path, sizeof path, "/containers/%s/json", id);
    *out = NULL;
    rdg_err_t err = engine_call(&d->engine, "GET", path, NULL, CALL_TIMEOUT_MS, out);
    return err == RDG_E_NOT_FOUND ? RDG_OK : err;
}

static rdg_err_t take_state(const rdg_container_spec_t *spec, const json_t *container,
                            rdg_container_status_t *out, container_proc_t *proc) {
    const json_t *state = json_object_get(container, "State");
    json_int_t pid = json_integer_value(json_object_get(state, "Pid"));
    bool running = json_is_true(json_object_get(state, "Running")) && pid > 1 && pid <= INT32_MAX;
    if (running && container_proc_identify((pid_t)pid, proc) == RDG_OK) {
        out->state = RDG_CONTAINER_RUNNING;
        out->pid = proc->pid;
        out->rss_kib = container_proc_rss_kib(proc->pid);
        return container_run_save(spec->state_dir, proc);
    }
    const char *word = json_string_value(json_object_get(state, "Status"));
    if (word && strcmp(word, "created") == 0) return RDG_OK; /* it never began */
    out->state = RDG_CONTAINER_EXITED;
    if (running) { /* its process is gone, and the engine has not seen it: who looks again learns how it ended */
        out->exit_status = -1;
        return RDG_OK;
    }
    out->exit_status = wait_status(json_integer_value(json_object_get(state, "ExitCode")));
    return container_run_save_exit(spec->state_dir, out->exit_status);
}

static void copy_log(const driver_docker_t *d, const rdg_container_spec_t *spec) {
    char id[CONTAINER_ID_MAX];
    container_id(spec, id);
    rdg_err_t err = engine_log_copy(&d->engine, id, spec);
    if (err != RDG_OK && err != RDG_E_NOT_FOUND)
        rdg_log(RDG_LOG_WARN, "docker.log_not_copied", RDG_STR("id", id),
                RDG_STR("why", rdg_err_message(err)));
}

/* A process that was recorded and is alive needs no engine to be seen. sure: what was recorded as ended is asked for all the
 * same, since whoever started it anew may have died before that was recorded. */
static rdg_err_t find(const driver_docker_t *d, const rdg_container_spec_t *spec, bool sure,
                      rdg_container_status_t *out, container_proc_t *proc) {
    char id[CONTAINER_ID_MAX];
    json_t *container = NULL;
    RDG_TRY(container_run_load(spec->state_dir, out, proc));
    if (out->state == RDG_CONTAINER_RUNNING) return RDG_OK;
    if (!sure && out->state == RDG_CONTAINER_EXITED && out->exit_status >= 0) return RDG_OK;
    if (!rdg_file_exists(spec->state_dir)) return RDG_OK;
    container_id(spec, id);
    RDG_TRY(inspect(d, id, &container));
    rdg_err_t err = container ? take_state(spec, container, out, proc) : RDG_OK;
    json_decref(container);
    if (err == RDG_OK && out->state == RDG_CONTAINER_EXITED) copy_log(d, spec); /* nobody looks again */
    return err;
}

/* --- making ----------------------------------------------------------------------------------------------------- */

/* Asked each time: another engine may listen there after an update of the device. */
static rdg_err_t is_podman(const driver_docker_t *d, bool *out) {
    json_t *version = NULL;
    rdg_buf_t text;
    RDG_TRY(engine_call(&d->engine, "GET", "/version", NULL, CALL_TIMEOUT_MS, &version));
    rdg_buf_init(&text, ENGINE_ANSWER_MAX);
    rdg_err_t err =
        version ? rdg_json_dump(version, &text)
                : rdg_fail(RDG_E_PROTOCOL, "what answers at %.200s is no container engine", d->socket);
    *out = err == RDG_OK && rdg_buf_cstr(&text) && strstr(rdg_buf_cstr(&text), "Podman Engine");
    rdg_buf_fini(&text);
    json_decref(version);
    return err;
}

/* Docker takes the profile in the option itself, Podman's API a path. */
static rdg_err_t seccomp_option(const driver_docker_t *d, const rdg_container_spec_t *spec, json_t **out) {
    char path[PATH_MAX];
    bool by_path;
    RDG_TRY(is_podman(d, &by_path));
    rdg_buf_t text;
    json_t *profile = seccomp_profile();
    rdg_buf_init(&text, 256u << 10);
    rdg_err_t err = profile ? RDG_OK : rdg_fail(RDG_E_NO_MEMORY, "no memory for a seccomp profile");
    if (err == RDG_OK && !by_path) err = rdg_buf_str(&text, "seccomp=");
    if (err == RDG_OK) err = rdg_json_dump(profile, &text);
    if (err == RDG_OK && by_path) {
        err = rdg_path_join(path, sizeof path, spec->state_dir, "seccomp.json");
        if (err == RDG_OK) err = rdg_file_replace(path, rdg_buf_view(&text), 0600);
        rdg_buf_clear(&text);
        if (err == RDG_OK) err = rdg_buf_printf(&text, "seccomp=%s", path);
    }
    *out = err == RDG_OK && rdg_buf_cstr(&text) ? json_string(rdg_buf_cstr(&text)) : NULL;
    if (err == RDG_OK && !*out) err = rdg_fail(RDG_E_NO_MEMORY, "no memory for a seccomp profile");
    rdg_buf_fini(&text);
    json_decref(profile);
    return err;
}

static json_t *host_config(const driver_docker_t *d, const rdg_container_spec_t *spec, json_t *seccomp) {
    json_t *o = json_pack(
        "{s:s, s:s, s:b, s:[s], s:[s, o], s:I, s:I, s:I, s:[{s:s, s:s, s:s}], s:{s:s}, s:I, s:i, s:{s:s}}",
        "NetworkMode", "host", "IpcMode", "private", "ReadonlyRootfs", 1, "CapDrop", "ALL", "SecurityOpt",
        "no-new-privileges", seccomp, "PidsLimit",
        (json_int_t)(spec->pids ? spec->pids : BUNDLE_PIDS_DEFAULT), "Memory", (json_int_t)spec->memory_bytes,
        "NanoCpus", (json_int_t)spec->cpu_millis * 1000000, "Mounts", "Type", "bind", "Source",
        spec->data_dir, "Target", d->data_mount, "Tmpfs", "/tmp", "rw,nosuid,nodev,size=16m,mode=1777",
        "ShmSize", (json_int_t)(16 << 20), "OomScoreAdj", BUNDLE_OOM_SCORE, "RestartPolicy", "Name", "");
    json_object_set_new(o, "Ulimits",
                        json_pack("[{s:s, s:i, s:i}, {s:s, s:i, s:i}, {s:s, s:i, s:i}]", "Name", "nofile",
                                  "Soft", 1024, "Hard", 1024, "Name", "core", "Soft", 0, "Hard", 0, "Name",
                                  "nproc", "Soft", 1024, "Hard", 1024));
    json_object_set_new(o, "LogConfig",
                        json_pack("{s:s, s:{s:s}}", "Type", "json-file", "Config", "max-size", "16m"));
    return o;
}

static rdg_err_t create(const driver_docker_t *d, const rdg_container_spec_t *spec, const image_t *image,
                        const char *id) {
    char path[PATH_TEXT];
    json_t *seccomp = NULL, *args = json_array();
    rdg_err_t err = seccomp_option(d, spec, &seccomp);
    if (err != RDG_OK) {
        json_decref(args);
        return err;
    }
    for (size_t i = 0; spec->args && spec->args[i]; ++i)
        json_array_append_new(args, json_string(spec->args[i]));
    json_t *o = json_pack("{s:s, s:{s:s}, s:o}", "Image", image->config, "Labels", "ridge.state",
                          spec->state_dir, "HostConfig", host_config(d, spec, seccomp));
    if (json_array_size(args) > 0) json_object_set(o, "Cmd", args);
    json_decref(args);
    snprintf(path, sizeof path, "/containers/create?name=%s", id);
    return engine_call(&d->engine, "POST", path, o, CALL_TIMEOUT_MS, NULL);
}

static rdg_err_t discard(const driver_docker_t *d, const char *id) {
    char path[PATH_TEXT];
    snprintf(path, sizeof path, "/containers/%s?force=1&v=1", id);
    rdg_err_t err = engine_call(&d->engine, "DELETE", path, NULL, CALL_TIMEOUT_MS, NULL);
    return err == RDG_E_NOT_FOUND ? RDG_OK : err;
}

/* Who is not root inside owns his directory outside, as with driver oci; a name would have to be looked up inside. */
static rdg_err_t give_data(const rdg_container_spec_t *spec, const json_t *config) {
    bundle_user_t user;
    RDG_TRY(bundle_user(spec->state_dir, config, &user));
    if (user.uid == 0 || chown(spec->data_dir, (uid_t)user.uid, (gid_t)user.gid) == 0) return RDG_OK;
    return rdg_fail_errno(errno, "cannot give %s to user %llu", spec->data_dir, (unsigned long long)user.uid);
}

static rdg_err_t run(const driver_docker_t *d, const rdg_container_spec_t *spec, const image_t *image,
                     const char *id) {
    char path[PATH_TEXT];
    json_t *container = NULL;
    rdg_container_status_t status = {0};
    container_proc_t proc;
    RDG_TRY(discard(d, id)); /* what ended before; its output was copied when that was seen */
    engine_log_reset(spec);
    RDG_TRY(container_run_forget(spec->state_dir)); /* or the end of that one would be taken for this one's */
    RDG_TRY(create(d, spec, image, id));
    snprintf(path, sizeof path, "/containers/%s/start", id);
    rdg_err_t err = engine_call(&d->engine, "POST", path, NULL, CALL_TIMEOUT_MS, NULL);
    if (err == RDG_OK) err = inspect(d, id, &container);
    if (err == RDG_OK) err = take_state(spec, container, &status, &proc);
    json_decref(container);
    if (err == RDG_OK && status.state == RDG_CONTAINER_EXITED) copy_log(d, spec); /* it was quick */
    if (err != RDG_OK) (void)discard(d, id);
    return err;
}

static rdg_err_t launch(const driver_docker_t *d, const rdg_container_spec_t *spec, image_t *image) {
    char id[CONTAINER_ID_MAX];
    json_t *config = NULL;
    RDG_TRY(image_find_packed(d->root, spec->image ? spec->image : "", image));
    RDG_TRY(image_may_run(d->root, d->trust_file, spec->image, image));
    RDG_TRY(image_config(d->root, image, &config));
    const rdg_container_spec_t s = image_limited(spec, image, config);
    container_id(spec, id);
    rdg_err_t err = give_data(spec, config);
    json_decref(config);
    if (err == RDG_OK) err = run(d, &s, image, id);
    if (err == RDG_E_NOT_FOUND)
        return rdg_fail(RDG_E_NOT_FOUND, "the container engine has image %s no more: prepare it again",
                        spec->image);
    return rdg_fail_in(err, "cannot start the container of %s", spec->name);
}

/* --- the interface ---------------------------------------------------------------------------------------------- */

static bool has_image(void *ctx, const char *config) {
    const driver_docker_t *d = ctx;
    return engine_image_present(&d->engine, config);
}

static rdg_err_t docker_prepare(void *ctx, const char *reference, rdg_container_progress_fn progress,
                                void *progress_ctx) {
    driver_docker_t *d = ctx;
    image_pull_t how = {.root = d->root,
                        .bytes_max = d->image_bytes_max,
                        .cloud_socket = d->cloud_socket,
                        .progress = progress,
                        .progress_ctx = progress_ctx,
                        .trust_file = d->trust_file,
                        .engine_has = has_image,
                        .engine_ctx = d};
    image_t *image = rdg_calloc(1, sizeof *image);
    if (!image) return rdg_fail(RDG_E_NO_MEMORY, "no memory for an image");
    pthread_rwlock_rdlock(&d->images);
    /* Without the engine nothing could be done with what is pulled. */
    rdg_err_t err = rdg_container_docker_check(d->socket);
    if (err == RDG_OK) err = image_pull(&how, reference);
    if (err == RDG_OK) err = image_find_packed(d->root, reference, image);
    if (err == RDG_OK && !has_image(d, image->config))
        err = rdg_fail_in(engine_image_load(&d->engine, d->root, image), "cannot load %s", reference);
    pthread_rwlock_unlock(&d->images);
    rdg_free(image);
    return err;
}

static rdg_err_t docker_collect(void *ctx, const char *const *needed, size_t count, uint64_t budget_bytes,
                                uint64_t *freed) {
    driver_docker_t *d = ctx;
    size_t kept = 0;
    image_t *image = rdg_calloc(1, sizeof *image);
    char(*keep)[IMAGE_DIGEST_TEXT] = rdg_calloc(IMAGES_KEPT_MAX, sizeof *keep);
    rdg_err_t err = image && keep ? RDG_OK : rdg_fail(RDG_E_NO_MEMORY, "no memory to look at images");
    if (err == RDG_OK && pthread_rwlock_trywrlock(&d->images) != 0) {
        err = rdg_fail(RDG_E_BUSY, "an image is being pulled");
    } else if (err == RDG_OK) {
        for (size_t i = 0; i < count && kept < IMAGES_KEPT_MAX; ++i)
            if (image_find_packed(d->root, needed[i], image) == RDG_OK)
                memcpy(keep[kept++], image->config, sizeof keep[0]);
        err = engine_image_collect(&d->engine, (const char(*)[IMAGE_DIGEST_TEXT])keep, kept, budget_bytes,
                                   freed);
        pthread_rwlock_unlock(&d->images);
    }
    rdg_free(image);
    rdg_free(keep);
    return err;
}

static rdg_err_t docker_start(void *ctx, const rdg_container_spec_t *spec) {
    driver_docker_t *d = ctx;
    rdg_container_status_t status;
    container_proc_t proc;
    image_t *image = rdg_calloc(1, sizeof *image);
    rdg_err_t err = image ? rdg_dir_make(spec->state_dir, 0700)
                          : rdg_fail(RDG_E_NO_MEMORY, "no memory to start %s", spec->name);
    if (err == RDG_OK) err = find(d, spec, true, &status, &proc);
    if (err == RDG_OK && status.state != RDG_CONTAINER_RUNNING) err = launch(d, spec, image);
    rdg_free(image);
    return err;
}

static rdg_err_t docker_stop(void *ctx, const rdg_container_spec_t *spec, uint64_t grace_ms) {
    driver_docker_t *d = ctx;
    rdg_container_status_t status;
    container_proc_t proc;
    char id[CONTAINER_ID_MAX], path[PATH_TEXT];
    json_t *container = NULL;
    container_id(spec, id);
    RDG_TRY(find(d, spec, true, &status, &proc));
    if (status.state != RDG_CONTAINER_RUNNING) return RDG_OK;
    snprintf(path, sizeof path, "/containers/%s/stop?t=%llu", id,
             (unsigned long long)((grace_ms + 999) / 1000));
    rdg_err_t err = engine_call(&d->engine, "POST", path, NULL, CALL_TIMEOUT_MS + grace_ms, NULL);
    /* Somebody else removed the container: its process has to go all the same. */
    if (err == RDG_E_NOT_FOUND) err = container_proc_stop(&proc, grace_ms);
    if (err != RDG_OK) return rdg_fail_in(err, "cannot stop %s", spec->name);
    copy_log(d, spec);
    RDG_TRY(inspect(d, id, &container));
    status.exit_status = container ? wait_status(json_integer_value(
                                         json_object_get(json_object_get(container, "State"), "ExitCode")))
                                   : -1;
    json_decref(container);
    return container_run_save_exit(spec->state_dir, status.exit_status);
}

static rdg_err_t docker_remove(void *ctx, const rdg_container_spec_t *spec, uint64_t *freed) {
    driver_docker_t *d = ctx;
    char id[CONTAINER_ID_MAX];
    if (!rdg_file_exists(spec->state_dir)) return RDG_OK;
    RDG_TRY(docker_stop(ctx, spec, 0));
    container_id(spec, id);
    RDG_TRY(rdg_fail_in(discard(d, id), "cannot remove the container of %s", spec->name));
    return rdg_tree_remove(spec->state_dir, freed);
}

static rdg_err_t docker_status(void *ctx, const rdg_container_spec_t *spec, rdg_container_status_t *out) {
    driver_docker_t *d = ctx;
    container_proc_t proc;
    RDG_TRY(find(d, spec, false, out, &proc));
    if (out->state == RDG_CONTAINER_RUNNING) copy_log(d, spec);
    return RDG_OK;
}

static rdg_err_t docker_watch(void *ctx, const rdg_container_spec_t *spec, int *fd) {
    rdg_container_status_t status;
    container_proc_t proc;
    RDG_TRY(find(ctx, spec, false, &status, &proc));
    *fd = status.state == RDG_CONTAINER_RUNNING ? container_proc_open(&proc) : -1;
    return *fd >= 0 ? RDG_OK : rdg_fail(RDG_E_NOT_FOUND, "%s does not run", spec->name);
}

static void docker_free(void *ctx) {
    driver_docker_t *d = ctx;
    pthread_rwlock_destroy(&d->images);
    rdg_free(d->root);
    rdg_free(d->data_mount);
    rdg_free(d->socket);
    rdg_free(d->cloud_socket);
    rdg_free(d->trust_file);
    rdg_free(d);
}

rdg_err_t rdg_container_docker_check(const char *socket) {
    const engine_t e = {socket ? socket : RDG_CONTAINER_DOCKER_SOCKET};
    return engine_call(&e, "GET", "/_ping", NULL, CALL_TIMEOUT_MS, NULL);
}

rdg_err_t rdg_container_docker_new(const rdg_container_docker_options_t *options,
                                   rdg_container_driver_t **out) {
    driver_docker_t *d = rdg_calloc(1, sizeof *d);
    if (!d) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the docker driver");
    pthread_rwlock_init(&d->images, NULL);
    d->root = rdg_strdup(options->root);
    d->data_mount = rdg_strdup(options->data_mount ? options->data_mount : RDG_CONTAINER_DATA_MOUNT);
    d->socket = rdg_strdup(options->socket ? options->socket : RDG_CONTAINER_DOCKER_SOCKET);
    d->cloud_socket = rdg_strdup(options->cloud_socket);
    d->trust_file = rdg_strdup(options->trust_file);
    bool got = d->root && d->data_mount && d->socket && (d->cloud_socket || !options->cloud_socket) &&
               (d->trust_file || !options->trust_file);
    d->engine.socket = d->socket;
    d->image_bytes_max = options->image_bytes_max ? options->image_bytes_max : IMAGE_BYTES_DEFAULT;
    rdg_err_t err =
        got ? rdg_dir_make(d->root, 0700) : rdg_fail(RDG_E_NO_MEMORY, "no memory for the docker driver");
    if (err != RDG_OK) {
        docker_free(d);
        return err;
    }
    d->driver = (rdg_container_driver_t){.name = "docker",
                                         .data_mount = d->data_mount,
                                         .prepare = docker_prepare,
                                         .collect = docker_collect,
                                         .start = docker_start,
                                         .stop = docker_stop,
                                         .remove = docker_remove,
                                         .status = docker_status,
                                         .watch = docker_watch,
                                         .free = docker_free,
                                         .ctx = d};
    *out = &d->driver;
    return RDG_OK;
}
