/* One Solidity file to the ABI and bytecode of one of its contracts, as `ridge contract build` would compile it. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "contract_cli.h"
#include "contract_dev.h"
#include "ridge/base/file.h"

static bool is_project(const char *dir) {
    static const char *const signs[] = {"package.json", "node_modules"};
    char path[PATH_MAX];
    for (size_t i = 0; i < 2; ++i)
        if (rdg_path_join(path, sizeof path, dir, signs[i]) == RDG_OK && rdg_file_exists(path)) return true;
    return false;
}

/* Splits path into the folder of its project, which is the file's own where no folder above is one, and the name there. */
static rdg_err_t find_project(const char *path, char dir[PATH_MAX], const char **name, char whole[PATH_MAX]) {
    if (!realpath(path, whole)) return rdg_fail(RDG_E_NOT_FOUND, "%s: there is no such file", path);
    const char *own = strrchr(whole, '/');
    for (const char *end = own; end > whole; --end) {
        if (*end != '/') continue;
        snprintf(dir, PATH_MAX, "%.*s", (int)(end - whole), whole);
        *name = end + 1;
        if (is_project(dir)) return RDG_OK;
    }
    snprintf(dir, PATH_MAX, "%.*s", own > whole ? (int)(own - whole) : 1, whole);
    *name = own + 1;
    return RDG_OK;
}

static rdg_err_t choose(const json_t *contracts, const char *path, const char *wanted, const json_t **out) {
    const char *name;
    char names[400] = "";
    json_t *value;
    size_t found = 0;
    *out = wanted ? json_object_get(contracts, wanted) : NULL;
    if (*out) return RDG_OK;
    json_object_foreach((json_t *)(uintptr_t)contracts, name, value) {
        const json_t *code =
            json_object_get(json_object_get(json_object_get(value, "evm"), "bytecode"), "object");
        if (json_string_length(code) == 0) continue; /* interfaces */
        size_t used = strlen(names);
        snprintf(names + used, sizeof names - used, "%s%s", used ? ", " : "", name);
        ++found;
        *out = value;
    }
    if (wanted) return rdg_fail(RDG_E_NOT_FOUND, "%s has no contract '%s': it has %s", path, wanted, names);
    if (found == 1) return RDG_OK;
    if (found == 0) return rdg_fail(RDG_E_INVALID, "%s has no contract with code", path);
    return rdg_fail(RDG_E_INVALID, "%s has %zu contracts (%s): choose one with --contract NAME", path, found,
                    names);
}

rdg_err_t contract_from_source(const char *path, const char *wanted, json_t *body) {
    char dir[PATH_MAX], whole[PATH_MAX];
    const char *name = NULL;
    const json_t *chosen = NULL;
    json_t *contracts = NULL, *sources = NULL;
    RDG_TRY(find_project(path, dir, &name, whole));
    sources = json_object();
    rdg_err_t err = solc_add_source(dir, name, sources);
    if (err == RDG_OK) err = solc_compile(dir, sources, &contracts);
    if (err == RDG_OK) err = choose(json_object_get(contracts, name), path, wanted, &chosen);
    if (err == RDG_OK) {
        json_object_set(body, "abi", json_object_get(chosen, "abi"));
        json_object_set_new(body, "bytecode", solc_code(chosen, "bytecode"));
    }
    json_decref(contracts);
    json_decref(sources);
    return err;
}
