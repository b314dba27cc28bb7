#include "metering.h"
#include "ridge/codec/abi.h"
#include "ridge/crypto/hash.h"
#include <string.h>

static void put_selector(rdg_buf_t *out, const char *signature) {
    uint8_t digest[32];
    rdg_keccak256(signature, strlen(signature), digest);
    rdg_buf_append(out, digest, 4);
}

static void put_word(rdg_buf_t *out, uint64_t low, uint8_t fill) {
    uint8_t high[24];
    memset(high, fill, sizeof high);
    rdg_buf_append(out, high, sizeof high);
    rdg_buf_u64(out, low);
}

static void put_u64(rdg_buf_t *out, uint64_t v) {
    put_word(out, v, 0);
}

static void put_i64(rdg_buf_t *out, int64_t v) {
    put_word(out, (uint64_t)v, v < 0 ? 0xff : 0);
}

/* A reading writes one fresh slot (22,100) and costs some thousands around it; gas that is not used costs
 * nothing. */
uint64_t metering_register_gas(void) {
    return 400000;
}

uint64_t metering_submit_gas(size_t count) {
    return 300000 + 50000 * (uint64_t)count;
}

rdg_err_t metering_register(const uint8_t meter[METER_BYTES], rdg_buf_t *out) {
    put_selector(out, "registerMeter(bytes32,int64,int64)");
    rdg_buf_append(out, meter, METER_BYTES);
    put_i64(out, INT64_MIN);
    put_i64(out, INT64_MAX);
    return rdg_buf_err(out);
}

rdg_err_t metering_submit(const uint8_t meter[METER_BYTES], const uint64_t *times, const int64_t *values,
                          size_t count, rdg_buf_t *out) {
    put_selector(out, "submit(bytes32,uint64[],int64[])");
    rdg_buf_append(out, meter, METER_BYTES);
    put_u64(out, 3 * 32);
    put_u64(out, 3 * 32 + 32 + 32 * (uint64_t)count);
    put_u64(out, count);
    for (size_t i = 0; i < count; ++i) put_u64(out, times[i]);
    put_u64(out, count);
    for (size_t i = 0; i < count; ++i) put_i64(out, values[i]);
    return rdg_buf_err(out);
}

#define ERROR1(name, a, at)                                                                                  \
    "{\"type\":\"error\",\"name\":\"" name "\",\"inputs\":[{\"name\":\"" a "\",\"type\":\"" at "\"}"
#define INPUT(a, at) ",{\"name\":\"" a "\",\"type\":\"" at "\"}"

static const char errors_abi[] = "[" ERROR1("MeterOwned", "meter", "bytes32")
    INPUT("owner", "address") "]}," ERROR1("UnknownMeter", "meter",
                                           "bytes32") "]}," ERROR1("NotAuthorised", "meter", "bytes32")
        INPUT("sender", "address") "]}," ERROR1("NotNewer", "meter", "bytes32") INPUT("lastTime", "uint64")
            INPUT("time", "uint64") "]}]";

rdg_err_t metering_revert_reason(rdg_bytes_t revert_data, rdg_buf_t *out) {
    json_t *abi = NULL;
    RDG_TRY(rdg_json_parse(rdg_bytes_str(errors_abi), &abi));
    rdg_err_t err = rdg_abi_decode_revert(abi, revert_data, rdg_keccak256, out);
    json_decref(abi);
    return err;
}
