/* A rebuild on other devices, step by step: what it waits for, who may sign, restarts, giving up. That archives are verified
 * and nodes built from them is tested on a whole system (suites recovery, archive-keys). */
#include "succession.h"
#include "lost_chain.h"
#include "ridge/base/file.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PATIENCE_MS = 60000 };

/* --- the world -------------------------------------------------------------------------------------------------- */

static void ledger_path(const kit_t *k, char path[700]) {
    snprintf(path, 700, "%s-succession-1", k->baas->collector->dir);
}

static void make_ledger(const kit_t *k, int threshold) {
    char path[700];
    ledger_path(k, path);
    CHECK_OK(rdg_tree_remove(path, NULL));
    lost_ledger(path, threshold);
}

static void begin(kit_t *k) {
    lost_open(k);
    k->p.offline[0] = true; /* lost */
}

static json_t *rebuild_of(kit_t *k) {
    json_t *o;
    CHECK_EQ(kit_call(k, "GET", "/chains/c/rebuild", NULL, &o), 200);
    return o;
}

/* Until the rebuild is there; what it then is, owned. */
static json_t *await(kit_t *k, const char *step, const char *state) {
    uint64_t end = baas_mono() + PATIENCE_MS;
    json_int_t after = 0;
    for (;;) {
        char path[128];
        json_t *answer, *o = rebuild_of(k);
        if (strcmp(kit_text(o, "step"), step) == 0 && strcmp(kit_text(o, "state"), state) == 0) return o;
        if (baas_mono() > end)
            rdg_test_fail(__FILE__, __LINE__, "%s, %s (%s) and not %s, %s", kit_text(o, "step"),
                          kit_text(o, "state"), kit_text(o, "error"), step, state);
        json_decref(o);
        snprintf(path, sizeof path, "/chains/c/events?after=%lld&wait_ms=1000", (long long)after);
        CHECK_EQ(kit_call(k, "GET", path, NULL, &answer), 200);
        const json_t *list = json_object_get(answer, "events");
        size_t n = json_array_size(list);
        if (n > 0) after = json_integer_value(json_object_get(json_array_get(list, n - 1), "seq"));
        json_decref(answer);
    }
}

static unsigned ask(kit_t *k, const char *devices, json_t **answer) {
    char body[200];
    snprintf(body, sizeof body, "{\"devices\":[%s],\"allow_no_fault_tolerance\":true}", devices);
    return kit_call(k, "POST", "/chains/c/rebuild", body, answer);
}

#define TWO "\"dev-2\",\"dev-3\""

/* Up to the step `act`: verifying fails, since the main chain is away, and is then taken as done. */
static json_t *come_to_act(kit_t *k, int threshold, const char *state) {
    CHECK_EQ(ask(k, TWO, NULL), 202);
    json_t *o = await(k, "verify", "failed");
    CHECK(strstr(kit_text(o, "error"), "archive of blocks 1 to 3"));
    json_decref(o);
    make_ledger(k, threshold);
    lost_sql(k, "UPDATE chain_successions SET done = archives");
    CHECK_EQ(ask(k, TWO, NULL), 202);
    return await(k, threshold > 1 ? "act" : "anchor", state);
}

/* --- signing ---------------------------------------------------------------------------------------------------- */

static void digest_of(const json_t *rebuild, rdg_hash_t *out) {
    CHECK_OK(rdg_json_get_hex(json_object_get(rebuild, "act"), "digest", out->b, sizeof out->b));
}

/* key's signature over `over`, said to be of `digest` and by `as`. */
static unsigned hand_in(kit_t *k, uint8_t key, uint8_t as, const rdg_hash_t *over, const rdg_hash_t *digest,
                        json_t **answer) {
    rdg_sm2_public_t public;
    rdg_sm2_signature_t signature;
    CHECK_OK(rdg_sm2_sign(lost_key(key), over->b, sizeof over->b, &signature));
    rdg_sm2_key_public(lost_key(as), &public);
    json_t *body = json_pack("{s:o, s:o, s:o}", "public_key", rdg_json_hex(public.b, sizeof public.b),
                             "signature", rdg_json_hex(signature.b, sizeof signature.b), "digest",
                             rdg_json_hex(digest->b, sizeof digest->b));
    char *text = rdg_json_text(body);
    unsigned status = kit_call(k, "POST", "/chains/c/rebuild/signatures", text, answer);
    rdg_free(text);
    json_decref(body);
    return status;
}

static void refused(kit_t *k, uint8_t key, uint8_t as, const rdg_hash_t *over, const rdg_hash_t *digest,
                    unsigned status, const char *says) {
    json_t *a;
    unsigned got = hand_in(k, key, as, over, digest, &a);
    if (got != status || !strstr(kit_error(a, "message"), says))
        rdg_test_fail(__FILE__, __LINE__, "key %u as %u: HTTP %u '%s', want %u and '%s'", key, as, got,
                      kit_error(a, "message"), status, says);
    json_decref(a);
}

static void signed_by(kit_t *k, uint8_t key, const rdg_hash_t *digest, json_int_t count, const char *state) {
    json_t *a;
    CHECK_EQ(hand_in(k, key, key, digest, digest, &a), 200);
    CHECK_EQ(json_integer_value(json_object_get(a, "signed")), count);
    CHECK_STR(kit_text(a, "state"), state);
    json_decref(a);
}

/* The archive too: who recovers from it waits for the main chain's proof, which nobody gives. */
static void written(kit_t *k) {
    lost_sql(k, "INSERT OR IGNORE INTO main_intents (chain, name, kind, idem, args, state, entry, created_ms)"
                " SELECT chain_id, name, 4, 'archive:' || lower(hex(manifest)),"
                " '[1, 3, 1234, \"0x' || hex(manifest) || '\", \"0x' || hex(content) || '\"]', 1, 0, 1"
                " FROM archives WHERE number = 1");
    lost_sql(k, "UPDATE main_intents SET state = 1, entry = 1, block = 1, time_s = 1 WHERE kind = 2");
    work_kick(k->baas, "c");
}

static void refused_by_mainchain(kit_t *k) {
    lost_sql(
        k,
        "UPDATE main_intents SET state = 2, error = 'the chain is destroyed' WHERE kind = 2 AND state = 0");
    work_kick(k->baas, "c");
}

static int64_t count_of(kit_t *k, const char *query) {
    int64_t n = 0;
    CHECK_OK(rdg_sql_query(k->baas->db, query, NULL, 0, baas_int_row, &n));
    return n;
}

static void restart(kit_t *k) {
    kit_stop_baas(k);
    kit_start_baas(k);
}

/* The nodes were built, as their devices would say. */
static void recovered(kit_t *k) {
    lost_sql(k, "UPDATE chain_steps SET state = 'done', rank = 4 WHERE kind = 3");
    lost_sql(k, "DELETE FROM recovery_wishes");
    work_kick(k->baas, "c");
}

/* --- tests ------------------------------------------------------------------------------------------------------ */

TEST(succession_by_one_administrator_needs_nobody_else) {
    kit_t k;
    begin(&k);
    json_t *o = come_to_act(&k, 1, "running");
    CHECK_EQ(json_integer_value(json_object_get(o, "signed")), 1);
    CHECK_EQ(json_integer_value(json_object_get(o, "threshold")), 1);
    CHECK_EQ(json_integer_value(json_object_get(o, "epoch")), 1);
    json_decref(o);
    CHECK_EQ(kit_call(&k, "DELETE", "/chains/c/rebuild", NULL, &o), 409); /* no way back */
    CHECK(strstr(kit_error(o, "message"), "the main chain has"));
    json_decref(o);
    CHECK_EQ(ask(&k, "\"dev-4\",\"dev-5\"", &o), 409);
    CHECK(strstr(kit_error(o, "message"), "give the same ones"));
    json_decref(o);
    written(&k);
    json_decref(await(&k, "restore", "running"));
    kit_close(&k);
}

TEST(succession_waits_for_as_many_administrators_as_the_state_names) {
    kit_t k;
    rdg_hash_t digest, other = {{9}};
    begin(&k);
    json_t *o = come_to_act(&k, 3, "waiting"), *act = json_object_get(o, "act");
    CHECK_EQ(json_integer_value(json_object_get(o, "signed")), 1);
    CHECK_EQ(json_integer_value(json_object_get(act, "threshold")), 3);
    CHECK_EQ(json_integer_value(json_object_get(act, "height")), LOST_LAST);
    CHECK_EQ(json_integer_value(json_object_get(act, "first_height")), LOST_LAST + 1);
    CHECK_EQ(json_integer_value(json_object_get(act, "chain_id")), LOST_CHAIN_ID);
    CHECK_EQ(json_array_size(json_object_get(act, "administrators")), 3);
    CHECK_EQ(json_array_size(json_object_get(act, "signed")), 1);
    CHECK_STR(kit_text(json_array_get(json_object_get(act, "validators"), 1), "name"), "dev-3");
    digest_of(o, &digest);
    json_decref(o);
    refused(&k, 6, 6, &digest, &digest, 403, "no administrator");
    refused(&k, 6, 8, &digest, &digest, 422, "is not");
    refused(&k, 8, 8, &other, &digest, 422, "is not");
    refused(&k, 8, 8, &other, &other, 409, "another act");
    refused(&k, 9, 9, &digest, &digest, 409, "1 of 3");
    signed_by(&k, 8, &digest, 2, "waiting");
    refused(&k, 8, 8, &digest, &digest, 409, "has signed already: 2 of 3");
    signed_by(&k, 7, &digest, 3, "running");
    o = await(&k, "anchor", "running");
    CHECK_EQ(json_integer_value(json_object_get(o, "signed")), 3);
    json_decref(o);
    refused(&k, 7, 7, &digest, &digest, 409, "no act of chain 'c' waits");
    /* Who signed, and who handed it in, stands in the chain's events. */
    CHECK_EQ(kit_call(&k, "GET", "/chains/c/events?after=0", NULL, &o), 200);
    char *events = rdg_json_text(o);
    CHECK(strstr(events, "rebuild.signature") && strstr(events, "handed in by admin: 3 of 3"));
    rdg_free(events);
    json_decref(o);
    kit_close(&k);
}

TEST(succession_refuses_signatures_that_are_none) {
    static const char *const bodies[][2] = {
        {"{}", "public_key"},
        {"{\"public_key\":\"00\",\"signature\":\"00\",\"digest\":\"00\"}", "public_key"},
        {"{\"public_key\":7}", "public_key"}};
    kit_t k;
    json_t *a;
    begin(&k);
    CHECK_EQ(kit_call(&k, "GET", "/chains/c/rebuild", NULL, &a), 404);
    CHECK(strstr(kit_error(a, "message"), "never rebuilt"));
    json_decref(a);
    CHECK_EQ(kit_call(&k, "DELETE", "/chains/c/rebuild", NULL, NULL), 409);
    json_decref(come_to_act(&k, 2, "waiting"));
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; ++i) {
        CHECK_EQ(kit_call(&k, "POST", "/chains/c/rebuild/signatures", bodies[i][0], &a), 400);
        CHECK(strstr(kit_error(a, "message"), bodies[i][1]));
        json_decref(a);
    }
    CHECK_EQ(kit_call(&k, "POST", "/chains/c/rebuild/signatures", NULL, NULL), 400);
    kit_close(&k);
}

/* The cloud's key may have been taken from the administrators, or be lost: then the others are enough. */
TEST(succession_goes_on_without_the_key_of_the_cloud) {
    kit_t k;
    rdg_hash_t digest;
    char path[600];
    begin(&k);
    CHECK_OK(rdg_path_join(path, sizeof path, rdg_test_dir(), "keys/chain-1.pem"));
    CHECK(unlink(path) == 0);
    CHECK_OK(rdg_sm2_key_save(lost_key(6), path));
    json_t *o = come_to_act(&k, 2, "waiting");
    CHECK_EQ(json_integer_value(json_object_get(o, "signed")), 0);
    digest_of(o, &digest);
    json_decref(o);
    signed_by(&k, 7, &digest, 1, "waiting");
    signed_by(&k, 8, &digest, 2, "running");
    json_decref(await(&k, "anchor", "running"));
    kit_close(&k);
}

TEST(succession_goes_on_after_a_restart_of_the_cloud_at_each_step) {
    kit_t k;
    rdg_hash_t digest;
    char path[700], aside[720];
    begin(&k);
    k.p.on_prepare[1] = k.p.on_start[2] = OUTCOME_HOLD;
    CHECK_EQ(ask(&k, TWO, NULL), 202);
    kit_wait_commands(&k, "chain.prepare", 3);
    restart(&k);
    k.p.on_prepare[1] = OUTCOME_DONE;
    kit_release(&k, "chain.prepare", FAKE_DEVICES, OUTCOME_DONE);
    json_decref(await(&k, "verify", "failed"));
    restart(&k);
    json_t *o = come_to_act(&k, 3, "waiting");
    digest_of(o, &digest);
    json_decref(o);
    signed_by(&k, 8, &digest, 2, "waiting");
    restart(&k);
    o = rebuild_of(&k);
    CHECK_EQ(json_integer_value(json_object_get(o, "signed")), 2);
    json_decref(o);
    /* The ledger is gone: it is verified again, and what was signed is still the act that follows. */
    ledger_path(&k, path);
    snprintf(aside, sizeof aside, "%s.aside", path);
    CHECK(rename(path, aside) == 0);
    CHECK_EQ(ask(&k, TWO, NULL), 202);
    json_decref(await(&k, "verify", "failed"));
    CHECK(rename(aside, path) == 0);
    lost_sql(&k, "UPDATE chain_successions SET done = archives");
    CHECK_EQ(ask(&k, TWO, NULL), 202);
    o = await(&k, "act", "waiting");
    CHECK_EQ(json_integer_value(json_object_get(o, "signed")), 2);
    json_decref(o);
    /* Another one than before: what was signed is over another act, and asked for anew. */
    CHECK_OK(rdg_tree_remove(path, NULL));
    CHECK_EQ(ask(&k, TWO, NULL), 202);
    json_decref(await(&k, "verify", "failed"));
    o = come_to_act(&k, 3, "waiting");
    CHECK_EQ(json_integer_value(json_object_get(o, "signed")), 1);
    refused(&k, 8, 8, &digest, &digest, 409, "another act");
    digest_of(o, &digest);
    json_decref(o);
    signed_by(&k, 8, &digest, 2, "waiting");
    signed_by(&k, 7, &digest, 3, "running");
    json_decref(await(&k, "anchor", "running"));
    restart(&k);
    json_decref(await(&k, "anchor", "running"));
    written(&k);
    json_decref(await(&k, "restore", "running"));
    restart(&k);
    recovered(&k);
    kit_wait_commands(&k, "chain.start", 3);
    restart(&k);
    kit_release(&k, "chain.start", FAKE_DEVICES, OUTCOME_DONE);
    json_decref(await(&k, "first-block", "running"));
    restart(&k);
    k.p.height = LOST_LAST + 1;
    work_kick(k.baas, "c");
    json_decref(await(&k, "done", "done"));
    CHECK_EQ(kit_commands(&k, "chain.prepare"), 3);
    CHECK_EQ(kit_commands(&k, "chain.start"), 3);
    kit_close(&k);
}

static void await_clear(kit_t *k) {
    uint64_t end = baas_mono() + PATIENCE_MS;
    while (count_of(k, "SELECT COUNT(*) FROM chain_steps WHERE device <> 'dev-1'") > 0) {
        CHECK(baas_mono() < end);
        usleep(5000);
    }
}

TEST(succession_that_is_given_up_leaves_nothing_on_its_devices) {
    kit_t k;
    rdg_hash_t digest;
    char path[700];
    begin(&k);
    json_t *o = come_to_act(&k, 2, "waiting");
    digest_of(o, &digest);
    json_decref(o);
    /* While people sign, nobody else's order takes that from them. */
    CHECK_EQ(ask(&k, "\"dev-4\",\"dev-5\"", &o), 409);
    CHECK(strstr(kit_error(o, "message"), "--cancel"));
    json_decref(o);
    CHECK_EQ(kit_call(&k, "DELETE", "/chains/c/rebuild", NULL, NULL), 202);
    json_decref(await(&k, "act", "cancelled"));
    kit_wait_commands(&k, "chain.remove", 2);
    await_clear(&k);
    ledger_path(&k, path);
    CHECK(!rdg_file_exists(path));
    refused(&k, 8, 8, &digest, &digest, 409, "no act");
    CHECK_EQ(kit_call(&k, "DELETE", "/chains/c/rebuild", NULL, NULL), 409);
    /* And they may be named again. */
    o = come_to_act(&k, 2, "waiting");
    json_decref(o);
    CHECK_EQ(kit_commands(&k, "chain.prepare"), 5);
    kit_close(&k);
}

/* Its second device fails; the first may stand in the next order at once, and is cleared and prepared for that. */
TEST(succession_that_failed_makes_room_for_one_with_some_of_its_devices) {
    kit_t k;
    begin(&k);
    k.p.on_prepare[2] = OUTCOME_FAIL;
    k.p.on_remove[1] = OUTCOME_HOLD;
    CHECK_EQ(ask(&k, TWO, NULL), 202);
    json_t *o = await(&k, "prepare", "failed");
    CHECK(strstr(kit_text(o, "error"), "device 'dev-3' could not prepare"));
    CHECK(json_is_null(json_object_get(o, "act")));
    json_decref(o);
    CHECK_EQ(ask(&k, "\"dev-2\",\"dev-1\"", &o), 409); /* refused: nothing is given up for it */
    CHECK(strstr(kit_error(o, "message"), "has a node of chain"));
    json_decref(o);
    json_decref(await(&k, "prepare", "failed"));
    CHECK_EQ(ask(&k, "\"dev-4\",\"dev-2\"", NULL), 202);
    kit_wait_commands(&k, "chain.remove", 2);
    json_decref(await(&k, "prepare", "running"));
    kit_release(&k, "chain.remove", FAKE_DEVICES, OUTCOME_FAIL);
    o = await(&k, "prepare", "failed");
    CHECK(strstr(kit_text(o, "error"), "device 'dev-2' could not remove"));
    json_decref(o);
    k.p.on_remove[1] = OUTCOME_DONE;
    CHECK_EQ(ask(&k, "\"dev-4\",\"dev-2\"", NULL), 202);
    json_decref(await(&k, "verify", "failed"));
    kit_close(&k);
}

#define ON_THE_WAY "SELECT COUNT(*) FROM main_intents WHERE kind = 2 AND state = 0"

/* That transaction is in a block and was undone: nobody will ever find the change on the main chain. */
TEST(succession_that_the_main_chain_refused_is_told_once_more_or_given_up) {
    kit_t k;
    json_t *o;
    begin(&k);
    json_decref(come_to_act(&k, 1, "running"));
    refused_by_mainchain(&k);
    o = await(&k, "anchor", "failed");
    CHECK(strstr(kit_text(o, "error"), "the chain is destroyed") && strstr(kit_text(o, "error"), "--cancel"));
    json_decref(o);
    CHECK_EQ(count_of(&k, ON_THE_WAY), 0);
    CHECK_EQ(ask(&k, TWO, NULL), 202);
    json_decref(await(&k, "anchor", "running"));
    CHECK_EQ(count_of(&k, ON_THE_WAY), 1);
    CHECK_EQ(kit_call(&k, "DELETE", "/chains/c/rebuild", NULL, NULL), 409); /* it is being told */
    refused_by_mainchain(&k);
    json_decref(await(&k, "anchor", "failed"));
    CHECK_EQ(kit_call(&k, "DELETE", "/chains/c/rebuild", NULL, NULL), 202);
    json_decref(await(&k, "anchor", "cancelled"));
    kit_wait_commands(&k, "chain.remove", 2);
    await_clear(&k);
    /* The number is free: another rebuild, and what was refused stays on record. */
    json_decref(come_to_act(&k, 1, "running"));
    CHECK_EQ(count_of(&k, ON_THE_WAY), 1);
    CHECK_EQ(count_of(&k, "SELECT COUNT(*) FROM main_intents WHERE kind = 2 AND state = 2"), 2);
    written(&k);
    json_decref(await(&k, "restore", "running"));
    CHECK_EQ(kit_call(&k, "DELETE", "/chains/c/rebuild", NULL, NULL), 409);
    kit_close(&k);
}

TEST(succession_that_the_main_chain_refused_makes_room_for_other_devices) {
    kit_t k;
    begin(&k);
    json_decref(come_to_act(&k, 1, "running"));
    refused_by_mainchain(&k);
    json_decref(await(&k, "anchor", "failed"));
    CHECK_EQ(ask(&k, "\"dev-4\",\"dev-5\"", NULL), 202);
    json_decref(await(&k, "verify", "failed"));
    make_ledger(&k, 1);
    lost_sql(&k, "UPDATE chain_successions SET done = archives");
    CHECK_EQ(ask(&k, "\"dev-4\",\"dev-5\"", NULL), 202);
    json_decref(await(&k, "anchor", "running"));
    CHECK_EQ(count_of(&k, ON_THE_WAY), 1);
    written(&k);
    json_decref(await(&k, "restore", "running"));
    kit_close(&k);
}

/* --- behind what ---------------------------------------------------------------------------------------------------- */

static void anchor_archive(kit_t *k, const char *state, int to) {
    char statement[400];
    lost_sql(k, "DELETE FROM main_intents WHERE kind = 4");
    snprintf(statement, sizeof statement,
             "INSERT INTO main_intents (chain, name, kind, idem, args, state, created_ms) VALUES (%d, 'c', 4,"
             " 'archive:x', '[1, %d, 1, \"00\", \"00\"]', %s, 1)",
             LOST_CHAIN_ID, to, state);
    lost_sql(k, statement);
}

static void refused_order(kit_t *k, const char *extra, unsigned status, const char *says) {
    char body[200];
    json_t *a;
    snprintf(body, sizeof body, "{\"devices\":[%s],\"allow_no_fault_tolerance\":true%s}", TWO, extra);
    unsigned got = kit_call(k, "POST", "/chains/c/rebuild", body, &a);
    if (got != status || !strstr(kit_error(a, "message"), says))
        rdg_test_fail(__FILE__, __LINE__, "%s: HTTP %u '%s', want %u and '%s'", extra, got,
                      kit_error(a, "message"), status, says);
    json_decref(a);
}

/* An act for a block below would be for administrators, or a threshold, of before; and the registry takes no archive of what
 * comes behind it. Typing the chain's name does not change that. */
TEST(succession_is_not_made_behind_a_block_below_what_the_main_chain_has) {
    static const char *const discard = ",\"discard\":\"c\"";
    kit_t k;
    begin(&k);
    for (int state = 0; state < 2; ++state) { /* it is being told; it has it */
        anchor_archive(&k, state ? "1" : "0", LOST_LAST + 2);
        refused_order(&k, "", 503, "up to block 5");
        refused_order(&k, discard, 503, "up to block 5");
    }
    anchor_archive(&k, "1", LOST_LAST);
    /* One behind a gap is not used, and what it has would be lost. */
    lost_sql(
        &k,
        "INSERT INTO archives (chain, name, chain_id, genesis, device, given, attempt, state, command,"
        " wanted_from, wanted_to, first, last, mark_ms, manifest, content, file, created_ms, updated_ms)"
        " SELECT chain, name, chain_id, genesis, device, given, attempt, state, command, 0, 0, 6, 9, 2000,"
        " manifest, content, 6, 1, 1 FROM archives");
    refused_order(&k, discard, 503, "there is one up to 9 behind it");
    lost_sql(&k, "DELETE FROM archives WHERE first = 6");
    refused_order(&k, ",\"discard\":\"other\"", 400, "want the chain's name");
    /* What the main chain has refused is nowhere. */
    anchor_archive(&k, "2", LOST_LAST + 2);
    CHECK_EQ(ask(&k, TWO, NULL), 202);
    json_decref(await(&k, "verify", "failed"));
    kit_close(&k);
}

/* An archive that was on its way when the rebuild was ordered comes to be anchored while people sign. */
TEST(succession_whose_block_is_not_the_last_one_any_more_is_not_acted_on) {
    kit_t k;
    rdg_hash_t digest;
    begin(&k);
    json_t *o = come_to_act(&k, 2, "waiting");
    digest_of(o, &digest);
    json_decref(o);
    anchor_archive(&k, "0", LOST_LAST + 1);
    signed_by(&k, 8, &digest, 2, "running");
    o = await(&k, "act", "failed");
    CHECK(strstr(kit_text(o, "error"), "up to block 4") && strstr(kit_text(o, "error"), "--cancel"));
    json_decref(o);
    CHECK_EQ(count_of(&k, ON_THE_WAY), 0);
    CHECK_EQ(kit_call(&k, "DELETE", "/chains/c/rebuild", NULL, NULL), 202);
    kit_close(&k);
}

/* --- archives of what is left behind --------------------------------------------------------------------------------- */

/* Blocks 4 to 6, proven of the chain as it was; with a key that is not there, so that nobody goes on with it by himself. */
static void put_later_archive(kit_t *k) {
    lost_sql(k,
             "INSERT INTO archives (chain, name, chain_id, genesis, device, given, attempt, state, command,"
             " wanted_from, wanted_to, first, last, mark_ms, manifest, content, file, key_id, created_ms, "
             "updated_ms)"
             " SELECT chain, name, chain_id, genesis, device, given, attempt, 'verified', command, 0, 0, 4, "
             "6, 2000,"
             " X'0808080808080808080808080808080808080808080808080808080808080808', content, 6, "
             "'archive-1-1', 1, 1"
             " FROM archives");
}

static rdg_err_t anchor_it(kit_t *k, uint64_t from, uint64_t to, uint8_t manifest) {
    rdg_baas_archive_t a = {.chain_id = LOST_CHAIN_ID, .from = from, .to = to, .mark_ms = to};
    rdg_baas_anchor_t got;
    memset(a.manifest.b, manifest, sizeof a.manifest.b);
    return rdg_baas_mainchain_anchor(k->baas, &a, 0, &got);
}

static void record(kit_t *k, const chain_t *c, bool taken, const char *state) {
    archive_row_t r;
    bool got;
    CHECK_OK(archives_load(k->baas, 2, &r));
    CHECK_STR(r.state, "exported");
    CHECK_OK(collector_record(k->baas, &r, c, &got));
    CHECK(got == taken);
    archive_row_fini(&r);
    CHECK_OK(archives_load(k->baas, 2, &r));
    CHECK_STR(r.state, state);
    archive_row_fini(&r);
}

/* Up to the step `anchor`, with that archive. before: the chain as it was, the caller's. */
static void come_to_anchor_with_it(kit_t *k, chain_t *before) {
    static const rdg_hash_t genesis = {{1}};
    rdg_hash_t digest;
    begin(k);
    json_t *o = come_to_act(k, 2, "waiting");
    digest_of(o, &digest);
    json_decref(o);
    put_later_archive(k);
    CHECK_OK(chain_load(k->baas, "c", before));
    signed_by(k, 8, &digest, 2, "running");
    json_decref(await(k, "anchor", "running"));
    CHECK_OK(rdg_baas_mainchain_genesis(k->baas, LOST_CHAIN_ID, "c", &genesis));
}

/* The registry takes archives without a gap only: one of what was given up would keep out those of what goes on. */
TEST(succession_lets_no_archive_of_the_former_validators_overtake_it) {
    kit_t k;
    chain_t before, after;
    archive_row_t r;
    uint64_t after_ms = 0;
    come_to_anchor_with_it(&k, &before);
    CHECK_ERR(anchor_it(&k, 4, 6, 8), RDG_E_UNAVAILABLE);
    CHECK_ERR(anchor_it(&k, 4, 5, 9), RDG_E_UNAVAILABLE); /* whoever else has one */
    CHECK_EQ(count_of(&k, "SELECT COUNT(*) FROM main_intents WHERE kind = 4"), 0);
    CHECK_OK(anchor_it(&k, 1, LOST_LAST, 7)); /* what it goes on behind */
    CHECK_OK(archives_load(k.baas, 2, &r));
    CHECK_OK(collector_advance(k.baas, &r, &after_ms));
    CHECK(strstr(r.error, "handed over") && after_ms > 0);
    archive_row_fini(&r);
    record(&k, &before, false, "exported"); /* proven while the rebuild came to here */
    written(&k);
    json_decref(await(&k, "restore", "running"));
    record(&k, &before, false, "exported"); /* proven against a chain that is another one by now */
    CHECK_ERR(anchor_it(&k, 4, 6, 8), RDG_E_UNAVAILABLE);
    CHECK_OK(chain_load(k.baas, "c", &after));
    record(&k, &after, true, "verified");
    CHECK_OK(anchor_it(&k, 4, 6, 8));
    chain_fini(&before);
    chain_fini(&after);
    kit_close(&k);
}

TEST(succession_that_is_given_up_lets_archives_go_on) {
    kit_t k;
    chain_t before;
    come_to_anchor_with_it(&k, &before);
    refused_by_mainchain(&k);
    json_decref(await(&k, "anchor", "failed"));
    CHECK_ERR(anchor_it(&k, 4, 6, 8), RDG_E_UNAVAILABLE); /* it may be told once more */
    CHECK_EQ(kit_call(&k, "DELETE", "/chains/c/rebuild", NULL, NULL), 202);
    record(&k, &before, true, "verified");
    CHECK_OK(anchor_it(&k, 4, 6, 8));
    chain_fini(&before);
    kit_close(&k);
}
