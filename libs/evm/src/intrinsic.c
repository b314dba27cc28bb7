/* Apart from the machine, so that programs which only make transactions do not contain it. */
#include "gas.h"
#include "ridge/evm/evm.h"

uint64_t rdg_evm_intrinsic_gas(bool is_create, rdg_bytes_t data) {
    uint64_t gas = GAS_TX;
    for (size_t i = 0; i < data.len; ++i) gas += data.data[i] ? GAS_TX_DATA_NONZERO : GAS_TX_DATA_ZERO;
    if (is_create) gas += GAS_TX_CREATE + GAS_INITCODE_WORD * ((data.len + 31) / 32);
    return gas;
}
