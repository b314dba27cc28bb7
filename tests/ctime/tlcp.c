#include <stdlib.h>
#include <string.h>

#include "ctime.h"
#include "handshake.h"
#include "protect.h"
#include "ridge/base/alloc.h"
#include "ridge/crypto/sm2_cipher.h"

#define CONTENT 300

/* A record by one who has the keys, opened by one for whom keys and bytes are secret. change: the byte, counted
 * from the record's end, that differs; 0: none. */
static void open_record(rdg_tlcp_suite_t suite, size_t change) {
    static uint8_t record[2048];
    uint8_t block[RDG_TLCP_KEY_BLOCK];
    rdg_tlcp_protect_t tx = {0}, rx = {0};
    rdg_bytes_t content;
    size_t len;
    for (size_t i = 0; i < sizeof block; i++) block[i] = (uint8_t)i;
    MUST(rdg_tlcp_protect_init(&tx, suite, true, block) == RDG_OK);
    memset(record, 'x', sizeof record);
    MUST(rdg_tlcp_protect_seal(&tx, record, 23, CONTENT, rdg_random_system(), &len) == RDG_OK);
    if (change) record[len - change] ^= 0x55;
    RDG_SECRET(block, sizeof block);
    MUST(rdg_tlcp_protect_init(&rx, suite, true, block) == RDG_OK);
    RDG_SECRET(record + RDG_TLCP_HEAD_BYTES, len - RDG_TLCP_HEAD_BYTES);
    rdg_err_t want = change ? RDG_E_BAD_SIGNATURE : RDG_OK;
    MUST(rdg_tlcp_protect_open(&rx, record, len, &content) == want);
    MUST(content.len == (change ? 0 : CONTENT));
    rdg_tlcp_protect_fini(&tx);
    rdg_tlcp_protect_fini(&rx);
}

static void cbc(void) {
    open_record(RDG_TLCP_ECC_SM4_CBC_SM3, 0);
}

/* The last block's predecessor: changes the padding's bytes, its length among them. */
static void cbc_padding(void) {
    for (size_t i = 17; i <= 32; i++) open_record(RDG_TLCP_ECC_SM4_CBC_SM3, i);
}

static void cbc_mac(void) {
    open_record(RDG_TLCP_ECC_SM4_CBC_SM3, 64);
    open_record(RDG_TLCP_ECC_SM4_CBC_SM3, 200);
}

static void gcm(void) {
    open_record(RDG_TLCP_ECC_SM4_GCM_SM3, 0);
    open_record(RDG_TLCP_ECC_SM4_GCM_SM3, 1);
}

/* ClientKeyExchange of a server whose key is secret; what: the pre-master secret as the client made it. */
static void take_secret(const uint8_t *what, size_t len, size_t change) {
    static const uint8_t number[32] = {1, 2, 3, 4, 5, 6, 7, 8};
    static rdg_tlcp_config_t config;
    uint8_t scalar[32], body[2 + RDG_SM2_CIPHERTEXT_MAX];
    rdg_sm2_public_t pub;
    rdg_sm2_key_t *key;
    size_t sealed_len;
    rdg_tlcp_t *t = calloc(1, sizeof *t);
    handshake_t *h = calloc(1, sizeof *h);
    MUST(t && h);
    memcpy(scalar, number, sizeof scalar);
    RDG_SECRET(scalar, sizeof scalar);
    MUST(rdg_sm2_key_from_scalar(scalar, &key) == RDG_OK);
    rdg_sm2_key_public(key, &pub);
    MUST(rdg_sm2_encrypt(&pub, body + 2, &sealed_len, what, len) == RDG_OK);
    body[0] = (uint8_t)(sealed_len >> 8), body[1] = (uint8_t)sealed_len;
    if (change) body[2 + sealed_len - change] ^= 1;
    config.enc_key = key;
    t->config = &config;
    t->random = rdg_random_system();
    t->suite = RDG_TLCP_ECC_SM4_CBC_SM3;
    t->handshake = h;
    MUST(rdg_tlcp_client_key_take(t, rdg_bytes(body, 2 + sealed_len)) == RDG_OK);
    rdg_sm2_key_free(key);
    free(h);
    free(t);
}

static void pre_master(void) {
    static const uint8_t right[SECRET_BYTES] = {RDG_TLCP_VERSION >> 8, RDG_TLCP_VERSION & 0xff, 9};
    take_secret(right, sizeof right, 0);
}

static void pre_master_wrong(void) {
    static const uint8_t old[SECRET_BYTES] = {3, 3, 9};
    static const uint8_t right[SECRET_BYTES] = {RDG_TLCP_VERSION >> 8, RDG_TLCP_VERSION & 0xff, 9};
    take_secret(old, sizeof old, 0);         /* version */
    take_secret(right, sizeof right - 1, 0); /* length */
    take_secret(right, sizeof right, 1);     /* C2 */
    take_secret(right, sizeof right, 60);    /* C3 */
}

const ctime_case_t ctime_tlcp[] = {
    {"tlcp-cbc", cbc},
    {"tlcp-cbc-padding", cbc_padding},
    {"tlcp-cbc-mac", cbc_mac},
    {"tlcp-gcm", gcm},
    {"tlcp-pre-master", pre_master},
    {"tlcp-pre-master-wrong", pre_master_wrong},
    {0},
};
