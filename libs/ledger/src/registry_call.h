/* One running call of the registry. */
#ifndef RIDGE_LEDGER_REGISTRY_CALL_H
#define RIDGE_LEDGER_REGISTRY_CALL_H
#include "registry.h"

enum {
    REGISTRY_GAS_BASE = 30000,
    REGISTRY_GAS_READ = 2100,  /* a slot or an account */
    REGISTRY_GAS_SET = 20000,  /* a slot that was zero */
    REGISTRY_GAS_RESET = 5000, /* another, or the status of an account */
};

typedef enum deploy_policy {
    DEPLOY_ANYBODY,
    DEPLOY_DEPLOYERS,
    DEPLOY_ADMINISTRATORS,
    DEPLOY_APPROVED_CODE
} deploy_policy_t;

typedef struct registry_run {
    state_host_t *host;
    rdg_address_t sender;
    rdg_bytes_t data; /* the call */
    bool by_admins;   /* the administrators have approved */
    json_t *results;
    uint64_t gas_left;
    bool out_of_gas;             /* sticks; reads give zero then, and writes do nothing */
    rdg_err_t err;               /* trouble of this node; sticks likewise */
    char why[REGISTRY_TEXT_MAX]; /* refusals that name something */
} registry_run_t;

/* What a method returns when it asks for the administrators' authority; r->why then says what a caller is told who is
 * none. */
extern const char REGISTRY_ASK_ADMINS[];

typedef enum registry_kind {
    REGISTRY_VIEW,
    REGISTRY_OWNERS,
    REGISTRY_ADMINS,
    REGISTRY_SENDERS
} registry_kind_t;
typedef struct registry_method {
    const char *name, *inputs, *outputs;
    registry_kind_t kind; /* OWNERS: of the owner or the administrators; SENDERS: checks the sender itself */
    const char *(*run)(registry_run_t *r, const json_t *args); /* NULL, or why it is refused */
} registry_method_t;
/* NULL: no such method. registry_methods.c */
const registry_method_t *registry_method(rdg_bytes_t data);

bool registry_stopped(const registry_run_t *r);
bool registry_charge(registry_run_t *r, uint64_t gas); /* false: stopped */
const char *registry_refuse(registry_run_t *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
void registry_put(registry_run_t *r, json_t *value); /* takes value */
void registry_put_u64(registry_run_t *r, uint64_t value);
/* args is taken; event->from is set here. */
void registry_emit(registry_run_t *r, native_event_t *event, json_t *args);

/* --- registry_store.c ----------------------------------------------------------------------------------------- */

typedef struct registry_name {
    char text[RDG_NAME_MAX + 1];
    bool exists;
    uint8_t life; /* of the name as a whole: LIFE_FROZEN_…, LIFE_REVOKED */
    uint32_t count, active;
    rdg_address_t owner;
} registry_name_t;

typedef struct registry_version {
    rdg_address_t address, deployer;
    uint64_t height;
    rdg_word_t abi_digest;
} registry_version_t;

/* Slots by the key SM3(kind ‖ field ‖ data). */
rdg_word_t registry_get(registry_run_t *r, char kind, uint8_t field, rdg_bytes_t data);
void registry_set(registry_run_t *r, char kind, uint8_t field, rdg_bytes_t data, const rdg_word_t *value);
/* An account, with gas for it; NULL when stopped. */
account_t *registry_account(registry_run_t *r, const rdg_address_t *a);

void registry_load_name(registry_run_t *r, const char *text, registry_name_t *out);
void registry_store_name(registry_run_t *r, const registry_name_t *n);
/* A new name gets a place in the list, its text is kept there. */
void registry_list_name(registry_run_t *r, const char *text);
uint64_t registry_name_count(registry_run_t *r);
void registry_name_at(registry_run_t *r, uint64_t index, char out[RDG_NAME_MAX + 1]);
void registry_load_version(registry_run_t *r, const char *name, uint32_t version, registry_version_t *out);
/* With the way back from its address. */
void registry_store_version(registry_run_t *r, const char *name, uint32_t version,
                            const registry_version_t *v);
/* *version 0: the address has no name. */
void registry_find_address(registry_run_t *r, const rdg_address_t *a, char name[RDG_NAME_MAX + 1],
                           uint32_t *version);

deploy_policy_t registry_policy(registry_run_t *r);
uint32_t registry_deployer_count(registry_run_t *r);
rdg_address_t registry_deployer_at(registry_run_t *r, uint32_t index);
bool registry_is_deployer(registry_run_t *r, const rdg_address_t *a);
void registry_add_deployer(registry_run_t *r, const rdg_address_t *a);
void registry_remove_deployer(registry_run_t *r, const rdg_address_t *a);
bool registry_is_admin(registry_run_t *r, const rdg_address_t *a);
/* By the policy; digest: SM3 of the init code, or NULL when code is not the question. */
const char *registry_check_deployer(registry_run_t *r, const rdg_address_t *a, const rdg_hash_t *digest);

/* --- registry_names.c: what owners do --------------------------------------------------------------------------- */

/* NULL, or why the name cannot be a new one's. */
const char *registry_check_new(registry_run_t *r, const char *name, registry_name_t *out);
const char *registry_find_name(registry_run_t *r, const char *text, registry_name_t *out);
const char *registry_register(registry_run_t *r, const json_t *args);
const char *registry_register_for(registry_run_t *r, const json_t *args);
const char *registry_freeze(registry_run_t *r, const json_t *args);
const char *registry_unfreeze(registry_run_t *r, const json_t *args);
const char *registry_revoke(registry_run_t *r, const json_t *args);
const char *registry_transfer(registry_run_t *r, const json_t *args);

/* --- registry_admins.c: what only administrators do ---------------------------------------------------------------- */

const char *registry_freeze_contract(registry_run_t *r, const json_t *args);
const char *registry_unfreeze_contract(registry_run_t *r, const json_t *args);
const char *registry_revoke_contract(registry_run_t *r, const json_t *args);
const char *registry_set_policy(registry_run_t *r, const json_t *args);
const char *registry_deployer_add(registry_run_t *r, const json_t *args);
const char *registry_deployer_remove(registry_run_t *r, const json_t *args);
const char *registry_approve_code(registry_run_t *r, const json_t *args);
const char *registry_disapprove_code(registry_run_t *r, const json_t *args);

/* Frozen, Unfrozen, Revoked. version 0 with an empty name: a contract without one. */
void registry_emit_life(registry_run_t *r, const char *event, const rdg_address_t *a, const char *name,
                        uint32_t version);

/* --- registry_views.c ------------------------------------------------------------------------------------------------ */

const char *registry_view_resolve(registry_run_t *r, const json_t *args);
const char *registry_view_contract(registry_run_t *r, const json_t *args);
const char *registry_view_version(registry_run_t *r, const json_t *args);
const char *registry_view_versions(registry_run_t *r, const json_t *args);
const char *registry_view_name_of(registry_run_t *r, const json_t *args);
const char *registry_view_status(registry_run_t *r, const json_t *args);
const char *registry_view_name_count(registry_run_t *r, const json_t *args);
const char *registry_view_names(registry_run_t *r, const json_t *args);
const char *registry_view_policy(registry_run_t *r, const json_t *args);
const char *registry_view_may_deploy(registry_run_t *r, const json_t *args);
const char *registry_view_deployers(registry_run_t *r, const json_t *args);
const char *registry_view_code(registry_run_t *r, const json_t *args);

#endif
