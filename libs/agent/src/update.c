#include "update.h"
#include "ridge/base/alloc.h"
#include "ridge/base/config.h"
#include "ridge/base/file.h"
#include "ridge/codec/hex.h"
#include "ridge/codec/json.h"
#include "ridge/crypto/hash.h"
#include "state_file.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *const phases[] = {"none", "trying", "good"};

static rdg_err_t update_path(const char *dir, const char *leaf, char out[PATH_MAX]) {
    int n = snprintf(out, PATH_MAX, "%s/update%s%s", dir, leaf[0] ? "/" : "", leaf);
    return n < PATH_MAX ? RDG_OK : rdg_fail(RDG_E_TOO_LARGE, "%s is too long for a directory", dir);
}

static bool digest_valid(const char *text) {
    return strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64;
}

static rdg_err_t take_string(const json_t *o, const char *field, char *out, size_t size) {
    const char *text = "";
    RDG_TRY(rdg_json_opt_str(o, field, &text));
    if (strlen(text) >= size) return rdg_fail(RDG_E_CORRUPT, "%s is too long", field);
    memcpy(out, text, strlen(text) + 1);
    return RDG_OK;
}

static rdg_err_t take(const json_t *o, update_state_t *s) {
    char phase[16];
    uint64_t tries = 0;
    memset(s, 0, sizeof *s);
    RDG_TRY(take_string(o, "phase", phase, sizeof phase));
    RDG_TRY(take_string(o, "program", s->program, sizeof s->program));
    RDG_TRY(take_string(o, "previous", s->previous, sizeof s->previous));
    RDG_TRY(take_string(o, "base", s->base, sizeof s->base));
    RDG_TRY(take_string(o, "command", s->command, sizeof s->command));
    RDG_TRY(take_string(o, "failed_command", s->failed_command, sizeof s->failed_command));
    RDG_TRY(take_string(o, "failed_why", s->failed_why, sizeof s->failed_why));
    RDG_TRY(rdg_json_opt_u64(o, "tries", &tries));
    size_t p = 0;
    while (p < 3 && strcmp(phase, phases[p]) != 0) ++p;
    if (p == 3 || tries > 1000 || (p > 0 && !digest_valid(s->program)) ||
        (s->previous[0] && !digest_valid(s->previous)))
        return rdg_fail(RDG_E_CORRUPT, "a value is out of its range");
    s->phase = (update_phase_t)p;
    s->tries = (unsigned)tries;
    return RDG_OK;
}

static rdg_err_t take_text(void *ctx, rdg_bytes_t text) {
    json_t *o = NULL;
    rdg_err_t err = rdg_json_parse(text, &o);
    if (err == RDG_OK) err = take(o, ctx);
    json_decref(o);
    return err;
}

rdg_err_t update_load(const char *dir, update_state_t *out) {
    char path[PATH_MAX];
    memset(out, 0, sizeof *out);
    RDG_TRY(update_path(dir, "state.json", path));
    rdg_err_t err = state_file_load(path, 8192, 0600, take_text, out);
    if (err != RDG_OK) memset(out, 0, sizeof *out);
    return err == RDG_E_NOT_FOUND ? RDG_OK : err;
}

rdg_err_t update_save(const char *dir, const update_state_t *s) {
    char path[PATH_MAX];
    rdg_buf_t text;
    RDG_TRY(update_path(dir, "", path));
    RDG_TRY(rdg_dir_make(path, 0700));
    RDG_TRY(update_path(dir, "state.json", path));
    json_t *o =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:s, s:s}", "phase", phases[s->phase], "program",
                  s->program, "previous", s->previous, "base", s->base, "command", s->command, "tries",
                  (json_int_t)s->tries, "failed_command", s->failed_command, "failed_why", s->failed_why);
    rdg_buf_init(&text, 8192);
    rdg_err_t err =
        o ? rdg_json_dump_pretty(o, &text) : rdg_fail(RDG_E_NO_MEMORY, "no memory for the update");
    if (err == RDG_OK) err = state_file_save(path, rdg_buf_view(&text), 0600);
    rdg_buf_fini(&text);
    json_decref(o);
    return err;
}

rdg_err_t update_program(const char *dir, const char *digest, char out[PATH_MAX]) {
    char leaf[96];
    snprintf(leaf, sizeof leaf, "%.64s/ridge-agent", digest);
    return update_path(dir, leaf, out);
}

rdg_err_t update_digest(const char *path, char out[UPDATE_DIGEST_TEXT]) {
    uint8_t block[8192], sum[32];
    ssize_t n = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return rdg_fail_errno(errno, "cannot open %s", path);
    rdg_sha256_stream_t *s = rdg_sha256_stream_new();
    while (s && (n = read(fd, block, sizeof block)) > 0) rdg_sha256_stream_update(s, block, (size_t)n);
    close(fd);
    if (!s) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a digest");
    rdg_sha256_stream_final(s, sum);
    rdg_sha256_stream_free(s);
    if (n < 0) return rdg_fail_errno(errno, "cannot read %s", path);
    rdg_hex_encode(sum, sizeof sum, out);
    return RDG_OK;
}

void update_tidy(const char *dir, const update_state_t *s) {
    char path[PATH_MAX];
    if (update_path(dir, "", path) != RDG_OK) return;
    DIR *d = opendir(path);
    for (struct dirent *e; d && (e = readdir(d));) {
        bool state = strncmp(e->d_name, "state.json", 10) == 0;
        if (e->d_name[0] == '.' || state || strcmp(e->d_name, s->program) == 0 ||
            strcmp(e->d_name, s->previous) == 0)
            continue;
        if (update_path(dir, e->d_name, path) == RDG_OK) (void)rdg_tree_remove(path, NULL);
    }
    if (d) closedir(d);
}
