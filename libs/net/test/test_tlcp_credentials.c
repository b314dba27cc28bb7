/* Credentials of a directory as the identity of a link: what it shows, and whom it refuses. */
#include <limits.h>
#include <stdio.h>
#include "ridge/base/file.h"
#include "ridge/net/tlcp_credentials.h"
#include "ridge/test.h"
#include "ridge/test_ca.h"

#define NOW 1800000000

TEST(an_identity_of_a_directory_refuses_who_is_revoked) {
    rdg_test_ca_t ca;
    rdg_tlcp_identity_t *identity = NULL;
    char path[PATH_MAX];
    rdg_buf_t pem;
    rdg_test_ca_init(&ca, NOW);
    CHECK_ERR(rdg_tlcp_identity_load(rdg_test_dir(), "node", &identity), RDG_E_NOT_FOUND);
    rdg_test_ca_write(&ca, rdg_test_dir(), "node", "dev-1.main");
    rdg_credentials_t *good = rdg_test_ca_credentials(&ca, "good", NULL);
    rdg_credentials_t *bad = rdg_test_ca_credentials(&ca, "bad", NULL);
    rdg_credentials_t *half = rdg_test_ca_credentials(&ca, "half", NULL);
    const rdg_cert_t *revoked[] = {bad->sign_cert, half->enc_cert};
    rdg_crl_t *crl = rdg_test_ca_crl(&ca, 1, revoked, 2);
    rdg_buf_init(&pem, RDG_CRL_PEM_MAX);
    CHECK_OK(rdg_crl_to_pem(crl, &pem));
    CHECK_OK(rdg_path_join(path, sizeof path, rdg_test_dir(), "ca.crl"));
    CHECK_OK(rdg_file_replace(path, rdg_buf_view(&pem), 0644));
    CHECK_OK(rdg_tlcp_identity_load(rdg_test_dir(), "node", &identity));
    const rdg_tlcp_config_t *config = rdg_tlcp_identity_config(identity);
    CHECK(rdg_cert_has_name(config->sign_cert, "dev-1.main"));
    CHECK_EQ(config->chain_count, 1);
    CHECK_EQ(config->root_count, 1);
    CHECK_OK(config->accept_peer(config->accept_ctx, good->sign_cert, good->enc_cert));
    CHECK_OK(config->accept_peer(config->accept_ctx, good->sign_cert, NULL));
    CHECK_ERR(config->accept_peer(config->accept_ctx, bad->sign_cert, bad->enc_cert), RDG_E_FORBIDDEN);
    CHECK_ERR(config->accept_peer(config->accept_ctx, half->sign_cert, half->enc_cert), RDG_E_FORBIDDEN);
    rdg_tlcp_identity_unref(identity);
    rdg_buf_fini(&pem);
    rdg_crl_free(crl);
    rdg_credentials_free(good), rdg_credentials_free(bad), rdg_credentials_free(half);
    rdg_test_ca_fini(&ca);
}
