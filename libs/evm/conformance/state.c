#include "state.h"
#include <ctype.h>
#include <string.h>
#include "ridge/base/alloc.h"
#include "ridge/base/assert.h"
#include "ridge/codec/hex.h"
#include "ridge/codec/rlp.h"
#include "ridge/crypto/hash.h"
#include "trie.h"

static const char *digits(const json_t *v) {
    const char *text = json_string_value(v);
    if (!text) return "";
    const char *x = strstr(text, "0x"); /* also "0x:bigint 0x…" */
    if (x && strncmp(x, "0x:", 3) == 0) x = strstr(x + 2, "0x");
    return x ? x + 2 : text;
}

bool json_fits_word(const json_t *v) {
    const char *p = digits(v);
    return strlen(p + strspn(p, "0")) <= 64;
}

u256_t json_word(const json_t *v) {
    u256_t r = {{0}};
    for (const char *p = digits(v); *p; ++p) {
        unsigned char c = (unsigned char)*p;
        unsigned digit = isdigit(c) ? (unsigned)(c - '0') : (unsigned)(tolower(c) - 'a' + 10);
        for (int i = 3; i > 0; --i) r.w[i] = r.w[i] << 4 | r.w[i - 1] >> 60;
        r.w[0] = r.w[0] << 4 | digit;
    }
    return r;
}

uint64_t json_u64(const json_t *v) {
    u256_t word = json_word(v);
    return u256_clamp_u64(&word);
}

void json_bytes(const json_t *v, rdg_buf_t *out) {
    const char *text = json_string_value(v);
    if (text) RDG_ASSERT(rdg_hex_decode_buf(text, strlen(text), out) == RDG_OK);
}

rdg_address_t json_address(const json_t *v) {
    u256_t word = json_word(v);
    uint8_t bytes[32];
    rdg_address_t a;
    u256_store(bytes, &word);
    memcpy(a.b, bytes + 12, 20);
    return a;
}

void state_load(host_t *h, const json_t *pre) {
    const char *name, *slot_name;
    json_t *account, *value;
    json_object_foreach((json_t *)(uintptr_t)pre, name, account) {
        json_t *text = json_string(name);
        rdg_address_t a = json_address(text);
        json_decref(text);
        rdg_buf_t code;
        rdg_buf_init(&code, 1u << 24);
        json_bytes(json_object_get(account, "code"), &code);
        host_set_code(h, &a, code.len ? code.data : (const uint8_t *)"", code.len);
        rdg_buf_fini(&code);
        u256_t balance = json_word(json_object_get(account, "balance"));
        u256_store(host_account(h, &a)->balance.b, &balance);
        host_account(h, &a)->nonce = json_u64(json_object_get(account, "nonce"));
        json_object_foreach(json_object_get(account, "storage"), slot_name, value) {
            json_t *key_text = json_string(slot_name);
            u256_t key = json_word(key_text), word = json_word(value);
            json_decref(key_text);
            rdg_word_t k;
            u256_store(k.b, &key);
            u256_store(host_slot(h, &a, &k)->value.b, &word);
        }
    }
}

static bool is_zero(const rdg_word_t *w) {
    u256_t v = u256_load(w->b);
    return u256_is_zero(&v);
}

static void storage_root(const host_t *h, const rdg_address_t *a, uint8_t root[32]) {
    trie_entry_t *entries = rdg_calloc(h->slot_count + 1, sizeof *entries);
    RDG_ASSERT(entries);
    size_t count = 0;
    for (size_t i = 0; i < h->slot_count; ++i) {
        const host_slot_t *s = h->slot_list[i];
        if (!rdg_address_equal(&s->address, a) || is_zero(&s->value)) continue;
        trie_entry_t *e = &entries[count++];
        rdg_keccak256(s->key.b, 32, e->key);
        rdg_buf_init(&e->value, 64);
        rdg_rlp_put_uint(&e->value, rdg_bytes(s->value.b, 32));
    }
    trie_root(entries, count, root);
    for (size_t i = 0; i < count; ++i) rdg_buf_fini(&entries[i].value);
    rdg_free(entries);
}

void state_root(const host_t *h, uint8_t root[32]) {
    trie_entry_t *entries = rdg_calloc(h->account_count + 1, sizeof *entries);
    RDG_ASSERT(entries);
    size_t count = 0;
    for (size_t i = 0; i < h->account_count; ++i) {
        const host_account_t *a = h->account_list[i];
        bool empty = a->nonce == 0 && a->code.len == 0 && is_zero(&a->balance);
        if (a->destroyed || empty) continue;
        uint8_t storage[32];
        trie_entry_t *e = &entries[count++];
        rdg_keccak256(a->address.b, 20, e->key);
        storage_root(h, &a->address, storage);
        rdg_buf_init(&e->value, 256);
        size_t list = rdg_rlp_list_begin(&e->value);
        rdg_rlp_put_u64(&e->value, a->nonce);
        rdg_rlp_put_uint(&e->value, rdg_bytes(a->balance.b, 32));
        rdg_rlp_put_bytes(&e->value, rdg_bytes(storage, 32));
        rdg_rlp_put_bytes(&e->value, rdg_bytes(a->code_hash.b, 32));
        RDG_ASSERT(rdg_rlp_list_end(&e->value, list) == RDG_OK);
    }
    trie_root(entries, count, root);
    for (size_t i = 0; i < count; ++i) rdg_buf_fini(&entries[i].value);
    rdg_free(entries);
}

void state_logs_hash(const host_t *h, uint8_t hash[32]) {
    rdg_buf_t out;
    rdg_buf_init(&out, 1u << 28);
    size_t all = rdg_rlp_list_begin(&out);
    for (size_t i = 0; i < h->log_count; ++i) {
        const rdg_evm_log_t *log = &h->logs[i];
        size_t one = rdg_rlp_list_begin(&out);
        rdg_rlp_put_bytes(&out, rdg_bytes(log->address.b, 20));
        size_t topics = rdg_rlp_list_begin(&out);
        for (uint32_t t = 0; t < log->topic_count; ++t)
            rdg_rlp_put_bytes(&out, rdg_bytes(log->topics[t].b, 32));
        rdg_rlp_list_end(&out, topics);
        rdg_rlp_put_bytes(&out, log->data);
        rdg_rlp_list_end(&out, one);
    }
    RDG_ASSERT(rdg_rlp_list_end(&out, all) == RDG_OK);
    rdg_keccak256(out.data, out.len, hash);
    rdg_buf_fini(&out);
}
