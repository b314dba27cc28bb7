#include "tree_hash.h"

#include <string.h>
#include "ridge/base/assert.h"

void hash_queue_flush(hash_queue_t *q) {
    rdg_hash_t digests[64];
    rdg_sm3_tagged_many(q->tag, q->inputs, q->count, digests);
    for (size_t i = 0; i < q->count; ++i) *q->outs[i] = digests[i];
    q->count = 0;
}

void hash_queue_add(hash_queue_t *q, rdg_bytes_t head, rdg_bytes_t body, rdg_hash_t *out) {
    q->inputs[q->count] = (rdg_sm3_input_t){head, body};
    q->outs[q->count++] = out;
    if (q->count == sizeof q->outs / sizeof q->outs[0]) hash_queue_flush(q);
}

/* The rule of node_join. */
void joined_queue(hash_queue_t *q, const joined_t *left, const joined_t *right, joined_t *out) {
    if (left->kind == NODE_EMPTY && right->kind != NODE_INNER) {
        *out = *right;
    } else if (right->kind == NODE_EMPTY && left->kind != NODE_INNER) {
        *out = *left;
    } else {
        out->kind = NODE_INNER;
        hash_queue_add(q, rdg_bytes(left->hash.b, sizeof left->hash.b),
                       rdg_bytes(right->hash.b, sizeof right->hash.b), &out->hash);
    }
}

void dirty_pages_hash(dirty_page_t *const *pages, size_t count) {
    hash_queue_t leaves = {.tag = RDG_DOMAIN_STATE_LEAF}, inner = {.tag = RDG_DOMAIN_STATE_INNER};
    for (size_t i = 0; i < count; ++i) {
        for (unsigned k = 0; k < PAGE_SLOTS; ++k) {
            const tree_node_t *slot = &pages[i]->page->slots[k];
            joined_t *node = &pages[i]->nodes[PAGE_SLOTS + k];
            *node = (joined_t){.kind = (uint8_t)slot->kind};
            node->hash = slot->hash;
            if (slot->kind == NODE_LEAF && rdg_hash_is_zero(&slot->hash))
                hash_queue_add(&leaves, rdg_bytes(slot->path.b, sizeof slot->path.b), slot->value,
                               &node->hash);
        }
    }
    hash_queue_flush(&leaves);
    for (unsigned width = PAGE_SLOTS / 2; width > 0; width /= 2) {
        for (size_t i = 0; i < count; ++i) {
            joined_t *nodes = pages[i]->nodes;
            for (unsigned k = width; k < 2 * width; ++k)
                joined_queue(&inner, &nodes[2 * k], &nodes[2 * k + 1], &nodes[k]);
        }
        hash_queue_flush(&inner);
    }
    for (size_t i = 0; i < count; ++i) {
        RDG_ASSERT(pages[i]->out->kind == (node_kind_t)pages[i]->nodes[1].kind);
        pages[i]->out->hash = pages[i]->nodes[1].hash;
    }
}
