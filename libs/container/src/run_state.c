#include "run_state.h"
#include "ridge/base/file.h"
#include <limits.h>
#include <stdio.h>
#include <string.h>

static rdg_err_t save_text(const char *state_dir, const char *text) {
    char path[PATH_MAX];
    RDG_TRY(rdg_path_join(path, sizeof path, state_dir, "run"));
    return rdg_file_replace(path, rdg_bytes_str(text), 0600);
}

rdg_err_t container_run_save(const char *state_dir, const container_proc_t *p) {
    char boot[40], text[128];
    container_boot_id(boot);
    snprintf(text, sizeof text, "running %ld %llu %s\n", (long)p->pid, (unsigned long long)p->start_ticks,
             boot);
    return save_text(state_dir, text);
}

rdg_err_t container_run_save_exit(const char *state_dir, int status) {
    char text[64];
    snprintf(text, sizeof text, "exited %d\n", status);
    return save_text(state_dir, text);
}

rdg_err_t container_run_load(const char *state_dir, rdg_container_status_t *out, container_proc_t *proc) {
    char path[PATH_MAX], boot[40], recorded_boot[40];
    memset(out, 0, sizeof *out);
    out->exit_status = -1;
    RDG_TRY(rdg_path_join(path, sizeof path, state_dir, "run"));
    rdg_buf_t text;
    rdg_buf_init(&text, 256);
    rdg_err_t err = rdg_file_read(path, &text);
    const char *line = err == RDG_OK ? rdg_buf_cstr(&text) : NULL;
    long pid = 0;
    unsigned long long ticks = 0;
    int status = -1;
    if (err == RDG_E_NOT_FOUND) {
        err = RDG_OK;
    } else if (!line) {
        err = rdg_fail_in(err == RDG_OK ? RDG_E_NO_MEMORY : err, "cannot read the state of a container");
    } else if (sscanf(line, "running %ld %llu %39s", &pid, &ticks, recorded_boot) == 3) {
        container_boot_id(boot);
        *proc = (container_proc_t){(pid_t)pid, ticks};
        bool same_boot = strcmp(boot, recorded_boot) == 0;
        if (same_boot && container_proc_alive(proc)) {
            out->state = RDG_CONTAINER_RUNNING;
            out->pid = proc->pid;
            out->rss_kib = container_proc_rss_kib(proc->pid);
        } else {
            out->state = RDG_CONTAINER_EXITED;
            out->exit_status = same_boot ? container_proc_reap(proc->pid) : -1;
            err = container_run_save_exit(state_dir, out->exit_status);
        }
    } else if (sscanf(line, "exited %d", &status) == 1) {
        out->state = RDG_CONTAINER_EXITED;
        out->exit_status = status;
    } else {
        err = rdg_fail(RDG_E_CORRUPT, "%s holds no state of a container: remove it to go on", path);
    }
    rdg_buf_fini(&text);
    return err;
}
