/* The opcode table: X(code, name, base gas, words taken, words given, first revision).
 *
 * Base gas is what the operation costs whatever its arguments; the access costs of EIP-2929 are wholly in the
 * operations. PUSH, DUP, SWAP and LOG stand in families of their own, X(number, ...). */
#ifndef RIDGE_EVM_OPCODES_H
#define RIDGE_EVM_OPCODES_H

#define EVM_OPCODES(X)                                                                                       \
    X(0x00, STOP, 0, 0, 0, SHANGHAI)                                                                         \
    X(0x01, ADD, 3, 2, 1, SHANGHAI)                                                                          \
    X(0x02, MUL, 5, 2, 1, SHANGHAI)                                                                          \
    X(0x03, SUB, 3, 2, 1, SHANGHAI)                                                                          \
    X(0x04, DIV, 5, 2, 1, SHANGHAI)                                                                          \
    X(0x05, SDIV, 5, 2, 1, SHANGHAI)                                                                         \
    X(0x06, MOD, 5, 2, 1, SHANGHAI)                                                                          \
    X(0x07, SMOD, 5, 2, 1, SHANGHAI)                                                                         \
    X(0x08, ADDMOD, 8, 3, 1, SHANGHAI)                                                                       \
    X(0x09, MULMOD, 8, 3, 1, SHANGHAI)                                                                       \
    X(0x0a, EXP, 10, 2, 1, SHANGHAI)                                                                         \
    X(0x0b, SIGNEXTEND, 5, 2, 1, SHANGHAI)                                                                   \
    X(0x10, LT, 3, 2, 1, SHANGHAI)                                                                           \
    X(0x11, GT, 3, 2, 1, SHANGHAI)                                                                           \
    X(0x12, SLT, 3, 2, 1, SHANGHAI)                                                                          \
    X(0x13, SGT, 3, 2, 1, SHANGHAI)                                                                          \
    X(0x14, EQ, 3, 2, 1, SHANGHAI)                                                                           \
    X(0x15, ISZERO, 3, 1, 1, SHANGHAI)                                                                       \
    X(0x16, AND, 3, 2, 1, SHANGHAI)                                                                          \
    X(0x17, OR, 3, 2, 1, SHANGHAI)                                                                           \
    X(0x18, XOR, 3, 2, 1, SHANGHAI)                                                                          \
    X(0x19, NOT, 3, 1, 1, SHANGHAI)                                                                          \
    X(0x1a, BYTE, 3, 2, 1, SHANGHAI)                                                                         \
    X(0x1b, SHL, 3, 2, 1, SHANGHAI)                                                                          \
    X(0x1c, SHR, 3, 2, 1, SHANGHAI)                                                                          \
    X(0x1d, SAR, 3, 2, 1, SHANGHAI)                                                                          \
    X(0x20, KECCAK256, 30, 2, 1, SHANGHAI)                                                                   \
    X(0x30, ADDRESS, 2, 0, 1, SHANGHAI)                                                                      \
    X(0x31, BALANCE, 0, 1, 1, SHANGHAI)                                                                      \
    X(0x32, ORIGIN, 2, 0, 1, SHANGHAI)                                                                       \
    X(0x33, CALLER, 2, 0, 1, SHANGHAI)                                                                       \
    X(0x34, CALLVALUE, 2, 0, 1, SHANGHAI)                                                                    \
    X(0x35, CALLDATALOAD, 3, 1, 1, SHANGHAI)                                                                 \
    X(0x36, CALLDATASIZE, 2, 0, 1, SHANGHAI)                                                                 \
    X(0x37, CALLDATACOPY, 3, 3, 0, SHANGHAI)                                                                 \
    X(0x38, CODESIZE, 2, 0, 1, SHANGHAI)                                                                     \
    X(0x39, CODECOPY, 3, 3, 0, SHANGHAI)                                                                     \
    X(0x3a, GASPRICE, 2, 0, 1, SHANGHAI)                                                                     \
    X(0x3b, EXTCODESIZE, 0, 1, 1, SHANGHAI)                                                                  \
    X(0x3c, EXTCODECOPY, 0, 4, 0, SHANGHAI)                                                                  \
    X(0x3d, RETURNDATASIZE, 2, 0, 1, SHANGHAI)                                                               \
    X(0x3e, RETURNDATACOPY, 3, 3, 0, SHANGHAI)                                                               \
    X(0x3f, EXTCODEHASH, 0, 1, 1, SHANGHAI)                                                                  \
    X(0x40, BLOCKHASH, 20, 1, 1, SHANGHAI)                                                                   \
    X(0x41, COINBASE, 2, 0, 1, SHANGHAI)                                                                     \
    X(0x42, TIMESTAMP, 2, 0, 1, SHANGHAI)                                                                    \
    X(0x43, NUMBER, 2, 0, 1, SHANGHAI)                                                                       \
    X(0x44, PREVRANDAO, 2, 0, 1, SHANGHAI)                                                                   \
    X(0x45, GASLIMIT, 2, 0, 1, SHANGHAI)                                                                     \
    X(0x46, CHAINID, 2, 0, 1, SHANGHAI)                                                                      \
    X(0x47, SELFBALANCE, 5, 0, 1, SHANGHAI)                                                                  \
    X(0x48, BASEFEE, 2, 0, 1, SHANGHAI)                                                                      \
    X(0x49, BLOBHASH, 3, 1, 1, CANCUN)                                                                       \
    X(0x4a, BLOBBASEFEE, 2, 0, 1, CANCUN)                                                                    \
    X(0x50, POP, 2, 1, 0, SHANGHAI)                                                                          \
    X(0x51, MLOAD, 3, 1, 1, SHANGHAI)                                                                        \
    X(0x52, MSTORE, 3, 2, 0, SHANGHAI)                                                                       \
    X(0x53, MSTORE8, 3, 2, 0, SHANGHAI)                                                                      \
    X(0x54, SLOAD, 0, 1, 1, SHANGHAI)                                                                        \
    X(0x55, SSTORE, 0, 2, 0, SHANGHAI)                                                                       \
    X(0x56, JUMP, 8, 1, 0, SHANGHAI)                                                                         \
    X(0x57, JUMPI, 10, 2, 0, SHANGHAI)                                                                       \
    X(0x58, PC, 2, 0, 1, SHANGHAI)                                                                           \
    X(0x59, MSIZE, 2, 0, 1, SHANGHAI)                                                                        \
    X(0x5a, GAS, 2, 0, 1, SHANGHAI)                                                                          \
    X(0x5b, JUMPDEST, 1, 0, 0, SHANGHAI)                                                                     \
    X(0x5c, TLOAD, 100, 1, 1, CANCUN)                                                                        \
    X(0x5d, TSTORE, 100, 2, 0, CANCUN)                                                                       \
    X(0x5e, MCOPY, 3, 3, 0, CANCUN)                                                                          \
    X(0x5f, PUSH0, 2, 0, 1, SHANGHAI)                                                                        \
    X(0xf0, CREATE, 32000, 3, 1, SHANGHAI)                                                                   \
    X(0xf1, CALL, 0, 7, 1, SHANGHAI)                                                                         \
    X(0xf2, CALLCODE, 0, 7, 1, SHANGHAI)                                                                     \
    X(0xf3, RETURN, 0, 2, 0, SHANGHAI)                                                                       \
    X(0xf4, DELEGATECALL, 0, 6, 1, SHANGHAI)                                                                 \
    X(0xf5, CREATE2, 32000, 4, 1, SHANGHAI)                                                                  \
    X(0xfa, STATICCALL, 0, 6, 1, SHANGHAI)                                                                   \
    X(0xfd, REVERT, 0, 2, 0, SHANGHAI)                                                                       \
    X(0xff, SELFDESTRUCT, 5000, 1, 0, SHANGHAI)

#define EVM_NUMBERS_1_TO_16(X)                                                                               \
    X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15) X(16)
#define EVM_NUMBERS_1_TO_32(X)                                                                               \
    EVM_NUMBERS_1_TO_16(X)                                                                                   \
    X(17) X(18) X(19) X(20) X(21) X(22) X(23) X(24) X(25) X(26) X(27) X(28) X(29) X(30) X(31) X(32)
#define EVM_NUMBERS_0_TO_4(X) X(0) X(1) X(2) X(3) X(4)

#define EVM_PUSH1 0x60
#define EVM_PUSH32 0x7f
#define EVM_JUMP 0x56
#define EVM_JUMPI 0x57
#define EVM_JUMPDEST 0x5b

#endif
