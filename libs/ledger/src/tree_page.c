/* Form: occupied slots (16 bits), leaf slots (16 bits), then each occupied slot in order: a leaf as path,
 * value length (1 byte), value; an inner node as its digest. */
#include "tree_page.h"
#include <string.h>

ledger_key_t page_key(unsigned bank, const rdg_hash_t *path, unsigned depth) {
    uint8_t b[33] = {(uint8_t)depth};
    size_t len = 1 + depth / 2;
    memcpy(b + 1, path->b, depth / 2);
    if (depth % 2) b[len++] = path->b[depth / 2] & 0xf0;
    return key_of(bank_letter(KEY_TREE, bank), b, len);
}

rdg_err_t page_decode(rdg_bytes_t encoded, tree_page_t *out) {
    rdg_reader_t r;
    memset(out, 0, sizeof *out);
    rdg_reader_init(&r, encoded);
    unsigned occupied = rdg_read_u16(&r), leaves = rdg_read_u16(&r);
    for (unsigned i = 0; i < PAGE_SLOTS; ++i) {
        tree_node_t *n = &out->slots[i];
        if (!(occupied >> i & 1)) continue;
        if (leaves >> i & 1) {
            n->kind = NODE_LEAF;
            rdg_read_copy(&r, n->path.b, sizeof n->path.b);
            n->value = rdg_read_bytes(&r, rdg_read_u8(&r));
            if (n->value.len == 0 || n->value.len > RDG_PROOF_VALUE_MAX) r.failed = true;
        } else {
            n->kind = NODE_INNER;
            rdg_read_copy(&r, n->hash.b, sizeof n->hash.b);
        }
    }
    if (!rdg_reader_done(&r) || (leaves & ~occupied) || occupied == 0)
        return rdg_fail(RDG_E_CORRUPT,
                        "a page of the state tree cannot be read: restore this node from its peers");
    return RDG_OK;
}

void page_hash_leaves(tree_page_t *p) {
    for (unsigned i = 0; i < PAGE_SLOTS; ++i)
        if (p->slots[i].kind == NODE_LEAF)
            rdg_state_leaf(&p->slots[i].path, p->slots[i].value, &p->slots[i].hash);
}

size_t page_encode(const tree_page_t *p, uint8_t out[PAGE_BYTES_MAX]) {
    rdg_writer_t w;
    unsigned occupied = 0, leaves = 0;
    for (unsigned i = 0; i < PAGE_SLOTS; ++i) {
        if (p->slots[i].kind != NODE_EMPTY) occupied |= 1u << i;
        if (p->slots[i].kind == NODE_LEAF) leaves |= 1u << i;
    }
    rdg_writer_init(&w, out, PAGE_BYTES_MAX);
    rdg_write_u16(&w, (uint16_t)occupied);
    rdg_write_u16(&w, (uint16_t)leaves);
    for (unsigned i = 0; i < PAGE_SLOTS; ++i) {
        const tree_node_t *n = &p->slots[i];
        if (n->kind == NODE_LEAF) {
            rdg_write_bytes(&w, n->path.b, sizeof n->path.b);
            rdg_write_u8(&w, (uint8_t)n->value.len);
            rdg_write_bytes(&w, n->value.data, n->value.len);
        } else if (n->kind == NODE_INNER) {
            rdg_write_bytes(&w, n->hash.b, sizeof n->hash.b);
        }
    }
    return rdg_writer_len(&w);
}

tree_node_t page_whole(const tree_page_t *p) {
    unsigned used = 0;
    const tree_node_t *last = NULL;
    for (unsigned i = 0; i < PAGE_SLOTS; ++i)
        if (p->slots[i].kind != NODE_EMPTY) {
            last = &p->slots[i];
            ++used;
        }
    if (used == 1) return *last;
    return (tree_node_t){.kind = used ? NODE_INNER : NODE_EMPTY};
}

void node_join(const tree_node_t *left, const tree_node_t *right, tree_node_t *out) {
    if (left->kind == NODE_EMPTY && right->kind != NODE_INNER) {
        *out = *right;
    } else if (right->kind == NODE_EMPTY && left->kind != NODE_INNER) {
        *out = *left;
    } else {
        tree_node_t inner = {.kind = NODE_INNER};
        rdg_state_inner(&left->hash, &right->hash, &inner.hash);
        *out = inner;
    }
}

void page_node(const tree_page_t *p, unsigned node, tree_node_t *out) {
    tree_node_t nodes[2 * PAGE_SLOTS];
    if (node >= PAGE_SLOTS) {
        *out = p->slots[node - PAGE_SLOTS];
        return;
    }
    unsigned first = node, width = 1;
    for (; first < PAGE_SLOTS; first *= 2) width *= 2;
    for (unsigned i = 0; i < width; ++i) nodes[first + i] = p->slots[first + i - PAGE_SLOTS];
    while (width > 1) {
        first /= 2;
        width /= 2;
        for (unsigned i = first; i < first + width; ++i)
            node_join(&nodes[2 * i], &nodes[2 * i + 1], &nodes[i]);
    }
    *out = nodes[node];
}
