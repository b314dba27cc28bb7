#include "fixture.h"
#include "certificate.h"
#include <stdio.h>
#include <stdlib.h>

#define HEADER_BYTES 80

static rdg_sm2_key_t *real_keys[SIM_NODES_MAX];

/* --- small things ----------------------------------------------------------------------------------------
 */

uint64_t sim_below(sim_t *s, uint64_t limit) {
    return rdg_random_below(&s->random.random, limit);
}

static sim_blob_t blob(rdg_bytes_t v) {
    sim_blob_t b = {v.len ? rdg_memdup(v.data, v.len) : NULL, v.len};
    return b;
}
static void blob_free(sim_blob_t *b) {
    rdg_free(b->data);
    *b = (sim_blob_t){NULL, 0};
}
static rdg_bytes_t view(const sim_blob_t *b) {
    return rdg_bytes(b->data, b->len);
}

void sim_violate(sim_t *s, uint32_t node, const char *what) {
    if (!s->expect_violation)
        rdg_test_fail(__FILE__, __LINE__, "node %u at %llu ms: %s", node, (unsigned long long)s->now_ms,
                      what);
    if (!s->violation) s->violation = what;
}

static rdg_err_t fake_sign(void *ctx, const rdg_hash_t *hash, rdg_sm2_signature_t *out) {
    memset(out, 0, sizeof *out);
    memcpy(out->b, hash->b, 32);
    out->b[32] = (uint8_t)(uintptr_t)ctx;
    return RDG_OK;
}
static void fake_verify(void *ctx, const rdg_sm2_check_t *checks, size_t count, rdg_err_t *results) {
    (void)ctx;
    for (size_t i = 0; i < count; ++i) {
        const uint8_t *sig = checks[i].sig->b;
        bool good = memcmp(sig, checks[i].msg.data, 32) == 0 && sig[32] == checks[i].pub->b[0];
        results[i] = good ? RDG_OK : RDG_E_BAD_SIGNATURE;
    }
}
static rdg_err_t real_sign(void *ctx, const rdg_hash_t *hash, rdg_sm2_signature_t *out) {
    return rdg_sm2_sign_standard(real_keys[(uintptr_t)ctx - 1], hash->b, sizeof hash->b, out);
}
static void real_verify(void *ctx, const rdg_sm2_check_t *checks, size_t count, rdg_err_t *results) {
    (void)ctx;
    rdg_sm2_verify_batch(checks, count, results);
}

/* --- blocks ----------------------------------------------------------------------------------------------
 */

rdg_err_t sim_digest(void *ctx, rdg_bytes_t proposal, rdg_hash_t *out) {
    (void)ctx;
    if (proposal.len < HEADER_BYTES) return RDG_E_MALFORMED;
    rdg_sm3(proposal.data, HEADER_BYTES, out);
    return RDG_OK;
}

void sim_build(sim_t *s, const rdg_hash_t *parent, uint64_t height, uint64_t nonce, rdg_buf_t *out) {
    char body[64];
    rdg_hash_t root;
    int len = snprintf(body, sizeof body, "readings of %llu, %llu", (unsigned long long)height,
                       (unsigned long long)nonce);
    (void)s;
    rdg_sm3(body, (size_t)len, &root);
    rdg_buf_u64(out, height);
    rdg_buf_append(out, parent->b, 32);
    rdg_buf_u64(out, nonce);
    rdg_buf_append(out, root.b, 32);
    rdg_buf_append(out, body, (size_t)len);
}

static bool is_block(rdg_bytes_t p, uint64_t height, const rdg_hash_t *parent) {
    rdg_hash_t root;
    if (p.len < HEADER_BYTES || rdg_load_be64(p.data) != height) return false;
    rdg_sm3(p.data + HEADER_BYTES, p.len - HEADER_BYTES, &root);
    return memcmp(p.data + 48, root.b, 32) == 0 && (!parent || memcmp(p.data + 8, parent->b, 32) == 0);
}

static void executed_digest(const sim_t *s, uint32_t node, uint64_t height, rdg_hash_t *out) {
    uint8_t text[41];
    memcpy(text, s->nodes[node].blocks[height].digest.b, 32);
    rdg_store_be64(text + 32, height);
    text[40] = s->wrong_result == node;
    rdg_sm3(text, sizeof text, out);
}

/* --- work queue ------------------------------------------------------------------------------------------
 */

static sim_work_t *add_work(sim_t *s, sim_work_kind_t kind, uint32_t to, uint64_t after_ms) {
    CHECK(s->work_count < SIM_PACKETS_MAX);
    sim_work_t *w = &s->work[s->work_count++];
    *w = (sim_work_t){.kind = kind,
                      .to = to,
                      .life = s->nodes[to].life,
                      .at_ms = s->now_ms + after_ms,
                      .order = s->order++};
    return w;
}

static void send_one(sim_t *s, uint32_t from, uint32_t to, rdg_bytes_t bytes) {
    for (int copy = 0; copy < 2; ++copy) {
        bool is_extra = copy == 1;
        if (is_extra ? sim_below(s, 100) >= s->duplicate_percent : sim_below(s, 100) < s->loss_percent)
            continue;
        uint64_t longest =
            is_extra && s->raft ? 10000 : s->delay_max_ms; /* also when nobody waits for it any more */
        sim_work_t *w = add_work(s, SIM_PACKET, to, 1 + sim_below(s, longest));
        w->from = from;
        w->bytes = blob(bytes);
        if (s->nodes[from].evil && s->tamper && !s->tamper(s, w)) {
            blob_free(&w->bytes);
            --s->work_count;
        }
    }
}

/* --- the checker -----------------------------------------------------------------------------------------
 */

static uint32_t epoch_count(const sim_t *s, uint64_t epoch) {
    return epoch > 0 && epoch <= s->changes ? s->counts[epoch - 1] : s->validators;
}

static bool is_stable(const sim_node_t *n, rdg_bytes_t value) {
    for (size_t i = 0; i < n->record_count; ++i)
        if (rdg_bytes_equal(view(&n->records[i].value), value)) return true;
    return false;
}

static void check_send(sim_t *s, uint32_t i, rdg_bytes_t bytes) {
    sim_node_t *n = &s->nodes[i];
    if (s->raft) return sim_check_raft_send(s, i, bytes);
    message_t m;
    if (message_decode(bytes, &m) != RDG_OK) return sim_violate(s, i, "sent a message that cannot be read");
    if (m.kind == MESSAGE_STATUS) return;
    if (m.index != i && (m.kind == RDG_PHASE_NEW_VIEW || m.kind == RDG_PHASE_PRE_PREPARE)) return;
    if (m.index != i) return sim_violate(s, i, "sent a message in another's name");
    bool handed_over = m.kind == RDG_PHASE_PRE_PREPARE && m.statement.view < n->promised;
    if (m.kind != RDG_PHASE_CHECKPOINT && m.kind != RDG_PHASE_SUSPECT && !handed_over &&
        m.statement.height > n->executed && !is_stable(n, bytes))
        sim_violate(s, i, "durable: sent what is not on record");
    for (size_t k = 0; k < n->sent_count; ++k) {
        const sim_signed_t *o = &n->sent[k];
        if (o->epoch != m.statement.epoch) continue;
        if (o->phase != m.statement.phase || o->view != m.statement.view || o->height != m.statement.height)
            continue;
        if (!rdg_hash_equal(&o->digest, &m.statement.digest)) sim_violate(s, i, "once: signed two digests");
        return;
    }
    bool is_vote = m.kind <= RDG_PHASE_COMMIT;
    if (is_vote && m.statement.view < n->promised)
        sim_violate(s, i, "promise: signed in a view that it left");
    if (m.kind == RDG_PHASE_VIEW_CHANGE && m.statement.view > n->promised) n->promised = m.statement.view;
    CHECK(n->sent_count < SIM_SIGNED_MAX);
    n->sent[n->sent_count++] = (sim_signed_t){m.statement.phase, m.statement.epoch, m.statement.view,
                                              m.statement.height, m.statement.digest};
}

static void check_certificate(sim_t *s, uint32_t i, rdg_bytes_t encoded, rdg_phase_t phase, uint64_t height,
                              const rdg_hash_t *digest) {
    rdg_certificate_t c;
    rdg_validator_set_t set = s->config.validators;
    set.epoch = s->nodes[i].epoch, set.count = epoch_count(s, set.epoch);
    bool is_about = rdg_certificate_decode(encoded, &c) == RDG_OK && c.statement.height == height &&
                    rdg_hash_equal(&c.statement.digest, digest);
    rdg_err_t err = !s->raft ? certificate_verify_with(&c, &set, phase, &s->config.host)
                             : certificate_verify_raft_with(&c, &set, phase, &s->config.host);
    if (!is_about || err != RDG_OK) sim_violate(s, i, "seal: a certificate does not verify");
}

static uint64_t last_height(const sim_t *s, uint32_t i) {
    uint64_t epoch = s->nodes[i].epoch;
    if (epoch < s->changes && s->nodes[i].executed >= s->at[epoch])
        return s->at[epoch] + RDG_CONSENSUS_WINDOW;
    return s->last_height > 0 && s->nodes[i].executed >= s->ends_at ? s->last_height : 0;
}

static void check_commit(sim_t *s, uint32_t i, const rdg_consensus_action_t *a) {
    sim_node_t *n = &s->nodes[i];
    rdg_hash_t digest;
    CHECK(a->height < SIM_HEIGHTS);
    if (last_height(s, i) > 0 && a->height > last_height(s, i))
        sim_violate(s, i, "epoch: decided above its end");
    if (a->height != n->committed + 1) sim_violate(s, i, "order: a height was left out or came twice");
    check_certificate(s, i, a->certificate, s->raft ? RDG_PHASE_RAFT_LEADER : RDG_PHASE_COMMIT, a->height,
                      &a->digest);
    if (sim_digest(NULL, a->bytes, &digest) != RDG_OK || !rdg_hash_equal(&digest, &a->digest) ||
        !is_block(a->bytes, a->height, s->raft ? &s->agreed[a->height - 1] : NULL))
        sim_violate(s, i, "order: the bytes are not the block");
    if (s->has_agreed[a->height] && !rdg_hash_equal(&s->agreed[a->height], &a->digest))
        sim_violate(s, i, "agreement: two blocks at one height");
    s->has_agreed[a->height] = true;
    s->agreed[a->height] = a->digest;
}

static void check_checkpoint(sim_t *s, uint32_t i, const rdg_consensus_action_t *a) {
    check_certificate(s, i, a->certificate, RDG_PHASE_CHECKPOINT, a->height, &a->digest);
    if (s->has_result[a->height] && !rdg_hash_equal(&s->result[a->height], &a->digest))
        sim_violate(s, i, "result: two results at one height");
    s->has_result[a->height] = true;
    s->result[a->height] = a->digest;
}

/* --- the host --------------------------------------------------------------------------------------------
 */

static void erase(sim_node_t *n, rdg_bytes_t key) {
    for (size_t i = 0; i < n->record_count; ++i) {
        if (!rdg_bytes_equal(view(&n->records[i].key), key)) continue;
        blob_free(&n->records[i].key);
        blob_free(&n->records[i].value);
        n->records[i] = n->records[--n->record_count];
        return;
    }
}

static void persist(sim_t *s, sim_node_t *n) {
    for (size_t k = 0; k < rdg_consensus_output_count(n->out); ++k) {
        const rdg_consensus_action_t *a = rdg_consensus_output_at(n->out, k);
        if (a->kind == RDG_ACTION_DELETE) erase(n, a->key);
        if (a->kind != RDG_ACTION_WRITE || s->bug_skip_persist) continue;
        erase(n, a->key);
        CHECK(n->record_count < SIM_RECORDS_MAX);
        n->records[n->record_count++] = (sim_record_t){blob(a->key), blob(a->bytes)};
    }
}

static void act_send(sim_t *s, uint32_t i, const rdg_consensus_action_t *a) {
    if (!s->nodes[i].evil) check_send(s, i, a->bytes);
    uint32_t members = epoch_count(s, s->nodes[i].epoch);
    for (uint32_t to = 0; to < members; ++to)
        if (to != i && (a->to == RDG_CONSENSUS_ALL || a->to == to)) send_one(s, i, to, a->bytes);
    if (a->to != RDG_CONSENSUS_ALL && a->to >= members && a->to < s->count) send_one(s, i, a->to, a->bytes);
}

static void act(sim_t *s, uint32_t i, const rdg_consensus_action_t *a) {
    sim_node_t *n = &s->nodes[i];
    sim_work_t *w;
    switch (a->kind) {
    case RDG_ACTION_WRITE:
    case RDG_ACTION_DELETE: break;
    case RDG_ACTION_SEND: act_send(s, i, a); break;
    case RDG_ACTION_WANT_PROPOSAL:
        w = add_work(s, SIM_PROPOSE, i, 1 + sim_below(s, 5));
        w->height = a->height, w->view = a->view, w->digest = a->digest;
        break;
    case RDG_ACTION_VALIDATE:
        w = add_work(s, SIM_VALIDATE, i, sim_below(s, 4));
        w->height = a->height, w->view = a->view, w->digest = a->digest, w->bytes = blob(a->bytes);
        break;
    case RDG_ACTION_COMMIT:
        if (!n->evil) check_commit(s, i, a);
        n->committed = a->height, n->last_commit_ms = s->now_ms;
        w = add_work(s, SIM_EXECUTE, i, (i == s->slow ? 5000 : s->execute_ms) + sim_below(s, 3));
        w->height = a->height, w->digest = a->digest, w->bytes = blob(a->bytes),
        w->seal = blob(a->certificate);
        break;
    case RDG_ACTION_CHECKPOINT:
        if (!n->evil) check_checkpoint(s, i, a);
        if (a->height > n->checkpointed) n->checkpointed = a->height;
        break;
    case RDG_ACTION_TIMER:
        w = add_work(s, SIM_TICK, i, a->at_ms > s->now_ms ? a->at_ms - s->now_ms : 0);
        n->timer = w->order;
        break;
    case RDG_ACTION_BEHIND:
        ++n->behind;
        w = add_work(s, SIM_FETCH, i, 1 + sim_below(s, 10));
        w->from = a->to, w->height = a->height;
        break;
    case RDG_ACTION_DIVERGED: n->diverged = true; break;
    case RDG_ACTION_EVIDENCE: ++n->evidence; break;
    case RDG_ACTION_VIEW: break;
    case RDG_ACTION_READ:
        if (a->ok && a->height < (uint32_t)a->request) sim_violate(s, i, "read: older than what was decided");
        n->reads += a->ok;
        n->reads_failed += !a->ok;
        break;
    }
}

static rdg_err_t step(sim_t *s, uint32_t i, const rdg_consensus_event_t *e) {
    sim_node_t *n = &s->nodes[i];
    if (!n->up) return RDG_OK; /* it died in the step before */
    rdg_consensus_output_clear(n->out);
    rdg_err_t err = rdg_consensus_step(n->core, s->now_ms, e, n->out);
    if (s->after_step) s->after_step(s, i);
    size_t count = rdg_consensus_output_count(n->out);
    bool dies = s->torn > 0 && sim_below(s, 100) < s->torn;
    if (!dies || sim_below(s, 2) == 0)
        persist(s, n);
    else
        count = 0;
    if (dies && count > 0) count = sim_below(s, count);
    for (size_t k = 0; k < count; ++k) act(s, i, rdg_consensus_output_at(n->out, k));
    if (dies) n->up = false, ++n->life; /* the core goes with the restart */
    return err;
}

/* The request's lower half is what an answer must not fall below. */
void sim_read(sim_t *s, uint32_t i) {
    uint64_t decided = 0;
    while (decided + 1 < SIM_HEIGHTS && s->has_agreed[decided + 1]) ++decided;
    rdg_consensus_event_t e = {.kind = RDG_EVENT_READ, .request = ++s->order << 32 | decided};
    if (s->nodes[i].up) CHECK_OK(step(s, i, &e));
}

rdg_err_t sim_transfer(sim_t *s, uint32_t i, uint32_t to) {
    return step(s, i, &(rdg_consensus_event_t){.kind = RDG_EVENT_TRANSFER, .from = to});
}

rdg_err_t sim_deliver(sim_t *s, uint32_t from, uint32_t to, rdg_bytes_t bytes) {
    if (!s->bug_accept_unchecked) RDG_TRY(rdg_consensus_check(s->nodes[to].core, bytes));
    return step(s, to, &(rdg_consensus_event_t){.kind = RDG_EVENT_MESSAGE, .from = from, .bytes = bytes});
}

/* The block becomes stable; heights that are there already (a commit that crossed an import) are left. */
static bool store(sim_node_t *n, uint64_t height, rdg_bytes_t payload, rdg_bytes_t seal,
                  const rdg_hash_t *digest) {
    if (height != n->executed + 1) return false;
    n->blocks[height] = (sim_block_t){blob(payload), blob(seal), *digest};
    n->executed = height;
    return true;
}

static void next_epoch(sim_t *s, uint32_t i);

static void report_executed(sim_t *s, uint32_t i, uint64_t height) {
    rdg_consensus_event_t e = {
        .kind = RDG_EVENT_EXECUTED, .height = height, .last_height = last_height(s, i)};
    executed_digest(s, i, height, &e.digest);
    CHECK_OK(step(s, i, &e));
    if (s->changes > 0 && height == e.last_height) next_epoch(s, i);
}

static void fetch(sim_t *s, const sim_work_t *w) {
    sim_node_t *n = &s->nodes[w->to], *peer = &s->nodes[w->from < s->count ? w->from : 0];
    uint64_t before = n->executed;
    if (!peer->up || s->blocked[w->from][w->to] || s->blocked[w->to][w->from]) return;
    for (uint64_t h = n->executed + 1; h <= peer->executed; ++h) {
        sim_block_t *b = &peer->blocks[h];
        if (!n->evil && s->has_agreed[h] && !rdg_hash_equal(&s->agreed[h], &b->digest))
            sim_violate(s, w->to, "agreement: imported another block");
        store(n, h, view(&b->payload), view(&b->seal), &b->digest);
    }
    if (n->executed == before) return;
    sim_block_t *last = &n->blocks[n->executed];
    if (n->committed < n->executed) n->committed = n->executed;
    uint64_t end = s->changes > 0 ? last_height(s, w->to) : 0;
    if (end > 0 && n->executed >= end) return next_epoch(s, w->to);
    CHECK_OK(step(s, w->to,
                  &(rdg_consensus_event_t){.kind = RDG_EVENT_SYNCED,
                                           .height = n->executed,
                                           .last_height = last_height(s, w->to),
                                           .digest = last->digest,
                                           .bytes = view(&last->seal)}));
    report_executed(s, w->to, n->executed);
}

static void propose(sim_t *s, const sim_work_t *w) {
    rdg_buf_t b;
    if (w->height > s->propose_to) {
        sim_work_t *later = add_work(s, SIM_PROPOSE, w->to, 50);
        later->height = w->height, later->view = w->view, later->digest = w->digest;
        return;
    }
    rdg_buf_init(&b, 4096);
    sim_build(s, &w->digest, w->height, sim_below(s, 1u << 30), &b);
    (void)step(
        s, w->to,
        &(rdg_consensus_event_t){
            .kind = RDG_EVENT_PAYLOAD, .height = w->height, .view = w->view, .bytes = rdg_buf_view(&b)});
    rdg_buf_fini(&b);
}

/* The host hears of heights from its peers, whatever epoch they are in. */
static void look_around(sim_t *s, uint32_t i) {
    sim_node_t *n = &s->nodes[i];
    bool stands = n->ticked_at == n->executed;
    n->ticked_at = n->executed;
    for (uint32_t k = 0; stands && k < s->count; ++k) {
        if (k == i || !s->nodes[k].up || s->blocked[k][i] || s->nodes[k].executed <= n->executed) continue;
        sim_work_t *w = add_work(s, SIM_FETCH, i, 1 + sim_below(s, 10));
        w->from = k, w->height = s->nodes[k].executed;
        return;
    }
}

static void do_work(sim_t *s, sim_work_t *w) {
    sim_node_t *n = &s->nodes[w->to];
    if (!n->up || (w->kind != SIM_PACKET && w->life != n->life)) return;
    switch (w->kind) {
    case SIM_PACKET:
        if (!s->blocked[w->from][w->to]) (void)sim_deliver(s, w->from, w->to, view(&w->bytes));
        break;
    case SIM_VALIDATE: {
        rdg_consensus_event_t e = {
            .kind = RDG_EVENT_VALIDATED, .height = w->height, .view = w->view, .digest = w->digest};
        e.ok = is_block(view(&w->bytes), w->height, NULL);
        CHECK_OK(step(s, w->to, &e));
        break;
    }
    case SIM_EXECUTE:
        if (w->height > n->executed + 1) { /* the one before is still at work */
            sim_work_t *later = add_work(s, SIM_EXECUTE, w->to, 1);
            later->height = w->height, later->digest = w->digest, later->bytes = w->bytes,
            later->seal = w->seal;
            w->bytes = w->seal = (sim_blob_t){NULL, 0};
        } else if (store(n, w->height, view(&w->bytes), view(&w->seal), &w->digest)) {
            report_executed(s, w->to, w->height);
        }
        break;
    case SIM_PROPOSE: propose(s, w); break;
    case SIM_FETCH: fetch(s, w); break;
    case SIM_TICK:
        if (s->changes > 0) look_around(s, w->to);
        if (w->order != n->timer) break;
        if (!s->idle && s->propose_to > n->executed)
            CHECK_OK(step(s, w->to, &(rdg_consensus_event_t){.kind = RDG_EVENT_WORK}));
        CHECK_OK(step(s, w->to, &(rdg_consensus_event_t){.kind = RDG_EVENT_TICK}));
        break;
    }
}

/* --- running ---------------------------------------------------------------------------------------------
 */

static size_t next_work(const sim_t *s) {
    size_t best = 0;
    for (size_t i = 1; i < s->work_count; ++i)
        if (s->work[i].at_ms < s->work[best].at_ms ||
            (s->work[i].at_ms == s->work[best].at_ms && s->work[i].order < s->work[best].order))
            best = i;
    return best;
}

static bool run_one(sim_t *s, uint64_t end) {
    if (s->work_count == 0 || s->violation) return false;
    size_t i = next_work(s);
    if (s->work[i].at_ms > end) return false;
    sim_work_t w = s->work[i];
    s->work[i] = s->work[--s->work_count];
    s->now_ms = w.at_ms;
    do_work(s, &w);
    blob_free(&w.bytes);
    blob_free(&w.seal);
    return true;
}

void sim_run(sim_t *s, uint64_t ms) {
    uint64_t end = s->now_ms + ms;
    while (run_one(s, end)) {
    }
    s->now_ms = end;
}

static bool all_at(const sim_t *s, uint64_t height) {
    for (uint32_t i = 0; i < s->count; ++i)
        if (s->nodes[i].up && !s->nodes[i].evil && s->nodes[i].executed < height) return false;
    return true;
}

bool sim_run_to(sim_t *s, uint64_t height, uint64_t ms) {
    uint64_t end = s->now_ms + ms;
    while (!all_at(s, height))
        if (!run_one(s, end)) return false;
    return true;
}

void sim_crash(sim_t *s, uint32_t i) {
    sim_node_t *n = &s->nodes[i];
    rdg_consensus_free(n->core);
    n->core = NULL;
    n->up = false;
    ++n->life;
}

uint32_t sim_leader(sim_t *s) {
    uint32_t best = SIM_NODES_MAX;
    uint64_t term = 0;
    for (uint32_t i = 0; i < s->validators; ++i) {
        rdg_consensus_status_t status;
        if (!s->nodes[i].up) continue;
        rdg_consensus_status(s->nodes[i].core, &status);
        if (status.leader == i && status.view >= term) best = i, term = status.view;
    }
    return best;
}

static void link_up(sim_t *s, uint32_t a, uint32_t b) {
    if (a == b || !s->nodes[a].up || !s->nodes[b].up) return;
    CHECK_OK(step(s, a, &(rdg_consensus_event_t){.kind = RDG_EVENT_LINKED, .from = b}));
    CHECK_OK(step(s, b, &(rdg_consensus_event_t){.kind = RDG_EVENT_LINKED, .from = a}));
}

void sim_restart(sim_t *s, uint32_t i, bool amnesia) {
    sim_node_t *n = &s->nodes[i];
    rdg_consensus_record_t records[SIM_RECORDS_MAX];
    rdg_consensus_config_t config = s->config;
    if (amnesia || s->bug_forget_on_restart)
        while (n->record_count > 0) erase(n, view(&n->records[0].key));
    for (size_t k = 0; k < n->record_count; ++k)
        records[k] = (rdg_consensus_record_t){view(&n->records[k].key), view(&n->records[k].value)};
    config.validators.epoch = n->epoch;
    config.validators.count = epoch_count(s, n->epoch);
    config.first_height = n->epoch > 0 ? s->at[n->epoch - 1] + RDG_CONSENSUS_WINDOW + 1 : 0;
    config.self = i < config.validators.count ? i : config.validators.count;
    config.host.ctx = (void *)(uintptr_t)(i + 1);
    rdg_consensus_free(n->core);
    config.seed = sim_below(s, UINT64_MAX);
    CHECK_OK(s->raft ? rdg_raft_new(&config, &n->core) : rdg_pbft_new(&config, &n->core));
    rdg_consensus_status_t status;
    rdg_consensus_status(n->core, &status);
    CHECK(!status.voting); /* before the start nobody knows whether it has lost its records */
    n->up = true;
    n->committed = n->executed;
    rdg_consensus_event_t e = {.kind = RDG_EVENT_START,
                               .height = n->executed,
                               .last_height = last_height(s, i),
                               .digest = n->blocks[n->executed].digest,
                               .amnesia = amnesia,
                               .records = records,
                               .record_count = n->record_count};
    if (n->executed >= config.first_height) e.bytes = view(&n->blocks[n->executed].seal);
    /* The step may erase records; the core has copied what it keeps by then, the output is carried out after.
     */
    CHECK_OK(step(s, i, &e));
    if (n->executed > 0) report_executed(s, i, n->executed);
    for (uint32_t k = 0; k < s->count; ++k)
        if (!s->blocked[i][k] && sim_below(s, 2) == 0) link_up(s, i, k);
}

/* As the host does: the old core is freed when its last block is executed, its records are dropped, and peers in the
 * same epoch say again what went past. Several epochs may have passed in a fetch. */
static void next_epoch(sim_t *s, uint32_t i) {
    sim_node_t *n = &s->nodes[i];
    while (n->epoch < s->changes && n->executed >= s->at[n->epoch] + RDG_CONSENSUS_WINDOW) ++n->epoch;
    sim_crash(s, i);
    while (n->record_count > 0) erase(n, view(&n->records[0].key));
    n->promised = 0;
    sim_restart(s, i, false);
    for (uint32_t k = 0; k < s->count; ++k)
        if (s->nodes[k].epoch == n->epoch && !s->blocked[i][k] && !s->blocked[k][i]) link_up(s, i, k);
}

void sim_cut(sim_t *s, uint32_t i, bool cut) {
    for (uint32_t k = 0; k < s->count; ++k) {
        bool was = s->blocked[i][k];
        s->blocked[i][k] = s->blocked[k][i] = cut;
        if (was && !cut) link_up(s, i, k);
    }
}

static void start_all(sim_t *s) {
    for (uint32_t i = 0; i < s->count; ++i) sim_restart(s, i, false);
}

static sim_t *new_sim(uint32_t validators, uint32_t observers, uint64_t seed, bool raft) {
    sim_t *s = rdg_calloc(1, sizeof *s);
    CHECK(s != NULL);
    s->work = rdg_calloc(SIM_PACKETS_MAX, sizeof *s->work);
    s->terms = rdg_calloc(SIM_TERMS_MAX, sizeof *s->terms);
    CHECK(s->work != NULL && s->terms != NULL);
    s->raft = raft;
    s->validators = validators, s->count = validators + observers;
    s->now_ms = 1000, s->propose_to = 20, s->delay_max_ms = 5, s->wrong_result = s->slow = SIM_NODES_MAX;
    rdg_random_seeded_init(&s->random, seed);
    s->config =
        (rdg_consensus_config_t){.retransmit_ms = 500, .view_timeout_ms = 2000, .checkpoint_interval = 1};
    if (raft) s->config.retransmit_ms = 100, s->config.view_timeout_ms = 1000;
    s->config.host = (rdg_consensus_host_t){fake_sign, fake_verify, sim_digest, NULL};
    s->config.validators.chain_id = 7, s->config.validators.count = validators;
    for (uint32_t i = 0; i < s->count; ++i) s->config.validators.keys[i].b[0] = (uint8_t)(i + 1);
    for (uint32_t i = 0; i < s->count; ++i) CHECK((s->nodes[i].out = rdg_consensus_output_new()) != NULL);
    start_all(s);
    return s;
}

void sim_restart_all(sim_t *s) {
    for (uint32_t i = 0; i < s->count; ++i) sim_crash(s, i);
    start_all(s);
}

sim_t *sim_new(uint32_t validators, uint32_t observers, uint64_t seed) {
    return new_sim(validators, observers, seed, false);
}

sim_t *sim_new_raft(uint32_t validators, uint32_t observers, uint64_t seed) {
    return new_sim(validators, observers, seed, true);
}

void sim_use_sm2(sim_t *s) {
    for (uint32_t i = 0; i < s->validators; ++i) {
        CHECK_OK(rdg_sm2_key_generate(&real_keys[i]));
        rdg_sm2_key_public(real_keys[i], &s->config.validators.keys[i]);
    }
    s->config.host.sign = real_sign;
    s->config.host.verify = real_verify;
    sim_restart_all(s);
}

void sim_sign(sim_t *s, uint32_t index, const rdg_statement_t *statement, rdg_sm2_signature_t *out) {
    rdg_hash_t hash;
    rdg_statement_hash(s->config.validators.chain_id, statement, &hash);
    CHECK_OK(s->config.host.sign((void *)(uintptr_t)(index + 1), &hash, out));
}

void sim_forge(sim_t *s, message_t *m, rdg_buf_t *out) {
    m->kind = (uint32_t)m->statement.phase;
    sim_sign(s, m->index, &m->statement, &m->signature);
    CHECK_OK(message_encode(m, out));
}

void sim_free(sim_t *s) {
    for (uint32_t i = 0; i < SIM_NODES_MAX; ++i) {
        rdg_sm2_key_free(real_keys[i]);
        real_keys[i] = NULL;
    }
    for (size_t i = 0; i < s->work_count; ++i) blob_free(&s->work[i].bytes), blob_free(&s->work[i].seal);
    for (uint32_t i = 0; i < s->count; ++i) {
        sim_node_t *n = &s->nodes[i];
        while (n->record_count > 0) erase(n, view(&n->records[0].key));
        for (size_t h = 0; h < SIM_HEIGHTS; ++h)
            blob_free(&n->blocks[h].payload), blob_free(&n->blocks[h].seal);
        rdg_consensus_free(n->core);
        rdg_consensus_output_free(n->out);
    }
    rdg_free(s->work);
    rdg_free(s->terms);
    rdg_free(s);
}
