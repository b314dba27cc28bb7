/* CRC-32C (Castagnoli), as in RFC 3720 appendix B.4. */
#ifndef RIDGE_LEDGER_CRC32C_H
#define RIDGE_LEDGER_CRC32C_H
#include "ridge/base/bytes.h"

uint32_t crc32c(uint32_t crc, rdg_bytes_t data); /* start with 0; feed the result to go on */
/* The same without the processor's instruction for it. */
uint32_t crc32c_portable(uint32_t crc, rdg_bytes_t data);

#endif
