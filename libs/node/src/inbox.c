#include "inbox.h"
#include "ridge/base/alloc.h"
#include "ridge/base/assert.h"
#include "ridge/base/list.h"
#include <string.h>

typedef struct letter {
    rdg_list_t node;
    size_t peer, len;
    uint64_t generation; /* of the peer's place */
    bool light;
    uint8_t bytes[];
} letter_t;

typedef struct sender {
    rdg_list_t letters;
    size_t count, bytes; /* also of those that a job has */
    uint64_t generation, distrust_until_ms;
} sender_t;

typedef struct check_job {
    inbox_t *inbox;
    rdg_consensus_t *core; /* borrowed: retired, but not freed before the job is done */
    size_t count;
    letter_t *letters[INBOX_BATCH];
    rdg_bytes_t messages[INBOX_BATCH];
    rdg_consensus_verdict_t verdicts[INBOX_BATCH];
} check_job_t;

struct inbox {
    rdg_loop_t *loop;
    inbox_deliver_fn deliver;
    void *ctx;
    rdg_consensus_t *core, *retired; /* retired: a job reads it */
    check_job_t *job;                /* under way */
    bool closing;
    sender_t senders[RDG_P2P_PEERS_MAX];
    size_t next, count, bytes; /* next: whose turn it is */
    uint64_t at_once_ms;
    uint32_t at_once;
};

rdg_err_t inbox_new(rdg_loop_t *loop, inbox_deliver_fn deliver, void *ctx, inbox_t **out) {
    inbox_t *i = rdg_calloc(1, sizeof *i);
    if (!i) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the messages of consensus");
    i->loop = loop, i->deliver = deliver, i->ctx = ctx;
    for (size_t p = 0; p < RDG_P2P_PEERS_MAX; ++p) rdg_list_init(&i->senders[p].letters);
    *out = i;
    return RDG_OK;
}

static void drop(inbox_t *i, letter_t *l) {
    sender_t *s = &i->senders[l->peer];
    if (l->generation == s->generation) --s->count, s->bytes -= l->len;
    --i->count, i->bytes -= l->len;
    rdg_free(l);
}

void inbox_forget(inbox_t *i, size_t peer) {
    sender_t *s = &i->senders[peer];
    RDG_LIST_EACH_SAFE(it, &s->letters) {
        rdg_list_remove(it);
        drop(i, RDG_LIST_ENTRY(it, letter_t, node));
    }
    s->count = s->bytes = 0;
    s->distrust_until_ms = 0;
    ++s->generation; /* those that a job has are delivered to nobody */
}

static void free_inbox(inbox_t *i) {
    for (size_t p = 0; p < RDG_P2P_PEERS_MAX; ++p) inbox_forget(i, p);
    rdg_consensus_free(i->retired);
    rdg_consensus_free(i->core);
    rdg_free(i);
}

void inbox_close(inbox_t *i) {
    if (!i) return;
    i->closing = true;
    if (!i->job) free_inbox(i);
}

void inbox_set_core(inbox_t *i, rdg_consensus_t *core) {
    rdg_consensus_t *former = i->core;
    i->core = core;
    if (i->job && i->job->core == former && former) {
        RDG_ASSERT(!i->retired);
        i->retired = former;
    } else {
        rdg_consensus_free(former);
    }
}

size_t inbox_count(const inbox_t *i) {
    return i->count;
}

/* --- checking elsewhere ----------------------------------------------------------------------------------- */

static void on_check(void *arg) {
    check_job_t *job = arg;
    rdg_consensus_check_many(job->core, job->messages, job->count, job->verdicts);
}

static letter_t *take(inbox_t *i, size_t peer, bool *heavy) {
    sender_t *s = &i->senders[peer];
    if (rdg_list_empty(&s->letters)) return NULL;
    letter_t *l = RDG_LIST_ENTRY(s->letters.next, letter_t, node);
    if (!l->light && *heavy) return NULL;
    *heavy = *heavy || !l->light;
    rdg_list_remove(&l->node);
    return l;
}

static void fill(inbox_t *i, check_job_t *job) {
    bool heavy = false, any = true;
    size_t first = i->next;
    while (any && job->count < INBOX_BATCH) {
        any = false;
        for (size_t k = 0; k < RDG_P2P_PEERS_MAX && job->count < INBOX_BATCH; ++k) {
            letter_t *l = take(i, (first + k) % RDG_P2P_PEERS_MAX, &heavy);
            if (!l) continue;
            any = true;
            i->next = (first + k + 1) % RDG_P2P_PEERS_MAX;
            job->messages[job->count] = rdg_bytes(l->bytes, l->len);
            job->letters[job->count++] = l;
        }
    }
}

static void on_checked(void *arg);

/* The worker takes no job: first in, first out all the same. */
static void give_back(inbox_t *i, check_job_t *job) {
    for (size_t k = job->count; k-- > 0;) {
        rdg_list_t *first = i->senders[job->letters[k]->peer].letters.next;
        rdg_list_append(first, &job->letters[k]->node); /* before the first */
    }
    rdg_free(job);
}

static void start(inbox_t *i) {
    if (i->job || i->closing || i->count == 0 || !i->core) return;
    check_job_t *job = rdg_calloc(1, sizeof *job);
    if (!job) return; /* with the next message */
    job->inbox = i, job->core = i->core;
    fill(i, job);
    if (job->count == 0 || rdg_loop_work(i->loop, on_check, on_checked, job) != RDG_OK)
        give_back(i, job);
    else
        i->job = job;
}

static void hand_out(inbox_t *i, const letter_t *l, const rdg_consensus_verdict_t *v) {
    sender_t *s = &i->senders[l->peer];
    if (l->generation != s->generation) return;
    if (v->err != RDG_OK && v->err != RDG_E_STALE)
        s->distrust_until_ms = rdg_loop_now_ms(i->loop) + INBOX_DISTRUST_MS;
    i->deliver(i->ctx, l->peer, rdg_bytes(l->bytes, l->len), v->err, v->why);
}

static void on_checked(void *arg) {
    check_job_t *job = arg;
    inbox_t *i = job->inbox;
    for (size_t k = 0; k < job->count; ++k) {
        /* A delivery may have ended the epoch: the rest is checked again, by the core that is there now. */
        if (job->core != i->core && !i->closing && i->core)
            rdg_consensus_check_many(i->core, &job->messages[k], 1, &job->verdicts[k]);
        if (!i->closing) hand_out(i, job->letters[k], &job->verdicts[k]);
    }
    for (size_t k = 0; k < job->count; ++k) drop(i, job->letters[k]);
    rdg_free(job);
    i->job = NULL;
    rdg_consensus_free(i->retired);
    i->retired = NULL;
    if (i->closing)
        free_inbox(i);
    else
        start(i);
}

/* --- checking at once ------------------------------------------------------------------------------------- */

static bool may_check_at_once(inbox_t *i, const sender_t *s, rdg_bytes_t bytes) {
    uint64_t now = rdg_loop_now_ms(i->loop);
    if (!i->core || s->count > 0 || now < s->distrust_until_ms) return false;
    if (now != i->at_once_ms) i->at_once_ms = now, i->at_once = 0;
    if (i->at_once >= INBOX_AT_ONCE || !rdg_consensus_is_light(i->core, bytes)) return false;
    ++i->at_once;
    return true;
}

static void check_at_once(inbox_t *i, size_t peer, rdg_bytes_t bytes) {
    rdg_consensus_verdict_t v;
    rdg_consensus_check_many(i->core, &bytes, 1, &v);
    if (v.err != RDG_OK && v.err != RDG_E_STALE)
        i->senders[peer].distrust_until_ms = rdg_loop_now_ms(i->loop) + INBOX_DISTRUST_MS;
    i->deliver(i->ctx, peer, bytes, v.err, v.why);
}

static rdg_err_t queue(inbox_t *i, size_t peer, rdg_bytes_t bytes) {
    sender_t *s = &i->senders[peer];
    if (s->count >= INBOX_PEER_COUNT || bytes.len > INBOX_PEER_BYTES - s->bytes ||
        bytes.len > INBOX_BYTES - i->bytes)
        return rdg_fail(RDG_E_FULL, "%zu messages of this peer wait for their check", s->count);
    letter_t *l = rdg_alloc(sizeof *l + bytes.len);
    if (!l) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a message of %zu bytes", bytes.len);
    rdg_list_init(&l->node);
    l->peer = peer, l->len = bytes.len, l->generation = s->generation;
    l->light = i->core && rdg_consensus_is_light(i->core, bytes);
    if (bytes.len > 0) memcpy(l->bytes, bytes.data, bytes.len);
    rdg_list_append(&s->letters, &l->node);
    ++s->count, s->bytes += bytes.len;
    ++i->count, i->bytes += bytes.len;
    start(i);
    return RDG_OK;
}

rdg_err_t inbox_put(inbox_t *i, size_t peer, rdg_bytes_t bytes) {
    RDG_ASSERT(peer < RDG_P2P_PEERS_MAX);
    if (!may_check_at_once(i, &i->senders[peer], bytes)) return queue(i, peer, bytes);
    check_at_once(i, peer, bytes);
    return RDG_OK;
}
