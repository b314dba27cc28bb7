#include "cli.h"
#include <stdio.h>
#include <string.h>

#define NOUNS_MAX 32

typedef struct nouns {
    const char *list[NOUNS_MAX];
    size_t count;
} nouns_t;

static void collect_noun(void *ctx, const command_t *c) {
    nouns_t *n = ctx;
    for (size_t i = 0; i < n->count; ++i)
        if (strcmp(n->list[i], c->noun) == 0) return;
    if (n->count < NOUNS_MAX) n->list[n->count++] = c->noun;
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
    nouns_t nouns = {.count = 0};
    (void)cli;
    cli_each(collect_noun, &nouns);
    printf("# bash completion of ridge: source <(ridge completion bash)\n_ridge() {\n"
           "  local cur=${COMP_WORDS[COMP_CWORD]} words=''\n  case $COMP_CWORD in\n  1) words='");
    for (size_t i = 0; i < nouns.count; ++i) printf("%s ", nouns.list[i]);
    printf("' ;;\n  2) case ${COMP_WORDS[1]} in\n");
    for (size_t i = 0; i < nouns.count; ++i) {
        printf("    %s) words='", nouns.list[i]);
        cli_each(print_verb, (void *)(uintptr_t)nouns.list[i]);
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
