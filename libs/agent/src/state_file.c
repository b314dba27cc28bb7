#include "state_file.h"
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include <limits.h>
#include <stdio.h>

static rdg_err_t copy_path(const char *path, char out[PATH_MAX]) {
    int n = snprintf(out, PATH_MAX, "%s.2", path);
    return n < PATH_MAX ? RDG_OK : rdg_fail(RDG_E_TOO_LARGE, "%.100s… is too long for a path", path);
}

rdg_err_t state_file_save(const char *path, rdg_bytes_t content, mode_t mode) {
    char second[PATH_MAX];
    RDG_TRY(copy_path(path, second));
    RDG_TRY(rdg_file_replace(path, content, mode));
    return rdg_file_replace(second, content, mode);
}

static rdg_err_t try_copy(const char *path, rdg_buf_t *text, state_file_take_fn take, void *ctx) {
    rdg_buf_clear(text);
    RDG_TRY(rdg_file_read(path, text));
    return take(ctx, rdg_buf_view(text));
}

rdg_err_t state_file_load(const char *path, size_t max, mode_t mode, state_file_take_fn take, void *ctx) {
    char second[PATH_MAX], why[RDG_ERROR_TEXT_MAX];
    rdg_buf_t text;
    RDG_TRY(copy_path(path, second));
    rdg_buf_init(&text, max);
    rdg_err_t err = try_copy(path, &text, take, ctx);
    if (err != RDG_OK && err != RDG_E_NO_MEMORY) {
        snprintf(why, sizeof why, "%s", rdg_err_message(err));
        if (try_copy(second, &text, take, ctx) == RDG_OK) {
            rdg_log(RDG_LOG_ERROR, "state.restored", RDG_STR("file", path), RDG_STR("why", why));
            (void)rdg_file_replace(path, rdg_buf_view(&text), mode);
            err = RDG_OK;
        } else if (err == RDG_E_NOT_FOUND && rdg_file_exists(second)) {
            err = rdg_fail(RDG_E_CORRUPT, "%s is gone, and %s holds nothing that could take its place", path,
                           second);
        } else {
            err = rdg_fail(err, "%s", why);
        }
    }
    if (text.data) rdg_secure_zero(text.data, text.len);
    rdg_buf_fini(&text);
    return err;
}
