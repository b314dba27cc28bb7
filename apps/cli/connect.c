#include "cli.h"
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include <ctype.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOKEN_MAX 512

static const char *flag_or_env(const cli_t *cli, const char *flag, const char *env) {
    return cli_flag(cli, flag, getenv(env));
}

static rdg_err_t read_token(const char *path, char out[TOKEN_MAX]) {
    rdg_buf_t text;
    rdg_buf_init(&text, TOKEN_MAX - 1);
    rdg_err_t err = rdg_file_read(path, &text);
    if (err == RDG_OK)
        snprintf(out, TOKEN_MAX, "%.*s", (int)text.len, text.data ? (const char *)text.data : "");
    if (text.data) rdg_secure_zero(text.data, text.len);
    rdg_buf_fini(&text);
    out[strcspn(out, " \r\n")] = '\0';
    return rdg_fail_in(err, "access token");
}

static rdg_err_t read_home(const char *home, char url[256], char token[TOKEN_MAX]) {
    char path[PATH_MAX];
    rdg_buf_t text;
    json_t *about = NULL;
    const char *found = NULL;
    RDG_TRY(rdg_path_join(path, sizeof path, home, "cloud.json"));
    rdg_buf_init(&text, 65536);
    rdg_err_t err = rdg_file_read(path, &text);
    if (err == RDG_OK) err = rdg_json_parse(rdg_buf_view(&text), &about);
    if (err == RDG_OK) err = rdg_json_get_str(about, "url", &found);
    if (err == RDG_OK) snprintf(url, 256, "%s", found);
    json_decref(about);
    rdg_buf_fini(&text);
    if (err != RDG_OK) return rdg_fail_in(err, "%s: is a cloud running with this data directory", path);
    RDG_TRY(rdg_path_join(path, sizeof path, home, "admin.token"));
    return read_token(path, token);
}

static rdg_err_t find_cloud(const cli_t *cli, char url[256], char token[TOKEN_MAX]) {
    const char *home = flag_or_env(cli, "home", "RIDGE_HOME"), *value;
    snprintf(url, 256, "http://127.0.0.1:7780");
    token[0] = '\0';
    if (home) RDG_TRY(read_home(home, url, token));
    if ((value = flag_or_env(cli, "url", "RIDGE_URL"))) snprintf(url, 256, "%s", value);
    if ((value = flag_or_env(cli, "token-file", "RIDGE_TOKEN_FILE")))
        RDG_TRY(read_token(value, token));
    else if ((value = getenv("RIDGE_TOKEN")))
        snprintf(token, TOKEN_MAX, "%s", value);
    if (token[0] == '\0')
        return rdg_fail(RDG_E_UNAUTHENTICATED,
                        "no access token: give --token-file FILE or --home DIR (the cloud wrote "
                        "admin.token into its data directory at its first start)");
    return RDG_OK;
}

rdg_err_t cli_connect(cli_t *cli) {
    char url[256], token[TOKEN_MAX];
    RDG_TRY(find_cloud(cli, url, token));
    rdg_err_t err = rdg_cloud_client_new(url, token, &cli->cloud);
    rdg_secure_zero(token, sizeof token);
    return err;
}

rdg_err_t cli_registry(const cli_t *cli, rdg_images_client_t **out) {
    char url[256], token[TOKEN_MAX];
    RDG_TRY(find_cloud(cli, url, token));
    rdg_err_t err = rdg_images_client_new(url, token, out);
    rdg_secure_zero(token, sizeof token);
    return err;
}

rdg_err_t cli_component(const char *what, const char *value) {
    bool ok = *value != '\0' && strlen(value) <= 128;
    for (const char *p = value; ok && *p; ++p) ok = isalnum((unsigned char)*p) || strchr("._-", *p);
    return ok ? RDG_OK
              : rdg_fail(RDG_E_INVALID,
                         "'%.64s' cannot be the name of a %s: want letters, digits, '.', '_', '-'", value,
                         what);
}

rdg_err_t cli_call(cli_t *cli, const char *method, json_t *body, json_t **answer, const char *path, ...) {
    char text[1024];
    va_list args;
    if (!cli->cloud) {
        rdg_err_t err = cli_connect(cli);
        if (err != RDG_OK) {
            json_decref(body);
            return err;
        }
    }
    va_start(args, path);
    int len = vsnprintf(text, sizeof text, path, args);
    va_end(args);
    if (len < 0 || (size_t)len >= sizeof text) {
        json_decref(body);
        return rdg_fail(RDG_E_TOO_LARGE, "arguments are too long");
    }
    return rdg_cloud_call(cli->cloud, method, text, body, 60000, answer);
}
