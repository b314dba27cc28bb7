/* A sealed key file that opens is the only text of its content; what inspecting refuses does not open. Files
 * under scrypt are inspected only: their cost is the point, and none opens by chance. */
#include <stdlib.h>
#include <string.h>

#include "ridge/base/alloc.h"
#include "ridge/crypto/keyfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char credential[] = "0123456789abcdef0123456789abcdef";
    rdg_keyfile_info_t info;
    rdg_sm2_key_t *key = NULL;
    rdg_sm2_public_t pub;
    rdg_bytes_t text = rdg_bytes(data, size);
    rdg_err_t seen = rdg_keyfile_inspect(text, &info);
    if (seen == RDG_OK && (info.kind == RDG_KEYFILE_PASSPHRASE || info.kind == RDG_KEYFILE_PKCS8)) {
        if (rdg_keyfile_open(text, rdg_bytes(NULL, 0), &key) == RDG_OK) abort();
        return 0;
    }
    rdg_err_t err = rdg_keyfile_open(text, rdg_bytes(credential, sizeof credential - 1), &key);
    if ((err == RDG_OK) != (key != NULL) || (seen != RDG_OK && err == RDG_OK)) abort();
    if (!key) return 0;
    rdg_sm2_key_public(key, &pub);
    if (memcmp(pub.b, info.public_key.b, sizeof pub.b) != 0) abort();
    rdg_sm2_key_free(key);
    return 0;
}
