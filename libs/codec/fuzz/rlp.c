/* Whatever decodes must encode to the very same bytes: one encoding per value. */
#include <stdlib.h>

#include "ridge/codec/rlp.h"

#define DEPTH 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    rdg_rlp_t stack[DEPTH];
    size_t begin[DEPTH], depth = 0;
    rdg_buf_t out;
    rdg_buf_init(&out, size + 1);
    rdg_rlp_init(&stack[0], rdg_bytes(data, size));
    for (;;) {
        rdg_rlp_t *c = &stack[depth];
        if (!rdg_rlp_more(c)) {
            if (rdg_rlp_done(c) != RDG_OK || depth == 0) break;
            if (rdg_rlp_list_end(&out, begin[depth--]) != RDG_OK) abort();
        } else if (rdg_rlp_is_list(c) && depth + 1 < DEPTH) {
            if (rdg_rlp_list(c, &stack[depth + 1]) != RDG_OK) break;
            begin[++depth] = rdg_rlp_list_begin(&out);
        } else if (rdg_rlp_is_list(c)) {
            rdg_bytes_t raw = rdg_rlp_raw(c);
            if (raw.len) rdg_rlp_put_raw(&out, raw);
        } else {
            rdg_rlp_t again = *c;
            rdg_bytes_t v = rdg_rlp_bytes(c);
            if (c->err != RDG_OK) break;
            if (rdg_rlp_put_bytes(&out, v) != RDG_OK) abort();
            uint64_t n = rdg_rlp_u64(&again);
            if (again.err != RDG_OK && n != 0) abort();
        }
    }
    if (depth == 0 && rdg_rlp_done(&stack[0]) == RDG_OK &&
        !rdg_bytes_equal(rdg_buf_view(&out), rdg_bytes(data, size)))
        abort();
    rdg_buf_fini(&out);
    return 0;
}
