/* Many short messages: each takes a lane of the vectors of sm3_lanes.h until it is done, then the next message
 * takes that lane. */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "ridge/base/assert.h"
#include "ridge/crypto/hash.h"
#include "sm3_block.h"
#include "sm3_lanes.h"

#define BLOCK RDG_SM3_BLOCK_BYTES
#define FEW 3 /* lanes in use below which a vector is slower than one message after the other */

/* --- one message as blocks: its parts one after the other, then the padding ----------------------------- */

typedef struct cursor {
    const rdg_sm3_input_t *input; /* NULL: the lane is free */
    rdg_hash_t *out;
    size_t len, next, blocks; /* of the message in bytes; block to come, and how many there are */
    uint8_t tag, tag_len;
    uint8_t scratch[BLOCK];
} cursor_t;

static void start(cursor_t *c, int tag, const rdg_sm3_input_t *input, rdg_hash_t *out) {
    c->input = input, c->out = out;
    c->tag = (uint8_t)tag, c->tag_len = tag >= 0;
    c->len = c->tag_len + input->head.len + input->body.len;
    c->next = 0;
    c->blocks = (c->len + 8) / BLOCK + 1;
}

/* What of a piece that stands at `at` in the message is in the block that starts at `from`. */
static void copy_part(uint8_t *block, size_t from, size_t at, const uint8_t *piece, size_t len) {
    size_t begin = at > from ? at : from, end = at + len < from + BLOCK ? at + len : from + BLOCK;
    if (begin < end) memcpy(block + (begin - from), piece + (begin - at), end - begin);
}

static const uint8_t *next_block(cursor_t *c) {
    size_t from = c->next++ * BLOCK, head_at = c->tag_len, body_at = head_at + c->input->head.len;
    if (from >= body_at && from + BLOCK <= c->len) return c->input->body.data + (from - body_at);
    memset(c->scratch, 0, BLOCK);
    copy_part(c->scratch, from, 0, &c->tag, c->tag_len);
    copy_part(c->scratch, from, head_at, c->input->head.data, c->input->head.len);
    copy_part(c->scratch, from, body_at, c->input->body.data, c->input->body.len);
    if (c->len >= from && c->len < from + BLOCK) c->scratch[c->len - from] = 0x80;
    if (c->next == c->blocks) rdg_store_be64(c->scratch + BLOCK - 8, (uint64_t)c->len * 8);
    return c->scratch;
}

/* --- lanes ---------------------------------------------------------------------------------------------- */

typedef struct lanes {
    _Alignas(64) uint32_t state[8 * RDG_SM3_LANES_MAX];
    cursor_t cursor[RDG_SM3_LANES_MAX];
    unsigned count, used;
} lanes_t;

static void set_lane(lanes_t *l, unsigned lane, const rdg_sm3_block_t *s) {
    for (unsigned w = 0; w < 8; w++) l->state[w * l->count + lane] = s->word[w];
}

static void get_lane(const lanes_t *l, unsigned lane, rdg_sm3_block_t *s) {
    for (unsigned w = 0; w < 8; w++) s->word[w] = l->state[w * l->count + lane];
}

static void finish(lanes_t *l, unsigned lane, const rdg_sm3_block_t *s) {
    rdg_sm3_block_store(s, l->cursor[lane].out->b);
    l->cursor[lane].input = NULL;
    l->used--;
}

static void step(lanes_t *l, rdg_sm3_lanes_mix_t *mix) {
    static const uint8_t idle[BLOCK];
    const uint8_t *blocks[RDG_SM3_LANES_MAX];
    rdg_sm3_block_t s;
    for (unsigned i = 0; i < l->count; i++) blocks[i] = l->cursor[i].input ? next_block(&l->cursor[i]) : idle;
    mix(l->state, blocks);
    for (unsigned i = 0; i < l->count; i++) {
        if (!l->cursor[i].input || l->cursor[i].next < l->cursor[i].blocks) continue;
        get_lane(l, i, &s);
        finish(l, i, &s);
    }
}

static void finish_alone(lanes_t *l) {
    for (unsigned i = 0; i < l->count; i++) {
        cursor_t *c = &l->cursor[i];
        rdg_sm3_block_t s;
        if (!c->input) continue;
        get_lane(l, i, &s);
        while (c->next < c->blocks) rdg_sm3_block_mix(&s, next_block(c));
        finish(l, i, &s);
    }
}

static void hash_in_lanes(const rdg_sm3_path_t *path, int tag, const rdg_sm3_input_t *inputs, size_t count,
                          rdg_hash_t *out) {
    lanes_t l;
    rdg_sm3_block_t start_state;
    size_t taken = 0;
    rdg_sm3_block_init(&start_state);
    memset(l.state, 0, sizeof l.state);
    l.count = path->lanes, l.used = 0;
    for (unsigned i = 0; i < l.count; i++) l.cursor[i].input = NULL;
    do {
        for (unsigned i = 0; i < l.count && taken < count; i++) {
            if (l.cursor[i].input) continue;
            start(&l.cursor[i], tag, &inputs[taken], &out[taken]);
            set_lane(&l, i, &start_state);
            taken++, l.used++;
        }
        if (l.used >= FEW)
            step(&l, path->mix);
        else
            finish_alone(&l);
    } while (l.used > 0 || taken < count);
}

static void hash_one(int tag, const rdg_sm3_input_t *input, rdg_hash_t *out) {
    uint8_t tag_byte = (uint8_t)tag;
    const rdg_bytes_t parts[3] = {rdg_bytes(&tag_byte, 1), input->head, input->body};
    if (tag >= 0)
        rdg_sm3_parts(parts, 3, out);
    else
        rdg_sm3_parts(parts + 1, 2, out);
}

/* --- which path ----------------------------------------------------------------------------------------- */

const rdg_sm3_path_t rdg_sm3_paths[] = {
#if defined(__x86_64__)
    {"avx512", rdg_sm3_mix_16_avx512, 16},
    {"avx2", rdg_sm3_mix_8_avx2, 8},
#endif
    {"single", NULL, 0},
    {"generic16", rdg_sm3_mix_16_generic, 16},
    {"generic8", rdg_sm3_mix_8_generic, 8},
    {NULL, NULL, 0},
};

static bool cpu_has(const rdg_sm3_path_t *path) {
#if defined(__x86_64__)
    /* These ask the system too whether it saves the registers. */
    if (path->mix == rdg_sm3_mix_16_avx512) return __builtin_cpu_supports("avx512f") != 0;
    if (path->mix == rdg_sm3_mix_8_avx2) return __builtin_cpu_supports("avx2") != 0;
#endif
    return path->name != NULL;
}

int rdg_sm3_path_usable(const rdg_sm3_path_t *path) {
    enum { COUNT = 40 };
    uint8_t text[3 * COUNT];
    rdg_sm3_input_t inputs[COUNT];
    rdg_hash_t got[COUNT], want;
    if (!cpu_has(path)) return 0;
    if (!path->mix) return 1;
    for (size_t i = 0; i < sizeof text; i++) text[i] = (uint8_t)(i * 167 + 13);
    for (size_t i = 0; i < COUNT; i++)
        inputs[i] = (rdg_sm3_input_t){rdg_bytes(text + i, i), rdg_bytes(text, 2 * i)};
    hash_in_lanes(path, 7, inputs, COUNT, got);
    for (size_t i = 0; i < COUNT; i++) {
        hash_one(7, &inputs[i], &want);
        if (!rdg_hash_equal(&got[i], &want)) return 0;
    }
    return 1;
}

static _Atomic(const rdg_sm3_path_t *) forced;
static const rdg_sm3_path_t *best;

static void choose(void) {
    best = rdg_sm3_paths;
    while (!rdg_sm3_path_usable(best)) best++;
}

void rdg_sm3_path_force(const rdg_sm3_path_t *path) {
    atomic_store(&forced, path);
}

static const rdg_sm3_path_t *chosen(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    const rdg_sm3_path_t *path = atomic_load_explicit(&forced, memory_order_relaxed);
    if (path) return path;
    pthread_once(&once, choose);
    return best;
}

static void hash_many(int tag, const rdg_sm3_input_t *inputs, size_t count, rdg_hash_t *out) {
    const rdg_sm3_path_t *path = count >= FEW ? chosen() : NULL;
    if (path && path->mix)
        hash_in_lanes(path, tag, inputs, count, out);
    else
        for (size_t i = 0; i < count; i++) hash_one(tag, &inputs[i], &out[i]);
}

void rdg_sm3_many(const rdg_sm3_input_t *inputs, size_t count, rdg_hash_t *out) {
    hash_many(-1, inputs, count, out);
}

void rdg_sm3_tagged_many(rdg_domain_t tag, const rdg_sm3_input_t *inputs, size_t count, rdg_hash_t *out) {
    hash_many((int)tag, inputs, count, out);
}
