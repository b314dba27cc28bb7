/* The cloud's copy of what the registry says, and the ABIs. */
#include <stdio.h>
#include <string.h>
#include "contract.h"
#include "ridge/base/alloc.h"
#include "ridge/codec/hex.h"

enum { FROZEN_BY_OWNER = 1, FROZEN_BY_ADMINS = 2, SUPERSEDED = 4, REVOKED = 8 };

void contract_fini(contract_t *k) {
    json_decref(k->abi);
    k->abi = NULL;
}

static rdg_err_t take(const rdg_sql_row_t *r, unsigned column, void *out, size_t len) {
    rdg_bytes_t b = rdg_sql_row_blob(r, column);
    if (b.len != len) return rdg_fail(RDG_E_CORRUPT, "a stored contract cannot be read");
    memcpy(out, b.data, len);
    return RDG_OK;
}

static rdg_err_t found_row(void *ctx, const rdg_sql_row_t *r) {
    contract_t *k = ctx;
    const char *name = rdg_sql_row_text(r, 0), *abi = rdg_sql_row_text(r, 6);
    snprintf(k->name, sizeof k->name, "%s", name ? name : "");
    k->version = (uint32_t)rdg_sql_row_int(r, 1);
    RDG_TRY(take(r, 2, k->address.b, sizeof k->address.b));
    RDG_TRY(take(r, 3, k->owner.b, sizeof k->owner.b));
    RDG_TRY(take(r, 4, k->abi_digest.b, sizeof k->abi_digest.b));
    k->life = (uint8_t)rdg_sql_row_int(r, 5);
    return abi ? rdg_json_parse(rdg_bytes_str(abi), &k->abi) : RDG_OK;
}

rdg_err_t contract_find(rdg_baas_t *b, const chain_t *c, const char *name, uint32_t version,
                        contract_t *out) {
    memset(out, 0, sizeof *out);
    RDG_TRY(rdg_sql_query(
        b->db,
        "SELECT v.name, v.version, v.address, v.owner, v.abi_digest, v.life, a.abi FROM contract_versions v"
        " LEFT JOIN contract_abis a ON a.chain = v.chain AND a.digest = v.abi_digest"
        " WHERE v.chain = ? AND v.name = ? AND (? = 0 OR v.version = ?) ORDER BY v.version DESC LIMIT 1",
        RDG_SQL_PARAMS(rdg_sql_int(c->number), rdg_sql_text(name), rdg_sql_int(version),
                       rdg_sql_int(version)),
        found_row, out));
    if (out->version > 0) return RDG_OK;
    if (version > 0)
        return rdg_fail(RDG_E_NOT_FOUND,
                        "chain '%s' has no version %u of contract '%.64s': see ridge contract show %s %.64s",
                        c->name, version, name, c->name, name);
    return rdg_fail(RDG_E_NOT_FOUND, "chain '%s' has no contract '%.64s': see ridge contract list %s",
                    c->name, name, c->name);
}

rdg_err_t contract_find_abi(rdg_baas_t *b, const chain_t *c, const char *name, uint32_t version,
                            contract_t *out) {
    RDG_TRY(contract_find(b, c, name, version, out));
    if (out->abi) return RDG_OK;
    return rdg_fail(
        RDG_E_NOT_FOUND,
        "the cloud has no ABI of version %u of contract '%s', which was not deployed through it: use a "
        "tool that has its ABI, at the address that ridge contract show %s %s tells",
        out->version, out->name, c->name, out->name);
}

rdg_err_t contract_check_new(rdg_baas_t *b, const chain_t *c, const char *name) {
    int64_t count = 0;
    RDG_TRY(rdg_sql_query(b->db, "SELECT COUNT(*) FROM contract_versions WHERE chain = ? AND name = ?",
                          RDG_SQL_PARAMS(rdg_sql_int(c->number), rdg_sql_text(name)), baas_int_row, &count));
    if (count == 0) return RDG_OK;
    return rdg_fail(RDG_E_EXISTS,
                    "contract '%s' exists on chain '%s': choose another name, or ridge contract upgrade",
                    name, c->name);
}

static json_t *hex_of(const rdg_sql_row_t *r, unsigned column) {
    rdg_bytes_t b = rdg_sql_row_blob(r, column);
    return rdg_json_hex(b.data, b.len);
}

static rdg_err_t list_row(void *ctx, const rdg_sql_row_t *r) {
    const char *status = rdg_contract_status_name(rdg_contract_status((uint8_t)rdg_sql_row_int(r, 7)));
    json_t *o =
        json_pack("{s:s, s:I, s:s, s:o, s:o, s:o, s:I, s:I, s:o, s:b}", "name", rdg_sql_row_text(r, 0),
                  "version", (json_int_t)rdg_sql_row_int(r, 1), "status", status, "address", hex_of(r, 2),
                  "tx", hex_of(r, 3), "owner", hex_of(r, 6), "height", (json_int_t)rdg_sql_row_int(r, 4),
                  "created_ms", (json_int_t)rdg_sql_row_int(r, 5), "abi_digest", hex_of(r, 8), "abi_known",
                  (int)rdg_sql_row_int(r, 9));
    if (!o || json_array_append_new(ctx, o) != 0)
        return rdg_fail(RDG_E_NO_MEMORY, "no memory for the contracts");
    return RDG_OK;
}

rdg_err_t contract_list(rdg_baas_t *b, const chain_t *c, const char *name, json_t **out) {
    json_t *list = json_array();
    rdg_err_t err = rdg_sql_query(
        b->db,
        "SELECT v.name, v.version, v.address, v.tx, v.height, v.seen_ms, v.owner, v.life, v.abi_digest,"
        " a.digest IS NOT NULL FROM contract_versions v"
        " LEFT JOIN contract_abis a ON a.chain = v.chain AND a.digest = v.abi_digest"
        " WHERE v.chain = ? AND (v.name = ? OR (? IS NULL AND v.version = (SELECT MAX(n.version) FROM"
        " contract_versions n WHERE n.chain = v.chain AND n.name = v.name))) ORDER BY v.name, v.version "
        "LIMIT 10000",
        RDG_SQL_PARAMS(rdg_sql_int(c->number), rdg_sql_text(name), rdg_sql_text(name)), list_row, list);
    if (err != RDG_OK) {
        json_decref(list);
        return err;
    }
    *out = list;
    return RDG_OK;
}

rdg_err_t contract_keep_abi(rdg_baas_t *b, const chain_t *c, const json_t *abi, rdg_hash_t *digest) {
    char *text = rdg_json_text(abi);
    if (!text) return rdg_fail(RDG_E_NO_MEMORY, "no memory for an ABI");
    rdg_sm3(text, strlen(text), digest);
    rdg_err_t err =
        rdg_sql_exec(b->db, "INSERT OR IGNORE INTO contract_abis (chain, digest, abi) VALUES (?, ?, ?)",
                     RDG_SQL_PARAMS(rdg_sql_int(c->number),
                                    rdg_sql_blob(rdg_bytes(digest->b, sizeof digest->b)), rdg_sql_text(text)),
                     NULL);
    rdg_free(text);
    return err;
}

/* --- events of the registry ------------------------------------------------------------------------------------------- */

static rdg_err_t add_version(rdg_baas_t *b, const chain_t *c, const json_t *args, const json_t *log) {
    uint8_t address[20], owner[20], digest[32], tx[32];
    uint64_t version = 1, height;
    RDG_TRY(rdg_json_get_hex(args, "contractAddress", address, sizeof address));
    RDG_TRY(rdg_json_get_hex(args, "owner", owner, sizeof owner));
    RDG_TRY(rdg_json_get_hex(args, "abiDigest", digest, sizeof digest));
    RDG_TRY(rdg_json_get_hex(log, "transactionHash", tx, sizeof tx));
    RDG_TRY(rdg_json_opt_u64(args, "version", &version));
    RDG_TRY(rdg_json_quantity_parse(json_object_get(log, "blockNumber"), &height));
    return rdg_sql_exec(
        b->db,
        "INSERT OR REPLACE INTO contract_versions (chain, name, version, address, abi_digest, owner, life, "
        "tx, height,"
        " seen_ms) VALUES (?, ?, ?, ?, ?, ?, 0, ?, ?, ?)",
        RDG_SQL_PARAMS(rdg_sql_int(c->number), rdg_sql_text(json_string_value(json_object_get(args, "name"))),
                       rdg_sql_int((int64_t)version), rdg_sql_blob(rdg_bytes(address, sizeof address)),
                       rdg_sql_blob(rdg_bytes(digest, sizeof digest)),
                       rdg_sql_blob(rdg_bytes(owner, sizeof owner)), rdg_sql_blob(rdg_bytes(tx, sizeof tx)),
                       rdg_sql_int((int64_t)height), rdg_sql_int((int64_t)baas_now())),
        NULL);
}

static rdg_err_t set_life(rdg_baas_t *b, const chain_t *c, const json_t *args, int set, int clear) {
    uint64_t version = 0;
    RDG_TRY(rdg_json_get_u64(args, "version", &version));
    return rdg_sql_exec(b->db,
                        "UPDATE contract_versions SET life = (life | ?) & ~? WHERE chain = ? AND name = ? AND"
                        " version = ?",
                        RDG_SQL_PARAMS(rdg_sql_int(set), rdg_sql_int(clear), rdg_sql_int(c->number),
                                       rdg_sql_text(json_string_value(json_object_get(args, "name"))),
                                       rdg_sql_int((int64_t)version)),
                        NULL);
}

static rdg_err_t set_owner(rdg_baas_t *b, const chain_t *c, const json_t *args) {
    uint8_t owner[20];
    RDG_TRY(rdg_json_get_hex(args, "to", owner, sizeof owner));
    return rdg_sql_exec(b->db, "UPDATE contract_versions SET owner = ? WHERE chain = ? AND name = ?",
                        RDG_SQL_PARAMS(rdg_sql_blob(rdg_bytes(owner, sizeof owner)), rdg_sql_int(c->number),
                                       rdg_sql_text(json_string_value(json_object_get(args, "name")))),
                        NULL);
}

rdg_err_t contract_take_event(rdg_baas_t *b, const chain_t *c, const json_t *event, const json_t *log) {
    const char *name = json_string_value(json_object_get(event, "event"));
    const json_t *args = json_object_get(event, "args");
    bool by_admins = json_is_true(json_object_get(args, "byAdministrators"));
    if (!name) return RDG_OK;
    if (!strcmp(name, "Deployed") || !strcmp(name, "Registered")) return add_version(b, c, args, log);
    if (!strcmp(name, "Superseded")) return set_life(b, c, args, SUPERSEDED, 0);
    if (!strcmp(name, "Frozen"))
        return set_life(b, c, args, by_admins ? FROZEN_BY_ADMINS : FROZEN_BY_OWNER, 0);
    if (!strcmp(name, "Unfrozen"))
        return set_life(b, c, args, 0, by_admins ? FROZEN_BY_ADMINS | FROZEN_BY_OWNER : FROZEN_BY_OWNER);
    if (!strcmp(name, "Revoked")) return set_life(b, c, args, REVOKED, 0);
    if (!strcmp(name, "OwnershipTransferred")) return set_owner(b, c, args);
    return RDG_OK;
}

rdg_err_t contract_forget(rdg_baas_t *b, const chain_t *c) {
    static const char *const statements[] = {
        "DELETE FROM contract_versions WHERE chain = ?", "DELETE FROM contract_syncs WHERE chain = ?",
        "DELETE FROM contract_abis WHERE chain = ?", "DELETE FROM contract_orders WHERE chain = ?",
        "DELETE FROM contract_migrations WHERE chain = ?"};
    for (size_t i = 0; i < sizeof statements / sizeof statements[0]; ++i)
        RDG_TRY(rdg_sql_exec(b->db, statements[i], RDG_SQL_PARAMS(rdg_sql_int(c->number)), NULL));
    return RDG_OK;
}
