/* Damage that this node has found in itself. It stops voting, says what is damaged, and leaves a record beside the ledger,
 * which the agent shows and which ends only with a recovery: what was found while the node ran could pass
 * at the next start.
 *
 *   <dir>/damaged   {"code", "why", "found": "start" or "running", "time_ms"} */
#include "internal.h"
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include "ridge/codec/json.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NAME "damaged"
#define STEP_BYTES (1u << 20) /* with a step a tick: 2 MiB a second at most */

static rdg_err_t record_path(const char *dir, char path[4096]) {
    return rdg_path_join(path, 4096, dir, NAME);
}

void damage_record(const char *dir, rdg_err_t err, const char *why, bool at_start) {
    char path[4096];
    rdg_buf_t text;
    json_t *o =
        json_pack("{s:s, s:s, s:s, s:I}", "code", rdg_err_name(err), "why", why, "found",
                  at_start ? "start" : "running", "time_ms", (json_int_t)rdg_wall_ms(rdg_clock_system()));
    rdg_buf_init(&text, 8192);
    rdg_err_t saved = o ? rdg_json_dump(o, &text) : RDG_E_NO_MEMORY;
    if (saved == RDG_OK) saved = record_path(dir, path);
    if (saved == RDG_OK) saved = rdg_file_replace(path, rdg_buf_view(&text), 0644);
    rdg_log(RDG_LOG_ERROR, "node.damaged", RDG_STR("code", rdg_err_name(err)), RDG_STR("what", why),
            RDG_STR("found", at_start ? "start" : "running"),
            RDG_STR("remedy", "ridge node recover CHAIN DEVICE"), RDG_BOOL("recorded", saved == RDG_OK));
    rdg_buf_fini(&text);
    json_decref(o);
}

bool is_damage(rdg_err_t err) {
    return err == RDG_E_CORRUPT || err == RDG_E_DIVERGED;
}

/* What makes no sense in files that the agent has written. A ledger of a newer program is UNSUPPORTED, and not damaged; one of
 * another genesis is CONFLICT, and it is the genesis that is wrong. */
static bool is_senseless(rdg_err_t err, reading_t reading) {
    bool files = reading == READING_FILES;
    switch (err) {
    case RDG_E_INVALID:
    case RDG_E_CONFLICT:
    case RDG_E_BAD_SIGNATURE: return reading != READING_NOTHING;
    case RDG_E_UNSUPPORTED:
    case RDG_E_TOO_LARGE:
    case RDG_E_FORBIDDEN: return files;
    default: return false;
    }
}

/* An error that says that files of the node are not what they were; not one of its settings. */
void damage_at_start(const char *dir, rdg_err_t err, const char *why, reading_t reading) {
    char path[4096];
    bool was_node = rdg_path_join(path, sizeof path, dir, "voted") == RDG_OK && rdg_file_exists(path);
    if (!was_node)
        was_node = rdg_path_join(path, sizeof path, dir, "data") == RDG_OK && rdg_file_exists(path);
    if (!was_node) return; /* another directory, or one that was never a node's */
    if (is_damage(err) || err == RDG_E_MALFORMED || err == RDG_E_NOT_FOUND || is_senseless(err, reading))
        damage_record(dir, err, why, true);
}

rdg_err_t damage_load(rdg_node_t *n) {
    char path[4096];
    rdg_buf_t text;
    json_t *o = NULL;
    RDG_TRY(record_path(n->dir, path));
    rdg_buf_init(&text, 8192);
    rdg_err_t err = rdg_file_read(path, &text);
    if (err == RDG_E_NOT_FOUND) {
        rdg_buf_fini(&text);
        return RDG_OK;
    }
    if (err == RDG_OK) err = rdg_json_parse(rdg_buf_view(&text), &o);
    const char *found = json_string_value(json_object_get(o, "found"));
    const char *why = json_string_value(json_object_get(o, "why"));
    /* What kept it from starting keeps it no more: somebody has put the file back. */
    if (err == RDG_OK && found && strcmp(found, "start") == 0) {
        if (unlink(path) == 0) rdg_log0(RDG_LOG_INFO, "node.mended");
    } else {
        /* A record that can not be read is one all the same. */
        node_halt(n, RDG_E_CORRUPT, why ? why : "a record of damage that can not be read");
    }
    json_decref(o);
    rdg_buf_fini(&text);
    return RDG_OK;
}

void damage_found(void *node, rdg_err_t err, const char *why) {
    rdg_node_t *n = node;
    if (!is_damage(err)) return;
    pthread_mutex_lock(&n->lock);
    if (n->scrub.told == RDG_OK) {
        n->scrub.told = err;
        snprintf(n->scrub.told_why, sizeof n->scrub.told_why, "%s", why);
    }
    pthread_mutex_unlock(&n->lock);
}

static void take_told(rdg_node_t *n) {
    char why[RDG_ERROR_TEXT_MAX];
    pthread_mutex_lock(&n->lock);
    rdg_err_t err = n->scrub.told;
    snprintf(why, sizeof why, "%s", n->scrub.told_why);
    pthread_mutex_unlock(&n->lock);
    if (err != RDG_OK) node_halt(n, err, why);
}

/* --- reading again ------------------------------------------------------------------------------------------------ */

static void on_read(void *arg) {
    rdg_node_t *n = arg;
    n->scrub.err = rdg_scrub_step(n->scrub.at, STEP_BYTES, &n->scrub.passed);
    if (n->scrub.err != RDG_OK)
        snprintf(n->scrub.why, sizeof n->scrub.why, "%s", rdg_err_message(n->scrub.err));
}

static void on_done(void *arg) {
    rdg_node_t *n = arg;
    n->scrub.reading = false;
    if (n->closing) return;
    if (n->scrub.err != RDG_OK) {
        rdg_log(RDG_LOG_WARN, "node.check_failed", RDG_STR("code", rdg_err_name(n->scrub.err)),
                RDG_STR("why", n->scrub.why));
        damage_found(n, n->scrub.err, n->scrub.why);
        n->scrub.passed = true;
    }
    if (!n->scrub.passed) return;
    n->scrub.next_ms = rdg_loop_now_ms(n->loop) + n->options.scrub_ms;
    pthread_mutex_lock(&n->lock);
    if (n->scrub.err == RDG_OK) n->scrub.good_ms = rdg_wall_ms(rdg_clock_system());
    pthread_mutex_unlock(&n->lock);
    rdg_log(RDG_LOG_DEBUG, "node.checked", RDG_BOOL("good", n->scrub.err == RDG_OK));
}

void damage_tick(rdg_node_t *n) {
    if (!n->seen.halted) take_told(n);
    if (n->scrub.reading || n->closing || n->seen.halted || rdg_loop_now_ms(n->loop) < n->scrub.next_ms)
        return;
    if (n->seen.sync.phase != SYNC_IDLE) return; /* what is being brought in is checked on its way */
    if (!n->scrub.at && rdg_scrub_new(n->ledger, &n->scrub.at) != RDG_OK) return;
    n->scrub.reading = rdg_loop_work(n->loop, on_read, on_done, n) == RDG_OK;
}

void damage_close(rdg_node_t *n) {
    rdg_scrub_free(n->scrub.at);
    n->scrub.at = NULL;
}
