#include "set_aside.h"
#include "ridge/base/file.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BEGUN 1

static rdg_err_t path_of(const set_aside_t *s, const char *leaf, char out[CHAIN_PATH_MAX]) {
    return chain_path(s->dir, s->chain->name, leaf, out);
}

/* The number behind this command's id; -1: the file is of another command, or not there. */
static int read_stage(const set_aside_t *s, const char *leaf) {
    char path[CHAIN_PATH_MAX], id[80] = "";
    rdg_buf_t text;
    int stage = -1;
    if (path_of(s, leaf, path) != RDG_OK) return -1;
    rdg_buf_init(&text, 256);
    if (rdg_file_read_plain(path, false, &text) != RDG_OK ||
        sscanf(rdg_buf_cstr(&text), "%79s %d", id, &stage) != 2 || strcmp(id, s->command) != 0)
        stage = -1;
    rdg_buf_fini(&text);
    return stage;
}

int set_aside_stage(const set_aside_t *s) {
    if (read_stage(s, "node/recovered") >= 0) return SET_ASIDE_ENDED;
    int stage = read_stage(s, "node/recovering");
    return stage > 0 ? stage : 0;
}

static rdg_err_t note(const set_aside_t *s, const char *leaf, int stage) {
    char path[CHAIN_PATH_MAX], text[128];
    RDG_TRY(path_of(s, leaf, path));
    snprintf(text, sizeof text, "%s %d\n", s->command, stage);
    return rdg_file_replace(path, rdg_bytes_str(text), 0600);
}

rdg_err_t set_aside_note(const set_aside_t *s, int stage) {
    return note(s, "node/recovering", stage);
}

static rdg_err_t remove_leaf(const set_aside_t *s, const char *leaf, uint64_t *freed) {
    char path[CHAIN_PATH_MAX];
    RDG_TRY(path_of(s, leaf, path));
    return rdg_tree_remove(path, freed);
}

static rdg_err_t move_away(const set_aside_t *s) {
    char data[CHAIN_PATH_MAX], aside[CHAIN_PATH_MAX];
    struct stat st;
    RDG_TRY(path_of(s, "node/data", data));
    RDG_TRY(path_of(s, "node/data.damaged", aside));
    if (stat(data, &st) != 0)
        return errno == ENOENT ? RDG_OK : rdg_fail_errno(errno, "cannot look at %s", data);
    RDG_TRY(rdg_tree_remove(aside, NULL)); /* of an earlier recovery */
    if (rename(data, aside) != 0) return rdg_fail_errno(errno, "cannot move %s away", data);
    return RDG_OK;
}

rdg_err_t set_aside(const set_aside_t *s) {
    char voted[CHAIN_PATH_MAX];
    int stage = set_aside_stage(s);
    if (stage >= SET_ASIDE_DONE) return RDG_OK;
    s->chain->desired = CHAIN_STOPPED;
    RDG_TRY(workloads_put(s->workloads, s->chain));
    RDG_TRY(workloads_halt(s->workloads, s->chain->name));
    RDG_TRY(path_of(s, "node/voted", voted));
    /* Before the ledger goes. */
    if (!s->fresh) RDG_TRY(rdg_file_replace(voted, rdg_bytes_str("1\n"), 0600));
    RDG_TRY(remove_leaf(s, "node/restore", NULL)); /* of an earlier recovery */
    if (stage == 0) RDG_TRY(set_aside_note(s, BEGUN));
    RDG_TRY(move_away(s));
    RDG_TRY(remove_leaf(s, "node/damaged", NULL));
    return set_aside_note(s, SET_ASIDE_DONE);
}

rdg_err_t set_aside_end(const set_aside_t *s, uint64_t *freed) {
    RDG_TRY(note(s, "node/recovered", SET_ASIDE_ENDED));
    RDG_TRY(remove_leaf(s, "node/data.damaged", freed));
    return remove_leaf(s, "node/recovering", NULL);
}
