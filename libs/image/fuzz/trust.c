#include "ridge/base/alloc.h"
#include "ridge/base/assert.h"
#include "ridge/image/trust.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Whatever the text: what is taken as a list has patterns that are ones, within its limits. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    rdg_image_trust_t *t = NULL;
    if (rdg_image_trust_parse(rdg_bytes(data, len), &t) != RDG_OK) return 0;
    RDG_ASSERT(t->signer_count <= RDG_IMAGE_SIGNERS_MAX);
    RDG_ASSERT(rdg_image_patterns_check(t->unsigned_ok) == RDG_OK);
    (void)rdg_image_patterns_fit(t->unsigned_ok, "cloud.ridge/ridge-node");
    for (size_t i = 0; i < t->signer_count; ++i)
        RDG_ASSERT(rdg_image_patterns_check(t->signers[i].repositories) == RDG_OK);
    rdg_free(t);
    return 0;
}
