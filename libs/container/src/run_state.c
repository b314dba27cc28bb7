#include "run_state.h"
#include "ridge/base/config.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include "ridge/codec/hex.h"
#include "ridge/crypto/hash.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static rdg_err_t save_text(const char *state_dir, const char *text) {
    char path[PATH_MAX];
    RDG_TRY(rdg_path_join(path, sizeof path, state_dir, "run"));
    return rdg_file_replace(path, rdg_bytes_str(text), 0600);
}

void container_id(const rdg_container_spec_t *spec, char out[CONTAINER_ID_MAX]) {
    uint8_t sum[32];
    char hex[17];
    rdg_sha256(spec->state_dir, strlen(spec->state_dir), sum);
    rdg_hex_encode(sum, 8, hex);
    snprintf(out, CONTAINER_ID_MAX, "ridge-%s-%s", hex, spec->name);
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

rdg_err_t container_run_forget(const char *state_dir) {
    char path[PATH_MAX];
    RDG_TRY(rdg_path_join(path, sizeof path, state_dir, "run"));
    if (unlink(path) == 0 || errno == ENOENT) return RDG_OK;
    return rdg_fail_errno(errno, "cannot remove %s", path);
}

typedef struct record {
    bool running;
    uint64_t pid, ticks;
    int status;
    char boot[40];
} record_t;

static bool parse(char *line, record_t *out) {
    char *save = NULL;
    const char *word = strtok_r(line, " \n", &save), *a = strtok_r(NULL, " \n", &save);
    const char *b = strtok_r(NULL, " \n", &save), *c = strtok_r(NULL, " \n", &save);
    uint64_t status = 0;
    if (!word || !a) return false;
    out->running = strcmp(word, "running") == 0;
    if (out->running) {
        if (!b || !c || rdg_parse_u64(a, &out->pid) != RDG_OK || rdg_parse_u64(b, &out->ticks) != RDG_OK)
            return false;
        snprintf(out->boot, sizeof out->boot, "%s", c);
        return out->pid > 1 && out->pid <= INT32_MAX;
    }
    bool unknown = strcmp(a, "-1") == 0;
    if (strcmp(word, "exited") != 0 ||
        (!unknown && (rdg_parse_u64(a, &status) != RDG_OK || status > INT32_MAX)))
        return false;
    out->status = unknown ? -1 : (int)status;
    return true;
}

/* A process recorded as running that has ended is reaped and recorded as exited. */
static rdg_err_t judge(const char *state_dir, const record_t *r, rdg_container_status_t *out,
                       container_proc_t *proc) {
    char boot[40];
    out->state = RDG_CONTAINER_EXITED;
    out->exit_status = r->status;
    if (!r->running) return RDG_OK;
    container_boot_id(boot);
    *proc = (container_proc_t){(pid_t)r->pid, r->ticks};
    bool same_boot = strcmp(boot, r->boot) == 0;
    if (same_boot && container_proc_alive(proc)) {
        out->state = RDG_CONTAINER_RUNNING;
        out->exit_status = -1;
        out->pid = proc->pid;
        out->rss_kib = container_proc_rss_kib(proc->pid);
        return RDG_OK;
    }
    out->exit_status = same_boot ? container_proc_reap(proc->pid) : -1;
    return container_run_save_exit(state_dir, out->exit_status);
}

rdg_err_t container_run_load(const char *state_dir, rdg_container_status_t *out, container_proc_t *proc) {
    char path[PATH_MAX], line[256];
    rdg_buf_t text;
    record_t r = {.status = -1};
    memset(out, 0, sizeof *out);
    out->exit_status = -1;
    RDG_TRY(rdg_path_join(path, sizeof path, state_dir, "run"));
    rdg_buf_init(&text, sizeof line - 1);
    rdg_err_t err = rdg_file_read(path, &text);
    if (err == RDG_OK) snprintf(line, sizeof line, "%.*s", (int)text.len, (const char *)text.data);
    rdg_buf_fini(&text);
    if (err == RDG_E_NOT_FOUND) return RDG_OK;
    RDG_TRY(rdg_fail_in(err, "cannot read the state of a container"));
    if (!parse(line, &r)) {
        /* A damaged disk must not keep a workload down: the driver looks for the process by its mark. */
        rdg_log(RDG_LOG_ERROR, "container.state_unreadable", RDG_STR("file", path));
        return RDG_OK;
    }
    return judge(state_dir, &r, out, proc);
}
