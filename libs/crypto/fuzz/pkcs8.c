/* A private key that is read survives being written and read again. Encrypted ones are opened with the
 * passphrase of the corpus when that is cheap; the rest is parsed up to the need of a passphrase. */
#include <stdlib.h>
#include <string.h>

#include "der.h"
#include "key_pem.h"
#include "pbes2.h"
#include "pkcs8.h"
#include "ridge/base/alloc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_cheap(rdg_bytes_t data) {
    static const char *const labels[] = {"ENCRYPTED PRIVATE KEY", NULL};
    rdg_reader_t outer, info;
    rdg_pbes2_t p;
    rdg_key_pem_t pem = {0};
    bool cheap = false;
    if (data.len && data.data[0] != RDG_DER_SEQUENCE && rdg_key_pem_find(data, labels, &pem) == RDG_OK)
        data = rdg_bytes(pem.der, pem.len);
    rdg_reader_init(&outer, data);
    if (rdg_der_enter(&outer, RDG_DER_SEQUENCE, &info) && rdg_pbes2_read(&info, &p) == RDG_OK)
        cheap = p.digest ? p.iterations <= 4096 : (uint64_t)p.n * p.r * p.p <= 8192;
    rdg_key_pem_clear(&pem);
    return cheap;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    rdg_bytes_t in = rdg_bytes(data, size);
    rdg_sm2_key_t *key = NULL, *back = NULL;
    rdg_sm2_public_t a, b;
    uint8_t der[RDG_PKCS8_DER_MAX];
    size_t len;
    rdg_err_t err = rdg_pkcs8_import(in, is_cheap(in) ? rdg_bytes_str("x") : rdg_bytes(NULL, 0), &key);
    if ((err == RDG_OK) != (key != NULL)) abort();
    if (rdg_pkcs8_import_public(in, &a) == RDG_OK && rdg_sm2_public_decode(rdg_bytes(a.b, 64), &b) != RDG_OK)
        abort();
    if (!key) return 0;
    if (rdg_pkcs8_write(key, der, &len) != RDG_OK || rdg_pkcs8_read(rdg_bytes(der, len), &back) != RDG_OK)
        abort();
    rdg_sm2_key_public(key, &a);
    rdg_sm2_key_public(back, &b);
    if (memcmp(a.b, b.b, sizeof a.b) != 0) abort();
    rdg_secure_zero(der, sizeof der);
    rdg_sm2_key_free(key);
    rdg_sm2_key_free(back);
    return 0;
}
