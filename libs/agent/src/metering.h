/* Calls of contracts/Metering.sol, encoded (Contract ABI Specification). */
#ifndef RIDGE_AGENT_METERING_H
#define RIDGE_AGENT_METERING_H
#include "reading.h"

#define METERING_BATCH_MAX 64
#define METERING_CALL_MAX (4u + 32u * (5u + 2u * METERING_BATCH_MAX))

uint64_t metering_register_gas(void);
uint64_t metering_submit_gas(size_t count);
/* registerMeter(meter, INT64_MIN, INT64_MAX): limits are the operator's to set. Appended to out. */
rdg_err_t metering_register(const uint8_t meter[METER_BYTES], rdg_buf_t *out);
/* submit(meter, times, values); count <= METERING_BATCH_MAX. */
rdg_err_t metering_submit(const uint8_t meter[METER_BYTES], const uint64_t *times, const int64_t *values,
                          size_t count, rdg_buf_t *out);
/* What the contract said when it reverted, as a sentence; appended to out. */
rdg_err_t metering_revert_reason(rdg_bytes_t revert_data, rdg_buf_t *out);

#endif
