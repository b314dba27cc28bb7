/* A project's sources to artefacts. */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "contract_dev.h"
#include "ridge/base/file.h"

#define ARTEFACT_MAX (31u << 20)
enum { PATH_SIZE = 1024, DEPTH_MAX = 8, FILES_MAX = 1000 };

static rdg_err_t join(char out[PATH_SIZE], const char *dir, const char *name) {
    return rdg_path_join(out, PATH_SIZE, dir, name);
}

static bool ends_with(const char *text, const char *end) {
    size_t len = strlen(text), n = strlen(end);
    return len > n && strcmp(text + len - n, end) == 0;
}

/* --- sources ------------------------------------------------------------------------------------------------------ */

static rdg_err_t add_source(const char *dir, const char *name, json_t *sources) {
    if (json_object_size(sources) == FILES_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "%s: more than %d sources", dir, FILES_MAX);
    return solc_add_source(dir, name, sources);
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

static rdg_err_t read_project(const char *dir, json_t *sources) {
    RDG_TRY(add_folder(dir, "contracts", ".sol", 0, sources));
    RDG_TRY(add_folder(dir, "test", ".t.sol", 0, sources));
    if (json_object_size(sources) > 0) return RDG_OK;
    return rdg_fail(RDG_E_NOT_FOUND,
                    "%s has no .sol file in contracts/: `ridge contract new DIR` begins a project", dir);
}

/* --- artefacts ------------------------------------------------------------------------------------------------------ */

static rdg_err_t write_artefact(const char *dir, const json_t *artefact) {
    char folder[PATH_SIZE], name[PATH_SIZE], path[PATH_SIZE];
    rdg_buf_t text;
    RDG_TRY(join(folder, dir, "build"));
    RDG_TRY(rdg_dir_make(folder, 0777));
    snprintf(name, sizeof name, "%s.json", out_raw(artefact, "contractName"));
    RDG_TRY(join(path, folder, name));
    rdg_buf_init(&text, ARTEFACT_MAX);
    rdg_err_t err = rdg_json_dump_pretty(artefact, &text);
    if (err == RDG_OK) err = rdg_file_replace(path, rdg_buf_view(&text), 0644);
    rdg_buf_fini(&text);
    return err;
}

/* Those of the project's own sources; what they import is not. */
static rdg_err_t write_all(const char *dir, const json_t *contracts, json_t *artefacts) {
    const char *file, *name;
    json_t *in_file, *c;
    json_object_foreach((json_t *)(uintptr_t)contracts, file, in_file) {
        if (strncmp(file, "contracts/", 10) != 0 && strncmp(file, "test/", 5) != 0) continue;
        json_object_foreach(in_file, name, c) {
            json_t *a = json_pack("{s:s, s:s, s:O, s:o, s:o, s:s}", "contractName", name, "sourceFile", file,
                                  "abi", json_object_get(c, "abi"), "bytecode", solc_code(c, "bytecode"),
                                  "deployedBytecode", solc_code(c, "deployedBytecode"), "compiler",
                                  "solc, evmVersion cancun, optimizer 200 runs");
            if (!a || json_array_append_new(artefacts, a) != 0) return RDG_E_NO_MEMORY;
            RDG_TRY(write_artefact(dir, a));
        }
    }
    return RDG_OK;
}

rdg_err_t project_build(const char *dir, json_t **artefacts) {
    json_t *sources = json_object(), *contracts = NULL;
    *artefacts = json_array();
    rdg_err_t err = read_project(dir, sources);
    if (err == RDG_OK) err = solc_compile(dir, sources, &contracts);
    if (err == RDG_OK) err = write_all(dir, contracts, *artefacts);
    json_decref(contracts);
    json_decref(sources);
    if (err != RDG_OK) {
        json_decref(*artefacts);
        *artefacts = NULL;
    }
    return err;
}
