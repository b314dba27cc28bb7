/* Whether the entries of a chunk of state come to the digests of its parts: all leaves of the chunk together, then level by
 * level, because hashing eight nodes at once costs little more than one. */
#include <inttypes.h>
#include <string.h>
#include "ridge/base/alloc.h"
#include "ridge/base/assert.h"
#include "snapshot_internal.h"
#include "tree_hash.h"

enum { DEPTHS = 8 * RDG_HASH_BYTES + 1, CHUNK_ARENA_MAX = 24 << 20 };

/* A subtree that is not joined with its sibling yet. */
typedef struct branch {
    joined_t node;
    uint32_t item;        /* the first below it */
    uint16_t depth, base; /* in bits: its own, and that of its part */
} branch_t;

typedef struct forest {
    const state_item_t *items;
    const rdg_hash_t *leaves;
    branch_t *branches, *next; /* as many as there are items */
    size_t count;
    uint32_t at[DEPTHS]; /* how many branches have that depth and are below their part */
} forest_t;

static void hash_leaves(state_items_t *s) {
    hash_queue_t q = {.tag = RDG_DOMAIN_STATE_LEAF};
    for (size_t i = 0; i < s->count; ++i) {
        const state_item_t *item = &s->items[i];
        hash_queue_add(&q, rdg_bytes(item->path.b, sizeof item->path.b), item->value, &s->leaves[i]);
    }
    hash_queue_flush(&q);
}

/* Of two that differ. */
static unsigned common_bits(const rdg_hash_t *a, const rdg_hash_t *b) {
    unsigned i = 0;
    while (i < RDG_HASH_BYTES - 1 && a->b[i] == b->b[i]) ++i;
    unsigned differ = a->b[i] ^ b->b[i];
    return 8 * i + (differ ? (unsigned)__builtin_clz(differ) - 24 : 8);
}

/* A leaf stands where no other one shares its path any more. */
static void plant(forest_t *f, size_t from, size_t to, unsigned base) {
    for (size_t i = from; i < to; ++i) {
        unsigned depth = base;
        for (size_t k = i > from ? i - 1 : i; k <= i + 1 && k < to; ++k) {
            unsigned beside = k == i ? 0 : common_bits(&f->items[i].path, &f->items[k].path) + 1;
            if (beside > depth) depth = beside;
        }
        f->branches[f->count++] = (branch_t){.node = {f->leaves[i], NODE_LEAF},
                                             .item = (uint32_t)i,
                                             .depth = (uint16_t)depth,
                                             .base = (uint16_t)base};
        if (depth > base) f->at[depth]++;
    }
}

static void join_level(forest_t *f, unsigned depth) {
    static const joined_t empty;
    hash_queue_t q = {.tag = RDG_DOMAIN_STATE_INNER};
    size_t count = 0;
    for (size_t i = 0; i < f->count; ++i) {
        const branch_t *left = &f->branches[i], *right = left + 1;
        branch_t *out = &f->next[count++];
        *out = *left;
        if (left->depth != depth || depth == left->base) continue;
        const rdg_hash_t *path = &f->items[left->item].path;
        bool is_right = path->b[(depth - 1) / 8] >> (7 - (depth - 1) % 8) & 1;
        bool both = i + 1 < f->count && right->depth == depth &&
                    common_bits(path, &f->items[right->item].path) == depth - 1;
        joined_queue(&q, is_right ? &empty : &left->node,
                     both       ? &right->node
                     : is_right ? &left->node
                                : &empty,
                     &out->node);
        out->depth = (uint16_t)(depth - 1);
        if (out->depth > out->base) f->at[out->depth]++;
        i += both;
    }
    hash_queue_flush(&q);
    branch_t *made = f->next;
    f->next = f->branches;
    f->branches = made;
    f->count = count;
}

/* Where the entries of part p end. */
static size_t end_of_part(const forest_t *f, size_t count, const part_t *p, size_t from) {
    rdg_hash_t end;
    bool bounded = part_end(p, &end);
    while (from < count && memcmp(f->items[from].path.b, p->first.b, RDG_HASH_BYTES) >= 0 &&
           (!bounded || memcmp(f->items[from].path.b, end.b, RDG_HASH_BYTES) < 0))
        ++from;
    return from;
}

/* The branches are in the order of the parts, one of each that is not empty. */
static rdg_err_t compare_parts(const manifest_t *m, const chunk_entry_t *c, const forest_t *f, size_t count) {
    static const joined_t empty;
    size_t at = 0, branch = 0;
    for (uint64_t i = c->first; i < c->first + c->count; ++i) {
        const part_t *p = &m->parts[i];
        size_t to = end_of_part(f, count, p, at);
        const joined_t *node = to > at ? &f->branches[branch++].node : &empty;
        if (node->kind != p->kind || !rdg_hash_equal(&node->hash, &p->digest))
            return rdg_fail(RDG_E_INVALID, "its entries do not come to the digest of part %" PRIu64, i);
        at = to;
    }
    return RDG_OK;
}

static rdg_err_t grow(forest_t *f, const manifest_t *m, const chunk_entry_t *c, size_t count) {
    size_t at = 0;
    for (uint64_t i = c->first; i < c->first + c->count; ++i) {
        size_t to = end_of_part(f, count, &m->parts[i], at);
        plant(f, at, to, 4u * m->parts[i].depth);
        at = to;
    }
    for (unsigned depth = DEPTHS - 1; depth > 0; --depth)
        if (f->at[depth] > 0) join_level(f, depth);
    RDG_TRY(compare_parts(m, c, f, count));
    return at == count ? RDG_OK : rdg_fail(RDG_E_INVALID, "it has an entry that belongs into another chunk");
}

rdg_err_t parts_check(const manifest_t *m, uint32_t number, rdg_arena_t *arena, state_items_t *s) {
    s->leaves = rdg_arena_alloc(arena, (s->count + 1) * sizeof *s->leaves);
    branch_t *work = rdg_calloc(2 * (s->count + 1), sizeof *work);
    rdg_err_t err = s->leaves && work ? RDG_OK : RDG_E_NO_MEMORY;
    if (err == RDG_OK) {
        forest_t f = {.items = s->items, .leaves = s->leaves, .branches = work, .next = work + s->count + 1};
        hash_leaves(s);
        err = grow(&f, m, &m->chunks[number], s->count);
    }
    rdg_free(work);
    return err;
}

/* --- one chunk ----------------------------------------------------------------------------------- */

void proven_chunk_init(proven_chunk_t *p) {
    p->state = (state_items_t){.count = 0};
    rdg_arena_init(&p->arena, CHUNK_ARENA_MAX);
}

void proven_chunk_fini(proven_chunk_t *p) {
    rdg_arena_fini(&p->arena);
}

rdg_err_t snapshot_prove(const manifest_t *m, uint32_t number, rdg_bytes_t chunk, proven_chunk_t *p) {
    rdg_reader_t payload;
    rdg_arena_reset(&p->arena);
    p->state = (state_items_t){.count = 0};
    RDG_TRY(chunk_open(chunk, m, number, &payload));
    RDG_ASSERT(m->chunks[number].kind == CHUNK_STATE);
    return state_items(m, number, &payload, &p->arena, &p->state);
}
