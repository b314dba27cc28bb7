/* Who may do what with images: users by their access token, devices by the name of their end of the local socket. */
#include "internal.h"
#include "kit.h"
#include "ridge/base/file.h"
#include "ridge/codec/base64.h"
#include "ridge/net/http_client.h"
#include "ridge/platform/images.h"
#include "ridge/service/access.h"
#include "ridge/test.h"
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

typedef struct shop {
    rdg_images_t *images;
    rdg_access_t *access; /* NULL: no tenants */
    rdg_service_t *users, *devices;
    char socket[200];
} shop_t;

static void open_shop_at(shop_t *s, const char *quotas, rdg_access_t *access, rdg_platform_t *platform,
                         const rdg_clock_t *clock) {
    const rdg_images_options_t o = {.data_dir = rdg_test_dir(), .quotas = quotas};
    snprintf(s->socket, sizeof s->socket, "%s/s", rdg_test_dir());
    CHECK_OK(rdg_images_open(&o, &s->images));
    CHECK_OK(rdg_service_new(&(rdg_service_options_t){.clock = clock}, &s->users));
    CHECK_OK(rdg_service_allow(s->users, "admin", "secret-token"));
    s->access = access;
    if (access) CHECK_OK(rdg_access_routes(access, s->users));
    rdg_images_know_devices(s->images, platform);
    CHECK_OK(rdg_images_serve_users(s->images, s->users));
    CHECK_OK(rdg_service_start(s->users));
    CHECK_OK(rdg_service_new(&(rdg_service_options_t){.host = s->socket}, &s->devices));
    CHECK_OK(rdg_images_serve_devices(s->images, s->devices));
    CHECK_OK(rdg_service_start(s->devices));
}

static void open_shop_with(shop_t *s, const char *quotas, rdg_access_t *access, rdg_platform_t *platform) {
    open_shop_at(s, quotas, access, platform, NULL);
}

static void open_shop(shop_t *s, const char *quotas) {
    open_shop_with(s, quotas, NULL, NULL);
}

static void close_shop(shop_t *s) {
    rdg_service_free(s->users);
    rdg_service_free(s->devices);
    rdg_images_close(s->images);
    if (s->access) return; /* whoever opened it counts */
    CHECK_EQ(rdg_alloc_live(), 0);
}

/* As the gateway does it; name "" binds nothing. */
static unsigned as_device(const shop_t *s, const char *name, const char *method, const char *path) {
    struct sockaddr_un mine = {.sun_family = AF_UNIX}, server = {.sun_family = AF_UNIX};
    char text[2048];
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    memcpy(mine.sun_path + 1, name, strlen(name));
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name));
    /* Such names are the whole machine's: another run of this test may have it for a moment. */
    while (*name && bind(fd, (const struct sockaddr *)&mine, len) != 0) {
        CHECK_EQ(errno, EADDRINUSE);
        usleep(1000);
    }
    memcpy(server.sun_path, s->socket, strlen(s->socket) + 1);
    CHECK_EQ(connect(fd, (const struct sockaddr *)&server, sizeof server), 0);
    int n =
        snprintf(text, sizeof text,
                 "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", method, path);
    CHECK_OK(rdg_write_all(fd, rdg_bytes(text, (size_t)n)));
    ssize_t got = read(fd, text, sizeof text - 1);
    close(fd);
    CHECK(got > 12);
    text[got] = '\0';
    return (unsigned)atoi(text + 9);
}

static unsigned as_user(const shop_t *s, const char *authorization, const char *method, const char *path) {
    char url[500];
    rdg_http_client_t *client;
    rdg_http_answer_t got;
    snprintf(url, sizeof url, "http://127.0.0.1:%u%s", rdg_service_port(s->users), path);
    CHECK_OK(rdg_http_client_new(&client));
    rdg_http_call_t call = {
        .method = method, .url = url, .headers = &authorization, .header_count = authorization != NULL};
    CHECK_OK(rdg_http_call(client, &call, &got));
    unsigned status = got.status;
    rdg_http_answer_fini(&got);
    rdg_http_client_free(client);
    return status;
}

static void put_image(shop_t *s, const char *repo) {
    static const char text[] = "{\"schemaVersion\":2,\"manifests\":[]}";
    CHECK_OK(rdg_registry_put_manifest(rdg_images_registry(s->images), repo, "1", rdg_bytes_str(text), NULL));
}

TEST(a_device_may_pull_what_it_may_see_and_do_nothing_else) {
    static const char pump[] = "ridge/device/pump-1/1", other[] = "ridge/device/pump-2/1";
    shop_t s;
    open_shop(&s, NULL);
    put_image(&s, "all/app");
    put_image(&s, "own/app");
    put_image(&s, "none/app");
    rdg_registry_t *r = rdg_images_registry(s.images);
    CHECK_OK(rdg_registry_set_devices(r, "own/app", "pump-1,pump-10"));
    CHECK_OK(rdg_registry_set_devices(r, "none/app", ""));
    CHECK_EQ(as_device(&s, pump, "GET", "/v2/"), 200);
    CHECK_EQ(as_device(&s, pump, "GET", "/v2/all/app/manifests/1"), 200);
    CHECK_EQ(as_device(&s, pump, "GET", "/v2/own/app/manifests/1"), 200);
    CHECK_EQ(as_device(&s, other, "GET", "/v2/own/app/manifests/1"), 403);
    CHECK_EQ(as_device(&s, "ridge/device/pump/1", "GET", "/v2/own/app/manifests/1"), 403);
    CHECK_EQ(as_device(&s, "ridge/device/ump-1/1", "GET", "/v2/own/app/manifests/1"), 403);
    CHECK_EQ(as_device(&s, pump, "GET", "/v2/none/app/manifests/1"), 403);
    CHECK_EQ(as_device(&s, pump, "GET", "/v2/no/such/manifests/1"), 403);
    static const char *const writes[][2] = {
        {"POST", "/v2/all/app/blobs/uploads/"},
        {"PUT", "/v2/all/app/manifests/2"},
        {"DELETE", "/v2/all/app/manifests/1"},
        {"GET", "/v2/all/app/blobs/uploads/00000000000000000000000000000000"}};
    for (int i = 0; i < 4; ++i) CHECK_EQ(as_device(&s, pump, writes[i][0], writes[i][1]), 403);
    /* Who says no name, or another kind of name, is nobody. */
    CHECK_EQ(as_device(&s, "", "GET", "/v2/all/app/manifests/1"), 401);
    CHECK_EQ(as_device(&s, "ridge/other/pump-1/1", "GET", "/v2/all/app/manifests/1"), 401);
    CHECK_EQ(as_device(&s, "ridge/device/pump-1", "GET", "/v2/all/app/manifests/1"), 401);
    CHECK_EQ(as_device(&s, "ridge/device//1", "GET", "/v2/all/app/manifests/1"), 401);
    close_shop(&s);
}

TEST(a_user_is_whoever_holds_an_access_token) {
    shop_t s;
    rdg_buf_t text;
    char line[200];
    open_shop(&s, "own=1KiB,other=2KiB");
    put_image(&s, "own/app");
    CHECK_EQ(as_user(&s, NULL, "GET", "/v2/own/app/manifests/1"), 401);
    CHECK_EQ(as_user(&s, "Authorization: Bearer secret-token", "GET", "/v2/own/app/manifests/1"), 200);
    CHECK_EQ(as_user(&s, "Authorization: Bearer secret-tokem", "GET", "/v2/own/app/manifests/1"), 401);
    static const char *const logins[] = {"admin:secret-token", "admin:wrong", "root:secret-token"};
    for (int i = 0; i < 3; ++i) {
        rdg_buf_init(&text, 200);
        CHECK_OK(rdg_base64_append(&text, logins[i], strlen(logins[i])));
        snprintf(line, sizeof line, "Authorization: Basic %s", rdg_buf_cstr(&text));
        rdg_buf_fini(&text);
        CHECK_EQ(as_user(&s, line, "GET", "/v2/own/app/manifests/1"), i == 0 ? 200 : 401);
    }
    CHECK_EQ(as_user(&s, "Authorization: Bearer secret-token", "DELETE", "/v2/own/app/manifests/1"), 202);
    close_shop(&s);
}

/* By the REST interface, as an operator does; the header of the token. */
static void make_token(shop_t *s, const char *body, char header[120]) {
    char url[200];
    rdg_http_client_t *client;
    rdg_http_answer_t got;
    json_t *a = NULL;
    static const char *const admin[] = {"Authorization: Bearer secret-token"};
    snprintf(url, sizeof url, "http://127.0.0.1:%u/api/v1/tokens", rdg_service_port(s->users));
    CHECK_OK(rdg_http_client_new(&client));
    rdg_http_call_t call = {
        .method = "POST", .url = url, .headers = admin, .header_count = 1, .body = rdg_bytes_str(body)};
    CHECK_OK(rdg_http_call(client, &call, &got));
    CHECK_EQ(got.status, 201);
    CHECK_OK(rdg_json_parse(rdg_buf_view(&got.body), &a));
    snprintf(header, 120, "Authorization: Bearer %s", json_string_value(json_object_get(a, "token")));
    json_decref(a);
    rdg_http_answer_fini(&got);
    rdg_http_client_free(client);
}

static void device_of(rdg_platform_t *p, const char *name, const char *tenant) {
    CHECK_OK(devices_put(p, name, json_object()));
    devices_set_tenant(p, name, tenant);
}

TEST(a_tenant_reaches_its_own_repositories_and_its_devices_alone_get_them) {
    static const char *const names[] = {"acme/app", "other/app", "acmee/app", "acme", "team/app"};
    kit_t k;
    shop_t s;
    char acme[120], reader[120], path[120];
    kit_open(&k);
    CHECK_EQ(kit_call(&k, "POST", "/tenants", "{\"name\":\"acme\"}", NULL), 201);
    CHECK_EQ(kit_call(&k, "POST", "/tenants", "{\"name\":\"other\"}", NULL), 201);
    device_of(k.platform, "pump-1", "acme");
    device_of(k.platform, "pump-2", "other");
    open_shop_with(&s, NULL, k.access, k.platform);
    make_token(&s, "{\"name\":\"op\",\"tenant\":\"acme\"}", acme);
    make_token(&s, "{\"name\":\"eye\",\"tenant\":\"acme\",\"role\":\"reader\"}", reader);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; ++i) {
        put_image(&s, names[i]);
        const unsigned own = i == 0;
        snprintf(path, sizeof path, "/v2/%s/manifests/1", names[i]);
        CHECK_EQ(as_user(&s, acme, "GET", path), own ? 200 : 403);
        CHECK_EQ(as_user(&s, reader, "GET", path), own ? 200 : 403);
        CHECK_EQ(as_user(&s, "Authorization: Bearer secret-token", "GET", path), 200);
        snprintf(path, sizeof path, "/v2/%s/blobs/uploads/", names[i]);
        CHECK_EQ(as_user(&s, acme, "POST", path), own ? 202 : 403);
        CHECK_EQ(as_user(&s, reader, "POST", path), 403);
        snprintf(path, sizeof path, "/api/v1/image?name=%s", names[i]);
        CHECK_EQ(as_user(&s, acme, "GET", path), own ? 200 : 404);
        snprintf(path, sizeof path, "/api/v1/image?name=%s&reference=1", names[i]);
        CHECK_EQ(as_user(&s, acme, "DELETE", path), own ? 204 : 404);
        CHECK_EQ(as_user(&s, reader, "DELETE", path), 403);
    }
    CHECK_EQ(as_user(&s, acme, "GET", "/v2/no/such/manifests/1"), 403); /* as what is there */
    put_image(&s, "acme/app");
    CHECK_EQ(as_device(&s, "ridge/device/pump-1/1", "GET", "/v2/acme/app/manifests/1"), 200);
    CHECK_EQ(as_device(&s, "ridge/device/pump-2/1", "GET", "/v2/acme/app/manifests/1"), 403);
    CHECK_EQ(as_device(&s, "ridge/device/pump-2/1", "GET", "/v2/team/app/manifests/1"), 200);
    CHECK_ERR(rdg_images_in_use(s.images, "acme"), RDG_E_CONFLICT);
    close_shop(&s);
    kit_close(&k);
}

TEST(quotas_that_are_none_are_refused) {
    static const char *const bad[] = {"own", "own=", "own=x", "Own=1KiB", "../x=1KiB"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; ++i) {
        rdg_images_t *images;
        const rdg_images_options_t o = {.data_dir = rdg_test_dir(), .quotas = bad[i]};
        CHECK(rdg_images_open(&o, &images) != RDG_OK);
    }
    CHECK_EQ(rdg_alloc_live(), 0);
}

static const char *basic_line(const char *user_and_password) {
    static char line[300];
    rdg_buf_t text;
    rdg_buf_init(&text, 256);
    CHECK_OK(rdg_base64_append(&text, user_and_password, strlen(user_and_password)));
    snprintf(line, sizeof line, "Authorization: Basic %s", rdg_buf_cstr(&text));
    rdg_buf_fini(&text);
    return line;
}

TEST(images_who_guesses_passwords_and_tokens_is_barred_in_the_registry_and_the_interface_alike) {
    shop_t s;
    const char forged[] = "Authorization: Bearer 7b7d."
                          "0000000000000000000000000000000000000000000000000000000000000000";
    rdg_clock_manual_t clock; /* so that nothing is forgiven however long this takes */
    rdg_clock_manual_init(&clock, 1000000);
    open_shop_at(&s, NULL, NULL, NULL, &clock.clock);
    CHECK_EQ(as_user(&s, basic_line("admin:secret-token"), "GET", "/v2/"), 200);
    for (int i = 0; i < 5; ++i) {
        CHECK_EQ(as_user(&s, basic_line("admin:guess"), "GET", "/v2/"), 401);
        CHECK_EQ(as_user(&s, basic_line("admin:guess"), "GET", "/v2/token"), 401);
        CHECK_EQ(as_user(&s, "Authorization: Bearer guess", "GET", "/v2/"), 401);
        CHECK_EQ(as_user(&s, forged, "GET", "/v2/"), 401);
    }
    CHECK_EQ(as_user(&s, basic_line("admin:guess"), "GET", "/v2/token"), 429);
    CHECK_EQ(as_user(&s, basic_line("admin:guess"), "GET", "/v2/"), 429);
    CHECK_EQ(as_user(&s, "Authorization: Bearer guess", "GET", "/v2/"), 429);
    CHECK_EQ(as_user(&s, forged, "GET", "/v2/"), 429);
    CHECK_EQ(as_user(&s, "Authorization: Bearer guess", "GET", "/api/v1/images"), 429);
    /* Who was let in before stays in; who presents nothing is told to log in; devices present nothing. */
    CHECK_EQ(as_user(&s, basic_line("admin:secret-token"), "GET", "/v2/"), 200);
    CHECK_EQ(as_user(&s, "Authorization: Bearer secret-token", "GET", "/api/v1/images"), 200);
    CHECK_EQ(as_user(&s, NULL, "GET", "/v2/"), 401);
    close_shop(&s);
}
