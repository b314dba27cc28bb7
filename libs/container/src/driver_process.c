/* Driver `process`: the workload is a child in a session of its own, marked by an environment variable
 * that names its state directory, so that it can be found again even if we died right after the fork. */
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/container/container.h"
#include "ridge/net/process.h"
#include "run_state.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MARK_NAME "RIDGE_CONTAINER"
#define MARK_MAX (PATH_MAX + sizeof MARK_NAME + 1)

typedef struct driver_process {
    rdg_container_driver_t driver;
    char *program;
} driver_process_t;

static rdg_err_t no_image(void *ctx, const char *image, rdg_container_progress_fn progress,
                          void *progress_ctx) {
    (void)ctx, (void)image, (void)progress, (void)progress_ctx;
    return RDG_OK;
}

static rdg_err_t make_mark(const rdg_container_spec_t *spec, char mark[MARK_MAX]) {
    char real[PATH_MAX];
    if (!realpath(spec->state_dir, real))
        return rdg_fail(RDG_E_NOT_FOUND, "%s does not exist", spec->state_dir);
    snprintf(mark, MARK_MAX, MARK_NAME "=%s", real);
    return RDG_OK;
}

/* The state as recorded, or else a marked process that was started and not recorded. */
static rdg_err_t find(const rdg_container_spec_t *spec, bool search, rdg_container_status_t *out,
                      container_proc_t *proc) {
    char mark[MARK_MAX];
    RDG_TRY(container_run_load(spec->state_dir, out, proc));
    if (out->state == RDG_CONTAINER_RUNNING || !search) return RDG_OK;
    if (make_mark(spec, mark) != RDG_OK || container_proc_find_marked(mark, proc) != RDG_OK) return RDG_OK;
    out->state = RDG_CONTAINER_RUNNING;
    out->pid = proc->pid;
    out->rss_kib = container_proc_rss_kib(proc->pid);
    return container_run_save(spec->state_dir, proc);
}

static const char **marked_environment(const char *mark) {
    size_t count = 0, kept = 0;
    while (environ[count]) ++count;
    const char **env = rdg_calloc(count + 2, sizeof *env);
    if (!env) return NULL;
    for (size_t i = 0; i < count; ++i)
        /* The agent's own settings, among them its enrolment token, are no business of a workload. */
        if (strncmp(environ[i], "RIDGE_", 6) != 0) env[kept++] = environ[i];
    env[kept] = mark;
    return env;
}

static rdg_err_t launch(const driver_process_t *d, const rdg_container_spec_t *spec, const char *mark) {
    const char *argv[RDG_CONTAINER_ARGS_MAX + 2] = {d->program};
    for (size_t i = 0; spec->args && spec->args[i]; ++i) {
        if (i == RDG_CONTAINER_ARGS_MAX)
            return rdg_fail(RDG_E_TOO_LARGE, "more than %d arguments for %s", RDG_CONTAINER_ARGS_MAX,
                            spec->name);
        argv[i + 1] = spec->args[i];
    }
    const char **env = marked_environment(mark);
    if (!env) return rdg_fail(RDG_E_NO_MEMORY, "no memory to start %s", spec->name);
    rdg_process_options_t options = {
        .argv = argv, .env = env, .cwd = spec->data_dir, .log_path = spec->log_path, .new_session = true};
    rdg_process_t *child = NULL;
    rdg_err_t err = rdg_process_start(&options, &child);
    rdg_free(env);
    if (err != RDG_OK) return rdg_fail_in(err, "cannot start %s", spec->name);
    /* Not freed: that would reap a child that has ended already, and its exit status would be lost. */
    pid_t pid = rdg_process_detach(child);
    container_proc_t proc;
    if (container_proc_identify(pid, &proc) != RDG_OK)
        return container_run_save_exit(spec->state_dir, container_proc_reap(pid));
    return container_run_save(spec->state_dir, &proc);
}

static rdg_err_t process_start(void *ctx, const rdg_container_spec_t *spec) {
    rdg_container_status_t status;
    container_proc_t proc;
    char mark[MARK_MAX];
    RDG_TRY(rdg_dir_make(spec->state_dir, 0700));
    RDG_TRY(find(spec, true, &status, &proc));
    if (status.state == RDG_CONTAINER_RUNNING) return RDG_OK;
    RDG_TRY(make_mark(spec, mark));
    return launch(ctx, spec, mark);
}

static rdg_err_t process_stop(void *ctx, const rdg_container_spec_t *spec, uint64_t grace_ms) {
    (void)ctx;
    rdg_container_status_t status;
    container_proc_t proc;
    RDG_TRY(find(spec, true, &status, &proc));
    if (status.state != RDG_CONTAINER_RUNNING) return RDG_OK;
    RDG_TRY(rdg_fail_in(container_proc_stop(&proc, grace_ms), "cannot stop %s", spec->name));
    return container_run_save_exit(spec->state_dir, container_proc_reap(proc.pid));
}

static rdg_err_t process_remove(void *ctx, const rdg_container_spec_t *spec, uint64_t *freed) {
    RDG_TRY(process_stop(ctx, spec, 0));
    return rdg_tree_remove(spec->state_dir, freed);
}

static rdg_err_t process_status(void *ctx, const rdg_container_spec_t *spec, rdg_container_status_t *out) {
    (void)ctx;
    container_proc_t proc;
    return find(spec, false, out, &proc);
}

static rdg_err_t process_watch(void *ctx, const rdg_container_spec_t *spec, int *fd) {
    (void)ctx;
    rdg_container_status_t status;
    container_proc_t proc;
    RDG_TRY(find(spec, false, &status, &proc));
    *fd = status.state == RDG_CONTAINER_RUNNING ? container_proc_open(&proc) : -1;
    return *fd >= 0 ? RDG_OK : rdg_fail(RDG_E_NOT_FOUND, "%s does not run", spec->name);
}

static void process_free(void *ctx) {
    driver_process_t *d = ctx;
    rdg_free(d->program);
    rdg_free(d);
}

rdg_err_t rdg_container_process_new(const char *program, rdg_container_driver_t **out) {
    driver_process_t *d = rdg_calloc(1, sizeof *d);
    if (!d || !(d->program = rdg_strdup(program))) {
        rdg_free(d);
        return rdg_fail(RDG_E_NO_MEMORY, "no memory for the process driver");
    }
    d->driver = (rdg_container_driver_t){.name = "process",
                                         .prepare = no_image,
                                         .start = process_start,
                                         .stop = process_stop,
                                         .remove = process_remove,
                                         .status = process_status,
                                         .watch = process_watch,
                                         .free = process_free,
                                         .ctx = d};
    *out = &d->driver;
    return RDG_OK;
}

void rdg_container_driver_free(rdg_container_driver_t *d) {
    if (d) d->free(d->ctx);
}
