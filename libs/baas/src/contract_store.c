#include "contract.h"
#include <string.h>
#include "ridge/base/alloc.h"

typedef struct found {
    rdg_address_t address;
    json_t *abi;
} found_t;

static rdg_err_t found_row(void *ctx, const rdg_sql_row_t *r) {
    found_t *f = ctx;
    rdg_bytes_t address = rdg_sql_row_blob(r, 0);
    if (address.len != sizeof f->address.b)
        return rdg_fail(RDG_E_CORRUPT, "a stored contract has no address");
    memcpy(f->address.b, address.data, sizeof f->address.b);
    return rdg_json_parse(rdg_bytes_str(rdg_sql_row_text(r, 1)), &f->abi);
}

rdg_err_t contract_find(rdg_baas_t *b, const chain_t *c, const char *name, rdg_address_t *address,
                        json_t **abi) {
    found_t f = {.abi = NULL};
    RDG_TRY(rdg_sql_query(
        b->db,
        "SELECT address, abi FROM contracts WHERE chain = ? AND name = ? ORDER BY version DESC LIMIT 1",
        RDG_SQL_PARAMS(rdg_sql_int(c->number), rdg_sql_text(name)), found_row, &f));
    if (!f.abi)
        return rdg_fail(RDG_E_NOT_FOUND, "chain '%s' has no contract '%.64s': see ridge contract list %s",
                        c->name, name, c->name);
    *address = f.address;
    *abi = f.abi;
    return RDG_OK;
}

rdg_err_t contract_check_new(rdg_baas_t *b, const chain_t *c, const char *name) {
    int64_t count = 0;
    RDG_TRY(rdg_sql_query(b->db, "SELECT COUNT(*) FROM contracts WHERE chain = ? AND name = ?",
                          RDG_SQL_PARAMS(rdg_sql_int(c->number), rdg_sql_text(name)), baas_int_row, &count));
    if (count > 0)
        return rdg_fail(RDG_E_EXISTS, "contract '%s' exists on chain '%s': choose another name", name,
                        c->name);
    RDG_TRY(rdg_sql_query(b->db, "SELECT COUNT(*) FROM contracts WHERE chain = ?",
                          RDG_SQL_PARAMS(rdg_sql_int(c->number)), baas_int_row, &count));
    if (count >= CONTRACTS_MAX)
        return rdg_fail(RDG_E_FULL, "chain '%s' has %d contracts already", c->name, CONTRACTS_MAX);
    return RDG_OK;
}

rdg_err_t contract_add(rdg_baas_t *b, const chain_t *c, const char *name, const json_t *abi,
                       const rdg_address_t *address, const rdg_hash_t *tx, uint64_t height) {
    char *text = rdg_json_text(abi);
    if (!text) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a contract");
    rdg_err_t err =
        rdg_sql_exec(b->db,
                     "INSERT INTO contracts (chain, name, version, address, abi, tx, height, deployed_ms)"
                     " VALUES (?, ?, 1, ?, ?, ?, ?, ?)",
                     RDG_SQL_PARAMS(rdg_sql_int(c->number), rdg_sql_text(name),
                                    rdg_sql_blob(rdg_bytes(address->b, sizeof address->b)),
                                    rdg_sql_text(text), rdg_sql_blob(rdg_bytes(tx->b, sizeof tx->b)),
                                    rdg_sql_int((int64_t)height), rdg_sql_int((int64_t)baas_now())),
                     NULL);
    rdg_free(text);
    return err;
}

static rdg_err_t list_row(void *ctx, const rdg_sql_row_t *r) {
    rdg_bytes_t address = rdg_sql_row_blob(r, 2), tx = rdg_sql_row_blob(r, 3);
    json_t *o =
        json_pack("{s:s, s:I, s:o, s:o, s:I, s:I}", "name", rdg_sql_row_text(r, 0), "version",
                  (json_int_t)rdg_sql_row_int(r, 1), "address", rdg_json_hex(address.data, address.len), "tx",
                  rdg_json_hex(tx.data, tx.len), "height", (json_int_t)rdg_sql_row_int(r, 4), "created_ms",
                  (json_int_t)rdg_sql_row_int(r, 5));
    if (!o || json_array_append_new(ctx, o) != 0)
        return rdg_fail(RDG_E_NO_MEMORY, "no memory for the contracts");
    return RDG_OK;
}

rdg_err_t contract_list(rdg_baas_t *b, const chain_t *c, const char *name, json_t **out) {
    json_t *list = json_array();
    rdg_err_t err = rdg_sql_query(
        b->db,
        "SELECT name, version, address, tx, height, deployed_ms FROM contracts"
        " WHERE chain = ? AND (? IS NULL OR name = ?) ORDER BY name, version",
        RDG_SQL_PARAMS(rdg_sql_int(c->number), rdg_sql_text(name), rdg_sql_text(name)), list_row, list);
    if (err != RDG_OK) {
        json_decref(list);
        return err;
    }
    *out = list;
    return RDG_OK;
}
