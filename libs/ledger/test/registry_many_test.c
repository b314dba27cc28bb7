/* The registry in number: bounds, pages, parallel execution, memory that is refused, and a check that is not made. */
#include "registry_world.h"
#include "ridge/codec/hex.h"
#include "ridge/codec/rlp.h"

static void put_deploy(world_t *w, const char *method, const char *name) {
    rdg_buf_t data;
    rdg_hash_t digest = {{0}};
    code_t store = code_store(), init = code_init(NULL, &store);
    rdg_buf_init(&data, 1 << 16);
    encode(w, method,
           json_pack("[s, o, o]", name, rdg_json_hex(init.b, init.len), rdg_json_hex(digest.b, 32)), &data);
    batch(w, OWNER, &RDG_REGISTRY_ADDRESS, rdg_buf_view(&data), 2000000);
    rdg_buf_fini(&data);
}

TEST(registry_holds_256_versions_and_pages_its_lists) {
    world_t w;
    bool ok[BATCH_MAX];
    world_init(&w, 4);
    put_deploy(&w, "deploy", "A");
    for (uint32_t n = 1; n < RDG_REGISTRY_VERSIONS_MAX; ++n) {
        if (w.batched == BATCH_MAX) {
            flush(&w, ok);
            for (size_t i = 0; i < BATCH_MAX; ++i) CHECK(ok[i]);
        }
        put_deploy(&w, "upgrade", "A");
    }
    flush(&w, ok);
    put_deploy(&w, "upgrade", "A");
    flush(&w, ok);
    CHECK(!ok[0]);
    REFUSED(&w, "at most 256 versions");
    json_t *v = view(&w, "versions", json_pack("[s, i, i]", "A", 1, 1000));
    CHECK_EQ(json_array_size(json_object_get(v, "addresses")), RDG_REGISTRY_PAGE_MAX);
    json_decref(v);
    v = view(&w, "versions", json_pack("[s, i, i]", "A", 201, 100));
    CHECK_EQ(json_array_size(json_object_get(v, "addresses")), 56);
    CHECK_EQ(json_integer_value(json_array_get(json_object_get(v, "statuses"), 55)), 0);
    json_decref(v);
    v = view(&w, "versions", json_pack("[s, I, i]", "A", (json_int_t)UINT32_MAX, 100));
    CHECK_EQ(json_array_size(json_object_get(v, "addresses")), 0);
    json_decref(v);
    CHECK(change(&w, OWNER, "freeze", json_pack("[s, i]", "A", 0)));
    CHECK_EQ(json_array_size(w.events), 256);
    CHECK(!change(&w, OTHER, "freeze", json_pack("[s, i]", "A", 257)));
    world_fini(&w);
}

/* Calls, freezes and revocations of few contracts in one block, so that most depend on each other. */
static void fill_block(world_t *w, const rdg_address_t *stores, size_t count, uint64_t *seed) {
    static const char *const methods[] = {"freeze", "unfreeze", "revoke"};
    for (int i = 0; i < BATCH_MAX; ++i) {
        *seed = *seed * 6364136223846793005u + 1442695040888963407u;
        uint64_t r = *seed >> 33, which = r % count;
        rdg_word_t value = word(r);
        if (r % 5 < 3) {
            batch(w, OTHER, &stores[which], rdg_bytes(value.b, 32), 100000);
            continue;
        }
        char name[16];
        rdg_buf_t data;
        snprintf(name, sizeof name, "C%d", (int)which);
        rdg_buf_init(&data, 1000);
        size_t method = r / 7 % 40 == 0 ? 2 : r / 7 % 2;
        encode(w, methods[method], json_pack("[s, i]", name, 1), &data);
        batch(w, OWNER, &RDG_REGISTRY_ADDRESS, rdg_buf_view(&data), 300000);
        rdg_buf_fini(&data);
    }
}

TEST(registry_gives_the_same_in_parallel_as_serially) {
    enum { STORES = 24 };
    static world_t sides[2];
    rdg_address_t stores[STORES];
    bool ok[BATCH_MAX];
    uint64_t seed = 42, succeeded = 0, refused = 0;
    world_init(&sides[0], 1);
    world_init(&sides[1], 4);
    for (int s = 0; s < 2; ++s) {
        rdg_address_t owner = support_address(OWNER);
        for (int i = 0; i < STORES; ++i) {
            char name[16];
            snprintf(name, sizeof name, "C%d", i);
            put_deploy(&sides[s], "deploy", name);
            rdg_evm_create_address(&owner, sides[s].nonce, &stores[i]);
        }
        flush(&sides[s], ok);
        for (int i = 0; i < STORES; ++i) CHECK(ok[i]);
    }
    for (int b = 0; b < 12; ++b) {
        rdg_executed_t executed[2];
        for (int s = 0; s < 2; ++s) {
            uint64_t copy = seed;
            fill_block(&sides[s], stores, STORES, &copy);
            CHECK_OK(flush_executed(&sides[s], &executed[s]));
            if (s == 1) seed = copy;
        }
        CHECK(rdg_hash_equal(&executed[0].state_root, &executed[1].state_root));
        CHECK(rdg_hash_equal(&executed[0].receipts_root, &executed[1].receipts_root));
        CHECK_EQ(executed[0].gas_used, executed[1].gas_used);
    }
    fill_block(&sides[1], stores, STORES, &seed);
    flush(&sides[1], ok);
    for (int i = 0; i < BATCH_MAX; ++i) ok[i] ? ++succeeded : ++refused;
    CHECK(succeeded > 0 && refused > 0); /* both were tried */
    for (int s = 0; s < 2; ++s) world_fini(&sides[s]);
}

TEST(registry_survives_want_of_memory) {
    world_t w;
    bool ok[1];
    rdg_buf_t data, out;
    rdg_call_result_t result;
    rdg_err_t err;
    world_init(&w, 1);
    put_deploy(&w, "deploy", "A");
    flush(&w, ok);
    CHECK(ok[0]);
    rdg_buf_init(&data, 1 << 16);
    code_t store = code_store(), init = code_init(NULL, &store);
    rdg_hash_t digest = {{0}};
    encode(&w, "upgrade",
           json_pack("[s, o, o]", "A", rdg_json_hex(init.b, init.len), rdg_json_hex(digest.b, 32)), &data);
    rdg_call_t call = {
        .from = support_address(OWNER), .to = &RDG_REGISTRY_ADDRESS, .data = rdg_buf_view(&data)};
    rdg_buf_init(&out, 1 << 16);
    CHECK_OK(rdg_ledger_call(w.l, &call, &out, &result)); /* the ledger keeps a machine */
    rdg_buf_fini(&out);
    RDG_TEST_ALLOC_LOOP(err) {
        rdg_buf_init(&out, 1 << 16);
        err = rdg_ledger_call(w.l, &call, &out, &result);
        if (err == RDG_OK) CHECK_EQ(result.status, RDG_EVM_SUCCESS);
        rdg_buf_fini(&out);
    }
    rdg_buf_fini(&data);
    world_fini(&w);
}

/* Does code of a contract with that status run, entered by CALL? */
static bool enters(const rdg_evm_host_t *host, uint8_t life, bool is_static) {
    rdg_kv_t *kv;
    state_t s;
    account_t *a;
    rdg_genesis_t genesis;
    static const rdg_address_t self = {{0xc0}}, sender = {{0xee}};
    code_t store = code_store();
    rdg_evm_result_t result;
    CHECK_OK(rdg_kv_open_memory(&kv));
    support_genesis(&genesis);
    state_init(&s, kv, NULL, 0);
    state_begin_tx(&s);
    rdg_evm_context_t context = {.revision = RDG_EVM_CANCUN, .block_number = 9, .origin = sender};
    state_host_t ctx = {.state = &s, .context = &context, .genesis = &genesis};
    CHECK_OK(host->set_code(&ctx, &self, rdg_bytes(store.b, store.len)));
    CHECK_OK(state_account(&s, &self, &a));
    a->now.life = life;
    rdg_evm_message_t msg = {.kind = RDG_EVM_CALL,
                             .is_static = is_static,
                             .sender = sender,
                             .recipient = self,
                             .code_address = self,
                             .gas = 100000};
    rdg_evm_t *vm = rdg_evm_new();
    CHECK_OK(rdg_evm_execute(vm, host, &ctx, &context, &msg, &result));
    bool entered = result.status == RDG_EVM_SUCCESS;
    rdg_evm_free(vm);
    state_fini(&s);
    rdg_kv_close(kv);
    return entered;
}

/* The law of statuses, on any host. */
static bool keeps_the_law(const rdg_evm_host_t *host) {
    for (unsigned life = 0; life <= LIFE_ALL; ++life) {
        rdg_contract_status_t status = rdg_contract_status((uint8_t)life);
        if (enters(host, (uint8_t)life, false) != (status == RDG_CONTRACT_ACTIVE)) return false;
        if (enters(host, (uint8_t)life, true) != (status != RDG_CONTRACT_REVOKED)) return false;
    }
    return true;
}

static rdg_err_t asks_nobody(void *ctx, const rdg_address_t *a, rdg_evm_kind_t kind, bool is_static,
                             rdg_buf_t *refusal, bool *out) {
    (void)ctx, (void)a, (void)kind, (void)is_static, (void)refusal;
    *out = true;
    return RDG_OK;
}

TEST(registry_law_of_statuses_holds_and_its_check_finds_a_host_that_breaks_it) {
    rdg_evm_host_t broken = RDG_STATE_HOST;
    CHECK(keeps_the_law(&RDG_STATE_HOST));
    broken.may_call = NULL;
    CHECK(!keeps_the_law(&broken));
    broken.may_call = asks_nobody;
    CHECK(!keeps_the_law(&broken));
}
