#include "protect.h"

#include <string.h>
#include "ridge/base/alloc.h"
#include "ridge/base/assert.h"
#include "ridge/base/secret.h"
#include "ridge/crypto/hmac.h"

#define MAC RDG_HMAC_SM3_BYTES
#define BLOCK RDG_SM4_BLOCK_BYTES
#define NONCE_LEAD 8
#define PADDING_MAX 255

static bool is_gcm(const rdg_tlcp_protect_t *p) {
    return rdg_tlcp_suite_is_gcm(p->suite);
}

rdg_err_t rdg_tlcp_protect_init(rdg_tlcp_protect_t *p, rdg_tlcp_suite_t suite, bool client,
                                const uint8_t block[RDG_TLCP_KEY_BLOCK]) {
    rdg_tlcp_protect_fini(p);
    bool gcm = rdg_tlcp_suite_is_gcm(suite);
    size_t which = client ? 0 : 1, mac_len = gcm ? 0 : MAC;
    const uint8_t *keys = block + 2 * mac_len, *ivs = keys + 2 * RDG_SM4_KEY_BYTES;
    memcpy(p->mac_key, block + which * mac_len, mac_len);
    if (gcm) memcpy(p->salt, ivs + which * sizeof p->salt, sizeof p->salt);
    p->suite = suite;
    return rdg_sm4_new(gcm ? RDG_SM4_GCM : RDG_SM4_CBC, keys + which * RDG_SM4_KEY_BYTES, &p->cipher);
}

void rdg_tlcp_protect_fini(rdg_tlcp_protect_t *p) {
    rdg_sm4_free(p->cipher);
    rdg_secure_zero(p, sizeof *p);
}

size_t rdg_tlcp_protect_lead(const rdg_tlcp_protect_t *p) {
    return !p->suite ? 0 : is_gcm(p) ? NONCE_LEAD : BLOCK;
}

/* What is authenticated beside the content: sequence, type, version, length of the content. */
#define EXTRA 13
static void extra_make(uint8_t extra[EXTRA], uint64_t sequence, uint8_t type, size_t content_len) {
    rdg_store_be64(extra, sequence);
    extra[8] = type;
    extra[9] = RDG_TLCP_VERSION >> 8;
    extra[10] = RDG_TLCP_VERSION & 0xff;
    extra[11] = (uint8_t)(content_len >> 8);
    extra[12] = (uint8_t)content_len;
}

static void head_make(uint8_t *record, uint8_t type, size_t body_len) {
    record[0] = type;
    record[1] = RDG_TLCP_VERSION >> 8;
    record[2] = RDG_TLCP_VERSION & 0xff;
    record[3] = (uint8_t)(body_len >> 8);
    record[4] = (uint8_t)body_len;
}

static void nonce_make(const rdg_tlcp_protect_t *p, uint8_t nonce[RDG_SM4_NONCE_BYTES],
                       const uint8_t lead[NONCE_LEAD]) {
    memcpy(nonce, p->salt, sizeof p->salt);
    memcpy(nonce + sizeof p->salt, lead, NONCE_LEAD);
}

static size_t seal_gcm(rdg_tlcp_protect_t *p, uint8_t *body, const uint8_t extra[EXTRA], size_t len) {
    uint8_t nonce[RDG_SM4_NONCE_BYTES], *content = body + NONCE_LEAD;
    rdg_store_be64(body, p->sequence); /* a counter never repeats; nothing random could say so */
    nonce_make(p, nonce, body);
    rdg_sm4_gcm_seal(p->cipher, content, content + len, nonce, rdg_bytes(extra, EXTRA), content, len);
    return NONCE_LEAD + len + RDG_SM4_TAG_BYTES;
}

static size_t seal_cbc(rdg_tlcp_protect_t *p, uint8_t *body, const uint8_t extra[EXTRA], size_t len,
                       const rdg_random_t *random) {
    uint8_t *content = body + BLOCK;
    const rdg_bytes_t parts[] = {{extra, EXTRA}, {content, len}};
    rdg_random_fill(random, body, BLOCK);
    rdg_hmac_sm3(content + len, rdg_bytes(p->mac_key, MAC), parts, 2);
    len += MAC;
    size_t padding = BLOCK - len % BLOCK;
    memset(content + len, (int)(padding - 1), padding);
    len += padding;
    rdg_sm4_cbc_encrypt(p->cipher, content, body, content, len);
    return BLOCK + len;
}

rdg_err_t rdg_tlcp_protect_seal(rdg_tlcp_protect_t *p, uint8_t *record, uint8_t type, size_t content_len,
                                const rdg_random_t *random, size_t *record_len) {
    RDG_ASSERT(content_len <= RDG_TLCP_PLAIN_MAX);
    uint8_t extra[EXTRA], *body = record + RDG_TLCP_HEAD_BYTES;
    size_t body_len = content_len;
    if (p->suite) {
        if (p->sequence >= RDG_TLCP_RECORDS_MAX)
            return rdg_fail(RDG_E_EXHAUSTED, "TLCP: the key has protected all the records that it may");
        extra_make(extra, p->sequence, type, content_len);
        body_len =
            is_gcm(p) ? seal_gcm(p, body, extra, content_len) : seal_cbc(p, body, extra, content_len, random);
        p->sequence++;
    }
    head_make(record, type, body_len);
    *record_len = RDG_TLCP_HEAD_BYTES + body_len;
    return RDG_OK;
}

static bool open_gcm(rdg_tlcp_protect_t *p, uint8_t type, uint8_t *body, size_t len, rdg_bytes_t *content) {
    if (len < NONCE_LEAD + RDG_SM4_TAG_BYTES) return false;
    uint8_t nonce[RDG_SM4_NONCE_BYTES], extra[EXTRA], *text = body + NONCE_LEAD;
    size_t text_len = len - NONCE_LEAD - RDG_SM4_TAG_BYTES;
    extra_make(extra, p->sequence, type, text_len);
    nonce_make(p, nonce, body);
    *content = rdg_bytes(text, text_len);
    return rdg_sm4_gcm_open(p->cipher, text, nonce, rdg_bytes(extra, EXTRA), text, text_len,
                            text + text_len) == RDG_OK;
}

/* All ones if a <= b, else 0, without a branch; both far below the type's middle. */
static size_t at_most(size_t a, size_t b) {
    return ((b - a) >> (8 * sizeof(size_t) - 1)) - 1;
}

/* How many bytes of padding with its length byte, 0 if it is wrong; looks at as many bytes as could be. */
static size_t padding_of(const uint8_t *text, size_t len) {
    size_t value = text[len - 1], good = at_most(value + 1 + MAC, len);
    size_t window = len - MAC < PADDING_MAX + 1 ? len - MAC : PADDING_MAX + 1;
    size_t differs = 0;
    for (size_t i = 0; i < window; i++)
        differs |=
            at_most(i, rdg_opaque(value)) & (text[len - 1 - i] ^ value); /* else gcc counts by value - i */
    good &= at_most(differs, 0);
    return good & (value + 1);
}

/* The MAC that starts at a secret place: each byte is gathered from wherever it could be. */
static void gather_mac(uint8_t mac[MAC], const uint8_t *text, size_t len, size_t start) {
    size_t first = len > MAC + PADDING_MAX + 1 ? len - MAC - PADDING_MAX - 1 : 0;
    memset(mac, 0, MAC);
    for (size_t at = first; at < len; at++) {
        for (size_t i = 0; i < MAC; i++) {
            size_t here = at_most(start + i, at) & at_most(at, start + i);
            mac[i] |= (uint8_t)(text[at] & here);
        }
    }
}

size_t rdg_tlcp_cbc_check(const uint8_t mac_key[RDG_HMAC_SM3_BYTES], uint64_t sequence, uint8_t type,
                          const uint8_t *text, size_t len, size_t *content_len) {
    uint8_t extra[EXTRA], want[MAC], got[MAC];
    size_t padding = padding_of(text, len);
    *content_len = len - MAC - padding;
    extra_make(extra, sequence, type, *content_len);
    rdg_hmac_sm3_hidden(want, mac_key, rdg_bytes(extra, EXTRA), rdg_bytes(text, len - MAC), *content_len);
    gather_mac(got, text, len, *content_len);
    size_t mac_right = 0 - (size_t)rdg_ct_equal(want, got, MAC);
    return mac_right & ~at_most(padding, 0);
}

static bool open_cbc(rdg_tlcp_protect_t *p, uint8_t type, uint8_t *body, size_t len, rdg_bytes_t *content) {
    /* One block for the IV, and room for a MAC and at least one byte of padding: public sizes. */
    if (len % BLOCK != 0 || len < BLOCK + MAC + BLOCK) return false;
    uint8_t *text = body + BLOCK;
    size_t text_len = len - BLOCK, content_len;
    rdg_sm4_cbc_decrypt(p->cipher, text, body, text, text_len);
    size_t right = rdg_tlcp_cbc_check(p->mac_key, p->sequence, type, text, text_len, &content_len);
    *content = rdg_bytes(text, content_len);
    return right != 0;
}

rdg_err_t rdg_tlcp_protect_open(rdg_tlcp_protect_t *p, uint8_t *record, size_t record_len,
                                rdg_bytes_t *content) {
    uint8_t *body = record + RDG_TLCP_HEAD_BYTES;
    size_t body_len = record_len - RDG_TLCP_HEAD_BYTES;
    *content = rdg_bytes(body, body_len);
    if (!p->suite) return RDG_OK;
    if (p->sequence >= RDG_TLCP_RECORDS_MAX)
        return rdg_fail(RDG_E_EXHAUSTED, "TLCP: the peer's key has protected all the records that it may");
    bool right = is_gcm(p) ? open_gcm(p, record[0], body, body_len, content)
                           : open_cbc(p, record[0], body, body_len, content);
    p->sequence++;
    RDG_PUBLIC(&right, sizeof right);
    RDG_PUBLIC(content, sizeof *content);
    if (right) return RDG_OK;
    *content = rdg_bytes(NULL, 0);
    return rdg_fail(RDG_E_BAD_SIGNATURE, "TLCP: a record is not authentic");
}
