#include "ridge/base/config.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "ridge/base/alloc.h"
#include "ridge/base/assert.h"
#include "ridge/base/file.h"

enum { FILE_BYTES_MAX = 1 << 20, NAME_BYTES_MAX = 64 };

struct rdg_config {
    const rdg_option_t *options;
    size_t count, rest_count;
    char **values; /* owned text of each option; NULL: unset */
    const char **rest;
};

/* Where a value came from, for the error's text: "flag --x", "RIDGE_X", "FILE:3". */
typedef struct load {
    rdg_config_t *c;
    const char *program, *prefix, *file; /* file: from --config or the environment */
} load_t;

static const rdg_option_t *find_option(const rdg_config_t *c, const char *name, size_t len) {
    for (size_t i = 0; i < c->count; ++i)
        if (strlen(c->options[i].name) == len && memcmp(c->options[i].name, name, len) == 0)
            return &c->options[i];
    return NULL;
}

static bool parse_bool(const char *text, bool *out) {
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on", "0", "1"};
    for (size_t i = 0; i < sizeof words / sizeof *words; ++i)
        if (strcmp(text, words[i]) == 0) return *out = i % 2 == 1, true;
    return false;
}

static rdg_err_t parse_number(const rdg_option_t *o, const char *text, uint64_t *out) {
    switch (o->kind) {
    case RDG_OPT_SIZE: return rdg_parse_size(text, out);
    case RDG_OPT_MS: return rdg_parse_ms(text, out);
    default: return rdg_parse_u64(text, out);
    }
}

static rdg_err_t check_value(const rdg_option_t *o, const char *text) {
    bool flag;
    uint64_t number;
    if (o->kind == RDG_OPT_STRING) return RDG_OK;
    if (o->kind == RDG_OPT_BOOL)
        return parse_bool(text, &flag) ? RDG_OK
                                       : rdg_fail(RDG_E_INVALID, "\"%.40s\": want true or false", text);
    RDG_TRY(parse_number(o, text, &number));
    if (o->max > 0 && (number < o->min || number > o->max))
        return rdg_fail(RDG_E_INVALID, "\"%.40s\" is outside %llu to %llu", text, (unsigned long long)o->min,
                        (unsigned long long)o->max);
    if (o->max == 0 && number < o->min)
        return rdg_fail(RDG_E_INVALID, "\"%.40s\" is below %llu", text, (unsigned long long)o->min);
    return RDG_OK;
}

static void forget(const rdg_option_t *o, char *value) {
    if (value && o->secret) rdg_secure_zero(value, strlen(value));
    rdg_free(value);
}

static rdg_err_t set(load_t *l, const rdg_option_t *o, const char *text, size_t len, const char *origin) {
    char *value = rdg_strndup(text, len);
    if (!value) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the value of %s", origin);
    rdg_err_t err = check_value(o, value);
    if (err) {
        forget(o, value);
        /* The refused text may be a secret in the wrong place, so it is not repeated. */
        if (o->secret)
            return rdg_fail(err, "%s: the value is not of the form that this option takes", origin);
        return rdg_fail_in(err, "%s", origin);
    }
    char **slot = &l->c->values[o - l->c->options];
    forget(o, *slot);
    *slot = value;
    return RDG_OK;
}

static rdg_err_t set_defaults(load_t *l) {
    for (size_t i = 0; i < l->c->count; ++i) {
        const rdg_option_t *o = &l->c->options[i];
        char origin[NAME_BYTES_MAX + 16];
        RDG_ASSERT(strlen(o->name) < NAME_BYTES_MAX);
        snprintf(origin, sizeof origin, "default of %s", o->name);
        if (o->fallback) RDG_TRY(set(l, o, o->fallback, strlen(o->fallback), origin));
    }
    return RDG_OK;
}

/* ---- the file */

static void trim(const char **text, size_t *len) {
    while (*len > 0 && isspace((unsigned char)**text)) ++*text, --*len;
    while (*len > 0 && isspace((unsigned char)(*text)[*len - 1])) --*len;
}

/* '#' starts a comment at the start of a line or after a space, so that a value may hold one inside. */
static size_t without_comment(const char *line, size_t len) {
    bool quoted = false;
    for (size_t i = 0; i < len; ++i) {
        if (line[i] == '"') quoted = !quoted;
        if (line[i] == '#' && !quoted && (i == 0 || isspace((unsigned char)line[i - 1]))) return i;
    }
    return len;
}

static rdg_err_t set_line(load_t *l, const char *line, size_t len, size_t number) {
    char origin[512];
    len = without_comment(line, len);
    trim(&line, &len);
    if (len == 0) return RDG_OK;
    const char *equals = memchr(line, '=', len);
    if (!equals) return rdg_fail(RDG_E_INVALID, "%s:%zu: want \"name = value\"", l->file, number);
    const char *name = line, *value = equals + 1;
    size_t name_len = (size_t)(equals - line), value_len = len - name_len - 1;
    trim(&name, &name_len);
    trim(&value, &value_len);
    if (value_len >= 2 && value[0] == '"' && value[value_len - 1] == '"') ++value, value_len -= 2;
    snprintf(origin, sizeof origin, "%s:%zu: %.*s", l->file, number, (int)(name_len < 64 ? name_len : 64),
             name);
    const rdg_option_t *o = find_option(l->c, name, name_len);
    if (!o) return rdg_fail(RDG_E_INVALID, "%s: no such option; see %s --help", origin, l->program);
    return set(l, o, value, value_len, origin);
}

static rdg_err_t set_lines(load_t *l, const char *text, size_t len) {
    if (memchr(text, 0, len))
        return rdg_fail(RDG_E_INVALID, "%s: holds a NUL byte: is it a text file?", l->file);
    size_t number = 1;
    for (const char *end = text + len; text < end; ++number) {
        const char *stop = memchr(text, '\n', (size_t)(end - text));
        if (!stop) stop = end;
        RDG_TRY(set_line(l, text, (size_t)(stop - text), number));
        text = stop < end ? stop + 1 : end;
    }
    return RDG_OK;
}

static rdg_err_t read_file(load_t *l) {
    if (!l->file) return RDG_OK;
    rdg_buf_t content;
    rdg_buf_init(&content, FILE_BYTES_MAX);
    rdg_err_t err = rdg_file_read(l->file, &content);
    if (err) err = rdg_fail_in(err, "configuration file");
    const char *text = err ? NULL : rdg_buf_cstr(&content);
    if (text) err = set_lines(l, text, content.len);
    if (!err) err = rdg_buf_err(&content);
    if (content.data) rdg_secure_zero(content.data, content.len);
    rdg_buf_fini(&content);
    return err;
}

/* ---- the environment */

static void env_name(const load_t *l, const char *option, char *out, size_t size) {
    size_t len = strlen(l->prefix);
    const char *between = len > 0 && l->prefix[len - 1] != '_' ? "_" : "";
    int n = snprintf(out, size, "%s%s%s", l->prefix, between, option);
    RDG_ASSERT(n > 0 && (size_t)n < size);
    for (; *out; ++out) *out = *out == '-' ? '_' : (char)toupper((unsigned char)*out);
}

static rdg_err_t read_environment(load_t *l) {
    for (size_t i = 0; i < l->c->count; ++i) {
        char name[2 * NAME_BYTES_MAX];
        env_name(l, l->c->options[i].name, name, sizeof name);
        const char *value = getenv(name);
        if (value) RDG_TRY(set(l, &l->c->options[i], value, strlen(value), name));
    }
    return RDG_OK;
}

/* ---- flags */

typedef struct args {
    int argc, next;
    char **argv;
} args_t;

/* Splits "--name=value" or "--name value" at args->next. A value of NULL means "true" for a bool. */
static rdg_err_t next_flag(load_t *l, args_t *args, const rdg_option_t **o, const char **value,
                           bool *config) {
    const char *name = args->argv[args->next++] + 2;
    const char *equals = strchr(name, '=');
    size_t len = equals ? (size_t)(equals - name) : strlen(name);
    *config = len == 6 && memcmp(name, "config", 6) == 0;
    *o = find_option(l->c, name, len);
    if (!*o && !*config)
        return rdg_fail(RDG_E_INVALID, "flag --%.*s: no such option; see %s --help",
                        (int)(len < 64 ? len : 64), name, l->program);
    if (*o && (*o)->secret)
        return rdg_fail(
            RDG_E_INVALID,
            "flag --%s: secrets are not taken from the command line, where every user of the machine "
            "can read them; use the configuration file or the environment",
            (*o)->name);
    *value = equals ? equals + 1 : NULL;
    if (equals || (*o && (*o)->kind == RDG_OPT_BOOL)) return RDG_OK;
    if (args->next == args->argc) return rdg_fail(RDG_E_INVALID, "flag --%s: a value must follow", name);
    *value = args->argv[args->next++];
    return RDG_OK;
}

typedef rdg_err_t (*flag_fn)(load_t *l, const rdg_option_t *o, const char *value);

static rdg_err_t set_flag(load_t *l, const rdg_option_t *o, const char *value) {
    char origin[NAME_BYTES_MAX + 8];
    snprintf(origin, sizeof origin, "flag --%s", o->name);
    if (!value) value = "true";
    return set(l, o, value, strlen(value), origin);
}

static rdg_err_t ignore_flag(load_t *l, const rdg_option_t *o, const char *value) {
    return (void)l, (void)o, (void)value, RDG_OK;
}

/* Goes through the flags. The first pass only finds the file, which has to be read before flags are set. */
static rdg_err_t read_flags(load_t *l, int argc, char **argv, flag_fn each) {
    args_t args = {argc, 1, argv};
    bool flags_ended = false;
    l->c->rest_count = 0;
    while (args.next < argc) {
        const char *arg = argv[args.next];
        if (flags_ended || arg[0] != '-' || arg[1] == 0) {
            l->c->rest[l->c->rest_count++] = arg;
            ++args.next;
            continue;
        }
        if (arg[1] != '-')
            return rdg_fail(RDG_E_INVALID, "%s: flags start with two dashes; see %s --help", arg, l->program);
        if (arg[2] == 0) {
            flags_ended = true;
            ++args.next;
            continue;
        }
        const rdg_option_t *o;
        const char *value;
        bool config;
        RDG_TRY(next_flag(l, &args, &o, &value, &config));
        if (config) {
            l->file = value;
        } else {
            RDG_TRY(each(l, o, value));
        }
    }
    return RDG_OK;
}

static void print_help(const load_t *l, const char *summary) {
    printf("%s: %s\n\nUsage: %s [options]\n\n", l->program, summary, l->program);
    char env[2 * NAME_BYTES_MAX];
    for (size_t i = 0; i < l->c->count; ++i) {
        const rdg_option_t *o = &l->c->options[i];
        env_name(l, o->name, env, sizeof env);
        if (o->secret) {
            printf("  %s (not as a flag)\n", o->name);
        } else {
            printf("  --%s%s\n", o->name, o->kind == RDG_OPT_BOOL ? "" : " VALUE");
        }
        printf("        %s\n        %s%s%s%s%s\n", o->help, o->fallback ? "default " : "no default",
               o->fallback ? (*o->fallback ? o->fallback : "(empty)") : "", "; environment ", env, "");
    }
    env_name(l, "config", env, sizeof env);
    printf("  --config FILE\n        lines of \"name = value\", read before environment and flags\n"
           "        environment %s\n  --help, --version\n",
           env);
}

static bool asks_for(int argc, char **argv, const char *flag) {
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; ++i)
        if (strcmp(argv[i], flag) == 0) return true;
    return false;
}

static rdg_err_t load_all(load_t *l, int argc, char **argv) {
    char name[2 * NAME_BYTES_MAX];
    env_name(l, "config", name, sizeof name);
    l->file = getenv(name);
    RDG_TRY(set_defaults(l));
    RDG_TRY(read_flags(l, argc, argv, ignore_flag));
    RDG_TRY(read_file(l));
    RDG_TRY(read_environment(l));
    return read_flags(l, argc, argv, set_flag);
}

rdg_err_t rdg_config_load(const char *program, const char *summary, const char *env_prefix,
                          const rdg_option_t *options, size_t option_count, int argc, char **argv,
                          rdg_config_t **out) {
    *out = NULL;
    rdg_config_t *c = rdg_calloc(1, sizeof *c);
    if (!c) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the configuration");
    c->options = options, c->count = option_count;
    c->values = rdg_calloc(option_count, sizeof *c->values);
    c->rest = rdg_calloc(argc > 0 ? (size_t)argc : 1, sizeof *c->rest);
    load_t l = {.c = c, .program = program, .prefix = env_prefix};
    rdg_err_t err;
    if (!c->values || !c->rest) {
        err = rdg_fail(RDG_E_NO_MEMORY, "no memory for the configuration");
    } else if (asks_for(argc, argv, "--help")) {
        print_help(&l, summary);
        err = RDG_E_CANCELLED;
    } else if (asks_for(argc, argv, "--version")) {
        printf("%s %s\n", program, RIDGE_VERSION);
        err = RDG_E_CANCELLED;
    } else {
        err = load_all(&l, argc, argv);
    }
    if (err) {
        rdg_config_free(c);
        return err;
    }
    *out = c;
    return RDG_OK;
}

void rdg_config_free(rdg_config_t *c) {
    if (!c) return;
    for (size_t i = 0; c->values && i < c->count; ++i) forget(&c->options[i], c->values[i]);
    rdg_free(c->values);
    rdg_free(c->rest);
    rdg_free(c);
}

static const char *value_of(const rdg_config_t *c, const char *name, const rdg_option_t **o) {
    *o = find_option(c, name, strlen(name));
    RDG_ASSERT(*o != NULL);
    return c->values[*o - c->options];
}

const char *rdg_config_str(const rdg_config_t *c, const char *name) {
    const rdg_option_t *o;
    return value_of(c, name, &o);
}

uint64_t rdg_config_u64(const rdg_config_t *c, const char *name) {
    const rdg_option_t *o;
    const char *text = value_of(c, name, &o);
    RDG_ASSERT(o->kind == RDG_OPT_U64 || o->kind == RDG_OPT_SIZE || o->kind == RDG_OPT_MS);
    uint64_t number = 0;
    if (text) RDG_ASSERT(parse_number(o, text, &number) == RDG_OK);
    return number;
}

bool rdg_config_bool(const rdg_config_t *c, const char *name) {
    const rdg_option_t *o;
    const char *text = value_of(c, name, &o);
    RDG_ASSERT(o->kind == RDG_OPT_BOOL);
    bool value = false;
    return text && parse_bool(text, &value) && value;
}

size_t rdg_config_rest(const rdg_config_t *c, const char *const **args) {
    *args = c->rest;
    return c->rest_count;
}
