/* What anybody may read of the registry. */
#include "registry_call.h"
#include "ridge/codec/hex.h"
#include "word.h"

static json_t *address_json(const rdg_address_t *a) {
    return rdg_json_hex(a->b, sizeof a->b);
}

static rdg_contract_status_t status_at(registry_run_t *r, const rdg_address_t *a) {
    const account_t *account = registry_account(r, a);
    return account ? rdg_contract_status(account->now.life) : RDG_CONTRACT_ACTIVE;
}

static bool get_address(const json_t *args, const char *field, rdg_address_t *out) {
    return rdg_json_get_hex(args, field, out->b, sizeof out->b) == RDG_OK;
}

/* Where a page of a list of count items ends. */
static uint64_t page_end(uint64_t from, uint64_t limit, uint64_t count) {
    if (limit > RDG_REGISTRY_PAGE_MAX) limit = RDG_REGISTRY_PAGE_MAX;
    if (from >= count) return from;
    return count - from < limit ? count : from + limit;
}

const char *registry_view_resolve(registry_run_t *r, const json_t *args) {
    registry_name_t n;
    registry_version_t v;
    const char *why = registry_find_name(r, native_text(args, "name"), &n);
    if (why) return why;
    registry_load_version(r, n.text, n.active, &v);
    registry_put(r, address_json(&v.address));
    return NULL;
}

const char *registry_view_contract(registry_run_t *r, const json_t *args) {
    registry_name_t n;
    registry_version_t v;
    const char *why = registry_find_name(r, native_text(args, "name"), &n);
    if (why) return why;
    registry_load_version(r, n.text, n.active, &v);
    registry_put(r, address_json(&n.owner));
    registry_put_u64(r, n.active);
    registry_put_u64(r, n.count);
    registry_put(r, address_json(&v.address));
    registry_put_u64(r, status_at(r, &v.address));
    return NULL;
}

const char *registry_view_version(registry_run_t *r, const json_t *args) {
    registry_name_t n;
    registry_version_t v;
    uint32_t version = native_u32(args, "version");
    const char *why = registry_find_name(r, native_text(args, "name"), &n);
    if (why) return why;
    if (version == 0) version = n.active;
    if (version > n.count)
        return registry_refuse(r, "contract '%s' has no version %u: the newest is %u", n.text, version,
                               n.count);
    registry_load_version(r, n.text, version, &v);
    const account_t *account = registry_account(r, &v.address);
    rdg_word_t code_hash = account ? account->now.code_hash : (rdg_word_t){{0}};
    registry_put(r, address_json(&v.address));
    registry_put_u64(r, account ? rdg_contract_status(account->now.life) : 0);
    registry_put(r, rdg_json_hex(v.abi_digest.b, sizeof v.abi_digest.b));
    registry_put(r, rdg_json_hex(code_hash.b, sizeof code_hash.b));
    registry_put(r, address_json(&v.deployer));
    registry_put_u64(r, v.height);
    return NULL;
}

const char *registry_view_versions(registry_run_t *r, const json_t *args) {
    registry_name_t n;
    const char *why = registry_find_name(r, native_text(args, "name"), &n);
    if (why) return why;
    uint64_t from = native_u32(args, "from");
    if (from == 0) from = 1;
    uint64_t end = page_end(from, native_u32(args, "limit"), (uint64_t)n.count + 1);
    json_t *addresses = json_array(), *statuses = json_array(), *digests = json_array(),
           *heights = json_array();
    for (uint64_t i = from; i < end && !registry_stopped(r); ++i) {
        registry_version_t v;
        registry_load_version(r, n.text, (uint32_t)i, &v);
        json_array_append_new(addresses, address_json(&v.address));
        json_array_append_new(statuses, json_integer(status_at(r, &v.address)));
        json_array_append_new(digests, rdg_json_hex(v.abi_digest.b, sizeof v.abi_digest.b));
        json_array_append_new(heights, json_integer((json_int_t)v.height));
    }
    registry_put(r, addresses);
    registry_put(r, statuses);
    registry_put(r, digests);
    registry_put(r, heights);
    return NULL;
}

const char *registry_view_name_of(registry_run_t *r, const json_t *args) {
    rdg_address_t a;
    char name[RDG_NAME_MAX + 1];
    uint32_t version;
    if (!get_address(args, "contractAddress", &a)) return "an address is 20 bytes";
    registry_find_address(r, &a, name, &version);
    registry_put(r, json_string(name));
    registry_put_u64(r, version);
    return NULL;
}

const char *registry_view_status(registry_run_t *r, const json_t *args) {
    rdg_address_t a;
    if (!get_address(args, "contractAddress", &a)) return "an address is 20 bytes";
    registry_put_u64(r, status_at(r, &a));
    return NULL;
}

const char *registry_view_name_count(registry_run_t *r, const json_t *args) {
    (void)args;
    registry_put_u64(r, registry_name_count(r));
    return NULL;
}

const char *registry_view_names(registry_run_t *r, const json_t *args) {
    uint64_t from = native_u64(args, "from");
    uint64_t end = page_end(from, native_u32(args, "limit"), registry_name_count(r));
    json_t *list = json_array();
    for (uint64_t i = from; i < end && !registry_stopped(r); ++i) {
        char name[RDG_NAME_MAX + 1];
        registry_name_at(r, i, name);
        json_array_append_new(list, json_string(name));
    }
    registry_put(r, list);
    return NULL;
}

const char *registry_view_policy(registry_run_t *r, const json_t *args) {
    (void)args;
    registry_put_u64(r, registry_policy(r));
    return NULL;
}

/* Under approved code anybody may, with such code. */
const char *registry_view_may_deploy(registry_run_t *r, const json_t *args) {
    rdg_address_t a;
    if (!get_address(args, "account", &a)) return "an account is 20 bytes";
    registry_put(r, json_boolean(registry_check_deployer(r, &a, NULL) == NULL));
    return NULL;
}

const char *registry_view_deployers(registry_run_t *r, const json_t *args) {
    uint64_t from = native_u32(args, "from");
    uint64_t end = page_end(from, native_u32(args, "limit"), registry_deployer_count(r));
    json_t *list = json_array();
    for (uint64_t i = from; i < end && !registry_stopped(r); ++i) {
        rdg_address_t a = registry_deployer_at(r, (uint32_t)i);
        json_array_append_new(list, address_json(&a));
    }
    registry_put(r, list);
    return NULL;
}

const char *registry_view_code(registry_run_t *r, const json_t *args) {
    rdg_word_t digest;
    if (rdg_json_get_hex(args, "initCodeDigest", digest.b, sizeof digest.b) != RDG_OK)
        return "a digest is 32 bytes";
    rdg_word_t w = registry_get(r, 'H', 0, rdg_bytes(digest.b, sizeof digest.b));
    registry_put(r, json_boolean(!word_is_zero(&w)));
    return NULL;
}
