/* solc, found where developers have it: the project's npm package, or a program on the path. */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "contract_dev.h"
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/net/process.h"

#define SOURCE_MAX (16u << 20)
#define OUTPUT_MAX (31u << 20)
enum { PATH_SIZE = 1024, DEPTH_MAX = 8, FILES_MAX = 1000, COMPILE_MS = 300000 };

/* Reads an input file, compiles with the solc that the project's folder (argv 4) finds, writes the output file. */
static const char driver[] =
    "const fs = require('fs'), path = require('path');\n"
    "const [, , input, output, dir] = process.argv;\n"
    "const find = require('module').createRequire(path.join(path.resolve(dir), 'package.json'));\n"
    "const solc = find('solc');\n"
    "const read = (name) => {\n"
    "  for (const at of [() => path.join(dir, name), () => find.resolve(name)])\n"
    "    try { return { contents: fs.readFileSync(at(), 'utf8') }; } catch {}\n"
    "  return { error: `${name} is neither below ${dir} nor in its node_modules: npm install it` };\n"
    "};\n"
    "fs.writeFileSync(output, solc.compile(fs.readFileSync(input, 'utf8'), { import: read }));\n";

static rdg_err_t join(char out[PATH_SIZE], const char *dir, const char *name) {
    return rdg_path_join(out, PATH_SIZE, dir, name);
}

static bool ends_with(const char *text, const char *end) {
    size_t len = strlen(text), n = strlen(end);
    return len > n && strcmp(text + len - n, end) == 0;
}

/* --- sources ------------------------------------------------------------------------------------------------------ */

static rdg_err_t add_source(const char *dir, const char *name, json_t *sources) {
    char path[PATH_SIZE];
    rdg_buf_t text;
    if (json_object_size(sources) == FILES_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "%s: more than %d sources", dir, FILES_MAX);
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

/* Every file below dir/name that ends so. */
static rdg_err_t add_folder(const char *dir, const char *name, const char *ending, int depth,
                            json_t *sources) {
    char path[PATH_SIZE], below[PATH_SIZE];
    RDG_TRY(join(path, dir, name));
    DIR *d = opendir(path);
    if (!d) return RDG_OK;
    rdg_err_t err = RDG_OK;
    for (struct dirent *e; err == RDG_OK && (e = readdir(d));) {
        struct stat st;
        if (e->d_name[0] == '.' || join(below, name, e->d_name) != RDG_OK ||
            join(path, dir, below) != RDG_OK || stat(path, &st) != 0)
            continue;
        if (S_ISDIR(st.st_mode) && depth < DEPTH_MAX)
            err = add_folder(dir, below, ending, depth + 1, sources);
        else if (S_ISREG(st.st_mode) && ends_with(e->d_name, ending))
            err = add_source(dir, below, sources);
    }
    closedir(d);
    return err;
}

static rdg_err_t make_input(const char *dir, rdg_buf_t *out) {
    json_t *sources = json_object();
    rdg_err_t err = add_folder(dir, "contracts", ".sol", 0, sources);
    if (err == RDG_OK) err = add_folder(dir, "test", ".t.sol", 0, sources);
    if (err == RDG_OK && json_object_size(sources) == 0)
        err = rdg_fail(RDG_E_NOT_FOUND,
                       "%s has no .sol file in contracts/: `ridge contract new DIR` begins a project", dir);
    json_t *input =
        json_pack("{s:s, s:o, s:{s:s, s:{s:b, s:i}, s:{s:s, s:b}, s:{s:{s:[s, s, s]}}}}", "language",
                  "Solidity", "sources", sources, "settings", "evmVersion", "cancun", "optimizer", "enabled",
                  1, "runs", 200, "metadata", "bytecodeHash", "none", "appendCBOR", 0, "outputSelection", "*",
                  "*", "abi", "evm.bytecode.object", "evm.deployedBytecode.object");
    if (err == RDG_OK) err = input ? rdg_json_dump(input, out) : RDG_E_NO_MEMORY;
    json_decref(input);
    return err;
}

/* --- the compiler --------------------------------------------------------------------------------------------------- */

/* The npm package solc in dir or a folder above it, as Node looks for it. */
static bool has_npm_solc(const char *dir) {
    char at[PATH_MAX], path[PATH_SIZE];
    if (!realpath(dir, at)) snprintf(at, sizeof at, "%s", dir);
    for (;;) {
        if (join(path, at, "node_modules/solc/package.json") == RDG_OK && rdg_file_exists(path)) return true;
        char *slash = strrchr(at, '/');
        if (!slash || slash == at) return false;
        *slash = 0;
    }
}

static rdg_err_t run_to(const char *const *argv, const char *log) {
    rdg_process_t *p = NULL;
    int status;
    const rdg_process_options_t o = {.argv = argv, .log_path = log, .die_with_parent = true};
    RDG_TRY(rdg_process_start(&o, &p));
    rdg_err_t err = rdg_process_wait(p, COMPILE_MS, &status);
    if (err != RDG_OK) (void)rdg_process_stop(p, 1000);
    rdg_process_free(p);
    return rdg_fail_in(err, "%s", argv[0]);
}

static rdg_err_t run_npm(const char *dir, const char *input, const char *output, const char *scratch) {
    char script[PATH_SIZE], said[2048];
    RDG_TRY(join(script, scratch, "compile.cjs"));
    RDG_TRY(rdg_file_replace(script, rdg_bytes_str(driver), 0600));
    const char *const argv[] = {"node", script, input, output, dir, NULL};
    return rdg_fail_in(rdg_process_run(argv, COMPILE_MS, said, sizeof said), "npm's solc");
}

static rdg_err_t run_solc(const char *dir, const char *input, const char *output) {
    char modules[PATH_SIZE];
    RDG_TRY(join(modules, dir, "node_modules"));
    bool with = rdg_file_exists(modules);
    const char *const argv[] = {
        "solc", "--standard-json", input, "--base-path", dir, with ? "--include-path" : NULL, modules, NULL};
    return run_to(argv, output);
}

static rdg_err_t compile(const char *dir, const char *input, const char *output, const char *scratch) {
    if (has_npm_solc(dir)) return run_npm(dir, input, output, scratch);
    rdg_err_t err = run_solc(dir, input, output);
    if (err != RDG_E_NOT_FOUND) return err;
    return rdg_fail(
        RDG_E_UNSUPPORTED,
        "no Solidity compiler: neither node_modules/solc in or above %s nor a program solc on the path; run "
        "`npm install --save-dev solc` there (Debian: nodejs, npm)",
        dir);
}

/* --- what it says ----------------------------------------------------------------------------------------------------- */

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

static json_t *hex_of(const json_t *contract, const char *which) {
    const json_t *code = json_object_get(json_object_get(json_object_get(contract, "evm"), which), "object");
    return json_sprintf("0x%s", json_is_string(code) ? json_string_value(code) : "");
}

static rdg_err_t write_artefact(const char *dir, const json_t *artefact) {
    char folder[PATH_SIZE], name[PATH_SIZE], path[PATH_SIZE];
    rdg_buf_t text;
    RDG_TRY(join(folder, dir, "build"));
    RDG_TRY(rdg_dir_make(folder, 0777));
    snprintf(name, sizeof name, "%s.json", out_raw(artefact, "contractName"));
    RDG_TRY(join(path, folder, name));
    rdg_buf_init(&text, OUTPUT_MAX);
    rdg_err_t err = rdg_json_dump_pretty(artefact, &text);
    if (err == RDG_OK) err = rdg_file_replace(path, rdg_buf_view(&text), 0644);
    rdg_buf_fini(&text);
    return err;
}

/* Those of the project's own sources; what they import is not. */
static rdg_err_t write_all(const char *dir, const json_t *output, json_t *artefacts) {
    const char *file, *name;
    json_t *contracts, *c;
    json_object_foreach(json_object_get(output, "contracts"), file, contracts) {
        if (strncmp(file, "contracts/", 10) != 0 && strncmp(file, "test/", 5) != 0) continue;
        json_object_foreach(contracts, name, c) {
            json_t *a = json_pack("{s:s, s:s, s:O, s:o, s:o, s:s}", "contractName", name, "sourceFile", file,
                                  "abi", json_object_get(c, "abi"), "bytecode", hex_of(c, "bytecode"),
                                  "deployedBytecode", hex_of(c, "deployedBytecode"), "compiler",
                                  "solc, evmVersion cancun, optimizer 200 runs");
            if (!a || json_array_append_new(artefacts, a) != 0) return RDG_E_NO_MEMORY;
            RDG_TRY(write_artefact(dir, a));
        }
    }
    return RDG_OK;
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

static rdg_err_t build_in(const char *dir, const char *scratch, json_t *artefacts) {
    char input[PATH_SIZE], output[PATH_SIZE];
    rdg_buf_t text;
    json_t *said = NULL;
    RDG_TRY(join(input, scratch, "input.json"));
    RDG_TRY(join(output, scratch, "output.json"));
    rdg_buf_init(&text, 2 * SOURCE_MAX);
    rdg_err_t err = make_input(dir, &text);
    if (err == RDG_OK) err = rdg_file_replace(input, rdg_buf_view(&text), 0600);
    rdg_buf_fini(&text);
    if (err == RDG_OK) err = compile(dir, input, output, scratch);
    if (err == RDG_OK) err = read_output(output, &said);
    if (err == RDG_OK) err = report_errors(said);
    if (err == RDG_OK) err = write_all(dir, said, artefacts);
    json_decref(said);
    return err;
}

rdg_err_t project_build(const char *dir, json_t **artefacts) {
    const char *tmp = getenv("TMPDIR");
    char scratch[PATH_SIZE];
    snprintf(scratch, sizeof scratch, "%s/ridge-build-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(scratch)) return rdg_fail(RDG_E_IO, "no directory can be made in %s", tmp ? tmp : "/tmp");
    *artefacts = json_array();
    rdg_err_t err = build_in(dir, scratch, *artefacts);
    (void)rdg_tree_remove(scratch, NULL);
    if (err != RDG_OK) {
        json_decref(*artefacts);
        *artefacts = NULL;
    }
    return err;
}
