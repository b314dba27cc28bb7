/* Any header a peer sends is refused or gives a context that is formatted as the same text. */
#include <stdlib.h>
#include <string.h>
#include "ridge/base/assert.h"
#include "ridge/base/trace.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char in[80], out[RDG_TRACEPARENT_LEN + 1];
    if (size >= sizeof in) return 0;
    if (size > 0) memcpy(in, data, size);
    in[size] = 0;
    rdg_trace_t t;
    if (rdg_trace_parse(in, &t) != RDG_OK) return 0;
    rdg_trace_format(&t, out);
    /* The version is ours, and a later version's further fields are dropped. */
    RDG_ASSERT(memcmp(out + 2, in + 2, RDG_TRACEPARENT_LEN - 2) == 0);
    return 0;
}
