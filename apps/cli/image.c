#include "cli.h"
#include <stdio.h>
#include <string.h>

/* "team/app:1.0" or "team/app@sha256:…" or "team/app", written for a query; reference is empty when there is none. */
static rdg_err_t query_of(const char *text, char *out, size_t size, bool *referenced) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_/:";
    const char *slash = strrchr(text, '/'), *at = strchr(text, '@'),
               *colon = strchr(slash ? slash : text, ':');
    const char *end = at ? at : colon;
    *referenced = end != NULL;
    if (!*text || strspn(text, plain) + (at ? strspn(at + 1, plain) + 1 : 0) != strlen(text) ||
        snprintf(out, size, "name=%.*s%s%s", end ? (int)(end - text) : (int)strlen(text), text,
                 end ? "&reference=" : "", end ? end + 1 : "") >= (int)size)
        return rdg_fail(RDG_E_INVALID, "'%.100s' names no image: want NAME:TAG or NAME@sha256:…", text);
    return RDG_OK;
}

static void add_count(json_t *images) {
    json_t *image;
    size_t i;
    json_array_foreach(images, i, image) {
        char text[24];
        const char *devices = json_string_value(json_object_get(image, "devices"));
        snprintf(text, sizeof text, "%zu", json_array_size(json_object_get(image, "tags")));
        json_object_set_new(image, "tag_count", json_string(text));
        if (devices && strcmp(devices, "*") == 0) json_object_set_new(image, "devices", json_string("all"));
        if (devices && !*devices) json_object_set_new(image, "devices", json_string("none"));
    }
}

static rdg_err_t list(cli_t *cli) {
    json_t *answer = NULL;
    RDG_TRY(cli_call(cli, "GET", NULL, &answer, "/images"));
    if (cli->json) {
        out_json(answer);
    } else {
        add_count(json_object_get(answer, "images"));
        out_table(json_object_get(answer, "images"), COLUMNS("NAME=name", "TAGS=tag_count", "BYTES=bytes",
                                                             "DEVICES=devices", "SINCE=created_ms"));
        if (json_is_true(json_object_get(answer, "more")))
            printf("(there are more: ask the REST interface with after)\n");
    }
    json_decref(answer);
    return RDG_OK;
}

static void print_list(const char *title, const json_t *items) {
    const json_t *item;
    size_t i;
    json_array_foreach(items, i, item) {
        const char *text =
            json_string_value(json_is_object(item) ? json_object_get(item, "artifactType") : item);
        printf("%-14s %s\n", i == 0 ? title : "", text ? text : "-");
    }
}

static rdg_err_t show(cli_t *cli) {
    char query[600];
    bool referenced;
    json_t *answer = NULL;
    RDG_TRY(query_of(cli->args[0], query, sizeof query, &referenced));
    RDG_TRY(cli_call(cli, "GET", NULL, &answer, "/image?%s", query));
    if (cli->json) {
        out_json(answer);
    } else if (referenced) {
        out_fields(answer, COLUMNS("Name=name", "Reference=reference", "Digest=digest", "Version=version",
                                   "Purpose=purpose", "Bytes=bytes", "Memory floor=resources.memory_min",
                                   "Memory ceiling=resources.memory_max"));
        print_list("Architecture", json_object_get(answer, "architectures"));
        print_list("Ports", json_object_get(answer, "ports"));
        print_list("Environment", json_object_get(answer, "environment"));
        print_list("Referrers", json_object_get(answer, "referrers"));
    } else {
        out_fields(answer, COLUMNS("Name=name", "Bytes=bytes", "Devices=devices", "Since=created_ms"));
        print_list("Tags", json_object_get(answer, "tags"));
    }
    json_decref(answer);
    return RDG_OK;
}

static rdg_err_t rm(cli_t *cli) {
    char query[600];
    bool referenced;
    RDG_TRY(query_of(cli->args[0], query, sizeof query, &referenced));
    if (!referenced)
        return rdg_fail(RDG_E_INVALID, "which image of %.100s: give NAME:TAG or NAME@sha256:…", cli->args[0]);
    RDG_TRY(cli_call(cli, "DELETE", NULL, NULL, "/image?%s", query));
    if (!cli->json) printf("image %s is removed: its space is freed by the next collection\n", cli->args[0]);
    return RDG_OK;
}

static rdg_err_t devices(cli_t *cli) {
    json_t *answer = NULL;
    const char *who = strcmp(cli->args[1], "all") == 0    ? "*"
                      : strcmp(cli->args[1], "none") == 0 ? ""
                                                          : cli->args[1];
    RDG_TRY(cli_call(cli, "PUT", json_pack("{s:s, s:s}", "name", cli->args[0], "devices", who), &answer,
                     "/image/devices"));
    if (cli->json)
        out_json(answer);
    else
        printf("devices that may pull %s: %s\n", cli->args[0], cli->args[1]);
    json_decref(answer);
    return RDG_OK;
}

const command_t image_commands[] = {
    {"image", "list", "", "the images that the cloud's registry holds", 0, 0, list, {{0}}},
    {"image", "show", "NAME[:TAG]", "an image's form, or a repository's tags", 1, 1, show, {{0}}},
    {"image", "rm", "NAME:TAG", "remove a tag, and the image when nothing else names it", 1, 1, rm, {{0}}},
    {"image",
     "devices",
     "NAME all|none|DEVICE[,DEVICE...]",
     "which devices may pull a repository",
     2,
     2,
     devices,
     {{0}}},
    {0},
};
