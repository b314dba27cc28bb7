#include "output.h"
#include "ridge/base/alloc.h"
#include "ridge/base/arena.h"
#include "ridge/base/assert.h"

#define ACTIONS_FIRST 32
#define ACTIONS_MAX 4096
#define BYTES_MAX (256u << 20)

struct rdg_consensus_output {
    rdg_consensus_action_t *actions;
    size_t count, size;
    rdg_arena_t arena;
};

rdg_consensus_output_t *rdg_consensus_output_new(void) {
    rdg_consensus_output_t *o = rdg_calloc(1, sizeof *o);
    if (o) rdg_arena_init(&o->arena, BYTES_MAX);
    return o;
}

void rdg_consensus_output_free(rdg_consensus_output_t *o) {
    if (!o) return;
    rdg_arena_fini(&o->arena);
    rdg_free(o->actions);
    rdg_free(o);
}

void rdg_consensus_output_clear(rdg_consensus_output_t *o) {
    rdg_arena_fini(&o->arena); /* a large proposal is not kept until the next step */
    o->count = 0;
}

size_t rdg_consensus_output_count(const rdg_consensus_output_t *o) {
    return o->count;
}

const rdg_consensus_action_t *rdg_consensus_output_at(const rdg_consensus_output_t *o, size_t i) {
    RDG_ASSERT(i < o->count);
    return &o->actions[i];
}

static rdg_err_t copy(rdg_consensus_output_t *o, rdg_bytes_t *v) {
    if (v->len == 0) return *v = rdg_bytes(NULL, 0), RDG_OK;
    void *p = rdg_arena_copy(&o->arena, v->data, v->len);
    if (!p) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a consensus action of %zu bytes", v->len);
    v->data = p;
    return RDG_OK;
}

rdg_err_t output_add(rdg_consensus_output_t *o, const rdg_consensus_action_t *a) {
    if (o->count == o->size) {
        size_t size = o->size ? o->size * 2 : ACTIONS_FIRST;
        rdg_consensus_action_t *grown =
            size <= ACTIONS_MAX ? rdg_realloc_array(o->actions, size, sizeof *grown) : NULL;
        if (!grown) return rdg_fail(RDG_E_NO_MEMORY, "no memory for consensus actions");
        o->actions = grown, o->size = size;
    }
    rdg_consensus_action_t added = *a;
    RDG_TRY(copy(o, &added.key));
    RDG_TRY(copy(o, &added.bytes));
    RDG_TRY(copy(o, &added.certificate));
    o->actions[o->count++] = added;
    return RDG_OK;
}

static bool is_recorded(const rdg_consensus_output_t *o, rdg_bytes_t key, rdg_bytes_t bytes) {
    for (size_t i = o->count; i-- > 0;) {
        const rdg_consensus_action_t *a = &o->actions[i];
        if (a->kind == RDG_ACTION_WRITE && rdg_bytes_equal(a->key, key))
            return rdg_bytes_equal(a->bytes, bytes);
    }
    return false;
}

rdg_err_t output_send_recorded(rdg_consensus_output_t *o, rdg_bytes_t key, rdg_bytes_t bytes,
                               uint64_t height) {
    RDG_ASSERT(is_recorded(o, key, bytes));
    return output_add(
        o, &(rdg_consensus_action_t){
               .kind = RDG_ACTION_SEND, .to = RDG_CONSENSUS_ALL, .height = height, .bytes = bytes});
}

void output_truncate(rdg_consensus_output_t *o, size_t count) {
    RDG_ASSERT(count <= o->count);
    o->count = count;
}
