/* The registry in the storage of its address. The slot of a field is SM3(kind ‖ field ‖ data):
 *
 *   'N' 0 name            bits of the whole name, 3 bytes 0, count (4), active (4), owner (20)
 *   'L' 0, 1 index (8)    the name with that index from 0, 64 bytes filled up with zeros
 *   'C' 0                 how many names there are
 *   'V' 0 version (4) ‖ name   4 bytes 0, height (8), address (20);  1: ABI digest;  2: deployer
 *   'A' 0 address         version;  1, 2: the name it belongs to, as in 'L'
 *   'P' 0                 who may create
 *   'D' 0 address         place in the list of deployers, from 1;  'E' 0 index (8) the deployer;  'F' 0 their count
 *   'H' 0 SM3 digest      1: init code that is approved
 *
 * The bit 0x80 of 'N' 0 says that the name exists. */
#include <stdarg.h>
#include <string.h>
#include "registry_call.h"
#include "ridge/base/alloc.h"
#include "ridge/crypto/hash.h"
#include "word.h"

enum { NAME_EXISTS = 0x80, VERSION_KEY_MAX = 4 + RDG_NAME_MAX };

static const uint8_t STUB[] = {0xfe}; /* as governance's: calls are answered before it would run */

rdg_err_t registry_create(state_t *s) {
    account_t *account;
    RDG_TRY(state_account(s, &RDG_REGISTRY_ADDRESS, &account));
    account->now.nonce = 1;
    account->now.code = rdg_bytes(STUB, sizeof STUB);
    account->now.code_loaded = account->now.code_new = true;
    rdg_keccak256(STUB, sizeof STUB, account->now.code_hash.b);
    return RDG_OK;
}

bool registry_stopped(const registry_run_t *r) {
    return r->err != RDG_OK || r->out_of_gas;
}

const char *registry_refuse(registry_run_t *r, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(r->why, sizeof r->why, format, args);
    va_end(args);
    return r->why;
}

/* --- slots ------------------------------------------------------------------------------------------------------ */

bool registry_charge(registry_run_t *r, uint64_t gas) {
    if (registry_stopped(r)) return false;
    r->out_of_gas = r->gas_left < gas;
    if (!r->out_of_gas) r->gas_left -= gas;
    return !r->out_of_gas;
}

static slot_t *find_slot(registry_run_t *r, char kind, uint8_t field, rdg_bytes_t data) {
    uint8_t head[2] = {(uint8_t)kind, field};
    rdg_bytes_t parts[] = {rdg_bytes(head, sizeof head), data};
    rdg_hash_t digest;
    rdg_word_t key;
    slot_t *slot = NULL;
    rdg_sm3_parts(parts, 2, &digest);
    memcpy(key.b, digest.b, sizeof key.b);
    r->err = state_slot(r->host->state, &RDG_REGISTRY_ADDRESS, &key, &slot);
    return r->err == RDG_OK ? slot : NULL;
}

rdg_word_t registry_get(registry_run_t *r, char kind, uint8_t field, rdg_bytes_t data) {
    const slot_t *slot = registry_charge(r, REGISTRY_GAS_READ) ? find_slot(r, kind, field, data) : NULL;
    return slot ? slot->value : (rdg_word_t){{0}};
}

void registry_set(registry_run_t *r, char kind, uint8_t field, rdg_bytes_t data, const rdg_word_t *value) {
    slot_t *slot = registry_stopped(r) ? NULL : find_slot(r, kind, field, data);
    if (!slot || memcmp(slot->value.b, value->b, sizeof value->b) == 0) return;
    if (registry_charge(r, word_is_zero(&slot->value) ? REGISTRY_GAS_SET : REGISTRY_GAS_RESET))
        r->err = state_set_slot(r->host->state, slot, value);
}

account_t *registry_account(registry_run_t *r, const rdg_address_t *a) {
    account_t *account = NULL;
    if (registry_charge(r, REGISTRY_GAS_READ)) r->err = state_account(r->host->state, a, &account);
    return registry_stopped(r) ? NULL : account;
}

static uint64_t low64(const rdg_word_t *w) {
    return rdg_load_be64(w->b + 24);
}

static rdg_bytes_t index_key(uint64_t index, uint8_t out[8]) {
    rdg_store_be64(out, index);
    return rdg_bytes(out, 8);
}

static rdg_bytes_t of_address(const rdg_address_t *a) {
    return rdg_bytes(a->b, sizeof a->b);
}

static rdg_bytes_t of_text(const char *text) {
    return rdg_bytes(text, strlen(text));
}

/* --- names and versions ----------------------------------------------------------------------------------------- */

void registry_load_name(registry_run_t *r, const char *text, registry_name_t *out) {
    rdg_word_t w = registry_get(r, 'N', 0, of_text(text));
    *out = (registry_name_t){.exists = (w.b[0] & NAME_EXISTS) != 0, .life = w.b[0] & LIFE_ALL};
    snprintf(out->text, sizeof out->text, "%s", text);
    out->count = rdg_load_be32(w.b + 4);
    out->active = rdg_load_be32(w.b + 8);
    memcpy(out->owner.b, w.b + 12, sizeof out->owner.b);
}

void registry_store_name(registry_run_t *r, const registry_name_t *n) {
    rdg_word_t w = {{(uint8_t)(NAME_EXISTS | n->life)}};
    rdg_store_be32(w.b + 4, n->count);
    rdg_store_be32(w.b + 8, n->active);
    memcpy(w.b + 12, n->owner.b, sizeof n->owner.b);
    registry_set(r, 'N', 0, of_text(n->text), &w);
}

/* 64 bytes in two slots. */
static void set_text(registry_run_t *r, char kind, uint8_t field, rdg_bytes_t data, const char *text) {
    rdg_word_t halves[2] = {{{0}}, {{0}}};
    for (size_t i = 0; text[i] && i < RDG_NAME_MAX; ++i) halves[i / 32].b[i % 32] = (uint8_t)text[i];
    registry_set(r, kind, field, data, &halves[0]);
    registry_set(r, kind, field + 1, data, &halves[1]);
}

static void get_text(registry_run_t *r, char kind, uint8_t field, rdg_bytes_t data,
                     char out[RDG_NAME_MAX + 1]) {
    rdg_word_t first = registry_get(r, kind, field, data), second = {{0}};
    if (first.b[31]) second = registry_get(r, kind, field + 1, data);
    memcpy(out, first.b, sizeof first.b);
    memcpy(out + sizeof first.b, second.b, sizeof second.b);
    out[RDG_NAME_MAX] = 0;
}

uint64_t registry_name_count(registry_run_t *r) {
    rdg_word_t w = registry_get(r, 'C', 0, rdg_bytes(NULL, 0));
    return low64(&w);
}

void registry_list_name(registry_run_t *r, const char *text) {
    uint8_t key[8];
    uint64_t count = registry_name_count(r);
    rdg_word_t more = word_from_u64(count + 1);
    set_text(r, 'L', 0, index_key(count, key), text);
    registry_set(r, 'C', 0, rdg_bytes(NULL, 0), &more);
}

void registry_name_at(registry_run_t *r, uint64_t index, char out[RDG_NAME_MAX + 1]) {
    uint8_t key[8];
    get_text(r, 'L', 0, index_key(index, key), out);
}

static rdg_bytes_t version_key(const char *name, uint32_t version, uint8_t out[VERSION_KEY_MAX]) {
    size_t len = strlen(name);
    rdg_store_be32(out, version);
    memcpy(out + 4, name, len);
    return rdg_bytes(out, 4 + len);
}

void registry_load_version(registry_run_t *r, const char *name, uint32_t version, registry_version_t *out) {
    uint8_t key[VERSION_KEY_MAX];
    rdg_bytes_t data = version_key(name, version, key);
    rdg_word_t w = registry_get(r, 'V', 0, data);
    memset(out, 0, sizeof *out);
    out->height = rdg_load_be64(w.b + 4);
    memcpy(out->address.b, w.b + 12, sizeof out->address.b);
    out->abi_digest = registry_get(r, 'V', 1, data);
    w = registry_get(r, 'V', 2, data);
    memcpy(out->deployer.b, w.b + 12, sizeof out->deployer.b);
}

void registry_store_version(registry_run_t *r, const char *name, uint32_t version,
                            const registry_version_t *v) {
    uint8_t key[VERSION_KEY_MAX];
    rdg_bytes_t data = version_key(name, version, key);
    rdg_word_t w = {{0}}, deployer = {{0}}, number = word_from_u64(version);
    rdg_store_be64(w.b + 4, v->height);
    memcpy(w.b + 12, v->address.b, sizeof v->address.b);
    memcpy(deployer.b + 12, v->deployer.b, sizeof v->deployer.b);
    registry_set(r, 'V', 0, data, &w);
    registry_set(r, 'V', 1, data, &v->abi_digest);
    registry_set(r, 'V', 2, data, &deployer);
    registry_set(r, 'A', 0, of_address(&v->address), &number);
    set_text(r, 'A', 1, of_address(&v->address), name);
}

void registry_find_address(registry_run_t *r, const rdg_address_t *a, char name[RDG_NAME_MAX + 1],
                           uint32_t *version) {
    rdg_word_t w = registry_get(r, 'A', 0, of_address(a));
    *version = (uint32_t)low64(&w);
    name[0] = 0;
    if (*version) get_text(r, 'A', 1, of_address(a), name);
}

/* --- who may create ----------------------------------------------------------------------------------------------- */

deploy_policy_t registry_policy(registry_run_t *r) {
    rdg_word_t w = registry_get(r, 'P', 0, rdg_bytes(NULL, 0));
    return (deploy_policy_t)w.b[31];
}

uint32_t registry_deployer_count(registry_run_t *r) {
    rdg_word_t w = registry_get(r, 'F', 0, rdg_bytes(NULL, 0));
    return (uint32_t)low64(&w);
}

rdg_address_t registry_deployer_at(registry_run_t *r, uint32_t index) {
    uint8_t key[8];
    rdg_address_t out;
    rdg_word_t w = registry_get(r, 'E', 0, index_key(index, key));
    memcpy(out.b, w.b + 12, sizeof out.b);
    return out;
}

static uint32_t deployer_place(registry_run_t *r, const rdg_address_t *a) {
    rdg_word_t w = registry_get(r, 'D', 0, of_address(a));
    return (uint32_t)low64(&w);
}

bool registry_is_deployer(registry_run_t *r, const rdg_address_t *a) {
    return deployer_place(r, a) > 0;
}

static void set_deployer(registry_run_t *r, uint32_t index, const rdg_address_t *a) {
    uint8_t key[8];
    rdg_word_t w = {{0}}, place = word_from_u64(index + 1);
    memcpy(w.b + 12, a->b, sizeof a->b);
    registry_set(r, 'E', 0, index_key(index, key), &w);
    registry_set(r, 'D', 0, of_address(a), &place);
}

static void set_deployer_count(registry_run_t *r, uint32_t count) {
    rdg_word_t w = word_from_u64(count);
    registry_set(r, 'F', 0, rdg_bytes(NULL, 0), &w);
}

void registry_add_deployer(registry_run_t *r, const rdg_address_t *a) {
    uint32_t count = registry_deployer_count(r);
    set_deployer(r, count, a);
    set_deployer_count(r, count + 1);
}

/* The last one takes the place that becomes free. */
void registry_remove_deployer(registry_run_t *r, const rdg_address_t *a) {
    uint8_t key[8];
    rdg_word_t zero = {{0}};
    uint32_t place = deployer_place(r, a), count = registry_deployer_count(r);
    if (registry_stopped(r) || place == 0) return;
    rdg_address_t last = registry_deployer_at(r, count - 1);
    set_deployer(r, place - 1, &last);
    registry_set(r, 'E', 0, index_key(count - 1, key), &zero);
    registry_set(r, 'D', 0, of_address(a), &zero);
    set_deployer_count(r, count - 1);
}

bool registry_is_admin(registry_run_t *r, const rdg_address_t *a) {
    size_t slots = 0;
    governance_t *g = registry_stopped(r) ? NULL : rdg_alloc(sizeof *g);
    if (!g) {
        if (!registry_stopped(r)) r->err = rdg_fail(RDG_E_NO_MEMORY, "no memory for the chain's governance");
        return false;
    }
    r->err = governance_load(r->host->state, r->host->genesis->validators.chain_id, g, &slots);
    bool is =
        r->err == RDG_OK && registry_charge(r, GOVERNANCE_GAS_SLOT * slots) && governance_is_admin(g, a);
    rdg_free(g);
    return is;
}

static const char *check_code(registry_run_t *r, const rdg_hash_t *digest) {
    rdg_word_t zero = {{0}};
    rdg_bytes_t key = digest ? rdg_bytes(digest->b, sizeof digest->b) : rdg_bytes(NULL, 0);
    if (!digest) return NULL;
    rdg_word_t w = registry_get(r, 'H', 0, key);
    if (word_is_zero(&w))
        return "this chain takes only code that its administrators approved: ask them to approve the SM3 "
               "digest of "
               "the init code (approveCode)";
    registry_set(r, 'H', 0, key, &zero);
    return NULL;
}

const char *registry_check_deployer(registry_run_t *r, const rdg_address_t *a, const rdg_hash_t *digest) {
    switch (registry_policy(r)) {
    case DEPLOY_ANYBODY: return NULL;
    case DEPLOY_DEPLOYERS:
        if (registry_is_deployer(r, a) || registry_is_admin(r, a)) return NULL;
        return "only deployers and administrators may create contracts on this chain: ask an administrator "
               "for the "
               "role (addDeployer)";
    case DEPLOY_ADMINISTRATORS:
        return registry_is_admin(r, a) ? NULL : "only administrators may create contracts on this chain";
    case DEPLOY_APPROVED_CODE: return check_code(r, digest);
    }
    return "the chain's deploy policy is unknown";
}
