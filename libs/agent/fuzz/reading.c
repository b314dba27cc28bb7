/* Readings from local programs: what is taken has a time, a name that ends within its 32 bytes, and a place. */
#include <stdlib.h>
#include <string.h>
#include "reading.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static reading_t readings[READINGS_MAX];
    static size_t index_of[READINGS_MAX];
    static reading_fault_t faults[READINGS_MAX];
    size_t count, fault_count;
    if (readings_parse(rdg_bytes(data, size), "d1", readings, index_of, &count, faults, &fault_count) !=
        RDG_OK)
        return 0;
    if (count + fault_count > READINGS_MAX) abort();
    for (size_t i = 0; i < count; ++i) {
        if (readings[i].time == 0 || readings[i].meter[METER_BYTES - 1] != 0 || readings[i].meter[0] == 0)
            abort();
        if (index_of[i] >= READINGS_MAX || (i > 0 && index_of[i] <= index_of[i - 1])) abort();
    }
    return 0;
}
