#include "ridge/client/devices.h"
#include "ridge/base/file.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PATH_BYTES 1024
#define PAGE 1000
#define LIST_MAX 200000

static rdg_err_t check_name(const char *what, const char *name) {
    return rdg_name_valid(name) ? RDG_OK
                                : rdg_fail(RDG_E_INVALID, "'%.64s' cannot be the name of a %s", name, what);
}

/* What may stand in a query as it is. */
static rdg_err_t check_text(const char *what, const char *text) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:/-";
    size_t len = strlen(text);
    if (len > 0 && len <= 300 && strspn(text, plain) == len) return RDG_OK;
    return rdg_fail(RDG_E_INVALID, "'%.64s' cannot be %s", text, what);
}

/* POST of body (taken) to /<noun>/<name>/<verb>; the name is looked at first. */
static rdg_err_t post_to(rdg_cloud_client_t *c, const char *noun, const char *name, const char *verb,
                         json_t *body, uint64_t timeout_ms, json_t **answer) {
    char path[PATH_BYTES];
    rdg_err_t err = check_name(strcmp(noun, "devices") == 0 ? "device" : "token", name);
    if (err != RDG_OK) {
        json_decref(body);
        return err;
    }
    snprintf(path, sizeof path, "/%s/%s/%s", noun, name, verb);
    return rdg_cloud_call(c, "POST", path, body, timeout_ms, answer);
}

/* --- pages ------------------------------------------------------------------------------------------------- */

/* What the next page begins behind: of "more_after", or of the last item where only "more" is told. */
static rdg_err_t next_page(const json_t *answer, const json_t *page, char after[320]) {
    const json_t *more = json_object_get(answer, "more_after"), *last;
    char next[320] = "";
    if (json_is_string(more)) snprintf(next, sizeof next, "%s", json_string_value(more));
    if (json_is_integer(more)) snprintf(next, sizeof next, "%" JSON_INTEGER_FORMAT, json_integer_value(more));
    if (json_is_true(json_object_get(answer, "more"))) {
        last = json_array_get(page, json_array_size(page) - 1);
        const char *name = json_string_value(json_object_get(last, "name"));
        snprintf(next, sizeof next, "%s", name ? name : "");
    }
    if (next[0] &&
        (strcmp(next, after) == 0 || json_array_size(page) == 0 || check_text("a page", next) != RDG_OK))
        return rdg_fail(RDG_E_PROTOCOL, "the platform's list does not end");
    snprintf(after, 320, "%s", next);
    return RDG_OK;
}

static rdg_err_t add_page(rdg_cloud_client_t *c, const char *path, const char *field, char after[320],
                          json_t *all) {
    char where[PATH_BYTES];
    json_t *answer = NULL, *page = NULL;
    snprintf(where, sizeof where, "%s?limit=%d%s%s", path, PAGE, after[0] ? "&after=" : "", after);
    RDG_TRY(rdg_cloud_call(c, "GET", where, NULL, 0, &answer));
    rdg_err_t err = rdg_json_get_array(answer, field, &page);
    if (err == RDG_OK && (json_array_extend(all, page) != 0 || json_array_size(all) > LIST_MAX))
        err = rdg_fail(RDG_E_TOO_LARGE, "the platform's list has more than %d entries", LIST_MAX);
    if (err == RDG_OK) err = next_page(answer, page, after);
    json_decref(answer);
    return err;
}

static rdg_err_t fetch_all(rdg_cloud_client_t *c, const char *path, const char *field, json_t **out) {
    char after[320] = "";
    json_t *all = json_array();
    rdg_err_t err = all ? RDG_OK : rdg_fail(RDG_E_NO_MEMORY, "no memory for a list");
    if (err == RDG_OK) {
        do err = add_page(c, path, field, after, all);
        while (err == RDG_OK && after[0]);
    }
    if (err != RDG_OK) json_decref(all), all = NULL;
    *out = all;
    return err;
}

/* --- tokens, and who waits -------------------------------------------------------------------------------------- */

rdg_err_t rdg_platform_tokens_make(rdg_cloud_client_t *c, json_t *order, json_t **tokens) {
    json_t *answer = NULL, *list = NULL;
    RDG_TRY(rdg_cloud_call(c, "POST", "/device-tokens", order, 0, &answer));
    rdg_err_t err = rdg_json_get_array(answer, "tokens", &list);
    *tokens = err == RDG_OK ? json_incref(list) : NULL;
    json_decref(answer);
    return err;
}

rdg_err_t rdg_platform_tokens(rdg_cloud_client_t *c, json_t **tokens) {
    return fetch_all(c, "/device-tokens", "tokens", tokens);
}

rdg_err_t rdg_platform_token_revoke(rdg_cloud_client_t *c, const char *id, json_t **token) {
    return post_to(c, "device-tokens", id, "revoke", NULL, 0, token);
}

rdg_err_t rdg_platform_waiting(rdg_cloud_client_t *c, json_t **requests) {
    return fetch_all(c, "/device-requests", "requests", requests);
}

static rdg_err_t decide(rdg_cloud_client_t *c, uint64_t number, const char *verb, json_t *body,
                        json_t **request) {
    char path[96];
    snprintf(path, sizeof path, "/device-requests/%" PRIu64 "/%s", number, verb);
    return rdg_cloud_call(c, "POST", path, body, 0, request);
}

rdg_err_t rdg_platform_approve(rdg_cloud_client_t *c, uint64_t number, json_t **request) {
    return decide(c, number, "approve", NULL, request);
}

rdg_err_t rdg_platform_refuse(rdg_cloud_client_t *c, uint64_t number, const char *reason, json_t **request) {
    return decide(c, number, "refuse", reason ? json_pack("{s:s}", "reason", reason) : NULL, request);
}

/* --- devices ------------------------------------------------------------------------------------------------------- */

rdg_err_t rdg_platform_replace(rdg_cloud_client_t *c, const char *device, json_t *order, json_t **answer) {
    return post_to(c, "devices", device, "replace", order, 0, answer);
}

rdg_err_t rdg_platform_revoke(rdg_cloud_client_t *c, const char *device, const char *reason) {
    json_t *body = reason ? json_pack("{s:s}", "reason", reason) : NULL;
    return post_to(c, "devices", device, "revoke", body, 0, NULL);
}

rdg_err_t rdg_platform_remove(rdg_cloud_client_t *c, const char *device, bool force) {
    char path[PATH_BYTES];
    RDG_TRY(check_name("device", device));
    snprintf(path, sizeof path, "/devices/%s%s", device, force ? "?force=1" : "");
    return rdg_cloud_call(c, "DELETE", path, NULL, 0, NULL);
}

rdg_err_t rdg_platform_request(rdg_cloud_client_t *c, const char *device, json_t *request,
                               uint64_t timeout_ms, json_t **answer) {
    if (request && timeout_ms)
        json_object_set_new(request, "timeout_ms", json_integer((json_int_t)timeout_ms));
    return post_to(c, "devices", device, "requests", request, timeout_ms ? timeout_ms + 2000 : 0, answer);
}

rdg_err_t rdg_platform_certify_node(rdg_cloud_client_t *c, const char *device, json_t *request,
                                    json_t **pair) {
    return post_to(c, "devices", device, "certificates", request, 0, pair);
}

rdg_err_t rdg_platform_node_encryption(rdg_cloud_client_t *c, const char *device, const char *chain,
                                       unsigned limit, json_t **certificates) {
    char path[2 * PATH_BYTES];
    json_t *answer = NULL, *list = NULL;
    RDG_TRY(check_name("device", device));
    RDG_TRY(check_name("chain", chain));
    snprintf(path, sizeof path, "/certificates?device=%s&chain=%s&use=encrypt&state=valid&limit=%u", device,
             chain, limit);
    RDG_TRY(rdg_cloud_call(c, "GET", path, NULL, 0, &answer));
    rdg_err_t err = rdg_json_get_array(answer, "certificates", &list);
    if (err == RDG_OK) *certificates = json_incref(list);
    json_decref(answer);
    return err;
}

rdg_err_t rdg_platform_certify_collector(rdg_cloud_client_t *c, const char *request, json_t **answer) {
    return rdg_cloud_call(c, "POST", "/ca/collector", json_pack("{s:s}", "request", request), 0, answer);
}

/* --- images --------------------------------------------------------------------------------------------------------- */

rdg_err_t rdg_platform_images(rdg_cloud_client_t *c, json_t **images) {
    return fetch_all(c, "/images", "images", images);
}

static rdg_err_t on_image(rdg_cloud_client_t *c, const char *method, const char *name, const char *reference,
                          json_t **image) {
    char path[PATH_BYTES];
    RDG_TRY(check_text("an image's name", name));
    if (reference) RDG_TRY(check_text("a tag or digest", reference));
    snprintf(path, sizeof path, "/image?name=%s%s%s", name, reference ? "&reference=" : "",
             reference ? reference : "");
    return rdg_cloud_call(c, method, path, NULL, 0, image);
}

rdg_err_t rdg_platform_image(rdg_cloud_client_t *c, const char *name, const char *reference, json_t **image) {
    return on_image(c, "GET", name, reference, image);
}

rdg_err_t rdg_platform_image_remove(rdg_cloud_client_t *c, const char *name, const char *reference) {
    return on_image(c, "DELETE", name, reference, NULL);
}

rdg_err_t rdg_platform_image_devices(rdg_cloud_client_t *c, const char *name, const char *devices) {
    RDG_TRY(check_text("an image's name", name));
    return rdg_cloud_call(c, "PUT", "/image/devices",
                          json_pack("{s:s, s:s}", "name", name, "devices", devices), 0, NULL);
}
