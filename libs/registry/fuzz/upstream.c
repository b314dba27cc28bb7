#include "upstream_answer.h"
#include "ridge/base/assert.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define REGISTRY "https://registry.example"

static void check_address(const char *url) {
    RDG_ASSERT(strncmp(url, "https://", 8) == 0 && strlen(url) < UPSTREAM_ADDRESS_MAX);
    for (; *url; ++url) RDG_ASSERT((unsigned char)*url > ' ' && (unsigned char)*url < 127);
}

/* Challenge, redirect and Link: text that a header can have. */
static void headers(const char *text) {
    static char out[UPSTREAM_ADDRESS_MAX];
    char value[20];
    if (upstream_parameter(text, "service", value, sizeof value)) RDG_ASSERT(strlen(value) < sizeof value);
    if (upstream_token_address(REGISTRY, text, "repository:a/b:pull", out) == RDG_OK) {
        check_address(out);
        RDG_ASSERT(strstr(out, "scope=repository"));
    }
    if (upstream_location(REGISTRY, text, out) == RDG_OK) check_address(out);
    if (!upstream_next(REGISTRY, "a/b", text, out)) RDG_ASSERT(!out[0]);
    for (const char *c = out; *c; ++c) RDG_ASSERT((unsigned char)*c > ' ' && (unsigned char)*c < 127);
}

static void token(rdg_bytes_t body) {
    rdg_buf_t header;
    uint64_t life_s;
    rdg_buf_init(&header, UPSTREAM_TOKEN_MAX + 64);
    if (upstream_token(body, &header, &life_s) == RDG_OK) {
        RDG_ASSERT(life_s >= 1 && life_s < 86400 && header.len > strlen("Authorization: Bearer "));
        for (size_t i = 0; i < header.len; ++i) RDG_ASSERT(header.data[i] >= ' ' && header.data[i] < 127);
    }
    rdg_buf_fini(&header);
}

static void lists(rdg_bytes_t body) {
    json_t *tags = NULL, *referrers = json_array(), *one;
    size_t i;
    if (upstream_tags(body, "b", 5, &tags) == RDG_OK) {
        RDG_ASSERT(json_array_size(tags) <= 5);
        json_array_foreach(tags, i, one) {
            const char *text = json_string_value(one);
            RDG_ASSERT(target_tag_valid(text) && strcmp(text, "b") > 0);
            for (size_t j = 0; j < i; ++j)
                RDG_ASSERT(strcmp(text, json_string_value(json_array_get(tags, j))) != 0);
        }
    }
    if (upstream_referrers(body, NULL, referrers) == RDG_OK) {
        RDG_ASSERT(json_array_size(referrers) <= UPSTREAM_REFERRERS_MAX);
        json_array_foreach(referrers, i, one)
            RDG_ASSERT(target_digest_valid(json_string_value(json_object_get(one, "digest"))));
    }
    json_decref(tags);
    json_decref(referrers);
}

/* What upstream_answer.h promises, whatever a registry sends. (Manifests: fuzz/manifest.c.) */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    char *text = malloc(len + 1);
    if (!text) return 0;
    if (len > 0) memcpy(text, data, len);
    text[len] = '\0';
    headers(text);
    free(text);
    token(rdg_bytes(data, len));
    lists(rdg_bytes(data, len));
    return 0;
}
