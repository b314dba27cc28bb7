/* The parts of an agent, and the few functions that the parts need of it. */
#ifndef RIDGE_AGENT_INTERNAL_H
#define RIDGE_AGENT_INTERNAL_H
#include <pthread.h>
#include "certificates.h"
#include "health.h"
#include "intake.h"
#include "link.h"
#include "records.h"
#include "uploader.h"
#include "ridge/agent/agent.h"
#include "ridge/base/metrics.h"
#include "ridge/net/broker.h"
#include "ridge/net/http_client.h"
#include "ridge/net/http_server.h"
#include "ridge/net/mqtt.h"
#include "ridge/client/rpc.h"
#include "workloads.h"

#define HELD_PORTS_MAX 64

typedef struct requests requests_t;
typedef struct telemetry telemetry_t;

typedef struct held_ports {
    char chain[COMMAND_CHAIN_MAX + 1];
    int p2p, rpc; /* sockets that keep the ports ours until the node starts */
} held_ports_t;

struct rdg_agent {
    char *dir, *cloud_url, *token, *name, *advertise_host, *unpacker, *group;
    uint64_t telemetry_interval_ms, started_ms, image_bytes;
    uint64_t queue_bytes, outbox_bytes, telemetry_bytes, records_bytes; /* budgets on disk */
    const rdg_clock_t *clock;                                           /* of certificates */
    int dir_lock, failed_fd;
    identity_t identity;
    rdg_container_driver_t *drivers[4];
    const char *driver_names[5];
    size_t driver_count;
    rdg_metrics_t *metrics;
    rdg_metric_t *m_commands, *m_requests;
    journal_t *journal;
    workloads_t *workloads;
    health_t *health;
    intake_t *intake;
    certificates_t *certificates;
    executor_t *executor;
    outbox_t *outbox;
    records_t *records; /* NULL: their spool could not be opened */
    uploader_t *uploader;
    uplink_t *uplink;
    link_t *link;
    requests_t *requests;
    telemetry_t *telemetry;
    rdg_http_server_t *http;
    rdg_broker_t *broker;
    rdg_mqtt_t *intake_mqtt;
    bool update_waits;    /* this program is to end, so that another can be launched */
    bool event_waiter;    /* one local program's request waits for events */
    pthread_mutex_t lock; /* held ports, failure */
    held_ports_t held[HELD_PORTS_MAX];
    rdg_err_t failure;
    char failure_text[RDG_ERROR_TEXT_MAX];
};

/* chain_commands.c: the executor's run. */
/* chain.start, which chain.recover ends with. */
rdg_err_t agent_start_chain(rdg_agent_t *a, const command_t *c, executor_run_t *at, json_t **result);
rdg_err_t agent_recover_chain(rdg_agent_t *a, const command_t *c, executor_run_t *at,
                              json_t **result); /* chain_recover.c */
rdg_err_t agent_run_command(void *agent, const command_t *c, executor_run_t *at, json_t **result);
/* chain_restore.c: archives (an array of the command's params) into the node's ledger; then the node stands still. */
rdg_err_t agent_restore_chain(rdg_agent_t *a, const command_t *c, executor_run_t *at, const json_t *archives);
/* update_command.c: agent.update. Ends when the new program runs and has taken the command up, or the trial failed. */
rdg_err_t agent_update(rdg_agent_t *a, const command_t *c, executor_run_t *at, json_t **result);
/* chain_close.c: chain.close, and what chain.remove asks before it deletes an archived ledger. CONFLICT: the node has
 * blocks above that height; UNAVAILABLE: it is neither damaged nor without a ledger, and did not answer for a minute. */
rdg_err_t agent_close_chain(rdg_agent_t *a, const command_t *c, executor_run_t *at, json_t **result);
rdg_err_t agent_check_archived(rdg_agent_t *a, const char *chain, executor_run_t *at, uint64_t height);
/* chain_archive.c: chain.archive */
rdg_err_t chain_archive(rdg_agent_t *a, const command_t *c, executor_run_t *at, json_t **result);
/* chain_prune.c: chain.prune */
rdg_err_t chain_prune(rdg_agent_t *a, const command_t *c, executor_run_t *at, json_t **result);
/* node_job.c */
/* One call of a node_ method, with the token that the node has left for its agent. params: an array without it; borrowed.
 * UNAVAILABLE: there is none, or as rdg_rpc_call. */
rdg_err_t node_ask(const rdg_agent_t *a, const char *chain, const rdg_rpc_t *rpc, const char *method,
                   const json_t *params, json_t **out);
typedef struct node_job {
    const char *method, *step; /* step: of the command's progress */
    const json_t *params;      /* an array, without the token; borrowed */
} node_job_t;
/* Asks the chain's node until it answers {"state": "done", …}; *done is owned. A node that should run and does not yet is
 * waited for (half a minute), and one that ends meanwhile is asked again when it runs, three times in all: what is asked
 * for can be carried out again. UNAVAILABLE: it was not up in time, ended each time, or is of an older version; CONFLICT:
 * it is not to run, or is damaged and does not; TIMEOUT, CANCELLED; the node's own refusals. */
rdg_err_t node_job(const rdg_agent_t *a, const command_t *c, executor_run_t *at, const node_job_t *job,
                   json_t **done);
void agent_release_ports(rdg_agent_t *a, const char *chain); /* NULL: all */
/* images_room.c: images that no workload needs go, the oldest first, while all have more than this. */
void agent_make_room(rdg_agent_t *a, uint64_t budget_bytes);
/* "http://127.0.0.1:<port>" */
void agent_rpc_url(const chain_t *c, char out[64]);

/* requests.c: node.rpc and agent.info, answered by two threads. */
rdg_err_t requests_start(rdg_agent_t *a, requests_t **out);
void requests_halt(requests_t *r); /* joins; requests may still be put in, and stay unanswered */
void requests_free(requests_t *r);
/* Which of a node's methods others than its agent may call: not those of its administration. */
bool requests_method_allowed(const char *method);
/* The node's answer as it is: {"result": …} or {"error": …}. http belongs to the calling thread. */
rdg_err_t requests_ask_node(rdg_http_client_t *http, const char *url, const char *method,
                            const json_t *params, uint64_t timeout_ms, json_t **answer);
void requests_take(requests_t *r, rdg_bytes_t text); /* drops what does not fit or is no request */

/* telemetry.c */
rdg_err_t telemetry_start(rdg_agent_t *a, telemetry_t **out);
void telemetry_halt(telemetry_t *t); /* joins */
void telemetry_free(telemetry_t *t);
void telemetry_kick(telemetry_t *t);                      /* something changed: tell it now; NULL is fine */
void telemetry_up(telemetry_t *t);                        /* the cloud is connected; NULL is fine */
void telemetry_answer(telemetry_t *t, rdg_bytes_t bytes); /* what the cloud says it has; NULL is fine */
uint64_t agent_rss_kib(void);

/* local_chains.c: chains for programs on this device. False: the path is none of these. */
bool local_chains_handle(rdg_agent_t *a, const rdg_http_request_t *req, rdg_http_response_t *res);
void local_answer_json(rdg_http_response_t *res, unsigned status, json_t *o); /* takes o */
void local_answer_error(rdg_http_response_t *res, rdg_err_t err);             /* with the thread's text */

/* local_api.c: the handler of the agent's HTTP server, and the message callback of the device's own broker.
 */
void local_api_handle(void *agent, const rdg_http_request_t *req, rdg_http_response_t *res);
bool local_api_message(void *agent, const char *topic, rdg_bytes_t payload);

#endif
