/* What nodes ask of the certificates of their links, and how they take new ones. */
#include "cluster.h"
#include "ridge/base/file.h"
#include "ridge/test.h"
#include <stdio.h>

static void put(cluster_t *c, size_t i, const char *name, rdg_bytes_t content) {
    char path[600];
    CHECK_OK(rdg_path_join(path, sizeof path, c->dirs[i], name));
    CHECK_OK(rdg_file_replace(path, content, 0600));
}

static rdg_cert_t *sign_cert_of(cluster_t *c, size_t i) {
    char path[600];
    rdg_buf_t pem;
    rdg_cert_t *cert = NULL;
    size_t count = 0;
    CHECK_OK(rdg_path_join(path, sizeof path, c->dirs[i], "node-sign.crt"));
    rdg_buf_init(&pem, 1u << 16);
    CHECK_OK(rdg_file_read(path, &pem));
    CHECK_OK(rdg_cert_parse_pem(rdg_buf_view(&pem), &cert, 1, &count));
    rdg_buf_fini(&pem);
    return cert;
}

TEST(a_node_without_certificates_does_not_start_and_says_where_they_come_from) {
    cluster_t c;
    char path[600];
    cluster_init(&c, 1);
    CHECK_OK(rdg_path_join(path, sizeof path, c.dirs[0], "node-sign.crt"));
    CHECK_OK(rdg_tree_remove(path, NULL));
    cluster_start(&c, 0);
    CHECK_EQ(cluster_exit(&c, 0), 100 + RDG_E_NOT_FOUND);
    cluster_log_has(&c, 0, "the cloud issues them");
    cluster_fini(&c);
}

TEST(a_node_whose_certificate_is_of_another_key_does_not_start) {
    cluster_t c;
    cluster_init(&c, 2);
    rdg_buf_t pem;
    rdg_cert_t *other = sign_cert_of(&c, 1);
    rdg_buf_init(&pem, 1u << 16);
    CHECK_OK(rdg_cert_to_pem(other, &pem));
    put(&c, 0, "node-sign.crt", rdg_buf_view(&pem));
    cluster_start(&c, 0);
    CHECK_EQ(cluster_exit(&c, 0), 100 + RDG_E_CONFLICT);
    rdg_buf_fini(&pem);
    rdg_cert_free(other);
    cluster_fini(&c);
}

TEST(a_revocation_list_and_renewed_certificates_are_taken_while_nodes_run) {
    cluster_t c;
    rdg_buf_t pem;
    cluster_init(&c, 4);
    cluster_start_all(&c);
    for (size_t i = 0; i < 4; ++i) cluster_wait_links(&c, i, 3);
    const rdg_cert_t *revoked = sign_cert_of(&c, 3);
    rdg_crl_t *list = rdg_test_ca_crl(&c.ca, 7, &revoked, 1);
    rdg_buf_init(&pem, RDG_CRL_PEM_MAX);
    CHECK_OK(rdg_crl_to_pem(list, &pem));
    for (size_t i = 0; i < 3; ++i) put(&c, i, "ca.crl", rdg_buf_view(&pem));
    for (size_t i = 0; i < 3; ++i) cluster_wait_links(&c, i, 2);
    cluster_wait_links(&c, 3, 0);
    /* Three of four go on. */
    char code[32];
    rdg_tx_t *tx = cluster_tx(&c);
    cluster_send(&c, 0, tx->raw, code);
    CHECK_STR(code, "");
    json_decref(cluster_receipt(&c, 1, &tx->id));
    /* A damaged list changes nothing. */
    put(&c, 0, "ca.crl", rdg_bytes_str("nonsense"));
    cluster_wait_log(&c, 0, "node.credentials_refused");
    cluster_wait_links(&c, 0, 2);
    put(&c, 0, "ca.crl", rdg_buf_view(&pem));
    /* The fourth gets a new certificate for the same key, and is a peer again. */
    rdg_test_ca_write(&c.ca, c.dirs[3], "node", c.genesis.validator_names[3]);
    for (size_t i = 0; i < 4; ++i) cluster_wait_links(&c, i, 3);
    cluster_wait_log(&c, 3, "node.credentials_renewed");
    cluster_check_agreement(&c, 1);
    rdg_tx_unref(tx);
    rdg_buf_fini(&pem);
    rdg_crl_free(list);
    rdg_cert_free((rdg_cert_t *)(uintptr_t)revoked);
    cluster_fini(&c);
}
