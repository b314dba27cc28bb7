#include "archive_keys.h"
#include "archive_states.h"
#include "collector_prune.h"
#include "contract.h"
#include "succession.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "ridge/base/alloc.h"
#include "ridge/base/log.h"
#include "ridge/codec/hex.h"
#include "ridge/ledger/archive.h"

#define LOOK_MS 200        /* at a command or a file that may come any moment */
#define LOOK_LATER_MS 2000 /* at one that takes longer */
#define REFUSED_AGAIN_MS 60000
#define KEY_AGAIN_MS 5000 /* at a key that somebody has to put back */
#define UPLOAD_MAX_MS (30ull * 86400000)

bool collector_passes(rdg_err_t err) {
    return err == RDG_E_UNAVAILABLE || err == RDG_E_TIMEOUT || err == RDG_E_BUSY || err == RDG_E_FULL ||
           err == RDG_E_NO_MEMORY || err == RDG_E_CLOSED || err == RDG_E_IO || err == RDG_E_DISK_FULL;
}

static rdg_err_t end(rdg_baas_t *b, archive_row_t *r, const char *state, rdg_err_t why) {
    char text[RDG_ERROR_TEXT_MAX];
    snprintf(text, sizeof text, "%s", rdg_err_message(why));
    rdg_log(RDG_LOG_WARN, "collector.ended", RDG_STR("chain", r->name), RDG_STR("device", r->device),
            RDG_STR("state", state), RDG_STR("code", rdg_err_name(why)), RDG_STR("why", text));
    return archives_move(b, r, state, text);
}

/* --- ordered ----------------------------------------------------------------------------------------------- */

/* Known before it is sent, and the same whenever it is sent again. */
static void command_id(const archive_row_t *r, char out[33]) {
    char text[128];
    rdg_hash_t digest;
    int n = snprintf(text, sizeof text, "archive/%" PRId64 "/%" PRIu64 "/%" PRId64, r->number,
                     r->claim.chain_id, r->attempt);
    rdg_sm3(text, (size_t)n, &digest);
    rdg_hex_encode(digest.b, 16, out);
}

/* One that has refused to delete blocks that are not archived still has its node. */
static bool is_leaving(const chain_t *c, const steps_t *steps, const char *device) {
    const step_t *removal = steps_find(steps, device, STEP_REMOVE);
    return removal && !(chain_is(c, "closing") && step_failed(removal));
}

/* The attempt's turn among the chain's devices, those that are online first. NOT_FOUND: each has had its turn. */
static rdg_err_t choose_device(rdg_baas_t *b, archive_row_t *r, const chain_t *c, const steps_t *steps) {
    int64_t turn = r->attempt;
    if (r->given_device && r->attempt > 0) return RDG_E_NOT_FOUND;
    if (r->given_device) return RDG_OK;
    for (int online = 1; online >= 0; --online)
        for (size_t i = 0; i < steps->count; ++i) {
            const step_t *s = &steps->list[i];
            if (s->kind != STEP_START || !step_done(s) || is_leaving(c, steps, s->device)) continue;
            if ((device_online(b, s->device) == RDG_OK) != online || turn-- > 0) continue;
            snprintf(r->device, sizeof r->device, "%s", s->device);
            return RDG_OK;
        }
    return RDG_E_NOT_FOUND;
}

/* What the chain's archives are encrypted with by now; the order before may have been under another key. */
static rdg_err_t choose_key(rdg_baas_t *b, archive_row_t *r, const chain_t *c) {
    archive_policy_t policy;
    rdg_free(r->wrapped);
    r->wrapped = NULL;
    r->key_id[0] = '\0';
    RDG_TRY(policy_load(b, c->number, &policy));
    return policy.encrypt ? archive_keys_current(b, c, r->key_id) : RDG_OK;
}

/* *why: what the device before has said; NULL at first. last: what the archive ends as if no device is left. */
static rdg_err_t next_device(rdg_baas_t *b, archive_row_t *r, const chain_t *c, const char *why,
                             const char *last) {
    char reason[RDG_ERROR_TEXT_MAX];
    steps_t steps;
    snprintf(reason, sizeof reason, "%s", why ? why : "the chain has no device that runs a node");
    RDG_TRY(steps_load(b, c, &steps));
    rdg_err_t err = choose_device(b, r, c, &steps);
    steps_fini(&steps);
    if (err == RDG_E_NOT_FOUND) return end(b, r, last, rdg_fail(RDG_E_UNAVAILABLE, "%s", reason));
    RDG_TRY(err);
    r->claim.from = r->claim.to = 0; /* what the one before has said */
    if (r->wanted_from == 0) {
        /* Without a first block it goes on where the last archive has ended. */
        uint64_t reach;
        RDG_TRY(archives_reach(b, r->chain, &reach));
        if (reach > 0) r->claim.from = reach + 1;
    }
    RDG_TRY(choose_key(b, r, c));
    command_id(r, r->command);
    ++r->attempt;
    return archives_move(b, r, "ordered", why ? reason : NULL);
}

/* Said once, while the row stays where it is. */
static rdg_err_t say(rdg_baas_t *b, archive_row_t *r, rdg_err_t why) {
    char text[RDG_ERROR_TEXT_MAX];
    snprintf(text, sizeof text, "%s", rdg_err_message(why));
    if (r->error && strcmp(r->error, text) == 0) return RDG_OK;
    rdg_log(RDG_LOG_WARN, "collector.waits", RDG_STR("chain", r->name), RDG_STR("state", r->state),
            RDG_STR("key", r->key_id), RDG_STR("why", text));
    return archives_move(b, r, r->state, text);
}

/* Nothing that a device could help: it is said, and tried again. */
static rdg_err_t await_key(rdg_baas_t *b, archive_row_t *r, rdg_err_t why, uint64_t *after_ms) {
    *after_ms = KEY_AGAIN_MS;
    return say(b, r, why);
}

/* Stored before it is sent: each time that it is wrapped it looks different. */
static rdg_err_t wrap_key(rdg_baas_t *b, archive_row_t *r, const chain_t *c) {
    json_t *wrapped = NULL;
    if (!r->key_id[0] || r->wrapped) return RDG_OK;
    RDG_TRY(archive_keys_wrap(b, c, r->device, r->key_id, &wrapped));
    r->wrapped = rdg_json_text(wrapped);
    json_decref(wrapped);
    return r->wrapped ? archives_save(b, r) : rdg_fail(RDG_E_NO_MEMORY, "no memory for a command");
}

static rdg_err_t send_order(rdg_baas_t *b, const archive_row_t *r, const chain_t *c, json_t **command) {
    uint64_t state_from;
    RDG_TRY(archive_state_wanted(b, r, c, &state_from));
    uint64_t from = r->wanted_from ? r->wanted_from : r->claim.from,
             deadline = baas_now() + COLLECTOR_ORDER_MS;
    json_t *params = json_pack("{s:s, s:I, s:I, s:I}", "chain", r->name, "from", (json_int_t)from, "to",
                               (json_int_t)r->wanted_to, "state_from", (json_int_t)state_from);
    json_t *key = NULL;
    if (r->wrapped && rdg_json_parse(rdg_bytes_str(r->wrapped), &key) == RDG_OK)
        json_object_set_new(params, "key", key);
    json_t *body = json_pack("{s:s, s:s, s:o, s:I}", "id", r->command, "type", "chain.archive", "params",
                             params, "deadline_ms", (json_int_t)deadline);
    if (!body) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a command");
    return remote_order(b, r->device, body, command);
}

/* An id that exists is answered and not sent again, so asking and sending are one. */
static rdg_err_t take_result(archive_row_t *r, const json_t *command) {
    json_t *result;
    const char *name;
    RDG_TRY(rdg_json_get_object(command, "result", &result));
    RDG_TRY(rdg_json_get_str(result, "name", &name));
    RDG_TRY(rdg_json_get_u64(result, "from", &r->claim.from));
    RDG_TRY(rdg_json_get_u64(result, "to", &r->claim.to));
    RDG_TRY(rdg_json_get_u64(result, "mark_ms", &r->claim.mark_ms));
    RDG_TRY(rdg_json_get_hex(result, "manifest", r->claim.manifest.b, sizeof r->claim.manifest.b));
    RDG_TRY(rdg_json_get_hex(result, "content", r->claim.content.b, sizeof r->claim.content.b));
    if (strcmp(name, r->command) != 0)
        return rdg_fail(RDG_E_PROTOCOL, "device '%s' names another file than that of this order: '%.64s'",
                        r->device, name);
    snprintf(r->object, sizeof r->object, "%s", name);
    return RDG_OK;
}

static rdg_err_t ordered(rdg_baas_t *b, archive_row_t *r, const chain_t *c, uint64_t *after_ms) {
    json_t *command = NULL;
    const char *state = "", *message = "it was not done";
    if (!r->command[0]) RDG_TRY(next_device(b, r, c, NULL, "failed"));
    if (archive_ended(r)) return RDG_OK;
    *after_ms = LOOK_MS;
    rdg_err_t err = wrap_key(b, r, c);
    if (err == RDG_E_CONFLICT) return next_device(b, r, c, rdg_err_message(err), "failed");
    if (err != RDG_OK) return collector_passes(err) ? err : await_key(b, r, err, after_ms);
    err = send_order(b, r, c, &command);
    if (err != RDG_OK && collector_passes(err)) return err;
    if (err != RDG_OK) return next_device(b, r, c, rdg_err_message(err), "failed");
    (void)rdg_json_opt_str(command, "state", &state);
    if (strcmp(state, "done") == 0) {
        err = take_result(r, command);
        err = err == RDG_OK ? archives_move(b, r, "exported", NULL)
                            : next_device(b, r, c, rdg_err_message(err), "failed");
    } else if (strcmp(state, "failed") == 0 || strcmp(state, "expired") == 0 ||
               strcmp(state, "cancelled") == 0) {
        char why[RDG_ERROR_TEXT_MAX];
        const json_t *error = json_object_get(command, "error");
        if (json_is_object(error)) (void)rdg_json_opt_str(error, "message", &message);
        snprintf(why, sizeof why, "device '%s': %s", r->device, message);
        err = next_device(b, r, c, why, "failed");
    } else if (baas_now() - r->created_ms > 10000) {
        *after_ms = LOOK_LATER_MS;
    }
    json_decref(command);
    return err;
}

/* --- exported ---------------------------------------------------------------------------------------------- */

static rdg_err_t find_file(rdg_baas_t *b, archive_row_t *r) {
    char path[256];
    json_t *answer = NULL;
    uint64_t file = 0;
    snprintf(path, sizeof path, "/files?kind=archive&device=%s&name=%s", r->device, r->object);
    RDG_TRY(remote_files(b, "GET", path, &answer));
    const json_t *found = json_array_get(json_object_get(answer, "files"), 0);
    rdg_err_t err = RDG_OK;
    if (found) err = rdg_json_get_u64(found, "number", &file);
    if (found && err == RDG_OK) err = rdg_json_get_u64(found, "size", &r->bytes);
    json_decref(answer);
    r->file = (int64_t)file;
    return err;
}

/* Of a file that is of no use: it takes room, and stands in the way of an honest one of the same name. */
static rdg_err_t drop_file(rdg_baas_t *b, archive_row_t *r) {
    char path[160];
    bool used;
    RDG_TRY(archives_file_used(b, r->file, &used));
    /* Each order has a file of its own name, so this is the platform's mistake; nothing proven is lost by it. */
    if (used) {
        rdg_log(RDG_LOG_ERROR, "collector.file_shared", RDG_STR("chain", r->name), RDG_I64("file", r->file));
        r->file = 0;
        return archives_save(b, r);
    }
    snprintf(path, sizeof path, "/files/%" PRId64 "?discard=%s", r->file, r->object);
    rdg_err_t err = remote_files(b, "DELETE", path, NULL);
    if (err != RDG_OK && err != RDG_E_NOT_FOUND) return err;
    r->file = 0;
    return archives_save(b, r);
}

static rdg_err_t compare_twin(rdg_baas_t *b, archive_row_t *r) {
    char why[96];
    int64_t twin;
    bool same;
    RDG_TRY(archives_twin(b, r, &twin, &same));
    if (twin && !same)
        return end(b, r, "refused",
                   rdg_fail(RDG_E_CONFLICT,
                            "device '%s': archive %" PRId64 " proves other blocks of that range: the chain's "
                            "validators have signed two histories",
                            r->device, twin));
    if (!twin) {
        rdg_log(RDG_LOG_INFO, "collector.verified", RDG_STR("chain", r->name), RDG_STR("device", r->device),
                RDG_U64("from", r->claim.from), RDG_U64("to", r->claim.to), RDG_U64("transactions", r->txs));
        return archives_move(b, r, "verified", NULL);
    }
    snprintf(why, sizeof why, "archive %" PRId64 " has these blocks already", twin);
    return archives_move(b, r, "duplicate", why);
}

/* A hand-over to other devices changes who may have signed what is above the block where it begins. */
static rdg_err_t check_same_chain(rdg_baas_t *b, const archive_row_t *r, const chain_t *c) {
    chain_t now;
    RDG_TRY(succession_check_open(b, r->claim.chain_id, r->claim.to));
    RDG_TRY(chain_load(b, c->name, &now));
    bool same = now.number == c->number && json_equal(now.genesis, c->genesis);
    chain_fini(&now);
    return same ? RDG_OK
                : rdg_fail(RDG_E_UNAVAILABLE, "the chain was handed over to other devices meanwhile");
}

rdg_err_t collector_record(rdg_baas_t *b, archive_row_t *r, const chain_t *c, bool *taken) {
    RDG_TRY(rdg_sql_begin(b->db));
    rdg_err_t err = check_same_chain(b, r, c);
    *taken = err == RDG_OK;
    if (err == RDG_OK) err = compare_twin(b, r);
    if (err == RDG_OK) err = rdg_sql_commit(b->db);
    if (err != RDG_OK) rdg_sql_rollback(b->db);
    return err == RDG_OK || *taken ? err : err == RDG_E_UNAVAILABLE ? RDG_OK : err;
}

static rdg_err_t proven(rdg_baas_t *b, archive_row_t *r, const chain_t *c, uint64_t *after_ms) {
    bool taken;
    /* A chain that is rebuilt from this archive may have no node with the logs any more. */
    rdg_err_t behind = contract_catch_up(b, c, r->claim.to);
    if (behind != RDG_OK) rdg_log_err("collector.registry_behind", behind);
    RDG_TRY(collector_record(b, r, c, &taken));
    if (!taken) *after_ms = LOOK_LATER_MS;
    return RDG_OK;
}

/* The device is named, its file goes, and another of the chain is asked for the same blocks. */
static rdg_err_t refused(rdg_baas_t *b, archive_row_t *r, const chain_t *c, rdg_err_t why) {
    char text[RDG_ERROR_TEXT_MAX];
    snprintf(text, sizeof text, "%s", rdg_err_message(why));
    rdg_log(RDG_LOG_WARN, "collector.refused", RDG_STR("chain", r->name), RDG_STR("device", r->device),
            RDG_STR("code", rdg_err_name(why)), RDG_STR("why", text));
    RDG_TRY(event_add(b, r->chain, r->device, "archive", "refused", text));
    RDG_TRY(drop_file(b, r));
    return next_device(b, r, c, text, "refused");
}

static rdg_err_t exported(rdg_baas_t *b, archive_row_t *r, const chain_t *c, uint64_t *after_ms) {
    rdg_archive_key_t key;
    bool guilty;
    if (r->file == 0) RDG_TRY(find_file(b, r));
    if (r->file == 0) {
        uint64_t now = baas_now(), waited = now > r->updated_ms ? now - r->updated_ms : 0;
        *after_ms = waited < 10000 ? LOOK_MS : LOOK_LATER_MS;
        if (waited < UPLOAD_MAX_MS) return RDG_OK;
        return end(b, r, "failed",
                   rdg_fail(RDG_E_TIMEOUT, "device '%s' has not uploaded it within 30 days", r->device));
    }
    *after_ms = LOOK_LATER_MS;
    rdg_err_t err = succession_check_open(b, r->claim.chain_id, r->claim.to);
    if (err != RDG_OK) return err == RDG_E_UNAVAILABLE ? say(b, r, err) : err;
    err = r->key_id[0] ? archive_keys_load(b, r->name, r->key_id, &key) : RDG_OK;
    if (err != RDG_OK) return collector_passes(err) ? err : await_key(b, r, err, after_ms);
    err = collector_prove(b, r, c, r->key_id[0] ? &key : NULL, &guilty);
    rdg_secure_zero(&key, sizeof key);
    *after_ms = 1;
    if (err == RDG_OK) return proven(b, r, c, after_ms);
    if (err == RDG_E_NOT_FOUND && !guilty) { /* somebody has removed it */
        r->file = 0;
        return end(b, r, "failed", err);
    }
    if (!guilty) return err;
    return refused(b, r, c, rdg_fail_in(err, "device '%s'", r->device));
}

/* --- verified ---------------------------------------------------------------------------------------------- */

static rdg_err_t verified(rdg_baas_t *b, archive_row_t *r, uint64_t *after_ms) {
    const rdg_collector_anchorer_t *a = &b->collector->anchorer;
    if (!a->anchor) return RDG_OK;
    if (r->receipt.len == 0) {
        rdg_err_t err = a->anchor(a->ctx, &r->claim, &r->anchored);
        *after_ms = collector_passes(err) ? 1000 : REFUSED_AGAIN_MS;
        if (err != RDG_OK && collector_passes(err)) return RDG_OK;
        if (err == RDG_E_CONFLICT) return end(b, r, "refused", err);
        if (err != RDG_OK) return say(b, r, err);
        RDG_TRY(collector_sign(b, r));
        RDG_TRY(archives_save(b, r));
    }
    if (a->receipted) RDG_TRY(a->receipted(a->ctx, &r->claim, rdg_buf_view(&r->receipt)));
    *after_ms = 1;
    rdg_log(RDG_LOG_INFO, "collector.archived", RDG_STR("chain", r->name), RDG_U64("from", r->claim.from),
            RDG_U64("to", r->claim.to), RDG_U64("anchor_height", r->anchored.height));
    RDG_TRY(archives_move(b, r, "archived", NULL));
    prunes_kick(b);
    return RDG_OK;
}

rdg_err_t collector_advance(rdg_baas_t *b, archive_row_t *r, uint64_t *after_ms) {
    chain_t c;
    if (strcmp(r->state, "verified") == 0) return verified(b, r, after_ms);
    if (archive_ended(r)) return drop_file(b, r);
    RDG_TRY(chain_load(b, r->name, &c));
    rdg_err_t err;
    if (c.number != r->chain || chain_gone(&c))
        err = end(b, r, "failed", rdg_fail(RDG_E_NOT_FOUND, "chain '%s' is gone", r->name));
    else if (strcmp(r->state, "exported") == 0)
        err = exported(b, r, &c, after_ms);
    else
        err = ordered(b, r, &c, after_ms);
    chain_fini(&c);
    return err;
}
