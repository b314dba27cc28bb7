/* ridge contract new, build, test: on the developer's machine alone. */
#include "contract_dev.h"
#include <stdio.h>
#include <string.h>
#include "ridge/base/file.h"

enum { PATH_SIZE = 1024 };

/* --- new ---------------------------------------------------------------------------------------------------------- */

static rdg_err_t unknown_template(const char *name) {
    char known[256] = "";
    const char *last = "";
    for (const template_file_t *f = template_files; f->path; ++f) {
        if (strcmp(f->template, last) == 0 || strcmp(f->template, "*") == 0) continue;
        size_t len = strlen(known);
        snprintf(known + len, sizeof known - len, "%s%s", len ? ", " : "", f->template);
        last = f->template;
    }
    return rdg_fail(RDG_E_NOT_FOUND, "there is no template '%s': there are %s", name, known);
}

static rdg_err_t write_file(const char *dir, const template_file_t *f) {
    char path[PATH_SIZE];
    RDG_TRY(rdg_path_join(path, sizeof path, dir, f->path));
    char *slash = strrchr(path, '/');
    *slash = 0;
    RDG_TRY(rdg_dir_make(path, 0777));
    *slash = '/';
    if (rdg_file_exists(path))
        return rdg_fail(RDG_E_EXISTS, "%s is there already: take an empty directory", path);
    return rdg_file_replace(path, rdg_bytes_str(f->text), 0644);
}

static rdg_err_t new_project(cli_t *cli) {
    const char *template = cli_flag(cli, "template", "metering"), *dir = cli->args[0];
    json_t *files = json_array();
    bool found = false;
    for (const template_file_t *f = template_files; f->path; ++f) found |= strcmp(f->template, template) == 0;
    rdg_err_t err = found && strcmp(template, "*") != 0 ? RDG_OK : unknown_template(template);
    for (const template_file_t *f = template_files; err == RDG_OK && f->path; ++f) {
        if (strcmp(f->template, template) != 0 && strcmp(f->template, "*") != 0) continue;
        err = write_file(dir, f);
        json_array_append_new(files, json_string(f->path));
    }
    json_t *answer = json_pack("{s:s, s:s, s:o}", "directory", dir, "template", template, "files", files);
    if (err == RDG_OK && cli->json)
        out_json(answer);
    else if (err == RDG_OK)
        printf("%s: made from template %s; next: cd %s && npm install && ridge contract test\n", dir,
               template, dir);
    json_decref(answer);
    return err;
}

/* --- build -------------------------------------------------------------------------------------------------------- */

static const char *project_dir(const cli_t *cli) {
    return cli->arg_count > 0 ? cli->args[0] : ".";
}

static rdg_err_t build(cli_t *cli) {
    json_t *artefacts = NULL, *a, *rows = json_array();
    size_t i;
    rdg_err_t err = project_build(project_dir(cli), &artefacts);
    json_array_foreach(artefacts, i, a) {
        size_t digits = strlen(out_raw(a, "deployedBytecode"));
        json_array_append_new(rows, json_pack("{s:s, s:s, s:I, s:o}", "name", out_raw(a, "contractName"),
                                              "source", out_raw(a, "sourceFile"), "bytes",
                                              (json_int_t)(digits / 2 - 1), "artifact",
                                              json_sprintf("build/%s.json", out_raw(a, "contractName"))));
    }
    json_t *answer = json_pack("{s:o}", "contracts", rows);
    if (err == RDG_OK && cli->json)
        out_json(answer);
    else if (err == RDG_OK)
        out_table(rows, COLUMNS("NAME=name", "SOURCE=source", "BYTES=bytes", "ARTIFACT=artifact"));
    json_decref(answer);
    json_decref(artefacts);
    return err;
}

/* --- test --------------------------------------------------------------------------------------------------------- */

typedef struct tally {
    size_t passed, failed;
} tally_t;

static bool is_test_contract(const json_t *artefact) {
    const char *name = out_raw(artefact, "contractName");
    size_t len = strlen(name);
    return len >= 4 && strcmp(name + len - 4, "Test") == 0 && strlen(out_raw(artefact, "bytecode")) > 2;
}

static void show(const cli_t *cli, const json_t *report, tally_t *tally) {
    const json_t *t;
    size_t i;
    if (!cli->json) printf("%s  (%s)\n", out_raw(report, "name"), out_raw(report, "file"));
    json_array_foreach(json_object_get(report, "tests"), i, t) {
        bool passed = json_is_true(json_object_get(t, "passed"));
        ++*(passed ? &tally->passed : &tally->failed);
        if (cli->json) continue;
        if (passed)
            printf("  ok    %-40s %12lld gas\n", out_raw(t, "name"),
                   (long long)json_integer_value(json_object_get(t, "gas")));
        else
            printf("  FAIL  %-40s %s\n", out_raw(t, "name"), out_raw(t, "reason"));
    }
}

static rdg_err_t run_contracts(const cli_t *cli, const json_t *artefacts, json_t *reports, tally_t *tally) {
    const char *wanted = cli_flag(cli, "match", "");
    const json_t *a;
    size_t i;
    json_array_foreach(artefacts, i, a) {
        json_t *report = NULL;
        if (!is_test_contract(a) || !strstr(out_raw(a, "contractName"), wanted)) continue;
        RDG_TRY(run_test_contract(a, &report));
        show(cli, report, tally);
        json_array_append_new(reports, report);
    }
    if (json_array_size(reports) > 0) return RDG_OK;
    return rdg_fail(RDG_E_NOT_FOUND,
                    "%s has no test contract%s%s: they are contracts named …Test in test/*.t.sol, with "
                    "functions test…()",
                    project_dir(cli), *wanted ? " with a name like " : "", wanted);
}

static rdg_err_t test(cli_t *cli) {
    json_t *artefacts = NULL, *reports = json_array();
    tally_t tally = {0};
    rdg_err_t err = project_build(project_dir(cli), &artefacts);
    if (err == RDG_OK) err = run_contracts(cli, artefacts, reports, &tally);
    json_t *answer = json_pack("{s:o, s:I, s:I}", "contracts", reports, "passed", (json_int_t)tally.passed,
                               "failed", (json_int_t)tally.failed);
    if (err == RDG_OK && cli->json)
        out_json(answer);
    else if (err == RDG_OK)
        printf("%zu passed, %zu failed\n", tally.passed, tally.failed);
    json_decref(answer);
    json_decref(artefacts);
    if (err == RDG_OK && tally.failed > 0)
        err = rdg_fail(RDG_E_REVERTED, "%zu of %zu tests failed", tally.failed, tally.passed + tally.failed);
    return err;
}

const command_t contract_dev_commands[] = {
    {"contract",
     "new",
     "DIR",
     "begin a project of contracts, with a test",
     1,
     1,
     new_project,
     {{"template", "NAME", "metering (the default), identity, traceability or access"}, {0}}},
    {"contract",
     "build",
     "[DIR]",
     "compile a project with solc and write its artefacts to DIR/build",
     0,
     1,
     build,
     {{0}}},
    {"contract",
     "test",
     "[DIR]",
     "compile, and run the functions test…() of contracts …Test on this machine",
     0,
     1,
     test,
     {{"match", "WORD", "only contracts with this in their name"}, {0}}},
    {0},
};
