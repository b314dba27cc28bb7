#include "archive_keys.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include "ridge/base/random.h"
#include "ridge/codec/hex.h"
#include "ridge/crypto/keyfile.h"
#include "ridge/ledger/genesis.h"

#define PREFIX "archive-"
#define PATH_BYTES 4200

const char archive_keys_migration[] =
    "CREATE TABLE archive_keys (id TEXT PRIMARY KEY, chain BIGINT NOT NULL, name TEXT NOT NULL, chain_id "
    "BIGINT NOT NULL,"
    " number BIGINT NOT NULL, key_check BLOB NOT NULL, created_ms BIGINT NOT NULL, disclosed_ms BIGINT NOT "
    "NULL DEFAULT 0,"
    " disclosed_to TEXT);"
    "CREATE INDEX archive_keys_chain ON archive_keys (chain, number);"
    "CREATE INDEX archive_keys_name ON archive_keys (name, number);"
    "ALTER TABLE archives ADD COLUMN key_id TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE archives ADD COLUMN wrapped TEXT;"
    "ALTER TABLE archive_policies ADD COLUMN encrypt INTEGER NOT NULL DEFAULT 0;";

/* Ids come from archives and from callers, and become names of files: only what is one of ours. */
static rdg_err_t path_of(const rdg_baas_t *b, const char *id, char out[PATH_BYTES]) {
    char name[RDG_ARCHIVE_KEY_ID_MAX + 8];
    if (strncmp(id, PREFIX, strlen(PREFIX)) != 0 || !rdg_name_valid(id))
        return rdg_fail(RDG_E_NOT_FOUND, "'%.64s' is no key of this cloud's archives: see ridge archive keys",
                        id);
    snprintf(name, sizeof name, "%s.key", id);
    return rdg_path_join(out, PATH_BYTES, b->keys_dir, name);
}

/* --- making one ------------------------------------------------------------------------------------ */

static rdg_err_t write_key(const char *path, const rdg_archive_key_t *key) {
    char text[RDG_ARCHIVE_KEY_TEXT_MAX];
    rdg_archive_key_print(key, text);
    rdg_err_t err = rdg_keyfile_write(path, rdg_bytes_str(text));
    rdg_secure_zero(text, sizeof text);
    return err;
}

/* A file that no row knows may be of a store that was put back from a backup: it is left alone. */
static rdg_err_t choose_id(rdg_baas_t *b, const chain_t *c, char id[RDG_ARCHIVE_KEY_ID_MAX + 1],
                           char path[PATH_BYTES], int64_t *number) {
    RDG_TRY(rdg_sql_query(b->db, "SELECT COALESCE(MAX(number), 0) FROM archive_keys WHERE chain_id = ?",
                          RDG_SQL_PARAMS(rdg_sql_int((int64_t)c->chain_id)), baas_int_row, number));
    do {
        snprintf(id, RDG_ARCHIVE_KEY_ID_MAX + 1, PREFIX "%" PRIu64 "-%" PRId64, c->chain_id, ++*number);
        RDG_TRY(path_of(b, id, path));
    } while (rdg_file_exists(path));
    return RDG_OK;
}

/* In a transaction. The file comes first, and is synced: a row without a key would be a promise that nobody can keep. */
static rdg_err_t make_key(rdg_baas_t *b, const chain_t *c, rdg_archive_key_t *key) {
    char path[PATH_BYTES];
    uint8_t check[RDG_ARCHIVE_KEY_CHECK_BYTES];
    int64_t number = 0;
    RDG_TRY(choose_id(b, c, key->id, path, &number));
    rdg_random_fill(rdg_random_system(), key->key, sizeof key->key);
    rdg_archive_key_check(key, check);
    RDG_TRY(write_key(path, key));
    return rdg_sql_exec(b->db,
                        "INSERT INTO archive_keys (id, chain, name, chain_id, number, key_check, created_ms)"
                        " VALUES (?, ?, ?, ?, ?, ?, ?)",
                        RDG_SQL_PARAMS(rdg_sql_text(key->id), rdg_sql_int(c->number), rdg_sql_text(c->name),
                                       rdg_sql_int((int64_t)c->chain_id), rdg_sql_int(number),
                                       rdg_sql_blob(rdg_bytes(check, sizeof check)),
                                       rdg_sql_int((int64_t)baas_now())),
                        NULL);
}

static rdg_err_t id_row(void *ctx, const rdg_sql_row_t *r) {
    snprintf(ctx, RDG_ARCHIVE_KEY_ID_MAX + 1, "%s", rdg_sql_row_text(r, 0));
    return RDG_OK;
}

static rdg_err_t newest(rdg_baas_t *b, const chain_t *c, char id[RDG_ARCHIVE_KEY_ID_MAX + 1]) {
    id[0] = '\0';
    return rdg_sql_query(b->db, "SELECT id FROM archive_keys WHERE chain = ? ORDER BY number DESC LIMIT 1",
                         RDG_SQL_PARAMS(rdg_sql_int(c->number)), id_row, id);
}

/* always: also when there is one. */
static rdg_err_t current(rdg_baas_t *b, const chain_t *c, bool always, char id[RDG_ARCHIVE_KEY_ID_MAX + 1]) {
    rdg_archive_key_t key = {.id = ""};
    bool made = false;
    RDG_TRY(rdg_sql_begin(b->db));
    rdg_err_t err = newest(b, c, id);
    if (err == RDG_OK && (always || !id[0])) {
        err = make_key(b, c, &key);
        made = err == RDG_OK;
    }
    if (err == RDG_OK) err = rdg_sql_commit(b->db);
    if (err != RDG_OK) rdg_sql_rollback(b->db);
    if (made) snprintf(id, RDG_ARCHIVE_KEY_ID_MAX + 1, "%s", key.id);
    rdg_secure_zero(&key, sizeof key);
    if (err == RDG_OK && made)
        rdg_log(RDG_LOG_INFO, "archive.key_made", RDG_STR("chain", c->name), RDG_STR("key", id));
    return rdg_fail_in(err, "a key for the archives of chain '%s'", c->name);
}

rdg_err_t archive_keys_current(rdg_baas_t *b, const chain_t *c, char id[RDG_ARCHIVE_KEY_ID_MAX + 1]) {
    return current(b, c, false, id);
}

/* --- taking one -------------------------------------------------------------------------------------- */

typedef struct known {
    bool there;
    uint8_t check[RDG_ARCHIVE_KEY_CHECK_BYTES];
} known_t;

static rdg_err_t known_row(void *ctx, const rdg_sql_row_t *r) {
    known_t *k = ctx;
    rdg_bytes_t check = rdg_sql_row_blob(r, 0);
    k->there = check.len == sizeof k->check;
    if (k->there) memcpy(k->check, check.data, sizeof k->check);
    return RDG_OK;
}

static rdg_err_t refuse(rdg_err_t code, const char *chain, const char *id, const char *why,
                        const char *path) {
    return rdg_fail(code, "key '%s' of chain '%s' %s: put %s back from your backup of the cloud's keys", id,
                    chain, why, path);
}

rdg_err_t archive_keys_load(rdg_baas_t *b, const char *chain, const char *id, rdg_archive_key_t *out) {
    char path[PATH_BYTES];
    uint8_t check[RDG_ARCHIVE_KEY_CHECK_BYTES];
    known_t known = {.there = false};
    memset(out, 0, sizeof *out);
    RDG_TRY(path_of(b, id, path));
    RDG_TRY(rdg_sql_query(b->db, "SELECT key_check FROM archive_keys WHERE id = ?",
                          RDG_SQL_PARAMS(rdg_sql_text(id)), known_row, &known));
    rdg_err_t err = rdg_archive_key_load(path, out);
    if (err == RDG_E_NOT_FOUND)
        return refuse(err, chain, id,
                      "is not in the cloud's custody any more, and nothing under it can be read", path);
    snprintf(out->id, sizeof out->id, "%s", id);
    if (err == RDG_OK) rdg_archive_key_check(out, check);
    if (err == RDG_E_MALFORMED || err == RDG_E_INVALID || err == RDG_E_TOO_LARGE ||
        (err == RDG_OK && known.there && !rdg_ct_equal(check, known.check, sizeof check)))
        err = refuse(RDG_E_CORRUPT, chain, id, "is another one now than archives were made with", path);
    else
        err = rdg_fail_in(err, "key '%s' of chain '%s'", id, chain);
    if (err != RDG_OK) rdg_secure_zero(out, sizeof *out);
    return err;
}

static rdg_err_t genesis_of(const chain_t *c, rdg_archive_key_chain_t *out) {
    char *text = c->genesis ? rdg_json_text(c->genesis) : NULL;
    rdg_genesis_t *genesis = rdg_calloc(1, sizeof *genesis);
    rdg_err_t err = text && genesis
                        ? rdg_genesis_parse(rdg_bytes_str(text), genesis)
                        : rdg_fail(RDG_E_NO_MEMORY, "no memory for the genesis of chain '%s'", c->name);
    if (err == RDG_OK) *out = (rdg_archive_key_chain_t){c->chain_id, genesis->hash};
    rdg_free(genesis);
    rdg_free(text);
    return err;
}

static rdg_err_t recipients(rdg_baas_t *b, const chain_t *c, const char *device,
                            rdg_sm2_public_t out[RDG_ARCHIVE_WRAPPED_MAX], size_t *count) {
    json_t *list = NULL, *certificate;
    size_t i;
    *count = 0;
    rdg_err_t err = remote_node_encryption(b, device, c->name, RDG_ARCHIVE_WRAPPED_MAX, &list);
    json_array_foreach(list, i, certificate) {
        if (err != RDG_OK || *count == RDG_ARCHIVE_WRAPPED_MAX) break;
        err = rdg_json_get_hex(certificate, "public_key", out[*count].b, sizeof out[*count].b);
        if (err == RDG_OK) ++*count;
    }
    json_decref(list);
    if (err == RDG_OK && *count == 0)
        err = rdg_fail(
            RDG_E_CONFLICT,
            "device '%s': its node of chain '%s' has no valid encryption certificate, so it can be given no "
            "key: see ridge cert list --device %s",
            device, c->name, device);
    return err;
}

rdg_err_t archive_keys_wrap(rdg_baas_t *b, const chain_t *c, const char *device, const char *id,
                            json_t **out) {
    rdg_sm2_public_t to[RDG_ARCHIVE_WRAPPED_MAX];
    rdg_archive_key_chain_t chain;
    rdg_archive_key_t key;
    size_t count;
    RDG_TRY(genesis_of(c, &chain));
    RDG_TRY(archive_keys_load(b, c->name, id, &key));
    rdg_err_t err = recipients(b, c, device, to, &count);
    if (err == RDG_OK) err = rdg_archive_key_wrap(&key, &chain, to, count, out);
    rdg_secure_zero(&key, sizeof key);
    return err;
}

static bool has_id(const json_t *keys, const char *id) {
    size_t i;
    json_t *key;
    json_array_foreach((json_t *)(uintptr_t)keys, i, key) {
        const char *known = json_string_value(json_object_get(key, "id"));
        if (known && strcmp(known, id) == 0) return true;
    }
    return false;
}

rdg_err_t archive_keys_wrap_all(rdg_baas_t *b, const chain_t *c, const char *device, const json_t *archives,
                                json_t **out) {
    json_t *keys = json_array(), *archive, *key;
    size_t i;
    rdg_err_t err = keys ? RDG_OK : rdg_fail(RDG_E_NO_MEMORY, "no memory for a command");
    json_array_foreach((json_t *)(uintptr_t)archives, i, archive) {
        const char *id = json_string_value(json_object_get(archive, "key"));
        if (err != RDG_OK || !id || has_id(keys, id)) continue;
        err = archive_keys_wrap(b, c, device, id, &key);
        if (err == RDG_OK && json_array_append_new(keys, key) != 0)
            err = rdg_fail(RDG_E_NO_MEMORY, "no memory for a command");
    }
    if (err != RDG_OK) json_decref(keys), keys = NULL;
    *out = keys;
    return err;
}

rdg_err_t archive_keys_check(rdg_baas_t *b, const chain_t *c, const archive_piece_t *pieces, size_t count) {
    for (size_t i = 0; i < count; ++i) {
        rdg_archive_key_t key;
        if (!pieces[i].key_id[0] || (i > 0 && strcmp(pieces[i].key_id, pieces[i - 1].key_id) == 0)) continue;
        rdg_err_t err = archive_keys_load(b, c->name, pieces[i].key_id, &key);
        rdg_secure_zero(&key, sizeof key);
        if (err != RDG_OK)
            return rdg_fail_in(err, "archive of blocks %" PRIu64 " to %" PRIu64, pieces[i].from,
                               pieces[i].to);
    }
    return RDG_OK;
}

/* --- a chain that is gone ------------------------------------------------------------------------------ */

static rdg_err_t forget_row(void *ctx, const rdg_sql_row_t *r) {
    rdg_baas_t *b = ctx;
    const char *id = rdg_sql_row_text(r, 0);
    char path[PATH_BYTES];
    if (path_of(b, id, path) != RDG_OK) return RDG_OK;
    if (unlink(path) != 0 && errno != ENOENT) return rdg_fail_errno(errno, "cannot remove %s", path);
    rdg_log(RDG_LOG_INFO, "archive.key_removed", RDG_STR("key", id));
    return RDG_OK;
}

#define UNUSED                                                                                               \
    " archive_keys WHERE chain = ? AND NOT EXISTS (SELECT 1 FROM archives a WHERE a.key_id = "               \
    "archive_keys.id"                                                                                        \
    " AND (a.state IN ('exported', 'verified', 'archived') OR a.file > 0))"

void archive_keys_forget(rdg_baas_t *b, const chain_t *c) {
    rdg_sql_value_t chain = rdg_sql_int(c->number);
    rdg_err_t err = rdg_sql_query(b->db, "SELECT id FROM" UNUSED, &chain, 1, forget_row, b);
    if (err == RDG_OK) err = rdg_sql_exec(b->db, "DELETE FROM" UNUSED, &chain, 1, NULL);
    if (err != RDG_OK) rdg_log_err("archive.keys_stay", err);
}

/* --- over REST ----------------------------------------------------------------------------------------- */

typedef struct listing {
    rdg_baas_t *b;
    json_t *list;
} listing_t;

/* Columns of a key as JSON: without the key. */
#define COLUMNS                                                                                              \
    "SELECT k.id, k.name, k.chain_id, k.created_ms, k.disclosed_ms, k.disclosed_to,"                         \
    " (SELECT COUNT(*) FROM archives a WHERE a.key_id = k.id AND a.state IN ('verified', 'archived')),"      \
    " k.number = (SELECT MAX(m.number) FROM archive_keys m WHERE m.chain = k.chain) FROM archive_keys k"

static rdg_err_t list_row(void *ctx, const rdg_sql_row_t *r) {
    listing_t *l = ctx;
    rdg_archive_key_t key;
    const char *id = rdg_sql_row_text(r, 0), *name = rdg_sql_row_text(r, 1), *to = rdg_sql_row_text(r, 5);
    int64_t disclosed = rdg_sql_row_int(r, 4);
    rdg_err_t state = archive_keys_load(l->b, name, id, &key);
    rdg_secure_zero(&key, sizeof key);
    json_t *o = json_pack("{s:s, s:s, s:I, s:I, s:b, s:I, s:s, s:s?, s:o, s:s?}", "id", id, "chain", name,
                          "chain_id", (json_int_t)rdg_sql_row_int(r, 2), "created_ms",
                          (json_int_t)rdg_sql_row_int(r, 3), "current", rdg_sql_row_int(r, 7) != 0,
                          "archives", (json_int_t)rdg_sql_row_int(r, 6), "state",
                          state == RDG_OK            ? "here"
                          : state == RDG_E_NOT_FOUND ? "missing"
                                                     : "wrong",
                          "error", state == RDG_OK ? NULL : rdg_err_message(state), "disclosed_ms",
                          disclosed ? json_integer(disclosed) : json_null(), "disclosed_to", to);
    if (o && json_array_append_new(l->list, o) == 0) return RDG_OK;
    return rdg_fail(RDG_E_NO_MEMORY, "no memory for the keys");
}

static rdg_err_t list(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    listing_t l = {.b = ctx, .list = json_array()};
    rdg_sql_value_t chain = rdg_sql_text(rdg_http_query(call->http, "chain")),
                    tenant = rdg_sql_text(call->tenant);
    rdg_err_t err = rdg_sql_query(
        l.b->db,
        COLUMNS " WHERE (? IS NULL OR k.name = ?) AND (? IS NULL OR k.name IN (SELECT name FROM chain_tenants"
                " WHERE tenant = ?)) ORDER BY k.chain DESC, k.number DESC LIMIT 1000",
        RDG_SQL_PARAMS(chain, chain, tenant, tenant), list_row, &l);
    if (err == RDG_OK) return rdg_service_reply(answer, 200, json_pack("{s:o}", "keys", l.list));
    json_decref(l.list);
    return err;
}

static rdg_err_t answer_key(rdg_baas_t *b, const char *id, unsigned status, rdg_service_answer_t *answer) {
    listing_t l = {.b = b, .list = json_array()};
    rdg_err_t err =
        rdg_sql_query(b->db, COLUMNS " WHERE k.id = ?", RDG_SQL_PARAMS(rdg_sql_text(id)), list_row, &l);
    json_t *o = json_incref(json_array_get(l.list, 0));
    json_decref(l.list);
    return err == RDG_OK ? rdg_service_reply(answer, status, o) : err;
}

/* Another key from the next archive on. */
static rdg_err_t rotate(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    rdg_baas_t *b = ctx;
    char id[RDG_ARCHIVE_KEY_ID_MAX + 1];
    chain_t c;
    RDG_TRY(chain_load(b, rdg_service_arg(call, "name"), &c));
    rdg_err_t err =
        chain_gone(&c) ? rdg_fail(RDG_E_CONFLICT, "chain '%s' is gone", c.name) : current(b, &c, true, id);
    if (err == RDG_OK) {
        char message[RDG_ARCHIVE_KEY_ID_MAX + 64];
        snprintf(message, sizeof message, "%s, ordered by %.40s", id, call->caller ? call->caller : "-");
        err = event_add(b, c.number, NULL, "archive-key", "made", message);
        event_wake(b);
    }
    chain_fini(&c);
    return err == RDG_OK ? answer_key(b, id, 201, answer) : err;
}

typedef struct owner {
    int64_t chain;
    char name[BAAS_NAME_MAX + 1];
    bool current; /* the next archive is made with it */
} owner_t;

static rdg_err_t owner_row(void *ctx, const rdg_sql_row_t *r) {
    owner_t *o = ctx;
    o->chain = rdg_sql_row_int(r, 0);
    snprintf(o->name, sizeof o->name, "%s", rdg_sql_row_text(r, 1));
    o->current = rdg_sql_row_int(r, 2) != 0;
    return RDG_OK;
}

static rdg_err_t absent(const char *id) {
    return rdg_fail(RDG_E_NOT_FOUND, "there is no key '%.64s': see ridge archive keys", id);
}

static rdg_err_t find_owner(rdg_baas_t *b, const char *id, owner_t *out) {
    memset(out, 0, sizeof *out);
    RDG_TRY(rdg_sql_query(b->db,
                          "SELECT k.chain, k.name, k.number = (SELECT MAX(m.number) FROM archive_keys m"
                          " WHERE m.chain = k.chain) FROM archive_keys k WHERE k.id = ?",
                          RDG_SQL_PARAMS(rdg_sql_text(id)), owner_row, out));
    return out->chain ? RDG_OK : absent(id);
}

rdg_err_t archive_keys_own(void *baas, const char *tenant, const char *id) {
    owner_t o;
    RDG_TRY(find_owner(baas, id, &o));
    return chain_check(baas, tenant, o.name) == RDG_OK ? RDG_OK : absent(id);
}

/* Who got it is stored before he does. */
static rdg_err_t record(rdg_baas_t *b, const rdg_service_call_t *call, const char *id, const owner_t *o) {
    const char *caller = call->caller ? call->caller : "-";
    char message[RDG_ARCHIVE_KEY_ID_MAX + 128];
    snprintf(message, sizeof message, "%s, to %.40s at %.60s", id, caller, call->remote ? call->remote : "-");
    RDG_TRY(rdg_sql_exec(
        b->db, "UPDATE archive_keys SET disclosed_ms = ?, disclosed_to = ? WHERE id = ?",
        RDG_SQL_PARAMS(rdg_sql_int((int64_t)baas_now()), rdg_sql_text(caller), rdg_sql_text(id)), NULL));
    RDG_TRY(event_add(b, o->chain, NULL, "archive-key", "disclosed", message));
    event_wake(b);
    rdg_log(RDG_LOG_WARN, "archive.key_disclosed", RDG_STR("chain", o->name), RDG_STR("key", id),
            RDG_STR("caller", caller), RDG_STR("remote", call->remote ? call->remote : "-"));
    return RDG_OK;
}

static rdg_err_t disclose(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    rdg_baas_t *b = ctx;
    const char *id = rdg_service_arg(call, "id");
    char digits[2 * RDG_SM4_KEY_BYTES + 1];
    rdg_archive_key_t key;
    owner_t o;
    RDG_TRY(find_owner(b, id, &o));
    RDG_TRY(archive_keys_load(b, o.name, id, &key));
    rdg_err_t err = record(b, call, id, &o);
    json_t *json = NULL;
    if (err == RDG_OK) {
        rdg_hex_encode(key.key, sizeof key.key, digits);
        json = json_pack("{s:s, s:s, s:s}", "id", id, "chain", o.name, "key", digits);
    }
    rdg_secure_zero(digits, sizeof digits);
    rdg_secure_zero(&key, sizeof key);
    return err == RDG_OK ? rdg_service_reply(answer, 200, json) : err;
}

/* --- destroying one --------------------------------------------------------------------------------- */

#define NEEDING_NAMED 8 /* of the archives that need a key, in its refusal */

typedef struct needing {
    char text[NEEDING_NAMED * 64];
    size_t count, len;
} needing_t;

static rdg_err_t needing_row(void *ctx, const rdg_sql_row_t *r) {
    needing_t *n = ctx;
    if (n->count++ >= NEEDING_NAMED) return RDG_OK;
    n->len += (size_t)snprintf(n->text + n->len, sizeof n->text - n->len, "%s%" PRId64 " (%s",
                               n->len ? ", " : "", rdg_sql_row_int(r, 0), rdg_sql_row_text(r, 1));
    if (rdg_sql_row_int(r, 3) > 0)
        n->len += (size_t)snprintf(n->text + n->len, sizeof n->text - n->len, " %" PRId64 " to %" PRId64,
                                   rdg_sql_row_int(r, 2), rdg_sql_row_int(r, 3));
    n->len += (size_t)snprintf(n->text + n->len, sizeof n->text - n->len, ")");
    return RDG_OK;
}

static rdg_err_t check_unneeded(rdg_baas_t *b, const char *id, const owner_t *o) {
    needing_t n = {.text = ""};
    chain_t c;
    RDG_TRY(rdg_sql_query(b->db,
                          "SELECT number, state, first, last FROM archives WHERE key_id = ? AND"
                          " (state NOT IN ('failed', 'refused', 'duplicate') OR file > 0) ORDER BY number",
                          RDG_SQL_PARAMS(rdg_sql_text(id)), needing_row, &n));
    if (n.count > 0)
        return rdg_fail(RDG_E_CONFLICT, "key '%s' is needed by %zu archives of chain '%s': %s%s", id, n.count,
                        o->name, n.text, n.count > NEEDING_NAMED ? ", …" : "");
    RDG_TRY(chain_load(b, o->name, &c));
    bool next = o->current && c.number == o->chain && !chain_gone(&c);
    chain_fini(&c);
    if (!next) return RDG_OK;
    return rdg_fail(RDG_E_CONFLICT,
                    "key '%s' is the one that archives of chain '%s' are made with: make another first, with "
                    "ridge archive keys %s --rotate",
                    id, o->name, o->name);
}

/* In a transaction. The file first: a key that is said to be destroyed is in no file. */
static rdg_err_t destroy_key(rdg_baas_t *b, const char *id, const owner_t *o, const char *caller) {
    char path[PATH_BYTES], message[RDG_ARCHIVE_KEY_ID_MAX + 64];
    RDG_TRY(check_unneeded(b, id, o));
    RDG_TRY(path_of(b, id, path));
    if (unlink(path) != 0 && errno != ENOENT) return rdg_fail_errno(errno, "cannot remove %s", path);
    RDG_TRY(rdg_dir_sync(b->keys_dir));
    snprintf(message, sizeof message, "%s, ordered by %.40s", id, caller);
    RDG_TRY(event_add(b, o->chain, NULL, "archive-key", "removed", message));
    return rdg_sql_exec(b->db, "DELETE FROM archive_keys WHERE id = ?", RDG_SQL_PARAMS(rdg_sql_text(id)),
                        NULL);
}

static rdg_err_t drop(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    rdg_baas_t *b = ctx;
    const char *id = rdg_service_arg(call, "id"), *typed = rdg_http_query(call->http, "discard"),
               *caller = call->caller ? call->caller : "-";
    owner_t o;
    (void)answer;
    RDG_TRY(find_owner(b, id, &o));
    if (!typed || strcmp(typed, id) != 0)
        return rdg_fail(
            RDG_E_INVALID,
            "what was encrypted under key '%s' can then be read nowhere, copies elsewhere included: "
            "repeat the key's name as 'discard' (ridge archive key-rm %s --discard %s)",
            id, id, id);
    RDG_TRY(rdg_sql_begin(b->db));
    rdg_err_t err = find_owner(b, id, &o);
    if (err == RDG_OK) err = destroy_key(b, id, &o, caller);
    if (err == RDG_OK) err = rdg_sql_commit(b->db);
    if (err != RDG_OK) rdg_sql_rollback(b->db);
    if (err == RDG_OK)
        rdg_log(RDG_LOG_WARN, "archive.key_removed", RDG_STR("chain", o.name), RDG_STR("key", id),
                RDG_STR("caller", caller));
    event_wake(b);
    return err;
}

const rdg_service_route_t archive_key_routes[] = {
    {"GET", "/api/v1/archive-keys", RDG_ROUTE_TENANT | RDG_ROUTE_ADMIN, list},
    {"DELETE", "/api/v1/archive-keys/{id}", RDG_ROUTE_OWNED | RDG_ROUTE_ADMIN, drop},
    {"POST", "/api/v1/archive-keys/{id}/disclose", RDG_ROUTE_OWNED | RDG_ROUTE_ADMIN, disclose},
    {"POST", "/api/v1/chains/{name}/archive-keys", RDG_ROUTE_OWNED, rotate},
};
const size_t archive_key_route_count = sizeof archive_key_routes / sizeof archive_key_routes[0];
