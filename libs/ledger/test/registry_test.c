/* Names, versions and statuses of contracts: who may what, and what then cannot be called any more. */
#include "registry_world.h"
#include "ridge/codec/abi.h"
#include "ridge/codec/hex.h"
#include "ridge/codec/rlp.h"
#include "ridge/crypto/hash.h"

static const rdg_bytes_t nothing;

static rdg_address_t deploy_store(world_t *w, const char *name) {
    code_t store = code_store(), init = code_init(NULL, &store);
    rdg_address_t a;
    CHECK(deploy(w, OWNER, "deploy", name, &init, &a));
    return a;
}

static bool put(world_t *w, const rdg_address_t *a, uint64_t v) {
    rdg_word_t value = word(v);
    return send(w, OTHER, a, rdg_bytes(value.b, sizeof value.b));
}

static rdg_address_t forwarder(world_t *w, rdg_evm_kind_t kind) {
    code_t code = code_forward(kind), init = code_init(NULL, &code);
    rdg_address_t a;
    uint64_t nonce;
    CHECK(create(w, OTHER, &init, &a, &nonce));
    return a;
}

static uint64_t status_of(world_t *w, const rdg_address_t *a) {
    return view_u64(w, "statusOf", json_pack("[o]", address_json(a)), "status");
}

static json_t *named(const char *name, int version) {
    return json_pack("[s, i]", name, version);
}

static json_t *of(const rdg_address_t *a) {
    return json_pack("[o]", address_json(a));
}

TEST(registry_deploys_as_the_caller_and_records_the_version) {
    world_t w;
    code_t caller_to_slot_0 = code_hex("335f55"), store = code_store();
    code_t init = code_init(&caller_to_slot_0, &store);
    rdg_address_t a, owner = support_address(OWNER);
    rdg_word_t zero = word(0), seen;
    world_init(&w, 1);
    CHECK(deploy(&w, OWNER, "deploy", "Meters", &init, &a));
    CHECK_OK(rdg_ledger_storage(w.l, &a, &zero, &seen));
    CHECK_MEM(seen.b + 12, owner.b, sizeof owner.b); /* msg.sender of the constructor */
    const json_t *e = event(&w, "Deployed");
    CHECK(e && json_integer_value(json_object_get(e, "version")) == 1);
    CHECK_STR(json_string_value(json_object_get(e, "name")), "Meters");
    json_t *v = view(&w, "versionOf", named("Meters", 1)), *want = address_json(&a);
    uint8_t hash[32];
    rdg_keccak256(store.b, store.len, hash);
    json_t *code_hash = rdg_json_hex(hash, sizeof hash), *deployer = address_json(&owner);
    CHECK(json_equal(json_object_get(v, "contractAddress"), want));
    CHECK(json_equal(json_object_get(v, "codeHash"), code_hash));
    CHECK(json_equal(json_object_get(v, "deployer"), deployer));
    CHECK_EQ(json_integer_value(json_object_get(v, "height")), 1);
    CHECK(!strncmp(json_string_value(json_object_get(v, "abiDigest")), "0xab00", 6));
    json_decref(v), json_decref(code_hash), json_decref(want);
    v = view(&w, "contractOf", json_pack("[s]", "Meters"));
    CHECK(json_equal(json_object_get(v, "owner"), deployer));
    CHECK_EQ(json_integer_value(json_object_get(v, "active")), 1);
    json_decref(v), json_decref(deployer);
    v = view(&w, "nameOf", of(&a));
    CHECK_STR(json_string_value(json_object_get(v, "name")), "Meters");
    json_decref(v);
    CHECK(put(&w, &a, 7));
    CHECK_EQ(stored(&w, &a), 7);
    world_fini(&w);
}

TEST(registry_deploys_all_or_nothing) {
    world_t w;
    static code_t none;
    code_t store = code_store(), good = code_init(NULL, &store);
    code_t reverts = code_hex("60015f5260205ffd"), empty = code_hex("00"), gone = code_hex("33ff");
    code_t stores_then_fails = code_hex("60015f55fe");
    world_init(&w, 1);
    CHECK(!deploy(&w, OWNER, "deploy", "A", &reverts, NULL));
    CHECK(!deploy(&w, OWNER, "deploy", "A", &stores_then_fails, NULL));
    CHECK(!deploy(&w, OWNER, "deploy", "A", &empty, NULL));
    REFUSED(&w, "left no contract");
    CHECK(!deploy(&w, OWNER, "deploy", "A", &gone, NULL));
    REFUSED(&w, "left no contract");
    CHECK(!deploy(&w, OWNER, "deploy", "A", &none, NULL));
    static const char *const bad[] = {"", "-a", "a b", "a/b", "\xc3\xa4", ".a"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; ++i) {
        CHECK(!deploy(&w, OWNER, "deploy", bad[i], &good, NULL));
        REFUSED(&w, "no valid name");
    }
    char long_name[66];
    memset(long_name, 'n', sizeof long_name);
    long_name[65] = 0;
    CHECK(!deploy(&w, OWNER, "deploy", long_name, &good, NULL));
    REFUSED(&w, "no valid name");
    CHECK_EQ(view_u64(&w, "nameCount", json_array(), "count"), 0);
    long_name[64] = 0;
    CHECK(deploy(&w, OWNER, "deploy", long_name, &good, NULL)); /* and it comes back whole */
    json_t *v = view(&w, "names", json_pack("[i, i]", 0, 10));
    CHECK_STR(json_string_value(json_array_get(json_object_get(v, "list"), 0)), long_name);
    json_decref(v);
    CHECK(deploy(&w, OWNER, "deploy", "A", &good, NULL));
    CHECK(!deploy(&w, OTHER, "deploy", "A", &good, NULL));
    REFUSED(&w, "the name 'A' is taken");
    world_fini(&w);
}

/* A constructor may delegate to code that destroys, and still return code. */
TEST(registry_takes_no_contract_that_goes_with_its_transaction) {
    world_t w;
    char hex[120], address[41];
    rdg_address_t killer;
    uint64_t nonce;
    code_t kills = code_hex("33ff"), init = code_init(NULL, &kills), store = code_store();
    world_init(&w, 1);
    CHECK(create(&w, OTHER, &init, &killer, &nonce));
    rdg_hex_encode(killer.b, sizeof killer.b, address);
    snprintf(hex, sizeof hex, "5f5f5f5f73%s5af450", address);
    code_t delegates = code_hex(hex);
    init = code_init(&delegates, &store);
    CHECK(!deploy(&w, OWNER, "deploy", "A", &init, NULL));
    REFUSED(&w, "left no contract");
    world_fini(&w);
}

TEST(registry_init_code_has_ethereums_limit_and_gas_is_charged) {
    world_t w;
    rdg_buf_t data;
    static uint8_t big[RDG_EVM_INITCODE_MAX + 1];
    rdg_hash_t digest = {{0}};
    bool ok[1];
    world_init(&w, 1);
    rdg_buf_init(&data, 1 << 20);
    encode(&w, "deploy",
           json_pack("[s, o, o]", "A", rdg_json_hex(big, sizeof big), rdg_json_hex(digest.b, 32)), &data);
    CHECK(!send(&w, OWNER, &RDG_REGISTRY_ADDRESS, rdg_buf_view(&data)));
    REFUSED(&w, "larger than 49152 bytes");
    code_t store = code_store(), init = code_init(NULL, &store);
    rdg_buf_clear(&data);
    encode(&w, "deploy",
           json_pack("[s, o, o]", "A", rdg_json_hex(init.b, init.len), rdg_json_hex(digest.b, 32)), &data);
    for (uint64_t gas = 30000; gas < 500000; gas += 40000) {
        batch(&w, OWNER, &RDG_REGISTRY_ADDRESS, rdg_buf_view(&data), gas);
        flush(&w, ok);
        if (ok[0]) break;
        CHECK_EQ(view_u64(&w, "nameCount", json_array(), "count"), 0);
    }
    CHECK(ok[0]);
    rdg_buf_fini(&data);
    world_fini(&w);
}

TEST(registry_upgrades_to_a_storage_of_its_own_and_the_old_version_is_read) {
    world_t w;
    code_t store = code_store(), init = code_init(NULL, &store);
    rdg_word_t nine = word(9);
    rdg_bytes_t write = rdg_bytes(nine.b, sizeof nine.b);
    rdg_address_t old, fresh;
    uint64_t value;
    world_init(&w, 1);
    rdg_address_t calls = forwarder(&w, RDG_EVM_CALL), reads = forwarder(&w, RDG_EVM_STATICCALL);
    rdg_address_t borrows = forwarder(&w, RDG_EVM_DELEGATECALL);
    old = deploy_store(&w, "A");
    CHECK(put(&w, &old, 7));
    CHECK(!deploy(&w, OTHER, "upgrade", "A", &init, NULL));
    REFUSED(&w, "only the owner of 'A' upgrades it");
    CHECK(!deploy(&w, ADMIN, "upgrade", "A", &init, NULL));
    REFUSED(&w, "only the owner of 'A' upgrades it");
    CHECK(!deploy(&w, OWNER, "upgrade", "B", &init, NULL));
    REFUSED(&w, "there is no contract 'B'");
    CHECK(deploy(&w, OWNER, "upgrade", "A", &init, &fresh));
    CHECK(event(&w, "Superseded") && event(&w, "Deployed"));
    CHECK_EQ(stored(&w, &fresh), 0);
    json_t *v = view(&w, "resolve", json_pack("[s]", "A")), *want = address_json(&fresh);
    CHECK(json_equal(json_object_get(v, "contractAddress"), want));
    json_decref(v), json_decref(want);
    CHECK_EQ(status_of(&w, &old), RDG_CONTRACT_SUPERSEDED);
    CHECK(call(&w, &old, nothing, false, &value) && value == 7);
    CHECK(forward_send(&w, &reads, &old, nothing)); /* so a migration reads */
    CHECK(!put(&w, &old, 8));
    REFUSED(&w, "is superseded by a newer version");
    CHECK(!forward_send(&w, &calls, &old, write));
    REFUSED(&w, "is superseded by a newer version");
    CHECK(!call(&w, &old, write, false, NULL)); /* an estimate says so, too */
    REFUSED(&w, "is superseded by a newer version");
    CHECK_EQ(stored(&w, &old), 7);
    CHECK(forward_send(&w, &borrows, &old, write)); /* its code works on another's storage */
    CHECK_EQ(stored(&w, &borrows), 9);
    CHECK(put(&w, &fresh, 5));
    v = view(&w, "versions", json_pack("[s, i, i]", "A", 1, 10));
    CHECK_EQ(json_array_size(json_object_get(v, "addresses")), 2);
    CHECK_EQ(json_integer_value(json_array_get(json_object_get(v, "statuses"), 0)), 2);
    json_decref(v);
    world_fini(&w);
}

TEST(registry_freezes_and_unfreezes_versions_and_names) {
    world_t w;
    code_t store = code_store(), init = code_init(NULL, &store);
    rdg_address_t first, second;
    uint64_t value;
    world_init(&w, 1);
    rdg_address_t borrows = forwarder(&w, RDG_EVM_DELEGATECALL), reads = forwarder(&w, RDG_EVM_STATICCALL);
    rdg_word_t nine = word(9);
    first = deploy_store(&w, "A");
    CHECK(put(&w, &first, 7));
    CHECK(!change(&w, OTHER, "freeze", named("A", 1)));
    REFUSED(&w, "only the owner of 'A' or an administrator");
    CHECK(change(&w, OWNER, "freeze", named("A", 1)));
    CHECK(json_is_false(json_object_get(event(&w, "Frozen"), "byAdministrators")));
    CHECK(!change(&w, OWNER, "freeze", named("A", 1)));
    REFUSED(&w, "version 1 of contract 'A' is frozen already");
    CHECK_EQ(status_of(&w, &first), RDG_CONTRACT_FROZEN);
    CHECK(!put(&w, &first, 8));
    REFUSED(&w, "is frozen: it can be read, not changed");
    CHECK(w.gas_used < 30000); /* the rest came back */
    CHECK(!forward_send(&w, &borrows, &first, rdg_bytes(nine.b, 32)));
    REFUSED(&w, "is frozen");
    CHECK(forward(&w, &reads, &first, nothing));
    CHECK(call(&w, &first, nothing, false, &value) && value == 7);
    CHECK(change(&w, OWNER, "unfreeze", named("A", 1)));
    CHECK(!change(&w, OWNER, "unfreeze", named("A", 1)));
    REFUSED(&w, "is not frozen");
    CHECK(put(&w, &first, 8));
    /* What administrators froze stays so for the owner. */
    CHECK(change(&w, ADMIN, "freeze", named("A", 0)));
    CHECK(json_is_true(json_object_get(event(&w, "Frozen"), "byAdministrators")));
    CHECK(!change(&w, OWNER, "unfreeze", named("A", 0)));
    REFUSED(&w, "frozen by the administrators");
    CHECK(!change(&w, OWNER, "unfreeze", named("A", 1)));
    REFUSED(&w, "frozen by the administrators");
    CHECK(!deploy(&w, OWNER, "upgrade", "A", &init, NULL));
    REFUSED(&w, "'A' is frozen");
    CHECK(change(&w, ADMIN, "unfreeze", named("A", 0)));
    CHECK(change(&w, ADMIN, "freeze", named("A", 1)));
    CHECK(!deploy(&w, OWNER, "upgrade", "A", &init, NULL)); /* no way around it */
    REFUSED(&w, "frozen by the administrators");
    CHECK(change(&w, ADMIN, "unfreeze", named("A", 1)));
    CHECK(deploy(&w, OWNER, "upgrade", "A", &init, &second));
    CHECK(change(&w, OWNER, "freeze", named("A", 0))); /* all versions */
    CHECK(!put(&w, &second, 1));
    CHECK(change(&w, OWNER, "unfreeze", named("A", 0)));
    CHECK(put(&w, &second, 1));
    CHECK_EQ(status_of(&w, &first), RDG_CONTRACT_SUPERSEDED);
    CHECK(!change(&w, OWNER, "freeze", named("A", 3)));
    REFUSED(&w, "has no version 3: the newest is 2");
    CHECK(!change(&w, OWNER, "freeze", named("Z", 1)));
    REFUSED(&w, "there is no contract 'Z'");
    world_fini(&w);
}

TEST(registry_revokes_for_good_and_the_data_stays) {
    static const rdg_evm_kind_t kinds[] = {RDG_EVM_CALL, RDG_EVM_CALLCODE, RDG_EVM_DELEGATECALL,
                                           RDG_EVM_STATICCALL};
    world_t w;
    code_t store = code_store(), init = code_init(NULL, &store);
    rdg_address_t by[4];
    uint64_t value;
    rdg_word_t nine = word(9);
    rdg_buf_t code;
    world_init(&w, 1);
    for (size_t i = 0; i < 4; ++i) by[i] = forwarder(&w, kinds[i]);
    rdg_address_t a = deploy_store(&w, "A");
    CHECK(put(&w, &a, 7));
    for (size_t i = 0; i < 4; ++i) CHECK(forward_send(&w, &by[i], &a, nothing));
    CHECK(!change(&w, OTHER, "revoke", named("A", 1)));
    CHECK(change(&w, OWNER, "revoke", named("A", 1)));
    CHECK(event(&w, "Revoked") != NULL);
    for (size_t i = 0; i < 4; ++i) {
        CHECK(!forward_send(&w, &by[i], &a, nothing));
        REFUSED(&w, "is revoked: nothing can call it");
        CHECK(!forward_send(&w, &by[i], &a, rdg_bytes(nine.b, 32)));
        CHECK(!forward(&w, &by[i], &a, nothing));
    }
    CHECK(!put(&w, &a, 8));
    REFUSED(&w, "is revoked: nothing can call it");
    CHECK(!call(&w, &a, nothing, false, NULL));
    REFUSED(&w, "is revoked: nothing can call it");
    CHECK(call(&w, &a, nothing, true, &value) && value == 7); /* an auditor reads */
    CHECK(!call(&w, &a, rdg_bytes(nine.b, 32), true, NULL));  /* and changes nothing */
    CHECK_EQ(stored(&w, &a), 7);
    rdg_buf_init(&code, 1000);
    CHECK_OK(rdg_ledger_account(w.l, &a, NULL, NULL, &code));
    CHECK_EQ(code.len, store.len);
    rdg_buf_fini(&code);
    CHECK(!change(&w, OWNER, "unfreeze", named("A", 1)));
    REFUSED(&w, "version 1 of contract 'A' is revoked for good");
    CHECK(!change(&w, ADMIN, "revoke", named("A", 1)));
    REFUSED(&w, "revoked for good");
    CHECK(deploy(&w, OWNER, "upgrade", "A", &init, NULL)); /* the name lives on */
    CHECK_EQ(status_of(&w, &a), RDG_CONTRACT_REVOKED);
    CHECK(change(&w, ADMIN, "revoke", named("A", 0)));
    CHECK(!deploy(&w, OWNER, "upgrade", "A", &init, NULL));
    REFUSED(&w, "contract 'A' is revoked for good");
    CHECK(!deploy(&w, OWNER, "deploy", "A", &init, NULL));
    REFUSED(&w, "is taken");
    world_fini(&w);
}

TEST(registry_counts_from_the_transaction_on_within_a_block) {
    world_t w;
    rdg_buf_t revoke;
    rdg_word_t one = word(1), two = word(2);
    bool ok[5];
    world_init(&w, 1);
    rdg_address_t a = deploy_store(&w, "A"), by = forwarder(&w, RDG_EVM_DELEGATECALL);
    rdg_buf_init(&revoke, 1000);
    encode(&w, "revoke", named("A", 1), &revoke);
    uint8_t input[32] = {0};
    memcpy(input + 12, a.b, sizeof a.b);
    batch(&w, OTHER, &a, rdg_bytes(one.b, 32), 100000);
    batch(&w, OTHER, &by, rdg_bytes(input, 32), 100000);
    batch(&w, OWNER, &RDG_REGISTRY_ADDRESS, rdg_buf_view(&revoke), 200000);
    batch(&w, OTHER, &a, rdg_bytes(two.b, 32), 100000);
    batch(&w, OTHER, &by, rdg_bytes(input, 32), 100000);
    flush(&w, ok);
    CHECK(ok[0] && ok[1] && ok[2] && !ok[3] && !ok[4]);
    CHECK_EQ(stored(&w, &a), 1);
    rdg_buf_fini(&revoke);
    world_fini(&w);
}

TEST(registry_names_contracts_of_ordinary_transactions) {
    world_t w;
    code_t store = code_store(), init = code_init(NULL, &store);
    rdg_address_t a, b, owner = support_address(OTHER), nobody = {{0xcc}};
    rdg_hash_t digest = {{0}};
    uint64_t nonce, other;
    world_init(&w, 1);
    CHECK(create(&w, OWNER, &init, &a, &nonce));
    CHECK(create(&w, OTHER, &init, &b, &other));
#define REGISTER(name, address, n)                                                                           \
    json_pack("[s, o, I, o]", name, address_json(address), (json_int_t)(n), rdg_json_hex(digest.b, 32))
#define REGISTER_FOR(name, address, owner)                                                                   \
    json_pack("[s, o, o, o]", name, address_json(address), address_json(owner), rdg_json_hex(digest.b, 32))
    CHECK(!change(&w, OTHER, "register", REGISTER("A", &a, nonce)));
    REFUSED(&w, "the caller did not create that contract");
    CHECK(!change(&w, OWNER, "register", REGISTER("A", &a, nonce + 1)));
    REFUSED(&w, "the caller did not create that contract");
    CHECK(change(&w, OWNER, "register", REGISTER("A", &a, nonce)));
    CHECK(event(&w, "Registered") != NULL);
    CHECK(!change(&w, OWNER, "register", REGISTER("B", &a, nonce)));
    REFUSED(&w, "the contract is 'A' already, version 1");
    CHECK(!change(&w, OWNER, "registerFor", REGISTER_FOR("B", &b, &owner)));
    REFUSED(&w, "only an administrator may do this");
    CHECK(!change(&w, ADMIN, "registerFor", REGISTER_FOR("B", &nobody, &owner)));
    REFUSED(&w, "there is no contract at that address");
    CHECK(!change(&w, ADMIN, "registerFor", REGISTER_FOR("B", &b, &a)));
    REFUSED(&w, "a contract cannot own a name");
    CHECK(!change(&w, ADMIN, "registerFor", REGISTER_FOR("B", &RDG_REGISTRY_ADDRESS, &owner)));
    REFUSED(&w, "built in");
    CHECK(change(&w, ADMIN, "registerFor", REGISTER_FOR("B", &b, &owner)));
    CHECK(deploy(&w, OTHER, "upgrade", "B", &init, NULL));
    world_fini(&w);
}

TEST(registry_lets_administrators_stop_contracts_without_a_name) {
    world_t w;
    code_t store = code_store(), init = code_init(NULL, &store);
    rdg_address_t a, nobody = {{0xcc}};
    uint64_t nonce;
    world_init(&w, 1);
    CHECK(create(&w, OWNER, &init, &a, &nonce));
    CHECK(!change(&w, OWNER, "freezeContract", of(&a)));
    REFUSED(&w, "only an administrator");
    CHECK(!change(&w, ADMIN, "unfreezeContract", of(&a)));
    REFUSED(&w, "is not frozen");
    CHECK(change(&w, ADMIN, "freezeContract", of(&a)));
    CHECK_STR(json_string_value(json_object_get(event(&w, "Frozen"), "name")), "");
    CHECK(!change(&w, ADMIN, "freezeContract", of(&a)));
    REFUSED(&w, "frozen already");
    CHECK(!put(&w, &a, 1));
    CHECK(change(&w, ADMIN, "unfreezeContract", of(&a)));
    CHECK(put(&w, &a, 1));
    CHECK(change(&w, ADMIN, "revokeContract", of(&a)));
    CHECK(!put(&w, &a, 2));
    CHECK(!change(&w, ADMIN, "unfreezeContract", of(&a)));
    REFUSED(&w, "revoked for good");
    CHECK(!change(&w, ADMIN, "revokeContract", of(&nobody)));
    REFUSED(&w, "there is no contract");
    CHECK(!change(&w, ADMIN, "revokeContract", of(&RDG_GOVERNANCE_ADDRESS)));
    REFUSED(&w, "built in");
    rdg_address_t b = deploy_store(&w, "B");
    CHECK(!change(&w, ADMIN, "freezeContract", of(&b)));
    REFUSED(&w, "the contract is 'B', version 1: use that name");
    world_fini(&w);
}

TEST(registry_hands_over_names) {
    world_t w;
    code_t store = code_store(), init = code_init(NULL, &store);
    rdg_address_t other = support_address(OTHER), none = {{0}};
    world_init(&w, 1);
    rdg_address_t a = deploy_store(&w, "A");
#define HAND(to) json_pack("[s, o]", "A", address_json(to))
    CHECK(!change(&w, OTHER, "transferOwnership", HAND(&other)));
    REFUSED(&w, "only the owner of 'A' or an administrator");
    CHECK(!change(&w, OWNER, "transferOwnership", HAND(&none)));
    REFUSED(&w, "the zero address owns nothing");
    CHECK(!change(&w, OWNER, "transferOwnership", HAND(&a)));
    REFUSED(&w, "a contract cannot own");
    CHECK(change(&w, OWNER, "transferOwnership", HAND(&other)));
    CHECK(event(&w, "OwnershipTransferred") != NULL);
    CHECK(!change(&w, OWNER, "freeze", named("A", 0)));
    CHECK(deploy(&w, OTHER, "upgrade", "A", &init, NULL));
    CHECK(!change(&w, ADMIN, "transferOwnership", HAND(&other)));
    REFUSED(&w, "owns the contract already");
    world_fini(&w);
}

TEST(registry_policy_says_who_creates_also_by_ordinary_transactions) {
    world_t w;
    code_t store = code_store(), init = code_init(NULL, &store);
    rdg_address_t a, owner = support_address(OWNER), other = support_address(OTHER);
    rdg_hash_t digest;
    uint64_t nonce;
    world_init(&w, 1);
    CHECK(!change(&w, OWNER, "setDeployPolicy", json_pack("[i]", 1)));
    REFUSED(&w, "only an administrator");
    CHECK(!change(&w, ADMIN, "setDeployPolicy", json_pack("[i]", 4)));
    REFUSED(&w, "a deploy policy is 0");
    CHECK(change(&w, ADMIN, "setDeployPolicy", json_pack("[i]", 1)));
    CHECK(!create(&w, OWNER, &init, &a, &nonce));
    REFUSED(&w, "only deployers and administrators");
    CHECK(!deploy(&w, OWNER, "deploy", "A", &init, NULL));
    REFUSED(&w, "only deployers and administrators");
    CHECK(!call(&w, NULL, rdg_bytes(init.b, init.len), false, NULL)); /* nor is there an estimate */
    REFUSED(&w, "only deployers and administrators");
    CHECK(create(&w, ADMIN, &init, &a, &nonce));
    CHECK(change(&w, ADMIN, "addDeployer", of(&owner)));
    CHECK(!change(&w, ADMIN, "addDeployer", of(&owner)));
    REFUSED(&w, "a deployer already");
    CHECK(change(&w, ADMIN, "addDeployer", of(&other)));
    CHECK(create(&w, OWNER, &init, &a, &nonce) && deploy(&w, OWNER, "deploy", "A", &init, NULL));
    CHECK(change(&w, ADMIN, "removeDeployer", of(&owner)));
    CHECK(!deploy(&w, OWNER, "upgrade", "A", &init, NULL)); /* an owner without the role brings no new code */
    json_t *v = view(&w, "deployers", json_pack("[i, i]", 0, 10)), *list = json_object_get(v, "list");
    json_t *want = address_json(&other);
    CHECK(json_array_size(list) == 1 && json_equal(json_array_get(list, 0), want));
    json_decref(v), json_decref(want);
    CHECK(!change(&w, ADMIN, "removeDeployer", of(&owner)));
    REFUSED(&w, "no deployer");
    CHECK(change(&w, ADMIN, "setDeployPolicy", json_pack("[i]", 2)));
    CHECK(!create(&w, OTHER, &init, &a, &nonce));
    REFUSED(&w, "only administrators may create");
    CHECK(create(&w, ADMIN, &init, &a, &nonce));
    CHECK(change(&w, ADMIN, "setDeployPolicy", json_pack("[i]", 3)));
    CHECK(!create(&w, ADMIN, &init, &a, &nonce));
    REFUSED(&w, "only code that its administrators approved");
    rdg_sm3(init.b, init.len, &digest);
#define DIGEST json_pack("[o]", rdg_json_hex(digest.b, 32))
    CHECK(change(&w, ADMIN, "approveCode", DIGEST));
    CHECK(create(&w, OTHER, &init, &a, &nonce));
    CHECK(!create(&w, OTHER, &init, &a, &nonce)); /* once */
    CHECK(change(&w, ADMIN, "approveCode", DIGEST));
    CHECK(deploy(&w, OTHER, "deploy", "B", &init, NULL));
    CHECK(!change(&w, ADMIN, "disapproveCode", DIGEST));
    REFUSED(&w, "not approved");
    world_fini(&w);
}

TEST(registry_waits_for_the_approvals_that_governance_wants) {
    world_t w;
    rdg_address_t second = support_address(ADMIN_2);
    world_init(&w, 1);
    rdg_address_t a = deploy_store(&w, "A");
    CHECK(govern(&w, ADMIN, "addAdministrator", of(&second)));
    CHECK(govern(&w, ADMIN, "setThreshold", json_pack("[i]", 2)));
    CHECK(change(&w, ADMIN, "revoke", named("A", 1)));
    CHECK(event(&w, "Proposed") && !event(&w, "Revoked"));
    CHECK(put(&w, &a, 1)); /* not yet */
    CHECK(!govern(&w, OTHER, "approve", json_pack("[i]", 1)));
    CHECK(govern(&w, ADMIN_2, "approve", json_pack("[i]", 1)));
    CHECK(event(&w, "Executed") && json_is_true(json_object_get(event(&w, "Revoked"), "byAdministrators")));
    CHECK(!put(&w, &a, 2));
    /* What cannot be done waits for nobody. */
    CHECK(!govern(&w, ADMIN, "callRegistry", json_pack("[s]", "0x12345678")));
    REFUSED(&w, "the registry has no such method for administrators");
    rdg_buf_t data;
    rdg_buf_init(&data, 1000);
    encode(&w, "deployPolicy", json_array(), &data);
    CHECK(!govern(&w, ADMIN, "callRegistry", json_pack("[o]", rdg_json_hex(data.data, data.len))));
    REFUSED(&w, "the registry has no such method for administrators");
    rdg_buf_fini(&data);
    /* The owner acts alone still. */
    rdg_address_t b = deploy_store(&w, "B");
    CHECK(change(&w, OWNER, "freeze", named("B", 0)) && event(&w, "Frozen"));
    CHECK_EQ(status_of(&w, &b), RDG_CONTRACT_FROZEN);
    world_fini(&w);
}

/* Neither a contract nor a constructor changes the registry, whatever they are called by. */
TEST(registry_is_changed_by_transactions_to_it_only) {
    world_t w;
    char hex[200];
    rdg_buf_t data;
    code_t store = code_store();
    world_init(&w, 1);
    rdg_address_t a = deploy_store(&w, "A");
    rdg_buf_init(&data, 1000);
    encode(&w, "freeze", named("A", 1), &data);
    static const rdg_evm_kind_t kinds[] = {RDG_EVM_CALL, RDG_EVM_CALLCODE, RDG_EVM_DELEGATECALL,
                                           RDG_EVM_STATICCALL};
    for (size_t i = 0; i < 4; ++i) {
        code_t code = code_forward(kinds[i]), init = code_init(NULL, &code);
        rdg_address_t by;
        uint64_t nonce;
        rdg_buf_t all;
        rdg_word_t target = {{0}};
        CHECK(create(&w, OWNER, &init, &by, &nonce));
        memcpy(target.b + 12, RDG_REGISTRY_ADDRESS.b, 20);
        rdg_buf_init(&all, 1000);
        CHECK_OK(rdg_buf_append(&all, target.b, 32));
        CHECK_OK(rdg_buf_append(&all, data.data, data.len));
        CHECK(!send(&w, OWNER, &by, rdg_buf_view(&all)));
        if (kinds[i] == RDG_EVM_CALL)
            REFUSED(&w, "only a transaction sent to the registry itself may change it");
        if (kinds[i] == RDG_EVM_STATICCALL) REFUSED(&w, "a static call changes nothing");
        rdg_buf_fini(&all);
    }
    CHECK_EQ(status_of(&w, &a), RDG_CONTRACT_ACTIVE);
    /* The constructor of the next version tries it, and keeps in slot 0 whether it could. */
    size_t prologue = 22;
    snprintf(hex, sizeof hex, "61%04zx61%04zx5f395f5f61%04zx5f5f6110025af15f55", data.len,
             prologue + 9 + store.len, data.len);
    code_t tries = code_hex(hex), init = code_init(&tries, &store);
    CHECK_EQ(tries.len, prologue);
    CHECK(init.len + data.len <= sizeof init.b);
    memcpy(init.b + init.len, data.data, data.len);
    init.len += data.len;
    rdg_address_t b;
    CHECK(deploy(&w, OWNER, "upgrade", "A", &init, &b));
    CHECK_EQ(stored(&w, &b), 0);
    CHECK_EQ(status_of(&w, &a), RDG_CONTRACT_SUPERSEDED);
    rdg_buf_fini(&data);
    world_fini(&w);
}

TEST(registry_stays_after_a_restart_and_is_there_from_the_genesis_on) {
    world_t w;
    rdg_buf_t code, proof;
    uint64_t height;
    world_init(&w, 1);
    rdg_buf_init(&code, 100), rdg_buf_init(&proof, 1 << 16);
    CHECK_OK(rdg_ledger_account(w.l, &RDG_REGISTRY_ADDRESS, NULL, NULL, &code));
    CHECK_EQ(code.len, 1);
    rdg_address_t a = deploy_store(&w, "A"), b = deploy_store(&w, "B");
    CHECK(change(&w, OWNER, "freeze", named("A", 1)) && change(&w, OWNER, "revoke", named("B", 0)));
    world_reopen(&w);
    CHECK_EQ(status_of(&w, &a), RDG_CONTRACT_FROZEN);
    CHECK_EQ(status_of(&w, &b), RDG_CONTRACT_REVOKED);
    CHECK(!put(&w, &a, 1) && !put(&w, &b, 1));
    /* The status is proven with the account. */
    rdg_hash_t path;
    rdg_bytes_t value;
    rdg_ledger_head_t head;
    account_values_t account;
    bool exists;
    CHECK_OK(rdg_ledger_prove(w.l, &b, NULL, &proof, &height));
    rdg_ledger_head(w.l, &head);
    rdg_state_account_path(&b, &path);
    CHECK_OK(rdg_proof_verify(rdg_buf_view(&proof), &head.state_root, &path, &exists, &value));
    CHECK_OK(account_decode(value, &account));
    CHECK(exists && (account.life & LIFE_REVOKED));
    rdg_buf_fini(&code), rdg_buf_fini(&proof);
    world_fini(&w);
}

TEST(registry_status_has_one_form_in_an_account) {
    rdg_buf_t b;
    account_values_t in = {.nonce = 1}, out;
    rdg_buf_init(&b, 200);
    for (unsigned life = 0; life < 300; ++life) {
        rdg_buf_clear(&b);
        size_t list = rdg_rlp_list_begin(&b);
        rdg_rlp_put_u64(&b, 1), rdg_rlp_put_u64(&b, 0), rdg_rlp_put_bytes(&b, nothing);
        rdg_rlp_put_u64(&b, life);
        CHECK_OK(rdg_rlp_list_end(&b, list));
        rdg_err_t err = account_decode(rdg_buf_view(&b), &out);
        CHECK_EQ(err, life >= 1 && life <= LIFE_ALL ? RDG_OK : RDG_E_CORRUPT);
        if (err != RDG_OK) continue;
        rdg_buf_t again;
        rdg_buf_init(&again, 200);
        in.life = (uint8_t)life;
        CHECK_OK(account_encode(&in, &again));
        CHECK(rdg_bytes_equal(rdg_buf_view(&b), rdg_buf_view(&again)));
        rdg_buf_fini(&again);
    }
    rdg_buf_fini(&b);
}

TEST(registry_methods_are_those_of_the_published_interface) {
    world_t w;
    json_t *entry;
    size_t i, functions = 0;
    world_init(&w, 1);
    json_array_foreach(w.abi, i, entry) {
        uint8_t digest[32];
        rdg_buf_t text;
        if (strcmp(json_string_value(json_object_get(entry, "type")), "function") != 0) continue;
        ++functions;
        rdg_buf_init(&text, 1000);
        CHECK_OK(rdg_abi_signature(entry, &text));
        rdg_keccak256(text.data, text.len, digest);
        const registry_method_t *m = registry_method(rdg_bytes(digest, 4));
        CHECK(m && strcmp(m->name, json_string_value(json_object_get(entry, "name"))) == 0);
        const struct { const char *text, *field; } lists[] = {{m->inputs, "inputs"}, {m->outputs, "outputs"}};
        for (size_t k = 0; k < 2; ++k) {
            json_t *ours = native_params_json(lists[k].text),
                   *theirs = json_object_get(entry, lists[k].field);
            CHECK_EQ(json_array_size(ours), json_array_size(theirs));
            for (size_t n = 0; n < json_array_size(ours); ++n) {
                const json_t *x = json_array_get(ours, n), *y = json_array_get(theirs, n);
                CHECK(json_equal(json_object_get(x, "type"), json_object_get(y, "type")));
                CHECK(json_equal(json_object_get(x, "name"), json_object_get(y, "name")));
            }
            json_decref(ours);
        }
        bool changes = strcmp(json_string_value(json_object_get(entry, "stateMutability")), "view") != 0;
        CHECK_EQ(changes, m->kind != REGISTRY_VIEW);
        rdg_buf_fini(&text);
    }
    CHECK_EQ(functions, 28);
    world_fini(&w);
}
