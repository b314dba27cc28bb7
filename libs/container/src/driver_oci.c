/* Driver `oci`: image unpacked into layers, overlayfs, runc or crun.
 *
 * state_dir of a container: run (run_state.h), upper/ and work/ (overlay), rootfs/ (the mount), config.json
 * (the bundle), pid (written by the runtime), runtime.log. The runtime's own state is in <root>/run. */
#include "bundle.h"
#include "image.h"
#include "image_collect.h"
#include "manifest.h"
#include "ridge/base/alloc.h"
#include "ridge/base/config.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include "ridge/codec/hex.h"
#include "ridge/crypto/hash.h"
#include "ridge/net/process.h"
#include "run_state.h"
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <unistd.h>

#define IMAGE_BYTES_DEFAULT (4ull << 30)
#define RUNTIME_TIMEOUT_MS 30000u
#define OVERLAY_OPTIONS_MAX 4096u /* what mount(2) takes: a page */

typedef struct driver_oci {
    rdg_container_driver_t driver;
    char *root, *data_mount, *state_root, *unpacker, *cloud_socket, *trust_file;
    char runtime[PATH_MAX];
    uint64_t image_bytes_max;
    pthread_rwlock_t images; /* read: images are being made; written: they are being collected */
} driver_oci_t;

typedef struct paths {
    char upper[PATH_MAX], work[PATH_MAX], rootfs[PATH_MAX], pid[PATH_MAX], log[PATH_MAX];
    char id[CONTAINER_ID_MAX];
} paths_t;

static rdg_err_t paths_of(const rdg_container_spec_t *spec, paths_t *p) {
    RDG_TRY(rdg_path_join(p->upper, sizeof p->upper, spec->state_dir, "upper"));
    RDG_TRY(rdg_path_join(p->work, sizeof p->work, spec->state_dir, "work"));
    RDG_TRY(rdg_path_join(p->rootfs, sizeof p->rootfs, spec->state_dir, "rootfs"));
    RDG_TRY(rdg_path_join(p->pid, sizeof p->pid, spec->state_dir, "pid"));
    RDG_TRY(rdg_path_join(p->log, sizeof p->log, spec->state_dir, "runtime.log"));
    container_id(spec, p->id);
    return RDG_OK;
}

static pid_t read_pid(const char *path) {
    rdg_buf_t text;
    uint64_t pid = 0;
    rdg_buf_init(&text, 32);
    const char *digits = rdg_file_read(path, &text) == RDG_OK ? rdg_buf_cstr(&text) : NULL;
    if (!digits || rdg_parse_u64(digits, &pid) != RDG_OK || pid > INT32_MAX) pid = 0;
    rdg_buf_fini(&text);
    return (pid_t)pid;
}

/* --- finding ---------------------------------------------------------------------------------------- */

static bool in_our_cgroup(pid_t pid, const char *id) {
    char path[64], text[8192];
    snprintf(path, sizeof path, "/proc/%ld/cgroup", (long)pid);
    FILE *f = fopen(path, "re");
    if (!f) return false;
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = '\0';
    return strstr(text, id) != NULL;
}

/* The state as recorded; or else the container that the runtime started before we could record it. */
static rdg_err_t find(const rdg_container_spec_t *spec, const paths_t *p, rdg_container_status_t *out,
                      container_proc_t *proc) {
    RDG_TRY(container_run_load(spec->state_dir, out, proc));
    if (out->state == RDG_CONTAINER_RUNNING) return RDG_OK;
    pid_t pid = read_pid(p->pid);
    if (pid <= 1 || !in_our_cgroup(pid, p->id) || container_proc_identify(pid, proc) != RDG_OK) return RDG_OK;
    out->state = RDG_CONTAINER_RUNNING;
    out->pid = proc->pid;
    out->rss_kib = container_proc_rss_kib(proc->pid);
    return container_run_save(spec->state_dir, proc);
}

/* --- the runtime ------------------------------------------------------------------------------------ */

static void delete_runtime_state(const driver_oci_t *d, const paths_t *p) {
    char output[512], state[PATH_MAX];
    const char *const argv[] = {d->runtime, "--root", d->state_root, "delete", "--force", p->id, NULL};
    if (rdg_path_join(state, sizeof state, d->state_root, p->id) != RDG_OK || !rdg_file_exists(state)) return;
    if (rdg_process_run(argv, RUNTIME_TIMEOUT_MS, output, sizeof output) != RDG_OK)
        rdg_log(RDG_LOG_WARN, "oci.delete_failed", RDG_STR("id", p->id), RDG_STR("output", output));
}

/* The last message of the runtime's log, which is a JSON object a line. */
static void runtime_reason(const paths_t *p, char *out, size_t size) {
    rdg_buf_t text;
    rdg_buf_init(&text, 65536);
    snprintf(out, size, "see %.300s", p->log);
    const char *line = rdg_file_read(p->log, &text) == RDG_OK ? rdg_buf_cstr(&text) : NULL;
    for (; line && *line; line += strcspn(line, "\n"), line += *line == '\n') {
        json_t *entry = NULL;
        const char *message = NULL;
        if (rdg_json_parse(rdg_bytes(line, strcspn(line, "\n")), &entry) == RDG_OK)
            message = json_string_value(json_object_get(entry, "msg"));
        if (message) snprintf(out, size, "%s", message);
        json_decref(entry);
    }
    rdg_buf_fini(&text);
}

/* The container keeps the standard output it is given, so it is the log file and never a pipe of ours. It may write where
 * that lies: a link there would lead what the next one says into any file of the device. */
static rdg_err_t runtime_run(const driver_oci_t *d, const rdg_container_spec_t *spec, const paths_t *p) {
    const char *const argv[] = {d->runtime,     "--root",   d->state_root,   "--log",    p->log,
                                "--log-format", "json",     "run",           "--detach", "--pid-file",
                                p->pid,         "--bundle", spec->state_dir, p->id,      NULL};
    rdg_process_options_t options = {
        .argv = argv, .log_path = spec->log_path, .log_no_link = true, .new_session = true};
    rdg_process_t *child = NULL;
    int status = 0;
    char why[400];
    (void)unlink(p->pid);
    (void)unlink(p->log);
    RDG_TRY(rdg_process_start(&options, &child));
    rdg_err_t err = rdg_process_wait(child, RUNTIME_TIMEOUT_MS, &status);
    if (err != RDG_OK) (void)rdg_process_stop(child, 0);
    rdg_process_free(child);
    if (err == RDG_OK && status != 0) {
        runtime_reason(p, why, sizeof why);
        err =
            rdg_fail(RDG_E_INTERNAL, "%s cannot start the container of %s: %s", d->runtime, spec->name, why);
    }
    return err;
}

/* --- the root file system --------------------------------------------------------------------------- */

/* Field 5 of a line of mountinfo is the mount point. */
static bool mounted(const char *path) {
    char real[PATH_MAX], line[PATH_MAX * 2];
    bool found = false;
    FILE *f = realpath(path, real) ? fopen("/proc/self/mountinfo", "re") : NULL;
    while (f && !found && fgets(line, sizeof line, f)) {
        char *save = NULL, *field = strtok_r(line, " ", &save);
        for (int i = 1; field && i < 5; ++i) field = strtok_r(NULL, " ", &save);
        found = field && strcmp(field, real) == 0;
    }
    if (f) fclose(f);
    return found;
}

static rdg_err_t unmount(const paths_t *p) {
    for (int i = 0; i < 16 && mounted(p->rootfs); ++i)
        if (umount2(p->rootfs, i < 8 ? 0 : MNT_DETACH) != 0 && errno != EBUSY)
            return rdg_fail_errno(errno, "cannot unmount %s", p->rootfs);
    return mounted(p->rootfs) ? rdg_fail(RDG_E_BUSY, "%s cannot be unmounted: a process uses it", p->rootfs)
                              : RDG_OK;
}

static rdg_err_t mount_root(const driver_oci_t *d, const image_t *image, const paths_t *p) {
    char dir[PATH_MAX];
    rdg_buf_t options;
    if (mounted(p->rootfs)) return RDG_OK;
    RDG_TRY(rdg_dir_make(p->upper, 0755));
    RDG_TRY(rdg_dir_make(p->work, 0700));
    RDG_TRY(rdg_dir_make(p->rootfs, 0755));
    rdg_buf_init(&options, OVERLAY_OPTIONS_MAX - 1);
    rdg_buf_str(&options, "lowerdir=");
    rdg_err_t err = RDG_OK;
    /* Overlayfs names the uppermost first, a manifest the lowest. */
    for (size_t i = image->layer_count; err == RDG_OK && i-- > 0;) {
        err = layer_path(d->root, image->layers[i], dir);
        rdg_buf_printf(&options, "%s%s", dir, i > 0 ? ":" : "");
    }
    rdg_buf_printf(&options, ",upperdir=%s,workdir=%s", p->upper, p->work);
    if (err == RDG_OK && (rdg_buf_err(&options) != RDG_OK || !rdg_buf_cstr(&options)))
        err = rdg_fail(RDG_E_TOO_LARGE,
                       "the image has too many layers for one mount under %s: squash it, or use a "
                       "shorter directory",
                       d->root);
    if (err == RDG_OK && mount("overlay", p->rootfs, "overlay", MS_NODEV, rdg_buf_cstr(&options)) != 0)
        err = rdg_fail_errno(errno, "cannot mount overlayfs at %s (is %s itself on an overlay?)", p->rootfs,
                             d->root);
    rdg_buf_fini(&options);
    return err;
}

/* --- the interface ---------------------------------------------------------------------------------- */

static rdg_err_t oci_prepare(void *ctx, const char *image, rdg_container_progress_fn progress,
                             void *progress_ctx) {
    driver_oci_t *d = ctx;
    image_pull_t how = {.root = d->root,
                        .bytes_max = d->image_bytes_max,
                        .unpacker = d->unpacker,
                        .cloud_socket = d->cloud_socket,
                        .progress = progress,
                        .progress_ctx = progress_ctx,
                        .trust_file = d->trust_file};
    pthread_rwlock_rdlock(&d->images);
    rdg_err_t err = image_pull(&how, image);
    pthread_rwlock_unlock(&d->images);
    return err;
}

static rdg_err_t oci_collect(void *ctx, const char *const *needed, size_t count, uint64_t budget_bytes,
                             uint64_t *freed) {
    driver_oci_t *d = ctx;
    if (pthread_rwlock_trywrlock(&d->images) != 0) return rdg_fail(RDG_E_BUSY, "an image is being pulled");
    rdg_err_t err = image_collect(d->root, needed, count, budget_bytes, freed);
    pthread_rwlock_unlock(&d->images);
    return err;
}

static rdg_err_t launch(driver_oci_t *d, const rdg_container_spec_t *spec, const paths_t *p, image_t *image) {
    json_t *config = NULL;
    container_proc_t proc;
    RDG_TRY(image_find(d->root, spec->image ? spec->image : "", image));
    RDG_TRY(image_may_run(d->root, d->trust_file, spec->image, image));
    RDG_TRY(image_config(d->root, image, &config));
    const rdg_container_spec_t s = image_limited(spec, image, config);
    delete_runtime_state(d, p);
    rdg_err_t err = mount_root(d, image, p);
    if (err == RDG_OK) err = bundle_write(spec->state_dir, p->rootfs, p->id, d->data_mount, &s, config);
    json_decref(config);
    if (err == RDG_OK) err = runtime_run(d, spec, p);
    RDG_TRY(err);
    pid_t pid = read_pid(p->pid);
    if (pid <= 1) return rdg_fail(RDG_E_INTERNAL, "%s wrote no pid for %s", d->runtime, spec->name);
    if (container_proc_identify(pid, &proc) != RDG_OK)
        return container_run_save_exit(spec->state_dir, container_proc_reap(pid));
    return container_run_save(spec->state_dir, &proc);
}

static rdg_err_t oci_start(void *ctx, const rdg_container_spec_t *spec) {
    driver_oci_t *d = ctx;
    rdg_container_status_t status;
    container_proc_t proc;
    rdg_err_t err = RDG_OK;
    paths_t *p = rdg_calloc(1, sizeof *p);
    image_t *image = rdg_calloc(1, sizeof *image);
    if (!p || !image) err = rdg_fail(RDG_E_NO_MEMORY, "no memory to start %s", spec->name);
    if (err == RDG_OK) err = paths_of(spec, p);
    if (err == RDG_OK) err = rdg_dir_make(spec->state_dir, 0700);
    if (err == RDG_OK) err = find(spec, p, &status, &proc);
    if (err == RDG_OK && status.state != RDG_CONTAINER_RUNNING) err = launch(d, spec, p, image);
    rdg_free(p);
    rdg_free(image);
    return err;
}

static rdg_err_t oci_stop(void *ctx, const rdg_container_spec_t *spec, uint64_t grace_ms) {
    driver_oci_t *d = ctx;
    rdg_container_status_t status;
    container_proc_t proc;
    paths_t *p = rdg_calloc(1, sizeof *p);
    rdg_err_t err = p ? paths_of(spec, p) : rdg_fail(RDG_E_NO_MEMORY, "no memory to stop %s", spec->name);
    if (err == RDG_OK) err = find(spec, p, &status, &proc);
    if (err == RDG_OK && status.state == RDG_CONTAINER_RUNNING) {
        err = rdg_fail_in(container_proc_stop(&proc, grace_ms), "cannot stop %s", spec->name);
        if (err == RDG_OK) err = container_run_save_exit(spec->state_dir, container_proc_reap(proc.pid));
    }
    if (err == RDG_OK) delete_runtime_state(d, p);
    if (err == RDG_OK) err = unmount(p);
    rdg_free(p);
    return err;
}

static rdg_err_t oci_remove(void *ctx, const rdg_container_spec_t *spec, uint64_t *freed) {
    /* The tree goes only when nothing is mounted in it: oci_stop fails otherwise. */
    RDG_TRY(oci_stop(ctx, spec, 0));
    return rdg_tree_remove(spec->state_dir, freed);
}

static rdg_err_t status_of(const rdg_container_spec_t *spec, rdg_container_status_t *out,
                           container_proc_t *proc) {
    paths_t *p = rdg_calloc(1, sizeof *p);
    rdg_err_t err = p ? paths_of(spec, p) : rdg_fail(RDG_E_NO_MEMORY, "no memory to look at %s", spec->name);
    if (err == RDG_OK) err = find(spec, p, out, proc);
    rdg_free(p);
    return err;
}

static rdg_err_t oci_status(void *ctx, const rdg_container_spec_t *spec, rdg_container_status_t *out) {
    container_proc_t proc;
    (void)ctx;
    return status_of(spec, out, &proc);
}

static rdg_err_t oci_watch(void *ctx, const rdg_container_spec_t *spec, int *fd) {
    rdg_container_status_t status;
    container_proc_t proc;
    (void)ctx;
    RDG_TRY(status_of(spec, &status, &proc));
    *fd = status.state == RDG_CONTAINER_RUNNING ? container_proc_open(&proc) : -1;
    return *fd >= 0 ? RDG_OK : rdg_fail(RDG_E_NOT_FOUND, "%s does not run", spec->name);
}

static void oci_free(void *ctx) {
    driver_oci_t *d = ctx;
    pthread_rwlock_destroy(&d->images);
    rdg_free(d->root);
    rdg_free(d->data_mount);
    rdg_free(d->state_root);
    rdg_free(d->unpacker);
    rdg_free(d->cloud_socket);
    rdg_free(d->trust_file);
    rdg_free(d);
}

static bool find_program(const char *name, char out[PATH_MAX]) {
    static const char *const beside = "/usr/local/sbin:/usr/sbin:/sbin"; /* not in every user's PATH */
    const char *path = getenv("PATH");
    char all[8192], *save = NULL;
    snprintf(all, sizeof all, "%s:%s", path ? path : "", beside);
    for (char *dir = strtok_r(all, ":", &save); dir; dir = strtok_r(NULL, ":", &save))
        if (snprintf(out, PATH_MAX, "%s/%s", dir, name) < PATH_MAX && access(out, X_OK) == 0) return true;
    return false;
}

static bool kernel_has_overlay(void) {
    char line[128];
    bool found = false;
    FILE *f = fopen("/proc/filesystems", "re");
    while (f && !found && fgets(line, sizeof line, f)) found = strstr(line, "\toverlay\n") != NULL;
    if (f) fclose(f);
    return found;
}

static rdg_err_t check_host(driver_oci_t *d, const char *runtime) {
    if (geteuid() != 0)
        return rdg_fail(RDG_E_UNSUPPORTED, "driver oci needs root: use driver process, or run as root");
    if (!kernel_has_overlay())
        return rdg_fail(RDG_E_UNSUPPORTED, "driver oci needs overlayfs in the kernel: modprobe overlay");
    bool found = runtime ? strchr(runtime, '/') && snprintf(d->runtime, PATH_MAX, "%s", runtime) < PATH_MAX &&
                               access(runtime, X_OK) == 0
                         : find_program("runc", d->runtime) || find_program("crun", d->runtime);
    if (!found && runtime) found = find_program(runtime, d->runtime);
    if (!found) return rdg_fail(RDG_E_UNSUPPORTED, "driver oci needs runc or crun: install one of them");
    return RDG_OK;
}

rdg_err_t rdg_container_oci_new(const rdg_container_oci_options_t *options, rdg_container_driver_t **out) {
    char real[PATH_MAX], state_root[PATH_MAX];
    driver_oci_t *d = rdg_calloc(1, sizeof *d);
    if (!d) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the oci driver");
    pthread_rwlock_init(&d->images, NULL);
    rdg_err_t err = check_host(d, options->runtime);
    if (err == RDG_OK) err = rdg_dir_make(options->root, 0700);
    /* Overlayfs separates with ':' and ',': a directory with them in its name cannot be mounted. */
    if (err == RDG_OK && (!realpath(options->root, real) || strpbrk(real, ":,\\")))
        err = rdg_fail(RDG_E_UNSUPPORTED, "driver oci cannot use the directory %s", options->root);
    if (err == RDG_OK) err = rdg_path_join(state_root, sizeof state_root, real, "run");
    if (err == RDG_OK) {
        d->root = rdg_strdup(real);
        d->state_root = rdg_strdup(state_root);
        d->data_mount = rdg_strdup(options->data_mount ? options->data_mount : RDG_CONTAINER_DATA_MOUNT);
        d->unpacker = rdg_strdup(options->unpacker);
        d->cloud_socket = rdg_strdup(options->cloud_socket);
        d->trust_file = rdg_strdup(options->trust_file);
        if (!d->root || !d->state_root || !d->data_mount || (options->unpacker && !d->unpacker) ||
            (options->cloud_socket && !d->cloud_socket) || (options->trust_file && !d->trust_file))
            err = RDG_E_NO_MEMORY;
    }
    if (err != RDG_OK) {
        oci_free(d);
        return err;
    }
    /* The runtime's child becomes ours when the runtime exits, so that its exit status can be had. */
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    d->image_bytes_max = options->image_bytes_max ? options->image_bytes_max : IMAGE_BYTES_DEFAULT;
    d->driver = (rdg_container_driver_t){.name = "oci",
                                         .data_mount = d->data_mount,
                                         .prepare = oci_prepare,
                                         .collect = oci_collect,
                                         .start = oci_start,
                                         .stop = oci_stop,
                                         .remove = oci_remove,
                                         .status = oci_status,
                                         .watch = oci_watch,
                                         .free = oci_free,
                                         .ctx = d};
    *out = &d->driver;
    return RDG_OK;
}
