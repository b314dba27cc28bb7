/* What a contract's status lets run. */
#include <string.h>
#include "registry.h"
#include "ridge/codec/hex.h"
#include "ridge/crypto/hash.h"

const rdg_address_t RDG_REGISTRY_ADDRESS = {{[18] = 0x10, [19] = 0x02}};

rdg_contract_status_t rdg_contract_status(uint8_t life) {
    if (life & LIFE_REVOKED) return RDG_CONTRACT_REVOKED;
    if (life & (LIFE_FROZEN_BY_OWNER | LIFE_FROZEN_BY_ADMINS)) return RDG_CONTRACT_FROZEN;
    return life & LIFE_SUPERSEDED ? RDG_CONTRACT_SUPERSEDED : RDG_CONTRACT_ACTIVE;
}

const char *rdg_contract_status_name(rdg_contract_status_t s) {
    static const char *const names[] = {"active", "frozen", "superseded", "revoked"};
    return (size_t)s < sizeof names / sizeof names[0] ? names[s] : "unknown";
}

rdg_err_t registry_set_life(state_t *s, account_t *a, uint8_t life) {
    RDG_TRY(state_touch_account(s, a));
    a->now.life = life;
    return RDG_OK;
}

rdg_err_t registry_refusal(const account_t *a, rdg_buf_t *out) {
    static const char *const texts[] = {[RDG_CONTRACT_ACTIVE] = "",
                                        [RDG_CONTRACT_FROZEN] = "is frozen: it can be read, not changed",
                                        [RDG_CONTRACT_SUPERSEDED] =
                                            "is superseded by a newer version: it can be read, not changed",
                                        [RDG_CONTRACT_REVOKED] = "is revoked: nothing can call it"};
    char text[160], hex[2 * sizeof a->address.b + 1];
    rdg_hex_encode(a->address.b, sizeof a->address.b, hex);
    snprintf(text, sizeof text, "contract 0x%s %s", hex, texts[rdg_contract_status(a->now.life)]);
    return native_reason(text, out);
}

/* Code alone is lent by a superseded contract: what it changes is its user's storage. */
static bool may_run(const state_host_t *host, uint8_t life, rdg_evm_kind_t kind, bool is_static) {
    if (life & LIFE_REVOKED) return host->audit && is_static;
    if (life & (LIFE_FROZEN_BY_OWNER | LIFE_FROZEN_BY_ADMINS)) return is_static;
    return is_static || kind == RDG_EVM_DELEGATECALL || kind == RDG_EVM_CALLCODE;
}

rdg_err_t registry_may_call(void *ctx, const rdg_address_t *a, rdg_evm_kind_t kind, bool is_static,
                            rdg_buf_t *refusal, bool *out) {
    state_host_t *host = ctx;
    const account_t *account = host->entered;
    if (!account || !rdg_address_equal(&account->address, a)) {
        account_t *loaded;
        RDG_TRY(state_account(host->state, a, &loaded));
        account = loaded;
    }
    *out = account->now.life == 0 || may_run(host, account->now.life, kind, is_static);
    return *out ? RDG_OK : registry_refusal(account, refusal);
}
