/* The keys of encrypted archives that the cloud keeps: which there are, and a copy of one for who reads archives. */
#include "archive.h"
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/ledger/archive_key.h"
#include <stdio.h>
#include <string.h>

static rdg_err_t fetch_keys(cli_t *cli, const char *chain, json_t **keys) {
    json_t *answer = NULL, *list = NULL;
    RDG_TRY(cli_component("chain", chain));
    RDG_TRY(cli_call(cli, "GET", NULL, &answer, "/archive-keys?chain=%s", chain));
    rdg_err_t err = rdg_json_get_array(answer, "keys", &list);
    if (err == RDG_OK) *keys = json_incref(list);
    json_decref(answer);
    return err;
}

static rdg_err_t list(cli_t *cli) {
    json_t *keys = NULL, *made = NULL;
    RDG_TRY(cli_component("chain", cli->args[0]));
    if (cli_has(cli, "rotate"))
        RDG_TRY(cli_call(cli, "POST", json_object(), &made, "/chains/%s/archive-keys", cli->args[0]));
    json_decref(made);
    RDG_TRY(fetch_keys(cli, cli->args[0], &keys));
    if (cli->json)
        out_json(keys);
    else
        out_table(keys,
                  COLUMNS("KEY=id", "CURRENT=current", "ARCHIVES=archives", "STATE=state", "MADE=created_ms",
                          "LAST GIVEN=disclosed_ms", "TO=disclosed_to", "REASON=error"));
    json_decref(keys);
    return RDG_OK;
}

/* The one that is asked for, else the one that archives are made with now. */
static rdg_err_t choose(cli_t *cli, const json_t *keys, char id[RDG_ARCHIVE_KEY_ID_MAX + 1]) {
    const char *wanted = cli_flag(cli, "id", NULL);
    const json_t *key;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)keys, i, key) {
        const char *known = out_raw(key, "id");
        if (wanted ? strcmp(known, wanted) != 0 : !json_is_true(json_object_get(key, "current"))) continue;
        snprintf(id, RDG_ARCHIVE_KEY_ID_MAX + 1, "%s", known);
        return cli_component("key", id);
    }
    if (wanted)
        return rdg_fail(RDG_E_NOT_FOUND, "chain '%s' has no key '%s': see ridge archive keys %s",
                        cli->args[0], wanted, cli->args[0]);
    return rdg_fail(
        RDG_E_NOT_FOUND,
        "chain '%s' has no key: its archives are in the clear until ridge chain archive-policy %s "
        "--encrypt on",
        cli->args[0], cli->args[0]);
}

/* answer is cleared of the key. */
static rdg_err_t write_file(const char *path, json_t *answer) {
    char text[RDG_ARCHIVE_KEY_TEXT_MAX];
    rdg_archive_key_t key = {.id = ""};
    const char *digits = out_raw(answer, "key");
    snprintf(key.id, sizeof key.id, "%s", out_raw(answer, "id"));
    rdg_err_t err =
        rdg_fail_in(rdg_hex_decode(digits, strlen(digits), key.key, sizeof key.key), "the cloud's answer");
    if (err == RDG_OK) {
        rdg_archive_key_print(&key, text);
        err = rdg_keyfile_write(path, rdg_bytes_str(text));
    }
    rdg_secure_zero((char *)(uintptr_t)digits, strlen(digits));
    json_object_del(answer, "key");
    rdg_secure_zero(&key, sizeof key);
    rdg_secure_zero(text, sizeof text);
    return err;
}

static rdg_err_t give(cli_t *cli) {
    const char *path = cli->args[1];
    char id[RDG_ARCHIVE_KEY_ID_MAX + 1] = "";
    json_t *keys = NULL, *answer = NULL;
    if (rdg_file_exists(path))
        return rdg_fail(RDG_E_EXISTS, "%s exists: give another name, or remove it", path);
    RDG_TRY(fetch_keys(cli, cli->args[0], &keys));
    rdg_err_t err = choose(cli, keys, id);
    json_decref(keys);
    if (err == RDG_OK) err = cli_call(cli, "POST", json_object(), &answer, "/archive-keys/%s/disclose", id);
    if (err == RDG_OK) err = write_file(path, answer);
    if (err == RDG_OK) {
        json_object_set_new(answer, "file", json_string(path));
        if (cli->json)
            out_json(answer);
        else
            out_fields(answer, COLUMNS("Key=id", "Chain=chain", "File=file"));
    }
    json_decref(answer);
    return err;
}

static rdg_err_t remove_key(cli_t *cli) {
    const char *id = cli->args[0], *typed = cli_flag(cli, "discard", NULL);
    RDG_TRY(cli_component("key", id));
    if (typed) RDG_TRY(cli_component("key", typed));
    RDG_TRY(cli_call(cli, "DELETE", NULL, NULL, "/archive-keys/%s%s%s", id, typed ? "?discard=" : "",
                     typed ? typed : ""));
    if (!cli->json) printf("key %s is destroyed: what was encrypted under it can be read nowhere\n", id);
    return RDG_OK;
}

const command_t archive_key_commands[] = {
    {"archive",
     "key",
     "CHAIN FILE",
     "write a key of a chain's encrypted archives to a file (mode 0600); the cloud records who got it",
     2,
     2,
     give,
     {{"id", "KEY", "this one, as an archive names it (default: the one that archives are made with now)"},
      {0}}},
    {"archive",
     "key-rm",
     "KEY",
     "destroy a key that no archive needs any more; refused, with the archives, while one does",
     1,
     1,
     remove_key,
     {{"discard", "KEY", "the key's name again: what was encrypted under it can then be read nowhere"}, {0}}},
    {"archive",
     "keys",
     "CHAIN",
     "the keys of a chain's encrypted archives, without their secrets",
     1,
     1,
     list,
     {{"rotate", NULL, "make another one first, for all archives from now on; the old ones stay"}, {0}}},
    {0},
};
