#include "manifest.h"
#include "ridge/base/assert.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Whatever the text: what is taken as a manifest has digests that can be file names, and a type that is known. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    static manifest_t m;
    if (manifest_parse(rdg_bytes(data, len), len % 3 == 0 ? MANIFEST_OCI : NULL, &m) != RDG_OK) return 0;
    for (size_t i = 0; i < m.part_count; ++i) RDG_ASSERT(target_digest_valid(m.parts[i]));
    if (m.subject) RDG_ASSERT(target_digest_valid(m.subject));
    RDG_ASSERT(strstr(m.media_type, "manifest") || strstr(m.media_type, "index"));
    manifest_fini(&m);
    return 0;
}
