/* A list that is read keeps its bytes, is bounded, comes back from PEM the same, and is trusted by nobody
 * without its issuer. */
#include <stdlib.h>

#include "ridge/crypto/crl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    rdg_crl_t *crl = NULL, *back = NULL;
    if (rdg_crl_parse_pem(rdg_bytes(data, size), &crl) == RDG_OK) rdg_crl_free(crl);
    if (rdg_crl_parse(rdg_bytes(data, size), &crl) != RDG_OK) {
        if (crl) abort();
        return 0;
    }
    rdg_buf_t pem;
    rdg_buf_init(&pem, RDG_CRL_PEM_MAX);
    if (!rdg_bytes_equal(rdg_crl_der(crl), rdg_bytes(data, size))) abort();
    if (rdg_crl_count(crl) > RDG_CRL_ENTRIES_MAX || rdg_crl_number(crl) >= INT64_MAX) abort();
    if (rdg_crl_next_update_s(crl) < rdg_crl_this_update_s(crl)) abort();
    (void)rdg_crl_check_time(crl, 1800000000);
    if (rdg_crl_to_pem(crl, &pem) != RDG_OK || rdg_crl_parse_pem(rdg_buf_view(&pem), &back) != RDG_OK)
        abort();
    if (!rdg_bytes_equal(rdg_crl_der(back), rdg_crl_der(crl))) abort();
    rdg_buf_fini(&pem);
    rdg_crl_free(back);
    rdg_crl_free(crl);
    return 0;
}
