#include "ridge/net/http_client.h"
#include "ridge/base/file.h"
#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>

/* Nobody sits at a terminal who could be asked. */
static int no_password(char *out, int size, int writing, void *ctx) {
    (void)out, (void)size, (void)writing, (void)ctx;
    return -1;
}

rdg_err_t rdg_http_roots_check(rdg_bytes_t pem) {
    static const char key[] = "PRIVATE KEY-----";
    unsigned count = 0;
    if (pem.len > RDG_HTTP_ROOTS_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "certificates of CAs: %u KiB at most", RDG_HTTP_ROOTS_MAX >> 10);
    if (pem.len > 0 && memmem(pem.data, pem.len, key, sizeof key - 1))
        return rdg_fail(RDG_E_INVALID, "certificates of CAs: there is a private key among them, which nobody "
                                       "needs here: give the certificates alone");
    BIO *bio = BIO_new_mem_buf(pem.len > 0 ? (const void *)pem.data : "", (int)pem.len);
    if (!bio) return rdg_fail(RDG_E_NO_MEMORY, "no memory for certificates");
    for (X509 *cert; (cert = PEM_read_bio_X509(bio, NULL, no_password, NULL)); ++count) X509_free(cert);
    unsigned long why = ERR_peek_last_error();
    bool whole = ERR_GET_LIB(why) == ERR_LIB_PEM && ERR_GET_REASON(why) == PEM_R_NO_START_LINE;
    ERR_clear_error();
    BIO_free(bio);
    if (whole && count > 0) return RDG_OK;
    return whole ? rdg_fail(RDG_E_INVALID, "certificates of CAs: there is none in PEM form")
                 : rdg_fail(RDG_E_INVALID, "certificates of CAs: number %u is damaged", count + 1);
}

rdg_err_t rdg_http_roots_read(const char *path, rdg_buf_t *out) {
    rdg_err_t err = rdg_file_read(path, out);
    if (err == RDG_OK) err = rdg_http_roots_check(rdg_buf_view(out));
    return rdg_fail_in(err, "%s", path);
}
