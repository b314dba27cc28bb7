/* What the parts of baas share. The lock guards the queue of chains to work on and the clients that are idle;
 * the database guards itself. Neither waits for the network. */
#ifndef RIDGE_BAAS_INTERNAL_H
#define RIDGE_BAAS_INTERNAL_H
#include <pthread.h>
#include "ridge/baas/baas.h"
#include "ridge/base/list.h"
#include "ridge/client/cloud.h"
#include "ridge/client/rpc.h"
#include "ridge/sql/sql.h"

#define BAAS_WORKERS 4
#define BAAS_CLIENTS_IDLE 8
#define BAAS_WAIT_MAX_MS 25000
/* Who waits occupies a thread of the service: beyond so many at once, each waits for a moment only. */
#define BAAS_PATIENT 12
#define BAAS_IMPATIENT_MS 250
#define BAAS_NAME_MAX 64

struct rdg_baas {
    rdg_sql_t *db;
    struct collector *collector;
    char *keys_dir, *platform_url, *platform_token, *image;
    pthread_mutex_t lock;
    pthread_cond_t work;   /* a chain became due or free; or stopping */
    pthread_cond_t events; /* an event was stored; or stopping */
    bool stopping, started;
    uint64_t event_generation;
    unsigned patient; /* handlers that wait for an event */
    rdg_list_t queue; /* work_t */
    rdg_cloud_client_t *idle[BAAS_CLIENTS_IDLE];
    size_t idle_count;
    pthread_t workers[BAAS_WORKERS], follower;
    size_t worker_count;
    bool following;
    uint64_t opened_ms; /* orders that are older were this process's predecessor's */
    uint64_t follow_after;
    struct mainchain *mainchain; /* NULL: the cloud runs without one */
};

static inline uint64_t baas_now(void) {
    return rdg_wall_ms(rdg_clock_system());
}
static inline uint64_t baas_mono(void) {
    return rdg_mono_ms(rdg_clock_system());
}
bool baas_wait(rdg_baas_t *b, pthread_cond_t *cond,
               uint64_t deadline_mono_ms); /* lock held; false: deadline */
bool baas_stopping(rdg_baas_t *b);

/* store.c */
rdg_err_t baas_store_open(rdg_baas_t *b, const char *data_dir);
rdg_err_t baas_store_prune(rdg_baas_t *b); /* forgets the oldest chains that are gone with all archives */
rdg_err_t baas_int_row(void *ctx, const rdg_sql_row_t *r); /* column 0 into an int64_t */

/* remote.c: the platform, and so all that is said to devices, through ridge/client alone: tools/check looks after it. */
/* An order to a device (ridge/client/platform.h); takes order; command may be NULL. */
rdg_err_t remote_order(rdg_baas_t *b, const char *device, json_t *order, json_t **command);
rdg_err_t remote_command(rdg_baas_t *b, const char *id, uint64_t wait_ms, json_t **command);
rdg_err_t remote_cancel(rdg_baas_t *b, const char *id);
/* Changes of commands after `after`, which moves on; UINT64_MAX: only where to begin. */
rdg_err_t remote_changes(rdg_baas_t *b, uint64_t *after, uint64_t wait_ms, json_t **commands);
/* {"devices": […]} of all devices, page by page; owned. */
rdg_err_t remote_devices(rdg_baas_t *b, json_t **answer);
rdg_err_t remote_device(rdg_baas_t *b, const char *name, json_t **device); /* NOT_FOUND */
/* Takes request: {"method", "params"}. */
rdg_err_t remote_request(rdg_baas_t *b, const char *device, json_t *request, uint64_t timeout_ms,
                         json_t **answer);
/* Takes request: {"chain", "sign_request", "enc_request"}. */
rdg_err_t remote_certify_node(rdg_baas_t *b, const char *device, json_t *request, json_t **pair);
rdg_err_t remote_certify_collector(rdg_baas_t *b, const char *request, json_t **answer);
/* The valid encryption certificates of a device's node, newest first: [{"public_key", …}]; owned. */
rdg_err_t remote_node_encryption(rdg_baas_t *b, const char *device, const char *chain, unsigned limit,
                                 json_t **certificates);
/* What devices have uploaded: path is /files or below. */
rdg_err_t remote_files(rdg_baas_t *b, const char *method, const char *path, json_t **answer);
void remote_close(rdg_baas_t *b);

/* work.c: which chain is worked on when, and by one thread at a time */
rdg_err_t work_start(rdg_baas_t *b);
void work_join(rdg_baas_t *b);
void work_kick(rdg_baas_t *b, const char *chain);
void work_enter(rdg_baas_t *b, const char *chain); /* waits until nobody works on the chain */
void work_leave(rdg_baas_t *b, const char *chain); /* and kicks it */

/* chain.c: chains and steps in the store */
/* Of a chain's parameters the one that is its nodes' and not the genesis's: from how many blocks behind on they take a
 * snapshot. */
#define CHAIN_SNAPSHOT_GAP "snapshot_gap"
/* And one that is the collector's: after how many blocks an archive ends with the state again; 0: never. */
#define CHAIN_ARCHIVE_STATE_BLOCKS "archive_state_blocks"

typedef struct chain {
    int64_t number;
    char name[BAAS_NAME_MAX + 1], state[16], consensus[16], driver[16], tenant[RDG_TENANT_MAX + 1];
    char *image; /* NULL: the agent's own node */
    uint64_t chain_id, created_ms, started_ms, running_ms, memory_bytes, pids,
        freed_bytes;          /* times: 0: not yet */
    json_t *params, *genesis; /* NULL before it was composed */
    char *error;
} chain_t;

typedef enum step_kind { STEP_PREPARE, STEP_START, STEP_REMOVE, STEP_RECOVER, STEP_CLOSE } step_kind_t;
/* Ranks: a step only moves up. */
enum { RANK_PENDING, RANK_QUEUED, RANK_SENT, RANK_RUNNING, RANK_FINAL };

typedef struct step {
    char device[BAAS_NAME_MAX + 1], state[16], command[33];
    step_kind_t kind;
    int rank;
    int64_t position, attempt;
    json_t *result; /* NULL if none */
    char *error;    /* message; NULL if none */
} step_t;

typedef struct steps {
    step_t *list;
    size_t count, size;
} steps_t;

const char *step_name(step_kind_t kind);
rdg_err_t chain_load(rdg_baas_t *b, const char *name, chain_t *out); /* NOT_FOUND names it */
/* The one of that id, which may have been followed by another of the name; 0: as chain_load. */
rdg_err_t chain_load_id(rdg_baas_t *b, const char *name, uint64_t chain_id, chain_t *out);
void chain_fini(chain_t *c);
/* Whether its name is this tenant's: else the same NOT_FOUND. baas: an rdg_baas_t *, as rdg_service_owner_t wants it. */
rdg_err_t chain_check(void *baas, const char *tenant, const char *name);
/* Runs fn for each chain of a tenant (NULL: of all); those that are gone only if all. */
rdg_err_t chain_each(rdg_baas_t *b, const char *tenant, bool all, rdg_err_t (*fn)(void *ctx, chain_t *c),
                     void *ctx);
rdg_err_t chain_set_state(rdg_baas_t *b, chain_t *c, const char *state, const char *error);
rdg_err_t chain_set_genesis(rdg_baas_t *b, chain_t *c, json_t *genesis); /* takes */
bool chain_is(const chain_t *c, const char *state);
bool chain_gone(const chain_t *c); /* destroyed or cancelled: nothing is left but the record */
rdg_err_t steps_load(rdg_baas_t *b, const chain_t *c, steps_t *out);
void steps_fini(steps_t *s);
rdg_err_t step_insert(rdg_baas_t *b, const chain_t *c, const char *device, int64_t position,
                      step_kind_t kind);
/* The same with a number of the attempt that no command of this device had before. */
rdg_err_t step_insert_attempt(rdg_baas_t *b, const chain_t *c, const char *device, int64_t position,
                              step_kind_t kind, int64_t attempt);
/* A new attempt, with a new command. */
rdg_err_t step_again(rdg_baas_t *b, const chain_t *c, const step_t *s);
const step_t *steps_find(const steps_t *s, const char *device, step_kind_t kind);
bool step_failed(const step_t *s);
bool step_done(const step_t *s);

/* event.c */
rdg_err_t event_add(rdg_baas_t *b, int64_t chain, const char *device, const char *step, const char *state,
                    const char *message);
void event_wake(rdg_baas_t *b); /* after the transaction that stored events */
extern const rdg_service_route_t event_routes[];
extern const size_t event_route_count;

/* follow.c */
rdg_err_t follow_start(rdg_baas_t *b);
void follow_join(rdg_baas_t *b);
/* Applies what the platform says about a command to the step that it belongs to, if any. */
rdg_err_t follow_apply(rdg_baas_t *b, const json_t *command);

/* flow.c: the workflow. after_ms: when to look again without an event; 0: not. */
rdg_err_t flow_advance(rdg_baas_t *b, const char *chain, uint64_t *after_ms);
/* Another try may help: nothing is known of the one before, or somebody has trouble of his own. */
bool flow_passes(rdg_err_t err);
/* The step fails with it, as if its device had said so. */
rdg_err_t flow_refuse(rdg_baas_t *b, const step_t *s, rdg_err_t why);
rdg_err_t flow_send(rdg_baas_t *b, const chain_t *c, const step_t *s, const char *type, json_t *params,
                    uint64_t deadline_ms); /* takes params */
/* Send what is pending of these kinds. */
rdg_err_t flow_send_prepare(rdg_baas_t *b, const chain_t *c, const steps_t *steps);
rdg_err_t flow_send_start(rdg_baas_t *b, const chain_t *c, const steps_t *steps);
/* member.c: the change of a running chain's validators that is on its way, if any */
rdg_err_t flow_member(rdg_baas_t *b, chain_t *c, const steps_t *steps, uint64_t *after_ms);
/* contract_order.c: transactions of contracts that nobody waits for any more */
rdg_err_t contract_resume(rdg_baas_t *b, const chain_t *c, uint64_t *after_ms);
/* contract_store.c: everything about the contracts of a chain that is gone */
rdg_err_t contract_forget(rdg_baas_t *b, const chain_t *c);
/* What chain.start wants for the device of s. *out NULL with RDG_OK: it can not be had, and the step has failed. */
rdg_err_t flow_start_params(rdg_baas_t *b, const chain_t *c, const steps_t *steps, const step_t *s,
                            json_t **out);
/* recover.c: nodes that begin anew from their peers */
rdg_err_t flow_recover(rdg_baas_t *b, const chain_t *c, const steps_t *steps, uint64_t *after_ms);
extern const rdg_service_route_t recover_routes[];
extern const size_t recover_route_count;
/* rebuild.c */
extern const rdg_service_route_t rebuild_routes[];
extern const size_t rebuild_route_count;
/* flow_remove.c */
rdg_err_t flow_remove(rdg_baas_t *b, chain_t *c, const steps_t *steps);
rdg_err_t flow_begin_remove(rdg_baas_t *b, chain_t *c, const char *state); /* cancelling or destroying */

/* genesis.c */
rdg_err_t genesis_compose(rdg_baas_t *b, const chain_t *c, const steps_t *prepared, json_t **genesis);
rdg_err_t genesis_peers(const steps_t *prepared, json_t **peers);
rdg_err_t chain_key_load(rdg_baas_t *b, const chain_t *c, rdg_sm2_key_t **out);
void chain_key_remove(rdg_baas_t *b, const chain_t *c);

/* relay.c: JSON-RPC to any node of a chain, through its device */
typedef struct relay {
    rdg_rpc_t rpc; /* rpc.ctx is this */
    rdg_baas_t *b;
    const char *chain;
    steps_t steps; /* the devices; owned */
    size_t at;     /* the device that answered last */
    uint64_t timeout_ms;
    json_t *error; /* the node's JSON-RPC error of the last failed call; owned */
} relay_t;
/* One method of the node on that device. */
rdg_err_t relay_ask(relay_t *r, const char *device, const char *method, const json_t *params,
                    json_t **result);
#define RELAY_TIMEOUT_MS 5000 /* of most calls */
rdg_err_t relay_init(relay_t *r, rdg_baas_t *b, const chain_t *c, uint64_t timeout_ms);
void relay_fini(relay_t *r);

/* chain_rest.c, chain_create.c, contract_rest.c, read_rest.c, intake.c */
rdg_err_t chain_create(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer);
/* Names, each once, as many as the consensus wants. INVALID. */
rdg_err_t chain_check_devices(const json_t *devices, const char *consensus, bool allow_no_tolerance);
/* Every device must be enrolled and reachable now: a chain that waits for one is of no use to anybody. And all of one
 * tenant, which is the answer: the asker's, if it is one (NULL: any). NOT_FOUND, UNAVAILABLE, INVALID name one. */
rdg_err_t chain_devices_online(rdg_baas_t *b, const json_t *devices, const char *asker,
                               char tenant[RDG_TENANT_MAX + 1]);
rdg_err_t chain_describe(rdg_baas_t *b, const chain_t *c, json_t **out);
rdg_err_t device_online(rdg_baas_t *b, const char *device); /* NOT_FOUND, UNAVAILABLE */
/* The same, and of this tenant: else NOT_FOUND, as if it were not there. */
rdg_err_t device_online_of(rdg_baas_t *b, const char *tenant, const char *device);
extern const rdg_service_route_t member_routes[];
extern const size_t member_route_count;
extern const rdg_service_route_t chain_routes[];
extern const size_t chain_route_count;
extern const rdg_service_route_t contract_routes[], contract_call_routes[], contract_life_routes[],
    contract_event_routes[], contract_govern_routes[];
extern const size_t contract_route_count, contract_call_route_count, contract_life_route_count,
    contract_event_route_count, contract_govern_route_count;
extern const rdg_service_route_t read_routes[];
extern const size_t read_route_count;
extern const rdg_service_route_t intake_routes[];
extern const size_t intake_route_count;

/* A chain in state running, or the error that says why not. */
rdg_err_t chain_load_running(rdg_baas_t *b, const char *name, chain_t *out);
/* A route by which the chain {name} is changed: fn does so while nobody else works on it, and the answer is 202 with what it
 * is then. running: a chain in another state is refused. baas: an rdg_baas_t *. */
typedef rdg_err_t (*chain_change_fn)(rdg_baas_t *b, chain_t *c, const rdg_service_call_t *call);
rdg_err_t chain_change(void *baas, const rdg_service_call_t *call, rdg_service_answer_t *answer, bool running,
                       chain_change_fn fn);

#endif
