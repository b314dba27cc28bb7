/* X.509 certificates of SM2 keys signed by SM2-with-SM3 (GB/T 20518, RFC 5280), through libcrypto.
 *
 * Invariants
 * 1. A rdg_cert_t holds an uncompressed SM2 key that is on the curve, and a signature of the algorithm
 *    SM2-with-SM3: RSA, P-256, short keys and other digests are refused by parsing, so a chain of them
 *    cannot be built at all.
 * 2. The default user id is set on every certificate, as the standard wants and libcrypto does not do.
 * 3. Verification takes the time as an argument and trusts only the given roots. Extensions that libcrypto
 *    does not know and that are critical refuse the chain.
 * 4. A leaf must state its key usage: RDG_CERT_SIGN needs digitalSignature (or nonRepudiation),
 *    RDG_CERT_ENCRYPT keyEncipherment, dataEncipherment or keyAgreement. A CA is never a leaf.
 *
 * Limits: RDG_CERT_DER_MAX bytes each; a positive serial number of at most 20 bytes; RDG_CERT_CHAIN_MAX certificates in a chain with leaf and root.
 * Certificates are immutable, reference-counted and may be shared by threads. */
#ifndef RIDGE_CRYPTO_CERT_H
#define RIDGE_CRYPTO_CERT_H
#include "ridge/base/buf.h"
#include "ridge/crypto/sm2.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RDG_CERT_DER_MAX 8192
#define RDG_CERT_CHAIN_MAX 6
#define RDG_CERT_NAME_MAX 65   /* of a common name, with its NUL: X.509 allows 64 */
#define RDG_CERT_SERIAL_MAX 41 /* a serial number in hex with its NUL: RFC 5280 allows 20 bytes */

typedef struct rdg_cert rdg_cert_t;
typedef enum rdg_cert_use { RDG_CERT_SIGN, RDG_CERT_ENCRYPT } rdg_cert_use_t;

/* Exactly one certificate. MALFORMED, UNSUPPORTED (not SM2 with SM3), TOO_LARGE. Returns owned. */
rdg_err_t rdg_cert_parse(rdg_bytes_t der, rdg_cert_t **out);
/* All certificates of a PEM text in order, at least one. FULL past max. Returns each owned. */
rdg_err_t rdg_cert_parse_pem(rdg_bytes_t pem, rdg_cert_t **out, size_t max, size_t *count);
rdg_err_t rdg_cert_to_pem(const rdg_cert_t *cert, rdg_buf_t *out);
rdg_cert_t *rdg_cert_ref(rdg_cert_t *cert);
void rdg_cert_free(rdg_cert_t *cert); /* drops one reference; NULL is fine */

rdg_bytes_t rdg_cert_der(const rdg_cert_t *cert);         /* borrowed */
rdg_bytes_t rdg_cert_subject_der(const rdg_cert_t *cert); /* the name's DER, borrowed */
const rdg_sm2_public_t *rdg_cert_public(const rdg_cert_t *cert);
bool rdg_cert_is_ca(const rdg_cert_t *cert);
bool rdg_cert_allows(const rdg_cert_t *cert, rdg_cert_use_t use);
/* Whether name is a DNS name of the certificate, or its common name when it has none. No wildcards. */
bool rdg_cert_has_name(const rdg_cert_t *cert, const char *name);
/* The common name, cut to fit and empty if there is none, control characters shown as '?'. For people; trust
 * decisions use has_name. */
void rdg_cert_common_name(const rdg_cert_t *cert, char *out, size_t size);
int64_t rdg_cert_not_before_s(const rdg_cert_t *cert); /* seconds since 1970 */
int64_t rdg_cert_not_after_s(const rdg_cert_t *cert);
/* Lower-case hex of the serial number's bytes, two digits each. Unique for one issuer. */
void rdg_cert_serial(const rdg_cert_t *cert, char out[RDG_CERT_SERIAL_MAX]);
void rdg_cert_fingerprint(const rdg_cert_t *cert, rdg_hash_t *out); /* SM3 of the DER */
/* Whether it is a CA whose key usage allows to sign certificates and revocation lists. */
bool rdg_cert_may_issue(const rdg_cert_t *cert);
bool rdg_cert_is_self_issued(const rdg_cert_t *cert); /* subject and issuer are one name */

/* Whether leaf may do `use` at now_s under one of the roots, with the others (any order, borrowed) to fill
 * the gap. NOT_FOUND: no way to a root. EXPIRED: some certificate of the chain is, or not yet valid.
 * BAD_SIGNATURE. FORBIDDEN: usage, CA flag or path length. MALFORMED: the rest. */
rdg_err_t rdg_cert_verify(const rdg_cert_t *leaf, rdg_cert_use_t use, const rdg_cert_t *const *others,
                          size_t other_count, const rdg_cert_t *const *roots, size_t root_count,
                          int64_t now_s);
/* The same for a CA: FORBIDDEN also when it may not issue (rdg_cert_may_issue). A root verifies by itself. */
rdg_err_t rdg_cert_verify_ca(const rdg_cert_t *ca, const rdg_cert_t *const *others, size_t other_count,
                             const rdg_cert_t *const *roots, size_t root_count, int64_t now_s);

#ifdef __cplusplus
}
#endif
#endif
