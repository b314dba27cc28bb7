/* What may be changed, and when: no sequence of changes makes a set that cannot decide. */
#include <string.h>
#include "governance.h"
#include "ridge/base/file.h"
#include "ridge/consensus/consensus.h"

static uint32_t find_observer(const governance_t *g, const rdg_sm2_public_t *key) {
    uint32_t i = 0;
    while (i < g->observer_count && memcmp(g->observers[i].key.b, key->b, sizeof key->b) != 0) ++i;
    return i;
}

static bool is_name_taken(const governance_t *g, const char *name) {
    for (uint32_t i = 0; i < g->latest.validators.count; ++i)
        if (strcmp(g->latest.names[i], name) == 0) return true;
    for (uint32_t i = 0; i < g->observer_count; ++i)
        if (strcmp(g->observers[i].name, name) == 0) return true;
    return false;
}

static const char *check_newcomer(const governance_t *g, const member_t *m) {
    rdg_sm2_public_t checked;
    if (rdg_sm2_public_decode(rdg_bytes(m->key.b, sizeof m->key.b), &checked) != RDG_OK)
        return "no public key";
    if (!rdg_name_valid(m->name)) return "no valid name";
    if (is_name_taken(g, m->name)) return "the name is taken";
    if (rdg_validators_find(&g->latest.validators, &m->key) < g->latest.validators.count)
        return "the key is a validator's already";
    if (find_observer(g, &m->key) < g->observer_count) return "the key is an observer's already";
    return NULL;
}

/* The next epoch begins as a copy of the latest. Two changes cannot overlap: the pipeline drains for each. */
static const char *begin_epoch(governance_t *g, uint64_t height) {
    if (height < g->latest.first_height) return "a change is pending already";
    g->previous = g->latest;
    g->latest.validators.epoch++;
    g->latest.first_height = height + RDG_CONSENSUS_WINDOW + 1;
    g->previous.last_height = g->latest.first_height - 1;
    return NULL;
}

static void append_validator(governance_t *g, const rdg_sm2_public_t *key, const char *name,
                             uint32_t weight) {
    rdg_validator_set_t *set = &g->latest.validators;
    uint32_t i = set->count++;
    set->keys[i] = *key;
    set->weights[i] = weight;
    memset(g->latest.names[i], 0, sizeof g->latest.names[i]);
    memcpy(g->latest.names[i], name, strlen(name));
}

static void erase_validator(governance_t *g, uint32_t i) {
    rdg_validator_set_t *set = &g->latest.validators;
    size_t after = --set->count - i;
    memmove(&set->keys[i], &set->keys[i + 1], after * sizeof set->keys[0]);
    memmove(&set->weights[i], &set->weights[i + 1], after * sizeof set->weights[0]);
    memmove(g->latest.names[i], g->latest.names[i + 1], after * sizeof g->latest.names[0]);
    memset(&set->keys[set->count], 0, sizeof set->keys[0]);
    set->weights[set->count] = 0;
    memset(g->latest.names[set->count], 0, sizeof g->latest.names[0]);
}

static void erase_observer(governance_t *g, uint32_t i) {
    size_t after = --g->observer_count - i;
    memmove(&g->observers[i], &g->observers[i + 1], after * sizeof g->observers[0]);
    memset(&g->observers[g->observer_count], 0, sizeof g->observers[0]);
}

static bool is_weight(uint32_t weight) {
    return weight >= 1 && weight <= RDG_VALIDATOR_WEIGHT_MAX;
}

const char *governance_add_validator(governance_t *g, uint64_t height, const member_t *m) {
    const char *why = check_newcomer(g, m);
    if (why) return why;
    if (!is_weight(m->weight)) return "a weight is 1 to 1000000";
    if (g->latest.validators.count == RDG_VALIDATORS_MAX) return "a chain has at most 64 validators";
    if ((why = begin_epoch(g, height))) return why;
    append_validator(g, &m->key, m->name, m->weight);
    return NULL;
}

const char *governance_remove_validator(governance_t *g, uint64_t height, const rdg_sm2_public_t *key) {
    uint32_t i = rdg_validators_find(&g->latest.validators, key);
    if (i == g->latest.validators.count) return "the key is no validator's";
    if (g->latest.validators.count == 1) return "the last validator stays";
    const char *why = begin_epoch(g, height);
    if (why) return why;
    erase_validator(g, i);
    return NULL;
}

const char *governance_set_weight(governance_t *g, uint64_t height, const rdg_sm2_public_t *key,
                                  uint32_t weight) {
    uint32_t i = rdg_validators_find(&g->latest.validators, key);
    if (i == g->latest.validators.count) return "the key is no validator's";
    if (!is_weight(weight)) return "a weight is 1 to 1000000";
    const char *why = begin_epoch(g, height);
    if (why) return why;
    g->latest.validators.weights[i] = weight;
    return NULL;
}

const char *governance_add_observer(governance_t *g, const member_t *m) {
    const char *why = check_newcomer(g, m);
    if (why) return why;
    if (g->observer_count == GOVERNANCE_OBSERVERS_MAX) return "a chain has at most 64 observers";
    observer_t *o = &g->observers[g->observer_count++];
    memset(o, 0, sizeof *o);
    o->key = m->key;
    memcpy(o->name, m->name, strlen(m->name));
    return NULL;
}

const char *governance_remove_observer(governance_t *g, const rdg_sm2_public_t *key) {
    uint32_t i = find_observer(g, key);
    if (i == g->observer_count) return "the key is no observer's";
    erase_observer(g, i);
    return NULL;
}

const char *governance_promote(governance_t *g, uint64_t height, const rdg_sm2_public_t *key,
                               uint32_t weight) {
    uint32_t i = find_observer(g, key);
    if (i == g->observer_count) return "the key is no observer's";
    if (!is_weight(weight)) return "a weight is 1 to 1000000";
    if (g->latest.validators.count == RDG_VALIDATORS_MAX) return "a chain has at most 64 validators";
    const char *why = begin_epoch(g, height);
    if (why) return why;
    append_validator(g, key, g->observers[i].name, weight);
    erase_observer(g, i);
    return NULL;
}

const char *governance_demote(governance_t *g, uint64_t height, const rdg_sm2_public_t *key) {
    uint32_t i = rdg_validators_find(&g->latest.validators, key);
    if (i == g->latest.validators.count) return "the key is no validator's";
    if (g->latest.validators.count == 1) return "the last validator stays";
    if (g->observer_count == GOVERNANCE_OBSERVERS_MAX) return "a chain has at most 64 observers";
    const char *why = begin_epoch(g, height);
    if (why) return why;
    observer_t *o = &g->observers[g->observer_count++];
    o->key = *key;
    memcpy(o->name, g->latest.names[i], sizeof o->name);
    erase_validator(g, i);
    return NULL;
}

const char *governance_set_parameter(governance_t *g, uint64_t height, const char *name, uint64_t value) {
    rdg_chain_params_t params = g->params;
    uint64_t *slot;
    if (rdg_chain_param(&params, name, &slot) != RDG_OK) return "a chain has no such parameter";
    if (slot == &params.tx_gas_limit) return "tx_gas_limit is fixed by genesis";
    *slot = value;
    if (rdg_chain_params_check(&params) != RDG_OK) return "the value is out of bounds";
    bool of_consensus = slot == &params.view_timeout_ms || slot == &params.rotate_every;
    const char *why = of_consensus ? begin_epoch(g, height) : NULL;
    if (why) return why;
    g->params = params;
    g->latest.view_timeout_ms = params.view_timeout_ms;
    g->latest.rotate_every = params.rotate_every;
    return NULL;
}

static uint32_t find_admin(const governance_t *g, const rdg_address_t *a) {
    uint32_t i = 0;
    while (i < g->admin_count && !rdg_address_equal(&g->admins[i], a)) ++i;
    return i;
}

bool governance_is_admin(const governance_t *g, const rdg_address_t *a) {
    return find_admin(g, a) < g->admin_count;
}

const char *governance_add_admin(governance_t *g, const rdg_address_t *a) {
    if (governance_is_admin(g, a)) return "the account is an administrator already";
    if (g->admin_count == RDG_GENESIS_ADMINS_MAX) return "a chain has at most 16 administrators";
    g->admins[g->admin_count++] = *a;
    return NULL;
}

const char *governance_remove_admin(governance_t *g, const rdg_address_t *a) {
    uint32_t i = find_admin(g, a);
    if (i == g->admin_count) return "the account is no administrator";
    if (g->admin_count <= g->threshold) return "fewer administrators than the threshold would be left";
    size_t after = --g->admin_count - i;
    memmove(&g->admins[i], &g->admins[i + 1], after * sizeof g->admins[0]);
    memset(&g->admins[g->admin_count], 0, sizeof g->admins[0]);
    return NULL;
}

const char *governance_set_threshold(governance_t *g, uint32_t threshold) {
    if (threshold == 0 || threshold > g->admin_count)
        return "the threshold is 1 to the number of administrators";
    g->threshold = threshold;
    return NULL;
}

uint32_t governance_approvals(const governance_t *g, const proposal_t *p) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < p->approval_count; ++i) n += governance_is_admin(g, &p->approvals[i]);
    return n;
}
