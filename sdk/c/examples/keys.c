/* Makes a key, or opens one, and says whose it is.
 *
 *   RIDGE_PASSPHRASE='correct horse' ./keys mine.key */
#include <ridge/key.h>
#include "example.h"

int main(int argc, char **argv) {
    ridge_key_t *key = NULL;
    char address[RIDGE_ADDRESS_TEXT];
    const char *passphrase = getenv("RIDGE_PASSPHRASE");
    usage(argc == 2 && passphrase, "RIDGE_PASSPHRASE=… ./keys FILE");

    ridge_status_t status = ridge_key_load(argv[1], passphrase, &key);
    bool is_new = status == RIDGE_NOT_FOUND;
    if (is_new) {
        must(ridge_key_new(&key), "a new key");
        must(ridge_key_save(key, argv[1], passphrase), argv[1]); /* sealed by SM4-GCM, mode 0600 */
    } else {
        must(status, argv[1]);
    }
    must(ridge_key_address(key, address), "address");
    printf("%s %s\n", address, is_new ? "new" : "opened");
    ridge_key_free(key);
    return 0;
}
