/* The agent's own update, with a way back (ridge/agent/launch.h is its other half).
 *
 *   <dir>/update/state.json     what is to run (state_file.h)
 *   <dir>/update/<sha256>/ridge-agent   a program that came with an image; its name is its digest
 *
 * The installed program is never touched: it launches. A new one is on trial first, watched by the installed one; it has
 * to reach its cloud. Invariants
 * 1. A program runs only while its bytes have its digest.
 * 2. On trial it is started at most UPDATE_TRIES times, however often power is cut; then, or when it has not reached
 *    its cloud in time, what ran before runs again and the command fails with the reason.
 * 3. state.json names only programs that are on the disk, whole and synced. */
#ifndef RIDGE_AGENT_UPDATE_H
#define RIDGE_AGENT_UPDATE_H
#include <limits.h>
#include "executor.h"

#define UPDATE_TRIES 3
#define UPDATE_DIGEST_TEXT 65
#define UPDATE_BASE_ENV "RIDGE_LAUNCHER"    /* path of the installed program */
#define UPDATE_RUNNING_ENV "RIDGE_LAUNCHED" /* digest of what was launched; "installed" */

typedef enum update_phase { UPDATE_NONE, UPDATE_TRYING, UPDATE_GOOD } update_phase_t;

typedef struct update_state {
    update_phase_t phase;
    char program[UPDATE_DIGEST_TEXT], previous[UPDATE_DIGEST_TEXT]; /* "": the installed one */
    char base
        [UPDATE_DIGEST_TEXT]; /* of the installed program then: a package that brings another ends the update */
    char command[COMMAND_ID_MAX + 1];
    unsigned tries;
    char failed_command[COMMAND_ID_MAX + 1], failed_why[256];
} update_state_t;

/* NONE when there is no state. CORRUPT: both copies. */
rdg_err_t update_load(const char *dir, update_state_t *out);
rdg_err_t update_save(const char *dir, const update_state_t *s);
rdg_err_t update_program(const char *dir, const char *digest, char out[PATH_MAX]);
/* SHA-256 of a file, in hex. */
rdg_err_t update_digest(const char *path, char out[UPDATE_DIGEST_TEXT]);
/* Removes all programs but those that the state names. */
void update_tidy(const char *dir, const update_state_t *s);

#endif
