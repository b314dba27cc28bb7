#include "evm_parallel.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "parallel.h"
#include "ridge/base/alloc.h"
#include "ridge/base/assert.h"
#include "ridge/codec/hex.h"
#include "word.h"

#define TXS 500
#define BLOCKS 24
#define MUST(expr) RDG_ASSERT((expr) == RDG_OK)

/* Input: a slot. 64 times x = keccak256(x), then storage[slot] += 1 and storage[slot + 1] = x, and a log: the size of a
 * batch of ten readings into contracts/Metering.sol. */
static const char code_hex[] = "60405b801560155760205f205f52600190036002565b5"
                               "05f35546001015f35555f515f356001015560205fa000";

static const rdg_address_t contract = {{0xc0}};

typedef struct bench {
    char dir[64];
    rdg_kv_t *kv;
    rdg_genesis_t genesis;
    rdg_tx_t txs[TXS];
    rdg_tx_t *list[TXS];
    rdg_word_t inputs[TXS];
} bench_t;

static double now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e6 * (double)t.tv_sec + 1e-3 * (double)t.tv_nsec;
}

static rdg_err_t no_hash(void *ctx, uint64_t height, rdg_word_t *out) {
    (void)ctx, (void)height;
    *out = (rdg_word_t){{0}};
    return RDG_OK;
}

static rdg_err_t succeed(void *ctx, uint32_t index, rdg_receipt_t *receipt) {
    (void)ctx, (void)index;
    RDG_ASSERT(receipt->success);
    return RDG_OK;
}

static void store_contract(bench_t *b) {
    tree_t *tree = NULL;
    state_t s;
    state_host_t host = {.state = &s};
    rdg_buf_t code;
    rdg_kv_batch_t *batch = rdg_kv_batch_new();
    rdg_buf_init(&code, sizeof code_hex);
    MUST(rdg_hex_decode_buf(code_hex, strlen(code_hex), &code));
    MUST(tree_open(b->kv, 0, &tree));
    state_init(&s, b->kv, NULL, 0);
    state_begin_tx(&s);
    MUST(RDG_STATE_HOST.set_code(&host, &contract, rdg_buf_view(&code)));
    MUST(state_commit(&s, tree, batch));
    MUST(rdg_kv_write(b->kv, batch, true));
    rdg_kv_batch_free(batch);
    state_fini(&s);
    tree_close(tree);
    rdg_buf_fini(&code);
}

/* conflict_percent of them share one slot, spread evenly. */
static void fill(bench_t *b, unsigned conflict_percent) {
    for (unsigned i = 0; i < TXS; ++i) {
        bool conflicts = i * conflict_percent / 100 != (i + 1) * conflict_percent / 100;
        b->inputs[i] = word_from_u64(conflicts ? 0 : 1000 + 2 * i);
        b->txs[i] = (rdg_tx_t){
            .to = contract, .gas_limit = 1000000, .data = rdg_bytes(b->inputs[i].b, sizeof b->inputs[i].b)};
        b->txs[i].from.b[0] = (uint8_t)(i % 200 + 1);
        b->list[i] = &b->txs[i];
    }
}

static double run_block(bench_t *b, rdg_evm_t *vm, parallel_t *p) {
    state_t s;
    executor_t x = {.evm = vm, .state = &s, .host = {.state = &s, .block_hash = no_hash}};
    x.host.context = &x.context;
    x.host.genesis = &b->genesis;
    x.context = (rdg_evm_context_t){.revision = RDG_EVM_CANCUN, .block_number = 1};
    state_init(&s, b->kv, NULL, 0);
    double start = now_us();
    MUST(parallel_run(p, &x, b->list, TXS, succeed, NULL));
    double took = now_us() - start;
    state_fini(&s);
    return took;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *samples, size_t count) {
    qsort(samples, count, sizeof *samples, by_value);
    return samples[count / 2];
}

/* Serial and parallel blocks in turn, so that a busy machine does to both what it does. */
static json_t *rate(bench_t *b, rdg_evm_t *vm, unsigned threads, unsigned conflict_percent) {
    double serial[BLOCKS], parallel[BLOCKS];
    uint64_t taken, repeated;
    parallel_t *p = parallel_new(threads);
    RDG_ASSERT(p);
    fill(b, conflict_percent);
    for (int i = 0; i < BLOCKS; ++i) {
        serial[i] = run_block(b, vm, NULL) / TXS;
        parallel[i] = run_block(b, vm, p) / TXS;
    }
    double one = median(serial, BLOCKS), many = median(parallel, BLOCKS);
    parallel_counts(p, &taken, &repeated);
    parallel_free(p);
    printf("%3u %% conflicts: serial %6.2f us, %u threads %6.2f us a transaction: %.2f times as fast "
           "(%llu taken over, %llu repeated)\n",
           conflict_percent, one, threads, many, one / many, (unsigned long long)taken,
           (unsigned long long)repeated);
    return json_pack("{s:i,s:f,s:f,s:f}", "conflict_percent", (int)conflict_percent, "serial_us", one,
                     "parallel_us", many, "speed_up", one / many);
}

json_t *evm_parallel_figures(unsigned threads) {
    static const unsigned rates[] = {0, 10, 50, 100};
    static bench_t b;
    json_t *figures = json_array();
    rdg_evm_t *vm = rdg_evm_new();
    char command[96];
    snprintf(b.dir, sizeof b.dir, "/tmp/ridge-bench-evm-XXXXXX");
    RDG_ASSERT(vm && figures && mkdtemp(b.dir));
    MUST(rdg_kv_open_rocksdb(b.dir, &(rdg_kv_options_t){.create = true}, &b.kv));
    store_contract(&b);
    for (size_t i = 0; i < sizeof rates / sizeof *rates; ++i)
        json_array_append_new(figures, rate(&b, vm, threads, rates[i]));
    rdg_evm_free(vm);
    rdg_kv_close(b.kv);
    snprintf(command, sizeof command, "rm -r %s", b.dir);
    RDG_ASSERT(system(command) == 0);
    return figures;
}
