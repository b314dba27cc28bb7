/* What the format of key files and their handling share. */
#ifndef RIDGE_CRYPTO_SRC_KEYFILE_H
#define RIDGE_CRYPTO_SRC_KEYFILE_H
#include "ridge/crypto/keyfile.h"

bool rdg_keyfile_credential_name_ok(const char *name);

#endif
