/* Bytes that several packets, jobs and disks share; counted, immutable once made. */
#ifndef SIM_BLOB_H
#define SIM_BLOB_H
#include "ridge/base/bytes.h"

typedef struct blob {
    uint32_t refs;
    size_t len;
    uint8_t data[];
} blob_t;

blob_t *blob_new(rdg_bytes_t bytes); /* returns owned; never NULL: the simulator stops without memory */
blob_t *blob_ref(blob_t *b);         /* NULL gives NULL */
void blob_unref(blob_t *b);          /* NULL is fine */
static inline rdg_bytes_t blob_view(const blob_t *b) {
    return b ? rdg_bytes(b->data, b->len) : rdg_bytes((void *)0, 0);
}

#endif
