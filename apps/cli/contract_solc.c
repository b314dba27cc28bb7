/* solc, found where developers have it: the project's npm package, a program solc on the path, or npm's solcjs there. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "contract_dev.h"
#include "ridge/base/file.h"
#include "ridge/net/process.h"

#define SOURCE_MAX (16u << 20)
#define OUTPUT_MAX (31u << 20)
enum { PATH_SIZE = PATH_MAX, COMPILE_MS = 300000 };

/* Reads an input file, compiles with npm's solc (argv 5), writes the output file; imports are those of a folder (argv 4). */
static const char driver[] =
    "const fs = require('fs'), path = require('path');\n"
    "const [, , input, output, dir, compiler] = process.argv;\n"
    "const find = require('module').createRequire(path.join(path.resolve(dir), 'package.json'));\n"
    "const solc = require(compiler);\n"
    "const read = (name) => {\n"
    "  for (const at of [() => path.join(dir, name), () => find.resolve(name)])\n"
    "    try { return { contents: fs.readFileSync(at(), 'utf8') }; } catch {}\n"
    "  return { error: `${name} is neither below ${dir} nor in its node_modules: npm install it` };\n"
    "};\n"
    "fs.writeFileSync(output, solc.compile(fs.readFileSync(input, 'utf8'), { import: read }));\n";

static rdg_err_t join(char out[PATH_SIZE], const char *dir, const char *name) {
    return rdg_path_join(out, PATH_SIZE, dir, name);
}

/* --- which ---------------------------------------------------------------------------------------------------------- */

/* The npm package solc in dir or a folder above it, as Node looks for it. */
static bool find_package(const char *dir, char out[PATH_SIZE]) {
    char at[PATH_MAX], manifest[PATH_SIZE];
    if (!realpath(dir, at)) return false;
    for (;;) {
        if (join(out, at, "node_modules/solc") == RDG_OK && join(manifest, out, "package.json") == RDG_OK &&
            rdg_file_exists(manifest))
            return true;
        char *slash = strrchr(at, '/');
        if (!slash || slash == at) return false;
        *slash = 0;
    }
}

/* The package behind the program solcjs of `npm install -g solc`. */
static bool find_solcjs(char out[PATH_SIZE]) {
    char program[PATH_SIZE], paths[PATH_SIZE], *rest = NULL;
    const char *path = getenv("PATH");
    snprintf(paths, sizeof paths, "%s", path ? path : "");
    for (const char *dir = strtok_r(paths, ":", &rest); dir; dir = strtok_r(NULL, ":", &rest)) {
        if (join(program, dir, "solcjs") != RDG_OK || !realpath(program, out)) continue;
        char *slash = strrchr(out, '/');
        if (slash) *slash = 0;
        return slash != NULL;
    }
    return false;
}

/* --- running -------------------------------------------------------------------------------------------------------- */

static rdg_err_t run_npm(const char *package, const char *dir, const char *input, const char *output,
                         const char *scratch) {
    char script[PATH_SIZE], said[2048];
    RDG_TRY(join(script, scratch, "compile.cjs"));
    RDG_TRY(rdg_file_replace(script, rdg_bytes_str(driver), 0600));
    const char *const argv[] = {"node", script, input, output, dir, package, NULL};
    rdg_err_t err = rdg_process_run(argv, COMPILE_MS, said, sizeof said);
    if (err == RDG_E_NOT_FOUND)
        return rdg_fail(RDG_E_UNSUPPORTED,
                        "%s needs the program node, which is not on the path (Debian: nodejs)", package);
    return rdg_fail_in(err, "%s", package);
}

/* NOT_FOUND: there is no program solc. */
static rdg_err_t run_solc(const char *dir, const char *input, const char *output) {
    char modules[PATH_SIZE];
    rdg_process_t *p = NULL;
    int status;
    RDG_TRY(join(modules, dir, "node_modules"));
    bool with = rdg_file_exists(modules);
    const char *const argv[] = {
        "solc", "--standard-json", input, "--base-path", dir, with ? "--include-path" : NULL, modules, NULL};
    const rdg_process_options_t o = {.argv = argv, .log_path = output, .die_with_parent = true};
    RDG_TRY(rdg_process_start(&o, &p));
    rdg_err_t err = rdg_process_wait(p, COMPILE_MS, &status);
    if (err != RDG_OK) (void)rdg_process_stop(p, 1000);
    rdg_process_free(p);
    return rdg_fail_in(err, "solc");
}

static rdg_err_t run(const char *dir, const char *input, const char *output, const char *scratch) {
    char package[PATH_SIZE];
    if (find_package(dir, package)) return run_npm(package, dir, input, output, scratch);
    rdg_err_t err = run_solc(dir, input, output);
    if (err != RDG_E_NOT_FOUND) return err;
    if (find_solcjs(package)) return run_npm(package, dir, input, output, scratch);
    return rdg_fail(
        RDG_E_UNSUPPORTED,
        "no Solidity compiler: neither node_modules/solc in or above %s nor a program solc or solcjs on "
        "the path; run `npm install --save-dev solc` there (Debian: nodejs, npm)",
        dir);
}

/* --- input and output ------------------------------------------------------------------------------------------------ */

rdg_err_t solc_add_source(const char *dir, const char *name, json_t *sources) {
    char path[PATH_SIZE];
    rdg_buf_t text;
    RDG_TRY(join(path, dir, name));
    rdg_buf_init(&text, SOURCE_MAX);
    rdg_err_t err = rdg_file_read(path, &text);
    json_t *content = err == RDG_OK ? json_stringn(text.data ? (const char *)text.data : "", text.len) : NULL;
    rdg_buf_fini(&text);
    if (err != RDG_OK) return err;
    if (!content) return rdg_fail(RDG_E_MALFORMED, "%s is not text in UTF-8", path);
    json_object_set_new(sources, name, json_pack("{s:o}", "content", content));
    return RDG_OK;
}

static rdg_err_t write_input(json_t *sources, const char *path) {
    rdg_buf_t text;
    json_t *input =
        json_pack("{s:s, s:O, s:{s:s, s:{s:b, s:i}, s:{s:s, s:b}, s:{s:{s:[s, s, s]}}}}", "language",
                  "Solidity", "sources", sources, "settings", "evmVersion", "cancun", "optimizer", "enabled",
                  1, "runs", 200, "metadata", "bytecodeHash", "none", "appendCBOR", 0, "outputSelection", "*",
                  "*", "abi", "evm.bytecode.object", "evm.deployedBytecode.object");
    rdg_buf_init(&text, 2 * SOURCE_MAX);
    rdg_err_t err = input ? rdg_json_dump(input, &text) : RDG_E_NO_MEMORY;
    if (err == RDG_OK) err = rdg_file_replace(path, rdg_buf_view(&text), 0600);
    rdg_buf_fini(&text);
    json_decref(input);
    return err;
}

static rdg_err_t read_output(const char *path, json_t **out) {
    rdg_buf_t text;
    rdg_buf_init(&text, OUTPUT_MAX);
    rdg_err_t err = rdg_file_read(path, &text);
    const char *all = err == RDG_OK ? rdg_buf_cstr(&text) : NULL;
    const char *begin =
        all ? strchr(all, '{') : NULL; /* warnings of the program itself may stand before it */
    if (err == RDG_OK && !begin) err = rdg_fail(RDG_E_PROTOCOL, "solc says: %.300s", all ? all : "nothing");
    if (err == RDG_OK) err = rdg_fail_in(rdg_json_parse(rdg_bytes_str(begin), out), "solc's output");
    rdg_buf_fini(&text);
    return err;
}

/* solc ends with status 0 whatever it found. */
static rdg_err_t report_errors(const json_t *output) {
    const json_t *e;
    size_t i, errors = 0;
    json_array_foreach(json_object_get(output, "errors"), i, e) {
        bool bad = strcmp(out_raw(e, "severity"), "error") == 0;
        errors += bad;
        fprintf(stderr, "%s", out_raw(e, "formattedMessage"));
    }
    return errors ? rdg_fail(RDG_E_INVALID, "the contracts do not compile: %zu error%s", errors,
                             errors == 1 ? "" : "s")
                  : RDG_OK;
}

static rdg_err_t compile_in(const char *scratch, const char *dir, json_t *sources, json_t **contracts) {
    char input[PATH_SIZE], output[PATH_SIZE];
    json_t *said = NULL;
    RDG_TRY(join(input, scratch, "input.json"));
    RDG_TRY(join(output, scratch, "output.json"));
    RDG_TRY(write_input(sources, input));
    RDG_TRY(run(dir, input, output, scratch));
    RDG_TRY(read_output(output, &said));
    rdg_err_t err = report_errors(said);
    if (err == RDG_OK) *contracts = json_incref(json_object_get(said, "contracts"));
    json_decref(said);
    return err;
}

rdg_err_t solc_compile(const char *dir, json_t *sources, json_t **contracts) {
    const char *tmp = getenv("TMPDIR");
    char scratch[PATH_SIZE];
    *contracts = NULL;
    snprintf(scratch, sizeof scratch, "%s/ridge-build-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(scratch)) return rdg_fail(RDG_E_IO, "no directory can be made in %s", tmp ? tmp : "/tmp");
    rdg_err_t err = compile_in(scratch, dir, sources, contracts);
    (void)rdg_tree_remove(scratch, NULL);
    return err;
}

json_t *solc_code(const json_t *contract, const char *which) {
    const json_t *code = json_object_get(json_object_get(json_object_get(contract, "evm"), which), "object");
    return json_sprintf("0x%s", json_is_string(code) ? json_string_value(code) : "");
}
