#include "ridge/crypto/crl.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>
#include "cert.h"
#include "ridge/base/alloc.h"
#include "sm2_key.h"
#include "x509_sm2.h"

struct rdg_crl {
    rdg_ref_t ref;
    X509_CRL *x509; /* owned; its entries are sorted, so that lookups change nothing */
    uint8_t *der;   /* owned */
    size_t der_len, count;
    uint64_t number;
    int64_t this_update_s, next_update_s;
};

static const struct {
    rdg_crl_reason_t reason;
    const char *name;
} reasons[] = {
    {RDG_CRL_UNSPECIFIED, "unspecified"},
    {RDG_CRL_KEY_COMPROMISE, "key-compromise"},
    {RDG_CRL_CA_COMPROMISE, "ca-compromise"},
    {RDG_CRL_AFFILIATION_CHANGED, "affiliation-changed"},
    {RDG_CRL_SUPERSEDED, "superseded"},
    {RDG_CRL_CESSATION, "cessation"},
    {RDG_CRL_PRIVILEGE_WITHDRAWN, "privilege-withdrawn"},
};
#define REASONS (sizeof reasons / sizeof reasons[0])

rdg_err_t rdg_crl_reason_parse(const char *name, rdg_crl_reason_t *out) {
    for (size_t i = 0; i < REASONS; i++)
        if (strcmp(name, reasons[i].name) == 0) {
            *out = reasons[i].reason;
            return RDG_OK;
        }
    return rdg_fail(RDG_E_INVALID,
                    "reason '%.32s' is not known: want unspecified, key-compromise, ca-compromise, "
                    "affiliation-changed, superseded, cessation or privilege-withdrawn",
                    name);
}

const char *rdg_crl_reason_name(rdg_crl_reason_t reason) {
    for (size_t i = 0; i < REASONS; i++)
        if (reasons[i].reason == reason) return reasons[i].name;
    return reasons[0].name;
}

/* --- reading ------------------------------------------------------------------------------------- */

static bool known_extensions(const STACK_OF(X509_EXTENSION) * list) {
    for (int i = 0; i < sk_X509_EXTENSION_num(list); i++) {
        X509_EXTENSION *e = sk_X509_EXTENSION_value(list, i);
        int nid = OBJ_obj2nid(X509_EXTENSION_get_object(e));
        bool read = nid == NID_crl_number || nid == NID_authority_key_identifier || nid == NID_crl_reason;
        if (X509_EXTENSION_get_critical(e) && !read) return false;
    }
    return true;
}

static bool seconds(const ASN1_TIME *time, int64_t *out) {
    struct tm tm;
    if (!time || ASN1_TIME_to_tm(time, &tm) != 1) return false;
    *out = (int64_t)timegm(&tm);
    return true;
}

static rdg_err_t read_entries(rdg_crl_t *crl) {
    STACK_OF(X509_REVOKED) *list = X509_CRL_get_REVOKED(crl->x509);
    int count = list ? sk_X509_REVOKED_num(list) : 0;
    crl->count = (size_t)count;
    if (crl->count > RDG_CRL_ENTRIES_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "%d entries, at most %d", count, RDG_CRL_ENTRIES_MAX);
    for (int i = 0; i < count; i++)
        if (!known_extensions(X509_REVOKED_get0_extensions(sk_X509_REVOKED_value(list, i))))
            return rdg_fail(RDG_E_UNSUPPORTED, "an entry has a critical extension that is not known here");
    /* libcrypto sorts at the first look-up: here, while nobody else has the list. */
    X509_REVOKED *found = NULL;
    if (count)
        X509_CRL_get0_by_serial(crl->x509, &found,
                                X509_REVOKED_get0_serialNumber(sk_X509_REVOKED_value(list, 0)));
    return RDG_OK;
}

static rdg_err_t read_fields(rdg_crl_t *crl) {
    if (X509_CRL_get_version(crl->x509) != 1 || X509_CRL_get_signature_nid(crl->x509) != NID_SM2_with_SM3)
        return rdg_fail(RDG_E_UNSUPPORTED, "not version 2 signed by SM2 with SM3");
    if (!known_extensions(X509_CRL_get0_extensions(crl->x509)))
        return rdg_fail(RDG_E_UNSUPPORTED, "a critical extension is not known here");
    ASN1_INTEGER *number = X509_CRL_get_ext_d2i(crl->x509, NID_crl_number, NULL, NULL);
    bool ok = number && ASN1_INTEGER_get_uint64(&crl->number, number) == 1 && crl->number < INT64_MAX;
    ASN1_INTEGER_free(number);
    if (!ok) return rdg_fail(RDG_E_MALFORMED, "it has no number below 2^63");
    if (!seconds(X509_CRL_get0_lastUpdate(crl->x509), &crl->this_update_s) ||
        !seconds(X509_CRL_get0_nextUpdate(crl->x509), &crl->next_update_s) ||
        crl->next_update_s < crl->this_update_s)
        return rdg_fail(RDG_E_MALFORMED, "its two times are not there, or out of order");
    return read_entries(crl);
}

rdg_err_t rdg_crl_parse(rdg_bytes_t der, rdg_crl_t **out) {
    *out = NULL;
    if (der.len > RDG_CRL_DER_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "revocation list: %zu bytes, at most %u", der.len, RDG_CRL_DER_MAX);
    rdg_crl_t *crl = rdg_calloc(1, sizeof *crl);
    if (!crl) return rdg_fail(RDG_E_NO_MEMORY, "revocation list: out of memory");
    rdg_ref_init(&crl->ref);
    const uint8_t *at = der.data;
    if (der.len) crl->x509 = d2i_X509_CRL(NULL, &at, (long)der.len);
    rdg_err_t err = RDG_OK;
    if (!crl->x509 || at != der.data + der.len)
        err = rdg_fail(RDG_E_MALFORMED, "not the DER of exactly one list");
    if (err == RDG_OK) err = read_fields(crl);
    crl->der = err == RDG_OK ? rdg_memdup(der.data, der.len) : NULL;
    crl->der_len = der.len;
    if (err == RDG_OK && !crl->der) err = rdg_fail(RDG_E_NO_MEMORY, "out of memory");
    ERR_clear_error();
    if (err == RDG_OK)
        *out = crl;
    else
        rdg_crl_free(crl);
    return rdg_fail_in(err, "revocation list");
}

static rdg_err_t parse(void *out, rdg_bytes_t der) {
    return rdg_crl_parse(der, out);
}

rdg_err_t rdg_crl_parse_pem(rdg_bytes_t pem, rdg_crl_t **out) {
    *out = NULL;
    return rdg_pem_only(pem, RDG_CRL_PEM_MAX, PEM_STRING_X509_CRL, NULL, parse, out);
}

rdg_err_t rdg_crl_to_pem(const rdg_crl_t *crl, rdg_buf_t *out) {
    return rdg_pem_write(PEM_STRING_X509_CRL, rdg_crl_der(crl), out);
}

rdg_crl_t *rdg_crl_ref(rdg_crl_t *crl) {
    rdg_ref_get(&crl->ref);
    return crl;
}

void rdg_crl_free(rdg_crl_t *crl) {
    if (!crl || !rdg_ref_put(&crl->ref)) return;
    X509_CRL_free(crl->x509);
    rdg_free(crl->der);
    rdg_free(crl);
}

/* --- asking -------------------------------------------------------------------------------------- */

rdg_err_t rdg_crl_verify(const rdg_crl_t *crl, const rdg_cert_t *issuer) {
    if (!rdg_cert_may_issue(issuer) ||
        X509_NAME_cmp(X509_CRL_get_issuer(crl->x509), X509_get_subject_name(issuer->x509)) != 0)
        return rdg_fail(RDG_E_FORBIDDEN, "revocation list: not of this issuer, or it may not sign lists");
    if (rdg_x509_verify(rdg_crl_der(crl), rdg_cert_public(issuer)) == RDG_OK) return RDG_OK;
    return rdg_fail(RDG_E_BAD_SIGNATURE, "revocation list %llu: the signature is not its issuer's",
                    (unsigned long long)crl->number);
}

rdg_err_t rdg_crl_check_time(const rdg_crl_t *crl, int64_t now_s) {
    const char *wrong = NULL;
    if (crl->this_update_s > now_s + RDG_CRL_SKEW_S) wrong = "it is from the future: look at the clocks";
    if (crl->next_update_s < now_s) wrong = "a newer one is overdue";
    if (!wrong) return RDG_OK;
    return rdg_fail(RDG_E_EXPIRED, "revocation list %llu: %s", (unsigned long long)crl->number, wrong);
}

bool rdg_crl_contains(const rdg_crl_t *crl, const rdg_cert_t *cert) {
    X509_REVOKED *found = NULL;
    if (X509_NAME_cmp(X509_CRL_get_issuer(crl->x509), X509_get_issuer_name(cert->x509)) != 0) return false;
    return X509_CRL_get0_by_serial(crl->x509, &found, X509_get0_serialNumber(cert->x509)) != 0;
}

rdg_bytes_t rdg_crl_der(const rdg_crl_t *crl) {
    return rdg_bytes(crl->der, crl->der_len);
}

uint64_t rdg_crl_number(const rdg_crl_t *crl) {
    return crl->number;
}

int64_t rdg_crl_this_update_s(const rdg_crl_t *crl) {
    return crl->this_update_s;
}

int64_t rdg_crl_next_update_s(const rdg_crl_t *crl) {
    return crl->next_update_s;
}

size_t rdg_crl_count(const rdg_crl_t *crl) {
    return crl->count;
}
