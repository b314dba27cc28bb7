/* ridge-forge: lies that are well made, for the system tests: whoever tells them has a key that counts.
 *
 *   ridge-forge archive IN OUT KEY            IN with one receipt changed, every digest made to agree, signed by KEY; tells
 *                                             {"manifest", "content", "height"}
 *   ridge-forge receipt HEX KEY FIELD=VALUE…  an archive receipt that says something else, signed by KEY; tells its hex.
 *                                             Numbers: from, to, mark_ms, chain_id, anchor_height; a hash (genesis, manifest,
 *                                             content, anchor_tx) becomes another (=other) or zero (=none) */
#include "archive_forge.h"
#include "ridge/base/file.h"
#include "ridge/codec/hex.h"
#include "ridge/codec/json.h"
#include "ridge/test.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RECEIPT_MAX = 4096, CHANGED_FROM_END = 10 };

/* archive_forge.c ends a test with it; here it ends the program. */
void rdg_test_fail(const char *file, int line, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    fprintf(stderr, "ridge-forge: %s:%d: ", file, line);
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

static rdg_sm2_key_t *load_key(const char *path) {
    rdg_sm2_key_t *key = NULL;
    CHECK_OK(rdg_sm2_key_load(path, &key));
    return key;
}

/* --- an archive ------------------------------------------------------------------------------------------- */

/* In the last of the block's receipts. */
static void put_changed(const body_item_t *item, rdg_buf_t *out) {
    rdg_buf_t receipts;
    rdg_buf_init(&receipts, 64u << 20);
    CHECK_OK(rdg_buf_append(&receipts, item->receipts.data, item->receipts.len));
    receipts.data[receipts.len - CHANGED_FROM_END] ^= 1;
    size_t list = rdg_rlp_list_begin(out);
    rdg_rlp_put_raw(out, item->proposal);
    rdg_rlp_put_raw(out, item->executed);
    rdg_rlp_put_raw(out, rdg_buf_view(&receipts));
    CHECK_OK(rdg_rlp_list_end(out, list));
    rdg_buf_fini(&receipts);
}

/* ctx: the height of the block whose receipt was changed; 0: none yet. */
static void change_one(void *ctx, uint32_t index, frame_t *f, rdg_buf_t *raw) {
    uint64_t *height = ctx;
    rdg_buf_t out;
    rdg_rlp_t bodies;
    (void)index;
    if (*height || f->kind != FRAME_BODIES) return;
    rdg_buf_init(&out, 64u << 20);
    rdg_rlp_init(&bodies, rdg_buf_view(raw));
    for (uint64_t h = f->first; rdg_rlp_more(&bodies); ++h) {
        body_item_t item;
        rdg_rlp_t before = bodies;
        CHECK_OK(body_item_next(&bodies, &item));
        if (*height == 0 && item.receipts.len > 2 * CHANGED_FROM_END) {
            *height = h;
            put_changed(&item, &out);
        } else {
            rdg_bytes_t whole = rdg_rlp_raw(&before);
            CHECK_OK(rdg_buf_append(&out, whole.data, whole.len));
        }
    }
    rdg_buf_fini(raw);
    *raw = out;
}

static int forge_archive(char **argv) {
    memory_file_t truth, lied;
    rdg_archive_t *a = NULL;
    rdg_hash_t manifest, content;
    uint64_t height = 0;
    memory_init(&truth), memory_init(&lied);
    CHECK_OK(rdg_file_read(argv[0], &truth.bytes));
    rdg_sm2_key_t *key = load_key(argv[2]);
    archive_forge_by(&truth, &(lie_t){.frame = change_one, .ctx = &height}, key, &lied);
    CHECK(height > 0);
    CHECK_OK(rdg_file_replace(argv[1], rdg_buf_view(&lied.bytes), 0600));
    CHECK_OK(memory_open(&lied, NULL, &a));
    rdg_archive_digest(a, &manifest);
    CHECK_OK(rdg_archive_content_digest(rdg_archive_manifest(a), &content));
    json_t *o = json_pack("{s:o, s:o, s:I}", "manifest", rdg_json_hex(manifest.b, sizeof manifest.b),
                          "content", rdg_json_hex(content.b, sizeof content.b), "height", (json_int_t)height);
    CHECK(o && json_dumpf(o, stdout, JSON_COMPACT) == 0);
    json_decref(o);
    rdg_archive_close(a);
    rdg_sm2_key_free(key);
    memory_fini(&truth), memory_fini(&lied);
    return 0;
}

/* --- a receipt -------------------------------------------------------------------------------------------- */

static void change_hash(rdg_hash_t *h, const char *value) {
    if (strcmp(value, "none") == 0)
        *h = (rdg_hash_t){{0}};
    else
        h->b[7] ^= 1;
}

static void change(rdg_archive_receipt_t *r, const char *field, const char *value) {
    const struct {
        const char *name;
        uint64_t *number;
        rdg_hash_t *hash;
    } fields[] = {{"from", &r->from, NULL},
                  {"to", &r->to, NULL},
                  {"mark_ms", &r->mark_ms, NULL},
                  {"chain_id", &r->chain_id, NULL},
                  {"anchor_height", &r->anchor_height, NULL},
                  {"genesis", NULL, &r->genesis},
                  {"manifest", NULL, &r->manifest},
                  {"content", NULL, &r->content},
                  {"anchor_tx", NULL, &r->anchor_tx}};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; ++i) {
        if (strcmp(fields[i].name, field) != 0) continue;
        if (fields[i].number)
            *fields[i].number = strtoull(value, NULL, 10);
        else
            change_hash(fields[i].hash, value);
        return;
    }
    rdg_test_fail(__FILE__, __LINE__, "no field '%s'", field);
}

static int forge_receipt(char **argv) {
    rdg_archive_receipt_t r;
    rdg_buf_t bytes;
    rdg_buf_init(&bytes, RECEIPT_MAX);
    CHECK_OK(rdg_hex_decode_buf(argv[0], strlen(argv[0]), &bytes));
    CHECK_OK(rdg_archive_receipt_decode(rdg_buf_view(&bytes), &r));
    rdg_sm2_key_t *key = load_key(argv[1]);
    for (char **at = argv + 2; *at; ++at) {
        char *value = strchr(*at, '=');
        CHECK(value != NULL);
        *value = '\0';
        change(&r, *at, value + 1);
    }
    rdg_buf_clear(&bytes);
    CHECK_OK(rdg_archive_receipt_sign(&r, key, &bytes));
    json_t *hex = rdg_json_hex(bytes.data, bytes.len);
    CHECK(hex && puts(json_string_value(hex)) >= 0);
    json_decref(hex);
    rdg_sm2_key_free(key);
    rdg_buf_fini(&bytes);
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 5 && strcmp(argv[1], "archive") == 0) return forge_archive(argv + 2);
    if (argc >= 4 && strcmp(argv[1], "receipt") == 0) return forge_receipt(argv + 2);
    fprintf(stderr, "usage: ridge-forge archive IN OUT KEY | receipt HEX KEY FIELD=VALUE...\n");
    return 2;
}
