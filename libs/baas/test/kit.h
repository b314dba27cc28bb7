/* The chain service against a platform that the test plays: it takes commands, and answers each as the test
 * says. */
#ifndef BAAS_TEST_KIT_H
#define BAAS_TEST_KIT_H
#include "internal.h"
#include "ridge/net/http_client.h"
#include "ridge/service/access.h"
#include "ridge/test.h"

#define FAKE_DEVICES 5
#define FAKE_COMMANDS 200

typedef enum outcome { OUTCOME_DONE, OUTCOME_FAIL, OUTCOME_HOLD } outcome_t;

typedef struct fake_command {
    char id[65], device[65], type[33], state[16];
    unsigned posts; /* how often it was sent */
    uint64_t change;
    json_t *params, *result;
} fake_command_t;

typedef struct fake_platform {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    rdg_service_t *service;
    bool stopping, offline[FAKE_DEVICES];
    const char *tenants[FAKE_DEVICES]; /* NULL: an older platform says nothing */
    rdg_sm2_key_t *keys[FAKE_DEVICES];
    outcome_t on_prepare[FAKE_DEVICES], on_start[FAKE_DEVICES], on_remove[FAKE_DEVICES],
        on_archive[FAKE_DEVICES];
    bool no_certificate[FAKE_DEVICES];  /* of their nodes, for encryption */
    rdg_err_t on_certify[FAKE_DEVICES]; /* RDG_OK: certified */
    unsigned certified[FAKE_DEVICES];
    fake_command_t commands[FAKE_COMMANDS];
    size_t count;
    uint64_t change, height; /* of the node that answers ridge_status */
    uint64_t chain_id;
    unsigned requests;
    /* The node: its last transaction, and what it answers. */
    json_t *tx, *receipt;                   /* receipt: fields that overlay the default one */
    json_t *logs;                           /* of the registry in the newest block */
    unsigned versions, sent;                /* of the one contract; transactions that came */
    bool no_receipt, no_send;               /* the node cannot be asked for it; takes nothing */
    const char *send_error, *receipt_error; /* codes that it answers; NULL: the truth */
    rdg_err_t on_request;    /* what asking a device's node comes to; RDG_OK: the node's answer */
    const char *damaged;     /* what devices say of their nodes; NULL: nothing */
    rdg_err_t on_order;      /* of the next command that is taken: what is answered all the same */
    const char *call_result; /* of eth_call; NULL: reverts with call_revert */
    const char *call_revert;
} fake_platform_t;

typedef struct kit {
    fake_platform_t p;
    rdg_baas_t *baas;
    rdg_service_t *service;
    rdg_http_client_t *http;
    rdg_access_t *access;
    void (*before_start)(rdg_baas_t *b); /* at each start of the chain service; NULL: nothing */
} kit_t;

void kit_open(kit_t *k); /* the fake platform and the chain service */
void kit_open_with(kit_t *k, void (*before_start)(rdg_baas_t *b));
void kit_close(kit_t *k);
void kit_stop_baas(kit_t *k); /* the platform stays */
void kit_start_baas(kit_t *k);
unsigned kit_call(kit_t *k, const char *method, const char *path, const char *body, json_t **answer);
unsigned kit_call_as(kit_t *k, const char *token, const char *method, const char *path, const char *body,
                     json_t **answer);
const char *kit_text(const json_t *o, const char *field);
const char *kit_error(const json_t *answer, const char *field);
/* Creates chain "c" on dev-1..dev-n. */
void kit_create(kit_t *k, size_t n);
/* Waits by the chain's events; returns the chain (owned). */
json_t *kit_wait_chain(kit_t *k, const char *name, const char *state);
/* Waits until `count` commands of the type were taken. */
void kit_wait_commands(kit_t *k, const char *type, size_t count);
size_t kit_commands(kit_t *k, const char *type);
/* Ends held commands of a type on a device (0-based; FAKE_DEVICES: all). */
void kit_release(kit_t *k, const char *type, size_t device, outcome_t outcome);

/* fake_platform.c */
void fake_open(fake_platform_t *p);
void fake_close(fake_platform_t *p);
rdg_err_t fake_node(fake_platform_t *p, const char *method, const json_t *params, json_t **result,
                    json_t **error);

#endif
