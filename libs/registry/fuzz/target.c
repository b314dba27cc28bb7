#include "target.h"
#include "ridge/base/assert.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Whatever the path: what is called valid holds nothing that a file system could take for a way out. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    target_t t;
    uint64_t first, length, size = len * 1000, from, to;
    char *text = malloc(len + 1);
    if (!text) return 0;
    if (len > 0) memcpy(text, data, len);
    text[len] = '\0';
    target_parse(text, &t);
    if (t.name_ok) RDG_ASSERT(t.kind != TARGET_NONE && target_name_valid(t.name));
    if (target_chunk(text, &from, &to)) RDG_ASSERT(from <= to);
    if (t.reference_ok) RDG_ASSERT(!strchr(t.reference, '/') && t.reference[0] != '.');
    if (t.name_ok) RDG_ASSERT(!strstr(t.name, "..") && t.name[0] != '/');
    if (target_range(text, size, &first, &length) == RANGE_PART)
        RDG_ASSERT(length > 0 && first < size && length <= size - first);
    free(text);
    return 0;
}
