/* Ethereum's state tests. Reads paths of test files from standard input, one a line, runs every case for
 * Shanghai and Cancun, names what fails, and ends with `N passed, N failed`. */
#include <stdio.h>
#include <string.h>
#include "ridge/base/alloc.h"
#include "ridge/base/assert.h"
#include "ridge/base/file.h"
#include "ridge/codec/hex.h"
#include "ridge/crypto/hash.h"
#include "state.h"

static unsigned passed, failed;

static rdg_err_t block_hash(void *ctx, uint64_t number, rdg_word_t *out) {
    (void)ctx;
    char text[24];
    int len = snprintf(text, sizeof text, "%llu", (unsigned long long)number);
    rdg_keccak256(text, (size_t)len, out->b);
    return RDG_OK;
}

static bool case_holds(rdg_evm_t *vm, const json_t *test, rdg_evm_revision_t revision, const json_t *want) {
    host_t *h = rdg_calloc(1, sizeof *h);
    RDG_ASSERT(h);
    host_init(h);
    h->vtable.block_hash = block_hash;
    h->vtable.may_call = NULL;
    h->destroys_always = revision < RDG_EVM_CANCUN;
    state_load(h, json_object_get(test, "pre"));
    bool valid = transaction_run(h, vm, revision, json_object_get(test, "env"),
                                 json_object_get(test, "transaction"), json_object_get(want, "indexes"));
    uint8_t root[32], logs[32], want_root[32], want_logs[32];
    state_root(h, root);
    state_logs_hash(h, logs);
    host_fini(h);
    rdg_free(h);
    RDG_ASSERT(rdg_json_get_hex(want, "hash", want_root, 32) == RDG_OK);
    RDG_ASSERT(rdg_json_get_hex(want, "logs", want_logs, 32) == RDG_OK);
    return valid == !json_object_get(want, "expectException") && memcmp(root, want_root, 32) == 0 &&
           memcmp(logs, want_logs, 32) == 0;
}

static void run_file(rdg_evm_t *vm, const char *path) {
    static const char *const forks[] = {"Shanghai", "Cancun"};
    rdg_buf_t text;
    json_t *file = NULL, *test, *want;
    const char *name;
    size_t i;
    rdg_buf_init(&text, RDG_JSON_TEXT_MAX);
    if (rdg_file_read(path, &text) != RDG_OK || rdg_json_parse(rdg_buf_view(&text), &file) != RDG_OK) {
        printf("FAIL %s: cannot be read\n", path);
        ++failed;
    }
    rdg_buf_fini(&text);
    json_object_foreach(file, name, test) {
        for (int fork = 0; fork < 2; ++fork) {
            json_array_foreach(json_object_get(json_object_get(test, "post"), forks[fork]), i, want) {
                bool ok = case_holds(vm, test, (rdg_evm_revision_t)fork, want);
                ok ? ++passed : ++failed;
                if (!ok) printf("FAIL %s %s %zu\n", path, forks[fork], i);
            }
        }
    }
    json_decref(file);
}

int main(void) {
    char path[4096];
    rdg_evm_t *vm = rdg_evm_new();
    RDG_ASSERT(vm);
    while (fgets(path, sizeof path, stdin)) {
        path[strcspn(path, "\n")] = 0;
        run_file(vm, path);
        fflush(stdout);
    }
    rdg_evm_free(vm);
    printf("%u passed, %u failed\n", passed, failed);
    return failed > 0;
}
