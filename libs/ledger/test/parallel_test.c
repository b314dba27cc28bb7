/* Parallel execution gives what serial execution gives: receipts, logs and roots, for random blocks with any rate of
 * conflicts. RIDGE_PARALLEL_BLOCKS: how many blocks for each rate (40). State in memory, so that tsan sees all. */
#include "parallel.h"
#include <stdlib.h>
#include "ridge/base/alloc.h"
#include "support.h"
#include "word.h"
#include "workers.h"

enum { TXS_MAX = 96, HOT_SLOTS = 2, PEOPLE = 1000 };

/* Input: slot a, slot b, mode. storage[a] = storage[b] + 1, logged; mode 1 reverts after that, mode 2 sends a unit that
 * the contract does not have, mode 3 spins until its gas is gone. */
static const uint8_t CODE[] = {0x5f, 0x35, 0x60, 0x20, 0x35, 0x54, 0x60, 0x01, 0x01, 0x80, 0x5f, 0x52, 0x90,
                               0x55, 0x60, 0x07, 0x60, 0x20, 0x5f, 0xa1, 0x60, 0x40, 0x35, 0x80, 0x60, 0x01,
                               0x14, 0x60, 0x2c, 0x57, 0x80, 0x60, 0x02, 0x14, 0x60, 0x31, 0x57, 0x60, 0x03,
                               0x14, 0x60, 0x3d, 0x57, 0x00, 0x5b, 0x60, 0x20, 0x5f, 0xfd, 0x5b, 0x5f, 0x5f,
                               0x5f, 0x5f, 0x60, 0x01, 0x60, 0x04, 0x5a, 0xf1, 0x00, 0x5b, 0x60, 0x3d, 0x56};

typedef struct side {
    rdg_kv_t *kv;
    tree_t *tree;
    executor_t x;
    parallel_t *p;
    rdg_buf_t receipts;
    uint64_t gas;
    uint32_t next; /* receipt */
    rdg_hash_t root;
} side_t;

static const rdg_address_t CONTRACT = {{0xc0}};
static rdg_genesis_t genesis;

static rdg_err_t no_hash(void *ctx, uint64_t height, rdg_word_t *out) {
    (void)ctx;
    *out = word_from_u64(height);
    return RDG_OK;
}

static rdg_address_t person(uint64_t n) {
    rdg_address_t a = {{0xee}};
    rdg_store_be64(a.b + 12, n);
    return a;
}

static void commit(side_t *s, state_t *state) {
    rdg_kv_batch_t *batch = rdg_kv_batch_new();
    CHECK_OK(state_commit(state, s->tree, batch));
    CHECK_OK(rdg_kv_write(s->kv, batch, false));
    rdg_kv_batch_free(batch);
    tree_root(s->tree, &s->root);
}

static void open_side(side_t *s, unsigned threads) {
    state_t state;
    account_t *a;
    CHECK_OK(rdg_kv_open_memory(&s->kv));
    CHECK_OK(tree_open(s->kv, 0, &s->tree));
    CHECK((s->p = parallel_new(threads)) && (s->x.evm = rdg_evm_new()));
    rdg_buf_init(&s->receipts, 64u << 20);
    s->x.host.block_hash = no_hash;
    s->x.host.context = &s->x.context;
    s->x.host.genesis = &genesis;
    s->x.context = (rdg_evm_context_t){.revision = RDG_EVM_CANCUN, .block_number = 9};
    state_init(&state, s->kv, NULL, 0);
    state_begin_tx(&state);
    state_host_t host = {.state = &state};
    CHECK_OK(RDG_STATE_HOST.set_code(&host, &CONTRACT, rdg_bytes(CODE, sizeof CODE)));
    for (uint64_t n = 0; n < PEOPLE; ++n) {
        rdg_address_t who = person(n);
        CHECK_OK(state_account(&state, &who, &a));
        a->now.balance = word_from_u64(1000);
    }
    commit(s, &state);
    state_fini(&state);
}

static void close_side(side_t *s) {
    parallel_free(s->p);
    rdg_evm_free(s->x.evm);
    rdg_buf_fini(&s->receipts);
    tree_close(s->tree);
    rdg_kv_close(s->kv);
}

static rdg_err_t take(void *ctx, uint32_t index, rdg_receipt_t *receipt) {
    side_t *s = ctx;
    CHECK_EQ(index, s->next++);
    receipt->cumulative_gas = s->gas += receipt->gas_used;
    return rdg_receipt_encode(receipt, &s->receipts);
}

static void run_block(side_t *s, rdg_tx_t *const *txs, uint32_t count) {
    state_t state;
    state_init(&state, s->kv, NULL, 0);
    s->x.state = s->x.host.state = &state;
    s->gas = s->next = 0;
    rdg_buf_clear(&s->receipts);
    CHECK_OK(parallel_run(s->p, &s->x, txs, count, take, s));
    CHECK_EQ(s->next, count);
    commit(s, &state);
    state_fini(&state);
}

static uint64_t draw(uint64_t below) {
    uint64_t v;
    rdg_random_fill(rdg_test_random(), &v, sizeof v);
    return v % below;
}

typedef struct made {
    rdg_tx_t tx;
    uint8_t data[96];
} made_t;

/* A transaction that conflicts with others of its kind, or touches what no other one is likely to touch. */
static void make(made_t *m, uint64_t n, bool conflicts) {
    /* Init code: SELFDESTRUCT to the caller; code of one STOP; storage, a log and then a failure. */
    static const uint8_t inits[3][8] = {
        {0x33, 0xff}, {0x60, 0x01, 0x5f, 0xf3}, {0x60, 0x01, 0x5f, 0x55, 0x5f, 0x5f, 0xa0, 0xfe}};
    uint64_t kind = draw(10), own = 1000000 + n * 2;
    m->tx = (rdg_tx_t){.from = person(conflicts ? draw(3) : n % PEOPLE),
                       .to = CONTRACT,
                       .nonce = n,
                       .gas_limit = 100000,
                       .data = rdg_bytes(m->data, sizeof m->data)};
    memset(m->data, 0, sizeof m->data);
    rdg_store_be64(m->data + 24, conflicts ? draw(HOT_SLOTS) : own);
    rdg_store_be64(m->data + 56, conflicts ? draw(HOT_SLOTS) : own + 1);
    if (kind < 4) m->data[95] = (uint8_t)draw(4);
    if (kind == 8) { /* a transfer */
        m->tx.to = person(conflicts ? draw(3) : own);
        m->tx.value = word_from_u64(draw(1500)); /* sometimes more than there is */
        m->tx.data = rdg_bytes(NULL, 0);
    }
    if (kind == 9) {
        m->tx.is_create = true;
        m->tx.value = word_from_u64(draw(3));
        m->tx.data = rdg_bytes(inits[draw(3)], 8);
    }
}

static void compare(unsigned conflict_percent, uint64_t blocks) {
    static made_t made[TXS_MAX];
    rdg_tx_t *txs[TXS_MAX];
    side_t serial = {0}, parallel = {0};
    uint64_t n = 0, taken, repeated;
    support_genesis(&genesis);
    open_side(&serial, 1);
    open_side(&parallel, 3);
    CHECK(rdg_hash_equal(&serial.root, &parallel.root));
    for (uint64_t b = 0; b < blocks; ++b) {
        uint32_t count = (uint32_t)draw(TXS_MAX + 1);
        for (uint32_t i = 0; i < count; ++i) {
            make(&made[i], n++, draw(100) < conflict_percent);
            txs[i] = &made[i].tx;
        }
        run_block(&serial, txs, count);
        run_block(&parallel, txs, count);
        CHECK_EQ(serial.receipts.len, parallel.receipts.len);
        CHECK(serial.receipts.len == 0 ||
              memcmp(serial.receipts.data, parallel.receipts.data, serial.receipts.len) == 0);
        CHECK(rdg_hash_equal(&serial.root, &parallel.root));
    }
    parallel_counts(parallel.p, &taken, &repeated);
    CHECK(taken > 0);
    CHECK(conflict_percent == 0 || repeated > 0);
    parallel_counts(serial.p, &taken, &repeated);
    CHECK_EQ(taken + repeated, 0);
    close_side(&serial);
    close_side(&parallel);
}

static uint64_t rounds(void) {
    const char *text = getenv("RIDGE_PARALLEL_BLOCKS");
    return text ? strtoull(text, NULL, 10) : 40;
}

TEST(parallel_blocks_without_conflicts_are_as_serial) {
    compare(0, rounds());
}

TEST(parallel_blocks_with_a_tenth_of_conflicts_are_as_serial) {
    compare(10, rounds());
}

TEST(parallel_blocks_with_a_half_of_conflicts_are_as_serial) {
    compare(50, rounds());
}

TEST(parallel_blocks_of_conflicts_alone_are_as_serial) {
    compare(100, rounds());
}

/* All of them read what the one before wrote: all but the first are executed again, then no more is tried. */
TEST(a_chain_of_conflicts_ends_in_serial_execution) {
    enum { COUNT = 64, BLOCKS = 8 };
    static made_t made[COUNT];
    rdg_tx_t *txs[COUNT];
    side_t s = {0};
    uint64_t taken, repeated;
    support_genesis(&genesis);
    open_side(&s, 2);
    for (int b = 0; b < BLOCKS; ++b) {
        for (uint32_t i = 0; i < COUNT; ++i) {
            made[i] = (made_t){.tx = {.from = person(i),
                                      .to = CONTRACT,
                                      .gas_limit = 100000,
                                      .data = rdg_bytes(made[i].data, sizeof made[i].data)}};
            txs[i] = &made[i].tx;
        }
        run_block(&s, txs, COUNT);
    }
    parallel_counts(s.p, &taken, &repeated);
    CHECK_EQ(taken, 3); /* the first of a window in blocks 1, 3 and 6 */
    CHECK_EQ(taken + repeated, 3 * PARALLEL_WINDOW_FIRST);
    close_side(&s);
}

static void count_up(void *ctx, unsigned worker, uint32_t number) {
    uint32_t *seen = ctx;
    CHECK(worker < 4);
    seen[number]++;
}

TEST(workers_do_each_number_once) {
    enum { NUMBERS = 1000 };
    static uint32_t seen[NUMBERS];
    workers_t *w = workers_new(4);
    CHECK(w);
    for (uint32_t job = 0; job < 50; ++job) workers_run(w, count_up, seen, job == 7 ? 0 : NUMBERS);
    for (size_t i = 0; i < NUMBERS; ++i) CHECK_EQ(seen[i], 49);
    workers_free(w);
}
