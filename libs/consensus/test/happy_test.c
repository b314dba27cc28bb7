/* Four replicas with a perfect network and fake signatures: blocks are decided in order on all of them. */
#include "ridge/consensus/consensus.h"
#include "ridge/test.h"
#include <stdio.h>

#define N 4
#define QUEUE 4096

typedef struct node {
    rdg_consensus_t *core;
    rdg_consensus_output_t *out;
    uint64_t committed, checkpointed;
    rdg_hash_t hashes[64];
} node_t;

typedef struct packet {
    uint32_t from, to;
    uint8_t *data;
    size_t len;
} packet_t;

static node_t nodes[N];
static packet_t queue[QUEUE];
static size_t head, tail;

static rdg_err_t sign(void *ctx, const rdg_hash_t *hash, rdg_sm2_signature_t *out) {
    memset(out, 0, sizeof *out);
    memcpy(out->b, hash->b, 32);
    out->b[32] = (uint8_t)(uintptr_t)ctx;
    return RDG_OK;
}

static rdg_err_t verify(void *ctx, const rdg_sm2_public_t *key, const rdg_hash_t *hash,
                        const rdg_sm2_signature_t *sig) {
    (void)ctx;
    return memcmp(sig->b, hash->b, 32) == 0 && sig->b[32] == key->b[0] ? RDG_OK : RDG_E_BAD_SIGNATURE;
}

static rdg_err_t digest(void *ctx, rdg_bytes_t proposal, rdg_hash_t *out) {
    (void)ctx;
    rdg_sm3(proposal.data, proposal.len, out);
    return RDG_OK;
}

static void step(uint32_t i, rdg_consensus_event_t e);

static void act(uint32_t i, const rdg_consensus_action_t *a) {
    if (a->kind == RDG_ACTION_SEND) {
        for (uint32_t to = 0; to < N; ++to) {
            if (to == i || (a->to != RDG_CONSENSUS_ALL && a->to != to)) continue;
            CHECK(tail < QUEUE);
            queue[tail++] = (packet_t){i, to, rdg_memdup(a->bytes.data, a->bytes.len), a->bytes.len};
        }
    }
    if (a->kind == RDG_ACTION_COMMIT) {
        rdg_certificate_t c;
        CHECK_EQ(a->height, nodes[i].committed + 1);
        CHECK_OK(rdg_certificate_decode(a->certificate, &c));
        CHECK_EQ(c.count, 3);
        nodes[i].hashes[a->height] = a->digest;
        nodes[i].committed = a->height;
    }
    if (a->kind == RDG_ACTION_CHECKPOINT) nodes[i].checkpointed = a->height;
    CHECK(a->kind != RDG_ACTION_DIVERGED && a->kind != RDG_ACTION_EVIDENCE);
}

static void step(uint32_t i, rdg_consensus_event_t e) {
    rdg_consensus_output_t *out = rdg_consensus_output_new();
    CHECK_OK(rdg_consensus_step(nodes[i].core, 1000, &e, out));
    for (size_t k = 0; k < rdg_consensus_output_count(out); ++k) act(i, rdg_consensus_output_at(out, k));
    for (size_t k = 0; k < rdg_consensus_output_count(out); ++k) {
        const rdg_consensus_action_t *a = rdg_consensus_output_at(out, k);
        char text[32];
        if (a->kind == RDG_ACTION_WANT_PROPOSAL && a->height <= 20) {
            snprintf(text, sizeof text, "block %d", (int)a->height);
            step(i, (rdg_consensus_event_t){.kind = RDG_EVENT_PAYLOAD,
                                            .height = a->height,
                                            .view = a->view,
                                            .bytes = rdg_bytes_str(text)});
        }
        if (a->kind == RDG_ACTION_VALIDATE)
            step(i, (rdg_consensus_event_t){.kind = RDG_EVENT_VALIDATED,
                                            .height = a->height,
                                            .view = a->view,
                                            .digest = a->digest,
                                            .ok = true});
        if (a->kind == RDG_ACTION_COMMIT)
            step(i, (rdg_consensus_event_t){
                        .kind = RDG_EVENT_EXECUTED, .height = a->height, .digest = a->digest});
    }
    rdg_consensus_output_free(out);
}

TEST(four_replicas_decide_the_same_blocks_in_order) {
    rdg_consensus_config_t config = {.retransmit_ms = 500, .checkpoint_interval = 1};
    config.validators.chain_id = 7, config.validators.count = N;
    for (uint32_t i = 0; i < N; ++i) config.validators.keys[i].b[0] = (uint8_t)(i + 1);
    for (uint32_t i = 0; i < N; ++i) {
        config.self = i;
        config.host = (rdg_consensus_host_t){sign, verify, digest, (void *)(uintptr_t)(i + 1)};
        CHECK_OK(rdg_pbft_new(&config, &nodes[i].core));
    }
    for (uint32_t i = 0; i < N; ++i) step(i, (rdg_consensus_event_t){.kind = RDG_EVENT_START});
    while (head < tail) {
        packet_t p = queue[head++];
        CHECK_OK(rdg_consensus_check(nodes[p.to].core, rdg_bytes(p.data, p.len)));
        step(p.to, (rdg_consensus_event_t){
                       .kind = RDG_EVENT_MESSAGE, .from = p.from, .bytes = rdg_bytes(p.data, p.len)});
        rdg_free(p.data);
    }
    for (uint32_t i = 0; i < N; ++i) {
        CHECK_EQ(nodes[i].committed, 20);
        CHECK_EQ(nodes[i].checkpointed, 20);
        CHECK_MEM(nodes[i].hashes, nodes[0].hashes, sizeof nodes[0].hashes);
        rdg_consensus_free(nodes[i].core);
    }
}
