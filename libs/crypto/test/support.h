/* What the tests of this library share. */
#ifndef RIDGE_CRYPTO_TEST_SUPPORT_H
#define RIDGE_CRYPTO_TEST_SUPPORT_H
#include "ridge/crypto/sm2.h"

/* Returns the number of bytes. */
size_t test_unhex(const char *hex, uint8_t *out);
/* rdg_test_dir()/name; static, for up to 16 names in a test. */
const char *test_path(const char *name);
void test_write(const char *path, const void *data, size_t len, unsigned mode);
size_t test_read(const char *path, uint8_t *out, size_t max);
/* Runs the openssl command with these words, the last one NULL; its output goes to openssl.log in the test's
 * folder. Gives the exit status; skips the test where there is no openssl. */
int test_openssl(const char *const *words);
#define OPENSSL(...) test_openssl((const char *const[]){__VA_ARGS__, NULL})
/* A key of the seeded generator, so that a test repeats. */
rdg_sm2_key_t *test_key(void);
bool test_same_key(const rdg_sm2_key_t *a, const rdg_sm2_key_t *b);

#endif
