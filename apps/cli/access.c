/* Who may use the cloud: ridge token, ridge tenant (docs/operator.md). */
#include "cli.h"
#include "ridge/base/config.h"
#include "ridge/base/file.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* --- tokens --------------------------------------------------------------------------------------------------------- */

static rdg_err_t wish(const cli_t *cli, json_t *body) {
    static const char *const names[] = {"name", "tenant", "role"};
    uint64_t ms;
    if (!cli_has(cli, "name")) return rdg_fail(RDG_E_INVALID, "--name NAME: whose token is it");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; ++i)
        if (cli_has(cli, names[i]))
            json_object_set_new(body, names[i], json_string(cli_flag(cli, names[i], "")));
    if (!cli_has(cli, "expires")) return RDG_OK;
    RDG_TRY(rdg_fail_in(rdg_parse_ms(cli_flag(cli, "expires", ""), &ms), "--expires"));
    json_object_set_new(body, "expires_s", json_integer((json_int_t)(ms / 1000)));
    return RDG_OK;
}

/* The file is there before the token is: one that nobody could keep is not made. */
static rdg_err_t open_out(const char *path, int *fd) {
    *fd = -1;
    if (!path) return RDG_OK;
    *fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    return *fd >= 0 ? RDG_OK : rdg_fail_errno(errno, "--out: cannot make %s", path);
}

static rdg_err_t write_out(int fd, const char *path, const char *token) {
    rdg_err_t err = rdg_write_all(fd, rdg_bytes_str(token));
    if (err == RDG_OK) err = rdg_write_all(fd, rdg_bytes_str("\n"));
    if (err == RDG_OK && fsync(fd) != 0) err = rdg_fail_errno(errno, "cannot write %s", path);
    return err;
}

static void say_made(cli_t *cli, json_t *answer, const char *path) {
    if (!cli->json && !path) printf("%s\n", out_raw(answer, "token"));
    if (path) json_object_del(answer, "token");
    if (cli->json) {
        out_json(answer);
        return;
    }
    fprintf(stderr, "Access token %s, %s of %s, until %s.%s%s\n", out_text(answer, "id"),
            out_text(answer, "role"),
            json_is_string(json_object_get(answer, "tenant")) ? out_raw(answer, "tenant") : "the cloud",
            out_text(answer, "expires_ms"), path ? " It is in " : " It is shown this once.",
            path ? path : "");
}

static rdg_err_t token_new(cli_t *cli) {
    const char *path = cli_flag(cli, "out", NULL);
    json_t *body = json_object(), *answer = NULL;
    int fd = -1;
    rdg_err_t err = wish(cli, body);
    if (err == RDG_OK) err = open_out(path, &fd);
    if (err != RDG_OK) {
        json_decref(body);
        return err;
    }
    err = cli_call(cli, "POST", body, &answer, "/tokens");
    if (err != RDG_OK && path) (void)unlink(path);
    if (err == RDG_OK && path) err = write_out(fd, path, out_raw(answer, "token"));
    if (fd >= 0) close(fd);
    if (err == RDG_OK) say_made(cli, answer, path);
    json_decref(answer);
    return err;
}

static rdg_err_t token_list(cli_t *cli) {
    json_t *answer = NULL;
    RDG_TRY(cli_call(cli, "GET", NULL, &answer, "/tokens"));
    if (cli->json)
        out_json(answer);
    else
        out_table(json_object_get(answer, "tokens"),
                  COLUMNS("TOKEN=id", "NAME=name", "TENANT=tenant", "ROLE=role", "STATE=state",
                          "EXPIRES=expires_ms", "LAST USED=used_ms", "BY=by"));
    json_decref(answer);
    return RDG_OK;
}

static rdg_err_t token_revoke(cli_t *cli) {
    json_t *answer = NULL;
    RDG_TRY(cli_component("token", cli->args[0]));
    RDG_TRY(cli_call(cli, "POST", NULL, &answer, "/tokens/%s/revoke", cli->args[0]));
    if (cli->json)
        out_json(answer);
    else
        printf("access token %s (%s) is revoked: it is refused from now on\n", cli->args[0],
               out_text(answer, "name"));
    json_decref(answer);
    return RDG_OK;
}

/* --- tenants -------------------------------------------------------------------------------------------------------- */

static rdg_err_t tenant_new(cli_t *cli) {
    json_t *answer = NULL;
    RDG_TRY(cli_call(cli, "POST", json_pack("{s:s}", "name", cli->args[0]), &answer, "/tenants"));
    if (cli->json)
        out_json(answer);
    else
        printf("tenant %s is there: 'ridge token new --name NAME --tenant %s --role admin' makes its first "
               "token\n",
               cli->args[0], cli->args[0]);
    json_decref(answer);
    return RDG_OK;
}

static const char *const limited[] = {"devices", "chains", "rollouts"};

/* "3", or "3 of 10", for the eye. */
static void show_shares(json_t *tenant) {
    const json_t *limits = json_object_get(tenant, "limits"), *used = json_object_get(tenant, "used");
    char text[64];
    for (size_t i = 0; i < sizeof limited / sizeof limited[0]; ++i) {
        const json_t *max = json_object_get(limits, limited[i]), *n = json_object_get(used, limited[i]);
        if (!json_is_integer(n)) continue;
        int len = snprintf(text, sizeof text, "%lld", (long long)json_integer_value(n));
        if (json_is_integer(max))
            snprintf(text + len, sizeof text - (size_t)len, " of %lld", (long long)json_integer_value(max));
        json_object_set_new(tenant, limited[i], json_string(text));
    }
}

static rdg_err_t tenant_list(cli_t *cli) {
    json_t *answer = NULL, *tenant;
    size_t i;
    RDG_TRY(cli_call(cli, "GET", NULL, &answer, "/tenants"));
    json_t *tenants = json_object_get(answer, "tenants");
    if (cli->json) {
        out_json(answer);
    } else {
        json_array_foreach(tenants, i, tenant) show_shares(tenant);
        out_table(tenants, COLUMNS("TENANT=name", "DEVICES=devices", "CHAINS=chains", "ROLLOUTS=rollouts",
                                   "CREATED=created_ms", "BY=by"));
    }
    json_decref(answer);
    return RDG_OK;
}

/* Takes answer. */
static void say_tenant(const cli_t *cli, json_t *answer) {
    if (cli->json) {
        out_json(answer);
    } else {
        show_shares(answer);
        out_fields(answer, COLUMNS("tenant=name", "devices=devices", "chains=chains", "rollouts=rollouts",
                                   "created=created_ms", "by=by"));
    }
    json_decref(answer);
}

static rdg_err_t tenant_show(cli_t *cli) {
    json_t *answer = NULL;
    RDG_TRY(cli_component("tenant", cli->args[0]));
    RDG_TRY(cli_call(cli, "GET", NULL, &answer, "/tenants/%s", cli->args[0]));
    say_tenant(cli, answer);
    return RDG_OK;
}

static rdg_err_t read_limits(const cli_t *cli, json_t *limits) {
    for (size_t i = 0; i < sizeof limited / sizeof limited[0]; ++i) {
        const char *text = cli_flag(cli, limited[i], NULL);
        uint64_t n = 0;
        if (!text) continue;
        bool none = strcmp(text, "none") == 0;
        if (!none && (rdg_parse_u64(text, &n) != RDG_OK || n > INT64_MAX))
            return rdg_fail(RDG_E_INVALID, "--%s: want a number, or none", limited[i]);
        json_object_set_new(limits, limited[i], none ? json_null() : json_integer((json_int_t)n));
    }
    if (json_object_size(limits) > 0) return RDG_OK;
    return rdg_fail(RDG_E_INVALID,
                    "what is limited? give --devices, --chains or --rollouts, each a number or none");
}

static rdg_err_t tenant_limit(cli_t *cli) {
    json_t *limits = json_object(), *answer = NULL;
    rdg_err_t err = cli_component("tenant", cli->args[0]);
    if (err == RDG_OK) err = read_limits(cli, limits);
    if (err != RDG_OK) {
        json_decref(limits);
        return err;
    }
    RDG_TRY(
        cli_call(cli, "PATCH", json_pack("{s:o}", "limits", limits), &answer, "/tenants/%s", cli->args[0]));
    say_tenant(cli, answer);
    return RDG_OK;
}

static rdg_err_t tenant_rm(cli_t *cli) {
    RDG_TRY(cli_component("tenant", cli->args[0]));
    RDG_TRY(cli_call(cli, "DELETE", NULL, NULL, "/tenants/%s", cli->args[0]));
    if (!cli->json) printf("tenant %s is removed, and its access tokens are revoked\n", cli->args[0]);
    return RDG_OK;
}

const command_t access_commands[] = {
    {"token",
     "new",
     "",
     "make an access token for a person or a program",
     0,
     0,
     token_new,
     {{"name", "NAME", "whose it is: the name under which its actions are noted"},
      {"tenant", "TENANT", "of this tenant (default: of the cloud, which sees all)"},
      {"role", "ROLE", "reader, operator or admin (default operator)"},
      {"expires", "DURATION", "how long it is accepted (default 30d, at most 366d)"},
      {"out", "FILE", "into a new file that only its owner reads, and not to the terminal"},
      {0}}},
    {"token", "list", "", "the access tokens, without their secrets", 0, 0, token_list, {{0}}},
    {"token", "revoke", "TOKEN", "accept an access token no more", 1, 1, token_revoke, {{0}}},
    {"tenant", "new", "NAME", "an organisation that shares the cloud", 1, 1, tenant_new, {{0}}},
    {"tenant", "list", "", "the tenants, with what they have and may have", 0, 0, tenant_list, {{0}}},
    {"tenant", "show", "NAME", "one tenant", 1, 1, tenant_show, {{0}}},
    {"tenant",
     "limit",
     "NAME",
     "how much a tenant may have; what it has beyond that stays",
     1,
     1,
     tenant_limit,
     {{"devices", "N", "enrolled devices, or none: any number"},
      {"chains", "N", "chains that are not destroyed, or none"},
      {"rollouts", "N", "rollouts that have not ended, or none"},
      {0}}},
    {"tenant", "rm", "NAME", "remove a tenant that has nothing any more", 1, 1, tenant_rm, {{0}}},
    {0},
};
