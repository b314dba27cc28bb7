/* The paged tree against its definition: the digest of a set of (path, value), computed without pages. */
#include <stdlib.h>
#include "ridge/base/alloc.h"
#include "support.h"
#include "tree.h"
#include "tree_page.h"

enum { LEAVES = 400 };

typedef struct model_leaf {
    rdg_hash_t path;
    uint8_t value[8];
    bool present;
} model_leaf_t;

static int by_path(const void *a, const void *b) {
    return memcmp(a, b, sizeof(rdg_hash_t));
}

static bool bit(const rdg_hash_t *path, unsigned i) {
    return (path->b[i / 8] >> (7 - i % 8)) & 1;
}

/* leaves are sorted and present. */
static void model_root(const model_leaf_t *leaves, size_t count, unsigned depth, rdg_hash_t *out) {
    memset(out, 0, sizeof *out);
    if (count == 0) return;
    if (count == 1) {
        rdg_state_leaf(&leaves->path, rdg_bytes(leaves->value, sizeof leaves->value), out);
        return;
    }
    size_t left = 0;
    rdg_hash_t l, r;
    while (left < count && !bit(&leaves[left].path, depth)) ++left;
    model_root(leaves, left, depth + 1, &l);
    model_root(leaves + left, count - left, depth + 1, &r);
    rdg_state_inner(&l, &r, out);
}

static void root_of_present(const model_leaf_t *all, size_t count, rdg_hash_t *out) {
    model_leaf_t present[LEAVES];
    size_t n = 0;
    for (size_t i = 0; i < count; ++i)
        if (all[i].present) present[n++] = all[i];
    qsort(present, n, sizeof *present, by_path);
    model_root(present, n, 0, out);
}

static void apply(rdg_kv_t *kv, tree_t *t, tree_update_t *updates, size_t count) {
    rdg_kv_batch_t *batch = rdg_kv_batch_new();
    CHECK_OK(tree_apply(t, updates, count, batch));
    CHECK_OK(rdg_kv_write(kv, batch, false));
    rdg_kv_batch_free(batch);
}

/* shared: so many leading bits are the same in all paths, which makes deep pages. */
static void make_leaves(model_leaf_t *leaves, unsigned shared) {
    for (size_t i = 0; i < LEAVES; ++i) {
        rdg_random_fill(rdg_test_random(), &leaves[i].path, sizeof leaves[i].path);
        if (i % 2)
            for (unsigned k = 0; k < shared / 8; ++k) leaves[i].path.b[k] = 0x5a;
        leaves[i].present = false;
    }
}

static void check_proofs(tree_t *t, const model_leaf_t *leaves, const rdg_hash_t *root) {
    rdg_buf_t proof;
    rdg_buf_init(&proof, RDG_PROOF_BYTES_MAX);
    for (size_t i = 0; i < LEAVES; i += 7) {
        bool present = false;
        rdg_bytes_t value;
        rdg_buf_clear(&proof);
        CHECK_OK(tree_prove(t, &leaves[i].path, &proof));
        CHECK_OK(rdg_proof_verify(rdg_buf_view(&proof), root, &leaves[i].path, &present, &value));
        CHECK_EQ(present, leaves[i].present);
        if (present) CHECK(rdg_bytes_equal(value, rdg_bytes(leaves[i].value, sizeof leaves[i].value)));
        /* No changed byte proves anything else about this path. */
        for (size_t k = 0; k < proof.len; k += 5) {
            bool other = false;
            proof.data[k] ^= 0x11;
            if (rdg_proof_verify(rdg_buf_view(&proof), root, &leaves[i].path, &other, &value) == RDG_OK)
                CHECK_EQ(other, present);
            proof.data[k] ^= 0x11;
        }
    }
    rdg_buf_fini(&proof);
}

static void run_against_model(unsigned shared) {
    static model_leaf_t leaves[LEAVES];
    static rdg_hash_t digests[LEAVES];
    tree_update_t updates[LEAVES];
    const rdg_random_t *random = rdg_test_random();
    rdg_kv_t *kv = NULL;
    tree_t *t = NULL;
    rdg_hash_t root, want;
    CHECK_OK(rdg_kv_open_memory(&kv));
    CHECK_OK(tree_open(kv, 0, &t));
    make_leaves(leaves, shared);
    for (int round = 0; round < 60; ++round) {
        size_t count = 0;
        uint64_t chance = 1 + rdg_random_below(random, 60), removal = rdg_random_below(random, 100);
        for (size_t i = 0; i < LEAVES; ++i) {
            if (rdg_random_below(random, 100) >= chance) continue;
            bool removed = rdg_random_below(random, 100) < removal;
            leaves[i].present = !removed;
            rdg_random_fill(random, leaves[i].value, sizeof leaves[i].value);
            rdg_bytes_t value = rdg_bytes(leaves[i].value, removed ? 0 : sizeof leaves[i].value);
            rdg_state_leaf(&leaves[i].path, value, &digests[i]); /* some are given, others computed */
            updates[count++] = (tree_update_t){leaves[i].path, value, i % 2 ? &digests[i] : NULL};
        }
        apply(kv, t, updates, count);
        tree_root(t, &root);
        root_of_present(leaves, LEAVES, &want);
        CHECK(rdg_hash_equal(&root, &want));
        if (round % 10 != 9) continue;
        check_proofs(t, leaves, &root);
        tree_close(t);
        CHECK_OK(tree_open(kv, 0, &t));
        tree_root(t, &root);
        CHECK(rdg_hash_equal(&root, &want));
    }
    /* Emptied, nothing is left in the store. */
    for (size_t i = 0; i < LEAVES; ++i)
        updates[i] = (tree_update_t){leaves[i].path, rdg_bytes(NULL, 0), NULL};
    apply(kv, t, updates, LEAVES);
    tree_root(t, &root);
    CHECK(rdg_hash_is_zero(&root));
    rdg_kv_iter_t *it = NULL;
    rdg_bytes_t k, v;
    CHECK_OK(rdg_kv_iter_open(kv, NULL, rdg_bytes_str("N"), rdg_bytes_str(""), &it));
    CHECK(!rdg_kv_iter_next(it, &k, &v));
    rdg_kv_iter_close(it);
    tree_close(t);
    rdg_kv_close(kv);
}

TEST(tree_equals_its_definition_with_random_paths) {
    run_against_model(0);
}
TEST(tree_equals_its_definition_with_paths_that_share_two_bytes) {
    run_against_model(16);
}
TEST(tree_equals_its_definition_with_paths_that_share_twenty_bytes) {
    run_against_model(160);
}

/* The form of earlier builds: buckets of three nibbles, whose pages hold the single leaves of what are buckets now. */
static void lower_buckets(rdg_kv_t *kv) {
    static tree_page_t pages[4096];
    rdg_kv_iter_t *it = NULL;
    rdg_bytes_t key, value;
    rdg_kv_batch_t *batch = rdg_kv_batch_new();
    memset(pages, 0, sizeof pages);
    CHECK_OK(rdg_kv_iter_open(kv, NULL, rdg_bytes_str("N\x04"), rdg_bytes_str(""), &it));
    while (rdg_kv_iter_next(it, &key, &value)) {
        tree_page_t page;
        tree_node_t whole;
        CHECK_OK(page_decode(value, &page));
        page_hash_leaves(&page);
        page_node(&page, 1, &whole);
        whole.value.data = rdg_memdup(whole.value.data, whole.value.len);
        pages[key.data[2] << 4 | key.data[3] >> 4].slots[key.data[3] & 15] = whole;
        if (whole.kind == NODE_LEAF) rdg_kv_batch_delete(batch, key);
    }
    rdg_kv_iter_close(it);
    for (unsigned i = 0; i < 4096; ++i) {
        uint8_t encoded[PAGE_BYTES_MAX], at[4] = {'N', 3, (uint8_t)(i >> 4), (uint8_t)(i << 4)};
        bool any = false;
        for (unsigned k = 0; k < PAGE_SLOTS; ++k) any |= pages[i].slots[k].kind != NODE_EMPTY;
        if (any)
            rdg_kv_batch_put(batch, rdg_bytes(at, 4), rdg_bytes(encoded, page_encode(&pages[i], encoded)));
        for (unsigned k = 0; k < PAGE_SLOTS; ++k) rdg_free((void *)(uintptr_t)pages[i].slots[k].value.data);
    }
    CHECK_OK(rdg_kv_write(kv, batch, false));
    rdg_kv_batch_free(batch);
}

static size_t count_keys(rdg_kv_t *kv, const char *prefix) {
    rdg_kv_iter_t *it = NULL;
    rdg_bytes_t key, value;
    size_t count = 0;
    CHECK_OK(rdg_kv_iter_open(kv, NULL, rdg_bytes_str(prefix), rdg_bytes_str(""), &it));
    while (rdg_kv_iter_next(it, &key, &value)) ++count;
    rdg_kv_iter_close(it);
    return count;
}

TEST(tree_of_an_earlier_build_is_taken_over) {
    enum { MANY = 3000 };
    static model_leaf_t leaves[MANY];
    static tree_update_t updates[MANY];
    const rdg_random_t *random = rdg_test_random();
    rdg_kv_t *kv = NULL;
    tree_t *t = NULL;
    rdg_hash_t root, again;
    CHECK_OK(rdg_kv_open_memory(&kv));
    CHECK_OK(tree_open(kv, 0, &t));
    for (size_t i = 0; i < MANY; ++i) {
        rdg_random_fill(random, leaves[i].path.b, sizeof leaves[i].path.b);
        rdg_random_fill(random, leaves[i].value, sizeof leaves[i].value);
        if (i % 3 == 0) leaves[i].path.b[0] = 7; /* buckets with many, with one, and with none */
        updates[i] =
            (tree_update_t){leaves[i].path, rdg_bytes(leaves[i].value, sizeof leaves[i].value), NULL};
    }
    apply(kv, t, updates, MANY);
    tree_root(t, &root);
    tree_close(t);
    size_t pages = count_keys(kv, "N");
    lower_buckets(kv);
    CHECK(count_keys(kv, "N\x03") > 0 && count_keys(kv, "N\x04") < pages);
    CHECK_OK(tree_open(kv, 0, &t));
    tree_root(t, &again);
    CHECK(rdg_hash_equal(&root, &again));
    CHECK_EQ(count_keys(kv, "N\x03"), 0);
    CHECK_EQ(count_keys(kv, "N"), pages);
    for (size_t i = 0; i < MANY; ++i) updates[i].value = rdg_bytes(NULL, 0);
    apply(kv, t, updates, MANY);
    CHECK_EQ(count_keys(kv, "N"), 0);
    tree_close(t);
    rdg_kv_close(kv);
}

TEST(tree_names_a_damaged_page) {
    rdg_kv_t *kv = NULL;
    tree_t *t = NULL;
    uint8_t value = 1;
    tree_update_t update = {.path = {{1}}, .value = rdg_bytes(&value, 1)};
    CHECK_OK(rdg_kv_open_memory(&kv));
    CHECK_OK(tree_open(kv, 0, &t));
    apply(kv, t, &update, 1);
    tree_close(t);
    rdg_kv_batch_t *batch = rdg_kv_batch_new();
    rdg_kv_batch_put(batch, rdg_bytes("N\x04\x01\x00", 4), rdg_bytes_str("junk"));
    CHECK_OK(rdg_kv_write(kv, batch, false));
    rdg_kv_batch_free(batch);
    CHECK_ERR(tree_open(kv, 0, &t), RDG_E_CORRUPT);
    rdg_kv_close(kv);
}

TEST(proof_decode_refuses_truncations_and_junk) {
    rdg_hash_t root = {{1}}, path = {{2}};
    bool present;
    rdg_bytes_t value;
    static const uint8_t junk[] = {0xc2, 0xc0, 0xc0}, longer[] = {0xc2, 0xc0, 0xc0, 0};
    CHECK_ERR(rdg_proof_verify(rdg_bytes(junk, 3), &root, &path, &present, &value), RDG_E_INVALID);
    rdg_hash_t zero = {{0}};
    CHECK_OK(rdg_proof_verify(rdg_bytes(junk, 3), &zero, &path, &present, &value));
    CHECK(!present);
    for (size_t len = 0; len < 3; ++len)
        CHECK_ERR(rdg_proof_verify(rdg_bytes(junk, len), &zero, &path, &present, &value), RDG_E_MALFORMED);
    CHECK_ERR(rdg_proof_verify(rdg_bytes(longer, 4), &zero, &path, &present, &value), RDG_E_MALFORMED);
}
