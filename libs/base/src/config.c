#include "ridge/base/config.h"
#include "ridge/base/alloc.h"
#include "ridge/base/assert.h"
#include "ridge/base/file.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX (64u << 10)
#define ENV_NAME_MAX 128

typedef struct value {
    char *text;
    uint64_t number;
} value_t;

struct rdg_config {
    const char *program, *summary, *env_prefix;
    const rdg_option_t *options;
    size_t count;
    value_t *values;
    const char **rest;
    size_t rest_count;
};

void rdg_config_free(rdg_config_t *c) {
    if (!c) return;
    for (size_t i = 0; c->values && i < c->count; ++i) {
        if (c->values[i].text) rdg_secure_zero(c->values[i].text, strlen(c->values[i].text));
        rdg_free(c->values[i].text);
    }
    rdg_free(c->values);
    rdg_free(c->rest);
    rdg_free(c);
}

static rdg_err_t parse_bool(const char *text, uint64_t *out) {
    static const char *const yes[] = {"true", "yes", "on", "1"}, *const no[] = {"false", "no", "off", "0"};
    for (size_t i = 0; i < 4; ++i) {
        if (strcmp(text, yes[i]) == 0) return *out = 1, RDG_OK;
        if (strcmp(text, no[i]) == 0) return *out = 0, RDG_OK;
    }
    return rdg_fail(RDG_E_INVALID, "'%.32s': want true or false", text);
}

static rdg_err_t parse_value(const rdg_option_t *o, const char *text, uint64_t *out) {
    switch (o->kind) {
    case RDG_OPT_STRING: return RDG_OK;
    case RDG_OPT_U64: RDG_TRY(rdg_parse_u64(text, out)); break;
    case RDG_OPT_BOOL: return parse_bool(text, out);
    case RDG_OPT_SIZE: RDG_TRY(rdg_parse_size(text, out)); break;
    case RDG_OPT_MS: RDG_TRY(rdg_parse_ms(text, out)); break;
    }
    if ((o->min || o->max) && (*out < o->min || *out > o->max))
        return rdg_fail(RDG_E_INVALID, "%s is out of range: %llu to %llu", text, (unsigned long long)o->min,
                        (unsigned long long)o->max);
    return RDG_OK;
}

/* origin is "flag --x", "environment variable X" or "file:line". */
static rdg_err_t set(rdg_config_t *c, size_t i, const char *text, const char *origin) {
    uint64_t number = 0;
    RDG_TRY(rdg_fail_in(parse_value(&c->options[i], text, &number), "%s", origin));
    char *copy = rdg_strdup(text);
    if (!copy) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the configuration");
    rdg_free(c->values[i].text);
    c->values[i] = (value_t){copy, number};
    return RDG_OK;
}

static size_t find(const rdg_config_t *c, const char *name, size_t len) {
    for (size_t i = 0; i < c->count; ++i)
        if (strlen(c->options[i].name) == len && memcmp(c->options[i].name, name, len) == 0) return i;
    return c->count;
}

static rdg_err_t set_defaults(rdg_config_t *c) {
    for (size_t i = 0; i < c->count; ++i)
        if (c->options[i].fallback) RDG_TRY(set(c, i, c->options[i].fallback, c->options[i].name));
    return RDG_OK;
}

static char *trim(char *s) {
    while (isspace((unsigned char)*s)) ++s;
    size_t len = strlen(s);
    while (len > 0 && isspace((unsigned char)s[len - 1])) s[--len] = '\0';
    return s;
}

static rdg_err_t set_line(rdg_config_t *c, char *line, const char *path, unsigned number) {
    char origin[512];
    snprintf(origin, sizeof origin, "%s:%u", path, number);
    char *key = trim(line);
    if (*key == '\0' || *key == '#') return RDG_OK;
    char *equals = strchr(key, '=');
    if (!equals) return rdg_fail(RDG_E_INVALID, "%s: want 'key = value'", origin);
    *equals = '\0';
    key = trim(key);
    size_t i = find(c, key, strlen(key));
    if (i == c->count) return rdg_fail(RDG_E_INVALID, "%s: unknown key '%.64s': see --help", origin, key);
    return set(c, i, trim(equals + 1), origin);
}

static rdg_err_t set_file(rdg_config_t *c, const char *path) {
    rdg_buf_t text;
    rdg_buf_init(&text, FILE_MAX);
    rdg_err_t err = rdg_file_read(path, &text);
    char *next = err == RDG_OK ? (char *)(uintptr_t)rdg_buf_cstr(&text) : NULL;
    for (unsigned number = 1; err == RDG_OK && next && *next; ++number) {
        char *line = next, *end = strchr(line, '\n');
        next = end ? end + 1 : line + strlen(line);
        if (end) *end = '\0';
        err = set_line(c, line, path, number);
    }
    if (text.data) rdg_secure_zero(text.data, text.len);
    rdg_buf_fini(&text);
    return err;
}

static rdg_err_t set_environment(rdg_config_t *c) {
    for (size_t i = 0; i < c->count; ++i) {
        char name[ENV_NAME_MAX], origin[ENV_NAME_MAX + 32];
        size_t len = (size_t)snprintf(name, sizeof name, "%s_%s", c->env_prefix, c->options[i].name);
        RDG_ASSERT(len < sizeof name);
        for (size_t k = 0; k < len; ++k)
            name[k] = name[k] == '-' ? '_' : (char)toupper((unsigned char)name[k]);
        const char *text = getenv(name);
        if (!text) continue;
        snprintf(origin, sizeof origin, "environment variable %s", name);
        RDG_TRY(set(c, i, text, origin));
    }
    return RDG_OK;
}

static void print_help(const rdg_config_t *c) {
    printf("%s\n\nUsage: %s [options]\n\nEach option is also a key of the file given with --config and an "
           "environment\n"
           "variable (%s_<NAME>); a flag wins over the environment, that over the file.\n\n",
           c->summary, c->program, c->env_prefix);
    printf("  %-24s %s\n", "--config FILE", "read options from FILE");
    for (size_t i = 0; i < c->count; ++i) {
        const rdg_option_t *o = &c->options[i];
        char flag[64];
        snprintf(flag, sizeof flag, o->secret ? "(%s)" : "--%s", o->name);
        printf("  %-24s %s", flag, o->help);
        if (o->fallback && *o->fallback) printf(" (default: %s)", o->fallback);
        if (o->secret) printf(" (secret: file or environment only)");
        printf("\n");
    }
    printf("  %-24s %s\n  %-24s %s\n", "--help", "show this", "--version", "show the version");
}

/* One pass over argv; apply=false looks only for --config, --help and --version. */
static rdg_err_t set_flags(rdg_config_t *c, int argc, char **argv, bool apply, const char **config_path) {
    for (int a = 1; a < argc; ++a) {
        const char *arg = argv[a];
        if (strncmp(arg, "--", 2) != 0 || arg[2] == '\0') {
            if (apply) c->rest[c->rest_count++] = arg;
            continue;
        }
        const char *name = arg + 2, *equals = strchr(name, '='), *value = equals ? equals + 1 : NULL;
        size_t len = equals ? (size_t)(equals - name) : strlen(name);
        bool is_config = len == 6 && memcmp(name, "config", 6) == 0;
        if (!apply && strcmp(arg, "--help") == 0) return print_help(c), RDG_E_CANCELLED;
        if (!apply && strcmp(arg, "--version") == 0)
            return printf("%s %s\n", c->program, RIDGE_VERSION), RDG_E_CANCELLED;
        size_t i = find(c, name, len);
        if (i == c->count && !is_config)
            return rdg_fail(RDG_E_INVALID, "unknown option --%.*s: see %s --help", (int)len, name,
                            c->program);
        if (!is_config && c->options[i].secret)
            return rdg_fail(RDG_E_INVALID,
                            "--%s is a secret: command lines are public, give it in the file or environment",
                            c->options[i].name);
        bool is_switch = !is_config && c->options[i].kind == RDG_OPT_BOOL;
        if (!value && is_switch)
            value = "true";
        else if (!value && a + 1 < argc)
            value = argv[++a];
        if (!value) return rdg_fail(RDG_E_INVALID, "--%.*s wants a value", (int)len, name);
        if (is_config) *config_path = value;
        char origin[96];
        snprintf(origin, sizeof origin, "--%.*s", (int)len, name);
        if (apply && !is_config) RDG_TRY(set(c, i, value, origin));
    }
    return RDG_OK;
}

static rdg_err_t load(rdg_config_t *c, int argc, char **argv) {
    const char *path = NULL;
    c->values = rdg_calloc(c->count + 1, sizeof *c->values);
    c->rest = rdg_calloc((size_t)argc + 1, sizeof *c->rest);
    if (!c->values || !c->rest) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the configuration");
    RDG_TRY(set_flags(c, argc, argv, false, &path));
    RDG_TRY(set_defaults(c));
    if (path) RDG_TRY(set_file(c, path));
    RDG_TRY(set_environment(c));
    return set_flags(c, argc, argv, true, &path);
}

rdg_err_t rdg_config_load(const char *program, const char *summary, const char *env_prefix,
                          const rdg_option_t *options, size_t option_count, int argc, char **argv,
                          rdg_config_t **out) {
    rdg_config_t *c = rdg_calloc(1, sizeof *c);
    if (!c) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the configuration");
    c->program = program, c->summary = summary, c->env_prefix = env_prefix;
    c->options = options, c->count = option_count;
    rdg_err_t err = load(c, argc, argv);
    if (err != RDG_OK) {
        rdg_config_free(c);
        return err;
    }
    *out = c;
    return RDG_OK;
}

static const value_t *get(const rdg_config_t *c, const char *name) {
    size_t i = find(c, name, strlen(name));
    RDG_ASSERT(i < c->count);
    return &c->values[i];
}

const char *rdg_config_str(const rdg_config_t *c, const char *name) {
    return get(c, name)->text;
}
uint64_t rdg_config_u64(const rdg_config_t *c, const char *name) {
    return get(c, name)->number;
}
bool rdg_config_bool(const rdg_config_t *c, const char *name) {
    return get(c, name)->number != 0;
}

size_t rdg_config_rest(const rdg_config_t *c, const char *const **args) {
    *args = c->rest;
    return c->rest_count;
}
