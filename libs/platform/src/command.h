/* Commands: what is stored of them, how they are made, and which goes to a device when.
 *
 * States: queued → sent (the broker has it) → running → done | failed | expired; queued → cancelled | expired.
 *
 * Order of one device's commands: urgent before normal before bulk; within a priority as they were created. What was
 * handed over is ahead of whatever comes later, so little is handed over at a time: of what a device was given in the
 * last COMMAND_WINDOW_MS and has not ended, at most 2 when a bulk command is to follow, 8 for a normal and 64 for an
 * urgent one. A command that is stuck on its device leaves the window after that time, so it delays its successors
 * once and blocks nothing for good.
 *
 * A row is durable before its command is published; rows of one batch, and what the dispatcher writes in one round, are
 * one synced transaction. */
#ifndef RIDGE_PLATFORM_COMMAND_H
#define RIDGE_PLATFORM_COMMAND_H
#include "internal.h"
#include "ridge/base/trace.h"

#define COMMAND_URGENT 0
#define COMMAND_NORMAL 1
#define COMMAND_BULK 2
#define COMMAND_WINDOW_MS 30000
#define COMMAND_BATCH_MAX 1000
#define COMMAND_SILENT_MS 120000         /* since it was handed over */
#define COMMAND_RUNNING_SILENT_MS 600000 /* since its last progress */
#define COMMAND_DEADLINE_MAX_MS (30ull * 86400000)
/* Conditions as the partial indexes have them, word by word. */
#define COMMAND_UNFINISHED "state IN ('queued', 'sent', 'running')"
#define COMMAND_UNSENT "state = 'queued' AND handed = 0"
#define COMMAND_NEXT_CHANGE "(SELECT COALESCE(MAX(change), 0) + 1 FROM commands)"

/* command_create.c */
typedef struct command_order {
    char id[PLATFORM_ID_MAX + 1], traceparent[RDG_TRACEPARENT_LEN + 1]; /* "": none */
    const char *device, *type, *ordered_by, *rollout;                   /* borrowed; rollout may be NULL */
    const char *params;                                                 /* JSON text of an object; borrowed */
    uint64_t deadline_ms;
    unsigned priority;
} command_order_t;
bool command_type_valid(const char *type);
/* FULL: the device has too many; EXISTS: the id. Several in a transaction of the caller are synced once. */
rdg_err_t command_put(rdg_platform_t *p, const command_order_t *c);
void command_announce(rdg_platform_t *p, const char *device); /* after the commit: the dispatcher may look */
rdg_err_t command_create(rdg_platform_t *p, const char *device, const char *by, const json_t *body,
                         json_t **out, bool *created);
/* At most COMMAND_BATCH_MAX of {"device", …} in one transaction. *out: for each the command, or {"error"}. tenant: for
 * its devices alone; NULL: for any. */
rdg_err_t command_create_many(rdg_platform_t *p, const char *tenant, const char *by, const json_t *list,
                              json_t **out);

/* command_rows.c */
typedef struct command_filter { /* NULL and 0: any */
    const char *device, *state, *type, *by, *rollout, *tenant;
    uint64_t since_ms, until_ms, before; /* before: the number of a command */
} command_filter_t;
rdg_err_t command_read_priority(const json_t *body, unsigned *out);
const char *command_priority_name(int64_t priority);
bool command_state_final(const char *state);
json_t *command_parse_column(const rdg_sql_row_t *r, unsigned column); /* JSON null when it is none */
rdg_err_t command_get(rdg_platform_t *p, const char *id, json_t **out);
rdg_err_t command_list(rdg_platform_t *p, const command_filter_t *f, uint64_t limit, json_t **out);
/* tenant: of its devices alone; NULL: of all. */
rdg_err_t command_changes(rdg_platform_t *p, const char *tenant, uint64_t after, uint64_t limit, json_t **out,
                          uint64_t *next);
rdg_err_t command_last_change(rdg_platform_t *p, const char *tenant, uint64_t *out);
rdg_err_t command_check(void *platform, const char *tenant, const char *id); /* as devices_check */

/* command.c: changes of state */
rdg_err_t command_cancel(rdg_platform_t *p, const char *id, const char *by, json_t **out);
rdg_err_t command_result(rdg_platform_t *p, const char *device, const json_t *result);
/* The broker has them: ids, in a transaction of the caller, who tells of the change. */
rdg_err_t command_taken(rdg_platform_t *p, const char (*ids)[PLATFORM_ID_MAX + 1], size_t count);
/* From now on none of them can be cancelled; ok[i]: it may go. One transaction. */
rdg_err_t command_hand_over(rdg_platform_t *p, const char *const *ids, size_t count, bool *ok);
/* What the broker may have lost; NULL: of all devices. */
rdg_err_t command_requeue(rdg_platform_t *p, const char *device);
/* Those that their devices have said nothing of for so long that the answer may be lost: the broker takes results, and drops
 * them when it holds too many. They are handed over again; a device that has ended one answers as it did then. */
rdg_err_t command_ask_again(rdg_platform_t *p, size_t *count);
rdg_err_t command_drop_device(rdg_platform_t *p, const char *device);
/* A rollout's commands that were not handed over are cancelled; in a transaction of the caller. */
rdg_err_t command_take_back(rdg_platform_t *p, const char *rollout, const char *by);
rdg_err_t command_expire(rdg_platform_t *p); /* unsent ones past their deadline */
rdg_err_t command_prune(rdg_platform_t *p);

#endif
