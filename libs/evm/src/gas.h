/* Gas of the parts of an operation that the opcode table cannot state: Shanghai and Cancun are alike here. */
#ifndef RIDGE_EVM_GAS_H
#define RIDGE_EVM_GAS_H

#define GAS_TX 21000
#define GAS_TX_DATA_ZERO 4
#define GAS_TX_DATA_NONZERO 16 /* EIP-2028 */
#define GAS_TX_CREATE 32000
#define GAS_INITCODE_WORD 2 /* EIP-3860 */
#define GAS_CODE_DEPOSIT_BYTE 200

#define GAS_MEMORY_WORD 3
#define GAS_MEMORY_QUADRATIC 512
#define GAS_COPY_WORD 3
#define GAS_KECCAK_WORD 6
#define GAS_EXP_BYTE 50
#define GAS_LOG_TOPIC 375
#define GAS_LOG_BYTE 8

#define GAS_COLD_ACCOUNT 2600 /* EIP-2929 */
#define GAS_COLD_STORAGE 2100
#define GAS_WARM 100

#define GAS_SSTORE_SENTRY 2300 /* EIP-2200 */
#define GAS_SSTORE_SET 20000
#define GAS_SSTORE_RESET 2900     /* 5,000 less the cold access that EIP-2929 states apart */
#define REFUND_SSTORE_CLEAR 4800  /* EIP-3529 */
#define REFUND_SSTORE_UNSET 19900 /* a slot set in this transaction is back at zero */
#define REFUND_SSTORE_UNDO 2800   /* a slot changed in this transaction is back at its value */

#define GAS_CALL_VALUE 9000
#define GAS_CALL_STIPEND 2300
#define GAS_NEW_ACCOUNT 25000

#endif
