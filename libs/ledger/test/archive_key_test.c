/* Keys of archives on their way to a node: opened by that node, for that chain, under that id, and else not. */
#include "ridge/ledger/archive_key.h"
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/codec/hex.h"
#include "ridge/crypto/keyfile.h"
#include "ridge/test.h"

static const rdg_archive_key_t key = {.id = "archive-7-1",
                                      .key = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};
static const rdg_archive_key_chain_t chain = {7, {{9}}};

typedef struct pair {
    rdg_sm2_key_t *own;
    rdg_sm2_public_t public;
} pair_t;

static pair_t make_pair(void) {
    pair_t p;
    CHECK_OK(rdg_sm2_key_generate(&p.own));
    rdg_sm2_key_public(p.own, &p.public);
    return p;
}

static bool is_clear(const rdg_archive_key_t *k) {
    static const rdg_archive_key_t none;
    return memcmp(k, &none, sizeof none) == 0;
}

static void refused(const json_t *wrapped, const rdg_archive_key_chain_t *of, const rdg_sm2_key_t *own,
                    rdg_err_t code) {
    rdg_archive_key_t out;
    CHECK_ERR(rdg_archive_key_unwrap(wrapped, of, own, &out), code);
    CHECK(is_clear(&out));
}

TEST(archive_key_opens_for_the_node_that_it_was_wrapped_for) {
    pair_t nodes[3] = {make_pair(), make_pair(), make_pair()};
    const rdg_sm2_public_t two[] = {nodes[0].public, nodes[1].public};
    rdg_archive_key_t out;
    json_t *wrapped = NULL;
    CHECK_OK(rdg_archive_key_wrap(&key, &chain, two, 2, &wrapped));
    for (int i = 0; i < 2; ++i) {
        CHECK_OK(rdg_archive_key_unwrap(wrapped, &chain, nodes[i].own, &out));
        CHECK_STR(out.id, key.id);
        CHECK_MEM(out.key, key.key, sizeof key.key);
    }
    /* The certificate was renewed since: there is a word for that, because ordering it again helps. */
    refused(wrapped, &chain, nodes[2].own, RDG_E_STALE);
    CHECK(strstr(rdg_err_message(RDG_E_STALE), key.id));
    char *text = rdg_json_text(wrapped), digits[2 * sizeof key.key + 1];
    rdg_hex_encode(key.key, sizeof key.key, digits);
    CHECK(!strstr(text, digits));
    rdg_free(text);
    json_decref(wrapped);
    for (int i = 0; i < 3; ++i) rdg_sm2_key_free(nodes[i].own);
}

TEST(archive_key_of_another_chain_or_id_is_refused) {
    pair_t node = make_pair();
    const rdg_archive_key_chain_t other_id = {8, {{9}}}, other_genesis = {7, {{10}}};
    json_t *wrapped = NULL;
    CHECK_OK(rdg_archive_key_wrap(&key, &chain, &node.public, 1, &wrapped));
    refused(wrapped, &other_id, node.own, RDG_E_WRONG_CHAIN);
    refused(wrapped, &other_genesis, node.own, RDG_E_WRONG_CHAIN);
    CHECK(strstr(rdg_err_message(RDG_E_WRONG_CHAIN), "another chain"));
    json_object_set_new(wrapped, "id", json_string("archive-7-2"));
    refused(wrapped, &chain, node.own, RDG_E_WRONG_CHAIN);
    json_decref(wrapped);
    rdg_sm2_key_free(node.own);
}

TEST(archive_key_that_was_changed_on_its_way_is_refused) {
    pair_t node = make_pair(), other = make_pair();
    json_t *wrapped = NULL, *foreign = NULL;
    CHECK_OK(rdg_archive_key_wrap(&key, &chain, &node.public, 1, &wrapped));
    CHECK_OK(rdg_archive_key_wrap(&key, &chain, &other.public, 1, &foreign));
    json_t *entry = json_array_get(json_object_get(wrapped, "wrapped"), 0);
    char text[2048];
    snprintf(text, sizeof text, "%s", json_string_value(json_object_get(entry, "key")));
    size_t len = strlen(text);
    CHECK(len > 2);
    for (size_t i = 2; i < len; i += 7) {
        char was = text[i];
        text[i] = was == '0' ? '1' : '0';
        json_object_set_new(entry, "key", json_string(text));
        refused(wrapped, &chain, node.own, RDG_E_UNAUTHENTICATED);
        text[i] = was;
    }
    /* Cut off, too long, no hex. */
    text[len - 2] = '\0';
    json_object_set_new(entry, "key", json_string(text));
    refused(wrapped, &chain, node.own, RDG_E_UNAUTHENTICATED);
    json_object_set_new(entry, "key", json_string("0x"));
    refused(wrapped, &chain, node.own, RDG_E_UNAUTHENTICATED);
    json_object_set_new(entry, "key", json_string("zz"));
    refused(wrapped, &chain, node.own, RDG_E_INVALID);
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    json_object_set_new(entry, "key", json_string(text));
    refused(wrapped, &chain, node.own, RDG_E_INVALID);
    /* What was wrapped for another, said to be for this one. */
    json_object_set(entry, "key",
                    json_object_get(json_array_get(json_object_get(foreign, "wrapped"), 0), "key"));
    refused(wrapped, &chain, node.own, RDG_E_UNAUTHENTICATED);
    json_decref(wrapped);
    json_decref(foreign);
    rdg_sm2_key_free(node.own);
    rdg_sm2_key_free(other.own);
}

TEST(archive_key_in_a_wrong_form_is_refused) {
    static const char *const texts[] = {"{}",
                                        "[]",
                                        "7",
                                        "{\"id\":7}",
                                        "{\"id\":\"\",\"wrapped\":[]}",
                                        "{\"id\":\"x\"}",
                                        "{\"id\":\"x\",\"wrapped\":{}}",
                                        "{\"id\":\"x\",\"wrapped\":[7]}",
                                        "{\"id\":\"x\",\"wrapped\":[{\"for\":\"00\"}]}",
                                        "{\"id\":\"x\",\"wrapped\":[0,0,0,0,0,0,0,0,0]}"};
    pair_t node = make_pair();
    rdg_sm2_public_t many[RDG_ARCHIVE_WRAPPED_MAX + 1];
    rdg_sm2_public_t nowhere = {{1}};
    json_t *wrapped = NULL;
    char id[128];
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; ++i) {
        CHECK_OK(rdg_json_parse(rdg_bytes_str(texts[i]), &wrapped));
        refused(wrapped, &chain, node.own, RDG_E_INVALID);
        json_decref(wrapped);
    }
    memset(id, 'i', sizeof id - 1);
    id[sizeof id - 1] = '\0';
    wrapped = json_pack("{s:s, s:[]}", "id", id, "wrapped");
    refused(wrapped, &chain, node.own, RDG_E_INVALID);
    json_decref(wrapped);
    for (size_t i = 0; i <= RDG_ARCHIVE_WRAPPED_MAX; ++i) many[i] = node.public;
    CHECK_ERR(rdg_archive_key_wrap(&key, &chain, many, RDG_ARCHIVE_WRAPPED_MAX + 1, &wrapped), RDG_E_INVALID);
    CHECK_ERR(rdg_archive_key_wrap(&key, &chain, many, 0, &wrapped), RDG_E_INVALID);
    CHECK_ERR(rdg_archive_key_wrap(&key, &chain, &nowhere, 1, &wrapped), RDG_E_INVALID);
    CHECK(!wrapped);
    rdg_sm2_key_free(node.own);
}

TEST(archive_key_as_a_file) {
    char text[RDG_ARCHIVE_KEY_TEXT_MAX], path[4096];
    rdg_archive_key_t out, long_id = key;
    uint8_t check[RDG_ARCHIVE_KEY_CHECK_BYTES], other[RDG_ARCHIVE_KEY_CHECK_BYTES];
    CHECK_OK(rdg_path_join(path, sizeof path, rdg_test_dir(), "a.key"));
    rdg_archive_key_print(&key, text);
    CHECK_STR(text, "0102030405060708090a0b0c0d0e0f10\narchive-7-1\n");
    CHECK_OK(rdg_keyfile_write(path, rdg_bytes_str(text)));
    CHECK_OK(rdg_archive_key_load(path, &out));
    CHECK(memcmp(&out, &key, sizeof key) == 0);
    CHECK(chmod(path, 0644) == 0);
    CHECK_ERR(rdg_archive_key_load(path, &out), RDG_E_FORBIDDEN);
    CHECK(is_clear(&out));
    memset(long_id.id, 'x', RDG_ARCHIVE_KEY_ID_MAX);
    rdg_archive_key_print(&long_id, text);
    CHECK_OK(rdg_archive_key_parse(rdg_bytes_str(text), &out));
    CHECK_STR(out.id, long_id.id);
    /* As people write them: one line, or none that ends. */
    CHECK_OK(rdg_archive_key_parse(rdg_bytes_str("0102030405060708090A0B0C0D0E0F10"), &out));
    CHECK_MEM(out.key, key.key, sizeof key.key);
    CHECK_STR(out.id, "");
    CHECK_OK(rdg_archive_key_parse(rdg_bytes_str("0102030405060708090a0b0c0d0e0f10\r\n"), &out));
    static const char *const wrong[] = {"",
                                        "\n",
                                        "0102030405060708090a0b0c0d0e0f1",
                                        "0x02030405060708090a0b0c0d0e0f10",
                                        "0102030405060708090a0b0c0d0e0f1011",
                                        "g102030405060708090a0b0c0d0e0f10"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; ++i) {
        CHECK_ERR(rdg_archive_key_parse(rdg_bytes_str(wrong[i]), &out), RDG_E_MALFORMED);
        CHECK(is_clear(&out));
    }
    /* What tells a right key from a wrong one. */
    rdg_archive_key_check(&key, check);
    out = key;
    out.key[15] ^= 1;
    rdg_archive_key_check(&out, other);
    CHECK(memcmp(check, other, sizeof check) != 0);
    out = key;
    out.id[0] ^= 1;
    rdg_archive_key_check(&out, other);
    CHECK(memcmp(check, other, sizeof check) != 0);
}
