/* Reference counts for immutable shared objects (blocks, transactions, certificates) only.
 * Thread-safe. The object embeds the count; whoever drops it to zero frees the object. */
#ifndef RIDGE_BASE_REF_H
#define RIDGE_BASE_REF_H
#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rdg_ref {
    uint32_t count; /* accessed with __atomic builtins only */
} rdg_ref_t;

void rdg_ref_init(rdg_ref_t *r); /* one reference */
void rdg_ref_get(rdg_ref_t *r);  /* asserts that the object is alive */
bool rdg_ref_put(rdg_ref_t *r);  /* true: that was the last, free the object now */

#ifdef __cplusplus
}
#endif
#endif
