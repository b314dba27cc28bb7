/* Configuration of a program: defaults, then a file, then the environment, then flags; later wins.
 *
 * A program declares its options in one table: name, default, and one line of help. From that table come
 * the flag ("--p2p-port 7000" or "--p2p-port=7000"), the environment variable (prefix + upper case,
 * "RIDGE_NODE_P2P_PORT"), the key in the file ("p2p-port = 7000"; '#' starts a comment) and --help.
 * A bool's flag takes no separate value ("--tap" or "--tap=false"); "--" ends the flags. '#' starts a comment
 * at a line's start or after a space, and a value may stand in double quotes.
 * --config FILE (or the environment variable) names the file and is implied. Unknown keys and values of the
 * wrong type are refused with an error naming the key, the place it came from, and what is expected. An
 * option marked secret is refused as a flag (command lines are public) and never printed. */
#ifndef RIDGE_BASE_CONFIG_H
#define RIDGE_BASE_CONFIG_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "ridge/base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum rdg_option_kind {
    RDG_OPT_STRING,
    RDG_OPT_U64,
    RDG_OPT_BOOL,
    RDG_OPT_SIZE /* 64KiB, 8MiB */,
    RDG_OPT_MS /* 250ms, 3s, 2m */
} rdg_option_kind_t;

typedef struct rdg_option {
    const char *name; /* lower case with dashes */
    rdg_option_kind_t kind;
    const char *fallback; /* the documented default, as text; NULL: none, the option is then optional */
    const char *help;
    bool secret;
    uint64_t min, max; /* numbers only; both 0: no bounds */
} rdg_option_t;

typedef struct rdg_config rdg_config_t;

/* env_prefix: "RIDGE_NODE" (an underscore is put behind it if it has none). options: borrowed for the life of
 * the result. argv[0] is skipped; arguments that are no flag are kept and read with rdg_config_rest. Returns
 * owned in *out. CANCELLED after --help or --version was printed. */
rdg_err_t rdg_config_load(const char *program, const char *summary, const char *env_prefix,
                          const rdg_option_t *options, size_t option_count, int argc, char **argv,
                          rdg_config_t **out);
void rdg_config_free(rdg_config_t *c);
const char *rdg_config_str(const rdg_config_t *c, const char *name); /* NULL if unset; borrowed */
uint64_t rdg_config_u64(const rdg_config_t *c, const char *name);    /* also SIZE (bytes) and MS */
bool rdg_config_bool(const rdg_config_t *c, const char *name);
size_t rdg_config_rest(const rdg_config_t *c, const char *const **args);

/* The parsers by themselves, for other uses. */
rdg_err_t rdg_parse_u64(const char *text, uint64_t *out);
rdg_err_t rdg_parse_size(const char *text, uint64_t *bytes);
rdg_err_t rdg_parse_ms(const char *text, uint64_t *ms);

#ifdef __cplusplus
}
#endif
#endif
