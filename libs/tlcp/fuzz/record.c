/* No bytes are an authentic record of a key that the fuzzer does not have. The first byte picks the suite. */
#include <stdlib.h>
#include <string.h>

#include "protect.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const uint8_t block[RDG_TLCP_KEY_BLOCK] = {1, 2, 3};
    static uint8_t record[RDG_TLCP_HEAD_BYTES + RDG_TLCP_CIPHER_MAX];
    if (size < 1 + RDG_TLCP_HEAD_BYTES || size - 1 > sizeof record) return 0;
    rdg_tlcp_protect_t p;
    rdg_bytes_t content;
    memset(&p, 0, sizeof p);
    rdg_tlcp_suite_t suite = data[0] & 1 ? RDG_TLCP_ECC_SM4_CBC_SM3 : RDG_TLCP_ECC_SM4_GCM_SM3;
    if (rdg_tlcp_protect_init(&p, suite, true, block) != RDG_OK) abort();
    memcpy(record, data + 1, size - 1);
    if (rdg_tlcp_protect_open(&p, record, size - 1, &content) != RDG_E_BAD_SIGNATURE) abort();
    rdg_tlcp_protect_fini(&p);
    return 0;
}
