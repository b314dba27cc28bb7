#include "ridge/base/assert.h"
#include "ridge/image/signature.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Whatever the text: what is taken as a signature has fields without a line end, and comes back the same. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    rdg_image_signature_t s, back;
    rdg_buf_t text;
    if (rdg_image_signature_parse(rdg_bytes(data, len), &s) != RDG_OK) return 0;
    RDG_ASSERT(rdg_image_digest_valid(s.digest));
    RDG_ASSERT(!strpbrk(s.name, "\n\r ") && !strpbrk(s.tag, "\n\r "));
    rdg_buf_init(&text, RDG_IMAGE_SIGNATURE_MAX);
    RDG_ASSERT(rdg_image_signature_dump(&s, &text) == RDG_OK);
    RDG_ASSERT(rdg_image_signature_parse(rdg_buf_view(&text), &back) == RDG_OK);
    RDG_ASSERT(memcmp(&s, &back, sizeof s) == 0);
    rdg_buf_fini(&text);
    return 0;
}
