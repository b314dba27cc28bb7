#include "cli.h"
#include <stdio.h>
#include <string.h>

static void collect_nouns(void *seen, const command_t *c) {
    char *list = seen;
    char padded[64];
    snprintf(padded, sizeof padded, " %s ", c->noun);
    if (strstr(list, padded)) return;
    size_t len = strlen(list);
    snprintf(list + len, 1024 - len, "%s ", c->noun);
}

static void print_verb(void *noun, const command_t *c) {
    if (strcmp(noun, c->noun) == 0) printf("%s ", c->verb);
}

static void print_case(void *ctx, const command_t *c) {
    (void)ctx;
    printf("    '%s %s') words='--json --help --home --url --token-file", c->noun, c->verb);
    for (const flag_t *f = c->flags; f->name; ++f) printf(" --%s", f->name);
    printf("' ;;\n");
}

static rdg_err_t bash(cli_t *cli) {
    char nouns[1024] = " ";
    (void)cli;
    cli_each(collect_nouns, nouns);
    printf("# bash completion of ridge: source <(ridge completion bash)\n_ridge() {\n"
           "  local cur=${COMP_WORDS[COMP_CWORD]} words=''\n"
           "  case $COMP_CWORD in\n  1) words='%s' ;;\n  2) case ${COMP_WORDS[1]} in\n",
           nouns);
    char copy[1024];
    snprintf(copy, sizeof copy, "%s", nouns);
    for (char *noun = strtok(copy, " "); noun; noun = strtok(NULL, " ")) {
        printf("    %s) words='", noun);
        cli_each(print_verb, noun);
        printf("' ;;\n");
    }
    printf("    esac ;;\n  *) case \"${COMP_WORDS[1]} ${COMP_WORDS[2]}\" in\n");
    cli_each(print_case, NULL);
    printf("    esac ;;\n  esac\n  COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
           "  [ ${#COMPREPLY[@]} -gt 0 ] || COMPREPLY=($(compgen -f -- \"$cur\"))\n}\ncomplete -F _ridge "
           "ridge\n");
    return RDG_OK;
}

const command_t tool_commands[] = {
    {"completion", "bash", "", "print the completion script for bash", 0, 0, bash, {{0}}},
    {0},
};
