/* A chain with the registry, and small contracts to be registered. Key 9 administers, keys 5 to 8 are anybody's. Calls
 * and answers go by the published artefacts. */
#ifndef RIDGE_LEDGER_TEST_REGISTRY_WORLD_H
#define RIDGE_LEDGER_TEST_REGISTRY_WORLD_H
#include "registry_call.h"
#include "support.h"

enum { OWNER = 5, OTHER = 6, ADMIN = 9, ADMIN_2 = 8, CODE_MAX = 512, BATCH_MAX = 64 };

typedef struct world {
    rdg_genesis_t genesis;
    rdg_ledger_t *l;
    json_t *artefact, *abi, *governance, *governance_abi;
    uint64_t nonce;
    char revert[400]; /* why the last call or transaction was refused; empty: it was not */
    json_t *events;   /* of the last transaction, decoded */
    uint64_t gas_used;
    rdg_tx_t *batch[BATCH_MAX];
    uint32_t batched;
} world_t;

void world_init(world_t *w, unsigned threads);
void world_reopen(world_t *w);
void world_fini(world_t *w);

typedef struct code {
    uint8_t b[CODE_MAX];
    size_t len;
} code_t;
code_t code_hex(const char *hex);
/* Without call data returns slot 0, else stores its first word there. */
code_t code_store(void);
/* Calls the address in its first word with what follows, by CALL, CALLCODE, DELEGATECALL or STATICCALL; passes the outcome
 * on. */
code_t code_forward(rdg_evm_kind_t kind);
code_t code_init(const code_t *prologue, const code_t *runtime); /* init code; prologue may be NULL */

/* One block with one transaction; true if it was not refused. args are taken. */
bool send(world_t *w, uint8_t from, const rdg_address_t *to, rdg_bytes_t data);
bool change(world_t *w, uint8_t from, const char *method, json_t *args);
bool govern(world_t *w, uint8_t from, const char *method, json_t *args);
bool deploy(world_t *w, uint8_t from, const char *method, const char *name, const code_t *init,
            rdg_address_t *created);
/* By an ordinary transaction; *nonce is its nonce. */
bool create(world_t *w, uint8_t from, const code_t *init, rdg_address_t *created, uint64_t *nonce);
/* The call of a method, appended; args are taken. */
void encode(world_t *w, const char *method, json_t *args, rdg_buf_t *out);
/* Gathers transactions; flush makes a block of them. succeeded[i]: of the i-th. */
void batch(world_t *w, uint8_t from, const rdg_address_t *to, rdg_bytes_t data, uint64_t gas);
void flush(world_t *w, bool *succeeded);
rdg_err_t flush_executed(world_t *w, rdg_executed_t *out);

json_t *view(world_t *w, const char *method, json_t *args); /* NULL: refused */
uint64_t view_u64(world_t *w, const char *method, json_t *args, const char *field);
/* eth_call; false: refused. *out may be NULL. */
bool call(world_t *w, const rdg_address_t *to, rdg_bytes_t data, bool audit, uint64_t *out);
bool forward(world_t *w, const rdg_address_t *by, const rdg_address_t *to, rdg_bytes_t data);
bool forward_send(world_t *w, const rdg_address_t *by, const rdg_address_t *to, rdg_bytes_t data);
uint64_t stored(world_t *w, const rdg_address_t *a);
uint64_t height_of(const world_t *w);
const json_t *event(const world_t *w, const char *name); /* its arguments; NULL: no such event */
json_t *address_json(const rdg_address_t *a);
rdg_word_t word(uint64_t v);

#define REFUSED(w, text)                                                                                     \
    do {                                                                                                     \
        if (!strstr((w)->revert, text)) CHECK_STR((w)->revert, text);                                        \
    } while (0)

#endif
