/* One running call of governance. */
#ifndef RIDGE_LEDGER_GOVERNANCE_CALL_H
#define RIDGE_LEDGER_GOVERNANCE_CALL_H
#include "governance.h"

typedef enum method_kind {
    METHOD_VIEW,
    METHOD_CHANGE,  /* of an administrator; waits for approvals when more than one is needed */
    METHOD_APPROVAL /* of an administrator; about a proposal */
} method_kind_t;

typedef struct call call_t;
typedef struct method {
    const char *name, *inputs, *outputs;
    method_kind_t kind;
    bool in_sync; /* the newcomer's height and block hash are checked when the call comes */
    /* NULL, or why it is refused; results are appended to c->results in the order of outputs. */
    const char *(*run)(call_t *c, const json_t *args);
} method_t;

struct call {
    state_host_t *host;
    const rdg_evm_context_t *context;
    const rdg_evm_message_t *msg;
    const method_t *method;
    governance_t *g;
    json_t *results;
    bool changed;
    uint64_t gas;   /* used so far */
    char text[200]; /* a refusal by the registry */
    rdg_err_t err;  /* trouble of this node */
};

/* governance_methods.c */
/* Of a call's data; NULL: no such method, or less than a selector. */
const method_t *governance_method(rdg_bytes_t data);
const char *governance_check_sync(call_t *c, const json_t *args);
const char *governance_check_order(const json_t *args);
const char *governance_find_proposal(const call_t *c, const json_t *args, uint32_t *index);

/* governance_call.c */
/* args is taken. Failures stay in c->err. */
void governance_emit(call_t *c, const char *signature, const rdg_word_t *indexed, const char *params,
                     json_t *args);
void governance_drop_proposal(governance_t *g, uint32_t i);
const char *governance_approve(call_t *c, const json_t *args);
const char *governance_withdraw(call_t *c, const json_t *args);

/* governance_views.c */
const char *governance_view_validators(call_t *c, const json_t *args);
const char *governance_view_pending(call_t *c, const json_t *args);
const char *governance_view_observers(call_t *c, const json_t *args);
const char *governance_view_administrators(call_t *c, const json_t *args);
const char *governance_view_parameter(call_t *c, const json_t *args);
const char *governance_view_proposals(call_t *c, const json_t *args);
const char *governance_view_proposal(call_t *c, const json_t *args);

#endif
