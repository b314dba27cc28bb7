/* Protection of records in one direction (GB/T 38636-2020, 6.3): SM4-GCM as an AEAD, or SM4-CBC with
 * HMAC-SM3, MAC first. Every failure to open looks the same, in its code and in its time. */
#ifndef RIDGE_TLCP_SRC_PROTECT_H
#define RIDGE_TLCP_SRC_PROTECT_H
#include "ridge/base/random.h"
#include "ridge/crypto/sm4.h"
#include "ridge/tlcp/tlcp.h"

#define RDG_TLCP_HEAD_BYTES 5
#define RDG_TLCP_IV_ROOM 16    /* explicit IV (16) or nonce (8) in front of the content */
#define RDG_TLCP_TAIL_ROOM 48  /* MAC and padding of at most a block, or the tag */
#define RDG_TLCP_KEY_BLOCK 128 /* as much of it as any suite takes */

static inline bool rdg_tlcp_suite_is_gcm(rdg_tlcp_suite_t suite) {
    return suite == RDG_TLCP_ECC_SM4_GCM_SM3 || suite == RDG_TLCP_ECDHE_SM4_GCM_SM3;
}

static inline bool rdg_tlcp_suite_is_ecdhe(rdg_tlcp_suite_t suite) {
    return suite == RDG_TLCP_ECDHE_SM4_GCM_SM3 || suite == RDG_TLCP_ECDHE_SM4_CBC_SM3;
}

typedef struct rdg_tlcp_protect {
    rdg_tlcp_suite_t suite; /* 0: records pass as they are */
    rdg_sm4_t *cipher;
    uint8_t mac_key[32];
    uint8_t salt[4];
    uint64_t sequence;
} rdg_tlcp_protect_t;

/* client: whose keys of the block. What p held before is freed. */
rdg_err_t rdg_tlcp_protect_init(rdg_tlcp_protect_t *p, rdg_tlcp_suite_t suite, bool client,
                                const uint8_t block[RDG_TLCP_KEY_BLOCK]);
void rdg_tlcp_protect_fini(rdg_tlcp_protect_t *p);
/* Bytes that stand between the head and the content. */
size_t rdg_tlcp_protect_lead(const rdg_tlcp_protect_t *p);
/* record: head, lead, content of content_len, and RDG_TLCP_TAIL_ROOM free bytes. Writes head and the rest;
 * gives the length of all. EXHAUSTED after RDG_TLCP_RECORDS_MAX records. */
rdg_err_t rdg_tlcp_protect_seal(rdg_tlcp_protect_t *p, uint8_t *record, uint8_t type, size_t content_len,
                                const rdg_random_t *random, size_t *record_len);
/* record: head and body, opened in place. BAD_SIGNATURE whatever is wrong. */
rdg_err_t rdg_tlcp_protect_open(rdg_tlcp_protect_t *p, uint8_t *record, size_t record_len,
                                rdg_bytes_t *content);

/* The inside of opening a CBC record, for tests of its timing: text is what the cipher gave, at least a MAC and
 * a byte long. All ones if padding and MAC are right, else 0. Time and memory accesses depend on len alone:
 * every byte of text and the content's length are secret until the answer is known. */
size_t rdg_tlcp_cbc_check(const uint8_t mac_key[32], uint64_t sequence, uint8_t type, const uint8_t *text,
                          size_t len, size_t *content_len);

#endif
