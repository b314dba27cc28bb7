/* A certificate authority in memory for tests: root, issuing CA, and double certificates under it.
 *
 *   rdg_test_ca_t ca;
 *   rdg_test_ca_init(&ca, now_s);
 *   rdg_credentials_t *a = rdg_test_ca_credentials(&ca, "dev-1.main", NULL);   in memory
 *   rdg_test_ca_write(&ca, dir, "node", "dev-1.main");                       or as the files of a directory
 *   rdg_test_ca_fini(&ca);
 *
 * Certificates are valid from a day before now_s to a year after. What fails ends the test. */
#ifndef RIDGE_TEST_CA_H
#define RIDGE_TEST_CA_H
#include "ridge/crypto/cert_issue.h"
#include "ridge/crypto/credentials.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rdg_test_ca {
    int64_t now_s;
    rdg_sm2_key_t *root_key, *issuing_key;
    rdg_cert_t *root, *issuing;
} rdg_test_ca_t;

void rdg_test_ca_init(rdg_test_ca_t *ca, int64_t now_s);
void rdg_test_ca_fini(rdg_test_ca_t *ca);
/* use RDG_CERT_KIND_SIGN or RDG_CERT_KIND_ENCRYPT. Returns owned. */
rdg_cert_t *rdg_test_ca_issue(const rdg_test_ca_t *ca, rdg_cert_kind_t use, const char *name,
                              const rdg_sm2_public_t *key);
/* Takes sign_key; NULL: a new one. Returns owned. */
rdg_credentials_t *rdg_test_ca_credentials(const rdg_test_ca_t *ca, const char *name,
                                           rdg_sm2_key_t *sign_key);
/* The files of ridge/crypto/credentials.h in dir; <prefix>.key is made when it is not there. */
void rdg_test_ca_write(const rdg_test_ca_t *ca, const char *dir, const char *prefix, const char *name);
/* A list of the given certificates, valid for a week from now_s. Returns owned. */
rdg_crl_t *rdg_test_ca_crl(const rdg_test_ca_t *ca, uint64_t number, const rdg_cert_t *const *revoked,
                           size_t count);

#ifdef __cplusplus
}
#endif
#endif
