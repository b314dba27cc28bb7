/* 256-bit words as numbers: the few operations that balances need. */
#ifndef RIDGE_LEDGER_WORD_H
#define RIDGE_LEDGER_WORD_H
#include "ridge/evm/evm.h"

bool word_is_zero(const rdg_word_t *w);
bool word_add(rdg_word_t *sum, const rdg_word_t *a, const rdg_word_t *b);  /* false: overflow */
bool word_sub(rdg_word_t *diff, const rdg_word_t *a, const rdg_word_t *b); /* false: b > a */
rdg_word_t word_from_u64(uint64_t v);
rdg_bytes_t word_trimmed(const rdg_word_t *w); /* without leading zeros; borrowed from w */
bool word_from_decimal(const char *text, rdg_word_t *out);
void word_to_decimal(const rdg_word_t *w, char out[80]);

#endif
