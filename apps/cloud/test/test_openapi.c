/* Every route stands in docs/openapi.yaml, and everything there is a route. The file is read line by line: a
 * path is a key at indentation 2 below `paths:`, a method one at 4. */
#include <stdio.h>
#include <string.h>
#include "cloud.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include "ridge/test.h"

#define ENTRIES_MAX 200

typedef struct entry {
    char method[8], path[128];
    bool is_public, seen;
} entry_t;

static entry_t entries[ENTRIES_MAX];
static size_t entry_count;

static bool is_method(const char *word) {
    static const char *const methods[] = {"get", "post", "put", "delete", "patch", "head"};
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; ++i)
        if (strcmp(word, methods[i]) == 0) return true;
    return false;
}

static void read_line(const char *line, bool *in_paths, char path[128]) {
    char word[128];
    size_t indent = strspn(line, " ");
    size_t len = strcspn(line + indent, ":");
    if (len == 0 || len >= sizeof word || line[indent + len] == 0) return;
    snprintf(word, sizeof word, "%.*s", (int)len, line + indent);
    if (indent == 0) *in_paths = strcmp(word, "paths") == 0;
    if (!*in_paths) return;
    if (indent == 2) snprintf(path, 128, "%s", word);
    if (indent == 4 && is_method(word)) {
        CHECK(entry_count < ENTRIES_MAX);
        entry_t *e = &entries[entry_count++];
        for (size_t i = 0; i <= strlen(word); ++i)
            e->method[i] = (char)(word[i] >= 'a' && word[i] <= 'z' ? word[i] - 32 : word[i]);
        snprintf(e->path, sizeof e->path, "%s", path);
    }
    if (indent == 6 && strncmp(line + 6, "security: []", 12) == 0) entries[entry_count - 1].is_public = true;
}

static void read_openapi(void) {
    rdg_buf_t text;
    bool in_paths = false;
    char path[128] = "";
    rdg_buf_init(&text, 1 << 20);
    CHECK_OK(rdg_file_read(RIDGE_SOURCE_DIR "/docs/openapi.yaml", &text));
    char *rest = rdg_strdup(rdg_buf_cstr(&text)), *all = rest;
    for (char *line; (line = strsep(&rest, "\n"));) read_line(line, &in_paths, path);
    rdg_free(all);
    rdg_buf_fini(&text);
}

static entry_t *find(const char *method, const char *path) {
    for (size_t i = 0; i < entry_count; ++i)
        if (strcmp(entries[i].method, method) == 0 && strcmp(entries[i].path, path) == 0) return &entries[i];
    return NULL;
}

TEST(every_route_stands_in_the_openapi_file_and_the_other_way_round) {
    cloud_options_t o = {.data_dir = rdg_test_dir(), .platform = true, .baas = true};
    cloud_t *c;
    const rdg_service_route_t *r;
    rdg_log_set_level(RDG_LOG_ERROR);
    read_openapi();
    CHECK(entry_count > 20);
    CHECK_OK(cloud_start(&o, &c));
    for (size_t i = 0; (r = rdg_service_route(cloud_service(c), i)); ++i) {
        entry_t *e = find(r->method, r->pattern);
        if (!e) rdg_test_fail(__FILE__, __LINE__, "%s %s is not in docs/openapi.yaml", r->method, r->pattern);
        if (e->is_public != ((r->flags & RDG_ROUTE_PUBLIC) != 0))
            rdg_test_fail(__FILE__, __LINE__, "%s %s: docs/openapi.yaml errs about its token", r->method,
                          r->pattern);
        e->seen = true;
    }
    for (size_t i = 0; i < entry_count; ++i) {
        bool mounted = strcmp(entries[i].path, "/metrics") == 0;
        if (!entries[i].seen && !mounted)
            rdg_test_fail(__FILE__, __LINE__, "docs/openapi.yaml has %s %s, which is no route",
                          entries[i].method, entries[i].path);
    }
    cloud_stop(c);
}
