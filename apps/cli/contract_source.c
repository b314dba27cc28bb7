/* Solidity source to ABI and bytecode, by the solc that is installed: solc itself, or npm's solcjs. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "contract_cli.h"
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"

#define SOURCE_MAX (1u << 20)
#define OUTPUT_MAX (32u << 20)

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static rdg_err_t request_of(const char *path, char **out) {
    rdg_buf_t text;
    rdg_buf_init(&text, SOURCE_MAX);
    rdg_err_t err = rdg_file_read(path, &text);
    json_t *source = err == RDG_OK ? json_stringn((const char *)text.data, text.len) : NULL;
    if (err == RDG_OK && !source) err = rdg_fail(RDG_E_MALFORMED, "%s: is no UTF-8 text", path);
    rdg_buf_fini(&text);
    if (err != RDG_OK) return err;
    json_t *request = json_pack("{s:s, s:{s:{s:o}}, s:{s:s, s:{s:b, s:i}, s:{s:{s:[s,s]}}}}", "language",
                                "Solidity", "sources", base_name(path), "content", source, "settings",
                                "evmVersion", "cancun", "optimizer", "enabled", 1, "runs", 200,
                                "outputSelection", "*", "*", "abi", "evm.bytecode.object");
    *out = rdg_json_text(request);
    json_decref(request);
    return *out ? RDG_OK : rdg_fail(RDG_E_NO_MEMORY, "no memory for %s", path);
}

/* The request goes through a file without a name, so that neither side waits for the other. */
static int file_with(const char *text) {
    FILE *f = tmpfile();
    if (!f) return -1;
    int fd = fputs(text, f) < 0 || fflush(f) != 0 ? -1 : dup(fileno(f));
    fclose(f);
    if (fd >= 0 && lseek(fd, 0, SEEK_SET) != 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static void become(const char *program, const char *folder, int in, int out) {
    dup2(in, STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    if (strcmp(program, "solc") == 0)
        execlp(program, program, "--standard-json", "--base-path", folder, (char *)NULL);
    else
        execlp(program, program, "--standard-json", "--base-path", folder, "--include-path", "node_modules",
               (char *)NULL);
    _exit(errno == ENOENT ? 127 : 126);
}

/* NOT_FOUND: no such program. */
static rdg_err_t run(const char *program, const char *folder, int in, rdg_buf_t *out) {
    int ends[2], status = 0;
    char chunk[8192];
    ssize_t n = 0;
    if (lseek(in, 0, SEEK_SET) != 0 || pipe(ends) != 0) return rdg_fail_errno(errno, "run %s", program);
    pid_t child = fork();
    if (child == 0) become(program, folder, in, ends[1]);
    close(ends[1]);
    rdg_err_t err = child < 0 ? rdg_fail_errno(errno, "run %s", program) : RDG_OK;
    while (err == RDG_OK && (n = read(ends[0], chunk, sizeof chunk)) > 0)
        err = rdg_buf_append(out, chunk, (size_t)n);
    close(ends[0]);
    if (child > 0) waitpid(child, &status, 0);
    if (err != RDG_OK) return err;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127) return RDG_E_NOT_FOUND;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return RDG_OK;
    return rdg_fail(RDG_E_INTERNAL, "%s ended with status %d and no answer", program, WEXITSTATUS(status));
}

static rdg_err_t compile(const char *path, json_t **answer) {
    char *request = NULL, folder[1024];
    rdg_buf_t out;
    RDG_TRY(request_of(path, &request));
    snprintf(folder, sizeof folder, "%.*s", path == base_name(path) ? 1 : (int)(base_name(path) - path),
             path == base_name(path) ? "." : path);
    int in = file_with(request);
    rdg_free(request);
    if (in < 0) return rdg_fail_errno(errno, "a temporary file for the compiler");
    rdg_buf_init(&out, OUTPUT_MAX);
    rdg_err_t err = run("solc", folder, in, &out);
    if (err == RDG_E_NOT_FOUND) err = run("solcjs", folder, in, &out);
    close(in);
    if (err == RDG_E_NOT_FOUND)
        err = rdg_fail(err, "no Solidity compiler is installed: npm install -g solc, or take an artefact "
                            "(--artifact FILE)");
    /* solcjs writes a line of its own before the answer. */
    const void *brace = err == RDG_OK && out.len ? memchr(out.data, '{', out.len) : NULL;
    if (err == RDG_OK && !brace) err = rdg_fail(RDG_E_MALFORMED, "the compiler gave no answer");
    if (err == RDG_OK) {
        size_t skipped = (size_t)((const uint8_t *)brace - out.data);
        err =
            rdg_fail_in(rdg_json_parse(rdg_bytes(brace, out.len - skipped), answer), "the compiler's answer");
    }
    rdg_buf_fini(&out);
    return err;
}

static rdg_err_t check_errors(const json_t *answer) {
    const json_t *e;
    size_t i;
    json_array_foreach(json_object_get(answer, "errors"), i, e) {
        const char *severity = json_string_value(json_object_get(e, "severity")),
                   *text = json_string_value(json_object_get(e, "formattedMessage"));
        if (!severity || !text) continue;
        if (strcmp(severity, "error") == 0) return rdg_fail(RDG_E_INVALID, "%s", text);
        fprintf(stderr, "%s\n", text);
    }
    return RDG_OK;
}

static rdg_err_t choose(const json_t *contracts, const char *path, const char *wanted, const json_t **out) {
    const char *name;
    json_t *value;
    size_t found = 0;
    *out = wanted ? json_object_get(contracts, wanted) : NULL;
    if (*out) return RDG_OK;
    if (wanted) return rdg_fail(RDG_E_NOT_FOUND, "%s has no contract '%s'", path, wanted);
    json_object_foreach((json_t *)(uintptr_t)contracts, name, value) {
        const json_t *code =
            json_object_get(json_object_get(json_object_get(value, "evm"), "bytecode"), "object");
        if (json_string_length(code) == 0) continue; /* interfaces */
        ++found;
        *out = value;
    }
    if (found == 1) return RDG_OK;
    return rdg_fail(RDG_E_INVALID, "%s has %zu contracts: choose one with --contract NAME", path, found);
}

rdg_err_t contract_from_source(const char *path, const char *wanted, json_t *body) {
    json_t *answer = NULL;
    const json_t *chosen;
    RDG_TRY(compile(path, &answer));
    rdg_err_t err = check_errors(answer);
    if (err == RDG_OK)
        err = choose(json_object_get(json_object_get(answer, "contracts"), base_name(path)), path, wanted,
                     &chosen);
    if (err == RDG_OK) {
        const json_t *code =
            json_object_get(json_object_get(json_object_get(chosen, "evm"), "bytecode"), "object");
        json_object_set(body, "abi", json_object_get(chosen, "abi"));
        json_object_set(body, "bytecode", (json_t *)(uintptr_t)code);
    }
    json_decref(answer);
    return err;
}
