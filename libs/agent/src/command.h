/* Commands and requests as they arrive, and results as they leave (docs/device-protocol.md). */
#ifndef RIDGE_AGENT_COMMAND_H
#define RIDGE_AGENT_COMMAND_H
#include "ridge/base/trace.h"
#include "ridge/codec/json.h"

#define COMMAND_ID_MAX 64
#define COMMAND_TYPE_MAX 32
#define COMMAND_CHAIN_MAX 64

typedef struct command {
    char id[COMMAND_ID_MAX + 1], type[COMMAND_TYPE_MAX + 1];
    char chain[COMMAND_CHAIN_MAX + 1];         /* "" when params name none */
    char traceparent[RDG_TRACEPARENT_LEN + 1]; /* "" when absent or malformed */
    uint64_t deadline_ms;                      /* Unix time; 0: none */
    json_t *params;                            /* an object, owned */
} command_t;

/* Also a request: its "method" is then the type. MALFORMED (no JSON), INVALID (a field is wrong). */
rdg_err_t command_parse(rdg_bytes_t text, command_t *out);
void command_fini(command_t *c);
/* Whether it is a chain name in the sense of the protocol. */
bool command_chain_valid(const char *chain);

/* state: "running", "done", "failed", "expired". result: borrowed, may be NULL. err with its message when the
 * state is failed or expired. Appended to out. */
rdg_err_t command_result(const command_t *c, const char *state, const char *step, unsigned progress,
                         const json_t *result, rdg_err_t err, rdg_buf_t *out);

#endif
