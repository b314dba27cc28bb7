#include "key_pem.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>
#include "sm2_key.h"

static bool is_wanted(const char *label, const char *const *labels) {
    while (*labels && strcmp(*labels, label) != 0) labels++;
    return *labels != NULL;
}

static rdg_err_t next(BIO *bio, const char *const *labels, rdg_key_pem_t *out, bool *found) {
    char *label = NULL, *header = NULL;
    long len = 0;
    rdg_err_t err = RDG_OK;
    *found = false;
    ERR_clear_error();
    if (PEM_read_bio(bio, &label, &header, &out->der, &len) != 1) {
        bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
        ERR_clear_error();
        return at_end ? rdg_fail(RDG_E_NOT_FOUND, "no PEM block '%s' in the text", labels[0])
                      : rdg_fail(RDG_E_MALFORMED, "the PEM cannot be read");
    }
    out->len = (size_t)len;
    *found = is_wanted(label, labels);
    if (*found && *header)
        err = rdg_fail(RDG_E_UNSUPPORTED,
                       "encrypted in PEM's old way; convert it with openssl pkcs8 -topk8 -v2 "
                       "aes-256-cbc");
    snprintf(out->label, sizeof out->label, "%s", label);
    OPENSSL_free(label);
    OPENSSL_free(header);
    if (!*found || err != RDG_OK) rdg_key_pem_clear(out);
    return err;
}

rdg_err_t rdg_key_pem_find(rdg_bytes_t text, const char *const *labels, rdg_key_pem_t *out) {
    memset(out, 0, sizeof *out);
    if (text.len > RDG_KEY_PEM_TEXT_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "a text of %zu bytes, at most %d", text.len, RDG_KEY_PEM_TEXT_MAX);
    BIO *bio = BIO_new_mem_buf(text.len ? (const void *)text.data : "", (int)text.len);
    if (!bio) return rdg_fail(RDG_E_NO_MEMORY, "PEM: out of memory");
    bool found = false;
    rdg_err_t err = RDG_OK;
    while (err == RDG_OK && !found) err = next(bio, labels, out, &found);
    BIO_free(bio);
    return err;
}

void rdg_key_pem_clear(rdg_key_pem_t *pem) {
    OPENSSL_clear_free(pem->der, pem->len);
    pem->der = NULL, pem->len = 0;
}

rdg_err_t rdg_key_pem_write(const char *label, rdg_bytes_t der, char *out, size_t size, size_t *len) {
    BIO *bio = BIO_new(BIO_s_secmem());
    char *text = NULL;
    *len = 0;
    if (!bio || PEM_write_bio(bio, label, "", der.data, (long)der.len) <= 0) {
        BIO_free(bio);
        return rdg_crypto_fail("writing PEM");
    }
    size_t got = (size_t)BIO_get_mem_data(bio, &text);
    if (got < size) {
        memcpy(out, text, got);
        out[got] = 0;
        *len = got;
    }
    BIO_free(bio); /* clears its memory */
    return *len ? RDG_OK : rdg_fail(RDG_E_TOO_LARGE, "PEM of %zu bytes, at most %zu", got, size - 1);
}
