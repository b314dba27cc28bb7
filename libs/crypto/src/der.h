/* DER of key structures: strict reading (definite lengths in their shortest form, up to 65,535 bytes) and
 * writing into fixed memory, because what is written here is often secret. */
#ifndef RIDGE_CRYPTO_SRC_DER_H
#define RIDGE_CRYPTO_SRC_DER_H
#include "ridge/base/bytes.h"

enum {
    RDG_DER_INTEGER = 0x02,
    RDG_DER_BITS = 0x03,
    RDG_DER_OCTETS = 0x04,
    RDG_DER_NULL = 0x05,
    RDG_DER_OID = 0x06,
    RDG_DER_SEQUENCE = 0x30,
    RDG_DER_CONTEXT_0 = 0xa0,
    RDG_DER_CONTEXT_1 = 0xa1,
};

/* Each is false, with the reader somewhere inside, for anything but what it names. */
bool rdg_der_content(rdg_reader_t *r, uint8_t tag, rdg_bytes_t *out);
bool rdg_der_enter(rdg_reader_t *r, uint8_t tag, rdg_reader_t *inner);
bool rdg_der_u32(rdg_reader_t *r, uint32_t *out);     /* INTEGER in [0, 2^32 - 1] */
bool rdg_der_bits(rdg_reader_t *r, rdg_bytes_t *out); /* BIT STRING of whole bytes */
uint8_t rdg_der_peek(const rdg_reader_t *r);          /* the next tag, 0 at the end */

/* put: one element. open … close: a constructed one; open gives where its content starts, close moves the
 * content to make room for the header. */
void rdg_der_put(rdg_writer_t *w, uint8_t tag, rdg_bytes_t content);
void rdg_der_put_u32(rdg_writer_t *w, uint32_t v);
void rdg_der_put_u256(rdg_writer_t *w, const uint8_t v[32]); /* INTEGER */
void rdg_der_put_bits(rdg_writer_t *w, rdg_bytes_t bits);
size_t rdg_der_open(const rdg_writer_t *w);
void rdg_der_close(rdg_writer_t *w, size_t start, uint8_t tag);

#endif
