/* The command line `ridge NOUN VERB`: what its files share.
 *
 * Each command is one row of a table (name, arguments, flags, help, function); parsing, help texts and shell
 * completion all come from those tables. A command talks to the cloud through libs/client and prints either
 * tables for a person or, with --json, the cloud's answer as it is; `key`, `cert` and `archive` work on files and
 * need no cloud. Progress and errors go to standard error.
 *
 * Exit status: 0 success; 1 failure; 2 usage; 3 not found; 4 not allowed; 5 the cloud or a device cannot be
 * reached or did not answer in time; 6 conflict with the present state. */
#ifndef RIDGE_CLI_H
#define RIDGE_CLI_H
#include "ridge/client/cloud.h"
#include "ridge/client/images.h"

#define CLI_FLAGS_MAX 16
#define CLI_ARGS_MAX 64

typedef struct flag {
    const char *name;
    const char *value; /* what it takes ("FILE"), or NULL for a switch */
    const char *help;
} flag_t;

typedef struct cli cli_t;

typedef struct command {
    const char *noun, *verb;
    const char *args; /* usage of the positional arguments: "CHAIN [ARG...]" */
    const char *help; /* one line */
    size_t min_args, max_args;
    rdg_err_t (*run)(cli_t *cli);
    flag_t flags[CLI_FLAGS_MAX]; /* ends with a NULL name */
} command_t;

struct cli {
    const command_t *command;
    const char *args[CLI_ARGS_MAX];
    size_t arg_count;
    struct {
        const char *name, *value;
    } flags[CLI_FLAGS_MAX * 2];
    size_t flag_count;
    bool json;
    rdg_cloud_client_t *cloud;
};

extern const command_t device_commands[], device_enrol_commands[], monitor_commands[],
    subscription_commands[], event_commands[], file_commands[], chain_commands[], contract_commands[],
    contract_dev_commands[], contract_life_commands[], contract_govern_commands[], block_commands[],
    key_commands[], key_sign_commands[], cert_commands[], ca_commands[], archive_commands[],
    mainchain_commands[], node_commands[], succession_commands[], command_commands[], rollout_commands[],
    image_commands[], image_trust_commands[], image_push_commands[], archive_cloud_commands[],
    archive_key_commands[], archive_fetch_commands[], chain_event_commands[], genesis_commands[],
    access_commands[], tool_commands[];

/* args.c */
bool cli_has(const cli_t *cli, const char *flag);
const char *cli_flag(const cli_t *cli, const char *flag, const char *fallback);
rdg_err_t cli_number(const cli_t *cli, const char *flag, uint64_t fallback, uint64_t *out);
/* A flag's names with commas between, as an array. Owned, also when it is refused (INVALID: empty). */
rdg_err_t cli_names(const cli_t *cli, const char *flag, json_t **out);
rdg_err_t cli_read_json(const char *path, json_t **out); /* owned */
const command_t *cli_find(const char *noun, const char *verb);
/* Calls fn for every command, in the order of the help. */
void cli_each(void (*fn)(void *ctx, const command_t *c), void *ctx);
rdg_err_t cli_parse(cli_t *cli, int argc, char **argv);
void cli_help(const char *noun);
void cli_help_command(const command_t *c);

/* connect.c: where the cloud is and who asks */
rdg_err_t cli_connect(cli_t *cli);
rdg_err_t cli_registry(const cli_t *cli, rdg_images_client_t **out); /* the same cloud's registry; owned */
/* A call whose path is built with printf; components are to be passed through cli_component first. */
__attribute__((format(printf, 5, 6))) rdg_err_t cli_call(cli_t *cli, const char *method, json_t *body,
                                                         json_t **answer, const char *path, ...);
/* Refuses what cannot stand in a path. */
rdg_err_t cli_component(const char *what, const char *value);

/* genesis.c */
rdg_err_t cli_save_new(const char *path, rdg_bytes_t bytes);         /* EXISTS: over nothing */
rdg_err_t cli_save_genesis(const json_t *genesis, const char *path); /* NULL: to standard output */

/* output.c */
void out_json(const json_t *v);
/* rows: array of objects; columns: "TITLE=field" strings, field may be a dotted path. */
void out_table(const json_t *rows, const char *const *columns, size_t count);
void out_fields(const json_t *object, const char *const *columns,
                size_t count); /* one "TITLE  value" a line */
/* Text of a (dotted) field, in a static buffer of 8 that rotate; "-" if absent. Fields ending in _ms are
 * formatted. */
const char *out_text(const json_t *object, const char *path);

/* A field's string as it is, of any length; "" if absent. Borrowed from object. */
const char *out_raw(const json_t *object, const char *field);

#define COLUMNS(...)                                                                                         \
    (const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *)

#endif
