#include "ridge/base/ref.h"
#include "ridge/base/assert.h"

void rdg_ref_init(rdg_ref_t *r) {
    __atomic_store_n(&r->count, 1, __ATOMIC_RELAXED);
}

void rdg_ref_get(rdg_ref_t *r) {
    uint32_t before = __atomic_fetch_add(&r->count, 1, __ATOMIC_RELAXED);
    RDG_ASSERT(before > 0 && before < UINT32_MAX / 2);
}

bool rdg_ref_put(rdg_ref_t *r) {
    uint32_t before = __atomic_fetch_sub(&r->count, 1, __ATOMIC_ACQ_REL);
    RDG_ASSERT(before > 0);
    return before == 1;
}
