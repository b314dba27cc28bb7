/* The archive registry as solc gave it, in hexadecimal; written by the build from contracts/artifacts. */
#ifndef RIDGE_CLIENT_ANCHOR_CODE_H
#define RIDGE_CLIENT_ANCHOR_CODE_H

extern const char anchor_init_code[], anchor_code[];

#endif
