#include "cli.h"
#include "ridge/base/config.h"
#include "ridge/base/file.h"
#include <stdio.h>
#include <string.h>

#define JSON_FILE_MAX (4u << 20)

static const command_t *const tables[] = {
    device_commands,          device_enrol_commands,  monitor_commands,
    subscription_commands,    event_commands,         file_commands,
    chain_commands,           chain_event_commands,   genesis_commands,
    contract_dev_commands,    contract_commands,      contract_life_commands,
    contract_govern_commands, block_commands,         key_commands,
    key_sign_commands,        cert_commands,          ca_commands,
    archive_commands,         mainchain_commands,     node_commands,
    succession_commands,      command_commands,       rollout_commands,
    image_commands,           image_trust_commands,   image_push_commands,
    archive_cloud_commands,   archive_fetch_commands, archive_key_commands,
    access_commands,          tool_commands};

static const flag_t global_flags[] = {
    {"url", "URL", "address of the cloud (RIDGE_URL; default http://127.0.0.1:7780)"},
    {"token-file", "FILE",
     "file with the access token (RIDGE_TOKEN_FILE; or RIDGE_TOKEN holds the token itself)"},
    {"home", "DIR",
     "data directory of a cloud on this machine: address and token are taken from there (RIDGE_HOME)"},
    {"json", NULL, "print the answer as JSON"},
    {"help", NULL, "show help"},
    {NULL, NULL, NULL},
};

void cli_each(void (*fn)(void *ctx, const command_t *c), void *ctx) {
    for (size_t t = 0; t < sizeof tables / sizeof tables[0]; ++t)
        for (const command_t *c = tables[t]; c->noun; ++c) fn(ctx, c);
}

const command_t *cli_find(const char *noun, const char *verb) {
    for (size_t t = 0; t < sizeof tables / sizeof tables[0]; ++t)
        for (const command_t *c = tables[t]; c->noun; ++c)
            if (strcmp(c->noun, noun) == 0 && strcmp(c->verb, verb) == 0) return c;
    return NULL;
}

bool cli_has(const cli_t *cli, const char *flag) {
    return cli_flag(cli, flag, NULL) != NULL;
}

const char *cli_flag(const cli_t *cli, const char *flag, const char *fallback) {
    for (size_t i = 0; i < cli->flag_count; ++i)
        if (strcmp(cli->flags[i].name, flag) == 0) return cli->flags[i].value;
    return fallback;
}

rdg_err_t cli_number(const cli_t *cli, const char *flag, uint64_t fallback, uint64_t *out) {
    const char *text = cli_flag(cli, flag, NULL);
    *out = fallback;
    return text ? rdg_fail_in(rdg_parse_u64(text, out), "--%s", flag) : RDG_OK;
}

rdg_err_t cli_names(const cli_t *cli, const char *flag, json_t **out) {
    json_t *list = json_array();
    for (const char *p = cli_flag(cli, flag, ""); list && *p;) {
        size_t len = strcspn(p, ",");
        if (len > 0) json_array_append_new(list, json_stringn(p, len));
        p += len + (p[len] == ',');
    }
    *out = list;
    return json_array_size(list) > 0 ? RDG_OK : rdg_fail(RDG_E_INVALID, "--%s wants names: a,b,c,d", flag);
}

rdg_err_t cli_read_json(const char *path, json_t **out) {
    rdg_buf_t text;
    rdg_buf_init(&text, JSON_FILE_MAX);
    rdg_err_t err = rdg_file_read(path, &text);
    if (err == RDG_OK) err = rdg_fail_in(rdg_json_parse(rdg_buf_view(&text), out), "%s", path);
    rdg_buf_fini(&text);
    return err;
}

static const flag_t *find_flag(const flag_t *flags, const char *name, size_t len) {
    for (; flags->name; ++flags)
        if (strlen(flags->name) == len && memcmp(flags->name, name, len) == 0) return flags;
    return NULL;
}

static rdg_err_t parse_flag(cli_t *cli, int argc, char **argv, int *at) {
    const char *name = argv[*at] + 2, *equals = strchr(name, '='), *value = equals ? equals + 1 : NULL;
    size_t len = equals ? (size_t)(equals - name) : strlen(name);
    const flag_t *f = cli->command ? find_flag(cli->command->flags, name, len) : NULL;
    if (!f) f = find_flag(global_flags, name, len);
    if (!f)
        return rdg_fail(RDG_E_INVALID, "unknown option --%.*s: see ridge %s %s --help", (int)len, name,
                        cli->command ? cli->command->noun : "", cli->command ? cli->command->verb : "");
    if (!f->value && value) return rdg_fail(RDG_E_INVALID, "--%s takes no value", f->name);
    if (!f->value)
        value = "";
    else if (!value && *at + 1 < argc)
        value = argv[++*at];
    if (!value) return rdg_fail(RDG_E_INVALID, "--%s wants %s", f->name, f->value);
    if (cli->flag_count == sizeof cli->flags / sizeof cli->flags[0])
        return rdg_fail(RDG_E_INVALID, "too many options");
    cli->flags[cli->flag_count].name = f->name;
    cli->flags[cli->flag_count++].value = value;
    return RDG_OK;
}

rdg_err_t cli_parse(cli_t *cli, int argc, char **argv) {
    bool options = true;
    for (int i = 3; i < argc; ++i) {
        if (options && strcmp(argv[i], "--") == 0)
            options = false;
        else if (options && strncmp(argv[i], "--", 2) == 0)
            RDG_TRY(parse_flag(cli, argc, argv, &i));
        else if (cli->arg_count == CLI_ARGS_MAX)
            return rdg_fail(RDG_E_INVALID, "more than %d arguments", CLI_ARGS_MAX);
        else
            cli->args[cli->arg_count++] = argv[i];
    }
    cli->json = cli_has(cli, "json");
    if (cli_has(cli, "help")) return RDG_E_CANCELLED;
    const command_t *c = cli->command;
    if (cli->arg_count < c->min_args || cli->arg_count > c->max_args)
        return rdg_fail(RDG_E_INVALID, "usage: ridge %s %s %s", c->noun, c->verb, c->args);
    return RDG_OK;
}

static void print_flags(const flag_t *f) {
    for (; f->name; ++f) {
        char left[64];
        snprintf(left, sizeof left, "--%s%s%s", f->name, f->value ? " " : "", f->value ? f->value : "");
        printf("  %-28s %s\n", left, f->help);
    }
}

void cli_help_command(const command_t *c) {
    printf("%s\n\nUsage: ridge %s %s %s\n", c->help, c->noun, c->verb, c->args);
    if (c->flags[0].name) printf("\nOptions:\n");
    print_flags(c->flags);
    printf("\nOptions of every command:\n");
    print_flags(global_flags);
}

static void print_command(void *noun, const command_t *c) {
    if (noun && strcmp(noun, c->noun) != 0) return;
    char left[96];
    snprintf(left, sizeof left, "%s %s %s", c->noun, c->verb, c->args);
    printf("  %-52s %s\n", left, c->help);
}

void cli_help(const char *noun) {
    printf("ridge — trusted ledgers on edge devices\n\nUsage: ridge NOUN VERB [arguments] [options]\n\n");
    cli_each(print_command, (void *)(uintptr_t)noun);
    printf("\nOptions of every command:\n");
    print_flags(global_flags);
    printf("\nSee also: ridge NOUN VERB --help; shell completion: ridge completion bash\n");
}
