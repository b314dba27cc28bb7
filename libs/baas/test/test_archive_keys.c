/* Keys of encrypted archives: made, given to devices wrapped, kept as long as an archive needs them, and in no file beside
 * their own. That archives are made and read with them is tested on a whole system (suite archive-keys). */
#include "archive_keys.h"
#include "kit.h"
#include "ridge/base/file.h"
#include "ridge/base/alloc.h"
#include "ridge/codec/hex.h"
#include "ridge/ledger/genesis.h"
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static void start(kit_t *k, bool encrypted) {
    char body[256];
    kit_open(k);
    snprintf(body, sizeof body,
             "{\"name\":\"c\",\"devices\":[\"dev-1\",\"dev-2\",\"dev-3\",\"dev-4\"],\"driver\":\"process\","
             "\"encrypt_archives\":%s}",
             encrypted ? "true" : "false");
    for (int i = 0; i < FAKE_DEVICES; ++i) k->p.on_archive[i] = OUTCOME_HOLD;
    CHECK_EQ(kit_call(k, "POST", "/chains", body, NULL), 202);
    json_decref(kit_wait_chain(k, "c", "running"));
}

/* The keys of chain c, newest first; owned. */
static json_t *keys_of(kit_t *k) {
    json_t *answer;
    CHECK_EQ(kit_call(k, "GET", "/archive-keys?chain=c", NULL, &answer), 200);
    json_t *keys = json_incref(json_object_get(answer, "keys"));
    json_decref(answer);
    return keys;
}

static void current_id(kit_t *k, char id[RDG_ARCHIVE_KEY_ID_MAX + 1]) {
    json_t *keys = keys_of(k);
    CHECK(json_is_true(json_object_get(json_array_get(keys, 0), "current")));
    CHECK_STR(kit_text(json_array_get(keys, 0), "state"), "here");
    snprintf(id, RDG_ARCHIVE_KEY_ID_MAX + 1, "%s", kit_text(json_array_get(keys, 0), "id"));
    json_decref(keys);
}

static void path_of(const char *id, char path[512]) {
    char leaf[128];
    snprintf(leaf, sizeof leaf, "keys/%s.key", id);
    CHECK_OK(rdg_path_join(path, 512, rdg_test_dir(), leaf));
}

static void order(kit_t *k, unsigned status) {
    CHECK_EQ(kit_call(k, "POST", "/chains/c/archives", "{}", NULL), status);
}

/* What the n-th chain.archive carried for its device; borrowed. */
static const json_t *sent_key(kit_t *k, size_t n, size_t *device) {
    const json_t *key = NULL;
    kit_wait_commands(k, "chain.archive", n);
    pthread_mutex_lock(&k->p.lock);
    for (size_t i = 0; i < k->p.count; ++i) {
        if (strcmp(k->p.commands[i].type, "chain.archive") != 0 || --n > 0) continue;
        key = json_object_get(k->p.commands[i].params, "key");
        *device = (size_t)(k->p.commands[i].device[4] - '1');
        break;
    }
    pthread_mutex_unlock(&k->p.lock);
    return key;
}

static rdg_archive_key_chain_t chain_of(kit_t *k) {
    rdg_archive_key_chain_t out = {0};
    chain_t c;
    rdg_genesis_t *genesis = rdg_calloc(1, sizeof *genesis);
    CHECK_OK(chain_load(k->baas, "c", &c));
    char *text = rdg_json_text(c.genesis);
    CHECK_OK(rdg_genesis_parse(rdg_bytes_str(text), genesis));
    out = (rdg_archive_key_chain_t){c.chain_id, genesis->hash};
    rdg_free(text);
    rdg_free(genesis);
    chain_fini(&c);
    return out;
}

/* --- in no file beside its own ----------------------------------------------------------------------------- */

static rdg_archive_key_t wanted;
static unsigned looked, found;

static int look(const char *path, const struct stat *st, int kind, struct FTW *at) {
    char digits[2 * sizeof wanted.key + 1];
    rdg_buf_t text;
    (void)at;
    if (kind != FTW_F || st->st_size == 0 || strstr(path, "/keys/")) return 0;
    rdg_hex_encode(wanted.key, sizeof wanted.key, digits);
    rdg_buf_init(&text, 1u << 28);
    CHECK_OK(rdg_file_read(path, &text));
    ++looked;
    if (memmem(text.data, text.len, wanted.key, sizeof wanted.key) ||
        memmem(text.data, text.len, digits, strlen(digits)))
        ++found;
    rdg_buf_fini(&text);
    return 0;
}

static void check_nowhere(const rdg_archive_key_t *key) {
    wanted = *key;
    looked = found = 0;
    CHECK(nftw(rdg_test_dir(), look, 16, FTW_PHYS) == 0);
    CHECK(looked > 0);
    CHECK_EQ(found, 0);
}

TEST(archive_keys_reach_a_device_wrapped_for_its_node_and_stand_in_no_other_file) {
    kit_t k;
    size_t device = 0;
    char id[RDG_ARCHIVE_KEY_ID_MAX + 1], path[512];
    rdg_archive_key_t kept, opened;
    struct stat st;
    start(&k, true);
    current_id(&k, id); /* before the first archive, so that it can be backed up */
    path_of(id, path);
    CHECK(stat(path, &st) == 0 && (st.st_mode & 07777) == 0600);
    CHECK_OK(rdg_archive_key_load(path, &kept));
    CHECK_STR(kept.id, id);
    order(&k, 202);
    const json_t *sent = sent_key(&k, 1, &device);
    rdg_archive_key_chain_t chain = chain_of(&k);
    CHECK_OK(rdg_archive_key_unwrap(sent, &chain, k.p.keys[device], &opened));
    CHECK_STR(opened.id, id);
    CHECK_MEM(opened.key, kept.key, sizeof kept.key);
    CHECK_ERR(rdg_archive_key_unwrap(sent, &chain, k.p.keys[(device + 1) % 4], &opened), RDG_E_STALE);
    char *text = rdg_json_text(sent), digits[2 * sizeof kept.key + 1];
    rdg_hex_encode(kept.key, sizeof kept.key, digits);
    CHECK(!strstr(text, digits));
    rdg_free(text);
    check_nowhere(&kept);
    kit_close(&k);
    check_nowhere(&kept);
}

TEST(archive_keys_change_with_the_policy_for_the_archives_that_come) {
    kit_t k;
    size_t device = 0;
    char first[RDG_ARCHIVE_KEY_ID_MAX + 1], second[RDG_ARCHIVE_KEY_ID_MAX + 1];
    json_t *answer;
    start(&k, false);
    json_t *keys = keys_of(&k);
    CHECK_EQ(json_array_size(keys), 0);
    json_decref(keys);
    order(&k, 202);
    CHECK(!sent_key(&k, 1, &device));
    CHECK_EQ(kit_call(&k, "PUT", "/chains/c/archive-policy", "{\"encrypt\":true}", &answer), 200);
    CHECK(json_is_true(json_object_get(answer, "encrypt")));
    json_decref(answer);
    current_id(&k, first);
    /* The next device of the same order gets it already. */
    kit_release(&k, "chain.archive", FAKE_DEVICES, OUTCOME_FAIL);
    CHECK_STR(kit_text(sent_key(&k, 2, &device), "id"), first);
    CHECK_EQ(kit_call(&k, "POST", "/chains/c/archive-keys", "{}", &answer), 201);
    snprintf(second, sizeof second, "%s", kit_text(answer, "id"));
    json_decref(answer);
    CHECK(strcmp(first, second) != 0);
    kit_release(&k, "chain.archive", FAKE_DEVICES, OUTCOME_FAIL);
    CHECK_STR(kit_text(sent_key(&k, 3, &device), "id"), second);
    keys = keys_of(&k);
    CHECK_EQ(json_array_size(keys), 2);
    CHECK(!json_is_true(json_object_get(json_array_get(keys, 1), "current")));
    json_decref(keys);
    CHECK_EQ(kit_call(&k, "PUT", "/chains/c/archive-policy", "{\"encrypt\":false}", NULL), 200);
    kit_release(&k, "chain.archive", FAKE_DEVICES, OUTCOME_FAIL);
    CHECK(!sent_key(&k, 4, &device));
    CHECK_EQ(kit_call(&k, "PUT", "/chains/c/archive-policy", "{\"encrypt\":7}", NULL), 400);
    CHECK_EQ(kit_call(&k, "POST", "/chains/x/archive-keys", "{}", NULL), 404);
    kit_close(&k);
}

/* Until the one archive says something with these words. */
static void await_reason(kit_t *k, const char *a, const char *b) {
    uint64_t end = baas_mono() + 60000;
    for (;;) {
        json_t *answer;
        CHECK_EQ(kit_call(k, "GET", "/archives/1", NULL, &answer), 200);
        const char *why = kit_text(answer, "error");
        bool there = strstr(why, a) && strstr(why, b);
        if (!there && baas_mono() > end) CHECK_STR(why, a);
        json_decref(answer);
        if (there) return;
        nanosleep(&(struct timespec){0, 5000000}, NULL);
    }
}

TEST(archive_keys_that_are_lost_or_another_are_named_with_the_remedy) {
    kit_t k;
    size_t device = 0;
    char id[RDG_ARCHIVE_KEY_ID_MAX + 1], path[512], aside[600];
    json_t *answer;
    start(&k, true);
    current_id(&k, id);
    path_of(id, path);
    snprintf(aside, sizeof aside, "%s.aside", path);
    CHECK(rename(path, aside) == 0);
    order(&k, 202);
    await_reason(&k, id, "chain 'c'");
    await_reason(&k, path, "backup");
    json_t *keys = keys_of(&k);
    CHECK_STR(kit_text(json_array_get(keys, 0), "state"), "missing");
    json_decref(keys);
    CHECK_OK(rdg_file_replace(path, rdg_bytes_str("00112233445566778899aabbccddeeff\n"), 0600));
    collector_kick(k.baas);
    await_reason(&k, "another one now", id);
    char url[160];
    snprintf(url, sizeof url, "/archive-keys/%s/disclose", id);
    CHECK_EQ(kit_call(&k, "POST", url, "{}", &answer), 500);
    CHECK_STR(kit_error(answer, "code"), "CORRUPT");
    json_decref(answer);
    CHECK_EQ(kit_commands(&k, "chain.archive"), 0); /* no device was told anything, and none is to blame */
    CHECK(rename(aside, path) == 0);
    collector_kick(k.baas);
    CHECK_STR(kit_text(sent_key(&k, 1, &device), "id"), id);
    kit_close(&k);
}

TEST(archive_keys_are_given_to_no_node_without_a_certificate) {
    kit_t k;
    size_t device = 9;
    start(&k, true);
    k.p.no_certificate[0] = true;
    order(&k, 202);
    CHECK(sent_key(&k, 1, &device));
    CHECK_EQ(device, 1);
    await_reason(&k, "device 'dev-1'", "no valid encryption certificate");
    kit_close(&k);
}

TEST(archive_keys_are_disclosed_to_who_asks_and_that_is_recorded) {
    static const char *const no_keys[] = {"/archive-keys/collector/disclose",
                                          "/archive-keys/archive-1-1/disclose",
                                          "/archive-keys/chain-1.pem/disclose"};
    kit_t k;
    char id[RDG_ARCHIVE_KEY_ID_MAX + 1], path[512], url[160], digits[2 * RDG_SM4_KEY_BYTES + 1];
    rdg_archive_key_t kept;
    json_t *answer;
    start(&k, true);
    current_id(&k, id);
    path_of(id, path);
    CHECK_OK(rdg_archive_key_load(path, &kept));
    rdg_hex_encode(kept.key, sizeof kept.key, digits);
    snprintf(url, sizeof url, "/archive-keys/%s/disclose", id);
    CHECK_EQ(kit_call(&k, "GET", url, NULL, NULL), 405);
    CHECK_EQ(kit_call(&k, "POST", url, "{}", &answer), 200);
    CHECK_STR(kit_text(answer, "key"), digits);
    json_decref(answer);
    json_t *keys = keys_of(&k);
    CHECK_STR(kit_text(json_array_get(keys, 0), "disclosed_to"), "admin");
    char *listed = rdg_json_text(keys);
    CHECK(!strstr(listed, digits));
    rdg_free(listed);
    json_decref(keys);
    CHECK_EQ(kit_call(&k, "GET", "/chains/c/events?after=0", NULL, &answer), 200);
    char *events = rdg_json_text(answer);
    CHECK(strstr(events, "disclosed") && strstr(events, "to admin"));
    CHECK(!strstr(events, digits));
    rdg_free(events);
    json_decref(answer);
    for (size_t i = 0; i < sizeof no_keys / sizeof no_keys[0]; ++i)
        CHECK_EQ(kit_call(&k, "POST", no_keys[i], "{}", NULL), 404);
    check_nowhere(&kept);
    kit_close(&k);
}

TEST(archive_keys_outlive_the_chain_as_long_as_an_archive_needs_them) {
    kit_t k;
    char used[RDG_ARCHIVE_KEY_ID_MAX + 1], unused[RDG_ARCHIVE_KEY_ID_MAX + 1], path[512], url[160];
    rdg_hash_t h = {{7}};
    rdg_sql_value_t v = rdg_sql_blob(rdg_bytes(h.b, sizeof h.b));
    json_t *answer;
    start(&k, true);
    current_id(&k, used);
    CHECK_EQ(kit_call(&k, "POST", "/chains/c/archive-keys", "{}", NULL), 201);
    current_id(&k, unused);
    CHECK_OK(rdg_sql_exec(
        k.baas->db,
        "INSERT INTO archives (chain, name, chain_id, genesis, device, given, attempt, state, command,"
        " wanted_from, wanted_to, first, last, mark_ms, manifest, content, file, created_ms,"
        " updated_ms, key_id) VALUES (1, 'c', 99, ?, 'dev-1', 0, 1, 'archived', 'x', 0, 0, 1, 50, 1234,"
        " ?, ?, 5, 1, 1, ?)",
        RDG_SQL_PARAMS(v, v, v, rdg_sql_text(used)), NULL));
    CHECK_EQ(kit_call(&k, "DELETE", "/chains/c?discard=c", NULL, NULL), 202);
    json_decref(kit_wait_chain(&k, "c", "destroyed"));
    path_of(unused, path);
    CHECK(!rdg_file_exists(path));
    path_of(used, path);
    CHECK(rdg_file_exists(path));
    snprintf(url, sizeof url, "/archive-keys/%s/disclose", used);
    CHECK_EQ(kit_call(&k, "POST", url, "{}", &answer), 200);
    json_decref(answer);
    CHECK_EQ(kit_call(&k, "POST", "/chains/c/archive-keys", "{}", NULL), 409);
    json_t *keys = keys_of(&k);
    CHECK_EQ(json_array_size(keys), 1);
    CHECK_EQ(json_integer_value(json_object_get(json_array_get(keys, 0), "archives")), 1);
    json_decref(keys);
    kit_close(&k);
}

static void put_archive(kit_t *k, const char *state, unsigned file, const char *key) {
    rdg_hash_t h = {{7}};
    rdg_sql_value_t v = rdg_sql_blob(rdg_bytes(h.b, sizeof h.b));
    CHECK_OK(rdg_sql_exec(
        k->baas->db,
        "INSERT INTO archives (chain, name, chain_id, genesis, device, given, attempt, state, command,"
        " wanted_from, wanted_to, first, last, mark_ms, manifest, content, file, created_ms,"
        " updated_ms, key_id) VALUES (1, 'c', 99, ?, 'dev-1', 0, 1, ?, 'x', 0, 0, 1, 50, 1234,"
        " ?, ?, ?, 1, 1, ?)",
        RDG_SQL_PARAMS(v, rdg_sql_text(state), v, v, rdg_sql_int(file), rdg_sql_text(key)), NULL));
}

static unsigned destroy(kit_t *k, const char *token, const char *id, const char *typed, char message[400]) {
    char url[200];
    json_t *answer = NULL;
    snprintf(url, sizeof url, "/archive-keys/%s%s%s", id, typed ? "?discard=" : "", typed ? typed : "");
    unsigned status = kit_call_as(k, token, "DELETE", url, NULL, &answer);
    snprintf(message, 400, "%s", kit_error(answer, "message"));
    json_decref(answer);
    return status;
}

TEST(archive_keys_are_destroyed_by_name_and_only_when_no_archive_needs_them) {
    kit_t k;
    char old[RDG_ARCHIVE_KEY_ID_MAX + 1], now[RDG_ARCHIVE_KEY_ID_MAX + 1], path[512], text[400];
    start(&k, true);
    current_id(&k, old);
    CHECK_EQ(destroy(&k, "secret", old, old, text), 409);
    CHECK(strstr(text, "is the one that archives of chain 'c' are made with") && strstr(text, "--rotate"));
    CHECK_EQ(kit_call(&k, "POST", "/chains/c/archive-keys", "{}", NULL), 201);
    current_id(&k, now);
    put_archive(&k, "archived", 5, old);
    put_archive(&k, "refused", 6, old); /* its file is still there */
    put_archive(&k, "failed", 0, old);
    put_archive(&k, "archived", 7, now);
    CHECK_EQ(destroy(&k, "secret", old, old, text), 409);
    CHECK(strstr(text, "needed by 2 archives of chain 'c': 1 (archived 1 to 50), 2 (refused 1 to 50)"));
    path_of(old, path);
    CHECK(rdg_file_exists(path));
    CHECK_OK(rdg_sql_exec(k.baas->db, "UPDATE archives SET state = 'failed', file = 0 WHERE key_id = ?",
                          RDG_SQL_PARAMS(rdg_sql_text(old)), NULL));
    CHECK_EQ(destroy(&k, "secret", old, NULL, text), 400);
    CHECK(strstr(text, "can then be read nowhere"));
    CHECK_EQ(destroy(&k, "secret", old, now, text), 400);
    CHECK(rdg_file_exists(path));
    CHECK_EQ(destroy(&k, "secret", old, old, text), 204);
    CHECK(!rdg_file_exists(path));
    CHECK_EQ(destroy(&k, "secret", old, old, text), 404);
    CHECK_EQ(destroy(&k, "secret", "collector", "collector", text), 404);
    json_t *keys = keys_of(&k), *answer;
    CHECK_EQ(json_array_size(keys), 1);
    CHECK_STR(kit_text(json_array_get(keys, 0), "id"), now);
    json_decref(keys);
    CHECK_EQ(kit_call(&k, "GET", "/chains/c/events?after=0", NULL, &answer), 200);
    char *events = rdg_json_text(answer);
    CHECK(strstr(events, "\"removed\"") && strstr(events, "ordered by admin"));
    rdg_free(events);
    json_decref(answer);
    kit_close(&k);
}

static void make_boss(kit_t *k, const char *tenant, const char *role, char token[100]) {
    char body[120];
    json_t *a;
    snprintf(body, sizeof body, "{\"name\":\"%s\",\"role\":\"%s\",\"tenant\":\"%s\"}", role, role, tenant);
    CHECK_EQ(kit_call(k, "POST", "/tokens", body, &a), 201);
    snprintf(token, 100, "%s", kit_text(a, "token"));
    json_decref(a);
}

TEST(archive_keys_are_their_tenants_administrators_and_nobody_elses) {
    kit_t k;
    char acme[100], clerk[100], other[100], id[RDG_ARCHIVE_KEY_ID_MAX + 1], url[160], text[400];
    json_t *a;
    start(&k, true); /* of tenant default */
    current_id(&k, id);
    CHECK_EQ(kit_call(&k, "POST", "/tenants", "{\"name\":\"other\"}", NULL), 201);
    make_boss(&k, RDG_TENANT_DEFAULT, "admin", acme);
    make_boss(&k, RDG_TENANT_DEFAULT, "operator", clerk);
    make_boss(&k, "other", "admin", other);
    CHECK_EQ(kit_call_as(&k, acme, "GET", "/archive-keys", NULL, &a), 200);
    CHECK_EQ(json_array_size(json_object_get(a, "keys")), 1);
    json_decref(a);
    CHECK_EQ(kit_call_as(&k, other, "GET", "/archive-keys?chain=c", NULL, &a), 200);
    CHECK_EQ(json_array_size(json_object_get(a, "keys")), 0);
    json_decref(a);
    snprintf(url, sizeof url, "/archive-keys/%s/disclose", id);
    CHECK_EQ(kit_call_as(&k, clerk, "POST", url, "{}", NULL), 403);
    CHECK_EQ(kit_call_as(&k, other, "POST", url, "{}", &a), 404);
    snprintf(text, sizeof text, "there is no key '%s': see ridge archive keys", id);
    CHECK_STR(kit_error(a, "message"), text);
    json_decref(a);
    CHECK_EQ(kit_call_as(&k, other, "POST", "/archive-keys/archive-1-9/disclose", "{}", &a), 404);
    CHECK_STR(kit_error(a, "message"), "there is no key 'archive-1-9': see ridge archive keys");
    json_decref(a);
    CHECK_EQ(kit_call_as(&k, acme, "POST", url, "{}", &a), 200);
    CHECK_EQ(strlen(kit_text(a, "key")), 2 * RDG_SM4_KEY_BYTES);
    json_decref(a);
    json_t *keys = keys_of(&k);
    CHECK_STR(kit_text(json_array_get(keys, 0), "disclosed_to"), "default/admin");
    json_decref(keys);
    CHECK_EQ(kit_call_as(&k, acme, "POST", "/chains/c/archive-keys", "{}", NULL), 201);
    CHECK_EQ(destroy(&k, other, id, id, text), 404);
    CHECK_EQ(destroy(&k, clerk, id, id, text), 403);
    CHECK_EQ(destroy(&k, acme, id, id, text), 204);
    kit_close(&k);
}
