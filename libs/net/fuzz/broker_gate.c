#include "broker_gate.h"
#include "ridge/base/assert.h"
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* A user's file, whatever is in it, lets nobody in who does not know what it was made of. The first bytes, up to a NUL, are the
 * name and the password, too: both come from the network. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    char word[256];
    size_t n = len < sizeof word - 1 ? len : sizeof word - 1;
    memcpy(word, data, n);
    word[n] = '\0';
    bool valid = broker_gate_name_valid(word);
    RDG_ASSERT(!valid || (strlen(word) <= BROKER_GATE_NAME_MAX && !strchr(word, '/') && word[0] != '.'));
    RDG_ASSERT(broker_gate_match((const char *)data, len, "a password that nobody has chosen") !=
               BROKER_GATE_IN);
    RDG_ASSERT(broker_gate_match((const char *)data, len, word) != BROKER_GATE_IN);
    return 0;
}
