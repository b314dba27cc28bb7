/* agent.update: a new program is pulled, looked at and put on trial. The command ends in the program that runs in the
 * end: the new one says that it is done, the old one why it failed. */
#include "agent_internal.h"
#include "image_trust.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include "ridge/net/process.h"
#include "update.h"
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROGRAM_FILE "usr/bin/ridge-agent"
#define LOOK_MS 50
#define VERSION_TIMEOUT_MS 10000u

static bool pulled(void *ctx, const char *step, uint64_t done, uint64_t total) {
    executor_run_t *at = ctx;
    (void)step;
    executor_progress(at, "image", total ? (unsigned)(done >= total ? 99 : done * 100 / total) : 0);
    return !executor_stopping(at);
}

/* That it runs here at all: its libraries, its architecture. */
static rdg_err_t try_version(const char *program, char version[64]) {
    char output[256] = "";
    const char *const argv[] = {program, "--version", NULL};
    rdg_err_t err = rdg_process_run(argv, VERSION_TIMEOUT_MS, output, sizeof output);
    output[strcspn(output, "\n")] = '\0';
    if (err != RDG_OK)
        return rdg_fail(RDG_E_UNSUPPORTED, "the new agent does not run on this device: %s",
                        output[0] ? output : rdg_err_message(err));
    snprintf(version, 64, "%.63s", output);
    return RDG_OK;
}

/* Pulls into a store of its own, which does not stay, and leaves the program under its digest. The image is signed as one
 * of a container has to be: who may order commands may not yet say whose programs run as root. */
static rdg_err_t stage(rdg_agent_t *a, const char *image, const char *wanted, executor_run_t *at,
                       char digest[UPDATE_DIGEST_TEXT]) {
    char store[PATH_MAX], new[PATH_MAX], dir[PATH_MAX], program[PATH_MAX], trust[PATH_MAX], version[64];
    RDG_TRY(rdg_path_join(dir, sizeof dir, a->dir, "update"));
    RDG_TRY(rdg_dir_make(dir, 0700));
    RDG_TRY(rdg_path_join(store, sizeof store, dir, "store"));
    RDG_TRY(rdg_path_join(new, sizeof new, dir, "new"));
    RDG_TRY(image_trust_path(a->dir, trust));
    image_trust_mend(a->dir);
    rdg_container_oci_options_t how = {.root = store,
                                       .unpacker = a->unpacker,
                                       .cloud_socket = uplink_socket(a->uplink, UPLINK_IMAGES),
                                       .trust_file = trust};
    RDG_TRY(rdg_container_image_file(&how, image, PROGRAM_FILE, new, pulled, at));
    RDG_TRY(rdg_tree_remove(store, NULL));
    RDG_TRY(update_digest(new, digest));
    if (strcmp(digest, wanted) != 0) {
        (void)unlink(new);
        return rdg_fail(RDG_E_CORRUPT, "the agent in image %s has SHA-256 %s, not the %s that was ordered",
                        image, digest, wanted);
    }
    RDG_TRY(try_version(new, version));
    RDG_TRY(update_program(a->dir, digest, program));
    snprintf(dir, sizeof dir, "%.*s", (int)(strrchr(program, '/') - program), program);
    RDG_TRY(rdg_dir_make(dir, 0700));
    if (rename(new, program) != 0) return rdg_fail(RDG_E_IO, "cannot keep %s", program);
    return rdg_dir_sync(dir);
}

static rdg_err_t finished(const char *digest, json_t **result) {
    *result = json_pack("{s:s, s:s}", "version", RIDGE_VERSION, "program", digest);
    return *result ? RDG_OK : rdg_fail(RDG_E_NO_MEMORY, "no memory for the result");
}

/* Until this program ends; the command stays open, and who runs next takes it up. */
static rdg_err_t wait_for_the_end(executor_run_t *at) {
    while (!executor_stopping(at)) (void)poll(NULL, 0, LOOK_MS);
    return rdg_fail(RDG_E_CANCELLED, "the agent is being replaced");
}

static rdg_err_t ask_for_trial(rdg_agent_t *a, executor_run_t *at) {
    uint64_t one = 1;
    executor_progress(at, "trial", 50);
    pthread_mutex_lock(&a->lock);
    a->update_waits = true;
    pthread_mutex_unlock(&a->lock);
    (void)!write(a->failed_fd, &one, sizeof one);
    return wait_for_the_end(at);
}

rdg_err_t agent_update(rdg_agent_t *a, const command_t *c, executor_run_t *at, json_t **result) {
    const char *image = NULL, *wanted = NULL, *base = getenv(UPDATE_BASE_ENV),
               *running = getenv(UPDATE_RUNNING_ENV);
    char digest[UPDATE_DIGEST_TEXT];
    update_state_t s;
    RDG_TRY(rdg_json_get_str(c->params, "image", &image));
    RDG_TRY(rdg_json_get_str(c->params, "sha256", &wanted));
    if (strlen(wanted) != 64 || strspn(wanted, "0123456789abcdef") != 64)
        return rdg_fail(RDG_E_INVALID, "sha256 '%.70s': want the 64 hex digits of the new agent's program",
                        wanted);
    if (!base || !running)
        return rdg_fail(RDG_E_UNSUPPORTED,
                        "this agent was not launched by ridge-agent, and cannot be replaced by itself");
    RDG_TRY(update_load(a->dir, &s));
    if (strcmp(s.failed_command, c->id) == 0)
        return rdg_fail(RDG_E_UNAVAILABLE, "the new agent was given up, and the one before runs again: %s",
                        s.failed_why);
    if (s.phase == UPDATE_TRYING) {
        if (strcmp(s.command, c->id) == 0) return wait_for_the_end(at);
        return rdg_fail(RDG_E_BUSY, "another new agent is on trial: wait for the end of command %s",
                        s.command);
    }
    if (strcmp(running, wanted) == 0) return finished(running, result);
    executor_progress(at, "image", 0);
    RDG_TRY(stage(a, image, wanted, at, digest));
    snprintf(s.previous, sizeof s.previous, "%s", strlen(running) == 64 ? running : "");
    memcpy(s.program, digest, sizeof s.program);
    memcpy(s.command, c->id, sizeof s.command);
    s.failed_command[0] = s.failed_why[0] = '\0';
    s.phase = UPDATE_TRYING;
    s.tries = 0;
    RDG_TRY(update_digest(base, s.base));
    RDG_TRY(update_save(a->dir, &s));
    rdg_log(RDG_LOG_INFO, "update.staged", RDG_STR("program", digest), RDG_STR("image", image));
    return ask_for_trial(a, at);
}
