/* A peer's messages against a replica whose signature check says yes to all: whatever decodes has one
 * encoding, and no sequence of messages, ticks and host's answers may break the core's invariants (which
 * abort). Input: operations [op, …]: op 0 is [0, length (2), message]; 1 answers the last VALIDATE, 2 is a
 * tick, 3 says that all that is decided is executed. */
#include <stdlib.h>
#include "message.h"

typedef struct fuzz {
    rdg_consensus_t *core;
    rdg_consensus_output_t *out;
    rdg_consensus_event_t validated, executed;
    uint64_t now_ms, committed;
} fuzz_t;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static rdg_err_t sign(void *ctx, const rdg_hash_t *hash, rdg_sm2_signature_t *out) {
    (void)ctx;
    for (size_t i = 0; i < sizeof out->b; ++i) out->b[i] = hash->b[i % RDG_HASH_BYTES];
    return RDG_OK;
}
static void verify(void *ctx, const rdg_sm2_check_t *checks, size_t count, rdg_err_t *results) {
    (void)ctx, (void)checks;
    for (size_t i = 0; i < count; ++i) results[i] = RDG_OK;
}
/* A proposal's digest is its first byte, so that a short input can carry a proposal and votes for it. */
static rdg_err_t digest(void *ctx, rdg_bytes_t proposal, rdg_hash_t *out) {
    (void)ctx;
    *out = (rdg_hash_t){{proposal.len ? proposal.data[0] : 0}};
    return RDG_OK;
}

static void step(fuzz_t *f, const rdg_consensus_event_t *e) {
    rdg_consensus_output_clear(f->out);
    (void)rdg_consensus_step(f->core, f->now_ms += 10, e, f->out);
    for (size_t i = 0; i < rdg_consensus_output_count(f->out); ++i) {
        const rdg_consensus_action_t *a = rdg_consensus_output_at(f->out, i);
        if (a->kind == RDG_ACTION_VALIDATE)
            f->validated = (rdg_consensus_event_t){.kind = RDG_EVENT_VALIDATED,
                                                   .height = a->height,
                                                   .view = a->view,
                                                   .digest = a->digest,
                                                   .ok = true};
        if (a->kind != RDG_ACTION_COMMIT) continue;
        if (a->height != f->committed + 1) abort();
        f->committed = a->height;
        f->executed =
            (rdg_consensus_event_t){.kind = RDG_EVENT_EXECUTED, .height = a->height, .digest = a->digest};
    }
}

static void one_message(fuzz_t *f, rdg_bytes_t bytes) {
    message_t m;
    rdg_buf_t again;
    if (message_decode(bytes, &m) == RDG_OK) {
        rdg_buf_init(&again, bytes.len + 16);
        if (message_encode(&m, &again) != RDG_OK || !rdg_bytes_equal(rdg_buf_view(&again), bytes)) abort();
        rdg_buf_fini(&again);
    }
    if (rdg_consensus_check(f->core, bytes) == RDG_OK)
        step(f, &(rdg_consensus_event_t){.kind = RDG_EVENT_MESSAGE, .from = m.index, .bytes = bytes});
}

static void run(fuzz_t *f, rdg_reader_t *r) {
    while (rdg_reader_left(r) > 0) {
        switch (rdg_read_u8(r) % 4) {
        case 0: {
            rdg_bytes_t bytes = rdg_read_bytes(r, rdg_read_u16(r));
            if (!rdg_reader_ok(r)) return;
            one_message(f, bytes);
            break;
        }
        case 1:
            if (f->validated.kind == RDG_EVENT_VALIDATED) step(f, &f->validated);
            break;
        case 2: step(f, &(rdg_consensus_event_t){.kind = RDG_EVENT_TICK}); break;
        default:
            if (f->executed.kind == RDG_EVENT_EXECUTED) step(f, &f->executed);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static rdg_consensus_config_t config; /* large, and the same each time */
    fuzz_t f = {0};
    rdg_reader_t r;
    config.self = 2, config.retransmit_ms = 50, config.view_timeout_ms = 100, config.checkpoint_interval = 1;
    config.host = (rdg_consensus_host_t){sign, verify, digest, NULL};
    config.validators.count = 4;
    for (uint8_t i = 0; i < 4; ++i) config.validators.keys[i].b[0] = i;
    f.out = rdg_consensus_output_new();
    if (!f.out || rdg_pbft_new(&config, &f.core) != RDG_OK) abort();
    step(&f, &(rdg_consensus_event_t){.kind = RDG_EVENT_START});
    rdg_reader_init(&r, rdg_bytes(data, size));
    run(&f, &r);
    rdg_consensus_free(f.core);
    rdg_consensus_output_free(f.out);
    return 0;
}
