#include "gcrypt_init.h"

#include <gcrypt.h>
#include <pthread.h>
#include "ridge/base/assert.h"

static void init_once(void) {
    /* Somebody else in the process (a linked library) may have done it. */
    if (gcry_control(GCRYCTL_INITIALIZATION_FINISHED_P)) return;
    /* 1.9 brought SM3 through gcry_md_hash_buffers and SM4. */
    RDG_ASSERT(gcry_check_version("1.9.0") != NULL);
    /* Private keys stay in libcrypto, so no locked pages are needed here. */
    gcry_control(GCRYCTL_DISABLE_SECMEM, 0);
    gcry_control(GCRYCTL_INITIALIZATION_FINISHED, 0);
}

void rdg_gcrypt_init(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, init_once);
}
