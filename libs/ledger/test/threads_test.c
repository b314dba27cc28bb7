/* Readers beside the writer: each sees whole heights only. State in memory, so that tsan sees all of it
 * (RocksDB's library is not built for it). */
#include <pthread.h>
#include <stdatomic.h>
#include "ridge/base/alloc.h"
#include "support.h"

typedef struct reader {
    rdg_ledger_t *l;
    atomic_bool stop;
    atomic_uint rounds;
    rdg_address_t payee;
} reader_t;

/* The payee has as many units as there are blocks, at every height that a reader can see. */
static void *read_on(void *arg) {
    reader_t *r = arg;
    uint64_t last = 0;
    rdg_buf_t out;
    rdg_buf_init(&out, 1 << 20);
    while (!atomic_load(&r->stop)) {
        rdg_ledger_head_t before, after;
        rdg_word_t balance;
        rdg_block_t *b = NULL;
        rdg_call_result_t result;
        rdg_call_t call = {.from = r->payee, .to = &r->payee};
        rdg_ledger_head(r->l, &before);
        CHECK_OK(rdg_ledger_account(r->l, &r->payee, NULL, &balance, NULL));
        rdg_ledger_head(r->l, &after);
        uint64_t units = rdg_load_be64(balance.b + 24);
        CHECK(before.height >= last && units >= before.height && units <= after.height);
        last = before.height;
        rdg_buf_clear(&out);
        CHECK_OK(rdg_ledger_call(r->l, &call, &out, &result));
        if (last > 0) {
            CHECK_OK(rdg_ledger_block(r->l, last, &b));
            CHECK_EQ(b->header.height, last);
            CHECK_OK(rdg_ledger_receipts(r->l, last, &out));
            rdg_block_unref(b);
        }
        atomic_fetch_add(&r->rounds, 1);
    }
    rdg_buf_fini(&out);
    return NULL;
}

TEST(ledger_readers_beside_the_writer_see_whole_heights) {
    enum { READERS = 3, BLOCKS = 30 };
    rdg_genesis_t g;
    pthread_t threads[READERS];
    static reader_t r;
    support_genesis(&g);
    CHECK_OK(rdg_ledger_open(rdg_test_dir(), &g, &(rdg_ledger_options_t){.memory_store = true}, &r.l));
    r.payee = support_address(8);
    for (size_t i = 0; i < READERS; ++i) CHECK(pthread_create(&threads[i], NULL, read_on, &r) == 0);
    for (uint64_t i = 1; i <= BLOCKS; ++i) {
        rdg_tx_t *txs[1] = {support_tx((tx_spec_t){.nonce = i, .to = &r.payee, .value = 1})};
        CHECK_OK(support_apply(r.l, txs, 1, NULL));
        unsigned seen = atomic_load(&r.rounds);
        while (atomic_load(&r.rounds) == seen) sched_yield();
    }
    atomic_store(&r.stop, true);
    for (size_t i = 0; i < READERS; ++i) pthread_join(threads[i], NULL);
    rdg_ledger_close(r.l);
}
