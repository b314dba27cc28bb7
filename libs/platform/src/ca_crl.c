#include <stdio.h>
#include <string.h>
#include "ca_internal.h"
#include "ridge/base/alloc.h"
#include "ridge/base/log.h"

typedef struct entries {
    rdg_crl_entry_t *list;
    size_t count;
} entries_t;

static rdg_err_t entry_row(void *ctx, const rdg_sql_row_t *r) {
    entries_t *e = ctx;
    rdg_crl_entry_t *entry = &e->list[e->count++];
    const char *reason = rdg_sql_row_text(r, 2);
    snprintf(entry->serial, sizeof entry->serial, "%s", rdg_sql_row_text(r, 0));
    entry->revoked_s = rdg_sql_row_int(r, 1) / 1000;
    entry->reason = RDG_CRL_UNSPECIFIED;
    if (reason) (void)rdg_crl_reason_parse(reason, &entry->reason);
    return RDG_OK;
}

/* What has expired is refused without a list. */
static rdg_err_t collect(ca_t *ca, entries_t *e) {
    e->list = rdg_calloc(RDG_CRL_ENTRIES_MAX, sizeof *e->list);
    if (!e->list) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a revocation list");
    RDG_TRY(rdg_sql_query(ca->db,
                          "SELECT serial, revoked_ms, reason FROM certificates WHERE state = 'revoked' AND "
                          "not_after_ms > ? AND issuer = ? ORDER BY revoked_ms DESC LIMIT ?",
                          RDG_SQL_PARAMS(rdg_sql_int(ca_now_ms(ca)), rdg_sql_text(ca->issuer),
                                         rdg_sql_int(RDG_CRL_ENTRIES_MAX)),
                          entry_row, e));
    if (e->count == RDG_CRL_ENTRIES_MAX) rdg_log(RDG_LOG_WARN, "ca.list_full", RDG_U64("entries", e->count));
    return RDG_OK;
}

static rdg_err_t number_row(void *ctx, const rdg_sql_row_t *r) {
    *(int64_t *)ctx = rdg_sql_row_int(r, 0);
    return RDG_OK;
}

/* The row stays for its number also under another issuer: numbers only grow. */
static rdg_err_t store(ca_t *ca, const rdg_crl_t *crl) {
    rdg_buf_t pem;
    rdg_sql_value_t number = rdg_sql_int((int64_t)rdg_crl_number(crl));
    rdg_buf_init(&pem, RDG_CRL_PEM_MAX);
    rdg_err_t err = rdg_crl_to_pem(crl, &pem);
    if (err == RDG_OK && !rdg_buf_cstr(&pem))
        err = rdg_fail(RDG_E_NO_MEMORY, "no memory for a revocation list");
    if (err == RDG_OK)
        err = rdg_sql_exec(ca->db, "INSERT INTO ca_lists (number, pem) VALUES (?, ?)",
                           RDG_SQL_PARAMS(number, rdg_sql_text((const char *)pem.data)), NULL);
    if (err == RDG_OK)
        err = rdg_sql_exec(ca->db, "DELETE FROM ca_lists WHERE number < ?", RDG_SQL_PARAMS(number), NULL);
    rdg_buf_fini(&pem);
    return err;
}

rdg_err_t ca_crl_make(ca_t *ca, rdg_crl_t **out) {
    entries_t e = {0};
    int64_t last = 0, now = ca_now_s(ca);
    *out = NULL;
    rdg_err_t err =
        rdg_sql_query(ca->db, "SELECT COALESCE(MAX(number), 0) FROM ca_lists", NULL, 0, number_row, &last);
    if (err == RDG_OK) err = collect(ca, &e);
    if (err == RDG_OK) {
        rdg_crl_order_t order = {ca->authority.issuing,
                                 ca->authority.key,
                                 (uint64_t)last + 1,
                                 now,
                                 now + CA_CRL_LIFE_S,
                                 e.list,
                                 e.count};
        err = rdg_crl_issue(&order, out);
    }
    rdg_free(e.list);
    if (err == RDG_OK) err = store(ca, *out);
    if (err == RDG_OK) return RDG_OK;
    rdg_crl_free(*out);
    *out = NULL;
    return err;
}

/* Two revocations that commit one after the other may come here the other way round. */
void ca_crl_take(ca_t *ca, rdg_crl_t *crl) {
    pthread_mutex_lock(&ca->lock);
    if (!ca->crl || rdg_crl_number(ca->crl) < rdg_crl_number(crl)) {
        rdg_crl_t *old = ca->crl;
        ca->crl = crl;
        crl = old;
    }
    pthread_mutex_unlock(&ca->lock);
    rdg_crl_free(crl);
}

static rdg_err_t pem_row(void *ctx, const rdg_sql_row_t *r) {
    const char *pem = rdg_sql_row_text(r, 0);
    return rdg_crl_parse_pem(rdg_bytes_str(pem ? pem : ""), ctx);
}

rdg_err_t ca_crl_load(ca_t *ca) {
    rdg_err_t err = rdg_sql_query(ca->db, "SELECT pem FROM ca_lists ORDER BY number DESC LIMIT 1", NULL, 0,
                                  pem_row, &ca->crl);
    if (err != RDG_OK) return rdg_fail_in(err, "the stored revocation list");
    /* Of a former CA: the next list is of this one. */
    if (ca->crl && rdg_crl_verify(ca->crl, ca->authority.issuing) != RDG_OK) {
        rdg_crl_free(ca->crl);
        ca->crl = NULL;
    }
    return RDG_OK;
}

rdg_crl_t *ca_crl(ca_t *ca) {
    pthread_mutex_lock(&ca->lock);
    rdg_crl_t *crl = rdg_crl_ref(ca->crl);
    pthread_mutex_unlock(&ca->lock);
    return crl;
}

rdg_err_t ca_crl_refresh(ca_t *ca) {
    pthread_mutex_lock(&ca->lock);
    int64_t age = ca->crl ? ca_now_s(ca) - rdg_crl_this_update_s(ca->crl) : CA_CRL_EVERY_S;
    pthread_mutex_unlock(&ca->lock);
    /* A clock that was set back must not keep the list for ever. */
    if (age >= 0 && age < CA_CRL_EVERY_S) return RDG_OK;
    if (age < 0 && age > -CA_CRL_EVERY_S) return RDG_OK;
    rdg_crl_t *crl = NULL;
    RDG_TRY(rdg_sql_begin(ca->db));
    rdg_err_t err = ca_crl_make(ca, &crl);
    if (err == RDG_OK) err = rdg_sql_commit(ca->db);
    if (err != RDG_OK) {
        rdg_sql_rollback(ca->db);
        rdg_crl_free(crl);
        return err;
    }
    ca_crl_take(ca, crl);
    return RDG_OK;
}
