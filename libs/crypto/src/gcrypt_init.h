/* libgcrypt wants to be initialised once before any use. Every file that calls it calls this first. */
#ifndef RIDGE_CRYPTO_GCRYPT_INIT_H
#define RIDGE_CRYPTO_GCRYPT_INIT_H

void rdg_gcrypt_init(void); /* thread-safe, cheap after the first time */

#endif
