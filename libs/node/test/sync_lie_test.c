/* A peer whose headers are right and whose bodies are not: it is named when they arrive, before anything is applied. One that
 * is honest and slow, which costs nothing but time. And one that gives a manifest of its own, and then nothing more. */
#include "chain_build.h"
#include "internal.h"
#include "ridge/base/clock.h"
#include "ridge/base/file.h"
#include "ridge/ledger/headers.h"
#include "ridge/ledger/snapshot.h"
#include "ridge/net/tlcp_credentials.h"
#include "ridge/test.h"
#include <stdio.h>
#include <string.h>

#define WAIT_MS 50000
#define SLICE_MS 20

/* SLOW_MS a block: the answer to the first question takes longer than a node waits for it. */
enum {
    GIVER = 0,
    LIAR = 1,
    NEWCOMER = 2,
    COUNT = 3,
    LIE_AT = 70,
    LONG = 160,
    SHORT = 97,
    SLOW_MS = 85,
    LATE_MAX = 64
};

typedef struct late {
    size_t to;
    uint64_t from, due_ms;
    uint32_t count;
} late_t;

typedef struct liar {
    cluster_t c;
    uint64_t height;
    rdg_ledger_t *l;
    rdg_loop_t *loop;
    rdg_p2p_t *p2p;
    rdg_p2p_peer_t peers[COUNT];
    rdg_timer_t *slice;
    bool
        of_another_height; /* the lie: a whole block, of another height; else other transactions under the header */
    size_t lies;
    bool slow;     /* and no liar */
    bool promises; /* a snapshot, of which it gives the manifest alone; and no bodies */
    rdg_buf_t manifest;
    size_t wanted; /* chunks that it was asked for */
    late_t late[LATE_MAX];
    size_t late_count;
    uint64_t busy_until_ms;
} liar_t;

static void put_part(rdg_buf_t *out, rdg_bytes_t part) {
    rdg_buf_u32(out, (uint32_t)part.len);
    rdg_buf_append(out, part.data, part.len);
}

static void put_false(liar_t *l, rdg_block_t *block, rdg_buf_t *out) {
    rdg_buf_t bytes;
    rdg_block_t *other = NULL;
    rdg_buf_init(&bytes, RDG_BLOCK_BYTES_MAX);
    CHECK_OK(rdg_ledger_block(l->l, 1, &other)); /* has transactions */
    rdg_header_t header = block->header;
    CHECK(other->header.tx_count > 0);
    header.tx_count = other->header.tx_count;
    if (l->of_another_height) header = other->header;
    CHECK_OK(rdg_proposal_encode(&header, other->txs, &bytes));
    put_part(out, rdg_buf_view(&bytes));
    rdg_block_unref(other);
    rdg_buf_fini(&bytes);
    ++l->lies;
}

static void give_blocks(liar_t *l, size_t to, uint64_t from, uint32_t count) {
    rdg_buf_t out, seal;
    if (!l->slow && (from > LIE_AT || from + count <= LIE_AT))
        return; /* of the others it says nothing: so nothing can be applied */
    rdg_buf_init(&out, NODE_FRAME_MAX), rdg_buf_init(&seal, 1u << 20);
    for (uint64_t h = from; h < from + count && h <= l->height; ++h) {
        rdg_block_t *block = NULL;
        CHECK_OK(rdg_ledger_block(l->l, h, &block));
        CHECK_OK(rdg_ledger_seal(l->l, h, &seal, NULL));
        if (h == LIE_AT && !l->slow)
            put_false(l, block, &out);
        else
            put_part(&out, block->proposal);
        put_part(&out, rdg_buf_view(&seal));
        put_part(&out, rdg_bytes(NULL, 0));
        rdg_block_unref(block);
    }
    (void)rdg_p2p_send(l->p2p, to, MSG_BLOCKS, rdg_buf_view(&out));
    rdg_buf_fini(&out), rdg_buf_fini(&seal);
}

/* One answer after the other, as over a narrow link. */
static void give_slowly(liar_t *l, size_t to, uint64_t from, uint32_t count) {
    uint64_t now = rdg_mono_ms(rdg_clock_system());
    CHECK(l->late_count < LATE_MAX);
    if (l->busy_until_ms < now) l->busy_until_ms = now;
    l->busy_until_ms += (uint64_t)count * SLOW_MS;
    l->late[l->late_count++] = (late_t){.to = to, .from = from, .due_ms = l->busy_until_ms, .count = count};
}

static void give_due(liar_t *l) {
    uint64_t now = rdg_mono_ms(rdg_clock_system());
    while (l->late_count > 0 && l->late[0].due_ms <= now) {
        give_blocks(l, l->late[0].to, l->late[0].from, l->late[0].count);
        memmove(l->late, l->late + 1, --l->late_count * sizeof *l->late);
    }
}

static void on_message(void *ctx, size_t peer, uint8_t type, rdg_bytes_t bytes) {
    liar_t *l = ctx;
    rdg_reader_t r;
    rdg_reader_init(&r, bytes);
    uint64_t from = rdg_read_u64(&r), last;
    if (type == MSG_HEADERS_GET) {
        rdg_buf_t out;
        rdg_buf_init(&out, NODE_FRAME_MAX);
        CHECK_OK(rdg_headers_export(l->l, from, UINT64_MAX, 0, &out, &last));
        (void)rdg_p2p_send(l->p2p, peer, MSG_HEADERS, rdg_buf_view(&out));
        rdg_buf_fini(&out);
    }
    if (type == MSG_SNAPSHOT_GET && l->promises) {
        rdg_buf_t out;
        rdg_buf_init(&out, NODE_FRAME_MAX);
        rdg_buf_u64(&out, l->height);
        rdg_buf_u8(&out, 1); /* ready */
        rdg_buf_append(&out, l->manifest.data, l->manifest.len);
        (void)rdg_p2p_send(l->p2p, peer, MSG_SNAPSHOT, rdg_buf_view(&out));
        rdg_buf_fini(&out);
    }
    l->wanted += type == MSG_CHUNK_GET;
    if (type == MSG_BLOCKS_GET && !l->promises)
        (l->slow ? give_slowly : give_blocks)(l, peer, from, rdg_read_u32(&r));
}

static void on_link(void *ctx, size_t peer, bool up) {
    liar_t *l = ctx;
    uint8_t status[32] = {0};
    rdg_store_be64(status, l->height);
    rdg_store_be64(status + 16, l->promises ? l->height + 1 : 1); /* all bodies, or none */
    rdg_store_be64(status + 24, l->height);
    if (up) (void)rdg_p2p_send(l->p2p, peer, MSG_STATUS, rdg_bytes(status, l->promises ? 32 : 24));
}

static void on_slice(void *arg) {
    rdg_loop_stop(((liar_t *)arg)->loop);
}

static void join_mesh(liar_t *l) {
    rdg_tlcp_identity_t *identity = NULL;
    for (size_t i = 0; i < COUNT; ++i) {
        snprintf(l->peers[i].name, sizeof l->peers[i].name, "node-%zu", i);
        snprintf(l->peers[i].host, sizeof l->peers[i].host, "127.0.0.1");
        l->peers[i].port = l->c.p2p_ports[i];
        l->peers[i].key = l->c.keys[i];
    }
    CHECK_OK(rdg_loop_new(&l->loop));
    CHECK_OK(rdg_timer_new(l->loop, on_slice, l, &l->slice));
    CHECK_OK(rdg_tlcp_identity_load(l->c.dirs[LIAR], "node", &identity));
    rdg_p2p_options_t o = {.loop = l->loop,
                           .random = rdg_random_system(),
                           .chain_id = l->c.genesis.validators.chain_id,
                           .genesis = l->c.genesis.hash,
                           .identity = identity,
                           .host = "127.0.0.1",
                           .port = l->c.p2p_ports[LIAR],
                           .peers = l->peers,
                           .peer_count = COUNT,
                           .max_frame = NODE_FRAME_MAX,
                           .message = on_message,
                           .link = on_link,
                           .ctx = l};
    CHECK_OK(rdg_p2p_start(&o, &l->p2p));
    rdg_tlcp_identity_unref(identity);
}

static void open_ledger(liar_t *l) {
    char path[700];
    rdg_genesis_t genesis;
    snprintf(path, sizeof path, "%s/genesis.json", l->c.dirs[LIAR]);
    CHECK_OK(rdg_genesis_load(path, &genesis));
    l->c.genesis.hash = genesis.hash;
    snprintf(path, sizeof path, "%s/data", l->c.dirs[LIAR]);
    CHECK_OK(rdg_ledger_open(path, &genesis, NULL, &l->l));
}

static void init(liar_t *l, unsigned empty_blocks) {
    chain_build_t b;
    memset(l, 0, sizeof *l);
    cluster_init_observers(&l->c, COUNT, 1);
    l->c.snapshot_gap = 100000;
    chain_build_open(&b, &l->c, GIVER);
    chain_build_blocks(&b, 1, 3);
    chain_build_blocks(&b, empty_blocks, 0);
    l->height = chain_build_close(&b);
    chain_build_copy(&l->c, GIVER, LIAR);
    open_ledger(l);
    join_mesh(l);
}

static void fini(liar_t *l) {
    rdg_p2p_stop(l->p2p);
    rdg_timer_free(l->slice);
    rdg_loop_free(l->loop);
    rdg_ledger_close(l->l);
    cluster_fini(&l->c);
}

static bool log_says(liar_t *l, const char *text) {
    char path[600];
    rdg_buf_t log;
    rdg_buf_init(&log, 64u << 20);
    snprintf(path, sizeof path, "%s/node.log", l->c.dirs[NEWCOMER]);
    bool says = rdg_file_read(path, &log) == RDG_OK && strstr(rdg_buf_cstr(&log), text) != NULL;
    rdg_buf_fini(&log);
    return says;
}

static void check_named(bool of_another_height, const char *log) {
    static liar_t l;
    init(&l, LONG);
    l.of_another_height = of_another_height;
    cluster_write_peers(&l.c, NEWCOMER, 1u << LIAR | 1u << NEWCOMER);
    cluster_start(&l.c, NEWCOMER);
    uint64_t end = rdg_mono_ms(rdg_clock_system()) + WAIT_MS;
    while (!log_says(&l, log) && rdg_mono_ms(rdg_clock_system()) < end) {
        rdg_timer_start(l.slice, SLICE_MS, 0);
        CHECK_OK(rdg_loop_run(l.loop));
    }
    cluster_log_has(&l.c, NEWCOMER, log);
    CHECK(l.lies > 0);
    CHECK_EQ(cluster_height(&l.c, NEWCOMER), 0); /* what is below the lie has not come yet */
    cluster_start(&l.c, GIVER);
    cluster_write_peers(&l.c, NEWCOMER, 1u << GIVER | 1u << NEWCOMER);
    cluster_wait_height(&l.c, NEWCOMER, l.height);
    fini(&l);
}

TEST(a_peer_that_puts_other_transactions_under_a_header_is_named_when_they_arrive) {
    check_named(false, "\"peer\":\"node-1\",\"what\":\"blocks\",\"code\":\"MALFORMED\"");
}

TEST(a_peer_that_gives_a_block_of_another_height_is_named_when_it_arrives) {
    check_named(true, "\"peer\":\"node-1\",\"what\":\"blocks\",\"code\":\"PROTOCOL\"");
}

TEST(a_peer_that_is_slow_is_waited_for_and_asked_for_less) {
    static liar_t l;
    init(&l, SHORT);
    l.slow = true;
    cluster_write_peers(&l.c, NEWCOMER, 1u << LIAR | 1u << NEWCOMER);
    cluster_start(&l.c, NEWCOMER);
    cluster_wait_rpc(&l.c, NEWCOMER);
    uint64_t end = rdg_mono_ms(rdg_clock_system()) + WAIT_MS;
    while (cluster_height(&l.c, NEWCOMER) < l.height && rdg_mono_ms(rdg_clock_system()) < end) {
        rdg_timer_start(l.slice, SLICE_MS, 0);
        CHECK_OK(rdg_loop_run(l.loop));
        give_due(&l);
    }
    CHECK_EQ(cluster_height(&l.c, NEWCOMER), l.height);
    cluster_log_has(&l.c, NEWCOMER, "\"peer\":\"node-1\",\"what\":\"blocks\",\"code\":\"TIMEOUT\"");
    CHECK(!log_says(&l, "not what it was asked for"));
    fini(&l);
}

static rdg_err_t take_frame(void *ctx, rdg_bytes_t bytes) {
    rdg_buf_t *out = ctx;
    if (bytes.len == 4) return RDG_OK; /* the length of what follows */
    if (out->len == 0) CHECK_OK(rdg_buf_append(out, bytes.data, bytes.len));
    return RDG_OK;
}

/* The state is the chain's; the last chunk is said to be a byte longer than anybody's. */
static void make_manifest(liar_t *l) {
    rdg_snapshot_pin_t *pin = NULL;
    rdg_snapshot_export_t *e = NULL;
    bool done = false;
    const rdg_snapshot_writer_t w = {.write = take_frame, .ctx = &l->manifest};
    rdg_buf_init(&l->manifest, RDG_SNAPSHOT_MANIFEST_MAX);
    CHECK_OK(rdg_snapshot_pin(l->l, &pin));
    CHECK_OK(rdg_snapshot_export_new(l->l, pin, NULL, &e));
    while (l->manifest.len == 0 && !done) CHECK_OK(rdg_snapshot_export_step(e, &w, &done));
    rdg_snapshot_export_free(e);
    rdg_snapshot_unpin(pin);
    CHECK(l->manifest.len > 4);
    uint8_t *bytes = l->manifest.data + l->manifest.len - 4;
    rdg_store_be32(bytes, rdg_load_be32(bytes) + 1);
}

static void play(liar_t *l) {
    rdg_timer_start(l->slice, SLICE_MS, 0);
    CHECK_OK(rdg_loop_run(l->loop));
}

TEST(a_peer_that_gives_a_manifest_and_no_chunks_keeps_nobody_else_away) {
    static liar_t l;
    init(&l, LONG);
    l.promises = true;
    l.c.snapshot_gap = 10;
    make_manifest(&l);
    cluster_write_peers(&l.c, NEWCOMER, 1u << LIAR | 1u << NEWCOMER);
    cluster_start(&l.c, NEWCOMER);
    uint64_t end = rdg_mono_ms(rdg_clock_system()) + WAIT_MS;
    while (l.wanted == 0 && rdg_mono_ms(rdg_clock_system()) < end) play(&l);
    CHECK(l.wanted > 0); /* its manifest is taken */
    cluster_start(&l.c, GIVER);
    cluster_write_peers(&l.c, NEWCOMER, 1u << GIVER | 1u << LIAR | 1u << NEWCOMER);
    cluster_wait_rpc(&l.c, NEWCOMER);
    end = rdg_mono_ms(rdg_clock_system()) + WAIT_MS;
    while (cluster_height(&l.c, NEWCOMER) < l.height && rdg_mono_ms(rdg_clock_system()) < end) play(&l);
    CHECK_EQ(cluster_height(&l.c, NEWCOMER), l.height);
    cluster_log_has(&l.c, NEWCOMER, "sync.manifests_differ");
    rdg_buf_fini(&l.manifest);
    fini(&l);
}
