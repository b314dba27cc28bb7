/* The EVM on one core: each case is one call, repeated; microseconds (median) and million gas a second. Cases are
 * the files of $RIDGE_SHARED (default: ../shared beside the repository) /data/evm-bench/cases, and one that is built
 * in. A case whose status, gas or output is not what its file expects ends the run.
 * Then blocks of transactions by one thread and by two (or --threads), with 0 to 100 % of conflicts.
 * Usage: bench_evm [--ms MILLISECONDS A CASE] [--threads N] [PART OF A CASE'S NAME, or "parallel"] */
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "evm_parallel.h"
#include "host.h"
#include "ridge/base/alloc.h"
#include "ridge/base/assert.h"
#include "ridge/base/file.h"
#include "ridge/codec/hex.h"
#include "ridge/codec/json.h"

#define GAS 1000000000u
#define CASES_MAX 256
#define SAMPLES_MAX 4096
#define BUFFER_MAX (1u << 20)
#define MUST(expr) RDG_ASSERT((expr) == RDG_OK)

typedef struct bench_case {
    char name[128];
    rdg_buf_t code, input, output;
    uint64_t gas_used;
    double us, us_min;
} bench_case_t;

/* s = addmod(s, mulmod(~i, ~i, m), m) for i from 10,000 down to 1. */
static const char loop_code[] = "6127105f5b8115603c577f30644e72e131a029b85045b68181585d2833e84879"
                                "b9709143e1f593f000000180831980099091089060019003906004565b5f5260205ff3";
static const char loop_output[] = "21285cd17c21a28f8d398e6ea0069559060c5237fa91ad691b267269ce7e0207";

static int by_name(const void *a, const void *b) {
    return strcmp(((const bench_case_t *)a)->name, ((const bench_case_t *)b)->name);
}

static void decode(const char *hex, rdg_buf_t *out) {
    rdg_buf_init(out, BUFFER_MAX);
    MUST(rdg_hex_decode_buf(hex, strlen(hex), out));
}

static void load(const char *path, bench_case_t *c) {
    rdg_buf_t text;
    json_t *file = NULL;
    const char *code = NULL, *input = NULL, *output = NULL;
    rdg_buf_init(&text, RDG_JSON_TEXT_MAX);
    MUST(rdg_file_read(path, &text));
    MUST(rdg_json_parse(rdg_buf_view(&text), &file));
    const json_t *expect = json_object_get(json_object_get(file, "expect"), "cancun");
    MUST(rdg_json_get_str(file, "code", &code));
    MUST(rdg_json_get_str(file, "input", &input));
    MUST(rdg_json_get_str(expect, "output", &output));
    decode(code, &c->code);
    decode(input, &c->input);
    decode(output, &c->output);
    c->gas_used = (uint64_t)json_integer_value(json_object_get(expect, "gas_used"));
    json_decref(file);
    rdg_buf_fini(&text);
}

static size_t load_all(bench_case_t *cases, const char *filter) {
    char dir[1024], path[2048];
    const char *shared = getenv("RIDGE_SHARED");
    snprintf(dir, sizeof dir, "%s/data/evm-bench/cases", shared ? shared : RIDGE_SOURCE_DIR "/../shared");
    DIR *d = opendir(dir);
    size_t count = 0;
    if (!d) {
        printf("skipped: the cases of evm-bench, because there is no %s (set RIDGE_SHARED)\n", dir);
        return 0;
    }
    for (struct dirent *e; (e = readdir(d)) && count < CASES_MAX;) {
        const char *end = strstr(e->d_name, ".json");
        if (!end || !strstr(e->d_name, filter)) continue;
        bench_case_t *c = &cases[count++];
        snprintf(c->name, sizeof c->name, "%.*s", (int)(end - e->d_name), e->d_name);
        snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        load(path, c);
    }
    closedir(d);
    qsort(cases, count, sizeof *cases, by_name);
    return count;
}

static double now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e6 * (double)t.tv_sec + 1e-3 * (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void call(rdg_evm_t *vm, host_t *host, const bench_case_t *c, rdg_evm_result_t *result) {
    static const rdg_evm_context_t context = {
        .revision = RDG_EVM_CANCUN, .block_number = 1, .block_gas_limit = GAS};
    rdg_evm_message_t msg = {.kind = RDG_EVM_CALL,
                             .recipient = address_of(0xC0DE),
                             .code_address = address_of(0xC0DE),
                             .gas = GAS,
                             .input = rdg_buf_view(&c->input)};
    MUST(rdg_evm_execute(vm, &host->vtable, host, &context, &msg, result));
}

static void check(const bench_case_t *c, const rdg_evm_result_t *r) {
    bool same = r->output.len == c->output.len &&
                (r->output.len == 0 || memcmp(r->output.data, c->output.data, r->output.len) == 0);
    if (GAS - r->gas_left == c->gas_used && same) return;
    printf("%s: status %s, gas %llu instead of %llu, output %s\n", c->name, rdg_evm_status_name(r->status),
           (unsigned long long)(GAS - r->gas_left), (unsigned long long)c->gas_used,
           same ? "as expected" : "another");
    exit(1);
}

/* The median over samples of about a millisecond. */
static void measure(rdg_evm_t *vm, bench_case_t *c, double budget_ms) {
    static double samples[SAMPLES_MAX];
    static host_t host;
    rdg_address_t self = address_of(0xC0DE);
    rdg_evm_result_t result;
    size_t count = 0;
    double spent = 0;
    host_init(&host);
    host_set_code(&host, &self, c->code.data, c->code.len);
    host_begin_tx(&host);
    call(vm, &host, c, &result);
    check(c, &result);
    for (unsigned calls = 1; count < SAMPLES_MAX && (count < 3 || spent < budget_ms * 1000);) {
        double start = now_us();
        for (unsigned i = 0; i < calls; ++i) call(vm, &host, c, &result);
        double took = now_us() - start;
        samples[count++] = took / calls;
        spent += took;
        if (took < 1000) calls *= 2, count = 0; /* warming up */
    }
    qsort(samples, count, sizeof *samples, by_value);
    c->us = samples[count / 2];
    c->us_min = samples[0];
    host_fini(&host);
}

int main(int argc, char **argv) {
    static bench_case_t cases[CASES_MAX + 1];
    double budget_ms = 100, logs = 0;
    const char *filter = "";
    unsigned threads = 2;
    for (int i = 1; i < argc; ++i) {
        if (strcmp(argv[i], "--ms") == 0 && i + 1 < argc)
            budget_ms = strtod(argv[++i], NULL);
        else if (strcmp(argv[i], "--threads") == 0 && i + 1 < argc)
            threads = (unsigned)strtoul(argv[++i], NULL, 10);
        else
            filter = argv[i];
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    size_t count = load_all(cases, filter);
    if (strstr("built_in__sum_of_squares", filter)) {
        bench_case_t *c = &cases[count++];
        snprintf(c->name, sizeof c->name, "built_in__sum_of_squares");
        decode(loop_code, &c->code);
        decode(loop_output, &c->output);
        rdg_buf_init(&c->input, BUFFER_MAX);
        c->gas_used = 830039;
    }
    rdg_evm_t *vm = rdg_evm_new();
    json_t *figures = json_object();
    RDG_ASSERT(vm && figures);
    printf("%-45s %12s %10s\n", "case", "us", "Mgas/s");
    for (size_t i = 0; i < count; ++i) {
        bench_case_t *c = &cases[i];
        measure(vm, c, budget_ms);
        double rate = (double)c->gas_used / c->us;
        logs += log(c->us);
        printf("%-45s %12.2f %10.1f\n", c->name, c->us, rate);
        json_object_set_new(figures, c->name,
                            json_pack("{s:f,s:f,s:f}", "us", c->us, "us_min", c->us_min, "mgas_s", rate));
        rdg_buf_fini(&c->code);
        rdg_buf_fini(&c->input);
        rdg_buf_fini(&c->output);
    }
    rdg_evm_free(vm);
    json_t *all = json_pack("{s:o,s:f,s:I}", "cases", figures, "geometric_mean_us",
                            count ? exp(logs / (double)count) : 0, "count", (json_int_t)count);
    if (strstr("parallel", filter)) json_object_set_new(all, "parallel", evm_parallel_figures(threads));
    char *text = json_dumps(all, JSON_COMPACT | JSON_REAL_PRECISION(6));
    puts(text);
    free(text);
    json_decref(all);
    return 0;
}
