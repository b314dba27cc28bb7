#include "blob.h"
#include "ridge/base/alloc.h"
#include "ridge/base/assert.h"
#include <string.h>

blob_t *blob_new(rdg_bytes_t bytes) {
    blob_t *b = rdg_alloc(sizeof *b + bytes.len);
    RDG_ASSERT(b != NULL);
    b->refs = 1;
    b->len = bytes.len;
    if (bytes.len > 0) memcpy(b->data, bytes.data, bytes.len);
    return b;
}

blob_t *blob_ref(blob_t *b) {
    if (b) ++b->refs;
    return b;
}

void blob_unref(blob_t *b) {
    if (b && --b->refs == 0) rdg_free(b);
}
