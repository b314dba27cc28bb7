/* The main chain inside the chain service: intents in the store, one thread that writes them, one that looks after
 * what there is to write of the edge chains. */
#ifndef RIDGE_BAAS_MAINCHAIN_INTERNAL_H
#define RIDGE_BAAS_MAINCHAIN_INTERNAL_H
#include "internal.h"
#include "ridge/baas/mainchain.h"
#include "ridge/client/anchors.h"

struct mainchain {
    rdg_baas_mainchain_options_t options;
    char *genesis_text;
    rdg_genesis_t genesis;
    rdg_sm2_key_t *key;
    rdg_address_t writer, registry;
    pthread_t writing_thread, watching_thread;
    bool writing, watching;
    /* With the lock of rdg_baas_t: */
    pthread_cond_t changed; /* one of the two was counted up; or stopping */
    uint64_t stored, ended; /* intents, since the start; the database is not asked with the lock held */
    bool ready;             /* the registry is there, and a node answered last time */
    uint64_t height;        /* as that node said */
    char problem[RDG_ERROR_TEXT_MAX];
};

/* --- mainchain_store.c --- */
enum { INTENT_PENDING, INTENT_WRITTEN, INTENT_REFUSED };

typedef struct intent {
    int64_t number;
    uint64_t chain;
    rdg_anchor_kind_t kind;
    int state;
    json_t *values; /* owned */
    rdg_tx_t *tx;   /* owned; NULL: not signed */
    rdg_hash_t tx_id;
    uint64_t index, block, time_s;
    uint64_t done_ms; /* when it was written or refused */
    uint8_t previous[32];
    char error[RDG_ERROR_TEXT_MAX];
} intent_t;

void intent_fini(intent_t *i);
/* Values are taken. One intent a chain and key: a second is not stored. FULL. */
rdg_err_t intent_add(rdg_baas_t *b, uint64_t chain, const char *name, rdg_anchor_kind_t kind, const char *key,
                     json_t *values);
/* number 0: none. */
rdg_err_t intent_find(rdg_baas_t *b, uint64_t chain, const char *key, intent_t *out);
/* One that was refused makes room for another of its key. It stays, as refused. */
rdg_err_t intent_set_aside(rdg_baas_t *b, uint64_t chain, const char *key);
rdg_err_t intent_next(rdg_baas_t *b, int64_t after, intent_t *out); /* the first that waits behind a number */
rdg_err_t intent_of_entry(rdg_baas_t *b, uint64_t chain, uint64_t index, intent_t *out);
rdg_err_t intent_set_tx(rdg_baas_t *b, const intent_t *i, const rdg_tx_t *tx); /* NULL: to be signed anew */
rdg_err_t intent_written(rdg_baas_t *b, const intent_t *i, const rdg_hash_t *tx, const rdg_anchor_entry_t *e);
rdg_err_t intent_refused(rdg_baas_t *b, const intent_t *i, const char *why);
/* The chain that a name or a number in decimal stands for. NOT_FOUND. */
rdg_err_t intent_chain(rdg_baas_t *b, const char *text, uint64_t *chain);
rdg_err_t intent_list(rdg_baas_t *b, uint64_t chain, json_t **out);
/* One object a chain, of a tenant's (NULL: of all). */
rdg_err_t intent_chains(rdg_baas_t *b, const char *tenant, json_t **out);
/* As rdg_service_owner_t wants it. */
rdg_err_t intent_own(void *baas, const char *tenant, const char *chain);
rdg_err_t intent_counts(rdg_baas_t *b, uint64_t *pending, uint64_t *refused);
/* The highest value of this kind's field with that place, of what is written or waits; 0: none. */
rdg_err_t intent_highest(rdg_baas_t *b, uint64_t chain, rdg_anchor_kind_t kind, size_t place, uint64_t *out);
/* The newest of a kind that stands on the main chain; number 0: none. */
rdg_err_t intent_last_written(rdg_baas_t *b, uint64_t chain, rdg_anchor_kind_t kind, intent_t *out);

/* --- mainchain.c --- */
rdg_err_t mainchain_start(rdg_baas_t *b);
void mainchain_stop(rdg_baas_t *b); /* wakes; with the lock held */
void mainchain_close(rdg_baas_t *b);
void mainchain_kick(rdg_baas_t *b);              /* an intent was stored */
rdg_err_t mainchain_needed(const rdg_baas_t *b); /* UNSUPPORTED: there is none */
/* Within the transaction that makes it so. Without a main chain they do nothing. */
rdg_err_t mainchain_note_genesis(rdg_baas_t *b, const chain_t *c);
rdg_err_t mainchain_note_destroyed(rdg_baas_t *b, const chain_t *c, bool discarded);

/* --- mainchain_write.c --- */
void *mainchain_write_main(void *baas);
/* A node of the main chain that answers. Returns owned: rdg_rpc_http_free. */
rdg_err_t mainchain_connect(const struct mainchain *m, rdg_rpc_t **out, rdg_rpc_head_t *head);
/* Of the entry that the intent became; verified. Appended. */
rdg_err_t mainchain_prove(rdg_baas_t *b, const intent_t *i, rdg_buf_t *out);

/* --- mainchain_watch.c --- */
void *mainchain_watch_main(void *baas);
/* A change of validators that the caller has verified; once for each number: key "validators:N". */
rdg_err_t mainchain_note_epoch(rdg_baas_t *b, const chain_t *c, const rdg_epoch_t *e);
/* The same, also if one of that number was refused before. */
rdg_err_t mainchain_note_epoch_again(rdg_baas_t *b, const chain_t *c, const rdg_epoch_t *e);
/* The intent of that number, as intent_find. */
rdg_err_t mainchain_find_epoch(rdg_baas_t *b, const chain_t *c, uint64_t number, intent_t *out);

/* --- mainchain_rest.c --- */
extern const rdg_service_route_t mainchain_routes[];
extern const size_t mainchain_route_count;

#endif
