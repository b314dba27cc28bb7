/* Whose chains are, and that another tenant is told of them as of what is not there. */
#include "kit.h"
#include "mainchain.h"
#include <stdio.h>
#include <string.h>

static void make_tenant(kit_t *k, const char *name, char token[100]) {
    char body[120];
    json_t *a;
    snprintf(body, sizeof body, "{\"name\":\"%s\"}", name);
    CHECK_EQ(kit_call(k, "POST", "/tenants", body, NULL), 201);
    snprintf(body, sizeof body, "{\"name\":\"boss\",\"role\":\"admin\",\"tenant\":\"%s\"}", name);
    CHECK_EQ(kit_call(k, "POST", "/tokens", body, &a), 201);
    snprintf(token, 100, "%s", kit_text(a, "token"));
    json_decref(a);
}

static void open_for_two(kit_t *k, char acme[100], char other[100]) {
    kit_open(k);
    for (size_t i = 0; i < FAKE_DEVICES; ++i) k->p.tenants[i] = i < 4 ? "acme" : "other";
    make_tenant(k, "acme", acme);
    make_tenant(k, "other", other);
}

static const char four[] =
    "{\"name\":\"c\",\"devices\":[\"dev-1\",\"dev-2\",\"dev-3\",\"dev-4\"],\"driver\":\"process\"}";

TEST(chain_is_of_the_one_tenant_that_all_its_devices_are_of) {
    static const char mixed[] =
        "{\"name\":\"m\",\"devices\":[\"dev-2\",\"dev-3\",\"dev-4\",\"dev-5\"],\"driver\":\"process\"}";
    static const char alone[] =
        "{\"name\":\"c\",\"devices\":[\"dev-5\"],\"driver\":\"process\",\"allow_no_fault_tolerance\":true}";
    kit_t k;
    json_t *a;
    char acme[100], other[100];
    open_for_two(&k, acme, other);
    CHECK_EQ(kit_call(&k, "POST", "/chains", mixed, &a), 400);
    CHECK(strstr(kit_error(a, "message"), "all devices of a chain are of one"));
    json_decref(a);
    CHECK_EQ(kit_call_as(&k, acme, "POST", "/chains", mixed, &a), 404);
    CHECK_STR(kit_error(a, "message"), "device 'dev-5' does not exist: see ridge device list");
    json_decref(a);
    CHECK_EQ(kit_call_as(&k, other, "POST", "/chains", four, NULL), 404);
    CHECK_EQ(kit_call_as(&k, acme, "POST", "/chains", four, &a), 202);
    CHECK_STR(kit_text(a, "tenant"), "acme");
    json_decref(a);
    json_decref(kit_wait_chain(&k, "c", "running"));
    /* Its name is nobody else's, also when it is gone. */
    CHECK_EQ(kit_call_as(&k, other, "POST", "/chains", alone, NULL), 409);
    CHECK_EQ(kit_call_as(&k, acme, "DELETE", "/chains/c?discard=c", NULL, NULL), 202);
    json_decref(kit_wait_chain(&k, "c", "destroyed"));
    CHECK_EQ(kit_call_as(&k, other, "POST", "/chains", alone, NULL), 409);
    CHECK_EQ(kit_call_as(&k, acme, "POST", "/chains", four, NULL), 202);
    json_decref(kit_wait_chain(&k, "c", "running"));
    kit_close(&k);
}

static void fill_in(const char *pattern, const char *chain, char *out, size_t size) {
    size_t n = 0, parameter = 0;
    for (const char *p = pattern + strlen("/api/v1"); *p; ++p) {
        if (*p == '{') {
            n += (size_t)snprintf(out + n, size - n, "%s", parameter++ ? "dev-5" : chain);
            p = strchr(p, '}');
        } else {
            out[n++] = *p;
        }
        CHECK(n + 8 < size);
    }
    out[n] = '\0';
}

static unsigned knock(kit_t *k, const char *token, const rdg_service_route_t *r, const char *chain,
                      char message[300]) {
    char path[300];
    json_t *a = NULL;
    bool body = strcmp(r->method, "POST") == 0 || strcmp(r->method, "PUT") == 0;
    fill_in(r->pattern, chain, path, sizeof path);
    unsigned status = kit_call_as(k, token, r->method, path, body ? "{}" : NULL, &a);
    snprintf(message, 300, "%s", kit_error(a, "message"));
    json_decref(a);
    return status;
}

TEST(chain_of_another_tenant_is_as_if_it_were_not_there_on_every_route) {
    kit_t k;
    json_t *a;
    const rdg_service_route_t *r;
    char acme[100], other[100], foreign[300], absent[300], expected[300];
    size_t count = 0;
    open_for_two(&k, acme, other);
    CHECK_EQ(kit_call_as(&k, acme, "POST", "/chains", four, NULL), 202);
    json_decref(kit_wait_chain(&k, "c", "running"));
    for (size_t i = 0; (r = rdg_service_route(k.service, i)); ++i) {
        if (strncmp(r->pattern, "/api/v1/chains/{", 16) != 0) continue;
        unsigned status = knock(&k, other, r, "c", foreign);
        if (status != 404) rdg_test_fail(__FILE__, __LINE__, "%s %s: HTTP %u", r->method, r->pattern, status);
        CHECK_EQ(knock(&k, other, r, "nosuch", absent), 404);
        CHECK_STR(foreign, "chain 'c' does not exist: see ridge chain list");
        snprintf(expected, sizeof expected, "chain 'nosuch' does not exist: see ridge chain list");
        CHECK_STR(absent, expected);
        ++count;
    }
    CHECK(count > 30);
    CHECK_EQ(kit_call_as(&k, other, "GET", "/archives/1", NULL, NULL), 404);
    static const char *const lists[][2] = {{"/chains?all=1", "chains"}, {"/archives", "archives"}};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; ++i) {
        CHECK_EQ(kit_call_as(&k, other, "GET", lists[i][0], NULL, &a), 200);
        CHECK_EQ(json_array_size(json_object_get(a, lists[i][1])), 0);
        json_decref(a);
    }
    CHECK_EQ(kit_call_as(&k, acme, "GET", "/chains", NULL, &a), 200);
    CHECK_EQ(json_array_size(json_object_get(a, "chains")), 1);
    json_decref(a);
    CHECK_EQ(kit_call(&k, "GET", "/chains", NULL, &a), 200);
    CHECK_STR(kit_text(json_array_get(json_object_get(a, "chains"), 0), "tenant"), "acme");
    json_decref(a);
    /* Nor can it put its devices into it, or take those of others. */
    CHECK_EQ(kit_call_as(&k, acme, "POST", "/chains/c/validators", "{\"device\":\"dev-5\"}", &a), 404);
    CHECK_STR(kit_error(a, "message"), "device 'dev-5' does not exist: see ridge device list");
    json_decref(a);
    CHECK_ERR(rdg_baas_in_use(k.baas, "acme"), RDG_E_CONFLICT);
    CHECK_OK(rdg_baas_in_use(k.baas, "other"));
    kit_close(&k);
}

TEST(chain_events_are_not_waited_for_longer_than_the_token_lives) {
    kit_t k;
    char acme[100], other[100], late[100];
    json_t *a;
    open_for_two(&k, acme, other);
    CHECK_EQ(kit_call_as(&k, acme, "POST", "/chains", four, NULL), 202);
    json_decref(kit_wait_chain(&k, "c", "running"));
    CHECK_EQ(kit_call_as(&k, acme, "POST", "/tokens", "{\"name\":\"late\",\"expires_s\":4}", &a), 201);
    snprintf(late, sizeof late, "%s", kit_text(a, "token"));
    json_decref(a);
    uint64_t start = baas_mono();
    CHECK_EQ(kit_call_as(&k, late, "GET", "/chains/c/events?after=1000000&wait_ms=25000", NULL, NULL), 401);
    CHECK(baas_mono() - start < 24000); /* 25 s if it is waited for */
    kit_close(&k);
}

static void write_intent(kit_t *k, int chain, const char *name, const char *tenant) {
    CHECK_OK(rdg_sql_exec(k->baas->db,
                          "INSERT INTO main_intents (chain, name, kind, idem, args, state, created_ms)"
                          " VALUES (?, ?, 1, 'genesis', '[]', 1, 1)",
                          RDG_SQL_PARAMS(rdg_sql_int(chain), rdg_sql_text(name)), NULL));
    CHECK_OK(rdg_sql_exec(k->baas->db, "INSERT INTO chain_tenants (name, tenant) VALUES (?, ?)",
                          RDG_SQL_PARAMS(rdg_sql_text(name), rdg_sql_text(tenant)), NULL));
}

/* With a main chain: tests/system/mainchain.py. A name may look like another chain's number. */
TEST(mainchain_entries_are_their_chains_tenants) {
    static const char *const paths[] = {"/mainchain/chains/%s", "/mainchain/chains/%s/entries/0/proof"};
    kit_t k;
    char acme[100], other[100], path[200], text[200];
    json_t *a, *list;
    open_for_two(&k, acme, other);
    write_intent(&k, 71, "feeder", "acme");
    write_intent(&k, 72, "71", "other");
    CHECK_OK(intent_own(k.baas, "acme", "feeder"));
    CHECK_ERR(intent_own(k.baas, "other", "feeder"), RDG_E_NOT_FOUND);
    CHECK_ERR(intent_own(k.baas, "acme", "71"),
              RDG_E_NOT_FOUND); /* the name goes first, as it does for all */
    CHECK_OK(intent_own(k.baas, "other", "71"));
    CHECK_OK(intent_own(k.baas, "other", "72"));
    CHECK_ERR(intent_own(k.baas, "acme", "72"), RDG_E_NOT_FOUND);
    CHECK_OK(intent_chains(k.baas, "acme", &list));
    CHECK_EQ(json_array_size(list), 1);
    CHECK_STR(kit_text(json_array_get(list, 0), "chain"), "feeder");
    json_decref(list);
    CHECK_OK(intent_chains(k.baas, NULL, &list));
    CHECK_EQ(json_array_size(list), 2);
    json_decref(list);
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; ++i) {
        for (int there = 0; there < 2; ++there) {
            const char *name = there ? "feeder" : "nosuch";
            size_t len = strcspn(paths[i], "%");
            snprintf(path, sizeof path, "%.*s%s%s", (int)len, paths[i], name, paths[i] + len + 2);
            CHECK_EQ(kit_call_as(&k, other, "GET", path, NULL, &a), 404);
            snprintf(text, sizeof text,
                     "the main chain has nothing of a chain '%s': see ridge mainchain show", name);
            CHECK_STR(kit_error(a, "message"), text);
            json_decref(a);
        }
        snprintf(path, sizeof path, "%.*s%s%s", (int)strcspn(paths[i], "%"), paths[i], "feeder",
                 paths[i] + strcspn(paths[i], "%") + 2);
        CHECK_EQ(kit_call_as(&k, acme, "GET", path, NULL, NULL), 501); /* its own, and no main chain here */
    }
    kit_close(&k);
}

TEST(chain_beyond_its_tenants_limit_is_not_made_by_anybody) {
    static const char second[] =
        "{\"name\":\"d\",\"devices\":[\"dev-1\"],\"driver\":\"process\",\"allow_no_fault_tolerance\":true}";
    static const char others[] =
        "{\"name\":\"e\",\"devices\":[\"dev-5\"],\"driver\":\"process\",\"allow_no_fault_tolerance\":true}";
    kit_t k;
    json_t *a;
    char acme[100], other[100];
    open_for_two(&k, acme, other);
    CHECK_EQ(kit_call(&k, "PATCH", "/tenants/acme", "{\"limits\":{\"chains\":1}}", NULL), 200);
    CHECK_EQ(kit_call_as(&k, acme, "POST", "/chains", four, NULL), 202);
    CHECK_EQ(kit_call_as(&k, acme, "POST", "/chains", second, &a), 503);
    CHECK_STR(kit_error(a, "code"), "FULL");
    CHECK(strstr(kit_error(a, "message"), "tenant acme has 1 chains, and its limit is 1"));
    CHECK(strstr(kit_error(a, "message"), "ridge tenant limit acme --chains"));
    json_decref(a);
    CHECK_EQ(kit_call(&k, "POST", "/chains", second, NULL), 503);
    CHECK_EQ(kit_call_as(&k, other, "POST", "/chains", others, NULL), 202);
    json_decref(kit_wait_chain(&k, "c", "running"));
    CHECK_EQ(kit_call(&k, "GET", "/tenants/acme", NULL, &a), 200);
    CHECK_EQ(json_integer_value(json_object_get(json_object_get(a, "used"), "chains")), 1);
    json_decref(a);
    CHECK_EQ(kit_call_as(&k, acme, "DELETE", "/chains/c?discard=c", NULL, NULL), 202);
    json_decref(kit_wait_chain(&k, "c", "destroyed"));
    CHECK_EQ(kit_call_as(&k, acme, "POST", "/chains", second, NULL), 202);
    json_decref(kit_wait_chain(&k, "d", "running"));
    json_decref(kit_wait_chain(&k, "e", "running"));
    kit_close(&k);
}
