/* The committed metering contract, deployed and used as its users use it. */
#include <stdio.h>
#include "ridge/base/file.h"
#include "ridge/codec/hex.h"
#include "ridge/codec/json.h"
#include "ridge/crypto/hash.h"
#include "world.h"

#define BATCH 10
#define TX_GAS 3000000u

typedef struct metering {
    world_t *w;
    rdg_address_t contract, owner, writer, stranger;
    rdg_word_t meter;
} metering_t;

static void load_bytecode(rdg_buf_t *code) {
    rdg_buf_t text;
    rdg_buf_init(&text, 1u << 20);
    json_t *artefact = NULL;
    const char *hex;
    CHECK_OK(rdg_file_read(RIDGE_CONTRACT_ARTIFACTS "/Metering.json", &text));
    CHECK_OK(rdg_json_parse(rdg_buf_view(&text), &artefact));
    CHECK_OK(rdg_json_get_str(artefact, "bytecode", &hex));
    CHECK_OK(rdg_hex_decode_buf(hex, strlen(hex), code));
    json_decref(artefact);
    rdg_buf_fini(&text);
}

static void deploy(metering_t *m) {
    *m = (metering_t){.w = world_new(),
                      .owner = world_sender(),
                      .writer = address_of(0xB0B),
                      .stranger = address_of(0xBAD)};
    memcpy(m->meter.b, "t1-oil", 6);
    rdg_buf_t code;
    rdg_buf_init(&code, RDG_EVM_INITCODE_MAX);
    load_bytecode(&code);
    CHECK_EQ(world_create(m->w, m->owner, 4242, rdg_buf_view(&code), 3000000), RDG_EVM_SUCCESS);
    m->contract = m->w->result.created;
    rdg_address_t want;
    rdg_evm_create_address(&m->owner, 4242, &want);
    CHECK(rdg_address_equal(&want, &m->contract));
    rdg_buf_fini(&code);
}

static void put_selector(rdg_buf_t *data, const char *signature) {
    uint8_t hash[32];
    rdg_keccak256(signature, strlen(signature), hash);
    rdg_buf_append(data, hash, 4);
}

static void put_int(rdg_buf_t *data, int64_t v) {
    uint8_t word[32];
    memset(word, v < 0 ? 0xff : 0, sizeof word);
    rdg_store_be64(word + 24, (uint64_t)v);
    rdg_buf_append(data, word, sizeof word);
}

static void put_word(rdg_buf_t *data, const rdg_word_t *w) {
    rdg_buf_append(data, w->b, sizeof w->b);
}

static void put_address(rdg_buf_t *data, const rdg_address_t *a) {
    rdg_word_t w = {{0}};
    memcpy(w.b + 12, a->b, 20);
    put_word(data, &w);
}

/* Sends and frees data. */
static rdg_evm_status_t send(metering_t *m, rdg_address_t from, rdg_buf_t *data) {
    CHECK_OK(rdg_buf_err(data));
    rdg_evm_status_t s = world_call(m->w, from, m->contract, rdg_buf_view(data), TX_GAS);
    rdg_buf_fini(data);
    return s;
}

static rdg_evm_status_t register_meter(metering_t *m, rdg_address_t from, int64_t low, int64_t high) {
    rdg_buf_t data;
    rdg_buf_init(&data, 4096);
    put_selector(&data, "registerMeter(bytes32,int64,int64)");
    put_word(&data, &m->meter);
    put_int(&data, low);
    put_int(&data, high);
    return send(m, from, &data);
}

static rdg_evm_status_t submit(metering_t *m, rdg_address_t from, const int64_t *times, const int64_t *values,
                               int n) {
    rdg_buf_t data;
    rdg_buf_init(&data, 65536);
    put_selector(&data, "submit(bytes32,uint64[],int64[])");
    put_word(&data, &m->meter);
    put_int(&data, 96);
    put_int(&data, 96 + 32 * (n + 1));
    put_int(&data, n);
    for (int i = 0; i < n; ++i) put_int(&data, times[i]);
    put_int(&data, n);
    for (int i = 0; i < n; ++i) put_int(&data, values[i]);
    return send(m, from, &data);
}

static int64_t output_int(const metering_t *m, size_t index) {
    rdg_bytes_t out = m->w->result.output;
    CHECK(out.len >= 32 * (index + 1));
    int64_t v = (int64_t)rdg_load_be64(out.data + 32 * index + 24);
    for (size_t i = 0; i < 24; ++i) CHECK_EQ(out.data[32 * index + i], v < 0 ? 0xff : 0);
    return v;
}

static void check_reverted(const metering_t *m, const char *error) {
    uint8_t hash[32];
    rdg_keccak256(error, strlen(error), hash);
    CHECK_EQ(m->w->result.status, RDG_EVM_REVERT);
    CHECK(m->w->result.output.len >= 4);
    CHECK_MEM(m->w->result.output.data, hash, 4);
}

static void check_totals(metering_t *m, int64_t count, int64_t sum, int64_t min, int64_t max, int64_t last) {
    rdg_buf_t data;
    rdg_buf_init(&data, 4096);
    put_selector(&data, "totals(bytes32)");
    put_word(&data, &m->meter);
    CHECK_EQ(send(m, m->stranger, &data), RDG_EVM_SUCCESS);
    CHECK_EQ(m->w->result.output.len, 160);
    CHECK_EQ(output_int(m, 0), count);
    CHECK_EQ(output_int(m, 1), sum);
    CHECK_EQ(output_int(m, 2), min);
    CHECK_EQ(output_int(m, 3), max);
    CHECK_EQ(output_int(m, 4), last);
}

static const rdg_evm_log_t *find_log(const metering_t *m, const char *event, size_t from) {
    uint8_t hash[32];
    rdg_keccak256(event, strlen(event), hash);
    for (size_t i = from; i < m->w->host.log_count; ++i)
        if (memcmp(m->w->host.logs[i].topics[0].b, hash, 32) == 0) return &m->w->host.logs[i];
    return NULL;
}

TEST(metering_counts_what_is_submitted) {
    metering_t m;
    deploy(&m);
    CHECK_EQ(register_meter(&m, m.owner, -40000000, 95000000), RDG_EVM_SUCCESS);
    check_totals(&m, 0, 0, 0, 0, 0);
    const int64_t times[] = {1467331200, 1467331260, 1467331320};
    const int64_t values[] = {30531000, -12000001, 45000000};
    CHECK_EQ(submit(&m, m.owner, times, values, 3), RDG_EVM_SUCCESS);
    const rdg_evm_log_t *log = find_log(&m, "Readings(bytes32,uint64,uint64,int256)", 0);
    CHECK(log && m.w->host.log_count == 1);
    CHECK_EQ(log->topic_count, 2);
    CHECK_MEM(log->topics[1].b, m.meter.b, 32);
    CHECK_EQ(rdg_load_be64(log->data.data + 24), 3);
    CHECK_EQ(rdg_load_be64(log->data.data + 88), 63530999);
    check_totals(&m, 3, 63530999, -12000001, 45000000, 1467331320);
    world_free(m.w);
}

TEST(metering_refuses_a_reading_that_is_not_newer) {
    metering_t m;
    deploy(&m);
    CHECK_EQ(register_meter(&m, m.owner, 0, 100), RDG_EVM_SUCCESS);
    const int64_t first[] = {10, 20}, again[] = {30, 20}, values[] = {1, 2};
    CHECK_EQ(submit(&m, m.owner, first, values, 2), RDG_EVM_SUCCESS);
    CHECK_EQ(submit(&m, m.owner, first, values, 2), RDG_EVM_REVERT);
    check_reverted(&m, "NotNewer(bytes32,uint64,uint64)");
    CHECK_EQ(rdg_load_be64(m.w->result.output.data + 4 + 32 + 24), 20);
    CHECK_EQ(rdg_load_be64(m.w->result.output.data + 4 + 64 + 24), 10);
    /* All or none: the good first reading of the batch is undone with the bad second. */
    CHECK_EQ(submit(&m, m.owner, again, values, 2), RDG_EVM_REVERT);
    check_totals(&m, 2, 3, 1, 2, 20);
    world_free(m.w);
}

TEST(metering_tells_readings_outside_the_limits) {
    metering_t m;
    deploy(&m);
    CHECK_EQ(register_meter(&m, m.owner, -5, 5), RDG_EVM_SUCCESS);
    const int64_t times[] = {1, 2, 3, 4}, values[] = {-5, -6, 5, 6};
    CHECK_EQ(submit(&m, m.owner, times, values, 4), RDG_EVM_SUCCESS);
    CHECK_EQ(m.w->host.log_count, 3);
    const rdg_evm_log_t *log = find_log(&m, "Anomaly(bytes32,uint64,int64,int64,int64)", 0);
    CHECK(log);
    CHECK_EQ(log->data.len, 128);
    CHECK_EQ(rdg_load_be64(log->data.data + 24), 2);
    CHECK_EQ((int64_t)rdg_load_be64(log->data.data + 56), -6);
    CHECK_EQ((int64_t)rdg_load_be64(log->data.data + 88), -5);
    CHECK_EQ((int64_t)rdg_load_be64(log->data.data + 120), 5);
    check_totals(&m, 4, 0, -6, 6, 4);
    world_free(m.w);
}

TEST(metering_lets_only_owner_and_writers_submit) {
    metering_t m;
    deploy(&m);
    const int64_t time = 1, value = 7;
    CHECK_EQ(submit(&m, m.owner, &time, &value, 1), RDG_EVM_REVERT);
    check_reverted(&m, "UnknownMeter(bytes32)");
    CHECK_EQ(register_meter(&m, m.owner, 0, 100), RDG_EVM_SUCCESS);
    CHECK_EQ(register_meter(&m, m.stranger, 0, 100), RDG_EVM_REVERT);
    check_reverted(&m, "MeterOwned(bytes32,address)");
    CHECK_MEM(m.w->result.output.data + 4 + 32 + 12, m.owner.b, 20);
    CHECK_EQ(submit(&m, m.writer, &time, &value, 1), RDG_EVM_REVERT);
    check_reverted(&m, "NotAuthorised(bytes32,address)");
    rdg_buf_t data;
    rdg_buf_init(&data, 4096);
    put_selector(&data, "authorise(bytes32,address,bool)");
    put_word(&data, &m.meter);
    put_address(&data, &m.writer);
    put_int(&data, 1);
    CHECK_EQ(send(&m, m.owner, &data), RDG_EVM_SUCCESS);
    CHECK_EQ(submit(&m, m.writer, &time, &value, 1), RDG_EVM_SUCCESS);
    check_totals(&m, 1, 7, 7, 7, 1);
    world_free(m.w);
}

TEST(metering_finds_readings_by_time) {
    metering_t m;
    deploy(&m);
    CHECK_EQ(register_meter(&m, m.owner, 0, 1000), RDG_EVM_SUCCESS);
    int64_t times[50], values[50];
    for (int i = 0; i < 50; ++i) times[i] = 100 + 10 * i, values[i] = i;
    CHECK_EQ(submit(&m, m.owner, times, values, 50), RDG_EVM_SUCCESS);
    static const struct {
        int64_t from, to, limit, count, first;
    } cases[] = {{0, INT64_MAX, 100, 50, 0}, {100, 100, 9, 1, 0}, {101, 109, 9, 0, 0}, {105, 131, 9, 3, 1},
                 {300, 590, 4, 4, 20},       {591, 999, 9, 0, 0}, {130, 120, 9, 0, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        rdg_buf_t data;
        rdg_buf_init(&data, 4096);
        put_selector(&data, "readings(bytes32,uint64,uint64,uint256)");
        put_word(&data, &m.meter);
        put_int(&data, cases[i].from);
        put_int(&data, cases[i].to);
        put_int(&data, cases[i].limit);
        CHECK_EQ(send(&m, m.stranger, &data), RDG_EVM_SUCCESS);
        CHECK_EQ(output_int(&m, 1), cases[i].count);
        for (int64_t k = 0; k < cases[i].count; ++k) {
            CHECK_EQ(output_int(&m, (size_t)(2 + 2 * k)), 100 + 10 * (cases[i].first + k));
            CHECK_EQ(output_int(&m, (size_t)(3 + 2 * k)), cases[i].first + k);
        }
    }
    world_free(m.w);
}

TEST(metering_takes_a_batch_of_several_meters) {
    metering_t m;
    deploy(&m);
    rdg_word_t oil = m.meter, load = {{0}};
    memcpy(load.b, "t1-load", 7);
    CHECK_EQ(register_meter(&m, m.owner, 0, 100), RDG_EVM_SUCCESS);
    m.meter = load;
    CHECK_EQ(register_meter(&m, m.owner, 0, 100), RDG_EVM_SUCCESS);
    rdg_buf_t data;
    rdg_buf_init(&data, 65536);
    put_selector(&data, "submitBatch((bytes32,uint64,int64)[])");
    put_int(&data, 32);
    put_int(&data, 4);
    for (int i = 0; i < 4; ++i) {
        put_word(&data, i < 2 ? &oil : &load);
        put_int(&data, 50 + i);
        put_int(&data, 10 * i);
    }
    CHECK_EQ(send(&m, m.owner, &data), RDG_EVM_SUCCESS);
    CHECK_EQ(m.w->host.log_count, 2);
    check_totals(&m, 2, 50, 20, 30, 53);
    m.meter = oil;
    check_totals(&m, 2, 10, 0, 10, 51);
    world_free(m.w);
}

TEST(metering_costs_what_its_documentation_says) {
    metering_t m;
    deploy(&m);
    CHECK_EQ(register_meter(&m, m.owner, 0, 1000), RDG_EVM_SUCCESS);
    int64_t times[BATCH], values[BATCH];
    uint64_t used[3];
    for (int round = 0; round < 3; ++round) {
        for (int i = 0; i < BATCH; ++i) times[i] = 1467331200 + 100 * round + i, values[i] = i;
        int n = round == 2 ? 1 : BATCH;
        CHECK_EQ(submit(&m, m.owner, times, values, n), RDG_EVM_SUCCESS);
        used[round] = world_gas_used(m.w, TX_GAS);
        printf("# %d readings: %llu gas in the machine\n", n, (unsigned long long)used[round]);
    }
    CHECK(used[1] < BATCH * 23500 + 16000);
    world_free(m.w);
}
