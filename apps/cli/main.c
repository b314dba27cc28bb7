/* ridge: the operator's command line. */
#include "cli.h"
#include <stdio.h>
#include <string.h>

enum { EXIT_FAILED = 1, EXIT_USAGE, EXIT_NOT_FOUND, EXIT_FORBIDDEN, EXIT_UNREACHABLE, EXIT_CONFLICT };

static int exit_code(rdg_err_t err) {
    switch (err) {
    case RDG_OK:
    case RDG_E_CANCELLED: return 0;
    case RDG_E_NOT_FOUND: return EXIT_NOT_FOUND;
    case RDG_E_UNAUTHENTICATED:
    case RDG_E_FORBIDDEN: return EXIT_FORBIDDEN;
    case RDG_E_UNAVAILABLE:
    case RDG_E_TIMEOUT: return EXIT_UNREACHABLE;
    case RDG_E_CONFLICT:
    case RDG_E_EXISTS: return EXIT_CONFLICT;
    default: return EXIT_FAILED;
    }
}

static void print_error(const cli_t *cli, rdg_err_t err) {
    const char *trace = cli->cloud ? rdg_cloud_trace(cli->cloud) : "";
    fprintf(stderr, "ridge: %s\n", rdg_err_message(err));
    if (*trace) fprintf(stderr, "       (%s, trace %s)\n", rdg_err_name(err), trace);
}

static int usage(const char *noun, const char *verb) {
    if (verb)
        fprintf(stderr, "ridge: there is no command '%s %s': see ridge --help\n", noun, verb);
    else
        cli_help(noun);
    return EXIT_USAGE;
}

int main(int argc, char **argv) {
    cli_t cli = {0};
    if (argc == 2 && strcmp(argv[1], "--version") == 0) return printf("ridge %s\n", RIDGE_VERSION), 0;
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0)
        return cli_help(NULL), argc < 2 ? EXIT_USAGE : 0;
    if (argc < 3 || strcmp(argv[2], "--help") == 0) return cli_help(argv[1]), argc < 3 ? EXIT_USAGE : 0;
    cli.command = cli_find(argv[1], argv[2]);
    if (!cli.command) return usage(argv[1], argv[2]);
    rdg_err_t err = cli_parse(&cli, argc, argv);
    if (err == RDG_E_CANCELLED) return cli_help_command(cli.command), 0;
    if (err != RDG_OK) {
        print_error(&cli, err);
        return EXIT_USAGE;
    }
    err = cli.command->run(&cli);
    if (err != RDG_OK) print_error(&cli, err);
    rdg_cloud_client_free(cli.cloud);
    return exit_code(err);
}
