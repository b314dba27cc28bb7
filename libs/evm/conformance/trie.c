#include "trie.h"
#include <stdlib.h>
#include <string.h>
#include "ridge/base/assert.h"
#include "ridge/codec/rlp.h"
#include "ridge/crypto/hash.h"

#define NIBBLES 64

static unsigned nibble(const uint8_t *key, unsigned at) {
    return at % 2 ? key[at / 2] & 15 : key[at / 2] >> 4;
}

/* Appendix C of the yellow paper. */
static void put_path(rdg_buf_t *out, const uint8_t *key, unsigned from, unsigned to, bool leaf) {
    uint8_t path[33];
    unsigned odd = (to - from) % 2, len = 0;
    path[len++] = (uint8_t)((leaf ? 0x20 : 0) | (odd ? 0x10 | nibble(key, from) : 0));
    for (unsigned i = from + odd; i < to; i += 2)
        path[len++] = (uint8_t)(nibble(key, i) << 4 | nibble(key, i + 1));
    rdg_rlp_put_bytes(out, rdg_bytes(path, len));
}

static void put_node(rdg_buf_t *out, const trie_entry_t *e, size_t count, unsigned depth);

static void put_reference(rdg_buf_t *out, const trie_entry_t *e, size_t count, unsigned depth) {
    rdg_buf_t node;
    uint8_t hash[32];
    rdg_buf_init(&node, 1u << 20);
    put_node(&node, e, count, depth);
    if (node.len < 32) {
        rdg_rlp_put_raw(out, rdg_buf_view(&node));
    } else {
        rdg_keccak256(node.data, node.len, hash);
        rdg_rlp_put_bytes(out, rdg_bytes(hash, sizeof hash));
    }
    rdg_buf_fini(&node);
}

static void put_node(rdg_buf_t *out, const trie_entry_t *e, size_t count, unsigned depth) {
    size_t list = rdg_rlp_list_begin(out);
    unsigned common = depth;
    while (common < NIBBLES && nibble(e[0].key, common) == nibble(e[count - 1].key, common)) ++common;
    if (count == 1) {
        put_path(out, e[0].key, depth, NIBBLES, true);
        rdg_rlp_put_bytes(out, rdg_buf_view(&e[0].value));
    } else if (common > depth) {
        put_path(out, e[0].key, depth, common, false);
        put_reference(out, e, count, common);
    } else {
        size_t first = 0;
        for (unsigned digit = 0; digit < 16; ++digit) {
            size_t end = first;
            while (end < count && nibble(e[end].key, depth) == digit) ++end;
            if (end == first)
                rdg_rlp_put_bytes(out, rdg_bytes(NULL, 0));
            else
                put_reference(out, e + first, end - first, depth + 1);
            first = end;
        }
        rdg_rlp_put_bytes(out, rdg_bytes(NULL, 0));
    }
    RDG_ASSERT(rdg_rlp_list_end(out, list) == RDG_OK);
}

static int by_key(const void *a, const void *b) {
    return memcmp(((const trie_entry_t *)a)->key, ((const trie_entry_t *)b)->key, 32);
}

void trie_root(trie_entry_t *entries, size_t count, uint8_t root[32]) {
    rdg_buf_t node;
    rdg_buf_init(&node, 1u << 20);
    if (count == 0) {
        rdg_rlp_put_bytes(&node, rdg_bytes(NULL, 0));
    } else {
        qsort(entries, count, sizeof *entries, by_key);
        put_node(&node, entries, count, 0);
    }
    rdg_keccak256(node.data, node.len, root);
    rdg_buf_fini(&node);
}
