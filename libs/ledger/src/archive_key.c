/* Keys of archives: wrapped for nodes, checked, and as text. */
#include "ridge/ledger/archive_key.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "ridge/base/alloc.h"
#include "ridge/codec/hex.h"
#include "ridge/crypto/hmac.h"
#include "ridge/crypto/keyfile.h"
#include "ridge/crypto/sm2_cipher.h"

enum { VERSION = 1, PLAIN_BYTES = 1 + RDG_SM4_KEY_BYTES + RDG_HASH_BYTES };
#define LABEL "ridge archive 1 check"

static void bind_to(const rdg_archive_key_chain_t *chain, const char *id, rdg_hash_t *out) {
    uint8_t number[8];
    rdg_store_be64(number, chain->chain_id);
    const rdg_bytes_t parts[] = {rdg_bytes(chain->genesis.b, sizeof chain->genesis.b),
                                 rdg_bytes(number, sizeof number), rdg_bytes_str(id)};
    rdg_sm3_tagged(RDG_DOMAIN_ARCHIVE_KEY, parts, 3, out);
}

/* --- wrapping ------------------------------------------------------------------------------------ */

static rdg_err_t wrap_one(const uint8_t plain[PLAIN_BYTES], const rdg_sm2_public_t *recipient, json_t *list) {
    uint8_t sealed[RDG_SM2_CIPHERTEXT_MAX];
    size_t len = 0;
    rdg_address_t address;
    RDG_TRY(rdg_sm2_encrypt(recipient, sealed, &len, plain, PLAIN_BYTES));
    rdg_sm2_address(recipient, &address);
    json_t *o = json_pack("{s:o, s:o}", "for", rdg_json_hex(address.b, sizeof address.b), "key",
                          rdg_json_hex(sealed, len));
    if (o && json_array_append_new(list, o) == 0) return RDG_OK;
    return rdg_fail(RDG_E_NO_MEMORY, "no memory to wrap a key");
}

rdg_err_t rdg_archive_key_wrap(const rdg_archive_key_t *key, const rdg_archive_key_chain_t *chain,
                               const rdg_sm2_public_t *recipients, size_t count, json_t **out) {
    uint8_t plain[PLAIN_BYTES] = {VERSION};
    rdg_hash_t binding;
    *out = NULL;
    if (count == 0 || count > RDG_ARCHIVE_WRAPPED_MAX)
        return rdg_fail(RDG_E_INVALID, "a key is wrapped for 1 to %d others, not %zu",
                        RDG_ARCHIVE_WRAPPED_MAX, count);
    json_t *list = json_array();
    rdg_err_t err = list ? RDG_OK : rdg_fail(RDG_E_NO_MEMORY, "no memory to wrap a key");
    bind_to(chain, key->id, &binding);
    memcpy(plain + 1, key->key, sizeof key->key);
    memcpy(plain + 1 + sizeof key->key, binding.b, sizeof binding.b);
    for (size_t i = 0; err == RDG_OK && i < count; ++i) err = wrap_one(plain, &recipients[i], list);
    rdg_secure_zero(plain, sizeof plain);
    if (err != RDG_OK) {
        json_decref(list);
        return rdg_fail_in(err, "key '%s' of chain %" PRIu64, key->id, chain->chain_id);
    }
    *out = json_pack("{s:s, s:o}", "id", key->id, "wrapped", list);
    return *out ? RDG_OK : rdg_fail(RDG_E_NO_MEMORY, "no memory to wrap a key");
}

/* The entry for this address; its hex digits. */
static rdg_err_t find_own(const json_t *list, const rdg_address_t *own, const char **hex) {
    size_t i;
    json_t *entry;
    *hex = NULL;
    if (json_array_size(list) > RDG_ARCHIVE_WRAPPED_MAX)
        return rdg_fail(RDG_E_INVALID, "wrapped: at most %d entries", RDG_ARCHIVE_WRAPPED_MAX);
    json_array_foreach((json_t *)(uintptr_t)list, i, entry) {
        rdg_address_t address;
        RDG_TRY(rdg_json_get_hex(entry, "for", address.b, sizeof address.b));
        if (!*hex && rdg_address_equal(&address, own)) RDG_TRY(rdg_json_get_str(entry, "key", hex));
    }
    if (*hex) return RDG_OK;
    return rdg_fail(RDG_E_STALE, "it is wrapped for an encryption certificate that this node does not have "
                                 "any more, or not yet: order it again");
}

static rdg_err_t open_own(const char *hex, const rdg_sm2_key_t *own, uint8_t plain[RDG_SM2_PLAINTEXT_MAX]) {
    uint8_t sealed[RDG_SM2_CIPHERTEXT_MAX];
    size_t digits, len = 0;
    if (strncmp(hex, "0x", 2) == 0) hex += 2;
    digits = strlen(hex);
    if (digits % 2 || digits / 2 > sizeof sealed || rdg_hex_decode(hex, digits, sealed, digits / 2) != RDG_OK)
        return rdg_fail(RDG_E_INVALID, "wrapped: key: want at most %zu bytes in hex", sizeof sealed);
    if (rdg_sm2_decrypt(own, plain, &len, rdg_bytes(sealed, digits / 2)) == RDG_OK && len == PLAIN_BYTES)
        return RDG_OK;
    return rdg_fail(RDG_E_UNAUTHENTICATED,
                    "it does not open with this node's encryption key: it is damaged, or "
                    "was wrapped for another");
}

static rdg_err_t unwrap(const json_t *wrapped, const rdg_archive_key_chain_t *chain, const rdg_sm2_key_t *own,
                        rdg_archive_key_t *out) {
    uint8_t plain[RDG_SM2_PLAINTEXT_MAX];
    rdg_sm2_public_t public;
    rdg_address_t address;
    rdg_hash_t binding;
    json_t *list;
    const char *hex;
    rdg_sm2_key_public(own, &public);
    rdg_sm2_address(&public, &address);
    RDG_TRY(rdg_json_get_array(wrapped, "wrapped", &list));
    RDG_TRY(find_own(list, &address, &hex));
    rdg_err_t err = open_own(hex, own, plain);
    bind_to(chain, out->id, &binding);
    if (err == RDG_OK && plain[0] != VERSION)
        err = rdg_fail(RDG_E_UNSUPPORTED, "it is wrapped in a way of version %u: use a newer node", plain[0]);
    if (err == RDG_OK && !rdg_ct_equal(plain + 1 + sizeof out->key, binding.b, sizeof binding.b))
        err = rdg_fail(RDG_E_WRONG_CHAIN, "it was wrapped for another chain, or under another id");
    if (err == RDG_OK) memcpy(out->key, plain + 1, sizeof out->key);
    rdg_secure_zero(plain, sizeof plain);
    return err;
}

rdg_err_t rdg_archive_key_unwrap(const json_t *wrapped, const rdg_archive_key_chain_t *chain,
                                 const rdg_sm2_key_t *own, rdg_archive_key_t *out) {
    const char *id;
    memset(out, 0, sizeof *out);
    RDG_TRY(rdg_fail_in(rdg_json_get_str(wrapped, "id", &id), "key"));
    if (!id[0] || strlen(id) > RDG_ARCHIVE_KEY_ID_MAX)
        return rdg_fail(RDG_E_INVALID, "key: id: want 1 to %d characters", RDG_ARCHIVE_KEY_ID_MAX);
    snprintf(out->id, sizeof out->id, "%s", id);
    rdg_err_t err = unwrap(wrapped, chain, own, out);
    if (err == RDG_OK) return RDG_OK;
    err = rdg_fail_in(err, "key '%s' of chain %" PRIu64, out->id, chain->chain_id);
    rdg_secure_zero(out, sizeof *out);
    return err;
}

void rdg_archive_key_check(const rdg_archive_key_t *key, uint8_t out[RDG_ARCHIVE_KEY_CHECK_BYTES]) {
    uint8_t mac[RDG_HMAC_SM3_BYTES];
    const rdg_bytes_t parts[] = {rdg_bytes_str(LABEL), rdg_bytes_str(key->id)};
    rdg_hmac_sm3(mac, rdg_bytes(key->key, sizeof key->key), parts, 2);
    memcpy(out, mac, RDG_ARCHIVE_KEY_CHECK_BYTES);
    rdg_secure_zero(mac, sizeof mac);
}

/* --- as text ------------------------------------------------------------------------------------- */

void rdg_archive_key_print(const rdg_archive_key_t *key, char out[RDG_ARCHIVE_KEY_TEXT_MAX]) {
    rdg_hex_encode(key->key, sizeof key->key, out);
    snprintf(out + 2 * sizeof key->key, RDG_ARCHIVE_KEY_TEXT_MAX - 2 * sizeof key->key, "\n%s%s", key->id,
             key->id[0] ? "\n" : "");
}

/* The line at *at, without its end; *at moves behind it. */
static rdg_bytes_t next_line(rdg_bytes_t text, size_t *at) {
    const uint8_t *start = text.data + *at;
    size_t left = text.len - *at;
    const uint8_t *end = left ? memchr(start, '\n', left) : NULL;
    size_t len = end ? (size_t)(end - start) : left;
    *at += len + (end != NULL);
    if (len && start[len - 1] == '\r') --len;
    return rdg_bytes(start, len);
}

rdg_err_t rdg_archive_key_parse(rdg_bytes_t text, rdg_archive_key_t *out) {
    size_t at = 0;
    memset(out, 0, sizeof *out);
    rdg_bytes_t digits = next_line(text, &at), id = next_line(text, &at);
    if (digits.len != 2 * sizeof out->key || id.len > RDG_ARCHIVE_KEY_ID_MAX ||
        rdg_hex_decode((const char *)digits.data, digits.len, out->key, sizeof out->key) != RDG_OK) {
        rdg_secure_zero(out, sizeof *out);
        return rdg_fail(RDG_E_MALFORMED,
                        "the key of an archive is %zu hex digits, and its id in a second line",
                        2 * sizeof out->key);
    }
    if (id.len) memcpy(out->id, id.data, id.len);
    return RDG_OK;
}

rdg_err_t rdg_archive_key_load(const char *path, rdg_archive_key_t *out) {
    uint8_t text[RDG_KEYFILE_MAX];
    size_t len = 0;
    memset(out, 0, sizeof *out);
    RDG_TRY(rdg_keyfile_read(path, text, &len));
    rdg_err_t err = rdg_fail_in(rdg_archive_key_parse(rdg_bytes(text, len), out), "%s", path);
    rdg_secure_zero(text, sizeof text);
    return err;
}
