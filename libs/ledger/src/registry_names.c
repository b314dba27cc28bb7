/* What owners do with their names, and administrators in their place. */
#include <string.h>
#include "registry_call.h"
#include "ridge/codec/hex.h"
#include "word.h"

const char REGISTRY_ASK_ADMINS[] = "the administrators decide";

static const char bad_name[] =
    "no valid name: want 1 to 64 letters, digits or . _ -, first a letter or digit";

static bool is_name(const char *text) {
    static const char first[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
                      further[] = "._-";
    size_t len = 0;
    while (text[len] && (strchr(first, text[len]) || (len > 0 && strchr(further, text[len])))) ++len;
    return len >= 1 && len <= RDG_NAME_MAX && text[len] == 0;
}

static bool get_address(const json_t *args, const char *field, rdg_address_t *out) {
    return rdg_json_get_hex(args, field, out->b, sizeof out->b) == RDG_OK;
}

const char *registry_find_name(registry_run_t *r, const char *text, registry_name_t *out) {
    if (!is_name(text)) return bad_name;
    registry_load_name(r, text, out);
    return out->exists || registry_stopped(r) ? NULL : registry_refuse(r, "there is no contract '%s'", text);
}

const char *registry_check_new(registry_run_t *r, const char *name, registry_name_t *out) {
    if (!is_name(name)) return bad_name;
    registry_load_name(r, name, out);
    if (!out->exists) return NULL;
    return registry_refuse(r, "the name '%s' is taken: upgrade it, or take another one", name);
}

/* --- register ------------------------------------------------------------------------------------------------------ */

static const char *check_unnamed(registry_run_t *r, const rdg_address_t *a) {
    char name[RDG_NAME_MAX + 1];
    uint32_t version;
    const account_t *account = registry_account(r, a);
    if (!account) return NULL;
    if (word_is_zero(&account->now.code_hash)) return "there is no contract at that address";
    if (account->now.life & LIFE_REVOKED) return "the contract is revoked";
    if (rdg_address_equal(a, &RDG_GOVERNANCE_ADDRESS) || rdg_address_equal(a, &RDG_REGISTRY_ADDRESS))
        return "the contract is built in";
    registry_find_address(r, a, name, &version);
    return version ? registry_refuse(r, "the contract is '%s' already, version %u", name, version) : NULL;
}

static const char *check_owner(registry_run_t *r, const rdg_address_t *a) {
    static const rdg_address_t none;
    if (rdg_address_equal(a, &none)) return "the zero address owns nothing";
    const account_t *account = registry_account(r, a);
    if (account && !word_is_zero(&account->now.code_hash))
        return "a contract cannot own a name: its owner signs transactions";
    return NULL;
}

static const char *add_name(registry_run_t *r, const json_t *args, registry_name_t *n,
                            const rdg_address_t *a) {
    registry_version_t v = {.address = *a, .deployer = n->owner, .height = r->host->context->block_number};
    if (rdg_json_get_hex(args, "abiDigest", v.abi_digest.b, sizeof v.abi_digest.b) != RDG_OK)
        return "an ABI digest is 32 bytes";
    n->count = n->active = 1;
    registry_list_name(r, n->text);
    registry_store_name(r, n);
    registry_store_version(r, n->text, 1, &v);
    native_event_t event = {.signature = "Registered(string,address,string,address,bytes32)",
                            .indexed_count = 2,
                            .params = "string name,address owner,bytes32 abiDigest"};
    rdg_keccak256(n->text, strlen(n->text), event.indexed[0].b);
    memcpy(event.indexed[1].b + 12, a->b, sizeof a->b);
    registry_emit(r, &event,
                  json_pack("[s, o, o]", n->text, rdg_json_hex(n->owner.b, sizeof n->owner.b),
                            rdg_json_hex(v.abi_digest.b, sizeof v.abi_digest.b)));
    return NULL;
}

static const char *register_contract(registry_run_t *r, const json_t *args, const rdg_address_t *owner) {
    rdg_address_t a;
    registry_name_t n;
    if (!get_address(args, "contractAddress", &a)) return "an address is 20 bytes";
    const char *why = registry_check_new(r, native_text(args, "name"), &n);
    if (!why) why = check_unnamed(r, &a);
    if (!why) why = check_owner(r, owner);
    n.owner = *owner;
    return why ? why : add_name(r, args, &n, &a);
}

const char *registry_register(registry_run_t *r, const json_t *args) {
    rdg_address_t given, created;
    uint64_t nonce = native_u64(args, "nonce");
    if (!get_address(args, "contractAddress", &given)) return "an address is 20 bytes";
    rdg_evm_create_address(&r->sender, nonce, &created);
    if (!rdg_address_equal(&given, &created))
        return "the caller did not create that contract by a transaction with that nonce: ask an "
               "administrator "
               "(registerFor)";
    return register_contract(r, args, &r->sender);
}

const char *registry_register_for(registry_run_t *r, const json_t *args) {
    rdg_address_t owner;
    if (!get_address(args, "owner", &owner)) return "an address is 20 bytes";
    return register_contract(r, args, &owner);
}

/* --- freeze, unfreeze, revoke --------------------------------------------------------------------------------------- */

void registry_emit_life(registry_run_t *r, const char *event, const rdg_address_t *a, const char *name,
                        uint32_t version) {
    char signature[64];
    snprintf(signature, sizeof signature, "%s(string,address,string,uint32,bool)", event);
    native_event_t e = {.signature = signature,
                        .indexed_count = 2,
                        .params = "string name,uint32 version,bool byAdministrators"};
    rdg_keccak256(name, strlen(name), e.indexed[0].b);
    memcpy(e.indexed[1].b + 12, a->b, sizeof a->b);
    registry_emit(r, &e, json_pack("[s, I, b]", name, (json_int_t)version, (int)r->by_admins));
}

static bool may_act(const registry_run_t *r, const registry_name_t *n) {
    return r->by_admins || rdg_address_equal(&r->sender, &n->owner);
}

/* r->why: what a caller is told who is no administrator. */
static const char *ask_admins(registry_run_t *r, const registry_name_t *n) {
    registry_refuse(r, "only the owner of '%s' or an administrator may do this", n->text);
    return REGISTRY_ASK_ADMINS;
}

typedef struct change {
    const char *event;
    uint8_t set, clear;
} change_t;

static void change_version(registry_run_t *r, const registry_name_t *n, uint32_t version, const change_t *c,
                           bool *changed) {
    registry_version_t v;
    registry_load_version(r, n->text, version, &v);
    account_t *account = registry_account(r, &v.address);
    if (!account || (account->now.life & LIFE_REVOKED)) return;
    uint8_t life = (uint8_t)((account->now.life | c->set) & ~c->clear);
    if (life == account->now.life) return;
    *changed = true;
    if (!registry_charge(r, REGISTRY_GAS_RESET)) return;
    r->err = registry_set_life(r->host->state, account, life);
    registry_emit_life(r, c->event, &v.address, n->text, version);
}

/* *version 0: all. The name's own status follows when all are meant. */
static bool change_versions(registry_run_t *r, registry_name_t *n, uint32_t version, const change_t *c) {
    bool changed = false;
    uint8_t life = (uint8_t)((n->life | c->set) & ~c->clear);
    if (version != 0) {
        change_version(r, n, version, c, &changed);
        return changed;
    }
    for (uint32_t v = 1; v <= n->count && !registry_stopped(r); ++v) change_version(r, n, v, c, &changed);
    if (life != n->life) changed = true;
    n->life = life;
    registry_store_name(r, n);
    return changed;
}

static const char *begin(registry_run_t *r, const json_t *args, registry_name_t *n, uint32_t *version) {
    *version = native_u32(args, "version");
    const char *why = registry_find_name(r, native_text(args, "name"), n);
    if (why) return why;
    if (*version > n->count)
        return registry_refuse(r, "contract '%s' has no version %u: the newest is %u", n->text, *version,
                               n->count);
    if (!may_act(r, n)) return ask_admins(r, n);
    return n->life & LIFE_REVOKED ? registry_refuse(r, "contract '%s' is revoked for good", n->text) : NULL;
}

static uint8_t life_of(registry_run_t *r, const registry_name_t *n, uint32_t version) {
    registry_version_t v;
    if (version == 0) return n->life;
    registry_load_version(r, n->text, version, &v);
    const account_t *account = registry_account(r, &v.address);
    return account ? account->now.life : 0;
}

static const char *check_revoked(registry_run_t *r, const registry_name_t *n, uint32_t version) {
    if (version == 0 || !(life_of(r, n, version) & LIFE_REVOKED)) return NULL;
    return registry_refuse(r, "version %u of contract '%s' is revoked for good", version, n->text);
}

static const char *unchanged(registry_run_t *r, const registry_name_t *n, uint32_t version, const char *is) {
    if (registry_stopped(r)) return NULL;
    if (version == 0) return registry_refuse(r, "contract '%s' is %s", n->text, is);
    return registry_refuse(r, "version %u of contract '%s' is %s", version, n->text, is);
}

const char *registry_freeze(registry_run_t *r, const json_t *args) {
    registry_name_t n;
    uint32_t version;
    const char *why = begin(r, args, &n, &version);
    if (!why) why = check_revoked(r, &n, version);
    if (why) return why;
    change_t c = {"Frozen", r->by_admins ? LIFE_FROZEN_BY_ADMINS : LIFE_FROZEN_BY_OWNER, 0};
    return change_versions(r, &n, version, &c) ? NULL : unchanged(r, &n, version, "frozen already");
}

/* Who unfreezes the name means all of it; but a version that administrators froze by itself stays so for its owner. */
const char *registry_unfreeze(registry_run_t *r, const json_t *args) {
    registry_name_t n;
    uint32_t version;
    const char *why = begin(r, args, &n, &version);
    if (!why) why = check_revoked(r, &n, version);
    if (why) return why;
    bool theirs = life_of(r, &n, version) & LIFE_FROZEN_BY_ADMINS;
    if (theirs && !r->by_admins) {
        registry_refuse(r, "contract '%s' was frozen by the administrators: only they unfreeze it", n.text);
        return REGISTRY_ASK_ADMINS;
    }
    change_t c = {"Unfrozen", 0, LIFE_FROZEN_BY_OWNER};
    if (r->by_admins) c.clear |= LIFE_FROZEN_BY_ADMINS;
    return change_versions(r, &n, version, &c) ? NULL : unchanged(r, &n, version, "not frozen");
}

const char *registry_revoke(registry_run_t *r, const json_t *args) {
    registry_name_t n;
    uint32_t version;
    const char *why = begin(r, args, &n, &version);
    if (!why) why = check_revoked(r, &n, version);
    if (why) return why;
    change_t c = {"Revoked", LIFE_REVOKED, 0};
    return change_versions(r, &n, version, &c) ? NULL : unchanged(r, &n, version, "revoked for good");
}

const char *registry_transfer(registry_run_t *r, const json_t *args) {
    registry_name_t n;
    rdg_address_t to;
    const char *why = registry_find_name(r, native_text(args, "name"), &n);
    if (why) return why;
    if (!may_act(r, &n)) return ask_admins(r, &n);
    if (!get_address(args, "newOwner", &to)) return "an address is 20 bytes";
    if ((why = check_owner(r, &to))) return why;
    if (rdg_address_equal(&to, &n.owner)) return "the account owns the contract already";
    native_event_t event = {.signature = "OwnershipTransferred(string,string,address,address)",
                            .indexed_count = 1,
                            .params = "string name,address from,address to"};
    rdg_keccak256(n.text, strlen(n.text), event.indexed[0].b);
    registry_emit(r, &event,
                  json_pack("[s, o, o]", n.text, rdg_json_hex(n.owner.b, sizeof n.owner.b),
                            rdg_json_hex(to.b, sizeof to.b)));
    n.owner = to;
    registry_store_name(r, &n);
    return NULL;
}
