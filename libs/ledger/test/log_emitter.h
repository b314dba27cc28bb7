/* A contract that logs what it is told. */
#ifndef RIDGE_LEDGER_TEST_LOG_EMITTER_H
#define RIDGE_LEDGER_TEST_LOG_EMITTER_H
#include "support.h"

enum { EMITTER_CODE_BYTES = 138, EMIT_WORDS = 5 };
/* Input: for each log five words, the number of its topics (0 to 4) and these; its data is empty. */
void emitter_code(uint8_t out[EMITTER_CODE_BYTES]); /* init code */

#endif
